//! The relay at a provider that takes a second use of a refresh token for a theft and ends the sign-in: a Dex behind a stand-in
//! that does. Whatever happens to Kubelend, to its database or on the way, the provider sees no spent token, unless its answer is
//! truly lost; then one sign-in brings every device back.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{join_all, try_join_all};
use reqwest::{Method, StatusCode};
use testbed::{
    ControlPlane, Credentials, Dex, FaultProxy, Hold, HttpFault, Port, StrictProvider, Testbed, eventually,
    fault::{Fault, Moment},
    process::Exit,
};
use tokio::time::timeout;

use super::{
    house::Database,
    scene::{Held, LIFE, PATIENCE, Scene, ends_at, now_secs, replica},
};

const TOKEN: &str = "/dex/token";
const KEYS: &str = "/dex/keys";

/// The provider, and on the way to the Dex that it stands for something that makes it slow.
async fn provider() -> Result<(StrictProvider, FaultProxy, Dex)> {
    let bed = Testbed::shared().await?;
    let port = Port::free()?;
    let slow = FaultProxy::start(port.address())?;
    let provider = StrictProvider::start(&format!("https://{}", slow.address()), bed.ca())?;
    let dex = Dex::builder().id_tokens(LIFE).reuse_interval(Duration::ZERO);
    let dex = bed.new_dex(dex.port(port).issuer_port(provider.fault().port())).await?;
    Ok((provider, slow, dex))
}

/// Bob's devices at such a provider.
struct Strict {
    provider: StrictProvider,
    slow: FaultProxy,
    dex: Dex,
    scene: Scene,
    devices: Vec<Held>,
}

impl Strict {
    /// So many, of a cluster that is not asked itself.
    async fn of(devices: usize, database: Database) -> Result<Self> {
        let (provider, slow, dex) = provider().await?;
        let scene = Scene::on(database, &dex, Testbed::shared().await?.staging().await?).await?;
        let mut strict = Self { provider, slow, dex, scene, devices: Vec::new() };
        strict.fetch(devices).await?;
        Ok(strict)
    }

    async fn fetch(&mut self, devices: usize) -> Result<()> {
        for _ in 0..devices {
            self.devices.push(self.scene.fetch().await?);
        }
        Ok(())
    }

    fn fault(&self) -> &HttpFault {
        self.provider.fault()
    }

    /// Waits until the token that is kept is old enough that the provider is asked for the next, and returns it.
    async fn past_half_life(&self) -> Result<String> {
        let last = self.devices[0].fresh().await?;
        let ends = ends_at(&last)?;
        eventually("the token to be past half of its life", PATIENCE, async || {
            ensure!(now_secs() + LIFE.as_secs() / 2 >= ends, "not yet");
            Ok(last.clone())
        })
        .await
    }

    /// All devices ask at once when the provider has to be asked, and all get a new token.
    async fn all_at_once(&self) -> Result<()> {
        let last = self.past_half_life().await?;
        let tokens = try_join_all(self.devices.iter().map(Held::fresh)).await?;
        ensure!(tokens.iter().all(|token| *token != last), "a device got the token that it had");
        Ok(())
    }

    /// Asks with the first device until its request stands still at the provider; then the device goes away.
    async fn asks_until(&self, hold: &Hold) -> Result<()> {
        let asking = async {
            loop {
                self.devices[0].fresh().await?;
            }
        };
        tokio::select! {
            answer = asking => { let never: Result<()> = answer; never }
            at = hold.held() => at,
        }
    }

    /// Every device still gets new tokens.
    async fn go_on(&self) -> Result<()> {
        let last = eventually("a token", PATIENCE, async || self.devices[0].fresh().await).await?;
        try_join_all(self.devices.iter().map(async |device| device.renewed(&last).await)).await.map(drop)
    }

    /// That, and the provider has never seen a spent token.
    async fn lost_nothing(&self) -> Result<()> {
        self.go_on().await?;
        ensure!(self.provider.reuses() == 0, "{} spent tokens came", self.provider.reuses());
        Ok(())
    }

    /// Starts Kubelend again while the provider publishes no keys, so that it knows none of them.
    async fn forgets_the_keys(&self) -> Result<()> {
        let fetched = || self.fault().requests().iter().filter(|(_, path)| path == KEYS).count();
        let before = fetched();
        self.fault().answer(None, KEYS, 200, "application/json", r#"{"keys": []}"#);
        self.scene.house.kubelend.restart().await?;
        eventually("the keys to be fetched", PATIENCE, async || {
            ensure!(fetched() > before, "not yet");
            Ok(())
        })
        .await?;
        self.fault().clear();
        Ok(())
    }
}

#[tokio::test]
async fn immune_26_a_strict_provider_sees_no_spent_token_however_many_devices_ask_at_once() -> Result<()> {
    let (provider, slow, dex) = provider().await?;
    let etcd = Testbed::shared().await?.etcd().await?;
    let cluster = ControlPlane::builder("strict").jwt(dex.jwt_issuer()).start(etcd).await?;
    let scene = Scene::on(Database::Sqlite, &dex, &cluster).await?;
    let mut strict = Strict { provider, slow, dex, scene, devices: Vec::new() };
    strict.fetch(30).await?;
    for round in 0..4 {
        strict.all_at_once().await.with_context(|| format!("round {round}"))?;
        let runs = strict.devices.iter().take(4).map(|device| device.kubectl.run(&["get", "pods", "-A"]));
        for out in join_all(runs).await {
            out?.ok().with_context(|| format!("round {round}"))?;
        }
    }
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_26_a_strict_provider_sees_no_spent_token_with_the_load_on_two_replicas() -> Result<()> {
    let strict = Strict::of(4, Database::Postgres).await?;
    let here = &strict.scene.house;
    let other = replica(here, &strict.dex).await?;
    let (before, mut renewals, mut last) = (strict.provider.rotations(), 0, strict.devices[0].fresh().await?);
    while renewals < 8 {
        let questions = strict.devices.iter().flat_map(|held| {
            let there = held.issuer.replace(&here.kubelend.url(), &other.url());
            [held.issuer.clone(), there].map(|issuer| async move { held.ask_at(&issuer).await })
        });
        let mut newest = String::new();
        for answer in join_all(questions).await {
            let (status, answer) = answer?;
            ensure!(status == StatusCode::OK, "{status}: {answer}");
            newest = answer["id_token"].as_str().context("an ID token")?.to_owned();
        }
        renewals += usize::from(newest != last);
        last = newest;
    }
    let asked = strict.provider.rotations() - before;
    ensure!(asked >= 8, "{renewals} renewals, and the provider was asked {asked} times");
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_25_killed_between_refreshes_no_sign_in_is_lost_at_a_strict_provider() -> Result<()> {
    let strict = Strict::of(3, Database::Postgres).await?;
    for round in 0..3 {
        strict.all_at_once().await.with_context(|| format!("round {round}"))?;
        strict.scene.house.kubelend.restart().await?;
    }
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_25_killed_before_a_strict_provider_is_asked_no_sign_in_is_lost() -> Result<()> {
    let strict = Strict::of(2, Database::Sqlite).await?;
    let hold = strict.fault().hold(Method::POST, TOKEN, Moment::BeforeForwarding);
    strict.asks_until(&hold).await?;
    strict.scene.house.kubelend.kill9().await?;
    hold.left().await?;
    drop(hold);
    strict.scene.house.kubelend.resume().await?;
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_25_a_stop_waits_for_a_refresh_that_nobody_waits_for_any_more() -> Result<()> {
    let strict = Strict::of(3, Database::Sqlite).await?;
    let hold = strict.fault().hold(Method::POST, TOKEN, Moment::AfterAnswer);
    strict.asks_until(&hold).await?;
    let kubelend = &strict.scene.house.kubelend;
    {
        let stopping = kubelend.terminate();
        tokio::pin!(stopping);
        if let Ok(exit) = timeout(Duration::from_secs(3), &mut stopping).await {
            bail!("it stopped before the answer came: {exit:?}");
        }
        hold.release();
        let exit = stopping.await?;
        ensure!(exit == Exit::Code(0), "{exit:?}");
    }
    kubelend.resume().await?;
    strict.lost_nothing().await
}

#[tokio::test]
async fn a_device_that_waits_while_kubelend_stops_gets_its_token() -> Result<()> {
    let strict = Strict::of(2, Database::Sqlite).await?;
    let device = strict.devices[0].clone();
    // Before anything is held: on a busy machine the token may be due for a new one by now.
    let first = device.fresh().await?;
    let hold = strict.fault().hold(Method::POST, TOKEN, Moment::AfterAnswer);
    let waiting = tokio::spawn(async move {
        loop {
            let now = device.fresh().await?;
            if now != first {
                return anyhow::Ok(());
            }
        }
    });
    hold.held().await?;
    let kubelend = &strict.scene.house.kubelend;
    let log = kubelend.log().await.context("it runs")?;
    let (exit, released) = tokio::join!(kubelend.terminate(), async {
        let begun = eventually("the stop to begin", PATIENCE, async || {
            ensure!(std::fs::read_to_string(&log)?.contains("stopping"), "not yet");
            Ok(())
        });
        begun.await.map(|()| hold.release())
    });
    released?;
    ensure!(exit? == Exit::Code(0), "a clean end");
    waiting.await??;
    kubelend.resume().await?;
    strict.lost_nothing().await
}

#[tokio::test]
async fn a_strict_provider_that_is_slow_loses_no_sign_in() -> Result<()> {
    let strict = Strict::of(5, Database::Sqlite).await?;
    // Four times as long for an answer, with the handshake: longer than a page would wait.
    strict.slow.set(Fault::Latency(Duration::from_millis(1200)));
    for round in 0..3 {
        strict.all_at_once().await.with_context(|| format!("round {round}"))?;
    }
    strict.slow.set(Fault::Pass);
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_26_a_token_that_cannot_be_verified_yet_loses_no_sign_in() -> Result<()> {
    let strict = Strict::of(3, Database::Sqlite).await?;
    strict.forgets_the_keys().await?;
    strict.fault().answer(None, KEYS, 503, "text/plain", "back soon");
    let before = strict.provider.rotations();
    let refreshes = async {
        let mut last = (StatusCode::OK, serde_json::Value::Null);
        // The second one brings what the first one gave, and so on.
        while strict.provider.rotations() < before + 4 || last.0 == StatusCode::OK {
            last = strict.devices[0].ask().await?;
            ensure!(last.0 == StatusCode::OK || last.0 == StatusCode::SERVICE_UNAVAILABLE, "{last:?}");
        }
        Ok(last.1)
    };
    let answer = timeout(PATIENCE, refreshes).await??;
    ensure!(answer["error"] == "temporarily_unavailable", "{answer}");
    strict.fault().clear();
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_25_killed_before_a_token_is_verified_no_sign_in_is_lost() -> Result<()> {
    let strict = Strict::of(2, Database::Sqlite).await?;
    strict.forgets_the_keys().await?;
    let hold = strict.fault().hold(Method::GET, KEYS, Moment::BeforeForwarding);
    let before = strict.provider.rotations();
    strict.asks_until(&hold).await?;
    ensure!(strict.provider.rotations() == before + 1, "the provider has given a new token");
    strict.scene.house.kubelend.kill9().await?;
    drop(hold);
    strict.scene.house.kubelend.resume().await?;
    strict.lost_nothing().await
}

#[tokio::test]
async fn immune_25_a_database_that_is_away_when_the_answer_comes_loses_no_sign_in() -> Result<()> {
    let strict = Strict::of(2, Database::Postgres).await?;
    let hold = strict.fault().hold(Method::POST, TOKEN, Moment::AfterAnswer);
    strict.asks_until(&hold).await?;
    let house = &strict.scene.house;
    let lock = house.lock("upstream_sessions").await?;
    hold.release();
    house.somebody_waits().await?;
    house
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .await?;
    lock.release().await?;
    strict.lost_nothing().await
}

#[tokio::test]
async fn an_answer_that_is_truly_lost_costs_one_sign_in_and_every_device_goes_on() -> Result<()> {
    let mut strict = Strict::of(4, Database::Sqlite).await?;
    let before = strict.provider.rotations();
    strict.fault().cut(Method::POST, TOKEN);
    eventually("an answer to be lost", PATIENCE, async || {
        strict.devices[0].ask().await?;
        ensure!(strict.provider.rotations() > before, "the provider was not asked");
        Ok(())
    })
    .await?;
    strict.fault().clear();
    for device in &strict.devices {
        device.is_refused("Your sign-in has ended. Sign in at https://").await?;
        device.is_refused("/renew and this kubeconfig goes on working").await?;
    }
    ensure!(strict.provider.reuses() == 1, "{} spent tokens came", strict.provider.reuses());

    let bob = Credentials::of(&strict.scene.bob.email);
    strict.scene.visitor.open("/renew").await?;
    strict.scene.visitor.sign_in_as(&bob).await?;
    strict.go_on().await?;
    ensure!(strict.provider.reuses() == 1, "{} spent tokens came", strict.provider.reuses());
    Ok(())
}
