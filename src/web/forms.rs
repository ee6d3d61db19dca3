//! Forms: the type of a form is its protection. A handler that takes [`ProtectedForm`] or [`ProtectedMultipart`] runs only for
//! what a page of ours sent in this very session.
//!
//! Two checks, each enough by itself. The browser's word: `Sec-Fetch-Site`, or `Origin` where that is missing. (Our pages are
//! `no-referrer`, so browsers send `Origin: null` with our own forms: Fetch, section 3.2. That is why `Sec-Fetch-Site` comes
//! first.) And the session's CSRF token in the field `csrf`, compared in constant time.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use axum::{
    Form,
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use tower_sessions::Session;
use url::Url;

use super::{Parts, errors::PageError, session};

/// The largest body of a form.
pub const MAX_BODY: usize = 256 * 1024;

/// A form that a page of ours sent. `T` need not name the field `csrf`.
#[derive(Debug)]
pub struct ProtectedForm<T>(pub T);

/// The same as `multipart/form-data`: text fields, and files as text (they must be UTF-8).
#[derive(Debug, Default)]
pub struct ProtectedMultipart {
    fields: BTreeMap<String, String>,
}

impl ProtectedMultipart {
    /// What a field or file holds; empty where it was not sent.
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl<T: DeserializeOwned> FromRequest<Parts> for ProtectedForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Parts) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        came_from_us(&head.headers, &state.settings.public_url).map_err(refuse)?;
        let bytes =
            axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
        let brought = url::form_urlencoded::parse(&bytes).find(|(name, _)| name == "csrf").map(|(_, value)| value);
        check_csrf(head.extensions.get(), brought.as_deref()).await.map_err(IntoResponse::into_response)?;
        let again = Request::from_parts(head, Body::from(Bytes::clone(&bytes)));
        let Form(form) = Form::<T>::from_request(again, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self(form))
    }
}

impl FromRequest<Parts> for ProtectedMultipart {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Parts) -> Result<Self, Response> {
        came_from_us(request.headers(), &state.settings.public_url).map_err(refuse)?;
        let session = request.extensions().get::<Session>().cloned();
        let parts = Multipart::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let form = read_multipart(parts).await?;
        check_csrf(session.as_ref(), Some(form.get("csrf"))).await.map_err(IntoResponse::into_response)?;
        Ok(form)
    }
}

async fn read_multipart(mut parts: Multipart) -> Result<ProtectedMultipart, Response> {
    let mut form = ProtectedMultipart::default();
    while let Some(field) = parts.next_field().await.map_err(IntoResponse::into_response)? {
        let Some(name) = field.name().map(ToOwned::to_owned) else { continue };
        let bytes = field.bytes().await.map_err(IntoResponse::into_response)?;
        let Ok(text) = String::from_utf8(bytes.to_vec()) else {
            return Err(PageError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "That file is no text",
                "Kubelend takes UTF-8 text alone. Go back and choose the kubeconfig itself, not an archive of it.",
            )
            .into_response());
        };
        // The first of a name counts, so that nothing can be slipped in behind it.
        form.fields.entry(name).or_insert(text);
    }
    Ok(form)
}

fn refuse(why: &'static str) -> Response {
    PageError::stale_form(why).into_response()
}

/// Whether the browser says that a page of ours sent this.
///
/// # Errors
/// What speaks against it.
fn came_from_us(headers: &HeaderMap, public_url: &Url) -> Result<(), &'static str> {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let ours = public_url.origin().ascii_serialization();
    match origin {
        Some(origin) if origin == ours.as_bytes() => {}
        Some(b"null") | None => {}
        Some(_) => return Err("Origin is another one"),
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin") => Ok(()),
        Some(_) => Err("Sec-Fetch-Site is not same-origin"),
        None if origin == Some(ours.as_bytes()) => Ok(()),
        None => Err("neither Sec-Fetch-Site nor Origin says where it is from"),
    }
}

async fn check_csrf(session: Option<&Session>, brought: Option<&str>) -> Result<(), PageError> {
    let session = session.ok_or_else(|| PageError::internal("the session layer is missing"))?;
    let good = match (session::csrf_of(session).await?, brought) {
        (Some(csrf), Some(brought)) => csrf.matches(brought),
        _ => false,
    };
    if good { Ok(()) } else { Err(PageError::stale_form("the CSRF token is missing or another one")) }
}

/// What is wrong with a form's fields, to be shown beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(pub(super) Vec<(&'static str, String)>);

impl FieldErrors {
    /// Adds one.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push((field, message.into()));
    }

    /// The first one of a field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, message)| message.as_str())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the value of a field that could be read, and what was wrong with one that could not.
    pub fn keep<T, E: ToString>(&mut self, field: &'static str, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.add(field, error.to_string())).ok()
    }
}

/// A choice of a `<select>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What the form sends.
    pub value: Cow<'static, str>,
    /// What people read.
    pub label: Cow<'static, str>,
    /// Whether it is the current one.
    pub selected: bool,
}

impl Choice {
    /// One of these words; it is the current one where `chosen` is its value.
    pub fn new(value: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>, chosen: &str) -> Self {
        let value = value.into();
        Self { selected: value == chosen, label: label.into(), value }
    }
}

/// How long something may last, as forms offer it.
const SPANS: [(&str, &str, Option<u64>); 6] = [
    ("1d", "1 day", Some(1)),
    ("7d", "7 days", Some(7)),
    ("30d", "30 days", Some(30)),
    ("90d", "90 days", Some(90)),
    ("365d", "1 year", Some(365)),
    ("never", "no end", None),
];

/// The choices of a `<select>` for how long something lasts; `endless` offers “no end” too.
pub fn span_choices(selected: &str, endless: bool) -> Vec<Choice> {
    let offered = SPANS.iter().filter(|(_, _, days)| endless || days.is_some());
    offered.map(|&(value, label, _)| Choice::new(value, label, selected)).collect()
}

/// The value that stands for a span, where it is one of those that are offered.
pub fn span_value(span: Option<Duration>) -> Option<&'static str> {
    let days = span.map(|span| span.as_secs() / 86_400);
    SPANS.iter().find(|(_, _, offered)| *offered == days).map(|(value, _, _)| *value)
}

/// Reads a chosen span; `Some(None)` is “no end”, which counts only where it was offered.
pub fn parse_span(value: &str, endless: bool) -> Option<Option<Duration>> {
    let (_, _, days) = SPANS.iter().find(|(v, _, days)| *v == value && (endless || days.is_some()))?;
    Some(days.map(|days| Duration::from_secs(days * 86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>, site: Option<&str>) -> HeaderMap {
        let mut all = HeaderMap::new();
        origin.map(|value| all.insert(header::ORIGIN, HeaderValue::from_str(value).unwrap()));
        site.map(|value| all.insert("sec-fetch-site", HeaderValue::from_str(value).unwrap()));
        all
    }

    #[test]
    fn a_form_of_another_site_is_refused_whatever_else_it_says() {
        let ours: Url = "https://lend.example:8443/".parse().unwrap();
        let own = Some("https://lend.example:8443");
        for (origin, site) in
            [(own, None), (own, Some("same-origin")), (Some("null"), Some("same-origin")), (None, Some("same-origin"))]
        {
            assert_eq!(came_from_us(&headers(origin, site), &ours), Ok(()), "{origin:?} {site:?}");
        }
        for (origin, site) in [
            (None, None),
            (Some("null"), None),
            (Some("https://evil.example"), None),
            (Some("https://evil.example"), Some("same-origin")),
            (Some("https://lend.example"), None),
            (Some("http://lend.example:8443"), None),
            (Some("https://lend.example:8443.evil.example"), None),
            (own, Some("cross-site")),
            (own, Some("same-site")),
            (own, Some("none")),
            (Some("null"), Some("cross-site")),
        ] {
            assert!(came_from_us(&headers(origin, site), &ours).is_err(), "{origin:?} {site:?}");
        }
    }

    #[test]
    fn immune_18_the_host_that_a_caller_names_decides_nothing() {
        let ours: Url = "https://lend.example/".parse().unwrap();
        let mut all = headers(Some("https://evil.example"), None);
        for name in ["host", "x-forwarded-host", "forwarded"] {
            all.insert(name, HeaderValue::from_static("evil.example"));
        }
        assert!(came_from_us(&all, &ours).is_err());
    }

    #[tokio::test]
    async fn of_two_fields_of_a_name_the_first_counts_and_bytes_are_no_text() {
        let body = |file: &[u8]| {
            let mut body = Vec::new();
            for (name, value) in [("name", b"first".as_slice()), ("name", b"second"), ("kubeconfig_file", file)] {
                body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
                body.extend(value);
                body.extend(b"\r\n");
            }
            body.extend(b"--x--\r\n");
            let kind = "multipart/form-data; boundary=x";
            Request::builder().method("POST").header("content-type", kind).body(Body::from(body)).unwrap()
        };
        let good = Multipart::from_request(body(b"apiVersion: v1"), &()).await.unwrap();
        let form = read_multipart(good).await.unwrap();
        assert_eq!(form.get("name"), "first");
        assert_eq!(form.get("kubeconfig_file"), "apiVersion: v1");
        assert_eq!(form.get("other"), "");
        let bad = Multipart::from_request(body(b"\xff\xfe"), &()).await.unwrap();
        assert_eq!(read_multipart(bad).await.unwrap_err().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn no_end_counts_only_where_it_was_offered() {
        assert_eq!(parse_span("7d", false), Some(Some(Duration::from_hours(168))));
        assert_eq!(parse_span("never", true), Some(None));
        assert_eq!(parse_span("never", false), None);
        assert_eq!(parse_span("100000d", true), None);
        assert_eq!(
            span_choices("90d", false).iter().filter(|c| c.selected).map(|c| c.label.as_ref()).collect::<Vec<_>>(),
            ["90 days"]
        );
        assert!(span_choices("90d", false).iter().all(|c| c.value != "never"));
    }
}
