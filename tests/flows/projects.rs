//! Projects: people who are members of one alone, whom it takes over from its workspace, and what neither of them finds a way to.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;

use super::{
    federation::csrf_of,
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
