//! A file that says who has access, applied by the command beside a running Kubelend: what it gives stands on real clusters, applied
//! twice it changes nothing, and what it says no longer goes.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use kubelend::store::{Store, Trail, TrailFilter};
use testbed::{ControlPlane, Credentials, Kubectl, Person, Testbed, dex::DIRECT_CLIENT, eventually};

use super::house::{Database, House, binary, bindings};

/// The server notices what the command wrote within seconds.
const SOON: Duration = Duration::from_secs(15);

/// The command on the house's configuration.
fn command(house: &House, arguments: &[&str]) -> Command {
    let configuration = house.kubelend.place().folder().join("kubelend.toml");
    let mut command = Command::new(binary());
    command.env_clear().args(arguments).arg("--config").arg(configuration);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Writes the house's file, and applies it.
fn apply(house: &House, text: &str, more: &[&str]) -> Result<Output> {
    let file = house.kubelend.place().folder().join("access.yaml");
    fs::write(&file, text)?;
    let file = file.to_string_lossy();
    Ok(command(house, &[&["apply", "-f", &file], more].concat()).output()?)
}

/// What it said where it ended so.
fn ended(output: &Output, code: i32) -> Result<String> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(code), "{:?} and not {code}: {out}\n{err}", output.status);
    Ok(format!("{out}{err}"))
}

async fn new_cluster(name: &str) -> Result<ControlPlane> {
    Testbed::shared().await?.new_cluster(name).await
}

async fn kubectl_as(who: &Person, cluster: &ControlPlane) -> Result<Kubectl> {
    let dex = Testbed::shared().await?.dex().await?;
    let tokens = dex.tokens_for(DIRECT_CLIENT, &Credentials::of(&who.email)).await?;
    Kubectl::with_text(&cluster.kubeconfig_with_token(&tokens.id_token))
}

async fn may(kubectl: &Kubectl, allowed: bool, question: &[&str]) -> Result<()> {
    let arguments = [&["auth", "can-i"], question].concat();
    let wanted = if allowed { "yes" } else { "no" };
    eventually("the rights to be as the file says", SOON, async || {
        let answer = kubectl.run(&arguments).await?;
        ensure!(answer.stdout.trim() == wanted, "{question:?}: {} {}", answer.stdout, answer.stderr);
        Ok(())
    })
    .await
}

/// How many events there are, and what bindings of ours are on the cluster with their versions: both stay where nothing is written.
async fn state(house: &House, cluster: &ControlPlane) -> Result<(usize, String)> {
    let store = Store::open(&house.database_url).await?;
    let events = store.trail(Trail::All, &TrailFilter::default(), None, 10_000).await?.events.len();
    store.close().await;
    let mut listed = String::new();
    for kind in ["clusterrolebindings", "rolebindings"] {
        for binding in bindings(cluster, kind, Some("app.kubernetes.io/managed-by=kubelend")).await? {
            let (about, role) = (&binding["metadata"], &binding["roleRef"]["name"]);
            let (name, version) = (&about["name"], &about["resourceVersion"]);
            writeln!(listed, "{name} {version} {role} {}", binding["subjects"])?;
        }
    }
    Ok((events, listed))
}

/// The state once the server is done with what it was given.
async fn settled(house: &House, cluster: &ControlPlane) -> Result<(usize, String)> {
    eventually("the server to be done", SOON, async || {
        let before = state(house, cluster).await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        ensure!(state(house, cluster).await? == before, "something is going on");
        Ok(before)
    })
    .await
}

/// The name of the workspace in which the owner's first cluster is.
fn home(house: &House) -> String {
    format!("Clusters of {}", house.alice.email)
}

async fn a_file_is_the_access_that_there_is(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let group = format!("filed-{}", house.bed.unique());
    let (bob, carol) = (house.bed.hire("bob", &[&group]).await?, house.bed.hire("carol", &[]).await?);
    let cluster = new_cluster("filed").await?;
    for namespace in ["shop", "pay"] {
        cluster.kubectl()?.run(&["create", "namespace", namespace]).await?.ok()?;
    }
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, &cluster, "filed").await?;
    let (as_bob, as_carol) = (kubectl_as(&bob, &cluster).await?, kubectl_as(&carol, &cluster).await?);
    let file = |carol_gets: &str| {
        format!(
            "file: access\nworkspaces:\n  - name: {home}\n    members:\n      - {{person: {bob}, role: editor}}\n    projects:\n      \
             - {{name: Pay, namespace: pay, clusters: [filed], grants: [{{group: {group}, role: edit}}]}}\n    grants:\n      \
             - {{group: {group}, role: view}}\n    clusters:\n      - name: filed\n        grants:\n          \
             - {{account: shop/deployer, role: view}}\n{carol_gets}",
            home = home(&house),
            bob = bob.email,
        )
    };
    let carols = format!("          - {{person: {}, role: edit, namespaces: [shop]}}\n", carol.email);

    // A dry run says what would be done, and does nothing.
    let before = settled(&house, &cluster).await?;
    let said = ended(&apply(&house, &file(&carols), &["--dry-run"])?, 2)?;
    for part in ["+ grant", "+ member", "+ project", "6 to make, 0 to change, 0 to take back", "Nothing was written"] {
        ensure!(said.contains(part), "“{part}” in {said}");
    }
    ensure!(settled(&house, &cluster).await? == before, "a dry run did something");

    // Applied, it stands on the cluster.
    let said = ended(&apply(&house, &file(&carols), &[])?, 0)?;
    ensure!(said.contains("6 made"), "{said}");
    may(&as_bob, true, &["list", "pods", "--all-namespaces"]).await?;
    may(&as_bob, true, &["create", "deployments.apps", "-n", "pay"]).await?;
    may(&as_carol, true, &["create", "deployments.apps", "-n", "shop"]).await?;
    may(&as_carol, false, &["create", "deployments.apps", "-n", "pay"]).await?;
    may(&cluster.kubectl()?, true, &["list", "pods", "--as", "system:serviceaccount:shop:deployer"]).await?;
    alice.open(&format!("{path}/access")).await?;
    let row = alice.page.rows(&carol.email).pop().context("carol's row")?;
    ensure!(row.contains("file"), "{row}");

    // Twice changes nothing: no row, no event, no binding.
    let before = settled(&house, &cluster).await?;
    for more in [&[][..], &["--dry-run"], &["-o", "json"]] {
        let said = ended(&apply(&house, &file(&carols), more)?, 0)?;
        ensure!(said.contains("nothing to do") || said.contains(r#""changes":[]"#), "{said}");
    }
    ensure!(settled(&house, &cluster).await? == before, "applied twice it did something");

    // What the file says no longer goes, and what was given by hand stays.
    let by_hand = [("Kind", "User"), ("Name", carol.email.as_str()), ("Role", "view")];
    alice.press("Grant", &by_hand).await?;
    let said = ended(&apply(&house, &file(""), &["-o", "json"])?, 0)?;
    let json: serde_json::Value = serde_json::from_str(&said)?;
    ensure!(json["changes"][0]["op"] == "remove" && json["changes"].as_array().map(Vec::len) == Some(1), "{json}");
    may(&as_carol, false, &["create", "deployments.apps", "-n", "shop"]).await?;
    may(&as_carol, true, &["list", "pods", "--all-namespaces"]).await?;
    may(&as_bob, true, &["list", "pods", "--all-namespaces"]).await?;

    // Taken back by hand it is given again, and that is said; also while the server is stopped.
    alice.open(&format!("{path}/access")).await?;
    alice.press_in_row("shop/deployer", "Remove").await?;
    may(&cluster.kubectl()?, false, &["list", "pods", "--as", "system:serviceaccount:shop:deployer"]).await?;
    house.kubelend.terminate().await?;
    let said = ended(&apply(&house, &file(""), &[])?, 0)?;
    ensure!(said.contains("somebody has taken it back"), "{said}");
    house.kubelend.resume().await?;
    may(&cluster.kubectl()?, true, &["list", "pods", "--as", "system:serviceaccount:shop:deployer"]).await
}

#[tokio::test]
async fn a_file_is_the_access_that_there_is_on_sqlite() -> Result<()> {
    a_file_is_the_access_that_there_is(Database::Sqlite).await
}

#[tokio::test]
async fn a_file_is_the_access_that_there_is_on_postgres() -> Result<()> {
    a_file_is_the_access_that_there_is(Database::Postgres).await
}

/// Kills the command at moments that come later and later, until one gets through; then nothing is left to do, and nothing is there
/// twice.
async fn killed(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let cluster = new_cluster("killed").await?;
    for n in 0..10 {
        cluster.kubectl()?.run(&["create", "namespace", &format!("p{n}")]).await?.ok()?;
    }
    let mut alice = house.owner().await?;
    house.add_cluster(&mut alice, &cluster, "killed").await?;
    let unique = house.bed.unique();
    let grants =
        (0..30).map(|n| format!("          - {{group: k{unique}-{n}, role: view}}\n")).collect::<Vec<_>>().concat();
    let projects = (0..10)
        .map(|n| {
            format!(
                "      - {{name: P{n}, namespace: p{n}, clusters: all, grants: [{{group: k{unique}, role: edit}}]}}\n"
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let text = format!(
        "file: access\nworkspaces:\n  - name: {}\n    projects:\n{projects}    clusters:\n      - name: killed\n        grants:\n{grants}",
        home(&house)
    );
    let file = house.kubelend.place().folder().join("access.yaml");
    fs::write(&file, &text)?;
    let arguments = ["apply", "-f", &file.to_string_lossy()];
    let (mut kills, mut delay) = (0, Duration::from_millis(2));
    loop {
        let mut child = command(&house, &arguments).spawn()?;
        tokio::time::sleep(delay).await;
        if child.try_wait()?.is_some() {
            let output = child.wait_with_output()?;
            ended(&output, 0)?;
            break;
        }
        child.kill()?;
        child.wait()?;
        kills += 1;
        // Half a hundred moments of a second, closer to one another where less has happened.
        delay += delay / 12 + Duration::from_millis(2);
    }
    ensure!(kills >= 3, "it was killed {kills} times only");
    let said = ended(&apply(&house, &text, &["--dry-run"])?, 0)?;
    ensure!(said.contains("nothing to do"), "{said}");
    // Each of the forty is there, and once.
    eventually("the bindings", SOON, async || {
        let (_, listed) = state(&house, &cluster).await?;
        let found = listed.lines().filter(|line| line.contains(&format!("k{unique}"))).count();
        ensure!(found == 40, "{found} bindings:\n{listed}");
        Ok(())
    })
    .await?;
    ended(&apply(&house, "file: access\n", &[])?, 0)?;
    eventually("the bindings to go", SOON, async || {
        let (_, listed) = state(&house, &cluster).await?;
        ensure!(!listed.contains(&format!("k{unique}")), "{listed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn immune_25_an_application_that_is_killed_is_finished_by_the_next() -> Result<()> {
    killed(Database::Sqlite).await
}

#[tokio::test]
async fn immune_25_an_application_that_is_killed_is_finished_by_the_next_on_postgres() -> Result<()> {
    killed(Database::Postgres).await
}

#[tokio::test]
async fn a_wrong_file_is_told_all_that_is_wrong_and_changes_nothing() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = new_cluster("wrong").await?;
    let mut alice = house.owner().await?;
    house.add_cluster(&mut alice, &cluster, "wrong").await?;
    let before = settled(&house, &cluster).await?;
    let wrong = format!(
        "file: access\nworkspaces:\n  - name: {}\n    clusters:\n      - name: wrong\n        grants:\n          \
         - {{group: \"system:masters\", role: view}}\n          - {{group: devs, rol: view}}\n",
        home(&house)
    );
    let said = ended(&apply(&house, &wrong, &[])?, 1)?;
    for part in [
        "access.yaml:7:21: groups that begin with “system:”",
        "access.yaml:8:13: this grant has no “role”",
        "access.yaml:8:27: a grant has no “rol”\n  → did you mean “role”?",
    ] {
        ensure!(said.contains(part), "“{part}” in {said}");
    }
    // A role that only the cluster can know of, asked of the cluster; and a file that is a bomb.
    let of_cluster =
        wrong.replace("\"system:masters\", role: view", "devs, role: no-such-role").replace("rol: view", "role: view");
    let said = ended(&apply(&house, &of_cluster, &[])?, 1)?;
    ensure!(said.contains("access.yaml:7:33: This cluster has no ClusterRole no-such-role"), "{said}");
    let bomb = format!("file: access\na: &a [{}]\nb: [*a, *a]\n", "x, ".repeat(1000));
    let said = ended(&apply(&house, &bomb, &[])?, 1)?;
    ensure!(said.contains("access.yaml:2:7: anchors"), "{said}");
    let said = ended(&apply(&house, &" ".repeat(2 * 1024 * 1024), &[])?, 1)?;
    ensure!(said.contains("KiB"), "{said}");
    ensure!(settled(&house, &cluster).await? == before, "a wrong file did something");
    // What is wrong with the command itself is told apart from a dry run that has found something.
    let output = command(&house, &["apply", "--dry-rum"]).output()?;
    ended(&output, 1)?;
    Ok(())
}
