//! One etcd for everything that needs one: each API server has a prefix of its own in it, and Dex keeps its keys there.
//!
//! Dex forgets its signing keys with memory storage, and API servers then go on refusing its new tokens with the keys they
//! remember; so its storage has to outlive it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    http,
    ports::Port,
    process::{Child, Command},
    run,
};

/// A single-member etcd on loopback.
#[derive(Debug)]
pub struct Etcd {
    child: Child,
    port: Port,
    _peers: Port,
}

impl Etcd {
    /// Starts one with an empty data folder.
    pub async fn start() -> Result<Self> {
        let (port, peers) = (Port::free()?, Port::free()?);
        let clients = format!("http://{}", port.address());
        let peer = format!("http://{}", peers.address());
        let child = Command::built("etcd")?
            .arg(format!("--data-dir={}", run::folder("etcd")?.display()))
            .arg(format!("--listen-client-urls={clients}"))
            .arg(format!("--advertise-client-urls={clients}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--unsafe-no-fsync", "--log-level=warn"])
            .spawn("etcd")?;
        let client = http::plain()?;
        let health = format!("{clients}/health");
        child
            .until_ready(Duration::from_secs(30), || async {
                let answer = client.get(&health).send().await?;
                ensure!(answer.status().is_success(), "health says {}", answer.status());
                Ok(())
            })
            .await?;
        Ok(Self { child, port, _peers: peers })
    }

    /// The address of its client interface.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// The process.
    pub fn child(&self) -> &Child {
        &self.child
    }
}
