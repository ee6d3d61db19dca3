//! A real browser, headless, with a profile of its own.
//!
//! Things are found by role and accessible name, as the browser's own accessibility tree has them: what a screen reader
//! cannot find, a test cannot find either. Nothing sleeps: looking for something waits until it is there, up to a bound.

mod axe;
mod driver;
mod element;
mod page;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

pub use axe::{Violation, axe_source};
use driver::Driver;
pub use element::Element;

use crate::{
    process::{Child, Command},
    run::{self, Passing},
    system,
};

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
    /// Preferred colours.
    pub color_scheme: ColorScheme,
    /// Size of the viewport in CSS pixels.
    pub viewport: (u32, u32),
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self { javascript: true, color_scheme: ColorScheme::Light, viewport: (1440, 900) }
    }
}

impl BrowserOptions {
    /// A browser in which scripts are switched off.
    pub fn without_javascript() -> Self {
        Self { javascript: false, ..Self::default() }
    }
}

/// A running browser with one window.
pub struct Browser {
    driver: Driver,
    downloads: PathBuf,
    _child: Child,
    // After the child: a profile takes tens of MB, and there are many browsers.
    _folders: [Passing; 2],
}

impl Browser {
    /// Starts a browser as most people have it.
    pub async fn start() -> Result<Self> {
        Self::with(BrowserOptions::default()).await
    }

    /// Starts a browser.
    pub async fn with(options: BrowserOptions) -> Result<Self> {
        let folders = [run::passing_folder("browser")?, run::passing_folder("t")?];
        let [folder, temporary] = folders.each_ref().map(Passing::path);
        let downloads = folder.join("downloads");
        fs::create_dir(&downloads)?;
        let child = Command::new(system::chromedriver()?)
            .arg("--port=0")
            .env("HOME", folder)
            .env("TMPDIR", temporary)
            .dir(folder)
            .spawn("chromedriver")?;
        let port = child.until_ready(Duration::from_secs(20), || async { announced_port(&child) }).await?;
        let capabilities = capabilities(&options, folder, &downloads)?;
        let driver = Driver::new_session(port, capabilities).await.map_err(|error| child.explain(error))?;
        let browser = Self { driver, downloads, _child: child, _folders: folders };
        browser.set_viewport(options.viewport.0, options.viewport.1).await?;
        browser.set_color_scheme(options.color_scheme).await?;
        Ok(browser)
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
        let body = json!({ "cmd": command, "params": parameters });
        self.driver.post("goog/cdp/execute", body).await.with_context(|| format!("send {command}"))
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

fn announced_port(child: &Child) -> Result<u16> {
    let log = child.log_tail(20);
    let port = log.split_once("started successfully on port ").context("chromedriver says no port yet")?.1;
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

fn capabilities(options: &BrowserOptions, folder: &Path, downloads: &Path) -> Result<Value> {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
        "--disable-default-apps",
        "--disable-breakpad",
        "--disable-renderer-backgrounding",
        // A page that was left is not kept, and no process is started for one that may come.
        "--disable-features=BackForwardCache,SpareRendererForSitePerProcess,Translate,OptimizationHints,MediaRouter,PaintHolding",
        "--disk-cache-size=1048576",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--lang=en-GB",
        // Things are found by the accessibility tree: without this it is made anew for each question, and now and then the
        // question waits for a frame that nothing on the page asks for.
        "--force-renderer-accessibility",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", folder.join("profile").display()));
    let mut preferences = json!({
        "download.default_directory": downloads,
        "download.prompt_for_download": false,
        "credentials_enable_service": false,
        "profile.password_manager_leak_detection": false,
    });
    if !options.javascript {
        preferences["profile.managed_default_content_settings.javascript"] = 2.into();
    }
    Ok(json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "timeouts": { "pageLoad": 30_000, "script": 30_000 },
        "goog:chromeOptions": {
            "binary": system::chromium()?,
            "args": arguments,
            "prefs": preferences,
        },
    }}}))
}
