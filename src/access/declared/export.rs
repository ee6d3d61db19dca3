//! What there is, as a file: the access that people and files have given, so that applying it changes nothing.
//!
//! Whoever may look at a workspace may have its file: there is nothing in it that its pages do not show. What other workspaces have,
//! and what reaches every cluster, is in the file of everything alone, which is for platform admins.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crate::{
    access::AccessError,
    clock::Clock,
    declared::{
        self, ClusterEntry, File, GrantEntry, MAX_ENTRIES, MemberEntry, On, Place, ProjectEntry, Who, WorkspaceEntry,
    },
    model::{
        federation::WideScope,
        file::FILE_ISSUER,
        grant::{Grantee, Origin},
        group::Holder,
        id::ClusterId,
        identity::Identity,
        name::{ClusterName, Namespace},
        project::{Placement, Project},
        provider::ProviderId,
        reason::Reason,
        role::Role,
        time::Timestamp,
        workspace::Workspace,
    },
    policy::{Authorized, Reach, ViewReach, ViewWorkspace},
    store::{Store, StoreError},
};

/// How many rows are read at a time.
const AT_ONCE: u32 = 500;
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
    now: Timestamp,
    entries: usize,
    /// What is not in it, and how much of that.
    left_out: BTreeMap<&'static str, usize>,
}

/// What is given, wherever it stands.
struct Given<'a> {
    grantee: &'a Grantee,
    person: Option<&'a Identity>,
    role: &'a Role,
    namespaces: &'a [Namespace],
    until: Option<Timestamp>,
    reason: Option<&'a Reason>,
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
        let mut draft = Draft::new(self);
        let entry = draft.workspace(permit.workspace()).await?;
        draft.finished(vec![entry], Vec::new())
    }

    /// Everything as a file. Errors as for one workspace; `NotFound` where they may not look so far.
    pub async fn everything(&self, permit: &Authorized<ViewReach>) -> Result<String, AccessError> {
        if !matches!(permit.reach(), Reach::Global) {
            return Err(AccessError::NotFound);
        }
        let mut draft = Draft::new(self);
        let mut entries = Vec::new();
        for workspace in self.store.living_workspaces().await? {
            entries.push(draft.workspace(&workspace).await?);
        }
        let grants = draft.wide(WideScope::Global).await?;
        let names: Vec<String> = entries.iter().map(|entry| entry.name.as_str().to_lowercase()).collect();
        for (n, entry) in entries.iter_mut().enumerate() {
            // Here an id is said where the name is not enough. In the file of one it always is: whether another has its name is not to
            // be seen there.
            if names.iter().filter(|name| **name == names[n]).count() < 2 {
                entry.id = None;
            }
        }
        draft.finished(entries, grants)
    }
}

impl<'a> Draft<'a> {
    fn new(parts: &'a Exports) -> Self {
        Self { parts, now: parts.clock.now(), entries: 0, left_out: BTreeMap::new() }
    }

    fn finished(self, workspaces: Vec<WorkspaceEntry>, grants: Vec<GrantEntry>) -> Result<String, AccessError> {
        let day = self.now.to_string();
        let day = day.split('T').next().unwrap_or_default();
        let name = format!("export-{day}").parse().map_err(|_| AccessError::NotFound)?;
        let mut comments = vec![
            format!("Access as it was at {}.", self.now),
            "Applied as it is it changes nothing. Give it a name of its own before you apply it for good.".to_owned(),
        ];
        let left = self.left_out.iter().map(|(what, n)| format!("Not in here: {n} {what}."));
        comments.extend(left);
        let file = File { name, workspaces, grants, notes: Vec::new() };
        Ok(declared::write(&file, &self.parts.providers, &comments))
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
        let members = self.members(workspace).await?;
        let mut projects = Vec::new();
        for project in store.projects_of(workspace.id).await? {
            projects.extend(self.project(&project, &names).await?);
        }
        let mut entries = Vec::new();
        for (id, name) in names {
            self.count()?;
            let grants = self.on_cluster(id).await?;
            entries.push(ClusterEntry { at: NOWHERE, name, grants });
        }
        let grants = self.wide(WideScope::Workspace(workspace.id)).await?;
        let name = workspace.name.parse().map_err(|_| StoreError::Corrupt("name of a workspace"))?;
        let id = Some((NOWHERE, workspace.id));
        Ok(WorkspaceEntry { at: NOWHERE, name, id, members, projects, clusters: entries, grants })
    }

    async fn members(&mut self, workspace: &Workspace) -> Result<Vec<MemberEntry>, AccessError> {
        let mut entries = Vec::new();
        for (member, person) in self.parts.store.members(workspace.id).await? {
            // A workspace that a file has made is owned by it; that comes with the making.
            if person.as_ref().is_some_and(|person| person.issuer == FILE_ISSUER) {
                continue;
            }
            if let Some(who) = self.who(&member.who, person.as_ref()).await? {
                self.count()?;
                entries.push(MemberEntry { at: NOWHERE, who, role: member.role });
            }
        }
        Ok(entries)
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
        let (name, namespace) = (project.name.clone(), project.namespace.clone());
        Ok(Some(ProjectEntry { at: NOWHERE, name, namespace_at: NOWHERE, namespace, on, grants }))
    }

    async fn wide(&mut self, scope: WideScope) -> Result<Vec<GrantEntry>, AccessError> {
        let (mut entries, mut before, now) = (Vec::new(), None, self.now);
        loop {
            let page = self.parts.store.federated_grants(scope, before, AT_ONCE).await?;
            for (grant, _) in page.rows.iter().filter(|(grant, _)| grant.is_live(now)) {
                let Holder::One(grantee) = &grant.grantee else {
                    self.leave_out("grants to groups of Kubelend's own");
                    continue;
                };
                let person = match grantee {
                    Grantee::Person(id) => Some(self.parts.store.identity(*id).await?),
                    Grantee::Email(..) | Grantee::Group(..) | Grantee::ServiceAccount(_) => None,
                };
                let given = Given {
                    grantee,
                    person: person.as_ref(),
                    role: &grant.role,
                    namespaces: &[],
                    until: grant.expires_at,
                    reason: grant.reason.as_ref(),
                };
                entries.extend(self.grant(given).await?);
            }
            before = page.next;
            if before.is_none() {
                // Pages come newest first, and a file reads better the other way.
                entries.reverse();
                return Ok(each_once(entries));
            }
        }
    }

    async fn on_cluster(&mut self, cluster: ClusterId) -> Result<Vec<GrantEntry>, AccessError> {
        let (mut entries, mut after, now) = (Vec::new(), None, self.now);
        loop {
            let rows = self.parts.store.live_grants_of(cluster, after, AT_ONCE).await?;
            let Some((last, _)) = rows.last() else { return Ok(each_once(entries)) };
            after = Some(last.id);
            for (grant, person) in rows.iter().filter(|(grant, _)| grant.is_live(now)) {
                let (Some(role), false) = (&grant.role, matches!(grant.origin, Origin::Link(_))) else {
                    self.leave_out("grants that came by share links");
                    continue;
                };
                let given = Given {
                    grantee: &grant.grantee,
                    person: person.as_ref(),
                    role,
                    namespaces: grant.scope.namespaces(),
                    until: grant.expires_at,
                    reason: grant.reason.as_ref(),
                };
                entries.extend(self.grant(given).await?);
            }
        }
    }

    async fn grant(&mut self, given: Given<'_>) -> Result<Option<GrantEntry>, AccessError> {
        let Some(who) = self.who(given.grantee, given.person).await? else { return Ok(None) };
        self.count()?;
        Ok(Some(GrantEntry {
            at: NOWHERE,
            who,
            role_at: NOWHERE,
            role: given.role.clone(),
            namespaces: given.namespaces.to_vec(),
            until_at: NOWHERE,
            until: given.until,
            reason_at: NOWHERE,
            reason: given.reason.cloned(),
        }))
    }

    /// Somebody as a file names them; nothing where it has no name for them that means them alone.
    async fn who(&mut self, who: &Grantee, person: Option<&Identity>) -> Result<Option<Who>, StoreError> {
        const CHANGED: &str = "entries of addresses that have changed hands";
        let parts = self.parts;
        let store = &parts.store;
        let who = match (who, person) {
            (Grantee::Person(_), Some(person)) => match person.verified_email() {
                Some(email) if !store.email_changed_hands(&person.provider, email).await? => {
                    Who::Person(person.provider.clone(), email.clone())
                }
                _ => Who::Sub(person.provider.clone(), person.sub.clone()),
            },
            (Grantee::Person(_), None) => return Ok(None),
            (Grantee::Email(provider, email), _) => {
                if store.email_changed_hands(provider, email).await? {
                    self.leave_out(CHANGED);
                    return Ok(None);
                }
                Who::Person(provider.clone(), email.clone())
            }
            (Grantee::Group(provider, group), _) => Who::Group(provider.clone(), group.clone()),
            (Grantee::ServiceAccount(account), _) => Who::Account(account.clone()),
        };
        let provider = match &who {
            Who::Person(provider, _) | Who::Sub(provider, _) | Who::Group(provider, _) => Some(provider),
            Who::Account(_) => None,
        };
        if provider.is_some_and(|provider| !parts.providers.contains(provider)) {
            self.leave_out("entries of providers that the configuration does not name");
            return Ok(None);
        }
        Ok(Some(who))
    }
}

/// The same may be given by hand and by a file, to a person and to their address: a file says it once.
fn each_once(entries: Vec<GrantEntry>) -> Vec<GrantEntry> {
    let key = |entry: &GrantEntry| {
        let who = match &entry.who {
            Who::Person(provider, email) => format!("{provider} {}", email.normalised()),
            other => format!("{other:?}"),
        };
        (who, entry.role.clone(), entry.namespaces.clone())
    };
    let mut seen = HashSet::new();
    entries.into_iter().filter(|entry| seen.insert(key(entry))).collect()
}
