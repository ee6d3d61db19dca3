//! The matrix: who holds grants on which clusters, on any day. Columns and rows by page, the grants of their cells, all that somebody
//! holds, and a cluster's grants one after the other for a file.
//!
//! A page costs the same however many grants there are: for each of its columns the next rows are read off an index, and merged.
//! Where not every grant counts (on a day in the past, or with a text to find) at most [`WINDOW`] of each column's are looked at
//! for one page, and the next page goes on where that one stopped, as on the access page.

mod columns;
mod people;

use std::collections::HashMap;

use super::{
    Store, StoreError,
    db::{CHUNK, parsed},
    grants::{literal, origin_of, role_of, scope_of},
};
use crate::model::{
    grant::EndReason,
    id::{ClusterId, GrantId, WorkspaceId},
    matrix::{AsOf, Column, ColumnCursor, Counted, Holder, HolderKind},
    time::Timestamp,
};

/// How many columns a page has at most.
const COLUMNS: usize = 8;
/// How many rows.
const ROWS: usize = 20;
/// How many grants of each column are looked at for a page where not every one counts.
const WINDOW: i64 = 5_000;
/// How many grants of one holder are read at most.
const MOST: i64 = 5_000;

/// Where rows go on: after these.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HolderCursor {
    /// What rows are sorted by.
    pub sort: String,
    /// And whom by.
    pub key: String,
}

/// A page of the matrix.
#[derive(Clone, Debug)]
pub struct MatrixPage {
    /// Clusters, by name.
    pub columns: Vec<Column>,
    /// Where the columns after these begin, if there are any.
    pub next_columns: Option<ColumnCursor>,
    /// Who holds something on one of these clusters, by name, each with what they hold there.
    pub rows: Vec<(Holder, HashMap<ClusterId, Vec<Counted>>)>,
    /// Where the rows after these begin. With a text to find, or on a day, it may be there although the page is not full.
    pub next_rows: Option<HolderCursor>,
}

/// A grant of somebody, and where.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The cluster, as it was called then.
    pub column: Column,
    /// The grant.
    pub grant: Counted,
}

/// A grant, one that has gone with its cluster among them, with what its holder is called.
#[derive(Clone, sqlx::FromRow)]
struct CountedRow {
    id: String,
    cluster_id: String,
    grantee_key: String,
    grantee_sort: String,
    provider: Option<String>,
    grantee_name: Option<String>,
    namespaces: String,
    role: String,
    origin: String,
    created_at: i64,
    expires_at: Option<i64>,
    ended: Option<String>,
    ended_at: Option<i64>,
    gone_at: Option<i64>,
    group_name: Option<String>,
    i_email: Option<String>,
    i_name: Option<String>,
    i_sub: Option<String>,
    i_provider: Option<String>,
}

/// Reads grants `g` of a table with identities `i`.
macro_rules! select_counted {
    (grants, $($rest:expr),+) => {
        select_counted!("CASE WHEN g.state = 'removed' THEN g.state_since END", "grants", $($rest),+)
    };
    (past_grants, $($rest:expr),+) => {
        select_counted!("g.gone_at", "past_grants", $($rest),+)
    };
    ($gone:literal, $table:literal, $($rest:expr),+) => {
        concat!(
            "SELECT g.id, g.cluster_id, g.grantee_key, g.grantee_sort, g.provider, g.grantee_name, g.namespaces, g.role, \
             g.origin, g.created_at, g.expires_at, g.ended, g.ended_at, ", $gone, " AS gone_at, \
             CASE WHEN g.origin LIKE 'federated:%' THEN (SELECT f.grantee_name FROM federated_grants f \
             WHERE f.id = SUBSTR(g.origin, 11) AND f.group_id IS NOT NULL) END AS group_name, \
             i.email AS i_email, i.name AS i_name, i.sub AS i_sub, i.provider AS i_provider \
             FROM ", $table, " g LEFT JOIN identities i ON i.id = g.identity_id WHERE ",
            $($rest),+
        )
    };
}

/// Whether a grant counts between two moments, as [`Counted`] does. `$now` tells what has run out and still stands.
macro_rules! counts {
    (grants, $from:literal, $to:literal, $now:literal) => {
        concat!(
            "g.created_at < ",
            $to,
            " AND ((g.state = 'removed' AND g.state_since > ",
            $from,
            ") OR (g.state <> 'removed' \
             AND (g.expires_at IS NULL OR g.expires_at > ",
            $from,
            " OR g.expires_at <= ",
            $now,
            ")))"
        )
    };
    (past_grants, $from:literal, $to:literal) => {
        concat!("g.created_at < ", $to, " AND g.gone_at > ", $from)
    };
}
use {counts, select_counted};

impl CountedRow {
    fn holder(&self) -> Holder {
        let kind = match self.grantee_key.split(':').next() {
            Some("person") => HolderKind::Person,
            Some("email") => HolderKind::Address,
            Some("account") => HolderKind::ServiceAccount,
            _ => HolderKind::Group,
        };
        let person = self.i_email.as_ref().or(self.i_name.as_ref()).or(self.i_sub.as_ref());
        let name = if kind == HolderKind::Person { person } else { self.grantee_name.as_ref() };
        Holder {
            key: self.grantee_key.clone(),
            kind,
            name: name.cloned().unwrap_or_else(|| "somebody who is gone".into()),
            provider: self.i_provider.clone().or_else(|| self.provider.clone()).unwrap_or_default(),
        }
    }

    fn cluster(&self) -> Result<ClusterId, StoreError> {
        parsed(&self.cluster_id, "cluster of a grant")
    }

    fn counted(&self) -> Result<Counted, StoreError> {
        let why = |text: &String| EndReason::parse(text).ok_or(StoreError::Corrupt("end of a grant"));
        let ended = self.ended.as_ref().map(why).transpose()?;
        Ok(Counted {
            id: parsed(&self.id, "id of a grant")?,
            role: role_of(&self.role)?,
            scope: scope_of(&self.cluster_id, &self.namespaces)?,
            origin: origin_of(&self.origin)?,
            group: self.group_name.as_ref().map(|name| parsed(name, "name of a group")).transpose()?,
            since: Timestamp::from_millis(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_millis),
            ended: self.ended_at.map(Timestamp::from_millis).zip(ended),
            gone_at: self.gone_at.map(Timestamp::from_millis),
        })
    }

    /// Whether it was there while the cluster was this column's.
    fn belongs(&self, column: &Column) -> bool {
        self.created_at < column.to.millis() && self.gone_at.is_none_or(|gone| gone > column.from.millis())
    }
}

/// A text to find, as `LIKE` takes it; empty for everybody. `None` where nobody can have it.
fn pattern(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "" => Some(String::new()),
        text if text.len() > 256 || text.contains('\0') => None,
        text => Some(format!("%{}%", literal(text))),
    }
}

/// Until when what ran out counts: what stands beyond its end stands today, and not in the future.
fn overdue(as_of: AsOf) -> i64 {
    if as_of.from() > as_of.now() { i64::MIN } else { as_of.now().millis() }
}

impl Store {
    /// A page of the matrix of a workspace, or of all: the columns after `columns`, and the rows after `rows` of those who hold
    /// something in these columns and whose name holds `text`.
    pub async fn matrix(
        &self,
        workspace: Option<WorkspaceId>,
        as_of: AsOf,
        text: &str,
        columns: Option<&ColumnCursor>,
        rows: &HolderCursor,
    ) -> Result<MatrixPage, StoreError> {
        let mut found = self.matrix_columns(workspace, as_of, columns, COLUMNS + 1).await?;
        let more = found.len() > COLUMNS;
        found.truncate(COLUMNS);
        let next_columns = found.last().filter(|_| more).map(Column::cursor);
        let Some(pattern) = pattern(text).filter(|_| !found.is_empty()) else {
            return Ok(MatrixPage { columns: found, next_columns, rows: Vec::new(), next_rows: None });
        };
        let (keys, next_rows) = self.matrix_rows(&found, as_of, &pattern, rows).await?;
        let rows = self.matrix_cells(&found, as_of, &keys).await?;
        Ok(MatrixPage { columns: found, next_columns, rows, next_rows })
    }

    /// What these hold in these columns, in the order of the keys.
    async fn matrix_cells(
        &self,
        columns: &[Column],
        as_of: AsOf,
        keys: &[String],
    ) -> Result<Vec<(Holder, HashMap<ClusterId, Vec<Counted>>)>, StoreError> {
        let by_id: HashMap<ClusterId, &Column> = columns.iter().map(|c| (c.cluster, c)).collect();
        let mut rows: HashMap<String, (Holder, HashMap<ClusterId, Vec<Counted>>)> = HashMap::new();
        for row in self.counted_of(keys, as_of, &columns.iter().map(|c| c.cluster).collect::<Vec<_>>()).await? {
            let cluster = row.cluster()?;
            if let Some(column) = by_id.get(&cluster).filter(|column| row.belongs(column)) {
                let (_, cells) = rows.entry(row.grantee_key.clone()).or_insert_with(|| (row.holder(), HashMap::new()));
                cells.entry(cluster).or_default().push(row.counted()?.seen_from(column));
            }
        }
        Ok(keys.iter().filter_map(|key| rows.remove(key)).collect())
    }

    /// The grants of these that count, on these clusters, or on all where none is named; at most [`MOST`] of each chunk.
    async fn counted_of(
        &self,
        keys: &[String],
        as_of: AsOf,
        clusters: &[ClusterId],
    ) -> Result<Vec<CountedRow>, StoreError> {
        // Two texts, so that a holder who is on a thousand clusters is looked up on those of the page alone.
        const THERE: &str = select_counted!(
            grants,
            "g.grantee_key IN ",
            id_list!(),
            " AND g.cluster_id IN ($36, $37, $38, $39, $40, $41, $42, $43) AND ",
            counts!(grants, "$33", "$34", "$35"),
            " ORDER BY g.id LIMIT $44"
        );
        const ANYWHERE: &str = select_counted!(
            grants,
            "g.grantee_key IN ",
            id_list!(),
            " AND ",
            counts!(grants, "$33", "$34", "$35"),
            " ORDER BY g.id LIMIT $36"
        );
        const GONE: &str = select_counted!(
            past_grants,
            "g.grantee_key IN ",
            id_list!(),
            " AND g.cluster_id IN ($35, $36, $37, $38, $39, $40, $41, $42) AND ",
            counts!(past_grants, "$33", "$34"),
            " ORDER BY g.id LIMIT $43"
        );
        const GONE_ANYWHERE: &str = select_counted!(
            past_grants,
            "g.grantee_key IN ",
            id_list!(),
            " AND ",
            counts!(past_grants, "$33", "$34"),
            " ORDER BY g.id LIMIT $35"
        );
        let (from, to) = (as_of.from().millis(), as_of.to().millis());
        let (there_sql, gone_sql) = if clusters.is_empty() { (ANYWHERE, GONE_ANYWHERE) } else { (THERE, GONE) };
        let clusters = if clusters.is_empty() { Vec::new() } else { padded(clusters).to_vec() };
        let mut found = Vec::new();
        for chunk in keys.chunks(CHUNK) {
            let there: Vec<CountedRow> = read!(self, |db| {
                let query = bind_ids!(sqlx::query_as(there_sql), chunk).bind(from).bind(to).bind(overdue(as_of));
                clusters.iter().fold(query, sqlx::query::QueryAs::bind).bind(MOST).fetch_all(db).await
            })?;
            found.extend(there);
            if !as_of.is_now() {
                let gone: Vec<CountedRow> = read!(self, |db| {
                    let query = bind_ids!(sqlx::query_as(gone_sql), chunk).bind(from).bind(to);
                    clusters.iter().fold(query, sqlx::query::QueryAs::bind).bind(MOST).fetch_all(db).await
                })?;
                found.extend(gone);
            }
        }
        Ok(found)
    }

    /// Grants of a column that count, by holder, at most `limit` of those after the last one that the caller has.
    pub async fn matrix_column(
        &self,
        column: &Column,
        as_of: AsOf,
        text: &str,
        after: Option<&(HolderCursor, GrantId)>,
        limit: u32,
    ) -> Result<Vec<(Holder, HolderCursor, Counted)>, StoreError> {
        const THERE: &str = select_counted!(
            grants,
            "g.cluster_id = $1 AND (g.grantee_sort, g.grantee_key, g.id) > ($2, $3, $4) \
             AND ($5 = '' OR g.grantee_sort LIKE $5 ESCAPE '\\' OR i.name_key LIKE $5 ESCAPE '\\') AND ",
            counts!(grants, "$7", "$8", "$9"),
            " ORDER BY g.grantee_sort, g.grantee_key, g.id LIMIT $6"
        );
        const GONE: &str = select_counted!(
            past_grants,
            "g.cluster_id = $1 AND (g.grantee_sort, g.grantee_key, g.id) > ($2, $3, $4) \
             AND ($5 = '' OR g.grantee_sort LIKE $5 ESCAPE '\\' OR i.name_key LIKE $5 ESCAPE '\\') AND ",
            counts!(past_grants, "$7", "$8"),
            " ORDER BY g.grantee_sort, g.grantee_key, g.id LIMIT $6"
        );
        let Some(pattern) = pattern(text) else { return Ok(Vec::new()) };
        let (begin, id) = after.cloned().map_or_else(Default::default, |(at, id)| (at, id.to_string()));
        let cluster = column.cluster.to_string();
        let mut rows: Vec<CountedRow> = read!(self, |db| sqlx::query_as(THERE)
            .bind(&cluster)
            .bind(&begin.sort)
            .bind(&begin.key)
            .bind(&id)
            .bind(&pattern)
            .bind(i64::from(limit))
            .bind(column.from.millis())
            .bind(column.to.millis())
            .bind(overdue(as_of))
            .fetch_all(db)
            .await)?;
        if rows.is_empty() && !as_of.is_now() {
            // A cluster's grants are in one of the two tables.
            rows = read!(self, |db| sqlx::query_as(GONE)
                .bind(&cluster)
                .bind(&begin.sort)
                .bind(&begin.key)
                .bind(&id)
                .bind(&pattern)
                .bind(i64::from(limit))
                .bind(column.from.millis())
                .bind(column.to.millis())
                .fetch_all(db)
                .await)?;
        }
        let each = |row: CountedRow| {
            let cursor = HolderCursor { sort: row.grantee_sort.clone(), key: row.grantee_key.clone() };
            Ok((row.holder(), cursor, row.counted()?.seen_from(column)))
        };
        rows.into_iter().map(each).collect()
    }
}

/// Ids of clusters, and no cluster's to fill up.
fn padded(clusters: &[ClusterId]) -> [String; COLUMNS] {
    std::array::from_fn(|n| clusters.get(n).map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_no_pattern_and_what_nobody_has_is_not_looked_for() {
        assert_eq!(pattern(" Bob_ ").unwrap(), "%bob\\_%");
        assert_eq!(pattern("  ").unwrap(), "");
        assert!(pattern("a\0").is_none() && pattern(&"x".repeat(257)).is_none());
    }
}
