//! Presets: what a new cluster takes over, what stays as it is when a preset changes, and taking it over by a word.

use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{ControlPlane, eventually};

use super::{
    house::{Database, House, connect, subjects},
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Adds a cluster with these labels and returns its path.
async fn add(alice: &mut Visitor, kubeconfig: &str, name: &str, labels: &str) -> Result<String> {
    alice.open("/clusters/add").await?;
    alice.press("Add cluster", &[("Name", name), ("Labels", labels), ("Kubeconfig", kubeconfig)]).await?.sees(name)?;
    Ok(alice.page.url.path().to_owned())
}

/// Makes a preset for `env=prod` that puts this before users and groups.
async fn preset(alice: &mut Visitor, list: &str, name: &str, labels: &str, prefix: &str) -> Result<String> {
    alice.open(list).await?;
    let answers =
        [("Name", name), ("Labels of the clusters", labels), ("User name prefix", prefix), ("Groups prefix", prefix)];
    alice.press("Make preset", &answers).await?.sees(name)?;
    ensure!(alice.page.status.is_success(), "{}", alice.page.text());
    Ok(alice.page.url.path().to_owned())
}

/// Fails unless a cluster's settings say so of its user names.
async fn names(alice: &mut Visitor, path: &str, prefix: &str) -> Result<()> {
    let found = alice.open(&format!("{path}/settings")).await?.field("User name prefix")?;
    ensure!(found == prefix, "{found}, not {prefix}");
    Ok(())
}

/// Waits until a binding on the cluster names this user.
async fn bound(cluster: &ControlPlane, user: &str) -> Result<()> {
    eventually(user, PATIENCE, async || {
        let found = subjects(cluster, "clusterrolebindings").await?;
        ensure!(found.iter().any(|name| name == user), "no binding names {user}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_new_cluster_takes_a_preset_over_and_one_that_is_there_only_by_a_word() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let kubeconfig = connect(cluster).await?;
    let mut alice = house.owner().await?;

    // What cannot be is said at its field.
    alice.open("/presets").await?;
    alice.press("Make preset", &[("Name", "Bad"), ("User name prefix", "System:")]).await?.sees("system:")?;
    ensure!(alice.page.status == 422, "{}", alice.page.status);
    let corp = preset(&mut alice, "/presets", "Production", "env=prod", "corp:").await?;

    // A new cluster takes it over and says so; grants are made by it.
    let first = add(&mut alice, &kubeconfig, "first", "env=prod").await?;
    names(&mut alice, &first, "corp:").await?;
    alice.page.sees("Taken over from the preset “Production”")?;
    alice.open(&first).await?.sees("corp:")?;
    let bob = house.bed.hire("bob", &[]).await?;
    alice.open(&format!("{first}/access")).await?;
    alice.press("Grant", &[("Name", &bob.email), ("Role", "view")]).await?.sees("in force")?;
    bound(cluster, &format!("corp:{}", bob.email)).await?;

    // A change of the preset changes nothing there, and says where it would.
    alice.open(&corp).await?;
    let firm = [("User name prefix", "firm:"), ("Groups prefix", "firm:")];
    alice.press("Save preset", &firm).await?.sees("1 cluster, and it says otherwise")?;
    names(&mut alice, &first, "corp:").await?;
    alice.page.sees("“corp:bob@example.com” becomes “firm:bob@example.com”")?;
    alice.press("Take it over", &[]).await?;
    names(&mut alice, &first, "firm:").await?;
    bound(cluster, &format!("firm:{}", bob.email)).await?;
    alice.open(&corp).await?.sees("1 cluster, and it says the same.")?;

    // A workspace's own counts before those of all, here and nowhere else.
    alice.open("/workspaces/create").await?;
    alice.press("Create workspace", &[("Name", "Shop")]).await?;
    let shop = alice.page.url.path().to_owned();
    let list = format!("{shop}/presets");
    preset(&mut alice, &list, "Ours", "env=prod", "shop:").await?;
    alice.open(&list).await?.sees("Those of all workspaces")?;
    alice.open(&shop).await?;
    alice.follow("Add cluster").await?;
    alice.press("Add cluster", &[("Name", "second"), ("Kubeconfig", &kubeconfig)]).await?;
    let second = alice.page.url.path().to_owned();
    names(&mut alice, &second, "").await?;
    // Labelled before anybody has access it follows by itself, afterwards by a word.
    alice.press("Save labels", &[("Labels", "env=prod")]).await?;
    names(&mut alice, &second, "shop:").await?;
    alice.open(&format!("{second}/access")).await?;
    alice.press("Grant", &[("Name", &bob.email), ("Role", "edit")]).await?.sees("in force")?;
    preset(&mut alice, &list, "Tests", "env=test", "test:").await?;
    alice.open(&format!("{second}/settings")).await?;
    alice.press("Save labels", &[("Labels", "env=test")]).await?;
    names(&mut alice, &second, "shop:").await?;
    alice.page.sees("The preset “Tests”, which counts for this cluster, says otherwise")?;
    alice.open(&format!("{second}/activity")).await?.sees("from preset “Ours”")?;

    // Only owners and platform admins come there.
    let mut carol = house.visitor()?;
    carol.sign_in(&house.bed.hire("carol", &[]).await?.email).await?;
    for page in ["/presets", &list, &corp] {
        let status = carol.open(page).await?.status;
        ensure!(status == 403, "{page}: {status}");
    }
    Ok(())
}
