//! What there is, as far as a file speaks of it.

use std::collections::{HashMap, HashSet};

use super::{Change, Declared, Kind, Plan, Refused, Remark, Step};
use crate::{
    declared::{File, Mistake, Place, Who, WorkspaceEntry},
    model::{
        cluster::Cluster,
        custom_role::CustomRole,
        file::{AccessFile, FILE_ISSUER},
        grant::Grantee,
        group::Group,
        id::{CustomRoleId, FederatedGrantId, GrantId, GroupId, IdentityId, ProjectId, WorkspaceId},
        identity::Identity,
        project::Project,
        time::Timestamp,
        workspace::{Member, Seats, Workspace},
    },
    policy::{self, Person},
    store::{MadeByFile, StoreError},
};

/// A workspace that is there, with what is in it.
pub(super) struct Room {
    pub(super) workspace: Workspace,
    pub(super) members: Vec<(Member, Option<Identity>)>,
    pub(super) projects: Vec<Project>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) roles: Vec<CustomRole>,
    pub(super) groups: Vec<Group>,
}

/// Somebody whom the file names.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) who: Grantee,
    pub(super) words: String,
}

/// What the file's entries were found to speak of: these stay.
#[derive(Default)]
pub(super) struct Claimed {
    pub(super) roles: HashSet<CustomRoleId>,
    pub(super) groups: HashSet<GroupId>,
    pub(super) seats: Vec<(Seats, GroupId)>,
    pub(super) projects: HashSet<ProjectId>,
    pub(super) federated: HashSet<FederatedGrantId>,
    pub(super) grants: HashSet<GrantId>,
}

/// A comparison under way.
pub(super) struct Planner<'a> {
    pub(super) parts: &'a Declared,
    pub(super) entries: &'a File,
    pub(super) now: Timestamp,
    /// The file as it is known; where it was never applied, as it would be.
    pub(super) file: AccessFile,
    pub(super) person: Person,
    pub(super) mine: MadeByFile,
    pub(super) who: HashMap<Who, Found>,
    /// The workspaces of the file's entries that are there, and others that the file has made something in.
    pub(super) rooms: HashMap<WorkspaceId, Room>,
    /// The custom roles and the Groups of all workspaces.
    pub(super) all_roles: Vec<CustomRole>,
    pub(super) all_groups: Vec<Group>,
    pub(super) homes: Vec<Option<WorkspaceId>>,
    pub(super) projects: Vec<Vec<Option<ProjectId>>>,
    pub(super) claimed: Claimed,
    pub(super) mistakes: Vec<Mistake>,
    changes: Vec<Change>,
    remarks: Vec<Remark>,
}

impl<'a> Planner<'a> {
    pub(super) async fn look(parts: &'a Declared, entries: &'a File) -> Result<Self, Refused> {
        let now = parts.clock.now();
        let known = parts.store.file(&entries.name).await.map_err(failed)?;
        let mine = match &known {
            Some(file) => parts.store.made_by_file(file).await.map_err(failed)?,
            None => MadeByFile::default(),
        };
        let file = known.unwrap_or_else(|| AccessFile::not_applied(&entries.name, now));
        let person = policy::applying(&file);
        let mut planner = Self {
            parts,
            entries,
            now,
            file,
            person,
            mine,
            who: HashMap::new(),
            rooms: HashMap::new(),
            all_roles: parts.store.custom_roles_of(None).await.map_err(failed)?,
            all_groups: parts.store.groups_of(None).await.map_err(failed)?,
            homes: Vec::new(),
            projects: entries.workspaces.iter().map(|w| vec![None; w.projects.len()]).collect(),
            claimed: Claimed::default(),
            mistakes: Vec::new(),
            changes: Vec::new(),
            remarks: Vec::new(),
        };
        planner.find_people().await.map_err(failed)?;
        planner.find_workspaces().await.map_err(failed)?;
        Ok(planner)
    }

    pub(super) fn plan(mut self) -> Result<Plan, Refused> {
        if !self.mistakes.is_empty() {
            self.mistakes.sort();
            return Err(Refused::Mistakes(self.mistakes));
        }
        self.changes.sort_by_key(|change| change.step.turn());
        Ok(Plan {
            file: self.entries.name.clone(),
            changes: self.changes,
            remarks: self.remarks,
            homes: self.homes,
            projects: self.projects,
        })
    }

    pub(super) fn step(&mut self, kind: Kind, what: &'static str, words: String, at: Option<Place>, step: Step) {
        self.changes.push(Change { kind, what, words, note: None, at, step });
    }

    /// Says more of the latest step.
    pub(super) fn note(&mut self, note: &'static str) {
        if let Some(change) = self.changes.last_mut() {
            change.note = Some(note);
        }
    }

    pub(super) fn remark(&mut self, what: &'static str, words: String, at: Option<Place>) {
        self.remarks.push(Remark { what, words, at });
    }

    pub(super) fn mistake(&mut self, at: Place, problem: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, problem, fix));
    }

    /// The workspace of the file's entry, if it is there.
    pub(super) fn room(&self, home: usize) -> Option<&Room> {
        self.rooms.get(&self.homes[home]?)
    }

    /// By whom something was made, in words: “by hand, by alice@example.com”, “by the file ci”.
    pub(super) async fn maker(&self, id: IdentityId) -> Result<String, StoreError> {
        let person = self.parts.store.identity(id).await?;
        Ok(if person.issuer == FILE_ISSUER {
            format!("by the {}", person.display())
        } else {
            format!("by hand, by {}", person.display())
        })
    }

    async fn find_workspaces(&mut self) -> Result<(), StoreError> {
        let all = self.parts.store.living_workspaces().await?;
        for entry in &self.entries.workspaces {
            let found = self.workspace(entry, &all).await?.map(|workspace| workspace.id);
            if found.is_some() && self.homes.contains(&found) {
                self.mistake(entry.at, "this is a workspace that stands above already", "put both into one entry");
            }
            self.homes.push(found);
        }
        let mut wanted: HashSet<WorkspaceId> = self.homes.iter().copied().flatten().collect();
        wanted.extend(self.mine.workspaces.iter().map(|workspace| workspace.id));
        wanted.extend(self.mine.members.iter().map(|(workspace, _)| *workspace));
        wanted.extend(self.mine.projects.iter().map(|project| project.workspace));
        wanted.extend(self.mine.roles.iter().filter_map(|role| role.workspace));
        wanted.extend(self.mine.groups.iter().filter_map(|group| group.workspace));
        wanted.extend(self.homes_of_others().await?);
        let store = &self.parts.store;
        for workspace in all.into_iter().filter(|workspace| wanted.contains(&workspace.id)) {
            let id = workspace.id;
            let members = store.members(id).await?;
            let projects = store.projects_of(id).await?;
            let clusters = store.clusters_in(&[id]).await?;
            let (roles, groups) = (store.custom_roles_of(Some(id)).await?, store.groups_of(Some(id)).await?);
            self.rooms.insert(id, Room { workspace, members, projects, clusters, roles, groups });
        }
        Ok(())
    }

    /// The workspaces of Groups and projects that are not the file's own, and that it has added somebody to.
    async fn homes_of_others(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let (store, mut homes) = (&self.parts.store, Vec::new());
        for (group, _) in &self.mine.group_members {
            homes.extend(store.group(*group).await?.workspace);
        }
        for (project, _) in &self.mine.project_members {
            homes.push(store.project(*project).await?.workspace);
        }
        for (seats, _) in &self.mine.seats {
            homes.push(match seats {
                Seats::Workspace(id) => *id,
                Seats::Project(id) => store.project(*id).await?.workspace,
            });
        }
        Ok(homes)
    }

    /// The workspace that an entry names; none where it is to be made.
    async fn workspace<'b>(
        &mut self,
        entry: &WorkspaceEntry,
        all: &'b [Workspace],
    ) -> Result<Option<&'b Workspace>, StoreError> {
        if let Some((at, id)) = entry.id {
            let found = all.iter().find(|workspace| workspace.id == id);
            match found {
                None => self.mistake(at, "there is no workspace with this id", "leave “id” out to have one made"),
                Some(there) if !entry.name.matches(&there.name) => {
                    let problem = format!("the workspace with this id is called “{}”", there.name);
                    self.mistake(entry.at, problem, "write that name, or another id");
                }
                Some(_) => {}
            }
            return Ok(found);
        }
        let named: Vec<&Workspace> = all.iter().filter(|workspace| entry.name.matches(&workspace.name)).collect();
        let made_here = named.iter().find(|workspace| workspace.created_by == Some(self.file.identity.id));
        match (named.as_slice(), made_here) {
            ([], _) => Ok(None),
            ([one], _) | (_, Some(one)) => Ok(Some(one)),
            (several, None) => {
                let mut which = Vec::new();
                for workspace in several {
                    let by = match workspace.created_by {
                        Some(maker) => format!("made {}", self.maker(maker).await?),
                        None => "made before that was kept".into(),
                    };
                    which.push(format!("{} ({by})", workspace.id));
                }
                let problem = format!("{} workspaces are called “{}”", several.len(), entry.name);
                self.mistake(entry.at, problem, format!("add “id: …”, one of {}", which.join(", ")));
                Ok(Some(several[0]))
            }
        }
    }
}

/// Whether both are the same whom something is given to.
pub(super) fn same(a: &Grantee, b: &Grantee) -> bool {
    match (a, b) {
        (Grantee::Email(at, one), Grantee::Email(there, other)) => at == there && one.matches(other),
        _ => a == b,
    }
}

pub(super) fn failed(error: StoreError) -> Refused {
    Refused::Access(error.into())
}
