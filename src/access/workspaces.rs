//! Workspaces: making, renaming and deleting one, who its members are, and moving clusters between two.

use super::{AccessError, audit, groups};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        cluster::Removal,
        grant::Grantee,
        id::WorkspaceId,
        identity::Identity,
        name::WorkspaceName,
        workspace::{Member, MemberRole},
    },
    policy::{
        self, Authorized, CreateWorkspace, Forbidden, ManageMembers, ManageWorkspace, MoveCluster, ViewWorkspace,
    },
    store::{AuditDraft, NewWorkspace, Store, StoreError},
};

/// Workspaces.
#[derive(Clone, Debug)]
pub struct Workspaces {
    store: Store,
    clock: Clock,
}

impl Workspaces {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Makes one, with its maker as owner. A name that they have used already, or one workspace too many, is `Invalid` (`name`).
    pub async fn create(
        &self,
        permit: &Authorized<CreateWorkspace>,
        name: WorkspaceName,
    ) -> Result<WorkspaceId, AccessError> {
        let person = permit.person();
        let event = audit::by(person, Action::WorkspaceCreated, name.as_str());
        let new = NewWorkspace { id: WorkspaceId::new(), name, created_by: person.identity().id, most: permit.most() };
        match self.store.create_workspace(&new, event, self.clock.now()).await {
            Err(StoreError::Full(_)) => {
                let most = permit.most().unwrap_or_default();
                let message = format!(
                    "You have made {most} workspaces, and that is the most. Delete one, or ask a platform admin."
                );
                Err(AccessError::Invalid { field: "name", message })
            }
            done => done.map(|()| new.id).map_err(|e| refused(e, "name")),
        }
    }

    /// Gives it another name.
    pub async fn rename(&self, permit: &Authorized<ManageWorkspace>, name: WorkspaceName) -> Result<(), AccessError> {
        let workspace = permit.workspace();
        let event = audit::by(permit.person(), Action::WorkspaceRenamed, format!("{} to {name}", workspace.name));
        let done = self.store.rename_workspace(workspace.id, &name, event, self.clock.now()).await;
        done.map_err(|e| refused(e, "name"))
    }

    /// Asks for its deletion. It goes once its clusters have gone: with Kubelend's bindings, or leaving those.
    pub async fn delete(&self, permit: &Authorized<ManageWorkspace>, how: Removal) -> Result<(), AccessError> {
        let (person, workspace) = (permit.person(), permit.workspace());
        let what = match how {
            Removal::Purge => "with Kubelend's bindings",
            Removal::Leave => "leaving Kubelend's bindings on it",
        };
        let event = audit::by(person, Action::WorkspaceRemovalAsked, workspace.name.as_str());
        let of_cluster = audit::by(person, Action::ClusterRemovalAsked, what);
        let now = self.clock.now();
        Ok(self.store.ask_workspace_removal(workspace.id, how, event, of_cluster, now).await?)
    }

    /// Adds a member. Somebody who is one already is `Invalid` (`name`). An email of somebody who has signed in with it, verified,
    /// becomes the person by itself.
    pub async fn add(
        &self,
        permit: &Authorized<ManageMembers>,
        who: Grantee,
        role: MemberRole,
    ) -> Result<(), AccessError> {
        let (who, person) = groups::known(&self.store, permit.workspace().id, who).await?;
        policy::set_member(permit, &who, None, role)?;
        let event = by(permit, Action::MemberAdded, &who, person.as_ref(), role.as_str());
        let member = self.member(permit, who, role);
        self.store
            .add_member(permit.workspace().id, &member, event, self.clock.now())
            .await
            .map_err(|e| refused(e, "name"))
    }

    /// Gives a member another role.
    pub async fn change(
        &self,
        permit: &Authorized<ManageMembers>,
        who: Grantee,
        role: MemberRole,
    ) -> Result<(), AccessError> {
        let workspace = permit.workspace().id;
        let members = self.store.members(workspace).await?;
        let (held, person) = members.into_iter().find(|(m, _)| m.who == who).ok_or(AccessError::NotFound)?;
        policy::set_member(permit, &who, Some(held.role), role)?;
        let event = by(permit, Action::MemberChanged, &who, person.as_ref(), role.as_str());
        let member = self.member(permit, who, role);
        self.store.change_member(workspace, &member, event, self.clock.now()).await.map_err(|e| refused(e, "name"))
    }

    /// Removes a member. Repeating it is fine.
    pub async fn remove(&self, permit: &Authorized<ManageMembers>, who: &Grantee) -> Result<(), AccessError> {
        let workspace = permit.workspace().id;
        let members = self.store.members(workspace).await?;
        let Some((held, person)) = members.into_iter().find(|(m, _)| m.who == *who) else { return Ok(()) };
        let event = by(permit, Action::MemberRemoved, who, person.as_ref(), held.role.as_str());
        self.store.remove_member(workspace, who, event, self.clock.now()).await.map_err(|e| refused(e, "name"))
    }

    /// Gives up what somebody is themselves in a workspace; what reaches them by a group stays. Repeating it is fine.
    pub async fn leave(&self, permit: &Authorized<ViewWorkspace>) -> Result<(), AccessError> {
        let person = permit.person();
        let who = Grantee::Person(person.identity().id);
        let event = audit::by(person, Action::MemberRemoved, format!("{}: left", person.identity().display()));
        self.store
            .remove_member(permit.workspace().id, &who, event, self.clock.now())
            .await
            .map_err(|e| refused(e, "name"))
    }

    /// Puts a cluster into another workspace; its grants, links and devices go along. A cluster of its name there is `Invalid`
    /// (`workspace`).
    pub async fn move_cluster(&self, permit: &Authorized<MoveCluster>) -> Result<(), AccessError> {
        let (cluster, from, to) = (permit.cluster(), permit.from(), permit.to());
        let target = format!("{} from {} to {}", cluster.name, from.name, to.name);
        let event = audit::by(permit.person(), Action::ClusterMoved, target);
        match self.store.move_cluster(cluster.id, to.id, event, self.clock.now()).await {
            Err(StoreError::Duplicate(_)) => {
                let message = format!("{} has a cluster of this name already. Rename one of them first.", to.name);
                Err(AccessError::Invalid { field: "workspace", message })
            }
            Err(StoreError::Stale) if to.removing.is_none() => Err(Forbidden::BeingRemoved.into()),
            done => done.map_err(|e| refused(e, "workspace")),
        }
    }

    fn member(&self, permit: &Authorized<ManageMembers>, who: Grantee, role: MemberRole) -> Member {
        Member { who, role, since: self.clock.now(), by: permit.person().identity().id }
    }
}

fn by(
    permit: &Authorized<ManageMembers>,
    action: Action,
    who: &Grantee,
    person: Option<&Identity>,
    role: &str,
) -> AuditDraft {
    audit::by(permit.person(), action, format!("{}: {role}", audit::grantee(who, person)))
}

fn refused(error: StoreError, field: &'static str) -> AccessError {
    match error {
        StoreError::Stale => Forbidden::WorkspaceGoing.into(),
        StoreError::LastOwner => Forbidden::LastOwner.into(),
        StoreError::Duplicate(message) => AccessError::Invalid { field, message: message.to_owned() },
        StoreError::Full(most) => {
            AccessError::Invalid { field, message: format!("There is no more room: {most} are the most.") }
        }
        other => other.into(),
    }
}
