//! Custom roles: what becomes of those who hold one when its rules change or it is deleted, and of its ClusterRoles.

use std::time::Duration;

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, Removal},
        custom_role::CustomRole,
        federation::WideScope,
        grant::{EndReason, Grant, GrantState, Grantee},
        group::Holder,
        id::{CustomRoleId, FederatedGrantId, GrantId, IdentityId, WorkspaceId},
        rbac::PolicyRule,
        scope::Scope,
        vouch::Vouch,
    },
    store::{NewCustomRole, NewFederatedGrant, NewGrant, RoleAt, StoreError, Widening},
};

use super::{
    bed::{Bed, MINUTE, NOW, draft, later, new_grant, provider},
    work::done,
};

both!(
    a_custom_role_is_found_where_it_can_be_given_and_its_name_is_taken_once,
    immune_28_nobody_who_holds_a_role_gets_more_by_its_change_without_somebodys_word,
    immune_28_a_role_that_somebody_holds_stays_and_one_that_is_gone_is_given_to_nobody,
    a_cluster_role_that_nothing_needs_is_claimed_once_and_not_while_somebody_holds_it,
);

fn rule(verb: &str, what: &str) -> PolicyRule {
    PolicyRule {
        verbs: vec![verb.into()],
        groups: vec![String::new()],
        resources: vec![what.into()],
        ..PolicyRule::default()
    }
}

async fn make(bed: &Bed, workspace: Option<WorkspaceId>, name: &str, by: IdentityId) -> Result<CustomRole, StoreError> {
    let id = CustomRoleId::new();
    let rules = vec![rule("get", "pods")];
    let new = NewCustomRole { id, workspace, name: name.parse().unwrap(), rules, created_by: by };
    bed.store.add_custom_role(&new, draft(Action::CustomRoleAdded), NOW).await?;
    bed.store.custom_role(id).await
}

fn vouch(role: &CustomRole, owner: Option<IdentityId>) -> Vouch {
    Vouch { rules: [(String::new(), role.rules.clone())].into(), owner }
}

async fn give(bed: &Bed, cluster: &Cluster, role: &CustomRole) -> Result<Grant, StoreError> {
    let grantee = Grantee::Group(provider("dex"), format!("devs-{}", GrantId::new()));
    let new = NewGrant {
        role: Some(role.role.clone()),
        scope: Scope::Cluster(cluster.id),
        vouch: Some(vouch(role, None)),
        ..new_grant(cluster, grantee)
    };
    bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await
}

async fn applied(bed: &Bed, grant: &Grant, wanted: bool) {
    let due = bed.store.claim_grant(grant.id, NOW, MINUTE).await.unwrap();
    assert!(bed.store.settle_grant(&due, wanted, &done(wanted), None, NOW).await.unwrap());
}

async fn a_custom_role_is_found_where_it_can_be_given_and_its_name_is_taken_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let (home, by) = (cluster.workspace, cluster.created_by);
    let own = make(&bed, Some(home), "log-reader", by).await.unwrap();
    let all = make(&bed, None, "log-reader", by).await.unwrap();
    assert_ne!(own.role, all.role, "two of one name are two ClusterRoles");
    assert!(matches!(make(&bed, Some(home), "log-reader", by).await, Err(StoreError::Duplicate(_))));
    assert!(matches!(make(&bed, None, "log-reader", by).await, Err(StoreError::Duplicate(_))));
    let ids = |roles: Vec<CustomRole>| roles.into_iter().map(|role| role.id).collect::<Vec<_>>();
    assert_eq!(ids(bed.store.custom_roles_usable_in(Some(home)).await.unwrap()), [own.id, all.id]);
    assert_eq!(ids(bed.store.custom_roles_usable_in(None).await.unwrap()), [all.id]);
    let of = async |role: &CustomRole, place| bed.store.custom_role_of(&role.role, place).await.unwrap().is_some();
    assert!(of(&own, Some(home)).await && of(&all, Some(home)).await && of(&all, None).await);
    assert!(!of(&own, None).await && !of(&own, Some(WorkspaceId::new())).await);
    assert_eq!(bed.store.custom_role(own.id).await.unwrap(), own);
}

async fn immune_28_nobody_who_holds_a_role_gets_more_by_its_change_without_somebodys_word(bed: Bed) {
    let cluster = bed.cluster().await;
    let role = make(&bed, Some(cluster.workspace), "log-reader", cluster.created_by).await.unwrap();
    let grant = give(&bed, &cluster, &role).await.unwrap();
    applied(&bed, &grant, true).await;
    let wider = [rule("get", "pods"), rule("get", "secrets")];
    let change = async |saw: &CustomRole, rules: &[PolicyRule], widening| {
        bed.store.change_custom_role(saw, rules, widening, draft(Action::CustomRoleChanged), later(1)).await
    };
    assert!(matches!(change(&role, &wider, Widening::Unanswered).await, Err(StoreError::Held)));
    let kept = async || bed.store.vouches(&[grant.id]).await.unwrap().remove(&grant.id).unwrap();
    assert_eq!((bed.store.custom_role(role.id).await.unwrap(), kept().await), (role.clone(), vouch(&role, None)));

    // On an owner's word it is theirs, and every grant of it is looked at again.
    change(&role, &wider, Widening::On(cluster.created_by)).await.unwrap();
    let changed = bed.store.custom_role(role.id).await.unwrap();
    assert_eq!((changed.rules.as_slice(), changed.revision), (&wider[..], 1));
    assert_eq!(kept().await, vouch(&changed, Some(cluster.created_by)));
    assert_eq!(bed.store.grant(grant.id).await.unwrap().0.state, GrantState::Pending);
    // Two at once: one of them.
    assert!(matches!(change(&role, &wider, Widening::None).await, Err(StoreError::Stale)));
    // Less is taken off at once, and nobody answers for that.
    change(&changed, &wider[..1], Widening::None).await.unwrap();
    assert_eq!(kept().await.rules[""], wider, "what was vouched for stays known");
    assert_eq!(bed.number("SELECT COUNT(*) FROM audit_events WHERE action = 'custom_role.changed'").await, 2);

    // Nobody holds it: nobody has to answer.
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    let now = bed.store.custom_role(role.id).await.unwrap();
    change(&now, &wider, Widening::Unanswered).await.unwrap();
}

async fn immune_28_a_role_that_somebody_holds_stays_and_one_that_is_gone_is_given_to_nobody(bed: Bed) {
    let cluster = bed.cluster().await;
    let role = make(&bed, None, "log-reader", cluster.created_by).await.unwrap();
    let wide = NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope: WideScope::Workspace(cluster.workspace),
        namespaces: Vec::new(),
        grantee: Holder::One(Grantee::Group(provider("dex"), "devs".into())),
        role: role.role.clone(),
        expires_at: None,
        reason: None,
        created_by: cluster.created_by,
    };
    bed.store.add_federated_grant(&wide, draft(Action::GrantAdded), NOW).await.unwrap();
    let holders = bed.store.holders_of_role(&role.role, NOW).await.unwrap();
    assert_eq!((holders.count, holders.wide, holders.links, holders.grants.len()), (1, 1, 0, 1));
    let remove = async || bed.store.remove_custom_role(&role, draft(Action::CustomRoleRemoved), NOW).await;
    assert!(matches!(remove().await, Err(StoreError::Held)));
    assert!(bed.store.custom_role(role.id).await.is_ok());
    let over = draft(Action::GrantRevoked);
    bed.store.end_federated_grant(wide.id, EndReason::Revoked, over, NOW).await.unwrap();
    assert!(bed.store.holders_of_role(&role.role, NOW).await.unwrap().are_none());
    remove().await.unwrap();
    remove().await.unwrap();
    assert_eq!(bed.number("SELECT COUNT(*) FROM audit_events WHERE action = 'custom_role.removed'").await, 1);
    assert!(matches!(give(&bed, &cluster, &role).await, Err(StoreError::Stale)));
    let again = NewFederatedGrant { id: FederatedGrantId::new(), ..wide };
    let again = bed.store.add_federated_grant(&again, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(again, Err(StoreError::Stale)));
}

async fn a_cluster_role_that_nothing_needs_is_claimed_once_and_not_while_somebody_holds_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let role = make(&bed, None, "log-reader", cluster.created_by).await.unwrap();
    let grant = give(&bed, &cluster, &role).await.unwrap();
    let at = RoleAt { cluster: cluster.id, namespace: None, name: role.role.as_str() };
    bed.store.begin_role(at, None).await.unwrap();
    bed.store.keep_role(at, ("u", "looks"), None, NOW).await.unwrap();
    // A Role of a namespace stays.
    bed.store.begin_role(RoleAt { namespace: Some("shop"), name: "namespace-viewer", ..at }, None).await.unwrap();
    let claim = async |secs| bed.store.claim_idle_roles(later(secs), Duration::from_secs(20), 10).await.unwrap();
    assert!(claim(0).await.is_empty());
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    assert!(claim(1).await.is_empty(), "its binding may stand still");
    applied(&bed, &grant, false).await;
    let claimed = claim(2).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].0, claimed[0].1.uid.as_deref()), (cluster.id, Some("u")));
    assert!(claim(3).await.is_empty(), "somebody is at it");
    assert!(bed.store.made_role(at).await.unwrap().unwrap().leaving.is_some());
    // Whoever died at it is taken over from, and then has no say.
    let again = claim(30).await;
    bed.store.forget_role(at, claimed[0].1.leaving).await.unwrap();
    assert!(bed.store.made_role(at).await.unwrap().is_some());
    bed.store.keep_needed_role(at, again[0].1.leaving).await.unwrap();
    assert_eq!(bed.store.made_role(at).await.unwrap().unwrap().leaving, None);
    let last = claim(31).await;
    bed.store.forget_role(at, last[0].1.leaving).await.unwrap();
    assert_eq!(bed.store.made_role(at).await.unwrap(), None);
    // Where all is to be left, it is left.
    bed.store.begin_role(at, None).await.unwrap();
    bed.store.ask_removal(cluster.id, Removal::Leave, draft(Action::ClusterRemovalAsked), NOW).await.unwrap();
    assert!(claim(60).await.is_empty());
}
