//! Issuers of OpenID Connect: which addresses can be one.

use std::net::IpAddr;

use url::{Host, Url};

/// Why an address is no issuer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIssuer {
    /// It is no address.
    #[error("“{0}” is no address: {1}")]
    NoAddress(String, url::ParseError),
    /// It names somebody.
    #[error("holds a user or a password")]
    Credentials,
    /// OpenID Connect wants https.
    #[error("“{0}” is not https, which OpenID Connect wants")]
    NotHttps(String),
    /// OpenID Connect Discovery 1.0 section 3.
    #[error("“{0}” has a query or a fragment")]
    Query(String),
    /// Kubelend does not connect to itself.
    #[error("“{0}” is a loopback address, and Kubelend does not connect there")]
    Loopback(String),
}

/// Whether an address can be an issuer's. It is kept as it is written: tokens are compared with it to the letter.
///
/// # Errors
/// Why not.
pub fn check(text: &str, allow_loopback: bool) -> Result<(), BadIssuer> {
    match Url::parse(text) {
        Err(e) => Err(BadIssuer::NoAddress(text.into(), e)),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Err(BadIssuer::Credentials),
        Ok(url) if url.scheme() != "https" => Err(BadIssuer::NotHttps(text.into())),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => Err(BadIssuer::Query(text.into())),
        Ok(url) if !allow_loopback && is_loopback(&url) => Err(BadIssuer::Loopback(text.into())),
        Ok(_) => Ok(()),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
