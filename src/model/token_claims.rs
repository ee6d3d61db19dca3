//! What an ID token says, read without verifying it: for comparing and showing, never for deciding who somebody is. That is
//! `oidc`'s, which verified the token when it came.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;

use super::time::Timestamp;

/// No longer token is read.
const MAX_TOKEN: usize = 64 * 1024;

/// The claims of an ID token, and the algorithm that signed it. The token itself is not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenClaims {
    /// `alg` of its header (RFC 7515 section 4.1.1).
    pub algorithm: String,
    all: BTreeMap<String, Value>,
}

/// A claim that lists names, groups most often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The token has no such claim.
    Missing,
    /// It has, and it is neither a text nor a list of texts: an API server refuses the whole token.
    Malformed,
    /// These; a single text is a list of one.
    Names(Vec<String>),
}

impl TokenClaims {
    /// Reads a token in its compact form (RFC 7519 section 3); `None` for what is none.
    pub fn read(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut parts = token.split('.');
        let (header, payload) = (object(parts.next()?)?, object(parts.next()?)?);
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { algorithm, all: payload })
    }

    /// The same out of claims alone.
    pub fn of(all: BTreeMap<String, Value>) -> Self {
        Self { algorithm: "RS256".into(), all }
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.all.get(claim).and_then(Value::as_str)
    }

    /// A claim, whatever it is.
    pub fn value(&self, claim: &str) -> Option<&Value> {
        self.all.get(claim)
    }

    /// `aud`, which is one text or several.
    pub fn audiences(&self) -> Vec<String> {
        match self.list("aud") {
            Listed::Names(names) => names,
            Listed::Missing | Listed::Malformed => Vec::new(),
        }
    }

    /// `email_verified`, as API servers read it: only true and false count.
    pub fn email_verified(&self) -> Option<bool> {
        self.all.get("email_verified").and_then(Value::as_bool)
    }

    /// A claim that lists names.
    pub fn list(&self, claim: &str) -> Listed {
        match self.all.get(claim) {
            None | Some(Value::Null) => Listed::Missing,
            Some(Value::String(one)) => Listed::Names(vec![one.clone()]),
            Some(Value::Array(many)) => {
                let names: Option<Vec<String>> = many.iter().map(|one| one.as_str().map(str::to_owned)).collect();
                names.map_or(Listed::Malformed, Listed::Names)
            }
            Some(_) => Listed::Malformed,
        }
    }

    /// A claim that is a point in time: `iat`, `exp`, `nbf`.
    pub fn time(&self, claim: &str) -> Option<Timestamp> {
        let value = self.all.get(claim)?;
        #[expect(clippy::cast_possible_truncation, reason = "a conversion of a float saturates")]
        let secs = value.as_i64().or_else(|| value.as_f64().map(|secs| secs as i64))?;
        Some(Timestamp::from_secs(secs))
    }

    /// The claims that are texts, with what they say.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }
}

fn object(part: &str) -> Option<BTreeMap<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("{}.{}.c2ln", BASE64.encode(r#"{"alg":"ES256"}"#), BASE64.encode(payload))
    }

    #[test]
    fn claims_are_read_as_an_api_server_reads_them() {
        let claims = TokenClaims::read(&token(
            r#"{"aud":["a","b"],"groups":"devs","roles":[1],"email_verified":"true","exp":1800000000.7,"sub":"s"}"#,
        ))
        .unwrap();
        assert_eq!(claims.algorithm, "ES256");
        assert_eq!(claims.audiences(), ["a", "b"]);
        assert_eq!(claims.list("groups"), Listed::Names(vec!["devs".into()]));
        assert_eq!((claims.list("roles"), claims.list("none")), (Listed::Malformed, Listed::Missing));
        assert_eq!(claims.email_verified(), None);
        assert_eq!(claims.time("exp"), Some(Timestamp::from_secs(1_800_000_000)));
        assert_eq!(claims.texts().filter(|(name, _)| *name == "sub").collect::<Vec<_>>(), [("sub", "s")]);
    }

    #[test]
    fn immune_23_what_is_no_token_or_too_long_is_not_read() {
        for bad in [
            "",
            "a",
            "a.b",
            "....",
            &token("[]"),
            &token("{"),
            &token(&format!("{{\"a\":\"{}\"}}", "x".repeat(70_000))),
        ] {
            assert_eq!(TokenClaims::read(bad), None, "{}", &bad[..bad.len().min(40)]);
        }
    }

    #[test]
    fn immune_21_the_token_itself_is_not_kept() {
        let claims = TokenClaims::read(&token(r#"{"sub":"s"}"#)).unwrap();
        assert!(!format!("{claims:?}").contains("c2ln"));
    }
}
