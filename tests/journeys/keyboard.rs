//! The way from a share link to a kubeconfig, with nothing but a keyboard.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use testbed::{Browser, browser::PATIENCE, directory::PASSWORD, eventually};

use crate::browser::{checked, owner, share, turn};
use crate::flows::house::{Database, House, connect};

/// More stops than any page on the way has.
const STOPS: usize = 30;

/// Presses a key, and types what it stands for.
async fn press(browser: &Browser, key: &str, code: u32, text: &str) -> Result<()> {
    for kind in ["keyDown", "keyUp"] {
        let mut event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
        if kind == "keyDown" && !text.is_empty() {
            event["text"] = text.into();
        }
        browser.cdp("Input.dispatchKeyEvent", event).await?;
    }
    Ok(())
}

/// What has the focus, as a person sees it; it must be visible that it has.
async fn focused(browser: &Browser) -> Result<String> {
    let script = "const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
        if (e === document.body) return '';
        const ring = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && r.width > 1 && r.bottom > 0;
        return (ring ? '' : 'invisible: ') + (e.innerText || e.getAttribute('aria-label') || e.name || e.tagName).trim();";
    Ok(browser.execute(script, vec![]).await?.as_str().unwrap_or_default().to_owned())
}

/// The type of the field that has the focus.
async fn focused_field(browser: &Browser) -> Result<String> {
    let script = "return document.activeElement.type || '';";
    Ok(browser.execute(script, vec![]).await?.as_str().unwrap_or_default().to_owned())
}

/// Presses Tab until the thing of this name has the focus.
async fn tab_to(browser: &Browser, name: &str) -> Result<()> {
    let mut seen = Vec::new();
    for _ in 0..STOPS {
        press(browser, "Tab", 9, "").await?;
        let at = focused(browser).await?;
        ensure!(!at.starts_with("invisible"), "the focus cannot be seen: {at}");
        if at == name {
            return Ok(());
        }
        seen.push(at);
    }
    bail!("Tab never came to {name:?} but to {seen:?}")
}

async fn enter(browser: &Browser) -> Result<()> {
    press(browser, "Enter", 13, "\r").await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_link_to_the_kubeconfig_by_keyboard() -> Result<()> {
    let _turn = turn().await?;
    let house = House::open(Database::Sqlite).await?;
    let alice = owner(&house, testbed::BrowserOptions::default()).await?;
    alice.click("link", "Add cluster").await?;
    alice.fill("Name", "staging").await?;
    alice.fill("Kubeconfig", &connect(house.bed.staging().await?).await?).await?;
    alice.click("button", "Add cluster").await?;
    checked(&alice).await?;
    let link = share(&alice, "view").await?;
    drop(alice);

    let bob = house.bed.hire("bob", &[]).await?.email;
    let browser = Browser::start().await?;
    browser.goto(&link).await?;
    tab_to(&browser, "Skip to the content").await?;
    enter(&browser).await?;
    tab_to(&browser, "Sign in to accept").await?;
    enter(&browser).await?;
    // Dex puts the focus into its first field; its own marks of focus are not ours to judge.
    browser.find("textbox", "email").await?;
    eventually("the first field to have the focus", PATIENCE, async || {
        let at = focused_field(&browser).await?;
        ensure!(at == "text", "the focus is on {at:?}");
        Ok(())
    })
    .await?;
    browser.cdp("Input.insertText", json!({ "text": bob })).await?;
    press(&browser, "Tab", 9, "").await?;
    ensure!(focused_field(&browser).await? == "password", "Tab leads from the email to the password");
    browser.cdp("Input.insertText", json!({ "text": PASSWORD })).await?;
    enter(&browser).await?;
    browser.find("button", "Accept").await?;
    tab_to(&browser, "Accept").await?;
    enter(&browser).await?;
    browser.find("region", "Connection test").await?;
    tab_to(&browser, "Download kubeconfig").await?;
    enter(&browser).await?;
    let (_, kubeconfig) = browser.take_download().await.context("the file")?;
    testbed::Kubectl::with_text(&kubeconfig)?.run(&["get", "pods", "-A"]).await?.ok().map(drop)
}
