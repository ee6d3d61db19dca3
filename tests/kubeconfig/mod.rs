//! Kubeconfigs that Kubelend makes, read by the real kubectl.

use anyhow::Result;
use kubelend::{
    kubeconfig::{Credential, Entry, Kubelogin, Tokens, safe_commands, to_yaml},
    model::{cluster::Endpoint, provider::KubeconfigIssuer},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use testbed::{Kubectl, Testbed};

/// What kubectl makes of its kubeconfig.
async fn seen(kubectl: &Kubectl) -> Result<Value> {
    Ok(serde_json::from_str(&kubectl.run(&["config", "view", "--raw", "-o", "json"]).await?.ok()?)?)
}

struct Case {
    name: &'static str,
    text: &'static str,
    private: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, text, private| Case { name, text, private };
    vec![
        case("staging", "bob@example.com", true),
        case("prod.eu.1", "bob@example.com", false),
        case("on", "1e3", true),
        case("1_000", "a: b", false),
        case("012", "-x", true),
        case("0b1", "--help", false),
        case("2001-01-01", "a,b=\"c\",d", true),
        case("null", "$(touch x) `touch y` 'z' \"q\" \\", true),
        case("y", "{a: [b]} # &c *d !e %f", false),
    ]
}

#[tokio::test]
async fn immune_17_kubectl_reads_from_the_file_and_gets_by_the_commands_exactly_what_was_meant() -> Result<()> {
    let ca = Testbed::shared().await?.ca().pem().to_owned();
    for (n, Case { name, text, private }) in cases().into_iter().enumerate() {
        let parsed = name.parse()?;
        let endpoint = Endpoint {
            server: "https://k8s.example.com:6443".parse()?,
            ca_pem: private.then(|| ca.clone()),
            tls_server_name: private.then(|| "kubernetes.default".to_owned()),
        };
        let issuer = KubeconfigIssuer {
            issuer: "https://dex.example.com/dex".into(),
            client_id: text.into(),
            ca_pem: private.then(|| ca.clone()),
        };
        let (id_token, refresh_token) = (SecretString::from("e30.e30.e30"), SecretString::from("r/+=,x"));
        let credential = Credential::Tokens(Tokens {
            issuer: &issuer,
            id_token: &id_token,
            refresh_token: private.then_some(&refresh_token),
            empty_secret: false,
        });
        let file = Entry { name: &parsed, endpoint: &endpoint, person: text, credential };
        let yaml = to_yaml(std::slice::from_ref(&file));
        let by_file = seen(&Kubectl::with_text(yaml.expose_secret())?).await?;
        assert_eq!(by_file["clusters"][0]["name"], name);
        assert_eq!(by_file["current-context"], name);
        assert_eq!(by_file["users"][0]["name"], format!("{text}@{name}"));
        let config = &by_file["users"][0]["user"]["auth-provider"]["config"];
        assert_eq!(config["client-id"], text);
        assert_eq!(config.get("refresh-token").is_some(), private);
        assert_eq!(config.get("client-secret"), None);

        let kubectl = Kubectl::with_text("")?;
        kubectl.shell(safe_commands(&file).expose_secret()).await?.ok()?;
        assert_eq!(seen(&kubectl).await?, by_file, "{name}");
        if n < 2 {
            // Over the entries of an older file.
            let user = format!("{text}@{name}");
            let arg = "--auth-provider-arg";
            let stale = [
                "config",
                "set-credentials",
                "--auth-provider=oidc",
                arg,
                "client-secret=x",
                arg,
                "refresh-token=x",
                "--",
                &user,
            ];
            kubectl.run(&stale).await?.ok()?;
            kubectl.shell(safe_commands(&file).expose_secret()).await?.ok()?;
            assert_eq!(seen(&kubectl).await?, by_file, "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn immune_17_kubectl_reads_a_file_for_the_plugin_and_gets_it_by_the_commands() -> Result<()> {
    let ca = Testbed::shared().await?.ca().pem().to_owned();
    for Case { name, text, private } in cases() {
        let parsed = name.parse()?;
        let endpoint = Endpoint {
            server: "https://k8s.example.com:6443".parse()?,
            ca_pem: private.then(|| ca.clone()),
            tls_server_name: None,
        };
        let issuer = KubeconfigIssuer {
            issuer: "https://dex.example.com/dex".into(),
            client_id: text.into(),
            ca_pem: private.then(|| ca.clone()),
        };
        let scopes = ["email".to_owned(), "offline_access".to_owned()];
        let credential = Credential::Kubelogin(Kubelogin { issuer: &issuer, scopes: &scopes });
        let file = Entry { name: &parsed, endpoint: &endpoint, person: text, credential };
        let yaml = to_yaml(std::slice::from_ref(&file));
        let by_file = seen(&Kubectl::with_text(yaml.expose_secret())?).await?;
        let exec = &by_file["users"][0]["user"]["exec"];
        assert_eq!(exec["interactiveMode"], "IfAvailable");
        let args: Vec<&str> = exec["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(args.contains(&format!("--oidc-client-id={text}").as_str()), "{args:?}");
        assert!(!yaml.expose_secret().contains("secret"), "no secret, and no place for one");

        let kubectl = Kubectl::with_text("")?;
        kubectl.shell(safe_commands(&file).expose_secret()).await?.ok()?;
        let mut by_commands = seen(&kubectl).await?;
        // kubectl has no argument for the hint.
        let mut expected = by_file.clone();
        for seen in [&mut expected, &mut by_commands] {
            seen["users"][0]["user"]["exec"].as_object_mut().map(|exec| exec.remove("installHint"));
        }
        assert_eq!(by_commands, expected, "{name}");
    }
    Ok(())
}
