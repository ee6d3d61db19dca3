//! The form that makes and changes a project, read field by field.

use std::collections::HashMap;

use crate::{
    model::{
        id::ClusterId,
        name::Namespace,
        project::{Labels, Placement, Project, ProjectName},
    },
    web::forms::{Choice, FieldErrors},
};

/// What the name of a cluster's box begins with.
const BOX: &str = "cluster:";

/// The form, as it is typed.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub struct ProjectForm {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// `all`, `listed` or `labelled`.
    pub on: String,
    /// The labels.
    pub labels: String,
    /// The clusters: a box for each, `cluster:ID`.
    #[serde(flatten)]
    pub boxes: HashMap<String, String>,
}

impl Default for ProjectForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            namespace: String::new(),
            on: "all".into(),
            labels: String::new(),
            boxes: HashMap::new(),
        }
    }
}

impl From<&Project> for ProjectForm {
    fn from(project: &Project) -> Self {
        let mut form =
            Self { name: project.name.to_string(), namespace: project.namespace.to_string(), ..Self::default() };
        match &project.placement {
            Placement::All => {}
            Placement::Listed(clusters) => {
                form.on = "listed".into();
                form.boxes = clusters.iter().map(|id| (format!("{BOX}{id}"), "yes".to_owned())).collect();
            }
            Placement::Labelled(labels) => {
                form.on = "labelled".into();
                form.labels = labels.to_string();
            }
        }
        form
    }
}

impl ProjectForm {
    pub(super) fn ons(&self) -> Vec<Choice> {
        [
            ("all", "every cluster, and those to come"),
            ("labelled", "clusters with these labels"),
            ("listed", "these clusters"),
        ]
        .into_iter()
        .map(|(value, label)| Choice::new(value, label, &self.on))
        .collect()
    }

    /// Whether this cluster is among those that are listed.
    pub(super) fn lists(&self, cluster: &ClusterId) -> bool {
        self.listed().any(|id| id == *cluster)
    }

    fn listed(&self) -> impl Iterator<Item = ClusterId> {
        self.boxes.keys().filter_map(|name| name.strip_prefix(BOX)?.parse().ok())
    }

    pub(super) fn read(&self, errors: &mut FieldErrors) -> Option<(ProjectName, Namespace, Placement)> {
        let namespace = errors.keep("namespace", self.namespace.parse::<Namespace>());
        let (name, placement) = self.change(errors)?;
        Some((name, namespace?, placement))
    }

    /// What can be changed of one that is there.
    pub(super) fn change(&self, errors: &mut FieldErrors) -> Option<(ProjectName, Placement)> {
        let name = errors.keep("name", self.name.parse::<ProjectName>());
        let placement = match self.on.as_str() {
            "all" => Some(Placement::All),
            "listed" => {
                let mut clusters: Vec<ClusterId> = self.listed().collect();
                clusters.sort();
                Some(Placement::Listed(clusters))
            }
            "labelled" => errors.keep("labels", self.labels.parse::<Labels>()).map(Placement::Labelled),
            _ => {
                errors.add("on", "Choose on which clusters it is.");
                None
            }
        };
        Some((name?, placement?))
    }
}

/// In words: “on every cluster”, “on the listed clusters”, “on clusters with env=prod”.
pub(super) fn on_words(placement: &Placement) -> String {
    match placement {
        Placement::All => "on every cluster".into(),
        Placement::Listed(_) => "on listed clusters".into(),
        Placement::Labelled(labels) => format!("on clusters with {labels}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placement_is_read_and_mistakes_stand_at_their_fields() {
        let one = ClusterId::new();
        let form = |on: &str| ProjectForm {
            name: "Shop".into(),
            namespace: "shop".into(),
            on: on.into(),
            labels: "env=prod".into(),
            boxes: [format!("cluster:{one}"), "cluster:nonsense".into(), "csrf".into()]
                .map(|k| (k, "yes".into()))
                .into(),
        };
        let read = |form: &ProjectForm| form.read(&mut FieldErrors::default()).map(|(_, _, placement)| placement);
        assert_eq!(read(&form("all")), Some(Placement::All));
        assert_eq!(read(&form("listed")), Some(Placement::Listed(vec![one])));
        assert_eq!(read(&form("labelled")), Some(Placement::Labelled("env=prod".parse().unwrap())));
        assert!(form("listed").lists(&one) && !form("listed").lists(&ClusterId::new()));
        for (field, wrong) in [
            ("name", ProjectForm { name: " ".into(), ..form("all") }),
            ("namespace", ProjectForm { namespace: "No Name".into(), ..form("all") }),
            ("labels", ProjectForm { labels: "env".into(), ..form("labelled") }),
            ("on", form("nowhere")),
        ] {
            let mut errors = FieldErrors::default();
            assert!(wrong.read(&mut errors).is_none() && errors.has(field), "{field}");
        }
    }
}
