//! Identifiers: one type for each kind of thing, so that a grant's id cannot be handed in where a link's is wanted.
//!
//! All are UUIDs of version 7 (RFC 9562), so they sort by the time they were made and an index on them stays compact.

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// A new one, later than all before it.
            #[expect(clippy::new_without_default, reason = "a new id is a decision, not a default")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                uuid::Uuid::try_parse(s).map(Self)
            }
        }
    )+};
}

id_types! {
    /// Names a [`Cluster`](super::cluster::Cluster).
    ClusterId,
    /// Names a [`Workspace`](super::workspace::Workspace).
    WorkspaceId,
    /// Names an [`Identity`](super::identity::Identity).
    IdentityId,
    /// Names a [`Grant`](super::grant::Grant); its bindings carry it as a label.
    GrantId,
    /// Names a [`Project`](super::project::Project).
    ProjectId,
    /// Names a [`Group`](super::group::Group).
    GroupId,
    /// Names a [`FederatedGrant`](super::federation::FederatedGrant).
    FederatedGrantId,
    /// Names a [`ShareLink`](super::share_link::ShareLink).
    ShareLinkId,
    /// Names an [`Invitation`](super::invitation::Invitation).
    InvitationId,
    /// Names an [`AccessRequest`](super::access_request::AccessRequest).
    AccessRequestId,
    /// Names a [`Device`](super::device::Device); its relay's address holds it.
    DeviceId,
    /// Names a [`ServiceAccount`](super::service_account::ServiceAccount) that Kubelend makes; its object carries it as a label.
    ServiceAccountId,
    /// Names a [`Lease`](super::service_account::Lease); the Secret that its token is bound to is named after it.
    LeaseId,
    /// Names a [`Preset`](super::preset::Preset).
    PresetId,
    /// Names a token that Kubelend got for [itself](super::own_token); the Secret that it is bound to is named after it.
    OwnTokenId,
    /// Names an [`AccessFile`](super::file::AccessFile).
    FileId,
    /// Names a [`CustomRole`](super::custom_role::CustomRole).
    CustomRoleId,
    /// Names an [`AuditEvent`](super::audit::AuditEvent).
    AuditEventId,
    /// Names one connection check of a cluster.
    CheckId,
}

impl WorkspaceId {
    /// The same as 32 hexadecimal digits, for names in which `-` is taken.
    pub(super) fn digits(self) -> String {
        self.0.simple().to_string()
    }

    /// Reads [`Self::digits`], and no other spelling.
    pub(super) fn of_digits(digits: &str) -> Option<Self> {
        let id = uuid::Uuid::try_parse(digits).ok().map(Self)?;
        (id.digits() == digits).then_some(id)
    }
}
