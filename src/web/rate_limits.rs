//! How often somebody may try what others might guess or wear out. A limit is a number a minute, all of which may be used at once;
//! it is kept in this process alone, so several replicas let through several times as much.
//!
//! Memory is bounded by construction: whatever is counted falls into one of a fixed number of slots by a hash that is keyed
//! anew at each start, so nobody can aim at somebody else's slot, and inventing a million tokens fills nothing.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroU32,
    time::Duration,
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use super::{
    client_address::ClientAddress,
    errors::{NextStep, PageError},
    paths,
};
use crate::crypto::HashedToken;

/// So many slots a limit has.
const SLOTS: u64 = 1 << 16;

/// How often a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Share links opened and accepted from one address.
    pub links_per_address: NonZeroU32,
    /// Openings and acceptances of one share link, from anywhere.
    pub uses_per_link: NonZeroU32,
}

/// The limits, with what has been counted.
#[derive(Debug)]
pub struct RateLimits {
    links_of_address: Limit,
    uses_of_link: Limit,
}

impl RateLimits {
    /// Nothing counted yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            links_of_address: Limit::a_minute(limits.links_per_address),
            uses_of_link: Limit::a_minute(limits.uses_per_link),
        }
    }

    /// Counts an attempt at a share link: for the address that it comes from, and for the link, whether there is one or not.
    ///
    /// # Errors
    /// When there were too many.
    pub fn try_link(&self, from: ClientAddress, token: Option<&HashedToken>) -> Result<(), TooMany> {
        self.links_of_address.count(&from.counted())?;
        token.map_or(Ok(()), |token| self.uses_of_link.count(&token.0))
    }
}

/// One limit.
#[derive(Debug)]
pub struct Limit<C: Clock = DefaultClock> {
    limiter: RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    hash: RandomState,
    clock: C,
}

impl Limit {
    /// So many a minute for each key.
    pub fn a_minute(most: NonZeroU32) -> Self {
        Self::by(most, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limit<C> {
    fn by(most: NonZeroU32, clock: C) -> Self {
        let limiter = RateLimiter::new(Quota::per_minute(most), HashMapStateStore::default(), clock.clone());
        Self { limiter, hash: RandomState::new(), clock }
    }

    /// Counts one for this key.
    ///
    /// # Errors
    /// When it has had enough.
    pub fn count(&self, key: &impl Hash) -> Result<(), TooMany> {
        let slot = self.hash.hash_one(key) % SLOTS;
        self.limiter.check_key(&slot).map_err(|not_until| TooMany(not_until.wait_time_from(self.clock.now())))
    }
}

/// Too many attempts; the next one may be made after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany(pub Duration);

impl TooMany {
    /// Whole seconds until the next attempt, as `Retry-After` wants them.
    pub fn seconds(self) -> u64 {
        self.0.as_secs() + 1
    }
}

impl IntoResponse for TooMany {
    fn into_response(self) -> Response {
        let page = PageError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many at once",
            format!(
                "Share links were opened too often in a short time, with this link or from your network. Nothing was done and \
                 nothing is lost: wait {}, then open the link again. If it stays so, it is the turn of whoever runs this \
                 Kubelend.",
                super::labels::counted(self.seconds(), "second")
            ),
        );
        let page = page.with_next(NextStep::new("See what is shared with you", paths::SHARED));
        ([(header::RETRY_AFTER, HeaderValue::from(self.seconds()))], page).into_response()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn most(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn whoever_had_enough_waits_and_others_do_not() {
        let clock = FakeRelativeClock::default();
        let limit = Limit::by(most(6), clock.clone());
        assert!((0..6).all(|_| limit.count(&"a").is_ok()), "all of a minute's at once");
        let TooMany(wait) = limit.count(&"a").unwrap_err();
        assert_eq!(wait, Duration::from_secs(10));
        assert_eq!(limit.count(&"b"), Ok(()));
        clock.advance(Duration::from_secs(9));
        assert!(limit.count(&"a").is_err());
        clock.advance(Duration::from_secs(1));
        assert_eq!(limit.count(&"a"), Ok(()));
        assert!(limit.count(&"a").is_err());
    }

    #[test]
    fn a_million_invented_keys_fill_no_more_than_the_slots() {
        let limit = Limit::by(most(6), FakeRelativeClock::default());
        for n in 0..300_000_u32 {
            let _ = limit.count(&n);
        }
        assert!(limit.limiter.len() <= 65_536, "{}", limit.limiter.len());
    }

    #[test]
    fn immune_29_a_link_is_limited_whoever_opens_it_and_whether_there_is_one_or_not() {
        let limits = RateLimits::new(Limits { links_per_address: most(2), uses_per_link: most(3) });
        let address = |n: u8| ClientAddress(std::net::IpAddr::from([203, 0, 113, n]));
        let (one, other) = (HashedToken([1; 32]), HashedToken([2; 32]));
        assert!((0..3).all(|n| limits.try_link(address(n), Some(&one)).is_ok()));
        assert!(limits.try_link(address(9), Some(&one)).is_err());
        assert!(limits.try_link(address(9), Some(&other)).is_ok());
        assert!(limits.try_link(address(9), None).is_err(), "the address has had its two");
    }

    #[tokio::test]
    async fn the_answer_says_when_to_come_again() {
        let answer = TooMany(Duration::from_millis(1_200)).into_response();
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &HeaderValue::from_static("2")));
    }
}
