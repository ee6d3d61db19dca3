//! Workspaces: who is what in one, moving a cluster between two, and deleting one, also while a cluster of it is down.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testbed::{ControlPlane, FaultProxy, Person, eventually, fault::Fault};

use super::{
    house::{Database, House, connect},
    refusals::{has_a_next_step, is_closed},
    visitor::{Page, Visitor},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Makes a workspace through its page and returns its path.
async fn create(owner: &mut Visitor, name: &str) -> Result<String> {
    owner.open("/workspaces").await?;
    owner.follow("Create workspace").await?;
    owner.press("Create workspace", &[("Name", name)]).await?;
    owner.page.sees("You are an owner here")?;
    Ok(owner.page.url.path().to_owned())
}

async fn add_member(owner: &mut Visitor, workspace: &str, kind: &str, name: &str, role: &str) -> Result<()> {
    owner.open(&format!("{workspace}/members")).await?;
    owner.press("Add member", &[("Kind", kind), ("Name", name), ("Role", role)]).await?;
    let row = owner.page.rows(name).pop().with_context(|| format!("{name}: {}", owner.page.text()))?;
    ensure!(row.contains(role), "{row}");
    Ok(())
}

/// Adds a cluster to this workspace through its page, and waits until it is checked.
async fn add_to(owner: &mut Visitor, workspace: &str, name: &str, kubeconfig: &str) -> Result<String> {
    owner.open(workspace).await?;
    owner.follow("Add cluster").await?;
    owner.press("Add cluster", &[("Name", name), ("Kubeconfig", kubeconfig)]).await?;
    let path = owner.page.url.path().to_owned();
    comes(owner, &path, |page| page.sees("Kubernetes v1.36")).await?;
    Ok(path)
}

async fn signed_in(house: &House, who: &Person) -> Result<Visitor> {
    let mut visitor = house.visitor()?;
    visitor.sign_in(&who.email).await?;
    Ok(visitor)
}

async fn is_forbidden(visitor: &mut Visitor, path: &str) -> Result<()> {
    let page = visitor.open(path).await?;
    ensure!(page.status == StatusCode::FORBIDDEN, "{path}: {}: {}", page.status, page.text());
    has_a_next_step(page)
}

/// Opens a page until it is as it should be.
async fn comes(visitor: &mut Visitor, path: &str, wanted: impl Fn(&Page) -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    while let Err(not_yet) = wanted(visitor.open(path).await?) {
        ensure!(begun.elapsed() < PATIENCE, "{path} in {PATIENCE:?}: {not_yet}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn is_gone(page: &Page) -> Result<()> {
    ensure!(page.status == StatusCode::NOT_FOUND, "{}: {}", page.status, page.text());
    Ok(())
}

async fn bindings(cluster: &ControlPlane) -> Result<String> {
    cluster.kubectl()?.run(&["get", "clusterrolebindings", "-o", "yaml"]).await?.ok()
}

async fn a_group_manages_until_somebody_leaves_it(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let cluster = house.bed.staging().await?;
    let mut alice = house.owner().await?;
    let payments = create(&mut alice, "Payments").await?;
    let path = add_to(&mut alice, &payments, "staging", &connect(cluster).await?).await?;
    let group = format!("ops-{}", house.bed.unique());
    add_member(&mut alice, &payments, "Group", &group, "editor").await?;

    let carol = house.bed.hire("carol", &[&group]).await?;
    let mut visitor = signed_in(&house, &carol).await?;
    visitor.open("/workspaces").await?.sees("you are an editor")?;
    visitor.follow("Payments").await?.sees("You are an editor here")?;
    visitor.follow("staging").await?;
    visitor.follow("Access").await?;
    let night = format!("night-{}", house.bed.unique());
    visitor.press("Grant", &[("Kind", "Group"), ("Name", &night), ("Role", "view")]).await?;
    eventually("the binding", PATIENCE, async || {
        ensure!(bindings(cluster).await?.contains(&night), "not yet");
        Ok(())
    })
    .await?;
    // An editor manages access, and neither members nor clusters nor the workspace.
    for owners in ["/settings", "/credentials"] {
        is_forbidden(&mut visitor, &format!("{path}{owners}")).await?;
    }
    for owners in ["/settings", "/delete"] {
        is_forbidden(&mut visitor, &format!("{payments}{owners}")).await?;
    }
    visitor.open(&format!("{payments}/members")).await?.sees("An owner can change who is what here.")?;
    ensure!(visitor.page.fill_fails("Add member"), "{}", visitor.page.text());

    house.bed.directory().await?.set_groups(&carol.id, &[])?;
    let mut visitor = signed_in(&house, &carol).await?;
    visitor.open("/workspaces").await?.sees("You are in no workspace yet")?;
    for gone in [&path, &format!("{path}/access"), &payments] {
        is_forbidden(&mut visitor, gone).await?;
        visitor.page.does_not_see("staging")?;
        visitor.page.does_not_see("Payments")?;
    }
    Ok(())
}

#[tokio::test]
async fn immune_20_a_member_by_a_group_is_none_after_leaving_it() -> Result<()> {
    a_group_manages_until_somebody_leaves_it(Database::Sqlite).await
}

#[tokio::test]
async fn immune_20_a_member_by_a_group_is_none_after_leaving_it_on_postgres() -> Result<()> {
    a_group_manages_until_somebody_leaves_it(Database::Postgres).await
}

#[tokio::test]
async fn immune_33_the_last_owner_stays_and_says_why() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let mut alice = house.owner().await?;
    let payments = create(&mut alice, "Payments").await?;
    let members = format!("{payments}/members");
    let bob = house.bed.hire("bob", &[]).await?;
    // Not signed in yet: an address is nobody for certain.
    add_member(&mut alice, &payments, "Person", &bob.email, "owner").await?;
    alice.page.sees("has not signed in yet at Dex")?;
    alice.press_in_row(&house.alice.email, "Remove").await?;
    alice.page.sees("is the last person who owns this workspace")?;
    ensure!(alice.page.fill_fails("Keep it so"), "it can be removed: {}", alice.page.text());

    let mut owner = signed_in(&house, &bob).await?;
    owner.open(&members).await?;
    // Both open the page that asks while there are two of them.
    owner.press_in_row(&bob.email, "Change role").await?;
    alice.open(&members).await?;
    alice.press_in_row(&house.alice.email, "Change role").await?;
    alice.press("Save role", &[("Role", "viewer")]).await?;
    owner.press("Save role", &[("Role", "viewer")]).await?;
    ensure!(owner.page.status == StatusCode::FORBIDDEN, "{}", owner.page.status);
    owner.page.sees("This is the last person who owns the workspace")?;
    has_a_next_step(&owner.page)?;
    owner.follow("Back to the members").await?;
    let row = owner.page.rows(&bob.email).pop().context("bob's row")?;
    ensure!(row.contains("owner") && row.contains("you"), "{row}");
    Ok(())
}

#[tokio::test]
async fn immune_28_nobody_finds_a_way_past_their_role() -> Result<()> {
    let group = "makers-of-workspaces";
    let listed = format!("\n[[workspace_makers]]\nprovider = \"dex\"\ngroup = \"{group}\"\n");
    let dex = testbed::Testbed::shared().await?.dex().await?;
    let house = House::with_provider(Database::Sqlite, dex, &listed).await?;
    let mut alice = house.owner().await?;
    let secret = create(&mut alice, "Acquisitions").await?;
    let (bob, mallory) = (house.bed.hire("bob", &[group]).await?, house.bed.hire("mallory", &[]).await?);

    let mut nobody = signed_in(&house, &mallory).await?;
    for page in ["", "/members", "/activity", "/settings", "/delete"] {
        is_forbidden(&mut nobody, &format!("{secret}{page}")).await?;
        nobody.page.does_not_see("Acquisitions")?;
    }
    is_forbidden(&mut nobody, "/workspaces/create").await?;
    nobody.page.sees("workspace_makers")?;
    nobody.open("/workspaces").await?.sees("You are in no workspace yet")?;

    // Whoever is listed makes their own, and is nobody in others'.
    let mut maker = signed_in(&house, &bob).await?;
    let own = create(&mut maker, "Payments").await?;
    maker.open("/workspaces/create").await?;
    maker.press("Create workspace", &[("Name", "PAYMENTS")]).await?;
    maker.page.sees("There is a workspace of that name already.")?;
    ensure!(maker.page.field("Name")? == "PAYMENTS", "what was typed is gone");
    is_forbidden(&mut maker, &secret).await?;
    // Owning a workspace adds no clusters to it: those see everybody's sign-ins.
    ensure!(maker.open(&own).await?.link("Add cluster").is_err(), "{}", maker.page.text());

    // The forms of an owner, in the hands of a viewer.
    let page = maker.open(&format!("{own}/members")).await?.clone();
    add_member(&mut maker, &own, "Person", &mallory.email, "viewer").await?;
    nobody.open(&own).await?.sees("You are a viewer here")?;
    let csrf = nobody.page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let csrf = csrf.context("a form of their own")?.to_owned();
    let theirs = maker.page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let body = page.body.replace(theirs.context("a form")?, &csrf);
    for (name, role) in [(&mallory.email, "owner"), (&"makers-of-workspaces".to_owned(), "owner")] {
        nobody.page = Page { body: body.clone(), ..page.clone() };
        nobody.press("Add member", &[("Kind", "Group"), ("Name", name), ("Role", role)]).await?;
        ensure!(nobody.page.status == StatusCode::FORBIDDEN, "{}: {}", nobody.page.status, nobody.page.text());
        nobody.page.sees("Only the people who manage this workspace can do that")?;
    }
    maker.open(&format!("{own}/members")).await?;
    ensure!(maker.page.rows("owner").len() == 1, "{}", maker.page.text());
    // Leaving is everybody's own.
    nobody.open(&format!("{own}/members")).await?;
    nobody.press_in_row(&mallory.email, "Leave").await?;
    nobody.page.sees("Leave this workspace?")?;
    nobody.press_at(&format!("{own}/members"), "Leave").await?;
    nobody.page.sees("You are in no workspace yet")
}

#[tokio::test]
async fn immune_32_an_address_becomes_the_person_and_a_second_holder_gets_nothing() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let mut alice = house.owner().await?;
    let payments = create(&mut alice, "Payments").await?;
    let (dora, heir) = (house.bed.hire("dora", &[]).await?, house.bed.hire("heir", &[]).await?);
    let directory = house.bed.directory().await?;
    signed_in(&house, &dora).await?;
    // The address goes to somebody else, and only then is it made a member.
    let address = dora.email.clone();
    directory.edit(&dora.id, |person| person.email = format!("former-{address}"))?;
    let mut holder = house.visitor()?;
    directory.edit(&heir.id, |person| person.email.clone_from(&address))?;
    holder.sign_in(&address).await?;
    add_member(&mut alice, &payments, "Person", &address, "editor").await?;
    holder.open(&payments).await?.sees("You are an editor here")?;
    // It moves on: the membership is the person's, and does not go with it.
    directory.edit(&heir.id, |person| person.email = format!("heir-{address}"))?;
    directory.edit(&dora.id, |person| person.email.clone_from(&address))?;
    let mut third = house.visitor()?;
    third.sign_in(&address).await?;
    is_forbidden(&mut third, &payments).await
}

/// Makes an invitation through its page and returns the link.
async fn invite(owner: &mut Visitor, workspace: &str, answers: &[(&str, &str)]) -> Result<String> {
    owner.open(&format!("{workspace}/invitations")).await?;
    owner.press("Create invitation", answers).await?;
    owner.page.field("Invitation link")
}

async fn invitations(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let mut alice = house.owner().await?;
    let payments = create(&mut alice, "Payments").await?;
    let (bob, carol) = (house.bed.hire("bob", &[]).await?, house.bed.hire("carol", &[]).await?);
    alice.open(&format!("{payments}/invitations")).await?;
    alice.press("Create invitation", &[("Role", "editor")]).await?;
    alice.page.sees("Say who: a link for anyone may make viewers alone.")?;
    let named = invite(&mut alice, &payments, &[("Only for", &bob.email), ("Role", "owner"), ("Uses", "1")]).await?;
    // Nobody reads before they sign in whether it lends a cluster or a membership; nobody else opens it at all.
    let mut visitor = house.visitor()?;
    visitor.open(&named).await?.does_not_see("Payments")?;
    is_closed(&house, &named, &carol.email).await?;
    house.open_link(&mut visitor, &named, &bob.email).await?;
    visitor.page.sees("invites you to Payments")?;
    visitor.page.sees("You become an owner of this workspace")?;
    visitor.press("Accept", &[]).await?;
    visitor.page.sees("You are an owner here")?;
    visitor.open(&named).await?.sees("You are a member of Payments already")?;

    // Whoever was removed does not come back by the same link.
    let open = invite(&mut alice, &payments, &[]).await?;
    let mut guest = house.visitor()?;
    house.open_link(&mut guest, &open, &carol.email).await?;
    guest.press("Accept", &[]).await?;
    guest.page.sees("You are a viewer here")?;
    alice.open(&format!("{payments}/members")).await?;
    alice.press_in_row(&carol.email, "Remove").await?;
    alice.press_at(&format!("{payments}/members"), "Remove").await?;
    is_forbidden(&mut guest, &payments).await?;
    guest.open(&open).await?.sees("invites you to Payments")?;
    guest.press("Accept", &[]).await?;
    guest.page.sees("This link does not open anything for you")?;
    is_forbidden(&mut guest, &payments).await?;

    // An owner's invitations end with their ownership, and their own is not for them.
    let way_back =
        invite(&mut visitor, &payments, &[("Only for", &format!("{}, {}", bob.email, carol.email)), ("Role", "owner")])
            .await?;
    alice.open(&format!("{payments}/members")).await?;
    alice.press_in_row(&bob.email, "Change role").await?;
    alice.press("Save role", &[("Role", "viewer")]).await?;
    for email in [&bob.email, &carol.email] {
        is_closed(&house, &way_back, email).await?;
    }
    is_forbidden(&mut visitor, &format!("{payments}/invitations")).await?;
    // Revoked, it is like one that never was.
    alice.open(&format!("{payments}/invitations")).await?;
    alice.press_in_row("anyone who can sign in", "Revoke").await?;
    let dan = house.bed.hire("dan", &[]).await?;
    is_closed(&house, &open, &dan.email).await?;
    alice.open(&format!("{payments}/activity")).await?.sees("accepted an invitation: owner")
}

#[tokio::test]
async fn immune_28_an_invitation_gives_what_it_says_to_those_it_is_for() -> Result<()> {
    invitations(Database::Sqlite).await
}

#[tokio::test]
async fn immune_28_an_invitation_gives_what_it_says_to_those_it_is_for_on_postgres() -> Result<()> {
    invitations(Database::Postgres).await
}

#[tokio::test]
async fn a_cluster_moves_and_the_page_says_who_gains_and_who_loses() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let cluster = house.bed.staging().await?;
    let mut alice = house.owner().await?;
    let (before, after) = (create(&mut alice, "Before").await?, create(&mut alice, "After").await?);
    let path = add_to(&mut alice, &before, "staging", &connect(cluster).await?).await?;
    add_to(&mut alice, &after, "lab", &connect(cluster).await?).await?;
    alice.open("/clusters").await?.link("Before").context("clusters by workspace")?;
    let (bob, carol) = (house.bed.hire("bob", &[]).await?, house.bed.hire("carol", &[]).await?);
    let (mut loses, mut gains) = (signed_in(&house, &bob).await?, signed_in(&house, &carol).await?);
    add_member(&mut alice, &before, "Person", &bob.email, "editor").await?;
    add_member(&mut alice, &after, "Person", &carol.email, "viewer").await?;
    let link = house.share(&mut alice, &path, &[("Role", "view")]).await?;
    let dan = house.bed.hire("dan", &[]).await?;
    let kubectl = house.accept(&mut house.visitor()?, &link, &dan.email).await?;
    loses.open(&path).await?.sees("staging")?;
    is_forbidden(&mut gains, &path).await?;

    alice.open(&format!("{path}/settings")).await?;
    alice.press("Move", &[("Move to", "After")]).await?;
    alice.page.sees(&format!("{}: no longer an editor", bob.email))?;
    alice.page.sees(&format!("{}: becomes a viewer", carol.email))?;
    alice.page.sees("keep the access that was given on it")?;
    alice.press("Move cluster", &[]).await?;
    alice.page.link("After").context("the cluster's new workspace")?;

    is_forbidden(&mut loses, &path).await?;
    gains.open(&path).await?.sees("staging")?;
    kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
    for workspace in [&before, &after] {
        alice.open(&format!("{workspace}/activity")).await?.sees("moved the cluster staging from Before to After")?;
    }
    // A name that is taken there is said, and nothing moves.
    let twin = add_to(&mut alice, &before, "staging", &connect(cluster).await?).await?;
    alice.open(&format!("{twin}/settings")).await?;
    alice.press("Move", &[("Move to", "After")]).await?;
    alice.press("Move cluster", &[]).await?;
    alice.page.sees("After has a cluster of this name already")?;
    has_a_next_step(&alice.page)
}

#[tokio::test]
async fn a_workspace_is_deleted_while_a_cluster_of_it_is_down() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let (up, down) = (house.bed.staging().await?, house.bed.production().await?);
    let proxy = FaultProxy::start(url::Url::parse(down.server_url())?.socket_addrs(|| None)?[0])?;
    let through = connect(down).await?.replace(down.server_url(), &format!("https://127.0.0.1:{}", proxy.port()));
    let mut alice = house.owner().await?;
    let payments = create(&mut alice, "Payments").await?;
    let mut groups = Vec::new();
    for (name, kubeconfig) in [("answers", connect(up).await?), ("is-down", through)] {
        let path = add_to(&mut alice, &payments, name, &kubeconfig).await?;
        let group = format!("{name}-{}", house.bed.unique());
        alice.open(&format!("{path}/access")).await?;
        alice.press("Grant", &[("Kind", "Group"), ("Name", &group), ("Role", "view")]).await?;
        groups.push(group);
    }
    let stands = async |cluster: &ControlPlane, group: &str, wanted: bool| {
        eventually("the binding", PATIENCE, async || {
            ensure!(bindings(cluster).await?.contains(group) == wanted, "{group}: not yet {wanted}");
            Ok(())
        })
        .await
    };
    stands(up, &groups[0], true).await?;
    stands(down, &groups[1], true).await?;

    proxy.set(Fault::Refuse);
    alice.open(&format!("{payments}/settings")).await?;
    alice.follow("Delete workspace").await?;
    alice.page.sees("Delete this workspace?")?;
    for named in ["answers", "is-down", "1 person and 1 group lose access", "1 person as member"] {
        alice.page.sees(named)?;
    }
    alice.press("Delete workspace", &[]).await?;
    alice.page.sees("being deleted")?;
    stands(up, &groups[0], false).await?;
    comes(&mut alice, &payments, |page| page.does_not_see(">answers<")).await?;
    alice.page.sees("This workspace is being deleted.")?;
    alice.page.sees("is-down")?;
    ensure!(alice.page.link("Add cluster").is_err(), "{}", alice.page.text());
    ensure!(bindings(down).await?.contains(&groups[1]), "it was down");

    proxy.set(Fault::Pass);
    stands(down, &groups[1], false).await?;
    comes(&mut alice, &payments, is_gone).await
}

#[tokio::test]
async fn a_workspace_is_given_up_with_a_cluster_that_never_answers_again() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let cluster = house.bed.staging().await?;
    let proxy = FaultProxy::start(url::Url::parse(cluster.server_url())?.socket_addrs(|| None)?[0])?;
    let through = connect(cluster).await?.replace(cluster.server_url(), &format!("https://127.0.0.1:{}", proxy.port()));
    let mut alice = house.owner().await?;
    let payments = create(&mut alice, "Payments").await?;
    add_to(&mut alice, &payments, "lost", &through).await?;
    eventually("the owner's binding", PATIENCE, async || {
        ensure!(bindings(cluster).await?.contains(&house.alice.email), "not yet");
        Ok(())
    })
    .await?;
    proxy.set(Fault::BlackHole);
    alice.open(&format!("{payments}/delete")).await?;
    alice.press("Delete workspace", &[]).await?;
    alice.open(&format!("{payments}/settings")).await?;
    alice.follow("Give up").await?;
    alice.press("Give up", &[]).await?;
    comes(&mut alice, &payments, is_gone).await?;
    ensure!(bindings(cluster).await?.contains(&house.alice.email), "what was to be left was taken");
    Ok(())
}
