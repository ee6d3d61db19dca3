//! No file of the project names a machine that it was written on, or the host of a package registry: a mirror's name or a
//! home folder in a lock file, a log or a document works for nobody else.

use std::{fs, path::Path};

use super::{root, tracked_files};

/// What must not stand anywhere, put together here so that this file does not hold it either.
const STRANGERS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("registry", ".npmjs"),
    concat!("proxy.", "golang"),
    concat!("crates", ".io/api"),
    concat!("static", ".crates"),
    concat!("index", ".crates"),
];

/// The strangers in a file, with their line. Cargo writes the source of each package into its lock file itself.
fn strangers(file: &Path, bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lock = file.file_name().is_some_and(|n| n == "Cargo.lock");
    let lines = text.lines().enumerate().filter(|(_, line)| !(lock && line.starts_with("source = ")));
    lines
        .flat_map(|(n, line)| STRANGERS.iter().filter(move |s| line.contains(**s)).map(move |s| (n, s)))
        .map(|(n, stranger)| format!("{}:{}: {stranger}", file.display(), n + 1))
        .collect()
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let files = tracked_files();
    let found: Vec<_> = files.iter().flat_map(|file| strangers(file, &fs::read(root().join(file)).unwrap())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_machine_or_a_registry_is_found() {
    for stranger in STRANGERS {
        let text = format!("a\nb = \"{stranger}x\"\n");
        assert_eq!(strangers(Path::new("docs/a.md"), text.as_bytes()), [format!("docs/a.md:2: {stranger}")]);
        let in_lock = format!("source = \"sparse+https://{stranger}\"\n{stranger}\n");
        assert_eq!(strangers(Path::new("Cargo.lock"), in_lock.as_bytes()), [format!("Cargo.lock:2: {stranger}")]);
    }
    assert!(strangers(Path::new("a.rs"), b"let framework = work / root;").is_empty());
}
