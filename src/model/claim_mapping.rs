//! From an identity to the names that RBAC compares: what one cluster makes of one provider's tokens.
//!
//! The same rules stand in the API server's configuration (`--oidc-username-claim`, `--oidc-username-prefix`,
//! `--oidc-groups-prefix`, or the `claimMappings` of an `AuthenticationConfiguration`). Kubelend applies them and shows the
//! result, so that nobody types a prefix.

use super::{identity::Identity, name::Email};

/// The claim that names a user on the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsernameClaim {
    /// `email`: the usual choice, and the only one that lets owners bind somebody who has not signed in yet.
    Email,
    /// `sub`.
    Sub,
}

impl UsernameClaim {
    /// The claim's name in the token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sub => "sub",
        }
    }

    /// Reads a claim's name.
    pub fn parse(s: &str) -> Option<Self> {
        match s {
            "email" => Some(Self::Email),
            "sub" => Some(Self::Sub),
            _ => None,
        }
    }
}

/// How a cluster names the people of one provider.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClaimMapping {
    /// The claim that becomes the user name.
    pub username_claim: UsernameClaim,
    /// Put before it; often empty.
    pub username_prefix: String,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// Put before each group; `oidc:` by default.
    pub groups_prefix: String,
}

impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            username_claim: UsernameClaim::Email,
            username_prefix: String::new(),
            groups_claim: "groups".into(),
            groups_prefix: "oidc:".into(),
        }
    }
}

/// Why no RBAC name can be made of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmappable {
    /// The cluster names people by email and the provider gave none (or it is another person's now).
    #[error("the cluster names people by email, and the provider gives none for this person")]
    NoEmail,
    /// The API server refuses tokens whose email is not verified.
    #[error("the provider says that this person's email is not verified, and the cluster refuses such tokens")]
    EmailNotVerified,
    /// The name would begin with `system:`, which Kubernetes keeps for itself.
    #[error("the name would begin with “system:”, which Kubernetes keeps for itself")]
    System,
    /// The name would read like one of another provider's.
    #[error(
        "the name would read like one of another provider that the cluster trusts, whose people would have the access"
    )]
    Anothers,
}

impl ClaimMapping {
    /// In words, for an event or a page: “users “corp:email”, groups “corp:groups””.
    pub fn in_words(&self) -> String {
        format!(
            "users “{}{}”, groups “{}{}”",
            self.username_prefix,
            self.username_claim.as_str(),
            self.groups_prefix,
            self.groups_claim
        )
    }

    /// Whether whoever says what stands behind these prefixes could make names of another mapping's with them.
    pub fn may_become(&self, other: &Self) -> bool {
        other.username_prefix.starts_with(&self.username_prefix) || other.groups_prefix.starts_with(&self.groups_prefix)
    }

    /// The user name of somebody who has signed in.
    ///
    /// # Errors
    /// When the claim is missing or the name is Kubernetes' own.
    pub fn username(&self, identity: &Identity) -> Result<String, Unmappable> {
        match self.username_claim {
            UsernameClaim::Sub => self.checked(&self.username_prefix, &identity.sub),
            UsernameClaim::Email => {
                let email = identity.email.as_ref().ok_or(Unmappable::NoEmail)?;
                if !identity.email_verified {
                    return Err(Unmappable::EmailNotVerified);
                }
                self.username_of_email(email)
            }
        }
    }

    /// The user name of somebody who has not signed in yet, known by email alone.
    ///
    /// # Errors
    /// When the cluster does not name people by email.
    pub fn username_of_email(&self, email: &Email) -> Result<String, Unmappable> {
        match self.username_claim {
            UsernameClaim::Email => self.checked(&self.username_prefix, email.as_str()),
            UsernameClaim::Sub => Err(Unmappable::NoEmail),
        }
    }

    /// The RBAC group of a provider's group.
    ///
    /// # Errors
    /// When the name would be one of Kubernetes' own.
    pub fn group(&self, group: &str) -> Result<String, Unmappable> {
        self.checked(&self.groups_prefix, group)
    }

    /// All RBAC groups of a person; Kubernetes' own names are left out.
    pub fn groups(&self, identity: &Identity) -> Vec<String> {
        identity.groups.iter().filter_map(|g| self.group(g).ok()).collect()
    }

    #[expect(clippy::unused_self, reason = "reads as a rule of the mapping")]
    fn checked(&self, prefix: &str, name: &str) -> Result<String, Unmappable> {
        let whole = format!("{prefix}{name}");
        if whole.to_ascii_lowercase().starts_with("system:") { Err(Unmappable::System) } else { Ok(whole) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_11_a_group_that_says_system_masters_never_becomes_it() {
        let bare = ClaimMapping { groups_prefix: String::new(), ..ClaimMapping::default() };
        assert_eq!(bare.group("system:masters"), Err(Unmappable::System));
        assert_eq!(bare.group("System:Masters"), Err(Unmappable::System));
        let split = ClaimMapping { groups_prefix: "system:".into(), ..ClaimMapping::default() };
        assert_eq!(split.group("masters"), Err(Unmappable::System));
        assert_eq!(ClaimMapping::default().group("system:masters").as_deref(), Ok("oidc:system:masters"));
    }
}
