//! The format for kubelogin, with the real plugin: kubectl starts it, it opens the browser, and whoever signs in there sees
//! their pods.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::{Browser, Kubectl, Testbed, browser::PATIENCE, eventually};

use crate::browser::{download, open_link, turn};
use crate::flows::{
    house::{Database, House},
    scene::{ends_at, now_secs},
};

/// Where the plugin listens: at the second if the first is taken.
const LISTENS: [&str; 2] = ["http://localhost:8000", "http://localhost:18000"];
/// In place of the command that opens a browser: writes down what it should open.
const OPENER: &str = "echo \"$1\" >> \"$HOME/opened\"";

fn opened(kubectl: &Kubectl) -> Result<Vec<String>> {
    let file = kubectl.home().join("opened");
    Ok(fs::read_to_string(file).context("nothing is opened")?.lines().map(str::to_owned).collect())
}

/// The ID token that the plugin keeps.
fn kept(kubectl: &Kubectl) -> Result<String> {
    let mut files = kubectl.home().join("cache/oidc-login").read_dir()?.map(|entry| anyhow::Ok(entry?.path()));
    let file = files.find(|file| file.as_ref().is_ok_and(|file| file.extension().is_none()));
    let kept: Value = serde_json::from_slice(&fs::read(file.context("nothing is kept")??)?)?;
    Ok(kept["id_token"].as_str().context("an ID token")?.to_owned())
}

/// Accepts a link and downloads the file for kubelogin.
async fn fetch(browser: &Browser, link: &str, email: &str) -> Result<Kubectl> {
    open_link(browser, link, email).await?;
    browser.click("button", "Accept").await?;
    browser.find("region", "Connection test").await?;
    let formats = browser.find_all("radio", None).await?;
    formats.iter().find(|format| format.name.starts_with("kubelogin plugin")).context("the format")?.click().await?;
    browser.wait_for_url(|url| url.ends_with("?format=kubelogin")).await?;
    download(browser).await?.with_command("xdg-open", OPENER)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_signs_in_through_kubelogin_and_a_browser() -> Result<()> {
    let _turn = turn().await?;
    let bed = Testbed::shared().await?;
    let (dex, cluster) = (bed.short_dex().await?, bed.short_cluster().await?);
    for address in LISTENS {
        dex.add_redirect_uri(address).await?;
    }
    let pod = format!("web-{}", bed.unique());
    let admin = cluster.kubectl()?;
    eventually("a pod", PATIENCE, async || admin.run(&["run", &pod, "--image=none"]).await?.ok()).await?;
    let house = House::with_provider(Database::Sqlite, dex, "").await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, cluster, "short").await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let browser = Browser::start().await?;
    let bob = bed.hire("bob", &[]).await?.email;
    let kubectl = fetch(&browser, &link, &bob).await?;

    let pods = kubectl.start(&["get", "pods", "-A"])?;
    let address = eventually("kubelogin to open a browser", PATIENCE, async || {
        opened(&kubectl)?.pop().context("nothing is opened")
    });
    let address = address.await.map_err(|error| pods.explain(error))?;
    ensure!(LISTENS.contains(&address.trim_end_matches('/')), "{address}");
    browser.goto(&address).await?;
    browser.sign_in_at_dex(&bob).await?;
    browser.see("Authenticated").await?;
    let printed = pods.output(PATIENCE).await?.ok()?;
    ensure!(printed.contains(&pod), "{printed}");

    let first = kept(&kubectl)?;
    eventually("its token to end", PATIENCE, async || {
        ensure!(now_secs() > ends_at(&first)?, "not yet");
        Ok(())
    })
    .await?;
    let printed = kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
    ensure!(printed.contains(&pod) && kept(&kubectl)? != first, "it goes on with another token");
    ensure!(opened(&kubectl)?.len() == 1, "and asks nobody to sign in again");
    Ok(())
}
