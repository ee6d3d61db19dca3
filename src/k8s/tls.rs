//! Whom to believe behind an address: the endpoint's own CA and no other, or the machine's roots where it names none.
//!
//! Nothing here can switch verification off.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, Error, RootCertStore, WantsVerifier,
    client::{Resumption, WantsClientCert},
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use secrecy::ExposeSecret;

use super::{K8sError, client::Shown};
use crate::model::cluster::{ClusterCredential, Endpoint};

/// The machine's roots, read once for all clusters that name no CA.
#[derive(Clone, Debug, Default)]
pub(super) struct PlatformRoots(Arc<OnceLock<Arc<rustls_platform_verifier::Verifier>>>);

impl PlatformRoots {
    fn verifier(&self) -> Result<Arc<rustls_platform_verifier::Verifier>, K8sError> {
        if let Some(known) = self.0.get() {
            return Ok(Arc::clone(known));
        }
        let fresh = rustls_platform_verifier::Verifier::new(provider())
            .map_err(|e| K8sError::Unusable(format!("the machine's certificate authorities cannot be read: {e}")))?;
        Ok(Arc::clone(self.0.get_or_init(|| Arc::new(fresh))))
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// The TLS settings for an endpoint and what is shown there.
pub(super) fn config(endpoint: &Endpoint, shown: &Shown, roots: &PlatformRoots) -> Result<ClientConfig, K8sError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|e| K8sError::Unusable(e.to_string()))?;
    let builder = with_roots(builder, endpoint, roots)?;
    let mut config = with_client(builder, shown)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Connections are kept, so resumed sessions would save little; and each new one verifies the certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn with_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    endpoint: &Endpoint,
    roots: &PlatformRoots,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, K8sError> {
    let Some(pem) = &endpoint.ca_pem else {
        return Ok(builder.dangerous().with_custom_certificate_verifier(roots.verifier()?));
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem, "the stored CA cannot be read")? {
        store.add(certificate).map_err(|e| K8sError::Unusable(format!("the stored CA cannot be used: {e}")))?;
    }
    Ok(builder.with_root_certificates(store))
}

fn with_client(builder: ConfigBuilder<ClientConfig, WantsClientCert>, shown: &Shown) -> Result<ClientConfig, K8sError> {
    let Shown::Own(ClusterCredential::ClientCertificate { certificate, key }) = shown else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate, "the stored client certificate cannot be read")?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| K8sError::Unusable("the stored private key cannot be read".into()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| K8sError::Unusable(format!("the stored client certificate cannot be used: {e}")))
}

fn certificates(pem: &str, refusal: &str) -> Result<Vec<CertificateDer<'static>>, K8sError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| K8sError::Unusable(refusal.to_owned()))?;
    if all.is_empty() { Err(K8sError::Unusable(refusal.to_owned())) } else { Ok(all) }
}

/// The name that the certificate must bear.
pub(super) fn server_name(endpoint: &Endpoint, host: &str) -> Result<ServerName<'static>, K8sError> {
    let name = endpoint.tls_server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned())
        .map_err(|_| K8sError::Unusable("the server's name is none that a certificate can bear".into()))
}

/// What a failed handshake means. What breaks below TLS is the network's.
pub(super) fn explain(error: &io::Error, place: &str, own_ca: bool) -> K8sError {
    match tls_error(error) {
        Some(error) => K8sError::Tls(in_words(error, own_ca)),
        None if error.kind() == io::ErrorKind::TimedOut => K8sError::TimedOut,
        None => K8sError::Unreachable(format!(
            "{place} takes the connection and closes it before TLS begins: the API server may be down behind a load balancer"
        )),
    }
}

/// The TLS error inside an error, if there is one.
pub(super) fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Error>() {
            return Some(found);
        }
        // An io::Error's source is its inner error's source, so the inner error itself must be asked for.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// A TLS error for people.
pub(super) fn in_words(error: &Error, own_ca: bool) -> String {
    let authority =
        if own_ca { "the CA that the kubeconfig names" } else { "any public authority that this machine trusts" };
    match error {
        Error::InvalidCertificate(why) => match why {
            // A CA of the same name and another key gives the second.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("its certificate is not signed by {authority}")
            }
            CertificateError::NotValidForName => "its certificate is for another name".into(),
            CertificateError::NotValidForNameContext { expected, presented } => format!(
                "its certificate is not for {}, but for {}",
                expected.to_str(),
                presented.iter().map(|name| bare(name)).take(8).collect::<Vec<_>>().join(", ")
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".into(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: compare the clocks of both machines".into()
            }
            other => format!("its certificate is refused: {other}"),
        },
        Error::InvalidMessage(_) => "what answers there does not speak TLS".into(),
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown,
        ) => "the server refuses our client certificate, or wants one".into(),
        Error::AlertReceived(alert) => format!("the server ended the handshake ({alert:?})"),
        Error::PeerIncompatible(_) => "the server speaks no version of TLS that is safe (1.2 or 1.3)".into(),
        other => other.to_string(),
    }
}

/// rustls writes the names of a certificate as its parser's values: `DnsName("a.example")`, `IpAddress(10.0.0.1)`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"').chars().filter(|c| !c.is_control()).take(100).collect()
}
