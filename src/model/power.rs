//! Powers: what Kubelend's own credential may hold on a cluster beyond the least that it needs. Each is a step that an admin of the
//! cluster takes on purpose; pages name one where something wants it, with what it amounts to and what to run.

use super::role::Role;

/// A power beyond the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// To make namespaces.
    Namespaces,
    /// To make and delete ServiceAccounts, and to hand out tokens of theirs.
    ServiceAccounts,
    /// To make the Roles namespace-viewer, namespace-editor and namespace-admin, and to bind them.
    NamespaceRoles,
    /// To make ClusterRoles out of custom roles, and to bind them.
    CustomRoles,
    /// To bind the ClusterRole `cluster-admin`.
    ClusterAdmin,
}

impl Power {
    /// All of them, the lesser first.
    pub const ALL: [Self; 5] =
        [Self::Namespaces, Self::ServiceAccounts, Self::NamespaceRoles, Self::CustomRoles, Self::ClusterAdmin];

    /// As the objects on the cluster that give it are called, after `kubelend-`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::ServiceAccounts => "service-accounts",
            Self::NamespaceRoles => "namespace-roles",
            Self::CustomRoles => "custom-roles",
            Self::ClusterAdmin => "cluster-admin",
        }
    }

    /// What it is to do, after “May”.
    pub fn title(self) -> &'static str {
        match self {
            Self::Namespaces => "make namespaces",
            Self::ServiceAccounts => "look after ServiceAccounts",
            Self::NamespaceRoles => "make the roles of namespaces",
            Self::CustomRoles => "make custom roles",
            Self::ClusterAdmin => "give cluster-admin",
        }
    }

    /// What it amounts to, in a sentence.
    pub fn amounts_to(self) -> &'static str {
        match self {
            Self::Namespaces => {
                "With it Kubelend can make namespaces of any name on this cluster, without the quotas and policies that others may have \
                 there. It can neither change nor delete one."
            }
            Self::ServiceAccounts => {
                "With it Kubelend can get a token of any ServiceAccount of this cluster, those of Kubernetes itself among them, and \
                 delete Secrets, though not read them: whoever takes over Kubelend can own the cluster by it."
            }
            Self::NamespaceRoles => {
                "With it Kubelend can let Roles of three names (namespace-viewer, namespace-editor, namespace-admin) allow anything \
                 in any namespace, those of Kubernetes itself among them: whoever takes over Kubelend can own the cluster by it."
            }
            Self::CustomRoles => {
                "With it Kubelend can write any ClusterRole, with any right in it, and give it to anybody: whoever takes over Kubelend can \
                 own this cluster by it."
            }
            Self::ClusterAdmin => {
                "With it Kubelend can make anybody the owner of this cluster, whoever takes over Kubelend included."
            }
        }
    }

    /// What a connection check calls the step that asks for it.
    pub fn step(self) -> String {
        format!("May {} (a power of its own)", self.title())
    }

    /// The one that giving a role needs.
    pub fn of(role: &Role) -> Option<Self> {
        match role {
            Role::ClusterAdmin => Some(Self::ClusterAdmin),
            role if role.of_namespace().is_some() => Some(Self::NamespaceRoles),
            role if role.custom_name().is_some() => Some(Self::CustomRoles),
            Role::View | Role::Edit | Role::Admin | Role::Named(_) | Role::Local(_) => None,
        }
    }
}
