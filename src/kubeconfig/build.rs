//! Building kubeconfigs. Every value is written by a YAML emitter or quoted for a POSIX shell, never pasted into a template.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::emit;
use crate::model::{cluster::Endpoint, name::ClusterName, provider::KubeconfigIssuer};

/// The longest user name in a file, in characters, without the cluster's.
const MAX_PERSON: usize = 200;
/// What stands for a token where it is left out.
const LEFT_OUT: &str = "(left out here)";

/// A kubeconfig of the *provider* kind: `auth-provider: oidc` with the provider itself as issuer, as client-go's built-in plugin
/// takes it. No client secret; CAs inline. Cluster `NAME`, user `EMAIL@NAME`, context `NAME`.
#[derive(Debug)]
pub struct ProviderKubeconfig<'a> {
    /// The cluster's name.
    pub name: &'a ClusterName,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// What the person is called: their email where there is one.
    pub person: &'a str,
    /// The provider.
    pub issuer: &'a KubeconfigIssuer,
    /// The ID token.
    pub id_token: &'a SecretString,
    /// The refresh token; without one the file lives as long as the ID token.
    pub refresh_token: Option<&'a SecretString>,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: [NamedCluster<'a>; 1],
    contexts: [NamedContext<'a>; 1],
    #[serde(rename = "current-context")]
    current_context: &'a str,
    users: [NamedUser<'a>; 1],
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: User<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct User<'a> {
    auth_provider: AuthProvider<'a>,
}

#[derive(Serialize)]
struct AuthProvider<'a> {
    name: &'static str,
    config: BTreeMap<&'static str, &'a str>,
}

impl ProviderKubeconfig<'_> {
    /// The file, as YAML.
    pub fn to_yaml(&self) -> SecretString {
        let refresh = self.refresh_token.map(ExposeSecret::expose_secret);
        self.write(self.id_token.expose_secret(), refresh).into()
    }

    /// The same with tokens left out, to be shown.
    pub fn to_yaml_without_tokens(&self) -> String {
        self.write(LEFT_OUT, self.refresh_token.map(|_| LEFT_OUT))
    }

    fn write(&self, id_token: &str, refresh_token: Option<&str>) -> String {
        let (name, user) = (self.name.as_str(), self.user_name());
        let issuer_ca = self.issuer_ca_data();
        let file = File {
            api_version: "v1",
            kind: "Config",
            clusters: [NamedCluster {
                name,
                cluster: Cluster {
                    server: self.server(),
                    certificate_authority_data: self.endpoint.ca_pem.as_ref().map(|pem| STANDARD.encode(pem)),
                    tls_server_name: self.endpoint.tls_server_name.as_deref(),
                },
            }],
            contexts: [NamedContext { name, context: Context { cluster: name, user: &user } }],
            current_context: name,
            users: [NamedUser {
                name: &user,
                user: User {
                    auth_provider: AuthProvider {
                        name: "oidc",
                        config: self.settings(id_token, refresh_token, issuer_ca.as_deref()),
                    },
                },
            }],
        };
        emit::yaml(&file)
    }

    /// What client-go's `oidc` plugin is told.
    pub(super) fn settings<'s>(
        &'s self,
        id_token: &'s str,
        refresh_token: Option<&'s str>,
        issuer_ca: Option<&'s str>,
    ) -> BTreeMap<&'static str, &'s str> {
        let always = [
            ("client-id", self.issuer.client_id.as_str()),
            ("id-token", id_token),
            ("idp-issuer-url", self.issuer.issuer.as_str()),
        ];
        let sometimes = [("idp-certificate-authority-data", issuer_ca), ("refresh-token", refresh_token)];
        always.into_iter().chain(sometimes.into_iter().filter_map(|(key, value)| Some((key, value?)))).collect()
    }

    /// The issuer's CA as the plugin takes it: base64 of PEM.
    pub(super) fn issuer_ca_data(&self) -> Option<String> {
        self.issuer.ca_pem.as_ref().map(|pem| STANDARD.encode(pem))
    }

    /// The API server's address, without the lone slash that URLs get.
    pub(super) fn server(&self) -> &str {
        let text = self.endpoint.server.as_str();
        if self.endpoint.server.path() == "/" { text.trim_end_matches('/') } else { text }
    }

    /// `EMAIL@NAME`. What the person is called may come from a provider, so control and invisible characters, which no
    /// terminal or editor shows faithfully, become `_`.
    pub(super) fn user_name(&self) -> String {
        let visible = |c: char| {
            !c.is_control()
                && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        };
        let person: String = self.person.chars().take(MAX_PERSON).map(|c| if visible(c) { c } else { '_' }).collect();
        format!("{person}@{}", self.name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file's parts, owned.
    pub(crate) struct Parts {
        pub(crate) name: ClusterName,
        pub(crate) endpoint: Endpoint,
        pub(crate) person: String,
        pub(crate) issuer: KubeconfigIssuer,
        pub(crate) id_token: SecretString,
        pub(crate) refresh_token: Option<SecretString>,
    }

    impl Parts {
        pub(crate) fn new() -> Self {
            Self {
                name: "staging".parse().unwrap(),
                endpoint: Endpoint {
                    server: "https://k8s.example.com:6443".parse().unwrap(),
                    ca_pem: Some("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n".into()),
                    tls_server_name: None,
                },
                person: "bob@example.com".into(),
                issuer: KubeconfigIssuer {
                    issuer: "https://dex.example.com/dex".into(),
                    client_id: "kubelend".into(),
                    ca_pem: Some("-----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----\n".into()),
                },
                id_token: "eyJhbGciOiJSUzI1NiJ9.e30.c2ln".into(),
                refresh_token: Some("ChlkZXgtcmVmcmVzaA".into()),
            }
        }

        pub(crate) fn file(&self) -> ProviderKubeconfig<'_> {
            ProviderKubeconfig {
                name: &self.name,
                endpoint: &self.endpoint,
                person: &self.person,
                issuer: &self.issuer,
                id_token: &self.id_token,
                refresh_token: self.refresh_token.as_ref(),
            }
        }
    }

    /// Texts that mean something to YAML 1.1, YAML 1.2, a shell or CSV.
    pub(crate) const HOSTILE: &[&str] = &[
        "on",
        "1e3",
        "a: b",
        "012",
        "1_000",
        "0b1",
        "0x1f",
        "12:30:45",
        "2001-01-01",
        "~",
        "null",
        "yes",
        "y",
        "=",
        "<<",
        "- a",
        "[a]",
        "{a: b}",
        "&a",
        "*a",
        "!a",
        "# a",
        "a #b",
        "| a",
        "> a",
        "%a",
        "@a",
        "`a`",
        "'",
        "\"",
        "''",
        "a'b",
        "$(touch /tmp/x)",
        "`touch /tmp/x`",
        "$HOME",
        "${IFS}",
        "a;b",
        "a&&b",
        "a|b",
        "a>b",
        "a\\",
        "\\n",
        "a\nb",
        "a\n---\nb",
        "a\rb",
        "a\tb",
        " a",
        "a ",
        "",
        "-n",
        "--help",
        "a,b",
        "a=b,c=d",
        "a\"b,c",
        "!!",
        "!x",
        "a!b",
        "*",
        "?",
        "[a-z]*",
        "é",
        "日本",
        "\u{1b}[31m",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "😀",
        "KUBELEND_MANIFEST",
        "\0",
    ];

    fn scalar(text: &str, path: &[&str]) -> String {
        use super::super::yaml::{Node, Value, read};
        fn find<'a>(node: &'a Node, path: &[&str]) -> &'a str {
            match (&node.value, path) {
                (Value::Text(text), []) => text,
                (Value::Nothing, []) => panic!("nothing"),
                (Value::List(items), _) => find(&items[0], path),
                (Value::Map(fields), [key, rest @ ..]) => {
                    find(&fields.iter().find(|f| f.key == *key).unwrap_or_else(|| panic!("no {key}")).value, rest)
                }
                _ => panic!("{path:?}"),
            }
        }
        let root = read(text).unwrap_or_else(|f| panic!("line {}: {}\n{text}", f[0].line, f[0].reason));
        find(&root, path).to_owned()
    }

    #[test]
    fn the_file_has_the_shape_that_kubectl_knows() {
        insta::assert_snapshot!(Parts::new().file().to_yaml().expose_secret(), @r"
        apiVersion: v1
        kind: Config
        clusters:
        - name: staging
          cluster:
            server: https://k8s.example.com:6443
            certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClFVSkQKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=
        contexts:
        - name: staging
          context:
            cluster: staging
            user: bob@example.com@staging
        current-context: staging
        users:
        - name: bob@example.com@staging
          user:
            auth-provider:
              name: oidc
              config:
                client-id: kubelend
                id-token: eyJhbGciOiJSUzI1NiJ9.e30.c2ln
                idp-certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClJFVkcKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=
                idp-issuer-url: https://dex.example.com/dex
                refresh-token: ChlkZXgtcmVmcmVzaA
        ");
    }

    #[test]
    fn without_private_cas_and_refresh_token_their_keys_are_absent() {
        let mut parts = Parts::new();
        parts.endpoint.ca_pem = None;
        parts.endpoint.tls_server_name = Some("kubernetes.default".into());
        parts.issuer.ca_pem = None;
        parts.refresh_token = None;
        insta::assert_snapshot!(parts.file().to_yaml().expose_secret(), @r"
        apiVersion: v1
        kind: Config
        clusters:
        - name: staging
          cluster:
            server: https://k8s.example.com:6443
            tls-server-name: kubernetes.default
        contexts:
        - name: staging
          context:
            cluster: staging
            user: bob@example.com@staging
        current-context: staging
        users:
        - name: bob@example.com@staging
          user:
            auth-provider:
              name: oidc
              config:
                client-id: kubelend
                id-token: eyJhbGciOiJSUzI1NiJ9.e30.c2ln
                idp-issuer-url: https://dex.example.com/dex
        ");
    }

    #[test]
    fn immune_21_the_shown_file_and_the_debug_output_hold_no_token() {
        let parts = Parts::new();
        let shown = parts.file().to_yaml_without_tokens();
        for text in [shown.clone(), format!("{:?}", parts.file())] {
            assert!(!text.contains(parts.id_token.expose_secret()) && !text.contains("ChlkZXg"), "{text}");
        }
        let whole = parts.file().to_yaml();
        let put_back = shown.replacen(LEFT_OUT, parts.id_token.expose_secret(), 1).replacen(
            LEFT_OUT,
            parts.refresh_token.as_ref().unwrap().expose_secret(),
            1,
        );
        assert_eq!(put_back, whole.expose_secret());
    }

    #[test]
    fn immune_17_hostile_values_stay_data_in_yaml() {
        for hostile in HOSTILE {
            let mut parts = Parts::new();
            parts.person = (*hostile).to_owned();
            parts.issuer.client_id = (*hostile).to_owned();
            parts.issuer.issuer = (*hostile).to_owned();
            parts.id_token = (*hostile).into();
            parts.refresh_token = Some((*hostile).into());
            parts.endpoint.tls_server_name = Some((*hostile).to_owned());
            let yaml = parts.file().to_yaml();
            let at = |path: &[&str]| scalar(yaml.expose_secret(), path);
            let config = ["users", "user", "auth-provider", "config"];
            for key in ["client-id", "idp-issuer-url", "id-token", "refresh-token"] {
                assert_eq!(at(&[config.as_slice(), &[key]].concat()), *hostile, "{key}");
            }
            assert_eq!(at(&["clusters", "cluster", "tls-server-name"]), *hostile);
            let user = at(&["users", "name"]);
            assert_eq!(user, parts.file().user_name());
            assert_eq!(user, at(&["contexts", "context", "user"]));
            assert!(user.ends_with("@staging") && !user.chars().any(char::is_control), "{user:?}");
        }
    }

    #[test]
    fn immune_17_names_that_older_readers_take_for_numbers_and_booleans_are_quoted() {
        for name in
            ["on", "yes", "y", "no", "null", "true", "1e3", "012", "1_000", "0b1", "0x1f", "1.5", "2001-01-01", "123"]
        {
            let mut parts = Parts::new();
            parts.name = name.parse().unwrap();
            let yaml = parts.file().to_yaml();
            let line = yaml.expose_secret().lines().find(|l| l.starts_with("current-context")).unwrap().to_owned();
            let value = line.trim_start_matches("current-context: ");
            assert!(value.starts_with(['\'', '"']), "{value}");
        }
    }

    proptest! {
        #[test]
        fn immune_17_any_text_is_read_back_as_it_was(text in "\\PC{0,40}|.{0,40}") {
            let mut parts = Parts::new();
            parts.issuer.client_id = text.clone();
            let yaml = parts.file().to_yaml();
            let back = scalar(yaml.expose_secret(), &["users", "user", "auth-provider", "config", "client-id"]);
            prop_assert_eq!(back, text);
        }
    }
}
