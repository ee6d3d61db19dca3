//! What a browser says it is, in the few words that help a person to recognise it: “Firefox on Linux”. Nothing depends on it.

use axum::http::{HeaderMap, header};

const BROWSERS: [(&str, &str); 6] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// The words for what sent a request.
pub fn browser_name(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let first =
        |known: &[(&str, &'static str)]| known.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, words)| *words);
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("a browser on {system}"),
        (None, None) => "a browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_by_what_they_are_and_not_by_what_they_also_claim() {
        let of = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, agent.parse().unwrap());
            browser_name(&headers)
        };
        let like = "AppleWebKit/537.36 (KHTML, like Gecko)";
        assert_eq!(of("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"), "Firefox on Linux");
        assert_eq!(
            of(&format!("Mozilla/5.0 (Windows NT 10.0; Win64) {like} Chrome/142.0 Safari/537.36 Edg/142.0")),
            "Edge on Windows"
        );
        assert_eq!(
            of(&format!("Mozilla/5.0 (Linux; Android 16) {like} Chrome/142.0 Safari/537.36")),
            "Chrome on Android"
        );
        assert_eq!(of("<script>"), "a browser");
        assert_eq!(browser_name(&HeaderMap::new()), "a browser");
    }
}
