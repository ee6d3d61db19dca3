//! Kubelend itself, the real binary with a configuration file, as an operator runs it.
//!
//! It can be killed and started again on the same port: a browser or a kubeconfig that knows its address goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use crate::{
    ca::Ca,
    http,
    ports::Port,
    process::{Child, Command, Exit},
    run,
};

/// Where a Kubelend will be, before it runs: its configuration has to name its own address.
#[derive(Debug)]
pub struct Place {
    port: Port,
    folder: PathBuf,
    ca_pem: String,
    ca_file: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    /// A free port, a data folder and a server certificate of this CA.
    pub fn new(ca: &Ca) -> Result<Self> {
        Self::at(ca, Port::free()?, &run::folder("kubelend")?)
    }

    /// The same at a port and in a folder that are given.
    pub fn at(ca: &Ca, port: Port, folder: &Path) -> Result<Self> {
        let issued = ca.server(&format!("kubelend-{}", port.number()), &[])?;
        Ok(Self {
            port,
            folder: folder.to_owned(),
            ca_pem: ca.pem().to_owned(),
            ca_file: ca.path(),
            certificate: issued.cert,
            key: issued.key,
        })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// Where Kubelend's sign-in ends for a provider: Dex has to know it.
    pub fn callback(&self, provider: &str) -> String {
        format!("{}/auth/callback/{provider}", self.url())
    }

    /// HOST:PORT to listen on.
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The first lines of a configuration: address, TLS, data folder, database and loopback.
    pub fn configuration(&self, database_url: &str) -> String {
        format!(
            "public_url = {}\npublic_ca_file = {}\ndata_dir = {}\n\n[listen]\naddress = {}\ntls_certificate = {}\ntls_key = {}\n\n\
             [database]\nurl = {}\n\n[network]\nallow_loopback = true\n",
            quoted(&self.url()),
            quoted(&self.ca_file.to_string_lossy()),
            quoted(&self.folder.to_string_lossy()),
            quoted(&self.address()),
            quoted(&self.certificate.to_string_lossy()),
            quoted(&self.key.to_string_lossy()),
            quoted(database_url),
        )
    }

    /// The URL of a SQLite file in the data folder.
    pub fn sqlite(&self) -> String {
        format!("sqlite://{}", self.folder.join("kubelend.db").display())
    }
}

/// A TOML string. JSON's escapes are among TOML's.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A running Kubelend.
#[derive(Debug)]
pub struct Kubelend {
    place: Place,
    command: Command,
    child: Mutex<Option<Child>>,
}

impl Kubelend {
    /// Starts `binary serve` with this configuration and waits until it is ready.
    pub async fn start(binary: &Path, place: Place, configuration: &str) -> Result<Self> {
        Self::start_with(binary, place, configuration, &[]).await
    }

    /// The same with environment variables.
    pub async fn start_with(binary: &Path, place: Place, configuration: &str, env: &[(&str, &str)]) -> Result<Self> {
        let kubelend = Self::prepare(binary, place, configuration, env)?;
        kubelend.resume().await?;
        Ok(kubelend)
    }

    /// Writes the configuration without starting anything.
    pub fn prepare(binary: &Path, place: Place, configuration: &str, env: &[(&str, &str)]) -> Result<Self> {
        let file = place.folder.join("kubelend.toml");
        fs::write(&file, configuration).with_context(|| format!("write {}", file.display()))?;
        let mut command = Command::new(binary).args(["serve", "--config"]).arg(&file).env("HOME", &place.folder);
        for (name, value) in env {
            command = command.env(name, value);
        }
        Ok(Self { place, command, child: Mutex::default() })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.place.url()
    }

    /// Where it is and keeps its data.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The process id, while it runs.
    pub async fn pid(&self) -> Option<i32> {
        self.child.lock().await.as_ref().map(Child::pid)
    }

    /// Kills it as a power cut would.
    pub async fn kill9(&self) -> Result<()> {
        let child = self.child.lock().await.take();
        match child {
            Some(child) => child.kill9().await,
            None => Ok(()),
        }
    }

    /// Asks it to end and says how it did.
    pub async fn terminate(&self) -> Result<Exit> {
        let child = self.child.lock().await.take().context("Kubelend does not run")?;
        child.terminate(Duration::from_secs(30)).await
    }

    /// Sends a signal.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        self.child.lock().await.as_ref().context("Kubelend does not run")?.signal(signal)
    }

    /// Waits, without a bound, until it ends by itself; `None` when it does not run.
    pub async fn ended(&self) -> Option<Exit> {
        let mut exit = self.child.lock().await.as_ref()?.exit_watch();
        let ended = exit.wait_for(Option::is_some).await;
        ended.map_or(Some(Exit::Lost), |exit| *exit)
    }

    /// Starts it, unless it runs, on the same port and data, and waits until it is ready.
    pub async fn resume(&self) -> Result<()> {
        let mut running = self.child.lock().await;
        if running.is_none() {
            let child = self.command.spawn("kubelend")?;
            let client = http::client(&self.place.ca_pem)?;
            let ready = format!("{}/readyz", self.place.url());
            child
                .until_ready(Duration::from_secs(30), || async {
                    let answer = client.get(&ready).send().await?;
                    ensure!(answer.status().is_success(), "readyz says {}", answer.status());
                    Ok(())
                })
                .await?;
            *running = Some(child);
        }
        Ok(())
    }

    /// Kills it and starts it again.
    pub async fn restart(&self) -> Result<()> {
        self.kill9().await?;
        self.resume().await
    }

    /// The last lines of its log (of the running process).
    pub async fn log_tail(&self, lines: usize) -> String {
        self.child.lock().await.as_ref().map(|child| child.log_tail(lines)).unwrap_or_default()
    }

    /// The file of the running process's log.
    pub async fn log(&self) -> Option<PathBuf> {
        self.child.lock().await.as_ref().map(|child| child.log().to_owned())
    }
}
