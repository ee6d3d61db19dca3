//! The namespaces that Kubelend makes for projects.
//!
//! One is ours where its UID is kept here. What is about to be made gets a row first, with a random mark that is put on it: a process
//! that dies between making it and keeping its UID finds it again by that, and by nothing else. A namespace that was there before is
//! never in here.

use crate::{
    model::{
        audit::Action,
        id::{ClusterId, FederatedGrantId, ProjectId},
        name::ClusterName,
        project::{MadeNamespace, NamespaceWish, ProjectName},
        time::Timestamp,
    },
    store::{AuditDraft, Store, StoreError, audit::About, bindings::draw_mark, db::parsed},
};

#[derive(sqlx::FromRow)]
struct WishRow {
    id: String,
    name: String,
    namespace: String,
    makes_namespace: bool,
    mark: Option<String>,
    uid: Option<String>,
}

impl Store {
    /// Whether Kubelend makes the project's namespaces where they are missing. What waits for one is due at once where it does. The
    /// event is written where that changes something.
    ///
    /// # Errors
    /// `NotFound` where the project is gone.
    pub async fn set_makes_namespace(
        &self,
        project: ProjectId,
        makes: bool,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE projects SET makes_namespace = $2 WHERE id = $1 AND makes_namespace <> $2";
        const HURRY: &str = "UPDATE grants SET next_attempt = $2 WHERE next_attempt > $2 \
             AND (leased_until IS NULL OR leased_until <= $2) AND federated_id IN \
             (SELECT f.id FROM federated_grants f WHERE f.scope = $1 AND f.ended IS NULL)";
        transact!(self, |tx| {
            let workspace = super::members::lock(tx, project).await?;
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(project.to_string())
                .bind(makes)
                .execute(&mut *db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 {
                return Ok(());
            }
            let scope = format!("project:{project}");
            on!(tx, |db| sqlx::query(HURRY).bind(scope).bind(now.millis()).execute(db).await.map(drop))?;
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// What is wished of the namespace that a federated grant is in on a cluster, where that is a project's.
    pub async fn namespace_wish(
        &self,
        grant: FederatedGrantId,
        cluster: ClusterId,
    ) -> Result<Option<NamespaceWish>, StoreError> {
        const SQL: &str = "SELECT p.id, p.name, p.namespace, p.makes_namespace, n.mark, n.uid FROM federated_grants f \
             JOIN projects p ON f.scope = 'project:' || p.id \
             LEFT JOIN project_namespaces n ON n.project_id = p.id AND n.cluster_id = $2 WHERE f.id = $1";
        let row: Option<WishRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(grant.to_string())
            .bind(cluster.to_string())
            .fetch_optional(db)
            .await)?;
        let wish = |row: WishRow| {
            Ok(NamespaceWish {
                project: parsed(&row.id, "id of a project")?,
                called: parsed::<ProjectName>(&row.name, "name of a project")?,
                namespace: parsed(&row.namespace, "namespace of a project")?,
                makes: row.makes_namespace,
                begun: row.mark.filter(|_| row.uid.is_none()),
                uid: row.uid,
            })
        };
        row.map(wish).transpose()
    }

    /// Says that a namespace is about to be made, as it was `seen` to be wished. Returns the mark that it is to bear; `None` where it is
    /// not wished any more, or somebody has just made it.
    pub async fn begin_namespace(
        &self,
        seen: &NamespaceWish,
        cluster: ClusterId,
    ) -> Result<Option<String>, StoreError> {
        // Of two who begin at once the second goes on with the first one's mark; one that was made and is gone gets another mark.
        const SQL: &str = "INSERT INTO project_namespaces (project_id, cluster_id, mark) \
             SELECT p.id, c.id, $3 FROM projects p JOIN clusters c ON c.workspace_id = p.workspace_id \
             WHERE p.id = $1 AND c.id = $2 AND p.makes_namespace \
             ON CONFLICT (project_id, cluster_id) DO UPDATE SET uid = NULL, made_at = NULL, \
             mark = CASE WHEN project_namespaces.uid IS NULL THEN project_namespaces.mark ELSE excluded.mark END \
             WHERE COALESCE(project_namespaces.uid, '') = $4 OR project_namespaces.uid IS NULL RETURNING mark";
        let mark = draw_mark();
        transact!(self, |tx| {
            let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(seen.project.to_string())
                .bind(cluster.to_string())
                .bind(&mark)
                .bind(seen.uid.as_deref().unwrap_or_default())
                .fetch_optional(db)
                .await)?;
            Ok(row.map(|(mark,)| mark))
        })
    }

    /// Keeps that the namespace with this mark was made, as what. Repeating it writes no second event.
    pub async fn keep_namespace(
        &self,
        wish: &NamespaceWish,
        cluster: ClusterId,
        mark: &str,
        uid: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE project_namespaces SET uid = $4, made_at = $5 \
             WHERE project_id = $1 AND cluster_id = $2 AND mark = $3 AND uid IS NULL";
        let target = format!("{}, for the project {}", wish.namespace, wish.called);
        transact!(self, |tx| {
            let kept = on!(tx, |db| sqlx::query(SQL)
                .bind(wish.project.to_string())
                .bind(cluster.to_string())
                .bind(mark)
                .bind(uid)
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if kept == 0 {
                return Ok(());
            }
            let event = AuditDraft::by_kubelend(Action::NamespaceMade, target.clone());
            event.append(tx, About::Cluster(cluster), now).await
        })
    }

    /// Forgets that one was about to be made: it was not, since somebody else has, or the cluster refused.
    pub async fn forget_namespace(
        &self,
        wish: &NamespaceWish,
        cluster: ClusterId,
        mark: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM project_namespaces \
             WHERE project_id = $1 AND cluster_id = $2 AND mark = $3 AND uid IS NULL";
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(wish.project.to_string())
                .bind(cluster.to_string())
                .bind(mark)
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }

    /// The namespaces that were made for a project, by the names of their clusters.
    pub async fn made_namespaces(&self, project: ProjectId) -> Result<Vec<MadeNamespace>, StoreError> {
        const SQL: &str = "SELECT n.cluster_id, c.name, n.uid, n.made_at FROM project_namespaces n \
             JOIN clusters c ON c.id = n.cluster_id WHERE n.project_id = $1 AND n.uid IS NOT NULL ORDER BY n.cluster_id";
        let rows: Vec<(String, String, String, Option<i64>)> =
            read!(self, |db| sqlx::query_as(SQL).bind(project.to_string()).fetch_all(db).await)?;
        let made = |(id, name, uid, at): (String, String, String, Option<i64>)| {
            Ok(MadeNamespace {
                cluster: parsed(&id, "cluster of a namespace")?,
                on: parsed::<ClusterName>(&name, "name of a cluster")?,
                uid,
                at: Timestamp::from_millis(at.unwrap_or_default()),
            })
        };
        let mut made = rows.into_iter().map(made).collect::<Result<Vec<_>, StoreError>>()?;
        made.sort_by_key(|one| one.on.as_str().to_lowercase());
        Ok(made)
    }
}
