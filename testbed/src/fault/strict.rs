//! A provider that takes a second use of a refresh token for a theft, as Keycloak does where tokens are revoked after use.
//!
//! Dex refuses the spent token and leaves the newest alone. Others end the newest one, too, and with it the sign-in: an answer
//! that was missed, or two refreshes at once, cost a session there. So a stand-in in front of the real Dex, which goes on
//! answering everything else, keeps account of each sign-in's tokens and refuses as those providers do.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    HttpFault,
    http::{Body, Upstream, plain},
};
use crate::ca::Ca;

/// What Keycloak answers, whether the token is spent or its sign-in over.
const REFUSAL: &str = r#"{"error":"invalid_grant","error_description":"Token is not active"}"#;

/// The tokens of one sign-in, known by its place in the list of all.
type Family = usize;

/// A proxy in front of a Dex that ends a sign-in when one of its spent refresh tokens comes again.
pub struct StrictProvider {
    fault: HttpFault,
}

impl StrictProvider {
    /// Starts one in front of `upstream` (`https://127.0.0.1:PORT`), whose certificate `ca` issued.
    pub fn start(upstream: &str, ca: &Ca) -> Result<Self> {
        Ok(Self { fault: HttpFault::strict(upstream, ca)? })
    }

    /// What else it does to requests and answers.
    pub fn fault(&self) -> &HttpFault {
        &self.fault
    }

    /// How often a refresh token came that was spent: each time a sign-in ended.
    pub fn reuses(&self) -> usize {
        self.fault.accounts().map_or(0, |accounts| accounts.lock().reuses)
    }

    /// How often a refresh token was traded for a new one.
    pub fn rotations(&self) -> usize {
        self.fault.accounts().map_or(0, |accounts| accounts.lock().rotations)
    }
}

/// The account that is kept of refresh tokens.
#[derive(Default)]
pub(super) struct Accounts(Mutex<State>);

#[derive(Default)]
struct State {
    tokens: HashMap<String, Token>,
    ended: Vec<bool>,
    reuses: usize,
    rotations: usize,
}

struct Token {
    family: Family,
    spent: bool,
}

impl State {
    /// Takes a token as spent from now on, so that a second use at the same moment is one too many; `false` refuses it.
    fn spend(&mut self, token: &str) -> bool {
        // One that was never seen is the server's to judge.
        let Some(known) = self.tokens.get_mut(token) else { return true };
        let ended = &mut self.ended[known.family];
        if known.spent {
            *ended = true;
            self.reuses += 1;
        }
        known.spent = true;
        !*ended
    }

    /// Takes the token back as unspent: the server gave nothing for it.
    fn unspend(&mut self, token: &str) {
        if let Some(known) = self.tokens.get_mut(token) {
            known.spent = false;
        }
    }

    /// Writes down a token that was given for a sign-in, or in place of an older one.
    fn given(&mut self, token: &str, in_place_of: Option<&str>) {
        let family = in_place_of.and_then(|old| self.tokens.get(old)).map(|old| old.family);
        self.rotations += usize::from(family.is_some());
        let family = family.unwrap_or_else(|| {
            self.ended.push(false);
            self.ended.len() - 1
        });
        self.tokens.insert(token.to_owned(), Token { family, spent: false });
    }
}

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a request on, unless it brings a refresh token that is spent or whose sign-in has ended.
    pub(super) async fn answer(&self, request: Request<Body>, upstream: &Upstream) -> Result<Response<Body>> {
        if request.method() != Method::POST || !request.uri().path().ends_with("/token") {
            return upstream.send(request).await;
        }
        let (head, body) = request.into_parts();
        let form = body.collect().await?.to_bytes();
        let used = refresh_token(&form);
        if used.as_ref().is_some_and(|token| !self.lock().spend(token)) {
            return Ok(plain(StatusCode::BAD_REQUEST, "application/json", Bytes::from_static(REFUSAL.as_bytes())));
        }
        let answer = upstream.send(Request::from_parts(head, whole(form))).await;
        let read = match answer {
            Ok(answer) => read(answer).await,
            Err(error) => Err(error),
        };
        let given = read.as_ref().ok().and_then(|(_, token)| token.as_deref());
        match (given, &used) {
            (Some(new), _) => self.lock().given(new, used.as_deref()),
            (None, Some(old)) => self.lock().unspend(old),
            (None, None) => {}
        }
        read.map(|(answer, _)| answer)
    }
}

/// The refresh token of a form that asks for a refresh.
fn refresh_token(form: &[u8]) -> Option<String> {
    let field = |wanted: &str| form_urlencoded::parse(form).find(|(name, _)| name == wanted).map(|(_, value)| value);
    (field("grant_type")? == "refresh_token").then(|| field("refresh_token"))?.map(Into::into)
}

/// An answer as it came, and the refresh token in it.
async fn read(answer: Response<Body>) -> Result<(Response<Body>, Option<String>)> {
    let (head, body) = answer.into_parts();
    let text = body.collect().await?.to_bytes();
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let token = said["refresh_token"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
    Ok((Response::from_parts(head, whole(text)), token))
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
