//! Groups of our own, as a file has them.

use super::{
    GroupAt, Kind, Refused, Step,
    look::{Planner, failed, same},
};
use crate::{
    declared::{Called, GroupEntry, Place},
    model::{
        grant::Grantee,
        group::{EVERYWHERE, Group, GroupMember, GroupName, Holder},
        id::GroupId,
        identity::Identity,
    },
    store::StoreError,
};

/// A Group that an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnGroup {
    pub(super) at: GroupAt,
    pub(super) name: GroupName,
    /// As it is typed in a form.
    pub(super) typed: String,
    /// Whether owners alone change it once the file is applied.
    pub(super) kept: bool,
}

impl OwnGroup {
    /// It as the holder of a grant, where it is there.
    pub(super) fn holder(&self) -> Option<Holder> {
        match &self.at {
            GroupAt::There(id) => Some(Holder::Group(*id, self.name.clone())),
            GroupAt::Made(..) => None,
        }
    }
}

impl Planner<'_> {
    /// Groups that are to be made or changed, and who is in them.
    pub(super) async fn groups(&mut self) -> Result<(), Refused> {
        let entries = self.entries;
        for entry in &entries.groups {
            self.one_group(None, entry).await?;
        }
        for (home, workspace) in entries.workspaces.iter().enumerate() {
            for entry in &workspace.groups {
                self.one_group(Some(home), entry).await?;
            }
        }
        Ok(())
    }

    async fn one_group(&mut self, home: Option<usize>, entry: &GroupEntry) -> Result<(), Refused> {
        let is = format!("{}, group {}", self.level(home), entry.name);
        let there = self.group_there(home, &entry.name).cloned();
        let (at, members) = if let Some(there) = &there {
            self.claimed.groups.insert(there.id);
            self.group_that_is_there(&is, entry, there).await?;
            let members = self.parts.store.group_members(there.id).await.map_err(failed)?;
            (GroupAt::There(there.id), members.into_iter().map(|(member, _)| member).collect())
        } else {
            if let Err(why) = entry.name.check_new() {
                self.mistake(entry.at, why.0.trim_end_matches('.').to_owned(), "give it another name");
            }
            let kept = home.is_some() && entry.kept.is_some_and(|(kept, _)| kept);
            let words = if kept { format!("{is}: only owners change it") } else { is.clone() };
            let step = Step::MakeGroup(home, entry.name.clone(), kept);
            self.step(Kind::Add, "group", words, Some(entry.at), step);
            (GroupAt::Made(home, entry.name.clone()), Vec::new())
        };
        self.in_group(&is, &at, entry, &members);
        Ok(())
    }

    /// Who is to be in a Group, of whom these are.
    fn in_group(&mut self, is: &str, at: &GroupAt, entry: &GroupEntry, members: &[GroupMember]) {
        let mut named: Vec<Grantee> = Vec::new();
        for (place, who) in &entry.members {
            let Some(found) = self.who.get(who).cloned() else { continue };
            if named.iter().any(|before| same(before, &found.who)) {
                self.mistake(*place, "this is somebody who stands above already", "keep one of them");
                continue;
            }
            named.push(found.who.clone());
            let words = format!("{is}: {} is in it", found.words);
            match members.iter().find(|member| same(&member.who, &found.who)) {
                None => {
                    let step = Step::AddToGroup(at.clone(), found.who);
                    self.step(Kind::Add, "member", words, Some(*place), step);
                }
                Some(member) if member.by != self.file.identity.id => {
                    self.remark("member", format!("{words} already, and not because of this file"), Some(*place));
                }
                Some(_) => {}
            }
        }
    }

    async fn group_that_is_there(&mut self, is: &str, entry: &GroupEntry, there: &Group) -> Result<(), Refused> {
        let kept = entry.kept.map_or(there.owners_only, |(kept, _)| kept);
        if there.created_by != self.file.identity.id {
            if let Some((true, at)) = entry.kept.filter(|_| !there.is_kept()) {
                let problem = "somebody else has made this group, and editors change who is in it";
                let fix = "let only owners change it, on its page, or make another group";
                self.mistake(at, problem, fix);
                return Ok(());
            }
            let how = if kept == there.owners_only { "there already, and" } else { "stays as it is, since it is" };
            self.remark("group", format!("{is}: {how} not because of this file"), Some(entry.at));
            return Ok(());
        }
        if kept == there.owners_only && entry.name == there.name {
            return Ok(());
        }
        if there.owners_only && !kept {
            if self.must_be_kept(there.id).await.map_err(failed)? {
                let words =
                    format!("{is}: stays with its owners as long as it is a member or holds what only owners give");
                self.remark("group", words, Some(entry.at));
            } else {
                let step = Step::OpenGroup(there.id, entry.name.clone());
                self.step(Kind::Change, "group", format!("{is}: editors change it, too"), Some(entry.at), step);
            }
            return Ok(());
        }
        let how =
            if kept == there.owners_only { format!("was {}", there.name) } else { "only owners change it".into() };
        let step = Step::ChangeGroup(there.id, entry.name.clone(), kept);
        self.step(Kind::Change, "group", format!("{is}: {how}"), Some(entry.at), step);
        Ok(())
    }

    /// Whether a Group is a member of something, or holds what only owners give.
    async fn must_be_kept(&self, id: GroupId) -> Result<bool, StoreError> {
        let held = self.parts.store.grants_to_group(id).await?;
        let strong = held.iter().any(|(grant, _)| grant.role.is_for_owners() || !grant.role.is_everywhere());
        Ok(strong || !self.parts.store.seats_of(id).await?.is_empty())
    }

    fn group_there(&self, home: Option<usize>, name: &GroupName) -> Option<&Group> {
        let groups = match home {
            Some(home) => &self.room(home)?.groups,
            None => &self.all_groups,
        };
        groups.iter().find(|group| group.name.as_str().to_lowercase() == name.as_str().to_lowercase())
    }

    /// The Group that is named in a workspace (`None`: everywhere); nothing where that is a mistake.
    pub(super) fn own_group(&mut self, home: Option<usize>, called: &Called<GroupName>, at: Place) -> Option<OwnGroup> {
        let near = home.filter(|_| !called.everywhere);
        let levels = if self.is_of_others(near, &called.name) { [None, None] } else { [near, None] };
        if levels[0] != near {
            let words = format!(
                "{}: Kubelend group {} is the one of all workspaces; the workspace's own is not because of this file",
                self.level(near),
                called.name
            );
            self.remark("group", words, Some(at));
        }
        for level in levels {
            let there = self.group_there(level, &called.name).cloned();
            let entry = self.group_entry(level, &called.name);
            let name = match (&there, entry) {
                (Some(there), _) => there.name.clone(),
                (None, Some(entry)) => entry.name.clone(),
                (None, None) => continue,
            };
            let mine = there.as_ref().is_none_or(|there| there.created_by == self.file.identity.id);
            let said = entry.and_then(|entry| entry.kept).map(|(kept, _)| kept).filter(|_| mine);
            let kept = level.is_none() || said.unwrap_or(there.as_ref().is_some_and(|there| there.owners_only));
            self.claimed.groups.extend(there.as_ref().map(|there| there.id));
            let typed = if level.is_none() { format!("{name}{EVERYWHERE}") } else { name.to_string() };
            let at = there.map_or_else(|| GroupAt::Made(level, name.clone()), |there| GroupAt::There(there.id));
            return Some(OwnGroup { at, name, typed, kept });
        }
        let problem = format!("there is no Kubelend group {called} here");
        self.mistake(at, problem, "define it under “groups”, or correct the name");
        None
    }

    fn group_entry(&self, level: Option<usize>, name: &GroupName) -> Option<&GroupEntry> {
        let lower = |name: &GroupName| name.as_str().to_lowercase();
        let entries = level.map_or(&self.entries.groups, |home| &self.entries.workspaces[home].groups);
        entries.iter().find(|entry| lower(&entry.name) == lower(name))
    }

    /// Whether a workspace has a Group of this name that others have made and the file does not define, beside one of all workspaces.
    /// Whoever makes one there does not get what the file meant for another.
    fn is_of_others(&self, near: Option<usize>, name: &GroupName) -> bool {
        let others = near
            .and_then(|_| self.group_there(near, name))
            .is_some_and(|there| there.created_by != self.file.identity.id && self.group_entry(near, name).is_none());
        others && (self.group_there(None, name).is_some() || self.group_entry(None, name).is_some())
    }

    /// Groups that this file has made and names no longer, and members that it has added to others.
    pub(super) async fn groups_over(&mut self) -> Result<(), Refused> {
        for group in self.mine.groups.clone() {
            let room = group.workspace.map(|id| self.rooms.get(&id));
            if self.claimed.groups.contains(&group.id) || matches!(room, Some(None)) {
                continue;
            }
            let level = room.flatten().map_or("all workspaces", |room| room.workspace.name.as_str());
            let words = format!("{level}, group {}", group.name);
            if self.is_others_too(group.id).await.map_err(failed)? {
                self.claimed.groups.insert(group.id);
                let words = format!("{words}: stays, since somebody else has added members, or given it something");
                self.remark("group", words, None);
            } else {
                self.step(Kind::Remove, "group", words, None, Step::RemoveGroup(group.id));
            }
        }
        for (id, who) in self.mine.group_members.clone() {
            // With a Group that goes, its members go.
            if self.group_goes(id) || self.is_in_entry(id, &who) {
                continue;
            }
            let Some((level, group)) = self.group_by_id(id) else { continue };
            let is = format!("{level}, group {}", group.name);
            let person = self.person_of(&who).await.map_err(failed)?;
            let words = format!("{is}: {}", words(&who, person.as_ref()));
            self.step(Kind::Remove, "member", words, None, Step::TakeOutOfGroup(id, who));
        }
        Ok(())
    }

    /// Whether somebody else has added members to a Group, given it something, or made it a member.
    async fn is_others_too(&self, id: GroupId) -> Result<bool, StoreError> {
        let (store, me) = (&self.parts.store, self.file.identity.id);
        let seats = self.mine.seats.iter().filter(|(_, group)| *group == id).count();
        Ok(store.seats_of(id).await?.len() > seats
            || store.group_members(id).await?.iter().any(|(member, _)| member.by != me)
            || store.grants_to_group(id).await?.iter().any(|(grant, _)| grant.created_by != me))
    }

    fn is_in_entry(&self, id: GroupId, who: &Grantee) -> bool {
        let levels = (0..self.entries.workspaces.len()).map(Some).chain([None]);
        let mut entries = levels.flat_map(|home| {
            let groups = home.map_or(&self.entries.groups, |home| &self.entries.workspaces[home].groups);
            groups.iter().map(move |entry| (home, entry))
        });
        let entry = entries.find(|(home, entry)| self.group_there(*home, &entry.name).is_some_and(|g| g.id == id));
        let named = |(_, member)| self.who.get(member).is_some_and(|found| same(&found.who, who));
        entry.is_some_and(|(_, entry)| entry.members.iter().map(|(at, who)| (at, who)).any(named))
    }

    pub(super) fn group_by_id(&self, id: GroupId) -> Option<(&str, &Group)> {
        let of_all = self.all_groups.iter().map(|group| ("all workspaces", group));
        let rooms = self.rooms.values();
        let mut all =
            of_all.chain(rooms.flat_map(|room| room.groups.iter().map(|g| (room.workspace.name.as_str(), g))));
        all.find(|(_, group)| group.id == id)
    }
}

fn words(who: &Grantee, person: Option<&Identity>) -> String {
    super::members::words(who, person)
}
