//! Changing a cluster and taking it out. What changes how its bindings must look makes its grants due.

use std::time::Duration;

use super::{
    NAME_TAKEN, SealedCredential, StoredCredential, credential, lock, lock_for_giving, removal_text, rotation,
};
use crate::{
    model::{
        audit::Action,
        claim_mapping::ClaimMapping,
        cluster::{Endpoint, Removal},
        device::Format,
        grant::EndReason,
        id::{ClusterId, WorkspaceId},
        name::ClusterName,
        provider::ProviderId,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, clash, parsed},
        federation, grants, own_providers, record, service_accounts, workspaces,
    },
};

/// Lets a cluster trust a provider, and name its people so; those of a workspace's own it names as that says.
///
/// # Errors
/// `NotFound` for one of another workspace's own.
pub(in crate::store) async fn put_trust(
    tx: &mut Tx,
    cluster: ClusterId,
    provider: &ProviderId,
    mapping: &ClaimMapping,
) -> Result<(), StoreError> {
    let mapping = own_providers::mapping_on(tx, cluster, provider, mapping).await?;
    write_trust(tx, cluster, provider, &mapping).await
}

/// The same where it is known that it may.
pub(in crate::store) async fn write_trust(
    tx: &mut Tx,
    cluster: ClusterId,
    provider: &ProviderId,
    mapping: &ClaimMapping,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO cluster_trusts \
         (cluster_id, provider, username_claim, username_prefix, groups_claim, groups_prefix) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (cluster_id, provider) DO UPDATE SET \
         username_claim = excluded.username_claim, username_prefix = excluded.username_prefix, \
         groups_claim = excluded.groups_claim, groups_prefix = excluded.groups_prefix";
    on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(provider.as_str())
        .bind(mapping.username_claim.as_str())
        .bind(&mapping.username_prefix)
        .bind(&mapping.groups_claim)
        .bind(&mapping.groups_prefix)
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Marks a cluster for removal, revokes its links and ends its grants. The caller holds [`federation::lock`]. Returns whether that changed something.
pub(in crate::store) async fn mark_removal(
    tx: &mut Tx,
    id: ClusterId,
    how: Removal,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const MARK: &str = "UPDATE clusters SET removing = $2 WHERE id = $1";
    const REVOKE: &str = "UPDATE share_links SET revoked_at = $2 WHERE cluster_id = $1 AND revoked_at IS NULL";
    let before = lock(tx, id).await?;
    if before == Some(how) || before == Some(Removal::Leave) {
        return Ok(false);
    }
    on!(tx, |db| {
        sqlx::query(MARK).bind(id.to_string()).bind(removal_text(how)).execute(&mut *db).await?;
        sqlx::query(REVOKE).bind(id.to_string()).bind(now.millis()).execute(&mut *db).await?;
        Ok::<_, StoreError>(())
    })?;
    federation::end_on_cluster(tx, id, now).await?;
    grants::end_all(tx, id, EndReason::ClusterRemoved, now).await?;
    service_accounts::end_all(tx, id, how == Removal::Leave, now).await?;
    if how == Removal::Leave {
        grants::forget_bindings(tx, id, now).await?;
    }
    Ok(true)
}

/// The workspace of a cluster that stays, its row locked.
async fn whereabouts(tx: &mut Tx, id: ClusterId) -> Result<WorkspaceId, StoreError> {
    const SQL: &str = "SELECT workspace_id FROM clusters WHERE id = $1";
    lock_for_giving(tx, id).await?;
    let (workspace,): (String,) = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_one(db).await)?;
    parsed(&workspace, "workspace of a cluster")
}

impl Store {
    /// Gives it another name.
    ///
    /// # Errors
    /// `Duplicate` as for adding.
    pub async fn rename_cluster(
        &self,
        id: ClusterId,
        name: &ClusterName,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE clusters SET name = $2, name_key = $3 WHERE id = $1";
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(id.to_string())
                .bind(name.as_str())
                .bind(name.as_str().to_ascii_lowercase())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))
            .map_err(|e| clash(e, NAME_TAKEN))?;
            if changed == 0 {
                return Err(StoreError::NotFound);
            }
            record::cluster_changed(tx, id, now).await?;
            audit.append(tx, About::Cluster(id), now).await
        })
    }

    /// Offers these formats of kubeconfig alone; all there are, where none is named.
    pub async fn set_formats(
        &self,
        id: ClusterId,
        formats: &[Format],
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE clusters SET formats = $2 WHERE id = $1";
        let names: Vec<&str> = formats.iter().map(|format| format.as_str()).collect();
        let names = (!names.is_empty()).then(|| names.join(","));
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(id.to_string())
                .bind(&names)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 {
                return Err(StoreError::NotFound);
            }
            audit.append(tx, About::Cluster(id), now).await
        })
    }

    /// Replaces where it is and how Kubelend signs in there; all its unsettled grants become due at once.
    pub async fn replace_credential(
        &self,
        id: ClusterId,
        endpoint: &Endpoint,
        new: &SealedCredential,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const PLACE: &str = "UPDATE clusters SET server = $2, ca_pem = $3, tls_server_name = $4 WHERE id = $1";
        transact!(self, |tx| {
            lock(tx, id).await?;
            if credential::stored(tx, id).await?.endpoint.server != endpoint.server {
                rotation::forget(tx, id).await?;
            }
            on!(tx, |db| sqlx::query(PLACE)
                .bind(id.to_string())
                .bind(endpoint.server.as_str())
                .bind(&endpoint.ca_pem)
                .bind(&endpoint.tls_server_name)
                .execute(db)
                .await
                .map(drop))?;
            credential::replace(tx, id, new, now).await?;
            grants::retry_all(tx, id, now).await?;
            service_accounts::retry_all(tx, id, now).await?;
            audit.append(tx, About::Cluster(id), now).await
        })
    }

    /// Puts another credential in place of the one that was read, at the same endpoint.
    ///
    /// # Errors
    /// `Stale` where another one is held by now, or another endpoint.
    pub async fn exchange_credential(
        &self,
        id: ClusterId,
        held: &StoredCredential,
        new: &SealedCredential,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            lock(tx, id).await?;
            if credential::stored(tx, id).await? != *held {
                return Err(StoreError::Stale);
            }
            credential::replace(tx, id, new, now).await?;
            audit.append(tx, About::Cluster(id), now).await
        })
    }

    /// Replaces how it names a provider's people, or (`None`) stops trusting that provider; that provider's live grants become
    /// `Pending`, the others' names are what they were.
    pub async fn set_trust(
        &self,
        id: ClusterId,
        provider: &ProviderId,
        mapping: Option<&ClaimMapping>,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const STOP: &str = "DELETE FROM cluster_trusts WHERE cluster_id = $1 AND provider = $2";
        transact!(self, |tx| {
            lock(tx, id).await?;
            match mapping {
                Some(mapping) => put_trust(tx, id, provider, mapping).await?,
                None => on!(tx, |db| sqlx::query(STOP)
                    .bind(id.to_string())
                    .bind(provider.as_str())
                    .execute(db)
                    .await
                    .map(drop))?,
            }
            grants::rename_provider(tx, id, provider, now).await?;
            if provider.home().is_some() && mapping.is_some() {
                own_providers::look_again(tx, id, now).await?;
            }
            audit.append(tx, About::Cluster(id), now).await
        })
    }

    /// Asks for its removal: marks it, revokes its links, ends its live grants (`ClusterRemoved`, state `Removing`, due at once;
    /// with [`Removal::Leave`] state `Removed` at once, those that were ended before among them). Safe to repeat: only the first
    /// time writes an event. `Purge` may be turned into `Leave` (the cluster will never answer again), not the other way:
    /// what is left on it is no longer known then.
    pub async fn ask_removal(
        &self,
        id: ClusterId,
        how: Removal,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            if mark_removal(tx, id, how, now).await? { audit.append(tx, About::Cluster(id), now).await } else { Ok(()) }
        })
    }

    /// Puts it into another workspace; grants, links and devices go along, but for those of a provider that is the old one's own. Both
    /// workspaces and the cluster's trail get the event.
    /// Repeating it changes nothing.
    ///
    /// # Errors
    /// `Duplicate` where that workspace has a cluster of its name; `Stale` where that is being deleted, or the cluster removed.
    pub async fn move_cluster(
        &self,
        id: ClusterId,
        to: WorkspaceId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE clusters SET workspace_id = $2 WHERE id = $1";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            workspaces::lock_for_giving(tx, to).await?;
            let from = whereabouts(tx, id).await?;
            if from == to {
                return Ok(());
            }
            on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(to.to_string()).execute(db).await.map(drop))
                .map_err(|e| clash(e, NAME_TAKEN))?;
            record::cluster_changed(tx, id, now).await?;
            federation::end_strangers(tx, id, to, &audit, now).await?;
            own_providers::leave_behind(tx, id, (from, to), &audit, now).await?;
            federation::place_cluster(tx, id, now).await?;
            audit.append(tx, About::Workspace(from), now).await?;
            audit.append(tx, About::Cluster(id), now).await
        })
    }

    /// Deletes clusters whose removal was asked and whose grants are all `Removed`, with their links and checks; the audit
    /// trail stays, and says `ClusterRemoved`. Returns how many. Then deletes workspaces whose deletion was asked and that have none left.
    ///
    /// A purged one stays until nothing of it has changed for as long as `quiet`, longer than an attempt may take, and nobody
    /// holds a lease on one of its grants: an attempt that was begun before the removal may still post a binding, and its
    /// grant's row is all that knows of it.
    pub async fn finish_removals(&self, now: Timestamp, quiet: Duration) -> Result<u64, StoreError> {
        // The first question is answered by an index while there is something left to do; the second looks at each grant once
        // nothing is.
        const DUE: &str = "UPDATE clusters SET removing = removing WHERE removing IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM grants g WHERE g.cluster_id = clusters.id AND g.state <> 'removed') \
             AND NOT EXISTS (SELECT 1 FROM service_accounts a WHERE a.cluster_id = clusters.id AND (a.state <> 'removed' \
                             OR (removing <> 'leave' AND (a.state_since > $2 OR a.leased_until > $1)))) \
             AND (removing = 'leave' OR NOT EXISTS (SELECT 1 FROM made_roles m WHERE m.cluster_id = clusters.id \
                                                    AND m.namespace = '')) \
             AND (removing = 'leave' OR NOT EXISTS (SELECT 1 FROM grants q WHERE q.cluster_id = clusters.id \
                                                    AND (q.state_since > $2 OR q.leased_until > $1))) \
             RETURNING id, workspace_id, name";
        // Grants, links, acceptances, checks, trusts and the credential go with their cluster.
        const SQL: &str = "DELETE FROM clusters WHERE id = $1";
        const WAITING: &str = "SELECT (SELECT COUNT(*) FROM clusters WHERE removing IS NOT NULL) \
             + (SELECT COUNT(*) FROM workspaces WHERE removing IS NOT NULL)";
        // Asked every second and hardly ever true: look before becoming a writer.
        let (waiting,): (i64,) = read!(self, |db| sqlx::query_as(WAITING).fetch_one(db).await)?;
        if waiting == 0 {
            return Ok(0);
        }
        transact!(self, |tx| {
            let due: Vec<(String, String, String)> = on!(tx, |db| sqlx::query_as(DUE)
                .bind(now.millis())
                .bind(now.minus(quiet).millis())
                .fetch_all(db)
                .await)?;
            for (id, workspace, name) in &due {
                let cluster = parsed(id, "id of a cluster")?;
                let gone = record::cluster_going(tx, cluster, now).await?;
                on!(tx, |db| sqlx::query(SQL).bind(id).execute(db).await.map(drop))?;
                let about = About::Gone(cluster, parsed(workspace, "workspace of a cluster")?);
                AuditDraft::by_kubelend(Action::ClusterRemoved, name.clone()).append(tx, about, gone).await?;
            }
            workspaces::finish(tx, now).await?;
            Ok(u64::try_from(due.len()).unwrap_or(u64::MAX))
        })
    }
}
