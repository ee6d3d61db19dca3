//! ServiceAccounts and what somebody can do: pages of a cluster for which its credential has a power more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::{
    kubeconfig::{power_manifest, rotation_manifest},
    model::power::Power,
};
use testbed::eventually;

use super::Walk;
use crate::browser::checked;

/// Who Kubelend is on a cluster that was added with the shown command.
const KUBELEND: &str = "system:serviceaccount:kubelend:kubelend";

impl Walk {
    /// What the group can do that somebody bound with kubectl.
    pub(super) async fn effective(&mut self) -> Result<()> {
        self.alice.follow("link", "Access").await?;
        self.alice.follow("link", "oncall").await?;
        self.studio.look(&self.alice, "can").await
    }

    /// An account that is made, hands out kubeconfigs and goes.
    pub(super) async fn accounts(&mut self) -> Result<()> {
        let manifest = power_manifest(Power::ServiceAccounts, KUBELEND);
        self.staging.kubectl()?.run_with_input(&["apply", "-f", "-"], &manifest).await?.ok()?;
        self.alice.goto(&self.address("/clusters")).await?;
        self.alice.follow("link", "staging").await?;
        self.alice.follow("button", "Test again").await?;
        checked(&self.alice).await?;
        self.every_account().await?;
        self.alice.find("combobox", "Namespace").await?.fill("shop").await?;
        self.alice.fill("Name", "Deployer").await?;
        self.alice.follow("button", "Create").await?;
        self.alice.see("lower-case letters").await?;
        self.studio.look(&self.alice, "service-accounts-errors").await?;
        self.alice.fill("Name", "deployer").await?;
        self.alice.follow("button", "Create").await?;
        self.alice.see("stands on the cluster").await?;
        self.alice.select("Role", "edit").await?;
        self.alice.follow("button", "Grant").await?;
        self.every_account().await?;
        self.alice.follow("link", "shop/deployer").await?;
        for _ in 0..2 {
            self.alice.follow("button", "Show it").await?;
            self.alice.see("It is shown here once").await?;
            self.alice.follow("link", "Back to shop/deployer").await?;
        }
        self.alice.follow("button", "Show it").await?;
        // No picture of a token, even of one that is over.
        let hide = "const file = document.querySelector('pre#file');
            file.textContent = file.textContent.replace(/token: .*/, 'token: eyJhbGciOiJSUzI1NiIsImtpZCI6…');";
        self.alice.execute(hide, vec![]).await?;
        self.studio.look(&self.alice, "service-account-token").await?;
        self.alice.follow("link", "Back to shop/deployer").await?;
        let revoke = self.alice.find_all("button", Some("Revoke")).await?;
        revoke.first().context("three kubeconfigs")?.follow().await?;
        self.alice.see("revoked").await?;
        self.studio.look(&self.alice, "service-account").await?;
        self.every_account().await?;
        self.studio.look(&self.alice, "service-accounts").await?;
        self.alice.follow("link", "shop/deployer").await?;
        self.alice.follow("button", "Delete this ServiceAccount").await?;
        self.studio.look(&self.alice, "service-account-delete").await
    }

    /// Kubelend's own credential, which it may not rotate at first.
    pub(super) async fn rotated(&mut self) -> Result<()> {
        let role = ["delete", "clusterrolebinding", "kubelend-service-accounts"];
        self.staging.kubectl()?.run(&role).await?.ok()?;
        self.may_delete_secrets("no").await?;
        self.alice.follow("link", "Credentials").await?;
        self.alice.follow("button", "Rotate it").await?;
        self.alice.see("Kubelend may not create").await?;
        self.studio.look(&self.alice, "credentials-rotate-refused").await?;
        let manifest = rotation_manifest(&"kubelend/kubelend".parse()?);
        self.staging.kubectl()?.run_with_input(&["apply", "-f", "-"], &manifest).await?.ok()?;
        self.may_delete_secrets("yes").await?;
        self.alice.follow("button", "Rotate it").await?;
        self.alice.see("Kubelend renews it at half of its life").await?;
        self.studio.look(&self.alice, "credentials-rotated").await
    }

    /// A right counts, or no longer counts, a moment after it was given or taken.
    async fn may_delete_secrets(&self, wanted: &str) -> Result<()> {
        let kubectl = self.staging.kubectl()?;
        let it = format!("--as={KUBELEND}");
        let question = ["auth", "can-i", "delete", "secrets", "-n", "kubelend", &it];
        eventually("the right", Duration::from_secs(20), async || {
            let said = kubectl.run(&question).await?.stdout;
            ensure!(said.trim() == wanted, "{said}");
            Ok(())
        })
        .await
    }

    async fn every_account(&self) -> Result<()> {
        self.alice.follow("link", "Access").await?;
        self.alice.follow("link", "ServiceAccounts").await
    }
}
