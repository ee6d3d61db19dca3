//! A Kubernetes control plane: kube-apiserver and kube-controller-manager, ready in seconds.
//!
//! No nodes: what Kubelend does happens between people and the API server. The controller manager is needed nevertheless,
//! since without it `view`, `edit` and `admin` have no rules and nobody signs certificates or fills token Secrets.

mod flags;
mod objects;
mod pool;
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use reqwest::Client;

pub use flags::JwtIssuer;
use pool::Lease;
pub use pool::Pool;
use server::Server;

use crate::{
    ca::Ca,
    etcd::Etcd,
    http,
    kubeconfig::{self, User},
    kubectl::Kubectl,
    ports::Port,
    run,
};

/// What to start.
#[derive(Debug)]
pub struct Builder {
    name: String,
    issuers: Vec<JwtIssuer>,
    port: Option<Port>,
    folder: Option<PathBuf>,
    extra: Vec<String>,
}

impl Builder {
    /// Trusts the ID tokens of an issuer. May be called several times.
    #[must_use]
    pub fn jwt(mut self, issuer: JwtIssuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Serves on this port.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.port = Some(port);
        self
    }

    /// Writes the admin kubeconfig and the certificates into this folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Adds a flag of kube-apiserver.
    #[must_use]
    pub fn api_server_flag(mut self, flag: &str) -> Self {
        self.extra.push(flag.to_owned());
        self
    }

    /// Starts API server and controller manager and waits until roles have rules.
    pub async fn start(self, etcd: &Etcd) -> Result<ControlPlane> {
        let folder = match self.folder {
            Some(folder) => folder,
            None => run::folder(&format!("cluster-{}", self.name))?,
        };
        let port = self.port.map_or_else(Port::free, Ok)?;
        let server = Server::prepare(&self.name, &folder, port, &self.issuers, &self.extra, etcd)?;
        server.start().await?;
        Ok(ControlPlane {
            server_url: server.url(),
            text: fs::read_to_string(&server.admin_kubeconfig)?,
            admin_kubeconfig: server.admin_kubeconfig.clone(),
            name: self.name,
            server: Arc::new(server),
            lease: None,
        })
    }
}

/// A running control plane: one of its own, or one of a [`Pool`], that goes back to it when this is dropped.
pub struct ControlPlane {
    name: String,
    server_url: String,
    admin_kubeconfig: PathBuf,
    text: String,
    server: Arc<Server>,
    lease: Option<Lease>,
}

impl ControlPlane {
    /// Begins to describe a cluster.
    pub fn builder(name: &str) -> Builder {
        Builder { name: name.to_owned(), issuers: Vec::new(), port: None, folder: None, extra: Vec::new() }
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the API server answers, `https://127.0.0.1:PORT`.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }

    /// The CA of the API server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.server.ca.pem()
    }

    /// The cluster's CA: signs the API server's and clients' certificates.
    pub fn ca(&self) -> &Ca {
        &self.server.ca
    }

    /// File with a kubeconfig of group `system:masters`.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// The text of that kubeconfig.
    pub fn admin_kubeconfig_text(&self) -> &str {
        &self.text
    }

    /// A kubeconfig for this cluster with a bearer token.
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        kubeconfig::text(&self.name, &self.server_url, self.ca_pem(), User::Token(token))
    }

    /// kubectl with the admin kubeconfig.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(&self.admin_kubeconfig)
    }

    /// An HTTP client with the admin's certificate.
    pub fn admin_client(&self) -> Result<Client> {
        http::with_certificate(self.ca_pem(), &self.server.admin)
    }

    /// Stops the API server: the cluster is down, its data stays. The controller manager waits for its return.
    ///
    /// # Errors
    /// The cluster is one that others will use; or it does not die.
    pub async fn stop(&self) -> Result<()> {
        self.must_be_own()?;
        self.server.stop().await
    }

    fn must_be_own(&self) -> Result<()> {
        ensure!(self.lease.is_none(), "{} is of the pool: start one of your own to change or stop it", self.name);
        Ok(())
    }

    /// Trusts these issuers in place of those before. The API server reads whom to trust anew by itself, asks each issuer for its
    /// keys and looks ten seconds later whether it has them: the machine has nothing to do meanwhile, unlike in a new start.
    ///
    /// # Errors
    /// As [`Self::stop`]; or it cannot reach an issuer: then it goes on with those of before.
    pub async fn trust(&self, issuers: &[JwtIssuer]) -> Result<()> {
        self.must_be_own()?;
        self.server.trust_now(issuers).await
    }

    /// The same by a new start: it counts from nothing, and trusts an issuer that it cannot reach as well.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn trust_from_start(&self, issuers: &[JwtIssuer]) -> Result<()> {
        self.stop().await?;
        self.server.trust(issuers)?;
        self.start().await
    }

    /// Starts what does not run, on the same port, and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        self.server.start().await
    }

    /// The last lines of the API server's log.
    pub async fn log_tail(&self, lines: usize) -> String {
        self.server.log_tail(lines).await
    }
}
