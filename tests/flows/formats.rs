//! Which formats of kubeconfig are offered, on API servers that take the tokens of one of a provider's two clients alone.

use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{ControlPlane, Credentials, JwtIssuer, Testbed, dex, eventually};
use tokio::sync::Mutex;

use super::{
    house::{Database, download},
    scene::{Scene, setting},
    visitor::Visitor,
};

/// Longer than an API server takes to read its settings and fetch a provider's keys, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const WITHDRAWN: &str = "Not offered now: the cluster refused it";
const UNTRIED: &str = "Not tried here yet";

/// The page, once all of this is on it and none of that.
async fn until_seen(visitor: &mut Visitor, path: &str, wanted: &[&str], unwanted: &[&str]) -> Result<()> {
    let visitor = Mutex::new(visitor);
    eventually(&format!("{path} to say {wanted:?} and not {unwanted:?}"), PATIENCE, async || {
        let mut visitor = visitor.lock().await;
        let page = visitor.open(path).await?;
        wanted.iter().try_for_each(|words| page.sees(words))?;
        unwanted.iter().try_for_each(|words| page.does_not_see(words))
    })
    .await
}

/// The scene on a cluster that accepts these audiences.
async fn scene(database: Database, audiences: &[&str]) -> Result<(Scene, ControlPlane)> {
    let bed = Testbed::shared().await?;
    let cluster = ControlPlane::builder("audiences").jwt(accepting(audiences).await?).start(bed.etcd().await?).await?;
    Ok((Scene::on(database, bed.dex().await?, &cluster).await?, cluster))
}

/// Dex, with these audiences.
async fn accepting(audiences: &[&str]) -> Result<JwtIssuer> {
    let issuer = Testbed::shared().await?.dex().await?.jwt_issuer();
    Ok(JwtIssuer { audiences: audiences.iter().map(ToString::to_string).collect(), ..issuer })
}

async fn a_refused_format_goes_and_comes_back(database: Database) -> Result<()> {
    let (mut scene, cluster) = scene(database, &[dex::CLIENT]).await?;
    let page = format!("{}/kubeconfig", scene.path);
    let (settings, turn) =
        (format!("{}/settings", scene.path), format!("It is the turn of {}", scene.house.alice.email));
    until_seen(&mut scene.visitor, &page, &["It works", UNTRIED], &[WITHDRAWN]).await?;
    until_seen(&mut scene.alice, &settings, &["(client kubelend): the cluster takes it", "not tried here yet"], &[])
        .await?;

    // Bob tries the other client: its token is shown to the cluster before he gets a file.
    let bob = Credentials::of(&scene.bob.email);
    scene.visitor.open(&format!("{page}?format=provider")).await?;
    scene.visitor.follow("Download kubeconfig").await?;
    scene.visitor.sign_in_as(&bob).await?;
    for words in [WITHDRAWN, "The cluster expects tokens of another client.", &turn] {
        scene.visitor.page.sees(words)?;
    }
    // What is left is the relayed file, also for those who have an address of the other.
    let file = scene.visitor.open(&format!("{page}/download?format=provider")).await?.body.clone();
    ensure!(setting(&file, "idp-issuer-url")?.contains("/relay/"), "{file}");
    let owner_sees = ["(client kubelend-direct): not offered while the cluster takes another", "It is the turn of"];
    until_seen(&mut scene.alice, &settings, &owner_sees, &[]).await?;
    until_seen(&mut scene.alice, &page, &["It works", WITHDRAWN], &[UNTRIED]).await?;

    // The cluster is set right, and the next test says so for everybody.
    cluster.trust(&[accepting(&[dex::CLIENT, dex::DIRECT_CLIENT]).await?]).await?;
    let again = scene.visitor.open(&page).await?.link("Test it again for provider directly")?;
    until_seen(&mut scene.visitor, &again, &["It works"], &[WITHDRAWN]).await?;
    until_seen(&mut scene.alice, &page, &["It works"], &[WITHDRAWN, UNTRIED]).await?;
    scene.fetch_direct().await?.run(&["get", "pods", "-A"]).await?.ok().map(drop)
}

#[tokio::test]
async fn a_format_that_a_cluster_refuses_is_not_offered_until_it_takes_it_on_sqlite() -> Result<()> {
    a_refused_format_goes_and_comes_back(Database::Sqlite).await
}

#[tokio::test]
async fn a_format_that_a_cluster_refuses_is_not_offered_until_it_takes_it_on_postgres() -> Result<()> {
    a_refused_format_goes_and_comes_back(Database::Postgres).await
}

#[tokio::test]
async fn a_cluster_that_takes_the_second_client_alone_offers_what_carries_its_tokens() -> Result<()> {
    let (mut scene, _cluster) = scene(Database::Sqlite, &[dex::DIRECT_CLIENT]).await?;
    let page = format!("{}/kubeconfig", scene.path);
    scene.visitor.open(&page).await?.does_not_see("It works")?;
    scene.fetch_direct().await?.run(&["get", "pods", "-A"]).await?.ok()?;
    until_seen(&mut scene.visitor, &page, &["It works", WITHDRAWN], &[UNTRIED]).await?;
    let file = download(&mut scene.visitor).await?.kubeconfig_text()?;
    ensure!(setting(&file, "client-id")? == dex::DIRECT_CLIENT, "{file}");
    Ok(())
}
