//! The pages of workspaces, judged and photographed like the others.

use anyhow::{Context, Result};
use testbed::{Browser, BrowserOptions, Dex, Testbed};

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
    alice: Browser,
    bob: Browser,
}

impl Walk {
    async fn begin() -> Result<Self> {
        let dex = Testbed::shared().await?.new_dex(Dex::builder()).await?;
        let house = House::of(person("alice", &[]).await?, Database::Sqlite, &dex, "").await?;
        let alice = owner(&house, BrowserOptions::for_pages()).await?;
        let bob = Browser::with(BrowserOptions::for_pages()).await?;
        bob.goto(&house.kubelend.url()).await?;
        bob.click("link", "Sign in with Dex").await?;
        bob.sign_in_at_dex(&person("bob", &["platform"]).await?.email).await?;
        bob.find("heading", "Shared with me").await?;
        Ok(Self { studio: Studio::new()?, house, alice, bob })
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.alice.goto(&format!("{}/workspaces/create", self.house.kubelend.url())).await?;
        self.alice.fill("Name", name).await?;
        self.alice.click("button", "Create workspace").await?;
        self.alice.find("heading", name).await.map(drop)
    }

    async fn making(&mut self) -> Result<()> {
        self.bob.follow("link", "Workspaces").await?;
        self.studio.look(&self.bob, "workspaces-guest").await?;
        self.alice.follow("link", "Workspaces").await?;
        self.studio.look(&self.alice, "workspaces-empty").await?;
        self.create("Staging of the shop").await?;
        self.create("Payments").await?;
        self.studio.look(&self.alice, "workspace-empty").await?;
        self.alice.goto(&format!("{}/workspaces/create", self.house.kubelend.url())).await?;
        self.alice.fill("Name", "payments").await?;
        self.alice.click("button", "Create workspace").await?;
        self.alice.see("There is a workspace of that name already.").await?;
        self.studio.look(&self.alice, "create-workspace").await
    }

    async fn clusters(&mut self) -> Result<()> {
        for (workspace, name) in
            [("Payments", "production"), ("Payments", LONG_NAME), ("Staging of the shop", "staging")]
        {
            self.alice.click("link", "Workspaces").await?;
            self.alice.click("link", workspace).await?;
            self.alice.click("link", "Add cluster").await?;
            if name == "staging" {
                self.studio.look(&self.alice, "add-cluster-workspace").await?;
            }
            self.alice.fill("Name", name).await?;
            self.alice.fill("Kubeconfig", &connect(self.house.bed.staging().await?).await?).await?;
            self.alice.click("button", "Add cluster").await?;
            checked(&self.alice).await?;
        }
        self.alice.follow("link", "Clusters").await?;
        self.studio.look(&self.alice, "clusters-workspaces").await
    }

    async fn project(&mut self) -> Result<()> {
        self.alice.click("link", "Payments").await?;
        self.alice.click("link", "Projects").await?;
        self.alice.fill("Name", "Online shop").await?;
        self.alice.fill("Namespace", "shop").await?;
        self.alice.click("button", "Make project").await?;
        self.alice.see("Now on").await?;
        let project = self.alice.url().await?;
        let members = format!("{project}/members");
        self.alice.goto(&members).await?;
        self.studio.look(&self.alice, "project-members-empty").await?;
        self.alice.fill("Name", "bob@acme@example").await?;
        self.alice.click("button", "Add member").await?;
        self.alice.see("is no email address").await?;
        self.studio.look(&self.alice, "project-members-errors").await?;
        for (kind, name, role) in
            [("Person", "bob@acme.example", "editor"), ("Person", LONG_EMAIL, "owner"), ("Group", "sre", "viewer")]
        {
            self.alice.select("Kind", kind).await?;
            self.alice.fill("Name", name).await?;
            self.alice.select("Role", role).await?;
            self.alice.click("button", "Add member").await?;
            row(&self.alice, name).await?;
        }
        self.studio.look(&self.alice, "project-members").await?;
        row(&self.alice, "bob@acme.example").await?.find("button", "Remove").await?.click().await?;
        self.alice.see("from the next page on").await?;
        self.studio.look(&self.alice, "project-members-remove").await?;
        // Whoever is a member of the project alone, and of nothing else.
        self.bob.follow("link", "Shared with me").await?;
        self.studio.look(&self.bob, "shared-project").await?;
        self.bob.follow("link", "Workspaces").await?;
        self.studio.look(&self.bob, "workspaces-project").await?;
        self.bob.click("link", "Online shop").await?;
        self.bob.see("Give access in Online shop").await?;
        self.studio.look(&self.bob, "project-member").await?;
        self.bob.goto(&members).await?;
        self.studio.look(&self.bob, "project-members-seen").await?;
        let (workspace, _) = project.split_once("/projects/").context("the workspace of the project")?;
        self.bob.goto(workspace).await?;
        self.studio.look(&self.bob, "workspace-forbidden").await?;
        self.alice.follow("link", "Workspaces").await.map(drop)
    }

    async fn members(&mut self) -> Result<()> {
        self.alice.click("link", "Payments").await?;
        self.alice.click("link", "Members").await?;
        self.alice.fill("Name", "bob@acme@example").await?;
        self.alice.click("button", "Add member").await?;
        self.alice.see("is no email address").await?;
        self.studio.look(&self.alice, "members-errors").await?;
        for (kind, name, role) in [
            ("Person", "bob@acme.example", "editor"),
            ("Person", LONG_EMAIL, "owner"),
            ("Group", "sre", "viewer"),
            ("Group", "platform", "viewer"),
        ] {
            self.alice.select("Kind", kind).await?;
            self.alice.fill("Name", name).await?;
            self.alice.select("Role", role).await?;
            self.alice.click("button", "Add member").await?;
            row(&self.alice, name).await?;
        }
        self.studio.look(&self.alice, "members").await?;
        row(&self.alice, "bob@acme.example").await?.find("button", "Change role").await?.follow().await?;
        self.studio.look(&self.alice, "members-change").await?;
        row(&self.alice, "bob@acme.example").await?.find("button", "Remove").await?.click().await?;
        self.alice.see("By a group that they are in, they stay a viewer here.").await?;
        self.studio.look(&self.alice, "members-remove").await?;
        self.bob.follow("link", "Workspaces").await?;
        self.studio.look(&self.bob, "workspaces-member").await?;
        self.bob.click("link", "Payments").await?;
        self.bob.follow("link", "Members").await?;
        self.studio.look(&self.bob, "members-editor").await
    }

    async fn inviting(&mut self) -> Result<()> {
        self.alice.follow("link", "Invitations").await?;
        self.studio.look(&self.alice, "invitations-empty").await?;
        self.alice.select("Role", "owner").await?;
        self.alice.click("button", "Create invitation").await?;
        self.alice.see("Say who").await?;
        self.studio.look(&self.alice, "invitations-errors").await?;
        self.alice.fill("Only for", "@acme.example, group:sre").await?;
        self.alice.click("button", "Create invitation").await?;
        let link = self.alice.find("textbox", "Invitation link").await?.value().await?;
        self.studio.look(&self.alice, "invitations").await?;
        self.bob.goto(&link).await?;
        self.bob.see("invites you to Payments").await?;
        self.studio.look(&self.bob, "join").await?;
        self.alice.goto(&link).await?;
        self.alice.see("You are a member of Payments already").await?;
        self.studio.look(&self.alice, "join-already").await
    }

    async fn managing(&mut self) -> Result<()> {
        self.alice.follow("link", "Workspaces").await?;
        self.studio.look(&self.alice, "workspaces").await?;
        self.alice.follow("link", "Payments").await?;
        self.studio.look(&self.alice, "workspace").await?;
        for (tab, name) in [("Activity", "workspace-activity"), ("Settings", "workspace-settings")] {
            self.alice.follow("link", tab).await?;
            self.studio.look(&self.alice, name).await?;
        }
        self.alice.follow("link", "Delete workspace").await?;
        self.studio.look(&self.alice, "workspace-delete").await?;
        self.alice.click("link", "Overview").await?;
        self.alice.click("link", "production").await?;
        self.alice.click("link", "Settings").await?;
        self.alice.click("button", "Move").await?;
        self.alice.see("bob@acme.example: no longer an editor").await?;
        self.studio.look(&self.alice, "cluster-move").await?;
        self.alice.click("button", "Move cluster").await?;
        self.alice.find("link", "Staging of the shop").await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_workspaces_is_accessible_small_and_narrow() -> Result<()> {
    let _turn = turn().await?;
    let mut walk = Walk::begin().await?;
    walk.making().await.context("making")?;
    walk.clusters().await.context("clusters")?;
    walk.project().await.context("project")?;
    walk.members().await.context("members")?;
    walk.inviting().await.context("inviting")?;
    walk.managing().await.context("managing")?;
    walk.studio.verdict()
}
