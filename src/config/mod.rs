//! Typed settings, checked as a whole at start: one TOML file, environment variables over it. Every mistake is reported at
//! once, with its key and the fix, so that nobody starts a program five times to learn of five typing errors.
//!
//! There is no default password and no built-in key. Secrets come as text, from the environment or from a file of their
//! own; they redact themselves, and no mistake quotes one.

mod environment;
mod mistakes;
mod people;
mod providers;
mod section;
mod server;

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use url::Url;

pub use environment::of_the_process;
pub use mistakes::{ConfigError, Mistake};
use mistakes::{Mistakes, line_of};
use section::Section;

use crate::model::{
    claim_mapping::ClaimMapping, device::DeviceLimits, name::Email, network::Network, provider::ProviderId,
};

/// Everything an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where people reach Kubelend; the only source of absolute URLs. Always https, without a path.
    pub public_url: Url,
    /// The CA of that address, PEM, where it is a private one: kubectl has to trust it, so it goes into kubeconfigs.
    pub public_ca_pem: Option<String>,
    /// Where Kubelend keeps what it makes by itself.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// `sqlite:///path` or `postgres://…`; the latter may hold a password.
    pub database_url: SecretString,
    /// The key ring; made when it is missing.
    pub keyring_file: PathBuf,
    /// Whether connections to loopback addresses are allowed.
    pub allow_loopback: bool,
    /// At least one.
    pub providers: Vec<ProviderConfig>,
    /// Who is a platform admin; at least one rule.
    pub platform_admins: Vec<PersonConfig>,
    /// Who else may add clusters.
    pub cluster_adders: Vec<PersonConfig>,
    /// Who else may make workspaces.
    pub workspace_makers: Vec<PersonConfig>,
    /// How many workspaces each of them may make.
    pub workspaces_per_person: NonZeroU32,
    /// How long sessions live.
    pub session: Session,
    /// How long devices live.
    pub devices: DeviceLimits,
    /// How often somebody may try.
    pub limits: Limits,
    /// How Kubelend writes its log.
    pub log: Log,
}

/// Where Kubelend listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The pages' address.
    pub address: SocketAddr,
    /// Certificate and key; without them plain HTTP is spoken, to a proxy that ends TLS.
    pub tls: Option<TlsFiles>,
    /// A listener of its own for `/metrics`; without it they are served beside the pages.
    pub metrics_address: Option<SocketAddr>,
    /// Proxies whose word on a client's address (`X-Forwarded-For`) is believed.
    pub trusted_proxies: Vec<Network>,
}

/// A server certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// A provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Short name, in URLs.
    pub id: ProviderId,
    /// For people.
    pub name: String,
    /// Exactly as its tokens say it.
    pub issuer: String,
    /// Our client there.
    pub client_id: String,
    /// Its secret, for a confidential client.
    pub client_secret: Option<SecretString>,
    /// A second, public client for kubeconfigs that talk to the provider by themselves.
    pub direct_client_id: Option<String>,
    /// Whether devices are relayed.
    pub relay: bool,
    /// The issuer's CA, PEM, checked to hold a certificate.
    pub ca_pem: Option<String>,
    /// Scopes that may be asked for.
    pub scopes: Vec<String>,
    /// What clusters make of its tokens, unless they say otherwise.
    pub claim_mapping: ClaimMapping,
}

/// A rule that names people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonConfig {
    /// At this provider.
    pub provider: ProviderId,
    /// Whom.
    pub who: Who,
}

/// Whom a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever has this email, verified.
    Email(Email),
    /// Whoever has this `sub`.
    Subject(String),
    /// Whoever is in this group, without prefix.
    Group(String),
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Unused for so long, a session ends.
    pub idle: Duration,
    /// After so long it ends in any case.
    pub absolute: Duration,
}

/// How often somebody may try, each a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Share links opened and accepted from one address.
    pub links_per_address: NonZeroU32,
    /// Openings and acceptances of one share link.
    pub uses_per_link: NonZeroU32,
}

/// The log's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors: an object on each line.
    Json,
}

/// How Kubelend writes its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Settings {
    /// Reads a file and lays these environment variables over it.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load(file: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let refuse = |mistake| ConfigError::new(file, vec![mistake]);
        let text = std::fs::read_to_string(file).map_err(|e| {
            refuse(Mistake::new(
                "the file",
                format!("cannot be read: {e}"),
                "name an existing one with --config FILE or KUBELEND_CONFIG",
            ))
        })?;
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::parse(&text, folder, environment).map_err(|mistakes| ConfigError::new(file, mistakes))
    }

    /// Reads text; relative paths in it are relative to `folder`.
    fn parse(
        text: &str,
        folder: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        // The library's own error shows the line, which may hold a secret.
        let mut table = text.parse::<toml::Table>().map_err(|e| {
            let place = e.span().map(|span| format!("line {}", line_of(text, span.start))).unwrap_or_default();
            vec![Mistake::new(
                place.trim(),
                format!("this is no TOML: {}", e.message()),
                "see docs/kubelend.example.toml",
            )]
        })?;
        let mistakes = Mistakes::default();
        environment::lay_over(&mut table, environment, &mistakes);
        let settings = server::read(Section::root(table, folder, &mistakes));
        mistakes.unless_any(settings)
    }
}

#[cfg(test)]
mod tests;
