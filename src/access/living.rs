//! A session's tokens, kept alive for as long as Kubelend is their only holder.
//!
//! A refresh token is used by one holder at a time: a provider that rotates them takes two uses for a theft. So refreshing is
//! done under a lease in the database, what came back replaces what was read only if nobody was faster, and once the token
//! has left inside a kubeconfig it is never used here again.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::AccessError;
use crate::{
    clock::Clock,
    crypto::Keyring,
    model::{time::Timestamp, token_set::TokenSet},
    oidc::{Providers, RefreshError},
    store::{Store, StoreError},
};

/// A token with less than this left is not handed to anybody: it would end on the way (client-go takes one for expired 10 s early).
const MARGIN: Duration = Duration::from_secs(2);
/// How long one request keeps others from refreshing the same set.
const LEASE: Duration = Duration::from_secs(8);
/// How long to wait for another request that is refreshing.
const PATIENCE: Duration = Duration::from_millis(2_500);
const PAUSE: Duration = Duration::from_millis(60);

/// Keeps sessions' tokens alive.
#[derive(Clone, Debug)]
pub(super) struct Living {
    store: Store,
    keyring: Arc<Keyring>,
    providers: Providers,
    clock: Clock,
}

impl Living {
    pub(super) fn new(store: Store, keyring: Arc<Keyring>, providers: Providers, clock: Clock) -> Self {
        Self { store, keyring, providers, clock }
    }

    /// The set as it is stored, alive or not.
    pub(super) async fn look(&self, key: &str) -> Result<TokenSet, AccessError> {
        match self.store.tokens(&self.keyring, key).await {
            Ok(set) => Ok(set),
            Err(StoreError::NotFound) => Err(AccessError::SignInAgain),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether [`get`](Self::get) can succeed: it lives, or may still be refreshed here.
    pub(super) fn can_live(&self, set: &TokenSet) -> bool {
        self.alive(set) || (set.handed_out_at.is_none() && set.tokens.refresh_token.is_some())
    }

    /// The set with a living ID token, refreshed first where half of its life is over.
    pub(super) async fn get(&self, key: &str) -> Result<TokenSet, AccessError> {
        let set = self.look(key).await?;
        let fresh = self.clock.now() < half_life(&set);
        match (fresh, set.handed_out_at, set.tokens.refresh_token.clone()) {
            (true, _, _) => Ok(set),
            (false, None, Some(token)) => {
                // On a task of its own: a visitor who leaves must not cut it between the provider's answer and our commit.
                let (me, key) = (self.clone(), key.to_owned());
                let refreshing = tokio::spawn(async move { me.refreshed(&key, set, &token).await });
                refreshing.await.unwrap_or(Err(AccessError::SignInAgain))
            }
            (false, ..) if self.alive(&set) => Ok(set),
            (false, ..) => Err(AccessError::SignInAgain),
        }
    }

    fn alive(&self, set: &TokenSet) -> bool {
        self.clock.now().plus(MARGIN) < set.tokens.expires_at
    }

    async fn refreshed(&self, key: &str, set: TokenSet, token: &SecretString) -> Result<TokenSet, AccessError> {
        let now = self.clock.now();
        if !self.store.lease_refresh(key, set.version, now, now.plus(LEASE)).await? {
            return self.await_other(key, set).await;
        }
        let provider = self.providers.get(&set.provider).ok_or(AccessError::SignInAgain)?;
        let sub = self.store.identity(set.identity).await?.sub;
        match provider.refresh(token, &sub).await {
            Ok(tokens) => {
                let new = TokenSet { tokens, version: set.version, ..set };
                self.store.replace_tokens(&self.keyring, key, &new).await?;
                Ok(TokenSet { version: new.version + 1, ..new })
            }
            Err(RefreshError::Ended(_)) => self.without_refresh_token(key, set).await,
            Err(error) => {
                // An answer that was lost may have spent the token: only a provider that is asked again can tell.
                self.store.release_refresh(key, set.version).await?;
                if self.alive(&set) { Ok(set) } else { Err(error.into()) }
            }
        }
    }

    /// The refresh token is dead: it must neither be tried again nor leave inside a file that could not renew itself.
    async fn without_refresh_token(&self, key: &str, mut set: TokenSet) -> Result<TokenSet, AccessError> {
        set.tokens.refresh_token = None;
        set.asked_offline = false;
        self.store.replace_tokens(&self.keyring, key, &set).await?;
        set.version += 1;
        if self.alive(&set) { Ok(set) } else { Err(AccessError::SignInAgain) }
    }

    async fn await_other(&self, key: &str, old: TokenSet) -> Result<TokenSet, AccessError> {
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
            let set = self.look(key).await?;
            if set.version != old.version {
                return if self.alive(&set) { Ok(set) } else { Err(AccessError::SignInAgain) };
            }
        }
        if self.alive(&old) {
            Ok(old)
        } else {
            Err(RefreshError::Unavailable("another request is still asking".into()).into())
        }
    }
}

fn half_life(set: &TokenSet) -> Timestamp {
    let life = set.tokens.expires_at.since(set.tokens.issued_at);
    set.tokens.issued_at.plus(life / 2)
}
