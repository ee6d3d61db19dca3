//! Sessions as tower-sessions uses them.

use std::sync::Arc;

use kubelend::{
    clock::Clock,
    crypto::{HashedToken, Keyring},
    model::{audit::Action, id::IdentityId, time::Timestamp},
    store::{SessionStore, StoreError, session_keys},
};
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore as _,
    session::{Id, Record},
};

use super::bed::{Bed, NOW, draft, later};

both!(
    a_session_comes_back_until_it_ends,
    an_id_that_is_taken_is_drawn_again,
    immune_19_a_session_that_was_ended_is_not_written_back,
    immune_19_ending_a_persons_sessions_ends_all_of_them_and_no_others,
    a_copy_of_the_database_signs_nobody_in,
    a_session_under_another_key_ring_or_in_another_row_does_not_open,
    writing_to_the_database_prolongs_no_session,
    sessions_that_are_over_are_swept,
    a_person_sees_their_sessions_and_ends_them_with_their_tokens,
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

async fn a_person_sees_their_sessions_and_ends_them_with_their_tokens(bed: Bed) {
    let keyring = ring();
    let (sessions, _) = sessions(&bed, &keyring);
    let (bob, carol) = (bed.person("bob").await.id, bed.person("carol").await.id);
    let mut kept = Vec::new();
    for (n, person) in [bob, bob, bob, carol].into_iter().enumerate() {
        let key = format!("key {n}");
        let mut session = record(Some(person), later(1000));
        let seen = later(u64::try_from(n).unwrap());
        for (name, value) in [
            (session_keys::MADE_AT, serde_json::json!(NOW)),
            (session_keys::SEEN_AT, serde_json::json!(seen)),
            (session_keys::BROWSER, serde_json::json!("Firefox on Linux")),
            (session_keys::SEEN_FROM, serde_json::json!("192.0.2.1")),
            (session_keys::TOKEN_KEY, serde_json::json!(key)),
        ] {
            session.data.insert(name.to_owned(), value);
        }
        sessions.create(&mut session).await.unwrap();
        let set = super::tokens::set(person, "token");
        bed.store.put_tokens(&keyring, &key, &set, later(1000)).await.unwrap();
        kept.push(HashedToken::of(&session.id.to_string()));
    }
    let names = async |person| -> Vec<String> {
        bed.store.sessions_of(person, NOW).await.unwrap().into_iter().map(|s| s.name).collect()
    };
    let expected: Vec<String> = [2, 1, 0].map(|n: usize| kept[n].to_hex()).to_vec();
    assert_eq!(names(bob).await, expected, "those used last first");
    let first = bed.store.sessions_of(bob, NOW).await.unwrap().remove(0);
    assert_eq!(
        (first.browser.as_str(), first.from.as_str(), first.made_at, first.seen_at),
        ("Firefox on Linux", "192.0.2.1", NOW, later(2))
    );
    assert!(bed.store.sessions_of(bob, later(1000)).await.unwrap().is_empty(), "what is over is not shown");

    let event = || draft(Action::SessionsEnded);
    let not_hers = bed.store.end_session(carol, &kept[0], event(), NOW).await.unwrap_err();
    assert!(matches!(not_hers, StoreError::NotFound));
    bed.store.end_session(bob, &kept[0], event(), NOW).await.unwrap();
    assert!(matches!(bed.store.end_session(bob, &kept[0], event(), NOW).await.unwrap_err(), StoreError::NotFound));
    assert!(bed.store.tokens(&keyring, "key 0").await.is_err() && bed.store.tokens(&keyring, "key 1").await.is_ok());
    assert_eq!(bed.store.end_other_sessions(bob, &kept[2], event(), NOW).await.unwrap(), 1);
    assert_eq!(bed.store.end_other_sessions(bob, &kept[2], event(), NOW).await.unwrap(), 0);
    assert!(bed.store.tokens(&keyring, "key 1").await.is_err() && bed.store.tokens(&keyring, "key 2").await.is_ok());
    assert_eq!((names(bob).await.len(), names(carol).await.len()), (1, 1));
    assert_eq!(bed.events(Action::SessionsEnded).await, 2);
}
