//! The matrix, as its owner, a viewer of the workspace and a stranger find it; a cluster that has really gone is still told of.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::Testbed;

use super::{
    house::{Database, House},
    refusals::has_a_next_step,
    scene::PATIENCE,
};

#[tokio::test]
async fn who_can_reach_what_is_a_page_and_a_file_also_after_the_cluster_has_gone() -> Result<()> {
    let bed = Testbed::shared().await?;
    let house = House::open(Database::Postgres).await?;
    let (bob, carol) = (bed.hire("bob", &[]).await?, bed.hire("carol", &[]).await?);
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, bed.staging().await?, "short-lived").await?;
    alice.open(&format!("{path}/access")).await?;
    let answers = [("Kind", "user"), ("Name", &bob.email), ("Role", "edit"), ("Where", "namespaces")];
    alice.press("Grant", &[&answers[..], &[("Namespaces", "default")]].concat()).await?;
    alice.open(&path).await?;
    let settings = alice.page.link("Settings")?;
    alice.open("/workspaces").await?;
    alice.follow("Matrix").await?.sees("Matrix of all clusters")?;
    let row = alice.page.rows(&bob.email).pop().context("bob's row")?;
    ensure!(row.contains("edit") && row.contains("namespace default"), "{row}");
    let today = alice.follow(&bob.email).await?.clone();
    today.sees("what was given to them by name")?;
    ensure!(today.rows("short-lived").len() == 1, "{}", today.text());

    // A viewer of the workspace sees the same there, and has the file; the page of all is not theirs.
    alice.open("/workspaces").await?;
    alice.follow(&format!("Clusters of {}", house.alice.email)).await?;
    let workspace = alice.page.url.path().to_owned();
    alice.open(&format!("{workspace}/members")).await?;
    alice.press("Add member", &[("Kind", "user"), ("Name", &carol.email), ("Role", "viewer")]).await?;
    let mut viewer = house.visitor()?;
    viewer.sign_in(&carol.email).await?;
    viewer.open(&format!("{workspace}/matrix")).await?.sees("Who can reach what")?;
    let file = viewer.follow("Download CSV").await?.clone();
    let line = file.body.lines().find(|line| line.contains(&bob.email)).context("bob's line")?;
    ensure!(line.contains(",short-lived,") && line.contains(",edit,namespaces,default,"), "{line}");
    let status = viewer.open("/matrix").await?.status;
    ensure!(status == StatusCode::FORBIDDEN, "{status}");
    has_a_next_step(&viewer.page)?;
    let mut stranger = house.visitor()?;
    stranger.sign_in(&bob.email).await?;
    for page in ["matrix", "matrix.csv"] {
        let status = stranger.open(&format!("{workspace}/{page}")).await?.status;
        ensure!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status), "{page}: {status}");
        stranger.page.does_not_see("short-lived")?;
    }

    // The cluster is given up. Its day is still told.
    let day: String = kubelend::clock::Clock::System.now().to_string().chars().take(10).collect();
    alice.open(&settings).await?;
    alice.press("Remove cluster", &[("Leave them", "leave")]).await?;
    let matrix = format!("{workspace}/matrix");
    let patience = tokio::time::Instant::now() + PATIENCE;
    while let Err(not_yet) = viewer.open(&matrix).await?.sees("No cluster") {
        ensure!(tokio::time::Instant::now() < patience, "{not_yet}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It is not shown any more once it is being removed; what was given there ends when it has gone. A holder's page tells of the moment
    // that its link was made for, so each look begins with the day.
    let patience = tokio::time::Instant::now() + PATIENCE;
    loop {
        viewer.open(&matrix).await?;
        viewer.press("Show", &[("As of", &day)]).await?.sees("Who could reach what on")?;
        let row = viewer.page.rows(&bob.email).pop().context("bob's row of the day")?;
        ensure!(row.contains("edit"), "{row}");
        let Err(not_yet) = viewer.follow(&bob.email).await?.sees("ended with its cluster") else { break };
        ensure!(tokio::time::Instant::now() < patience, "{not_yet}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
