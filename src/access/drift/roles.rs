//! Roles that Kubelend has made, followed on a cluster that has some: what somebody changes or deletes makes the grants due that need it.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{BOUND, Drifts, WATCH};
use crate::{
    access::AccessError,
    bindings, crypto,
    k8s::{Change, ClusterClient, FoundOwnRole, K8sError, Watch},
    model::{id::ClusterId, made_role::MadeRole},
    store::RoleAt,
};

/// What comes within this is looked at together.
const TOGETHER: Duration = Duration::from_millis(200);
/// Somebody who undoes each repair at once is answered so often without a pause, and then with this one.
const AT_ONCE: u32 = 5;
const PAUSE: Duration = Duration::from_secs(20);
/// A role that was left in peace for so long begins anew.
const PEACE: Duration = Duration::from_mins(2);

/// A role: its namespace, its name.
type Place = (Option<String>, String);

/// Roles that were seen to change and are to be looked at.
#[derive(Debug, Default)]
pub(super) struct RoleNotes {
    due: HashMap<Place, Instant>,
    acted: HashMap<Place, (Instant, u32)>,
}

impl RoleNotes {
    /// Takes one that has changed, or gone.
    pub(super) fn take(&mut self, found: &FoundOwnRole, now: Instant) {
        self.note((found.role.namespace.clone(), found.role.name.clone()), now);
    }

    fn note(&mut self, place: Place, now: Instant) {
        let at = match self.acted.get(&place) {
            Some((last, times)) if *times >= AT_ONCE => (*last + PAUSE).max(now + TOGETHER),
            _ => now + TOGETHER,
        };
        self.due.entry(place).or_insert(at);
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    fn take_due(&mut self, now: Instant) -> Vec<Place> {
        self.due.extract_if(|_, at| *at <= now).map(|(place, _)| place).collect()
    }

    fn acted(&mut self, place: Place, now: Instant) {
        self.acted.retain(|_, (last, _)| now - *last < PEACE);
        let (last, times) = self.acted.entry(place).or_insert((now, 0));
        (*last, *times) = (now, *times + 1);
    }
}

/// The watches on Roles and on ClusterRoles, where there is something to watch.
#[derive(Debug, Default)]
pub(super) struct RoleWatches {
    narrow: Option<Watch>,
    wide: Option<Watch>,
}

/// What is followed of a cluster's roles.
#[derive(Debug, Default)]
pub(super) struct Roles {
    pub(super) notes: RoleNotes,
    pub(super) watches: RoleWatches,
}

impl Drifts {
    /// Compares the roles that stand with what is remembered, and watches the kinds of which there are some. A credential that may not
    /// watch them has made none, or may no longer make any.
    pub(super) async fn follow_roles(
        &self,
        cluster: ClusterId,
        client: &ClusterClient,
        roles: &mut Roles,
    ) -> Result<(), AccessError> {
        let remembered = self.store.made_roles(cluster).await?;
        let (narrow, wide): (Vec<_>, Vec<_>) = remembered.into_iter().partition(|made| made.namespace.is_some());
        roles.watches.narrow = self.follow_kind(client, true, &narrow, &mut roles.notes).await?;
        roles.watches.wide = self.follow_kind(client, false, &wide, &mut roles.notes).await?;
        Ok(())
    }

    async fn follow_kind(
        &self,
        client: &ClusterClient,
        namespaced: bool,
        remembered: &[MadeRole],
        notes: &mut RoleNotes,
    ) -> Result<Option<Watch>, AccessError> {
        if remembered.is_empty() {
            return Ok(None);
        }
        let standing = match client.standing_roles(namespaced, &self.selector).await {
            Ok(standing) => standing,
            Err(K8sError::Forbidden(_)) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let now = Instant::now();
        let found: HashMap<&str, &FoundOwnRole> = standing.items.iter().map(|role| (role.uid.as_str(), role)).collect();
        for made in remembered {
            let there = made.uid.as_deref().and_then(|uid| found.get(uid));
            let stands = there.is_some_and(|role| made.stands_as(&role.uid, &bindings::role_looks_of(role)));
            if !stands && (standing.whole || there.is_some()) {
                notes.note((made.namespace.clone(), made.name.clone()), now);
            }
        }
        match self.open_roles(client, namespaced, standing.version).await {
            Ok(watch) => Ok(Some(watch)),
            Err(K8sError::Forbidden(_)) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    async fn open_roles(&self, client: &ClusterClient, namespaced: bool, version: String) -> Result<Watch, K8sError> {
        let lasts = WATCH + WATCH / 2 * u32::from(crypto::random::<1>()[0]) / 256;
        client.watch_roles(namespaced, &self.selector, version, lasts).await
    }

    /// The next change of a role. May be dropped while it waits.
    pub(super) async fn next_of_roles(
        &self,
        cluster: ClusterId,
        watches: &mut RoleWatches,
    ) -> Result<Change, AccessError> {
        loop {
            let narrow = tokio::select! {
                change = next(&mut watches.narrow) => match change? {
                    Some(change) => return Ok(change),
                    None => true,
                },
                change = next(&mut watches.wide) => match change? {
                    Some(change) => return Ok(change),
                    None => false,
                },
            };
            let ended = if narrow { &mut watches.narrow } else { &mut watches.wide };
            let version = ended.as_ref().map(|watch| watch.version().to_owned()).unwrap_or_default();
            tokio::time::sleep(super::AGAIN).await;
            let client = self.clients.client(cluster, BOUND).await?;
            *ended = Some(self.open_roles(&client, narrow, version).await?);
        }
    }

    /// Looks at those that are due: where one differs from what is remembered, the grants that need it become due.
    pub(super) async fn look_at_roles(&self, cluster: ClusterId, notes: &mut RoleNotes) -> Result<(), AccessError> {
        let now = Instant::now();
        for place in notes.take_due(now) {
            let at = RoleAt { cluster, namespace: place.0.as_deref(), name: &place.1 };
            // One that is none of ours, or just being made: nothing is done about it.
            let Some(made) = self.store.made_role(at).await?.filter(|made| made.uid.is_some()) else { continue };
            let client = self.clients.client(cluster, BOUND).await?;
            let found = client.own_role(at.namespace, at.name).await?;
            let stands = found.is_some_and(|role| made.stands_as(&role.uid, &bindings::role_looks_of(&role)));
            if !stands && self.store.note_role_drift(at, self.clock.now()).await? > 0 {
                notes.acted(place, now);
            }
        }
        Ok(())
    }
}

async fn next(watch: &mut Option<Watch>) -> Result<Option<Change>, K8sError> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_again_and_again_is_answered_at_once_five_times_and_then_with_a_pause() {
        let (mut notes, mut now) = (RoleNotes::default(), Instant::now());
        let place = || (Some("shop".to_owned()), "namespace-viewer".to_owned());
        for _ in 0..AT_ONCE {
            notes.note(place(), now);
            notes.note(place(), now);
            assert!(notes.take_due(now).is_empty());
            now += TOGETHER;
            assert_eq!(notes.take_due(now), [place()]);
            notes.acted(place(), now);
        }
        notes.note(place(), now);
        assert_eq!(notes.due(), Some(now + PAUSE));
        now += PEACE;
        notes.acted((None, "other".into()), now);
        notes.due.clear();
        notes.note(place(), now);
        assert_eq!(notes.due(), Some(now + TOGETHER), "it was left in peace");
    }
}
