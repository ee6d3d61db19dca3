//! `/workspaces/{workspace}/activity`: who did what in it and on its clusters, newest first.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    activity::A_PAGE,
    trail::{Asked, Found},
    workspace::{AtWorkspace, Head, Tab},
    workspace_overview::on,
};
use crate::{
    store::{Store, Trail},
    web::{
        errors::PageError,
        frame::{Frame, render},
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/workspace_activity.html")]
struct WorkspaceActivityPage {
    frame: Frame,
    head: Head,
    found: Found,
}

/// The page.
pub async fn get(
    at: AtWorkspace,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    let inside = store.cluster_entries_in(&[at.id()]).await?;
    let page = store.trail(Trail::Workspace(at.id()), &asked.filter(at.now), asked.before, A_PAGE).await?;
    let found = Found::new(asked, paths::workspace_activity(at.id()), page, |event| on(event, &inside));
    Ok(render(&WorkspaceActivityPage { frame: at.frame(), head: at.head(Tab::Activity), found }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::audit::AuditEvent,
        store::TrailPage,
        web::{
            errors::NextStep,
            pages::{
                overview::tests::events,
                samples::{HOSTILE, frame},
                workspace::tests::{head, workspace},
            },
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |events: Vec<AuditEvent>| {
            let page = TrailPage { next: events.last().map(|e| e.id), events };
            let on = |_: &AuditEvent| Some(NextStep::new(HOSTILE, ""));
            let found = Found::new(Asked::default(), "/a".into(), page, on);
            let head = head(&workspace("Payments"), Tab::Activity);
            WorkspaceActivityPage { frame: frame(), head, found }.render().unwrap()
        };
        vec![("workspace-activity", draw(events())), ("workspace-activity-empty", draw(vec![]))]
    }
}
