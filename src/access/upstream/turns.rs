//! Who asks the provider, of all in this process that want the same: one after the other, so that those who waited share what
//! the one before them got.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::{sync::Mutex as TurnMutex, time::Instant};

use super::UpstreamError;
use crate::model::{id::IdentityId, provider::ProviderId, token_set::Tokens};

pub(super) type Answer = Result<Tokens, UpstreamError>;
/// How the last refresh in this process ended, and when, for those who waited for it.
type Turn = TurnMutex<Option<(Instant, Answer)>>;

/// One turn for each person and provider that is being asked about now.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<(IdentityId, ProviderId), Weak<Turn>>>);

impl Turns {
    pub(super) fn of(&self, identity: IdentityId, provider: &ProviderId) -> Arc<Turn> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (identity, provider.clone());
        if let Some(turn) = all.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        // Turns that nobody holds any more go whenever a new one comes.
        all.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        all.insert(key, Arc::downgrade(&turn));
        turn
    }
}
