//! Doing what a plan says, step by step, as the pages do it.

use super::{Declared, Plan, Spot, Step, Stopped};
use crate::{
    access::AccessError,
    model::{
        cluster::Removal,
        federation::WideScope,
        id::{ProjectId, WorkspaceId},
    },
    policy::{self, Person},
};

/// What has come to be known of the file's workspaces and projects.
struct Made {
    homes: Vec<Option<WorkspaceId>>,
    projects: Vec<Vec<Option<ProjectId>>>,
}

impl Made {
    fn home(&self, home: usize) -> Result<WorkspaceId, AccessError> {
        self.homes[home].ok_or(AccessError::NotFound)
    }

    fn scope(&self, spot: &Spot) -> Result<WideScope, AccessError> {
        match *spot {
            Spot::Everywhere => Ok(WideScope::Global),
            Spot::Workspace(home) => self.home(home).map(WideScope::Workspace),
            Spot::Project(home, n) => self.projects[home][n].map(WideScope::Project).ok_or(AccessError::NotFound),
        }
    }
}

impl Declared {
    /// Does what a plan says. Where there is nothing to do, nothing is written, not even that the file was applied.
    ///
    /// # Errors
    /// The first step that does not go through, because something has changed since the plan was made, or the database is away.
    pub async fn carry_out(&self, plan: &Plan) -> Result<(), Stopped> {
        if plan.changes.is_empty() {
            return Ok(());
        }
        let file = self.store.begin_file(&plan.file, self.clock.now()).await;
        let file = file.map_err(|error| Stopped { done: 0, error: error.into() })?;
        let person = policy::applying(&file);
        let mut made = Made { homes: plan.homes.clone(), projects: plan.projects.clone() };
        for (done, change) in plan.changes.iter().enumerate() {
            self.one(&person, &mut made, &change.step).await.map_err(|error| Stopped { done, error })?;
        }
        Ok(())
    }

    async fn one(&self, person: &Person, made: &mut Made, step: &Step) -> Result<(), AccessError> {
        match step.clone() {
            Step::MakeWorkspace(home, name) => {
                let permit = policy::create_workspace(person)?;
                made.homes[home] = Some(self.workspaces.create(&permit, name).await?);
                Ok(())
            }
            Step::RemoveWorkspace(id) => {
                let permit = self.gate.manage_workspace(person, id).await?;
                self.workspaces.delete(&permit, Removal::Purge).await
            }
            Step::AddMember(home, who, role) => {
                let permit = self.gate.manage_members(person, made.home(home)?).await?;
                self.workspaces.add(&permit, who, role).await
            }
            Step::ChangeMember(home, who, role) => {
                let permit = self.gate.manage_members(person, made.home(home)?).await?;
                self.workspaces.change(&permit, who, role).await
            }
            Step::RemoveMember(id, who) => {
                let permit = self.gate.manage_members(person, id).await?;
                self.workspaces.remove(&permit, &who).await
            }
            Step::AddProject(home, n, new) => {
                let permit = self.gate.manage_workspace_access(person, made.home(home)?).await?;
                let id = self.federation.add_project(&permit, new.name, new.namespace, new.placement).await?;
                made.projects[home][n] = Some(id);
                Ok(())
            }
            Step::ChangeProject(id, name, placement) => {
                let permit = self.gate.manage_project(person, id).await?;
                self.federation.change_project(&permit, &name, &placement).await
            }
            Step::RemoveProject(id) => {
                let permit = self.gate.manage_project(person, id).await?;
                self.federation.remove_project(&permit).await
            }
            other => self.grant_step(person, made, other).await,
        }
    }

    async fn grant_step(&self, person: &Person, made: &Made, step: Step) -> Result<(), AccessError> {
        match step {
            Step::GiveWide(spot, request) => {
                let permit = self.gate.manage_reach(person, made.scope(&spot)?).await?;
                self.federation.grant(&permit, request).await.map(drop)
            }
            Step::RetimeWide(scope, id, until, reason) => {
                let permit = self.gate.manage_reach(person, scope).await?;
                self.federation.change_terms(&permit, id, until, reason.as_ref()).await
            }
            Step::TakeBackWide(scope, id) => {
                let permit = self.gate.manage_reach(person, scope).await?;
                self.federation.revoke(&permit, id).await
            }
            Step::Give(cluster, request) => {
                let permit = self.gate.manage_access(person, cluster).await?;
                self.grants.grant(&permit, request).await.map(drop)
            }
            Step::Retime(cluster, id, terms) => {
                let permit = self.gate.manage_access(person, cluster).await?;
                self.grants.retime(&permit, id, terms).await
            }
            Step::TakeBack(cluster, id) => {
                let permit = self.gate.manage_access(person, cluster).await?;
                self.grants.revoke(&permit, id).await.map(drop)
            }
            _ => Err(AccessError::NotFound),
        }
    }
}
