//! A share link. Before sign-in it is one and the same page whatever the token, and nothing is looked up, so there is nothing to
//! learn for a bot and nothing is used up by a preview. After sign-in it is the page that asks to accept ([`accept`]).

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{accept, sign_out::Empty};
use crate::{
    access::{AcceptOutcome, Gate, LinkView, Links},
    crypto::{PlainToken, SHARE_LINK_PREFIX},
    oidc::{Providers, Purpose},
    policy::Person,
    web::{
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, Nav, render},
        paths,
        session::{MaybeSignedIn, SignedIn},
    },
};

#[derive(Template)]
#[template(path = "pages/landing.html")]
struct Page {
    frame: Frame,
    sign_in: String,
}

/// Asks to sign in, or, after that, to accept.
pub async fn get(
    State(gate): State<Gate>,
    State(providers): State<Providers>,
    State(lender): State<accept::Lender>,
    MaybeSignedIn(who): MaybeSignedIn,
    Path(token): Path<String>,
) -> Result<Response, PageError> {
    let Some(who) = who else {
        return Ok(before_sign_in(&providers, &token));
    };
    let frame = Frame::new(&who, Nav::Shared);
    match look(&gate, &who.person, &token).await? {
        LinkView::Open(permit) => lender.page(frame, &permit, &paths::landing(&token)).await,
        LinkView::Yours(cluster) => Ok(accept::yours_already(frame, &cluster)),
        LinkView::WrongProvider => Err(accept::wrong_provider()),
        LinkView::Closed => Err(accept::closed()),
    }
}

/// Accepts. Twice is once, and Back leads here too, so every outcome has its page.
pub async fn post(
    State(gate): State<Gate>,
    State(links): State<Links>,
    who: SignedIn,
    Path(token): Path<String>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    let to_kubeconfig = |id| Redirect::to(&paths::kubeconfig(id)).into_response();
    match look(&gate, &who.person, &token).await? {
        LinkView::Open(permit) => match links.accept(&permit).await? {
            AcceptOutcome::Yours(_) => Ok(to_kubeconfig(permit.cluster().id)),
            AcceptOutcome::EndedBefore => Err(accept::ended_before()),
            AcceptOutcome::Closed => Err(accept::closed()),
        },
        LinkView::Yours(cluster) => Ok(to_kubeconfig(cluster.id)),
        LinkView::WrongProvider => Err(accept::wrong_provider()),
        LinkView::Closed => Err(accept::closed()),
    }
}

async fn look(gate: &Gate, person: &Person, token: &str) -> Result<LinkView, PageError> {
    match PlainToken::parse(SHARE_LINK_PREFIX, token) {
        Some(token) => Ok(gate.link(person, &token).await?),
        None => Ok(LinkView::Closed),
    }
}

fn before_sign_in(providers: &Providers, token: &str) -> Response {
    let here = paths::landing(token);
    let mut all = providers.iter();
    let sign_in = match (all.next(), all.next()) {
        (Some(only), None) => paths::auth_start(&only.settings().id, &here, Purpose::Kubeconfig),
        _ => paths::sign_in(&here, Purpose::Kubeconfig),
    };
    render(&Page { frame: Frame::anonymous(), sign_in })
}
