//! A provider that says whatever a test wants, in tokens that are signed as they should be: real ones say some things never.
//!
//! It stands in front of Dex, which is never asked: discovery, keys and tokens are the test's.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use kubelend::clock::Clock;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use testbed::{HttpFault, JwtIssuer, Testbed, dex};
use url::Url;

use super::visitor::{Page, Visitor};

pub struct Forger {
    proxy: HttpFault,
    key: EcdsaKeyPair,
    ca_pem: String,
}

impl Forger {
    pub async fn start() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let upstream = format!("https://127.0.0.1:{}", bed.dex().await?.port());
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).ok().context("a key")?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).ok();
        let forger = Self {
            proxy: HttpFault::start(&upstream, bed.ca())?,
            key: key.context("a key pair")?,
            ca_pem: bed.ca().pem().to_owned(),
        };
        forger.publish();
        Ok(forger)
    }

    pub fn issuer(&self) -> String {
        format!("{}/forger", self.proxy.url())
    }

    /// What an API server has to trust.
    pub fn jwt_issuer(&self) -> JwtIssuer {
        JwtIssuer::new(&self.issuer(), &self.ca_pem, &[dex::CLIENT])
    }

    fn publish(&self) {
        let issuer = self.issuer();
        let discovery = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"], "scopes_supported": ["openid", "email", "groups"],
        });
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let keys = json!({"keys": [{
            "kty": "EC", "use": "sig", "alg": "ES256", "kid": "k", "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y),
        }]});
        self.proxy.clear();
        self.proxy.answer(None, "/forger/.well-known/", 200, "application/json", &discovery.to_string());
        self.proxy.answer(None, "/forger/keys", 200, "application/json", &keys.to_string());
    }

    /// Signs somebody in to Kubelend's pages with a token that says this; `null` leaves a claim out.
    pub async fn sign_in<'a>(&self, visitor: &'a mut Visitor, claims: &Value) -> Result<&'a Page> {
        let base = visitor.base.clone();
        visitor.open(base.as_str()).await?;
        visitor.follow("Sign in with Dex").await?;
        let back = self.answer(&visitor.page.url, claims)?;
        visitor.open(back.as_str()).await
    }

    /// Where the provider sends a browser that has asked there, to find a token that says this.
    pub fn answer(&self, asked: &Url, claims: &Value) -> Result<Url> {
        let of = |name: &str| asked.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let token = self.token(&of("nonce").context("a nonce")?, claims)?;
        self.publish();
        let answer = json!({"access_token": "a", "token_type": "bearer", "expires_in": 600, "id_token": token});
        self.proxy.answer(None, "/forger/token", 200, "application/json", &answer.to_string());
        let mut back = Url::parse(&of("redirect_uri").context("a redirect URI")?)?;
        back.query_pairs_mut().append_pair("code", "c").append_pair("state", &of("state").context("a state")?);
        Ok(back)
    }

    fn token(&self, nonce: &str, claims: &Value) -> Result<String> {
        let now = Clock::System.now().secs();
        let mut all = json!({
            "iss": self.issuer(), "aud": dex::CLIENT, "nonce": nonce, "iat": now, "exp": now + 600,
        });
        for (name, value) in claims.as_object().context("claims are an object")? {
            all[name] = value.clone();
        }
        let all: serde_json::Map<_, _> = all
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, v)| !v.is_null())
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k"});
        let message =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(Value::Object(all).to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).ok().context("a signature")?;
        Ok(format!("{message}.{}", BASE64.encode(signature.as_ref())))
    }
}
