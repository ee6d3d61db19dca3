//! Somebody leaves a group of their provider while their kubeconfigs are in use: with the next token, what the group was given is
//! gone, by way of the relay and without it, and they are still who they are.

use anyhow::{Result, ensure};
use testbed::{Kubectl, Testbed, eventually};

use super::{
    house::{Database, House},
    scene::{PATIENCE, Scene},
};

async fn lists_pods(kubectl: &Kubectl, wanted: bool) -> Result<()> {
    eventually("the rights to be the group's", PATIENCE, async || {
        let answer = kubectl.run(&["get", "pods", "-A"]).await?;
        let is_so = if wanted { answer.success() } else { answer.stderr.contains("Forbidden") };
        ensure!(is_so, "{answer:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn immune_20_with_the_next_token_nobody_has_what_a_group_was_given_that_they_left() -> Result<()> {
    let bed = Testbed::shared().await?;
    let house = House::with_provider(Database::Postgres, bed.short_dex().await?, "").await?;
    let group = format!("crew-{}", bed.unique());
    let (bob, mut alice, mut visitor) = (bed.hire("bob", &[&group]).await?, house.owner().await?, house.visitor()?);
    let path = house.add_cluster(&mut alice, bed.short_cluster().await?, "short").await?;
    alice.open(&format!("{path}/access")).await?;
    alice.press("Grant", &[("Kind", "Group"), ("Name", &group), ("Role", "view")]).await?;
    // The link gives a file and no right.
    let link = house.share(&mut alice, &path, &[("Role", "no role")]).await?;
    house.open_link(&mut visitor, &link, &bob.email).await?;
    visitor.press("Accept", &[]).await?;
    let mut scene = Scene { house, alice, path, bob, visitor };
    let files = [scene.fetch().await?.kubectl, scene.fetch_direct().await?];
    for kubectl in &files {
        lists_pods(kubectl, true).await?;
    }

    bed.directory().await?.set_groups(&scene.bob.id, &[])?;
    for kubectl in &files {
        lists_pods(kubectl, false).await?;
        let known = kubectl.run(&["auth", "whoami"]).await?.ok()?;
        ensure!(known.contains(&scene.bob.email) && !known.contains(&group), "{known}");
    }
    Ok(())
}
