//! From grants to bindings: what should stand on a cluster is a pure function of a grant; making it so is idempotent.
//!
//! A binding is named after its grant, so the same grant always leads to the same object, and bears a label of this
//! installation. What bears the name without being ours is never touched: that is a conflict, and said.

mod apply;
mod effective;
mod wanted;

pub use apply::{ApplyError, ensure, ensure_absent};
pub use effective::{Rbac, Way, one_name};
pub use wanted::{GRANT_LABEL, MANAGED_BY_LABEL, OWNER_LABEL, binding_name, wanted};
