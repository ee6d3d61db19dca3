//! Reading an uploaded kubeconfig, strictly: inline data or nothing. What could run a command, read a file or point somewhere
//! surprising is refused by name, before anything is done with the rest.
//!
//! Every entry is looked at, also those that the current context does not use: nobody should paste more keys than they mean
//! to give.

use secrecy::SecretString;

use super::{
    fields::{self, Taken},
    values,
};
use crate::{
    model::cluster::{ClusterCredential, Endpoint},
    yaml::{self, Node, Value},
};

/// The largest upload that is looked at.
pub const MAX_BYTES: usize = 128 * 1024;
/// How much is said against one upload at most.
const MAX_ERRORS: usize = 50;
/// What leaves entries out that the current context does not use.
const UNUSED: &str =
    " The current context does not use this entry: `kubectl config view --minify --flatten --raw` leaves it out.";

/// What a kubeconfig's current context says.
#[derive(Debug)]
pub struct Parsed {
    /// Where the API server is.
    pub endpoint: Endpoint,
    /// What to show there.
    pub credential: ClusterCredential,
    /// The context's name, to suggest a cluster name from.
    pub context: String,
    /// Words of warning: a token without an end, a personal certificate, …
    pub warnings: Vec<String>,
}

/// Why a kubeconfig was refused: the place in it and the reason, in words for the person who pasted it. Never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ParseError {
    /// `users[0].user.exec`, `line 7`, …
    pub place: String,
    /// Why, and what to do instead.
    pub reason: String,
}

/// Reads one.
///
/// # Errors
/// All that stands against it, in the file's order.
pub fn parse(text: &str) -> Result<Parsed, Vec<ParseError>> {
    if text.len() > MAX_BYTES {
        let reason = format!("it is larger than {} KiB, and no kubeconfig of one cluster is", MAX_BYTES / 1024);
        return Err(vec![ParseError { place: "the file".into(), reason }]);
    }
    let root = yaml::read(text).map_err(|faults| {
        let error = |f: yaml::Fault| ParseError { place: format!("line {}", f.at.line), reason: f.reason.into() };
        faults.into_iter().take(MAX_ERRORS).map(error).collect::<Vec<_>>()
    })?;
    let mut findings = Findings::default();
    let parsed = file(&root, &mut findings);
    match (parsed, findings.list.is_empty()) {
        (Some(parsed), true) => Ok(parsed),
        _ => Err(findings.in_order()),
    }
}

/// What stands against a file, with the lines by which it is sorted.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<(usize, ParseError)>,
}

impl Findings {
    pub(super) fn add(&mut self, line: usize, place: impl Into<String>, reason: impl Into<String>) {
        if self.list.len() < MAX_ERRORS {
            self.list.push((line, ParseError { place: place.into(), reason: reason.into() }));
        }
    }

    fn keep<T>(&mut self, line: usize, place: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|reason| self.add(line, place, reason)).ok()
    }

    fn in_order(mut self) -> Vec<ParseError> {
        self.list.sort_by_key(|(line, _)| *line);
        let mut errors: Vec<_> = self.list.into_iter().map(|(_, error)| error).collect();
        if errors.is_empty() {
            errors.push(ParseError { place: "the file".into(), reason: "it is no kubeconfig".into() });
        }
        errors
    }
}

/// A named entry of `clusters`, `users` or `contexts`.
struct Entry<'a> {
    place: String,
    name: &'a str,
    line: usize,
    taken: Taken<'a>,
}

fn file(root: &Node, findings: &mut Findings) -> Option<Parsed> {
    let top = fields::take(root, "", fields::TOP, findings)?;
    for (field, wanted) in [("kind", "Config"), ("apiVersion", "v1")] {
        if let Some((value, line)) = top.text(field, findings)
            && value != wanted
        {
            findings.add(line, field, format!("a kubeconfig says {wanted} here"));
        }
    }
    let contexts = entries(&top, "contexts", "context", fields::CONTEXT, findings);
    let chosen = choose(&top, &contexts, findings);
    let (mut cluster_of, mut user_of) = (None, None);
    if let Some(context) = chosen {
        cluster_of = required(&context.taken, "cluster", &context.place, context.line, findings);
        user_of = required(&context.taken, "user", &context.place, context.line, findings);
    }
    let cluster = used(&top, "clusters", "cluster", fields::CLUSTER, cluster_of, findings);
    let user = used(&top, "users", "user", fields::USER, user_of, findings);
    let mut warnings = Vec::new();
    let endpoint = cluster.and_then(|c| endpoint(&c, findings, &mut warnings));
    let credential = user.and_then(|u| credential(&u, findings, &mut warnings));
    Some(Parsed { endpoint: endpoint?, credential: credential?, context: chosen?.name.to_owned(), warnings })
}

/// The context that decides: the current one, or the only one.
fn choose<'e, 'a>(top: &Taken<'a>, contexts: &'e [Entry<'a>], findings: &mut Findings) -> Option<&'e Entry<'a>> {
    let current = top.text("current-context", findings).filter(|(name, _)| !name.is_empty());
    match (current, contexts) {
        (Some((name, line)), all) => {
            let found = all.iter().find(|c| c.name == name);
            if found.is_none() {
                findings.add(line, "current-context", "no context of that name is in the file");
            }
            found
        }
        (None, [only]) => Some(only),
        (None, []) => {
            findings.add(top.line, "contexts", "there is no context in it, so no cluster and no user");
            None
        }
        (None, _) => {
            let reason = "several contexts, and none is the current one: `kubectl config view --minify --flatten --raw --context NAME` prints one alone";
            findings.add(top.line, "current-context", reason);
            None
        }
    }
}

/// The entry of that name, after a look at all of them.
fn used<'a>(
    top: &Taken<'a>,
    list: &'static str,
    inner: &'static str,
    table: &'static fields::Table,
    name: Option<(&str, usize)>,
    findings: &mut Findings,
) -> Option<Entry<'a>> {
    let before = findings.list.len();
    let entries = entries(top, list, inner, table, findings);
    let (name, line) = name?;
    let Some(found) = entries.into_iter().find(|e| e.name == name) else {
        findings.add(line, list, format!("the context's {inner} is not in the file"));
        return None;
    };
    let prefix = format!("{}.", found.place);
    let about = format!("{list}[");
    for (_, error) in &mut findings.list[before..] {
        if error.place.starts_with(&about) && !error.place.starts_with(&prefix) {
            error.reason.push_str(UNUSED);
        }
    }
    Some(found)
}

fn entries<'a>(
    top: &Taken<'a>,
    list: &'static str,
    inner: &'static str,
    table: &'static fields::Table,
    findings: &mut Findings,
) -> Vec<Entry<'a>> {
    let Some(node) = top.node(list) else { return Vec::new() };
    let Value::List(items) = &node.value else {
        findings.add(node.at.line, list, "a list belongs here");
        return Vec::new();
    };
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let place = format!("{list}[{n}]");
        let Some(outer) = fields::take(item, &place, fields::entry(inner), findings) else { continue };
        let name = outer.text("name", findings);
        let taken = match outer.node(inner) {
            Some(node) => fields::take(node, &format!("{place}.{inner}"), table, findings),
            // As client-go reads it: an entry that says nothing. What is missing in it is said where it is used.
            None => Some(Taken::nothing(item.at.line)),
        };
        match (name, taken) {
            (Some((name, line)), _) if entries.iter().any(|e| e.name == name) => {
                findings.add(line, format!("{place}.name"), "another entry before it has the same name");
            }
            (Some((name, _)), Some(taken)) => entries.push(Entry { place, name, line: item.at.line, taken }),
            (Some(_), None) => {}
            (None, _) => findings.add(item.at.line, place, "it has no name"),
        }
    }
    entries
}

fn required<'a>(
    taken: &Taken<'a>,
    field: &'static str,
    place: &str,
    line: usize,
    findings: &mut Findings,
) -> Option<(&'a str, usize)> {
    let found = taken.text(field, findings);
    if found.is_none() {
        findings.add(line, place, format!("it names no {field}"));
    }
    found
}

fn endpoint(cluster: &Entry<'_>, findings: &mut Findings, warnings: &mut Vec<String>) -> Option<Endpoint> {
    let at = |field: &str| format!("{}.cluster.{field}", cluster.place);
    let server = required(&cluster.taken, "server", &cluster.place, cluster.line, findings)
        .and_then(|(text, line)| findings.keep(line, &at("server"), values::server(text)));
    let ca = cluster
        .taken
        .text("certificate-authority-data", findings)
        .map(|(text, line)| findings.keep(line, &at("certificate-authority-data"), values::authority(text)));
    let name = cluster
        .taken
        .text("tls-server-name", findings)
        .map(|(text, line)| findings.keep(line, &at("tls-server-name"), values::server_name(text)));
    if ca.is_none() {
        warnings.push(
            "The file names no CA, so the API server's certificate must be signed by a public authority.".to_owned(),
        );
    }
    // The inner None is a value that was refused.
    Some(Endpoint {
        server: server?,
        ca_pem: ca.map_or(Some(None), |c| c.map(Some))?,
        tls_server_name: name.map_or(Some(None), |n| n.map(Some))?,
    })
}

fn credential(user: &Entry<'_>, findings: &mut Findings, warnings: &mut Vec<String>) -> Option<ClusterCredential> {
    let at = |field: &str| format!("{}.user.{field}", user.place);
    let token = user.taken.text("token", findings);
    let certificate = user.taken.text("client-certificate-data", findings);
    let key = user.taken.text("client-key-data", findings);
    match (token, certificate, key) {
        (Some((token, line)), None, None) => {
            let token = findings.keep(line, &at("token"), values::token(token))?;
            warnings.extend(values::about_token(token));
            Some(ClusterCredential::Token(SecretString::from(token.to_owned())))
        }
        (None, Some((certificate, line)), Some((key, key_line))) => {
            let certificate = findings.keep(line, &at("client-certificate-data"), values::certificates(certificate));
            let key = findings.keep(key_line, &at("client-key-data"), values::key(key));
            let (certificate, key) = (certificate?, key?);
            findings.keep(key_line, &at("client-key-data"), values::belongs(&certificate, &key))?;
            warnings.extend(values::about_certificate(&certificate));
            let certificate = values::to_pem(&certificate);
            Some(ClusterCredential::ClientCertificate { certificate, key: values::key_to_pem(&key) })
        }
        (Some((_, line)), _, _) => {
            findings.add(line, at("token"), "a token and a client certificate at once: keep one of them");
            None
        }
        (None, Some((_, line)), None) => {
            findings.add(line, at("client-certificate-data"), "its private key (client-key-data) is missing");
            None
        }
        (None, None, Some((_, line))) => {
            findings.add(line, at("client-key-data"), "its certificate (client-certificate-data) is missing");
            None
        }
        (None, None, None) => {
            // Said already, where something stands there that is refused.
            if !findings.list.iter().any(|(_, e)| e.place.starts_with(&format!("{}.user.", user.place))) {
                findings.add(
                    user.line,
                    &user.place,
                    "it has no inline credential: a token, or a client certificate with its key",
                );
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
    use secrecy::ExposeSecret;

    use super::*;

    fn ca() -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        STANDARD.encode(params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem())
    }

    fn client(organisation: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.not_after = rcgen::date_time_ymd(2027, 1, 2);
        (STANDARD.encode(params.self_signed(&key).unwrap().pem()), STANDARD.encode(key.serialize_pem()))
    }

    fn file(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n{}\ncontexts:\n- name: staging\n  context: {{cluster: c, user: u}}\ncurrent-context: staging\nusers:\n- name: u\n  user:\n{}\n",
            indent(cluster),
            indent(user)
        )
    }

    fn indent(text: &str) -> String {
        text.lines().map(|l| format!("    {l}")).collect::<Vec<_>>().join("\n")
    }

    fn good_cluster() -> String {
        format!("server: https://k8s.example.com:6443\ncertificate-authority-data: {}", ca())
    }

    fn errors(text: &str) -> Vec<String> {
        parse(text).expect_err("it was accepted").iter().map(ToString::to_string).collect()
    }

    fn places(text: &str) -> Vec<String> {
        parse(text).expect_err("it was accepted").into_iter().map(|e| e.place).collect()
    }

    #[test]
    fn a_token_kubeconfig_is_read() {
        let parsed = parse(&file(&good_cluster(), "token: abc.def")).unwrap();
        assert_eq!(parsed.endpoint.server.as_str(), "https://k8s.example.com:6443/");
        assert!(parsed.endpoint.ca_pem.unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert_eq!(parsed.context, "staging");
        let ClusterCredential::Token(token) = parsed.credential else { panic!() };
        assert_eq!(token.expose_secret(), "abc.def");
    }

    #[test]
    fn json_is_read_and_the_only_context_needs_no_mention() {
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "",
            "clusters": [{"name": "c", "cluster": {
                "server": "https://[2001:db8::1]:6443/k8s/c-1", "tls-server-name": "kubernetes.default",
                "insecure-skip-tls-verify": false, "proxy-url": "",
                "extensions": [{"name": "x", "extension": {"any": ["thing", 1]}}],
            }}],
            "contexts": [{"name": "only", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
            "users": [{"name": "u", "user": {"token": "t".repeat(9000), "exec": null}}],
        });
        for text in [text.to_string(), serde_json::to_string_pretty(&text).unwrap()] {
            let parsed = parse(&text).unwrap();
            assert_eq!(parsed.context, "only");
            assert_eq!(parsed.endpoint.tls_server_name.as_deref(), Some("kubernetes.default"));
            assert_eq!(parsed.endpoint.ca_pem, None);
            assert!(parsed.warnings.iter().any(|w| w.contains("public authority")), "{:?}", parsed.warnings);
        }
    }

    #[test]
    fn a_client_certificate_is_read_with_a_warning_and_must_fit_its_key() {
        let (certificate, key) = client("system:masters");
        let user = format!("client-certificate-data: {certificate}\nclient-key-data: {key}");
        let parsed = parse(&file(&good_cluster(), &user)).unwrap();
        let [warning] = parsed.warnings.as_slice() else { panic!("{:?}", parsed.warnings) };
        assert!(warning.contains("ends at 2027-01-02T00:00:00Z"), "{warning}");
        assert!(warning.contains("nobody can revoke it") && warning.contains("system:masters"), "{warning}");
        assert!(!format!("{:?}", parsed.credential).contains("PRIVATE"));

        let (_, other) = client("x");
        let user = format!("client-certificate-data: {certificate}\nclient-key-data: {other}");
        assert_eq!(
            errors(&file(&good_cluster(), &user)),
            ["users[0].user.client-key-data: this key does not belong to the certificate"]
        );
    }

    #[test]
    fn the_end_of_a_token_is_told() {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let warnings = |token: &str| parse(&file(&good_cluster(), &format!("token: {token}"))).unwrap().warnings;
        let ending = warnings(&jwt(r#"{"exp":1795392000,"sub":"system:serviceaccount:a:b"}"#));
        assert!(ending[0].contains("ends at 2026-11-23T00:00:00Z"), "{ending:?}");
        assert!(warnings(&jwt(r#"{"sub":"system:serviceaccount:a:b"}"#))[0].contains("nothing of an end"));
        assert!(warnings("opaque")[0].contains("nothing of an end"));
        assert_eq!(warnings(&jwt(r#"{"sub":"system:serviceaccount:kubelend:kubelend"}"#)), Vec::<String>::new());
    }

    #[test]
    fn immune_10_what_runs_reads_or_points_elsewhere_is_refused_by_name() {
        let cases = [
            ("exec: {command: sh, apiVersion: v1}", "users[0].user.exec", "runs a program"),
            ("auth-provider: {name: oidc}", "users[0].user.auth-provider", "plugin"),
            ("tokenFile: /var/run/token", "users[0].user.tokenFile", "names a file"),
            ("client-certificate: /a.pem", "users[0].user.client-certificate", "--flatten"),
            ("client-key: /a.key", "users[0].user.client-key", "--flatten"),
            ("username: admin", "users[0].user.username", "no passwords"),
            ("password: hunter2", "users[0].user.password", "no passwords"),
            ("as: root", "users[0].user.as", "somebody else's name"),
            ("as-uid: '1'", "users[0].user.as-uid", "somebody else's name"),
            ("as-groups: [system:masters]", "users[0].user.as-groups", "somebody else's name"),
            ("as-user-extra: {a: [b]}", "users[0].user.as-user-extra", "somebody else's name"),
        ];
        for (field, place, word) in cases {
            let all = parse(&file(&good_cluster(), &format!("token: t\n{field}"))).unwrap_err();
            assert_eq!(all.len(), 1, "{all:?}");
            assert_eq!(all[0].place, place);
            assert!(all[0].reason.contains(word), "{}", all[0].reason);
        }
        let cases = [
            ("certificate-authority: /ca.pem", "clusters[0].cluster.certificate-authority", "--flatten"),
            ("proxy-url: http://10.0.0.1:3128", "clusters[0].cluster.proxy-url", "proxy"),
            ("insecure-skip-tls-verify: true", "clusters[0].cluster.insecure-skip-tls-verify", "unchecked"),
            ("insecure-skip-tls-verify: 'no'", "clusters[0].cluster.insecure-skip-tls-verify", "unchecked"),
        ];
        for (field, place, word) in cases {
            let all = parse(&file(&format!("{}\n{field}", good_cluster()), "token: t")).unwrap_err();
            assert_eq!(all.len(), 1, "{all:?}");
            assert_eq!(all[0].place, place);
            assert!(all[0].reason.contains(word), "{}", all[0].reason);
        }
    }

    #[test]
    fn immune_10_a_server_is_https_and_nothing_more() {
        for bad in [
            "http://k8s.example.com",
            "ftp://k8s.example.com",
            "file:///etc/passwd",
            "unix:///run/x.sock",
            "k8s.example.com:6443",
            "https://",
            "https://user@k8s.example.com",
            "https://user:pass@k8s.example.com",
            "https://k8s.example.com/?a=b",
            "https://k8s.example.com/#a",
            "https://k8s.example.com\\@evil.com",
            "'https://k8s.example.com/ x'",
            "\"https://k8s.example.com/\\n\"",
            "https://ключ.example.com",
        ] {
            let all = places(&file(&format!("server: {bad}"), "token: t"));
            assert_eq!(all, ["clusters[0].cluster.server"], "{bad}");
        }
    }

    #[test]
    fn immune_23_anchors_aliases_tags_merge_keys_and_further_documents_are_refused() {
        let good = file(&good_cluster(), "token: t");
        for (bad, word) in [
            (good.replace("name: c\n", "name: &x c\n"), "anchors"),
            (good.replace("token: t", "token: *x"), "aliases"),
            (good.replace("token: t", "token: !!str t"), "tags"),
            (good.replace("  user:\n", "  user: !x\n"), "tags"),
            (good.replace("token: t", "<<: {token: t}"), "merge keys"),
            (format!("{good}---\n{good}"), "second document"),
            (format!("%YAML 1.1\n---\n{good}"), "not YAML"),
            (good.replace("token: t", "token: t\n    token: u"), "twice"),
            (good.replace("token: t", "? [a]\n    : b"), "plain text"),
            (format!("{good}\n\t- x: ]"), "not YAML"),
            ("[".repeat(10_000), "not YAML"),
            ("a: ".repeat(10_000), "not YAML"),
            (format!("a:\n{}", "- ".repeat(5_000)), "not YAML"),
            (String::new(), "nothing in it"),
            ("# only a comment".into(), "nothing in it"),
        ] {
            let all = errors(&bad);
            assert!(all.iter().any(|e| e.contains(word)), "{word}: {all:?}");
            assert!(all[0].starts_with("line "), "{all:?}");
        }
        let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n";
        assert!(errors(bomb).iter().any(|e| e.contains("anchors")));
    }

    #[test]
    fn immune_23_a_giant_upload_is_not_even_parsed() {
        let all = errors(&"a".repeat(MAX_BYTES + 1));
        assert_eq!(all, ["the file: it is larger than 128 KiB, and no kubeconfig of one cluster is"]);
        let many = vec!["- x"; 3000].join("\n");
        assert_eq!(errors(&format!("users:\n{many}")).len(), MAX_ERRORS);
        let many: Vec<_> = (0..3000).map(|n| format!("x{n}: 1")).collect();
        assert_eq!(errors(&many.join("\n")).len(), MAX_ERRORS);
    }

    #[test]
    fn unknown_fields_are_refused_by_name_in_the_order_of_the_file() {
        let text = file(&format!("{}\nfoo: 1", good_cluster()), "token: t\nimpersonate-user: root")
            .replace("kind: Config", "kind: Config\nmagic: true")
            .replace("user: u}", "user: u, bar: 1}")
            .replace("- name: u\n", "- name: u\n  baz: 1\n");
        assert_eq!(
            places(&text),
            [
                "magic",
                "clusters[0].cluster.foo",
                "contexts[0].context.bar",
                "users[0].baz",
                "users[0].user.impersonate-user"
            ]
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "kind: Secret\nclusters:\n- name: c\n  cluster: {server: http://x, certificate-authority-data: '%%'}\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\nusers:\n- name: u\n  user: {exec: {}, token: 'a b'}\n";
        assert_eq!(
            places(text),
            [
                "kind",
                "clusters[0].cluster.server",
                "clusters[0].cluster.certificate-authority-data",
                "users[0].user.exec",
                "users[0].user.token"
            ]
        );
    }

    #[test]
    fn the_current_context_decides_and_what_it_does_not_use_is_looked_at_too() {
        let two = |current: &str| {
            format!(
                "clusters:\n- name: a\n  cluster: {{server: https://a}}\n- name: b\n  cluster: {{server: https://b}}\ncontexts:\n- name: one\n  context: {{cluster: a, user: u}}\n- name: two\n  context: {{cluster: b, user: v}}\n{current}\nusers:\n- name: u\n  user: {{token: t}}\n- name: v\n  user: {{token: v}}\n"
            )
        };
        assert_eq!(parse(&two("current-context: two")).unwrap().endpoint.server.as_str(), "https://b/");
        assert_eq!(places(&two("current-context: three")), ["current-context"]);
        let none = errors(&two(""));
        assert!(none[0].contains("--context NAME"), "{none:?}");
        let unused = errors(&two("current-context: two").replace("{token: t}", "{exec: {command: x}}"));
        assert!(unused[0].starts_with("users[0].user.exec") && unused[0].ends_with(UNUSED), "{unused:?}");
        let used = errors(&two("current-context: one").replace("{token: t}", "{exec: {command: x}}"));
        assert!(used[0].starts_with("users[0].user.exec") && !used[0].contains("does not use"), "{used:?}");
        let double = errors(&two("current-context: two").replace("name: v", "name: u"));
        assert!(double.iter().any(|e| e.contains("same name")), "{double:?}");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, word) in [
            ("clusters: []", "no context"),
            ("contexts:\n- name: a\n  context: {cluster: c}\n", "no user"),
            ("contexts:\n- name: a\n  context: {cluster: c, user: u}\n", "is not in the file"),
            ("contexts:\n- name: a\n", "no cluster"),
            ("contexts: 5", "a list belongs here"),
            ("just text", "no kubeconfig"),
            ("- a", "no kubeconfig"),
        ] {
            let all = errors(text);
            assert!(all.iter().any(|e| e.contains(word)), "{word}: {all:?}");
        }
        assert!(errors(&file(&good_cluster(), ""))[0].contains("no inline credential"));
        assert!(errors(&file(&good_cluster(), "{}"))[0].contains("no inline credential"));
        let (certificate, key) = client("x");
        for (user, word) in [
            (format!("client-certificate-data: {certificate}"), "is missing"),
            (format!("client-key-data: {key}"), "is missing"),
            (format!("token: t\nclient-certificate-data: {certificate}\nclient-key-data: {key}"), "keep one"),
            (format!("client-certificate-data: {key}\nclient-key-data: {key}"), "something else than certificates"),
            (format!("client-certificate-data: {certificate}\nclient-key-data: {certificate}"), "no private key"),
            ("token: [a]".into(), "plain text"),
            ("token: {a: b}".into(), "plain text"),
        ] {
            let all = errors(&file(&good_cluster(), &user));
            assert!(all.iter().any(|e| e.contains(word)), "{word}: {all:?}");
        }
    }

    #[test]
    fn a_ca_holds_certificates_and_nothing_else() {
        let (certificate, key) = client("x");
        let damaged = STANDARD.encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for bad in [key.as_str(), "AAAA", &damaged, "!!"] {
            let all = places(&file(&format!("server: https://x\ncertificate-authority-data: '{bad}'"), "token: t"));
            assert_eq!(all, ["clusters[0].cluster.certificate-authority-data"], "{bad}");
        }
        let both = STANDARD.encode(
            [STANDARD.decode(&certificate).unwrap(), b"# a note\n".to_vec(), STANDARD.decode(ca()).unwrap()].concat(),
        );
        let text = file(&format!("server: https://x\ncertificate-authority-data: {both}"), "token: t");
        let pem = parse(&text).unwrap().endpoint.ca_pem.unwrap();
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!pem.contains("note"));
    }

    #[test]
    fn immune_21_no_reason_and_no_place_quotes_what_was_pasted() {
        let secret = "s3cr3tT0ken";
        for text in [
            file(&good_cluster(), &format!("token: '{secret} x'")),
            file(&good_cluster(), &format!("password: {secret}")),
            file(&good_cluster(), &format!("{secret}: x")),
            file(&good_cluster(), &format!("token: t\n{secret}")),
            file(&good_cluster(), &format!("token: [{secret}]")),
            file(&good_cluster(), &format!("token: *{secret}")),
            file(&good_cluster(), &format!("token: &{secret}")),
            file(&good_cluster(), &format!("token: !{secret} x")),
            file(&good_cluster(), &format!("client-key-data: {secret}")),
            file(&format!("server: https://me:{secret}@x"), "token: t"),
            secret.to_owned(),
            format!("current-context: {secret}"),
            format!("apiVersion: {secret}"),
            format!("a: {secret}: {secret}"),
        ] {
            for error in parse(&text).unwrap_err() {
                assert!(!format!("{error} {error:?}").contains(secret), "{error:?}\n{text}");
            }
        }
        let parsed = parse(&file(&good_cluster(), &format!("token: {secret}"))).unwrap();
        assert!(!format!("{parsed:?}").contains(secret));
    }

    /// Pieces that files are made of, good and bad, so that random files get far.
    fn pieces() -> impl Strategy<Value = String> {
        let words = [
            "clusters:",
            "users:",
            "contexts:",
            "- name: a",
            "  cluster:",
            "  user:",
            "  context: {cluster: a, user: a}",
            "    server: https://a",
            "    token: t",
            "    exec: {}",
            "current-context: a",
            "{",
            "}",
            "[",
            "]",
            "&a",
            "*a",
            "!!str",
            "<<: *a",
            "---",
            "...",
            "\"",
            "'",
            "|",
            ">",
            "\t",
            "#",
            "? x",
            ": y",
            "\u{feff}",
            "\0",
            "\u{85}",
            "%YAML 1.2",
        ];
        proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
                proptest::string::string_regex(".{0,12}").unwrap(),
            ],
            0..24,
        )
        .prop_map(|all| all.join("\n"))
    }

    proptest! {
        #[test]
        fn immune_10_no_text_makes_it_panic_and_what_is_accepted_is_https_without_extras(text in pieces()) {
            match parse(&text) {
                Ok(parsed) => {
                    prop_assert_eq!(parsed.endpoint.server.scheme(), "https");
                    prop_assert!(parsed.endpoint.server.username().is_empty());
                    prop_assert!(parsed.endpoint.server.query().is_none());
                }
                Err(errors) => prop_assert!(!errors.is_empty() && errors.len() <= MAX_ERRORS),
            }
        }
    }
}
