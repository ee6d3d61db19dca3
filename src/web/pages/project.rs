//! `/workspaces/{workspace}/projects/{project}`: where a project is, who has access in it, changing and removing it.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    at_project::{AtProject, ProjectHead, ProjectTab},
    project_form::{ProjectForm, on_words},
    projects::clusters_in,
    wide_access::{Desk, Wanted, Wide},
    wide_form::WideForm,
    workspace::{AtWorkspace, Head},
};
use crate::{
    access::{AccessError, Gate},
    model::{
        cluster::Cluster,
        federation::WideScope,
        id::{FederatedGrantId, ProjectId},
        project::{MadeNamespace, Project},
        time::Timestamp,
    },
    store::StoreError,
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::within,
        paths,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/project.html")]
struct ProjectPage {
    frame: Frame,
    head: Head,
    own: ProjectHead,
    here: String,
    name: String,
    namespace: String,
    on: String,
    on_now: Vec<OnCluster>,
    may_change: bool,
    asking: bool,
    form: ProjectForm,
    clusters: Vec<Cluster>,
    errors: FieldErrors,
    /// Whether Kubelend makes the namespace where it is missing.
    makes: bool,
    made: Vec<Made>,
    /// How many it has made besides.
    more_made: usize,
    /// Those of them that this page has room for.
    others: Vec<Other>,
    /// The command for one of them, whose UID is to be put in.
    delete_other: String,
    /// The page with the next ones.
    next: Option<String>,
    wide: Wide,
}

struct OnCluster {
    name: String,
    /// Its access page, for those who look at the workspace.
    href: Option<String>,
}

/// A namespace that Kubelend made, and how somebody deletes it: exactly that one.
struct Made {
    id: String,
    on: String,
    at: When,
    delete: String,
}

/// One of the others, folded away: the same command with its UID.
struct Other {
    on: String,
    uid: String,
}

/// How many of them stand with their commands.
const MADE: usize = 3;
/// How many bytes of a page the others take, and how many each takes besides its name and UID.
const ROOM: usize = 4608;
const AROUND: usize = 44;

/// Whether its namespace is made where it is missing: a box.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct NamespaceForm {
    make: String,
}

/// The project of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct ProjectPath {
    project: ProjectId,
}

/// Which page of its access, and whether its removal is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    before: Option<FederatedGrantId>,
    remove: String,
    /// How many of the namespaces that were made stand on pages before this one.
    made: usize,
}

/// What a page of it shows besides.
#[derive(Default)]
struct Shown {
    asked: Asked,
    /// The form as it was typed, where it was.
    change: Option<ProjectForm>,
    change_errors: FieldErrors,
    give: WideForm,
    give_errors: FieldErrors,
}

/// The page.
pub async fn get(at: AtProject, Query(asked): Query<Asked>, State(desk): State<Desk>) -> Result<Response, PageError> {
    page(&desk, &at, Shown { asked, ..Shown::default() }).await
}

/// Gives access in it.
pub async fn post(
    at: AtProject,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<WideForm>,
) -> Result<Response, PageError> {
    let project = at.project().id;
    let permit = gate.manage_reach(&at.who.person, WideScope::Project(project)).await?;
    let mut errors = FieldErrors::default();
    if desk.give(&permit, &form, &mut errors).await?.is_some() {
        return Ok(Redirect::to(&paths::project(at.workspace().id, project)).into_response());
    }
    page(&desk, &at, Shown { give: form, give_errors: errors, ..Shown::default() }).await
}

/// Changes its name and where it is.
pub async fn change(
    at: AtProject,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<ProjectForm>,
) -> Result<Response, PageError> {
    let project = at.project().id;
    let permit = gate.manage_project(&at.who.person, project).await?;
    let mut errors = FieldErrors::default();
    if let Some((name, placement)) = form.change(&mut errors) {
        match desk.federation.change_project(&permit, &name, &placement).await {
            Ok(()) => return Ok(Redirect::to(&paths::project(at.workspace().id, project)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&desk, &at, Shown { change: Some(form), change_errors: errors, ..Shown::default() }).await
}

/// Says whether its namespace is made where it is missing.
pub async fn namespace(
    at: AtProject,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<NamespaceForm>,
) -> Result<Response, PageError> {
    let permit = gate.manage_project(&at.who.person, at.project().id).await?;
    match desk.federation.make_namespaces(&permit, !form.make.is_empty()).await {
        Ok(()) => Ok(Redirect::to(&paths::project(at.workspace().id, at.project().id)).into_response()),
        Err(AccessError::Invalid { field, message }) => {
            let mut change_errors = FieldErrors::default();
            change_errors.add(field, message);
            page(&desk, &at, Shown { change_errors, ..Shown::default() }).await
        }
        Err(other) => Err(other.into()),
    }
}

/// Removes it.
pub async fn remove(
    at: AtWorkspace,
    Path(ProjectPath { project }): Path<ProjectPath>,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    let done = match gate.manage_project(&at.who.person, project).await {
        Ok(permit) if permit.workspace().id == at.id() => desk.federation.remove_project(&permit).await,
        Ok(_) => Err(AccessError::NotFound),
        Err(why) => Err(why),
    };
    match done {
        // Removed already: the same as now.
        Ok(()) | Err(AccessError::NotFound | AccessError::Store(StoreError::NotFound)) => {
            Ok(Redirect::to(&paths::projects(at.id())).into_response())
        }
        Err(other) => Err(other.into()),
    }
}

async fn page(desk: &Desk, at: &AtProject, shown: Shown) -> Result<Response, PageError> {
    let (project, workspace) = (at.project(), at.workspace().id);
    let frame = at.frame();
    let may_change = at.manage().is_some();
    let good = shown.change_errors.is_empty() && shown.give_errors.is_empty();
    let status = if good { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let wanted = Wanted {
        scope: WideScope::Project(project.id),
        here: paths::project(workspace, project.id),
        place: format!("in {}", project.name),
        csrf: &frame.csrf,
        gives: at.manage_reach(),
        before: shown.asked.before,
        form: shown.give,
        errors: shown.give_errors,
    };
    let clusters = clusters_in(&desk.store, workspace).await?;
    let made = desk.store.made_namespaces(project.id).await?;
    let (first, others, next) = on_this_page(&made, shown.asked.made);
    let page = ProjectPage {
        wide: desk.wide(wanted, at.now).await?,
        frame,
        head: at.head(),
        own: at.own_head(ProjectTab::Access),
        here: paths::project(workspace, project.id),
        name: project.name.to_string(),
        namespace: project.namespace.to_string(),
        on: on_words(&project.placement),
        on_now: on_now(project, &clusters, at.seen.sees_workspace()),
        may_change,
        asking: may_change && !shown.asked.remove.is_empty(),
        form: shown.change.unwrap_or_else(|| ProjectForm::from(project)),
        clusters,
        errors: shown.change_errors,
        makes: project.makes_namespace,
        more_made: made.len() - first.len(),
        made: first.iter().map(|one| made_one(project, one, at.now)).collect(),
        next: next.map(|n| format!("{}?remove=yes&made={n}#remove", paths::project(workspace, project.id))),
        delete_other: format!("uid=UID\n{}", delete(project, "$uid", "EOF")),
        others,
    };
    Ok(render_with(status, &page))
}

/// Deleting by UID: one that somebody made anew under the name stays.
fn made_one(project: &Project, made: &MadeNamespace, now: Timestamp) -> Made {
    Made {
        id: format!("delete-{}", made.cluster),
        on: made.on.to_string(),
        at: When::new(made.at, now),
        delete: delete(project, &plain(&made.uid), "'EOF'"),
    }
}

/// Of the namespaces that were made, those with their commands, those that are folded away, and where the next page begins.
fn on_this_page(made: &[MadeNamespace], before: usize) -> (&[MadeNamespace], Vec<Other>, Option<usize>) {
    let before = before.min(made.len());
    let (first, rest) = made[before..].split_at(MADE.min(made.len() - before));
    let rest: Vec<Other> = rest.iter().map(|one| Other { on: one.on.to_string(), uid: plain(&one.uid) }).collect();
    let (others, left) = within(rest, ROOM, |other| other.on.len() + other.uid.len() + AROUND);
    (first, others, (left > 0).then(|| made.len() - left))
}

/// Nothing that a shell reads.
fn plain(uid: &str) -> String {
    uid.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// `mark` says whether the shell puts in what `uid` names.
fn delete(project: &Project, uid: &str, mark: &str) -> String {
    let options = format!(r#"{{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{{"uid":"{uid}"}}}}"#);
    format!("kubectl delete --raw /api/v1/namespaces/{} -f - <<{mark}\n{options}\nEOF", project.namespace)
}

fn on_now(project: &Project, clusters: &[Cluster], linked: bool) -> Vec<OnCluster> {
    let on = clusters.iter().filter(|cluster| project.is_on(cluster));
    on.map(|c| OnCluster { name: c.name.to_string(), href: linked.then(|| paths::access(c.id)) }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        projects::tests::clusters,
        samples::{HOSTILE, LONG_NAME, NOW, frame},
        wide_access::tests::wide,
        workspace::{
            Tab,
            tests::{head, workspace},
        },
    };
    use crate::{
        model::{
            id::{ClusterId, IdentityId, WorkspaceId},
            project::{Placement, Takes},
        },
        web::frame::Nav,
    };

    /// A project to draw.
    pub(in crate::web) fn project(name: &str) -> Project {
        Project {
            id: ProjectId::new(),
            workspace: WorkspaceId::new(),
            name: name.chars().take(60).collect::<String>().parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement: Placement::All,
            takes: Takes::default(),
            makes_namespace: false,
            created_by: IdentityId::new(),
            created_at: NOW,
        }
    }

    fn sample_made() -> MadeNamespace {
        MadeNamespace {
            cluster: ClusterId::new(),
            on: LONG_NAME.parse().unwrap(),
            uid: "0b1c'\nEOF\n2d".into(),
            at: NOW,
        }
    }

    #[test]
    fn immune_17_a_uid_stays_one_in_the_command_that_deletes_by_it() {
        let made = made_one(&project("Shop"), &sample_made(), NOW);
        let delete = "kubectl delete --raw /api/v1/namespaces/shop -f - <<'EOF'\n\
            {\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"0b1cEOF2d\"}}\nEOF";
        assert_eq!(made.delete, delete);
    }

    #[test]
    fn every_namespace_that_was_made_is_on_some_page() {
        let made = vec![sample_made(); 200];
        let (mut seen, mut at) = (0, Some(0));
        while let Some(before) = at {
            let (first, others, next) = on_this_page(&made, before);
            assert_eq!(before, seen);
            seen += first.len() + others.len();
            assert!(next.is_none_or(|next| next > before), "it goes on");
            at = next;
        }
        assert_eq!(seen, 200);
        assert!(on_this_page(&made, 1_000).0.is_empty());
    }

    /// A project on many clusters, one with mistakes, and one that somebody only looks at.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |on: usize, wrong: bool, may_change: bool| {
            let mut errors = FieldErrors::default();
            if wrong {
                for field in ["name", "on", "labels", "clusters"] {
                    errors.add(field, HOSTILE);
                }
            }
            let page = ProjectPage {
                frame: frame().at(Nav::Workspaces),
                head: if may_change {
                    head(&workspace(HOSTILE), Tab::Projects)
                } else {
                    Head::outside(&workspace(HOSTILE))
                },
                own: ProjectHead::new(&project(HOSTILE), ProjectTab::Access),
                here: "/workspaces/x/projects/y".into(),
                name: HOSTILE.into(),
                namespace: "shop".into(),
                on: "on clusters with env=prod".into(),
                on_now: (0..on)
                    .map(|_| OnCluster {
                        name: LONG_NAME.into(),
                        href: may_change.then(|| "/clusters/z/access".into()),
                    })
                    .collect(),
                may_change,
                asking: may_change && !wrong,
                form: ProjectForm { name: HOSTILE.into(), ..ProjectForm::default() },
                clusters: clusters(),
                errors,
                makes: on > 5,
                more_made: on,
                others: within(
                    (0..200).map(|_| Other { on: LONG_NAME.into(), uid: "0".repeat(36) }).collect(),
                    if on > 5 { ROOM } else { 0 },
                    |other| other.on.len() + other.uid.len() + AROUND,
                )
                .0,
                delete_other: delete(&project(HOSTILE), "$uid", "EOF"),
                next: (on > 5).then(|| "/workspaces/x/projects/y?remove=yes&made=90#remove".into()),
                made: (0..on.min(MADE)).map(|_| made_one(&project(HOSTILE), &sample_made(), NOW)).collect(),
                wide: Wide { may_change, ..wide(if on > 5 { 20 } else { 0 }, false) },
            };
            page.render().unwrap()
        };
        vec![
            ("project", draw(20, false, true)),
            ("project-errors", draw(1, true, true)),
            ("project-seen", draw(0, false, false)),
        ]
    }
}
