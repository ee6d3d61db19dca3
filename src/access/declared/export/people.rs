//! Custom roles, Groups, and who is a member of what, as a file has them.

use super::{Draft, NOWHERE};
use crate::{
    access::AccessError,
    declared::{Called, GroupEntry, MemberEntry, RoleEntry, Who},
    model::{
        file::FILE_ISSUER,
        grant::Grantee,
        id::{GroupId, WorkspaceId},
        identity::Identity,
        project::Project,
        workspace::{Member, Seats, Workspace},
    },
    store::StoreError,
};

impl Draft<'_> {
    /// The custom roles of a workspace, or (`None`) of all.
    pub(super) fn own_roles(&mut self, workspace: Option<WorkspaceId>) -> Result<Vec<RoleEntry>, AccessError> {
        let own: Vec<_> = self.roles.iter().filter(|role| role.workspace == workspace).cloned().collect();
        let mut entries = Vec::new();
        for role in own {
            self.count()?;
            let (name, rules) = (role.name, role.rules);
            entries.push(RoleEntry { at: NOWHERE, name, rules_at: NOWHERE, rules, vouch: Vec::new() });
        }
        Ok(entries)
    }

    /// The Groups of a workspace, or (`None`) of all, with those in them.
    pub(super) async fn groups(&mut self, workspace: Option<WorkspaceId>) -> Result<Vec<GroupEntry>, AccessError> {
        let mut entries = Vec::new();
        for group in self.parts.store.groups_of(workspace).await? {
            self.count()?;
            let mut members = Vec::new();
            for (member, person) in self.parts.store.group_members(group.id).await? {
                if let Some(who) = self.who(&member.who, person.as_ref()).await? {
                    self.count()?;
                    members.push((NOWHERE, who));
                }
            }
            let kept = (workspace.is_some() && group.owners_only).then_some((true, NOWHERE));
            entries.push(GroupEntry { at: NOWHERE, name: group.name, kept, members });
        }
        Ok(entries)
    }

    pub(super) async fn members_of_workspace(
        &mut self,
        workspace: &Workspace,
    ) -> Result<Vec<MemberEntry>, AccessError> {
        let members = self.parts.store.members(workspace.id).await?;
        self.members(members, Seats::Workspace(workspace.id)).await
    }

    pub(super) async fn members_of_project(&mut self, project: &Project) -> Result<Vec<MemberEntry>, AccessError> {
        let members = self.parts.store.project_members(project.id).await?;
        self.members(members, Seats::Project(project.id)).await
    }

    async fn members(
        &mut self,
        members: Vec<(Member, Option<Identity>)>,
        seats: Seats,
    ) -> Result<Vec<MemberEntry>, AccessError> {
        let mut entries = Vec::new();
        for (member, person) in members {
            // A workspace that a file has made is owned by it; that comes with the making.
            if person.as_ref().is_some_and(|person| person.issuer == FILE_ISSUER) {
                continue;
            }
            if let Some(who) = self.who(&member.who, person.as_ref()).await? {
                self.count()?;
                entries.push(MemberEntry { at: NOWHERE, who, role: member.role });
            }
        }
        for seat in self.parts.store.seated_groups(seats).await? {
            self.count()?;
            let called = Called { name: seat.group.name, everywhere: seat.group.workspace.is_none() };
            entries.push(MemberEntry { at: NOWHERE, who: Who::Own(called), role: seat.role });
        }
        Ok(entries)
    }

    /// A Group that something is given to; nothing where it has just gone.
    pub(super) async fn own(&self, id: GroupId) -> Result<Option<Who>, StoreError> {
        match self.parts.store.group(id).await {
            Ok(group) => Ok(Some(Who::Own(Called { name: group.name, everywhere: group.workspace.is_none() }))),
            Err(StoreError::NotFound) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Somebody as a file names them; nothing where it has no name for them that means them alone.
    pub(super) async fn who(&mut self, who: &Grantee, person: Option<&Identity>) -> Result<Option<Who>, StoreError> {
        const CHANGED: &str = "entries of addresses that have changed hands";
        let parts = self.parts;
        let store = &parts.store;
        let who = match (who, person) {
            (Grantee::Person(_), Some(person)) => match person.verified_email() {
                Some(email) if !store.email_changed_hands(&person.provider, email).await? => {
                    Who::Person(person.provider.clone(), email.clone())
                }
                _ => Who::Sub(person.provider.clone(), person.sub.clone()),
            },
            (Grantee::Person(_), None) => return Ok(None),
            (Grantee::Email(provider, email), _) => {
                if store.email_changed_hands(provider, email).await? {
                    self.leave_out(CHANGED);
                    return Ok(None);
                }
                Who::Person(provider.clone(), email.clone())
            }
            (Grantee::Group(provider, group), _) => Who::Group(provider.clone(), group.clone()),
            (Grantee::ServiceAccount(account), _) => Who::Account(account.clone()),
        };
        let provider = match &who {
            Who::Person(provider, _) | Who::Sub(provider, _) | Who::Group(provider, _) => Some(provider),
            Who::Account(_) | Who::Own(_) => None,
        };
        if provider.is_some_and(|provider| !parts.providers.contains(provider)) {
            self.leave_out("entries of providers that the configuration does not name");
            return Ok(None);
        }
        Ok(Some(who))
    }
}
