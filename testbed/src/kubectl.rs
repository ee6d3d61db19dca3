//! kubectl, the one that the testbed built, as a person uses it with a kubeconfig.
//!
//! Its environment is clean and its home is a folder of its own: a kubectl or a kubeconfig that happens to be on the
//! machine changes nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Client;

use crate::{
    http,
    output::{Output, Running},
    process::Command,
    programs::Programs,
    run,
};

/// kubectl with a kubeconfig file.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    /// With this file, which kubectl may write to (new tokens).
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        Ok(Self { kubeconfig: kubeconfig.to_owned(), home: run::folder("home")? })
    }

    /// With a kubeconfig's text, kept in a file of its own.
    pub fn with_text(kubeconfig: &str) -> Result<Self> {
        let home = run::folder("home")?;
        let file = home.join("kubeconfig");
        fs::write(&file, kubeconfig)?;
        Ok(Self { kubeconfig: file, home })
    }

    /// The kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubeconfig's text as it is now.
    pub fn kubeconfig_text(&self) -> Result<String> {
        fs::read_to_string(&self.kubeconfig).context("read the kubeconfig")
    }

    /// Puts a command of this person's own, a shell script, before all others on the PATH.
    pub fn with_command(self, name: &str, script: &str) -> Result<Self> {
        let folder = self.home.join("bin");
        fs::create_dir_all(&folder)?;
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(self)
    }

    /// This person's home folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Starts kubectl with arguments, to do something else before it ends.
    pub fn start<S: AsRef<str>>(&self, args: &[S]) -> Result<Running> {
        let command = Command::built("kubectl")?.args(args.iter().map(AsRef::as_ref));
        Running::start(self.prepared(command)?, "kubectl", "")
    }

    /// Runs kubectl with arguments, one minute at most.
    pub async fn run<S: AsRef<str>>(&self, args: &[S]) -> Result<Output> {
        self.run_with_input(args, "").await
    }

    /// Runs kubectl and gives it something to read (`apply -f -`).
    pub async fn run_with_input<S: AsRef<str>>(&self, args: &[S], input: &str) -> Result<Output> {
        let command = Command::built("kubectl")?.args(args.iter().map(AsRef::as_ref));
        self.finish(command, input).await
    }

    /// Runs a shell script in which `kubectl` is this kubectl: for commands as a page shows them.
    pub async fn shell(&self, script: &str) -> Result<Output> {
        self.finish(Command::new("/bin/bash").args(["-euo", "pipefail", "-c", script]), "").await
    }

    /// Runs kubelogin, the plugin `kubectl oidc-login`, by itself.
    pub async fn kubelogin<S: AsRef<str>>(&self, args: &[S]) -> Result<Output> {
        let command = Command::built("kubelogin")?.args(args.iter().map(AsRef::as_ref));
        self.finish(command, "").await
    }

    /// Starts `kubectl proxy`: one process that reads its kubeconfig once and then lives on what it has in memory, as k9s, an
    /// editor or a long `port-forward` do.
    pub async fn proxy(&self) -> Result<Proxy> {
        let command = Command::built("kubectl")?.args(["proxy", "--port=0"]);
        let process = Running::start(self.prepared(command)?, "kubectl-proxy", "")?;
        let address = process.says("Starting to serve on ").await?;
        Ok(Proxy { process, url: format!("http://{address}"), http: http::plain()? })
    }

    /// As this person runs things.
    fn prepared(&self, command: Command) -> Result<Command> {
        let (own, plugins) = (self.home.join("bin"), Programs::get()?.commands());
        Ok(command
            .env("PATH", format!("{}:{}:/usr/local/bin:/usr/bin:/bin", own.display(), plugins.display()))
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.home.join("cache"))
            .dir(&self.home))
    }

    async fn finish(&self, command: Command, input: &str) -> Result<Output> {
        Running::start(self.prepared(command)?, "kubectl", input)?.output(Duration::from_mins(1)).await
    }
}

/// A running `kubectl proxy`.
#[derive(Debug)]
pub struct Proxy {
    process: Running,
    url: String,
    http: Client,
}

impl Proxy {
    /// Asks the API server for this path (and query) by way of it, and reads the whole answer.
    pub async fn get(&self, path: &str) -> Result<String> {
        let answer = async {
            let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "{path}: {status}: {text}");
            Ok(text)
        };
        answer.await.map_err(|error| self.process.explain(error))
    }
}
