//! Readiness is asked, never slept for: a fixed sleep is too long on most days and too short on the day that matters.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout_at};

/// How long to wait between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is `Ok`, and after `within` fails with the last answer's reason.
pub async fn eventually<T, F, Fut>(what: &str, within: Duration, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + within;
    let mut last = None;
    loop {
        match timeout_at(deadline, ask()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = Some(error),
            Err(_) => {
                let error = last.unwrap_or_else(|| anyhow::anyhow!("no answer at all"));
                return Err(error).with_context(|| format!("waited {within:?} for {what}"));
            }
        }
        if Instant::now() + PAUSE >= deadline {
            let error = last.unwrap_or_else(|| anyhow::anyhow!("no answer at all"));
            return Err(error).with_context(|| format!("waited {within:?} for {what}"));
        }
        sleep(PAUSE).await;
    }
}
