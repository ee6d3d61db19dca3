//! Following a cluster, so that what somebody changes or deletes there is put back within seconds.
//!
//! All that claims to be of this installation is listed once, then watched; what differs from what is remembered makes its grant
//! due, and the loop does the rest as it does it for every grant. While nothing changes, nothing is asked, of the cluster or of
//! the database. A credential that may not watch is served by a list from time to time. Nothing is concluded from silence: a
//! cluster that cannot be reached stays as it was last known until it answers.

mod notes;
mod roles;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until},
};

use self::{notes::Notes, roles::Roles};
use super::{AccessError, OwnClients};
use crate::{
    bindings,
    clock::Clock,
    crypto,
    k8s::{BindingKind, Change, ClusterClient, FoundBinding, K8sError, Standing, Watch},
    model::{
        binding::{Drift, Memory, Seen, Verdict},
        id::{ClusterId, GrantId},
    },
    store::Store,
};

/// For one question.
const BOUND: Duration = Duration::from_secs(10);
/// How long one watch lasts, and half as much again by chance, so that those of many clusters do not end together.
const WATCH: Duration = Duration::from_mins(4);
/// A list is compared so often although there is a watch.
const LIST: Duration = Duration::from_mins(10);
/// The same for a credential that may not watch.
const INSTEAD: Duration = Duration::from_secs(20);
/// Before what takes the place of a watch that has ended or lost its thread.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest wait after something went wrong.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How many clusters are listed at once.
const AT_ONCE: usize = 8;

/// How a round has begun.
enum Begun {
    /// With what differed, both watches, and what is followed of the roles that were made.
    Watches(Notes, Box<Watch>, Box<Watch>, Box<Roles>),
    /// It is over, and the next one begins after this.
    Over(Duration),
}

/// Follows clusters. Clones share the bound on lists.
#[derive(Clone, Debug)]
pub struct Drifts {
    store: Store,
    clients: OwnClients,
    selector: Arc<str>,
    clock: Clock,
    lists: Arc<Semaphore>,
}

impl Drifts {
    /// With these parts; `instance` is what labels this installation's bindings.
    pub fn new(store: Store, clients: OwnClients, instance: &str, clock: Clock) -> Self {
        let selector = bindings::owner_selector(instance).into();
        Self { store, clients, selector, clock, lists: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Follows a cluster for ever: drop it to stop.
    pub async fn follow(&self, cluster: ClusterId) {
        let mut failed = 0;
        loop {
            match self.round(cluster).await {
                Ok(pause) => {
                    failed = 0;
                    sleep(pause).await;
                }
                Err(error) => {
                    failed += 1;
                    if failed == 1 {
                        tracing::debug!(%cluster, %error, "a cluster cannot be watched");
                    }
                    sleep(wait(failed)).await;
                }
            }
        }
    }

    /// Lists, then watches until a list is due again. Returns how long to wait before the next round.
    async fn round(&self, cluster: ClusterId) -> Result<Duration, AccessError> {
        // What it takes to begin is many times what it takes to go on, and most of the time there is nothing to do but that: so it
        // is put elsewhere, and gone afterwards.
        match Box::pin(self.begin(cluster)).await? {
            Begun::Watches(notes, wide, narrow, roles) => self.watch(cluster, notes, wide, narrow, roles).await,
            Begun::Over(pause) => Ok(pause),
        }
    }

    /// Lists, and opens the watches. The client is given back, since with it the connections that the lists came by stay open.
    async fn begin(&self, cluster: ClusterId) -> Result<Begun, AccessError> {
        let client = self.clients.client(cluster, BOUND).await?;
        let (mut notes, wide, narrow) = self.compare(cluster, &client).await?;
        let watches = tokio::try_join!(
            self.open(&client, BindingKind::Cluster, wide.version),
            self.open(&client, BindingKind::Namespaced, narrow.version)
        );
        let mut roles = Box::new(Roles::default());
        self.follow_roles(cluster, &client, &mut roles).await?;
        match watches {
            Ok((wide, narrow)) => Ok(Begun::Watches(notes, Box::new(wide), Box::new(narrow), roles)),
            Err(K8sError::Forbidden(_)) => {
                drop(client);
                self.settle(cluster, &mut notes, Instant::now() + INSTEAD).await?;
                self.look_at_roles(cluster, &mut roles.notes).await?;
                Ok(Begun::Over(Duration::ZERO))
            }
            Err(K8sError::Refused(410, _)) => Ok(Begun::Over(AGAIN)),
            Err(error) => Err(error.into()),
        }
    }

    /// Compares all that stands with what is remembered. What is remembered is read first: so nothing counts as gone that was
    /// made in between.
    async fn compare(
        &self,
        cluster: ClusterId,
        client: &ClusterClient,
    ) -> Result<(Notes, Standing, Standing), AccessError> {
        let _turn = self.lists.acquire().await;
        let remembered = self.store.memories_of_cluster(cluster).await?;
        let (mut wide, mut narrow) = tokio::try_join!(
            client.standing_bindings(BindingKind::Cluster, &self.selector),
            client.standing_bindings(BindingKind::Namespaced, &self.selector)
        )?;
        let all = std::mem::take(&mut wide.items).into_iter().chain(std::mem::take(&mut narrow.items));
        let seen: Vec<Seen> = all.filter_map(|found| seen(&found, false)).collect();
        let mut drifted = Vec::new();
        if wide.whole && narrow.whole {
            let uids: HashSet<&str> = seen.iter().map(|seen| seen.found.uid.as_str()).collect();
            let absent = remembered.iter().map(|memory| (memory.grant, memory.judge_absence(|uid| uids.contains(uid))));
            drifted.extend(absent.filter_map(drift_of));
        }
        self.note(&drifted).await?;
        let mut notes = Notes::default();
        // What is as remembered needs no second look.
        let known: HashMap<GrantId, &Memory> = remembered.iter().map(|memory| (memory.grant, memory)).collect();
        for seen in seen {
            if known.get(&seen.grant).is_none_or(|memory| memory.judge(&seen) != Verdict::Fine) {
                notes.take(seen, Instant::now());
            }
        }
        Ok((notes, wide, narrow))
    }

    async fn open(&self, client: &ClusterClient, kind: BindingKind, version: String) -> Result<Watch, K8sError> {
        let lasts = WATCH + WATCH / 2 * u32::from(crypto::random::<1>()[0]) / 256;
        client.watch_bindings(kind, &self.selector, version, lasts).await
    }

    /// Goes on where one has ended; not at once, for a server that ends each as soon as it is open.
    async fn reopen(&self, cluster: ClusterId, kind: BindingKind, ended: &mut Watch) -> Result<(), AccessError> {
        sleep(AGAIN).await;
        let client = self.clients.client(cluster, BOUND).await?;
        *ended = self.open(&client, kind, ended.version().to_owned()).await?;
        Ok(())
    }

    async fn watch(
        &self,
        cluster: ClusterId,
        mut notes: Notes,
        mut wide: Box<Watch>,
        mut narrow: Box<Watch>,
        mut roles: Box<Roles>,
    ) -> Result<Duration, AccessError> {
        let list_again = Instant::now() + LIST;
        while Instant::now() < list_again {
            let change = tokio::select! {
                change = wide.next() => match change? {
                    None => {
                        Box::pin(self.reopen(cluster, BindingKind::Cluster, &mut wide)).await?;
                        continue;
                    }
                    some => some,
                },
                change = narrow.next() => match change? {
                    None => {
                        Box::pin(self.reopen(cluster, BindingKind::Namespaced, &mut narrow)).await?;
                        continue;
                    }
                    some => some,
                },
                change = Box::pin(self.next_of_roles(cluster, &mut roles.watches)) => Some(change?),
                () = sleep_until(earliest([notes.due(), roles.notes.due()], list_again)) => None,
            };
            let of_binding = match change {
                Some(Change::Stands(found)) => seen(&found, false),
                Some(Change::Gone(found)) => seen(&found, true),
                Some(Change::RoleStands(found) | Change::RoleGone(found)) => {
                    roles.notes.take(&found, Instant::now());
                    None
                }
                Some(Change::Nothing) => None,
                Some(Change::Lost) => return Ok(AGAIN),
                None => {
                    Box::pin(self.look_at(cluster, &mut notes)).await?;
                    Box::pin(self.look_at_roles(cluster, &mut roles.notes)).await?;
                    None
                }
            };
            if let Some(seen) = of_binding {
                notes.take(seen, Instant::now());
            }
            if notes.overflow() {
                return Ok(AGAIN);
            }
        }
        Ok(Duration::ZERO)
    }

    /// Looks at what was noted until then, where there is no watch to wait for.
    async fn settle(&self, cluster: ClusterId, notes: &mut Notes, until: Instant) -> Result<(), AccessError> {
        loop {
            let due = notes.due().unwrap_or(until).min(until);
            sleep_until(due).await;
            if due >= until {
                return Ok(());
            }
            self.look_at(cluster, notes).await?;
        }
    }

    /// Looks at what was noted and is due: what differs makes its grant due.
    async fn look_at(&self, cluster: ClusterId, notes: &mut Notes) -> Result<(), AccessError> {
        let now = Instant::now();
        let due = notes.take_due(now);
        let grants: Vec<GrantId> = due.iter().map(|note| note.seen.grant).collect::<HashSet<_>>().into_iter().collect();
        if grants.is_empty() {
            return Ok(());
        }
        // A grant that is none of this cluster's is left out: nothing is done about it.
        let known: HashMap<GrantId, Memory> =
            self.store.memories(cluster, &grants).await?.into_iter().map(|memory| (memory.grant, memory)).collect();
        let mut drifted = Vec::new();
        for note in due {
            match known.get(&note.seen.grant).map_or(Verdict::Fine, |memory| memory.judge(&note.seen)) {
                Verdict::Fine => {}
                Verdict::Later => notes.again(note, now),
                Verdict::Drifted(drift) => match notes.may_act(note.seen.grant, now) {
                    None => drifted.push((note.seen.grant, drift)),
                    Some(then) => notes.at(note, then),
                },
            }
        }
        self.note(&drifted).await
    }

    async fn note(&self, drifted: &[(GrantId, Drift)]) -> Result<(), AccessError> {
        // So that no transaction is long.
        for some in drifted.chunks(100) {
            self.store.note_drift(some, self.clock.now()).await?;
        }
        Ok(())
    }
}

fn earliest(due: [Option<Instant>; 2], latest: Instant) -> Instant {
    due.into_iter().flatten().fold(latest, Instant::min)
}

fn drift_of((grant, verdict): (GrantId, Verdict)) -> Option<(GrantId, Drift)> {
    if let Verdict::Drifted(drift) = verdict { Some((grant, drift)) } else { None }
}

/// What a binding says of a grant; nothing where it bears no name of ours.
fn seen(found: &FoundBinding, gone: bool) -> Option<Seen> {
    Some(Seen { grant: bindings::grant_named(&found.name)?, found: bindings::looks_of(found), gone })
}

/// One second, doubling up to half a minute, half of it left to chance so that many do not return at once.
fn wait(failed: u32) -> Duration {
    let doubled = Duration::from_secs(1 << (failed.clamp(1, 6) - 1)).min(MAX_WAIT);
    doubled / 2 + doubled / 2 * u32::from(crypto::random::<1>()[0]) / 255
}
