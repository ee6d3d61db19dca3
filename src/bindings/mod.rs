//! From grants to bindings: what should stand on a cluster is a pure function of a grant; making it so is idempotent.
//!
//! A binding is named after its grant, so the same grant always leads to the same object. It is ours where its UID is one that was
//! remembered when it was made; what bears the name without that is never touched: that is a conflict, and said.

mod apply;
mod effective;
mod looks;
mod own_roles;
mod wanted;

pub use apply::{ApplyError, Ensured, NotOurs, Repair, Work, ensure_absent, is_ours};
pub use effective::{Rbac, Way, one_name};
pub use looks::looks_of;
pub use own_roles::{custom_role, is_our_role, marked_role, namespace_role, role_looks, role_looks_of};
pub use wanted::{
    GRANT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, MARK_LABEL, OWNER_LABEL, binding_name, grant_named, owner_selector,
    wanted,
};
