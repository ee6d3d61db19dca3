//! Nothing that a test process started survives it, however it ends.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testbed::{Programs, eventually};

/// Starts the helper and waits until a database, an etcd and a browser run below it.
fn start(how: &str) -> Result<(Child, PathBuf)> {
    Programs::get()?;
    // A shell lets what it starts in the background ignore Ctrl-C, and that is inherited.
    let mut parent = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_testbed"), "orphans", how])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(parent.stdout.take().context("its output")?).read_line(&mut line)?;
    let logs = line.trim().strip_prefix("ready ").with_context(|| format!("it said {line:?}"))?;
    let run = Path::new(logs).parent().context("logs are in the run's folder")?;
    Ok((parent, run.to_owned()))
}

/// The processes whose command line or working directory names the run's folder: servers, keepers, their descendants.
fn alive(run: &Path) -> Result<Vec<String>> {
    let run = run.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let process = entry.path();
        let Ok(command) = std::fs::read(process.join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let folder = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        if command.contains(&run) || folder.starts_with(&run) {
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

async fn nothing_is_left(run: &Path) -> Result<()> {
    eventually("every process to be gone", Duration::from_secs(10), || async {
        let left = alive(run)?;
        ensure!(left.is_empty(), "left: {left:#?}");
        ensure!(!run.join("data").exists(), "its data is still there");
        Ok(())
    })
    .await?;
    ensure!(run.join("logs").exists(), "logs are kept");
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
