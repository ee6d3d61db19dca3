//! The servers do what tests of Kubelend rely on.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use testbed::{Credentials, Dex, FaultProxy, Kubectl, Pool, Port, Testbed, fault::Fault, http, http_login};

type Test = Result<()>;

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_from_dex_opens_the_api_server() -> Test {
    let testbed = Testbed::shared().await?;
    let began = Instant::now();
    let cluster = testbed.staging().await?;
    println!("a cluster and Dex after {:?}", began.elapsed());
    let person = testbed.hire("carol", &["devs", "ops"]).await?;
    let tokens = testbed.dex().await?.tokens(&person.email).await?;
    let claims = tokens.claims()?;
    assert_eq!(claims["email"], person.email);
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["name"], "carol Example");
    assert!(!tokens.refresh_token.is_empty());

    let carol = Kubectl::with_text(&cluster.kubeconfig_with_token(&tokens.id_token))?;
    let whoami = carol.run(&["auth", "whoami", "-o", "json"]).await?.ok()?;
    let whoami: Value = serde_json::from_str(&whoami)?;
    let user = &whoami["status"]["userInfo"];
    assert_eq!(user["username"], person.email);
    let groups: Vec<&str> = user["groups"].as_array().context("groups")?.iter().filter_map(Value::as_str).collect();
    assert!(groups.contains(&"oidc:devs") && groups.contains(&"oidc:ops"), "{groups:?}");

    let refused = carol.run(&["get", "pods", "-A"]).await?;
    assert!(!refused.success() && refused.stderr.contains("Forbidden"), "{refused:?}");
    let admin = cluster.kubectl()?;
    admin
        .run(&["create", "clusterrolebinding", "t-carol", "--clusterrole=view", "--user", &person.email])
        .await?
        .ok()?;
    testbed::eventually("carol to see pods", Duration::from_secs(5), || async {
        carol.run(&["get", "pods", "-A"]).await?.ok()
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn service_accounts_get_tokens_and_secrets_are_filled() -> Test {
    let admin = Testbed::shared().await?.staging().await?.kubectl()?;
    admin.run(&["create", "namespace", "tokens"]).await?.ok()?;
    testbed::eventually("the default service account", Duration::from_secs(10), || async {
        admin.run(&["-n", "tokens", "get", "serviceaccount", "default"]).await?.ok()
    })
    .await?;
    let token = admin.run(&["-n", "tokens", "create", "token", "default"]).await?.ok()?;
    assert_eq!(token.trim().split('.').count(), 3);
    let secret = "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/service-account-token\nmetadata: {name: filled, \
                  namespace: tokens, annotations: {kubernetes.io/service-account.name: default}}\n";
    admin.run_with_input(&["apply", "-f", "-"], secret).await?.ok()?;
    testbed::eventually("the secret to be filled", Duration::from_secs(10), || async {
        let token =
            admin.run(&["-n", "tokens", "get", "secret", "filled", "-o", "jsonpath={.data.token}"]).await?.ok()?;
        ensure!(!token.is_empty(), "no token yet");
        Ok(())
    })
    .await?;
    admin.run(&["delete", "namespace", "tokens", "--timeout=30s"]).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_down_and_comes_back() -> Test {
    let testbed = Testbed::shared().await?;
    let began = Instant::now();
    let cluster = testbed.own_cluster("down").await?;
    println!("a cluster of its own after {:?}", began.elapsed());
    let admin = cluster.kubectl()?;
    admin.run(&["create", "namespace", "stays"]).await?.ok()?;
    cluster.stop().await?;
    assert!(!admin.run(&["get", "namespaces", "--request-timeout=3s"]).await?.success());
    let began = Instant::now();
    cluster.start().await?;
    println!("back after {:?}", began.elapsed());
    let namespaces = admin.run(&["get", "namespaces"]).await?.ok()?;
    assert!(namespaces.contains("stays"), "{namespaces}");
    // Tokens are accepted again too.
    let person = testbed.hire("bob", &[]).await?;
    let tokens = testbed.dex().await?.tokens(&person.email).await?;
    let bob = Kubectl::with_text(&cluster.kubeconfig_with_token(&tokens.id_token))?;
    let whoami = bob.run(&["auth", "whoami"]).await?.ok()?;
    assert!(whoami.contains(&person.email), "{whoami}");
    Ok(())
}

/// The UID of a cluster, as everybody takes it.
async fn uid(kubectl: &Kubectl) -> Result<String> {
    kubectl.run(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]).await?.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_used_again_is_empty_and_nobody_of_before_reaches_it() -> Test {
    // One of its own: from the shared one another test might take what is given back here.
    static POOL: LazyLock<Pool> = LazyLock::new(Pool::default);
    let testbed = Testbed::shared().await?;
    let (issuer, etcd) = (testbed.dex().await?.jwt_issuer(), testbed.etcd().await?);
    let cluster = POOL.take("used", issuer.clone(), etcd).await?;
    assert!(cluster.stop().await.is_err(), "others will use it");
    let (before, first) = (cluster.kubectl()?, uid(&cluster.kubectl()?).await?);
    for things in [
        &["create", "namespace", "mine"][..],
        &["create", "configmap", "here", "-n", "mine"],
        &["create", "configmap", "there", "-n", "default"],
        &["create", "clusterrolebinding", "wide", "--clusterrole=cluster-admin", "--user=bob@example.com"],
        &["create", "clusterrole", "more", "--verb=get", "--resource=secrets"],
        &["label", "clusterrole", "more", "rbac.authorization.k8s.io/aggregate-to-view=true"],
    ] {
        before.run(things).await?.ok()?;
    }
    drop(cluster);
    let cluster = POOL.take("again", issuer.clone(), etcd).await?;
    let admin = cluster.kubectl()?;
    assert_eq!(uid(&admin).await?, first, "it is another one");
    assert!(uid(&before).await.is_err(), "the address of before leads to it");
    let all = admin
        .run(&["get", "namespaces,configmaps,clusterroles,clusterrolebindings", "-A", "-o", "name"])
        .await?
        .ok()?;
    for gone in ["namespace/mine", "configmap/here", "configmap/there", "/wide", "/more"] {
        assert!(!all.contains(gone), "{gone}: {all}");
    }
    assert!(all.contains("configmap/kube-root-ca.crt"), "{all}");
    let view = admin.run(&["describe", "clusterrole", "view"]).await?.ok()?;
    assert!(view.contains("configmaps") && !view.contains("secrets"), "{view}");

    // What belongs to it and is changed makes it useless.
    admin.run(&["label", "namespace", "default", "team=payments"]).await?.ok()?;
    drop((admin, cluster));
    let other = POOL.take("other", issuer, etcd).await?;
    assert_ne!(uid(&other.kubectl()?).await?, first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_change_while_dex_runs_and_its_keys_outlive_it() -> Test {
    let testbed = Testbed::shared().await?;
    let dex = testbed.new_dex(Dex::builder().reuse_interval(Duration::ZERO)).await?;
    let directory = testbed.directory().await?;
    let dave = testbed.hire("dave", &["devs"]).await?;
    let before = dex.tokens(&dave.email).await?;
    assert_eq!(before.claims()?["groups"], serde_json::json!(["devs"]));

    let keys = || async {
        let url = format!("{}/keys", dex.issuer());
        anyhow::Ok(http::client(dex.ca_pem())?.get(url).send().await?.text().await?)
    };
    let known = keys().await?;
    dex.stop().await?;
    let began = Instant::now();
    dex.start().await?;
    println!("Dex is back after {:?}", began.elapsed());
    assert_eq!(keys().await?, known);

    directory.rename(&dave.id, "david@example.com")?;
    directory.set_groups(&dave.id, &["ops"])?;
    let refreshed = refresh(&dex, &before.refresh_token).await?;
    assert_eq!(refreshed["email"], "david@example.com");
    assert_eq!(refreshed["groups"], serde_json::json!(["ops"]));
    assert_eq!(refreshed["sub"], before.claims()?["sub"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_goes_on_by_itself_when_its_token_has_expired() -> Test {
    let testbed = Testbed::shared().await?;
    let (dex, cluster) = (testbed.short_dex().await?, testbed.short_cluster().await?);
    let person = testbed.hire("erin", &[]).await?;
    let tokens = dex.tokens(&person.email).await?;
    let mut file: String = cluster.kubeconfig_with_token("REPLACED");
    let provider = format!(
        "auth-provider: {{name: oidc, config: {{client-id: kubelend, idp-issuer-url: '{}', \
         idp-certificate-authority-data: {}, id-token: {}, refresh-token: {}}}}}",
        dex.issuer(),
        BASE64.encode(dex.ca_pem()),
        tokens.id_token,
        tokens.refresh_token
    );
    file = file.replace("token: REPLACED", &provider);
    let kubectl = Kubectl::with_text(&file)?;
    let whoami = async || kubectl.run(&["auth", "whoami"]).await?.ok();
    assert!(whoami().await?.contains(&person.email));
    assert!(kubectl.kubeconfig_text()?.contains(&tokens.id_token), "the token is still good");
    // client-go holds a token for expired ten seconds early.
    testbed::eventually("new tokens in the file", testbed::SHORT, || async {
        assert!(whoami().await?.contains(&person.email));
        ensure!(!kubectl.kubeconfig_text()?.contains(&tokens.id_token), "still the old one");
        Ok(())
    })
    .await?;
    assert!(!kubectl.kubeconfig_text()?.contains(&tokens.refresh_token), "and a new refresh token");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dex_works_behind_a_fault() -> Test {
    let testbed = Testbed::shared().await?;
    let port = Port::free()?;
    let (proxy, bob) = (FaultProxy::start(port.address())?, testbed.hire("bob", &[]).await?.email);
    let dex = testbed.new_dex(Dex::builder().port(port).issuer_port(proxy.port())).await?;
    assert!(dex.issuer().contains(&proxy.port().to_string()));
    dex.tokens(&bob).await?;
    proxy.set(Fault::Refuse);
    assert!(dex.tokens(&bob).await.is_err());
    proxy.set(Fault::Pass);
    dex.tokens(&bob).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_goes_down_and_comes_back() -> Test {
    let postgres = testbed::Postgres::start().await?;
    postgres.sql("postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)").await?;
    postgres.stop().await?;
    assert!(postgres.sql("postgres", "SELECT 1").await.is_err());
    postgres.resume().await?;
    assert_eq!(postgres.sql("postgres", "SELECT n FROM kept").await?.trim(), "42");
    Ok(())
}

async fn refresh(dex: &Dex, refresh_token: &str) -> Result<Value> {
    let form = [("grant_type", "refresh_token"), ("client_id", "kubelend"), ("refresh_token", refresh_token)];
    let client = http::client(dex.ca_pem())?;
    let answer = client.post(format!("{}/token", dex.issuer())).form(&form).send().await?;
    let text = answer.text().await?;
    let tokens: testbed::Tokens = serde_json::from_str(&text).context(text)?;
    tokens.claims()
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_added_and_people_may_decline() -> Test {
    let testbed = Testbed::shared().await?;
    let dex = testbed.new_dex(Dex::builder().approval_screen()).await?;
    let bob = testbed.hire("bob", &[]).await?.email;
    let callback = "https://127.0.0.1:9/auth/callback/dex";
    let authorize = format!(
        "{}/auth?response_type=code&client_id=kubelend&scope=openid&state=s&redirect_uri={callback}",
        dex.issuer()
    );
    let client = http::client(dex.ca_pem())?;
    let unknown = http_login(&client, &authorize, &Credentials::of(&bob)).await;
    assert!(unknown.is_err_and(|error| format!("{error:#}").contains("redirect")));

    dex.add_redirect_uri(callback).await?;
    let granted = http_login(&client, &authorize, &Credentials::of(&bob)).await?;
    assert!(granted.as_str().starts_with(callback) && granted.query().unwrap_or_default().contains("code="));
    let declined = http_login(&client, &authorize, &Credentials::declining(&bob)).await;
    assert!(declined.is_err_and(|error| format!("{error:#}").contains("Approval rejected")));
    let wrong = Credentials { password: "wrong".to_owned(), ..Credentials::of(&bob) };
    let refused = http_login(&client, &authorize, &wrong).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("Invalid")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_test_has_a_database() -> Test {
    let began = Instant::now();
    let postgres = Testbed::shared().await?.postgres().await?;
    println!("PostgreSQL after {:?}", began.elapsed());
    let (first, second) = (postgres.create_database().await?, postgres.create_database().await?);
    assert_ne!(first, second);
    assert!(first.starts_with("postgres://"));
    Ok(())
}
