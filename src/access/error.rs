//! What a use case can end with, besides success.

use crate::{crypto::CryptoError, k8s::K8sError, oidc::RefreshError, policy::Forbidden, store::StoreError};

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The person may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such thing, or the person is not to know of it.
    #[error("there is no such thing")]
    NotFound,
    /// What was typed cannot be used: the form's field and why.
    #[error("{field}: {message}")]
    Invalid {
        /// The form's field.
        field: &'static str,
        /// For the person who typed it.
        message: String,
    },
    /// The session's tokens cannot make a kubeconfig (any more): the person must sign in anew, for a kubeconfig.
    #[error("sign in again to get a fresh kubeconfig")]
    SignInAgain,
    /// The provider.
    #[error(transparent)]
    Provider(#[from] RefreshError),
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] K8sError),
    /// Secrets.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Full(most) => {
                Self::Invalid { field: "name", message: format!("There are too many already: {most} is the most.") }
            }
            other => Self::Store(other),
        }
    }
}
