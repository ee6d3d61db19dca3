//! Groups of our own: making, changing and deleting one, and who is in it. The store writes out what a Group holds in the
//! transaction that changes it; bringing that to the clusters is the loop's.

use super::{AccessError, audit};
use crate::{
    clock::Clock,
    model::{
        audience::Audience,
        audit::Action,
        grant::Grantee,
        group::{self, Group, GroupMember, GroupName},
        id::{GroupId, WorkspaceId},
        identity::Identity,
    },
    policy::{self, Authorized, Forbidden, MakeGroup, ManageGroup},
    store::{NewGroup, Store, StoreError},
};

/// Whom something that may reach several clusters is to be given to.
#[derive(Clone, Debug)]
pub enum Recipient {
    /// A person, an email or a provider's group. An email of somebody who has signed in with it already becomes the person by itself.
    One(Grantee),
    /// A Group, by its name as it was typed.
    Group(String),
}

impl From<Grantee> for Recipient {
    fn from(grantee: Grantee) -> Self {
        Self::One(grantee)
    }
}

/// Groups.
#[derive(Clone, Debug)]
pub struct Groups {
    store: Store,
    clock: Clock,
}

impl Groups {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Makes one. `Invalid` names the form's field (`name`, `keep`).
    pub async fn create(
        &self,
        permit: &Authorized<MakeGroup>,
        name: GroupName,
        owners_only: bool,
    ) -> Result<GroupId, AccessError> {
        if owners_only && !permit.as_owner() {
            return Err(not_theirs_to_keep());
        }
        check_new(&name)?;
        let event = audit::by(permit.person(), Action::GroupAdded, name.as_str());
        let new = NewGroup {
            id: GroupId::new(),
            workspace: permit.workspace().map(|workspace| workspace.id),
            name,
            owners_only,
            created_by: permit.person().identity().id,
        };
        self.store.add_group(&new, event, self.clock.now()).await.map_err(|e| refused(e, new.workspace.is_some()))?;
        Ok(new.id)
    }

    /// Gives it another name, and says who changes it.
    pub async fn change(
        &self,
        permit: &Authorized<ManageGroup>,
        name: &GroupName,
        owners_only: bool,
    ) -> Result<(), AccessError> {
        let group = permit.group();
        if owners_only != group.owners_only && !permit.as_owner() {
            return Err(not_theirs_to_keep());
        }
        if group.name == *name && group.owners_only == owners_only {
            return Ok(());
        }
        if group.name != *name {
            check_new(name)?;
        }
        let renamed = if group.name == *name { String::new() } else { format!(", was {}", group.name) };
        let kept = match (group.owners_only, owners_only) {
            (false, true) => ": only owners change who is in it",
            (true, false) => ": editors change who is in it, too",
            _ => "",
        };
        let event = audit::by(permit.person(), Action::GroupChanged, format!("{name}{renamed}{kept}"));
        let done = self.store.change_group(group, name, owners_only, event, self.clock.now()).await;
        done.map_err(|e| refused(e, group.workspace.is_some()))
    }

    /// Deletes it, and takes back all that was given to it. Repeating it is fine.
    pub async fn remove(&self, permit: &Authorized<ManageGroup>) -> Result<(), AccessError> {
        let group = permit.group();
        let event = audit::by(permit.person(), Action::GroupRemoved, group.name.as_str());
        let done = self.store.remove_group(group, event, self.clock.now()).await;
        done.map_err(|e| refused(e, group.workspace.is_some()))
    }

    /// Adds a member: all that the Group holds is given to them, too. `Invalid` names the form's field (`name`).
    pub async fn add(&self, permit: &Authorized<ManageGroup>, who: Grantee) -> Result<(), AccessError> {
        let group = permit.group();
        let (who, person) = self.known(who).await?;
        super::own_providers::counts_in(&who, person.as_ref(), group.workspace)?;
        policy::join_seated(permit.person(), &who, !self.store.seats_of(group.id).await?.is_empty())?;
        let target = format!("{} to {}", audit::grantee(&who, person.as_ref()), group.name);
        let event = audit::by(permit.person(), Action::GroupMemberAdded, target);
        let now = self.clock.now();
        let member = GroupMember { who, since: now, by: permit.person().identity().id };
        // Decided again with the row: it may become a member of something in between.
        let raises = policy::join_seated(permit.person(), &member.who, true).is_err();
        let done = self.store.add_group_member(group, &member, raises, event, now).await;
        done.map_err(|e| refused(e, group.workspace.is_some()))
    }

    /// Takes a member out: what they had by it alone they lose on all clusters. Repeating it is fine.
    pub async fn take_out(&self, permit: &Authorized<ManageGroup>, who: &Grantee) -> Result<(), AccessError> {
        let group = permit.group();
        let members = self.store.group_members(group.id).await?;
        let Some((_, person)) = members.into_iter().find(|(m, _)| m.who == *who) else { return Ok(()) };
        let target = format!("{} from {}", audit::grantee(who, person.as_ref()), group.name);
        let event = audit::by(permit.person(), Action::GroupMemberRemoved, target);
        let done = self.store.remove_group_member(group, who, event, self.clock.now()).await;
        done.map_err(|e| refused(e, group.workspace.is_some()))
    }

    /// Whoever has signed in with this email already is taken in as the person.
    async fn known(&self, who: Grantee) -> Result<(Grantee, Option<Identity>), AccessError> {
        let person = match &who {
            Grantee::Email(provider, email) => self.store.identity_by_email(provider, email).await?,
            Grantee::Person(id) => Some(self.store.identity(*id).await?),
            Grantee::Group(_, name) => {
                super::groups::check_wide(name)?;
                None
            }
            Grantee::ServiceAccount(_) => return Err(super::groups::no_account()),
        };
        Ok(match person {
            Some(person) => (Grantee::Person(person.id), Some(person)),
            None => (who, None),
        })
    }
}

/// The Group that is meant by what was typed where something in a workspace (`None`: everywhere) is given.
///
/// # Errors
/// `Invalid` at the field `name`, the same for one of another workspace as for one that never was.
pub(super) async fn named(store: &Store, workspace: Option<WorkspaceId>, typed: &str) -> Result<Group, AccessError> {
    let groups = store.groups_usable_in(workspace).await?;
    group::meant(typed, &groups).cloned().ok_or_else(unknown)
}

/// Whether a link in a workspace may be for the Groups that it names. One that gives what only owners give, or makes members, is for those
/// alone whose members owners keep: whoever changes who is in a Group says who gets that.
///
/// # Errors
/// `Invalid` at the field `only_for`.
pub(super) async fn check_named(
    store: &Store,
    audience: &Audience,
    workspace: WorkspaceId,
    kept: bool,
) -> Result<(), AccessError> {
    for id in audience.own_groups() {
        let group = match store.group(id).await {
            Ok(group) if group.is_usable_in(Some(workspace)) => group,
            Ok(_) | Err(StoreError::NotFound) => {
                return Err(invalid("only_for", "One of the Kubelend groups is not here any more."));
            }
            Err(other) => return Err(other.into()),
        };
        if kept && !group.is_kept() {
            let message = format!(
                "Editors change who is in the Kubelend group {}, and this is for owners to give: let only owners change it, on its page.",
                group.name
            );
            return Err(AccessError::Invalid { field: "only_for", message });
        }
    }
    Ok(())
}

/// Nothing here is called so, or whoever typed it is not to know.
pub(super) fn unknown() -> AccessError {
    invalid(
        "name",
        "There is no such group here. Groups are made on the workspace’s Groups page, and named as they are there.",
    )
}

/// Why something was not given to a Group.
pub(super) fn not_given(error: StoreError) -> AccessError {
    match error {
        StoreError::TooMuch(grants) => too_much(grants),
        StoreError::Full(most) => invalid("name", &format!("There is no more room: {most} are the most.")),
        StoreError::NotFound => invalid("name", "The group has just been deleted."),
        StoreError::Stale => {
            invalid("name", "Who changes this group has just been changed. Look at it, and try again.")
        }
        other => other.into(),
    }
}

fn too_much(grants: usize) -> AccessError {
    let most = Store::MOST_AT_ONCE;
    let message = format!(
        "That would be {grants} bindings at once, one for each member on each cluster, and {most} is the most. Put the people into \
         a group of your sign-in provider: that is one member."
    );
    AccessError::Invalid { field: "name", message }
}

fn check_new(name: &GroupName) -> Result<(), AccessError> {
    name.check_new().map_err(|why| invalid("name", &why.0))
}

fn not_theirs_to_keep() -> AccessError {
    invalid("keep", "Only owners of the workspace say who changes a group.")
}

fn refused(error: StoreError, in_workspace: bool) -> AccessError {
    match error {
        StoreError::Duplicate(message) => invalid("name", message),
        StoreError::Full(most) => invalid("name", &format!("There is no more room: {most} are the most.")),
        StoreError::TooMuch(grants) => too_much(grants),
        StoreError::Held => invalid(
            "keep",
            "It holds a role that only owners give, or a ClusterRole of a cluster’s own, or is a member of a workspace or project. Take that back first, then editors can change who is in it.",
        ),
        StoreError::Stale if in_workspace => Forbidden::GroupChanged.into(),
        other => other.into(),
    }
}

fn invalid(field: &'static str, message: &str) -> AccessError {
    AccessError::Invalid { field, message: message.to_owned() }
}
