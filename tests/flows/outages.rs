//! A cluster or a provider that is down, slow, or answers nonsense: pages answer within 3 s, say which part and whose turn it
//! is, and all goes on by itself when it is back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::{ControlPlane, Dex, Directory, FaultProxy, HttpFault, Testbed, eventually, fault::Fault};

use super::{
    house::{Database, House, connect, subjects},
    visitor::{Page, Visitor},
};

const PATIENCE: Duration = Duration::from_secs(45);
/// Pages promise 3 s; the rest is for a machine that does other things besides. Without the bounds it would be for ever.
const IN_TIME: Duration = Duration::from_secs(12);

async fn opens_in_time(visitor: &mut Visitor, path: &str) -> Result<Page> {
    let begun = Instant::now();
    let page = visitor.open(path).await?.clone();
    ensure!(begun.elapsed() < IN_TIME, "{path} took {:?}", begun.elapsed());
    ensure!(!page.status.is_server_error(), "{path}: {}", page.status);
    Ok(page)
}

/// A kubeconfig whose server is this address.
async fn by_way_of(cluster: &ControlPlane, address: &str) -> Result<String> {
    Ok(connect(cluster).await?.replace(cluster.server_url(), address))
}

async fn a_cluster_with_fault(fault: Fault) -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let upstream = url::Url::parse(cluster.server_url())?.socket_addrs(|| None)?[0];
    let proxy = FaultProxy::start(upstream)?;
    let mut alice = house.owner().await?;
    let kubeconfig = by_way_of(cluster, &format!("https://127.0.0.1:{}", proxy.port())).await?;
    let path = house.add_kubeconfig(&mut alice, "faulty", &kubeconfig).await?;
    eventually("the first check", PATIENCE, async || house_page(&house, &path).await?.sees("v1.36")).await?;
    proxy.set(fault);
    for page in ["", "/access", "/links", "/credentials", "/activity", "/settings", "/kubeconfig"] {
        let page = opens_in_time(&mut alice, &format!("{path}{page}")).await?;
        page.sees("faulty")?;
    }
    let group = format!("night-{}", house.bed.unique());
    alice.open(&format!("{path}/access")).await?;
    let begun = Instant::now();
    alice.press("Grant", &[("Kind", "Group"), ("Name", &group), ("Role", "view")]).await?;
    ensure!(begun.elapsed() < 2 * IN_TIME, "granting took {:?}", begun.elapsed());
    let row = alice.page.rows(&group).pop().context("the new row")?;
    ensure!(row.contains("aiting") || row.contains("ending"), "{row}");
    proxy.set(Fault::Pass);
    eventually("the binding to follow", PATIENCE, async || {
        let bound = subjects(cluster, "clusterrolebindings").await?;
        ensure!(bound.iter().any(|name| name.ends_with(&group)), "not yet: {bound:?}");
        Ok(())
    })
    .await
}

async fn house_page(house: &House, path: &str) -> Result<Page> {
    let mut alice = house.owner().await?;
    Ok(alice.open(path).await?.clone())
}

#[tokio::test]
async fn a_cluster_that_is_down_is_said_and_caught_up_with() -> Result<()> {
    a_cluster_with_fault(Fault::Refuse).await
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_said_and_caught_up_with() -> Result<()> {
    a_cluster_with_fault(Fault::BlackHole).await
}

#[tokio::test]
async fn a_cluster_that_answers_nonsense_breaks_no_page() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let proxy = HttpFault::start(cluster.server_url(), cluster.ca())?;
    let mut alice = house.owner().await?;
    let path = house.add_kubeconfig(&mut alice, "faulty", &by_way_of(cluster, &proxy.url()).await?).await?;
    proxy.answer(None, "/", 200, "text/html", "<h1>welcome to the router</h1><script>alert(1)</script>");
    for page in ["", "/access", "/links", "/credentials", "/activity", "/settings", "/kubeconfig"] {
        let page = opens_in_time(&mut alice, &format!("{path}{page}")).await?;
        page.does_not_see("<script>alert(1)")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_down_at_start_stops_nothing_and_is_used_when_it_is_back() -> Result<()> {
    let bed = Testbed::shared().await?;
    let dex = bed.new_dex(Dex::builder()).await?;
    let house = House::with_provider(Database::Sqlite, &dex, "").await?;
    dex.stop().await?;
    house.kubelend.restart().await?;
    let mut visitor = house.visitor()?;
    visitor.open("/").await?;
    let begun = Instant::now();
    let page = visitor.follow("Sign in with Dex").await?.clone();
    ensure!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    page.sees("Dex")?;
    ensure!(page.url.origin() == visitor.base.origin(), "{}", page.url);
    dex.start().await?;
    let alice = house.alice.email.clone();
    eventually("a sign-in", PATIENCE, async || {
        let mut visitor = house.visitor()?;
        visitor.sign_in(&alice).await?;
        visitor.page.sees(&alice)
    })
    .await
}

#[tokio::test]
async fn whoever_declines_reads_so_although_the_provider_went_down_meanwhile() -> Result<()> {
    let bed = Testbed::shared().await?;
    let dex = bed.new_dex(Dex::builder()).await?;
    let house = House::with_provider(Database::Sqlite, &dex, "").await?;
    let mut visitor = house.visitor()?;
    visitor.open("/").await?;
    visitor.follow("Sign in with Dex").await?;
    let state = visitor.page.url.query_pairs().find(|(k, _)| k == "state").context("a state was sent")?.1.into_owned();
    dex.stop().await?;
    // Whoever answers now has never asked that provider anything.
    house.kubelend.restart().await?;
    let mut answer = visitor.base.join("/auth/callback/dex")?;
    answer.query_pairs_mut().append_pair("error", "access_denied").append_pair("state", &state);
    let page = visitor.open(answer.as_str()).await?;
    ensure!(page.status.is_client_error(), "{}", page.status);
    page.does_not_see("does not answer")?;
    page.link("Sign in again").map(drop)
}

#[tokio::test]
async fn a_directory_that_is_down_costs_nobody_their_sign_in() -> Result<()> {
    let bed = Testbed::shared().await?;
    let directory = Directory::start().await?;
    let builder = Dex::builder().id_tokens(Duration::from_secs(8)).reuse_interval(Duration::ZERO);
    let dex = builder.start(bed.ca(), bed.etcd().await?, &directory).await?;
    let [alice, bob, ..] = &*directory.people() else { anyhow::bail!("nobody is in the directory") };
    let house = House::of(alice.clone(), Database::Sqlite, &dex, "").await?;
    let mut owner = house.owner().await?;
    let path = house.add_cluster(&mut owner, bed.staging().await?, "staging").await?;
    let link = house.share(&mut owner, &path, &[("Role", "view")]).await?;
    let mut visitor = house.visitor()?;
    house.open_link(&mut visitor, &link, &bob.email).await?;
    visitor.press("Accept", &[]).await?;
    let here = visitor.page.url.path().to_owned();

    directory.stop().await?;
    let begun = Instant::now();
    while visitor.open(&here).await?.sees("Dex does not renew your token.").is_err() {
        ensure!(begun.elapsed() < PATIENCE, "the ID token does not end: {}", visitor.page.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let page = visitor.follow("Download kubeconfig").await?;
    ensure!(page.status.is_server_error(), "{}: {}", page.status, page.text());
    page.sees("Your sign-in could not be renewed")?;
    page.link("Sign in again")?;

    directory.start_again().await?;
    visitor.open(&here).await?;
    super::house::download(&mut visitor).await.map(drop)
}

#[tokio::test]
async fn a_provider_that_never_answers_keeps_no_page_waiting() -> Result<()> {
    let bed = Testbed::shared().await?;
    // Dex says the proxy's address in its tokens: all talk with it goes that way.
    let port = testbed::Port::free()?;
    let upstream = port.address();
    let proxy = FaultProxy::start(upstream)?;
    let dex = bed.new_dex(Dex::builder().port(port).issuer_port(proxy.port())).await?;
    let house = House::with_provider(Database::Sqlite, &dex, "").await?;
    let mut alice = house.owner().await?;
    proxy.set(Fault::BlackHole);
    opens_in_time(&mut alice, "/clusters").await?;
    house.kubelend.restart().await?;
    let mut visitor = house.visitor()?;
    visitor.open("/").await?;
    let begun = Instant::now();
    visitor.follow("Sign in with Dex").await?;
    ensure!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    visitor.page.sees("Dex")?;
    proxy.set(Fault::Pass);
    let email = house.alice.email.clone();
    eventually("a sign-in", PATIENCE, async || {
        let mut visitor = house.visitor()?;
        visitor.sign_in(&email).await?;
        visitor.page.sees(&email)
    })
    .await
}
