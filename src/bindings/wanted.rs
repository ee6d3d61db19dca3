//! The wanted bindings of a grant.

use std::collections::BTreeMap;

use crate::{
    k8s::{BindingObject, RoleKind, RoleRef},
    model::{
        claim_mapping::{ClaimMapping, Unmappable},
        grant::Grant,
        id::GrantId,
        identity::Identity,
        name::Namespace,
        role::Role,
        subject::Subject,
    },
};

/// `app.kubernetes.io/managed-by`.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Which installation of Kubelend.
pub const OWNER_LABEL: &str = "kubelend.io/instance";
/// Which grant.
pub const GRANT_LABEL: &str = "kubelend.io/grant";
/// Drawn anew for what is made: see [`Memory::mark`](crate::model::binding::Memory::mark). No part of what is wanted afterwards.
pub const MARK_LABEL: &str = "kubelend.io/mark";
/// For people who meet a binding on the cluster: what it is.
pub(super) const ABOUT_ANNOTATION: &str = "kubelend.io/about";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "kubelend";

/// The name of a grant's bindings: `kubelend-ID`; a RoleBinding in each namespace bears the same.
pub fn binding_name(grant: GrantId) -> String {
    format!("kubelend-{grant}")
}

/// The grant that a binding of this name would be for.
pub fn grant_named(binding: &str) -> Option<GrantId> {
    let id = binding.strip_prefix("kubelend-")?.parse().ok()?;
    (binding_name(id) == binding).then_some(id)
}

/// The labels by which an API server finds all that claims to be of this installation.
pub fn owner_selector(instance: &str) -> String {
    format!("{OWNER_LABEL}={instance}")
}

/// “the RoleBinding NAME in namespace a”.
pub(super) fn place_in_words(binding: &BindingObject) -> String {
    match &binding.namespace {
        Some(namespace) => format!("the RoleBinding {} in namespace {namespace}", binding.name),
        None => format!("the ClusterRoleBinding {}", binding.name),
    }
}

/// What should stand for a grant: one ClusterRoleBinding, or a RoleBinding in each of its namespaces; nothing for a grant without role.
///
/// # Errors
/// When the cluster has no name for the grantee.
pub fn wanted(
    grant: &Grant,
    person: Option<&Identity>,
    mapping: &ClaimMapping,
    instance: &str,
) -> Result<Vec<BindingObject>, Unmappable> {
    let Some(role) = &grant.role else { return Ok(Vec::new()) };
    let subject = grant.grantee.subject(mapping, person)?;
    let binding = |namespace: Option<&Namespace>| BindingObject {
        namespace: namespace.map(|n| n.as_str().to_owned()),
        name: binding_name(grant.id),
        role: role_ref(role),
        subjects: vec![subject.clone()],
        labels: labels(grant.id, instance),
        annotations: BTreeMap::from([(ABOUT_ANNOTATION.to_owned(), about(grant, role, &subject))]),
    };
    Ok(match grant.scope.namespaces() {
        [] => vec![binding(None)],
        names => names.iter().map(|name| binding(Some(name))).collect(),
    })
}

fn role_ref(role: &Role) -> RoleRef {
    let kind = if role.is_local() { RoleKind::Role } else { RoleKind::ClusterRole };
    RoleRef { kind, name: role.as_str().to_owned() }
}

fn labels(grant: GrantId, instance: &str) -> BTreeMap<String, String> {
    [(MANAGED_BY_LABEL, MANAGED_BY.to_owned()), (OWNER_LABEL, instance.to_owned()), (GRANT_LABEL, grant.to_string())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Without the end: it can be moved, and then no binding is touched.
fn about(grant: &Grant, role: &Role, subject: &Subject) -> String {
    format!(
        "Kubelend lends {} {} the role {role} in {}. Its end stands in Kubelend. Take it back there: what is \
         changed or deleted here, Kubelend puts back.",
        subject.kind.as_str().to_lowercase(),
        subject.name,
        grant.scope.in_words(),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{
        grant::{GrantState, Grantee, Origin},
        id::{ClusterId, IdentityId},
        scope::Scope,
        subject::SubjectKind,
        time::Timestamp,
    };

    pub(crate) fn grant(role: Option<Role>, namespaces: &[&str]) -> Grant {
        Grant {
            id: GrantId::new(),
            grantee: Grantee::Group("dex".parse().unwrap(), "devs".into()),
            role,
            scope: Scope::new(ClusterId::new(), namespaces.iter().map(|n| n.parse().unwrap()).collect()),
            expires_at: Some(Timestamp::from_secs(1_795_392_000)),
            reason: None,
            origin: Origin::Manual,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            state: GrantState::Pending,
            state_detail: None,
            state_since: Timestamp::from_secs(0),
            ended: None,
        }
    }

    #[test]
    fn a_grant_on_the_whole_cluster_is_one_cluster_role_binding() {
        let grant = grant(Some(Role::View), &[]);
        let bindings = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap();
        let [one] = bindings.as_slice() else { panic!("{bindings:?}") };
        assert_eq!(one.namespace, None);
        assert_eq!(one.name, format!("kubelend-{}", grant.id));
        assert_eq!(one.role, RoleRef { kind: RoleKind::ClusterRole, name: "view".into() });
        assert_eq!(one.subjects, [Subject::group("oidc:devs")]);
        assert_eq!(one.subjects[0].kind, SubjectKind::Group);
        assert_eq!(one.labels[MANAGED_BY_LABEL], "kubelend");
        assert_eq!(one.labels[OWNER_LABEL], "k1");
        assert_eq!(one.labels[GRANT_LABEL], grant.id.to_string());
        let about = &one.annotations[ABOUT_ANNOTATION];
        assert!(about.contains("group oidc:devs the role view in the whole cluster."), "{about}");
        assert!(!about.contains("until"), "an end that is moved would stay there as it was: {about}");
        assert!(about.ends_with("what is changed or deleted here, Kubelend puts back."), "{about}");
        assert_eq!((grant_named(&one.name), grant_named("kubelend-x")), (Some(grant.id), None));
    }

    #[test]
    fn a_grant_in_namespaces_is_a_role_binding_in_each() {
        let grant = grant(Some(Role::Edit), &["a", "b"]);
        let bindings = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap();
        let places: Vec<_> = bindings.iter().map(|b| b.namespace.as_deref()).collect();
        assert_eq!(places, [Some("a"), Some("b")]);
        assert!(bindings.iter().all(|b| b.name == binding_name(grant.id)));
        assert_eq!(bindings, wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap());
    }

    #[test]
    fn a_namespaces_own_role_is_bound_as_one_and_a_cluster_role_of_its_name_is_another() {
        for (role, kind) in
            [(Role::local("log-reader"), RoleKind::Role), (Role::named("log-reader"), RoleKind::ClusterRole)]
        {
            let bindings = wanted(&grant(role.ok(), &["a"]), None, &ClaimMapping::default(), "k1").unwrap();
            assert_eq!(bindings[0].role, RoleRef { kind, name: "log-reader".into() });
        }
    }

    #[test]
    fn a_grant_without_role_has_no_binding_and_an_unmappable_person_none_either() {
        assert_eq!(wanted(&grant(None, &["a"]), None, &ClaimMapping::default(), "k1"), Ok(vec![]));
        let mut person = grant(Some(Role::View), &[]);
        person.grantee = Grantee::Person(IdentityId::new());
        assert_eq!(wanted(&person, None, &ClaimMapping::default(), "k1"), Err(Unmappable::NoEmail));
    }
}
