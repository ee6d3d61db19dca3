//! HTTP clients for the testbed's own servers.
//!
//! A client is made where it is used and never kept in a shared server: its connections belong to the runtime of the test
//! that made it, and end with it.

use std::{sync::Once, time::Duration};

use anyhow::Result;
use reqwest::{Certificate, Client, ClientBuilder, redirect::Policy};

use crate::ca::Issued;

/// A client that trusts this CA alone, follows no redirect and uses no proxy.
pub fn client(ca_pem: &str) -> Result<Client> {
    Ok(builder(ca_pem)?.build()?)
}

/// The same client before it is built, to add a cookie store or an identity.
pub fn builder(ca_pem: &str) -> Result<ClientBuilder> {
    install_crypto();
    Ok(Client::builder()
        .tls_certs_only(Certificate::from_pem_bundle(ca_pem.as_bytes())?)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(20)))
}

/// A client for plain HTTP on loopback.
pub fn plain() -> Result<Client> {
    install_crypto();
    Ok(Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_mins(2)).build()?)
}

/// A client that shows a client certificate.
pub fn with_certificate(ca_pem: &str, certificate: &Issued) -> Result<Client> {
    let pem = format!("{}{}", certificate.cert_pem, certificate.key_pem);
    Ok(builder(ca_pem)?.identity(reqwest::Identity::from_pem(pem.as_bytes())?).build()?)
}

/// Chooses the TLS provider for this process, unless somebody did.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
