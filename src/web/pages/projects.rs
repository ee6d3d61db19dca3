//! `/workspaces/{workspace}/projects`: a workspace's projects, and making one.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    listing::{self, Asked, Listing},
    project_form::{ProjectForm, on_words},
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, Federation},
    model::{
        cluster::Cluster,
        id::WorkspaceId,
        project::{Project, Takes},
    },
    store::Store,
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/projects.html")]
struct ProjectsPage {
    frame: Frame,
    head: Head,
    here: String,
    rows: Vec<Row>,
    listing: Listing,
    may_change: bool,
    form: ProjectForm,
    clusters: Vec<Cluster>,
    errors: FieldErrors,
}

struct Row {
    href: String,
    name: String,
    facts: String,
}

/// The list.
pub async fn get(
    at: AtWorkspace,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    page(&at, &store, asked, ProjectForm::default(), FieldErrors::default()).await
}

/// Makes one.
pub async fn post(
    at: AtWorkspace,
    State(store): State<Store>,
    State(federation): State<Federation>,
    ProtectedForm(form): ProtectedForm<ProjectForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let mut errors = FieldErrors::default();
    if let Some((name, namespace, placement)) = form.read(&mut errors) {
        match federation.add_project(&permit, name, namespace, placement, Takes::default()).await {
            Ok(id) => return Ok(Redirect::to(&paths::project(at.id(), id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&at, &store, Asked::default(), form, errors).await
}

/// A workspace's clusters, by name.
pub(super) async fn clusters_in(store: &Store, workspace: WorkspaceId) -> Result<Vec<Cluster>, PageError> {
    Ok(store.clusters_in(&[workspace]).await?)
}

async fn page(
    at: &AtWorkspace,
    store: &Store,
    asked: Asked,
    form: ProjectForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let clusters = clusters_in(store, at.id()).await?;
    let projects = store.projects_of(at.id()).await?;
    let fits = |asked: &Asked, project: &Project| asked.fits([project.name.as_str(), project.namespace.as_str()]);
    let (projects, listing) =
        listing::cut(projects, fits, ("project", listing::A_PAGE), asked, paths::projects(at.id()));
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = ProjectsPage {
        frame: at.frame(),
        head: at.head(Tab::Projects),
        here: paths::projects(at.id()),
        rows: projects.iter().map(|project| row(project, &clusters)).collect(),
        listing,
        may_change: at.manage_access().is_ok() && at.workspace().removing.is_none(),
        form,
        clusters,
        errors,
    };
    Ok(render_with(status, &page))
}

fn row(project: &Project, clusters: &[Cluster]) -> Row {
    let on = clusters.iter().filter(|cluster| project.is_on(cluster)).count();
    Row {
        href: paths::project(project.workspace, project.id),
        name: project.name.to_string(),
        facts: format!(
            "namespace {} · {} · {} now",
            project.namespace,
            on_words(&project.placement),
            counted(u64::try_from(on).unwrap_or_default(), "cluster")
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::project::Labels,
        web::{
            frame::Nav,
            pages::{
                cluster::tests::cluster,
                samples::{HOSTILE, LONG_NAME, frame},
                workspace::tests::{head, workspace},
            },
        },
    };

    /// Clusters to choose from.
    pub(in crate::web) fn clusters() -> Vec<Cluster> {
        let labels: Labels = "env=production, team=shop".parse().unwrap();
        (0..20).map(|_| Cluster { labels: labels.clone(), ..cluster(LONG_NAME) }).collect()
    }

    /// The list with many, with mistakes, and empty.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize, wrong: bool, may_change: bool| {
            let mut errors = FieldErrors::default();
            if wrong {
                for field in ["name", "namespace", "on", "labels", "clusters"] {
                    errors.add(field, HOSTILE);
                }
            }
            let row = |_| Row { href: "/workspaces/x/projects/y".into(), name: HOSTILE.into(), facts: HOSTILE.into() };
            let (here, asked) = ("/workspaces/x/projects".to_owned(), Asked::default());
            let rows = (0..rows).map(row).collect();
            let (rows, listing) = listing::cut(rows, |_, _| true, ("project", listing::A_PAGE), asked, here.clone());
            let page = ProjectsPage {
                frame: frame().at(Nav::Workspaces),
                head: head(&workspace(HOSTILE), Tab::Projects),
                here,
                rows,
                listing,
                may_change,
                form: ProjectForm { name: HOSTILE.into(), labels: HOSTILE.into(), ..ProjectForm::default() },
                clusters: clusters(),
                errors,
            };
            page.render().unwrap()
        };
        vec![
            ("projects", draw(300, false, true)),
            ("projects-errors", draw(1, true, true)),
            ("projects-empty", draw(0, false, false)),
        ]
    }
}
