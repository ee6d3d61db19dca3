//! Lists of federated grants, and how far the clusters that they reach have followed.

use super::{FederatedRow, holder_key, scope_text, select_federated};
use crate::{
    model::{
        federation::{FederatedGrant, WideScope},
        grant::{EndReason, Grant, GrantState},
        group::Holder,
        id::{FederatedGrantId, IdentityId},
        identity::Identity,
        name::{ClusterName, Namespace},
        role::Role,
    },
    store::{
        Store, StoreError,
        db::{CHUNK, PAST_ALL_IDS, parsed},
        grants::{GrantRow, names_text, role_text},
    },
};

/// How many clusters of a federated grant are in which state; of one to a Group how many of its members' grants there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlacementCounts {
    /// Bound.
    pub applied: i64,
    /// On the way, or waiting for a cluster.
    pub pending: i64,
    /// Refused, or in the way of something else.
    pub failed: i64,
    /// On the way out.
    pub removing: i64,
}

impl PlacementCounts {
    /// How many clusters it should stand on.
    pub fn wanted(&self) -> i64 {
        self.applied + self.pending + self.failed
    }

    pub(in crate::store) fn add(&mut self, state: GrantState, n: i64) {
        match state {
            GrantState::Applied => self.applied += n,
            GrantState::Pending => self.pending += n,
            GrantState::Failed | GrantState::Conflict => self.failed += n,
            GrantState::Removing => self.removing += n,
            GrantState::Removed => {}
        }
    }
}

/// A page of federated grants.
#[derive(Clone, Debug)]
pub struct FederatedPage {
    /// Newest first, each with how far its clusters have followed.
    pub rows: Vec<(FederatedGrant, PlacementCounts)>,
    /// Where the next page begins, if there is one: pass it as `before`.
    pub next: Option<FederatedGrantId>,
}

/// A federated grant on one cluster; for one member, where it is to a Group.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The cluster's name.
    pub cluster: ClusterName,
    /// The grant there.
    pub grant: Grant,
    /// The identity of a person's.
    pub person: Option<Identity>,
}

impl Store {
    /// The live federated grants of exactly this scope, newest first, `limit` a page.
    pub async fn federated_grants(
        &self,
        scope: WideScope,
        before: Option<FederatedGrantId>,
        limit: u32,
    ) -> Result<FederatedPage, StoreError> {
        const SQL: &str =
            select_federated!("WHERE f.scope = $1 AND f.ended IS NULL AND f.id < $2 ORDER BY f.id DESC LIMIT $3");
        let before = before.map_or_else(|| PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let rows: Vec<FederatedRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(scope_text(scope))
            .bind(before)
            .bind(i64::from(limit) + 1)
            .fetch_all(db)
            .await)?;
        let mut grants = rows.into_iter().map(FederatedRow::grant).collect::<Result<Vec<_>, _>>()?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = grants.len() > wanted;
        grants.truncate(wanted);
        let next = if more { grants.last().map(|grant| grant.id) } else { None };
        let counts = self.placement_counts(&grants).await?;
        Ok(FederatedPage { rows: grants.into_iter().zip(counts).collect(), next })
    }

    /// The live federated grants that somebody made, oldest first.
    pub(in crate::store) async fn federated_grants_made_by(
        &self,
        maker: IdentityId,
    ) -> Result<Vec<FederatedGrant>, StoreError> {
        const SQL: &str = select_federated!("WHERE f.created_by = $1 AND f.ended IS NULL ORDER BY f.id");
        let rows: Vec<FederatedRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(maker.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(FederatedRow::grant).collect()
    }

    /// The federated grant that says exactly this and has not ended; its time may be up.
    pub(in crate::store) async fn federated_of(
        &self,
        (scope, namespaces): (WideScope, &[Namespace]),
        holder: &Holder,
        role: &Role,
    ) -> Result<Option<FederatedGrant>, StoreError> {
        const SQL: &str = select_federated!(
            "WHERE f.scope = $1 AND f.grantee_key = $2 AND f.role = $3 AND f.namespaces = $4 AND f.ended IS NULL"
        );
        let row: Option<FederatedRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(scope_text(scope))
            .bind(holder_key(holder))
            .bind(role_text(Some(role)))
            .bind(names_text(namespaces))
            .fetch_optional(db)
            .await)?;
        row.map(FederatedRow::grant).transpose()
    }

    /// Whether somebody took back what this maker gave so far last.
    pub async fn was_taken_back_everywhere(
        &self,
        maker: IdentityId,
        (scope, namespaces): (WideScope, &[Namespace]),
        holder: &Holder,
        role: &Role,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT ended FROM federated_grants WHERE scope = $1 AND grantee_key = $2 AND role = $3 \
             AND created_by = $4 AND namespaces = $5 ORDER BY id DESC LIMIT 1";
        let last: Option<(Option<String>,)> = read!(self, |db| sqlx::query_as(SQL)
            .bind(scope_text(scope))
            .bind(holder_key(holder))
            .bind(role_text(Some(role)))
            .bind(maker.to_string())
            .bind(names_text(namespaces))
            .fetch_optional(db)
            .await)?;
        Ok(last.and_then(|(ended,)| ended).as_deref() == Some(EndReason::Revoked.as_str()))
    }

    /// How far the clusters of each of these have followed.
    pub(in crate::store) async fn placement_counts(
        &self,
        grants: &[FederatedGrant],
    ) -> Result<Vec<PlacementCounts>, StoreError> {
        const SQL: &str = concat!(
            "SELECT federated_id, state, COUNT(*) FROM grants WHERE federated_id IN ",
            id_list!(),
            " AND state <> 'removed' GROUP BY federated_id, state"
        );
        let mut counts = vec![PlacementCounts::default(); grants.len()];
        for chunk in grants.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(|grant| grant.id.to_string()).collect();
            let counted: Vec<(String, String, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for (id, state, n) in counted {
                let state = GrantState::parse(&state).ok_or(StoreError::Corrupt("state of a grant"))?;
                if let Some(at) = grants.iter().position(|grant| grant.id.to_string() == id) {
                    counts[at].add(state, n);
                }
            }
        }
        Ok(counts)
    }

    /// How far its clusters have followed one federated grant.
    pub async fn placement_count(&self, grant: &FederatedGrant) -> Result<PlacementCounts, StoreError> {
        let counts = self.placement_counts(std::slice::from_ref(grant)).await?;
        Ok(counts.first().copied().unwrap_or_default())
    }

    /// A federated grant on its clusters, those that have not followed first, then by name; at most `limit`. Ended ones whose binding
    /// is gone are left out.
    pub async fn placements(&self, id: FederatedGrantId, limit: u32) -> Result<Vec<Placed>, StoreError> {
        const SQL: &str = select_grants!(
            "JOIN clusters c ON c.id = g.cluster_id WHERE g.federated_id = $1 AND g.state <> 'removed' \
             ORDER BY CASE WHEN g.state = 'applied' THEN 1 ELSE 0 END, c.name_key, g.id LIMIT $2"
        );
        let rows: Vec<GrantRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).bind(i64::from(limit)).fetch_all(db).await)?;
        let grants = rows.into_iter().map(GrantRow::grant).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<_> = grants.iter().map(|(grant, _)| grant.scope.cluster()).collect();
        let names = self.cluster_names(&ids).await?;
        let placed = |(grant, person): (Grant, Option<Identity>)| {
            Some(Placed { cluster: names.get(&grant.scope.cluster())?.clone(), grant, person })
        };
        Ok(grants.into_iter().filter_map(placed).collect())
    }

    async fn cluster_names(
        &self,
        ids: &[crate::model::id::ClusterId],
    ) -> Result<std::collections::HashMap<crate::model::id::ClusterId, ClusterName>, StoreError> {
        const SQL: &str = concat!("SELECT id, name FROM clusters WHERE id IN ", id_list!());
        let mut names = std::collections::HashMap::new();
        for chunk in ids.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for (id, name) in rows {
                names.insert(parsed(&id, "id of a cluster")?, parsed(&name, "name of a cluster")?);
            }
        }
        Ok(names)
    }
}
