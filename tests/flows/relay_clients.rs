//! The relay with clients that stay: a process that reads its kubeconfig once goes on with what it has in memory.

use std::{fs, time::Instant};

use anyhow::{Context, Result, ensure};
use testbed::{Credentials, Kubectl, Output, Python, dex::DIRECT_CLIENT, eventually};

use super::{
    house::Database,
    scene::{Held, LIFE, PATIENCE, Scene, ends_at, now_secs, quick, setting},
};

/// A kubeconfig that a process could read again and would be none the wiser. (One that is no YAML stops client-go, which
/// wants to write its new tokens into the file.)
const NOTHING: &str = "apiVersion: v1\nkind: Config\n";

#[tokio::test]
async fn a_process_that_keeps_its_first_token_in_memory_goes_on_for_three_lifetimes() -> Result<()> {
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let held = scene.fetch().await?;
    let file = held.kubectl.kubeconfig_text()?;
    // The same file on another machine, where it renews all the time.
    let elsewhere = Kubectl::with_text(&file)?;
    let (busy, idle) = (held.kubectl.proxy().await?, held.kubectl.proxy().await?);
    fs::write(held.kubectl.kubeconfig(), NOTHING)?;

    let until = now_secs() + 3 * LIFE.as_secs();
    let mut lifetimes = 0;
    while lifetimes < 3 || now_secs() < until {
        let ends = ends_at(&held.fresh().await?)?;
        while now_secs() <= ends {
            // The API server ends it after a second; the next one is a request of its own.
            busy.get("/api/v1/pods?watch=1&timeoutSeconds=1").await?;
            elsewhere.run(&["get", "pods", "-A"]).await?.ok()?;
        }
        busy.get("/api/v1/pods").await?;
        lifetimes += 1;
    }
    // This one comes back for the first time: three tokens have come and gone since the one that it has.
    idle.get("/api/v1/pods").await?;
    ensure!(held.kubectl.kubeconfig_text()? == NOTHING, "the file was of no use to them");

    scene.visitor.open("/account/devices").await?;
    scene.visitor.press_at(&format!("/account/devices/{}/revoke", held.device()), "Take back").await?;
    held.is_refused("taken back").await?;
    let refused = idle.get("/api/v1/pods").await;
    ensure!(refused.is_err_and(|error| format!("{error:#}").contains("This kubeconfig was taken back")), "it is over");
    Ok(())
}

/// Programs on the official Python client.
const PROGRAMS: &str = include_str!("python_client.py");

/// Fails unless a program ended well and was opened the door with at least so many tokens.
fn worked(out: Output, tokens: u32) -> Result<()> {
    let said = out.ok()?;
    let used: u32 = said.lines().last().context("a number")?.parse()?;
    ensure!(used >= tokens, "only {used} different tokens");
    Ok(())
}

#[tokio::test]
async fn the_python_client_goes_on_for_three_lifetimes() -> Result<()> {
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let (held, other) = (scene.fetch().await?, scene.fetch().await?);
    let (python, seconds) = (Python::new()?, (3 * LIFE.as_secs()).to_string());
    let start = |what: &str, held: &Held| {
        python.start(PROGRAMS, &[what, &held.kubectl.kubeconfig().to_string_lossy(), &seconds])
    };
    let (from_memory, from_file) = (start("from_memory", &held)?, start("from_file", &other)?);
    from_memory.says("read").await?;
    fs::write(held.kubectl.kubeconfig(), NOTHING)?;
    worked(from_memory.output(PATIENCE).await?, 3).context("with what it read at its start")?;
    worked(from_file.output(PATIENCE).await?, 3).context("with what it wrote into the file")?;
    ensure!(setting(&other.kubectl.kubeconfig_text()?, "refresh-token")? == other.token, "it is not rotated");
    other.kubectl.run(&["get", "pods", "-A"]).await?.ok().context("kubectl with the file that Python wrote").map(drop)
}

#[tokio::test]
async fn the_python_client_says_why_it_gets_no_token() -> Result<()> {
    let (mut scene, dex, _proxy) = Scene::caught(Database::Sqlite).await?;
    let held = scene.fetch().await?;
    let (python, file) = (Python::new()?, held.kubectl.kubeconfig().to_string_lossy().into_owned());
    let sign_on = async || python.run(PROGRAMS, &["sign_on", &file]).await;
    let says = async |words: &str| {
        let out = sign_on().await?;
        ensure!(!out.success() && out.stderr.contains(words), "{out:?}");
        Ok(())
    };
    sign_on().await?.ok()?;
    dex.stop().await?;
    eventually("the kept token to end", PATIENCE, async || says("Nothing is lost: try again in a moment").await)
        .await?;
    dex.start().await?;
    eventually("a token", PATIENCE, async || sign_on().await?.ok()).await?;
    scene.visitor.open("/account/devices").await?;
    scene.visitor.press_at(&format!("/account/devices/{}/revoke", held.device()), "Take back").await?;
    says("(invalid_grant) This kubeconfig was taken back. Get a new one at https://").await
}

/// kubectl works each time, until it has written another ID token into its file.
async fn renews(kubectl: &Kubectl) -> Result<()> {
    let token = || setting(&kubectl.kubeconfig_text()?, "id-token");
    let (before, until) = (token()?, Instant::now() + PATIENCE);
    while token()? == before {
        kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
        ensure!(Instant::now() < until, "still the same token");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_talks_to_the_provider_itself_and_a_relayed_one_both_go_on() -> Result<()> {
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let relayed = scene.fetch().await?;
    let direct = scene.fetch_direct().await?;
    let text = direct.kubeconfig_text()?;
    let (dex, _) = quick().await?;
    ensure!(setting(&text, "idp-issuer-url")? == dex.issuer(), "{text}");
    ensure!(setting(&text, "client-id")? == DIRECT_CLIENT && !text.contains("client-secret"), "{text}");
    for round in 0..6 {
        renews(&relayed.kubectl).await.with_context(|| format!("relayed, round {round}"))?;
        renews(&direct).await.with_context(|| format!("direct, round {round}"))?;
        if round == 2 {
            // Another sign-in at the relay's client ends nothing of the other's.
            scene.visitor.open("/renew").await?;
            scene.visitor.sign_in_as(&Credentials::of(&scene.bob.email)).await?;
        }
    }
    Ok(())
}
