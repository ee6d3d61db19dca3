//! Who is what in a project. Members are named and found as those of its workspace are; what somebody is by being one of those is
//! [`Takes`]' to say.
//!
//! Whatever changes a project's members takes its row first, so that two changes follow one another.

use super::ProjectRow;
use crate::{
    model::{
        audit::Action,
        grant::Grantee,
        id::{IdentityId, ProjectId, WorkspaceId},
        identity::Identity,
        project::{Membership, Project, Takes},
        provider::ProviderId,
        time::Timestamp,
        workspace::{Member, MemberRole},
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{CHUNK, Tx, parsed},
        grants,
        rosters::{self, Entry, OF_PROJECTS},
        workspaces,
    },
};

/// Locks a project's row until the transaction ends; its workspace.
pub(super) async fn lock(tx: &mut Tx, id: ProjectId) -> Result<WorkspaceId, StoreError> {
    const SQL: &str = "UPDATE projects SET name_key = name_key WHERE id = $1 RETURNING workspace_id";
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    parsed(&row.ok_or(StoreError::NotFound)?.0, "workspace of a project")
}

/// Turns memberships of an email (in lower case) at a provider into the person's, unless somebody else ever held that email there.
/// Where they are a member already, the stronger role counts.
pub(in crate::store) async fn give_to_person(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    person: IdentityId,
    now: Timestamp,
) -> Result<(), StoreError> {
    for promised in OF_PROJECTS.take::<ProjectId>(tx, provider, email, person).await? {
        OF_PROJECTS.keep_promise(tx, &promised, person, now).await?;
    }
    Ok(())
}

/// Tells, of each membership of an email (in lower case) that has just got another holder, that it is suspended: nobody can say
/// which of them was meant.
pub(in crate::store) async fn doubt(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    newcomer: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !newcomer {
        return Ok(());
    }
    for (id, role) in OF_PROJECTS.doubted(tx, provider, email).await? {
        let Some(project) = super::one(tx, id).await? else { continue };
        let role = role.map_or("", MemberRole::as_str);
        let target = format!("{email} in {}: {role}", project.name);
        let event = AuditDraft::by_kubelend(Action::ProjectMemberDoubted, target);
        event.append(tx, About::Workspace(project.workspace), now).await?;
    }
    Ok(())
}

impl Store {
    /// Adds a member. A person takes the place of their own verified email.
    ///
    /// # Errors
    /// `Duplicate` where they are a member already, `Stale` where the workspace is being deleted, `Full` where it has no room,
    /// `NotFound` where the project is gone.
    pub async fn add_project_member(
        &self,
        project: ProjectId,
        member: &Member,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            let workspace = lock(tx, project).await?;
            workspaces::lock_for_giving(tx, workspace).await?;
            if OF_PROJECTS.one(tx, project, &member.who).await?.is_some() {
                return Err(StoreError::Duplicate("They are a member already."));
            }
            OF_PROJECTS.bounded(tx, project, 1).await?;
            OF_PROJECTS.put(tx, project, &Entry::from(member)).await?;
            OF_PROJECTS.end_for_address(tx, project, &member.who).await?;
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// Gives a member another role. Repeating it changes nothing and writes no second event.
    ///
    /// # Errors
    /// `NotFound` where they are no member, or the project is gone.
    pub async fn change_project_member(
        &self,
        project: ProjectId,
        to: &Member,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            let workspace = lock(tx, project).await?;
            let held = OF_PROJECTS.one(tx, project, &to.who).await?.ok_or(StoreError::NotFound)?;
            if held.role == Some(to.role) {
                return Ok(());
            }
            OF_PROJECTS.put(tx, project, &Entry::from(to)).await?;
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// Removes a member. Repeating it changes nothing and writes no second event. The last one may go: owners of the workspace own
    /// the project, too.
    ///
    /// # Errors
    /// `NotFound` where the project is gone.
    pub async fn remove_project_member(
        &self,
        project: ProjectId,
        who: &Grantee,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            let workspace = lock(tx, project).await?;
            if !OF_PROJECTS.delete(tx, project, grants::key(who)).await? {
                return Ok(());
            }
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// Says whom of its workspace a project takes over. The event is written where that changes something.
    ///
    /// # Errors
    /// `NotFound` where the project is gone.
    pub async fn set_takes(
        &self,
        project: ProjectId,
        takes: Takes,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE projects SET takes_editors = $2, takes_viewers = $3 \
             WHERE id = $1 AND NOT (takes_editors = $2 AND takes_viewers = $3)";
        transact!(self, |tx| {
            let workspace = lock(tx, project).await?;
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(project.to_string())
                .bind(takes.editors)
                .bind(takes.viewers)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 {
                return Ok(());
            }
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// A project's own members with the identity of a person: owners first, in each role the newest last.
    pub async fn project_members(&self, project: ProjectId) -> Result<Vec<(Member, Option<Identity>)>, StoreError> {
        let people = OF_PROJECTS.people(self, project).await?;
        people.into_iter().map(|(entry, person)| Ok((entry.member()?, person))).collect()
    }

    /// What somebody is in a project and in its workspace, by themselves or by a group: the strongest of what reaches them.
    pub async fn membership_in_project(&self, project: ProjectId, person: &Identity) -> Result<Membership, StoreError> {
        const SQL: &str = concat!(
            "SELECT 'project' AS place, role FROM project_members_reached WHERE project_id = $33 AND member_key IN ",
            id_list!(),
            " UNION ALL SELECT 'workspace' AS place, role FROM members_reached \
             WHERE workspace_id = (SELECT workspace_id FROM projects WHERE id = $33) AND member_key IN ",
            id_list!()
        );
        let mut is = Membership::default();
        if person.provider.home().is_some() && !person.counts_in(Some(self.project(project).await?.workspace)) {
            return Ok(is);
        }
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk).bind(project.to_string()).fetch_all(db).await)?;
            for (place, held) in rows {
                let place = if place == "project" { &mut is.project } else { &mut is.workspace };
                *place = (*place).max(rosters::role(&held)?);
            }
        }
        Ok(is)
    }

    /// The projects that somebody is a member of themselves or by a group, not only by their workspace, by name.
    pub async fn projects_of_member(&self, person: &Identity) -> Result<Vec<(Project, MemberRole)>, StoreError> {
        const SQL: &str =
            concat!("SELECT project_id, role FROM project_members_reached WHERE member_key IN ", id_list!());
        let mut held: std::collections::BTreeMap<String, MemberRole> = std::collections::BTreeMap::new();
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk).fetch_all(db).await)?;
            for (project, role) in rows {
                let role = rosters::role(&role)?.ok_or(StoreError::Corrupt("role of a member"))?;
                let entry = held.entry(project).or_insert(role);
                *entry = role.max(*entry);
            }
        }
        let ids: Vec<String> = held.keys().cloned().collect();
        let projects = self.projects(&ids).await?;
        let with_role = |project: Project| held.get(&project.id.to_string()).map(|role| (project, *role));
        let at_home = projects.into_iter().filter(|project| person.counts_in(Some(project.workspace)));
        Ok(at_home.filter_map(with_role).collect())
    }

    /// Several, by name; unknown ids are left out.
    async fn projects(&self, ids: &[String]) -> Result<Vec<Project>, StoreError> {
        const SQL: &str = select_projects!("id IN ", id_list!());
        const LISTED: &str =
            concat!("SELECT project_id, cluster_id FROM project_clusters WHERE project_id IN ", id_list!());
        let mut found = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let rows: Vec<ProjectRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk).fetch_all(db).await)?;
            let listed: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(LISTED), chunk).fetch_all(db).await)?;
            found.extend(super::with_clusters(rows, &listed)?);
        }
        found.sort_by_cached_key(|project| (project.name.as_str().to_lowercase(), project.id));
        Ok(found)
    }
}
