//! Who is what in a project, and whom of its workspace it takes over. Where a project is, is [`Federation`](super::Federation)'s, since
//! access follows it.

use super::{AccessError, audit, groups};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        grant::Grantee,
        identity::Identity,
        project::Takes,
        workspace::{Member, MemberRole},
    },
    policy::{self, Authorized, Forbidden, ManageProjectMembers, ManageTakes, ViewProject},
    store::{AuditDraft, Store, StoreError},
};

/// The people of projects.
#[derive(Clone, Debug)]
pub struct Projects {
    store: Store,
    clock: Clock,
}

impl Projects {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Adds a member. Somebody who is one already is `Invalid` (`name`). An email of somebody who has signed in with it, verified,
    /// becomes the person by itself.
    pub async fn add(
        &self,
        permit: &Authorized<ManageProjectMembers>,
        who: Grantee,
        role: MemberRole,
    ) -> Result<(), AccessError> {
        let (who, person) = groups::known(&self.store, permit.workspace().id, who).await?;
        policy::set_project_member(permit, &who, None, role)?;
        let event = by(permit, Action::ProjectMemberAdded, &who, person.as_ref(), role);
        let member = self.member(permit, who, role);
        let done = self.store.add_project_member(permit.project().id, &member, event, self.clock.now()).await;
        done.map_err(refused)
    }

    /// Gives a member another role.
    pub async fn change(
        &self,
        permit: &Authorized<ManageProjectMembers>,
        who: Grantee,
        role: MemberRole,
    ) -> Result<(), AccessError> {
        let (held, person) = self.held(permit, &who).await?.ok_or(AccessError::NotFound)?;
        policy::set_project_member(permit, &who, Some(held.role), role)?;
        let event = by(permit, Action::ProjectMemberChanged, &who, person.as_ref(), role);
        let member = self.member(permit, who, role);
        let done = self.store.change_project_member(permit.project().id, &member, event, self.clock.now()).await;
        done.map_err(refused)
    }

    /// Removes a member: what they could see and do by it ends with their next request. Repeating it is fine.
    pub async fn remove(&self, permit: &Authorized<ManageProjectMembers>, who: &Grantee) -> Result<(), AccessError> {
        let Some((held, person)) = self.held(permit, who).await? else { return Ok(()) };
        let event = by(permit, Action::ProjectMemberRemoved, who, person.as_ref(), held.role);
        Ok(self.store.remove_project_member(permit.project().id, who, event, self.clock.now()).await?)
    }

    /// Gives up what somebody is themselves in a project; what reaches them otherwise stays. Repeating it is fine.
    pub async fn leave(&self, permit: &Authorized<ViewProject>) -> Result<(), AccessError> {
        let (person, project) = (permit.person(), permit.project());
        let who = Grantee::Person(person.identity().id);
        let target = format!("{} from {}: left", person.identity().display(), project.name);
        let event = audit::by(person, Action::ProjectMemberRemoved, target);
        Ok(self.store.remove_project_member(project.id, &who, event, self.clock.now()).await?)
    }

    /// Says whom of its workspace a project takes over. Repeating it is fine.
    pub async fn take_over(&self, permit: &Authorized<ManageTakes>, takes: Takes) -> Result<(), AccessError> {
        let project = permit.project();
        let whom = taken_over(takes);
        let event = audit::by(permit.person(), Action::ProjectTakesChanged, format!("{}: {whom}", project.name));
        Ok(self.store.set_takes(project.id, takes, event, self.clock.now()).await?)
    }

    fn member(&self, permit: &Authorized<ManageProjectMembers>, who: Grantee, role: MemberRole) -> Member {
        Member { who, role, since: self.clock.now(), by: permit.person().identity().id }
    }

    async fn held(
        &self,
        permit: &Authorized<ManageProjectMembers>,
        who: &Grantee,
    ) -> Result<Option<(Member, Option<Identity>)>, AccessError> {
        let members = self.store.project_members(permit.project().id).await?;
        Ok(members.into_iter().find(|(member, _)| member.who == *who))
    }
}

fn by(
    permit: &Authorized<ManageProjectMembers>,
    action: Action,
    who: &Grantee,
    person: Option<&Identity>,
    role: MemberRole,
) -> AuditDraft {
    let target = format!("{} in {}: {}", audit::grantee(who, person), permit.project().name, role.as_str());
    audit::by(permit.person(), action, target)
}

fn refused(error: StoreError) -> AccessError {
    match error {
        StoreError::Stale => Forbidden::WorkspaceGoing.into(),
        StoreError::Duplicate(message) => AccessError::Invalid { field: "name", message: message.to_owned() },
        StoreError::Full(most) => {
            AccessError::Invalid { field: "name", message: format!("There is no more room: {most} are the most.") }
        }
        other => other.into(),
    }
}

/// Whose a project is besides its own members', in words.
pub(super) fn taken_over(takes: Takes) -> &'static str {
    match (takes.editors, takes.viewers) {
        (true, true) => "its workspace's owners, editors and viewers",
        (true, false) => "its workspace's owners and editors",
        (false, true) => "its workspace's owners, and editors and viewers as viewers",
        (false, false) => "its workspace's owners alone",
    }
}
