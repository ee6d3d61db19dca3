//! The proxies fail as they are told, in front of a real API server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use testbed::{
    FaultProxy, HttpFault, Testbed, eventually,
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
