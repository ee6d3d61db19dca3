//! A real browser, headless, with a profile of its own.
//!
//! Things are found by role and accessible name, as the browser's own accessibility tree has them: what a screen reader
//! cannot find, a test cannot find either. Nothing sleeps: looking for something waits until it is there, up to a bound.

mod axe;
mod driver;
mod element;
mod page;
mod profile;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

pub use axe::{Violation, axe_source};
use driver::Driver;
pub use element::Element;
use profile::Profile;

/// How long to wait for something on a page.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Which colours the page is told that the person prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorScheme {
    /// Dark on light.
    #[default]
    Light,
    /// Light on dark.
    Dark,
}

/// What kind of browser.
#[derive(Debug, Clone)]
pub struct BrowserOptions {
    /// Do pages' scripts run?
    pub javascript: bool,
    /// Is it Chromium's headless shell, the engine with nothing of the program around it? It shows pages as the browser does for a
    /// fifth less work, and knows neither downloads nor settings, so that it always runs scripts.
    pub shell: bool,
    /// Preferred colours.
    pub color_scheme: ColorScheme,
    /// Size of the viewport in CSS pixels.
    pub viewport: (u32, u32),
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self { javascript: true, shell: false, color_scheme: ColorScheme::Light, viewport: (1440, 900) }
    }
}

impl BrowserOptions {
    /// A browser in which scripts are switched off.
    pub fn without_javascript() -> Self {
        Self { javascript: false, ..Self::default() }
    }

    /// What is enough to look at pages, and to press and fill what is on them.
    pub fn for_pages() -> Self {
        Self { shell: true, ..Self::default() }
    }
}

/// A running browser with one window.
pub struct Browser {
    driver: Driver,
    /// Taken when the browser goes.
    profile: Option<Profile>,
    downloads: PathBuf,
}

impl Browser {
    /// Starts a browser as most people have it.
    pub async fn start() -> Result<Self> {
        Self::with(BrowserOptions::default()).await
    }

    /// Starts a browser. Another test may have used its processes before; nothing of that is left in it.
    pub async fn with(options: BrowserOptions) -> Result<Self> {
        let profile = Profile::take(&options).await?;
        let browser =
            Self { driver: profile.driver()?, downloads: profile.downloads().to_owned(), profile: Some(profile) };
        browser.set_viewport(options.viewport.0, options.viewport.1).await?;
        browser.set_color_scheme(options.color_scheme).await?;
        Ok(browser)
    }

    /// Makes it as it is for the next one who uses it: its windows closed but for a new one, and all forgotten that sites left.
    pub async fn renew(&self) -> Result<()> {
        self.profile.as_ref().context("a browser is there until it is dropped")?.renew().await
    }

    /// Opens an address and waits until it is loaded.
    pub async fn goto(&self, url: &str) -> Result<()> {
        self.driver.post("url", json!({ "url": url })).await.with_context(|| format!("open {url}")).map(drop)
    }

    /// The address that the window shows.
    pub async fn url(&self) -> Result<String> {
        Ok(self.driver.get("url").await?.as_str().unwrap_or_default().to_owned())
    }

    /// The page's title.
    pub async fn title(&self) -> Result<String> {
        Ok(self.driver.get("title").await?.as_str().unwrap_or_default().to_owned())
    }

    /// The page's source as the browser has it now.
    pub async fn source(&self) -> Result<String> {
        Ok(self.driver.get("source").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Presses Back.
    pub async fn back(&self) -> Result<()> {
        self.driver.post("back", json!({})).await.map(drop)
    }

    /// Loads the page again.
    pub async fn reload(&self) -> Result<()> {
        self.driver.post("refresh", json!({})).await.map(drop)
    }

    /// The cookies of the page's site, as WebDriver describes them.
    pub async fn cookies(&self) -> Result<Vec<Value>> {
        Ok(self.driver.get("cookie").await?.as_array().cloned().unwrap_or_default())
    }

    /// Opens a tab and makes it the current one; returns the handles of the former tab and of the new one.
    pub async fn new_tab(&self) -> Result<(String, String)> {
        let former = self.driver.get("window").await?;
        let new = self.driver.post("window/new", json!({ "type": "tab" })).await?;
        let handles = (former.as_str().context("a handle")?, new["handle"].as_str().context("a handle")?);
        self.switch_tab(handles.1).await?;
        Ok((handles.0.to_owned(), handles.1.to_owned()))
    }

    /// Makes a tab the current one.
    pub async fn switch_tab(&self, handle: &str) -> Result<()> {
        self.driver.post("window", json!({ "handle": handle })).await.map(drop)
    }

    /// Runs a script in the page and returns its value (`return …`).
    pub async fn execute(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        self.driver.post("execute/sync", json!({ "script": script, "args": arguments })).await
    }

    /// Sends a command of the browser's own protocol (Chrome `DevTools`).
    pub async fn cdp(&self, command: &str, parameters: Value) -> Result<Value> {
        self.driver.cdp(command, parameters).await
    }

    /// Makes the viewport exactly this large, also narrower than a window may be.
    pub async fn set_viewport(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await.map(drop)
    }

    /// Tells pages which colours the person prefers.
    pub async fn set_color_scheme(&self, scheme: ColorScheme) -> Result<()> {
        let value = match scheme {
            ColorScheme::Light => "light",
            ColorScheme::Dark => "dark",
        };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.cdp("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// A picture of the whole page, PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.cdp("Page.captureScreenshot", options).await?;
        Ok(BASE64.decode(picture["data"].as_str().context("a screenshot has data")?)?)
    }

    /// Writes a picture of the whole page to a file.
    pub async fn screenshot_to(&self, file: &Path) -> Result<()> {
        fs::write(file, self.screenshot().await?).with_context(|| format!("write {}", file.display()))
    }

    /// Waits until a download is complete and returns its file.
    pub async fn download(&self) -> Result<PathBuf> {
        let shell = self.profile.as_ref().is_some_and(Profile::is_shell);
        ensure!(!shell, "a headless shell saves nothing: take a whole browser");
        crate::eventually("a download", PATIENCE, || async {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.downloads)? {
                files.push(entry?.path());
            }
            let partial = |file: &PathBuf| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                name.ends_with(".crdownload") || name.starts_with(".org.chromium")
            };
            match files.as_slice() {
                [] => bail!("nothing is downloaded"),
                files if files.iter().any(partial) => bail!("a download goes on"),
                [file] => Ok(file.clone()),
                several => bail!("several files: {several:?}; take each with take_download"),
            }
        })
        .await
    }

    /// Waits for a download, returns its name and content, and removes it, so that the next one can be told apart.
    pub async fn take_download(&self) -> Result<(String, String)> {
        let file = self.download().await?;
        let content = fs::read_to_string(&file)?;
        fs::remove_file(&file)?;
        Ok((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), content))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(profile) = self.profile.take() {
            profile.rest();
        }
    }
}
