//! Whether it has happened, as the database has it, and then in the model.

use anyhow::{Context, Result, bail};
use kubelend::{
    model::{
        federation::WideScope,
        grant::{Grant, Grantee, Origin},
        id::{GrantId, GroupId, ShareLinkId},
        identity::Identity,
        reason::Reason,
    },
    store::{GrantFilter, Store},
};

use super::{
    model::{Given, Link, Model, Reach, Who, Wide},
    operations::{Operation, World},
};

fn says(reason: Option<&Reason>, tag: &str) -> bool {
    reason.is_some_and(|reason| reason.as_str() == tag)
}

impl World {
    fn wide_scope(&self, reach: &Reach) -> WideScope {
        match reach {
            Reach::Everywhere => WideScope::Global,
            Reach::Workspace => WideScope::Workspace(self.workspace),
            Reach::Project => WideScope::Project(self.project),
            Reach::Cluster(at, _) => WideScope::Cluster(self.clusters[*at]),
        }
    }

    /// Whether it has happened, as the database has it, and then in the model.
    pub async fn settle(&self, operation: &Operation, model: &mut Model, tag: &str, store: &Store) -> Result<bool> {
        match operation {
            Operation::Give { cluster, who, role, namespaces, ends } => {
                let Some(id) = self.tagged(store, *cluster, tag).await? else { return Ok(false) };
                let (cluster, who, namespaces) = (*cluster, who.clone(), namespaces.clone());
                model.given.push(Given { id, cluster, who, role, namespaces, ends: *ends, link: None });
            }
            Operation::GiveWide { reach, to, role } => {
                let all = store.federated_grants(self.wide_scope(reach), None, 200).await?.rows;
                let made = all.iter().find(|(grant, _)| says(grant.reason.as_ref(), tag));
                let Some(id) = made.map(|(grant, _)| grant.id) else { return Ok(false) };
                model.wide.push(Wide { id, reach: reach.clone(), to: to.clone(), role });
            }
            Operation::Change { id, cluster, role, namespaces } => {
                let Some(new) = self.tagged(store, *cluster, tag).await? else { return Ok(false) };
                let given = model.given.iter_mut().find(|given| given.id == *id).context("what is changed")?;
                (given.id, given.role, given.namespaces) = (new, role, namespaces.clone());
            }
            Operation::Extend { id, .. } => return Ok(store.grant(*id).await?.0.ended.is_none()),
            Operation::Remove { id, .. } => {
                if store.grant(*id).await?.0.ended.is_none() {
                    return Ok(false);
                }
                model.given.retain(|given| given.id != *id);
            }
            Operation::RemoveWide(id) => {
                if store.federated_grant(*id).await?.ended.is_none() {
                    return Ok(false);
                }
                model.wide.retain(|wide| wide.id != *id);
            }
            other => return self.settle_around(other, model, tag, store).await,
        }
        Ok(true)
    }

    /// The same for what is around grants.
    async fn settle_around(&self, operation: &Operation, model: &mut Model, tag: &str, store: &Store) -> Result<bool> {
        match operation {
            Operation::Label { cluster, inside } => {
                let is_inside = store.cluster(self.clusters[*cluster]).await?.labels.to_string() == "env=prod";
                model.labelled[*cluster] = is_inside;
                return Ok(is_inside == *inside);
            }
            Operation::Join { crew, who } | Operation::Leave { crew, who } => {
                let joins = matches!(operation, Operation::Join { .. });
                let is_in = is_member(store, model.crews[*crew].id, who).await?;
                if is_in == joins {
                    let members = &mut model.crews[*crew].members;
                    members.retain(|member| member != who);
                    members.extend(joins.then(|| who.clone()));
                }
                return Ok(is_in == joins);
            }
            Operation::Share { cluster, role, namespaces } => {
                let all = store.links_of_cluster(self.clusters[*cluster], None, 200).await?;
                let made = all.iter().find(|link| says(link.rules.reason.as_ref(), tag));
                let Some(id) = made.map(|link| link.id) else { return Ok(false) };
                let (cluster, namespaces) = (*cluster, namespaces.clone());
                model.links.push(Link { id, cluster, role, namespaces, accepted: Vec::new() });
            }
            Operation::Accept { link, visitor } => return self.settle_accepted(model, (*link, *visitor), store).await,
            Operation::Revoke { link, taking } => {
                if store.link(*link).await?.revoked_at.is_none() {
                    return Ok(false);
                }
                model.links.retain(|open| open.id != *link);
                model.given.retain(|given| !taking || given.link != Some(*link));
            }
            other => bail!("{other:?} is settled elsewhere"),
        }
        Ok(true)
    }

    async fn settle_accepted(
        &self,
        model: &mut Model,
        (id, visitor): (ShareLinkId, usize),
        store: &Store,
    ) -> Result<bool> {
        let email = &self.visitors[visitor];
        let link = model.links.iter_mut().find(|link| link.id == id).context("a link that is open")?;
        let by_link = |(grant, person): &(Grant, Option<Identity>)| {
            grant.origin == Origin::Link(id) && person.as_ref().is_some_and(|person| person.display() == email)
        };
        let all = self.grants(store, link.cluster).await?;
        let Some((grant, _)) = all.into_iter().find(by_link) else { return Ok(false) };
        link.accepted.push(visitor);
        let (cluster, who) = (link.cluster, Who::Person(email.clone()));
        let (role, namespaces) = (link.role, link.namespaces.clone());
        model.given.push(Given { id: grant.id, cluster, who, role, namespaces, ends: true, link: Some(id) });
        Ok(true)
    }

    async fn grants(&self, store: &Store, cluster: usize) -> Result<Vec<(Grant, Option<Identity>)>> {
        Ok(store.grants_of_cluster(self.clusters[cluster], &GrantFilter::default(), None, 500).await?.rows)
    }

    async fn tagged(&self, store: &Store, cluster: usize, tag: &str) -> Result<Option<GrantId>> {
        let all = self.grants(store, cluster).await?;
        let tagged = all.into_iter().find(|(grant, _)| says(grant.reason.as_ref(), tag));
        Ok(tagged.map(|(grant, _)| grant.id))
    }
}

async fn is_member(store: &Store, crew: GroupId, who: &Who) -> Result<bool> {
    let members = store.group_members(crew).await?;
    Ok(members.iter().any(|(member, _)| match (&member.who, who) {
        (Grantee::Email(_, email), Who::Person(name)) => email.as_str() == name,
        (Grantee::Group(_, group), Who::Group(name)) => group == name,
        _ => false,
    }))
}
