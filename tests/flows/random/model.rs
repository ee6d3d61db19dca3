//! What should stand on the clusters, as the answers to what was done have it, in a few lists: the property is that the real thing,
//! with its databases, claims, watches and deaths, comes to the same.

use kubelend::model::id::{FederatedGrantId, GrantId, GroupId, ShareLinkId};

/// Draws of one step: they depend on the seed and the step alone, whatever became of the steps before.
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64, step: usize) -> Self {
        Self(seed ^ (step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or_default()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// Whom something is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Person(String),
    Group(String),
    Account(String),
}

impl Who {
    /// As the forms call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "User",
            Self::Group(_) => "Group",
            Self::Account(_) => "ServiceAccount",
        }
    }

    /// As it is typed.
    pub fn name(&self) -> &str {
        match self {
            Self::Person(name) | Self::Group(name) | Self::Account(name) => name,
        }
    }

    /// As a binding names it.
    pub fn subject(&self) -> String {
        match self {
            Self::Person(name) => format!("User {name}"),
            Self::Group(name) => format!("Group oidc:{name}"),
            Self::Account(name) => format!("ServiceAccount {name}"),
        }
    }
}

/// One binding: cluster, namespace (none: cluster-wide), role, subject.
pub type Stands = (usize, String, String, String);

/// A grant on one cluster.
#[derive(Clone, Debug)]
pub struct Given {
    pub id: GrantId,
    pub cluster: usize,
    pub who: Who,
    pub role: &'static str,
    pub namespaces: Vec<String>,
    pub ends: bool,
    /// The link that gave it.
    pub link: Option<ShareLinkId>,
}

/// How far a wide grant reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Everywhere,
    Workspace,
    Project,
    Cluster(usize, Vec<String>),
}

/// Whom it is for: one, or one of the Groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    One(Who),
    Group(usize),
}

/// A grant that is written out.
#[derive(Clone, Debug)]
pub struct Wide {
    pub id: FederatedGrantId,
    pub reach: Reach,
    pub to: To,
    pub role: &'static str,
}

/// A share link that is open.
#[derive(Clone, Debug)]
pub struct Link {
    pub id: ShareLinkId,
    pub cluster: usize,
    pub role: &'static str,
    pub namespaces: Vec<String>,
    /// Which visitors have accepted it.
    pub accepted: Vec<usize>,
}

/// A Group of our own.
#[derive(Clone, Debug)]
pub struct Crew {
    pub id: GroupId,
    /// As it is typed.
    pub name: String,
    pub members: Vec<Who>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Model {
    pub given: Vec<Given>,
    pub wide: Vec<Wide>,
    pub links: Vec<Link>,
    pub crews: Vec<Crew>,
    /// Which clusters the project selects.
    pub labelled: Vec<bool>,
    /// The project's namespace.
    pub shop: String,
    /// Where something else bears the name of a binding of ours: cluster, namespace, name.
    pub taken: Vec<(usize, String, String)>,
}

/// The places of a scope.
fn places(namespaces: &[String]) -> Vec<String> {
    if namespaces.is_empty() { vec![String::new()] } else { namespaces.to_vec() }
}

impl Model {
    /// All that should stand, sorted.
    pub fn wanted(&self) -> Vec<Stands> {
        let mut all = Vec::new();
        for given in &self.given {
            let name = format!("kubelend-{}", given.id);
            for place in places(&given.namespaces) {
                if !self.taken.contains(&(given.cluster, place.clone(), name.clone())) {
                    all.push((given.cluster, place, given.role.to_owned(), given.who.subject()));
                }
            }
        }
        for wide in &self.wide {
            let subjects: Vec<String> = match &wide.to {
                To::One(who) => vec![who.subject()],
                To::Group(at) => self.crews[*at].members.iter().map(Who::subject).collect(),
            };
            for (cluster, place) in self.reached(&wide.reach) {
                all.extend(subjects.iter().map(|s| (cluster, place.clone(), wide.role.to_owned(), s.clone())));
            }
        }
        all.sort();
        all
    }

    fn reached(&self, reach: &Reach) -> Vec<(usize, String)> {
        match reach {
            Reach::Everywhere | Reach::Workspace => (0..self.labelled.len()).map(|at| (at, String::new())).collect(),
            Reach::Project => {
                let labelled = self.labelled.iter().enumerate().filter(|(_, labelled)| **labelled);
                labelled.map(|(at, _)| (at, self.shop.clone())).collect()
            }
            Reach::Cluster(at, namespaces) => places(namespaces).into_iter().map(|place| (*at, place)).collect(),
        }
    }

    /// Whether exactly this has been given on a cluster by hand.
    pub fn has(&self, cluster: usize, who: &Who, role: &str, namespaces: &[String]) -> bool {
        self.given.iter().any(|given| {
            given.link.is_none()
                && (given.cluster, given.role, &given.who) == (cluster, role, who)
                && given.namespaces == namespaces
        })
    }

    /// Whether exactly this has been given further.
    pub fn has_wide(&self, reach: &Reach, to: &To, role: &str) -> bool {
        self.wide.iter().any(|wide| (&wide.reach, &wide.to, wide.role) == (reach, to, role))
    }
}
