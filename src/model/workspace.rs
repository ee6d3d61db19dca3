//! Workspaces: sets of clusters with members.

use super::{id::WorkspaceId, time::Timestamp};

/// A set of clusters with members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name, for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a member of a workspace may do there, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberRole {
    /// Looks.
    Viewer,
    /// Manages access.
    Editor,
    /// Manages access and the clusters themselves.
    Owner,
}

impl MemberRole {
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
        [Self::Viewer, Self::Editor, Self::Owner].into_iter().find(|r| r.as_str() == s)
    }
}
