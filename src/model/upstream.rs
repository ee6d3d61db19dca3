//! Upstream sessions: a person's sign-in at a provider that Kubelend keeps, sealed, so that their devices can be given fresh
//! ID tokens. One for each person and provider, however many devices live on it.

use std::time::Duration;

use super::{id::IdentityId, provider::ProviderId, time::Timestamp, token_set::Tokens};

/// A token with less than this left is not handed to anybody: it would end on the way (client-go takes one for expired 10 s
/// early by itself).
const MARGIN: Duration = Duration::from_secs(2);

/// A sign-in that is kept.
#[derive(Clone, Debug)]
pub struct UpstreamSession {
    /// Whose.
    pub identity: IdentityId,
    /// Where.
    pub provider: ProviderId,
    /// The newest tokens.
    pub tokens: Tokens,
    /// When the provider last refused to refresh them, if it did since they came.
    pub refused_at: Option<Timestamp>,
    /// Grows by one with each change.
    pub version: i64,
}

impl UpstreamSession {
    /// Whether its ID token can be handed out without asking the provider: more than half of its life is left.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let life = self.tokens.expires_at.since(self.tokens.issued_at);
        now < self.tokens.issued_at.plus(life / 2) && self.tokens.is_alive(now)
    }
}

impl Tokens {
    /// Whether the ID token lives long enough to arrive somewhere.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.plus(MARGIN) < self.expires_at
    }

    /// How long an ID token of this provider lives (`exp` minus `iat`): the longest that one works after it was refused anew.
    pub fn life(&self) -> Duration {
        self.expires_at.since(self.issued_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_handed_out_again_for_half_of_its_life() {
        let at = Timestamp::from_secs;
        let tokens = Tokens { id_token: "t".into(), issued_at: at(1000), expires_at: at(1600), refresh_token: None };
        assert_eq!(tokens.life(), Duration::from_mins(10));
        assert!(tokens.is_alive(at(1597)) && !tokens.is_alive(at(1598)));
        let provider = "dex".parse().unwrap();
        let session = UpstreamSession { identity: IdentityId::new(), provider, tokens, refused_at: None, version: 0 };
        assert!(session.is_fresh(at(1299)) && !session.is_fresh(at(1300)));
    }
}
