//! From settings to parts: the configuration knows the vocabulary alone, and the rooms know nothing of the configuration,
//! so that what the one says is put into the others' words here.

use crate::{
    clock::Clock,
    config::{PersonConfig, ProviderConfig, Settings, Who},
    oidc::{ProviderSettings, Providers},
    outbound::AddressRules,
    policy::{PersonRule, Policy},
};

/// The providers; nothing is asked yet.
///
/// # Errors
/// A CA that cannot be used: the provider's id and why.
pub fn providers(settings: &Settings, clock: &Clock) -> Result<Providers, String> {
    let rules = AddressRules { allow_loopback: settings.allow_loopback };
    Providers::new(settings.providers.iter().map(provider).collect(), rules, clock)
}

fn provider(config: &ProviderConfig) -> ProviderSettings {
    ProviderSettings {
        id: config.id.clone(),
        name: config.name.clone(),
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.clone(),
        ca_pem: config.ca_pem.clone(),
        scopes: config.scopes.clone(),
        claim_mapping: config.claim_mapping.clone(),
    }
}

/// The standing rules.
pub fn policy(settings: &Settings) -> Policy {
    let rules = |all: &[PersonConfig]| all.iter().map(rule).collect();
    Policy { platform_admins: rules(&settings.platform_admins), cluster_adders: rules(&settings.cluster_adders) }
}

fn rule(config: &PersonConfig) -> PersonRule {
    let provider = config.provider.clone();
    match &config.who {
        Who::Email(email) => PersonRule::VerifiedEmail(provider, email.clone()),
        Who::Subject(sub) => PersonRule::Sub(provider, sub.clone()),
        Who::Group(group) => PersonRule::Group(provider, group.clone()),
    }
}
