//! Projects: people who are members of one alone, whom it takes over from its workspace, and what neither of them finds a way to; and
//! namespaces that are made where they are missing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::{
    kubeconfig::{OWN_ACCOUNT, power_manifest},
    model::power::Power,
};
use reqwest::StatusCode;
use testbed::eventually;

use super::{
    federation::{csrf_of, kubectl_as, may, new_cluster, says, workspace_of},
    house::{Database, House},
    refusals::has_a_next_step,
    visitor::Visitor,
};

/// Sends a form that no page has offered.
async fn forges(visitor: &Visitor, address: &str, form: &[(&str, &str)]) -> Result<StatusCode> {
    let csrf = csrf_of(&visitor.page.body)?;
    let form: Vec<(&str, &str)> = form.iter().copied().chain([("csrf", csrf.as_str())]).collect();
    let sent = visitor.http.post(visitor.base.join(address)?).header("sec-fetch-site", "same-origin").form(&form);
    Ok(sent.send().await?.status())
}

async fn signed_in(house: &House, email: &str) -> Result<Visitor> {
    let mut visitor = house.visitor()?;
    visitor.sign_in(email).await?;
    Ok(visitor)
}

async fn make_project(owner: &mut Visitor, workspace: &str, name: &str, namespace: &str) -> Result<String> {
    owner.open(&format!("{workspace}/projects")).await?;
    owner.press("Make project", &[("Name", name), ("Namespace", namespace)]).await?;
    Ok(owner.page.url.path().to_owned())
}

async fn add(owner: &mut Visitor, to: &str, name: &str, role: &str) -> Result<()> {
    owner.open(&format!("{to}/members")).await?;
    owner.press("Add member", &[("Kind", "user"), ("Name", name), ("Role", role)]).await?;
    let row = owner.page.rows(name).pop().with_context(|| format!("{name}: {}", owner.page.text()))?;
    ensure!(row.contains(role), "{row}");
    Ok(())
}

async fn is_forbidden(visitor: &mut Visitor, path: &str) -> Result<()> {
    let page = visitor.open(path).await?;
    ensure!(page.status == StatusCode::FORBIDDEN, "{path}: {}: {}", page.status, page.text());
    has_a_next_step(page)
}

#[tokio::test]
async fn immune_28_a_member_of_a_project_looks_after_it_and_finds_no_way_further() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let (carol, group) = (house.bed.hire("carol", &[]).await?, format!("shop-{}", house.bed.unique()));
    let mut alice = house.owner().await?;
    alice.open("/workspaces").await?;
    alice.follow("Create workspace").await?;
    alice.press("Create workspace", &[("Name", "Payments")]).await?;
    let payments = alice.page.url.path().to_owned();
    let shop = make_project(&mut alice, &payments, "Shop", "shop").await?;
    let bank = make_project(&mut alice, &payments, "Bank", "bank").await?;
    alice.open(&format!("{payments}/groups")).await?;
    alice.press("Make group", &[("Name", "Night watch")]).await?;
    // Named before she has ever signed in.
    add(&mut alice, &shop, &carol.email, "editor").await?;

    let mut editor = signed_in(&house, &carol.email).await?;
    editor.open("/").await?.sees("you are an editor")?;
    editor.open("/shared").await?.sees("in Payments · namespace shop · you are an editor")?;
    editor.follow("Shop").await?.sees("Give access in Shop")?;
    ensure!(editor.page.link("Projects").is_err() && editor.page.link("Matrix").is_err(), "{}", editor.page.text());
    editor.press("Grant", &[("Kind", "group"), ("Name", &group), ("Role", "admin")]).await?;
    let grant = editor.page.link(&group)?;
    editor.open(&grant).await?.sees("namespace shop of the project Shop")?;
    editor.follow("Remove").await?;
    editor.press("Remove", &[]).await?;

    // Nothing of the workspace, none of its other projects, no Group of it, and no owner's role.
    for there in ["", "/access", "/members", "/projects", "/groups", "/activity", "/matrix", "/settings"] {
        is_forbidden(&mut editor, &format!("{payments}{there}")).await?;
        editor.page.does_not_see("Payments")?;
    }
    is_forbidden(&mut editor, &bank).await?;
    is_forbidden(&mut editor, &format!("{bank}/members")).await?;
    editor.open(&shop).await?;
    let give = [("name", "Night watch"), ("role", "view"), ("expires", "never"), ("kind", "own")];
    ensure!(forges(&editor, &shop, &give).await? == StatusCode::UNPROCESSABLE_ENTITY, "a Group of the workspace");
    let (mallory, owners) = (house.bed.hire("mallory", &[]).await?, "cluster-admin");
    let give = [("name", mallory.email.as_str()), ("role", owners), ("expires", "never"), ("kind", "user")];
    ensure!(forges(&editor, &shop, &give).await? == StatusCode::UNPROCESSABLE_ENTITY, "an owner's role");
    let add_herself = [("change", "add"), ("kind", "user"), ("name", carol.email.as_str()), ("role", "owner")];
    for (address, form) in [
        (format!("{shop}/change"), &[("name", "Shop"), ("on", "all")][..]),
        (format!("{shop}/remove"), &[]),
        (format!("{shop}/members"), &add_herself),
        (format!("{shop}/members/takes"), &[("editors", "yes")]),
        (bank.clone(), &give),
        (format!("{payments}/access"), &give),
        (format!("{payments}/members"), &add_herself),
    ] {
        let status = forges(&editor, &address, form).await?;
        ensure!(status == StatusCode::FORBIDDEN, "{address}: {status}");
    }
    // Taken out, she sees nothing with her next request.
    alice.open(&format!("{shop}/members")).await?;
    alice.press_in_row(&carol.email, "Remove").await?;
    alice.page.sees("They can no longer give and take access in this project")?;
    alice.press("Remove", &[]).await?;
    for there in [&shop, &format!("{shop}/members")] {
        is_forbidden(&mut editor, there).await?;
    }
    editor.open("/workspaces").await?.does_not_see("Shop")
}

#[tokio::test]
async fn immune_20_a_project_keeps_out_whom_it_takes_over_no_longer() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let (bob, carol) = (house.bed.hire("bob", &[]).await?, house.bed.hire("carol", &[]).await?);
    let mut alice = house.owner().await?;
    alice.open("/workspaces").await?;
    alice.follow("Create workspace").await?;
    alice.press("Create workspace", &[("Name", "Payments")]).await?;
    let payments = alice.page.url.path().to_owned();
    let shop = make_project(&mut alice, &payments, "Shop", "shop").await?;
    for (who, role) in [(&bob, "editor"), (&carol, "viewer")] {
        add(&mut alice, &payments, &who.email, role).await?;
    }
    let (mut editor, mut viewer) = (signed_in(&house, &bob.email).await?, signed_in(&house, &carol.email).await?);
    editor.open(&shop).await?.sees("Save project")?;
    viewer.open(&shop).await?.does_not_see("Give access")?;
    viewer.open(&format!("{shop}/members")).await?.sees("Its viewers are viewers here.")?;
    let put = forges(&viewer, &format!("{shop}/members/takes"), &[("editors", "yes")]).await?;
    ensure!(put == StatusCode::FORBIDDEN, "{put}");

    alice.open(&format!("{shop}/members")).await?;
    alice.untick(&["Editors are editors here"]);
    alice.press("Save switches", &[]).await?;
    editor.open(&shop).await?.does_not_see("Give access")?;
    editor.page.does_not_see("Save project")?;
    let opened = forges(&editor, &format!("{shop}/members/takes"), &[("editors", "yes")]).await?;
    ensure!(opened == StatusCode::FORBIDDEN, "{opened}");
    alice.open(&format!("{shop}/members")).await?;
    alice.untick(&["Viewers are viewers here"]);
    alice.press("Save switches", &[]).await?;
    is_forbidden(&mut editor, &shop).await?;
    is_forbidden(&mut viewer, &shop).await?;
    // As a member of the project itself he is one again; and its owner, who owns nothing of the workspace, makes others members.
    add(&mut alice, &shop, &bob.email, "owner").await?;
    editor.open(&shop).await?.sees("Save project")?;
    add(&mut editor, &shop, &carol.email, "viewer").await?;
    editor.page.sees("Owners of the workspace are owners here, always.")?;
    viewer.open(&shop).await?.sees("Who has access in Shop")?;
    viewer.open(&format!("{shop}/members")).await?;
    viewer.press_in_row(&carol.email, "Leave").await?;
    viewer.press("Leave", &[]).await?;
    is_forbidden(&mut viewer, &shop).await
}

/// The text of the command that a page shows after these words.
fn shown_command(visitor: &Visitor, begins: &str) -> Result<String> {
    let plain = visitor.page.body.replace("&#39;", "'").replace("&#34;", "\"").replace("&quot;", "\"");
    let plain = plain.replace("&#60;", "<").replace("&lt;", "<");
    let at = plain.find(begins).with_context(|| format!("no {begins}: {}", visitor.page.text()))?;
    Ok(plain[at..].split("</pre>").next().context("its end")?.to_owned())
}

#[tokio::test]
async fn a_project_s_namespace_is_made_where_it_is_missing_and_never_touched_again() -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(40);
    let house = House::open(Database::Postgres).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let cluster = new_cluster("bare").await?;
    let admin = cluster.kubectl()?;
    admin.run(&["create", "namespace", "bank"]).await?.ok()?;
    let read = async |path: &str| admin.run(&["get", "--raw", path]).await?.ok();
    let bank_before = read("/api/v1/namespaces/bank").await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, &cluster, "bare").await?;
    let home = workspace_of(&mut alice, &path).await?;
    let shop = make_project(&mut alice, &home, "Shop", "shop").await?;
    alice.press("Grant", &[("Kind", "user"), ("Name", &bob.email), ("Role", "edit")]).await?;
    let grant = alice.page.link(&bob.email)?;
    // Nobody has asked for it, and then Kubelend may not: whose turn it is stands there.
    says(&mut alice, &grant, "Namespace shop missing. Somebody who may make namespaces on this cluster makes it")
        .await?;
    alice.open(&shop).await?;
    alice.press("Save", &[("Make shop where it is missing", "yes")]).await?;
    says(&mut alice, &grant, "gives Kubelend that power").await?;
    alice.open(&path).await?.sees("May make namespaces (a power of its own)")?;

    let manifest = power_manifest(Power::Namespaces, OWN_ACCOUNT);
    admin.run_with_input(&["apply", "-f", "-"], &manifest).await?.ok()?;
    let on_it = kubectl_as(&bob, &cluster).await?;
    let there = ["create", "pods", "-n", "shop"];
    eventually("the rights in the namespace", PATIENCE, async || may(&on_it, true, &there).await).await?;
    alice.open(&shop).await?.sees("Where the namespace is missing, Kubelend makes it; so far on bare.")?;
    alice.open(&format!("{path}/activity")).await?.sees("made the namespace shop, for the project Shop")?;
    let made = read("/api/v1/namespaces/shop").await?;
    ensure!(made.contains("kubelend.io/project"), "{made}");

    // A process that died before it kept what it had made: known by its mark, and kept as the same.
    let kept = house.sql("SELECT uid FROM project_namespaces").await?;
    house.sql("UPDATE project_namespaces SET uid = NULL").await?;
    admin.run(&["delete", "rolebindings", "--all", "-n", "shop"]).await?.ok()?;
    eventually("what was begun to be kept", PATIENCE, async || {
        ensure!(house.sql("SELECT uid FROM project_namespaces").await? == kept, "not yet");
        Ok(())
    })
    .await?;
    may(&on_it, true, &there).await?;

    // What was there before stays as it was, and is nobody's but its maker's.
    let bank = make_project(&mut alice, &home, "Bank", "bank").await?;
    alice.press("Save", &[("Make bank where it is missing", "yes")]).await?;
    alice.press("Grant", &[("Kind", "user"), ("Name", &bob.email), ("Role", "view")]).await?;
    may(&on_it, true, &["list", "pods", "-n", "bank"]).await?;
    ensure!(read("/api/v1/namespaces/bank").await? == bank_before, "it was changed");
    alice.open(&bank).await?.does_not_see("so far on")?;

    // Without the project the namespace stays, and the page has what deletes exactly that one.
    alice.open(&shop).await?;
    alice.follow("Remove project").await?;
    alice.page.sees("Kubelend deletes no namespace")?;
    let command = shown_command(&alice, "kubectl delete --raw")?;
    alice.press("Remove project", &[]).await?;
    may(&on_it, false, &there).await?;
    ensure!(read("/api/v1/namespaces/shop").await? == made, "it stays as it was made");
    let other = command.replacen("\"uid\":\"", "\"uid\":\"0", 1);
    ensure!(admin.shell(&other).await?.ok().is_err(), "another one of that name would go");
    admin.shell(&command).await?.ok()?;
    let gone = admin.run(&["get", "namespace", "shop", "-o", "jsonpath={.metadata.deletionTimestamp}"]).await?;
    ensure!(gone.ok().is_ok_and(|at| !at.is_empty()) || read("/api/v1/namespaces/shop").await.is_err(), "it is there");
    Ok(())
}
