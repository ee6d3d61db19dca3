//! Token sets: sealed, and gone with their session.

use kubelend::{
    crypto::Keyring,
    model::{
        audit::Action,
        device::Format,
        id::IdentityId,
        token_set::{TokenSet, Tokens},
    },
    store::StoreError,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    bed::{Bed, NOW, draft, later, provider},
    devices::device,
};

both!(
    a_set_comes_back_as_it_was_put,
    what_the_database_holds_says_nothing,
    a_set_put_in_place_of_another_is_the_one,
    each_hand_out_is_written_down_with_its_device,
    forgetting_swept_and_ended_sets_are_gone,
);

const KEY: &str = "a key of 256 random bits";

pub(super) fn set(identity: IdentityId, id_token: &str) -> TokenSet {
    TokenSet {
        identity,
        provider: provider("dex"),
        tokens: Tokens {
            id_token: SecretString::from(id_token.to_owned()),
            issued_at: NOW,
            expires_at: later(600),
            refresh_token: Some(SecretString::from("refresh-me".to_owned())),
        },
        direct: true,
        handed_out_at: None,
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
    assert_eq!((id_token(&kept), kept.handed_out_at), ("first", None));
    assert_eq!((kept.tokens.issued_at, kept.tokens.expires_at, kept.direct), (NOW, later(600), true));
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

async fn a_set_put_in_place_of_another_is_the_one(bed: Bed) {
    let (ring, read) = put(&bed).await;
    bed.store.put_tokens(&ring, KEY, &set(read.identity, "signed in again"), later(3600)).await.unwrap();
    assert_eq!(id_token(&bed.store.tokens(&ring, KEY).await.unwrap()), "signed in again");
}

async fn each_hand_out_is_written_down_with_its_device(bed: Bed) {
    let (ring, _) = put(&bed).await;
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    let mark = async |key, now| {
        let device = device(cluster.id, bob.id, Format::Provider);
        bed.store.mark_handed_out(key, &device, draft(Action::KubeconfigIssued), now).await
    };
    mark(KEY, later(1)).await.unwrap();
    mark(KEY, later(2)).await.unwrap();
    assert_eq!(bed.store.tokens(&ring, KEY).await.unwrap().handed_out_at, Some(later(1)), "the first time");
    assert!(matches!(mark("another", NOW).await.unwrap_err(), StoreError::NotFound));
    assert_eq!(bed.store.devices_on_cluster(cluster.id, None, 9).await.unwrap().len(), 2, "and nothing of the third");
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
