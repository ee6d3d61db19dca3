//! The roles that Kubelend grants. Today these are Kubernetes' own user-facing ClusterRoles; they exist on every cluster.

use std::{fmt, str::FromStr};

/// A role that can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// ClusterRole `view`: see everything but Secrets and RBAC.
    View,
    /// ClusterRole `edit`: change workloads, read Secrets, act as any ServiceAccount of the namespace.
    Edit,
    /// ClusterRole `admin`: all of edit, and manage access within namespaces.
    Admin,
}

impl Role {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::View, Self::Edit, Self::Admin];

    /// The name of the ClusterRole.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Admin => "admin",
        }
    }

    /// What holding it amounts to, as the end of a sentence that begins with “They”, for a place named in the sentence's end.
    pub fn amounts_to(self, whole_cluster: bool) -> &'static str {
        match (self, whole_cluster) {
            (Self::View, true) => "see everything but Secrets, in every namespace. They cannot change anything.",
            (Self::View, false) => "see everything but Secrets in these namespaces. They cannot change anything.",
            (Self::Edit, true) => {
                "change workloads in every namespace, read every Secret and act as any ServiceAccount, system ones among them. That comes close to owning the cluster."
            }
            (Self::Edit, false) => {
                "change workloads in these namespaces, read their Secrets and act as their ServiceAccounts."
            }
            (Self::Admin, true) => {
                "do all that edit can in every namespace, system ones among them, and give these rights to others. That amounts to owning the cluster."
            }
            (Self::Admin, false) => "do all that edit can in these namespaces, and give these rights there to others.",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose view, edit or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(s: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|r| r.as_str() == s).ok_or(UnknownRole)
    }
}
