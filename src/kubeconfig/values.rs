//! The values of a kubeconfig that Kubelend takes over, each checked for what it must be. Reasons never quote a value.

use std::sync::Arc;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls::{crypto::ring, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName,
    pem::{PemObject, SectionKind},
};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::model::time::Timestamp;

/// The largest token; API servers and what stands before them take headers of 8 to 16 KiB.
const MAX_TOKEN: usize = 16 * 1024;
/// The user that the shown command makes. Its token has no end, and the page that shows the command says how to end it.
const OUR_ACCOUNT: &str = "system:serviceaccount:kubelend:kubelend";

/// An API server's address.
pub(super) fn server(text: &str) -> Result<Url, String> {
    let plain = |c: char| c.is_ascii_graphic() && c != '\\';
    if text.len() > 2048 || !text.chars().all(plain) {
        return Err("it is no address: no spaces, no backslashes, letters of the ASCII alphabet".into());
    }
    let url = Url::parse(text).map_err(|_| "it is no address of the form https://HOST:PORT".to_owned())?;
    if url.scheme() != "https" {
        return Err("it must begin with https://, since keys travel to it".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password; take them out of the address".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a “?” or “#” part, and an API server's address has none".into());
    }
    Ok(url)
}

/// A name to ask for in TLS.
pub(super) fn server_name(text: &str) -> Result<String, String> {
    ServerName::try_from(text).map_err(|_| "it is no name that a certificate can bear".to_owned())?;
    Ok(text.to_owned())
}

/// A CA bundle, in base64 of PEM; comes back as plain PEM with nothing but certificates in it.
pub(super) fn authority(text: &str) -> Result<String, String> {
    certificates(text).map(|all| to_pem(&all))
}

/// Certificates, in base64 of PEM.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = decode(text)?;
    let mut all = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&pem) {
        match section.map_err(|_| "it is base64 of something that is not PEM".to_owned())? {
            (SectionKind::Certificate, der) => all.push(CertificateDer::from(der)),
            _ => return Err("it holds something else than certificates; a private key does not belong here".into()),
        }
    }
    if all.is_empty() {
        return Err("it is base64 of something that holds no certificate in PEM".into());
    }
    for certificate in &all {
        let whole = X509Certificate::from_der(certificate).is_ok_and(|(rest, _)| rest.is_empty());
        if !whole {
            return Err("one of its certificates is damaged".into());
        }
    }
    Ok(all)
}

/// A private key, in base64 of PEM.
pub(super) fn key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    let pem = decode(text)?;
    if pem.windows(9).any(|w| w == b"ENCRYPTED") {
        return Err("the private key is encrypted, and Kubelend has no password for it".into());
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "it is base64 of something that holds no private key in PEM".into())
}

/// Whether the key is the certificate's.
pub(super) fn belongs(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> Result<(), String> {
    match CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &Arc::new(ring::default_provider())) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err("this key does not belong to the certificate".into()),
        Err(_) => Err("this key cannot be used: RSA, P-256, P-384 and Ed25519 can".into()),
    }
}

/// Certificates as PEM.
pub(super) fn to_pem(all: &[CertificateDer<'_>]) -> String {
    all.iter().map(|der| armour("CERTIFICATE", der)).collect()
}

/// A key as PEM.
pub(super) fn key_to_pem(key: &PrivateKeyDer<'_>) -> SecretString {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    armour(label, key.secret_der()).into()
}

fn armour(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|b| char::from(*b)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// A bearer token.
pub(super) fn token(text: &str) -> Result<&str, String> {
    if text.len() > MAX_TOKEN {
        return Err(format!("it is longer than {} KiB, and API servers take none that long", MAX_TOKEN / 1024));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("it holds spaces, line ends or other characters that no token has: is it pasted whole?".into());
    }
    Ok(text)
}

/// What of a JWT says how long it lives and whose it is. Nothing is verified: it is for a word of warning alone.
#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    sub: Option<String>,
}

/// A word of warning about a token's end.
pub(super) fn about_token(token: &str) -> Option<String> {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    match claims {
        Some(Claims { exp: Some(end), .. }) => {
            // A number past the range saturates: it is shown, not used.
            #[expect(clippy::cast_possible_truncation, reason = "saturates, and is only shown")]
            let end = Timestamp::from_secs(end as i64);
            Some(format!(
                "The token ends at {end}, and Kubelend's access to the cluster with it. The shown command makes one that lasts until you delete it."
            ))
        }
        Some(Claims { sub: Some(sub), .. }) if sub == OUR_ACCOUNT => None,
        _ => Some(
            "The token says nothing of an end. Make sure that you can revoke it: a ServiceAccount's by deleting its Secret."
                .to_owned(),
        ),
    }
}

/// When a client certificate (PEM, its own first) ends.
pub fn certificate_end(pem: &str) -> Option<Timestamp> {
    let first = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    let (_, leaf) = X509Certificate::from_der(&first).ok()?;
    Some(Timestamp::from_secs(leaf.validity().not_after.timestamp()))
}

/// A word of warning about a client certificate.
pub(super) fn about_certificate(chain: &[CertificateDer<'_>]) -> Option<String> {
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    let end = Timestamp::from_secs(leaf.validity().not_after.timestamp());
    let masters = leaf.subject().iter_organization().any(|o| o.as_str() == Ok("system:masters"));
    let more = if masters { " It is in the group system:masters, which no rule can limit." } else { "" };
    Some(format!(
        "This is a client certificate. It ends at {end}, and until then nobody can revoke it: Kubernetes has no way to.{more} A ServiceAccount, as the shown command makes it, is the better choice."
    ))
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let plain: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(plain).map_err(|_| "it is not base64: is it pasted whole?".into())
}
