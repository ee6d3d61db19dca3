//! What clusters last made of tokens of each client.

use super::{
    Store, StoreError,
    db::{clash, parsed},
};
use crate::model::{client_trial::ClientTrial, id::ClusterId, time::Timestamp};

#[derive(sqlx::FromRow)]
struct ClientTrialRow {
    provider: String,
    client: String,
    identity_id: String,
    tested_at: i64,
    refused: Option<String>,
}

impl ClientTrialRow {
    /// `None` for what another version wrote and this one cannot read: it counts as not made.
    fn read(self) -> Option<ClientTrial> {
        let refused = self.refused.map(|text| serde_json::from_str(&text)).transpose().ok()?;
        Some(ClientTrial {
            provider: parsed(&self.provider, "provider of a trial").ok()?,
            client: self.client,
            by: parsed(&self.identity_id, "person of a trial").ok()?,
            at: Timestamp::from_millis(self.tested_at),
            refused,
        })
    }
}

impl Store {
    /// Keeps a trial in place of the one before.
    ///
    /// # Errors
    /// `NotFound` where the cluster is gone.
    pub async fn keep_client_trial(&self, cluster: ClusterId, trial: &ClientTrial) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO client_trials (cluster_id, provider, client, identity_id, tested_at, refused) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (cluster_id, provider, client) DO UPDATE SET \
             identity_id = excluded.identity_id, tested_at = excluded.tested_at, refused = excluded.refused";
        let as_text =
            |refused| serde_json::to_string(refused).unwrap_or_else(|_| unreachable!("texts are always JSON"));
        let refused = trial.refused.as_ref().map(as_text);
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(cluster.to_string())
                .bind(trial.provider.as_str())
                .bind(&trial.client)
                .bind(trial.by.to_string())
                .bind(trial.at.millis())
                .bind(&refused)
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, "a trial"))
        })
    }

    /// What a cluster last made of tokens of each client.
    pub async fn client_trials(&self, cluster: ClusterId) -> Result<Vec<ClientTrial>, StoreError> {
        const SQL: &str = "SELECT provider, client, identity_id, tested_at, refused FROM client_trials \
             WHERE cluster_id = $1 ORDER BY provider, client";
        let rows: Vec<ClientTrialRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
        Ok(rows.into_iter().filter_map(ClientTrialRow::read).collect())
    }
}
