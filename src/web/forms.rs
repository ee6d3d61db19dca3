//! Forms: the type of a form is its protection. A handler that takes [`ProtectedForm`] or [`ProtectedMultipart`] runs only for
//! what a page of ours sent in this very session.
//!
//! Two checks, each enough by itself. The browser's word: `Sec-Fetch-Site`, or `Origin` where that is missing. (Our pages are
//! `no-referrer`, so browsers send `Origin: null` with our own forms: Fetch, section 3.2. That is why `Sec-Fetch-Site` comes
//! first.) And the session's CSRF token in the field `csrf`, compared in constant time.

use std::{borrow::Cow, collections::BTreeMap, error::Error, time::Duration};

use axum::{
    Form,
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::{HeaderMap, HeaderValue, StatusCode, header},
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

/// Why a form was not taken. In the log's words: they hold nothing of what the form held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormRefusal {
    /// It is not from a page of ours.
    #[error("{0}")]
    Stranger(&'static str),
    /// It is not from this session.
    #[error("the CSRF token is missing or another one")]
    Csrf,
    /// It is larger than [`MAX_BODY`].
    #[error("the form is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// Its end never came.
    #[error("the form broke off: {0}")]
    BrokeOff(String),
    /// It arrived whole, and is none.
    #[error("the form cannot be read: {0}")]
    Unreadable(String),
    /// A field cannot hold what it holds, or is missing.
    #[error("the form's fields are missing or cannot hold what they hold")]
    Fields,
    /// A file is not UTF-8.
    #[error("a field or file of the form is no text")]
    NotText,
}

impl From<FormRefusal> for PageError {
    fn from(why: FormRefusal) -> Self {
        let (status, title, text) = match why {
            FormRefusal::Stranger(_) | FormRefusal::Csrf => return Self::stale_form(why),
            FormRefusal::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "That is too big",
                "What you sent is larger than Kubelend takes: 256 KiB for a form. Go back and send less.",
            ),
            FormRefusal::BrokeOff(_) => (
                StatusCode::BAD_REQUEST,
                "That form did not arrive whole",
                "Nothing was done. The connection may have broken. Go back and send it once more.",
            ),
            FormRefusal::Unreadable(_) | FormRefusal::Fields => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "That form cannot be read",
                "A field is missing, or holds something that it cannot hold. Go back, reload the page, and fill it in again.",
            ),
            FormRefusal::NotText => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "That file is no text",
                "Kubelend takes UTF-8 text alone. Go back and choose the kubeconfig itself, not an archive of it.",
            ),
        };
        Self::new(status, title, text).with_cause(why)
    }
}

impl<T: DeserializeOwned> FromRequest<Parts> for ProtectedForm<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &Parts) -> Result<Self, PageError> {
        let (head, body) = request.into_parts();
        came_from_us(&head.headers, &state.settings.public_url)?;
        let bytes = whole(body).await?;
        let brought = url::form_urlencoded::parse(&bytes).find(|(name, _)| name == "csrf").map(|(_, value)| value);
        check_csrf(head.extensions.get(), brought.as_deref()).await?;
        let again = Request::from_parts(head, Body::from(Bytes::clone(&bytes)));
        // What serde says of a field quotes it.
        let Form(form) = Form::<T>::from_request(again, state).await.map_err(|_| FormRefusal::Fields)?;
        Ok(Self(form))
    }
}

impl FromRequest<Parts> for ProtectedMultipart {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &Parts) -> Result<Self, PageError> {
        came_from_us(request.headers(), &state.settings.public_url)?;
        let session = request.extensions().get::<Session>().cloned();
        let form = read_multipart(request).await?;
        check_csrf(session.as_ref(), Some(form.get("csrf"))).await?;
        Ok(form)
    }
}

/// Reads a body to its end.
async fn whole(body: Body) -> Result<Bytes, FormRefusal> {
    axum::body::to_bytes(body, MAX_BODY).await.map_err(|error| {
        let too_large = error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>);
        if too_large { FormRefusal::TooLarge } else { FormRefusal::BrokeOff(error.to_string()) }
    })
}

/// Reads the body whole before it takes it apart. multer 3.1 asks the stream twice before it looks for the first boundary
/// again, and calls a form incomplete whose body comes to its end between the two (upstream's pull request 70).
async fn read_multipart(request: Request) -> Result<ProtectedMultipart, FormRefusal> {
    let (head, body) = request.into_parts();
    let again = Request::from_parts(head, Body::from(whole(body).await?));
    let mut parts = Multipart::from_request(again, &()).await.map_err(|e| FormRefusal::Unreadable(e.body_text()))?;
    let mut form = ProtectedMultipart::default();
    while let Some(field) = parts.next_field().await.map_err(unreadable)? {
        let Some(name) = field.name().map(ToOwned::to_owned) else { continue };
        let bytes = field.bytes().await.map_err(unreadable)?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| FormRefusal::NotText)?;
        // The first of a name counts, so that nothing can be slipped in behind it.
        form.fields.entry(name).or_insert(text);
    }
    Ok(form)
}

fn unreadable(error: MultipartError) -> FormRefusal {
    FormRefusal::Unreadable(error.body_text().chars().take(200).collect())
}

/// Whether the browser says that a page of ours sent this.
///
/// # Errors
/// What speaks against it.
fn came_from_us(headers: &HeaderMap, public_url: &Url) -> Result<(), FormRefusal> {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let ours = public_url.origin().ascii_serialization();
    match origin {
        Some(origin) if origin == ours.as_bytes() => {}
        Some(b"null") | None => {}
        Some(_) => return Err(FormRefusal::Stranger("Origin is another one")),
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin") => Ok(()),
        Some(_) => Err(FormRefusal::Stranger("Sec-Fetch-Site is not same-origin")),
        None if origin == Some(ours.as_bytes()) => Ok(()),
        None => Err(FormRefusal::Stranger("neither Sec-Fetch-Site nor Origin says where it is from")),
    }
}

async fn check_csrf(session: Option<&Session>, brought: Option<&str>) -> Result<(), PageError> {
    let session = session.ok_or_else(|| PageError::internal("the session layer is missing"))?;
    let good = match (session::csrf_of(session).await?, brought) {
        (Some(csrf), Some(brought)) => csrf.matches(brought),
        _ => false,
    };
    if good { Ok(()) } else { Err(FormRefusal::Csrf.into()) }
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
    use std::{io, task::Poll};

    use axum::response::IntoResponse;

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

    /// A form with two fields of a name and this file.
    fn multipart(file: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in [("name", b"first".as_slice()), ("name", b"second"), ("kubeconfig_file", file)] {
            body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
            body.extend(value);
            body.extend(b"\r\n");
        }
        body.extend(b"--x--\r\n");
        body
    }

    async fn read(body: impl Into<Body>) -> Result<ProtectedMultipart, FormRefusal> {
        let kind = "multipart/form-data; boundary=x";
        let request = Request::builder().method("POST").header("content-type", kind).body(body.into()).unwrap();
        read_multipart(request).await
    }

    /// A body that arrives whole, with its end, after it was asked for once in vain.
    fn late(body: Vec<u8>) -> Body {
        let mut asked = 0;
        Body::from_stream(futures_util::stream::poll_fn(move |cx| {
            asked += 1;
            match asked {
                1 => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                2 => Poll::Ready(Some(Ok::<_, io::Error>(body.clone()))),
                _ => Poll::Ready(None),
            }
        }))
    }

    #[tokio::test]
    async fn of_two_fields_of_a_name_the_first_counts_and_bytes_are_no_text() {
        let form = read(multipart(b"apiVersion: v1")).await.unwrap();
        assert_eq!(form.get("name"), "first");
        assert_eq!(form.get("kubeconfig_file"), "apiVersion: v1");
        assert_eq!(form.get("other"), "");
        assert_eq!(read(multipart(b"\xff\xfe")).await.unwrap_err(), FormRefusal::NotText);
    }

    #[tokio::test]
    async fn a_form_whose_body_comes_late_and_at_once_is_read_like_any_other() {
        let form = read(late(multipart(b"apiVersion: v1"))).await.unwrap();
        assert_eq!((form.get("name"), form.get("kubeconfig_file")), ("first", "apiVersion: v1"));
    }

    #[tokio::test]
    async fn a_form_that_cannot_be_read_says_why_and_not_what_it_held() {
        let cut = multipart(b"secret")[..60].to_vec();
        let too_large = read(multipart(&vec![b'a'; MAX_BODY])).await.unwrap_err();
        assert_eq!(too_large, FormRefusal::TooLarge);
        let broken = futures_util::stream::once(async { Err::<Vec<u8>, _>(io::Error::other("reset by peer")) });
        let broken = read(Body::from_stream(broken)).await.unwrap_err();
        assert_eq!(broken, FormRefusal::BrokeOff("reset by peer".into()));
        for (why, status) in [(read(cut).await.unwrap_err(), 422), (too_large, 413), (broken, 400)] {
            assert!(!why.to_string().contains("secret"), "{why}");
            assert_eq!(PageError::from(why).into_response().status(), status);
        }
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
