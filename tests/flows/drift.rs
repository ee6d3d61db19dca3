//! Somebody edits, deletes and forges bindings on a cluster with kubectl: what is ours is put back, what is not is left alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::{ControlPlane, eventually};

use super::{
    house::{Database, House},
    visitor::Visitor,
};

/// What is ours is put back within this.
const SOON: Duration = Duration::from_secs(30);
/// For whatever else a busy machine takes its time for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A namespace of the test's own on a cluster that others use as well, and kubectl there.
struct Place {
    cluster: &'static ControlPlane,
    namespace: String,
}

impl Place {
    async fn new(house: &House) -> Result<Self> {
        let place = Self { cluster: house.bed.staging().await?, namespace: format!("drift-{}", house.bed.unique()) };
        place.kubectl(&["create", "namespace", &place.namespace]).await?;
        Ok(place)
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl()?.run(args).await?.ok()
    }

    /// kubectl in the namespace.
    async fn here(&self, args: &[&str]) -> Result<String> {
        self.kubectl(&[&["-n", &self.namespace], args].concat()).await
    }

    /// “NAME UID SUBJECT INSTANCE” of each RoleBinding there.
    async fn bindings(&self) -> Result<Vec<[String; 4]>> {
        let columns = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.subjects[*].name} \
             {.metadata.labels.kubelend\\.io/instance}{\"\\n\"}{end}";
        let out = self.here(&["get", "rolebindings", "-o", columns]).await?;
        let words = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            std::array::from_fn(|_| words.next().unwrap_or_default())
        };
        Ok(out.lines().map(words).collect())
    }

    /// The one that names somebody, once it is there and bears our label.
    async fn of(&self, subject: &str) -> Result<[String; 4]> {
        eventually("the binding to stand", SOON, async || {
            let all = self.bindings().await?;
            let ours = all.iter().find(|[_, _, name, instance]| name == subject && !instance.is_empty());
            ours.cloned().with_context(|| format!("{all:?}"))
        })
        .await
    }
}

async fn grant(alice: &mut Visitor, path: &str, email: &str, namespace: &str) -> Result<()> {
    alice.open(&format!("{path}/access")).await?;
    let answers =
        [("Kind", "User"), ("Name", email), ("Role", "view"), ("Where", "Namespaces"), ("Namespaces", namespace)];
    alice.press("Grant", &answers).await?;
    alice.page.sees(email)?;
    Ok(())
}

/// Opens the page until the row says this.
async fn row_says(alice: &mut Visitor, page: &str, row: &str, words: &str) -> Result<()> {
    let begun = tokio::time::Instant::now();
    loop {
        let rows = alice.open(page).await?.rows(row);
        if rows.iter().any(|row| row.contains(words)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "“{words}” in {rows:?}: {}", alice.page.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn immune_28_what_is_edited_or_deleted_is_put_back_and_what_is_forged_is_left_alone() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let (bob, eve) = (house.bed.hire("bob", &[]).await?, format!("eve-{}", house.bed.unique()));
    let place = Place::new(&house).await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, place.cluster, "watched").await?;
    grant(&mut alice, &path, &bob.email, &place.namespace).await?;
    let [name, uid, _, instance] = place.of(&bob.email).await?;

    // Edited: somebody else in it, and without our label.
    let edit = format!(
        r#"{{"metadata":{{"labels":{{"kubelend.io/instance":null}}}},"subjects":[{{"kind":"User","name":"{eve}","apiGroup":"rbac.authorization.k8s.io"}}]}}"#
    );
    place.here(&["patch", "rolebinding", &name, "--type=merge", "-p", &edit]).await?;
    assert_eq!(place.of(&bob.email).await?, [name.clone(), uid.clone(), bob.email.clone(), instance.clone()]);

    // Deleted.
    place.here(&["delete", "rolebinding", &name]).await?;
    let [_, second, ..] = place.of(&bob.email).await?;
    ensure!(second != uid, "it was made anew");

    // Forged: a name of no grant, and a copy of ours where the grant does not reach; both with all of our labels.
    let forged = format!("kubelend-{}", kubelend::model::id::GrantId::new());
    let elsewhere = Place::new(&house).await?;
    let labels = place.here(&["get", "rolebinding", &name, "-o", "jsonpath={.metadata.labels}"]).await?;
    for (at, name) in [(&place, &forged), (&elsewhere, &name)] {
        at.here(&["create", "rolebinding", name, "--clusterrole=view", &format!("--user={eve}")]).await?;
        let edit = format!(r#"{{"metadata":{{"labels":{labels}}}}}"#);
        at.here(&["patch", "rolebinding", name, "--type=merge", "-p", &edit]).await?;
    }
    let stood = (place.of(&eve).await?, elsewhere.of(&eve).await?);
    let seen = format!("{path}/access?q={eve}");
    row_says(&mut alice, &seen, &eve, "bears Kubelend’s label, and is not Kubelend’s").await?;
    assert_eq!(alice.page.rows(&eve).len(), 2, "{}", alice.page.text());

    // Ours is replaced by one of the same name and the same labels.
    let other = format!(
        r#"{{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{{"name":"{name}","labels":{labels}}},
            "roleRef":{{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}},
            "subjects":[{{"kind":"User","name":"{eve}","apiGroup":"rbac.authorization.k8s.io"}}]}}"#
    );
    let kubectl = place.cluster.kubectl()?;
    eventually("theirs to stand before ours is put back", PATIENCE, async || {
        place.here(&["delete", "rolebinding", &name, "--ignore-not-found"]).await?;
        kubectl.run_with_input(&["-n", &place.namespace, "create", "-f", "-"], &other).await?.ok().map(drop)
    })
    .await?;
    row_says(&mut alice, &format!("{path}/access"), &bob.email, "this Kubelend did not make it").await?;
    let command = format!("kubectl delete rolebinding {name} --namespace {}", place.namespace);
    alice.page.sees(&format!("gives ClusterRole edit to User {eve}"))?;
    alice.page.sees(&command)?;
    assert!(
        place.bindings().await?.iter().any(|[n, _, subject, _]| *n == name && *subject == eve),
        "it was left alone"
    );

    // The way out, as the page says it.
    kubectl.shell(&command).await?.ok()?;
    alice.press_in_row(&bob.email, "Try again").await?;
    // It is in force at once, or a moment later where the loop has seen the same and both were at it.
    alice.page.sees(&format!("{}: view on namespace {}", bob.email, place.namespace))?;
    place.of(&bob.email).await?;
    row_says(&mut alice, &format!("{path}/access"), &bob.email, "in force").await?;

    // All that was told, and what was forged stands as it stood.
    alice.open(&format!("{path}/activity")).await?;
    alice.page.sees("was changed on the cluster and was put back")?;
    alice.page.sees("was gone and was made again")?;
    assert_eq!((place.of(&eve).await?, elsewhere.of(&eve).await?), stood);

    killed_and_removed(&house, &mut alice, &place, (&path, &bob.email, &name)).await
}

/// What happens while Kubelend is away is found when it comes back; and what was removed stays so, labels or none.
async fn killed_and_removed(
    house: &House,
    alice: &mut Visitor,
    place: &Place,
    (path, bob, name): (&str, &str, &str),
) -> Result<()> {
    house.kubelend.kill9().await?;
    place.here(&["delete", "rolebinding", name]).await?;
    // As if it had been dead for longer than others wait for a sign of life.
    house.sql("UPDATE watchers SET until = 0").await?;
    house.kubelend.restart().await?;
    place.of(bob).await?;

    row_says(alice, &format!("{path}/access"), bob, "in force").await?;
    alice.press_in_row(bob, "Remove").await?;
    eventually("the binding to go", SOON, async || {
        let all = place.bindings().await?;
        ensure!(all.iter().all(|[_, _, subject, _]| subject != bob), "{all:?}");
        Ok(())
    })
    .await?;
    let metrics = alice.http.get(alice.base.join("/metrics")?).send().await?;
    ensure!(metrics.status() == StatusCode::OK, "{}", metrics.status());
    let figures = metrics.text().await?;
    ensure!(figures.contains(r#"kubelend_drift_repairs_total{kind="deleted"} 1"#), "{figures}");
    Ok(())
}
