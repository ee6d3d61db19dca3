//! Roles beyond view, edit and admin: who may give them, where, and what the cluster has to let Kubelend do for it; each tried with
//! real kubectl as the person, on a cluster of the test's own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::{
    kubeconfig::{OWN_ACCOUNT, power_manifest},
    model::power::Power,
};
use reqwest::StatusCode;
use testbed::{ControlPlane, Credentials, Kubectl, Person, Testbed, dex::DIRECT_CLIENT, eventually};

use super::{
    house::{Database, House, connect},
    refusals::is_closed,
    visitor::Visitor,
};

pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// A workspace with a cluster in it, whose owner is no platform admin, and whose editor is no owner.
pub(super) struct Home {
    pub(super) house: House,
    pub(super) alice: Visitor,
    pub(super) cluster: ControlPlane,
    pub(super) kubectl: Kubectl,
    pub(super) workspace: String,
    pub(super) path: String,
    pub(super) bob: Person,
    pub(super) owner: Visitor,
    pub(super) editor: Visitor,
}

impl Home {
    pub(super) async fn open(database: Database, name: &str) -> Result<Self> {
        let house = House::open(database).await?;
        let bed = Testbed::shared().await?;
        let cluster = bed.new_cluster(name).await?;
        let mut alice = house.owner().await?;
        alice.open("/workspaces/create").await?;
        alice.press("Create workspace", &[("Name", name)]).await?;
        let workspace = alice.page.url.path().to_owned();
        alice.follow("Add cluster").await?;
        alice.press("Add cluster", &[("Name", name), ("Kubeconfig", &connect(&cluster).await?)]).await?;
        let path = alice.page.url.path().to_owned();
        let (bob, eve) = (house.bed.hire("bob", &[]).await?, house.bed.hire("eve", &[]).await?);
        for (person, role) in [(&bob, "owner"), (&eve, "editor")] {
            alice.open(&format!("{workspace}/members")).await?;
            alice.press("Add member", &[("Kind", "Person"), ("Name", &person.email), ("Role", role)]).await?;
        }
        let (mut owner, mut editor) = (house.visitor()?, house.visitor()?);
        owner.sign_in(&bob.email).await?;
        editor.sign_in(&eve.email).await?;
        let kubectl = cluster.kubectl()?;
        Ok(Self { house, alice, cluster, kubectl, workspace, path, bob, owner, editor })
    }

    /// kubectl as somebody who signed in at Dex.
    pub(super) async fn kubectl_as(&self, who: &Person) -> Result<Kubectl> {
        let dex = self.house.bed.dex().await?;
        let tokens = dex.tokens_for(DIRECT_CLIENT, &Credentials::of(&who.email)).await?;
        Kubectl::with_text(&self.cluster.kubeconfig_with_token(&tokens.id_token))
    }

    /// Gives Kubelend a power there, as the cluster's page says.
    pub(super) async fn empower(&self, power: Power) -> Result<()> {
        let manifest = power_manifest(power, OWN_ACCOUNT);
        self.kubectl.run_with_input(&["apply", "-f", "-"], &manifest).await?.ok().map(drop)
    }

    pub(super) fn access(&self) -> String {
        format!("{}/access", self.path)
    }

    pub(super) fn links(&self) -> String {
        format!("{}/links", self.path)
    }
}

/// Waits until this is what they may do.
pub(super) async fn may(kubectl: &Kubectl, allowed: bool, question: &[&str]) -> Result<()> {
    let arguments = [&["auth", "can-i"], question].concat();
    let wanted = if allowed { "yes" } else { "no" };
    eventually("the rights to be as given", PATIENCE, async || {
        let answer = kubectl.run(&arguments).await?;
        ensure!(answer.stdout.trim() == wanted, "{question:?}: {} {}", answer.stdout, answer.stderr);
        Ok(())
    })
    .await
}

/// Sends a form in which another role stands than any that was offered.
pub(super) async fn press_with_role(
    visitor: &mut Visitor,
    button: &str,
    role: &str,
    answers: &[(&str, &str)],
) -> Result<()> {
    visitor.page.body = visitor.page.body.replace(r#"<option value="admin""#, &format!(r#"<option value="{role}""#));
    visitor.press(button, &[answers, &[("Role", role)]].concat()).await.map(drop)
}

pub(super) fn refused_at_the_field(visitor: &Visitor, words: &str) -> Result<()> {
    ensure!(
        visitor.page.status == StatusCode::UNPROCESSABLE_ENTITY,
        "{}: {}",
        visitor.page.status,
        visitor.page.text()
    );
    visitor.page.sees(words)
}

#[tokio::test]
async fn immune_28_cluster_admin_is_for_owners_to_give_and_a_power_of_its_own() -> Result<()> {
    let mut home = Home::open(Database::Postgres, "crown").await?;
    let carol = home.house.bed.hire("carol", &[]).await?;
    let dave = home.house.bed.hire("dave", &[]).await?;

    // Without the power nothing is given, and the page says what it amounts to and where to find what to run.
    home.owner.open(&home.access()).await?;
    home.owner.press("Grant", &[("Name", &carol.email), ("Role", "cluster-admin")]).await?;
    refused_at_the_field(&home.owner, "that is a power of its own")?;
    eventually("the check to say it", PATIENCE, async || {
        let mut alice = home.house.owner().await?;
        alice.open(&home.path).await?.sees("May give cluster-admin (a power of its own)")?;
        alice.page.sees("name: kubelend-cluster-admin")
    })
    .await?;
    home.empower(Power::ClusterAdmin).await?;

    // Not by an editor, by no door; whose form does not offer it either.
    let (access, links, workspace) = (home.access(), home.links(), format!("{}/access", home.workspace));
    for (page, button, answers) in [
        (&access, "Grant", vec![("Name", carol.email.as_str())]),
        (&links, "Create link", vec![]),
        (&workspace, "Grant", vec![("Kind", "user"), ("Name", carol.email.as_str())]),
    ] {
        for role in ["cluster-admin", "role:cluster-admin"] {
            home.editor.open(page).await?;
            ensure!(!home.editor.page.body.contains(r#"value="cluster-admin""#), "{page} offers it");
            press_with_role(&mut home.editor, button, role, &answers).await?;
            refused_at_the_field(&home.editor, "only owners of the workspace give cluster-admin")?;
        }
    }
    // Nor in namespaces, whoever asks.
    home.owner.open(&access).await?;
    let shop =
        [("Name", carol.email.as_str()), ("Role", "cluster-admin"), ("Where", "namespaces"), ("Namespaces", "default")];
    home.owner.press("Grant", &shop).await?;
    refused_at_the_field(&home.owner, "given on the whole cluster alone")?;
    // A ClusterRole that allows everything is no less for another name.
    let everything = ["create", "clusterrole", "helper", "--verb=*", "--resource=*.*"];
    home.kubectl.run(&everything).await?.ok()?;
    home.kubectl.run(&["label", "clusterrole", "helper", "kubelend.io/assignable=true"]).await?.ok()?;
    home.editor.open(&access).await?;
    press_with_role(&mut home.editor, "Grant", "role:helper", &[("Name", &carol.email)]).await?;
    refused_at_the_field(&home.editor, "as cluster-admin does")?;

    let on_cluster = home.kubectl_as(&carol).await?;
    may(&on_cluster, false, &["*", "*", "--all-namespaces"]).await?;
    home.owner.open(&access).await?;
    home.owner.press("Grant", &[("Name", &carol.email), ("Role", "cluster-admin")]).await?;
    let row = home.owner.page.rows(&carol.email).pop().context("carol's row")?;
    ensure!(row.contains("cluster-admin") && row.contains("in force"), "{row}");
    may(&on_cluster, true, &["*", "*", "--all-namespaces"]).await?;
    // Taking away is not giving.
    home.editor.open(&access).await?;
    home.editor.press_in_row(&carol.email, "Remove").await?;
    may(&on_cluster, false, &["*", "*", "--all-namespaces"]).await?;
    home.editor.press("Grant again", &[]).await?;
    refused_at_the_field(&home.editor, "only owners of the workspace give cluster-admin")?;

    a_link_of_an_owner(&mut home, &dave).await
}

/// Its address is for owners; an editor may close it and not open it; and it gives nothing once its maker owns nothing.
async fn a_link_of_an_owner(home: &mut Home, dave: &Person) -> Result<()> {
    let link = home.house.share(&mut home.owner, &home.path, &[("Role", "cluster-admin")]).await?;
    let shown = home.owner.page.url.path().to_owned();
    home.editor.open(&shown).await?.sees("its address is shown to them alone")?;
    ensure!(home.editor.page.field("Share link").is_err(), "{}", home.editor.page.text());
    // Whom it is for is the owners' to say, too.
    home.editor.press("Save", &[("Only for", "")]).await?;
    refused_at_the_field(&home.editor, "only owners of the workspace give cluster-admin")?;
    home.editor.open(&shown).await?;
    home.editor.press("Pause", &[]).await?;
    home.editor.press("Open it again", &[]).await?;
    ensure!(home.editor.page.status == StatusCode::FORBIDDEN, "{}", home.editor.page.status);
    home.owner.open(&shown).await?;
    home.owner.press("Open it again", &[]).await?;

    let mut visitor = home.house.visitor()?;
    home.house.open_link(&mut visitor, &link, &dave.email).await?;
    visitor.page.sees("do everything on this cluster")?;
    home.alice.open(&format!("{}/members", home.workspace)).await?;
    home.alice.press_in_row(&home.bob.email, "Change role").await?;
    home.alice.press("Save role", &[("Role", "editor")]).await?;
    visitor.press("Accept", &[]).await?;
    ensure!(visitor.page.status == StatusCode::NOT_FOUND, "{}: {}", visitor.page.status, visitor.page.text());
    is_closed(&home.house, &link, &dave.email).await?;
    home.owner.open(&link).await?.sees("its maker is none any more")
}
