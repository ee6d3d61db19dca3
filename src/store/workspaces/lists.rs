//! Lists of workspaces, and what is beside their names.

use super::WorkspaceRow;
use crate::{
    model::{
        id::{IdentityId, WorkspaceId},
        identity::Identity,
        workspace::{MemberRole, Workspace},
    },
    store::{
        Store, StoreError,
        db::{CHUNK, parsed},
    },
};

/// What is in a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceCounts {
    /// Clusters, those on their way out too.
    pub clusters: u32,
    /// Members who are people, those who have not signed in yet too.
    pub people: u32,
    /// Members that are groups.
    pub groups: u32,
}

impl Store {
    /// Several workspaces, by name; unknown ids are left out.
    pub async fn workspaces(&self, ids: &[WorkspaceId]) -> Result<Vec<Workspace>, StoreError> {
        const SQL: &str = select_workspaces!("id IN ", id_list!());
        let mut found = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<WorkspaceRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            found.extend(rows);
        }
        by_name(found)
    }

    /// All workspaces that are not on their way out, by name.
    pub async fn living_workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        const SQL: &str = select_workspaces!("removing IS NULL");
        by_name(read!(self, |db| sqlx::query_as(SQL).fetch_all(db).await)?)
    }

    /// Those that somebody made and that are not on their way out, by name.
    pub(in crate::store) async fn workspaces_made_by(&self, maker: IdentityId) -> Result<Vec<Workspace>, StoreError> {
        const SQL: &str = select_workspaces!("created_by = $1 AND removing IS NULL");
        by_name(read!(self, |db| sqlx::query_as(SQL).bind(maker.to_string()).fetch_all(db).await)?)
    }

    /// Workspaces that somebody may look at, by name, each with what they are there: those that they are a member of, or all.
    pub async fn workspaces_of(
        &self,
        person: &Identity,
        all: bool,
    ) -> Result<Vec<(Workspace, Option<MemberRole>)>, StoreError> {
        const ALL: &str = select_workspaces!("id <> ''");
        let roles = self.memberships_of(person).await?;
        let found = if all {
            by_name(read!(self, |db| sqlx::query_as(ALL).fetch_all(db).await)?)?
        } else {
            let ids: Vec<WorkspaceId> = roles.keys().copied().collect();
            self.workspaces(&ids).await?
        };
        Ok(found.into_iter().map(|w| (roles.get(&w.id).copied(), w)).map(|(role, w)| (w, role)).collect())
    }

    /// The workspace that a cluster of somebody's goes to where they choose none: the oldest that they own themselves.
    pub async fn own_workspace(&self, person: &Identity) -> Result<Option<WorkspaceId>, StoreError> {
        const SQL: &str = own_workspace!();
        let row: Option<(String,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(person.id.to_string()).fetch_optional(db).await)?;
        row.map(|(id,)| parsed(&id, "id of a workspace")).transpose()
    }

    /// What is in each of these workspaces; unknown ids are left out.
    pub async fn count_in_workspaces(
        &self,
        ids: &[WorkspaceId],
    ) -> Result<Vec<(WorkspaceId, WorkspaceCounts)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT w.id, (SELECT COUNT(*) FROM clusters c WHERE c.workspace_id = w.id), \
             (SELECT COUNT(*) FROM members m WHERE m.workspace_id = w.id AND m.member_key NOT LIKE 'group:%'), \
             (SELECT COUNT(*) FROM members g WHERE g.workspace_id = w.id AND g.member_key LIKE 'group:%') \
             + (SELECT COUNT(*) FROM workspace_groups o WHERE o.workspace_id = w.id) \
             FROM workspaces w WHERE w.id IN ",
            id_list!()
        );
        let mut counts = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, i64, i64, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for (id, clusters, people, groups) in rows {
                let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
                let of = WorkspaceCounts { clusters: count(clusters), people: count(people), groups: count(groups) };
                counts.push((parsed(&id, "id of a workspace")?, of));
            }
        }
        Ok(counts)
    }
}

/// Databases sort text by their own locale; pages and tests want one order.
fn by_name(rows: Vec<WorkspaceRow>) -> Result<Vec<Workspace>, StoreError> {
    let mut found = rows.into_iter().map(WorkspaceRow::workspace).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|w| (w.name.to_lowercase(), w.id));
    Ok(found)
}
