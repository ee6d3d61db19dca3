//! Tokens that Kubelend gets for itself: their rows come before their Secrets and go after them, and what is held is never ended.

use std::time::Duration;

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, CredentialKind, Endpoint, Removal},
        id::{ClusterId, OwnTokenId},
        own_token::{BoundSecret, CredentialEnd, FormerToken, SOON},
        service_account::AccountName,
        time::Timestamp,
    },
    store::{AuditDraft, Described, NewOwnToken, Rotated, SealedCredential, StoreError, StoredCredential},
};

use super::bed::{Bed, MINUTE, NOW, draft, later};

both!(
    immune_25_a_next_token_takes_the_place_of_the_one_that_was_read_and_of_no_other,
    immune_25_what_was_never_finished_is_found_and_what_is_held_is_not,
    immune_20_what_was_held_has_to_go_until_it_is_gone,
    a_renewal_is_claimed_once_and_told_once_when_it_fails,
    what_the_version_before_put_in_its_place_is_looked_at_anew,
    at_another_address_nothing_of_the_last_one_is_deleted,
);

fn account() -> AccountName {
    "kubelend/kubelend".parse().unwrap()
}

fn new(cluster: &Cluster) -> NewOwnToken {
    let id = OwnTokenId::new();
    let secret = format!("kubelend-own-{id}");
    NewOwnToken { id, cluster: cluster.id, account: account(), secret, wait_until: later(40) }
}

fn sealed(text: &str) -> SealedCredential {
    SealedCredential { kind: CredentialKind::Token, sealed: text.as_bytes().to_vec() }
}

fn secret(name: &str, uid: Option<&str>) -> BoundSecret {
    BoundSecret { name: name.into(), uid: uid.map(Into::into) }
}

fn rotated(new: &NewOwnToken, former: Option<BoundSecret>) -> Rotated {
    Rotated {
        id: new.id,
        credential: sealed(&new.secret),
        ends_at: later(1000),
        renew_at: later(500),
        former: former.map(|secret| (account(), secret)),
    }
}

fn event() -> AuditDraft {
    draft(Action::ClusterCredentialsRotated)
}

async fn held(bed: &Bed, cluster: &Cluster) -> StoredCredential {
    bed.store.stored_credential(cluster.id).await.unwrap()
}

/// One more token is made and held.
async fn rotate(bed: &Bed, cluster: &Cluster, former: Option<BoundSecret>, now: Timestamp) -> NewOwnToken {
    let next = new(cluster);
    bed.store.begin_own_token(&next, now).await.unwrap();
    assert!(bed.store.keep_own_token_secret(next.id, "uid").await.unwrap());
    let was = held(bed, cluster).await;
    bed.store.rotate_credential(cluster.id, &was, &rotated(&next, former), event(), now).await.unwrap();
    next
}

async fn claim(bed: &Bed, cluster: Option<ClusterId>, now: Timestamp) -> Vec<FormerToken> {
    bed.store.claim_former_tokens(cluster, now, MINUTE, 10).await.unwrap()
}

fn names(former: &[FormerToken]) -> Vec<&str> {
    former.iter().map(|former| former.secret.name.as_str()).collect()
}

async fn immune_25_a_next_token_takes_the_place_of_the_one_that_was_read_and_of_no_other(bed: Bed) {
    let cluster = bed.cluster().await;
    let was = held(&bed, &cluster).await;
    let (first, second) = (new(&cluster), new(&cluster));
    bed.store.begin_own_token(&first, NOW).await.unwrap();
    let other = bed.store.begin_own_token(&second, later(1)).await;
    assert!(matches!(other.unwrap_err(), StoreError::Duplicate(_)), "one at a time");
    bed.store.begin_own_token(&second, later(40)).await.unwrap();
    let put = async |next: &NewOwnToken| {
        let new = rotated(next, Some(secret("kubelend-token", None)));
        bed.store.rotate_credential(cluster.id, &was, &new, event(), later(41)).await
    };
    put(&second).await.unwrap();
    assert_eq!(held(&bed, &cluster).await.sealed, second.secret.as_bytes());
    assert!(matches!(put(&first).await.unwrap_err(), StoreError::Stale), "it read another one");
    assert_eq!(held(&bed, &cluster).await.sealed, second.secret.as_bytes());
    assert_eq!(bed.events(Action::ClusterCredentialsRotated).await, 1);
    let end = CredentialEnd { ends_at: Some(later(1000)), renew_at: Some(later(500)), trouble: None };
    assert_eq!(bed.store.credential_end(cluster.id).await.unwrap(), end);
    // What was ended because it took too long is not put in place either.
    let late = new(&cluster);
    bed.store.begin_own_token(&late, later(42)).await.unwrap();
    bed.store.give_up_own_token(late.id, false, later(43)).await.unwrap();
    assert!(!bed.store.keep_own_token_secret(late.id, "uid").await.unwrap());
    let was = held(&bed, &cluster).await;
    let put = bed.store.rotate_credential(cluster.id, &was, &rotated(&late, None), event(), later(44)).await;
    assert!(matches!(put.unwrap_err(), StoreError::Stale));
    bed.store.ask_removal(cluster.id, Removal::Purge, draft(Action::ClusterRemovalAsked), later(45)).await.unwrap();
    let removed = bed.store.begin_own_token(&new(&cluster), later(200)).await;
    assert!(matches!(removed.unwrap_err(), StoreError::Stale));
}

async fn immune_25_what_was_never_finished_is_found_and_what_is_held_is_not(bed: Bed) {
    let cluster = bed.cluster().await;
    let next = rotate(&bed, &cluster, None, NOW).await;
    // One process died before its Secret was made, one after; one was refused.
    let (before, after, refused) = (new(&cluster), new(&cluster), new(&cluster));
    let mut begun = 0;
    for own in [&before, &after, &refused] {
        let own = NewOwnToken { wait_until: later(begun + 40), ..own.clone() };
        bed.store.begin_own_token(&own, later(begun)).await.unwrap();
        begun += 100;
    }
    assert!(bed.store.keep_own_token_secret(after.id, "u").await.unwrap());
    bed.store.give_up_own_token(refused.id, true, later(1)).await.unwrap();
    assert!(claim(&bed, None, later(39)).await.is_empty(), "they are waited for");
    let found = claim(&bed, None, later(300)).await;
    let mut found_names = names(&found);
    found_names.sort_unstable();
    let mut expected = [before.secret.as_str(), after.secret.as_str()];
    expected.sort_unstable();
    assert_eq!(found_names, expected);
    assert!(found.iter().any(|former| former.secret.uid.as_deref() == Some("u")));
    assert!(claim(&bed, None, later(301)).await.is_empty(), "somebody is at them");
    assert_eq!(claim(&bed, Some(cluster.id), later(400)).await.len(), 2, "whoever was has died");
    assert_eq!(held(&bed, &cluster).await.sealed, next.secret.as_bytes());
}

async fn immune_20_what_was_held_has_to_go_until_it_is_gone(bed: Bed) {
    let cluster = bed.cluster().await;
    let legacy = secret("kubelend-token", None);
    let first = rotate(&bed, &cluster, Some(legacy.clone()), NOW).await;
    let due = claim(&bed, Some(cluster.id), NOW).await;
    assert_eq!((names(&due), due[0].account.clone()), (vec!["kubelend-token"], account()));
    bed.store.former_token_stands(due[0].id, "not allowed\0", later(60)).await.unwrap();
    let stands = bed.store.former_tokens(cluster.id).await.unwrap();
    assert_eq!((stands[0].trouble.as_deref(), stands[0].attempts), (Some("not allowed"), 1));
    assert!(claim(&bed, None, later(59)).await.is_empty());

    // The next one ends the first, by its row; the legacy one is no second time among them.
    let bound = secret(&first.secret, Some("uid"));
    let second = rotate(&bed, &cluster, Some(bound), later(60)).await;
    let due = claim(&bed, None, later(60)).await;
    assert_eq!(due.len(), 2);
    for former in &due {
        let gone = draft(Action::ClusterCredentialEnded);
        bed.store.settle_former_token(former, Some(gone.clone()), later(61)).await.unwrap();
        bed.store.settle_former_token(former, Some(gone), later(62)).await.unwrap();
    }
    assert_eq!(bed.events(Action::ClusterCredentialEnded).await, 2, "once each");
    assert!(bed.store.former_tokens(cluster.id).await.unwrap().is_empty());

    // Somebody puts another one in its place: what Kubelend got for itself has to go as well.
    let audit = draft(Action::ClusterCredentialsReplaced);
    let endpoint = cluster.endpoint.clone();
    bed.store.replace_credential(cluster.id, &endpoint, &sealed("pasted"), audit.clone(), later(70)).await.unwrap();
    assert_eq!(bed.store.credential_end(cluster.id).await.unwrap(), CredentialEnd::default());
    assert_eq!(bed.store.undescribed_credentials(10).await.unwrap(), [cluster.id]);
    let read = held(&bed, &cluster).await;
    let said = Described { ends_at: Some(later(5000)), renew_at: Some(later(80)), secret: None };
    bed.store.describe_credential(cluster.id, &read, &said, later(71)).await.unwrap();
    assert!(bed.store.undescribed_credentials(10).await.unwrap().is_empty());
    let end = CredentialEnd { ends_at: Some(later(5000)), ..CredentialEnd::default() };
    assert_eq!(bed.store.credential_end(cluster.id).await.unwrap(), end, "what was pasted is not renewed");
    let due = claim(&bed, None, later(71)).await;
    assert_eq!(names(&due), [second.secret.as_str()]);

    // And should they paste just that one once more, it stays.
    bed.store.replace_credential(cluster.id, &endpoint, &sealed("again"), audit, later(72)).await.unwrap();
    let read = held(&bed, &cluster).await;
    let said = Described { secret: Some((account(), second.secret.clone())), ..said };
    bed.store.describe_credential(cluster.id, &read, &said, later(73)).await.unwrap();
    assert!(claim(&bed, None, later(1000)).await.is_empty());
    assert_eq!(bed.store.credential_end(cluster.id).await.unwrap().renew_at, Some(later(80)));
    rotate(&bed, &cluster, Some(legacy), later(1001)).await;
    bed.store.sweep_own_tokens(later(1001)).await.unwrap();
    assert_eq!(bed.store.former_tokens(cluster.id).await.unwrap().len(), 2);
    bed.store.sweep_own_tokens(later(1002)).await.unwrap();
    assert!(bed.store.former_tokens(cluster.id).await.unwrap().is_empty());
    assert_eq!(bed.number("SELECT COUNT(*) FROM own_tokens").await, 1, "the one that is held");
}

async fn a_renewal_is_claimed_once_and_told_once_when_it_fails(bed: Bed) {
    let cluster = bed.cluster().await;
    rotate(&bed, &cluster, None, NOW).await;
    let due = async |now| bed.store.claim_renewals(now, MINUTE, 10).await.unwrap();
    assert!(due(later(499)).await.is_empty());
    assert_eq!(due(later(500)).await, [(cluster.id, Some(later(1000)))]);
    assert!(due(later(501)).await.is_empty(), "somebody is at it");
    let fail = async |now: u64| {
        let audit = draft(Action::ClusterCredentialFailed);
        bed.store.renewal_failed(cluster.id, "away", later(now + 10), audit, later(now)).await.unwrap();
    };
    assert_eq!(bed.store.worrying_credentials(NOW).await.unwrap(), 0);
    fail(510).await;
    fail(520).await;
    assert_eq!(bed.events(Action::ClusterCredentialFailed).await, 1);
    let end = bed.store.credential_end(cluster.id).await.unwrap();
    assert_eq!((end.trouble.as_deref(), end.renew_at), (Some("away"), Some(later(530))));
    assert_eq!(bed.store.worrying_credentials(NOW).await.unwrap(), 1);
    assert_eq!(due(later(530)).await.len(), 1);
    rotate(&bed, &cluster, None, later(531)).await;
    assert_eq!(bed.store.credential_end(cluster.id).await.unwrap().trouble, None);
    assert_eq!(bed.store.worrying_credentials(NOW).await.unwrap(), 0);
    // One that nobody renews is worth a word before it ends.
    let read = held(&bed, &cluster).await;
    let said = Described { ends_at: Some(NOW.plus(SOON).plus(Duration::from_secs(1))), ..Described::default() };
    bed.store.describe_credential(cluster.id, &read, &said, later(532)).await.unwrap();
    assert_eq!(bed.store.worrying_credentials(NOW).await.unwrap(), 0);
    assert_eq!(bed.store.worrying_credentials(later(1)).await.unwrap(), 1);
    bed.store.ask_removal(cluster.id, Removal::Purge, draft(Action::ClusterRemovalAsked), later(540)).await.unwrap();
    assert!(due(later(5000)).await.is_empty());
}

async fn what_the_version_before_put_in_its_place_is_looked_at_anew(bed: Bed) {
    let cluster = bed.cluster().await;
    let first = rotate(&bed, &cluster, None, NOW).await;
    assert!(bed.store.undescribed_credentials(10).await.unwrap().is_empty());
    bed.run(&format!("UPDATE cluster_credentials SET held_since = {}", later(9).millis())).await;
    assert_eq!(bed.store.undescribed_credentials(10).await.unwrap(), [cluster.id]);
    assert_eq!(bed.store.credential_end(cluster.id).await.unwrap(), CredentialEnd::default());
    assert!(bed.store.claim_renewals(later(5000), MINUTE, 10).await.unwrap().is_empty());
    // One that was replaced while it was looked at stays unlooked at.
    let read = StoredCredential { sealed: b"another".to_vec(), ..held(&bed, &cluster).await };
    bed.store.describe_credential(cluster.id, &read, &Described::default(), later(10)).await.unwrap();
    assert_eq!(bed.store.undescribed_credentials(10).await.unwrap(), [cluster.id]);
    let read = held(&bed, &cluster).await;
    bed.store.describe_credential(cluster.id, &read, &Described::default(), later(10)).await.unwrap();
    assert_eq!(names(&claim(&bed, None, later(10)).await), [first.secret.as_str()]);
}

async fn at_another_address_nothing_of_the_last_one_is_deleted(bed: Bed) {
    let cluster = bed.cluster().await;
    rotate(&bed, &cluster, Some(secret("kubelend-token", None)), NOW).await;
    let audit = draft(Action::ClusterCredentialsReplaced);
    let there = Endpoint { ca_pem: None, ..cluster.endpoint.clone() };
    bed.store.replace_credential(cluster.id, &there, &sealed("x"), audit.clone(), later(1)).await.unwrap();
    assert_eq!(bed.number("SELECT COUNT(*) FROM own_tokens").await, 2);
    let elsewhere = Endpoint { server: "https://new.example.com/".parse().unwrap(), ..there };
    bed.store.replace_credential(cluster.id, &elsewhere, &sealed("x"), audit, later(2)).await.unwrap();
    assert_eq!(bed.number("SELECT COUNT(*) FROM own_tokens").await, 0);
}
