//! Signing out: here at once; at the provider, where it offers that, by a link on the page that follows. (A redirect from the
//! form straight to the provider would be blocked by `form-action 'self'`, and would surprise people who share a browser's
//! sign-in between programs.)

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use crate::{
    access::SignIns,
    model::provider::ProviderId,
    oidc::{Providers, Purpose},
    web::{
        WebSettings,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, render},
        paths,
        session::{MaybeSignedIn, Sessions},
    },
};

/// A form with nothing but its protection.
#[derive(Debug, Deserialize)]
pub struct Empty {}

#[derive(Template)]
#[template(path = "pages/sign_out.html")]
struct Page {
    frame: Frame,
    sign_in: String,
    at_provider: Option<AtProvider>,
}

struct AtProvider {
    name: String,
    url: String,
}

/// Ends the session and forgets its tokens.
pub async fn post(
    State(sign_ins): State<SignIns>,
    sessions: Sessions,
    MaybeSignedIn(who): MaybeSignedIn,
    form: Result<ProtectedForm<Empty>, PageError>,
) -> Result<Response, PageError> {
    // Whoever is signed out already has what they wanted.
    let Some(who) = who else {
        return Ok(Redirect::to(&paths::signed_out(None)).into_response());
    };
    form?;
    // The session ends first: whatever fails after that, they are signed out.
    sessions.end().await?;
    // The ID token is not passed on as a hint: it would stand in an address, and clusters accept it.
    if let Err(error) = sign_ins.sign_out(&who.person, &who.token_key).await {
        tracing::warn!(%error, "the tokens of an ended session stay until their time is up");
    }
    Ok(Redirect::to(&paths::signed_out(Some(&who.person.identity().provider))).into_response())
}

/// Which provider they had signed in at.
#[derive(Debug, Deserialize)]
pub struct From {
    provider: Option<ProviderId>,
}

/// Says that they are signed out.
pub async fn get(
    State(providers): State<Providers>,
    State(settings): State<Arc<WebSettings>>,
    MaybeSignedIn(who): MaybeSignedIn,
    Query(from): Query<From>,
) -> Response {
    if who.is_some() {
        return Redirect::to(paths::HOME).into_response();
    }
    let provider = from.provider.and_then(|id| providers.get(&id));
    let at_provider = provider.and_then(|provider| {
        let url = provider.sign_out_url(None, &settings.public_url)?;
        Some(AtProvider { name: provider.settings().name.clone(), url: url.into() })
    });
    let sign_in = paths::sign_in(paths::HOME, Purpose::Pages);
    render(&Page { frame: Frame::anonymous(), sign_in, at_provider })
}
