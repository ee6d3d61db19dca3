//! Which requests an [`super::HttpFault`] interferes with, and how a test learns of it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use hyper::{Method, StatusCode, body::Bytes};
use tokio::{sync::watch, time::timeout};

/// When a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server sees it.
    BeforeForwarding,
    /// After the server did its work, before the caller learns of it.
    AfterAnswer,
}

/// A request that a test has stopped. Dropping it lets all requests go on.
#[derive(Debug)]
pub struct Hold {
    held: watch::Receiver<Held>,
    released: watch::Sender<bool>,
}

impl Hold {
    /// Waits until a request is held.
    pub async fn held(&self) -> Result<()> {
        self.until(|held| held.ever > 0).await.context("no request came to be held")
    }

    /// Waits until no request is held any more, because whoever sent it has gone: it will not go on when it is released.
    pub async fn left(&self) -> Result<()> {
        self.until(|held| held.now == 0).await.context("a request is still held")
    }

    /// How many requests have been held.
    pub fn count(&self) -> u32 {
        self.held.borrow().ever
    }

    async fn until(&self, what: impl FnMut(&Held) -> bool) -> Result<()> {
        let mut held = self.held.clone();
        timeout(Duration::from_secs(20), held.wait_for(what)).await?.context("the proxy is gone").map(drop)
    }

    /// Lets held requests go on, and holds no more.
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

/// How many requests a rule has held, and how many of them still are.
#[derive(Debug, Default)]
struct Held {
    ever: u32,
    now: u32,
}

/// One request that is held, for as long as its sender waits.
struct Holding(Arc<watch::Sender<Held>>);

impl Holding {
    fn of(held: Arc<watch::Sender<Held>>) -> Self {
        held.send_modify(|held| *held = Held { ever: held.ever + 1, now: held.now + 1 });
        Self(held)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.send_modify(|held| held.now -= 1);
    }
}

/// An answer that never arrives: the connection ends instead.
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

#[derive(Clone)]
pub(super) struct Nonsense {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

#[derive(Clone)]
enum Act {
    Hold { moment: Moment, held: Arc<watch::Sender<Held>>, released: watch::Receiver<bool> },
    Answer(Nonsense),
    Cut,
}

#[derive(Clone)]
struct Rule {
    method: Option<Method>,
    prefix: String,
    act: Act,
}

/// The rules in force, and the requests that came.
#[derive(Default)]
pub(super) struct Rules {
    active: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<(Method, String)>>,
    clock: AtomicI64,
}

impl Rules {
    pub(super) fn hold(&self, method: Method, prefix: &str, moment: Moment) -> Hold {
        let (counter, held) = watch::channel(Held::default());
        let (released, release) = watch::channel(false);
        let act = Act::Hold { moment, held: Arc::new(counter), released: release };
        lock(&self.active).push(Rule { method: Some(method), prefix: prefix.to_owned(), act });
        Hold { held, released }
    }

    pub(super) fn answer(&self, method: Option<Method>, prefix: &str, nonsense: Nonsense) {
        lock(&self.active).push(Rule { method, prefix: prefix.to_owned(), act: Act::Answer(nonsense) });
    }

    pub(super) fn cut(&self, method: Method, prefix: &str) {
        lock(&self.active).push(Rule { method: Some(method), prefix: prefix.to_owned(), act: Act::Cut });
    }

    /// An error where the answer to this request must not arrive.
    pub(super) fn pass(&self, method: &Method, path: &str) -> Result<(), Cut> {
        let cut = self.matching(method, path).iter().any(|rule| matches!(rule.act, Act::Cut));
        if cut { Err(Cut) } else { Ok(()) }
    }

    /// Sets the clock that answers tell, by so many seconds from the right one.
    pub(super) fn set_clock(&self, ahead: i64) {
        self.clock.store(ahead, Ordering::Relaxed);
    }

    pub(super) fn clock(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        lock(&self.active).clear();
    }

    pub(super) fn note(&self, method: &Method, path: &str) {
        lock(&self.seen).push((method.clone(), path.to_owned()));
    }

    pub(super) fn seen(&self) -> Vec<(Method, String)> {
        lock(&self.seen).clone()
    }

    pub(super) fn nonsense(&self, method: &Method, path: &str) -> Option<Nonsense> {
        self.matching(method, path).into_iter().find_map(|rule| match rule.act {
            Act::Answer(nonsense) => Some(nonsense),
            Act::Hold { .. } | Act::Cut => None,
        })
    }

    /// Waits while a rule holds this request at this moment.
    pub(super) async fn pause(&self, now: Moment, method: &Method, path: &str) {
        for rule in self.matching(method, path) {
            if let Act::Hold { moment, held, mut released } = rule.act
                && moment == now
                && !*released.borrow()
            {
                let _held = Holding::of(held);
                // An error says that the test dropped its hold, which releases too.
                drop(released.wait_for(|released| *released).await);
            }
        }
    }

    fn matching(&self, method: &Method, path: &str) -> Vec<Rule> {
        let applies =
            |rule: &&Rule| rule.method.as_ref().is_none_or(|wanted| wanted == method) && path.starts_with(&rule.prefix);
        lock(&self.active).iter().filter(applies).cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
