//! How fast the relay answers, on real servers with the release binary: from a kept ID token, and through Dex beside asking Dex
//! directly in the same run; and what ten thousand devices cost in memory. Prints a table; asserts nothing.
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
use house::{Database, House};
use kubelend::{
    clock::Clock,
    crypto::{DEVICE_PREFIX, Keyring, PlainToken},
    model::{
        audit::{Action, Actor},
        device::Format,
        grant::{Grantee, Origin},
        id::{ClusterId, DeviceId, GrantId, IdentityId},
        identity::VerifiedClaims,
        scope::Scope,
        token_set::Tokens,
    },
    store::{AuditDraft, NewDevice, NewGrant, Store},
};
use reqwest::Client;
use serde_json::Value;
use testbed::{Credentials, Dex, Testbed, dex::DIRECT_CLIENT, http};

const PEOPLE: usize = 100;
const DEVICES_EACH: usize = 100;
const QUESTIONS: usize = 2_000;
const REFRESHES: usize = 150;

/// A device as its file has it.
struct Held {
    id: DeviceId,
    token: PlainToken,
}

fn event() -> AuditDraft {
    AuditDraft {
        actor: Actor::Kubelend,
        actor_name: "bench".into(),
        action: Action::KubeconfigIssued,
        target: "bench".into(),
        request_id: None,
    }
}

fn at(all: &[Duration], share: usize) -> Duration {
    let mut all = all.to_vec();
    all.sort();
    all.get((all.len() * share / 100).min(all.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn row(what: &str, took: &[Duration]) {
    println!("{what:<52} p50 {:>8.2?}   p99 {:>8.2?}", at(took, 50), at(took, 99));
}

fn memory(pid: i32) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("a process has memory")?;
    Ok(line.trim_start_matches("VmRSS:").trim().to_owned())
}

/// Kubelend's own database and key ring, beside the running process.
struct Inside {
    store: Store,
    keyring: Keyring,
    cluster: ClusterId,
}

impl Inside {
    async fn of(house: &House, path: &str) -> Result<Self> {
        Ok(Self {
            store: Store::open(&house.database_url).await?,
            keyring: Keyring::open_or_create(&house.kubelend.place().folder().join("keyring"))?,
            cluster: path.rsplit('/').next().context("a cluster's path ends with its id")?.parse()?,
        })
    }

    async fn device(&self, identity: IdentityId) -> Result<Held> {
        let held = Held { id: DeviceId::new(), token: PlainToken::generate(DEVICE_PREFIX) };
        let now = Clock::System.now();
        let new = NewDevice {
            id: held.id,
            identity,
            cluster: self.cluster,
            provider: "dex".parse()?,
            format: Format::Relay,
            name: "bench".into(),
            token: Some(held.token.hash()),
            from: "127.0.0.1".parse()?,
            expires_at: now.plus(Duration::from_hours(24)),
        };
        self.store.add_device(&new, event(), now).await?;
        Ok(held)
    }

    /// Somebody with a kept ID token that lives long, access, and devices.
    async fn person(&self, n: usize, issuer: &str, by: IdentityId) -> Result<Vec<Held>> {
        let now = Clock::System.now();
        let claims = VerifiedClaims {
            provider: "dex".parse()?,
            issuer: issuer.to_owned(),
            sub: format!("bench-{n}"),
            email: Some(format!("bench-{n}@example.com").parse()?),
            email_verified: true,
            name: None,
            groups: vec!["devs".into(), "ops".into()],
        };
        let person = self.store.record_sign_in(&claims, event(), now).await?.identity;
        let grant = NewGrant {
            id: GrantId::new(),
            grantee: Grantee::Person(person.id),
            role: None,
            scope: Scope::Cluster(self.cluster),
            expires_at: None,
            reason: None,
            origin: Origin::Manual,
            created_by: by,
            vouch: None,
        };
        self.store.add_grant(&grant, event(), now).await?;
        let tokens = Tokens {
            id_token: "x".repeat(900).into(),
            issued_at: now,
            expires_at: now.plus(Duration::from_hours(24)),
            refresh_token: Some("none".into()),
        };
        self.store.put_upstream(&self.keyring, person.id, &person.provider, &tokens).await?;
        let mut devices = Vec::new();
        for _ in 0..DEVICES_EACH {
            devices.push(self.device(person.id).await?);
        }
        Ok(devices)
    }
}

async fn ask(client: &Client, house: &House, held: &Held) -> Result<Duration> {
    let url = format!("{}/relay/{}/token", house.kubelend.url(), held.id);
    let form = [("grant_type", "refresh_token"), ("refresh_token", held.token.expose())];
    let begun = Instant::now();
    let answer = client.post(url).form(&form).send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(begun.elapsed())
}

/// A question that costs the relay's server next to nothing, over a connection that is kept, too.
async fn nothing(client: &Client, house: &House) -> Result<Duration> {
    let begun = Instant::now();
    client.get(format!("{}/healthz", house.kubelend.url())).send().await?.error_for_status()?.bytes().await?;
    Ok(begun.elapsed())
}

/// The CPU time that a process has used.
fn cpu(pid: i32) -> Result<Duration> {
    // Fields 14 and 15 of proc_pid_stat(5), in hundredths of a second; the second one, in brackets, may hold blanks.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(") ").context("a name in brackets")?.1.split(' ').skip(11).take(2);
    Ok(Duration::from_millis(fields.map(|ticks| ticks.parse::<u64>().unwrap_or_default() * 10).sum()))
}

/// From kept ID tokens, with ten thousand devices in the database.
async fn kept() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    let pid = house.kubelend.pid().await.context("it runs")?;
    let before = memory(pid)?;
    let inside = Inside::of(&house, &path).await?;
    let by = inside.store.cluster(inside.cluster).await?.created_by;
    let issuer = house.bed.dex().await?.issuer().to_owned();
    let mut devices = Vec::new();
    for n in 0..PEOPLE {
        devices.extend(inside.person(n, &issuer, by).await?);
    }
    inside.store.close().await;
    let client = http::client(house.bed.ca().pem())?;
    let (mut first, mut again, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    let begun = cpu(pid)?;
    for held in &devices {
        first.push(ask(&client, &house, held).await?);
    }
    let used = cpu(pid)?.saturating_sub(begun) / u32::try_from(devices.len())?;
    for held in devices.iter().step_by(devices.len() / QUESTIONS) {
        again.push(ask(&client, &house, held).await?);
        idle.push(nothing(&client, &house).await?);
    }
    row("a kept ID token, the first question of a device", &first);
    row("a kept ID token, asked again within a minute", &again);
    row("the health page in between: network, TLS, HTTP alone", &idle);
    let (with, without) = (at(&again, 50).as_secs_f64(), at(&idle, 50).as_secs_f64());
    println!("the relay to the health page, medians: {:.2} ms more", (with - without) * 1_000.0);
    println!("Kubelend's CPU time for a first question: {:.2} ms", used.as_secs_f64() * 1_000.0);
    println!("memory before, and after {} devices have asked: {before}, {}", devices.len(), memory(pid)?);
    Ok(())
}

/// Through Dex, whose tokens end at once here, beside Dex alone.
async fn through_dex() -> Result<()> {
    let bed = Testbed::shared().await?;
    let dex = bed.new_dex(Dex::builder().id_tokens(Duration::from_secs(1))).await?;
    let house = House::with_provider(Database::Sqlite, &dex, "").await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    let link = house.share(&mut alice, &path, &[("Role", "no role")]).await?;
    let bob = bed.hire("bob", &["devs"]).await?;
    let mut visitor = house.visitor()?;
    house.open_link(&mut visitor, &link, &bob.email).await?;
    visitor.press("Accept", &[]).await?;
    let inside = Inside::of(&house, &path).await?;
    let person = inside.store.identity_by_email(&"dex".parse()?, &bob.email.parse()?).await?.context("bob is known")?;
    let mut devices = Vec::new();
    for _ in 0..100 {
        devices.push(inside.device(person.id).await?);
    }
    inside.store.close().await;

    let other = bed.hire("carol", &["devs"]).await?;
    let tokens = dex.tokens_for(DIRECT_CLIENT, &Credentials::of(&other.email)).await?;
    let mut refresh = tokens.refresh_token;
    let (client, direct) = (http::client(bed.ca().pem())?, http::client(bed.ca().pem())?);
    let (mut relayed, mut alone) = (Vec::new(), Vec::new());
    for held in devices.iter().cycle().take(REFRESHES) {
        relayed.push(ask(&client, &house, held).await?);
        let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", DIRECT_CLIENT)];
        let begun = Instant::now();
        let answer: Value = direct.post(format!("{}/token", dex.issuer())).form(&form).send().await?.json().await?;
        alone.push(begun.elapsed());
        answer["refresh_token"].as_str().with_context(|| answer.to_string())?.clone_into(&mut refresh);
    }
    row("through Dex", &relayed);
    row("Dex alone", &alone);
    let (with, without) = (at(&relayed, 50).as_secs_f64(), at(&alone, 50).as_secs_f64());
    println!("the relay to Dex alone, medians: ratio {:.2}, {:.2} ms more", with / without, (with - without) * 1_000.0);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    testbed::run::keep_on_disk();
    // `cargo test --benches` runs this too, with an argument of its own: nothing is to be measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    kept().await?;
    through_dex().await
}
