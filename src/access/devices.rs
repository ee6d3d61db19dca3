//! Devices: what a person holds and an owner lends, and taking it back.

use super::{AccessError, audit};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        device::Device,
        id::{DeviceId, IdentityId},
    },
    policy::{Authorized, ManageAccess, OwnThings},
    store::{self, Store},
};

/// Devices.
#[derive(Clone, Debug)]
pub struct Devices {
    store: Store,
    clock: Clock,
}

impl Devices {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Takes back one of one's own.
    pub async fn revoke_own(&self, permit: &Authorized<OwnThings>, id: DeviceId) -> Result<(), AccessError> {
        let identity = permit.person().identity();
        let device = self.store.device(id).await?.0;
        if device.identity != identity.id {
            return Err(AccessError::NotFound);
        }
        let event = audit::by(permit.person(), Action::DeviceRevoked, name(&device));
        self.store.revoke_devices(store::Devices::OneOfPerson(identity.id, id), event, self.clock.now()).await?;
        Ok(())
    }

    /// Takes back all of one's own; returns how many.
    pub async fn revoke_all_own(&self, permit: &Authorized<OwnThings>) -> Result<u64, AccessError> {
        let identity = permit.person().identity();
        let event = audit::by(permit.person(), Action::DeviceRevoked, format!("all of {}", identity.display()));
        Ok(self.store.revoke_devices(store::Devices::AllOfPerson(identity.id), event, self.clock.now()).await?)
    }

    /// Takes back one on a cluster.
    pub async fn revoke_one(&self, permit: &Authorized<ManageAccess>, id: DeviceId) -> Result<(), AccessError> {
        let cluster = permit.cluster().id;
        let device = self.store.device(id).await?.0;
        if device.cluster != cluster {
            return Err(AccessError::NotFound);
        }
        let holder = self.store.identity(device.identity).await?;
        let what = format!("{} of {}", name(&device), holder.display());
        let event = audit::by(permit.person(), Action::DeviceRevoked, what);
        self.store.revoke_devices(store::Devices::OneOnCluster(cluster, id), event, self.clock.now()).await?;
        Ok(())
    }

    /// Takes back all that one person has on a cluster; returns how many.
    pub async fn revoke_person(
        &self,
        permit: &Authorized<ManageAccess>,
        identity: IdentityId,
    ) -> Result<u64, AccessError> {
        let cluster = permit.cluster();
        let holder = self.store.identity(identity).await?;
        let what = format!("all of {} for {}", holder.display(), cluster.name);
        let event = audit::by(permit.person(), Action::DeviceRevoked, what);
        let which = store::Devices::OfPersonOnCluster(cluster.id, identity);
        Ok(self.store.revoke_devices(which, event, self.clock.now()).await?)
    }

    /// Takes back all on a cluster; returns how many.
    pub async fn revoke_all(&self, permit: &Authorized<ManageAccess>) -> Result<u64, AccessError> {
        let cluster = permit.cluster();
        let event = audit::by(permit.person(), Action::DeviceRevoked, format!("all for {}", cluster.name));
        Ok(self.store.revoke_devices(store::Devices::AllOnCluster(cluster.id), event, self.clock.now()).await?)
    }
}

fn name(device: &Device) -> String {
    format!("“{}” ({})", device.name, device.format.as_str())
}
