//! Somebody with a browser, over plain HTTP requests: they see links, buttons and labels, never ids or field names, so a test
//! reads as what a person does. Scripts do not run here, so what passes here works without JavaScript.

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, StatusCode, header::LOCATION, multipart};
use scraper::{ElementRef, Html, Selector};
use testbed::{Credentials, http_login};
use url::Url;

/// A page as it came.
#[derive(Clone, Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub body: String,
}

/// Somebody with a browser and its cookies.
pub struct Visitor {
    pub http: Client,
    pub base: Url,
    pub page: Page,
}

fn select(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|e| panic!("{css}: {e}"))
}

fn words(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Page {
    /// What a person reads, white space folded.
    pub fn text(&self) -> String {
        let html = Html::parse_document(&self.body);
        html.select(&select("body")).map(words).collect()
    }

    /// Fails with the page's words unless they are on it.
    pub fn sees(&self, wanted: &str) -> Result<()> {
        let text = self.text();
        ensure!(text.contains(wanted), "“{wanted}” is not on {} ({}): {text}", self.url, self.status);
        Ok(())
    }

    /// Fails if these words are on it.
    pub fn does_not_see(&self, unwanted: &str) -> Result<()> {
        ensure!(!self.body.contains(unwanted), "“{unwanted}” is on {}: {}", self.url, self.text());
        Ok(())
    }

    /// Where the link of this name leads in the table's row that holds these words.
    pub fn link_in_row(&self, row: &str, name: &str) -> Result<String> {
        let html = Html::parse_document(&self.body);
        html.select(&select("tbody tr"))
            .filter(|line| words(*line).contains(row))
            .find_map(|line| {
                line.select(&select("a[href]")).find(|a| words(*a) == name)?.attr("href").map(str::to_owned)
            })
            .with_context(|| {
                format!("no link “{name}” beside “{row}” on {} ({}): {}", self.url, self.status, self.text())
            })
    }

    /// Where the link of this name leads.
    pub fn link(&self, name: &str) -> Result<String> {
        let html = Html::parse_document(&self.body);
        html.select(&select("a[href]"))
            .find(|a| words(*a) == name || a.attr("aria-label") == Some(name))
            .and_then(|a| a.attr("href").map(str::to_owned))
            .with_context(|| format!("no link “{name}” on {} ({}): {}", self.url, self.status, self.text()))
    }

    /// The value of the field with this label.
    pub fn field(&self, label: &str) -> Result<String> {
        let html = Html::parse_document(&self.body);
        let field = labelled(&html, html.root_element(), label)
            .with_context(|| format!("no field “{label}” on {}", self.url))?;
        Ok(value_of(field))
    }

    /// The text of each row of its tables that holds these words.
    pub fn rows(&self, holding: &str) -> Vec<String> {
        let html = Html::parse_document(&self.body);
        html.select(&select("tbody tr")).map(words).filter(|row| row.contains(holding)).collect()
    }
}

fn value_of(field: ElementRef<'_>) -> String {
    match field.value().name() {
        "textarea" => field.text().collect(),
        "select" => {
            let options: Vec<_> = field.select(&select("option")).collect();
            let chosen = options.iter().find(|o| o.attr("selected").is_some()).or(options.first());
            chosen.map(|o| o.attr("value").map_or_else(|| words(*o), str::to_owned)).unwrap_or_default()
        }
        _ => field.attr("value").unwrap_or_default().to_owned(),
    }
}

/// The field with this accessible name below `within`: by `label for`, a label around it, or `aria-label`.
fn labelled<'a>(html: &'a Html, within: ElementRef<'a>, name: &str) -> Option<ElementRef<'a>> {
    let fields = select("input, select, textarea");
    within.select(&fields).find(|field| {
        if field.attr("aria-label") == Some(name) {
            return true;
        }
        let by_id = field.attr("id").is_some_and(|id| {
            html.select(&select("label[for]")).any(|l| l.attr("for") == Some(id) && words(l) == name)
        });
        by_id
            || field
                .ancestors()
                .filter_map(ElementRef::wrap)
                .any(|e| e.value().name() == "label" && words(e).starts_with(name))
    })
}

/// What is sent when a form is submitted.
struct Filled {
    action: String,
    method: Method,
    multipart: bool,
    fields: Vec<(String, String)>,
}

impl Page {
    /// Whether no button of this name can be pressed.
    pub fn fill_fails(&self, button: &str) -> bool {
        self.fill(button, None, &[]).is_err()
    }

    /// The forms with this button, as they stand.
    fn forms(&self, button: &str) -> Result<Vec<Filled>> {
        let html = Html::parse_document(&self.body);
        let (form, pressed) = (select("form"), select("button"));
        let forms = html.select(&form).filter(|form| form.select(&pressed).any(|b| words(b) == button));
        let filled = forms.map(|form| {
            let field = |f: ElementRef<'_>| (f.attr("name").unwrap_or_default().to_owned(), value_of(f));
            Ok(Filled {
                action: form.attr("action").unwrap_or_default().to_owned(),
                method: form.attr("method").unwrap_or("get").to_uppercase().parse()?,
                multipart: false,
                fields: form.select(&select("input[name]")).map(field).collect(),
            })
        });
        filled.collect()
    }

    /// The form with this button (in a row that holds `row`, where rows have it each), filled in by label.
    fn fill(&self, button: &str, row: Option<&str>, answers: &[(&str, &str)]) -> Result<Filled> {
        let html = Html::parse_document(&self.body);
        let pressed = html
            .select(&select("button, input[type=submit]"))
            .filter(|b| words(*b) == button || b.attr("value") == Some(button) || b.attr("aria-label") == Some(button))
            .find(|b| {
                row.is_none_or(|row| {
                    let around = b
                        .ancestors()
                        .filter_map(ElementRef::wrap)
                        .find(|e| ["tr", "li", "section"].contains(&e.value().name()));
                    around.is_some_and(|e| words(e).contains(row))
                })
            })
            .with_context(|| format!("no button “{button}” on {} ({}): {}", self.url, self.status, self.text()))?;
        let form = match pressed.attr("form") {
            Some(id) => html.select(&select("form")).find(|f| f.attr("id") == Some(id)),
            None => pressed.ancestors().filter_map(ElementRef::wrap).find(|e| e.value().name() == "form"),
        }
        .with_context(|| format!("“{button}” belongs to no form"))?;
        let mut fields = Vec::new();
        let (named, apart) = (select("input[name], select[name], textarea[name]"), select("input[name][form]"));
        let elsewhere = html.select(&apart).filter(|field| field.attr("form") == form.attr("id"));
        for field in form.select(&named).chain(elsewhere) {
            let name = field.attr("name").unwrap_or_default().to_owned();
            let kind = field.attr("type").unwrap_or("text");
            let unchosen = ["radio", "checkbox"].contains(&kind) && field.attr("checked").is_none();
            if !unchosen && kind != "submit" && kind != "file" {
                let value =
                    if kind == "checkbox" && field.attr("value").is_none() { "on".into() } else { value_of(field) };
                fields.push((name, value));
            }
        }
        if let Some(name) = pressed.attr("name") {
            fields.push((name.to_owned(), pressed.attr("value").unwrap_or_default().to_owned()));
        }
        for (label, answer) in answers {
            let field = labelled(&html, form, label).with_context(|| {
                format!("the form of “{button}” on {} has no field “{label}”: {}", self.url, self.text())
            })?;
            let name = field.attr("name").unwrap_or_default().to_owned();
            let value = chosen(field, answer)?;
            fields.retain(|(n, _)| *n != name);
            fields.push((name, value));
        }
        let method = form.attr("method").unwrap_or("get").to_uppercase().parse()?;
        let multipart = form.attr("enctype") == Some("multipart/form-data");
        Ok(Filled { action: form.attr("action").unwrap_or_default().to_owned(), method, multipart, fields })
    }
}

/// For a select, the value of the option that reads so; for a radio its own value; else the text itself.
fn chosen(field: ElementRef<'_>, answer: &str) -> Result<String> {
    match (field.value().name(), field.attr("type")) {
        ("select", _) => field
            .select(&select("option"))
            .find(|o| words(*o) == answer || o.attr("value") == Some(answer))
            .map(|o| o.attr("value").map_or_else(|| words(o), str::to_owned))
            .with_context(|| format!("no option “{answer}” in {}", words(field))),
        (_, Some("radio" | "checkbox")) => Ok(field.attr("value").unwrap_or("on").to_owned()),
        _ => Ok(answer.to_owned()),
    }
}

impl Visitor {
    /// With a fresh browser.
    pub fn new(base: &str, ca_pem: &str) -> Result<Self> {
        let base = Url::parse(base)?;
        let http = testbed::http::builder(ca_pem)?.cookie_store(true).build()?;
        let page = Page { url: base.clone(), status: StatusCode::OK, body: String::new() };
        Ok(Self { http, base, page })
    }

    /// Opens a path or URL and follows redirects as long as they stay at Kubelend; one that leads to the provider is stopped
    /// before, and the page's URL is that address.
    pub async fn open(&mut self, to: &str) -> Result<&Page> {
        let url = self.page.url.join(to)?;
        let request = self.http.get(url.clone()).header("sec-fetch-site", "same-origin");
        self.land(url, request.send().await?).await
    }

    async fn land(&mut self, mut url: Url, mut answer: reqwest::Response) -> Result<&Page> {
        for _ in 0..10 {
            let Some(next) = answer.headers().get(LOCATION).filter(|_| answer.status().is_redirection()) else {
                let status = answer.status();
                self.page = Page { url, status, body: answer.text().await? };
                return Ok(&self.page);
            };
            url = url.join(next.to_str()?)?;
            if url.origin() != self.base.origin() {
                let status = answer.status();
                self.page = Page { url, status, body: String::new() };
                return Ok(&self.page);
            }
            answer = self.http.get(url.clone()).send().await?;
        }
        bail!("redirected in circles, at last to {url}")
    }

    /// Follows the link of this name.
    pub async fn follow(&mut self, link: &str) -> Result<&Page> {
        let to = self.page.link(link)?;
        self.open(&to).await
    }

    /// Follows the link of this name in the row that holds these words.
    pub async fn follow_in_row(&mut self, row: &str, link: &str) -> Result<&Page> {
        let to = self.page.link_in_row(row, link)?;
        self.open(&to).await
    }

    /// Fills in the form of this button by label, and presses it.
    pub async fn press(&mut self, button: &str, answers: &[(&str, &str)]) -> Result<&Page> {
        let filled = self.page.fill(button, None, answers)?;
        self.send(filled).await
    }

    /// Presses the button of this name in the row that holds these words.
    pub async fn press_in_row(&mut self, row: &str, button: &str) -> Result<&Page> {
        let filled = self.page.fill(button, Some(row), &[])?;
        self.send(filled).await
    }

    /// Presses the button of this name in the form that is sent to this path.
    pub async fn press_at(&mut self, action: &str, button: &str) -> Result<&Page> {
        let filled = self.page.forms(button)?.into_iter().find(|form| form.action == action);
        let filled = filled.with_context(|| format!("no “{button}” goes to {action}"))?;
        self.send(filled).await
    }

    async fn send(&mut self, filled: Filled) -> Result<&Page> {
        let mut url = self.page.url.join(&filled.action)?;
        if filled.method == Method::GET {
            url.query_pairs_mut().clear().extend_pairs(&filled.fields);
        }
        let origin = self.base.origin().ascii_serialization();
        let request = self.http.request(filled.method.clone(), url.clone()).header("origin", origin);
        let request = if filled.method == Method::GET {
            self.http.get(url.clone())
        } else if filled.multipart {
            let form =
                filled.fields.into_iter().fold(multipart::Form::new(), |form, (name, value)| form.text(name, value));
            request.multipart(form)
        } else {
            request.form(&filled.fields)
        };
        self.land(url, request.send().await?).await
    }

    /// Takes the tick out of the boxes whose labels begin like this.
    pub fn untick(&mut self, labels: &[&str]) {
        let mut body = self.page.body.clone();
        for label in labels {
            let Some(at) = body.find(&format!("<span>{label}")) else { continue };
            let Some(begin) = body[..at].rfind(" checked>") else { continue };
            body.replace_range(begin..begin + " checked>".len(), ">");
        }
        self.page.body = body;
    }

    /// Signs in at the provider whose address the page is, and comes back.
    pub async fn sign_in_as(&mut self, who: &Credentials) -> Result<&Page> {
        let callback = self.answer_of_provider(who).await?;
        self.open(callback.as_str()).await
    }

    /// Signs in at the provider without following its answer.
    pub async fn answer_of_provider(&mut self, who: &Credentials) -> Result<Url> {
        ensure!(
            self.page.url.origin() != self.base.origin(),
            "not at the provider but at {}: {}",
            self.page.url,
            self.page.text()
        );
        http_login(&self.http, self.page.url.as_str(), who).await
    }

    /// Signs in to Kubelend's pages.
    pub async fn sign_in(&mut self, email: &str) -> Result<&Page> {
        let base = self.base.clone();
        self.open(base.as_str()).await?;
        self.follow("Sign in with Dex").await?;
        self.sign_in_as(&Credentials::of(email)).await
    }
}
