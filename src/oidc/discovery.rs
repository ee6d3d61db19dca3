//! What a provider says of itself (OpenID Connect Discovery 1.0), reduced to what Kubelend uses and checked: the issuer is
//! exactly the configured one, every address is https, PKCE with S256 is not ruled out, and its tokens can be verified.

use std::sync::Arc;

use oauth2::{AuthType, AuthUrl, TokenUrl};
use openidconnect::{
    AdditionalProviderMetadata, IssuerUrl, JsonWebKeySetUrl, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
        CoreResponseType, CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use super::{OidcError, verify::ALGORITHMS};
use crate::outbound::HttpsClient;

/// What is known of a provider that answered.
#[derive(Debug)]
pub(super) struct Known {
    /// What it says of itself.
    pub(super) metadata: Arc<Metadata>,
    /// Its keys.
    pub(super) keys: CoreJsonWebKeySet,
    /// When this was learnt.
    pub(super) at: Instant,
}

/// What a provider says of itself.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: AuthUrl,
    pub(super) token_endpoint: TokenUrl,
    pub(super) jwks_uri: JsonWebKeySetUrl,
    pub(super) end_session_endpoint: Option<Url>,
    /// `None` when it lists none: then any may be asked for.
    pub(super) scopes_supported: Option<Vec<String>>,
    /// How a confidential client shows its secret.
    pub(super) auth_type: AuthType,
    /// Whether each answer names its issuer (RFC 9207).
    pub(super) names_issuer: bool,
}

/// The members that the library does not know.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct More {
    end_session_endpoint: Option<Url>,
    code_challenge_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl AdditionalProviderMetadata for More {}

type Document = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Fetches the document and the keys.
pub(super) async fn fetch(http: &HttpsClient, issuer: &str) -> Result<Known, OidcError> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|e| OidcError::Nonsense(format!("the issuer: {e}")))?;
    let document = Document::discover_async(issuer, http).await?;
    let metadata = Arc::new(check(&document)?);
    Ok(Known { metadata, keys: document.jwks().clone(), at: Instant::now() })
}

/// Fetches the keys alone.
pub(super) async fn fetch_keys(http: &HttpsClient, known: &Known) -> Result<Known, OidcError> {
    let keys = CoreJsonWebKeySet::fetch_async(&known.metadata.jwks_uri, http).await?;
    Ok(Known { metadata: Arc::clone(&known.metadata), keys, at: Instant::now() })
}

fn check(document: &Document) -> Result<Metadata, OidcError> {
    let nonsense = |why: &str| OidcError::Nonsense(why.to_owned());
    let more = document.additional_metadata();
    let token_endpoint = document.token_endpoint().ok_or_else(|| nonsense("it names no token_endpoint"))?;
    let end_session = more.end_session_endpoint.as_ref();
    let endpoints = [
        Some(document.authorization_endpoint().url()),
        Some(token_endpoint.url()),
        Some(document.jwks_uri().url()),
        end_session,
    ];
    if let Some(plain) = endpoints.into_iter().flatten().find(|url| url.scheme() != "https") {
        return Err(OidcError::Nonsense(format!("it names {plain}, which is not https")));
    }
    // A provider that lists methods without S256 would take the challenge for a plain one, or ignore it.
    if more.code_challenge_methods_supported.as_ref().is_some_and(|methods| !methods.iter().any(|m| m == "S256")) {
        return Err(nonsense("it supports PKCE without S256"));
    }
    if !document.id_token_signing_alg_values_supported().iter().any(|a| ALGORITHMS.contains(a)) {
        return Err(nonsense("it signs ID tokens with no algorithm that API servers accept (RS256, ES256, …)"));
    }
    Ok(Metadata {
        authorization_endpoint: document.authorization_endpoint().clone(),
        token_endpoint: token_endpoint.clone(),
        jwks_uri: document.jwks_uri().clone(),
        end_session_endpoint: end_session.cloned(),
        scopes_supported: document
            .scopes_supported()
            .map(|all| all.iter().map(|s| s.to_string()).collect::<Vec<_>>())
            .filter(|all| !all.is_empty()),
        auth_type: auth_type(document.token_endpoint_auth_methods_supported().map(Vec::as_slice)),
        names_issuer: more.authorization_response_iss_parameter_supported.unwrap_or_default(),
    })
}

/// Basic where it is offered, or where nothing is said (Discovery 1.0 section 3 makes it the default).
fn auth_type(offered: Option<&[CoreClientAuthMethod]>) -> AuthType {
    match offered {
        Some(methods)
            if !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost) =>
        {
            AuthType::RequestBody
        }
        _ => AuthType::BasicAuth,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(changes: Value) -> Result<Metadata, OidcError> {
        let mut all = json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        for (key, value) in changes.as_object().unwrap() {
            all[key] = value.clone();
        }
        check(&serde_json::from_value(all).unwrap())
    }

    #[test]
    fn every_address_that_discovery_names_is_https() {
        for key in ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"] {
            let error = document(json!({key: "http://idp.example/x"})).unwrap_err();
            assert!(error.to_string().contains("not https"), "{key}: {error}");
        }
        assert!(document(json!({})).is_ok());
    }

    #[test]
    fn immune_13_a_provider_that_knows_only_plain_pkce_is_refused() {
        assert!(document(json!({"code_challenge_methods_supported": ["plain"]})).is_err());
        assert!(document(json!({"code_challenge_methods_supported": []})).is_err());
        assert!(document(json!({"code_challenge_methods_supported": ["S256", "plain"]})).is_ok());
    }

    #[test]
    fn immune_12_a_provider_that_signs_with_hs256_none_or_eddsa_alone_is_refused() {
        assert!(document(json!({"id_token_signing_alg_values_supported": ["HS256", "none", "EdDSA"]})).is_err());
        assert!(document(json!({"id_token_signing_alg_values_supported": ["HS256", "ES256"]})).is_ok());
    }

    #[test]
    fn a_secret_goes_into_the_header_unless_only_the_body_is_offered() {
        let of =
            |methods: Value| document(json!({"token_endpoint_auth_methods_supported": methods})).unwrap().auth_type;
        assert!(matches!(document(json!({})).unwrap().auth_type, AuthType::BasicAuth));
        assert!(matches!(of(json!(["client_secret_post"])), AuthType::RequestBody));
        assert!(matches!(of(json!(["client_secret_post", "client_secret_basic"])), AuthType::BasicAuth));
    }
}
