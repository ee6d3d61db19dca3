//! Which keys have sealed what the database holds: their fingerprints, one text among the settings. A database that is opened
//! with another key ring would look whole and open nothing, so the two are held against each other before anything is served.

use super::{AuditDraft, Store, StoreError, audit::About, db::Tx};
use crate::model::{audit::Action, time::Timestamp};

const NAME: &str = "sealing_keys";

/// The fingerprints as stored, the row locked; `first` alone where none were yet.
async fn lock(tx: &mut Tx, first: &str) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = settings.value RETURNING value";
    let (value,): (String,) = on!(tx, |db| sqlx::query_as(SQL).bind(NAME).bind(first).fetch_one(db).await)?;
    Ok(list(&value))
}

async fn keep(tx: &mut Tx, all: &[String]) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE settings SET value = $2 WHERE name = $1";
    Ok(on!(tx, |db| sqlx::query(SQL).bind(NAME).bind(all.join(",")).execute(db).await.map(drop))?)
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

impl Store {
    /// The fingerprints of all keys that have sealed something here; none for a database that was never served from.
    pub async fn sealing_keys(&self) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT value FROM settings WHERE name = $1";
        let row: Option<(String,)> = read!(self, |db| sqlx::query_as(SQL).bind(NAME).fetch_optional(db).await)?;
        Ok(row.map_or_else(Vec::new, |(value,)| list(&value)))
    }

    /// Begins to seal with the first key of a ring. Returns the fingerprints of keys that have sealed something here and that
    /// the ring does not hold; then nothing has changed, and it must not be sealed with. Of two rings that come first at the
    /// same moment, one is told of the other.
    pub async fn begin_sealing(&self, ring: &[String]) -> Result<Vec<String>, StoreError> {
        let Some(first) = ring.first() else { return Ok(Vec::new()) };
        transact!(self, |tx| {
            let known = lock(tx, first).await?;
            let (mut all, missing): (Vec<_>, Vec<_>) = known.into_iter().partition(|key| ring.contains(key));
            if missing.is_empty() && !all.contains(first) {
                all.push(first.clone());
                keep(tx, &all).await?;
            }
            Ok(missing)
        })
    }

    /// Takes the ring for the one that goes with this database, whatever sealed it before. Returns the fingerprints of the keys
    /// that are given up: what they sealed stays shut. Where there are any, an event tells of it.
    pub async fn accept_keys(&self, ring: &[String], now: Timestamp) -> Result<Vec<String>, StoreError> {
        let Some(first) = ring.first() else { return Ok(Vec::new()) };
        transact!(self, |tx| {
            let known = lock(tx, first).await?;
            let (mut all, given_up): (Vec<_>, Vec<_>) = known.into_iter().partition(|key| ring.contains(key));
            if !all.contains(first) {
                all.push(first.clone());
            }
            keep(tx, &all).await?;
            if !given_up.is_empty() {
                let target = format!("key {first} in place of {}", given_up.join(", "));
                let event = AuditDraft::by_kubelend(Action::KeyRingAccepted, target);
                let event = AuditDraft { actor_name: "The operator".into(), ..event };
                event.append(tx, About::Nothing, now).await?;
            }
            Ok(given_up)
        })
    }
}
