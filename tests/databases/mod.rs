//! Databases as they are after Kubelend opened one for the first time, for tests that are about what comes then.
//!
//! Thirty migrations take the machine longer than most tests, so they run once on each kind of database: on SQLite the file is copied,
//! and of PostgreSQL's databases those that a test is done with are emptied and handed on to the next one.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use kubelend::store::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use testbed::{Postgres, Testbed, run};
use tokio::{
    runtime::{Builder, Runtime},
    sync::OnceCell,
};

/// What a database is made of, in numbers: a test that changes a table, or has it counted for the planner, leaves others.
const SHAPE: &str = "SELECT concat_ws(' ',
    (SELECT concat(count(*), '/', max(xmin::text::bigint)) FROM pg_class),
    (SELECT concat(count(*), '/', max(xmin::text::bigint)) FROM pg_attribute),
    (SELECT concat(count(*), '/', max(xmin::text::bigint)) FROM pg_constraint),
    (SELECT concat(count(*), '/', max(xmin::text::bigint)) FROM pg_trigger),
    (SELECT concat(count(*), '/', max(xmin::text::bigint)) FROM pg_proc),
    (SELECT count(*) FROM pg_statistic))";

/// How large its tables are, in bytes, with what was deleted in them.
const SIZE: &str = "SELECT sum(pg_table_size(oid))::bigint FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";

/// So many bytes more than at first, and it is not handed on: tests are to find small tables.
const GROWTH: i64 = 1 << 20;

/// Deletes every row, in any order.
const EMPTY: &str = "DO $$ DECLARE name text; BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    END $$";

/// How often, and after how long a pause each, somebody who is still connected is waited for.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// A PostgreSQL database that was opened before, for as long as this lives.
pub struct Lent {
    url: String,
    /// Looks after it from test to test. Its own connection knows all tables, which takes a new one longer than to empty them.
    keeper: Option<PgConnection>,
}

/// A database with what looks after it.
type Resting = (String, PgConnection);

static RESTING: Mutex<Vec<Resting>> = Mutex::new(Vec::new());

impl Lent {
    /// One that rests, emptied, or a new one.
    pub async fn take() -> Self {
        let first = First::get().await;
        let rests = resting().pop();
        if let Some((url, keeper)) = rests {
            return Self { url, keeper: Some(keeper) };
        }
        Self { url: first.server.copy_database(&first.url).await.unwrap(), keeper: None }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (url, keeper) = (std::mem::take(&mut self.url), self.keeper.take());
        // Whoever drops it cannot wait, and a connection lives no longer than the runtime that it was made in.
        keepers().spawn(async move {
            let first = First::get().await;
            match first.renew(&url, keeper).await {
                Some(keeper) => resting().push((url, keeper)),
                None => drop(first.server.in_use(&url)),
            }
        });
    }
}

fn resting() -> MutexGuard<'static, Vec<Resting>> {
    RESTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where databases are looked after between tests.
fn keepers() -> &'static Runtime {
    static KEEPERS: OnceLock<Runtime> = OnceLock::new();
    KEEPERS.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

/// The database that others are copies of, and what it was like.
struct First {
    server: &'static Postgres,
    url: String,
    shape: String,
    size: i64,
    /// What migrations put into tables, as SQL.
    seeds: Vec<String>,
}

impl First {
    async fn get() -> &'static Self {
        static FIRST: OnceCell<First> = OnceCell::const_new();
        FIRST.get_or_init(Self::make).await
    }

    async fn make() -> Self {
        let server = Testbed::shared().await.unwrap().postgres().await.unwrap();
        let url = server.create_database().await.unwrap();
        Store::open(&url).await.unwrap().close().await;
        let mut db = PgConnection::connect(&url).await.unwrap();
        let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
        let mut seeds = Vec::new();
        for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&mut db).await.unwrap() {
            let rows = format!("SELECT json_agg(t)::text FROM {table} t");
            let rows: Option<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut db).await.unwrap();
            seeds.extend(rows.map(|rows| {
                let rows = rows.replace('\'', "''");
                format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, '{rows}')")
            }));
        }
        let (shape, size) = (shape(&mut db).await.unwrap(), size(&mut db).await.unwrap());
        db.close().await.unwrap();
        Self { server, url, shape, size, seeds }
    }

    /// Empties a database once nobody else is connected to it, unless it is no longer what it was.
    async fn renew(&self, url: &str, keeper: Option<PgConnection>) -> Option<PgConnection> {
        let mut db = match keeper {
            Some(keeper) => keeper,
            None => PgConnection::connect(url).await.ok()?,
        };
        let others =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let mut tries = 0;
        while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut db).await.ok()? > 0 {
            tries += 1;
            if tries > TRIES {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if shape(&mut db).await.ok()? != self.shape || size(&mut db).await.ok()? > self.size + GROWTH {
            return None;
        }
        sqlx::raw_sql(EMPTY).execute(&mut db).await.ok()?;
        for seed in &self.seeds {
            sqlx::raw_sql(AssertSqlSafe(seed.clone())).execute(&mut db).await.ok()?;
        }
        Some(db)
    }
}

async fn shape(db: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar(SHAPE).fetch_one(db).await
}

async fn size(db: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(SIZE).fetch_one(db).await
}

/// Writes the file of a SQLite database, for its owner alone as Kubelend makes it.
pub async fn write_sqlite(url: &str) {
    static OPENED: OnceCell<Vec<u8>> = OnceCell::const_new();
    let content = OPENED
        .get_or_init(|| async {
            let folder = run::passing_folder("opened").unwrap();
            let url = format!("sqlite://{}", folder.path().join("kubelend.db").display());
            Store::open(&url).await.unwrap().close().await;
            fs::read(file_of(&url)).unwrap()
        })
        .await;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file_of(url));
    file.and_then(|mut file| file.write_all(content)).unwrap();
}

fn file_of(url: &str) -> &Path {
    Path::new(url.strip_prefix("sqlite://").unwrap())
}
