//! Kubelend's own token for a cluster gets the next one: when its owner says so, and from then on by itself at half of its life.
//!
//! What it protects against: a token without an end, which is as good in an old backup as in the database; and one with an end, whose
//! connection dies in silence. The order is what makes it safe to die anywhere: the row of the next token; its Secret; the token, bound to
//! that; the API server's word that it is the same ServiceAccount; in one transaction it takes the place of the last one; and only then the
//! Secret of that goes. Until the transaction the last one is held and works, and `ending` clears away what was made; after it the next one
//! is held, and `ending` ends the last.
//!
//! Its limit: what is not bound to a Secret in the account's own namespace cannot be ended from here. The page says so, and until when.

mod ending;
mod facts;

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};

pub use facts::{HowItEnds, OwnCredential};

use super::{AccessError, OwnClients, Probe, audit, credential};
use crate::{
    clock::Clock,
    crypto::Keyring,
    k8s::{ClusterClient, Exactly, GivenToken, K8sError, ResourceQuestion, Shown},
    model::{
        audit::Action,
        cluster::ClusterCredential,
        id::{ClusterId, OwnTokenId},
        own_token::{self, AccountToken, BoundSecret, LIFE},
        service_account::AccountName,
    },
    policy::{Authorized, Forbidden, ManageCluster},
    store::{AuditDraft, NewOwnToken, Rotated, Store, StoreError, StoredCredential},
};

/// How long one question may take.
const BOUND: Duration = Duration::from_secs(4);
/// How long the cluster may take until it knows a new token.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(200);
/// How long a token that is being made is waited for: longer than all calls to the cluster may take.
const WAIT: Duration = Duration::from_secs(40);
/// How much longer than it was asked for a token may live, since clocks differ.
const CLOCKS: Duration = Duration::from_mins(5);

/// Rotates credentials.
#[derive(Clone, Debug)]
pub struct Rotation {
    store: Store,
    keyring: Arc<Keyring>,
    clients: OwnClients,
    probe: Probe,
    instance: Arc<str>,
    clock: Clock,
}

/// What is rotated: the credential as it was read, and whom the API server takes it for.
struct Held {
    cluster: ClusterId,
    stored: StoredCredential,
    token: AccountToken,
    client: ClusterClient,
}

impl Rotation {
    /// With these parts.
    pub fn new(
        store: Store,
        keyring: Arc<Keyring>,
        clients: OwnClients,
        probe: Probe,
        instance: Arc<str>,
        clock: Clock,
    ) -> Self {
        Self { store, keyring, clients, probe, instance, clock }
    }

    /// Gets the next token, puts it in place of what is held, ends that, and checks the cluster again in the background.
    ///
    /// # Errors
    /// `Invalid { field: "rotate" }` with what stands in the way; the credential is then the one that it was.
    pub async fn rotate(&self, permit: &Authorized<ManageCluster>) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        let event = audit::by(permit.person(), Action::ClusterCredentialsRotated, cluster.name.to_string());
        self.turn(cluster.id, event).await?;
        self.end_former(Some(cluster.id)).await?;
        self.probe.begin(cluster.id).await?;
        let (probe, id) = (self.probe.clone(), cluster.id);
        tokio::spawn(async move {
            if let Err(error) = probe.check(id).await {
                tracing::warn!(cluster = %id, %error, "a connection check could not be kept");
            }
        });
        Ok(())
    }

    /// The next token takes the place of the last one.
    async fn turn(&self, cluster: ClusterId, event: AuditDraft) -> Result<(), AccessError> {
        let held = self.held(cluster).await?;
        may(&held).await?;
        let id = OwnTokenId::new();
        let (account, secret) = (held.token.account.clone(), format!("kubelend-own-{id}"));
        let now = self.clock.now();
        let new = NewOwnToken { id, cluster, account, secret, wait_until: now.plus(WAIT) };
        self.store.begin_own_token(&new, now).await.map_err(in_time)?;
        let made = match self.made(&held, &new).await {
            Ok(given) => self.put_in_place(&held, id, given, event).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            // A Secret that was refused outright was not made. Should this fail, too, the loop comes to it.
            let nothing = matches!(&error, AccessError::Cluster(K8sError::Forbidden(_)));
            self.store.give_up_own_token(id, nothing, self.clock.now()).await?;
            return Err(in_the_way(error));
        }
        Ok(())
    }

    async fn held(&self, cluster: ClusterId) -> Result<Held, AccessError> {
        let stored = self.store.stored_credential(cluster).await?;
        let ClusterCredential::Token(token) = self.open(cluster, &stored)? else {
            return Err(wrong(
                "A client certificate cannot be rotated from here: replace it, or exchange it for a ServiceAccount.",
            ));
        };
        let said = AccountToken::read(token.expose_secret());
        let shown = Shown::Own(ClusterCredential::Token(token));
        let client = self.clients.connector().client(&stored.endpoint, shown, BOUND)?;
        let me = client.who_am_i().await.map_err(|error| in_the_way(error.into()))?.username;
        match said.filter(|said| said.account.user() == me) {
            Some(token) => Ok(Held { cluster, stored, token, client }),
            None => Err(wrong(format!(
                "Kubelend is known there as {me}, by a credential that is no ServiceAccount's token: it cannot get another one by itself. Replace it instead."
            ))),
        }
    }

    fn open(&self, cluster: ClusterId, stored: &StoredCredential) -> Result<ClusterCredential, AccessError> {
        Ok(credential::open(&self.keyring, cluster, &stored.sealed)?)
    }

    /// The token, with the API server's word that it is good.
    async fn made(&self, held: &Held, new: &NewOwnToken) -> Result<GivenToken, AccessError> {
        let (account, name) = (&new.account, new.secret.as_str());
        let uid = held.client.create_anchor(account, &held.token.account_uid, name, &self.marks()).await?;
        if !self.store.keep_own_token_secret(new.id, &uid).await? {
            return Err(took_too_long());
        }
        let given = held.client.token(account, LIFE, Exactly { name, uid: &uid }).await?;
        let bound = BoundSecret { name: name.to_owned(), uid: Some(uid) };
        let said = AccountToken::read(given.token.expose_secret());
        if said.is_none_or(|said| said.account != *account || said.secret() != Some(&bound)) {
            return Err(K8sError::Nonsense(
                "the token that it gives is not bound to the Secret that it was asked for".into(),
            )
            .into());
        }
        if given.expires_at > self.clock.now().plus(LIFE).plus(CLOCKS) {
            return Err(K8sError::Nonsense("it was asked for a token of 30 days and gives a longer one".into()).into());
        }
        self.is_known(held, &given).await?;
        Ok(given)
    }

    /// Waits until the API server takes it for the same account: one of several learns of a new Secret a moment later.
    async fn is_known(&self, held: &Held, given: &GivenToken) -> Result<(), AccessError> {
        let shown = Shown::Own(ClusterCredential::Token(given.token.clone()));
        let client = self.clients.connector().client(&held.stored.endpoint, shown, BOUND)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match client.who_am_i().await {
                Ok(me) if me.username == held.token.account.user() => return Ok(()),
                _ if Instant::now() < until => sleep(PAUSE).await,
                Ok(me) => {
                    return Err(wrong(format!("The new token is {}’s there. Nothing has changed here.", me.username)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn put_in_place(
        &self,
        held: &Held,
        id: OwnTokenId,
        given: GivenToken,
        event: AuditDraft,
    ) -> Result<(), AccessError> {
        let now = self.clock.now();
        let former = held.token.secret().map(|secret| (held.token.account.clone(), secret.clone()));
        let ends_at = given.expires_at;
        let credential = credential::seal(&self.keyring, held.cluster, &ClusterCredential::Token(given.token));
        let renew_at = own_token::renew_at(now, ends_at);
        let new = Rotated { id, credential, ends_at, renew_at, former };
        let event = AuditDraft { target: format!("{}: the new token ends at {ends_at}", event.target), ..event };
        self.store.rotate_credential(held.cluster, &held.stored, &new, event, now).await.map_err(in_time)
    }
}

/// What has to be allowed, asked before anything is made.
fn wanted(account: &AccountName) -> [ResourceQuestion; 3] {
    let in_its_namespace = |verb, resource, name: Option<&str>| ResourceQuestion {
        verb,
        group: "",
        resource,
        namespace: Some(account.namespace().to_string()),
        name: name.map(str::to_owned),
    };
    [
        in_its_namespace("create", "serviceaccounts/token", Some(account.name())),
        in_its_namespace("create", "secrets", None),
        in_its_namespace("delete", "secrets", None),
    ]
}

async fn may(held: &Held) -> Result<(), AccessError> {
    let account = &held.token.account;
    for question in wanted(account) {
        if !held.client.can_i(&question).await.map_err(|error| in_the_way(error.into()))? {
            return Err(wrong(format!(
                "Kubelend may not {} {} in the namespace {} yet. Apply the manifest below with your own kubectl, then press again. Nothing has changed here.",
                question.verb,
                question.resource,
                account.namespace(),
            )));
        }
    }
    Ok(())
}

fn in_time(error: StoreError) -> AccessError {
    match error {
        StoreError::Stale => took_too_long(),
        StoreError::Duplicate(why) => wrong(why),
        other => other.into(),
    }
}

fn took_too_long() -> AccessError {
    wrong("It took too long, or somebody has replaced the credential meanwhile. Look at what is held now.")
}

fn in_the_way(error: AccessError) -> AccessError {
    match error {
        AccessError::Cluster(K8sError::Forbidden(said)) => wrong(format!(
            "The API server says “{said}”. Apply the manifest below, then press again. Nothing has changed here."
        )),
        AccessError::Cluster(other) => wrong(format!("{other}. Nothing has changed here.")),
        other => other,
    }
}

fn wrong(message: impl Into<String>) -> AccessError {
    AccessError::Invalid { field: "rotate", message: message.into() }
}
