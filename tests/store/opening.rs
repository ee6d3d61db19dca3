//! Opening the database, bringing it up to date, and what belongs to the installation as a whole.

use kubelend::{
    model::{audit::Action, cluster::CredentialKind},
    store::{SealedCredential, Store, StoreError},
};

use super::bed::{Bed, NOW, draft, later, unopened};

both!(
    several_processes_open_an_empty_database_at_once,
    a_filled_database_is_opened_again_and_keeps_what_it_holds,
    the_instance_id_is_drawn_once,
    a_newer_database_is_refused,
    a_credential_of_an_older_database_is_dated_by_its_trail,
    immune_22_a_ring_that_lacks_a_key_that_has_sealed_something_is_told_so,
    immune_22_of_two_rings_that_come_first_one_is_told_of_the_other,
    a_ring_that_is_accepted_is_the_one_from_then_on,
);

async fn open_at_once(postgres: bool) {
    let (url, folder) = unopened(postgres).await;
    let opened = futures_util::future::join_all((0..6).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { Store::open(&url).await })
    }))
    .await;
    for store in opened {
        let store = store.unwrap().unwrap();
        store.ping().await.unwrap();
        store.close().await;
    }
    drop(folder);
}

async fn several_processes_open_an_empty_database_at_once(bed: Bed) {
    // On SQLite the moment in which they can get into each other's way is short: it takes several times to meet it.
    let times = if bed.is_sqlite() { 12 } else { 1 };
    for _ in 0..times {
        open_at_once(!bed.is_sqlite()).await;
    }
}

async fn a_filled_database_is_opened_again_and_keeps_what_it_holds(bed: Bed) {
    let cluster = bed.cluster().await;
    bed.store.close().await;
    let again = bed.again().await;
    assert_eq!(again.cluster(cluster.id).await.unwrap(), cluster);
    assert_eq!(bed.events(Action::ClusterAdded).await, 1);
}

async fn the_instance_id_is_drawn_once(bed: Bed) {
    let asked = futures_util::future::join_all((0..8).map(|_| async {
        let store = bed.again().await;
        store.instance_id().await.unwrap()
    }))
    .await;
    let id = bed.store.instance_id().await.unwrap();
    assert!(asked.iter().all(|asked| *asked == id), "{asked:?}");
    assert!(id.len() == 8 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(bed.number("SELECT COUNT(*) FROM settings").await, 1);
}

fn ring(keys: &[&str]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

async fn begin(store: &Store, keys: &[&str]) -> Vec<String> {
    store.begin_sealing(&ring(keys)).await.unwrap()
}

async fn immune_22_a_ring_that_lacks_a_key_that_has_sealed_something_is_told_so(bed: Bed) {
    let store = &bed.store;
    assert!(store.sealing_keys().await.unwrap().is_empty());
    for _ in 0..2 {
        assert!(begin(store, &["a"]).await.is_empty());
    }
    assert_eq!(begin(store, &["b"]).await, ["a"]);
    assert_eq!(store.sealing_keys().await.unwrap(), ["a"], "nothing was changed by that");
    // A new key takes over, and the old one still opens: from now on both are needed.
    assert!(begin(store, &["b", "a"]).await.is_empty());
    assert_eq!(store.sealing_keys().await.unwrap(), ["a", "b"]);
    assert_eq!(begin(store, &["a"]).await, ["b"]);
    assert_eq!(begin(store, &["c"]).await, ["a", "b"]);
    assert!(begin(store, &["c", "b", "a"]).await.is_empty());
}

async fn immune_22_of_two_rings_that_come_first_one_is_told_of_the_other(bed: Bed) {
    let begun = futures_util::future::join_all((0..8).map(|n| {
        let store = bed.store.clone();
        tokio::spawn(async move { store.begin_sealing(&[format!("key-{n}")]).await.unwrap() })
    }))
    .await;
    let told: Vec<Vec<String>> = begun.into_iter().map(Result::unwrap).collect();
    let first = bed.store.sealing_keys().await.unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(told.iter().filter(|missing| missing.is_empty()).count(), 1);
    assert_eq!(told.iter().filter(|missing| **missing == first).count(), 7);
}

async fn a_ring_that_is_accepted_is_the_one_from_then_on(bed: Bed) {
    let store = &bed.store;
    let accept = async |keys: &[&str]| store.accept_keys(&ring(keys), NOW).await.unwrap();
    begin(store, &["b", "a"]).await;
    begin(store, &["a", "b"]).await;
    assert!(accept(&["a", "b"]).await.is_empty());
    assert_eq!(bed.events(Action::KeyRingAccepted).await, 0, "nothing was given up");
    assert_eq!(accept(&["c", "a"]).await, ["b"]);
    assert_eq!(store.sealing_keys().await.unwrap(), ["a", "c"]);
    assert_eq!(bed.events(Action::KeyRingAccepted).await, 1);
    assert!(begin(store, &["c", "a"]).await.is_empty());
    assert_eq!(begin(store, &["b"]).await, ["a", "c"]);
}

async fn a_newer_database_is_refused(bed: Bed) {
    bed.run(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         SELECT 9999, 'of the future', installed_on, success, checksum, execution_time FROM _sqlx_migrations \
         WHERE version = 1",
    )
    .await;
    assert!(matches!(Store::open(&bed.url).await.unwrap_err(), StoreError::Migration(_)));
}

async fn a_credential_of_an_older_database_is_dated_by_its_trail(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    let new = SealedCredential { kind: CredentialKind::Token, sealed: vec![1] };
    for n in [5, 9] {
        let audit = draft(Action::ClusterCredentialsReplaced);
        bed.store.replace_credential(two.id, &two.endpoint, &new, audit, later(n)).await.unwrap();
    }
    bed.run("UPDATE cluster_credentials SET held_since = NULL").await;
    let migration = include_str!("../../migrations/0006_credential_facts.sql");
    bed.run(&migration[migration.find("UPDATE").unwrap()..]).await;
    assert_eq!(bed.store.held_credential(one.id).await.unwrap().since, NOW);
    assert_eq!(bed.store.held_credential(two.id).await.unwrap().since, later(9));
}

#[tokio::test]
async fn a_sqlite_file_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (url, folder) = unopened(false).await;
    let (_above, folder) = folder.unwrap();
    let store = Store::open(&url).await.unwrap();
    store.instance_id().await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 1, "the file and its log: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await;
}

#[tokio::test]
async fn another_url_is_refused_and_a_server_that_is_down_is_said_so() {
    for url in ["mysql://localhost/x", "sqlite::memory:", "kubelend.db", "", "postgres://127.0.0.1:1/none"] {
        assert!(matches!(Store::open(url).await.unwrap_err(), StoreError::Database(_)), "{url}");
    }
}
