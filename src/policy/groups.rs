//! Who looks at, makes and changes Groups of our own, and what may be given to one.
//!
//! Whoever changes a Group's members gives each of them all that it holds. So it may hold only what every one of those may give
//! themselves: a workspace's Group what its editors may, where editors change it; what owners may, where owners alone do; and one
//! of all workspaces, which platform admins change, anything.

use super::{Authorized, Forbidden, ManageAccess, ManageReach, Person, authorized, roles, workspaces::in_workspace};
use crate::model::{
    group::Group,
    role::Role,
    workspace::{MemberRole, Workspace},
};

/// May look at a Group: who is in it, and what it holds.
#[derive(Clone, Debug)]
pub struct ViewGroup(Group, Option<Workspace>);
/// May change a Group and its members; as an owner of its workspace, or not.
#[derive(Clone, Debug)]
pub struct ManageGroup(Group, bool);
/// May make a Group here; as an owner of the workspace, or not.
#[derive(Clone, Debug)]
pub struct MakeGroup(Option<Workspace>, bool);

impl Authorized<ViewGroup> {
    /// The Group.
    pub fn group(&self) -> &Group {
        &self.permit.0
    }
    /// The workspace that it belongs to, if it belongs to one.
    pub fn workspace(&self) -> Option<&Workspace> {
        self.permit.1.as_ref()
    }
}

impl Authorized<ManageGroup> {
    /// The Group, as it was when this was decided.
    pub fn group(&self) -> &Group {
        &self.permit.0
    }
    /// Whether they may say who changes it.
    pub fn as_owner(&self) -> bool {
        self.permit.1
    }
}

impl Authorized<MakeGroup> {
    /// Where it will belong; `None` for all workspaces.
    pub fn workspace(&self) -> Option<&Workspace> {
        self.permit.0.as_ref()
    }
    /// Whether they may keep its members to owners.
    pub fn as_owner(&self) -> bool {
        self.permit.1
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

/// May they look at this Group? Members of its workspace may; at one of all workspaces platform admins.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`], [`Forbidden::NoPlatformAdmin`].
pub fn view_group(
    person: &Person,
    group: Group,
    workspace: Option<Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<ViewGroup>, Forbidden> {
    may(person, workspace.as_ref(), member, MemberRole::Viewer)?;
    Ok(authorized(person, ViewGroup(group, workspace)))
}

/// May they change it and its members? Owners and editors of its workspace may, owners alone where it is kept to them.
///
/// # Errors
/// As above; [`Forbidden::WorkspaceGoing`].
pub fn manage_group(
    person: &Person,
    group: Group,
    workspace: Option<Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageGroup>, Forbidden> {
    may(person, workspace.as_ref(), member, if group.owners_only { MemberRole::Owner } else { MemberRole::Editor })?;
    if workspace.as_ref().is_some_and(|workspace| workspace.removing.is_some()) {
        return Err(Forbidden::WorkspaceGoing);
    }
    let owner = may(person, workspace.as_ref(), member, MemberRole::Owner).is_ok();
    Ok(authorized(person, ManageGroup(group, owner)))
}

/// May they make one here? Owners and editors of the workspace may; one of all workspaces platform admins.
///
/// # Errors
/// As above.
pub fn make_group(
    person: &Person,
    workspace: Option<Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<MakeGroup>, Forbidden> {
    may(person, workspace.as_ref(), member, MemberRole::Editor)?;
    if workspace.as_ref().is_some_and(|workspace| workspace.removing.is_some()) {
        return Err(Forbidden::WorkspaceGoing);
    }
    let owner = may(person, workspace.as_ref(), member, MemberRole::Owner).is_ok();
    Ok(authorized(person, MakeGroup(workspace, owner)))
}

/// May they give this role to this Group, on the permit's cluster? A custom role owners alone, since it counts for members to come, and
/// as whoever changes it says.
///
/// # Errors
/// [`Forbidden::OwnersGive`], [`Forbidden::OwnersGiveFurther`]; [`Forbidden::GroupNotKept`] where they might, were its members kept to
/// owners.
pub fn give_to_group(permit: &Authorized<ManageAccess>, group: &Group, role: &Role) -> Result<(), Forbidden> {
    roles::give(permit, Some(role))?;
    if role.custom_name().is_some() {
        roles::give_further(permit)?;
    }
    held_by(group, role)
}

/// May they give this role to this Group, on all in the permit's reach?
///
/// # Errors
/// As above.
pub fn give_widely_to_group(permit: &Authorized<ManageReach>, group: &Group, role: &Role) -> Result<(), Forbidden> {
    roles::give_widely(permit, role)?;
    held_by(group, role)
}

/// Whether whoever changes a Group's members may give this role, too.
fn held_by(group: &Group, role: &Role) -> Result<(), Forbidden> {
    if group.is_kept() || !(role.is_for_owners() || role.custom_name().is_some()) {
        Ok(())
    } else {
        Err(Forbidden::GroupNotKept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            cluster::Removal,
            id::{GroupId, IdentityId, WorkspaceId},
            time::Timestamp,
        },
        policy::{
            PersonRule, Policy, Reach, manage_access, manage_reach,
            tests::{cluster, identity},
        },
    };
    use MemberRole::{Editor, Owner, Viewer};

    fn people() -> (Person, Person) {
        let root = PersonRule::Group("dex".parse().unwrap(), "root".into());
        let policy = Policy { platform_admins: vec![root], ..Policy::default() };
        let person = |email: &str, groups: &[&str]| policy.person(identity(email, true, "dex", groups));
        (person("root@example.com", &["root"]), person("bob@example.com", &[]))
    }

    fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId::new(),
            name: "Payments".into(),
            created_by: None,
            created_at: Timestamp::from_secs(0),
            removing: None,
        }
    }

    fn group(workspace: Option<&Workspace>, owners_only: bool) -> Group {
        Group {
            id: GroupId::new(),
            workspace: workspace.map(|w| w.id),
            name: "Ops".parse().unwrap(),
            owners_only,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        }
    }

    #[test]
    fn immune_28_a_group_is_changed_by_those_who_may_give_what_it_may_hold() {
        let (admin, bob) = people();
        let home = workspace();
        for (member, looks, changes, kept) in [
            (None, false, false, false),
            (Some(Viewer), true, false, false),
            (Some(Editor), true, true, false),
            (Some(Owner), true, true, true),
        ] {
            let of = |owners_only| group(Some(&home), owners_only);
            assert_eq!(view_group(&bob, of(true), Some(home.clone()), member).is_ok(), looks, "{member:?}");
            assert_eq!(manage_group(&bob, of(false), Some(home.clone()), member).is_ok(), changes, "{member:?}");
            assert_eq!(manage_group(&bob, of(true), Some(home.clone()), member).is_ok(), kept, "{member:?}");
            assert_eq!(make_group(&bob, Some(home.clone()), member).is_ok(), changes, "{member:?}");
            let owner = make_group(&bob, Some(home.clone()), member).is_ok_and(|permit| permit.as_owner());
            assert_eq!(owner, kept, "{member:?}");
            // Owning one workspace is nothing for those of all.
            assert!(view_group(&bob, group(None, false), None, member).is_err());
            assert!(manage_group(&bob, group(None, false), None, member).is_err());
            assert!(make_group(&bob, None, member).is_err());
        }
        assert!(manage_group(&admin, group(None, false), None, None).is_ok() && make_group(&admin, None, None).is_ok());
        assert!(manage_group(&admin, group(Some(&home), true), Some(home.clone()), None).is_ok());
        let going = Workspace { removing: Some(Removal::Purge), ..home };
        assert_eq!(
            manage_group(&bob, group(Some(&going), false), Some(going), Some(Owner)).err(),
            Some(Forbidden::WorkspaceGoing)
        );
    }

    #[test]
    fn immune_28_a_custom_role_goes_on_a_cluster_from_owners_to_groups_that_owners_keep() {
        let (admin, bob) = people();
        let home = workspace();
        let role = Role::named("kubelend:log-reader:0123abcd").unwrap();
        for (person, member, owner) in [(&bob, Editor, false), (&bob, Owner, true), (&admin, Viewer, true)] {
            let permit = manage_access(person, cluster("dex"), Some(member)).unwrap();
            for (group, kept) in
                [(group(Some(&home), false), false), (group(Some(&home), true), true), (group(None, false), true)]
            {
                let wanted = match (owner, kept) {
                    (false, _) => Err(Forbidden::OwnersGiveFurther),
                    (true, false) => Err(Forbidden::GroupNotKept),
                    (true, true) => Ok(()),
                };
                assert_eq!(give_to_group(&permit, &group, &role), wanted, "{member:?}");
            }
        }
    }

    #[test]
    fn immune_28_cluster_admin_goes_to_groups_alone_whose_members_owners_keep() {
        let (admin, bob) = people();
        let home = workspace();
        for (owners_only, global, fits) in [(false, false, false), (true, false, true), (false, true, true)] {
            let group = group((!global).then_some(&home), owners_only);
            for (person, member, owner) in [(&bob, Editor, false), (&bob, Owner, true), (&admin, Viewer, true)] {
                let permit = manage_access(person, cluster("dex"), Some(member)).unwrap();
                let wide = manage_reach(person, Reach::Workspace(home.clone()), Some(member)).unwrap();
                let wanted = match (owner, fits) {
                    (false, _) => Err(Forbidden::OwnersGive),
                    (true, false) => Err(Forbidden::GroupNotKept),
                    (true, true) => Ok(()),
                };
                assert_eq!(give_to_group(&permit, &group, &Role::ClusterAdmin), wanted);
                assert_eq!(give_widely_to_group(&wide, &group, &Role::ClusterAdmin), wanted);
                assert!(give_to_group(&permit, &group, &Role::Admin).is_ok());
                assert!(give_widely_to_group(&wide, &group, &Role::Admin).is_ok());
            }
        }
    }
}
