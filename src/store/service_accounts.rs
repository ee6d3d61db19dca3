//! ServiceAccounts that Kubelend makes on clusters. As with grants, a row says what is wanted and how far its cluster has
//! followed.
//!
//! Making and deleting one is here; `leases` is about its tokens, `work` hands accounts out to whoever brings them to clusters. Work
//! on a lease (its Secret has to go) is work on its account: one claim, one attempt, one place that says what stands in the way.

mod leases;
mod work;

pub use leases::NewLease;
pub use work::{AccountOutcome, DueAccount};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{Tx, clash, parsed},
    grants,
};
use crate::model::{
    grant::{GrantState, Grantee},
    id::{ClusterId, IdentityId, ServiceAccountId},
    name::Namespace,
    service_account::{AccountName, ServiceAccount},
    time::Timestamp,
};

/// How many a cluster has at most: as many as one page lists.
const MOST: i64 = 60;

/// A ServiceAccount to make.
#[derive(Clone, Debug)]
pub struct NewServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// On which cluster.
    pub cluster: ClusterId,
    /// What it is called there.
    pub name: AccountName,
    /// Who wants it.
    pub created_by: IdentityId,
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    id: String,
    cluster_id: String,
    namespace: String,
    name: String,
    uid: Option<String>,
    created_by: String,
    created_at: i64,
    ended_at: Option<i64>,
    state: String,
    state_detail: Option<String>,
}

/// Reads accounts `a`.
macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.cluster_id, a.namespace, a.name, a.uid, a.created_by, a.created_at, a.ended_at, a.state, \
             a.state_detail FROM service_accounts a ",
            $rest
        )
    };
}

impl AccountRow {
    fn account(self) -> Result<ServiceAccount, StoreError> {
        const WHAT: &str = "ServiceAccount";
        let namespace: Namespace = parsed(&self.namespace, WHAT)?;
        Ok(ServiceAccount {
            id: parsed(&self.id, WHAT)?,
            cluster: parsed(&self.cluster_id, WHAT)?,
            name: AccountName::new(namespace, &self.name).map_err(|_| StoreError::Corrupt(WHAT))?,
            uid: self.uid,
            created_by: parsed(&self.created_by, WHAT)?,
            created_at: Timestamp::from_millis(self.created_at),
            ended_at: self.ended_at.map(Timestamp::from_millis),
            state: GrantState::parse(&self.state).ok_or(StoreError::Corrupt(WHAT))?,
            state_detail: self.state_detail,
        })
    }
}

/// `UPDATE` that deletes accounts which are not deleted yet; `$1` is now. Which ones follows.
macro_rules! make_ended {
    ($which:literal) => {
        concat!(
            "UPDATE service_accounts SET ended_at = $1, state = 'removing', state_since = $1, state_detail = NULL, \
             attempts = 0, next_attempt = $1, leased_until = NULL WHERE ended_at IS NULL AND ",
            $which
        )
    };
}

/// Deletes all of a cluster that is on its way out; the cluster's row is locked. With `leave` they are forgotten as they stand.
pub(super) async fn end_all(tx: &mut Tx, cluster: ClusterId, leave: bool, now: Timestamp) -> Result<(), StoreError> {
    const END: &str = make_ended!("cluster_id = $2");
    const FORGET: &str = "UPDATE service_accounts SET state = 'removed', state_detail = NULL, state_since = $1, \
         next_attempt = NULL, leased_until = NULL, revision = revision + 1 WHERE cluster_id = $2 AND state <> 'removed'";
    on!(tx, |db| sqlx::query(END).bind(now.millis()).bind(cluster.to_string()).execute(db).await.map(drop))?;
    leases::end_of_ended(tx, cluster, now).await?;
    if leave {
        on!(tx, |db| sqlx::query(FORGET).bind(now.millis()).bind(cluster.to_string()).execute(db).await.map(drop))?;
    }
    Ok(())
}

/// Makes all of a cluster due at once, since there is a new way to get there.
pub(super) async fn retry_all(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE service_accounts SET attempts = 0, next_attempt = $1, leased_until = NULL, \
         revision = revision + 1 WHERE cluster_id = $2 AND state <> 'removed'";
    on!(tx, |db| sqlx::query(SQL).bind(now.millis()).bind(cluster.to_string()).execute(db).await.map(drop))?;
    Ok(())
}

impl Store {
    /// Makes one, `Pending` and due at once.
    ///
    /// # Errors
    /// `Duplicate` where there is one of that name that is not off the cluster yet; `Full` at 60 of them; `Stale` where the cluster
    /// is being removed.
    pub async fn add_service_account(
        &self,
        new: &NewServiceAccount,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM service_accounts WHERE cluster_id = $1 AND state <> 'removed'";
        const SQL: &str = "INSERT INTO service_accounts (id, cluster_id, namespace, name, created_by, created_at, state, \
             state_since, attempts, next_attempt, revision) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $6, 0, $6, 0)";
        const TAKEN: &str = "Kubelend has one of this name there already, or is still deleting it.";
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, new.cluster).await?;
            let (count,): (i64,) =
                on!(tx, |db| sqlx::query_as(COUNT).bind(new.cluster.to_string()).fetch_one(db).await)?;
            if count >= MOST {
                return Err(StoreError::Full("60 ServiceAccounts on a cluster"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(new.cluster.to_string())
                .bind(new.name.namespace().as_str())
                .bind(new.name.name())
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, TAKEN))?;
            audit.append(tx, About::Cluster(new.cluster), now).await
        })
    }

    /// One of them.
    pub async fn service_account(&self, id: ServiceAccountId) -> Result<ServiceAccount, StoreError> {
        const SQL: &str = select_accounts!("WHERE a.id = $1");
        let row: Option<AccountRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.account()
    }

    /// A cluster's that are not off it yet, by name, each with how many of its leases are alive.
    pub async fn service_accounts(
        &self,
        cluster: ClusterId,
        now: Timestamp,
    ) -> Result<Vec<(ServiceAccount, u32)>, StoreError> {
        const SQL: &str =
            select_accounts!("WHERE a.cluster_id = $1 AND a.state <> 'removed' ORDER BY a.namespace, a.name");
        const ALIVE: &str = "SELECT l.account_id, COUNT(*) FROM leases l JOIN service_accounts a ON a.id = l.account_id \
             WHERE a.cluster_id = $1 AND l.ended IS NULL AND l.expires_at > $2 GROUP BY l.account_id";
        read!(self, |db| {
            let rows: Vec<AccountRow> = sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await?;
            let alive: Vec<(String, i64)> =
                sqlx::query_as(ALIVE).bind(cluster.to_string()).bind(now.millis()).fetch_all(db).await?;
            let count = |id: &str| alive.iter().find(|(of, _)| of == id).map_or(0, |(_, n)| *n);
            let with = |row: AccountRow| {
                let n = u32::try_from(count(&row.id)).unwrap_or(u32::MAX);
                Ok((row.account()?, n))
            };
            rows.into_iter().map(with).collect()
        })
    }

    /// Deletes one: state `Removing`, due at once; its leases end, and the grants to it (each with an event like `grant`), since
    /// whoever makes a ServiceAccount of that name later must not inherit them. Repeating it changes nothing and writes nothing.
    /// Returns whether this call did it.
    pub async fn end_service_account(
        &self,
        id: ServiceAccountId,
        audit: AuditDraft,
        grant: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = make_ended!("id = $2 RETURNING cluster_id, namespace, name");
        const GRANTS: &str = "SELECT id FROM grants WHERE cluster_id = $1 AND grantee_key = $2 AND ended IS NULL";
        transact!(self, |tx| {
            let row: Option<(String, String, String)> =
                on!(tx, |db| sqlx::query_as(SQL).bind(now.millis()).bind(id.to_string()).fetch_optional(db).await)?;
            let Some((cluster, namespace, name)) = row else { return Ok(false) };
            let about: ClusterId = parsed(&cluster, "cluster of a ServiceAccount")?;
            leases::end_of_ended(tx, about, now).await?;
            let account = AccountName::new(parsed(&namespace, "namespace")?, &name);
            let account = account.map_err(|_| StoreError::Corrupt("name of a ServiceAccount"))?;
            let key = grants::key(&Grantee::ServiceAccount(account));
            let held: Vec<(String,)> =
                on!(tx, |db| sqlx::query_as(GRANTS).bind(&cluster).bind(key).fetch_all(db).await)?;
            let held: Vec<String> = held.into_iter().map(|(id,)| id).collect();
            grants::revoke_all(tx, &held, &grant, now).await?;
            audit.append(tx, About::Cluster(about), now).await?;
            Ok(true)
        })
    }
}
