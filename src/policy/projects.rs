//! Who may do what with a project. Its members, and those of its workspace whom it takes over, look at it and give access in it, and say
//! who is what there; nothing of the workspace beyond it is theirs.
//!
//! Where a project is (its clusters), and its end, stay with those who give access in the workspace: taking in another cluster reaches
//! into a namespace there, and that is no member's of the project to decide.

use super::{Authorized, Forbidden, Person, at_least, authorized};
use crate::model::{
    grant::Grantee,
    id::WorkspaceId,
    project::{Membership, Project},
    workspace::{MemberRole, Workspace},
};

/// May look at a project: where it is, who has access in it, who is what there.
#[derive(Clone, Debug)]
pub struct ViewProject(Workspace, Project, bool);
/// May rename a project, put it on other clusters, and remove it.
#[derive(Clone, Debug)]
pub struct ManageProject(Workspace, Project);
/// May say who is a member of a project, and what.
#[derive(Clone, Debug)]
pub struct ManageProjectMembers(Workspace, Project, bool);
/// May say whom of its workspace a project takes over.
#[derive(Clone, Debug)]
pub struct ManageTakes(Workspace, Project);

macro_rules! about_project {
    ($($permit:ident),+) => {$(
        impl Authorized<$permit> {
            /// The workspace that the project is in.
            pub fn workspace(&self) -> &Workspace {
                &self.permit.0
            }
            /// The project it is about.
            pub fn project(&self) -> &Project {
                &self.permit.1
            }
        }
    )+};
}
about_project!(ViewProject, ManageProject, ManageProjectMembers, ManageTakes);

impl Authorized<ViewProject> {
    /// Whether they may look at the workspace, too.
    pub fn sees_workspace(&self) -> bool {
        self.permit.2
    }
}

impl Authorized<ManageProjectMembers> {
    /// Whether they may look at the workspace, too.
    pub fn sees_workspace(&self) -> bool {
        self.permit.2
    }
}

/// May they look at this project? Its members may, and those of its workspace whom it takes over.
///
/// # Errors
/// [`Forbidden::NotYourProject`].
pub fn view_project(
    person: &Person,
    workspace: Workspace,
    project: Project,
    is: Membership,
) -> Result<Authorized<ViewProject>, Forbidden> {
    in_project(person, &project, is, MemberRole::Viewer)?;
    let sees = sees_workspace(person, workspace.id, is);
    Ok(authorized(person, ViewProject(workspace, project, sees)))
}

/// May they change where it is, and remove it? Whoever gives access both in its workspace and in it may.
///
/// # Errors
/// [`Forbidden::NotYourProject`], [`Forbidden::NotYourWorkspace`].
pub fn manage_project(
    person: &Person,
    workspace: Workspace,
    project: Project,
    is: Membership,
) -> Result<Authorized<ManageProject>, Forbidden> {
    in_project(person, &project, is, MemberRole::Editor)?;
    super::workspaces::in_workspace(person, workspace.id, is.workspace, MemberRole::Editor)?;
    Ok(authorized(person, ManageProject(workspace, project)))
}

/// May they say who is a member of it? Its owners may, those of its workspace among them.
///
/// # Errors
/// [`Forbidden::NotYourProject`].
pub fn manage_project_members(
    person: &Person,
    workspace: Workspace,
    project: Project,
    is: Membership,
) -> Result<Authorized<ManageProjectMembers>, Forbidden> {
    in_project(person, &project, is, MemberRole::Owner)?;
    let sees = sees_workspace(person, workspace.id, is);
    Ok(authorized(person, ManageProjectMembers(workspace, project, sees)))
}

/// May they say whom of the workspace it takes over? The workspace's owners may: an editor who could would let themselves in again,
/// and who is who in the workspace is no business of the project's own owners.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`].
pub fn manage_takes(
    person: &Person,
    workspace: Workspace,
    project: Project,
    is: Membership,
) -> Result<Authorized<ManageTakes>, Forbidden> {
    super::workspaces::in_workspace(person, workspace.id, is.workspace, MemberRole::Owner)?;
    Ok(authorized(person, ManageTakes(workspace, project)))
}

/// May they make this member of a project that? Nobody raises themselves, as in a workspace: whoever owns it by a group, or by the
/// workspace, would own it beyond that.
///
/// # Errors
/// [`Forbidden::RaisesThemselves`].
pub fn set_project_member(
    permit: &Authorized<ManageProjectMembers>,
    who: &Grantee,
    held: Option<MemberRole>,
    to: MemberRole,
) -> Result<(), Forbidden> {
    super::workspaces::raises_nobody(permit.person(), who, held, to)
}

/// Whether they are that in the project, or more.
pub(super) fn in_project(
    person: &Person,
    project: &Project,
    is: Membership,
    wanted: MemberRole,
) -> Result<(), Forbidden> {
    at_least(person, project.workspace, is.within(project), wanted).map_err(|_| Forbidden::NotYourProject)
}

/// Whether they may look at the workspace that they are such a member of.
pub(super) fn sees_workspace(person: &Person, workspace: WorkspaceId, is: Membership) -> bool {
    at_least(person, workspace, is.workspace, MemberRole::Viewer).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            id::{IdentityId, ProjectId},
            project::{Placement, Takes},
            role::Role,
            time::Timestamp,
        },
        policy::{
            PersonRule, Policy, Reach, give_widely, manage_reach, manage_workspace_access, tests::identity, view_reach,
            view_workspace,
        },
    };
    use MemberRole::{Editor, Owner, Viewer};

    fn people() -> (Person, Person) {
        let root = PersonRule::Group("dex".parse().unwrap(), "root".into());
        let policy = Policy { platform_admins: vec![root], ..Policy::default() };
        let person = |email: &str, groups: &[&str]| policy.person(identity(email, true, "dex", groups));
        (person("root@example.com", &["root"]), person("bob@example.com", &[]))
    }

    fn home() -> Workspace {
        Workspace {
            id: WorkspaceId::new(),
            name: "Payments".into(),
            created_by: None,
            created_at: Timestamp::from_secs(0),
            removing: None,
        }
    }

    fn shop(home: &Workspace, takes: Takes) -> Project {
        Project {
            id: ProjectId::new(),
            workspace: home.id,
            name: "Shop".parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement: Placement::All,
            takes,
            makes_namespace: false,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        }
    }

    /// What somebody may: look, give access, say who is a member, change where it is, say whom it takes over.
    fn may(who: &Person, home: &Workspace, project: &Project, is: Membership) -> [bool; 5] {
        let of = || (home.clone(), project.clone());
        let reach = || Reach::Project(home.clone(), project.clone());
        let with = |may: &dyn Fn(Workspace, Project) -> bool| {
            let (home, project) = of();
            may(home, project)
        };
        let looks = with(&|home, project| view_project(who, home, project, is).is_ok());
        assert_eq!(looks, view_reach(who, reach(), is).is_ok());
        [
            looks,
            manage_reach(who, reach(), is).is_ok(),
            with(&|home, project| manage_project_members(who, home, project, is).is_ok()),
            with(&|home, project| manage_project(who, home, project, is).is_ok()),
            with(&|home, project| manage_takes(who, home, project, is).is_ok()),
        ]
    }

    #[test]
    fn immune_28_a_project_s_member_may_there_what_the_role_says_and_nothing_of_the_workspace() {
        let (admin, bob) = people();
        let home = home();
        let project = shop(&home, Takes::default());
        for (role, may_there) in [
            (None, [false; 5]),
            (Some(Viewer), [true, false, false, false, false]),
            (Some(Editor), [true, true, false, false, false]),
            (Some(Owner), [true, true, true, false, false]),
        ] {
            let is = Membership { workspace: None, project: role };
            assert_eq!(may(&bob, &home, &project, is), may_there, "{role:?}");
            assert!(view_workspace(&bob, home.clone(), is.workspace).is_err());
            assert!(manage_workspace_access(&bob, home.clone(), is.workspace).is_err());
            assert!(view_reach(&bob, Reach::Workspace(home.clone()), is).is_err());
            assert!(manage_reach(&bob, Reach::Workspace(home.clone()), is).is_err());
            assert!(manage_reach(&bob, Reach::Global, is).is_err());
        }
        assert_eq!(may(&admin, &home, &project, Membership::default()), [true; 5]);
    }

    #[test]
    fn immune_28_the_workspace_s_people_are_in_a_project_what_it_takes_over() {
        let (_, bob) = people();
        let home = home();
        let (looks, edits) = ([true, false, false, false, false], [true, true, false, true, false]);
        for (editors, viewers, editor, viewer) in [
            (true, true, edits, looks),
            (true, false, edits, [false; 5]),
            (false, true, looks, looks),
            (false, false, [false; 5], [false; 5]),
        ] {
            let project = shop(&home, Takes { editors, viewers });
            let is = |role| Membership::from(Some(role));
            assert_eq!(may(&bob, &home, &project, is(Owner)), [true; 5]);
            assert_eq!(may(&bob, &home, &project, is(Editor)), editor, "{editors} {viewers}");
            assert_eq!(may(&bob, &home, &project, is(Viewer)), viewer, "{editors} {viewers}");
            // Shut out as an editor of the workspace, and let in as one of the project: both are needed to say where it is.
            let both = Membership { workspace: Some(Editor), project: Some(Editor) };
            assert_eq!(may(&bob, &home, &project, both), edits);
        }
    }

    #[test]
    fn immune_28_owning_a_project_gives_no_owners_roles_and_shows_no_groups() {
        let (_, bob) = people();
        let home = home();
        let reach = || {
            let project = shop(&home, Takes::default());
            Reach::Project(home.clone(), project)
        };
        let own = manage_reach(&bob, reach(), Membership { workspace: None, project: Some(Owner) }).unwrap();
        assert_eq!(give_widely(&own, &Role::ClusterAdmin), Err(Forbidden::OwnersGive));
        assert!(give_widely(&own, &Role::Admin).is_ok() && !own.sees_workspace());
        let of_workspace = manage_reach(&bob, reach(), Some(Owner)).unwrap();
        assert!(give_widely(&of_workspace, &Role::ClusterAdmin).is_ok() && of_workspace.sees_workspace());
    }

    #[test]
    fn immune_28_nobody_raises_themselves_in_a_project() {
        let (_, bob) = people();
        let home = home();
        let project = shop(&home, Takes::default());
        let owns = manage_project_members(&bob, home, project, Some(Owner).into()).unwrap();
        let himself = Grantee::Person(bob.identity.id);
        assert_eq!(set_project_member(&owns, &himself, None, Viewer), Err(Forbidden::RaisesThemselves));
        assert_eq!(set_project_member(&owns, &himself, Some(Owner), Viewer), Ok(()));
        assert_eq!(set_project_member(&owns, &Grantee::Person(IdentityId::new()), None, Owner), Ok(()));
    }
}
