//! A cluster's credential on its way into the database and out again: sealed, for that cluster's row alone.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    crypto::{CryptoError, Keyring},
    model::{cluster::ClusterCredential, id::ClusterId},
    store::SealedCredential,
};

/// The sealed text. Its field names are stored: they stay.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Token(String),
    ClientCertificate { certificate: String, key: String },
}

/// Seals a credential for a cluster.
pub(super) fn seal(keyring: &Keyring, id: ClusterId, credential: &ClusterCredential) -> SealedCredential {
    let written = match credential {
        ClusterCredential::Token(token) => Written::Token(token.expose_secret().to_owned()),
        ClusterCredential::ClientCertificate { certificate, key } => {
            Written::ClientCertificate { certificate: certificate.clone(), key: key.expose_secret().to_owned() }
        }
    };
    let text = serde_json::to_vec(&written).unwrap_or_else(|_| unreachable!("strings are always JSON"));
    SealedCredential { kind: credential.kind(), sealed: keyring.seal(&context(id), &text) }
}

/// Opens it.
pub(super) fn open(keyring: &Keyring, id: ClusterId, sealed: &[u8]) -> Result<ClusterCredential, CryptoError> {
    let text = keyring.open(&context(id), sealed)?;
    match serde_json::from_slice(&text).map_err(|_| CryptoError::DoesNotOpen)? {
        Written::Token(token) => Ok(ClusterCredential::Token(SecretString::from(token))),
        Written::ClientCertificate { certificate, key } => {
            Ok(ClusterCredential::ClientCertificate { certificate, key: SecretString::from(key) })
        }
    }
}

fn context(id: ClusterId) -> String {
    format!("cluster:{id}:credential")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::CredentialKind;

    #[test]
    fn a_credential_comes_back_for_its_own_cluster_alone() {
        let ring = Keyring::generate();
        let (one, other) = (ClusterId::new(), ClusterId::new());
        let SealedCredential { sealed, kind } = seal(&ring, one, &ClusterCredential::Token("t0ken".to_owned().into()));
        assert!(!String::from_utf8_lossy(&sealed).contains("t0ken"));
        assert_eq!(kind, CredentialKind::Token);
        let ClusterCredential::Token(back) = open(&ring, one, &sealed).unwrap() else { panic!("a token went in") };
        assert_eq!(back.expose_secret(), "t0ken");
        assert!(open(&ring, other, &sealed).is_err());
    }
}
