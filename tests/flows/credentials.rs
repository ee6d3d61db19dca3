//! What Kubelend shows to a cluster, when its owner replaces it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::eventually;
use tokio::sync::Mutex;

use super::{
    house::{Database, House, connect},
    scene::replica,
    visitor::Visitor,
};

async fn sees_on_each(alice: &mut Visitor, pages: &[String], what: &str) -> Result<()> {
    for page in pages {
        alice.open(page).await?.sees(what).with_context(|| format!("on {page}"))?;
    }
    Ok(())
}

/// Connections to the API server outlive pages; what they were opened with must not outlive its replacement.
#[tokio::test]
async fn immune_09_the_page_after_new_credentials_uses_them_on_every_replica() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let other = replica(&house, house.bed.dex().await?).await?;
    let (cluster, elsewhere) = (house.bed.staging().await?, house.bed.production().await?);
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, cluster, "staging").await?;
    let pages = [house.kubelend.url(), other.url()].map(|url| format!("{url}{path}/access"));
    // Twice, so that both hold a connection that has been used again.
    for _ in 0..2 {
        sees_on_each(&mut alice, &pages, "made elsewhere").await?;
    }
    let unknown = cluster.kubeconfig_with_token("no-such-token");
    for (kubeconfig, what) in [
        (&unknown, "The cluster does not accept the credential"),
        (&connect(cluster).await?, "made elsewhere"),
        (&unknown.replace(cluster.server_url(), elsewhere.server_url()), "certificate"),
        (&connect(elsewhere).await?, "made elsewhere"),
    ] {
        alice.open(&format!("{}{path}/credentials", house.kubelend.url())).await?;
        let page = alice.press("Replace credentials", &[("Kubeconfig", kubeconfig)]).await?;
        ensure!(page.url.path() == path, "{}: {}", page.status, page.text());
        sees_on_each(&mut alice, &pages, what).await?;
        sees_on_each(&mut alice, &pages, what).await?;
    }
    Ok(())
}

/// The page of what is held, once the check has said what the credential may do.
async fn looked_at(alice: &mut Visitor, path: &str, what: &str) -> Result<()> {
    let (alice, page) = (Mutex::new(alice), format!("{path}/credentials"));
    eventually(what, Duration::from_secs(30), async || alice.lock().await.open(&page).await?.sees(what)).await
}

#[tokio::test]
async fn an_uploaded_admin_is_exchanged_for_the_least_and_forgotten() -> Result<()> {
    const LEAST: &str = "system:serviceaccount:kubelend:kubelend";
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let mut alice = house.owner().await?;

    // Somebody else's credential that reads Secrets, and may make no roles.
    let weak = format!("weak-{}", house.bed.unique());
    let kubectl = cluster.kubectl()?;
    kubectl.run(&["create", "namespace", &weak]).await?.ok()?;
    kubectl.run(&["create", "serviceaccount", &weak, "--namespace", &weak]).await?.ok()?;
    let account = format!("--serviceaccount={weak}:{weak}");
    kubectl.run(&["create", "clusterrolebinding", &weak, "--clusterrole=edit", &account]).await?.ok()?;
    let token = kubectl.run(&["create", "token", &weak, "--namespace", &weak]).await?.ok()?;
    let path = house.add_kubeconfig(&mut alice, "weak", &cluster.kubeconfig_with_token(token.trim())).await?;
    looked_at(&mut alice, &path, "Exchange it").await?;
    let page = alice.press("Exchange it", &[]).await?;
    ensure!(page.status == 422, "{}", page.status);
    page.sees("The credential may not make the ServiceAccount: the API server says")?;
    page.sees("Nothing has changed here.")?;
    alice.open(&format!("{path}/credentials")).await?.sees(&format!("system:serviceaccount:{weak}:{weak}"))?;

    // The cluster's admin.
    let path = house.add_kubeconfig(&mut alice, "strong", cluster.admin_kubeconfig_text()).await?;
    looked_at(&mut alice, &path, "Exchange it").await?;
    alice.page.sees("It may do more on the cluster than Kubelend needs.")?;
    let before = alice.page.clone();
    let page = alice.press("Exchange it", &[]).await?;
    ensure!(page.status.is_success() && page.url.path() == path, "{}: {}", page.status, page.text());
    looked_at(&mut alice, &path, LEAST).await?;
    ensure!(alice.page.sees("Exchange it").is_err(), "it is the least now");
    alice.open(&format!("{path}/activity")).await?.sees("exchanged a credential for one of least power")?;
    // Somebody who had the page open asks once more: the least may not make itself anew, and stays.
    alice.page = before;
    let page = alice.press("Exchange it", &[]).await?;
    ensure!(page.status == 422, "{}", page.status);
    alice.open(&format!("{path}/credentials")).await?.sees(LEAST)?;
    // With it, access is given as before.
    let bob = house.bed.hire("bob", &[]).await?;
    alice.open(&format!("{path}/access")).await?;
    alice.press("Grant", &[("Name", &bob.email), ("Role", "view")]).await?.sees("in force")?;
    Ok(())
}
