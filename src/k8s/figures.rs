//! What an API server has counted of one issuer's tokens, read from its `/metrics`.
//!
//! `apiserver_authentication_jwt_authenticator_latency_seconds` (Kubernetes 1.30 and later) counts each token of an issuer
//! that the API server knows, by result, and none of others. `apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds`
//! (1.35 and later) says when it last fetched the issuer's keys, and whether that went well. Both name an issuer by the SHA-256 of
//! its URL.

use http::Request;
use sha2::{Digest, Sha256};

use super::{ClusterClient, K8sError, answer};

const COUNTED: &str = "apiserver_authentication_jwt_authenticator_latency_seconds_count{";
const KEYS: &str = "apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds{";

/// What an API server has counted of one issuer's tokens since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IssuerFigures {
    /// Tokens that it accepted.
    pub accepted: f64,
    /// Tokens that it refused.
    pub refused: f64,
    /// When it last fetched the issuer's keys, in seconds since 1970.
    pub keys_fetched: Option<f64>,
    /// When it last failed to.
    pub keys_failed: Option<f64>,
}

impl ClusterClient {
    /// The figures of an issuer. Wants the right to read `/metrics`.
    pub async fn issuer_figures(&self, issuer: &str) -> Result<IssuerFigures, K8sError> {
        let request = Request::get("/metrics").body(Vec::new()).map_err(kube::core::request::Error::BuildRequest);
        let answer = self.send(request).await?;
        Ok(read(answer::accepted(&answer)?, issuer))
    }
}

/// Looks at the lines about this issuer and at nothing else: the rest may be large, and is none of our business.
fn read(metrics: &[u8], issuer: &str) -> IssuerFigures {
    let ours = format!("jwt_issuer_hash=\"sha256:{:x}\"", Sha256::digest(issuer));
    let mut figures = IssuerFigures::default();
    for line in metrics.split(|byte| *byte == b'\n') {
        let Some((name, labels, value)) = sample(line).filter(|(_, labels, _)| labels.contains(&ours)) else {
            continue;
        };
        let good = labels.contains("result=\"success\"");
        match (name, good) {
            (COUNTED, true) => figures.accepted += value,
            (COUNTED, false) => figures.refused += value,
            (_, true) => newest(&mut figures.keys_fetched, value),
            (_, false) => newest(&mut figures.keys_failed, value),
        }
    }
    figures
}

/// Several API servers behind one address each have a line; the newest counts.
fn newest(before: &mut Option<f64>, now: f64) {
    *before = Some(before.map_or(now, |before| before.max(now)));
}

/// A line of the text format: the name up to its brace, its labels, its value.
fn sample(line: &[u8]) -> Option<(&'static str, &str, f64)> {
    let name = [COUNTED, KEYS].into_iter().find(|name| line.starts_with(name.as_bytes()))?;
    let (labels, value) = std::str::from_utf8(line).ok()?[name.len()..].rsplit_once('}')?;
    let value: f64 = value.split_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some((name, labels, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:29b34beedc55b972f2428f21bc588f9d38e5e8f7a7af825486e7bb4fd9caa2ad";

    #[test]
    fn the_lines_of_one_issuer_are_read_and_no_others() {
        let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let text = format!(
            "# HELP apiserver_authentication_jwt_authenticator_latency_seconds [ALPHA] Latency\n\
             {COUNTED}jwt_issuer_hash=\"{HASH}\",result=\"failure\"}} 3\n\
             {COUNTED}jwt_issuer_hash=\"{HASH}\",result=\"success\"}} 1e+01\n\
             {COUNTED}jwt_issuer_hash=\"{other}\",result=\"success\"}} 99\n\
             {KEYS}apiserver_id_hash=\"a\",jwt_issuer_hash=\"{HASH}\",result=\"success\"}} 1.8e+09\n\
             {KEYS}apiserver_id_hash=\"b\",jwt_issuer_hash=\"{HASH}\",result=\"success\"}} 1.7e+09\n\
             {KEYS}apiserver_id_hash=\"a\",jwt_issuer_hash=\"{HASH}\",result=\"failure\"}} NaN\n\
             {COUNTED}broken\n\u{fffd}\nup 1\n"
        );
        let wanted = IssuerFigures { accepted: 10.0, refused: 3.0, keys_fetched: Some(1.8e9), keys_failed: None };
        // The hash is the one that Kubernetes' own tests have for this URL.
        assert_eq!(read(text.as_bytes(), "testIssuer"), wanted);
        assert_eq!(read(text.as_bytes(), "https://another.example"), IssuerFigures::default());
        assert_eq!(read(b"\xff\xfe\n{}", "testIssuer"), IssuerFigures::default());
    }
}
