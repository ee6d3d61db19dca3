//! Who somebody is: what a provider vouched for in a verified ID token, and nothing else.
//!
//! An identity is (issuer, sub). Email, name and groups hang on it and are taken anew at each sign-in.

use super::{
    id::{IdentityId, WorkspaceId},
    name::Email,
    provider::ProviderId,
    time::Timestamp,
};

/// What a verified ID token said (OpenID Connect Core 1.0, section 2 and 5.1; `groups` by convention).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedClaims {
    /// The provider that verified it.
    pub provider: ProviderId,
    /// `iss`, exactly.
    pub issuer: String,
    /// `sub`, exactly.
    pub sub: String,
    /// `email`, if it is there and is one.
    pub email: Option<Email>,
    /// `email_verified`; absent counts as false here.
    pub email_verified: bool,
    /// `name`, or `preferred_username`, for display.
    pub name: Option<String>,
    /// The groups claim, as strings, each once, in the token's order.
    pub groups: Vec<String>,
}

/// A person as Kubelend knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our own id for (issuer, sub).
    pub id: IdentityId,
    /// The provider they sign in at.
    pub provider: ProviderId,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub sub: String,
    /// Their email; `None` too after the same address came with another `sub`: then it is no longer theirs.
    pub email: Option<Email>,
    /// Whether the provider says that the email is verified.
    pub email_verified: bool,
    /// Display name.
    pub name: Option<String>,
    /// Groups at the last sign-in, without any prefix.
    pub groups: Vec<String>,
    /// The last sign-in.
    pub last_sign_in: Timestamp,
}

impl Identity {
    /// What to call this person on a page: email, else name, else `sub`.
    pub fn display(&self) -> &str {
        self.email.as_ref().map(Email::as_str).or(self.name.as_deref()).unwrap_or(&self.sub)
    }

    /// Whether they count in this workspace, or (`None`) everywhere: those of a workspace's own provider count in that one alone.
    pub fn counts_in(&self, workspace: Option<WorkspaceId>) -> bool {
        self.provider.counts_in(workspace)
    }

    /// The email, if the provider verified it.
    pub fn verified_email(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.email_verified)
    }
}
