//! The ClusterRoles and Roles that Kubelend has made on clusters, by UID, and what is done about those that a cluster shows otherwise.

use std::time::Duration;

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    bindings::draw_mark,
    db::{Tx, parsed},
};
use crate::model::{id::ClusterId, made_role::MadeRole, time::Timestamp};

#[derive(sqlx::FromRow)]
struct Row {
    namespace: String,
    name: String,
    mark: String,
    uid: Option<String>,
    looks: Option<String>,
    leaving: Option<i64>,
}

impl From<Row> for MadeRole {
    fn from(row: Row) -> Self {
        let namespace = Some(row.namespace).filter(|namespace| !namespace.is_empty());
        Self {
            namespace,
            name: row.name,
            mark: row.mark,
            uid: row.uid,
            looks: row.looks,
            leaving: row.leaving.map(Timestamp::from_millis),
        }
    }
}

/// Makes grants of a role due: `due!("WHERE …")` with what besides is asked of them. `$1` is the role, `$2` the time, `$3` why.
macro_rules! due {
    ($besides:literal) => {
        concat!(
            "UPDATE grants SET state_since = CASE WHEN state = 'applied' THEN $2 ELSE state_since END, \
             state_detail = CASE WHEN state = 'applied' THEN $3 ELSE state_detail END, \
             attempts = CASE WHEN state = 'applied' THEN 0 ELSE attempts END, \
             next_attempt = COALESCE(next_attempt, $2), revision = revision + 1, \
             state = CASE WHEN state = 'applied' THEN 'pending' ELSE state END WHERE ",
            $besides,
            "role = $1 AND ended IS NULL"
        )
    };
}

/// ClusterRoles `m` that nothing needs at `$1`, and that nobody is at.
macro_rules! idle {
    () => {
        "m.namespace = '' AND (m.leaving IS NULL OR m.leaving <= $1) \
         AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.cluster_id = m.cluster_id AND g.role = 'role:' || m.name \
                         AND g.state <> 'removed') \
         AND NOT EXISTS (SELECT 1 FROM clusters c WHERE c.id = m.cluster_id AND c.removing = 'leave')"
    };
}

#[derive(sqlx::FromRow)]
struct IdleRow {
    cluster_id: String,
    #[sqlx(flatten)]
    role: Row,
}

/// Makes all grants of a role due, on every cluster: its rules have changed.
pub(super) async fn make_due(tx: &mut Tx, role: &str, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = due!("");
    on!(tx, |db| sqlx::query(SQL)
        .bind(role)
        .bind(now.millis())
        .bind("Its rules have changed; they are being brought there.")
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// A role on a cluster.
#[derive(Clone, Copy, Debug)]
pub struct RoleAt<'a> {
    /// The cluster.
    pub cluster: ClusterId,
    /// `None` for a ClusterRole.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

impl RoleAt<'_> {
    fn place(&self) -> &str {
        self.namespace.unwrap_or_default()
    }

    /// As grants have it.
    fn text(&self) -> String {
        let kind = if self.namespace.is_some() { "local" } else { "role" };
        format!("{kind}:{}", self.name)
    }
}

impl Store {
    /// What is remembered of one.
    pub async fn made_role(&self, at: RoleAt<'_>) -> Result<Option<MadeRole>, StoreError> {
        const SQL: &str = "SELECT namespace, name, mark, uid, looks, leaving FROM made_roles \
             WHERE cluster_id = $1 AND namespace = $2 AND name = $3";
        let row: Option<Row> = read!(self, |db| sqlx::query_as(SQL)
            .bind(at.cluster.to_string())
            .bind(at.place())
            .bind(at.name)
            .fetch_optional(db)
            .await)?;
        Ok(row.map(Into::into))
    }

    /// All of a cluster.
    pub async fn made_roles(&self, cluster: ClusterId) -> Result<Vec<MadeRole>, StoreError> {
        const SQL: &str = "SELECT namespace, name, mark, uid, looks, leaving FROM made_roles WHERE cluster_id = $1";
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Asked for before one is made. `gone` is the UID of the one that is remembered and stands no more: it is forgotten, and another
    /// mark is drawn. Attempts that find none at the same moment share a mark, so they find each other's object. Where another UID is
    /// kept by now, that comes back.
    pub async fn begin_role(&self, at: RoleAt<'_>, gone: Option<&str>) -> Result<MadeRole, StoreError> {
        const SQL: &str = "INSERT INTO made_roles (cluster_id, namespace, name, mark) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (cluster_id, namespace, name) DO UPDATE SET \
             mark = CASE WHEN made_roles.uid = $5 THEN excluded.mark ELSE made_roles.mark END, \
             uid = CASE WHEN made_roles.uid = $5 THEN NULL ELSE made_roles.uid END \
             RETURNING namespace, name, mark, uid, looks, leaving";
        let row: Row = transact!(self, |tx| {
            Ok(on!(tx, |db| sqlx::query_as(SQL)
                .bind(at.cluster.to_string())
                .bind(at.place())
                .bind(at.name)
                .bind(draw_mark())
                .bind(gone.unwrap_or_default())
                .fetch_one(db)
                .await)?)
        })?;
        Ok(row.into())
    }

    /// Keeps that one stands so, with an event where it was made or put right. Where another UID is kept by now, nothing is.
    pub async fn keep_role(
        &self,
        at: RoleAt<'_>,
        (uid, looks): (&str, &str),
        event: Option<AuditDraft>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE made_roles SET uid = $4, looks = $5 WHERE cluster_id = $1 AND namespace = $2 \
             AND name = $3 AND (uid IS NULL OR uid = $4)";
        transact!(self, |tx| {
            let kept = on!(tx, |db| sqlx::query(SQL)
                .bind(at.cluster.to_string())
                .bind(at.place())
                .bind(at.name)
                .bind(uid)
                .bind(looks)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if kept > 0
                && let Some(event) = &event
            {
                event.append(tx, About::Cluster(at.cluster), now).await?;
            }
            Ok(())
        })
    }

    /// Makes the grants due that need a role which does not stand as it should; an attempt that is under way does not count, since it may
    /// have looked before. Returns how many.
    pub async fn note_role_drift(&self, at: RoleAt<'_>, now: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str =
            due!("cluster_id = $4 AND ($5 = '' OR (',' || namespaces || ',') LIKE '%,' || $5 || ',%') AND ");
        transact!(self, |tx| {
            Ok(on!(tx, |db| sqlx::query(SQL)
                .bind(at.text())
                .bind(now.millis())
                .bind("Its role was changed or deleted on the cluster; it is being put back.")
                .bind(at.cluster.to_string())
                .bind(at.place())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?)
        })
    }

    /// Takes ClusterRoles that nothing on their cluster needs any more, for whoever deletes them there; until the claim runs out nobody
    /// makes them anew. Clusters whose bindings are to be left are left.
    pub async fn claim_idle_roles(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<(ClusterId, MadeRole)>, StoreError> {
        const ANY: &str = concat!("SELECT m.name FROM made_roles m WHERE ", idle!(), " LIMIT 1");
        // Asked again of each row once it is locked: a grant may have come meanwhile.
        const CLAIM: &str = concat!(
            "UPDATE made_roles AS m SET leaving = $2 WHERE (m.cluster_id, m.name) IN \
             (SELECT m.cluster_id, m.name FROM made_roles m WHERE ",
            idle!(),
            " LIMIT $3) AND ",
            idle!(),
            " RETURNING cluster_id, namespace, name, mark, uid, looks, leaving"
        );
        let any: Option<(String,)> = read!(self, |db| sqlx::query_as(ANY).bind(now.millis()).fetch_optional(db).await)?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let rows: Vec<IdleRow> = transact!(self, |tx| {
            Ok(on!(tx, |db| sqlx::query_as(CLAIM)
                .bind(now.millis())
                .bind(now.plus(lease).millis())
                .bind(i64::from(limit))
                .fetch_all(db)
                .await)?)
        })?;
        rows.into_iter().map(|row| Ok((parsed(&row.cluster_id, "cluster of a role")?, row.role.into()))).collect()
    }

    /// One is off its cluster; where the claim has run out, nothing is done.
    pub async fn forget_role(&self, at: RoleAt<'_>, claim: Option<Timestamp>) -> Result<(), StoreError> {
        self.unclaim(
            at,
            claim,
            "DELETE FROM made_roles WHERE cluster_id = $1 AND namespace = $2 AND name = $3 AND leaving = $4",
        )
        .await
    }

    /// One is needed again, and the claim on it has run out.
    pub async fn keep_needed_role(&self, at: RoleAt<'_>, claim: Option<Timestamp>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE made_roles SET leaving = NULL \
             WHERE cluster_id = $1 AND namespace = $2 AND name = $3 AND leaving = $4";
        self.unclaim(at, claim, SQL).await
    }

    async fn unclaim(&self, at: RoleAt<'_>, claim: Option<Timestamp>, sql: &'static str) -> Result<(), StoreError> {
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(sql)
                .bind(at.cluster.to_string())
                .bind(at.place())
                .bind(at.name)
                .bind(claim.map(Timestamp::millis))
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }
}
