//! Invitations: share links that carry a membership of a workspace. Making, copying again, revoking, accepting.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{AccessError, audit, own_groups, own_providers};
use crate::{
    clock::Clock,
    crypto::{Keyring, PlainToken, SHARE_LINK_PREFIX},
    model::{audience::Audience, audit::Action, id::InvitationId, invitation::Invitation, workspace::MemberRole},
    policy::{Authorized, Forbidden, JoinWorkspace, ManageMembers},
    store::{Joined, NewInvitation, Store, StoreError},
};

/// What an invitation is to say.
#[derive(Clone, Debug)]
pub struct InvitationRequest {
    /// What whoever accepts becomes.
    pub role: MemberRole,
    /// Who may accept it.
    pub audience: Audience,
    /// For how long.
    pub open_for: Duration,
    /// How many may accept it in all; `None` for any number.
    pub max_uses: Option<NonZeroU32>,
}

/// Invitations.
#[derive(Clone, Debug)]
pub struct Invitations {
    store: Store,
    keyring: Arc<Keyring>,
    clock: Clock,
}

impl Invitations {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, clock: Clock) -> Self {
        Self { store, keyring, clock }
    }

    /// Makes one. `Invalid` names the form's field (`only_for`): whoever manages something by it is named.
    pub async fn invite(
        &self,
        permit: &Authorized<ManageMembers>,
        request: InvitationRequest,
    ) -> Result<InvitationId, AccessError> {
        if let Audience::Listed(provider, _) = &request.audience
            && !provider.counts_in(Some(permit.workspace().id))
        {
            return Err(own_providers::elsewhere("only_for"));
        }
        if request.role > MemberRole::Viewer && request.audience == Audience::Anyone {
            let message = "Say who: a link for anyone may make viewers alone.".to_owned();
            return Err(AccessError::Invalid { field: "only_for", message });
        }
        own_groups::check_named(&self.store, &request.audience, permit.workspace().id, true).await?;
        let (now, id) = (self.clock.now(), InvitationId::new());
        let token = PlainToken::generate(SHARE_LINK_PREFIX);
        let invitation = Invitation {
            id,
            workspace: permit.workspace().id,
            role: request.role,
            audience: request.audience,
            expires_at: now.plus(request.open_for),
            max_uses: request.max_uses,
            created_by: permit.person().identity().id,
            created_at: now,
            revoked_at: None,
            uses: 0,
        };
        let event = audit::by(permit.person(), Action::InvitationCreated, in_words(&invitation));
        let sealed_token = self.keyring.seal(&context(id), token.expose().as_bytes());
        let new = NewInvitation { invitation, token_hash: token.hash(), sealed_token };
        self.store.add_invitation(&new, event, now).await.map_err(refused)?;
        Ok(id)
    }

    /// One with its token, for the workspace's owners. One whose token does not open with this key ring comes without it.
    pub async fn look(
        &self,
        permit: &Authorized<ManageMembers>,
        id: InvitationId,
    ) -> Result<(Invitation, Option<PlainToken>), AccessError> {
        let (invitation, sealed) = self.of(permit, id).await?;
        let opened = self.keyring.open(&context(id), &sealed).ok();
        let token = opened.and_then(|bytes| PlainToken::parse(SHARE_LINK_PREFIX, std::str::from_utf8(&bytes).ok()?));
        Ok((invitation, token))
    }

    /// Takes one back; who has accepted it stays a member.
    pub async fn revoke(&self, permit: &Authorized<ManageMembers>, id: InvitationId) -> Result<(), AccessError> {
        let (invitation, _) = self.of(permit, id).await?;
        let event = audit::by(permit.person(), Action::InvitationRevoked, in_words(&invitation));
        Ok(self.store.revoke_invitation(id, event, self.clock.now()).await?)
    }

    /// Accepts. Twice is once. Returns whether they are a member now: the invitation may have been closed in the meantime.
    pub async fn accept(&self, permit: &Authorized<JoinWorkspace>) -> Result<bool, AccessError> {
        let (person, invitation) = (permit.person(), permit.invitation());
        let target = format!("{}: {}", person.identity().display(), invitation.role.as_str());
        let event = audit::by(person, Action::InvitationAccepted, target);
        let done = self.store.accept_invitation(invitation.id, person.identity(), event, self.clock.now()).await;
        Ok(done.map_err(refused)? == Joined::Member)
    }

    async fn of(
        &self,
        permit: &Authorized<ManageMembers>,
        id: InvitationId,
    ) -> Result<(Invitation, Vec<u8>), AccessError> {
        let (invitation, sealed) = self.store.invitation(id).await?;
        if invitation.workspace == permit.workspace().id {
            Ok((invitation, sealed))
        } else {
            Err(AccessError::NotFound)
        }
    }
}

fn refused(error: StoreError) -> AccessError {
    if matches!(error, StoreError::Stale) { Forbidden::WorkspaceGoing.into() } else { error.into() }
}

/// “viewer for everybody at example.com until 2026-12-01T00:00:00Z”.
fn in_words(invitation: &Invitation) -> String {
    format!("{} for {} until {}", invitation.role.as_str(), invitation.audience.in_words(), invitation.expires_at)
}

/// What a token is sealed for.
fn context(id: InvitationId) -> String {
    format!("invitation:{id}:token")
}
