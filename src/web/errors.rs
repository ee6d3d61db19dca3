//! What went wrong, in people's words: what happened, whose turn it is, and the next step. And in the log, once, here.
//!
//! A handler's error becomes an answer that carries the [`PageError`]; the layer [`show`] turns that into a page, since it
//! knows whose frame goes around it. Bare refusals of axum and panics become pages there too.

use std::{panic::AssertUnwindSafe, sync::Arc};

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::{
    frame::{Frame, FrameCell},
    paths,
    return_to::ReturnTo,
    words,
};
use crate::{
    access::AccessError, clock::Clock, oidc::Purpose, oidc::RefreshError, policy::Forbidden, store::StoreError,
    telemetry,
};

/// Where to go from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// The address.
    pub href: String,
    /// The words on the button.
    pub label: String,
}

impl NextStep {
    /// With these words, to there.
    pub fn new(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { href: href.into(), label: label.into() }
    }

    /// To the first page.
    pub fn home() -> Self {
        Self::new("Go to Kubelend", paths::HOME)
    }

    /// To signing in, and from there to `next`.
    pub fn sign_in(next: &ReturnTo) -> Self {
        Self::new("Sign in again", paths::sign_in(next.as_str(), Purpose::Pages))
    }
}

/// An error as a page shows it.
#[derive(Clone, Debug)]
pub struct PageError {
    status: StatusCode,
    title: String,
    text: String,
    // Boxed, so that a `Result` with it stays small.
    next: Option<Box<NextStep>>,
    cause: Option<String>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: String,
    text: String,
    next: Option<NextStep>,
    request_id: Option<String>,
    at: String,
}

impl PageError {
    /// One with these words and a way home.
    pub fn new(status: StatusCode, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { status, title: title.into(), text: text.into(), next: Some(Box::new(NextStep::home())), cause: None }
    }

    /// With another next step.
    #[must_use]
    pub fn with_next(mut self, next: NextStep) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    /// With what the log is to know besides; never a secret.
    #[must_use]
    pub fn with_cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// A mistake of ours.
    pub fn internal(cause: impl ToString) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something broke here",
            "This is a mistake of Kubelend's, not yours. Try again; if it stays, tell whoever runs this Kubelend, with the \
             request's number below.",
        )
        .with_cause(cause)
    }

    /// There is nothing here.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The address is mistyped, or what was here has been removed, or it belongs to somebody else. If somebody sent \
             you here, ask them to look again.",
        )
    }

    /// The session ended before a form arrived.
    pub fn sign_in_again(next: &ReturnTo) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "You are signed out",
            "Your session has ended, so what you sent was not done. Sign in again, then do it once more.",
        )
        .with_next(NextStep::sign_in(next))
    }

    /// A form that did not come from a page of ours, or from one that was open too long.
    pub fn stale_form(why: impl ToString) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form was not sent from an open page of Kubelend",
            "Nothing was done. The page may have been open since before you signed in, or another site sent the form. Go \
             back, reload the page, and try again.",
        )
        .with_cause(why)
    }

    /// What the bare status of a refusal means to people.
    fn of_status(status: StatusCode) -> Self {
        let (title, text) = match status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => return Self { status, ..Self::not_found() },
            StatusCode::METHOD_NOT_ALLOWED => (
                "That does not work here",
                "This address takes what a form sends, and is no page by itself (or the other way round). Start from the \
                 page that the form is on.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => (
                "That is too big",
                "What you sent is larger than Kubelend takes: 256 KiB for a form. Go back and send less.",
            ),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "That form cannot be read",
                "A field is missing, or holds something that it cannot hold. Go back, reload the page, and fill it in again.",
            ),
            status if status.is_server_error() => return Self { status, ..Self::internal("bare status") },
            _ => ("That did not work", "Go back and try again."),
        };
        Self::new(status, title, text)
    }

    fn log(&self) {
        let cause = self.cause.as_deref().unwrap_or("");
        let (status, title) = (self.status.as_u16(), self.title.as_str());
        let request_id = telemetry::request_id().unwrap_or_default();
        if self.status.is_server_error() {
            tracing::error!(request_id, status, title, cause, "a page could not be shown");
        } else {
            tracing::info!(request_id, status, title, cause, "a request was refused");
        }
    }

    fn page(self, frame: Frame, clock: &Clock) -> Response {
        let page = ErrorPage {
            frame,
            title: self.title,
            text: self.text,
            next: self.next.map(|next| *next),
            request_id: telemetry::request_id(),
            at: clock.now().to_string(),
        };
        // A page of plain words: if even that cannot be drawn, the words alone are said.
        let html = page.render().unwrap_or(page.title);
        (self.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    }
}

#[derive(Clone)]
struct Carried(Arc<PageError>);

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

/// The layer that makes pages of errors.
pub async fn show(State(clock): State<Clock>, mut request: Request, next: Next) -> Response {
    let cell = FrameCell::default();
    request.extensions_mut().insert(cell.clone());
    let mut response = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| PageError::internal("panicked").into_response());
    let carried = response.extensions_mut().remove::<Carried>().map(|c| Arc::unwrap_or_clone(c.0));
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let status = response.status();
    let error = match carried {
        Some(error) => error,
        None if is_page || !(status.is_client_error() || status.is_server_error()) => return response,
        None => PageError::of_status(status),
    };
    error.log();
    let mut page = error.page(cell.frame(), &clock);
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            page.headers_mut().append(name, value.clone());
        }
    }
    if page.status() == StatusCode::SERVICE_UNAVAILABLE {
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    page
}

impl From<AccessError> for PageError {
    fn from(error: AccessError) -> Self {
        let cause = error.to_string();
        match error {
            AccessError::Forbidden(why) => why.into(),
            AccessError::NotFound => Self::not_found(),
            AccessError::Invalid { message, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "That cannot be used", message)
            }
            AccessError::SignInAgain | AccessError::Provider(RefreshError::Ended(_)) => Self::new(
                StatusCode::UNAUTHORIZED,
                "Sign in once more",
                "Your sign-in at the provider has ended, so Kubelend cannot act for you. Sign in again to go on.",
            )
            .with_next(NextStep::sign_in(&ReturnTo::home())),
            AccessError::Provider(RefreshError::Unclear(_)) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Your sign-in could not be renewed",
                "The sign-in provider met an error. Either the directory behind it does not answer, or your account is not in \
                 it any more: it does not say which. Nothing is lost. Try again in a moment; if it stays so, sign in again, \
                 and the provider will tell.",
            ),
            AccessError::Provider(RefreshError::Unavailable(_)) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The sign-in provider does not answer",
                "Kubelend is fine, and nothing is lost. It is the turn of the people who run the sign-in provider. Try \
                 again in a moment.",
            ),
            AccessError::Cluster(why) => {
                let (title, text) = words::cluster_trouble(&why);
                Self::new(StatusCode::BAD_GATEWAY, title, text)
            }
            AccessError::Crypto(_) => Self::internal(&cause),
            AccessError::Store(why) => why.into(),
        }
        .with_cause(cause)
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        let cause = error.to_string();
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Full(most) => Self::new(
                StatusCode::CONFLICT,
                "There are too many already",
                format!("{most} is the most. Take some back first."),
            ),
            StoreError::Duplicate(what) => Self::new(StatusCode::CONFLICT, "There is one already", what),
            StoreError::TooMuch(_) | StoreError::Held => Self::new(
                StatusCode::CONFLICT,
                "That cannot be done as it is",
                "Nothing was done. It would be too much at once, or what is held needs it to stay as it is.",
            ),
            StoreError::Stale => Self::new(
                StatusCode::CONFLICT,
                "Somebody else was quicker",
                "It was changed while you were looking at it. Nothing was done; reload the page and look again.",
            ),
            StoreError::Database(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Kubelend's database does not answer",
                "It is the turn of whoever runs this Kubelend. Try again in a moment; what you sent may not have been done.",
            ),
            StoreError::LastOwner => Forbidden::LastOwner.into(),
            StoreError::Migration(_) | StoreError::Corrupt(_) => Self::internal(&cause),
        }
        .with_cause(cause)
    }
}

impl From<Forbidden> for PageError {
    fn from(why: Forbidden) -> Self {
        let (title, text) = words::forbidden(why);
        Self::new(StatusCode::FORBIDDEN, title, text).with_cause(why)
    }
}

impl From<tower_sessions::session::Error> for PageError {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Kubelend's database does not answer",
            "So it cannot be seen who you are. It is the turn of whoever runs this Kubelend. Try again in a moment.",
        )
        .with_cause(error)
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::Body,
        middleware::from_fn_with_state,
        routing::{get, post},
    };
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::model::time::Timestamp;

    async fn ask(method: &str, path: &str) -> (StatusCode, http::HeaderMap, String) {
        let evil = "<script>alert(1)</script>\"'";
        let router = Router::new()
            .route(
                "/evil",
                get(async move || {
                    PageError::new(StatusCode::FORBIDDEN, evil, evil).with_next(NextStep::new(evil, "/\"onclick=x"))
                }),
            )
            .route("/panic", get(async || -> &'static str { panic!("a secret in a panic") }))
            .route("/bare", get(async || StatusCode::PAYLOAD_TOO_LARGE))
            .route("/form", post(async || "done"))
            .route(
                "/down",
                get(async || PageError::from(AccessError::from(RefreshError::Unavailable("no answer".into())))),
            )
            .route(
                "/unclear",
                get(async || PageError::from(AccessError::from(RefreshError::Unclear("invalid_request".into())))),
            )
            .route("/cookie", get(async || ([("set-cookie", "a=b")], PageError::not_found())))
            .route(
                "/own",
                get(async || (StatusCode::UNPROCESSABLE_ENTITY, axum::response::Html("<p>the form again</p>"))),
            )
            .fallback(async || PageError::not_found())
            .layer(from_fn_with_state(Clock::fixed(Timestamp::from_secs(0)), show));
        let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        (head.status, head.headers, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn immune_17_words_from_outside_are_text_on_an_error_page() {
        let (status, _, html) = ask("GET", "/evil").await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(!html.contains("\"onclick"), "{html}");
        assert!(html.contains("&#60;script&#62;") || html.contains("&lt;script&gt;"), "{html}");
    }

    #[tokio::test]
    async fn every_refusal_is_a_page_with_a_next_step() {
        for (method, path, status) in [
            ("GET", "/panic", 500),
            ("GET", "/bare", 413),
            ("GET", "/form", 405),
            ("GET", "/down", 503),
            ("GET", "/unclear", 503),
            ("GET", "/nowhere", 404),
            ("POST", "/nowhere", 404),
        ] {
            let (got, headers, html) = ask(method, path).await;
            assert_eq!(got.as_u16(), status, "{path}");
            assert!(
                html.contains("<h1>") && html.contains("<a class=\"button primary\" href=\"/\">"),
                "{path}: {html}"
            );
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
            assert_eq!(headers.contains_key("retry-after"), status == 503);
            assert!(!html.contains("secret in a panic") && !html.contains("pool timed out"), "{path}: {html}");
        }
    }

    #[tokio::test]
    async fn an_error_keeps_its_cookies_and_a_page_of_its_own() {
        let (_, headers, html) = ask("GET", "/cookie").await;
        assert_eq!((headers["set-cookie"].to_str().unwrap(), html.contains("<h1>")), ("a=b", true));
        let (status, _, html) = ask("GET", "/own").await;
        assert_eq!((status.as_u16(), html.as_str()), (422, "<p>the form again</p>"));
    }
}
