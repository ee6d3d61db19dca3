//! Groups of our own as members of workspaces and of projects, as a file has them.

use super::{
    GroupAt, Kind, Refused, Step, Where,
    look::{Planner, failed},
    members::left_alone,
};
use crate::{
    declared::{MemberEntry, Who},
    model::{group::SeatedGroup, id::GroupId, workspace::Seats},
    policy::Forbidden,
};

impl Planner<'_> {
    /// Groups that are to become members, or members of another kind.
    pub(super) async fn seats(&mut self) -> Result<(), Refused> {
        let entries = self.entries;
        for (home, workspace) in entries.workspaces.iter().enumerate() {
            let seats = self.homes[home].map(Seats::Workspace);
            let there = self.seated(seats, &workspace.members).await?;
            for member in &workspace.members {
                self.seat(Where::Workspace(home), workspace.name.as_str(), member, seats, &there);
            }
            for (n, project) in workspace.projects.iter().enumerate() {
                let seats = self.projects[home][n].map(Seats::Project);
                let there = self.seated(seats, &project.members).await?;
                let place = format!("{}, project {}", workspace.name, project.name);
                for member in &project.members {
                    self.seat(Where::Project(home, n), &place, member, seats, &there);
                }
            }
        }
        Ok(())
    }

    async fn seated(&self, seats: Option<Seats>, members: &[MemberEntry]) -> Result<Vec<SeatedGroup>, Refused> {
        match seats.filter(|_| members.iter().any(|member| matches!(member.who, Who::Own(_)))) {
            Some(seats) => self.parts.store.seated_groups(seats).await.map_err(failed),
            None => Ok(Vec::new()),
        }
    }

    fn seat(&mut self, at: Where, place: &str, entry: &MemberEntry, seats: Option<Seats>, there: &[SeatedGroup]) {
        let Who::Own(called) = &entry.who else { return };
        let (Where::Workspace(home) | Where::Project(home, _)) = at;
        let Some(group) = self.own_group(Some(home), called, entry.at) else { return };
        if !group.kept {
            let why = Forbidden::GroupOfEditors;
            self.mistake(entry.at, format!("it cannot be a member: {why}"), "write “kept: true” where it is defined");
            return;
        }
        let is = format!("{place}: Kubelend group {} is {}", group.name, entry.role.as_str());
        let held = match group.at {
            GroupAt::There(id) => there.iter().find(|seat| seat.group.id == id),
            GroupAt::Made(..) => None,
        };
        let Some(held) = held else {
            let step = Step::AddSeat(at, group.typed, entry.role);
            self.step(Kind::Add, "member", is, Some(entry.at), step);
            return;
        };
        self.claimed.seats.extend(seats.map(|seats| (seats, held.group.id)));
        if held.by != self.file.identity.id {
            let words = left_alone(&is, held.role, entry.role);
            self.remark("member", words, Some(entry.at));
        } else if held.role != entry.role {
            let words = format!("{is}, was {}", held.role.as_str());
            let step = Step::ChangeSeat(at, held.group.id, entry.role);
            self.step(Kind::Change, "member", words, Some(entry.at), step);
        }
    }

    /// Groups that this file has made members and does not name there any more. With a project that goes, that goes.
    pub(super) fn seats_over(&mut self) {
        for (seats, group) in self.mine.seats.clone() {
            let claimed = self.claimed.seats.contains(&(seats, group));
            let gone = matches!(seats, Seats::Project(project) if self.goes(project));
            if claimed || gone {
                continue;
            }
            let place = match seats {
                Seats::Workspace(id) => self.rooms.get(&id).map(|room| room.workspace.name.clone()),
                Seats::Project(id) => self.project_words(id),
            };
            let name = self.group_by_id(group).map(|(_, group)| group.name.to_string());
            let (Some(place), Some(name)) = (place, name) else { continue };
            let words = format!("{place}: Kubelend group {name}");
            self.step(Kind::Remove, "member", words, None, Step::RemoveSeat(seats, group));
        }
    }

    /// Whether a Group goes, since this file has made it and names it no longer.
    pub(super) fn group_goes(&self, id: GroupId) -> bool {
        self.mine.groups.iter().any(|group| group.id == id) && !self.claimed.groups.contains(&id)
    }
}
