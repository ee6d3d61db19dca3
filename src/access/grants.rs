//! Granting and revoking on the access page. Changing what was given is in `change`.

mod change;

pub use change::ChangeRequest;

use super::{AccessError, Applier, Observer, audit, own_groups};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        claim_mapping::{ClaimMapping, Unmappable},
        cluster::Cluster,
        federation::WideScope,
        grant::{EndReason, Grant, GrantState, Grantee, Origin},
        group::{Group, Holder},
        id::{FederatedGrantId, GrantId},
        identity::Identity,
        name::Namespace,
        provider::ProviderId,
        reason::Reason,
        role::Role,
        scope::Scope,
        time::Timestamp,
        vouch::Vouch,
    },
    policy::{self, Authorized, Forbidden, HoldKubeconfig, ManageAccess},
    store::{NewFederatedGrant, NewGrant, Store, StoreError, Terms},
};

/// A grant to make.
#[derive(Clone, Debug)]
pub struct GrantRequest {
    /// Whom for. An email of somebody who has signed in already becomes the person by itself.
    pub grantee: Grantee,
    /// Which role.
    pub role: Role,
    /// Where; empty for the whole cluster.
    pub namespaces: Vec<Namespace>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
}

/// A grant on a cluster to make to a Group.
#[derive(Clone, Debug)]
pub struct GroupGrantRequest {
    /// The Group, as it was typed.
    pub group: String,
    /// Which role.
    pub role: Role,
    /// Where; empty for the whole cluster.
    pub namespaces: Vec<Namespace>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
}

/// Grants.
#[derive(Clone, Debug)]
pub struct Grants {
    store: Store,
    applier: Applier,
    observer: Observer,
    clock: Clock,
}

impl Grants {
    /// With these parts.
    pub fn new(store: Store, applier: Applier, observer: Observer, clock: Clock) -> Self {
        Self { store, applier, observer, clock }
    }

    /// Makes the grant and its bindings. `Invalid` names the form's field (`name`, `role`, `expires`). The state says whether the
    /// cluster has followed already.
    pub async fn grant(
        &self,
        permit: &Authorized<ManageAccess>,
        request: GrantRequest,
    ) -> Result<(GrantId, GrantState), AccessError> {
        let (request, person, vouch) = self.vet(permit, request).await?;
        let scope = Scope::new(permit.cluster().id, request.namespaces);
        let who = audit::grantee(&request.grantee, person.as_ref());
        let what = audit::rights(Some(&request.role), &scope, request.expires_at);
        let new = NewGrant {
            id: GrantId::new(),
            grantee: request.grantee,
            role: Some(request.role),
            scope,
            expires_at: request.expires_at,
            reason: request.reason,
            origin: permit.person().file().map_or(Origin::Manual, Origin::File),
            created_by: permit.person().identity().id,
            vouch,
        };
        let why = audit::because(new.reason.as_ref());
        let event = audit::by(permit.person(), Action::GrantAdded, format!("{who}: {what}{why}"));
        match self.store.add_grant(&new, event, self.clock.now()).await {
            Ok(_) => {}
            Err(StoreError::Duplicate(_)) => {
                return Err(invalid("name", "They have exactly this already, see the table below."));
            }
            Err(e) => return Err(e.into()),
        }
        Ok((new.id, self.follow(permit, new.id, GrantState::Pending).await?))
    }

    /// Whether it can be given, without giving it: the request with the person that an email has become, and what is kept of the
    /// role. Errors as for [`Self::grant`].
    pub(super) async fn vet(
        &self,
        permit: &Authorized<ManageAccess>,
        request: GrantRequest,
    ) -> Result<(GrantRequest, Option<Identity>, Option<Vouch>), AccessError> {
        let cluster = permit.cluster();
        let now = self.clock.now();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        if request.expires_at.is_some_and(|end| end <= now) {
            return Err(invalid("expires", "That is in the past."));
        }
        let (grantee, person) = self.known(request.grantee).await?;
        check_grantee(cluster, &grantee, person.as_ref())?;
        let scope = Scope::new(cluster.id, request.namespaces.clone());
        let vouch = self.observer.check_role(permit, Some(&request.role), &scope).await?;
        Ok((GrantRequest { grantee, ..request }, person, vouch))
    }

    /// Tries the cluster at once; the loop does that for whoever applies a file, who waits for no cluster.
    async fn follow(
        &self,
        permit: &Authorized<ManageAccess>,
        id: GrantId,
        meanwhile: GrantState,
    ) -> Result<GrantState, AccessError> {
        if permit.person().file().is_some() { Ok(meanwhile) } else { self.applier.apply_now(id).await }
    }

    /// Gives it another end and another reason, as a file says. Repeating it is fine. One that has ended is not found.
    pub(super) async fn retime(
        &self,
        permit: &Authorized<ManageAccess>,
        id: GrantId,
        terms: Terms,
    ) -> Result<(), AccessError> {
        let (grant, person) = self.store.grant(id).await?;
        if grant.scope.cluster() != permit.cluster().id {
            return Err(AccessError::NotFound);
        }
        let who = audit::grantee(&grant.grantee, person.as_ref());
        let what = audit::rights(grant.role.as_ref(), &grant.scope, terms.expires_at);
        let why = audit::because(terms.reason.as_ref());
        let event = audit::by(permit.person(), Action::GrantChanged, format!("{who}: {what}{why}"));
        match self.store.change_terms(id, &Terms::of(&grant), &terms, event, self.clock.now()).await {
            Err(StoreError::Stale) => Err(AccessError::NotFound),
            done => done.map(drop).map_err(Into::into),
        }
    }

    /// Gives to each member of a Group, now and later. `Invalid` names the form's field, as above. The loop brings it to the cluster.
    pub async fn grant_to_group(
        &self,
        permit: &Authorized<ManageAccess>,
        request: GroupGrantRequest,
    ) -> Result<FederatedGrantId, AccessError> {
        let (cluster, now) = (permit.cluster(), self.clock.now());
        let (group, scope) = self.vet_for_group(permit, &request).await?;
        let what = audit::rights(Some(&request.role), &scope, request.expires_at);
        let why = audit::because(request.reason.as_ref());
        let new = NewFederatedGrant {
            id: FederatedGrantId::new(),
            scope: WideScope::Cluster(cluster.id),
            namespaces: request.namespaces,
            grantee: Holder::Group(group.id, group.name.clone()),
            role: request.role,
            expires_at: request.expires_at,
            reason: request.reason,
            created_by: permit.person().identity().id,
        };
        let target = format!("{}: {what}{why}", audit::group(&group.name));
        let event = audit::by(permit.person(), Action::GrantAdded, target);
        match self.store.give_to_group(&new, &group, event, now).await {
            Ok(grant) => Ok(grant.id),
            Err(StoreError::Duplicate(_)) => Err(invalid("name", "It has exactly this already, see the table below.")),
            Err(other) => Err(own_groups::not_given(other)),
        }
    }

    /// Whether it can be given, without giving it: the Group that is meant, and where. Errors as for giving it.
    pub(super) async fn vet_for_group(
        &self,
        permit: &Authorized<ManageAccess>,
        request: &GroupGrantRequest,
    ) -> Result<(Group, Scope), AccessError> {
        let cluster = permit.cluster();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        if request.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(invalid("expires", "That is in the past."));
        }
        let group = own_groups::named(&self.store, Some(cluster.workspace), &request.group).await?;
        let scope = Scope::new(cluster.id, request.namespaces.clone());
        self.check_role_for(permit, &group, &request.role, &scope).await?;
        Ok((group, scope))
    }

    /// Whether they can give this to a Group: no more than whoever changes its members may, and nothing that only this cluster has,
    /// since that may grow. A custom role grows on an owner's word alone, so it is one of those who gives it.
    async fn check_role_for(
        &self,
        permit: &Authorized<ManageAccess>,
        group: &Group,
        role: &Role,
        scope: &Scope,
    ) -> Result<(), AccessError> {
        if !role.is_everywhere() && role.custom_name().is_none() {
            return Err(invalid(
                "role",
                "A Kubelend group is given custom roles, and the roles that every cluster has. Give this one to people and groups of the provider.",
            ));
        }
        policy::give_to_group(permit, group, role)
            .map_err(|why| invalid("role", &format!("You cannot give this: {why}.")))?;
        self.observer.check_role(permit, Some(role), scope).await.map(drop)
    }

    /// Takes it back. Repeating it is fine.
    pub async fn revoke(&self, permit: &Authorized<ManageAccess>, id: GrantId) -> Result<GrantState, AccessError> {
        let (grant, person) = self.of(permit, id).await?;
        if matches!(grant.origin, Origin::Federated(_)) {
            return Err(Forbidden::TakenBackElsewhere.into());
        }
        let who = audit::grantee(&grant.grantee, person.as_ref());
        let what = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
        let event = audit::by(permit.person(), Action::GrantRevoked, format!("{who}: {what}"));
        self.store.end_grant(id, audit::why(permit.person()), event, self.clock.now()).await?;
        // Nothing of it stands on the cluster: one that is down keeps nobody waiting.
        if grant.role.is_none() || grant.state == GrantState::Removed {
            return Ok(GrantState::Removed);
        }
        self.follow(permit, id, GrantState::Removing).await
    }

    /// Tries at once to bring it to its cluster, whoever made it: somebody has just made way for it. Repeating it is fine.
    pub async fn retry(&self, permit: &Authorized<ManageAccess>, id: GrantId) -> Result<GrantState, AccessError> {
        let (grant, _) = self.of(permit, id).await?;
        if grant.role.is_none() || matches!(grant.state, GrantState::Applied | GrantState::Removed) {
            return Ok(grant.state);
        }
        self.applier.apply_now(id).await
    }

    /// Gives back what somebody was given themselves on a cluster, and takes their files for it back; what reaches them by a group
    /// stays. Repeating it is fine.
    pub async fn leave(&self, permit: &Authorized<HoldKubeconfig>, grants: &[Grant]) -> Result<(), AccessError> {
        let (identity, cluster) = (permit.person().identity(), permit.cluster());
        for grant in grants.iter().filter(|grant| grant.can_be_left()) {
            let what = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
            let event = audit::by(permit.person(), Action::GrantRevoked, format!("{}: {what}", identity.display()));
            self.store.end_grant(grant.id, EndReason::Revoked, event, self.clock.now()).await?;
            if grant.role.is_some() {
                // A cluster that is down keeps nobody from leaving: the loop goes on.
                self.applier.apply_now(grant.id).await?;
            }
        }
        let event = audit::by(
            permit.person(),
            Action::DeviceRevoked,
            format!("all of {} for {}", identity.display(), cluster.name),
        );
        let devices = crate::store::Devices::OfPersonOnCluster(cluster.id, identity.id);
        self.store.revoke_devices(devices, event, self.clock.now()).await?;
        Ok(())
    }

    /// A grant of the permit's cluster.
    async fn of(
        &self,
        permit: &Authorized<ManageAccess>,
        id: GrantId,
    ) -> Result<(Grant, Option<Identity>), AccessError> {
        let (grant, person) = self.store.grant(id).await?;
        if grant.scope.cluster() == permit.cluster().id { Ok((grant, person)) } else { Err(AccessError::NotFound) }
    }

    /// Whoever has signed in with this email already is granted to as the person, whatever the case it was typed in.
    async fn known(&self, grantee: Grantee) -> Result<(Grantee, Option<Identity>), AccessError> {
        let person = match &grantee {
            Grantee::Email(provider, email) => self.store.identity_by_email(provider, email).await?,
            Grantee::Person(id) => Some(self.store.identity(*id).await?),
            Grantee::Group(..) | Grantee::ServiceAccount(_) => None,
        };
        Ok(match person {
            Some(person) => (Grantee::Person(person.id), Some(person)),
            None => (grantee, None),
        })
    }
}

fn check_grantee(cluster: &Cluster, grantee: &Grantee, person: Option<&Identity>) -> Result<(), AccessError> {
    let provider: Option<&ProviderId> = match grantee {
        Grantee::Person(_) => person.map(|p| &p.provider),
        Grantee::Email(provider, _) | Grantee::Group(provider, _) => Some(provider),
        // Its type lets no name of Kubernetes' own in.
        Grantee::ServiceAccount(_) => return Ok(()),
    };
    let mapping = provider
        .and_then(|p| cluster.mapping(p))
        .ok_or_else(|| invalid("name", "This cluster does not trust the provider that they sign in at."))?;
    if let Grantee::Group(_, group) = grantee {
        check_group(group, mapping)?;
    }
    match grantee.subject(mapping, person) {
        Ok(subject) if provider.is_some_and(|id| cluster.reads_as_anothers(id, &subject)) => Err(invalid(
            "name",
            "On this cluster that name would read like one of another provider that it trusts, whose people would have the access.",
        )),
        Ok(_) => Ok(()),
        Err(Unmappable::System) => Err(invalid(
            "name",
            "On the cluster this name would begin with “system:”, which Kubernetes keeps for itself.",
        )),
        Err(Unmappable::NoEmail) if person.is_none() => Err(invalid(
            "name",
            "This cluster names people by “sub”, not by email: they must sign in to Kubelend once before you can grant to them.",
        )),
        Err(why) => Err(invalid("name", &format!("They cannot be named there: {why}."))),
    }
}

fn check_group(group: &str, mapping: &ClaimMapping) -> Result<(), AccessError> {
    super::groups::check(group)?;
    let prefix = &mapping.groups_prefix;
    if !prefix.is_empty() && group.starts_with(prefix.as_str()) {
        return Err(invalid("name", &format!("Leave out “{prefix}”: Kubelend puts it before the name by itself.")));
    }
    Ok(())
}

fn invalid(field: &'static str, message: &str) -> AccessError {
    AccessError::Invalid { field, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_11_group_names_of_kubernetes_own_are_refused_at_the_field() {
        let bare = ClaimMapping { groups_prefix: String::new(), ..ClaimMapping::default() };
        let group = Grantee::Group("dex".parse().unwrap(), "system:masters".into());
        assert_eq!(group.subject(&bare, None), Err(Unmappable::System));
        assert!(check_group("oidc:devs", &ClaimMapping::default()).is_err());
        assert!(check_group("devs", &ClaimMapping::default()).is_ok());
        assert!(check_group(" devs", &ClaimMapping::default()).is_err());
        assert!(check_group("de\nvs", &ClaimMapping::default()).is_err());
    }
}
