//! Spaces out what one device asks for at the same moment.
//!
//! client-go writes each new ID token back into the kubeconfig under a lock file that it does not wait for: of ten `kubectl` that
//! renew in the same instant, those that meet the lock fail with “could not persist new tokens”. Answers that leave one after
//! the other let each of them write in peace. (It writes in place: a `kubectl` that is started in the very instant of another one's
//! write may read an empty file. No answer of ours can help that.) Within one process: with several replicas a device may meet two paces.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::model::id::DeviceId;

/// Between two answers to one device: many times what writing a kubeconfig takes.
const APART: Duration = Duration::from_millis(200);
/// Whoever would have to wait longer is told to come back.
const LONGEST: Duration = Duration::from_secs(8);
/// From so many on, those whose time is over are taken out.
const MANY: usize = 1024;

/// The next free moment of each device that asked lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Paces(Arc<Mutex<HashMap<DeviceId, Instant>>>);

impl Paces {
    /// Waits for this device's turn; `false` where that would take too long.
    pub(super) async fn wait(&self, device: DeviceId) -> bool {
        let now = Instant::now();
        let Some(turn) = self.next(device, now) else { return false };
        // A timer goes by whole milliseconds, and takes one even for a moment that has come.
        if turn > now {
            tokio::time::sleep_until(turn).await;
        }
        true
    }

    fn next(&self, device: DeviceId, now: Instant) -> Option<Instant> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY {
            all.retain(|_, free| *free > now);
        }
        let turn = all.get(&device).copied().unwrap_or(now).max(now);
        if turn > now + LONGEST {
            return None;
        }
        all.insert(device, turn + APART);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_device_is_spaced_out_and_others_do_not_wait_for_it() {
        let (paces, now) = (Paces::default(), Instant::now());
        let (one, other) = (DeviceId::new(), DeviceId::new());
        assert_eq!(paces.next(one, now), Some(now));
        assert_eq!(paces.next(one, now), Some(now + APART));
        assert_eq!(paces.next(other, now), Some(now));
        let later = now + Duration::from_mins(1);
        assert_eq!(paces.next(one, later), Some(later), "what is over is over");
    }

    #[tokio::test]
    async fn whoever_comes_first_waits_for_no_timer() {
        let (paces, one) = (Paces::default(), DeviceId::new());
        assert_eq!(paces.wait(one).now_or_never(), Some(true));
        assert_eq!(paces.wait(one).now_or_never(), None, "the next answer is some time away");
    }

    #[tokio::test]
    async fn immune_23_nobody_queues_for_ever_and_nothing_is_remembered_for_ever() {
        let (paces, now) = (Paces::default(), Instant::now());
        let one = DeviceId::new();
        let taken = (0..1000).filter_map(|_| paces.next(one, now)).count();
        assert_eq!(taken, 41, "8 seconds of turns");
        for _ in 0..5000 {
            paces.next(DeviceId::new(), now);
        }
        paces.next(one, now + Duration::from_mins(1));
        assert_eq!(paces.0.lock().unwrap().len(), 1);
    }
}
