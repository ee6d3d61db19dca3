//! ClusterRoles and Roles that Kubelend makes. Each is made without rules, which anybody may who may make one, and given its rules under
//! its name, by UID: so the right to write rules that Kubelend does not hold can be bounded by names.

use std::collections::BTreeMap;

use k8s_openapi::{
    List,
    api::rbac::v1::{ClusterRole, PolicyRule as RbacRule, Role},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::core::{
    params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    request::Request,
};

use super::{
    ClusterClient, K8sError, StandingRole, answer,
    bindings::{MANAGER, objects::labels, path_segment},
    bounds,
    client::body,
    effective::HasRules,
    roles::standing,
};
use crate::model::rbac::PolicyRule;

/// How many come in one answer, and how many are listed at most.
const PAGE: u32 = 500;
const MOST: usize = 20_000;

/// A role to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleObject {
    /// `None` for a ClusterRole.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its rules.
    pub rules: Vec<PolicyRule>,
}

/// A role as it stands, with what tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOwnRole {
    /// What it allows.
    pub role: StandingRole,
    /// Its UID.
    pub uid: String,
    /// Its labels; at most 100.
    pub labels: BTreeMap<String, String>,
}

/// What creating met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedRole {
    /// It was made.
    Created(FoundOwnRole),
    /// One of that name stands there already.
    Exists(FoundOwnRole),
}

/// Roles as they stand, at a version.
#[derive(Clone, Debug)]
pub struct StandingRoles {
    /// They.
    pub items: Vec<FoundOwnRole>,
    /// Whether they are all.
    pub whole: bool,
    /// Where a watch goes on.
    pub version: String,
}

/// What both kinds have in common when they are written.
pub(super) trait WritesRules: HasRules {
    fn make(metadata: ObjectMeta, rules: Vec<RbacRule>) -> Self;
}

impl WritesRules for ClusterRole {
    fn make(metadata: ObjectMeta, rules: Vec<RbacRule>) -> Self {
        Self { metadata, aggregation_rule: None, rules: Some(rules) }
    }
}

impl WritesRules for Role {
    fn make(metadata: ObjectMeta, rules: Vec<RbacRule>) -> Self {
        Self { metadata, rules: Some(rules) }
    }
}

/// Runs the same lines for the kind that a place asks for.
macro_rules! for_place {
    ($namespace:expr, |$kind:ident| $body:expr) => {
        match $namespace {
            Some(_) => {
                type $kind = Role;
                $body
            }
            None => {
                type $kind = ClusterRole;
                $body
            }
        }
    };
}

impl ClusterClient {
    /// Creates it by POST, without rules; where the name is taken, returns what stands there.
    pub async fn create_role(&self, role: &RoleObject) -> Result<PlacedRole, K8sError> {
        for_place!(&role.namespace, |Of| self.create_own::<Of>(role).await)
    }

    /// Gives the role that has this UID its rules, labels and annotations, by server-side apply as the manager `kubelend`. Labels that
    /// others put there stay. `Conflict` where another one bears the name by now, or none.
    pub async fn write_role(&self, uid: &str, role: &RoleObject) -> Result<FoundOwnRole, K8sError> {
        for_place!(&role.namespace, |Of| self.write_own::<Of>(uid, role).await)
    }

    /// The role of that name, if there is one.
    pub async fn own_role(&self, namespace: Option<&str>, name: &str) -> Result<Option<FoundOwnRole>, K8sError> {
        for_place!(namespace, |Of| self.read_own::<Of>(namespace, name).await)
    }

    /// Deletes the role that has this UID (a precondition); `Ok` if it is gone already.
    pub async fn delete_role(&self, namespace: Option<&str>, name: &str, uid: &str) -> Result<(), K8sError> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let path = for_place!(namespace, |Of| path::<Of>(namespace)?);
        let answer = self.send(path.delete(path_segment(name)?, &params)).await?;
        match answer::accepted(&answer) {
            // A conflict: another one bears the name by now, so the one that was meant is gone.
            Ok(_) | Err(K8sError::NotFound | K8sError::Conflict(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// All Roles, or ClusterRoles, that bear a label, and where a watch goes on.
    pub async fn standing_roles(&self, namespaced: bool, label: &str) -> Result<StandingRoles, K8sError> {
        if namespaced { self.list_own::<Role>(label).await } else { self.list_own::<ClusterRole>(label).await }
    }

    async fn create_own<K: WritesRules>(&self, role: &RoleObject) -> Result<PlacedRole, K8sError> {
        let namespace = role.namespace.as_deref();
        let object = object::<K>(role, None, Vec::new())?;
        let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.ask::<K>(path::<K>(namespace)?.create(&by, body(&object)?)).await {
            Ok(made) => found(made).map(PlacedRole::Created),
            Err(K8sError::Conflict(message)) => match self.read_own::<K>(namespace, &role.name).await? {
                Some(standing) => Ok(PlacedRole::Exists(standing)),
                // It went in between: the caller comes again.
                None => Err(K8sError::Conflict(message)),
            },
            Err(e) => Err(e),
        }
    }

    async fn write_own<K: WritesRules>(&self, uid: &str, role: &RoleObject) -> Result<FoundOwnRole, K8sError> {
        let object = object::<K>(role, Some(uid), role.rules.iter().map(to_rbac).collect())?;
        let by = PatchParams::apply(MANAGER).force();
        let path = path::<K>(role.namespace.as_deref())?;
        match self.ask::<K>(path.patch(path_segment(&role.name)?, &by, &Patch::Apply(&object))).await {
            // So it says that the UID is another one's.
            Err(K8sError::Refused(422, why)) if why.contains("metadata.uid") => Err(K8sError::Conflict(why)),
            other => found(other?),
        }
    }

    async fn read_own<K: WritesRules>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<FoundOwnRole>, K8sError> {
        match self.ask::<K>(path::<K>(namespace)?.get(path_segment(name)?, &GetParams::default())).await {
            Ok(object) => found(object).map(Some),
            Err(K8sError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn list_own<K: WritesRules>(&self, label: &str) -> Result<StandingRoles, K8sError> {
        let mut params = ListParams::default().labels(label).limit(PAGE);
        let mut all = StandingRoles { items: Vec::new(), whole: true, version: String::new() };
        for _ in 0..MOST / PAGE as usize {
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
        all.whole = false;
        Ok(all)
    }
}

pub(super) fn path<K: WritesRules>(namespace: Option<&str>) -> Result<Request, K8sError> {
    Ok(Request::new(K::url_path(&(), namespace.map(path_segment).transpose()?)))
}

fn object<K: WritesRules>(role: &RoleObject, uid: Option<&str>, rules: Vec<RbacRule>) -> Result<K, K8sError> {
    let metadata = ObjectMeta {
        name: Some(path_segment(&role.name)?.to_owned()),
        namespace: role.namespace.clone(),
        uid: uid.map(ToOwned::to_owned),
        labels: Some(role.labels.clone()),
        annotations: Some(role.annotations.clone()),
        ..ObjectMeta::default()
    };
    Ok(K::make(metadata, rules))
}

pub(super) fn found<K: HasRules>(object: K) -> Result<FoundOwnRole, K8sError> {
    let metadata = object.metadata();
    let uid = metadata.uid.clone().filter(|uid| !uid.is_empty());
    let uid = uid.ok_or_else(|| K8sError::Nonsense("a role without UID".into()))?;
    let labels = labels(metadata.labels.clone().unwrap_or_default());
    Ok(FoundOwnRole { uid: bounds::whole(uid, bounds::UID, "a UID")?, labels, role: standing(object)? })
}

fn to_rbac(rule: &PolicyRule) -> RbacRule {
    let some = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
    RbacRule {
        api_groups: some(&rule.groups),
        resources: some(&rule.resources),
        resource_names: some(&rule.names),
        non_resource_urls: some(&rule.urls),
        verbs: rule.verbs.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_as_they_were_written_and_what_has_no_uid_is_nonsense() {
        let list = |of: &[&str]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
        let pods = PolicyRule {
            groups: list(&[""]),
            resources: list(&["pods", "pods/log"]),
            names: list(&["x"]),
            urls: Vec::new(),
            verbs: list(&["get"]),
        };
        let url = PolicyRule { urls: list(&["/metrics"]), verbs: list(&["get"]), ..PolicyRule::default() };
        let role = RoleObject {
            namespace: Some("shop".into()),
            name: "r".into(),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            annotations: BTreeMap::new(),
            rules: vec![pods, url],
        };
        let made: Role = object(&role, Some("u"), role.rules.iter().map(to_rbac).collect()).unwrap();
        let back = found(made.clone()).unwrap();
        assert_eq!(
            (back.role.rules, back.uid.as_str(), back.role.namespace),
            (role.rules.clone(), "u", role.namespace.clone())
        );
        let nobodys = Role { metadata: ObjectMeta { uid: None, ..made.metadata }, rules: made.rules };
        assert!(matches!(found(nobodys), Err(K8sError::Nonsense(_))));
        let climbs = RoleObject { name: "../secrets".into(), ..role };
        assert!(object::<ClusterRole>(&climbs, None, Vec::new()).is_err());
    }
}
