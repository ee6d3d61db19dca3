//! Sessions as tower-sessions uses them.

use std::sync::Arc;

use kubelend::{
    clock::Clock,
    crypto::Keyring,
    model::{id::IdentityId, time::Timestamp},
    store::SessionStore,
};
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore as _,
    session::{Id, Record},
};

use super::bed::{Bed, NOW, later};

both!(
    a_session_comes_back_until_it_ends,
    an_id_that_is_taken_is_drawn_again,
    immune_19_a_session_that_was_ended_is_not_written_back,
    immune_19_ending_a_persons_sessions_ends_all_of_them_and_no_others,
    a_copy_of_the_database_signs_nobody_in,
    a_session_under_another_key_ring_or_in_another_row_does_not_open,
    writing_to_the_database_prolongs_no_session,
    sessions_that_are_over_are_swept,
);

fn sessions(bed: &Bed, keyring: &Arc<Keyring>) -> (SessionStore, Clock) {
    let clock = Clock::fixed(NOW);
    (SessionStore::new(bed.store.clone(), keyring.clone(), clock.clone()), clock)
}

fn ring() -> Arc<Keyring> {
    Arc::new(Keyring::generate())
}

fn record(identity: Option<IdentityId>, ends: Timestamp) -> Record {
    let mut data = std::collections::HashMap::new();
    data.insert("hint".to_owned(), serde_json::json!({"secret": "hunter2"}));
    if let Some(id) = identity {
        data.insert("identity".to_owned(), serde_json::json!(id));
    }
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::from_unix_timestamp(ends.secs()).unwrap() }
}

async fn a_session_comes_back_until_it_ends(bed: Bed) {
    let (sessions, clock) = sessions(&bed, &ring());
    let mut kept = record(None, later(10));
    sessions.create(&mut kept).await.unwrap();
    assert_eq!(sessions.load(&kept.id).await.unwrap(), Some(kept.clone()));
    kept.data.insert("more".into(), serde_json::json!(1));
    kept.expiry_date = OffsetDateTime::from_unix_timestamp(later(20).secs()).unwrap();
    sessions.save(&kept).await.unwrap();
    clock.set(later(19));
    assert_eq!(sessions.load(&kept.id).await.unwrap(), Some(kept.clone()));
    clock.set(later(20));
    assert_eq!(sessions.load(&kept.id).await.unwrap(), None);
    assert_eq!(sessions.load(&Id::default()).await.unwrap(), None);
    clock.set(NOW);
    sessions.delete(&kept.id).await.unwrap();
    sessions.delete(&kept.id).await.unwrap();
    assert_eq!(sessions.load(&kept.id).await.unwrap(), None);
}

async fn an_id_that_is_taken_is_drawn_again(bed: Bed) {
    let (sessions, _) = sessions(&bed, &ring());
    let mut first = record(None, later(10));
    sessions.create(&mut first).await.unwrap();
    let mut second = record(Some(IdentityId::new()), later(10));
    second.id = first.id;
    sessions.create(&mut second).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(sessions.load(&first.id).await.unwrap(), Some(first));
    assert_eq!(sessions.load(&second.id).await.unwrap(), Some(second));
}

async fn immune_19_a_session_that_was_ended_is_not_written_back(bed: Bed) {
    let (sessions, _) = sessions(&bed, &ring());
    let mut kept = record(None, later(10));
    sessions.create(&mut kept).await.unwrap();
    let in_another_request = sessions.load(&kept.id).await.unwrap().unwrap();
    sessions.delete(&kept.id).await.unwrap();
    sessions.save(&in_another_request).await.unwrap();
    assert_eq!(sessions.load(&kept.id).await.unwrap(), None);
}

async fn immune_19_ending_a_persons_sessions_ends_all_of_them_and_no_others(bed: Bed) {
    let (sessions, _) = sessions(&bed, &ring());
    let (bob, carol) = (IdentityId::new(), IdentityId::new());
    let mut kept = Vec::new();
    for whose in [Some(bob), Some(bob), Some(carol), None] {
        let mut record = record(whose, later(10));
        sessions.create(&mut record).await.unwrap();
        kept.push(record);
    }
    // Signed in within a session that was there before.
    kept[3].data.insert("identity".into(), serde_json::json!(bob));
    sessions.save(&kept[3]).await.unwrap();
    assert_eq!(bed.store.end_sessions_of(bob).await.unwrap(), 3);
    for (n, lives) in [(0, false), (1, false), (2, true), (3, false)] {
        assert_eq!(sessions.load(&kept[n].id).await.unwrap().is_some(), lives, "{n}");
    }
}

async fn a_copy_of_the_database_signs_nobody_in(bed: Bed) {
    let (sessions, _) = sessions(&bed, &ring());
    let mut kept = record(None, later(10));
    sessions.create(&mut kept).await.unwrap();
    let id = kept.id.to_string();
    let raw = kept.id.0.to_le_bytes();
    for column in [bed.bytes("SELECT id_hash FROM sessions").await, bed.bytes("SELECT sealed FROM sessions").await] {
        for secret in [id.as_bytes(), &raw[..], b"hunter2"] {
            assert!(!column[0].windows(secret.len()).any(|w| w == secret));
        }
    }
}

async fn a_session_under_another_key_ring_or_in_another_row_does_not_open(bed: Bed) {
    let keyring = ring();
    let (ours, _) = sessions(&bed, &keyring);
    let (mut bob, mut mallory) = (record(None, later(10)), record(None, later(20)));
    ours.create(&mut bob).await.unwrap();
    let (theirs, _) = sessions(&bed, &ring());
    assert_eq!(theirs.load(&bob.id).await.unwrap(), None);
    ours.create(&mut mallory).await.unwrap();
    // Mallory, who can write to the database, puts bob's session into the row of theirs.
    bed.run("UPDATE sessions SET sealed = (SELECT s.sealed FROM sessions s ORDER BY s.expires_at LIMIT 1)").await;
    assert_eq!(ours.load(&bob.id).await.unwrap(), Some(bob));
    assert_eq!(ours.load(&mallory.id).await.unwrap(), None);
}

async fn writing_to_the_database_prolongs_no_session(bed: Bed) {
    let (sessions, clock) = sessions(&bed, &ring());
    let mut kept = record(None, later(10));
    sessions.create(&mut kept).await.unwrap();
    bed.run("UPDATE sessions SET expires_at = expires_at + 1000000000").await;
    clock.set(later(11));
    assert_eq!(sessions.load(&kept.id).await.unwrap(), None);
}

async fn sessions_that_are_over_are_swept(bed: Bed) {
    let (sessions, _) = sessions(&bed, &ring());
    let (mut short, mut long) = (record(None, later(10)), record(None, later(11)));
    sessions.create(&mut short).await.unwrap();
    sessions.create(&mut long).await.unwrap();
    assert_eq!(bed.store.sweep_sessions(later(10)).await.unwrap(), 1);
    assert_eq!(sessions.load(&short.id).await.unwrap(), None);
    assert!(sessions.load(&long.id).await.unwrap().is_some());
}
