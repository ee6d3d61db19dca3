//! OpenID Connect providers as the rest of the house names them. Talking to one is `oidc`'s part.

use std::{fmt, str::FromStr};

use super::name::BadName;

/// The short name of a provider in configuration and URLs: lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderId(String);

impl ProviderId {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProviderId {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let good =
            (1..=40).contains(&s.len()) && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good {
            Ok(Self(s.to_owned()))
        } else {
            Err(BadName("a provider's id has 1–40 lower-case letters, digits and “-”".into()))
        }
    }
}

impl TryFrom<String> for ProviderId {
    type Error = BadName;
    fn try_from(s: String) -> Result<Self, BadName> {
        s.parse()
    }
}

impl From<ProviderId> for String {
    fn from(id: ProviderId) -> Self {
        id.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a kubeconfig needs to know of a provider so that kubectl can refresh tokens there by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigIssuer {
    /// The issuer URL, exactly as the provider's tokens have it.
    pub issuer: String,
    /// The public client that the tokens are for.
    pub client_id: String,
    /// The CA of the issuer as PEM, where it is private.
    pub ca_pem: Option<String>,
}
