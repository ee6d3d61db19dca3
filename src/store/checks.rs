//! Connection checks: the last one of each cluster, as far as it has got.

use super::{
    Store, StoreError,
    db::{CHUNK, clash, parsed, shown},
};
use crate::model::{
    cluster::{CheckStep, ConnectionCheck},
    id::{CheckId, ClusterId},
    time::Timestamp,
};

/// A connection check with its id.
#[derive(Clone, Debug)]
pub struct StoredCheck {
    /// Its id.
    pub id: CheckId,
    /// What it found so far.
    pub check: ConnectionCheck,
}

#[derive(sqlx::FromRow)]
struct CheckRow {
    cluster_id: String,
    id: String,
    started_at: i64,
    finished_at: Option<i64>,
    steps: String,
    version: Option<String>,
}

impl CheckRow {
    fn check(self) -> Result<(ClusterId, StoredCheck), StoreError> {
        let check = ConnectionCheck {
            started_at: Timestamp::from_millis(self.started_at),
            finished_at: self.finished_at.map(Timestamp::from_millis),
            steps: serde_json::from_str(&self.steps).map_err(|_| StoreError::Corrupt("steps of a check"))?,
            version: self.version,
        };
        let id = parsed(&self.id, "id of a check")?;
        Ok((parsed(&self.cluster_id, "cluster of a check")?, StoredCheck { id, check }))
    }
}

// JSON writes NUL as an escape, so whatever an API server said may stand in a step.
fn steps_text(steps: &[CheckStep]) -> String {
    serde_json::to_string(steps).unwrap_or_else(|_| unreachable!("texts and numbers are always JSON"))
}

impl Store {
    /// Begins a connection check, in place of the last one.
    ///
    /// # Errors
    /// `NotFound` where the cluster is gone.
    pub async fn begin_check(
        &self,
        cluster: ClusterId,
        id: CheckId,
        check: &ConnectionCheck,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO cluster_checks (cluster_id, id, started_at, finished_at, steps, version) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (cluster_id) DO UPDATE SET id = excluded.id, \
             started_at = excluded.started_at, finished_at = excluded.finished_at, steps = excluded.steps, \
             version = excluded.version";
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(cluster.to_string())
                .bind(id.to_string())
                .bind(check.started_at.millis())
                .bind(check.finished_at.map(Timestamp::millis))
                .bind(steps_text(&check.steps))
                .bind(check.version.as_deref().map(shown))
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, "a check"))
        })
    }

    /// Keeps the progress of a check; does nothing if another has begun since.
    pub async fn keep_check(&self, cluster: ClusterId, id: CheckId, check: &ConnectionCheck) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE cluster_checks SET finished_at = $3, steps = $4, version = $5 \
             WHERE cluster_id = $1 AND id = $2";
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(cluster.to_string())
                .bind(id.to_string())
                .bind(check.finished_at.map(Timestamp::millis))
                .bind(steps_text(&check.steps))
                .bind(check.version.as_deref().map(shown))
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }

    /// The last check of each of these clusters.
    pub async fn checks(&self, clusters: &[ClusterId]) -> Result<Vec<(ClusterId, StoredCheck)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT cluster_id, id, started_at, finished_at, steps, version FROM cluster_checks WHERE cluster_id IN ",
            id_list!()
        );
        let mut found = Vec::new();
        for chunk in clusters.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<CheckRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for row in rows {
                found.push(row.check()?);
            }
        }
        Ok(found)
    }

    /// Clusters that want checking: never checked, whose check began before `stalled_before` and did not end, or whose last
    /// check ended before `old_before`. Those that have waited longest come first.
    pub async fn clusters_to_check(
        &self,
        stalled_before: Timestamp,
        old_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClusterId>, StoreError> {
        const SQL: &str = "SELECT c.id FROM clusters c LEFT JOIN cluster_checks k ON k.cluster_id = c.id \
             WHERE k.id IS NULL OR (k.finished_at IS NULL AND k.started_at < $1) OR k.finished_at < $2 \
             ORDER BY COALESCE(k.started_at, 0), c.id LIMIT $3";
        let rows: Vec<(String,)> = read!(self, |db| sqlx::query_as(SQL)
            .bind(stalled_before.millis())
            .bind(old_before.millis())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.iter().map(|(id,)| parsed(id, "id of a cluster")).collect()
    }
}
