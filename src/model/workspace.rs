//! Workspaces: sets of clusters with members.
//!
//! A member is a person, an email of somebody who has not signed in yet, or a provider's group, like whom a grant is for. An email
//! gives nothing until it has become the person; what somebody is in a workspace is the strongest of what reaches them.

use super::{
    cluster::Removal,
    grant::Grantee,
    id::{IdentityId, ProjectId, WorkspaceId},
    time::Timestamp,
};

/// A set of clusters with members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name, for people. Its maker has no other of that name; somebody else may.
    pub name: String,
    /// Who made it, where that is known.
    pub created_by: Option<IdentityId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Set once somebody has asked to delete it, and what is to become of Kubelend's bindings: it takes no new clusters and members,
    /// and goes with its last cluster.
    pub removing: Option<Removal>,
}

/// What a member of a workspace may do there, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberRole {
    /// Looks.
    Viewer,
    /// Manages access.
    Editor,
    /// Manages access, the clusters themselves, the members and the workspace.
    Owner,
}

impl MemberRole {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Owner];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }

    /// As stored.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == s)
    }
}

/// What has members: where a Group can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seats {
    /// A workspace.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
}

/// A member of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub who: Grantee,
    /// What they may do there.
    pub role: MemberRole,
    /// Since when they have that role.
    pub since: Timestamp,
    /// Who gave it to them.
    pub by: IdentityId,
}

impl Member {
    /// Whether this is a person who owns the workspace. The last of them stays: emails and groups may turn out to be nobody.
    pub fn is_owning_person(&self) -> bool {
        self.role == MemberRole::Owner && matches!(self.who, Grantee::Person(_))
    }
}
