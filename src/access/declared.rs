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
mod given;
mod grants;
mod groups;
mod look;
mod members;
mod on_cluster;
mod over;
mod people;
mod projects;
mod roles;
mod seats;

pub use export::Exports;

use super::{AccessError, CustomRoles, Federation, Gate, Grants, Groups, Projects, Recipient, Seats, Workspaces};
use crate::{
    clock::Clock,
    declared::{self, Mistake, Place},
    model::{
        custom_role::CustomRoleName,
        federation::WideScope,
        file::FileName,
        grant::Grantee,
        group::GroupName,
        id::{ClusterId, CustomRoleId, FederatedGrantId, GrantId, GroupId, ProjectId, WorkspaceId},
        name::{Namespace, WorkspaceName},
        project::{Placement, ProjectName, Takes},
        rbac::PolicyRule,
        reason::Reason,
        role::Role,
        time::Timestamp,
        workspace::{self, MemberRole},
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
    roles: CustomRoles,
    groups: Groups,
    seats: Seats,
    people: Projects,
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
    /// `role`, `group`, `workspace`, `member`, `project` or `grant`.
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

/// A step that did not go through. Nothing was given after it; what was to be taken back was.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// How many went through.
    pub done: usize,
    /// Which did not, by their place in the plan, in its order.
    pub left: Vec<usize>,
    /// Why the first of them did not.
    pub error: AccessError,
    /// What else could not be taken back, by its place, and why.
    pub more: Vec<(usize, AccessError)>,
}

/// Where something is given that reaches further than one cluster. Workspaces and projects are the file's entries, since they may be about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spot {
    Everywhere,
    Workspace(usize),
    Project(usize, usize),
}

impl Spot {
    /// The workspace's entry that it is in.
    fn home(&self) -> Option<usize> {
        match self {
            Self::Everywhere => None,
            Self::Workspace(home) | Self::Project(home, _) => Some(*home),
        }
    }
}

/// A role that is given: there, or about to be made in the workspace of this entry (`None`: for all).
#[derive(Clone, Debug, PartialEq, Eq)]
enum RoleAt {
    There(Role),
    Made(Option<usize>, CustomRoleName),
}

/// A Group: there, or about to be made, as above.
#[derive(Clone, Debug, PartialEq, Eq)]
enum GroupAt {
    There(GroupId),
    Made(Option<usize>, GroupName),
}

/// What has members, among the file's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Workspace(usize),
    Project(usize, usize),
}

/// What is given.
#[derive(Clone, Debug)]
struct Gift {
    role: RoleAt,
    namespaces: Vec<Namespace>,
    until: Option<Timestamp>,
    reason: Option<Reason>,
}

/// What one step does. `usize` is a workspace's place among the file's entries, and a project's among its.
#[derive(Clone, Debug)]
enum Step {
    MakeWorkspace(usize, WorkspaceName),
    MakeRole(Option<usize>, CustomRoleName, Vec<PolicyRule>),
    /// The rules, and what whoever holds it may get more by them.
    ChangeRole(CustomRoleId, Vec<PolicyRule>, Vec<String>),
    MakeGroup(Option<usize>, GroupName, bool),
    ChangeGroup(GroupId, GroupName, bool),
    /// The same where editors change it from then on.
    OpenGroup(GroupId, GroupName),
    AddMember(Where, Grantee, MemberRole),
    ChangeMember(Where, Grantee, MemberRole),
    AddProject(usize, usize, NewProject),
    ChangeProject(ProjectId, ProjectName, Placement),
    Take(usize, usize, Takes),
    MakeNamespace(usize, usize, bool),
    AddToGroup(GroupAt, Grantee),
    /// The Group as it is typed.
    AddSeat(Where, String, MemberRole),
    ChangeSeat(Where, GroupId, MemberRole),
    GiveWide(Spot, Recipient, Gift),
    Give(ClusterId, Recipient, Gift),
    RetimeWide(WideScope, FederatedGrantId, Option<Timestamp>, Option<Reason>),
    Retime(ClusterId, GrantId, Terms),
    TakeBackWide(WideScope, FederatedGrantId),
    TakeBack(ClusterId, GrantId),
    RemoveSeat(workspace::Seats, GroupId),
    TakeOutOfGroup(GroupId, Grantee),
    RemoveGroup(GroupId),
    RemoveRole(CustomRoleId),
    RemoveProject(ProjectId),
    RemoveMember(workspace::Seats, Grantee),
    RemoveWorkspace(WorkspaceId),
}

#[derive(Clone, Debug)]
struct NewProject {
    name: ProjectName,
    namespace: Namespace,
    placement: Placement,
    takes: Takes,
}

impl Step {
    /// What is given comes before what is taken back, so that nobody is without access in between; what holds something comes before it,
    /// and goes after it. A Group is kept before anything wants that of it.
    fn turn(&self) -> u8 {
        match self {
            Self::MakeWorkspace(..) => 0,
            Self::MakeRole(..) | Self::ChangeRole(..) | Self::MakeGroup(..) | Self::ChangeGroup(..) => 1,
            Self::AddMember(Where::Workspace(_), ..) | Self::ChangeMember(Where::Workspace(_), ..) => 2,
            Self::AddProject(..) | Self::ChangeProject(..) | Self::Take(..) | Self::MakeNamespace(..) => 3,
            Self::AddMember(..) | Self::ChangeMember(..) | Self::AddToGroup(..) => 4,
            Self::AddSeat(..) | Self::ChangeSeat(..) => 5,
            Self::GiveWide(..) | Self::Give(..) | Self::RetimeWide(..) | Self::Retime(..) => 6,
            Self::TakeBackWide(..) | Self::TakeBack(..) => 7,
            Self::RemoveSeat(..) | Self::TakeOutOfGroup(..) => 8,
            Self::OpenGroup(..) | Self::RemoveGroup(..) | Self::RemoveRole(..) => 9,
            Self::RemoveMember(workspace::Seats::Project(_), _) => 10,
            Self::RemoveProject(..) => 11,
            Self::RemoveMember(..) => 12,
            Self::RemoveWorkspace(..) => 13,
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
        let (roles, groups) =
            (CustomRoles::new(store.clone(), clock.clone()), Groups::new(store.clone(), clock.clone()));
        let (seats, people) = (Seats::new(store.clone(), clock.clone()), Projects::new(store.clone(), clock.clone()));
        Self { store, gate, workspaces, federation, grants, roles, groups, seats, people, clock }
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
        planner.roles().await?;
        planner.groups().await?;
        planner.members();
        planner.projects();
        planner.project_members().await?;
        planner.seats().await?;
        planner.grants().await?;
        planner.over().await?;
        planner.plan()
    }
}
