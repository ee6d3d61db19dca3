//! The two databases behind one face: pools, transactions, and the macros that expand a body once for each of them, so that
//! every statement is written once and each driver keeps its real types.
//!
//! Writing goes through `transact!`, which alone begins and commits: a body that returns an error, panics or is dropped leaves
//! nothing behind. What failed only because another transaction was in the way is done again.

use std::time::Duration;

use sqlx::{Postgres, Sqlite, Transaction, error::DatabaseError};

use super::{Store, StoreError};

/// How many ids one statement takes; a longer list takes several.
pub(super) const CHUNK: usize = 32;
/// Sorts after every id: where a page begins that has none before it.
pub(super) const PAST_ALL_IDS: &str = "g";
/// How often a transaction is begun anew when others were in its way.
const TRIES: u32 = 8;

/// Which database, with its pools.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    /// Readers beside one writer, as SQLite has it: writers queue here, in order, rather than in its busy handler.
    Sqlite {
        /// For reading.
        read: sqlx::SqlitePool,
        /// For writing: one connection.
        write: sqlx::SqlitePool,
        /// For writing what may be lost in a power cut, and does not wait for the disk: one connection.
        fleeting: sqlx::SqlitePool,
    },
    Postgres(sqlx::PgPool),
}

/// A transaction that writes.
#[derive(Debug)]
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Expands a body that reads for each database: `read!(store, |db| sqlx::query_as(SQL).fetch_all(db).await)`.
macro_rules! read {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.pool {
            $crate::store::db::Pool::Sqlite { read: $db, .. } => $body,
            $crate::store::db::Pool::Postgres($db) => $body,
        }
    };
}

/// Expands a body for each database inside a transaction.
macro_rules! on {
    ($tx:expr, |$db:ident| $body:expr) => {
        match $tx {
            $crate::store::db::Tx::Sqlite(tx) => {
                let $db = &mut **tx;
                $body
            }
            $crate::store::db::Tx::Postgres(tx) => {
                let $db = &mut **tx;
                $body
            }
        }
    };
}

/// Binds [`CHUNK`] ids, the last one repeated to fill up: one text for every number of ids.
macro_rules! bind_ids {
    ($query:expr, $ids:expr) => {{
        let mut query = $query;
        let last = $ids.len().saturating_sub(1);
        for n in 0..$crate::store::db::CHUNK {
            query = query.bind($ids[n.min(last)].clone());
        }
        query
    }};
}

/// `($1, …, $32)`, for `IN`: [`CHUNK`] placeholders. A statement's other parameters follow from `$33`.
macro_rules! id_list {
    () => {
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
          $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)"
    };
}

/// Runs a body in one transaction and commits it if it succeeds: `transact!(store, |tx| { …; Ok(value) })`. A macro, since the
/// future of an async closure that borrows cannot be proven `Send` today.
///
/// The body is run again, from the start, when it failed because of others: a deadlock, a busy database, or a row that
/// somebody else inserted first (a clash that is an answer, not a race, is turned into `Duplicate` by the body).
///
/// `transact!(fleeting: store, …)` does not wait until the disk of this machine has it: for rows that are worth nothing once the
/// machine has lost its power, and this process with it.
macro_rules! transact {
    (fleeting: $store:expr, |$tx:ident| $body:expr) => {
        transact!($store, begin_fleeting, |$tx| $body)
    };
    ($store:expr, |$tx:ident| $body:expr) => {
        transact!($store, begin, |$tx| $body)
    };
    ($store:expr, $begin:ident, |$tx:ident| $body:expr) => {{
        let store: &$crate::store::Store = &$store;
        let mut tries = 0;
        loop {
            let done: Result<_, $crate::store::StoreError> = match store.$begin().await {
                Ok(mut begun) => {
                    let done = async {
                        let $tx: &mut $crate::store::db::Tx = &mut begun;
                        $body
                    };
                    let done = done.await;
                    begun.end(done).await
                }
                Err(error) => Err(error),
            };
            match done {
                Err(error) if $crate::store::db::again(&error, &mut tries).await => {}
                done => break done,
            }
        }
    }};
}

impl Store {
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.pool {
            // A reader that turns writer is refused when another has written since: be a writer from the start.
            Pool::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    pub(super) async fn begin_fleeting(&self) -> Result<Tx, StoreError> {
        Ok(match &self.pool {
            Pool::Sqlite { fleeting, .. } => Tx::Sqlite(fleeting.begin_with("BEGIN IMMEDIATE").await?),
            // A PostgreSQL of another machine may lose power while whoever holds a lease goes on.
            Pool::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }
}

impl Tx {
    /// Commits what went well, and leaves nothing of what did not.
    pub(super) async fn end<T>(self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match (self, done) {
            (Self::Sqlite(tx), Ok(done)) => tx.commit().await.map(|()| done).map_err(Into::into),
            (Self::Postgres(tx), Ok(done)) => tx.commit().await.map(|()| done).map_err(Into::into),
            // What the body failed with tells more than a rollback that fails after it.
            (Self::Sqlite(tx), Err(error)) => {
                drop(tx.rollback().await);
                Err(error)
            }
            (Self::Postgres(tx), Err(error)) => {
                drop(tx.rollback().await);
                Err(error)
            }
        }
    }
}

/// Whether to begin a transaction anew after this error; waits a little, longer each time.
pub(super) async fn again(error: &StoreError, tries: &mut u32) -> bool {
    *tries += 1;
    let race = matches!(error, StoreError::Database(error) if is_race(error));
    if race && *tries < TRIES {
        tokio::time::sleep(Duration::from_millis(5 << *tries)).await;
    }
    race && *tries < TRIES
}

/// Whether a transaction failed only because of another one, so that nothing of it was kept and it can be begun anew.
fn is_race(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let code = error.code();
    match (error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>(), code.as_deref()) {
        // Serialisation failure, deadlock.
        (Some(_), Some("40001" | "40P01")) => true,
        // SQLITE_BUSY and SQLITE_LOCKED with their extensions: the low byte is 5 or 6.
        (None, Some(code)) => {
            code.parse::<u32>().is_ok_and(|n| matches!(n & 0xff, 5 | 6)) || error.is_unique_violation()
        }
        _ => error.is_unique_violation(),
    }
}

/// Turns a clash with a unique index into `Duplicate`, and a missing parent row into `NotFound`.
pub(super) fn clash(error: sqlx::Error, duplicate: &'static str) -> StoreError {
    match error.as_database_error().map(DatabaseError::kind) {
        Some(sqlx::error::ErrorKind::UniqueViolation) => StoreError::Duplicate(duplicate),
        Some(sqlx::error::ErrorKind::ForeignKeyViolation) => StoreError::NotFound,
        _ => error.into(),
    }
}

/// Reads a stored text as the type it was written from.
pub(super) fn parsed<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(what))
}

/// Text for display, without NUL: PostgreSQL refuses it in texts, and a provider may put it into a name.
pub(super) fn shown(text: &str) -> String {
    text.replace('\0', "")
}
