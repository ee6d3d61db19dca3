//! The same kubeconfig as commands to paste, for people who keep one file for all their clusters.

use secrecy::{ExposeSecret, SecretString};

use super::{
    build::{Credential, EXEC_VERSION, Entry, Kubelogin, Tokens},
    shell::quote,
};

/// The same as `kubectl config …` commands for a POSIX shell, one for each line, tokens included. The CA goes through a temporary
/// file, since `kubectl config set clusters.NAME.…` takes the dots of a name for its own.
///
/// Where an entry of the same name stands already, what the file would not have is taken out of it.
pub fn safe_commands(entry: &Entry<'_>) -> SecretString {
    let (name, user) = (quote(entry.name.as_str()), quote(&entry.user_name()));
    let mut lines = cluster(entry, &name);
    lines.push(match &entry.credential {
        Credential::Tokens(tokens) => with_tokens(tokens, &user),
        Credential::Kubelogin(plugin) => with_plugin(plugin, &user),
        Credential::Token(token) => {
            format!("kubectl config set-credentials --token={} -- {user}", quote(token.expose_secret()))
        }
    });
    lines.push(format!("kubectl config set-context {name} --cluster={name} --user={user}"));
    lines.push(format!("kubectl config use-context {name}"));
    (lines.join("\n") + "\n").into()
}

fn cluster(entry: &Entry<'_>, name: &str) -> Vec<String> {
    let mut set = format!("kubectl config set-cluster {name} --server={}", quote(entry.server()));
    if let Some(sni) = &entry.endpoint.tls_server_name {
        set.extend([" --tls-server-name=", &quote(sni)]);
    }
    let Some(pem) = &entry.endpoint.ca_pem else { return vec![set] };
    let pem: Vec<String> = pem.lines().map(quote).collect();
    set.push_str(" --embed-certs=true --certificate-authority=\"$KUBELEND_CA\"");
    vec![
        "KUBELEND_CA=$(mktemp)".into(),
        format!("printf '%s\\n' {} > \"$KUBELEND_CA\"", pem.join(" ")),
        set,
        "rm -f \"$KUBELEND_CA\"".into(),
    ]
}

fn with_tokens(tokens: &Tokens<'_>, user: &str) -> String {
    let settings = tokens.settings(true);
    let mut line = "kubectl config set-credentials --auth-provider=oidc".to_owned();
    for (key, value) in &settings {
        line.extend([" --auth-provider-arg=", &quote(&csv(&format!("{key}={value}")))]);
    }
    for key in ["client-secret", "idp-certificate-authority-data", "refresh-token"] {
        if !settings.contains_key(key) {
            // kubectl's way to say “take it out”.
            line.extend([" --auth-provider-arg=", key, "-"]);
        }
    }
    // The name comes last, behind `--`: it may begin with a dash.
    format!("{line} -- {user}")
}

fn with_plugin(plugin: &Kubelogin<'_>, user: &str) -> String {
    let mut line = format!(
        "kubectl config set-credentials --exec-api-version={EXEC_VERSION} --exec-interactive-mode=IfAvailable \
         --exec-command=kubectl"
    );
    for arg in plugin.args() {
        line.extend([" --exec-arg=", &quote(&csv(&arg))]);
    }
    format!("{line} -- {user}")
}

/// kubectl reads these arguments as lines of CSV.
fn csv(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

    use super::*;
    use crate::{
        crypto,
        kubeconfig::build::tests::{HOSTILE, Parts},
    };

    /// A folder with a `kubectl` that writes down its arguments, each ended by NUL, each call by another.
    struct Recorder(PathBuf);

    impl Recorder {
        fn new() -> Self {
            let name = u64::from_be_bytes(crypto::random());
            let folder = std::env::temp_dir().join(format!("kubelend-commands-{name}"));
            fs::create_dir(&folder).unwrap();
            let kubectl = folder.join("kubectl");
            fs::write(
                &kubectl,
                "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\0' \"$a\"; case $a in --certificate-authority=*) cat \"${a#*=}\" > ca;; esac; done >> calls\nprintf '\\0' >> calls\n",
            )
            .unwrap();
            fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
            Self(folder)
        }

        /// Runs commands in a shell; the arguments of each call of kubectl.
        fn run(&self, shell: &str, script: &str) -> Vec<Vec<String>> {
            let calls = self.0.join("calls");
            drop(fs::remove_file(&calls));
            let path = format!("{}:/usr/bin:/bin", self.0.display());
            let output = Command::new(shell)
                .args(["-euc", script])
                .current_dir(&self.0)
                .env_clear()
                .env("PATH", path)
                .env("TMPDIR", &self.0)
                .output()
                .unwrap();
            assert!(
                output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
                "{output:?}\n{script}"
            );
            let text = String::from_utf8(fs::read(&calls).unwrap()).unwrap();
            text.split("\0\0").filter(|c| !c.is_empty()).map(|c| c.split('\0').map(str::to_owned).collect()).collect()
        }

        fn entries(&self) -> Vec<String> {
            let mut all: Vec<_> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            all.sort();
            all
        }
    }

    impl Drop for Recorder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_commands_are_four_calls_of_kubectl() {
        insta::assert_snapshot!(safe_commands(&Parts::new().file()).expose_secret(), @r#"
        KUBELEND_CA=$(mktemp)
        printf '%s\n' '-----BEGIN CERTIFICATE-----' QUJD '-----END CERTIFICATE-----' > "$KUBELEND_CA"
        kubectl config set-cluster staging --server=https://k8s.example.com:6443 --embed-certs=true --certificate-authority="$KUBELEND_CA"
        rm -f "$KUBELEND_CA"
        kubectl config set-credentials --auth-provider=oidc --auth-provider-arg=client-id=kubelend --auth-provider-arg=id-token=eyJhbGciOiJSUzI1NiJ9.e30.c2ln --auth-provider-arg=idp-certificate-authority-data=LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClJFVkcKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo= --auth-provider-arg=idp-issuer-url=https://dex.example.com/dex --auth-provider-arg=refresh-token=ChlkZXgtcmVmcmVzaA --auth-provider-arg=client-secret- -- bob@example.com@staging
        kubectl config set-context staging --cluster=staging --user=bob@example.com@staging
        kubectl config use-context staging
        "#);
    }

    #[test]
    fn immune_17_hostile_values_stay_words_in_a_shell() {
        let recorder = Recorder::new();
        for hostile in HOSTILE {
            let mut parts = Parts::new();
            parts.person = (*hostile).to_owned();
            parts.issuer.client_id = (*hostile).to_owned();
            parts.issuer.issuer = (*hostile).to_owned();
            parts.id_token = (*hostile).into();
            parts.refresh_token = Some((*hostile).into());
            parts.endpoint.tls_server_name = Some((*hostile).to_owned());
            let user = parts.file().user_name();
            let plain = hostile.replace('\0', "");
            for shell in ["sh", "bash"] {
                let calls = recorder.run(shell, safe_commands(&parts.file()).expose_secret());
                let verbs: Vec<_> = calls.iter().map(|c| c[1].as_str()).collect();
                assert_eq!(verbs, ["set-cluster", "set-credentials", "set-context", "use-context"], "{hostile:?}");
                assert!(calls[0].contains(&format!("--tls-server-name={plain}")), "{calls:?}");
                assert_eq!(calls[1].last(), Some(&user));
                for key in ["client-id", "idp-issuer-url", "id-token", "refresh-token"] {
                    let wanted = format!("--auth-provider-arg={}", csv(&format!("{key}={plain}")));
                    assert!(calls[1].contains(&wanted), "{wanted:?} {calls:?}");
                }
                assert_eq!(
                    calls[2],
                    ["config", "set-context", "staging", "--cluster=staging", &format!("--user={user}")]
                );
                let ca = fs::read_to_string(recorder.0.join("ca")).unwrap();
                assert_eq!(Some(&ca), parts.endpoint.ca_pem.as_ref());
                assert_eq!(recorder.entries(), ["ca", "calls", "kubectl"], "{hostile:?} left or made a file");
            }
        }
    }
}
