//! Leases: tokens of ServiceAccounts, without the tokens. A row is there before the token is made and says how that ends: it is
//! handed out only once the row says so, and whatever is ended before that, or never gets there, has its Secret removed.

use std::time::Duration;

use crate::{
    model::{
        audit::Action,
        id::{ClusterId, IdentityId, LeaseId, ServiceAccountId},
        service_account::{Lease, LeaseEnd, TokenLife},
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, clash, parsed},
    },
};

/// How many of one account are alive at most.
const MOST: i64 = 20;

/// A lease to make.
#[derive(Clone, Debug)]
pub struct NewLease {
    /// Its id. It comes from the form, so that a form that is sent twice makes one token.
    pub id: LeaseId,
    /// Whose token.
    pub account: ServiceAccountId,
    /// How long it is asked for.
    pub lasts: TokenLife,
    /// Who gets it.
    pub created_by: IdentityId,
    /// Until when it is waited for.
    pub wait_until: Timestamp,
}

#[derive(sqlx::FromRow)]
struct LeaseRow {
    id: String,
    account_id: String,
    lasts: i64,
    secret_uid: Option<String>,
    created_by: String,
    created_at: i64,
    issued_at: Option<i64>,
    expires_at: i64,
    ended: Option<String>,
    gone_at: Option<i64>,
}

macro_rules! select_leases {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.account_id, l.lasts, l.secret_uid, l.created_by, l.created_at, l.issued_at, l.expires_at, \
             l.ended, l.gone_at FROM leases l ",
            $rest
        )
    };
}

impl LeaseRow {
    fn lease(self) -> Result<Lease, StoreError> {
        const WHAT: &str = "lease";
        let time = Timestamp::from_millis;
        let lasts = u64::try_from(self.lasts).ok().and_then(|ms| TokenLife::new(Duration::from_millis(ms)));
        let why = |text: String| LeaseEnd::parse(&text).ok_or(StoreError::Corrupt(WHAT));
        Ok(Lease {
            id: parsed(&self.id, WHAT)?,
            account: parsed(&self.account_id, WHAT)?,
            lasts: lasts.ok_or(StoreError::Corrupt(WHAT))?,
            secret_uid: self.secret_uid,
            created_by: parsed(&self.created_by, WHAT)?,
            created_at: time(self.created_at),
            issued_at: self.issued_at.map(time),
            expires_at: time(self.expires_at),
            ended: self.ended.map(why).transpose()?,
            gone_at: self.gone_at.map(time),
        })
    }
}

/// Ends the leases of a cluster's accounts that were deleted.
pub(super) async fn end_of_ended(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE leases SET ended = $3, ended_at = $2 WHERE ended IS NULL AND account_id IN \
         (SELECT id FROM service_accounts WHERE cluster_id = $1 AND ended_at IS NOT NULL)";
    on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(now.millis())
        .bind(LeaseEnd::AccountDeleted.as_str())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Ends one that is alive, and makes its account due. Returns its cluster, and what its account is called.
async fn end(tx: &mut Tx, id: &str, why: LeaseEnd, now: Timestamp) -> Result<Option<(ClusterId, String)>, StoreError> {
    const END: &str =
        "UPDATE leases SET ended = $2, ended_at = $3 WHERE id = $1 AND ended IS NULL RETURNING account_id";
    const DUE: &str = "UPDATE service_accounts SET next_attempt = $2, attempts = 0, revision = revision + 1 \
         WHERE id = $1 AND state <> 'removed' RETURNING cluster_id, namespace, name";
    let ended: Option<(String,)> =
        on!(tx, |db| sqlx::query_as(END).bind(id).bind(why.as_str()).bind(now.millis()).fetch_optional(db).await)?;
    let Some((account,)) = ended else { return Ok(None) };
    let row: Option<(String, String, String)> =
        on!(tx, |db| sqlx::query_as(DUE).bind(account).bind(now.millis()).fetch_optional(db).await)?;
    row.map(|(cluster, namespace, name)| Ok((parsed(&cluster, "cluster of a lease")?, format!("{namespace}/{name}"))))
        .transpose()
}

impl Store {
    /// Makes one: its token may be asked for now.
    ///
    /// # Errors
    /// `Duplicate` where this form was sent before; `Full` at 20 that are alive; `Stale` where the account was deleted.
    pub async fn add_lease(&self, new: &NewLease, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const LOCK: &str = "UPDATE service_accounts SET revision = revision WHERE id = $1 \
             RETURNING cluster_id, ended_at";
        const COUNT: &str = "SELECT COUNT(*) FROM leases WHERE account_id = $1 AND ended IS NULL AND expires_at > $2";
        const SQL: &str = "INSERT INTO leases (id, account_id, lasts, created_by, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        const AGAIN: &str = "This one was made already, and a token is shown once. Make another one.";
        transact!(self, |tx| {
            let row: Option<(String, Option<i64>)> =
                on!(tx, |db| sqlx::query_as(LOCK).bind(new.account.to_string()).fetch_optional(db).await)?;
            let (cluster, ended) = row.ok_or(StoreError::NotFound)?;
            if ended.is_some() {
                return Err(StoreError::Stale);
            }
            let (alive,): (i64,) = on!(tx, |db| sqlx::query_as(COUNT)
                .bind(new.account.to_string())
                .bind(now.millis())
                .fetch_one(db)
                .await)?;
            if alive >= MOST {
                return Err(StoreError::Full("20 kubeconfigs of one ServiceAccount at a time"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(new.account.to_string())
                .bind(i64::try_from(new.lasts.span().as_millis()).unwrap_or(i64::MAX))
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .bind(new.wait_until.millis())
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, AGAIN))?;
            audit.append(tx, About::Cluster(parsed(&cluster, "cluster of a ServiceAccount")?), now).await
        })
    }

    /// Remembers the Secret that its token will be bound to. `false` where it has ended meanwhile: then no token is asked for.
    pub async fn keep_lease_secret(&self, id: LeaseId, uid: &str) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE leases SET secret_uid = $2 WHERE id = $1 AND ended IS NULL";
        transact!(self, |tx| {
            let kept = on!(tx, |db| sqlx::query(SQL)
                .bind(id.to_string())
                .bind(uid)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            Ok(kept == 1)
        })
    }

    /// Its token is out, and good until then. `false` where it has ended meanwhile: then it must not be handed out.
    pub async fn issue_lease(&self, id: LeaseId, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE leases SET issued_at = $2, expires_at = $3 WHERE id = $1 AND ended IS NULL \
             AND expires_at > $2";
        transact!(self, |tx| {
            let issued = on!(tx, |db| sqlx::query(SQL)
                .bind(id.to_string())
                .bind(now.millis())
                .bind(until.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            Ok(issued == 1)
        })
    }

    /// Ends one, and makes its account due, so that the Secret goes. Repeating it changes nothing and writes no second event.
    /// Returns whether this call ended it.
    pub async fn end_lease(
        &self,
        id: LeaseId,
        why: LeaseEnd,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transact!(self, |tx| match end(tx, &id.to_string(), why, now).await? {
            Some((cluster, _)) => audit.append(tx, About::Cluster(cluster), now).await.map(|()| true),
            None => Ok(false),
        })
    }

    /// Ends those whose token has run out, and those whose token was never handed out; each with its event. At most `limit`;
    /// returns how many.
    pub async fn expire_leases(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        const SQL: &str = "SELECT id, issued_at FROM leases WHERE ended IS NULL AND expires_at <= $1 \
             ORDER BY expires_at LIMIT $2";
        let due: Vec<(String, Option<i64>)> =
            read!(self, |db| sqlx::query_as(SQL).bind(now.millis()).bind(i64::from(limit)).fetch_all(db).await)?;
        if due.is_empty() {
            return Ok(0);
        }
        transact!(self, |tx| {
            let mut count = 0;
            for (id, issued) in &due {
                let (why, words) = match issued {
                    Some(_) => (LeaseEnd::Expired, "has run out"),
                    None => (LeaseEnd::NotMade, "was not handed out"),
                };
                if let Some((cluster, account)) = end(tx, id, why, now).await? {
                    let event = AuditDraft::by_kubelend(Action::TokenEnded, format!("a token of {account} {words}"));
                    event.append(tx, About::Cluster(cluster), now).await?;
                    count += 1;
                }
            }
            Ok(count)
        })
    }

    /// One of them.
    pub async fn lease(&self, id: LeaseId) -> Result<Lease, StoreError> {
        const SQL: &str = select_leases!("WHERE l.id = $1");
        let row: Option<LeaseRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.lease()
    }

    /// The newest of an account.
    pub async fn leases(&self, account: ServiceAccountId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        const SQL: &str = select_leases!("WHERE l.account_id = $1 ORDER BY l.id DESC LIMIT $2");
        let rows: Vec<LeaseRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(account.to_string()).bind(i64::from(limit)).fetch_all(db).await)?;
        rows.into_iter().map(LeaseRow::lease).collect()
    }

    /// Those of an account that have ended and whose Secrets are not known to be gone.
    pub async fn leases_to_remove(&self, account: ServiceAccountId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        const SQL: &str = select_leases!(
            "WHERE l.account_id = $1 AND l.ended IS NOT NULL AND l.gone_at IS NULL ORDER BY l.id LIMIT $2"
        );
        let rows: Vec<LeaseRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(account.to_string()).bind(i64::from(limit)).fetch_all(db).await)?;
        rows.into_iter().map(LeaseRow::lease).collect()
    }

    /// Forgets leases whose Secrets went before then, and accounts that are off their clusters since then.
    pub async fn sweep_leases(&self, before: Timestamp) -> Result<(), StoreError> {
        const LEASES: &str = "DELETE FROM leases WHERE gone_at IS NOT NULL AND gone_at < $1";
        const ACCOUNTS: &str = "DELETE FROM service_accounts WHERE state = 'removed' AND state_since < $1";
        transact!(self, |tx| {
            on!(tx, |db| {
                sqlx::query(LEASES).bind(before.millis()).execute(&mut *db).await?;
                sqlx::query(ACCOUNTS).bind(before.millis()).execute(&mut *db).await?;
                Ok(())
            })
        })
    }
}
