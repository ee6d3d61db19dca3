//! `kubelend health` beside a running server: what a container's health check gets to know.

use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{
    Kubelend, Testbed, eventually,
    kubelend::Place,
    process::{Command, Exit},
};

use super::house::{Database, House, binary, configuration};

/// How it ended, and what it said.
async fn health(kubelend: &Kubelend, more: &[&str]) -> Result<(Exit, String)> {
    let file = kubelend.place().folder().join("kubelend.toml");
    let command = Command::new(binary()).args(["health", "--config"]).arg(file).args(more);
    let asked = command.spawn("kubelend-health")?;
    let exit = asked.wait(Duration::from_secs(30)).await?;
    Ok((exit, asked.log_tail(5)))
}

#[tokio::test]
async fn a_server_is_healthy_over_tls_until_it_ends() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let (exit, said) = health(&house.kubelend, &[]).await?;
    ensure!(exit == Exit::Code(0) && said.trim() == "ready", "{exit:?}: {said}");

    // Another server's certificate on that port is not Kubelend's.
    let other = House::open(Database::Sqlite).await?;
    let (exit, said) = health(&house.kubelend, &["--listen", &other.kubelend.place().address()]).await?;
    ensure!(exit == Exit::Code(1) && said.contains("certificate"), "{exit:?}: {said}");

    house.kubelend.terminate().await?;
    let (exit, said) = health(&house.kubelend, &[]).await?;
    ensure!(exit == Exit::Code(1) && said.contains("is not ready") && said.contains("refused"), "{exit:?}: {said}");
    Ok(())
}

#[tokio::test]
async fn a_server_behind_a_tls_proxy_is_asked_in_plain_http() -> Result<()> {
    let bed = Testbed::shared().await?;
    let house = House::open(Database::Sqlite).await?;
    let place = Place::new(bed.ca())?;
    let text = configuration(&place, &place.sqlite(), bed.dex().await?, &house.alice.email);
    let plain: Vec<&str> = text.lines().filter(|line| !line.starts_with("tls_")).collect();
    let served = Kubelend::prepare(binary(), place, &plain.join("\n"), &[])?;
    ensure!(health(&served, &[]).await?.0 == Exit::Code(1), "nobody listens yet");
    let file = served.place().folder().join("kubelend.toml");
    let _child = Command::new(binary()).args(["serve", "--config"]).arg(file).spawn("kubelend-plain")?;
    eventually("the server to be healthy", Duration::from_secs(30), async || {
        let (exit, said) = health(&served, &[]).await?;
        ensure!(exit == Exit::Code(0), "{exit:?}: {said}");
        Ok(())
    })
    .await
}
