//! `/presets` and `/workspaces/{workspace}/presets`: what new clusters take over, and making one.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{preset_form::PresetForm, workspace::AtWorkspace};
use crate::{
    access::{AccessError, Gate, Presets},
    model::preset::{Preset, PresetRules},
    oidc::Providers,
    policy::{Authorized, MakePreset},
    store::Store,
    web::{
        errors::{NextStep, PageError},
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, Nav, render_with},
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/presets.html")]
struct PresetsPage {
    frame: Frame,
    here: String,
    /// The workspace, or all of them.
    home: NextStep,
    about: &'static str,
    rows: Vec<Row>,
    /// Those of all workspaces, which count after the workspace's own.
    behind: Vec<Row>,
    form: PresetForm,
    providers: Vec<Choice>,
    claims: Vec<Choice>,
    errors: FieldErrors,
}

struct Row {
    /// Nothing for one that they may not change.
    href: Option<String>,
    name: String,
    facts: String,
}

/// Those of all workspaces.
pub async fn everywhere(
    who: SignedIn,
    State(gate): State<Gate>,
    State(store): State<Store>,
    State(providers): State<Providers>,
) -> Result<Response, PageError> {
    let permit = gate.make_preset(&who.person, None).await?;
    page(&who, &permit, &store, &providers, PresetForm::empty(&providers), FieldErrors::default()).await
}

/// Those of a workspace.
pub async fn of_workspace(
    at: AtWorkspace,
    State(gate): State<Gate>,
    State(store): State<Store>,
    State(providers): State<Providers>,
) -> Result<Response, PageError> {
    let permit = gate.make_preset(&at.who.person, Some(at.id())).await?;
    page(&at.who, &permit, &store, &providers, PresetForm::empty(&providers), FieldErrors::default()).await
}

/// Makes one of all workspaces.
pub async fn make_everywhere(
    who: SignedIn,
    State(gate): State<Gate>,
    State(store): State<Store>,
    State(presets): State<Presets>,
    State(providers): State<Providers>,
    ProtectedForm(form): ProtectedForm<PresetForm>,
) -> Result<Response, PageError> {
    let permit = gate.make_preset(&who.person, None).await?;
    make(&who, &permit, (&store, &presets, &providers), form).await
}

/// Makes one of a workspace.
pub async fn make_in_workspace(
    at: AtWorkspace,
    State(gate): State<Gate>,
    State(store): State<Store>,
    State(presets): State<Presets>,
    State(providers): State<Providers>,
    ProtectedForm(form): ProtectedForm<PresetForm>,
) -> Result<Response, PageError> {
    let permit = gate.make_preset(&at.who.person, Some(at.id())).await?;
    make(&at.who, &permit, (&store, &presets, &providers), form).await
}

async fn make(
    who: &SignedIn,
    permit: &Authorized<MakePreset>,
    (store, presets, providers): (&Store, &Presets, &Providers),
    form: PresetForm,
) -> Result<Response, PageError> {
    let mut errors = FieldErrors::default();
    if let Some(rules) = form.read(&mut errors) {
        match presets.add(permit, rules).await {
            Ok(id) => return Ok(Redirect::to(&paths::preset(id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(who, permit, store, providers, form, errors).await
}

async fn page(
    who: &SignedIn,
    permit: &Authorized<MakePreset>,
    store: &Store,
    providers: &Providers,
    form: PresetForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let workspace = permit.workspace();
    let own = store.presets_of(workspace.map(|workspace| workspace.id)).await?;
    let behind = if workspace.is_some() { store.presets_of(None).await? } else { Vec::new() };
    let admin = who.person.is_platform_admin();
    let page = PresetsPage {
        frame: Frame::new(who, Nav::Workspaces),
        here: workspace.map_or_else(|| paths::PRESETS.into(), |workspace| paths::workspace_presets(workspace.id)),
        home: workspace.map_or_else(
            || NextStep::new("All workspaces", paths::WORKSPACES),
            |workspace| NextStep::new(workspace.name.as_str(), paths::workspace_settings(workspace.id)),
        ),
        about: about(workspace.is_some()),
        rows: own.iter().map(|preset| row(preset, true)).collect(),
        behind: behind.iter().map(|preset| row(preset, admin)).collect(),
        providers: form.providers(providers),
        claims: form.claims(),
        form,
        errors,
    };
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(render_with(status, &page))
}

fn about(in_workspace: bool) -> &'static str {
    if in_workspace {
        "How clusters that are added to this workspace name the people of a provider. A preset of the workspace counts before one of all workspaces; of several that fit, the heaviest, then the first by name."
    } else {
        "How clusters that are added name the people of a provider. A workspace’s own presets count before these; of several that fit, the heaviest, then the first by name."
    }
}

fn row(preset: &Preset, may: bool) -> Row {
    Row {
        href: may.then(|| paths::preset(preset.id)),
        name: preset.rules.name.to_string(),
        facts: facts(&preset.rules),
    }
}

/// “clusters with env=prod · weight 5 · dex: users “corp:email”, groups “corp:groups””.
pub(super) fn facts(rules: &PresetRules) -> String {
    let on =
        if rules.selector.is_empty() { "every cluster".into() } else { format!("clusters with {}", rules.selector) };
    format!("{on} · weight {} · {}: {}", rules.weight, rules.provider, rules.mapping.in_words())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::samples::{HOSTILE, frame};

    /// A form with hostile text in each field.
    pub(in crate::web) fn hostile_form() -> PresetForm {
        PresetForm {
            name: HOSTILE.into(),
            labels: HOSTILE.into(),
            weight: HOSTILE.into(),
            provider: HOSTILE.into(),
            username_claim: "email".into(),
            username_prefix: HOSTILE.into(),
            groups_claim: HOSTILE.into(),
            groups_prefix: HOSTILE.into(),
        }
    }

    /// What can be wrong.
    pub(in crate::web) fn mistakes() -> FieldErrors {
        let mut errors = FieldErrors::default();
        for field in [
            "name",
            "labels",
            "weight",
            "provider",
            "username_claim",
            "username_prefix",
            "groups_claim",
            "groups_prefix",
        ] {
            errors.add(field, HOSTILE);
        }
        errors
    }

    /// The list with many, with mistakes, and empty.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize, form: PresetForm, errors: FieldErrors| {
            let row = |n: usize| Row {
                href: n.is_multiple_of(2).then(|| "/presets/x".into()),
                name: HOSTILE.into(),
                facts: HOSTILE.into(),
            };
            PresetsPage {
                frame: frame().at(Nav::Workspaces),
                here: "/workspaces/x/presets".into(),
                home: NextStep::new(HOSTILE, "/workspaces/x/settings"),
                about: about(true),
                rows: (0..rows).map(row).collect(),
                behind: (0..rows / 2).map(row).collect(),
                providers: vec![Choice::new("dex", HOSTILE, "dex")],
                claims: form.claims(),
                form,
                errors,
            }
            .render()
            .unwrap()
        };
        vec![
            ("presets", draw(50, PresetForm::default(), FieldErrors::default())),
            ("presets-wrong", draw(1, hostile_form(), mistakes())),
            ("presets-empty", draw(0, PresetForm::default(), FieldErrors::default())),
        ]
    }
}
