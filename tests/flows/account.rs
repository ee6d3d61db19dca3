//! What somebody sees of themselves: where they are signed in, and signing out there.

use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{Kubectl, eventually};

use super::house::{Database, House};

async fn sessions_are_seen_and_ended(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let (mut here, mut there, mut elsewhere) = (house.visitor()?, house.visitor()?, house.visitor()?);
    for browser in [&mut here, &mut there, &mut elsewhere] {
        browser.sign_in(&bob.email).await?;
    }
    here.open("/account/sessions").await?;
    here.page.sees("(this one)")?;
    ensure!(here.page.rows("127.0.0.1").len() == 3, "{}", here.page.text());
    here.press("Sign out there", &[]).await?;
    ensure!(here.page.rows("127.0.0.1").len() == 2, "{}", here.page.text());
    let mut out = 0;
    for browser in [&mut there, &mut elsewhere] {
        out += usize::from(browser.open("/account/devices").await?.text().contains("Sign in with Dex"));
    }
    ensure!(out == 1, "{out} of the two are out");
    here.press("Sign out everywhere else", &[]).await?;
    for browser in [&mut there, &mut elsewhere] {
        browser.open("/account/devices").await?.sees("Sign in with Dex")?;
    }
    here.open("/account/sessions").await?.sees("(this one)")?;
    ensure!(here.page.fill_fails("Sign out everywhere else"), "there is nobody else");
    Ok(())
}

#[tokio::test]
async fn immune_19_sessions_are_seen_and_ended_elsewhere_on_sqlite() -> Result<()> {
    sessions_are_seen_and_ended(Database::Sqlite).await
}

#[tokio::test]
async fn immune_19_sessions_are_seen_and_ended_elsewhere_on_postgres() -> Result<()> {
    sessions_are_seen_and_ended(Database::Postgres).await
}

#[tokio::test]
async fn several_clusters_are_one_file_and_one_of_them_is_given_back() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    // In no group: others may bind groups on the clusters that all share.
    let bob = house.bed.hire("bob", &[]).await?;
    let (mut alice, mut visitor) = (house.owner().await?, house.visitor()?);
    visitor.sign_in(&bob.email).await?;
    for (name, cluster) in [("one", house.bed.staging().await?), ("two", house.bed.production().await?)] {
        let path = house.add_cluster(&mut alice, cluster, name).await?;
        let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
        visitor.open(&link).await?;
        visitor.press("Accept", &[]).await?;
        alice.open("/clusters").await?;
    }

    visitor.open("/shared").await?.sees("by a share link")?;
    visitor.press("One file for all that are ticked", &[]).await?;
    // Signed in for pages alone, he signs in for kubeconfigs first.
    visitor.sign_in_as(&testbed::Credentials::of(&bob.email)).await?;
    visitor.page.sees("Shared with me")?;
    visitor.press("One file for all that are ticked", &[]).await?;
    let kubectl = Kubectl::with_text(&visitor.page.body)?;
    for context in ["one", "two"] {
        // The API server hears of a new binding a moment after it was made.
        eventually("the rights to be known", Duration::from_secs(20), async || {
            kubectl.run(&["--context", context, "get", "pods", "-A"]).await?.ok().map(drop)
        })
        .await?;
    }

    visitor.open("/shared").await?;
    let leave = visitor.page.link("Leave one")?;
    visitor.open(&leave).await?.sees("Leave one?")?;
    visitor.press("Leave", &[]).await?;
    visitor.page.does_not_see(">one</a>")?;
    visitor.page.sees("two")?;
    eventually("the cluster to follow", Duration::from_secs(20), async || {
        let out = kubectl.run(&["--context", "one", "get", "pods", "-A"]).await?;
        ensure!(out.stderr.contains("orbidden"), "{out:?}");
        Ok(())
    })
    .await?;
    kubectl.run(&["--context", "two", "get", "pods", "-A"]).await?.ok()?;
    visitor.open("/account/devices").await?;
    ensure!(visitor.page.rows("one").is_empty() && visitor.page.rows("two").len() == 1, "{}", visitor.page.text());
    Ok(())
}

#[tokio::test]
async fn owners_choose_which_kubeconfigs_are_offered() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    let formats = async |alice: &mut super::visitor::Visitor| -> Result<Vec<bool>> {
        let page = alice.open(&format!("{path}/kubeconfig")).await?.text();
        Ok(["nothing to install", "provider directly", "kubelogin plugin"].map(|f| page.contains(f)).to_vec())
    };
    ensure!(formats(&mut alice).await? == [true, true, true]);
    alice.open(&format!("{path}/settings")).await?;
    alice.untick(&["provider directly", "kubectl, nothing"]);
    alice.press("Save formats", &[]).await?;
    ensure!(formats(&mut alice).await? == [false, false, true]);
    let relayed = alice.open(&format!("{path}/kubeconfig/download?format=relay")).await?;
    ensure!(relayed.body.contains("oidc-login") && !relayed.body.contains("/relay/"), "{}", relayed.body);

    alice.open(&format!("{path}/settings")).await?;
    alice.untick(&["kubelogin plugin"]);
    alice.press("Save formats", &[]).await?.sees("Offer at least one")?;
    ensure!(formats(&mut alice).await? == [false, false, true], "nothing was changed");
    Ok(())
}
