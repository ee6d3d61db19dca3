//! A Kubernetes control plane: kube-apiserver and kube-controller-manager, ready in seconds.
//!
//! No nodes: what Kubelend does happens between people and the API server. The controller manager is needed nevertheless,
//! since without it `view`, `edit` and `admin` have no rules and nobody signs certificates or fills token Secrets.

mod flags;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use tokio::sync::Mutex;

pub use flags::JwtIssuer;

use crate::{
    ca::{Ca, Issued},
    etcd::Etcd,
    http,
    kubeconfig::{self, User},
    kubectl::Kubectl,
    ports::Port,
    process::{Child, Command},
    run,
};

/// How long a start may take on a machine that is busy with other tests.
const START: Duration = Duration::from_mins(1);

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
        let ca = Ca::in_folder(&format!("{} cluster CA", self.name), &folder)?;
        let port = self.port.map_or_else(Port::free, Ok)?;
        let server_url = format!("https://{}", port.address());
        let admin = ca.client("admin", "testbed-admin", &["system:masters"])?;
        let text =
            kubeconfig::text(&self.name, &server_url, ca.pem(), User::Certificate(&admin.cert_pem, &admin.key_pem));
        let files = flags::Files::write(&folder, &ca, &self.issuers)?;
        fs::write(&files.admin_kubeconfig, &text)?;
        let api = Command::built("kube-apiserver")?.args(files.api_server(&port, etcd, &self.name)).args(&self.extra);
        let controllers = Command::built("kube-controller-manager")?.args(files.controller_manager());
        let control_plane = ControlPlane {
            name: self.name,
            server_url,
            ca,
            admin,
            authentication: files.authentication(),
            admin_kubeconfig: files.admin_kubeconfig,
            text,
            api,
            controllers,
            _port: port,
            running: Mutex::default(),
        };
        control_plane.start().await?;
        Ok(control_plane)
    }
}

/// A running control plane.
pub struct ControlPlane {
    name: String,
    server_url: String,
    ca: Ca,
    admin: Issued,
    admin_kubeconfig: PathBuf,
    text: String,
    authentication: PathBuf,
    api: Command,
    controllers: Command,
    _port: Port,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    api: Option<Arc<Child>>,
    controllers: Option<Child>,
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

    /// Where the API server listens, `https://127.0.0.1:PORT`.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }

    /// The CA of the API server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// The cluster's CA: signs the API server's and clients' certificates.
    pub fn ca(&self) -> &Ca {
        &self.ca
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
        kubeconfig::text(&self.name, &self.server_url, self.ca.pem(), User::Token(token))
    }

    /// kubectl with the admin kubeconfig.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(&self.admin_kubeconfig)
    }

    /// An HTTP client with the admin's certificate.
    pub fn admin_client(&self) -> Result<Client> {
        http::with_certificate(self.ca.pem(), &self.admin)
    }

    /// Stops the API server: the cluster is down, its data stays. The controller manager waits for its return.
    pub async fn stop(&self) -> Result<()> {
        let api = self.running.lock().await.api.take();
        if let Some(api) = api {
            api.kill9().await?;
        }
        Ok(())
    }

    /// Trusts these issuers in place of those before. The API server is started anew: by itself it would go on with the old ones
    /// where it cannot reach a new one. It asks issuers for their keys once it is ready, so that a first token may come too early.
    pub async fn trust(&self, issuers: &[JwtIssuer]) -> Result<()> {
        self.stop().await?;
        flags::trust(&self.authentication, issuers)?;
        self.start().await
    }

    /// Starts what does not run, on the same port, and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.api.is_none() {
            let api = Arc::new(self.api.spawn(&format!("kube-apiserver-{}", self.name))?);
            api.until_ready(START, || self.answers()).await?;
            running.api = Some(api);
        }
        if running.controllers.is_none() {
            let controllers = self.controllers.spawn(&format!("kube-controller-manager-{}", self.name))?;
            controllers.until_ready(START, || self.roles_have_rules()).await?;
            running.controllers = Some(controllers);
        }
        Ok(())
    }

    /// The last lines of the API server's log.
    pub async fn log_tail(&self, lines: usize) -> String {
        let api = self.running.lock().await.api.clone();
        api.map(|api| api.log_tail(lines)).unwrap_or_default()
    }

    async fn answers(&self) -> Result<()> {
        let answer = self.admin_client()?.get(format!("{}/readyz", self.server_url)).send().await?;
        ensure!(answer.status().is_success(), "readyz says {}", answer.text().await?);
        Ok(())
    }

    async fn roles_have_rules(&self) -> Result<()> {
        let client = self.admin_client()?;
        for role in ["view", "edit", "admin"] {
            let url = format!("{}/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}", self.server_url);
            let role: serde_json::Value = client.get(url).send().await?.json().await?;
            let rules = role["rules"].as_array().context("the role has no rules yet")?;
            ensure!(!rules.is_empty(), "the role has no rules yet");
        }
        Ok(())
    }
}
