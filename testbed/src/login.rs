//! Signing in at Dex over plain HTTP requests, as a browser would, in a tenth of its time.
//!
//! Flow tests are many and browser tests few. What is sent is what Dex's own form sends.

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use reqwest::{Client, Response, header::LOCATION};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::{dex::LOOPBACK_REDIRECT, directory::PASSWORD, http};

/// Who signs in, and what they do when Dex asks whether Kubelend may know them.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// Grant access on the approval screen, or decline.
    pub approve: bool,
}

impl Credentials {
    /// Somebody with the usual password who grants access.
    pub fn of(email: &str) -> Self {
        Self { email: email.to_owned(), password: PASSWORD.to_owned(), approve: true }
    }

    /// Somebody who declines on the approval screen (which Dex shows with `approval_screen()` only).
    pub fn declining(email: &str) -> Self {
        Self { approve: false, ..Self::of(email) }
    }
}

/// What the token endpoint answered.
#[derive(Debug, Clone, Deserialize)]
pub struct Tokens {
    /// The ID token.
    pub id_token: String,
    /// The access token.
    #[serde(default)]
    pub access_token: String,
    /// The refresh token, with `offline_access`.
    #[serde(default)]
    pub refresh_token: String,
}

impl Tokens {
    /// The claims of the ID token (not verified: this is a test's look at it).
    pub fn claims(&self) -> Result<Value> {
        let payload = self.id_token.split('.').nth(1).context("an ID token has three parts")?;
        Ok(serde_json::from_slice(&BASE64.decode(payload)?)?)
    }
}

/// Goes from the provider's authorization URL through its pages and returns where it sends the browser in the end: the
/// client's redirect URI with a code or an error. The redirect is not followed: that is the test's next step. `client` must
/// trust Dex's CA and follow no redirects by itself (see [`http::client`]).
pub async fn http_login(client: &Client, authorize_url: &str, credentials: &Credentials) -> Result<Url> {
    let start = Url::parse(authorize_url).with_context(|| format!("not a URL: {authorize_url}"))?;
    let origin = start.origin();
    let mut url = start.clone();
    let mut answer = client.get(start).send().await?;
    let mut password_sent = false;
    for _ in 0..20 {
        if answer.status().is_redirection() {
            url = location(&url, &answer)?;
            if url.origin() != origin {
                return Ok(url);
            }
            answer = client.get(url.clone()).send().await?;
            continue;
        }
        let status = answer.status();
        let page = answer.text().await?;
        if page.contains("name=\"password\"") && !password_sent {
            password_sent = true;
            let action = attribute(&page, "<form", "action").unwrap_or_default();
            url = url.join(&action)?;
            let form = [("login", &credentials.email), ("password", &credentials.password)];
            answer = client.post(url.clone()).form(&form).send().await?;
        } else if page.contains("name=\"approval\"") {
            let request = attribute(&page, "name=\"req\"", "value").context("the approval form has a request")?;
            let approval = if credentials.approve { "approve" } else { "rejected" };
            let form = [("req", request.as_str()), ("approval", approval)];
            answer = client.post(url.clone()).form(&form).send().await?;
        } else {
            bail!("Dex answered {status} at {url}: {}", words(&page));
        }
    }
    bail!("Dex sent the browser in circles")
}

/// The whole authorization code flow with PKCE, for a client that has [`LOOPBACK_REDIRECT`].
pub(crate) async fn tokens(issuer: &str, ca_pem: &str, client: &str, who: &Credentials) -> Result<Tokens> {
    let http = http::client(ca_pem)?;
    // A verifier that everybody knows protects nothing; there is nothing to protect from here.
    let verifier = "the-testbed-has-no-secrets-from-itself-0123456789";
    let challenge = BASE64.encode(Sha256::digest(verifier));
    let authorize = Url::parse_with_params(
        &format!("{issuer}/auth"),
        [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", LOOPBACK_REDIRECT),
            ("scope", "openid email profile groups offline_access"),
            ("state", "state"),
            ("nonce", "nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ],
    )?;
    let callback = http_login(&http, authorize.as_str(), who).await?;
    let code = callback.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.with_context(|| format!("no code in {callback}"))?;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", LOOPBACK_REDIRECT),
        ("code_verifier", verifier),
        ("code", &code),
    ];
    let answer = http.post(format!("{issuer}/token")).form(&form).send().await?;
    let status = answer.status();
    let body = answer.text().await?;
    ensure!(status.is_success(), "the token endpoint answered {status}: {body}");
    serde_json::from_str(&body).context("read the token endpoint's answer")
}

fn location(base: &Url, answer: &Response) -> Result<Url> {
    let location = answer.headers().get(LOCATION).context("a redirect without Location")?.to_str()?;
    base.join(location).with_context(|| format!("a redirect to {location}"))
}

/// The value of an attribute in the tag in which `marker` appears first.
fn attribute(page: &str, marker: &str, name: &str) -> Option<String> {
    let at = page.find(marker)?;
    let start = page[..=at].rfind('<')?;
    let tag = &page[start..start + page[start..].find('>')?];
    let value = tag.split_once(&format!("{name}=\""))?.1.split('"').next()?;
    Some(value.replace("&#34;", "\"").replace("&#43;", "+").replace("&amp;", "&"))
}

/// A page's words, for an error message.
fn words(page: &str) -> String {
    let text = page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
    text.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ").chars().take(400).collect()
}
