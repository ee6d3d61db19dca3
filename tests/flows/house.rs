//! A Kubelend of the test's own on the shared servers, with people of its own: Dex keeps one refresh token for each person and
//! client, and tests run side by side.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use kubelend::model::role::Role;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use testbed::{ControlPlane, Dex, Kubectl, Kubelend, Person, Testbed, eventually, kubelend::Place};

use super::visitor::Visitor;
use crate::databases::{Lent, write_sqlite};

/// Which database Kubelend runs on.
#[derive(Clone, Copy, Debug)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// The program under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kubelend"))
}

/// A running Kubelend with its platform admin.
pub struct House {
    pub bed: &'static Testbed,
    pub kubelend: Kubelend,
    pub alice: Person,
    pub database_url: String,
    /// Keeps its PostgreSQL database.
    #[allow(dead_code, reason = "it is held, not read")]
    pub lent: Option<Lent>,
}

impl House {
    /// On this database, with the shared Dex as provider `dex`.
    pub async fn open(database: Database) -> Result<Self> {
        let bed = Testbed::shared().await?;
        Self::with_provider(database, bed.dex().await?, "").await
    }

    /// The same with another Dex, and with more configuration behind.
    pub async fn with_provider(database: Database, dex: &Dex, more: &str) -> Result<Self> {
        let alice = Testbed::shared().await?.hire("alice", &[]).await?;
        Self::of(alice, database, dex, more).await
    }

    /// The same for somebody in particular as platform admin.
    pub async fn of(alice: Person, database: Database, dex: &Dex, more: &str) -> Result<Self> {
        let bed = Testbed::shared().await?;
        let place = Place::new(bed.ca())?;
        dex.add_redirect_uri(&place.callback("dex")).await?;
        let (database_url, lent) = match database {
            Database::Sqlite => {
                write_sqlite(&place.sqlite()).await;
                (place.sqlite(), None)
            }
            Database::Postgres => {
                let lent = Lent::take().await;
                (lent.url().to_owned(), Some(lent))
            }
        };
        let configuration = configuration(&place, &database_url, dex, &alice.email) + more;
        let kubelend = Kubelend::start(binary(), place, &configuration).await?;
        Ok(Self { bed, kubelend, alice, database_url, lent })
    }

    /// Runs SQL on the house's own PostgreSQL database.
    pub async fn sql(&self, sql: &str) -> Result<String> {
        let name = self.database_url.rsplit('/').next().context("a database URL has a name")?;
        self.bed.postgres().await?.sql(name, sql).await
    }

    /// Locks a table of the PostgreSQL database: whoever wants to write to it waits.
    pub async fn lock(&self, table: &str) -> Result<Lock> {
        self.locked(table, "EXCLUSIVE", "ExclusiveLock").await
    }

    /// The same, and whoever wants to read it waits, too.
    pub async fn lock_out(&self, table: &str) -> Result<Lock> {
        self.locked(table, "ACCESS EXCLUSIVE", "AccessExclusiveLock").await
    }

    async fn locked(&self, table: &str, mode: &str, shown: &str) -> Result<Lock> {
        let (bed, url) = (self.bed, self.database_url.clone());
        let name = url.rsplit('/').next().context("a database URL has a name")?.to_owned();
        let sql = format!("BEGIN; LOCK TABLE {table} IN {mode} MODE; SELECT pg_sleep(60)");
        let (held, database) = (sql.clone(), name.clone());
        let task = tokio::spawn(async move { bed.postgres().await?.sql(&database, &held).await.map(drop) });
        let lock = Lock { bed, name, task };
        let granted = format!(
            "SELECT count(*) FROM pg_locks WHERE mode = '{shown}' AND granted AND relation IS NOT NULL AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        );
        eventually("the lock", Duration::from_secs(10), async || {
            anyhow::ensure!(lock.sql(&granted).await?.trim() != "0", "not yet");
            Ok(())
        })
        .await?;
        Ok(lock)
    }

    /// Resolves once a connection to this house's database waits for a lock.
    pub fn somebody_waits(&self) -> impl Future<Output = Result<()>> + use<> {
        self.many_wait(1)
    }

    /// Resolves once so many connections do.
    pub fn many_wait(&self, many: usize) -> impl Future<Output = Result<()>> + use<> {
        let (bed, url) = (self.bed, self.database_url.clone());
        async move {
            let name = url.rsplit('/').next().context("a database URL has a name")?;
            eventually("somebody to wait for the lock", Duration::from_secs(20), async || {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
                let count: usize = bed.postgres().await?.sql(name, waiting).await?.trim().parse()?;
                anyhow::ensure!(count >= many, "{count} wait");
                Ok(())
            })
            .await
        }
    }

    /// A fresh browser.
    pub fn visitor(&self) -> Result<Visitor> {
        Visitor::new(&self.kubelend.url(), self.bed.ca().pem())
    }

    /// A fresh browser in which the platform admin has signed in.
    pub async fn owner(&self) -> Result<Visitor> {
        let mut alice = self.visitor()?;
        alice.sign_in(&self.alice.email).await?;
        Ok(alice)
    }

    /// Adds a cluster through its page, with what the command that the page shows makes on it. Leaves the owner on the cluster's page and returns its path.
    pub async fn add_cluster(&self, owner: &mut Visitor, cluster: &ControlPlane, name: &str) -> Result<String> {
        self.add_kubeconfig(owner, name, &connect(cluster).await?).await
    }

    /// Adds a cluster by this kubeconfig.
    pub async fn add_kubeconfig(&self, owner: &mut Visitor, name: &str, kubeconfig: &str) -> Result<String> {
        owner.open("/clusters").await?;
        owner.follow("Add cluster").await?;
        owner.press("Add cluster", &[("Name", name), ("Kubeconfig", kubeconfig)]).await?;
        let path = owner.page.url.path().to_owned();
        owner.page.sees(name).context("the cluster's page")?;
        Ok(path)
    }

    /// Makes a share link through its page and returns the link.
    pub async fn share(&self, owner: &mut Visitor, cluster: &str, answers: &[(&str, &str)]) -> Result<String> {
        owner.open(cluster).await?;
        owner.follow("Share links").await?;
        if owner.page.field("Link expires").is_err() {
            owner.follow("Share").await?;
        }
        owner.press("Create link", answers).await?;
        owner.page.field("Share link")
    }

    /// Opens a link in this browser and signs in; the next page is the one to accept on.
    pub async fn open_link(&self, visitor: &mut Visitor, link: &str, email: &str) -> Result<()> {
        visitor.open(link).await?;
        visitor.follow("Sign in to accept").await?;
        visitor.sign_in_as(&testbed::Credentials::of(email)).await?;
        Ok(())
    }

    /// Opens a link, signs in, accepts, and downloads the kubeconfig.
    pub async fn accept(&self, visitor: &mut Visitor, link: &str, email: &str) -> Result<Kubectl> {
        self.open_link(visitor, link, email).await?;
        visitor.press("Accept", &[]).await?;
        download(visitor).await
    }
}

/// A table that is locked until this is released.
pub struct Lock {
    bed: &'static Testbed,
    name: String,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Lock {
    async fn sql(&self, sql: &str) -> Result<String> {
        self.bed.postgres().await?.sql(&self.name, sql).await
    }

    /// Lets the waiting go on, and waits until the lock is gone.
    pub async fn release(self) -> Result<()> {
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'BEGIN; LOCK%'").await?;
        // It ends with an error, since its connection was cut: that is how it is released.
        let _ = self.task.await?;
        Ok(())
    }
}

/// Downloads the kubeconfig from the kubeconfig page that the visitor is on.
pub async fn download(visitor: &mut Visitor) -> Result<Kubectl> {
    let here = visitor.page.clone();
    let file = visitor.follow("Download kubeconfig").await?.clone();
    visitor.page = here;
    anyhow::ensure!(
        file.body.starts_with("apiVersion"),
        "no kubeconfig but {} at {}: {}",
        file.status,
        file.url,
        file.text()
    );
    Kubectl::with_text(&file.body)
}

/// Runs the command that connects a cluster, with its owner's kubectl, and returns what it prints.
pub async fn connect_as_shown(cluster: &ControlPlane) -> Result<String> {
    cluster.kubectl()?.shell(&kubelend::kubeconfig::connect_script(&Role::NAMES)).await?.ok()
}

/// The same kubeconfig, of the same objects, without the four kubectl of the command: most tests have another job.
pub async fn connect(cluster: &ControlPlane) -> Result<String> {
    let client = cluster.admin_client()?;
    let at = |path: &str| format!("{}{path}", cluster.server_url());
    let paths = [
        "/api/v1/namespaces/kubelend",
        "/api/v1/namespaces/kubelend/serviceaccounts/kubelend",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/kubelend",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubelend",
        "/api/v1/namespaces/kubelend/secrets/kubelend-token",
    ];
    for (path, object) in paths.into_iter().zip(kubelend::kubeconfig::least_power_objects(&Role::NAMES)) {
        let applied = client.patch(at(&format!("{path}?fieldManager=testbed&force=true")));
        let applied = applied.header(CONTENT_TYPE, "application/apply-patch+yaml").body(object.to_string());
        applied.send().await?.error_for_status().with_context(|| format!("apply {path}"))?;
    }
    eventually("the token", Duration::from_secs(30), async || {
        let secret: Value = client.get(at(paths[4])).send().await?.json().await?;
        let token = BASE64.decode(secret["data"]["token"].as_str().context("there is none yet")?)?;
        Ok(cluster.kubeconfig_with_token(str::from_utf8(&token)?))
    })
    .await
}

/// The bindings on a cluster of this kind (`rolebindings`: of all namespaces), or those with a label.
pub async fn bindings(cluster: &ControlPlane, kind: &str, label: Option<&str>) -> Result<Vec<Value>> {
    let path = format!("{}/apis/rbac.authorization.k8s.io/v1/{kind}", cluster.server_url());
    let asked = cluster.admin_client()?.get(path).query(&[("labelSelector", label.unwrap_or_default())]);
    let mut answer: Value = asked.send().await?.error_for_status()?.json().await?;
    match answer["items"].take() {
        Value::Array(items) => Ok(items),
        _ => anyhow::bail!("a list has items: {answer}"),
    }
}

/// Who is bound on a cluster by bindings of this kind, once for each binding.
pub async fn subjects(cluster: &ControlPlane, kind: &str) -> Result<Vec<String>> {
    let bindings = bindings(cluster, kind, None).await?;
    let all = bindings.iter().flat_map(|binding| binding["subjects"].as_array().into_iter().flatten());
    Ok(all.filter_map(|subject| subject["name"].as_str().map(str::to_owned)).collect())
}

/// Fails unless exactly `n` ClusterRoleBindings on a cluster name this user.
pub async fn bound(cluster: &ControlPlane, user: &str, n: usize) -> Result<()> {
    let found = subjects(cluster, "clusterrolebindings").await?.iter().filter(|name| *name == user).count();
    anyhow::ensure!(found == n, "{found} bindings name {user}, not {n}");
    Ok(())
}

pub fn configuration(place: &Place, database_url: &str, dex: &Dex, admin: &str) -> String {
    use testbed::kubelend::quoted;
    let ca = dex.ca_file().to_string_lossy();
    format!(
        "{}\n[[providers]]\nid = \"dex\"\nname = \"Dex\"\nissuer = {}\nclient_id = \"kubelend\"\n\
         direct_client_id = \"kubelend-direct\"\nca_file = {}\n\n\
         [[platform_admins]]\nprovider = \"dex\"\nemail = {}\n",
        place.configuration(database_url),
        quoted(dex.issuer()),
        quoted(&ca),
        quoted(admin),
    )
}
