//! A server of ours, alive no longer than whoever started it.
//!
//! Every program runs under a *keeper* (`testbed/keeper`), which holds the read end of a pipe whose write end is here.
//! The kernel closes ours when this process ends, also by SIGKILL, and the keeper then ends the program with everything
//! it started. The environment is empty but for what is set here: an inherited `HTTPS_PROXY`, `SSL_CERT_FILE` or
//! `KUBECONFIG` would change what the programs do.

use std::{
    ffi::{OsStr, OsString},
    fmt, fs,
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child as Keeper, Command as Spawn, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{sync::watch, time::timeout};

use crate::{programs::Programs, ready::eventually, run};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Unknown: its keeper went first.
    Lost,
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    keeper: Vec<OsString>,
}

impl Command {
    /// Runs this program, given by its path, with an environment of its own.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("HOME", "/nonexistent")];
        Self {
            program: program.into(),
            args: Vec::new(),
            env: env.map(|(name, value)| (name.into(), value.into())).to_vec(),
            keeper: Vec::new(),
        }
    }

    /// Runs a program of ours or one that is built for the testbed (see [`Programs::path`]). They are written in Go and either live
    /// for a moment or hold little: a collector that only begins at a bound saves them a third of their work. Many of them run at
    /// once, so that one has nothing to win from a second core, and loses what its threads wake one another for.
    ///
    /// # Errors
    /// The programs cannot be built.
    pub fn built(name: &str) -> Result<Self> {
        Ok(Self::new(Programs::get()?.path(name)).env("GOGC", "off").env("GOMEMLIMIT", "640MiB").env("GOMAXPROCS", "1"))
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(known, _)| known != name.as_ref());
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(self, dir: &Path) -> Self {
        self.keep("-dir", dir)
    }

    /// Runs as another user (when we are root).
    #[must_use]
    pub fn user(self, uid: u32, gid: u32) -> Self {
        self.keep("-uid", uid.to_string()).keep("-gid", gid.to_string())
    }

    /// Lets the program clean up for two seconds after this signal when we go.
    #[must_use]
    pub fn farewell(self, signal: Signal) -> Self {
        self.keep("-farewell", (signal as i32).to_string())
    }

    /// Gives the program this file to read.
    #[must_use]
    pub fn stdin(self, file: &Path) -> Self {
        self.keep("-stdin", file)
    }

    /// Writes the program's output to this file, apart from its errors.
    #[must_use]
    pub fn stdout(self, file: &Path) -> Self {
        self.keep("-stdout", file)
    }

    fn keep(mut self, option: &str, value: impl AsRef<OsStr>) -> Self {
        self.keeper.extend([option.into(), value.as_ref().to_owned()]);
        self
    }

    /// Starts the program; its output goes to a log that is named after it.
    pub fn spawn(&self, name: &str) -> Result<Child> {
        let log = run::log_file(name)?;
        let mut keeper = Spawn::new(Programs::get()?.path("keeper"))
            .args(&self.keeper)
            .arg("--")
            .arg(&self.program)
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).with_context(|| format!("create {}", log.display()))?)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let reports = keeper.stdout.take().context("a keeper reports on its output")?;
        let (started, pid) = mpsc::channel();
        let (ended, exit) = watch::channel(None);
        thread::Builder::new().name(format!("keeper of {name}")).spawn(move || {
            for line in BufReader::new(reports).lines().map_while(Result::ok) {
                match line.split_once(' ').map(|(what, value)| (what, value.parse())) {
                    Some(("pid", Ok(pid))) => drop(started.send(pid)),
                    Some(("exit", Ok(code))) => drop(ended.send_replace(Some(Exit::Code(code)))),
                    Some(("signal", Ok(signal))) => drop(ended.send_replace(Some(Exit::Signal(signal)))),
                    _ => {}
                }
            }
            ended.send_if_modified(|exit| exit.is_none().then(|| *exit = Some(Exit::Lost)).is_some());
        })?;
        let mut child = Child { name: name.to_owned(), pid: 0, keeper, exit, log };
        child.pid = pid
            .recv_timeout(Duration::from_secs(10))
            .map_err(|_| child.explain(anyhow::anyhow!("{name} did not start")))?;
        Ok(child)
    }
}

/// A running program. Dropping it ends the program and all its descendants.
pub struct Child {
    name: String,
    pid: i32,
    keeper: Keeper,
    exit: watch::Receiver<Option<Exit>>,
    log: PathBuf,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

impl Child {
    /// The program's process id (not its keeper's).
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// How the program ended, once it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Becomes `Some` when the program ends.
    pub(crate) fn exit_watch(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// Waits for the program's end.
    pub async fn wait(&self, within: Duration) -> Result<Exit> {
        let mut exit = self.exit.clone();
        let ended = timeout(within, exit.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(exit)) => Ok(exit.unwrap_or(Exit::Lost)),
            Ok(Err(_)) => Ok(Exit::Lost),
            Err(_) => bail!(self.explain(anyhow::anyhow!("{} did not end within {within:?}", self.name))),
        }
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.exit().is_none() {
            kill(Pid::from_raw(self.pid), signal).with_context(|| format!("send {signal} to {}", self.name))?;
        }
        Ok(())
    }

    /// Kills the program as a power cut would, and waits until it is gone.
    pub async fn kill9(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// Asks the program to end and waits for it.
    pub async fn terminate(&self, within: Duration) -> Result<Exit> {
        self.signal(Signal::SIGTERM)?;
        self.wait(within).await
    }

    /// Asks until the program is ready; fails at once when it has ended.
    pub async fn until_ready<T, F, Fut>(&self, within: Duration, mut ask: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut exit = self.exit.clone();
        let what = format!("{} to be ready", self.name);
        let ready = eventually(&what, within, &mut ask);
        let outcome = tokio::select! {
            ready = ready => ready,
            _ = exit.wait_for(Option::is_some) => Err(anyhow::anyhow!("{} ended: {:?}", self.name, self.exit())),
        };
        outcome.map_err(|error| self.explain(error))
    }

    /// The file with the program's output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of the program's output.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Adds the end of the log to an error.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let end = format!("the end of {}:\n{}\n(end of the log)", self.log.display(), self.log_tail(20));
        error.context(end)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Milliseconds, or the two seconds of a farewell: then whatever the program wrote to is quiet.
        drop(self.keeper.wait());
    }
}
