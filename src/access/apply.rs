//! Bringing one grant to its cluster: the step that the use cases take at once and `reconcile` takes again until it is done.
//!
//! The grant's row says what is wanted. This reads it, makes the cluster agree, and writes down how that went, but only if the
//! wish is still the same: somebody may have revoked the grant in between, and then that wish has its own attempt coming.

mod namespace;
mod went;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub(super) use self::went::wait;
use self::went::{Marked, Went, brought, count, event, outcome};
use super::{
    AccessError, OwnClients, audit,
    roles::{self, Standing, Upkeep},
};
use crate::{
    bindings::{self, ApplyError, Ensured, Repair, Work},
    clock::Clock,
    k8s::{BindingObject, ClusterClient, K8sError},
    model::{
        audit::Action,
        binding::Memory,
        claim_mapping::{ClaimMapping, Unmappable},
        cluster::Cluster,
        grant::{EndReason, Grant, GrantState, Grantee},
        id::{ClusterId, GrantId},
        identity::Identity,
        made_role::MadeRole,
        provider::ProviderId,
    },
    store::{DueGrant, RoleAt, Store},
};

/// How long an attempt may take in all. A page waits for it, and pages answer within 3 s.
const BOUND: Duration = Duration::from_millis(2_200);
/// How long others leave a grant alone that is being worked on: a few times what an attempt may take. After a crash it is
/// also how long the grant waits.
const LEASE: Duration = Duration::from_secs(6);
/// How long one cluster may take with all that is claimed for it: less than a claim of the loop's.
const BATCH: Duration = Duration::from_secs(15);

/// Brings grants to clusters.
#[derive(Clone, Debug)]
pub struct Applier {
    store: Store,
    clients: OwnClients,
    instance: Arc<str>,
    clock: Clock,
}

impl Applier {
    /// With these parts; `instance` labels this installation's bindings.
    pub fn new(store: Store, clients: OwnClients, instance: Arc<str>, clock: Clock) -> Self {
        Self { store, clients, instance, clock }
    }

    /// Claims a grant and makes its cluster agree, once. Returns the state it is in afterwards; what failed is written down
    /// and tried again later.
    pub async fn apply_now(&self, id: GrantId) -> Result<GrantState, AccessError> {
        let due = self.store.claim_grant(id, self.clock.now(), LEASE).await?;
        self.apply_claimed(&due).await
    }

    /// The same for one that is claimed already.
    async fn apply_claimed(&self, due: &DueGrant) -> Result<GrantState, AccessError> {
        let cluster = self.store.cluster(due.cluster).await?;
        Ok(self.attempt(due, &cluster, None).await?.0)
    }

    /// The same for several of one cluster that are claimed already, one after the other. A cluster that does not answer the
    /// first of them is not asked for the others: they wait as that one does, and keep no other cluster waiting.
    pub async fn apply_to_cluster(&self, cluster: ClusterId, due: &[DueGrant]) -> Result<(), AccessError> {
        let cluster = self.store.cluster(cluster).await?;
        let until = Instant::now() + BATCH;
        let mut away = None;
        // Whatever a slow cluster leaves no time for is due again when its claim runs out.
        for due in due.iter().take_while(|_| Instant::now() < until) {
            let (_, error) = self.attempt(due, &cluster, away.take()).await?;
            away = error.filter(K8sError::is_silence);
        }
        Ok(())
    }

    /// Deletes a role that nothing on its cluster needs any more, and that is claimed already; only where it is ours.
    pub async fn remove_role(&self, cluster: ClusterId, made: &MadeRole) -> Result<(), AccessError> {
        let client = self.clients.client(cluster, BOUND).await?;
        roles::remove(&client, made).await?;
        let at = RoleAt { cluster, namespace: made.namespace.as_deref(), name: &made.name };
        Ok(self.store.forget_role(at, made.leaving).await?)
    }

    /// Tries once and writes down how it went; `away` is what the cluster has just failed with, where asking again is no use.
    async fn attempt(
        &self,
        due: &DueGrant,
        cluster: &Cluster,
        away: Option<K8sError>,
    ) -> Result<(GrantState, Option<K8sError>), AccessError> {
        let (grant, person) = self.store.grant(due.id).await?;
        let grant = self.end_if_expired(grant, person.as_ref()).await?;
        let wanted = grant.ended.is_none();
        let (went, ensured) = match away {
            Some(error) => (Went::Cluster(error), None),
            None => self.bring(&grant, person.as_ref(), cluster, wanted).await?,
        };
        let now = self.clock.now();
        let outcome = outcome(&went, wanted, due.attempts, now);
        let event = event(&outcome, &grant, person.as_ref());
        match ensured {
            None => drop(self.store.settle_grant(due, wanted, &outcome, event, now).await?),
            Some((mark, ensured)) => {
                let repairs: Vec<Repair> = ensured.repairs.iter().map(|(repair, _)| *repair).collect();
                let brought = brought(mark, ensured, &grant, person.as_ref());
                self.store.settle_brought(due, &outcome, event, &brought, now).await?;
                for repair in repairs {
                    count(repair);
                }
            }
        }
        let error = if let Went::Cluster(error) = went { Some(error) } else { None };
        Ok((outcome.state, error))
    }

    /// Makes the cluster agree with the grant.
    async fn bring(
        &self,
        grant: &Grant,
        person: Option<&Identity>,
        cluster: &Cluster,
        wanted: bool,
    ) -> Result<(Went, Option<Marked>), AccessError> {
        let attempt = async {
            let client = self.clients.client(cluster.id, BOUND).await?;
            if wanted {
                self.bind(&client, grant, person, cluster).await
            } else {
                // What is remembered stays so: should it come back with a restored cluster, it is known.
                self.unbind(&client, grant, &self.store.memory(grant.id).await?).await?;
                Ok((Went::Done, None))
            }
        };
        match tokio::time::timeout(BOUND, attempt).await {
            Ok(Err(AccessError::Cluster(e))) => Ok((Went::Cluster(e), None)),
            Ok(Err(other)) => Err(other),
            Ok(Ok(went)) => Ok(went),
            Err(_) => Ok((Went::Cluster(K8sError::TimedOut), None)),
        }
    }

    async fn end_if_expired(&self, grant: Grant, person: Option<&Identity>) -> Result<Grant, AccessError> {
        let now = self.clock.now();
        if grant.ended.is_some() || grant.is_live(now) {
            return Ok(grant);
        }
        let target = audit::grantee(&grant.grantee, person);
        let event = audit::by_kubelend(Action::GrantExpired, target);
        if self.store.end_grant(grant.id, EndReason::Expired, event, now).await? {
            return Ok(Grant { ended: Some(EndReason::Expired), ..grant });
        }
        // Somebody was quicker: it was ended, or its end was moved.
        Ok(self.store.grant(grant.id).await?.0)
    }

    async fn bind(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        person: Option<&Identity>,
        cluster: &Cluster,
    ) -> Result<(Went, Option<Marked>), AccessError> {
        if let Some(missing) = self.namespace_before_role(client, grant, cluster.id).await? {
            return self.withdraw(client, grant, missing).await;
        }
        match self.wanted(grant, person, cluster).await? {
            Ok(objects) => match self.not_given(client, grant, cluster).await? {
                None => self.ensure_in_its_place(client, grant, &objects, cluster).await,
                Some(refused) => self.withdraw(client, grant, refused).await,
            },
            // Nobody can be named: then nobody must be bound, above all not whoever bears the name now.
            Err(why) => self.withdraw(client, grant, why).await,
        }
    }

    /// Why the role of a grant is not bound any more, if it is not.
    async fn not_given(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        cluster: &Cluster,
    ) -> Result<Option<Went>, AccessError> {
        let Some(role) = grant.role.as_ref().filter(|role| role.is_named()) else { return Ok(None) };
        let vouch = self.store.vouches(&[grant.id]).await?.remove(&grant.id);
        let upkeep = Upkeep {
            store: &self.store,
            client,
            cluster: cluster.id,
            workspace: cluster.workspace,
            instance: &self.instance,
            clock: &self.clock,
        };
        Ok(match roles::stands(&upkeep, role, &grant.scope, vouch.as_ref()).await? {
            Standing::Good => None,
            Standing::NotOffered(which) => Some(Went::NotOffered(which)),
            Standing::Further(which, what) => Some(Went::Further(which, what)),
            Standing::Taken(what) => Some(Went::Conflict(what)),
            Standing::Powerless(power) => Some(Went::Powerless(power)),
            Standing::Grown(which, what) => Some(Went::Grown(which, what)),
        })
    }

    /// Unbinds one that goes on, for now: what will be made later puts nothing back.
    async fn withdraw(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        why: Went,
    ) -> Result<(Went, Option<Marked>), AccessError> {
        let memory = self.store.memory(grant.id).await?;
        self.unbind(client, grant, &memory).await?;
        if !memory.made.is_empty() {
            self.store.forget_made(grant.id, &memory.made).await?;
        }
        Ok((why, None))
    }

    /// Makes these stand, in a project's namespace that is made first where it is missing and that is wished.
    async fn ensure_in_its_place(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        objects: &[BindingObject],
        cluster: &Cluster,
    ) -> Result<(Went, Option<Marked>), AccessError> {
        let wish = self.namespace_wish(client, grant, cluster.id).await?;
        let (mark, mut ensured) = self.ensure(client, grant, objects).await?;
        let went = match (ensured.failed.take(), &wish) {
            (Some(ApplyError::NoNamespace(_)), Some(wish)) => {
                if let Some(not) = self.make_namespace(client, wish, cluster.id).await? {
                    not
                } else {
                    let (mark, mut ensured) = self.ensure(client, grant, objects).await?;
                    return Ok((ensured.failed.take().map_or(Went::Done, Went::from), Some((mark, ensured))));
                }
            }
            (failed, _) => failed.map_or(Went::Done, Went::from),
        };
        Ok((went, Some((mark, ensured))))
    }

    /// Makes these stand. What is gone is forgotten before anything is made in its place.
    async fn ensure(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        objects: &[BindingObject],
    ) -> Result<(Option<String>, Ensured), AccessError> {
        let memory = self.store.memory(grant.id).await?;
        let mark = memory.mark.clone();
        let work = Work::begin(client, memory, objects, &self.instance).await?;
        let gone = work.gone();
        if !gone.is_empty() {
            self.store.forget_made(grant.id, &gone).await?;
        }
        Ok((mark, work.finish().await))
    }

    /// What should stand there, or why nothing can.
    async fn wanted(
        &self,
        grant: &Grant,
        person: Option<&Identity>,
        cluster: &Cluster,
    ) -> Result<Result<Vec<BindingObject>, Went>, AccessError> {
        let provider = match &grant.grantee {
            Grantee::Person(_) => person.map(|p| &p.provider),
            Grantee::Email(provider, email) => {
                if self.store.email_changed_hands(provider, email).await? {
                    return Ok(Err(Went::ChangedHands));
                }
                Some(provider)
            }
            Grantee::Group(provider, _) => Some(provider),
            // The cluster itself names it: no provider has a say.
            Grantee::ServiceAccount(_) => {
                let made = bindings::wanted(grant, None, &ClaimMapping::default(), &self.instance);
                return Ok(made.map_err(Went::Unmappable));
            }
        };
        let named = provider.and_then(|p| Some((p, cluster.mapping(p)?)));
        let anothers = |(id, mapping): (&ProviderId, &ClaimMapping)| {
            let subject = grant.grantee.subject(mapping, person);
            subject.is_ok_and(|subject| cluster.reads_as_anothers(id, &subject))
        };
        Ok(match named.map(|(_, mapping)| mapping) {
            Some(_) if named.is_some_and(anothers) => Err(Went::Unmappable(Unmappable::Anothers)),
            Some(mapping) => bindings::wanted(grant, person, mapping, &self.instance).map_err(Went::Unmappable),
            None => Err(Went::NotTrusted),
        })
    }

    async fn unbind(&self, client: &ClusterClient, grant: &Grant, memory: &Memory) -> Result<(), AccessError> {
        let names = grant.scope.namespaces();
        let places: Vec<Option<String>> =
            if names.is_empty() { vec![None] } else { names.iter().map(|n| Some(n.to_string())).collect() };
        Ok(bindings::ensure_absent(client, memory, &places, &self.instance).await?)
    }
}
