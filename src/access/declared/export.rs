//! What there is, as a file: the access that people and files have given, so that applying it changes nothing.
//!
//! Whoever may look at a workspace may have its file: there is nothing in it that its pages do not show. A project that takes them over
//! as nothing is not in it. What other workspaces have, and what reaches every cluster, is in the file of everything alone, which is
//! for platform admins.

mod grants;
mod people;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    access::AccessError,
    clock::Clock,
    declared::{self, ClusterEntry, File, MAX_ENTRIES, On, Place, ProjectEntry, WorkspaceEntry},
    model::{
        custom_role::CustomRole,
        federation::WideScope,
        id::ClusterId,
        name::ClusterName,
        project::{Placement, Project},
        provider::ProviderId,
        time::Timestamp,
        workspace::Workspace,
    },
    policy::{self, Authorized, Person, Reach, ViewReach, ViewWorkspace},
    store::{Store, StoreError},
};

/// A file that is written has no places.
const NOWHERE: Place = Place { line: 1, column: 1 };

/// Writes files.
#[derive(Clone, Debug)]
pub struct Exports {
    store: Store,
    providers: Arc<[ProviderId]>,
    clock: Clock,
}

/// A file that is being put together.
struct Draft<'a> {
    parts: &'a Exports,
    /// Who gets it.
    reader: &'a Person,
    /// The custom roles that something in it may be of.
    roles: Vec<CustomRole>,
    now: Timestamp,
    entries: usize,
    /// What is not in it, and how much of that.
    left_out: BTreeMap<&'static str, usize>,
}

impl Exports {
    /// With these parts; `providers` are those of the configuration.
    pub fn new(store: Store, providers: Arc<[ProviderId]>, clock: Clock) -> Self {
        Self { store, providers, clock }
    }

    /// A workspace as a file.
    ///
    /// # Errors
    /// `Invalid` (`file`) where there is more than one file takes.
    pub async fn workspace(&self, permit: &Authorized<ViewWorkspace>) -> Result<String, AccessError> {
        let mut draft = Draft::new(self, permit.person());
        let entry = draft.workspace(permit.workspace()).await?;
        Ok(draft.finished(&File { workspaces: vec![entry], ..draft.empty()? }))
    }

    /// Everything as a file. Errors as for one workspace; `NotFound` where they may not look so far.
    pub async fn everything(&self, permit: &Authorized<ViewReach>) -> Result<String, AccessError> {
        if !matches!(permit.reach(), Reach::Global) {
            return Err(AccessError::NotFound);
        }
        let mut draft = Draft::new(self, permit.person());
        let mut entries = Vec::new();
        for workspace in self.store.living_workspaces().await? {
            entries.push(draft.workspace(&workspace).await?);
        }
        draft.roles = self.store.custom_roles_of(None).await?;
        let roles = draft.own_roles(None)?;
        let groups = draft.groups(None).await?;
        let grants = draft.wide(WideScope::Global).await?;
        let names: Vec<String> = entries.iter().map(|entry| entry.name.as_str().to_lowercase()).collect();
        for (n, entry) in entries.iter_mut().enumerate() {
            // Here an id is said where the name is not enough. In the file of one it always is: whether another has its name is not to
            // be seen there.
            if names.iter().filter(|name| **name == names[n]).count() < 2 {
                entry.id = None;
            }
        }
        Ok(draft.finished(&File { roles, groups, workspaces: entries, grants, ..draft.empty()? }))
    }
}

impl<'a> Draft<'a> {
    fn new(parts: &'a Exports, reader: &'a Person) -> Self {
        Self { parts, reader, roles: Vec::new(), now: parts.clock.now(), entries: 0, left_out: BTreeMap::new() }
    }

    /// A file that says nothing.
    fn empty(&self) -> Result<File, AccessError> {
        let day = self.now.to_string();
        let day = day.split('T').next().unwrap_or_default();
        let name = format!("export-{day}").parse().map_err(|_| AccessError::NotFound)?;
        let (roles, groups, workspaces) = (Vec::new(), Vec::new(), Vec::new());
        Ok(File { name, roles, groups, workspaces, grants: Vec::new(), notes: Vec::new() })
    }

    fn finished(&self, file: &File) -> String {
        let mut comments = vec![
            format!("Access as it was at {}.", self.now),
            "Applied as it is it changes nothing. Give it a name of its own before you apply it for good.".to_owned(),
        ];
        let left = self.left_out.iter().map(|(what, n)| format!("Not in here: {n} {what}."));
        comments.extend(left);
        declared::write(file, &self.parts.providers, &comments)
    }

    fn count(&mut self) -> Result<(), AccessError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            let message = format!("There is more here than one file takes: {MAX_ENTRIES} entries.");
            return Err(AccessError::Invalid { field: "file", message });
        }
        Ok(())
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    async fn workspace(&mut self, workspace: &Workspace) -> Result<WorkspaceEntry, AccessError> {
        self.count()?;
        let parts = self.parts;
        let store = &parts.store;
        let clusters = store.clusters_in(&[workspace.id]).await?;
        let names: Vec<(ClusterId, ClusterName)> =
            clusters.iter().filter(|c| c.removing.is_none()).map(|c| (c.id, c.name.clone())).collect();
        self.roles = store.custom_roles_usable_in(Some(workspace.id)).await?;
        let roles = self.own_roles(Some(workspace.id))?;
        let groups = self.groups(Some(workspace.id)).await?;
        let members = self.members_of_workspace(workspace).await?;
        let mut projects = Vec::new();
        for project in store.projects_of(workspace.id).await? {
            let is = store.membership_in_project(project.id, self.reader.identity()).await?;
            if policy::view_project(self.reader, workspace.clone(), project.clone(), is).is_ok() {
                projects.extend(self.project(&project, &names).await?);
            } else {
                self.leave_out("projects that are not shown to you");
            }
        }
        let mut entries = Vec::new();
        for (id, name) in names {
            self.count()?;
            let mut grants = self.on_cluster(id).await?;
            grants.extend(self.wide(WideScope::Cluster(id)).await?);
            entries.push(ClusterEntry { at: NOWHERE, name, grants });
        }
        let grants = self.wide(WideScope::Workspace(workspace.id)).await?;
        let name = workspace.name.parse().map_err(|_| StoreError::Corrupt("name of a workspace"))?;
        let id = Some((NOWHERE, workspace.id));
        Ok(WorkspaceEntry { at: NOWHERE, name, id, roles, groups, members, projects, clusters: entries, grants })
    }

    async fn project(
        &mut self,
        project: &Project,
        clusters: &[(ClusterId, ClusterName)],
    ) -> Result<Option<ProjectEntry>, AccessError> {
        let on = match &project.placement {
            Placement::All => On::All,
            Placement::Labelled(labels) => On::Labelled(labels.clone()),
            Placement::Listed(ids) => {
                let name =
                    |id| clusters.iter().find(|(there, _)| *there == id).map(|(_, name)| (NOWHERE, name.clone()));
                On::Listed(ids.iter().filter_map(|id| name(*id)).collect())
            }
        };
        if on == On::Listed(Vec::new()) {
            self.leave_out("projects that are on no cluster any more");
            return Ok(None);
        }
        self.count()?;
        let grants = self.wide(WideScope::Project(project.id)).await?;
        let members = self.members_of_project(project).await?;
        let takes = project.takes;
        Ok(Some(ProjectEntry {
            at: NOWHERE,
            name: project.name.clone(),
            namespace_at: NOWHERE,
            namespace: project.namespace.clone(),
            on,
            // What is as it is without a word is not said.
            takes_editors: (!takes.editors).then_some(false),
            takes_viewers: (!takes.viewers).then_some(false),
            makes_namespace: project.makes_namespace.then_some((true, NOWHERE)),
            members,
            grants,
        }))
    }
}
