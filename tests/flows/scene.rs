//! What tests of the relay begin with: a provider whose tokens end soon, a cluster lent to bob, and the files that he fetches.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use testbed::{
    ControlPlane, Credentials, Dex, HttpFault, Kubectl, Kubelend, Person, Port, Testbed, dex::Builder, eventually,
    http, kubelend::Place,
};
use tokio::sync::OnceCell;

use super::{
    house::{Database, House, binary, configuration, download},
    visitor::Visitor,
};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// How long ID tokens live here.
pub const LIFE: Duration = Duration::from_secs(6);

/// A Dex whose tokens end soon, and a cluster that trusts it, for the tests that only use them.
pub async fn quick() -> Result<&'static (Dex, ControlPlane)> {
    static QUICK: OnceCell<(Dex, ControlPlane)> = OnceCell::const_new();
    QUICK
        .get_or_try_init(|| async {
            let bed = Testbed::shared().await?;
            let dex = bed.new_dex(Dex::builder().id_tokens(LIFE)).await?;
            let cluster = ControlPlane::builder("quick").jwt(dex.jwt_issuer()).start(bed.etcd().await?).await?;
            Ok((dex, cluster))
        })
        .await
}

/// A Dex of the test's own behind a proxy that holds and counts.
pub async fn caught(builder: Builder) -> Result<(Dex, HttpFault)> {
    let bed = Testbed::shared().await?;
    let port = Port::free()?;
    let proxy = HttpFault::start(&format!("https://{}", port.address()), bed.ca())?;
    let dex = bed.new_dex(builder.port(port).issuer_port(proxy.port())).await?;
    Ok((dex, proxy))
}

/// A file that was handed out, as a program reads it.
#[derive(Clone)]
pub struct Held {
    pub kubectl: Kubectl,
    pub issuer: String,
    pub token: String,
    pub http: Client,
}

/// What a kubeconfig says for a key.
pub fn setting(kubeconfig: &str, key: &str) -> Result<String> {
    let line = kubeconfig.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    Ok(line.with_context(|| format!("{key} is not in {kubeconfig}"))?.trim_matches(['"', '\'']).to_owned())
}

impl Held {
    /// What kubectl has in its file.
    pub fn new(kubectl: Kubectl, house: &House) -> Result<Self> {
        let text = kubectl.kubeconfig_text()?;
        let (issuer, token) = (setting(&text, "idp-issuer-url")?, setting(&text, "refresh-token")?);
        Ok(Self { kubectl, issuer, token, http: http::client(house.bed.ca().pem())? })
    }

    /// The id in its address.
    pub fn device(&self) -> &str {
        self.issuer.rsplit('/').next().unwrap_or_default()
    }

    /// Asks the relay as client-go does.
    pub async fn ask(&self) -> Result<(StatusCode, Value)> {
        self.ask_at(&self.issuer).await
    }

    /// The same under another address of Kubelend.
    pub async fn ask_at(&self, issuer: &str) -> Result<(StatusCode, Value)> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &self.token)];
        let answer = self.http.post(format!("{issuer}/token")).basic_auth("kubelend", Some("")).form(&form);
        let answer = answer.send().await?;
        Ok((answer.status(), answer.json().await?))
    }

    /// A fresh ID token.
    pub async fn fresh(&self) -> Result<String> {
        let (status, answer) = self.ask().await?;
        ensure!(status == StatusCode::OK, "{status}: {answer}");
        ensure!(answer["refresh_token"] == self.token.as_str() && answer["access_token"] != "", "{answer}");
        Ok(answer["id_token"].as_str().context("an ID token")?.to_owned())
    }

    /// Waits until the relay gives another token than this.
    pub async fn renewed(&self, before: &str) -> Result<String> {
        eventually("another ID token", PATIENCE, async || {
            let now = self.fresh().await?;
            ensure!(now != before, "still the same");
            Ok(now)
        })
        .await
    }

    /// Fails unless the relay refuses for good, with these words.
    pub async fn is_refused(&self, words: &str) -> Result<()> {
        let (status, answer) = self.ask().await?;
        ensure!(status == StatusCode::BAD_REQUEST && answer["error"] == "invalid_grant", "{status}: {answer}");
        let why = answer["error_description"].as_str().unwrap_or_default();
        ensure!(why.contains(words), "{why}");
        Ok(())
    }
}

/// Alice has lent a cluster to bob, and bob is on the kubeconfig page.
pub struct Scene {
    pub house: House,
    pub alice: Visitor,
    pub path: String,
    pub bob: Person,
    pub visitor: Visitor,
}

impl Scene {
    /// With this provider and cluster.
    pub async fn on(database: Database, dex: &Dex, cluster: &ControlPlane) -> Result<Self> {
        let house = House::with_provider(database, dex, "").await?;
        let mut alice = house.owner().await?;
        let path = house.add_cluster(&mut alice, cluster, "lent").await?;
        let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
        let bob = house.bed.hire("bob", &["devs"]).await?;
        let mut visitor = house.visitor()?;
        house.open_link(&mut visitor, &link, &bob.email).await?;
        visitor.press("Accept", &[]).await?;
        Ok(Self { house, alice, path, bob, visitor })
    }

    /// With [`quick`]'s.
    pub async fn quick(database: Database) -> Result<Self> {
        let (dex, cluster) = quick().await?;
        Self::on(database, dex, cluster).await
    }

    /// Where the cluster itself is not asked: a Dex of its own behind a proxy.
    pub async fn caught(database: Database) -> Result<(Self, Dex, HttpFault)> {
        let (dex, proxy) = caught(Dex::builder().id_tokens(LIFE)).await?;
        let cluster = Testbed::shared().await?.staging().await?;
        Ok((Self::on(database, &dex, cluster).await?, dex, proxy))
    }

    /// Bob fetches one more file.
    pub async fn fetch(&mut self) -> Result<Held> {
        Held::new(download(&mut self.visitor).await?, &self.house)
    }

    /// Bob fetches a file that talks to the provider by itself: he signs in for it, once more if that took too long.
    pub async fn fetch_direct(&mut self) -> Result<Kubectl> {
        let (bob, visitor) = (Credentials::of(&self.bob.email), &mut self.visitor);
        visitor.press("Choose this format", &[("provider directly", "")]).await?;
        for _ in 0..5 {
            let here = visitor.page.clone();
            let file = visitor.follow("Download kubeconfig").await?.clone();
            if file.url.origin() == visitor.base.origin() {
                visitor.page = here;
                return Kubectl::with_text(&file.body);
            }
            visitor.sign_in_as(&bob).await?;
        }
        bail!("signed in five times, and no file")
    }
}

/// How often the provider was asked for tokens: sign-ins and refreshes.
pub fn refreshes(proxy: &HttpFault) -> usize {
    proxy.requests().iter().filter(|(method, path)| *method == Method::POST && path.starts_with("/dex/token")).count()
}

/// The time, in seconds.
pub fn now_secs() -> u64 {
    kubelend::clock::Clock::System.now().secs().unsigned_abs()
}

/// `exp` of an ID token, in seconds.
pub fn ends_at(id_token: &str) -> Result<u64> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = id_token.split('.').nth(1).context("a JWT has claims")?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    claims["exp"].as_u64().context("exp")
}

/// A second Kubelend on the same database and key ring.
pub async fn replica(house: &House, dex: &Dex) -> Result<Kubelend> {
    let place = Place::new(house.bed.ca())?;
    let ring = house.kubelend.place().folder().join("keyring");
    std::fs::copy(ring, place.folder().join("keyring"))?;
    let configuration = configuration(&place, &house.database_url, dex, &house.alice.email);
    Kubelend::start(binary(), place, &configuration).await
}
