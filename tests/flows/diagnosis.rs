//! Each thing that can stand between somebody and a cluster, made for real on an API server of the test's own, and what the pages say
//! of it.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{ControlPlane, HttpFault, JwtIssuer, Testbed, dex, eventually, kubelend::Place};
use tokio::sync::Mutex;

use super::{
    forger::Forger,
    house::{Database, House, binary, configuration, connect},
    visitor::Visitor,
};

/// Longer than an API server takes to fetch a provider's keys, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The page, once all of this is on it.
async fn until_seen(visitor: &mut Visitor, path: &str, wanted: &[&str]) -> Result<()> {
    let visitor = Mutex::new(visitor);
    eventually(&format!("{path} to say {}", wanted[0]), PATIENCE, async || {
        let mut visitor = visitor.lock().await;
        let page = visitor.open(path).await?;
        wanted.iter().try_for_each(|words| page.sees(words))
    })
    .await
}

/// A house with a cluster of its own, its owner, and somebody in the group devs who was lent the cluster.
struct Lent {
    house: House,
    cluster: ControlPlane,
    alice: Visitor,
    bob: Visitor,
    path: String,
}

impl Lent {
    async fn new() -> Result<Self> {
        let house = House::open(Database::Sqlite).await?;
        let cluster = house.bed.own_cluster("diagnosed").await?;
        let mut alice = house.owner().await?;
        let path = house.add_cluster(&mut alice, &cluster, "staging").await?;
        until_seen(&mut alice, &path, &["Kubernetes v1.36", "Trusts Dex"]).await?;
        let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
        let person = house.bed.hire("bob", &["devs"]).await?;
        let mut bob = house.visitor()?;
        house.accept(&mut bob, &link, &person.email).await?;
        Ok(Self { house, cluster, alice, bob, path })
    }

    /// What bob reads of the connection test.
    async fn bob_reads(&mut self, wanted: &[&str]) -> Result<()> {
        let path = format!("{}/kubeconfig", self.path);
        until_seen(&mut self.bob, &path, wanted).await?;
        // The file can be had all the same.
        self.bob.page.link("Download kubeconfig").map(drop)
    }

    /// What alice reads on the overview, and then in the list.
    async fn alice_reads(&mut self, overview: &[&str], list: &str) -> Result<()> {
        until_seen(&mut self.alice, &self.path, overview).await?;
        self.alice.open("/clusters").await?.sees(list)
    }
}

#[tokio::test]
async fn what_an_api_server_is_set_to_is_told_from_its_bare_401() -> Result<()> {
    let mut lent = Lent::new().await?;
    let dex = lent.house.bed.dex().await?;
    lent.bob_reads(&["It works", "You can list pods in all namespaces"]).await?;
    lent.bob.page.does_not_see("A text to send")?;
    lent.alice_reads(&["Trusts Dex", "Groups oidc:"], "works").await?;

    lent.cluster.trust_from_start(&[]).await?;
    let turn = format!("It is the turn of {}", lent.house.alice.email);
    let told = ["✗ The cluster does not know Dex.", &turn, "A text to send", "kind: AuthenticationConfiguration"];
    lent.bob_reads(&told).await?;
    lent.bob.page.does_not_see("one of these")?;
    lent.alice_reads(&["The cluster does not know Dex"], "waits: the cluster does not know Dex").await?;
    // Without the right to read its figures it is the likeliest of several.
    let only_rbac =
        r#"[{"op":"test","path":"/rules/5/nonResourceURLs/0","value":"/metrics"},{"op":"remove","path":"/rules/5"}]"#;
    let kubectl = lent.cluster.kubectl()?;
    kubectl.run(&["patch", "clusterrole", "kubelend", "--type=json", "-p", only_rbac]).await?.ok()?;
    lent.bob_reads(&[
        "one of these, the likeliest first",
        "does not know Dex",
        "cannot fetch Dex's keys",
        "expects other claims",
    ])
    .await?;
    kubectl.shell(&kubelend::kubeconfig::connect_script(&["view"])).await?.ok()?;

    lent.cluster.trust(&[JwtIssuer { audiences: vec!["other".into(), "another".into()], ..dex.jwt_issuer() }]).await?;
    lent.bob_reads(&[
        "likeliest first: The cluster expects tokens of another client.",
        "for “kubelend”",
        "“kubelend-direct”",
    ])
    .await?;
    lent.bob.page.does_not_see("cannot fetch")?;
    lent.alice_reads(&["The likeliest: The cluster expects tokens of another client."], "waits: the cluster expects")
        .await?;

    let wrong_ca = lent.house.bed.staging().await?.ca_pem().to_owned();
    lent.cluster.trust_from_start(&[JwtIssuer { ca_pem: wrong_ca, ..dex.jwt_issuer() }]).await?;
    lent.bob_reads(&["likeliest first: The cluster cannot fetch Dex's keys.", "given another CA"]).await?;
    lent.bob.page.does_not_see("The cluster does not know Dex")?;

    // A claim that Dex's tokens do not have.
    lent.cluster.trust(&[JwtIssuer { username_claim: "nickname".into(), ..dex.jwt_issuer() }]).await?;
    lent.bob_reads(&["one of these", "The cluster expects other claims.", "another user name claim than “email”"])
        .await?;
    lent.bob.page.does_not_see("cannot fetch")?;
    says_no_token(&lent.house).await
}

#[tokio::test]
async fn other_names_and_groups_than_the_mapping_predicts_are_told_with_both() -> Result<()> {
    let mut lent = Lent::new().await?;
    let dex = lent.house.bed.dex().await?;
    lent.alice.open(&format!("{}/access", lent.path)).await?;
    lent.alice.press("Grant", &[("Kind", "Group"), ("Name", "devs"), ("Role", "view")]).await?;
    lent.bob_reads(&["It works", "In groups oidc:devs"]).await?;

    let other = JwtIssuer {
        username_claim: "sub".into(),
        username_prefix: "corp:".into(),
        groups_prefix: String::new(),
        ..dex.jwt_issuer()
    };
    lent.cluster.trust(&[other]).await?;
    let name = [
        "The cluster knows you by another name.",
        "you are “corp:",
        "you are “bob-",
        "your claim “sub” with “corp:” before it",
    ];
    lent.bob_reads(&name).await?;
    for wanted in [
        "The cluster puts you in other groups.",
        "in “oidc:devs” there and are in “devs”",
        "It puts nothing before groups, not “oidc:”.",
    ] {
        lent.bob.page.sees(wanted)?;
    }
    lent.alice_reads(&["The cluster knows you by another name"], "waits: the cluster knows you by another name")
        .await?;

    let other = JwtIssuer { username_prefix: "corp:".into(), groups_claim: "roles".into(), ..dex.jwt_issuer() };
    lent.cluster.trust(&[other]).await?;
    lent.bob_reads(&[
        "It puts “corp:” before “email”, not nothing.",
        "in no group of your provider's",
        "It takes no groups from tokens",
    ])
    .await?;
    let settings = lent.bob.page.text();
    ensure!(settings.contains("kind: AuthenticationConfiguration"), "nothing to paste: {settings}");
    says_no_token(&lent.house).await
}

#[tokio::test]
async fn rights_that_are_not_there_yet_are_told_with_what_they_wait_for() -> Result<()> {
    let mut lent = Lent::new().await?;
    let kubectl = lent.cluster.kubectl()?;
    lent.bob_reads(&["It works"]).await?;
    // A binding that is deleted by hand is put back; a role that somebody has emptied stays so.
    let emptied = r#"[{"op":"remove","path":"/aggregationRule"},{"op":"replace","path":"/rules","value":[]}]"#;
    kubectl.run(&["patch", "clusterrole", "view", "--type=json", "-p", emptied]).await?.ok()?;
    lent.bob_reads(&["The cluster does not let you do it yet.", "says no to: list pods in all namespaces"]).await?;
    // Kubelend's own rights, too: what is given now cannot come to the cluster.
    kubectl.run(&["delete", "clusterrolebinding", "kubelend"]).await?.ok()?;
    let link = lent.house.share(
        &mut lent.alice,
        &lent.path,
        &[("Role", "view"), ("Where", "Namespaces"), ("Namespaces", "default")],
    );
    let link = link.await?;
    let carol = lent.house.bed.hire("carol", &[]).await?;
    lent.bob = lent.house.visitor()?;
    lent.house.accept(&mut lent.bob, &link, &carol.email).await?;
    lent.bob_reads(&[
        "view on namespace default did not come to the cluster.",
        "forbidden",
        "Your token names no groups.",
    ])
    .await?;

    lent.cluster.stop().await?;
    lent.bob_reads(&["The cluster cannot be reached from Kubelend.", "refuses the connection", "auth whoami"]).await
}

#[tokio::test]
async fn clocks_that_differ_are_told_by_the_date_of_the_answer() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let proxy = HttpFault::start(cluster.server_url(), cluster.ca())?;
    let kubeconfig = connect(cluster).await?.replace(cluster.server_url(), &proxy.url());
    let mut alice = house.owner().await?;
    let page = house.add_kubeconfig(&mut alice, "skewed", &kubeconfig).await? + "/kubeconfig";
    proxy.set_clock(-3600);
    until_seen(&mut alice, &page, &["It works", "The clocks differ.", "1 hour behind Kubelend's"]).await?;
    // An API server whose clock is ahead takes any token for over: this one says so in its place, by its own clock.
    proxy.set_clock(3600);
    let said =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "Unauthorized", "code": 401});
    let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    proxy.answer(Some(Method::POST), reviews, 401, "application/json", &said.to_string());
    let told = ["The clocks differ: to the cluster your token is over.", "1 hour ahead of Kubelend's", "NTP"];
    until_seen(&mut alice, &page, &told).await
}

#[tokio::test]
async fn a_token_that_has_ended_and_cannot_be_renewed_is_told() -> Result<()> {
    let bed = Testbed::shared().await?;
    let house = House::with_provider(Database::Sqlite, bed.short_dex().await?, "").await?;
    let cluster = bed.short_cluster().await?;
    let mut alice = house.owner().await?;
    let page = house.add_cluster(&mut alice, cluster, "short").await? + "/kubeconfig";
    // A sign-in for pages alone cannot be renewed, and its token lives for 15 s.
    until_seen(&mut alice, &page, &["Your token has ended.", "It is your turn."]).await?;
    alice.page.link("Sign in again").map(drop)
}

/// A house whose provider says what the test wants.
async fn forged(forger: &Forger, cluster: &ControlPlane) -> Result<(House, Visitor, String)> {
    let bed = Testbed::shared().await?;
    let dex = bed.dex().await?;
    let place = Place::new(bed.ca())?;
    let alice = bed.hire("alice", &[]).await?;
    let database_url = place.sqlite();
    let text = configuration(&place, &database_url, dex, &alice.email).replace(dex.issuer(), &forger.issuer());
    let kubelend = testbed::Kubelend::start(binary(), place, &text).await?;
    let house = House { bed, kubelend, alice, database_url, lent: None };
    let mut alice = house.visitor()?;
    forger.sign_in(&mut alice, &person(&house.alice.email, &json!({}))).await?;
    let path = house.add_kubeconfig(&mut alice, "staging", &connect(cluster).await?).await?;
    Ok((house, alice, path))
}

fn person(email: &str, more: &Value) -> Value {
    let mut claims = json!({"sub": email, "email": email, "email_verified": true, "groups": ["devs"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test]
async fn claims_for_which_an_api_server_refuses_a_token_are_told() -> Result<()> {
    let forger = Forger::start().await?;
    let etcd = Testbed::shared().await?.etcd().await?;
    let cluster = ControlPlane::builder("claims").jwt(forger.jwt_issuer()).start(etcd).await?;
    let (house, mut alice, path) = forged(&forger, &cluster).await?;
    let page = format!("{path}/kubeconfig");
    until_seen(&mut alice, &page, &["It works", "In groups oidc:devs"]).await?;
    // The same person, known by issuer and `sub`, with other claims.
    let email = house.alice.email.clone();
    let turn = "It is the turn of the people who run Dex.";
    let table = [
        (json!({"email_verified": false}), "Dex says that your email is not verified.", "not verified"),
        (json!({"email": null, "email_verified": null}), "Dex says no email of yours.", "There is no email"),
        (
            json!({"groups": {"devs": true}}),
            "Dex writes groups in a way that clusters refuse.",
            "neither a text nor a list",
        ),
    ];
    for (claims, wanted, on_claims_page) in table {
        let mut owner = house.visitor()?;
        // Membership is the person's, whatever their email: they added the cluster.
        forger.sign_in(&mut owner, &person(&email, &claims)).await?;
        let seen = owner.open(&page).await?;
        seen.sees(wanted).with_context(|| claims.to_string())?;
        seen.sees(turn)?;
        owner.follow("What Dex says of you, and what clusters make of it").await?.sees(on_claims_page)?;
    }
    // An API server takes a token that does not say whether the email is verified, or names no groups.
    let mut owner = house.visitor()?;
    forger.sign_in(&mut owner, &person(&email, &json!({"email_verified": null, "groups": null}))).await?;
    let seen = owner.open(&page).await?.clone();
    seen.sees("you are")?;
    seen.sees("Your token names no groups.")?;
    says_no_token(&house).await
}

#[tokio::test]
async fn people_see_what_their_provider_says_and_what_each_cluster_makes_of_it() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let person = house.bed.hire("bob", &["devs"]).await?;
    let mut bob = house.visitor()?;
    house.accept(&mut bob, &link, &person.email).await?;
    bob.follow("My devices").await?;
    let page = bob.follow("Claims").await?;
    for wanted in [
        house.bed.dex().await?.issuer(),
        "For (aud) kubelend",
        &format!("{} (verified)", person.email),
        "Groups devs",
        "it lives 10 minutes",
    ] {
        page.sees(wanted)?;
    }
    page.does_not_see("eyJ")?;
    let row = page.rows("staging").pop().context("the cluster's row")?;
    ensure!(row.contains(&person.email) && row.contains("oidc:devs"), "{row}");
    bob.follow("Test").await?.sees("It works")
}

/// No token stands in Kubelend's log: each begins with `{"`, which is `eyJ` in base64.
async fn says_no_token(house: &House) -> Result<()> {
    let log = house.kubelend.log().await.context("a log")?;
    let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    ensure!(text.len() > 100 && !text.contains("eyJ"), "a token in the log: {text}");
    Ok(())
}

/// The figures of an API server, read by what the command of the cluster's page makes, and by nobody without that right.
#[tokio::test]
async fn the_figures_of_an_issuer_are_read_with_least_power() -> Result<()> {
    let bed = Testbed::shared().await?;
    let dex = bed.dex().await?;
    let cluster = bed.new_cluster("figures").await?;
    let kubelend = crate::k8s::client(&connect(&cluster).await?)?;
    assert!(kubelend.can_i_read("/metrics").await? && !kubelend.can_i_read("/logs").await?);
    let person = bed.hire("bob", &[]).await?;
    let tokens = dex.tokens_for(dex::CLIENT, &testbed::Credentials::of(&person.email)).await?;
    let theirs = crate::k8s::client(&cluster.kubeconfig_with_token(&tokens.id_token))?;
    eventually("the API server to know Dex's keys", PATIENCE, async || Ok(theirs.who_am_i().await.map(drop)?)).await?;
    let known = kubelend.issuer_figures(dex.issuer()).await?;
    assert!(known.accepted >= 1.0 && known.keys_fetched.is_some(), "{known:?}");
    let unknown = kubelend.issuer_figures("https://unknown.example").await?;
    assert_eq!(unknown, kubelend::k8s::IssuerFigures::default());
    let review = theirs.review().await;
    assert!(review.date.is_some(), "{review:?}");
    assert!(theirs.issuer_figures(dex.issuer()).await.is_err(), "anybody reads the figures");
    Ok(())
}
