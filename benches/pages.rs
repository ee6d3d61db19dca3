//! How fast Kubelend answers, on real servers with the release binary: requests per second and latencies of the main pages, the
//! access page with few and with 100,000 grants in the database, accept to kubeconfig, start, memory and size. Prints a table;
//! asserts nothing.
//!
//! The two access pages are compared like for like: two Kubelends with the same cluster, a full page of rows in both, and rounds
//! that take turns, so that what else the machine does hits both.
#![allow(unreachable_pub, reason = "shared with a test binary")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../tests/databases/mod.rs"]
#[allow(dead_code, reason = "shared with the flow tests")]
mod databases;
#[path = "../tests/flows/house.rs"]
#[allow(dead_code, reason = "shared with the flow tests")]
mod house;
#[path = "../tests/flows/visitor.rs"]
#[allow(dead_code, reason = "shared with the flow tests")]
mod visitor;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use house::{Database, House, binary, download};
use kubelend::{
    model::{
        audit::{Action, Actor},
        grant::{Grantee, Origin},
        id::{ClusterId, GrantId, IdentityId},
        scope::Scope,
        time::Timestamp,
    },
    store::{AuditDraft, NewGrant, Store},
};
use visitor::Visitor;

const ROUND: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 4;
/// More than a page shows.
const FEW: usize = 60;
const MANY: usize = 100_000;
/// Rounds of each access page.
const TURNS: usize = 5;

/// Latencies of one page under load.
#[derive(Default)]
struct Load {
    /// Sorted.
    took: Vec<Duration>,
    lasted: Duration,
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.lasted.as_secs_f64()
    }

    /// So many in a hundred took no longer.
    fn at(&self, share: usize) -> Duration {
        let at = (self.took.len() * share / 100).min(self.took.len().saturating_sub(1));
        self.took.get(at).copied().unwrap_or_default()
    }

    fn and(mut self, more: Self) -> Self {
        self.took.extend(more.took);
        self.took.sort();
        self.lasted += more.lasted;
        self
    }
}

async fn load(visitor: &Visitor, path: &str) -> Result<Load> {
    let url = visitor.base.join(path)?;
    let begun = Instant::now();
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (http, url) = (visitor.http.clone(), url.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                while begun.elapsed() < ROUND {
                    let asked = Instant::now();
                    let answer = http.get(url.clone()).send().await?;
                    ensure!(answer.status().is_success(), "{}: {}", url, answer.status());
                    answer.bytes().await?;
                    took.push(asked.elapsed());
                }
                Ok(took)
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await??);
    }
    all.sort();
    Ok(Load { took: all, lasted: begun.elapsed() })
}

fn row(what: &str, load: &Load) {
    println!("{what:<46} {:>8.0}/s   p50 {:>9.2?}   p99 {:>9.2?}", load.per_second(), load.at(50), load.at(99));
}

async fn fill(store: &Store, cluster: ClusterId, by: IdentityId, from: usize, to: usize) -> Result<()> {
    for n in from..to {
        let grant = NewGrant {
            id: GrantId::new(),
            grantee: Grantee::Group("dex".parse()?, format!("group-{n}")),
            // Without a role nothing is bound: it is the table that is measured, not the API server.
            role: None,
            scope: Scope::Cluster(cluster),
            expires_at: None,
            reason: None,
            origin: Origin::Manual,
            created_by: by,
            vouch: None,
        };
        let audit = AuditDraft {
            actor: Actor::Person(by),
            actor_name: "bench".into(),
            action: Action::GrantAdded,
            target: format!("group-{n}"),
            request_id: None,
        };
        store.add_grant(&grant, audit, Timestamp::from_secs(1)).await?;
    }
    Ok(())
}

fn memory(pid: i32) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("a process has memory")?;
    Ok(line.trim_start_matches("VmRSS:").trim().to_owned())
}

#[tokio::main]
async fn main() -> Result<()> {
    testbed::run::keep_on_disk();
    // `cargo test --benches` runs this too, with an argument of its own: nothing is to be measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let house = House::open(Database::Sqlite).await?;
    println!("binary: {} MB", std::fs::metadata(binary())?.len() / 1_000_000);
    let mut starts = Vec::new();
    for _ in 0..5 {
        house.kubelend.terminate().await?;
        let begun = Instant::now();
        house.kubelend.resume().await?;
        starts.push(begun.elapsed());
    }
    starts.sort();
    println!("start to the first answer over a new TLS connection, median of {}: {:.0?}", starts.len(), starts[2]);
    println!("idle memory: {}", memory(house.kubelend.pid().await.context("it runs")?)?);

    let stranger = house.visitor()?;
    row("sign-in page", &load(&stranger, "/sign-in").await?);
    let mut few = Filled::of(house, FEW).await?;
    row("clusters page", &load(&few.alice, "/clusters").await?);
    row("cluster's page", &load(&few.alice, &few.path).await?);
    accepting(&few.house, &mut few.alice, &few.path).await?;
    let many = Filled::of(House::open(Database::Sqlite).await?, MANY).await?;
    access_pages(&few, &many).await?;
    for (what, filled) in [("few", &few), ("100,000", &many)] {
        let pid = filled.house.kubelend.pid().await.context("it runs")?;
        println!("memory after all that, {what} grants: {}", memory(pid)?);
    }
    Ok(())
}

/// A Kubelend with a cluster and so many grants on it.
struct Filled {
    house: House,
    alice: Visitor,
    path: String,
}

impl Filled {
    async fn of(house: House, grants: usize) -> Result<Self> {
        let mut alice = house.owner().await?;
        let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
        let store = Store::open(&house.database_url).await?;
        let cluster: ClusterId = path.rsplit('/').next().context("a cluster's path ends with its id")?.parse()?;
        let by = store.cluster(cluster).await?.created_by;
        let begun = Instant::now();
        fill(&store, cluster, by, 0, grants).await?;
        println!("({grants} grants written in {:.1?})", begun.elapsed());
        store.close().await;
        Ok(Self { house, alice, path })
    }
}

/// In turns, so that noise hits both.
async fn access_pages(few: &Filled, many: &Filled) -> Result<()> {
    let (mut with_few, mut with_many, mut ratios) = (Load::default(), Load::default(), Vec::new());
    for _ in 0..TURNS {
        let first = load(&few.alice, &format!("{}/access", few.path)).await?;
        let second = load(&many.alice, &format!("{}/access", many.path)).await?;
        ratios.push(second.at(50).as_secs_f64() / first.at(50).as_secs_f64());
        (with_few, with_many) = (with_few.and(first), with_many.and(second));
    }
    ratios.sort_by(f64::total_cmp);
    row("access page, a full one, 60 grants", &with_few);
    row("access page, a full one, 100,000 grants", &with_many);
    println!(
        "100,000 to 60, ratio of the medians: {:.2} (of each turn: {})",
        with_many.at(50).as_secs_f64() / with_few.at(50).as_secs_f64(),
        ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

async fn accepting(house: &House, alice: &mut Visitor, path: &str) -> Result<()> {
    let link = house.share(alice, path, &[("Role", "view")]).await?;
    let mut took = Vec::new();
    for _ in 0..20 {
        let bob = house.bed.hire("bob", &[]).await?;
        let mut visitor = house.visitor()?;
        house.open_link(&mut visitor, &link, &bob.email).await?;
        let begun = Instant::now();
        visitor.press("Accept", &[]).await?;
        download(&mut visitor).await?;
        took.push(begun.elapsed());
    }
    took.sort();
    println!("accept, binding, tested kubeconfig page, download: p50 {:.1?}, p99 {:.1?}", took[10], took[19]);
    Ok(())
}
