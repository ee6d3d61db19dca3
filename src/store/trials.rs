//! Trials: for each cluster and provider the last test with somebody's own token.

use super::{
    Store, StoreError,
    db::{CHUNK, clash, parsed},
};
use crate::model::{id::ClusterId, trial::Trial};

#[derive(sqlx::FromRow)]
struct TrialRow {
    cluster_id: String,
    trial: String,
}

impl Store {
    /// Keeps a trial in place of the one before.
    ///
    /// # Errors
    /// `NotFound` where the cluster is gone.
    pub async fn keep_trial(&self, cluster: ClusterId, trial: &Trial) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO cluster_trials (cluster_id, provider, trial) VALUES ($1, $2, $3) \
             ON CONFLICT (cluster_id, provider) DO UPDATE SET trial = excluded.trial";
        let text = serde_json::to_string(trial).unwrap_or_else(|_| unreachable!("texts and numbers are always JSON"));
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(cluster.to_string())
                .bind(trial.provider.as_str())
                .bind(&text)
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, "a trial"))
        })
    }

    /// The trials of these clusters, by provider. One that another version wrote and this one cannot read counts as not made.
    pub async fn trials(&self, clusters: &[ClusterId]) -> Result<Vec<(ClusterId, Trial)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT cluster_id, trial FROM cluster_trials WHERE cluster_id IN ",
            id_list!(),
            " ORDER BY cluster_id, provider"
        );
        let mut found = Vec::new();
        for chunk in clusters.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<TrialRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for row in rows {
                let cluster = parsed(&row.cluster_id, "cluster of a trial")?;
                found.extend(serde_json::from_str(&row.trial).ok().map(|trial| (cluster, trial)));
            }
        }
        Ok(found)
    }
}
