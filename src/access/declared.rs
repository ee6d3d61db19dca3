//! Applying a file that says who has access.
//!
//! First everything is looked at: what the file says is held against what there is, and what comes of it is a list of steps, or of
//! mistakes, before anything is written. Then each step is done as a page would do it, by the same use case, in the name of the
//! file, in a transaction of its own with its event. A death between two steps leaves the earlier ones; the next application finds
//! them and does the rest.
//!
//! What a file has made is what bears its identity, from the moment that it is there. Only that is ever changed or taken back because
//! of a file; what says the same and was made otherwise is named and left alone.

mod carry_out;
mod export;
mod grants;
mod look;
mod members;
mod over;
mod projects;

pub use export::Exports;

use super::{AccessError, Federation, Gate, GrantRequest, Grants, Workspaces};
use crate::{
    clock::Clock,
    declared::{self, Mistake, Place},
    model::{
        federation::WideScope,
        file::FileName,
        grant::Grantee,
        id::{ClusterId, FederatedGrantId, GrantId, ProjectId, WorkspaceId},
        name::{Namespace, WorkspaceName},
        project::{Placement, ProjectName},
        reason::Reason,
        time::Timestamp,
        workspace::MemberRole,
    },
    store::{Store, Terms},
};

/// Applies files.
#[derive(Clone, Debug)]
pub struct Declared {
    store: Store,
    gate: Gate,
    workspaces: Workspaces,
    federation: Federation,
    grants: Grants,
    clock: Clock,
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is made or given.
    Add,
    /// It stays and is changed.
    Change,
    /// It is taken back.
    Remove,
}

/// A step that makes what there is what the file says.
#[derive(Clone, Debug)]
pub struct Change {
    /// What becomes of it.
    pub kind: Kind,
    /// `workspace`, `member`, `project` or `grant`.
    pub what: &'static str,
    /// Which, in words that stand for themselves.
    pub words: String,
    /// What else is to be known of it.
    pub note: Option<&'static str>,
    /// Where the file says it; nothing where the file says it no longer.
    pub at: Option<Place>,
    step: Step,
}

/// Something that is as the file says, or that the file leaves alone, and not because of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// As in [`Change`].
    pub what: &'static str,
    /// Which, and why it is left, in words.
    pub words: String,
    /// Where the file says it.
    pub at: Option<Place>,
}

/// What applying a file comes to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the file is called.
    pub file: FileName,
    /// What is done, in this order.
    pub changes: Vec<Change>,
    /// What is left alone.
    pub remarks: Vec<Remark>,
    /// The workspaces of the file's entries that are there.
    homes: Vec<Option<WorkspaceId>>,
    /// The projects of the file's entries that are there, by workspace and project.
    projects: Vec<Vec<Option<ProjectId>>>,
}

/// Why a file is not applied.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is wrong; nothing was written.
    #[error("the file cannot be applied as it is")]
    Mistakes(Vec<Mistake>),
    /// Something else; nothing was written.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// A step that did not go through; those before it did.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// How many went through.
    pub done: usize,
    /// Why this one did not.
    pub error: AccessError,
}

/// Where something is given that reaches further than one cluster. Workspaces and projects are the file's entries, since they may be about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spot {
    Everywhere,
    Workspace(usize),
    Project(usize, usize),
}

/// What one step does. `usize` is a workspace's place among the file's entries.
#[derive(Clone, Debug)]
enum Step {
    MakeWorkspace(usize, WorkspaceName),
    AddMember(usize, Grantee, MemberRole),
    ChangeMember(usize, Grantee, MemberRole),
    AddProject(usize, usize, NewProject),
    ChangeProject(ProjectId, ProjectName, Placement),
    GiveWide(Spot, super::FederatedRequest),
    Give(ClusterId, GrantRequest),
    RetimeWide(WideScope, FederatedGrantId, Option<Timestamp>, Option<Reason>),
    Retime(ClusterId, GrantId, Terms),
    TakeBackWide(WideScope, FederatedGrantId),
    TakeBack(ClusterId, GrantId),
    RemoveProject(ProjectId),
    RemoveMember(WorkspaceId, Grantee),
    RemoveWorkspace(WorkspaceId),
}

#[derive(Clone, Debug)]
struct NewProject {
    name: ProjectName,
    namespace: Namespace,
    placement: Placement,
}

impl Step {
    /// What is given comes before what is taken back, so that nobody is without access in between; what holds something comes before it,
    /// and goes after it.
    fn turn(&self) -> u8 {
        match self {
            Self::MakeWorkspace(..) => 0,
            Self::AddMember(..) | Self::ChangeMember(..) => 1,
            Self::AddProject(..) | Self::ChangeProject(..) => 2,
            Self::GiveWide(..) | Self::Give(..) | Self::RetimeWide(..) | Self::Retime(..) => 3,
            Self::TakeBackWide(..) | Self::TakeBack(..) => 4,
            Self::RemoveProject(..) => 5,
            Self::RemoveMember(..) => 6,
            Self::RemoveWorkspace(..) => 7,
        }
    }
}

impl Declared {
    /// With these parts.
    pub fn new(
        store: Store,
        gate: Gate,
        workspaces: Workspaces,
        federation: Federation,
        grants: Grants,
        clock: Clock,
    ) -> Self {
        Self { store, gate, workspaces, federation, grants, clock }
    }

    /// What applying this file would come to now. Nothing is written.
    ///
    /// # Errors
    /// All that is wrong with it, with its place; or why that cannot be said.
    pub async fn plan(&self, file: &declared::File) -> Result<Plan, Refused> {
        let mut planner = look::Planner::look(self, file).await?;
        for (at, note) in &file.notes {
            planner.remark("gitlab", (*note).to_owned(), Some(*at));
        }
        planner.members();
        planner.projects();
        planner.grants().await?;
        planner.over().await?;
        planner.plan()
    }
}
