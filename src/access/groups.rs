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

/// A ServiceAccount is one cluster's: it is no member of anything, and nothing wider is given to it.
pub(super) fn no_account() -> AccessError {
    AccessError::Invalid {
        field: "name",
        message: "A ServiceAccount is of one cluster: give to it on that cluster.".into(),
    }
}
