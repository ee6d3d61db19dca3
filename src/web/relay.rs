//! What a relayed kubeconfig asks: a discovery document with nothing but the token endpoint, and that endpoint (RFC 6749
//! section 6). For programs, so the answers are JSON and no session is looked at. What is decided is `access`'s.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use metrics::counter;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{Parts, client_address::ClientAddress, paths, paths::pattern};
use crate::{
    access::{Relay, RelayError, Relayed},
    model::id::DeviceId,
    telemetry,
};

/// The largest body of a request: a form with a token of ours in it.
const MAX_BODY: usize = 8 * 1024;

/// Both addresses.
pub fn router() -> Router<Parts> {
    Router::new()
        .route(pattern::RELAY_DISCOVERY, get(discovery))
        .route(pattern::RELAY_TOKEN, post(token))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// OpenID Connect Discovery 1.0 section 3, as far as clients read it to refresh.
#[derive(Serialize)]
struct Discovery {
    issuer: String,
    token_endpoint: String,
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 3],
}

/// RFC 6749 section 5.1, with the `id_token` of OpenID Connect Core section 12.2.
#[derive(Serialize)]
struct Tokens<'a> {
    /// Nobody uses it, but client-go refuses an empty one.
    access_token: &'static str,
    token_type: &'static str,
    expires_in: u64,
    id_token: &'a str,
    refresh_token: &'a str,
}

/// RFC 6749 section 5.2.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// The same for every device, known or not: there is nothing to learn here.
async fn discovery(State(relay): State<Relay>, Path(device): Path<DeviceId>) -> Response {
    let settings = relay.settings();
    let token_endpoint = settings.public_url.join(&paths::relay_token(device)).map(String::from).unwrap_or_default();
    Json(Discovery {
        issuer: settings.issuer(device),
        token_endpoint,
        grant_types_supported: ["refresh_token"],
        token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
    })
    .into_response()
}

async fn token(
    State(relay): State<Relay>,
    ClientAddress(from): ClientAddress,
    Path(device): Path<DeviceId>,
    body: Bytes,
) -> Response {
    let answer = match read(&body) {
        Ok(token) => match relay.refresh(device, &token, from).await {
            Ok(relayed) => given(&relayed),
            Err(error) => refused(&error),
        },
        Err((error, why)) => {
            counter!("kubelend_relay_total", "outcome" => "malformed").increment(1);
            (StatusCode::BAD_REQUEST, Json(Refusal { error, error_description: why })).into_response()
        }
    };
    // RFC 6749 section 5.1.
    let private = [(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("pragma"), "no-cache")];
    (private, answer).into_response()
}

/// The refresh token of a request. Who the client says it is does not matter: clients are public.
fn read(body: &[u8]) -> Result<SecretString, (&'static str, &'static str)> {
    let mut grant_type = None;
    let mut token = None;
    for (name, value) in url::form_urlencoded::parse(body) {
        let place = match name.as_ref() {
            "grant_type" => &mut grant_type,
            "refresh_token" => &mut token,
            _ => continue,
        };
        // RFC 6749 section 3.2: parameters must not be included more than once.
        if place.replace(value.into_owned()).is_some() {
            return Err(("invalid_request", "a parameter is there twice"));
        }
    }
    match (grant_type.as_deref(), token) {
        (Some("refresh_token"), Some(token)) => Ok(token.into()),
        (Some("refresh_token"), None) => Err(("invalid_request", "refresh_token is missing")),
        (Some(_), _) => Err(("unsupported_grant_type", "only refresh_token is taken here")),
        (None, _) => Err(("invalid_request", "grant_type is missing")),
    }
}

fn given(relayed: &Relayed) -> Response {
    counter!("kubelend_relay_total", "outcome" => "given").increment(1);
    Json(Tokens {
        access_token: "unused",
        token_type: "Bearer",
        expires_in: relayed.expires_in.as_secs(),
        id_token: relayed.id_token.expose_secret(),
        refresh_token: relayed.refresh_token.expose_secret(),
    })
    .into_response()
}

fn refused(error: &RelayError) -> Response {
    match error {
        RelayError::InvalidGrant(why) => {
            counter!("kubelend_relay_total", "outcome" => "refused").increment(1);
            let body = Refusal { error: "invalid_grant", error_description: why };
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        RelayError::Unavailable { why, retry_after } => {
            counter!("kubelend_relay_total", "outcome" => "unavailable").increment(1);
            let request_id = telemetry::request_id().unwrap_or_default();
            tracing::warn!(request_id, %why, "a device got no token");
            let text = "The identity provider does not answer now. Nothing is lost: try again in a moment";
            let body = Refusal { error: "temporarily_unavailable", error_description: text };
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds(*retry_after))], Json(body))
                .into_response()
        }
    }
}

fn seconds(span: Duration) -> HeaderValue {
    HeaderValue::from(span.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_whoever_the_client_says_it_is() {
        let good = read(b"grant_type=refresh_token&refresh_token=kld_x%2B&client_id=any").unwrap();
        assert_eq!(good.expose_secret(), "kld_x+");
        for (body, error) in [
            ("", "invalid_request"),
            ("grant_type=refresh_token", "invalid_request"),
            ("grant_type=password&refresh_token=x", "unsupported_grant_type"),
            ("grant_type=refresh_token&refresh_token=a&refresh_token=b", "invalid_request"),
            ("refresh_token=x", "invalid_request"),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err().0, error, "{body}");
        }
    }
}
