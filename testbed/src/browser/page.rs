//! Finding things on a page by role and accessible name, and using them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Browser, PATIENCE,
    driver::is_stale,
    element::{Element, reference},
};
use crate::{directory::PASSWORD, eventually};

/// What has a role (and a name) as the browser's accessibility tree has them, once the page is whole: half of one has too little, and
/// a field that is asked before its list is there stays without it. The page is asked for them and not the browser's protocol,
/// which gives the whole tree and takes five times as long.
const ALIKE: &str = "const [top, role, name] = arguments;
    if (document.readyState !== 'complete') return null;
    const alike = e => e.computedRole === role && (name === null || e.computedName === name);
    return Array.from((top ?? document).querySelectorAll('*')).filter(alike).map(e => [e, e.computedName]);";

impl Browser {
    /// Waits for the one thing with this role and accessible name (ARIA's words: `link`, `button`, `textbox`, `combobox`,
    /// `heading`, `radio`, `checkbox`, `region`, …).
    pub async fn find(&self, role: &str, name: &str) -> Result<Element<'_>> {
        let what = format!("{role} {name:?}");
        let found = eventually(&what, PATIENCE, || async {
            let mut found = self.find_all(role, Some(name)).await?;
            match found.len() {
                0 => bail!("there is none"),
                1 => Ok(found.swap_remove(0)),
                several => bail!("there are {several}"),
            }
        });
        match found.await {
            Ok(found) => Ok(found),
            Err(error) => Err(error.context(self.describe().await)),
        }
    }

    /// All things with this role (and name) that are there now, in the order of the page.
    pub async fn find_all(&self, role: &str, name: Option<&str>) -> Result<Vec<Element<'_>>> {
        self.below(Value::Null, role, name).await
    }

    /// All things with this role (and name) below an element, or on the page.
    pub(super) async fn below(&self, top: Value, role: &str, name: Option<&str>) -> Result<Vec<Element<'_>>> {
        let arguments = vec![top, json!(role), json!(name)];
        let found = eventually("the whole page", PATIENCE, || async {
            match self.execute(ALIKE, arguments.clone()).await {
                Ok(Value::Null) => bail!("it is on its way"),
                // An element that went does not come back.
                answer => Ok(answer),
            }
        });
        let found = found.await??;
        let found = found.as_array().context("a list of what is alike")?.iter().map(|one| {
            let name = one[1].as_str().unwrap_or_default().to_owned();
            Ok(Element { browser: self, id: reference(&one[0])?, name, role: role.to_owned() })
        });
        found.collect()
    }

    /// Is there such a thing now?
    pub async fn has(&self, role: &str, name: &str) -> Result<bool> {
        Ok(!self.find_all(role, Some(name)).await?.is_empty())
    }

    /// Waits until there is no such thing.
    pub async fn gone(&self, role: &str, name: &str) -> Result<()> {
        eventually(&format!("no {role} {name:?}"), PATIENCE, || async {
            ensure!(!self.has(role, name).await?, "it is still there");
            Ok(())
        })
        .await
    }

    /// Finds and clicks.
    pub async fn click(&self, role: &str, name: &str) -> Result<()> {
        self.use_current(role, name, async |found| found.click().await).await
    }

    /// Finds what leads to another page, clicks, and waits until that page is there.
    pub async fn follow(&self, role: &str, name: &str) -> Result<()> {
        self.use_current(role, name, async |found| found.follow().await).await
    }

    /// Fills the text field with this label.
    pub async fn fill(&self, label: &str, text: &str) -> Result<()> {
        self.use_current("textbox", label, async |found| found.fill(text).await).await
    }

    /// Chooses an option of the select with this label.
    pub async fn select(&self, label: &str, option: &str) -> Result<()> {
        self.use_current("combobox", label, async |found| found.select(option).await).await
    }

    /// Finds a thing and uses it; once more where the page put another in its place in between, since then nothing was done.
    async fn use_current(&self, role: &str, name: &str, act: impl AsyncFn(&Element<'_>) -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = act(&self.find(role, name).await?).await;
            match done {
                Err(error) if is_stale(&error) && Instant::now() < deadline => {}
                done => return done,
            }
        }
    }

    /// The text that is visible on the page, without empty lines, as the browser itself has it: `WebDriver`'s own way asks each
    /// element for its style, and takes ten times as long.
    pub async fn text(&self) -> Result<String> {
        let text = self.execute("return document.body ? document.body.innerText : ''", Vec::new()).await?;
        let lines = text.as_str().unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Waits until the page says this.
    pub async fn see(&self, words: &str) -> Result<()> {
        self.see_within(words, PATIENCE).await
    }

    /// Waits this long at most until the page says this.
    pub async fn see_within(&self, words: &str, within: Duration) -> Result<()> {
        let what = format!("the words {words:?}");
        let seen = eventually(&what, within, || async {
            ensure!(self.text().await?.contains(words), "the page does not say so");
            Ok(())
        });
        match seen.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.describe().await)),
        }
    }

    /// Waits until the address satisfies this.
    pub async fn wait_for_url(&self, is_right: impl Fn(&str) -> bool) -> Result<String> {
        eventually("an address", PATIENCE, || async {
            let url = self.url().await?;
            ensure!(is_right(&url), "the address is {url}");
            Ok(url)
        })
        .await
    }

    /// Fills Dex's sign-in form, with the usual password, and waits until Dex is left or shows its next page.
    pub async fn sign_in_at_dex(&self, email: &str) -> Result<()> {
        self.sign_in_at_dex_with(email, PASSWORD).await
    }

    /// The same with any password.
    pub async fn sign_in_at_dex_with(&self, email: &str, password: &str) -> Result<()> {
        // Dex's label points nowhere: the field's name is its placeholder.
        self.fill("email", email).await?;
        self.fill("Password", password).await?;
        self.click("button", "Login").await
    }

    /// Where the browser is and what it shows, for an error.
    async fn describe(&self) -> String {
        let url = self.url().await.unwrap_or_default();
        let text = self.text().await.unwrap_or_default();
        let start: String = text.chars().take(1500).collect();
        format!("the browser is at {url} and shows:\n{start}\n(end of the page)")
    }
}
