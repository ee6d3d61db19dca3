//! What a file has made and says no longer.

use super::{
    Kind, Refused, Step,
    look::{Planner, Room, failed},
    members::words,
};
use crate::{
    model::{
        federation::{FederatedGrant, WideScope},
        grant::Grantee,
        group::Holder,
        id::{ProjectId, WorkspaceId},
        identity::Identity,
        project::Project,
        role::Role,
        scope::Scope,
        workspace::Seats,
    },
    store::StoreError,
};

/// How many grants of others are looked for where one is enough to know.
const LOOK: u32 = 500;

impl Planner<'_> {
    /// Plans to take back what the file says no longer, as far as nothing of others hangs on it.
    pub(super) async fn over(&mut self) -> Result<(), Refused> {
        self.grants_over().await.map_err(failed)?;
        self.groups_over().await?;
        self.roles_over().await?;
        self.projects_over().await.map_err(failed)?;
        self.seats_over();
        self.project_members_over().await?;
        self.members_over();
        self.workspaces_over().await.map_err(failed)
    }

    async fn grants_over(&mut self) -> Result<(), StoreError> {
        for grant in self.mine.federated.clone() {
            if self.claimed.federated.contains(&grant.id) || !grant.is_live(self.now) {
                continue;
            }
            let who = match &grant.grantee {
                Holder::Group(_, name) => format!("Kubelend group {name}"),
                Holder::One(grantee) => words(grantee, self.person_of(grantee).await?.as_ref()),
            };
            let place = self.place(&grant).await?;
            let words = format!("{place}: {who} has {}", grant.role);
            self.step(Kind::Remove, "grant", words, None, Step::TakeBackWide(grant.scope, grant.id));
        }
        for (grant, person) in self.mine.grants.clone() {
            if self.claimed.grants.contains(&grant.id) || !grant.is_live(self.now) {
                continue;
            }
            let cluster = self.parts.store.cluster(grant.scope.cluster()).await?;
            let role = grant.role.as_ref().map_or("no role", Role::as_str);
            let who = words(&grant.grantee, person.as_ref());
            let within =
                if grant.scope.is_whole_cluster() { String::new() } else { format!(", {}", grant.scope.in_words()) };
            let words = format!("cluster {}{within}: {who} has {role}", cluster.name);
            self.step(Kind::Remove, "grant", words, None, Step::TakeBack(cluster.id, grant.id));
        }
        Ok(())
    }

    pub(super) async fn person_of(&self, who: &Grantee) -> Result<Option<Identity>, StoreError> {
        match who {
            Grantee::Person(id) => self.parts.store.identity(*id).await.map(Some),
            Grantee::Email(..) | Grantee::Group(..) | Grantee::ServiceAccount(_) => Ok(None),
        }
    }

    async fn place(&self, grant: &FederatedGrant) -> Result<String, StoreError> {
        let workspace = |id| self.rooms.get(&id).map_or("a workspace", |room| room.workspace.name.as_str());
        Ok(match grant.scope {
            WideScope::Global => "every cluster".into(),
            WideScope::Cluster(id) => {
                let name = self.parts.store.cluster(id).await?.name;
                let scope = Scope::new(id, grant.namespaces.clone());
                let within = if scope.is_whole_cluster() { String::new() } else { format!(", {}", scope.in_words()) };
                format!("cluster {name}{within}")
            }
            WideScope::Workspace(id) => workspace(id).to_owned(),
            WideScope::Project(id) => self.project_words(id).unwrap_or_else(|| "a project".into()),
        })
    }

    /// A project that is there, in words.
    pub(super) fn project_words(&self, id: ProjectId) -> Option<String> {
        let mut rooms = self.rooms.values();
        let (room, project) = rooms.find_map(|room| Some((room, room.projects.iter().find(|p| p.id == id)?)))?;
        Some(format!("{}, project {}", room.workspace.name, project.name))
    }

    /// Whether a project goes, since this file has made it and says it no longer.
    pub(super) fn goes(&self, id: ProjectId) -> bool {
        self.mine.projects.iter().any(|project| project.id == id) && !self.claimed.projects.contains(&id)
    }

    async fn projects_over(&mut self) -> Result<(), StoreError> {
        for project in self.mine.projects.clone() {
            let Some(room) = self.rooms.get(&project.workspace) else { continue };
            if self.claimed.projects.contains(&project.id) {
                continue;
            }
            let words = format!("{}, project {}", room.workspace.name, project.name);
            if self.has_others(WideScope::Project(project.id)).await? {
                let words = format!("{words}: stays, since somebody else has given access in it");
                self.claimed.projects.insert(project.id);
                self.remark("project", words, None);
            } else if self.has_other_members(project.id).await? {
                let words = format!("{words}: stays, since somebody else has made people members of it");
                self.claimed.projects.insert(project.id);
                self.remark("project", words, None);
            } else {
                let step = Step::RemoveProject(project.id);
                self.step(Kind::Remove, "project", words, None, step);
            }
        }
        Ok(())
    }

    /// Whether somebody else has said who looks after a project.
    async fn has_other_members(&self, project: ProjectId) -> Result<bool, StoreError> {
        let members = self.parts.store.project_members(project).await?;
        let seats = self.parts.store.seated_groups(Seats::Project(project)).await?;
        let me = self.file.identity.id;
        Ok(seats.iter().any(|seat| seat.by != me) || members.iter().any(|(member, _)| member.by != me))
    }

    /// Whether something is given so far that is not this file's.
    async fn has_others(&self, scope: WideScope) -> Result<bool, StoreError> {
        let page = self.parts.store.federated_grants(scope, None, LOOK).await?;
        let mut given = page.rows.iter().map(|(grant, _)| grant.created_by);
        Ok(page.next.is_some() || given.any(|by| by != self.file.identity.id))
    }

    async fn workspaces_over(&mut self) -> Result<(), StoreError> {
        for workspace in self.mine.workspaces.clone() {
            let Some(room) = self.rooms.get(&workspace.id) else { continue };
            if self.homes.contains(&Some(workspace.id)) {
                continue;
            }
            let why = match self.keeps(room) {
                None if self.has_others(WideScope::Workspace(workspace.id)).await? => {
                    Some("somebody else has given access in it")
                }
                None if self.has_other_seats(workspace.id).await? => Some("somebody else has made groups members"),
                why => why,
            };
            if let Some(why) = why {
                let words = format!("{}: stays, since {why}. Its page has the way to delete it", workspace.name);
                self.remark("workspace", words, None);
            } else {
                let step = Step::RemoveWorkspace(workspace.id);
                self.step(Kind::Remove, "workspace", workspace.name, None, step);
            }
        }
        Ok(())
    }

    async fn has_other_seats(&self, workspace: WorkspaceId) -> Result<bool, StoreError> {
        let seats = self.parts.store.seated_groups(Seats::Workspace(workspace)).await?;
        Ok(seats.iter().any(|seat| seat.by != self.file.identity.id))
    }

    /// Why a workspace that this file has made stays although the file says it no longer.
    fn keeps(&self, room: &Room) -> Option<&'static str> {
        let me = self.file.identity.id;
        let stays = |project: &Project| project.created_by != me || self.claimed.projects.contains(&project.id);
        if !room.clusters.is_empty() {
            Some("it has clusters")
        } else if room.members.iter().any(|(member, _)| member.by != me) {
            Some("somebody else has added members")
        } else if room.projects.iter().any(stays) {
            Some("it has a project that stays")
        } else if room.groups.iter().any(|group| group.created_by != me || self.claimed.groups.contains(&group.id)) {
            Some("it has groups")
        } else if room.roles.iter().any(|role| role.created_by != me || self.claimed.roles.contains(&role.id)) {
            Some("it has roles")
        } else {
            None
        }
    }
}
