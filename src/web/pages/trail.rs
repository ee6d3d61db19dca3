//! Looking through what happened: the form above each page of activity, and its events by day, each with where it happened. And
//! `/activity`: everything that happened anywhere, for platform admins, and the same as a file.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use futures_util::stream::try_unfold;

use super::activity::{A_PAGE, Day, by_day};
use crate::{
    access::AccessError,
    clock::Clock,
    model::{
        audit::{Action, AuditEvent},
        id::{AuditEventId, ClusterId, WorkspaceId},
        matrix::AsOf,
        time::Timestamp,
    },
    policy::{self, Forbidden},
    store::{Store, StoreError, Trail, TrailFilter, TrailPage},
    web::{
        csv,
        errors::{NextStep, PageError},
        forms::Choice,
        frame::{Frame, Nav, render},
        labels::deed,
        paths,
        session::SignedIn,
    },
};

/// How many events a file is written by.
const LINES: u32 = 500;
const HEAD: [&str; 7] = ["Time", "Who", "Action", "What", "Cluster", "Workspace", "Request"];

/// What is looked for, from the address.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Where the page begins.
    pub(super) before: Option<AuditEventId>,
    pub(super) who: String,
    /// What it was done to, or an action.
    what: String,
    pub(super) from: String,
    pub(super) until: String,
}

impl Asked {
    /// Whether something is looked for.
    pub(super) fn is_set(&self) -> bool {
        [&self.who, &self.what, &self.from, &self.until].iter().any(|field| !field.trim().is_empty())
    }

    /// As the store takes it; days that are none, and words that mean nothing, are not looked for.
    pub(super) fn filter(&self, now: Timestamp) -> TrailFilter {
        let day = |text: &str| AsOf::read(text, now).ok().filter(|day| !day.is_now());
        TrailFilter {
            actor: self.who.clone(),
            about: nouns().into_iter().find(|noun| *noun == self.what),
            action: Action::parse(&self.what),
            from: day(&self.from).map(AsOf::from),
            to: day(&self.until).map(AsOf::to),
        }
    }

    fn address(&self, here: &str, before: Option<AuditEventId>) -> String {
        let before = before.map(|id| id.to_string()).unwrap_or_default();
        let all = [("who", &self.who), ("what", &self.what), ("from", &self.from), ("until", &self.until)];
        let mut pairs: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        pairs.push(("before", &before));
        paths::with_query(here, &pairs)
    }
}

/// The first parts of actions' names, each once.
fn nouns() -> Vec<&'static str> {
    let mut all: Vec<&str> = Action::ALL.iter().filter_map(|action| action.as_str().split('.').next()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What was done to it, in a word or two.
fn noun_words(noun: &str) -> String {
    match noun {
        "binding" => "Bindings on clusters".into(),
        "grant" => "Access given and taken".into(),
        "link" => "Share links".into(),
        "session" => "Sign-ins and sessions".into(),
        other => {
            let mut words = other.replace('_', " ") + "s";
            if let Some(first) = words.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            words
        }
    }
}

/// The form, and what it found.
pub(super) struct Found {
    pub(super) here: String,
    pub(super) asked: Asked,
    pub(super) days: Vec<Day>,
    pub(super) newest: Option<String>,
    pub(super) next: Option<String>,
}

impl Found {
    /// `on` says where an event happened.
    pub(super) fn new(
        asked: Asked,
        here: String,
        page: TrailPage,
        on: impl Fn(&AuditEvent) -> Option<NextStep>,
    ) -> Self {
        Self {
            newest: asked.before.map(|_| asked.address(&here, None)),
            next: page.next.map(|id| asked.address(&here, Some(id))),
            days: by_day(page.events, on),
            here,
            asked,
        }
    }

    /// What can have been done to what.
    pub(super) fn whats(&self) -> Vec<(String, Vec<Choice>)> {
        let choice =
            |action: &Action| Choice::new(action.as_str(), deed(*action).trim_end_matches(':'), &self.asked.what);
        let each = |noun: &'static str| {
            let label = noun_words(noun);
            let all = Choice::new(noun, "all of these", &self.asked.what);
            let of = |action: &&Action| action.as_str().split('.').next() == Some(noun);
            (label, std::iter::once(all).chain(Action::ALL.iter().filter(of).map(choice)).collect())
        };
        nouns().into_iter().map(each).collect()
    }

    /// Whether anything is looked for.
    pub(super) fn is_set(&self) -> bool {
        self.asked.is_set()
    }
}

#[derive(Template)]
#[template(path = "pages/trail.html")]
struct Page {
    frame: Frame,
    found: Found,
    csv: String,
}

/// The page.
pub async fn get(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    may(&who)?;
    let page = store.trail(Trail::All, &asked.filter(clock.now()), asked.before, A_PAGE).await?;
    let names = Names::of(&store, &page.events).await?;
    let csv = Asked { before: None, ..asked.clone() }.address(paths::ALL_ACTIVITY_CSV, None);
    let found = Found::new(asked, paths::ALL_ACTIVITY.into(), page, |event| names.step(event));
    Ok(render(&Page { frame: Frame::new(&who, Nav::Workspaces), found, csv }))
}

fn may(who: &SignedIn) -> Result<(), AccessError> {
    policy::view_trail(&who.person).map(drop).map_err(|why: Forbidden| why.into())
}

/// What clusters and workspaces are called that events happened on; those that have gone are not there.
#[derive(Default)]
struct Names {
    clusters: HashMap<ClusterId, String>,
    workspaces: HashMap<WorkspaceId, String>,
}

impl Names {
    async fn of(store: &Store, events: &[AuditEvent]) -> Result<Self, StoreError> {
        let clusters: Vec<ClusterId> = events.iter().filter_map(|event| event.cluster).collect();
        let workspaces: Vec<WorkspaceId> = events.iter().filter_map(|event| event.workspace).collect();
        Ok(Self {
            clusters: store.clusters(&clusters).await?.into_iter().map(|c| (c.id, c.name.to_string())).collect(),
            workspaces: store.workspaces(&workspaces).await?.into_iter().map(|w| (w.id, w.name)).collect(),
        })
    }

    /// Where an event happened, and the way there while it exists.
    fn step(&self, event: &AuditEvent) -> Option<NextStep> {
        match (event.cluster, event.workspace) {
            (Some(id), _) => Some(self.clusters.get(&id).map_or_else(
                || NextStep::new("a cluster that is gone", ""),
                |name| NextStep::new(name.as_str(), paths::cluster(id)),
            )),
            (None, Some(id)) => Some(self.workspaces.get(&id).map_or_else(
                || NextStep::new("a workspace that is gone", ""),
                |name| NextStep::new(name.as_str(), paths::workspace(id)),
            )),
            (None, None) => None,
        }
    }

    fn line(&self, event: &AuditEvent) -> String {
        let cluster = event.cluster.map(|id| self.clusters.get(&id).map_or("gone", String::as_str));
        let workspace = event.workspace.map(|id| self.workspaces.get(&id).map_or("gone", String::as_str));
        csv::line(&[
            &event.at.to_string(),
            &event.actor_name,
            event.action.as_str(),
            &event.target,
            cluster.unwrap_or_default(),
            workspace.unwrap_or_default(),
            event.request_id.as_deref().unwrap_or_default(),
        ])
    }
}

/// How far a file is written.
enum Written {
    Nothing,
    UpTo(Option<AuditEventId>),
    All,
}

/// The same as a file.
pub async fn file(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    may(&who)?;
    let filter = asked.filter(clock.now());
    let lines = try_unfold(Written::Nothing, move |written| {
        let (store, filter) = (store.clone(), filter.clone());
        async move {
            let before = match written {
                Written::Nothing => return Ok(Some((csv::line(&HEAD), Written::UpTo(None)))),
                Written::UpTo(before) => before,
                Written::All => return Ok(None),
            };
            let page = store.trail(Trail::All, &filter, before, LINES).await?;
            let names = Names::of(&store, &page.events).await?;
            let text: String = page.events.iter().map(|event| names.line(event)).collect();
            Ok(Some((text, page.next.map_or(Written::All, |id| Written::UpTo(Some(id))))))
        }
    });
    Ok(csv::answer("activity.csv", lines))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        overview::tests::events,
        samples::{HOSTILE, NOW, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |asked: Asked, events: Vec<AuditEvent>| {
            let next = events.last().map(|event| event.id);
            let on = |_: &AuditEvent| Some(NextStep::new(HOSTILE, "/clusters/x"));
            let found = Found::new(asked, "/activity".into(), TrailPage { events, next }, on);
            let frame = frame().at(Nav::Workspaces);
            Page { frame, found, csv: "/activity.csv".into() }.render().unwrap()
        };
        let asked = Asked {
            who: HOSTILE.into(),
            what: "grant".into(),
            from: "2026-11-01".into(),
            before: Some(AuditEventId::new()),
            ..Asked::default()
        };
        let many = (0..50).map(|n| AuditEvent { id: AuditEventId::new(), ..events()[n % 5].clone() }).collect();
        vec![
            ("all-activity", draw(Asked::default(), many)),
            ("all-activity-filter", draw(asked.clone(), events())),
            ("all-activity-nothing", draw(asked, vec![])),
        ]
    }

    #[test]
    fn what_is_looked_for_is_an_action_or_what_it_was_done_to() {
        let asked = |what: &str| Asked { what: what.into(), until: "2026-11-01".into(), ..Asked::default() };
        let filter = asked("grant").filter(NOW);
        assert_eq!((filter.about, filter.action), (Some("grant"), None));
        assert_eq!(filter.to.unwrap().to_string(), "2026-11-02T00:00:00Z", "all of that day");
        let filter = asked("grant.added").filter(NOW);
        assert_eq!((filter.about, filter.action), (None, Some(Action::GrantAdded)));
        let nonsense = Asked { from: "soon".into(), ..asked("x") }.filter(NOW);
        assert!(nonsense.about.is_none() && nonsense.action.is_none() && nonsense.from.is_none());
        assert_eq!(asked("grant").address("/a", None), "/a?what=grant&until=2026-11-01");
        assert_eq!(noun_words("key_ring"), "Key rings");
    }
}
