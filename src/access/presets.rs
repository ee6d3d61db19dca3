//! Presets: saying what new clusters take over, and taking it over.
//!
//! A cluster takes over by itself only while that can take nothing away from anybody: when it is added, and when it is labelled or moved
//! before anybody was given access there, as long as nobody has set its mapping by hand. Later it takes its owner's word.

use super::{AccessError, audit, clusters::names_alike};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        claim_mapping::ClaimMapping,
        id::{PresetId, WorkspaceId},
        preset::{Preset, PresetRules, counting},
        project::Labels,
        provider::ProviderId,
    },
    oidc::Providers,
    policy::{Authorized, Forbidden, MakePreset, ManageCluster, ManagePreset},
    store::{NewPreset, NewTakeover, Store, StoreError},
};

/// Presets.
#[derive(Clone, Debug)]
pub struct Presets {
    store: Store,
    providers: Providers,
    clock: Clock,
}

impl Presets {
    /// With these parts.
    pub fn new(store: Store, providers: Providers, clock: Clock) -> Self {
        Self { store, providers, clock }
    }

    /// Makes one. `Invalid` names the form's field (`name`, `provider`).
    pub async fn add(&self, permit: &Authorized<MakePreset>, rules: PresetRules) -> Result<PresetId, AccessError> {
        self.check(&rules)?;
        let event = audit::by(permit.person(), Action::PresetAdded, words(&rules));
        let new = NewPreset {
            id: PresetId::new(),
            workspace: permit.workspace().map(|workspace| workspace.id),
            rules,
            created_by: permit.person().identity().id,
        };
        self.store.add_preset(&new, event, self.clock.now()).await.map_err(refused)?;
        Ok(new.id)
    }

    /// Lets it say something else. Clusters that took it over stay as they are.
    pub async fn change(&self, permit: &Authorized<ManagePreset>, rules: PresetRules) -> Result<(), AccessError> {
        let preset = permit.preset();
        if preset.rules == rules {
            return Ok(());
        }
        self.check(&rules)?;
        let event = audit::by(permit.person(), Action::PresetChanged, words(&rules));
        self.store.change_preset(preset.id, &rules, event, self.clock.now()).await.map_err(refused)
    }

    /// Removes it. Clusters that took it over stay as they are. Repeating it is fine.
    pub async fn remove(&self, permit: &Authorized<ManagePreset>) -> Result<(), AccessError> {
        let preset = permit.preset();
        let event = audit::by(permit.person(), Action::PresetRemoved, preset.rules.name.as_str());
        Ok(self.store.remove_preset(preset.id, event, self.clock.now()).await?)
    }

    /// A cluster takes over what its preset says now, whatever it had; bindings are rewritten. Repeating it is fine.
    ///
    /// # Errors
    /// `Invalid { field: "preset" }` with what stands in the way.
    pub async fn take_over(
        &self,
        permit: &Authorized<ManageCluster>,
        provider: &ProviderId,
        preset: PresetId,
    ) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        let has = cluster.mapping(provider).ok_or(AccessError::NotFound)?;
        let presets = self.store.all_presets().await?;
        let counts = counting(&presets, cluster.workspace, &cluster.labels, provider);
        let Some(counts) = counts.filter(|counts| counts.id == preset) else {
            return Err(wrong("Another preset counts for this cluster by now. Look at what it says."));
        };
        if renamed(&cluster.trusts, provider, &counts.rules.mapping) {
            return Err(alike());
        }
        match self.taken(permit, has, counts, false).await {
            Err(AccessError::Store(StoreError::Stale)) => {
                Err(wrong("Somebody has changed it meanwhile. Look at how people are named now."))
            }
            done => done,
        }
    }

    /// A cluster that was labelled or moved takes over what counts there now, as long as nobody was given access there and nobody has set
    /// its mapping by hand. What stands in the way of that is no error: its page says what it could take over.
    pub async fn follow(&self, permit: &Authorized<ManageCluster>) -> Result<(), AccessError> {
        let presets = self.store.all_presets().await?;
        if presets.is_empty() {
            return Ok(());
        }
        // As it is now: the permit was made before.
        let cluster = self.store.cluster(permit.cluster().id).await?;
        let takeovers = self.store.takeovers_of(cluster.id).await?;
        for (provider, has) in &cluster.trusts {
            let default = self.providers.get(provider).map(|provider| provider.settings().claim_mapping.clone());
            let taken = takeovers.iter().find(|taken| taken.provider == *provider).map(|taken| &taken.mapping);
            let untouched = Some(has) == default.as_ref() || Some(has) == taken;
            let counts = counting(&presets, cluster.workspace, &cluster.labels, provider);
            let Some(counts) = counts.filter(|counts| untouched && counts.rules.mapping != *has) else { continue };
            if renamed(&cluster.trusts, provider, &counts.rules.mapping) {
                continue;
            }
            match self.taken(permit, has, counts, true).await {
                Ok(()) | Err(AccessError::Store(StoreError::Stale)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn taken(
        &self,
        permit: &Authorized<ManageCluster>,
        has: &ClaimMapping,
        preset: &Preset,
        ungranted: bool,
    ) -> Result<(), AccessError> {
        let rules = &preset.rules;
        let taken = NewTakeover { from: has.clone(), ungranted, ..takeover(preset) };
        let target = format!("{}: {}, from preset “{}”", rules.provider, rules.mapping.in_words(), rules.name);
        let event = audit::by(permit.person(), Action::ClusterTrustChanged, target);
        Ok(self.store.take_over(permit.cluster().id, &taken, event, self.clock.now()).await?)
    }

    fn check(&self, rules: &PresetRules) -> Result<(), AccessError> {
        if rules.provider.home().is_some() {
            let message =
                "The people of a workspace’s own provider are named as its page says, on each cluster alike.".into();
            return Err(AccessError::Invalid { field: "provider", message });
        }
        if self.providers.get(&rules.provider).is_some() {
            return Ok(());
        }
        let message = "Choose one of the providers that people sign in at.".into();
        Err(AccessError::Invalid { field: "provider", message })
    }
}

/// What a new cluster takes over: how each of these providers' people are named there, and from which preset.
pub(super) async fn for_new(
    store: &Store,
    workspace: Option<WorkspaceId>,
    labels: &Labels,
    trusts: &mut [(ProviderId, ClaimMapping)],
) -> Result<Vec<NewTakeover>, StoreError> {
    let presets = store.all_presets().await?;
    // A workspace that is made with this cluster has no presets of its own.
    let workspace = workspace.unwrap_or_else(WorkspaceId::new);
    let mut taken = Vec::new();
    for (provider, mapping) in trusts {
        if let Some(preset) = counting(&presets, workspace, labels, provider) {
            mapping.clone_from(&preset.rules.mapping);
            taken.push(takeover(preset));
        }
    }
    Ok(taken)
}

fn takeover(preset: &Preset) -> NewTakeover {
    NewTakeover {
        provider: preset.rules.provider.clone(),
        preset: preset.id,
        name: preset.rules.name.to_string(),
        from: preset.rules.mapping.clone(),
        to: preset.rules.mapping.clone(),
        ungranted: false,
    }
}

/// Whether one provider's people would be named like another's with this.
fn renamed(trusts: &[(ProviderId, ClaimMapping)], provider: &ProviderId, mapping: &ClaimMapping) -> bool {
    let others = trusts.iter().filter(|(id, _)| id != provider).cloned();
    let all: Vec<_> = others.chain([(provider.clone(), mapping.clone())]).collect();
    names_alike(&all)
}

fn words(rules: &PresetRules) -> String {
    let on = if rules.selector.is_empty() { "every cluster".to_owned() } else { rules.selector.to_string() };
    format!("“{}” for {on}, weight {}: {}: {}", rules.name, rules.weight, rules.provider, rules.mapping.in_words())
}

fn refused(error: StoreError) -> AccessError {
    match error {
        StoreError::Duplicate(message) => AccessError::Invalid { field: "name", message: message.into() },
        StoreError::Full(most) => {
            AccessError::Invalid { field: "name", message: format!("There is no more room: {most} are the most.") }
        }
        StoreError::Stale => Forbidden::WorkspaceGoing.into(),
        other => other.into(),
    }
}

fn alike() -> AccessError {
    wrong(
        "With it this cluster would name one provider's people like another's that it trusts. Change the preset, or trust one of them.",
    )
}

fn wrong(message: &str) -> AccessError {
    AccessError::Invalid { field: "preset", message: message.to_owned() }
}
