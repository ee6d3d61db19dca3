//! Signing in and out: who somebody is gets recorded, and their provider's tokens are kept, sealed, with their session.

use std::sync::Arc;

use secrecy::SecretString;

use super::{AccessError, Upstreams, audit};
use crate::{
    clock::Clock,
    crypto::{HashedToken, Keyring},
    model::{audit::Action, identity::Identity, name::Email, time::Timestamp, token_set::TokenSet},
    oidc::{Purpose, SignedIn},
    policy::{Authorized, OwnThings, Person},
    store::{Store, StoreError},
};

/// Signing in and out.
#[derive(Clone, Debug)]
pub struct SignIns {
    store: Store,
    keyring: Arc<Keyring>,
    upstreams: Upstreams,
    clock: Clock,
}

impl SignIns {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, upstreams: Upstreams, clock: Clock) -> Self {
        Self { store, keyring, upstreams, clock }
    }

    /// Records a finished sign-in and keeps its tokens under `token_key` (256 random bits that only the session knows) until
    /// `expires_at`, when the session ends for good. A sign-in for a kubeconfig is kept for the person's devices as well, and
    /// outlives the session.
    pub async fn complete(
        &self,
        signed_in: SignedIn,
        token_key: &str,
        expires_at: Timestamp,
    ) -> Result<Identity, AccessError> {
        let SignedIn { claims, tokens, purpose } = signed_in;
        let name = claims.email.as_ref().map_or(claims.sub.as_str(), Email::as_str).to_owned();
        // The store puts the identity in as the actor: before the first sign-in it has no id yet.
        let event = audit::by_kubelend(Action::SignedIn, format!("{name} at {}", claims.provider));
        let event = crate::store::AuditDraft { actor_name: name, ..event };
        let provider = claims.provider.clone();
        let record = self.store.record_sign_in(&claims, event, self.clock.now()).await?;
        let mut set = TokenSet {
            identity: record.identity.id,
            provider,
            tokens,
            direct: purpose == Purpose::Direct,
            handed_out_at: None,
        };
        if purpose == Purpose::Kubeconfig {
            self.upstreams.keep(set.identity, &set.provider, &set.tokens).await?;
        }
        if !set.direct {
            // The relay alone uses it.
            set.tokens.refresh_token = None;
        }
        self.store.put_tokens(&self.keyring, token_key, &set, expires_at).await?;
        Ok(record.identity)
    }

    /// Ends one of one's own sessions, by its name.
    pub async fn end_session(&self, permit: &Authorized<OwnThings>, name: &str) -> Result<(), AccessError> {
        let name = HashedToken::from_hex(name).ok_or(AccessError::NotFound)?;
        let identity = permit.person().identity();
        let event = audit::by(permit.person(), Action::SessionsEnded, format!("one of {}", identity.display()));
        Ok(self.store.end_session(identity.id, &name, event, self.clock.now()).await?)
    }

    /// Ends all of one's own sessions but this one; returns how many.
    pub async fn end_other_sessions(
        &self,
        permit: &Authorized<OwnThings>,
        but: &HashedToken,
    ) -> Result<u64, AccessError> {
        let identity = permit.person().identity();
        let event = audit::by(permit.person(), Action::SessionsEnded, format!("all others of {}", identity.display()));
        Ok(self.store.end_other_sessions(identity.id, but, event, self.clock.now()).await?)
    }

    /// Forgets the session's tokens. The ID token comes back, where there is one, as the hint for the provider's own sign-out.
    pub async fn sign_out(&self, person: &Person, token_key: &str) -> Result<Option<SecretString>, AccessError> {
        let hint = match self.store.tokens(&self.keyring, token_key).await {
            Ok(set) => Some(set.tokens.id_token),
            Err(StoreError::NotFound) => None,
            Err(e) => return Err(e.into()),
        };
        let event = audit::by(person, Action::SignedOut, person.identity().display());
        self.store.drop_tokens(token_key, event, self.clock.now()).await?;
        Ok(hint)
    }
}
