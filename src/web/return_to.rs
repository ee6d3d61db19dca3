//! Where to go after signing in. It travels through the address bar, so it may be anybody's: only a path of ours is let in,
//! and everything that some browser, some proxy or some URL parser reads otherwise is refused rather than repaired.

use url::{Position, Url};

use super::paths;

/// A path of ours, with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

/// Longer ones are dropped: it is kept in a cookie beside nine others.
const MAX_CHARS: usize = 240;

impl ReturnTo {
    /// The first page.
    pub fn home() -> Self {
        Self(paths::HOME.to_owned())
    }

    /// Reads one that somebody brought.
    pub fn parse(text: &str, public_url: &Url) -> Option<Self> {
        let plain = text.len() <= MAX_CHARS && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if !plain || !text.starts_with('/') || hides_something(text) {
            return None;
        }
        let url = public_url.join(text).ok()?;
        let ours = url.origin() == public_url.origin() && url.username().is_empty() && url.password().is_none();
        let path = &url[Position::BeforePath..Position::AfterQuery];
        // Dot segments may have left two slashes in front, which a browser would take for a host.
        if !ours || path.starts_with("//") || leads_in_circles(url.path()) {
            return None;
        }
        Some(Self(path.to_owned()))
    }

    /// Reads one, or takes the first page in its place.
    pub fn parse_or_home(text: Option<&str>, public_url: &Url) -> Self {
        text.and_then(|t| Self::parse(t, public_url)).unwrap_or_else(Self::home)
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Slashes, backslashes and control characters behind percent signs: no address of ours has any in its path.
fn hides_something(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let encoded = |c: &[u8]| {
        let code = std::str::from_utf8(c).ok().and_then(|s| u8::from_str_radix(s, 16).ok());
        code.is_none_or(|c| matches!(c, 0..=0x20 | b'/' | b'\\' | b'%' | 0x7f))
    };
    path.starts_with("//")
        || path
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'%')
            .any(|(i, _)| path.as_bytes().get(i + 1..i + 3).is_none_or(encoded))
}

/// And never to a share link's own address: it holds a token, which must not travel through other addresses.
fn leads_in_circles(path: &str) -> bool {
    path.starts_with("/auth/")
        || path.starts_with("/s/")
        || [paths::SIGN_IN, paths::SIGN_OUT, paths::SIGNED_OUT].contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_16_only_a_path_of_ours_is_gone_back_to() {
        let ours: Url = "https://lend.example:8443/".parse().unwrap();
        for bad in [
            "",
            "clusters",
            "https://evil.example/",
            "https:/evil.example",
            "javascript:alert(1)",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\\/evil.example",
            "/%5cevil.example",
            "/%5C%5Cevil.example",
            "/%2fevil.example",
            "/%2F%2Fevil.example",
            "/%252fevil.example",
            "/.//evil.example",
            "/x/..//evil.example",
            "/%2e//evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/%09/evil.example",
            "/%0d%0aSet-Cookie:x",
            "/%0",
            "/%zz",
            " /clusters",
            "/clusters ",
            "/clusters\r\nx: y",
            "/é",
            "@evil.example",
            "/auth/start/dex",
            "/sign-in",
            "/x/../sign-in",
            "/s/kls_a-b_c",
            "/x/../s/kls_a",
            &format!("/{}", "a".repeat(400)),
        ] {
            assert_eq!(ReturnTo::parse(bad, &ours), None, "{bad:?}");
            assert_eq!(ReturnTo::parse_or_home(Some(bad), &ours).as_str(), "/");
        }
    }

    #[test]
    fn pages_of_ours_are_gone_back_to() {
        let ours: Url = "https://lend.example/".parse().unwrap();
        for good in ["/", "/clusters", "/accept/a-b_c", "/clusters/0/access?text=a%2Fb&role=view", "/x@evil.example"] {
            assert_eq!(ReturnTo::parse(good, &ours).map(|r| r.0).as_deref(), Some(good));
        }
        assert_eq!(ReturnTo::parse("/clusters#top", &ours).unwrap().as_str(), "/clusters");
    }
}
