//! What strangers and signed-in people meet, page by page, on a real database.

use std::time::Duration;

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::get};
use tower::ServiceExt;

use super::testing::{NOW, TestApp};
use crate::{
    crypto,
    model::{
        audit::{Action, Actor},
        claim_mapping::ClaimMapping,
        cluster::{Cluster, CredentialKind, Endpoint},
        id::ClusterId,
        identity::Identity,
        provider::ProviderId,
        time::Timestamp,
    },
    oidc::{Attempt, OidcError, ProviderSettings, Purpose},
    store::{AuditDraft, NewCluster, SealedCredential},
};

pub(super) fn audit() -> AuditDraft {
    AuditDraft {
        actor: Actor::Kubelend,
        actor_name: "test".into(),
        action: Action::LinkCreated,
        target: String::new(),
        request_id: None,
    }
}

/// A cluster that cannot be reached, which trusts `dex`.
pub(super) async fn cluster(app: &TestApp, owner: &Identity) -> Cluster {
    cluster_called("staging", app, owner).await
}

async fn cluster_called(name: &str, app: &TestApp, owner: &Identity) -> Cluster {
    let id = ClusterId::new();
    let new = NewCluster {
        id,
        workspace: None,
        name: name.parse().unwrap(),
        endpoint: Endpoint { server: "https://staging.invalid/".parse().unwrap(), ca_pem: None, tls_server_name: None },
        credential: SealedCredential {
            kind: CredentialKind::Token,
            sealed: app.parts.keyring.seal(&format!("cluster:{id}:credential"), b"x"),
        },
        trusts: vec![("dex".parse().unwrap(), ClaimMapping::default())],
        owner_grant: None,
    };
    app.parts.store.add_cluster(&new, "Workspace", owner.id, audit(), app.parts.clock.now()).await.unwrap()
}

#[tokio::test]
async fn immune_16_signing_in_leads_nowhere_else() {
    let app = TestApp::with_providers(&["dex"]).await;
    for bad in ["https://evil.example", "//evil.example", "/\\evil.example", "/%5c%5cevil.example", "/%09/evil.example"]
    {
        let bad: String = url::form_urlencoded::byte_serialize(bad.as_bytes()).collect();
        let page = app.get(&format!("/sign-in?next={bad}"), "").await;
        assert!(page.body.contains("href=\"/auth/start/dex\""), "{}", page.body);
        assert!(!page.body.contains("evil"), "{}", page.body);
    }
    let (_, cookie) = app.sign_in("bob@example.com", "dex").await;
    assert_eq!(app.get("/sign-in?next=https://evil.example", &cookie).await.location(), "/");
    assert_eq!(app.get("/sign-in?next=/shared", &cookie).await.location(), "/shared");
}

#[tokio::test]
async fn a_provider_that_is_down_is_a_page_that_says_whose_turn_it_is() {
    let app = TestApp::with_providers(&["dex"]).await;
    let page = app.get("/auth/start/dex?next=/shared&purpose=kubeconfig", "").await;
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(page.body.contains("DEX&#60;i&#62; does not answer"), "{}", page.body);
    assert!(
        page.body.contains("/auth/start/dex?next=%2Fshared&#38;purpose=kubeconfig\">Try again</a>"),
        "{}",
        page.body
    );
    assert_eq!(app.get("/auth/start/nobody", "").await.status, 404);
}

#[tokio::test]
async fn another_site_makes_nobody_sign_in() {
    let app = TestApp::with_providers(&["dex"]).await;
    let answer = app
        .ask("GET", "/auth/start/dex?next=/shared&purpose=kubeconfig", &[("sec-fetch-site", "cross-site")], "")
        .await;
    assert_eq!(answer.location(), "/sign-in?next=%2Fshared&purpose=kubeconfig");
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn immune_13_an_answer_that_this_browser_did_not_ask_for_signs_nobody_in() {
    let app = TestApp::with_providers(&["dex", "corp"]).await;
    for path in [
        format!("/auth/callback/dex?code=x&state={}", crypto::random_text()),
        "/auth/callback/dex".to_owned(),
        "/auth/callback/dex?error=access_denied&error_description=%3Cscript%3E&state=x".to_owned(),
    ] {
        let page = app.get(&path, "").await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.body.contains(">Sign in again</a>"), "{}", page.body);
        assert!(page.cookies().is_empty() && !page.body.contains("<script>"), "{path}");
    }
    let (_, cookie) = app.sign_in("bob@example.com", "dex").await;
    assert_eq!(app.get("/auth/callback/dex?code=x&state=replayed", &cookie).await.location(), "/");
    // An attempt at one provider is no attempt at another.
    let (headers, state) = attempt(&app, NOW);
    let page = app.get(&format!("/auth/callback/corp?code=x&state={state}"), &headers).await;
    assert_eq!((page.status.as_u16(), page.cookies().len()), (400, 0));
}

/// An attempt at `dex` that this browser began then: its cookie and its state.
fn attempt(app: &TestApp, begun_at: Timestamp) -> (String, String) {
    let attempt = Attempt {
        provider: "dex".parse().unwrap(),
        purpose: Purpose::Kubeconfig,
        state: crypto::random_text(),
        nonce: crypto::random_text(),
        verifier: crypto::random_text(),
        begun_at,
        return_to: "/accept/x".into(),
    };
    let headers = super::attempts::remember(&axum::http::HeaderMap::new(), &app.parts.keyring, &attempt);
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    (cookie, attempt.state)
}

#[tokio::test]
async fn immune_17_what_a_provider_says_of_a_refusal_is_shown_as_text() {
    let app = TestApp::with_providers(&["dex"]).await;
    let provider = app.parts.providers.iter().next().unwrap().clone();
    let next = super::return_to::ReturnTo::parse("/accept/x", &app.parts.settings.public_url).unwrap();
    for (code, status) in
        [("access_denied", 403), ("invalid_scope", 400), ("temporarily_unavailable", 503), ("<script>alert(1)", 400)]
    {
        let error = OidcError::Refused { code: code.into(), description: Some("<script>alert(1)</script>".into()) };
        let page = super::pages::sign_in::trouble(&provider, &error, &next, Purpose::Kubeconfig);
        let router = Router::new()
            .route("/", get(async move || page))
            .layer(from_fn_with_state(app.parts.clock.clone(), super::errors::show));
        let (head, body) = router.oneshot(Request::new(Body::empty())).await.unwrap().into_parts();
        let html = String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        assert_eq!(head.status, status, "{code}");
        assert!(html.contains(": &#60;script&#62;alert(1)&#60;/script&#62;”"), "{html}");
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(html.contains("/auth/start/dex?next=%2Faccept%2Fx&#38;purpose=kubeconfig\">"), "{html}");
    }
}

#[tokio::test]
async fn an_attempt_is_over_whatever_came_of_it() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (cookie, state) = attempt(&app, NOW);
    let page = app.get(&format!("/auth/callback/dex?error=access_denied&state={state}"), &cookie).await;
    assert!(page.status.is_client_error() || page.status == 503, "{}", page.status);
    let name = cookie.split('=').next().unwrap();
    assert_eq!(page.cookies(), [format!("{name}=")]);
}

#[tokio::test]
async fn who_takes_twenty_minutes_signs_in_again_and_gets_where_they_were_going() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (cookie, state) = attempt(&app, NOW.minus(Duration::from_mins(20)));
    let page = app.get(&format!("/auth/callback/dex?code=x&state={state}"), &cookie).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("That took too long"), "{}", page.body);
    assert!(page.body.contains("next=%2Faccept%2Fx&#38;purpose=kubeconfig\">Sign in again</a>"), "{}", page.body);
}

#[tokio::test]
async fn strangers_are_sent_to_sign_in_and_come_back_and_their_forms_are_not_done() {
    let app = TestApp::with_providers(&["dex"]).await;
    assert_eq!(app.get("/", "").await.location(), "/sign-in");
    assert_eq!(app.get("/shared?x=1", "").await.location(), "/sign-in?next=%2Fshared%3Fx%3D1");
    let page = app.post("/accept/x", "", "csrf=x").await;
    assert_eq!(page.status, 401);
    assert!(page.body.contains("/sign-in?next=%2Faccept%2Fx\">Sign in again</a>"), "{}", page.body);
    assert_eq!(app.post("/sign-out", "", "").await.location(), "/signed-out");
}

#[tokio::test]
async fn immune_19_a_session_is_over_with_signing_out_and_with_its_time() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (_, cookie) = app.sign_in("bob@example.com", "dex").await;
    let form = format!("csrf={}", app.get("/shared", &cookie).await.csrf());
    assert_eq!(app.post("/sign-out", &cookie, "csrf=x").await.status, 403);
    assert_eq!(app.get("/shared", &cookie).await.status, 200);
    let answer = app.post("/sign-out", &cookie, &form).await;
    assert_eq!(answer.location(), "/signed-out?provider=dex");
    assert_eq!(answer.cookies(), ["__Host-kubelend="], "the browser forgets it");
    assert_eq!(app.get("/shared", &cookie).await.location(), "/sign-in?next=%2Fshared", "and so does Kubelend");
    assert!(app.get("/signed-out?provider=dex", "").await.body.contains("You are signed out"));

    let (bob, cookie) = app.sign_in("bob@example.com", "dex").await;
    app.parts.store.end_sessions_of(bob.id).await.unwrap();
    assert_eq!(app.get("/shared", &cookie).await.status, 303);

    let (_, cookie) = app.sign_in("bob@example.com", "dex").await;
    let (name, value) = cookie.split_once('=').unwrap();
    for bent in [format!("{name}=x"), format!("{name}={}", &value[1..]), "kubelend=x".into()] {
        assert_eq!(app.get("/shared", &bent).await.status, 303, "{bent}");
    }
    app.parts.clock.set(NOW.plus(Duration::from_hours(10)));
    assert_eq!(app.get("/shared", &cookie).await.status, 303);
}

#[tokio::test]
async fn what_is_not_there_is_a_page_in_the_frame_of_whoever_asks() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (_, cookie) = app.sign_in("bob@example.com", "dex").await;
    for path in ["/nowhere", "/clusters/not-an-id/kubeconfig", &format!("/clusters/{}/kubeconfig", ClusterId::new())] {
        let page = app.get(path, &cookie).await;
        assert!(matches!(page.status.as_u16(), 400 | 404), "{path}: {}", page.status);
        assert!(page.body.contains("bob@example.com") && page.body.contains(">Sign out</button>"), "{path}");
        let id = page.headers["x-request-id"].to_str().unwrap();
        assert!(page.body.contains(id), "{path}");
    }
    assert!(!app.get("/nowhere", "").await.body.contains("Sign out"));
}

#[tokio::test]
async fn nobody_takes_a_kubeconfig_that_nobody_lent_them() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let (_, cookie) = app.sign_in("mallory@example.com", "dex").await;
    for page in ["kubeconfig", "kubeconfig/download", "kubeconfig/commands"] {
        let page = app.get(&format!("/clusters/{}/{page}", cluster.id), &cookie).await;
        assert!(matches!(page.status.as_u16(), 403 | 404), "{}", page.status);
        assert!(!page.body.contains("staging"), "{}", page.body);
    }
}

#[tokio::test]
async fn the_kubeconfig_page_stands_while_the_cluster_does_not_answer() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, cookie) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let path = format!("/clusters/{}/kubeconfig", cluster.id);
    let page = app.get(&path, &cookie).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for wanted in ["Connection test", "<legend>Format</legend>", ">Download kubeconfig</a>", "Not tested"] {
        assert!(page.body.contains(wanted), "{wanted}: {}", page.body);
    }
    let next = format!("%2Fclusters%2F{}%2Fkubeconfig%3Fformat%3Drelay", cluster.id);
    let start = format!("/auth/start/dex?next={next}&purpose=kubeconfig");
    assert!(page.body.contains(&format!("href=\"{}\">Download", start.replace('&', "&#38;"))), "{}", page.body);
    assert_eq!(app.get(&format!("{path}/download"), &cookie).await.location(), start);
    let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(app.ask("GET", &format!("{path}/download"), &headers, "").await.location(), path);
}

#[tokio::test]
async fn health_is_plain_and_ready_while_the_database_answers() {
    let app = TestApp::with_providers(&[]).await;
    assert_eq!(app.get("/healthz", "").await.body, "ok\n");
    assert_eq!(app.get("/readyz", "").await.status, 200);
    app.parts.store.close().await;
    let answer = app.get("/readyz", "").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (503, "the database does not answer\n"));
    assert_eq!(app.get("/healthz", "").await.status, 200);
    let page = app.get("/sign-in", "").await;
    assert!(page.body.contains("No sign-in provider"), "a stranger's page needs no database: {}", page.body);
    let page = app.get("/shared", "__Host-kubelend=x").await;
    assert!(matches!(page.status.as_u16(), 303 | 503));
}

#[tokio::test]
async fn immune_16_a_workspaces_own_provider_does_not_pass_for_the_one_of_everybody() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let workspace = cluster(&app, &alice).await.workspace;
    let own = ProviderId::of_workspace(workspace, [7; 5]);
    let dex = app.parts.providers.iter().next().unwrap().settings().clone();
    let issuer = "https://accounts.evil.example/realms/a".into();
    let settings = ProviderSettings { id: own.clone(), name: "DEX".into(), issuer, ..dex };
    app.parts.providers.replace_own(vec![(1, settings)]);
    let page = app.get(&format!("/sign-in?workspace={workspace}"), "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let (first, second) = page.body.split_once(&format!("href=\"/auth/start/{own}")).unwrap();
    assert!(first.contains("class=\"button primary\" href=\"/auth/start/dex"), "{first}");
    assert!(first.ends_with("class=\"button\" "), "{first}");
    assert!(second.contains("The workspace Workspace’s own") && second.contains("<code>accounts.evil.example</code>"));
    // Nor is it shown where nobody asked for that workspace.
    assert!(!app.get("/sign-in", "").await.body.contains("evil"));
}

#[tokio::test]
async fn one_of_many_clusters_is_found_by_a_word_and_no_page_shows_them_all() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (owner, owners) = app.sign_in("owner@example.com", "dex").await;
    let (_, strangers) = app.sign_in("mallory@example.com", "dex").await;
    let mut workspace = None;
    for n in 0..43 {
        workspace = Some(cluster_called(&format!("edge-{n:02}"), &app, &owner).await.workspace);
    }
    for place in ["/clusters".to_owned(), format!("/workspaces/{}", workspace.unwrap())] {
        let shown = async |question: &str| {
            let page = app.get(&format!("{place}{question}"), &owners).await;
            assert_eq!(page.status, 200, "{}", page.body);
            let count = page.body.matches("class=\"name\"").count();
            (count, page.body)
        };
        let (count, page) = shown("").await;
        assert_eq!(count, 40, "{page}");
        assert!(page.contains("1–40 of 43 clusters") && page.contains(&format!("href=\"{place}?page=2\"")), "{page}");
        let (count, page) = shown("?page=2").await;
        assert_eq!(count, 3, "{page}");
        assert!(page.contains(">edge-42</a>") && page.contains("First page") && !page.contains("Next page"), "{page}");
        let (count, page) = shown("?q=EDGE-07").await;
        assert_eq!(count, 1, "{page}");
        assert!(page.contains("1 of 43 clusters") && page.contains("value=\"EDGE-07\""), "{page}");
        let (count, page) = shown("?q=core").await;
        assert_eq!(count, 0, "{page}");
        assert!(page.contains("No cluster fits") && page.contains("All clusters"), "{page}");
    }
    let theirs = app.get("/clusters?q=edge", &strangers).await.body;
    assert!(theirs.contains("No cluster yet") && !theirs.contains("edge-"), "{theirs}");
}
