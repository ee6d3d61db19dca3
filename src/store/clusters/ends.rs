//! When held credentials end, and when those that Kubelend got for itself make way for the next ones.
//!
//! What is known of an end is about the credential that was held when it was noted: one that a version before this put in its place is
//! looked at anew.

use std::time::Duration;

use super::{
    StoredCredential, credential, lock,
    rotation::{end_held, row_of},
};
use crate::{
    model::{
        id::ClusterId,
        own_token::{CredentialEnd, SOON},
        service_account::AccountName,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, parsed, shown},
    },
};

/// What a held credential says of its end.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// When it makes way for the next one, should Kubelend have got it for itself.
    pub renew_at: Option<Timestamp>,
    /// The Secret that it is bound to.
    pub secret: Option<(AccountName, String)>,
}

pub(super) async fn describe(
    tx: &mut Tx,
    cluster: ClusterId,
    ends_at: Option<Timestamp>,
    renew_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE cluster_credentials SET described_since = COALESCE(held_since, 0), ends_at = $2, renew_at = $3, \
         renewal_trouble = NULL WHERE cluster_id = $1";
    Ok(on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(ends_at.map(Timestamp::millis))
        .bind(renew_at.map(Timestamp::millis))
        .execute(db)
        .await
        .map(drop))?)
}

impl Store {
    /// Clusters whose credential nobody has looked at since it is held.
    pub async fn undescribed_credentials(&self, limit: u32) -> Result<Vec<ClusterId>, StoreError> {
        const SQL: &str = "SELECT cluster_id FROM cluster_credentials \
             WHERE COALESCE(described_since, -1) <> COALESCE(held_since, 0) LIMIT $1";
        let rows: Vec<(String,)> = read!(self, |db| sqlx::query_as(SQL).bind(i64::from(limit)).fetch_all(db).await)?;
        rows.iter().map(|(id,)| parsed(id, "cluster of a credential")).collect()
    }

    /// Keeps what the credential that was read says of its end, while it is held. Tokens of Kubelend's own that it is not have to go.
    pub async fn describe_credential(
        &self,
        cluster: ClusterId,
        held: &StoredCredential,
        said: &Described,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const HOLD: &str =
            "UPDATE own_tokens SET state = 'held', next_attempt = NULL, ended_at = NULL, trouble = NULL WHERE id = $1";
        transact!(self, |tx| {
            lock(tx, cluster).await?;
            if credential::stored(tx, cluster).await? != *held {
                return Ok(());
            }
            let own = match &said.secret {
                Some((account, secret)) => row_of(tx, cluster, account, secret).await?,
                None => None,
            };
            if let Some(id) = &own {
                changed!(tx, HOLD, id)?;
            }
            end_held(tx, cluster, own.as_deref().unwrap_or_default(), now).await?;
            describe(tx, cluster, said.ends_at, said.renew_at.filter(|_| own.is_some())).await
        })
    }

    /// What is known of the end of what is held.
    pub async fn credential_end(&self, cluster: ClusterId) -> Result<CredentialEnd, StoreError> {
        const SQL: &str = "SELECT ends_at, renew_at, renewal_trouble FROM cluster_credentials \
             WHERE cluster_id = $1 AND described_since = COALESCE(held_since, 0)";
        let row: Option<(Option<i64>, Option<i64>, Option<String>)> =
            read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_optional(db).await)?;
        Ok(row.map_or_else(CredentialEnd::default, |(ends, renew, trouble)| CredentialEnd {
            ends_at: ends.map(Timestamp::from_millis),
            renew_at: renew.map(Timestamp::from_millis),
            trouble,
        }))
    }

    /// How many credentials end soon with nobody renewing them, or fail to be renewed.
    pub async fn worrying_credentials(&self, now: Timestamp) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM cluster_credentials WHERE described_since = COALESCE(held_since, 0) \
             AND (renewal_trouble IS NOT NULL OR (renew_at IS NULL AND ends_at <= $1))";
        let (count,): (i64,) = read!(self, |db| sqlx::query_as(SQL).bind(now.plus(SOON).millis()).fetch_one(db).await)?;
        Ok(count)
    }

    /// Clusters whose token is to make way for the next one, claimed for so long; with the token's end.
    pub async fn claim_renewals(
        &self,
        now: Timestamp,
        claim: Duration,
        limit: u32,
    ) -> Result<Vec<(ClusterId, Option<Timestamp>)>, StoreError> {
        const DUE: &str = "SELECT k.cluster_id FROM cluster_credentials k JOIN clusters c ON c.id = k.cluster_id \
             WHERE k.renew_at <= $1 AND k.described_since = COALESCE(k.held_since, 0) AND c.removing IS NULL LIMIT $2";
        const CLAIM: &str =
            "UPDATE cluster_credentials SET renew_at = $3 WHERE cluster_id = $1 AND renew_at <= $2 RETURNING ends_at";
        let due: Vec<(String,)> =
            read!(self, |db| sqlx::query_as(DUE).bind(now.millis()).bind(i64::from(limit)).fetch_all(db).await)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        transact!(self, |tx| {
            let mut claimed = Vec::new();
            for (id,) in &due {
                let row: Option<(Option<i64>,)> = on!(tx, |db| sqlx::query_as(CLAIM)
                    .bind(id)
                    .bind(now.millis())
                    .bind(now.plus(claim).millis())
                    .fetch_optional(db)
                    .await)?;
                if let Some((ends_at,)) = row {
                    claimed.push((parsed(id, "cluster of a credential")?, ends_at.map(Timestamp::from_millis)));
                }
            }
            Ok(claimed)
        })
    }

    /// A renewal failed; the first time in a row it is told.
    pub async fn renewal_failed(
        &self,
        cluster: ClusterId,
        why: &str,
        again: Timestamp,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const LOCK: &str = "UPDATE cluster_credentials SET renew_at = $2 WHERE cluster_id = $1 AND renew_at IS NOT NULL \
             RETURNING renewal_trouble";
        const SQL: &str = "UPDATE cluster_credentials SET renewal_trouble = $2 WHERE cluster_id = $1";
        transact!(self, |tx| {
            let row: Option<(Option<String>,)> = on!(tx, |db| sqlx::query_as(LOCK)
                .bind(cluster.to_string())
                .bind(again.millis())
                .fetch_optional(db)
                .await)?;
            let Some((before,)) = row else { return Ok(()) };
            changed!(tx, SQL, cluster.to_string(), shown(why))?;
            if before.is_none() { audit.append(tx, About::Cluster(cluster), now).await } else { Ok(()) }
        })
    }
}
