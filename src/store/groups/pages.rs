//! What Groups were given, as a cluster's access page shows it: one row for each grant to a Group, in place of those that it was written
//! out as.
//!
//! What is asked of each Group is bounded by how many members one has; how many other grants there are makes no difference.

use std::collections::HashMap;

use crate::{
    model::{
        cluster::Cluster,
        federation::{FederatedGrant, WideScope},
        grant::GrantState,
        id::{ClusterId, FederatedGrantId},
        scope::Scope,
    },
    store::{
        GrantFilter, PlacementCounts, Store, StoreError,
        db::{CHUNK, PAST_ALL_IDS, parsed},
        federation::{FederatedRow, scope_text, select_federated},
    },
};

/// What was given to a Group, as it stands on one cluster.
#[derive(Clone, Debug)]
pub struct GroupOnCluster {
    /// The grant to the Group.
    pub grant: FederatedGrant,
    /// Where it reaches there.
    pub scope: Scope,
    /// How far the cluster has followed, for each member.
    pub counts: PlacementCounts,
}

/// A page of what Groups were given on a cluster.
#[derive(Clone, Debug)]
pub struct GroupsPage {
    /// Newest first; before them, on the first page, what is being taken back.
    pub rows: Vec<GroupOnCluster>,
    /// Where the next page begins, if there is one: pass it as `before`.
    pub next: Option<FederatedGrantId>,
}

impl Store {
    /// What Groups were given that reaches a cluster, `limit` a page. A Group is found by its own name and by those of its members.
    pub async fn groups_on(
        &self,
        cluster: &Cluster,
        filter: &GrantFilter,
        before: Option<FederatedGrantId>,
        limit: u32,
    ) -> Result<GroupsPage, StoreError> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows = self.groups_given(cluster, filter, before, limit).await?;
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next = if more { rows.last().map(|row| row.grant.id) } else { None };
        if before.is_none() && filter.is_empty() {
            rows.splice(0..0, self.groups_leaving(cluster, limit).await?);
        }
        Ok(GroupsPage { rows, next })
    }

    /// What Groups were given that reaches the cluster, and fits, newest first: one more than a page.
    async fn groups_given(
        &self,
        cluster: &Cluster,
        filter: &GrantFilter,
        before: Option<FederatedGrantId>,
        limit: u32,
    ) -> Result<Vec<GroupOnCluster>, StoreError> {
        const SQL: &str = select_federated!(
            "WHERE f.scope IN ",
            id_list!(),
            " AND f.group_id IS NOT NULL AND f.ended IS NULL AND f.id < $33 AND ($34 = '' OR f.role = $34) \
             AND ($35 = '' OR f.scope LIKE 'project:%' OR ',' || f.namespaces || ',' LIKE $35 ESCAPE '\\') \
             AND ($36 = '' OR LOWER(f.grantee_name) LIKE $36 ESCAPE '\\' OR EXISTS (SELECT 1 FROM grants g \
                  LEFT JOIN identities i ON i.id = g.identity_id WHERE g.federated_id = f.id AND g.cluster_id = $37 \
                  AND g.ended IS NULL AND (g.grantee_search LIKE $36 ESCAPE '\\' OR i.email_key LIKE $36 ESCAPE '\\' \
                  OR i.name_key LIKE $36 ESCAPE '\\'))) \
             AND ($39 = '' OR EXISTS (SELECT 1 FROM grants s WHERE s.federated_id = f.id AND s.cluster_id = $37 \
                  AND (s.state = $39 OR s.state = $40))) \
             AND ($41 = 0 OR f.expires_at <= $41) \
             ORDER BY f.id DESC LIMIT $38"
        );
        let Some(patterns) = filter.patterns().filter(|_| filter.takes_groups()) else { return Ok(Vec::new()) };
        let before = before.map_or_else(|| PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let scopes = self.scopes_over(cluster, filter).await?;
        let mut rows: Vec<FederatedRow> = Vec::new();
        for chunk in scopes.chunks(CHUNK) {
            let found: Vec<FederatedRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk)
                .bind(&before)
                .bind(&patterns.role)
                .bind(&patterns.namespace)
                .bind(&patterns.text)
                .bind(cluster.id.to_string())
                .bind(i64::from(limit) + 1)
                .bind(patterns.states[0])
                .bind(patterns.states[1])
                .bind(patterns.ends_by)
                .fetch_all(db)
                .await)?;
            rows.extend(found);
        }
        let mut grants = rows.into_iter().map(FederatedRow::grant).collect::<Result<Vec<_>, _>>()?;
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.id));
        grants.truncate(usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1));
        self.on_cluster(cluster, grants).await
    }

    /// The scopes that a cluster is in, as stored. Where a namespace is looked for, those that reach whole clusters are not meant.
    async fn scopes_over(&self, cluster: &Cluster, filter: &GrantFilter) -> Result<Vec<String>, StoreError> {
        let namespace = filter.namespace.as_deref().unwrap_or_default().to_ascii_lowercase();
        let mut scopes = vec![WideScope::Cluster(cluster.id)];
        if namespace.is_empty() {
            scopes.extend([WideScope::Global, WideScope::Workspace(cluster.workspace)]);
        }
        let projects = self.projects_of(cluster.workspace).await?;
        let there = projects.iter().filter(|project| project.is_on(cluster));
        let fits = there.filter(|project| namespace.is_empty() || project.namespace.as_str() == namespace);
        scopes.extend(fits.map(|project| WideScope::Project(project.id)));
        Ok(scopes.into_iter().map(scope_text).collect())
    }

    /// What was taken back from Groups and is not gone from the cluster yet.
    async fn groups_leaving(&self, cluster: &Cluster, limit: u32) -> Result<Vec<GroupOnCluster>, StoreError> {
        const SQL: &str = select_federated!(
            "WHERE f.ended IS NOT NULL AND f.id IN (SELECT g.federated_id FROM grants g WHERE g.cluster_id = $1 \
             AND g.state = 'removing' AND g.state <> 'applied' AND g.state <> 'removed' AND g.group_id IS NOT NULL) \
             ORDER BY f.id DESC LIMIT $2"
        );
        let rows: Vec<FederatedRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.id.to_string())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        let grants = rows.into_iter().map(FederatedRow::grant).collect::<Result<Vec<_>, _>>()?;
        self.on_cluster(cluster, grants).await
    }

    async fn on_cluster(
        &self,
        cluster: &Cluster,
        grants: Vec<FederatedGrant>,
    ) -> Result<Vec<GroupOnCluster>, StoreError> {
        let mut counts = self.counts_on(cluster.id, &grants).await?;
        let projects = self.projects_of(cluster.workspace).await?;
        let scope = |grant: &FederatedGrant| match grant.scope {
            WideScope::Cluster(id) => Scope::new(id, grant.namespaces.clone()),
            WideScope::Global | WideScope::Workspace(_) => Scope::Cluster(cluster.id),
            WideScope::Project(id) => {
                let namespace = projects.iter().find(|p| p.id == id).map(|p| p.namespace.clone());
                Scope::new(cluster.id, namespace.into_iter().collect())
            }
        };
        let row = |grant: FederatedGrant| {
            let (scope, counts) = (scope(&grant), counts.remove(&grant.id).unwrap_or_default());
            GroupOnCluster { grant, scope, counts }
        };
        Ok(grants.into_iter().map(row).collect())
    }

    async fn counts_on(
        &self,
        cluster: ClusterId,
        grants: &[FederatedGrant],
    ) -> Result<HashMap<FederatedGrantId, PlacementCounts>, StoreError> {
        const SQL: &str = concat!(
            "SELECT federated_id, state, COUNT(*) FROM grants WHERE federated_id IN ",
            id_list!(),
            " AND cluster_id = $33 AND state <> 'removed' GROUP BY federated_id, state"
        );
        let mut counts: HashMap<FederatedGrantId, PlacementCounts> = HashMap::new();
        for chunk in grants.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(|grant| grant.id.to_string()).collect();
            let rows: Vec<(String, String, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).bind(cluster.to_string()).fetch_all(db).await)?;
            for (id, state, n) in rows {
                let state = GrantState::parse(&state).ok_or(StoreError::Corrupt("state of a grant"))?;
                counts.entry(parsed(&id, "id of a federated grant")?).or_default().add(state, n);
            }
        }
        Ok(counts)
    }
}
