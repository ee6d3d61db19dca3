//! A database for one test, with what tests begin from: people, a cluster, drafts of events.

use std::{fs, path::PathBuf, time::Duration};

use kubelend::{
    crypto::{self, HashedToken},
    model::{
        audience::Audience,
        audit::{Action, Actor},
        claim_mapping::ClaimMapping,
        cluster::{Cluster, CredentialKind, Endpoint},
        grant::{Grant, Grantee, Origin},
        id::{ClusterId, GrantId, IdentityId, ShareLinkId},
        identity::{Identity, VerifiedClaims},
        provider::ProviderId,
        role::Role,
        scope::Scope,
        share_link::{LinkRules, ShareLink},
        time::Timestamp,
    },
    store::{AuditDraft, NewCluster, NewGrant, NewLink, SealedCredential, Store},
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, SqliteConnection, SqlitePool, postgres::PgPoolOptions,
    sqlite::SqlitePoolOptions,
};
use testbed::{
    Testbed,
    run::{self, Passing},
};

use crate::databases::{Lent, write_sqlite};

/// When tests happen.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);

/// A moment after [`NOW`].
pub(crate) fn later(secs: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(secs))
}

/// A database of the test's own.
pub(crate) struct Bed {
    pub(crate) store: Store,
    pub(crate) url: String,
    beside: Beside,
    kept: Kept,
}

/// What goes, or goes on, when the test is over.
#[allow(dead_code, reason = "they are held, not read")]
enum Kept {
    Folder(Passing),
    Database(Lent),
}

/// A connection beside the store's, kept for the test: to make one takes longer than most of what is asked.
enum Beside {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Beside {
    fn new(url: &str) -> Self {
        if url.starts_with("sqlite") {
            Self::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_lazy(url).unwrap())
        } else {
            Self::Postgres(PgPoolOptions::new().max_connections(1).connect_lazy(url).unwrap())
        }
    }
}

/// A folder that is not there yet, with what removes it, and the URL of a SQLite database in it.
fn sqlite() -> (Passing, PathBuf, String) {
    let above = run::passing_folder("store").unwrap();
    let folder = above.path().join("data");
    let url = format!("sqlite://{}", folder.join("kubelend.db").display());
    (above, folder, url)
}

/// A database that nobody has opened yet: its URL, and its folder where it has one, which goes with what removes it.
pub(crate) async fn unopened(postgres: bool) -> (String, Option<(Passing, PathBuf)>) {
    if postgres {
        let server = Testbed::shared().await.unwrap().postgres().await.unwrap();
        (server.create_database().await.unwrap(), None)
    } else {
        let (above, folder, url) = sqlite();
        (url, Some((above, folder)))
    }
}

impl Bed {
    /// On SQLite, in a folder that goes with the test.
    pub(crate) async fn sqlite() -> Self {
        Self::on(false).await
    }

    /// On PostgreSQL.
    pub(crate) async fn postgres() -> Self {
        Self::on(true).await
    }

    async fn on(postgres: bool) -> Self {
        let (url, kept) = if postgres {
            let lent = Lent::take().await;
            (lent.url().to_owned(), Kept::Database(lent))
        } else {
            let (above, folder, url) = sqlite();
            fs::create_dir(&folder).unwrap();
            write_sqlite(&url).await;
            (url, Kept::Folder(above))
        };
        Self { store: Store::open(&url).await.unwrap(), beside: Beside::new(&url), url, kept }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.kept, Kept::Folder(_))
    }

    /// The same database, as another process opens it.
    pub(crate) async fn again(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// Runs SQL beside the store and returns the numbers of its first column.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        // A test may change a table: nothing of the statement is kept.
        match &self.beside {
            Beside::Sqlite(db) => sqlx::query_scalar(sql).persistent(false).fetch_all(db).await.unwrap(),
            Beside::Postgres(db) => sqlx::query_scalar(sql).persistent(false).fetch_all(db).await.unwrap(),
        }
    }

    /// The same for one number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.numbers(sql).await[0]
    }

    /// Runs SQL beside the store.
    pub(crate) async fn run(&self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &self.beside {
            Beside::Sqlite(db) => drop(sql.execute(db).await.unwrap()),
            Beside::Postgres(db) => drop(sql.execute(db).await.unwrap()),
        }
    }

    /// Another replica runs `sql` in a transaction of its own; `task` begins while that is under way, and must wait for it.
    pub(crate) async fn meanwhile<T: Send + 'static>(
        &self,
        sql: &str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut db = SqliteConnection::connect(&self.url).await.unwrap();
            let mut tx = db.begin_with("BEGIN IMMEDIATE").await.unwrap();
            sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
            let task = waiting(task).await;
            tx.commit().await.unwrap();
            task.await.unwrap()
        } else {
            let mut db = PgConnection::connect(&self.url).await.unwrap();
            let mut tx = db.begin().await.unwrap();
            sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
            let task = waiting(task).await;
            tx.commit().await.unwrap();
            task.await.unwrap()
        }
    }

    /// The values of a BYTEA column.
    pub(crate) async fn bytes(&self, sql: &'static str) -> Vec<Vec<u8>> {
        match &self.beside {
            Beside::Sqlite(db) => sqlx::query_scalar(sql).persistent(false).fetch_all(db).await.unwrap(),
            Beside::Postgres(db) => sqlx::query_scalar(sql).persistent(false).fetch_all(db).await.unwrap(),
        }
    }

    /// How many events of this kind there are.
    pub(crate) async fn events(&self, action: Action) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM audit_events WHERE action = '{}'", action.as_str())).await
    }

    /// Somebody who has signed in at Dex with the verified email `NAME@example.com`.
    pub(crate) async fn person(&self, name: &str) -> Identity {
        self.signs_in(&claims(name)).await
    }

    /// Signs somebody in.
    pub(crate) async fn signs_in(&self, claims: &VerifiedClaims) -> Identity {
        self.store.record_sign_in(claims, draft(Action::SignedIn), NOW).await.unwrap().identity
    }

    /// A cluster of a new owner's that trusts Dex and `other`.
    pub(crate) async fn cluster(&self) -> Cluster {
        let owner = self.person(&format!("owner-{}", ClusterId::new())).await;
        self.cluster_of(&owner, "staging").await
    }

    pub(crate) async fn cluster_of(&self, owner: &Identity, name: &str) -> Cluster {
        let audit = draft(Action::ClusterAdded);
        self.store.add_cluster(&new_cluster(name), "Home", owner.id, audit, NOW).await.unwrap()
    }

    /// Grants *view* on the whole cluster.
    pub(crate) async fn grant(&self, cluster: &Cluster, grantee: Grantee) -> Grant {
        self.store.add_grant(&new_grant(cluster, grantee), draft(Action::GrantAdded), NOW).await.unwrap()
    }

    /// The grant as it stands.
    pub(crate) async fn look(&self, grant: &Grant) -> Grant {
        self.store.grant(grant.id).await.unwrap().0
    }

    /// A link to *view* on the whole cluster, open for an hour, for access of a day.
    pub(crate) async fn link(&self, cluster: &Cluster) -> ShareLink {
        self.link_with(cluster, rules(cluster)).await
    }

    /// A link with these rules.
    pub(crate) async fn link_with(&self, cluster: &Cluster, rules: LinkRules) -> ShareLink {
        let new = NewLink { rules, ..new_link(cluster) };
        self.store.add_link(&new, draft(Action::LinkCreated), NOW).await.unwrap()
    }
}

/// Begins a task that must wait for something.
async fn waiting<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    let task = tokio::spawn(task);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!task.is_finished(), "it did not wait");
    task
}

pub(crate) fn provider(id: &str) -> ProviderId {
    id.parse().unwrap()
}

/// What Dex says of `NAME@example.com`, who is in the groups `devs` and `NAME-team`.
pub(crate) fn claims(name: &str) -> VerifiedClaims {
    VerifiedClaims {
        provider: provider("dex"),
        issuer: "https://dex.example.com".into(),
        sub: format!("sub-{name}"),
        email: Some(format!("{name}@example.com").parse().unwrap()),
        email_verified: true,
        name: Some(format!("{name} Example")),
        groups: vec!["devs".into(), format!("{name}-team")],
    }
}

pub(crate) fn draft(action: Action) -> AuditDraft {
    AuditDraft {
        actor: Actor::Kubelend,
        actor_name: "somebody".into(),
        action,
        target: "something".into(),
        request_id: Some("request".into()),
    }
}

pub(crate) fn new_cluster(name: &str) -> NewCluster {
    NewCluster {
        id: ClusterId::new(),
        workspace: None,
        name: name.parse().unwrap(),
        endpoint: Endpoint {
            server: "https://api.example.com:6443/".parse().unwrap(),
            ca_pem: Some("-----BEGIN CERTIFICATE-----".into()),
            tls_server_name: None,
        },
        credential: SealedCredential { kind: CredentialKind::Token, sealed: vec![0, 255, 1, 254] },
        trusts: vec![(provider("other"), ClaimMapping::default()), (provider("dex"), ClaimMapping::default())],
        owner_grant: None,
    }
}

pub(crate) fn new_grant(cluster: &Cluster, grantee: Grantee) -> NewGrant {
    NewGrant {
        id: GrantId::new(),
        grantee,
        role: Some(Role::View),
        scope: Scope::Cluster(cluster.id),
        expires_at: None,
        reason: None,
        origin: Origin::Manual,
        created_by: cluster.created_by,
        vouch: None,
    }
}

pub(crate) fn new_link(cluster: &Cluster) -> NewLink {
    NewLink {
        id: ShareLinkId::new(),
        token_hash: HashedToken(crypto::random()),
        sealed_token: vec![7, 0, 7],
        rules: rules(cluster),
        created_by: cluster.created_by,
        vouch: None,
    }
}

/// *View* on the whole cluster for a day, by a link that is open for an hour to anyone, any number of times.
pub(crate) fn rules(cluster: &Cluster) -> LinkRules {
    LinkRules {
        role: Some(Role::View),
        scope: Scope::Cluster(cluster.id),
        access_lasts: Some(Duration::from_hours(24)),
        expires_at: later(3600),
        max_uses: None,
        audience: Audience::Anyone,
        note: None,
        reason: None,
    }
}

/// What accepting this link gives to somebody.
pub(crate) fn grant_of_link(link: &ShareLink, by: IdentityId, now: Timestamp) -> NewGrant {
    NewGrant {
        id: GrantId::new(),
        grantee: Grantee::Person(by),
        role: link.rules.role.clone(),
        scope: link.rules.scope.clone(),
        expires_at: link.access_until(now),
        reason: link.rules.reason.clone(),
        origin: Origin::Link(link.id),
        created_by: link.created_by,
        vouch: link.vouch.clone(),
    }
}
