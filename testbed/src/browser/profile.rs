//! Browsers that are used by one test after the other.
//!
//! To start one takes the machine as long as some thirty pages. So a browser that a test is done with closes its windows, forgets
//! all that sites left in it, and is handed to the next one, whose first page is its first.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{BrowserOptions, driver::Driver};
use crate::{
    process::{Child, Command},
    run::{self, Passing},
    system,
};

/// As many wait for the next test; more are ended, since each holds memory.
const MOST: usize = 6;

static RESTING: Mutex<Vec<Profile>> = Mutex::new(Vec::new());

/// The processes of a browser with what it keeps on the disk.
pub(super) struct Profile {
    /// Where chromedriver has its session.
    session: String,
    options: BrowserOptions,
    downloads: PathBuf,
    _child: Child,
    // After the child: a profile takes tens of MB.
    _folders: [Passing; 2],
}

impl Profile {
    /// One that rests, or a new one.
    pub(super) async fn take(options: &BrowserOptions) -> Result<Self> {
        let rests = {
            let mut resting = resting();
            let alike = resting.iter().position(|profile| profile.is_for(options));
            alike.map(|place| resting.swap_remove(place))
        };
        match rests {
            Some(profile) => Ok(profile),
            None => Self::start(options).await,
        }
    }

    async fn start(options: &BrowserOptions) -> Result<Self> {
        ensure!(
            options.javascript || !options.shell,
            "scripts are switched off in the browser's settings: the shell has none"
        );
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
        let capabilities = capabilities(options, folder, &downloads)?;
        let session = Driver::new_session(port, capabilities).await.map_err(|error| child.explain(error))?;
        Ok(Self { session, options: options.clone(), downloads, _child: child, _folders: folders })
    }

    /// Whether it may be used for that: colours and size are set anew each time.
    fn is_for(&self, options: &BrowserOptions) -> bool {
        self.options.javascript == options.javascript && self.options.shell == options.shell
    }

    /// Whether it is the engine alone.
    pub(super) fn is_shell(&self) -> bool {
        self.options.shell
    }

    /// What speaks to it.
    pub(super) fn driver(&self) -> Result<Driver> {
        Driver::of(&self.session)
    }

    /// Where its downloads go.
    pub(super) fn downloads(&self) -> &Path {
        &self.downloads
    }

    /// Gives it back, for the next test. One that cannot be made as new is ended: it costs the next test the time of a start.
    pub(super) fn rest(self) {
        // Whoever drops a browser cannot wait, and its own runtime may be about to end.
        drop(thread::Builder::new().name("a browser to its rest".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if runtime.is_ok_and(|runtime| runtime.block_on(self.renew()).is_ok()) {
                let mut resting = resting();
                if resting.len() < MOST {
                    resting.push(self);
                }
            }
        }));
    }

    /// Closes its windows and forgets what sites left. One window is there afterwards, a new one without a history.
    pub(super) async fn renew(&self) -> Result<()> {
        let driver = self.driver()?;
        let windows = driver.get("window/handles").await?;
        let new = driver.post("window/new", json!({ "type": "tab" })).await?;
        for window in windows.as_array().into_iter().flatten() {
            driver.post("window", json!({ "handle": window })).await?;
            driver.delete("window").await?;
        }
        driver.post("window", json!({ "handle": new["handle"] })).await?;
        driver.cdp("Storage.clearCookies", json!({})).await?;
        driver.cdp("Storage.clearDataForOrigin", json!({ "origin": "*", "storageTypes": "all" })).await?;
        driver.cdp("Network.clearBrowserCache", json!({})).await?;
        for entry in fs::read_dir(&self.downloads)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

fn resting() -> MutexGuard<'static, Vec<Profile>> {
    RESTING.lock().unwrap_or_else(PoisonError::into_inner)
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
        // A page that was left is not kept, no process is started for one that may come, and none for the address bar's suggestions,
        // which is half of a start.
        "--disable-features=BackForwardCache,SpareRendererForSitePerProcess,WebUIOmniboxPopup,WebUIOmniboxFullPopup,Translate,\
         OptimizationHints,MediaRouter,PaintHolding",
        "--disk-cache-size=1048576",
        // Nobody looks at what is around the page.
        "--kiosk",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--lang=en-GB",
        // Things are found by what the accessibility tree says of them: pages can be asked for that, and the tree is kept, which
        // else is made anew for each question. Roles and names are enough: no lines of text.
        "--enable-blink-features=ComputedAccessibilityInfo",
        "--force-renderer-accessibility=basic",
    ]
    .map(str::to_owned)
    .to_vec();
    if !options.shell {
        arguments.push(format!("--user-data-dir={}", folder.join("profile").display()));
    }
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
            "binary": if options.shell { system::headless_shell()? } else { system::chromium()? },
            "args": arguments,
            "prefs": preferences,
        },
    }}}))
}
