//! Between bindings as they are here and the objects that an API server takes and gives.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::rbac::v1::{RoleRef as RbacRoleRef, Subject as RbacSubject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{BindingObject, FoundBinding, Kind, RBAC, path_segment};
use crate::{
    k8s::{K8sError, bounds},
    model::subject::{Subject, SubjectKind},
};

pub(super) fn object<K: Kind>(binding: &BindingObject, uid: Option<&str>) -> Result<K, K8sError> {
    let metadata = ObjectMeta {
        name: Some(path_segment(&binding.name)?.to_owned()),
        namespace: binding.namespace.clone(),
        uid: uid.map(ToOwned::to_owned),
        labels: Some(binding.labels.clone()),
        annotations: Some(binding.annotations.clone()),
        ..ObjectMeta::default()
    };
    let role = RbacRoleRef {
        api_group: Some(RBAC.to_owned()),
        kind: binding.role.kind.as_str().into(),
        name: binding.role.name.clone(),
    };
    Ok(K::make(metadata, role, binding.subjects.iter().map(to_rbac).collect()))
}

pub(in crate::k8s) fn found<K: Kind>(object: K) -> Result<FoundBinding, K8sError> {
    let (metadata, role, subjects) = object.take_apart();
    let missing = || K8sError::Nonsense("a binding without name or UID".into());
    let (subjects, more_subjects) = bounds::first(subjects, bounds::SUBJECTS);
    let uid = metadata.uid.filter(|u| !u.is_empty()).ok_or_else(missing)?;
    Ok(FoundBinding {
        namespace: metadata.namespace.filter(|n| !n.is_empty()).map(|n| bounds::cut(n, bounds::LABEL)),
        name: metadata.name.filter(|n| !n.is_empty()).map(|n| bounds::cut(n, bounds::NAME)).ok_or_else(missing)?,
        uid: bounds::whole(uid, bounds::UID, "a UID")?,
        role_kind: bounds::cut(role.kind, bounds::LABEL),
        role_name: bounds::cut(role.name, bounds::NAME),
        subjects: subjects.into_iter().filter_map(from_rbac).collect(),
        more_subjects,
        labels: labels(metadata.labels.unwrap_or_default()),
        created_at: metadata.creation_timestamp.map(|t| t.0.as_second()),
    })
}

/// Labels tell whose an object is: those that are none of Kubernetes' tell nothing.
pub(in crate::k8s) fn labels(all: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let good =
        |(key, value): &(String, String)| key.len() <= bounds::NAME + 1 + bounds::LABEL && value.len() <= bounds::LABEL;
    all.into_iter().filter(good).take(bounds::LABELS).collect()
}

fn to_rbac(subject: &Subject) -> RbacSubject {
    RbacSubject {
        api_group: (subject.kind != SubjectKind::ServiceAccount).then(|| RBAC.to_owned()),
        kind: subject.kind.as_str().to_owned(),
        name: subject.name.clone(),
        namespace: subject.namespace.clone(),
    }
}

/// A subject of a kind that RBAC does not know binds nobody.
fn from_rbac(subject: RbacSubject) -> Option<Subject> {
    let kinds = [SubjectKind::User, SubjectKind::Group, SubjectKind::ServiceAccount];
    let kind = kinds.into_iter().find(|k| k.as_str() == subject.kind)?;
    let namespace = subject.namespace.filter(|n| !n.is_empty()).map(|n| bounds::cut(n, bounds::LABEL));
    Some(Subject { kind, name: bounds::cut(subject.name, bounds::USER), namespace })
}
