//! `/workspaces/{workspace}/providers`: the providers that are a workspace's own, and adding one.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    own_provider_form::OwnProviderForm,
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, OwnProviders},
    model::own_provider::{OwnPrefix, OwnProvider},
    oidc::Purpose,
    store::Store,
    web::{
        WebSettings,
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/own_providers.html")]
struct OwnProvidersPage {
    frame: Frame,
    head: Head,
    here: String,
    /// Where their people sign in.
    sign_in: String,
    rows: Vec<Row>,
    /// How people of the first one will be named, for example.
    users: String,
    groups: String,
    /// Whether one can be added.
    open: bool,
    form: OwnProviderForm,
    claims: Vec<Choice>,
    errors: FieldErrors,
}

struct Row {
    href: String,
    name: String,
    facts: String,
}

/// The list and the form.
pub async fn get(
    at: AtWorkspace,
    State(store): State<Store>,
    State(settings): State<Arc<WebSettings>>,
) -> Result<Response, PageError> {
    at.manage()?;
    page(&at, &store, &settings, OwnProviderForm::default(), FieldErrors::default()).await
}

/// Adds one.
pub async fn post(
    at: AtWorkspace,
    State(own): State<OwnProviders>,
    State(store): State<Store>,
    State(settings): State<Arc<WebSettings>>,
    ProtectedForm(form): ProtectedForm<OwnProviderForm>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    if let Some(request) = form.request(&mut errors) {
        match own.add(&permit, request).await {
            Ok(id) => return Ok(Redirect::to(&paths::own_provider(at.id(), &id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&at, &store, &settings, form, errors).await
}

async fn page(
    at: &AtWorkspace,
    store: &Store,
    settings: &WebSettings,
    form: OwnProviderForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let all = store.own_providers_of(at.id()).await?;
    let prefix = OwnPrefix::of(&at.workspace().name, 0);
    let page = OwnProvidersPage {
        frame: at.frame(),
        head: at.head(Tab::Settings),
        here: paths::own_providers(at.id()),
        sign_in: sign_in_address(at, settings)?,
        rows: all.iter().map(row).collect(),
        users: prefix.users(),
        groups: prefix.groups(),
        open: at.workspace().removing.is_none(),
        claims: form.claims(),
        form,
        errors,
    };
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(render_with(status, &page))
}

/// Where the people of a workspace's own providers sign in, to bookmark: the general page does not name them.
pub(super) fn sign_in_address(at: &AtWorkspace, settings: &WebSettings) -> Result<String, PageError> {
    let path = paths::sign_in_at(at.id(), paths::HOME, Purpose::Pages);
    settings.public_url.join(&path).map(String::from).map_err(PageError::internal)
}

fn row(provider: &OwnProvider) -> Row {
    let off = if provider.off_since.is_some() { "switched off · " } else { "" };
    Row {
        href: paths::own_provider(provider.workspace, &provider.id),
        name: provider.rules.name.to_string(),
        facts: format!("{off}{} · {}", provider.issuer, provider.mapping().in_words()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        samples::{HOSTILE, frame},
        workspace::tests::{head, workspace},
    };

    /// A form with hostile text in each field.
    pub(in crate::web) fn hostile_form() -> OwnProviderForm {
        OwnProviderForm {
            name: HOSTILE.into(),
            issuer: HOSTILE.into(),
            client_id: HOSTILE.into(),
            direct_client_id: HOSTILE.into(),
            scopes: HOSTILE.into(),
            groups_claim: HOSTILE.into(),
            ca: HOSTILE.into(),
            ..OwnProviderForm::default()
        }
    }

    /// What can be wrong.
    pub(in crate::web) fn mistakes() -> FieldErrors {
        let mut errors = FieldErrors::default();
        for field in [
            "name",
            "issuer",
            "client_id",
            "secret",
            "direct_client_id",
            "scopes",
            "username_claim",
            "groups_claim",
            "ca",
        ] {
            errors.add(field, HOSTILE);
        }
        errors
    }

    /// The list with some, with mistakes, and empty.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize, form: OwnProviderForm, errors: FieldErrors| {
            let row = |_| Row { href: "/o".into(), name: HOSTILE.into(), facts: HOSTILE.into() };
            OwnProvidersPage {
                frame: frame(),
                head: head(&workspace(HOSTILE), Tab::Settings),
                here: "/o".into(),
                sign_in: "https://lend.example/sign-in?workspace=x".into(),
                rows: (0..rows).map(row).collect(),
                users: "payments:".into(),
                groups: "oidc:payments:".into(),
                open: true,
                claims: form.claims(),
                form,
                errors,
            }
            .render()
            .unwrap()
        };
        vec![
            ("own-providers", draw(5, OwnProviderForm::default(), FieldErrors::default())),
            ("own-providers-wrong", draw(1, hostile_form(), mistakes())),
            ("own-providers-empty", draw(0, OwnProviderForm::default(), FieldErrors::default())),
        ]
    }
}
