//! Who may import whom. The arrows of docs/ARCHITECTURE.md, as a table.

use super::{
    paths::{Form, Mention, Paths},
    rust_sources,
};

/// The rooms from the top down. A room may import the rooms of lower layers, and none of its own layer.
const LAYERS: &[&[&str]] = &[
    &["main", "lib"],
    &["cli"],
    &["app"],
    &["web", "proxy", "tunnel", "reconcile"],
    &["access"],
    &["bindings"],
    &["store", "k8s", "oidc", "kubeconfig", "declared", "policy"],
    &["model"],
];

/// Every room may import these; they import nothing.
const LEAVES: &[&str] = &["clock", "crypto", "outbound", "telemetry", "yaml"];

/// What a room may import against the layers: (room, beginning of the path, why).
const EXCEPTIONS: &[(&str, &[&str], &str)] = &[
    ("clock", &["model", "time"], "a clock tells the house's own Timestamp"),
    ("config", &["model"], "settings are checked by the vocabulary's rules"),
    ("app", &["config"], "it builds the parts out of the settings"),
    ("cli", &["config"], "it reads the settings"),
];

/// Frameworks and the rooms that they stay in.
const FRAMEWORKS: &[(&[&str], &[&str])] = &[
    (&["sqlx"], &["store"]),
    (&["kube", "kube_client", "kube_core", "k8s_openapi"], &["k8s"]),
    (&["openidconnect", "oauth2"], &["oidc"]),
    (&["askama"], &["web"]),
    (&["axum", "axum_server"], &["web", "app", "proxy", "tunnel"]),
    (&["reqwest"], &["outbound", "oidc"]),
    (&["tower_sessions", "tower_sessions_core"], &["web", "app", "store"]),
];

/// What stands against a file: a line for each forbidden import.
fn breaches(file: &str, source: &str) -> Vec<String> {
    let here = module_of(file);
    let room = room_of(file);
    let mut found: Vec<String> = Paths::of(file, source)
        .mentions
        .iter()
        .filter_map(|mention| {
            let why = match in_crate(mention, &here, room) {
                Some(path) => forbidden_path(room, &path, mention),
                None => forbidden_framework(room, mention),
            }?;
            Some(format!("{file}:{}: {}: {why}", mention.line, mention.segments.join("::")))
        })
        .collect();
    found.dedup();
    found
}

fn forbidden_path(room: &str, path: &[String], mention: &Mention) -> Option<String> {
    let Some(to) = path.first() else {
        return matches!(mention.form, Form::Import(_)).then(|| "import rooms by name, not the crate's root".into());
    };
    let known = LAYERS.concat().contains(&to.as_str()) || LEAVES.contains(&to.as_str()) || to == "config";
    if !known {
        return Some(format!("{to} is no room of the house"));
    }
    (!may_import(room, path)).then(|| format!("{room} may not import {to}"))
}

fn may_import(room: &str, path: &[String]) -> bool {
    let to = path[0].as_str();
    let layer = |r: &str| LAYERS.iter().position(|rooms| rooms.contains(&r));
    let excepted = EXCEPTIONS.iter().any(|(from, prefix, _)| {
        *from == room && path.len() >= prefix.len() && path.iter().zip(*prefix).all(|(a, b)| a == b)
    });
    let down = matches!((layer(room), layer(to)), (Some(from), Some(to)) if from < to);
    // `model` knows nothing at all, not even the leaves: `clock` knows it.
    let leaf = LEAVES.contains(&to) && layer(room).is_some() && room != "model";
    room == to || down || leaf || excepted
}

fn forbidden_framework(room: &str, mention: &Mention) -> Option<String> {
    let first = mention.segments.first()?.as_str();
    let (_, rooms) = FRAMEWORKS.iter().find(|(names, _)| names.contains(&first))?;
    (!rooms.contains(&room)).then(|| format!("{first} stays in {}", rooms.join(", ")))
}

/// The path from the crate's root, if it is one of this crate.
fn in_crate(mention: &Mention, here: &[String], room: &str) -> Option<Vec<String>> {
    let mut base: Vec<String> = here.iter().chain(&mention.inside).cloned().collect();
    let mut rest = mention.segments.iter().peekable();
    match rest.next()?.as_str() {
        "crate" => base.clear(),
        "kubelend" if room == "main" => base.clear(),
        "self" => {}
        "super" => {
            base.pop();
            while rest.next_if(|s| *s == "super").is_some() {
                base.pop();
            }
        }
        _ => return None,
    }
    base.extend(rest.cloned());
    Some(base)
}

/// `src/store/grants.rs` is `store::grants`, `src/store/mod.rs` is `store`, `src/lib.rs` the root.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(path, "lib" | "main") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn room_of(file: &str) -> &str {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.split_once('/').map_or(path, |(room, _)| room)
}

#[test]
fn the_house_keeps_its_arrows() {
    let sources = rust_sources("src");
    assert!(sources.len() > 40, "only {} files found", sources.len());
    let found: Vec<_> = sources.iter().flat_map(|(file, source)| breaches(file, source)).collect();
    assert!(
        found.is_empty(),
        "forbidden imports (docs/ARCHITECTURE.md says who may import whom):\n{}",
        found.join("\n")
    );
}

/// A forbidden import, added to a real file of the house, is found, however it is spelled.
#[test]
fn a_forbidden_import_is_found_in_every_spelling() {
    let model = include_str!("../../src/model/grant.rs");
    assert_eq!(breaches("src/model/grant.rs", model), Vec::<String>::new());
    for spelling in [
        "use crate::store::Store;",
        "use crate::{model::time::Timestamp, store::{grants::{NewGrant as N}, Store}};",
        "use crate::{store as vault};",
        "use crate::store as vault;",
        "use crate::store::*;",
        "use super::super::store::Store;",
        "use super::{super::store::Store};",
        "pub(crate) use crate::store::Store;",
        "fn f() { let _ = crate::store::Store::open; }",
        "fn f(_: Vec<crate::store::Store>) {}",
        "fn f() { let _ = super::super::store::Store::open; }",
        "mod inner { use super::super::super::store::Store; }",
        "mod inner { fn f() { use crate::store::Store; } }",
        "fn f() { assert!(crate::store::is_open()); }",
        "fn f() { some!(a, [b => crate::{time::x, store::Store}]); }",
        "macro_rules! m { () => { $crate::store::Store }; }",
        "#[serde(with = \"crate::store::text\")] struct S;",
        "#[derive(crate::store::Row)] struct S;",
        "impl crate::store::Row for X {}",
        "use crate::r#store::Store;",
        "use crate::*;",
        "use crate as house;",
        "use crate::{self as house};",
        "extern crate self as house;",
        "use crate::utilities::x;",
        "use crate::clock::Clock;",
    ] {
        let found = breaches("src/model/grant.rs", &format!("{model}\n{spelling}\n"));
        assert!(!found.is_empty(), "{spelling}");
    }
}

#[test]
fn no_arrow_leads_back_up_or_sideways() {
    for (file, import) in [
        ("src/store/mod.rs", "crate::access::Gate"),
        ("src/store/grants.rs", "crate::k8s::K8sError"),
        ("src/k8s/client.rs", "crate::oidc::Provider"),
        ("src/policy.rs", "crate::store::Store"),
        ("src/bindings/mod.rs", "crate::access::Applier"),
        ("src/access/gate.rs", "crate::web::Parts"),
        ("src/web/mod.rs", "crate::reconcile::Loop"),
        ("src/reconcile/mod.rs", "crate::web::Parts"),
        ("src/web/mod.rs", "crate::config::Config"),
        ("src/access/gate.rs", "crate::config::Config"),
        ("src/app.rs", "crate::cli::Cli"),
        ("src/config.rs", "crate::oidc::ProviderSettings"),
        ("src/config.rs", "crate::policy::Policy"),
        ("src/clock.rs", "crate::model::grant::Grant"),
        ("src/crypto.rs", "crate::clock::Clock"),
        ("src/outbound.rs", "crate::model::name::Email"),
        ("src/main.rs", "kubelend::config::Config"),
    ] {
        let found = breaches(file, &format!("use {import};"));
        assert_eq!(found.len(), 1, "{file} imports {import}: {found:?}");
    }
}

#[test]
fn the_arrows_themselves_are_free() {
    for (file, import) in [
        ("src/main.rs", "kubelend::cli::run"),
        ("src/cli/serve.rs", "crate::{app, config::Config}"),
        ("src/app.rs", "crate::{config::Config, web::Parts, store::Store, model::time::Timestamp}"),
        ("src/web/pages/home.rs", "crate::{access::Gate, store::Store, k8s::K8sError, policy::Person}"),
        ("src/web/pages/home.rs", "super::super::forms::Form"),
        ("src/web/pages/home.rs", "self::view::View"),
        ("src/access/gate.rs", "crate::{bindings::ensure, store::Store, clock::Clock}"),
        ("src/bindings/apply.rs", "crate::k8s::ClusterClient"),
        ("src/store/sessions.rs", "crate::{crypto::Keyring, clock::Clock, telemetry::request_id}"),
        ("src/clock.rs", "crate::model::time::Timestamp"),
        ("src/config.rs", "crate::model::name::Email"),
        ("src/store/mod.rs", "sqlx::SqlitePool"),
        ("src/k8s/client.rs", "k8s_openapi::api::rbac"),
        ("src/model/grant.rs", "serde::Serialize"),
    ] {
        let source = format!("use {import};\npub(crate) fn f() {{}}\npub(in crate::web) fn g() {{}}");
        assert_eq!(breaches(file, &source), Vec::<String>::new(), "{file} imports {import}");
    }
}

#[test]
fn frameworks_stay_in_their_rooms() {
    for (file, code) in [
        ("src/access/gate.rs", "use sqlx::Row;"),
        ("src/access/gate.rs", "use {serde::Serialize, sqlx::{Row as R}};"),
        ("src/web/mod.rs", "fn f() { sqlx::query(\"x\"); }"),
        ("src/web/mod.rs", "use sqlx as database;"),
        ("src/web/mod.rs", "fn f() { with!(|pool| ::sqlx::query(SQL)); }"),
        ("src/web/mod.rs", "#[derive(sqlx::FromRow)] struct S;"),
        ("src/web/mod.rs", "extern crate sqlx;"),
        ("src/bindings/apply.rs", "use kube::Client;"),
        ("src/access/probe.rs", "use k8s_openapi::api;"),
        ("src/web/mod.rs", "use openidconnect::Nonce;"),
        ("src/access/sign_in.rs", "use oauth2::Scope;"),
        ("src/cli/mod.rs", "#[derive(askama::Template)] struct T;"),
        ("src/access/gate.rs", "use axum::http;"),
        ("src/k8s/client.rs", "use reqwest::Client;"),
        ("src/access/gate.rs", "use tower_sessions::Session;"),
    ] {
        let found = breaches(file, code);
        assert_eq!(found.len(), 1, "{file}: {code}: {found:?}");
    }
}
