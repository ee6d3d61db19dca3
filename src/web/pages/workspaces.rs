//! `/workspaces`: those that somebody is a member of, a sentence for each.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    own_projects::{OwnProjects, own_projects},
    workspace::a_role,
};
use crate::{
    model::{
        id::{IdentityId, WorkspaceId},
        workspace::{MemberRole, Workspace},
    },
    store::{Store, WorkspaceCounts},
    web::{
        errors::PageError,
        frame::{Frame, Nav, render},
        labels::counted,
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/workspaces.html")]
struct WorkspacesPage {
    frame: Frame,
    rows: Vec<Row>,
    projects: OwnProjects,
    may_create: bool,
    create: &'static str,
    /// The page of access to every cluster, for platform admins.
    global: Option<&'static str>,
}

struct Row {
    href: String,
    name: String,
    facts: String,
    removing: bool,
}

/// The list.
pub async fn get(who: SignedIn, State(store): State<Store>) -> Result<Response, PageError> {
    let listed = store.workspaces_of(who.person.identity(), who.person.is_platform_admin()).await?;
    let ids: Vec<WorkspaceId> = listed.iter().map(|(w, _)| w.id).collect();
    let counts: HashMap<_, _> = store.count_in_workspaces(&ids).await?.into_iter().collect();
    let makers = makers(&store, &listed).await?;
    let rows = listed
        .iter()
        .map(|(workspace, role)| Row {
            href: paths::workspace(workspace.id),
            name: workspace.name.clone(),
            facts: facts(
                counts.get(&workspace.id).copied().unwrap_or_default(),
                *role,
                maker(workspace, &listed, &makers),
            ),
            removing: workspace.removing.is_some(),
        })
        .collect();
    Ok(render(&WorkspacesPage {
        frame: Frame::new(&who, Nav::Workspaces),
        rows,
        projects: own_projects(&store, who.person.identity()).await?,
        may_create: who.person.may_make_workspaces(),
        create: paths::CREATE_WORKSPACE,
        global: who.person.is_platform_admin().then_some(paths::GLOBAL_ACCESS),
    }))
}

fn alike(one: &Workspace, all: &[(Workspace, Option<MemberRole>)]) -> bool {
    all.iter().any(|(other, _)| other.id != one.id && other.name.to_lowercase() == one.name.to_lowercase())
}

/// What the makers of those are called whose names are alike.
async fn makers(
    store: &Store,
    listed: &[(Workspace, Option<MemberRole>)],
) -> Result<HashMap<IdentityId, String>, PageError> {
    let wanted: Vec<IdentityId> =
        listed.iter().filter(|(w, _)| alike(w, listed)).filter_map(|(w, _)| w.created_by).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(store.identities(&wanted).await?.into_iter().map(|p| (p.id, p.display().to_owned())).collect())
}

/// Who made it, where another one in the list has the same name.
fn maker<'a>(
    workspace: &Workspace,
    listed: &[(Workspace, Option<MemberRole>)],
    makers: &'a HashMap<IdentityId, String>,
) -> Option<&'a str> {
    workspace.created_by.filter(|_| alike(workspace, listed)).and_then(|id| makers.get(&id)).map(String::as_str)
}

/// “3 clusters · 2 people and 1 group look after them · you are an owner”.
fn facts(counts: WorkspaceCounts, role: Option<MemberRole>, maker: Option<&str>) -> String {
    let clusters = if counts.clusters == 0 { "no cluster yet".into() } else { counted(counts.clusters, "cluster") };
    let mut parts = vec![clusters, members(counts)];
    parts.push(role.map_or_else(|| "you are no member".into(), |role| format!("you are {}", a_role(role))));
    parts.extend(maker.map(|name| format!("made by {name}")));
    parts.join(" · ")
}

/// “2 people and 1 group as members”.
pub(super) fn members(counts: WorkspaceCounts) -> String {
    let who: Vec<String> = [(counts.people, "person"), (counts.groups, "group")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| counted(n, noun))
        .collect();
    let many = counts.people.saturating_add(counts.groups) != 1;
    format!("{} as {}", who.join(" and "), if many { "members" } else { "member" })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        own_projects::tests::sample_projects,
        samples::{HOSTILE, LONG_EMAIL, frame},
        workspace::tests::workspace,
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: Vec<Row>, may_create| {
            let projects = sample_projects(if rows.is_empty() && may_create { 0 } else { 3 });
            let frame = frame().at(Nav::Workspaces);
            let global = Some(paths::GLOBAL_ACCESS);
            WorkspacesPage { frame, rows, projects, may_create, create: paths::CREATE_WORKSPACE, global }
                .render()
                .unwrap()
        };
        let row = |name: &str, removing, maker| Row {
            href: "/workspaces/x".into(),
            name: name.into(),
            facts: facts(WorkspaceCounts { clusters: 3, people: 2, groups: 1 }, Some(MemberRole::Owner), maker),
            removing,
        };
        let rows = vec![
            row("Clusters of alice@example.com", false, None),
            row("Payments", false, Some("carol@example.com")),
            row(HOSTILE, false, Some(LONG_EMAIL)),
            row("Payments", true, Some("alice@example.com")),
        ];
        vec![
            ("workspaces", draw(rows, true)),
            ("workspaces-empty", draw(vec![], true)),
            ("workspaces-stranger", draw(vec![], false)),
        ]
    }

    #[test]
    fn a_row_reads_as_a_sentence() {
        let counts = |clusters, people, groups| WorkspaceCounts { clusters, people, groups };
        assert_eq!(
            facts(counts(3, 2, 1), Some(MemberRole::Editor), None),
            "3 clusters · 2 people and 1 group as members · you are an editor"
        );
        assert_eq!(
            facts(counts(0, 1, 0), None, Some("carol")),
            "no cluster yet · 1 person as member · you are no member · made by carol"
        );
    }

    #[test]
    fn the_maker_is_named_where_two_names_are_alike() {
        let listed: Vec<_> = ["Bücher", "BÜCHER", "Payments"].into_iter().map(|name| (workspace(name), None)).collect();
        let makers: HashMap<_, _> =
            listed.iter().map(|(w, _)| (w.created_by.unwrap(), format!("maker of {}", w.name))).collect();
        assert_eq!(maker(&listed[1].0, &listed, &makers), Some("maker of BÜCHER"));
        assert_eq!(maker(&listed[2].0, &listed, &makers), None);
    }
}
