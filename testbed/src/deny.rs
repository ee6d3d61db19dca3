//! Checks what comes into the build against `deny.toml`: licences, banned crates, sources.
//!
//! cargo-deny does this and more, and reads the same file, but takes minutes to build; `make check` should not need it on a
//! fresh machine. (`scripts/deny.sh` runs cargo-deny where it is installed.)

mod licence;

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Checks the workspace in the current folder.
pub(crate) fn run() -> Result<()> {
    let rules: Rules = toml::from_str(&fs::read_to_string("deny.toml").context("read deny.toml")?)?;
    let output = Command::new("cargo").args(["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read cargo's metadata")?;
    let faults: Vec<String> = metadata.packages.iter().flat_map(|package| rules.faults(package)).collect();
    ensure!(faults.is_empty(), "deny.toml forbids:\n{}", faults.join("\n"));
    println!("deny.toml allows all of {} packages", metadata.packages.len());
    Ok(())
}

impl Rules {
    fn faults(&self, package: &Package) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(format!("{} {}: {what}", package.name, package.version));
        if let Some(ban) = self.bans.deny.iter().find(|ban| ban.name == package.name) {
            fault(format!("banned ({})", ban.reason));
        }
        // Without a source it is a member of this workspace.
        if let Some(source) = &package.source {
            let registry = source.strip_prefix("registry+");
            if registry.is_none_or(|registry| !self.sources.allow_registry.iter().any(|known| known == registry)) {
                fault(format!("comes from {source}"));
            }
        }
        let excepted = self.licenses.exceptions.iter().filter(|exception| exception.name == package.name);
        let allow: Vec<String> =
            self.licenses.allow.iter().chain(excepted.flat_map(|exception| &exception.allow)).cloned().collect();
        match package.license.as_deref().map(|licence| licence::allowed(licence, &allow)) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => fault(format!("its licence is {}", package.license.as_deref().unwrap_or_default())),
            Some(Err(error)) => fault(format!("its licence cannot be read: {error:#}")),
            None => fault("has no licence".to_owned()),
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::{Package, Rules};

    fn faults(name: &str, license: Option<&str>, source: Option<&str>) -> anyhow::Result<Vec<String>> {
        let rules: Rules = toml::from_str(include_str!("../../deny.toml"))?;
        let owned = |text: &str| text.to_owned();
        Ok(rules.faults(&Package {
            name: owned(name),
            version: owned("1.0.0"),
            license: license.map(owned),
            source: source.map(owned),
        }))
    }

    #[test]
    fn what_is_forbidden_is_named() -> anyhow::Result<()> {
        let registry = Some("registry+https://github.com/rust-lang/crates.io-index");
        assert!(faults("serde", Some("MIT OR Apache-2.0"), registry)?.is_empty());
        assert!(faults("kubelend", Some("Apache-2.0"), None)?.is_empty(), "members have no source");
        assert!(faults("openssl", Some("Apache-2.0"), registry)?[0].contains("banned"));
        assert!(faults("x", Some("AGPL-3.0"), registry)?[0].contains("AGPL-3.0"));
        assert!(faults("x", Some("MPL-2.0"), registry)?[0].contains("MPL-2.0"));
        assert!(faults("selectors", Some("MPL-2.0"), registry)?.is_empty(), "an exception");
        assert!(faults("x", None, registry)?[0].contains("no licence"));
        assert!(faults("x", Some("MIT"), Some("git+https://example.com/x"))?[0].contains("comes from"));
        Ok(())
    }
}
