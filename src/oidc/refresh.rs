//! Refreshing (RFC 6749 section 6, OpenID Connect Core section 12).
//!
//! A refresh token may be good for one use, so nothing here tries twice, and the caller sees to it that one refresh at a
//! time is under way for a token and that its future is not dropped half-way: an answer that was lost may have spent it.

use oauth2::RefreshToken;
use secrecy::{ExposeSecret, SecretString};

use super::{
    OidcError, Provider, Purpose, RefreshError,
    exchange::{Asking, TokenFailure, said},
};
use crate::model::{identity::VerifiedClaims, token_set::Tokens};

/// What a refresh gave.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The new tokens.
    pub tokens: Tokens,
    /// What the new ID token says of the person.
    pub claims: VerifiedClaims,
}

impl Provider {
    /// Trades a refresh token for new tokens. The new ID token is verified (without nonce) and must be of the same person,
    /// whose `sub` the caller knows. Where the provider gives no new refresh token the old one stays good and is returned.
    /// Never tries twice by itself: an answer that was lost may have spent the token; for the same reason it waits
    /// longer than any page would.
    pub async fn refresh(&self, refresh_token: &SecretString, sub: &str) -> Result<Refreshed, RefreshError> {
        let known = self.known_at_all().await.map_err(unavailable)?;
        let old = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let asking = Asking::new(self);
        let answer =
            self.client(&known.metadata, Purpose::Kubeconfig).exchange_refresh_token(&old).request_async(&asking).await;
        let mut given = asking.given(answer).map_err(|failure| self.refused(failure))?;
        // An answer came, so the old token may be spent; if the new one does not hold, there is none.
        let verified = self.verified(given.exposed(), &known, None, Purpose::Kubeconfig).await;
        let verified = verified.map_err(|error| RefreshError::Ended(error.to_string()))?;
        if verified.claims.sub != sub {
            return Err(RefreshError::Ended("it answered with another person's token".into()));
        }
        given.refresh_token.get_or_insert_with(|| refresh_token.clone());
        let tokens = given.tokens(&verified);
        Ok(Refreshed { tokens, claims: verified.claims })
    }

    fn refused(&self, failure: TokenFailure) -> RefreshError {
        match failure {
            TokenFailure::Refused(code, description) => refused(&code, description.as_deref()),
            TokenFailure::Unreachable(why) => {
                self.saw::<()>(&Err(OidcError::Unreachable(why.clone())));
                RefreshError::Unavailable(why)
            }
            TokenFailure::Unclear(why) => RefreshError::Unclear(why),
            TokenFailure::Trouble(why) | TokenFailure::Nonsense(why) => RefreshError::Unavailable(why),
        }
    }
}

/// `invalid_grant` is the standard's word. Dex says `invalid_request` instead, with 400, for a token that is spent or expired.
/// With 500 it says so of a person who is gone from its directory, of a directory that does not answer, and of its own storage:
/// one and the same answer (`newInternalServerError` in its server/refreshhandlers.go), which is [`RefreshError::Unclear`].
/// Anything else, such as `invalid_client`, is the operator's to mend and ends nobody's sign-in.
fn refused(code: &str, description: Option<&str>) -> RefreshError {
    let text = said(code, description);
    match code {
        "invalid_grant" | "invalid_request" => RefreshError::Ended(text),
        _ => RefreshError::Unavailable(text),
    }
}

fn unavailable(error: OidcError) -> RefreshError {
    match error {
        OidcError::Unreachable(why) => RefreshError::Unavailable(why),
        other => RefreshError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_token_ends_the_sign_in_and_a_mistake_of_the_operator_does_not() {
        assert!(matches!(refused("invalid_grant", None), RefreshError::Ended(_)));
        assert!(matches!(refused("invalid_request", Some("Refresh token expired.")), RefreshError::Ended(_)));
        for code in ["invalid_client", "unauthorized_client", "invalid_scope", "slow_down"] {
            assert!(matches!(refused(code, None), RefreshError::Unavailable(_)), "{code}");
        }
    }
}
