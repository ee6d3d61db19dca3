//! kill −9 at each step of accepting and of removing: after a restart the database and the cluster agree, nothing is lost and
//! nothing doubled.
//!
//! The steps are caught from outside, on the real servers: a lock in the database holds a transaction back, a proxy in front
//! of the API server holds a request before or after the server has done it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use testbed::{ControlPlane, HttpFault, Person, eventually, fault::Moment};

use super::{
    house::{Database, House, bound, connect},
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_secs(20);
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// A house whose cluster is reached through a proxy, a link, and bob before its “Accept”.
struct Scene {
    house: House,
    alice: Visitor,
    path: String,
    proxy: HttpFault,
    cluster: &'static ControlPlane,
    bob: Person,
    visitor: Visitor,
}

impl Scene {
    async fn set() -> Result<Self> {
        let house = House::open(Database::Postgres).await?;
        let cluster = house.bed.staging().await?;
        let proxy = HttpFault::start(cluster.server_url(), cluster.ca())?;
        let kubeconfig = connect(cluster).await?.replace(cluster.server_url(), &proxy.url());
        let mut alice = house.owner().await?;
        let path = house.add_kubeconfig(&mut alice, "crash", &kubeconfig).await?;
        let scene_link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
        let bob = house.bed.hire("bob", &[]).await?;
        let mut visitor = house.visitor()?;
        house.open_link(&mut visitor, &scene_link, &bob.email).await?;
        let scene = Self { house, alice, path, proxy, cluster, bob, visitor };
        // The owner's own binding is no part of what is counted below.
        eventually("the owner's binding", PATIENCE, async || scene.bound(&scene.house.alice.email, 1).await).await?;
        Ok(scene)
    }

    /// Fails unless exactly `n` ClusterRoleBindings on the cluster name this user.
    async fn bound(&self, user: &str, n: usize) -> Result<()> {
        bound(self.cluster, user, n).await
    }

    async fn agrees(&mut self, n: usize) -> Result<()> {
        self.house.kubelend.restart().await?;
        eventually("the cluster to agree", PATIENCE, async || self.bound(&self.bob.email, n).await).await?;
        let uses = self.house.sql("SELECT count(*) FROM link_acceptances").await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.alice.open(&format!("{}/access", self.path)).await?;
            let rows = self.alice.page.rows(&self.bob.email);
            if rows.len() == n {
                return Ok(());
            }
            ensure!(tokio::time::Instant::now() < deadline, "{n} expected, {uses} acceptances, rows: {rows:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Presses “Accept” (or bob's “Remove”) while `caught` waits for the moment, then kills Kubelend.
    async fn killed_while_accepting(&mut self, caught: impl Future<Output = Result<()>>) -> Result<()> {
        let pressed = self.visitor.press("Accept", &[]);
        tokio::select! {
            answer = pressed => { anyhow::bail!("it was answered: {:?}", answer.map(super::visitor::Page::text)) }
            held = caught => held?,
        }
        self.house.kubelend.kill9().await
    }

    async fn killed_while_removing(&mut self, caught: impl Future<Output = Result<()>>) -> Result<()> {
        self.alice.open(&format!("{}/access", self.path)).await?;
        let pressed = self.alice.press_in_row(&self.bob.email, "Remove");
        tokio::select! {
            answer = pressed => { anyhow::bail!("it was answered: {:?}", answer.map(super::visitor::Page::text)) }
            held = caught => held?,
        }
        self.house.kubelend.kill9().await
    }

    /// Bob accepts undisturbed.
    async fn accept(&mut self) -> Result<()> {
        self.visitor.press("Accept", &[]).await?;
        eventually("bob's binding", PATIENCE, async || self.bound(&self.bob.email, 1).await).await
    }
}

#[tokio::test]
async fn immune_25_killed_before_the_transaction_of_accept_nothing_has_happened_and_it_can_be_done_again() -> Result<()>
{
    let mut scene = Scene::set().await?;
    let lock = scene.house.lock("share_links").await?;
    let waiting = scene.house.somebody_waits();
    scene.killed_while_accepting(waiting).await?;
    lock.release().await?;
    scene.agrees(0).await?;
    scene.accept().await?;
    scene.agrees(1).await
}

#[tokio::test]
async fn immune_25_killed_between_row_and_binding_the_binding_follows() -> Result<()> {
    let mut scene = Scene::set().await?;
    let hold = scene.proxy.hold(Method::POST, BINDINGS, Moment::BeforeForwarding);
    scene.killed_while_accepting(hold.held()).await?;
    drop(hold);
    scene.agrees(1).await
}

#[tokio::test]
async fn immune_25_killed_after_the_binding_nothing_is_doubled() -> Result<()> {
    let mut scene = Scene::set().await?;
    let hold = scene.proxy.hold(Method::POST, BINDINGS, Moment::AfterAnswer);
    scene.killed_while_accepting(hold.held()).await?;
    drop(hold);
    scene.bound(&scene.bob.email, 1).await.context("the API server had done it")?;
    scene.agrees(1).await
}

#[tokio::test]
async fn killed_before_the_transaction_of_remove_the_access_stands_and_can_be_removed_again() -> Result<()> {
    let mut scene = Scene::set().await?;
    scene.accept().await?;
    let lock = scene.house.lock("grants").await?;
    let waiting = scene.house.somebody_waits();
    scene.killed_while_removing(waiting).await?;
    lock.release().await?;
    scene.agrees(1).await?;
    scene.alice.press_in_row(&scene.bob.email.clone(), "Remove").await?;
    scene.agrees(0).await
}

#[tokio::test]
async fn killed_between_row_and_binding_of_remove_the_binding_goes() -> Result<()> {
    let mut scene = Scene::set().await?;
    scene.accept().await?;
    let hold = scene.proxy.hold(Method::DELETE, BINDINGS, Moment::BeforeForwarding);
    scene.killed_while_removing(hold.held()).await?;
    drop(hold);
    scene.agrees(0).await
}

#[tokio::test]
async fn killed_after_the_binding_went_nothing_comes_back() -> Result<()> {
    let mut scene = Scene::set().await?;
    scene.accept().await?;
    let hold = scene.proxy.hold(Method::DELETE, BINDINGS, Moment::AfterAnswer);
    scene.killed_while_removing(hold.held()).await?;
    drop(hold);
    scene.agrees(0).await
}
