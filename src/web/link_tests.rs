//! Share links as strangers, visitors and owners meet them, on a real database: the way from the address without its token to
//! accepting, what each may learn, and what is refused.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    rate_limits::{Limits, RateLimits},
    testing::{Answer, NOW, TestApp},
    tests::{audit, cluster},
};
use crate::{
    crypto::{PlainToken, SHARE_LINK_PREFIX},
    model::{
        audience::Audience,
        cluster::Cluster,
        id::ShareLinkId,
        role::Role,
        scope::Scope,
        share_link::{LinkRules, ShareLink},
        time::Timestamp,
    },
    store::NewLink,
};

fn later() -> Timestamp {
    NOW.plus(Duration::from_hours(24))
}

/// *No role* on the whole cluster for a day, by a link for anyone: nothing has to be made on the cluster, which cannot be reached.
fn rules(cluster: &Cluster) -> LinkRules {
    LinkRules {
        role: None,
        scope: Scope::new(cluster.id, Vec::new()),
        access_lasts: Some(Duration::from_hours(24)),
        expires_at: later(),
        max_uses: None,
        audience: Audience::Anyone,
        note: None,
        reason: None,
    }
}

async fn link_with(app: &TestApp, cluster: &Cluster, rules: LinkRules) -> (ShareLink, PlainToken) {
    let (id, token) = (ShareLinkId::new(), PlainToken::generate(SHARE_LINK_PREFIX));
    let new = NewLink {
        id,
        token_hash: token.hash(),
        sealed_token: app.parts.keyring.seal(&format!("link:{id}:token"), token.expose().as_bytes()),
        rules,
        created_by: cluster.created_by,
        vouch: None,
    };
    (app.parts.store.add_link(&new, audit(), NOW).await.unwrap(), token)
}

async fn link(app: &TestApp, cluster: &Cluster) -> PlainToken {
    link_with(app, cluster, rules(cluster)).await.1
}

fn listed(text: &str) -> Audience {
    Audience::Listed("dex".parse().unwrap(), Audience::parse_guests(text).unwrap())
}

/// Opens a link: where it leads, and the cookies that the browser has then.
async fn open(app: &TestApp, token: &str, cookie: &str) -> (String, String) {
    let answer = app.get(&format!("/s/{token}"), cookie).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let set = answer.cookies().into_iter().find(|c| !c.ends_with('=')).expect("a cookie");
    (
        answer.location().to_owned(),
        [cookie, &set].iter().filter(|c| !c.is_empty()).copied().collect::<Vec<_>>().join("; "),
    )
}

/// Opens a link and looks at the page behind it.
async fn look(app: &TestApp, token: &str, cookie: &str) -> Answer {
    let (path, cookie) = open(app, token, cookie).await;
    app.get(&path, &cookie).await
}

/// Opens a link and accepts it.
async fn accept(app: &TestApp, token: &str, cookie: &str) -> Answer {
    let (path, cookie) = open(app, token, cookie).await;
    let page = app.get(&path, &cookie).await;
    assert!(page.body.contains(">Accept</button>"), "{}", page.body);
    app.post(&path, &cookie, &format!("csrf={}", page.csrf())).await
}

/// A page without what differs from request to request.
fn strip(body: &str) -> String {
    body.split("<p class=\"small muted\">").next().unwrap().to_owned()
}

#[tokio::test]
async fn immune_29_the_token_leaves_the_address_bar_and_is_in_nothing_that_follows() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let token = link(&app, &cluster).await;
    let secret = &token.expose()[4..];
    let opened = app.get(&format!("/s/{}", token.expose()), "").await;
    assert_eq!((opened.status.as_u16(), opened.headers["referrer-policy"].to_str().unwrap()), (303, "no-referrer"));
    for (name, value) in &opened.headers {
        assert!(!value.to_str().unwrap().contains(secret), "{name}");
    }
    assert!(!opened.body.contains(secret));
    let (path, held) = open(&app, token.expose(), "").await;
    let page = app.get(&path, &held).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains(secret) && page.body.contains(">Sign in to accept</a>"), "{}", page.body);
    let back: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    assert!(page.body.contains(&format!("/auth/start/dex?next={back}&#38;purpose=kubeconfig")), "{}", page.body);
    // After the way round by the provider, in the same browser.
    let (_, bob) = app.sign_in("bob@example.com", "dex").await;
    let page = app.get(&path, &format!("{bob}; {held}")).await;
    assert!(page.body.contains("alice@example.com lends you staging") && !page.body.contains(secret), "{}", page.body);
    // Whoever finds the address in a history or a referrer has nothing.
    for (cookie, who) in [("", "a stranger"), (bob.as_str(), "somebody in another browser")] {
        let page = app.get(&path, cookie).await;
        assert_eq!(page.status, 404, "{who}");
        assert!(page.body.contains("Open the share link once more") && !page.body.contains("staging"), "{who}");
    }
    // And the way back from signing in never holds a token, whoever wrote it.
    let page = app.get(&format!("/sign-in?next=/s/{}", token.expose()), "").await;
    assert!(!page.body.contains(secret), "{}", page.body);
}

#[tokio::test]
async fn immune_29_before_sign_in_every_share_link_is_the_same_page_and_names_nobody() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let good = link(&app, &cluster).await;
    let (_, expired) = link_with(&app, &cluster, LinkRules { expires_at: NOW, ..rules(&cluster) }).await;
    let (_, others) =
        link_with(&app, &cluster, LinkRules { audience: listed("bob@example.com"), ..rules(&cluster) }).await;
    let unknown = PlainToken::generate(SHARE_LINK_PREFIX);
    let mut pages = Vec::new();
    for token in [good.expose(), expired.expose(), others.expose(), unknown.expose(), "mistyped", "kls_x"] {
        let (path, cookie) = open(&app, token, "").await;
        let page = app.get(&path, &cookie).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(">Sign in to accept</a>"), "{}", page.body);
        assert!(!page.body.contains("staging") && !page.body.contains("alice"), "{}", page.body);
        assert!(page.cookies().is_empty(), "nothing is begun by looking");
        assert_eq!(page.headers["cache-control"], "no-store");
        let handle = path.rsplit('/').next().unwrap();
        assert_eq!(handle.len(), 16);
        pages.push(page.body.replace(handle, "HANDLE"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
}

#[tokio::test]
async fn with_several_providers_accepting_begins_with_a_choice() {
    let app = TestApp::with_providers(&["dex", "corp"]).await;
    let (path, cookie) = open(&app, "kls_x", "").await;
    let back: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let page = app.get(&path, &cookie).await;
    assert!(page.body.contains(&format!("/sign-in?next={back}&#38;purpose=kubeconfig")), "{}", page.body);
    let page = app.get(&format!("/sign-in?next={back}&purpose=kubeconfig"), "").await;
    for id in ["dex", "corp"] {
        let start = format!("/auth/start/{id}?next={back}&#38;purpose=kubeconfig");
        assert!(page.body.contains(&start), "{}", page.body);
    }
    assert!(page.body.contains("Sign in with DEX&#60;i&#62;</a>"), "{}", page.body);
}

#[tokio::test]
async fn a_visitor_sees_who_lends_what_and_accepts_once() {
    let app = TestApp::with_providers(&["dex", "corp"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let note = "for the release".parse().ok();
    let (_, token) = link_with(&app, &cluster, LinkRules { note, ..rules(&cluster) }).await;
    let (_, cookie) = app.sign_in("bob@example.com", "dex").await;
    let (path, cookie) = open(&app, token.expose(), &cookie).await;
    let page = app.get(&path, &cookie).await;
    for wanted in [
        "alice@example.com lends you staging",
        "for the release",
        "bob@example.com",
        "2026-11-24",
        ">Accept</button>",
        "Not now",
    ] {
        assert!(page.body.contains(wanted), "{wanted}: {}", page.body);
    }
    let form = format!("csrf={}", page.csrf());
    let kubeconfig = format!("/clusters/{}/kubeconfig", cluster.id);
    assert_eq!(app.post(&path, &cookie, &form).await.location(), kubeconfig);
    // Back, and once more.
    assert_eq!(app.post(&path, &cookie, &form).await.location(), kubeconfig);
    assert!(app.get(&path, &cookie).await.body.contains("yours to use already"));
    let shared = app.get("/shared", &cookie).await;
    assert_eq!(shared.body.matches(&format!("class=\"name\" href=\"{kubeconfig}\"")).count(), 1, "{}", shared.body);

    let (_, elsewhere) = app.sign_in("eve@example.com", "corp").await;
    let page = look(&app, token.expose(), &elsewhere).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("sign in elsewhere") && !page.body.contains("staging"), "{}", page.body);
}

#[tokio::test]
async fn immune_29_after_sign_in_whatever_is_not_open_to_somebody_is_one_page() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let with = async |change: fn(&mut LinkRules)| {
        let mut rules = rules(&cluster);
        change(&mut rules);
        link_with(&app, &cluster, rules).await
    };
    let (_, expired) = with(|r| r.expires_at = NOW).await;
    let (_, others) = with(|r| r.audience = listed("carol@example.com, @acme.example, group:ops")).await;
    let (revoked, revoked_token) = with(|_| ()).await;
    app.parts.store.revoke_link(revoked.id, audit(), NOW).await.unwrap();
    let (paused, paused_token) = with(|_| ()).await;
    app.parts.store.rest_link(paused.id, true, audit(), NOW).await.unwrap();
    let (_, used) = with(|r| r.max_uses = NonZeroU32::new(1)).await;
    let (_, carol) = app.sign_in("carol@example.com", "dex").await;
    assert_eq!(accept(&app, used.expose(), &carol).await.status, 303);
    let unknown = PlainToken::generate(SHARE_LINK_PREFIX);
    let (_, bob) = app.sign_in("bob@example.com", "dex").await;
    let mut pages = Vec::new();
    for token in [&expired, &others, &revoked_token, &paused_token, &used, &unknown] {
        pages.push(look(&app, token.expose(), &bob).await);
    }
    pages.push(look(&app, "mistyped", &bob).await);
    for page in &pages {
        assert_eq!(page.status, 404);
        assert!(
            page.body.contains("for a new one") && page.body.contains("signed in as bob@example.com"),
            "{}",
            page.body
        );
        assert!(!page.body.contains("staging") && !page.body.contains("alice") && !page.body.contains("carol"));
        assert_eq!(strip(&page.body), strip(&pages[0].body));
    }
}

#[tokio::test]
async fn whoever_accepted_it_and_whoever_made_it_read_the_truth() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, at_alice) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let (made, token) =
        link_with(&app, &cluster, LinkRules { audience: listed("bob@example.com"), ..rules(&cluster) }).await;
    let (bob, at_bob) = app.sign_in("bob@example.com", "dex").await;
    assert_eq!(accept(&app, token.expose(), &at_bob).await.status, 303);
    // Its maker is not among those it is for, and reads so.
    let page = look(&app, token.expose(), &at_alice).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("It is for bob@example.com, so you cannot accept it yourself"), "{}", page.body);
    let its_page = format!("href=\"/clusters/{}/links/{}\"", cluster.id, made.id);
    assert!(page.body.contains(&its_page), "{}", page.body);
    for (rests, words) in [(true, "It is paused"), (false, "It is for bob@example.com")] {
        app.parts.store.rest_link(made.id, rests, audit(), NOW).await.unwrap();
        assert!(look(&app, token.expose(), &at_alice).await.body.contains(words), "{words}");
        // Whoever holds something from it holds it, whatever the link does meanwhile.
        assert!(look(&app, token.expose(), &at_bob).await.body.contains("yours to use already"));
    }
    app.parts.store.revoke_link_and_access(made.id, audit(), NOW).await.unwrap();
    assert!(look(&app, token.expose(), &at_alice).await.body.contains("It is revoked, for good"));
    let page = look(&app, token.expose(), &at_bob).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("The access that this link gave you has ended"), "{}", page.body);
    assert!(app.parts.store.grants_reaching(&bob, None, NOW).await.unwrap().is_empty());
}

#[tokio::test]
async fn immune_15_somebody_whose_email_is_not_verified_is_told_of_themselves_and_not_of_the_link() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let (_, token) = link_with(&app, &cluster, LinkRules { audience: listed("@example.com"), ..rules(&cluster) }).await;
    let unknown = PlainToken::generate(SHARE_LINK_PREFIX);
    let (_, mallory) = app.sign_in_unverified("mallory@example.com", "dex").await;
    let (listed, none) = (look(&app, token.expose(), &mallory).await, look(&app, unknown.expose(), &mallory).await);
    assert_eq!((listed.status.as_u16(), strip(&listed.body)), (404, strip(&none.body)));
    assert!(none.body.contains("does not say that your email is verified"), "{}", none.body);
}

#[tokio::test]
async fn a_form_without_this_sessions_token_does_nothing() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let token = link(&app, &cluster).await;
    let (bob, cookie) = app.sign_in("bob@example.com", "dex").await;
    let (_, others) = app.sign_in("mallory@example.com", "dex").await;
    let (path, cookie) = open(&app, token.expose(), &cookie).await;
    let (own, foreign) = (app.get(&path, &cookie).await.csrf(), look(&app, token.expose(), &others).await.csrf());
    for form in
        [String::new(), "csrf=".into(), "csrf=x".into(), format!("csrf={foreign}"), format!("csrf=x&csrf={own}")]
    {
        let page = app.post(&path, &cookie, &form).await;
        assert_eq!(page.status, 403, "{form}");
        assert!(page.body.contains("reload the page"), "{}", page.body);
    }
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(app.ask("POST", &path, &headers, &format!("csrf={own}")).await.status, 403);
    assert!(app.parts.store.grants_reaching(&bob, None, NOW).await.unwrap().is_empty());
    let giant = format!("csrf={own}&x={}", "a".repeat(300_000));
    assert_eq!(app.post(&path, &cookie, &giant).await.status, 413);
}

#[tokio::test]
async fn immune_29_previews_and_scanners_use_up_nothing_and_learn_nothing() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let rules = LinkRules { max_uses: NonZeroU32::new(1), ..rules(&cluster) };
    let (made, token) = link_with(&app, &cluster, rules).await;
    let (_, bob) = app.sign_in("bob@example.com", "dex").await;
    let (path, bobs) = open(&app, token.expose(), &bob).await;
    let (_, strangers) = open(&app, token.expose(), "").await;
    let address = format!("/s/{}", token.expose());
    for cookie in ["", strangers.as_str(), bob.as_str(), bobs.as_str()] {
        for (method, path) in [
            ("GET", &address),
            ("HEAD", &address),
            ("POST", &address),
            ("PUT", &address),
            ("OPTIONS", &address),
            ("GET", &path),
            ("HEAD", &path),
            ("POST", &path),
            ("DELETE", &path),
        ] {
            let headers = [("cookie", cookie), ("sec-fetch-site", "same-origin"), ("purpose", "prefetch")];
            let answer = app.ask(method, path, &headers, "").await;
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.status);
            // Only whoever is signed in and opened it in this browser reads what it is, by looking.
            let told = answer.body.contains("staging");
            assert_eq!(told, method == "GET" && path.starts_with("/accept/") && cookie == bobs, "{method} {path}");
        }
    }
    let after = app.parts.store.link(made.id).await.unwrap();
    assert_eq!(after, made, "nothing of it changed");
    assert_eq!(accept(&app, token.expose(), &bob).await.status, 303, "and its one use is there still");
}

/// With these limits, asked from this address.
async fn limited(per_address: u32, per_link: u32) -> TestApp {
    let most = |n| NonZeroU32::new(n).unwrap();
    let limits = Limits { links_per_address: most(per_address), uses_per_link: most(per_link) };
    TestApp::with(&["dex"], |parts| parts.limits = Arc::new(RateLimits::new(limits))).await
}

#[tokio::test]
async fn immune_29_a_thousand_wrong_tokens_learn_nothing_and_are_limited() {
    // So few that what grows back while this runs hardly counts, on however slow a machine.
    let app = limited(2, 1_000).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let (made, token) = link_with(&app, &cluster, rules(&cluster)).await;
    let begun = Instant::now();
    let (mut let_in, mut refused) = (Vec::new(), Vec::new());
    for n in 0..1_000 {
        let guess =
            if n % 2 == 0 { PlainToken::generate(SHARE_LINK_PREFIX).expose().to_owned() } else { format!("kls_{n}") };
        let answer = app.ask_from("203.0.113.9:1000", "GET", &format!("/s/{guess}"), &[]).await;
        if answer.status == 429 { refused.push(answer) } else { let_in.push(answer) }
    }
    // A minute's worth, and what grew back meanwhile.
    let grown = usize::try_from(begun.elapsed().as_secs() / 30).unwrap();
    assert!((2..=2 + grown).contains(&let_in.len()), "{}", let_in.len());
    assert!(let_in.iter().all(|answer| answer.status == 303 && answer.location().starts_with("/accept/")));
    for answer in &refused {
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(answer.cookies().is_empty() && answer.body.contains("Too many at once"), "{}", answer.body);
        assert!(answer.body.contains("class=\"button primary\""), "a next step: {}", answer.body);
    }
    // A good one is refused to them in the same words, and to nobody else.
    let good = format!("/s/{}", token.expose());
    for _ in 0..2 {
        app.ask_from("203.0.113.9:1000", "GET", "/s/kls_x", &[]).await;
    }
    let theirs = app.ask_from("203.0.113.9:2000", "GET", &good, &[]).await;
    assert_eq!(theirs.status, 429);
    assert_eq!(app.ask_from("203.0.113.10:1000", "GET", &good, &[]).await.status, 303);
    assert_eq!(app.parts.store.link(made.id).await.unwrap(), made);
}

#[tokio::test]
async fn immune_18_a_made_up_forwarded_address_gets_nobody_past_the_limit() {
    let app = limited(3, 1_000).await;
    let mut statuses = Vec::new();
    for n in 0..5 {
        let forged = format!("198.51.100.{n}");
        let headers =
            [("x-forwarded-for", forged.as_str()), ("x-real-ip", forged.as_str()), ("forwarded", "for=1.1.1.1")];
        statuses.push(app.ask_from("203.0.113.9:1000", "GET", "/s/kls_x", &headers).await.status.as_u16());
    }
    assert_eq!(statuses, [303, 303, 303, 429, 429]);
}

#[tokio::test]
async fn immune_29_one_link_is_limited_from_however_many_addresses_and_so_is_accepting() {
    let app = limited(1_000, 4).await;
    let (alice, _) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let (token, other) = (link(&app, &cluster).await, link(&app, &cluster).await);
    let (_, bob) = app.sign_in("bob@example.com", "dex").await;
    let (path, cookie) = open(&app, token.expose(), &bob).await;
    let form = format!("csrf={}", app.get(&path, &cookie).await.csrf());
    let address = format!("/s/{}", token.expose());
    for n in 0..3 {
        assert_eq!(app.ask_from(&format!("203.0.113.{n}:1"), "GET", &address, &[]).await.status, 303);
    }
    let refused = app.post(&path, &cookie, &form).await;
    assert_eq!(refused.status, 429);
    assert!(
        refused.headers.contains_key("retry-after") && refused.body.contains("nothing is lost"),
        "{}",
        refused.body
    );
    assert_eq!(app.get(&format!("/s/{}", other.expose()), "").await.status, 303);
}

#[tokio::test]
async fn an_owner_makes_changes_rests_and_revokes_a_link() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, cookie) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let list = format!("/clusters/{}/links", cluster.id);
    let csrf = app.get(&list, &cookie).await.csrf();
    let send = async |path: &str, fields: &[(&str, &str)]| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &csrf).extend_pairs(fields);
        app.post(path, &cookie, &form.finish()).await
    };
    let typed = [
        ("role", "none"),
        ("where", "cluster"),
        ("lasts", "30d"),
        ("expires", "7d"),
        ("uses", "2"),
        ("only_for", "bob@example.com, oidc:devs"),
        ("note", "for the release"),
    ];
    let wrong = send(&list, &typed).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("id=\"only_for-error\"") && wrong.body.contains("Leave out “oidc:”"), "{}", wrong.body);
    assert!(wrong.body.contains("for the release") && wrong.body.contains("value=\"2\""), "nothing typed is lost");
    let mut good = typed;
    good[5].1 = "bob@example.com";
    let made = send(&list, &good).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let page = made.location().split('?').next().unwrap().to_owned();
    let shown = app.get(made.location(), &cookie).await;
    for words in ["The link is ready", "https://lend.example/s/kls_", "<svg class=\"qr\"", "0 of 2 people", "Pause"] {
        assert!(shown.body.contains(words), "{words}: {}", shown.body);
    }
    let url = |body: &str| {
        body.split("value=\"https://lend.example/s/").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let token = url(&shown.body);
    let (_, bob) = app.sign_in("bob@example.com", "dex").await;
    let (_, carol) = app.sign_in("carol@example.com", "dex").await;
    assert_eq!(look(&app, &token, &carol).await.status, 404);

    // Other rules, the same address.
    let mut other = good;
    (other[3].1, other[4].1, other[5].1) = ("keep", "", "bob@example.com, carol@example.com");
    assert_eq!(send(&page, &other).await.location(), page);
    let shown = app.get(&page, &cookie).await;
    assert_eq!(url(&shown.body), token);
    assert!(shown.body.contains("bob@example.com and carol@example.com"), "{}", shown.body);
    assert_eq!(accept(&app, &token, &carol).await.status, 303);

    // At rest for a while.
    assert_eq!(send(&format!("{page}/rest"), &[("rests", "true")]).await.status, 303);
    assert_eq!(look(&app, &token, &bob).await.status, 404);
    assert_eq!(send(&format!("{page}/rest"), &[("rests", "false")]).await.status, 303);
    assert_eq!(accept(&app, &token, &bob).await.status, 303);

    let asked = app.get(&format!("{page}/revoke"), &cookie).await;
    assert!(
        asked.body.contains("2 people still hold") && asked.body.contains("2 people: no role on the whole cluster")
    );
    assert_eq!(send(&format!("{page}/revoke"), &[("access", "take")]).await.location(), list);
    assert_eq!(look(&app, &token, &bob).await.status, 403);
    let shown = app.get(&page, &cookie).await;
    assert!(shown.body.contains("It is revoked, for good") && !shown.body.contains("/s/kls_"), "{}", shown.body);
    assert_eq!(send(&page, &other).await.status, 409, "what is revoked stays revoked");
}

#[tokio::test]
async fn nobody_but_those_who_manage_it_sees_or_changes_a_link() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, at_alice) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let (made, token) = link_with(&app, &cluster, rules(&cluster)).await;
    let (_, bob) = app.sign_in("bob@example.com", "dex").await;
    assert_eq!(accept(&app, token.expose(), &bob).await.status, 303);
    let own = app.get("/shared", &bob).await.csrf();
    let page = format!("/clusters/{}/links/{}", cluster.id, made.id);
    for path in [page.clone(), format!("{page}/revoke")] {
        let seen = app.get(&path, &bob).await;
        assert!(matches!(seen.status.as_u16(), 403 | 404) && !seen.body.contains("/s/kls_"), "{}", seen.status);
    }
    for (path, fields) in
        [("", "role=none&where=cluster&lasts=never&expires=30d"), ("/rest", "rests=true"), ("/revoke", "access=take")]
    {
        let answer = app.post(&format!("{page}{path}"), &bob, &format!("csrf={own}&{fields}")).await;
        assert!(matches!(answer.status.as_u16(), 403 | 404), "{path}: {}", answer.status);
    }
    // Nor by the page of another cluster that one does manage.
    let (carol, at_carol) = app.sign_in("carol@example.com", "dex").await;
    let theirs = super::tests::cluster(&app, &carol).await;
    let csrf = app.get(&format!("/clusters/{}/links", theirs.id), &at_carol).await.csrf();
    let elsewhere = format!("/clusters/{}/links/{}", theirs.id, made.id);
    assert_eq!(app.get(&elsewhere, &at_carol).await.status, 404);
    assert_eq!(app.post(&format!("{elsewhere}/revoke"), &at_carol, &format!("csrf={csrf}")).await.status, 404);
    assert_eq!(app.post(&format!("{elsewhere}/rest"), &at_carol, &format!("csrf={csrf}&rests=true")).await.status, 404);
    let after = app.parts.store.link(made.id).await.unwrap();
    assert_eq!((after.rules, after.paused_at, after.revoked_at), (made.rules, None, None));
    assert_eq!(app.get(&page, &at_alice).await.status, 200);
}

#[tokio::test]
async fn immune_28_a_role_of_kubernetes_own_is_refused_at_its_field_and_one_that_cannot_be_checked_is_not_given() {
    let app = TestApp::with_providers(&["dex"]).await;
    let (alice, cookie) = app.sign_in("alice@example.com", "dex").await;
    let cluster = cluster(&app, &alice).await;
    let list = format!("/clusters/{}/links", cluster.id);
    let csrf = app.get(&list, &cookie).await.csrf();
    for role in ["role:system:masters", "role:system%3Anode", "Cluster-Admin", "role:*", "role:"] {
        let form = format!("csrf={csrf}&role={role}&where=cluster&lasts=30d&expires=7d");
        let answer = app.post(&list, &cookie, &form).await;
        assert_eq!(answer.status, 422, "{role}");
        assert!(answer.body.contains("id=\"role-error\""), "{role}: {}", answer.body);
    }
    // This cluster does not answer.
    for role in ["role:log-reader", "cluster-admin"] {
        let form = format!("csrf={csrf}&role={role}&where=cluster&lasts=30d&expires=7d");
        assert_eq!(app.post(&list, &cookie, &form).await.status, 502, "{role}");
    }
    assert!(app.parts.store.links_of_cluster(cluster.id, None, 9).await.unwrap().is_empty());
    assert_eq!(Role::NAMES.len(), 3);
}

#[tokio::test]
async fn behind_a_named_proxy_the_clients_own_address_counts() {
    let most = |n| NonZeroU32::new(n).unwrap();
    let limits = Limits { links_per_address: most(1), uses_per_link: most(100) };
    let app = TestApp::with(&["dex"], |parts| {
        parts.limits = Arc::new(RateLimits::new(limits));
        let mut settings = (*parts.settings).clone();
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        parts.settings = Arc::new(settings);
    })
    .await;
    let proxy: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let ask = async |client: &str| {
        app.ask_from(&proxy.to_string(), "GET", "/s/kls_x", &[("x-forwarded-for", client)]).await.status.as_u16()
    };
    assert_eq!(
        [ask("203.0.113.1").await, ask("203.0.113.2").await, ask("9.9.9.9, 203.0.113.1").await],
        [303, 303, 429]
    );
}
