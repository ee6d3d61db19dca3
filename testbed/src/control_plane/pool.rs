//! Control planes that are used by one test after the other.
//!
//! To start one costs more of the machine than most tests that run on it. So a cluster that a test is done with is emptied and
//! handed to the next one: what is on it that was not there when it was new goes, and where something that belongs to it is not
//! as it was, the whole cluster goes. Each test has an address of its own for it, which ends with the test: whatever still lives
//! of the test before, a Kubelend that puts back what is missing with a certificate that nobody can revoke, reaches nothing.

use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{ControlPlane, JwtIssuer, Server, objects::Objects};
use crate::{etcd::Etcd, fault::FaultProxy, ports::Port, run};

/// As many wait for the next test; more are ended, since each holds memory and five of the 128 file watches that a user has.
const MOST: usize = 5;

/// Clusters that are alike, all with the same trust.
#[derive(Default)]
pub struct Pool {
    resting: Mutex<Vec<Resting>>,
}

/// A cluster that nobody uses, and what was on it when it was new.
struct Resting {
    server: Arc<Server>,
    new: Arc<Objects>,
}

impl Resting {
    async fn restored(&self) -> Result<()> {
        self.server.signal(Signal::SIGCONT)?;
        self.new.restore(&self.server).await
    }
}

/// One test's use of a cluster.
pub(super) struct Lease {
    pool: &'static Pool,
    /// Taken when the lease ends.
    cluster: Option<Resting>,
    _front: FaultProxy,
}

impl Pool {
    /// An empty cluster under this name, in use until it is dropped.
    ///
    /// # Errors
    /// A new one does not start.
    pub async fn take(&'static self, name: &str, issuer: JwtIssuer, etcd: &Etcd) -> Result<ControlPlane> {
        let cluster = match self.emptied().await {
            Some(cluster) => cluster,
            None => start(issuer, etcd).await?,
        };
        let front = FaultProxy::start(cluster.server.address())?;
        let server_url = format!("https://{}", front.address());
        let text = cluster.server.kubeconfig(name, &server_url);
        let admin_kubeconfig = run::folder(&format!("cluster-{name}"))?.join("admin.kubeconfig");
        fs::write(&admin_kubeconfig, &text)?;
        Ok(ControlPlane {
            name: name.to_owned(),
            server_url,
            admin_kubeconfig,
            text,
            server: Arc::clone(&cluster.server),
            lease: Some(Lease { pool: self, cluster: Some(cluster), _front: front }),
        })
    }

    /// One that was used before, as it was when it was new. Those that cannot be made so are ended on the way: a test that changed
    /// what belongs to a cluster costs the next one its time, and nothing else.
    async fn emptied(&self) -> Option<Resting> {
        loop {
            let cluster = self.resting().pop()?;
            if cluster.restored().await.is_ok() {
                return Some(cluster);
            }
        }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(cluster) = self.cluster.take() else { return };
        let mut resting = self.pool.resting();
        if resting.len() < MOST && cluster.server.signal(Signal::SIGSTOP).is_ok() {
            resting.push(cluster);
        }
    }
}

async fn start(issuer: JwtIssuer, etcd: &Etcd) -> Result<Resting> {
    let server = Server::prepare("pool", &run::folder("cluster-pool")?, Port::free()?, &[issuer], &[], etcd)?;
    server.start().await?;
    let new = Objects::of_a_new(&server).await?;
    Ok(Resting { server: Arc::new(server), new: Arc::new(new) })
}
