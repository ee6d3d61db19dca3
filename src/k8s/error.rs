//! What goes wrong with an API server, told apart by whose turn it is.

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum K8sError {
    /// No connection: refused, unreachable, the name does not resolve, an address that must not be dialled.
    #[error("{0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// No verified TLS: the certificate is not signed by the CA that the kubeconfig names, or is for another name, or too
    /// old; or what answers does not speak TLS. Nothing was sent to it.
    #[error("no verified TLS connection: {0}")]
    Tls(String),
    /// 401: the API server does not know the credential. It never says why.
    #[error("the API server does not accept the credential")]
    Unauthorized,
    /// 403, with the API server's message.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("the API server does not have it")]
    NotFound,
    /// 409: it exists already, or was changed in between.
    #[error("{0}")]
    Conflict(String),
    /// Any other refusal: status and message.
    #[error("the API server answered {0}: {1}")]
    Refused(u16, String),
    /// An answer that is none of Kubernetes'.
    #[error("what answers there is no Kubernetes API server: {0}")]
    Nonsense(String),
    /// The endpoint or credential cannot be used as it is stored.
    #[error("{0}")]
    Unusable(String),
}

impl K8sError {
    /// Whether nobody answered, so that asking something else at once would only wait for the same.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut | Self::Tls(_))
    }
}
