//! ServiceAccounts on a cluster: making and deleting them, handing out short tokens of theirs, and taking those back.
//!
//! An account is a row first and an object afterwards, as a grant and its bindings are: `bring` makes the cluster follow, at once and
//! again until it has. A token cannot be a wish, since nothing may keep it: so its row (`token`) is written before it is asked for,
//! and what becomes of a token that nobody got is that the Secret which it is bound to goes, and it is worth nothing.

mod bring;
mod token;

use std::sync::Arc;

pub use token::{TokenFile, TokenRequest};

use super::{AccessError, OwnClients, audit};
use crate::{
    clock::Clock,
    k8s::{FoundAccount, Listed},
    model::{
        audit::Action,
        cluster::Cluster,
        grant::GrantState,
        id::{LeaseId, ServiceAccountId},
        service_account::{AccountName, LeaseEnd, ServiceAccount},
    },
    policy::{Authorized, Forbidden, ManageAccess, ViewCluster},
    store::{NewServiceAccount, Store, StoreError},
};

/// ServiceAccounts.
#[derive(Clone, Debug)]
pub struct ServiceAccounts {
    store: Store,
    clients: OwnClients,
    instance: Arc<str>,
    clock: Clock,
}

impl ServiceAccounts {
    /// With these parts; `instance` labels this installation's objects.
    pub fn new(store: Store, clients: OwnClients, instance: Arc<str>, clock: Clock) -> Self {
        Self { store, clients, instance, clock }
    }

    /// Makes one. `Invalid` names the form's field (`name`). The state says whether the cluster has followed already.
    pub async fn create(
        &self,
        permit: &Authorized<ManageAccess>,
        name: AccountName,
    ) -> Result<(ServiceAccountId, GrantState), AccessError> {
        let cluster = permit.cluster();
        let new = NewServiceAccount {
            id: ServiceAccountId::new(),
            cluster: cluster.id,
            created_by: permit.person().identity().id,
            name,
        };
        let event = audit::by(permit.person(), Action::AccountAdded, new.name.to_string());
        match self.store.add_service_account(&new, event, self.clock.now()).await {
            Ok(()) => {}
            Err(StoreError::Duplicate(taken)) => {
                return Err(AccessError::Invalid { field: "name", message: taken.to_owned() });
            }
            Err(StoreError::Stale) => return Err(Forbidden::BeingRemoved.into()),
            Err(e) => return Err(e.into()),
        }
        Ok((new.id, self.apply_now(new.id).await?))
    }

    /// Deletes one, with its tokens and with the grants to it. Repeating it is fine.
    pub async fn delete(
        &self,
        permit: &Authorized<ManageAccess>,
        id: ServiceAccountId,
    ) -> Result<GrantState, AccessError> {
        let account = self.of(permit.cluster(), id).await?;
        let event = audit::by(permit.person(), Action::AccountDeleted, account.name.to_string());
        let grant = audit::by(permit.person(), Action::GrantRevoked, String::new());
        self.store.end_service_account(id, event, grant, self.clock.now()).await?;
        self.apply_now(id).await
    }

    /// Takes a token back: the Secret that it is bound to is deleted, and the API server refuses it from then on. Repeating it is
    /// fine.
    pub async fn revoke(
        &self,
        permit: &Authorized<ManageAccess>,
        account: ServiceAccountId,
        lease: LeaseId,
    ) -> Result<(), AccessError> {
        let account = self.of(permit.cluster(), account).await?;
        if self.store.lease(lease).await?.account != account.id {
            return Err(AccessError::NotFound);
        }
        let event = audit::by(permit.person(), Action::TokenRevoked, format!("a token of {}", account.name));
        if self.store.end_lease(lease, LeaseEnd::Revoked, event, self.clock.now()).await? {
            self.apply_now(account.id).await?;
        }
        Ok(())
    }

    /// One of this cluster's.
    ///
    /// # Errors
    /// `NotFound` for one of another cluster.
    pub async fn of(&self, cluster: &Cluster, id: ServiceAccountId) -> Result<ServiceAccount, AccessError> {
        let account = self.store.service_account(id).await?;
        if account.cluster == cluster.id { Ok(account) } else { Err(AccessError::NotFound) }
    }

    /// All that stand on the cluster, whoever made them; for display.
    pub async fn standing(&self, permit: &Authorized<ViewCluster>) -> Result<Listed<FoundAccount>, AccessError> {
        let client = self.clients.client(permit.cluster().id, bring::BOUND).await?;
        Ok(client.accounts().await?)
    }
}
