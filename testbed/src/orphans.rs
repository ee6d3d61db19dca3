//! Starts servers and then goes, one way or another, so that a test can look at what is left.

use std::time::Duration;

use anyhow::Result;
use testbed::{Browser, Testbed};

/// Prints `ready`, the folder of logs and that of data once a database, an etcd and a browser run; then waits to be killed, or panics.
pub(crate) fn run(how: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let testbed = Testbed::shared().await?;
        testbed.postgres().await?;
        testbed.etcd().await?;
        let browser = Browser::start().await?;
        browser.goto("about:blank").await?;
        println!("ready {} {}", testbed::run::logs()?.display(), testbed::run::data()?.display());
        assert_ne!(how, "panic", "as asked");
        tokio::time::sleep(Duration::from_mins(5)).await;
        Ok(())
    })
}
