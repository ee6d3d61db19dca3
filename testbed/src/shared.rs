//! The servers that all tests of one process share, each started when the first test asks for it.
//!
//! Tests run in parallel on them, so a test takes for itself what it changes: a database, a namespace, people
//! ([`Testbed::hire`]: Dex keeps one refresh token for each person and client, so two tests must not sign the same person
//! in), and a cluster of its own when it stops it or counts what is on it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, anyhow};
use tokio::sync::OnceCell;

use crate::{
    ca::Ca,
    control_plane::{ControlPlane, Pool},
    dex::Dex,
    directory::{Directory, Person},
    etcd::Etcd,
    postgres::Postgres,
    programs::Programs,
};

/// How long ID tokens of [`Testbed::short_dex`] live. client-go takes a token for expired 10 s early.
pub const SHORT: Duration = Duration::from_secs(15);

/// The servers of this process.
pub struct Testbed {
    ca: Ca,
    etcd: OnceCell<Etcd>,
    directory: OnceCell<Directory>,
    dex: OnceCell<Dex>,
    short_dex: OnceCell<Dex>,
    postgres: OnceCell<Postgres>,
    staging: OnceCell<ControlPlane>,
    production: OnceCell<ControlPlane>,
    short_cluster: OnceCell<ControlPlane>,
    pool: Pool,
}

impl Testbed {
    /// The testbed of this process. Programs that are missing are built first.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Testbed, String>> = OnceLock::new();
        tokio::task::spawn_blocking(|| {
            let shared = SHARED.get_or_init(|| Self::new().map_err(|error| format!("{error:#}")));
            shared.as_ref().map_err(|error| anyhow!("{error}"))
        })
        .await?
    }

    fn new() -> Result<Self> {
        Programs::get()?;
        Ok(Self {
            ca: Ca::new("Kubelend testbed CA")?,
            etcd: OnceCell::new(),
            directory: OnceCell::new(),
            dex: OnceCell::new(),
            short_dex: OnceCell::new(),
            postgres: OnceCell::new(),
            staging: OnceCell::new(),
            production: OnceCell::new(),
            short_cluster: OnceCell::new(),
            pool: Pool::default(),
        })
    }

    /// The CA of Dex and of every Kubelend. Clusters have CAs of their own, as real ones do.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The etcd of all clusters.
    pub async fn etcd(&self) -> Result<&Etcd> {
        self.etcd.get_or_try_init(Etcd::start).await
    }

    /// The people.
    pub async fn directory(&self) -> Result<&Directory> {
        self.directory.get_or_try_init(Directory::start).await
    }

    /// Dex, with ID tokens of 10 minutes.
    pub async fn dex(&self) -> Result<&Dex> {
        self.dex.get_or_try_init(|| async { self.new_dex(Dex::builder()).await }).await
    }

    /// Dex with ID tokens that live [`SHORT`], for tests of what happens afterwards. Who is in which group shows in the next
    /// refresh, too (with the usual reuse interval it would take 30 s).
    pub async fn short_dex(&self) -> Result<&Dex> {
        let builder = || Dex::builder().id_tokens(SHORT).reuse_interval(Duration::from_secs(1));
        self.short_dex.get_or_try_init(|| async { self.new_dex(builder()).await }).await
    }

    /// A Dex of the test's own, with the shared people.
    pub async fn new_dex(&self, builder: crate::dex::Builder) -> Result<Dex> {
        let (etcd, directory) = tokio::try_join!(self.etcd(), self.directory())?;
        builder.start(&self.ca, etcd, directory).await
    }

    /// PostgreSQL.
    pub async fn postgres(&self) -> Result<&Postgres> {
        self.postgres.get_or_try_init(Postgres::start).await
    }

    /// The first shared cluster; it trusts [`Self::dex`].
    pub async fn staging(&self) -> Result<&ControlPlane> {
        self.staging.get_or_try_init(|| self.own_cluster("staging")).await
    }

    /// The second shared cluster; it trusts [`Self::dex`].
    pub async fn production(&self) -> Result<&ControlPlane> {
        self.production.get_or_try_init(|| self.own_cluster("production")).await
    }

    /// A shared cluster that trusts [`Self::short_dex`].
    pub async fn short_cluster(&self) -> Result<&ControlPlane> {
        self.short_cluster
            .get_or_try_init(|| async {
                let issuer = self.short_dex().await?.jwt_issuer();
                ControlPlane::builder("short").jwt(issuer).start(self.etcd().await?).await
            })
            .await
    }

    /// An empty cluster for one test that trusts [`Self::dex`]. Another test gets it afterwards: one that is stopped, or trusts
    /// somebody else in the end, has to be [the test's own](Self::own_cluster).
    pub async fn new_cluster(&'static self, name: &str) -> Result<ControlPlane> {
        self.pool.take(name, self.dex().await?.jwt_issuer(), self.etcd().await?).await
    }

    /// A cluster that is started for one test and ends with it; it trusts [`Self::dex`].
    pub async fn own_cluster(&self, name: &str) -> Result<ControlPlane> {
        let issuer = self.dex().await?.jwt_issuer();
        ControlPlane::builder(name).jwt(issuer).start(self.etcd().await?).await
    }

    /// Somebody new whom no other test knows, `NAME-N@example.com`, in these groups.
    pub async fn hire(&self, name: &str, groups: &[&str]) -> Result<Person> {
        let email = format!("{name}-{}@example.com", self.unique());
        let person = Person::new(&email, &format!("{name} Example"), groups);
        self.directory().await?.put(person.clone())?;
        Ok(person)
    }

    /// A number that no other test of this process gets, for names.
    pub fn unique(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}
