//! What ends soon, and what has ended and still stands on its cluster.

use crate::{
    model::{id::ClusterId, time::Timestamp},
    store::{Store, StoreError},
};

/// Access that has ended and whose bindings are not known to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// How many grants, counted up to 1,000.
    pub count: u32,
    /// Since when they should be gone: the longest of those.
    pub since: Timestamp,
    /// What stands in the way, in words, where something is known to.
    pub detail: Option<String>,
}

impl Overdue {
    /// Both together.
    fn and(self, other: Option<Self>) -> Self {
        match other {
            None => self,
            Some(other) => Self {
                count: self.count + other.count,
                since: self.since.min(other.since),
                detail: self.detail.or(other.detail),
            },
        }
    }
}

/// What ran out and was not ended. `$1` is when.
macro_rules! run_out {
    () => {
        "ended IS NULL AND role <> 'none' AND expires_at IS NOT NULL AND expires_at <= $1"
    };
}

/// What was ended and was not taken off.
macro_rules! standing {
    () => {
        "state <> 'applied' AND state <> 'removed' AND state = 'removing' AND ended_at <= $1"
    };
}

impl Store {
    /// For metrics: how many grants had ended before then and still stand on their clusters.
    pub async fn overdue_removals(&self, before: Timestamp) -> Result<i64, StoreError> {
        const RUN_OUT: &str = concat!("SELECT COUNT(*) FROM grants WHERE ", run_out!());
        const STANDING: &str = concat!("SELECT COUNT(*) FROM grants WHERE ", standing!());
        read!(self, |db| {
            let (run_out,): (i64,) = sqlx::query_as(RUN_OUT).bind(before.millis()).fetch_one(db).await?;
            let (standing,): (i64,) = sqlx::query_as(STANDING).bind(before.millis()).fetch_one(db).await?;
            Ok(run_out + standing)
        })
    }

    /// What had ended on a cluster before then and still stands there, if something does.
    pub async fn overdue_on(&self, cluster: ClusterId, before: Timestamp) -> Result<Option<Overdue>, StoreError> {
        const RUN_OUT: &str = concat!(
            "SELECT COUNT(*), MIN(o.since), MAX(o.detail) FROM (SELECT ends_at AS since, state_detail AS detail FROM grants \
             WHERE cluster_id = $2 AND state <> 'removed' AND ends_at <= $1 AND ",
            run_out!(),
            " LIMIT 1000) AS o"
        );
        const STANDING: &str = concat!(
            "SELECT COUNT(*), MIN(o.since), MAX(o.detail) FROM (SELECT CASE WHEN ended = 'expired' \
             THEN COALESCE(expires_at, ended_at) ELSE ended_at END AS since, state_detail AS detail FROM grants \
             WHERE cluster_id = $2 AND ",
            standing!(),
            " LIMIT 1000) AS o"
        );
        let mut all: Option<Overdue> = None;
        for sql in [STANDING, RUN_OUT] {
            let (count, since, detail): (i64, Option<i64>, Option<String>) = read!(self, |db| sqlx::query_as(sql)
                .bind(before.millis())
                .bind(cluster.to_string())
                .fetch_one(db)
                .await)?;
            if let Some(since) = since.map(Timestamp::from_millis) {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                all = Some(Overdue { count, since, detail }.and(all));
            }
        }
        Ok(all)
    }

    /// How many live grants on a cluster end until then, counted up to 100.
    pub async fn ending_on(&self, cluster: ClusterId, now: Timestamp, until: Timestamp) -> Result<u32, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM (SELECT DISTINCT CASE WHEN group_id IS NULL THEN id ELSE federated_id END \
             FROM grants WHERE cluster_id = $1 AND state <> 'removed' AND ended IS NULL AND ends_at > $2 AND ends_at <= $3 LIMIT 100) AS soon";
        let (count,): (i64,) = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(now.millis())
            .bind(until.millis())
            .fetch_one(db)
            .await)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
