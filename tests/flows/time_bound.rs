//! Access that ends, is extended and is changed: as pages say it, and as real kubectl finds it on the cluster.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::{ControlPlane, Credentials, FaultProxy, Kubectl, Person, dex::DIRECT_CLIENT, eventually, fault::Fault};
use tokio::sync::Notify;

use super::{
    house::{Database, House, connect},
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_secs(45);

/// A namespace of the test's own on a cluster that others use as well, behind something that can silence it, and bob.
struct Place {
    house: House,
    cluster: &'static ControlPlane,
    proxy: FaultProxy,
    namespace: String,
    alice: Visitor,
    path: String,
    bob: Person,
    kubectl: Kubectl,
}

impl Place {
    async fn new(database: Database) -> Result<Self> {
        let house = House::open(database).await?;
        let cluster = house.bed.staging().await?;
        let upstream = url::Url::parse(cluster.server_url())?.socket_addrs(|| None)?[0];
        let proxy = FaultProxy::start(upstream)?;
        let namespace = format!("time-{}", house.bed.unique());
        cluster.kubectl()?.run(&["create", "namespace", &namespace]).await?.ok()?;
        let mut alice = house.owner().await?;
        let address = format!("https://127.0.0.1:{}", proxy.port());
        let kubeconfig = connect(cluster).await?.replace(cluster.server_url(), &address);
        let path = house.add_kubeconfig(&mut alice, "staging", &kubeconfig).await?;
        let bob = house.bed.hire("bob", &[]).await?;
        let tokens = house.bed.dex().await?.tokens_for(DIRECT_CLIENT, &Credentials::of(&bob.email)).await?;
        let kubectl = Kubectl::with_text(&cluster.kubeconfig_with_token(&tokens.id_token))?;
        Ok(Self { house, cluster, proxy, namespace, alice, path, bob, kubectl })
    }

    fn access(&self) -> String {
        format!("{}/access", self.path)
    }

    /// Gives bob this role in the namespace.
    async fn grant(&mut self, role: &str, expires: &str) -> Result<()> {
        self.alice.open(&self.access()).await?;
        let answers = [
            ("Name", self.bob.email.as_str()),
            ("Role", role),
            ("Where", "namespaces"),
            ("Namespaces", &self.namespace),
            ("Expires", expires),
            ("Reason", "the release"),
        ];
        self.alice.press("Grant", &answers).await.map(drop)
    }

    /// The words of bob's rows that hold this.
    async fn row(&mut self, holding: &str) -> Result<Vec<String>> {
        let rows = self.alice.open(&self.access()).await?.rows(&self.bob.email);
        Ok(rows.into_iter().filter(|row| row.contains(holding)).collect())
    }

    /// Opens the access page until these words are on it, or are not.
    async fn says(&mut self, there: bool, words: &str) -> Result<()> {
        let begun = tokio::time::Instant::now();
        while self.alice.open(&self.access()).await?.text().contains(words) != there {
            ensure!(begun.elapsed() < PATIENCE, "“{words}”: {}", self.alice.page.text());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn edit(&mut self) -> Result<()> {
        self.alice.open(&self.access()).await?;
        self.alice.follow_in_row(&self.bob.email, "Edit").await.map(drop)
    }

    async fn may(&self, verb: &str, what: &str) -> Result<bool> {
        can(&self.kubectl, &self.namespace, verb, what).await
    }

    /// Waits until this is what bob may do.
    async fn comes_to(&self, wanted: bool, verb: &str, what: &str) -> Result<()> {
        eventually("the rights to be as given", PATIENCE, async || {
            ensure!(self.may(verb, what).await? == wanted, "{verb} {what} is not {wanted}");
            Ok(())
        })
        .await
    }

    /// The RoleBindings in the namespace: “ROLE SUBJECT”.
    async fn bindings(&self) -> Result<Vec<String>> {
        let columns = "jsonpath={range .items[*]}{.roleRef.name} {.subjects[*].name}{\"\\n\"}{end}";
        let arguments = ["-n", &self.namespace, "get", "rolebindings", "-o", columns];
        Ok(self.cluster.kubectl()?.run(&arguments).await?.ok()?.lines().map(str::to_owned).collect())
    }

    async fn figure(&self, name: &str) -> Result<String> {
        let text = self.alice.http.get(self.alice.base.join("/metrics")?).send().await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        Ok(line.with_context(|| format!("{name} is not in {text}"))?.to_owned())
    }
}

async fn can(kubectl: &Kubectl, namespace: &str, verb: &str, what: &str) -> Result<bool> {
    Ok(kubectl.run(&["auth", "can-i", verb, what, "-n", namespace]).await?.stdout.trim() == "yes")
}

#[tokio::test]
async fn a_changed_role_is_there_before_the_old_one_goes_and_nothing_is_missing_in_between() -> Result<()> {
    let mut place = Place::new(Database::Postgres).await?;
    place.grant("view", "30 days").await?;
    place.alice.page.sees("the release")?;
    place.comes_to(true, "get", "pods").await?;
    ensure!(!place.may("create", "configmaps").await?, "view creates nothing");

    // All the while bob asks whether he may still look.
    let (enough, kubectl, namespace) = (Arc::new(Notify::new()), place.kubectl.clone(), place.namespace.clone());
    let stop = Arc::clone(&enough);
    let asking = tokio::spawn(async move {
        let mut asked = 0;
        loop {
            tokio::select! {
                () = stop.notified() => return Ok::<_, anyhow::Error>(asked),
                may = can(&kubectl, &namespace, "get", "pods") => ensure!(may?, "after {asked} times: no more"),
            }
            asked += 1;
        }
    });
    place.edit().await?;
    place.alice.page.sees("Given just now")?;
    place.alice.press("Save", &[("Role", "edit"), ("Reason", "the release, with a fix")]).await?;
    let rows = place.row("in force").await?;
    ensure!(rows.len() == 1 && rows[0].contains("edit") && rows[0].contains("with a fix"), "{rows:?}");
    ensure!(rows[0].contains("in 30 days"), "the end stays: {rows:?}");
    place.comes_to(true, "create", "configmaps").await?;
    ensure!(place.bindings().await? == [format!("edit {}", place.bob.email)], "{:?}", place.bindings().await?);
    place.edit().await?;
    place.alice.press("Save", &[("Role", "view")]).await?;
    place.comes_to(false, "create", "configmaps").await?;
    enough.notify_one();
    let asked = asking.await??;
    ensure!(asked > 3, "asked {asked} times");

    place.alice.open(&format!("{}/activity", place.path)).await?.sees("changed access:")?;
    place.alice.page.sees(&format!("was view on namespace {}", place.namespace))?;
    place.alice.page.sees("(“the release, with a fix”)")
}

#[tokio::test]
async fn what_ends_within_a_week_is_said_to_both_and_extended_by_who_may() -> Result<()> {
    let mut place = Place::new(Database::Sqlite).await?;
    place.grant("view", "1 day").await?;
    let mut bob = place.house.visitor()?;
    bob.sign_in(&place.bob.email).await?;
    bob.open("/shared").await?.sees("Ask for longer")?;
    ensure!(bob.page.link("Extend staging").is_err() && bob.page.link("Extend").is_err(), "{}", bob.page.text());

    place.alice.open(&place.access()).await?.sees("1 grant ends within a week.")?;
    place.alice.follow("Show what ends").await?;
    ensure!(place.alice.page.rows("").len() == 1, "{:?}", place.alice.page.rows(""));
    place.alice.follow_in_row(&place.bob.email, "Extend").await?;
    place.alice.press("Extend", &[("Extend by", "7 days")]).await?;
    ensure!(place.row("in 8 days").await?.len() == 1, "{:?}", place.row("").await?);
    place.alice.page.does_not_see("within a week")?;
    bob.open("/shared").await?.does_not_see("Ask for longer")?;
    // The end can be brought nearer, and taken away.
    place.edit().await?;
    place.alice.press("Save", &[("Expires", "1 day")]).await?;
    ensure!(place.row("in 24 hours").await?.len() == 1, "{:?}", place.row("").await?);
    place.edit().await?;
    place.alice.press("Save", &[("Expires", "no end")]).await?;
    ensure!(place.row("no end").await?.len() == 1, "{:?}", place.row("").await?);
    place.alice.open(&format!("{}/activity", place.path)).await?.sees("extended access:")?;

    // What came by a link is extended, too; its role is the link's.
    let link =
        place.house.share(&mut place.alice, &place.path, &[("Access lasts", "1 day"), ("Reason", "a look")]).await?;
    let carol = place.house.bed.hire("carol", &[]).await?;
    place.house.accept(&mut place.house.visitor()?, &link, &carol.email).await?;
    place.alice.open(&place.access()).await?;
    ensure!(place.alice.page.rows(&carol.email)[0].contains("a look"), "{:?}", place.alice.page.rows(&carol.email));
    place.alice.follow_in_row(&carol.email, "Extend").await?.sees("It came by a share link")?;
    ensure!(place.alice.page.field("Role").is_err(), "{}", place.alice.page.text());
    place.alice.press("Extend", &[("Extend by", "30 days")]).await?;
    ensure!(place.alice.page.rows(&carol.email)[0].contains("in 31 days"), "{}", place.alice.page.text());
    place.alice.follow_in_row(&carol.email, "Edit").await?;
    place.alice.follow("The share link").await?.sees("a look")
}

#[tokio::test]
async fn what_should_be_gone_from_a_silent_cluster_is_said_until_it_is_gone() -> Result<()> {
    let mut place = Place::new(Database::Postgres).await?;
    place.grant("view", "1 day").await?;
    place.comes_to(true, "get", "pods").await?;
    ensure!(place.figure("kubelend_overdue_removals").await? == "0", "nothing is overdue");
    place.proxy.set(Fault::BlackHole);
    let soon = "UPDATE grants SET expires_at = (extract(epoch FROM now()) * 1000)::bigint, \
         ends_at = (extract(epoch FROM now()) * 1000)::bigint WHERE expires_at IS NOT NULL";
    place.house.sql(soon).await?;
    let words = "1 grant that has ended still stands on staging";
    place.says(true, "It is the turn of the people who run the cluster").await?;
    place.alice.page.sees(words)?;
    place.alice.open(&place.path).await?.sees(words)?;
    eventually("the figure", PATIENCE, async || {
        ensure!(place.figure("kubelend_overdue_removals").await? == "1", "not yet");
        Ok(())
    })
    .await?;
    ensure!(place.may("get", "pods").await?, "the binding does stand");
    place.alice.open(&place.access()).await?;
    ensure!(place.alice.page.link_in_row(&place.bob.email, "Edit").is_err(), "what has ended is not edited");

    place.proxy.set(Fault::Pass);
    place.comes_to(false, "get", "pods").await?;
    place.says(false, "still stands on").await?;
    eventually("the figure", PATIENCE, async || {
        ensure!(place.figure("kubelend_overdue_removals").await? == "0", "not yet");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn immune_25_killed_between_a_change_and_the_cluster_the_new_one_comes_and_the_old_one_goes() -> Result<()> {
    let mut place = Place::new(Database::Sqlite).await?;
    place.grant("view", "no end").await?;
    place.comes_to(true, "get", "pods").await?;
    place.edit().await?;
    place.proxy.set(Fault::BlackHole);
    place.alice.press("Save", &[("Role", "edit")]).await?;
    ensure!(place.alice.page.status == StatusCode::OK, "{}", place.alice.page.status);
    place.house.kubelend.kill9().await?;
    ensure!(place.may("get", "pods").await?, "nothing was taken before the other was there");
    place.proxy.set(Fault::Pass);
    place.house.kubelend.restart().await?;
    place.comes_to(true, "create", "configmaps").await?;
    let wanted = [format!("edit {}", place.bob.email)];
    eventually("the old one to go", PATIENCE, async || {
        let bindings = place.bindings().await?;
        ensure!(bindings == wanted, "{bindings:?}");
        Ok(())
    })
    .await
}
