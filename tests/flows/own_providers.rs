//! A provider of a workspace's own: adding it, signing in with it by a share link, what its people can on clusters of the workspace and
//! cannot anywhere else, switching it off and on, and removing it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::{
    ControlPlane, Credentials, Dex, Kubectl, Person, Port, Testbed, dex::CLIENT, dex::DIRECT_CLIENT, eventually,
};

use super::{
    house::{Database, House, connect, download},
    scene::{Held, replica},
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_secs(30);
const SIGN_IN: &str = "Sign in with Payments SSO";

struct Scene {
    house: House,
    own: Dex,
    cluster: ControlPlane,
    alice: Visitor,
    /// The workspace's page.
    home: String,
    /// The provider's.
    page: String,
    /// The cluster's.
    lent: String,
}

/// Fills in the form that adds the provider.
async fn add(alice: &mut Visitor, home: &str, issuer: &str, ca: &str, more: &[(&str, &str)]) -> Result<()> {
    alice.open(&format!("{home}/providers")).await?;
    let mut answers = vec![
        ("Name", "Payments SSO"),
        ("Issuer", issuer),
        ("Client id", CLIENT),
        ("Second, public client", DIRECT_CLIENT),
        ("Certificate of its CA", ca),
    ];
    answers.retain(|(label, _)| more.iter().all(|(other, _)| other != label));
    answers.extend(more);
    alice.press("Add provider", &answers).await.map(drop)
}

/// What is wrong is said, and nothing typed is lost.
async fn refused(alice: &mut Visitor, home: &str, words: &str, with: (&str, &str, &[(&str, &str)])) -> Result<()> {
    let (issuer, ca, more) = with;
    add(alice, home, issuer, ca, more).await?;
    ensure!(alice.page.status == 422, "{}: {}", alice.page.status, alice.page.text());
    alice.page.sees(words)?;
    ensure!(alice.page.field("Issuer")? == issuer, "{}", alice.page.field("Issuer")?);
    Ok(())
}

/// The redirect URI that a provider's page shows.
fn redirect_uri(alice: &Visitor) -> Result<String> {
    let text = alice.page.text();
    let uri = text.split_whitespace().find(|word| word.contains("/auth/callback/w-"));
    uri.map(str::to_owned).with_context(|| format!("no redirect URI on {text}"))
}

impl Scene {
    async fn open() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let (dex, own) = (bed.dex().await?, bed.new_dex(Dex::builder()).await?);
        let house = House::open(Database::Postgres).await?;
        let mut alice = house.owner().await?;
        alice.open("/workspaces/create").await?;
        alice.press("Create workspace", &[("Name", "Payments")]).await?;
        let home = alice.page.url.path().to_owned();

        // Nothing is kept that is not right.
        let nobody = format!("https://127.0.0.1:{}/dex", Port::free()?.number());
        let mistakes = [
            ("not https", ("http://idp.example.com", own.ca_pem(), &[][..])),
            ("sign in there already", (dex.issuer(), own.ca_pem(), &[][..])),
            ("It does not answer", (nobody.as_str(), own.ca_pem(), &[][..])),
            ("What answers there is not that provider", (&format!("{}/", own.issuer()), own.ca_pem(), &[][..])),
            ("It does not answer", (own.issuer(), bed.staging().await?.ca_pem(), &[][..])),
            ("That is the client above", (own.issuer(), own.ca_pem(), &[("Second, public client", CLIENT)][..])),
        ];
        for (words, with) in mistakes {
            refused(&mut alice, &home, words, with).await?;
        }
        add(&mut alice, &home, own.issuer(), own.ca_pem(), &[]).await?;
        for words in ["Payments SSO", "payments:", "oidc:payments:"] {
            alice.page.sees(words)?;
        }
        let page = alice.page.url.path().to_owned();
        own.add_redirect_uri(&redirect_uri(&alice)?).await?;
        refused(&mut alice, &home, "has a provider with that issuer already", (own.issuer(), own.ca_pem(), &[]))
            .await?;

        let mut named = own.jwt_issuer();
        (named.username_prefix, named.groups_prefix) = ("payments:".into(), "oidc:payments:".into());
        let cluster = ControlPlane::builder("own").jwt(dex.jwt_issuer()).jwt(named).start(bed.etcd().await?).await?;
        alice.open(&home).await?;
        alice.follow("Add cluster").await?.sees("Payments SSO, of Payments alone")?;
        let kubeconfig = connect(&cluster).await?;
        alice.press("Add cluster", &[("Name", "lent"), ("Kubeconfig", &kubeconfig)]).await?.sees("lent")?;
        let lent = alice.page.url.path().to_owned();
        Ok(Self { house, own, cluster, alice, home, page, lent })
    }

    /// Opens a link and signs in with the workspace's own provider.
    async fn accept(&self, visitor: &mut Visitor, link: &str, who: &Person) -> Result<()> {
        visitor.open(link).await?.does_not_see("Payments")?;
        visitor.follow("Sign in to accept").await?.sees("Sign in with Dex")?;
        visitor.follow(SIGN_IN).await?;
        visitor.sign_in_as(&Credentials::of(&who.email)).await?;
        visitor.press("Accept", &[]).await.map(drop)
    }

    /// Signs in with it at the workspace's address.
    async fn sign_in(&self, visitor: &mut Visitor, email: &str) -> Result<()> {
        let id = self.home.rsplit('/').next().unwrap_or_default();
        visitor.open(&format!("/sign-in?workspace={id}")).await?;
        visitor.follow(SIGN_IN).await?;
        visitor.sign_in_as(&Credentials::of(email)).await.map(drop)
    }

    /// Waits until the cluster lets, or does not let, somebody list pods with a token of its own.
    async fn lists(&self, who: &Person, may: bool) -> Result<()> {
        let token = self.own.tokens_for(CLIENT, &Credentials::of(&who.email)).await?.id_token;
        let kubectl = Kubectl::with_text(&self.cluster.kubeconfig_with_token(&token))?;
        eventually("the bindings", PATIENCE, async || {
            let answer = kubectl.run(&["auth", "can-i", "list", "pods"]).await?;
            ensure!(answer.success() == may, "not yet");
            Ok(())
        })
        .await
    }
}

#[tokio::test]
async fn immune_32_people_of_a_workspaces_own_provider_reach_its_clusters_and_nothing_else() -> Result<()> {
    let mut scene = Scene::open().await?;
    let bed = scene.house.bed;
    let ann = bed.hire("ann", &["devs"]).await?;
    let link = scene.house.share(&mut scene.alice, &scene.lent, &[("Role", "view")]).await?;
    let mut visitor = scene.house.visitor()?;
    visitor.open("/sign-in").await?.does_not_see("Payments SSO")?;
    scene.accept(&mut visitor, &link, &ann).await?;

    // Both kinds of kubeconfig work, under the name that is hers alone.
    let kubeconfig_page = visitor.page.clone();
    let held = Held::new(download(&mut visitor).await?, &scene.house)?;
    held.kubectl.run(&["get", "pods", "-A"]).await?.ok()?;
    let who = held.kubectl.run(&["auth", "whoami"]).await?.ok()?;
    ensure!(who.contains(&format!("payments:{}", ann.email)) && who.contains("oidc:payments:devs"), "{who}");
    visitor.page = kubeconfig_page;
    visitor.press("Choose this format", &[("provider directly", "")]).await?;
    visitor.follow("Download kubeconfig").await?;
    visitor.sign_in_as(&Credentials::of(&ann.email)).await?;
    download(&mut visitor).await?.run(&["get", "pods", "-A"]).await?.ok()?;

    // She becomes a member by her address there, and whose word that address is stands beside it.
    scene.alice.open(&format!("{}/members", scene.home)).await?;
    scene.alice.press("Add member", &[("Name", &ann.email), ("Provider", "Payments SSO")]).await?;
    scene.alice.page.sees("signs in at Payments SSO, the workspace’s own")?;
    visitor.open(&scene.home).await?.sees("Payments")?;

    // The same address at the provider of everybody is another person: with nothing, here and on the cluster.
    let mut other = scene.house.visitor()?;
    other.sign_in(&ann.email).await?;
    ensure!(other.open(&format!("{}/kubeconfig", scene.lent)).await?.status.is_client_error(), "{}", other.page.text());
    let token = bed.dex().await?.tokens_for(CLIENT, &Credentials::of(&ann.email)).await?.id_token;
    let of_dex = Kubectl::with_text(&scene.cluster.kubeconfig_with_token(&token))?;
    let refused = of_dex.run(&["get", "pods"]).await?;
    ensure!(!refused.success() && refused.stderr.contains("Forbidden"), "{}", refused.stderr);

    // And the platform admin's address at the workspace's provider is no platform admin.
    let mut impostor = scene.house.visitor()?;
    scene.sign_in(&mut impostor, &scene.house.alice.email).await?;
    for path in ["/access", "/workspaces/create", "/clusters/add", &scene.home, &scene.page, &scene.lent] {
        let status = impostor.open(path).await?.status;
        ensure!(status.is_client_error(), "{path}: {status}");
    }

    another_workspace_lets_nobody_in(&mut scene, &mut visitor, &ann).await?;
    on_another_replica_at_once(&mut scene, &ann).await?;
    switched_off_and_removed(&mut scene, &mut visitor, &ann, &held, &link).await
}

/// On a cluster of another workspace, whatever its owner has bound there.
async fn another_workspace_lets_nobody_in(scene: &mut Scene, visitor: &mut Visitor, ann: &Person) -> Result<()> {
    let staging = scene.house.bed.staging().await?;
    let alice = &mut scene.alice;
    alice.open("/workspaces/create").await?;
    alice.press("Create workspace", &[("Name", "Shop")]).await?;
    let shop = alice.page.url.path().to_owned();
    alice.follow("Add cluster").await?;
    let kubeconfig = connect(staging).await?;
    alice.press("Add cluster", &[("Name", "theirs"), ("Kubeconfig", &kubeconfig)]).await?.sees("theirs")?;
    let theirs = alice.page.url.path().to_owned();
    for page in [format!("{theirs}/settings"), format!("{theirs}/access"), format!("{shop}/members"), "/access".into()]
    {
        alice.open(&page).await?.does_not_see("Payments SSO")?;
    }
    let name = format!("looks-alike-{}", scene.house.bed.unique());
    let bind = ["create", "clusterrolebinding", &name, "--clusterrole=view", &format!("--user=payments:{}", ann.email)];
    staging.kubectl()?.run(&bind).await?.ok()?;
    let token = scene.own.tokens_for(CLIENT, &Credentials::of(&ann.email)).await?.id_token;
    let refused = Kubectl::with_text(&staging.kubeconfig_with_token(&token))?.run(&["get", "pods"]).await?;
    ensure!(!refused.success() && refused.stderr.contains("logged in"), "{}", refused.stderr);
    for page in [&theirs, &format!("{theirs}/kubeconfig"), &format!("{theirs}/ask"), &shop] {
        let status = visitor.open(page).await?.status;
        ensure!(status.is_client_error(), "{page}: {status}");
    }
    // A move there would end what she has, and says so before.
    let to = shop.rsplit('/').next().unwrap_or_default();
    scene.alice.open(&format!("{}/move?to={to}", scene.lent)).await?;
    scene
        .alice
        .page
        .sees("Payments SSO, a provider of Payments alone, is not trusted there: 1 person of it had access")?;
    // A link to it is not for her, and says no more than to anybody.
    let link = scene.house.share(&mut scene.alice, &theirs, &[("Role", "view")]).await?;
    visitor.open(&link).await?;
    ensure!(visitor.page.fill_fails("Accept"), "{}", visitor.page.text());
    staging.kubectl()?.run(&["delete", "clusterrolebinding", &name]).await?.ok().map(drop)
}

/// A replica that has not read of it yet looks for it.
async fn on_another_replica_at_once(scene: &mut Scene, ann: &Person) -> Result<()> {
    let second = replica(&scene.house, scene.house.bed.dex().await?).await?;
    let id = scene.page.rsplit('/').next().unwrap_or_default().to_owned();
    scene.own.add_redirect_uri(&second.place().callback(&id)).await?;
    let mut visitor = Visitor::new(&second.url(), scene.house.bed.ca().pem())?;
    visitor.open(&format!("/auth/start/{id}?next=/shared")).await?;
    visitor.sign_in_as(&Credentials::of(&ann.email)).await?.sees("lent")?;
    // What is switched off on the one is off on the other, whatever that has read.
    scene.alice.open(&scene.page).await?;
    scene.alice.press("Switch off", &[]).await?.sees("Switched off")?;
    ensure!(visitor.open("/shared").await?.url.path() == "/sign-in", "{}", visitor.page.url);
    scene.alice.press("Switch on", &[]).await?.does_not_see("Switched off")?;
    Ok(())
}

async fn switched_off_and_removed(
    scene: &mut Scene,
    visitor: &mut Visitor,
    ann: &Person,
    held: &Held,
    link: &str,
) -> Result<()> {
    // It was off a moment ago: her session and her file are over, what she was given is not.
    ensure!(visitor.open("/shared").await?.url.path() == "/sign-in", "{}", visitor.page.url);
    held.is_refused("taken back").await?;
    scene.lists(ann, true).await?;
    scene.sign_in(visitor, &ann.email).await?;
    visitor.open("/shared").await?.sees("lent")?;
    scene.alice.open(&scene.page).await?;
    scene.alice.press("Switch off", &[]).await?;
    scene.lists(ann, false).await?;
    scene.alice.open(&scene.page).await?;
    scene.alice.press("Switch on", &[]).await?;
    scene.lists(ann, true).await?;

    // A secret is kept, and never seen again.
    let secret = "hunter2-that-nobody-guesses";
    scene.alice.open(&scene.page).await?;
    scene.alice.press("Save provider", &[("Client secret", secret)]).await?.does_not_see(secret)?;
    scene.alice.page.sees("There is one, which is not shown")?;
    ensure!(scene.house.sql("SELECT count(*) FROM own_providers WHERE sealed_secret IS NOT NULL").await?.trim() == "1");
    scene.alice.open(&format!("{}/activity", scene.home)).await?.sees("with another secret")?;
    scene.alice.page.does_not_see(secret)?;
    ensure!(!scene.house.kubelend.log_tail(usize::MAX).await.contains(secret), "it is in the log");

    // With it goes all that its people have.
    scene.alice.open(&scene.page).await?;
    scene.alice.follow("Remove provider").await?.sees("1 grant")?;
    scene.alice.press("Remove provider", &[]).await?.sees("None yet")?;
    scene.lists(ann, false).await?;
    let gone = visitor.open(&scene.page.replace("/workspaces", "")).await?.status;
    ensure!(gone.is_client_error(), "{gone}");
    let mut stranger = scene.house.visitor()?;
    stranger.open(link).await?;
    stranger.follow("Sign in to accept").await?;
    ensure!(stranger.page.url.origin() != stranger.base.origin(), "Dex is the only choice again");
    Ok(())
}
