//! Reading requests: one, what somebody asked for, what waits and how much of it.

use super::{RequestRow, select_requests};
use crate::{
    model::{
        access_request::AccessRequest,
        id::{AccessRequestId, ClusterId, IdentityId, WorkspaceId},
        time::Timestamp,
    },
    store::{Store, StoreError, grants},
};

/// A page of requests.
#[derive(Clone, Debug)]
pub struct RequestPage {
    /// The longest waiting first.
    pub rows: Vec<AccessRequest>,
    /// Where the next page begins, if there is one: pass it as `after`.
    pub next: Option<AccessRequestId>,
}

impl Store {
    /// One request.
    pub async fn request(&self, id: AccessRequestId) -> Result<AccessRequest, StoreError> {
        const SQL: &str = select_requests!("WHERE r.id = $1");
        let row: Option<RequestRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.request()
    }

    /// What somebody asked for, the latest first.
    pub async fn requests_of(&self, by: IdentityId, limit: u32) -> Result<Vec<AccessRequest>, StoreError> {
        const SQL: &str = select_requests!("WHERE r.identity_id = $1 ORDER BY r.id DESC LIMIT $2");
        let rows: Vec<RequestRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(by.to_string()).bind(i64::from(limit)).fetch_all(db).await)?;
        rows.into_iter().map(RequestRow::request).collect()
    }

    /// What waits on the clusters of a workspace, the longest first, `limit` a page.
    pub async fn requests_in(
        &self,
        workspace: WorkspaceId,
        after: Option<AccessRequestId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<RequestPage, StoreError> {
        const SQL: &str = select_requests!(
            "JOIN clusters c ON c.id = r.cluster_id WHERE c.workspace_id = $1 AND r.state = 'pending' AND r.until > $2 \
             AND r.id > $3 ORDER BY r.id LIMIT $4"
        );
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<RequestRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(workspace.to_string())
            .bind(now.millis())
            .bind(after)
            .bind(i64::from(limit) + 1)
            .fetch_all(db)
            .await)?;
        let mut rows = rows.into_iter().map(RequestRow::request).collect::<Result<Vec<_>, _>>()?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        Ok(RequestPage { next: rows.last().filter(|_| more).map(|row| row.id), rows })
    }

    /// How many requests wait on a cluster, counted up to 100.
    pub async fn requests_waiting_on(&self, cluster: ClusterId, now: Timestamp) -> Result<u32, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM access_requests r WHERE r.cluster_id = $1 \
             AND r.state = 'pending' AND r.until > $2 LIMIT 100) AS waiting";
        self.counted(SQL, &cluster.to_string(), now).await
    }

    /// How many wait in a workspace, counted up to 100.
    pub async fn requests_waiting_in(&self, workspace: WorkspaceId, now: Timestamp) -> Result<u32, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM access_requests r JOIN clusters c ON c.id = r.cluster_id \
             WHERE c.workspace_id = $1 AND r.state = 'pending' AND r.until > $2 LIMIT 100) AS waiting";
        self.counted(SQL, &workspace.to_string(), now).await
    }

    async fn counted(&self, sql: &'static str, id: &str, now: Timestamp) -> Result<u32, StoreError> {
        let (count,): (i64,) = read!(self, |db| sqlx::query_as(sql).bind(id).bind(now.millis()).fetch_one(db).await)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Whether a cluster was ever lent to somebody themselves, whatever became of it.
    pub async fn was_lent(&self, cluster: ClusterId, to: IdentityId) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT id FROM grants WHERE grantee_key = $1 AND cluster_id = $2 LIMIT 1";
        let row: Option<(String,)> = read!(self, |db| sqlx::query_as(SQL)
            .bind(grants::person_key(to))
            .bind(cluster.to_string())
            .fetch_optional(db)
            .await)?;
        Ok(row.is_some())
    }
}
