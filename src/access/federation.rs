//! Access that reaches further than one cluster, and the projects and labels that it goes by.
//!
//! The store writes a federated grant out as grants on clusters in the transaction that makes it; bringing those to the
//! clusters is the loop's, since no page waits for a thousand of them.

use std::time::Duration;

use super::{AccessError, Recipient, audit, own_groups, own_providers, projects::taken_over};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        grant::Grantee,
        group::Holder,
        id::{FederatedGrantId, ProjectId},
        identity::Identity,
        name::Namespace,
        project::{Labels, Placement, ProjectName, Takes},
        reason::Reason,
        role::Role,
        time::Timestamp,
    },
    policy::{self, Authorized, Forbidden, ManageCluster, ManageProject, ManageReach, ManageWorkspaceAccess, Reach},
    store::{NewFederatedGrant, NewProject, Store, StoreError},
};

/// A federated grant to make.
#[derive(Clone, Debug)]
pub struct FederatedRequest {
    /// Whom for.
    pub grantee: Recipient,
    /// Which role.
    pub role: Role,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
}

/// Federated grants, projects and labels.
#[derive(Clone, Debug)]
pub struct Federation {
    store: Store,
    clock: Clock,
}

impl Federation {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Gives access on everything in reach, now and later. `Invalid` names the form's field (`name`, `role`, `expires`).
    pub async fn grant(
        &self,
        permit: &Authorized<ManageReach>,
        request: FederatedRequest,
    ) -> Result<FederatedGrantId, AccessError> {
        let (reach, now) = (permit.reach(), self.clock.now());
        if request.expires_at.is_some_and(|end| end <= now) {
            return Err(invalid("expires", "That is in the past."));
        }
        check_role(permit, &request.role)?;
        let workspace = reach.workspace().map(|workspace| workspace.id);
        if request.role.custom_name().is_some() && self.store.custom_role_of(&request.role, workspace).await?.is_none()
        {
            return Err(invalid("role", "There is no such role here (any more)."));
        }
        let (grantee, who, group) = match request.grantee {
            Recipient::One(grantee) => {
                let (grantee, person) = self.known(grantee).await?;
                own_providers::counts_in(&grantee, person.as_ref(), workspace)?;
                let who = audit::grantee(&grantee, person.as_ref());
                (Holder::One(grantee), who, None)
            }
            // The Groups of a workspace, and who is in one, are for those who may look at it.
            Recipient::Group(_) if !permit.sees_workspace() && workspace.is_some() => {
                return Err(own_groups::unknown());
            }
            Recipient::Group(typed) => {
                let group = own_groups::named(&self.store, workspace, &typed).await?;
                policy::give_widely_to_group(permit, &group, &request.role)
                    .map_err(|why| invalid("role", &format!("You cannot give this: {why}.")))?;
                (Holder::Group(group.id, group.name.clone()), audit::group(&group.name), Some(group))
            }
        };
        let until = request.expires_at.map_or_else(|| "with no end".to_owned(), |t| format!("until {t}"));
        let why = audit::because(request.reason.as_ref());
        let target = format!("{who}: {} on {} {until}{why}", request.role, reach.in_words());
        let new = NewFederatedGrant {
            id: FederatedGrantId::new(),
            scope: reach.scope(),
            namespaces: Vec::new(),
            grantee,
            role: request.role,
            expires_at: request.expires_at,
            reason: request.reason,
            created_by: permit.person().identity().id,
        };
        let event = audit::by(permit.person(), Action::GrantAdded, target);
        let given = match &group {
            Some(group) => self.store.give_to_group(&new, group, event, now).await.map_err(own_groups::not_given),
            None => self.store.add_federated_grant(&new, event, now).await.map_err(AccessError::from),
        };
        match given {
            Ok(grant) => Ok(grant.id),
            Err(AccessError::Store(StoreError::Duplicate(_))) => {
                Err(invalid("name", "They have exactly this already, see the table below."))
            }
            Err(AccessError::Store(StoreError::Stale)) => Err(Forbidden::WorkspaceGoing.into()),
            Err(e) => Err(e),
        }
    }

    /// Moves the end of one by so much, everywhere. `from` is the end that they have seen: doing it again does nothing more. One that is
    /// not of this reach is not found.
    ///
    /// # Errors
    /// `Stale` where it has ended, or ends at another time meanwhile.
    pub async fn extend(
        &self,
        permit: &Authorized<ManageReach>,
        id: FederatedGrantId,
        from: Timestamp,
        by: Duration,
    ) -> Result<(), AccessError> {
        let grant = self.store.federated_grant(id).await?;
        if grant.scope != permit.reach().scope() {
            return Err(AccessError::NotFound);
        }
        // A longer time is more of it: whoever could not have given it does not give more.
        policy::give_widely(permit, &grant.role)?;
        let person = match grant.grantee.person() {
            Some(id) => Some(self.store.identity(id).await?),
            None => None,
        };
        let who = match &grant.grantee {
            Holder::One(grantee) => audit::grantee(grantee, person.as_ref()),
            Holder::Group(_, name) => audit::group(name),
        };
        let to = from.plus(by);
        let target = format!("{who}: {} on {} until {to}, was until {from}", grant.role, permit.reach().in_words());
        let event = audit::by(permit.person(), Action::GrantExtended, target);
        self.store.move_federated_end(id, from, to, event, self.clock.now()).await?;
        Ok(())
    }

    /// Takes it back everywhere. Repeating it is fine. One that is not of this reach is not found.
    pub async fn revoke(&self, permit: &Authorized<ManageReach>, id: FederatedGrantId) -> Result<(), AccessError> {
        let grant = self.store.federated_grant(id).await?;
        if grant.scope != permit.reach().scope() {
            return Err(AccessError::NotFound);
        }
        // What ended is put into it by the store.
        let event = audit::by(permit.person(), Action::GrantRevoked, "");
        self.store.end_federated_grant(id, audit::why(permit.person()), event, self.clock.now()).await?;
        Ok(())
    }

    /// Gives it another end and another reason everywhere. Repeating it is fine. One that has ended, or is not of this reach, is not
    /// found.
    pub(super) async fn change_terms(
        &self,
        permit: &Authorized<ManageReach>,
        id: FederatedGrantId,
        expires_at: Option<Timestamp>,
        reason: Option<&Reason>,
    ) -> Result<(), AccessError> {
        let grant = self.store.federated_grant(id).await?;
        if grant.scope != permit.reach().scope() {
            return Err(AccessError::NotFound);
        }
        let who = match &grant.grantee {
            Holder::One(grantee) => {
                let (grantee, person) = self.known(grantee.clone()).await?;
                audit::grantee(&grantee, person.as_ref())
            }
            Holder::Group(_, name) => audit::group(name),
        };
        let until = expires_at.map_or_else(|| "with no end".to_owned(), |t| format!("until {t}"));
        let why = audit::because(reason);
        let target = format!("{who}: {} on {} {until}{why}", grant.role, permit.reach().in_words());
        let event = audit::by(permit.person(), Action::GrantChanged, target);
        match self.store.change_federated_terms(id, expires_at, reason, event, self.clock.now()).await {
            Err(StoreError::Stale) => Err(AccessError::NotFound),
            done => done.map(drop).map_err(Into::into),
        }
    }

    /// Makes a project. `Invalid` at `name` where there is one of that name, or where there are too many.
    pub async fn add_project(
        &self,
        permit: &Authorized<ManageWorkspaceAccess>,
        name: ProjectName,
        namespace: Namespace,
        placement: Placement,
        takes: Takes,
    ) -> Result<ProjectId, AccessError> {
        check(&placement)?;
        let whom = if takes == Takes::default() { String::new() } else { format!(", of {}", taken_over(takes)) };
        let event = audit::by(permit.person(), Action::ProjectAdded, format!("{name}, namespace {namespace}{whom}"));
        let new = NewProject {
            id: ProjectId::new(),
            workspace: permit.workspace().id,
            name,
            namespace,
            placement,
            takes,
            created_by: permit.person().identity().id,
        };
        self.store.add_project(&new, event, self.clock.now()).await.map_err(refused)?;
        Ok(new.id)
    }

    /// Gives a project another name, and puts it on other clusters.
    pub async fn change_project(
        &self,
        permit: &Authorized<ManageProject>,
        name: &ProjectName,
        placement: &Placement,
    ) -> Result<(), AccessError> {
        check(placement)?;
        let project = permit.project();
        if project.name == *name && project.placement == *placement {
            return Ok(());
        }
        let renamed = if project.name == *name { String::new() } else { format!(", was {}", project.name) };
        let target = format!("{name}{renamed}: {}", on_words(placement));
        let event = audit::by(permit.person(), Action::ProjectChanged, target);
        self.store.change_project(project.id, name, placement, event, self.clock.now()).await.map_err(refused)
    }

    /// Says whether Kubelend makes its namespace where that is missing. Repeating it is fine. A name of Kubernetes' own is `Invalid`
    /// (`make`).
    pub async fn make_namespaces(&self, permit: &Authorized<ManageProject>, makes: bool) -> Result<(), AccessError> {
        let project = permit.project();
        if makes && project.namespace.as_str().starts_with("kube-") {
            return Err(invalid(
                "make",
                "Names that begin with “kube-” are Kubernetes' own, and Kubelend makes none of them.",
            ));
        }
        let how = if makes { "made where it is missing" } else { "not made by Kubelend" };
        let target = format!("{}: {} is {how}", project.name, project.namespace);
        let event = audit::by(permit.person(), Action::ProjectNamespaceAsked, target);
        Ok(self.store.set_makes_namespace(project.id, makes, event, self.clock.now()).await?)
    }

    /// Removes a project and the access that was given in it; its namespaces stay. Repeating it is fine.
    pub async fn remove_project(&self, permit: &Authorized<ManageProject>) -> Result<(), AccessError> {
        let project = permit.project();
        let event = audit::by(permit.person(), Action::ProjectRemoved, project.name.as_str());
        Ok(self.store.remove_project(project.id, event, self.clock.now()).await?)
    }

    /// Labels a cluster. Projects that select by labels follow at once.
    pub async fn label(&self, permit: &Authorized<ManageCluster>, labels: &Labels) -> Result<(), AccessError> {
        let cluster = permit.cluster();
        if cluster.labels == *labels {
            return Ok(());
        }
        let said = if labels.is_empty() { "no labels".to_owned() } else { labels.to_string() };
        let event = audit::by(permit.person(), Action::ClusterLabelled, said);
        Ok(self.store.set_labels(cluster.id, labels, event, self.clock.now()).await?)
    }

    /// Whoever has signed in with this email already is granted to as the person.
    async fn known(&self, grantee: Grantee) -> Result<(Grantee, Option<Identity>), AccessError> {
        let person = match &grantee {
            Grantee::Email(provider, email) => self.store.identity_by_email(provider, email).await?,
            Grantee::Person(id) => Some(self.store.identity(*id).await?),
            Grantee::Group(_, group) => {
                super::groups::check_wide(group)?;
                None
            }
            Grantee::ServiceAccount(_) => return Err(super::groups::no_account()),
        };
        Ok(match person {
            Some(person) => (Grantee::Person(person.id), Some(person)),
            None => (grantee, None),
        })
    }
}

/// Whether a role can be given so far, and by them.
fn check_role(permit: &Authorized<ManageReach>, role: &Role) -> Result<(), AccessError> {
    // What a named ClusterRole allows is its cluster's to say: one that is good on one may be anything on the next.
    if !role.is_everywhere() && role.custom_name().is_none() {
        return Err(invalid("role", "On several clusters at once no role is given that only one of them has."));
    }
    policy::give_widely(permit, role).map_err(|why| invalid("role", &format!("You cannot give this: {why}.")))?;
    let whole_cluster = !matches!(permit.reach(), Reach::Project(..) | Reach::Cluster(..));
    role.fits(whole_cluster).map_err(|why| invalid("role", why))
}

/// In words: “on every cluster”, “on 3 clusters”, “on clusters with env=prod”.
fn on_words(placement: &Placement) -> String {
    match placement {
        Placement::All => "on every cluster".into(),
        Placement::Listed(clusters) if clusters.len() == 1 => "on 1 cluster".into(),
        Placement::Listed(clusters) => format!("on {} clusters", clusters.len()),
        Placement::Labelled(labels) => format!("on clusters with {labels}"),
    }
}

/// A selector that asks for nothing would select everything: whoever wants that says so.
fn check(placement: &Placement) -> Result<(), AccessError> {
    match placement {
        Placement::Labelled(labels) if labels.is_empty() => {
            Err(invalid("labels", "Name at least one label, or choose every cluster."))
        }
        Placement::Listed(clusters) if clusters.is_empty() => {
            Err(invalid("clusters", "Choose at least one cluster, or every cluster."))
        }
        Placement::All | Placement::Listed(_) | Placement::Labelled(_) => Ok(()),
    }
}

fn refused(error: StoreError) -> AccessError {
    match error {
        StoreError::Duplicate(_) => invalid("name", "This workspace has a project of that name already."),
        StoreError::Full(most) => invalid("name", &format!("There are {most} already, and that is the most.")),
        StoreError::Stale => Forbidden::WorkspaceGoing.into(),
        other => other.into(),
    }
}

fn invalid(field: &'static str, message: &str) -> AccessError {
    AccessError::Invalid { field, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placement_that_selects_everything_by_asking_for_nothing_is_refused() {
        assert!(check(&Placement::All).is_ok());
        assert!(check(&Placement::Labelled(Labels::default())).is_err());
        assert!(check(&Placement::Listed(Vec::new())).is_err());
    }
}
