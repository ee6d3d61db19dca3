//! Members of workspaces and of projects, as a file has them.

use super::{
    Kind, Refused, Step, Where,
    look::{Found, Planner, Room, failed, same},
};
use crate::{
    declared::MemberEntry,
    model::{
        grant::Grantee,
        id::{ProjectId, WorkspaceId},
        identity::Identity,
        workspace::{Member, MemberRole, Seats},
    },
};

impl Planner<'_> {
    /// Workspaces that are to be made, and members that are to be added or changed.
    pub(super) fn members(&mut self) {
        let entries = self.entries;
        for (home, entry) in entries.workspaces.iter().enumerate() {
            if self.homes[home].is_none() {
                let step = Step::MakeWorkspace(home, entry.name.clone());
                self.step(Kind::Add, "workspace", entry.name.to_string(), Some(entry.at), step);
            }
            let mut named: Vec<Grantee> = Vec::new();
            for member in &entry.members {
                let Some(found) = self.once(member, &mut named) else { continue };
                let held = self.room(home).and_then(|room| held(room, &found.who)).cloned();
                let last = held.as_ref().is_some_and(|held| self.is_last_owner(home, held));
                let held = held.as_ref().map(|held| (held, last));
                self.one_member(Where::Workspace(home), entry.name.as_str(), member, found, held);
            }
        }
    }

    /// The members of projects.
    pub(super) async fn project_members(&mut self) -> Result<(), Refused> {
        let entries = self.entries;
        for (home, workspace) in entries.workspaces.iter().enumerate() {
            for (n, entry) in workspace.projects.iter().enumerate() {
                let there = match self.projects[home][n] {
                    Some(id) => self.parts.store.project_members(id).await.map_err(failed)?,
                    None => Vec::new(),
                };
                let place = format!("{}, project {}", workspace.name, entry.name);
                let mut named: Vec<Grantee> = Vec::new();
                for member in &entry.members {
                    let Some(found) = self.once(member, &mut named) else { continue };
                    let held = there.iter().map(|(held, _)| held).find(|held| same(&held.who, &found.who));
                    let held = held.map(|held| (held, false));
                    self.one_member(Where::Project(home, n), &place, member, found, held);
                }
            }
        }
        Ok(())
    }

    /// Whom an entry names, if that is nobody before. Groups of our own are members in their own way.
    fn once(&mut self, entry: &MemberEntry, named: &mut Vec<Grantee>) -> Option<Found> {
        let found = self.who.get(&entry.who)?.clone();
        if named.iter().any(|before| same(before, &found.who)) {
            self.mistake(entry.at, "this is somebody who stands above already", "keep one of them");
            return None;
        }
        named.push(found.who.clone());
        Some(found)
    }

    /// `held` is what they are there, and whether nobody else owns it.
    fn one_member(&mut self, at: Where, place: &str, entry: &MemberEntry, found: Found, held: Option<(&Member, bool)>) {
        let is = format!("{place}: {} is {}", found.words, entry.role.as_str());
        match held {
            None => {
                let step = Step::AddMember(at, found.who, entry.role);
                self.step(Kind::Add, "member", is, Some(entry.at), step);
            }
            Some((held, _)) if held.by != self.file.identity.id => {
                let words = left_alone(&is, held.role, entry.role);
                self.remark("member", words, Some(entry.at));
            }
            Some((held, _)) if held.role == entry.role => {}
            Some((held, last)) => {
                let words = format!("{is}, was {}", held.role.as_str());
                if last {
                    let words = format!("{words}: stays, since nobody else owns it");
                    self.remark("member", words, Some(entry.at));
                } else {
                    let step = Step::ChangeMember(at, found.who, entry.role);
                    self.step(Kind::Change, "member", words, Some(entry.at), step);
                }
            }
        }
    }

    fn is_last_owner(&self, home: usize, member: &Member) -> bool {
        self.room(home).is_some_and(|room| is_last_owner(room, member))
    }

    /// Members that this file has added and does not name any more.
    pub(super) fn members_over(&mut self) {
        for (workspace, member) in self.mine.members.clone() {
            let Some(room) = self.rooms.get(&workspace) else { continue };
            if self.names(workspace, &member.who) {
                continue;
            }
            let person = room.members.iter().find(|(m, _)| m.who == member.who).and_then(|(_, p)| p.clone());
            let words = format!("{}: {}", room.workspace.name, words(&member.who, person.as_ref()));
            if is_last_owner(room, &member) {
                self.remark("member", format!("{words}: stays, since nobody else owns it"), None);
            } else {
                let step = Step::RemoveMember(Seats::Workspace(workspace), member.who);
                self.step(Kind::Remove, "member", words, None, step);
            }
        }
    }

    /// Members of projects that this file has added and does not name any more. With a project that goes, its members go.
    pub(super) async fn project_members_over(&mut self) -> Result<(), Refused> {
        for (project, who) in self.mine.project_members.clone() {
            if self.goes(project) || self.names_in_project(project, &who) {
                continue;
            }
            let person = self.person_of(&who).await.map_err(failed)?;
            let Some(place) = self.project_words(project) else { continue };
            let words = format!("{place}: {}", words(&who, person.as_ref()));
            let step = Step::RemoveMember(Seats::Project(project), who);
            self.step(Kind::Remove, "member", words, None, step);
        }
        Ok(())
    }

    fn names_in_project(&self, project: ProjectId, who: &Grantee) -> bool {
        let entries = self.projects.iter().zip(&self.entries.workspaces);
        let mut here = entries
            .flat_map(|(ids, workspace)| ids.iter().zip(&workspace.projects))
            .filter(|(id, _)| **id == Some(project))
            .flat_map(|(_, entry)| &entry.members);
        here.any(|member| self.who.get(&member.who).is_some_and(|found| same(&found.who, who)))
    }

    fn names(&self, workspace: WorkspaceId, who: &Grantee) -> bool {
        let homes = self.homes.iter().zip(&self.entries.workspaces);
        let mut here = homes.filter(|(home, _)| **home == Some(workspace)).flat_map(|(_, entry)| &entry.members);
        here.any(|member| self.who.get(&member.who).is_some_and(|found| same(&found.who, who)))
    }
}

fn held<'a>(room: &'a Room, who: &Grantee) -> Option<&'a Member> {
    room.members.iter().map(|(member, _)| member).find(|member| same(&member.who, who))
}

fn is_last_owner(room: &Room, member: &Member) -> bool {
    let owners = room.members.iter().filter(|(member, _)| member.is_owning_person()).count();
    member.is_owning_person() && owners < 2
}

pub(super) fn left_alone(is: &str, held: MemberRole, role: MemberRole) -> String {
    if held == role {
        format!("{is}: there already, and not because of this file")
    } else {
        format!("{is}: left alone, since somebody else has made them {}", held.as_str())
    }
}

/// Somebody, in words.
pub(super) fn words(who: &Grantee, person: Option<&Identity>) -> String {
    crate::access::audit::grantee(who, person)
}
