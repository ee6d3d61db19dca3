//! Share links with rules: each lets in those whom it is for, and whoever is refused learns nothing and is told what to do next.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::{Kubectl, Person, eventually};

use super::{
    house::{Database, House},
    refusals::{has_a_next_step, is_closed, lent},
    visitor::Visitor,
};

/// Opens a link and accepts it; the kubeconfig works as far as its role goes.
async fn accepts(house: &House, link: &str, who: &Person) -> Result<Kubectl> {
    house.accept(&mut house.visitor()?, link, &who.email).await.with_context(|| format!("{} accepts", who.email))
}

async fn to_links(alice: &mut Visitor, path: &str) -> Result<()> {
    alice.open(path).await?;
    alice.follow("Share links").await.map(drop)
}

/// Leaves the owner on the page of the newest link.
async fn to_newest(alice: &mut Visitor, path: &str) -> Result<()> {
    to_links(alice, path).await?;
    alice.follow("Show link").await.map(drop)
}

#[tokio::test]
async fn immune_15_a_link_for_listed_emails_domains_and_groups_lets_in_those_and_nobody_else() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Postgres).await?;
    let n = house.bed.unique();
    let group = format!("ops-{n}");
    let at_acme = Person::new(&format!("eve-{n}@acme-{n}.example"), "Eve", &[]);
    let below_acme = Person::new(&format!("adam-{n}@evil.acme-{n}.example"), "Eve", &[]);
    let behind_acme = Person::new(&format!("abel-{n}@acme-{n}.example.evil.example"), "Eve", &[]);
    for person in [&at_acme, &below_acme, &behind_acme] {
        house.bed.directory().await?.put(person.clone())?;
    }
    let bob = house.bed.hire("bob", &[]).await?;
    let carol = house.bed.hire("carol", &[&group]).await?;
    let mallory = house.bed.hire("mallory", &[&group.to_uppercase(), &format!("{group}x")]).await?;
    for (only_for, invited, strangers) in [
        (bob.email.to_uppercase(), &bob, vec![&carol, &mallory]),
        (format!("@acme-{n}.example"), &at_acme, vec![&bob, &below_acme, &behind_acme]),
        (format!("group:{group}"), &carol, vec![&bob, &mallory]),
    ] {
        let link = house.share(&mut alice, &path, &[("Role", "view"), ("Only for", &only_for)]).await?;
        for stranger in strangers {
            is_closed(&house, &link, &stranger.email)
                .await
                .with_context(|| format!("{only_for}: {}", stranger.email))?;
        }
        accepts(&house, &link, invited).await?.run(&["get", "pods", "-A"]).await?.ok()?;
    }
    // A prefix that is the cluster's alone is an error at its field, and nothing typed is lost.
    to_links(&mut alice, &path).await?;
    alice.press("Create link", &[("Only for", &format!("oidc:{group}")), ("Note to the visitor", "for you")]).await?;
    ensure!(alice.page.status == StatusCode::UNPROCESSABLE_ENTITY, "{}", alice.page.status);
    alice.page.sees("Leave out “oidc:”")?;
    ensure!(alice.page.field("Only for")? == format!("oidc:{group}"), "{}", alice.page.text());
    ensure!(alice.page.field("Note to the visitor")?.trim() == "for you", "{}", alice.page.text());
    Ok(())
}

#[tokio::test]
async fn a_used_up_link_is_closed_to_the_next_and_opens_when_more_are_let_in() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let link =
        house.share(&mut alice, &path, &[("Role", "view"), ("Uses", "1"), ("Note to the visitor", "First!")]).await?;
    let (bob, carol) = (house.bed.hire("bob", &[]).await?, house.bed.hire("carol", &[]).await?);
    let mut first = house.visitor()?;
    house.open_link(&mut first, &link, &bob.email).await?;
    first.page.sees("First!")?;
    first.press("Accept", &[]).await?;
    first.page.link("Download kubeconfig")?;
    is_closed(&house, &link, &carol.email).await?;
    // Whoever has it is told the truth, with the way on.
    first.open(&link).await?;
    first.page.sees("yours to use already")?;
    has_a_next_step(&first.page)?;
    // So is its maker, who learns what to change; the address stays.
    alice.open(&link).await?;
    alice.page.sees("It is used up")?;
    alice.follow("See the link").await?;
    alice.page.sees("1 of 1 person")?;
    alice.page.sees(&bob.email)?;
    ensure!(alice.page.field("Share link")? == link, "copied again it is the same");
    alice.press("Save", &[("Uses", "2")]).await?;
    ensure!(alice.page.field("Share link")? == link, "its token stays");
    accepts(&house, &link, &carol).await.map(drop)
}

#[tokio::test]
async fn a_paused_link_rests_until_it_is_opened_again() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    // The page is open already when the link is paused.
    let mut early = house.visitor()?;
    house.open_link(&mut early, &link, &bob.email).await?;
    to_newest(&mut alice, &path).await?;
    alice.press("Pause", &[]).await?;
    alice.page.sees("It is paused")?;
    early.press("Accept", &[]).await?;
    ensure!(early.page.status == StatusCode::NOT_FOUND, "{}: {}", early.page.status, early.page.text());
    has_a_next_step(&early.page)?;
    early.page.does_not_see("staging")?;
    to_links(&mut alice, &path).await?;
    ensure!(alice.page.rows("paused").len() == 1, "{}", alice.page.text());
    to_newest(&mut alice, &path).await?;
    alice.press("Open it again", &[]).await?;
    accepts(&house, &link, &bob).await.map(drop)
}

#[tokio::test]
async fn a_link_is_revoked_with_the_access_that_it_gave() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Postgres).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let kept = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let (bob, carol) = (house.bed.hire("bob", &[]).await?, house.bed.hire("carol", &[]).await?);
    let lost = [accepts(&house, &link, &bob).await?, accepts(&house, &link, &carol).await?];
    let dave = house.bed.hire("dave", &[]).await?;
    let stays = accepts(&house, &kept, &dave).await?;
    for kubectl in lost.iter().chain([&stays]) {
        kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
    }
    alice.open(&link).await?;
    // She manages it and may accept it herself; its own page is on the list.
    to_links(&mut alice, &path).await?;
    alice.press_in_row(&bob.email, "Revoke").await?;
    alice.page.sees("2 people still hold what it gave")?;
    alice.page.sees("2 people: view on the whole cluster")?;
    alice.press("Revoke and take the access back", &[]).await?;
    for kubectl in &lost {
        eventually("kubectl to be refused", Duration::from_secs(5), async || {
            let out = kubectl.run(&["get", "pods", "-A"]).await?;
            ensure!(out.stderr.contains("orbidden"), "{out:?}");
            Ok(())
        })
        .await?;
    }
    stays.run(&["get", "pods", "-A"]).await?.ok()?;
    // To those who had it the link says what happened, to others nothing.
    let mut visitor = house.visitor()?;
    house.open_link(&mut visitor, &link, &bob.email).await?;
    visitor.page.sees("The access that this link gave you has ended")?;
    has_a_next_step(&visitor.page)?;
    is_closed(&house, &link, &dave.email).await
}

#[tokio::test]
async fn immune_28_a_clusterrole_of_the_clusters_own_is_lent_while_it_is_offered_and_may_be_bound() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?.kubectl()?;
    let role = format!("config-reader-{}", house.bed.unique());
    cluster.run(&["create", "clusterrole", &role, "--verb=get,list", "--resource=configmaps"]).await?.ok()?;
    to_links(&mut alice, &path).await?;
    ensure!(alice.press("Create link", &[("Role", &role)]).await.is_err(), "nobody marked it as one to give");
    cluster.run(&["label", "clusterrole", &role, "component=userClusterRole"]).await?.ok()?;
    to_links(&mut alice, &path).await?;
    alice.page.sees("They can see configmaps.")?;
    alice.press("Create link", &[("Role", &role)]).await?;
    alice.page.sees("Kubelend may not bind")?;
    let text = alice.page.text();
    let begin = text.find("kubectl create clusterrole kubelend-binds-").context("a command to type")?;
    let me = "--user=system:serviceaccount:kubelend:kubelend";
    let end = text[begin..].find(me).context("who is let")? + begin + me.len();
    cluster.shell(&text[begin..end]).await?.ok()?;

    alice.press("Create link", &[("Role", &role)]).await?;
    let link = alice.page.field("Share link")?;
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    house.open_link(&mut visitor, &link, &bob.email).await?;
    visitor.page.sees(&format!("You get the role {role}"))?;
    visitor.page.sees("You will be able to see configmaps.")?;
    visitor.press("Accept", &[]).await?;
    let kubectl = super::house::download(&mut visitor).await?;
    kubectl.run(&["get", "configmaps", "-A"]).await?.ok()?;
    ensure!(kubectl.run(&["get", "pods", "-A"]).await?.stderr.contains("orbidden"), "and nothing else");
    alice.open(&path).await?;
    alice.follow("Access").await?;
    ensure!(alice.page.rows(&bob.email)[0].contains(&role), "{:?}", alice.page.rows(&bob.email));
    let carol = house.bed.hire("carol", &[]).await?;
    alice.press("Grant", &[("Name", &carol.email), ("Role", &role)]).await?;
    ensure!(alice.page.rows(&carol.email)[0].contains("in force"), "{:?}", alice.page.rows(&carol.email));

    // Withdrawn, it is given to nobody else, however the link was made.
    cluster.run(&["label", "clusterrole", &role, "component-"]).await?.ok()?;
    let dave = house.bed.hire("dave", &[]).await?;
    let mut late = house.visitor()?;
    house.open_link(&mut late, &link, &dave.email).await?;
    late.press("Accept", &[]).await?;
    alice.open(&path).await?;
    alice.follow("Access").await?;
    ensure!(alice.page.rows(&dave.email)[0].contains("marked as one to give"), "{:?}", alice.page.rows(&dave.email));
    kubectl.run(&["get", "configmaps", "-A"]).await?.ok().map(drop)
}

#[tokio::test]
async fn immune_29_no_address_after_the_first_and_no_log_holds_the_token() -> Result<()> {
    let (house, mut alice, path) = lent(Database::Sqlite).await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let token = link.rsplit('/').next().context("a token")?.to_owned();
    let bob = house.bed.hire("bob", &[]).await?;
    let mut visitor = house.visitor()?;
    visitor.open(&link).await?;
    ensure!(!visitor.page.url.as_str().contains(&token), "{}", visitor.page.url);
    visitor.page.does_not_see(&token)?;
    let landed = visitor.page.url.clone();
    visitor.follow("Sign in to accept").await?;
    ensure!(!visitor.page.url.as_str().contains(&token), "{}", visitor.page.url);
    visitor.sign_in_as(&testbed::Credentials::of(&bob.email)).await?;
    ensure!(visitor.page.url == landed, "back at {} and not at {landed}", visitor.page.url);
    visitor.page.does_not_see(&token)?;
    visitor.press("Accept", &[]).await?;
    // Whoever finds the page's address in a history has nothing.
    let mut finder = house.visitor()?;
    let page = finder.open(landed.as_str()).await?;
    ensure!(page.status == StatusCode::NOT_FOUND, "{}", page.status);
    page.sees("Open the share link once more")?;
    page.does_not_see("staging")?;
    has_a_next_step(page)?;
    let log = std::fs::read_to_string(house.kubelend.log().await.context("a log")?)?;
    ensure!(log.contains("/s/{token}") && log.contains("/accept/{handle}"), "the routes are named");
    ensure!(!log.contains(&token) && !log.contains(&token[..20]), "the token is in the log");
    Ok(())
}

#[tokio::test]
async fn immune_29_whoever_opens_too_many_links_waits_and_is_told_for_how_long() -> Result<()> {
    let bed = testbed::Testbed::shared().await?;
    let limits = "\n[limits]\nlinks_per_address = 3\n";
    let house = House::with_provider(Database::Sqlite, bed.dex().await?, limits).await?;
    let mut visitor = house.visitor()?;
    let unknown = kubelend::crypto::PlainToken::generate(kubelend::crypto::SHARE_LINK_PREFIX);
    for _ in 0..3 {
        let page = visitor.open(&format!("/s/{}", unknown.expose())).await?;
        ensure!(page.status == StatusCode::OK, "{}", page.status);
    }
    let url = visitor.base.join(&format!("/s/{}", unknown.expose()))?;
    let answer = visitor.http.get(url.clone()).header("x-forwarded-for", "203.0.113.1").send().await?;
    ensure!(answer.status() == StatusCode::TOO_MANY_REQUESTS, "{}", answer.status());
    let wait: u64 = answer.headers().get("retry-after").context("when to come again")?.to_str()?.parse()?;
    ensure!((1..=21).contains(&wait), "{wait}");
    let page = visitor.open(url.as_str()).await?;
    page.sees("Too many at once")?;
    has_a_next_step(page)?;
    // Everything else goes on.
    let page = visitor.open("/sign-in").await?;
    ensure!(page.status == StatusCode::OK, "{}", page.status);
    Ok(())
}
