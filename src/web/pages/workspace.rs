//! What all pages of one workspace share: who looks at it and what they may, and the head with its tabs.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts as RequestParts,
    response::{IntoResponse, Response},
};

use super::cluster::TabLink;
use crate::{
    model::{
        cluster::Removal,
        id::WorkspaceId,
        time::Timestamp,
        workspace::{MemberRole, Workspace},
    },
    policy::{
        self, Authorized, Forbidden, ManageMembers, ManageReach, ManageWorkspace, ManageWorkspaceAccess, Reach,
        ViewWorkspace,
    },
    web::{
        Parts,
        errors::PageError,
        frame::{Frame, Nav},
        paths,
        session::SignedIn,
    },
};

/// A workspace that somebody looks at, from the address of the page.
#[derive(Debug)]
pub struct AtWorkspace {
    /// Who looks.
    pub who: SignedIn,
    /// That they may.
    pub seen: Authorized<ViewWorkspace>,
    /// What they are there, by themselves or by a group; `None` for a platform admin who is no member.
    pub member: Option<MemberRole>,
    /// The time of this page.
    pub now: Timestamp,
}

#[derive(serde::Deserialize)]
struct WorkspacePath {
    workspace: WorkspaceId,
}

impl FromRequestParts<Parts> for AtWorkspace {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Response> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        let path = Path::<WorkspacePath>::from_request_parts(parts, state).await;
        let Path(WorkspacePath { workspace }) = path.map_err(|_| PageError::not_found().into_response())?;
        load(who, workspace, state).await.map_err(IntoResponse::into_response)
    }
}

pub(super) async fn load(who: SignedIn, id: WorkspaceId, state: &Parts) -> Result<AtWorkspace, PageError> {
    let seen = state.gate.view_workspace(&who.person, id).await?;
    let member = state.store.membership(id, who.person.identity()).await?;
    Ok(AtWorkspace { who, seen, member, now: state.clock.now() })
}

impl AtWorkspace {
    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        self.seen.workspace()
    }

    /// Its id.
    pub fn id(&self) -> WorkspaceId {
        self.workspace().id
    }

    /// May they give and take access to its clusters?
    pub fn manage_access(&self) -> Result<Authorized<ManageWorkspaceAccess>, Forbidden> {
        policy::manage_workspace_access(&self.who.person, self.workspace().clone(), self.member)
    }

    /// May they give and take access that reaches so far into it? Nobody, once it is being deleted.
    pub fn manage_reach(&self, reach: Reach) -> Option<Authorized<ManageReach>> {
        let living = self.workspace().removing.is_none();
        policy::manage_reach(&self.who.person, reach, self.member).ok().filter(|_| living)
    }

    /// May they say who is a member?
    pub fn manage_members(&self) -> Result<Authorized<ManageMembers>, Forbidden> {
        policy::manage_members(&self.who.person, self.workspace().clone(), self.member)
    }

    /// May they rename and delete it?
    pub fn manage(&self) -> Result<Authorized<ManageWorkspace>, Forbidden> {
        policy::manage_workspace(&self.who.person, self.workspace().clone(), self.member)
    }

    /// May they add clusters to it?
    pub fn adds_clusters(&self) -> bool {
        policy::add_cluster_to(&self.who.person, self.workspace().clone(), self.member).is_ok()
    }

    /// What `base.html` needs.
    pub fn frame(&self) -> Frame {
        Frame::new(&self.who, Nav::Workspaces)
    }

    /// The head of the page behind this tab.
    pub fn head(&self, tab: Tab) -> Head {
        let manages = self.manage().is_ok();
        Head::new(self.workspace(), tab, |tab| manages || !matches!(tab, Tab::Invitations | Tab::Settings))
    }
}

/// A page of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// Its clusters, its people, lately.
    Overview,
    /// Who has a role on all its clusters.
    Access,
    /// Who can reach which of its clusters.
    Matrix,
    /// Its Groups.
    Groups,
    /// Its custom roles.
    Roles,
    /// Its projects.
    Projects,
    /// Who is what.
    Members,
    /// Links by which people join.
    Invitations,
    /// What happened.
    Activity,
    /// Name, deletion.
    Settings,
}

impl Tab {
    const ALL: [Self; 10] = [
        Self::Overview,
        Self::Access,
        Self::Matrix,
        Self::Groups,
        Self::Roles,
        Self::Projects,
        Self::Members,
        Self::Invitations,
        Self::Activity,
        Self::Settings,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Access => "Access",
            Self::Matrix => "Matrix",
            Self::Groups => "Groups",
            Self::Roles => "Roles",
            Self::Projects => "Projects",
            Self::Members => "Members",
            Self::Invitations => "Invitations",
            Self::Activity => "Activity",
            Self::Settings => "Settings",
        }
    }

    fn path(self, workspace: WorkspaceId) -> String {
        match self {
            Self::Overview => paths::workspace(workspace),
            Self::Access => paths::workspace_access(workspace),
            Self::Matrix => paths::workspace_matrix(workspace),
            Self::Groups => paths::workspace_groups(workspace),
            Self::Roles => paths::workspace_roles(workspace),
            Self::Projects => paths::projects(workspace),
            Self::Members => paths::members(workspace),
            Self::Invitations => paths::invitations(workspace),
            Self::Activity => paths::workspace_activity(workspace),
            Self::Settings => paths::workspace_settings(workspace),
        }
    }
}

/// The head that all pages of a workspace have.
#[derive(Clone, Debug)]
pub struct Head {
    /// The workspace's name.
    pub name: String,
    /// The page's.
    pub title: &'static str,
    /// The pages that the person may see.
    pub tabs: Vec<TabLink>,
    /// What is said while the workspace is on its way out.
    pub removing: Option<&'static str>,
}

impl Head {
    /// The head of a project's pages, for those who look at the workspace: with its tabs, where it is one of them.
    pub(super) fn around(workspace: &Workspace, owner: bool) -> Self {
        Self::new(workspace, Tab::Projects, |tab| owner || !matches!(tab, Tab::Invitations | Tab::Settings))
    }

    /// The same for those who are members of the project alone: it names the workspace, and leads nowhere in it.
    pub(super) fn outside(workspace: &Workspace) -> Self {
        Self { tabs: Vec::new(), ..Self::new(workspace, Tab::Projects, |_| false) }
    }

    fn new(workspace: &Workspace, tab: Tab, may: impl Fn(&Tab) -> bool) -> Self {
        let link = |t: Tab| TabLink { label: t.label(), href: t.path(workspace.id), current: t == tab };
        Self {
            name: workspace.name.clone(),
            title: tab.label(),
            tabs: Tab::ALL.into_iter().filter(may).map(link).collect(),
            removing: workspace.removing.map(removing_words),
        }
    }
}

fn removing_words(how: Removal) -> &'static str {
    match how {
        Removal::Purge => {
            "This workspace is being deleted. It goes as soon as Kubelend’s bindings are off its last cluster; while one cannot be reached, Kubelend keeps trying. Meanwhile it takes no new clusters and members."
        }
        Removal::Leave => "This workspace is being deleted. Kubelend’s bindings stay on its clusters.",
    }
}

/// What somebody is, with its article: “an owner”.
pub(super) fn a_role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Viewer => "a viewer",
        MemberRole::Editor => "an editor",
        MemberRole::Owner => "an owner",
    }
}

/// What a member of this role does.
pub(super) fn role_means(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Viewer => "look at its clusters and who has access",
        MemberRole::Editor => "give and take access on its clusters",
        MemberRole::Owner => "manage its clusters, its members and itself",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{model::id::IdentityId, web::pages::samples::NOW};

    /// A workspace to draw.
    pub(in crate::web) fn workspace(name: &str) -> Workspace {
        Workspace {
            id: WorkspaceId::new(),
            name: name.into(),
            created_by: Some(IdentityId::new()),
            created_at: NOW,
            removing: None,
        }
    }

    /// Its head, as its owner sees it.
    pub(in crate::web) fn head(workspace: &Workspace, tab: Tab) -> Head {
        Head::new(workspace, tab, |_| true)
    }

    #[test]
    fn only_owners_find_invitations_and_settings() {
        let labels = |owner: bool| {
            let all = |tab: &Tab| owner || !matches!(tab, Tab::Invitations | Tab::Settings);
            let head = Head::new(&workspace("Payments"), Tab::Members, all);
            head.tabs.iter().map(|t| t.label).collect::<Vec<_>>()
        };
        assert_eq!(
            labels(false),
            ["Overview", "Access", "Matrix", "Groups", "Roles", "Projects", "Members", "Activity"]
        );
        assert_eq!(
            labels(true),
            [
                "Overview",
                "Access",
                "Matrix",
                "Groups",
                "Roles",
                "Projects",
                "Members",
                "Invitations",
                "Activity",
                "Settings"
            ]
        );
    }
}
