//! Token sets: sealed, versioned, used by one at a time.

use kubelend::{
    crypto::Keyring,
    model::{
        audit::Action,
        id::{ClusterId, IdentityId},
        token_set::{TokenSet, Tokens},
    },
    store::StoreError,
};
use secrecy::{ExposeSecret, SecretString};

use super::bed::{Bed, NOW, draft, later, provider};

both!(
    a_set_comes_back_as_it_was_put,
    what_the_database_holds_says_nothing,
    only_the_version_that_was_read_is_replaced,
    a_set_put_in_place_of_another_is_not_taken_for_it,
    one_of_twenty_refreshes,
    what_was_handed_out_is_not_refreshed,
    immune_26_a_set_that_is_being_refreshed_is_not_handed_out,
    each_hand_out_is_written_down,
    forgetting_swept_and_ended_sets_are_gone,
);

const KEY: &str = "a key of 256 random bits";

fn set(identity: IdentityId, id_token: &str) -> TokenSet {
    TokenSet {
        identity,
        provider: provider("dex"),
        tokens: Tokens {
            id_token: SecretString::from(id_token.to_owned()),
            issued_at: NOW,
            expires_at: later(600),
            refresh_token: Some(SecretString::from("refresh-me".to_owned())),
        },
        asked_offline: true,
        handed_out_at: None,
        version: 7,
    }
}

async fn put(bed: &Bed) -> (Keyring, TokenSet) {
    let ring = Keyring::generate();
    bed.store.put_tokens(&ring, KEY, &set(IdentityId::new(), "first"), later(3600)).await.unwrap();
    let set = bed.store.tokens(&ring, KEY).await.unwrap();
    (ring, set)
}

fn id_token(set: &TokenSet) -> &str {
    set.tokens.id_token.expose_secret()
}

async fn a_set_comes_back_as_it_was_put(bed: Bed) {
    let (ring, kept) = put(&bed).await;
    assert_eq!((id_token(&kept), kept.version, kept.handed_out_at), ("first", 0, None));
    assert_eq!((kept.tokens.issued_at, kept.tokens.expires_at, kept.asked_offline), (NOW, later(600), true));
    assert_eq!(kept.tokens.refresh_token.unwrap().expose_secret(), "refresh-me");
    assert_eq!(kept.provider, provider("dex"));
    assert!(matches!(bed.store.tokens(&ring, "another").await.unwrap_err(), StoreError::NotFound));
    let other_ring = bed.store.tokens(&Keyring::generate(), KEY).await.unwrap_err();
    assert!(matches!(other_ring, StoreError::NotFound));
}

async fn what_the_database_holds_says_nothing(bed: Bed) {
    put(&bed).await;
    for column in [bed.bytes("SELECT key_hash FROM token_sets").await, bed.bytes("SELECT sealed FROM token_sets").await]
    {
        for secret in [KEY.as_bytes(), b"first", b"refresh-me", b"dex"] {
            assert!(!column[0].windows(secret.len()).any(|w| w == secret));
        }
    }
}

async fn only_the_version_that_was_read_is_replaced(bed: Bed) {
    let (ring, read) = put(&bed).await;
    let mut new = set(read.identity, "second");
    new.version = read.version;
    bed.store.replace_tokens(&ring, KEY, &new).await.unwrap();
    let stale = bed.store.replace_tokens(&ring, KEY, &new).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale));
    let now = bed.store.tokens(&ring, KEY).await.unwrap();
    assert_eq!((id_token(&now), now.version), ("second", 1));
    let unknown = bed.store.replace_tokens(&ring, "another", &new).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound));
}

async fn a_set_put_in_place_of_another_is_not_taken_for_it(bed: Bed) {
    let (ring, read) = put(&bed).await;
    bed.store.put_tokens(&ring, KEY, &set(read.identity, "signed in again"), later(3600)).await.unwrap();
    let refreshed = bed.store.replace_tokens(&ring, KEY, &read).await.unwrap_err();
    assert!(matches!(refreshed, StoreError::Stale));
    assert_eq!(id_token(&bed.store.tokens(&ring, KEY).await.unwrap()), "signed in again");
}

async fn one_of_twenty_refreshes(bed: Bed) {
    let (ring, read) = put(&bed).await;
    let replicas = [bed.store.clone(), bed.again().await];
    let leased = futures_util::future::join_all((0..20).map(|n| {
        let (store, version) = (replicas[n % 2].clone(), read.version);
        tokio::spawn(async move { store.lease_refresh(KEY, version, NOW, later(8)).await.unwrap() })
    }))
    .await;
    assert_eq!(leased.into_iter().filter(|leased| *leased.as_ref().unwrap()).count(), 1);
    let lease = async |version, now| bed.store.lease_refresh(KEY, version, now, later(100)).await.unwrap();
    assert!(!lease(0, later(7)).await);
    assert!(lease(0, later(8)).await, "whoever had it has died");
    bed.store.release_refresh(KEY, 0).await.unwrap();
    assert!(lease(0, later(9)).await, "or gave it back");
    bed.store.replace_tokens(&ring, KEY, &read).await.unwrap();
    assert!(!lease(0, later(9)).await, "it has been refreshed since");
    assert!(lease(1, later(9)).await);
    assert!(!bed.store.lease_refresh("another", 0, NOW, later(8)).await.unwrap());
}

async fn what_was_handed_out_is_not_refreshed(bed: Bed) {
    let (ring, read) = put(&bed).await;
    let event = draft(Action::KubeconfigIssued);
    bed.store.mark_handed_out(KEY, read.version, ClusterId::new(), event, later(5)).await.unwrap();
    let now = bed.store.tokens(&ring, KEY).await.unwrap();
    assert_eq!((now.handed_out_at, now.version), (Some(later(5)), 1));
    for version in [0, 1] {
        assert!(!bed.store.lease_refresh(KEY, version, later(6), later(9)).await.unwrap(), "{version}");
    }
    assert!(matches!(bed.store.replace_tokens(&ring, KEY, &read).await.unwrap_err(), StoreError::Stale));
}

async fn immune_26_a_set_that_is_being_refreshed_is_not_handed_out(bed: Bed) {
    let (ring, read) = put(&bed).await;
    assert!(bed.store.lease_refresh(KEY, 0, NOW, later(8)).await.unwrap());
    let cluster = ClusterId::new();
    let mark = async |version, now| {
        bed.store.mark_handed_out(KEY, version, cluster, draft(Action::KubeconfigIssued), now).await
    };
    assert!(matches!(mark(0, later(1)).await.unwrap_err(), StoreError::Stale));
    assert_eq!(bed.events(Action::KubeconfigIssued).await, 0);
    bed.store.replace_tokens(&ring, KEY, &read).await.unwrap();
    assert!(matches!(mark(0, later(1)).await.unwrap_err(), StoreError::Stale), "that one is spent");
    mark(1, later(1)).await.unwrap();
}

async fn each_hand_out_is_written_down(bed: Bed) {
    let (ring, _) = put(&bed).await;
    let cluster = bed.cluster().await;
    let mark = async |key, version, now| {
        bed.store.mark_handed_out(key, version, cluster.id, draft(Action::KubeconfigIssued), now).await
    };
    mark(KEY, 0, later(1)).await.unwrap();
    mark(KEY, 1, later(2)).await.unwrap();
    let now = bed.store.tokens(&ring, KEY).await.unwrap();
    assert_eq!((now.handed_out_at, now.version), (Some(later(1)), 1));
    assert!(matches!(mark("another", 0, NOW).await.unwrap_err(), StoreError::NotFound));
    let trail = bed.store.audit_of_cluster(cluster.id, None, 9).await.unwrap();
    assert_eq!(trail.iter().filter(|e| e.action == Action::KubeconfigIssued).count(), 2);
}

async fn forgetting_swept_and_ended_sets_are_gone(bed: Bed) {
    let (ring, kept) = put(&bed).await;
    bed.store.sweep_sessions(later(3599)).await.unwrap();
    bed.store.tokens(&ring, KEY).await.unwrap();
    bed.store.sweep_sessions(later(3600)).await.unwrap();
    assert!(matches!(bed.store.tokens(&ring, KEY).await.unwrap_err(), StoreError::NotFound));

    bed.store.put_tokens(&ring, KEY, &kept, later(3600)).await.unwrap();
    bed.store.end_sessions_of(IdentityId::new()).await.unwrap();
    bed.store.tokens(&ring, KEY).await.unwrap();
    bed.store.end_sessions_of(kept.identity).await.unwrap();
    assert!(matches!(bed.store.tokens(&ring, KEY).await.unwrap_err(), StoreError::NotFound));

    bed.store.put_tokens(&ring, KEY, &kept, later(3600)).await.unwrap();
    for _ in 0..2 {
        bed.store.drop_tokens(KEY, draft(Action::SignedOut), NOW).await.unwrap();
    }
    assert!(matches!(bed.store.tokens(&ring, KEY).await.unwrap_err(), StoreError::NotFound));
    assert_eq!(bed.events(Action::SignedOut).await, 2);
}
