//! The UIDs of bindings: kept with how an attempt went, forgotten before something takes their place, and compared with what a
//! cluster shows; and which replica looks at it.

use std::collections::HashSet;

use kubelend::{
    model::{
        audit::Action,
        binding::{Drift, Made},
        cluster::{Cluster, Removal},
        grant::{EndReason, Grant, GrantState, Grantee},
        id::{ClusterId, GrantId},
    },
    store::{Brought, DueGrant, NewGrant, Outcome},
};

use super::{
    bed::{Bed, MINUTE, NOW, draft, later, new_grant, provider},
    work::{done, settle},
};

both!(
    what_an_attempt_made_is_kept_with_how_it_went_and_each_repair_has_its_event,
    immune_20_what_was_made_for_a_wish_that_has_changed_is_remembered_all_the_same,
    of_two_attempts_at_once_only_the_first_keeps_what_it_made,
    only_what_is_remembered_is_forgotten,
    what_a_cluster_shows_makes_settled_grants_due_and_no_others,
    immune_20_a_binding_that_comes_back_after_its_removal_is_known,
    a_grant_that_the_version_before_brought_there_is_learnt_by_its_labels_once,
    one_replica_follows_a_cluster_and_another_takes_over_from_one_that_has_gone,
);

fn made(namespace: Option<&str>, uid: &str) -> Made {
    Made { namespace: namespace.map(Into::into), uid: uid.into(), looks: "looks".into() }
}

async fn group(bed: &Bed, cluster: &Cluster, name: &str) -> Grant {
    bed.grant(cluster, Grantee::Group(provider("dex"), name.into())).await
}

async fn claim(bed: &Bed, id: GrantId) -> DueGrant {
    bed.store.claim_grant(id, NOW, MINUTE).await.unwrap()
}

/// What an attempt comes to that made these, worked out as the applier does.
async fn brought(bed: &Bed, id: GrantId, all: &[Made]) -> Brought {
    let mark = bed.store.memory(id).await.unwrap().mark;
    Brought { mark, made: all.to_vec(), repairs: Vec::new() }
}

async fn brings(bed: &Bed, id: GrantId, all: &[Made]) {
    let (due, brought) = (claim(bed, id).await, brought(bed, id, all).await);
    assert!(bed.store.settle_brought(&due, &done(true), None, &brought, NOW).await.unwrap());
}

async fn state(bed: &Bed, id: GrantId) -> GrantState {
    bed.store.grant(id).await.unwrap().0.state
}

async fn events(bed: &Bed, cluster: ClusterId, action: Action) -> usize {
    let all = bed.store.audit_of_cluster(cluster, None, 100).await.unwrap();
    all.iter().filter(|event| event.action == action).count()
}

async fn what_an_attempt_made_is_kept_with_how_it_went_and_each_repair_has_its_event(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let before = bed.store.memory(grant.id).await.unwrap();
    assert_eq!((before.settled, before.made.len(), before.mark.as_deref().map(str::len)), (false, 0, Some(32)));
    let (due, first) = (claim(&bed, grant.id).await, brought(&bed, grant.id, &[made(None, "u")]).await);
    let applied = Some(draft(Action::BindingApplied));
    assert!(bed.store.settle_brought(&due, &done(true), applied.clone(), &first, NOW).await.unwrap());
    let after = bed.store.memory(grant.id).await.unwrap();
    assert_eq!((after.state, after.settled, &after.made), (GrantState::Applied, true, &vec![made(None, "u")]));
    assert_ne!(after.mark, before.mark, "what was made bears the old one");
    assert_eq!(events(&bed, cluster.id, Action::BindingApplied).await, 1);

    // Put back after a deletion: two places, two events, and none that says it was brought there.
    assert_eq!(bed.store.note_drift(&[(grant.id, Drift::Gone)], NOW).await.unwrap(), 1);
    let due = claim(&bed, grant.id).await;
    let repairs = vec![draft(Action::BindingRepaired), draft(Action::BindingRepaired)];
    let again = Brought { repairs, ..brought(&bed, grant.id, &[made(None, "v")]).await };
    assert!(bed.store.settle_brought(&due, &done(true), applied, &again, NOW).await.unwrap());
    assert_eq!(bed.store.memory(grant.id).await.unwrap().made, [made(None, "v")]);
    assert_eq!(events(&bed, cluster.id, Action::BindingApplied).await, 1);
    assert_eq!(events(&bed, cluster.id, Action::BindingRepaired).await, 2);

    // Nothing new: nothing is written, the mark stays.
    let mark = bed.store.memory(grant.id).await.unwrap().mark;
    brings(&bed, grant.id, &[]).await;
    assert_eq!(bed.store.memory(grant.id).await.unwrap().mark, mark);
    let all = bed.store.memories(cluster.id, &[grant.id, GrantId::new()]).await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(bed.store.memories(ClusterId::new(), &[grant.id]).await.unwrap().is_empty());
}

async fn immune_20_what_was_made_for_a_wish_that_has_changed_is_remembered_all_the_same(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let (due, slow) = (claim(&bed, grant.id).await, brought(&bed, grant.id, &[made(None, "u")]).await);
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), later(1)).await.unwrap();
    assert!(!bed.store.settle_brought(&due, &done(true), None, &slow, later(1)).await.unwrap());
    let memory = bed.store.memory(grant.id).await.unwrap();
    assert_eq!((memory.state, memory.settled), (GrantState::Removing, false));
    assert_eq!(memory.made, [made(None, "u")], "whoever removes it must know it");
}

async fn of_two_attempts_at_once_only_the_first_keeps_what_it_made(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let (due, slow) = (claim(&bed, grant.id).await, brought(&bed, grant.id, &[made(None, "slow")]).await);
    brings(&bed, grant.id, &[made(None, "quick")]).await;
    assert!(!bed.store.settle_brought(&due, &done(true), None, &slow, NOW).await.unwrap());
    let memory = bed.store.memory(grant.id).await.unwrap();
    assert_eq!((memory.made, memory.settled), (vec![made(None, "quick")], false));
}

async fn only_what_is_remembered_is_forgotten(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    brings(&bed, grant.id, &[made(Some("a"), "u"), made(Some("b"), "v")]).await;
    bed.store.forget_made(grant.id, &[made(Some("a"), "u"), made(Some("b"), "older")]).await.unwrap();
    assert_eq!(bed.store.memory(grant.id).await.unwrap().made, [made(Some("b"), "v")]);
}

async fn what_a_cluster_shows_makes_settled_grants_due_and_no_others(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut all = Vec::new();
    for n in 0..70 {
        let id = group(&bed, &cluster, &format!("g{n}")).await.id;
        brings(&bed, id, &[made(None, &format!("u{n}"))]).await;
        all.push(id);
    }
    let no_role = NewGrant { role: None, ..new_grant(&cluster, Grantee::Group(provider("dex"), "none".into())) };
    let none = bed.store.add_grant(&no_role, draft(Action::GrantAdded), NOW).await.unwrap().id;
    let pending = group(&bed, &cluster, "pending").await.id;
    assert_eq!(bed.store.memories(cluster.id, &all).await.unwrap().len(), 70);
    let known: HashSet<GrantId> =
        bed.store.memories_of_cluster(cluster.id).await.unwrap().iter().map(|m| m.grant).collect();
    assert!(known.contains(&pending) && !known.contains(&none), "what has no role has no binding");

    let shown = [(all[0], Drift::Gone), (all[1], Drift::Changed), (pending, Drift::Gone), (all[2], Drift::Returned)];
    assert_eq!(bed.store.note_drift(&shown, later(1)).await.unwrap(), 2);
    assert_eq!(bed.store.note_drift(&shown, later(1)).await.unwrap(), 0, "they are seen to already");
    let (changed, _) = bed.store.grant(all[1]).await.unwrap();
    assert_eq!(changed.state, GrantState::Pending);
    assert!(changed.state_detail.is_some_and(|words| words.contains("changed on the cluster")));
    assert_eq!(state(&bed, all[2]).await, GrantState::Applied);
    let due = bed.store.claim_due_grants(later(2), MINUTE, 100).await.unwrap();
    let due: HashSet<GrantId> = due.iter().map(|due| due.id).collect();
    assert!(due.contains(&all[0]) && due.contains(&all[1]) && !due.contains(&all[2]));

    // A conflict is tried again at once when what stood in the way has gone, unless somebody is at it.
    let far = Some(later(500));
    let waits = Outcome { state: GrantState::Conflict, detail: Some("taken".into()), retry_at: far };
    let due = claim(&bed, all[3]).await;
    assert_eq!(bed.store.note_drift(&[(all[3], Drift::Freed)], later(1)).await.unwrap(), 0);
    assert!(bed.store.settle_brought(&due, &waits, None, &Brought::default(), NOW).await.unwrap());
    assert_eq!(bed.store.note_drift(&[(all[3], Drift::Freed)], later(3)).await.unwrap(), 1);
    let due = bed.store.claim_due_grants(later(4), MINUTE, 100).await.unwrap();
    assert!(due.iter().any(|due| due.id == all[3]));
}

async fn immune_20_a_binding_that_comes_back_after_its_removal_is_known(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = group(&bed, &cluster, "devs").await.id;
    brings(&bed, id, &[made(None, "u")]).await;
    bed.store.end_grant(id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    settle(&bed, id, false).await;
    let memory = bed.store.memory(id).await.unwrap();
    assert_eq!((memory.state, memory.settled, memory.made), (GrantState::Removed, true, vec![made(None, "u")]));
    assert_eq!(bed.store.note_drift(&[(id, Drift::Gone), (id, Drift::Unknown)], later(1)).await.unwrap(), 0);
    assert_eq!(bed.store.note_drift(&[(id, Drift::Returned)], later(1)).await.unwrap(), 1);
    assert_eq!(state(&bed, id).await, GrantState::Removing);
    settle(&bed, id, false).await;
    assert_eq!(state(&bed, id).await, GrantState::Removed);
}

async fn a_grant_that_the_version_before_brought_there_is_learnt_by_its_labels_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = group(&bed, &cluster, "devs").await.id;
    // It settles without keeping a UID.
    settle(&bed, id, true).await;
    assert_eq!(bed.store.note_drift(&[(id, Drift::Unknown)], later(1)).await.unwrap(), 1);
    let memory = bed.store.memory(id).await.unwrap();
    assert_eq!((memory.mark.clone(), memory.state, memory.settled), (None, GrantState::Applied, false));
    brings(&bed, id, &[made(None, "u")]).await;
    let memory = bed.store.memory(id).await.unwrap();
    assert!(memory.mark.is_some() && memory.settled);
    assert_eq!(bed.store.note_drift(&[(id, Drift::Unknown)], later(1)).await.unwrap(), 0, "never again");
}

async fn one_replica_follows_a_cluster_and_another_takes_over_from_one_that_has_gone(bed: Bed) {
    let (one, two) = (bed.cluster().await.id, bed.cluster().await.id);
    let held = async |holder: &str, at| {
        let held = bed.store.hold_watches(holder, later(at), MINUTE).await.unwrap();
        held.into_iter().map(|(id, _)| id).collect::<HashSet<_>>()
    };
    let (all, none) = (HashSet::from([one, two]), HashSet::new());
    let (first, second) = tokio::join!(held("first", 0), held("second", 0));
    assert_eq!(&first | &second, all);
    assert!(first.is_disjoint(&second));
    let (first, second) = if first.is_empty() { ("second", "first") } else { ("first", "second") };
    bed.store.release_watches(second).await.unwrap();
    assert_eq!(held(first, 1).await, all);
    assert_eq!((held(second, 2).await, held(first, 50).await), (none.clone(), all.clone()));
    // The first is silent for longer than a minute.
    assert_eq!((held(second, 61).await, held(second, 111).await), (none.clone(), all.clone()));
    assert_eq!(held(first, 112).await, none);
    bed.store.release_watches(second).await.unwrap();
    assert_eq!(held(first, 113).await, all);
    // What is left as it is on its way out is nobody's to follow.
    bed.store.ask_removal(one, Removal::Leave, draft(Action::ClusterRemovalAsked), later(114)).await.unwrap();
    assert_eq!(held(first, 115).await, HashSet::from([two]));
}
