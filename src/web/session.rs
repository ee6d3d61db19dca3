//! Sessions of the browser: who is signed in, for how long, and what their forms must bring.
//!
//! The cookie holds an encrypted random id and nothing else; the record is in the store. A session has an idle limit (the
//! store's expiry, pushed out as it is used) and an absolute one (from `signed_in_at`, checked here). Signing in always
//! begins with a new id and an empty record, so an id that somebody planted beforehand is worth nothing.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{Method, request::Parts as RequestParts},
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::{
    Expiry, Session, SessionManagerLayer,
    cookie::{Key, SameSite},
    service::PrivateCookie,
};

use super::{
    Parts, WebSettings,
    browser_name::browser_name,
    client_address::ClientAddress,
    errors::PageError,
    frame::{Frame, FrameCell, Nav},
    paths,
    return_to::ReturnTo,
};
use crate::{
    access::{AccessError, Gate},
    clock::Clock,
    crypto::{self, HashedToken, Keyring},
    model::{id::IdentityId, time::Timestamp},
    oidc::Purpose,
    policy::Person,
    store::session_keys,
};

const COOKIE: &str = "__Host-kubelend";
const SIGN_IN: &str = "sign_in";

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Record {
    signed_in_at: Timestamp,
    csrf: String,
}

/// The layer that finds a request's session, on any store.
pub fn session_layer<S: tower_sessions::SessionStore + Clone>(
    store: S,
    keyring: &Keyring,
    settings: &WebSettings,
) -> SessionManagerLayer<S, PrivateCookie> {
    let idle = time::Duration::try_from(settings.session_idle).unwrap_or(time::Duration::HOUR);
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_path("/")
        .with_secure(true)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(idle))
        .with_private(Key::from(&keyring.derive("session cookie")))
}

/// What a form must bring to show that it is ours; one for each session.
#[derive(Clone)]
pub struct Csrf(String);

impl Csrf {
    /// For the hidden field `csrf`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a form brought it.
    pub fn matches(&self, brought: &str) -> bool {
        !self.0.is_empty() && crypto::same_text(&self.0, brought)
    }
}

impl std::fmt::Debug for Csrf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Csrf(…)")
    }
}

/// Somebody who is signed in. As an extractor it sends others to the sign-in page.
#[derive(Clone)]
pub struct SignedIn {
    /// Who.
    pub person: Person,
    /// The key of the session's tokens.
    pub token_key: String,
    /// For the forms on the page.
    pub csrf: Csrf,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("person", &self.person.identity().id).finish_non_exhaustive()
    }
}

/// Somebody who may be signed in: for pages that strangers see too.
#[derive(Clone, Debug)]
pub struct MaybeSignedIn(pub Option<SignedIn>);

impl FromRequestParts<Parts> for MaybeSignedIn {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, PageError> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let Ok(from) = ClientAddress::from_request_parts(parts, state).await;
        let found = Self(find(parts, from, state).await?);
        if let (Some(who), Some(cell)) = (&found.0, parts.extensions.get::<FrameCell>()) {
            cell.fill(Frame::new(who, Nav::Nowhere));
        }
        parts.extensions.insert(found.clone());
        Ok(found)
    }
}

impl FromRequestParts<Parts> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Response> {
        let found = MaybeSignedIn::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        found.0.ok_or_else(|| to_sign_in(parts, &state.settings))
    }
}

async fn find(parts: &RequestParts, from: ClientAddress, state: &Parts) -> Result<Option<SignedIn>, PageError> {
    let session = session_of(parts)?;
    let (clock, gate) = (Clock::from_ref(state), Gate::from_ref(state));
    let Some((identity, record)) = read(session, clock.now(), &state.settings).await? else {
        return Ok(None);
    };
    match gate.signed_in(identity).await {
        Ok(person) => {
            touch(session, clock.now(), from, &state.settings).await?;
            let token_key = session.get::<String>(session_keys::TOKEN_KEY).await?.unwrap_or_default();
            Ok(Some(SignedIn { person, token_key, csrf: Csrf(record.csrf) }))
        }
        // The person is gone: so is their session.
        Err(AccessError::NotFound) => {
            session.flush().await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn session_of(parts: &RequestParts) -> Result<&Session, PageError> {
    parts.extensions.get::<Session>().ok_or_else(|| PageError::internal("the session layer is missing"))
}

async fn read(
    session: &Session,
    now: Timestamp,
    settings: &WebSettings,
) -> Result<Option<(IdentityId, Record)>, PageError> {
    let identity = session.get::<String>(session_keys::IDENTITY).await?.and_then(|text| text.parse().ok());
    let (Some(identity), Some(record)) = (identity, session.get::<Record>(SIGN_IN).await?) else {
        return Ok(None);
    };
    if now >= record.signed_in_at.plus(settings.session_absolute) {
        session.flush().await?;
        return Ok(None);
    }
    Ok(Some((identity, record)))
}

/// Pushes the idle limit out, but not with each request: that would be a write for each.
async fn touch(
    session: &Session,
    now: Timestamp,
    from: ClientAddress,
    settings: &WebSettings,
) -> Result<(), PageError> {
    let seen: Option<Timestamp> = session.get(session_keys::SEEN_AT).await?;
    if seen.is_none_or(|seen| now.since(seen) > settings.session_idle / 10) {
        session.insert(session_keys::SEEN_AT, now).await?;
        session.insert(session_keys::SEEN_FROM, from.0).await?;
    }
    Ok(())
}

/// A page is come back to; what a form sent is not repeated.
fn to_sign_in(parts: &RequestParts, settings: &WebSettings) -> Response {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        let here = parts.uri.path_and_query().map(axum::http::uri::PathAndQuery::as_str);
        let next = ReturnTo::parse_or_home(here, &settings.public_url);
        return Redirect::to(&paths::sign_in(next.as_str(), Purpose::Pages)).into_response();
    }
    let next = ReturnTo::parse_or_home(Some(&page_of(parts.uri.path())), &settings.public_url);
    PageError::sign_in_again(&next).into_response()
}

/// The page that a form's address belongs to: `/clusters/ID/links/LINK/revoke` is on `/clusters/ID/links`.
fn page_of(path: &str) -> String {
    path.split('/').take(4).collect::<Vec<_>>().join("/")
}

/// The session of a request, for the pages that begin and end one.
#[derive(Clone, Debug)]
pub struct Sessions {
    session: Session,
    browser: String,
    from: ClientAddress,
    clock: Clock,
    settings: Arc<WebSettings>,
}

impl FromRequestParts<Parts> for Sessions {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, PageError> {
        let session = session_of(parts)?.clone();
        let Ok(from) = ClientAddress::from_request_parts(parts, state).await;
        Ok(Self {
            session,
            browser: browser_name(&parts.headers),
            from,
            clock: state.clock.clone(),
            settings: Arc::clone(&state.settings),
        })
    }
}

impl Sessions {
    /// When a session that begins now ends for good.
    pub fn absolute_end(&self) -> Timestamp {
        self.clock.now().plus(self.settings.session_absolute)
    }

    /// Begins a session with a new id and nothing of the old one.
    pub async fn begin(&self, identity: IdentityId, token_key: &str) -> Result<(), PageError> {
        begin(&self.session, identity, token_key, self.clock.now()).await?;
        self.session.insert(session_keys::BROWSER, &self.browser).await?;
        self.session.insert(session_keys::SEEN_FROM, self.from.0).await?;
        Ok(())
    }

    /// The name of the session of this request, as [`SessionInfo`](crate::model::session::SessionInfo) has it.
    pub fn name(&self) -> Option<HashedToken> {
        self.session.id().map(|id| HashedToken::of(&id.to_string()))
    }

    /// Ends it.
    pub async fn end(&self) -> Result<(), PageError> {
        Ok(self.session.flush().await?)
    }
}

async fn begin(session: &Session, identity: IdentityId, token_key: &str, now: Timestamp) -> Result<(), PageError> {
    session.flush().await?;
    // Flushing alone would give the emptied record its old id back when it is saved.
    session.cycle_id().await?;
    session.insert(session_keys::IDENTITY, identity.to_string()).await?;
    session.insert(session_keys::TOKEN_KEY, token_key).await?;
    session.insert(SIGN_IN, Record { signed_in_at: now, csrf: crypto::random_text() }).await?;
    session.insert(session_keys::MADE_AT, now).await?;
    session.insert(session_keys::SEEN_AT, now).await?;
    Ok(())
}

/// The CSRF token of a request's session, if anybody is signed in.
pub(super) async fn csrf_of(session: &Session) -> Result<Option<Csrf>, PageError> {
    Ok(session.get::<Record>(SIGN_IN).await?.map(|record| Csrf(record.csrf)))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use async_trait::async_trait;
    use tower_sessions::{
        SessionStore,
        session::{Id, Record as Stored},
        session_store::Result,
    };

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Memory(Arc<Mutex<HashMap<Id, Stored>>>);

    #[async_trait]
    impl SessionStore for Memory {
        async fn save(&self, record: &Stored) -> Result<()> {
            self.0.lock().unwrap().insert(record.id, record.clone());
            Ok(())
        }
        async fn load(&self, id: &Id) -> Result<Option<Stored>> {
            Ok(self.0.lock().unwrap().get(id).cloned())
        }
        async fn delete(&self, id: &Id) -> Result<()> {
            self.0.lock().unwrap().remove(id);
            Ok(())
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const HERE: ClientAddress = ClientAddress(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn settings() -> WebSettings {
        WebSettings {
            public_url: "https://lend.example/".parse().unwrap(),
            session_idle: Duration::from_hours(1),
            session_absolute: Duration::from_hours(10),
            trusted_proxies: Vec::new(),
        }
    }

    #[tokio::test]
    async fn immune_19_signing_in_never_keeps_the_id_or_the_content_of_a_session_from_before() {
        let store = Memory::default();
        let planted = Session::new(None, Arc::new(store.clone()), None);
        planted.insert("planted", "by somebody else").await.unwrap();
        planted.save().await.unwrap();
        let known = planted.id().unwrap();

        let session = Session::new(Some(known), Arc::new(store.clone()), None);
        // As the extractor does before a callback's handler runs.
        assert!(read(&session, NOW, &settings()).await.unwrap().is_none());
        let identity = IdentityId::new();
        begin(&session, identity, "key", NOW).await.unwrap();
        session.save().await.unwrap();

        assert_ne!(session.id(), Some(known));
        let all = store.0.lock().unwrap().clone();
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [session.id().unwrap()]);
        assert!(!all.values().any(|record| record.data.contains_key("planted")));
    }

    #[tokio::test]
    async fn signing_in_again_has_another_csrf_token_and_another_id() {
        let store = Memory::default();
        let session = Session::new(None, Arc::new(store.clone()), None);
        begin(&session, IdentityId::new(), "key", NOW).await.unwrap();
        session.save().await.unwrap();
        let (first, csrf) = (session.id(), csrf_of(&session).await.unwrap().unwrap());
        begin(&session, IdentityId::new(), "other", NOW).await.unwrap();
        session.save().await.unwrap();
        assert_ne!(session.id(), first);
        let second = csrf_of(&session).await.unwrap().unwrap();
        assert!(!second.matches(csrf.as_str()) && second.matches(second.as_str()));
        assert_eq!(store.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_session_ends_for_good_at_its_absolute_limit_however_much_it_is_used() {
        let store = Memory::default();
        let session = Session::new(None, Arc::new(store.clone()), None);
        begin(&session, IdentityId::new(), "key", NOW).await.unwrap();
        session.save().await.unwrap();
        let last = NOW.plus(Duration::from_secs(35_999));
        touch(&session, last, HERE, &settings()).await.unwrap();
        assert!(read(&session, last, &settings()).await.unwrap().is_some());
        let over = NOW.plus(Duration::from_hours(10));
        assert!(read(&session, over, &settings()).await.unwrap().is_none());
        assert!(store.0.lock().unwrap().is_empty(), "its record is gone");
        assert!(csrf_of(&session).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn using_a_session_writes_now_and_then_and_not_each_time() {
        let store = Memory::default();
        let session = Session::new(None, Arc::new(store.clone()), None);
        begin(&session, IdentityId::new(), "key", NOW).await.unwrap();
        session.save().await.unwrap();
        let again = |at| {
            let session = Session::new(session.id(), Arc::new(store.clone()), None);
            async move {
                touch(&session, at, HERE, &settings()).await.unwrap();
                session.is_modified()
            }
        };
        assert!(!again(NOW.plus(Duration::from_mins(1))).await);
        assert!(again(NOW.plus(Duration::from_secs(361))).await);
    }

    #[test]
    fn a_csrf_token_is_not_shown_by_mistake_and_an_empty_one_matches_nothing() {
        assert_eq!(format!("{:?}", Csrf("secret".into())), "Csrf(…)");
        assert!(!Csrf(String::new()).matches(""));
        assert!(!Csrf("a".into()).matches("b"));
    }

    #[test]
    fn a_form_belongs_to_a_page() {
        assert_eq!(page_of("/clusters/1/links/2/revoke"), "/clusters/1/links");
        assert_eq!(page_of("/accept/x"), "/accept/x");
    }
}
