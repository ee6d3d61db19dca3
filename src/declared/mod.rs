//! Access as a file says it: workspaces with members, projects, Groups, custom roles, and grants at every scope.
//!
//! Pure: text comes in and entries go out, each with its place, and all mistakes of a text are found at once. Nothing is looked
//! up here; whether a cluster of that name exists, or a person is known, is decided where the entries are compared with what
//! there is. An unknown field is a mistake, so that a newer file means nothing else to an older Kubelend.

mod entries;
mod fields;
mod gitlab;
mod grants;
mod members;
mod own;
mod read;
mod rules;
mod write;

pub use entries::{
    Called, ClusterEntry, File, GivenRole, GrantEntry, GroupEntry, MemberEntry, On, ProjectEntry, RoleEntry, Who,
    WorkspaceEntry,
};
pub use read::{MAX_BYTES, MAX_ENTRIES, read};
pub use rules::read_rules;
pub use write::write;

pub use crate::yaml::Place;

/// What is wrong in a file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub at: Place,
    /// What, in words.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

impl Mistake {
    /// A mistake at this place.
    pub fn new(at: Place, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { at, problem: problem.into(), fix: fix.into() }
    }
}
