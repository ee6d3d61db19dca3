//! The image: its steps, and that its files, paths, users and ports are those that everything else means.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use super::{Trial, root};

/// The instructions of a Dockerfile, with continued lines joined, in stages.
fn stages(text: &str) -> Vec<Vec<(String, String)>> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with('#') && !l.trim().is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for line in joined.lines() {
        let (name, rest) = line.split_once(' ').unwrap();
        if name == "FROM" {
            stages.push(Vec::new());
        }
        let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        stages.last_mut().unwrap().push((name.to_owned(), rest));
    }
    stages
}

/// The values of an instruction in a stage.
fn all<'a>(stage: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    stage.iter().filter(|(n, _)| n == name).map(|(_, rest)| rest.as_str()).collect()
}

/// Arguments that are no flags.
fn arguments(rest: &str) -> Vec<&str> {
    rest.split(' ').filter(|word| !word.starts_with("--")).collect()
}

fn dockerfile() -> Vec<Vec<(String, String)>> {
    stages(&fs::read_to_string(root().join("Dockerfile")).unwrap())
}

/// Whether a file reaches the build: the last line of `.dockerignore` that speaks of it decides.
fn in_context(ignore: &str, file: &str) -> bool {
    let lines = ignore.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    lines.fold(true, |there, line| {
        let (pattern, takes) = line.strip_prefix('!').map_or((line, false), |pattern| (pattern, true));
        let speaks = pattern == "*" || Path::new(file).starts_with(pattern);
        if speaks { takes } else { there }
    })
}

/// The files of the project that reach the build.
fn context() -> BTreeSet<String> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let files = String::from_utf8(git.stdout).unwrap();
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    files.lines().filter(|f| in_context(&ignore, f) && root().join(f).is_file()).map(str::to_owned).collect()
}

#[test]
fn the_last_line_that_speaks_of_a_file_decides() {
    let ignore = "# x\n*\n!src\n!scripts/a.sh\nsrc/private\n";
    for (file, there) in [
        ("src/a.rs", true),
        ("src/private/b", false),
        ("secrets/x", false),
        ("scripts/a.sh", true),
        ("scripts/b", false),
    ] {
        assert_eq!(in_context(ignore, file), there, "{file}");
    }
}

#[test]
fn the_build_gets_all_that_cargo_reads_and_no_secret() {
    let context = context();
    let folder = testbed::run::folder("context").unwrap();
    for file in &context {
        let to = folder.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(file), to).unwrap();
    }
    // Reads all manifests and looks for each target's file.
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));

    // What is read while it compiles: sources, and the files that macros take in.
    let read =
        ["src/main.rs", "askama.toml", "Cargo.lock", "scripts/build-static.sh", "migrations/", "templates/", "static/"];
    for wanted in read {
        assert!(context.iter().any(|file| file.starts_with(wanted)), "{wanted}");
    }
    let mut included = 0;
    let compiled = |f: &&String| {
        f.starts_with("src/")
            && std::path::Path::new(f).extension().is_some_and(|e| e == "rs")
            && !f.ends_with("/tests.rs")
    };
    for file in context.iter().filter(compiled) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        // What tests take in, no image needs.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for call in ["include_str!(\"", "include_bytes!(\""] {
            for piece in text.split(call).skip(1) {
                let named = folder.join(file).parent().unwrap().join(piece.split('"').next().unwrap());
                assert!(named.is_file(), "{file} takes in {}", named.display());
                included += 1;
            }
        }
    }
    assert!(included > 0);
    let strange: Vec<_> =
        [".env", ".git", "secrets", "target"].into_iter().filter(|f| folder.join(f).exists()).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn each_step_is_a_script_that_a_shell_reads_and_that_calls_what_is_there() {
    let build = &dockerfile()[0];
    let steps: Vec<String> = all(build, "RUN").iter().map(|step| arguments_of_run(step)).collect();
    assert_eq!(steps.len(), 2);
    for step in &steps {
        let sh = Command::new("sh").args(["-n", "-c", step]).output().unwrap();
        assert!(sh.status.success(), "{step}: {}", String::from_utf8_lossy(&sh.stderr));
    }
    assert!(steps[0].contains("gcc") && steps[0].contains("libc6-dev"), "C has to be compiled, and linked in");
    assert!(steps[1].starts_with("scripts/build-static.sh && "), "{}", steps[1]);
    // The script in the image is the one of the repository, and names what it builds as the step expects it.
    let script = fs::read_to_string(root().join("scripts/build-static.sh")).unwrap();
    assert!(script.contains("--target \"$target\"") && script.contains("--locked --bin kubelend"), "{script}");
    assert!(steps[1].contains("target/$(rustc --print host-tuple)/release/kubelend"), "{}", steps[1]);
    assert!(super::mode(&root().join("scripts/build-static.sh")).unwrap() & 0o100 != 0);
}

/// A step's command, without the flags in front of it.
fn arguments_of_run(step: &str) -> String {
    step.split(' ').skip_while(|word| word.starts_with("--")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_toolchain_is_the_one_that_everything_else_is_built_with() {
    let toolchain: toml::Table = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap().parse().unwrap();
    let version = toolchain["toolchain"]["channel"].as_str().unwrap();
    let build = &dockerfile()[0];
    assert_eq!(all(build, "FROM"), [format!("rust:{version}-slim-bookworm AS build")]);
    assert_eq!(all(build, "ENV"), [format!("RUSTUP_TOOLCHAIN={version}")]);
}

#[test]
fn the_image_holds_what_was_built_and_runs_as_a_user_who_owns_its_volume() {
    let stages = dockerfile();
    let (build, image) = (&stages[0], &stages[1]);
    assert_eq!(stages.len(), 2);
    // Without a C library, since the program brings its own; with the CAs of public issuers.
    assert_eq!(all(image, "FROM"), ["gcr.io/distroless/static-debian12:nonroot"]);
    let made = all(build, "RUN").join(" ");
    let copied: Vec<Vec<&str>> = all(image, "COPY").iter().map(|copy| arguments(copy)).collect();
    for copy in &copied {
        assert!(made.contains(copy[0]), "{} is made by no step", copy[0]);
    }
    let to: Vec<&str> = copied.iter().map(|copy| copy[1]).collect();
    let entry: Vec<String> = serde_json::from_str(all(image, "ENTRYPOINT")[0]).unwrap();
    assert_eq!(entry, [to[0]]);
    let volume = all(image, "VOLUME")[0];
    assert_eq!(to[1], volume);
    let user = all(image, "USER")[0];
    assert_eq!(user, "65532:65532");
    assert!(all(image, "COPY")[1].contains(&format!("--chown={user} --chmod=0700")));
    assert!(all(image, "RUN").is_empty(), "nothing in it can run one");

    // The trial puts things where the image looks for them.
    let trial = Trial::set_up().unwrap();
    let kubelend = trial.service("kubelend");
    let command: Vec<String> = serde_json::from_str(all(image, "CMD")[0]).unwrap();
    let (_, health) = all(image, "HEALTHCHECK")[0].split_once("CMD ").unwrap();
    let health: Vec<String> = serde_json::from_str(health).unwrap();
    assert_eq!(health, [entry[0].as_str(), "health", "--config", &command[2]]);
    assert_eq!(kubelend["healthcheck"]["test"], serde_json::json!([["CMD".to_owned()].as_slice(), &health].concat()));
    assert_eq!(command[..2], ["serve", "--config"]);
    assert_eq!(kubelend["configs"][0]["target"], command[2].as_str());
    assert!(command[2].starts_with(to[2]));
    assert_eq!(kubelend["volumes"][0]["target"], volume);
    assert!(kubelend["user"].is_null() && kubelend["entrypoint"].is_null() && kubelend["command"].is_null());
    let settings: toml::Table = trial.configuration("kubelend", &command[2]).unwrap().parse().unwrap();
    assert_eq!(settings["data_dir"].as_str(), Some(volume));
}

#[test]
fn ports_and_names_agree() {
    let trial = Trial::set_up().unwrap();
    let published = |service: &str| {
        let ports = trial.service(service)["ports"].as_array().unwrap();
        assert_eq!(ports.len(), 1, "{service}");
        assert_eq!(ports[0]["published"].as_str().unwrap(), ports[0]["target"].to_string(), "{service}");
        ports[0]["target"].to_string()
    };
    let (kubelend, dex) = (published("kubelend"), published("dex"));
    let environment = trial.environment("kubelend").unwrap();
    assert_eq!(
        environment,
        [
            ("KUBELEND_PROVIDERS__DEX__ISSUER".into(), format!("https://{}:{dex}", super::DEX)),
            ("KUBELEND_PUBLIC_URL".into(), format!("https://{}:{kubelend}", super::KUBELEND)),
        ]
    );
    let settings: toml::Table =
        trial.configuration("kubelend", "/etc/kubelend/kubelend.toml").unwrap().parse().unwrap();
    assert_eq!(settings["listen"]["address"].as_str(), Some(format!("0.0.0.0:{kubelend}").as_str()));
    let configuration = trial.configuration("dex", "/etc/dex/kubelend.yaml").unwrap();
    assert!(configuration.contains(&format!("https: 0.0.0.0:{dex}\n")), "{configuration}");
}
