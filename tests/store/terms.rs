//! Changing grants: ends and reasons in place, roles and places by another grant; and what should be gone.

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, Removal},
        federation::WideScope,
        grant::{EndReason, Grant, GrantState, Grantee, Origin},
        id::{FederatedGrantId, GrantId},
        reason::Reason,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    store::{NewFederatedGrant, Outcome, Replaced, Replacement, Store, StoreError, Terms},
};

use super::{
    bed::{Bed, MINUTE, NOW, draft, later, new_grant, provider, rules},
    work,
};

both!(
    another_end_or_reason_is_written_once,
    an_end_that_was_moved_ends_nothing,
    what_has_ended_is_changed_by_nobody,
    another_role_takes_its_place_in_one_step_and_has_its_turn_first,
    a_change_is_made_once_however_often_it_is_sent,
    twenty_who_change_a_grant_at_once_change_it_once,
    a_change_that_is_refused_leaves_everything_as_it_was,
    immune_32_an_address_that_has_become_a_person_is_changed_as_the_person,
    what_is_extended_from_further_up_ends_later_everywhere,
    what_should_be_gone_is_told_with_since_when_and_why,
    what_ends_soon_is_counted,
);

fn group(name: &str) -> Grantee {
    Grantee::Group(provider("dex"), name.into())
}

fn until(end: Option<Timestamp>, reason: &str) -> Terms {
    Terms { expires_at: end, reason: Reason::read(reason).unwrap() }
}

fn to(cluster: &Cluster, role: Role, end: Option<Timestamp>) -> Replacement {
    Replacement {
        id: GrantId::new(),
        role,
        scope: Scope::Cluster(cluster.id),
        terms: until(end, "on call"),
        by: cluster.created_by,
        vouch: None,
    }
}

async fn ending(bed: &Bed, cluster: &Cluster, name: &str, end: Timestamp) -> Grant {
    let mut new = new_grant(cluster, group(name));
    new.expires_at = Some(end);
    bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap()
}

async fn change(store: &Store, grant: &Grant, new: &Replacement, now: Timestamp) -> Result<Replaced, StoreError> {
    store.replace_grant(grant.id, new, draft(Action::GrantChanged), now).await
}

async fn another_end_or_reason_is_written_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = ending(&bed, &cluster, "devs", later(10)).await;
    work::settle(&bed, grant.id, true).await;
    let was = Terms::of(&grant);
    let terms = until(Some(later(100)), "on call");
    let change = async |was: &Terms, terms: &Terms, now| {
        bed.store.change_terms(grant.id, was, terms, draft(Action::GrantExtended), now).await
    };
    assert!(change(&was, &terms, later(1)).await.unwrap());
    assert!(!change(&was, &terms, later(2)).await.unwrap(), "sent again it changes nothing");
    assert!(!change(&terms, &terms, later(2)).await.unwrap());
    assert!(matches!(change(&was, &until(None, ""), later(3)).await.unwrap_err(), StoreError::Stale));
    let now = bed.look(&grant).await;
    assert_eq!((now.state, Terms::of(&now)), (GrantState::Applied, terms.clone()), "no cluster has to follow");
    assert!(bed.store.claim_due_grants(later(5), MINUTE, 5).await.unwrap().is_empty());
    assert!(change(&terms, &until(None, ""), later(4)).await.unwrap());
    assert_eq!(bed.events(Action::GrantExtended).await, 2);
    assert!(bed.store.expire_grants(later(1000), 5).await.unwrap().is_empty());
    let unknown = bed.store.change_terms(GrantId::new(), &was, &terms, draft(Action::GrantExtended), NOW).await;
    assert!(matches!(unknown.unwrap_err(), StoreError::NotFound));
}

async fn an_end_that_was_moved_ends_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = ending(&bed, &cluster, "devs", later(10)).await;
    let terms = until(Some(later(100)), "");
    bed.store.change_terms(grant.id, &Terms::of(&grant), &terms, draft(Action::GrantExtended), later(9)).await.unwrap();
    // Whoever had found it to be over a moment before.
    let end =
        async |now| bed.store.end_grant(grant.id, EndReason::Expired, draft(Action::GrantExpired), now).await.unwrap();
    assert!(!end(later(11)).await);
    assert_eq!((bed.look(&grant).await.ended, bed.events(Action::GrantExpired).await), (None, 0));
    assert!(end(later(100)).await);
    assert_eq!(bed.look(&grant).await.ended, Some(EndReason::Expired));
}

async fn what_has_ended_is_changed_by_nobody(bed: Bed) {
    let cluster = bed.cluster().await;
    let over = ending(&bed, &cluster, "over", later(10)).await;
    let taken = ending(&bed, &cluster, "taken", later(100)).await;
    bed.store.end_grant(taken.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    for grant in [&over, &taken] {
        let (was, terms) = (Terms::of(grant), until(None, ""));
        let longer = bed.store.change_terms(grant.id, &was, &terms, draft(Action::GrantExtended), later(10)).await;
        assert!(matches!(longer.unwrap_err(), StoreError::Stale));
        let other = change(&bed.store, grant, &to(&cluster, Role::Edit, None), later(10)).await;
        assert!(matches!(other.unwrap_err(), StoreError::Stale));
    }
    // Nor on a cluster that is going, or by way of another one.
    let elsewhere = bed.cluster().await;
    let live = ending(&bed, &cluster, "live", later(100)).await;
    let other = change(&bed.store, &live, &to(&elsewhere, Role::Edit, None), later(10)).await;
    assert!(matches!(other.unwrap_err(), StoreError::NotFound));
    bed.store.ask_removal(cluster.id, Removal::Purge, draft(Action::ClusterRemovalAsked), NOW).await.unwrap();
    let other = change(&bed.store, &live, &to(&cluster, Role::Edit, None), later(10)).await;
    assert!(matches!(other.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.events(Action::GrantChanged).await, 0);
}

async fn another_role_takes_its_place_in_one_step_and_has_its_turn_first(bed: Bed) {
    let cluster = bed.cluster().await;
    let old = ending(&bed, &cluster, "devs", later(1000)).await;
    work::settle(&bed, old.id, true).await;
    let new = to(&cluster, Role::Edit, Some(later(2000)));
    let made = change(&bed.store, &old, &new, later(5)).await.unwrap();
    assert!(made.now && made.grant.id == new.id);
    assert_eq!(made.grant, bed.look(&made.grant).await);
    assert_eq!((made.grant.role, made.grant.origin), (Some(Role::Edit), Origin::Manual));
    assert_eq!((made.grant.grantee, made.grant.state), (group("devs"), GrantState::Pending));
    let gone = bed.look(&old).await;
    assert_eq!((gone.ended, gone.state), (Some(EndReason::Replaced), GrantState::Removing));
    // The new one is due at once, the old one later; should both be due, which is which is known.
    let due = async |now| bed.store.claim_due_grants(now, MINUTE, 5).await.unwrap();
    let first: Vec<(GrantId, bool)> = due(later(5)).await.iter().map(|due| (due.id, due.wanted)).collect();
    assert_eq!(first, [(new.id, true)]);
    assert!(due(later(12)).await.is_empty(), "longer than an attempt that died keeps the new one from others");
    let then: Vec<(GrantId, bool)> = due(later(13)).await.iter().map(|due| (due.id, due.wanted)).collect();
    assert_eq!(then, [(old.id, false)]);
}

async fn a_change_is_made_once_however_often_it_is_sent(bed: Bed) {
    let cluster = bed.cluster().await;
    let old = bed.grant(&cluster, group("devs")).await;
    let first = change(&bed.store, &old, &to(&cluster, Role::Edit, Some(later(1000))), NOW).await.unwrap();
    let again = change(&bed.store, &old, &to(&cluster, Role::Edit, Some(later(1003))), later(3)).await.unwrap();
    assert!(first.now && !again.now);
    assert_eq!(again.grant, first.grant);
    assert_eq!(bed.events(Action::GrantChanged).await, 1);
    for other in [to(&cluster, Role::Admin, Some(later(1000))), to(&cluster, Role::Edit, None)] {
        assert!(matches!(change(&bed.store, &old, &other, later(4)).await.unwrap_err(), StoreError::Stale));
    }
    bed.store.end_grant(first.grant.id, EndReason::Revoked, draft(Action::GrantRevoked), later(5)).await.unwrap();
    let late = change(&bed.store, &old, &to(&cluster, Role::Edit, Some(later(1000))), later(6)).await;
    assert!(matches!(late.unwrap_err(), StoreError::Stale), "what was taken back since does not come back");
}

async fn twenty_who_change_a_grant_at_once_change_it_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let old = bed.grant(&cluster, group("devs")).await;
    let other = bed.again().await;
    let made = futures_util::future::join_all((0..20).map(|n| {
        let store = if n % 2 == 0 { bed.store.clone() } else { other.clone() };
        let role = if n % 4 < 2 { Role::Edit } else { Role::Admin };
        let (old, new) = (old.clone(), to(&cluster, role, None));
        tokio::spawn(async move { change(&store, &old, &new, later(1)).await })
    }))
    .await;
    let (mut now, mut before, mut stale) = (0, 0, 0);
    for made in made {
        match made.unwrap() {
            Ok(Replaced { now: true, .. }) => now += 1,
            Ok(Replaced { now: false, .. }) => before += 1,
            Err(StoreError::Stale) => stale += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((now, before, stale), (1, 9, 10));
    assert_eq!(bed.events(Action::GrantChanged).await, 1);
    assert_eq!(bed.numbers("SELECT COUNT(*) FROM grants WHERE ended IS NULL").await, [1]);
}

async fn a_change_that_is_refused_leaves_everything_as_it_was(bed: Bed) {
    let cluster = bed.cluster().await;
    let old = bed.grant(&cluster, group("devs")).await;
    let mut edit = new_grant(&cluster, group("devs"));
    edit.role = Some(Role::Edit);
    bed.store.add_grant(&edit, draft(Action::GrantAdded), NOW).await.unwrap();
    let refused = change(&bed.store, &old, &to(&cluster, Role::Edit, None), later(1)).await;
    assert!(matches!(refused.unwrap_err(), StoreError::Duplicate(_)));
    assert_eq!(bed.look(&old).await, old);
    // What came by a link is as the link says.
    let link = bed.link_with(&cluster, rules(&cluster)).await;
    let mut guests = new_grant(&cluster, group("guests"));
    guests.origin = Origin::Link(link.id);
    let guests = bed.store.add_grant(&guests, draft(Action::GrantAdded), NOW).await.unwrap();
    let refused = change(&bed.store, &guests, &to(&cluster, Role::Edit, None), later(1)).await;
    assert!(matches!(refused.unwrap_err(), StoreError::Stale));
    assert_eq!((bed.look(&guests).await, bed.events(Action::GrantChanged).await), (guests, 0));
}

async fn immune_32_an_address_that_has_become_a_person_is_changed_as_the_person(bed: Bed) {
    let cluster = bed.cluster().await;
    let address = Grantee::Email(provider("dex"), "bob@example.com".parse().unwrap());
    let old = bed.grant(&cluster, address).await;
    let bob = bed.person("bob").await;
    let made = change(&bed.store, &old, &to(&cluster, Role::Edit, None), later(1)).await.unwrap();
    assert_eq!(made.grant.grantee, Grantee::Person(bob.id));
}

async fn what_is_extended_from_further_up_ends_later_everywhere(bed: Bed) {
    let cluster = bed.cluster().await;
    let new = NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope: WideScope::Workspace(cluster.workspace),
        namespaces: Vec::new(),
        grantee: group("devs").into(),
        role: Role::View,
        expires_at: Some(later(10)),
        reason: Reason::read("on call").unwrap(),
        created_by: cluster.created_by,
    };
    bed.store.add_federated_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
    let placed = async || bed.store.placements(new.id, 5).await.unwrap().remove(0).grant;
    assert_eq!(placed().await.reason, new.reason, "the reason stands on each cluster");
    let extend = async |from, to, now| {
        let event = draft(Action::GrantExtended);
        bed.store.move_federated_end(new.id, later(from), later(to), event, later(now)).await
    };
    assert!(extend(10, 100, 5).await.unwrap());
    assert!(!extend(10, 100, 6).await.unwrap(), "sent again it moves nothing");
    assert!(matches!(extend(10, 200, 6).await.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.events(Action::GrantExtended).await, 1);
    assert_eq!(placed().await.expires_at, Some(later(100)));
    bed.store.expire_federated_grants(later(11), 5).await.unwrap();
    assert!(bed.store.expire_grants(later(11), 5).await.unwrap().is_empty());
    // Whoever had found it to be over a moment before.
    let event = draft(Action::GrantExpired);
    assert!(!bed.store.end_federated_grant(new.id, EndReason::Expired, event, later(11)).await.unwrap());
    assert_eq!((placed().await.ended, bed.events(Action::GrantExpired).await), (None, 0));
    bed.store.expire_federated_grants(later(100), 5).await.unwrap();
    assert_eq!(placed().await.ended, Some(EndReason::Expired));
    assert!(matches!(extend(100, 200, 101).await.unwrap_err(), StoreError::Stale));
}

async fn what_should_be_gone_is_told_with_since_when_and_why(bed: Bed) {
    let (cluster, quiet) = (bed.cluster().await, bed.cluster().await);
    let over = ending(&bed, &cluster, "over", later(10)).await;
    let taken = bed.grant(&cluster, group("taken")).await;
    let stays = ending(&bed, &cluster, "stays", later(1000)).await;
    for grant in [&over, &taken, &stays] {
        work::settle(&bed, grant.id, true).await;
    }
    let told = async |at| bed.store.overdue_on(cluster.id, later(at)).await.unwrap();
    assert_eq!((told(9).await, bed.store.overdue_removals(later(9)).await.unwrap()), (None, 0));
    // Before anybody has ended it: Kubelend was away.
    let found = told(20).await.unwrap();
    assert_eq!((found.count, found.since, found.detail), (1, later(10), None));
    bed.store.end_grant(taken.id, EndReason::Revoked, draft(Action::GrantRevoked), later(15)).await.unwrap();
    bed.store.expire_grants(later(20), 5).await.unwrap();
    let due = bed.store.claim_grant(over.id, later(20), MINUTE).await.unwrap();
    let silent = Outcome {
        state: GrantState::Removing,
        detail: Some("Waiting for the cluster: no answer.".into()),
        retry_at: Some(later(30)),
    };
    bed.store.settle_grant(&due, false, &silent, None, later(21)).await.unwrap();
    let found = told(25).await.unwrap();
    assert_eq!((found.count, found.since), (2, later(10)), "since its end, not since it was noticed");
    assert!(found.detail.unwrap().starts_with("Waiting"));
    assert_eq!(bed.store.overdue_removals(later(25)).await.unwrap(), 2);
    assert_eq!(bed.store.overdue_on(quiet.id, later(25)).await.unwrap(), None);
    work::settle(&bed, over.id, false).await;
    assert_eq!(told(25).await.unwrap().since, later(15));
    work::settle(&bed, taken.id, false).await;
    assert_eq!((told(25).await, bed.store.overdue_removals(later(25)).await.unwrap()), (None, 0));
}

async fn what_ends_soon_is_counted(bed: Bed) {
    let (cluster, quiet) = (bed.cluster().await, bed.cluster().await);
    for (name, end) in [("a", 10), ("b", 20), ("c", 30)] {
        ending(&bed, &cluster, name, later(end)).await;
    }
    bed.grant(&cluster, group("for ever")).await;
    let taken = ending(&bed, &cluster, "taken", later(15)).await;
    bed.store.end_grant(taken.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    let count = async |now, until| bed.store.ending_on(cluster.id, later(now), later(until)).await.unwrap();
    assert_eq!((count(0, 20).await, count(10, 20).await, count(0, 9).await, count(0, 1000).await), (2, 1, 0, 3));
    assert_eq!(bed.store.ending_on(quiet.id, NOW, later(1000)).await.unwrap(), 0);
}
