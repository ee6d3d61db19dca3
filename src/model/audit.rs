//! Audit events: who did what to what, when, and how it went. Written in the transaction of what they record, never changed.

use super::{
    id::{AuditEventId, ClusterId, IdentityId, WorkspaceId},
    time::Timestamp,
};

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person.
    Person(IdentityId),
    /// Kubelend by itself: an expiry, a repair.
    Kubelend,
}

/// What was done. The names are stored; they are never reused for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each says itself")]
pub enum Action {
    SignedIn,
    SignedOut,
    ClusterAdded,
    ClusterRenamed,
    ClusterCredentialsReplaced,
    ClusterCredentialsExchanged,
    ClusterTrustChanged,
    ClusterRemovalAsked,
    ClusterRemoved,
    LinkCreated,
    LinkChanged,
    LinkPaused,
    LinkResumed,
    LinkRevoked,
    LinkAccepted,
    GrantAdded,
    GrantRevoked,
    GrantExpired,
    GrantDoubted,
    GrantChanged,
    GrantExtended,
    BindingApplied,
    BindingRemoved,
    BindingFailed,
    BindingRepaired,
    KubeconfigIssued,
    DeviceRevoked,
    DeviceApart,
    UpstreamEnded,
    SessionsEnded,
    ClusterFormatsChanged,
    KeyRingAccepted,
    WorkspaceCreated,
    WorkspaceRenamed,
    WorkspaceRemovalAsked,
    WorkspaceRemoved,
    MemberAdded,
    MemberChanged,
    MemberRemoved,
    MemberDoubted,
    ClusterMoved,
    ClusterLabelled,
    ProjectAdded,
    ProjectChanged,
    ProjectRemoved,
    InvitationCreated,
    InvitationRevoked,
    InvitationAccepted,
    AccountAdded,
    AccountDeleted,
    AccountApplied,
    AccountRemoved,
    AccountFailed,
    TokenIssued,
    TokenRevoked,
    TokenEnded,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 56] = [
        Self::SignedIn,
        Self::SignedOut,
        Self::ClusterAdded,
        Self::ClusterRenamed,
        Self::ClusterCredentialsReplaced,
        Self::ClusterCredentialsExchanged,
        Self::ClusterTrustChanged,
        Self::ClusterRemovalAsked,
        Self::ClusterRemoved,
        Self::LinkCreated,
        Self::LinkChanged,
        Self::LinkPaused,
        Self::LinkResumed,
        Self::LinkRevoked,
        Self::LinkAccepted,
        Self::GrantAdded,
        Self::GrantRevoked,
        Self::GrantExpired,
        Self::GrantDoubted,
        Self::GrantChanged,
        Self::GrantExtended,
        Self::BindingApplied,
        Self::BindingRemoved,
        Self::BindingFailed,
        Self::BindingRepaired,
        Self::KubeconfigIssued,
        Self::DeviceRevoked,
        Self::DeviceApart,
        Self::UpstreamEnded,
        Self::SessionsEnded,
        Self::ClusterFormatsChanged,
        Self::KeyRingAccepted,
        Self::WorkspaceCreated,
        Self::WorkspaceRenamed,
        Self::WorkspaceRemovalAsked,
        Self::WorkspaceRemoved,
        Self::MemberAdded,
        Self::MemberChanged,
        Self::MemberRemoved,
        Self::MemberDoubted,
        Self::ClusterMoved,
        Self::ClusterLabelled,
        Self::ProjectAdded,
        Self::ProjectChanged,
        Self::ProjectRemoved,
        Self::InvitationCreated,
        Self::InvitationRevoked,
        Self::InvitationAccepted,
        Self::AccountAdded,
        Self::AccountDeleted,
        Self::AccountApplied,
        Self::AccountRemoved,
        Self::AccountFailed,
        Self::TokenIssued,
        Self::TokenRevoked,
        Self::TokenEnded,
    ];

    /// As stored: `noun.verb`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "session.signed_in",
            Self::SignedOut => "session.signed_out",
            Self::ClusterAdded => "cluster.added",
            Self::ClusterRenamed => "cluster.renamed",
            Self::ClusterCredentialsReplaced => "cluster.credentials_replaced",
            Self::ClusterCredentialsExchanged => "cluster.credentials_exchanged",
            Self::ClusterTrustChanged => "cluster.trust_changed",
            Self::ClusterRemovalAsked => "cluster.removal_asked",
            Self::ClusterRemoved => "cluster.removed",
            Self::LinkCreated => "link.created",
            Self::LinkChanged => "link.changed",
            Self::LinkPaused => "link.paused",
            Self::LinkResumed => "link.resumed",
            Self::LinkRevoked => "link.revoked",
            Self::LinkAccepted => "link.accepted",
            Self::GrantAdded => "grant.added",
            Self::GrantRevoked => "grant.revoked",
            Self::GrantExpired => "grant.expired",
            Self::GrantDoubted => "grant.doubted",
            Self::GrantChanged => "grant.changed",
            Self::GrantExtended => "grant.extended",
            Self::BindingApplied => "binding.applied",
            Self::BindingRemoved => "binding.removed",
            Self::BindingFailed => "binding.failed",
            Self::BindingRepaired => "binding.repaired",
            Self::KubeconfigIssued => "kubeconfig.issued",
            Self::DeviceRevoked => "device.revoked",
            Self::DeviceApart => "device.used_far_apart",
            Self::UpstreamEnded => "session.ended_by_provider",
            Self::SessionsEnded => "session.ended_elsewhere",
            Self::ClusterFormatsChanged => "cluster.formats_changed",
            Self::KeyRingAccepted => "key_ring.accepted",
            Self::WorkspaceCreated => "workspace.created",
            Self::WorkspaceRenamed => "workspace.renamed",
            Self::WorkspaceRemovalAsked => "workspace.removal_asked",
            Self::WorkspaceRemoved => "workspace.removed",
            Self::MemberAdded => "member.added",
            Self::MemberChanged => "member.changed",
            Self::MemberRemoved => "member.removed",
            Self::MemberDoubted => "member.doubted",
            Self::ClusterMoved => "cluster.moved",
            Self::ClusterLabelled => "cluster.labelled",
            Self::ProjectAdded => "project.added",
            Self::ProjectChanged => "project.changed",
            Self::ProjectRemoved => "project.removed",
            Self::InvitationCreated => "invitation.created",
            Self::InvitationRevoked => "invitation.revoked",
            Self::InvitationAccepted => "invitation.accepted",
            Self::AccountAdded => "service_account.added",
            Self::AccountDeleted => "service_account.deleted",
            Self::AccountApplied => "service_account.applied",
            Self::AccountRemoved => "service_account.removed",
            Self::AccountFailed => "service_account.failed",
            Self::TokenIssued => "token.issued",
            Self::TokenRevoked => "token.revoked",
            Self::TokenEnded => "token.ended",
        }
    }

    /// As stored.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == s)
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its id; later events have greater ones.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What they are called, as it was then.
    pub actor_name: String,
    /// What.
    pub action: Action,
    /// The cluster it is about, if it is about one.
    pub cluster: Option<ClusterId>,
    /// The workspace it is about, if it is about one.
    pub workspace: Option<WorkspaceId>,
    /// What it was done to, in words that stand for themselves: “bob@example.com: view on the whole cluster until …”.
    pub target: String,
    /// The request that caused it, as in the log.
    pub request_id: Option<String>,
}
