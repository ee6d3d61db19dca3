//! The settings of the program itself: where it is, where it listens, where it keeps things.

use std::{fs::File, net::SocketAddr, num::NonZeroU32, path::Path, time::Duration};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Limits, Listen, Log, LogFormat, Session, Settings, TlsFiles, people, providers, providers::ca, section::Section,
};
use crate::model::{device::DeviceLimits, network::Network};

const DATA_DIR: &str = "/var/lib/kubelend";
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const IDLE: Duration = Duration::from_hours(8);
const ABSOLUTE: Duration = Duration::from_hours(24);
const LONGEST: Duration = Duration::from_hours(30 * 24);
const SHORTEST: Duration = Duration::from_mins(1);
const LINKS_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(300).unwrap();
const USES_PER_LINK: NonZeroU32 = NonZeroU32::new(600).unwrap();
const WORKSPACES_PER_PERSON: NonZeroU32 = NonZeroU32::new(10).unwrap();
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Reads everything. `None` only with a mistake written down.
pub(super) fn read(mut root: Section<'_>) -> Option<Settings> {
    let public_url = public_url(&mut root);
    let public_ca_pem = ca(&mut root, "public_ca_file");
    let data_dir = root.path_to("data_dir").unwrap_or_else(|| root.resolve(DATA_DIR));
    let listen = listen(root.section("listen"));
    let database_url = database(root.section("database"), &data_dir);
    let keyring_file = root.path_to("keyring_file").unwrap_or_else(|| data_dir.join("keyring"));
    let allow_loopback = network(root.section("network"));
    let providers = providers::read(&mut root, allow_loopback);
    let people = people::read(&mut root, &providers);
    let workspaces_per_person = root.count_or("workspaces_per_person", WORKSPACES_PER_PERSON);
    let session = session(root.section("session"));
    let devices = devices(root.section("devices"));
    let limits = limits(root.section("limits"));
    let log = log(root.section("log"));
    root.end();
    Some(Settings {
        public_url: public_url?,
        public_ca_pem,
        data_dir,
        listen: listen?,
        database_url: database_url?,
        keyring_file,
        allow_loopback,
        providers,
        platform_admins: people.platform_admins,
        cluster_adders: people.cluster_adders,
        workspace_makers: people.workspace_makers,
        workspaces_per_person: workspaces_per_person?,
        session: session?,
        devices: devices?,
        limits: limits?,
        log: log?,
    })
}

/// The cookies' `__Host-` names need https and the root path.
fn public_url(root: &mut Section<'_>) -> Option<Url> {
    const EXAMPLE: &str = "https://kubelend.example.com";
    let fix = format!("write the address that people type, for example \"{EXAMPLE}\"");
    let text = root.required("public_url", EXAMPLE)?;
    let problem = match Url::parse(text.trim()) {
        Err(e) => format!("“{text}” is no address: {e}"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "holds a user or a password".into(),
        Ok(url) if url.scheme() != "https" => {
            format!("“{text}” is not https, and browsers keep the session's cookie for https alone")
        }
        Ok(url) if url.path() != "/" => format!("“{text}” has a path, and Kubelend wants a host of its own"),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => format!("“{text}” has a query or a fragment"),
        Ok(url) => return Some(url),
    };
    root.mistake("public_url", problem, fix);
    None
}

fn listen(mut section: Section<'_>) -> Option<Listen> {
    const FIX: &str = "write an IP address and a port, for example \"127.0.0.1:8080\" or \"[::]:8443\"";
    let address = section.parsed_or("address", ADDRESS, FIX, |text| text.parse().ok());
    let metrics_address = section.parsed("metrics_address", FIX, |text| text.parse().ok());
    if address.is_some() && address == metrics_address {
        section.mistake("metrics_address", "is the address of the pages", "choose another port, or take the line out");
    }
    let tls = tls(&mut section);
    let trusted_proxies = trusted_proxies(&mut section);
    section.end();
    Some(Listen { address: address?, tls, metrics_address, trusted_proxies: trusted_proxies? })
}

fn trusted_proxies(section: &mut Section<'_>) -> Option<Vec<Network>> {
    let words = section.words("trusted_proxies").unwrap_or_default();
    let read = words.iter().map(|word| {
        let network = word.parse::<Network>();
        if let Err(e) = network {
            section.mistake("trusted_proxies", format!("“{word}” is no network"), e.to_string());
        }
        network.ok()
    });
    // All of them are looked at, so that all mistakes are named.
    read.collect::<Vec<_>>().into_iter().collect()
}

fn limits(mut section: Section<'_>) -> Option<Limits> {
    let links_per_address = section.count_or("links_per_address", LINKS_PER_ADDRESS);
    let uses_per_link = section.count_or("uses_per_link", USES_PER_LINK);
    section.end();
    Some(Limits { links_per_address: links_per_address?, uses_per_link: uses_per_link? })
}

fn tls(section: &mut Section<'_>) -> Option<TlsFiles> {
    match (section.path_to("tls_certificate"), section.path_to("tls_key")) {
        (Some(certificate), Some(key)) => {
            let holds = |path: &Path| {
                CertificateDer::pem_file_iter(path).is_ok_and(|mut all| all.next().is_some_and(|c| c.is_ok()))
            };
            check_pem(section, "tls_certificate", &certificate, "certificate", holds);
            check_pem(section, "tls_key", &key, "private key", |path| PrivateKeyDer::from_pem_file(path).is_ok());
            Some(TlsFiles { certificate, key })
        }
        (None, None) => None,
        (Some(_), None) => {
            section.mistake(
                "tls_key",
                "is missing beside tls_certificate",
                "name the key's file, or take both out and let a proxy end TLS",
            );
            None
        }
        (None, Some(_)) => {
            section.mistake(
                "tls_certificate",
                "is missing beside tls_key",
                "name the certificate's file, or take both out and let a proxy end TLS",
            );
            None
        }
    }
}

fn check_pem(section: &Section<'_>, name: &str, path: &Path, what: &str, holds: impl FnOnce(&Path) -> bool) {
    if let Err(e) = File::open(path) {
        section.mistake(
            name,
            format!("{} cannot be read: {e}", path.display()),
            "name a file that Kubelend's user can read",
        );
    } else if !holds(path) {
        section.mistake(name, format!("{} holds no {what}", path.display()), "name a PEM file (-----BEGIN …)");
    }
}

fn database(mut section: Section<'_>, data_dir: &Path) -> Option<SecretString> {
    let given = section.has("url") || section.has("url_file");
    let url = section.secret("url", "url_file");
    let known = ["sqlite:", "postgres:", "postgresql:"];
    if url.as_ref().is_some_and(|u| !known.iter().any(|scheme| u.expose_secret().starts_with(scheme))) {
        section.mistake(
            "url",
            "is of no database that Kubelend knows",
            "write \"sqlite:///path/to/kubelend.db\" or \"postgres://user:password@host/database\"",
        );
    }
    section.end();
    let inside = || SecretString::from(format!("sqlite://{}", data_dir.join("kubelend.db").display()));
    if given { url } else { Some(inside()) }
}

fn network(mut section: Section<'_>) -> bool {
    let allow = section.flag("allow_loopback").unwrap_or_default();
    section.end();
    allow
}

fn session(mut section: Section<'_>) -> Option<Session> {
    const FIX: &str = "write a span between \"1m\" and \"720h\", for example \"8h\" or \"1h 30m\"";
    let mut span = |name, usual| section.parsed_or(name, usual, FIX, duration);
    let (idle, absolute) = (span("idle", IDLE), span("absolute", ABSOLUTE));
    if let (Some(idle), Some(absolute)) = (idle, absolute)
        && idle > absolute
    {
        section.mistake("idle", "is longer than session.absolute", "make it at most as long");
    }
    section.end();
    Some(Session { idle: idle?, absolute: absolute? })
}

fn devices(mut section: Section<'_>) -> Option<DeviceLimits> {
    const FIX: &str = "write a span between \"1h\" and \"366d\", for example \"30d\"";
    let usual = DeviceLimits::default();
    let mut span = |name, usual| section.parsed_or(name, usual, FIX, days);
    let (longest, unused) = (span("longest", usual.longest), span("unused", usual.unused));
    section.end();
    Some(DeviceLimits { longest: longest?, unused: unused? })
}

/// A span in which a day has 24 hours.
fn days(text: &str) -> Option<Duration> {
    let span = text.parse::<jiff::Span>().ok()?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    let bounds = Duration::from_hours(1)..=Duration::from_hours(366 * 24);
    Duration::try_from(span).ok().filter(|span| bounds.contains(span))
}

fn duration(text: &str) -> Option<Duration> {
    let span = text.parse::<jiff::SignedDuration>().ok()?;
    Duration::try_from(span).ok().filter(|span| (SHORTEST..=LONGEST).contains(span))
}

fn log(mut section: Section<'_>) -> Option<Log> {
    let format = section.parsed_or("format", LogFormat::Text, "write \"text\" or \"json\"", |text| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let level = section.parsed_or(
        "level",
        "info".to_owned(),
        "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        |text| LEVELS.contains(&text).then(|| text.to_owned()),
    );
    section.end();
    Some(Log { format: format?, level: level? })
}
