//! The bindings that were made, by UID, and what is done about those that a cluster shows otherwise.

use std::collections::HashMap;

use super::{
    AuditDraft, DueGrant, Outcome, Store, StoreError,
    audit::About,
    db::{CHUNK, Tx, parsed},
    grants,
};
use crate::{
    crypto,
    model::{
        binding::{Drift, Made, Memory},
        grant::GrantState,
        id::{ClusterId, GrantId},
        time::Timestamp,
    },
};

/// What an attempt brought to the cluster.
#[derive(Clone, Debug, Default)]
pub struct Brought {
    /// The mark that it worked with.
    pub mark: Option<String>,
    /// The bindings that are not remembered so.
    pub made: Vec<Made>,
    /// An event for each that was put back or put right.
    pub repairs: Vec<AuditDraft>,
}

/// A grant joined with one of its bindings.
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    state: String,
    next_attempt: Option<i64>,
    mark: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    looks: Option<String>,
}

/// Reads memories of grants `g`: `select_memories!("WHERE …")`.
macro_rules! select_memories {
    ($($rest:expr),+) => {
        concat!(
            "SELECT g.id, g.state, g.next_attempt, g.mark, b.namespace, b.uid, b.looks \
             FROM grants g LEFT JOIN bindings b ON b.grant_id = g.id ",
            $($rest),+
        )
    };
}

/// Rows of one grant, whatever stands between them, make one memory.
fn memories(rows: Vec<Row>) -> Result<Vec<Memory>, StoreError> {
    let mut all: Vec<Memory> = Vec::new();
    let mut places: HashMap<GrantId, usize> = HashMap::new();
    for row in rows {
        let grant = parsed(&row.id, "id of a grant")?;
        let place = *places.entry(grant).or_insert(all.len());
        if place == all.len() {
            let state = GrantState::parse(&row.state).ok_or(StoreError::Corrupt("state of a grant"))?;
            let settled = row.next_attempt.is_none();
            all.push(Memory { grant, state, settled, mark: row.mark, made: Vec::new() });
        }
        if let (Some(namespace), Some(uid), Some(looks)) = (row.namespace, row.uid, row.looks) {
            all[place].made.push(Made { namespace: Some(namespace).filter(|n| !n.is_empty()), uid, looks });
        }
    }
    Ok(all)
}

/// What a binding made from now on is marked with.
pub(super) fn draw_mark() -> String {
    format!("{:032x}", u128::from_be_bytes(crypto::random()))
}

fn place(namespace: Option<&str>) -> &str {
    namespace.unwrap_or_default()
}

async fn keep(tx: &mut Tx, grant: GrantId, made: &Made) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO bindings (grant_id, namespace, uid, looks) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (grant_id, namespace) DO UPDATE SET uid = excluded.uid, looks = excluded.looks";
    on!(tx, |db| sqlx::query(SQL)
        .bind(grant.to_string())
        .bind(place(made.namespace.as_deref()))
        .bind(&made.uid)
        .bind(&made.looks)
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Keeps the bindings that an attempt made. `false`, and nothing is kept, where another attempt has kept its own since.
async fn keep_all(tx: &mut Tx, grant: GrantId, brought: &Brought) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE grants SET mark = $2 WHERE id = $1 AND COALESCE(mark, '') = $3";
    if brought.made.is_empty() {
        return Ok(true);
    }
    let redrawn = on!(tx, |db| sqlx::query(SQL)
        .bind(grant.to_string())
        .bind(draw_mark())
        .bind(brought.mark.as_deref().unwrap_or_default())
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    if redrawn == 0 {
        return Ok(false);
    }
    for made in &brought.made {
        keep(tx, grant, made).await?;
    }
    Ok(true)
}

/// Makes one grant due for a difference. What somebody is at already is left to them.
async fn note(tx: &mut Tx, grant: GrantId, drift: Drift, now: Timestamp) -> Result<u64, StoreError> {
    const APPLIED: &str = "UPDATE grants SET state = 'pending', state_since = $2, state_detail = $3, attempts = 0, \
         next_attempt = $2, revision = revision + 1 \
         WHERE id = $1 AND state = 'applied' AND next_attempt IS NULL";
    const REMOVED: &str = "UPDATE grants SET state = 'removing', state_since = $2, state_detail = $3, attempts = 0, \
         next_attempt = $2, revision = revision + 1 WHERE id = $1 AND state = 'removed' AND next_attempt IS NULL";
    const UNKNOWN: &str = "UPDATE grants SET mark = NULL, attempts = 0, next_attempt = $2, state_detail = $3, \
         revision = revision + 1 WHERE id = $1 AND state = 'applied' AND next_attempt IS NULL \
         AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.grant_id = grants.id)";
    const FREED: &str = "UPDATE grants SET next_attempt = $2 WHERE id = $1 AND state = 'conflict' \
         AND (leased_until IS NULL OR leased_until <= $2) AND $3 IS NULL";
    let (sql, detail) = match drift {
        Drift::Gone => (APPLIED, Some("Its binding was deleted on the cluster; it is being put back.")),
        Drift::Changed => (APPLIED, Some("Its binding was changed on the cluster; it is being put right.")),
        Drift::Returned => (REMOVED, Some("Its binding came back on the cluster.")),
        Drift::Unknown => (UNKNOWN, None),
        Drift::Freed => (FREED, None),
    };
    Ok(on!(tx, |db| sqlx::query(sql)
        .bind(grant.to_string())
        .bind(now.millis())
        .bind(detail)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?)
}

impl Store {
    /// What is remembered of one grant's bindings.
    pub async fn memory(&self, grant: GrantId) -> Result<Memory, StoreError> {
        const SQL: &str = select_memories!("WHERE g.id = $1");
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(SQL).bind(grant.to_string()).fetch_all(db).await)?;
        memories(rows)?.pop().ok_or(StoreError::NotFound)
    }

    /// The same of several of a cluster's grants that have a role; those of other clusters are left out.
    pub async fn memories(&self, cluster: ClusterId, grants: &[GrantId]) -> Result<Vec<Memory>, StoreError> {
        // By id: the cluster as an expression is no way in, which SQLite would take for the shorter one and read all of it.
        const SQL: &str =
            select_memories!("WHERE g.cluster_id || '' = $33 AND g.role <> 'none' AND g.id IN ", id_list!());
        let mut all = Vec::new();
        for chunk in grants.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<Row> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).bind(cluster.to_string()).fetch_all(db).await)?;
            all.extend(memories(rows)?);
        }
        Ok(all)
    }

    /// The same of all grants that a cluster should have now.
    pub async fn memories_of_cluster(&self, cluster: ClusterId) -> Result<Vec<Memory>, StoreError> {
        const SQL: &str = select_memories!("WHERE g.cluster_id = $1 AND g.role <> 'none' AND g.state <> 'removed'");
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
        memories(rows)
    }

    /// Forgets bindings that are gone, each only while it is the one that is remembered; in place of each another one may be made
    /// then. Asked for before that is done: a death in between leaves a binding that bears the grant's mark.
    pub async fn forget_made(&self, grant: GrantId, gone: &[Made]) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM bindings WHERE grant_id = $1 AND namespace = $2 AND uid = $3";
        transact!(self, |tx| {
            for made in gone {
                on!(tx, |db| sqlx::query(SQL)
                    .bind(grant.to_string())
                    .bind(place(made.namespace.as_deref()))
                    .bind(&made.uid)
                    .execute(db)
                    .await
                    .map(drop))?;
            }
            Ok(())
        })
    }

    /// [`settle_grant`](Self::settle_grant) for an attempt that has made or mended bindings: their UIDs and an event for each repair
    /// are kept in the same transaction, also where the wish has changed since: they stand on the cluster all the same. With
    /// repairs, `audit` is not written: they say it.
    pub async fn settle_brought(
        &self,
        due: &DueGrant,
        outcome: &Outcome,
        audit: Option<AuditDraft>,
        brought: &Brought,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transact!(self, |tx| {
            let Some(wish) = grants::lock(tx, due.id).await? else { return Ok(false) };
            let alone = keep_all(tx, due.id, brought).await?;
            for event in &brought.repairs {
                event.append(tx, About::Cluster(due.cluster), now).await?;
            }
            let audit = audit.as_ref().filter(|_| brought.repairs.is_empty());
            let wish = Some(&wish).filter(|wish| alone && wish.fits(due, true));
            grants::settle(tx, due, wish, outcome, audit, now).await
        })
    }

    /// Makes grants due for what their cluster shows. Returns how many: those that somebody is at are left to them.
    pub async fn note_drift(&self, drifted: &[(GrantId, Drift)], now: Timestamp) -> Result<u64, StoreError> {
        transact!(self, |tx| {
            let mut noted = 0;
            for (grant, drift) in drifted {
                noted += note(tx, *grant, *drift, now).await?;
            }
            Ok(noted)
        })
    }

    /// Says that a replica lives for `lasts` more, takes clusters for it that nobody who lives watches, and returns all that are
    /// its own, each with a number that changes with its credential or address, and with the kinds of roles that were made there.
    pub async fn hold_watches(
        &self,
        holder: &str,
        now: Timestamp,
        lasts: std::time::Duration,
    ) -> Result<Vec<(ClusterId, i64)>, StoreError> {
        const LIVE: &str = "INSERT INTO watchers (holder, until) VALUES ($1, $2) \
             ON CONFLICT (holder) DO UPDATE SET until = excluded.until";
        const DEAD: &str = "DELETE FROM watchers WHERE until <= $1";
        const FREE: &str = "INSERT INTO cluster_watches (cluster_id, holder) SELECT c.id, $1 FROM clusters c \
             WHERE NOT EXISTS (SELECT 1 FROM cluster_watches w WHERE w.cluster_id = c.id) ON CONFLICT DO NOTHING";
        const MINE: &str = "SELECT w.cluster_id, COALESCE(k.held_since, 0) \
             + COALESCE((SELECT SUM(DISTINCT CASE WHEN m.namespace = '' THEN 1 ELSE 2 END) FROM made_roles m \
             WHERE m.cluster_id = w.cluster_id), 0) \
             FROM cluster_watches w \
             JOIN clusters c ON c.id = w.cluster_id JOIN cluster_credentials k ON k.cluster_id = w.cluster_id \
             WHERE w.holder = $1 AND (c.removing IS NULL OR c.removing <> 'leave')";
        let rows: Vec<(String, i64)> = transact!(self, |tx| {
            let until = now.plus(lasts).millis();
            on!(tx, |db| {
                sqlx::query(LIVE).bind(holder).bind(until).execute(&mut *db).await?;
                sqlx::query(DEAD).bind(now.millis()).execute(&mut *db).await?;
                sqlx::query(FREE).bind(holder).execute(&mut *db).await?;
                Ok(sqlx::query_as(MINE).bind(holder).fetch_all(&mut *db).await?)
            })
        })?;
        rows.into_iter().map(|(id, version)| Ok((parsed(&id, "id of a cluster")?, version))).collect()
    }

    /// Gives up all that a replica watches, so that others need not wait.
    pub async fn release_watches(&self, holder: &str) -> Result<(), StoreError> {
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query("DELETE FROM watchers WHERE holder = $1")
                .bind(holder)
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }
}
