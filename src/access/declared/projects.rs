//! Projects, as a file has them.

use super::{
    Kind, NewProject, Step,
    look::{Planner, Room},
};
use crate::{
    declared::{On, ProjectEntry},
    model::{
        id::WorkspaceId,
        name::ClusterName,
        project::{Placement, Project, Takes},
    },
};

impl Planner<'_> {
    /// Projects that are to be made or changed.
    pub(super) fn projects(&mut self) {
        let entries = self.entries;
        for (home, workspace) in entries.workspaces.iter().enumerate() {
            for (n, entry) in workspace.projects.iter().enumerate() {
                let placement = self.placement(home, &entry.on);
                let there = self.room(home).and_then(|room| named(room, entry)).cloned();
                let is = format!("{}, project {}", workspace.name, entry.name);
                match (there, placement) {
                    (Some(there), placement) => {
                        self.projects[home][n] = Some(there.id);
                        self.claimed.projects.insert(there.id);
                        self.project_that_is_there(&is, entry, &there, placement);
                        self.switches((home, n), &is, entry, Some(&there));
                    }
                    (None, Some(placement)) => {
                        let on = self.on_words(home, &placement);
                        let takes = wanted(entry, Takes::default());
                        let of = if takes == Takes::default() {
                            String::new()
                        } else {
                            format!("; {}", takes_in_words(takes))
                        };
                        let words = format!("{is}: namespace {}, on {on}{of}", entry.namespace);
                        let (name, namespace) = (entry.name.clone(), entry.namespace.clone());
                        let step = Step::AddProject(home, n, NewProject { name, namespace, placement, takes });
                        self.step(Kind::Add, "project", words, Some(entry.at), step);
                        self.switches((home, n), &is, entry, None);
                    }
                    (None, None) => {}
                }
            }
        }
    }

    fn project_that_is_there(&mut self, is: &str, entry: &ProjectEntry, there: &Project, wanted: Option<Placement>) {
        if there.namespace != entry.namespace {
            let problem = format!("the project {} is the namespace {}, and stays it", there.name, there.namespace);
            self.mistake(entry.namespace_at, problem, "write that one, or give the project another name");
        }
        let Some(wanted) = wanted else { return };
        let placed = canonical(&there.placement) == canonical(&wanted);
        let mine = there.created_by == self.file.identity.id;
        match (mine, placed && there.name == entry.name) {
            (true, true) => {}
            (true, false) => {
                let (now, before) =
                    (self.on_words_in(there.workspace, &wanted), self.on_words_in(there.workspace, &there.placement));
                let words = if placed {
                    format!("{is}, was {}", there.name)
                } else {
                    format!("{is}: on {now}, was on {before}")
                };
                let step = Step::ChangeProject(there.id, entry.name.clone(), wanted);
                self.step(Kind::Change, "project", words, Some(entry.at), step);
            }
            (false, same) => {
                let words = if same {
                    format!("{is}: there already, and not because of this file")
                } else {
                    let on = self.on_words_in(there.workspace, &there.placement);
                    format!("{is}: left alone on {on}, since it is not because of this file")
                };
                self.remark("project", words, Some(entry.at));
            }
        }
    }

    /// Whom a project takes over of its workspace, and whether its namespace is made: what the file does not say stays.
    fn switches(&mut self, (home, n): (usize, usize), is: &str, entry: &ProjectEntry, there: Option<&Project>) {
        let mine = there.is_none_or(|there| there.created_by == self.file.identity.id);
        let mut said = Vec::new();
        // One that is about to be made is made so: in between others would see it.
        if let Some(there) = there
            && wanted(entry, there.takes) != there.takes
        {
            let wanted = wanted(entry, there.takes);
            said.push((takes_in_words(wanted).to_owned(), Step::Take(home, n, wanted)));
        }
        let made = there.is_some_and(|there| there.makes_namespace);
        match entry.makes_namespace {
            Some((true, at)) if entry.namespace.as_str().starts_with("kube-") => {
                let problem = "names that begin with “kube-” are Kubernetes' own, and Kubelend makes none of them";
                self.mistake(at, problem, "leave it out");
            }
            Some((makes, _)) if makes != made => {
                let how = if makes { "made where it is missing" } else { "not made by Kubelend" };
                said.push((format!("its namespace is {how}"), Step::MakeNamespace(home, n, makes)));
            }
            _ => {}
        }
        for (words, step) in said {
            if mine {
                self.step(Kind::Change, "project", format!("{is}: {words}"), Some(entry.at), step);
            } else {
                let words = format!("{is}: not “{words}”, since it is not because of this file");
                self.remark("project", words, Some(entry.at));
            }
        }
    }

    /// Where an entry puts its project; nothing where that is a mistake.
    fn placement(&mut self, home: usize, on: &On) -> Option<Placement> {
        match on {
            On::All => Some(Placement::All),
            On::Labelled(labels) => Some(Placement::Labelled(labels.clone())),
            On::Listed(names) => {
                let mut ids = Vec::new();
                for (at, name) in names {
                    ids.push(self.cluster(home, name, *at).map(|cluster| cluster.id));
                }
                ids.into_iter().collect::<Option<Vec<_>>>().map(Placement::Listed)
            }
        }
    }

    fn on_words(&self, home: usize, placement: &Placement) -> String {
        match self.homes[home] {
            Some(workspace) => self.on_words_in(workspace, placement),
            None => on_words(placement, None),
        }
    }

    fn on_words_in(&self, workspace: WorkspaceId, placement: &Placement) -> String {
        on_words(placement, self.rooms.get(&workspace))
    }
}

/// Whom it is to take over; what the entry does not say stays.
fn wanted(entry: &ProjectEntry, now: Takes) -> Takes {
    Takes { editors: entry.takes_editors.unwrap_or(now.editors), viewers: entry.takes_viewers.unwrap_or(now.viewers) }
}

fn takes_in_words(takes: Takes) -> &'static str {
    match (takes.editors, takes.viewers) {
        (true, true) => "takes over editors and viewers",
        (true, false) => "takes over editors, and no viewers",
        (false, true) => "takes over viewers, and editors as viewers",
        (false, false) => "takes over owners alone",
    }
}

fn named<'a>(room: &'a Room, entry: &ProjectEntry) -> Option<&'a Project> {
    let name = entry.name.as_str().to_lowercase();
    room.projects.iter().find(|project| project.name.as_str().to_lowercase() == name)
}

fn canonical(placement: &Placement) -> Placement {
    match placement {
        Placement::Listed(clusters) => {
            let mut clusters = clusters.clone();
            clusters.sort();
            Placement::Listed(clusters)
        }
        other => other.clone(),
    }
}

fn on_words(placement: &Placement, room: Option<&Room>) -> String {
    match placement {
        Placement::All => "every cluster".into(),
        Placement::Labelled(labels) => format!("clusters with {labels}"),
        Placement::Listed(clusters) => {
            let name = |id| room?.clusters.iter().find(|cluster| cluster.id == id).map(|cluster| &cluster.name);
            let mut names: Vec<&str> =
                clusters.iter().map(|id| name(*id).map_or("one that is gone", ClusterName::as_str)).collect();
            names.sort_unstable();
            if names.is_empty() { "no cluster".into() } else { names.join(", ") }
        }
    }
}
