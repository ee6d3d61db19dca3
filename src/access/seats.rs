//! Groups of our own as members of workspaces and of projects.

use super::{AccessError, audit, own_groups};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        grant::Grantee,
        id::GroupId,
        workspace::{MemberRole, Seats as Place},
    },
    policy::{self, Authorized, Forbidden, SeatGroups},
    store::{NewSeat, Store, StoreError},
};

/// Groups as members.
#[derive(Clone, Debug)]
pub struct Seats {
    store: Store,
    clock: Clock,
}

impl Seats {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Makes the Group that was typed a member. `Invalid` names the form's field (`name`).
    pub async fn add(&self, permit: &Authorized<SeatGroups>, typed: &str, role: MemberRole) -> Result<(), AccessError> {
        if !permit.names_groups() {
            return Err(own_groups::unknown());
        }
        let group = own_groups::named(&self.store, Some(permit.workspace()), typed).await?;
        let there = self.store.seated_groups(permit.seats()).await?;
        if there.iter().any(|seat| seat.group.id == group.id) {
            return Err(invalid("It is a member already."));
        }
        self.seat(permit, group.id, role, Action::SeatAdded).await
    }

    /// Gives a Group that is a member another role.
    pub async fn change(
        &self,
        permit: &Authorized<SeatGroups>,
        group: GroupId,
        role: MemberRole,
    ) -> Result<(), AccessError> {
        let there = self.store.seated_groups(permit.seats()).await?;
        if !there.iter().any(|seat| seat.group.id == group) {
            return Err(AccessError::NotFound);
        }
        self.seat(permit, group, role, Action::SeatChanged).await
    }

    /// Ends a Group's membership: what those in it could see and do by it ends with their next request. Repeating it is fine.
    pub async fn remove(&self, permit: &Authorized<SeatGroups>, group: GroupId) -> Result<(), AccessError> {
        let there = self.store.seated_groups(permit.seats()).await?;
        let Some(seat) = there.into_iter().find(|seat| seat.group.id == group) else { return Ok(()) };
        let target = format!("{} of {}: {}", audit::group(&seat.group.name), permit.called(), seat.role.as_str());
        let event = audit::by(permit.person(), Action::SeatRemoved, target);
        Ok(self.store.unseat_group(permit.seats(), group, event, self.clock.now()).await?)
    }

    async fn seat(
        &self,
        permit: &Authorized<SeatGroups>,
        group: GroupId,
        role: MemberRole,
        action: Action,
    ) -> Result<(), AccessError> {
        let group = self.store.group(group).await?;
        let members: Vec<_> = self.store.group_members(group.id).await?.into_iter().map(|(member, _)| member).collect();
        let own = self.own(permit).await?;
        match policy::seat_group(permit, &group, &members, own, role) {
            Err(why @ Forbidden::GroupOfEditors) => return Err(invalid(&format!("It cannot be a member: {why}."))),
            decided => decided?,
        }
        let target = format!("{} of {}: {}", audit::group(&group.name), permit.called(), role.as_str());
        let event = audit::by(permit.person(), action, target);
        let raises = policy::raised_by_seat(permit, own, role);
        let new = NewSeat { role, by: permit.person().identity().id, raises };
        let done = self.store.seat_group(permit.seats(), &group, new, event, self.clock.now()).await;
        done.map_err(|error| match error {
            StoreError::Held | StoreError::Stale => Forbidden::GroupChanged.into(),
            StoreError::Full(most) => invalid(&format!("There is no more room: {most} are the most.")),
            other => other.into(),
        })
    }

    /// What they themselves are there by name.
    async fn own(&self, permit: &Authorized<SeatGroups>) -> Result<Option<MemberRole>, AccessError> {
        let members = match permit.seats() {
            Place::Workspace(id) => self.store.members(id).await?,
            Place::Project(id) => self.store.project_members(id).await?,
        };
        let themselves = Grantee::Person(permit.person().identity().id);
        Ok(members.into_iter().find(|(member, _)| member.who == themselves).map(|(member, _)| member.role))
    }
}

fn invalid(message: &str) -> AccessError {
    AccessError::Invalid { field: "name", message: message.to_owned() }
}
