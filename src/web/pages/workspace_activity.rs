//! `/workspaces/{workspace}/activity`: who did what in it and on its clusters, newest first.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    activity::{A_PAGE, Day, From, page},
    workspace::{AtWorkspace, Head, Tab},
    workspace_overview::on,
};
use crate::{
    store::Store,
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
    here: String,
    days: Vec<Day>,
    newest: bool,
    next: Option<String>,
}

/// The page.
pub async fn get(at: AtWorkspace, Query(from): Query<From>, State(store): State<Store>) -> Result<Response, PageError> {
    let inside = store.clusters_in(&[at.id()]).await?;
    let events = store.audit_of_workspace(at.id(), from.before, A_PAGE + 1).await?;
    let here = paths::workspace_activity(at.id());
    let (days, next) = page(events, &here, |event| on(event, &inside));
    let (frame, head) = (at.frame(), at.head(Tab::Activity));
    Ok(render(&WorkspaceActivityPage { frame, head, here, days, newest: from.before.is_none(), next }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        overview::tests::events,
        samples::{HOSTILE, frame},
        workspace::tests::{head, workspace},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |events| {
            let (days, next) = page(events, "/a", |_| Some(HOSTILE.into()));
            let head = head(&workspace("Payments"), Tab::Activity);
            WorkspaceActivityPage { frame: frame(), head, here: "/a".into(), days, newest: true, next }
                .render()
                .unwrap()
        };
        vec![("workspace-activity", draw(events())), ("workspace-activity-empty", draw(vec![]))]
    }
}
