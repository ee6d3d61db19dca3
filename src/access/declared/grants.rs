//! What a file gives, held against what is given.

use super::{
    Kind, Refused, Spot, Step,
    look::{Found, Planner, failed, same},
};
use crate::{
    access::{AccessError, FederatedRequest, GrantRequest},
    declared::{GrantEntry, Place},
    model::{
        cluster::Cluster,
        federation::{FederatedGrant, WideScope},
        grant::{Grantee, Origin},
        name::{ClusterName, Namespace},
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    store::Terms,
};

const AGAIN: &str = "somebody has taken it back, and the file gives it again";

impl Planner<'_> {
    /// Grants that are to be given or changed.
    pub(super) async fn grants(&mut self) -> Result<(), Refused> {
        let entries = self.entries;
        self.wide(&Spot::Everywhere, "every cluster", &entries.grants).await?;
        for (home, workspace) in entries.workspaces.iter().enumerate() {
            self.wide(&Spot::Workspace(home), workspace.name.as_str(), &workspace.grants).await?;
            for (n, project) in workspace.projects.iter().enumerate() {
                let place = format!("{}, project {}", workspace.name, project.name);
                self.wide(&Spot::Project(home, n), &place, &project.grants).await?;
            }
            for entry in &workspace.clusters {
                let Some(cluster) = self.cluster(home, &entry.name, entry.at) else { continue };
                let place = format!("{}, cluster {}", workspace.name, cluster.name);
                self.on_cluster(&cluster, &place, &entry.grants).await?;
            }
        }
        Ok(())
    }

    /// The cluster of a workspace that an entry names.
    pub(super) fn cluster(&mut self, home: usize, name: &ClusterName, at: Place) -> Option<Cluster> {
        let workspace = &self.entries.workspaces[home].name;
        let found = self.room(home).and_then(|room| {
            let name = name.as_str().to_lowercase();
            room.clusters.iter().find(|cluster| cluster.name.as_str().to_lowercase() == name)
        });
        match found.cloned() {
            None => {
                let problem = format!("{workspace} has no cluster “{name}”");
                self.mistake(at, problem, "a file adds no clusters: add it on its page first, or correct the name");
                None
            }
            Some(cluster) if cluster.removing.is_some() => {
                self.mistake(at, format!("the cluster {name} is being removed"), "take it out of the file");
                None
            }
            Some(cluster) => Some(cluster),
        }
    }

    async fn wide(&mut self, spot: &Spot, place: &str, entries: &[GrantEntry]) -> Result<(), Refused> {
        let mut seen = Vec::new();
        for entry in entries {
            let Some(found) = self.whom(entry, place, &mut seen) else { continue };
            let standing = match self.wide_scope(spot) {
                Some(scope) => {
                    let store = &self.parts.store;
                    store.standing_federated(scope, &found.who, &entry.role, self.now).await.map_err(failed)?
                }
                None => None,
            };
            let words = in_words(place, &found, entry);
            match standing {
                Some(there) => self.wide_that_stands(words, entry, &there).await?,
                None => self.give_wide(spot, words, entry, found).await?,
            }
        }
        Ok(())
    }

    async fn give_wide(&mut self, spot: &Spot, words: String, entry: &GrantEntry, found: Found) -> Result<(), Refused> {
        let maker = self.file.identity.id;
        let again = match self.wide_scope(spot) {
            Some(scope) => {
                let store = &self.parts.store;
                store.was_taken_back_everywhere(maker, scope, &found.who, &entry.role).await.map_err(failed)?
            }
            None => false,
        };
        let request = FederatedRequest {
            grantee: found.who.into(),
            role: entry.role.clone(),
            expires_at: entry.until,
            reason: entry.reason.clone(),
        };
        self.step(Kind::Add, "grant", words, Some(entry.at), Step::GiveWide(spot.clone(), request));
        if again {
            self.note(AGAIN);
        }
        Ok(())
    }

    async fn wide_that_stands(
        &mut self,
        words: String,
        entry: &GrantEntry,
        there: &FederatedGrant,
    ) -> Result<(), Refused> {
        if there.created_by != self.file.identity.id {
            let by = self.maker(there.created_by).await.map_err(failed)?;
            let words = left_alone(&words, &by, entry.until, there.expires_at);
            self.remark("grant", words, Some(entry.at));
            return Ok(());
        }
        self.claimed.federated.insert(there.id);
        if same_moment(there.expires_at, entry.until) && there.reason == entry.reason {
            return Ok(());
        }
        let words = changed(words, there.expires_at, entry.until);
        let step = Step::RetimeWide(there.scope, there.id, entry.until, entry.reason.clone());
        self.step(Kind::Change, "grant", words, Some(entry.at), step);
        Ok(())
    }

    /// How far a spot reaches; nothing where it is still to be made.
    fn wide_scope(&self, spot: &Spot) -> Option<WideScope> {
        match *spot {
            Spot::Everywhere => Some(WideScope::Global),
            Spot::Workspace(home) => self.homes[home].map(WideScope::Workspace),
            Spot::Project(home, n) => self.projects[home][n].map(WideScope::Project),
        }
    }

    async fn on_cluster(&mut self, cluster: &Cluster, place: &str, entries: &[GrantEntry]) -> Result<(), Refused> {
        let mut seen = Vec::new();
        for entry in entries {
            let Some(found) = self.whom(entry, place, &mut seen) else { continue };
            let scope = Scope::new(cluster.id, entry.namespaces.clone());
            let store = &self.parts.store;
            let standing = store.standing_grants(&scope, &found.who, &entry.role, self.now).await.map_err(failed)?;
            let words = in_words(place, &found, entry);
            let mine = standing.iter().find(|grant| grant.origin == Origin::File(self.file.id));
            match (mine, standing.first()) {
                (Some(mine), _) => {
                    self.claimed.grants.insert(mine.id);
                    if !same_moment(mine.expires_at, entry.until) || mine.reason != entry.reason {
                        let words = changed(words, mine.expires_at, entry.until);
                        let terms = Terms { expires_at: entry.until, reason: entry.reason.clone() };
                        let step = Step::Retime(cluster.id, mine.id, terms);
                        self.step(Kind::Change, "grant", words, Some(entry.at), step);
                    }
                }
                (None, Some(there)) => {
                    let by = self.maker(there.created_by).await.map_err(failed)?;
                    let words = left_alone(&words, &by, entry.until, there.expires_at);
                    self.remark("grant", words, Some(entry.at));
                }
                (None, None) => self.give(cluster, &scope, words, entry, found).await?,
            }
        }
        Ok(())
    }

    async fn give(
        &mut self,
        cluster: &Cluster,
        scope: &Scope,
        words: String,
        entry: &GrantEntry,
        found: Found,
    ) -> Result<(), Refused> {
        let store = &self.parts.store;
        let again = store.was_taken_back(self.file.id, scope, &found.who, &entry.role).await.map_err(failed)?;
        let request = GrantRequest {
            grantee: found.who,
            role: entry.role.clone(),
            namespaces: entry.namespaces.clone(),
            expires_at: entry.until,
            reason: entry.reason.clone(),
        };
        let permit = self.parts.gate.manage_access(&self.person, cluster.id).await?;
        match self.parts.grants.vet(&permit, request.clone()).await {
            Ok(_) => {
                self.step(Kind::Add, "grant", words, Some(entry.at), Step::Give(cluster.id, request));
                if again {
                    self.note(AGAIN);
                }
            }
            Err(AccessError::Invalid { field, message }) => {
                let at = match field {
                    "role" => entry.role_at,
                    "expires" => entry.until_at,
                    _ => entry.at,
                };
                self.mistake(at, message, "correct it here, or on the cluster");
            }
            Err(AccessError::Cluster(why)) => {
                let problem = format!("{} cannot be asked about the role {}: {why}", cluster.name, entry.role);
                self.mistake(entry.role_at, problem, "apply this again when the cluster answers");
            }
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }

    /// Whom an entry is for; nothing where it is for nobody, or for nobody any more.
    fn whom(
        &mut self,
        entry: &GrantEntry,
        place: &str,
        seen: &mut Vec<(Grantee, Role, Vec<Namespace>)>,
    ) -> Option<Found> {
        let found = self.who.get(&entry.who)?.clone();
        let this = (found.who.clone(), entry.role.clone(), entry.namespaces.clone());
        if seen.iter().any(|(who, role, namespaces)| same(who, &this.0) && *role == this.1 && *namespaces == this.2) {
            self.mistake(entry.at, "this says the same as an entry above: it is the same person", "keep one of them");
            return None;
        }
        seen.push(this);
        if entry.until.is_some_and(|until| until <= self.now) {
            let words = format!("{}: its time is up, so it can be taken out", in_words(place, &found, entry));
            self.remark("grant", words, Some(entry.at));
            return None;
        }
        Some(found)
    }
}

fn in_words(place: &str, found: &Found, entry: &GrantEntry) -> String {
    let names: Vec<&str> = entry.namespaces.iter().map(Namespace::as_str).collect();
    let within = match names.as_slice() {
        [] => String::new(),
        [one] => format!(", namespace {one}"),
        several => format!(", namespaces {}", several.join(", ")),
    };
    let until = entry.until.map(|end| format!(" until {end}")).unwrap_or_default();
    format!("{place}{within}: {} has {}{until}", found.words, entry.role)
}

/// A file has seconds.
fn same_moment(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    a.map(Timestamp::secs) == b.map(Timestamp::secs)
}

fn end(until: Option<Timestamp>) -> String {
    until.map_or_else(|| "with no end".to_owned(), |end| format!("until {end}"))
}

fn changed(words: String, before: Option<Timestamp>, wanted: Option<Timestamp>) -> String {
    if same_moment(before, wanted) {
        format!("{words}, with another reason")
    } else {
        format!("{words}, was {}", end(before))
    }
}

fn left_alone(words: &str, by: &str, wanted: Option<Timestamp>, there: Option<Timestamp>) -> String {
    let otherwise = if same_moment(wanted, there) { String::new() } else { format!(" {}", end(there)) };
    format!("{words}: there already{otherwise}, made {by}; left alone")
}
