//! The roles that Kubelend grants: Kubernetes' own user-facing ClusterRoles, which exist on every cluster, and any other ClusterRole
//! or Role that somebody has marked as one to be given to people.

use std::{fmt, str::FromStr};

use super::{custom_role::CustomRoleName, name::BadName, namespace_role::NamespaceRole};

/// A label by which a ClusterRole or Role says that it is one to be given to people; the first is what Kubermatic puts on its own.
pub const ASSIGNABLE_LABELS: [(&str, &str); 2] = [("component", "userClusterRole"), ("kubelend.io/assignable", "true")];

/// What the ClusterRoles of custom roles begin with: `kubelend:NAME:` and eight hexadecimal digits.
pub const CUSTOM: &str = "kubelend:";

/// The longest name that Kubernetes gives to an object.
const LONGEST: usize = 253;

/// A role that can be granted. The order is from the weakest; what others have defined comes last, since nobody knows how strong
/// it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// ClusterRole `view`: see everything but Secrets and RBAC.
    View,
    /// ClusterRole `edit`: change workloads, read Secrets, act as any ServiceAccount of the namespace.
    Edit,
    /// ClusterRole `admin`: all of edit, and manage access within namespaces.
    Admin,
    /// ClusterRole `cluster-admin`: everything there is. Owners alone give it, and on the whole cluster alone.
    ClusterAdmin,
    /// Another ClusterRole, by name. Never one of those above: [`Role::named`] makes it.
    Named(RoleName),
    /// A Role of the namespaces that it is given in, by name: each of them has its own. Never called like one of those above:
    /// [`Role::local`] makes it.
    Local(RoleName),
}

/// The name of a ClusterRole or Role that is none of Kubernetes' own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

impl RoleName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = BadName;
    /// As Kubernetes takes it (a path segment), but in ASCII, without what a shell, YAML or a wildcard would read something
    /// into, and never in the part of the names that Kubernetes keeps for itself.
    fn from_str(s: &str) -> Result<Self, BadName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let begins = s.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if s.len() > LONGEST || !begins || !s.chars().all(plain) {
            return Err(BadName(
                "A role's name has letters, digits, “-”, “_”, “.” and “:”, at most 253, and begins with a letter or digit."
                    .into(),
            ));
        }
        if s.to_ascii_lowercase().starts_with("system:") {
            return Err(BadName("Roles that begin with “system:” are Kubernetes' own and are given to nobody.".into()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl Role {
    /// Those that every cluster has and whoever manages access gives, weakest first.
    pub const ALL: [Self; 3] = [Self::View, Self::Edit, Self::Admin];
    /// Their names: what Kubelend's own credential may bind by default.
    pub const NAMES: [&'static str; 3] = ["view", "edit", "admin"];

    /// The role of this ClusterRole: one that every cluster has, or a named one.
    ///
    /// # Errors
    /// A name that is none, or one of Kubernetes' own.
    pub fn named(name: &str) -> Result<Self, BadName> {
        match name.parse() {
            Ok(role) => Ok(role),
            Err(UnknownRole) => name.parse().map(Self::Named),
        }
    }

    /// The Role of this name in the namespaces that it is given in.
    ///
    /// # Errors
    /// A name that is none, one of Kubernetes' own, or that of a role that it would be taken for.
    pub fn local(name: &str) -> Result<Self, BadName> {
        if name.parse::<Self>().is_ok() {
            return Err(BadName(format!(
                "A Role called “{name}” would be taken for the one that every cluster has: it is given to nobody under that name."
            )));
        }
        name.parse().map(Self::Local)
    }

    /// The name of the ClusterRole or Role.
    pub fn as_str(&self) -> &str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Admin => "admin",
            Self::ClusterAdmin => "cluster-admin",
            Self::Named(name) | Self::Local(name) => name.as_str(),
        }
    }

    /// Whether it is a Role, which is a namespace's own, and no ClusterRole.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Which of the roles that Kubelend makes in a namespace it is, if it is one.
    pub fn of_namespace(&self) -> Option<NamespaceRole> {
        if let Self::Local(name) = self { NamespaceRole::named(name.as_str()) } else { None }
    }

    /// What people call it, where it is called like the ClusterRole of a custom role. Whether there is such a one only the database knows.
    pub fn custom_name(&self) -> Option<&str> {
        let Self::Named(name) = self else { return None };
        let (name, tail) = name.as_str().strip_prefix(CUSTOM)?.rsplit_once(':')?;
        let hex = tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (hex && name.parse::<CustomRoleName>().is_ok()).then_some(name)
    }

    /// Whether it means the same on every cluster: it is none that somebody has defined on one.
    pub fn is_everywhere(&self) -> bool {
        !self.is_named() || self.of_namespace().is_some()
    }

    /// As a binding refers to it: “ClusterRole view”, “Role log-reader”.
    pub fn reference(&self) -> String {
        let kind = if self.is_local() { "Role" } else { "ClusterRole" };
        format!("{kind} {}", self.as_str())
    }

    /// Whether only owners give it: whoever manages access would otherwise make themselves the owner of a cluster.
    pub fn is_for_owners(&self) -> bool {
        matches!(self, Self::ClusterAdmin)
    }

    /// Whether it can be given in a place at all.
    ///
    /// # Errors
    /// What it can be given in, in words.
    pub fn fits(&self, whole_cluster: bool) -> Result<(), &'static str> {
        match (self, whole_cluster) {
            (Self::ClusterAdmin, false) => {
                Err("cluster-admin is given on the whole cluster alone. In namespaces give admin.")
            }
            (Self::Local(_), true) if self.of_namespace().is_some() => {
                Err("This role is a namespace's. Choose “Namespaces” and name them.")
            }
            (Self::Local(_), true) => {
                Err("A Role is a namespace's own. Choose “Namespaces” and name those that have it.")
            }
            _ => Ok(()),
        }
    }

    /// Whether it is one that somebody has defined on this cluster, and that others may not have.
    pub fn is_named(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Local(_))
    }

    /// What holding it amounts to, as the end of a sentence that begins with “They”, for a place named in the sentence's end.
    pub fn amounts_to(&self, whole_cluster: bool) -> &'static str {
        if let Some(role) = self.of_namespace() {
            return role.amounts_to();
        }
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
            // What `*` on `*` is: there is no weaker way to say it, whatever the place.
            (Self::ClusterAdmin, _) => {
                "do everything on this cluster: read every Secret, act as anybody, change and delete all there is, give rights to others and take them away. They own it, and can shut everybody else out."
            }
            (Self::Named(_), true) => {
                "do what this ClusterRole allows, in every namespace and with what belongs to no namespace."
            }
            (Self::Named(_), false) => "do what this ClusterRole allows, in these namespaces.",
            (Self::Local(_), _) => "do what the Role of this name allows in each of these namespaces.",
        }
    }
}

impl fmt::Display for Role {
    /// Its name; of a Role with that word before it, so that it is not taken for a ClusterRole of the same name; of a custom role as it
    /// was called when it was made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(name) => write!(f, "Role {}", name.as_str()),
            other => match other.custom_name() {
                Some(name) => write!(f, "{name} (custom)"),
                None => f.write_str(other.as_str()),
            },
        }
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose view, edit or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    /// One of those that every cluster has, spelt exactly so: RBAC knows no other spelling.
    fn from_str(s: &str) -> Result<Self, UnknownRole> {
        let own = Self::ALL.into_iter().chain([Self::ClusterAdmin]);
        own.into_iter().find(|r| r.as_str() == s).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_roles_agree() {
        assert_eq!(Role::ALL.map(|r| r.as_str().to_owned()), Role::NAMES);
        assert_eq!(Role::named("edit"), Ok(Role::Edit), "a role has one name");
        assert!(Role::named("log-reader").unwrap().is_named());
    }

    #[test]
    fn immune_28_cluster_admin_is_known_by_its_name_however_it_comes_in_and_is_given_whole() {
        // Marked as one to give (as Kubermatic marks it) it is still itself, and none of the cluster's own roles.
        assert_eq!(Role::named("cluster-admin"), Ok(Role::ClusterAdmin));
        assert!(Role::ClusterAdmin.is_for_owners() && !Role::ClusterAdmin.is_named());
        for other in [" cluster-admin", "cluster-admin ", "cluster-admin\n", "cluster\u{2010}admin", "cluster-admin\0"]
        {
            assert!(Role::named(other).is_err() && other.parse::<Role>().is_err(), "{other:?}");
        }
        // Another ClusterRole to RBAC, and so to us.
        assert!(Role::named("Cluster-Admin").unwrap().is_named() && "Cluster-Admin".parse::<Role>().is_err());
        assert!(
            Role::ALL.iter().all(|role| !role.is_for_owners() && role.fits(true).is_ok() && role.fits(false).is_ok())
        );
        assert!(Role::ClusterAdmin.fits(true).is_ok() && Role::ClusterAdmin.fits(false).is_err());
    }

    #[test]
    fn immune_28_a_namespaces_own_role_is_taken_for_no_other_and_given_nowhere_else() {
        let role = Role::local("log-reader").unwrap();
        assert!(role.is_named() && role.is_local() && role != Role::named("log-reader").unwrap());
        assert_eq!((role.to_string(), role.reference()), ("Role log-reader".into(), "Role log-reader".into()));
        assert_eq!(Role::named("log-reader").unwrap().reference(), "ClusterRole log-reader");
        assert!(role.fits(true).is_err() && role.fits(false).is_ok());
        for taken in ["view", "edit", "admin", "cluster-admin", "system:masters", "*", "a b"] {
            assert!(Role::local(taken).is_err(), "{taken}");
        }
    }

    #[test]
    fn immune_28_kubernetes_own_roles_and_wildcards_are_no_role_to_give() {
        for bad in [
            "system:masters",
            "system:node",
            "System:node",
            "SYSTEM:controller:x",
            "*",
            "a*",
            "",
            " view",
            "a/b",
            "..",
            ".",
            "$(x)",
            "a b",
            "vi\u{435}w",
            &"a".repeat(254),
        ] {
            assert!(Role::named(bad).is_err(), "{bad}");
        }
        for good in ["log-reader", "acme:developers", "Tekton.v1_x", &"a".repeat(253)] {
            assert_eq!(Role::named(good).unwrap().as_str(), good);
        }
    }
}
