//! Signing in, and what becomes of emails.

use kubelend::{
    model::{
        audit::Action,
        cluster::Cluster,
        grant::{EndReason, Grant, GrantState, Grantee},
        id::IdentityId,
        identity::VerifiedClaims,
        role::Role,
    },
    store::StoreError,
};

use super::bed::{Bed, MINUTE, NOW, claims, draft, later, new_grant, provider};

both!(
    a_first_sign_in_makes_a_person_and_the_next_one_refreshes_them,
    one_person_who_signs_in_twenty_times_at_once_is_one_person,
    immune_32_an_email_that_moves_to_another_sub_inherits_nothing,
    immune_32_two_providers_that_vouch_for_one_email_share_nothing,
    immune_32_a_grant_to_an_email_goes_to_its_first_verified_holder_alone,
    immune_32_a_grant_to_an_email_that_changed_hands_is_suspended,
    immune_32_an_owner_confirms_by_granting_to_the_person,
    immune_32_twenty_subs_with_one_email_at_once_leave_it_with_one,
    immune_32_an_unverified_email_finds_nobody_and_gets_nothing,
    a_changed_email_makes_the_grants_due_and_an_unchanged_one_does_not,
    a_grant_to_an_email_is_not_doubled_for_somebody_who_has_it,
    a_name_with_nul_is_stored,
    several_are_found_and_unknown_ones_left_out,
);

fn as_email(claims: &VerifiedClaims) -> Grantee {
    Grantee::Email(claims.provider.clone(), claims.email.clone().unwrap())
}

async fn a_first_sign_in_makes_a_person_and_the_next_one_refreshes_them(bed: Bed) {
    let mut bob = claims("bob");
    let first = bed.signs_in(&bob).await;
    assert_eq!(bed.store.identity(first.id).await.unwrap(), first);
    assert_eq!((first.groups.as_slice(), first.last_sign_in), (bob.groups.as_slice(), NOW));
    bob.groups = vec!["Zwölf \"x\"".into()];
    bob.name = None;
    let again = bed.store.record_sign_in(&bob, draft(Action::SignedIn), later(5)).await.unwrap().identity;
    assert_eq!(again.id, first.id);
    assert_eq!(bed.store.identity(first.id).await.unwrap(), again);
    assert_eq!((again.groups, again.name, again.last_sign_in), (bob.groups, None, later(5)));
    let by_bob = format!("SELECT COUNT(*) FROM audit_events WHERE actor_id = '{}'", first.id);
    assert_eq!(bed.number(&by_bob).await, 2);
    assert!(matches!(bed.store.identity(IdentityId::new()).await.unwrap_err(), StoreError::NotFound));
}

async fn one_person_who_signs_in_twenty_times_at_once_is_one_person(bed: Bed) {
    let other = bed.again().await;
    let bob = claims("bob");
    let signed = futures_util::future::join_all((0..20).map(|n| {
        let (store, bob) = (if n % 2 == 0 { bed.store.clone() } else { other.clone() }, bob.clone());
        tokio::spawn(async move { store.record_sign_in(&bob, draft(Action::SignedIn), NOW).await.unwrap().identity.id })
    }))
    .await;
    let ids: std::collections::HashSet<IdentityId> = signed.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(bed.number("SELECT COUNT(*) FROM identities").await, 1);
    assert_eq!(bed.events(Action::SignedIn).await, 20);
}

async fn immune_32_an_email_that_moves_to_another_sub_inherits_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    let held = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    settle(&bed, held.id, true).await;

    let mut heir = claims("bob");
    heir.sub = "somebody else".into();
    heir.email = Some("BOB@example.com".parse().unwrap());
    let record = bed.store.record_sign_in(&heir, draft(Action::SignedIn), later(1)).await.unwrap();
    assert_ne!(record.identity.id, bob.id);
    assert_eq!(record.grants_touched, 1);
    assert!(bed.store.grants_reaching(&record.identity, None, later(1)).await.unwrap().is_empty());

    let bob_now = bed.store.identity(bob.id).await.unwrap();
    assert_eq!((bob_now.email, bob_now.email_verified), (None, false));
    let held = bed.look(&held).await;
    assert_eq!((held.state, held.grantee), (GrantState::Pending, Grantee::Person(bob.id)));
    assert_eq!(bed.store.claim_due_grants(later(1), super::bed::MINUTE, 10).await.unwrap().len(), 1);

    // And back: whoever signs in last has the email, and what was theirs is looked at again.
    let back = bed.store.record_sign_in(&claims("bob"), draft(Action::SignedIn), later(2)).await.unwrap();
    assert_eq!((back.identity.id, back.grants_touched), (bob.id, 1));
    assert_eq!(bed.store.identity(record.identity.id).await.unwrap().email, None);
}

async fn immune_32_two_providers_that_vouch_for_one_email_share_nothing(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut elsewhere = claims("bob");
    elsewhere.provider = provider("other");
    elsewhere.issuer = "https://other.example.com".into();
    let promised = bed.grant(&cluster, as_email(&claims("bob"))).await;
    let devs = bed.grant(&cluster, Grantee::Group(provider("dex"), "devs".into())).await;

    let stranger = bed.signs_in(&elsewhere).await;
    assert!(bed.store.grants_reaching(&stranger, None, NOW).await.unwrap().is_empty());
    assert_eq!(bed.look(&promised).await.grantee, as_email(&claims("bob")));

    let bob = bed.person("bob").await;
    assert_ne!(bob.id, stranger.id);
    assert_eq!(bed.look(&promised).await.grantee, Grantee::Person(bob.id));
    assert_eq!(bed.store.identity(stranger.id).await.unwrap().email, stranger.email, "each provider has its own");
    let reaching: Vec<_> = bed.store.grants_reaching(&bob, None, NOW).await.unwrap().iter().map(|g| g.id).collect();
    assert_eq!(reaching, [devs.id, promised.id]);
}

async fn immune_32_a_grant_to_an_email_goes_to_its_first_verified_holder_alone(bed: Bed) {
    let cluster = bed.cluster().await;
    let promised = bed.grant(&cluster, as_email(&claims("bob"))).await;
    let carol = bed.grant(&cluster, as_email(&claims("carol"))).await;

    // Not verified: nothing. Verified at last: theirs.
    let mut unverified = claims("bob");
    unverified.email_verified = false;
    bed.signs_in(&unverified).await;
    assert_eq!(bed.look(&promised).await.grantee, as_email(&claims("bob")));
    let bob = bed.person("bob").await;
    assert_eq!(bed.look(&promised).await.grantee, Grantee::Person(bob.id));

    // What is promised to the address later is not for its second holder.
    let mut editing = new_grant(&cluster, as_email(&claims("bob")));
    editing.role = Some(kubelend::model::role::Role::Edit);
    let later_promise = bed.store.add_grant(&editing, draft(Action::GrantAdded), NOW).await.unwrap();
    let mut heir = claims("bob");
    heir.sub = "somebody else".into();
    let heir = bed.signs_in(&heir).await;
    assert_eq!(bed.look(&later_promise).await.grantee, as_email(&claims("bob")));
    assert!(bed.store.grants_reaching(&heir, None, NOW).await.unwrap().is_empty());

    // Nor for one who comes after somebody that held it without being verified.
    let mut squatter = claims("carol");
    squatter.sub = "squatter".into();
    squatter.email_verified = false;
    bed.signs_in(&squatter).await;
    bed.person("carol").await;
    assert_eq!(bed.look(&carol).await.grantee, as_email(&claims("carol")));
}

/// A grant to bob's address that nobody has taken yet, and that is bound; bob had the address and has lost it.
async fn to_an_old_address(bed: &Bed, cluster: &Cluster) -> Grant {
    bed.person("bob").await;
    bed.signs_in(&VerifiedClaims { email: None, ..claims("bob") }).await;
    let held = bed.grant(cluster, as_email(&claims("bob"))).await;
    settle(bed, held.id, true).await;
    held
}

/// Somebody else at the same provider with bob's address.
fn heir() -> VerifiedClaims {
    VerifiedClaims { sub: "somebody else".into(), ..claims("bob") }
}

async fn immune_32_a_grant_to_an_email_that_changed_hands_is_suspended(bed: Bed) {
    let cluster = bed.cluster().await;
    let held = to_an_old_address(&bed, &cluster).await;
    let email = heir().email.unwrap();
    assert!(!bed.store.email_changed_hands(&provider("dex"), &email).await.unwrap(), "bob alone had it");

    let under_way = bed.store.claim_grant(held.id, NOW, MINUTE).await.unwrap();
    // Not even verified: an API server accepts a token that does not say.
    let unverified = VerifiedClaims { email_verified: false, ..heir() };
    let record = bed.store.record_sign_in(&unverified, draft(Action::SignedIn), later(1)).await.unwrap();
    assert_eq!(record.grants_touched, 1);
    let seen = bed.look(&held).await;
    assert_eq!((seen.state, seen.grantee, seen.ended), (GrantState::Pending, as_email(&heir()), None));
    assert!(bed.store.email_changed_hands(&provider("dex"), &"BOB@example.com".parse().unwrap()).await.unwrap());
    assert!(!bed.store.email_changed_hands(&provider("other"), &email).await.unwrap());
    let trail = bed.store.audit_of_cluster(cluster.id, None, 1).await.unwrap();
    assert_eq!((trail[0].action, trail[0].target.as_str()), (Action::GrantDoubted, DOUBTED));
    let was = super::work::done(true);
    assert!(!bed.store.settle_grant(&under_way, true, &was, None, later(1)).await.unwrap(), "it bound the address");
    assert_eq!(bed.store.claim_due_grants(later(1), MINUTE, 5).await.unwrap().len(), 1);

    // Signing in once more says nothing new, and brings to light what an older Kubelend left bound.
    bed.signs_in(&unverified).await;
    assert_eq!(bed.events(Action::GrantDoubted).await, 1);
    settle(&bed, held.id, true).await;
    bed.signs_in(&unverified).await;
    assert_eq!(bed.look(&held).await.state, GrantState::Pending);
}

const DOUBTED: &str = "bob@example.com: view on the whole cluster";

async fn immune_32_an_owner_confirms_by_granting_to_the_person(bed: Bed) {
    let cluster = bed.cluster().await;
    let held = to_an_old_address(&bed, &cluster).await;
    let mut editing = new_grant(&cluster, as_email(&heir()));
    editing.role = Some(Role::Edit);
    let editing = bed.store.add_grant(&editing, draft(Action::GrantAdded), NOW).await.unwrap();
    let heir = bed.signs_in(&heir()).await;
    assert!(bed.store.grants_reaching(&heir, None, NOW).await.unwrap().is_empty());

    let theirs = bed.grant(&cluster, Grantee::Person(heir.id)).await;
    let reaching: Vec<_> = bed.store.grants_reaching(&heir, None, NOW).await.unwrap().iter().map(|g| g.id).collect();
    assert_eq!(reaching, [theirs.id]);
    let old = bed.look(&held).await;
    assert_eq!((old.state, old.ended), (GrantState::Removing, Some(EndReason::Revoked)));
    assert_eq!(bed.look(&editing).await.ended, None, "another role is another question");
    let trail = bed.store.audit_of_cluster(cluster.id, None, 1).await.unwrap();
    assert_eq!(trail[0].action, Action::GrantRevoked);
    assert_eq!(trail[0].target, format!("{DOUBTED}, now given to the person"));
}

async fn immune_32_twenty_subs_with_one_email_at_once_leave_it_with_one(bed: Bed) {
    let cluster = bed.cluster().await;
    let promised = bed.grant(&cluster, as_email(&claims("bob"))).await;
    let signed = futures_util::future::join_all((0..20).map(|n| {
        let store = bed.store.clone();
        let bob = VerifiedClaims { sub: format!("sub {n}"), ..claims("bob") };
        tokio::spawn(async move { store.record_sign_in(&bob, draft(Action::SignedIn), NOW).await.unwrap().identity })
    }))
    .await;
    let people: Vec<_> = signed.into_iter().map(Result::unwrap).collect();
    assert_eq!(bed.number("SELECT COUNT(*) FROM identities WHERE email_key = 'bob@example.com'").await, 1);
    assert_eq!(bed.number("SELECT COUNT(*) FROM email_holders WHERE email_key = 'bob@example.com'").await, 20);
    let mut holders = 0;
    for person in &people {
        holders += bed.store.grants_reaching(person, None, NOW).await.unwrap().len();
    }
    assert_eq!(holders, 1, "the first of them got it, and nobody after");
    assert!(matches!(bed.look(&promised).await.grantee, Grantee::Person(_)));
}

async fn immune_32_an_unverified_email_finds_nobody_and_gets_nothing(bed: Bed) {
    let mut bob = claims("bob");
    bob.email_verified = false;
    let person = bed.signs_in(&bob).await;
    let email = bob.email.clone().unwrap();
    assert_eq!(bed.store.identity_by_email(&bob.provider, &email).await.unwrap(), None);
    bob.email_verified = true;
    bed.signs_in(&bob).await;
    let typed = "Bob@Example.COM".parse().unwrap();
    assert_eq!(bed.store.identity_by_email(&bob.provider, &typed).await.unwrap().unwrap().id, person.id);
    assert_eq!(bed.store.identity_by_email(&provider("other"), &email).await.unwrap(), None);
}

async fn a_changed_email_makes_the_grants_due_and_an_unchanged_one_does_not(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut bob = claims("bob");
    let person = bed.signs_in(&bob).await;
    let held = bed.grant(&cluster, Grantee::Person(person.id)).await;
    let mut bare = new_grant(&cluster, Grantee::Person(person.id));
    bare.role = None;
    let bare = bed.store.add_grant(&bare, draft(Action::GrantAdded), NOW).await.unwrap();
    settle(&bed, held.id, true).await;

    let same = bed.store.record_sign_in(&bob, draft(Action::SignedIn), later(1)).await.unwrap();
    assert_eq!(same.grants_touched, 0);
    assert_eq!(bed.look(&held).await.state, GrantState::Applied);
    for (n, email) in [Some("Bob@example.com"), Some("robert@example.com"), None].into_iter().enumerate() {
        bob.email = email.map(|e| e.parse().unwrap());
        let record = bed.store.record_sign_in(&bob, draft(Action::SignedIn), later(2)).await.unwrap();
        assert_eq!(record.grants_touched, 1, "{n}");
        assert_eq!(bed.look(&held).await.state, GrantState::Pending, "{n}");
        settle(&bed, held.id, true).await;
    }
    assert_eq!(bed.look(&bare).await.state, GrantState::Applied, "without a role there is nothing to bind");
}

async fn a_grant_to_an_email_is_not_doubled_for_somebody_who_has_it(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut bob = claims("bob");
    bob.email_verified = false;
    let person = bed.signs_in(&bob).await;
    let held = bed.grant(&cluster, Grantee::Person(person.id)).await;
    let promised = bed.grant(&cluster, as_email(&bob)).await;
    bob.email_verified = true;
    bed.signs_in(&bob).await;
    assert_eq!(bed.look(&promised).await.grantee, as_email(&bob));
    assert_eq!(bed.look(&held).await.grantee, Grantee::Person(person.id));
}

async fn a_name_with_nul_is_stored(bed: Bed) {
    let mut bob = claims("bob");
    bob.name = Some("Bo\0b".into());
    bob.groups = vec!["de\0vs".into()];
    let person = bed.signs_in(&bob).await;
    assert_eq!(person.name.as_deref(), Some("Bob"));
    assert_eq!(bed.store.identity(person.id).await.unwrap(), person);
    assert!(bed.store.grants_reaching(&person, None, NOW).await.unwrap().is_empty());
}

async fn several_are_found_and_unknown_ones_left_out(bed: Bed) {
    let mut ids = vec![IdentityId::new()];
    for n in 0..40 {
        ids.push(bed.person(&format!("p{n}")).await.id);
    }
    ids.push(ids[1]);
    let found = bed.store.identities(&ids).await.unwrap();
    assert_eq!(found.len(), 40);
    assert!(bed.store.identities(&[]).await.unwrap().is_empty());
}

async fn settle(bed: &Bed, id: kubelend::model::id::GrantId, wanted: bool) {
    super::work::settle(bed, id, wanted).await;
}
