//! What a link's owner decides: for whom, how often, a rest, other rules, and its end with or without what it gave.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
};

use kubelend::{
    model::{
        audience::Audience,
        audit::Action,
        grant::{EndReason, GrantState, Grantee},
        identity::Identity,
        rbac::PolicyRule,
        reason::Reason,
        role::Role,
        scope::Scope,
        share_link::{LinkRules, LinkState, ShareLink},
        vouch::Vouch,
    },
    store::{Accepted, GrantFilter, NewLink, StoreError},
};

use super::bed::{Bed, NOW, claims, draft, grant_of_link, later, new_link, provider, rules};

both!(
    immune_25_of_two_who_want_the_last_use_at_the_same_moment_exactly_one_gets_it_200_times,
    immune_25_ten_people_want_three_uses_over_two_replicas,
    immune_25_whoever_is_taken_off_the_list_at_the_same_moment_gets_nothing,
    immune_15_the_list_is_asked_again_when_the_access_is_given,
    a_used_up_link_opens_again_when_more_are_let_in,
    a_resting_link_gives_nothing_until_it_is_opened_again,
    rules_change_and_what_was_given_stays,
    immune_28_an_offer_that_was_changed_meanwhile_is_not_given,
    a_revoked_link_is_changed_no_more,
    revoking_with_the_access_takes_all_that_lives_and_says_so,
    a_list_of_nobodys_is_not_for_anyone,
    immune_28_what_a_role_let_do_goes_with_the_link_to_what_it_gives,
);

async fn accept(bed: &Bed, link: &ShareLink, by: &Identity) -> Accepted {
    let grant = grant_of_link(link, by.id, NOW);
    bed.store.accept_link(link.id, by, &grant, draft(Action::LinkAccepted), NOW).await.unwrap()
}

fn at_most(uses: u32, cluster: &kubelend::model::cluster::Cluster) -> LinkRules {
    LinkRules { max_uses: NonZeroU32::new(uses), ..rules(cluster) }
}

async fn immune_25_of_two_who_want_the_last_use_at_the_same_moment_exactly_one_gets_it_200_times(bed: Bed) {
    let cluster = bed.cluster().await;
    let replicas = [bed.store.clone(), bed.again().await];
    let people = [bed.person("bob").await, bed.person("carol").await];
    for round in 0..200 {
        let link = bed.link_with(&cluster, at_most(1, &cluster)).await;
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(2));
        let two = people.iter().zip(&replicas).map(|(who, store)| {
            let (who, store, start) = (who.clone(), store.clone(), start.clone());
            let (id, grant) = (link.id, grant_of_link(&link, who.id, NOW));
            tokio::spawn(async move {
                start.wait().await;
                store.accept_link(id, &who, &grant, draft(Action::LinkAccepted), NOW).await.unwrap()
            })
        });
        let [one, other]: [Accepted; 2] = futures_util::future::try_join_all(two).await.unwrap().try_into().unwrap();
        let won = |outcome: &Accepted| matches!(outcome, Accepted::New(_));
        let lost = |outcome: &Accepted| matches!(outcome, Accepted::Closed);
        assert!((won(&one) && lost(&other)) || (lost(&one) && won(&other)), "round {round}: {one:?} {other:?}");
        let after = bed.store.link(link.id).await.unwrap();
        assert_eq!((after.uses, after.state(NOW)), (1, LinkState::UsedUp), "round {round}");
    }
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 200);
    assert_eq!(bed.number("SELECT COUNT(*) FROM link_acceptances").await, 200);
    assert_eq!(bed.events(Action::LinkAccepted).await, 200);
}

async fn immune_25_ten_people_want_three_uses_over_two_replicas(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link_with(&cluster, at_most(3, &cluster)).await;
    let replicas = [bed.store.clone(), bed.again().await];
    let mut accepting = Vec::new();
    for n in 0..10 {
        let who = bed.person(&format!("p{n}")).await;
        let (store, id, grant) = (replicas[n % 2].clone(), link.id, grant_of_link(&link, who.id, NOW));
        accepting.push(tokio::spawn(async move {
            store.accept_link(id, &who, &grant, draft(Action::LinkAccepted), NOW).await.unwrap()
        }));
    }
    let outcomes = futures_util::future::try_join_all(accepting).await.unwrap();
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Accepted::New(_))).count(), 3);
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Accepted::Closed)).count(), 7);
    assert_eq!(bed.store.link(link.id).await.unwrap().uses, 3);
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 3);
}

async fn immune_25_whoever_is_taken_off_the_list_at_the_same_moment_gets_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let (store, id, grant) = (bed.store.clone(), link.id, grant_of_link(&link, bob.id, NOW));
    let listing =
        format!("UPDATE share_links SET audience = 'carol@example.com', audience_provider = 'dex' WHERE id = '{id}'");
    let accepting = async move { store.accept_link(id, &bob, &grant, draft(Action::LinkAccepted), NOW).await };
    assert!(matches!(bed.meanwhile(&listing, Box::pin(accepting)).await.unwrap(), Accepted::Closed));
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 0);
}

async fn immune_15_the_list_is_asked_again_when_the_access_is_given(bed: Bed) {
    let cluster = bed.cluster().await;
    let guests = Audience::parse_guests("bob@example.com, group:ops").unwrap();
    let audience = Audience::Listed(provider("dex"), guests);
    let link = bed.link_with(&cluster, LinkRules { audience, ..rules(&cluster) }).await;
    let mut unverified = claims("bob");
    (unverified.email_verified, unverified.groups) = (false, vec!["Ops".into(), "oidc:ops".into()]);
    for stranger in [bed.signs_in(&unverified).await, bed.person("mallory").await] {
        assert!(matches!(accept(&bed, &link, &stranger).await, Accepted::Closed), "{}", stranger.display());
    }
    let mut elsewhere = claims("eve");
    (elsewhere.provider, elsewhere.groups) = (provider("other"), vec!["ops".into()]);
    assert!(matches!(accept(&bed, &link, &bed.signs_in(&elsewhere).await).await, Accepted::Closed));
    let bob = bed.person("bob").await;
    assert!(matches!(accept(&bed, &link, &bob).await, Accepted::New(_)));
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 1);
}

async fn a_used_up_link_opens_again_when_more_are_let_in(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link_with(&cluster, at_most(1, &cluster)).await;
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    assert!(matches!(accept(&bed, &link, &bob).await, Accepted::New(_)));
    assert!(matches!(accept(&bed, &link, &bob).await, Accepted::Before(_)), "what they hold, they hold");
    assert!(matches!(accept(&bed, &link, &carol).await, Accepted::Closed));
    bed.store.change_link(link.id, &at_most(2, &cluster), None, draft(Action::LinkChanged), NOW).await.unwrap();
    assert!(matches!(accept(&bed, &link, &carol).await, Accepted::New(_)));
}

async fn a_resting_link_gives_nothing_until_it_is_opened_again(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    for at in [1, 2] {
        bed.store.rest_link(link.id, true, draft(Action::LinkPaused), later(at)).await.unwrap();
    }
    assert_eq!(bed.store.link(link.id).await.unwrap().paused_at, Some(later(1)), "since the first time");
    assert!(matches!(accept(&bed, &link, &bob).await, Accepted::Closed));
    for _ in 0..2 {
        bed.store.rest_link(link.id, false, draft(Action::LinkResumed), NOW).await.unwrap();
    }
    assert!(matches!(accept(&bed, &link, &bob).await, Accepted::New(_)));
    assert_eq!((bed.events(Action::LinkPaused).await, bed.events(Action::LinkResumed).await), (1, 1));
}

async fn rules_change_and_what_was_given_stays(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    let Accepted::New(before) = accept(&bed, &link, &bob).await else { panic!("not new") };
    let shop = Scope::Namespaces(cluster.id, vec!["shop".parse().unwrap()]);
    let other = LinkRules {
        role: Role::named("log-reader").ok(),
        scope: shop.clone(),
        access_lasts: None,
        note: "read first".parse().ok(),
        reason: Reason::read("on call").unwrap(),
        ..rules(&cluster)
    };
    for _ in 0..2 {
        bed.store.change_link(link.id, &other, None, draft(Action::LinkChanged), NOW).await.unwrap();
    }
    let changed = bed.store.link(link.id).await.unwrap();
    assert_eq!((&changed.rules, changed.uses, changed.created_at), (&other, 1, link.created_at));
    assert_eq!(bed.events(Action::LinkChanged).await, 1, "the same once more is no change");
    assert_eq!(bed.look(&before).await, before);
    let Accepted::New(after) = accept(&bed, &changed, &carol).await else { panic!("not new") };
    assert_eq!((&after.role, &after.scope, after.expires_at), (&other.role, &shop, None));
    let held = bed.store.held_of_link(&changed, NOW).await.unwrap();
    assert_eq!(held, [(other.role.clone(), shop, 1), (Some(Role::View), Scope::Cluster(cluster.id), 1)]);
    let page = bed.store.grants_of_cluster(cluster.id, &GrantFilter::default(), None, 10).await.unwrap();
    assert!(page.rows.iter().any(|(grant, _)| grant.role == other.role), "and is listed with its name");
}

async fn immune_28_what_a_role_let_do_goes_with_the_link_to_what_it_gives(bed: Bed) {
    let cluster = bed.cluster().await;
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    let vouch = |verb: &str, owner| {
        let rule = PolicyRule { verbs: vec![verb.into()], resources: vec!["pods".into()], ..PolicyRule::default() };
        Vouch { rules: BTreeMap::from([(String::new(), vec![rule])]), owner }
    };
    let named = LinkRules { role: Role::named("log-reader").ok(), ..rules(&cluster) };
    let first = vouch("get", None);
    let new = NewLink { rules: named.clone(), vouch: Some(first.clone()), ..new_link(&cluster) };
    let link = bed.store.add_link(&new, draft(Action::LinkCreated), NOW).await.unwrap();
    assert_eq!(link.vouch.as_ref(), Some(&first));
    let Accepted::New(before) = accept(&bed, &link, &bob).await else { panic!("not new") };
    // What it is now, and on whose word, is what is given from now on; what was given stays as it was.
    let second = vouch("*", Some(cluster.created_by));
    bed.store.change_link(link.id, &named, Some(&second), draft(Action::LinkChanged), NOW).await.unwrap();
    let changed = bed.store.link(link.id).await.unwrap();
    assert_eq!(changed.vouch.as_ref(), Some(&second));
    let stale = bed
        .store
        .accept_link(link.id, &carol, &grant_of_link(&link, carol.id, NOW), draft(Action::LinkAccepted), NOW)
        .await;
    assert!(matches!(stale.unwrap_err(), StoreError::Stale), "drafted by what it was");
    let Accepted::New(after) = accept(&bed, &changed, &carol).await else { panic!("not new") };
    let plain = bed.grant(&cluster, Grantee::Group(provider("dex"), "devs".into())).await;
    let kept = bed.store.vouches(&[before.id, after.id, plain.id]).await.unwrap();
    assert_eq!(kept, HashMap::from([(before.id, first), (after.id, second)]));
}

async fn immune_28_an_offer_that_was_changed_meanwhile_is_not_given(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let less = LinkRules { access_lasts: Some(super::bed::MINUTE), ..rules(&cluster) };
    bed.store.change_link(link.id, &less, None, draft(Action::LinkChanged), NOW).await.unwrap();
    // Drafted by what the link gave before.
    let grant = grant_of_link(&link, bob.id, NOW);
    let refused = bed.store.accept_link(link.id, &bob, &grant, draft(Action::LinkAccepted), NOW).await;
    assert!(matches!(refused.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 0);
}

async fn a_revoked_link_is_changed_no_more(bed: Bed) {
    let (cluster, other) = (bed.cluster().await, bed.cluster().await);
    let link = bed.link(&cluster).await;
    let elsewhere = bed.store.change_link(link.id, &rules(&other), None, draft(Action::LinkChanged), NOW).await;
    assert!(matches!(elsewhere.unwrap_err(), StoreError::Stale), "nor does it move to another cluster");
    bed.store.revoke_link(link.id, draft(Action::LinkRevoked), NOW).await.unwrap();
    let changed = bed.store.change_link(link.id, &at_most(9, &cluster), None, draft(Action::LinkChanged), NOW).await;
    assert!(matches!(changed.unwrap_err(), StoreError::Stale));
    let rested = bed.store.rest_link(link.id, true, draft(Action::LinkPaused), NOW).await;
    assert!(matches!(rested.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.store.link(link.id).await.unwrap().rules, link.rules);
    assert_eq!(bed.events(Action::LinkChanged).await + bed.events(Action::LinkPaused).await, 0);
}

async fn revoking_with_the_access_takes_all_that_lives_and_says_so(bed: Bed) {
    let cluster = bed.cluster().await;
    let (link, other) = (bed.link(&cluster).await, bed.link(&cluster).await);
    let mut given = Vec::new();
    for n in 0..40 {
        let Accepted::New(grant) = accept(&bed, &link, &bed.person(&format!("p{n}")).await).await else {
            panic!("not new")
        };
        given.push(grant);
    }
    let Accepted::New(theirs) = accept(&bed, &other, &bed.person("p0").await).await else { panic!("not new") };
    bed.store.end_grant(given[0].id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    assert_eq!(bed.store.held_of_link(&link, NOW).await.unwrap()[0].2, 39);
    let ended = bed.store.revoke_link_and_access(link.id, draft(Action::LinkRevoked), NOW).await.unwrap();
    assert_eq!(ended.len(), 39);
    for grant in &given[1..] {
        let now = bed.look(grant).await;
        assert_eq!((now.ended, now.state), (Some(EndReason::Revoked), GrantState::Removing));
    }
    assert!(bed.look(&theirs).await.ended.is_none(), "another link's access is another's");
    assert_eq!(bed.store.link(link.id).await.unwrap().state(NOW), LinkState::Revoked);
    assert_eq!(bed.store.held_of_link(&link, NOW).await.unwrap(), []);
    assert_eq!((bed.events(Action::LinkRevoked).await, bed.events(Action::GrantRevoked).await), (1, 40));
    let again = bed.store.revoke_link_and_access(link.id, draft(Action::LinkRevoked), NOW).await.unwrap();
    assert_eq!((again, bed.events(Action::LinkRevoked).await, bed.events(Action::GrantRevoked).await), (vec![], 1, 40));
}

async fn a_list_of_nobodys_is_not_for_anyone(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    for half in ["audience = 'bob@example.com', audience_provider = NULL", "audience = '', audience_provider = 'dex'"] {
        bed.run(&format!("UPDATE share_links SET {half}")).await;
        assert!(matches!(bed.store.link(link.id).await.unwrap_err(), StoreError::Corrupt(_)), "{half}");
    }
}
