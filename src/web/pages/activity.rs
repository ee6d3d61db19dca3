//! `/clusters/{cluster}/activity`: who did what, newest first.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::cluster::{AtCluster, Head, Tab};
use crate::{
    model::{
        audit::{Actor, AuditEvent},
        id::AuditEventId,
        time::Timestamp,
    },
    store::Store,
    web::{
        errors::PageError,
        frame::{Frame, render},
        labels::{Moment, date, deed},
        paths,
        when::When,
    },
};

/// How many events a page lists.
pub(super) const A_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "pages/activity.html")]
struct ActivityPage {
    frame: Frame,
    head: Head,
    here: String,
    days: Vec<Day>,
    newest: bool,
    next: Option<String>,
}

/// The events of a day.
pub(super) struct Day {
    pub(super) date: String,
    pub(super) events: Vec<Line>,
}

/// An event as a line: WHO did WHAT.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who.
    pub actor: String,
    /// Did.
    pub deed: &'static str,
    /// What it was done to.
    pub target: String,
    /// When.
    pub at: Moment,
    /// The request, as in the log.
    pub request: Option<String>,
    /// Whether Kubelend did it, following what people had decided.
    pub by_itself: bool,
    /// The cluster it happened on, where the page is about several.
    pub on: Option<String>,
}

impl Line {
    /// With a time as seen from `now`.
    pub fn relative(event: AuditEvent, now: Timestamp) -> Self {
        let at = Moment::Relative(When::new(event.at, now));
        Self::new(event, at)
    }

    fn on_its_day(event: AuditEvent) -> Self {
        let at = Moment::OnItsDay(event.at);
        Self::new(event, at)
    }

    fn new(event: AuditEvent, at: Moment) -> Self {
        Self {
            deed: deed(event.action),
            target: spoken(&event.actor_name, &event.target),
            at,
            request: event.request_id,
            by_itself: event.actor == Actor::Kubelend,
            actor: event.actor_name,
            on: None,
        }
    }
}

/// A target as people say it: exact times become days, and who did it is not named twice.
fn spoken(actor: &str, target: &str) -> String {
    let target = target.strip_prefix(actor).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(target);
    let day = |word: &str| word.parse::<jiff::Timestamp>().ok().map(|t| date(Timestamp::from_secs(t.as_second())));
    let words: Vec<String> = target.split(' ').map(|word| day(word).unwrap_or_else(|| word.to_owned())).collect();
    words.join(" ")
}

/// Where a page begins.
#[derive(Debug, serde::Deserialize)]
pub struct From {
    pub(super) before: Option<AuditEventId>,
}

/// The page.
pub async fn get(at: AtCluster, Query(from): Query<From>, State(store): State<Store>) -> Result<Response, PageError> {
    let events = store.audit_of_cluster(at.id(), from.before, A_PAGE + 1).await?;
    let here = paths::activity(at.id());
    let (days, next) = page(events, &here, |_| None);
    let (frame, head) = (at.frame(), at.head(Tab::Activity));
    Ok(render(&ActivityPage { frame, head, here, days, newest: from.before.is_none(), next }))
}

/// Events by day, and where the next page is if there are more than one page holds. `on` names the cluster of an event.
pub(super) fn page(
    mut events: Vec<AuditEvent>,
    here: &str,
    on: impl Fn(&AuditEvent) -> Option<String>,
) -> (Vec<Day>, Option<String>) {
    let more = events.len() > A_PAGE as usize;
    events.truncate(A_PAGE as usize);
    let next = events.last().filter(|_| more).map(|e| format!("{here}?before={}", e.id));
    let mut days: Vec<Day> = Vec::new();
    for event in events {
        let day = date(event.at);
        let on = on(&event);
        let line = Line { on, ..Line::on_its_day(event) };
        match days.last_mut() {
            Some(last) if last.date == day => last.events.push(line),
            _ => days.push(Day { date: day, events: vec![line] }),
        }
    }
    (days, next)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::audit::Action,
        web::pages::{
            cluster::tests::{cluster, head},
            overview::tests::events,
            samples::{NOW, check, frame},
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |events| {
            let (days, next) = page(events, "/a", |_| None);
            let head = head(&staging, Some(&check(true, true)), NOW, Tab::Activity);
            ActivityPage { frame: frame(), head, here: "/a".into(), days, newest: true, next }.render().unwrap()
        };
        let many = (0..60).map(|n| AuditEvent { id: AuditEventId::new(), ..events()[n % 5].clone() }).collect();
        vec![("activity", draw(events())), ("activity-full", draw(many)), ("activity-empty", draw(vec![]))]
    }

    fn event(secs: i64) -> AuditEvent {
        AuditEvent {
            id: AuditEventId::new(),
            at: Timestamp::from_secs(1_795_392_000 + secs),
            actor: Actor::Kubelend,
            actor_name: "Kubelend".into(),
            action: Action::GrantExpired,
            cluster: None,
            workspace: None,
            target: "bob@example.com".into(),
            request_id: None,
        }
    }

    #[test]
    fn a_line_says_days_and_names_nobody_twice() {
        let said = spoken("bob@example.com", "bob@example.com: view on the whole cluster until 2027-02-21T02:32:15Z");
        assert_eq!(said, "view on the whole cluster until 21 Feb 2027");
        assert_eq!(spoken("bob", "bobby: no role on  it"), "bobby: no role on  it");
    }

    #[test]
    fn events_are_grouped_by_day_and_the_next_page_begins_after_the_last_shown() {
        let (days, next) = page(vec![event(60), event(0), event(-60)], "/a", |_| None);
        assert_eq!(
            days.iter().map(|d| (d.date.as_str(), d.events.len())).collect::<Vec<_>>(),
            [("23 Nov 2026", 2), ("22 Nov 2026", 1)]
        );
        assert_eq!(next, None);
        let many: Vec<_> = (0..=50).map(|n| event(-n)).collect();
        let last = many[49].id;
        assert_eq!(page(many, "/a", |_| None).1, Some(format!("/a?before={last}")));
    }
}
