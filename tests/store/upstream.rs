//! Upstream sessions: one for each person and provider, refreshed by one at a time, the newer sign-in winning.

use std::time::Duration;

use kubelend::{
    crypto::Keyring,
    model::{
        audit::Action,
        device::Format,
        grant::Grantee,
        id::{ClusterId, DeviceId},
        identity::Identity,
        token_set::Tokens,
        upstream::UpstreamSession,
        workspace::MemberRole,
    },
    store::StoreError,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    bed::{Bed, NOW, claims, draft, later, provider},
    devices::device,
};

both!(
    a_session_comes_back_as_it_was_kept,
    a_device_is_read_with_its_holder_and_the_session_at_its_own_provider,
    what_the_database_holds_of_it_says_nothing,
    the_newer_sign_in_wins,
    immune_26_one_of_twenty_refreshes_it,
    immune_26_a_sign_in_overtakes_a_refresh,
    immune_26_a_new_refresh_token_is_kept_before_its_id_token_is,
    a_refresh_brings_what_the_token_says_of_the_person,
    a_refusal_is_written_down_once_and_swept_after_a_day,
    the_life_of_tokens_is_the_newest_ones,
);

fn tokens(id_token: &str, issued: u64) -> Tokens {
    Tokens {
        id_token: SecretString::from(id_token.to_owned()),
        issued_at: later(issued),
        expires_at: later(issued + 600),
        refresh_token: Some(SecretString::from(format!("refresh {id_token}"))),
    }
}

async fn keep(bed: &Bed, ring: &Keyring, person: &Identity, id_token: &str, issued: u64) -> UpstreamSession {
    bed.store.put_upstream(ring, person.id, &provider("dex"), &tokens(id_token, issued)).await.unwrap();
    read(bed, ring, person).await
}

async fn read(bed: &Bed, ring: &Keyring, person: &Identity) -> UpstreamSession {
    bed.store.upstream(ring, person.id, &provider("dex")).await.unwrap()
}

fn id_token(session: &UpstreamSession) -> &str {
    session.tokens.id_token.expose_secret()
}

async fn a_session_comes_back_as_it_was_kept(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    let kept = keep(&bed, &ring, &bob, "first", 5).await;
    assert_eq!((id_token(&kept), kept.version, kept.refused_at), ("first", 0, None));
    assert_eq!((kept.tokens.issued_at, kept.tokens.expires_at), (later(5), later(605)));
    assert_eq!(kept.tokens.refresh_token.unwrap().expose_secret(), "refresh first");
    let elsewhere = bed.store.upstream(&ring, bob.id, &provider("other")).await.unwrap_err();
    assert!(matches!(elsewhere, StoreError::NotFound));
    let other_ring = bed.store.upstream(&Keyring::generate(), bob.id, &provider("dex")).await.unwrap_err();
    assert!(matches!(other_ring, StoreError::NotFound));
}

async fn a_device_is_read_with_its_holder_and_the_session_at_its_own_provider(bed: Bed) {
    let (ring, cluster) = (Keyring::generate(), bed.cluster().await);
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    let new = device(cluster.id, bob.id, Format::Relay);
    bed.store.add_device(&new, draft(Action::KubeconfigIssued), NOW).await.unwrap();
    keep(&bed, &ring, &carol, "hers", 5).await;
    bed.store.put_upstream(&ring, bob.id, &provider("other"), &tokens("elsewhere", 5)).await.unwrap();
    let before = bed.store.renewal(&ring, new.id).await.unwrap();
    assert!(before.session.is_none(), "neither another person's nor that of another provider");
    let session = keep(&bed, &ring, &bob, "his", 5).await;
    let read = bed.store.renewal(&ring, new.id).await.unwrap();
    let (kept, token) = bed.store.device(new.id).await.unwrap();
    assert_eq!((&read.device, &read.token, &read.holder), (&kept, &token, &bob));
    let found = read.session.unwrap();
    assert_eq!((id_token(&found), found.version, found.tokens.expires_at), ("his", session.version, later(605)));
    assert!(bed.store.renewal(&Keyring::generate(), new.id).await.unwrap().session.is_none());
    assert!(matches!(bed.store.renewal(&ring, DeviceId::new()).await.unwrap_err(), StoreError::NotFound));
    // What its holder is around the cluster is what they are in its workspace.
    let around = bed.store.membership_around(cluster.id, &bob).await.unwrap();
    assert_eq!(around, bed.store.membership(cluster.workspace, &bob).await.unwrap());
    let maker = bed.store.identity(cluster.created_by).await.unwrap();
    assert_eq!(bed.store.membership_around(cluster.id, &maker).await.unwrap(), Some(MemberRole::Owner));
    assert_eq!(bed.store.membership_around(ClusterId::new(), &maker).await.unwrap(), None);
}

async fn what_the_database_holds_of_it_says_nothing(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    keep(&bed, &ring, &bob, "first", 0).await;
    let sealed = bed.bytes("SELECT sealed FROM upstream_sessions").await;
    for secret in [&b"first"[..], b"refresh first"] {
        assert!(!sealed[0].windows(secret.len()).any(|w| w == secret));
    }
}

async fn the_newer_sign_in_wins(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    keep(&bed, &ring, &bob, "later", 10).await;
    let now = keep(&bed, &ring, &bob, "earlier, arriving late", 5).await;
    assert_eq!((id_token(&now), now.version), ("later", 0));
    let now = keep(&bed, &ring, &bob, "in the same second", 10).await;
    assert_eq!((id_token(&now), now.version), ("in the same second", 1));
    assert_eq!(bed.number("SELECT COUNT(*) FROM upstream_sessions").await, 1);
}

async fn immune_26_one_of_twenty_refreshes_it(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    let session = keep(&bed, &ring, &bob, "first", 0).await;
    let replicas = [bed.store.clone(), bed.again().await];
    let leased = futures_util::future::join_all((0..20).map(|n| {
        let (store, session) = (replicas[n % 2].clone(), session.clone());
        tokio::spawn(async move { store.lease_upstream(&session, NOW, later(15)).await.unwrap() })
    }))
    .await;
    assert_eq!(leased.into_iter().filter(|leased| *leased.as_ref().unwrap()).count(), 1);
    let lease = async |session: &UpstreamSession, now| bed.store.lease_upstream(session, now, later(99)).await.unwrap();
    assert!(!lease(&session, later(14)).await);
    assert!(lease(&session, later(15)).await, "whoever had it has died");
    bed.store.release_upstream(&session).await.unwrap();
    assert!(lease(&session, later(16)).await, "or gave it back");
    bed.store.replace_upstream(&ring, &session, &tokens("second", 16), &claims("bob"), later(16)).await.unwrap();
    assert!(!lease(&session, later(17)).await, "it has been refreshed since");
    let now = read(&bed, &ring, &bob).await;
    assert_eq!((id_token(&now), now.version), ("second", 1));
    assert!(lease(&now, later(17)).await, "and the lease of that ended with it");
}

async fn immune_26_a_sign_in_overtakes_a_refresh(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    let session = keep(&bed, &ring, &bob, "first", 0).await;
    assert!(bed.store.lease_upstream(&session, NOW, later(15)).await.unwrap());
    keep(&bed, &ring, &bob, "signed in again", 3).await;
    let late = bed.store.replace_upstream(&ring, &session, &tokens("late", 2), &claims("bob"), later(4)).await;
    assert!(matches!(late.unwrap_err(), StoreError::Stale));
    bed.store.refuse_upstream(&session, draft(Action::UpstreamEnded), later(4)).await.unwrap();
    let now = read(&bed, &ring, &bob).await;
    assert_eq!((id_token(&now), now.refused_at), ("signed in again", None));
    assert_eq!(bed.events(Action::UpstreamEnded).await, 0);
    assert!(bed.store.lease_upstream(&now, later(4), later(15)).await.unwrap());
}

async fn immune_26_a_new_refresh_token_is_kept_before_its_id_token_is(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    let session = keep(&bed, &ring, &bob, "first", 0).await;
    bed.store.refuse_upstream(&session, draft(Action::UpstreamEnded), later(1)).await.unwrap();
    let session = read(&bed, &ring, &bob).await;
    assert!(bed.store.lease_upstream(&session, later(30), later(50)).await.unwrap());
    let newest = SecretString::from("newest");
    let rotated = bed.store.rotate_upstream(&ring, &session, &newest).await.unwrap();
    let now = read(&bed, &ring, &bob).await;
    assert_eq!((id_token(&now), now.version, now.refused_at), ("first", session.version + 1, None));
    assert_eq!((now.tokens.issued_at, now.tokens.expires_at), (later(0), later(600)));
    assert_eq!(now.tokens.refresh_token.as_ref().unwrap().expose_secret(), "newest");
    assert_eq!((rotated.version, rotated.refused_at), (now.version, None));
    let sealed = bed.bytes("SELECT sealed FROM upstream_sessions").await;
    assert!(!sealed[0].windows(6).any(|w| w == b"newest"));
    // Whoever asked the provider has not ended.
    assert!(!bed.store.lease_upstream(&now, later(49), later(99)).await.unwrap());
    let again = bed.store.rotate_upstream(&ring, &session, &newest).await;
    assert!(matches!(again.unwrap_err(), StoreError::Stale));
    bed.store.replace_upstream(&ring, &rotated, &tokens("second", 31), &claims("bob"), later(31)).await.unwrap();
    let now = read(&bed, &ring, &bob).await;
    assert_eq!(id_token(&now), "second");
    assert!(bed.store.lease_upstream(&now, later(32), later(99)).await.unwrap());
}

async fn a_refresh_brings_what_the_token_says_of_the_person(bed: Bed) {
    let (ring, bob, cluster) = (Keyring::generate(), bed.person("bob").await, bed.cluster().await);
    let held = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    let session = keep(&bed, &ring, &bob, "first", 0).await;
    let mut said = claims("bob");
    said.groups = vec!["ops".into()];
    said.email = Some("robert@example.com".parse().unwrap());
    bed.store.replace_upstream(&ring, &session, &tokens("second", 9), &said, later(9)).await.unwrap();
    let now = bed.store.identity(bob.id).await.unwrap();
    assert_eq!((now.groups, now.email), (said.groups, said.email));
    assert_eq!(now.last_sign_in, bob.last_sign_in, "it was no sign-in");
    assert_eq!(
        bed.look(&held).await.state,
        kubelend::model::grant::GrantState::Pending,
        "the name it binds has changed"
    );
}

async fn a_refusal_is_written_down_once_and_swept_after_a_day(bed: Bed) {
    let (ring, bob) = (Keyring::generate(), bed.person("bob").await);
    let session = keep(&bed, &ring, &bob, "first", 0).await;
    bed.store.refuse_upstream(&session, draft(Action::UpstreamEnded), later(9)).await.unwrap();
    let refused = read(&bed, &ring, &bob).await;
    assert_eq!((refused.refused_at, refused.version), (Some(later(9)), 1));
    bed.store.refuse_upstream(&refused, draft(Action::UpstreamEnded), later(10)).await.unwrap();
    assert_eq!(bed.events(Action::UpstreamEnded).await, 1);
    assert_eq!(bed.store.sweep_upstream(later(9)).await.unwrap(), 0, "it was refused since");
    let day = Duration::from_hours(24);
    assert_eq!(bed.store.sweep_upstream(later(10).plus(day)).await.unwrap(), 1);
    // One that nobody refused stays, however old.
    keep(&bed, &ring, &bob, "again", 20).await;
    assert_eq!(bed.store.sweep_upstream(later(20).plus(day * 365)).await.unwrap(), 0);
}

async fn the_life_of_tokens_is_the_newest_ones(bed: Bed) {
    let (ring, bob, carol) = (Keyring::generate(), bed.person("bob").await, bed.person("carol").await);
    assert_eq!(bed.store.token_life(&provider("dex")).await.unwrap(), None);
    keep(&bed, &ring, &bob, "first", 0).await;
    let mut longer = tokens("second", 5);
    longer.expires_at = later(5 + 3600);
    bed.store.put_upstream(&ring, carol.id, &provider("dex"), &longer).await.unwrap();
    assert_eq!(bed.store.token_life(&provider("dex")).await.unwrap(), Some(Duration::from_hours(1)));
}
