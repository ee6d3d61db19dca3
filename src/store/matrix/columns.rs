//! The columns: clusters as they are now, or as they were on a day, under the name and in the workspace of then.

use super::{AsOf, Column, ColumnCursor};
use crate::{
    model::{
        id::{ClusterId, WorkspaceId},
        time::Timestamp,
    },
    store::{
        Store, StoreError,
        db::{CHUNK, parsed},
        record::FOREVER,
    },
};

#[derive(sqlx::FromRow)]
struct ColumnRow {
    cluster_id: String,
    workspace_id: String,
    name: String,
    since: i64,
    until: i64,
}

impl ColumnRow {
    fn column(self, as_of: AsOf) -> Result<Column, StoreError> {
        Ok(Column {
            cluster: parsed(&self.cluster_id, "id of a cluster")?,
            workspace: parsed(&self.workspace_id, "workspace of a cluster")?,
            name: self.name,
            from: as_of.from().max(Timestamp::from_millis(self.since)),
            to: as_of.to().min(Timestamp::from_millis(self.until)),
            left_at: (self.until != FOREVER).then(|| Timestamp::from_millis(self.until)),
        })
    }
}

/// Clusters as they are.
macro_rules! columns_now {
    ($($rest:expr),+) => {
        concat!(
            "SELECT c.id AS cluster_id, c.workspace_id, c.name, c.created_at AS since, 9223372036854775807 AS until \
             FROM clusters c WHERE ",
            $($rest),+
        )
    };
}

/// Clusters as they were between two moments: where they moved or got another name meanwhile, the last of it counts.
macro_rules! columns_then {
    ($from:literal, $to:literal, $same:literal, $($rest:expr),+) => {
        concat!(
            "SELECT s.cluster_id, s.workspace_id, s.name, s.since, s.until FROM cluster_stays s WHERE s.since < ", $to,
            " AND s.until > ", $from, " AND NOT EXISTS (SELECT 1 FROM cluster_stays l WHERE l.cluster_id = s.cluster_id \
             AND l.since > s.since AND l.since < ", $to, $same, ") AND ",
            $($rest),+
        )
    };
}

const OF_WORKSPACE: &str =
    columns_now!("c.workspace_id = $4 AND (c.name_key, c.id) > ($1, $2) ORDER BY c.name_key, c.id LIMIT $3");
const OF_ALL: &str = columns_now!("(c.name_key, c.id) > ($1, $2) ORDER BY c.name_key, c.id LIMIT $3");
const WAS_OF_WORKSPACE: &str = columns_then!(
    "$4",
    "$5",
    " AND l.workspace_id = s.workspace_id",
    "s.workspace_id = $6 AND (s.name_key, s.cluster_id) > ($1, $2) ORDER BY s.name_key, s.cluster_id LIMIT $3"
);
const WAS_OF_ALL: &str =
    columns_then!("$4", "$5", "", "(s.name_key, s.cluster_id) > ($1, $2) ORDER BY s.name_key, s.cluster_id LIMIT $3");

impl Store {
    /// Clusters of a workspace, or all, by name: at most `limit` of those after `after`.
    pub async fn matrix_columns(
        &self,
        workspace: Option<WorkspaceId>,
        as_of: AsOf,
        after: Option<&ColumnCursor>,
        limit: usize,
    ) -> Result<Vec<Column>, StoreError> {
        let (name, id) = after.map(|c| (c.name.clone(), c.cluster.to_string())).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = match (as_of.is_now(), workspace) {
            (true, Some(_)) => OF_WORKSPACE,
            (true, None) => OF_ALL,
            (false, Some(_)) => WAS_OF_WORKSPACE,
            (false, None) => WAS_OF_ALL,
        };
        let rows: Vec<ColumnRow> = read!(self, |db| {
            let mut query = sqlx::query_as(sql).bind(&name).bind(&id).bind(limit);
            if !as_of.is_now() {
                query = query.bind(as_of.from().millis()).bind(as_of.to().millis());
            }
            if let Some(workspace) = workspace {
                query = query.bind(workspace.to_string());
            }
            query.fetch_all(db).await
        })?;
        rows.into_iter().map(|row| row.column(as_of)).collect()
    }

    /// Those of these clusters that are, or were, in a workspace, or anywhere.
    pub(super) async fn columns_of(
        &self,
        workspace: Option<WorkspaceId>,
        as_of: AsOf,
        clusters: &[ClusterId],
    ) -> Result<Vec<Column>, StoreError> {
        const NOW: &str = columns_now!("c.id IN ", id_list!(), " AND ($33 = '' OR c.workspace_id = $33)");
        const THEN: &str = columns_then!(
            "$34",
            "$35",
            " AND ($33 = '' OR l.workspace_id = $33)",
            "s.cluster_id IN ",
            id_list!(),
            " AND ($33 = '' OR s.workspace_id = $33)"
        );
        let workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
        let mut columns = Vec::new();
        for chunk in clusters.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let sql = if as_of.is_now() { NOW } else { THEN };
            let rows: Vec<ColumnRow> = read!(self, |db| {
                let mut query = bind_ids!(sqlx::query_as(sql), ids).bind(&workspace);
                if !as_of.is_now() {
                    query = query.bind(as_of.from().millis()).bind(as_of.to().millis());
                }
                query.fetch_all(db).await
            })?;
            for row in rows {
                columns.push(row.column(as_of)?);
            }
        }
        Ok(columns)
    }
}
