//! Pages in a real browser: walks past what people see, press and download.

mod diagnoses;
mod federation;
mod pages;
mod walk;
mod workspaces;

use anyhow::{Context, Result, bail};
use testbed::{
    Browser, BrowserOptions, Kubectl,
    browser::{Element, PATIENCE},
    eventually,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::flows::house::House;

/// Waits for a turn: a browser is as hungry as a cluster, and a starved one is slow to no purpose.
pub(crate) async fn turn() -> Result<SemaphorePermit<'static>> {
    static TURNS: Semaphore = Semaphore::const_new(5);
    Ok(TURNS.acquire().await?)
}

/// A browser in which the platform admin has signed in.
pub(crate) async fn owner(house: &House, options: BrowserOptions) -> Result<Browser> {
    let browser = Browser::with(options).await?;
    browser.goto(&house.kubelend.url()).await?;
    browser.click("link", "Sign in with Dex").await?;
    browser.sign_in_at_dex(&house.alice.email).await?;
    browser.find("heading", "Clusters").await?;
    Ok(browser)
}

/// Opens a share link in a fresh browser and signs in: the page to accept on.
pub(crate) async fn open_link(browser: &Browser, link: &str, email: &str) -> Result<()> {
    browser.goto(link).await?;
    browser.click("link", "Sign in to accept").await?;
    browser.sign_in_at_dex(email).await?;
    browser.find("button", "Accept").await.map(drop)
}

/// Waits until a cluster's first check is over: until then its page loads itself again where no script runs, and a click may
/// fall between two pages.
pub(crate) async fn checked(browser: &Browser) -> Result<()> {
    eventually("the first check to end", PATIENCE, async || {
        let again = browser.find("button", "Test again").await?;
        anyhow::ensure!(again.is_enabled().await?, "the check goes on");
        Ok(())
    })
    .await
}

/// Downloads the kubeconfig from its page.
pub(crate) async fn download(browser: &Browser) -> Result<Kubectl> {
    browser.click("link", "Download kubeconfig").await?;
    let (name, kubeconfig) = browser.take_download().await?;
    let extension = std::path::Path::new(&name).extension().context("a kubeconfig has an extension")?;
    anyhow::ensure!(extension == "yaml", "{name}");
    Kubectl::with_text(&kubeconfig)
}

/// Makes a share link on the cluster's page that is open, and reads it.
pub(crate) async fn share(browser: &Browser, role: &str) -> Result<String> {
    browser.click("link", "Share links").await?;
    browser.click("link", "Share").await?;
    browser.select("Role", role).await?;
    browser.click("button", "Create link").await?;
    browser.find("textbox", "Share link").await?.value().await
}

/// Grants a role in namespaces, or on the whole cluster where none is named, on the access page that is open.
pub(crate) async fn grant(
    browser: &Browser,
    kind: &str,
    name: &str,
    role: &str,
    namespaces: &str,
    expires: &str,
) -> Result<()> {
    browser.select("Kind", kind).await?;
    browser.fill("Name", name).await?;
    browser.select("Role", role).await?;
    if !namespaces.is_empty() {
        browser.select("Where", "Namespaces").await?;
        browser.find("combobox", "Namespaces").await?.fill(namespaces).await?;
    }
    browser.select("Expires", expires).await?;
    browser.click("button", "Grant").await?;
    row(browser, name).await.map(drop)
}

/// Waits for the row of a table that begins with this name.
pub(crate) async fn row<'a>(browser: &'a Browser, name: &str) -> Result<Element<'a>> {
    eventually(&format!("the row of {name}"), PATIENCE, async || {
        for row in browser.find_all("row", None).await? {
            let head = row.find_all("rowheader", None).await?;
            if head.iter().any(|head| head.name == name || head.name.starts_with(&format!("{name} "))) {
                return Ok(row);
            }
        }
        bail!("there is none")
    })
    .await
}
