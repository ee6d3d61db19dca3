//! Who may look at and manage access that reaches further than one cluster. It is no more than the sum of what they may do on the
//! clusters in scope: a platform admin everywhere, an owner or editor of a workspace on all of its clusters, and in those of its projects
//! that take them over; a project's own owners and editors in that project, and nowhere else.

use super::{
    Authorized, Forbidden, Person, authorized,
    projects::{in_project, sees_workspace},
    workspaces::in_workspace,
};
use crate::model::{
    cluster::Cluster,
    federation::WideScope,
    project::{Membership, Project},
    workspace::{MemberRole, Workspace},
};

/// How far access reaches, with what is known of that.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Every cluster.
    Global,
    /// The clusters of a workspace.
    Workspace(Workspace),
    /// A project of a workspace.
    Project(Workspace, Project),
    /// One cluster of a workspace: where something is given to a Group.
    Cluster(Workspace, Box<Cluster>),
}

impl Reach {
    /// The same as a grant has it.
    pub fn scope(&self) -> WideScope {
        match self {
            Self::Global => WideScope::Global,
            Self::Workspace(workspace) => WideScope::Workspace(workspace.id),
            Self::Project(_, project) => WideScope::Project(project.id),
            Self::Cluster(_, cluster) => WideScope::Cluster(cluster.id),
        }
    }

    /// The workspace that it is in.
    pub fn workspace(&self) -> Option<&Workspace> {
        match self {
            Self::Global => None,
            Self::Workspace(workspace) | Self::Project(workspace, _) | Self::Cluster(workspace, _) => Some(workspace),
        }
    }

    /// In words: “every cluster”, “every cluster of Payments”, “namespace shop of the project Shop”.
    pub fn in_words(&self) -> String {
        match self {
            Self::Global => "every cluster".into(),
            Self::Workspace(workspace) => format!("every cluster of {}", workspace.name),
            Self::Project(_, project) => format!("namespace {} of the project {}", project.namespace, project.name),
            Self::Cluster(_, cluster) => cluster.name.to_string(),
        }
    }
}

/// May look at access that reaches so far.
#[derive(Clone, Debug)]
pub struct ViewReach(Reach, bool);
/// May give and take access that reaches so far; as an owner of its workspace, or not; as somebody who may look at that, or not.
#[derive(Clone, Debug)]
pub struct ManageReach(pub(super) Reach, pub(super) bool, bool);

impl Authorized<ViewReach> {
    /// How far.
    pub fn reach(&self) -> &Reach {
        &self.permit.0
    }

    /// Whether they may look at the workspace around it, too: whoever is a member of a project alone may not.
    pub fn sees_workspace(&self) -> bool {
        self.permit.1
    }
}

impl Authorized<ManageReach> {
    /// How far.
    pub fn reach(&self) -> &Reach {
        &self.permit.0
    }

    /// Whether they may look at the workspace around it, too: whoever is a member of a project alone may not.
    pub fn sees_workspace(&self) -> bool {
        self.permit.2
    }
}

/// May they look at access that reaches so far? `is` is what they are in its workspace, and in the project where it is one.
///
/// # Errors
/// [`Forbidden::NoPlatformAdmin`], [`Forbidden::NotYourWorkspace`], [`Forbidden::NotYourProject`].
pub fn view_reach(
    person: &Person,
    reach: Reach,
    is: impl Into<Membership>,
) -> Result<Authorized<ViewReach>, Forbidden> {
    let is = is.into();
    may(person, &reach, is, MemberRole::Viewer)?;
    let sees = reach.workspace().map_or(person.platform_admin, |home| sees_workspace(person, home.id, is));
    Ok(authorized(person, ViewReach(reach, sees)))
}

/// May they give and take access that reaches so far?
///
/// # Errors
/// [`Forbidden::NoPlatformAdmin`], [`Forbidden::NotYourWorkspace`], [`Forbidden::NotYourProject`].
pub fn manage_reach(
    person: &Person,
    reach: Reach,
    is: impl Into<Membership>,
) -> Result<Authorized<ManageReach>, Forbidden> {
    let is = is.into();
    may(person, &reach, is, MemberRole::Editor)?;
    // What only owners give is given by those of the workspace: owning a project in it is less.
    let owner = person.platform_admin || is.workspace == Some(MemberRole::Owner);
    let sees = reach.workspace().map_or(person.platform_admin, |home| sees_workspace(person, home.id, is));
    Ok(authorized(person, ManageReach(reach, owner, sees)))
}

fn may(person: &Person, reach: &Reach, is: Membership, wanted: MemberRole) -> Result<(), Forbidden> {
    match reach {
        Reach::Global if person.platform_admin => Ok(()),
        Reach::Global => Err(Forbidden::NoPlatformAdmin),
        Reach::Project(_, project) => in_project(person, project, is, wanted),
        Reach::Workspace(workspace) | Reach::Cluster(workspace, _) => {
            in_workspace(person, workspace.id, is.workspace, wanted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            id::{IdentityId, ProjectId, WorkspaceId},
            project::{Placement, Takes},
            time::Timestamp,
        },
        policy::{PersonRule, Policy, tests::identity},
    };

    #[test]
    fn immune_28_nobody_gives_access_that_reaches_further_than_what_they_manage() {
        let policy = Policy {
            platform_admins: vec![PersonRule::Group("dex".parse().unwrap(), "root".into())],
            ..Policy::default()
        };
        let admin = policy.person(identity("root@example.com", true, "dex", &["root"]));
        let bob = policy.person(identity("bob@example.com", true, "dex", &[]));
        let workspace = Workspace {
            id: WorkspaceId::new(),
            name: "Payments".into(),
            created_by: None,
            created_at: Timestamp::from_secs(0),
            removing: None,
        };
        let project = Project {
            id: ProjectId::new(),
            workspace: workspace.id,
            name: "Shop".parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement: Placement::All,
            takes: Takes::default(),
            makes_namespace: false,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        };
        let inside = [Reach::Workspace(workspace.clone()), Reach::Project(workspace, project)];
        // Owning a workspace is nothing everywhere else.
        assert_eq!(manage_reach(&bob, Reach::Global, Some(MemberRole::Owner)).err(), Some(Forbidden::NoPlatformAdmin));
        assert_eq!(view_reach(&bob, Reach::Global, Some(MemberRole::Owner)).err(), Some(Forbidden::NoPlatformAdmin));
        assert!(manage_reach(&admin, Reach::Global, None).is_ok());
        for reach in inside {
            for (member, looks, manages) in [
                (None, false, false),
                (Some(MemberRole::Viewer), true, false),
                (Some(MemberRole::Editor), true, true),
                (Some(MemberRole::Owner), true, true),
            ] {
                assert_eq!(view_reach(&bob, reach.clone(), member).is_ok(), looks, "{member:?}");
                assert_eq!(manage_reach(&bob, reach.clone(), member).is_ok(), manages, "{member:?}");
            }
            assert!(manage_reach(&admin, reach, None).is_ok());
        }
    }
}
