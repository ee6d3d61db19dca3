//! A walk past every page in every state that people meet, with a house, a Dex and a cluster of its own, so that the pictures
//! show the same on every day.

mod accounts;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use testbed::{Browser, BrowserOptions, ControlPlane, Dex, FaultProxy, Person, Testbed, eventually, fault::Fault};

use super::{checked, grant, open_link, owner, pages::Studio, row, share, turn};
use crate::flows::house::{Database, House, connect};

/// An email that is nearly as long as they get.
pub(super) const LONG_EMAIL: &str =
    "wilhelmina.van-der-westhuizen+contractor@platform-engineering.subsidiary.acme.example";
/// As long as a cluster's name may be.
pub(super) const LONG_NAME: &str = "payments-platform-production-europe-west-3-blue-standby-cluster";

/// So few openings of one link that a browser reaches them.
const LIMITS: &str = "\n[limits]\nuses_per_link = 12\n";

struct Walk {
    studio: Studio,
    house: House,
    dex: Dex,
    staging: ControlPlane,
    /// In front of a cluster that answers when it is told to.
    proxy: FaultProxy,
    alice: Browser,
    bob: Browser,
    /// The link to staging.
    link: String,
}

pub(super) async fn person(name: &str, groups: &[&str]) -> Result<Person> {
    let email = if name.contains('@') { name.to_owned() } else { format!("{name}@acme.example") };
    let person = Person::new(&email, name, groups);
    Testbed::shared().await?.directory().await?.put(person.clone())?;
    Ok(person)
}

impl Walk {
    async fn begin() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let dex = bed.new_dex(Dex::builder()).await?;
        let builder = ControlPlane::builder("staging").jwt(dex.jwt_issuer());
        let staging = builder.start(bed.etcd().await?).await?;
        for namespace in ["shop", "payments", "payments-batch-processing-of-the-night"] {
            staging.kubectl()?.run(&["create", "namespace", namespace]).await?.ok()?;
        }
        let foreign =
            ["create", "clusterrolebinding", "legacy-oncall", "--clusterrole=cluster-admin", "--group=oncall"];
        staging.kubectl()?.run(&foreign).await?.ok()?;
        let upstream: SocketAddr = url::Url::parse(staging.server_url())?.socket_addrs(|| None)?[0];
        let proxy = FaultProxy::start(upstream)?;
        let house = House::of(person("alice", &[]).await?, Database::Sqlite, &dex, LIMITS).await?;
        let (alice, bob) = tokio::try_join!(async { Browser::with(BrowserOptions::for_pages()).await }, async {
            // Downloads.
            Browser::with(BrowserOptions::default()).await
        })?;
        Ok(Self { studio: Studio::new()?, house, dex, staging, proxy, alice, bob, link: String::new() })
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.house.kubelend.url())
    }

    async fn add_cluster(&self, name: &str, kubeconfig: &str) -> Result<()> {
        self.alice.goto(&self.address("/clusters/add")).await?;
        self.alice.fill("Name", name).await?;
        self.alice.fill("Kubeconfig", kubeconfig).await?;
        self.alice.click("button", "Add cluster").await?;
        self.alice.find("heading", name).await.map(drop)
    }

    /// Before anybody has signed in.
    async fn outside(&mut self) -> Result<()> {
        self.alice.goto(&self.house.kubelend.url()).await?;
        self.studio.look(&self.alice, "sign-in").await?;
        self.alice.goto(&self.address("/no/such/page")).await?;
        self.studio.look(&self.alice, "not-found").await?;
        self.alice.goto(&self.address("/s/klsl_mistyped")).await?;
        self.studio.look(&self.alice, "landing").await
    }

    async fn clusters(&mut self) -> Result<()> {
        self.alice = owner(&self.house, BrowserOptions::for_pages()).await?;
        self.studio.look(&self.alice, "clusters-empty").await?;
        self.alice.follow("link", "Add cluster").await?;
        self.studio.look(&self.alice, "add-cluster").await?;
        self.alice.fill("Name", "Staging (EU)").await?;
        let refused = "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user:\n    exec:\n      command: aws\n";
        self.alice.fill("Kubeconfig", refused).await?;
        self.alice.click("button", "Add cluster").await?;
        self.alice.find("alert", "").await?;
        self.studio.look(&self.alice, "add-cluster-errors").await?;

        let kubeconfig = connect(&self.staging).await?;
        self.proxy.set(Fault::BlackHole);
        let dead = kubeconfig.replace(self.staging.server_url(), &format!("https://127.0.0.1:{}", self.proxy.port()));
        self.add_cluster(LONG_NAME, &dead).await?;
        self.studio.look(&self.alice, "overview-checking").await?;
        self.alice.see_within("failed", Duration::from_secs(30)).await?;
        self.studio.look(&self.alice, "overview-failed").await?;
        // With a credential that may far too much.
        self.add_cluster("production", self.house.bed.production().await?.admin_kubeconfig_text()).await?;
        self.alice.see("Kubernetes v1.36").await?;
        checked(&self.alice).await?;
        self.alice.follow("link", "Credentials").await?;
        self.alice.see("Exchange it for less").await?;
        self.studio.look(&self.alice, "credentials-exchange").await?;
        self.add_cluster("staging", &kubeconfig).await?;
        self.alice.see("Kubernetes v1.36").await
    }

    async fn access(&mut self) -> Result<()> {
        self.alice.click("link", "Access").await?;
        self.alice.fill("Name", "bob@acme.example").await?;
        self.alice.find("combobox", "Namespaces").await?.fill("Not a namespace!").await?;
        self.alice.follow("button", "Grant").await?;
        self.studio.look(&self.alice, "access-errors").await?;
        self.alice.click("link", "Access").await?;
        let reason = "On call for the release, until the fix for the checkout is out (CHG-2204)";
        for (kind, name, role, namespaces, expires) in [
            ("User", "carol@acme.example", "edit", "payments, shop", "30 days"),
            ("User", "dana@acme.example", "view", "shop", "1 day"),
            ("Group", "devs", "view", "", "no end"),
            ("Group", "sre", "admin", "", "1 year"),
        ] {
            self.alice.fill("Reason", if expires == "30 days" { reason } else { "" }).await?;
            grant(&self.alice, kind, name, role, namespaces, expires).await.with_context(|| name.to_owned())?;
        }
        row(&self.alice, "carol@acme.example").await?.find("link", "Edit").await?.click().await?;
        self.alice.find("heading", "carol@acme.example").await?;
        self.studio.look(&self.alice, "grant").await?;
        self.alice.find("combobox", "Namespaces").await?.fill("Not a namespace!").await?;
        self.alice.follow("button", "Save").await?;
        self.studio.look(&self.alice, "grant-errors").await?;
        self.alice.click("link", "Leave it").await?;
        self.alice.follow("link", "Expires").await?;
        self.studio.look(&self.alice, "access-sorted").await
    }

    /// The share link's way through its maker's and its visitor's hands.
    async fn lending(&mut self) -> Result<()> {
        self.alice.follow("link", "Share links").await?;
        self.studio.look(&self.alice, "links-empty").await?;
        self.alice.fill("Only for", "bob@acme@example").await?;
        self.alice.fill("Uses", "many").await?;
        self.alice.click("button", "Create link").await?;
        self.alice.see("is no email address").await?;
        self.studio.look(&self.alice, "links-errors").await?;
        self.alice.fill("Only for", "@acme.example, @platform-engineering.subsidiary.acme.example, group:sre").await?;
        self.alice.fill("Uses", "25").await?;
        self.alice.fill("Note to the visitor", "For the release on Thursday.\nTell me when you are done.").await?;
        self.alice.click("button", "Create link").await?;
        let link = self.alice.find("textbox", "Share link").await?.value().await?;
        self.studio.look(&self.alice, "link-made").await?;
        self.alice.execute("for (const d of document.querySelectorAll('details')) d.open = true", vec![]).await?;
        self.studio.look(&self.alice, "link-made-open").await?;
        let bob = person("bob", &["platform"]).await?.email;
        self.bob.goto(&self.house.kubelend.url()).await?;
        self.bob.click("link", "Sign in with Dex").await?;
        self.bob.sign_in_at_dex(&bob).await?;
        self.bob.find("heading", "Shared with me").await?;
        self.studio.look(&self.bob, "shared-empty").await?;
        self.bob.follow("link", "Clusters").await?;
        self.studio.look(&self.bob, "clusters-guest").await?;
        self.bob.click("button", "Sign out").await?;
        // An address typed before the answer to a form has come would be overtaken by it.
        self.bob.find("heading", "You are signed out").await?;
        open_link(&self.bob, &link, &bob).await?;
        self.studio.look(&self.bob, "accept").await?;
        self.bob.click("button", "Accept").await?;
        self.bob.find("region", "Connection test").await?;
        self.bob.see("It works").await?;
        self.studio.look(&self.bob, "kubeconfig").await?;
        self.held().await?;
        self.accept(&link, person("carol", &["sre"]).await?).await?;
        self.link = link;
        self.bob.goto(&self.link).await?;
        self.bob.see("yours to use already").await?;
        self.studio.look(&self.bob, "link-yours").await
    }

    /// What bob holds: nothing, then two files, and taking them back.
    async fn held(&mut self) -> Result<()> {
        let here = self.bob.url().await?;
        self.bob.follow("link", "My devices").await?;
        self.studio.look(&self.bob, "own-devices-empty").await?;
        self.bob.goto(&here).await?;
        self.bob.click("link", "Download kubeconfig").await?;
        self.bob.take_download().await?;
        // With scripts a choice is shown at once, and the focus stays on it.
        let formats = self.bob.find_all("radio", None).await?;
        formats.iter().find(|format| format.name.starts_with("kubelogin")).context("a format")?.click().await?;
        self.bob.wait_for_url(|url| url.ends_with("?format=kubelogin")).await?;
        let chosen = self.bob.execute("return document.activeElement.value", vec![]).await?;
        anyhow::ensure!(chosen == "kubelogin", "the focus is on {chosen}");
        self.bob.click("link", "Download kubeconfig").await?;
        let (_, file) = self.bob.take_download().await?;
        anyhow::ensure!(file.contains("oidc-login") && !file.contains("token:"), "{file}");
        self.studio.look(&self.bob, "kubeconfig-kubelogin").await?;
        self.bob.follow("link", "My devices").await?;
        self.studio.look(&self.bob, "own-devices").await?;
        self.bob.follow("link", "Sessions").await?;
        self.studio.look(&self.bob, "sessions").await?;
        self.bob.follow("link", "Claims").await?;
        self.studio.look(&self.bob, "claims").await?;
        self.bob.click("link", "Kubeconfigs").await?;
        self.bob.click("button", "Take all back").await?;
        self.bob.find("heading", "Take all your kubeconfigs back?").await?;
        self.studio.look(&self.bob, "own-devices-revoke").await
    }

    /// Bob asks for more, and alice looks at what waits.
    async fn asking(&mut self) -> Result<()> {
        self.bob.goto(&self.address("/shared")).await?;
        self.bob.follow("link", "Ask for more on staging").await?;
        self.studio.look(&self.bob, "ask").await?;
        self.bob.select("Role", "edit").await?;
        self.bob.select("Where", "Namespaces").await?;
        self.bob.find("combobox", "Namespaces").await?.fill("Not a namespace!").await?;
        self.bob.fill("Reason", "The migration of the shop's database, planned for Thursday night").await?;
        self.bob.follow("button", "Ask").await?;
        self.studio.look(&self.bob, "ask-errors").await?;
        self.bob.find("combobox", "Namespaces").await?.fill("shop").await?;
        self.bob.click("button", "Ask").await?;
        self.bob.see("waits for an answer").await?;
        self.studio.look(&self.bob, "shared-asked").await?;
        self.alice.goto(&self.address("/clusters")).await?;
        self.alice.click("link", "staging").await?;
        self.alice.follow("link", "Access").await?;
        self.alice.follow("link", "Answer").await?;
        self.studio.look(&self.alice, "requests").await?;
        self.alice.follow("link", "Answer").await?;
        self.studio.look(&self.alice, "request").await?;
        self.alice.fill("A word for bob@acme.example", "Not while the freeze lasts. Ask again on Monday.").await?;
        self.alice.click("button", "Decline").await?;
        self.alice.see("Nobody asks").await?;
        self.studio.look(&self.alice, "requests-empty").await
    }

    async fn accept(&self, link: &str, who: Person) -> Result<()> {
        let mut visitor = self.house.visitor()?;
        self.house.open_link(&mut visitor, link, &who.email).await?;
        visitor.press("Accept", &[]).await.map(drop)
    }

    /// What a visitor meets besides.
    async fn guest(&mut self) -> Result<()> {
        self.alice.goto(&self.address("/clusters")).await?;
        self.alice.click("link", "production").await?;
        let link = share(&self.alice, "edit").await?;
        self.bob.goto(&link).await?;
        self.bob.click("button", "Accept").await?;
        // This cluster trusts another Dex.
        self.bob.see("The cluster does not know Dex").await?;
        self.studio.look(&self.bob, "kubeconfig-failed").await?;
        self.bob.execute("for (const d of document.querySelectorAll('details')) d.open = true", vec![]).await?;
        self.studio.look(&self.bob, "kubeconfig-failed-open").await?;
        self.alice.goto(&self.address("/clusters")).await?;
        self.alice.click("link", "production").await?;
        self.alice.see("The cluster does not know Dex").await?;
        self.studio.look(&self.alice, "overview-waits").await?;
        self.bob.follow("link", "Shared with me").await?;
        self.studio.look(&self.bob, "shared").await?;
        self.asking().await?;
        self.bob.click("link", "Leave production").await?;
        self.bob.find("heading", "Leave production?").await?;
        self.studio.look(&self.bob, "leave").await?;
        self.bob.goto(&self.address("/clusters/add")).await?;
        self.studio.look(&self.bob, "forbidden").await?;
        self.bob.goto(&self.address("/s/klsl_mistyped")).await?;
        self.studio.look(&self.bob, "link-closed").await?;
        self.bob.goto(&self.address("/accept/aaaaaaaaaaaaaaaa")).await?;
        self.studio.look(&self.bob, "link-not-opened").await?;
        self.bob.click("button", "Sign out").await?;
        self.bob.find("heading", "You are signed out").await?;
        self.studio.look(&self.bob, "signed-out").await
    }

    async fn managing(&mut self) -> Result<()> {
        for (word, name) in [("nowhere", "clusters-not-found"), ("stag", "clusters-found")] {
            self.alice.goto(&self.address(&format!("/clusters?q={word}"))).await?;
            self.studio.look(&self.alice, name).await?;
        }
        self.alice.follow("link", "All clusters").await?;
        self.studio.look(&self.alice, "clusters").await?;
        self.alice.follow("link", "staging").await?;
        self.studio.look(&self.alice, "overview").await?;
        self.alice.follow("link", "Access").await?;
        self.studio.look(&self.alice, "access").await?;
        self.alice.follow("link", "What each role allows").await?;
        self.studio.look(&self.alice, "roles").await?;
        let edit = format!("{}?role=edit", self.alice.url().await?);
        self.alice.goto(&edit).await?;
        self.studio.look(&self.alice, "role-rules").await?;
        self.alice.follow("link", "Access").await?;
        self.alice.follow("link", "ServiceAccounts").await?;
        self.studio.look(&self.alice, "service-accounts-powerless").await?;
        self.effective().await.context("what somebody can do")?;
        self.alice.follow("link", "Access").await?;
        self.alice.follow("link", "who can do something?").await?;
        self.alice.follow("button", "Ask").await?;
        self.studio.look(&self.alice, "who-can").await?;
        self.accept(&self.link, person(LONG_EMAIL, &[]).await?).await?;
        for (tab, name) in [
            ("Share links", "links"),
            ("Devices", "devices"),
            ("Credentials", "credentials"),
            ("Activity", "activity"),
            ("Settings", "settings"),
        ] {
            self.alice.follow("link", tab).await?;
            self.studio.look(&self.alice, name).await?;
        }
        self.alice.click("link", "Devices").await?;
        self.alice.follow("button", "Take all back").await?;
        self.studio.look(&self.alice, "devices-revoke").await?;
        self.alice.click("link", "Share links").await?;
        self.alice.click("link", "Show link").await?;
        self.alice.click("button", "Pause").await?;
        self.alice.see("It is paused").await?;
        self.studio.look(&self.alice, "link-paused").await?;
        self.alice.goto(&self.link).await?;
        self.alice.see("This is a share link to staging").await?;
        self.studio.look(&self.alice, "link-theirs").await?;
        self.alice.click("link", "See the link").await?;
        self.alice.click("button", "Open it again").await?;
        self.alice.see("It can be accepted").await?;
        self.alice.click("link", "Share links").await?;
        self.alice.click("button", "Revoke").await?;
        self.alice.find("heading", "Revoke this link?").await?;
        self.studio.look(&self.alice, "link-revoke").await?;
        self.alice.click("link", "Access").await?;
        row(&self.alice, "devs").await?.find("button", "Remove").await?.click().await?;
        self.alice.find("button", "Grant again").await?;
        grant(&self.alice, "User", LONG_EMAIL, "edit", "payments-batch-processing-of-the-night, shop", "7 days")
            .await?;
        self.studio.look(&self.alice, "access-long").await
    }

    /// When the provider is gone.
    async fn provider_down(&mut self) -> Result<()> {
        self.dex.stop().await?;
        self.house.kubelend.restart().await?;
        self.bob.goto(&self.address("/sign-in")).await?;
        self.bob.follow("link", "Sign in with Dex").await?;
        self.studio.look(&self.bob, "provider-down").await?;
        eventually("the hint", Duration::from_secs(10), async || {
            self.bob.goto(&self.address("/sign-in")).await?;
            anyhow::ensure!(self.bob.text().await?.contains("did not answer"), "no hint");
            Ok(())
        })
        .await?;
        self.studio.look(&self.bob, "sign-in-down").await
    }

    /// When somebody tries one link too often.
    async fn too_many(&mut self) -> Result<()> {
        let unknown = kubelend::crypto::PlainToken::generate(kubelend::crypto::SHARE_LINK_PREFIX);
        let path = format!("/s/{}", unknown.expose());
        let often = format!(
            "return Promise.all([...Array(20)].map(() => fetch('{path}', {{ redirect: 'manual' }}).then(a => a.status)))"
        );
        eventually("the limit", Duration::from_secs(30), async || {
            self.bob.execute(&often, vec![]).await?;
            self.bob.goto(&self.address(&path)).await?;
            anyhow::ensure!(self.bob.text().await?.contains("Too many at once"), "not yet");
            Ok(())
        })
        .await?;
        self.studio.look(&self.bob, "link-limited").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_small_and_narrow() -> Result<()> {
    let _turn = turn().await?;
    let mut walk = Walk::begin().await?;
    walk.outside().await?;
    walk.clusters().await.context("clusters")?;
    walk.access().await.context("access")?;
    walk.lending().await.context("lending")?;
    walk.guest().await.context("guest")?;
    walk.managing().await.context("managing")?;
    walk.accounts().await.context("ServiceAccounts")?;
    walk.rotated().await.context("rotated")?;
    walk.provider_down().await.context("a provider that is down")?;
    walk.too_many().await.context("too many")?;
    walk.studio.verdict()
}
