//! Dex over TLS, with two public clients and the directory behind it.
//!
//! The clients' ids are fixed, because API servers name them as audiences; their redirect URIs are not, because every
//! test's Kubelend has a port of its own. So clients are kept through Dex's gRPC interface, which its static
//! configuration would not allow.

mod builder;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Mutex as StdMutex,
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::sync::Mutex;

pub use builder::Builder;

pub use crate::login::Tokens;
use crate::{
    control_plane::JwtIssuer,
    http,
    login::{self, Credentials},
    ports::Port,
    process::{Child, Command},
};

/// The client that Kubelend signs people in with.
pub const CLIENT: &str = "kubelend";
/// The client for kubeconfigs that do without Kubelend.
pub const DIRECT_CLIENT: &str = "kubelend-direct";
/// A redirect URI that both clients always have, for sign-ins without Kubelend. Nothing listens there.
pub const LOOPBACK_REDIRECT: &str = "http://127.0.0.1:1/callback";

/// A running Dex.
#[derive(Debug)]
pub struct Dex {
    issuer: String,
    ca_pem: String,
    ca_file: PathBuf,
    command: Command,
    clients: Vec<String>,
    redirect_uris: Mutex<BTreeSet<String>>,
    child: StdMutex<Option<Child>>,
    port: Port,
    grpc: Port,
}

impl Dex {
    /// Begins to describe a Dex.
    pub fn builder() -> Builder {
        Builder {
            id_tokens: Duration::from_mins(10),
            signing_keys: Duration::from_hours(6),
            reuse_interval: Duration::from_secs(30),
            approval: false,
            port: None,
            issuer_port: None,
            redirect_uris: Vec::new(),
            clients: Vec::new(),
        }
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The CA of Dex's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// File with that CA.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The port, to put a fault in front of it.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What an API server has to trust for the tokens of both clients.
    pub fn jwt_issuer(&self) -> JwtIssuer {
        JwtIssuer::new(&self.issuer, &self.ca_pem, &[CLIENT, DIRECT_CLIENT])
    }

    /// Lets both clients send people to this address as well, from now on.
    pub async fn add_redirect_uri(&self, uri: &str) -> Result<()> {
        let mut uris = self.redirect_uris.lock().await;
        let mut more = uris.clone();
        if more.insert(uri.to_owned()) {
            self.set_clients(&more).await?;
            *uris = more;
        }
        Ok(())
    }

    /// Signs somebody in without Kubelend and without a browser: tokens of the client `kubelend`.
    pub async fn tokens(&self, email: &str) -> Result<Tokens> {
        self.tokens_for(CLIENT, &Credentials::of(email)).await
    }

    /// The same for any client and person.
    pub async fn tokens_for(&self, client: &str, credentials: &Credentials) -> Result<Tokens> {
        login::tokens(&self.issuer, &self.ca_pem, client, credentials).await
    }

    /// Kills Dex. Its keys and clients stay in etcd.
    pub async fn stop(&self) -> Result<()> {
        let child = self.lock().take();
        match child {
            Some(child) => child.kill9().await,
            None => Ok(()),
        }
    }

    /// Starts Dex again, unless it runs.
    pub async fn start(&self) -> Result<()> {
        if self.lock().is_some() {
            return Ok(());
        }
        let child = self.command.spawn("dex")?;
        let client = http::client(&self.ca_pem)?;
        let discovery = format!("https://{}/dex/.well-known/openid-configuration", self.port.address());
        child
            .until_ready(Duration::from_secs(30), || async {
                let answer = client.get(&discovery).send().await?;
                ensure!(answer.status().is_success(), "discovery says {}", answer.status());
                Ok(())
            })
            .await?;
        *self.lock() = Some(child);
        Ok(())
    }

    /// The last lines of Dex's log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.lock().as_ref().map(|child| child.log_tail(lines)).unwrap_or_default()
    }

    async fn set_clients(&self, redirect_uris: &BTreeSet<String>) -> Result<()> {
        let child = Command::built("directory")?
            .args(["client", "-dex", &self.grpc.address().to_string(), "-name", "Kubelend"])
            .args(self.clients.iter().flat_map(|id| ["-id", id]))
            .args(redirect_uris)
            .spawn("dex-client")?;
        let exit = child.wait(Duration::from_secs(30)).await?;
        let failed = || child.explain(anyhow::anyhow!("set the clients {:?}", self.clients));
        ensure!(exit == crate::process::Exit::Code(0), failed());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
