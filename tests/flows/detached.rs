//! A cluster is given up, both ways: with what Kubelend has bound there, and without.

use anyhow::{Result, ensure};
use testbed::{ControlPlane, eventually};

use super::{
    federation::new_cluster,
    house::{Database, House, subjects},
    scene::PATIENCE,
};

/// Waits until exactly these of the people are bound there.
async fn bound(cluster: &ControlPlane, wanted: &[&str]) -> Result<()> {
    eventually(&format!("{wanted:?} to be bound"), PATIENCE, async || {
        let names = subjects(cluster, "clusterrolebindings").await?;
        let found: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.contains('@')).collect();
        ensure!(found.len() == wanted.len() && wanted.iter().all(|name| found.contains(name)), "{found:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cluster_is_given_up_with_its_bindings_or_without() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let (cluster, mut alice) = (new_cluster("given-up").await?, house.owner().await?);
    let (bob, carol) = (house.bed.hire("bob", &[]).await?.email, house.bed.hire("carol", &[]).await?.email);
    let mut paths = Vec::new();
    for (name, email) in [("with", &bob), ("without", &carol)] {
        let path = house.add_cluster(&mut alice, &cluster, name).await?;
        alice.open(&format!("{path}/access")).await?;
        alice.press("Grant", &[("Kind", "User"), ("Name", email), ("Role", "view")]).await?;
        paths.push(path);
    }
    // Whoever added them is bound as well, once for each.
    let owner = house.alice.email.as_str();
    bound(&cluster, &[owner, owner, &bob, &carol]).await?;

    alice.open(&format!("{}/settings", paths[0])).await?;
    alice.press("Remove cluster", &[]).await?;
    bound(&cluster, &[owner, &carol]).await?;
    alice.open(&format!("{}/settings", paths[1])).await?;
    alice.press("Remove cluster", &[("Leave them", "leave")]).await?;
    // Out of sight at once; what is to be taken from the cluster is before its row goes.
    eventually("both to be gone", PATIENCE, async || {
        let left = house.sql("SELECT name FROM clusters").await?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
    .await?;
    bound(&cluster, &[owner, &carol]).await
}
