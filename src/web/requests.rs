//! One line in the log and one count for each request, and the id that ties them to pages and audit events.
//!
//! Both name the route that matched, never the address: addresses hold share tokens, and a label for each would fill the
//! memory. The id is drawn here; one that a caller brings is not believed.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use metrics::{counter, histogram};

use crate::{crypto, telemetry};

/// The header that tells a caller the request's id.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// Draws the id, runs the request with it, writes the line and counts.
pub async fn observe(request: Request, next: Next) -> Response {
    let id = new_request_id();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |m| m.as_str().to_owned());
    let begun = Instant::now();
    let mut response = telemetry::with_request_id(id.clone(), next.run(request)).await;
    let took = begun.elapsed();
    let status = response.status().as_u16();
    tracing::info!(request_id = %id, method, route, status, ms = took.as_millis(), "request");
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    counter!("kubelend_http_requests_total", &labels).increment(1);
    histogram!("kubelend_http_request_seconds", &labels[..2]).record(took.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response
}

/// A method may be any word; labels are not.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    }
}

fn new_request_id() -> String {
    format!("{:016x}", u64::from_be_bytes(crypto::random()))
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn immune_29_a_share_token_is_in_no_line_of_the_log_at_any_level() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || to.clone())
            .finish();
        // With a single dispatcher, tracing asks the thread that meets a line first whether anybody listens, and remembers the
        // answer for all: a test beside this one would answer no.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        let guard = tracing::subscriber::set_default(subscriber);
        let router = Router::new()
            .route("/s/{token}", get(async || telemetry::request_id().unwrap_or_default()))
            .layer(from_fn(observe));
        for path in ["/s/kls_secret?code=secret", "/nowhere/secret"] {
            let request = Request::builder().uri(path).header(REQUEST_ID_HEADER, "secret").body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.headers()[REQUEST_ID_HEADER].len(), 16, "an id that a caller brings is not taken over");
        }
        drop(guard);
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("route=\"/s/{token}\"") && log.contains("route=\"none\""), "{log}");
        assert!(log.contains("status=200") && log.contains("status=404"), "{log}");
        assert!(!log.contains("secret"), "{log}");
    }

    #[tokio::test]
    async fn the_id_in_the_header_is_the_one_that_handlers_see() {
        let router =
            Router::new().route("/", get(async || telemetry::request_id().unwrap_or_default())).layer(from_fn(observe));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let id = response.headers()[REQUEST_ID_HEADER].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, id.as_bytes());
    }

    #[test]
    fn a_made_up_method_is_no_label_of_its_own() {
        assert_eq!(known(&Method::from_bytes(b"EVIL1").unwrap()), "other");
        assert_eq!(known(&Method::POST), "POST");
    }
}
