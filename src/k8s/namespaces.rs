//! Namespaces: whether one is there, and making one. Kubelend changes and deletes none.

use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::{Resource, params::GetParams, request::Request};

use super::{ClusterClient, K8sError, Marks, bindings::path_segment, bounds};
use crate::model::name;

/// A namespace as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNamespace {
    /// Its UID.
    pub uid: String,
    /// The value of one label: that which was asked about.
    pub mark: Option<String>,
}

/// What making one met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedNamespace {
    /// It was made.
    Created(FoundNamespace),
    /// One of that name stands there already.
    Exists(FoundNamespace),
}

impl ClusterClient {
    /// Makes one by POST; where there is one, returns what stands there, and leaves it as it is. `label` is the one whose value is read.
    pub async fn create_namespace(
        &self,
        name: &name::Namespace,
        marks: &Marks,
        label: &str,
    ) -> Result<PlacedNamespace, K8sError> {
        let metadata = ObjectMeta {
            name: Some(path_segment(name.as_str())?.to_owned()),
            labels: Some(marks.labels.clone()),
            annotations: Some(marks.annotations.clone()),
            ..ObjectMeta::default()
        };
        let object = Namespace { metadata, ..Namespace::default() };
        match self.post(&Namespace::url_path(&(), None), &object).await {
            Ok(made) => found(made, label).map(PlacedNamespace::Created),
            Err(K8sError::Conflict(message)) => match self.namespace(name, label).await? {
                Some(standing) => Ok(PlacedNamespace::Exists(standing)),
                // It went in between: the caller comes again.
                None => Err(K8sError::Conflict(message)),
            },
            Err(e) => Err(e),
        }
    }

    /// The namespace of that name, if there is one.
    pub async fn namespace(&self, name: &name::Namespace, label: &str) -> Result<Option<FoundNamespace>, K8sError> {
        let path = Request::new(Namespace::url_path(&(), None));
        match self.ask::<Namespace>(path.get(path_segment(name.as_str())?, &GetParams::default())).await {
            Ok(object) => found(object, label).map(Some),
            Err(K8sError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn found(object: Namespace, label: &str) -> Result<FoundNamespace, K8sError> {
    let missing = || K8sError::Nonsense("a namespace without UID".into());
    let uid = object.metadata.uid.filter(|uid| !uid.is_empty()).ok_or_else(missing)?;
    let mark = object.metadata.labels.and_then(|mut labels| labels.remove(label));
    Ok(FoundNamespace {
        uid: bounds::whole(uid, bounds::UID, "a UID")?,
        mark: mark.map(|mark| bounds::cut(mark, bounds::LABEL)),
    })
}
