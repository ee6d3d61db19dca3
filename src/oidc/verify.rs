//! Verification of ID tokens (OpenID Connect Core 3.1.3.7): signature by the provider's published keys with asymmetric
//! algorithms only, issuer, audience and `azp`, times, nonce.
//!
//! It is a function of the token, the keys and what is expected, so that each rule is tested with tokens made for it.
//! A token that an API server would refuse for its algorithm (`EdDSA`) is refused here, where the reason can be told.

use std::{
    collections::{BTreeMap, HashSet},
    str::FromStr,
    time::Duration,
};

use chrono::{DateTime, Utc};
use openidconnect::{
    AdditionalClaims, Audience, ClaimsVerificationError, ClientId, IdToken, IdTokenClaims, IdTokenVerifier, IssuerUrl,
    Nonce, SignatureVerificationError,
    core::{
        CoreGenderClaim, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreJwsSigningAlgorithm as Alg,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ProviderSettings, error::cut};
use crate::model::{identity::VerifiedClaims, name::Email, time::Timestamp};

/// What is accepted: the asymmetric algorithms that API servers accept too.
pub(super) const ALGORITHMS: [Alg; 8] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
];

/// No longer token is looked at.
pub(super) const MAX_TOKEN: usize = 64 * 1024;
/// How far the provider's clock and ours may be apart.
const LEEWAY: Duration = Duration::from_mins(1);
/// OpenID Connect Core section 2 says 255; some providers (Dex among them) encode more into it.
const MAX_SUB: usize = 1024;
/// Nobody is in more groups: each is looked up at every question of what somebody may do. They are refused, not cut: access would come and
/// go with the order in which the provider lists them, while the API server goes by all of them.
pub const MAX_GROUPS: usize = 500;

/// A token that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) claims: VerifiedClaims,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// Why a token does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// None of these keys made the signature: newer ones may have.
    OtherKey(String),
    /// It lists more than [`MAX_GROUPS`] groups.
    Groups,
    /// Anything else.
    Bad(String),
}

/// Claims beyond the standard ones: the groups claim has a name of the operator's choice.
#[derive(Debug, Deserialize, Serialize)]
struct Rest {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Rest {}

type Token = IdToken<Rest, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Claims = IdTokenClaims<Rest, CoreGenderClaim>;

/// Verifies a token that was made for this client of ours; `nonce` is `None` after a refresh, where none is promised.
pub(super) fn verify(
    token: &str,
    keys: &CoreJsonWebKeySet,
    provider: &ProviderSettings,
    client_id: &str,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let bad = |why: String| Refusal::Bad(cut(&why));
    if token.len() > MAX_TOKEN {
        return Err(bad(format!("it is longer than {MAX_TOKEN} bytes")));
    }
    let token = Token::from_str(token).map_err(|e| bad(format!("it is no ID token: {e}")))?;
    let issuer = IssuerUrl::new(provider.issuer.clone()).map_err(|e| bad(e.to_string()))?;
    let earliest = moment(now.minus(LEEWAY)).ok_or_else(|| bad("our clock is out of range".into()))?;
    let verifier = IdTokenVerifier::new_public_client(ClientId::new(client_id.to_owned()), issuer, keys.clone())
        .set_allowed_algs(ALGORITHMS)
        // Other audiences are looked at below, together with `azp`.
        .set_other_audience_verifier_fn(|_: &Audience| true)
        .set_time_fn(move || earliest);
    let nonce = nonce.map(|n| Nonce::new(n.to_owned()));
    let check_nonce = |given: Option<&Nonce>| match &nonce {
        Some(expected) => openidconnect::NonceVerifier::verify(expected, given),
        None => Ok(()),
    };
    let claims = token.claims(&verifier, check_nonce).map_err(refusal)?;
    check_party(claims, client_id).map_err(bad)?;
    check_times(claims, now).map_err(bad)?;
    Ok(Verified {
        claims: identity(claims, provider)?,
        issued_at: Timestamp::from_secs(claims.issue_time().timestamp()),
        expires_at: Timestamp::from_secs(claims.expiration().timestamp()),
    })
}

fn moment(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(at.millis())
}

fn refusal(error: ClaimsVerificationError) -> Refusal {
    match error {
        ClaimsVerificationError::SignatureVerification(inner) => {
            let why = cut(&inner.to_string());
            match inner {
                // A provider that rotates without changing the key's id shows as a wrong signature.
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_) => {
                    Refusal::OtherKey(why)
                }
                _ => Refusal::Bad(why),
            }
        }
        other => Refusal::Bad(cut(&other.to_string())),
    }
}

/// A token that was made for another client may name us among its audiences: `azp` tells them apart.
fn check_party(claims: &Claims, client_id: &str) -> Result<(), String> {
    match claims.authorized_party() {
        Some(party) if party.as_str() == client_id => Ok(()),
        Some(_) => Err("it was made for another client (azp)".into()),
        None if claims.audiences().len() == 1 => Ok(()),
        None => Err("it has several audiences and does not say for whom it was made (azp)".into()),
    }
}

/// `exp` was looked at by the verifier.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
fn check_times(claims: &Claims, now: Timestamp) -> Result<(), String> {
    let latest = now.plus(LEEWAY).secs();
    if claims.issue_time().timestamp() > latest {
        return Err("it was issued in the future (iat): is a clock wrong?".into());
    }
    if claims.expiration() <= claims.issue_time() {
        return Err("it expired before it was issued".into());
    }
    match claims.additional_claims().all.get("nbf").map(Value::as_f64) {
        Some(Some(nbf)) if nbf <= latest as f64 => Ok(()),
        Some(_) => Err("it is not valid yet (nbf): is a clock wrong?".into()),
        None => Ok(()),
    }
}

fn identity(claims: &Claims, provider: &ProviderSettings) -> Result<VerifiedClaims, Refusal> {
    let sub = claims.subject().as_str();
    if sub.is_empty() || sub.len() > MAX_SUB || sub.chars().any(char::is_control) {
        return Err(Refusal::Bad("its sub is empty, too long or no plain text".into()));
    }
    let name = claims.name().and_then(|names| names.get(None)).map(|n| n.as_str());
    let name =
        name.or_else(|| claims.preferred_username().map(|n| n.as_str())).map(cut).filter(|n| !n.trim().is_empty());
    Ok(VerifiedClaims {
        provider: provider.id.clone(),
        issuer: provider.issuer.clone(),
        sub: sub.to_owned(),
        // Exactly as the token has it, since that is what the API server compares.
        email: claims.email().and_then(|e| e.parse::<Email>().ok().filter(|read| read.as_str() == e.as_str())),
        email_verified: claims.email_verified().unwrap_or_default(),
        name,
        groups: groups(claims.additional_claims().all.get(&provider.claim_mapping.groups_claim))?,
    })
}

/// Strings, each once, in the token's order; a single string is a list of one.
fn groups(claim: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let all = match claim {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut seen = HashSet::new();
    let all: Vec<_> = all.into_iter().filter(|g| !g.is_empty() && seen.insert(*g)).collect();
    if all.len() > MAX_GROUPS { Err(Refusal::Groups) } else { Ok(all.into_iter().map(str::to_owned).collect()) }
}

#[cfg(test)]
pub(super) mod tests;
