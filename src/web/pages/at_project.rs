//! What all pages of one project share: who looks at it and what they may, and the head with its pages.
//!
//! Somebody may be a member of a project and not of its workspace: then nothing on these pages leads there, or tells of it more than
//! its name and the clusters that the project is on.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts as RequestParts,
    response::{IntoResponse, Response},
};

use super::{cluster::TabLink, workspace::Head};
use crate::{
    model::{
        id::{ProjectId, WorkspaceId},
        project::{Membership, Project},
        time::Timestamp,
        workspace::Workspace,
    },
    policy::{
        self, Authorized, Forbidden, ManageProject, ManageProjectMembers, ManageReach, ManageTakes, Reach, ViewProject,
    },
    web::{
        Parts,
        errors::PageError,
        frame::{Frame, Nav},
        paths,
        session::SignedIn,
    },
};

/// A project that somebody looks at, from the address of the page.
#[derive(Debug)]
pub struct AtProject {
    /// Who looks.
    pub who: SignedIn,
    /// That they may.
    pub seen: Authorized<ViewProject>,
    /// What they are there.
    pub is: Membership,
    /// The time of this page.
    pub now: Timestamp,
}

#[derive(serde::Deserialize)]
struct ProjectPath {
    workspace: WorkspaceId,
    project: ProjectId,
}

impl FromRequestParts<Parts> for AtProject {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Response> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        let path = Path::<ProjectPath>::from_request_parts(parts, state).await;
        let Path(path) = path.map_err(|_| PageError::not_found().into_response())?;
        load(who, &path, state).await.map_err(IntoResponse::into_response)
    }
}

async fn load(who: SignedIn, path: &ProjectPath, state: &Parts) -> Result<AtProject, PageError> {
    let (seen, is) = state.gate.view_project(&who.person, path.project).await?;
    if seen.workspace().id != path.workspace {
        return Err(PageError::not_found());
    }
    Ok(AtProject { who, seen, is, now: state.clock.now() })
}

impl AtProject {
    /// The project.
    pub fn project(&self) -> &Project {
        self.seen.project()
    }

    /// The workspace that it is in.
    pub fn workspace(&self) -> &Workspace {
        self.seen.workspace()
    }

    /// May they change where it is, and remove it? Nobody, once its workspace is being deleted.
    pub fn manage(&self) -> Option<Authorized<ManageProject>> {
        let of = (self.workspace().clone(), self.project().clone());
        self.living(policy::manage_project(&self.who.person, of.0, of.1, self.is))
    }

    /// May they give and take access in it?
    pub fn manage_reach(&self) -> Option<Authorized<ManageReach>> {
        let reach = Reach::Project(self.workspace().clone(), self.project().clone());
        self.living(policy::manage_reach(&self.who.person, reach, self.is))
    }

    /// May they say who is a member?
    pub fn manage_members(&self) -> Result<Authorized<ManageProjectMembers>, Forbidden> {
        let of = (self.workspace().clone(), self.project().clone());
        policy::manage_project_members(&self.who.person, of.0, of.1, self.is)
    }

    /// May they say whom of its workspace it takes over?
    pub fn manage_takes(&self) -> Result<Authorized<ManageTakes>, Forbidden> {
        let of = (self.workspace().clone(), self.project().clone());
        policy::manage_takes(&self.who.person, of.0, of.1, self.is)
    }

    fn living<P>(&self, permit: Result<Authorized<P>, Forbidden>) -> Option<Authorized<P>> {
        permit.ok().filter(|_| self.workspace().removing.is_none())
    }

    /// What `base.html` needs.
    pub fn frame(&self) -> Frame {
        Frame::new(&self.who, Nav::Workspaces)
    }

    /// The workspace's head around it.
    pub fn head(&self) -> Head {
        if !self.seen.sees_workspace() {
            return Head::outside(self.workspace());
        }
        let manages = policy::manage_workspace(&self.who.person, self.workspace().clone(), self.is.workspace).is_ok();
        Head::around(self.workspace(), manages)
    }

    /// The project's own head, on one of its pages.
    pub fn own_head(&self, page: ProjectTab) -> ProjectHead {
        ProjectHead::new(self.project(), page)
    }
}

/// A page of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectTab {
    /// Where it is, and who has access in it.
    Access,
    /// Who is what.
    Members,
}

/// The project's name and its pages.
#[derive(Clone, Debug)]
pub struct ProjectHead {
    /// Its name.
    pub name: String,
    /// Its pages.
    pub tabs: Vec<TabLink>,
}

impl ProjectHead {
    pub(super) fn new(project: &Project, page: ProjectTab) -> Self {
        let (workspace, id) = (project.workspace, project.id);
        let link = |label, href, tab| TabLink { label, href, current: tab == page };
        Self {
            name: project.name.to_string(),
            tabs: vec![
                link("Access", paths::project(workspace, id), ProjectTab::Access),
                link("Members", paths::project_members(workspace, id), ProjectTab::Members),
            ],
        }
    }
}
