//! What somebody sees of themselves: where they are signed in, and signing out there.

use anyhow::{Result, ensure};

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
