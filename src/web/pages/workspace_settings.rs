//! `/workspaces/{workspace}/settings`: its name, and the way to its end.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::workspace::{AtWorkspace, Head, Tab};
use crate::{
    access::{AccessError, Workspaces},
    model::{cluster::Removal, name::WorkspaceName},
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/workspace_settings.html")]
struct WorkspaceSettingsPage {
    frame: Frame,
    head: Head,
    here: String,
    name: String,
    errors: FieldErrors,
    presets: String,
    providers: String,
    /// Where it is deleted, as long as that can still be asked for.
    delete: Option<String>,
    given_up: bool,
}

/// The form, as it is typed.
#[derive(Debug, serde::Deserialize)]
pub struct Typed {
    name: String,
}

/// The page.
pub async fn get(at: AtWorkspace) -> Result<Response, PageError> {
    at.manage()?;
    let name = at.workspace().name.clone();
    Ok(page(&at, StatusCode::OK, name, FieldErrors::default()))
}

/// Gives it another name.
pub async fn post(
    at: AtWorkspace,
    State(workspaces): State<Workspaces>,
    ProtectedForm(typed): ProtectedForm<Typed>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    if let Some(name) = errors.keep("name", typed.name.parse::<WorkspaceName>()) {
        match workspaces.rename(&permit, name).await {
            Ok(()) => return Ok(Redirect::to(&paths::workspace_settings(at.id())).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(page(&at, StatusCode::UNPROCESSABLE_ENTITY, typed.name, errors))
}

fn page(at: &AtWorkspace, status: StatusCode, name: String, errors: FieldErrors) -> Response {
    let removing = at.workspace().removing;
    let page = WorkspaceSettingsPage {
        frame: at.frame(),
        head: at.head(Tab::Settings),
        here: paths::workspace_settings(at.id()),
        presets: paths::workspace_presets(at.id()),
        providers: paths::own_providers(at.id()),
        delete: (removing != Some(Removal::Leave)).then(|| paths::delete_workspace(at.id())),
        given_up: removing.is_some(),
        name,
        errors,
    };
    render_with(status, &page)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        samples::{HOSTILE, frame},
        workspace::tests::{head, workspace},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |name: &str, errors, removing| {
            let mut workspace = workspace(name);
            workspace.removing = removing;
            WorkspaceSettingsPage {
                frame: frame(),
                head: head(&workspace, Tab::Settings),
                here: "/s".into(),
                presets: "/p".into(),
                providers: "/o".into(),
                name: name.into(),
                errors,
                delete: Some("/d".into()),
                given_up: removing.is_some(),
            }
            .render()
            .unwrap()
        };
        let mut errors = FieldErrors::default();
        errors.add("name", HOSTILE);
        vec![
            ("workspace-settings", draw("Payments", FieldErrors::default(), None)),
            ("workspace-settings-wrong", draw(HOSTILE, errors, Some(Removal::Purge))),
        ]
    }
}
