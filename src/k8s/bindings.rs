//! ClusterRoleBindings and RoleBindings (`rbac.authorization.k8s.io/v1`) as they stand on a cluster.
//!
//! The two kinds differ in their path alone, so both go through one set of functions. What is changed or deleted is named
//! by its UID: a binding that somebody made anew under the same name is another binding.

use std::collections::BTreeMap;

use k8s_openapi::{
    List, ListableResource, Metadata,
    api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef as RbacRoleRef, Subject as RbacSubject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    serde::{Serialize, de::DeserializeOwned},
};
use kube::core::{
    Resource,
    params::{DeleteParams, GetParams, ListParams, PostParams, Preconditions},
    request::Request,
};

use super::{ClusterClient, K8sError, answer, bounds, client::body};
use crate::model::subject::{Subject, SubjectKind};

/// How many of each kind are listed at most.
const MAX_LISTED: usize = 2_000;
/// How many come in one answer.
const PAGE: u32 = 500;
const RBAC: &str = "rbac.authorization.k8s.io";

/// The role that a binding gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRef {
    /// `ClusterRole` or `Role`.
    pub kind: RoleKind,
    /// Its name.
    pub name: String,
}

/// The two kinds of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// Of the cluster.
    ClusterRole,
    /// Of the binding's namespace.
    Role,
}

impl RoleKind {
    /// Kubernetes' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterRole => "ClusterRole",
            Self::Role => "Role",
        }
    }
}

/// A binding to make: in a namespace a RoleBinding, else a ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingObject {
    /// `None` for a ClusterRoleBinding.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The role it gives.
    pub role: RoleRef,
    /// Whom it gives it to.
    pub subjects: Vec<Subject>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A binding as it stands. A name that is longer than Kubernetes has it is cut and ends with “…”, so that it names no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBinding {
    /// `None` for a ClusterRoleBinding.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// `ClusterRole` or `Role`.
    pub role_kind: String,
    /// The role's name.
    pub role_name: String,
    /// Its subjects; at most 1,000.
    pub subjects: Vec<Subject>,
    /// How many more there are.
    pub more_subjects: usize,
    /// Its labels; at most 100.
    pub labels: BTreeMap<String, String>,
    /// When it was made: seconds since the epoch.
    pub created_at: Option<i64>,
}

/// What creating met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It was made.
    Created(FoundBinding),
    /// One of that name stands there already.
    Exists(FoundBinding),
}

/// What both kinds have in common.
trait Kind:
    Resource<DynamicType = ()> + Metadata<Ty = ObjectMeta> + ListableResource + Serialize + DeserializeOwned + Sized
{
    fn make(metadata: ObjectMeta, role_ref: RbacRoleRef, subjects: Vec<RbacSubject>) -> Self;
    fn take_apart(self) -> (ObjectMeta, RbacRoleRef, Vec<RbacSubject>);
    fn set_subjects(&mut self, subjects: Vec<RbacSubject>);
}

macro_rules! kinds {
    ($($kind:ident),+) => {$(
        impl Kind for $kind {
            fn make(metadata: ObjectMeta, role_ref: RbacRoleRef, subjects: Vec<RbacSubject>) -> Self {
                Self { metadata, role_ref, subjects: Some(subjects) }
            }
            fn take_apart(self) -> (ObjectMeta, RbacRoleRef, Vec<RbacSubject>) {
                (self.metadata, self.role_ref, self.subjects.unwrap_or_default())
            }
            fn set_subjects(&mut self, subjects: Vec<RbacSubject>) {
                self.subjects = Some(subjects);
            }
        }
    )+};
}
kinds!(ClusterRoleBinding, RoleBinding);

/// Runs the same lines for the kind that a place asks for.
macro_rules! for_place {
    ($namespace:expr, |$kind:ident| $body:expr) => {
        match $namespace {
            Some(_) => {
                type $kind = RoleBinding;
                $body
            }
            None => {
                type $kind = ClusterRoleBinding;
                $body
            }
        }
    };
}

impl FoundBinding {
    /// Whether it gives this role.
    pub fn gives(&self, role: &RoleRef) -> bool {
        self.role_kind == role.kind.as_str() && self.role_name == role.name
    }
}

impl ClusterClient {
    /// Creates by POST; where the name is taken, returns what stands there.
    pub async fn create_binding(&self, binding: &BindingObject) -> Result<Placed, K8sError> {
        for_place!(&binding.namespace, |Of| self.create::<Of>(binding).await)
    }

    /// Replaces subjects, labels and annotations of the binding that has this UID (a PUT with its resourceVersion read just
    /// before). Labels and annotations that others put there stay.
    pub async fn update_binding(&self, uid: &str, binding: &BindingObject) -> Result<(), K8sError> {
        for_place!(&binding.namespace, |Of| self.update::<Of>(uid, binding).await)
    }

    /// The binding of that name, if there is one.
    pub async fn binding(&self, namespace: Option<&str>, name: &str) -> Result<Option<FoundBinding>, K8sError> {
        for_place!(namespace, |Of| self.read::<Of>(namespace, name).await?.map(found).transpose())
    }

    /// Deletes the binding that has this UID (a precondition); `Ok` if it is gone already.
    pub async fn delete_binding(&self, namespace: Option<&str>, name: &str, uid: &str) -> Result<(), K8sError> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let path = for_place!(namespace, |Of| path::<Of>(namespace)?);
        let answer = self.send(path.delete(path_segment(name)?, &params)).await?;
        match answer::accepted(&answer) {
            Ok(_) | Err(K8sError::NotFound) => Ok(()),
            // Either another one bears the name now, so the one that was meant is gone, or something else is the matter.
            Err(K8sError::Conflict(message)) => match self.binding(namespace, name).await? {
                Some(now) if now.uid == uid => Err(K8sError::Conflict(message)),
                _ => Ok(()),
            },
            Err(e) => Err(e),
        }
    }

    /// All bindings, ClusterRoleBindings first, at most 2,000 of each kind; with a label selector (`key=value`, `!key`) those only
    /// that fit it.
    pub async fn bindings(&self, labels: Option<&str>) -> Result<Vec<FoundBinding>, K8sError> {
        let (mut all, in_namespaces) =
            tokio::try_join!(self.list::<ClusterRoleBinding>(labels), self.list::<RoleBinding>(labels))?;
        all.extend(in_namespaces);
        Ok(all)
    }

    async fn create<K: Kind>(&self, binding: &BindingObject) -> Result<Placed, K8sError> {
        let namespace = binding.namespace.as_deref();
        let object = K::make(
            ObjectMeta {
                name: Some(path_segment(&binding.name)?.to_owned()),
                namespace: binding.namespace.clone(),
                labels: Some(binding.labels.clone()),
                annotations: Some(binding.annotations.clone()),
                ..ObjectMeta::default()
            },
            RbacRoleRef {
                api_group: Some(RBAC.to_owned()),
                kind: binding.role.kind.as_str().into(),
                name: binding.role.name.clone(),
            },
            binding.subjects.iter().map(to_rbac).collect(),
        );
        match self.post::<K>(&path::<K>(namespace)?.url_path, &object).await {
            Ok(made) => found(made).map(Placed::Created),
            Err(K8sError::Conflict(message)) => match self.read::<K>(namespace, &binding.name).await? {
                Some(standing) => found(standing).map(Placed::Exists),
                // It went in between: the caller comes again.
                None => Err(K8sError::Conflict(message)),
            },
            Err(e) => Err(e),
        }
    }

    async fn update<K: Kind>(&self, uid: &str, binding: &BindingObject) -> Result<(), K8sError> {
        let namespace = binding.namespace.as_deref();
        let mut object = self.read::<K>(namespace, &binding.name).await?.ok_or(K8sError::NotFound)?;
        let metadata = Metadata::metadata_mut(&mut object);
        if metadata.uid.as_deref() != Some(uid) {
            return Err(K8sError::Conflict(format!("another binding is called {} by now", binding.name)));
        }
        metadata.labels.get_or_insert_default().extend(binding.labels.clone());
        metadata.annotations.get_or_insert_default().extend(binding.annotations.clone());
        object.set_subjects(binding.subjects.iter().map(to_rbac).collect());
        let request = path::<K>(namespace)?.replace(&binding.name, &PostParams::default(), body(&object)?);
        self.ask::<K>(request).await.map(drop)
    }

    async fn read<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Option<K>, K8sError> {
        match self.ask::<K>(path::<K>(namespace)?.get(path_segment(name)?, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(K8sError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn list<K: Kind>(&self, labels: Option<&str>) -> Result<Vec<FoundBinding>, K8sError> {
        let mut params = ListParams::default().limit(PAGE);
        if let Some(labels) = labels {
            params = params.labels(labels);
        }
        let mut all = Vec::new();
        // Bounded by pages too: a server that hands out empty pages for ever is not followed.
        for _ in 0..MAX_LISTED / PAGE as usize {
            let page: List<K> = self.ask(path::<K>(None)?.list(&params)).await?;
            for object in page.items {
                all.push(found(object)?);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) if all.len() < MAX_LISTED => params = params.continue_token(&token),
                _ => break,
            }
        }
        all.truncate(MAX_LISTED);
        Ok(all)
    }
}

fn path<K: Kind>(namespace: Option<&str>) -> Result<Request, K8sError> {
    Ok(Request::new(K::url_path(&(), namespace.map(path_segment).transpose()?)))
}

/// A name that goes into a path as it is: Kubernetes' own rule for RBAC names (`path.IsValidPathSegmentName`) and less, so
/// that no name leads to another path.
pub(super) fn path_segment(name: &str) -> Result<&str, K8sError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '@');
    if name.is_empty() || name.len() > 253 || matches!(name, "." | "..") || !name.chars().all(plain) {
        return Err(K8sError::Unusable("a name that cannot be asked for".into()));
    }
    Ok(name)
}

fn found<K: Kind>(object: K) -> Result<FoundBinding, K8sError> {
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
fn labels(all: BTreeMap<String, String>) -> BTreeMap<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(name: &str, uid: &str, subjects: usize, subject: &str) -> RoleBinding {
        let long = |what: &str| what.repeat(1_000);
        let subject = RbacSubject { kind: "User".into(), name: subject.into(), ..RbacSubject::default() };
        let many = (0..500).map(|n| (format!("label-{n:03}"), "x".to_owned()));
        let labels = many.chain([("a".into(), long("v")), (long("k"), "v".into())]).collect();
        RoleBinding {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some(long("n")),
                uid: Some(uid.into()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            role_ref: RbacRoleRef { api_group: None, kind: long("K"), name: long("r") },
            subjects: Some(vec![subject; subjects]),
        }
    }

    #[test]
    fn immune_23_what_a_binding_says_is_cut_and_then_names_nothing_that_could_be_asked_for() {
        let giant = found(binding(&"b".repeat(1 << 20), "u", 1_003, &"s".repeat(5_000))).unwrap();
        let longest = [
            giant.name.len(),
            giant.namespace.as_ref().unwrap().len(),
            giant.role_kind.len(),
            giant.role_name.len(),
            giant.subjects[0].name.len(),
        ];
        assert_eq!(longest, [256, 66, 66, 256, 1_027], "with their marks");
        assert!(path_segment(&giant.name).is_err() && path_segment(&giant.namespace.unwrap()).is_err());
        assert_eq!((giant.subjects.len(), giant.more_subjects), (1_000, 3));
        assert_eq!((giant.labels.len(), giant.labels.contains_key("a")), (100, false));
        assert!(matches!(found(binding("b", &"u".repeat(129), 1, "bob")), Err(K8sError::Nonsense(_))));
        let usual = found(binding("b", "u", 2, "bob")).unwrap();
        assert_eq!((usual.name.as_str(), usual.subjects[1].name.as_str(), usual.more_subjects), ("b", "bob", 0));
    }

    #[test]
    fn immune_07_no_name_leads_to_another_path() {
        for bad in ["", ".", "..", "a/b", "../secrets", "a?b", "a#b", "a%2fb", "a b", "ä", &"a".repeat(254)] {
            assert!(path_segment(bad).is_err(), "{bad}");
        }
        for good in ["view", "system:node", "kubelend-0192", "a.b", "dev@example.com"] {
            assert_eq!(path_segment(good).unwrap(), good);
        }
        assert!(path::<RoleBinding>(Some("a/../b")).is_err());
    }
}
