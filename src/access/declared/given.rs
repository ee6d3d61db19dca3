//! What an entry gives to whom, as far as the file's names are understood.

use super::{Gift, RoleAt, groups::OwnGroup, look::same};
use crate::{
    access::Recipient,
    declared::GrantEntry,
    model::{grant::Grantee, group::Holder},
};

/// Whom an entry is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    One(Grantee),
    Group(OwnGroup),
}

impl To {
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => same(one, other),
            (one, other) => one == other,
        }
    }

    /// As a grant has it, where that is there.
    pub(super) fn holder(&self) -> Option<Holder> {
        match self {
            Self::One(grantee) => Some(Holder::One(grantee.clone())),
            Self::Group(group) => group.holder(),
        }
    }

    pub(super) fn recipient(&self) -> Recipient {
        match self {
            Self::One(grantee) => Recipient::One(grantee.clone()),
            Self::Group(group) => Recipient::Group(group.typed.clone()),
        }
    }
}

/// What an entry gives.
pub(super) struct Given {
    pub(super) to: To,
    pub(super) role: RoleAt,
    pub(super) words: String,
}

pub(super) fn gift(role: RoleAt, entry: &GrantEntry) -> Gift {
    Gift { role, namespaces: entry.namespaces.clone(), until: entry.until, reason: entry.reason.clone() }
}
