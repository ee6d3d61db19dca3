//! Opening the database and bringing it up to date; what is asked of it as a whole.

use std::{fs, io, path::Path, str::FromStr, time::Duration};

use sqlx::{
    Executor, SqlSafeStr, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Store, StoreError, db::Pool};
use crate::crypto;

/// The folder `migrations`, in order. A migration that has been released is never changed.
const MIGRATIONS: [(i64, &str, &str); 23] = [
    (1, "main job", include_str!("../../migrations/0001_main_job.sql")),
    (2, "link rules", include_str!("../../migrations/0002_link_rules.sql")),
    (3, "relay", include_str!("../../migrations/0003_relay.sql")),
    (4, "sessions", include_str!("../../migrations/0004_sessions.sql")),
    (5, "formats", include_str!("../../migrations/0005_formats.sql")),
    (6, "credential facts", include_str!("../../migrations/0006_credential_facts.sql")),
    (7, "trials", include_str!("../../migrations/0007_trials.sql")),
    (9, "workspaces", include_str!("../../migrations/0009_workspaces.sql")),
    (10, "client trials", include_str!("../../migrations/0010_client_trials.sql")),
    (11, "federation", include_str!("../../migrations/0011_federation.sql")),
    (12, "drift", include_str!("../../migrations/0012_drift.sql")),
    (14, "service accounts", include_str!("../../migrations/0014_service_accounts.sql")),
    (19, "matrix", include_str!("../../migrations/0019_matrix.sql")),
    (20, "time bound", include_str!("../../migrations/0020_time_bound.sql")),
    (21, "access requests", include_str!("../../migrations/0021_access_requests.sql")),
    (22, "vouches", include_str!("../../migrations/0022_vouches.sql")),
    (23, "groups", include_str!("../../migrations/0023_groups.sql")),
    (24, "made roles", include_str!("../../migrations/0024_made_roles.sql")),
    (26, "files", include_str!("../../migrations/0026_files.sql")),
    (27, "project members", include_str!("../../migrations/0027_project_members.sql")),
    (30, "rotation", include_str!("../../migrations/0030_rotation.sql")),
    (31, "presets", include_str!("../../migrations/0031_presets.sql")),
    (34, "own providers", include_str!("../../migrations/0034_own_providers.sql")),
];

/// How long a request waits for a connection before it says that the database does not answer.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a writer of another process is waited for.
const BUSY: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;

impl Store {
    /// Opens the database and brings it up to date. `sqlite:///path` (made where missing) or `postgres://…`.
    ///
    /// A SQLite file is made for its owner alone. Several processes may open the same database at once: one of them brings it
    /// up to date, the others wait.
    ///
    /// # Errors
    /// `Database` when it cannot be reached or the URL is neither; `Migration` when it belongs to a newer Kubelend.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let pool = if url.starts_with("sqlite://") {
            open_sqlite(url).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url).await?
        } else {
            let why = "the URL begins with neither sqlite:// nor postgres://";
            return Err(sqlx::Error::Configuration(why.into()).into());
        };
        Ok(Self { pool })
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        read!(self, |db| db.execute("SELECT 1").await.map(drop))?;
        Ok(())
    }

    /// This installation's id, drawn once and kept: 8 hexadecimal digits that label its bindings on clusters.
    pub async fn instance_id(&self) -> Result<String, StoreError> {
        let drawn = format!("{:08x}", u32::from_be_bytes(crypto::random()));
        transact!(self, |tx| {
            on!(tx, |db| {
                sqlx::query(
                    "INSERT INTO settings (name, value) VALUES ('instance_id', $1) ON CONFLICT (name) DO NOTHING",
                )
                .bind(&drawn)
                .execute(&mut *db)
                .await?;
                let (kept,): (String,) =
                    sqlx::query_as("SELECT value FROM settings WHERE name = 'instance_id'").fetch_one(&mut *db).await?;
                Ok(kept)
            })
        })
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { read, write, fleeting } => {
                read.close().await;
                fleeting.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

fn migrator() -> Migrator {
    let simple = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.into_iter().map(simple).collect())
}

async fn open_sqlite(url: &str) -> Result<Pool, StoreError> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // The row comes before the cluster: it must outlive a power cut too, not only a crash of ours.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let alone = make_alone(options.get_filename()).await.map_err(sqlx::Error::Io)?;
    // A file does not go away as a server does: asking each connection whether it lives would double the way of each statement.
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE).test_before_acquire(false);
    let write = pool().max_connections(1).connect_with(options.clone()).await?;
    // sqlx takes no lock for SQLite's migrations, so they run inside a transaction that excludes other writers.
    let mut tx: Transaction<'_, sqlx::Sqlite> = write.begin_with("BEGIN IMMEDIATE").await?;
    migrator().run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    drop(alone);
    // A crash of ours loses nothing of it either; with the next commit of the other one it is on the disk.
    let fleeting = options.clone().synchronous(SqliteSynchronous::Normal);
    let fleeting = pool().max_connections(1).connect_lazy_with(fleeting);
    let options = options.pragma("query_only", "ON");
    let read = pool().max_connections(SQLITE_READERS).connect_with(options).await?;
    Ok(Pool::Sqlite { read, write, fleeting })
}

async fn open_postgres(url: &str) -> Result<Pool, StoreError> {
    let options = PgConnectOptions::from_str(url)?.application_name("kubelend");
    let pool = PgPoolOptions::new()
        .acquire_timeout(ACQUIRE)
        .max_connections(POSTGRES_CONNECTIONS)
        // Clusters differ in size by orders of magnitude. A plan that PostgreSQL makes once, for any value, reads the whole
        // table for the small ones; so it plans for the values at hand each time.
        .after_connect(|db, _| {
            Box::pin(async move { db.execute("SET plan_cache_mode = force_custom_plan").await.map(drop) })
        })
        .connect_with(options)
        .await?;
    migrator().run(&pool).await?;
    Ok(Pool::Postgres(pool))
}

/// Makes the file, and holds its folder until what is given back is dropped, or this process ends.
///
/// SQLite cannot wait while it turns a file to WAL: of two processes that do so at once, one is told that the database is
/// locked, whatever its busy timeout. So one process after the other opens it.
async fn make_alone(path: &Path) -> io::Result<fs::File> {
    let path = path.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        create_private(&path)?;
        let folder = fs::File::open(folder_of(&path))?;
        folder.lock()?;
        Ok(folder)
    });
    made.await.map_err(io::Error::other)?
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the file, and its folder, for their owner alone; SQLite gives its journal the mode of the file.
fn create_private(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    let mut file = fs::OpenOptions::new();
    folder.recursive(true);
    file.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folder.mode(0o700);
        file.mode(0o600);
    }
    folder.create(folder_of(path))?;
    match file.open(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_migration() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<String> =
            fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<String> =
            MIGRATIONS.iter().map(|(n, name, _)| format!("{n:04}_{}.sql", name.replace(' ', "_"))).collect();
        assert_eq!(files, listed);
    }
}
