//! A PostgreSQL server of our own, with a database for each test.
//!
//! It refuses to run as root, so as root it runs as the system's `postgres` user (or `nobody`). What makes it safe across a
//! power cut is switched off, since its data lives no longer than the test process; a stop by [`Postgres::stop`] loses nothing.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::Signal,
    unistd::{User, getuid},
};
use tokio::sync::Mutex;

use crate::{
    ports::Port,
    process::{Child, Command, Exit},
    run, system,
};

const USER: &str = "kubelend";
const PASSWORD: &str = "password";

/// A running PostgreSQL on a loopback port.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    server: Command,
    child: Mutex<Option<Child>>,
    user: &'static str,
    port: Port,
    spent: Arc<StdMutex<Vec<String>>>,
}

/// Held while a database is in use. An empty one takes 8 MB and there is one for each test, so they go one after the other.
#[derive(Debug)]
pub struct InUse {
    url: String,
    spent: Arc<StdMutex<Vec<String>>>,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.url));
    }
}

impl Postgres {
    /// Makes an empty data folder and starts a server on it.
    pub async fn start() -> Result<Self> {
        // Everybody on loopback is believed: there are thousands of connections, and to prove a password costs both sides more than
        // most of them do.
        Self::start_with(USER, "trust").await
    }

    /// The same with a superuser of this name, who has to prove the password.
    pub async fn start_as(user: &'static str) -> Result<Self> {
        Self::start_with(user, "scram-sha-256").await
    }

    async fn start_with(user: &'static str, authentication: &str) -> Result<Self> {
        let (bin, port) = (system::postgres_bin()?, Port::free()?);
        let folder = run::folder("postgres")?;
        let data = folder.join("data");
        let password = folder.join("password");
        fs::write(&password, PASSWORD)?;
        let account = account()?;
        if let Some((uid, gid)) = account {
            chown(&folder, Some(uid), Some(gid))?;
            chown(&password, Some(uid), Some(gid))?;
        }
        let as_account = |command: Command| match account {
            Some((uid, gid)) => command.user(uid, gid),
            None => command,
        };
        let initdb = as_account(Command::new(bin.join("initdb")).dir(&folder))
            .args(["--username", user, "--auth", authentication, "--encoding=UTF8", "--no-locale", "--no-sync"])
            .arg("--wal-segsize=4")
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .spawn("initdb")?;
        let exit = initdb.wait(Duration::from_mins(1)).await?;
        ensure!(exit == Exit::Code(0), initdb.explain(anyhow::anyhow!("initdb ended: {exit:?}")));

        // Immediate shutdown (SIGQUIT) also gives back the shared memory.
        let mut server = as_account(Command::new(bin.join("postgres")).dir(&folder).farewell(Signal::SIGQUIT));
        server = server.arg("-D").arg(&data);
        for setting in [
            &format!("port={}", port.number()),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "autovacuum=off",
            "max_connections=300",
            "shared_buffers=32MB",
            "dynamic_shared_memory_type=mmap",
            // Its log is read by nobody: little of it is kept.
            "wal_level=minimal",
            "max_wal_senders=0",
            "min_wal_size=8MB",
            "max_wal_size=32MB",
        ] {
            server = server.arg("-c").arg(setting);
        }
        let postgres = Self { bin, server, child: Mutex::default(), user, port, spent: Arc::default() };
        postgres.resume().await?;
        Ok(postgres)
    }

    /// Makes an empty database and returns its URL. Those that nobody uses any more ([`Self::in_use`]) are dropped before.
    pub async fn create_database(&self) -> Result<String> {
        self.create("template1").await
    }

    /// The same with all that another database of this server holds. Nobody may be connected to that one.
    pub async fn copy_database(&self, url: &str) -> Result<String> {
        self.create(name_of(url)?).await
    }

    async fn create(&self, template: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let spent = std::mem::take(&mut *self.spent.lock().unwrap_or_else(PoisonError::into_inner));
        let mut arguments = Vec::new();
        for url in spent {
            arguments.push(format!("--command=DROP DATABASE IF EXISTS {} WITH (FORCE)", name_of(&url)?));
        }
        // Copied as files, the new one also has what the server keeps to start a connection quickly.
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        arguments.push(format!("--command=CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"));
        let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        self.psql(&self.url("postgres"), &arguments).await?;
        Ok(self.url(&name))
    }

    /// The database of this URL is in use until what comes back is dropped; then it goes.
    pub fn in_use(&self, url: &str) -> InUse {
        InUse { url: url.to_owned(), spent: Arc::clone(&self.spent) }
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}:{PASSWORD}@{}/{database}", self.user, self.port.address())
    }

    /// The port, to put a fault in front of it.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Runs SQL as the server's superuser and returns what `psql` prints, unaligned.
    pub async fn sql(&self, database: &str, sql: &str) -> Result<String> {
        self.psql(&self.url(database), &["--command".as_ref(), sql.as_ref()]).await
    }

    /// Runs a file of SQL and of `psql`'s own commands in the same way.
    pub async fn script(&self, database: &str, script: &Path) -> Result<String> {
        self.psql(&self.url(database), &["--file".as_ref(), script.as_os_str()]).await
    }

    async fn psql(&self, url: &str, arguments: &[&OsStr]) -> Result<String> {
        let file = run::folder("psql")?.join("output");
        let child = Command::new(self.bin.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .arg(url)
            .args(arguments)
            .stdout(&file)
            .spawn("psql")?;
        let exit = child.wait(Duration::from_mins(1)).await?;
        ensure!(exit == Exit::Code(0), child.explain(anyhow::anyhow!("psql ended: {exit:?}")));
        fs::read_to_string(&file).context("read psql's output")
    }

    /// Kills the server: the database is down, its data stays.
    pub async fn stop(&self) -> Result<()> {
        let child = self.child.lock().await.take();
        match child {
            // SIGQUIT and not SIGKILL: a killed server's shared memory would keep the next one from starting.
            Some(child) => {
                child.signal(Signal::SIGQUIT)?;
                child.wait(Duration::from_secs(10)).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Starts the server again on the same data and port, unless it runs.
    pub async fn resume(&self) -> Result<()> {
        let mut running = self.child.lock().await;
        if running.is_none() {
            let child = self.server.spawn("postgres")?;
            child.until_ready(Duration::from_secs(30), || self.sql("postgres", "SELECT 1")).await?;
            *running = Some(child);
        }
        Ok(())
    }
}

fn name_of(url: &str) -> Result<&str> {
    url.rsplit('/').next().context("a database URL has a name")
}

/// The user to run as, when we are root.
fn account() -> Result<Option<(u32, u32)>> {
    if !getuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres")?.or(User::from_name("nobody")?);
    let user = user.context("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}
