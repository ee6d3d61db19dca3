//! Groups of our own: a named set of people and provider groups, to which access is given as to one of them.
//!
//! A Group belongs to a workspace, or to all of them. Whoever may change its members gives each of them all that it holds; so it
//! may hold only what every one of those may give themselves ([`Group::is_kept`]). Groups are no members of Groups.

use std::{fmt, str::FromStr};

use super::{
    grant::Grantee,
    id::{GroupId, IdentityId, WorkspaceId},
    name::BadName,
    time::Timestamp,
    workspace::MemberRole,
};

/// The longest name of a Group, in characters.
const LONGEST_NAME: usize = 60;
/// What a name ends with, in forms and files, where what bears it is of all workspaces.
pub const EVERYWHERE: &str = " (everywhere)";

/// A named set of people and provider groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The workspace that it belongs to; `None` where it is platform admins' and usable everywhere.
    pub workspace: Option<WorkspaceId>,
    /// Its name, for people; unique where it belongs, whatever the case.
    pub name: GroupName,
    /// Whether owners of its workspace alone change it, or editors, too.
    pub owners_only: bool,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
}

impl Group {
    /// Whether nobody changes its members but owners of its workspace, or platform admins: what only owners give can be given to it.
    pub fn is_kept(&self) -> bool {
        self.owners_only || self.workspace.is_none()
    }

    /// Whether access in this workspace (`None`: everywhere) can be given to it.
    pub fn is_usable_in(&self, workspace: Option<WorkspaceId>) -> bool {
        self.workspace.is_none() || self.workspace == workspace
    }

    /// As it is offered in forms, and typed: a Group of all workspaces says so.
    pub fn spelt(&self) -> String {
        if self.workspace.is_none() { format!("{}{EVERYWHERE}", self.name) } else { self.name.to_string() }
    }
}

/// The one of these that is meant by what was typed: one of the workspace comes before one of all of the same name, unless it is
/// spelt as such.
pub fn meant<'a>(typed: &str, groups: &'a [Group]) -> Option<&'a Group> {
    let typed = typed.trim().to_lowercase();
    let (name, everywhere) =
        typed.strip_suffix(EVERYWHERE).map_or((typed.as_str(), false), |name| (name.trim_end(), true));
    let mut named: Vec<&Group> = groups.iter().filter(|g| g.name.as_str().to_lowercase() == name).collect();
    named.retain(|group| !everywhere || group.workspace.is_none());
    named.sort_by_key(|group| group.workspace.is_none());
    named.first().copied()
}

/// A member of a Group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Who: a person, an email of somebody who has not signed in yet, or a provider's group.
    pub who: Grantee,
    /// Since when.
    pub since: Timestamp,
    /// Who added them.
    pub by: IdentityId,
}

/// A Group that is a member of a workspace or of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatedGroup {
    /// It.
    pub group: Group,
    /// What those in it may do there.
    pub role: MemberRole,
    /// Since when.
    pub since: Timestamp,
    /// Who made it one.
    pub by: IdentityId,
    /// How many are in it; a provider's group counts as one.
    pub members: u32,
}

/// Whom a grant that may reach several clusters is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// One of those that a grant on a cluster can be for.
    One(Grantee),
    /// A Group, with the name that it has (or had, once it is gone).
    Group(GroupId, GroupName),
}

impl From<Grantee> for Holder {
    fn from(grantee: Grantee) -> Self {
        Self::One(grantee)
    }
}

impl Holder {
    /// The person that it is for, if it is for one.
    pub fn person(&self) -> Option<IdentityId> {
        if let Self::One(Grantee::Person(id)) = self { Some(*id) } else { None }
    }

    /// The Group that it is for, if it is for one.
    pub fn group(&self) -> Option<GroupId> {
        if let Self::Group(id, _) = self { Some(*id) } else { None }
    }
}

/// A Group's name: plain text of one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

impl GroupName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it may be given to a Group now. Some that are older hold what separates names in a list, where it would be read as two.
    ///
    /// # Errors
    /// Why not.
    pub fn check_new(&self) -> Result<(), BadName> {
        if self.0.contains([',', ';']) {
            return Err(BadName("Leave out commas and semicolons: in a list they would make two groups of it.".into()));
        }
        Ok(())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GroupName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        if s.is_empty() {
            return Err(BadName("Give the group a name.".into()));
        }
        if s.chars().count() > LONGEST_NAME {
            return Err(BadName(format!("A group's name has at most {LONGEST_NAME} characters.")));
        }
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if s.chars().any(|c| c.is_control() || turns(c)) {
            return Err(BadName("A group's name is plain text of one line.".into()));
        }
        if s.to_lowercase().ends_with(EVERYWHERE.trim_start()) {
            return Err(BadName("Leave out “(everywhere)”: Kubelend says by itself where a group counts.".into()));
        }
        Ok(Self(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, workspace: Option<WorkspaceId>, owners_only: bool) -> Group {
        Group {
            id: GroupId::new(),
            workspace,
            name: name.parse().unwrap(),
            owners_only,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        }
    }

    #[test]
    fn immune_17_a_group_s_name_is_one_line_of_plain_text() {
        assert_eq!(" On call ".parse::<GroupName>().unwrap().as_str(), "On call");
        for bad in ["", " ", "a\nb", "a\u{202e}b", &"x".repeat(61), "Ops (everywhere)", "ops (EVERYWHERE)"] {
            assert!(bad.parse::<GroupName>().is_err(), "{bad:?}");
        }
        for (name, fits) in [("Ops: night & day", true), ("Ops, night", false), ("Ops; night", false)] {
            assert_eq!(name.parse::<GroupName>().unwrap().check_new().is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn immune_28_a_group_counts_where_it_belongs_and_nowhere_else() {
        let (home, away) = (WorkspaceId::new(), WorkspaceId::new());
        let (ours, all) = (group("Ops", Some(home), false), group("Ops", None, false));
        assert!(ours.is_usable_in(Some(home)) && !ours.is_usable_in(Some(away)) && !ours.is_usable_in(None));
        assert!(all.is_usable_in(Some(away)) && all.is_usable_in(None));
        assert!(!ours.is_kept() && all.is_kept() && group("Ops", Some(home), true).is_kept());
    }

    #[test]
    fn a_typed_name_means_the_nearer_group_unless_it_is_spelt_as_one_of_all() {
        let home = Some(WorkspaceId::new());
        let groups = [group("Ops", None, false), group("Ops", home, false), group("Élan", None, false)];
        let found = |typed: &str| meant(typed, &groups).map(|group| (group.name.as_str(), group.workspace));
        assert_eq!(found(" ops "), Some(("Ops", home)));
        assert_eq!(found("OPS (everywhere)"), Some(("Ops", None)));
        assert_eq!(found("élan"), Some(("Élan", None)));
        assert_eq!(found("Op"), None);
        for group in &groups {
            assert_eq!(meant(&group.spelt(), &groups), Some(group));
        }
    }
}
