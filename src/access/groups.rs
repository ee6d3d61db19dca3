//! What a provider's group may be called, wherever something is given to one.

use super::{AccessError, own_providers};
use crate::{
    model::{grant::Grantee, id::WorkspaceId, identity::Identity, name},
    store::Store,
};

/// # Errors
/// `Invalid` at the field `name`.
pub(super) fn check(group: &str) -> Result<(), AccessError> {
    match name::group_name(group) {
        Ok(read) if read == group => Ok(()),
        Ok(_) => {
            Err(AccessError::Invalid { field: "name", message: "Leave out spaces around the group's name.".into() })
        }
        Err(why) => Err(AccessError::Invalid { field: "name", message: why.to_string() }),
    }
}

/// The same where it is for several clusters: one of them may put nothing before groups, so a name of Kubernetes' own is refused here
/// and not on one cluster after the other.
///
/// # Errors
/// As above.
pub(super) fn check_wide(group: &str) -> Result<(), AccessError> {
    check(group)?;
    if group.to_ascii_lowercase().starts_with("system:") {
        return Err(AccessError::Invalid {
            field: "name",
            message: "Groups that begin with “system:” are Kubernetes' own and are given nothing.".into(),
        });
    }
    Ok(())
}

/// Whom somebody is added as in this workspace: whoever has signed in with this email already is added as the person.
///
/// # Errors
/// `Invalid` at the field `name`.
pub(super) async fn known(
    store: &Store,
    workspace: WorkspaceId,
    who: Grantee,
) -> Result<(Grantee, Option<Identity>), AccessError> {
    let person = match &who {
        Grantee::Email(provider, email) => store.identity_by_email(provider, email).await?,
        Grantee::Person(id) => Some(store.identity(*id).await?),
        Grantee::Group(_, group) => {
            check(group)?;
            None
        }
        Grantee::ServiceAccount(_) => return Err(no_account()),
    };
    own_providers::counts_in(&who, person.as_ref(), Some(workspace))?;
    Ok(match person {
        Some(person) => (Grantee::Person(person.id), Some(person)),
        None => (who, None),
    })
}

/// A ServiceAccount is one cluster's: it is no member of anything, and nothing wider is given to it.
pub(super) fn no_account() -> AccessError {
    AccessError::Invalid {
        field: "name",
        message: "A ServiceAccount is of one cluster: give to it on that cluster.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_11_a_group_of_kubernetes_own_is_refused_whatever_its_case() {
        for name in ["system:masters", "System:Masters", "SYSTEM:nodes", "", " devs", "de\nvs"] {
            assert!(check_wide(name).is_err(), "{name:?}");
        }
        assert!(check_wide("devs").is_ok());
    }
}
