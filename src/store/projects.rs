//! Projects, and the labels that clusters are selected by. Whatever changes where a project is writes out in the same
//! transaction what its federated grants reach then. Who is what in one is in `members`.

macro_rules! select_projects {
    ($($which:expr),+) => {
        concat!(
            "SELECT id, workspace_id, name, namespace, placement, selector, takes_editors, takes_viewers, makes_namespace, \
             created_by, created_at \
             FROM projects WHERE ",
            $($which),+,
            " ORDER BY name_key, id"
        )
    };
}

mod members;
mod namespaces;

pub(super) use members::{doubt, give_to_person};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{Tx, clash, parsed},
    federation, workspaces,
};
use crate::model::{
    id::{ClusterId, IdentityId, ProjectId, WorkspaceId},
    name::Namespace,
    project::{Labels, Placement, Project, ProjectName, Takes},
    time::Timestamp,
};

const NAME_TAKEN: &str = "There is a project of that name already.";
/// How many projects a workspace has at most.
const MOST: i64 = 500;

/// A project to make.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Its id.
    pub id: ProjectId,
    /// Where it belongs.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: ProjectName,
    /// The namespace.
    pub namespace: Namespace,
    /// On which clusters.
    pub placement: Placement,
    /// Whom of its workspace it takes over.
    pub takes: Takes,
    /// Who makes it.
    pub created_by: IdentityId,
}

#[derive(sqlx::FromRow)]
pub(super) struct ProjectRow {
    id: String,
    workspace_id: String,
    name: String,
    namespace: String,
    placement: String,
    selector: String,
    takes_editors: bool,
    takes_viewers: bool,
    makes_namespace: bool,
    created_by: String,
    created_at: i64,
}

impl ProjectRow {
    /// `listed` are the clusters of a project that lists them.
    fn project(self, listed: Vec<ClusterId>) -> Result<Project, StoreError> {
        let placement = match self.placement.as_str() {
            "all" => Placement::All,
            "listed" => Placement::Listed(listed),
            "labelled" => Placement::Labelled(parsed(&self.selector, "selector of a project")?),
            _ => return Err(StoreError::Corrupt("placement of a project")),
        };
        Ok(Project {
            id: parsed(&self.id, "id of a project")?,
            workspace: parsed(&self.workspace_id, "workspace of a project")?,
            name: parsed(&self.name, "name of a project")?,
            namespace: parsed(&self.namespace, "namespace of a project")?,
            placement,
            takes: Takes { editors: self.takes_editors, viewers: self.takes_viewers },
            makes_namespace: self.makes_namespace,
            created_by: parsed(&self.created_by, "maker of a project")?,
            created_at: Timestamp::from_millis(self.created_at),
        })
    }
}

/// As stored: the word, and the selector.
fn placement_text(placement: &Placement) -> (&'static str, String) {
    match placement {
        Placement::All => ("all", String::new()),
        Placement::Listed(_) => ("listed", String::new()),
        Placement::Labelled(labels) => ("labelled", labels.to_string()),
    }
}

async fn list_clusters(tx: &mut Tx, project: ProjectId, placement: &Placement) -> Result<(), StoreError> {
    // A cluster of another workspace, or one that is gone, is no member, whatever was asked for.
    const SQL: &str = "INSERT INTO project_clusters (project_id, cluster_id) SELECT p.id, c.id FROM projects p \
         JOIN clusters c ON c.workspace_id = p.workspace_id WHERE p.id = $1 AND c.id = $2 ON CONFLICT DO NOTHING";
    on!(tx, |db| {
        sqlx::query("DELETE FROM project_clusters WHERE project_id = $1")
            .bind(project.to_string())
            .execute(&mut *db)
            .await?;
        if let Placement::Listed(clusters) = placement {
            for cluster in clusters {
                sqlx::query(SQL).bind(project.to_string()).bind(cluster.to_string()).execute(&mut *db).await?;
            }
        }
        Ok(())
    })
}

/// One project inside a transaction; `None` where it is gone.
pub(super) async fn one(tx: &mut Tx, id: ProjectId) -> Result<Option<Project>, StoreError> {
    let row: Option<ProjectRow> =
        on!(tx, |db| sqlx::query_as(select_projects!("id = $1")).bind(id.to_string()).fetch_optional(db).await)?;
    let Some(row) = row else { return Ok(None) };
    let listed: Vec<(String,)> = on!(tx, |db| sqlx::query_as(LISTED).bind(id.to_string()).fetch_all(db).await)?;
    row.project(clusters_of(&listed)?).map(Some)
}

/// A workspace's projects inside a transaction.
pub(super) async fn of_workspace(tx: &mut Tx, workspace: WorkspaceId) -> Result<Vec<Project>, StoreError> {
    let rows: Vec<ProjectRow> = on!(tx, |db| sqlx::query_as(select_projects!("workspace_id = $1"))
        .bind(workspace.to_string())
        .fetch_all(db)
        .await)?;
    let listed: Vec<(String, String)> =
        on!(tx, |db| sqlx::query_as(LISTED_IN).bind(workspace.to_string()).fetch_all(db).await)?;
    with_clusters(rows, &listed)
}

fn with_clusters(rows: Vec<ProjectRow>, listed: &[(String, String)]) -> Result<Vec<Project>, StoreError> {
    let of = |project: &str| {
        let own = listed.iter().filter(|(id, _)| id == project);
        own.map(|(_, cluster)| parsed(cluster, "cluster of a project")).collect::<Result<Vec<_>, _>>()
    };
    rows.into_iter().map(|row| of(&row.id).and_then(|listed| row.project(listed))).collect()
}

const LISTED_IN: &str = "SELECT l.project_id, l.cluster_id FROM project_clusters l \
     JOIN projects p ON p.id = l.project_id WHERE p.workspace_id = $1 ORDER BY l.cluster_id";
const LISTED: &str = "SELECT cluster_id FROM project_clusters WHERE project_id = $1 ORDER BY cluster_id";

fn clusters_of(rows: &[(String,)]) -> Result<Vec<ClusterId>, StoreError> {
    rows.iter().map(|(id,)| parsed(id, "cluster of a project")).collect()
}

impl Store {
    /// Makes a project.
    ///
    /// # Errors
    /// `Duplicate` where the workspace has one of that name; `Full` where it has as many as it may; `NotFound` where the
    /// workspace is gone.
    pub async fn add_project(
        &self,
        new: &NewProject,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM projects WHERE workspace_id = $1";
        const SQL: &str = "INSERT INTO projects \
             (id, workspace_id, name, name_key, namespace, placement, selector, created_by, created_at, takes_editors, takes_viewers) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let (word, selector) = placement_text(&new.placement);
        transact!(self, |tx| {
            federation::lock(tx).await?;
            workspaces::lock_for_giving(tx, new.workspace).await?;
            let (count,): (i64,) =
                on!(tx, |db| sqlx::query_as(COUNT).bind(new.workspace.to_string()).fetch_one(db).await)?;
            if count >= MOST {
                return Err(StoreError::Full("500 projects in one workspace"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(new.workspace.to_string())
                .bind(new.name.as_str())
                .bind(new.name.as_str().to_lowercase())
                .bind(new.namespace.as_str())
                .bind(word)
                .bind(&selector)
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .bind(new.takes.editors)
                .bind(new.takes.viewers)
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, NAME_TAKEN))?;
            list_clusters(tx, new.id, &new.placement).await?;
            audit.append(tx, About::Workspace(new.workspace), now).await
        })?;
        self.project(new.id).await
    }

    /// Changes a project's name and on which clusters it is; its federated grants follow.
    ///
    /// # Errors
    /// `Duplicate` as for making; `NotFound`.
    pub async fn change_project(
        &self,
        id: ProjectId,
        name: &ProjectName,
        placement: &Placement,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE projects SET name = $2, name_key = $3, placement = $4, selector = $5 \
             WHERE id = $1 RETURNING workspace_id";
        let (word, selector) = placement_text(placement);
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(id.to_string())
                .bind(name.as_str())
                .bind(name.as_str().to_lowercase())
                .bind(word)
                .bind(&selector)
                .fetch_optional(db)
                .await)
            .map_err(|e| clash(e, NAME_TAKEN))?;
            let (workspace,) = row.ok_or(StoreError::NotFound)?;
            list_clusters(tx, id, placement).await?;
            federation::place_project(tx, id, now).await?;
            audit.append(tx, About::Workspace(parsed(&workspace, "workspace of a project")?), now).await
        })
    }

    /// Removes a project: its federated grants end and their bindings go; its namespaces stay on the clusters. Safe to repeat.
    pub async fn remove_project(&self, id: ProjectId, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM projects WHERE id = $1 RETURNING workspace_id";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            federation::end_of_project(tx, id, &audit, now).await?;
            let row: Option<(String,)> =
                on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
            let Some((workspace,)) = row else { return Ok(()) };
            audit.append(tx, About::Workspace(parsed(&workspace, "workspace of a project")?), now).await
        })
    }

    /// One project.
    pub async fn project(&self, id: ProjectId) -> Result<Project, StoreError> {
        let row: Option<ProjectRow> = read!(self, |db| sqlx::query_as(select_projects!("id = $1"))
            .bind(id.to_string())
            .fetch_optional(db)
            .await)?;
        let row = row.ok_or(StoreError::NotFound)?;
        let listed: Vec<(String,)> = read!(self, |db| sqlx::query_as(LISTED).bind(id.to_string()).fetch_all(db).await)?;
        row.project(clusters_of(&listed)?)
    }

    /// A workspace's projects, by name.
    pub async fn projects_of(&self, workspace: WorkspaceId) -> Result<Vec<Project>, StoreError> {
        let rows: Vec<ProjectRow> = read!(self, |db| sqlx::query_as(select_projects!("workspace_id = $1"))
            .bind(workspace.to_string())
            .fetch_all(db)
            .await)?;
        let listed: Vec<(String, String)> =
            read!(self, |db| sqlx::query_as(LISTED_IN).bind(workspace.to_string()).fetch_all(db).await)?;
        with_clusters(rows, &listed)
    }

    /// The projects that somebody made, by name.
    pub(super) async fn projects_made_by(&self, maker: IdentityId) -> Result<Vec<Project>, StoreError> {
        const LISTED_BY: &str = "SELECT l.project_id, l.cluster_id FROM project_clusters l \
             JOIN projects p ON p.id = l.project_id WHERE p.created_by = $1 ORDER BY l.cluster_id";
        let rows: Vec<ProjectRow> = read!(self, |db| sqlx::query_as(select_projects!("created_by = $1"))
            .bind(maker.to_string())
            .fetch_all(db)
            .await)?;
        let listed: Vec<(String, String)> =
            read!(self, |db| sqlx::query_as(LISTED_BY).bind(maker.to_string()).fetch_all(db).await)?;
        with_clusters(rows, &listed)
    }

    /// Gives a cluster these labels in place of those that it had; projects that select by labels follow.
    pub async fn set_labels(
        &self,
        id: ClusterId,
        labels: &Labels,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE clusters SET labels = $2 WHERE id = $1";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            clusters::lock(tx, id).await?;
            on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(labels.to_string()).execute(db).await.map(drop))?;
            federation::place_cluster(tx, id, now).await?;
            audit.append(tx, About::Cluster(id), now).await
        })
    }
}
