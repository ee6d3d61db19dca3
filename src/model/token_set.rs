//! The provider's tokens of one sign-in, as Kubelend holds them (sealed) while the session lives.

use secrecy::SecretString;

use super::{id::IdentityId, provider::ProviderId, time::Timestamp};

/// What the provider gave at its token endpoint.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The signed ID token.
    pub id_token: SecretString,
    /// Its `iat`.
    pub issued_at: Timestamp,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// Given only where `offline_access` was asked for and granted.
    pub refresh_token: Option<SecretString>,
}

/// The tokens of one session.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// Whose they are.
    pub identity: IdentityId,
    /// Who gave them.
    pub provider: ProviderId,
    /// The tokens.
    pub tokens: Tokens,
    /// Whether they are for a kubeconfig that talks to the provider by itself. Only then is a refresh token among them, which
    /// Kubelend never uses: a refresh token used by two is a refresh token lost.
    pub direct: bool,
    /// When they first left Kubelend inside a kubeconfig.
    pub handed_out_at: Option<Timestamp>,
}
