//! Refreshing (RFC 6749 section 6, OpenID Connect Core section 12).
//!
//! A refresh token may be good for one use, so nothing here tries twice, and the caller sees to it that one refresh at a
//! time is under way for a token and that its future is not dropped half-way: an answer that was lost may have spent it.
//!
//! For the same reason an answer is of worth although its ID token does not hold, or not yet, since its key is not known and
//! cannot be fetched just now: its refresh token is the only one that is good. So it is given out before anything else is asked.

use oauth2::RefreshToken;
use secrecy::{ExposeSecret, SecretString};

use super::{
    OidcError, Provider, Purpose, RefreshError,
    exchange::{Asking, Given, TokenFailure, said},
    verify::Verified,
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

/// What the provider answered to a refresh.
#[derive(Debug)]
pub enum Renewal {
    /// New tokens of the same person.
    Verified(Box<Refreshed>),
    /// New tokens, of which the keys that are known do not say whose they are.
    Unverified(Unverified),
}

/// An answer whose ID token does not hold, or not yet. Keep its refresh token before asking [`Provider::verify_late`].
#[derive(Debug)]
pub struct Unverified {
    given: Given,
    refresh_token: SecretString,
}

impl Unverified {
    /// The newest refresh token of the sign-in.
    pub fn refresh_token(&self) -> &SecretString {
        &self.refresh_token
    }
}

impl Provider {
    /// Trades a refresh token for new tokens. The new ID token is verified (without nonce) with the keys that are known, and
    /// must be of the same person, whose `sub` the caller knows. Where the provider gives no new refresh token the old one
    /// stays good and is returned. Never tries twice by itself: an answer that was lost may have spent the token; for the same
    /// reason it waits longer than any page would.
    pub async fn refresh(&self, refresh_token: &SecretString, sub: &str) -> Result<Renewal, RefreshError> {
        let known = self.known_at_all().await.map_err(unavailable)?;
        let old = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let asking = Asking::new(self);
        let answer =
            self.client(&known.metadata, Purpose::Kubeconfig).exchange_refresh_token(&old).request_async(&asking).await;
        let mut given = asking.renewed(answer).map_err(|failure| self.refused(failure))?;
        let newest = given.refresh_token.get_or_insert_with(|| refresh_token.clone()).clone();
        match self.check(given.exposed(), &known, None, Purpose::Kubeconfig) {
            Ok(verified) => of_the_same_person(given, verified, sub).map(Box::new).map(Renewal::Verified),
            Err(_) => Ok(Renewal::Unverified(Unverified { given, refresh_token: newest })),
        }
    }

    /// Verifies what a refresh gave once more, with newer keys if those are wanting.
    ///
    /// # Errors
    /// `Ended` if it is another person's; else the refresh token that came with it is good for the next refresh.
    pub async fn verify_late(&self, late: Unverified, sub: &str) -> Result<Refreshed, RefreshError> {
        let known = self.known_at_all().await.map_err(unavailable)?;
        let verified = self.verified(late.given.exposed(), &known, None, Purpose::Kubeconfig).await;
        let verified = verified.map_err(|error| match error {
            OidcError::BadToken(_) | OidcError::TooManyGroups => RefreshError::Unclear(error.to_string()),
            other => unavailable(other),
        })?;
        of_the_same_person(late.given, verified, sub)
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

fn of_the_same_person(given: Given, verified: Verified, sub: &str) -> Result<Refreshed, RefreshError> {
    if verified.claims.sub != sub {
        return Err(RefreshError::Ended("it answered with another person's token".into()));
    }
    Ok(Refreshed { tokens: given.tokens(&verified), claims: verified.claims })
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
