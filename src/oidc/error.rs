//! What goes wrong with a provider, told apart by whose turn it is.

use openidconnect::DiscoveryError;

use super::verify::MAX_GROUPS;
use crate::outbound::HttpsError;

/// What goes wrong at sign-in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// It cannot be reached, does not answer in time, or its TLS is not trusted. The text is for the operator's log and the
    /// providers' state, without secrets.
    #[error("the provider does not answer: {0}")]
    Unreachable(String),
    /// It answered something that is no OpenID Connect.
    #[error("the provider's answer makes no sense: {0}")]
    Nonsense(String),
    /// The person declined, or the provider refused them: RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6.
    /// Both texts come from outside: show them escaped, never as markup.
    #[error("the provider refused: {code}")]
    Refused {
        /// `access_denied`, `login_required`, …
        code: String,
        /// `error_description`, cut to 300 characters.
        description: Option<String>,
    },
    /// The callback is not for this attempt: another browser's, replayed, or made up.
    #[error("the answer does not belong to this sign-in")]
    WrongState,
    /// The attempt took too long.
    #[error("the sign-in took too long")]
    TooLate,
    /// The code was not accepted: used before, or expired.
    #[error("the provider did not accept the code: {0}")]
    CodeRefused(String),
    /// The ID token does not hold: signature, issuer, audience, times or nonce.
    #[error("the ID token was refused: {0}")]
    BadToken(String),
    /// The ID token lists more groups than anybody is taken to be in.
    #[error("the ID token lists more than {MAX_GROUPS} groups")]
    TooManyGroups,
}

/// What goes wrong at refreshing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token is spent, expired or taken back: the person must sign in again.
    #[error("the provider ended this sign-in: {0}")]
    Ended(String),
    /// The provider refused with an error of its own: whether it is the person (gone from its directory) or the provider (its
    /// directory does not answer), it does not say. The refresh token may be good, so it is kept; no new token was given, so
    /// nobody who is gone is let in by that. Or it answered with an ID token that does not hold: whose mistake that is shows
    /// later.
    #[error("the provider could not renew this sign-in: {0}")]
    Unclear(String),
    /// The provider does not answer now; nothing is lost.
    #[error("the provider does not answer: {0}")]
    Unavailable(String),
}

impl From<HttpsError> for OidcError {
    fn from(error: HttpsError) -> Self {
        match error {
            HttpsError::NotHttps(_) | HttpsError::TooLarge | HttpsError::BadRequest(_) => {
                Self::Nonsense(cut(&error.to_string()))
            }
            HttpsError::Forbidden(_) | HttpsError::ServerError(_) | HttpsError::Failed(_) => {
                Self::Unreachable(cut(&error.to_string()))
            }
        }
    }
}

impl From<DiscoveryError<HttpsError>> for OidcError {
    fn from(error: DiscoveryError<HttpsError>) -> Self {
        match error {
            DiscoveryError::Request(error) => error.into(),
            DiscoveryError::Response(status, ..) if status.is_server_error() => {
                Self::Unreachable(format!("it answers {status}"))
            }
            DiscoveryError::Response(status, ..) if status.is_redirection() => {
                Self::Nonsense(format!("it answers {status}, and redirects are not followed: is the issuer exact?"))
            }
            DiscoveryError::Response(status, _, why) if status.is_success() => Self::Nonsense(cut(&why)),
            DiscoveryError::Response(status, ..) => {
                Self::Nonsense(format!("it answers {status} where its discovery document should be"))
            }
            DiscoveryError::Parse(why) => Self::Nonsense(cut(&why.to_string())),
            DiscoveryError::Validation(why) => Self::Nonsense(cut(&why)),
            other => Self::Nonsense(cut(&other.to_string())),
        }
    }
}

/// Text from outside as it may stand in a log or on a page: one line, at most 300 characters, no control characters.
pub(super) fn cut(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.filter(|c| !is_invisible(*c)).take(300).collect()
}

/// Marks that turn the direction of text around or hide it, so that a sentence reads as another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_17_text_from_a_provider_is_cut_to_one_short_line() {
        let long = format!("a\nb\u{202E}c\0{}", "x".repeat(10_000));
        let short = cut(&long);
        assert!(short.starts_with("a bc "), "{short}");
        assert_eq!(short.chars().count(), 300);
    }
}
