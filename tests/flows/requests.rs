//! Asking for access: from a cluster that somebody has or had, to the people who manage it, to the cluster itself and back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::{Credentials, Kubectl, dex::DIRECT_CLIENT, eventually};

use super::house::{Database, House};

const PATIENCE: Duration = Duration::from_secs(45);

#[tokio::test]
async fn somebody_asks_for_more_gets_something_else_and_it_counts_on_the_cluster() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let cluster = house.bed.staging().await?;
    let namespace = format!("asked-{}", house.bed.unique());
    cluster.kubectl()?.run(&["create", "namespace", &namespace]).await?.ok()?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, cluster, "staging").await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let person = house.bed.hire("bob", &[]).await?;
    let mut bob = house.visitor()?;
    house.accept(&mut bob, &link, &person.email).await?;

    bob.follow("Ask for access").await?.sees("What you have there now")?;
    bob.press("Ask", &[("Role", "admin"), ("For how long", "1 year"), ("Reason", "")]).await?;
    ensure!(bob.page.status == StatusCode::UNPROCESSABLE_ENTITY, "{}", bob.page.status);
    bob.page.sees("Say why")?;
    ensure!(bob.page.field("Role")? == "admin", "what was chosen stays");
    bob.press("Ask", &[("Reason", "the migration of the shop")]).await?.sees("waits for an answer")?;

    alice.open(&format!("{path}/access")).await?.sees("1 request for access waits.")?;
    alice.follow("Answer").await?.sees("the migration of the shop")?;
    alice.follow("Answer").await?.sees(&format!("{} asks for access", person.email))?;
    ensure!(alice.page.field("Role")? == "admin" && alice.page.field("For how long")? == "365d", "as it was asked");
    // Whoever answers can read what that would be.
    let here = alice.page.url.clone();
    alice.follow("What each role allows").await?.sees("view")?;
    alice.open(here.as_str()).await?;
    let answer =
        [("Role", "edit"), ("Where", "namespaces"), ("Namespaces", namespace.as_str()), ("For how long", "7 days")];
    alice.press("Approve", &answer).await?;
    let row = alice.page.rows(&person.email).into_iter().find(|row| row.contains("request")).context("the row")?;
    ensure!(row.contains("edit") && row.contains("the migration of the shop") && row.contains("in force"), "{row}");

    let tokens = house.bed.dex().await?.tokens_for(DIRECT_CLIENT, &Credentials::of(&person.email)).await?;
    let kubectl = Kubectl::with_text(&cluster.kubeconfig_with_token(&tokens.id_token))?;
    eventually("the rights to be as given", PATIENCE, async || {
        let may = kubectl.run(&["auth", "can-i", "create", "configmaps", "-n", &namespace]).await?;
        ensure!(may.stdout.trim() == "yes", "{may:?}");
        Ok(())
    })
    .await?;
    let elsewhere = kubectl.run(&["auth", "can-i", "create", "configmaps", "-n", "default"]).await?;
    ensure!(elsewhere.stdout.trim() == "no", "{elsewhere:?}");
    bob.open("/shared").await?.sees(&format!("approved by {}", house.alice.email))?;
    bob.page.sees("since you asked for it")?;

    // What is declined says why; what is taken back is gone; and who lost everything still knows where to ask.
    bob.follow("Ask for more on staging").await?;
    bob.press("Ask", &[("Role", "edit"), ("Reason", "all of it, please")]).await?;
    alice.open(&format!("{path}/access")).await?;
    alice.follow("Answer").await?;
    alice.follow("Answer").await?;
    let word = format!("A word for {}", person.email);
    alice.press("Decline", &[(&word, "one namespace at a time")]).await?.sees("Nobody asks")?;
    bob.open("/shared").await?.sees("“one namespace at a time”")?;
    alice.open(&format!("{path}/access")).await?;
    while alice.page.rows(&person.email).iter().any(|row| row.contains("Remove")) {
        alice.press_in_row(&person.email, "Remove").await?;
        alice.open(&format!("{path}/access")).await?;
    }
    bob.open(&format!("{path}/kubeconfig")).await?.sees("You have no access to this cluster")?;
    bob.follow("Ask for access").await?;
    bob.press("Ask", &[("Reason", "back again")]).await?.sees("waits for an answer")?;
    bob.press("Take back the request for staging", &[]).await?.sees("taken back")?;

    let stranger = house.bed.hire("eve", &[]).await?;
    let mut eve = house.visitor()?;
    eve.sign_in(&stranger.email).await?;
    eve.open(&format!("{path}/ask")).await?.sees("There is nothing here")?;
    ensure!(eve.page.status == StatusCode::NOT_FOUND, "{}", eve.page.status);
    alice.open(&format!("{path}/activity")).await?.sees("asked for access:")?;
    for words in ["approved a request for access:", "declined a request for access:", "took back a request for access:"]
    {
        alice.page.sees(words)?;
    }
    Ok(())
}
