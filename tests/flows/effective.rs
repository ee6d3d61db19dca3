//! “What can X do here?” and “who can …?”: the pages say what kubectl says, and by which grant or binding.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use scraper::{Html, Selector};
use testbed::{ControlPlane, Credentials, Kubectl, Person, Testbed, dex::DIRECT_CLIENT};

use super::{
    house::{Database, House},
    refusals::has_a_next_step,
    visitor::Visitor,
};

/// What was just bound is seen within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Namespaces of the test's own on a shared cluster, with bindings that somebody made there with kubectl.
struct Ground {
    cluster: &'static ControlPlane,
    admin: Kubectl,
    shop: String,
    bank: String,
    vault: String,
    bob: Person,
    group: String,
}

impl Ground {
    async fn new() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let n = bed.unique();
        let [shop, bank, vault, group] = ["shop", "bank", "vault", "devs"].map(|name| format!("{name}-can-{n}"));
        let bob = bed.hire("bob", &[&group]).await?;
        let cluster = bed.staging().await?;
        let ground = Self { cluster, admin: cluster.kubectl()?, shop, bank, vault, bob, group };
        for namespace in [&ground.shop, &ground.bank, &ground.vault] {
            ground.kubectl(&["create", "namespace", namespace]).await?;
        }
        let user = format!("--user={}", ground.bob.email);
        ground.kubectl(&["create", "rolebinding", "legacy", "--clusterrole=admin", &user, "-n", &ground.bank]).await?;
        let one = ["create", "role", "one", "--verb=get", "--resource=secrets", "--resource-name=db"];
        ground.kubectl(&[&one[..], &["-n", &ground.vault]].concat()).await?;
        ground.kubectl(&["create", "rolebinding", "one", "--role=one", &user, "-n", &ground.vault]).await?;
        ground.kubectl(&["create", "serviceaccount", "deployer", "-n", &ground.shop]).await?;
        let account = format!("--serviceaccount={}:deployer", ground.shop);
        ground.kubectl(&["create", "rolebinding", "ci", "--clusterrole=edit", &account, "-n", &ground.shop]).await?;
        Ok(ground)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.admin.run(arguments).await?.ok()
    }

    /// kubectl as bob, who signed in at Dex.
    async fn as_bob(&self) -> Result<Kubectl> {
        let dex = Testbed::shared().await?.dex().await?;
        let tokens = dex.tokens_for(DIRECT_CLIENT, &Credentials::of(&self.bob.email)).await?;
        Kubectl::with_text(&self.cluster.kubeconfig_with_token(&tokens.id_token))
    }
}

/// Opens a page until it says all this: a busy cluster may be too slow for one answer.
async fn says(visitor: &mut Visitor, path: &str, words: &[&str]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let text = visitor.open(path).await?.text();
        if words.iter().all(|word| text.contains(word)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "no {words:?} on {path}: {text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Opens a page until a row that holds the first words holds all the others too.
async fn row(visitor: &mut Visitor, path: &str, holding: &str, words: &[&str]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let page = visitor.open(path).await?;
        let rows = page.rows(holding);
        if rows.iter().any(|row| words.iter().all(|word| row.contains(word))) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "no row {holding} with {words:?} on {path}: {rows:?} {}", page.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn what_and_who(database: Database) -> Result<()> {
    let house = House::open(database).await?;
    let ground = Ground::new().await?;
    let Ground { shop, bank, vault, bob, group, .. } = &ground;
    // Bob has signed in once, so his groups are known.
    house.visitor()?.sign_in(&bob.email).await?;
    let mut alice = house.owner().await?;
    let path = house.add_cluster(&mut alice, ground.cluster, "staging").await?;
    for answers in [
        [("Kind", "User"), ("Name", &*bob.email), ("Role", "edit"), ("Where", "Namespaces"), ("Namespaces", shop)],
        [("Kind", "Group"), ("Name", group), ("Role", "view"), ("Where", "The whole cluster"), ("Namespaces", "")],
    ] {
        alice.open(&format!("{path}/access")).await?;
        alice.press("Grant", &answers).await?;
    }

    // From his name on the access page to all that he can do.
    let here = alice.follow(&bob.email).await?.url.to_string();
    let groups = format!("At their last sign-in they were in oidc:{group}");
    says(&mut alice, &here, &["on the whole cluster", &groups]).await?;
    let grant_of_group = format!("the grant of view to {group}");
    row(&mut alice, &here, "see pods", &["yes", &grant_of_group]).await?;
    row(&mut alice, &here, "read Secrets", &["but in", bank, shop, vault, "the grant of edit"]).await?;
    row(&mut alice, &here, "make and delete namespaces", &["no"]).await?;
    let in_vault = alice.follow(vault).await?.url.to_string();
    row(&mut alice, &in_vault, "read Secrets", &["partly: get secrets named db", &format!("RoleBinding {vault}/one")])
        .await?;
    agrees_with_kubectl(&ground, &mut alice, &path).await?;

    // And back: who can do it.
    let who = format!("{path}/who-can?can=read-secrets&ns={shop}");
    row(&mut alice, &who, &bob.email, &["confirmed", "the grant of edit", "get secrets"]).await?;
    row(&mut alice, &who, "deployer", &["ServiceAccount", "confirmed", &format!("RoleBinding {shop}/ci")]).await?;
    ensure!(alice.page.rows(group).is_empty(), "view reads no Secrets: {}", alice.page.text());
    let typed =
        [("Who can", "something else:"), ("Verb", "delete"), ("Resource", "deployments"), ("In namespace", bank)];
    let here = alice.press("Ask", &typed).await?.url.to_string();
    says(&mut alice, &here, &["Who can delete deployments.apps"]).await?;
    row(&mut alice, &here, &bob.email, &["confirmed", &format!("RoleBinding {bank}/legacy")]).await?;

    // A ServiceAccount, by the form.
    alice.open(&format!("{path}/can")).await?;
    let account = format!("{shop}/deployer");
    let about = [("Kind", "ServiceAccount"), ("Name", &account), ("In namespace", shop)];
    let here = alice.press("Ask", &about).await?.url.to_string();
    says(&mut alice, &here, &[&format!("system:serviceaccount:{shop}:deployer")]).await?;
    row(&mut alice, &here, "change workloads", &["yes", &format!("RoleBinding {shop}/ci")]).await?;
    alice.press("Ask", &[("Kind", "ServiceAccount"), ("Name", "deployer")]).await?.sees("shop/deployer")?;

    // It is the access page's business: whoever may not see that one sees nothing here.
    let mut mallory = house.visitor()?;
    mallory.sign_in(&house.bed.hire("mallory", &[]).await?.email).await?;
    for page in ["can", "who-can"] {
        let answer = mallory.open(&format!("{path}/{page}?can=read-secrets")).await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{page}: {}", answer.status);
        has_a_next_step(answer)?;
        answer.does_not_see("staging")?;
    }
    Ok(())
}

/// Question by question the page says what `kubectl auth can-i` says to bob himself.
async fn agrees_with_kubectl(ground: &Ground, alice: &mut Visitor, path: &str) -> Result<()> {
    let kubectl = ground.as_bob().await?;
    for namespace in [&ground.shop, &ground.bank] {
        let here = format!("{path}/can?kind=person&name={}&ns={namespace}", ground.bob.email);
        for (question, verb, what) in [
            ("see pods", "list", "pods"),
            ("read logs", "get", "pods/log"),
            ("run commands in pods", "create", "pods/exec"),
            ("forward ports to pods", "create", "pods/portforward"),
            ("give rights in namespaces", "create", "rolebindings.rbac.authorization.k8s.io"),
            ("do everything", "*", "*.*"),
        ] {
            let (resource, part) = what.split_once('/').unwrap_or((what, ""));
            let part = format!("--subresource={part}");
            let arguments = ["auth", "can-i", verb, resource, &part, "-n", namespace];
            agree(&kubectl, &arguments, alice, &here, question).await?;
        }
    }
    Ok(())
}

/// Asks both until they agree: a binding that was just made is not seen by every request at once.
async fn agree(kubectl: &Kubectl, arguments: &[&str], alice: &mut Visitor, here: &str, question: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let said = kubectl.run(arguments).await?.stdout.trim().to_owned();
        ensure!(said == "yes" || said == "no", "{said}");
        let rows = alice.open(here).await?.rows(question);
        if rows.iter().any(|row| row.split_whitespace().any(|word| word == said)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "kubectl says {said} to {arguments:?}, {here} says {rows:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn what_somebody_can_do_is_what_kubectl_says_and_names_what_gives_it() -> Result<()> {
    what_and_who(Database::Sqlite).await
}

/// The commands that a page shows.
fn commands(page: &str) -> Vec<String> {
    let shown = Selector::parse("pre").unwrap_or_else(|e| panic!("{e}"));
    Html::parse_document(page).select(&shown).map(|pre| pre.text().collect()).collect()
}

#[tokio::test]
async fn a_credential_that_may_not_look_is_told_with_the_command_that_lets_it() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let ground = Ground::new().await?;
    let (shop, bob) = (&ground.shop, &ground.bob.email);
    ground.kubectl(&["create", "serviceaccount", "poor", "-n", shop]).await?;
    let token = ground.kubectl(&["create", "token", "poor", "-n", shop]).await?;
    let mut alice = house.owner().await?;
    let kubeconfig = ground.cluster.kubeconfig_with_token(token.trim());
    let path = house.add_kubeconfig(&mut alice, "staging", &kubeconfig).await?;
    let here = format!("{path}/can?kind=person&name={bob}&ns={}", ground.bank);
    let account = format!("--serviceaccount={shop}:poor");
    let begun = Instant::now();
    let commands = loop {
        let page = alice.open(&here).await?;
        let told = ["Kubelend may not read roles and bindings there", "not known"];
        let shown = if told.iter().all(|words| page.text().contains(words)) { commands(&page.body) } else { vec![] };
        // Who Kubelend is there is known once the cluster was checked.
        if shown.iter().any(|command| command.contains(&account)) {
            break shown;
        }
        ensure!(begun.elapsed() < PATIENCE, "{shown:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    ensure!(commands.len() == 2, "{commands:?}");
    for command in commands {
        ground.admin.shell(&command).await?.ok().context(command)?;
    }
    row(&mut alice, &here, "read Secrets", &["yes", "legacy"]).await?;
    alice.page.does_not_see("may not read roles")?;
    Ok(())
}
