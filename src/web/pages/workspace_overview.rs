//! `/workspaces/{workspace}`: its clusters, who looks after them, and what happened lately.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    activity::Line,
    cluster_list::{self, List},
    listing::Asked,
    member_list::named,
    workspace::{AtWorkspace, Head, Tab, a_role, role_means},
};
use crate::{
    clock::Clock,
    model::{
        identity::Identity,
        workspace::{Member, MemberRole},
    },
    oidc::Providers,
    store::{ClusterEntry, Store},
    web::{
        errors::{NextStep, PageError},
        frame::{Frame, render},
        paths,
    },
};

/// So many members and events are shown here.
const FEW: usize = 6;

#[derive(Template)]
#[template(path = "pages/workspace_overview.html")]
struct OverviewPage {
    frame: Frame,
    head: Head,
    you: String,
    list: List,
    add: Option<String>,
    people: Vec<Named>,
    more: usize,
    events: Vec<Line>,
    members: String,
    activity: String,
}

struct Named {
    name: String,
    role: &'static str,
}

/// The page.
pub async fn get(
    at: AtWorkspace,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(providers): State<Providers>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    let inside = store.cluster_entries_in(&[at.id()]).await?;
    let members = store.members(at.id()).await?;
    let events = store.audit_of_workspace(at.id(), None, u32::try_from(FEW).unwrap_or(u32::MAX)).await?;
    let line = |event| Line { on: on(&event, &inside), ..Line::relative(event, at.now) };
    let lines: Vec<Line> = events.into_iter().map(line).collect();
    let here = paths::workspace(at.id());
    let page = OverviewPage {
        frame: at.frame(),
        head: at.head(Tab::Overview),
        you: you(at.member),
        add: at.adds_clusters().then(|| paths::add_cluster_to(at.id())).filter(|_| at.workspace().removing.is_none()),
        list: cluster_list::list((&store, &providers), inside, &[], asked, here, clock.now()).await?,
        more: members.len().saturating_sub(FEW),
        people: first(&members),
        events: lines,
        members: paths::members(at.id()),
        activity: paths::workspace_activity(at.id()),
    };
    Ok(render(&page))
}

fn you(member: Option<MemberRole>) -> String {
    match member {
        Some(role) => format!("You are {} here: you {}.", a_role(role), role_means(role)),
        None => "You are no member here, and see and manage it as a platform admin.".into(),
    }
}

fn first(members: &[(Member, Option<Identity>)]) -> Vec<Named> {
    let named = |(member, person): &(Member, Option<Identity>)| Named {
        name: named(&member.who, person.as_ref()),
        role: member.role.as_str(),
    };
    members.iter().take(FEW).map(named).collect()
}

/// The cluster that an event is about, where it stands in the workspace.
pub(super) fn on(event: &crate::model::audit::AuditEvent, inside: &[ClusterEntry]) -> Option<NextStep> {
    let id = event.cluster?;
    Some(inside.iter().find(|c| c.id == id).map_or_else(
        || NextStep::new("a cluster that is gone", ""),
        |c| NextStep::new(c.name.as_str(), paths::cluster(id)),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster_list::tests::{entries, sample},
        members::tests::sample_members,
        overview::tests::events,
        samples::{HOSTILE, NOW, frame},
        workspace::tests::{head, workspace},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |name: &str, clusters, members: Vec<(Member, Option<Identity>)>, add| {
            OverviewPage {
                frame: frame(),
                head: head(&workspace(name), Tab::Overview),
                you: you(Some(MemberRole::Owner)),
                list: sample(entries(clusters, &[workspace(name)]), &[], "", ""),
                add,
                people: first(&members),
                more: members.len().saturating_sub(FEW),
                events: events()
                    .into_iter()
                    .map(|e| Line { on: Some(NextStep::new("staging", "/c")), ..Line::relative(e, NOW) })
                    .collect(),
                members: "/m".into(),
                activity: "/a".into(),
            }
            .render()
            .unwrap()
        };
        vec![
            ("workspace", draw("Payments", 4, sample_members(), Some("/clusters/add?workspace=x".into()))),
            ("workspace-empty", draw(HOSTILE, 0, vec![], None)),
        ]
    }

    #[test]
    fn everybody_reads_what_they_may_here() {
        assert_eq!(you(Some(MemberRole::Editor)), "You are an editor here: you give and take access on its clusters.");
        assert!(you(None).contains("platform admin"));
    }
}
