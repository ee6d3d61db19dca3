//! What a file gives, held against what is given.

use super::{
    Kind, Refused, RoleAt, Spot, Step,
    given::{Given, To, gift},
    look::{Planner, failed},
};
use crate::{
    declared::{GivenRole, GrantEntry, Place, Who},
    model::{
        cluster::Cluster,
        federation::{FederatedGrant, WideScope},
        name::{ClusterName, Namespace},
        time::Timestamp,
    },
    policy::Forbidden,
};

pub(super) const AGAIN: &str = "somebody has taken it back, and the file gives it again";

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
                self.on_cluster(home, &cluster, &place, &entry.grants).await?;
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
            let Some(given) = self.given(spot.home(), entry, place, &mut seen) else { continue };
            match self.standing_wide(self.wide_scope(spot), &given, entry).await? {
                Some(there) => self.wide_that_stands(given.words, entry, &there).await?,
                None => self.give_wide(spot, entry, given).await?,
            }
        }
        Ok(())
    }

    pub(super) async fn standing_wide(
        &self,
        scope: Option<WideScope>,
        given: &Given,
        entry: &GrantEntry,
    ) -> Result<Option<FederatedGrant>, Refused> {
        let (Some(scope), Some(holder), RoleAt::There(role)) = (scope, given.to.holder(), &given.role) else {
            return Ok(None);
        };
        let place = (scope, entry.namespaces.as_slice());
        self.parts.store.standing_federated(place, &holder, role, self.now).await.map_err(failed)
    }

    async fn give_wide(&mut self, spot: &Spot, entry: &GrantEntry, given: Given) -> Result<(), Refused> {
        let again = self.was_taken_back(self.wide_scope(spot), &given, entry).await?;
        if !self.may_hold(&given, entry) {
            return Ok(());
        }
        let step = Step::GiveWide(spot.clone(), given.to.recipient(), gift(given.role, entry));
        self.step(Kind::Add, "grant", given.words, Some(entry.at), step);
        if again {
            self.note(AGAIN);
        }
        Ok(())
    }

    pub(super) async fn was_taken_back(
        &self,
        scope: Option<WideScope>,
        given: &Given,
        entry: &GrantEntry,
    ) -> Result<bool, Refused> {
        let (Some(scope), Some(holder), RoleAt::There(role)) = (scope, given.to.holder(), &given.role) else {
            return Ok(false);
        };
        let (maker, place) = (self.file.identity.id, (scope, entry.namespaces.as_slice()));
        self.parts.store.was_taken_back_everywhere(maker, place, &holder, role).await.map_err(failed)
    }

    /// Whether a Group may hold what it is given: no more than whoever changes its members may give.
    pub(super) fn may_hold(&mut self, given: &Given, entry: &GrantEntry) -> bool {
        let for_owners = match &given.role {
            RoleAt::There(role) => role.is_for_owners() || role.custom_name().is_some(),
            RoleAt::Made(..) => true,
        };
        let To::Group(group) = &given.to else { return true };
        if for_owners && !group.kept {
            let problem = format!("you cannot give this: {}", Forbidden::GroupNotKept);
            self.mistake(entry.role_at, problem, "write “kept: true” where the group is defined");
        }
        !for_owners || group.kept
    }

    pub(super) async fn wide_that_stands(
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

    /// What an entry gives to whom; nothing where it is a mistake, or for nobody any more.
    pub(super) fn given(
        &mut self,
        home: Option<usize>,
        entry: &GrantEntry,
        place: &str,
        seen: &mut Vec<(To, GivenRole, Vec<Namespace>)>,
    ) -> Option<Given> {
        let (to, who) = match &entry.who {
            Who::Own(called) => {
                let group = self.own_group(home, called, entry.at)?;
                let words = format!("Kubelend group {}", group.name);
                (To::Group(group), words)
            }
            who => {
                let found = self.who.get(who)?.clone();
                (To::One(found.who), found.words)
            }
        };
        let role = self.role_at(home, &entry.role, entry.role_at);
        let this = (to.clone(), entry.role.clone(), entry.namespaces.clone());
        if seen.iter().any(|(to, role, namespaces)| to.is(&this.0) && *role == this.1 && *namespaces == this.2) {
            self.mistake(entry.at, "this says the same as an entry above: it is the same person", "keep one of them");
            return None;
        }
        seen.push(this);
        let words = in_words(place, &who, entry);
        if entry.until.is_some_and(|until| until <= self.now) {
            self.remark("grant", format!("{words}: its time is up, so it can be taken out"), Some(entry.at));
            return None;
        }
        Some(Given { to, words, role: role? })
    }
}

fn in_words(place: &str, who: &str, entry: &GrantEntry) -> String {
    let names: Vec<&str> = entry.namespaces.iter().map(Namespace::as_str).collect();
    let within = match names.as_slice() {
        [] => String::new(),
        [one] => format!(", namespace {one}"),
        several => format!(", namespaces {}", several.join(", ")),
    };
    let until = entry.until.map(|end| format!(" until {end}")).unwrap_or_default();
    format!("{place}{within}: {who} has {}{until}", entry.role)
}

/// A file has seconds.
pub(super) fn same_moment(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    a.map(Timestamp::secs) == b.map(Timestamp::secs)
}

fn end(until: Option<Timestamp>) -> String {
    until.map_or_else(|| "with no end".to_owned(), |end| format!("until {end}"))
}

pub(super) fn changed(words: String, before: Option<Timestamp>, wanted: Option<Timestamp>) -> String {
    if same_moment(before, wanted) {
        format!("{words}, with another reason")
    } else {
        format!("{words}, was {}", end(before))
    }
}

pub(super) fn left_alone(words: &str, by: &str, wanted: Option<Timestamp>, there: Option<Timestamp>) -> String {
    let otherwise = if same_moment(wanted, there) { String::new() } else { format!(" {}", end(there)) };
    format!("{words}: there already{otherwise}, made {by}; left alone")
}
