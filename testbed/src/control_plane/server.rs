//! The two processes of a control plane and what they were started with.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use reqwest::Client;
use tokio::sync::Mutex;

use super::flags::{self, JwtIssuer};
use crate::{
    ca::{Ca, Issued},
    etcd::Etcd,
    http,
    kubeconfig::{self, User},
    ports::Port,
    process::{Child, Command},
};

/// How long a start may take on a machine that is busy with other tests.
const START: Duration = Duration::from_mins(1);

/// A control plane by its processes; what a test calls its cluster is [`super::ControlPlane`].
pub(super) struct Server {
    pub(super) ca: Ca,
    pub(super) admin: Issued,
    pub(super) admin_kubeconfig: PathBuf,
    name: String,
    authentication: PathBuf,
    api: Command,
    controllers: Command,
    port: Port,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    api: Option<Arc<Child>>,
    controllers: Option<Child>,
}

impl Server {
    /// Writes the files of a control plane into a folder. Nothing runs yet.
    pub(super) fn prepare(
        name: &str,
        folder: &Path,
        port: Port,
        issuers: &[JwtIssuer],
        extra: &[String],
        etcd: &Etcd,
    ) -> Result<Self> {
        let ca = Ca::in_folder(&format!("{name} cluster CA"), folder)?;
        let admin = ca.client("admin", "testbed-admin", &["system:masters"])?;
        let files = flags::Files::write(folder, &ca, issuers)?;
        let api = Command::built("kube-apiserver")?.args(files.api_server(&port, etcd, name)).args(extra);
        let controllers = Command::built("kube-controller-manager")?.args(files.controller_manager());
        let server = Self {
            authentication: files.authentication(),
            admin_kubeconfig: files.admin_kubeconfig,
            name: name.to_owned(),
            ca,
            admin,
            api,
            controllers,
            port,
            running: Mutex::default(),
        };
        fs::write(&server.admin_kubeconfig, server.kubeconfig(name, &server.url()))?;
        Ok(server)
    }

    /// A kubeconfig of group `system:masters` that reaches the cluster at this address.
    pub(super) fn kubeconfig(&self, name: &str, url: &str) -> String {
        let Issued { cert_pem, key_pem, .. } = &self.admin;
        kubeconfig::text(name, url, self.ca.pem(), User::Certificate(cert_pem, key_pem))
    }

    /// Where the API server listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The same, `https://127.0.0.1:PORT`.
    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// An HTTP client with the admin's certificate.
    pub(super) fn client(&self) -> Result<Client> {
        http::with_certificate(self.ca.pem(), &self.admin)
    }

    /// Kills the API server.
    pub(super) async fn stop(&self) -> Result<()> {
        let api = self.running.lock().await.api.take();
        if let Some(api) = api {
            api.kill9().await?;
        }
        Ok(())
    }

    /// Sends both processes this signal: one that nobody uses is paused, since an API server is never quite idle.
    ///
    /// # Errors
    /// One of them does not run, or is about to be started or stopped.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let running = self.running.try_lock().context("it is being started or stopped")?;
        running.api.as_ref().context("no API server runs")?.signal(signal)?;
        running.controllers.as_ref().context("no controller manager runs")?.signal(signal)
    }

    /// Writes down whom the API server trusts when it is started next.
    pub(super) fn trust(&self, issuers: &[JwtIssuer]) -> Result<()> {
        flags::trust(&self.authentication, issuers)
    }

    /// The same, and waits until the running API server has taken it over.
    pub(super) async fn trust_now(&self, issuers: &[JwtIssuer]) -> Result<()> {
        let api = self.running.lock().await.api.clone().context("no API server runs")?;
        let taken = || api.log_tail(usize::MAX).matches("reloaded authentication config").count();
        let before = taken();
        self.trust(issuers)?;
        let changed = || async {
            ensure!(taken() > before, "it trusts whom it trusted before");
            Ok(())
        };
        api.until_ready(START, changed).await
    }

    /// Starts what does not run, on the same port, and waits until it is ready.
    pub(super) async fn start(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.api.is_none() {
            let api = Arc::new(self.api.spawn(&format!("kube-apiserver-{}", self.name))?);
            let client = self.client()?;
            api.until_ready(START, || self.answers(&client)).await?;
            running.api = Some(api);
        }
        if running.controllers.is_none() {
            let controllers = self.controllers.spawn(&format!("kube-controller-manager-{}", self.name))?;
            let client = self.client()?;
            controllers.until_ready(START, || self.roles_have_rules(&client)).await?;
            running.controllers = Some(controllers);
        }
        Ok(())
    }

    /// The last lines of the API server's log.
    pub(super) async fn log_tail(&self, lines: usize) -> String {
        let api = self.running.lock().await.api.clone();
        api.map(|api| api.log_tail(lines)).unwrap_or_default()
    }

    async fn answers(&self, client: &Client) -> Result<()> {
        let answer = client.get(format!("{}/readyz", self.url())).send().await?;
        ensure!(answer.status().is_success(), "readyz says {}", answer.text().await?);
        Ok(())
    }

    async fn roles_have_rules(&self, client: &Client) -> Result<()> {
        for role in ["view", "edit", "admin"] {
            let url = format!("{}/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}", self.url());
            let role: serde_json::Value = client.get(url).send().await?.json().await?;
            let rules = role["rules"].as_array().context("the role has no rules yet")?;
            ensure!(!rules.is_empty(), "the role has no rules yet");
        }
        Ok(())
    }
}
