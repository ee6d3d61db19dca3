//! `/workspaces/create`: makes a workspace, with its maker as owner.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    access::{AccessError, Workspaces},
    model::name::WorkspaceName,
    policy,
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, Nav, render, render_with},
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/create_workspace.html")]
struct CreateWorkspacePage {
    frame: Frame,
    action: &'static str,
    back: &'static str,
    name: String,
    errors: FieldErrors,
}

/// The form, as it is typed.
#[derive(Debug, serde::Deserialize)]
pub struct Typed {
    name: String,
}

/// The form.
pub async fn get(who: SignedIn) -> Result<Response, PageError> {
    policy::create_workspace(&who.person)?;
    Ok(render(&page(&who, String::new(), FieldErrors::default())))
}

/// Makes it; what is wrong with the name is said at its field.
pub async fn post(
    who: SignedIn,
    State(workspaces): State<Workspaces>,
    ProtectedForm(typed): ProtectedForm<Typed>,
) -> Result<Response, PageError> {
    let permit = policy::create_workspace(&who.person)?;
    let mut errors = FieldErrors::default();
    if let Some(name) = errors.keep("name", typed.name.parse::<WorkspaceName>()) {
        match workspaces.create(&permit, name).await {
            Ok(id) => return Ok(Redirect::to(&paths::workspace(id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(render_with(StatusCode::UNPROCESSABLE_ENTITY, &page(&who, typed.name, errors)))
}

fn page(who: &SignedIn, name: String, errors: FieldErrors) -> CreateWorkspacePage {
    CreateWorkspacePage {
        frame: Frame::new(who, Nav::Workspaces),
        action: paths::CREATE_WORKSPACE,
        back: paths::WORKSPACES,
        name,
        errors,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::samples::{HOSTILE, frame};

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |name: &str, errors| {
            let (action, back) = (paths::CREATE_WORKSPACE, paths::WORKSPACES);
            CreateWorkspacePage { frame: frame(), action, back, name: name.into(), errors }.render().unwrap()
        };
        let mut errors = FieldErrors::default();
        errors.add("name", HOSTILE);
        vec![("create-workspace", draw("", FieldErrors::default())), ("create-workspace-wrong", draw(HOSTILE, errors))]
    }
}
