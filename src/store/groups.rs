//! Groups of our own: making, changing and deleting one, and reading them. Who is in one is in `members`, what stands on a cluster
//! because of them in `pages`.
//!
//! Whatever changes a Group begins with [`federation::lock`], since what it holds is written out for each of its members in the same
//! transaction, and goes by what was seen of it when somebody's right to do so was decided ([`ready`]).

mod invited;
mod members;
mod pages;
mod seats;

pub(super) use invited::among;
pub(super) use members::{doubt, give_to_person, lock_if_named, of as members};
pub use pages::{GroupOnCluster, GroupsPage};
pub use seats::NewSeat;

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    db::{CHUNK, Tx, clash, parsed},
    federation::{self, FederatedRow, PlacementCounts, select_federated},
    grants::role_of,
    workspaces,
};
use crate::model::{
    federation::FederatedGrant,
    group::{Group, GroupName},
    id::{FederatedGrantId, GroupId, IdentityId, WorkspaceId},
    role::Role,
    time::Timestamp,
};

const NAME_TAKEN: &str = "There is a group of that name already.";
/// How many Groups a workspace has at most, and how many there are for all of them.
const MOST: i64 = 200;
/// How many grants a Group holds at most.
const MOST_HELD: i64 = 200;

/// A Group to make.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its id.
    pub id: GroupId,
    /// Where it belongs; `None` for all workspaces.
    pub workspace: Option<WorkspaceId>,
    /// Its name.
    pub name: GroupName,
    /// Whether owners alone change it.
    pub owners_only: bool,
    /// Who makes it.
    pub created_by: IdentityId,
}

/// How much there is to a Group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Members; a provider's group counts as one.
    pub members: u32,
    /// Grants to it that have not ended.
    pub grants: u32,
}

#[derive(sqlx::FromRow)]
struct GroupRow {
    id: String,
    workspace_id: Option<String>,
    name: String,
    owners_only: bool,
    created_by: String,
    created_at: i64,
}

macro_rules! select_groups {
    ($($rest:literal),+) => {
        concat!("SELECT id, workspace_id, name, owners_only, created_by, created_at FROM own_groups WHERE ", $($rest),+)
    };
}

impl GroupRow {
    fn group(self) -> Result<Group, StoreError> {
        Ok(Group {
            id: parsed(&self.id, "id of a group")?,
            workspace: self.workspace_id.map(|id| parsed(&id, "workspace of a group")).transpose()?,
            name: parsed(&self.name, "name of a group")?,
            owners_only: self.owners_only,
            created_by: parsed(&self.created_by, "maker of a group")?,
            created_at: Timestamp::from_millis(self.created_at),
        })
    }
}

/// As the index has it.
fn home_text(workspace: Option<WorkspaceId>) -> String {
    workspace.map(|id| id.to_string()).unwrap_or_default()
}

/// What an event about a Group is about.
fn about(group: &Group) -> About {
    group.workspace.map_or(About::Nothing, About::Workspace)
}

/// One Group inside a transaction; `None` where it is gone.
pub(super) async fn one(tx: &mut Tx, id: GroupId) -> Result<Option<Group>, StoreError> {
    const SQL: &str = select_groups!("id = $1");
    let row: Option<GroupRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.map(GroupRow::group).transpose()
}

/// A Group that is to be changed, and may be by whoever `saw` it so: nobody has been shut out in between. The caller holds
/// [`federation::lock`].
///
/// # Errors
/// `NotFound` where it is gone, `Stale` where others may change it now, or where its workspace is being deleted.
async fn ready(tx: &mut Tx, saw: &Group) -> Result<Group, StoreError> {
    let group = one(tx, saw.id).await?.ok_or(StoreError::NotFound)?;
    if group.owners_only != saw.owners_only || group.workspace != saw.workspace {
        return Err(StoreError::Stale);
    }
    if let Some(workspace) = group.workspace {
        workspaces::lock_for_giving(tx, workspace).await?;
    }
    Ok(group)
}

/// The same where something in this workspace (`None`: everywhere) is to be given to it.
///
/// # Errors
/// Besides: `NotFound` where it does not count there; `Full` where it holds as much as it may.
pub(super) async fn ready_for(tx: &mut Tx, saw: &Group, workspace: Option<WorkspaceId>) -> Result<(), StoreError> {
    const HELD: &str = "SELECT COUNT(*) FROM federated_grants WHERE group_id = $1 AND ended IS NULL";
    let group = ready(tx, saw).await?;
    if !group.is_usable_in(workspace) {
        return Err(StoreError::NotFound);
    }
    let (held,): (i64,) = on!(tx, |db| sqlx::query_as(HELD).bind(group.id.to_string()).fetch_one(db).await)?;
    if held >= MOST_HELD { Err(StoreError::Full("200 grants to one group")) } else { Ok(()) }
}

/// Whether it holds what only owners give, or may be that: of a ClusterRole of some name nobody here knows how strong it is.
async fn holds_owners_roles(tx: &mut Tx, id: GroupId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT DISTINCT role FROM federated_grants WHERE group_id = $1 AND ended IS NULL";
    let roles: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?;
    let mut strong = false;
    for (role,) in roles {
        strong |= role_of(&role)?.as_ref().is_some_and(|role| role.is_for_owners() || !Role::is_everywhere(role));
    }
    Ok(strong)
}

impl Store {
    /// Makes a Group.
    ///
    /// # Errors
    /// `Duplicate` where there is one of that name; `Full` where there are as many as may be; `Stale` where its workspace is
    /// being deleted, `NotFound` where that is gone.
    pub async fn add_group(&self, new: &NewGroup, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM own_groups WHERE COALESCE(workspace_id, '') = $1";
        const SQL: &str = "INSERT INTO own_groups (id, workspace_id, name, name_key, owners_only, created_by, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            if let Some(workspace) = new.workspace {
                workspaces::lock_for_giving(tx, workspace).await?;
            }
            let (count,): (i64,) =
                on!(tx, |db| sqlx::query_as(COUNT).bind(home_text(new.workspace)).fetch_one(db).await)?;
            if count >= MOST {
                return Err(StoreError::Full("200 groups"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(new.workspace.map(|id| id.to_string()))
                .bind(new.name.as_str())
                .bind(new.name.as_str().to_lowercase())
                .bind(new.owners_only)
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, NAME_TAKEN))?;
            let about = new.workspace.map_or(About::Nothing, About::Workspace);
            audit.append_of(tx, about, Some(new.id), now).await
        })
    }

    /// Gives a Group another name, and says who changes it. What it holds is called by its new name from then on.
    ///
    /// # Errors
    /// `Duplicate` as for making; `Held` where editors would change it and it holds what only owners give, or is a member somewhere; `NotFound`, `Stale`.
    pub async fn change_group(
        &self,
        saw: &Group,
        name: &GroupName,
        owners_only: bool,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE own_groups SET name = $2, name_key = $3, owners_only = $4 WHERE id = $1";
        const HELD: &str = "UPDATE federated_grants SET grantee_name = $2 WHERE group_id = $1 AND ended IS NULL";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let group = ready(tx, saw).await?;
            let opens = group.owners_only && !owners_only;
            if opens && (holds_owners_roles(tx, group.id).await? || seats::is_seated(tx, group.id).await?) {
                return Err(StoreError::Held);
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(group.id.to_string())
                .bind(name.as_str())
                .bind(name.as_str().to_lowercase())
                .bind(owners_only)
                .execute(&mut *db)
                .await
                .map(drop))
            .map_err(|e| clash(e, NAME_TAKEN))?;
            on!(tx, |db| sqlx::query(HELD).bind(group.id.to_string()).bind(name.as_str()).execute(db).await.map(drop))?;
            let renamed = Group { name: name.clone(), ..group.clone() };
            invited::rename(tx, &group, &renamed).await?;
            audit.append_of(tx, about(&group), Some(group.id), now).await
        })
    }

    /// Deletes a Group, and ends all that was given to it and what it is a member of, each with its event. Repeating it changes nothing.
    ///
    /// # Errors
    /// `Stale` where others may change it now.
    pub async fn remove_group(&self, saw: &Group, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM own_groups WHERE id = $1";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let group = match ready(tx, saw).await {
                Ok(group) => group,
                Err(StoreError::NotFound) => return Ok(()),
                Err(other) => return Err(other),
            };
            federation::end_of_group(tx, group.id, &audit, now).await?;
            seats::end_of(tx, &group, &audit, now).await?;
            on!(tx, |db| sqlx::query(SQL).bind(group.id.to_string()).execute(db).await.map(drop))?;
            audit.append_of(tx, about(&group), Some(group.id), now).await
        })
    }

    /// One Group.
    pub async fn group(&self, id: GroupId) -> Result<Group, StoreError> {
        const SQL: &str = select_groups!("id = $1");
        let row: Option<GroupRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.group()
    }

    /// The Groups of a workspace, or (`None`) those of all, by name.
    pub async fn groups_of(&self, workspace: Option<WorkspaceId>) -> Result<Vec<Group>, StoreError> {
        const SQL: &str = select_groups!("COALESCE(workspace_id, '') = $1 ORDER BY name_key, id");
        let rows: Vec<GroupRow> = read!(self, |db| sqlx::query_as(SQL).bind(home_text(workspace)).fetch_all(db).await)?;
        rows.into_iter().map(GroupRow::group).collect()
    }

    /// The Groups that somebody made, by name.
    pub(super) async fn groups_made_by(&self, maker: IdentityId) -> Result<Vec<Group>, StoreError> {
        const SQL: &str = select_groups!("created_by = $1 ORDER BY name_key, id");
        let rows: Vec<GroupRow> = read!(self, |db| sqlx::query_as(SQL).bind(maker.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(GroupRow::group).collect()
    }

    /// The Groups to which something in a workspace can be given, its own first; with `None` those of all alone.
    pub async fn groups_usable_in(&self, workspace: Option<WorkspaceId>) -> Result<Vec<Group>, StoreError> {
        let mut groups = if workspace.is_some() { self.groups_of(workspace).await? } else { Vec::new() };
        groups.extend(self.groups_of(None).await?);
        Ok(groups)
    }

    /// How much there is to each of these.
    pub async fn group_counts(&self, groups: &[GroupId]) -> Result<Vec<(GroupId, GroupCounts)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT o.id, (SELECT COUNT(*) FROM own_group_members m WHERE m.group_id = o.id), \
             (SELECT COUNT(*) FROM federated_grants f WHERE f.group_id = o.id AND f.ended IS NULL) \
             FROM own_groups o WHERE o.id IN ",
            id_list!()
        );
        let mut counts = Vec::new();
        for chunk in groups.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, i64, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for (id, members, grants) in rows {
                let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
                let of = GroupCounts { members: count(members), grants: count(grants) };
                counts.push((parsed(&id, "id of a group")?, of));
            }
        }
        Ok(counts)
    }

    /// The grants to a Group that have not ended, newest first, each with how far the clusters have followed. They are bounded.
    pub async fn grants_to_group(&self, id: GroupId) -> Result<Vec<(FederatedGrant, PlacementCounts)>, StoreError> {
        const SQL: &str = select_federated!("WHERE f.group_id = $1 AND f.ended IS NULL ORDER BY f.id DESC");
        let rows: Vec<FederatedRow> = read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?;
        let grants = rows.into_iter().map(FederatedRow::grant).collect::<Result<Vec<_>, _>>()?;
        let counts = self.placement_counts(&grants).await?;
        Ok(grants.into_iter().zip(counts).collect())
    }

    /// What the Groups are called that these federated grants are to; those that are to none are left out.
    pub async fn groups_behind(
        &self,
        grants: &[FederatedGrantId],
    ) -> Result<std::collections::HashMap<FederatedGrantId, GroupName>, StoreError> {
        const SQL: &str =
            concat!("SELECT id, grantee_name FROM federated_grants WHERE group_id IS NOT NULL AND id IN ", id_list!());
        let mut names = std::collections::HashMap::new();
        for chunk in grants.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for (id, name) in rows {
                names.insert(parsed(&id, "id of a federated grant")?, parsed(&name, "name of a group")?);
            }
        }
        Ok(names)
    }
}
