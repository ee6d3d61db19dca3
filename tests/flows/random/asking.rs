//! Doing it, through the pages.

use anyhow::{Context, Result, bail};
use kubelend::model::id::ShareLinkId;
use reqwest::StatusCode;

use super::{
    super::visitor::Visitor,
    model::{Model, Reach, To, Who},
    operations::{Answer, Operation, World},
};

/// What the forms are told of a scope: “Where” and “Namespaces”.
fn place(namespaces: &[String]) -> (&'static str, String) {
    (if namespaces.is_empty() { "cluster" } else { "namespaces" }, namespaces.join(", "))
}

impl World {
    fn page(&self, reach: &Reach) -> String {
        match reach {
            Reach::Everywhere => "/access".into(),
            Reach::Workspace => format!("/workspaces/{}/access", self.workspace),
            Reach::Project => format!("/workspaces/{}/projects/{}", self.workspace, self.project),
            Reach::Cluster(at, _) => self.access(*at),
        }
    }

    fn access(&self, cluster: usize) -> String {
        format!("/clusters/{}/access", self.clusters[cluster])
    }

    /// Does it through the pages, `tag` being its reason.
    pub async fn ask(
        &self,
        operation: &Operation,
        model: &Model,
        tag: &str,
        (owner, visitors): (&mut Visitor, &mut [Visitor]),
    ) -> Result<Answer> {
        match operation {
            Operation::Give { cluster, who, role, namespaces, ends } => {
                owner.open(&self.access(*cluster)).await?;
                let ends = if *ends { "7 days" } else { "no end" };
                let (whole, names) = place(namespaces);
                let to =
                    [("Kind", who.kind()), ("Name", who.name()), ("Role", *role), ("Expires", ends), ("Reason", tag)];
                owner.press("Grant", &[&to[..], &[("Where", whole), ("Namespaces", &names)]].concat()).await?;
            }
            Operation::GiveWide { reach, to, role } => self.ask_wide(owner, model, (reach, to, *role), tag).await?,
            Operation::Change { id, cluster, role, namespaces } => {
                owner.open(&format!("{}/{id}", self.access(*cluster))).await?;
                let (whole, names) = place(namespaces);
                let answers = [("Role", *role), ("Reason", tag), ("Where", whole), ("Namespaces", names.as_str())];
                owner.press("Save", &answers).await?;
            }
            Operation::Extend { id, cluster } => {
                owner.open(&format!("{}/{id}", self.access(*cluster))).await?;
                owner.press("Extend", &[]).await?;
            }
            Operation::Remove { id, cluster } => {
                owner.open(&format!("{}/{id}/remove", self.access(*cluster))).await?.sees("Remove this access?")?;
                owner.press("Remove", &[]).await?;
            }
            Operation::RemoveWide(id) => {
                owner.open(&format!("/federated/{id}?remove=yes")).await?.sees("Remove this access?")?;
                owner.press("Remove", &[]).await?;
            }
            other => return self.ask_around(other, model, tag, (owner, visitors)).await,
        }
        answered(owner)
    }

    /// The same for what is around grants: labels, members, links.
    async fn ask_around(
        &self,
        operation: &Operation,
        model: &Model,
        tag: &str,
        (owner, visitors): (&mut Visitor, &mut [Visitor]),
    ) -> Result<Answer> {
        match operation {
            Operation::Label { cluster, inside } => {
                owner.open(&format!("/clusters/{}/settings", self.clusters[*cluster])).await?;
                let labels = if *inside { "env=prod" } else { "env=test" };
                owner.press("Save labels", &[("Labels", labels)]).await?;
            }
            Operation::Join { crew, who } => {
                owner.open(&format!("/groups/{}", model.crews[*crew].id)).await?;
                let kind = if matches!(who, Who::Group(_)) { "Group" } else { "Person" };
                owner.press("Add member", &[("Kind", kind), ("Name", who.name())]).await?;
            }
            Operation::Leave { crew, who } => {
                owner.open(&format!("/groups/{}", model.crews[*crew].id)).await?;
                owner.press_in_row(who.name(), "Take out").await?.sees("out of this group?")?;
                owner.press_in_row("out of this group?", "Take out").await?;
            }
            Operation::Share { cluster, role, namespaces } => {
                owner.open(&format!("/clusters/{}/links", self.clusters[*cluster])).await?;
                let (whole, names) = place(namespaces);
                let answers = [("Role", *role), ("Reason", tag), ("Where", whole), ("Namespaces", names.as_str())];
                owner.press("Create link", &answers).await?;
            }
            Operation::Accept { link, visitor } => {
                owner.open(&self.link(model, *link)?).await?;
                let address = owner.page.field("Share link")?;
                visitors[*visitor].open(&address).await?;
                visitors[*visitor].press("Accept", &[]).await?;
                return answered(&visitors[*visitor]);
            }
            Operation::Revoke { link, taking } => {
                owner.open(&format!("{}/revoke", self.link(model, *link)?)).await?;
                owner.press(if *taking { "Revoke and take the access back" } else { "Revoke" }, &[]).await?;
            }
            other => bail!("{other:?} is asked for elsewhere"),
        }
        answered(owner)
    }

    fn link(&self, model: &Model, id: ShareLinkId) -> Result<String> {
        let link = model.links.iter().find(|link| link.id == id).context("a link that is open")?;
        Ok(format!("/clusters/{}/links/{id}", self.clusters[link.cluster]))
    }

    async fn ask_wide(
        &self,
        owner: &mut Visitor,
        model: &Model,
        (reach, to, role): (&Reach, &To, &'static str),
        tag: &str,
    ) -> Result<()> {
        owner.open(&self.page(reach)).await?;
        let (kind, name) = match to {
            To::One(who) => (who.kind(), who.name()),
            To::Group(at) => ("Kubelend group", model.crews[*at].name.as_str()),
        };
        let whom = [("Kind", kind), ("Name", name), ("Role", role), ("Reason", tag)];
        match reach {
            Reach::Cluster(_, namespaces) => {
                let (whole, names) = place(namespaces);
                owner.press("Grant", &[&whom[..], &[("Where", whole), ("Namespaces", &names)]].concat()).await?;
            }
            _ => drop(owner.press("Grant", &whom).await?),
        }
        Ok(())
    }
}

fn answered(visitor: &Visitor) -> Result<Answer> {
    let page = &visitor.page;
    match page.status {
        StatusCode::UNPROCESSABLE_ENTITY => {
            page.sees("exactly this")?;
            Ok(Answer::Refused)
        }
        // A redirect leads to the provider.
        status if status.is_success() || status.is_redirection() => Ok(Answer::Done),
        status => bail!("{status}: {}", page.text()),
    }
}
