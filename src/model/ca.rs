//! Certificates of authorities, as people hand them in.

use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Why a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCa {
    /// No certificate, or one that cannot be read.
    #[error("the file holds no PEM certificate")]
    NoCertificate,
    /// Whatever stands in it ends up in people's kubeconfigs.
    #[error("the file holds a private key")]
    PrivateKey,
}

/// Whether a text holds certificates as PEM and nothing that must not get about.
///
/// # Errors
/// Why not.
pub fn check(pem: &str) -> Result<(), BadCa> {
    let good =
        |(count, all_good): (usize, bool), certificate: Result<_, _>| (count + 1, all_good && certificate.is_ok());
    match CertificateDer::pem_slice_iter(pem.as_bytes()).fold((0, true), good) {
        (0, _) | (_, false) => Err(BadCa::NoCertificate),
        _ if pem.contains("PRIVATE KEY") => Err(BadCa::PrivateKey),
        _ => Ok(()),
    }
}
