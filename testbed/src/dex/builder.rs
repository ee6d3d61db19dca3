//! How a Dex is configured.

use std::{collections::BTreeSet, fs, sync::Mutex as StdMutex, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{CLIENT, DIRECT_CLIENT, Dex, LOOPBACK_REDIRECT};
use crate::{ca::Ca, directory::Directory, etcd::Etcd, ports::Port, process::Command, run};

/// What to start.
#[derive(Debug)]
pub struct Builder {
    pub(super) id_tokens: Duration,
    pub(super) signing_keys: Duration,
    pub(super) reuse_interval: Duration,
    pub(super) approval: bool,
    pub(super) port: Option<Port>,
    pub(super) issuer_port: Option<u16>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) clients: Vec<String>,
}

impl Builder {
    /// How long ID tokens live; 10 minutes unless said.
    #[must_use]
    pub fn id_tokens(mut self, lifetime: Duration) -> Self {
        self.id_tokens = lifetime;
        self
    }

    /// How long Dex signs with one key; 6 hours unless said.
    #[must_use]
    pub fn signing_keys(mut self, lifetime: Duration) -> Self {
        self.signing_keys = lifetime;
        self
    }

    /// How long a spent refresh token still works; 30 seconds unless said. For as long after each use Dex answers with what
    /// it knew then, and does not ask the directory.
    #[must_use]
    pub fn reuse_interval(mut self, interval: Duration) -> Self {
        self.reuse_interval = interval;
        self
    }

    /// Asks people to grant access, where they can decline. Dex answers a "Cancel" with a page of its own, status 500 and the
    /// words "Approval rejected.": it sends nobody back with `access_denied`.
    #[must_use]
    pub fn approval_screen(mut self) -> Self {
        self.approval = true;
        self
    }

    /// Serves on this port.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.port = Some(port);
        self
    }

    /// Names another port in the issuer's URL than the one it serves on: that of a [`crate::FaultProxy`] in front of it.
    #[must_use]
    pub fn issuer_port(mut self, port: u16) -> Self {
        self.issuer_port = Some(port);
        self
    }

    /// Registers a redirect URI from the start, for both clients.
    #[must_use]
    pub fn redirect_uri(mut self, uri: &str) -> Self {
        self.redirect_uris.push(uri.to_owned());
        self
    }

    /// Adds a public client beside the two usual ones.
    #[must_use]
    pub fn client(mut self, id: &str) -> Self {
        self.clients.push(id.to_owned());
        self
    }

    /// Starts Dex and waits until it answers and knows its clients.
    pub async fn start(self, ca: &Ca, etcd: &Etcd, directory: &Directory) -> Result<Dex> {
        let port = self.port.map_or_else(Port::free, Ok)?;
        let grpc = Port::free()?;
        let folder = run::folder("dex")?;
        let issuer = format!("https://127.0.0.1:{}/dex", self.issuer_port.unwrap_or(port.number()));
        let certificate = ca.server(&format!("dex-{}", port.number()), &[])?;
        let config = json!({
            "issuer": issuer,
            "storage": {"type": "etcd", "config": {
                "endpoints": [etcd.endpoint()], "namespace": format!("dex-{}/", port.number()),
            }},
            "web": {"https": port.address(), "tlsCert": certificate.cert, "tlsKey": certificate.key},
            "grpc": {"addr": grpc.address()},
            "oauth2": {"skipApprovalScreen": !self.approval},
            "expiry": {
                "idTokens": seconds(self.id_tokens),
                "signingKeys": seconds(self.signing_keys),
                "refreshTokens": {"reuseInterval": seconds(self.reuse_interval)},
            },
            "connectors": [connector(directory)],
        });
        let file = folder.join("config.yaml");
        fs::write(&file, config.to_string())?;
        let mut redirect_uris: BTreeSet<_> = self.redirect_uris.into_iter().collect();
        redirect_uris.insert(LOOPBACK_REDIRECT.to_owned());
        let mut clients = vec![CLIENT.to_owned(), DIRECT_CLIENT.to_owned()];
        clients.extend(self.clients);
        let dex = Dex {
            issuer,
            ca_pem: ca.pem().to_owned(),
            ca_file: ca.path(),
            command: Command::built("dex")?.arg("serve").arg(file),
            clients,
            redirect_uris: Mutex::new(redirect_uris),
            child: StdMutex::default(),
            port,
            grpc,
        };
        dex.start().await?;
        dex.set_clients(&*dex.redirect_uris.lock().await).await?;
        Ok(dex)
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

fn connector(directory: &Directory) -> Value {
    json!({"type": "ldap", "id": "directory", "name": "Directory", "config": {
        "host": directory.address(),
        "insecureNoSSL": true,
        "usernamePrompt": "Email",
        "userSearch": {
            "baseDN": "ou=people,dc=example,dc=com",
            "filter": "(objectClass=person)",
            "username": "login",
            "idAttr": "uid",
            "emailAttr": "mail",
            "nameAttr": "cn",
            "preferredUsernameAttr": "uid",
        },
        "groupSearch": {
            "baseDN": "ou=groups,dc=example,dc=com",
            "filter": "(objectClass=groupOfNames)",
            "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}],
            "nameAttr": "cn",
        },
    }})
}
