//! Dependencies that nobody uses, found as `cargo machete` finds them, from manifests and sources alone, but with paths read
//! by a parser: a local `time` module is no use of the crate `time`.

use std::{collections::BTreeSet, fs};

use super::{
    paths::{Form, Mention, Paths},
    root, rust_sources,
};

/// Dependencies that no source names, and why they are there all the same: (package, dependency, reason).
const UNNAMED: &[(&str, &str, &str)] = &[];

/// Dependencies of a manifest's tables that none of these sources names.
fn unused(manifest: &toml::Table, tables: &[&str], sources: &[(String, String)]) -> Vec<String> {
    let mut declared = BTreeSet::new();
    collect(manifest, tables, &mut declared);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table) {
        collect(target, tables, &mut declared);
    }
    let used: BTreeSet<String> = sources.iter().flat_map(|(file, source)| crates_named(file, source)).collect();
    declared.into_iter().filter(|name| !used.contains(&name.replace('-', "_"))).collect()
}

fn collect(manifest: &toml::Table, tables: &[&str], into: &mut BTreeSet<String>) {
    for table in tables.iter().filter_map(|t| manifest.get(*t)).filter_map(toml::Value::as_table) {
        into.extend(table.keys().cloned());
    }
}

/// First segments of paths, where they can be a crate's name: not a module of this file, and in code not a name that was
/// imported from elsewhere (`use tokio::time; time::sleep(…)`).
fn crates_named(file: &str, source: &str) -> Vec<String> {
    let paths = Paths::of(file, source);
    let imported: BTreeSet<&str> = paths
        .mentions
        .iter()
        .filter_map(|m| match &m.form {
            Form::Import(name) if m.segments.first() != Some(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let foreign = |m: &&Mention| {
        let first = &m.segments[0];
        let hidden = m.form == Form::Inline && imported.contains(first.as_str());
        !paths.modules.contains(first) && !hidden
    };
    paths.mentions.iter().filter(|m| !m.segments.is_empty()).filter(foreign).map(|m| m.segments[0].clone()).collect()
}

/// What stands against a package: dependencies that its sources don't name, allowances that are not needed.
fn breaches(package: &str, found: Vec<String>) -> Vec<String> {
    let allowed: BTreeSet<&str> = UNNAMED.iter().filter(|(p, ..)| *p == package).map(|(_, name, _)| *name).collect();
    let stale = allowed.iter().filter(|name| !found.iter().any(|f| f == *name));
    let stale: Vec<_> = stale.map(|name| format!("{package}: {name} needs no allowance any more")).collect();
    let unused = found.iter().filter(|name| !allowed.contains(name.as_str()));
    unused.map(|name| format!("{package}: nothing uses the dependency {name}")).chain(stale).collect()
}

#[test]
fn every_dependency_is_used() {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let mut found = Vec::new();
    for member in members.iter().map(|m| m.as_str().unwrap()) {
        let manifest: toml::Table =
            fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap().parse().unwrap();
        let package = manifest["package"]["name"].as_str().unwrap();
        let sources = |folders: &[&str]| -> Vec<_> {
            folders.iter().flat_map(|f| rust_sources(&format!("{member}/{f}"))).collect()
        };
        let src = sources(&["src"]);
        assert!(!src.is_empty(), "no sources of {package}");
        let all = sources(&["src", "tests", "benches", "examples"]);
        found.extend(breaches(package, unused(&manifest, &["dependencies"], &src)));
        found.extend(breaches_of_dev(package, unused(&manifest, &["dev-dependencies"], &all)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn breaches_of_dev(package: &str, found: Vec<String>) -> Vec<String> {
    found.into_iter().map(|name| format!("{package}: nothing uses the dev-dependency {name}")).collect()
}

#[test]
fn an_unused_dependency_is_found() {
    let manifest: toml::Table = r#"
        [dependencies]
        serde = "1"
        async-trait = "0.1"
        serde_yaml = { package = "serde_yaml_ng", version = "0.10" }
        tower-http = "0.7"
        time = "0.3"
        url = "2"
        http = "1"
        toml = "1"
        mime = "0.3"
        cookie = "0.18"
        [target.'cfg(unix)'.dependencies]
        nix = "0.31"
        [dev-dependencies]
        insta = "1"
    "#
    .parse()
    .unwrap();
    let source = |text: &str| vec![("src/x.rs".to_owned(), text.to_owned())];
    let all_used = "
        use serde::Serialize; use {tower_http::limit as l, url::{self, Url}}; use async_trait::async_trait;
        mod time {} fn f() { ::time_of(); toml::from_str(\"\"); }
        #[derive(mime::Known)] struct S;
        fn g() { info!(x = cookie::parse(y)); serde_yaml::to_string(&http::Method::GET); nix::kill(); }
    ";
    // A module called `time` is no use of the crate.
    assert_eq!(unused(&manifest, &["dependencies"], &source(all_used)), ["time"]);
    assert_eq!(unused(&manifest, &["dev-dependencies"], &source(all_used)), ["insta"]);
    let nearly = "
        // serde::Serialize
        use super::model::time; use tokio::http; use crate::toml;
        fn f() { time::sleep(); http::get(); self.url.mime(); let cookie = \"cookie::parse\"; }
    ";
    let left = unused(&manifest, &["dependencies"], &source(nearly));
    assert_eq!(
        left,
        ["async-trait", "cookie", "http", "mime", "nix", "serde", "serde_yaml", "time", "toml", "tower-http", "url"]
    );
    assert_eq!(breaches("kubelend", vec!["serde".into()]), ["kubelend: nothing uses the dependency serde"]);
}
