//! Share links: making, changing, copying again, resting, revoking, accepting.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{AccessError, Applier, Observer, audit, own_groups};
use crate::{
    clock::Clock,
    crypto::{Keyring, PlainToken, SHARE_LINK_PREFIX},
    model::{
        audience::{Audience, Guest},
        audit::Action,
        cluster::Cluster,
        grant::{Grant, GrantState, Grantee, Origin},
        id::{GrantId, ShareLinkId},
        name::Namespace,
        reason::Reason,
        role::Role,
        scope::Scope,
        share_link::{LinkRules, Note, ShareLink},
        time::Timestamp,
        vouch::Vouch,
    },
    policy::{self, AcceptLink, Authorized, Forbidden, ManageAccess},
    store::{Accepted, NewGrant, NewLink, Store},
};

/// The longest that a link can be open.
const MAX_OPEN: Duration = Duration::from_hours(8784);
/// Who has more people than this to let in gives the access to a group.
const MAX_USES: u32 = 100_000;
/// Of access that is taken back together, so much is brought to the cluster while the page waits; the loop does the rest.
const AT_ONCE: usize = 8;

/// What a link is to give, to whom and until when.
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
    /// How many may accept it in all; `None` for any number.
    pub max_uses: Option<NonZeroU32>,
    /// Who may.
    pub audience: Audience,
    /// For the visitor to read.
    pub note: Option<Note>,
    /// Why, for the people who manage the cluster.
    pub reason: Option<Reason>,
}

/// What accepting led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// The access is theirs, in this state on the cluster.
    Yours(GrantState),
    /// They had accepted it before, and that access was taken back or has run out.
    EndedBefore,
    /// The link was closed in the meantime, or somebody else had the last use.
    Closed,
}

/// Share links.
#[derive(Clone, Debug)]
pub struct Links {
    store: Store,
    keyring: Arc<Keyring>,
    applier: Applier,
    observer: Observer,
    clock: Clock,
}

impl Links {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, applier: Applier, observer: Observer, clock: Clock) -> Self {
        Self { store, keyring, applier, observer, clock }
    }

    /// Makes a link. `Invalid` names the form's field (`role`, `expires`, `uses`, `only_for`).
    pub async fn share(
        &self,
        permit: &Authorized<ManageAccess>,
        request: ShareRequest,
    ) -> Result<(ShareLink, PlainToken), AccessError> {
        let now = self.clock.now();
        check_end(request.expires_at, now)?;
        let (rules, vouch) = self.rules(permit, request).await?;
        let id = ShareLinkId::new();
        let token = PlainToken::generate(SHARE_LINK_PREFIX);
        let new = NewLink {
            id,
            token_hash: token.hash(),
            sealed_token: self.keyring.seal(&context(id), token.expose().as_bytes()),
            rules,
            created_by: permit.person().identity().id,
            vouch,
        };
        let event = audit::by(permit.person(), Action::LinkCreated, in_words(&new.rules));
        Ok((self.store.add_link(&new, event, now).await?, token))
    }

    /// Gives a link other rules. Its token stays, and what it gave to others stays as it was given.
    pub async fn change(
        &self,
        permit: &Authorized<ManageAccess>,
        id: ShareLinkId,
        request: ShareRequest,
    ) -> Result<(), AccessError> {
        let now = self.clock.now();
        let link = self.of(permit, id).await?;
        // An end that stays as it is may be past.
        if request.expires_at != link.rules.expires_at {
            check_end(request.expires_at, now)?;
        }
        let (rules, vouch) = self.rules(permit, request).await?;
        let event = audit::by(permit.person(), Action::LinkChanged, in_words(&rules));
        Ok(self.store.change_link(id, &rules, vouch.as_ref(), event, now).await?)
    }

    /// Lets a link rest, or opens it again: whoever could not have made it does not open it either.
    pub async fn rest(
        &self,
        permit: &Authorized<ManageAccess>,
        id: ShareLinkId,
        rests: bool,
    ) -> Result<(), AccessError> {
        let link = self.of(permit, id).await?;
        if !rests {
            policy::hand_on(permit, &link)?;
        }
        let action = if rests { Action::LinkPaused } else { Action::LinkResumed };
        let event = audit::by(permit.person(), action, in_words(&link.rules));
        Ok(self.store.rest_link(id, rests, event, self.clock.now()).await?)
    }

    /// One link with its token, for the people who manage its cluster. It comes without where they could not have made it, since
    /// whoever has the token can take what it gives; and where the token does not open with this key ring: whoever has the link
    /// can still use it, so it must still be possible to revoke it.
    pub async fn look(
        &self,
        permit: &Authorized<ManageAccess>,
        id: ShareLinkId,
    ) -> Result<(ShareLink, Option<PlainToken>), AccessError> {
        let (link, sealed) = self.store.link_with_token(id).await?;
        if link.rules.scope.cluster() != permit.cluster().id {
            return Err(AccessError::NotFound);
        }
        let may_have = policy::hand_on(permit, &link).is_ok();
        let token = self.open_token(&link, &sealed).filter(|_| may_have);
        Ok((link, token))
    }

    /// Takes a link back; access that it gave stays.
    pub async fn revoke(&self, permit: &Authorized<ManageAccess>, id: ShareLinkId) -> Result<(), AccessError> {
        let link = self.of(permit, id).await?;
        let event = audit::by(permit.person(), Action::LinkRevoked, revoked(&link));
        Ok(self.store.revoke_link(id, event, self.clock.now()).await?)
    }

    /// Takes a link back with all access that it gave. Returns how many people lose something.
    pub async fn revoke_with_access(
        &self,
        permit: &Authorized<ManageAccess>,
        id: ShareLinkId,
    ) -> Result<usize, AccessError> {
        let link = self.of(permit, id).await?;
        let event = audit::by(permit.person(), Action::LinkRevoked, revoked(&link));
        let ended = self.store.revoke_link_and_access(id, event, self.clock.now()).await?;
        // All of it is due; what the page does not wait for the loop takes up within a second.
        join_all(ended.iter().take(AT_ONCE).map(|grant| self.brought(*grant))).await;
        Ok(ended.len())
    }

    /// Accepts: grant, use and event in one transaction, then the binding. Twice is once.
    pub async fn accept(&self, permit: &Authorized<AcceptLink>) -> Result<AcceptOutcome, AccessError> {
        let now = self.clock.now();
        let (link, by) = (permit.link(), permit.person().identity());
        let grant = NewGrant {
            id: GrantId::new(),
            grantee: Grantee::Person(by.id),
            role: link.rules.role.clone(),
            scope: link.rules.scope.clone(),
            expires_at: link.access_until(now),
            reason: link.rules.reason.clone(),
            origin: Origin::Link(link.id),
            created_by: link.created_by,
            vouch: link.vouch.clone(),
        };
        let what = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
        let why = audit::because(grant.reason.as_ref());
        let event = audit::by(permit.person(), Action::LinkAccepted, format!("{}: {what}{why}", by.display()));
        match self.store.accept_link(link.id, by, &grant, event, now).await? {
            Accepted::New(grant) | Accepted::Before(grant) => Ok(AcceptOutcome::Yours(self.bring(&grant).await)),
            Accepted::Ended => Ok(AcceptOutcome::EndedBefore),
            Accepted::Closed => Ok(AcceptOutcome::Closed),
        }
    }

    /// A link of the permit's cluster.
    async fn of(&self, permit: &Authorized<ManageAccess>, id: ShareLinkId) -> Result<ShareLink, AccessError> {
        let link = self.store.link(id).await?;
        if link.rules.scope.cluster() == permit.cluster().id { Ok(link) } else { Err(AccessError::NotFound) }
    }

    async fn rules(
        &self,
        permit: &Authorized<ManageAccess>,
        request: ShareRequest,
    ) -> Result<(LinkRules, Option<Vouch>), AccessError> {
        let cluster = permit.cluster();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        if request.max_uses.is_some_and(|most| most.get() > MAX_USES) {
            let message = format!("At most {MAX_USES}. Leave it empty for any number.");
            return Err(AccessError::Invalid { field: "uses", message });
        }
        check_audience(cluster, &request.audience)?;
        let scope = Scope::new(cluster.id, request.namespaces);
        let vouch = self.observer.check_role(permit, request.role.as_ref(), &scope).await?;
        let of_owners = request.role.as_ref().is_some_and(Role::is_for_owners)
            || vouch.as_ref().is_some_and(|vouch| vouch.owner.is_some());
        own_groups::check_named(&self.store, &request.audience, cluster.workspace, of_owners).await?;
        let rules = LinkRules {
            role: request.role,
            scope,
            access_lasts: request.access_lasts,
            expires_at: request.expires_at,
            max_uses: request.max_uses,
            audience: request.audience,
            note: request.note,
            reason: request.reason,
        };
        Ok((rules, vouch))
    }

    /// The access is theirs from the transaction on; a binding that fails now is tried again and said on the page.
    async fn bring(&self, grant: &Grant) -> GrantState {
        if grant.state == GrantState::Applied {
            grant.state
        } else {
            self.brought(grant.id).await.unwrap_or(grant.state)
        }
    }

    async fn brought(&self, grant: GrantId) -> Option<GrantState> {
        let applied = self.applier.apply_now(grant).await;
        applied
            .inspect_err(|error| tracing::warn!(%grant, %error, "a grant could not be brought to its cluster at once"))
            .ok()
    }

    fn open_token(&self, link: &ShareLink, sealed: &[u8]) -> Option<PlainToken> {
        let plain = self.keyring.open(&context(link.id), sealed).ok()?;
        PlainToken::parse(SHARE_LINK_PREFIX, std::str::from_utf8(&plain).ok()?)
    }
}

fn context(id: ShareLinkId) -> String {
    format!("link:{id}:token")
}

fn check_end(expires_at: Timestamp, now: Timestamp) -> Result<(), AccessError> {
    if expires_at > now && expires_at <= now.plus(MAX_OPEN) {
        return Ok(());
    }
    let message = "A link is open for at most a year, from now on.".to_owned();
    Err(AccessError::Invalid { field: "expires", message })
}

/// A list is of people whom the cluster knows, and names groups as their provider does.
fn check_audience(cluster: &Cluster, audience: &Audience) -> Result<(), AccessError> {
    let Audience::Listed(provider, guests) = audience else { return Ok(()) };
    let invalid = |message: String| Err(AccessError::Invalid { field: "only_for", message });
    let Some(mapping) = cluster.mapping(provider) else {
        return invalid("This cluster does not trust the provider that they sign in at.".into());
    };
    let prefix = mapping.groups_prefix.as_str();
    let prefixed = guests.iter().find_map(|guest| match guest {
        Guest::Group(group) if !prefix.is_empty() => group.strip_prefix(prefix),
        _ => None,
    });
    match prefixed {
        Some(group) => invalid(format!(
            "Leave out “{prefix}”: write group:{group}, as the sign-in provider has it. The prefix is the cluster's alone."
        )),
        None if guests.is_empty() => {
            invalid("Name somebody, or leave the field empty for anyone who can sign in.".into())
        }
        None => Ok(()),
    }
}

/// A link's rules in the words of the trail: “view on namespace shop, open until …, for bob@example.com, once”.
fn in_words(rules: &LinkRules) -> String {
    let role = rules.role.as_ref().map_or_else(|| "no role".to_owned(), ToString::to_string);
    let uses = rules.max_uses.map(|most| format!(", at most {most} times")).unwrap_or_default();
    let (scope, until, whom) = (rules.scope.in_words(), rules.expires_at, rules.audience.in_words());
    format!("{role} on {scope}, open until {until}, for {whom}{uses}{}", audit::because(rules.reason.as_ref()))
}

fn revoked(link: &ShareLink) -> String {
    let role = link.rules.role.as_ref().map_or_else(|| "no role".to_owned(), ToString::to_string);
    format!("{role} on {}, accepted by {}", link.rules.scope.in_words(), link.uses)
}
