//! Claiming grants for work and keeping how it went, with several replicas and with wishes that change in between.

use std::collections::HashSet;

use kubelend::{
    model::{
        audit::Action,
        claim_mapping::ClaimMapping,
        cluster::Cluster,
        grant::{EndReason, Grant, GrantState, Grantee},
        id::{ClusterId, GrantId},
        time::Timestamp,
    },
    store::{Outcome, StoreError},
};

use super::bed::{Bed, MINUTE, NOW, draft, later, new_grant, provider};

both!(
    twenty_askers_get_each_due_grant_exactly_once,
    a_grant_that_another_replica_is_just_claiming_is_left_to_it,
    a_claim_that_nobody_settles_comes_back_when_its_lease_ends,
    a_settled_grant_is_not_due_and_a_failed_one_is_later,
    an_event_is_written_only_where_the_state_changes,
    immune_20_an_attempt_that_ends_after_a_revocation_does_not_hide_it,
    immune_20_a_late_attempt_makes_a_removed_grant_be_looked_at_again,
    immune_32_an_attempt_at_an_old_name_does_not_settle_the_new_one,
    overlapping_attempts_end_with_one_that_came_after_all,
    a_cluster_that_is_back_hurries_those_that_wait_and_no_others,
    what_is_not_settled_is_counted,
    a_grant_that_is_gone_is_settled_by_nobody,
);

pub(crate) fn done(wanted: bool) -> Outcome {
    let state = if wanted { GrantState::Applied } else { GrantState::Removed };
    Outcome { state, detail: None, retry_at: None }
}

pub(crate) fn failed(retry_at: Option<Timestamp>) -> Outcome {
    Outcome { state: GrantState::Failed, detail: Some("it re\0fused".into()), retry_at }
}

/// Claims a grant and settles it as done.
pub(crate) async fn settle(bed: &Bed, id: GrantId, wanted: bool) {
    let due = bed.store.claim_grant(id, NOW, MINUTE).await.unwrap();
    assert!(bed.store.settle_grant(&due, wanted, &done(wanted), None, NOW).await.unwrap());
}

async fn group(bed: &Bed, cluster: &Cluster, name: &str) -> Grant {
    bed.grant(cluster, Grantee::Group(provider("dex"), name.into())).await
}

async fn due_at(bed: &Bed, now: Timestamp) -> Vec<GrantId> {
    bed.store.claim_due_grants(now, MINUTE, 100).await.unwrap().iter().map(|due| due.id).collect()
}

async fn twenty_askers_get_each_due_grant_exactly_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut all = HashSet::new();
    for n in 0..120 {
        all.insert(group(&bed, &cluster, &format!("g{n}")).await.id);
    }
    let replicas = [bed.store.clone(), bed.again().await];
    let askers = (0..20).map(|n| {
        let store = replicas[n % 2].clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            // An asker that was overtaken comes back with nothing, although more is due: ask a few times.
            for _ in 0..30 {
                mine.extend(store.claim_due_grants(NOW, MINUTE, 3).await.unwrap().into_iter().map(|due| due.id));
                tokio::task::yield_now().await;
            }
            mine
        })
    });
    let askers: Vec<_> = askers.collect();
    let mut claimed = Vec::new();
    for asker in askers {
        claimed.extend(asker.await.unwrap());
    }
    assert_eq!(claimed.len(), 120);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), all);
}

async fn a_grant_that_another_replica_is_just_claiming_is_left_to_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let (taken, free) = (group(&bed, &cluster, "taken").await.id, group(&bed, &cluster, "free").await.id);
    let store = bed.store.clone();
    let claiming = format!("UPDATE grants SET next_attempt = {} WHERE id = '{taken}'", later(60).millis());
    let claimed = bed.meanwhile(&claiming, async move { store.claim_due_grants(NOW, MINUTE, 9).await.unwrap() }).await;
    assert_eq!(claimed.iter().map(|due| due.id).collect::<Vec<_>>(), [free]);
}

async fn a_claim_that_nobody_settles_comes_back_when_its_lease_ends(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    assert_eq!(due_at(&bed, NOW).await, [grant.id]);
    assert!(due_at(&bed, later(59)).await.is_empty());
    assert_eq!(due_at(&bed, later(60)).await, [grant.id]);
    // Claimed by name it leaves the loop as well, though it was not due.
    let due = bed.store.claim_grant(grant.id, later(100), MINUTE).await.unwrap();
    assert_eq!((due.id, due.attempts), (grant.id, 0));
    assert!(due_at(&bed, later(121)).await.is_empty());
    let unknown = bed.store.claim_grant(GrantId::new(), NOW, MINUTE).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound));
}

async fn a_settled_grant_is_not_due_and_a_failed_one_is_later(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    for attempt in 0..3 {
        let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
        assert_eq!(due.attempts, attempt);
        let now = later(10 + u64::try_from(attempt).unwrap());
        assert!(bed.store.settle_grant(&due, true, &failed(Some(later(50))), None, now).await.unwrap());
    }
    let seen = bed.look(&grant).await;
    assert_eq!((seen.state, seen.state_since), (GrantState::Failed, later(10)));
    assert_eq!(seen.state_detail.as_deref(), Some("it refused"));
    assert!(due_at(&bed, later(49)).await.is_empty());
    let due = bed.store.claim_due_grants(later(50), MINUTE, 5).await.unwrap();
    assert_eq!(due[0].attempts, 3);
    assert!(bed.store.settle_grant(&due[0], true, &done(true), None, later(51)).await.unwrap());
    let seen = bed.look(&grant).await;
    assert_eq!((seen.state, seen.state_detail, seen.state_since), (GrantState::Applied, None, later(51)));
    assert!(due_at(&bed, later(100_000)).await.is_empty());
    assert_eq!(bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap().attempts, 0);
}

async fn an_event_is_written_only_where_the_state_changes(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    for _ in 0..3 {
        let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
        let event = Some(draft(Action::BindingFailed));
        bed.store.settle_grant(&due, true, &failed(Some(NOW)), event, NOW).await.unwrap();
    }
    assert_eq!(bed.events(Action::BindingFailed).await, 1);
    let event = &bed.store.audit_of_cluster(cluster.id, None, 1).await.unwrap()[0];
    assert_eq!((event.action, event.workspace), (Action::BindingFailed, Some(cluster.workspace)));
}

async fn immune_20_an_attempt_that_ends_after_a_revocation_does_not_hide_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    let event = Some(draft(Action::BindingApplied));
    assert!(!bed.store.settle_grant(&due, true, &done(true), event, later(1)).await.unwrap());
    assert_eq!(bed.look(&grant).await.state, GrantState::Removing);
    assert_eq!(bed.events(Action::BindingApplied).await, 0);
    assert_eq!(due_at(&bed, later(1)).await, [grant.id]);
}

async fn immune_20_a_late_attempt_makes_a_removed_grant_be_looked_at_again(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let slow = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    settle(&bed, grant.id, false).await;
    assert_eq!(bed.look(&grant).await.state, GrantState::Removed);
    // What the slow one wrote to the cluster may have come last.
    assert!(!bed.store.settle_grant(&slow, true, &done(true), None, later(1)).await.unwrap());
    assert_eq!(bed.look(&grant).await.state, GrantState::Removing);
    assert_eq!(due_at(&bed, later(1)).await, [grant.id]);
}

async fn immune_32_an_attempt_at_an_old_name_does_not_settle_the_new_one(bed: Bed) {
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    let grant = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    // While an attempt writes bob@example.com to the cluster, the address becomes somebody else's.
    let mut heir = super::bed::claims("bob");
    heir.sub = "somebody else".into();
    bed.signs_in(&heir).await;
    assert!(!bed.store.settle_grant(&due, true, &done(true), None, NOW).await.unwrap());
    assert_eq!(bed.look(&grant).await.state, GrantState::Pending);
    assert_eq!(due_at(&bed, NOW).await, [grant.id]);
}

async fn overlapping_attempts_end_with_one_that_came_after_all(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let old = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    let mapping = ClaimMapping { groups_prefix: "new:".into(), ..ClaimMapping::default() };
    let audit = draft(Action::ClusterTrustChanged);
    bed.store.set_trust(cluster.id, &provider("dex"), Some(&mapping), audit, NOW).await.unwrap();
    let new = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    assert!(!bed.store.settle_grant(&old, true, &done(true), None, NOW).await.unwrap());
    // The new one was at work while the old one was: it may have been overwritten.
    assert!(!bed.store.settle_grant(&new, true, &done(true), None, NOW).await.unwrap());
    assert_eq!(bed.look(&grant).await.state, GrantState::Pending);
    let due = bed.store.claim_due_grants(NOW, MINUTE, 5).await.unwrap();
    assert!(bed.store.settle_grant(&due[0], true, &done(true), None, NOW).await.unwrap());
    assert_eq!(bed.look(&grant).await.state, GrantState::Applied);
}

async fn a_cluster_that_is_back_hurries_those_that_wait_and_no_others(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut grants = Vec::new();
    for name in ["waits", "in work", "applied", "removing", "elsewhere"] {
        grants.push(group(&bed, &cluster, name).await);
    }
    let far = later(3600);
    bed.store.end_grant(grants[3].id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    for (n, wanted) in [(0, true), (3, false)] {
        let due = bed.store.claim_grant(grants[n].id, NOW, MINUTE).await.unwrap();
        let state = if wanted { GrantState::Pending } else { GrantState::Removing };
        let waits = Outcome { state, detail: None, retry_at: Some(far) };
        assert!(bed.store.settle_grant(&due, wanted, &waits, None, NOW).await.unwrap());
    }
    bed.store.claim_grant(grants[1].id, NOW, MINUTE).await.unwrap();
    settle(&bed, grants[2].id, true).await;
    let due = bed.store.claim_grant(grants[4].id, NOW, MINUTE).await.unwrap();
    bed.store.settle_grant(&due, true, &failed(None), None, NOW).await.unwrap();

    assert_eq!(bed.store.hurry_grants(ClusterId::new(), later(1)).await.unwrap(), 0);
    assert_eq!(bed.store.hurry_grants(cluster.id, later(1)).await.unwrap(), 2);
    let hurried: HashSet<GrantId> = due_at(&bed, later(1)).await.into_iter().collect();
    assert_eq!(hurried, HashSet::from([grants[0].id, grants[3].id]));
}

async fn what_is_not_settled_is_counted(bed: Bed) {
    let cluster = bed.cluster().await;
    let none = bed.store.unsettled_grants().await.unwrap();
    assert!(none.len() == 4 && none.iter().all(|(_, n)| *n == 0), "{none:?}");
    let mut expiring = new_grant(&cluster, Grantee::Group(provider("dex"), "expiring".into()));
    expiring.expires_at = Some(later(10));
    bed.store.add_grant(&expiring, draft(Action::GrantAdded), NOW).await.unwrap();
    group(&bed, &cluster, "waits").await;
    let applied = group(&bed, &cluster, "applied").await;
    settle(&bed, applied.id, true).await;
    assert_eq!(bed.store.overdue_removals(later(9)).await.unwrap(), 0);
    assert_eq!(bed.store.overdue_removals(later(10)).await.unwrap(), 1);
    bed.store.expire_grants(later(10), 5).await.unwrap();
    assert_eq!(bed.store.overdue_removals(later(10)).await.unwrap(), 1);
    let counted = bed.store.unsettled_grants().await.unwrap();
    let of = |state| counted.iter().find(|(s, _)| *s == state).unwrap().1;
    assert_eq!((of(GrantState::Pending), of(GrantState::Removing), of(GrantState::Failed)), (1, 1, 0));
    settle(&bed, expiring.id, false).await;
    assert_eq!(bed.store.overdue_removals(later(10)).await.unwrap(), 0);
}

async fn a_grant_that_is_gone_is_settled_by_nobody(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = group(&bed, &cluster, "devs").await;
    let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    let audit = draft(Action::ClusterRemovalAsked);
    bed.store.ask_removal(cluster.id, kubelend::model::cluster::Removal::Leave, audit, NOW).await.unwrap();
    bed.store.finish_removals(NOW, MINUTE).await.unwrap();
    assert!(!bed.store.settle_grant(&due, true, &done(true), None, NOW).await.unwrap());
}
