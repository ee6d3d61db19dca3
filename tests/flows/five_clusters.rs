//! Grants of every reach at once: everywhere, in a workspace, in a project by labels, on four clusters of which one is down, and on a
//! fifth that joins; each right and each lack of one asked with real kubectl as the person who has it.

use anyhow::Result;
use testbed::{ControlPlane, FaultProxy, Kubectl, Person, eventually, fault::Fault};

use super::{
    federation::{SOON, give, kubectl_as, may, new_cluster, says, workspace_of},
    house::{Database, House, connect, subjects},
    visitor::Visitor,
};

const LIST: &[&str] = &["list", "pods", "--all-namespaces"];
const CHANGE: &[&str] = &["create", "deployments.apps", "--all-namespaces"];

/// Three people with rights of three reaches: everywhere, in the workspace, in the project.
struct People {
    bob: Person,
    carol: Person,
    dana: Person,
    namespace: String,
}

impl People {
    async fn on(&self, cluster: &ControlPlane) -> Result<[Kubectl; 3]> {
        let [bob, carol, dana] = [&self.bob, &self.carol, &self.dana].map(|who| kubectl_as(who, cluster));
        Ok([bob.await?, carol.await?, dana.await?])
    }

    /// Waits until the cluster gives them what they have there, and no more.
    async fn have_theirs(&self, cluster: &ControlPlane, is_in_project: bool) -> Result<()> {
        let [bob, carol, dana] = self.on(cluster).await?;
        may(&bob, true, LIST).await?;
        may(&bob, false, CHANGE).await?;
        may(&carol, true, CHANGE).await?;
        may(&dana, is_in_project, &["create", "rolebindings.rbac.authorization.k8s.io", "-n", &self.namespace]).await?;
        may(&dana, false, LIST).await
    }
}

async fn label(alice: &mut Visitor, cluster: &str) -> Result<()> {
    alice.open(&format!("{cluster}/settings")).await?;
    alice.press("Save labels", &[("Labels", "env=prod")]).await?;
    alice.page.sees("Labels")
}

#[tokio::test]
async fn grants_of_every_reach_stand_on_four_clusters_and_come_to_a_fifth() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let bed = house.bed;
    let (n, mut alice) = (bed.unique(), house.owner().await?);
    let (everywhere, project) = (format!("everywhere-{n}"), format!("shop-team-{n}"));
    let people = People {
        bob: bed.hire("bob", &[&everywhere]).await?,
        carol: bed.hire("carol", &[]).await?,
        dana: bed.hire("dana", &[&project]).await?,
        namespace: format!("shop-{n}"),
    };
    let (staging, production) = tokio::try_join!(bed.staging(), bed.production())?;
    let (north, west) = tokio::try_join!(new_cluster("north"), new_cluster("west"))?;
    for cluster in [staging, production, &north, &west] {
        cluster.kubectl()?.run(&["create", "namespace", &people.namespace]).await?.ok()?;
    }
    let proxy = FaultProxy::start(url::Url::parse(west.server_url())?.socket_addrs(|| None)?[0])?;
    let by_proxy = connect(&west).await?.replace(west.server_url(), &format!("https://127.0.0.1:{}", proxy.port()));
    let on_west = house.add_kubeconfig(&mut alice, "west", &by_proxy).await?;
    let on_staging = house.add_cluster(&mut alice, staging, "staging").await?;
    for (cluster, name) in [(production, "production"), (&north, "north")] {
        house.add_cluster(&mut alice, cluster, name).await?;
    }
    for cluster in [&on_west, &on_staging] {
        label(&mut alice, cluster).await?;
    }
    eventually("west to be reached once", SOON, async || {
        let bound = subjects(&west, "clusterrolebindings").await?;
        anyhow::ensure!(bound.contains(&house.alice.email), "not yet: {bound:?}");
        Ok(())
    })
    .await?;

    // One is down when all of it is given: the three others have theirs.
    proxy.set(Fault::BlackHole);
    let workspace = workspace_of(&mut alice, &on_west).await?;
    let global = give(&mut alice, "/access", "Group", &everywhere, "view").await?;
    let wide = give(&mut alice, &format!("{workspace}/access"), "User", &people.carol.email, "edit").await?;
    alice.open(&format!("{workspace}/projects")).await?;
    let placed = [("Name", "Shop"), ("Namespace", &*people.namespace), ("On", "labelled"), ("Labels", "env=prod")];
    alice.press("Make project", &placed).await?;
    let shop = alice.page.url.path().to_owned();
    let projects = give(&mut alice, &shop, "Group", &project, "admin").await?;
    for (cluster, is_in_project) in [(staging, true), (production, false), (&north, false)] {
        people.have_theirs(cluster, is_in_project).await?;
    }
    says(&mut alice, &global, "on 3 of 4 clusters").await?;
    says(&mut alice, &global, "Waiting for the cluster").await?;
    says(&mut alice, &projects, "on 1 of 2 clusters").await?;

    // A fifth joins meanwhile, and has all that reaches it.
    let east = new_cluster("east").await?;
    east.kubectl()?.run(&["create", "namespace", &people.namespace]).await?.ok()?;
    let on_east = house.add_cluster(&mut alice, &east, "east").await?;
    label(&mut alice, &on_east).await?;
    people.have_theirs(&east, true).await?;

    // The one that was down catches up by itself.
    proxy.set(Fault::Pass);
    people.have_theirs(&west, true).await?;
    says(&mut alice, &global, "on 5 clusters").await?;
    says(&mut alice, &wide, "on 5 clusters").await?;
    says(&mut alice, &projects, "on 3 clusters").await?;

    // What was given everywhere goes from all, and nothing else with it; from one that is away again once it is back.
    proxy.set(Fault::Refuse);
    alice.open(&global).await?;
    alice.follow("Remove").await?;
    alice.press("Remove", &[]).await?;
    for cluster in [staging, production, &north, &east] {
        let [bob, carol, _] = people.on(cluster).await?;
        may(&bob, false, LIST).await?;
        may(&carol, true, CHANGE).await?;
    }
    says(&mut alice, &global, "being taken back, 1 to go").await?;
    proxy.set(Fault::Pass);
    let [bob, carol, _] = people.on(&west).await?;
    may(&bob, false, LIST).await?;
    may(&carol, true, CHANGE).await?;
    says(&mut alice, &global, "taken back everywhere").await
}
