//! Who looks at, makes and changes custom roles. What one lets do is given to people on clusters, so whoever writes one must own them: a
//! workspace's owners write those of the workspace, platform admins those of all.

use super::{Authorized, Forbidden, Person, authorized, workspaces::in_workspace};
use crate::model::{
    custom_role::CustomRole,
    workspace::{MemberRole, Workspace},
};

/// May make a custom role here.
#[derive(Clone, Debug)]
pub struct MakeRole(Option<Workspace>);
/// May look at a custom role.
#[derive(Clone, Debug)]
pub struct ViewRole(CustomRole);
/// May change and delete a custom role.
#[derive(Clone, Debug)]
pub struct ManageRole(CustomRole);

impl Authorized<MakeRole> {
    /// Where it will belong; `None` for all workspaces.
    pub fn workspace(&self) -> Option<&Workspace> {
        self.permit.0.as_ref()
    }
}

impl Authorized<ViewRole> {
    /// The role.
    pub fn role(&self) -> &CustomRole {
        &self.permit.0
    }
}

impl Authorized<ManageRole> {
    /// The role, as it was when this was decided.
    pub fn role(&self) -> &CustomRole {
        &self.permit.0
    }
}

fn may(
    person: &Person,
    workspace: Option<&Workspace>,
    member: Option<MemberRole>,
    wanted: MemberRole,
) -> Result<(), Forbidden> {
    match workspace {
        Some(workspace) => in_workspace(person, workspace.id, member, wanted),
        None if person.is_platform_admin() => Ok(()),
        None => Err(Forbidden::NoPlatformAdmin),
    }
}

/// May they make one here?
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`], [`Forbidden::NoPlatformAdmin`], [`Forbidden::WorkspaceGoing`].
pub fn make_role(
    person: &Person,
    workspace: Option<Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<MakeRole>, Forbidden> {
    may(person, workspace.as_ref(), member, MemberRole::Owner)?;
    if workspace.as_ref().is_some_and(|workspace| workspace.removing.is_some()) {
        return Err(Forbidden::WorkspaceGoing);
    }
    Ok(authorized(person, MakeRole(workspace)))
}

/// May they look at it? Members of its workspace may; at one of all workspaces platform admins.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`], [`Forbidden::NoPlatformAdmin`].
pub fn view_role(
    person: &Person,
    role: CustomRole,
    workspace: Option<&Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<ViewRole>, Forbidden> {
    may(person, workspace, member, MemberRole::Viewer)?;
    Ok(authorized(person, ViewRole(role)))
}

/// May they change and delete it?
///
/// # Errors
/// As above.
pub fn manage_role(
    person: &Person,
    role: CustomRole,
    workspace: Option<&Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageRole>, Forbidden> {
    may(person, workspace, member, MemberRole::Owner)?;
    Ok(authorized(person, ManageRole(role)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            id::{CustomRoleId, IdentityId, WorkspaceId},
            time::Timestamp,
        },
        policy::{PersonRule, Policy, tests::identity},
    };

    #[test]
    fn immune_28_only_owners_write_roles_of_a_workspace_and_only_platform_admins_those_of_all() {
        let root = PersonRule::Group("dex".parse().unwrap(), "root".into());
        let policy = Policy { platform_admins: vec![root], ..Policy::default() };
        let admin = policy.person(identity("root@example.com", true, "dex", &["root"]));
        let bob = policy.person(identity("bob@example.com", true, "dex", &[]));
        let home = Workspace {
            id: WorkspaceId::new(),
            name: "Payments".into(),
            created_by: None,
            created_at: Timestamp::from_secs(0),
            removing: None,
        };
        let (id, name) =
            (CustomRoleId::new(), "log-reader".parse::<crate::model::custom_role::CustomRoleName>().unwrap());
        let role = |workspace| CustomRole {
            id,
            workspace,
            role: name.role(id),
            name: name.clone(),
            rules: Vec::new(),
            revision: 0,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            changed_at: Timestamp::from_secs(0),
        };
        for (member, looks, writes) in [
            (None, false, false),
            (Some(MemberRole::Viewer), true, false),
            (Some(MemberRole::Editor), true, false),
            (Some(MemberRole::Owner), true, true),
        ] {
            let own = || role(Some(home.id));
            assert_eq!(view_role(&bob, own(), Some(&home), member).is_ok(), looks, "{member:?}");
            assert_eq!(manage_role(&bob, own(), Some(&home), member).is_ok(), writes, "{member:?}");
            assert_eq!(make_role(&bob, Some(home.clone()), member).is_ok(), writes, "{member:?}");
            // Owning one workspace is nothing for all of them.
            assert!(make_role(&bob, None, member).is_err() && manage_role(&bob, role(None), None, member).is_err());
        }
        assert!(make_role(&admin, None, None).is_ok() && manage_role(&admin, role(None), None, None).is_ok());
        assert!(manage_role(&admin, role(Some(home.id)), Some(&home), None).is_ok());
    }
}
