//! The proxies fail as they are told, in front of a real API server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use reqwest::StatusCode;
use testbed::{
    Dex, FaultProxy, HttpFault, Port, StrictProvider, Testbed,
    dex::{CLIENT, DIRECT_CLIENT},
    eventually,
    fault::{Fault, Moment},
    http,
};

type Test = Result<()>;

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_refused_swallowed_and_slowed() -> Test {
    let cluster = Testbed::shared().await?.staging().await?;
    let upstream = cluster.server_url().trim_start_matches("https://").parse()?;
    let proxy = FaultProxy::start(upstream)?;
    let get = async |within: u64| {
        let client = http::builder(cluster.ca_pem())?.timeout(Duration::from_millis(within)).build()?;
        let answer = client.get(format!("https://{}/version", proxy.address())).send().await?;
        ensure!(answer.status().is_success());
        anyhow::Ok(())
    };
    get(5000).await?;

    proxy.set(Fault::Refuse);
    let began = Instant::now();
    assert!(get(20_000).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(15), "at once, not when the client gives up");

    proxy.set(Fault::BlackHole);
    let error = get(300).await.err().context("nothing may come back")?;
    assert!(format!("{error:#}").contains("timed out") || format!("{error:?}").contains("TimedOut"), "{error:?}");

    proxy.set(Fault::Latency(Duration::from_millis(200)));
    let began = Instant::now();
    get(10_000).await?;
    assert!(began.elapsed() > Duration::from_millis(400), "{:?}", began.elapsed());

    proxy.set(Fault::Pass);
    get(5000).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_is_cut() -> Test {
    let cluster = Testbed::shared().await?.staging().await?;
    let proxy = FaultProxy::start(cluster.server_url().trim_start_matches("https://").parse()?)?;
    let client = http::client(cluster.ca_pem())?;
    let url = format!("https://{}/version", proxy.address());
    client.get(&url).send().await?.text().await?; // leaves a connection in the client's pool
    proxy.set(Fault::Refuse);
    assert!(client.get(&url).send().await.is_err());
    proxy.set(Fault::Pass);
    client.get(&url).send().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_held_before_and_after_the_server_did_it() -> Test {
    let cluster = Testbed::shared().await?.staging().await?;
    let admin = cluster.kubectl()?;
    let proxy = HttpFault::start(cluster.server_url(), cluster.ca())?;
    admin.run(&["create", "serviceaccount", "holder", "-n", "default"]).await?.ok()?;
    admin
        .run(&[
            "create",
            "clusterrolebinding",
            "holder",
            "--clusterrole=cluster-admin",
            "--serviceaccount=default:holder",
        ])
        .await?
        .ok()?;
    let token = admin.run(&["create", "token", "holder", "-n", "default"]).await?.ok()?.trim().to_owned();
    let client = http::client(cluster.ca_pem())?;
    let create = |name: &str| {
        let body = serde_json::json!({"metadata": {"name": name}});
        let url = format!("{}/api/v1/namespaces", proxy.url());
        let request = client.post(url).bearer_auth(&token).json(&body);
        tokio::spawn(async move { anyhow::Ok(request.send().await?.status()) })
    };
    let exists = async |name: &str| anyhow::Ok(admin.run(&["get", "namespace", name]).await?.success());
    eventually("the token to work", Duration::from_secs(5), || async {
        let status =
            client.get(format!("{}/api/v1/namespaces", proxy.url())).bearer_auth(&token).send().await?.status();
        ensure!(status.is_success(), "{status}");
        Ok(())
    })
    .await?;

    let hold = proxy.hold(Method::POST, "/api/v1/namespaces", Moment::BeforeForwarding);
    let request = create("held-before");
    hold.held().await?;
    assert!(!exists("held-before").await?);
    hold.release();
    assert_eq!(request.await??, 201);
    assert!(exists("held-before").await?);
    proxy.clear();

    let hold = proxy.hold(Method::POST, "/api/v1/namespaces", Moment::AfterAnswer);
    let request = create("held-after");
    hold.held().await?;
    assert!(exists("held-after").await?, "the server has done it");
    assert!(!request.is_finished(), "and nobody knows");
    drop(hold);
    assert_eq!(request.await??, 201);

    proxy.answer(None, "/version", 200, "text/html", "<h1>It works!</h1>");
    let answer = client.get(format!("{}/version", proxy.url())).send().await?;
    assert_eq!(answer.text().await?, "<h1>It works!</h1>");
    assert!(proxy.requests().iter().any(|(method, path)| method == Method::GET && path == "/version"));
    Ok(())
}

/// A Dex behind a strict provider, and what asks it to refresh.
struct Strict {
    dex: Dex,
    provider: StrictProvider,
    http: reqwest::Client,
}

impl Strict {
    async fn start() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let port = Port::free()?;
        let provider = StrictProvider::start(&format!("https://{}", port.address()), bed.ca())?;
        let dex = Dex::builder().reuse_interval(Duration::ZERO).port(port).issuer_port(provider.fault().port());
        Ok(Self { dex: bed.new_dex(dex).await?, provider, http: http::client(bed.ca().pem())? })
    }

    /// The answer's status, and its refresh token or error.
    async fn refresh(&self, client: &str, token: &str) -> Result<(StatusCode, String)> {
        let form = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
        let answer = self.http.post(format!("{}/token", self.dex.issuer())).form(&form).send().await?;
        let (status, said) = (answer.status(), answer.json::<serde_json::Value>().await?);
        let what = said["refresh_token"].as_str().or(said["error"].as_str()).context("a token or an error")?;
        Ok((status, what.to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_provider_ends_the_sign_in_whose_spent_token_comes_again() -> Test {
    let strict = Strict::start().await?;
    let person = Testbed::shared().await?.hire("sue", &[]).await?;
    let other = testbed::Credentials::of(&person.email);
    let other = strict.dex.tokens_for(DIRECT_CLIENT, &other).await?.refresh_token;
    let first = strict.dex.tokens(&person.email).await?.refresh_token;
    let (_, second) = strict.refresh(CLIENT, &first).await?;
    let (status, third) = strict.refresh(CLIENT, &second).await?;
    assert_eq!((status, strict.provider.rotations(), strict.provider.reuses()), (StatusCode::OK, 2, 0));

    let refused = (StatusCode::BAD_REQUEST, "invalid_grant".to_owned());
    assert_eq!(strict.refresh(CLIENT, &first).await?, refused);
    assert_eq!(strict.provider.reuses(), 1);
    assert_eq!(strict.refresh(CLIENT, &third).await?, refused, "the newest one has ended, too");
    assert_eq!(strict.refresh(DIRECT_CLIENT, &other).await?.0, StatusCode::OK, "and no other sign-in");

    // Two at once: the second ends what the first one gets.
    let token = strict.dex.tokens(&person.email).await?.refresh_token;
    let hold = strict.provider.fault().hold(Method::POST, "/dex/token", Moment::AfterAnswer);
    let first = async { strict.refresh(CLIENT, &token).await };
    let second = async {
        hold.held().await?;
        let second = strict.refresh(CLIENT, &token);
        let released = async { eventually("both", Duration::from_secs(20), async || both(&hold)).await };
        let (second, released) = tokio::join!(second, async { released.await.map(|()| hold.release()) });
        released.and(second)
    };
    let (first, second) = tokio::try_join!(first, second)?;
    assert_eq!((first.0, second), (StatusCode::OK, refused.clone()));
    assert_eq!(strict.refresh(CLIENT, &first.1).await?, refused);
    Ok(())
}

fn both(hold: &testbed::Hold) -> Result<()> {
    ensure!(hold.count() == 2, "{} are held", hold.count());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_lost_when_its_connection_is_cut() -> Test {
    let strict = Strict::start().await?;
    let person = Testbed::shared().await?.hire("sue", &[]).await?;
    let token = strict.dex.tokens(&person.email).await?.refresh_token;
    strict.provider.fault().cut(Method::POST, "/dex/token");
    assert!(strict.refresh(CLIENT, &token).await.is_err());
    assert_eq!(strict.provider.rotations(), 1, "Dex has given a new one");
    strict.provider.fault().clear();
    assert_eq!(strict.refresh(CLIENT, &token).await?.0, StatusCode::BAD_REQUEST);
    assert_eq!(strict.provider.reuses(), 1);

    // Whoever goes away before Dex is asked has lost nothing.
    let token = strict.dex.tokens(&person.email).await?.refresh_token;
    let hold = strict.provider.fault().hold(Method::POST, "/dex/token", Moment::BeforeForwarding);
    tokio::select! {
        answer = strict.refresh(CLIENT, &token) => { anyhow::bail!("not held: {answer:?}") }
        at = hold.held() => at?,
    }
    hold.left().await?;
    hold.release();
    assert_eq!(strict.refresh(CLIENT, &token).await?.0, StatusCode::OK);
    Ok(())
}
