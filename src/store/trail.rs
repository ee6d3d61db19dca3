//! What happened, looked through: on a cluster, in a workspace, or everywhere; by whom, what, and when.
//!
//! A page costs the same however much happened. With a filter at most [`WINDOW`] events are looked at for one page, and the next
//! page goes on where that one stopped. Everything is read by time; what happened on one cluster or in one workspace by id, which
//! is the order in which it was written.

use super::{
    Store, StoreError,
    audit::EventRow,
    db::{PAST_ALL_IDS, parsed},
    grants::literal,
};
use crate::model::{
    audit::{Action, AuditEvent},
    id::{AuditEventId, ClusterId, GroupId, WorkspaceId},
    time::Timestamp,
};

/// How many events a filtered page looks at.
const WINDOW: i64 = 10_000;
/// A longer text is part of no name.
const LONGEST_TEXT: usize = 256;

/// Where something happened.
#[derive(Clone, Copy, Debug)]
pub enum Trail {
    /// Anywhere.
    All,
    /// In a workspace, or on one of its clusters.
    Workspace(WorkspaceId),
    /// On a cluster.
    Cluster(ClusterId),
    /// To a Group: who is in it, and what it holds.
    Group(GroupId),
}

/// What is looked for. Empty means all.
#[derive(Clone, Debug, Default)]
pub struct TrailFilter {
    /// Part of what whoever did it is called (ASCII case apart).
    pub actor: String,
    /// What it was done to: the first part of an action's name, `grant`.
    pub about: Option<&'static str>,
    /// What was done.
    pub action: Option<Action>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub to: Option<Timestamp>,
}

/// A page of what happened.
#[derive(Clone, Debug)]
pub struct TrailPage {
    /// Latest first.
    pub events: Vec<AuditEvent>,
    /// Where the next page begins: pass it as `before`. With a filter it may be there although this page is not full.
    pub next: Option<AuditEventId>,
}

/// A filter in the words of the query.
struct Patterns {
    /// Whether not every event fits that lies between its times.
    picks: bool,
    actor: String,
    action: String,
    from: i64,
    to: i64,
}

impl TrailFilter {
    /// Whether not every event fits that lies between its times.
    fn picks(&self) -> bool {
        !self.actor.trim().is_empty() || self.about.is_some() || self.action.is_some()
    }

    /// `None` where nothing can fit.
    fn patterns(&self) -> Option<Patterns> {
        let actor = self.actor.trim().to_ascii_lowercase();
        if actor.len() > LONGEST_TEXT || actor.contains('\0') {
            return None;
        }
        Some(Patterns {
            picks: self.picks(),
            actor: if actor.is_empty() { actor } else { format!("%{}%", literal(&actor)) },
            action: match (self.action, self.about) {
                (Some(action), _) => literal(action.as_str()),
                (None, Some(noun)) => format!("{}.%", literal(noun)),
                (None, None) => String::new(),
            },
            from: self.from.map_or(i64::MIN, Timestamp::millis),
            to: self.to.map_or(i64::MAX, Timestamp::millis),
        })
    }
}

macro_rules! select_events {
    ($($rest:expr),+) => {
        concat!(
            "SELECT id, at, actor_id, actor_name, action, cluster_id, workspace_id, target, request_id FROM audit_events WHERE ",
            $($rest),+
        )
    };
}

/// Between a floor (`$3`, `$4`) and what came before (`$1`, `$2`), by whom `$5`, and what `$6`; `$7` at most.
const BY_TIME: &str = select_events!(
    "(at, id) < ($1, $2) AND (at, id) >= ($3, $4) AND ($5 = '' OR LOWER(actor_name) LIKE $5 ESCAPE '\\') \
     AND ($6 = '' OR action LIKE $6 ESCAPE '\\') ORDER BY at DESC, id DESC LIMIT $7"
);
const FLOOR_BY_TIME: &str = "SELECT at, id FROM audit_events WHERE (at, id) < ($1, $2) AND at >= $3 \
     ORDER BY at DESC, id DESC LIMIT 1 OFFSET $4";

/// Of one workspace or cluster (`$1`), before `$2` and not before the floor `$3`.
macro_rules! of_one {
    ($column:literal) => {
        select_events!(
            $column,
            " = $1 AND id < $2 AND id >= $3 AND ($4 = '' OR LOWER(actor_name) LIKE $4 ESCAPE '\\') \
             AND ($5 = '' OR action LIKE $5 ESCAPE '\\') AND at >= $6 AND at < $7 ORDER BY id DESC LIMIT $8"
        )
    };
}
macro_rules! floor_of_one {
    ($column:literal) => {
        concat!("SELECT id FROM audit_events WHERE ", $column, " = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3")
    };
}

impl Store {
    /// What happened there and fits, latest first: at most `limit`, those before `before`.
    ///
    /// # Errors
    /// `NotFound` where there is no event `before`.
    pub async fn trail(
        &self,
        of: Trail,
        filter: &TrailFilter,
        before: Option<AuditEventId>,
        limit: u32,
    ) -> Result<TrailPage, StoreError> {
        let Some(patterns) = filter.patterns() else { return Ok(TrailPage { events: Vec::new(), next: None }) };
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut rows, floor) = match of {
            Trail::All => self.trail_by_time(&patterns, before, limit).await?,
            Trail::Workspace(id) => {
                let sql = (of_one!("workspace_id"), floor_of_one!("workspace_id"));
                self.trail_of_one(sql, &id.to_string(), &patterns, before, limit).await?
            }
            Trail::Cluster(id) => {
                let sql = (of_one!("cluster_id"), floor_of_one!("cluster_id"));
                self.trail_of_one(sql, &id.to_string(), &patterns, before, limit).await?
            }
            Trail::Group(id) => {
                let sql = (of_one!("group_id"), floor_of_one!("group_id"));
                self.trail_of_one(sql, &id.to_string(), &patterns, before, limit).await?
            }
        };
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let events = rows.into_iter().map(EventRow::event).collect::<Result<Vec<_>, _>>()?;
        let floor = floor.map(|id| parsed(&id, "id of an event")).transpose()?;
        let next = if more { events.last().map(|event| event.id) } else { floor };
        Ok(TrailPage { events, next })
    }

    async fn trail_by_time(
        &self,
        patterns: &Patterns,
        before: Option<AuditEventId>,
        limit: u32,
    ) -> Result<(Vec<EventRow>, Option<String>), StoreError> {
        let begin = match before {
            Some(id) => (self.event_at(id).await?, id.to_string()),
            None => (i64::MAX, String::new()),
        };
        // No id stands before the empty one: nothing of the filter's last moment itself is meant.
        let begin = begin.min((patterns.to, String::new()));
        let floor: Option<(i64, String)> = if patterns.picks {
            read!(self, |db| sqlx::query_as(FLOOR_BY_TIME)
                .bind(begin.0)
                .bind(&begin.1)
                .bind(patterns.from)
                .bind(WINDOW - 1)
                .fetch_optional(db)
                .await)?
        } else {
            None
        };
        let lowest = floor.clone().unwrap_or_else(|| (patterns.from, String::new()));
        let rows = read!(self, |db| sqlx::query_as(BY_TIME)
            .bind(begin.0)
            .bind(&begin.1)
            .bind(lowest.0)
            .bind(&lowest.1)
            .bind(&patterns.actor)
            .bind(&patterns.action)
            .bind(i64::from(limit) + 1)
            .fetch_all(db)
            .await)?;
        Ok((rows, floor.map(|(_, id)| id)))
    }

    async fn event_at(&self, id: AuditEventId) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT at FROM audit_events WHERE id = $1";
        let row: Option<(i64,)> = read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.map(|(at,)| at).ok_or(StoreError::NotFound)
    }

    async fn trail_of_one(
        &self,
        (sql, floor_sql): (&'static str, &'static str),
        one: &str,
        patterns: &Patterns,
        before: Option<AuditEventId>,
        limit: u32,
    ) -> Result<(Vec<EventRow>, Option<String>), StoreError> {
        let before = before.map_or_else(|| PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let windowed = patterns.picks || patterns.from != i64::MIN || patterns.to != i64::MAX;
        let floor: Option<(String,)> = if windowed {
            read!(self, |db| sqlx::query_as(floor_sql)
                .bind(one)
                .bind(&before)
                .bind(WINDOW - 1)
                .fetch_optional(db)
                .await)?
        } else {
            None
        };
        let lowest = floor.as_ref().map(|(id,)| id.as_str()).unwrap_or_default();
        let rows = read!(self, |db| sqlx::query_as(sql)
            .bind(one)
            .bind(&before)
            .bind(lowest)
            .bind(&patterns.actor)
            .bind(&patterns.action)
            .bind(patterns.from)
            .bind(patterns.to)
            .bind(i64::from(limit) + 1)
            .fetch_all(db)
            .await)?;
        Ok((rows, floor.map(|(id,)| id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_by_its_name_and_by_what_it_is_about() {
        let action = TrailFilter { action: Some(Action::DeviceApart), about: Some("grant"), ..TrailFilter::default() };
        assert_eq!(action.patterns().unwrap().action, "device.used\\_far\\_apart");
        let about = TrailFilter { about: Some("key_ring"), ..TrailFilter::default() };
        assert_eq!(about.patterns().unwrap().action, "key\\_ring.%");
        assert!(about.picks() && !TrailFilter::default().picks());
        assert!(TrailFilter { actor: "a\0".into(), ..TrailFilter::default() }.patterns().is_none());
    }
}
