//! Custom roles, as a file has them.

use super::{
    Kind, Refused, RoleAt, Step,
    look::{Planner, failed},
};
use crate::{
    access::CustomRoles,
    declared::{Called, GivenRole, Place, RoleEntry},
    model::custom_role::{CustomRole, CustomRoleName},
};

/// In place of what is not named.
const UNSAID: [&str; 2] = ["and more", "more than can be looked through"];

impl Planner<'_> {
    /// Custom roles that are to be made or changed.
    pub(super) async fn roles(&mut self) -> Result<(), Refused> {
        let entries = self.entries;
        for entry in &entries.roles {
            self.one_role(None, entry).await?;
        }
        for (home, workspace) in entries.workspaces.iter().enumerate() {
            for entry in &workspace.roles {
                self.one_role(Some(home), entry).await?;
            }
        }
        Ok(())
    }

    async fn one_role(&mut self, home: Option<usize>, entry: &RoleEntry) -> Result<(), Refused> {
        let is = format!("{}, role {}", self.level(home), entry.name);
        let Some(there) = self.role_there(home, &entry.name).cloned() else {
            let step = Step::MakeRole(home, entry.name.clone(), entry.rules.clone());
            self.step(Kind::Add, "role", format!("{is}: {}", many(entry)), Some(entry.at), step);
            return Ok(());
        };
        self.claimed.roles.insert(there.id);
        let same = there.rules == entry.rules;
        if there.created_by != self.file.identity.id {
            let but = if same { "there already, and" } else { "left alone with other rules, since it is" };
            self.remark("role", format!("{is}: {but} not because of this file"), Some(entry.at));
            return Ok(());
        }
        if same {
            return Ok(());
        }
        let more = CustomRoles::widens(&there, &entry.rules);
        let held = self.parts.store.holders_of_role(&there.role, self.now).await.map_err(failed)?;
        if !vouched(&more, &entry.vouch) && held.count + held.wide > 0 {
            let quoted: Vec<String> = more.iter().map(|words| format!("\"{words}\"")).collect();
            let problem = format!("whoever holds {} gets more by this: {}", entry.name, more.join(", "));
            let fix =
                format!("add “vouch: [{}]” to the role to say that they may, or make another role", quoted.join(", "));
            self.mistake(entry.rules_at, problem, fix);
            return Ok(());
        }
        let by = if more.is_empty() { String::new() } else { format!(", more by {}", more.join(", ")) };
        let step = Step::ChangeRole(there.id, entry.rules.clone(), entry.vouch.clone());
        self.step(Kind::Change, "role", format!("{is}: {}{by}", many(entry)), Some(entry.at), step);
        Ok(())
    }

    /// A workspace's entry in words, or all of them.
    pub(super) fn level(&self, home: Option<usize>) -> &str {
        home.map_or("all workspaces", |home| self.entries.workspaces[home].name.as_str())
    }

    fn role_there(&self, home: Option<usize>, name: &CustomRoleName) -> Option<&CustomRole> {
        let roles = match home {
            Some(home) => &self.room(home)?.roles,
            None => &self.all_roles,
        };
        roles.iter().find(|role| role.name == *name)
    }

    /// The role that something gives in a workspace (`None`: everywhere); nothing where that is a mistake.
    pub(super) fn role_at(&mut self, home: Option<usize>, role: &GivenRole, at: Place) -> Option<RoleAt> {
        let called = match role {
            GivenRole::Custom(called) => called,
            GivenRole::Role(role) => {
                // By the name that it has on clusters it is the same, and stays.
                let mine = self.mine.roles.iter().find(|mine| mine.role == *role).map(|mine| mine.id);
                self.claimed.roles.extend(mine);
                return Some(RoleAt::There(role.clone()));
            }
        };
        let Called { name, everywhere } = called;
        let near = home.filter(|_| !everywhere);
        let levels = if self.role_is_of_others(near, name) { [None, None] } else { [near, None] };
        if levels[0] != near {
            let words = format!(
                "{}: custom {name} is the one of all workspaces; the workspace's own is not because of this file",
                self.level(near)
            );
            self.remark("role", words, Some(at));
        }
        for level in levels {
            if let Some(there) = self.role_there(level, name) {
                let (id, role) = (there.id, there.role.clone());
                self.claimed.roles.insert(id);
                return Some(RoleAt::There(role));
            }
            if self.defines_role(level, name) {
                return Some(RoleAt::Made(level, name.clone()));
            }
        }
        let problem = format!("there is no custom role {called} here");
        self.mistake(at, problem, "define it under “roles”, or correct the name");
        None
    }

    fn defines_role(&self, level: Option<usize>, name: &CustomRoleName) -> bool {
        let entries = level.map_or(&self.entries.roles, |home| &self.entries.workspaces[home].roles);
        entries.iter().any(|entry| entry.name == *name)
    }

    /// The same as for Groups: what somebody has written in a workspace is not what the file meant by the name of another.
    fn role_is_of_others(&self, near: Option<usize>, name: &CustomRoleName) -> bool {
        let others = near
            .and_then(|_| self.role_there(near, name))
            .is_some_and(|there| there.created_by != self.file.identity.id && !self.defines_role(near, name));
        others && (self.role_there(None, name).is_some() || self.defines_role(None, name))
    }

    /// Custom roles that this file has made and neither defines nor gives any more.
    pub(super) async fn roles_over(&mut self) -> Result<(), Refused> {
        for role in self.mine.roles.clone() {
            let room = role.workspace.map(|id| self.rooms.get(&id));
            if self.claimed.roles.contains(&role.id) || matches!(room, Some(None)) {
                continue;
            }
            let level = room.flatten().map_or("all workspaces", |room| room.workspace.name.as_str());
            let words = format!("{level}, role {}", role.name);
            let held = self.parts.store.is_held_by_others(&role.role, self.file.identity.id, self.now).await;
            if held.map_err(failed)? {
                self.claimed.roles.insert(role.id);
                self.remark(
                    "role",
                    format!("{words}: stays, since somebody holds it, or a share link offers it"),
                    None,
                );
            } else {
                self.step(Kind::Remove, "role", words, None, Step::RemoveRole(role.id));
            }
        }
        Ok(())
    }
}

/// Whether each of these was said. What stands for more than it says is said by nobody: it would be a word for whatever comes.
pub(super) fn vouched(more: &[String], said: &[String]) -> bool {
    let whole = |words: &String| !UNSAID.iter().any(|unsaid| words.starts_with(unsaid));
    more.iter().all(|words| whole(words) && said.contains(words))
}

fn many(entry: &RoleEntry) -> String {
    if entry.rules.len() == 1 { "1 rule".into() } else { format!("{} rules", entry.rules.len()) }
}
