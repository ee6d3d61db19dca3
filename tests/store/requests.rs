//! Access requests: made, bounded, answered once, taken back, lapsed.

use std::time::Duration;

use kubelend::{
    model::{
        access_request::{AccessRequest, RequestState, Wish},
        audit::Action,
        cluster::{Cluster, Removal},
        grant::{EndReason, GrantState, Grantee, Origin},
        id::{AccessRequestId, GrantId},
        identity::Identity,
        reason::Reason,
        role::Role,
        scope::Scope,
    },
    store::{Answer, Closing, NewRequest, StoreError},
};

use super::bed::{Bed, NOW, draft, later};

both!(
    a_request_comes_back_as_it_was_made_and_gives_nothing,
    an_answer_is_a_grant_and_the_end_of_the_request_in_one,
    twenty_who_answer_at_once_give_one_grant,
    what_was_answered_or_is_over_is_answered_by_nobody,
    who_asks_takes_back_what_waits_and_nothing_else,
    what_waits_is_bounded_for_each_person_and_cluster,
    the_same_asked_twice_at_once_is_asked_once,
    what_nobody_answers_lapses_with_an_event_each,
    a_cluster_that_goes_takes_its_requests_with_it,
    lists_hold_what_waits_the_longest_first,
);

fn wish(cluster: &Cluster, role: Role, namespaces: &[&str]) -> Wish {
    Wish {
        role,
        scope: Scope::new(cluster.id, namespaces.iter().map(|n| n.parse().unwrap()).collect()),
        lasts: Some(Duration::from_hours(24)),
        reason: Reason::read("on call").unwrap().unwrap(),
    }
}

fn new(by: &Identity, wish: Wish) -> NewRequest {
    NewRequest { id: AccessRequestId::new(), by: by.id, wish, until: later(100) }
}

fn answer(request: &AccessRequest, by: &Identity) -> Answer {
    Answer {
        grant: GrantId::new(),
        role: request.wish.role.clone(),
        scope: request.wish.scope.clone(),
        expires_at: Some(later(1000)),
        by: by.id,
        vouch: None,
    }
}

impl Bed {
    async fn asks(&self, by: &Identity, wish: Wish) -> Result<AccessRequest, StoreError> {
        let new = new(by, wish);
        self.store.add_request(&new, draft(Action::RequestMade), NOW).await?;
        self.store.request(new.id).await
    }

    async fn grants_of(&self, cluster: &Cluster) -> Vec<i64> {
        self.numbers(&format!("SELECT COUNT(*) FROM grants WHERE cluster_id = '{}'", cluster.id)).await
    }
}

async fn a_request_comes_back_as_it_was_made_and_gives_nothing(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    let asked = wish(&cluster, Role::Edit, &["payments", "shop"]);
    let made = bed.asks(&bob, asked.clone()).await.unwrap();
    assert_eq!((made.by, made.wish.clone(), made.asked_at, made.until), (bob.id, asked, NOW, later(100)));
    assert_eq!((made.state.clone(), made.closed_at, made.closed_by), (RequestState::Pending, None, None));
    assert_eq!(bed.store.requests_of(bob.id, 5).await.unwrap(), [made]);
    assert_eq!(bed.grants_of(&cluster).await, [0]);
    assert!(bed.store.grants_reaching(&bob, None, NOW).await.unwrap().is_empty());
    assert!(matches!(bed.store.request(AccessRequestId::new()).await.unwrap_err(), StoreError::NotFound));
    assert!(!bed.store.was_lent(cluster.id, bob.id).await.unwrap(), "asking is not being lent");
}

async fn an_answer_is_a_grant_and_the_end_of_the_request_in_one(bed: Bed) {
    let (cluster, bob, alice) = (bed.cluster().await, bed.person("bob").await, bed.person("alice").await);
    let asked = bed.asks(&bob, wish(&cluster, Role::Admin, &[])).await.unwrap();
    // Something else than was asked for.
    let answer = Answer {
        role: Role::View,
        scope: Scope::Namespaces(cluster.id, vec!["shop".parse().unwrap()]),
        ..answer(&asked, &alice)
    };
    let grant = bed.store.approve_request(asked.id, &answer, draft(Action::RequestApproved), later(5)).await.unwrap();
    assert_eq!(
        (grant.id, grant.grantee.clone(), grant.state),
        (answer.grant, Grantee::Person(bob.id), GrantState::Pending)
    );
    assert_eq!(
        (grant.role.clone(), grant.scope.clone(), grant.expires_at),
        (Some(Role::View), answer.scope, Some(later(1000)))
    );
    assert_eq!((grant.origin, grant.created_by), (Origin::Request(asked.id), alice.id));
    assert_eq!(grant.reason.as_ref().map(Reason::as_str), Some("on call"));
    assert_eq!(bed.look(&grant).await, grant);
    let closed = bed.store.request(asked.id).await.unwrap();
    assert_eq!(closed.state, RequestState::Approved(grant.id));
    assert_eq!((closed.closed_at, closed.closed_by), (Some(later(5)), Some(alice.id)));
    assert_eq!(bed.events(Action::RequestApproved).await, 1);
    // What was given can be given again once it has ended: another request, another grant.
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), later(6)).await.unwrap();
    assert!(bed.store.was_lent(cluster.id, bob.id).await.unwrap(), "whatever became of it");
    bed.asks(&bob, wish(&cluster, Role::Admin, &[])).await.unwrap();
}

async fn twenty_who_answer_at_once_give_one_grant(bed: Bed) {
    let (cluster, bob, alice) = (bed.cluster().await, bed.person("bob").await, bed.person("alice").await);
    let asked = bed.asks(&bob, wish(&cluster, Role::View, &[])).await.unwrap();
    let other = bed.again().await;
    let answered = futures_util::future::join_all((0..20).map(|n| {
        let store = if n % 2 == 0 { bed.store.clone() } else { other.clone() };
        let (id, answer) = (asked.id, answer(&asked, &alice));
        let alice = alice.id;
        tokio::spawn(async move {
            match n % 4 {
                3 => {
                    let how = Closing::Decline(alice, None);
                    store.close_request(id, &how, draft(Action::RequestDeclined), later(1)).await.map(|()| false)
                }
                _ => store.approve_request(id, &answer, draft(Action::RequestApproved), later(1)).await.map(|_| true),
            }
        })
    }))
    .await;
    let (mut given, mut declined, mut late) = (0, 0, 0);
    for answered in answered {
        match answered.unwrap() {
            Ok(true) => given += 1,
            Ok(false) => declined += 1,
            Err(StoreError::Stale) => late += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((given + declined, late), (1, 19));
    assert_eq!(bed.grants_of(&cluster).await, [given]);
    let events = bed.events(Action::RequestApproved).await + bed.events(Action::RequestDeclined).await;
    assert_eq!(events, 1, "what came too late leaves no event");
}

async fn what_was_answered_or_is_over_is_answered_by_nobody(bed: Bed) {
    let (cluster, elsewhere) = (bed.cluster().await, bed.cluster().await);
    let (bob, alice) = (bed.person("bob").await, bed.person("alice").await);
    let asked = bed.asks(&bob, wish(&cluster, Role::View, &[])).await.unwrap();
    let approve = async |answer: Answer, now| {
        bed.store.approve_request(asked.id, &answer, draft(Action::RequestApproved), now).await.map(drop)
    };
    let there = Answer { scope: Scope::Cluster(elsewhere.id), ..answer(&asked, &alice) };
    assert!(matches!(approve(there, later(1)).await.unwrap_err(), StoreError::NotFound));
    assert!(matches!(approve(answer(&asked, &alice), later(100)).await.unwrap_err(), StoreError::Stale));
    let word = Reason::read("ask the team first").unwrap();
    let decline = async |now| {
        let how = Closing::Decline(alice.id, word.clone());
        bed.store.close_request(asked.id, &how, draft(Action::RequestDeclined), now).await
    };
    assert!(matches!(decline(later(100)).await.unwrap_err(), StoreError::Stale), "it is over, also unswept");
    decline(later(99)).await.unwrap();
    assert!(matches!(decline(later(99)).await.unwrap_err(), StoreError::Stale));
    assert!(matches!(approve(answer(&asked, &alice), later(99)).await.unwrap_err(), StoreError::Stale));
    let closed = bed.store.request(asked.id).await.unwrap();
    assert_eq!((closed.state, closed.closed_by), (RequestState::Declined(word.clone()), Some(alice.id)));
    assert_eq!((bed.grants_of(&cluster).await, bed.events(Action::RequestDeclined).await), (vec![0], 1));
    let unknown = bed
        .store
        .close_request(AccessRequestId::new(), &Closing::Withdraw(bob.id), draft(Action::RequestWithdrawn), NOW)
        .await;
    assert!(matches!(unknown.unwrap_err(), StoreError::NotFound));
}

async fn who_asks_takes_back_what_waits_and_nothing_else(bed: Bed) {
    let (cluster, bob, alice) = (bed.cluster().await, bed.person("bob").await, bed.person("alice").await);
    let asked = bed.asks(&bob, wish(&cluster, Role::View, &[])).await.unwrap();
    let withdraw = async || {
        bed.store.close_request(asked.id, &Closing::Withdraw(bob.id), draft(Action::RequestWithdrawn), later(1)).await
    };
    withdraw().await.unwrap();
    assert!(matches!(withdraw().await.unwrap_err(), StoreError::Stale));
    let late =
        bed.store.approve_request(asked.id, &answer(&asked, &alice), draft(Action::RequestApproved), later(2)).await;
    assert!(matches!(late.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.store.request(asked.id).await.unwrap().state, RequestState::Withdrawn);
    assert_eq!(bed.grants_of(&cluster).await, [0]);
}

async fn what_waits_is_bounded_for_each_person_and_cluster(bed: Bed) {
    let (cluster, bob, carol) = (bed.cluster().await, bed.person("bob").await, bed.person("carol").await);
    let mut made = Vec::new();
    for role in [Role::View, Role::Edit, Role::Admin] {
        made.push(bed.asks(&bob, wish(&cluster, role, &[])).await.unwrap());
    }
    let one_more = || wish(&cluster, Role::View, &["shop"]);
    assert!(matches!(bed.asks(&bob, wish(&cluster, Role::View, &[])).await.unwrap_err(), StoreError::Duplicate(_)));
    assert!(matches!(bed.asks(&bob, one_more()).await.unwrap_err(), StoreError::Full(_)));
    bed.asks(&carol, one_more()).await.unwrap();
    let withdraw = Closing::Withdraw(bob.id);
    bed.store.close_request(made[0].id, &withdraw, draft(Action::RequestWithdrawn), later(1)).await.unwrap();
    bed.asks(&bob, one_more()).await.unwrap();
    // And over all clusters.
    for _ in 0..6 {
        let other = bed.cluster().await;
        for role in [Role::View, Role::Edit, Role::Admin] {
            // 3 wait already; the 18th here is one too many.
            drop(bed.asks(&bob, wish(&other, role, &[])).await);
        }
    }
    assert_eq!(
        bed.numbers(&format!(
            "SELECT COUNT(*) FROM access_requests WHERE identity_id = '{}' AND state = 'pending'",
            bob.id
        ))
        .await,
        [20]
    );
    assert_eq!(bed.events(Action::RequestMade).await, 22, "what was refused leaves no event");
}

async fn the_same_asked_twice_at_once_is_asked_once(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    let other = bed.again().await;
    let made = futures_util::future::join_all((0..10).map(|n| {
        let store = if n % 2 == 0 { bed.store.clone() } else { other.clone() };
        let new = new(&bob, wish(&cluster, Role::View, &[]));
        tokio::spawn(async move { store.add_request(&new, draft(Action::RequestMade), NOW).await })
    }))
    .await;
    let made = made.into_iter().filter(|made| made.as_ref().unwrap().is_ok()).count();
    assert_eq!((made, bed.events(Action::RequestMade).await), (1, 1));
}

async fn what_nobody_answers_lapses_with_an_event_each(bed: Bed) {
    let (cluster, bob, carol) = (bed.cluster().await, bed.person("bob").await, bed.person("carol").await);
    let first = bed.asks(&bob, wish(&cluster, Role::View, &[])).await.unwrap();
    bed.asks(&carol, wish(&cluster, Role::View, &[])).await.unwrap();
    assert_eq!(bed.store.lapse_requests(later(99), 10).await.unwrap(), 0);
    assert_eq!(bed.store.requests_waiting_on(cluster.id, later(99)).await.unwrap(), 2);
    assert_eq!(
        bed.store.requests_waiting_on(cluster.id, later(100)).await.unwrap(),
        0,
        "by the clock, not by the loop"
    );
    // Whoever asks anew is not held up by what is over.
    let again = new(&bob, wish(&cluster, Role::View, &[]));
    let again = NewRequest { until: later(300), ..again };
    bed.store.add_request(&again, draft(Action::RequestMade), later(100)).await.unwrap();
    assert_eq!(bed.store.request(first.id).await.unwrap().state, RequestState::Lapsed);
    assert_eq!(bed.store.lapse_requests(later(100), 10).await.unwrap(), 1);
    assert_eq!(bed.store.lapse_requests(later(100), 10).await.unwrap(), 0);
    assert_eq!(bed.events(Action::RequestLapsed).await, 2);
    assert_eq!(bed.store.request(again.id).await.unwrap().state, RequestState::Pending);
}

async fn a_cluster_that_goes_takes_its_requests_with_it(bed: Bed) {
    let (cluster, bob, alice) = (bed.cluster().await, bed.person("bob").await, bed.person("alice").await);
    let asked = bed.asks(&bob, wish(&cluster, Role::View, &[])).await.unwrap();
    bed.store.ask_removal(cluster.id, Removal::Leave, draft(Action::ClusterRemovalAsked), NOW).await.unwrap();
    let late =
        bed.store.approve_request(asked.id, &answer(&asked, &alice), draft(Action::RequestApproved), later(1)).await;
    assert!(matches!(late.unwrap_err(), StoreError::Stale));
    assert!(matches!(bed.asks(&bob, wish(&cluster, Role::Edit, &[])).await.unwrap_err(), StoreError::Stale));
    bed.store.finish_removals(later(60), Duration::from_secs(1)).await.unwrap();
    assert!(matches!(bed.store.request(asked.id).await.unwrap_err(), StoreError::NotFound));
    assert!(bed.store.requests_of(bob.id, 5).await.unwrap().is_empty());
}

async fn lists_hold_what_waits_the_longest_first(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    let elsewhere = bed.cluster().await;
    let mut waiting = Vec::new();
    for (n, cluster) in [&one, &two, &one, &elsewhere].into_iter().enumerate() {
        let person = bed.person(&format!("p{n}")).await;
        waiting.push(bed.asks(&person, wish(cluster, Role::View, &[])).await.unwrap());
    }
    let decline = Closing::Decline(alice.id, None);
    bed.store.close_request(waiting[1].id, &decline, draft(Action::RequestDeclined), NOW).await.unwrap();
    let page = async |after, limit| bed.store.requests_in(one.workspace, after, NOW, limit).await.unwrap();
    let ids = |page: &kubelend::store::RequestPage| page.rows.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(one.workspace, two.workspace);
    let all = page(None, 5).await;
    assert_eq!((ids(&all), all.next), (vec![waiting[0].id, waiting[2].id], None));
    let first = page(None, 1).await;
    assert_eq!((ids(&first), first.next), (vec![waiting[0].id], Some(waiting[0].id)));
    let second = page(first.next, 1).await;
    assert_eq!((ids(&second), second.next), (vec![waiting[2].id], None));
    assert_eq!(bed.store.requests_waiting_in(one.workspace, NOW).await.unwrap(), 2);
    assert_eq!(bed.store.requests_waiting_on(one.id, NOW).await.unwrap(), 2);
    assert_eq!(bed.store.requests_waiting_on(two.id, NOW).await.unwrap(), 0);
}
