//! Share links: making, copying again, revoking, accepting.

use std::{sync::Arc, time::Duration};

use super::{AccessError, Applier, audit};
use crate::{
    clock::Clock,
    crypto::{Keyring, PlainToken, SHARE_LINK_PREFIX},
    model::{
        audit::Action,
        grant::{Grant, GrantState, Grantee, Origin},
        id::{GrantId, ShareLinkId},
        name::Namespace,
        role::Role,
        scope::Scope,
        share_link::ShareLink,
        time::Timestamp,
    },
    policy::{AcceptLink, Authorized, Forbidden, ManageAccess},
    store::{Accepted, NewGrant, NewLink, Store},
};

/// The longest that a link can be open.
const MAX_OPEN: Duration = Duration::from_hours(8784);

/// A link to make.
#[derive(Clone, Debug)]
pub struct ShareRequest {
    /// The role, or none.
    pub role: Option<Role>,
    /// Where; empty for the whole cluster.
    pub namespaces: Vec<Namespace>,
    /// For how long from acceptance; `None` for no end.
    pub access_lasts: Option<Duration>,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// What accepting led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// The access is theirs, in this state on the cluster.
    Yours(GrantState),
    /// They had accepted it before, and that access was taken back or has run out.
    EndedBefore,
    /// The link was closed in the meantime.
    Closed,
}

/// Share links.
#[derive(Clone, Debug)]
pub struct Links {
    store: Store,
    keyring: Arc<Keyring>,
    applier: Applier,
    clock: Clock,
}

impl Links {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, applier: Applier, clock: Clock) -> Self {
        Self { store, keyring, applier, clock }
    }

    /// Makes a link.
    pub async fn share(
        &self,
        permit: &Authorized<ManageAccess>,
        request: ShareRequest,
    ) -> Result<(ShareLink, PlainToken), AccessError> {
        let now = self.clock.now();
        let cluster = permit.cluster();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        if request.expires_at <= now || request.expires_at > now.plus(MAX_OPEN) {
            let message = "A link is open for at most a year, from now on.".to_owned();
            return Err(AccessError::Invalid { field: "link_expires", message });
        }
        let id = ShareLinkId::new();
        let token = PlainToken::generate(SHARE_LINK_PREFIX);
        let scope = Scope::new(cluster.id, request.namespaces);
        let new = NewLink {
            id,
            token_hash: token.hash(),
            sealed_token: self.keyring.seal(&context(id), token.expose().as_bytes()),
            role: request.role,
            scope,
            access_lasts: request.access_lasts,
            expires_at: request.expires_at,
            created_by: permit.person().identity().id,
        };
        let role = new.role.map_or("no role", Role::as_str);
        let target = format!("{role} on {}, open until {}", new.scope.in_words(), new.expires_at);
        let event = audit::by(permit.person(), Action::LinkCreated, target);
        Ok((self.store.add_link(&new, event, now).await?, token))
    }

    /// A cluster's links with their tokens, newest first, for the people who manage it. One whose token does not open with
    /// this key ring comes without it: whoever has the link can still use it, so it must still be possible to revoke it.
    pub async fn list(
        &self,
        permit: &Authorized<ManageAccess>,
        limit: u32,
    ) -> Result<Vec<(ShareLink, Option<PlainToken>)>, AccessError> {
        let stored = self.store.links_of_cluster(permit.cluster().id, limit).await?;
        let opened = stored.into_iter().map(|(link, sealed)| {
            let token = self.open_token(&link, &sealed);
            (link, token)
        });
        Ok(opened.collect())
    }

    /// Takes a link back; access that it gave stays.
    pub async fn revoke(&self, permit: &Authorized<ManageAccess>, id: ShareLinkId) -> Result<(), AccessError> {
        let link = self.store.link(id).await?;
        if link.scope.cluster() != permit.cluster().id {
            return Err(AccessError::NotFound);
        }
        let role = link.role.map_or("no role", Role::as_str);
        let target = format!("{role} on {}, accepted by {}", link.scope.in_words(), link.uses);
        let event = audit::by(permit.person(), Action::LinkRevoked, target);
        Ok(self.store.revoke_link(id, event, self.clock.now()).await?)
    }

    /// Accepts: grant, use and event in one transaction, then the binding. Twice is once.
    pub async fn accept(&self, permit: &Authorized<AcceptLink>) -> Result<AcceptOutcome, AccessError> {
        let now = self.clock.now();
        let (link, by) = (permit.link(), permit.person().identity());
        let grant = NewGrant {
            id: GrantId::new(),
            grantee: Grantee::Person(by.id),
            role: link.role,
            scope: link.scope.clone(),
            expires_at: link.access_until(now),
            origin: Origin::Link(link.id),
            created_by: link.created_by,
        };
        let what = audit::rights(grant.role, &grant.scope, grant.expires_at);
        let event = audit::by(permit.person(), Action::LinkAccepted, format!("{}: {what}", by.display()));
        match self.store.accept_link(link.id, by.id, &grant, event, now).await? {
            Accepted::New(grant) | Accepted::Before(grant) => Ok(AcceptOutcome::Yours(self.bring(&grant).await)),
            Accepted::Ended => Ok(AcceptOutcome::EndedBefore),
            Accepted::Closed => Ok(AcceptOutcome::Closed),
        }
    }

    /// The access is theirs from the transaction on; a binding that fails now is tried again and said on the page.
    async fn bring(&self, grant: &Grant) -> GrantState {
        if grant.state == GrantState::Applied {
            return grant.state;
        }
        match self.applier.apply_now(grant.id).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(grant = %grant.id, %error, "an accepted grant could not be applied at once");
                grant.state
            }
        }
    }

    fn open_token(&self, link: &ShareLink, sealed: &[u8]) -> Option<PlainToken> {
        let plain = self.keyring.open(&context(link.id), sealed).ok()?;
        PlainToken::parse(SHARE_LINK_PREFIX, std::str::from_utf8(&plain).ok()?)
    }
}

fn context(id: ShareLinkId) -> String {
    format!("link:{id}:token")
}
