//! A provider that is down, slow, or answers nonsense.

use std::time::{Duration, Instant};

use kubelend::{
    clock::Clock,
    oidc::{OidcError, ProviderHealth, Providers, Purpose},
};
use testbed::{Dex, FaultProxy, Port, Testbed, fault::Fault};

use super::bed::{LOCAL, PAGE, answer_for, begin, dex_behind_a_fault, provider, redirect, settings, sign_in};

const DISCOVERY: &str = "/dex/.well-known/openid-configuration";
const JSON: &str = "application/json";
const NO_KEYS: &str = r#"{"keys": []}"#;

#[tokio::test]
async fn a_dex_that_was_down_is_back_without_a_restart() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.new_dex(Dex::builder()).await.unwrap();
    let person = bed.hire("tom", &[]).await.unwrap();
    let providers = Providers::new(vec![settings(dex.issuer(), Some(dex.ca_pem()))], LOCAL, &Clock::System).unwrap();
    let provider = providers.get(&"dex".parse().unwrap()).unwrap().clone();
    dex.stop().await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let background = tokio::spawn(providers.keep_fresh(async { drop(stopped.await) }));
    until(PAGE, "it shows as down", || matches!(provider.health(), ProviderHealth::Down(..))).await;
    assert!(matches!(begin(&provider, Purpose::Pages).await, Err(OidcError::Unreachable(_))));
    dex.start().await.unwrap();
    let up = || matches!(provider.health(), ProviderHealth::Up(_));
    until(Duration::from_secs(40), "it shows as up, with nobody asking", up).await;
    sign_in(&provider, Purpose::Pages, &person).await.unwrap();
    // And nobody is sent to one that has gone since.
    dex.stop().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(matches!(begin(&provider, Purpose::Pages).await, Err(OidcError::Unreachable(_))));
    stop.send(()).unwrap();
    background.await.unwrap();
}

async fn until(within: Duration, what: &str, good: impl Fn() -> bool) {
    let begun = Instant::now();
    while !good() {
        assert!(begun.elapsed() < within, "waited {within:?} until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_page_is_answered_in_time_when_dex_is_silent_slow_or_gone() {
    let bed = Testbed::shared().await.unwrap();
    let port = Port::free().unwrap();
    let proxy = FaultProxy::start(port.address()).unwrap();
    let dex = bed.new_dex(Dex::builder().port(port).issuer_port(proxy.port())).await.unwrap();
    let person = bed.hire("tom", &[]).await.unwrap();
    let provider = provider(&dex);
    let (url, attempt) = begin(&provider, Purpose::Pages).await.unwrap();
    let callback = answer_for(&provider, &url, &person).await;
    // For 2 s an answer of Dex is good enough to send people there.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for fault in [Fault::BlackHole, Fault::Latency(Duration::from_secs(2)), Fault::Refuse] {
        proxy.set(fault);
        let begun = Instant::now();
        // Ten people at once wait for one and the same answer, not each for their own.
        let all = (0..10).map(|_| {
            let (provider, attempt, callback) = (provider.clone(), attempt.clone(), callback.clone());
            tokio::spawn(async move {
                let back = redirect();
                tokio::join!(begin(&provider, Purpose::Pages), provider.finish(&attempt, &back, callback))
            })
        });
        for both in all.collect::<Vec<_>>() {
            let (begun, finished) = both.await.unwrap();
            assert!(matches!(begun, Err(OidcError::Unreachable(_))), "{fault:?}");
            assert!(matches!(finished, Err(OidcError::Unreachable(_))), "{fault:?}");
        }
        // Ten one after the other would take ten times as long; a busy machine does not.
        assert!(begun.elapsed() < 4 * PAGE, "{fault:?}: {:?}", begun.elapsed());
        assert!(matches!(provider.health(), ProviderHealth::Down(..)), "{fault:?}");
    }
    proxy.set(Fault::Pass);
    sign_in(&provider, Purpose::Pages, &person).await.unwrap();
}

#[tokio::test]
async fn nonsense_is_told_from_silence() {
    let bed = Testbed::shared().await.unwrap();
    let (dex, fault) = dex_behind_a_fault(bed, Dex::builder()).await;
    let provider = provider(&dex);
    let huge = format!("{{\"issuer\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let other = r#"{"issuer": "https://evil.example", "authorization_endpoint": "https://evil.example/a", "token_endpoint":
        "https://evil.example/t", "jwks_uri": "https://evil.example/k", "response_types_supported": ["code"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]}"#;
    for (status, kind, body) in [
        (200, "text/html", "<h1>Welcome</h1>"),
        (200, JSON, "{}"),
        (200, JSON, "[1"),
        (404, "text/plain", "not found"),
        (302, "text/plain", ""),
        (200, JSON, &huge),
        (200, JSON, other),
    ] {
        fault.answer(None, DISCOVERY, status, kind, body);
        let error = provider.probe().await.unwrap_err();
        assert!(matches!(error, OidcError::Nonsense(_)), "{status} {body:.40}: {error}");
        assert!(error.to_string().len() < 1000);
        fault.clear();
    }
    fault.answer(None, DISCOVERY, 503, "text/html", "<h1>Back soon</h1>");
    let error = provider.probe().await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "{error}");
    fault.clear();
    provider.probe().await.unwrap();
}

#[tokio::test]
async fn a_rotation_of_keys_costs_no_sign_in_and_one_request() {
    let bed = Testbed::shared().await.unwrap();
    let (dex, fault) = dex_behind_a_fault(bed, Dex::builder()).await;
    let provider = provider(&dex);
    let person = bed.hire("tom", &[]).await.unwrap();
    // Dex signs with a key that Kubelend has not seen yet.
    fault.answer(None, "/dex/keys", 200, JSON, NO_KEYS);
    let mut answers = Vec::new();
    for _ in 0..5 {
        let (url, attempt) = begin(&provider, Purpose::Pages).await.unwrap();
        let callback = answer_for(&provider, &url, &person).await;
        answers.push((attempt, callback));
    }
    fault.clear();
    let before = keys_asked(&fault);
    let all = answers.into_iter().map(|(attempt, callback)| {
        let provider = provider.clone();
        tokio::spawn(async move { provider.finish(&attempt, &redirect(), callback).await })
    });
    for finished in all.collect::<Vec<_>>() {
        finished.await.unwrap().unwrap();
    }
    let asked = keys_asked(&fault) - before;
    assert!((1..=2).contains(&asked), "five sign-ins asked {asked} times");
}

#[tokio::test]
async fn immune_12_tokens_with_unknown_keys_do_not_make_kubelend_ask_without_end() {
    let bed = Testbed::shared().await.unwrap();
    let (dex, fault) = dex_behind_a_fault(bed, Dex::builder()).await;
    let provider = provider(&dex);
    let person = bed.hire("tom", &[]).await.unwrap();
    fault.answer(None, "/dex/keys", 200, JSON, NO_KEYS);
    let mut answers = Vec::new();
    for _ in 0..4 {
        let (url, attempt) = begin(&provider, Purpose::Pages).await.unwrap();
        answers.push((attempt, answer_for(&provider, &url, &person).await));
    }
    let before = keys_asked(&fault);
    let begun = Instant::now();
    for (attempt, callback) in answers {
        let error = provider.finish(&attempt, &redirect(), callback).await.unwrap_err();
        assert!(matches!(error, OidcError::BadToken(_)), "{error}");
    }
    // Once, and once more for each pause that a slow machine took over it.
    let most = 1 + usize::try_from(begun.elapsed().as_secs() / 5).unwrap();
    let asked = keys_asked(&fault) - before;
    assert!((1..=most).contains(&asked), "asked {asked} times");
}

fn keys_asked(fault: &testbed::HttpFault) -> usize {
    fault.requests().iter().filter(|(_, path)| path.starts_with("/dex/keys")).count()
}
