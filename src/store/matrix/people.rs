//! The rows of a page, merged from its columns; and all that one of them holds.

use std::collections::HashMap;

use super::{AsOf, COLUMNS, Column, HolderCursor, ROWS, Reached, WINDOW, counts, overdue, padded, select_counted};
use crate::{
    model::{
        id::{ClusterId, GrantId, IdentityId, WorkspaceId},
        matrix::Holder,
    },
    store::{Store, StoreError, db::parsed, grants::keys_reaching},
};

/// Who comes next in one column.
macro_rules! next_in {
    ($table:ident, $name:literal, $cluster:literal, $counts:expr, $bound:literal) => {
        concat!(
            "SELECT * FROM (SELECT DISTINCT g.grantee_sort AS sort, g.grantee_key AS who FROM ",
            stringify!($table),
            " g LEFT JOIN identities i ON i.id = g.identity_id WHERE g.cluster_id = ",
            $cluster,
            " AND (g.grantee_sort, g.grantee_key) > ($1, $2)",
            $bound,
            " AND ($3 = '' OR g.grantee_sort LIKE $3 ESCAPE '\\' OR i.name_key LIKE $3 ESCAPE '\\') AND ",
            $counts,
            " ORDER BY g.grantee_sort, g.grantee_key LIMIT 21) AS ",
            $name
        )
    };
}

/// The rows after `$1`, `$2` with what fits `$3`: of columns `$4` to `$11` today.
macro_rules! rows_now {
    ($bound:literal) => {
        concat!(
            "SELECT sort, who FROM (",
            rows_now!("a", "$4", $bound),
            " UNION ALL ",
            rows_now!("b", "$5", $bound),
            " UNION ALL ",
            rows_now!("c", "$6", $bound),
            " UNION ALL ",
            rows_now!("d", "$7", $bound),
            " UNION ALL ",
            rows_now!("e", "$8", $bound),
            " UNION ALL ",
            rows_now!("f", "$9", $bound),
            " UNION ALL ",
            rows_now!("g", "$10", $bound),
            " UNION ALL ",
            rows_now!("h", "$11", $bound),
            ") AS everybody GROUP BY sort, who ORDER BY sort, who LIMIT 21"
        )
    };
    ($name:literal, $cluster:literal, $bound:literal) => {
        next_in!(grants, $name, $cluster, "g.state <> 'removed'", $bound)
    };
}

/// The same on a day: each column has three parameters, from `$5` on; `$4` is now.
macro_rules! rows_then {
    ($bound:literal) => {
        concat!(
            "SELECT sort, who FROM (",
            rows_then!("a", "$5", "$6", "$7", $bound),
            " UNION ALL ",
            rows_then!("b", "$8", "$9", "$10", $bound),
            " UNION ALL ",
            rows_then!("c", "$11", "$12", "$13", $bound),
            " UNION ALL ",
            rows_then!("d", "$14", "$15", "$16", $bound),
            " UNION ALL ",
            rows_then!("e", "$17", "$18", "$19", $bound),
            " UNION ALL ",
            rows_then!("f", "$20", "$21", "$22", $bound),
            " UNION ALL ",
            rows_then!("g", "$23", "$24", "$25", $bound),
            " UNION ALL ",
            rows_then!("h", "$26", "$27", "$28", $bound),
            ") AS everybody GROUP BY sort, who ORDER BY sort, who LIMIT 21"
        )
    };
    ($name:literal, $cluster:literal, $from:literal, $to:literal, $bound:literal) => {
        concat!(
            next_in!(grants, $name, $cluster, counts!(grants, $from, $to, "$4"), $bound),
            " UNION ALL ",
            next_in!(past_grants, $name, $cluster, counts!(past_grants, $from, $to), $bound)
        )
    };
}

/// The first of the holders that the columns' windows end at, if there are grants beyond one of them.
macro_rules! window_end {
    ($and:literal) => {
        concat!(
            "SELECT sort, who FROM (",
            window_end!("a", "$4", $and),
            " UNION ALL ",
            window_end!("b", "$5", $and),
            " UNION ALL ",
            window_end!("c", "$6", $and),
            " UNION ALL ",
            window_end!("d", "$7", $and),
            " UNION ALL ",
            window_end!("e", "$8", $and),
            " UNION ALL ",
            window_end!("f", "$9", $and),
            " UNION ALL ",
            window_end!("g", "$10", $and),
            " UNION ALL ",
            window_end!("h", "$11", $and),
            ") AS ends ORDER BY sort, who LIMIT 1"
        )
    };
    ($name:literal, $cluster:literal, $and:literal) => {
        concat!(
            "SELECT * FROM (SELECT g.grantee_sort AS sort, g.grantee_key AS who FROM grants g WHERE g.cluster_id = ",
            $cluster,
            " AND (g.grantee_sort, g.grantee_key) > ($1, $2)",
            $and,
            " ORDER BY g.grantee_sort, g.grantee_key LIMIT 1 OFFSET $3) AS ",
            $name
        )
    };
}

type Found = Vec<(String, String)>;

impl Store {
    /// The keys of the rows after `begin`, and where the next ones begin.
    pub(super) async fn matrix_rows(
        &self,
        columns: &[Column],
        as_of: AsOf,
        pattern: &str,
        begin: &HolderCursor,
    ) -> Result<(Vec<String>, Option<HolderCursor>), StoreError> {
        let windowed = !as_of.is_now() || !pattern.is_empty();
        let end = if windowed { self.window_end(columns, as_of, begin).await? } else { None };
        let mut found = if as_of.is_now() {
            self.rows_now(columns, pattern, begin, end.as_ref()).await?
        } else {
            self.rows_then(columns, as_of, pattern, begin, end.as_ref()).await?
        };
        let more = found.len() > ROWS;
        found.truncate(ROWS);
        let last = found.last().filter(|_| more).cloned().map(|(sort, key)| HolderCursor { sort, key });
        Ok((found.into_iter().map(|(_, key)| key).collect(), last.or(end)))
    }

    async fn window_end(
        &self,
        columns: &[Column],
        as_of: AsOf,
        begin: &HolderCursor,
    ) -> Result<Option<HolderCursor>, StoreError> {
        const NOW: &str = window_end!(" AND g.state <> 'removed'");
        const THEN: &str = window_end!("");
        let ids = padded(&columns.iter().map(|c| c.cluster).collect::<Vec<_>>());
        let sql = if as_of.is_now() { NOW } else { THEN };
        let end: Option<(String, String)> = read!(self, |db| {
            let query = sqlx::query_as(sql).bind(&begin.sort).bind(&begin.key).bind(WINDOW - 1);
            ids.iter().fold(query, sqlx::query::QueryAs::bind).fetch_optional(db).await
        })?;
        Ok(end.map(|(sort, key)| HolderCursor { sort, key }))
    }

    async fn rows_now(
        &self,
        columns: &[Column],
        pattern: &str,
        begin: &HolderCursor,
        end: Option<&HolderCursor>,
    ) -> Result<Found, StoreError> {
        const ALL: &str = rows_now!("");
        const UP_TO: &str = rows_now!(" AND (g.grantee_sort, g.grantee_key) <= ($12, $13)");
        let ids = padded(&columns.iter().map(|c| c.cluster).collect::<Vec<_>>());
        let sql = if end.is_some() { UP_TO } else { ALL };
        Ok(read!(self, |db| {
            let query = sqlx::query_as(sql).bind(&begin.sort).bind(&begin.key).bind(pattern);
            let query = ids.iter().fold(query, sqlx::query::QueryAs::bind);
            end.into_iter().fold(query, |query, end| query.bind(&end.sort).bind(&end.key)).fetch_all(db).await
        })?)
    }

    async fn rows_then(
        &self,
        columns: &[Column],
        as_of: AsOf,
        pattern: &str,
        begin: &HolderCursor,
        end: Option<&HolderCursor>,
    ) -> Result<Found, StoreError> {
        const ALL: &str = rows_then!("");
        const UP_TO: &str = rows_then!(" AND (g.grantee_sort, g.grantee_key) <= ($29, $30)");
        let sql = if end.is_some() { UP_TO } else { ALL };
        let column = |n: usize| {
            let at = columns.get(n);
            let id = at.map(|c| c.cluster.to_string()).unwrap_or_default();
            (id, at.map_or(0, |c| c.from.millis()), at.map_or(0, |c| c.to.millis()))
        };
        let columns: [(String, i64, i64); COLUMNS] = std::array::from_fn(column);
        Ok(read!(self, |db| {
            let query = sqlx::query_as(sql).bind(&begin.sort).bind(&begin.key).bind(pattern).bind(overdue(as_of));
            let query = columns.iter().fold(query, |query, (id, from, to)| query.bind(id).bind(from).bind(to));
            end.into_iter().fold(query, |query, end| query.bind(&end.sort).bind(&end.key)).fetch_all(db).await
        })?)
    }

    /// Who holds this grant, and on which cluster; also where that has gone with its cluster.
    pub async fn holder_of(&self, id: GrantId) -> Result<(Holder, ClusterId), StoreError> {
        const THERE: &str = select_counted!(grants, "g.id = $1");
        const GONE: &str = select_counted!(past_grants, "g.id = $1");
        for sql in [THERE, GONE] {
            let row: Option<super::CountedRow> =
                read!(self, |db| sqlx::query_as(sql).bind(id.to_string()).fetch_optional(db).await)?;
            if let Some(row) = row {
                return Ok((row.holder(), row.cluster()?));
            }
        }
        Err(StoreError::NotFound)
    }

    /// The columns of the clusters of these grants.
    async fn columns_around(
        &self,
        workspace: Option<WorkspaceId>,
        as_of: AsOf,
        rows: &[super::CountedRow],
    ) -> Result<HashMap<ClusterId, Column>, StoreError> {
        let mut ids = rows.iter().map(super::CountedRow::cluster).collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        let columns = self.columns_of(workspace, as_of, &ids).await?;
        Ok(columns.into_iter().map(|c| (c.cluster, c)).collect())
    }

    /// What somebody holds themselves in a workspace, or everywhere, or on one cluster, by the clusters' names.
    pub async fn reached_by(
        &self,
        workspace: Option<WorkspaceId>,
        as_of: AsOf,
        key: &str,
        on: Option<ClusterId>,
    ) -> Result<Vec<Reached>, StoreError> {
        let rows = self.counted_of(&[key.to_owned()], as_of, &on.into_iter().collect::<Vec<_>>()).await?;
        let by_id = self.columns_around(workspace, as_of, &rows).await?;
        let mut found = Vec::new();
        for row in rows {
            if let Some(column) = by_id.get(&row.cluster()?).filter(|column| row.belongs(column)) {
                found.push(Reached { column: column.clone(), grant: row.counted()?.seen_from(column) });
            }
        }
        found.sort_by_key(|reached| {
            (reached.column.name.to_ascii_lowercase(), reached.column.cluster, reached.grant.id)
        });
        Ok(found)
    }

    /// Groups that a person was in at their last sign-in and that hold something there: each with one of its grants.
    pub async fn groups_reaching(
        &self,
        workspace: Option<WorkspaceId>,
        as_of: AsOf,
        key: &str,
        on: Option<ClusterId>,
    ) -> Result<Vec<(Holder, GrantId)>, StoreError> {
        let Some(id) = key.strip_prefix("person:") else { return Ok(Vec::new()) };
        let person = self.identity(parsed::<IdentityId>(id, "holder of a grant")?).await?;
        let keys: Vec<String> = keys_reaching(&person).into_iter().filter(|k| k != key).collect();
        let rows = self.counted_of(&keys, as_of, &on.into_iter().collect::<Vec<_>>()).await?;
        let by_id = self.columns_around(workspace, as_of, &rows).await?;
        let mut found: Vec<(Holder, GrantId)> = Vec::new();
        for row in rows {
            let counts = by_id.get(&row.cluster()?).is_some_and(|column| row.belongs(column));
            if counts && found.iter().all(|(holder, _)| holder.key != row.grantee_key) {
                found.push((row.holder(), parsed(&row.id, "id of a grant")?));
            }
        }
        found.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Ok(found)
    }
}
