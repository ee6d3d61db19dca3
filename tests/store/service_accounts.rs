//! ServiceAccounts and the leases of their tokens.

use std::time::Duration;

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, Removal},
        grant::{GrantState, Grantee},
        id::{LeaseId, ServiceAccountId},
        service_account::{LeaseEnd, ServiceAccount, TokenLife},
        time::Timestamp,
    },
    store::{AccountOutcome, GrantFilter, NewLease, NewServiceAccount, StoreError},
};

use super::bed::{Bed, MINUTE, NOW, draft, later, provider};

both!(
    an_account_is_made_once_of_a_name_until_it_is_off_the_cluster,
    a_grant_to_an_account_is_one_like_any_other_and_ends_with_it,
    a_lease_is_handed_out_once_and_only_while_nobody_has_ended_it,
    immune_20_what_runs_out_or_is_never_handed_out_ends_with_an_event_and_its_secret_is_work,
    immune_20_an_attempt_that_a_revocation_overtakes_settles_nothing,
    an_account_that_is_another_object_takes_its_leases_with_it,
    a_cluster_goes_with_its_accounts_or_leaves_them,
);

fn new(cluster: &Cluster, name: &str) -> NewServiceAccount {
    NewServiceAccount {
        id: ServiceAccountId::new(),
        cluster: cluster.id,
        name: name.parse().unwrap(),
        created_by: cluster.created_by,
    }
}

async fn add(bed: &Bed, cluster: &Cluster, name: &str) -> Result<ServiceAccountId, StoreError> {
    let new = new(cluster, name);
    bed.store.add_service_account(&new, draft(Action::AccountAdded), NOW).await.map(|()| new.id)
}

fn done(state: GrantState, uid: Option<&str>, gone: Vec<LeaseId>) -> AccountOutcome {
    AccountOutcome { state, detail: None, retry_at: None, uid: uid.map(Into::into), gone }
}

/// Claims an account and settles it so.
async fn settle(bed: &Bed, id: ServiceAccountId, wanted: bool, outcome: &AccountOutcome, now: Timestamp) -> bool {
    let due = bed.store.claim_account(id, now, MINUTE).await.unwrap();
    bed.store.settle_account(&due, wanted, outcome, None, now).await.unwrap()
}

/// One that stands.
async fn standing(bed: &Bed, cluster: &Cluster, name: &str) -> ServiceAccountId {
    let id = add(bed, cluster, name).await.unwrap();
    assert!(settle(bed, id, true, &done(GrantState::Applied, Some("u1"), vec![]), NOW).await);
    id
}

async fn lease(bed: &Bed, account: &ServiceAccount, now: Timestamp) -> Result<LeaseId, StoreError> {
    let new = NewLease {
        id: LeaseId::new(),
        account: account.id,
        lasts: TokenLife::USUAL,
        created_by: account.created_by,
        wait_until: now.plus(Duration::from_secs(15)),
    };
    bed.store.add_lease(&new, draft(Action::TokenIssued), now).await.map(|()| new.id)
}

async fn delete(bed: &Bed, id: ServiceAccountId) -> bool {
    let (event, grant) = (draft(Action::AccountDeleted), draft(Action::GrantRevoked));
    bed.store.end_service_account(id, event, grant, later(5)).await.unwrap()
}

async fn due_at(bed: &Bed, now: Timestamp) -> Vec<ServiceAccountId> {
    bed.store.claim_due_accounts(now, MINUTE, 100).await.unwrap().iter().map(|due| due.id).collect()
}

async fn an_account_is_made_once_of_a_name_until_it_is_off_the_cluster(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = add(&bed, &cluster, "shop/ci").await.unwrap();
    let made = bed.store.service_account(id).await.unwrap();
    assert_eq!((made.name.to_string().as_str(), made.state, made.uid), ("shop/ci", GrantState::Pending, None));
    assert!(matches!(add(&bed, &cluster, "shop/ci").await.unwrap_err(), StoreError::Duplicate(_)));
    assert_eq!(bed.events(Action::AccountAdded).await, 1, "what was refused leaves no event");
    add(&bed, &cluster, "bank/ci").await.unwrap();
    assert_eq!(due_at(&bed, NOW).await.len(), 2);
    assert!(due_at(&bed, NOW).await.is_empty(), "they are claimed");

    assert!(settle(&bed, id, true, &done(GrantState::Applied, Some("u1"), vec![]), NOW).await);
    assert_eq!(bed.store.service_account(id).await.unwrap().uid.as_deref(), Some("u1"));
    assert!(delete(&bed, id).await && !delete(&bed, id).await, "once");
    assert_eq!(bed.events(Action::AccountDeleted).await, 1);
    assert!(matches!(add(&bed, &cluster, "shop/ci").await.unwrap_err(), StoreError::Duplicate(_)), "it stands still");
    assert_eq!(due_at(&bed, later(5)).await, [id]);
    assert!(settle(&bed, id, false, &done(GrantState::Removed, None, vec![]), later(6)).await);
    assert_ne!(add(&bed, &cluster, "shop/ci").await.unwrap(), id);
    let names = bed.store.service_accounts(cluster.id, NOW).await.unwrap();
    let names: Vec<String> = names.iter().map(|(account, _)| account.name.to_string()).collect();
    assert_eq!(names, ["bank/ci", "shop/ci"]);
}

async fn a_grant_to_an_account_is_one_like_any_other_and_ends_with_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = standing(&bed, &cluster, "shop/ci").await;
    let to = |name: &str| Grantee::ServiceAccount(name.parse().unwrap());
    let (its, others) = (bed.grant(&cluster, to("shop/ci")).await, bed.grant(&cluster, to("shop/ci2")).await);
    let group = bed.grant(&cluster, Grantee::Group(provider("dex"), "shop/ci".into())).await;
    assert_eq!(bed.look(&its).await, its);
    let listed = async |filter: GrantFilter| {
        let page = bed.store.grants_of_cluster(cluster.id, &filter, None, 10).await.unwrap();
        page.rows.iter().map(|(grant, _)| grant.id).collect::<Vec<_>>()
    };
    let text = Some("shop/ci".to_owned());
    assert_eq!(listed(GrantFilter { accounts: true, ..GrantFilter::default() }).await, [others.id, its.id]);
    assert_eq!(listed(GrantFilter { people: Some(false), ..GrantFilter::default() }).await, [group.id]);
    assert!(listed(GrantFilter { people: Some(true), ..GrantFilter::default() }).await.is_empty());
    assert_eq!(listed(GrantFilter { text, ..GrantFilter::default() }).await, [group.id, others.id, its.id]);
    let counted = bed.store.count_grantees(&[cluster.id], NOW).await.unwrap();
    assert_eq!(counted, [(cluster.id, 0, 1)], "it is neither a person nor a group");

    assert!(delete(&bed, id).await);
    assert_eq!(bed.look(&its).await.state, GrantState::Removing, "nobody inherits it by the name");
    assert_eq!(
        (bed.look(&others).await.state, bed.look(&group).await.state),
        (GrantState::Pending, GrantState::Pending)
    );
    assert_eq!(bed.events(Action::GrantRevoked).await, 1);
}

async fn a_lease_is_handed_out_once_and_only_while_nobody_has_ended_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = standing(&bed, &cluster, "shop/ci").await;
    let account = bed.store.service_account(id).await.unwrap();
    let first = lease(&bed, &account, NOW).await.unwrap();
    let again = NewLease {
        id: first,
        account: id,
        lasts: TokenLife::LONGEST,
        created_by: cluster.created_by,
        wait_until: later(15),
    };
    let again = bed.store.add_lease(&again, draft(Action::TokenIssued), NOW).await.unwrap_err();
    assert!(matches!(again, StoreError::Duplicate(_)));
    assert!(bed.store.keep_lease_secret(first, "s1").await.unwrap());
    assert!(bed.store.issue_lease(first, later(3_600), later(1)).await.unwrap());
    let stored = bed.store.lease(first).await.unwrap();
    assert_eq!((stored.issued_at, stored.expires_at, stored.ended), (Some(later(1)), later(3_600), None));
    assert_eq!((stored.secret_uid.as_deref(), stored.lasts), (Some("s1"), TokenLife::USUAL));

    // Whoever is overtaken hands out nothing.
    let second = lease(&bed, &account, NOW).await.unwrap();
    let revoke = |lease| bed.store.end_lease(lease, LeaseEnd::Revoked, draft(Action::TokenRevoked), later(2));
    assert!(revoke(second).await.unwrap() && !revoke(second).await.unwrap());
    assert_eq!(bed.events(Action::TokenRevoked).await, 1);
    assert!(!bed.store.keep_lease_secret(second, "s2").await.unwrap());
    assert!(!bed.store.issue_lease(second, later(3_600), later(3)).await.unwrap());
    let third = lease(&bed, &account, NOW).await.unwrap();
    assert!(!bed.store.issue_lease(third, later(3_600), later(15)).await.unwrap(), "it took too long");
    // The second one is over, the third is still being made.
    let counted = bed.store.service_accounts(cluster.id, later(3)).await.unwrap();
    assert_eq!(counted[0].1, 2);

    for _ in 2..20 {
        lease(&bed, &account, NOW).await.unwrap();
    }
    assert!(matches!(lease(&bed, &account, NOW).await.unwrap_err(), StoreError::Full(_)));
    assert!(delete(&bed, id).await);
    assert!(matches!(lease(&bed, &account, NOW).await.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.store.lease(first).await.unwrap().ended, Some(LeaseEnd::AccountDeleted));
}

async fn immune_20_what_runs_out_or_is_never_handed_out_ends_with_an_event_and_its_secret_is_work(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = standing(&bed, &cluster, "shop/ci").await;
    let account = bed.store.service_account(id).await.unwrap();
    let (issued, lost) = (lease(&bed, &account, NOW).await.unwrap(), lease(&bed, &account, NOW).await.unwrap());
    assert!(bed.store.issue_lease(issued, later(600), NOW).await.unwrap());
    assert_eq!(bed.store.expire_leases(later(14), 10).await.unwrap(), 0);
    assert!(due_at(&bed, later(14)).await.is_empty());
    // The process that made it has died.
    assert_eq!(bed.store.expire_leases(later(15), 10).await.unwrap(), 1);
    assert_eq!(bed.store.expire_leases(later(15), 10).await.unwrap(), 0);
    assert_eq!(bed.store.lease(lost).await.unwrap().ended, Some(LeaseEnd::NotMade));
    assert_eq!(due_at(&bed, later(15)).await, [id]);
    let ids = async || {
        let left = bed.store.leases_to_remove(id, 10).await.unwrap();
        left.iter().map(|lease| lease.id).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, [lost]);
    assert!(settle(&bed, id, true, &done(GrantState::Applied, None, vec![lost]), later(16)).await);
    assert!(ids().await.is_empty());
    assert_eq!(bed.store.service_account(id).await.unwrap().uid.as_deref(), Some("u1"), "it is kept");
    assert_eq!(bed.store.expire_leases(later(600), 10).await.unwrap(), 1);
    assert_eq!(bed.store.lease(issued).await.unwrap().ended, Some(LeaseEnd::Expired));
    assert_eq!((bed.events(Action::TokenEnded).await, ids().await), (2, vec![issued]));
    bed.store.sweep_leases(later(17)).await.unwrap();
    assert!(matches!(bed.store.lease(lost).await.unwrap_err(), StoreError::NotFound));
    assert!(bed.store.lease(issued).await.is_ok(), "its Secret may stand still");
}

async fn immune_20_an_attempt_that_a_revocation_overtakes_settles_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = standing(&bed, &cluster, "shop/ci").await;
    let account = bed.store.service_account(id).await.unwrap();
    let lease = lease(&bed, &account, NOW).await.unwrap();
    let due = bed.store.claim_account(id, NOW, MINUTE).await.unwrap();
    assert!(bed.store.end_lease(lease, LeaseEnd::Revoked, draft(Action::TokenRevoked), later(1)).await.unwrap());
    let outcome = done(GrantState::Applied, Some("u1"), vec![]);
    assert!(!bed.store.settle_account(&due, true, &outcome, None, later(2)).await.unwrap());
    assert_eq!(due_at(&bed, later(2)).await, [id], "the Secret has still to go");
    // And one that is overtaken by the deletion of the account.
    let due = bed.store.claim_account(id, later(3), MINUTE).await.unwrap();
    assert!(delete(&bed, id).await);
    assert!(!bed.store.settle_account(&due, true, &outcome, None, later(6)).await.unwrap());
    let stands = bed.store.service_account(id).await.unwrap();
    assert_eq!((stands.state, due_at(&bed, later(6)).await), (GrantState::Removing, vec![id]));
}

async fn an_account_that_is_another_object_takes_its_leases_with_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let id = standing(&bed, &cluster, "shop/ci").await;
    let account = bed.store.service_account(id).await.unwrap();
    let lease = lease(&bed, &account, NOW).await.unwrap();
    assert!(bed.store.issue_lease(lease, later(600), NOW).await.unwrap());
    assert!(settle(&bed, id, true, &done(GrantState::Applied, Some("u1"), vec![]), later(1)).await);
    assert_eq!(bed.store.lease(lease).await.unwrap().ended, None);
    assert!(settle(&bed, id, true, &done(GrantState::Applied, Some("u2"), vec![]), later(2)).await);
    assert_eq!(bed.store.lease(lease).await.unwrap().ended, Some(LeaseEnd::AccountDeleted));
    assert_eq!(due_at(&bed, later(2)).await, [id]);
}

async fn a_cluster_goes_with_its_accounts_or_leaves_them(bed: Bed) {
    const QUIET: Duration = Duration::from_secs(10);
    let owner = bed.person("olga").await;
    let (purged, left) = (bed.cluster_of(&owner, "purged").await, bed.cluster_of(&owner, "left").await);
    let (one, other) = (standing(&bed, &purged, "shop/ci").await, standing(&bed, &left, "shop/ci").await);
    let account = bed.store.service_account(other).await.unwrap();
    lease(&bed, &account, NOW).await.unwrap();
    for (cluster, how) in [(&purged, Removal::Purge), (&left, Removal::Leave)] {
        bed.store.ask_removal(cluster.id, how, draft(Action::ClusterRemovalAsked), later(5)).await.unwrap();
        assert!(matches!(add(&bed, cluster, "shop/new").await.unwrap_err(), StoreError::Stale));
    }
    assert_eq!(bed.store.service_account(other).await.unwrap().state, GrantState::Removed);
    assert_eq!(due_at(&bed, later(5)).await, [one], "what is left is not touched");
    assert_eq!(bed.store.finish_removals(later(60), QUIET).await.unwrap(), 1);
    assert!(matches!(bed.store.service_account(other).await.unwrap_err(), StoreError::NotFound));
    assert!(bed.store.service_account(one).await.is_ok());
    assert!(settle(&bed, one, false, &done(GrantState::Removed, None, vec![]), later(60)).await);
    assert_eq!(bed.store.finish_removals(later(61), QUIET).await.unwrap(), 0, "an attempt may be under way");
    assert_eq!(bed.store.finish_removals(later(71), QUIET).await.unwrap(), 1);
    assert!(matches!(bed.store.service_account(one).await.unwrap_err(), StoreError::NotFound));
}
