//! Handing ServiceAccounts out to whoever brings them to clusters, and keeping how that went: as for grants, a claim is a lease
//! that runs out, and an attempt whose wish has changed meanwhile settles nothing and makes the account due once more.

use std::time::Duration;

use crate::{
    model::{
        grant::GrantState,
        id::{ClusterId, LeaseId, ServiceAccountId},
        service_account::LeaseEnd,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, parsed, shown},
    },
};

/// An account that wants work, claimed for the caller until the claim ends.
#[derive(Clone, Debug)]
pub struct DueAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// How often it was tried in vain since it last changed.
    pub attempts: i64,
    revision: i64,
}

/// How an attempt on a cluster went.
#[derive(Clone, Debug)]
pub struct AccountOutcome {
    /// The state it leads to.
    pub state: GrantState,
    /// In words for a page.
    pub detail: Option<String>,
    /// When to try again; `None` when settled.
    pub retry_at: Option<Timestamp>,
    /// The UID of the object that stands, where it is known.
    pub uid: Option<String>,
    /// Ended leases whose Secrets are off the cluster.
    pub gone: Vec<LeaseId>,
}

#[derive(sqlx::FromRow)]
struct ClaimRow {
    id: String,
    cluster_id: String,
    attempts: i64,
    revision: i64,
}

impl ClaimRow {
    fn due(self) -> Result<DueAccount, StoreError> {
        Ok(DueAccount {
            id: parsed(&self.id, "id of a ServiceAccount")?,
            cluster: parsed(&self.cluster_id, "cluster of a ServiceAccount")?,
            attempts: self.attempts,
            revision: self.revision,
        })
    }
}

#[derive(sqlx::FromRow)]
struct Wish {
    cluster_id: String,
    state: String,
    ended_at: Option<i64>,
    revision: i64,
}

/// Makes an account due again after an attempt at an old wish. A cluster whose objects are to be left is left.
async fn look_again(tx: &mut Tx, id: ServiceAccountId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE service_accounts SET next_attempt = $2, revision = revision + 1, \
         state = CASE WHEN state = 'applied' THEN 'pending' WHEN state = 'removed' THEN 'removing' ELSE state END, \
         state_since = CASE WHEN state IN ('applied', 'removed') THEN $2 ELSE state_since END WHERE id = $1 \
         AND NOT EXISTS (SELECT 1 FROM clusters c WHERE c.id = service_accounts.cluster_id AND c.removing = 'leave')";
    on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(now.millis()).execute(db).await.map(drop))?;
    Ok(())
}

async fn keep(tx: &mut Tx, id: ServiceAccountId, outcome: &AccountOutcome, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE service_accounts SET state_since = CASE WHEN state = $2 THEN state_since ELSE $5 END, \
         state = $2, state_detail = $3, next_attempt = $4, attempts = CASE WHEN $6 THEN attempts + 1 ELSE 0 END, \
         uid = COALESCE($7, uid) WHERE id = $1";
    const GONE: &str = "UPDATE leases SET gone_at = $2 WHERE id = $1 AND gone_at IS NULL";
    // Made anew by the same name it is another object: what it had before died with the last one.
    const DEAD: &str = "UPDATE leases SET ended = $3, ended_at = $4 WHERE account_id = $1 AND ended IS NULL AND EXISTS \
         (SELECT 1 FROM service_accounts a WHERE a.id = $1 AND a.uid IS NOT NULL AND a.uid <> $2)";
    let dead = on!(tx, |db| sqlx::query(DEAD)
        .bind(id.to_string())
        .bind(outcome.uid.as_deref())
        .bind(LeaseEnd::AccountDeleted.as_str())
        .bind(now.millis())
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    let retry_at = outcome.retry_at.or((dead > 0).then_some(now));
    on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(outcome.state.as_str())
        .bind(outcome.detail.as_deref().map(shown))
        .bind(retry_at.map(Timestamp::millis))
        .bind(now.millis())
        .bind(outcome.retry_at.is_some())
        .bind(outcome.uid.as_deref())
        .execute(db)
        .await
        .map(drop))?;
    for lease in &outcome.gone {
        on!(tx, |db| sqlx::query(GONE).bind(lease.to_string()).bind(now.millis()).execute(db).await.map(drop))?;
    }
    Ok(())
}

impl Store {
    /// Claims accounts that want work; their next attempt moves to `now + lease`.
    pub async fn claim_due_accounts(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<DueAccount>, StoreError> {
        const ANY: &str =
            "SELECT id FROM service_accounts WHERE next_attempt IS NOT NULL AND next_attempt <= $1 LIMIT 1";
        const CLAIM: &str = "UPDATE service_accounts SET next_attempt = $2, leased_until = $2 WHERE id IN \
             (SELECT id FROM service_accounts WHERE next_attempt IS NOT NULL AND next_attempt <= $1 \
              ORDER BY next_attempt LIMIT $3) \
             AND next_attempt <= $1 RETURNING id, cluster_id, attempts, revision";
        // Asked every second and seldom true: look before becoming a writer.
        let any: Option<(String,)> = read!(self, |db| sqlx::query_as(ANY).bind(now.millis()).fetch_optional(db).await)?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        transact!(self, |tx| {
            let rows: Vec<ClaimRow> = on!(tx, |db| sqlx::query_as(CLAIM)
                .bind(now.millis())
                .bind(now.plus(lease).millis())
                .bind(i64::from(limit))
                .fetch_all(db)
                .await)?;
            rows.into_iter().map(ClaimRow::due).collect()
        })
    }

    /// Claims one at once, whatever its next attempt says, so that the loop leaves it alone meanwhile.
    pub async fn claim_account(
        &self,
        id: ServiceAccountId,
        now: Timestamp,
        lease: Duration,
    ) -> Result<DueAccount, StoreError> {
        const SQL: &str = "UPDATE service_accounts SET next_attempt = $2, leased_until = $2 WHERE id = $1 \
             RETURNING id, cluster_id, attempts, revision";
        transact!(self, |tx| {
            let row: Option<ClaimRow> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(id.to_string())
                .bind(now.plus(lease).millis())
                .fetch_optional(db)
                .await)?;
            row.ok_or(StoreError::NotFound)?.due()
        })
    }

    /// Keeps how an attempt went; `wanted` says whether it was to have the account or to be rid of it. `audit` is written only
    /// where the state changes.
    ///
    /// If what is wanted has changed since the claim, nothing is kept, the account becomes due once more, and `false` comes back.
    pub async fn settle_account(
        &self,
        due: &DueAccount,
        wanted: bool,
        outcome: &AccountOutcome,
        audit: Option<AuditDraft>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const LOCK: &str = "UPDATE service_accounts SET leased_until = NULL WHERE id = $1 \
             RETURNING cluster_id, state, ended_at, revision";
        transact!(self, |tx| {
            let wish: Option<Wish> =
                on!(tx, |db| sqlx::query_as(LOCK).bind(due.id.to_string()).fetch_optional(db).await)?;
            let Some(wish) = wish else { return Ok(false) };
            if wish.ended_at.is_none() != wanted || wish.revision != due.revision {
                look_again(tx, due.id, now).await?;
                return Ok(false);
            }
            keep(tx, due.id, outcome, now).await?;
            if wish.state != outcome.state.as_str()
                && let Some(audit) = &audit
            {
                audit.append(tx, About::Cluster(parsed(&wish.cluster_id, "cluster")?), now).await?;
            }
            Ok(true)
        })
    }

    /// Makes a cluster's accounts that wait for their next attempt due at once; those that somebody is at are left alone.
    pub async fn hurry_accounts(&self, cluster: ClusterId, now: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE service_accounts SET next_attempt = $2 WHERE cluster_id = $1 AND next_attempt > $2 \
             AND (leased_until IS NULL OR leased_until <= $2)";
        transact!(self, |tx| {
            let hurried = on!(tx, |db| sqlx::query(SQL)
                .bind(cluster.to_string())
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            Ok(hurried)
        })
    }
}
