//! ClusterRoleBindings and RoleBindings (`rbac.authorization.k8s.io/v1`) as they stand on a cluster.
//!
//! The two kinds differ in their path alone, so both go through one set of functions. What is changed or deleted is named
//! by its UID: a binding that somebody made anew under the same name is another binding.

pub(super) mod objects;

use std::collections::BTreeMap;

use k8s_openapi::{
    List, ListableResource, Metadata,
    api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef as RbacRoleRef, Subject as RbacSubject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    serde::{Serialize, de::DeserializeOwned},
};
use kube::core::{
    Resource,
    params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    request::Request,
};

pub(super) use self::objects::found;
use self::objects::object;
use super::{ClusterClient, K8sError, answer, bounds, client::body};
use crate::model::subject::Subject;

/// How many of each kind are listed at most.
const MAX_LISTED: usize = 2_000;
/// How many come in one answer.
const PAGE: u32 = 500;
/// Who Kubelend is among those that write fields of an object.
pub(super) const MANAGER: &str = "kubelend";
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

/// What stands, at a version.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The bindings.
    pub items: Vec<FoundBinding>,
    /// Whether they are all.
    pub whole: bool,
    /// Where a watch goes on.
    pub version: String,
}

/// What both kinds have in common.
pub(super) trait Kind:
    Resource<DynamicType = ()> + Metadata<Ty = ObjectMeta> + ListableResource + Serialize + DeserializeOwned + Sized
{
    fn make(metadata: ObjectMeta, role_ref: RbacRoleRef, subjects: Vec<RbacSubject>) -> Self;
    fn take_apart(self) -> (ObjectMeta, RbacRoleRef, Vec<RbacSubject>);
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

    /// Puts subjects, labels and annotations of the binding that has this UID right, by server-side apply as the manager `kubelend`. Labels
    /// and annotations that others put there stay. `Conflict` where another one bears the name by now, or none.
    pub async fn apply_binding(&self, uid: &str, binding: &BindingObject) -> Result<FoundBinding, K8sError> {
        for_place!(&binding.namespace, |Of| found(self.apply::<Of>(uid, binding).await?))
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
        let object = object::<K>(binding, None)?;
        let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.ask::<K>(path::<K>(namespace)?.create(&by, body(&object)?)).await {
            Ok(made) => found(made).map(Placed::Created),
            Err(K8sError::Conflict(message)) => match self.read::<K>(namespace, &binding.name).await? {
                Some(standing) => found(standing).map(Placed::Exists),
                // It went in between: the caller comes again.
                None => Err(K8sError::Conflict(message)),
            },
            Err(e) => Err(e),
        }
    }

    async fn apply<K: Kind>(&self, uid: &str, binding: &BindingObject) -> Result<K, K8sError> {
        // A UID in what is applied is a precondition.
        let object = object::<K>(binding, Some(uid))?;
        let by = PatchParams::apply(MANAGER).force();
        let path = path::<K>(binding.namespace.as_deref())?;
        match self.ask(path.patch(path_segment(&binding.name)?, &by, &Patch::Apply(&object))).await {
            // So it says that the UID is another one's.
            Err(K8sError::Refused(422, why)) if why.contains("metadata.uid") => Err(K8sError::Conflict(why)),
            other => other,
        }
    }

    async fn read<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Option<K>, K8sError> {
        match self.ask::<K>(path::<K>(namespace)?.get(path_segment(name)?, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(K8sError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn list<K: Kind>(&self, labels: Option<&str>) -> Result<Vec<FoundBinding>, K8sError> {
        Ok(self.list_most::<K>(labels, MAX_LISTED).await?.items)
    }

    /// At most so many, and where a watch goes on from there.
    pub(super) async fn list_most<K: Kind>(&self, labels: Option<&str>, most: usize) -> Result<Standing, K8sError> {
        let mut params = ListParams::default().limit(PAGE);
        if let Some(labels) = labels {
            params = params.labels(labels);
        }
        let mut all = Standing { items: Vec::new(), whole: true, version: String::new() };
        // Bounded by pages too: a server that hands out empty pages for ever is not followed.
        for _ in 0..most / PAGE as usize {
            let page: List<K> = self.ask(path::<K>(None)?.list(&params)).await?;
            for object in page.items {
                all.items.push(found(object)?);
            }
            all.version = bounds::whole(page.metadata.resource_version.unwrap_or_default(), bounds::UID, "a version")?;
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
        all.items.truncate(most);
        all.whole = false;
        Ok(all)
    }
}

pub(super) fn path<K: Kind>(namespace: Option<&str>) -> Result<Request, K8sError> {
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
