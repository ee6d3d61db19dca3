//! Groups of our own as members. Whoever may say who is a member may make one a member, and take it out; but only one that is kept:
//! those who change who is in it say who is a member, so they have to be the workspace's owners, or platform admins.

use super::{Authorized, Forbidden, ManageMembers, ManageProjectMembers, Person, authorized};
use crate::model::{
    grant::Grantee,
    group::{Group, GroupMember},
    id::WorkspaceId,
    workspace::{MemberRole, Seats},
};

/// May make Groups members here.
#[derive(Clone, Debug)]
pub struct SeatGroups {
    seats: Seats,
    workspace: WorkspaceId,
    called: String,
    names: bool,
}

impl Authorized<SeatGroups> {
    /// Where.
    pub fn seats(&self) -> Seats {
        self.permit.seats
    }
    /// The workspace that it is in.
    pub fn workspace(&self) -> WorkspaceId {
        self.permit.workspace
    }
    /// What it is called.
    pub fn called(&self) -> &str {
        &self.permit.called
    }
    /// Whether they may know of the workspace's Groups: not whoever is a member of a project alone.
    pub fn names_groups(&self) -> bool {
        self.permit.names
    }
}

/// Whoever says who is a member of a workspace may.
pub fn seat_in_workspace(permit: &Authorized<ManageMembers>) -> Authorized<SeatGroups> {
    let workspace = permit.workspace();
    let (seats, called) = (Seats::Workspace(workspace.id), workspace.name.clone());
    authorized(permit.person(), SeatGroups { seats, workspace: workspace.id, called, names: true })
}

/// Whoever says who is a member of a project may.
pub fn seat_in_project(permit: &Authorized<ManageProjectMembers>) -> Authorized<SeatGroups> {
    let project = permit.project();
    let called = format!("the project {}", project.name);
    let names = permit.sees_workspace();
    authorized(
        permit.person(),
        SeatGroups { seats: Seats::Project(project.id), workspace: project.workspace, called, names },
    )
}

/// May they make this Group that? `own` is what they themselves are there by name, and `members` are those of the Group: nobody raises
/// themselves by way of one that they are in.
///
/// # Errors
/// [`Forbidden::GroupOfEditors`], [`Forbidden::RaisesThemselves`].
pub fn seat_group(
    permit: &Authorized<SeatGroups>,
    group: &Group,
    members: &[GroupMember],
    own: Option<MemberRole>,
    role: MemberRole,
) -> Result<(), Forbidden> {
    if !group.is_kept() {
        return Err(Forbidden::GroupOfEditors);
    }
    let themselves = Grantee::Person(permit.person().identity().id);
    let in_it = members.iter().any(|member| member.who == themselves);
    if in_it && raised_by_seat(permit, own, role) { Err(Forbidden::RaisesThemselves) } else { Ok(()) }
}

/// Whether whoever makes a Group that would be more by it, once they were in it, than they are.
pub fn raised_by_seat(permit: &Authorized<SeatGroups>, own: Option<MemberRole>, role: MemberRole) -> bool {
    !permit.person().is_platform_admin() && own < Some(role)
}

/// May they put this one into a Group that is a member somewhere? Nobody themselves.
///
/// # Errors
/// [`Forbidden::RaisesThemselves`].
pub fn join_seated(person: &Person, who: &Grantee, is_seated: bool) -> Result<(), Forbidden> {
    let themselves = *who == Grantee::Person(person.identity().id);
    if themselves && is_seated && !person.is_platform_admin() { Err(Forbidden::RaisesThemselves) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            id::{GroupId, IdentityId},
            time::Timestamp,
            workspace::Workspace,
        },
        policy::{Policy, manage_members, tests::identity},
    };
    use MemberRole::{Editor, Owner, Viewer};

    #[test]
    fn immune_28_keepers_of_a_group_raise_nobody_by_it_and_not_themselves() {
        let bob = Policy::default().person(identity("bob@example.com", true, "dex", &[]));
        let home = Workspace {
            id: WorkspaceId::new(),
            name: "Payments".into(),
            created_by: None,
            created_at: Timestamp::from_secs(0),
            removing: None,
        };
        let group = |owners_only, everywhere: bool| Group {
            id: GroupId::new(),
            workspace: (!everywhere).then_some(home.id),
            name: "Ops".parse().unwrap(),
            owners_only,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        };
        let permit = seat_in_workspace(&manage_members(&bob, home.clone(), Some(Owner)).unwrap());
        let member = |who| GroupMember { who, since: Timestamp::from_secs(0), by: bob.identity().id };
        for role in MemberRole::ALL {
            assert_eq!(seat_group(&permit, &group(false, false), &[], None, role), Err(Forbidden::GroupOfEditors));
            assert_eq!(seat_group(&permit, &group(true, false), &[], None, role), Ok(()));
            assert_eq!(seat_group(&permit, &group(false, true), &[], None, role), Ok(()));
        }
        let himself = Grantee::Person(bob.identity().id);
        let his = [member(himself.clone())];
        let seat = |own, role| seat_group(&permit, &group(true, false), &his, own, role);
        assert_eq!(seat(None, Viewer), Err(Forbidden::RaisesThemselves), "he owns it by a group");
        assert_eq!(seat(Some(Editor), Owner), Err(Forbidden::RaisesThemselves));
        assert_eq!(seat(Some(Owner), Owner), Ok(()));
        assert_eq!(join_seated(&bob, &himself, true), Err(Forbidden::RaisesThemselves));
        assert_eq!(join_seated(&bob, &himself, false), Ok(()));
        assert_eq!(join_seated(&bob, &Grantee::Person(IdentityId::new()), true), Ok(()));
    }
}
