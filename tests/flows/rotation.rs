//! Kubelend's own token gets the next one: by a button, by itself, and whatever dies in between. Each step seen with real kubectl.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::model::role::Role;
use reqwest::Method;
use testbed::{ControlPlane, HttpFault, Kubectl, Testbed, eventually, fault::Moment};
use tokio::sync::Mutex;

use super::{
    house::{Database, House},
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// An account of the test's own for Kubelend on a shared cluster, which is reached through a proxy.
struct Ground {
    house: House,
    alice: Visitor,
    path: String,
    cluster: &'static ControlPlane,
    proxy: HttpFault,
    admin: Kubectl,
    lender: String,
}

impl Ground {
    async fn new() -> Result<Self> {
        let house = House::open(Database::Postgres).await?;
        let cluster = house.bed.staging().await?;
        let lender = format!("lender-ro-{}", Testbed::shared().await?.unique());
        let admin = cluster.kubectl()?;
        let named = renamed(&kubelend::kubeconfig::least_power_manifest(&Role::NAMES), &lender);
        admin.run_with_input(&["apply", "-f", "-"], &named).await?.ok()?;
        let proxy = HttpFault::start(cluster.server_url(), cluster.ca())?;
        let mut alice = house.owner().await?;
        let token = token_in_secret(&admin, &lender).await?;
        let kubeconfig = cluster.kubeconfig_with_token(&token).replace(cluster.server_url(), &proxy.url());
        let path = house.add_kubeconfig(&mut alice, "rotated", &kubeconfig).await?;
        Ok(Self { house, alice, path, cluster, proxy, admin, lender })
    }

    fn secrets(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.lender)
    }

    fn tokens(&self) -> String {
        format!("/api/v1/namespaces/{0}/serviceaccounts/{0}/token", self.lender)
    }

    /// The Secrets in the namespace.
    async fn standing(&self) -> Result<Vec<String>> {
        let names = ["get", "secrets", "-n", &self.lender, "-o", "name"];
        let out = self.admin.run(&names).await?.ok()?;
        Ok(out.lines().filter_map(|line| line.strip_prefix("secret/")).map(str::to_owned).collect())
    }

    /// Waits until so many stand, and returns them.
    async fn stand(&self, n: usize) -> Result<Vec<String>> {
        eventually("the Secrets to be as wanted", PATIENCE, async || {
            let found = self.standing().await?;
            ensure!(found.len() == n, "{found:?}");
            Ok(found)
        })
        .await
    }

    /// Gives Kubelend the rights that it needs, and waits until they count.
    async fn empower(&self) -> Result<()> {
        let account = format!("{0}/{0}", self.lender).parse()?;
        let manifest = kubelend::kubeconfig::rotation_manifest(&account);
        self.admin.run_with_input(&["apply", "-f", "-"], &manifest).await?.ok()?;
        let it = format!("--as=system:serviceaccount:{0}:{0}", self.lender);
        let question = ["auth", "can-i", "delete", "secrets", "-n", &self.lender, &it];
        eventually("the rights", PATIENCE, async || self.admin.run(&question).await?.ok().map(drop)).await
    }

    /// Presses “Rotate it”.
    async fn rotate(&mut self) -> Result<()> {
        self.alice.open(&format!("{}/credentials", self.path)).await?;
        self.alice.press("Rotate it", &[]).await.map(drop)
    }

    /// Presses it, and kills Kubelend at this moment.
    async fn killed_while_rotating(&mut self, method: Method, path: &str, moment: Moment) -> Result<()> {
        let hold = self.proxy.hold(method, path, moment);
        self.alice.open(&format!("{}/credentials", self.path)).await?;
        tokio::select! {
            answer = self.alice.press("Rotate it", &[]) => {
                anyhow::bail!("it was answered: {:?}", answer.map(super::visitor::Page::text))
            }
            reached = hold.held() => reached?,
        }
        self.house.kubelend.kill9().await?;
        drop(hold);
        self.house.kubelend.restart().await
    }

    /// What waits is not waited for any longer.
    async fn hurry(&self) -> Result<()> {
        self.house.sql("UPDATE own_tokens SET next_attempt = 0 WHERE next_attempt IS NOT NULL").await.map(drop)
    }

    /// Fails unless the cluster does as Kubelend says, with what Kubelend holds now.
    async fn works(&mut self) -> Result<()> {
        let page = format!("{}/access", self.path);
        self.alice.open(&page).await?.sees("made elsewhere")
    }
}

/// What the shown command makes, for another account: nothing of this test is another's.
fn renamed(manifest: &str, name: &str) -> String {
    ["name: ", "namespace: "].iter().fold(manifest.to_owned(), |manifest, key| {
        manifest.replace(&format!("{key}kubelend\n"), &format!("{key}{name}\n"))
    })
}

async fn token_in_secret(admin: &Kubectl, lender: &str) -> Result<String> {
    let template = "go-template={{with .data}}{{with .token}}{{base64decode .}}{{end}}{{end}}";
    eventually("the token", PATIENCE, async || {
        let found = admin.run(&["get", "secret", "kubelend-token", "-n", lender, "-o", template]).await?.ok()?;
        ensure!(!found.is_empty(), "not yet");
        Ok(found)
    })
    .await
}

/// Opens a page until it says this.
async fn says(visitor: &mut Visitor, path: &str, words: &str) -> Result<()> {
    let visitor = Mutex::new(visitor);
    eventually(words, PATIENCE, async || visitor.lock().await.open(path).await?.sees(words)).await
}

/// Waits until the API server does not know a token any more.
async fn is_refused(cluster: &ControlPlane, token: &str) -> Result<()> {
    let kubectl = Kubectl::with_text(&cluster.kubeconfig_with_token(token))?;
    eventually("the token to be dead", PATIENCE, async || {
        let answer = kubectl.run(&["auth", "whoami"]).await?;
        ensure!(answer.stderr.contains("Unauthorized") || answer.stderr.contains("logged in"), "{answer:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn immune_20_a_token_is_rotated_by_hand_and_by_itself_and_the_last_one_answers_401() -> Result<()> {
    let mut ground = Ground::new().await?;
    let credentials = format!("{}/credentials", ground.path);
    let first = token_in_secret(&ground.admin, &ground.lender).await?;
    says(&mut ground.alice, &credentials, "it says nothing of an end").await?;

    // Without the rights nothing is made, and the page says what to apply.
    ground.rotate().await?;
    let page = &ground.alice.page;
    ensure!(page.status == 422, "{}", page.status);
    page.sees("Kubelend may not create serviceaccounts/token in the namespace")?;
    page.sees("name: kubelend-rotation")?;
    ensure!(ground.standing().await? == ["kubelend-token"]);
    ground.empower().await?;

    ground.rotate().await?;
    let page = &ground.alice.page;
    ensure!(page.status.is_success() && page.url.path() == credentials, "{}: {}", page.status, page.text());
    page.sees("Kubelend renews it at half of its life")?;
    is_refused(ground.cluster, &first).await?;
    let second = ground.stand(1).await?;
    ensure!(second[0].starts_with("kubelend-own-"), "{second:?}");
    ground.works().await?;
    let activity = format!("{}/activity", ground.path);
    ground.alice.open(&activity).await?.sees("rotated the credential of")?;
    ground.alice.page.sees("ended a former credential:")?;
    let sealed =
        "SELECT count(*) FROM cluster_credentials WHERE position('eyJhbGciOi' in encode(sealed, 'escape')) > 0";
    ensure!(ground.house.sql(sealed).await?.trim() == "0", "the token is stored in the clear");

    // When half of its life is over, it is renewed by itself.
    ground.house.sql("UPDATE cluster_credentials SET renew_at = 0").await?;
    let third = eventually("the next one", PATIENCE, async || {
        let found = ground.standing().await?;
        ensure!(found.len() == 1 && found != second, "{found:?}");
        Ok(found)
    })
    .await?;
    says(&mut ground.alice, &activity, "Kubelend rotated the credential of").await?;
    ground.works().await?;

    // A right that is taken away is told, and nothing of what is held changes.
    ground.admin.run(&["delete", "role", "kubelend-rotation", "-n", &ground.lender]).await?.ok()?;
    ground.house.sql("UPDATE cluster_credentials SET renew_at = 0").await?;
    says(&mut ground.alice, &ground.path.clone(), "could not be renewed").await?;
    ground.alice.open(&credentials).await?.sees("Kubelend could not renew it: Kubelend may not create")?;
    ensure!(ground.standing().await? == third);
    ground.works().await
}

#[tokio::test]
async fn immune_25_killed_at_any_step_of_rotating_what_is_held_works_and_nothing_is_left() -> Result<()> {
    let mut ground = Ground::new().await?;
    ground.empower().await?;
    let first = token_in_secret(&ground.admin, &ground.lender).await?;
    let (secrets, tokens) = (ground.secrets(), ground.tokens());

    // Before the transaction the first one is held.
    for (method, path, moment, standing) in [
        (Method::POST, &secrets, Moment::BeforeForwarding, 1),
        (Method::POST, &secrets, Moment::AfterAnswer, 2),
        (Method::POST, &tokens, Moment::AfterAnswer, 2),
    ] {
        ground.killed_while_rotating(method, path, moment).await.with_context(|| format!("{path} {moment:?}"))?;
        ensure!(ground.standing().await?.len() == standing, "{:?}", ground.standing().await?);
        ground.works().await?;
        ground.hurry().await?;
        ensure!(ground.stand(1).await? == ["kubelend-token"]);
        eventually("its row to go", PATIENCE, async || {
            let rows = ground.house.sql("SELECT count(*) FROM own_tokens").await?;
            ensure!(rows.trim() == "0", "{rows}");
            Ok(())
        })
        .await?;
    }

    // After it the next one is, and the first one goes all the same.
    let deletion = format!("{secrets}/kubelend-token");
    ground.killed_while_rotating(Method::DELETE, &deletion, Moment::BeforeForwarding).await?;
    ground.works().await?;
    ensure!(ground.standing().await?.len() == 2);
    ground.hurry().await?;
    is_refused(ground.cluster, &first).await?;
    let own = ground.stand(1).await?;
    ensure!(own[0].starts_with("kubelend-own-"), "{own:?}");
    ground.works().await
}
