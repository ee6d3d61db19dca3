//! The authorization code flow (RFC 6749, PKCE of RFC 7636, OpenID Connect Core 3.1, `iss` of RFC 9207).
//!
//! What ties the two halves together is the [`Attempt`], which the browser keeps in an encrypted cookie of its own: an
//! answer that comes with another browser, another attempt or no attempt at all finds no state to match.

use std::{borrow::Cow, time::Duration};

use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use tokio::time::timeout;
use url::Url;

use super::{
    OidcError, Provider, ProviderSettings,
    discovery::Metadata,
    error::cut,
    exchange::{Asking, TokenFailure, said},
};
use crate::{
    crypto,
    model::{identity::VerifiedClaims, provider::ProviderId, time::Timestamp, token_set::Tokens},
};

/// How long somebody may take at the provider.
const MAX_AGE: Duration = Duration::from_mins(15);
/// How old discovery may be when somebody is sent to the provider: young enough to know that they will find it up.
const FRESH: Duration = Duration::from_secs(2);
/// What the second half may take, all requests together.
const PATIENCE: Duration = Duration::from_millis(2700);
/// No code is longer.
const MAX_CODE: usize = 8 * 1024;

/// What somebody signs in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Purpose {
    /// To use Kubelend's pages: no refresh token is asked for, since on some providers that ends the one before.
    Pages,
    /// To leave with a kubeconfig: `offline_access` is asked for.
    Kubeconfig,
    /// To leave with a kubeconfig that talks to the provider by itself: the same with the client for those.
    Direct,
}

impl Purpose {
    /// As it stands in our own addresses; nothing for pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pages => "",
            Self::Kubeconfig => "kubeconfig",
            Self::Direct => "direct",
        }
    }

    /// As it stands in our own addresses.
    pub fn parse(text: &str) -> Self {
        [Self::Kubeconfig, Self::Direct].into_iter().find(|p| p.as_str() == text).unwrap_or(Self::Pages)
    }
}

/// A sign-in that was begun: what the browser's encrypted cookie keeps until the provider answers.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    /// At which provider.
    pub provider: ProviderId,
    /// What for.
    pub purpose: Purpose,
    /// 256 random bits.
    pub state: String,
    /// 256 random bits.
    pub nonce: String,
    /// PKCE's verifier.
    pub verifier: String,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// Where to go afterwards: a path of ours, checked.
    pub return_to: String,
}

/// The query of the provider's answer.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Callback {
    /// The code.
    pub code: Option<String>,
    /// Our state.
    pub state: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
    /// An error's code.
    pub error: Option<String>,
    /// An error's description.
    pub error_description: Option<String>,
}

/// A finished sign-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub claims: VerifiedClaims,
    /// With which tokens.
    pub tokens: Tokens,
    /// What for: whether a refresh token was asked for.
    pub purpose: Purpose,
}

impl Provider {
    /// Begins: where to send the browser, and what to remember. Fails when discovery fails now.
    pub async fn begin(
        &self,
        redirect_uri: &Url,
        purpose: Purpose,
        return_to: &str,
    ) -> Result<(Url, Attempt), OidcError> {
        let known = self.known(FRESH).await?;
        let purpose = self.settings.purpose_for(purpose);
        let attempt = Attempt {
            provider: self.settings.id.clone(),
            purpose,
            state: crypto::random_text(),
            nonce: crypto::random_text(),
            verifier: crypto::random_text(),
            begun_at: self.clock.now(),
            return_to: return_to.to_owned(),
        };
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let (url, _) = self
            .client(&known.metadata, purpose)
            .authorize_url(|| CsrfToken::new(attempt.state.clone()))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect_uri.clone())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(scopes(&self.settings, &known.metadata, purpose).into_iter().map(Scope::new))
            .add_extra_param("nonce", &attempt.nonce)
            .url();
        Ok((url, attempt))
    }

    /// Finishes: checks state (constant time), age (15 minutes), `iss`; maps the provider's errors; exchanges the code; verifies the ID token.
    pub async fn finish(
        &self,
        attempt: &Attempt,
        redirect_uri: &Url,
        callback: Callback,
    ) -> Result<SignedIn, OidcError> {
        let result = timeout(PATIENCE, self.finish_in_time(attempt, redirect_uri, callback)).await;
        result.unwrap_or_else(|_| Err(self.unreachable("no answer in time".into())))
    }

    fn unreachable(&self, why: String) -> OidcError {
        let error = OidcError::Unreachable(why);
        self.saw::<()>(&Err(error.clone()));
        error
    }

    async fn finish_in_time(
        &self,
        attempt: &Attempt,
        redirect_uri: &Url,
        callback: Callback,
    ) -> Result<SignedIn, OidcError> {
        self.check_answer(attempt, &callback)?;
        if callback.error.is_some() {
            return Err(self.declined(callback));
        }
        let known = self.known_at_all().await?;
        self.check_issuer(Some(&known.metadata), callback.iss.as_deref())?;
        let code = code(callback)?;
        let client =
            self.client(&known.metadata, attempt.purpose).set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
        let exchange = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()));
        let asking = Asking::new(self);
        let given = asking.given(exchange.request_async(&asking).await).map_err(|failure| match failure {
            TokenFailure::Refused(code, description) => OidcError::CodeRefused(said(&code, description.as_deref())),
            TokenFailure::Unreachable(why) => self.unreachable(why),
            TokenFailure::Unclear(why) | TokenFailure::Trouble(why) => OidcError::Unreachable(why),
            TokenFailure::Nonsense(why) => OidcError::Nonsense(why),
        })?;
        let verified = self.verified(given.exposed(), &known, Some(&attempt.nonce), attempt.purpose).await?;
        Ok(SignedIn { tokens: given.tokens(&verified), claims: verified.claims, purpose: attempt.purpose })
    }

    /// Whether the answer is for this attempt. Asked before anything of it is believed, an error included.
    fn check_answer(&self, attempt: &Attempt, callback: &Callback) -> Result<(), OidcError> {
        let state = callback.state.as_deref().unwrap_or_default();
        // An attempt without a state would be matched by an answer without one.
        if attempt.state.is_empty() || !crypto::same_text(&attempt.state, state) || attempt.provider != self.settings.id
        {
            return Err(OidcError::WrongState);
        }
        if self.clock.now().since(attempt.begun_at) > MAX_AGE {
            return Err(OidcError::TooLate);
        }
        Ok(())
    }

    /// What an answer that is an error says. The provider is not asked anything for it: whoever declined reads that they did,
    /// also when it has gone down since.
    ///
    /// RFC 9207 wants `iss` checked on errors too. One that is there is compared with the configured issuer, which takes no
    /// discovery. Whether one may be missing is only known of a provider that has answered since Kubelend started; of another
    /// it is let pass, since an error carries nothing that could be sent to the wrong provider, and came with our state.
    fn declined(&self, callback: Callback) -> OidcError {
        let known = self.known.load_full();
        if let Err(error) = self.check_issuer(known.as_deref().map(|k| &*k.metadata), callback.iss.as_deref()) {
            return error;
        }
        let description = callback.error_description.map(|d| cut(&d)).filter(|d| !d.trim().is_empty());
        OidcError::Refused { code: cut(&callback.error.unwrap_or_default()), description }
    }

    /// RFC 9207 section 2.4: an answer of another issuer is thrown away, and so is one without where ours always names itself.
    fn check_issuer(&self, metadata: Option<&Metadata>, iss: Option<&str>) -> Result<(), OidcError> {
        match iss {
            Some(iss) if iss == self.settings.issuer => Ok(()),
            None if !metadata.is_some_and(|m| m.names_issuer) => Ok(()),
            Some(_) | None => Err(OidcError::WrongState),
        }
    }
}

fn code(callback: Callback) -> Result<String, OidcError> {
    match callback.code {
        Some(code) if !code.is_empty() && code.len() <= MAX_CODE => Ok(code),
        _ => Err(OidcError::Nonsense("the answer holds neither a code nor an error".into())),
    }
}

/// What to ask for: what is configured, as far as the provider lists it; `offline_access` only to leave with a kubeconfig.
fn scopes(settings: &ProviderSettings, metadata: &Metadata, purpose: Purpose) -> Vec<String> {
    let listed = |scope: &str| metadata.scopes_supported.as_ref().is_none_or(|all| all.iter().any(|s| s == scope));
    let mut asked = vec!["openid".to_owned()];
    for scope in &settings.scopes {
        let wanted = scope != "offline_access" || purpose != Purpose::Pages;
        if wanted && listed(scope) && !asked.contains(scope) {
            asked.push(scope.clone());
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oauth2::{AuthType, AuthUrl, TokenUrl};
    use openidconnect::{JsonWebKeySetUrl, core::CoreJsonWebKeySet};

    use super::*;
    use crate::{
        clock::Clock,
        oidc::{
            discovery::Known,
            verify::tests::{NOW, settings},
        },
        outbound::AddressRules,
    };

    fn metadata() -> Metadata {
        Metadata {
            authorization_endpoint: AuthUrl::new("https://idp.example/auth?tenant=1".into()).unwrap(),
            // Nothing listens there: a test that gets so far ends with `Unreachable`.
            token_endpoint: TokenUrl::new("https://127.0.0.1:1/token".into()).unwrap(),
            jwks_uri: JsonWebKeySetUrl::new("https://127.0.0.1:1/keys".into()).unwrap(),
            end_session_endpoint: Some("https://idp.example/out?a=b".parse().unwrap()),
            scopes_supported: None,
            auth_type: AuthType::BasicAuth,
            names_issuer: false,
        }
    }

    /// A provider that answered just now.
    fn provider(metadata: Metadata) -> (Provider, Clock) {
        let clock = Clock::fixed(Timestamp::from_secs(NOW));
        let rules = AddressRules { allow_loopback: true };
        let provider = Provider::new(settings(), rules, clock.clone()).unwrap();
        let known = Known {
            metadata: Arc::new(metadata),
            keys: CoreJsonWebKeySet::new(Vec::new()),
            at: tokio::time::Instant::now(),
        };
        provider.known.store(Some(Arc::new(known)));
        provider.saw(&Ok(()));
        (provider, clock)
    }

    fn redirect() -> Url {
        "https://kubelend.example.com/auth/callback/idp".parse().unwrap()
    }

    async fn begun(provider: &Provider) -> Attempt {
        provider.begin(&redirect(), Purpose::Pages, "/").await.unwrap().1
    }

    fn answer(attempt: &Attempt) -> Callback {
        Callback { code: Some("c".into()), state: Some(attempt.state.clone()), ..Callback::default() }
    }

    async fn finish(provider: &Provider, attempt: &Attempt, callback: Callback) -> OidcError {
        provider.finish(attempt, &redirect(), callback).await.unwrap_err()
    }

    #[tokio::test]
    async fn immune_13_each_attempt_has_its_own_256_bits_of_state_nonce_and_verifier() {
        let (provider, _) = provider(metadata());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20 {
            let (url, attempt) = provider.begin(&redirect(), Purpose::Pages, "/s/x").await.unwrap();
            let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
            for secret in [&attempt.state, &attempt.nonce, &attempt.verifier] {
                assert_eq!(secret.len(), 43, "256 bits in base64url");
                assert!(seen.insert(secret.clone()));
            }
            assert_eq!(query["state"], attempt.state);
            assert_eq!(query["nonce"], attempt.nonce);
            assert_eq!(query["code_challenge_method"], "S256");
            let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
            assert_eq!(query["code_challenge"], PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str());
            assert!(!url.as_str().contains(&attempt.verifier));
            assert_eq!(query["response_type"], "code");
            assert_eq!(query["redirect_uri"], redirect().as_str());
            assert_eq!(query["client_id"], "kubelend");
            assert_eq!(query["tenant"], "1");
            assert_eq!(attempt.return_to, "/s/x");
        }
    }

    #[tokio::test]
    async fn immune_13_an_answer_of_another_attempt_browser_or_provider_is_refused() {
        let (provider, _) = provider(metadata());
        let (mine, theirs) = (begun(&provider).await, begun(&provider).await);
        assert_eq!(finish(&provider, &mine, answer(&theirs)).await, OidcError::WrongState);
        let stateless = Callback { state: None, ..answer(&mine) };
        assert_eq!(finish(&provider, &mine, stateless).await, OidcError::WrongState);
        let mut emptied = mine.clone();
        emptied.state = String::new();
        assert_eq!(finish(&provider, &emptied, answer(&emptied)).await, OidcError::WrongState);
        let mut elsewhere = mine.clone();
        elsewhere.provider = "other".parse().unwrap();
        assert_eq!(finish(&provider, &elsewhere, answer(&elsewhere)).await, OidcError::WrongState);
        // An error is no more believed than a code.
        let error = Callback { error: Some("access_denied".into()), ..answer(&theirs) };
        assert_eq!(finish(&provider, &mine, error).await, OidcError::WrongState);
        assert!(matches!(finish(&provider, &mine, answer(&mine)).await, OidcError::Unreachable(_)), "and ours goes on");
    }

    #[tokio::test]
    async fn an_attempt_ends_after_15_minutes() {
        let (provider, clock) = provider(metadata());
        let attempt = begun(&provider).await;
        clock.set(Timestamp::from_secs(NOW + 15 * 60));
        assert!(matches!(finish(&provider, &attempt, answer(&attempt)).await, OidcError::Unreachable(_)));
        clock.set(Timestamp::from_secs(NOW + 15 * 60 + 1));
        assert_eq!(finish(&provider, &attempt, answer(&attempt)).await, OidcError::TooLate);
    }

    #[tokio::test]
    async fn immune_12_an_answer_of_another_issuer_is_refused() {
        let (silent, _) = provider(metadata());
        let attempt = begun(&silent).await;
        for iss in ["https://evil.example", "https://idp.example/", ""] {
            let mixed_up = Callback { iss: Some(iss.into()), ..answer(&attempt) };
            assert_eq!(finish(&silent, &attempt, mixed_up).await, OidcError::WrongState, "{iss}");
        }
        let (naming, _) = provider(Metadata { names_issuer: true, ..metadata() });
        let attempt = begun(&naming).await;
        assert_eq!(finish(&naming, &attempt, answer(&attempt)).await, OidcError::WrongState);
        let named = Callback { iss: Some("https://idp.example".into()), ..answer(&attempt) };
        assert!(matches!(finish(&naming, &attempt, named).await, OidcError::Unreachable(_)));
    }

    #[tokio::test]
    async fn a_refusal_is_told_as_what_it_is() {
        let (provider, _) = provider(metadata());
        let attempt = begun(&provider).await;
        let declined = Callback {
            code: None,
            error: Some("access_denied".into()),
            error_description: Some(format!("<b>no</b>\n{}", "x".repeat(1000))),
            ..answer(&attempt)
        };
        let OidcError::Refused { code, description } = finish(&provider, &attempt, declined).await else { panic!() };
        assert_eq!(code, "access_denied");
        let description = description.unwrap();
        assert!(description.starts_with("<b>no</b> x") && description.len() == 300, "{description}");
        let empty = Callback { code: None, ..answer(&attempt) };
        assert!(matches!(finish(&provider, &attempt, empty).await, OidcError::Nonsense(_)));
    }

    fn declined(attempt: &Attempt) -> Callback {
        Callback { code: None, error: Some("access_denied".into()), ..answer(attempt) }
    }

    #[tokio::test]
    async fn a_refusal_is_told_although_the_provider_has_not_answered_since_the_start() {
        let (asked, _) = provider(metadata());
        let attempt = begun(&asked).await;
        // Kubelend was started again meanwhile, and nothing answers where its provider should be.
        let rules = AddressRules { allow_loopback: true };
        let down = Provider::new(settings(), rules, Clock::fixed(Timestamp::from_secs(NOW))).unwrap();
        let refused = OidcError::Refused { code: "access_denied".into(), description: None };
        assert_eq!(finish(&down, &attempt, declined(&attempt)).await, refused);
        let named = Callback { iss: Some("https://idp.example".into()), ..declined(&attempt) };
        assert_eq!(finish(&down, &attempt, named).await, refused);
        assert!(
            matches!(finish(&down, &attempt, answer(&attempt)).await, OidcError::Unreachable(_)),
            "a code needs it"
        );
    }

    #[tokio::test]
    async fn immune_12_a_refusal_of_another_issuer_or_attempt_is_not_believed() {
        let (silent, _) = provider(metadata());
        let (attempt, other) = (begun(&silent).await, begun(&silent).await);
        let mixed_up = Callback { iss: Some("https://evil.example".into()), ..declined(&attempt) };
        assert_eq!(finish(&silent, &attempt, mixed_up).await, OidcError::WrongState);
        assert_eq!(finish(&silent, &attempt, declined(&other)).await, OidcError::WrongState);
        // One that always names itself does so on errors.
        let (naming, _) = provider(Metadata { names_issuer: true, ..metadata() });
        let attempt = begun(&naming).await;
        assert_eq!(finish(&naming, &attempt, declined(&attempt)).await, OidcError::WrongState);
    }

    #[test]
    fn only_listed_scopes_are_asked_for_and_offline_access_only_for_a_kubeconfig() {
        let of = |listed: Option<&[&str]>, purpose| {
            let listed = listed.map(|all| all.iter().map(ToString::to_string).collect());
            scopes(&settings(), &Metadata { scopes_supported: listed, ..metadata() }, purpose).join(" ")
        };
        assert_eq!(of(None, Purpose::Pages), "openid email groups");
        assert_eq!(of(None, Purpose::Kubeconfig), "openid email groups offline_access");
        assert_eq!(of(Some(&["openid", "email"]), Purpose::Kubeconfig), "openid email");
        assert_eq!(of(Some(&["email", "offline_access"]), Purpose::Kubeconfig), "openid email offline_access");
    }

    #[test]
    fn signing_out_at_the_provider_says_who_and_where_to_come_back_to() {
        let (provider, _) = provider(metadata());
        let back = "https://kubelend.example.com/".parse().unwrap();
        let url = provider.sign_out_url(Some(&"tok".into()), &back).unwrap();
        assert_eq!(
            url.as_str(),
            "https://idp.example/out?a=b&id_token_hint=tok&client_id=kubelend&post_logout_redirect_uri=https%3A%2F%2Fkubelend.example.com%2F"
        );
        let (without, _) = self::provider(Metadata { end_session_endpoint: None, ..metadata() });
        assert_eq!(without.sign_out_url(None, &back), None);
    }
}
