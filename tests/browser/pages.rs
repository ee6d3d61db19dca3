//! What holds for every page, judged by the browser itself: axe-core finds nothing in either colour scheme, a page with its
//! styles stays small, and on a phone nothing makes it scroll sideways. With `KUBELEND_SCREENSHOTS=1` each page is also
//! photographed for `docs/screenshots`: the pictures show what was judged.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use testbed::{Browser, ColorScheme};

/// What a page may weigh with its styles.
const LIMIT: u64 = 60 * 1024;
/// Widths that pages have to do with; a browser begins with the first.
const DESKTOP: u32 = 1440;
const PHONE: u32 = 360;
const SCHEMES: [(ColorScheme, &str); 2] = [(ColorScheme::Light, "light"), (ColorScheme::Dark, "dark")];

/// Looks at pages, and remembers what is wrong with them.
pub(super) struct Studio {
    pictures: Option<PathBuf>,
    /// Which pictures are taken of each page.
    taken: fn(u32, &str) -> bool,
    problems: Vec<String>,
    seen: Vec<String>,
}

impl Studio {
    pub(super) fn new() -> Result<Self> {
        Self::at("docs/screenshots", |_, _| true)
    }

    /// For pages that differ in their words alone.
    pub(super) fn of_words(folder: &str) -> Result<Self> {
        Self::at(folder, |width, scheme| width == DESKTOP && scheme == "light")
    }

    fn at(folder: &str, taken: fn(u32, &str) -> bool) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting of Kubelend")]
        let wanted = std::env::var_os("KUBELEND_SCREENSHOTS").is_some();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        if wanted {
            fs::create_dir_all(&folder)?;
        }
        Ok(Self { pictures: wanted.then_some(folder), taken, problems: Vec::new(), seen: Vec::new() })
    }

    /// Judges the page that the browser shows.
    pub(super) async fn look(&mut self, browser: &Browser, name: &str) -> Result<()> {
        self.judge(browser, name).await.with_context(|| format!("look at {name}"))
    }

    async fn judge(&mut self, browser: &Browser, name: &str) -> Result<()> {
        ensure!(!self.seen.iter().any(|seen| seen == name), "there are two pages {name}");
        self.seen.push(name.to_owned());
        let weight = weight(browser).await?;
        if weight >= LIMIT {
            self.problems.push(format!("{name}: {weight} bytes with its styles"));
        }
        // What is asked is the browser's state already, at first: each change of it draws the page anew.
        self.narrow(browser, name, DESKTOP).await?;
        for (scheme, word) in SCHEMES {
            let broken = match scheme {
                ColorScheme::Light => browser.axe().await?,
                ColorScheme::Dark => {
                    browser.set_color_scheme(scheme).await?;
                    browser.axe_of_colors().await?
                }
            };
            for broken in broken {
                let places: Vec<String> = broken.nodes.iter().map(|n| format!("{} {}", n.html, n.summary)).collect();
                self.problems.push(format!("{name}, {word}: {} ({}): {}", broken.id, broken.help, places.join("; ")));
            }
        }
        browser.set_color_scheme(ColorScheme::Light).await?;
        browser.set_viewport(PHONE, 800).await?;
        self.narrow(browser, name, PHONE).await?;
        browser.set_viewport(DESKTOP, 900).await?;
        self.photograph(browser, name, DESKTOP, 900).await?;
        self.photograph(browser, name, PHONE, 1000).await
    }

    async fn photograph(&self, browser: &Browser, name: &str, width: u32, tallest: u32) -> Result<()> {
        let Some(folder) = &self.pictures else { return Ok(()) };
        browser.set_viewport(width, 800).await?;
        for (scheme, word) in SCHEMES.into_iter().filter(|(_, word)| (self.taken)(width, word)) {
            browser.set_color_scheme(scheme).await?;
            let file = folder.join(format!("{name}-{width}-{word}.png"));
            fs::write(file, picture(browser, width, tallest).await?)?;
        }
        browser.set_viewport(DESKTOP, 900).await?;
        browser.set_color_scheme(ColorScheme::Light).await
    }

    /// What is wider than the window is named, so that it need not be searched for.
    async fn narrow(&mut self, browser: &Browser, name: &str, width: u32) -> Result<()> {
        let script = "if (document.documentElement.scrollWidth <= innerWidth) return null;
            const wide = [...document.querySelectorAll('main *, header *')].filter(e => e.getBoundingClientRect().right > innerWidth);
            return wide.slice(0, 5).map(e => e.outerHTML.slice(0, 120)).join(' | ') || 'something';";
        if let Value::String(wide) = browser.execute(script, vec![]).await? {
            self.problems.push(format!("{name} scrolls sideways at {width}: {wide}"));
        }
        Ok(())
    }

    /// Fails with all that was found.
    pub(super) fn verdict(self) -> Result<()> {
        ensure!(self.problems.is_empty(), "of {} pages:\n{}", self.seen.len(), self.problems.join("\n"));
        Ok(())
    }
}

/// The bytes of the page and its styles, before compression, as the browser got them.
async fn weight(browser: &Browser) -> Result<u64> {
    let script = "const size = e => e.decodedBodySize, styles = e => e.name.endsWith('.css');
        const sheets = performance.getEntriesByType('resource').filter(styles).map(size);
        return [performance.getEntriesByType('navigation').map(size), sheets];";
    let sizes = browser.execute(script, vec![]).await?;
    let sum = |index: usize| sizes[index].as_array().into_iter().flatten().filter_map(Value::as_u64).sum::<u64>();
    let (page, styles) = (sum(0), sum(1));
    ensure!(page > 500 && styles > 5_000, "no sizes but {sizes}");
    Ok(page + styles)
}

/// A PNG of the page from its top, as much as it has and at most this tall.
async fn picture(browser: &Browser, width: u32, tallest: u32) -> Result<Vec<u8>> {
    let height = browser.execute("scrollTo(0, 0); return document.documentElement.scrollHeight", vec![]).await?;
    let height = height.as_u64().context("a page has a height")?.min(tallest.into());
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
    let options = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
    let answer = browser.cdp("Page.captureScreenshot", options).await?;
    Ok(BASE64.decode(answer["data"].as_str().context("a picture has data")?)?)
}
