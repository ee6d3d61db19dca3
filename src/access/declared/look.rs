//! What there is, as far as a file speaks of it.

use std::collections::{HashMap, HashSet};

use super::{Change, Declared, Kind, Plan, Refused, Remark, Step};
use crate::{
    declared::{File, GrantEntry, Mistake, Place, Who, WorkspaceEntry},
    model::{
        cluster::Cluster,
        file::{AccessFile, FILE_ISSUER},
        grant::Grantee,
        id::{FederatedGrantId, GrantId, IdentityId, ProjectId, WorkspaceId},
        identity::Identity,
        project::Project,
        time::Timestamp,
        workspace::{Member, Workspace},
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

    async fn find_people(&mut self) -> Result<(), StoreError> {
        let mut named: Vec<(Place, &Who)> = Vec::new();
        let grants = |grants: &'a [GrantEntry]| grants.iter().map(|grant| (grant.at, &grant.who));
        named.extend(grants(&self.entries.grants));
        for workspace in &self.entries.workspaces {
            named.extend(workspace.members.iter().map(|member| (member.at, &member.who)));
            named.extend(grants(&workspace.grants));
            named.extend(workspace.projects.iter().flat_map(|project| grants(&project.grants)));
            named.extend(workspace.clusters.iter().flat_map(|cluster| grants(&cluster.grants)));
        }
        let mut wrong: HashMap<&Who, (String, &str)> = HashMap::new();
        for (at, who) in named {
            if !self.who.contains_key(who) && !wrong.contains_key(who) {
                match self.find(who).await? {
                    Ok(found) => drop(self.who.insert(who.clone(), found)),
                    Err(why) => drop(wrong.insert(who, why)),
                }
            }
            if let Some((problem, fix)) = wrong.get(who) {
                self.mistake(at, problem.clone(), *fix);
            }
        }
        Ok(())
    }

    async fn find(&self, who: &Who) -> Result<Result<Found, (String, &'static str)>, StoreError> {
        let store = &self.parts.store;
        let person = |person: Identity| Found { words: person.display().to_owned(), who: Grantee::Person(person.id) };
        Ok(match who {
            // The file was written for one of them, and does not say for which: an address that goes to somebody else inherits nothing.
            Who::Person(provider, email) if store.email_changed_hands(provider, email).await? => {
                let problem = format!("{email} has had several holders at {provider}, and any of them may be meant");
                Err((problem, "name the person by “sub: …”, as their ID tokens have it"))
            }
            Who::Person(provider, email) => {
                let there = store.identity_by_email(provider, email).await?;
                let unseen =
                    || Found { who: Grantee::Email(provider.clone(), email.clone()), words: email.to_string() };
                Ok(there.map_or_else(unseen, person))
            }
            Who::Sub(provider, sub) => match store.identity_by_sub(provider, sub).await? {
                Some(there) => Ok(person(there)),
                None => Err((
                    format!("nobody with this “sub” has signed in at {provider} yet"),
                    "name them by “person: EMAIL”, or apply this again once they have signed in",
                )),
            },
            Who::Group(provider, group) => {
                Ok(Found { who: Grantee::Group(provider.clone(), group.clone()), words: who.to_string() })
            }
            Who::Account(account) => {
                Ok(Found { who: Grantee::ServiceAccount(account.clone()), words: who.to_string() })
            }
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
        let store = &self.parts.store;
        for workspace in all.into_iter().filter(|workspace| wanted.contains(&workspace.id)) {
            let id = workspace.id;
            let members = store.members(id).await?;
            let projects = store.projects_of(id).await?;
            let clusters = store.clusters_in(&[id]).await?;
            self.rooms.insert(id, Room { workspace, members, projects, clusters });
        }
        Ok(())
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
