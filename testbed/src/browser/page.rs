//! Finding things on a page by role and accessible name, and using them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    Browser, PATIENCE,
    element::{Element, reference},
};
use crate::{directory::PASSWORD, eventually};

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
        // What asks the browser past WebDriver must not meet a page that is on its way: WebDriver's own command comes first,
        // since it waits for that.
        let prefix = self.prefix().await?;
        let document = self.cdp("DOM.getDocument", json!({ "depth": 0 })).await?;
        let found = self.below(&prefix, &document["root"]["backendNodeId"], role, name).await?;
        ensure!(self.prefix().await? == prefix, "the page went while it was looked at");
        Ok(found)
    }

    /// All things with this role (and name) below a node, by the number that the browser's protocol has for it.
    pub(super) async fn below(
        &self,
        prefix: &str,
        node: &Value,
        role: &str,
        name: Option<&str>,
    ) -> Result<Vec<Element<'_>>> {
        let mut query = json!({ "backendNodeId": node, "role": role });
        if let Some(name) = name {
            query["accessibleName"] = name.into();
        }
        let answer = self.cdp("Accessibility.queryAXTree", query).await?;
        let nodes = answer["nodes"].as_array().into_iter().flatten();
        let visible = nodes.filter(|node| node["ignored"] != Value::Bool(true));
        let elements = visible.filter_map(|node| {
            Some(Element {
                browser: self,
                id: format!("{prefix}.{}", node["backendDOMNodeId"].as_i64()?),
                name: node["name"]["value"].as_str().unwrap_or_default().to_owned(),
                role: role.to_owned(),
            })
        });
        Ok(elements.collect())
    }

    /// An element's id in WebDriver ends in the number that the browser's protocol has for its node. The root's id shows what
    /// comes before it in this document.
    async fn prefix(&self) -> Result<String> {
        let root = self.driver.post("element", json!({ "using": "css selector", "value": ":root" })).await?;
        let root = reference(&root)?;
        let (prefix, _) = root.rsplit_once('.').context("the form of an element's id")?;
        Ok(prefix.to_owned())
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
        self.find(role, name).await?.click().await
    }

    /// Fills the text field with this label.
    pub async fn fill(&self, label: &str, text: &str) -> Result<()> {
        self.find("textbox", label).await?.fill(text).await
    }

    /// Chooses an option of the select with this label.
    pub async fn select(&self, label: &str, option: &str) -> Result<()> {
        self.find("combobox", label).await?.select(option).await
    }

    /// The text that is visible on the page.
    pub async fn text(&self) -> Result<String> {
        let body = self.driver.post("element", json!({ "using": "css selector", "value": "body" })).await?;
        let text = self.driver.get(&format!("element/{}/text", reference(&body)?)).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
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
