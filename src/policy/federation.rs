//! Who may look at and manage access that reaches further than one cluster. It is no more than the sum of what they may do on the
//! clusters in scope: a platform admin everywhere, an owner or editor of a workspace on all of its clusters and projects.

use super::{Authorized, Forbidden, Person, authorized, workspaces::in_workspace};
use crate::model::{
    cluster::Cluster,
    federation::WideScope,
    project::Project,
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
pub struct ViewReach(Reach);
/// May give and take access that reaches so far; as an owner of it, or not.
#[derive(Clone, Debug)]
pub struct ManageReach(pub(super) Reach, pub(super) bool);

impl Authorized<ViewReach> {
    /// How far.
    pub fn reach(&self) -> &Reach {
        &self.permit.0
    }
}

impl Authorized<ManageReach> {
    /// How far.
    pub fn reach(&self) -> &Reach {
        &self.permit.0
    }
}

/// May they look at access that reaches so far? `member` is what they are in its workspace.
///
/// # Errors
/// [`Forbidden::NoPlatformAdmin`], [`Forbidden::NotYourWorkspace`].
pub fn view_reach(
    person: &Person,
    reach: Reach,
    member: Option<MemberRole>,
) -> Result<Authorized<ViewReach>, Forbidden> {
    may(person, &reach, member, MemberRole::Viewer)?;
    Ok(authorized(person, ViewReach(reach)))
}

/// May they give and take access that reaches so far?
///
/// # Errors
/// [`Forbidden::NoPlatformAdmin`], [`Forbidden::NotYourWorkspace`].
pub fn manage_reach(
    person: &Person,
    reach: Reach,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageReach>, Forbidden> {
    may(person, &reach, member, MemberRole::Editor)?;
    let owner = may(person, &reach, member, MemberRole::Owner).is_ok();
    Ok(authorized(person, ManageReach(reach, owner)))
}

fn may(person: &Person, reach: &Reach, member: Option<MemberRole>, wanted: MemberRole) -> Result<(), Forbidden> {
    match reach {
        Reach::Global if person.platform_admin => Ok(()),
        Reach::Global => Err(Forbidden::NoPlatformAdmin),
        Reach::Workspace(_) | Reach::Project(..) | Reach::Cluster(..) => in_workspace(person, member, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            id::{IdentityId, ProjectId, WorkspaceId},
            project::Placement,
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
