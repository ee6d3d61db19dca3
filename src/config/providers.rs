//! The providers' settings.

use super::{ProviderConfig, section::Section};
use crate::model::{
    ca::{self as authorities, BadCa},
    claim_mapping::{ClaimMapping, UsernameClaim},
    issuer::{self, BadIssuer},
    own_provider::is_scope,
    provider::ProviderId,
};

const SCOPES: [&str; 5] = ["openid", "email", "profile", "groups", "offline_access"];

/// Reads all of them; those with a mistake are left out, since nothing is used then anyway.
pub(super) fn read(root: &mut Section<'_>, allow_loopback: bool) -> Vec<ProviderConfig> {
    let sections = root.sections("providers");
    if sections.is_empty() {
        root.mistake(
            "providers",
            "there is none, so nobody could sign in",
            "add a [[providers]] section with id, issuer and client_id",
        );
    }
    let mut all: Vec<ProviderConfig> = Vec::new();
    for section in sections {
        let path = section.path().to_owned();
        let Some(provider) = one(section, allow_loopback) else { continue };
        if all.iter().any(|other| other.id == provider.id) {
            root.mistake(
                &format!("{path}.id"),
                format!("“{}” is taken by another provider", provider.id),
                "give each its own",
            );
        }
        all.push(provider);
    }
    all
}

fn one(mut section: Section<'_>, allow_loopback: bool) -> Option<ProviderConfig> {
    let id = section.required("id", "dex").and_then(|text| match text.parse::<ProviderId>() {
        Ok(id) if id.home().is_some() => {
            section.mistake("id", "reads like that of a workspace's own provider", "choose another one");
            None
        }
        Ok(id) => Some(id),
        Err(why) => {
            section.mistake("id", why.to_string(), "choose one; it becomes part of the redirect URI");
            None
        }
    });
    let name = section.word("name");
    let issuer = issuer(&mut section, allow_loopback);
    let client_id = section.required("client_id", "kubelend");
    let client_secret = section.secret("client_secret", "client_secret_file");
    let direct_client_id = section.word("direct_client_id");
    let relay = section.flag("relay").unwrap_or(true);
    check_clients(&section, client_id.as_deref(), client_secret.is_some(), direct_client_id.as_deref(), relay);
    let ca_pem = ca(&mut section, "ca_file");
    let scopes = scopes(&mut section);
    let claim_mapping = claim_mapping(section.section("claim_mapping"));
    section.end();
    let id = id?;
    Some(ProviderConfig {
        name: name.unwrap_or_else(|| id.to_string()),
        id,
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        direct_client_id,
        relay,
        ca_pem,
        scopes,
        claim_mapping,
    })
}

/// Kept as it is written: tokens are compared with it to the letter.
fn issuer(section: &mut Section<'_>, allow_loopback: bool) -> Option<String> {
    const FIX: &str = "copy the “issuer” of the provider's /.well-known/openid-configuration to the letter";
    let text = section.required("issuer", "https://idp.example.com")?;
    match issuer::check(&text, allow_loopback) {
        Ok(()) => Some(text),
        Err(problem) => {
            let loopback = matches!(problem, BadIssuer::Loopback(_));
            let fix = if loopback { "for development, set network.allow_loopback = true" } else { FIX };
            section.mistake("issuer", problem.to_string(), fix);
            None
        }
    }
}

/// Two holders of refresh tokens cannot share a client: on Dex the second ends the first.
fn check_clients(section: &Section<'_>, client: Option<&str>, has_secret: bool, direct: Option<&str>, relay: bool) {
    if relay && direct.is_some() && direct == client {
        section.mistake(
            "direct_client_id",
            "is the same as client_id",
            "name a second, public client, or take the line out: kubeconfigs are relayed then",
        );
    }
    if !relay && direct.is_none() && has_secret {
        section.mistake(
            "relay",
            "is off, and the only client has a secret, which no kubeconfig may hold",
            "name a public client with direct_client_id, or leave the relay on",
        );
    }
}

/// A file with certificates of authorities, as PEM.
pub(super) fn ca(section: &mut Section<'_>, name: &'static str) -> Option<String> {
    let pem = section.file(name)?;
    match authorities::check(&pem) {
        Ok(()) => Some(pem),
        Err(why @ BadCa::NoCertificate) => {
            section.mistake(name, why.to_string(), "name the CA's certificate (-----BEGIN CERTIFICATE-----)");
            None
        }
        Err(why @ BadCa::PrivateKey) => {
            section.mistake(
                name,
                why.to_string(),
                "name a file with the certificate alone: it is written into kubeconfigs",
            );
            None
        }
    }
}

fn scopes(section: &mut Section<'_>) -> Vec<String> {
    let scopes = section.words("scopes").unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec());
    if !scopes.iter().any(|s| s == "openid") {
        section.mistake("scopes", "“openid” is not among them", "add it: without it there is no ID token");
    }
    if let Some(odd) = scopes.iter().find(|s| !is_scope(s)) {
        section.mistake(
            "scopes",
            format!("“{odd}” is no scope"),
            "write each scope as a text of its own, without spaces",
        );
    }
    scopes
}

fn claim_mapping(mut section: Section<'_>) -> ClaimMapping {
    let usual = ClaimMapping::default();
    let username_claim = section.parsed("username_claim", "write \"email\" or \"sub\"", UsernameClaim::parse);
    let groups_claim = section.word("groups_claim");
    let mut prefix = |name| {
        let prefix = section.text(name)?;
        if prefix.trim().to_ascii_lowercase().starts_with("system:") {
            section.mistake(name, "begins with “system:”, which Kubernetes keeps for itself", "choose another prefix");
        }
        Some(prefix)
    };
    let (username_prefix, groups_prefix) = (prefix("username_prefix"), prefix("groups_prefix"));
    section.end();
    ClaimMapping {
        username_claim: username_claim.unwrap_or(usual.username_claim),
        username_prefix: username_prefix.unwrap_or(usual.username_prefix),
        groups_claim: groups_claim.unwrap_or(usual.groups_claim),
        groups_prefix: groups_prefix.unwrap_or(usual.groups_prefix),
    }
}
