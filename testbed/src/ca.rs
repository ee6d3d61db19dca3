//! The certificate authority that everything in a testbed trusts, made on the spot.
//!
//! API servers accept an https issuer only, `__Host-` cookies want https, and Kubelend has to show that it handles private
//! CAs; so all servers but etcd and the directory speak TLS with certificates of this CA.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// A certificate authority with its files.
pub struct Ca {
    pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate with its key, as PEM and as files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// Its key, PEM (PKCS #8).
    pub key_pem: String,
    /// File with the certificate.
    pub cert: PathBuf,
    /// File with the key.
    pub key: PathBuf,
}

impl Ca {
    /// Makes a CA and keeps its files in a folder of its own.
    pub fn new(name: &str) -> Result<Self> {
        Self::in_folder(name, &crate::run::folder("ca")?)
    }

    /// Makes a CA whose files (`ca.pem`, `ca.key` and what it issues) are kept in `folder`.
    pub fn in_folder(name: &str, folder: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        valid_for_a_year(&mut params);
        let ca = Self {
            pem: params.self_signed(&key)?.pem(),
            key_pem: key.serialize_pem(),
            issuer: Issuer::new(params, key),
            folder: folder.to_owned(),
        };
        fs::write(ca.path(), &ca.pem).with_context(|| format!("write {}", ca.path().display()))?;
        fs::write(ca.key_path(), &ca.key_pem)?;
        Ok(ca)
    }

    /// The CA's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// File with the CA's certificate.
    pub fn path(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// File with the CA's key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    /// A server certificate for 127.0.0.1, localhost and `more` names or addresses.
    pub fn server(&self, stem: &str, more: &[&str]) -> Result<Issued> {
        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        names.extend(more.iter().map(ToString::to_string));
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, stem);
        self.issue(stem, params)
    }

    /// A client certificate with a Kubernetes user name and groups.
    pub fn client(&self, stem: &str, user: &str, groups: &[&str]) -> Result<Issued> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        self.issue(stem, params)
    }

    fn issue(&self, stem: &str, mut params: CertificateParams) -> Result<Issued> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        valid_for_a_year(&mut params);
        let issued = Issued {
            cert_pem: params.signed_by(&key, &self.issuer)?.pem(),
            key_pem: key.serialize_pem(),
            cert: self.folder.join(format!("{stem}.pem")),
            key: self.folder.join(format!("{stem}.key")),
        };
        fs::write(&issued.cert, &issued.cert_pem)?;
        fs::write(&issued.key, &issued.key_pem)?;
        Ok(issued)
    }
}

/// A fresh key for signing ServiceAccount tokens, private and public, PEM.
pub fn signing_key() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// Some systems refuse a certificate that lives longer than two years, whoever signed it.
fn valid_for_a_year(params: &mut CertificateParams) {
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_hours(24)).into();
    params.not_after = (now + Duration::from_hours(24 * 365)).into();
}
