//! Asking for access, and answering: yes, yes to something else, or no.
//!
//! A request gives nothing by itself. Who answers one gives what they could give by hand, and nothing more; so whoever asks decides
//! nothing by how they ask, and whoever manages access may as well answer their own.

use std::time::Duration;

use super::{AccessError, Applier, Observer, audit};
use crate::{
    clock::Clock,
    model::{
        access_request::{AccessRequest, LASTS, Wish},
        audit::Action,
        grant::GrantState,
        id::{AccessRequestId, GrantId},
        identity::Identity,
        name::Namespace,
        reason::Reason,
        role::Role,
        scope::Scope,
    },
    policy::{AskAccess, Authorized, Forbidden, ManageAccess, OwnThings},
    store::{Answer, Closing, NewRequest, Store, StoreError},
};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct AskRequest {
    /// Which role.
    pub role: Role,
    /// Where; empty for the whole cluster.
    pub namespaces: Vec<Namespace>,
    /// For how long; `None` for no end.
    pub lasts: Option<Duration>,
    /// Why.
    pub reason: Reason,
}

/// What is given in answer.
#[derive(Clone, Debug)]
pub struct ApproveRequest {
    /// Which role.
    pub role: Role,
    /// Where; empty for the whole cluster.
    pub namespaces: Vec<Namespace>,
    /// For how long, from now on; `None` for no end.
    pub lasts: Option<Duration>,
}

/// Requests for access.
#[derive(Clone, Debug)]
pub struct Requests {
    store: Store,
    applier: Applier,
    observer: Observer,
    clock: Clock,
}

impl Requests {
    /// With these parts.
    pub fn new(store: Store, applier: Applier, observer: Observer, clock: Clock) -> Self {
        Self { store, applier, observer, clock }
    }

    /// The custom roles that can be asked for there, by name. What one lets do is for those to read who give it.
    pub async fn custom_roles(&self, permit: &Authorized<AskAccess>) -> Result<Vec<Role>, AccessError> {
        let roles = self.store.custom_roles_usable_in(Some(permit.cluster().workspace)).await?;
        Ok(roles.into_iter().map(|role| role.role).collect())
    }

    /// Asks. `Invalid` names the form's field (`role`, `reason`).
    pub async fn ask(
        &self,
        permit: &Authorized<AskAccess>,
        request: AskRequest,
    ) -> Result<AccessRequestId, AccessError> {
        let (cluster, now) = (permit.cluster(), self.clock.now());
        request.role.fits(request.namespaces.is_empty()).map_err(|why| invalid("role", why))?;
        if request.role.custom_name().is_some()
            && self.store.custom_role_of(&request.role, Some(cluster.workspace)).await?.is_none()
        {
            return Err(invalid("role", "There is no such role for this cluster (any more)."));
        }
        let scope = Scope::new(cluster.id, request.namespaces);
        let wish = Wish { role: request.role, scope, lasts: request.lasts, reason: request.reason };
        let event = audit::by(permit.person(), Action::RequestMade, in_words(&wish));
        let by = permit.person().identity().id;
        let new = NewRequest { id: AccessRequestId::new(), by, wish, until: now.plus(LASTS) };
        match self.store.add_request(&new, event, now).await {
            Ok(()) => Ok(new.id),
            Err(StoreError::Duplicate(_)) => Err(invalid("role", "You have asked for exactly this already: it waits.")),
            Err(StoreError::Full(most)) => {
                Err(invalid("role", &format!("You have {most} already. Take one back, or wait for an answer.")))
            }
            Err(StoreError::Stale) => Err(Forbidden::BeingRemoved.into()),
            Err(other) => Err(other.into()),
        }
    }

    /// Says yes: to what was asked, or to something else. `Invalid` names the form's field (`role`). Returns what was given, and how
    /// far the cluster has followed.
    ///
    /// # Errors
    /// `Stale` where it does not wait any more.
    pub async fn approve(
        &self,
        permit: &Authorized<ManageAccess>,
        id: AccessRequestId,
        request: ApproveRequest,
    ) -> Result<(GrantId, GrantState), AccessError> {
        let now = self.clock.now();
        let (asked, who) = self.of(permit, id).await?;
        if permit.cluster().removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        if permit.cluster().mapping(&who.provider).is_none() {
            return Err(Forbidden::ProviderNotTrusted.into());
        }
        let scope = Scope::new(permit.cluster().id, request.namespaces);
        let vouch = self.observer.check_role(permit, Some(&request.role), &scope).await?;
        let answer = Answer {
            grant: GrantId::new(),
            role: request.role,
            scope,
            expires_at: request.lasts.map(|span| now.plus(span)),
            by: permit.person().identity().id,
            vouch,
        };
        let what = audit::rights(Some(&answer.role), &answer.scope, answer.expires_at);
        let why = audit::because(Some(&asked.wish.reason));
        let event = audit::by(permit.person(), Action::RequestApproved, format!("{}: {what}{why}", who.display()));
        let grant = self.store.approve_request(id, &answer, event, now).await?;
        Ok((grant.id, self.applier.apply_now(grant.id).await?))
    }

    /// Says no, perhaps with a word for whoever asked.
    ///
    /// # Errors
    /// `Stale` where it does not wait any more.
    pub async fn decline(
        &self,
        permit: &Authorized<ManageAccess>,
        id: AccessRequestId,
        word: Option<Reason>,
    ) -> Result<(), AccessError> {
        let (asked, who) = self.of(permit, id).await?;
        let said = audit::because(word.as_ref());
        let target = format!("{}: {}{said}", who.display(), in_words(&asked.wish));
        let event = audit::by(permit.person(), Action::RequestDeclined, target);
        let how = Closing::Decline(permit.person().identity().id, word);
        Ok(self.store.close_request(id, &how, event, self.clock.now()).await?)
    }

    /// Takes one's own back. Repeating it is fine; somebody else's is not found.
    ///
    /// # Errors
    /// `Stale` where it has been answered meanwhile.
    pub async fn withdraw(&self, permit: &Authorized<OwnThings>, id: AccessRequestId) -> Result<(), AccessError> {
        let asked = self.store.request(id).await?;
        let by = permit.person().identity().id;
        if asked.by != by {
            return Err(AccessError::NotFound);
        }
        if asked.state == crate::model::access_request::RequestState::Withdrawn {
            return Ok(());
        }
        let event = audit::by(permit.person(), Action::RequestWithdrawn, in_words(&asked.wish));
        Ok(self.store.close_request(id, &Closing::Withdraw(by), event, self.clock.now()).await?)
    }

    /// A request on the permit's cluster, and who asks.
    pub async fn of(
        &self,
        permit: &Authorized<ManageAccess>,
        id: AccessRequestId,
    ) -> Result<(AccessRequest, Identity), AccessError> {
        let request = self.store.request(id).await?;
        if request.wish.scope.cluster() != permit.cluster().id {
            return Err(AccessError::NotFound);
        }
        let who = self.store.identity(request.by).await?;
        Ok((request, who))
    }
}

/// “edit on namespace shop for 30 days (“on call”)”.
fn in_words(wish: &Wish) -> String {
    let lasts =
        wish.lasts.map_or_else(|| "with no end".to_owned(), |span| format!("for {} days", span.as_secs() / 86_400));
    format!("{} on {} {lasts}{}", wish.role, wish.scope.in_words(), audit::because(Some(&wish.reason)))
}

fn invalid(field: &'static str, message: &str) -> AccessError {
    AccessError::Invalid { field, message: message.to_owned() }
}
