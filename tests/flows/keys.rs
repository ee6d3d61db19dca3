//! A key ring that is not the one that sealed the database's secrets: said at the start, and what to do with it.

use std::{fs, process::Output};

use anyhow::{Context, Result, ensure};

use super::house::{Database, House, binary, connect};

/// Runs the house's Kubelend with another command.
fn kubelend(house: &House, arguments: &[&str]) -> Result<Output> {
    let configuration = house.kubelend.place().folder().join("kubelend.toml");
    let mut command = std::process::Command::new(binary());
    Ok(command.env_clear().args(arguments).arg("--config").arg(configuration).output()?)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A start that must fail: what it says.
async fn refused(house: &House) -> Result<String> {
    match house.kubelend.resume().await {
        Ok(()) => anyhow::bail!("it started"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[tokio::test]
async fn immune_22_a_key_ring_that_opens_nothing_is_refused_until_it_is_accepted() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, cluster, "staging").await?;
    let file = house.kubelend.place().folder().join("keyring");
    let aside = file.with_extension("aside");
    house.kubelend.kill9().await?;

    // Missing: none is made in its place.
    fs::rename(&file, &aside)?;
    let why = refused(&house).await?;
    for part in ["does not start", "is missing", "back from your backup", "kubelend keys accept --config"] {
        ensure!(why.contains(part), "“{part}” in {why}");
    }
    ensure!(!file.exists(), "a ring was made");
    let check = kubelend(&house, &["check"])?;
    ensure!(!check.status.success() && said(&check).contains("FAILED key ring"), "{}", said(&check));

    // Another one: both fingerprints are named.
    fs::write(&file, format!("00000001 {}\n", "A".repeat(43)))?;
    fs::set_permissions(&file, fs::metadata(&aside)?.permissions())?;
    let why = refused(&house).await?;
    ensure!(why.contains("instead"), "{why}");

    // The right one again: all goes on.
    fs::rename(&aside, &file)?;
    house.kubelend.resume().await?;
    alice.open(&path).await?;
    alice.page.sees("staging")?;
    ensure!(said(&kubelend(&house, &["keys", "accept"])?).contains("nothing was changed"));

    // Lost for good.
    house.kubelend.kill9().await?;
    fs::remove_file(&file)?;
    let accepted = kubelend(&house, &["keys", "accept"])?;
    ensure!(accepted.status.success() && said(&accepted).contains("from now on"), "{}", said(&accepted));
    house.kubelend.resume().await?;
    let mut alice = house.owner().await.context("signing in again")?;
    alice.open(&path).await?;
    alice.press("Test again", &[]).await?;
    alice.follow("Credentials").await?;
    alice.press("Replace credentials", &[("Kubeconfig", &connect(cluster).await?)]).await?;
    alice.open(&format!("{path}/access")).await?;
    // Nobody's group: the cluster is shared, and others are in the usual ones.
    let group = format!("keepers-{}", house.bed.unique());
    alice.press("Grant", &[("Kind", "Group"), ("Name", &group), ("Role", "view")]).await?;
    alice.page.sees("in force")
}
