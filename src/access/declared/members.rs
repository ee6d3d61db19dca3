//! Members of workspaces, as a file has them.

use super::{
    Kind, Step,
    look::{Planner, Room, same},
};
use crate::model::{
    grant::Grantee,
    id::WorkspaceId,
    identity::Identity,
    workspace::{Member, MemberRole},
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
                let Some(found) = self.who.get(&member.who).cloned() else { continue };
                if named.iter().any(|before| same(before, &found.who)) {
                    self.mistake(member.at, "this is somebody who stands above already", "keep one of them");
                    continue;
                }
                named.push(found.who.clone());
                let is = format!("{}: {} is {}", entry.name, found.words, member.role.as_str());
                let held = self.room(home).and_then(|room| held(room, &found.who)).cloned();
                match held {
                    None => {
                        let step = Step::AddMember(home, found.who, member.role);
                        self.step(Kind::Add, "member", is, Some(member.at), step);
                    }
                    Some(held) if held.by != self.file.identity.id => {
                        let words = left_alone(&is, &held, member.role);
                        self.remark("member", words, Some(member.at));
                    }
                    Some(held) if held.role == member.role => {}
                    Some(held) => {
                        let words = format!("{is}, was {}", held.role.as_str());
                        if self.is_last_owner(home, &held) {
                            let words = format!("{words}: stays, since nobody else owns it");
                            self.remark("member", words, Some(member.at));
                        } else {
                            let step = Step::ChangeMember(home, found.who, member.role);
                            self.step(Kind::Change, "member", words, Some(member.at), step);
                        }
                    }
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
                let step = Step::RemoveMember(workspace, member.who);
                self.step(Kind::Remove, "member", words, None, step);
            }
        }
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

fn left_alone(is: &str, held: &Member, role: MemberRole) -> String {
    if held.role == role {
        format!("{is}: there already, and not because of this file")
    } else {
        format!("{is}: left alone, since somebody else has made them {}", held.role.as_str())
    }
}

/// Somebody, in words.
pub(super) fn words(who: &Grantee, person: Option<&Identity>) -> String {
    crate::access::audit::grantee(who, person)
}
