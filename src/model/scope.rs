//! Where a grant reaches. Today one cluster or namespaces of it; wider scopes are further variants.

use super::{id::ClusterId, name::Namespace};

/// Where a grant reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole of one cluster.
    Cluster(ClusterId),
    /// Some namespaces of one cluster; never empty.
    Namespaces(ClusterId, Vec<Namespace>),
}

impl Scope {
    /// The cluster it is about.
    pub fn cluster(&self) -> ClusterId {
        match self {
            Self::Cluster(id) | Self::Namespaces(id, _) => *id,
        }
    }

    /// The namespaces, or nothing for the whole cluster.
    pub fn namespaces(&self) -> &[Namespace] {
        match self {
            Self::Cluster(_) => &[],
            Self::Namespaces(_, names) => names,
        }
    }

    /// Whether it is the whole cluster.
    pub fn is_whole_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// From a cluster and a list that is empty for the whole of it.
    pub fn new(cluster: ClusterId, namespaces: Vec<Namespace>) -> Self {
        if namespaces.is_empty() { Self::Cluster(cluster) } else { Self::Namespaces(cluster, namespaces) }
    }

    /// The same with its namespaces sorted, each once.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut names = self.namespaces().to_vec();
        names.sort();
        names.dedup();
        Self::new(self.cluster(), names)
    }

    /// Whether both reach the same, in whatever order it was typed.
    pub fn is_same(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }

    /// In words: “the whole cluster”, “namespace shop”, “namespaces payments and shop”.
    pub fn in_words(&self) -> String {
        let names: Vec<&str> = self.namespaces().iter().map(Namespace::as_str).collect();
        match names.as_slice() {
            [] => "the whole cluster".into(),
            [one] => format!("namespace {one}"),
            [most @ .., last] => format!("namespaces {} and {last}", most.join(", ")),
        }
    }
}
