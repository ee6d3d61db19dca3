//! The time, as a part that is handed in: the system's, or one that a test sets. Nothing else in the house asks the system.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::model::time::Timestamp;

/// Tells the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's.
    System,
    /// One that stands until it is moved; milliseconds since the epoch.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// One that stands at `now`.
    pub fn fixed(now: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(now.millis())))
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Fixed(at) => Timestamp::from_millis(at.load(Ordering::Relaxed)),
        }
    }

    /// Moves a fixed clock; a system clock stays as it is.
    pub fn set(&self, now: Timestamp) {
        if let Self::Fixed(at) = self {
            at.store(now.millis(), Ordering::Relaxed);
        }
    }
}
