//! The projects that somebody is a member of by themselves, as *Workspaces* and *Shared with me* list them: whoever is a member of a
//! project alone finds it there.

use std::collections::HashMap;

use super::workspace::a_role;
use crate::{
    model::{identity::Identity, project::Project, workspace::MemberRole},
    store::Store,
    web::{errors::PageError, paths},
};

/// How many are listed.
const SHOWN: usize = 40;

/// The list.
pub struct OwnProjects {
    /// They, by name.
    pub rows: Vec<OwnProject>,
    /// How many there are besides.
    pub more: usize,
}

/// A project in the list.
pub struct OwnProject {
    /// Its address.
    pub href: String,
    /// Its name.
    pub name: String,
    /// Where it is and what they are there.
    pub facts: String,
}

/// What somebody is a member of.
pub(super) async fn own_projects(store: &Store, person: &Identity) -> Result<OwnProjects, PageError> {
    let mut projects = store.projects_of_member(person).await?;
    let more = projects.len().saturating_sub(SHOWN);
    projects.truncate(SHOWN);
    let ids: Vec<_> = projects.iter().map(|(project, _)| project.workspace).collect();
    let homes = if ids.is_empty() { Vec::new() } else { store.workspaces(&ids).await? };
    let homes: HashMap<_, _> = homes.into_iter().map(|home| (home.id, home.name)).collect();
    let row = |(project, role): &(Project, MemberRole)| OwnProject {
        href: paths::project(project.workspace, project.id),
        name: project.name.to_string(),
        facts: format!(
            "in {} · namespace {} · you are {}",
            homes.get(&project.workspace).map_or("a workspace", String::as_str),
            project.namespace,
            a_role(*role)
        ),
    };
    Ok(OwnProjects { rows: projects.iter().map(row).collect(), more })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::samples::HOSTILE;

    /// Some to draw.
    pub(in crate::web) fn sample_projects(count: usize) -> OwnProjects {
        let one =
            |_| OwnProject { href: "/workspaces/x/projects/y".into(), name: HOSTILE.into(), facts: HOSTILE.into() };
        OwnProjects { rows: (0..count).map(one).collect(), more: count / 2 }
    }
}
