//! Custom roles: written by owners, given on a cluster, changed and deleted; each tried with real kubectl as the person, on a cluster of the
//! test's own.

use anyhow::{Context, Result, ensure};
use kubelend::model::power::Power;
use reqwest::StatusCode;
use testbed::{Person, eventually};

use super::{
    groups::{make_group, put_into},
    house::Database,
    roles::{Home, PATIENCE, may, press_with_role, refused_at_the_field},
    visitor::Visitor,
};

const PODS: &str = "- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [get]\n";

async fn kubectl(home: &Home, arguments: &[&str]) -> Result<String> {
    home.kubectl.run(arguments).await?.ok()
}

/// “NAME RULES” of each ClusterRole that Kubelend has made.
async fn made(home: &Home) -> Result<String> {
    kubectl(
        home,
        &[
            "get",
            "clusterroles",
            "-l",
            "kubelend.io/instance",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.rules}{end}",
        ],
    )
    .await
}

async fn give(visitor: &mut Visitor, page: &str, who: &Person, role: &str) -> Result<()> {
    visitor.open(page).await?;
    visitor.press("Grant", &[("Name", &who.email), ("Role", role)]).await.map(drop)
}

#[tokio::test]
async fn immune_28_a_custom_role_is_an_owners_to_write_and_gives_nobody_more_than_they_were_given() -> Result<()> {
    let mut home = Home::open(Database::Sqlite, "guild").await?;
    let bed = home.house.bed;
    let (carol, dave) = (bed.hire("carol", &[]).await?, bed.hire("dave", &[]).await?);
    let (access, list) = (home.access(), format!("{}/custom-roles", home.workspace));

    // Written with its mistakes at their fields, looked at before it is made, by an owner alone.
    home.owner.open(&list).await?;
    home.owner.press("Make role", &[("Name", "view"), ("Or all rules as YAML", "rules:\n- verbs: [get]\n")]).await?;
    refused_at_the_field(&home.owner, "is the name of another role")?;
    home.owner.page.sees("Line 2, column 3: ")?;
    home.owner.press("Show what it allows", &[("Name", "pod-reader"), ("Or all rules as YAML", PODS)]).await?;
    home.owner.page.sees("Nothing is made yet. They can see pods.")?;
    home.owner.press("Make role", &[]).await?;
    let role = home.owner.page.url.path().to_owned();
    home.owner.page.sees("They can see pods.")?;
    let seen = home.editor.open(&role).await?;
    seen.sees("They can see pods.")?;
    ensure!(!seen.body.contains("Save rules"), "an editor is offered to change it");
    let mut stranger = home.house.visitor()?;
    stranger.sign_in(&carol.email).await?;
    stranger.open(&role).await?;
    ensure!(stranger.page.status == StatusCode::NOT_FOUND, "{}", stranger.page.status);

    // Given by an editor: it is within admin. Nothing without the power.
    let named = "pod-reader (custom)";
    give(&mut home.editor, &access, &carol, named).await?;
    refused_at_the_field(&home.editor, "Kubelend may not make custom roles on this cluster")?;
    ensure!(made(&home).await?.is_empty(), "made although nobody has it");
    home.empower(Power::CustomRoles).await?;
    give(&mut home.editor, &access, &carol, named).await?;
    let row = home.editor.page.rows(&carol.email).pop().context("carol's row")?;
    ensure!(row.contains("in force"), "{row}");
    let as_carol = home.kubectl_as(&carol).await?;
    may(&as_carol, true, &["get", "pods", "-A"]).await?;
    may(&as_carol, false, &["list", "pods", "-A"]).await?;

    // Changed on the cluster it is put back; under its name nobody gives what is not written in Kubelend.
    let object = made(&home).await?.split_once(' ').context("a ClusterRole")?.0.to_owned();
    let wider = r#"{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}"#;
    kubectl(&home, &["patch", "clusterrole", &object, "--type=merge", "-p", wider]).await?;
    may(&as_carol, false, &["list", "pods", "-A"]).await?;
    kubectl(&home, &["delete", "clusterrole", &object]).await?;
    may(&as_carol, true, &["get", "pods", "-A"]).await?;
    forged(&mut home, &access, &dave).await?;

    let path = home.path.clone();
    let link = home.house.share(&mut home.editor, &path, &[("Role", named)]).await?;
    let shown = home.editor.page.url.path().to_owned();
    widened(&mut home, &role, &access, &carol).await?;
    may(&as_carol, true, &["get", "nodes"]).await?;
    // What a link offered before is not that.
    let erin = bed.hire("erin", &[]).await?;
    let mut visitor = home.house.visitor()?;
    home.house.open_link(&mut visitor, &link, &erin.email).await?;
    visitor.press("Accept", &[]).await?;
    home.owner.open(&access).await?;
    let row = home.owner.page.rows(&erin.email).pop().context("erin's row")?;
    ensure!(row.contains("allows more than when this was given (get nodes)"), "{row}");
    let as_erin = home.kubectl_as(&erin).await?;
    may(&as_erin, false, &["get", "pods", "-A"]).await?;
    // By now only owners give it.
    home.editor.open(&access).await?;
    press_with_role(&mut home.editor, "Grant", &format!("role:{object}"), &[("Name", &dave.email)]).await?;
    refused_at_the_field(&home.editor, "reaches further than admin does here (get nodes)")?;

    // Less is taken off at once.
    home.owner.open(&role).await?;
    home.owner
        .press("Save rules", &[("Rules as YAML", "- {apiGroups: [\"\"], resources: [pods], verbs: [list]}")])
        .await?;
    refused_at_the_field(&home.owner, "Whoever holds it gets more by this: list pods")?;
    home.owner.press("Save rules", &[("Rules as YAML", PODS)]).await?;
    may(&as_carol, false, &["get", "nodes"]).await?;
    may(&as_carol, true, &["get", "pods", "-A"]).await?;
    may(&as_erin, true, &["get", "pods", "-A"]).await?;

    everywhere(&mut home, &dave, named).await?;
    to_a_group(&mut home, &dave, named).await?;
    asked_for(&mut home, &dave, named).await?;
    deleted(&mut home, &role, &shown, [&carol, &erin]).await
}

/// A ClusterRole that is called like a custom role's, and marked as one to give, is none.
async fn forged(home: &mut Home, access: &str, dave: &Person) -> Result<()> {
    let name = "kubelend:pod-reader:00000000";
    kubectl(home, &["create", "clusterrole", name, "--verb=get", "--resource=pods"]).await?;
    kubectl(home, &["label", "clusterrole", name, "kubelend.io/assignable=true"]).await?;
    home.owner.open(access).await?;
    ensure!(!home.owner.page.body.contains(name), "it is offered");
    press_with_role(&mut home.owner, "Grant", &format!("role:{name}"), &[("Name", &dave.email)]).await?;
    refused_at_the_field(&home.owner, "There is no such role for this cluster")
}

/// More is given to those who hold it only on an owner's word.
async fn widened(home: &mut Home, role: &str, access: &str, carol: &Person) -> Result<()> {
    let more = format!("{PODS}- apiGroups: [\"\"]\n  resources: [nodes]\n  verbs: [get]\n");
    home.owner.open(role).await?;
    home.owner.page.sees(&carol.email)?;
    home.owner.press("Save rules", &[("Rules as YAML", &more)]).await?;
    refused_at_the_field(&home.owner, "Whoever holds it gets more by this: get nodes")?;
    home.owner.press("Save rules", &[("Everybody who holds it may have this (1 grant)", "yes")]).await?;
    ensure!(home.owner.page.status == StatusCode::OK, "{}: {}", home.owner.page.status, home.owner.page.text());
    let rows = home.editor.open(access).await?.rows(&carol.email);
    ensure!(rows.iter().any(|row| row.contains("pod-reader")), "{rows:?}");
    Ok(())
}

/// On all clusters of the workspace owners give it, and editors do not.
async fn everywhere(home: &mut Home, dave: &Person, named: &str) -> Result<()> {
    let page = format!("{}/access", home.workspace);
    home.editor.open(&page).await?;
    ensure!(!home.editor.page.body.contains("pod-reader"), "an editor is offered it everywhere");
    home.owner.open(&page).await?;
    home.owner.press("Grant", &[("Kind", "user"), ("Name", &dave.email), ("Role", named)]).await?;
    let given = home.owner.page.link(&dave.email)?;
    let as_dave = home.kubectl_as(dave).await?;
    may(&as_dave, true, &["get", "pods", "-A"]).await?;
    home.owner.open(&given).await?;
    home.owner.follow("Remove").await?;
    home.owner.press("Remove", &[]).await?;
    may(&as_dave, false, &["get", "pods", "-A"]).await
}

/// On one cluster owners give it to a group that owners keep, and its members have it.
async fn to_a_group(home: &mut Home, dave: &Person, named: &str) -> Result<()> {
    let (access, list) = (home.access(), format!("{}/groups", home.workspace));
    let open = make_group(&mut home.owner, &list, "Anybody", &[]).await?;
    let kept = make_group(&mut home.owner, &list, "On call", &[("Changed by", "owners")]).await?;
    put_into(&mut home.owner, &kept, "Person", &dave.email).await?;
    let to = |group: &'static str| [("Kind", "Kubelend group"), ("Name", group), ("Role", named)];
    home.owner.open(&access).await?;
    home.owner.press("Grant", &to("Anybody")).await?;
    refused_at_the_field(&home.owner, "You cannot give this")?;
    home.editor.open(&access).await?;
    home.editor.press("Grant", &to("On call")).await?;
    refused_at_the_field(&home.editor, "You cannot give this")?;
    home.owner.press("Grant", &to("On call")).await?;
    let row = home.owner.page.rows("On call").pop().context("the group's row")?;
    ensure!(row.contains("pod-reader"), "{row}");
    let as_dave = home.kubectl_as(dave).await?;
    may(&as_dave, true, &["get", "pods", "-A"]).await?;
    for group in [&kept, &open] {
        home.owner.open(&format!("{group}/settings")).await?;
        home.owner.follow("Delete group").await?;
        home.owner.press("Delete group", &[]).await?;
    }
    may(&as_dave, false, &["get", "pods", "-A"]).await
}

/// Whoever knows the cluster asks for it by its name, and is given it.
async fn asked_for(home: &mut Home, dave: &Person, named: &str) -> Result<()> {
    let access = home.access();
    home.owner.open(&access).await?;
    home.owner.press("Grant", &[("Name", &dave.email), ("Role", "view")]).await?;
    let mut asking = home.house.visitor()?;
    asking.sign_in(&dave.email).await?;
    asking.open(&format!("{}/ask", home.path)).await?;
    asking.press("Ask", &[("Role", named), ("Reason", "to watch the pods")]).await?.sees("waits for an answer")?;
    home.owner.open(&access).await?;
    home.owner.follow("Answer").await?;
    home.owner.follow("Answer").await?;
    home.owner.page.sees("pod-reader (custom)")?;
    home.owner.press("Approve", &[]).await?;
    let rows = home.owner.page.rows(&dave.email);
    ensure!(rows.iter().any(|row| row.contains("pod-reader") && row.contains("request")), "{rows:?}");
    while home.owner.page.rows(&dave.email).iter().any(|row| row.contains("Remove")) {
        home.owner.press_in_row(&dave.email, "Remove").await?;
        home.owner.open(&access).await?;
    }
    Ok(())
}

/// While somebody holds it, it stays; then its ClusterRole goes, too.
async fn deleted(home: &mut Home, role: &str, link: &str, who: [&Person; 2]) -> Result<()> {
    home.owner.open(role).await?;
    home.owner.press("Delete role", &[]).await?;
    refused_at_the_field(&home.owner, "Somebody holds it")?;
    let access = home.access();
    for person in who {
        home.owner.open(&access).await?;
        home.owner.press_in_row(&person.email, "Remove").await?;
    }
    eventually("its ClusterRole to go", PATIENCE, async || {
        let left = made(home).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .await?;
    home.owner.open(role).await?.sees("1 open share link")?;
    home.owner.open(link).await?;
    home.owner.press("Revoke", &[]).await?;
    home.owner.press("Revoke", &[]).await?;
    home.owner.open(role).await?;
    home.owner.press("Delete role", &[]).await?;
    home.owner.open(role).await?;
    ensure!(home.owner.page.status == StatusCode::NOT_FOUND, "{}", home.owner.page.status);
    Ok(())
}
