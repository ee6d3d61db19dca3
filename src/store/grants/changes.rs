//! Changing what is wanted of grants. Whatever changes the names or rights that bindings must have makes the grant due at once,
//! ends leases, and (where the grant goes on) counts its revision up, so that an attempt that is under way at the old wish
//! cannot settle the new one.

use std::time::Duration;

use crate::{
    model::{
        grant::{EndReason, Grant, Grantee},
        id::{ClusterId, FederatedGrantId, GrantId, IdentityId},
        provider::ProviderId,
        reason::Reason,
        time::Timestamp,
    },
    store::{StoreError, db::Tx, identities},
};

use super::rows::{email_key, ends_at, namespaces_text, person_key, role_text};

/// How long what makes way waits at most: longer than what takes its place is left to one attempt that may have died.
const TURN: Duration = Duration::from_secs(8);

/// `UPDATE` that makes grants with a role `Pending`; `$1` is now. More columns to set, and which grants, follow.
macro_rules! make_pending {
    ($set:literal, $which:literal) => {
        concat!(
            "UPDATE grants SET state_since = CASE WHEN state = 'pending' OR role = 'none' THEN state_since ELSE $1 END, \
             state = CASE WHEN role = 'none' THEN state ELSE 'pending' END, state_detail = NULL, attempts = 0, \
             next_attempt = CASE WHEN role = 'none' THEN NULL ELSE $1 END, leased_until = NULL, \
             revision = revision + 1",
            $set,
            " WHERE ended IS NULL AND ",
            $which
        )
    };
}

/// `UPDATE` that ends live grants; `$1` is now, `$2` why. Which grants follows.
macro_rules! make_ended {
    ($which:literal) => {
        concat!(
            "UPDATE grants SET ended = $2, ended_at = $1, state_since = $1, state_detail = NULL, attempts = 0, \
             state = CASE WHEN role = 'none' THEN 'removed' ELSE 'removing' END, \
             next_attempt = CASE WHEN role = 'none' THEN NULL ELSE $1 END, leased_until = NULL \
             WHERE ended IS NULL AND ",
            $which
        )
    };
}

/// Ends one live grant and says on which cluster. One that is to end for its time is left where its end has been moved since it was
/// found to be over.
pub(in crate::store) async fn end(
    tx: &mut Tx,
    id: GrantId,
    why: EndReason,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    const SQL: &str = make_ended!("id = $3 AND ($2 <> 'expired' OR expires_at <= $1) RETURNING cluster_id");
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(now.millis())
        .bind(why.as_str())
        .bind(id.to_string())
        .fetch_optional(db)
        .await)?;
    Ok(row.map(|(cluster,)| cluster))
}

/// Ends one live grant because another one takes its place; its bindings are due once that has had its turn. Returns whether it lived.
pub(super) async fn make_way(tx: &mut Tx, id: GrantId, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE grants SET ended = $2, ended_at = $1, state_since = $1, state_detail = NULL, attempts = 0, \
         state = 'removing', next_attempt = $4, leased_until = NULL \
         WHERE id = $3 AND role <> 'none' AND ended IS NULL AND (expires_at IS NULL OR expires_at > $1)";
    let ended = on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(EndReason::Replaced.as_str())
        .bind(id.to_string())
        .bind(now.plus(TURN).millis())
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(ended > 0)
}

/// Ends all live grants on a cluster.
pub(in crate::store) async fn end_all(
    tx: &mut Tx,
    cluster: ClusterId,
    why: EndReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = make_ended!("cluster_id = $3");
    on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(why.as_str())
        .bind(cluster.to_string())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Ends all that a federated grant was written out as.
pub(in crate::store) async fn end_federated(
    tx: &mut Tx,
    id: FederatedGrantId,
    why: EndReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = make_ended!("federated_id = $3");
    on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(why.as_str())
        .bind(id.to_string())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Ends all live grants to the people, addresses and groups of a provider, on one cluster or on all.
pub(in crate::store) async fn end_of_provider(
    tx: &mut Tx,
    provider: &ProviderId,
    cluster: Option<ClusterId>,
    why: EndReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = make_ended!(
        "(provider = $3 OR identity_id IN (SELECT id FROM identities WHERE provider = $3)) AND ($4 = '' OR cluster_id = $4)"
    );
    on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(why.as_str())
        .bind(provider.as_str())
        .bind(cluster.map(|id| id.to_string()).unwrap_or_default())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Calls all ended grants on a cluster `Removed`, whatever stands there, and whatever an attempt that is under way comes to.
pub(in crate::store) async fn forget_bindings(
    tx: &mut Tx,
    cluster: ClusterId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE grants SET state = 'removed', state_detail = NULL, state_since = $1, next_attempt = NULL, \
         leased_until = NULL, revision = revision + 1 WHERE cluster_id = $2 AND ended IS NOT NULL AND state <> 'removed'";
    on!(tx, |db| sqlx::query(SQL).bind(now.millis()).bind(cluster.to_string()).execute(db).await.map(drop))?;
    Ok(())
}

/// Makes all grants on a cluster due at once, with a new way to get there: attempts on the old way do not count, and what stood
/// at the old address may not stand at the new one.
pub(in crate::store) async fn retry_all(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE grants SET attempts = 0, next_attempt = $1, leased_until = NULL, revision = revision + 1, \
         state_since = CASE WHEN state = 'applied' THEN $1 ELSE state_since END, \
         state = CASE WHEN state = 'applied' THEN 'pending' ELSE state END \
         WHERE cluster_id = $2 AND role <> 'none' AND state <> 'removed'";
    on!(tx, |db| sqlx::query(SQL).bind(now.millis()).bind(cluster.to_string()).execute(db).await.map(drop))?;
    Ok(())
}

/// A cluster names a provider's people and groups anew.
pub(in crate::store) async fn rename_provider(
    tx: &mut Tx,
    cluster: ClusterId,
    provider: &ProviderId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = make_pending!(
        "",
        "cluster_id = $2 AND (provider = $3 OR identity_id IN (SELECT id FROM identities WHERE provider = $3))"
    );
    on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(cluster.to_string())
        .bind(provider.as_str())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// A person's name on clusters has changed, or is gone. Returns how many grants must be looked at again.
pub(in crate::store) async fn rename_person(
    tx: &mut Tx,
    person: IdentityId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    const SQL: &str = make_pending!("", "grantee_key = $2 AND role <> 'none'");
    let touched = on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(person_key(person))
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(touched)
}

/// Makes live grants to an email (in lower case) at a provider `Pending` where the email has had several holders: nobody can say
/// which of them was meant, so nothing must be bound for it. All of them where `newcomer` (the last holder has just come by
/// it), else those that are bound. Returns which.
pub(in crate::store) async fn doubt_email(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    newcomer: bool,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    const SQL: &str = make_pending!(
        "",
        "grantee_key = $2 AND role <> 'none' AND ($5 OR state = 'applied') \
         AND (SELECT COUNT(*) FROM email_holders h WHERE h.provider = $3 AND h.email_key = $4) > 1 RETURNING id"
    );
    let rows: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(now.millis())
        .bind(email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .bind(newcomer)
        .fetch_all(db)
        .await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// What grants to the verified email of a person are found by; `None` for whoever is no person, or has none.
pub(in crate::store) async fn address_of(tx: &mut Tx, who: &Grantee) -> Result<Option<String>, StoreError> {
    let Grantee::Person(id) = who else { return Ok(None) };
    let person = identities::one(tx, *id).await?;
    Ok(person.and_then(|p| p.verified_email().map(|email| email_key(&p.provider, &email.normalised()))))
}

/// Ends live grants to the verified email of a person that this grant to the person takes the place of. Returns which.
pub(super) async fn end_for_address(tx: &mut Tx, grant: &Grant, now: Timestamp) -> Result<Vec<String>, StoreError> {
    const SQL: &str = make_ended!(
        "cluster_id = $3 AND grantee_key = $4 AND role = $5 AND namespaces = $6 AND federated_id IS NULL RETURNING id"
    );
    let Some(address) = address_of(tx, &grant.grantee).await? else { return Ok(Vec::new()) };
    let rows: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(now.millis())
        .bind(EndReason::Revoked.as_str())
        .bind(grant.scope.cluster().to_string())
        .bind(address)
        .bind(role_text(grant.role.as_ref()))
        .bind(namespaces_text(&grant.scope))
        .fetch_all(db)
        .await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Turns live grants to an email (in lower case) at a provider into grants to the person, unless somebody else ever held that
/// email there. A grant that the person holds already (same cluster, role, scope and origin) is not made twice: that one to
/// the email stays what it is. Returns how many were turned.
pub(in crate::store) async fn give_to_person(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    person: IdentityId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    const SQL: &str = make_pending!(
        ", grantee_key = $2, identity_id = $3, provider = NULL, grantee_name = NULL, grantee_search = ''",
        "grantee_key = $4 \
         AND NOT EXISTS (SELECT 1 FROM email_holders h WHERE h.provider = $5 AND h.email_key = $6 \
                         AND h.identity_id <> $3) \
         AND NOT EXISTS (SELECT 1 FROM grants o WHERE o.grantee_key = $2 AND o.ended IS NULL \
                         AND o.cluster_id = grants.cluster_id AND o.role = grants.role \
                         AND o.namespaces = grants.namespaces AND o.origin = grants.origin)"
    );
    let given = on!(tx, |db| sqlx::query(SQL)
        .bind(now.millis())
        .bind(person_key(person))
        .bind(person.to_string())
        .bind(email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(given)
}

/// Gives what a federated grant was written out as another end and another reason; no binding says them.
pub(in crate::store) async fn retime(
    tx: &mut Tx,
    federated: FederatedGrantId,
    expires_at: Option<Timestamp>,
    reason: Option<&Reason>,
) -> Result<(), StoreError> {
    const SQL: &str =
        "UPDATE grants SET expires_at = $2, ends_at = $3, reason = $4 WHERE federated_id = $1 AND ended IS NULL";
    on!(tx, |db| sqlx::query(SQL)
        .bind(federated.to_string())
        .bind(expires_at.map(Timestamp::millis))
        .bind(ends_at(expires_at))
        .bind(reason.map(Reason::as_str))
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}
