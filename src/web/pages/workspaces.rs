//! `/workspaces`: those that somebody is a member of, a sentence for each.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    listing::{self, Asked, Listing},
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
    listing: Listing,
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

/// A workspace, and what somebody is in it.
type Listed = (Workspace, Option<MemberRole>);

/// The list.
pub async fn get(who: SignedIn, Query(asked): Query<Asked>, State(store): State<Store>) -> Result<Response, PageError> {
    let all = store.workspaces_of(who.person.identity(), who.person.is_platform_admin()).await?;
    let names = Names::of(&all);
    let fits = |asked: &Asked, (workspace, _): &Listed| asked.fits([workspace.name.as_str()]);
    let (listed, listing) = listing::cut(all, fits, ("workspace", listing::A_PAGE), asked, paths::WORKSPACES.into());
    let ids: Vec<WorkspaceId> = listed.iter().map(|(w, _)| w.id).collect();
    let counts: HashMap<_, _> = store.count_in_workspaces(&ids).await?.into_iter().collect();
    let makers = makers(&store, &listed, &names).await?;
    let rows = listed
        .iter()
        .map(|(workspace, role)| Row {
            href: paths::workspace(workspace.id),
            name: workspace.name.clone(),
            facts: facts(
                counts.get(&workspace.id).copied().unwrap_or_default(),
                *role,
                maker(workspace, &names, &makers),
            ),
            removing: workspace.removing.is_some(),
        })
        .collect();
    Ok(render(&WorkspacesPage {
        frame: Frame::new(&who, Nav::Workspaces),
        rows,
        listing,
        projects: own_projects(&store, who.person.identity()).await?,
        may_create: who.person.may_make_workspaces(),
        create: paths::CREATE_WORKSPACE,
        global: who.person.is_platform_admin().then_some(paths::GLOBAL_ACCESS),
    }))
}

/// How many have each name, whatever its case.
struct Names(HashMap<String, u32>);

impl Names {
    fn of(all: &[Listed]) -> Self {
        let mut names = HashMap::new();
        for (workspace, _) in all {
            *names.entry(workspace.name.to_lowercase()).or_default() += 1;
        }
        Self(names)
    }

    /// Whether another one has its name.
    fn are_alike(&self, workspace: &Workspace) -> bool {
        self.0.get(&workspace.name.to_lowercase()).is_some_and(|count| *count > 1)
    }
}

/// What the makers of those are called whose names are alike.
async fn makers(store: &Store, listed: &[Listed], names: &Names) -> Result<HashMap<IdentityId, String>, PageError> {
    let wanted: Vec<IdentityId> =
        listed.iter().filter(|(w, _)| names.are_alike(w)).filter_map(|(w, _)| w.created_by).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(store.identities(&wanted).await?.into_iter().map(|p| (p.id, p.display().to_owned())).collect())
}

/// Who made it, where another one in the list has the same name.
fn maker<'a>(workspace: &Workspace, names: &Names, makers: &'a HashMap<IdentityId, String>) -> Option<&'a str> {
    workspace.created_by.filter(|_| names.are_alike(workspace)).and_then(|id| makers.get(&id)).map(String::as_str)
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
        let draw = |rows: Vec<Row>, asked: Asked, may_create| {
            let (rows, listing) = listing::cut(
                rows,
                |asked, row| asked.fits([row.name.as_str()]),
                ("workspace", listing::A_PAGE),
                asked,
                "/w".into(),
            );
            let projects = sample_projects(if rows.is_empty() && may_create { 0 } else { 3 });
            let frame = frame().at(Nav::Workspaces);
            let global = Some(paths::GLOBAL_ACCESS);
            WorkspacesPage { frame, rows, listing, projects, may_create, create: paths::CREATE_WORKSPACE, global }
                .render()
                .unwrap()
        };
        let row = |name: &str, removing, maker| Row {
            href: "/workspaces/x".into(),
            name: name.into(),
            facts: facts(WorkspaceCounts { clusters: 3, people: 2, groups: 1 }, Some(MemberRole::Owner), maker),
            removing,
        };
        let asked = |q: &str| Asked { q: q.into(), page: "2".into() };
        let rows = vec![
            row("Clusters of alice@example.com", false, None),
            row("Payments", false, Some("carol@example.com")),
            row(HOSTILE, false, Some(LONG_EMAIL)),
            row("Payments", true, Some("alice@example.com")),
        ];
        vec![
            ("workspaces", draw(rows, Asked::default(), true)),
            (
                "workspaces-many",
                draw((0..300).map(|_| row(HOSTILE, true, Some(LONG_EMAIL))).collect(), asked(""), true),
            ),
            (
                "workspaces-not-found",
                draw((0..300).map(|_| row(HOSTILE, true, None)).collect(), asked(LONG_EMAIL), true),
            ),
            ("workspaces-empty", draw(vec![], Asked::default(), true)),
            ("workspaces-stranger", draw(vec![], Asked::default(), false)),
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
        let names = Names::of(&listed);
        assert_eq!(maker(&listed[1].0, &names, &makers), Some("maker of BÜCHER"));
        assert_eq!(maker(&listed[2].0, &names, &makers), None);
    }
}
