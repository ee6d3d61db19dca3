//! Asking the Kubelend that runs on this machine: no name is resolved, no proxy is used, and over TLS nobody else is believed than
//! whoever holds the key of the certificate that the configuration names. By whom that is signed, for which names and until
//! when is the matter of those who come from outside: a health check that minded would restart a program that is well.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

/// How long it may take: longer than the server waits for its database.
const TOTAL: Duration = Duration::from_secs(4);

/// Asks for a path on the server that listens there, with this certificate (PEM) or in plain HTTP; the status and what it says.
///
/// # Errors
/// Why there is no answer, in words for the operator.
#[expect(clippy::disallowed_methods, reason = "this is the room where clients are built")]
pub async fn ask_own_server(
    listen: SocketAddr,
    certificate: Option<&[u8]>,
    path: &str,
) -> Result<(http::StatusCode, String), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TOTAL)
        .user_agent(concat!("kubelend/", env!("CARGO_PKG_VERSION")));
    let (scheme, client) = match certificate {
        Some(pem) => ("https", client.tls_backend_preconfigured(trusting(pem)?)),
        None => ("http", client),
    };
    let client = client.build().map_err(|e| last(&e))?;
    let asked = client.get(format!("{scheme}://{}{path}", reachable(listen))).send();
    let answer = asked.await.map_err(|e| last(&e))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|e| last(&e))?;
    Ok((status, text))
}

/// Who listens on all addresses is asked on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn trusting(pem: &[u8]) -> Result<ClientConfig, String> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|e| format!("the certificate is no PEM: {e}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let only = OnlyThis { certificate: certificate.into_owned(), provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| e.to_string())?.dangerous().with_custom_certificate_verifier(Arc::new(only));
    Ok(config.with_no_client_auth())
}

/// Believes whoever holds the key of one certificate.
#[derive(Debug)]
struct OnlyThis {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OnlyThis {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The innermost cause: “connection refused” rather than that a request could not be sent.
fn last(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer in {} s", TOTAL.as_secs());
    }
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("0.0.0.0:8443", "127.0.0.1:8443"),
            ("[::]:8443", "[::1]:8443"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said_as_such() {
        crate::outbound::install_crypto();
        let error = ask_own_server("127.0.0.1:1".parse().unwrap(), None, "/readyz").await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
        let error = ask_own_server("127.0.0.1:1".parse().unwrap(), Some(b"x"), "/readyz").await.unwrap_err();
        assert!(error.contains("no PEM"), "{error}");
    }
}
