//! `/access`: who has a role on every cluster of every workspace; giving it. For platform admins.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    wide_access::{Desk, Wanted, Wide},
    wide_form::WideForm,
};
use crate::{
    access::Gate,
    model::{federation::WideScope, id::FederatedGrantId},
    policy::{self, Reach},
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, Nav, render_with},
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/global_access.html")]
struct GlobalAccessPage {
    frame: Frame,
    wide: Wide,
}

/// Which page.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    before: Option<FederatedGrantId>,
}

/// The page.
pub async fn get(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
) -> Result<Response, PageError> {
    gate.view_reach(&who.person, WideScope::Global).await?;
    page(&desk, &who, asked.before, WideForm::default(), FieldErrors::default()).await
}

/// Gives access on every cluster.
pub async fn post(
    who: SignedIn,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<WideForm>,
) -> Result<Response, PageError> {
    let permit = gate.manage_reach(&who.person, WideScope::Global).await?;
    let mut errors = FieldErrors::default();
    if desk.give(&permit, &form, &mut errors).await?.is_some() {
        return Ok(Redirect::to(paths::GLOBAL_ACCESS).into_response());
    }
    page(&desk, &who, None, form, errors).await
}

async fn page(
    desk: &Desk,
    who: &SignedIn,
    before: Option<FederatedGrantId>,
    form: WideForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let frame = Frame::new(who, Nav::Workspaces);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let wanted = Wanted {
        scope: WideScope::Global,
        here: paths::GLOBAL_ACCESS.into(),
        place: "on every cluster".into(),
        csrf: &frame.csrf,
        gives: policy::manage_reach(&who.person, Reach::Global, None).ok(),
        before,
        form,
        errors,
    };
    let wide = desk.wide(wanted, desk.clock.now()).await?;
    Ok(render_with(status, &GlobalAccessPage { frame, wide }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{samples::frame, wide_access::tests::wide};

    /// The page with some rows.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let page = GlobalAccessPage { frame: frame().at(Nav::Workspaces), wide: wide(3, false) };
        vec![("global-access", page.render().unwrap())]
    }
}
