//! Share links, and people who accept them one by one, all at once, and while something else happens.

use std::{num::NonZeroU32, time::Duration};

use kubelend::{
    crypto::HashedToken,
    model::{
        audience::Audience,
        audit::Action,
        grant::{EndReason, Grantee, Origin},
        id::{ClusterId, ShareLinkId},
        reason::Reason,
        role::Role,
        scope::Scope,
        share_link::{LinkRules, LinkState},
    },
    store::{Accepted, NewLink, StoreError},
};

use super::bed::{Bed, NOW, draft, grant_of_link, later, new_grant, new_link, provider, rules};

both!(
    a_link_comes_back_as_it_was_made,
    links_are_listed_newest_first_and_open_ones_counted,
    accepting_gives_a_grant_and_counts_one_use,
    accepting_twice_is_once,
    what_was_given_and_ended_is_not_given_again,
    a_link_that_is_closed_gives_nothing,
    immune_25_twenty_people_at_once_are_twenty_uses,
    immune_25_one_person_twenty_times_at_once_is_one_use,
    immune_25_a_revocation_at_the_same_moment_leaves_uses_and_grants_equal,
    immune_25_a_link_that_is_just_being_revoked_gives_nothing,
    immune_25_whoever_goes_away_in_the_middle_leaves_nothing_half_done,
    the_same_access_is_held_by_link_and_by_hand,
    immune_28_a_link_gives_what_it_says_and_to_whom_it_says,
    taking_back_twice_is_once,
    the_latest_fifty_acceptances_are_shown,
);

async fn accept(
    bed: &Bed,
    link: &kubelend::model::share_link::ShareLink,
    by: &kubelend::model::identity::Identity,
) -> Accepted {
    let grant = grant_of_link(link, by.id, NOW);
    bed.store.accept_link(link.id, by, &grant, draft(Action::LinkAccepted), NOW).await.unwrap()
}

async fn a_link_comes_back_as_it_was_made(bed: Bed) {
    let cluster = bed.cluster().await;
    let scope = Scope::Namespaces(cluster.id, vec!["payments".parse().unwrap(), "shop".parse().unwrap()]);
    let guests = "Bob@example.com, @acme.example, group:Site: Reliability, group:a@b";
    let special = LinkRules {
        role: Role::named("acme:log-reader").ok(),
        scope,
        access_lasts: None,
        expires_at: later(7200),
        max_uses: NonZeroU32::new(u32::MAX),
        audience: Audience::Listed(provider("dex"), Audience::parse_guests(guests).unwrap()),
        note: "two\nlines, “quoted”".parse().ok(),
        reason: Reason::read("on call").unwrap(),
    };
    let new = NewLink { rules: special, ..new_link(&cluster) };
    let made = bed.store.add_link(&new, draft(Action::LinkCreated), NOW).await.unwrap();
    assert_eq!(made.rules, new.rules);
    assert_eq!(made.rules.audience.guests().len(), 4);
    assert_eq!((made.uses, made.revoked_at, made.paused_at, made.created_at), (0, None, None, NOW));
    assert_eq!(bed.store.link_by_token(&new.token_hash).await.unwrap(), made);
    assert_eq!(bed.store.link(new.id).await.unwrap(), made);
    let day = bed.link(&cluster).await;
    assert_eq!(day.rules, rules(&cluster));
    let unknown = bed.store.link_by_token(&HashedToken([0; 32])).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound));
    assert!(matches!(bed.store.link(ShareLinkId::new()).await.unwrap_err(), StoreError::NotFound));
    let again = NewLink { id: ShareLinkId::new(), ..new };
    let clash = bed.store.add_link(&again, draft(Action::LinkCreated), NOW).await.unwrap_err();
    assert!(matches!(clash, StoreError::Duplicate(_)));
    assert_eq!(bed.events(Action::LinkCreated).await, 2);
}

async fn links_are_listed_newest_first_and_open_ones_counted(bed: Bed) {
    let (cluster, other) = (bed.cluster().await, bed.cluster().await);
    let mut made = Vec::new();
    for n in 0..4 {
        made.insert(0, bed.link_with(&cluster, LinkRules { expires_at: later(100 + n), ..rules(&cluster) }).await);
    }
    bed.link(&other).await;
    assert_eq!(bed.store.links_of_cluster(cluster.id, None, 3).await.unwrap(), made[..3]);
    assert_eq!(bed.store.links_of_cluster(cluster.id, Some(made[2].id), 3).await.unwrap(), made[3..]);
    assert_eq!(bed.store.link_with_token(made[0].id).await.unwrap(), (made[0].clone(), vec![7, 0, 7]));
    bed.store.revoke_link(made[0].id, draft(Action::LinkRevoked), NOW).await.unwrap();
    let ids = [cluster.id, other.id, ClusterId::new()];
    let mut counted = bed.store.count_open_links(&ids, later(101)).await.unwrap();
    counted.sort_by_key(|(id, _)| *id);
    assert_eq!(counted, [(cluster.id, 1), (other.id, 1)]);
    // What rests or is used up is not open either.
    let spent = bed.link_with(&other, LinkRules { max_uses: NonZeroU32::new(1), ..rules(&other) }).await;
    let resting = bed.link(&other).await;
    assert_eq!(bed.store.count_open_links(&[other.id], NOW).await.unwrap(), [(other.id, 3)]);
    accept(&bed, &spent, &bed.person("bob").await).await;
    bed.store.rest_link(resting.id, true, draft(Action::LinkPaused), NOW).await.unwrap();
    assert_eq!(bed.store.count_open_links(&[other.id], NOW).await.unwrap(), [(other.id, 1)]);
}

async fn accepting_gives_a_grant_and_counts_one_use(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let Accepted::New(grant) = accept(&bed, &link, &bob).await else { panic!("not new") };
    assert_eq!(bed.look(&grant).await, grant);
    assert_eq!((grant.origin, &grant.grantee), (Origin::Link(link.id), &Grantee::Person(bob.id)));
    assert_eq!(grant.expires_at, Some(later(86_400)));
    assert_eq!(bed.store.link(link.id).await.unwrap().uses, 1);
    let accepted = bed.store.acceptances(&[link.id], NOW).await.unwrap();
    assert_eq!((accepted.len(), accepted[0].0), (1, link.id));
    let acceptance = &accepted[0].1;
    assert_eq!((acceptance.identity, acceptance.name.as_str(), acceptance.at), (bob.id, "bob@example.com", NOW));
    assert!(acceptance.holds && !bed.store.acceptances(&[link.id], later(86_400)).await.unwrap()[0].1.holds);
    assert_eq!(bed.store.given_by_link(link.id, bob.id).await.unwrap(), Some(grant));
    assert_eq!(bed.store.given_by_link(link.id, cluster.created_by).await.unwrap(), None);
    assert_eq!(bed.events(Action::LinkAccepted).await, 1);
}

async fn accepting_twice_is_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let Accepted::New(first) = accept(&bed, &link, &bob).await else { panic!("not new") };
    // Also once the link is closed: what they hold, they hold.
    for _ in 0..2 {
        let Accepted::Before(again) = accept(&bed, &link, &bob).await else { panic!("not before") };
        assert_eq!(again.id, first.id);
        bed.store.revoke_link(link.id, draft(Action::LinkRevoked), NOW).await.unwrap();
    }
    assert_eq!(bed.store.link(link.id).await.unwrap().uses, 1);
    assert_eq!(bed.events(Action::LinkAccepted).await, 1);
}

async fn what_was_given_and_ended_is_not_given_again(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    let Accepted::New(grant) = accept(&bed, &link, &bob).await else { panic!("not new") };
    bed.store.end_grant(grant.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    assert!(matches!(accept(&bed, &link, &bob).await, Accepted::Ended));
    accept(&bed, &link, &carol).await;
    let (later_on, audit) = (later(90_000), draft(Action::LinkAccepted));
    let again = grant_of_link(&link, carol.id, later_on);
    let run_out = bed.store.accept_link(link.id, &carol, &again, audit, later_on).await.unwrap();
    assert!(matches!(run_out, Accepted::Ended));
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 2);
}

async fn a_link_that_is_closed_gives_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let (revoked, expired) = (bed.link(&cluster).await, bed.link(&cluster).await);
    let bob = bed.person("bob").await;
    bed.store.revoke_link(revoked.id, draft(Action::LinkRevoked), NOW).await.unwrap();
    assert!(matches!(accept(&bed, &revoked, &bob).await, Accepted::Closed));
    let grant = grant_of_link(&expired, bob.id, later(3600));
    let audit = draft(Action::LinkAccepted);
    let closed = bed.store.accept_link(expired.id, &bob, &grant, audit.clone(), later(3600)).await.unwrap();
    assert!(matches!(closed, Accepted::Closed), "the end itself is closed");
    let unknown = bed.store.accept_link(ShareLinkId::new(), &bob, &grant, audit, NOW).await;
    assert!(matches!(unknown.unwrap_err(), StoreError::NotFound));
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 0);
    assert_eq!(bed.events(Action::LinkAccepted).await, 0);
}

async fn immune_25_twenty_people_at_once_are_twenty_uses(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let mut people = Vec::new();
    for n in 0..20 {
        people.push(bed.person(&format!("p{n}")).await);
    }
    let replicas = [bed.store.clone(), bed.again().await];
    let accepted = futures_util::future::join_all(people.into_iter().enumerate().map(|(n, who)| {
        let (store, grant) = (replicas[n % 2].clone(), grant_of_link(&link, who.id, NOW));
        let link = link.id;
        tokio::spawn(async move { store.accept_link(link, &who, &grant, draft(Action::LinkAccepted), NOW).await })
    }))
    .await;
    for accepted in accepted {
        assert!(matches!(accepted.unwrap().unwrap(), Accepted::New(_)));
    }
    assert_eq!(bed.store.link(link.id).await.unwrap().uses, 20);
    let mut numbers = bed.numbers("SELECT number FROM link_acceptances").await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<i64>>());
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, 20);
}

async fn immune_25_one_person_twenty_times_at_once_is_one_use(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let replicas = [bed.store.clone(), bed.again().await];
    let accepted = futures_util::future::join_all((0..20).map(|n| {
        let (store, grant, link) = (replicas[n % 2].clone(), grant_of_link(&link, bob.id, NOW), link.id);
        let bob = bob.clone();
        tokio::spawn(async move { store.accept_link(link, &bob, &grant, draft(Action::LinkAccepted), NOW).await })
    }))
    .await;
    let (mut new, mut before) = (Vec::new(), Vec::new());
    for accepted in accepted {
        match accepted.unwrap().unwrap() {
            Accepted::New(grant) => new.push(grant.id),
            Accepted::Before(grant) => before.push(grant.id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new.len(), before.len()), (1, 19));
    assert!(before.iter().all(|id| *id == new[0]));
    assert_eq!(bed.store.link(link.id).await.unwrap().uses, 1);
    assert_eq!(bed.events(Action::LinkAccepted).await, 1);
}

/// Uses, acceptances, grants and events tell the same story.
async fn all_agree(bed: &Bed, link: ShareLinkId) -> i64 {
    let uses = bed.store.link(link).await.unwrap().uses;
    assert_eq!(bed.number("SELECT COUNT(*) FROM link_acceptances").await, uses);
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants").await, uses);
    assert_eq!(bed.events(Action::LinkAccepted).await, uses);
    uses
}

async fn immune_25_a_revocation_at_the_same_moment_leaves_uses_and_grants_equal(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let mut people = Vec::new();
    for n in 0..20 {
        people.push(bed.person(&format!("p{n}")).await);
    }
    let accepting: Vec<_> = people
        .into_iter()
        .map(|who| {
            let (store, grant, link) = (bed.store.clone(), grant_of_link(&link, who.id, NOW), link.id);
            tokio::spawn(async move { store.accept_link(link, &who, &grant, draft(Action::LinkAccepted), NOW).await })
        })
        .collect();
    bed.store.revoke_link(link.id, draft(Action::LinkRevoked), NOW).await.unwrap();
    let after = bed.store.link(link.id).await.unwrap().uses;
    for accepted in accepting {
        assert!(matches!(accepted.await.unwrap().unwrap(), Accepted::New(_) | Accepted::Closed));
    }
    assert_eq!(all_agree(&bed, link.id).await, after, "nobody got in after the revocation");
}

async fn immune_25_a_link_that_is_just_being_revoked_gives_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    let bob = bed.person("bob").await;
    let (store, grant, id) = (bed.store.clone(), grant_of_link(&link, bob.id, NOW), link.id);
    let revoking = format!("UPDATE share_links SET revoked_at = {} WHERE id = '{id}'", NOW.millis());
    let accepting = async move { store.accept_link(id, &bob, &grant, draft(Action::LinkAccepted), NOW).await };
    assert!(matches!(bed.meanwhile(&revoking, Box::pin(accepting)).await.unwrap(), Accepted::Closed));
    assert_eq!(all_agree(&bed, id).await, 0);
}

async fn immune_25_whoever_goes_away_in_the_middle_leaves_nothing_half_done(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    for n in 0..40 {
        let person = bed.person(&format!("p{n}")).await;
        let grant = grant_of_link(&link, person.id, NOW);
        let accepting = bed.store.accept_link(link.id, &person, &grant, draft(Action::LinkAccepted), NOW);
        // Cut off at another point each time.
        drop(tokio::time::timeout(Duration::from_micros(50 * n), accepting).await);
    }
    // The last one may still be on its way to being committed, since whoever waited for it has gone: its link is free after that.
    bed.run("UPDATE share_links SET uses = uses").await;
    let got_in = all_agree(&bed, link.id).await;
    let last = bed.person("last").await;
    assert!(matches!(accept(&bed, &link, &last).await, Accepted::New(_)), "and nothing is locked");
    assert_eq!(all_agree(&bed, link.id).await, got_in + 1);
}

async fn the_same_access_is_held_by_link_and_by_hand(bed: Bed) {
    let cluster = bed.cluster().await;
    let (one, two) = (bed.link(&cluster).await, bed.link(&cluster).await);
    let bob = bed.person("bob").await;
    bed.grant(&cluster, Grantee::Person(bob.id)).await;
    for link in [&one, &two] {
        assert!(matches!(accept(&bed, link, &bob).await, Accepted::New(_)));
    }
    assert_eq!(bed.store.grants_reaching(&bob, Some(cluster.id), NOW).await.unwrap().len(), 3);
}

async fn immune_28_a_link_gives_what_it_says_and_to_whom_it_says(bed: Bed) {
    let (cluster, other) = (bed.cluster().await, bed.cluster().await);
    let link = bed.link(&cluster).await;
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    let right = grant_of_link(&link, bob.id, NOW);
    let mut wrong = vec![right.clone(); 6];
    wrong[0].role = Some(Role::Admin);
    wrong[1].scope = Scope::Cluster(other.id);
    wrong[2].grantee = Grantee::Person(carol.id);
    wrong[3].origin = Origin::Manual;
    wrong[4].grantee = new_grant(&cluster, Grantee::Group(provider("dex"), "devs".into())).grantee;
    wrong[5].expires_at = None;
    for grant in wrong {
        let refused = bed.store.accept_link(link.id, &bob, &grant, draft(Action::LinkAccepted), NOW).await;
        assert!(matches!(refused.unwrap_err(), StoreError::Stale), "{grant:?}");
    }
    assert_eq!(all_agree(&bed, link.id).await, 0);
}

async fn taking_back_twice_is_once(bed: Bed) {
    let cluster = bed.cluster().await;
    let link = bed.link(&cluster).await;
    for n in 1..3 {
        bed.store.revoke_link(link.id, draft(Action::LinkRevoked), later(n)).await.unwrap();
    }
    let link = bed.store.link(link.id).await.unwrap();
    assert_eq!((link.revoked_at, link.state(NOW)), (Some(later(1)), LinkState::Revoked));
    assert_eq!(bed.events(Action::LinkRevoked).await, 1);
    let unknown = bed.store.revoke_link(ShareLinkId::new(), draft(Action::LinkRevoked), NOW).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound));
}

async fn the_latest_fifty_acceptances_are_shown(bed: Bed) {
    let cluster = bed.cluster().await;
    let (busy, quiet) = (bed.link(&cluster).await, bed.link(&cluster).await);
    let mut people = Vec::new();
    for n in 0..53 {
        let person = bed.person(&format!("p{n}")).await;
        accept(&bed, &busy, &person).await;
        people.insert(0, person.id);
    }
    accept(&bed, &quiet, &bed.person("p0").await).await;
    let shown = bed.store.acceptances(&[quiet.id, busy.id], NOW).await.unwrap();
    let of = |link| shown.iter().filter(|(l, _)| *l == link).map(|(_, a)| a.identity).collect::<Vec<_>>();
    assert_eq!(of(busy.id), people[..50]);
    assert_eq!(of(quiet.id).len(), 1);
}
