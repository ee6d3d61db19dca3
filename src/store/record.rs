//! What stays known of clusters that have moved, got another name, or gone: where each was when, and what was granted on it.
//!
//! Written in the transaction of the change. A grant's row lives as long as its cluster; before that goes, its grants are put
//! into `past_grants`, which nobody changes afterwards.

use super::{Store, StoreError, db::Tx, grants::person_key};
use crate::model::{
    id::{ClusterId, IdentityId},
    time::Timestamp,
};

/// `until` of what lasts.
pub(super) const FOREVER: i64 = i64::MAX;

/// What a person (`$2`) is sorted by.
macro_rules! name {
    () => {
        "(SELECT COALESCE(i.email_key, i.name_key, i.sub) FROM identities i WHERE i.id = $2)"
    };
}

/// Ends the stay that lasts. Returns whether there was one: the version before knows nothing of them.
async fn close(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE cluster_stays SET until = $2 WHERE cluster_id = $1 AND until = $3";
    let closed = on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(now.millis())
        .bind(FOREVER)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(closed > 0)
}

/// Begins a stay as the cluster's row says now, or since it was added.
async fn open(tx: &mut Tx, cluster: ClusterId, since: Option<Timestamp>, until: i64) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO cluster_stays (cluster_id, since, until, workspace_id, name, name_key) \
         SELECT c.id, COALESCE($2, c.created_at), $3, c.workspace_id, c.name, c.name_key FROM clusters c WHERE c.id = $1 \
         ON CONFLICT (cluster_id, since) DO UPDATE SET until = excluded.until, workspace_id = excluded.workspace_id, \
         name = excluded.name, name_key = excluded.name_key";
    on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(since.map(Timestamp::millis))
        .bind(until)
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// A cluster has come, or has another name or workspace now.
pub(super) async fn cluster_changed(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    let before = close(tx, cluster, now).await?;
    open(tx, cluster, before.then_some(now), FOREVER).await
}

/// A cluster is about to go, and with it its grants. Returns since when it is gone: whoever finds that nothing is left of it may have
/// looked at the clock before the last of it ended, and what ends after its cluster would never be told.
pub(super) async fn cluster_going(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<Timestamp, StoreError> {
    const LAST: &str = "SELECT MAX(state_since), MAX(ended_at) FROM grants WHERE cluster_id = $1";
    const SQL: &str = "INSERT INTO past_grants (id, cluster_id, namespaces, role, grantee_key, identity_id, provider, \
         grantee_name, grantee_sort, origin, expires_at, created_at, ended, ended_at, gone_at) \
         SELECT g.id, g.cluster_id, g.namespaces, g.role, g.grantee_key, g.identity_id, g.provider, g.grantee_name, \
         g.grantee_sort, g.origin, g.expires_at, g.created_at, g.ended, g.ended_at, \
         CASE WHEN g.state = 'removed' THEN g.state_since ELSE $2 END \
         FROM grants g WHERE g.cluster_id = $1 ON CONFLICT (id) DO NOTHING";
    let last: (Option<i64>, Option<i64>) =
        on!(tx, |db| sqlx::query_as(LAST).bind(cluster.to_string()).fetch_one(db).await)?;
    let now = last.0.max(last.1).map_or(now, |last| now.max(Timestamp::from_millis(last)));
    if !close(tx, cluster, now).await? {
        open(tx, cluster, None, now.millis()).await?;
    }
    on!(tx, |db| sqlx::query(SQL).bind(cluster.to_string()).bind(now.millis()).execute(db).await.map(drop))?;
    Ok(now)
}

/// A person is called something else: their rows stand elsewhere in the matrix.
pub(super) async fn person_renamed(tx: &mut Tx, person: IdentityId) -> Result<(), StoreError> {
    const GRANTS: &str = concat!("UPDATE grants SET grantee_sort = ", name!(), " WHERE grantee_key = $1");
    const PAST: &str = concat!("UPDATE past_grants SET grantee_sort = ", name!(), " WHERE grantee_key = $1");
    let (key, id) = (person_key(person), person.to_string());
    on!(tx, |db| {
        sqlx::query(GRANTS).bind(&key).bind(&id).execute(&mut *db).await?;
        sqlx::query(PAST).bind(&key).bind(&id).execute(&mut *db).await?;
        Ok::<_, StoreError>(())
    })
}

const RECORD_SINCE: &str = "record_since";

impl Store {
    /// Remembers since when clusters that move or go are remembered; the first call counts.
    pub async fn begin_record(&self, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(RECORD_SINCE)
                .bind(now.millis().to_string())
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }

    /// Since when clusters that move or go are remembered.
    pub async fn record_since(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT value FROM settings WHERE name = $1";
        let kept: Option<(String,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(RECORD_SINCE).fetch_optional(db).await)?;
        let read = |(text,): (String,)| text.parse().map(Timestamp::from_millis);
        kept.map(read).transpose().map_err(|_| StoreError::Corrupt("beginning of the record"))
    }
}
