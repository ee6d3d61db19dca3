//! The pages of access that reaches further than one cluster, judged and photographed like the others.

use anyhow::{Context, Result};
use testbed::{Browser, BrowserOptions, ControlPlane, Dex, Testbed};

use super::{
    checked, owner,
    pages::Studio,
    row, turn,
    walk::{LONG_EMAIL, LONG_NAME, person},
};
use crate::flows::house::{Database, House, connect};

struct Walk {
    studio: Studio,
    house: House,
    /// Where everybody signs in, and where those do who are the workspace's alone.
    providers: [Dex; 2],
    /// Its own: what is given to a group here would reach the people of other tests on a shared one.
    cluster: ControlPlane,
    alice: Browser,
}

impl Walk {
    async fn begin() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let dex = bed.new_dex(Dex::builder()).await?;
        let cluster = ControlPlane::builder("wide").jwt(dex.jwt_issuer()).start(bed.etcd().await?).await?;
        let house = House::of(person("alice", &[]).await?, Database::Sqlite, &dex, "").await?;
        let alice = owner(&house, BrowserOptions::for_pages()).await?;
        let providers = [dex, bed.new_dex(Dex::builder()).await?];
        Ok(Self { studio: Studio::new()?, house, providers, cluster, alice })
    }

    async fn clusters(&mut self) -> Result<()> {
        for name in ["production", LONG_NAME] {
            self.alice.goto(&format!("{}/clusters/add", self.house.kubelend.url())).await?;
            self.alice.fill("Name", name).await?;
            self.alice.fill("Kubeconfig", &connect(&self.cluster).await?).await?;
            self.alice.click("button", "Add cluster").await?;
            checked(&self.alice).await?;
        }
        self.alice.click("link", "Settings").await?;
        self.alice.fill("Labels", "env").await?;
        self.alice.click("button", "Save labels").await?;
        self.alice.see("is no label").await?;
        self.studio.look(&self.alice, "settings-labels").await?;
        self.alice.fill("Labels", "env=prod, team=shop").await?;
        self.alice.click("button", "Save labels").await
    }

    async fn give(&self, kind: &str, name: &str, role: &str, reason: &str) -> Result<()> {
        self.alice.select("Kind", kind).await?;
        self.alice.fill("Name", name).await?;
        self.alice.select("Role", role).await?;
        self.alice.fill("Reason", reason).await?;
        self.alice.click("button", "Grant").await?;
        row(&self.alice, name).await.map(drop)
    }

    async fn everywhere(&mut self) -> Result<()> {
        self.alice.click("link", "Workspaces").await?;
        self.alice.follow("link", "Global access").await?;
        self.studio.look(&self.alice, "global-access-empty").await?;
        self.give("Group", "sre", "admin", "on call").await?;
        self.studio.look(&self.alice, "global-access").await?;
        self.alice.click("link", "sre").await?;
        self.alice.see("on 2 clusters").await?;
        self.studio.look(&self.alice, "federated").await?;
        self.alice.click("link", "Remove").await?;
        self.alice.find("heading", "Remove this access?").await?;
        self.studio.look(&self.alice, "federated-remove").await
    }

    /// What new clusters take over, and one that says otherwise.
    async fn presets(&mut self) -> Result<()> {
        self.alice.click("link", "Workspaces").await?;
        self.alice.follow("link", "Presets").await?;
        self.studio.look(&self.alice, "presets-empty").await?;
        self.alice.fill("Name", "Production").await?;
        self.alice.fill("Labels of the clusters", "env=prod").await?;
        self.alice.fill("Weight", "much").await?;
        self.alice.fill("User name prefix", "system:").await?;
        self.alice.fill("Groups prefix", "acme:").await?;
        self.alice.click("button", "Make preset").await?;
        self.alice.see("Kubernetes keeps names").await?;
        self.studio.look(&self.alice, "presets-errors").await?;
        self.alice.fill("Weight", "10").await?;
        self.alice.fill("User name prefix", "acme:").await?;
        self.alice.click("button", "Make preset").await?;
        self.alice.see("1 cluster, and it says otherwise").await?;
        self.studio.look(&self.alice, "preset").await?;
        self.alice.follow("link", LONG_NAME).await?;
        self.alice.see("which counts for this cluster, says otherwise").await?;
        self.studio.look(&self.alice, "settings-preset").await?;
        self.alice.click("link", "Workspaces").await?;
        self.alice.follow("link", "Presets").await?;
        self.studio.look(&self.alice, "presets").await
    }

    async fn workspace(&mut self) -> Result<()> {
        self.alice.click("link", "Workspaces").await?;
        self.alice.click("link", "Clusters of alice@acme.example").await?;
        self.alice.click("link", "Access").await?;
        self.alice.fill("Name", "oidc:devs").await?;
        self.alice.click("button", "Grant").await?;
        self.alice.see("Leave the prefix out").await?;
        self.studio.look(&self.alice, "workspace-access-errors").await?;
        self.give("User", LONG_EMAIL, "edit", "looks after the payments of the night until the release").await?;
        self.give("Group", "devs", "view", "").await?;
        self.studio.look(&self.alice, "workspace-access").await?;
        self.alice.follow("link", "Projects").await?;
        self.studio.look(&self.alice, "projects-empty").await?;
        self.alice.fill("Name", "Online shop").await?;
        self.alice.fill("Namespace", "shop").await?;
        self.alice.select("On", "clusters with these labels").await?;
        self.alice.click("button", "Make project").await?;
        self.alice.see("Name at least one label").await?;
        self.studio.look(&self.alice, "projects-errors").await?;
        self.alice.fill("Labels", "env=prod").await?;
        self.alice.click("button", "Make project").await?;
        self.alice.see("Now on").await?;
        self.give("Group", "shop-team", "edit", "").await?;
        self.studio.look(&self.alice, "project").await?;
        self.alice.click("link", "shop-team").await?;
        self.alice.see("Namespace shop missing").await?;
        self.studio.look(&self.alice, "federated-namespace-missing").await?;
        self.alice.click("link", "All access there").await?;
        self.alice.find("checkbox", "Make shop where it is missing").await?.click().await?;
        self.alice.click("button", "Save").await?;
        self.alice.see("Where the namespace is missing, Kubelend makes it").await?;
        self.alice.click("link", "Remove project").await?;
        self.alice.see("Online shop goes").await?;
        self.studio.look(&self.alice, "project-remove").await?;
        self.alice.follow("link", "Projects").await?;
        self.studio.look(&self.alice, "projects").await
    }

    async fn groups(&mut self) -> Result<()> {
        self.alice.follow("link", "Groups").await?;
        self.studio.look(&self.alice, "groups-empty").await?;
        self.alice.fill("Name", "On call (everywhere)").await?;
        self.alice.click("button", "Make group").await?;
        self.alice.see("Leave out").await?;
        self.studio.look(&self.alice, "groups-errors").await?;
        self.alice.fill("Name", "On call").await?;
        self.alice.click("button", "Make group").await?;
        self.alice.see("Nobody yet").await?;
        self.studio.look(&self.alice, "group-empty").await?;
        self.alice.fill("Name", "carol@acme@example").await?;
        self.alice.click("button", "Add member").await?;
        self.alice.see("is no email address").await?;
        self.studio.look(&self.alice, "group-errors").await?;
        for (kind, name) in [("Person", "carol@acme.example"), ("Person", LONG_EMAIL), ("Group", "platform")] {
            self.alice.select("Kind", kind).await?;
            self.alice.fill("Name", name).await?;
            self.alice.click("button", "Add member").await?;
            row(&self.alice, name).await?;
        }
        self.alice.click("link", "Access").await?;
        self.give("Kubelend group", "On call", "edit", "the night").await?;
        self.alice.click("link", "On call").await?;
        self.alice.see("6 bindings in force").await?;
        self.studio.look(&self.alice, "federated-group").await?;
        self.alice.click("link", "Kubelend group").await?;
        self.studio.look(&self.alice, "group").await?;
        row(&self.alice, "carol@acme.example").await?.find("button", "Take out").await?.click().await?;
        self.alice.see("By this group they lose at once").await?;
        self.studio.look(&self.alice, "group-remove").await?;
        self.alice.click("link", "All its activity").await?;
        self.studio.look(&self.alice, "group-activity").await?;
        self.alice.click("link", "Back to the group").await?;
        self.alice.click("link", "Rename or delete").await?;
        self.studio.look(&self.alice, "group-settings").await?;
        self.alice.click("link", "Delete group").await?;
        self.alice.find("heading", "Delete On call?").await?;
        self.studio.look(&self.alice, "group-delete").await?;
        self.alice.click("link", "Groups").await?;
        self.studio.look(&self.alice, "groups").await?;
        // One row on a cluster's own page.
        self.alice.click("link", "Clusters").await?;
        self.alice.click("link", "production").await?;
        self.alice.click("link", "Access").await?;
        self.alice.select("Kind", "Kubelend group").await?;
        self.alice.fill("Name", "On call").await?;
        self.alice.select("Role", "cluster-admin").await?;
        self.alice.click("button", "Grant").await?;
        self.alice.see("editors may change who is in this group").await?;
        self.studio.look(&self.alice, "access-group-errors").await?;
        self.alice.select("Role", "view").await?;
        self.alice.click("button", "Grant").await?;
        self.alice.see("3 members").await?;
        self.studio.look(&self.alice, "access-groups").await?;
        self.alice.click("link", "Workspaces").await?;
        self.alice.click("link", "Clusters of alice@acme.example").await
    }

    async fn roles(&mut self) -> Result<()> {
        const YAML: &str = "Or all rules as YAML";
        self.alice.follow("link", "Roles").await?;
        self.studio.look(&self.alice, "custom-roles-empty").await?;
        self.alice.fill("Name", "view").await?;
        self.alice.fill(YAML, "rules: [{verbs: [get]}]").await?;
        self.alice.click("button", "Make role").await?;
        self.alice.see("Line 1, column 9").await?;
        self.studio.look(&self.alice, "custom-roles-errors").await?;
        self.alice.fill("Name", "incident-helper").await?;
        let pods = "- {apiGroups: [\"\"], resources: [pods, pods/log, pods/exec], verbs: [get, list, create]}";
        self.alice
            .fill(YAML, &format!("{pods}\n- {{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}}"))
            .await?;
        self.alice.click("button", "Show what it allows").await?;
        self.alice.see("Nothing is made yet").await?;
        self.studio.look(&self.alice, "custom-roles-preview").await?;
        self.alice.click("button", "Make role").await?;
        self.alice.find("heading", "Who holds it").await?;
        self.alice.follow("link", "Access").await?;
        self.give("Group", "on-call", "incident-helper (custom)", "").await?;
        self.alice.follow("link", "Roles").await?;
        self.studio.look(&self.alice, "custom-roles").await?;
        self.alice.click("link", "incident-helper").await?;
        self.studio.look(&self.alice, "custom-role").await?;
        self.alice
            .fill("Rules as YAML", &format!("{pods}\n- {{apiGroups: [\"\"], resources: [secrets], verbs: [get]}}"))
            .await?;
        self.alice.click("button", "Save rules").await?;
        self.alice.see("Whoever holds it gets more by this").await?;
        self.studio.look(&self.alice, "custom-role-wider").await
    }

    /// A provider of the workspace's own, from nothing to its end; signs alice out.
    async fn providers(&mut self) -> Result<()> {
        self.alice.click("link", "Workspaces").await?;
        self.alice.click("link", "Clusters of alice@acme.example").await?;
        self.alice.follow("link", "Settings").await?;
        self.alice.follow("link", "Providers").await?;
        self.studio.look(&self.alice, "own-providers-empty").await?;
        self.alice.fill("Name", "Partners of Acme").await?;
        self.alice.fill("Issuer", "http://idp.partners.example").await?;
        self.alice.fill("Client id", "kubelend").await?;
        self.alice.fill("Scopes", "email").await?;
        self.alice.click("button", "Add provider").await?;
        self.alice.see("without it there is no ID token").await?;
        self.studio.look(&self.alice, "own-providers-errors").await?;
        let [_, own] = &self.providers;
        self.alice.fill("Issuer", own.issuer()).await?;
        self.alice.fill("Scopes", "openid email groups offline_access").await?;
        self.alice.fill("Certificate of its CA", own.ca_pem()).await?;
        self.alice.click("button", "Add provider").await?;
        self.alice.see("The redirect URI to register").await?;
        let page = self.alice.url().await?;
        self.alice.click("link", "Overview").await?;
        self.alice.click("link", "production").await?;
        self.alice.follow("link", "Settings").await?;
        self.alice.click("button", "Trust Partners of Acme").await?;
        self.alice.find("button", "Stop trusting Partners of Acme").await?;
        self.studio.look(&self.alice, "settings-own-provider").await?;
        self.alice.goto(&page).await?;
        self.studio.look(&self.alice, "own-provider").await?;
        self.alice.follow("link", "Remove provider").await?;
        self.alice.see("This cannot be undone").await?;
        self.studio.look(&self.alice, "own-provider-remove").await?;
        self.alice.click("link", "All providers here").await?;
        self.alice.find("heading", "Providers of this workspace’s own").await?;
        self.studio.look(&self.alice, "own-providers").await?;
        let workspace = page.split('/').nth(4).context("the workspace's id")?.to_owned();
        self.alice.click("button", "Sign out").await?;
        self.alice.find("heading", "You are signed out").await?;
        self.alice.goto(&format!("{}/sign-in?workspace={workspace}", self.house.kubelend.url())).await?;
        self.studio.look(&self.alice, "sign-in-workspace").await
    }

    async fn matrix(&mut self) -> Result<()> {
        self.alice.click("link", "Matrix").await?;
        self.alice.find("heading", "Who can reach what").await?;
        self.studio.look(&self.alice, "matrix").await?;
        self.alice.click("link", "shop-team").await?;
        self.alice.see("namespace shop").await?;
        self.studio.look(&self.alice, "matrix-holder").await?;
        self.alice.goto(&format!("{}/matrix?at=2026-11-01", self.house.kubelend.url())).await?;
        self.alice.see("The record begins on").await?;
        self.studio.look(&self.alice, "matrix-day").await?;
        self.alice.click("link", "Everybody, today").await?;
        self.alice.find("heading", "Matrix of all clusters").await?;
        self.studio.look(&self.alice, "matrix-all").await?;
        self.alice.follow("link", "Workspaces").await?;
        self.alice.follow("link", "Activity").await?;
        self.alice.find("heading", "Activity everywhere").await?;
        self.studio.look(&self.alice, "activity-all").await?;
        self.alice.find("searchbox", "By").await?.fill("nobody").await?;
        self.alice.click("button", "Filter").await?;
        self.alice.see("Nothing fits").await?;
        self.studio.look(&self.alice, "activity-all-nothing").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_wide_access_is_accessible_small_and_narrow() -> Result<()> {
    let _turn = turn().await?;
    let mut walk = Walk::begin().await?;
    walk.clusters().await.context("clusters")?;
    walk.everywhere().await.context("everywhere")?;
    walk.presets().await.context("presets")?;
    walk.workspace().await.context("workspace")?;
    walk.groups().await.context("groups")?;
    walk.roles().await.context("roles")?;
    walk.matrix().await.context("matrix")?;
    walk.providers().await.context("providers")?;
    walk.studio.verdict()
}
