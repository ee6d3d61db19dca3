//! The token endpoint: how Kubelend speaks there, and what the answers mean.
//!
//! The ID token is taken as text and bounded before anything looks into it; the access token is dropped, since Kubelend
//! asks the provider for nothing else.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::future::BoxFuture;
use oauth2::{
    AsyncHttpClient, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest,
    HttpResponse, RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenResponse,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    OidcError, Provider, Purpose,
    discovery::Metadata,
    error::cut,
    verify::{MAX_TOKEN, Verified},
};
use crate::{
    model::token_set::Tokens,
    outbound::{HttpsClient, HttpsError},
};

/// The member of the answer that makes OpenID Connect of OAuth 2.0.
#[derive(Deserialize, Serialize)]
pub(super) struct WithIdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for WithIdToken {}

impl fmt::Debug for WithIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithIdToken(…)")
    }
}

type Answer = StandardTokenResponse<WithIdToken, BasicTokenType>;
type Failed = RequestTokenError<HttpsError, BasicErrorResponse>;

pub(super) type TokenClient = Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What the provider gave, not verified yet.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) id_token: SecretString,
    pub(super) refresh_token: Option<SecretString>,
}

impl Given {
    /// The ID token as text; empty where there is none.
    pub(super) fn exposed(&self) -> &str {
        self.id_token.expose_secret()
    }

    /// With what the verified ID token says of its life.
    pub(super) fn tokens(self, verified: &Verified) -> Tokens {
        Tokens {
            id_token: self.id_token,
            issued_at: verified.issued_at,
            expires_at: verified.expires_at,
            refresh_token: self.refresh_token,
        }
    }
}

/// Why nothing was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenFailure {
    /// The provider says no: its code and description, cut.
    Refused(String, Option<String>),
    /// The provider says no with the status of a server error, so that it may as well mean itself.
    Unclear(String),
    /// No answer.
    Unreachable(String),
    /// The provider says that something of its own failed. Dex says so of a code of another client, too: it is no sign
    /// that the provider is down.
    Trouble(String),
    /// An answer that is none.
    Nonsense(String),
}

impl Provider {
    /// A client of the provider's endpoints. Without a secret its id goes into the body, as a public client's does.
    pub(super) fn client(&self, metadata: &Metadata, purpose: Purpose) -> TokenClient {
        let id = self.settings.client_for(purpose);
        let mut client = Client::new(ClientId::new(id.to_owned()));
        // The secret is the first client's alone.
        if let Some(secret) = self.settings.client_secret.as_ref().filter(|_| id == self.settings.client_id) {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        client
            .set_auth_type(metadata.auth_type.clone())
            .set_auth_uri(metadata.authorization_endpoint.clone())
            .set_token_uri(metadata.token_endpoint.clone())
    }
}

/// Lets the library send its requests through our client.
impl<'c> AsyncHttpClient<'c> for HttpsClient {
    type Error = HttpsError;
    type Future = BoxFuture<'c, Result<HttpResponse, HttpsError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// One refresh at the token endpoint, with more time than a page has: its loss would cost a sign-in. The library reads an error's code and forgets the answer's status, which tells a refusal
/// from trouble of the provider's own.
pub(super) struct Asking<'p> {
    http: &'p HttpsClient,
    server_error: AtomicBool,
}

impl<'p> Asking<'p> {
    pub(super) fn new(provider: &'p Provider) -> Self {
        Self { http: &provider.http, server_error: AtomicBool::new(false) }
    }

    /// Reads what came back for a code.
    pub(super) fn given(&self, answer: Result<Answer, Failed>) -> Result<Given, TokenFailure> {
        with_id_token(self.renewed(answer)?)
    }

    /// Reads what came back for a refresh token. An ID token may be missing in it: then there is a new refresh token to keep all
    /// the same.
    pub(super) fn renewed(&self, answer: Result<Answer, Failed>) -> Result<Given, TokenFailure> {
        given(answer).map_err(|failure| match failure {
            TokenFailure::Refused(code, description) if self.server_error.load(Ordering::Relaxed) => {
                TokenFailure::Unclear(said(&code, description.as_deref()))
            }
            other => other,
        })
    }
}

impl<'c> AsyncHttpClient<'c> for Asking<'_> {
    type Error = HttpsError;
    type Future = BoxFuture<'c, Result<HttpResponse, HttpsError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.http.send_patiently(request).await?;
            self.server_error.store(answer.status().is_server_error(), Ordering::Relaxed);
            Ok(answer)
        })
    }
}

/// Reads what the token endpoint answered.
fn given(answer: Result<Answer, Failed>) -> Result<Given, TokenFailure> {
    let answer = answer.map_err(failure)?;
    let nonsense = |why: &str| TokenFailure::Nonsense(why.to_owned());
    let id_token = answer.extra_fields().id_token.as_deref().unwrap_or_default();
    let refresh_token = answer.refresh_token().map(|t| t.secret().as_str()).filter(|t| !t.is_empty());
    if id_token.len() > MAX_TOKEN || refresh_token.is_some_and(|t| t.len() > MAX_TOKEN) {
        return Err(nonsense("the token answer holds a token longer than 64 KiB"));
    }
    Ok(Given { id_token: id_token.into(), refresh_token: refresh_token.map(SecretString::from) })
}

fn with_id_token(given: Given) -> Result<Given, TokenFailure> {
    if given.exposed().is_empty() {
        return Err(TokenFailure::Nonsense("the token answer holds no id_token".to_owned()));
    }
    Ok(given)
}

fn failure(error: Failed) -> TokenFailure {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            let code = cut(answer.error().as_ref());
            let description = answer.error_description().map(|d| cut(d));
            if ["server_error", "temporarily_unavailable"].contains(&code.as_str()) {
                return TokenFailure::Trouble(said(&code, description.as_deref()));
            }
            TokenFailure::Refused(code, description)
        }
        RequestTokenError::Request(error) => match OidcError::from(error) {
            OidcError::Unreachable(why) => TokenFailure::Unreachable(why),
            other => TokenFailure::Nonsense(other.to_string()),
        },
        // The body is left out: it may hold tokens.
        RequestTokenError::Parse(why, _) => {
            TokenFailure::Nonsense(format!("the token answer, at {}", cut(&why.path().to_string())))
        }
        RequestTokenError::Other(why) => TokenFailure::Nonsense(cut(&why)),
    }
}

/// A code and its description as one text.
pub(super) fn said(code: &str, description: Option<&str>) -> String {
    match description {
        Some(description) => format!("{code}: {description}"),
        None => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "it stands for what the library gives")]
    fn answer(id_token: &str) -> Result<Answer, Failed> {
        let answer = json!({"access_token": "a", "token_type": "bearer", "id_token": id_token, "refresh_token": ""});
        Ok(serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn immune_23_a_giant_token_is_refused_before_it_is_read() {
        assert!(matches!(given(answer(&"a".repeat(MAX_TOKEN + 1))), Err(TokenFailure::Nonsense(_))));
        let good = given(answer("a.b.c")).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(good.exposed(), "a.b.c");
        assert!(good.refresh_token.is_none(), "an empty refresh token is none");
    }

    #[test]
    fn a_code_must_bring_an_id_token() {
        let given = |id_token| with_id_token(given(answer(id_token)).unwrap_or_else(|e| panic!("{e:?}")));
        assert!(given("a.b.c").is_ok());
        assert!(matches!(given(""), Err(TokenFailure::Nonsense(_))));
    }

    #[test]
    fn immune_21_tokens_are_not_in_the_debug_text_of_an_answer() {
        assert!(!format!("{:?}", answer("hidden")).contains("hidden"));
    }

    #[test]
    fn trouble_is_told_from_a_refusal() {
        let says =
            |body: serde_json::Value| failure(RequestTokenError::ServerResponse(serde_json::from_value(body).unwrap()));
        assert!(matches!(says(json!({"error": "server_error"})), TokenFailure::Trouble(_)));
        assert_eq!(
            says(json!({"error": "invalid_grant", "error_description": "no\nmore"})),
            TokenFailure::Refused("invalid_grant".into(), Some("no more".into()))
        );
    }
}
