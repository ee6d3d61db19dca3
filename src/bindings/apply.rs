//! Making a cluster so, for one grant. Every step is safe to repeat and safe to die after.

use super::wanted::{GRANT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, OWNER_LABEL, binding_name};
use crate::{
    k8s::{BindingObject, ClusterClient, FoundBinding, K8sError, Placed},
    model::id::GrantId,
};

/// How often one binding is looked at anew because somebody changed it in between.
const ATTEMPTS: usize = 3;

/// Why a grant's bindings do not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Something that is not ours bears the name: where and what.
    #[error("{0} is there already and was not made by this Kubelend")]
    Conflict(String),
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] K8sError),
}

/// Makes exactly these bindings stand for the grant: creates, corrects (a changed roleRef by replacing), and deletes bindings of
/// this grant that are not among them (found by label, with our instance label). One place that fails does not keep the others
/// from being served; the first failure is returned.
pub async fn ensure(
    client: &ClusterClient,
    grant: GrantId,
    wanted: &[BindingObject],
    instance: &str,
) -> Result<(), ApplyError> {
    // One look at all of them first, so that an attempt that is cut short leaves less to do for the next one. A credential
    // that may not list everywhere finds out binding by binding.
    let standing = match ours(client, grant, instance).await {
        Ok(standing) => standing,
        Err(K8sError::Forbidden(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut failed = None;
    // What is not wanted any more must not outlive a namespace that is missing.
    for unwanted in standing.iter().filter(|s| !wanted.iter().any(|w| w.namespace == s.namespace && w.name == s.name)) {
        delete(client, unwanted).await?;
    }
    for binding in wanted.iter().filter(|w| !standing.iter().any(|s| stands(s, w))) {
        match ensure_one(client, grant, binding, instance).await {
            // Nobody is there: the other places would only wait for the same.
            Err(ApplyError::Cluster(error)) if error.is_silence() => return Err(error.into()),
            Err(error) => drop(failed.get_or_insert(error)),
            Ok(()) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Makes no binding of the grant stand. `places` are the namespaces where they would be (`None`: cluster-wide). What bears the name without being ours stays.
pub async fn ensure_absent(
    client: &ClusterClient,
    grant: GrantId,
    places: &[Option<String>],
    instance: &str,
) -> Result<(), ApplyError> {
    let standing = match ours(client, grant, instance).await {
        Ok(found) => found,
        // A credential that may not list everywhere can still look where they would be.
        Err(K8sError::Forbidden(_)) => ours_at(client, grant, places, instance).await?,
        Err(error) => return Err(error.into()),
    };
    for binding in &standing {
        delete(client, binding).await?;
    }
    Ok(())
}

fn stands(standing: &FoundBinding, wanted: &BindingObject) -> bool {
    standing.namespace == wanted.namespace
        && standing.name == wanted.name
        && standing.gives(&wanted.role)
        && agrees(standing, wanted)
}

async fn delete(client: &ClusterClient, binding: &FoundBinding) -> Result<(), K8sError> {
    client.delete_binding(binding.namespace.as_deref(), &binding.name, &binding.uid).await
}

async fn ensure_one(
    client: &ClusterClient,
    grant: GrantId,
    wanted: &BindingObject,
    instance: &str,
) -> Result<(), ApplyError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt(client, grant, wanted, instance).await {
            // Changed or deleted between our look and our step: look again.
            Err(ApplyError::Cluster(error @ (K8sError::Conflict(_) | K8sError::NotFound))) => last = Some(error),
            other => return other,
        }
    }
    Err(match (last, &wanted.namespace) {
        (Some(K8sError::NotFound) | None, Some(namespace)) => {
            K8sError::Refused(404, format!("there is no namespace {namespace}")).into()
        }
        (Some(error), _) => error.into(),
        (None, None) => K8sError::NotFound.into(),
    })
}

async fn attempt(
    client: &ClusterClient,
    grant: GrantId,
    wanted: &BindingObject,
    instance: &str,
) -> Result<(), ApplyError> {
    let standing = match client.create_binding(wanted).await? {
        Placed::Created(_) => return Ok(()),
        Placed::Exists(standing) => standing,
    };
    if !is_ours(&standing, grant, instance) {
        return Err(ApplyError::Conflict(describe(&standing)));
    }
    if !standing.gives(&wanted.role) {
        // A roleRef cannot be changed. Deleting first loses nothing that is wanted: it is the other role that goes.
        delete(client, &standing).await?;
        return match client.create_binding(wanted).await? {
            Placed::Created(_) => Ok(()),
            Placed::Exists(_) => {
                Err(K8sError::Conflict(format!("{} was made anew by somebody else", describe(&standing))).into())
            }
        };
    }
    if !agrees(&standing, wanted) {
        client.update_binding(&standing.uid, wanted).await?;
    }
    Ok(())
}

async fn ours(client: &ClusterClient, grant: GrantId, instance: &str) -> Result<Vec<FoundBinding>, K8sError> {
    let mut all = client.bindings(Some(&format!("{GRANT_LABEL}={grant}"))).await?;
    all.retain(|b| is_ours(b, grant, instance));
    Ok(all)
}

async fn ours_at(
    client: &ClusterClient,
    grant: GrantId,
    places: &[Option<String>],
    instance: &str,
) -> Result<Vec<FoundBinding>, K8sError> {
    let mut all = Vec::new();
    for place in places {
        all.extend(client.binding(place.as_deref(), &binding_name(grant)).await?);
    }
    all.retain(|b| is_ours(b, grant, instance));
    Ok(all)
}

fn is_ours(standing: &FoundBinding, grant: GrantId, instance: &str) -> bool {
    let has = |key: &str, value: &str| standing.labels.get(key).is_some_and(|v| v == value);
    has(MANAGED_BY_LABEL, MANAGED_BY) && has(OWNER_LABEL, instance) && has(GRANT_LABEL, &grant.to_string())
}

fn agrees(standing: &FoundBinding, wanted: &BindingObject) -> bool {
    standing.subjects == wanted.subjects && wanted.labels.iter().all(|(k, v)| standing.labels.get(k) == Some(v))
}

fn describe(standing: &FoundBinding) -> String {
    match &standing.namespace {
        Some(namespace) => format!("the RoleBinding {} in namespace {namespace}", standing.name),
        None => format!("the ClusterRoleBinding {}", standing.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bindings::wanted::{tests::grant, wanted},
        model::{claim_mapping::ClaimMapping, role::Role, subject::Subject},
    };

    fn standing(wanted: &BindingObject) -> FoundBinding {
        FoundBinding {
            namespace: wanted.namespace.clone(),
            name: wanted.name.clone(),
            uid: "u".into(),
            role_kind: wanted.role.kind.as_str().into(),
            role_name: wanted.role.name.clone(),
            subjects: wanted.subjects.clone(),
            more_subjects: 0,
            labels: wanted.labels.clone(),
            created_at: None,
        }
    }

    #[test]
    fn only_what_bears_all_three_labels_is_ours() {
        let grant = grant(Some(Role::View), &[]);
        let wanted = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap().remove(0);
        let made = standing(&wanted);
        assert!(is_ours(&made, grant.id, "k1"));
        assert!(!is_ours(&made, grant.id, "k2"));
        assert!(!is_ours(&made, GrantId::new(), "k1"));
        for label in [MANAGED_BY_LABEL, OWNER_LABEL, GRANT_LABEL] {
            let mut less = made.clone();
            less.labels.remove(label);
            assert!(!is_ours(&less, grant.id, "k1"), "{label}");
        }
    }

    #[test]
    fn labels_of_others_are_no_reason_to_write_and_other_subjects_are() {
        let grant = grant(Some(Role::View), &["a"]);
        let wanted = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap().remove(0);
        let mut found = standing(&wanted);
        found.labels.insert("team".into(), "x".into());
        assert!(agrees(&found, &wanted));
        found.subjects.push(Subject::user("mallory@example.com"));
        assert!(!agrees(&found, &wanted));
        assert_eq!(describe(&found), format!("the RoleBinding kubelend-{} in namespace a", grant.id));
    }
}
