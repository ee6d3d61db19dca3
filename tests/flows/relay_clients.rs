//! The relay with clients that stay: a process that reads its kubeconfig once goes on with what it has in memory.

use std::fs;

use anyhow::{Result, ensure};
use testbed::Kubectl;

use super::{
    house::Database,
    scene::{LIFE, Scene, ends_at, now_secs},
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
