//! Nobody else gets through, and whoever does not is told what to do next.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::Credentials;

use super::{
    house::{Database, House, download},
    visitor::{Page, Visitor},
};

/// A house with one cluster and its owner on the cluster's page.
pub(super) async fn lent(database: Database) -> Result<(House, Visitor, String)> {
    let house = House::open(database).await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    Ok((house, alice, path))
}

/// Every answer is a page with a next step: a heading, and a link or button of its own besides the frame's.
pub(super) fn has_a_next_step(page: &Page) -> Result<()> {
    ensure!(page.status != StatusCode::INTERNAL_SERVER_ERROR, "{}: {}", page.url, page.text());
    let main = page.body.split("<main").nth(1).with_context(|| format!("no main on {}", page.url))?;
    ensure!(
        main.contains("<h1") && (main.contains("<a ") || main.contains("<button")),
        "no next step: {}",
        page.text()
    );
    Ok(())
}

pub(super) async fn is_closed(house: &House, link: &str, email: &str) -> Result<()> {
    let mut visitor = house.visitor()?;
    house.open_link(&mut visitor, link, email).await?;
    has_a_next_step(&visitor.page)?;
    ensure!(visitor.page.fill_fails("Accept"), "it can be accepted: {}", visitor.page.text());
    visitor.page.does_not_see("staging")
}

#[tokio::test]
async fn a_revoked_link_lets_nobody_in_and_looks_like_an_unknown_one() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    alice.open(&path).await?;
    alice.follow("Share links").await?;
    alice.press("Revoke", &[]).await?;
    alice.page.sees("Revoke this link?")?;
    alice.press("Revoke", &[]).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    is_closed(&house, &link, &bob.email).await
}

#[tokio::test]
async fn an_expired_link_lets_nobody_in() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Postgres).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    // The shortest that the page offers is longer than a test may wait.
    house.sql("UPDATE share_links SET expires_at = 1000").await?;
    let bob = house.bed.hire("bob", &[]).await?;
    is_closed(&house, &link, &bob.email).await
}

#[tokio::test]
async fn immune_29_before_sign_in_a_good_link_a_mistyped_one_and_an_unknown_one_look_alike() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let unknown = kubelend::crypto::PlainToken::generate(kubelend::crypto::SHARE_LINK_PREFIX);
    let base = link.rsplit_once('/').context("a link has a path")?.0.to_owned();
    let mistyped = format!("{}x", &link[..link.len() - 1]);
    let mut pages = Vec::new();
    for address in [link.clone(), format!("{base}/{}", unknown.expose()), mistyped] {
        let mut stranger = house.visitor()?;
        let page = stranger.open(&address).await?.clone();
        page.does_not_see("staging")?;
        page.does_not_see(&house.alice.email)?;
        pages.push((page.status, page.text()));
    }
    ensure!(pages[0] == pages[1] && pages[1] == pages[2], "{pages:?}");
    let bob = house.bed.hire("bob", &[]).await?;
    is_closed(&house, &format!("{base}/{}", unknown.expose()), &bob.email).await
}

#[tokio::test]
async fn a_link_opens_its_own_cluster_and_no_other() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let other = house.add_cluster(&mut alice, house.bed.production().await?, "production").await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    house.accept(&mut visitor, &link, &bob.email).await?;
    for forbidden in
        ["", "/access", "/links", "/credentials", "/activity", "/settings", "/kubeconfig", "/kubeconfig/download"]
    {
        let page = visitor.open(&format!("{other}{forbidden}")).await?;
        ensure!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&page.status), "{forbidden}: {}", page.status);
        page.does_not_see("production")?;
        has_a_next_step(page)?;
    }
    for forbidden in ["", "/access", "/links", "/credentials", "/activity", "/settings"] {
        let page = visitor.open(&format!("{path}{forbidden}")).await?;
        ensure!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&page.status), "{forbidden}: {}", page.status);
    }
    Ok(())
}

#[tokio::test]
async fn whoever_declines_at_the_provider_reads_so_and_can_try_again() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let mut visitor = house.visitor()?;
    visitor.open("/").await?;
    visitor.follow("Sign in with Dex").await?;
    // Dex keeps “Cancel” to itself; this is what other providers send (RFC 6749, section 4.1.2.1).
    let asked = visitor.page.url.clone();
    let state = asked.query_pairs().find(|(k, _)| k == "state").context("a state was sent")?.1.into_owned();
    let mut answer = visitor.base.join("/auth/callback/dex")?;
    let words = "<script>alert(1)</script> said no";
    answer
        .query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair("error_description", words)
        .append_pair("state", &state);
    let page = visitor.open(answer.as_str()).await?;
    ensure!(page.status.is_client_error(), "{}", page.status);
    page.does_not_see("<script>alert")?;
    has_a_next_step(page)
}

#[tokio::test]
async fn two_links_in_two_tabs_end_in_the_other_order() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let other = house.add_cluster(&mut alice, house.bed.production().await?, "production").await?;
    let first = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let second = house.share(&mut alice, &other, &[("Role", "view")]).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    let mut tabs = Vec::new();
    for link in [&first, &second] {
        visitor.open(link).await?;
        visitor.follow("Sign in to accept").await?;
        tabs.push(visitor.page.clone());
    }
    for (tab, name) in [(tabs.remove(1), "production"), (tabs.remove(0), "staging")] {
        visitor.page = tab;
        visitor.sign_in_as(&Credentials::of(&bob.email)).await?;
        visitor.page.sees(name)?;
        visitor.press("Accept", &[]).await?;
        download(&mut visitor).await?.run(&["get", "pods", "-A"]).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn immune_13_a_callback_is_good_once_and_in_its_own_browser() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    visitor.open("/").await?;
    visitor.follow("Sign in with Dex").await?;
    let callback = visitor.answer_of_provider(&Credentials::of(&bob.email)).await?;
    let mut thief = house.visitor()?;
    let page = thief.open(callback.as_str()).await?;
    ensure!(page.status.is_client_error(), "another browser: {}", page.status);
    has_a_next_step(page)?;
    thief.open("/shared").await?;
    thief.page.does_not_see(&bob.email)?;
    visitor.open(callback.as_str()).await?;
    visitor.page.sees(&bob.email)?;
    let again = visitor.open(callback.as_str()).await?;
    // They are signed in already: a replay signs nobody in and goes where the sign-in went.
    ensure!(again.status.is_success(), "a replay: {}", again.status);
    again.sees(&bob.email)
}

#[tokio::test]
async fn back_and_accept_again_is_once() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    house.open_link(&mut visitor, &link, &bob.email).await?;
    let offered = visitor.page.clone();
    for _ in 0..2 {
        visitor.page = offered.clone();
        visitor.press("Accept", &[]).await?;
        ensure!(visitor.page.status.is_success(), "{}", visitor.page.status);
        visitor.page.link("Download kubeconfig")?;
    }
    alice.open(&path).await?;
    alice.follow("Access").await?;
    ensure!(alice.page.rows(&bob.email).len() == 1, "{:?}", alice.page.rows(&bob.email));
    Ok(())
}

#[tokio::test]
async fn immune_16_a_sign_in_never_leads_away() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%5Cevil.example",
        "javascript:alert(1)",
    ] {
        let bob = house.bed.hire("bob", &[]).await?;
        let mut visitor = house.visitor()?;
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        visitor.open(&format!("/auth/start/dex?next={query}")).await?;
        if visitor.page.url.origin() != visitor.base.origin() {
            let after = visitor.sign_in_as(&Credentials::of(&bob.email)).await?;
            ensure!(
                after.url.origin() == after.url.join("/")?.origin() && after.url.host_str() == Some("127.0.0.1"),
                "{next}: {}",
                after.url
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn immune_19_a_session_id_changes_at_sign_in_and_dies_at_sign_out() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    visitor.sign_in(&bob.email).await?;
    let signed_in = visitor.page.clone();
    signed_in.sees(&bob.email)?;
    visitor.press("Sign out", &[]).await?;
    visitor.open("/shared").await?;
    visitor.page.does_not_see(&bob.email)?;
    visitor.page = signed_in;
    let refused = visitor.press("Sign out", &[]).await?;
    ensure!(!refused.status.is_server_error(), "{}", refused.status);
    Ok(())
}

#[tokio::test]
async fn immune_33_whoever_comes_first_is_nobody_in_particular() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let mallory = house.bed.hire("mallory", &[]).await?;
    let mut visitor = house.visitor()?;
    visitor.sign_in(&mallory.email).await?;
    let page = visitor.open("/clusters/add").await?;
    ensure!(page.status == StatusCode::FORBIDDEN, "{}", page.status);
    has_a_next_step(page)
}
