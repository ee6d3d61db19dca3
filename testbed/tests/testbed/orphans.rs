//! Nothing that a test process started survives it, however it ends.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testbed::{Programs, eventually};

/// Where the helper's logs and data are.
struct Run {
    logs: PathBuf,
    data: PathBuf,
}

/// Starts the helper and waits until a database, an etcd and a browser run below it.
fn start(how: &str) -> Result<(Child, Run)> {
    Programs::get()?;
    // A shell lets what it starts in the background ignore Ctrl-C, and that is inherited.
    let mut parent = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_testbed"), "orphans", how])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(parent.stdout.take().context("its output")?).read_line(&mut line)?;
    let folders = line.trim().strip_prefix("ready ").and_then(|folders| folders.split_once(' '));
    let (logs, data) = folders.with_context(|| format!("it said {line:?}"))?;
    Ok((parent, Run { logs: logs.into(), data: data.into() }))
}

/// The processes whose command line or working directory names one of the run's folders: servers, keepers, their descendants.
fn alive(run: &Run) -> Result<Vec<String>> {
    let names = [&run.logs, &run.data].map(|folder| folder.display().to_string());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let process = entry.path();
        let Ok(command) = std::fs::read(process.join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let folder = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        if names.iter().any(|name| command.contains(name) || folder.starts_with(name)) {
            found.push(format!("{} {command}", entry.file_name().display()));
        }
    }
    Ok(found)
}

/// Waits until the helper has ended; one that does not is ended.
async fn end_of(parent: &mut Child) -> Result<ExitStatus> {
    let ended = eventually("the helper to end", Duration::from_secs(30), || {
        let ended = parent.try_wait();
        async { ended?.context("it runs on") }
    });
    let ended = ended.await;
    if ended.is_err() {
        parent.kill()?;
    }
    ended
}

async fn nothing_is_left(run: &Run) -> Result<()> {
    eventually("every process to be gone", Duration::from_secs(10), || async {
        let left = alive(run)?;
        ensure!(left.is_empty(), "left: {left:#?}");
        ensure!(!run.data.exists(), "its data is still there");
        Ok(())
    })
    .await?;
    ensure!(run.logs.exists(), "logs are kept");
    Ok(())
}

async fn killed_by(signal: Signal) -> Result<()> {
    let (mut parent, run) = start("wait")?;
    let count = alive(&run)?.len();
    ensure!(count > 10, "servers, keepers and their workers run: {count}");
    kill(Pid::from_raw(i32::try_from(parent.id())?), signal)?;
    end_of(&mut parent).await?;
    nothing_is_left(&run).await
}

#[tokio::test]
async fn nothing_survives_a_panic() -> Result<()> {
    let (mut parent, run) = start("panic")?;
    ensure!(!end_of(&mut parent).await?.success(), "it panicked");
    nothing_is_left(&run).await
}

#[tokio::test]
async fn nothing_survives_ctrl_c() -> Result<()> {
    killed_by(Signal::SIGINT).await
}

#[tokio::test]
async fn nothing_survives_sigkill() -> Result<()> {
    killed_by(Signal::SIGKILL).await
}
