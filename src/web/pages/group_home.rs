//! Where a Group belongs, and what its pages share: a workspace's pages with their tabs, or those of platform admins.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts as RequestParts,
    response::{IntoResponse, Response},
};

use super::workspace::{self, AtWorkspace, Head, Tab};
use crate::{
    model::{
        group::Group,
        id::{GroupId, WorkspaceId},
        time::Timestamp,
    },
    policy::{self, Authorized, Forbidden, MakeGroup, MakeRole, ManageGroup, ViewGroup},
    web::{
        Parts,
        errors::PageError,
        frame::{Frame, Nav},
        paths,
        session::SignedIn,
    },
};

/// Where Groups are looked at.
#[derive(Debug)]
pub(super) enum Home {
    /// In a workspace.
    Workspace(Box<AtWorkspace>),
    /// Those of all workspaces.
    Everywhere(Box<SignedIn>, Timestamp),
}

impl Home {
    pub(super) fn who(&self) -> &SignedIn {
        match self {
            Self::Workspace(at) => &at.who,
            Self::Everywhere(who, _) => who,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::Workspace(at) => at.now,
            Self::Everywhere(_, now) => *now,
        }
    }

    pub(super) fn workspace(&self) -> Option<WorkspaceId> {
        if let Self::Workspace(at) = self { Some(at.id()) } else { None }
    }

    pub(super) fn frame(&self) -> Frame {
        Frame::new(self.who(), Nav::Workspaces)
    }

    pub(super) fn head(&self) -> Option<Head> {
        self.head_at(Tab::Groups)
    }

    /// The head behind another tab.
    pub(super) fn head_at(&self, tab: Tab) -> Option<Head> {
        if let Self::Workspace(at) = self { Some(at.head(tab)) } else { None }
    }

    /// The page that lists custom roles.
    pub(super) fn roles(&self) -> String {
        self.workspace().map_or_else(|| paths::CUSTOM_ROLES.to_owned(), paths::workspace_roles)
    }

    /// May they make a custom role here?
    pub(super) fn make_role(&self) -> Result<Authorized<MakeRole>, Forbidden> {
        match self {
            Self::Workspace(at) => policy::make_role(&at.who.person, Some(at.workspace().clone()), at.member),
            Self::Everywhere(who, _) => policy::make_role(&who.person, None, None),
        }
    }

    /// The page that lists them.
    pub(super) fn list(&self) -> String {
        self.workspace().map_or_else(|| paths::GROUPS.to_owned(), paths::workspace_groups)
    }

    /// May they make one here?
    pub(super) fn make(&self) -> Result<Authorized<MakeGroup>, Forbidden> {
        match self {
            Self::Workspace(at) => policy::make_group(&at.who.person, Some(at.workspace().clone()), at.member),
            Self::Everywhere(who, _) => policy::make_group(&who.person, None, None),
        }
    }

    /// May they change this one, which is of here?
    pub(super) fn manage(&self, group: Group) -> Result<Authorized<ManageGroup>, Forbidden> {
        match self {
            Self::Workspace(at) => policy::manage_group(&at.who.person, group, Some(at.workspace().clone()), at.member),
            Self::Everywhere(who, _) => policy::manage_group(&who.person, group, None, None),
        }
    }

    /// Who changes one, in words.
    pub(super) fn keepers(&self, owners_only: bool) -> &'static str {
        match (self, owners_only) {
            (Self::Everywhere(..), _) => "platform admins change who is in it",
            (_, true) => "only owners change who is in it",
            (_, false) => "owners and editors change who is in it",
        }
    }
}

/// A Group that somebody looks at, from the address of the page. To whom it is not shown, it is not there.
#[derive(Debug)]
pub struct AtGroup {
    /// That they may.
    pub seen: Authorized<ViewGroup>,
    /// Where it belongs.
    pub(super) home: Home,
}

#[derive(serde::Deserialize)]
struct GroupPath {
    group: GroupId,
}

impl FromRequestParts<Parts> for AtGroup {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Response> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        let path = Path::<GroupPath>::from_request_parts(parts, state).await;
        let Path(GroupPath { group }) = path.map_err(|_| PageError::not_found().into_response())?;
        load(who, group, state).await.map_err(IntoResponse::into_response)
    }
}

async fn load(who: SignedIn, id: GroupId, state: &Parts) -> Result<AtGroup, PageError> {
    let seen = state.gate.view_group(&who.person, id).await?;
    let home = match seen.group().workspace {
        Some(workspace) => Home::Workspace(Box::new(workspace::load(who, workspace, state).await?)),
        None => Home::Everywhere(Box::new(who), state.clock.now()),
    };
    Ok(AtGroup { seen, home })
}

impl AtGroup {
    /// The Group.
    pub fn group(&self) -> &Group {
        self.seen.group()
    }

    /// Its id.
    pub fn id(&self) -> GroupId {
        self.group().id
    }

    /// May they change it and its members?
    pub fn manage(&self) -> Result<Authorized<ManageGroup>, Forbidden> {
        self.home.manage(self.group().clone())
    }
}
