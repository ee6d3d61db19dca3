//! Bringing one grant to its cluster: the step that the use cases take at once and `reconcile` takes again until it is done.
//!
//! The grant's row says what is wanted. This reads it, makes the cluster agree, and writes down how that went, but only if the
//! wish is still the same: somebody may have revoked the grant in between, and then that wish has its own attempt coming.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{AccessError, OwnClients, audit};
use crate::{
    bindings::{self, ApplyError},
    clock::Clock,
    crypto,
    k8s::{BindingObject, ClusterClient, K8sError},
    model::{
        audit::Action,
        claim_mapping::Unmappable,
        cluster::Cluster,
        grant::{EndReason, Grant, GrantState, Grantee},
        id::{ClusterId, GrantId},
        identity::Identity,
        time::Timestamp,
    },
    store::{AuditDraft, DueGrant, Outcome, Store},
};

/// How long an attempt may take in all. A page waits for it, and pages answer within 3 s.
const BOUND: Duration = Duration::from_millis(2_200);
/// How long others leave a grant alone that is being worked on: a few times what an attempt may take. After a crash it is
/// also how long the grant waits.
const LEASE: Duration = Duration::from_secs(6);
/// How long one cluster may take with all that is claimed for it: less than a claim of the loop's.
const BATCH: Duration = Duration::from_secs(15);
/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(30);

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
        let went = match away {
            Some(error) => Went::Cluster(error),
            None => self.bring(&grant, person.as_ref(), cluster, wanted).await?,
        };
        let now = self.clock.now();
        let outcome = outcome(&went, wanted, due.attempts, now);
        let event = event(&outcome, &grant, person.as_ref());
        self.store.settle_grant(due, wanted, &outcome, event, now).await?;
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
    ) -> Result<Went, AccessError> {
        let attempt = async {
            let client = self.clients.client(cluster.id, BOUND).await?;
            if wanted { self.bind(&client, grant, person, cluster).await } else { self.unbind(&client, grant).await }
        };
        match tokio::time::timeout(BOUND, attempt).await {
            Ok(Err(AccessError::Cluster(e))) => Ok(Went::Cluster(e)),
            Ok(Err(other)) => Err(other),
            Ok(Ok(went)) => Ok(went),
            Err(_) => Ok(Went::Cluster(K8sError::TimedOut)),
        }
    }

    async fn end_if_expired(&self, grant: Grant, person: Option<&Identity>) -> Result<Grant, AccessError> {
        let now = self.clock.now();
        if grant.ended.is_some() || grant.is_live(now) {
            return Ok(grant);
        }
        let target = audit::grantee(&grant.grantee, person);
        let event = audit::by_kubelend(Action::GrantExpired, target);
        self.store.end_grant(grant.id, EndReason::Expired, event, now).await?;
        Ok(Grant { ended: Some(EndReason::Expired), ..grant })
    }

    async fn bind(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        person: Option<&Identity>,
        cluster: &Cluster,
    ) -> Result<Went, AccessError> {
        match self.wanted(grant, person, cluster).await? {
            Ok(objects) => match not_offered(client, grant).await? {
                None => match bindings::ensure(client, grant.id, &objects, &self.instance).await {
                    Ok(()) => Ok(Went::Done),
                    Err(e) => e.try_into(),
                },
                Some(refused) => self.unbind(client, grant).await.map(|_| refused),
            },
            // Nobody can be named: then nobody must be bound, above all not whoever bears the name now.
            Err(why) => self.unbind(client, grant).await.map(|_| why),
        }
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
        };
        Ok(match provider.and_then(|p| cluster.mapping(p)) {
            Some(mapping) => bindings::wanted(grant, person, mapping, &self.instance).map_err(Went::Unmappable),
            None => Err(Went::NotTrusted),
        })
    }

    async fn unbind(&self, client: &ClusterClient, grant: &Grant) -> Result<Went, AccessError> {
        let names = grant.scope.namespaces();
        let places: Vec<Option<String>> =
            if names.is_empty() { vec![None] } else { names.iter().map(|n| Some(n.to_string())).collect() };
        match bindings::ensure_absent(client, grant.id, &places, &self.instance).await {
            // What stands there is not ours, so ours is gone.
            Ok(()) | Err(ApplyError::Conflict(_)) => Ok(Went::Done),
            Err(e) => e.try_into(),
        }
    }
}

/// Whether a ClusterRole that others have defined is one to be given to people still: somebody may have withdrawn it, or deleted it
/// and made another one of that name, since the grant was made.
async fn not_offered(client: &ClusterClient, grant: &Grant) -> Result<Option<Went>, AccessError> {
    let Some(role) = grant.role.as_ref().filter(|role| role.is_named()) else { return Ok(None) };
    match client.is_assignable(role.as_str()).await {
        Ok(true) => Ok(None),
        Ok(false) | Err(K8sError::NotFound) => Ok(Some(Went::NotOffered(role.to_string()))),
        Err(error) => Err(error.into()),
    }
}

/// How an attempt went.
enum Went {
    Done,
    Unmappable(Unmappable),
    NotTrusted,
    NotOffered(String),
    ChangedHands,
    Conflict(String),
    Cluster(K8sError),
}

impl TryFrom<ApplyError> for Went {
    type Error = AccessError;
    fn try_from(error: ApplyError) -> Result<Self, AccessError> {
        match error {
            ApplyError::Conflict(what) => Ok(Self::Conflict(what)),
            ApplyError::Cluster(e) => Err(e.into()),
        }
    }
}

fn outcome(went: &Went, wanted: bool, attempts: i64, now: Timestamp) -> Outcome {
    let again = Some(now.plus(wait(attempts)));
    let (done, trying) =
        if wanted { (GrantState::Applied, GrantState::Pending) } else { (GrantState::Removed, GrantState::Removing) };
    let failed = if wanted { GrantState::Failed } else { GrantState::Removing };
    let settle = |state, detail: Option<String>, retry_at| Outcome { state, detail, retry_at };
    match went {
        Went::Done => settle(done, None, None),
        // Nothing to try again: a sign-in or a change of the cluster's trust makes it due.
        Went::Unmappable(why) => settle(GrantState::Failed, Some(format!("Not bound: {why}.")), None),
        Went::NotTrusted => {
            settle(GrantState::Failed, Some("Not bound: this cluster does not trust their provider.".into()), None)
        }
        Went::NotOffered(role) => settle(
            GrantState::Failed,
            Some(format!(
                "Not bound: the cluster has no ClusterRole “{role}” that is marked as one to give. It is tried again."
            )),
            again,
        ),
        // Nor here: it is an owner's turn.
        Went::ChangedHands => settle(
            GrantState::Pending,
            Some(
                "Not bound: this address changed hands. Confirm by granting to the person again, or remove this."
                    .into(),
            ),
            None,
        ),
        Went::Conflict(what) => {
            settle(GrantState::Conflict, Some(format!("{what}. It was left alone; rename or delete it there.")), again)
        }
        Went::Cluster(e) => match e {
            K8sError::Unreachable(_) | K8sError::TimedOut | K8sError::Tls(_) | K8sError::Nonsense(_) => {
                settle(trying, Some(format!("Waiting for the cluster: {e}.")), again)
            }
            K8sError::NotFound => settle(
                failed,
                Some("The cluster does not have one of these namespaces. It is tried again until it does.".into()),
                again,
            ),
            _ => settle(failed, Some(format!("The cluster refused: {e}. It is tried again.")), again),
        },
    }
}

/// One second, doubling up to half a minute, a quarter of it left to chance so that many do not return at once.
fn wait(attempts: i64) -> Duration {
    let doubled = Duration::from_secs(1 << u32::try_from(attempts.clamp(0, 5)).unwrap_or(5)).min(MAX_WAIT);
    let chance = u32::from(crypto::random::<1>()[0]);
    doubled * 3 / 4 + doubled * chance / (4 * 255)
}

fn event(outcome: &Outcome, grant: &Grant, person: Option<&Identity>) -> Option<AuditDraft> {
    let action = match outcome.state {
        GrantState::Applied => Action::BindingApplied,
        GrantState::Removed => Action::BindingRemoved,
        GrantState::Failed | GrantState::Conflict => Action::BindingFailed,
        GrantState::Pending | GrantState::Removing => return None,
    };
    let who = audit::grantee(&grant.grantee, person);
    let what = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
    let why = outcome.detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default();
    Some(audit::by_kubelend(action, format!("{who}: {what}{why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_half_a_minute() {
        for (attempts, low, high) in [(0, 750, 1000), (3, 6000, 8000), (50, 22_500, 30_000)] {
            let waited = wait(attempts).as_millis();
            assert!((low..=high).contains(&waited), "{attempts}: {waited}");
        }
    }

    #[test]
    fn a_removal_that_fails_stays_a_removal() {
        let now = Timestamp::from_secs(0);
        for error in [K8sError::TimedOut, K8sError::Forbidden("no".into()), K8sError::NotFound] {
            let out = outcome(&Went::Cluster(error), false, 0, now);
            assert_eq!(out.state, GrantState::Removing);
            assert!(out.retry_at.is_some());
        }
    }

    #[test]
    fn immune_32_an_address_that_changed_hands_waits_for_an_owner_and_is_not_tried_again() {
        let out = outcome(&Went::ChangedHands, true, 3, Timestamp::from_secs(0));
        assert_eq!((out.state, out.retry_at), (GrantState::Pending, None));
        assert!(out.detail.is_some_and(|d| d.contains("changed hands")));
    }

    #[test]
    fn immune_32_somebody_without_a_name_is_bound_to_nothing_until_something_changes() {
        let out = outcome(&Went::Unmappable(Unmappable::NoEmail), true, 0, Timestamp::from_secs(0));
        assert_eq!((out.state, out.retry_at), (GrantState::Failed, None));
    }
}
