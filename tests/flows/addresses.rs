//! An email address that the organisation gives to somebody else: what was granted to the address binds nobody until an owner
//! says whom they mean.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::eventually;

use super::house::{Database, House, bound};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn immune_32_what_was_granted_to_an_address_binds_nobody_once_it_has_changed_hands() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let (directory, cluster) = (house.bed.directory().await?, house.bed.staging().await?);
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, cluster, "staging").await?;
    let bob = house.bed.hire("bob", &[]).await?;
    house.visitor()?.sign_in(&bob.email).await?;

    // Bob gets another address and signs in with it. The old one is nobody's, as far as anybody knows.
    let renamed = format!("robert-{}@example.com", house.bed.unique());
    directory.edit(&bob.id, |person| person.email.clone_from(&renamed))?;
    house.visitor()?.sign_in(&renamed).await?;
    let answers = [("Name", bob.email.as_str()), ("Role", "view")];
    alice.open(&format!("{path}/access")).await?;
    alice.press("Grant", &answers).await?;
    alice.page.sees("in force")?;
    bound(cluster, &bob.email, 1).await?;

    // Somebody new gets it, and signs in.
    let heir = house.bed.hire("heir", &[]).await?;
    directory.edit(&heir.id, |person| person.email.clone_from(&bob.email))?;
    house.visitor()?.sign_in(&bob.email).await?;
    eventually("the binding to go", PATIENCE, async || bound(cluster, &bob.email, 0).await).await?;
    alice.open(&format!("{path}/access")).await?;
    let row = alice.page.rows(&bob.email).pop().context("the grant's row")?;
    ensure!(row.contains("changed hands") && row.contains("granting to the person again"), "{row}");
    alice.follow("Activity").await?;
    alice.page.sees("suspended access to an address that changed hands")?;

    // A repair of the cluster does not bring it back.
    alice.open(&path).await?;
    alice.press("Test again", &[]).await?;
    house.kubelend.restart().await?;
    bound(cluster, &bob.email, 0).await?;

    // The owner means the new one: from now on it is theirs, and the grant to the address is over.
    alice.open(&format!("{path}/access")).await?;
    alice.press("Grant", &answers).await?;
    bound(cluster, &bob.email, 1).await?;
    eventually("the grant to the address to go", PATIENCE, async || {
        let mut alice = house.owner().await?;
        alice.open(&format!("{path}/access")).await?;
        let rows = alice.page.rows(&bob.email);
        ensure!(rows.len() == 1 && rows[0].contains("in force"), "{rows:?}");
        Ok(())
    })
    .await?;
    bound(cluster, &bob.email, 1).await
}
