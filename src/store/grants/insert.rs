//! Making grants: one, as somebody gives it, or many at once, as what is given to a Group or on many clusters is written out.

use sqlx::AssertSqlSafe;

use super::{
    GranteeColumns, NewGrant, expire, key, namespaces_text, origin_text, role_text,
    rows::{ends_at, role_rank, search_text},
};
use crate::{
    model::{
        grant::{Grant, GrantState, Origin},
        reason::Reason,
        role::Role,
        time::Timestamp,
    },
    store::{
        StoreError, bindings, custom_roles,
        db::{Tx, clash},
        vouches,
    },
};

/// How many are written by one statement: both databases take some twenty times as many parameters.
const AT_ONCE: usize = 50;
/// What one row binds.
const PARAMETERS: usize = 23;

/// Makes a grant inside a transaction that holds its cluster's (or its link's) row.
///
/// # Errors
/// `Duplicate` where a live grant of the same origin has the same grantee, role and scope.
pub(in crate::store) async fn insert(tx: &mut Tx, new: &NewGrant, now: Timestamp) -> Result<Grant, StoreError> {
    let grant = pending(new, now);
    custom_roles::lock_for_giving(tx, grant.role.as_ref()).await?;
    expire_same(tx, &grant, now).await?;
    write(tx, std::slice::from_ref(new), now).await?;
    Ok(grant)
}

/// Makes what federated grants are written out as. Of these none whose time is up is in the way: whoever knows what is missing knows
/// all that live.
///
/// # Errors
/// As for one.
pub(in crate::store) async fn insert_federated(
    tx: &mut Tx,
    all: &[NewGrant],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut roles: Vec<&Role> = all.iter().filter_map(|new| new.role.as_ref()).collect();
    roles.sort_by_cached_key(|role| role_text(Some(role)));
    roles.dedup();
    for role in roles {
        custom_roles::lock_for_giving(tx, Some(role)).await?;
    }
    // Two statements, however many there are: a database prepares each of them once.
    let (full, rest) = all.as_chunks::<AT_ONCE>();
    for rows in full {
        write(tx, rows, now).await?;
    }
    for row in rest {
        write(tx, std::slice::from_ref(row), now).await?;
    }
    Ok(())
}

fn sql(rows: usize) -> String {
    let row = |n: usize| {
        let p = |k: usize| format!("${}", n * PARAMETERS + k);
        let list = |from: usize, to: usize| (from..=to).map(p).collect::<Vec<_>>().join(", ");
        let (until_state, since, next, more) = (list(1, 15), p(14), p(16), list(18, PARAMETERS));
        let (person, name, federated) = (p(7), p(10), p(17));
        format!(
            "({until_state}, {since}, 0, {next}, 0, {federated}, \
             COALESCE((SELECT COALESCE(i.email_key, i.name_key, i.sub) FROM identities i WHERE i.id = {person}), {name}), {more}, \
             (SELECT f.group_id FROM federated_grants f WHERE f.id = {federated}))"
        )
    };
    let values: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO grants (id, cluster_id, namespaces, role, grantee_key, to_group, identity_id, provider, grantee_name, \
         grantee_search, origin, expires_at, created_by, created_at, state, state_since, attempts, next_attempt, revision, \
         federated_id, grantee_sort, mark, role_rules, vouched_by, reason, role_rank, ends_at, group_id) \
         VALUES {} ON CONFLICT DO NOTHING",
        values.join(", ")
    )
}

async fn write(tx: &mut Tx, rows: &[NewGrant], now: Timestamp) -> Result<(), StoreError> {
    let sql = sql(rows.len());
    let inserted = on!(tx, |db| {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for new in rows {
            let grant = pending(new, now);
            let who = GranteeColumns::from(&grant.grantee);
            let (rules, owner) = vouches::columns(new.vouch.as_ref());
            query = query
                .bind(grant.id.to_string())
                .bind(grant.scope.cluster().to_string())
                .bind(namespaces_text(&grant.scope))
                .bind(role_text(grant.role.as_ref()))
                .bind(key(&grant.grantee))
                .bind(who.to_group)
                .bind(who.identity_id)
                .bind(who.provider)
                .bind(who.name)
                .bind(search_text(&grant.grantee))
                .bind(origin_text(grant.origin))
                .bind(grant.expires_at.map(Timestamp::millis))
                .bind(grant.created_by.to_string())
                .bind(now.millis())
                .bind(grant.state.as_str())
                .bind(grant.role.as_ref().map(|_| now.millis()))
                .bind(match grant.origin {
                    Origin::Federated(id) => Some(id.to_string()),
                    Origin::Manual | Origin::Link(_) | Origin::Owner | Origin::Request(_) | Origin::File(_) => None,
                })
                .bind(bindings::draw_mark())
                .bind(rules)
                .bind(owner)
                .bind(new.reason.as_ref().map(Reason::as_str))
                .bind(role_rank(grant.role.as_ref()))
                .bind(ends_at(grant.expires_at));
        }
        query.execute(db).await.map(|done| done.rows_affected())
    })
    .map_err(|e| clash(e, "a grant"))?;
    if inserted < rows.len() as u64 {
        return Err(StoreError::Duplicate("They have exactly this access already."));
    }
    Ok(())
}

fn pending(new: &NewGrant, now: Timestamp) -> Grant {
    Grant {
        id: new.id,
        grantee: new.grantee.clone(),
        role: new.role.clone(),
        scope: new.scope.canonical(),
        expires_at: new.expires_at,
        reason: new.reason.clone(),
        origin: new.origin,
        created_by: new.created_by,
        created_at: now,
        // Without a role there is no binding to wait for.
        state: if new.role.is_some() { GrantState::Pending } else { GrantState::Applied },
        state_detail: None,
        state_since: now,
        ended: None,
    }
}

/// Ends a grant of the same kind whose time is up and whom the loop has not ended yet: it must not stand in a new one's way.
async fn expire_same(tx: &mut Tx, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "SELECT id FROM grants WHERE cluster_id = $1 AND grantee_key = $2 AND role = $3 \
         AND namespaces = $4 AND origin = $5 AND ended IS NULL AND expires_at <= $6";
    let same: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(grant.scope.cluster().to_string())
        .bind(key(&grant.grantee))
        .bind(role_text(grant.role.as_ref()))
        .bind(namespaces_text(&grant.scope))
        .bind(origin_text(grant.origin))
        .bind(now.millis())
        .fetch_all(db)
        .await)?;
    let ids: Vec<String> = same.into_iter().map(|(id,)| id).collect();
    expire(tx, &ids, now).await.map(drop)
}
