//! The parts that come with the system: PostgreSQL, Chromium and its WebDriver.
//!
//! A missing part is an error that names what to install; no test is skipped for it.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The folder with PostgreSQL's programs: Debian keeps the servers off the PATH.
pub fn postgres_bin() -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    versions.sort_unstable();
    if let Some((_, bin)) = versions.pop() {
        return Ok(bin);
    }
    if let Some(initdb) = on_path("initdb") {
        return Ok(initdb.parent().context("initdb has a folder")?.to_owned());
    }
    let asked = Command::new("pg_config").arg("--bindir").output();
    if let Some(output) = asked.ok().filter(|output| output.status.success()) {
        let bin = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        if bin.join("initdb").exists() {
            return Ok(bin);
        }
    }
    bail!("PostgreSQL's server is missing: install it (Debian: apt-get install postgresql), version 15 or later")
}

/// The browser.
pub fn chromium() -> Result<PathBuf> {
    first(&["chromium", "chromium-browser", "google-chrome"])
        .context("Chromium is missing: install it (Debian: apt-get install chromium)")
}

/// The browser's engine by itself, or the whole browser where the system does not have it: pages are the same there.
pub fn headless_shell() -> Result<PathBuf> {
    first(&["chromium-headless-shell", "chrome-headless-shell"]).map_or_else(chromium, Ok)
}

/// The browser's WebDriver.
pub fn chromedriver() -> Result<PathBuf> {
    first(&["chromedriver"])
        .context("Chromium's WebDriver is missing: install it (Debian: apt-get install chromium-driver)")
}

/// A program that builds something, by its name.
pub(crate) fn builder(name: &str, from: &str) -> Result<PathBuf> {
    on_path(name).with_context(|| format!("{name} is missing: install {from}"))
}

fn first(names: &[&str]) -> Option<PathBuf> {
    names.iter().find_map(|name| on_path(name))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/usr/local/go/bin"].map(PathBuf::from);
    env::split_paths(OsStr::new(&path)).chain(usual).map(|folder| folder.join(name)).find(|file| file.is_file())
}
