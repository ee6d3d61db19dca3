//! `/workspaces/{workspace}/access`: who has a role on every cluster of a workspace; giving it.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    requests,
    wide_access::{Desk, Wanted, Wide},
    wide_form::WideForm,
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::Gate,
    model::{federation::WideScope, id::FederatedGrantId},
    policy::Reach,
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/workspace_access.html")]
struct WorkspaceAccessPage {
    frame: Frame,
    head: Head,
    /// Who asks for access, and where that is answered.
    requests: Option<(String, String)>,
    wide: Wide,
}

/// Which page.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    before: Option<FederatedGrantId>,
}

/// The page.
pub async fn get(at: AtWorkspace, Query(asked): Query<Asked>, State(desk): State<Desk>) -> Result<Response, PageError> {
    page(&desk, &at, asked.before, WideForm::default(), FieldErrors::default()).await
}

/// Gives access on every cluster of the workspace.
pub async fn post(
    at: AtWorkspace,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<WideForm>,
) -> Result<Response, PageError> {
    let permit = gate.manage_reach(&at.who.person, WideScope::Workspace(at.id())).await?;
    let mut errors = FieldErrors::default();
    if desk.give(&permit, &form, &mut errors).await?.is_some() {
        return Ok(Redirect::to(&paths::workspace_access(at.id())).into_response());
    }
    page(&desk, &at, None, form, errors).await
}

async fn page(
    desk: &Desk,
    at: &AtWorkspace,
    before: Option<FederatedGrantId>,
    form: WideForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let frame = at.frame();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let wanted = Wanted {
        scope: WideScope::Workspace(at.id()),
        here: paths::workspace_access(at.id()),
        place: "on every cluster of this workspace".into(),
        csrf: &frame.csrf,
        gives: at.manage_reach(Reach::Workspace(at.workspace().clone())),
        before,
        form,
        errors,
    };
    let wide = desk.wide(wanted, at.now).await?;
    let waiting = requests::waiting(desk.store.requests_waiting_in(at.id(), at.now).await?);
    let requests = waiting.filter(|_| at.manage_access().is_ok()).map(|words| (words, paths::requests(at.id())));
    Ok(render_with(status, &WorkspaceAccessPage { head: at.head(Tab::Access), frame, requests, wide }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::{
        frame::Nav,
        pages::{
            samples::{HOSTILE, frame},
            wide_access::{A_PAGE, tests::wide},
            workspace::tests::{head, workspace},
        },
    };

    /// The page full, wrong and empty.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |wide| {
            let head = head(&workspace(HOSTILE), Tab::Access);
            let requests = requests::waiting(3).map(|words| (words, "/x".into()));
            WorkspaceAccessPage { frame: frame().at(Nav::Workspaces), head, requests, wide }.render().unwrap()
        };
        let nobody = Wide { newest: true, next: None, ..wide(0, false) };
        vec![
            ("workspace-access", draw(wide(A_PAGE as usize, false))),
            ("workspace-access-errors", draw(wide(1, true))),
            ("workspace-access-empty", draw(nobody)),
        ]
    }
}
