//! A share link's address, and the page behind it.
//!
//! The address is left at once for one without the token ([`opened_links`]), whatever the token is: nothing is looked up and
//! nothing is used, so a preview or a scanner learns and changes nothing. There, before sign-in, stands one and the same page
//! for all links; after sign-in the one that asks to accept, or the truth as far as it is this person's ([`accept`]).

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{FromRef, Path, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use secrecy::ExposeSecret;

use super::{accept, join, sign_out::Empty};
use crate::{
    access::{AcceptOutcome, Gate, Invitations, LinkView, Links},
    clock::Clock,
    crypto::{Keyring, PlainToken, SHARE_LINK_PREFIX},
    model::id::WorkspaceId,
    oidc::{Providers, Purpose},
    policy::Person,
    store::Store,
    web::{
        Parts,
        client_address::ClientAddress,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, Nav, render},
        opened_links, paths,
        rate_limits::RateLimits,
        session::{MaybeSignedIn, SignedIn},
    },
};

#[derive(Template)]
#[template(path = "pages/landing.html")]
struct Page {
    frame: Frame,
    sign_in: String,
}

/// What opening and accepting links takes.
#[derive(Clone, Debug)]
pub struct Door {
    gate: Gate,
    links: Links,
    invitations: Invitations,
    store: Store,
    keyring: Arc<Keyring>,
    clock: Clock,
    limits: Arc<RateLimits>,
}

impl FromRef<Parts> for Door {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            gate: parts.gate.clone(),
            links: parts.links.clone(),
            invitations: parts.invitations.clone(),
            store: parts.store.clone(),
            keyring: Arc::clone(&parts.keyring),
            clock: parts.clock.clone(),
            limits: Arc::clone(&parts.limits),
        }
    }
}

/// Takes the token out of the address.
pub async fn open(
    State(door): State<Door>,
    from: ClientAddress,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Response {
    let token = PlainToken::parse(SHARE_LINK_PREFIX, &text).map(|token| token.hash());
    if let Err(too_many) = door.limits.try_link(from, token.as_ref()) {
        return too_many.into_response();
    }
    let (handle, set) = opened_links::remember(&headers, &door.keyring, &text, door.clock.now());
    (set, Redirect::to(&paths::accept(&handle))).into_response()
}

/// Asks to sign in, or, after that, to accept.
pub async fn get(
    State(door): State<Door>,
    State(providers): State<Providers>,
    State(lender): State<accept::Lender>,
    MaybeSignedIn(who): MaybeSignedIn,
    Path(handle): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let text = door.text(&headers, &handle)?;
    let here = paths::accept(&handle);
    let Some(who) = who else {
        let token = token(&text).filter(|_| providers.has_own());
        let home = door.home(token.as_ref()).await?;
        return Ok(before_sign_in(&providers, home, &here));
    };
    let frame = Frame::new(&who, Nav::Shared);
    match door.look(&who.person, token(&text).as_ref()).await? {
        LinkView::Open(permit) => lender.page(frame, &permit, &here).await,
        LinkView::Invites(permit) => join::page(&door.store, frame, &permit, &here, door.clock.now()).await,
        LinkView::Member(workspace) => Ok(join::already(frame, &workspace)),
        LinkView::Yours(cluster) => Ok(accept::yours_already(frame, &cluster)),
        LinkView::Theirs(managed) => Ok(lender.theirs(frame, &managed)),
        otherwise => Err(refused(&otherwise, &who.person)),
    }
}

/// Accepts. Twice is once, and Back leads here too, so every outcome has its page.
pub async fn post(
    State(door): State<Door>,
    from: ClientAddress,
    who: SignedIn,
    Path(handle): Path<String>,
    headers: HeaderMap,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    let token = token(&door.text(&headers, &handle)?);
    if let Err(too_many) = door.limits.try_link(from, token.as_ref().map(PlainToken::hash).as_ref()) {
        return Ok(too_many.into_response());
    }
    let to_kubeconfig = |id| Redirect::to(&paths::kubeconfig(id)).into_response();
    match door.look(&who.person, token.as_ref()).await? {
        LinkView::Open(permit) => match door.links.accept(&permit).await? {
            AcceptOutcome::Yours(_) => Ok(to_kubeconfig(permit.cluster().id)),
            AcceptOutcome::EndedBefore => Err(accept::ended_before()),
            AcceptOutcome::Closed => Err(accept::closed(&who.person)),
        },
        LinkView::Yours(cluster) => Ok(to_kubeconfig(cluster.id)),
        LinkView::Invites(permit) if door.invitations.accept(&permit).await? => {
            Ok(Redirect::to(&paths::workspace(permit.workspace().id)).into_response())
        }
        LinkView::Member(workspace) => Ok(Redirect::to(&paths::workspace(workspace.id)).into_response()),
        // What the page says by now.
        LinkView::Theirs(_) => Ok(Redirect::to(&paths::accept(&handle)).into_response()),
        otherwise => Err(refused(&otherwise, &who.person)),
    }
}

impl Door {
    /// What stood in the link's address.
    fn text(&self, headers: &HeaderMap, handle: &str) -> Result<secrecy::SecretString, PageError> {
        opened_links::find(headers, &self.keyring, handle, self.clock.now()).ok_or_else(accept::not_opened_here)
    }

    /// The workspace whose own providers somebody may sign in at to accept it, where it is open: nothing else of it is said before that.
    async fn home(&self, token: Option<&PlainToken>) -> Result<Option<WorkspaceId>, PageError> {
        match token {
            Some(token) => Ok(self.gate.home_of_link(token).await?),
            None => Ok(None),
        }
    }

    async fn look(&self, person: &Person, token: Option<&PlainToken>) -> Result<LinkView, PageError> {
        match token {
            Some(token) => Ok(self.gate.link(person, token).await?),
            None => Ok(LinkView::Closed),
        }
    }
}

fn token(text: &secrecy::SecretString) -> Option<PlainToken> {
    PlainToken::parse(SHARE_LINK_PREFIX, text.expose_secret())
}

fn refused(view: &LinkView, person: &Person) -> PageError {
    match view {
        LinkView::Ended(_) => accept::ended_before(),
        LinkView::WrongProvider => accept::wrong_provider(),
        _ => accept::closed(person),
    }
}

/// One and the same page for all links; only where its button leads depends on the workspace.
fn before_sign_in(providers: &Providers, home: Option<WorkspaceId>, here: &str) -> Response {
    let all = providers.around(home);
    let sign_in = match (all.as_slice(), home) {
        ([only], _) => paths::auth_start(&only.settings().id, here, Purpose::Kubeconfig),
        (several, Some(home)) if several.iter().any(|provider| provider.settings().id.home().is_some()) => {
            paths::sign_in_at(home, here, Purpose::Kubeconfig)
        }
        _ => paths::sign_in(here, Purpose::Kubeconfig),
    };
    render(&Page { frame: Frame::anonymous(), sign_in })
}
