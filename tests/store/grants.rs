//! Making and ending grants.

use kubelend::{
    model::{
        audit::{Action, Actor},
        grant::{EndReason, GrantState, Grantee, Origin},
        id::{GrantId, IdentityId},
        role::Role,
        scope::Scope,
    },
    store::StoreError,
};

use super::{
    bed::{Bed, MINUTE, NOW, draft, later, new_grant, provider},
    work,
};

both!(
    a_grant_comes_back_as_it_was_made,
    a_grant_without_role_wants_no_work,
    the_same_grant_is_made_once,
    twenty_who_make_the_same_grant_at_once_make_one,
    a_grant_that_has_run_out_stands_in_no_new_ones_way,
    a_grant_is_ended_once,
    what_has_run_out_is_ended_with_an_event_each,
    two_replicas_end_what_has_run_out_once,
    a_grant_for_nobody_is_refused,
);

fn devs() -> Grantee {
    Grantee::Group(provider("dex"), "devs".into())
}

async fn a_grant_comes_back_as_it_was_made(bed: Bed) {
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    let names = |list: &[&str]| list.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>();
    let mut new = new_grant(&cluster, Grantee::Person(bob.id));
    new.role = Some(Role::Edit);
    new.scope = Scope::Namespaces(cluster.id, names(&["shop", "payments", "shop"]));
    new.expires_at = Some(later(100));
    let made = bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
    assert_eq!(made.scope, Scope::Namespaces(cluster.id, names(&["payments", "shop"])));
    assert_eq!((made.state, made.state_since, made.created_at), (GrantState::Pending, NOW, NOW));
    assert_eq!(bed.store.grant(made.id).await.unwrap(), (made, Some(bob)));

    for grantee in [devs(), Grantee::Email(provider("dex"), "New@example.com".parse().unwrap())] {
        let made = bed.grant(&cluster, grantee).await;
        assert_eq!(bed.store.grant(made.id).await.unwrap(), (made, None));
    }
    assert_eq!(bed.events(Action::GrantAdded).await, 3);
    assert!(matches!(bed.store.grant(GrantId::new()).await.unwrap_err(), StoreError::NotFound));
}

async fn a_grant_without_role_wants_no_work(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut new = new_grant(&cluster, devs());
    new.role = None;
    let made = bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
    assert_eq!(made.state, GrantState::Applied);
    assert_eq!(bed.look(&made).await, made);
    assert!(bed.store.claim_due_grants(later(1), MINUTE, 5).await.unwrap().is_empty());
    assert!(bed.store.end_grant(made.id, EndReason::Revoked, draft(Action::GrantRevoked), later(2)).await.unwrap());
    assert_eq!(bed.look(&made).await.state, GrantState::Removed);
    assert!(bed.store.claim_due_grants(later(3), MINUTE, 5).await.unwrap().is_empty());
}

async fn the_same_grant_is_made_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let first = bed.grant(&cluster, devs()).await;
    let add = async |new| bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await;
    let refused = add(new_grant(&cluster, devs())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Duplicate(_)));
    assert_eq!(bed.events(Action::GrantAdded).await, 1, "what was refused leaves no event");

    let edit = kubelend::store::NewGrant { role: Some(Role::Edit), ..new_grant(&cluster, devs()) };
    let scope = Scope::Namespaces(cluster.id, vec!["shop".parse().unwrap()]);
    let in_shop = kubelend::store::NewGrant { scope, ..new_grant(&cluster, devs()) };
    let owner = kubelend::store::NewGrant { origin: Origin::Owner, ..new_grant(&cluster, devs()) };
    for different in [edit, in_shop, owner, new_grant(&cluster, Grantee::Group(provider("other"), "devs".into()))] {
        add(different).await.unwrap();
    }
    let email = |text: &str| new_grant(&cluster, Grantee::Email(provider("dex"), text.parse().unwrap()));
    add(email("bob@example.com")).await.unwrap();
    assert!(matches!(add(email("BOB@example.com")).await.unwrap_err(), StoreError::Duplicate(_)));

    bed.store.end_grant(first.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    add(new_grant(&cluster, devs())).await.unwrap();
}

async fn twenty_who_make_the_same_grant_at_once_make_one(bed: Bed) {
    let cluster = bed.cluster().await;
    let other = bed.again().await;
    let made = futures_util::future::join_all((0..20).map(|n| {
        let store = if n % 2 == 0 { bed.store.clone() } else { other.clone() };
        let new = new_grant(&cluster, devs());
        tokio::spawn(async move { store.add_grant(&new, draft(Action::GrantAdded), NOW).await })
    }))
    .await;
    let (mut ok, mut duplicate) = (0, 0);
    for made in made {
        match made.unwrap() {
            Ok(_) => ok += 1,
            Err(StoreError::Duplicate(_)) => duplicate += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((ok, duplicate), (1, 19));
    assert_eq!(bed.events(Action::GrantAdded).await, 1);
}

async fn a_grant_that_has_run_out_stands_in_no_new_ones_way(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut short = new_grant(&cluster, devs());
    short.expires_at = Some(later(10));
    let short = bed.store.add_grant(&short, draft(Action::GrantAdded), NOW).await.unwrap();
    let add = async |now| bed.store.add_grant(&new_grant(&cluster, devs()), draft(Action::GrantAdded), now).await;
    assert!(matches!(add(later(9)).await.unwrap_err(), StoreError::Duplicate(_)));
    add(later(10)).await.unwrap();
    let ended = bed.look(&short).await;
    assert_eq!((ended.ended, ended.state), (Some(EndReason::Expired), GrantState::Removing));
    assert_eq!(bed.events(Action::GrantExpired).await, 1);
}

async fn a_grant_is_ended_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let grant = bed.grant(&cluster, devs()).await;
    work::settle(&bed, grant.id, true).await;
    let end = async |why, now| bed.store.end_grant(grant.id, why, draft(Action::GrantRevoked), now).await.unwrap();
    assert!(end(EndReason::Revoked, later(5)).await);
    assert!(!end(EndReason::Expired, later(6)).await);
    let ended = bed.look(&grant).await;
    assert_eq!((ended.ended, ended.state), (Some(EndReason::Revoked), GrantState::Removing));
    assert_eq!(ended.state_since, later(5));
    assert_eq!(bed.events(Action::GrantRevoked).await, 1);
    assert_eq!(bed.store.claim_due_grants(later(5), MINUTE, 5).await.unwrap().len(), 1);
    let unknown = bed.store.end_grant(GrantId::new(), EndReason::Revoked, draft(Action::GrantRevoked), NOW).await;
    assert!(matches!(unknown.unwrap_err(), StoreError::NotFound));
}

async fn what_has_run_out_is_ended_with_an_event_each(bed: Bed) {
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    let mut ids = Vec::new();
    for (n, grantee) in [Grantee::Person(bob.id), devs()].into_iter().enumerate() {
        let mut new = new_grant(&cluster, grantee);
        new.expires_at = Some(later(10 + u64::try_from(n).unwrap()));
        ids.push(bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap().id);
    }
    bed.grant(&cluster, Grantee::Group(provider("dex"), "for ever".into())).await;
    assert!(bed.store.expire_grants(later(9), 10).await.unwrap().is_empty());
    assert_eq!(bed.store.expire_grants(later(60), 1).await.unwrap(), [ids[0]], "the longest overdue first");
    assert_eq!(bed.store.expire_grants(later(60), 10).await.unwrap(), [ids[1]]);
    assert!(bed.store.expire_grants(later(60), 10).await.unwrap().is_empty());
    let trail = bed.store.audit_of_cluster(cluster.id, None, 2).await.unwrap();
    let said: Vec<&str> = trail.iter().map(|e| e.target.as_str()).collect();
    assert_eq!(said, ["group devs: view on the whole cluster", "bob@example.com: view on the whole cluster"]);
    assert!(trail.iter().all(|e| e.actor == Actor::Kubelend && e.action == Action::GrantExpired && e.at == later(60)));
    let (ended, _) = bed.store.grant(ids[0]).await.unwrap();
    assert_eq!((ended.ended, ended.state), (Some(EndReason::Expired), GrantState::Removing));
}

async fn two_replicas_end_what_has_run_out_once(bed: Bed) {
    let cluster = bed.cluster().await;
    for n in 0..40 {
        let mut new = new_grant(&cluster, Grantee::Group(provider("dex"), format!("g{n}")));
        new.expires_at = Some(later(10));
        bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
    }
    let other = bed.again().await;
    let (a, b) = tokio::join!(bed.store.expire_grants(later(20), 100), other.expire_grants(later(20), 100));
    assert_eq!(a.unwrap().len() + b.unwrap().len(), 40);
    assert_eq!(bed.events(Action::GrantExpired).await, 40);
}

async fn a_grant_for_nobody_is_refused(bed: Bed) {
    let cluster = bed.cluster().await;
    let new = new_grant(&cluster, Grantee::Person(IdentityId::new()));
    let refused = bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound), "{refused}");
    let mut new = new_grant(&cluster, devs());
    new.scope = Scope::Cluster(kubelend::model::id::ClusterId::new());
    let refused = bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound), "{refused}");
    assert_eq!(bed.events(Action::GrantAdded).await, 0);
}
