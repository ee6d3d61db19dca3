//! Looking at a cluster with Kubelend's own credential, for pages: what else is bound there, which namespaces there are,
//! what a role allows. Bounded to 2 s, since a page waits for it.

use std::{sync::Arc, time::Duration};

use super::{AccessError, OwnClients};
use crate::{
    bindings,
    k8s::{ClusterClient, FoundBinding, K8sError, ResourceQuestion, RoleRules, Rule},
    model::{cluster::Cluster, id::GrantId, role::Role},
    policy::{Authorized, ManageAccess, ViewCluster},
};

const BOUND: Duration = Duration::from_secs(2);
/// What Kubernetes makes for itself bears it.
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// Looks at clusters.
#[derive(Clone, Debug)]
pub struct Observer {
    clients: OwnClients,
    instance: Arc<str>,
}

impl Observer {
    /// With these parts.
    pub fn new(clients: OwnClients, instance: Arc<str>) -> Self {
        Self { clients, instance }
    }

    /// Bindings on the cluster that this Kubelend did not make. Those that Kubernetes makes for itself (label
    /// `kubernetes.io/bootstrapping`, or a name that begins with `system:`) are left out.
    pub async fn foreign_bindings(&self, permit: &Authorized<ViewCluster>) -> Result<Vec<FoundBinding>, AccessError> {
        let cluster = permit.cluster();
        // Most of what stands on a cluster is Kubernetes' own: it need not come here first.
        let others = format!("!{BOOTSTRAPPING}");
        let all = bounded(async { Ok(self.client(cluster).await?.bindings(Some(&others)).await?) }).await?;
        Ok(all.into_iter().filter(|b| !kubernetes_own(b) && !self.made(b)).collect())
    }

    /// The cluster's namespaces, for the form's list.
    pub async fn namespaces(&self, permit: &Authorized<ManageAccess>) -> Result<Vec<String>, AccessError> {
        let cluster = permit.cluster();
        bounded(async { Ok(self.client(cluster).await?.namespaces().await?) }).await
    }

    /// The ClusterRoles that are marked as ones to give there, besides those that every cluster has, with their rules; by name.
    pub async fn assignable_roles(
        &self,
        permit: &Authorized<ManageAccess>,
    ) -> Result<Vec<(Role, Vec<Rule>)>, AccessError> {
        let cluster = permit.cluster();
        let all = bounded(async { Ok(self.client(cluster).await?.assignable_roles().await?) }).await?;
        // What bears the mark and a name of Kubernetes' own is not offered, whoever marked it.
        let named = all.into_iter().filter_map(|(name, rules)| Some((Role::named(&name).ok()?, rules)));
        Ok(named.filter(|(role, _)| role.is_named()).collect())
    }

    /// Whether a role can be given there: one that every cluster has, or a ClusterRole that is marked as one to give and that
    /// Kubelend may bind.
    ///
    /// # Errors
    /// `Invalid` at the field `role`, with what to do; or why the cluster could not be asked.
    pub(super) async fn check_role(&self, cluster: &Cluster, role: Option<&Role>) -> Result<(), AccessError> {
        let Some(role) = role.filter(|role| role.is_named()) else { return Ok(()) };
        let looked = bounded(async {
            let client = self.client(cluster).await?;
            match client.is_assignable(role.as_str()).await {
                Ok(true) => {}
                Ok(false) => return Ok(Some(not_marked(role))),
                Err(K8sError::NotFound) => return Ok(Some(format!("This cluster has no ClusterRole “{role}”."))),
                Err(error) => return Err(error.into()),
            }
            let may_bind = ResourceQuestion {
                verb: "bind",
                group: "rbac.authorization.k8s.io",
                resource: "clusterroles",
                namespace: None,
                name: Some(role.as_str().to_owned()),
            };
            if client.can_i(&may_bind).await? {
                return Ok(None);
            }
            Ok(Some(not_bindable(role, &client.who_am_i().await?.username)))
        });
        match looked.await? {
            None => Ok(()),
            Some(message) => Err(AccessError::Invalid { field: "role", message }),
        }
    }

    /// The rules of a ClusterRole as they stand there. `cluster` comes out of a permit: the accept page shows them too.
    pub async fn role_rules(&self, cluster: &Cluster, role: &Role) -> Result<RoleRules, AccessError> {
        bounded(async { Ok(self.client(cluster).await?.cluster_role_rules(role.as_str()).await?) }).await
    }

    async fn client(&self, cluster: &Cluster) -> Result<ClusterClient, AccessError> {
        self.clients.client(cluster.id, BOUND).await
    }

    /// Labels can be forged, so the name must fit the grant that the label claims as well.
    fn made(&self, found: &FoundBinding) -> bool {
        let label = |key: &str| found.labels.get(key).map(String::as_str);
        let named = label(bindings::GRANT_LABEL)
            .and_then(|id| id.parse::<GrantId>().ok())
            .is_some_and(|id| bindings::binding_name(id) == found.name);
        named && label(bindings::OWNER_LABEL) == Some(&*self.instance)
    }
}

fn not_marked(role: &Role) -> String {
    format!(
        "The ClusterRole “{role}” is not marked as one to give. An admin of the cluster marks it: kubectl label clusterrole \
         {role} kubelend.io/assignable=true"
    )
}

/// `role` and `me` hold nothing that a shell reads: the one by its type, the other is left out if it does.
fn not_bindable(role: &Role, me: &str) -> String {
    let plain = me.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b));
    let me = if plain { me } else { "USER" };
    format!(
        "Kubelend may not bind the ClusterRole “{role}” there yet. An admin of the cluster lets it: kubectl create clusterrole \
         kubelend-binds-{role} --verb=bind --resource=clusterroles.rbac.authorization.k8s.io --resource-name={role} && \
         kubectl create clusterrolebinding kubelend-binds-{role} --clusterrole=kubelend-binds-{role} --user={me}"
    )
}

fn kubernetes_own(found: &FoundBinding) -> bool {
    found.name.starts_with("system:") || found.labels.contains_key(BOOTSTRAPPING)
}

async fn bounded<T>(look: impl Future<Output = Result<T, AccessError>>) -> Result<T, AccessError> {
    tokio::time::timeout(BOUND, look).await.unwrap_or(Err(AccessError::Cluster(K8sError::TimedOut)))
}
