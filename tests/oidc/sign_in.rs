//! The authorization code flow.

use std::time::Duration;

use kubelend::{
    model::time::Timestamp,
    oidc::{OidcError, ProviderHealth, Purpose},
};
use testbed::Testbed;

use super::bed::{answer_for, begin, provider, redirect, sign_in};

#[tokio::test]
async fn somebody_signs_in_and_the_verified_token_says_who_they_are() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    let person = bed.hire("dora", &["devs", "ops"]).await.unwrap();
    let provider = provider(dex);
    assert_eq!(provider.health(), ProviderHealth::Unknown);
    let signed_in = sign_in(&provider, Purpose::Pages, &person).await.unwrap();
    assert!(matches!(provider.health(), ProviderHealth::Up(_)));
    let claims = &signed_in.claims;
    assert_eq!(claims.issuer, dex.issuer());
    assert_eq!(claims.email.as_ref().unwrap().as_str(), person.email);
    assert!(claims.email_verified);
    assert_eq!(claims.name.as_deref(), Some(person.name.as_str()));
    let mut groups = claims.groups.clone();
    groups.sort();
    assert_eq!(groups, ["devs", "ops"]);
    let tokens = &signed_in.tokens;
    assert_eq!(tokens.expires_at.since(tokens.issued_at), Duration::from_mins(10));
    assert!(tokens.issued_at > Timestamp::from_secs(0));
    assert!(tokens.refresh_token.is_none(), "pages ask for none");
}

#[tokio::test]
async fn a_kubeconfig_comes_with_a_refresh_token() {
    let bed = Testbed::shared().await.unwrap();
    let provider = provider(bed.dex().await.unwrap());
    let person = bed.hire("dora", &[]).await.unwrap();
    let signed_in = sign_in(&provider, Purpose::Kubeconfig, &person).await.unwrap();
    assert!(signed_in.tokens.refresh_token.is_some());
    assert!(signed_in.claims.groups.is_empty());
}

#[tokio::test]
async fn immune_13_a_code_is_good_once_and_with_its_own_verifier_and_nonce() {
    let bed = Testbed::shared().await.unwrap();
    let provider = provider(bed.dex().await.unwrap());
    let person = bed.hire("dora", &[]).await.unwrap();

    let (url, attempt) = begin(&provider, Purpose::Pages).await.unwrap();
    let callback = answer_for(&provider, &url, &person).await;
    provider.finish(&attempt, &redirect(), callback.clone()).await.unwrap();
    let again = provider.finish(&attempt, &redirect(), callback).await.unwrap_err();
    assert!(matches!(again, OidcError::CodeRefused(_)), "{again}");

    let (url, mut attempt) = begin(&provider, Purpose::Pages).await.unwrap();
    let callback = answer_for(&provider, &url, &person).await;
    attempt.verifier = begin(&provider, Purpose::Pages).await.unwrap().1.verifier;
    let stolen = provider.finish(&attempt, &redirect(), callback).await.unwrap_err();
    assert!(matches!(stolen, OidcError::CodeRefused(_)), "{stolen}");

    let (url, mut attempt) = begin(&provider, Purpose::Pages).await.unwrap();
    let callback = answer_for(&provider, &url, &person).await;
    attempt.nonce = begin(&provider, Purpose::Pages).await.unwrap().1.nonce;
    let mixed = provider.finish(&attempt, &redirect(), callback).await.unwrap_err();
    assert!(matches!(mixed, OidcError::BadToken(_)), "{mixed}");
}

#[tokio::test]
async fn immune_13_a_sign_in_begun_in_one_browser_does_not_end_in_another() {
    let bed = Testbed::shared().await.unwrap();
    let provider = provider(bed.dex().await.unwrap());
    let person = bed.hire("dora", &[]).await.unwrap();
    let (url, mine) = begin(&provider, Purpose::Pages).await.unwrap();
    let (_, theirs) = begin(&provider, Purpose::Pages).await.unwrap();
    let callback = answer_for(&provider, &url, &person).await;
    let error = provider.finish(&theirs, &redirect(), callback.clone()).await.unwrap_err();
    assert_eq!(error, OidcError::WrongState);
    // Nothing was spent by that.
    provider.finish(&mine, &redirect(), callback).await.unwrap();
}

#[tokio::test]
async fn two_tabs_finish_in_the_other_order() {
    let bed = Testbed::shared().await.unwrap();
    let provider = provider(bed.dex().await.unwrap());
    let person = bed.hire("dora", &[]).await.unwrap();
    let (first_url, first) = begin(&provider, Purpose::Pages).await.unwrap();
    let (second_url, second) = begin(&provider, Purpose::Pages).await.unwrap();
    let first_answer = answer_for(&provider, &first_url, &person).await;
    let second_answer = answer_for(&provider, &second_url, &person).await;
    provider.finish(&second, &redirect(), second_answer).await.unwrap();
    provider.finish(&first, &redirect(), first_answer).await.unwrap();
}

#[tokio::test]
async fn immune_12_a_code_of_another_client_of_the_same_provider_opens_nothing() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    let person = bed.hire("dora", &[]).await.unwrap();
    let mut settings = super::bed::settings(dex.issuer(), Some(dex.ca_pem()));
    settings.client_id = testbed::dex::DIRECT_CLIENT.into();
    let direct = super::bed::provider_with(settings, super::bed::LOCAL);
    let (url, attempt) = begin(&direct, Purpose::Pages).await.unwrap();
    let callback = answer_for(&direct, &url, &person).await;
    // Dex gives our client nothing for it, with a 500 `server_error`, which does not mean that Dex is down.
    let ours = provider(dex);
    let error = ours.finish(&attempt, &redirect(), callback).await.unwrap_err();
    assert!(matches!(error, OidcError::CodeRefused(_) | OidcError::Unreachable(_)), "{error}");
    assert!(matches!(ours.health(), ProviderHealth::Up(_)));
}
