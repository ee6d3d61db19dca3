//! Living ID tokens, out of the sign-in that Kubelend keeps for a person at a provider.
//!
//! Providers that rotate refresh tokens take two uses of one for a theft, and some then end the newest token, too. So one
//! refresh at a time is under way for a person and provider: within this process those who ask wait their turn and share its
//! result, across replicas a lease in the database keeps the others out. A refresh runs on a task of its own, since an answer
//! that nobody waits for any more may hold the only token that is still good.
//!
//! Dying between the provider's answer and our commit loses a rotated token, unless the provider takes the one before for a
//! while (Dex: `reuseInterval`). Then the person signs in once more, and all their devices go on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Mutex as TurnMutex, time::Instant};

use super::audit;
use crate::{
    clock::Clock,
    crypto::Keyring,
    model::{
        audit::Action, id::IdentityId, identity::Identity, provider::ProviderId, time::Timestamp, token_set::Tokens,
        upstream::UpstreamSession,
    },
    oidc::{Providers, RefreshError},
    store::{Store, StoreError},
};

/// How long one replica keeps the others from refreshing the same session: longer than a provider may take to answer.
const LEASE: Duration = Duration::from_secs(15);
/// How long to wait for another replica that is refreshing.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(50);
/// A provider that refused is not asked again for so long: clients post each failed refresh twice, and devices are many.
const REFUSED_PAUSE: Duration = Duration::from_secs(20);

/// Why there is no living token.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// The person has not signed in for a kubeconfig here.
    #[error("no sign-in is kept")]
    Missing,
    /// The provider has ended the sign-in, or it ended by itself.
    #[error("the provider ended the sign-in")]
    Ended,
    /// The provider does not answer now; nothing is lost.
    #[error("the provider does not answer: {0}")]
    Unavailable(String),
    /// The provider could not or would not refresh it, and does not say which; nothing is lost.
    #[error("the provider could not refresh: {0}")]
    Unclear(String),
    /// The database.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for UpstreamError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::Missing,
            other => Self::Store(Arc::new(other)),
        }
    }
}

type Answer = Result<Tokens, UpstreamError>;
/// How the last refresh in this process ended, and when, for those who waited for it.
type Turn = TurnMutex<Option<(Instant, Answer)>>;

/// One turn for each person and provider that is being asked about now.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<(IdentityId, ProviderId), Weak<Turn>>>);

impl Turns {
    fn of(&self, identity: IdentityId, provider: &ProviderId) -> Arc<Turn> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (identity, provider.clone());
        if let Some(turn) = all.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        // Turns that nobody holds any more go whenever a new one comes.
        all.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        all.insert(key, Arc::downgrade(&turn));
        turn
    }
}

/// The sign-ins that Kubelend keeps.
#[derive(Clone, Debug)]
pub struct Upstreams {
    store: Store,
    keyring: Arc<Keyring>,
    providers: Providers,
    clock: Clock,
    turns: Arc<Turns>,
}

impl Upstreams {
    /// With these parts. One for the whole process: clones share their turns.
    pub fn new(store: Store, keyring: Arc<Keyring>, providers: Providers, clock: Clock) -> Self {
        Self { store, keyring, providers, clock, turns: Arc::default() }
    }

    /// Keeps the tokens of a sign-in in place of older ones.
    pub(super) async fn keep(
        &self,
        identity: IdentityId,
        provider: &ProviderId,
        tokens: &Tokens,
    ) -> Result<(), StoreError> {
        self.store.put_upstream(&self.keyring, identity, provider, tokens).await
    }

    /// The session as it is stored; `None` where there is none.
    pub(super) async fn look(&self, identity: &Identity) -> Result<Option<UpstreamSession>, StoreError> {
        match self.store.upstream(&self.keyring, identity.id, &identity.provider).await {
            Ok(session) => Ok(Some(session)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether [`living`](Self::living) can succeed without the person, as far as is known here.
    pub(super) fn can_live(&self, session: &UpstreamSession) -> bool {
        session.refused_at.is_none()
            && (session.tokens.refresh_token.is_some() || session.tokens.is_alive(self.clock.now()))
    }

    /// Tokens whose ID token has more than half of its life left, as far as the provider gives any.
    pub(super) async fn living(&self, identity: &Identity) -> Answer {
        let session = self.read(identity).await?;
        if self.is_good(&session) {
            return Ok(session.tokens);
        }
        let asked = Instant::now();
        let turn = self.turns.of(identity.id, &identity.provider);
        let mut last = turn.lock_owned().await;
        if let Some((ended, answer)) = &*last
            && *ended > asked
        {
            return answer.clone();
        }
        let (me, identity) = (self.clone(), identity.clone());
        let asking = tokio::spawn(async move {
            let answer = me.asked(&identity).await;
            *last = Some((Instant::now(), answer.clone()));
            answer
        });
        asking.await.unwrap_or_else(|error| Err(UpstreamError::Unavailable(error.to_string())))
    }

    fn is_good(&self, session: &UpstreamSession) -> bool {
        session.refused_at.is_none() && session.is_fresh(self.clock.now())
    }

    async fn read(&self, identity: &Identity) -> Result<UpstreamSession, UpstreamError> {
        Ok(self.store.upstream(&self.keyring, identity.id, &identity.provider).await?)
    }

    /// Asks the provider, or waits for another replica that does.
    async fn asked(&self, identity: &Identity) -> Answer {
        let until = Instant::now() + PATIENCE;
        loop {
            let session = self.read(identity).await?;
            if self.is_good(&session) {
                return Ok(session.tokens);
            }
            let now = self.clock.now();
            if session.refused_at.is_some_and(|at| now.since(at) < REFUSED_PAUSE) {
                return Err(UpstreamError::Ended);
            }
            if session.tokens.refresh_token.is_none() {
                return self.last_resort(session, UpstreamError::Ended);
            }
            if self.store.lease_upstream(&session, now, now.plus(LEASE)).await? {
                return self.refreshed(identity, session).await;
            }
            if Instant::now() >= until {
                return self.last_resort(session, UpstreamError::Unavailable("another replica is still asking".into()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn refreshed(&self, identity: &Identity, session: UpstreamSession) -> Answer {
        let (Some(provider), Some(token)) =
            (self.providers.get(&session.provider), session.tokens.refresh_token.clone())
        else {
            return Err(UpstreamError::Ended);
        };
        match provider.refresh(&token, &identity.sub).await {
            Ok(new) => {
                let kept = self
                    .store
                    .replace_upstream(&self.keyring, &session, &new.tokens, &new.claims, self.clock.now())
                    .await;
                match kept {
                    // A sign-in overtook this refresh; what we got is good all the same.
                    Ok(()) | Err(StoreError::Stale) => Ok(new.tokens),
                    Err(error) => Err(error.into()),
                }
            }
            Err(RefreshError::Ended(why)) => {
                let event = audit::by_kubelend(
                    Action::UpstreamEnded,
                    format!("{} at {}", identity.display(), session.provider),
                );
                tracing::info!(identity = %identity.id, provider = %session.provider, %why, "the provider refused to refresh");
                self.store.refuse_upstream(&session, event, self.clock.now()).await?;
                Err(UpstreamError::Ended)
            }
            Err(RefreshError::Unclear(why)) => {
                self.store.release_upstream(&session).await?;
                self.last_resort(session, UpstreamError::Unclear(why))
            }
            Err(RefreshError::Unavailable(why)) => {
                self.store.release_upstream(&session).await?;
                self.last_resort(session, UpstreamError::Unavailable(why))
            }
        }
    }

    /// A token that still lives is better than none, unless the provider has said no.
    fn last_resort(&self, session: UpstreamSession, otherwise: UpstreamError) -> Answer {
        if session.refused_at.is_none() && session.tokens.is_alive(self.clock.now()) {
            Ok(session.tokens)
        } else {
            Err(otherwise)
        }
    }

    /// Forgets sessions that the provider has refused for a day.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.store.sweep_upstream(now.minus(Duration::from_hours(24))).await
    }
}
