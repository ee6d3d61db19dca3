//! The house's own rules, checked on its sources: who may import whom, that every dependency is used, that the documents'
//! links lead somewhere, that no file names a machine or a package registry, and that each immunity has its test.
//!
//! Each rule is a function of a text, so that beside “the house keeps it” stands a test that a breach is found.

mod dependencies;
mod documents;
mod immunities;
mod imports;
mod paths;
mod strangers;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under a folder (relative to the root), as (path relative to the root, text), sorted.
fn rust_sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut todo = vec![root().join(folder)];
    while let Some(place) = todo.pop() {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The files that git keeps or would keep (neither ignored nor deleted), relative to the root.
fn tracked_files() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("this test asks git which files belong to the project");
    assert!(git.status.success(), "git ls-files: {}", String::from_utf8_lossy(&git.stderr));
    let names = String::from_utf8(git.stdout).unwrap();
    let files: Vec<_> = names.split_terminator('\0').map(PathBuf::from).filter(|f| root().join(f).is_file()).collect();
    assert!(files.iter().any(|f| f == Path::new("Cargo.toml")), "git knows no Cargo.toml here");
    files
}
