//! Clusters as lists of thousands are sorted and searched: their names, without what is read of one to show it.

use super::super::{
    Store, StoreError,
    db::{CHUNK, parsed},
};
use crate::model::{
    id::{ClusterId, WorkspaceId},
    identity::Identity,
    name::ClusterName,
};

/// A cluster as an entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEntry {
    /// The cluster.
    pub id: ClusterId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: ClusterName,
    /// Its labels, `env=prod, tier=1`.
    pub labels: String,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: String,
    workspace_id: String,
    name: String,
    labels: String,
}

impl EntryRow {
    fn entry(self) -> Result<ClusterEntry, StoreError> {
        Ok(ClusterEntry {
            id: parsed(&self.id, "id of a cluster")?,
            workspace: parsed(&self.workspace_id, "workspace of a cluster")?,
            name: parsed(&self.name, "name of a cluster")?,
            labels: self.labels,
        })
    }
}

macro_rules! select_entries {
    ($($rest:expr),+) => { concat!("SELECT c.id, c.workspace_id, c.name, c.labels FROM clusters c", $($rest),+) };
}

impl Store {
    /// The clusters that somebody may look at, by name: those of workspaces they are members of, or all.
    pub async fn cluster_entries_of(&self, person: &Identity, all: bool) -> Result<Vec<ClusterEntry>, StoreError> {
        const ALL: &str = select_entries!("");
        if all {
            return by_name(read!(self, |db| sqlx::query_as(ALL).fetch_all(db).await)?);
        }
        let workspaces: Vec<WorkspaceId> = self.memberships_of(person).await?.into_keys().collect();
        self.cluster_entries_in(&workspaces).await
    }

    /// The clusters of these workspaces, by name.
    pub async fn cluster_entries_in(&self, workspaces: &[WorkspaceId]) -> Result<Vec<ClusterEntry>, StoreError> {
        const SQL: &str = select_entries!(" WHERE c.workspace_id IN ", id_list!());
        let mut rows: Vec<EntryRow> = Vec::new();
        for chunk in workspaces.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let found: Vec<EntryRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            rows.extend(found);
        }
        by_name(rows)
    }
}

/// In the order that pages have, whatever a database's is.
fn by_name(rows: Vec<EntryRow>) -> Result<Vec<ClusterEntry>, StoreError> {
    let mut entries = rows.into_iter().map(EntryRow::entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_cached_key(|c| (c.name.as_str().to_ascii_lowercase(), c.id));
    Ok(entries)
}
