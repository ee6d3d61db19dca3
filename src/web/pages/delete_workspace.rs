//! `/workspaces/{workspace}/delete`: asks, naming all that goes; a POST asks for the deletion.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    workspace::{AtWorkspace, Head, Tab},
    workspaces,
};
use crate::{
    access::Workspaces,
    model::{
        cluster::{Cluster, Removal},
        id::ClusterId,
    },
    store::{Store, WorkspaceCounts},
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/delete_workspace.html")]
struct DeleteWorkspacePage {
    frame: Frame,
    head: Head,
    here: String,
    back: String,
    losses: Vec<Loss>,
    members: String,
    /// Whether its deletion has been asked for already, and only giving up is left.
    asked: bool,
    errors: FieldErrors,
}

/// What goes with one cluster.
struct Loss {
    name: String,
    words: String,
}

/// The form.
#[derive(Debug, serde::Deserialize)]
pub struct Typed {
    #[serde(default)]
    how: String,
}

/// Asks.
pub async fn get(at: AtWorkspace, State(store): State<Store>) -> Result<Response, PageError> {
    at.manage()?;
    page(&at, &store, StatusCode::OK, FieldErrors::default()).await
}

/// Asks for its deletion.
pub async fn post(
    at: AtWorkspace,
    State(store): State<Store>,
    State(workspaces): State<Workspaces>,
    ProtectedForm(typed): ProtectedForm<Typed>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let how = match typed.how.as_str() {
        "purge" => Removal::Purge,
        "leave" => Removal::Leave,
        _ => {
            let mut errors = FieldErrors::default();
            errors.add("how", "Choose what becomes of Kubelend’s bindings.");
            return page(&at, &store, StatusCode::UNPROCESSABLE_ENTITY, errors).await;
        }
    };
    workspaces.delete(&permit, how).await?;
    Ok(Redirect::to(paths::WORKSPACES).into_response())
}

async fn page(at: &AtWorkspace, store: &Store, status: StatusCode, errors: FieldErrors) -> Result<Response, PageError> {
    let clusters = store.clusters_in(&[at.id()]).await?;
    let ids: Vec<ClusterId> = clusters.iter().map(|c| c.id).collect();
    let holders = store.count_grantees(&ids, at.now).await?;
    let links = store.count_open_links(&ids, at.now).await?;
    let inside = store.count_in_workspaces(&[at.id()]).await?.pop().map(|(_, counts)| counts).unwrap_or_default();
    let of = |cluster: &Cluster| {
        let held =
            holders.iter().find(|(id, ..)| *id == cluster.id).map_or((0, 0), |(_, people, groups)| (*people, *groups));
        let open = links.iter().find(|(id, _)| *id == cluster.id).map_or(0, |(_, open)| *open);
        Loss { name: cluster.name.to_string(), words: loss(held, u64::try_from(open).unwrap_or_default()) }
    };
    let page = DeleteWorkspacePage {
        frame: at.frame(),
        head: at.head(Tab::Settings),
        here: paths::delete_workspace(at.id()),
        back: paths::workspace_settings(at.id()),
        losses: clusters.iter().map(of).collect(),
        members: members_lose(
            inside,
            store.projects_of(at.id()).await?.len(),
            store.groups_of(Some(at.id())).await?.len(),
        ),
        asked: at.workspace().removing.is_some(),
        errors,
    };
    Ok(render_with(status, &page))
}

/// “14 people and 2 groups have access · 3 open links”.
fn loss((people, groups): (u32, u32), links: u64) -> String {
    let holders: Vec<String> = [(people, "person"), (groups, "group")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| counted(n, noun))
        .collect();
    let held = match holders.as_slice() {
        [] => "nobody has access".to_owned(),
        _ => format!("{} {} access", holders.join(" and "), if people + groups == 1 { "loses" } else { "lose" }),
    };
    match links {
        0 => held,
        1 => format!("{held} · 1 open link no longer works"),
        several => format!("{held} · {several} open links no longer work"),
    }
}

fn members_lose(counts: WorkspaceCounts, projects: usize, groups: usize) -> String {
    let projects = match projects {
        0 => String::new(),
        1 => " Its project goes with it.".to_owned(),
        n => format!(" Its {n} projects go with it."),
    };
    let groups = match groups {
        0 => String::new(),
        1 => " Its group goes, too.".to_owned(),
        n => format!(" Its {n} groups go, too."),
    };
    format!("The workspace has {}.{projects}{groups} Its activity stays on record.", workspaces::members(counts))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        samples::{HOSTILE, LONG_NAME, frame},
        workspace::tests::{head, workspace},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |asked, losses, errors| {
            DeleteWorkspacePage {
                frame: frame(),
                head: head(&workspace(HOSTILE), Tab::Settings),
                here: "/d".into(),
                back: "/s".into(),
                losses,
                members: members_lose(WorkspaceCounts { clusters: 2, people: 1, groups: 0 }, 3, 2),
                asked,
                errors,
            }
            .render()
            .unwrap()
        };
        let loss = |name: &str| Loss { name: name.into(), words: loss((14, 2), 3) };
        let mut errors = FieldErrors::default();
        errors.add("how", HOSTILE);
        vec![
            ("delete-workspace", draw(false, vec![loss("staging"), loss(LONG_NAME)], FieldErrors::default())),
            ("delete-workspace-empty", draw(false, vec![], errors)),
            ("delete-workspace-again", draw(true, vec![loss("staging")], FieldErrors::default())),
        ]
    }

    #[test]
    fn what_goes_is_named_with_how_much_of_it() {
        assert_eq!(loss((14, 2), 3), "14 people and 2 groups lose access · 3 open links no longer work");
        assert_eq!(loss((1, 0), 1), "1 person loses access · 1 open link no longer works");
        assert_eq!(loss((0, 0), 0), "nobody has access");
    }
}
