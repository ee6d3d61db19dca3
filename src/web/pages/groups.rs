//! `/groups` and `/workspaces/{workspace}/groups`: the Groups that there are, and making one.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    group_home::Home,
    workspace::{AtWorkspace, Head},
};
use crate::{
    access::{AccessError, Gate, Groups},
    clock::Clock,
    model::{
        group::{Group, GroupName},
        id::GroupId,
    },
    policy::{Authorized, MakeGroup},
    store::{GroupCounts, Store},
    web::{
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/groups.html")]
struct GroupsPage {
    frame: Frame,
    head: Option<Head>,
    here: String,
    /// What they are for, in a sentence.
    about: &'static str,
    rows: Vec<Row>,
    may_make: bool,
    /// Who may change it, where that can be chosen.
    keeps: Vec<Choice>,
    form: GroupForm,
    errors: FieldErrors,
    next: Option<String>,
    newest: bool,
}

/// How many a page lists.
const A_PAGE: usize = 60;

/// Which page.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    page: usize,
}

struct Row {
    href: String,
    name: String,
    facts: String,
}

/// The form of a Group's name and of who changes it, as it is typed.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct GroupForm {
    /// The name.
    pub name: String,
    /// `owners`, or anything else for editors, too.
    pub keep: String,
}

/// What `keep` says where owners alone change it.
pub(super) const OWNERS: &str = "owners";

/// The choices of who changes a Group.
pub(super) fn keep_choices(chosen: &str) -> Vec<Choice> {
    let chosen = if chosen.is_empty() { "editors" } else { chosen };
    vec![Choice::new("editors", "owners and editors", chosen), Choice::new(OWNERS, "owners only", chosen)]
}

/// The list of a workspace.
pub async fn of_workspace(
    at: AtWorkspace,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    page(&Home::Workspace(Box::new(at)), &store, asked.page, GroupForm::default(), FieldErrors::default()).await
}

/// The list of those of all workspaces.
pub async fn everywhere(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(gate): State<Gate>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    // Whoever sees them may make them.
    gate.make_group(&who.person, None).await?;
    page(
        &Home::Everywhere(Box::new(who), clock.now()),
        &store,
        asked.page,
        GroupForm::default(),
        FieldErrors::default(),
    )
    .await
}

/// Makes one in a workspace.
pub async fn make_in_workspace(
    at: AtWorkspace,
    State(store): State<Store>,
    State(groups): State<Groups>,
    ProtectedForm(form): ProtectedForm<GroupForm>,
) -> Result<Response, PageError> {
    make(&Home::Workspace(Box::new(at)), &store, &groups, form).await
}

/// Makes one of all workspaces.
pub async fn make_everywhere(
    who: SignedIn,
    State(store): State<Store>,
    State(groups): State<Groups>,
    State(clock): State<Clock>,
    ProtectedForm(form): ProtectedForm<GroupForm>,
) -> Result<Response, PageError> {
    make(&Home::Everywhere(Box::new(who), clock.now()), &store, &groups, form).await
}

async fn make(home: &Home, store: &Store, groups: &Groups, form: GroupForm) -> Result<Response, PageError> {
    let (permit, mut errors) = (home.make()?, FieldErrors::default());
    if let Some(name) = errors.keep("name", form.name.parse::<GroupName>()) {
        match groups.create(&permit, name, form.keep == OWNERS).await {
            Ok(id) => return Ok(Redirect::to(&paths::group(id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(home, store, 0, form, errors).await
}

async fn page(
    home: &Home,
    store: &Store,
    number: usize,
    form: GroupForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let all = store.groups_of(home.workspace()).await?;
    let (from, to) = (number.saturating_mul(A_PAGE), number.saturating_add(1));
    let groups = all.get(from..).unwrap_or_default();
    let groups = groups.get(..A_PAGE).unwrap_or(groups);
    let counts = store.group_counts(&groups.iter().map(|group| group.id).collect::<Vec<_>>()).await?;
    let permit = home.make().ok();
    let owner = permit.as_ref().is_some_and(Authorized::<MakeGroup>::as_owner);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = GroupsPage {
        frame: home.frame(),
        head: home.head(),
        here: home.list(),
        about: about(home.workspace().is_some()),
        rows: groups.iter().map(|group| row(home, group, &counts)).collect(),
        may_make: permit.is_some(),
        keeps: if owner && home.workspace().is_some() { keep_choices(&form.keep) } else { Vec::new() },
        next: (all.len() > to.saturating_mul(A_PAGE)).then(|| format!("{}?page={to}", home.list())),
        newest: number == 0,
        form,
        errors,
    };
    Ok(render_with(status, &page))
}

fn about(in_workspace: bool) -> &'static str {
    if in_workspace {
        "Named sets of people and provider groups. Access is given to one as to a person, on this workspace’s clusters and in its projects."
    } else {
        "Named sets of people and provider groups that every workspace can give access to. Platform admins alone see them whole and change them."
    }
}

fn row(home: &Home, group: &Group, counts: &[(GroupId, GroupCounts)]) -> Row {
    let counts = counts.iter().find(|(id, _)| *id == group.id).map(|(_, counts)| *counts).unwrap_or_default();
    let (members, grants) = (counted(counts.members, "member"), counted(counts.grants, "grant"));
    Row {
        href: paths::group(group.id),
        name: group.name.to_string(),
        facts: format!("{members} · {grants} · {}", home.keepers(group.owners_only)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::{
        frame::Nav,
        pages::{
            samples::{HOSTILE, frame},
            workspace::{
                Tab,
                tests::{head, workspace},
            },
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize, wrong: bool, of_workspace: bool, may_make: bool| {
            let mut errors = FieldErrors::default();
            if wrong {
                for field in ["name", "keep"] {
                    errors.add(field, HOSTILE);
                }
            }
            let row = |_| Row { href: "/groups/x".into(), name: "x".repeat(60), facts: HOSTILE.into() };
            let page = GroupsPage {
                frame: frame().at(Nav::Workspaces),
                head: of_workspace.then(|| head(&workspace(HOSTILE), Tab::Groups)),
                here: "/groups".into(),
                about: about(of_workspace),
                rows: (0..rows).map(row).collect(),
                may_make,
                keeps: if of_workspace { keep_choices(OWNERS) } else { vec![] },
                form: GroupForm { name: HOSTILE.into(), ..GroupForm::default() },
                errors,
                next: (rows == A_PAGE).then(|| "/groups?page=1".into()),
                newest: true,
            };
            page.render().unwrap()
        };
        vec![
            ("groups", draw(A_PAGE, false, true, true)),
            ("groups-errors", draw(1, true, true, true)),
            ("groups-empty", draw(0, false, true, false)),
            ("groups-everywhere", draw(3, false, false, true)),
        ]
    }
}
