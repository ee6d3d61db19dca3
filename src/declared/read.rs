//! Reading a whole file.

use std::collections::HashMap;

use super::{
    ClusterEntry, File, GrantEntry, GroupEntry, Mistake, On, ProjectEntry, WorkspaceEntry,
    fields::{Fields, Mistakes, object, short},
    gitlab,
    grants::{self, Providers, Under},
    members, own,
};
use crate::{
    model::{
        file::FileName,
        name::{ClusterName, Namespace, WorkspaceName},
        project::{Labels, ProjectName},
        provider::ProviderId,
    },
    yaml::{self, Node, Place, Value},
};

/// The largest file that is looked at.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How many members, projects and grants a file has at most.
pub const MAX_ENTRIES: usize = 10_000;

const START: Place = Place { line: 1, column: 1 };

/// Reads a file. `providers` are those that the configuration has.
///
/// # Errors
/// All that is wrong with it, in its order.
pub fn read(text: &str, providers: &[ProviderId]) -> Result<File, Vec<Mistake>> {
    if text.len() > MAX_BYTES {
        let problem = format!("this is more than {} KiB", MAX_BYTES / 1024);
        return Err(vec![Mistake::new(START, problem, "make several files of it, each with a name of its own")]);
    }
    let root = yaml::read(text).map_err(|faults| {
        let fix = "access files are plain YAML: fields, lists and values";
        faults.iter().map(|fault| Mistake::new(fault.at, fault.reason, fix)).collect::<Vec<_>>()
    })?;
    let mut mistakes = Mistakes::default();
    let read = file(&root, providers, &mut mistakes);
    match read {
        Some(file) if mistakes.is_empty() => Ok(file),
        _ => Err(mistakes.all()),
    }
}

fn file(root: &Node, providers: &[ProviderId], mistakes: &mut Mistakes) -> Option<File> {
    const KNOWN: &[&str] = &["file", "provider", "roles", "groups", "workspaces", "grants"];
    let top = object(root, "access file", KNOWN, mistakes)?;
    let name = top.required("file", "access file", mistakes).and_then(|(text, at)| {
        mistakes.keep(at, "name it, as in “file: access”: what it makes is known by that", text.parse::<FileName>())
    });
    let mut providers = Providers { known: providers, default: None };
    providers.default = match (top.text("provider", mistakes), providers.known) {
        (Some((text, at)), _) => providers.named(text, at, mistakes),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    };
    let mut notes = Vec::new();
    let roles = own::roles(top.list("roles", mistakes), mistakes);
    let groups = own::groups(top.list("groups", mistakes), false, &providers, mistakes);
    let workspaces = workspaces(&top, &providers, &mut notes, mistakes);
    let grants = grants::grants(top.list("grants", mistakes), Under::Wide, &providers, mistakes);
    let file = File { name: name?, roles, groups, workspaces, grants, notes };
    let entries = entries(&file);
    if entries > MAX_ENTRIES {
        let problem = format!("there are {entries} entries, and {MAX_ENTRIES} are the most");
        mistakes.add(START, problem, "make several files of it, each with a name of its own");
    }
    Some(file)
}

fn entries(file: &File) -> usize {
    let of_groups = |groups: &[GroupEntry]| groups.iter().map(|group| 1 + group.members.len()).sum::<usize>();
    let of_workspace = |w: &WorkspaceEntry| {
        let projects: usize = w.projects.iter().map(|p| 1 + p.members.len() + p.grants.len()).sum();
        let clusters: usize = w.clusters.iter().map(|c| 1 + c.grants.len()).sum();
        1 + w.roles.len() + of_groups(&w.groups) + w.members.len() + projects + clusters + w.grants.len()
    };
    file.roles.len()
        + of_groups(&file.groups)
        + file.grants.len()
        + file.workspaces.iter().map(of_workspace).sum::<usize>()
}

/// Refuses the second of two that bear one name, whatever the case.
pub(super) fn unique(seen: &mut HashMap<String, Place>, name: &str, at: Place, mistakes: &mut Mistakes) {
    if let Some(first) = seen.insert(name.to_lowercase(), at) {
        let problem = format!("“{}” stands in line {} already", short(name), first.line);
        mistakes.add(at, problem, "put all that belongs to it in one place");
    }
}

fn workspaces(
    top: &Fields<'_>,
    providers: &Providers<'_>,
    notes: &mut Vec<(Place, &'static str)>,
    mistakes: &mut Mistakes,
) -> Vec<WorkspaceEntry> {
    const KNOWN: &[&str] = &["name", "id", "roles", "groups", "members", "projects", "clusters", "grants"];
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in top.list("workspaces", mistakes) {
        let Some(fields) = object(node, "workspace", KNOWN, mistakes) else { continue };
        let name = fields.required("name", "workspace", mistakes).and_then(|(text, at)| {
            Some((mistakes.keep(at, "give it another name", text.parse::<WorkspaceName>())?, at))
        });
        let id = fields.text("id", mistakes).and_then(|(text, at)| {
            let id = text.parse().map_err(|_| "this is no workspace's id");
            Some((at, mistakes.keep(at, "take it from the address of the workspace's page", id)?))
        });
        let roles = own::roles(fields.list("roles", mistakes), mistakes);
        let groups = own::groups(fields.list("groups", mistakes), true, providers, mistakes);
        let members = members::members(fields.list("members", mistakes), providers, mistakes);
        let projects = projects(&fields, providers, mistakes);
        let clusters = clusters(&fields, providers, notes, mistakes);
        let grants = grants::grants(fields.list("grants", mistakes), Under::Wide, providers, mistakes);
        let Some((name, at)) = name else { continue };
        // Two of one name are two where their ids say so.
        let key = id.map_or_else(|| name.as_str().to_owned(), |(_, id)| format!("{name} {id}"));
        unique(&mut seen, &key, at, mistakes);
        all.push(WorkspaceEntry { at, name, id, roles, groups, members, projects, clusters, grants });
    }
    all
}

fn projects(workspace: &Fields<'_>, providers: &Providers<'_>, mistakes: &mut Mistakes) -> Vec<ProjectEntry> {
    const KNOWN: &[&str] = &["name", "namespace", "make-namespace", "clusters", "labels", "takes", "members", "grants"];
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in workspace.list("projects", mistakes) {
        let Some(fields) = object(node, "project", KNOWN, mistakes) else { continue };
        let name = fields
            .required("name", "project", mistakes)
            .and_then(|(text, at)| Some((mistakes.keep(at, "give it another name", text.parse::<ProjectName>())?, at)));
        let namespace = fields.required("namespace", "project", mistakes).and_then(|(text, at)| {
            Some((mistakes.keep(at, "write a namespace as kubectl does", text.parse::<Namespace>())?, at))
        });
        let on = on(&fields, mistakes);
        let makes_namespace = own::yes(&fields, "make-namespace", mistakes);
        let (takes_editors, takes_viewers) = takes(&fields, mistakes);
        let members = members::members(fields.list("members", mistakes), providers, mistakes);
        let grants = grants::grants(fields.list("grants", mistakes), Under::Project, providers, mistakes);
        let (Some((name, at)), Some((namespace, namespace_at)), Some(on)) = (name, namespace, on) else { continue };
        unique(&mut seen, name.as_str(), at, mistakes);
        all.push(ProjectEntry {
            at,
            name,
            namespace_at,
            namespace,
            on,
            takes_editors,
            takes_viewers,
            makes_namespace,
            members,
            grants,
        });
    }
    all
}

/// Whom of its workspace a project takes over: editors, viewers.
fn takes(project: &Fields<'_>, mistakes: &mut Mistakes) -> (Option<bool>, Option<bool>) {
    let Some(node) = project.node("takes") else { return (None, None) };
    let Some(fields) = object(node, "switch", &["editors", "viewers"], mistakes) else { return (None, None) };
    let mut of = |name| own::yes(&fields, name, mistakes).map(|(on, _)| on);
    (of("editors"), of("viewers"))
}

fn on(project: &Fields<'_>, mistakes: &mut Mistakes) -> Option<On> {
    const FIX: &str = "write “clusters: all”, “clusters: [NAME, …]” or “labels: {KEY: VALUE}”";
    match (project.node("clusters"), project.node("labels")) {
        (Some(clusters), None) => listed(clusters, mistakes),
        (None, Some(labels)) => labelled(labels, mistakes),
        (None, None) => {
            mistakes.add(project.at, "this project does not say on which clusters it is", FIX);
            None
        }
        (Some(_), Some(labels)) => {
            mistakes.add(labels.at, "a project is on named clusters or on those with labels, not both", FIX);
            None
        }
    }
}

fn listed(node: &Node, mistakes: &mut Mistakes) -> Option<On> {
    let items = match &node.value {
        Value::Text(word) if word == "all" => return Some(On::All),
        Value::List(items) if !items.is_empty() => items,
        _ => {
            mistakes.add(node.at, "this names no clusters", "write “all”, or a list of clusters' names");
            return None;
        }
    };
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for item in items {
        let Value::Text(text) = &item.value else {
            mistakes.add(item.at, "a cluster is named by one plain text", "write its name");
            continue;
        };
        let fix = "write the name that its page has";
        let Some(name) = mistakes.keep(item.at, fix, text.parse::<ClusterName>()) else { continue };
        unique(&mut seen, name.as_str(), item.at, mistakes);
        all.push((item.at, name));
    }
    Some(On::Listed(all))
}

fn labelled(node: &Node, mistakes: &mut Mistakes) -> Option<On> {
    const FIX: &str = "write labels as {env: production}";
    let Value::Map(fields) = &node.value else {
        mistakes.add(node.at, "labels are named fields", FIX);
        return None;
    };
    let mut pairs = Vec::new();
    for field in fields {
        let value = match &field.value.value {
            Value::Text(text) => text.as_str(),
            Value::Nothing => "",
            Value::Map(_) | Value::List(_) => {
                mistakes.add(field.value.at, "a label has one plain text as its value", FIX);
                return None;
            }
        };
        let pair = format!("{}={value}", field.key);
        let separates = |c: char| c == ',' || c.is_whitespace();
        let read = if pair.contains(separates) {
            Err("a label has neither spaces nor commas".to_owned())
        } else {
            pair.parse::<Labels>().map_err(|why| why.to_string())
        };
        mistakes.keep(field.at, FIX, read)?;
        pairs.push(pair);
    }
    if pairs.is_empty() {
        mistakes.add(node.at, "no label is named, which would be every cluster", "name one, or write “clusters: all”");
        return None;
    }
    mistakes.keep(node.at, FIX, pairs.join(",").parse::<Labels>()).map(On::Labelled)
}

fn clusters(
    workspace: &Fields<'_>,
    providers: &Providers<'_>,
    notes: &mut Vec<(Place, &'static str)>,
    mistakes: &mut Mistakes,
) -> Vec<ClusterEntry> {
    const KNOWN: &[&str] = &["name", "grants", "gitlab"];
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in workspace.list("clusters", mistakes) {
        let Some(fields) = object(node, "cluster", KNOWN, mistakes) else { continue };
        let name = fields.required("name", "cluster", mistakes).and_then(|(text, at)| {
            Some((mistakes.keep(at, "write the name that its page has", text.parse::<ClusterName>())?, at))
        });
        let mut grants = grants::grants(fields.list("grants", mistakes), Under::Cluster, providers, mistakes);
        if let Some(node) = fields.node("gitlab") {
            let (entries, told) = gitlab::read(node, providers, mistakes);
            notes.extend(told);
            // What stands in the file's own words counts.
            let said = |e: &GrantEntry| {
                grants.iter().any(|g| (&g.who, &g.role, &g.namespaces) == (&e.who, &e.role, &e.namespaces))
            };
            let more: Vec<GrantEntry> = entries.into_iter().filter(|entry| !said(entry)).collect();
            grants.extend(more);
        }
        let Some((name, at)) = name else { continue };
        unique(&mut seen, name.as_str(), at, mistakes);
        all.push(ClusterEntry { at, name, grants });
    }
    all
}

#[cfg(test)]
mod tests;
