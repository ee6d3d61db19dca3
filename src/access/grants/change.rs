//! Changing what was given. Nobody makes of a grant what they could not give, and nobody changes one that they could not have given:
//! moving the end of it away is giving more of it. Taking it back is another matter.

use std::time::Duration;

use super::{Grants, invalid};
use crate::{
    access::{AccessError, audit},
    model::{
        audit::Action,
        grant::{Grant, GrantState},
        id::GrantId,
        identity::Identity,
        name::Namespace,
        reason::Reason,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    policy::{self, Authorized, Forbidden, ManageAccess},
    store::{Replacement, StoreError, Terms},
};

/// What a grant is to become.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// The role, and where (empty for the whole cluster); `None` leaves both as they are.
    pub rights: Option<(Role, Vec<Namespace>)>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
}

impl Grants {
    /// Changes a grant. Another end or reason is written into it; another role or place is another grant, which takes its place on the
    /// cluster before it goes. Repeating it is fine. `Invalid` names the form's field (`role`, `expires`, `name`). Returns what
    /// stands now, and how far the cluster has followed.
    ///
    /// # Errors
    /// `Stale` where it has ended or was changed meanwhile.
    pub async fn change(
        &self,
        permit: &Authorized<ManageAccess>,
        id: GrantId,
        request: ChangeRequest,
    ) -> Result<(GrantId, GrantState), AccessError> {
        let now = self.clock.now();
        let (grant, person) = self.changeable(permit, id).await?;
        let terms = Terms { expires_at: request.expires_at, reason: request.reason };
        if terms.expires_at != grant.expires_at && terms.expires_at.is_some_and(|end| end <= now) {
            return Err(invalid("expires", "That is in the past."));
        }
        let others = request.rights.map(|(role, names)| (role, Scope::new(grant.scope.cluster(), names)));
        let others = others.filter(|(role, scope)| grant.role.as_ref() != Some(role) || !scope.is_same(&grant.scope));
        match others {
            Some((role, scope)) => {
                let by = permit.person().identity().id;
                let new = Replacement { id: GrantId::new(), role, scope, terms, by, vouch: None };
                self.replace(permit, (&grant, person.as_ref()), new, now).await
            }
            None => self.reword(permit, (&grant, person.as_ref()), &terms, now).await,
        }
    }

    /// Moves the end of a grant by so much, however it came to be. `from` is the end that they have seen: doing it again does nothing
    /// more.
    ///
    /// # Errors
    /// `Stale` where it has ended, or ends at another time meanwhile.
    pub async fn extend(
        &self,
        permit: &Authorized<ManageAccess>,
        id: GrantId,
        from: Timestamp,
        by: Duration,
    ) -> Result<(), AccessError> {
        let (grant, person) = self.changeable(permit, id).await?;
        let now = self.clock.now();
        let was = Terms { expires_at: Some(from), reason: grant.reason.clone() };
        let terms = Terms { expires_at: Some(from.plus(by)), ..was.clone() };
        self.observer.check_role(permit, grant.role.as_ref(), &grant.scope).await?;
        let event = extended(permit, &grant, person.as_ref(), (&was, &terms));
        self.store.change_terms(id, &was, &terms, event, now).await?;
        Ok(())
    }

    /// A grant of this cluster that they may change.
    async fn changeable(
        &self,
        permit: &Authorized<ManageAccess>,
        id: GrantId,
    ) -> Result<(Grant, Option<Identity>), AccessError> {
        let (grant, person) = self.of(permit, id).await?;
        if permit.cluster().removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        if !grant.origin.is_extended_here() {
            return Err(Forbidden::ChangedElsewhere.into());
        }
        policy::give(permit, grant.role.as_ref())?;
        Ok((grant, person))
    }

    /// Another end or reason.
    async fn reword(
        &self,
        permit: &Authorized<ManageAccess>,
        (grant, person): (&Grant, Option<&Identity>),
        terms: &Terms,
        now: Timestamp,
    ) -> Result<(GrantId, GrantState), AccessError> {
        let was = Terms::of(grant);
        let longer = terms.expires_at.is_none_or(|end| was.expires_at.is_some_and(|before| before < end));
        // What it allows may have grown since it was given.
        if longer && was.expires_at.is_some() {
            self.observer.check_role(permit, grant.role.as_ref(), &grant.scope).await?;
        }
        let event = extended(permit, grant, person, (&was, terms));
        self.store.change_terms(grant.id, &was, terms, event, now).await?;
        Ok((grant.id, grant.state))
    }

    /// Another role or place.
    async fn replace(
        &self,
        permit: &Authorized<ManageAccess>,
        (grant, person): (&Grant, Option<&Identity>),
        mut new: Replacement,
        now: Timestamp,
    ) -> Result<(GrantId, GrantState), AccessError> {
        if !grant.origin.is_changed_here() {
            return Err(Forbidden::ChangedElsewhere.into());
        }
        new.vouch = self.observer.check_role(permit, Some(&new.role), &new.scope).await?;
        let was = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
        let what = audit::rights(Some(&new.role), &new.scope, new.terms.expires_at);
        let who = audit::grantee(&grant.grantee, person);
        let why = audit::because(new.terms.reason.as_ref());
        let event = audit::by(permit.person(), Action::GrantChanged, format!("{who}: {what}, was {was}{why}"));
        let placed = match self.store.replace_grant(grant.id, &new, event, now).await {
            Ok(placed) => placed,
            Err(StoreError::Duplicate(_)) => {
                return Err(invalid("role", "They have exactly this already, by another row of the table."));
            }
            Err(other) => return Err(other.into()),
        };
        let state = self.applier.apply_now(placed.grant.id).await?;
        // Where the cluster is silent, the old one waits as the new one does: the page waits for neither.
        if state != GrantState::Pending {
            self.applier.apply_now(grant.id).await?;
        }
        Ok((placed.grant.id, state))
    }
}

/// The event of another end, or of another reason.
fn extended(
    permit: &Authorized<ManageAccess>,
    grant: &Grant,
    person: Option<&Identity>,
    (was, terms): (&Terms, &Terms),
) -> crate::store::AuditDraft {
    let who = audit::grantee(&grant.grantee, person);
    let what = audit::rights(grant.role.as_ref(), &grant.scope, terms.expires_at);
    let end = |terms: &Terms| terms.expires_at.map_or_else(|| "with no end".to_owned(), |end| format!("until {end}"));
    let before = if was.expires_at == terms.expires_at { String::new() } else { format!(", was {}", end(was)) };
    let later = match (was.expires_at, terms.expires_at) {
        (Some(was), Some(end)) => was < end,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let action = if later && was.reason == terms.reason { Action::GrantExtended } else { Action::GrantChanged };
    let why = audit::because(terms.reason.as_ref());
    audit::by(permit.person(), action, format!("{who}: {what}{before}{why}"))
}
