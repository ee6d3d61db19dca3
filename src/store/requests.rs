//! Access requests: making and closing them; `lists` reads them. Whatever closes one says so in the statement that does, so that of two answers one
//! counts; an approval makes its grant in the same transaction.

mod lists;

pub use lists::RequestPage;

use std::time::Duration;

use super::{
    AuditDraft, NewGrant, Store, StoreError,
    audit::About,
    clusters,
    db::{Tx, clash, parsed},
    grants,
};
use crate::model::{
    access_request::{AccessRequest, RequestState, Wish},
    audit::Action,
    grant::{Grant, Grantee, Origin},
    id::{AccessRequestId, ClusterId, GrantId, IdentityId},
    reason::Reason,
    role::Role,
    scope::Scope,
    time::Timestamp,
    vouch::Vouch,
};

/// How many requests of one person wait on one cluster.
const WAITING: i64 = 3;
/// How many of one person wait in all.
const WAITING_IN_ALL: i64 = 20;

/// A request to make.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Its id.
    pub id: AccessRequestId,
    /// Who asks.
    pub by: IdentityId,
    /// For what.
    pub wish: Wish,
    /// Until when it waits.
    pub until: Timestamp,
}

/// How somebody says yes: with what was asked for, or with something else.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The grant's id.
    pub grant: GrantId,
    /// The role.
    pub role: Role,
    /// Where, on the same cluster.
    pub scope: Scope,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Who says it.
    pub by: IdentityId,
    /// What the role lets do, where others have defined it.
    pub vouch: Option<Vouch>,
}

/// How a request is closed with no grant.
#[derive(Clone, Debug)]
pub enum Closing {
    /// Somebody says no.
    Decline(IdentityId, Option<Reason>),
    /// Whoever asked takes it back.
    Withdraw(IdentityId),
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    id: String,
    cluster_id: String,
    identity_id: String,
    role: String,
    namespaces: String,
    lasts: Option<i64>,
    reason: String,
    asked_at: i64,
    until: i64,
    state: String,
    word: Option<String>,
    grant_id: Option<String>,
    closed_at: Option<i64>,
    closed_by: Option<String>,
}

macro_rules! select_requests {
    ($($rest:expr),+) => {
        concat!(
            "SELECT r.id, r.cluster_id, r.identity_id, r.role, r.namespaces, r.lasts, r.reason, r.asked_at, r.until, r.state, \
             r.word, r.grant_id, r.closed_at, r.closed_by FROM access_requests r ",
            $($rest),+
        )
    };
}

use select_requests;

impl RequestRow {
    fn request(self) -> Result<AccessRequest, StoreError> {
        let corrupt = |what| move || StoreError::Corrupt(what);
        let reason = grants::reason_of(Some(&self.reason), "reason of a request")?;
        let state = match (self.state.as_str(), self.grant_id) {
            ("pending", _) => RequestState::Pending,
            ("approved", Some(grant)) => RequestState::Approved(parsed(&grant, "grant of a request")?),
            ("declined", _) => RequestState::Declined(grants::reason_of(self.word.as_deref(), "answer to a request")?),
            ("withdrawn", _) => RequestState::Withdrawn,
            ("lapsed", _) => RequestState::Lapsed,
            _ => return Err(StoreError::Corrupt("state of a request")),
        };
        Ok(AccessRequest {
            id: parsed(&self.id, "id of a request")?,
            by: parsed(&self.identity_id, "maker of a request")?,
            wish: Wish {
                role: grants::role_of(&self.role)?.ok_or_else(corrupt("role of a request"))?,
                scope: grants::scope_of(&self.cluster_id, &self.namespaces)?,
                lasts: self.lasts.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
                reason: reason.ok_or_else(corrupt("reason of a request"))?,
            },
            asked_at: Timestamp::from_millis(self.asked_at),
            until: Timestamp::from_millis(self.until),
            state,
            closed_at: self.closed_at.map(Timestamp::from_millis),
            closed_by: self.closed_by.map(|id| parsed(&id, "who closed a request")).transpose()?,
        })
    }
}

async fn one(tx: &mut Tx, id: AccessRequestId) -> Result<AccessRequest, StoreError> {
    const SQL: &str = select_requests!("WHERE r.id = $1");
    let row: Option<RequestRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.request()
}

/// Closes a request that waits. Returns whether this did.
async fn close(
    tx: &mut Tx,
    id: AccessRequestId,
    (state, by): (&RequestState, Option<IdentityId>),
    now: Timestamp,
) -> Result<bool, StoreError> {
    // One that has lapsed is not answered any more; that it has is written after its time.
    const SQL: &str = "UPDATE access_requests SET state = $2, closed_at = $3, closed_by = $4, word = $5, grant_id = $6 \
         WHERE id = $1 AND state = 'pending' AND ((until > $3) <> ($2 = 'lapsed'))";
    let (word, grant) = match state {
        RequestState::Approved(grant) => (None, Some(grant.to_string())),
        RequestState::Declined(word) => (word.as_ref().map(|word| word.as_str().to_owned()), None),
        RequestState::Pending | RequestState::Withdrawn | RequestState::Lapsed => (None, None),
    };
    let closed = on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(now.millis())
        .bind(by.map(|by| by.to_string()))
        .bind(word)
        .bind(grant)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(closed > 0)
}

/// How many requests of somebody wait: on this cluster, and in all.
async fn waiting(tx: &mut Tx, cluster: ClusterId, by: IdentityId, now: Timestamp) -> Result<(i64, i64), StoreError> {
    const SQL: &str =
        "SELECT cluster_id FROM access_requests WHERE identity_id = $1 AND state = 'pending' AND until > $2 LIMIT 100";
    let rows: Vec<(String,)> =
        on!(tx, |db| sqlx::query_as(SQL).bind(by.to_string()).bind(now.millis()).fetch_all(db).await)?;
    let here = rows.iter().filter(|(id,)| *id == cluster.to_string()).count();
    let count = |n| i64::try_from(n).unwrap_or(i64::MAX);
    Ok((count(here), count(rows.len())))
}

impl Store {
    /// Makes a request.
    ///
    /// # Errors
    /// `Duplicate` where they wait for exactly this already, `Full` where they wait for too much, `Stale` where the cluster is being
    /// removed.
    pub async fn add_request(&self, new: &NewRequest, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO access_requests \
             (id, cluster_id, identity_id, role, namespaces, lasts, reason, asked_at, until, state) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending') ON CONFLICT DO NOTHING";
        let cluster = new.wish.scope.cluster();
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, cluster).await?;
            lapse(tx, new.by, now).await?;
            let (here, all) = waiting(tx, cluster, new.by, now).await?;
            let inserted = on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(cluster.to_string())
                .bind(new.by.to_string())
                .bind(grants::role_text(Some(&new.wish.role)))
                .bind(grants::namespaces_text(&new.wish.scope))
                .bind(new.wish.lasts.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
                .bind(new.wish.reason.as_str())
                .bind(now.millis())
                .bind(new.until.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))
            .map_err(|e| clash(e, "a request"))?;
            if inserted == 0 {
                return Err(StoreError::Duplicate("You have asked for exactly this already."));
            }
            if here >= WAITING {
                return Err(StoreError::Full("3 requests that wait on one cluster"));
            }
            if all >= WAITING_IN_ALL {
                return Err(StoreError::Full("20 requests that wait"));
            }
            audit.append(tx, About::Cluster(cluster), now).await
        })
    }

    /// Says yes to a request that waits: closes it and makes the grant, `Pending` and due at once, in one transaction.
    ///
    /// # Errors
    /// `Stale` where it does not wait any more, or its cluster is being removed; `NotFound` where it is not on that cluster.
    pub async fn approve_request(
        &self,
        id: AccessRequestId,
        answer: &Answer,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Grant, StoreError> {
        let cluster = answer.scope.cluster();
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, cluster).await?;
            let request = one(tx, id).await?;
            if request.wish.scope.cluster() != cluster {
                return Err(StoreError::NotFound);
            }
            let approved = RequestState::Approved(answer.grant);
            if !close(tx, id, (&approved, Some(answer.by)), now).await? {
                return Err(StoreError::Stale);
            }
            let new = NewGrant {
                id: answer.grant,
                grantee: Grantee::Person(request.by),
                role: Some(answer.role.clone()),
                scope: answer.scope.clone(),
                expires_at: answer.expires_at,
                reason: Some(request.wish.reason),
                origin: Origin::Request(id),
                created_by: answer.by,
                vouch: answer.vouch.clone(),
            };
            let grant = grants::insert(tx, &new, now).await?;
            audit.append(tx, About::Cluster(cluster), now).await?;
            Ok(grant)
        })
    }

    /// Closes a request that waits, with no grant.
    ///
    /// # Errors
    /// `Stale` where it does not wait any more.
    pub async fn close_request(
        &self,
        id: AccessRequestId,
        how: &Closing,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (state, by) = match how {
            Closing::Decline(by, word) => (RequestState::Declined(word.clone()), *by),
            Closing::Withdraw(by) => (RequestState::Withdrawn, *by),
        };
        transact!(self, |tx| {
            if !close(tx, id, (&state, Some(by)), now).await? {
                one(tx, id).await?;
                return Err(StoreError::Stale);
            }
            let cluster = one(tx, id).await?.wish.scope.cluster();
            audit.append(tx, About::Cluster(cluster), now).await
        })
    }

    /// Closes requests that nobody has answered in time, each with its event. At most `limit`; returns how many.
    pub async fn lapse_requests(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        const SQL: &str =
            "SELECT identity_id FROM access_requests WHERE state = 'pending' AND until <= $1 ORDER BY until LIMIT $2";
        let due: Vec<(String,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(now.millis()).bind(i64::from(limit)).fetch_all(db).await)?;
        let mut people: Vec<String> = due.into_iter().map(|(id,)| id).collect();
        people.sort();
        people.dedup();
        let mut lapsed = 0;
        for person in people {
            let person = parsed(&person, "maker of a request")?;
            lapsed += transact!(self, |tx| lapse(tx, person, now).await)?;
        }
        Ok(lapsed)
    }
}

/// Closes what somebody asked for and nobody answered in time, each with its event. Returns how many.
async fn lapse(tx: &mut Tx, by: IdentityId, now: Timestamp) -> Result<usize, StoreError> {
    const SQL: &str =
        select_requests!("WHERE r.identity_id = $1 AND r.state = 'pending' AND r.until <= $2 ORDER BY r.id LIMIT 100");
    let rows: Vec<RequestRow> =
        on!(tx, |db| sqlx::query_as(SQL).bind(by.to_string()).bind(now.millis()).fetch_all(db).await)?;
    let mut lapsed = 0;
    for row in rows {
        let request = row.request()?;
        if close(tx, request.id, (&RequestState::Lapsed, None), now).await? {
            let what = format!("{} on {}", request.wish.role, request.wish.scope.in_words());
            let event = AuditDraft::by_kubelend(Action::RequestLapsed, what);
            event.append(tx, About::Cluster(request.wish.scope.cluster()), now).await?;
            lapsed += 1;
        }
    }
    Ok(lapsed)
}
