//! How fast Kubelend answers, on real servers with the release binary: requests per second and latencies of the main pages, the
//! access page with 10 and with 100,000 grants, accept to kubeconfig, start, memory and size. Prints a table; asserts nothing.
#![allow(unreachable_pub, reason = "shared with a test binary")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

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
const FEW: usize = 10;
const MANY: usize = 100_000;

/// Latencies of one page under load.
struct Load {
    per_second: f64,
    p50: Duration,
    p99: Duration,
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
    let at = |share: usize| all.get((all.len() * share / 100).min(all.len() - 1)).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let per_second = all.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Load { per_second, p50: at(50), p99: at(99) })
}

fn row(what: &str, load: &Load) {
    println!("{what:<46} {:>8.0}/s   p50 {:>9.2?}   p99 {:>9.2?}", load.per_second, load.p50, load.p99);
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
            origin: Origin::Manual,
            created_by: by,
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
    // `cargo test --benches` runs this too, with an argument of its own: nothing is to be measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let house = House::open(Database::Sqlite).await?;
    println!("binary: {} MB", std::fs::metadata(binary())?.len() / 1_000_000);
    let begun = Instant::now();
    house.kubelend.restart().await?;
    println!("stop, start, and the first answer over a new TLS connection: {:.0?}", begun.elapsed());
    println!("idle memory: {}", memory(house.kubelend.pid().await.context("it runs")?)?);

    let mut alice = house.owner().await?;
    let stranger = house.visitor()?;
    row("sign-in page", &load(&stranger, "/sign-in").await?);
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    row("clusters page", &load(&alice, "/clusters").await?);

    let store = Store::open(&house.database_url).await?;
    let cluster: ClusterId = path.rsplit('/').next().context("a cluster's path ends with its id")?.parse()?;
    let by = store.cluster(cluster).await?.created_by;
    fill(&store, cluster, by, 0, FEW).await?;
    let access = format!("{path}/access");
    let few = load(&alice, &access).await?;
    row("access page, 10 grants in the database", &few);
    let begun = Instant::now();
    fill(&store, cluster, by, FEW, MANY).await?;
    println!("({} grants written in {:.1?})", MANY - FEW, begun.elapsed());
    let many = load(&alice, &access).await?;
    row("access page, 100,000 grants in the database", &many);
    println!("ratio of the medians, 100,000 to 10: {:.2}", many.p50.as_secs_f64() / few.p50.as_secs_f64());
    accepting(&house, &mut alice, &path).await?;
    println!("memory after all that: {}", memory(house.kubelend.pid().await.context("it runs")?)?);
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
