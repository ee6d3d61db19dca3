//! `/groups/{group}/settings`: a Group's name, who changes it, and its end, which names all that goes with it.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    group::held_in_words,
    group_home::AtGroup,
    groups::{GroupForm, OWNERS, keep_choices},
    workspace::Head,
};
use crate::{
    access::{AccessError, Groups},
    model::group::GroupName,
    store::Store,
    web::{
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
    },
};

/// How many of what goes are named.
const NAMED: usize = 20;

#[derive(Template)]
#[template(path = "pages/group_settings.html")]
struct SettingsPage {
    frame: Frame,
    head: Option<Head>,
    here: String,
    back: String,
    delete: String,
    name: String,
    form: GroupForm,
    /// Who may change it, where they can choose.
    keeps: Vec<Choice>,
    errors: FieldErrors,
    asking: bool,
    members: String,
    losses: Vec<String>,
    more: usize,
}

/// Whether its end is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    delete: String,
}

/// The page.
pub async fn get(at: AtGroup, Query(asked): Query<Asked>, State(store): State<Store>) -> Result<Response, PageError> {
    let form = GroupForm {
        name: at.group().name.to_string(),
        keep: if at.group().owners_only { OWNERS.into() } else { String::new() },
    };
    page(&at, &store, form, FieldErrors::default(), !asked.delete.is_empty()).await
}

/// Gives it another name, and says who changes it.
pub async fn post(
    at: AtGroup,
    State(store): State<Store>,
    State(groups): State<Groups>,
    ProtectedForm(form): ProtectedForm<GroupForm>,
) -> Result<Response, PageError> {
    let (permit, mut errors) = (at.manage()?, FieldErrors::default());
    // Whoever is not asked who changes it leaves that as it is.
    let owners_only = if offers_keeping(&at) { form.keep == OWNERS } else { at.group().owners_only };
    if let Some(name) = errors.keep("name", form.name.parse::<GroupName>()) {
        match groups.change(&permit, &name, owners_only).await {
            Ok(()) => return Ok(Redirect::to(&paths::group(at.id())).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&at, &store, form, errors, false).await
}

/// Deletes it.
pub async fn delete(
    at: AtGroup,
    State(groups): State<Groups>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    groups.remove(&at.manage()?).await?;
    Ok(Redirect::to(&at.home.list()).into_response())
}

fn offers_keeping(at: &AtGroup) -> bool {
    at.home.workspace().is_some() && at.manage().is_ok_and(|permit| permit.as_owner())
}

async fn page(
    at: &AtGroup,
    store: &Store,
    form: GroupForm,
    errors: FieldErrors,
    asking: bool,
) -> Result<Response, PageError> {
    at.manage()?;
    let held = store.grants_to_group(at.id()).await?;
    let mut losses: Vec<String> =
        held_in_words(store, &held, at.home.now()).await?.iter().map(super::group::Held::in_words).collect();
    losses.extend(store.seats_of(at.id()).await?.into_iter().map(|seat| format!("what they are as members: {seat}")));
    let more = losses.len().saturating_sub(NAMED);
    losses.truncate(NAMED);
    let members = store.group_members(at.id()).await?.len();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = SettingsPage {
        frame: at.home.frame(),
        head: at.home.head(),
        here: paths::group_settings(at.id()),
        back: paths::group(at.id()),
        delete: paths::delete_group(at.id()),
        name: at.group().name.to_string(),
        keeps: if offers_keeping(at) { keep_choices(&form.keep) } else { Vec::new() },
        form,
        errors,
        asking,
        members: counted(u64::try_from(members).unwrap_or_default(), "member"),
        losses,
        more,
    };
    Ok(render_with(status, &page))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::{
        frame::Nav,
        pages::{
            group::tests::sample_reach,
            samples::{HOSTILE, frame},
            workspace::{
                Tab,
                tests::{head, workspace},
            },
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |asking: bool, wrong: bool, held: usize| {
            let mut errors = FieldErrors::default();
            if wrong {
                for field in ["name", "keep"] {
                    errors.add(field, HOSTILE);
                }
            }
            let page = SettingsPage {
                frame: frame().at(Nav::Workspaces),
                head: Some(head(&workspace(HOSTILE), Tab::Groups)),
                here: "/groups/x/settings".into(),
                back: "/groups/x".into(),
                delete: "/groups/x/delete".into(),
                name: "x".repeat(60),
                form: GroupForm { name: HOSTILE.into(), keep: OWNERS.into() },
                keeps: keep_choices(OWNERS),
                errors,
                asking,
                members: "500 members".into(),
                losses: sample_reach(held).iter().map(crate::web::pages::group::Held::in_words).collect(),
                more: held,
            };
            page.render().unwrap()
        };
        vec![
            ("group-settings", draw(false, false, 0)),
            ("group-settings-errors", draw(false, true, 0)),
            ("group-delete", draw(true, false, NAMED)),
            ("group-delete-empty", draw(true, false, 0)),
        ]
    }
}
