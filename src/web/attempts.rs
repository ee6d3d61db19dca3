//! Sign-ins that were begun, each in a sealed cookie of its own until the provider answers, so that ten tabs do not fight and
//! nothing has to be stored for strangers. A callback finds its attempt by the state that it brings; the cookie goes with it.

use axum::http::HeaderMap;
use cookie::Cookie;
use secrecy::ExposeSecret;

use super::sealed_cookies as cookies;
use crate::{crypto::Keyring, model::time::Timestamp, oidc::Attempt};

const PREFIX: &str = "__Host-kl-attempt-";
/// Of 43 characters of the state: enough to tell attempts apart, and the rest stays inside the seal.
const NAMED_BY: usize = 16;
/// At most so many at once: more would outgrow the header that proxies let through.
const KEPT: usize = 10;
/// Longer than an attempt is good for (15 minutes), so that whoever comes late still gets to where they were going.
const MAX_AGE: time::Duration = time::Duration::hours(2);

/// The name of the cookie of a state; `None` if it cannot be a state of ours.
fn cookie_name(state: &str) -> Option<String> {
    let plain = state.len() <= 128 && state.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let start = state.get(..NAMED_BY).filter(|_| plain)?;
    Some(format!("{PREFIX}{start}"))
}

/// The attempts that a browser holds.
fn held(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    cookies::held(headers, PREFIX)
}

fn open(keyring: &Keyring, cookie: &Cookie<'_>) -> Option<Attempt> {
    let text = keyring.open_text(cookie.name(), cookie.value()).ok()?;
    serde_json::from_str(text.expose_secret()).ok()
}

/// The attempt that a callback with this state answers.
pub fn find(headers: &HeaderMap, keyring: &Keyring, state: &str) -> Option<Attempt> {
    let name = cookie_name(state)?;
    held(headers).filter(|cookie| cookie.name() == name).find_map(|cookie| open(keyring, &cookie))
}

/// The header that makes the browser remember an attempt, and those that make it forget the oldest where it holds too many.
pub fn remember(headers: &HeaderMap, keyring: &Keyring, attempt: &Attempt) -> HeaderMap {
    let mut out = forget_oldest(headers, keyring);
    let sealed = cookie_name(&attempt.state).zip(serde_json::to_string(attempt).ok());
    if let Some((name, text)) = sealed {
        let value = keyring.seal_text(&name, &text);
        cookies::set(&mut out, cookies::ours(name, value).max_age(MAX_AGE).build());
    }
    out
}

/// The header that makes the browser forget the attempt of a state.
pub fn forget(state: &str) -> HeaderMap {
    let mut out = HeaderMap::new();
    if let Some(name) = cookie_name(state) {
        cookies::forget(&mut out, name);
    }
    out
}

fn forget_oldest(headers: &HeaderMap, keyring: &Keyring) -> HeaderMap {
    // What does not open is of no use to anybody, and counts as oldest.
    let age = |cookie: &Cookie<'_>| open(keyring, cookie).map_or(Timestamp::from_millis(i64::MIN), |a| a.begun_at);
    let mut all: Vec<(Timestamp, String)> = held(headers).map(|c| (age(&c), c.name().to_owned())).collect();
    all.sort_by(|a, b| b.cmp(a));
    let mut out = HeaderMap::new();
    for (at, (begun_at, name)) in all.into_iter().enumerate() {
        if at + 1 >= KEPT || begun_at == Timestamp::from_millis(i64::MIN) {
            cookies::forget(&mut out, name);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::http::{HeaderValue, header};
    use cookie::SameSite;

    use super::*;
    use crate::{crypto, oidc::Purpose};

    /// What a browser makes of `Set-Cookie`.
    #[derive(Default)]
    struct Browser(BTreeMap<String, String>);

    impl Browser {
        fn take(&mut self, headers: &HeaderMap) {
            for value in headers.get_all(header::SET_COOKIE) {
                let cookie = Cookie::parse(value.to_str().unwrap().to_owned()).unwrap();
                assert!(cookie.name().starts_with("__Host-"), "{cookie}");
                let bound = (cookie.secure(), cookie.http_only(), cookie.path(), cookie.domain(), cookie.same_site());
                assert_eq!(bound, (Some(true), Some(true), Some("/"), None, Some(SameSite::Lax)), "{cookie}");
                if cookie.max_age() == Some(time::Duration::ZERO) {
                    self.0.remove(cookie.name());
                } else {
                    self.0.insert(cookie.name().to_owned(), cookie.value().to_owned());
                }
            }
        }

        fn headers(&self) -> HeaderMap {
            let all: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(&all.join("; ")).unwrap());
            headers
        }
    }

    fn attempt(at: i64) -> Attempt {
        Attempt {
            provider: "dex".parse().unwrap(),
            purpose: Purpose::Kubeconfig,
            state: crypto::random_text(),
            nonce: crypto::random_text(),
            verifier: crypto::random_text(),
            begun_at: Timestamp::from_secs(at),
            return_to: format!("/accept/{}", crypto::random_text()),
        }
    }

    #[test]
    fn ten_tabs_sign_in_at_once_and_the_eleventh_pushes_the_oldest_out() {
        let ring = Keyring::generate();
        let mut browser = Browser::default();
        let attempts: Vec<Attempt> = (0..11).map(attempt).collect();
        for (n, attempt) in attempts.iter().enumerate() {
            browser.take(&remember(&browser.headers(), &ring, attempt));
            assert_eq!(browser.0.len(), (n + 1).min(10));
        }
        assert!(find(&browser.headers(), &ring, &attempts[0].state).is_none());
        for attempt in attempts[1..].iter().rev() {
            let found = find(&browser.headers(), &ring, &attempt.state).unwrap();
            assert_eq!((found.state, found.return_to), (attempt.state.clone(), attempt.return_to.clone()));
            browser.take(&forget(&attempt.state));
            assert!(find(&browser.headers(), &ring, &attempt.state).is_none(), "used once");
        }
        assert!(browser.0.is_empty());
    }

    #[test]
    fn ten_attempts_fit_into_the_header_that_proxies_let_through() {
        let ring = Keyring::generate();
        let mut browser = Browser::default();
        for n in 0..10 {
            let attempt = Attempt { return_to: format!("/{}", "a".repeat(239)), ..attempt(n) };
            browser.take(&remember(&browser.headers(), &ring, &attempt));
        }
        let length = browser.headers()[header::COOKIE].len();
        assert!(length < 8_000, "{length}");
    }

    #[test]
    fn immune_13_an_attempt_counts_in_the_browser_that_began_it_alone_and_unchanged() {
        let (ring, begun) = (Keyring::generate(), attempt(1));
        let mut mine = Browser::default();
        mine.take(&remember(&HeaderMap::new(), &ring, &begun));
        let mut theirs = Browser::default();
        theirs.take(&remember(&HeaderMap::new(), &ring, &attempt(1)));
        assert!(find(&mine.headers(), &ring, &begun.state).is_some());
        assert!(find(&theirs.headers(), &ring, &begun.state).is_none());
        assert!(find(&HeaderMap::new(), &ring, &begun.state).is_none());
        // Moved under another attempt's name, it does not open.
        let value = mine.0.values().next().unwrap().clone();
        let name = theirs.0.keys().next().unwrap().clone();
        let moved = Browser(BTreeMap::from([(name.clone(), value)]));
        assert!(held(&moved.headers()).all(|cookie| open(&ring, &cookie).is_none()));
        assert!(find(&mine.headers(), &Keyring::generate(), &begun.state).is_none());
        for bad in ["", "short", "aaaaaaaaaaaaaaaa; x=y", "aaaaaaaaaaaaaaa\u{e9}", &"a".repeat(1_000)] {
            assert!(find(&mine.headers(), &ring, bad).is_none(), "{bad}");
            assert!(forget(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn the_cookie_shows_nothing_of_nonce_verifier_or_destination() {
        let (ring, begun) = (Keyring::generate(), attempt(1));
        let headers = remember(&HeaderMap::new(), &ring, &begun);
        let text = headers[header::SET_COOKIE].to_str().unwrap();
        for secret in [&begun.nonce, &begun.verifier, &begun.return_to, &begun.state] {
            assert!(!text.contains(secret.as_str()));
        }
    }

    #[test]
    fn what_does_not_open_is_cleared_away() {
        let ring = Keyring::generate();
        let mut browser = Browser(BTreeMap::from([(format!("{PREFIX}aaaaaaaaaaaaaaaa"), "x".to_owned())]));
        browser.take(&remember(&browser.headers(), &ring, &attempt(1)));
        assert_eq!(browser.0.len(), 1);
        assert!(!browser.0.contains_key(&format!("{PREFIX}aaaaaaaaaaaaaaaa")));
    }
}
