//! axe-core, the accessibility checker, run inside the page.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Browser;
use crate::programs::Programs;

/// A rule that a page breaks.
#[derive(Debug, Clone, Deserialize)]
pub struct Violation {
    /// The rule.
    pub id: String,
    /// How bad it is.
    pub impact: Option<String>,
    /// What to do.
    pub help: String,
    /// Where.
    pub nodes: Vec<Place>,
}

/// An element that breaks a rule.
#[derive(Debug, Clone, Deserialize)]
pub struct Place {
    /// The element's source.
    pub html: String,
    /// What is wrong with it.
    #[serde(rename = "failureSummary", default)]
    pub summary: String,
}

/// axe-core's script.
pub fn axe_source() -> Result<String> {
    let file = Programs::get()?.axe();
    fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
}

impl Browser {
    /// What axe-core finds wrong with the page as it is now. Its script comes in through the driver, past the page's
    /// Content-Security-Policy.
    pub async fn axe(&self) -> Result<Vec<Violation>> {
        self.axe_with(json!({})).await
    }

    /// The same of what colours can break alone: the rest of a page is the same in each colour scheme.
    pub async fn axe_of_colors(&self) -> Result<Vec<Violation>> {
        self.axe_with(json!({ "runOnly": ["color-contrast", "link-in-text-block"] })).await
    }

    async fn axe_with(&self, mut options: Value) -> Result<Vec<Violation>> {
        // Half a megabyte: once for a page, however often it is asked. Given as a script of its own and not within WebDriver's, the
        // browser remembers from the page before what it made of it.
        if self.execute("return typeof axe", Vec::new()).await? == "undefined" {
            let script = json!({ "expression": format!("{}; undefined", axe_source()?) });
            self.cdp("Runtime.evaluate", script).await.context("load axe-core")?;
        }
        options["resultTypes"] = json!(["violations"]);
        // There is nothing to fetch beforehand, and the page's policy would refuse it.
        options["preload"] = json!(false);
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, arguments[0])
                .then(result => done(result.violations), error => done(String(error)));";
        let result = self.driver.post("execute/async", json!({ "script": script, "args": [options] })).await?;
        serde_json::from_value(result.clone()).with_context(|| format!("axe-core said {result}"))
    }
}
