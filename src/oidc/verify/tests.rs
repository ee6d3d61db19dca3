use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::*;
use crate::model::claim_mapping::ClaimMapping;

pub(in crate::oidc) const NOW: i64 = 1_800_000_000;
const NONCE: &str = "n-1";

/// A provider's key, and what can be signed with it.
pub(in crate::oidc) struct Signer {
    id: &'static str,
    key: EcdsaKeyPair,
}

impl Signer {
    pub(in crate::oidc) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { id, key: EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap() }
    }

    fn point(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.point()[1..].split_at(32);
        json!({"kty": "EC", "use": "sig", "alg": "ES256", "kid": self.id, "crv": "P-256",
               "x": BASE64.encode(x), "y": BASE64.encode(y)})
    }

    pub(in crate::oidc) fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&json!({"alg": "ES256", "typ": "JWT", "kid": self.id}), claims)
    }

    fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        join(header, claims, |message| self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }
}

fn join(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = BASE64.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub(in crate::oidc) fn keys(all: &[Value]) -> CoreJsonWebKeySet {
    serde_json::from_value(json!({"keys": all})).unwrap()
}

pub(in crate::oidc) fn settings() -> ProviderSettings {
    ProviderSettings {
        id: "idp".parse().unwrap(),
        name: "IdP".into(),
        issuer: "https://idp.example".into(),
        client_id: "kubelend".into(),
        client_secret: None,
        direct_client_id: None,
        relay: true,
        ca_pem: None,
        scopes: ["openid", "email", "groups", "offline_access"].map(str::to_owned).to_vec(),
        claim_mapping: ClaimMapping::default(),
    }
}

fn claims(changes: Value) -> Value {
    let mut all = json!({
        "iss": "https://idp.example", "aud": "kubelend", "sub": "u-1", "nonce": NONCE,
        "iat": NOW - 10, "exp": NOW + 600,
        "email": "bob@example.com", "email_verified": true, "name": "Bob Example",
        "groups": ["devs", "ops", "devs"],
    });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(key);
        } else {
            all[key] = value.clone();
        }
    }
    all
}

/// Verifies a token of the good signer with these claims changed (`null` takes one away).
fn changed(changes: Value) -> Result<Verified, Refusal> {
    let signer = Signer::new("a");
    check(&signer.sign(&claims(changes)), &keys(&[signer.jwk()]))
}

fn check(token: &str, keys: &CoreJsonWebKeySet) -> Result<Verified, Refusal> {
    verify(token, keys, &settings(), "kubelend", Some(NONCE), Timestamp::from_secs(NOW))
}

#[track_caller]
fn refused(result: Result<Verified, Refusal>, why: &str) {
    match result {
        Err(Refusal::Bad(text) | Refusal::OtherKey(text)) => {
            assert!(text.contains(why), "“{text}” does not say “{why}”");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_token_says_who_somebody_is() {
    let verified = changed(json!({})).unwrap();
    assert_eq!(verified.issued_at, Timestamp::from_secs(NOW - 10));
    assert_eq!(verified.expires_at, Timestamp::from_secs(NOW + 600));
    assert_eq!(
        verified.claims,
        VerifiedClaims {
            provider: "idp".parse().unwrap(),
            issuer: "https://idp.example".into(),
            sub: "u-1".into(),
            email: Some("bob@example.com".parse().unwrap()),
            email_verified: true,
            name: Some("Bob Example".into()),
            groups: vec!["devs".into(), "ops".into()],
        }
    );
}

#[test]
fn immune_12_a_token_without_signature_is_refused() {
    let signer = Signer::new("a");
    let keys = keys(&[signer.jwk()]);
    for alg in ["none", "None", "NONE"] {
        let header = json!({"alg": alg, "kid": "a"});
        assert!(check(&join(&header, &claims(json!({})), |_| Vec::new()), &keys).is_err(), "{alg}");
        assert!(check(&signer.sign_with_header(&header, &claims(json!({}))), &keys).is_err(), "{alg}");
    }
    let good = signer.sign(&claims(json!({})));
    assert!(check(&good, &keys).is_ok());
    let (message, _) = good.rsplit_once('.').unwrap();
    assert!(check(&format!("{message}."), &keys).is_err());
    assert!(check(message, &keys).is_err());
}

#[test]
fn immune_12_hs256_with_the_public_key_or_the_client_secret_is_refused() {
    let signer = Signer::new("a");
    let mut with_secret = settings();
    with_secret.client_secret = Some("hush".into());
    let jwk = signer.jwk().to_string();
    for secret in [signer.point(), &signer.point()[1..], jwk.as_bytes(), b"hush", b""] {
        let sign = |message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec();
        let token = join(&json!({"alg": "HS256", "kid": "a"}), &claims(json!({})), sign);
        let symmetric = json!({"kty": "oct", "kid": "a", "k": BASE64.encode(secret)});
        for keys in [keys(&[signer.jwk()]), keys(&[symmetric])] {
            refused(verify(&token, &keys, &with_secret, "kubelend", Some(NONCE), Timestamp::from_secs(NOW)), "HS256");
        }
    }
}

#[test]
fn immune_12_eddsa_is_refused_since_api_servers_refuse_it() {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": BASE64.encode(key.public_key().as_ref())});
    let token = join(&json!({"alg": "EdDSA", "kid": "a"}), &claims(json!({})), |m| key.sign(m).as_ref().to_vec());
    refused(check(&token, &keys(&[jwk])), "EdDSA");
}

#[test]
fn immune_12_a_header_that_names_another_algorithm_or_brings_its_own_key_is_refused() {
    let (signer, other) = (Signer::new("a"), Signer::new("a"));
    let known = keys(&[signer.jwk()]);
    for header in [
        json!({"alg": "RS256", "kid": "a"}),
        json!({"alg": "ES384", "kid": "a"}),
        json!({"alg": "ES256", "kid": "a", "crit": ["exp"]}),
        json!({"alg": "ES256", "kid": "a", "typ": "at+jwt"}),
        json!({"alg": "ES256", "kid": "a", "cty": "JWT"}),
    ] {
        assert!(check(&signer.sign_with_header(&header, &claims(json!({}))), &known).is_err(), "{header}");
    }
    let own = json!({"alg": "ES256", "kid": "a", "jwk": other.jwk(), "jku": "https://evil.example/keys"});
    assert!(matches!(check(&other.sign_with_header(&own, &claims(json!({}))), &known), Err(Refusal::OtherKey(_))));
}

#[test]
fn immune_12_a_changed_token_is_refused() {
    let signer = Signer::new("a");
    let known = keys(&[signer.jwk()]);
    let good = signer.sign(&claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let forged = BASE64.encode(claims(json!({"email": "alice@example.com"})).to_string());
    refused(check(&format!("{}.{forged}.{}", parts[0], parts[2]), &known), "Signature was wrong");
}

#[test]
fn immune_12_issuer_audience_and_party_are_checked() {
    refused(changed(json!({"iss": "https://evil.example"})), "issuer");
    refused(changed(json!({"iss": "https://idp.example/"})), "issuer");
    refused(changed(json!({"iss": null})), "no ID token");
    refused(changed(json!({"aud": "other"})), "audience");
    refused(changed(json!({"aud": []})), "audience");
    refused(changed(json!({"aud": "Kubelend"})), "audience");
    // A token of another client of the same provider, which names us too.
    refused(changed(json!({"aud": ["other", "kubelend"], "azp": "other"})), "another client");
    refused(changed(json!({"aud": ["other", "kubelend"]})), "azp");
    refused(changed(json!({"azp": "other"})), "another client");
    assert!(changed(json!({"aud": ["other", "kubelend"], "azp": "kubelend"})).is_ok());
    assert!(changed(json!({"aud": ["kubelend"]})).is_ok());
}

#[test]
fn immune_12_times_are_checked_with_a_minute_of_leeway() {
    refused(changed(json!({"exp": NOW - 61})), "xpired");
    assert!(changed(json!({"exp": NOW - 5})).is_ok());
    refused(changed(json!({"exp": null})), "no ID token");
    refused(changed(json!({"iat": NOW + 61})), "future");
    assert!(changed(json!({"iat": NOW + 50})).is_ok());
    refused(changed(json!({"iat": null})), "no ID token");
    refused(changed(json!({"exp": NOW - 20})), "before it was issued");
    refused(changed(json!({"nbf": NOW + 61})), "not valid yet");
    refused(changed(json!({"nbf": "soon"})), "not valid yet");
    assert!(changed(json!({"nbf": NOW})).is_ok());
}

#[test]
fn immune_12_the_nonce_is_checked_when_one_was_sent() {
    refused(changed(json!({"nonce": "n-2"})), "nonce");
    refused(changed(json!({"nonce": ""})), "nonce");
    refused(changed(json!({"nonce": null})), "nonce");
    let signer = Signer::new("a");
    let token = signer.sign(&claims(json!({"nonce": null})));
    let at = Timestamp::from_secs(NOW);
    assert!(
        verify(&token, &keys(&[signer.jwk()]), &settings(), "kubelend", None, at).is_ok(),
        "none is promised after a refresh"
    );
}

#[test]
fn immune_23_a_giant_token_is_refused_before_it_is_parsed() {
    refused(changed(json!({"groups": vec!["g".repeat(100); 800]})), "longer than");
    refused(check(&"a.".repeat(MAX_TOKEN), &keys(&[])), "longer than");
}

#[test]
fn an_unknown_key_asks_for_newer_ones_and_nothing_else_does() {
    let (old, new) = (Signer::new("a"), Signer::new("b"));
    let token = new.sign(&claims(json!({})));
    assert!(matches!(check(&token, &keys(&[old.jwk()])), Err(Refusal::OtherKey(_))));
    assert!(matches!(check(&token, &keys(&[])), Err(Refusal::OtherKey(_))));
    assert!(check(&token, &keys(&[old.jwk(), new.jwk()])).is_ok());
    let same_id = Signer::new("a");
    assert!(matches!(check(&same_id.sign(&claims(json!({}))), &keys(&[old.jwk()])), Err(Refusal::OtherKey(_))));
    assert!(matches!(changed(json!({"aud": "x"})), Err(Refusal::Bad(_))));
}

#[test]
fn immune_15_an_email_that_is_none_or_unverified_vouches_for_nobody() {
    let email =
        |changes| changed(changes).map(|v| (v.claims.email.map(|e| e.to_string()), v.claims.email_verified)).unwrap();
    let bob = || Some("bob@example.com".to_owned());
    assert_eq!(email(json!({"email_verified": false})), (bob(), false));
    assert_eq!(email(json!({"email_verified": null})), (bob(), false));
    assert_eq!(email(json!({"email_verified": "true"})), (bob(), true));
    assert_eq!(email(json!({"email_verified": "false"})), (bob(), false));
    for odd in ["a@evil.com@good.com", "bob", "b\u{43e}b@example.com", " bob@example.com", ""] {
        assert_eq!(email(json!({"email": odd})).0, None, "{odd}");
    }
    assert_eq!(email(json!({"email": null})).0, None);
    assert!(changed(json!({"email_verified": "yes"})).is_err());
}

#[test]
fn groups_are_taken_from_the_claim_that_is_configured() {
    let groups_of = |changes| changed(changes).unwrap().claims.groups;
    assert_eq!(groups_of(json!({"groups": "devs"})), ["devs"]);
    assert_eq!(groups_of(json!({"groups": ["", "a", 7, "b", "a"]})), ["a", "b"]);
    assert!(groups_of(json!({"groups": null})).is_empty());
    assert!(groups_of(json!({"groups": {"a": "b"}})).is_empty());
    let signer = Signer::new("a");
    let mut roles = settings();
    roles.claim_mapping.groups_claim = "https://example.com/roles".into();
    let token = signer.sign(&claims(json!({"https://example.com/roles": ["ops"]})));
    let verified =
        verify(&token, &keys(&[signer.jwk()]), &roles, "kubelend", Some(NONCE), Timestamp::from_secs(NOW)).unwrap();
    assert_eq!(verified.claims.groups, ["ops"]);
}

#[test]
fn immune_23_more_than_500_groups_are_refused_and_500_are_not() {
    let named = |n: usize| (0..n).map(|n| format!("g{n}")).collect::<Vec<_>>();
    assert_eq!(changed(json!({"groups": named(501)})).unwrap_err(), Refusal::Groups);
    // What is named again is not one more.
    let mut twice = named(500);
    twice.extend(named(500));
    assert_eq!(changed(json!({"groups": twice})).unwrap().claims.groups, named(500));
}

#[test]
fn a_name_is_for_display_and_a_sub_is_there() {
    let name = |changes| changed(changes).unwrap().claims.name;
    assert_eq!(name(json!({"name": null, "preferred_username": "bob"})).as_deref(), Some("bob"));
    assert_eq!(name(json!({"name": " ", "preferred_username": null})), None);
    assert_eq!(name(json!({"name": "a\n\u{202E}b"})).as_deref(), Some("a b"));
    refused(changed(json!({"sub": ""})), "sub");
    refused(changed(json!({"sub": "a\nb"})), "sub");
    refused(changed(json!({"sub": "a".repeat(2000)})), "sub");
    assert!(changed(json!({"sub": null})).is_err());
}
