//! axe-core, the accessibility checker, run inside the page.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

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
        self.execute(&format!("{}; return null", axe_source()?), Vec::new()).await.context("load axe-core")?;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] })
                .then(result => done(result.violations), error => done(String(error)));";
        let result = self.driver.post("execute/async", json!({ "script": script, "args": [] })).await?;
        serde_json::from_value(result.clone()).with_context(|| format!("axe-core said {result}"))
    }
}
