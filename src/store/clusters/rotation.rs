//! Tokens that Kubelend gets for itself, without the tokens: the Secrets that they are bound to.
//!
//! A row is there before the Secret is made that its token is bound to, and goes after that Secret: so whatever a process leaves that
//! dies in between is found, and nothing that is held is ever taken for it.

use std::time::Duration;

use super::{SealedCredential, StoredCredential, credential, ends::describe, lock, lock_for_giving};
use crate::{
    model::{
        id::{ClusterId, OwnTokenId},
        name::Namespace,
        own_token::{BoundSecret, FormerToken},
        service_account::AccountName,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, parsed, shown},
    },
};

const WHAT: &str = "token of Kubelend's own";

/// A token that is about to be made.
#[derive(Clone, Debug)]
pub struct NewOwnToken {
    /// Its id.
    pub id: OwnTokenId,
    /// For which cluster.
    pub cluster: ClusterId,
    /// Whose it will be.
    pub account: AccountName,
    /// What the Secret will be called that it is bound to.
    pub secret: String,
    /// Until when it is waited for.
    pub wait_until: Timestamp,
}

/// A token that takes the place of what is held.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// Which.
    pub id: OwnTokenId,
    /// It, sealed.
    pub credential: SealedCredential,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it makes way for the next one.
    pub renew_at: Timestamp,
    /// The Secret that the token before is bound to, and whose that is.
    pub former: Option<(AccountName, BoundSecret)>,
}

#[derive(sqlx::FromRow)]
struct FormerRow {
    id: String,
    cluster_id: String,
    namespace: String,
    account: String,
    secret: String,
    uid: Option<String>,
    attempts: i64,
    trouble: Option<String>,
}

macro_rules! former_columns {
    () => {
        "id, cluster_id, namespace, account, secret, uid, attempts, trouble"
    };
}

impl FormerRow {
    fn former(self) -> Result<FormerToken, StoreError> {
        let namespace: Namespace = parsed(&self.namespace, WHAT)?;
        Ok(FormerToken {
            id: parsed(&self.id, WHAT)?,
            cluster: parsed(&self.cluster_id, WHAT)?,
            account: AccountName::new(namespace, &self.account).map_err(|_| StoreError::Corrupt(WHAT))?,
            secret: BoundSecret { name: self.secret, uid: self.uid },
            attempts: self.attempts,
            trouble: self.trouble,
        })
    }
}

async fn insert(
    tx: &mut Tx,
    (id, cluster, state): (OwnTokenId, ClusterId, &str),
    account: &AccountName,
    secret: &BoundSecret,
    (next_attempt, ended_at): (Timestamp, Option<Timestamp>),
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO own_tokens (id, cluster_id, namespace, account, secret, uid, state, attempts, next_attempt, ended_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)";
    Ok(on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(cluster.to_string())
        .bind(account.namespace().as_str())
        .bind(account.name())
        .bind(&secret.name)
        .bind(secret.uid.as_deref())
        .bind(state)
        .bind(next_attempt.millis())
        .bind(ended_at.map(Timestamp::millis))
        .execute(db)
        .await
        .map(drop))?)
}

/// Ends what was held, except for this one.
pub(super) async fn end_held(tx: &mut Tx, cluster: ClusterId, but: &str, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE own_tokens SET state = 'ending', ended_at = $3, next_attempt = $3, attempts = 0 \
         WHERE cluster_id = $1 AND state = 'held' AND id <> $2";
    Ok(on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(but)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop))?)
}

/// Forgets them all: the address is another one, and what is called so there is something else.
pub(super) async fn forget(tx: &mut Tx, cluster: ClusterId) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM own_tokens WHERE cluster_id = $1";
    Ok(on!(tx, |db| sqlx::query(SQL).bind(cluster.to_string()).execute(db).await.map(drop))?)
}

/// The row of a Secret, if it has one.
pub(super) async fn row_of(
    tx: &mut Tx,
    cluster: ClusterId,
    account: &AccountName,
    secret: &str,
) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT id FROM own_tokens WHERE cluster_id = $1 AND namespace = $2 AND secret = $3";
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(cluster.to_string())
        .bind(account.namespace().as_str())
        .bind(secret)
        .fetch_optional(db)
        .await)?;
    Ok(row.map(|(id,)| id))
}

impl Store {
    /// Writes down that a token is being made; only then anything is made for it.
    ///
    /// # Errors
    /// `Duplicate` while another one is being made; `Stale` where the cluster is being removed.
    pub async fn begin_own_token(&self, new: &NewOwnToken, now: Timestamp) -> Result<(), StoreError> {
        const OTHERS: &str =
            "SELECT COUNT(*) FROM own_tokens WHERE cluster_id = $1 AND state = 'making' AND next_attempt > $2";
        transact!(self, |tx| {
            lock_for_giving(tx, new.cluster).await?;
            let (others,): (i64,) = on!(tx, |db| sqlx::query_as(OTHERS)
                .bind(new.cluster.to_string())
                .bind(now.millis())
                .fetch_one(db)
                .await)?;
            if others > 0 {
                return Err(StoreError::Duplicate("It is being rotated just now."));
            }
            let secret = BoundSecret { name: new.secret.clone(), uid: None };
            insert(tx, (new.id, new.cluster, "making"), &new.account, &secret, (new.wait_until, None)).await
        })
    }

    /// Remembers the Secret that its token will be bound to. `false` where that took too long: then no token is asked for.
    pub async fn keep_own_token_secret(&self, id: OwnTokenId, uid: &str) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE own_tokens SET uid = $2 WHERE id = $1 AND state = 'making'";
        transact!(self, |tx| Ok(changed!(tx, SQL, id.to_string(), uid)? == 1))
    }

    /// It is not to be, and its Secret has to go; with `nothing` that was refused, so that there is none.
    pub async fn give_up_own_token(&self, id: OwnTokenId, nothing: bool, now: Timestamp) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM own_tokens WHERE id = $1 AND state = 'making' AND uid IS NULL";
        const END: &str = "UPDATE own_tokens SET state = 'ending', ended_at = $2, next_attempt = $2 WHERE id = $1 AND state = 'making'";
        transact!(self, |tx| {
            if nothing {
                changed!(tx, FORGET, id.to_string())?;
            }
            changed!(tx, END, id.to_string(), now.millis())?;
            Ok(())
        })
    }

    /// Puts it in place of the credential that was read, at the same endpoint; what was held before has to go from now on.
    ///
    /// # Errors
    /// `Stale` where another credential is held by now, or another endpoint, or where it took too long.
    pub async fn rotate_credential(
        &self,
        cluster: ClusterId,
        held: &StoredCredential,
        new: &Rotated,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const HOLD: &str =
            "UPDATE own_tokens SET state = 'held', next_attempt = NULL WHERE id = $1 AND state = 'making'";
        transact!(self, |tx| {
            lock(tx, cluster).await?;
            if credential::stored(tx, cluster).await? != *held || changed!(tx, HOLD, new.id.to_string())? == 0 {
                return Err(StoreError::Stale);
            }
            end_held(tx, cluster, &new.id.to_string(), now).await?;
            if let Some((account, secret)) = &new.former
                && row_of(tx, cluster, account, &secret.name).await?.is_none()
            {
                insert(tx, (OwnTokenId::new(), cluster, "ending"), account, secret, (now, Some(now))).await?;
            }
            credential::replace(tx, cluster, &new.credential, now).await?;
            describe(tx, cluster, Some(new.ends_at), Some(new.renew_at)).await?;
            audit.append(tx, About::Cluster(cluster), now).await
        })
    }

    /// Claims Secrets that have to go, for so long: of former tokens, and of such as were never finished. Of one cluster, or of all.
    pub async fn claim_former_tokens(
        &self,
        cluster: Option<ClusterId>,
        now: Timestamp,
        claim: Duration,
        limit: u32,
    ) -> Result<Vec<FormerToken>, StoreError> {
        const DUE: &str = "SELECT id FROM own_tokens WHERE next_attempt <= $1 AND state <> 'held' AND ($2 = '' OR cluster_id = $2) \
             ORDER BY next_attempt LIMIT $3";
        const CLAIM: &str = concat!(
            "UPDATE own_tokens SET state = 'ending', ended_at = COALESCE(ended_at, $2), next_attempt = $3 \
             WHERE id = $1 AND next_attempt <= $2 AND state <> 'held' RETURNING ",
            former_columns!()
        );
        let of = cluster.map(|id| id.to_string()).unwrap_or_default();
        let due: Vec<(String,)> = read!(self, |db| sqlx::query_as(DUE)
            .bind(now.millis())
            .bind(&of)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        transact!(self, |tx| {
            let mut claimed = Vec::new();
            for (id,) in &due {
                let row: Option<FormerRow> = on!(tx, |db| sqlx::query_as(CLAIM)
                    .bind(id)
                    .bind(now.millis())
                    .bind(now.plus(claim).millis())
                    .fetch_optional(db)
                    .await)?;
                claimed.extend(row.map(FormerRow::former).transpose()?);
            }
            Ok(claimed)
        })
    }

    /// Those of a cluster whose Secrets have to go.
    pub async fn former_tokens(&self, cluster: ClusterId) -> Result<Vec<FormerToken>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            former_columns!(),
            " FROM own_tokens WHERE cluster_id = $1 AND state = 'ending' ORDER BY id LIMIT 20"
        );
        let rows: Vec<FormerRow> = read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(FormerRow::former).collect()
    }

    /// The Secret of one is off the cluster, and the row goes; or (`None`) it is the one of what is held after all, and stays.
    pub async fn settle_former_token(
        &self,
        former: &FormerToken,
        gone: Option<AuditDraft>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM own_tokens WHERE id = $1 AND state = 'ending'";
        const HOLD: &str =
            "UPDATE own_tokens SET state = 'held', next_attempt = NULL, ended_at = NULL, trouble = NULL WHERE id = $1";
        let id = former.id.to_string();
        transact!(self, |tx| {
            let Some(audit) = &gone else {
                changed!(tx, HOLD, &id)?;
                return Ok(());
            };
            if changed!(tx, FORGET, &id)? == 1 {
                audit.append(tx, About::Cluster(former.cluster), now).await
            } else {
                Ok(())
            }
        })
    }

    /// It stands still: why, and when to try again.
    pub async fn former_token_stands(&self, id: OwnTokenId, why: &str, again: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE own_tokens SET attempts = attempts + 1, trouble = $2, next_attempt = $3 WHERE id = $1 AND state = 'ending'";
        transact!(self, |tx| {
            changed!(tx, SQL, id.to_string(), shown(why), again.millis())?;
            Ok(())
        })
    }

    /// Forgets those that have had to go since before then, and that nobody let Kubelend delete.
    pub async fn sweep_own_tokens(&self, before: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM own_tokens WHERE state = 'ending' AND ended_at < $1";
        transact!(self, |tx| {
            changed!(tx, SQL, before.millis())?;
            Ok(())
        })
    }
}
