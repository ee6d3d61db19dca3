//! Adding a cluster, changing what is known of it, and removing it.

use std::sync::Arc;

use super::{AccessError, Applier, Probe, audit, credential, presets};
use crate::{
    clock::Clock,
    crypto::Keyring,
    kubeconfig::Parsed,
    model::{
        audit::Action,
        claim_mapping::ClaimMapping,
        cluster::{Cluster, Removal},
        device::Format,
        grant::{Grantee, Origin},
        id::{ClusterId, GrantId},
        name::{ClusterName, WorkspaceName},
        project::Labels,
        provider::ProviderId,
        role::Role,
        scope::Scope,
    },
    policy::{AddCluster, Authorized, Forbidden, ManageCluster, Person},
    store::{Home, NewCluster, NewGrant, NewTakeover, Store, StoreError},
};

/// A cluster to add.
#[derive(Debug)]
pub struct NewClusterRequest {
    /// Its name.
    pub name: ClusterName,
    /// The uploaded kubeconfig, parsed.
    pub kubeconfig: Parsed,
    /// The providers it trusts, with their default claim mappings.
    pub trusts: Vec<(ProviderId, ClaimMapping)>,
    /// Its labels, by which presets are found.
    pub labels: Labels,
}

/// Clusters.
#[derive(Clone, Debug)]
pub struct Clusters {
    store: Store,
    keyring: Arc<Keyring>,
    applier: Applier,
    probe: Probe,
    clock: Clock,
}

impl Clusters {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, applier: Applier, probe: Probe, clock: Clock) -> Self {
        Self { store, keyring, applier, probe, clock }
    }

    /// Adds it and begins to check it in the background. Its name clashing is `Invalid { field: "name" }`.
    pub async fn add(
        &self,
        permit: &Authorized<AddCluster>,
        mut request: NewClusterRequest,
    ) -> Result<Cluster, AccessError> {
        let person = permit.person();
        let workspace = match permit.workspace() {
            Some(workspace) => Some(workspace.id),
            None => self.store.own_workspace(person.identity()).await?,
        };
        if request.trusts.iter().any(|(provider, _)| !provider.counts_in(workspace)) {
            let message = "One of these is of another workspace’s own, and only clusters of that one trust it.".into();
            return Err(AccessError::Invalid { field: "trust", message });
        }
        let taken = presets::for_new(&self.store, workspace, &request.labels, &mut request.trusts).await?;
        if names_alike(&request.trusts) {
            return Err(alike("trust"));
        }
        let id = ClusterId::new();
        let owner_grant = owner_grant(person, id, &request.trusts);
        let first = owner_grant.as_ref().map(|g| g.id);
        let target = format!("{} at {}{}", request.name, request.kubeconfig.endpoint.server, from_presets(&taken));
        let labels = request.labels;
        let new = NewCluster {
            id,
            workspace: permit.workspace().map(|w| w.id),
            name: request.name,
            credential: credential::seal(&self.keyring, id, &request.kubeconfig.credential),
            endpoint: request.kubeconfig.endpoint,
            trusts: request.trusts,
            owner_grant,
        };
        let workspace = WorkspaceName::of_clusters_of(person.identity().display());
        let home = Home { workspace_name: workspace.as_str(), labels: &labels, taken: &taken };
        let event = audit::by(person, Action::ClusterAdded, target);
        let added = self.store.add_labelled_cluster(&new, home, person.identity().id, event, self.clock.now()).await;
        let cluster = added.map_err(name_taken)?;
        self.check_in_background(id, first);
        Ok(cluster)
    }

    /// Begins a connection check in the background.
    pub async fn check_again(&self, permit: &Authorized<ManageCluster>) -> Result<(), AccessError> {
        self.probe.begin(permit.cluster().id).await?;
        self.check_in_background(permit.cluster().id, None);
        Ok(())
    }

    /// Gives it another name.
    pub async fn rename(&self, permit: &Authorized<ManageCluster>, name: ClusterName) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        if cluster.name == name {
            return Ok(());
        }
        let event = audit::by(permit.person(), Action::ClusterRenamed, format!("{} to {name}", cluster.name));
        self.store.rename_cluster(cluster.id, &name, event, self.clock.now()).await.map_err(name_taken)
    }

    /// Replaces address and credential, and checks again.
    pub async fn replace_credentials(
        &self,
        permit: &Authorized<ManageCluster>,
        kubeconfig: Parsed,
    ) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        if cluster.removing == Some(Removal::Leave) {
            return Err(Forbidden::BeingRemoved.into());
        }
        // Visitors' tokens go to this address: who may not add a cluster may not point one elsewhere either.
        if kubeconfig.endpoint != cluster.endpoint && !permit.person().may_add_clusters() {
            return Err(Forbidden::AddsNoClusters.into());
        }
        let sealed = credential::seal(&self.keyring, cluster.id, &kubeconfig.credential);
        let target = format!("{} at {}", cluster.name, kubeconfig.endpoint.server);
        let event = audit::by(permit.person(), Action::ClusterCredentialsReplaced, target);
        self.store.replace_credential(cluster.id, &kubeconfig.endpoint, &sealed, event, self.clock.now()).await?;
        self.probe.begin(cluster.id).await?;
        self.check_in_background(cluster.id, None);
        Ok(())
    }

    /// Changes how it names a provider's people (`None`: it does not trust that provider).
    pub async fn set_trust(
        &self,
        permit: &Authorized<ManageCluster>,
        provider: &ProviderId,
        mapping: Option<ClaimMapping>,
    ) -> Result<(), AccessError> {
        if !provider.counts_in(Some(permit.cluster().workspace)) {
            let message = "It is of another workspace’s own, and only clusters of that one trust it.".into();
            return Err(AccessError::Invalid { field: "provider", message });
        }
        let newly_trusted = mapping.is_some() && permit.cluster().mapping(provider).is_none();
        // The tokens of a workspace's own provider open that workspace's clusters alone, whose owners say which of them they reach.
        if newly_trusted && provider.home().is_none() && !permit.person().may_add_clusters() {
            return Err(Forbidden::AddsNoClusters.into());
        }
        let others = permit.cluster().trusts.iter().filter(|(id, _)| id != provider).cloned();
        let all: Vec<_> = others.chain(mapping.clone().map(|m| (provider.clone(), m))).collect();
        if names_alike(&all) || self.reads_as_own(permit, provider, mapping.as_ref()).await? {
            return Err(alike("username_prefix"));
        }
        let target = match &mapping {
            Some(m) => format!("{provider}: {}", m.in_words()),
            None => format!("{provider}: not trusted"),
        };
        let event = audit::by(permit.person(), Action::ClusterTrustChanged, target);
        Ok(self.store.set_trust(permit.cluster().id, provider, mapping.as_ref(), event, self.clock.now()).await?)
    }

    /// Whether a configured provider's people would be named there like those of one of the workspace's own, trusted now or not.
    async fn reads_as_own(
        &self,
        permit: &Authorized<ManageCluster>,
        provider: &ProviderId,
        mapping: Option<&ClaimMapping>,
    ) -> Result<bool, AccessError> {
        let Some(mapping) = mapping.filter(|_| provider.home().is_none()) else { return Ok(false) };
        let own = self.store.own_providers_of(permit.cluster().workspace).await?;
        Ok(own
            .into_iter()
            .any(|own| names_alike(&[(provider.clone(), mapping.clone()), (own.id.clone(), own.mapping())])))
    }

    /// Offers these formats of kubeconfig alone. Files that people hold go on.
    pub async fn set_formats(&self, permit: &Authorized<ManageCluster>, formats: &[Format]) -> Result<(), AccessError> {
        if formats.is_empty() {
            let message = "Offer at least one, or nobody could use the cluster.".to_owned();
            return Err(AccessError::Invalid { field: "formats", message });
        }
        // All of them is no choice: what comes later is offered, too.
        let chosen = if Format::ALL.iter().all(|format| formats.contains(format)) { &[] } else { formats };
        let names: Vec<&str> = formats.iter().map(|format| format.as_str()).collect();
        let event = audit::by(permit.person(), Action::ClusterFormatsChanged, names.join(", "));
        Ok(self.store.set_formats(permit.cluster().id, chosen, event, self.clock.now()).await?)
    }

    /// Asks for its removal; it goes once its bindings are gone (or at once, if they are to stay).
    pub async fn remove(&self, permit: &Authorized<ManageCluster>, how: Removal) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        let what = match how {
            Removal::Purge => "with Kubelend's bindings",
            Removal::Leave => "leaving Kubelend's bindings on it",
        };
        let event = audit::by(permit.person(), Action::ClusterRemovalAsked, format!("{}, {what}", cluster.name));
        Ok(self.store.ask_removal(cluster.id, how, event, self.clock.now()).await?)
    }

    /// Should the process die before this is done, `reconcile` finds both wanting.
    fn check_in_background(&self, id: ClusterId, first: Option<GrantId>) {
        let (probe, applier) = (self.probe.clone(), self.applier.clone());
        tokio::spawn(async move {
            if let Err(error) = probe.check(id).await {
                tracing::warn!(cluster = %id, %error, "a connection check could not be kept");
            }
            if let Some(grant) = first
                && let Err(error) = applier.apply_now(grant).await
            {
                tracing::warn!(cluster = %id, %error, "the owner's grant could not be applied at once");
            }
        });
    }
}

/// From which presets, where from some: “, named by preset “Production””.
fn from_presets(taken: &[NewTakeover]) -> String {
    let names: Vec<String> = taken.iter().map(|taken| format!("“{}”", taken.name)).collect();
    if names.is_empty() { String::new() } else { format!(", people named by preset {}", names.join(" and ")) }
}

/// The owner is bound to `admin` once, when the cluster is added. Taking that away sticks, since it is a grant like any other.
fn owner_grant(person: &Person, cluster: ClusterId, trusts: &[(ProviderId, ClaimMapping)]) -> Option<NewGrant> {
    let identity = person.identity();
    let (_, mapping) = trusts.iter().find(|(provider, _)| *provider == identity.provider)?;
    mapping.username(identity).ok()?;
    Some(NewGrant {
        id: GrantId::new(),
        grantee: Grantee::Person(identity.id),
        role: Some(Role::Admin),
        scope: Scope::Cluster(cluster),
        expires_at: None,
        reason: None,
        origin: Origin::Owner,
        created_by: identity.id,
        vouch: None,
    })
}

/// Whether two providers would name their people or groups the same way: RBAC could not tell one's bob from the other's.
///
/// Whoever runs a workspace's own provider says what stands behind its prefix, so another's prefix that goes on with that is alike, too.
pub(super) fn names_alike(trusts: &[(ProviderId, ClaimMapping)]) -> bool {
    let alike = |a: &ClaimMapping, b: &ClaimMapping| {
        a.username_prefix == b.username_prefix || a.groups_prefix == b.groups_prefix
    };
    let pairs = trusts.iter().enumerate().flat_map(|(n, a)| trusts[n + 1..].iter().map(move |b| (a, b)));
    let within =
        |own: &(ProviderId, ClaimMapping), other: &ClaimMapping| own.0.home().is_some() && own.1.may_become(other);
    pairs.into_iter().any(|(a, b)| alike(&a.1, &b.1) || within(a, &b.1) || within(b, &a.1))
}

fn alike(field: &'static str) -> AccessError {
    let message = "Two of these providers put the same prefix before users or groups, so the cluster would take one's people for \
                   the other's. Give them different prefixes, there and here, or trust one of them."
        .into();
    AccessError::Invalid { field, message }
}

fn name_taken(error: StoreError) -> AccessError {
    match error {
        StoreError::Stale => Forbidden::WorkspaceGoing.into(),
        StoreError::Duplicate(_) => {
            AccessError::Invalid { field: "name", message: "There is a cluster of this name already.".into() }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_32_two_providers_that_name_people_or_groups_alike_are_not_trusted_together() {
        let trust = |id: &str, user: &str, group: &str| {
            let mapping =
                ClaimMapping { username_prefix: user.into(), groups_prefix: group.into(), ..ClaimMapping::default() };
            (id.parse::<ProviderId>().unwrap(), mapping)
        };
        assert!(!names_alike(&[trust("a", "", "oidc:")]));
        assert!(names_alike(&[trust("a", "", "oidc:"), trust("b", "", "b:")]));
        assert!(names_alike(&[trust("a", "a:", "oidc:"), trust("c", "c:", "c:"), trust("b", "b:", "oidc:")]));
        assert!(!names_alike(&[trust("a", "", "oidc:"), trust("b", "b:", "b:")]));
        // `eu:alice@…` at the workspace's own provider would be `corp:eu:alice@…`, and the group `eu:ops` likewise.
        let own = ProviderId::of_workspace(crate::model::id::WorkspaceId::new(), [1; 5]);
        let own = (own, trust("x", "corp:", "oidc:corp:").1);
        assert!(!names_alike(&[own.clone(), trust("a", "", "oidc:")]));
        for other in [trust("a", "corp:eu:", "oidc:"), trust("a", "", "oidc:corp:eu:")] {
            assert!(names_alike(&[own.clone(), other.clone()]) && names_alike(&[other, own.clone()]));
        }
    }
}
