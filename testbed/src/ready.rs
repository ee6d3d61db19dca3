//! Readiness is asked, never slept for: a fixed sleep is too long on most days and too short on the day that matters.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout_at};

/// How long to wait after the first question, and at most between two. What is about to be there is seen at once; what takes its
/// time is asked for seldom, since a question may be a program of its own or a page's whole tree, and takes the machine away from
/// what it waits for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// A question that takes long is followed by a pause of twice that, up to this: on a busy machine all wait less for one another.
const LONGEST: Duration = Duration::from_millis(750);

/// Asks until the answer is `Ok`, and after `within` fails with the last answer's reason.
pub async fn eventually<T, F, Fut>(what: &str, within: Duration, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + within;
    let mut last = None;
    let mut pause = PAUSES.0;
    loop {
        let asked = Instant::now();
        match timeout_at(deadline, ask()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = Some(error),
            Err(_) => {
                let error = last.unwrap_or_else(|| anyhow::anyhow!("no answer at all"));
                return Err(error).with_context(|| format!("waited {within:?} for {what}"));
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left < PAUSES.0 {
            let error = last.unwrap_or_else(|| anyhow::anyhow!("no answer at all"));
            return Err(error).with_context(|| format!("waited {within:?} for {what}"));
        }
        // Up to the end: what is there in the last moment is there in time.
        sleep(pause.max((asked.elapsed() * 2).min(LONGEST)).min(left / 2)).await;
        pause = (pause * 3 / 2).min(PAUSES.1);
    }
}
