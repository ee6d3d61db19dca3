//! Trades a credential that can do more than Kubelend needs for a ServiceAccount of its own.
//!
//! What it protects against: an uploaded admin credential that lies in Kubelend's database for good, so that whoever takes over Kubelend has
//! the cluster. With its owner's word it is used once, to make what the shown command makes; then the new token takes its place,
//! and it is forgotten. Until the new one is seen to do all that is needed, nothing changes here, so that dying at any point leaves
//! a cluster that works as before, and asking again goes on from what stands.
//!
//! Its limit: a credential that was forgotten here is as good as before wherever else it is known.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use super::{AccessError, OwnClients, Probe, audit, credential, probe};
use crate::{
    clock::Clock,
    crypto::Keyring,
    k8s::{ClusterClient, K8sError, Shown},
    kubeconfig::{self, OWN_ACCOUNT},
    model::{
        audit::Action,
        cluster::{Cluster, ClusterCredential},
        role::Role,
    },
    policy::{Authorized, Forbidden, ManageCluster},
    store::{Store, StoreError},
};

/// How long one question may take.
const BOUND: Duration = Duration::from_secs(4);
/// How long the cluster may take to make a token, and then to know what it may do.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(200);
const NAMESPACE: &str = "kubelend";
const SECRET: &str = "kubelend-token";

/// Exchanges credentials.
#[derive(Clone, Debug)]
pub struct Exchange {
    store: Store,
    keyring: Arc<Keyring>,
    clients: OwnClients,
    probe: Probe,
    clock: Clock,
}

impl Exchange {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, clients: OwnClients, probe: Probe, clock: Clock) -> Self {
        Self { store, keyring, clients, probe, clock }
    }

    /// Makes the ServiceAccount with the credential that is held, takes its token in place of that, and checks the cluster again in
    /// the background.
    ///
    /// # Errors
    /// `Invalid { field: "exchange" }` with what stands in the way; the credential is then the one that it was.
    pub async fn exchange(&self, permit: &Authorized<ManageCluster>) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        let held = self.store.stored_credential(cluster.id).await?;
        let client = self.clients.fresh(cluster.id, BOUND).await?;
        let token = made(&client).await.map_err(in_the_way)?;
        let new = ClusterCredential::Token(token);
        self.does(cluster, new.clone()).await?;
        let sealed = credential::seal(&self.keyring, cluster.id, &new);
        let event = audit::by(permit.person(), Action::ClusterCredentialsExchanged, cluster.name.to_string());
        let kept = self.store.exchange_credential(cluster.id, &held, &sealed, event, self.clock.now()).await;
        kept.map_err(|error| match error {
            StoreError::Stale => wrong("Somebody has replaced the credential meanwhile. Look at what is held now."),
            other => other.into(),
        })?;
        self.probe.begin(cluster.id).await?;
        let (probe, id) = (self.probe.clone(), cluster.id);
        tokio::spawn(async move {
            if let Err(error) = probe.check(id).await {
                tracing::warn!(cluster = %id, %error, "a connection check could not be kept");
            }
        });
        Ok(())
    }

    /// Waits until the new credential is known there and may do all that is needed: a right counts a moment after it was given.
    async fn does(&self, cluster: &Cluster, new: ClusterCredential) -> Result<(), AccessError> {
        let client = self.clients.connector().client(&cluster.endpoint, Shown::Own(new), BOUND)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let lacking = lacking(&client).await;
            match lacking {
                Ok(None) => return Ok(()),
                _ if Instant::now() < until => sleep(PAUSE).await,
                Ok(Some(what)) => {
                    let why =
                        format!("The new ServiceAccount is there, but lacks this: {what}. Nothing has changed here.");
                    return Err(wrong(why));
                }
                Err(error) => return Err(in_the_way(error)),
            }
        }
    }
}

/// Makes the account and reads its token.
async fn made(client: &ClusterClient) -> Result<SecretString, K8sError> {
    for object in kubeconfig::least_power_objects(&Role::NAMES) {
        client.put_own(&object).await?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match client.token_in(NAMESPACE, SECRET).await? {
            Some(token) => return Ok(token),
            None if Instant::now() < until => sleep(PAUSE).await,
            None => {
                let why = format!(
                    "the cluster has put no token into the Secret {SECRET} within {} seconds; is its controller manager running?",
                    PATIENCE.as_secs()
                );
                return Err(K8sError::Unusable(why));
            }
        }
    }
}

/// What it cannot do yet, in people's words.
async fn lacking(client: &ClusterClient) -> Result<Option<String>, K8sError> {
    let me = client.who_am_i().await?.username;
    if me != OWN_ACCOUNT {
        return Ok(Some(format!("to be known as {OWN_ACCOUNT}, not {me}")));
    }
    for need in probe::needs() {
        if !client.can_i(&need.question).await? {
            return Ok(Some(need.title));
        }
    }
    Ok(None)
}

fn in_the_way(error: K8sError) -> AccessError {
    let why = match error {
        K8sError::Forbidden(said) => {
            format!(
                "The credential may not make the ServiceAccount: the API server says “{said}”. Run the command below instead, as somebody who may."
            )
        }
        other => format!("{other}."),
    };
    wrong(format!("{why} Nothing has changed here."))
}

fn wrong(message: impl Into<String>) -> AccessError {
    AccessError::Invalid { field: "exchange", message: message.into() }
}
