//! Living ID tokens, out of the sign-in that Kubelend keeps for a person at a provider.
//!
//! Providers that rotate refresh tokens take two uses of one for a theft, and some then end the newest token, too. So one
//! refresh at a time is under way for a person and provider: within this process those who ask wait their turn and share its
//! result, across replicas a lease in the database keeps the others out. A refresh runs on a task of its own, since an answer
//! that nobody waits for any more may hold the only token that is still good; a stop waits for these tasks. What the provider
//! answered is kept before it is looked at more closely, and a database that does not answer then is asked for a while.
//!
//! Dying between the provider's answer and our commit loses a rotated token, unless the provider takes the one before for a
//! while (Dex: `reuseInterval`). Then the person signs in once more, and all their devices go on.

mod turns;

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{
    sync::RwLock,
    time::{Instant, timeout},
};

use self::turns::{Answer, Turns};
use super::audit;
use crate::{
    clock::Clock,
    crypto::Keyring,
    model::{
        audit::Action, id::IdentityId, identity::Identity, provider::ProviderId, time::Timestamp, token_set::Tokens,
        upstream::UpstreamSession,
    },
    oidc::{Providers, RefreshError, Refreshed, Renewal},
    store::{Store, StoreError},
};

/// How long one replica keeps the others from refreshing the same session: longer than a provider may take to answer, by a few
/// seconds for the database and for clocks that differ; and short enough that after a death the next one asks while Dex still
/// takes the token again.
const LEASE: Duration = Duration::from_secs(20);
/// How long to wait for another replica that is refreshing.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(50);
/// A provider that refused is not asked again for so long: clients post each failed refresh twice, and devices are many.
const REFUSED_PAUSE: Duration = Duration::from_secs(20);
/// How long a database that does not answer is asked to keep what a provider gave, and how often.
const INSISTENCE: Duration = Duration::from_mins(1);
const INSISTENCE_PAUSE: Duration = Duration::from_millis(250);
/// What a stop waits for refreshes that are under way, once no request is: as long as one takes at most.
const SETTLING: Duration = Duration::from_secs(15);

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

/// The sign-ins that Kubelend keeps.
#[derive(Clone, Debug)]
pub struct Upstreams {
    store: Store,
    keyring: Arc<Keyring>,
    providers: Providers,
    clock: Clock,
    turns: Arc<Turns>,
    /// Read by each refresh while it is under way.
    under_way: Arc<RwLock<()>>,
}

impl Upstreams {
    /// With these parts. One for the whole process: clones share their turns.
    pub fn new(store: Store, keyring: Arc<Keyring>, providers: Providers, clock: Clock) -> Self {
        Self { store, keyring, providers, clock, turns: Arc::default(), under_way: Arc::default() }
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
        self.living_of(identity, Some(session)).await
    }

    /// The same for somebody whose session was read just now; `None` where there was none.
    pub(super) async fn living_of(&self, identity: &Identity, session: Option<UpstreamSession>) -> Answer {
        let session = session.ok_or(UpstreamError::Missing)?;
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
        let under_way = Arc::clone(&self.under_way).read_owned().await;
        let asking = tokio::spawn(async move {
            let _under_way = under_way;
            let answer = me.asked(&identity).await;
            *last = Some((Instant::now(), answer.clone()));
            answer
        });
        asking.await.unwrap_or_else(|error| Err(UpstreamError::Unavailable(error.to_string())))
    }

    /// What opens the sessions.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
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
            // Another replica may have added a workspace's own a moment ago; one that is off or gone is trusted nowhere.
            return if session.provider.home().is_some() {
                self.store.release_upstream(&session).await?;
                Err(UpstreamError::Unavailable("this replica does not know the provider yet".into()))
            } else {
                Err(UpstreamError::Ended)
            };
        };
        let late = match provider.refresh(&token, &identity.sub).await {
            Ok(Renewal::Verified(new)) => return self.replaced(&session, *new).await,
            Ok(Renewal::Unverified(late)) => late,
            Err(error) => return self.not_refreshed(identity, session, error).await,
        };
        // The provider may have taken the old token back: nothing comes before keeping the new one.
        let session = self.rotated(session, late.refresh_token()).await?;
        match provider.verify_late(late, &identity.sub).await {
            Ok(new) => self.replaced(&session, new).await,
            Err(error) => {
                tracing::warn!(identity = %identity.id, provider = %session.provider, %error, "a new ID token does not hold");
                self.not_refreshed(identity, session, error).await
            }
        }
    }

    async fn rotated(
        &self,
        session: UpstreamSession,
        refresh_token: &SecretString,
    ) -> Result<UpstreamSession, UpstreamError> {
        let kept = insist(|| self.store.rotate_upstream(&self.keyring, &session, refresh_token)).await;
        match kept {
            // A sign-in overtook this refresh, and what it brought is good.
            Err(StoreError::Stale) => Ok(session),
            kept => Ok(kept?),
        }
    }

    async fn replaced(&self, session: &UpstreamSession, new: Refreshed) -> Answer {
        let Refreshed { tokens, claims } = &new;
        let now = self.clock.now();
        match insist(|| self.store.replace_upstream(&self.keyring, session, tokens, claims, now)).await {
            // A sign-in overtook this refresh; what we got is good all the same.
            Ok(()) | Err(StoreError::Stale) => Ok(new.tokens),
            Err(error) => Err(error.into()),
        }
    }

    async fn not_refreshed(&self, identity: &Identity, session: UpstreamSession, error: RefreshError) -> Answer {
        let otherwise = match error {
            RefreshError::Ended(why) => {
                let event = audit::by_kubelend(
                    Action::UpstreamEnded,
                    format!("{} at {}", identity.display(), session.provider),
                );
                tracing::info!(identity = %identity.id, provider = %session.provider, %why, "the provider refused to refresh");
                self.store.refuse_upstream(&session, event, self.clock.now()).await?;
                return Err(UpstreamError::Ended);
            }
            RefreshError::Unclear(why) => UpstreamError::Unclear(why),
            RefreshError::Unavailable(why) => UpstreamError::Unavailable(why),
        };
        self.store.release_upstream(&session).await?;
        self.last_resort(session, otherwise)
    }

    /// A token that still lives is better than none, unless the provider has said no.
    fn last_resort(&self, session: UpstreamSession, otherwise: UpstreamError) -> Answer {
        if session.refused_at.is_none() && session.tokens.is_alive(self.clock.now()) {
            Ok(session.tokens)
        } else {
            Err(otherwise)
        }
    }

    /// Waits until no refresh is under way, for as long as one may take. Meanwhile none begins.
    pub async fn settled(&self) {
        if timeout(SETTLING, self.under_way.write()).await.is_err() {
            tracing::warn!("a refresh at a provider did not end in time; its person may have to sign in once more");
        }
    }

    /// Forgets sessions that the provider has refused for a day.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.store.sweep_upstream(now.minus(Duration::from_hours(24))).await
    }
}

/// Writes down what cannot be asked for again. A database that is away for a moment (it restarts, or another one takes over)
/// is asked until it is back.
async fn insist<T, F>(write: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let until = Instant::now() + INSISTENCE;
    loop {
        match write().await {
            Err(error @ StoreError::Database(_)) if Instant::now() < until => {
                tracing::warn!(%error, "new tokens could not be kept; trying again");
                tokio::time::sleep(INSISTENCE_PAUSE).await;
            }
            done => return done,
        }
    }
}
