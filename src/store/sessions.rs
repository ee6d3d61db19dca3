//! Sessions of the browser, as tower-sessions wants them kept. Records are sealed and found by a hash of their id, so a copy of
//! the database signs nobody in; when one ends is sealed along with it, so writing to the database prolongs none.
//!
//! A session that was deleted stays deleted: a request that read it before somebody signed out cannot write it back.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tower_sessions::{
    session::{Id, Record},
    session_store::{Error, Result as SessionResult, SessionStore as TowerSessionStore},
};

use super::{Store, StoreError};
use crate::{
    clock::Clock,
    crypto::{HashedToken, Keyring},
    model::{id::IdentityId, time::Timestamp},
};

/// The key of a session's data under which the person's id stands, so that all their sessions can be ended.
const IDENTITY: &str = "identity";

/// tower-sessions' store on our database.
#[derive(Clone, Debug)]
pub struct SessionStore {
    store: Store,
    keyring: Arc<Keyring>,
    clock: Clock,
}

/// What is sealed. Its field names are stored: they stay.
#[derive(Serialize, Deserialize)]
struct Sealed {
    data: HashMap<String, serde_json::Value>,
    /// Seconds since the epoch.
    expires_at: i64,
}

/// A session's columns.
struct Row {
    id_hash: HashedToken,
    identity: Option<String>,
    sealed: Vec<u8>,
    expires_at: i64,
}

impl SessionStore {
    /// On this database, sealing with this ring.
    pub fn new(store: Store, keyring: Arc<Keyring>, clock: Clock) -> Self {
        Self { store, keyring, clock }
    }

    fn row(&self, record: &Record) -> SessionResult<Row> {
        let expires_at = record.expiry_date.unix_timestamp();
        let plain = serde_json::to_vec(&Sealed { data: record.data.clone(), expires_at })
            .map_err(|e| Error::Encode(e.to_string()))?;
        let identity = record.data.get(IDENTITY).and_then(|value| value.as_str());
        let identity = identity.and_then(|id| id.parse::<IdentityId>().ok()).map(|id| id.to_string());
        Ok(Row {
            id_hash: HashedToken::of(&record.id.to_string()),
            identity,
            sealed: self.keyring.seal(&context(&record.id), &plain),
            expires_at: Timestamp::from_secs(expires_at).millis(),
        })
    }

    /// Whether it was inserted: not where that id is taken.
    async fn insert(&self, record: &Record) -> SessionResult<bool> {
        const SQL: &str = "INSERT INTO sessions (id_hash, identity_id, sealed, expires_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING";
        let row = self.row(record)?;
        let inserted = self.write(SQL, &row).await?;
        Ok(inserted > 0)
    }

    /// Runs a statement that takes a session's columns; returns how many rows it changed.
    async fn write(&self, sql: &'static str, row: &Row) -> SessionResult<u64> {
        let done = transact!(self.store, |tx| {
            Ok(on!(tx, |db| sqlx::query(sql)
                .bind(&row.id_hash.0[..])
                .bind(&row.identity)
                .bind(&row.sealed)
                .bind(row.expires_at)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?)
        });
        done.map_err(backend)
    }

    fn open(&self, id: &Id, sealed: &[u8]) -> Option<Record> {
        // What does not open (the key is gone, the row was tampered with) signs nobody in; the browser signs in anew.
        let plain = self.keyring.open(&context(id), sealed).ok()?;
        let Sealed { data, expires_at } = serde_json::from_slice(&plain).ok()?;
        if Timestamp::from_secs(expires_at) <= self.clock.now() {
            return None;
        }
        let expiry_date = OffsetDateTime::from_unix_timestamp(expires_at).ok()?;
        Some(Record { id: *id, data, expiry_date })
    }
}

fn context(id: &Id) -> String {
    format!("session:{id}")
}

fn backend(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl TowerSessionStore for SessionStore {
    async fn create(&self, record: &mut Record) -> SessionResult<()> {
        while !self.insert(record).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> SessionResult<()> {
        // Not inserted where it is missing: it was ended while this request was under way.
        const SQL: &str = "UPDATE sessions SET identity_id = $2, sealed = $3, expires_at = $4 WHERE id_hash = $1";
        self.write(SQL, &self.row(record)?).await.map(drop)
    }

    async fn load(&self, id: &Id) -> SessionResult<Option<Record>> {
        const SQL: &str = "SELECT sealed FROM sessions WHERE id_hash = $1";
        let hash = HashedToken::of(&id.to_string());
        let row: Option<(Vec<u8>,)> =
            read!(self.store, |db| sqlx::query_as(SQL).bind(&hash.0[..]).fetch_optional(db).await)
                .map_err(|e| backend(e.into()))?;
        Ok(row.and_then(|(sealed,)| self.open(id, &sealed)))
    }

    async fn delete(&self, id: &Id) -> SessionResult<()> {
        const SQL: &str = "DELETE FROM sessions WHERE id_hash = $1";
        let hash = HashedToken::of(&id.to_string());
        transact!(self.store, |tx| {
            on!(tx, |db| sqlx::query(SQL).bind(&hash.0[..]).execute(db).await.map(drop))?;
            Ok(())
        })
        .map_err(backend)
    }
}

impl Store {
    /// Deletes sessions and token sets whose time is up; returns how many sessions.
    pub async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, StoreError> {
        transact!(self, |tx| {
            on!(tx, |db| {
                sqlx::query("DELETE FROM token_sets WHERE expires_at <= $1")
                    .bind(now.millis())
                    .execute(&mut *db)
                    .await?;
                let swept = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
                    .bind(now.millis())
                    .execute(&mut *db)
                    .await?;
                Ok(swept.rows_affected())
            })
        })
    }

    /// Ends all sessions of a person, with their tokens.
    pub async fn end_sessions_of(&self, identity: IdentityId) -> Result<u64, StoreError> {
        transact!(self, |tx| {
            on!(tx, |db| {
                sqlx::query("DELETE FROM token_sets WHERE identity_id = $1")
                    .bind(identity.to_string())
                    .execute(&mut *db)
                    .await?;
                let ended = sqlx::query("DELETE FROM sessions WHERE identity_id = $1")
                    .bind(identity.to_string())
                    .execute(&mut *db)
                    .await?;
                Ok(ended.rows_affected())
            })
        })
    }
}
