//! Who may do what with workspaces and with access that reaches further than one cluster.
//!
//! Viewers look, editors manage access, owners manage members, clusters and the workspace itself. Platform admins may all of it.

use super::{Authorized, Forbidden, Person, at_least, authorized};
use crate::model::{
    cluster::Cluster,
    grant::Grantee,
    workspace::{MemberRole, Workspace},
};

/// May make a workspace.
#[derive(Clone, Copy, Debug)]
pub struct CreateWorkspace {
    most: Option<u32>,
}
/// May look at a workspace's pages.
#[derive(Clone, Debug)]
pub struct ViewWorkspace(Workspace);
/// May give and take access that reaches a workspace's clusters.
#[derive(Clone, Debug)]
pub struct ManageWorkspaceAccess(Workspace);
/// May say who is a member, and what.
#[derive(Clone, Debug)]
pub struct ManageMembers(Workspace);
/// May rename and delete a workspace.
#[derive(Clone, Debug)]
pub struct ManageWorkspace(Workspace);
/// May put a cluster into another workspace.
#[derive(Clone, Debug)]
pub struct MoveCluster {
    cluster: Cluster,
    from: Workspace,
    to: Workspace,
}

macro_rules! about_workspace {
    ($($permit:ident),+) => {$(
        impl Authorized<$permit> {
            /// The workspace it is about.
            pub fn workspace(&self) -> &Workspace {
                &self.permit.0
            }
        }
    )+};
}
about_workspace!(ViewWorkspace, ManageWorkspaceAccess, ManageMembers, ManageWorkspace);

impl Authorized<CreateWorkspace> {
    /// How many workspaces they may have made; `None` for any number.
    pub fn most(&self) -> Option<u32> {
        self.permit.most
    }
}

impl Authorized<MoveCluster> {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.permit.cluster
    }
    /// Where it is.
    pub fn from(&self) -> &Workspace {
        &self.permit.from
    }
    /// Where it goes.
    pub fn to(&self) -> &Workspace {
        &self.permit.to
    }
}

/// May they make a workspace? Platform admins may, and the people that the configuration lists, up to its limit.
///
/// # Errors
/// [`Forbidden::MakesNoWorkspaces`].
pub fn create_workspace(person: &Person) -> Result<Authorized<CreateWorkspace>, Forbidden> {
    if !person.may_make_workspaces() {
        return Err(Forbidden::MakesNoWorkspaces);
    }
    let most = (!person.platform_admin).then_some(person.most_workspaces);
    Ok(authorized(person, CreateWorkspace { most }))
}

/// May they look at this workspace's pages? Its members may.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`].
pub fn view_workspace(
    person: &Person,
    workspace: Workspace,
    member: Option<MemberRole>,
) -> Result<Authorized<ViewWorkspace>, Forbidden> {
    in_workspace(person, member, MemberRole::Viewer)?;
    Ok(authorized(person, ViewWorkspace(workspace)))
}

/// May they give and take access to all its clusters? Its owners and editors may.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`].
pub fn manage_workspace_access(
    person: &Person,
    workspace: Workspace,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageWorkspaceAccess>, Forbidden> {
    in_workspace(person, member, MemberRole::Editor)?;
    Ok(authorized(person, ManageWorkspaceAccess(workspace)))
}

/// May they say who is a member? Its owners may: an editor who could would make themselves an owner.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`].
pub fn manage_members(
    person: &Person,
    workspace: Workspace,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageMembers>, Forbidden> {
    in_workspace(person, member, MemberRole::Owner)?;
    Ok(authorized(person, ManageMembers(workspace)))
}

/// May they rename and delete it? Its owners may.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`].
pub fn manage_workspace(
    person: &Person,
    workspace: Workspace,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageWorkspace>, Forbidden> {
    in_workspace(person, member, MemberRole::Owner)?;
    Ok(authorized(person, ManageWorkspace(workspace)))
}

/// May they put this cluster into that workspace? Whoever owns both workspaces may.
///
/// # Errors
/// [`Forbidden::NotYours`], [`Forbidden::NotYourWorkspace`].
pub fn move_cluster(
    person: &Person,
    cluster: Cluster,
    from: (Workspace, Option<MemberRole>),
    to: (Workspace, Option<MemberRole>),
) -> Result<Authorized<MoveCluster>, Forbidden> {
    at_least(person, from.1, MemberRole::Owner)?;
    in_workspace(person, to.1, MemberRole::Owner)?;
    Ok(authorized(person, MoveCluster { cluster, from: from.0, to: to.0 }))
}

/// May they make this member of a workspace that? Nobody raises themselves: who owns it by a group would own it beyond that group.
///
/// # Errors
/// [`Forbidden::RaisesThemselves`].
pub fn set_member(
    permit: &Authorized<ManageMembers>,
    who: &Grantee,
    held: Option<MemberRole>,
    to: MemberRole,
) -> Result<(), Forbidden> {
    let person = permit.person();
    let themselves = *who == Grantee::Person(person.identity.id);
    if themselves && !person.platform_admin && held < Some(to) { Err(Forbidden::RaisesThemselves) } else { Ok(()) }
}

pub(super) fn in_workspace(person: &Person, member: Option<MemberRole>, wanted: MemberRole) -> Result<(), Forbidden> {
    at_least(person, member, wanted).map_err(|_| Forbidden::NotYourWorkspace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            id::{IdentityId, WorkspaceId},
            time::Timestamp,
        },
        policy::{
            PersonRule, Policy, add_cluster_to,
            tests::{cluster, identity},
        },
    };
    use MemberRole::{Editor, Owner, Viewer};

    fn policy() -> Policy {
        Policy {
            platform_admins: vec![PersonRule::Sub("dex".parse().unwrap(), "root".into())],
            cluster_adders: vec![PersonRule::Group("dex".parse().unwrap(), "ops".into())],
            workspace_makers: vec![PersonRule::Group("dex".parse().unwrap(), "devs".into())],
            workspaces_per_person: 3,
        }
    }

    fn person(groups: &[&str]) -> Person {
        policy().person(identity("bob@example.com", true, "dex", groups))
    }

    fn admin() -> Person {
        let mut root = identity("root@example.com", true, "dex", &[]);
        root.sub = "root".into();
        policy().person(root)
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

    #[test]
    fn immune_28_each_role_may_what_it_says_and_no_more() {
        let bob = person(&[]);
        for (member, looks, access, owns) in [
            (None, false, false, false),
            (Some(Viewer), true, false, false),
            (Some(Editor), true, true, false),
            (Some(Owner), true, true, true),
        ] {
            assert_eq!(view_workspace(&bob, workspace(), member).is_ok(), looks, "{member:?}");
            assert_eq!(manage_workspace_access(&bob, workspace(), member).is_ok(), access, "{member:?}");
            assert_eq!(manage_members(&bob, workspace(), member).is_ok(), owns, "{member:?}");
            assert_eq!(manage_workspace(&bob, workspace(), member).is_ok(), owns, "{member:?}");
            let theirs = (workspace(), Some(Owner));
            let moved = |from, to| move_cluster(&bob, cluster("dex"), from, to).is_ok();
            assert_eq!(moved((workspace(), member), theirs.clone()), owns, "{member:?}");
            assert_eq!(moved(theirs, (workspace(), member)), owns, "{member:?}");
            // Owning a workspace is not enough to add clusters to it, and being one who adds clusters is not either.
            assert!(add_cluster_to(&bob, workspace(), member).is_err(), "{member:?}");
            assert_eq!(add_cluster_to(&person(&["ops"]), workspace(), member).is_ok(), owns, "{member:?}");
        }
        assert!(manage_members(&admin(), workspace(), None).is_ok());
        assert!(add_cluster_to(&admin(), workspace(), None).is_ok());
    }

    #[test]
    fn immune_28_nobody_raises_themselves() {
        let bob = person(&[]);
        let himself = Grantee::Person(bob.identity.id);
        let owns = manage_members(&bob, workspace(), Some(Owner)).unwrap();
        // He owns it by a group, and would own it beyond that group.
        assert_eq!(set_member(&owns, &himself, None, Viewer), Err(Forbidden::RaisesThemselves));
        assert_eq!(set_member(&owns, &himself, Some(Viewer), Owner), Err(Forbidden::RaisesThemselves));
        assert_eq!(set_member(&owns, &himself, Some(Owner), Viewer), Ok(()));
        assert_eq!(set_member(&owns, &Grantee::Person(IdentityId::new()), None, Owner), Ok(()));
        let root = admin();
        let manages = manage_members(&root, workspace(), None).unwrap();
        assert_eq!(set_member(&manages, &Grantee::Person(root.identity.id), None, Owner), Ok(()));
    }

    #[test]
    fn listed_people_make_workspaces_up_to_the_limit_and_others_none() {
        assert_eq!(create_workspace(&person(&["devs"])).unwrap().most(), Some(3));
        assert_eq!(create_workspace(&admin()).unwrap().most(), None);
        assert_eq!(create_workspace(&person(&["ops"])).unwrap_err(), Forbidden::MakesNoWorkspaces);
    }
}
