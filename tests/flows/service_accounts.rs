//! ServiceAccounts: made, bound, with kubeconfigs that are renewed and taken back, and their end; each step seen with real kubectl.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::{
    kubeconfig::power_manifest,
    model::{
        id::{LeaseId, ServiceAccountId},
        power::Power,
        role::Role,
    },
};
use reqwest::StatusCode;
use scraper::{Html, Selector};
use testbed::{ControlPlane, Kubectl, Testbed, eventually};

use super::{
    house::{Database, House},
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Two namespaces of the test's own on a shared cluster, and a credential for Kubelend that nobody else uses.
struct Ground {
    cluster: &'static ControlPlane,
    admin: Kubectl,
    n: String,
    shop: String,
    bank: String,
    lender: String,
}

impl Ground {
    async fn new() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let n = bed.unique().to_string();
        let cluster = bed.staging().await?;
        let [shop, bank, lender] = ["shop", "bank", "lender"].map(|name| format!("{name}-sa-{n}"));
        let ground = Self { cluster, admin: cluster.kubectl()?, n, shop, bank, lender };
        for namespace in [&ground.shop, &ground.bank] {
            ground.kubectl(&["create", "namespace", namespace]).await?;
        }
        // What the shown command makes, under another name: what this test lets Kubelend do is no other test's.
        let least = kubelend::kubeconfig::least_power_manifest(&Role::NAMES);
        let named = ["name: ", "namespace: "].iter().fold(least, |manifest, key| {
            manifest.replace(&format!("{key}kubelend\n"), &format!("{key}{}\n", ground.lender))
        });
        ground.apply(&named).await?;
        Ok(ground)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.admin.run(arguments).await?.ok()
    }

    async fn apply(&self, manifest: &str) -> Result<()> {
        self.admin.run_with_input(&["apply", "-f", "-"], manifest).await?.ok().map(drop)
    }

    /// Gives Kubelend the power, under names of the test's own.
    async fn empower(&self) -> Result<()> {
        let manifest = power_manifest(Power::ServiceAccounts, &format!("system:serviceaccount:{0}:{0}", self.lender));
        self.apply(&manifest.replace("kubelend-service-accounts", &format!("power-sa-{}", self.n))).await
    }

    /// Kubelend's kubeconfig.
    async fn kubeconfig(&self) -> Result<String> {
        let token = self.kubectl(&["create", "token", &self.lender, "-n", &self.lender, "--duration=2h"]).await?;
        Ok(self.cluster.kubeconfig_with_token(token.trim()))
    }

    /// Whether an object is there.
    async fn stands(&self, kind: &str, name: &str) -> Result<bool> {
        let found = self.kubectl(&["get", kind, name, "-n", &self.shop, "--ignore-not-found", "-o", "name"]).await?;
        Ok(!found.trim().is_empty())
    }

    /// The Secrets that Kubelend made there.
    async fn secrets(&self) -> Result<usize> {
        let label = "app.kubernetes.io/managed-by=kubelend";
        Ok(self.kubectl(&["get", "secrets", "-n", &self.shop, "-l", label, "-o", "name"]).await?.lines().count())
    }
}

/// Opens a page until it says all this.
async fn says(visitor: &mut Visitor, path: &str, words: &[&str]) -> Result<()> {
    let begun = std::time::Instant::now();
    loop {
        let text = visitor.open(path).await?.text();
        if words.iter().all(|word| text.contains(word)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "no {words:?} on {path}: {text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until this is what kubectl says to whether it may.
async fn may(kubectl: &Kubectl, question: &[&str], wanted: &str) -> Result<()> {
    let arguments = [&["auth", "can-i"], question].concat();
    eventually("the rights to be as given", PATIENCE, async || {
        let answer = kubectl.run(&arguments).await?;
        ensure!(answer.stdout.trim() == wanted, "{question:?}: {} {}", answer.stdout, answer.stderr);
        Ok(())
    })
    .await
}

/// Waits until the API server does not know the token any more.
async fn is_refused(kubectl: &Kubectl) -> Result<()> {
    eventually("the token to be dead", PATIENCE, async || {
        let answer = kubectl.run(&["auth", "whoami"]).await?;
        ensure!(answer.stderr.contains("Unauthorized") || answer.stderr.contains("logged in"), "{answer:?}");
        Ok(())
    })
    .await
}

async fn knows(kubectl: &Kubectl, user: &str) -> Result<()> {
    let said = kubectl.run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]).await?.ok()?;
    ensure!(said.trim() == user, "{said}");
    Ok(())
}

/// The kubeconfig that the page shows, once.
fn shown(visitor: &Visitor) -> Result<String> {
    let pre = Selector::parse("pre#file").map_err(|e| anyhow::anyhow!("{e}"))?;
    let page = Html::parse_document(&visitor.page.body);
    page.select(&pre).next().map(|pre| pre.text().collect()).with_context(|| visitor.page.text())
}

/// A file that a button downloads; the page stays.
async fn download(visitor: &mut Visitor, button: &str) -> Result<Kubectl> {
    let here = visitor.page.clone();
    let body = visitor.press(button, &[]).await?.body.clone();
    let text = visitor.page.text();
    visitor.page = here;
    ensure!(body.starts_with("apiVersion"), "{text}");
    Kubectl::with_text(&body)
}

#[tokio::test]
async fn immune_20_a_service_account_is_made_bound_used_and_every_token_of_it_can_be_ended() -> Result<()> {
    let house = House::open(Database::Postgres).await?;
    let ground = Ground::new().await?;
    let Ground { shop, bank, .. } = &ground;
    let mut alice = house.owner().await?;
    alice.open("/workspaces/create").await?;
    alice.press("Create workspace", &[("Name", &ground.n)]).await?;
    let workspace = alice.page.url.path().to_owned();
    alice.follow("Add cluster").await?;
    let kubeconfig = ground.kubeconfig().await?;
    alice.press("Add cluster", &[("Name", "staging"), ("Kubeconfig", &kubeconfig)]).await?;
    let path = alice.page.url.path().to_owned();
    let all = format!("{path}/service-accounts");

    // Without the power there is no form, but what to run for it.
    says(&mut alice, &all, &["that is a power of its own", "name: kubelend-service-accounts"]).await?;
    ensure!(alice.page.fill_fails("Create"), "{}", alice.page.text());
    ground.empower().await?;
    let kubelend = format!("--as=system:serviceaccount:{0}:{0}", ground.lender);
    may(&ground.admin, &["delete", "secrets", "--all-namespaces", &kubelend], "yes").await?;
    alice.open(&path).await?;
    alice.press("Test again", &[]).await?;
    says(&mut alice, &all, &["Make a ServiceAccount"]).await?;

    // One that somebody else made is left alone.
    alice.open(&all).await?;
    alice.press("Create", &[("Namespace", shop), ("Name", "default")]).await?;
    let address = alice.page.url.path().to_owned();
    says(&mut alice, &address, &["It was left alone"]).await?;
    alice.open(&format!("{address}/delete")).await?;
    alice.press("Delete", &[]).await?;
    says(&mut alice, &all, &["Those that others made", "None yet"]).await?;
    ensure!(ground.stands("serviceaccount", "default").await?);

    alice.press("Create", &[("Namespace", shop), ("Name", "Deployer")]).await?;
    alice.page.sees("lower-case letters")?;
    alice.press("Create", &[("Namespace", shop), ("Name", "deployer")]).await?;
    let here = alice.page.url.path().to_owned();
    says(&mut alice, &here, &["stands on the cluster", "Nobody holds one"]).await?;
    let user = format!("system:serviceaccount:{shop}:deployer");
    let answers = [("Role", "view"), ("Where", "Namespaces"), ("Namespaces", shop)];
    alice.press("Grant", &answers).await?.sees(&format!("{shop}/deployer"))?;
    let subjects = "jsonpath={.items[*].subjects[*]['kind','namespace','name']}";
    let bound = ["get", "rolebindings", "-n", shop, "-o", subjects];
    eventually("the binding", PATIENCE, async || {
        let found = ground.kubectl(&bound).await?;
        ensure!(found.contains(&format!("ServiceAccount {shop} deployer")), "{found}");
        Ok(())
    })
    .await?;

    // A kubeconfig, shown once and kept nowhere.
    let page = alice.open(&here).await?.clone();
    alice.press("Show it", &[("Lasts", "10 minutes")]).await?.sees("It is shown here once")?;
    let file = shown(&alice)?;
    let first = Kubectl::with_text(&file)?;
    knows(&first, &user).await?;
    may(&first, &["list", "pods", "-n", shop], "yes").await?;
    may(&first, &["list", "pods", "-n", bank], "no").await?;
    may(&first, &["get", "secrets", "-n", shop], "no").await?;
    let token = file.split("token: ").nth(1).context("a token")?.trim().to_owned();
    let kept = format!(
        "SELECT (SELECT count(*) FROM leases l WHERE l::text LIKE '%{0}%') + (SELECT count(*) FROM service_accounts a WHERE a::text LIKE '%{0}%') + (SELECT count(*) FROM audit_events e WHERE e::text LIKE '%{0}%')",
        token.rsplit('.').next().unwrap_or(&token)
    );
    ensure!(house.sql(&kept).await?.trim() == "0", "the token is stored");
    // The same form once more makes no second token.
    alice.page = page;
    alice.press("Show it", &[("Lasts", "10 minutes")]).await?.sees("a token is shown once")?;
    ensure!(alice.page.status == StatusCode::UNPROCESSABLE_ENTITY && ground.secrets().await? == 1);
    says(&mut alice, &here, &["10 minutes", "good"]).await?;

    // A newer one beside it; the older goes on, and each is taken back by itself.
    let second = download(&mut alice, "Renew").await?;
    knows(&second, &user).await?;
    knows(&first, &user).await?;
    ensure!(ground.secrets().await? == 2);
    alice.open(&here).await?;
    alice.press("Revoke", &[]).await?.sees("revoked")?;
    is_refused(&second).await?;
    knows(&first, &user).await?;
    ensure!(ground.secrets().await? == 1);

    handing_out(&house, &ground, &mut alice, &workspace, &here).await?;
    crashed(&house, &ground, &mut alice, &here).await?;

    // Its end takes all of it along, and nothing else.
    alice.open(&here).await?;
    alice.press("Delete this ServiceAccount", &[]).await?.sees("every kubeconfig of it ends")?;
    alice.press("Delete", &[]).await?;
    eventually("it to be gone", PATIENCE, async || {
        ensure!(!ground.stands("serviceaccount", "deployer").await? && ground.secrets().await? == 0);
        ensure!(!ground.kubectl(&bound).await?.contains("deployer"), "the binding stands");
        Ok(())
    })
    .await?;
    is_refused(&first).await?;
    ensure!(ground.stands("serviceaccount", "default").await?);
    removed(&ground, &mut alice, &path).await
}

/// An editor hands out what editors could give, and nothing that amounts to owning the cluster.
async fn handing_out(house: &House, ground: &Ground, alice: &mut Visitor, workspace: &str, here: &str) -> Result<()> {
    let eve = house.bed.hire("eve", &[]).await?;
    alice.open(&format!("{workspace}/members")).await?;
    alice.press("Add member", &[("Kind", "Person"), ("Name", &eve.email), ("Role", "editor")]).await?;
    let mut editor = house.visitor()?;
    editor.sign_in(&eve.email).await?;
    editor.open(here).await?;
    download(&mut editor, "Download kubeconfig").await?;
    let binding = format!("owns-sa-{}", ground.n);
    let account = format!("--serviceaccount={}:deployer", ground.shop);
    ground.kubectl(&["create", "clusterrolebinding", &binding, "--clusterrole=cluster-admin", &account]).await?;
    let it = format!("--as=system:serviceaccount:{}:deployer", ground.shop);
    may(&ground.admin, &["*", "*", &it], "yes").await?;
    editor.open(here).await?;
    editor.press("Download kubeconfig", &[]).await?.sees("only owners of the workspace get a token of it")?;
    ensure!(editor.page.status == StatusCode::UNPROCESSABLE_ENTITY);
    alice.open(here).await?;
    download(alice, "Download kubeconfig").await?;
    ground.kubectl(&["delete", "clusterrolebinding", &binding]).await?;

    let mut mallory = house.visitor()?;
    mallory.sign_in(&house.bed.hire("mallory", &[]).await?.email).await?;
    for page in [here, &format!("{here}/delete")] {
        ensure!(mallory.open(page).await?.status == StatusCode::FORBIDDEN);
    }
    Ok(())
}

/// What a process leaves that dies while it makes a token: a row that waits, and a Secret, by whose name alone it is found.
async fn crashed(house: &House, ground: &Ground, alice: &mut Visitor, here: &str) -> Result<()> {
    let account: ServiceAccountId = here.rsplit('/').next().context("an id")?.parse()?;
    let lease = LeaseId::new();
    let secret = format!("kubelend-{lease}");
    ground.kubectl(&["create", "secret", "generic", &secret, "-n", &ground.shop]).await?;
    let row = format!(
        "INSERT INTO leases (id, account_id, lasts, created_by, created_at, expires_at) \
         SELECT '{lease}', id, 3600000, created_by, created_at, created_at FROM service_accounts WHERE id = '{account}'"
    );
    house.sql(&row).await?;
    eventually("what was left to be cleared away", PATIENCE, async || {
        ensure!(!ground.stands("secret", &secret).await?);
        Ok(())
    })
    .await?;
    says(alice, here, &["was not handed out"]).await
}

/// A cluster that is removed with Kubelend's bindings loses Kubelend's ServiceAccounts as well.
async fn removed(ground: &Ground, alice: &mut Visitor, path: &str) -> Result<()> {
    alice.open(&format!("{path}/service-accounts")).await?;
    alice.press("Create", &[("Namespace", &ground.shop), ("Name", "cron")]).await?;
    let here = alice.page.url.path().to_owned();
    says(alice, &here, &["stands on the cluster"]).await?;
    alice.open(&format!("{path}/settings")).await?;
    alice.press("Remove cluster", &[]).await?;
    eventually("its ServiceAccount to be gone", PATIENCE, async || {
        ensure!(!ground.stands("serviceaccount", "cron").await?);
        Ok(())
    })
    .await
}
