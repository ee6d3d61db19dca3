//! One thing on a page.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Browser, PATIENCE};
use crate::eventually;

/// WebDriver's key for references to elements.
const REFERENCE: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A thing on the page that was current when it was found.
#[derive(Clone)]
pub struct Element<'a> {
    pub(super) browser: &'a Browser,
    pub(super) id: String,
    /// Its accessible name.
    pub name: String,
    /// Its role.
    pub role: String,
}

impl std::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} \"{}\"", self.role, self.name)
    }
}

impl<'a> Element<'a> {
    /// The one thing with this role and accessible name within it.
    pub async fn find(&self, role: &str, name: &str) -> Result<Element<'a>> {
        let mut found = self.find_all(role, Some(name)).await?;
        ensure!(found.len() == 1, "{} of {role} {name:?} in {self:?}", found.len());
        Ok(found.swap_remove(0))
    }

    /// All things with this role (and name) within it.
    pub async fn find_all(&self, role: &str, name: Option<&str>) -> Result<Vec<Element<'a>>> {
        let (prefix, number) = self.id.rsplit_once('.').context("the form of an element's id")?;
        let number: i64 = number.parse().context("an element has a number")?;
        self.browser.below(prefix, number, role, name).await
    }

    /// Clicks it as a person does: scrolled into view, in its middle, and not when something lies over it. Waits for the page
    /// that the click opens.
    pub async fn click(&self) -> Result<()> {
        self.post("click", json!({})).await.map(drop)
    }

    /// Clicks what leads to another page, and waits until that is there. A click alone may come back while the old page still
    /// stands.
    pub async fn follow(&self) -> Result<()> {
        self.browser.execute("window.isLeft = true", Vec::new()).await?;
        self.click().await?;
        let there = "return !window.isLeft && document.readyState === 'complete'";
        eventually("another page", PATIENCE, || async {
            ensure!(self.browser.execute(there, Vec::new()).await? == true, "the page is still the one that was left");
            Ok(())
        })
        .await
    }

    /// Replaces what a text field holds, as somebody does who pastes: key by key a kubeconfig would take the browser seconds.
    pub async fn fill(&self, text: &str) -> Result<()> {
        self.post("clear", json!({})).await?;
        self.click().await?;
        self.browser.cdp("Input.insertText", json!({ "text": text })).await.map(drop)
    }

    /// Types, after what is there. For a file field: the path of the file.
    pub async fn type_keys(&self, text: &str) -> Result<()> {
        self.post("value", json!({ "text": text })).await.map(drop)
    }

    /// The text that is visible in it.
    pub async fn text(&self) -> Result<String> {
        Ok(string(self.get("text").await?))
    }

    /// An attribute of its tag.
    pub async fn attribute(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get(&format!("attribute/{name}")).await?.as_str().map(str::to_owned))
    }

    /// What a field holds now.
    pub async fn value(&self) -> Result<String> {
        Ok(string(self.get("property/value").await?))
    }

    /// Is the box or radio button on?
    pub async fn is_checked(&self) -> Result<bool> {
        Ok(self.get("selected").await?.as_bool().unwrap_or_default())
    }

    /// Can it be used?
    pub async fn is_enabled(&self) -> Result<bool> {
        Ok(self.get("enabled").await?.as_bool().unwrap_or_default())
    }

    /// Chooses an option of a select by its words.
    pub async fn select(&self, option: &str) -> Result<()> {
        let path = format!(".//option[normalize-space(.)={}]", quoted(option));
        let found = self.post("element", json!({ "using": "xpath", "value": path })).await;
        let found = found.with_context(|| format!("{self:?} has no option {option:?}"))?;
        let id = reference(&found)?;
        self.browser.driver.post(&format!("element/{id}/click"), json!({})).await.map(drop)
    }

    /// The words of a select's options.
    pub async fn options(&self) -> Result<Vec<String>> {
        let found = self.post("elements", json!({ "using": "css selector", "value": "option" })).await?;
        let mut options = Vec::new();
        for option in found.as_array().into_iter().flatten() {
            let path = format!("element/{}/text", reference(option)?);
            options.push(string(self.browser.driver.get(&path).await?));
        }
        Ok(options)
    }

    async fn get(&self, what: &str) -> Result<Value> {
        let path = format!("element/{}/{what}", self.id);
        self.browser.driver.get(&path).await.with_context(|| format!("{what} of {self:?}"))
    }

    async fn post(&self, what: &str, body: Value) -> Result<Value> {
        let path = format!("element/{}/{what}", self.id);
        self.browser.driver.post(&path, body).await.with_context(|| format!("{what} of {self:?}"))
    }
}

/// The id in WebDriver's reference to an element.
pub(super) fn reference(value: &Value) -> Result<String> {
    Ok(value[REFERENCE].as_str().context("a reference to an element")?.to_owned())
}

fn string(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A string in `XPath`, which has no escapes, so a text with both kinds of quotes cannot be written.
fn quoted(text: &str) -> String {
    if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") }
}
