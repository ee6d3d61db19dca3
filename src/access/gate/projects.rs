//! What somebody may do with a project, and in it.

use super::Gate;
use crate::{
    access::AccessError,
    model::{
        id::ProjectId,
        project::{Membership, Project},
        workspace::Workspace,
    },
    policy::{self, Authorized, ManageProject, ManageProjectMembers, ManageTakes, Person, ViewProject},
};

impl Gate {
    /// May they look at this project? With what they are there.
    pub async fn view_project(
        &self,
        person: &Person,
        id: ProjectId,
    ) -> Result<(Authorized<ViewProject>, Membership), AccessError> {
        let (workspace, project, is) = self.project(person, id).await?;
        Ok((policy::view_project(person, workspace, project, is)?, is))
    }

    /// May they rename it, put it on other clusters, and remove it?
    pub async fn manage_project(
        &self,
        person: &Person,
        id: ProjectId,
    ) -> Result<Authorized<ManageProject>, AccessError> {
        let (workspace, project, is) = self.project(person, id).await?;
        Ok(policy::manage_project(person, workspace, project, is)?)
    }

    /// May they say who is a member of it?
    pub async fn manage_project_members(
        &self,
        person: &Person,
        id: ProjectId,
    ) -> Result<Authorized<ManageProjectMembers>, AccessError> {
        let (workspace, project, is) = self.project(person, id).await?;
        Ok(policy::manage_project_members(person, workspace, project, is)?)
    }

    /// May they say whom of its workspace it takes over?
    pub async fn manage_takes(&self, person: &Person, id: ProjectId) -> Result<Authorized<ManageTakes>, AccessError> {
        let (workspace, project, is) = self.project(person, id).await?;
        Ok(policy::manage_takes(person, workspace, project, is)?)
    }

    /// A project, its workspace, and what somebody is there.
    pub(super) async fn project(
        &self,
        person: &Person,
        id: ProjectId,
    ) -> Result<(Workspace, Project, Membership), AccessError> {
        let project = self.store.project(id).await?;
        let (workspace, is) = tokio::try_join!(
            self.store.workspace(project.workspace),
            self.store.membership_in_project(id, person.identity()),
        )?;
        Ok((workspace, project, is))
    }
}
