//! The compose file and the script beside it.

use std::{fs, path::Path, process::Command};

use super::{DEX, KUBELEND, Trial, certificates, copy, mode, project, swap};

#[test]
fn compose_takes_the_file_and_says_what_is_wrong_with_another() {
    let trial = Trial::set_up().unwrap();
    assert_eq!(trial.project["name"], "kubelend-trial");
    let services: Vec<_> = trial.project["services"].as_object().unwrap().keys().collect();
    assert_eq!(services, ["dex", "kubelend", "postgres"]);

    let file = trial.folder.join("docker-compose.yml");
    let text = fs::read_to_string(&file).unwrap();
    for (from, to, why) in [
        ("restart: unless-stopped", "restart: [sometimes]", "restart"),
        ("read_only: true", "reed_only: true", "reed_only"),
        ("source: databases", "source: elsewhere", "elsewhere"),
        ("condition: service_healthy", "condition: service_merry", "condition"),
    ] {
        fs::write(&file, swap(&text, from, to)).unwrap();
        let error = project(&trial.folder).unwrap_err();
        assert!(error.contains(why), "{to}: {error}");
    }
    fs::write(&file, &text).unwrap();
    fs::write(trial.folder.join(".env"), "HOST_KUBELEND=kubelend.trial.test\n").unwrap();
    let error = project(&trial.folder).unwrap_err();
    assert!(error.contains("HOST_DEX") && error.contains("deploy/compose/example.env"), "{error}");
}

#[test]
fn the_names_of_the_example_do() {
    let folder = testbed::run::folder("trial").unwrap();
    copy(&folder).unwrap();
    let without = certificates(&folder).unwrap();
    assert!(String::from_utf8_lossy(&without.stderr).contains("deploy/compose/example.env"), "{without:?}");
    fs::copy(folder.join("deploy/compose/example.env"), folder.join(".env")).unwrap();
    assert!(certificates(&folder).unwrap().status.success());
    project(&folder).unwrap();
    for odd in ["192.168.1.20", "", "kube lend", "Kubelend.trial.test", "*.trial.test", "dex.trial.test"] {
        fs::write(folder.join(".env"), format!("HOST_KUBELEND='{odd}'\nHOST_DEX=dex.trial.test\n")).unwrap();
        let refused = certificates(&folder).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{odd}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("HOST_KUBELEND"), "{refused:?}");
    }
}

fn openssl(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder.join("secrets")).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn certificates_hold_for_their_name_and_a_second_run_keeps_what_was_trusted() {
    let trial = Trial::set_up().unwrap();
    let verify = |file: &str, name: &str| {
        let arguments =
            ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.crt", "-verify_hostname", name, file];
        openssl(&arguments, &trial.folder)
    };
    assert_eq!(verify("kubelend.crt", KUBELEND), "kubelend.crt: OK\n");
    assert_eq!(verify("dex.crt", DEX), "dex.crt: OK\n");
    assert!(verify("dex.crt", KUBELEND).contains("hostname mismatch"));
    let constraints = openssl(&["x509", "-in", "ca.crt", "-noout", "-ext", "nameConstraints"], &trial.folder);
    assert!(constraints.contains("critical") && constraints.contains(&format!("DNS:{DEX}")), "{constraints}");

    let read = |name: &str| fs::read(trial.folder.join("secrets").join(name)).unwrap();
    let kept = ["ca.crt", "ca.key", "postgres_password", "alice_password", "database_url"];
    let before = kept.map(read);
    let certificate = read("dex.crt");
    assert!(certificates(&trial.folder).unwrap().status.success());
    assert_eq!(kept.map(read), before);
    assert_ne!(read("dex.crt"), certificate);

    fs::write(trial.folder.join(".env"), format!("HOST_KUBELEND=other.trial.test\nHOST_DEX={DEX}\n")).unwrap();
    assert!(certificates(&trial.folder).unwrap().status.success());
    assert_ne!(read("ca.crt"), before[0], "a CA vouches for its names alone");
    assert_eq!(verify("kubelend.crt", "other.trial.test"), "kubelend.crt: OK\n");
    assert_eq!(read("alice_password"), before[3]);
}

#[test]
fn secrets_are_files_that_nobody_passes_by() {
    let trial = Trial::set_up().unwrap();
    assert_eq!(mode(&trial.folder.join("secrets")).unwrap(), 0o700);
    assert_eq!(mode(&trial.folder.join("secrets/ca.key")).unwrap(), 0o400);
    let all = trial.project["secrets"].as_object().unwrap();
    assert!(!all.contains_key("ca.key"), "no container needs the CA's key");
    let mut hidden = Vec::new();
    for name in all.keys() {
        // The users in the containers have other numbers than whoever made them.
        assert_eq!(mode(Path::new(trial.secret_file(name).unwrap())).unwrap(), 0o444, "{name}");
        let used = trial.project["services"].as_object().unwrap().values().any(|service| {
            service["secrets"].as_array().unwrap().iter().any(|secret| secret["source"] == name.as_str())
        });
        assert!(used, "nobody uses {name}");
        hidden.push(trial.secret(name).unwrap());
    }
    let text = trial.project.to_string();
    let found: Vec<_> = hidden.iter().filter(|secret| text.contains(secret.as_str())).collect();
    assert!(found.is_empty(), "{text}");
    // Neither git nor the image's build takes them.
    let ignored = fs::read_to_string(super::root().join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|l| l == "/secrets") && ignored.lines().any(|l| l == "/.env"), "{ignored}");
}

#[test]
fn immune_22_no_password_is_built_in() {
    let (one, other) = (Trial::set_up().unwrap(), Trial::set_up().unwrap());
    let names: Vec<&String> =
        one.project["secrets"].as_object().unwrap().keys().filter(|n| n.ends_with("_password")).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let (one, other) = (one.secret(name).unwrap(), other.secret(name).unwrap());
        assert!(one.len() == 32 && one != other, "{name}");
    }
}

#[test]
fn every_container_is_locked_up_and_what_can_be_asked_is() {
    let trial = Trial::set_up().unwrap();
    for (name, service) in trial.project["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        for key in ["privileged", "cap_add", "network_mode", "pid"] {
            assert!(service[key].is_null(), "{name}: {key}");
        }
        let image = service["image"].as_str().unwrap();
        assert!(image == "kubelend" || image.contains(':') && !image.ends_with(":latest"), "{image}");
    }
    for name in ["kubelend", "dex", "postgres"] {
        assert_eq!(trial.service(name)["healthcheck"]["test"][0], "CMD", "{name}");
    }
    for name in ["dex", "postgres"] {
        assert_eq!(trial.service("kubelend")["depends_on"][name]["condition"], "service_healthy");
    }
    // The database is nobody's business but theirs.
    assert_eq!(trial.project["networks"]["database"]["internal"], true);
    let networks: Vec<_> = trial.service("postgres")["networks"].as_object().unwrap().keys().collect();
    assert_eq!(networks, ["database"]);
    assert!(trial.service("postgres")["ports"].is_null());
    assert_eq!(trial.service("dex")["networks"]["people"]["aliases"], serde_json::json!([DEX]));
}
