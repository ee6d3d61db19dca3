//! What happens by itself: expired grants end, unfinished bindings are tried again, clusters are watched and checked, what is over is
//! swept away. It only schedules; what is done is `access`'s.
//!
//! A small loop that asks the database what is due. Replicas share the work by claims that run out, so one that dies only
//! delays what it had claimed.

mod watches;

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    access::{AccessError, Applier, Drifts, Probe, Rotation, ServiceAccounts, Upstreams},
    clock::Clock,
    model::{
        grant::{GRACE, GrantState},
        id::ClusterId,
        time::Timestamp,
    },
    store::{DueGrant, Store, StoreError},
};

/// Between two looks at what is due: an expiry is acted on within a second or so.
const TICK: Duration = Duration::from_secs(1);
/// Between two looks at which cluster wants checking.
const CHECKS: Duration = Duration::from_secs(5);
/// Between two sweeps of what is over.
const SWEEP: Duration = Duration::from_mins(10);
/// An invitation that has been over for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(30 * 24);
/// How long a claim keeps other replicas away.
const CLAIM: Duration = Duration::from_secs(20);
/// How many clusters are worked on at once.
const AT_ONCE: usize = 16;
/// How many grants are claimed at a time: as many as can be seen to within the claim, all of one cluster among them.
const CLAIMED: u32 = 64;
/// How often in one round, so that an expiry that comes meanwhile does not wait for all that is due.
const MOST_CLAIMS: usize = 4;
/// How long a purged cluster is kept after its last grant changed: a few times what an attempt on a cluster may take, so that
/// one which was under way all the while is still answered for.
const QUIET: Duration = Duration::from_secs(10);
/// A check that began so long ago and did not end was cut off.
const STALLED: Duration = Duration::from_secs(90);
/// A check older than this is done again.
const OLD: Duration = Duration::from_mins(5);

/// Keeps clusters as the grants have it.
#[derive(Clone, Debug)]
pub struct Reconciler {
    /// What is wanted.
    pub store: Store,
    /// Brings grants to clusters.
    pub applier: Applier,
    /// Brings ServiceAccounts there.
    pub accounts: ServiceAccounts,
    /// Checks connections.
    pub probe: Probe,
    /// Renews credentials.
    pub rotation: Rotation,
    /// Sees what others change there.
    pub drifts: Drifts,
    /// Kept sign-ins, to sweep.
    pub upstreams: Upstreams,
    /// The time.
    pub clock: Clock,
}

impl Reconciler {
    /// Runs until `stop` turns true, and then to the end of what it has begun.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        // Side by side, so that clusters that do not answer one of them keep the others waiting for nothing.
        tokio::join!(
            every(TICK, stop.clone(), async || self.tick().await),
            every(TICK, stop.clone(), async || self.accounts.work(self.clock.now()).await),
            every(CHECKS, stop.clone(), async || self.checks().await),
            every(CHECKS, stop.clone(), async || self.rotation.work().await),
            every(CHECKS, stop.clone(), async || self.idle_roles().await),
            every(SWEEP, stop.clone(), async || self.sweep().await),
            watches::run(self.store.clone(), self.drifts.clone(), self.clock.clone(), stop),
        );
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.sweep_sessions(now).await?;
        self.store.adopt_members().await?;
        self.store.sweep_invitations(now.minus(FORGOTTEN)).await?;
        self.store.sweep_leases(now.minus(FORGOTTEN)).await?;
        self.rotation.sweep(now).await?;
        self.upstreams.sweep(now).await.map(drop)
    }

    async fn tick(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.expire_federated_grants(now, 100).await?;
        self.store.expire_grants(now, 500).await?;
        self.store.lapse_requests(now, 100).await?;
        self.grants(now).await?;
        // Clusters took their time meanwhile, and what ended by now is not to have ended before.
        self.store.finish_removals(self.clock.now(), QUIET).await?;
        Ok(())
    }

    /// Works until nothing is due, cluster by cluster, so that one that does not answer costs the others nothing.
    async fn grants(&self, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..MOST_CLAIMS {
            let due = self.store.claim_due_grants(now, CLAIM, CLAIMED).await?;
            let last = due.len() < CLAIMED as usize;
            // What takes the place of something comes before what makes way.
            let (wanted, over): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.wanted);
            let mut of: HashMap<ClusterId, Vec<DueGrant>> = HashMap::new();
            for due in wanted.into_iter().chain(over) {
                of.entry(due.cluster).or_default().push(due);
            }
            stream::iter(of)
                .for_each_concurrent(AT_ONCE, async |(cluster, due)| {
                    match self.applier.apply_to_cluster(cluster, &due).await {
                        // It went while they were claimed.
                        Ok(()) | Err(AccessError::NotFound) => {}
                        Err(error) => tracing::warn!(%cluster, %error, "grants could not be brought to their cluster"),
                    }
                })
                .await;
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Takes roles off the clusters where nobody holds them any more.
    async fn idle_roles(&self) -> Result<(), StoreError> {
        let idle = self.store.claim_idle_roles(self.clock.now(), CLAIM, CLAIMED).await?;
        stream::iter(idle)
            .for_each_concurrent(AT_ONCE, async |(cluster, role)| {
                match self.applier.remove_role(cluster, &role).await {
                    // Its cluster went meanwhile.
                    Ok(()) | Err(AccessError::NotFound) => {}
                    // It is tried again when the claim runs out.
                    Err(error) => tracing::debug!(%cluster, %error, "a role could not be taken off its cluster"),
                }
            })
            .await;
        Ok(())
    }

    async fn checks(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.gauges().await?;
        let due = self.store.clusters_to_check(now.minus(STALLED), now.minus(OLD), 8).await?;
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |id| match self.probe.check(id).await {
                Ok(()) | Err(AccessError::NotFound) => {}
                Err(error) => tracing::warn!(cluster = %id, %error, "a cluster could not be checked"),
            })
            .await;
        Ok(())
    }

    async fn gauges(&self) -> Result<(), StoreError> {
        let overdue = self.store.overdue_removals(self.clock.now().minus(GRACE)).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of grants stays far below 2^52")]
        metrics::gauge!("kubelend_overdue_removals").set(overdue as f64);
        let counted = self.store.unsettled_grants().await?;
        for state in [GrantState::Pending, GrantState::Failed, GrantState::Conflict, GrantState::Removing] {
            let n = counted.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n);
            #[expect(clippy::cast_precision_loss, reason = "a gauge of grants stays far below 2^52")]
            metrics::gauge!("kubelend_unsettled_grants", "state" => state.as_str()).set(n as f64);
        }
        Ok(())
    }
}

async fn every(
    pause: Duration,
    mut stop: watch::Receiver<bool>,
    mut work: impl AsyncFnMut() -> Result<(), StoreError>,
) {
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut down = false;
    loop {
        tokio::select! {
            // Closed means that whoever would say so is gone.
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let went = work().await;
        // Said once for each outage, not at every tick.
        if let Err(error) = &went
            && !down
        {
            tracing::error!(%error, "what happens by itself has stopped until the database answers");
        }
        down = went.is_err();
    }
}
