//! Which clusters this replica follows. A cluster is followed by one replica; one that dies is known by its row, and others take
//! over what it followed.

use std::{collections::HashMap, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::every;
use crate::{access::Drifts, clock::Clock, crypto, model::id::ClusterId, store::Store};

/// Between two signs of life, and looks at which clusters there are.
const BEAT: Duration = Duration::from_secs(5);
/// A replica that was silent for so long has gone.
const GONE: Duration = Duration::from_secs(15);

/// A cluster that is followed until this is dropped.
struct Followed {
    version: i64,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows clusters until `stop` turns true.
pub(super) async fn run(store: Store, drifts: Drifts, clock: Clock, stop: watch::Receiver<bool>) {
    let holder = crypto::random_text();
    let mut followed: HashMap<ClusterId, Followed> = HashMap::new();
    every(BEAT, stop, async || {
        let held: HashMap<ClusterId, i64> = store.hold_watches(&holder, clock.now(), GONE).await?.into_iter().collect();
        // A new credential or address begins anew.
        followed.retain(|id, followed| held.get(id) == Some(&followed.version));
        for (id, version) in held {
            followed.entry(id).or_insert_with(|| {
                let drifts = drifts.clone();
                Followed { version, task: tokio::spawn(async move { drifts.follow(id).await }) }
            });
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge of clusters stays far below 2^52")]
        metrics::gauge!("kubelend_followed_clusters").set(followed.len() as f64);
        Ok(())
    })
    .await;
    drop(followed);
    if let Err(error) = store.release_watches(&holder).await {
        tracing::debug!(%error, "what was followed is free once others see that this replica has gone");
    }
}
