//! Headers that every answer carries.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use url::{Host, Url};

use super::WebSettings;

/// Nothing inline, nothing from elsewhere, framed by nobody.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
    ),
];

/// Puts them on.
pub async fn apply(State(settings): State<Arc<WebSettings>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if strict_transport(&settings.public_url) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// On `localhost` it would bind every other program of the machine to https; on an address it means nothing (RFC 6797, 8.1.1).
fn strict_transport(public_url: &Url) -> bool {
    let domain =
        matches!(public_url.host(), Some(Host::Domain(name)) if name != "localhost" && !name.ends_with(".localhost"));
    public_url.scheme() == "https" && domain
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn ask(public_url: &str, path: &str) -> axum::http::HeaderMap {
        let settings = WebSettings {
            public_url: public_url.parse().unwrap(),
            session_idle: Duration::ZERO,
            session_absolute: Duration::ZERO,
            trusted_proxies: Vec::new(),
        };
        let router = Router::new()
            .route("/", get(async || "page"))
            .merge(super::super::assets::router())
            .layer(from_fn_with_state(Arc::new(settings), apply));
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().into_parts().0.headers
    }

    #[tokio::test]
    async fn pages_are_kept_nowhere_and_run_nothing_inline() {
        let headers = ask("https://lend.example/", "/").await;
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers.contains_key("strict-transport-security"));
        let csp = headers["content-security-policy"].to_str().unwrap();
        assert!(csp.starts_with("default-src 'none';") && csp.contains("frame-ancestors 'none'"), "{csp}");
        assert!(!csp.contains("unsafe"), "{csp}");
        assert!(!csp.contains("  "), "{csp}");
    }

    #[tokio::test]
    async fn files_are_kept_for_good_under_their_own_hash_alone() {
        let urls = super::super::assets::urls();
        for url in [&urls.css, &urls.js, &urls.icon] {
            let headers = ask("https://lend.example/", url).await;
            assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable", "{url}");
            assert_eq!(headers["x-content-type-options"], "nosniff");
        }
        assert_eq!(ask("https://lend.example/", "/static/00000000/app.css").await["cache-control"], "no-cache");
    }

    #[tokio::test]
    async fn a_machine_of_ones_own_is_not_bound_to_https_for_a_year() {
        for url in
            ["https://localhost:8443/", "https://127.0.0.1:8443/", "https://x.localhost/", "http://lend.example/"]
        {
            assert!(!ask(url, "/").await.contains_key("strict-transport-security"), "{url}");
        }
    }
}
