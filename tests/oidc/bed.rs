//! What these tests share: a provider as Kubelend has it, and somebody with a browser.

use std::{sync::Arc, time::Duration};

use kubelend::{
    clock::Clock,
    model::claim_mapping::ClaimMapping,
    oidc::{Attempt, Callback, OidcError, Provider, ProviderSettings, Providers, Purpose, SignedIn},
    outbound::AddressRules,
};
use testbed::{
    Credentials, Dex, HttpFault, Person, Port, Testbed,
    dex::{self, Builder, LOOPBACK_REDIRECT},
    http, http_login,
};
use url::Url;

pub(super) const LOCAL: AddressRules = AddressRules { allow_loopback: true };
/// What a page has.
pub(super) const PAGE: Duration = Duration::from_secs(3);

pub(super) fn settings(issuer: &str, ca_pem: Option<&str>) -> ProviderSettings {
    ProviderSettings {
        id: "dex".parse().unwrap(),
        name: "Dex".into(),
        issuer: issuer.into(),
        client_id: dex::CLIENT.into(),
        client_secret: None,
        direct_client_id: None,
        relay: true,
        ca_pem: ca_pem.map(str::to_owned),
        scopes: ["openid", "email", "profile", "groups", "offline_access"].map(str::to_owned).to_vec(),
        claim_mapping: ClaimMapping::default(),
    }
}

/// One that nothing was asked of yet.
pub(super) fn provider_with(settings: ProviderSettings, rules: AddressRules) -> Arc<Provider> {
    let providers = Providers::new(vec![settings], rules, &Clock::System).unwrap();
    Arc::clone(providers.iter().next().unwrap())
}

pub(super) fn provider(dex: &Dex) -> Arc<Provider> {
    provider_with(settings(dex.issuer(), Some(dex.ca_pem())), LOCAL)
}

pub(super) fn redirect() -> Url {
    LOOPBACK_REDIRECT.parse().unwrap()
}

pub(super) async fn begin(provider: &Provider, purpose: Purpose) -> Result<(Url, Attempt), OidcError> {
    provider.begin(&redirect(), purpose, "/").await
}

/// Goes through Dex's pages with the usual password and comes back with its answer.
pub(super) async fn answer_for(provider: &Provider, url: &Url, person: &Person) -> Callback {
    let browser = http::client(provider.settings().ca_pem.as_deref().unwrap()).unwrap();
    let back = http_login(&browser, url.as_str(), &Credentials::of(&person.email)).await.unwrap();
    let field = |name: &str| back.query_pairs().find(|(k, _)| k == name).map(|(_, v)| v.into_owned());
    Callback {
        code: field("code"),
        state: field("state"),
        iss: field("iss"),
        error: field("error"),
        error_description: field("error_description"),
    }
}

pub(super) async fn sign_in(provider: &Provider, purpose: Purpose, person: &Person) -> Result<SignedIn, OidcError> {
    let (url, attempt) = begin(provider, purpose).await?;
    let callback = answer_for(provider, &url, person).await;
    provider.finish(&attempt, &redirect(), callback).await
}

/// A Dex of the test's own behind a proxy that can answer in its place.
pub(super) async fn dex_behind_a_fault(bed: &Testbed, builder: Builder) -> (Dex, HttpFault) {
    let port = Port::free().unwrap();
    let fault = HttpFault::start(&format!("https://{}", port.address()), bed.ca()).unwrap();
    let dex = bed.new_dex(builder.port(port).issuer_port(fault.port())).await.unwrap();
    (dex, fault)
}
