//! Access as a file, as `kubelend apply` takes it: of a workspace, for whoever may look at it, and of all, for platform admins.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::workspace::AtWorkspace;
use crate::{
    access::{AccessError, Exports, Gate},
    model::federation::WideScope,
    web::{errors::PageError, session::SignedIn},
};

/// A workspace's file.
pub async fn of_workspace(at: AtWorkspace, State(exports): State<Exports>) -> Result<Response, PageError> {
    answer(exports.workspace(&at.seen).await)
}

/// The file of all.
pub async fn everywhere(
    who: SignedIn,
    State(gate): State<Gate>,
    State(exports): State<Exports>,
) -> Result<Response, PageError> {
    let permit = gate.view_reach(&who.person, WideScope::Global).await?;
    answer(exports.everything(&permit).await)
}

fn answer(file: Result<String, AccessError>) -> Result<Response, PageError> {
    match file {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"access.yaml\""),
            ];
            Ok((headers, text).into_response())
        }
        Err(AccessError::Invalid { message, .. }) => {
            let text = format!("{message} Take the file of one workspace after the other.");
            Err(PageError::new(StatusCode::PAYLOAD_TOO_LARGE, "That is too much for one file", text))
        }
        Err(other) => Err(other.into()),
    }
}
