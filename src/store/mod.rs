//! The only place with SQL. One file per aggregate; one method is one transaction, and a method that changes something
//! writes the audit event of it in that same transaction.
//!
//! One SQL text serves SQLite and PostgreSQL: portable types alone, `$1` placeholders, times as integers. An enum of the two
//! pools and two small macros (`db`) keep each driver's real types. Whatever writes is a writer from its first statement on,
//! since SQLite cannot turn a reader into a writer once another has written, and since PostgreSQL must lock the row that
//! decides before it is looked at.

#[macro_use]
mod db;

mod audit;
mod bindings;
mod checks;
mod client_trials;
mod clusters;
mod devices;
#[macro_use]
mod grants;
mod custom_roles;
mod federation;
mod files;
mod groups;
mod identities;
mod keys;
mod links;
mod made_roles;
mod matrix;
mod open;
mod own_providers;
mod presets;
mod projects;
mod record;
mod renewals;
mod requests;
mod rosters;
mod service_accounts;
mod sessions;
mod tokens;
mod trail;
mod trials;
mod upstream;
mod vouches;
mod workspaces;

pub use audit::AuditDraft;
pub use bindings::Brought;
pub use checks::StoredCheck;
pub use clusters::{
    ClusterEntry, Described, HeldCredential, Home, NewCluster, NewOwnToken, Rotated, SealedCredential, StoredCredential,
};
pub use custom_roles::{NewCustomRole, RoleHolders, Widening};
pub use devices::{Devices, NewDevice};
pub use federation::{FederatedPage, NewFederatedGrant, Placed, PlacementCounts};
pub use files::MadeByFile;
pub use grants::{
    DueGrant, GrantFilter, GrantOrder, GrantPage, NewGrant, Outcome, Overdue, Replaced, Replacement, Standing, Terms,
};
pub use groups::{GroupCounts, GroupOnCluster, GroupsPage, NewGroup, NewSeat};
pub use identities::SignInRecord;
pub use links::{Acceptance, Accepted, NewLink};
pub use made_roles::RoleAt;
pub use matrix::{HolderCursor, MatrixPage, Reached};
pub use own_providers::{NewOwnProvider, NewSecret, OwnProviderOn, OwnReach};
pub use presets::{NewPreset, NewTakeover};
pub use projects::NewProject;
pub use renewals::Renewal;
pub use requests::{Answer, Closing, NewRequest, RequestPage};
pub use service_accounts::{AccountOutcome, DueAccount, NewLease, NewServiceAccount};
pub use sessions::{SessionStore, session_keys};
pub use trail::{Trail, TrailFilter, TrailPage};
pub use workspaces::{Joined, NewInvitation, NewWorkspace, WorkspaceCounts};

use db::Pool;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
}

/// What goes wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or refuses.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// The migrations cannot be applied.
    #[error("the database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The thing is not there (any more).
    #[error("not found")]
    NotFound,
    /// There is one already: what clashes, in words for the person who asked.
    #[error("{0}")]
    Duplicate(&'static str),
    /// There are too many already: how many of what is the most.
    #[error("there are too many already: {0} is the most")]
    Full(&'static str),
    /// It would be written out as so many grants at once.
    #[error("that would be {0} grants at once")]
    TooMuch(usize),
    /// It holds what asks for it to stay as it is.
    #[error("what it holds needs that")]
    Held,
    /// No person would own the workspace any more.
    #[error("the last owner of a workspace stays")]
    LastOwner,
    /// Somebody else changed it in between.
    #[error("it was changed in the meantime")]
    Stale,
    /// What the database holds cannot be read.
    #[error("stored {0} cannot be read")]
    Corrupt(&'static str),
}
