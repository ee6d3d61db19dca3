//! Whom Kubelend believes to be the provider.

use kubelend::{
    clock::Clock,
    oidc::{OidcError, Providers, Purpose},
    outbound::AddressRules,
};
use testbed::{Ca, Testbed};

use super::bed::{LOCAL, begin, provider, provider_with, settings};

#[tokio::test]
async fn immune_14_a_provider_whose_certificate_nobody_vouches_for_is_refused() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    let other = Ca::new("Another CA").unwrap();
    for ca in [None, Some(other.pem())] {
        let provider = provider_with(settings(dex.issuer(), ca), LOCAL);
        let Err(OidcError::Unreachable(why)) = begin(&provider, Purpose::Pages).await else {
            panic!("it was believed")
        };
        assert!(why.contains("certificate"), "{why}");
    }
    begin(&provider(dex), Purpose::Pages).await.unwrap();
}

#[tokio::test]
async fn immune_14_a_private_ca_is_trusted_for_its_issuer_alone() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    // Both are at the same Dex; the second did not name its CA, and the first one's does not help it.
    let mut second = settings(dex.issuer(), None);
    second.id = "second".parse().unwrap();
    let first = settings(dex.issuer(), Some(dex.ca_pem()));
    let providers = Providers::new(vec![first, second], LOCAL, &Clock::System).unwrap();
    let probe = |id: &str| providers.get(&id.parse().unwrap()).unwrap().clone();
    probe("dex").probe().await.unwrap();
    assert!(matches!(probe("second").probe().await, Err(OidcError::Unreachable(_))));
    probe("dex").probe().await.unwrap();
}

#[tokio::test]
async fn immune_10_a_provider_on_loopback_is_not_asked_unless_allowed() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    let provider = provider_with(settings(dex.issuer(), Some(dex.ca_pem())), AddressRules::default());
    let error = provider.probe().await.unwrap_err().to_string();
    assert!(error.contains("loopback") && error.contains("network.allow_loopback"), "{error}");
}

#[tokio::test]
async fn the_issuer_is_compared_to_the_letter() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    let provider = provider_with(settings(&format!("{}/", dex.issuer()), Some(dex.ca_pem())), LOCAL);
    let error = provider.probe().await.unwrap_err();
    assert!(matches!(error, OidcError::Nonsense(_)), "{error}");
}
