//! Roles that somebody has defined on a cluster: what they are given by is what their rules are, then and there, whatever their name and
//! their labels; each tried with real kubectl as the person, on a cluster of the test's own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::kubeconfig::OWN_ACCOUNT;
use testbed::{Kubectl, eventually};

use super::{
    house::Database,
    roles::{Home, PATIENCE, may, press_with_role, refused_at_the_field},
    visitor::Visitor,
};

const LABEL: &str = "kubelend.io/assignable=true";

/// A cluster with a namespace `shop`, and kubectl there.
struct Ground {
    home: Home,
}

impl Ground {
    async fn open(database: Database, name: &str) -> Result<Self> {
        let ground = Self { home: Home::open(database, name).await? };
        ground.kubectl(&["create", "namespace", "shop"]).await?;
        Ok(ground)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.home.kubectl.run(arguments).await?.ok()
    }

    async fn apply(&self, manifest: &str) -> Result<()> {
        self.home.kubectl.run_with_input(&["apply", "-f", "-"], manifest).await?.ok().map(drop)
    }

    /// A ClusterRole that may be given, and that Kubelend may bind.
    async fn cluster_role(&self, name: &str, rights: &[&str]) -> Result<()> {
        self.kubectl(&[&["create", "clusterrole", name], rights].concat()).await?;
        self.kubectl(&["label", "clusterrole", name, LABEL]).await?;
        self.may_bind(name).await
    }

    async fn may_bind(&self, name: &str) -> Result<()> {
        let (role, user) = (format!("kubelend-binds-{name}"), format!("--user={OWN_ACCOUNT}"));
        let resource = "--resource=clusterroles.rbac.authorization.k8s.io";
        let names = format!("--resource-name={name}");
        self.kubectl(&["create", "clusterrole", &role, "--verb=bind", resource, &names]).await?;
        self.kubectl(&["create", "clusterrolebinding", &role, &format!("--clusterrole={role}"), &user]).await.map(drop)
    }
}

async fn grant(visitor: &mut Visitor, page: &str, answers: &[(&str, &str)]) -> Result<()> {
    visitor.open(page).await?;
    visitor.press("Grant", answers).await.map(drop)
}

/// Opens the page until the row says this.
async fn row_says(visitor: &mut Visitor, page: &str, row: &str, words: &str) -> Result<()> {
    let begun = tokio::time::Instant::now();
    loop {
        let rows = visitor.open(page).await?.rows(row);
        if rows.iter().any(|row| row.contains(words)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "“{words}” in {rows:?}: {}", visitor.page.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn in_force(visitor: &Visitor, who: &str, role: &str) -> Result<()> {
    let row = visitor.page.rows(who).pop().with_context(|| visitor.page.text())?;
    ensure!(row.contains(role) && row.contains("in force"), "{row}");
    Ok(())
}

#[tokio::test]
async fn immune_28_a_role_is_given_for_what_its_rules_are_and_not_for_its_name_or_label() -> Result<()> {
    let mut ground = Ground::open(Database::Sqlite, "ledger").await?;
    let bed = ground.home.house.bed;
    let (carol, dave) = (bed.hire("carol", &[]).await?, bed.hire("dave", &[]).await?);
    ground.cluster_role("log-reader", &["--verb=get,list", "--resource=pods,pods/log"]).await?;
    ground.cluster_role("node-reader", &["--verb=get,list", "--resource=nodes"]).await?;
    ground.cluster_role("climber", &["--verb=escalate,bind", "--resource=roles.rbac.authorization.k8s.io"]).await?;
    ground.cluster_role("masked", &["--verb=*", "--resource=secrets"]).await?;
    let (access, links, path) = (ground.home.access(), ground.home.links(), ground.home.path.clone());

    // Within admin: whoever manages access gives it. By label: only what admin may, too.
    let as_carol = ground.home.kubectl_as(&carol).await?;
    grant(&mut ground.home.editor, &access, &[("Name", &carol.email), ("Role", "log-reader")]).await?;
    in_force(&ground.home.editor, &carol.email, "log-reader")?;
    may(&as_carol, true, &["get", "pods", "--subresource=log", "-n", "shop"]).await?;
    for (role, words) in [
        ("role:node-reader", "reaches further than admin does here (get nodes, list nodes)"),
        ("role:climber", "reaches further than admin does here"),
        ("role:masked", "reaches further than admin does here (* secrets)"),
        ("role:*", "A role's name has letters"),
        ("role:log-*", "A role's name has letters"),
        ("role:system:node", "given to nobody"),
        ("role:log-reader ", "A role's name has letters"),
    ] {
        let editor = &mut ground.home.editor;
        editor.open(&access).await?;
        press_with_role(editor, "Grant", role, &[("Name", &dave.email)]).await?;
        refused_at_the_field(editor, words).with_context(|| role.to_owned())?;
        // Nor by a link.
        editor.open(&links).await?;
        press_with_role(&mut ground.home.editor, "Create link", role, &[]).await?;
        refused_at_the_field(&ground.home.editor, words).with_context(|| role.to_owned())?;
    }
    for never in ["climber", "masked"] {
        ensure!(!ground.home.editor.page.body.contains(&format!(r#"value="role:{never}""#)), "{never} is offered");
    }
    // In namespaces no node is anybody's.
    let shop = [("Name", &*dave.email), ("Where", "Namespaces"), ("Namespaces", "shop")];
    ground.home.editor.open(&access).await?;
    press_with_role(&mut ground.home.editor, "Grant", "role:node-reader", &shop).await?;
    in_force(&ground.home.editor, &dave.email, "node-reader")?;

    // Owners vouch for what reaches further.
    let as_dave = ground.home.kubectl_as(&dave).await?;
    may(&as_dave, false, &["get", "nodes"]).await?;
    grant(&mut ground.home.owner, &access, &[("Name", &dave.email), ("Role", "node-reader")]).await?;
    may(&as_dave, true, &["get", "nodes"]).await?;
    an_owners_link(&mut ground).await?;

    // Its rules before it is given.
    let rules = format!("{path}/roles?role=role%3Aclimber");
    let page = ground.home.editor.open(&rules).await?;
    page.sees("Leads further than it says")?;
    page.sees("only owners of the workspace give it")?;
    page.sees("escalate roles.rbac.authorization.k8s.io")?;
    page.sees("kind: ClusterRole")?;
    ground.home.editor.open(&format!("{path}/roles")).await?.sees("log-reader")?;

    // Under the same name it becomes another one: said at once, and what was bound is not bound again.
    ground.kubectl(&["delete", "clusterrole", "log-reader"]).await?;
    ground.kubectl(&["create", "clusterrole", "log-reader", "--verb=*", "--resource=*.*"]).await?;
    ground.kubectl(&["label", "clusterrole", "log-reader", LABEL]).await?;
    row_says(&mut ground.home.owner, &access, &carol.email, "reaches further than admin by now").await?;
    let binding = "jsonpath={.items[?(@.roleRef.name=='log-reader')].metadata.name}";
    let binding = ground.kubectl(&["get", "clusterrolebindings", "-o", binding]).await?;
    ground.kubectl(&["delete", "clusterrolebinding", binding.trim()]).await?;
    row_says(&mut ground.home.owner, &access, &carol.email, "no owner has vouched for that").await?;
    may(&as_carol, false, &["get", "pods", "--subresource=log", "-n", "shop"]).await
}

/// It gives what only owners give, so it is theirs to hand on.
async fn an_owners_link(ground: &mut Ground) -> Result<()> {
    let path = ground.home.path.clone();
    let home = &mut ground.home;
    home.house.share(&mut home.owner, &path, &[("Role", "node-reader")]).await?;
    let shown = home.owner.page.url.path().to_owned();
    home.owner.page.sees("what that allows")?;
    home.editor.open(&shown).await?.sees("its address is shown to them alone")?;
    home.editor.press("Pause", &[]).await?;
    home.editor.press("Open it again", &[]).await?;
    ensure!(home.editor.page.status == reqwest::StatusCode::FORBIDDEN, "{}", home.editor.page.status);
    Ok(())
}

#[tokio::test]
async fn immune_28_a_role_made_of_others_is_what_they_add_up_to_and_its_growth_is_shown() -> Result<()> {
    let mut ground = Ground::open(Database::Postgres, "sum").await?;
    let carol = ground.home.house.bed.hire("carol", &[]).await?;
    let access = ground.home.access();
    ground
        .apply(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: team\n  labels:\n    \
             component: userClusterRole\naggregationRule:\n  clusterRoleSelectors:\n  - matchLabels:\n      team: 'yes'\nrules: []\n",
        )
        .await?;
    ground.may_bind("team").await?;
    part(&ground, "team-pods", "pods").await?;
    grant(&mut ground.home.editor, &access, &[("Name", &carol.email), ("Role", "team")]).await?;
    in_force(&ground.home.editor, &carol.email, "team")?;
    ground
        .home
        .editor
        .open(&format!("{}/roles?role=role%3Ateam", ground.home.path))
        .await?
        .sees("made of the rules of other")?;
    // What admin may as well is growth all the same, and what it may not is no editor's to give again.
    part(&ground, "team-secrets", "secrets").await?;
    row_says(&mut ground.home.editor, &access, &carol.email, "allows more than when it was given: get secrets").await?;
    part(&ground, "team-nodes", "nodes").await?;
    row_says(&mut ground.home.editor, &access, &carol.email, "reaches further than admin by now").await?;
    press_with_role(&mut ground.home.editor, "Grant", "role:team", &[("Name", "eve@example.com")]).await?;
    refused_at_the_field(&ground.home.editor, "reaches further than admin does here (get nodes)")
}

/// One more ClusterRole that it is made of.
async fn part(ground: &Ground, name: &str, resource: &str) -> Result<()> {
    ground.kubectl(&["create", "clusterrole", name, "--verb=get", &format!("--resource={resource}")]).await?;
    ground.kubectl(&["label", "clusterrole", name, "team=yes"]).await?;
    eventually("the rules to be added up", PATIENCE, async || {
        let rules = ground.kubectl(&["get", "clusterrole", "team", "-o", "jsonpath={.rules}"]).await?;
        ensure!(rules.contains(resource), "{rules}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespaces_own_role_is_given_where_it_is_and_bound_as_one() -> Result<()> {
    let mut ground = Ground::open(Database::Sqlite, "shops").await?;
    let carol = ground.home.house.bed.hire("carol", &[]).await?;
    let access = ground.home.access();
    ground.kubectl(&["-n", "shop", "create", "role", "config-reader", "--verb=get", "--resource=configmaps"]).await?;
    ground.kubectl(&["-n", "shop", "label", "role", "config-reader", LABEL]).await?;
    let (owner, name) = (&mut ground.home.owner, ("Name", &*carol.email));
    let role = ("Role", "Role config-reader in shop");
    grant(owner, &access, &[name, role]).await?;
    refused_at_the_field(owner, "A Role is a namespace's own")?;
    grant(owner, &access, &[name, role, ("Where", "Namespaces"), ("Namespaces", "default")]).await?;
    refused_at_the_field(owner, "The namespace default has no Role config-reader")?;
    let shop = [name, role, ("Where", "Namespaces"), ("Namespaces", "shop")];
    grant(owner, &access, &shop).await?;
    refused_at_the_field(owner, "Kubelend may not bind the Role config-reader there yet")?;
    // What the page says to run is run as it stands.
    let text = owner.page.text();
    let command = text.split_once("lets it: ").context("a command")?.1;
    let command: String = command.split_inclusive("--namespace shop").take(2).collect();
    for one in command.split(" && ") {
        let words: Vec<&str> = one.split_whitespace().skip(1).collect();
        ground.home.kubectl.run(&words).await?.ok()?;
    }
    grant(owner, &access, &shop).await?;
    in_force(owner, &carol.email, "Role config-reader")?;
    let bound =
        ["-n", "shop", "get", "rolebindings", "-o", "jsonpath={.items[*].roleRef.kind} {.items[*].roleRef.name}"];
    let bound = ground.kubectl(&bound).await?;
    ensure!(bound.contains("Role") && bound.contains("config-reader"), "{bound}");
    let as_carol: Kubectl = ground.home.kubectl_as(&carol).await?;
    may(&as_carol, true, &["get", "configmaps", "-n", "shop"]).await?;
    may(&as_carol, false, &["get", "configmaps", "-n", "default"]).await?;
    let rules = format!("{}/roles?role=local%3Aconfig-reader&ns=shop", ground.home.path);
    ground.home.owner.open(&rules).await?.sees("Role config-reader of namespace shop")?;
    ground.home.owner.page.sees("kind: Role")?;
    // Taken out of what may be given, it is said.
    ground.kubectl(&["-n", "shop", "label", "role", "config-reader", "kubelend.io/assignable-"]).await?;
    row_says(&mut ground.home.owner, &access, &carol.email, "not marked as one to give any more").await?;
    ground.home.owner.press_in_row(&carol.email, "Remove").await?;
    may(&as_carol, false, &["get", "configmaps", "-n", "shop"]).await
}
