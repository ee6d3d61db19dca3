//! Access that reaches further than one cluster: everywhere, in a workspace, in a project; clusters that join, are labelled otherwise
//! or leave (what is down is in [`super::five_clusters`]); each binding tried with real kubectl as the person.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::{
    model::grant::Origin,
    store::{GrantFilter, Store},
};
use reqwest::StatusCode;
use testbed::{ControlPlane, Credentials, Kubectl, Person, Testbed, dex::DIRECT_CLIENT, eventually};

use super::{
    house::{Database, House},
    refusals::has_a_next_step,
    visitor::Visitor,
};

/// A cluster that joins has what is given everywhere within this.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// A cluster of the test's own: others bind on the shared ones.
pub(super) async fn new_cluster(name: &str) -> Result<ControlPlane> {
    Testbed::shared().await?.new_cluster(name).await
}

/// kubectl on a cluster, as somebody who signed in at Dex.
pub(super) async fn kubectl_as(who: &Person, cluster: &ControlPlane) -> Result<Kubectl> {
    let dex = Testbed::shared().await?.dex().await?;
    let tokens = dex.tokens_for(DIRECT_CLIENT, &Credentials::of(&who.email)).await?;
    Kubectl::with_text(&cluster.kubeconfig_with_token(&tokens.id_token))
}

/// Waits until this is what they may do.
pub(super) async fn may(kubectl: &Kubectl, allowed: bool, question: &[&str]) -> Result<()> {
    let arguments = [&["auth", "can-i"], question].concat();
    let wanted = if allowed { "yes" } else { "no" };
    eventually("the rights to be as given", SOON, async || {
        let answer = kubectl.run(&arguments).await?;
        let said = answer.stdout.trim().to_owned();
        ensure!(said == wanted, "{question:?}: {said} {}", answer.stderr);
        Ok(())
    })
    .await
}

const PODS: &[&str] = &["list", "pods", "--all-namespaces"];

pub(super) async fn give(owner: &mut Visitor, page: &str, kind: &str, name: &str, role: &str) -> Result<String> {
    owner.open(page).await?;
    owner.press("Grant", &[("Kind", kind), ("Name", name), ("Role", role), ("Reason", "on call")]).await?;
    owner.page.link(name).with_context(|| owner.page.text())
}

/// Opens the grant's own page until it says this.
pub(super) async fn says(visitor: &mut Visitor, grant: &str, words: &str) -> Result<()> {
    let patience = tokio::time::Instant::now() + SOON;
    while let Err(not_yet) = visitor.open(grant).await?.sees(words) {
        ensure!(tokio::time::Instant::now() < patience, "{not_yet}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn everywhere(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let group = format!("ops-{}", house.bed.unique());
    let bob = house.bed.hire("bob", &[&group]).await?;
    let (first, second) = tokio::try_join!(new_cluster("first"), new_cluster("second"))?;
    let mut alice = house.owner().await?;
    house.add_cluster(&mut alice, &first, "first").await?;
    let (on_first, on_second) = (kubectl_as(&bob, &first).await?, kubectl_as(&bob, &second).await?);
    may(&on_first, false, PODS).await?;

    let grant = give(&mut alice, "/access", "Group", &group, "view").await?;
    may(&on_first, true, PODS).await?;
    says(&mut alice, &grant, "on 1 cluster").await?;

    // One that joins has it, without anybody giving it.
    let path = house.add_cluster(&mut alice, &second, "second").await?;
    may(&on_second, true, PODS).await?;
    may(&on_second, false, &["create", "deployments.apps"]).await?;
    says(&mut alice, &grant, "on 2 clusters").await?;

    // It stands on the cluster's own page, and is not taken back there.
    let row = alice.open(&format!("{path}/access")).await?.rows(&group).pop().context("a row for the group")?;
    ensure!(row.contains("federated") && !row.contains("Remove"), "{row}");
    is_not_taken_back_on_one_cluster(&house, &mut alice, &path).await?;
    may(&on_second, true, PODS).await?;

    alice.open(&grant).await?;
    alice.follow("Remove").await?;
    alice.page.sees("2 clusters")?;
    alice.press("Remove", &[]).await?;
    may(&on_first, false, PODS).await?;
    may(&on_second, false, PODS).await?;
    says(&mut alice, &grant, "taken back everywhere").await
}

/// Somebody who sends the cluster's own form for it all the same is told where to go.
async fn is_not_taken_back_on_one_cluster(house: &House, alice: &mut Visitor, path: &str) -> Result<()> {
    let (store, id) = (Store::open(&house.database_url).await?, path.rsplit('/').next().context("an id")?.parse()?);
    let page = store.grants_of_cluster(id, &GrantFilter::default(), None, 50).await?;
    store.close().await;
    let federated = page.rows.into_iter().find(|(grant, _)| matches!(grant.origin, Origin::Federated(_)));
    let grant = federated.context("a federated grant")?.0.id;
    let csrf = csrf_of(&alice.page.body)?;
    let form = [("csrf", csrf.as_str())];
    let address = alice.base.join(&format!("{path}/access/{grant}/remove"))?;
    let sent = alice.http.post(address).header("sec-fetch-site", "same-origin").form(&form).send().await?;
    let (status, body) = (sent.status(), sent.text().await?);
    ensure!(
        status == StatusCode::FORBIDDEN && body.contains("It reaches further than this cluster"),
        "{status}: {body}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_given_everywhere_comes_with_each_cluster_and_goes_from_all() -> Result<()> {
    everywhere(Database::Sqlite).await
}

#[tokio::test]
async fn what_is_given_everywhere_comes_with_each_cluster_and_goes_from_all_on_postgres() -> Result<()> {
    everywhere(Database::Postgres).await
}

/// The path of the workspace that a cluster is in, as its settings link it.
pub(super) async fn workspace_of(owner: &mut Visitor, _cluster: &str) -> Result<String> {
    owner.open("/workspaces").await?;
    let body = owner.page.body.clone();
    let at = body.find("href=\"/workspaces/0").context("a workspace of one's own")?;
    let path = body[at + 6..].split('"').next().context("its path")?;
    Ok(path.to_owned())
}

#[tokio::test]
async fn a_project_reaches_its_namespace_on_the_clusters_that_bear_its_labels() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let group = format!("shop-{}", house.bed.unique());
    let bob = house.bed.hire("bob", &[&group]).await?;
    let (one, two) = tokio::try_join!(new_cluster("one"), new_cluster("two"))?;
    for cluster in [&one, &two] {
        cluster.kubectl()?.run(&["create", "namespace", "shop"]).await?.ok()?;
    }
    let mut alice = house.owner().await?;
    let first = house.add_cluster(&mut alice, &one, "one").await?;
    let second = house.add_cluster(&mut alice, &two, "two").await?;
    let label = async |alice: &mut Visitor, cluster: &str, labels: &str| {
        alice.open(&format!("{cluster}/settings")).await?;
        alice.press("Save labels", &[("Labels", labels)]).await?;
        alice.page.sees("Labels")
    };
    label(&mut alice, &first, "env=prod, team=shop").await?;

    let workspace = workspace_of(&mut alice, &first).await?;
    alice.open(&format!("{workspace}/projects")).await?;
    alice.press("Make project", &[("Name", "Shop"), ("Namespace", "shop"), ("On", "labelled")]).await?;
    alice.page.sees("Name at least one label")?;
    let answers = [("Name", "Shop"), ("Namespace", "shop"), ("On", "labelled"), ("Labels", "env=prod")];
    alice.press("Make project", &answers).await?;
    alice.page.sees("Now on one")?;
    let project = alice.page.url.path().to_owned();
    let grant = give(&mut alice, &project, "Group", &group, "edit").await?;

    let (on_one, on_two) = (kubectl_as(&bob, &one).await?, kubectl_as(&bob, &two).await?);
    let (there, elsewhere) = (["create", "pods", "-n", "shop"], ["create", "pods", "-n", "default"]);
    may(&on_one, true, &there).await?;
    may(&on_one, false, &elsewhere).await?;
    may(&on_two, false, &there).await?;

    // A label takes the second one in and another one leaves the first one out.
    label(&mut alice, &second, "env=prod").await?;
    may(&on_two, true, &there).await?;
    label(&mut alice, &first, "env=test").await?;
    may(&on_one, false, &there).await?;
    says(&mut alice, &grant, "on 1 cluster").await?;

    // Without the project there is nothing that was given in it; what is in its namespace stays.
    alice.open(&project).await?;
    alice.follow("Remove project").await?;
    alice.press("Remove project", &[]).await?;
    may(&on_two, false, &there).await?;
    two.kubectl()?.run(&["get", "namespace", "shop"]).await?.ok()?;
    let gone = alice.open(&project).await?;
    ensure!(gone.status == StatusCode::NOT_FOUND, "{}", gone.status);
    has_a_next_step(gone)
}

#[tokio::test]
async fn what_is_given_to_many_clusters_is_not_left_on_one_and_a_move_says_what_comes_and_goes() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let cluster = new_cluster("moved").await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, &cluster, "moved").await?;
    let home = workspace_of(&mut alice, &path).await?;
    let group = format!("night-{}", house.bed.unique());
    give(&mut alice, &format!("{home}/access"), "User", &bob.email, "view").await?;
    let mut visitor = house.visitor()?;
    visitor.sign_in(&bob.email).await?;
    visitor.open("/shared").await?.sees("given to you on several clusters at once")?;
    ensure!(visitor.page.link("Leave moved").is_err(), "a button that would do nothing");

    alice.open("/workspaces").await?;
    alice.follow("Create workspace").await?;
    alice.press("Create workspace", &[("Name", "Away")]).await?;
    let away = alice.page.url.path().to_owned();
    give(&mut alice, &format!("{away}/access"), "Group", &group, "edit").await?;
    alice.open(&format!("{path}/settings")).await?;
    alice.press("Move", &[]).await?;
    alice.page.sees(&format!("{}: view, given on every cluster of Clusters of", bob.email))?;
    alice.page.sees(&format!("{group}: edit, given on every cluster of Away"))?;
    let on_it = kubectl_as(&bob, &cluster).await?;
    may(&on_it, true, PODS).await?;
    alice.press("Move cluster", &[]).await?;
    may(&on_it, false, PODS).await?;
    let row = alice.open(&format!("{path}/access")).await?.rows(&group).pop().context("what came with the move")?;
    ensure!(row.contains("edit") && row.contains("federated"), "{row}");
    Ok(())
}

#[tokio::test]
async fn immune_28_only_who_manages_what_is_in_reach_sees_and_gives_access_there() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let (bob, carol) = (house.bed.hire("bob", &[]).await?, house.bed.hire("carol", &[]).await?);
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, house.bed.staging().await?, "staging").await?;
    let workspace = workspace_of(&mut alice, &path).await?;
    let group = format!("nobody-{}", house.bed.unique());
    let global = give(&mut alice, "/access", "Group", &group, "view").await?;
    let wide = give(&mut alice, &format!("{workspace}/access"), "Group", &group, "view").await?;
    alice.open(&format!("{workspace}/members")).await?;
    alice.press("Add member", &[("Kind", "user"), ("Name", &bob.email), ("Role", "editor")]).await?;
    alice.press("Add member", &[("Kind", "user"), ("Name", &carol.email), ("Role", "viewer")]).await?;

    // An editor of the workspace gives there and nowhere else.
    let mut editor = house.visitor()?;
    editor.sign_in(&bob.email).await?;
    let given = give(&mut editor, &format!("{workspace}/access"), "Group", &format!("{group}-2"), "edit").await?;
    for page in ["/access", global.as_str()] {
        let status = editor.open(page).await?.status;
        ensure!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status), "{page}: {status}");
        has_a_next_step(&editor.page)?;
    }
    // A viewer sees, and finds nothing to press; what they send all the same is refused.
    let mut viewer = house.visitor()?;
    viewer.sign_in(&carol.email).await?;
    viewer.open(&given).await?.does_not_see("Remove")?;
    viewer.open(&format!("{workspace}/access")).await?.sees(&group)?;
    viewer.page.does_not_see("Give access")?;
    let csrf = csrf_of(&viewer.page.body)?;
    for (address, form) in [
        (
            format!("{workspace}/access"),
            vec![("kind", "user"), ("name", carol.email.as_str()), ("role", "admin"), ("expires", "never")],
        ),
        (
            "/access".to_owned(),
            vec![("kind", "user"), ("name", carol.email.as_str()), ("role", "admin"), ("expires", "never")],
        ),
        (wide.clone(), vec![]),
        (global.clone(), vec![]),
    ] {
        let form: Vec<_> = form.into_iter().chain([("csrf", csrf.as_str())]).collect();
        let sent = viewer.http.post(viewer.base.join(&address)?).header("sec-fetch-site", "same-origin").form(&form);
        let status = sent.send().await?.status();
        ensure!(status == StatusCode::FORBIDDEN, "{address}: {status}");
    }
    // Nobody else learns that there is anything.
    let mut stranger = house.visitor()?;
    stranger.sign_in(&house.bed.hire("eve", &[]).await?.email).await?;
    for page in [wide.as_str(), global.as_str()] {
        let status = stranger.open(page).await?.status;
        ensure!(status == StatusCode::NOT_FOUND, "{page}: {status}");
    }
    says(&mut alice, &wide, "on 1 cluster").await
}

pub(super) fn csrf_of(body: &str) -> Result<String> {
    let (_, after) = body.split_once("name=\"csrf\" value=\"").context("a form's token")?;
    Ok(after.split('"').next().context("its end")?.to_owned())
}
