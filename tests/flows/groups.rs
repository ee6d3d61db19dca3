//! Groups of our own on real clusters: who joins one has what it holds, with real kubectl, and who leaves it has it no more; and who
//! may change one, see one, and give to one.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;

use super::{
    federation::{csrf_of, kubectl_as, may, new_cluster, says, workspace_of},
    house::{Database, House},
    refusals::{has_a_next_step, is_closed},
    visitor::Visitor,
};

const PODS: &[&str] = &["list", "pods", "--all-namespaces"];
const IN_SHOP: &[&str] = &["create", "deployments.apps", "-n", "shop"];

pub(super) async fn make_group(
    owner: &mut Visitor,
    list: &str,
    name: &str,
    answers: &[(&str, &str)],
) -> Result<String> {
    owner.open(list).await?;
    owner.press("Make group", &[&[("Name", name)], answers].concat()).await?;
    owner.page.sees("Nobody yet")?;
    Ok(owner.page.url.path().to_owned())
}

pub(super) async fn put_into(owner: &mut Visitor, group: &str, kind: &str, name: &str) -> Result<()> {
    owner.open(group).await?;
    owner.press("Add member", &[("Kind", kind), ("Name", name)]).await?;
    owner.page.rows(name).pop().with_context(|| owner.page.text()).map(drop)
}

async fn take_out(owner: &mut Visitor, group: &str, name: &str) -> Result<()> {
    owner.open(group).await?;
    owner.press_in_row(name, "Take out").await?;
    owner.page.sees("By this group they lose at once")?;
    owner.press_in_row("By this group they lose at once", "Take out").await?;
    ensure!(owner.page.rows(name).is_empty(), "{}", owner.page.text());
    Ok(())
}

async fn everybody_in_a_group_has_what_it_holds(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let team = format!("team-{}", house.bed.unique());
    let (bob, carol) = (house.bed.hire("bob", &[&team]).await?, house.bed.hire("carol", &[]).await?);
    let (one, two) = tokio::try_join!(new_cluster("one"), new_cluster("two"))?;
    for cluster in [&one, &two] {
        cluster.kubectl()?.run(&["create", "namespace", "shop"]).await?.ok()?;
    }
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, &one, "one").await?;
    let home = workspace_of(&mut alice, &path).await?;
    let group = make_group(&mut alice, &format!("{home}/groups"), "On call", &[]).await?;
    // By address, before anybody has signed in with it, and by a group of the provider.
    put_into(&mut alice, &group, "Person", &carol.email).await?;
    put_into(&mut alice, &group, "Group", &team).await?;

    alice.open(&format!("{path}/access")).await?;
    let answers = [
        ("Kind", "Kubelend group"),
        ("Name", "on call"),
        ("Role", "edit"),
        ("Where", "Namespaces"),
        ("Namespaces", "shop"),
    ];
    alice.press("Grant", &answers).await?;
    alice.page.sees("On call: edit on namespace shop")?;
    let rows = alice.page.rows("On call");
    ensure!(rows.len() == 1 && rows[0].contains("2 members"), "one row for all of them: {rows:?}");
    ensure!(alice.page.rows(&carol.email).is_empty() && alice.page.rows(&team).is_empty(), "{}", alice.page.text());
    alice.open(&format!("{home}/access")).await?;
    alice.press("Grant", &[("Kind", "Kubelend group"), ("Name", "On call"), ("Role", "view")]).await?;
    let wide = alice.page.link("On call")?;

    let (carol_one, bob_one) = (kubectl_as(&carol, &one).await?, kubectl_as(&bob, &one).await?);
    for kubectl in [&carol_one, &bob_one] {
        may(kubectl, true, IN_SHOP).await?;
        may(kubectl, true, PODS).await?;
        may(kubectl, false, &["create", "deployments.apps", "-n", "default"]).await?;
    }
    says(&mut alice, &wide, "2 bindings in force").await?;
    // A cluster that joins has it for each of them.
    house.add_cluster(&mut alice, &two, "two").await?;
    let (carol_two, bob_two) = (kubectl_as(&carol, &two).await?, kubectl_as(&bob, &two).await?);
    may(&carol_two, true, PODS).await?;
    may(&bob_two, true, PODS).await?;
    says(&mut alice, &wide, "4 bindings in force").await?;

    // They are told how it came to them, and so is whoever asks what they can do.
    let mut visitor = house.visitor()?;
    visitor.sign_in(&carol.email).await?;
    visitor.open("/shared").await?.sees("by the Kubelend group On call")?;
    ensure!(visitor.page.link("Leave one").is_err(), "a button that would do nothing");
    says(&mut alice, &wide, "4 bindings in force").await?;
    alice.open(&format!("{path}/can?kind=person&name={}", carol.email)).await?;
    alice.page.sees("to the Kubelend group On call, with")?;
    alice.open(&format!("{home}/matrix")).await?.sees("Kubelend group On call")?;
    let file = alice.open(&format!("{home}/matrix.csv")).await?.body.clone();
    ensure!(file.lines().filter(|line| line.ends_with("Kubelend group On call")).count() == 6, "{file}");
    alice.open(&format!("{path}/access?q={}", carol.email)).await?;
    ensure!(!alice.page.rows("On call").is_empty(), "found by who is in it: {}", alice.page.text());

    // Taken out, she has nothing of it on any cluster, and the others have what they had.
    take_out(&mut alice, &group, &carol.email).await?;
    may(&carol_one, false, PODS).await?;
    // A link for the group is for those who are in it now.
    let only_for = [("Only for", "kubelend-group:on call"), ("Role", "view")];
    let link = house.share(&mut alice, &path, &only_for).await?;
    alice.page.sees("the Kubelend group On call")?;
    is_closed(&house, &link, &carol.email).await?;
    let mut bobs = house.visitor()?;
    house.open_link(&mut bobs, &link, &bob.email).await?;
    bobs.press("Accept", &[]).await?;
    ensure!(bobs.page.status == StatusCode::OK, "{}: {}", bobs.page.status, bobs.page.text());
    may(&carol_one, false, IN_SHOP).await?;
    may(&carol_two, false, PODS).await?;
    may(&bob_one, true, IN_SHOP).await?;
    visitor.open("/shared").await?.sees("Nothing is shared with you now")?;

    // The group goes, and says what goes with it.
    alice.open(&format!("{group}/settings")).await?;
    alice.follow("Delete group").await?;
    alice.page.sees("edit on namespace shop of one")?;
    alice.page.sees("view on every cluster of")?;
    alice.press("Delete group", &[]).await?;
    may(&bob_one, false, IN_SHOP).await?;
    may(&bob_two, false, PODS).await?;
    says(&mut alice, &wide, "taken back everywhere").await?;
    let gone = alice.open(&group).await?;
    ensure!(gone.status == StatusCode::NOT_FOUND, "{}", gone.status);
    has_a_next_step(gone)?;
    alice.open(&format!("{path}/activity")).await?.sees("Kubelend group On call: edit on namespace shop")
}

#[tokio::test]
async fn immune_20_everybody_in_a_group_has_what_it_holds_until_they_leave_it() -> Result<()> {
    everybody_in_a_group_has_what_it_holds(Database::Sqlite).await
}

#[tokio::test]
async fn immune_20_everybody_in_a_group_has_what_it_holds_until_they_leave_it_on_postgres() -> Result<()> {
    everybody_in_a_group_has_what_it_holds(Database::Postgres).await
}

#[tokio::test]
async fn immune_28_an_editor_puts_nobody_into_a_group_that_holds_what_only_owners_give() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let (bob, eve) = (house.bed.hire("bob", &[]).await?, house.bed.hire("eve", &[]).await?);
    let cluster = new_cluster("kept").await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, &cluster, "kept").await?;
    let home = workspace_of(&mut alice, &path).await?;
    alice.open(&format!("{home}/members")).await?;
    alice.press("Add member", &[("Kind", "Person"), ("Name", &bob.email), ("Role", "editor")]).await?;

    // An owner gives cluster-admin to no group that editors change, neither here nor on all clusters.
    let open = make_group(&mut alice, &format!("{home}/groups"), "Open", &[]).await?;
    for page in [format!("{path}/access"), format!("{home}/access")] {
        alice.open(&page).await?;
        alice.press("Grant", &[("Kind", "Kubelend group"), ("Name", "Open"), ("Role", "cluster-admin")]).await?;
        ensure!(alice.page.status == StatusCode::UNPROCESSABLE_ENTITY, "{page}: {}", alice.page.text());
        alice.page.sees("editors may change who is in this group")?;
    }
    let kept = make_group(&mut alice, &format!("{home}/groups"), "Kept", &[("Changed by", "owners only")]).await?;
    alice.open(&format!("{home}/access")).await?;
    alice.press("Grant", &[("Kind", "Kubelend group"), ("Name", "Kept"), ("Role", "cluster-admin")]).await?;
    let wide = alice.page.link("Kept")?;
    // As long as it holds that, owners keep it.
    alice.open(&format!("{kept}/settings")).await?;
    alice.press("Save", &[("Changed by", "owners and editors")]).await?;
    alice.page.sees("Take that back first")?;

    let mut editor = house.visitor()?;
    editor.sign_in(&bob.email).await?;
    editor.open(&kept).await?.sees("only owners change who is in it")?;
    editor.page.does_not_see("Add a member")?;
    put_into(&mut editor, &open, "Person", &eve.email).await?;
    let csrf = csrf_of(&editor.page.body)?;
    let member = [("change", "add"), ("kind", "user"), ("name", eve.email.as_str())];
    let keep = [("name", "Kept"), ("keep", "editors")];
    for (address, form) in
        [(kept.clone(), &member[..]), (format!("{kept}/settings"), &keep[..]), (format!("{kept}/delete"), &[][..])]
    {
        let form: Vec<_> = form.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        let sent = editor.http.post(editor.base.join(&address)?).header("sec-fetch-site", "same-origin").form(&form);
        let status = sent.send().await?.status();
        ensure!(status == StatusCode::FORBIDDEN, "{address}: {status}");
    }
    // Nor do they keep a group to owners, who could not change it then, or give cluster-admin to one that is kept.
    let form = [("name", "Mine"), ("keep", "owners"), ("csrf", csrf.as_str())];
    let address = editor.base.join(&format!("{home}/groups"))?;
    let sent = editor.http.post(address).header("sec-fetch-site", "same-origin").form(&form).send().await?;
    ensure!(sent.status() == StatusCode::UNPROCESSABLE_ENTITY, "{}", sent.status());
    for page in [format!("{path}/access"), format!("{home}/access")] {
        let form = [
            ("kind", "own"),
            ("name", "Kept"),
            ("role", "cluster-admin"),
            ("where", "cluster"),
            ("expires", "never"),
            ("csrf", csrf.as_str()),
        ];
        let sent = editor.http.post(editor.base.join(&page)?).header("sec-fetch-site", "same-origin").form(&form);
        let status = sent.send().await?.status();
        ensure!(status == StatusCode::UNPROCESSABLE_ENTITY, "{page}: {status}");
    }
    alice.open(&kept).await?.sees("Nobody yet")?;
    let on_it = kubectl_as(&eve, &cluster).await?;
    may(&on_it, false, &["get", "secrets", "-n", "kube-system"]).await?;
    says(&mut alice, &wide, "nobody is in it").await
}

#[tokio::test]
async fn immune_28_a_group_of_another_workspace_is_neither_seen_nor_used() -> Result<()> {
    let house = House::open(Database::Sqlite).await?;
    let bob = house.bed.hire("bob", &[]).await?;
    let cluster = new_cluster("theirs").await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, &cluster, "theirs").await?;
    let home = workspace_of(&mut alice, &path).await?;
    let ours = make_group(&mut alice, &format!("{home}/groups"), "Payroll", &[]).await?;
    let all = make_group(&mut alice, "/groups", "Everybody", &[]).await?;

    alice.open("/workspaces").await?;
    alice.follow("Create workspace").await?;
    alice.press("Create workspace", &[("Name", "Away")]).await?;
    let away = alice.page.url.path().to_owned();
    alice.open(&format!("{away}/members")).await?;
    alice.press("Add member", &[("Kind", "Person"), ("Name", &bob.email), ("Role", "owner")]).await?;
    let theirs = make_group(&mut alice, &format!("{away}/groups"), "Theirs", &[]).await?;
    // A platform admin gives there to a group of that workspace, and to none of another one.
    alice.open(&format!("{path}/access")).await?;
    alice.press("Grant", &[("Kind", "Kubelend group"), ("Name", "Theirs")]).await?;
    alice.page.sees("There is no such group here")?;
    alice.open("/access").await?;
    alice.press("Grant", &[("Kind", "Kubelend group"), ("Name", "Payroll")]).await?;
    alice.page.sees("There is no such group here")?;

    let mut owner = house.visitor()?;
    owner.sign_in(&bob.email).await?;
    owner.open(&theirs).await?.sees("Add a member")?;
    let csrf = csrf_of(&owner.page.body)?;
    for hidden in [&ours, &all] {
        for page in ["", "/activity", "/settings", "?remove=x"] {
            let page = owner.open(&format!("{hidden}{page}")).await?;
            ensure!(page.status == StatusCode::NOT_FOUND, "{hidden}: {}", page.status);
            page.does_not_see("Payroll")?;
        }
        for (page, form) in
            [("", [("change", "add"), ("name", bob.email.as_str())]), ("/delete", [("x", "y"), ("z", "z")])]
        {
            let form: Vec<_> = form.into_iter().chain([("csrf", csrf.as_str())]).collect();
            let address = owner.base.join(&format!("{hidden}{page}"))?;
            let sent = owner.http.post(address).header("sec-fetch-site", "same-origin").form(&form).send().await?;
            ensure!(sent.status() == StatusCode::NOT_FOUND, "{hidden}{page}: {}", sent.status());
        }
    }
    let lists = owner.open("/groups").await?.status;
    ensure!(lists == StatusCode::FORBIDDEN, "{lists}");
    has_a_next_step(&owner.page)?;
    // One that is not theirs and one that never was are the same to them; one of all workspaces they can give to.
    let mut answers = Vec::new();
    for name in ["Payroll", "Never-was"] {
        owner.open(&format!("{away}/access")).await?;
        owner.press("Grant", &[("Kind", "Kubelend group"), ("Name", name)]).await?;
        ensure!(owner.page.status == StatusCode::UNPROCESSABLE_ENTITY, "{}", owner.page.status);
        answers.push(owner.page.text().replace(name, "NAME"));
    }
    ensure!(answers[0] == answers[1] && answers[0].contains("There is no such group here"), "{answers:?}");
    owner.open(&format!("{away}/access")).await?;
    owner.press("Grant", &[("Kind", "Kubelend group"), ("Name", "everybody (everywhere)")]).await?;
    let given = owner.page.link("Everybody")?;
    ensure!(owner.open(&given).await?.link("Kubelend group").is_err(), "who is in it is not theirs to see");
    Ok(())
}
