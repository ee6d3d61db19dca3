//! ServiceAccounts (`v1`), tokens of theirs (`TokenRequest` of `authentication.k8s.io/v1`), and the Secrets that tokens are bound to.
//!
//! A token cannot be taken back by itself. One that is bound to an object is refused as soon as the object is gone, so each has an
//! empty Secret of its own. Kubelend makes and deletes these Secrets and never reads one: it needs no right to.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    List,
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{Secret, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::core::{
    Resource,
    params::{DeleteParams, GetParams, ListParams, Preconditions},
    request::Request,
};
use secrecy::SecretString;

use super::{
    ClusterClient, K8sError, Listed, answer,
    bindings::{objects::labels, path_segment},
    bounds,
};
use crate::model::{service_account::AccountName, time::Timestamp};

/// How many ServiceAccounts are listed at most.
const MAX_LISTED: u32 = 500;
/// Longest token that is taken for one.
const LONGEST_TOKEN: usize = 16 * 1024;

/// What Kubelend puts on an object that it makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A ServiceAccount as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its labels; at most 100.
    pub labels: BTreeMap<String, String>,
}

/// What creating met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedAccount {
    /// It was made.
    Created(FoundAccount),
    /// One of that name stands there already.
    Exists(FoundAccount),
}

/// A token as the API server gave it.
#[derive(Debug)]
pub struct GivenToken {
    /// The token.
    pub token: SecretString,
    /// Until when it says that it is good.
    pub expires_at: Timestamp,
}

/// An object by name and UID.
#[derive(Clone, Copy, Debug)]
pub struct Exactly<'a> {
    /// The name.
    pub name: &'a str,
    /// The UID.
    pub uid: &'a str,
}

impl ClusterClient {
    /// Creates by POST; where the name is taken, returns what stands there.
    pub async fn create_account(&self, name: &AccountName, marks: &Marks) -> Result<PlacedAccount, K8sError> {
        let object = ServiceAccount {
            metadata: metadata(name.namespace().as_str(), name.name(), marks)?,
            // What runs in pods with it asks for its token by itself.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        match self.post(&ServiceAccount::url_path(&(), Some(name.namespace().as_str())), &object).await {
            Ok(made) => found(made).map(PlacedAccount::Created),
            Err(K8sError::Conflict(message)) => match self.account(name).await? {
                Some(standing) => Ok(PlacedAccount::Exists(standing)),
                // It went in between: the caller comes again.
                None => Err(K8sError::Conflict(message)),
            },
            Err(e) => Err(e),
        }
    }

    /// The ServiceAccount of that name, if there is one.
    pub async fn account(&self, name: &AccountName) -> Result<Option<FoundAccount>, K8sError> {
        let request = path::<ServiceAccount>(name).get(path_segment(name.name())?, &GetParams::default());
        match self.ask::<ServiceAccount>(request).await {
            Ok(object) => found(object).map(Some),
            Err(K8sError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Deletes the ServiceAccount that has this UID (a precondition); `Ok` if it is gone already. Its tokens die with it.
    pub async fn delete_account(&self, name: &AccountName, uid: &str) -> Result<(), K8sError> {
        self.delete_exactly(&path::<ServiceAccount>(name), name.name(), Some(uid)).await
    }

    /// All ServiceAccounts, at most 500.
    pub async fn accounts(&self) -> Result<Listed<FoundAccount>, K8sError> {
        let path = Request::new(ServiceAccount::url_path(&(), None));
        let list: List<ServiceAccount> = self.ask(path.list(&ListParams::default().limit(MAX_LISTED))).await?;
        let cut = list.metadata.continue_.is_some_and(|token| !token.is_empty());
        let items = list.items.into_iter().take(MAX_LISTED as usize).map(found).collect::<Result<_, _>>()?;
        Ok(Listed { items, cut })
    }

    /// Creates an empty Secret for a token of this ServiceAccount to be bound to; it goes with the ServiceAccount, too. Returns its UID.
    pub async fn create_anchor(
        &self,
        account: &AccountName,
        account_uid: &str,
        secret: &str,
        marks: &Marks,
    ) -> Result<String, K8sError> {
        let mut metadata = metadata(account.namespace().as_str(), secret, marks)?;
        metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".into(),
            kind: "ServiceAccount".into(),
            name: account.name().to_owned(),
            uid: account_uid.to_owned(),
            ..OwnerReference::default()
        }]);
        let object = Secret { metadata, ..Secret::default() };
        let made: Secret = self.post(&Secret::url_path(&(), Some(account.namespace().as_str())), &object).await?;
        uid_of(made.metadata.uid)
    }

    /// Deletes such a Secret; by its name alone where its UID never got known. `Ok` if it is gone already.
    pub async fn delete_anchor(&self, account: &AccountName, secret: &str, uid: Option<&str>) -> Result<(), K8sError> {
        self.delete_exactly(&path::<Secret>(account), secret, uid).await
    }

    /// A token for the API server itself, bound to this Secret.
    pub async fn token(
        &self,
        account: &AccountName,
        life: Duration,
        secret: Exactly<'_>,
    ) -> Result<GivenToken, K8sError> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                // None: the API server's own.
                audiences: Some(Vec::new()),
                expiration_seconds: Some(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Secret".into()),
                    name: Some(secret.name.to_owned()),
                    uid: Some(secret.uid.to_owned()),
                }),
            }),
            ..TokenRequest::default()
        };
        let of = ServiceAccount::url_path(&(), Some(account.namespace().as_str()));
        let path = format!("{of}/{}/token", path_segment(account.name())?);
        let status = self.post(&path, &request).await?.status;
        let given = status.and_then(|status| status.token.zip(status.expiration_timestamp));
        let good =
            |token: &str| (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        match given {
            Some((token, end)) if good(&token) => {
                Ok(GivenToken { token: token.into(), expires_at: Timestamp::from_secs(end.0.as_second()) })
            }
            _ => Err(K8sError::Nonsense("it was asked for a token and gives none".into())),
        }
    }

    async fn delete_exactly(&self, path: &Request, name: &str, uid: Option<&str>) -> Result<(), K8sError> {
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let answer = self.send(path.delete(path_segment(name)?, &params)).await?;
        match answer::accepted(&answer) {
            // A conflict: another one bears the name by now, so the one that was meant is gone.
            Ok(_) | Err(K8sError::NotFound | K8sError::Conflict(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn path<K: Resource<DynamicType = ()>>(account: &AccountName) -> Request {
    Request::new(K::url_path(&(), Some(account.namespace().as_str())))
}

fn metadata(namespace: &str, name: &str, marks: &Marks) -> Result<ObjectMeta, K8sError> {
    Ok(ObjectMeta {
        name: Some(path_segment(name)?.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(marks.labels.clone()),
        annotations: Some(marks.annotations.clone()),
        ..ObjectMeta::default()
    })
}

fn uid_of(uid: Option<String>) -> Result<String, K8sError> {
    let uid = uid.filter(|u| !u.is_empty()).ok_or_else(|| K8sError::Nonsense("an object without UID".into()))?;
    bounds::whole(uid, bounds::UID, "a UID")
}

fn found(object: ServiceAccount) -> Result<FoundAccount, K8sError> {
    let metadata = object.metadata;
    let missing = || K8sError::Nonsense("a ServiceAccount without name".into());
    Ok(FoundAccount {
        namespace: bounds::cut(metadata.namespace.ok_or_else(missing)?, bounds::LABEL),
        name: bounds::cut(metadata.name.ok_or_else(missing)?, bounds::NAME),
        uid: uid_of(metadata.uid)?,
        labels: labels(metadata.labels.unwrap_or_default()),
    })
}
