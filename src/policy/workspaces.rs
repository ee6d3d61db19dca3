//! Who may do what with workspaces and with access that reaches further than one cluster.
//!
//! Viewers look, editors manage access, owners manage members, clusters and the workspace itself. Platform admins may all of it.

use super::{Authorized, Forbidden, Person, at_least, authorized};
use crate::model::{
    audience::NotInvited,
    cluster::Cluster,
    grant::Grantee,
    id::{GroupId, WorkspaceId},
    invitation::Invitation,
    share_link::LinkState,
    time::Timestamp,
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
/// May rename and delete a workspace, and say which provider of its own it has.
#[derive(Clone, Debug)]
pub struct ManageWorkspace(Workspace);
/// May put a cluster into another workspace.
#[derive(Clone, Debug)]
pub struct MoveCluster {
    cluster: Cluster,
    from: Workspace,
    to: Workspace,
}

/// May accept this invitation now.
#[derive(Clone, Debug)]
pub struct JoinWorkspace {
    invitation: Invitation,
    workspace: Workspace,
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

impl Authorized<JoinWorkspace> {
    /// The invitation.
    pub fn invitation(&self) -> &Invitation {
        &self.permit.invitation
    }
    /// Where to.
    pub fn workspace(&self) -> &Workspace {
        &self.permit.workspace
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
    in_workspace(person, workspace.id, member, MemberRole::Viewer)?;
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
    in_workspace(person, workspace.id, member, MemberRole::Editor)?;
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
    in_workspace(person, workspace.id, member, MemberRole::Owner)?;
    Ok(authorized(person, ManageMembers(workspace)))
}

/// May they rename and delete it, and say which provider of its own it has? Its owners may.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`].
pub fn manage_workspace(
    person: &Person,
    workspace: Workspace,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageWorkspace>, Forbidden> {
    in_workspace(person, workspace.id, member, MemberRole::Owner)?;
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
    at_least(person, from.0.id, from.1, MemberRole::Owner)?;
    in_workspace(person, to.0.id, to.1, MemberRole::Owner)?;
    Ok(authorized(person, MoveCluster { cluster, from: from.0, to: to.0 }))
}

/// May they accept this invitation now? Whoever it is for may, while it is open and its maker manages the workspace's members; and
/// nobody their own, since they would raise themselves.
///
/// The reasons come in the order of how little they tell.
///
/// # Errors
/// Why not.
pub fn join_workspace(
    (person, in_groups): (&Person, &[GroupId]),
    invitation: Invitation,
    workspace: Workspace,
    maker: &Person,
    makers_role: Option<MemberRole>,
    now: Timestamp,
) -> Result<Authorized<JoinWorkspace>, Forbidden> {
    match invitation.state(now) {
        LinkState::Open => {}
        closed => return Err(Forbidden::LinkClosed(closed)),
    }
    let manages = at_least(maker, workspace.id, makers_role, MemberRole::Owner).is_ok();
    if invitation.created_by != maker.identity.id || !manages {
        return Err(Forbidden::LinkClosed(LinkState::Revoked));
    }
    invitation.audience.invites(&person.identity, in_groups).map_err(Forbidden::NotInvited)?;
    if person.identity.id == maker.identity.id {
        return Err(Forbidden::RaisesThemselves);
    }
    // “Anyone” is anyone who counts there.
    if !person.identity.counts_in(Some(workspace.id)) {
        return Err(Forbidden::NotInvited(NotInvited::NotListed));
    }
    if workspace.removing.is_some() {
        return Err(Forbidden::WorkspaceGoing);
    }
    Ok(authorized(person, JoinWorkspace { invitation, workspace }))
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
    raises_nobody(permit.person(), who, held, to)
}

/// Whether this is somebody else, or no more than they held.
pub(super) fn raises_nobody(
    person: &Person,
    who: &Grantee,
    held: Option<MemberRole>,
    to: MemberRole,
) -> Result<(), Forbidden> {
    let themselves = *who == Grantee::Person(person.identity.id);
    if themselves && !person.platform_admin && held < Some(to) { Err(Forbidden::RaisesThemselves) } else { Ok(()) }
}

pub(super) fn in_workspace(
    person: &Person,
    workspace: WorkspaceId,
    member: Option<MemberRole>,
    wanted: MemberRole,
) -> Result<(), Forbidden> {
    at_least(person, workspace, member, wanted).map_err(|_| Forbidden::NotYourWorkspace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            audience::Audience,
            cluster::Removal,
            id::{IdentityId, InvitationId, WorkspaceId},
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
    fn immune_28_an_invitation_is_worth_what_its_maker_may_and_not_for_the_maker() {
        let (bob, maker) = (person(&[]), person(&[]));
        let invitation = Invitation {
            id: InvitationId::new(),
            workspace: WorkspaceId::new(),
            role: Owner,
            audience: Audience::Anyone,
            expires_at: Timestamp::from_secs(100),
            max_uses: None,
            created_by: maker.identity.id,
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            uses: 0,
        };
        let now = Timestamp::from_secs(1);
        let joins = |who: &Person, maker: &Person, role, workspace| {
            join_workspace((who, &[]), invitation.clone(), workspace, maker, role, now).map(drop)
        };
        assert_eq!(joins(&bob, &maker, Some(Owner), workspace()), Ok(()));
        let taken_back = Err(Forbidden::LinkClosed(LinkState::Revoked));
        for role in [None, Some(Viewer), Some(Editor)] {
            assert_eq!(joins(&bob, &maker, role, workspace()), taken_back, "{role:?}");
        }
        assert_eq!(joins(&bob, &bob, Some(Owner), workspace()), taken_back, "it is another's");
        assert_eq!(joins(&maker, &maker, Some(Owner), workspace()), Err(Forbidden::RaisesThemselves));
        let going = Workspace { removing: Some(Removal::Purge), ..workspace() };
        assert_eq!(joins(&bob, &maker, Some(Owner), going), Err(Forbidden::WorkspaceGoing));
        let over = join_workspace(
            (&bob, &[]),
            invitation.clone(),
            workspace(),
            &maker,
            Some(Owner),
            Timestamp::from_secs(100),
        );
        assert_eq!(over.unwrap_err(), Forbidden::LinkClosed(LinkState::Expired));
    }

    #[test]
    fn listed_people_make_workspaces_up_to_the_limit_and_others_none() {
        assert_eq!(create_workspace(&person(&["devs"])).unwrap().most(), Some(3));
        assert_eq!(create_workspace(&admin()).unwrap().most(), None);
        assert_eq!(create_workspace(&person(&["ops"])).unwrap_err(), Forbidden::MakesNoWorkspaces);
    }
}
