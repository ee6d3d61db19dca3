//! Workspaces: making, renaming and deleting one, and reading them. Who is what in one is in `members`.
//!
//! Whatever changes a workspace or its members takes its row first, so that two changes follow one another: of two owners who
//! leave at the same moment, one is the last and stays.

/// The oldest workspace that somebody (`$1`) owns themselves.
macro_rules! own_workspace {
    () => {
        "SELECT w.id FROM workspaces w JOIN members m ON m.workspace_id = w.id \
         WHERE m.identity_id = $1 AND m.role = 'owner' AND w.removing IS NULL ORDER BY w.id LIMIT 1"
    };
}
macro_rules! select_workspaces {
    ($($rest:expr),+) => {
        concat!("SELECT id, name, created_by, created_at, removing FROM workspaces WHERE ", $($rest),+)
    };
}

mod invitations;
mod lists;
mod members;

pub use invitations::{Joined, NewInvitation};
pub use lists::WorkspaceCounts;
pub(super) use members::{doubt, give_to_person};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{Tx, parsed},
    federation, own_providers,
};
use crate::model::{
    audit::Action,
    cluster::Removal,
    grant::Grantee,
    id::{ClusterId, IdentityId, WorkspaceId},
    name::WorkspaceName,
    time::Timestamp,
    workspace::{Member, MemberRole, Workspace},
};

const NAME_TAKEN: &str = "There is a workspace of that name already.";

/// A workspace to make.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: WorkspaceName,
    /// Who makes it and becomes its first owner.
    pub created_by: IdentityId,
    /// How many they may have made, this one included.
    pub most: Option<u32>,
}

#[derive(sqlx::FromRow)]
struct WorkspaceRow {
    id: String,
    name: String,
    created_by: Option<String>,
    created_at: i64,
    removing: Option<String>,
}

impl WorkspaceRow {
    fn workspace(self) -> Result<Workspace, StoreError> {
        Ok(Workspace {
            id: parsed(&self.id, "id of a workspace")?,
            name: self.name,
            created_by: self.created_by.map(|id| parsed(&id, "maker of a workspace")).transpose()?,
            created_at: Timestamp::from_millis(self.created_at),
            removing: self.removing.as_deref().map(clusters::removal).transpose()?,
        })
    }
}

/// Locks a workspace's row until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: WorkspaceId) -> Result<Workspace, StoreError> {
    const SQL: &str = "UPDATE workspaces SET removing = removing WHERE id = $1 \
         RETURNING id, name, created_by, created_at, removing";
    let row: Option<WorkspaceRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.workspace()
}

/// The same where something is to be put into it.
///
/// # Errors
/// `Stale` where it is on its way out.
pub(super) async fn lock_for_giving(tx: &mut Tx, id: WorkspaceId) -> Result<Workspace, StoreError> {
    let workspace = lock(tx, id).await?;
    if workspace.removing.is_some() { Err(StoreError::Stale) } else { Ok(workspace) }
}

/// Waits for whatever else this person is making: two things that they make at once are made one after the other.
async fn queue_for(tx: &mut Tx, person: IdentityId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE identities SET last_sign_in = last_sign_in WHERE id = $1";
    let there =
        on!(tx, |db| sqlx::query(SQL).bind(person.to_string()).execute(db).await.map(|done| done.rows_affected()))?;
    if there == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

/// The workspace that somebody owns themselves (the oldest, if several), made where there is none.
pub(super) async fn own(tx: &mut Tx, by: IdentityId, name: &str, now: Timestamp) -> Result<WorkspaceId, StoreError> {
    const FIND: &str = own_workspace!();
    queue_for(tx, by).await?;
    members::adopt(tx).await?;
    let found: Option<(String,)> = on!(tx, |db| sqlx::query_as(FIND).bind(by.to_string()).fetch_optional(db).await)?;
    if let Some((id,)) = found {
        let id = parsed(&id, "id of a workspace")?;
        return lock_for_giving(tx, id).await.map(|_| id);
    }
    let id = WorkspaceId::new();
    insert(tx, id, name, by, now).await?;
    Ok(id)
}

async fn insert(tx: &mut Tx, id: WorkspaceId, name: &str, by: IdentityId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO workspaces (id, name, created_by, created_at) VALUES ($1, $2, $3, $4)";
    on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(super::db::shown(name))
        .bind(by.to_string())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop))?;
    let owner = Member { who: Grantee::Person(by), role: MemberRole::Owner, since: now, by };
    members::put(tx, id, &owner).await
}

/// Refuses a name that another workspace of the same maker has, whose row the caller holds. Compared here, since databases know
/// case of ASCII alone, or each by its own locale.
async fn check_name(
    tx: &mut Tx,
    maker: IdentityId,
    name: &WorkspaceName,
    but: WorkspaceId,
) -> Result<usize, StoreError> {
    const SQL: &str = select_workspaces!("created_by = $1 AND removing IS NULL AND id <> $2");
    let rows: Vec<WorkspaceRow> =
        on!(tx, |db| sqlx::query_as(SQL).bind(maker.to_string()).bind(but.to_string()).fetch_all(db).await)?;
    if rows.iter().any(|row| name.matches(&row.name)) {
        return Err(StoreError::Duplicate(NAME_TAKEN));
    }
    Ok(rows.len())
}

/// Deletes workspaces whose deletion was asked and whose clusters have gone, each with its event.
pub(super) async fn finish(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    const DUE: &str = "SELECT id FROM workspaces WHERE removing IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM clusters c WHERE c.workspace_id = workspaces.id)";
    let due: Vec<(String,)> = on!(tx, |db| sqlx::query_as(DUE).fetch_all(db).await)?;
    for (id,) in due {
        let workspace = lock(tx, parsed(&id, "id of a workspace")?).await?;
        own_providers::forget_workspace(tx, workspace.id, now).await?;
        on!(tx, |db| {
            sqlx::query("DELETE FROM workspace_members WHERE workspace_id = $1").bind(&id).execute(&mut *db).await?;
            sqlx::query("DELETE FROM workspaces WHERE id = $1").bind(&id).execute(&mut *db).await?;
            Ok::<_, StoreError>(())
        })?;
        let event = AuditDraft::by_kubelend(Action::WorkspaceRemoved, workspace.name);
        event.append(tx, About::Workspace(workspace.id), now).await?;
    }
    Ok(())
}

impl Store {
    /// Makes a workspace with its maker as owner.
    ///
    /// # Errors
    /// `Duplicate` where they have made one of that name (case apart), `Full` where they have made as many as they may.
    pub async fn create_workspace(
        &self,
        new: &NewWorkspace,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            queue_for(tx, new.created_by).await?;
            let made = check_name(tx, new.created_by, &new.name, new.id).await?;
            if new.most.is_some_and(|most| made >= usize::try_from(most).unwrap_or(usize::MAX)) {
                return Err(StoreError::Full("what the configuration allows each person"));
            }
            insert(tx, new.id, new.name.as_str(), new.created_by, now).await?;
            audit.append(tx, About::Workspace(new.id), now).await
        })
    }

    /// Gives it another name. The event is written where that changes something.
    ///
    /// # Errors
    /// `Duplicate` as for making one.
    pub async fn rename_workspace(
        &self,
        id: WorkspaceId,
        name: &WorkspaceName,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE workspaces SET name = $2 WHERE id = $1";
        let maker = self.workspace(id).await?.created_by;
        transact!(self, |tx| {
            if let Some(maker) = maker {
                queue_for(tx, maker).await?;
                check_name(tx, maker, name, id).await?;
            }
            if lock(tx, id).await?.name == name.as_str() {
                return Ok(());
            }
            on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(name.as_str()).execute(db).await.map(drop))?;
            audit.append(tx, About::Workspace(id), now).await
        })
    }

    /// Asks for its deletion: marks it, and asks for the removal of each of its clusters (see [`Store::ask_removal`]), each with an
    /// event `of_cluster` of its own that names it. It goes with the last of them. Safe to repeat: only the first time writes its
    /// event. `Purge` may be turned into `Leave`, not the other way.
    pub async fn ask_workspace_removal(
        &self,
        id: WorkspaceId,
        how: Removal,
        audit: AuditDraft,
        of_cluster: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const MARK: &str = "UPDATE workspaces SET removing = $2 WHERE id = $1";
        const CLUSTERS: &str = "SELECT id, name FROM clusters WHERE workspace_id = $1 ORDER BY id";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let before = lock(tx, id).await?.removing;
            if before == Some(how) || before == Some(Removal::Leave) {
                return Ok(());
            }
            let word = clusters::removal_text(how);
            on!(tx, |db| sqlx::query(MARK).bind(id.to_string()).bind(word).execute(db).await.map(drop))?;
            federation::end_of_workspace(tx, id, &audit, now).await?;
            let inside: Vec<(String, String)> =
                on!(tx, |db| sqlx::query_as(CLUSTERS).bind(id.to_string()).fetch_all(db).await)?;
            for (cluster, name) in inside {
                let cluster: ClusterId = parsed(&cluster, "id of a cluster")?;
                if clusters::mark_removal(tx, cluster, how, now).await? {
                    let event = AuditDraft { target: format!("{name}, {}", of_cluster.target), ..of_cluster.clone() };
                    event.append(tx, About::Cluster(cluster), now).await?;
                }
            }
            audit.append(tx, About::Workspace(id), now).await
        })
    }

    /// One workspace.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Workspace, StoreError> {
        const SQL: &str = select_workspaces!("id = $1");
        let row: Option<WorkspaceRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.workspace()
    }
}
