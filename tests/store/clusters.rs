//! Clusters: adding, changing, checking, removing.

use std::time::Duration;

use kubelend::{
    model::{
        audit::{Action, Actor},
        claim_mapping::{ClaimMapping, UsernameClaim},
        client_trial::ClientTrial,
        cluster::{CheckStep, ConnectionCheck, CredentialKind, Endpoint, Removal, StepOutcome},
        diagnosis::{Cause, Certainty, Finding},
        grant::{EndReason, GrantState, Grantee, Origin},
        id::{CheckId, ClusterId, IdentityId, WorkspaceId},
        project::Labels,
        time::Timestamp,
        trial::Trial,
        workspace::MemberRole,
    },
    store::{Accepted, ClusterEntry, HeldCredential, Outcome, SealedCredential, StoreError, StoredCredential},
};

use super::{
    bed::{Bed, MINUTE, NOW, draft, grant_of_link, later, new_cluster, new_grant, new_link, provider},
    work,
};

both!(
    the_first_cluster_makes_the_workspace_and_the_next_ones_join_it,
    two_first_clusters_at_once_make_one_workspace,
    a_cluster_comes_back_as_it_was_added,
    a_name_is_taken_whatever_its_case,
    people_see_the_clusters_of_their_workspaces_by_name,
    a_changed_trust_makes_that_providers_grants_pending,
    a_new_credential_makes_all_grants_due_at_once,
    a_credential_is_exchanged_only_while_it_is_the_one_that_was_read,
    a_purged_cluster_goes_once_its_bindings_are_gone_and_nobody_is_at_them,
    a_purged_cluster_that_nobody_had_access_to_goes_at_once,
    immune_20_an_attempt_that_ends_after_a_purge_is_undone_before_the_cluster_goes,
    a_cluster_whose_bindings_stay_goes_at_once,
    a_purge_that_gets_nowhere_can_be_given_up,
    nothing_new_is_given_on_a_cluster_that_is_being_removed,
    twenty_grants_and_a_removal_at_once_leave_no_live_grant,
    nothing_of_a_removed_cluster_stays_but_its_trail,
    a_check_is_kept_until_another_begins,
    the_last_trial_of_each_provider_is_kept,
    the_last_trial_of_each_client_is_kept,
    clusters_that_want_checking_are_named,
);

async fn the_first_cluster_makes_the_workspace_and_the_next_ones_join_it(bed: Bed) {
    let alice = bed.person("alice").await;
    let (first, second) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    assert_eq!(first.workspace, second.workspace);
    let workspace = bed.store.workspace(first.workspace).await.unwrap();
    assert_eq!((workspace.name.as_str(), workspace.created_at), ("Home", NOW));
    assert_eq!(bed.store.membership(workspace.id, &alice).await.unwrap(), Some(MemberRole::Owner));
    let bob = bed.person("bob").await;
    assert_eq!(bed.store.membership(workspace.id, &bob).await.unwrap(), None);
    assert_ne!(bed.cluster_of(&bob, "one").await.workspace, workspace.id);
}

async fn two_first_clusters_at_once_make_one_workspace(bed: Bed) {
    let alice = bed.person("alice").await;
    let added = futures_util::future::join_all((0..8).map(|n| {
        let store = bed.store.clone();
        tokio::spawn(async move {
            let new = new_cluster(&format!("c{n}"));
            store.add_cluster(&new, "Home", alice.id, draft(Action::ClusterAdded), NOW).await.unwrap().workspace
        })
    }))
    .await;
    let workspaces: std::collections::HashSet<_> = added.into_iter().map(Result::unwrap).collect();
    assert_eq!(workspaces.len(), 1);
    assert_eq!(bed.number("SELECT COUNT(*) FROM workspaces").await, 1);
}

async fn a_cluster_comes_back_as_it_was_added(bed: Bed) {
    let alice = bed.person("alice").await;
    let mut new = new_cluster("Staging");
    new.trusts[0].1 = ClaimMapping {
        username_claim: UsernameClaim::Sub,
        username_prefix: "other:".into(),
        groups_claim: "roles".into(),
        groups_prefix: String::new(),
    };
    let owner = Grantee::Person(alice.id);
    let mut grant = new_grant(&bed.cluster_of(&alice, "first").await, owner);
    grant.scope = kubelend::model::scope::Scope::Cluster(new.id);
    grant.origin = Origin::Owner;
    new.owner_grant = Some(grant.clone());
    let added = bed.store.add_cluster(&new, "Home", alice.id, draft(Action::ClusterAdded), NOW).await.unwrap();
    assert_eq!(added, bed.store.cluster(new.id).await.unwrap());
    assert_eq!((added.name.as_str(), &added.endpoint, added.removing), ("Staging", &new.endpoint, None));
    assert_eq!(added.mapping(&provider("other")), Some(&new.trusts[0].1));
    assert_eq!(added.trusts[0].0, provider("dex"), "sorted");
    assert_eq!(bed.store.stored_credential(new.id).await.unwrap().sealed, new.credential.sealed);
    let held = HeldCredential { kind: Some(CredentialKind::Token), since: NOW };
    assert_eq!(bed.store.held_credential(new.id).await.unwrap(), held);
    let (held, person) = bed.store.grant(grant.id).await.unwrap();
    assert_eq!((held.state, held.origin, person.unwrap().id), (GrantState::Pending, Origin::Owner, alice.id));
    assert_eq!(bed.store.claim_due_grants(NOW, MINUTE, 5).await.unwrap()[0].id, grant.id);
    let unknown = bed.store.cluster(ClusterId::new()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound));
}

async fn a_name_is_taken_whatever_its_case(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "Staging").await;
    let new = new_cluster("sTAGING");
    let clash = bed.store.add_cluster(&new, "Home", alice.id, draft(Action::ClusterAdded), NOW).await.unwrap_err();
    assert!(matches!(clash, StoreError::Duplicate(_)));
    assert!(matches!(bed.store.stored_credential(new.id).await.unwrap_err(), StoreError::NotFound));
    let two = bed.cluster_of(&alice, "two").await;
    let rename = |id, name: &str| {
        let name = name.parse().unwrap();
        let store = bed.store.clone();
        async move { store.rename_cluster(id, &name, draft(Action::ClusterRenamed), NOW).await }
    };
    assert!(matches!(rename(two.id, "STAGING").await.unwrap_err(), StoreError::Duplicate(_)));
    rename(one.id, "staging").await.unwrap();
    assert_eq!(bed.store.cluster(one.id).await.unwrap().name.as_str(), "staging");
    assert!(matches!(rename(ClusterId::new(), "x").await.unwrap_err(), StoreError::NotFound));
    assert_eq!(bed.events(Action::ClusterRenamed).await, 1);
    assert_eq!(bed.events(Action::ClusterAdded).await, 2);
}

async fn people_see_the_clusters_of_their_workspaces_by_name(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    for name in ["b", "C", "a"] {
        bed.cluster_of(&alice, name).await;
    }
    let bobs = bed.cluster_of(&bob, "bobs").await;
    let names = |clusters: Vec<kubelend::model::cluster::Cluster>| {
        clusters.iter().map(|c| c.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    let alices = bed.store.clusters_of(&alice, false).await.unwrap();
    let mut ids: Vec<ClusterId> = alices.iter().map(|c| c.id).collect();
    assert!(alices.iter().all(|c| c.trusts.len() == 2));
    assert_eq!(names(alices), "a b C");
    assert_eq!(names(bed.store.clusters_of(&bob, true).await.unwrap()), "a b bobs C");
    let entries = |entries: Vec<ClusterEntry>| -> Vec<(ClusterId, String)> {
        entries
            .into_iter()
            .map(|c| (c.id, format!("{} {} {}", c.name, c.labels, c.workspace == bobs.workspace)))
            .collect()
    };
    let listed = entries(bed.store.cluster_entries_of(&alice, false).await.unwrap());
    assert_eq!(listed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids, "in the same order");
    let labels: Labels = "env=prod,tier=1".parse().unwrap();
    bed.store.set_labels(bobs.id, &labels, draft(Action::ClusterLabelled), NOW).await.unwrap();
    let all = entries(bed.store.cluster_entries_of(&bob, true).await.unwrap());
    assert_eq!(
        all.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>(),
        ["a  false", "b  false", "bobs env=prod, tier=1 true", "C  false"]
    );
    let workspaces = [vec![bobs.workspace], vec![WorkspaceId::new(); 40]].concat();
    assert_eq!(entries(bed.store.cluster_entries_in(&workspaces).await.unwrap()), [all[2].clone()]);
    assert_eq!(bed.store.cluster_entries_in(&[]).await.unwrap(), []);
    ids.extend([bobs.id, ClusterId::new()]);
    ids.extend(std::iter::repeat_n(bobs.id, 40));
    let several = bed.store.clusters(&ids).await.unwrap();
    assert!(several.iter().all(|c| c.trusts.len() == 2), "{several:?}");
    assert_eq!(names(several), "a b bobs C");
}

async fn a_changed_trust_makes_that_providers_grants_pending(bed: Bed) {
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    let person = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    let group = bed.grant(&cluster, Grantee::Group(provider("dex"), "devs".into())).await;
    let foreign = bed.grant(&cluster, Grantee::Group(provider("other"), "devs".into())).await;
    for grant in [&person, &group, &foreign] {
        work::settle(&bed, grant.id, true).await;
    }
    let mapping = ClaimMapping { groups_prefix: "x:".into(), ..ClaimMapping::default() };
    let audit = draft(Action::ClusterTrustChanged);
    bed.store.set_trust(cluster.id, &provider("dex"), Some(&mapping), audit.clone(), later(1)).await.unwrap();
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().mapping(&provider("dex")), Some(&mapping));
    assert_eq!(bed.look(&person).await.state, GrantState::Pending);
    assert_eq!(bed.look(&group).await.state, GrantState::Pending);
    assert_eq!(bed.look(&foreign).await.state, GrantState::Applied);
    assert_eq!(bed.store.claim_due_grants(later(1), MINUTE, 5).await.unwrap().len(), 2);

    bed.store.set_trust(cluster.id, &provider("other"), None, audit.clone(), later(2)).await.unwrap();
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().trusts.len(), 1);
    assert_eq!(bed.look(&foreign).await.state, GrantState::Pending);
    let unknown = bed.store.set_trust(ClusterId::new(), &provider("dex"), None, audit, NOW).await;
    assert!(matches!(unknown.unwrap_err(), StoreError::NotFound));
}

async fn a_new_credential_makes_all_grants_due_at_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let waiting = bed.grant(&cluster, Grantee::Group(provider("dex"), "a".into())).await;
    let applied = bed.grant(&cluster, Grantee::Group(provider("dex"), "b".into())).await;
    work::settle(&bed, applied.id, true).await;
    let due = bed.store.claim_grant(waiting.id, NOW, MINUTE).await.unwrap();
    let endpoint =
        Endpoint { server: "https://new.example.com/".parse().unwrap(), ca_pem: None, tls_server_name: None };
    let audit = draft(Action::ClusterCredentialsReplaced);
    let new = SealedCredential { kind: CredentialKind::ClientCertificate, sealed: b"new".to_vec() };
    bed.store.replace_credential(cluster.id, &endpoint, &new, audit, later(1)).await.unwrap();
    let held = HeldCredential { kind: Some(new.kind), since: later(1) };
    assert_eq!(bed.store.held_credential(cluster.id).await.unwrap(), held);
    // As a Kubelend of the version before stores one.
    bed.run("UPDATE cluster_credentials SET kind = NULL, held_since = NULL").await;
    let unknown = HeldCredential { kind: None, since: NOW };
    assert_eq!(bed.store.held_credential(cluster.id).await.unwrap(), unknown);
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().endpoint, endpoint);
    let stored = bed.store.stored_credential(cluster.id).await.unwrap();
    assert_eq!((stored.sealed.as_slice(), stored.endpoint), (b"new".as_slice(), endpoint));
    // An attempt with the old one that ends now does not put it off.
    let late = work::failed(Some(later(100)));
    assert!(!bed.store.settle_grant(&due, true, &late, None, later(1)).await.unwrap());
    let claimed = bed.store.claim_due_grants(later(1), MINUTE, 5).await.unwrap();
    let mut ids: Vec<_> = claimed.iter().map(|d| d.id).collect();
    ids.sort();
    // The one that stood too: nobody knows whether it stands at the new address.
    assert_eq!(ids, [waiting.id, applied.id]);
}

async fn a_credential_is_exchanged_only_while_it_is_the_one_that_was_read(bed: Bed) {
    let cluster = bed.cluster().await;
    let exchange = async |held: &StoredCredential, sealed: &[u8]| {
        let new = SealedCredential { kind: CredentialKind::Token, sealed: sealed.to_vec() };
        let audit = draft(Action::ClusterCredentialsExchanged);
        bed.store.exchange_credential(cluster.id, held, &new, audit, later(1)).await
    };
    let held = bed.store.stored_credential(cluster.id).await.unwrap();
    exchange(&held, b"least").await.unwrap();
    let least = bed.store.stored_credential(cluster.id).await.unwrap();
    assert_eq!((least.sealed.as_slice(), &least.endpoint), (b"least".as_slice(), &held.endpoint));
    assert!(matches!(exchange(&held, b"late").await.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.store.stored_credential(cluster.id).await.unwrap(), least);
    // The same at another address is another one, too.
    let elsewhere = Endpoint { server: "https://new.example.com/".parse().unwrap(), ..held.endpoint };
    let same = SealedCredential { kind: CredentialKind::Token, sealed: least.sealed.clone() };
    let audit = draft(Action::ClusterCredentialsReplaced);
    bed.store.replace_credential(cluster.id, &elsewhere, &same, audit, later(2)).await.unwrap();
    assert!(matches!(exchange(&least, b"late").await.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.events(Action::ClusterCredentialsExchanged).await, 1);
}

async fn remove(bed: &Bed, id: ClusterId, how: Removal) {
    bed.store.ask_removal(id, how, draft(Action::ClusterRemovalAsked), later(1)).await.unwrap();
}

/// How long a purged cluster must have been quiet.
const QUIET: Duration = Duration::from_secs(10);

async fn finish(bed: &Bed, now: Timestamp) -> u64 {
    bed.store.finish_removals(now, QUIET).await.unwrap()
}

async fn a_purged_cluster_goes_once_its_bindings_are_gone_and_nobody_is_at_them(bed: Bed) {
    let cluster = bed.cluster().await;
    let group = bed.grant(&cluster, Grantee::Group(provider("dex"), "a".into())).await;
    let link = bed.link(&cluster).await;
    work::settle(&bed, group.id, true).await;
    remove(&bed, cluster.id, Removal::Purge).await;
    remove(&bed, cluster.id, Removal::Purge).await;
    assert_eq!(bed.events(Action::ClusterRemovalAsked).await, 1);
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().removing, Some(Removal::Purge));
    assert_eq!(bed.store.link(link.id).await.unwrap().revoked_at, Some(later(1)));
    let ended = bed.look(&group).await;
    assert_eq!((ended.state, ended.ended), (GrantState::Removing, Some(EndReason::ClusterRemoved)));
    assert_eq!(finish(&bed, later(60)).await, 0, "a binding stands");
    let owner = bed.store.identity(cluster.created_by).await.unwrap();
    let again = new_cluster("STAGING");
    let taken = bed.store.add_cluster(&again, "Home", owner.id, draft(Action::ClusterAdded), NOW).await;
    assert!(matches!(taken.unwrap_err(), StoreError::Duplicate(_)), "the name is kept until it is gone");

    let due = bed.store.claim_grant(group.id, later(2), MINUTE).await.unwrap();
    assert!(bed.store.settle_grant(&due, false, &work::done(false), None, later(3)).await.unwrap());
    assert_eq!(finish(&bed, later(12)).await, 0, "an attempt from before may be under way");
    bed.store.claim_grant(group.id, later(4), MINUTE).await.unwrap();
    assert_eq!(finish(&bed, later(63)).await, 0, "somebody is at it");
    assert_eq!(finish(&bed, later(64)).await, 1);
    assert_eq!(finish(&bed, later(64)).await, 0);
    assert!(matches!(bed.store.cluster(cluster.id).await.unwrap_err(), StoreError::NotFound));
    bed.store.add_cluster(&again, "Home", owner.id, draft(Action::ClusterAdded), NOW).await.unwrap();
}

async fn a_purged_cluster_that_nobody_had_access_to_goes_at_once(bed: Bed) {
    let cluster = bed.cluster().await;
    remove(&bed, cluster.id, Removal::Purge).await;
    assert_eq!(finish(&bed, later(1)).await, 1);
}

async fn immune_20_an_attempt_that_ends_after_a_purge_is_undone_before_the_cluster_goes(bed: Bed) {
    let cluster = bed.cluster().await;
    let group = bed.grant(&cluster, Grantee::Group(provider("dex"), "a".into())).await;
    let slow = bed.store.claim_grant(group.id, NOW, MINUTE).await.unwrap();
    remove(&bed, cluster.id, Removal::Purge).await;
    work::settle(&bed, group.id, false).await;
    assert_eq!(finish(&bed, later(3)).await, 0);
    // It posted its binding after the others had looked.
    assert!(!bed.store.settle_grant(&slow, true, &work::done(true), None, later(3)).await.unwrap());
    assert_eq!(bed.look(&group).await.state, GrantState::Removing);
    assert_eq!(finish(&bed, later(60)).await, 0);
    let due = bed.store.claim_due_grants(later(60), MINUTE, 5).await.unwrap();
    assert_eq!(due.iter().map(|d| d.id).collect::<Vec<_>>(), [group.id]);
    assert!(bed.store.settle_grant(&due[0], false, &work::done(false), None, later(61)).await.unwrap());
    assert_eq!(finish(&bed, later(71)).await, 1);
}

async fn a_cluster_whose_bindings_stay_goes_at_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let group = bed.grant(&cluster, Grantee::Group(provider("dex"), "a".into())).await;
    let due = bed.store.claim_grant(group.id, NOW, MINUTE).await.unwrap();
    remove(&bed, cluster.id, Removal::Leave).await;
    remove(&bed, cluster.id, Removal::Purge).await;
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().removing, Some(Removal::Leave));
    // An attempt that was under way does not bring it back.
    assert!(!bed.store.settle_grant(&due, true, &work::done(true), None, later(1)).await.unwrap());
    assert_eq!(bed.look(&group).await.state, GrantState::Removed);
    assert!(bed.store.claim_due_grants(later(100), MINUTE, 5).await.unwrap().is_empty());
    assert_eq!(finish(&bed, later(2)).await, 1);
}

async fn a_purge_that_gets_nowhere_can_be_given_up(bed: Bed) {
    let cluster = bed.cluster().await;
    let ended = bed.grant(&cluster, Grantee::Group(provider("dex"), "a".into())).await;
    bed.store.end_grant(ended.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    remove(&bed, cluster.id, Removal::Purge).await;
    assert_eq!(finish(&bed, later(2)).await, 0);
    let due = bed.store.claim_grant(ended.id, later(2), MINUTE).await.unwrap();
    remove(&bed, cluster.id, Removal::Leave).await;
    assert_eq!(bed.look(&ended).await.ended, Some(EndReason::Revoked));
    // An attempt that was under way meanwhile, and got nowhere, keeps nobody here.
    let state = GrantState::Removing;
    let nowhere = Outcome { state, detail: Some("Waiting for the cluster.".into()), retry_at: Some(later(4)) };
    assert!(!bed.store.settle_grant(&due, false, &nowhere, None, later(3)).await.unwrap());
    assert_eq!(bed.look(&ended).await.state, GrantState::Removed);
    assert_eq!(finish(&bed, later(2)).await, 1);
    assert_eq!(bed.events(Action::ClusterRemovalAsked).await, 2);
}

async fn nothing_new_is_given_on_a_cluster_that_is_being_removed(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    bed.grant(&cluster, Grantee::Group(provider("dex"), "a".into())).await;
    remove(&bed, cluster.id, Removal::Purge).await;
    let grant = new_grant(&cluster, Grantee::Person(bob.id));
    let refused = bed.store.add_grant(&grant, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(refused.unwrap_err(), StoreError::Stale));
    let refused = bed.store.add_link(&new_link(&cluster), draft(Action::LinkCreated), NOW).await;
    assert!(matches!(refused.unwrap_err(), StoreError::Stale));
    let grant = grant_of_link(&link, bob.id, NOW);
    let audit = draft(Action::LinkAccepted);
    let accepted = bed.store.accept_link(link.id, &bob, &grant, audit, NOW).await.unwrap();
    assert!(matches!(accepted, Accepted::Closed), "{accepted:?}");
}

async fn twenty_grants_and_a_removal_at_once_leave_no_live_grant(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let mut people = Vec::new();
    for n in 0..10 {
        people.push(bed.person(&format!("p{n}")).await);
    }
    let giving = people.iter().enumerate().map(|(n, who)| {
        let (store, cluster, link, who) = (bed.store.clone(), cluster.clone(), link.clone(), who.clone());
        tokio::spawn(async move {
            let group = Grantee::Group(provider("dex"), format!("g{n}"));
            drop(store.add_grant(&new_grant(&cluster, group), draft(Action::GrantAdded), NOW).await);
            let grant = grant_of_link(&link, who.id, NOW);
            drop(store.accept_link(link.id, &who, &grant, draft(Action::LinkAccepted), NOW).await);
        })
    });
    let giving: Vec<_> = giving.collect();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    remove(&bed, cluster.id, Removal::Purge).await;
    for given in giving {
        given.await.unwrap();
    }
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants WHERE ended IS NULL").await, 0);
}

async fn nothing_of_a_removed_cluster_stays_but_its_trail(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let grant = grant_of_link(&link, bob.id, NOW);
    bed.store.accept_link(link.id, &bob, &grant, draft(Action::LinkAccepted), NOW).await.unwrap();
    let check = ConnectionCheck { started_at: NOW, finished_at: None, steps: vec![], version: None };
    bed.store.begin_check(cluster.id, CheckId::new(), &check).await.unwrap();
    remove(&bed, cluster.id, Removal::Leave).await;
    assert_eq!(finish(&bed, later(9)).await, 1);
    for table in [
        "clusters",
        "cluster_credentials",
        "cluster_trusts",
        "cluster_checks",
        "cluster_trials",
        "grants",
        "share_links",
    ] {
        assert_eq!(bed.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    assert_eq!(bed.number("SELECT COUNT(*) FROM link_acceptances").await, 0);
    let trail = bed.store.audit_of_cluster(cluster.id, None, 10).await.unwrap();
    let actions: Vec<Action> = trail.iter().map(|e| e.action).collect();
    assert_eq!(
        actions,
        [
            Action::ClusterRemoved,
            Action::ClusterRemovalAsked,
            Action::LinkAccepted,
            Action::LinkCreated,
            Action::ClusterAdded
        ]
    );
    assert_eq!((trail[0].actor, trail[0].target.as_str(), trail[0].at), (Actor::Kubelend, "staging", later(9)));
    assert!(trail.iter().all(|e| e.workspace == Some(cluster.workspace)));
    let older = bed.store.audit_of_cluster(cluster.id, Some(trail[2].id), 1).await.unwrap();
    assert_eq!(older, trail[3..4]);
}

fn check(started: u64, finished: Option<u64>) -> ConnectionCheck {
    ConnectionCheck { started_at: later(started), finished_at: finished.map(later), steps: vec![], version: None }
}

async fn a_check_is_kept_until_another_begins(bed: Bed) {
    let cluster = bed.cluster().await;
    let (first, second) = (CheckId::new(), CheckId::new());
    bed.store.begin_check(cluster.id, first, &check(1, None)).await.unwrap();
    let mut seen = check(1, Some(2));
    seen.version = Some("v1.36.3".into());
    let step = CheckStep {
        title: "Address reached".into(),
        outcome: StepOutcome::Passed,
        detail: "nul \0, “quotes” and \\".into(),
        remedy: None,
        millis: 3,
    };
    seen.steps = vec![step];
    bed.store.keep_check(cluster.id, first, &seen).await.unwrap();
    let kept = bed.store.checks(&[cluster.id, ClusterId::new()]).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].0, kept[0].1.id, &kept[0].1.check), (cluster.id, first, &seen));
    bed.store.begin_check(cluster.id, second, &check(5, None)).await.unwrap();
    bed.store.keep_check(cluster.id, first, &seen).await.unwrap();
    let kept = bed.store.checks(&[cluster.id]).await.unwrap();
    assert_eq!((kept[0].1.id, &kept[0].1.check), (second, &check(5, None)));
    let gone = bed.store.begin_check(ClusterId::new(), first, &seen).await;
    assert!(matches!(gone.unwrap_err(), StoreError::NotFound));
}

async fn the_last_trial_of_each_provider_is_kept(bed: Bed) {
    let cluster = bed.cluster().await;
    let trial = |provider: &str, at: u64, cause: Cause| Trial {
        provider: provider.parse().unwrap(),
        by: "alice\0".into(),
        at: later(at),
        username: None,
        groups: vec!["oidc:devs".into()],
        findings: vec![Finding { cause, certainty: Certainty::Possible, trouble: true }],
    };
    let (first, second) = (trial("dex", 1, Cause::Claims), trial("dex", 2, Cause::NoEmail));
    let other = trial("corp", 3, Cause::Silent);
    for trial in [&first, &second, &other] {
        bed.store.keep_trial(cluster.id, trial).await.unwrap();
    }
    let kept = bed.store.trials(&[cluster.id, ClusterId::new()]).await.unwrap();
    assert_eq!(kept, [(cluster.id, other.clone()), (cluster.id, second)]);
    // What another version wrote counts as not made.
    bed.run("UPDATE cluster_trials SET trial = '{\"new\":1}' WHERE provider = 'dex'").await;
    assert_eq!(bed.store.trials(&[cluster.id]).await.unwrap(), [(cluster.id, other)]);
    let gone = bed.store.keep_trial(ClusterId::new(), &first).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

async fn the_last_trial_of_each_client_is_kept(bed: Bed) {
    let cluster = bed.cluster().await;
    let why = Finding { cause: Cause::IssuerUnknown { counted: true }, certainty: Certainty::Certain, trouble: true };
    let trial = |client: &str, at: u64, refused: Option<Vec<Finding>>| ClientTrial {
        provider: "dex".parse().unwrap(),
        client: client.into(),
        by: IdentityId::new(),
        at: later(at),
        refused,
    };
    let (first, second) = (trial("kubelend", 1, None), trial("kubelend", 2, Some(vec![why])));
    let other = trial("direct", 3, None);
    for trial in [&first, &second, &other] {
        bed.store.keep_client_trial(cluster.id, trial).await.unwrap();
    }
    assert_eq!(bed.store.client_trials(cluster.id).await.unwrap(), [other.clone(), second]);
    // What another version wrote counts as not made.
    bed.run("UPDATE client_trials SET refused = '{\"new\":1}' WHERE client = 'kubelend'").await;
    assert_eq!(bed.store.client_trials(cluster.id).await.unwrap(), [other]);
    let gone = bed.store.keep_client_trial(ClusterId::new(), &first).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    assert!(bed.store.client_trials(ClusterId::new()).await.unwrap().is_empty());
}

async fn clusters_that_want_checking_are_named(bed: Bed) {
    let alice = bed.person("alice").await;
    let mut ids = Vec::new();
    for (n, last) in
        [None, Some(check(10, None)), Some(check(90, None)), Some(check(5, Some(20))), Some(check(80, Some(90)))]
            .into_iter()
            .enumerate()
    {
        let cluster = bed.cluster_of(&alice, &format!("c{n}")).await;
        if let Some(last) = last {
            bed.store.begin_check(cluster.id, CheckId::new(), &last).await.unwrap();
        }
        ids.push(cluster.id);
    }
    let wanting = bed.store.clusters_to_check(later(60), later(50), 10).await.unwrap();
    assert_eq!(wanting, [ids[0], ids[3], ids[1]], "never checked, checked long ago, stalled");
    assert_eq!(bed.store.clusters_to_check(later(60), later(50), 1).await.unwrap().len(), 1);
}
