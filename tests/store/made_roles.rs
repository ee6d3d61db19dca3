//! The roles that Kubelend makes on clusters: by UID, with a mark before one is kept; and whom one that has changed makes due.

use kubelend::{
    model::{
        audit::Action,
        cluster::Cluster,
        grant::{EndReason, Grant, GrantState, Grantee},
        id::GrantId,
        role::Role,
        scope::Scope,
    },
    store::{NewGrant, RoleAt},
};

use super::{
    bed::{Bed, MINUTE, NOW, draft, later, new_grant, provider},
    work::done,
};

both!(
    immune_28_a_role_is_ours_by_a_mark_until_its_uid_is_kept_and_two_attempts_share_one,
    a_role_that_has_changed_makes_those_due_that_need_it_there_and_no_others,
    the_kinds_of_roles_that_are_made_on_a_cluster_show_to_whoever_follows_it,
);

const NAME: &str = "namespace-viewer";

fn at<'a>(cluster: &Cluster, namespace: Option<&'a str>) -> RoleAt<'a> {
    RoleAt { cluster: cluster.id, namespace, name: NAME }
}

async fn immune_28_a_role_is_ours_by_a_mark_until_its_uid_is_kept_and_two_attempts_share_one(bed: Bed) {
    let cluster = bed.cluster().await;
    let (store, shop) = (&bed.store, at(&cluster, Some("shop")));
    assert_eq!(store.made_role(shop).await.unwrap(), None);
    let first = store.begin_role(shop, None).await.unwrap();
    assert_eq!((first.uid.as_deref(), first.mark.len(), first.namespace.as_deref()), (None, 32, Some("shop")));
    // Another one that found nothing either, then or after a death.
    assert_eq!(store.begin_role(shop, None).await.unwrap(), first);
    let made = Some(draft(Action::RoleMade));
    store.keep_role(shop, ("u", "looks"), made.clone(), NOW).await.unwrap();
    let kept = store.made_role(shop).await.unwrap().unwrap();
    assert!(kept.stands_as("u", "looks") && kept.is("u", None) && !kept.is("v", Some(&first.mark)));
    // The slower one finds the same object, and keeps it again; one of another UID is not kept.
    store.keep_role(shop, ("v", "looks"), made, NOW).await.unwrap();
    assert_eq!(store.made_role(shop).await.unwrap().unwrap(), kept);
    assert_eq!(bed.number("SELECT COUNT(*) FROM audit_events WHERE action = 'role.made'").await, 1);
    assert_eq!(store.begin_role(shop, None).await.unwrap(), kept, "somebody was quicker");
    assert_eq!(store.begin_role(shop, Some("older")).await.unwrap(), kept);
    // It is gone: forgotten, and whatever bears the old mark is a copy.
    let anew = store.begin_role(shop, Some("u")).await.unwrap();
    assert!(anew.uid.is_none() && anew.mark != first.mark && !anew.is("u", Some(&first.mark)));
    store.begin_role(at(&cluster, None), None).await.unwrap();
    assert_eq!(store.made_roles(cluster.id).await.unwrap().len(), 2);
}

async fn give(bed: &Bed, cluster: &Cluster, role: Role, namespaces: &[&str]) -> Grant {
    let names = namespaces.iter().map(|name| name.parse().unwrap()).collect();
    let grantee = Grantee::Group(provider("dex"), format!("devs-{}", GrantId::new()));
    let new = NewGrant { role: Some(role), scope: Scope::new(cluster.id, names), ..new_grant(cluster, grantee) };
    bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap()
}

async fn applied(bed: &Bed, grant: &Grant) {
    let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    assert!(bed.store.settle_grant(&due, true, &done(true), None, NOW).await.unwrap());
}

async fn state(bed: &Bed, grant: &Grant) -> GrantState {
    bed.store.grant(grant.id).await.unwrap().0.state
}

async fn a_role_that_has_changed_makes_those_due_that_need_it_there_and_no_others(bed: Bed) {
    let cluster = bed.cluster().await;
    let viewer = || Role::local(NAME).unwrap();
    let here = give(&bed, &cluster, viewer(), &["bank", "shop"]).await;
    let elsewhere = give(&bed, &cluster, viewer(), &["shopping"]).await;
    let other = give(&bed, &cluster, Role::local("namespace-editor").unwrap(), &["shop"]).await;
    let named = give(&bed, &cluster, Role::named(NAME).unwrap(), &["shop"]).await;
    let over = give(&bed, &cluster, viewer(), &["shop"]).await;
    for grant in [&here, &elsewhere, &other, &named, &over] {
        applied(&bed, grant).await;
    }
    bed.store.end_grant(over.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    assert_eq!(bed.store.note_role_drift(at(&cluster, Some("shop")), later(1)).await.unwrap(), 1);
    assert_eq!(state(&bed, &here).await, GrantState::Pending);
    for untouched in [&elsewhere, &other, &named] {
        assert_eq!(state(&bed, untouched).await, GrantState::Applied);
    }
    // An attempt that may have looked before it changed does not count.
    let due = bed.store.claim_grant(here.id, later(2), MINUTE).await.unwrap();
    assert_eq!(bed.store.note_role_drift(at(&cluster, Some("shop")), later(3)).await.unwrap(), 1);
    assert!(!bed.store.settle_grant(&due, true, &done(true), None, later(3)).await.unwrap());
    let again = bed.store.claim_due_grants(later(3), MINUTE, 10).await.unwrap();
    assert!(again.iter().any(|due| due.id == here.id));
    // A ClusterRole is needed wherever it is given.
    assert_eq!(bed.store.note_role_drift(at(&cluster, None), later(4)).await.unwrap(), 1);
    assert_eq!(state(&bed, &named).await, GrantState::Pending);
}

async fn the_kinds_of_roles_that_are_made_on_a_cluster_show_to_whoever_follows_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let version = async || bed.store.hold_watches("a", NOW, MINUTE).await.unwrap()[0].1;
    let none = version().await;
    bed.store.begin_role(at(&cluster, Some("shop")), None).await.unwrap();
    let local = version().await;
    bed.store.begin_role(at(&cluster, Some("bank")), None).await.unwrap();
    assert_eq!((version().await, local), (local, none + 2), "a kind that is watched already changes nothing");
    bed.store.begin_role(at(&cluster, None), None).await.unwrap();
    assert_ne!(version().await, local);
}
