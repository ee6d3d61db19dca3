//! The HTTPS client for identity providers. One is built for each provider, with that provider's CA and no other, so that a
//! private CA vouches for nobody else. It follows no redirect, uses no proxy of the environment, gives up in time for a page
//! to say so, and reads no more than a bounded answer.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

use super::{AddressRules, ForbiddenAddress};

/// How long a connection may take to stand, TLS included.
const CONNECT: Duration = Duration::from_millis(1500);
/// How long a request may take in all: a page that waits for it answers within 3 s.
const TOTAL: Duration = Duration::from_millis(2500);
/// How long one may take whose answer no page waits for.
const PATIENT: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const MAX_BODY: usize = 1024 * 1024;

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The address is not https.
    #[error("{0} is not https")]
    NotHttps(Url),
    /// The address must not be dialled.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    /// The answer is larger than anything that a provider has to say.
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
    /// The request itself cannot be sent.
    #[error("the request cannot be sent: {0}")]
    BadRequest(String),
    /// A server error without a word that the protocol knows: a gateway's page, most often.
    #[error("it answers {0}")]
    ServerError(http::StatusCode),
    /// Connecting, TLS, sending or receiving failed, or took too long.
    #[error("{0}")]
    Failed(String),
}

/// A client for one provider.
#[derive(Clone, Debug)]
pub struct HttpsClient {
    client: reqwest::Client,
    rules: AddressRules,
}

impl HttpsClient {
    /// Trusts the authorities of `ca_pem` and no others; without it, those that the system trusts.
    ///
    /// # Errors
    /// When the CA cannot be read, or the system has no authorities; in words for the operator.
    #[expect(clippy::disallowed_methods, reason = "this is the room where clients are built")]
    pub fn new(ca_pem: Option<&str>, rules: AddressRules) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca_pem)?)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(RuledResolver(rules)))
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            // Long enough for the requests of one sign-in; shorter than any server's, since a request that meets a
            // connection on its way out is lost and not sent again.
            .pool_idle_timeout(Duration::from_secs(5))
            .user_agent(concat!("kubelend/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| chain(&e))?;
        Ok(Self { client, rules })
    }

    /// Sends one request and reads its answer, whatever its status, but for a server error without JSON.
    ///
    /// # Errors
    /// See [`HttpsError`]; none of them quotes the request's body or headers.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, HttpsError> {
        self.send_within(TOTAL, request).await
    }

    /// The same with more time for the answer: for one that would be missed.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_patiently(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, HttpsError> {
        self.send_within(PATIENT, request).await
    }

    async fn send_within(
        &self,
        bound: Duration,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, HttpsError> {
        let mut request = reqwest::Request::try_from(request).map_err(|e| HttpsError::BadRequest(chain(&e)))?;
        *request.timeout_mut() = Some(bound);
        self.check(request.url())?;
        let mut answer = self.client.execute(request).await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(HttpsError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_server_error() && !body.trim_ascii_start().starts_with(b"{") {
            return Err(HttpsError::ServerError(status));
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = status;
        *whole.headers_mut() = headers;
        Ok(whole)
    }

    /// The resolver never sees an address that is written as a number, so such a one is looked at here.
    fn check(&self, url: &Url) -> Result<(), HttpsError> {
        if url.scheme() != "https" {
            return Err(HttpsError::NotHttps(url.clone()));
        }
        match url.host() {
            Some(Host::Ipv4(v4)) => self.rules.check(IpAddr::V4(v4))?,
            Some(Host::Ipv6(v6)) => self.rules.check(IpAddr::V6(v6))?,
            Some(Host::Domain(_)) | None => {}
        }
        Ok(())
    }
}

fn tls(ca_pem: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|e| chain(&e))?;
    let builder = match ca_pem {
        Some(pem) => builder.with_root_certificates(roots(pem)?),
        None => builder
            .with_platform_verifier()
            .map_err(|e| format!("the system's certificate authorities cannot be used ({e}); name the issuer's CA"))?,
    };
    Ok(builder.with_no_client_auth())
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|e| format!("the CA is no PEM: {e}"))?;
        roots.add(certificate).map_err(|e| format!("the CA holds a certificate that cannot be used: {e}"))?;
    }
    if roots.is_empty() { Err("the CA holds no certificate".into()) } else { Ok(roots) }
}

/// Resolves by the address rules, on every connect.
struct RuledResolver(AddressRules);

impl Resolve for RuledResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0;
        Box::pin(async move {
            // Port 0 is replaced by the URL's.
            let addresses = rules.resolve(name.as_str(), 0).await?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

fn failed(error: reqwest::Error) -> HttpsError {
    if error.is_timeout() {
        return HttpsError::Failed("no answer in time".into());
    }
    HttpsError::Failed(chain(&error.without_url()))
}

/// An error with its causes: what matters here (“certificate unknown”) is the innermost.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(url: &str) -> http::Request<Vec<u8>> {
        http::Request::get(url).body(Vec::new()).unwrap()
    }

    #[tokio::test]
    async fn immune_10_a_provider_at_an_internal_address_is_not_dialled_by_number_or_by_name() {
        let client = HttpsClient::new(None, AddressRules::default()).unwrap();
        for url in ["https://127.0.0.1:1/", "https://[::1]:1/", "https://169.254.169.254/", "https://2130706433/"] {
            let error = client.send(get(url)).await.unwrap_err();
            assert!(matches!(error, HttpsError::Forbidden(_)), "{url}: {error}");
        }
        let error = client.send(get("https://localhost:1/")).await.unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
    }

    #[tokio::test]
    async fn plain_http_is_refused() {
        let client = HttpsClient::new(None, AddressRules { allow_loopback: true }).unwrap();
        assert!(matches!(client.send(get("http://127.0.0.1:1/")).await, Err(HttpsError::NotHttps(_))));
    }

    #[test]
    fn a_ca_that_is_none_is_refused() {
        for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(HttpsClient::new(Some(bad), AddressRules::default()).is_err(), "{bad}");
        }
    }
}
