//! A person's own ID token, for showing it to a cluster that trusts its provider, and to no other.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{AccessError, Upstreams, upstream::UpstreamError};
use crate::{
    clock::Clock,
    crypto::Keyring,
    model::{
        device::Format,
        identity::Identity,
        time::Timestamp,
        token_set::{TokenSet, Tokens},
    },
    oidc::ProviderSettings,
    policy::{Authorized, HoldKubeconfig},
    store::{Store, StoreError},
};

/// How long a page waits for the provider to renew a token.
const RENEWAL: Duration = Duration::from_millis(1_300);

/// Finds them.
#[derive(Clone, Debug)]
pub(super) struct OwnTokens {
    store: Store,
    keyring: Arc<Keyring>,
    upstreams: Upstreams,
    clock: Clock,
}

/// What there is of somebody's.
#[derive(Debug)]
pub(super) enum Held {
    /// A living token.
    Living {
        /// The token.
        token: SecretString,
        /// Whether it is one of the client of kubeconfigs that talk to the provider by themselves.
        direct: bool,
    },
    /// The last one has ended, then.
    Over(Timestamp),
    /// None.
    Missing,
    /// The provider would have to renew it and does not answer.
    ProviderDown,
}

impl Held {
    /// The client that a living token was given to.
    pub(super) fn client<'a>(&self, provider: &'a ProviderSettings) -> Option<&'a str> {
        match self {
            Self::Living { direct: true, .. } => provider.client_of(Format::Provider),
            Self::Living { direct: false, .. } => provider.client_of(Format::Relay),
            Self::Over(_) | Self::Missing | Self::ProviderDown => None,
        }
    }
}

impl OwnTokens {
    /// With these parts.
    pub(super) fn new(store: Store, keyring: Arc<Keyring>, upstreams: Upstreams, clock: Clock) -> Self {
        Self { store, keyring, upstreams, clock }
    }

    /// The session's tokens, if they live and are this person's at a provider that the cluster trusts.
    pub(super) async fn session(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
    ) -> Result<Option<TokenSet>, AccessError> {
        let trusted = |set: &TokenSet| permit.cluster().mapping(&set.provider).is_some();
        let set = self.stored(permit.person().identity(), token_key).await?;
        Ok(set.filter(|set| trusted(set) && set.tokens.is_alive(self.clock.now())))
    }

    /// The session's tokens, whether they live or not, if they are this person's.
    async fn stored(&self, identity: &Identity, token_key: &str) -> Result<Option<TokenSet>, AccessError> {
        match self.store.tokens(&self.keyring, token_key).await {
            Ok(set) => Ok(Some(set).filter(|set| set.identity == identity.id && set.provider == identity.provider)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A living ID token of this person for this cluster, renewed where that is possible, or what there is instead. Where there
    /// are tokens of both clients, it is one of that which is wanted.
    pub(super) async fn held(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
        wants_direct: bool,
    ) -> Result<Held, AccessError> {
        let session = self.session(permit, token_key).await?;
        let living = |set: TokenSet| Held::Living { token: set.tokens.id_token, direct: set.direct };
        match session {
            Some(set) if wants_direct || !set.direct => Ok(living(set)),
            session => match (self.renewed(permit, token_key).await, session) {
                (Ok(Held::Living { token, direct }), _) => Ok(Held::Living { token, direct }),
                (_, Some(set)) => Ok(living(set)),
                (other, None) => other,
            },
        }
    }

    /// A token of the relay's client.
    async fn renewed(&self, permit: &Authorized<HoldKubeconfig>, token_key: &str) -> Result<Held, AccessError> {
        let identity = permit.person().identity();
        if permit.cluster().mapping(&identity.provider).is_none() {
            return Ok(Held::Missing);
        }
        match tokio::time::timeout(RENEWAL, self.upstreams.living(identity)).await {
            Ok(Ok(tokens)) => Ok(Held::Living { token: tokens.id_token, direct: false }),
            Ok(Err(UpstreamError::Missing | UpstreamError::Ended)) => {
                let last = self.newest(identity, token_key).await?;
                Ok(last.map_or(Held::Missing, |tokens| Held::Over(tokens.expires_at)))
            }
            Ok(Err(UpstreamError::Unavailable(_) | UpstreamError::Unclear(_))) | Err(_) => Ok(Held::ProviderDown),
            Ok(Err(error @ UpstreamError::Store(_))) => Err(error.into()),
        }
    }

    /// The newest tokens that there are of somebody, whether they live or not.
    pub(super) async fn newest(&self, identity: &Identity, token_key: &str) -> Result<Option<Tokens>, AccessError> {
        let session = self.stored(identity, token_key).await?.map(|set| set.tokens);
        let upstream = self.upstreams.look(identity).await?.map(|session| session.tokens);
        Ok(session.into_iter().chain(upstream).max_by_key(|tokens| tokens.expires_at))
    }
}
