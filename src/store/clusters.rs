//! Clusters and their sealed credentials: adding one and reading them. Changing and removing one
//! is in `changes`.

/// Changes the rows that a statement names and returns how many those were.
macro_rules! changed {
    ($tx:expr, $sql:expr, $($bound:expr),+) => {
        on!($tx, |db| sqlx::query($sql)$(.bind($bound))+.execute(db).await.map(|done| done.rows_affected()))
    };
}

mod changes;
mod credential;
mod ends;
mod entries;
mod rotation;

pub(super) use changes::{mark_removal, put_trust, write_trust};
pub use credential::{HeldCredential, SealedCredential, StoredCredential};
pub use ends::Described;
pub use entries::ClusterEntry;
pub use rotation::{NewOwnToken, Rotated};

use super::{
    AuditDraft, NewGrant, Store, StoreError,
    audit::About,
    db::{CHUNK, Tx, clash, parsed},
    federation, grants,
    presets::{self, NewTakeover},
    record, workspaces,
};
use crate::model::{
    claim_mapping::{ClaimMapping, UsernameClaim},
    cluster::{Cluster, Endpoint, Removal},
    device::Format,
    id::{ClusterId, IdentityId, WorkspaceId},
    identity::Identity,
    name::ClusterName,
    project::Labels,
    provider::ProviderId,
    time::Timestamp,
};

const NAME_TAKEN: &str = "There is a cluster of that name already.";

/// A cluster to add.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its id, made beforehand, since its credential is sealed for it.
    pub id: ClusterId,
    /// Its workspace; `None` for the one that its adder owns.
    pub workspace: Option<WorkspaceId>,
    /// Its name.
    pub name: ClusterName,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The credential.
    pub credential: SealedCredential,
    /// Which providers it trusts and how it names their people.
    pub trusts: Vec<(ProviderId, ClaimMapping)>,
    /// The owner's grant; `None` where no RBAC name can be made of the owner.
    pub owner_grant: Option<NewGrant>,
}

/// Where a new cluster comes to, and what it brings there.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    /// What the workspace is called, should it be made for it.
    pub workspace_name: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// From which presets its mappings are.
    pub taken: &'a [NewTakeover],
}

/// A cluster joined with one of the providers that it trusts, if it trusts any.
#[derive(sqlx::FromRow)]
struct ClusterRow {
    id: String,
    workspace_id: String,
    name: String,
    server: String,
    ca_pem: Option<String>,
    tls_server_name: Option<String>,
    created_by: String,
    created_at: i64,
    removing: Option<String>,
    formats: Option<String>,
    labels: String,
    provider: Option<String>,
    username_claim: Option<String>,
    username_prefix: Option<String>,
    groups_claim: Option<String>,
    groups_prefix: Option<String>,
}

macro_rules! select_clusters {
    ($($rest:expr),+) => {
        concat!(
            "SELECT c.id, c.workspace_id, c.name, c.server, c.ca_pem, c.tls_server_name, c.created_by, c.created_at, \
             c.removing, c.formats, c.labels, t.provider, t.username_claim, t.username_prefix, t.groups_claim, t.groups_prefix \
             FROM clusters c LEFT JOIN cluster_trusts t ON t.cluster_id = c.id AND NOT EXISTS \
             (SELECT 1 FROM own_providers o WHERE o.id = t.provider AND o.off_since IS NOT NULL) WHERE ",
            $($rest),+,
            " ORDER BY c.id, t.provider"
        )
    };
}

impl ClusterRow {
    fn trust(&self) -> Result<Option<(ProviderId, ClaimMapping)>, StoreError> {
        let corrupt = || StoreError::Corrupt("claim mapping of a cluster");
        let Some(provider) = &self.provider else { return Ok(None) };
        let text = |column: &Option<String>| column.clone().ok_or_else(corrupt);
        let mapping = ClaimMapping {
            username_claim: UsernameClaim::parse(&text(&self.username_claim)?).ok_or_else(corrupt)?,
            username_prefix: text(&self.username_prefix)?,
            groups_claim: text(&self.groups_claim)?,
            groups_prefix: text(&self.groups_prefix)?,
        };
        Ok(Some((parsed(provider, "provider of a cluster")?, mapping)))
    }

    fn cluster(self) -> Result<Cluster, StoreError> {
        let server = self.server.parse().map_err(|_| StoreError::Corrupt("address of a cluster"))?;
        Ok(Cluster {
            id: parsed(&self.id, "id of a cluster")?,
            workspace: parsed(&self.workspace_id, "workspace of a cluster")?,
            name: parsed(&self.name, "name of a cluster")?,
            endpoint: Endpoint { server, ca_pem: self.ca_pem, tls_server_name: self.tls_server_name },
            trusts: Vec::new(),
            created_by: parsed(&self.created_by, "maker of a cluster")?,
            created_at: Timestamp::from_millis(self.created_at),
            formats: formats(self.formats.as_deref())?,
            labels: parsed(&self.labels, "labels of a cluster")?,
            removing: self.removing.as_deref().map(removal).transpose()?,
        })
    }
}

fn formats(stored: Option<&str>) -> Result<Vec<Format>, StoreError> {
    let names = stored.into_iter().flat_map(|names| names.split(','));
    names.map(|name| Format::parse(name).ok_or(StoreError::Corrupt("formats of a cluster"))).collect()
}

/// Puts rows together that tell of the same cluster; they come sorted by id.
fn gather(rows: Vec<ClusterRow>) -> Result<Vec<Cluster>, StoreError> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for row in rows {
        let trust = row.trust()?;
        let id = parsed(&row.id, "id of a cluster")?;
        if clusters.last().is_none_or(|c| c.id != id) {
            clusters.push(row.cluster()?);
        }
        if let (Some(cluster), Some(trust)) = (clusters.last_mut(), trust) {
            cluster.trusts.push(trust);
        }
    }
    // Databases sort text by their own locale; pages and tests want one order.
    for cluster in &mut clusters {
        cluster.trusts.sort_by(|a, b| a.0.cmp(&b.0));
    }
    clusters.sort_by_key(|c| (c.name.as_str().to_ascii_lowercase(), c.id));
    Ok(clusters)
}

/// A removal as stored.
pub(super) fn removal_text(how: Removal) -> &'static str {
    match how {
        Removal::Purge => "purge",
        Removal::Leave => "leave",
    }
}

pub(super) fn removal(text: &str) -> Result<Removal, StoreError> {
    let all = [Removal::Purge, Removal::Leave];
    all.into_iter().find(|how| removal_text(*how) == text).ok_or(StoreError::Corrupt("removal"))
}

/// One cluster inside a transaction.
pub(super) async fn one(tx: &mut Tx, id: ClusterId) -> Result<Cluster, StoreError> {
    let rows: Vec<ClusterRow> =
        on!(tx, |db| sqlx::query_as(select_clusters!("c.id = $1")).bind(id.to_string()).fetch_all(db).await)?;
    gather(rows)?.pop().ok_or(StoreError::NotFound)
}

/// All clusters of a workspace, or of all, that nobody has asked to remove, inside a transaction.
pub(super) async fn living(tx: &mut Tx, workspace: Option<WorkspaceId>) -> Result<Vec<Cluster>, StoreError> {
    const SQL: &str = select_clusters!("c.removing IS NULL AND ($1 = '' OR c.workspace_id = $1)");
    let workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
    let rows: Vec<ClusterRow> = on!(tx, |db| sqlx::query_as(SQL).bind(workspace).fetch_all(db).await)?;
    gather(rows)
}

/// The workspace that a cluster is in, inside a transaction.
pub(super) async fn workspace_of(tx: &mut Tx, id: ClusterId) -> Result<WorkspaceId, StoreError> {
    const SQL: &str = "SELECT workspace_id FROM clusters WHERE id = $1";
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    parsed(&row.ok_or(StoreError::NotFound)?.0, "workspace of a cluster")
}

/// Locks a cluster's row until the transaction ends, so that nothing is given on it while its removal is asked for.
pub(super) async fn lock(tx: &mut Tx, id: ClusterId) -> Result<Option<Removal>, StoreError> {
    const SQL: &str = "UPDATE clusters SET removing = removing WHERE id = $1 RETURNING removing";
    let row: Option<(Option<String>,)> =
        on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    let (removing,) = row.ok_or(StoreError::NotFound)?;
    removing.as_deref().map(removal).transpose()
}

/// The same where something new is to be given.
///
/// # Errors
/// `Stale` where the cluster is on its way out.
pub(super) async fn lock_for_giving(tx: &mut Tx, id: ClusterId) -> Result<(), StoreError> {
    if lock(tx, id).await?.is_some() { Err(StoreError::Stale) } else { Ok(()) }
}

async fn insert(
    tx: &mut Tx,
    new: &NewCluster,
    workspace: WorkspaceId,
    by: IdentityId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO clusters \
         (id, workspace_id, name, name_key, server, ca_pem, tls_server_name, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    on!(tx, |db| sqlx::query(SQL)
        .bind(new.id.to_string())
        .bind(workspace.to_string())
        .bind(new.name.as_str())
        .bind(new.name.as_str().to_ascii_lowercase())
        .bind(new.endpoint.server.as_str())
        .bind(&new.endpoint.ca_pem)
        .bind(&new.endpoint.tls_server_name)
        .bind(by.to_string())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop))
    .map_err(|e| clash(e, NAME_TAKEN))?;
    credential::insert(tx, new.id, &new.credential, now).await?;
    for (provider, mapping) in &new.trusts {
        changes::put_trust(tx, new.id, provider, mapping).await?;
    }
    Ok(())
}

impl Store {
    /// Adds a cluster to its workspace; where none is named, to the one that `by` owns. Makes that (named `workspace_name`) where
    /// there is none, and `by` its owner. Makes the owner's grant (state `Pending`, due at once). One transaction.
    ///
    /// # Errors
    /// `Duplicate` where a cluster of that name (ASCII case apart) stands in the workspace; `Stale` where that is being deleted.
    pub async fn add_cluster(
        &self,
        new: &NewCluster,
        workspace_name: &str,
        by: IdentityId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Cluster, StoreError> {
        let home = Home { workspace_name, labels: &Labels::default(), taken: &[] };
        self.add_labelled_cluster(new, home, by, audit, now).await
    }

    /// The same with labels from the beginning, and with mappings that were taken over from presets.
    ///
    /// # Errors
    /// As without.
    pub async fn add_labelled_cluster(
        &self,
        new: &NewCluster,
        home: Home<'_>,
        by: IdentityId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Cluster, StoreError> {
        const LABELS: &str = "UPDATE clusters SET labels = $2 WHERE id = $1";
        let (id, labels) = (new.id.to_string(), home.labels.to_string());
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let workspace = match new.workspace {
                Some(id) => workspaces::lock_for_giving(tx, id).await?.id,
                None => workspaces::own(tx, by, home.workspace_name, now).await?,
            };
            insert(tx, new, workspace, by, now).await?;
            on!(tx, |db| sqlx::query(LABELS).bind(&id).bind(&labels).execute(db).await.map(drop))?;
            for taken in home.taken {
                presets::keep(tx, new.id, taken, now).await?;
            }
            record::cluster_changed(tx, new.id, now).await?;
            if let Some(grant) = &new.owner_grant {
                grants::insert(tx, grant, now).await?;
            }
            federation::place_cluster(tx, new.id, now).await?;
            audit.append(tx, About::Cluster(new.id), now).await
        })?;
        self.cluster(new.id).await
    }

    /// One cluster.
    pub async fn cluster(&self, id: ClusterId) -> Result<Cluster, StoreError> {
        let rows: Vec<ClusterRow> =
            read!(self, |db| sqlx::query_as(select_clusters!("c.id = $1")).bind(id.to_string()).fetch_all(db).await)?;
        gather(rows)?.pop().ok_or(StoreError::NotFound)
    }

    /// Clusters that somebody may look at, by name: those of workspaces they are members of, or all.
    pub async fn clusters_of(&self, person: &Identity, all: bool) -> Result<Vec<Cluster>, StoreError> {
        const ALL: &str = select_clusters!("c.id <> ''");
        if all {
            return gather(read!(self, |db| sqlx::query_as(ALL).fetch_all(db).await)?);
        }
        let workspaces: Vec<WorkspaceId> = self.memberships_of(person).await?.into_keys().collect();
        self.clusters_in(&workspaces).await
    }

    /// The clusters of these workspaces, by name.
    pub async fn clusters_in(&self, workspaces: &[WorkspaceId]) -> Result<Vec<Cluster>, StoreError> {
        const SQL: &str = select_clusters!("c.workspace_id IN ", id_list!());
        let mut rows: Vec<ClusterRow> = Vec::new();
        for chunk in workspaces.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let found: Vec<ClusterRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            rows.extend(found);
        }
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        gather(rows)
    }

    /// Several clusters, by name; unknown ids are left out.
    pub async fn clusters(&self, ids: &[ClusterId]) -> Result<Vec<Cluster>, StoreError> {
        const SQL: &str = select_clusters!("c.id IN ", id_list!());
        let mut rows = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let found: Vec<ClusterRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            rows.extend(found);
        }
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let mut clusters = gather(rows)?;
        // An id that was given twice, in two chunks, is still one cluster.
        for cluster in &mut clusters {
            cluster.trusts.dedup();
        }
        Ok(clusters)
    }
}
