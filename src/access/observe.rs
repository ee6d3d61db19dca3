//! Looking at a cluster with Kubelend's own credential, for pages: what else is bound there, which namespaces there are,
//! what a role allows. Bounded to 2 s, since a page waits for it.

use std::{sync::Arc, time::Duration};

use super::{AccessError, OwnClients};
use crate::{
    bindings,
    k8s::{ClusterClient, FoundBinding, K8sError, StandingRole},
    model::{binding::Memory, cluster::Cluster, id::GrantId, name::Namespace, role::Role, scope::Scope},
    policy::{Authorized, ManageAccess, ViewCluster},
    store::{Store, StoreError},
};

const BOUND: Duration = Duration::from_secs(2);
/// What Kubernetes makes for itself bears it.
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// Looks at clusters.
#[derive(Clone, Debug)]
pub struct Observer {
    clients: OwnClients,
    store: Store,
    instance: Arc<str>,
}

impl Observer {
    /// With these parts.
    pub fn new(clients: OwnClients, store: Store, instance: Arc<str>) -> Self {
        Self { clients, store, instance }
    }

    /// Bindings on the cluster that this Kubelend did not make. Those that Kubernetes makes for itself (label
    /// `kubernetes.io/bootstrapping`, or a name that begins with `system:`) are left out.
    pub async fn foreign_bindings(&self, permit: &Authorized<ViewCluster>) -> Result<Vec<FoundBinding>, AccessError> {
        let cluster = permit.cluster();
        // Most of what stands on a cluster is Kubernetes' own: it need not come here first.
        let others = format!("!{BOOTSTRAPPING}");
        let all = bounded(async { Ok(self.client(cluster).await?.bindings(Some(&others)).await?) }).await?;
        let claimed: Vec<GrantId> = all.iter().filter_map(|b| bindings::grant_named(&b.name)).collect();
        let known = self.store.memories(cluster.id, &claimed).await?;
        let ours = |found: &FoundBinding| known.iter().any(|memory| self.is_of(found, memory));
        Ok(all.into_iter().filter(|b| !kubernetes_own(b) && !ours(b)).collect())
    }

    /// The cluster's namespaces, for the form's list.
    pub async fn namespaces(&self, permit: &Authorized<ManageAccess>) -> Result<Vec<String>, AccessError> {
        let cluster = permit.cluster();
        bounded(async { Ok(self.client(cluster).await?.namespaces().await?) }).await
    }

    /// The rules of a role as they stand there; of a Role in the first of these namespaces. `cluster` comes out of a permit: the
    /// accept page shows them too.
    pub async fn role_rules(&self, cluster: &Cluster, role: &Role, scope: &Scope) -> Result<StandingRole, AccessError> {
        let place = scope.namespaces().first().filter(|_| role.is_local()).map(Namespace::as_str);
        if let Some(written) = self.custom_role(cluster, role).await? {
            return Ok(written);
        }
        bounded(async {
            match self.client(cluster).await?.role(place, role.as_str()).await {
                Err(K8sError::NotFound) => Ok(super::roles::to_be_made(role, place).ok_or(K8sError::NotFound)?),
                found => Ok(found?),
            }
        })
        .await
    }

    /// A custom role as it is written, where it can be given on this cluster.
    pub(super) async fn custom_role(
        &self,
        cluster: &Cluster,
        role: &Role,
    ) -> Result<Option<StandingRole>, AccessError> {
        let written = self.store.custom_role_of(role, Some(cluster.workspace)).await?;
        Ok(written.as_ref().map(super::roles::as_written))
    }

    /// Those that can be given on this cluster, as they are written.
    pub(super) async fn custom_roles(&self, cluster: &Cluster) -> Result<Vec<(Role, StandingRole)>, AccessError> {
        let all = self.store.custom_roles_usable_in(Some(cluster.workspace)).await?;
        Ok(all.into_iter().map(|role| (role.role.clone(), super::roles::as_written(&role))).collect())
    }

    pub(super) async fn client(&self, cluster: &Cluster) -> Result<ClusterClient, AccessError> {
        self.clients.client(cluster.id, BOUND).await
    }

    /// The grant that this Kubelend made it for, if it did.
    pub(super) async fn made_for(&self, found: &FoundBinding) -> Result<Option<GrantId>, AccessError> {
        let Some(named) = bindings::grant_named(&found.name) else { return Ok(None) };
        match self.store.memory(named).await {
            Ok(memory) => Ok(self.is_of(found, &memory).then_some(named)),
            Err(StoreError::NotFound) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Names and labels can be forged: what decides is the UID, or the mark of one that is just being made.
    fn is_of(&self, found: &FoundBinding, memory: &Memory) -> bool {
        bindings::grant_named(&found.name) == Some(memory.grant) && bindings::is_ours(found, memory, &self.instance)
    }
}

/// Whether Kubernetes makes it for itself.
pub(super) fn kubernetes_own(found: &FoundBinding) -> bool {
    found.name.starts_with("system:") || found.labels.contains_key(BOOTSTRAPPING)
}

pub(super) async fn bounded<T>(look: impl Future<Output = Result<T, AccessError>>) -> Result<T, AccessError> {
    tokio::time::timeout(BOUND, look).await.unwrap_or(Err(AccessError::Cluster(K8sError::TimedOut)))
}
