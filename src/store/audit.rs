//! Audit events. Other files of the store append them inside their transactions; nothing changes or deletes one.

use super::{
    Store, StoreError,
    db::{Tx, parsed, shown},
};
use crate::model::{
    audit::{Action, Actor, AuditEvent},
    id::{AuditEventId, ClusterId, GroupId, WorkspaceId},
    time::Timestamp,
};

/// What the caller says of an event; id, and cluster and workspace where the store knows them better, are added when it is written.
#[derive(Clone, Debug)]
pub struct AuditDraft {
    /// Who.
    pub actor: Actor,
    /// What they are called.
    pub actor_name: String,
    /// What.
    pub action: Action,
    /// To what, in words that stand for themselves.
    pub target: String,
    /// The request that caused it.
    pub request_id: Option<String>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum About {
    /// Neither cluster nor workspace.
    Nothing,
    /// A cluster that is there, and with it its workspace.
    Cluster(ClusterId),
    /// A cluster that is gone by the time of writing.
    Gone(ClusterId, WorkspaceId),
    /// A workspace, and no cluster in it.
    Workspace(WorkspaceId),
}

impl AuditDraft {
    /// Something that Kubelend does by itself.
    pub(super) fn by_kubelend(action: Action, target: String) -> Self {
        Self { actor: Actor::Kubelend, actor_name: "Kubelend".into(), action, target, request_id: None }
    }

    /// Writes the event in the transaction of what it tells of.
    pub(super) async fn append(&self, tx: &mut Tx, about: About, now: Timestamp) -> Result<(), StoreError> {
        self.append_of(tx, about, None, now).await
    }

    /// The same, as something that happened to a Group besides.
    pub(super) async fn append_of(
        &self,
        tx: &mut Tx,
        about: About,
        group: Option<GroupId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO audit_events \
             (id, at, actor_id, actor_name, action, cluster_id, workspace_id, target, request_id, group_id) \
             VALUES ($1, $2, $3, $4, $5, $6, COALESCE($7, (SELECT workspace_id FROM clusters WHERE id = $6)), $8, $9, $10)";
        let actor = match self.actor {
            Actor::Person(id) => Some(id.to_string()),
            Actor::Kubelend => None,
        };
        let (cluster, workspace) = match about {
            About::Nothing => (None, None),
            About::Cluster(id) => (Some(id.to_string()), None),
            About::Gone(id, workspace) => (Some(id.to_string()), Some(workspace.to_string())),
            About::Workspace(workspace) => (None, Some(workspace.to_string())),
        };
        on!(tx, |db| sqlx::query(SQL)
            .bind(AuditEventId::new().to_string())
            .bind(now.millis())
            .bind(actor)
            .bind(shown(&self.actor_name))
            .bind(self.action.as_str())
            .bind(cluster)
            .bind(workspace)
            .bind(shown(&self.target))
            .bind(self.request_id.as_deref().map(shown))
            .bind(group.map(|id| id.to_string()))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    id: String,
    at: i64,
    actor_id: Option<String>,
    actor_name: String,
    action: String,
    cluster_id: Option<String>,
    workspace_id: Option<String>,
    target: String,
    request_id: Option<String>,
}

impl EventRow {
    pub(super) fn event(self) -> Result<AuditEvent, StoreError> {
        let actor = match self.actor_id {
            Some(id) => Actor::Person(parsed(&id, "actor of an event")?),
            None => Actor::Kubelend,
        };
        Ok(AuditEvent {
            id: parsed(&self.id, "id of an event")?,
            at: Timestamp::from_millis(self.at),
            actor,
            actor_name: self.actor_name,
            action: Action::parse(&self.action).ok_or(StoreError::Corrupt("action of an event"))?,
            cluster: self.cluster_id.map(|id| parsed(&id, "cluster of an event")).transpose()?,
            workspace: self.workspace_id.map(|id| parsed(&id, "workspace of an event")).transpose()?,
            target: self.target,
            request_id: self.request_id,
        })
    }
}

impl Store {
    /// A cluster's events, latest first: at most `limit`, those before `before`.
    pub async fn audit_of_cluster(
        &self,
        cluster: ClusterId,
        before: Option<AuditEventId>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        const SQL: &str = "SELECT id, at, actor_id, actor_name, action, cluster_id, workspace_id, target, request_id \
             FROM audit_events WHERE cluster_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        let before = before.map_or_else(|| super::db::PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let rows: Vec<EventRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(EventRow::event).collect()
    }

    /// A workspace's events and those of its clusters, latest first: at most `limit`, those before `before`.
    pub async fn audit_of_workspace(
        &self,
        workspace: WorkspaceId,
        before: Option<AuditEventId>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        const SQL: &str = "SELECT id, at, actor_id, actor_name, action, cluster_id, workspace_id, target, request_id \
             FROM audit_events WHERE workspace_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        let before = before.map_or_else(|| super::db::PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let rows: Vec<EventRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(workspace.to_string())
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(EventRow::event).collect()
    }
}
