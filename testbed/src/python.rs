//! Python with the official client of Kubernetes, as programs use it.
//!
//! Its environment is clean and its home is a folder of its own, as kubectl's is in [`crate::Kubectl`].

use std::{path::PathBuf, time::Duration};

use anyhow::Result;

use crate::{
    output::{Output, Running},
    process::Command,
    programs::Programs,
    run,
};

/// Python with a home.
#[derive(Debug, Clone)]
pub struct Python {
    home: PathBuf,
}

impl Python {
    /// With an empty home.
    pub fn new() -> Result<Self> {
        Ok(Self { home: run::folder("home")? })
    }

    /// Starts a program, given by its text, with arguments.
    pub fn start<S: AsRef<str>>(&self, program: &str, args: &[S]) -> Result<Running> {
        // -I: nothing of the machine's or the user's own packages; -u: what is printed can be read at once.
        let command = Command::new(Programs::get()?.python())
            .args(["-I", "-u", "-c", program])
            .args(args.iter().map(AsRef::as_ref))
            .env("HOME", &self.home)
            .dir(&self.home);
        Running::start(command, "python", "")
    }

    /// Runs one, one minute at most.
    pub async fn run<S: AsRef<str>>(&self, program: &str, args: &[S]) -> Result<Output> {
        self.start(program, args)?.output(Duration::from_mins(1)).await
    }
}
