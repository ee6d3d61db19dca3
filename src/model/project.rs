//! Projects: a namespace across a selection of a workspace's clusters, for those who share it wherever it stands.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{
    cluster::Cluster,
    id::{ClusterId, IdentityId, ProjectId, WorkspaceId},
    name::{BadName, ClusterName, Namespace},
    time::Timestamp,
    workspace::MemberRole,
};

/// The longest name of a project, in characters.
const LONGEST_NAME: usize = 60;
/// How many labels a cluster bears, or a selector asks for.
const MOST_LABELS: usize = 20;

/// A namespace across a selection of a workspace's clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// Its name, for people; unique in its workspace, whatever the case.
    pub name: ProjectName,
    /// The namespace that it is on each of its clusters.
    pub namespace: Namespace,
    /// On which of the workspace's clusters.
    pub placement: Placement,
    /// Whom of its workspace it takes over.
    pub takes: Takes,
    /// Whether Kubelend makes the namespace where it is missing.
    pub makes_namespace: bool,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
}

/// On which clusters of its workspace a project is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On all, those that join later among them.
    All,
    /// On these.
    Listed(Vec<ClusterId>),
    /// On those that bear all of these labels, those that join later or are labelled later among them.
    Labelled(Labels),
}

/// Which members of its workspace are members of a project by that. Owners always are: they say who is what in the workspace and may
/// delete all of it, so shutting them out would only look like it, and a project would be left to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// Whether its editors are the project's.
    pub editors: bool,
    /// Whether its viewers are.
    pub viewers: bool,
}

impl Default for Takes {
    fn default() -> Self {
        Self { editors: true, viewers: true }
    }
}

impl Takes {
    /// What somebody is in the project by what they are in its workspace.
    pub fn of(self, member: MemberRole) -> Option<MemberRole> {
        match member {
            MemberRole::Owner => Some(MemberRole::Owner),
            MemberRole::Editor if self.editors => Some(MemberRole::Editor),
            // Whoever edits a workspace looks at it, too.
            MemberRole::Editor | MemberRole::Viewer if self.viewers => Some(MemberRole::Viewer),
            MemberRole::Editor | MemberRole::Viewer => None,
        }
    }
}

/// What is wished of a project's namespace on a cluster, and how far that has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceWish {
    /// The project.
    pub project: ProjectId,
    /// What it is called.
    pub called: ProjectName,
    /// The namespace.
    pub namespace: Namespace,
    /// Whether Kubelend makes it where it is missing.
    pub makes: bool,
    /// The mark of one that is being made: it may be there already.
    pub begun: Option<String>,
    /// The UID of the one that Kubelend made.
    pub uid: Option<String>,
}

/// A namespace that Kubelend made for a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeNamespace {
    /// The cluster.
    pub cluster: ClusterId,
    /// What that is called.
    pub on: ClusterName,
    /// Its UID.
    pub uid: String,
    /// When.
    pub at: Timestamp,
}

/// What somebody is where a project is, by themselves or by a group: the strongest of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// In its workspace.
    pub workspace: Option<MemberRole>,
    /// In the project, as one of its own members.
    pub project: Option<MemberRole>,
}

impl From<Option<MemberRole>> for Membership {
    /// Of somebody who is asked about in a workspace alone.
    fn from(workspace: Option<MemberRole>) -> Self {
        Self { workspace, project: None }
    }
}

impl Membership {
    /// What that makes them in the project.
    pub fn within(self, project: &Project) -> Option<MemberRole> {
        self.project.max(self.workspace.and_then(|role| project.takes.of(role)))
    }
}

impl Placement {
    /// Whether it takes in this cluster of the project's workspace.
    pub fn selects(&self, cluster: ClusterId, labels: &Labels) -> bool {
        match self {
            Self::All => true,
            Self::Listed(clusters) => clusters.contains(&cluster),
            Self::Labelled(wanted) => wanted.0.iter().all(|(key, value)| labels.0.get(key) == Some(value)),
        }
    }
}

impl Project {
    /// Whether it is on this cluster: one of its workspace's that its placement takes in.
    pub fn is_on(&self, cluster: &Cluster) -> bool {
        self.workspace == cluster.workspace && self.placement.selects(cluster.id, &cluster.labels)
    }
}

/// A project's name: plain text of one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProjectName(String);

impl ProjectName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        if s.is_empty() {
            return Err(BadName("Give the project a name.".into()));
        }
        if s.chars().count() > LONGEST_NAME {
            return Err(BadName(format!("A project's name has at most {LONGEST_NAME} characters.")));
        }
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if s.chars().any(|c| c.is_control() || turns(c)) {
            return Err(BadName("A project's name is plain text of one line.".into()));
        }
        Ok(Self(s.to_owned()))
    }
}

/// Labels of a cluster, or those that a project's placement asks for (Kubernetes' syntax of labels, `meta/v1` `ObjectMeta`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its value, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl fmt::Display for Labels {
    /// `env=production, team=shop`, as [`Labels::from_str`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, value)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Labels {
    type Err = BadName;
    /// Reads `key=value`, separated by commas, spaces or line ends. Nothing at all is no label.
    fn from_str(s: &str) -> Result<Self, BadName> {
        let mut labels = BTreeMap::new();
        for pair in s.split(|c: char| c == ',' || c.is_whitespace()).filter(|pair| !pair.is_empty()) {
            let (key, value) = label(pair)?;
            if labels.insert(key.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
                return Err(BadName(format!("The label “{key}” is there twice, with two values.")));
            }
        }
        if labels.len() > MOST_LABELS {
            return Err(BadName(format!("At most {MOST_LABELS} labels.")));
        }
        Ok(Self(labels))
    }
}

fn label(pair: &str) -> Result<(&str, &str), BadName> {
    let refuse = || {
        let shown: String = pair.chars().take(80).collect();
        BadName(format!(
            "“{shown}” is no label: write key=value, as kubectl does (letters, digits, “-”, “_” and “.”, at most 63 of them)."
        ))
    };
    let (key, value) = pair.split_once('=').ok_or_else(refuse)?;
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let good = prefix.is_none_or(is_domain) && is_word(name) && (value.is_empty() || is_word(value));
    if good { Ok((key, value)) } else { Err(refuse()) }
}

/// 1 to 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit.
fn is_word(s: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (1..=63).contains(&s.len())
        && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && ends(s.chars().next())
        && ends(s.chars().last())
}

fn is_domain(s: &str) -> bool {
    (1..=253).contains(&s.len())
        && s.split('.').all(|part| is_word(part) && !part.contains('_') && part == part.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_kubernetes_takes_them_and_come_back() {
        let labels: Labels = "team=shop, env=production\n example.com/tier=1 empty=".parse().unwrap();
        assert_eq!(labels.to_string(), "empty=, env=production, example.com/tier=1, team=shop");
        assert_eq!(labels.to_string().parse::<Labels>().unwrap(), labels);
        assert!("".parse::<Labels>().unwrap().is_empty());
        for bad in ["env", "=x", "e v=x=", "env=a=b", "a/b/c=x", "env=-x", "Exa_mple/x=1", "env=x env=y", "é=x"] {
            assert!(bad.parse::<Labels>().is_err(), "{bad}");
        }
        assert!((0..21).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(" ").parse::<Labels>().is_err());
    }

    #[test]
    fn a_placement_takes_in_what_bears_all_of_its_labels() {
        let (one, other) = (ClusterId::new(), ClusterId::new());
        let labels = |s: &str| s.parse::<Labels>().unwrap();
        let wanted = Placement::Labelled(labels("env=production, team=shop"));
        assert!(wanted.selects(one, &labels("env=production team=shop region=eu")));
        assert!(!wanted.selects(one, &labels("env=production")));
        assert!(!wanted.selects(one, &labels("env=production team=pay")));
        assert!(Placement::All.selects(one, &Labels::default()));
        assert!(Placement::Listed(vec![one]).selects(one, &Labels::default()));
        assert!(!Placement::Listed(vec![one]).selects(other, &Labels::default()));
    }

    #[test]
    fn immune_28_a_project_takes_over_whom_it_says_and_owners_always() {
        use MemberRole::{Editor, Owner, Viewer};
        for (editors, viewers, editor, viewer) in [
            (true, true, Some(Editor), Some(Viewer)),
            (true, false, Some(Editor), None),
            (false, true, Some(Viewer), Some(Viewer)),
            (false, false, None, None),
        ] {
            let takes = Takes { editors, viewers };
            assert_eq!((takes.of(Owner), takes.of(Editor), takes.of(Viewer)), (Some(Owner), editor, viewer));
        }
    }

    #[test]
    fn immune_17_a_project_s_name_is_one_line_of_plain_text() {
        assert_eq!(" Online shop ".parse::<ProjectName>().unwrap().as_str(), "Online shop");
        for bad in ["", " ", "a\nb", "a\u{202e}b", &"x".repeat(61)] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad:?}");
        }
    }
}
