//! Share links that were opened in this browser. The address of a share link holds its token, so nobody stays on it: the token goes
//! into a sealed cookie of its own, and the browser to an address that names the cookie by a handle. The handle is worth
//! nothing elsewhere, so it may stand in the address bar, in the history, and in the way back from signing in.
//!
//! Whatever stands in the address is taken in the same way, a good token or none, so that nothing is learned by looking.

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cookie::Cookie;
use secrecy::{ExposeSecret, SecretString};

use super::sealed_cookies as cookies;
use crate::{crypto::Keyring, model::time::Timestamp};

const PREFIX: &str = "__Host-kl-link-";
/// At most so many at once, the latest: beside sign-ins that were begun, more would outgrow the header that proxies let through.
const KEPT: usize = 5;
/// For how long a link that was opened can be accepted without opening it again; a sign-in takes 15 minutes at most.
const MAX_AGE: time::Duration = time::Duration::hours(2);
/// Longer than any token of ours; what is longer opens nothing.
const LONGEST: usize = 128;
/// 96 bits of a handle, in base64url.
const HANDLE: usize = 16;

/// The handle of a text in an address: always the same for the same text, and nothing is to be learned of the text from it.
fn handle(keyring: &Keyring, text: &str) -> String {
    let drawn = keyring.derive(&format!("opened link:{text}"));
    URL_SAFE_NO_PAD.encode(&drawn[..HANDLE * 3 / 4])
}

/// Takes what stands in the address of a share link: the handle, and the headers that make the browser keep the text.
pub fn remember(headers: &HeaderMap, keyring: &Keyring, text: &str, now: Timestamp) -> (String, HeaderMap) {
    let text = if text.len() > LONGEST { "" } else { text };
    let handle = handle(keyring, text);
    let name = format!("{PREFIX}{handle}");
    let mut out = HeaderMap::new();
    let mut others: Vec<(Timestamp, String)> = cookies::held(headers, PREFIX)
        .filter(|cookie| cookie.name() != name)
        // What does not open is of no use to anybody, and counts as oldest.
        .map(|c| (open(keyring, &c).map_or(Timestamp::from_millis(i64::MIN), |(at, _)| at), c.name().to_owned()))
        .collect();
    others.sort_by(|a, b| b.cmp(a));
    for (_, old) in others.into_iter().skip(KEPT - 1) {
        cookies::forget(&mut out, old);
    }
    let value = keyring.seal_text(&name, &format!("{} {text}", now.millis()));
    cookies::set(&mut out, cookies::ours(name, value).max_age(MAX_AGE).build());
    (handle, out)
}

/// The text behind a handle, where it was opened in this browser and not too long ago.
pub fn find(headers: &HeaderMap, keyring: &Keyring, handle: &str, now: Timestamp) -> Option<SecretString> {
    let name = format!("{PREFIX}{handle}");
    let found = cookies::held(headers, PREFIX).filter(|cookie| cookie.name() == name);
    let max_age = MAX_AGE.unsigned_abs();
    found.filter_map(|cookie| open(keyring, &cookie)).find(|(at, _)| now.since(*at) < max_age).map(|(_, text)| text)
}

fn open(keyring: &Keyring, cookie: &Cookie<'_>) -> Option<(Timestamp, SecretString)> {
    let opened = keyring.open_text(cookie.name(), cookie.value()).ok()?;
    let (at, text) = opened.expose_secret().split_once(' ')?;
    Some((Timestamp::from_millis(at.parse().ok()?), text.into()))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use axum::http::{HeaderValue, header};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);

    /// What a browser makes of `Set-Cookie`.
    #[derive(Default)]
    struct Browser(BTreeMap<String, String>);

    impl Browser {
        fn opens(&mut self, ring: &Keyring, text: &str, now: Timestamp) -> String {
            let (handle, set) = remember(&self.headers(), ring, text, now);
            for value in set.get_all(header::SET_COOKIE) {
                let cookie = Cookie::parse(value.to_str().unwrap().to_owned()).unwrap();
                let bound = (cookie.secure(), cookie.http_only(), cookie.path(), cookie.domain());
                assert_eq!(bound, (Some(true), Some(true), Some("/"), None), "{cookie}");
                if cookie.max_age() == Some(time::Duration::ZERO) {
                    self.0.remove(cookie.name());
                } else {
                    self.0.insert(cookie.name().to_owned(), cookie.value().to_owned());
                }
            }
            handle
        }

        fn headers(&self) -> HeaderMap {
            let all: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(&all.join("; ")).unwrap());
            headers
        }

        fn finds(&self, ring: &Keyring, handle: &str, now: Timestamp) -> Option<String> {
            find(&self.headers(), ring, handle, now).map(|text| text.expose_secret().to_owned())
        }
    }

    #[test]
    fn five_tabs_keep_their_links_apart_and_the_oldest_gives_way() {
        let (ring, mut browser) = (Keyring::generate(), Browser::default());
        let at = |n: u64| NOW.plus(Duration::from_secs(n));
        let handles: Vec<String> = (0..6).map(|n| browser.opens(&ring, &format!("kls_{n}"), at(n))).collect();
        assert_eq!(browser.finds(&ring, &handles[0], at(6)), None);
        for (n, handle) in handles.iter().enumerate().skip(1) {
            assert_eq!(browser.finds(&ring, handle, at(6)), Some(format!("kls_{n}")));
        }
        assert_eq!(browser.opens(&ring, "kls_3", at(7)), handles[3], "opened again it is the same page");
        assert_eq!(browser.0.len(), 5);
        assert!(browser.headers()[header::COOKIE].len() < 1_500);
    }

    #[test]
    fn immune_29_the_handle_shows_nothing_and_opens_nothing_elsewhere() {
        let (ring, mut browser) = (Keyring::generate(), Browser::default());
        let token = crate::crypto::PlainToken::generate(crate::crypto::SHARE_LINK_PREFIX);
        let handle = browser.opens(&ring, token.expose(), NOW);
        assert!(!token.expose().contains(&handle) && !token.hash().to_hex().contains(&handle));
        assert!(!browser.headers()[header::COOKIE].to_str().unwrap().contains(token.expose()));
        assert_eq!(Browser::default().finds(&ring, &handle, NOW), None, "another browser");
        assert_eq!(browser.finds(&Keyring::generate(), &handle, NOW), None, "another Kubelend");
        assert_ne!(Browser::default().opens(&Keyring::generate(), token.expose(), NOW), handle);
        let old = NOW.plus(Duration::from_hours(2));
        assert_eq!(browser.finds(&ring, &handle, old), None, "too long ago, whatever the browser keeps");
        // Moved under another handle's name, it does not open.
        let other = browser.opens(&ring, "other", NOW);
        let value = browser.0[&format!("{PREFIX}{handle}")].clone();
        browser.0.insert(format!("{PREFIX}{other}"), value);
        assert_eq!(browser.finds(&ring, &other, NOW), None);
    }

    #[test]
    fn whatever_stands_in_the_address_is_taken_alike() {
        let (ring, mut browser) = (Keyring::generate(), Browser::default());
        for text in ["", "mistyped", "a b; c=d\r\n", "é", &"x".repeat(128)] {
            let handle = browser.opens(&ring, text, NOW);
            assert_eq!((handle.len(), browser.finds(&ring, &handle, NOW).as_deref()), (16, Some(text)));
        }
        let handle = browser.opens(&ring, &"x".repeat(4_000), NOW);
        assert_eq!(browser.finds(&ring, &handle, NOW).as_deref(), Some(""));
    }
}
