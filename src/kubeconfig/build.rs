//! Building kubeconfigs. Every value is written by a YAML emitter or quoted for a POSIX shell, never pasted into a template.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::{
    model::{cluster::Endpoint, name::ClusterName, provider::KubeconfigIssuer},
    yaml,
};

/// The longest user name in a file, in characters, without the cluster's.
const MAX_PERSON: usize = 200;
/// What stands for a token where it is left out.
const LEFT_OUT: &str = "(left out here)";

/// One cluster with one person's way in: cluster `NAME`, user `EMAIL@NAME`, context `NAME`. CAs are inline, and no client
/// secret is ever in it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The cluster's name.
    pub name: &'a ClusterName,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// What the person is called: their email where there is one.
    pub person: &'a str,
    /// How they show who they are.
    pub credential: Credential<'a>,
}

/// How a kubeconfig shows who somebody is.
#[derive(Debug)]
pub enum Credential<'a> {
    /// kubectl's built-in `oidc` provider (client-go, `auth-provider`).
    Tokens(Tokens<'a>),
    /// The plugin kubelogin.
    Kubelogin(Kubelogin<'a>),
    /// A token as it is, which nothing renews: a ServiceAccount's.
    Token(&'a SecretString),
}

/// What client-go's built-in `oidc` provider takes.
#[derive(Debug)]
pub struct Tokens<'a> {
    /// Where it renews the tokens: the provider, or Kubelend's relay.
    pub issuer: &'a KubeconfigIssuer,
    /// The ID token.
    pub id_token: &'a SecretString,
    /// The refresh token; without one the file lives as long as the ID token.
    pub refresh_token: Option<&'a SecretString>,
    /// Whether an empty `client-secret` stands in it: the Python client refuses a file without one.
    pub empty_secret: bool,
}

/// What `kubectl oidc-login get-token` takes.
#[derive(Debug)]
pub struct Kubelogin<'a> {
    /// The provider, and its public client.
    pub issuer: &'a KubeconfigIssuer,
    /// Scopes besides `openid`.
    pub scopes: &'a [String],
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: Vec<NamedCluster<'a>>,
    contexts: Vec<NamedContext<'a>>,
    #[serde(rename = "current-context")]
    current_context: &'a str,
    users: Vec<NamedUser>,
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
    user: String,
}

#[derive(Serialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum User {
    AuthProvider(AuthProvider),
    Exec(Exec),
    Token(String),
}

#[derive(Serialize)]
struct AuthProvider {
    name: &'static str,
    config: BTreeMap<&'static str, String>,
}

/// `ExecConfig` of client-go's v1 kubeconfig.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    api_version: &'static str,
    command: &'static str,
    args: Vec<String>,
    env: Option<()>,
    install_hint: &'static str,
    interactive_mode: &'static str,
    provide_cluster_info: bool,
}

/// What kubectl shows where the plugin is missing.
const INSTALL_HINT: &str = "kubelogin signs you in. Install it with \"kubectl krew install oidc-login\", or see \
    https://github.com/int128/kubelogin";
/// The version of client-go's exec interface.
pub(super) const EXEC_VERSION: &str = "client.authentication.k8s.io/v1";

/// One file of several clusters, as YAML; the first one's context is the current one.
pub fn to_yaml(entries: &[Entry<'_>]) -> SecretString {
    write(entries, true).into()
}

/// The same with tokens left out, to be shown.
pub fn to_yaml_without_tokens(entries: &[Entry<'_>]) -> String {
    write(entries, false)
}

fn write(entries: &[Entry<'_>], tokens: bool) -> String {
    yaml::write(&File {
        api_version: "v1",
        kind: "Config",
        clusters: entries.iter().map(Entry::cluster).collect(),
        contexts: entries.iter().map(Entry::context).collect(),
        current_context: entries.first().map(|entry| entry.name.as_str()).unwrap_or_default(),
        users: entries.iter().map(|entry| entry.user(tokens)).collect(),
    })
}

impl Entry<'_> {
    fn cluster(&self) -> NamedCluster<'_> {
        NamedCluster {
            name: self.name.as_str(),
            cluster: Cluster {
                server: self.server(),
                certificate_authority_data: self.endpoint.ca_pem.as_ref().map(|pem| STANDARD.encode(pem)),
                tls_server_name: self.endpoint.tls_server_name.as_deref(),
            },
        }
    }

    fn context(&self) -> NamedContext<'_> {
        NamedContext {
            name: self.name.as_str(),
            context: Context { cluster: self.name.as_str(), user: self.user_name() },
        }
    }

    fn user(&self, tokens: bool) -> NamedUser {
        let user = match &self.credential {
            Credential::Tokens(given) => {
                User::AuthProvider(AuthProvider { name: "oidc", config: given.settings(tokens) })
            }
            Credential::Kubelogin(plugin) => User::Exec(Exec {
                api_version: EXEC_VERSION,
                command: "kubectl",
                args: plugin.args(),
                env: None,
                install_hint: INSTALL_HINT,
                interactive_mode: "IfAvailable",
                provide_cluster_info: false,
            }),
            Credential::Token(token) if tokens => User::Token(token.expose_secret().to_owned()),
            Credential::Token(_) => User::Token(LEFT_OUT.to_owned()),
        };
        NamedUser { name: self.user_name(), user }
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

impl Tokens<'_> {
    /// What client-go's `oidc` plugin is told.
    pub(super) fn settings(&self, tokens: bool) -> BTreeMap<&'static str, String> {
        let shown = |token: &SecretString| if tokens { token.expose_secret().to_owned() } else { LEFT_OUT.to_owned() };
        let always = [
            ("client-id", self.issuer.client_id.clone()),
            ("id-token", shown(self.id_token)),
            ("idp-issuer-url", self.issuer.issuer.clone()),
        ];
        let sometimes = [
            ("client-secret", self.empty_secret.then(String::new)),
            ("idp-certificate-authority-data", ca_data(self.issuer)),
            ("refresh-token", self.refresh_token.map(shown)),
        ];
        always.into_iter().chain(sometimes.into_iter().filter_map(|(key, value)| Some((key, value?)))).collect()
    }
}

impl Kubelogin<'_> {
    /// The plugin's arguments, after `kubectl`.
    pub(super) fn args(&self) -> Vec<String> {
        let mut args: Vec<String> = ["oidc-login", "get-token"].map(str::to_owned).to_vec();
        args.push(format!("--oidc-issuer-url={}", self.issuer.issuer));
        args.push(format!("--oidc-client-id={}", self.issuer.client_id));
        args.extend(self.scopes.iter().map(|scope| format!("--oidc-extra-scope={scope}")));
        args.push("--oidc-pkce-method=S256".into());
        args.extend(ca_data(self.issuer).map(|ca| format!("--certificate-authority-data={ca}")));
        args
    }
}

/// An issuer's CA as client-go and kubelogin take it: base64 of PEM.
fn ca_data(issuer: &KubeconfigIssuer) -> Option<String> {
    issuer.ca_pem.as_ref().map(|pem| STANDARD.encode(pem))
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

        pub(crate) fn file(&self) -> Entry<'_> {
            let credential = Credential::Tokens(Tokens {
                issuer: &self.issuer,
                id_token: &self.id_token,
                refresh_token: self.refresh_token.as_ref(),
                empty_secret: false,
            });
            Entry { name: &self.name, endpoint: &self.endpoint, person: &self.person, credential }
        }

        pub(crate) fn yaml(&self) -> SecretString {
            to_yaml(&[self.file()])
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
        use crate::yaml::{Node, Value, read};
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
        let root = read(text).unwrap_or_else(|f| panic!("line {}: {}\n{text}", f[0].at.line, f[0].reason));
        find(&root, path).to_owned()
    }

    #[test]
    fn the_file_has_the_shape_that_kubectl_knows() {
        insta::assert_snapshot!(Parts::new().yaml().expose_secret(), @r"
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
    fn a_relayed_file_has_the_empty_secret_that_the_python_client_wants() {
        let parts = Parts::new();
        let Entry { credential: Credential::Tokens(tokens), .. } = parts.file() else { unreachable!() };
        let tokens = Tokens { empty_secret: true, ..tokens };
        assert_eq!(tokens.settings(true)["client-secret"], "");
    }

    #[test]
    fn the_plugin_is_told_all_that_it_needs_and_no_secret() {
        let parts = Parts::new();
        let scopes = ["email".to_owned(), "groups".to_owned()];
        let credential = Credential::Kubelogin(Kubelogin { issuer: &parts.issuer, scopes: &scopes });
        let entry = Entry { credential, ..parts.file() };
        insta::assert_snapshot!(to_yaml(&[entry]).expose_secret().split_once("users:").unwrap().1, @r#"
        - name: bob@example.com@staging
          user:
            exec:
              apiVersion: client.authentication.k8s.io/v1
              command: kubectl
              args:
              - oidc-login
              - get-token
              - --oidc-issuer-url=https://dex.example.com/dex
              - --oidc-client-id=kubelend
              - --oidc-extra-scope=email
              - --oidc-extra-scope=groups
              - --oidc-pkce-method=S256
              - --certificate-authority-data=LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClJFVkcKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=
              env: null
              installHint: kubelogin signs you in. Install it with "kubectl krew install oidc-login", or see https://github.com/int128/kubelogin
              interactiveMode: IfAvailable
              provideClusterInfo: false
        "#);
    }

    #[test]
    fn several_clusters_are_one_file_with_the_first_as_current() {
        let (first, mut second) = (Parts::new(), Parts::new());
        second.name = "production".parse().unwrap();
        let yaml = to_yaml(&[first.file(), second.file()]);
        let yaml = yaml.expose_secret();
        assert!(yaml.contains("current-context: staging"), "{yaml}");
        for name in [
            "- name: staging",
            "- name: production",
            "- name: bob@example.com@staging",
            "- name: bob@example.com@production",
        ] {
            assert!(yaml.contains(name), "{name}: {yaml}");
        }
    }

    #[test]
    fn without_private_cas_and_refresh_token_their_keys_are_absent() {
        let mut parts = Parts::new();
        parts.endpoint.ca_pem = None;
        parts.endpoint.tls_server_name = Some("kubernetes.default".into());
        parts.issuer.ca_pem = None;
        parts.refresh_token = None;
        insta::assert_snapshot!(parts.yaml().expose_secret(), @r"
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
        let shown = to_yaml_without_tokens(&[parts.file()]);
        for text in [shown.clone(), format!("{:?}", parts.file())] {
            assert!(!text.contains(parts.id_token.expose_secret()) && !text.contains("ChlkZXg"), "{text}");
        }
        let whole = parts.yaml();
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
            let yaml = parts.yaml();
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
            let yaml = parts.yaml();
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
            let yaml = parts.yaml();
            let back = scalar(yaml.expose_secret(), &["users", "user", "auth-provider", "config", "client-id"]);
            prop_assert_eq!(back, text);
        }
    }
}
