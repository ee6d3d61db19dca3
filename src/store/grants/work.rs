//! Handing grants out to whoever brings them to clusters, and keeping how that went.
//!
//! A claim is a lease: it moves the next attempt into the future, so no other replica takes the grant meanwhile and a crash
//! only delays it. An attempt belongs to the wish it was begun for. If the wish has changed in between, its outcome says
//! nothing, and what it did late may have undone what a newer attempt did: so the grant becomes due once more.

use std::time::Duration;

use crate::{
    model::{
        grant::GrantState,
        id::{ClusterId, GrantId},
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, parsed},
    },
};

/// A grant that wants work, claimed for the caller until the lease ends.
#[derive(Clone, Debug)]
pub struct DueGrant {
    /// Its id.
    pub id: GrantId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// How often it was tried in vain since it last changed.
    pub attempts: i64,
    /// Whether it is wanted: what makes way for another one is best taken off after that has had its turn.
    pub wanted: bool,
    /// Which wish it was claimed for.
    revision: i64,
}

/// How an attempt on a cluster went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The state it leads to.
    pub state: GrantState,
    /// In words for a page.
    pub detail: Option<String>,
    /// When to try again; `None` when settled.
    pub retry_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct ClaimRow {
    id: String,
    cluster_id: String,
    attempts: i64,
    ended: Option<String>,
    revision: i64,
}

impl ClaimRow {
    fn due(self) -> Result<DueGrant, StoreError> {
        Ok(DueGrant {
            id: parsed(&self.id, "id of a grant")?,
            cluster: parsed(&self.cluster_id, "cluster of a grant")?,
            attempts: self.attempts,
            wanted: self.ended.is_none(),
            revision: self.revision,
        })
    }
}

/// What the end of an attempt is measured by.
#[derive(sqlx::FromRow)]
pub(in crate::store) struct Wish {
    cluster_id: String,
    state: String,
    ended: Option<String>,
    revision: i64,
}

impl Wish {
    /// Whether it is still the one that an attempt was begun for.
    pub(in crate::store) fn fits(&self, due: &DueGrant, wanted: bool) -> bool {
        self.ended.is_none() == wanted && self.revision == due.revision
    }
}

/// Locks a grant's row until the transaction ends, and reads it.
pub(in crate::store) async fn lock(tx: &mut Tx, id: GrantId) -> Result<Option<Wish>, StoreError> {
    const SQL: &str =
        "UPDATE grants SET leased_until = NULL WHERE id = $1 RETURNING cluster_id, state, ended, revision";
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?)
}

/// Makes a grant due again after an attempt at an old wish, and has attempts that are under way now do so too when they end:
/// they may have been overtaken by it on the cluster. A cluster whose bindings are to be left is left.
async fn look_again(tx: &mut Tx, id: GrantId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE grants SET next_attempt = $2, revision = revision + 1, \
         state_since = CASE WHEN state IN ('applied', 'removed') THEN $2 ELSE state_since END, \
         state = CASE WHEN state = 'applied' THEN 'pending' WHEN state = 'removed' THEN 'removing' ELSE state END \
         WHERE id = $1 AND role <> 'none' \
         AND NOT EXISTS (SELECT 1 FROM clusters c WHERE c.id = grants.cluster_id AND c.removing = 'leave')";
    on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(now.millis()).execute(db).await.map(drop))?;
    Ok(())
}

async fn keep(tx: &mut Tx, id: GrantId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE grants SET state_since = CASE WHEN state = $2 THEN state_since ELSE $5 END, state = $2, \
         state_detail = $3, next_attempt = $4, attempts = CASE WHEN $6 THEN attempts + 1 ELSE 0 END WHERE id = $1";
    on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(outcome.state.as_str())
        .bind(outcome.detail.as_deref().map(crate::store::db::shown))
        .bind(outcome.retry_at.map(Timestamp::millis))
        .bind(now.millis())
        .bind(outcome.retry_at.is_some())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Keeps how an attempt went where it counts for this wish, else makes the grant due once more. Returns which.
pub(in crate::store) async fn settle(
    tx: &mut Tx,
    due: &DueGrant,
    wish: Option<&Wish>,
    outcome: &Outcome,
    audit: Option<&AuditDraft>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(wish) = wish else {
        look_again(tx, due.id, now).await?;
        return Ok(false);
    };
    keep(tx, due.id, outcome, now).await?;
    if wish.state != outcome.state.as_str()
        && let Some(audit) = audit
    {
        audit.append(tx, About::Cluster(parsed(&wish.cluster_id, "cluster of a grant")?), now).await?;
    }
    Ok(true)
}

impl Store {
    /// Claims grants that want work: those whose next attempt is due; their next attempt moves to `now + lease`, so that no
    /// other replica takes them meanwhile and a crash only delays them.
    pub async fn claim_due_grants(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<DueGrant>, StoreError> {
        const ANY: &str = "SELECT id FROM grants WHERE next_attempt IS NOT NULL AND next_attempt <= $1 LIMIT 1";
        // The last condition is asked again once a row that another replica has just claimed is unlocked; the inner one is not.
        const CLAIM: &str = "UPDATE grants SET next_attempt = $2, leased_until = $2 WHERE id IN \
             (SELECT id FROM grants WHERE next_attempt IS NOT NULL AND next_attempt <= $1 ORDER BY next_attempt LIMIT $3) \
             AND next_attempt <= $1 RETURNING id, cluster_id, attempts, ended, revision";
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

    /// Claims one grant for work at once, whatever its next attempt says, so that the loop leaves it alone meanwhile.
    pub async fn claim_grant(&self, id: GrantId, now: Timestamp, lease: Duration) -> Result<DueGrant, StoreError> {
        const SQL: &str = "UPDATE grants SET next_attempt = $2, leased_until = $2 WHERE id = $1 \
             RETURNING id, cluster_id, attempts, ended, revision";
        transact!(self, |tx| {
            let row: Option<ClaimRow> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(id.to_string())
                .bind(now.plus(lease).millis())
                .fetch_optional(db)
                .await)?;
            row.ok_or(StoreError::NotFound)?.due()
        })
    }

    /// Keeps how an attempt went. `wanted` says whether the attempt was to have its bindings or to be rid of them. `audit` is
    /// written only where the state changes.
    ///
    /// If what is wanted has changed since the claim (it was ended, or a name it binds has changed), the outcome is not kept,
    /// the grant becomes due once more, and `false` comes back. So it does, without more, where the grant is gone.
    pub async fn settle_grant(
        &self,
        due: &DueGrant,
        wanted: bool,
        outcome: &Outcome,
        audit: Option<AuditDraft>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transact!(self, |tx| {
            let Some(wish) = lock(tx, due.id).await? else { return Ok(false) };
            let wish = Some(&wish).filter(|wish| wish.fits(due, wanted));
            settle(tx, due, wish, outcome, audit.as_ref(), now).await
        })
    }

    /// Makes a cluster's grants that wait for their next attempt due at once (the cluster has been seen alive again); those
    /// that somebody is at are left alone. Returns how many.
    pub async fn hurry_grants(&self, cluster: ClusterId, now: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE grants SET next_attempt = $2 WHERE cluster_id = $1 \
             AND state <> 'applied' AND state <> 'removed' AND next_attempt > $2 \
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

    /// For metrics: how many grants are in each state that is not settled. All four such states come back, also with 0.
    pub async fn unsettled_grants(&self) -> Result<Vec<(GrantState, i64)>, StoreError> {
        const SQL: &str =
            "SELECT state, COUNT(*) FROM grants WHERE state <> 'applied' AND state <> 'removed' GROUP BY state";
        let counted: Vec<(String, i64)> = read!(self, |db| sqlx::query_as(SQL).fetch_all(db).await)?;
        let of = |state: GrantState| counted.iter().find(|(s, _)| s == state.as_str()).map_or(0, |(_, n)| *n);
        let states = [GrantState::Pending, GrantState::Conflict, GrantState::Failed, GrantState::Removing];
        Ok(states.into_iter().map(|state| (state, of(state))).collect())
    }
}
