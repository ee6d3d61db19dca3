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
