//! What much costs where nothing happens: a thousand clusters with a hundred grants each, all of them followed and checked, and the
//! access page and the matrix with ten grants in the database and with a hundred thousand. The API servers are a stand-in: they cost
//! next to nothing, and their time is not counted. Prints a table; asserts nothing.
//!
//! Two things are called a pass. One is what happens by itself in a second (all that is scheduled, the watches and the checks among
//! it), measured over minutes in which nothing changes. The other is a comparison of all that stands with all that is remembered, as
//! it happens at a start and every ten minutes.
#![allow(unreachable_pub, reason = "shared with a test binary")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../tests/databases/mod.rs"]
#[allow(dead_code, reason = "shared with the flow tests")]
mod databases;
#[path = "scale/filled.rs"]
mod filled;
#[path = "../tests/flows/house.rs"]
#[allow(dead_code, reason = "shared with the flow tests")]
mod house;
#[path = "scale/stand_in.rs"]
mod stand_in;
#[path = "../tests/flows/visitor.rs"]
#[allow(dead_code, reason = "shared with the flow tests")]
mod visitor;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use filled::Filled;
use house::House;
use kubelend::model::id::{ClusterId, WorkspaceId};
use stand_in::StandIn;
use testbed::{Testbed, eventually};
use visitor::Visitor;

/// The clusters of the large one.
const CLUSTERS: usize = 1_000;
/// More than the matrix has columns, on a page.
const FEW_CLUSTERS: usize = 10;
/// Minutes in which nothing changes: watches end after four to six and are opened again.
const MINUTES: usize = 7;
/// Rounds of each page, and how long one lasts.
const TURNS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

/// What a process has used.
struct Used {
    cpu: Duration,
    resident_mb: f64,
}

impl Used {
    async fn by(house: &House) -> Result<Self> {
        let pid = house.kubelend.pid().await.context("it runs")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // After the name, which may hold anything: the twelfth and thirteenth are ticks of 10 ms in user and kernel mode.
        let (_, figures) = stat.rsplit_once(')').context("a process has a name")?;
        let ticks = figures.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(Self { cpu: Duration::from_millis(ticks * 10), resident_mb: kilobytes * 1024.0 / 1e6 })
    }
}

/// A start, until every cluster is followed, and then minutes in which nothing changes.
async fn nothing_changes(stand_in: &StandIn, many: &Filled) -> Result<()> {
    let (house, asked) = (&many.house, &stand_in.asked);
    house.kubelend.terminate().await?;
    let lists = asked.lists.load(Ordering::Relaxed);
    let begun = Instant::now();
    house.kubelend.resume().await?;
    eventually("all clusters to be watched", Duration::from_mins(10), async || {
        let open = asked.watches.load(Ordering::Relaxed);
        ensure!(open >= 2 * (CLUSTERS + 1), "{open} watches");
        Ok(())
    })
    .await?;
    let used = Used::by(house).await?;
    println!(
        "start, and all {} clusters listed, compared and watched: {:.2?} CPU in {:.0?}, {:.1} MB, {} lists",
        CLUSTERS + 1,
        used.cpu,
        begun.elapsed(),
        used.resident_mb,
        asked.lists.load(Ordering::Relaxed) - lists,
    );
    let mut before = used.cpu;
    for minute in 1..=MINUTES {
        let (checks, opened) = (asked.checks.load(Ordering::Relaxed), asked.opened.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_mins(1)).await;
        let used = Used::by(house).await?;
        let spent = used.cpu.saturating_sub(before);
        println!(
            "minute {minute} in which nothing changes: {:.2?} CPU, {:.1} ms a second, {:.1} MB, {} checks, {} watches opened anew",
            spent,
            spent.as_secs_f64() * 1000.0 / 60.0,
            used.resident_mb,
            asked.checks.load(Ordering::Relaxed) - checks,
            asked.opened.load(Ordering::Relaxed) - opened,
        );
        before = used.cpu;
    }
    Ok(())
}

/// Latencies of a page, one request after the other.
async fn round(visitor: &Visitor, path: &str) -> Result<Vec<Duration>> {
    let (url, begun, mut took) = (visitor.base.join(path)?, Instant::now(), Vec::new());
    while begun.elapsed() < ROUND {
        let asked = Instant::now();
        let answer = visitor.http.get(url.clone()).send().await?;
        ensure!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.bytes().await?;
        took.push(asked.elapsed());
    }
    Ok(took)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The same page of both, in rounds that take turns.
async fn in_turns(what: &str, few: (&Visitor, String), many: (&Visitor, String)) -> Result<()> {
    let (mut with_few, mut with_many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let first = round(few.0, &few.1).await?;
        let second = round(many.0, &many.1).await?;
        ratios.push(median(second.clone()).as_secs_f64() / median(first.clone()).as_secs_f64());
        with_few.extend(first);
        with_many.extend(second);
    }
    let (first, second) = (median(with_few), median(with_many));
    let each = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", ");
    let ratio = second.as_secs_f64() / first.as_secs_f64();
    println!("{what:<58} {first:>8.2?} {second:>8.2?}   ratio {ratio:.2} (of each turn: {each})");
    Ok(())
}

fn access(cluster: ClusterId) -> String {
    format!("/clusters/{cluster}/access")
}

fn matrix(workspace: WorkspaceId) -> String {
    format!("/workspaces/{workspace}/matrix")
}

#[tokio::main]
async fn main() -> Result<()> {
    testbed::run::keep_on_disk();
    // `cargo test --benches` runs this too, with an argument of its own: nothing is to be measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let stand_in = StandIn::start(Testbed::shared().await?.ca()).await?;
    let few = Filled::with(&stand_in, 0).await?;
    let full = Filled::with(&stand_in, FEW_CLUSTERS).await?;
    let many = Filled::with(&stand_in, CLUSTERS).await?;
    let (a, b, c) = (&few.owner, &full.owner, &many.owner);
    println!("{:<58} {:>8} {:>8}", "medians of a page, in turns", "few", "many");
    let (first, last) = (few.ten, many.ten);
    in_turns("access page of ten: 10 grants, 100,010", (a, access(first.1)), (c, access(last.1))).await?;
    in_turns("matrix of ten: 10 grants, 100,010", (a, matrix(first.0)), (c, matrix(last.0))).await?;
    let (first, last) = (full.full, many.full);
    in_turns("access page of 100: 1,010 grants, 100,010", (b, access(first.1)), (c, access(last.1))).await?;
    in_turns("matrix, a full page: 1,010 grants, 100,010", (b, matrix(first.0)), (c, matrix(last.0))).await?;
    in_turns("matrix of all, a full page: 1,010 grants, 100,010", (b, "/matrix".into()), (c, "/matrix".into())).await?;
    let used = Used::by(&many.house).await?;
    println!("memory after all that, 100,010 grants: {:.1} MB", used.resident_mb);
    nothing_changes(&stand_in, &many).await
}
