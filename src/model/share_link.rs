//! Share links: an invitation with a grant folded inside. Whoever opens one and signs in may accept what it carries.

use std::time::Duration;

use super::{
    id::{IdentityId, ShareLinkId},
    role::Role,
    scope::Scope,
    time::Timestamp,
};

/// A share link as it is stored; its token is kept apart, hashed for look-up and sealed for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareLink {
    /// Its id.
    pub id: ShareLinkId,
    /// The role that accepting gives; `None` gives a kubeconfig and no rights.
    pub role: Option<Role>,
    /// Where.
    pub scope: Scope,
    /// How long the access lasts from acceptance; `None` has no end.
    pub access_lasts: Option<Duration>,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// After this nobody new can accept it.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// How many people have accepted it.
    pub uses: i64,
}

/// Whether a link can be accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It can.
    Open,
    /// Its time is up.
    Expired,
    /// Somebody took it back.
    Revoked,
}

impl ShareLink {
    /// Whether it can be accepted now.
    pub fn state(&self, now: Timestamp) -> LinkState {
        if self.revoked_at.is_some() {
            LinkState::Revoked
        } else if now >= self.expires_at {
            LinkState::Expired
        } else {
            LinkState::Open
        }
    }

    /// Until when access accepted now would last.
    pub fn access_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.access_lasts.map(|span| now.plus(span))
    }
}
