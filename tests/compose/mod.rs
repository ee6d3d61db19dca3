//! The image and the trial in containers. No engine runs here, so the files are held against what would read them: Compose's
//! own loader, the real Dex, PostgreSQL and Kubelend with the configurations that the containers get, and one another.

mod file;
mod image;
mod servers;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::Programs;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Kubelend's name in the trial; nothing resolves it.
const KUBELEND: &str = "kubelend.trial.test";
/// Dex's, which leads to this machine wherever it is looked up.
const DEX: &str = "localhost";

/// The trial as somebody has set it up: in a folder of its own, with names and what the script makes.
struct Trial {
    folder: PathBuf,
    /// What Compose makes of it.
    project: Value,
}

impl Trial {
    /// Walks the first two steps.
    fn set_up() -> Result<Self> {
        let folder = testbed::run::folder("trial")?;
        copy(&folder)?;
        fs::write(folder.join(".env"), format!("HOST_KUBELEND={KUBELEND}\nHOST_DEX={DEX}\n"))?;
        let made = certificates(&folder)?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let project = serde_json::from_str(&project(&folder).map_err(anyhow::Error::msg)?)?;
        Ok(Self { folder, project })
    }

    fn service(&self, name: &str) -> &Value {
        &self.project["services"][name]
    }

    /// What a service gets at this path as a configuration, with its secrets where they are here.
    fn configuration(&self, service: &str, target: &str) -> Result<String> {
        let configs = self.service(service)["configs"].as_array().context("a list of configurations")?;
        let config = configs.iter().find(|c| c["target"] == target);
        let source = config.with_context(|| format!("{service} gets nothing at {target}"))?["source"].as_str();
        let file = self.project["configs"][source.context("a source")?]["file"].as_str().context("a file")?;
        let mut text = fs::read_to_string(file)?;
        for secret in self.service(service)["secrets"].as_array().into_iter().flatten() {
            let name = secret["source"].as_str().context("a source")?;
            text = text.replace(&format!("/run/secrets/{name}"), self.secret_file(name)?);
        }
        ensure!(!text.contains("/run/secrets/"), "{service} has no such secret: {text}");
        Ok(text)
    }

    fn secret_file(&self, name: &str) -> Result<&str> {
        self.project["secrets"][name]["file"].as_str().with_context(|| format!("no secret {name}"))
    }

    fn secret(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(self.secret_file(name)?)?.trim().to_owned())
    }

    /// The variables that a service gets.
    fn environment(&self, service: &str) -> Result<Vec<(String, String)>> {
        let all = self.service(service)["environment"].as_object().context("variables")?;
        all.iter().map(|(name, value)| Ok((name.clone(), value.as_str().context("a text")?.to_owned()))).collect()
    }
}

/// The compose file and what belongs to it.
fn copy(folder: &Path) -> Result<()> {
    fs::copy(root().join("docker-compose.yml"), folder.join("docker-compose.yml"))?;
    let to = folder.join("deploy/compose");
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(root().join("deploy/compose"))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn certificates(folder: &Path) -> Result<Output> {
    Ok(Command::new(folder.join("deploy/compose/certificates.sh")).env_clear().env("PATH", SYSTEM).output()?)
}

const SYSTEM: &str = "/usr/local/bin:/usr/bin:/bin";

/// What Compose makes of a folder's file, or what it says against it.
fn project(folder: &Path) -> Result<String, String> {
    let program = Programs::get().map_err(|e| e.to_string())?.path("compose");
    let output = Command::new(program).arg("project").arg(folder).env_clear().output().map_err(|e| e.to_string())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Puts something else where something stands, which has to be there.
fn swap(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "“{from}” is not in: {text}");
    text.replace(from, to)
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}
