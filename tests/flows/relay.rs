//! The relay on the real Dex, with the real kubectl: devices renew side by side, are taken back one by one, and survive what
//! happens to Kubelend and to the provider. ID tokens live a few seconds here, and client-go takes one for expired 10 s early,
//! so every kubectl asks the relay.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use testbed::{eventually, fault::Moment};

use super::{
    house::Database,
    scene::{Held, LIFE, PATIENCE, Scene, ends_at, now_secs, quick, refreshes, replica, setting},
};

/// How long the provider is down: far longer than Kubelend waits for anything.
const OUTAGE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn two_devices_of_one_person_renew_side_by_side_and_are_taken_back_one_by_one() -> Result<()> {
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let (laptop, desktop) = (scene.fetch().await?, scene.fetch().await?);
    ensure!(laptop.issuer != desktop.issuer && laptop.token != desktop.token, "each has its own");
    let mut last = laptop.fresh().await?;
    for _ in 0..10 {
        last = laptop.renewed(&last).await?;
        for device in [&laptop, &desktop] {
            device.kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
            ensure!(setting(&device.kubectl.kubeconfig_text()?, "refresh-token")? == device.token, "it is not rotated");
        }
    }

    scene.visitor.open("/account/devices").await?;
    scene.visitor.page.sees("lent")?;
    let here = laptop.device();
    scene.visitor.press_at(&format!("/account/devices/{here}/revoke"), "Take back").await?;
    laptop.is_refused("This kubeconfig was taken back. Get a new one at https://").await?;
    eventually("kubectl to be refused with our sentence", PATIENCE, async || {
        let out = laptop.kubectl.run(&["get", "pods", "-A"]).await?;
        ensure!(!out.success() && out.stderr.contains("This kubeconfig was taken back"), "{out:?}");
        Ok(())
    })
    .await?;
    desktop.kubectl.run(&["get", "pods", "-A"]).await?.ok()?;

    scene.alice.open(&format!("{}/devices", scene.path)).await?;
    scene.alice.page.sees(&scene.bob.email)?;
    scene.alice.open(&format!("{}/devices?revoke=all", scene.path)).await?;
    scene.alice.page.sees("1 kubeconfig of 1 person")?;
    scene.alice.press("Take back", &[]).await?;
    desktop.is_refused("taken back").await?;
    scene.alice.open(&format!("{}/activity", scene.path)).await?;
    scene.alice.page.sees("took back kubeconfigs: all for lent")
}

#[tokio::test]
async fn ten_kubectl_at_once_on_one_file_never_fail() -> Result<()> {
    let mut scene = Scene::quick(Database::Postgres).await?;
    let held = scene.fetch().await?;
    for round in 0..3 {
        // All ten have read the file and ask before the first one has its answer. kubectl writes the file in place: one that is
        // started in that very instant may find it empty, which no answer of ours can help.
        let lock = scene.house.lock_out("devices").await?;
        let runs = futures_util::future::join_all((0..10).map(|_| held.kubectl.run(&["get", "namespaces"])));
        let released = async {
            let all = scene.house.many_wait(10).await;
            lock.release().await.and(all)
        };
        let (runs, released) = tokio::join!(runs, released);
        released?;
        for out in runs {
            out?.ok().with_context(|| format!("round {round}"))?;
        }
    }
    ensure!(setting(&held.kubectl.kubeconfig_text()?, "refresh-token")? == held.token, "the file is whole");
    Ok(())
}

#[tokio::test]
async fn immune_26_a_hundred_devices_at_once_cost_one_question_at_the_provider() -> Result<()> {
    let (mut scene, _dex, proxy) = Scene::caught(Database::Sqlite).await?;
    let mut devices = Vec::new();
    for _ in 0..100 {
        devices.push(scene.fetch().await?);
    }
    // So that none of them is answered from what is kept: what is left of the token's life ends.
    let first = devices[0].fresh().await?;
    devices[0].renewed(&first).await?;
    for round in 0..3 {
        let before_round = devices[0].fresh().await?;
        let ends = ends_at(&before_round)?;
        eventually("the token to be past half of its life", PATIENCE, async || {
            ensure!(now_secs() + LIFE.as_secs() / 2 >= ends, "not yet");
            Ok(())
        })
        .await?;
        let before = refreshes(&proxy);
        let all = futures_util::future::join_all(devices.iter().map(Held::fresh)).await;
        let tokens: std::collections::HashSet<String> = all.into_iter().collect::<Result<_>>()?;
        ensure!(tokens.len() == 1, "round {round}: {} different tokens", tokens.len());
        let asked = refreshes(&proxy) - before;
        ensure!(asked == 1, "round {round}: the provider was asked {asked} times");
    }
    Ok(())
}

/// kill −9 while one refresh is held at a step; afterwards the device goes on.
async fn killed(moment: Moment) -> Result<()> {
    let (mut scene, _dex, proxy) = Scene::caught(Database::Postgres).await?;
    let device = scene.fetch().await?;
    let first = device.fresh().await?;
    let caught = proxy.hold(Method::POST, "/dex/token", moment);
    // Asks until the token is old enough that the provider is asked, and held.
    let asking = async {
        loop {
            device.ask().await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        answer = asking => { let never: Result<()> = answer; never?; }
        at = caught.held() => at?,
    }
    scene.house.kubelend.kill9().await?;
    drop(caught);
    scene.house.kubelend.resume().await?;
    device.renewed(&first).await.context("after the restart").map(drop)
}

#[tokio::test]
async fn immune_25_killed_before_the_provider_is_asked_no_device_is_lost() -> Result<()> {
    killed(Moment::BeforeForwarding).await
}

#[tokio::test]
async fn immune_25_killed_after_the_provider_has_answered_no_device_is_lost() -> Result<()> {
    killed(Moment::AfterAnswer).await
}

#[tokio::test]
async fn immune_25_killed_before_the_answer_is_kept_no_device_is_lost() -> Result<()> {
    let (mut scene, _dex, proxy) = Scene::caught(Database::Postgres).await?;
    let device = scene.fetch().await?;
    let first = device.fresh().await?;
    // Held after the provider has answered, so that the lock comes between the lease and what is kept.
    let caught = proxy.hold(Method::POST, "/dex/token", Moment::AfterAnswer);
    let asking = async {
        loop {
            device.ask().await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        answer = asking => { let never: Result<()> = answer; never?; }
        at = caught.held() => at?,
    }
    let lock = scene.house.lock("upstream_sessions").await?;
    let waits = scene.house.somebody_waits();
    caught.release();
    waits.await?;
    scene.house.kubelend.kill9().await?;
    lock.release().await?;
    scene.house.kubelend.resume().await?;
    device.renewed(&first).await.context("after the restart").map(drop)
}

#[tokio::test]
async fn two_replicas_share_one_sign_in_with_the_load_on_both() -> Result<()> {
    let (mut scene, dex, proxy) = Scene::caught(Database::Postgres).await?;
    let other = replica(&scene.house, &dex).await?;
    let devices = [scene.fetch().await?, scene.fetch().await?, scene.fetch().await?];
    let mut last = devices[0].fresh().await?;
    let before = refreshes(&proxy);
    let mut renewals = 0;
    while renewals < 6 {
        let questions = devices.iter().flat_map(|held| {
            let there = held.issuer.replace(&scene.house.kubelend.url(), &other.url());
            [held.issuer.clone(), there].map(|issuer| async move { held.ask_at(&issuer).await })
        });
        let mut tokens = Vec::new();
        for answer in futures_util::future::join_all(questions).await {
            let (status, answer) = answer?;
            ensure!(status == StatusCode::OK, "{status}: {answer}");
            tokens.push(answer["id_token"].as_str().context("an ID token")?.to_owned());
        }
        let newest = tokens.pop().context("six answers")?;
        renewals += usize::from(newest != last);
        last = newest;
    }
    // A renewal that is seen in the middle of a round may be counted with the next one.
    let asked = refreshes(&proxy) - before;
    ensure!((6..=8).contains(&asked), "{renewals} renewals, and the provider was asked {asked} times");
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_down_for_a_minute_costs_no_device() -> Result<()> {
    let (mut scene, dex, _proxy) = Scene::caught(Database::Sqlite).await?;
    let devices = [scene.fetch().await?, scene.fetch().await?];
    let first = devices[0].fresh().await?;
    dex.stop().await?;
    let since = Instant::now();
    let unavailable = async |held: &Held| {
        let (status, answer) = held.ask().await?;
        ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
        ensure!(answer["error"] == "temporarily_unavailable", "{answer}");
        Ok(())
    };
    eventually("the kept token to end", PATIENCE, async || unavailable(&devices[0]).await).await?;
    // As clients do that try again.
    let mut pace = tokio::time::interval(Duration::from_secs(2));
    while since.elapsed() < OUTAGE {
        pace.tick().await;
        for held in &devices {
            unavailable(held).await?;
        }
    }
    dex.start().await?;
    for held in &devices {
        held.renewed(&first).await?;
    }
    Ok(())
}

#[tokio::test]
async fn immune_20_whoever_lost_their_access_is_given_no_token() -> Result<()> {
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let held = scene.fetch().await?;
    held.fresh().await?;
    scene.alice.open(&format!("{}/access", scene.path)).await?;
    scene.alice.press_in_row(&scene.bob.email, "Remove").await?;
    held.is_refused("Your access to this cluster has ended. See https://").await
}

#[tokio::test]
async fn when_the_sign_in_ends_one_sign_in_more_brings_every_device_back() -> Result<()> {
    let (dex, _) = quick().await?;
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let devices = [scene.fetch().await?, scene.fetch().await?];
    // A sign-in elsewhere at the same client ends the refresh token that Kubelend keeps.
    dex.tokens(&scene.bob.email).await?;
    eventually("the sign-in to have ended", PATIENCE, async || devices[0].is_refused("Sign in at https://").await)
        .await?;
    devices[1].is_refused("and this kubeconfig goes on working").await?;
    scene.visitor.open("/account/devices").await?;
    scene.visitor.page.sees("Your kubeconfigs wait for you to sign in.")?;
    scene.visitor.open("/renew").await?;
    scene.visitor.sign_in_as(&testbed::Credentials::of(&scene.bob.email)).await?;
    scene.visitor.page.does_not_see("wait for you")?;
    for device in &devices {
        device.kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn immune_26_what_is_not_a_devices_own_token_opens_nothing_and_teaches_nothing() -> Result<()> {
    let mut scene = Scene::quick(Database::Sqlite).await?;
    let (one, other) = (scene.fetch().await?, scene.fetch().await?);
    let unknown = one.issuer.replace(one.device(), "01936f4e-0000-7000-8000-000000000000");
    let cut = &one.token[..one.token.len() - 1];
    let mut answers = Vec::new();
    for (issuer, token) in [
        (&one.issuer, other.token.as_str()),
        (&unknown, &one.token),
        (&one.issuer, cut),
        (&one.issuer, ""),
        (&one.issuer, "kld_"),
    ] {
        let guess = Held { token: token.to_owned(), ..one.clone() };
        let (status, answer) = guess.ask_at(issuer).await?;
        ensure!(status == StatusCode::BAD_REQUEST && answer["error"] == "invalid_grant", "{status}: {answer}");
        answers.push(answer);
    }
    ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let discovery = async |issuer: &str| -> Result<(StatusCode, String)> {
        let answer = one.http.get(format!("{issuer}/.well-known/openid-configuration")).send().await?;
        Ok((answer.status(), answer.text().await?.replace(issuer, "ISSUER")))
    };
    ensure!(discovery(&one.issuer).await? == discovery(&unknown).await?, "the document is one for all");
    let log = scene.house.kubelend.log().await.context("it runs")?;
    let log = std::fs::read_to_string(log)?;
    ensure!(!log.contains("kld_"), "a token is in the log");
    one.fresh().await.map(drop)
}
