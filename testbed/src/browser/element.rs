//! One thing on a page.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Browser, PATIENCE};
use crate::eventually;

/// WebDriver's key for references to elements.
const REFERENCE: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Brings the middle of what can be seen of it into view, as WebDriver's "in-view center point" has it, and says what lies over it
/// there. Marks the page, for whoever waits until it is left. WebDriver's own command for a click asks the page ten questions more,
/// which is half of a click.
const AIM: &str = "const [e] = arguments;
    const middle = () => {
        const box = e.getClientRects()[0];
        if (!box) return null;
        const x = (Math.max(0, box.left) + Math.min(innerWidth, box.right)) / 2;
        const y = (Math.max(0, box.top) + Math.min(innerHeight, box.bottom)) / 2;
        return x < 0 || y < 0 || x >= innerWidth || y >= innerHeight ? null : document.elementFromPoint(x, y);
    };
    if (!e.contains(middle())) e.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
    window.isLeft = true;
    const there = middle();
    return e.contains(there) ? null : there ? 'over it lies ' + there.outerHTML.slice(0, 200) : 'nothing of it can be seen';";

/// Goes into a text field with all that it holds selected.
const ENTER: &str = "const [e] = arguments;
    if (e.matches(':disabled, :read-only')) return 'nothing can be written in it';
    e.focus();
    e.select();
    return document.activeElement === e ? null : 'the focus does not go there';";

/// Chooses an option, with the events of one that is clicked (WebDriver, "Element Click").
const CHOOSE: &str = "const [e, words] = arguments;
    const options = Array.from(e.options).filter(option => option.text === words);
    if (options.length !== 1) return 'of such options there are ' + options.length;
    const [option] = options;
    if (e.matches(':disabled') || option.matches(':disabled')) return 'it cannot be chosen';
    e.focus();
    if (option.selected) return null;
    option.selected = true;
    for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, { bubbles: true }));
    return null;";

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
        self.browser.below(self.reference(), role, name).await
    }

    /// Clicks it as a person does: scrolled into view, in its middle, and not when something lies over it. Waits for the page
    /// that the click opens.
    pub async fn click(&self) -> Result<()> {
        self.prepare(AIM, Vec::new()).await.with_context(|| format!("click {self:?}"))?;
        let middle = json!({ "type": "pointerMove", "duration": 0, "origin": self.reference(), "x": 0, "y": 0 });
        let press =
            [middle, json!({ "type": "pointerDown", "button": 0 }), json!({ "type": "pointerUp", "button": 0 })];
        let mouse =
            json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": press });
        let clicked = self.browser.driver.post("actions", json!({ "actions": [mouse] })).await;
        clicked.with_context(|| format!("click {self:?}")).map(drop)
    }

    /// Clicks what leads to another page, and waits until that is there. A click alone may come back while the old page still
    /// stands.
    pub async fn follow(&self) -> Result<()> {
        self.click().await?;
        let there = "return !window.isLeft && document.readyState === 'complete'";
        eventually("another page", PATIENCE, || async {
            ensure!(self.browser.execute(there, Vec::new()).await? == true, "the page is still the one that was left");
            Ok(())
        })
        .await
    }

    /// Replaces what a text field holds, as somebody does who comes by keyboard and pastes: key by key a kubeconfig would take
    /// the browser seconds.
    pub async fn fill(&self, text: &str) -> Result<()> {
        self.prepare(ENTER, Vec::new()).await.with_context(|| format!("fill {self:?}"))?;
        self.browser.cdp("Input.insertText", json!({ "text": text })).await.map(drop)
    }

    /// Types, after what is there. For a file field: the path of the file.
    pub async fn type_keys(&self, text: &str) -> Result<()> {
        self.post("value", json!({ "text": text })).await.map(drop)
    }

    /// The text that is visible in it, with its lines as they stand.
    pub async fn text(&self) -> Result<String> {
        Ok(self.ask("return arguments[0].innerText.trim()").await?.as_str().unwrap_or_default().to_owned())
    }

    /// An attribute of its tag.
    pub async fn attribute(&self, name: &str) -> Result<Option<String>> {
        let script = "return arguments[0].getAttribute(arguments[1])";
        let value = self.browser.execute(script, vec![self.reference(), json!(name)]).await?;
        Ok(value.as_str().map(str::to_owned))
    }

    /// What a field holds now.
    pub async fn value(&self) -> Result<String> {
        Ok(self.ask("return arguments[0].value").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Is the box or radio button on?
    pub async fn is_checked(&self) -> Result<bool> {
        Ok(self.ask("return arguments[0].checked").await? == true)
    }

    /// Can it be used?
    pub async fn is_enabled(&self) -> Result<bool> {
        Ok(self.ask("return !arguments[0].matches(':disabled')").await? == true)
    }

    /// Chooses an option of a select by its words.
    pub async fn select(&self, option: &str) -> Result<()> {
        self.prepare(CHOOSE, vec![json!(option)]).await.with_context(|| format!("choose {option:?} in {self:?}"))
    }

    /// The words of a select's options.
    pub async fn options(&self) -> Result<Vec<String>> {
        let options = self.ask("return Array.from(arguments[0].options, option => option.text)").await?;
        Ok(serde_json::from_value(options)?)
    }

    /// Runs a script with it as first argument.
    async fn ask(&self, script: &str) -> Result<Value> {
        let answer = self.browser.execute(script, vec![self.reference()]).await;
        answer.with_context(|| format!("ask {self:?}"))
    }

    /// Runs a script with it as first argument, that says what is in the way of using it, or nothing.
    async fn prepare(&self, script: &str, mut arguments: Vec<Value>) -> Result<()> {
        arguments.insert(0, self.reference());
        let obstacle = self.browser.execute(script, arguments).await?;
        ensure!(obstacle.is_null(), "{}", obstacle.as_str().unwrap_or("the page's script says nonsense"));
        Ok(())
    }

    fn reference(&self) -> Value {
        json!({ REFERENCE: self.id })
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
