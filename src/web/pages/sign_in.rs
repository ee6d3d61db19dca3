//! Choosing a provider, and being sent there.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use url::Url;

use crate::{
    access::OwnProviders,
    crypto::Keyring,
    model::{id::WorkspaceId, provider::ProviderId, workspace::Workspace},
    oidc::{MAX_GROUPS, OidcError, Provider, ProviderHealth, Providers, Purpose},
    store::Store,
    web::{
        WebSettings, attempts,
        errors::{NextStep, PageError},
        frame::{Frame, Nav, render},
        paths,
        return_to::ReturnTo,
        session::MaybeSignedIn,
    },
};

/// What both pages are asked with.
#[derive(Debug, Default, Deserialize)]
pub struct Wish {
    next: Option<String>,
    purpose: Option<String>,
    workspace: Option<String>,
}

impl Wish {
    /// The workspace whose own providers stand beside those of everybody.
    fn workspace(&self) -> Option<WorkspaceId> {
        self.workspace.as_deref()?.parse().ok()
    }

    fn purpose(&self) -> Purpose {
        self.purpose.as_deref().map_or(Purpose::Pages, Purpose::parse)
    }
}

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct Page {
    frame: Frame,
    choices: Vec<Choice>,
    why: Why,
}

/// What somebody is asked to sign in for.
enum Why {
    /// Nothing in particular.
    Pages,
    /// To see what a share link offers.
    Lent,
    /// Once more, for tokens that can be handed out.
    Again,
}

struct Choice {
    name: String,
    href: String,
    down: bool,
    own: Option<Own>,
}

/// What its owners cannot choose, of a provider of a workspace's own: theirs is its name, and that may read like anybody's.
struct Own {
    workspace: String,
    host: String,
}

impl Choice {
    fn new(provider: &Provider, home: Option<&Workspace>, next: &ReturnTo, purpose: Purpose) -> Self {
        let settings = provider.settings();
        let own = |workspace: &Workspace| Own { workspace: workspace.name.clone(), host: host(&settings.issuer) };
        Self {
            name: settings.name.clone(),
            href: paths::auth_start(&settings.id, next.as_str(), purpose),
            down: matches!(provider.health(), ProviderHealth::Down(..)),
            own: home.filter(|home| settings.id.home() == Some(home.id)).map(own),
        }
    }
}

/// Where an issuer is, as browsers write it: letters that only look like others are spelled out.
fn host(issuer: &str) -> String {
    let Ok(url) = Url::parse(issuer) else { return issuer.to_owned() };
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The choice of providers.
pub async fn get(
    State(providers): State<Providers>,
    State(store): State<Store>,
    State(settings): State<Arc<WebSettings>>,
    MaybeSignedIn(who): MaybeSignedIn,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    let next = ReturnTo::parse_or_home(wish.next.as_deref(), &settings.public_url);
    if who.is_some() && wish.purpose() == Purpose::Pages {
        return Ok(Redirect::to(next.as_str()).into_response());
    }
    let around = providers.around(wish.workspace());
    let home = match around.iter().find_map(|provider| provider.settings().id.home()) {
        Some(home) => Some(store.workspace(home).await?),
        None => None,
    };
    // Those of everybody stand first: nobody's own is taken for them.
    let choices = around.iter().map(|p| Choice::new(p, home.as_ref(), &next, wish.purpose())).collect();
    let why = match (wish.purpose(), &who) {
        (Purpose::Pages, _) => Why::Pages,
        (Purpose::Kubeconfig | Purpose::Direct, None) => Why::Lent,
        (Purpose::Kubeconfig | Purpose::Direct, Some(_)) => Why::Again,
    };
    let frame = who.map_or_else(Frame::anonymous, |who| Frame::new(&who, Nav::Nowhere));
    Ok(render(&Page { frame, choices, why }))
}

/// Sends the browser to a provider, and remembers that it did.
pub async fn start(
    State(own): State<OwnProviders>,
    State(keyring): State<Arc<Keyring>>,
    State(settings): State<Arc<WebSettings>>,
    Path(provider): Path<ProviderId>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let provider = own.find(&provider).await?.ok_or_else(PageError::not_found)?;
    let next = ReturnTo::parse_or_home(wish.next.as_deref(), &settings.public_url);
    // Another site must not make somebody sign in: for a kubeconfig that can end the renewing of the one they have.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        let choice = match provider.settings().id.home() {
            Some(workspace) => paths::sign_in_at(workspace, next.as_str(), wish.purpose()),
            None => paths::sign_in(next.as_str(), wish.purpose()),
        };
        return Ok(Redirect::to(&choice).into_response());
    }
    let back = callback_url(&settings.public_url, &provider.settings().id)?;
    match provider.begin(&back, wish.purpose(), next.as_str()).await {
        Ok((there, attempt)) => {
            Ok((attempts::remember(&headers, &keyring, &attempt), Redirect::to(there.as_str())).into_response())
        }
        Err(error) => Err(trouble(&provider, &error, &next, wish.purpose())),
    }
}

/// Which of a workspace's own providers somebody signs in at once more.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct At {
    at: String,
}

/// For people whose terminal told them that their sign-in has ended: to their provider, and from there to what they hold.
pub async fn renew(
    State(providers): State<Providers>,
    MaybeSignedIn(who): MaybeSignedIn,
    Query(at): Query<At>,
) -> Redirect {
    if let Some(own) = at.at.parse::<ProviderId>().ok().filter(|id| id.home().is_some()) {
        return Redirect::to(&paths::auth_start(&own, paths::OWN_DEVICES, Purpose::Kubeconfig));
    }
    let only = providers.iter().next().filter(|_| providers.iter().count() == 1).map(|p| p.settings().id.clone());
    let known = who.map(|who| who.person.identity().provider.clone()).filter(|id| providers.get(id).is_some());
    match known.or(only) {
        Some(provider) => Redirect::to(&paths::auth_start(&provider, paths::OWN_DEVICES, Purpose::Kubeconfig)),
        None => Redirect::to(&paths::sign_in(paths::OWN_DEVICES, Purpose::Kubeconfig)),
    }
}

/// Where a provider sends its answer; the provider knows exactly this address.
pub(super) fn callback_url(public_url: &Url, provider: &ProviderId) -> Result<Url, PageError> {
    public_url.join(&paths::auth_callback(provider)).map_err(PageError::internal)
}

/// What stands in the way of signing in, whose turn it is, and the way to try again without losing where one was going.
pub(in crate::web) fn trouble(provider: &Provider, error: &OidcError, next: &ReturnTo, purpose: Purpose) -> PageError {
    let name = &provider.settings().name;
    let (status, title, text, button) = words(name, error);
    let again = paths::auth_start(&provider.settings().id, next.as_str(), purpose);
    PageError::new(status, title, text).with_next(NextStep::new(button, again)).with_cause(error)
}

fn words(name: &str, error: &OidcError) -> (StatusCode, String, String, &'static str) {
    const AGAIN: &str = "Sign in again";
    match error {
        OidcError::Unreachable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{name} does not answer"),
            format!(
                "Kubelend is fine, but it cannot reach {name}, where you sign in. It is the turn of the people who run \
                 {name}. Try again in a moment; you will get to where you were going."
            ),
            "Try again",
        ),
        OidcError::Nonsense(_) => (
            StatusCode::BAD_GATEWAY,
            format!("{name} answers something that makes no sense"),
            format!(
                "What answers in place of {name} is no OpenID Connect provider, or is set up wrong. It is the turn of \
                 whoever runs {name} or this Kubelend; its log says more."
            ),
            "Try again",
        ),
        OidcError::Refused { code, description } => refused(name, code, description.as_deref()),
        OidcError::WrongState => (
            StatusCode::BAD_REQUEST,
            "This answer does not belong to a sign-in in this browser".to_owned(),
            "It was used before, or the sign-in was begun in another browser. Nothing was done. Begin again here.".to_owned(),
            AGAIN,
        ),
        OidcError::TooLate => (
            StatusCode::BAD_REQUEST,
            "That took too long".to_owned(),
            "A sign-in has to be finished within 15 minutes. Nothing is lost: sign in again, and you will get to where you \
             were going."
                .to_owned(),
            AGAIN,
        ),
        OidcError::CodeRefused(_) => (
            StatusCode::BAD_REQUEST,
            format!("{name} did not accept the sign-in"),
            "Its one-time code was used before or is too old; this happens after going back in the browser. Sign in again."
                .to_owned(),
            AGAIN,
        ),
        OidcError::BadToken(_) => (
            StatusCode::BAD_GATEWAY,
            format!("What {name} said of you could not be believed"),
            format!(
                "The token that came with your sign-in did not pass Kubelend's checks, so you were not signed in. If it \
                 stays so, it is the turn of whoever runs {name} or this Kubelend; its log says more."
            ),
            AGAIN,
        ),
        OidcError::TooManyGroups => (
            StatusCode::FORBIDDEN,
            format!("{name} lists too many groups of yours"),
            format!(
                "It says that you are in more than {MAX_GROUPS} groups, and Kubelend takes all of them or none, so you were not \
                 signed in. It is the turn of the people who run {name}: they can make it list, for Kubelend, those \
                 alone that clusters need."
            ),
            AGAIN,
        ),
    }
}

fn refused(name: &str, code: &str, description: Option<&str>) -> (StatusCode, String, String, &'static str) {
    let said = description.filter(|d| !d.is_empty()).map_or_else(|| code.to_owned(), |d| format!("{code}: {d}"));
    match code {
        "access_denied" => (
            StatusCode::FORBIDDEN,
            "You were not signed in".to_owned(),
            format!(
                "You or {name} declined (“{said}”). Nothing was done, and you can sign in again whenever you like."
            ),
            "Sign in again",
        ),
        "server_error" | "temporarily_unavailable" => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{name} has trouble of its own"),
            format!("It says “{said}”. It is the turn of the people who run {name}. Try again in a moment."),
            "Try again",
        ),
        _ => (
            StatusCode::BAD_REQUEST,
            format!("{name} refused the sign-in"),
            format!(
                "It says “{said}”. If signing in again does not help, it is the turn of whoever runs {name} or this Kubelend."
            ),
            "Sign in again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_too_many_groups_reads_how_many_are_the_most_and_whose_turn_it_is() {
        let (status, title, text, _) = words("Dex", &OidcError::TooManyGroups);
        assert_eq!((status, title.as_str()), (StatusCode::FORBIDDEN, "Dex lists too many groups of yours"));
        assert!(text.contains("more than 500 groups") && text.contains("the people who run Dex"), "{text}");
    }

    #[test]
    fn immune_16_a_host_is_written_so_that_it_is_taken_for_no_other() {
        assert_eq!(host("https://idp.example.com/realms/a"), "idp.example.com");
        assert_eq!(host("https://127.0.0.1:5554/dex"), "127.0.0.1:5554");
        assert_eq!(host("https://\u{430}cme.example/"), "xn--cme-5cd.example");
    }
}
