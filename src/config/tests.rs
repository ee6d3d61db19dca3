use std::fs;

use secrecy::ExposeSecret;

use super::*;
use crate::model::claim_mapping::UsernameClaim;

const SMALL: &str = r#"
public_url = "https://kubelend.example.com"
[[providers]]
id = "dex"
issuer = "https://dex.example.com"
client_id = "kubelend"
[[platform_admins]]
provider = "dex"
email = "alice@example.com"
"#;

/// A folder that goes away with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }
}

fn parse_in(folder: &Path, text: &str, environment: &[(&str, &str)]) -> Result<Settings, Vec<Mistake>> {
    Settings::parse(text, folder, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn parse(text: &str) -> Result<Settings, Vec<Mistake>> {
    parse_in(Path::new("/etc/kubelend"), text, &[])
}

fn mistakes(text: &str) -> Vec<Mistake> {
    parse(text).expect_err("this configuration has a mistake")
}

/// The one mistake of a configuration with these lines put in after `public_url`.
fn the_mistake(lines: &str) -> Mistake {
    let (first, rest) = SMALL.split_once("[[providers]]").unwrap();
    let all = mistakes(&format!("{first}{lines}\n[[providers]]{rest}"));
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}

/// Looks like one; nothing connects with it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

#[test]
fn the_least_configuration_has_safe_defaults() {
    let settings = parse(SMALL).unwrap();
    assert_eq!(
        settings.listen,
        Listen {
            address: "127.0.0.1:8080".parse().unwrap(),
            tls: None,
            metrics_address: None,
            trusted_proxies: vec![]
        }
    );
    assert_eq!(settings.data_dir, Path::new("/var/lib/kubelend"));
    assert_eq!(settings.keyring_file, Path::new("/var/lib/kubelend/keyring"));
    assert_eq!(settings.database_url.expose_secret(), "sqlite:///var/lib/kubelend/kubelend.db");
    assert!(!settings.allow_loopback);
    assert_eq!(settings.session, Session { idle: Duration::from_hours(8), absolute: Duration::from_hours(24) });
    assert_eq!(settings.log, Log { format: LogFormat::Text, level: "info".into() });
    let [provider] = &settings.providers[..] else { panic!("{:?}", settings.providers) };
    assert_eq!(provider.name, "dex");
    assert_eq!(provider.scopes, ["openid", "email", "profile", "groups", "offline_access"]);
    assert_eq!(provider.claim_mapping, ClaimMapping::default());
    assert!(provider.client_secret.is_none() && provider.ca_pem.is_none());
    assert!(settings.cluster_adders.is_empty());
}

/// Every commented setting of the example is the default that it is said to be, but for those that are called examples.
#[test]
fn the_example_parses_and_shows_the_defaults() {
    let example = include_str!("../../docs/kubelend.example.toml");
    let is_default = |line: &&str| line.contains(" = ") && !line.starts_with(' ') && !line.contains("# example");
    let uncommented = |line| str::strip_prefix(line, '#').filter(is_default).unwrap_or(line);
    let with_defaults: Vec<&str> = example.lines().map(uncommented).collect();
    assert!(with_defaults.contains(&"idle = \"8h\""), "{with_defaults:#?}");
    let text = |settings: Settings| format!("{settings:#?}");
    assert_eq!(text(parse(&with_defaults.join("\n")).unwrap()), text(parse(example).unwrap()));
}

#[test]
fn the_example_names_every_setting() {
    let example = include_str!("../../docs/kubelend.example.toml");
    for name in [
        "public_url",
        "data_dir",
        "keyring_file",
        "address",
        "tls_certificate",
        "tls_key",
        "metrics_address",
        "trusted_proxies",
        "links_per_address",
        "uses_per_link",
        "url",
        "url_file",
        "allow_loopback",
        "id",
        "name",
        "issuer",
        "client_id",
        "client_secret",
        "client_secret_file",
        "ca_file",
        "scopes",
        "username_claim",
        "username_prefix",
        "groups_claim",
        "groups_prefix",
        "provider",
        "email",
        "group",
        "idle",
        "absolute",
        "format",
        "level",
    ] {
        let stands = |line: &str| line.trim_start_matches('#').starts_with(&format!("{name} = "));
        assert!(example.lines().any(stands), "{name}");
    }
}

#[test]
fn limits_and_proxies_are_read_from_file_and_environment_and_wrong_ones_named() {
    let small = |more: &str| parse(&format!("{SMALL}\n{more}"));
    let settings = small("[limits]\nlinks_per_address = 5\nuses_per_link = \"7\"").unwrap();
    assert_eq!((settings.limits.links_per_address.get(), settings.limits.uses_per_link.get()), (5, 7));
    let settings = small("[listen]\ntrusted_proxies = [\"10.0.0.0/8\", \"fd00::1\"]").unwrap();
    let named: Vec<String> = settings.listen.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["10.0.0.0/8", "fd00::1/128"]);
    for wrong in ["[limits]\nlinks_per_address = 0", "[limits]\nuses_per_link = -1", "[limits]\nuses_per_link = 1.5"] {
        assert!(small(wrong).is_err(), "{wrong}");
    }
    let text = format!("{SMALL}\n[listen]\ntrusted_proxies = [\"proxy.example.com\", \"10.0.0.0/40\"]");
    assert_eq!(mistakes(&text).len(), 2);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_fix() {
    let text = r#"
public_url = "http://kubelend.example.com"
[listen]
adress = "0.0.0.0:80"
metrics_address = "nine"
[[providers]]
id = "Dex"
issuer = "http://dex.example.com"
[[platform_admins]]
email = "alice"
[session]
idle = "48h"
[log]
level = "loud"
"#;
    let error = ConfigError::new(Path::new("kubelend.toml"), mistakes(text));
    insta::assert_snapshot!(error, @r#"
    kubelend.toml: 10 mistakes in the configuration

      public_url: “http://kubelend.example.com” is not https, and browsers keep the session's cookie for https alone
        → write the address that people type, for example "https://kubelend.example.com"

      listen.metrics_address: “nine” cannot be used
        → write an IP address and a port, for example "127.0.0.1:8080" or "[::]:8443"

      listen.adress: is no setting of Kubelend
        → did you mean listen.address?

      providers[0].id: a provider's id has 1–40 lower-case letters, digits and “-”
        → choose one; it becomes part of the redirect URI

      providers[0].issuer: “http://dex.example.com” is not https, which OpenID Connect wants
        → copy the “issuer” of the provider's /.well-known/openid-configuration to the letter

      providers[0].client_id: is missing
        → add: client_id = "kubelend"

      platform_admins[0].provider: is missing
        → add: provider = "dex"

      platform_admins[0].email: “alice” cannot be used
        → write one address, as the provider gives it

      session.idle: is longer than session.absolute
        → make it at most as long

      log.level: “loud” cannot be used
        → write "error", "warn", "info", "debug" or "trace"
    "#);
}

#[test]
fn an_unknown_setting_is_told_with_the_one_that_was_meant() {
    let mistake = the_mistake("[network]\nallow_loopbak = true");
    assert_eq!(mistake.key, "network.allow_loopbak");
    assert_eq!(mistake.fix, "did you mean network.allow_loopback?");
    assert!(the_mistake("colour = \"red\"").fix.contains("known here: public_url"));
}

#[test]
fn a_public_url_is_https_and_a_host_alone() {
    for bad in [
        "http://k.example.com",
        "https://k.example.com/path",
        "https://u:p@k.example.com",
        "k.example.com",
        "https://k.example.com?a",
        "http://127.0.0.1:8080",
        "",
    ] {
        let all = mistakes(&SMALL.replace("https://kubelend.example.com", bad));
        assert_eq!(all.len(), 1, "{bad}: {all:#?}");
        assert_eq!(all[0].key, "public_url");
    }
}

#[test]
fn without_a_provider_or_a_platform_admin_it_says_what_nobody_could_do() {
    let all = mistakes("public_url = \"https://k.example.com\"");
    let keys: Vec<_> = all.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(keys, ["providers", "platform_admins"]);
    assert!(all[1].problem.contains("nobody could add"), "{}", all[1]);
}

#[test]
fn immune_32_no_configured_provider_is_called_like_one_of_a_workspaces_own() {
    let own = "w-0190b5e1c0de7000800000000000cafe-abcde";
    let all = mistakes(&SMALL.replace("\"dex\"", &format!("\"{own}\"")));
    assert!(all.iter().any(|m| m.problem.contains("workspace's own")), "{all:#?}");
    assert!(parse(&SMALL.replace("\"dex\"", "\"w-dex\"")).is_ok(), "what only begins so is another name");
}

#[test]
fn a_rule_names_people_in_exactly_one_way_at_a_known_provider() {
    let with = |rule: &str| parse(&SMALL.replace("email = \"alice@example.com\"", rule));
    assert_eq!(with("group = \"ops\"").unwrap().platform_admins[0].who, Who::Group("ops".into()));
    assert_eq!(with("subject = \"x\"").unwrap().platform_admins[0].who, Who::Subject("x".into()));
    assert!(with("group = \"ops\"\nsubject = \"x\"").unwrap_err()[0].problem.contains("several ways"));
    assert!(with("").unwrap_err()[0].problem.contains("nobody"));
    assert!(with("email = \"a@evil.com@good.com\"").is_err());
    let wrong = mistakes(&SMALL.replace("provider = \"dex\"", "provider = \"dexx\""));
    assert_eq!(wrong[0].fix, "did you mean \"dex\"?");
}

#[test]
fn environment_variables_go_over_the_file() {
    let settings = parse_in(
        Path::new("/etc/kubelend"),
        SMALL,
        &[
            ("KUBELEND_PUBLIC_URL", "https://other.example.com"),
            ("KUBELEND_LISTEN__ADDRESS", "[::]:8443"),
            ("KUBELEND_NETWORK__ALLOW_LOOPBACK", "true"),
            ("KUBELEND_PROVIDERS__DEX__CLIENT_SECRET", "hush"),
            ("KUBELEND_PROVIDERS__0__SCOPES", "openid, email"),
            ("KUBELEND_PROVIDERS__0__CLAIM_MAPPING__USERNAME_CLAIM", "sub"),
            ("KUBELEND_PROVIDERS__1__ID", "second"),
            ("KUBELEND_PROVIDERS__1__ISSUER", "https://second.example.com"),
            ("KUBELEND_PROVIDERS__1__CLIENT_ID", "kubelend"),
            ("KUBELEND_CLUSTER_ADDERS__0__PROVIDER", "second"),
            ("KUBELEND_CLUSTER_ADDERS__0__GROUP", "ops"),
            ("KUBELEND_WORKSPACE_MAKERS__0__PROVIDER", "dex"),
            ("KUBELEND_WORKSPACE_MAKERS__0__SUBJECT", "s"),
            ("KUBELEND_WORKSPACES_PER_PERSON", "3"),
            ("KUBELEND_CONFIG", "elsewhere.toml"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(settings.public_url.as_str(), "https://other.example.com/");
    assert_eq!(settings.listen.address, "[::]:8443".parse().unwrap());
    assert!(settings.allow_loopback);
    assert_eq!(settings.providers[0].client_secret.as_ref().unwrap().expose_secret(), "hush");
    assert_eq!(settings.providers[0].scopes, ["openid", "email"]);
    assert_eq!(settings.providers[0].claim_mapping.username_claim, UsernameClaim::Sub);
    assert_eq!(settings.providers[1].id.as_str(), "second");
    assert_eq!(settings.cluster_adders[0].who, Who::Group("ops".into()));
    assert_eq!(settings.workspace_makers[0].who, Who::Subject("s".into()));
    assert_eq!(settings.workspaces_per_person.get(), 3);
}

#[test]
fn a_mistake_from_the_environment_names_the_variable() {
    let all = parse_in(
        Path::new("/"),
        SMALL,
        &[
            ("KUBELEND_LISTEN__ADDRESS", "nowhere"),
            ("KUBELEND_LISTEN__ADRESS", "x"),
            ("KUBELEND_PROVIDERS__OTHER__ISSUER", "x"),
            ("KUBELEND_PROVIDERS__7__ISSUER", "x"),
            ("KUBELEND_PUBLIC_URL__X", "x"),
            ("KUBELEND_LISTEN", "x"),
            ("KUBELEND_", "x"),
        ],
    )
    .unwrap_err();
    let text = ConfigError::new(Path::new("k"), all).to_string();
    for part in [
        "listen.address (KUBELEND_LISTEN__ADDRESS)",
        "did you mean listen.address",
        "KUBELEND_PROVIDERS__OTHER__ISSUER: providers has no entry with the id “other”",
        "KUBELEND_PROVIDERS__7__ISSUER",
        "KUBELEND_PUBLIC_URL__X: public_url is a setting",
        "KUBELEND_",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_kubernetes_service_called_kubelend_disturbs_nothing() {
    parse_in(
        Path::new("/"),
        SMALL,
        &[
            ("KUBELEND_SERVICE_HOST", "10.0.0.7"),
            ("KUBELEND_SERVICE_PORT", "443"),
            ("KUBELEND_SERVICE_PORT_HTTPS", "443"),
            ("KUBELEND_PORT", "tcp://10.0.0.7:443"),
            ("KUBELEND_PORT_443_TCP", "tcp://10.0.0.7:443"),
            ("KUBELEND_PORT_443_TCP_ADDR", "10.0.0.7"),
            ("KUBELEND_POSTGRESQL_SERVICE_HOST", "10.0.0.8"),
            ("KUBELEND_POSTGRESQL_PORT_5432_TCP_PROTO", "tcp"),
        ],
    )
    .unwrap();
}

#[test]
fn secrets_come_from_files_and_from_one_place_only() {
    let folder = Folder::new();
    folder.write("secret", "hush\n");
    folder.write("empty", "\n");
    let with = |line: &str, environment: &[(&str, &str)]| {
        parse_in(
            folder.path(),
            &SMALL.replace("client_id = \"kubelend\"", &format!("client_id = \"kubelend\"\n{line}")),
            environment,
        )
    };
    let secret = |settings: Settings| settings.providers[0].client_secret.as_ref().unwrap().expose_secret().to_owned();
    assert_eq!(secret(with("client_secret_file = \"secret\"", &[]).unwrap()), "hush");
    let over = [("KUBELEND_PROVIDERS__DEX__CLIENT_SECRET", "other")];
    assert_eq!(secret(with("client_secret_file = \"secret\"", &over).unwrap()), "other");
    assert!(with("client_secret_file = \"empty\"", &[]).is_err());
    assert!(with("client_secret_file = \"missing\"", &[]).is_err());
    assert!(
        with("client_secret = \"a\"\nclient_secret_file = \"secret\"", &[]).unwrap_err()[0].problem.contains("beside")
    );
    folder.write("url", "postgres://kubelend:hush@db/kubelend\n");
    let settings = with("", &[("KUBELEND_DATABASE__URL_FILE", "url")]).unwrap();
    assert_eq!(settings.database_url.expose_secret(), "postgres://kubelend:hush@db/kubelend");
}

#[test]
fn immune_21_no_mistake_and_no_debug_text_quotes_a_secret() {
    let text = SMALL
        .replace("client_id = \"kubelend\"", "client_id = \"kubelend\"\nclient_secret = \"hush\"\nunknown = 1")
        .replace("[[providers]]", "[database]\nurl = \"mysql://kubelend:hush@db\"\n[[providers]]");
    let all = mistakes(&text);
    assert_eq!(all.len(), 2, "{all:#?}");
    assert!(!format!("{all:?}").contains("hush"), "{all:#?}");
    let broken = mistakes("client_secret = \"hush\nother = 1");
    assert!(!format!("{broken:?}").contains("hush"), "{broken:#?}");
    assert!(broken[0].key.contains("line"), "{broken:#?}");
    let good = parse(&text.replace("unknown = 1", "").replace("mysql", "postgres")).unwrap();
    assert!(!format!("{good:?}").contains("hush"));
}

#[test]
fn certificates_are_looked_at_and_a_private_key_never_passes_as_a_ca() {
    let folder = Folder::new();
    folder.write("ca.crt", CERTIFICATE);
    folder.write("both.pem", &format!("{CERTIFICATE}-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"));
    folder.write("none.crt", "hello");
    let with = |file: &str| {
        let line = format!("client_id = \"kubelend\"\nca_file = \"{file}\"");
        parse_in(folder.path(), &SMALL.replace("client_id = \"kubelend\"", &line), &[])
    };
    assert!(with("ca.crt").unwrap().providers[0].ca_pem.as_ref().unwrap().contains("BEGIN CERTIFICATE"));
    for (bad, why) in
        [("both.pem", "private key"), ("none.crt", "no PEM certificate"), ("missing.crt", "cannot be read")]
    {
        let all = with(bad).unwrap_err();
        assert!(all[0].problem.contains(why), "{bad}: {all:#?}");
    }
    let tls = |certificate: &str, key: &str| {
        let lines = format!("[listen]\ntls_certificate = \"{certificate}\"\ntls_key = \"{key}\"\n[[providers]]");
        parse_in(folder.path(), &SMALL.replace("[[providers]]", &lines), &[])
    };
    assert_eq!(tls("ca.crt", "both.pem").unwrap().listen.tls.unwrap().key, folder.path().join("both.pem"));
    assert!(tls("none.crt", "ca.crt").unwrap_err().len() == 2);
    assert_eq!(the_mistake("[listen]\ntls_key = \"/nowhere\"").key, "listen.tls_certificate");
}

#[test]
fn an_issuer_is_https_and_not_loopback_unless_allowed() {
    for bad in [
        "http://dex.example.com",
        "https://127.0.0.1:5556/dex",
        "https://localhost/dex",
        "https://[::1]/",
        "dex",
        "https://dex.example.com/?a",
    ] {
        let all = mistakes(&SMALL.replace("https://dex.example.com", bad));
        assert_eq!(all.len(), 1, "{bad}: {all:#?}");
        assert_eq!(all[0].key, "providers[0].issuer");
    }
    let local = SMALL.replace("https://dex.example.com", "https://127.0.0.1:5556/dex");
    let local = local.replace("[[providers]]", "[network]\nallow_loopback = true\n[[providers]]");
    assert_eq!(parse(&local).unwrap().providers[0].issuer, "https://127.0.0.1:5556/dex");
}

#[test]
fn odd_values_are_mistakes() {
    for (lines, key) in [
        ("[session]\nidle = \"2d 1s\"", "session.idle"),
        ("[session]\nidle = \"-1h\"", "session.idle"),
        ("[session]\nidle = \"1s\"", "session.idle"),
        ("[session]\nidle = 8", "session.idle"),
        ("[session]\nabsolute = \"10000h\"", "session.absolute"),
        ("[session]\nidle = \"25h\"", "session.idle"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[log]\nlevel = \"hyper=trace\"", "log.level"),
        ("[listen]\naddress = \"localhost:80\"", "listen.address"),
        ("[listen]\naddress = \"127.0.0.1:80\"\nmetrics_address = \"127.0.0.1:80\"", "listen.metrics_address"),
        ("[network]\nallow_loopback = \"yes\"", "network.allow_loopback"),
        ("[database]\nurl = \"\"", "database.url"),
        ("listen = 1", "listen"),
        ("cluster_adders = [1]", "cluster_adders[0]"),
        ("[[workspace_makers]]\nprovider = \"dex\"", "workspace_makers[0].email"),
    ] {
        assert_eq!(the_mistake(lines).key, key, "{lines}");
    }
    let twice = SMALL.replace(
        "[[platform_admins]]",
        "[[providers]]\nid = \"dex\"\nissuer = \"https://b.example\"\nclient_id = \"b\"\n[[platform_admins]]",
    );
    assert_eq!(mistakes(&twice)[0].key, "providers[1].id");
    let system = SMALL.replace(
        "client_id = \"kubelend\"",
        "client_id = \"kubelend\"\nclaim_mapping = { groups_prefix = \"system:\" }",
    );
    assert_eq!(mistakes(&system)[0].key, "providers[0].claim_mapping.groups_prefix");
    let unscoped = SMALL.replace("client_id = \"kubelend\"", "client_id = \"kubelend\"\nscopes = [\"email\"]");
    assert_eq!(mistakes(&unscoped)[0].key, "providers[0].scopes");
}

#[test]
fn a_missing_file_says_how_to_name_one() {
    let error = Settings::load(Path::new("/nowhere/kubelend.toml"), []).unwrap_err().to_string();
    assert!(error.contains("--config") && error.contains("KUBELEND_CONFIG"), "{error}");
}
