//! What a held credential says of itself: whose it is, when it ends, how it can be ended. Nothing of it is secret.

use secrecy::ExposeSecret;

use super::Rotation;
use crate::{
    access::AccessError,
    kubeconfig,
    model::{
        cluster::ClusterCredential,
        id::ClusterId,
        own_token::{self, AccountToken, Bound, CredentialEnd, FormerToken},
        service_account::AccountName,
        time::Timestamp,
        token_claims::TokenClaims,
    },
    policy::{Authorized, ManageCluster},
    store::{Described, StoreError, StoredCredential},
};

/// How many credentials are looked at in one go.
const AT_ONCE: u32 = 32;

/// A held credential, as its page tells of it.
#[derive(Clone, Debug)]
pub struct OwnCredential {
    /// What it says of its end, and whether it is renewed.
    pub end: CredentialEnd,
    /// Whose token it is and how that ends; `None` for what is no ServiceAccount's token, which cannot be rotated.
    pub token: Option<(AccountName, HowItEnds)>,
    /// Secrets of former tokens that still stand.
    pub former: Vec<FormerToken>,
}

/// How a token is ended before its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HowItEnds {
    /// By deleting this Secret.
    Secret(String),
    /// Not by itself.
    WithItsAccount,
}

impl Rotation {
    /// What is held for a cluster.
    pub async fn look(&self, permit: &Authorized<ManageCluster>) -> Result<OwnCredential, AccessError> {
        let cluster = permit.cluster().id;
        let stored = self.store.stored_credential(cluster).await?;
        let end = self.store.credential_end(cluster).await?;
        let former = self.store.former_tokens(cluster).await?;
        let (ends_at, token) = match self.open(cluster, &stored) {
            Ok(credential) => read(&credential),
            // The check says that it cannot be opened, and what to do.
            Err(_) => (None, None),
        };
        let token = token.map(|token| {
            let ends = match token.bound {
                Bound::Secret(secret) => HowItEnds::Secret(secret.name),
                Bound::Other | Bound::Nothing => HowItEnds::WithItsAccount,
            };
            (token.account, ends)
        });
        Ok(OwnCredential { end: CredentialEnd { ends_at, ..end }, token, former })
    }

    /// Notes of credentials that nobody has looked at when they end.
    pub(super) async fn describe(&self) -> Result<(), StoreError> {
        for cluster in self.store.undescribed_credentials(AT_ONCE).await? {
            let stored = match self.store.stored_credential(cluster).await {
                Err(StoreError::NotFound) => continue,
                other => other?,
            };
            let said = self.said(cluster, &stored);
            match self.store.describe_credential(cluster, &stored, &said, self.clock.now()).await {
                Ok(()) | Err(StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn said(&self, cluster: ClusterId, stored: &StoredCredential) -> Described {
        let Ok(credential) = self.open(cluster, stored) else { return Described::default() };
        let (ends_at, token) = read(&credential);
        let secret = token.and_then(|token| Some((token.account.clone(), token.secret()?.name.clone())));
        Described { ends_at, renew_at: ends_at.map(|end| own_token::renew_at(self.clock.now(), end)), secret }
    }

    /// Whether what is held is bound to this Secret.
    pub(super) async fn holds(&self, former: &FormerToken) -> Result<bool, AccessError> {
        let stored = self.store.stored_credential(former.cluster).await?;
        let (_, token) = read(&self.open(former.cluster, &stored)?);
        Ok(token.is_some_and(|token| {
            token.account == former.account && token.secret().is_some_and(|secret| secret.name == former.secret.name)
        }))
    }
}

fn read(credential: &ClusterCredential) -> (Option<Timestamp>, Option<AccountToken>) {
    match credential {
        ClusterCredential::Token(token) => {
            let claims = TokenClaims::read(token.expose_secret());
            (claims.and_then(|claims| claims.time("exp")), AccountToken::read(token.expose_secret()))
        }
        ClusterCredential::ClientCertificate { certificate, .. } => (kubeconfig::certificate_end(certificate), None),
    }
}
