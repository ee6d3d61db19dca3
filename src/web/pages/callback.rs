//! A provider's answer. It is believed only in the browser that asked, once, and whatever it holds, the answer is a page with
//! a next step.

use std::sync::Arc;

use axum::{
    extract::{FromRef, Path, Query, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};

use super::sign_in::{callback_url, trouble};
use crate::{
    access::{OwnProviders, SignIns},
    crypto::{self, Keyring},
    model::provider::ProviderId,
    oidc::{Attempt, Callback, OidcError, Provider, Purpose},
    web::{
        Parts, WebSettings, attempts,
        errors::{NextStep, PageError},
        paths,
        return_to::ReturnTo,
        session::{MaybeSignedIn, Sessions, SignedIn},
    },
};

/// What finishing a sign-in takes.
#[derive(Clone, Debug)]
pub struct Desk {
    own_providers: OwnProviders,
    sign_ins: SignIns,
    keyring: Arc<Keyring>,
    settings: Arc<WebSettings>,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            own_providers: parts.own_providers.clone(),
            sign_ins: parts.sign_ins.clone(),
            keyring: Arc::clone(&parts.keyring),
            settings: Arc::clone(&parts.settings),
        }
    }
}

/// Takes the answer.
pub async fn get(
    State(desk): State<Desk>,
    sessions: Sessions,
    MaybeSignedIn(before): MaybeSignedIn,
    Path(provider): Path<ProviderId>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let provider = desk.own_providers.find(&provider).await?.ok_or_else(PageError::not_found)?;
    let state = callback.state.clone().unwrap_or_default();
    let attempt = attempts::find(&headers, &desk.keyring, &state).filter(|a| a.provider == provider.settings().id);
    let Some(attempt) = attempt else {
        return without_attempt(&provider, before.as_ref());
    };
    // Whatever comes of it, this attempt is over.
    let forget = attempts::forget(&state);
    let answer = match desk.finish(&provider, &attempt, callback, sessions, before).await {
        Ok(next) => Redirect::to(next.as_str()).into_response(),
        Err(error) => error.into_response(),
    };
    Ok((forget, answer).into_response())
}

/// Replayed, another browser's, made up, or so late that the browser has forgotten: it cannot be told apart and need not be.
fn without_attempt(provider: &Provider, before: Option<&SignedIn>) -> Result<Response, PageError> {
    if before.is_some() {
        return Ok(Redirect::to(paths::HOME).into_response());
    }
    Err(trouble(provider, &OidcError::WrongState, &ReturnTo::home(), Purpose::Pages))
}

impl Desk {
    async fn finish(
        &self,
        provider: &Provider,
        attempt: &Attempt,
        callback: Callback,
        sessions: Sessions,
        before: Option<SignedIn>,
    ) -> Result<ReturnTo, PageError> {
        let next = ReturnTo::parse_or_home(Some(&attempt.return_to), &self.settings.public_url);
        let back = callback_url(&self.settings.public_url, &attempt.provider)?;
        let signed_in = provider
            .finish(attempt, &back, callback)
            .await
            .map_err(|error| trouble(provider, &error, &next, attempt.purpose))?;
        let token_key = crypto::random_text();
        let again =
            NextStep::new("Sign in again", paths::auth_start(&attempt.provider, next.as_str(), attempt.purpose));
        let identity = self
            .sign_ins
            .complete(signed_in, &token_key, sessions.absolute_end())
            .await
            .map_err(|error| PageError::from(error).with_next(again))?;
        sessions.begin(identity.id, &token_key).await?;
        if let Some(before) = before {
            self.forget_tokens_of(&before).await;
        }
        Ok(next)
    }

    /// The session before this one in the same browser is over, and nobody holds the key of its tokens any more. Should
    /// forgetting them fail, they go when their time is up.
    async fn forget_tokens_of(&self, before: &SignedIn) {
        if let Err(error) = self.sign_ins.sign_out(&before.person, &before.token_key).await {
            tracing::warn!(%error, "the tokens of a replaced session stay until their time is up");
        }
    }
}
