//! `kubelend check`: what a start would meet, told before it.

use std::{process::ExitCode, time::Duration};

use futures_util::future::join_all;
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::time::{error::Elapsed, timeout};

use super::{ConfigFile, Output, complain, keys, say};
use crate::{
    app::{self, OtherKeys},
    clock::Clock,
    config::Settings,
    crypto::Keyring,
    oidc::{OidcError, Provider},
    store::{Store, StoreError},
};

/// How long the database may take to open.
const DATABASE: Duration = Duration::from_secs(15);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Row {
    /// `configuration`, `key ring`, `database`, `provider ID`.
    what: String,
    ok: bool,
    /// What was seen.
    detail: String,
    /// What to do, where it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Row {
    fn good(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), ok: true, detail: detail.into(), next: None }
    }

    fn bad(what: impl Into<String>, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), ok: false, detail: detail.into(), next: Some(next.into()) }
    }
}

/// Looks at everything and tells.
pub(super) fn run(config: &ConfigFile, output: Output) -> ExitCode {
    let rows = match config.load() {
        Ok(settings) => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(look(&settings, config)),
            Err(error) => return complain(format!("no runtime can be started: {error}")),
        },
        Err(error) => {
            let rows = error.mistakes.into_iter();
            rows.map(|m| Row::bad("configuration", format!("{}: {}", m.key, m.problem), m.fix)).collect()
        }
    };
    tell(&rows, output)
}

async fn look(settings: &Settings, config: &ConfigFile) -> Vec<Row> {
    let ((database, known), providers) = tokio::join!(database(settings), providers(settings));
    let configuration = Row::good("configuration", format!("for {}", settings.public_url));
    let mut rows = vec![configuration, keyring(settings, &known, config), database];
    rows.extend(providers);
    rows
}

/// A ring that is missing is made at the first start, not by a look. `known` are the keys that have sealed something.
fn keyring(settings: &Settings, known: &[String], config: &ConfigFile) -> Row {
    const WHAT: &str = "key ring";
    let path = &settings.keyring_file;
    let ring = match Keyring::read(path) {
        Ok(ring) => ring,
        Err(error) => {
            let next = "put it right, or restore it from your backup: without it no stored credential opens";
            return Row::bad(WHAT, error.to_string(), next);
        }
    };
    if let Err(other) = OtherKeys::look(settings, ring.as_ref(), known) {
        return Row::bad(WHAT, other.to_string(), keys::next(config, &other));
    }
    match ring {
        Some(_) => Row::good(WHAT, path.display().to_string()),
        None if path.parent().is_some_and(std::path::Path::is_dir) => {
            Row::good(WHAT, format!("{} is made at the first start", path.display()))
        }
        None => {
            Row::bad(WHAT, format!("{} has no folder", path.display()), "make the folder, for Kubelend's user alone")
        }
    }
}

/// The database, and which keys have sealed something in it, as far as it says so.
async fn database(settings: &Settings) -> (Row, Vec<String>) {
    let opened = async {
        let store = Store::open(settings.database_url.expose_secret()).await?;
        let known = store.sealing_keys().await;
        store.close().await;
        known
    };
    let opened = timeout(DATABASE, opened).await;
    let known = match &opened {
        Ok(Ok(known)) => known.clone(),
        _ => Vec::new(),
    };
    (database_row(settings, opened.map(|opened| opened.map(drop))), known)
}

fn database_row(settings: &Settings, opened: Result<Result<(), StoreError>, Elapsed>) -> Row {
    const WHAT: &str = "database";
    let kind = settings.database_url.expose_secret().split(':').next().unwrap_or_default();
    match opened {
        Ok(Ok(())) => Row::good(WHAT, format!("{kind}, up to date")),
        Ok(Err(error @ StoreError::Migration(_))) => {
            Row::bad(WHAT, error.to_string(), "was it used by a newer Kubelend? Run that one, or restore a backup")
        }
        Ok(Err(error)) => Row::bad(
            WHAT,
            error.to_string(),
            "check database.url, that the database runs, and that it lets this user in",
        ),
        Err(_) => Row::bad(WHAT, "no answer in 15 s", "check database.url and that the database runs"),
    }
}

async fn providers(settings: &Settings) -> Vec<Row> {
    match app::providers(settings, &Clock::System) {
        Ok(all) => join_all(all.iter().map(|p| provider(p))).await,
        Err(why) => vec![Row::bad("providers", why.to_string(), "put the provider's ca_file right")],
    }
}

async fn provider(provider: &Provider) -> Row {
    let what = format!("provider {}", provider.settings().id);
    let issuer = &provider.settings().issuer;
    match provider.probe().await {
        Ok(()) => Row::good(what, format!("{issuer} answers, and its keys are known")),
        Err(error) => {
            let next = match &error {
                OidcError::Unreachable(why) if why.contains("certificate") => {
                    "name the issuer's CA with ca_file, or put the issuer's certificate right".to_owned()
                }
                OidcError::Unreachable(_) => {
                    format!("try: curl {}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
                }
                _ => "compare issuer with the “issuer” of its discovery document, to the letter".to_owned(),
            };
            Row::bad(what, error.to_string(), next)
        }
    }
}

fn tell(rows: &[Row], output: Output) -> ExitCode {
    let ok = rows.iter().all(|row| row.ok);
    let told = match output {
        Output::Table => say(&table(rows)),
        Output::Json => say(&serde_json::json!({"ok": ok, "checks": rows}).to_string()),
    };
    for row in rows.iter().filter(|row| !row.ok) {
        complain(format!("{}: {}\n  → {}", row.what, row.detail, row.next.as_deref().unwrap_or_default()));
    }
    if ok { told } else { ExitCode::FAILURE }
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or_default();
    let line = |row: &Row| format!("{:6} {:width$}  {}", if row.ok { "ok" } else { "FAILED" }, row.what, row.detail);
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_says_what_failed() {
        let rows = [Row::good("key ring", "/k"), Row::bad("provider dex", "does not answer", "try")];
        assert_eq!(table(&rows), "ok     key ring      /k\nFAILED provider dex  does not answer");
    }
}
