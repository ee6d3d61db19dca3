//! Each thing that can stand between somebody and a cluster, made for real and looked at as a page. What the words say is tested in
//! `flows::diagnosis`; here the pages are judged, and photographed for `docs/screenshots/diagnoses`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{
    Browser, BrowserOptions, ControlPlane, Dex, HttpFault, JwtIssuer, Testbed,
    dex::{self, Builder},
    eventually,
    fault::Moment,
    kubelend::Place,
};

use super::{open_link, owner, pages::Studio, turn, walk::person};
use crate::flows::{
    forger::Forger,
    house::{Database, House, binary, configuration, connect},
    visitor::Visitor,
};

/// Longer than an API server takes to fetch a provider's keys, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(45);
const FOLDER: &str = "docs/screenshots/diagnoses";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
/// All that an API server says of a token that it does not take.
const UNAUTHORIZED: &str =
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","code":401}"#;
/// How long ID tokens live where they are to end.
const LIFE: Duration = Duration::from_secs(8);

/// Opens a page until all of this is on it, and looks.
async fn look(studio: &mut Studio, browser: &Browser, page: &str, name: &str, wanted: &[&str]) -> Result<()> {
    see(browser, page, wanted).await.with_context(|| name.to_owned())?;
    studio.look(browser, name).await
}

async fn see(browser: &Browser, page: &str, wanted: &[&str]) -> Result<()> {
    eventually(&format!("{page} to say {wanted:?}"), PATIENCE, async || {
        browser.goto(page).await?;
        let text = browser.text().await?;
        wanted.iter().try_for_each(|words| {
            ensure!(text.contains(words), "“{words}” is not in: {text}");
            Ok(())
        })
    })
    .await
}

/// A house, a cluster that is there twice (once behind a proxy), and bob, who was lent both.
struct Scene {
    studio: Studio,
    house: House,
    dex: Dex,
    cluster: ControlPlane,
    proxy: HttpFault,
    alice: Visitor,
    bob: Browser,
    /// The cluster's pages.
    path: String,
    /// Bob's kubeconfig pages.
    page: String,
    proxied: String,
}

impl Scene {
    async fn new(dex: Builder) -> Result<Self> {
        let bed = Testbed::shared().await?;
        let dex = bed.new_dex(dex).await?;
        let cluster = ControlPlane::builder("staging").jwt(dex.jwt_issuer()).start(bed.etcd().await?).await?;
        let house = House::of(person("alice", &[]).await?, Database::Postgres, &dex, "").await?;
        let (mut alice, bob) = (house.owner().await?, Browser::with(BrowserOptions::for_pages()).await?);
        let kubeconfig = connect(&cluster).await?;
        let proxy = HttpFault::start(cluster.server_url(), cluster.ca())?;
        let through = kubeconfig.replace(cluster.server_url(), &proxy.url());
        let path = house.add_kubeconfig(&mut alice, "staging", &kubeconfig).await?;
        let proxied = house.add_kubeconfig(&mut alice, "production", &through).await?;
        let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
        open_link(&bob, &link, &person("bob", &["devs"]).await?.email).await?;
        bob.click("button", "Accept").await?;
        bob.find("region", "Connection test").await?;
        bob.goto(&house.share(&mut alice, &proxied, &[("Role", "view")]).await?).await?;
        bob.click("button", "Accept").await?;
        bob.find("region", "Connection test").await?;
        let page = |path: &str| format!("{}{path}/kubeconfig", house.kubelend.url());
        let (page, proxied, studio) = (page(&path), page(&proxied), Studio::of_words(FOLDER)?);
        Ok(Self { studio, house, dex, cluster, proxy, alice, bob, path, page, proxied })
    }

    async fn look(&mut self, name: &str, wanted: &[&str]) -> Result<()> {
        look(&mut self.studio, &self.bob, &self.page, name, wanted).await
    }

    async fn see(&self, wanted: &[&str]) -> Result<()> {
        see(&self.bob, &self.page, wanted).await
    }

    async fn look_through_proxy(&mut self, name: &str, wanted: &[&str]) -> Result<()> {
        look(&mut self.studio, &self.bob, &self.proxied, name, wanted).await?;
        self.proxy.clear();
        Ok(())
    }

    async fn trust(&self, change: impl FnOnce(&mut JwtIssuer)) -> Result<()> {
        let mut issuer = self.dex.jwt_issuer();
        change(&mut issuer);
        self.cluster.trust(&[issuer]).await
    }

    /// What the API server is set to.
    async fn settings(&mut self) -> Result<()> {
        self.look("works", &["It works"]).await?;
        self.cluster.trust_from_start(&[]).await?;
        self.look("issuer-unknown", &["The cluster does not know Dex", "A text to send"]).await?;
        self.trust(|issuer| issuer.audiences = vec!["other".into(), "another".into()]).await?;
        self.look("audience", &["one of these", "The cluster expects tokens of another client"]).await?;
        let wrong = self.house.bed.staging().await?.ca_pem().to_owned();
        self.cluster.trust_from_start(&[JwtIssuer { ca_pem: wrong, ..self.dex.jwt_issuer() }]).await?;
        self.look("issuer-not-reached", &["The cluster cannot fetch Dex's keys", "given another CA"]).await?;
        self.trust(|issuer| issuer.username_prefix = "corp:".into()).await?;
        self.look("name-differs", &["The cluster knows you by another name", "corp:bob@acme.example"]).await?;
        self.alice.open(&format!("{}/access", self.path)).await?;
        self.alice.press("Grant", &[("Kind", "Group"), ("Name", "devs"), ("Role", "view")]).await?;
        self.trust(|issuer| issuer.groups_prefix = "corp:".into()).await?;
        self.look("groups-differ", &["The cluster puts you in other groups", "corp:devs"]).await?;
        self.trust(|_| ()).await?;
        self.see(&["It works", "oidc:devs"]).await?;
        // Where Kubelend reads no figures, experience alone speaks: a cluster that took this client's tokens a moment ago.
        let no_metrics = r#"[{"op":"test","path":"/rules/5/nonResourceURLs/0","value":"/metrics"},{"op":"remove","path":"/rules/5"}]"#;
        let patch = ["patch", "clusterrole", "kubelend", "--type=json", "-p", no_metrics];
        self.cluster.kubectl()?.run(&patch).await?.ok()?;
        self.trust(|issuer| issuer.username_claim = "nickname".into()).await?;
        self.look("claims", &["likeliest first:\nThe cluster expects other claims"]).await?;
        connect(&self.cluster).await?;
        // One of the two clients alone.
        self.trust(|issuer| issuer.audiences = vec![dex::CLIENT.into()]).await?;
        self.see(&["It works", "Not tried here yet"]).await?;
        self.bob.goto(&format!("{}?format=provider", self.page)).await?;
        self.bob.click("link", "Download kubeconfig").await?;
        self.bob.sign_in_at_dex("bob@acme.example").await?;
        self.bob.see("Not offered now: the cluster refused it").await?;
        self.studio.look(&self.bob, "format-refused").await?;
        self.trust(|_| ()).await
    }

    /// What stands in between.
    async fn way(&mut self) -> Result<()> {
        self.proxy.set_clock(-3600);
        self.look_through_proxy("clocks-differ", &["It works", "The clocks differ"]).await?;
        self.proxy.set_clock(3600);
        let said = |message: &str, code: u16| {
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
                .to_string()
        };
        let post = Some(Method::POST);
        self.proxy.answer(post.clone(), REVIEWS, 401, "application/json", UNAUTHORIZED);
        self.look_through_proxy("ended-by-their-clock", &["to the cluster your token is over"]).await?;
        self.proxy.set_clock(0);
        self.proxy.answer(post.clone(), REVIEWS, 429, "application/json", &said("too many requests", 429));
        self.look_through_proxy("refused", &["The cluster refused", "too many requests"]).await?;
        self.proxy.answer(post, REVIEWS, 200, "text/html", "<h1>Please sign in</h1>");
        self.look_through_proxy("not-kubernetes", &["What answers there is no Kubernetes API server"]).await?;
        let held = self.proxy.hold(Method::POST, REVIEWS, Moment::BeforeForwarding);
        self.look_through_proxy("silent", &["The cluster does not answer Kubelend"]).await?;
        drop(held);
        let other_ca = self.house.bed.staging().await?.admin_kubeconfig_text().to_owned();
        let ca = |text: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("certificate-authority-data: "));
            line.map(str::to_owned).context("a CA")
        };
        let kubeconfig = connect(&self.cluster).await?;
        let kubeconfig = kubeconfig.replace(&ca(&kubeconfig)?, &ca(&other_ca)?);
        let path = self.house.add_kubeconfig(&mut self.alice, "lab", &kubeconfig).await?;
        let browser = owner(&self.house, BrowserOptions::for_pages()).await?;
        let page = format!("{}{path}/kubeconfig", self.house.kubelend.url());
        let wanted = ["The cluster shows a certificate that is not the expected one"];
        look(&mut self.studio, &browser, &page, "certificate", &wanted).await
    }

    /// What somebody may do there.
    async fn rights(&mut self) -> Result<()> {
        let kubectl = self.cluster.kubectl()?;
        let link = self.house.share(&mut self.alice, &self.path, &[("Role", "no role")]).await?;
        let carol = Browser::with(BrowserOptions::for_pages()).await?;
        open_link(&carol, &link, &person("carol", &[]).await?.email).await?;
        carol.click("button", "Accept").await?;
        carol.find("region", "Connection test").await?;
        look(&mut self.studio, &carol, &self.page, "nothing-granted", &["Nobody has given you a role there"]).await?;
        let emptied = r#"[{"op":"remove","path":"/aggregationRule"},{"op":"replace","path":"/rules","value":[]}]"#;
        kubectl.run(&["patch", "clusterrole", "view", "--type=json", "-p", emptied]).await?.ok()?;
        self.look("denied", &["The cluster does not let you do it yet"]).await?;
        // From here on Kubelend can change nothing there.
        kubectl.run(&["delete", "clusterrolebinding", "kubelend"]).await?.ok()?;
        let answers = [("Role", "view"), ("Where", "Namespaces"), ("Namespaces", "default")];
        let link = self.house.share(&mut self.alice, &self.path, &answers).await?;
        carol.goto(&link).await?;
        carol.click("button", "Accept").await?;
        carol.find("region", "Connection test").await?;
        let waits = ["view on namespace default did not come to the cluster", "Your token names no groups"];
        look(&mut self.studio, &carol, &self.page, "grant-waits", &waits).await?;
        self.cluster.stop().await?;
        self.look("unreachable", &["The cluster cannot be reached from Kubelend", "auth whoami"]).await?;
        // A sign-in that Kubelend holds nothing of any more.
        self.house.sql("DELETE FROM token_sets; DELETE FROM upstream_sessions").await?;
        self.look("no-token", &["Not tested", "It is your turn"]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_diagnosis_of_a_cluster_is_a_page_to_read() -> Result<()> {
    let _turn = turn().await?;
    let mut scene = Scene::new(Dex::builder()).await?;
    scene.settings().await.context("settings")?;
    scene.way().await.context("the way")?;
    scene.rights().await.context("rights")?;
    scene.studio.verdict()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_diagnosis_of_a_token_that_ends_is_a_page_to_read() -> Result<()> {
    let _turn = turn().await?;
    let mut scene = Scene::new(Dex::builder().id_tokens(LIFE)).await?;
    // A sign-in for pages alone cannot be renewed.
    let alice = owner(&scene.house, BrowserOptions::for_pages()).await?;
    let over = ["Your token has ended", "It is your turn"];
    look(&mut scene.studio, &alice, &scene.page, "token-over", &over).await?;
    // A clock that is ahead by as little as nobody minds is enough for a token that lives no longer.
    scene.proxy.set_clock(9);
    scene.proxy.answer(Some(Method::POST), REVIEWS, 401, "application/json", UNAUTHORIZED);
    scene.look_through_proxy("too-old", &["Your token ended on its way"]).await?;
    scene.dex.stop().await?;
    scene.look("provider-down", &["Dex does not renew your token"]).await?;
    scene.studio.verdict()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_diagnosis_of_a_token_is_a_page_to_read() -> Result<()> {
    let _turn = turn().await?;
    let bed = Testbed::shared().await?;
    let (forger, mut studio, alice) =
        (Forger::start().await?, Studio::of_words(FOLDER)?, Browser::with(BrowserOptions::for_pages()).await?);
    let cluster = ControlPlane::builder("claims").jwt(forger.jwt_issuer()).start(bed.etcd().await?).await?;
    let (place, dex) = (Place::new(bed.ca())?, bed.dex().await?);
    let (database_url, person) = (place.sqlite(), person("alice", &[]).await?);
    let text = configuration(&place, &database_url, dex, &person.email).replace(dex.issuer(), &forger.issuer());
    let kubelend = testbed::Kubelend::start(binary(), place, &text).await?;
    let house = House { bed, kubelend, alice: person, database_url, lent: None };
    let claims = |more: &Value| {
        let email = &house.alice.email;
        let mut claims = json!({"sub": email, "email": email, "email_verified": true, "groups": ["devs"]});
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    };
    let mut owner = house.visitor()?;
    forger.sign_in(&mut owner, &claims(&json!({}))).await?;
    let path = house.add_kubeconfig(&mut owner, "staging", &connect(&cluster).await?).await?;
    let page = format!("{}{path}/kubeconfig", house.kubelend.url());
    let table = [
        ("email-not-verified", json!({"email_verified": false}), "Dex says that your email is not verified"),
        ("no-email", json!({"email": null, "email_verified": null}), "Dex says no email of yours"),
        ("groups-malformed", json!({"groups": {"devs": true}}), "Dex writes groups in a way that clusters refuse"),
        ("groups-missing", json!({"groups": null}), "Your token names no groups"),
    ];
    for (name, more, wanted) in table {
        sign_in(&forger, &house, &alice, &claims(&more)).await.context(name)?;
        look(&mut studio, &alice, &page, name, &[wanted]).await?;
    }
    let other = JwtIssuer::new(&forger.issuer(), bed.ca().pem(), &["other", dex::DIRECT_CLIENT]);
    cluster.trust(&[other]).await?;
    sign_in(&forger, &house, &alice, &claims(&json!({}))).await?;
    look(&mut studio, &alice, &page, "algorithm", &["one of these", "signatures of the kind ES256"]).await?;
    studio.verdict()
}

/// Signs somebody in whose token says this.
async fn sign_in(forger: &Forger, house: &House, browser: &Browser, claims: &Value) -> Result<()> {
    browser.cdp("Network.clearBrowserCookies", json!({})).await?;
    browser.goto(&format!("{}/auth/start/dex", house.kubelend.url())).await?;
    let asked = browser.wait_for_url(|url| url.starts_with(&forger.issuer())).await?;
    let back = forger.answer(&asked.parse()?, claims)?;
    browser.goto(back.as_str()).await
}
