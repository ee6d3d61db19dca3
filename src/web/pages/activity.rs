//! `/clusters/{cluster}/activity`: who did what, newest first.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    cluster::{AtCluster, Head, Tab},
    trail::{Asked, Found},
};
use crate::{
    model::{
        audit::{Actor, AuditEvent},
        time::Timestamp,
    },
    store::{Store, Trail},
    web::{
        errors::{NextStep, PageError},
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
    found: Found,
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
    /// Where it happened, where the page is about several places; without an address where that has gone.
    pub on: Option<NextStep>,
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

/// The page.
pub async fn get(at: AtCluster, Query(asked): Query<Asked>, State(store): State<Store>) -> Result<Response, PageError> {
    let page = store.trail(Trail::Cluster(at.id()), &asked.filter(at.now), asked.before, A_PAGE).await?;
    let found = Found::new(asked, paths::activity(at.id()), page, |_| None);
    Ok(render(&ActivityPage { frame: at.frame(), head: at.head(Tab::Activity), found }))
}

/// Events by day. `on` says where one happened.
pub(super) fn by_day(events: Vec<AuditEvent>, on: impl Fn(&AuditEvent) -> Option<NextStep>) -> Vec<Day> {
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
    days
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{audit::Action, id::AuditEventId},
        store::TrailPage,
        web::pages::{
            cluster::tests::{cluster, head},
            overview::tests::events,
            samples::{NOW, check, frame},
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |events: Vec<AuditEvent>| {
            let page = TrailPage { next: events.last().map(|e| e.id), events };
            let head = head(&staging, Some(&check(true, true)), NOW, Tab::Activity);
            let found = Found::new(Asked::default(), "/a".into(), page, |_| None);
            ActivityPage { frame: frame(), head, found }.render().unwrap()
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
    fn events_are_grouped_by_day() {
        let days = by_day(vec![event(60), event(0), event(-60)], |_| None);
        assert_eq!(
            days.iter().map(|d| (d.date.as_str(), d.events.len())).collect::<Vec<_>>(),
            [("23 Nov 2026", 2), ("22 Nov 2026", 1)]
        );
    }
}
