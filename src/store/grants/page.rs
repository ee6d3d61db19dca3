//! Lists of grants: a cluster's access page, the counts beside a cluster's name, and what reaches a person.
//!
//! A page costs the same whatever the number of grants. Each order has an index. Without a filter a page is read straight off it.
//! With one, at most [`WINDOW`] of the grants that follow are looked at for one page: the next page goes on where that one
//! stopped, so nothing is left out, and a page may have fewer rows than asked for (none, even) and still have a next one.

use super::{
    filter::{GrantFilter, Patterns},
    home_text, keys_reaching,
    orders::{GrantOrder, Key, Place, PlaceRow, Statements, bind_key},
    rows::GrantRow,
};
use crate::{
    model::{
        grant::Grant,
        id::{ClusterId, GrantId},
        identity::Identity,
        time::Timestamp,
    },
    store::{
        Store, StoreError,
        db::{CHUNK, parsed},
    },
};

/// How many grants a filtered page looks at.
const WINDOW: i64 = 10_000;

/// A page of grants.
#[derive(Clone, Debug)]
pub struct GrantPage {
    /// The grants with the identity of a person's grant, in the order that was asked for.
    pub rows: Vec<(Grant, Option<Identity>)>,
    /// Where the next page begins, if there is one: pass it as `before`. With a filter it may be there although this page is
    /// not full: then older grants have not been looked at yet.
    pub next: Option<GrantId>,
}

impl Store {
    /// A cluster's grants that are not `Removed`, in the filter's order, `limit` a page, from the one after `before` on; what a Group was
    /// written out as is left out, see [`Store::groups_on`]. Costs the same whatever their number.
    pub async fn grants_of_cluster(
        &self,
        cluster: ClusterId,
        filter: &GrantFilter,
        before: Option<GrantId>,
        limit: u32,
    ) -> Result<GrantPage, StoreError> {
        let none = || Ok(GrantPage { rows: Vec::new(), next: None });
        let from = match before {
            None => filter.order.beginning(),
            Some(id) => match self.place_of(cluster, filter.order, id).await? {
                Some(place) => place,
                None => return none(),
            },
        };
        let (rows, window) = if filter.is_empty() {
            (self.plain_page(cluster, filter.order, &from, limit).await?, None)
        } else {
            let Some(patterns) = filter.patterns() else { return none() };
            let Some((to, more)) = self.window(cluster, filter.order, &from).await? else { return none() };
            let rows = self.filtered_page(cluster, filter.order, (&from, &to), &patterns, limit).await?;
            (rows, more.then_some(to.id))
        };
        let mut rows = rows.into_iter().map(GrantRow::grant).collect::<Result<Vec<_>, _>>()?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        if rows.len() > wanted {
            rows.truncate(wanted);
            let next = rows.last().map(|(grant, _)| grant.id);
            return Ok(GrantPage { rows, next });
        }
        let next = window.map(|id| parsed(&id, "id of a grant")).transpose()?;
        Ok(GrantPage { rows, next })
    }

    /// Where a grant of this cluster stands in an order.
    async fn place_of(&self, cluster: ClusterId, order: GrantOrder, id: GrantId) -> Result<Option<Place>, StoreError> {
        const SQL: &str = "SELECT g.id, g.grantee_sort, g.role_rank, g.ends_at FROM grants g \
             WHERE g.id = $1 AND g.cluster_id || '' = $2";
        let row: Option<PlaceRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(id.to_string())
            .bind(cluster.to_string())
            .fetch_optional(db)
            .await)?;
        Ok(row.map(|row| row.place(order)))
    }

    async fn plain_page(
        &self,
        cluster: ClusterId,
        order: GrantOrder,
        from: &Place,
        limit: u32,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let sql = order.sql().plain;
        Ok(read!(self, |db| {
            let query = sqlx::query_as(sql).bind(cluster.to_string()).bind(&from.id).bind(i64::from(limit) + 1);
            bind_key!(query, &from.key).fetch_all(db).await
        })?)
    }

    async fn filtered_page(
        &self,
        cluster: ClusterId,
        order: GrantOrder,
        (from, to): (&Place, &Place),
        patterns: &Patterns,
        limit: u32,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let sql = order.sql().filtered;
        Ok(read!(self, |db| {
            let query = sqlx::query_as(sql)
                .bind(cluster.to_string())
                .bind(&from.id)
                .bind(i64::from(limit) + 1)
                .bind(&to.id)
                .bind(&patterns.text)
                .bind(patterns.groups)
                .bind(patterns.people)
                .bind(patterns.accounts)
                .bind(&patterns.role)
                .bind(&patterns.namespace)
                .bind(patterns.states[0])
                .bind(patterns.states[1])
                .bind(patterns.ends_by);
            bind_key!(bind_key!(query, &from.key), &to.key).fetch_all(db).await
        })?)
    }

    /// The last grant that a filtered page looks at, and whether there may be more behind it; nothing where none is left.
    async fn window(
        &self,
        cluster: ClusterId,
        order: GrantOrder,
        from: &Place,
    ) -> Result<Option<(Place, bool)>, StoreError> {
        let Statements { window, last, .. } = order.sql();
        for (sql, offset, more) in [(window, WINDOW - 1, true), (last, 0, false)] {
            let row: Option<PlaceRow> = read!(self, |db| {
                let query = sqlx::query_as(sql).bind(cluster.to_string()).bind(&from.id).bind(offset);
                bind_key!(query, &from.key).fetch_optional(db).await
            })?;
            if let Some(row) = row {
                return Ok(Some((row.place(order), more)));
            }
        }
        Ok(None)
    }

    /// How many people and groups hold live grants on each of these clusters, counted up to 1,000 each. People who have not
    /// signed in yet count as people.
    pub async fn count_grantees(
        &self,
        clusters: &[ClusterId],
        now: Timestamp,
    ) -> Result<Vec<(ClusterId, u32, u32)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT c.id, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT p.grantee_key FROM grants p WHERE p.cluster_id = c.id \
              AND p.ended IS NULL AND p.to_group = FALSE AND p.grantee_key NOT LIKE 'account:%' AND (p.expires_at IS NULL OR p.expires_at > $33) \
              ORDER BY p.grantee_key LIMIT 1000) AS people), \
             (SELECT COUNT(*) FROM (SELECT DISTINCT q.grantee_key FROM grants q WHERE q.cluster_id = c.id \
              AND q.ended IS NULL AND q.to_group = TRUE AND (q.expires_at IS NULL OR q.expires_at > $33) \
              ORDER BY q.grantee_key LIMIT 1000) AS groups_of_them) \
             FROM clusters c WHERE c.id IN ",
            id_list!()
        );
        let mut counts = Vec::new();
        for chunk in clusters.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, i64, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).bind(now.millis()).fetch_all(db).await)?;
            for (id, people, groups) in rows {
                let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
                counts.push((parsed(&id, "id of a cluster")?, count(people), count(groups)));
            }
        }
        Ok(counts)
    }

    /// Live grants that reach a person: to them, and to the groups of their provider that they are in; newest first.
    pub async fn grants_reaching(
        &self,
        person: &Identity,
        cluster: Option<ClusterId>,
        now: Timestamp,
    ) -> Result<Vec<Grant>, StoreError> {
        const SQL: &str = select_grants!(
            "WHERE g.grantee_key IN ",
            id_list!(),
            " AND g.ended IS NULL AND (g.expires_at IS NULL OR g.expires_at > $33) AND ($34 = '' OR g.cluster_id = $34) \
             AND ($35 = '' OR g.cluster_id IN (SELECT c.id FROM clusters c WHERE c.workspace_id = $35))"
        );
        let cluster = cluster.map(|id| id.to_string()).unwrap_or_default();
        let mut grants = Vec::new();
        for chunk in keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<GrantRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk)
                .bind(now.millis())
                .bind(&cluster)
                .bind(home_text(person))
                .fetch_all(db)
                .await)?;
            for row in rows {
                grants.push(row.grant()?.0);
            }
        }
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.id));
        Ok(grants)
    }
}
