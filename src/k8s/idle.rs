//! Connections to one API server that ask nothing at the moment, kept for the next request.
//!
//! Each has an age and a last answer: what lay there for long is not trusted with a request that must not be sent twice, and
//! what lay there for longer is closed, so that a server that moved or was replaced is found anew.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http1::SendRequest};
use tokio::time::Instant;

/// How many are kept.
const MOST: usize = 8;
/// How long one is kept that asks nothing.
const KEPT: Duration = Duration::from_mins(1);
/// How old one grows: then its server's name is looked up, and its certificate verified, anew.
const OLD: Duration = Duration::from_mins(5);
/// One that answered within this is alive as far as anybody can tell.
const JUST_NOW: Duration = Duration::from_secs(2);

/// A connection that takes requests.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    opened: Instant,
    answered: Instant,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>) -> Self {
        let now = Instant::now();
        Self { sender, opened: now, answered: now }
    }

    fn is_good(&self, now: Instant) -> bool {
        !self.sender.is_closed() && now - self.answered < KEPT && now - self.opened < OLD
    }
}

/// The connections of one client.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Connection>>);

impl Idle {
    /// Keeps one that has just answered.
    pub(super) fn keep(&self, mut connection: Connection) {
        connection.answered = Instant::now();
        let mut kept = self.kept();
        if kept.len() < MOST && connection.is_good(connection.answered) {
            kept.push(connection);
        }
    }

    /// Takes the one that answered last; with `just_now` only if that was a moment ago.
    pub(super) fn take(&self, just_now: bool) -> Option<Connection> {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.retain(|connection| connection.is_good(now));
        kept.pop_if(|connection| !just_now || now - connection.answered < JUST_NOW)
    }

    /// Closes those that were kept for long.
    pub(super) fn close_old(&self) {
        let now = Instant::now();
        self.kept().retain(|connection| connection.is_good(now));
    }

    /// Closes all of them.
    pub(super) fn close(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if all of them had answered so much earlier.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        for connection in self.kept().iter_mut() {
            connection.answered -= by;
            connection.opened -= by;
        }
    }
}
