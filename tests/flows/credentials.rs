//! What Kubelend shows to a cluster, when its owner replaces it.

use anyhow::{Context, Result, ensure};

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
