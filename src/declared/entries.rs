//! What a file says, entry by entry.

use crate::{
    model::{
        custom_role::CustomRoleName,
        file::FileName,
        group::{EVERYWHERE, GroupName},
        id::WorkspaceId,
        name::{ClusterName, Email, Namespace, WorkspaceName},
        project::{Labels, ProjectName},
        provider::ProviderId,
        rbac::PolicyRule,
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
    /// Custom roles of all workspaces.
    pub roles: Vec<RoleEntry>,
    /// Groups of all workspaces.
    pub groups: Vec<GroupEntry>,
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
    /// Its custom roles.
    pub roles: Vec<RoleEntry>,
    /// Its Groups.
    pub groups: Vec<GroupEntry>,
    /// Its members.
    pub members: Vec<MemberEntry>,
    /// Its projects.
    pub projects: Vec<ProjectEntry>,
    /// Clusters that are in it already.
    pub clusters: Vec<ClusterEntry>,
    /// What is given on every cluster of it.
    pub grants: Vec<GrantEntry>,
}

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleEntry {
    /// Where its name stands.
    pub at: Place,
    /// Its name.
    pub name: CustomRoleName,
    /// Where its rules stand.
    pub rules_at: Place,
    /// What it lets do.
    pub rules: Vec<PolicyRule>,
    /// What whoever holds it may get more by a change of its rules, in the words of the page: “get secrets”. Nothing else is vouched for.
    pub vouch: Vec<String>,
}

/// A Group of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// Where its name stands.
    pub at: Place,
    /// Its name.
    pub name: GroupName,
    /// Whether owners alone change it, and where that stands; nothing where the file does not say.
    pub kept: Option<(bool, Place)>,
    /// Who is in it.
    pub members: Vec<(Place, Who)>,
}

/// A member of a workspace or of a project.
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
    /// Whether its workspace's editors are its own; nothing where the file does not say.
    pub takes_editors: Option<bool>,
    /// The same of viewers.
    pub takes_viewers: Option<bool>,
    /// Whether Kubelend makes its namespace where that is missing, and where that stands.
    pub makes_namespace: Option<(bool, Place)>,
    /// Its own members.
    pub members: Vec<MemberEntry>,
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
    pub role: GivenRole,
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

/// Something that has a name in a workspace or in all of them. What is of the workspace around it comes first, unless it says “(everywhere)”.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Called<Name> {
    /// Its name.
    pub name: Name,
    /// Whether only one of all workspaces is meant.
    pub everywhere: bool,
}

impl<Name: std::fmt::Display> std::fmt::Display for Called<Name> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, if self.everywhere { EVERYWHERE } else { "" })
    }
}

/// A role, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GivenRole {
    /// One that is known by its name on clusters.
    Role(Role),
    /// A custom role.
    Custom(Called<CustomRoleName>),
}

impl std::fmt::Display for GivenRole {
    /// “view”, “Role log-reader”, “custom log-reader”.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) if role.is_local() => write!(f, "{role}"),
            Self::Role(role) => f.write_str(role.as_str()),
            Self::Custom(called) => write!(f, "custom {called}"),
        }
    }
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
    /// A Group of our own.
    Own(Called<GroupName>),
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
            Self::Own(group) => write!(f, "Kubelend group {group}"),
            Self::Account(account) => write!(f, "ServiceAccount {account}"),
        }
    }
}
