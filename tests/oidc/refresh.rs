//! Refreshing.

use std::time::{Duration, Instant};

use kubelend::oidc::{ProviderHealth, Purpose, RefreshError, Refreshed, Renewal, Unverified};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use testbed::{Dex, Directory, FaultProxy, Port, Testbed, fault::Fault};

use super::bed::{dex_behind_a_fault, provider, sign_in};

fn verified(renewal: Renewal) -> Refreshed {
    match renewal {
        Renewal::Verified(new) => *new,
        Renewal::Unverified(late) => panic!("{late:?}"),
    }
}

fn unverified(renewal: Renewal) -> Unverified {
    match renewal {
        Renewal::Unverified(late) => late,
        Renewal::Verified(new) => panic!("{new:?}"),
    }
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_with_fresh_groups_for_the_same_person() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.new_dex(Dex::builder().reuse_interval(Duration::ZERO)).await.unwrap();
    let provider = provider(&dex);
    let person = bed.hire("rita", &["devs"]).await.unwrap();
    let signed_in = sign_in(&provider, Purpose::Kubeconfig, &person).await.unwrap();
    let old = signed_in.tokens.refresh_token.unwrap();
    let fresh = verified(provider.refresh(&old, &signed_in.claims.sub).await.unwrap());
    assert_eq!((fresh.claims.sub, fresh.claims.groups), (signed_in.claims.sub.clone(), signed_in.claims.groups));
    let fresh = fresh.tokens;
    assert_ne!(fresh.id_token.expose_secret(), signed_in.tokens.id_token.expose_secret());
    assert!(fresh.expires_at >= signed_in.tokens.expires_at);
    let new = fresh.refresh_token.unwrap();
    assert_ne!(new.expose_secret(), old.expose_secret());

    // Spent: 400 invalid_request at Dex.
    let spent = provider.refresh(&old, &signed_in.claims.sub).await.unwrap_err();
    assert!(matches!(spent, RefreshError::Ended(_)), "{spent}");
}

#[tokio::test]
async fn a_refresh_for_another_person_ends_it() {
    let bed = Testbed::shared().await.unwrap();
    let provider = provider(bed.dex().await.unwrap());
    let person = bed.hire("rita", &[]).await.unwrap();
    let signed_in = sign_in(&provider, Purpose::Kubeconfig, &person).await.unwrap();
    let token = signed_in.tokens.refresh_token.unwrap();
    let error = provider.refresh(&token, "somebody else").await.unwrap_err();
    assert!(matches!(error, RefreshError::Ended(_)), "{error}");
}

#[tokio::test]
async fn immune_19_somebody_who_left_is_refreshed_no_more() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.new_dex(Dex::builder().reuse_interval(Duration::ZERO)).await.unwrap();
    let provider = provider(&dex);
    let person = bed.hire("rita", &[]).await.unwrap();
    let signed_in = sign_in(&provider, Purpose::Kubeconfig, &person).await.unwrap();
    let token = signed_in.tokens.refresh_token.unwrap();
    bed.directory().await.unwrap().remove(&person.id).unwrap();
    for _ in 0..3 {
        let error = provider.refresh(&token, &signed_in.claims.sub).await.unwrap_err();
        assert_eq!(error, RefreshError::Unclear("invalid_request".into()));
    }
}

#[tokio::test]
async fn a_directory_that_is_down_ends_nobodys_sign_in() {
    let bed = Testbed::shared().await.unwrap();
    let directory = Directory::start().await.unwrap();
    let person = directory.people().remove(1);
    let builder = Dex::builder().reuse_interval(Duration::ZERO);
    let dex = builder.start(bed.ca(), bed.etcd().await.unwrap(), &directory).await.unwrap();
    let provider = provider(&dex);
    let signed_in = sign_in(&provider, Purpose::Kubeconfig, &person).await.unwrap();
    let token = signed_in.tokens.refresh_token.unwrap();
    directory.stop().await.unwrap();
    // To the letter what Dex says of somebody who left: it cannot be told apart, and spends nothing.
    for _ in 0..2 {
        let error = provider.refresh(&token, &signed_in.claims.sub).await.unwrap_err();
        assert_eq!(error, RefreshError::Unclear("invalid_request".into()));
    }
    assert!(matches!(provider.health(), ProviderHealth::Up(_)), "Dex itself answers");
    directory.start_again().await.unwrap();
    verified(provider.refresh(&token, &signed_in.claims.sub).await.unwrap());
    let spent = provider.refresh(&token, &signed_in.claims.sub).await.unwrap_err();
    assert!(matches!(spent, RefreshError::Ended(_)), "{spent}");
}

#[tokio::test]
async fn a_made_up_token_ends_it() {
    let bed = Testbed::shared().await.unwrap();
    let provider = provider(bed.dex().await.unwrap());
    for token in ["", "x", "ChlrZXkSBm5vbmNl"] {
        let error = provider.refresh(&SecretString::from(token), "s").await.unwrap_err();
        assert!(matches!(error, RefreshError::Ended(_)), "{token}: {error}");
    }
}

#[tokio::test]
async fn a_dex_that_is_silent_loses_nothing() {
    let bed = Testbed::shared().await.unwrap();
    let port = Port::free().unwrap();
    let proxy = FaultProxy::start(port.address()).unwrap();
    let dex = bed.new_dex(Dex::builder().port(port).issuer_port(proxy.port())).await.unwrap();
    let provider = provider(&dex);
    let person = bed.hire("rita", &[]).await.unwrap();
    let signed_in = sign_in(&provider, Purpose::Kubeconfig, &person).await.unwrap();
    let token = signed_in.tokens.refresh_token.unwrap();
    for fault in [Fault::BlackHole, Fault::Refuse] {
        proxy.set(fault);
        let begun = Instant::now();
        let error = provider.refresh(&token, &signed_in.claims.sub).await.unwrap_err();
        assert!(matches!(error, RefreshError::Unavailable(_)), "{fault:?}: {error}");
        // Longer than a page would: what nobody waits for must not be cut short.
        assert!(begun.elapsed() < Duration::from_secs(12), "{fault:?}: {:?}", begun.elapsed());
    }
    proxy.set(Fault::Pass);
    verified(provider.refresh(&token, &signed_in.claims.sub).await.unwrap());
}

#[tokio::test]
async fn a_token_whose_key_is_not_known_yet_costs_no_refresh_token() {
    let bed = Testbed::shared().await.unwrap();
    let (dex, fault) = dex_behind_a_fault(bed, Dex::builder().reuse_interval(Duration::ZERO)).await;
    let person = bed.hire("rita", &[]).await.unwrap();
    let signed_in = sign_in(&provider(&dex), Purpose::Kubeconfig, &person).await.unwrap();
    let (sub, old) = (signed_in.claims.sub, signed_in.tokens.refresh_token.unwrap());
    // One that begins while the provider's keys are not there yet.
    fault.answer(None, "/dex/keys", 200, "application/json", r#"{"keys": []}"#);
    let provider = provider(&dex);
    provider.probe().await.unwrap();
    fault.clear();
    fault.answer(None, "/dex/keys", 503, "text/plain", "back soon");
    let late = unverified(provider.refresh(&old, &sub).await.unwrap());
    let new = late.refresh_token().clone();
    assert_ne!(new.expose_secret(), old.expose_secret());
    let error = provider.verify_late(late, &sub).await.unwrap_err();
    assert!(matches!(error, RefreshError::Unavailable(_)), "{error}");
    // The new one is good, and one that can be verified after all is.
    let late = unverified(provider.refresh(&new, &sub).await.unwrap());
    let newest = late.refresh_token().clone();
    fault.clear();
    let fresh = provider.verify_late(late, &sub).await.unwrap();
    assert_eq!(fresh.claims.sub, sub);
    assert_eq!(fresh.tokens.refresh_token.unwrap().expose_secret(), newest.expose_secret());
    verified(provider.refresh(&newest, &sub).await.unwrap());
}

#[tokio::test]
async fn another_persons_token_that_is_verified_late_ends_it() {
    let bed = Testbed::shared().await.unwrap();
    let (dex, fault) = dex_behind_a_fault(bed, Dex::builder()).await;
    let person = bed.hire("rita", &[]).await.unwrap();
    let signed_in = sign_in(&provider(&dex), Purpose::Kubeconfig, &person).await.unwrap();
    fault.answer(None, "/dex/keys", 200, "application/json", r#"{"keys": []}"#);
    let provider = provider(&dex);
    provider.probe().await.unwrap();
    fault.clear();
    let token = signed_in.tokens.refresh_token.unwrap();
    let late = unverified(provider.refresh(&token, "somebody else").await.unwrap());
    let error = provider.verify_late(late, "somebody else").await.unwrap_err();
    assert!(matches!(error, RefreshError::Ended(_)), "{error}");
}

#[tokio::test]
async fn an_answer_without_an_id_token_still_brings_the_newest_refresh_token() {
    let bed = Testbed::shared().await.unwrap();
    let (dex, fault) = dex_behind_a_fault(bed, Dex::builder()).await;
    let provider = provider(&dex);
    provider.probe().await.unwrap();
    let answer = r#"{"access_token": "a", "token_type": "bearer", "refresh_token": "the next"}"#;
    fault.answer(Some(Method::POST), "/dex/token", 200, "application/json", answer);
    let late = unverified(provider.refresh(&SecretString::from("the last"), "s").await.unwrap());
    assert_eq!(late.refresh_token().expose_secret(), "the next");
    let error = provider.verify_late(late, "s").await.unwrap_err();
    assert!(matches!(error, RefreshError::Unclear(_)), "{error}");
}
