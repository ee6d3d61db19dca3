//! Keeping what is known of a provider fresh: discovery when somebody needs it and in the background, and its keys when a
//! token names one that is not known, so that a rotation costs no failed sign-in.
//!
//! However many ask, one request is under way; those who waited take its result. All of it is bounded in time, because a
//! page waits.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::{
    OidcError, Provider, Providers, Purpose,
    discovery::{self, Known},
    error::cut,
    provider::ProviderHealth,
    verify::{Refusal, Verified, verify},
};
use crate::crypto;

/// What one discovery may take, keys included.
const BOUND: Duration = Duration::from_millis(2300);
/// What anybody waits for it, turns included: a page answers within 3 s.
const PATIENCE: Duration = Duration::from_millis(2600);
/// Looks for newer keys that found none are at least this far apart.
const VAIN_PAUSE: Duration = Duration::from_secs(5);
/// How often a provider that is up is asked again.
const UP_PAUSE: Duration = Duration::from_mins(1);
/// The first and the longest pause while it is down.
const DOWN_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Providers {
    /// Keeps discovery and keys of the configured ones fresh until `stop` resolves: at once, then every minute while up, every few
    /// seconds with backoff while down. Those of workspaces' own are asked when somebody signs in: how many there are is not the
    /// operator's to say.
    pub async fn keep_fresh(self, stop: impl Future<Output = ()> + Send) {
        let all = join_all(self.iter().map(|p| p.keep_fresh()));
        tokio::select! {
            () = stop => {}
            _ = all => {}
        }
    }
}

impl Provider {
    /// Asks for discovery and keys now.
    ///
    /// # Errors
    /// As [`OidcError::Unreachable`] or `Nonsense`.
    pub async fn probe(&self) -> Result<(), OidcError> {
        self.discover().await.map(drop)
    }

    async fn keep_fresh(&self) {
        let mut failures = 0;
        loop {
            failures = if self.probe().await.is_ok() { 0 } else { failures + 1 };
            if failures > 0 {
                tokio::time::sleep(down_pause(failures)).await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(UP_PAUSE)) => {}
                () = self.went_down.notified() => {}
            }
        }
    }

    /// What is known, if it was learnt within `max_age` and nobody saw the provider fail since; else asks.
    pub(super) async fn known(&self, max_age: Duration) -> Result<Arc<Known>, OidcError> {
        match self.known.load_full() {
            Some(known) if known.at.elapsed() <= max_age && matches!(self.health(), ProviderHealth::Up(_)) => Ok(known),
            _ => self.discover().await,
        }
    }

    /// What is known, however old: where a request is on its way anyhow, asking first would only take time.
    pub(super) async fn known_at_all(&self) -> Result<Arc<Known>, OidcError> {
        match self.known.load_full() {
            Some(known) => Ok(known),
            None => self.discover().await,
        }
    }

    async fn discover(&self) -> Result<Arc<Known>, OidcError> {
        let result = timeout(PATIENCE, self.discover_in_turn()).await;
        result.unwrap_or_else(|_| Err(OidcError::Unreachable("no answer in time".into())))
    }

    async fn discover_in_turn(&self) -> Result<Arc<Known>, OidcError> {
        let asked = Instant::now();
        let mut last = self.discovering.lock().await;
        if let Some((ended, result)) = &*last
            && *ended > asked
        {
            return result.clone();
        }
        let result = timeout(BOUND, discovery::fetch(&self.http, &self.settings.issuer)).await;
        let result = result.unwrap_or_else(|_| Err(OidcError::Unreachable("no answer in time".into()))).map(Arc::new);
        if let Ok(known) = &result {
            self.known.store(Some(Arc::clone(known)));
        }
        self.saw(&result);
        *last = Some((Instant::now(), result.clone()));
        result
    }

    /// Verifies a token with these keys alone.
    pub(super) fn check(
        &self,
        token: &str,
        known: &Known,
        nonce: Option<&str>,
        purpose: Purpose,
    ) -> Result<Verified, Refusal> {
        verify(token, &known.keys, &self.settings, self.settings.client_for(purpose), nonce, self.clock.now())
    }

    /// Verifies a token with the known keys, and with newer ones if none of those made its signature.
    pub(super) async fn verified(
        &self,
        token: &str,
        known: &Known,
        nonce: Option<&str>,
        purpose: Purpose,
    ) -> Result<Verified, OidcError> {
        let check = |known: &Known| self.check(token, known, nonce, purpose);
        let why = match check(known) {
            Ok(verified) => return Ok(verified),
            Err(Refusal::Bad(why)) => return Err(OidcError::BadToken(why)),
            Err(Refusal::Groups) => return Err(OidcError::TooManyGroups),
            Err(Refusal::OtherKey(why)) => why,
        };
        let newer = timeout(PATIENCE, self.newer_keys(known)).await;
        let newer = newer.unwrap_or_else(|_| Err(OidcError::Unreachable("its keys did not come in time".into())))?;
        let Some(newer) = newer else { return Err(OidcError::BadToken(why)) };
        match check(&newer) {
            Ok(verified) => Ok(verified),
            Err(Refusal::Bad(why)) => Err(OidcError::BadToken(why)),
            Err(Refusal::Groups) => Err(OidcError::TooManyGroups),
            Err(Refusal::OtherKey(why)) => {
                *self.in_vain.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
                Err(OidcError::BadToken(why))
            }
        }
    }

    /// Keys that were fetched after these turned out not to do; `None` where the last look was in vain a moment ago.
    async fn newer_keys(&self, known: &Known) -> Result<Option<Arc<Known>>, OidcError> {
        let asked = Instant::now();
        let _turn = self.fetching_keys.lock().await;
        if let Some(newer) = self.known.load_full()
            && newer.at > asked
        {
            return Ok(Some(newer));
        }
        let in_vain = *self.in_vain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if in_vain.is_some_and(|at| at.elapsed() < VAIN_PAUSE) {
            return Ok(None);
        }
        let newer = discovery::fetch_keys(&self.http, known).await;
        self.saw(&newer);
        let newer = Arc::new(newer.map_err(|e| OidcError::Unreachable(cut(&format!("fetching its keys: {e}"))))?);
        self.known.store(Some(Arc::clone(&newer)));
        Ok(Some(newer))
    }
}

/// Grows from one second by doubling.
fn down_pause(failures: u32) -> Duration {
    let (first, longest) = DOWN_PAUSES;
    jittered(first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest))
}

/// Between 75 % and 125 %, so that replicas that started together do not ask together for ever.
fn jittered(pause: Duration) -> Duration {
    let [byte] = crypto::random::<1>();
    pause.mul_f64(0.75 + f64::from(byte) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        for failures in 1..200 {
            let pause = down_pause(failures);
            assert!(pause >= Duration::from_millis(750), "{failures}: {pause:?}");
            assert!(pause <= Duration::from_millis(37_500), "{failures}: {pause:?}");
        }
        assert!(down_pause(2) > down_pause(1) || down_pause(3) > down_pause(1));
        assert!(down_pause(6) >= Duration::from_millis(22_500));
    }
}
