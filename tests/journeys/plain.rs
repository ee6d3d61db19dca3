//! Access is managed where no script runs: on a cluster, in a workspace, in a project, and taken back; what the cluster says decides.

use anyhow::{Result, ensure};
use testbed::{Browser, BrowserOptions, ControlPlane, Testbed, browser::PATIENCE, eventually};

use crate::browser::{grant, owner, row, turn};
use crate::flows::house::{Database, House, subjects};

/// Gives something on a page of more than one cluster.
async fn give(browser: &Browser, kind: &str, name: &str, role: &str) -> Result<()> {
    browser.select("Kind", kind).await?;
    browser.fill("Name", name).await?;
    browser.select("Role", role).await?;
    browser.click("button", "Grant").await?;
    row(browser, name).await.map(drop)
}

/// Waits until the cluster's bindings name somebody, or do not.
async fn bound(cluster: &ControlPlane, name: &str, wanted: bool) -> Result<()> {
    eventually(&format!("{name} to be bound: {wanted}"), PATIENCE, async || {
        let names =
            [subjects(cluster, "clusterrolebindings").await?, subjects(cluster, "rolebindings").await?].concat();
        ensure!(names.iter().any(|found| found == name) == wanted, "{names:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_given_changed_and_taken_back_without_javascript() -> Result<()> {
    let _turn = turn().await?;
    let bed = Testbed::shared().await?;
    let (house, cluster) = (House::open(Database::Sqlite).await?, bed.new_cluster("plain").await?);
    cluster.kubectl()?.run(&["create", "namespace", "shop"]).await?.ok()?;
    let path = house.add_cluster(&mut house.owner().await?, &cluster, "plain").await?;
    let alice = owner(&house, BrowserOptions::without_javascript()).await?;

    // On the cluster: given, changed, taken back.
    alice.goto(&format!("{}{path}/access", house.kubelend.url())).await?;
    grant(&alice, "User", "bob@example.com", "edit", "shop", "30 days").await?;
    bound(&cluster, "bob@example.com", true).await?;
    row(&alice, "bob@example.com").await?.find("link", "Edit").await?.click().await?;
    alice.find("heading", "bob@example.com").await?;
    alice.select("Role", "view").await?;
    alice.click("button", "Save").await?;
    let changed = row(&alice, "bob@example.com").await?.text().await?;
    ensure!(changed.contains("view") && !changed.contains("edit"), "{changed}");
    row(&alice, "bob@example.com").await?.find("button", "Remove").await?.click().await?;
    alice.find("button", "Grant again").await?;
    bound(&cluster, "bob@example.com", false).await?;

    // In the workspace, and in a project of it.
    alice.click("link", "Workspaces").await?;
    alice.click("link", &format!("Clusters of {}", house.alice.email)).await?;
    alice.click("link", "Access").await?;
    give(&alice, "Group", "devs", "view").await?;
    bound(&cluster, "oidc:devs", true).await?;
    alice.click("link", "Projects").await?;
    alice.fill("Name", "Online shop").await?;
    alice.fill("Namespace", "shop").await?;
    alice.click("button", "Make project").await?;
    alice.see("Now on").await?;
    give(&alice, "User", "carol@example.com", "edit").await?;
    bound(&cluster, "carol@example.com", true).await?;
    alice.click("link", "carol@example.com").await?;
    alice.click("link", "Remove").await?;
    alice.find("heading", "Remove this access?").await?;
    alice.click("button", "Remove").await?;
    bound(&cluster, "carol@example.com", false).await
}
