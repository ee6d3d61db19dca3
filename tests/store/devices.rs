//! Devices: made with their file, written down when used, taken back one by one or many at once.

use kubelend::{
    crypto::{DEVICE_PREFIX, PlainToken},
    model::{
        audit::Action,
        device::{Device, Format, Use},
        id::{ClusterId, DeviceId, IdentityId},
    },
    store::{Devices, NewDevice, StoreError},
};

use super::bed::{Bed, NOW, draft, later, provider};

both!(
    a_device_comes_back_as_it_was_made,
    a_use_is_kept_and_an_older_one_does_not_undo_it,
    two_far_apart_places_are_written_down_once,
    devices_are_taken_back_one_by_one_or_many_at_once,
    nobody_has_more_than_two_hundred_on_a_cluster,
    devices_go_with_their_cluster,
);

/// A device to make.
pub(super) fn device(cluster: ClusterId, identity: IdentityId, format: Format) -> NewDevice {
    NewDevice {
        id: DeviceId::new(),
        identity,
        cluster,
        provider: provider("dex"),
        format,
        name: "laptop".into(),
        token: format.is_relayed().then(|| PlainToken::generate(DEVICE_PREFIX).hash()),
        from: "192.0.2.1".parse().unwrap(),
        expires_at: later(3600),
    }
}

async fn made(bed: &Bed, new: &NewDevice) -> Device {
    bed.store.add_device(new, draft(Action::KubeconfigIssued), NOW).await.unwrap();
    bed.store.device(new.id).await.unwrap().0
}

fn at(secs: u64, from: &str) -> Use {
    Use { at: later(secs), from: from.parse().unwrap() }
}

async fn a_device_comes_back_as_it_was_made(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    let new = device(cluster.id, bob.id, Format::Relay);
    let kept = made(&bed, &new).await;
    assert_eq!(
        (kept.identity, kept.cluster, kept.format, kept.name.as_str()),
        (bob.id, cluster.id, Format::Relay, "laptop")
    );
    assert_eq!((kept.made, kept.expires_at), (Use { at: NOW, from: new.from }, later(3600)));
    assert_eq!((kept.used, kept.apart, kept.revoked_at), (None, None, None));
    assert_eq!(bed.store.device(new.id).await.unwrap().1, new.token);
    let other = device(cluster.id, bob.id, Format::Kubelogin);
    made(&bed, &other).await;
    assert_eq!(bed.store.device(other.id).await.unwrap().1, None);
    assert_eq!(bed.events(Action::KubeconfigIssued).await, 2);
    let ids: Vec<DeviceId> = bed.store.devices_of_person(bob.id, None, 9).await.unwrap().iter().map(|d| d.id).collect();
    assert_eq!(ids, [other.id, new.id], "newest first");
    let behind = bed.store.devices_on_cluster(cluster.id, Some(other.id), 9).await.unwrap();
    assert_eq!(behind.iter().map(|d| d.id).collect::<Vec<_>>(), [new.id]);
    assert_eq!(bed.store.count_devices(cluster.id, None, NOW).await.unwrap(), (1, 1), "relayed ones");
    assert_eq!(bed.store.count_devices(cluster.id, Some(IdentityId::new()), NOW).await.unwrap(), (0, 0));
    assert!(matches!(bed.store.device(DeviceId::new()).await.unwrap_err(), StoreError::NotFound));
}

async fn a_use_is_kept_and_an_older_one_does_not_undo_it(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    let device = made(&bed, &device(cluster.id, bob.id, Format::Relay)).await;
    bed.store.device_used(&device, at(20, "192.0.2.2"), None).await.unwrap();
    bed.store.device_used(&device, at(10, "192.0.2.3"), None).await.unwrap();
    assert_eq!(bed.store.device(device.id).await.unwrap().0.used, Some(at(20, "192.0.2.2")));
}

async fn two_far_apart_places_are_written_down_once(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    let fresh = made(&bed, &device(cluster.id, bob.id, Format::Relay)).await;
    bed.store.device_used(&fresh, at(1, "192.0.2.1"), None).await.unwrap();
    let device = bed.store.device(fresh.id).await.unwrap().0;
    for _ in 0..2 {
        // The second one read the device before the first wrote.
        bed.store.device_used(&device, at(5, "198.51.100.1"), Some(draft(Action::DeviceApart))).await.unwrap();
    }
    let now = bed.store.device(device.id).await.unwrap().0;
    assert_eq!((now.used, now.apart), (Some(at(5, "198.51.100.1")), Some(at(5, "192.0.2.1"))));
    assert_eq!(bed.events(Action::DeviceApart).await, 1);
}

async fn devices_are_taken_back_one_by_one_or_many_at_once(bed: Bed) {
    let (cluster, bob, carol) = (bed.cluster().await, bed.person("bob").await, bed.person("carol").await);
    let mut of_bob = Vec::new();
    for _ in 0..4 {
        of_bob.push(made(&bed, &device(cluster.id, bob.id, Format::Relay)).await.id);
    }
    let of_carol = made(&bed, &device(cluster.id, carol.id, Format::Relay)).await.id;
    let revoke = async |which| bed.store.revoke_devices(which, draft(Action::DeviceRevoked), later(9)).await.unwrap();
    assert_eq!(revoke(Devices::OneOfPerson(carol.id, of_bob[0])).await, 0, "not hers");
    assert_eq!(revoke(Devices::OneOnCluster(ClusterId::new(), of_bob[0])).await, 0, "not there");
    assert_eq!(bed.events(Action::DeviceRevoked).await, 0);
    assert_eq!(revoke(Devices::OneOfPerson(bob.id, of_bob[0])).await, 1);
    assert_eq!(revoke(Devices::OneOfPerson(bob.id, of_bob[0])).await, 0, "twice is once");
    assert_eq!(revoke(Devices::OneOnCluster(cluster.id, of_bob[1])).await, 1);
    assert_eq!(revoke(Devices::OfPersonOnCluster(cluster.id, bob.id)).await, 2);
    assert_eq!(bed.store.device(of_bob[3]).await.unwrap().0.revoked_at, Some(later(9)));
    assert_eq!(bed.store.device(of_carol).await.unwrap().0.revoked_at, None);
    assert_eq!(revoke(Devices::AllOnCluster(cluster.id)).await, 1);
    assert_eq!(revoke(Devices::AllOfPerson(bob.id)).await, 0);
    assert_eq!(bed.events(Action::DeviceRevoked).await, 4);
    assert!(bed.store.devices_on_cluster(cluster.id, None, 9).await.unwrap().is_empty());
}

async fn nobody_has_more_than_two_hundred_on_a_cluster(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    let mut last = None;
    for _ in 0..200 {
        last = Some(made(&bed, &device(cluster.id, bob.id, Format::Relay)).await.id);
    }
    let more = device(cluster.id, bob.id, Format::Relay);
    let refused = bed.store.add_device(&more, draft(Action::KubeconfigIssued), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    assert_eq!(bed.events(Action::KubeconfigIssued).await, 200);
    let one = Devices::OneOfPerson(bob.id, last.unwrap());
    bed.store.revoke_devices(one, draft(Action::DeviceRevoked), NOW).await.unwrap();
    bed.store.add_device(&more, draft(Action::KubeconfigIssued), NOW).await.unwrap();
}

async fn devices_go_with_their_cluster(bed: Bed) {
    let (cluster, bob) = (bed.cluster().await, bed.person("bob").await);
    made(&bed, &device(cluster.id, bob.id, Format::Relay)).await;
    bed.run(&format!("DELETE FROM clusters WHERE id = '{}'", cluster.id)).await;
    assert!(bed.store.devices_of_person(bob.id, None, 9).await.unwrap().is_empty());
}
