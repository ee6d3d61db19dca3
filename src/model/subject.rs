//! RBAC's subjects (`rbac.authorization.k8s.io/v1` Subject), as bindings name them.

use std::fmt;

/// What kind of thing a binding names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// A user name, as the API server's authenticator says it.
    User,
    /// A group name.
    Group,
    /// A ServiceAccount of a namespace.
    ServiceAccount,
}

impl SubjectKind {
    /// Kubernetes' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServiceAccount => "ServiceAccount",
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A User, Group or ServiceAccount that a binding names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Which kind.
    pub kind: SubjectKind,
    /// Its name, with whatever prefix the cluster's claim mapping puts before it.
    pub name: String,
    /// The namespace of a ServiceAccount.
    pub namespace: Option<String>,
}

impl Subject {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: SubjectKind::User, name: name.into(), namespace: None }
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Group, name: name.into(), namespace: None }
    }
}
