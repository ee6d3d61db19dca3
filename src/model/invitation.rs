//! Invitations: share links that carry a membership of a workspace in place of access to a cluster.

use std::num::NonZeroU32;

use super::{
    audience::Audience,
    id::{IdentityId, InvitationId, WorkspaceId},
    share_link::LinkState,
    time::Timestamp,
    workspace::MemberRole,
};

/// An invitation as it is stored; its token is kept apart, hashed for look-up and sealed for the workspace's owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Where to.
    pub workspace: WorkspaceId,
    /// What whoever accepts becomes.
    pub role: MemberRole,
    /// Who may accept it.
    pub audience: Audience,
    /// After this nobody new can accept it.
    pub expires_at: Timestamp,
    /// How many people may accept it in all; `None` for any number. One person accepts it once in any case.
    pub max_uses: Option<NonZeroU32>,
    /// Who made it. It is worth what they may themselves.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// How many people have accepted it.
    pub uses: i64,
}

impl Invitation {
    /// Whether it can be accepted now. What cannot be undone is said first.
    pub fn state(&self, now: Timestamp) -> LinkState {
        if self.revoked_at.is_some() {
            LinkState::Revoked
        } else if now >= self.expires_at {
            LinkState::Expired
        } else if self.max_uses.is_some_and(|most| self.uses >= i64::from(most.get())) {
            LinkState::UsedUp
        } else {
            LinkState::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_until_its_end_its_last_use_or_its_revocation() {
        let open = Invitation {
            id: InvitationId::new(),
            workspace: WorkspaceId::new(),
            role: MemberRole::Viewer,
            audience: Audience::Anyone,
            expires_at: Timestamp::from_secs(100),
            max_uses: NonZeroU32::new(2),
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            uses: 1,
        };
        let now = Timestamp::from_secs(99);
        assert_eq!(open.state(now), LinkState::Open);
        assert_eq!(open.state(Timestamp::from_secs(100)), LinkState::Expired);
        assert_eq!(Invitation { uses: 2, ..open.clone() }.state(now), LinkState::UsedUp);
        assert_eq!(Invitation { revoked_at: Some(now), ..open }.state(now), LinkState::Revoked);
    }
}
