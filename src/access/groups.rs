//! What a provider's group may be called, wherever something is given to one.

use super::AccessError;
use crate::model::name;

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
