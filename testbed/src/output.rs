//! A program that prints something, ends, and has an exit code: what a person runs in a terminal.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    process::{Child, Command, Exit},
    run,
};

/// What a program printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Did it end with code 0?
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output, or an error with all that was said.
    pub fn ok(self) -> Result<String> {
        ensure!(self.success(), "ended with {:?}: {}{}", self.code, self.stderr, self.stdout);
        Ok(self.stdout)
    }
}

/// Such a program while it runs. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
}

impl Running {
    /// Starts one and gives it something to read.
    pub(crate) fn start(command: Command, name: &str, input: &str) -> Result<Self> {
        let folder = run::folder(name)?;
        let (stdin, stdout) = (folder.join("stdin"), folder.join("stdout"));
        fs::write(&stdin, input)?;
        let child = command.stdin(&stdin).stdout(&stdout).spawn(name)?;
        Ok(Self { child, stdout })
    }

    /// Waits until what it printed begins with these words, and returns the rest of that line.
    pub async fn says(&self, words: &str) -> Result<String> {
        let said = async || {
            let line = printed(&self.stdout)?.lines().find_map(|line| Some(line.strip_prefix(words)?.to_owned()));
            line.with_context(|| format!("it does not say {words:?} yet"))
        };
        self.child.until_ready(Duration::from_secs(30), said).await
    }

    /// Waits for its end.
    pub async fn output(&self, within: Duration) -> Result<Output> {
        let code = match self.child.wait(within).await? {
            Exit::Code(code) => Some(code),
            Exit::Signal(_) => None,
            Exit::Lost => return Err(self.child.explain(anyhow!("its keeper went away"))),
        };
        Ok(Output { code, stdout: printed(&self.stdout)?, stderr: printed(self.child.log())? })
    }

    /// Adds what it complained of to an error.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        self.child.explain(error)
    }
}

fn printed(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
