//! Grants: the central object. A subject, a role, a scope, perhaps an expiry; bindings on clusters are made out of them.
//!
//! A grant's row is the truth and its bindings follow. `GrantState` says how far they have followed.

use std::time::Duration;

use super::{
    claim_mapping::{ClaimMapping, Unmappable},
    id::{AccessRequestId, FederatedGrantId, FileId, GrantId, IdentityId, ShareLinkId},
    identity::Identity,
    name::Email,
    provider::ProviderId,
    reason::Reason,
    role::Role,
    scope::Scope,
    service_account::AccountName,
    subject::Subject,
    time::Timestamp,
};

/// Access that ends within so long is warned about.
pub const SOON: Duration = Duration::from_hours(7 * 24);
/// A binding that stands for so long after the access has ended is overdue: until then Kubelend is at it.
pub const GRACE: Duration = Duration::from_secs(5);

/// Whom a grant is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// Somebody who has signed in at least once.
    Person(IdentityId),
    /// Somebody who has not signed in yet; becomes a `Person` at the first sign-in with this verified email at the provider.
    Email(ProviderId, Email),
    /// A provider's group, without prefix.
    Group(ProviderId, String),
    /// A ServiceAccount of the grant's cluster, whoever made it.
    ServiceAccount(AccountName),
}

/// How a grant came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody added it on the access page.
    Manual,
    /// Somebody accepted this share link.
    Link(ShareLinkId),
    /// The cluster's owner got it when the cluster was added.
    Owner,
    /// Somebody asked for it, and this request was approved.
    Request(AccessRequestId),
    /// A federated grant reaches this cluster. It is taken back there, never here.
    Federated(FederatedGrantId),
    /// A file that was applied says so.
    File(FileId),
}

impl Origin {
    /// Whether its role and its place are changed where it stands. What a link gave is as the link says; what reaches further than
    /// one cluster is changed there.
    pub fn is_changed_here(self) -> bool {
        match self {
            Self::Manual | Self::Owner | Self::Request(_) => true,
            Self::Link(_) | Self::Federated(_) | Self::File(_) => false,
        }
    }

    /// Whether its end and its reason are.
    pub fn is_extended_here(self) -> bool {
        !matches!(self, Self::Federated(_) | Self::File(_))
    }
}

/// How far the cluster has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// Wanted, and its bindings are not known to stand yet.
    Pending,
    /// Its bindings stand.
    Applied,
    /// Something else on the cluster bears the name of its binding; nothing was touched.
    Conflict,
    /// The cluster refused (the detail says why); it is tried again.
    Failed,
    /// No longer wanted, and its bindings are not known to be gone yet.
    Removing,
    /// No longer wanted, and its bindings are gone.
    Removed,
}

impl GrantState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Removing => "removing",
            Self::Removed => "removed",
        }
    }

    /// As stored.
    pub fn parse(s: &str) -> Option<Self> {
        [Self::Pending, Self::Applied, Self::Conflict, Self::Failed, Self::Removing, Self::Removed]
            .into_iter()
            .find(|x| x.as_str() == s)
    }
}

/// Why a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody removed it.
    Revoked,
    /// Its time was up.
    Expired,
    /// Its cluster is being removed.
    ClusterRemoved,
    /// Its cluster is no longer in the scope of the federated grant that it came from, or the file that it came from says it no longer.
    OutOfScope,
    /// It was changed: another one took its place.
    Replaced,
}

impl EndReason {
    /// All of them.
    const ALL: [Self; 5] = [Self::Revoked, Self::Expired, Self::ClusterRemoved, Self::OutOfScope, Self::Replaced];
}

impl EndReason {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::ClusterRemoved => "cluster_removed",
            Self::OutOfScope => "out_of_scope",
            Self::Replaced => "replaced",
        }
    }

    /// As stored.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|x| x.as_str() == s)
    }
}

/// A grant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id; its bindings are named after it.
    pub id: GrantId,
    /// Whom it is for.
    pub grantee: Grantee,
    /// The role; `None` for access without rights (a share link with no role): it has no binding, and lets the
    /// person hold a kubeconfig.
    pub role: Option<Role>,
    /// Where it reaches.
    pub scope: Scope,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Why it was given, in its maker's words.
    pub reason: Option<Reason>,
    /// How it came to be.
    pub origin: Origin,
    /// Who made it (for a link: who made the link).
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// How far the cluster has followed.
    pub state: GrantState,
    /// What stands in the way, in words for a page, where something does.
    pub state_detail: Option<String>,
    /// Since when it is in this state.
    pub state_since: Timestamp,
    /// Why it ended, once it has.
    pub ended: Option<EndReason>,
}

impl Grant {
    /// Whether it is wanted at this moment: neither ended nor past its expiry.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it lives and ends within a week, so that people are told.
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        self.is_live(now) && self.expires_at.is_some_and(|end| end <= now.plus(SOON))
    }
}

impl Grant {
    /// Whether whoever it reaches can give it back by themselves: it was given to them alone, and on this cluster alone.
    pub fn can_be_left(&self) -> bool {
        !matches!(self.grantee, Grantee::Group(..)) && !matches!(self.origin, Origin::Federated(_))
    }
}

impl Grantee {
    /// The RBAC subject that a cluster with this mapping compares. `person` is the identity of a `Person` grantee.
    ///
    /// # Errors
    /// When no name can be made of them.
    pub fn subject(&self, mapping: &ClaimMapping, person: Option<&Identity>) -> Result<Subject, Unmappable> {
        match self {
            Self::Person(_) => mapping.username(person.ok_or(Unmappable::NoEmail)?).map(Subject::user),
            Self::Email(_, email) => mapping.username_of_email(email).map(Subject::user),
            Self::Group(_, group) => mapping.group(group).map(Subject::group),
            // The cluster itself names it.
            Self::ServiceAccount(account) => Ok(account.subject()),
        }
    }
}
