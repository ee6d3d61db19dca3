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

use super::{AuditDraft, Store, StoreError, audit::About, db::shown};
use crate::{
    clock::Clock,
    crypto::{HashedToken, Keyring},
    model::{id::IdentityId, session::SessionInfo, time::Timestamp},
};

/// Keys of a session's data that are kept readable beside it, so that a person's sessions can be listed and ended.
pub mod session_keys {
    /// The person's id.
    pub const IDENTITY: &str = "identity";
    /// When they signed in: milliseconds since the epoch.
    pub const MADE_AT: &str = "made_at";
    /// When it was last used, roughly.
    pub const SEEN_AT: &str = "seen_at";
    /// What browser it is, in words.
    pub const BROWSER: &str = "browser";
    /// From which address it was last used.
    pub const SEEN_FROM: &str = "seen_from";
    /// The key of its token set.
    pub const TOKEN_KEY: &str = "token_key";
}

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
    made_at: Option<i64>,
    seen_at: Option<i64>,
    browser: Option<String>,
    seen_from: Option<String>,
    tokens_hash: Option<Vec<u8>>,
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
        let text = |key: &str| record.data.get(key).and_then(|value| value.as_str());
        let number = |key: &str| record.data.get(key).and_then(serde_json::Value::as_i64);
        let identity =
            text(session_keys::IDENTITY).and_then(|id| id.parse::<IdentityId>().ok()).map(|id| id.to_string());
        Ok(Row {
            id_hash: HashedToken::of(&record.id.to_string()),
            identity,
            sealed: self.keyring.seal(&context(&record.id), &plain),
            expires_at: Timestamp::from_secs(expires_at).millis(),
            made_at: number(session_keys::MADE_AT),
            seen_at: number(session_keys::SEEN_AT),
            browser: text(session_keys::BROWSER).map(shown),
            seen_from: text(session_keys::SEEN_FROM).map(shown),
            tokens_hash: text(session_keys::TOKEN_KEY).map(|key| HashedToken::of(key).0.to_vec()),
        })
    }

    /// Whether it was inserted: not where that id is taken.
    async fn insert(&self, record: &Record) -> SessionResult<bool> {
        const SQL: &str = "INSERT INTO sessions \
             (id_hash, identity_id, sealed, expires_at, made_at, seen_at, browser, seen_from, tokens_hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
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
                .bind(row.made_at)
                .bind(row.seen_at)
                .bind(&row.browser)
                .bind(&row.seen_from)
                .bind(&row.tokens_hash)
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
        const SQL: &str = "UPDATE sessions SET identity_id = $2, sealed = $3, expires_at = $4, made_at = $5, \
             seen_at = $6, browser = $7, seen_from = $8, tokens_hash = $9 WHERE id_hash = $1";
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

/// How many sessions a list shows.
const LISTED: i64 = 50;

#[derive(sqlx::FromRow)]
struct InfoRow {
    id_hash: Vec<u8>,
    expires_at: i64,
    made_at: Option<i64>,
    seen_at: Option<i64>,
    browser: Option<String>,
    seen_from: Option<String>,
}

impl InfoRow {
    fn info(self) -> Result<SessionInfo, StoreError> {
        let hash = <[u8; 32]>::try_from(self.id_hash).map_err(|_| StoreError::Corrupt("id of a session"))?;
        let made_at = self.made_at.unwrap_or(0);
        Ok(SessionInfo {
            name: HashedToken(hash).to_hex(),
            browser: self.browser.unwrap_or_default(),
            from: self.seen_from.unwrap_or_default(),
            made_at: Timestamp::from_millis(made_at),
            seen_at: Timestamp::from_millis(self.seen_at.unwrap_or(made_at)),
            expires_at: Timestamp::from_millis(self.expires_at),
        })
    }
}

impl Store {
    /// A person's sessions that have not ended, those that were used last first.
    pub async fn sessions_of(&self, identity: IdentityId, now: Timestamp) -> Result<Vec<SessionInfo>, StoreError> {
        const SQL: &str = "SELECT id_hash, expires_at, made_at, seen_at, browser, seen_from FROM sessions \
             WHERE identity_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, id_hash LIMIT $3";
        let rows: Vec<InfoRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(identity.to_string())
            .bind(now.millis())
            .bind(LISTED)
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(InfoRow::info).collect()
    }

    /// Ends one session of a person, by its name, with its tokens and the event of it.
    ///
    /// # Errors
    /// `NotFound` where there is none (any more).
    pub async fn end_session(
        &self,
        identity: IdentityId,
        name: &HashedToken,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM sessions WHERE identity_id = $1 AND id_hash = $2 RETURNING tokens_hash";
        transact!(self, |tx| {
            let gone: Option<(Option<Vec<u8>>,)> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(identity.to_string())
                .bind(&name.0[..])
                .fetch_optional(db)
                .await)?;
            let (tokens,) = gone.ok_or(StoreError::NotFound)?;
            on!(tx, |db| sqlx::query("DELETE FROM token_sets WHERE key_hash = $1")
                .bind(tokens)
                .execute(db)
                .await
                .map(drop))?;
            audit.append(tx, About::Nothing, now).await
        })
    }

    /// Ends all sessions of a person but this one, with their tokens and the event of it; returns how many.
    pub async fn end_other_sessions(
        &self,
        identity: IdentityId,
        but: &HashedToken,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const TOKENS: &str = "DELETE FROM token_sets WHERE identity_id = $1 AND key_hash NOT IN \
             (SELECT tokens_hash FROM sessions WHERE id_hash = $2 AND tokens_hash IS NOT NULL)";
        const SESSIONS: &str = "DELETE FROM sessions WHERE identity_id = $1 AND id_hash <> $2";
        transact!(self, |tx| {
            let mut ended = 0;
            for sql in [TOKENS, SESSIONS] {
                ended = on!(tx, |db| sqlx::query(sql)
                    .bind(identity.to_string())
                    .bind(&but.0[..])
                    .execute(db)
                    .await
                    .map(|done| done.rows_affected()))?;
            }
            if ended > 0 {
                audit.append(tx, About::Nothing, now).await?;
            }
            Ok(ended)
        })
    }

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
