//! Presets: one of a name at a level, and a cluster that takes one over while nothing stands against it.

use kubelend::{
    model::{
        audit::Action,
        claim_mapping::ClaimMapping,
        cluster::{Cluster, Removal},
        grant::{GrantState, Grantee, Origin},
        id::{PresetId, WorkspaceId},
        preset::PresetRules,
        project::Labels,
    },
    store::{Home, NewGrant, NewPreset, NewTakeover, StoreError},
};

use super::{
    bed::{Bed, NOW, draft, later, new_cluster, new_grant, provider},
    work,
};

both!(
    a_preset_has_a_name_of_its_own_at_its_level_and_goes_with_its_workspace,
    a_new_cluster_comes_with_its_labels_and_says_from_which_preset_it_is,
    immune_28_a_preset_is_taken_over_from_what_was_seen_and_by_itself_only_before_access_is_given,
);

fn corp() -> ClaimMapping {
    ClaimMapping { username_prefix: "corp:".into(), groups_prefix: "corp:".into(), ..ClaimMapping::default() }
}

fn rules(name: &str) -> PresetRules {
    PresetRules {
        name: name.parse().unwrap(),
        selector: "env=prod".parse().unwrap(),
        weight: "7".parse().unwrap(),
        provider: provider("dex"),
        mapping: corp(),
    }
}

async fn add(bed: &Bed, workspace: Option<WorkspaceId>, name: &str) -> Result<PresetId, StoreError> {
    let by = bed.person("alice").await.id;
    let new = NewPreset { id: PresetId::new(), workspace, rules: rules(name), created_by: by };
    bed.store.add_preset(&new, draft(Action::PresetAdded), NOW).await.map(|()| new.id)
}

fn taken(preset: PresetId, ungranted: bool) -> NewTakeover {
    NewTakeover {
        provider: provider("dex"),
        preset,
        name: "Production".into(),
        from: ClaimMapping::default(),
        to: corp(),
        ungranted,
    }
}

async fn take_over(bed: &Bed, cluster: &Cluster, taken: &NewTakeover) -> Result<(), StoreError> {
    bed.store.take_over(cluster.id, taken, draft(Action::ClusterTrustChanged), later(5)).await
}

async fn a_preset_has_a_name_of_its_own_at_its_level_and_goes_with_its_workspace(bed: Bed) {
    let cluster = bed.cluster().await;
    let own = add(&bed, Some(cluster.workspace), "Production").await.unwrap();
    let all = add(&bed, None, "production").await.unwrap();
    for workspace in [Some(cluster.workspace), None] {
        let again = add(&bed, workspace, "PRODUCTION").await;
        assert!(matches!(again.unwrap_err(), StoreError::Duplicate(_)));
    }
    let read = bed.store.preset(own).await.unwrap();
    assert_eq!((read.workspace, read.rules), (Some(cluster.workspace), rules("Production")));
    let ids = async |workspace| -> Vec<PresetId> {
        bed.store.presets_of(workspace).await.unwrap().iter().map(|preset| preset.id).collect()
    };
    assert_eq!((ids(Some(cluster.workspace)).await, ids(None).await), (vec![own], vec![all]));
    assert_eq!(bed.store.all_presets().await.unwrap().len(), 2);

    let other = add(&bed, None, "other").await.unwrap();
    let change = async |id, name: &str| {
        let rules = PresetRules { weight: "9".parse().unwrap(), ..rules(name) };
        bed.store.change_preset(id, &rules, draft(Action::PresetChanged), later(1)).await
    };
    assert!(matches!(change(other, "Production").await.unwrap_err(), StoreError::Duplicate(_)));
    change(other, "Other").await.unwrap();
    assert_eq!(bed.store.preset(other).await.unwrap().rules.weight.get(), 9);
    assert!(matches!(change(PresetId::new(), "x").await.unwrap_err(), StoreError::NotFound));
    for _ in 0..2 {
        bed.store.remove_preset(other, draft(Action::PresetRemoved), later(2)).await.unwrap();
    }
    assert_eq!(bed.events(Action::PresetRemoved).await, 1);
    assert!(matches!(bed.store.preset(other).await.unwrap_err(), StoreError::NotFound));

    for n in 0..49 {
        add(&bed, None, &format!("p{n}")).await.unwrap();
    }
    assert!(matches!(add(&bed, None, "one more").await.unwrap_err(), StoreError::Full(_)));
    bed.run("DELETE FROM clusters").await;
    bed.run(&format!("DELETE FROM workspaces WHERE id = '{}'", cluster.workspace)).await;
    assert!(ids(Some(cluster.workspace)).await.is_empty());
}

async fn a_new_cluster_comes_with_its_labels_and_says_from_which_preset_it_is(bed: Bed) {
    let owner = bed.person("owner").await;
    let preset = add(&bed, None, "Production").await.unwrap();
    let labels: Labels = "env=prod, team=shop".parse().unwrap();
    let mut new = new_cluster("staging");
    new.trusts = vec![(provider("dex"), corp())];
    let home = Home { workspace_name: "Home", labels: &labels, taken: &[taken(preset, false)] };
    let audit = draft(Action::ClusterAdded);
    let cluster = bed.store.add_labelled_cluster(&new, home, owner.id, audit, NOW).await.unwrap();
    assert_eq!((&cluster.labels, cluster.mapping(&provider("dex"))), (&labels, Some(&corp())));
    let takeovers = bed.store.takeovers_of(cluster.id).await.unwrap();
    assert_eq!((takeovers[0].preset, takeovers[0].name.as_str()), (preset, "Production"));
    assert_eq!((&takeovers[0].mapping, takeovers[0].at), (&corp(), NOW));
    assert_eq!(bed.store.takeovers_from(preset).await.unwrap(), [(cluster.id, takeovers[0].clone())]);
    // A preset that goes leaves what was taken over from it, by its name.
    bed.store.remove_preset(preset, draft(Action::PresetRemoved), later(1)).await.unwrap();
    assert_eq!(bed.store.takeovers_of(cluster.id).await.unwrap(), takeovers);
    bed.store.ask_removal(cluster.id, Removal::Leave, draft(Action::ClusterRemovalAsked), later(2)).await.unwrap();
    bed.store.finish_removals(later(60), std::time::Duration::ZERO).await.unwrap();
    assert_eq!(bed.number("SELECT COUNT(*) FROM preset_takeovers").await, 0);
}

async fn immune_28_a_preset_is_taken_over_from_what_was_seen_and_by_itself_only_before_access_is_given(bed: Bed) {
    let cluster = bed.cluster().await;
    let preset = add(&bed, None, "Production").await.unwrap();
    // What the owner got for adding it is no access that somebody was given.
    let owner = NewGrant { origin: Origin::Owner, ..new_grant(&cluster, Grantee::Person(cluster.created_by)) };
    let owner = bed.store.add_grant(&owner, draft(Action::GrantAdded), NOW).await.unwrap();
    work::settle(&bed, owner.id, true).await;
    let unseen = NewTakeover { from: corp(), ..taken(preset, true) };
    assert!(matches!(take_over(&bed, &cluster, &unseen).await.unwrap_err(), StoreError::Stale));
    let untrusted = NewTakeover { provider: provider("third"), ..taken(preset, true) };
    assert!(matches!(take_over(&bed, &cluster, &untrusted).await.unwrap_err(), StoreError::Stale));
    take_over(&bed, &cluster, &taken(preset, true)).await.unwrap();
    let now = bed.store.cluster(cluster.id).await.unwrap();
    assert_eq!(now.mapping(&provider("dex")), Some(&corp()));
    assert_eq!(now.mapping(&provider("other")), Some(&ClaimMapping::default()), "each provider by itself");
    assert_eq!(bed.look(&owner).await.state, GrantState::Pending, "its binding follows");
    assert_eq!(bed.store.takeovers_of(cluster.id).await.unwrap().len(), 1);

    // Once somebody was given access it takes a word.
    bed.grant(&cluster, Grantee::Group(provider("dex"), "devs".into())).await;
    let back = NewTakeover { from: corp(), to: ClaimMapping::default(), ..taken(preset, true) };
    assert!(matches!(take_over(&bed, &cluster, &back).await.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.events(Action::ClusterTrustChanged).await, 1);
    take_over(&bed, &cluster, &NewTakeover { ungranted: false, ..back }).await.unwrap();
    assert_eq!(bed.events(Action::ClusterTrustChanged).await, 2);
    bed.store.ask_removal(cluster.id, Removal::Purge, draft(Action::ClusterRemovalAsked), later(6)).await.unwrap();
    let gone = take_over(&bed, &cluster, &NewTakeover { ungranted: false, ..taken(preset, false) }).await;
    assert!(matches!(gone.unwrap_err(), StoreError::Stale));
}
