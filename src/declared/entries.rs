//! What a file says, entry by entry.

use crate::{
    model::{
        file::FileName,
        id::WorkspaceId,
        name::{ClusterName, Email, Namespace, WorkspaceName},
        project::{Labels, ProjectName},
        provider::ProviderId,
        reason::Reason,
        role::Role,
        service_account::AccountName,
        time::Timestamp,
        workspace::MemberRole,
    },
    yaml::Place,
};

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is called.
    pub name: FileName,
    /// Its workspaces.
    pub workspaces: Vec<WorkspaceEntry>,
    /// What is given on every cluster there is.
    pub grants: Vec<GrantEntry>,
    /// What was understood in another way than it may be meant, and where.
    pub notes: Vec<(Place, &'static str)>,
}

/// A workspace: found by its name, made where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceEntry {
    /// Where its name stands.
    pub at: Place,
    /// Its name.
    pub name: WorkspaceName,
    /// Which one, where several bear the name.
    pub id: Option<(Place, WorkspaceId)>,
    /// Its members.
    pub members: Vec<MemberEntry>,
    /// Its projects.
    pub projects: Vec<ProjectEntry>,
    /// Clusters that are in it already.
    pub clusters: Vec<ClusterEntry>,
    /// What is given on every cluster of it.
    pub grants: Vec<GrantEntry>,
}

/// A member of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// Where they are named.
    pub at: Place,
    /// Who.
    pub who: Who,
    /// What they are there.
    pub role: MemberRole,
}

/// A project of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// Where its name stands.
    pub at: Place,
    /// Its name.
    pub name: ProjectName,
    /// Where its namespace stands.
    pub namespace_at: Place,
    /// The namespace.
    pub namespace: Namespace,
    /// On which clusters.
    pub on: On,
    /// What is given in its namespace on each of them.
    pub grants: Vec<GrantEntry>,
}

/// On which clusters of its workspace a project is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// On all.
    All,
    /// On these.
    Listed(Vec<(Place, ClusterName)>),
    /// On those with these labels.
    Labelled(Labels),
}

/// A cluster: what is given on it. A file adds no clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEntry {
    /// Where its name stands.
    pub at: Place,
    /// Its name.
    pub name: ClusterName,
    /// What is given on it.
    pub grants: Vec<GrantEntry>,
}

/// Something that is given; where it stands says how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantEntry {
    /// Where it says to whom.
    pub at: Place,
    /// To whom.
    pub who: Who,
    /// Where the role stands.
    pub role_at: Place,
    /// The role.
    pub role: Role,
    /// In which namespaces of a cluster; none for all of what it stands under. Sorted, each once.
    pub namespaces: Vec<Namespace>,
    /// Where its end stands.
    pub until_at: Place,
    /// Until when.
    pub until: Option<Timestamp>,
    /// Where the reason stands.
    pub reason_at: Place,
    /// Why.
    pub reason: Option<Reason>,
}

/// Somebody, as a file names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Whoever has this email, verified, at this provider.
    Person(ProviderId, Email),
    /// Whoever has this `sub` at this provider.
    Sub(ProviderId, String),
    /// The group of this provider.
    Group(ProviderId, String),
    /// A ServiceAccount of the cluster.
    Account(AccountName),
}

impl std::fmt::Display for Who {
    /// “bob@example.com”, “group devs”, “ServiceAccount ci/deployer”.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(_, email) => write!(f, "{email}"),
            Self::Sub(_, sub) => write!(f, "{sub}"),
            Self::Group(_, group) => write!(f, "group {group}"),
            Self::Account(account) => write!(f, "ServiceAccount {account}"),
        }
    }
}
