//! Making Kubelend's own account on a cluster with a credential that may: the objects that the shown command applies, put there one by
//! one. What bears the same name and is somebody else's stays as it is.

use k8s_openapi::{
    Metadata, Resource as Named,
    api::{
        core::v1::{Namespace, Secret, ServiceAccount},
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    serde::{Serialize, de::DeserializeOwned},
};
use kube::core::{
    Resource,
    params::{GetParams, Patch, PatchParams, PostParams},
    request::Request,
};
use secrecy::SecretString;
use serde_json::Value;

use super::{ClusterClient, K8sError, client::body};

/// The field manager of what Kubelend applies.
const MANAGER: &str = "kubelend";
/// What Kubelend's own objects bear, with this value.
const LABEL: &str = "app.kubernetes.io/name";

impl ClusterClient {
    /// Puts an object of Kubelend's own account there as it is given: made where it is missing, else by server-side apply. A
    /// namespace that is there is left as it is.
    ///
    /// # Errors
    /// `Conflict` where one of that name is not labelled as Kubelend's; `Forbidden` where the credential may not make it, or may not
    /// give what it holds not itself.
    pub async fn put_own(&self, object: &Value) -> Result<(), K8sError> {
        match object["kind"].as_str() {
            Some("Namespace") => self.put::<Namespace>(object, Existing::Suffices).await,
            Some("ServiceAccount") => self.put::<ServiceAccount>(object, Existing::IsUpdated).await,
            Some("Secret") => self.put::<Secret>(object, Existing::IsUpdated).await,
            Some("ClusterRole") => self.put::<ClusterRole>(object, Existing::IsUpdated).await,
            Some("ClusterRoleBinding") => self.put::<ClusterRoleBinding>(object, Existing::IsUpdated).await,
            _ => Err(K8sError::Unusable("an object of no known kind".into())),
        }
    }

    /// The token that the controller manager has put into a Secret; `None` until it has.
    pub async fn token_in(&self, namespace: &str, secret: &str) -> Result<Option<SecretString>, K8sError> {
        let path = Request::new(Secret::url_path(&(), Some(namespace)));
        let secret: Secret = self.ask(path.get(secret, &GetParams::default())).await?;
        let Some(token) = secret.data.and_then(|mut data| data.remove("token")) else { return Ok(None) };
        let token = String::from_utf8(token.0).map_err(|_| K8sError::Nonsense("its token is no text".into()))?;
        Ok(Some(token.into()))
    }

    async fn put<T>(&self, object: &Value, existing: Existing) -> Result<(), K8sError>
    where
        T: Resource<DynamicType = ()> + Named + Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned,
    {
        let mut object: T = serde_json::from_value(object.clone())
            .map_err(|_| K8sError::Unusable("an object that is none of its kind".into()))?;
        let meta = Metadata::metadata(&object).clone();
        let name = meta.name.unwrap_or_default();
        let path = Request::new(T::url_path(&(), meta.namespace.as_deref()));
        let found: T = match self.ask(path.get(&name, &GetParams::default())).await {
            Ok(found) => found,
            Err(K8sError::NotFound) => {
                let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
                return self.ask::<T>(path.create(&params, body(&object)?)).await.map(drop);
            }
            Err(error) => return Err(error),
        };
        if existing == Existing::Suffices {
            return Ok(());
        }
        let found = Metadata::metadata(&found);
        if found.labels.as_ref().and_then(|labels| labels.get(LABEL)).map(String::as_str) != Some(MANAGER) {
            let kind = <T as Named>::KIND;
            let why = format!("there is a {kind} “{name}” already that is not labelled {LABEL}={MANAGER}");
            return Err(K8sError::Conflict(why));
        }
        // With the UID, so that another one that is made under this name in between is not taken for it.
        Metadata::metadata_mut(&mut object).uid.clone_from(&found.uid);
        let applied = path.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object));
        self.ask::<T>(applied).await.map(drop)
    }
}

/// What becomes of an object that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Suffices,
    IsUpdated,
}
