//! `/matrix/{grant}` and `/workspaces/{workspace}/matrix/{grant}`: what a cell of the matrix is made of, and all that somebody can
//! reach. Whoever holds the grant of the address is who it is about.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};

use super::{
    matrix::{Place, note},
    matrix_cells::{end, kind},
    workspace::{AtWorkspace, Head},
};
use crate::{
    access::Gate,
    clock::Clock,
    model::{
        id::{ClusterId, GrantId},
        matrix::{AsOf, ColumnCursor, Holder, HolderKind},
        time::Timestamp,
    },
    store::{Reached, Store},
    web::{
        assets,
        errors::PageError,
        frame::{Frame, render},
        labels::{RoleTag, date, through},
        paths,
        session::SignedIn,
    },
};

/// How many grants a page lists, and those of its last cluster besides.
const A_PAGE: usize = 100;

/// The grant of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct GrantPath {
    grant: GrantId,
}

/// What is asked for.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    at: String,
    /// Not on the grant's cluster alone.
    all: String,
    /// Where the clusters begin.
    col: String,
}

#[derive(Template)]
#[template(path = "pages/matrix_holder.html")]
struct Page {
    frame: Frame,
    css: &'static str,
    head: Option<Head>,
    title: String,
    about: String,
    note: Option<String>,
    rows: Vec<Row>,
    groups: Vec<Other>,
    /// All that they can reach.
    all: Option<String>,
    back: String,
    next: Option<String>,
    /// Whether it is a person's, whom groups may reach, too.
    person: bool,
}

struct Row {
    cluster: String,
    href: Option<String>,
    role: RoleTag,
    place: String,
    since: String,
    end: String,
    origin: Cow<'static, str>,
}

struct Other {
    name: String,
    href: String,
}

/// The page in a workspace.
pub async fn of_workspace(
    at: AtWorkspace,
    Path(GrantPath { grant }): Path<GrantPath>,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    answer(Place::in_workspace(&at), grant, asked, &store).await
}

/// The page among all.
pub async fn everywhere(
    who: SignedIn,
    Path(GrantPath { grant }): Path<GrantPath>,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(gate): State<Gate>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    answer(Place::everywhere(&who, &gate, &clock).await?, grant, asked, &store).await
}

async fn answer(place: Place, grant: GrantId, asked: Asked, store: &Store) -> Result<Response, PageError> {
    let as_of = AsOf::read(&asked.at, place.now).map_err(|_| PageError::not_found())?;
    let (holder, cluster) = store.holder_of(grant).await?;
    let on: Option<ClusterId> = asked.all.is_empty().then_some(cluster);
    let reached = store.reached_by(place.workspace, as_of, &holder.key, on).await?;
    if reached.is_empty() {
        // Whoever holds nothing here is nobody's to see.
        return Err(PageError::not_found());
    }
    let groups = store.groups_reaching(place.workspace, as_of, &holder.key, on).await?;
    let note = note(as_of, store.record_since().await?);
    Ok(render(&page(place, &holder, as_of, grant, &asked, reached, groups, note)))
}

#[expect(clippy::too_many_arguments, reason = "what the page is drawn from, each of another kind")]
fn page(
    place: Place,
    holder: &Holder,
    as_of: AsOf,
    grant: GrantId,
    asked: &Asked,
    mut reached: Vec<Reached>,
    groups: Vec<(Holder, GrantId)>,
    note: Option<String>,
) -> Page {
    let this = |id: GrantId, pairs: &[(&str, &str)]| paths::with_query(&format!("{}/{id}", place.here), pairs);
    let one = asked.all.is_empty();
    let next = cut(&mut reached, &asked.col);
    let next = next.map(|at| this(grant, &[("at", &asked.at), ("all", &asked.all), ("col", &at.to_string())]));
    let on = reached.first().filter(|_| one).map(|r| r.column.name.clone());
    let all = |id| this(id, &[("at", &asked.at), ("all", "yes")]);
    let groups = groups.into_iter().map(|(group, id)| Other {
        href: if one { this(id, &[("at", &asked.at)]) } else { all(id) },
        name: group.name,
    });
    Page {
        title: on.map_or_else(|| holder.name.clone(), |cluster| format!("{} on {cluster}", holder.name)),
        about: about(holder, as_of),
        note,
        rows: reached.iter().map(|r| row(r, as_of, place.now)).collect(),
        groups: groups.collect(),
        all: one.then(|| all(grant)),
        back: paths::with_query(&place.here, &[("at", &asked.at)]),
        next,
        person: holder.kind == HolderKind::Person,
        css: &assets::urls().matrix_css,
        frame: place.frame,
        head: place.head,
    }
}

/// Leaves what one page shows, whole clusters of it. Returns where the next page begins.
fn cut(reached: &mut Vec<Reached>, from: &str) -> Option<ColumnCursor> {
    if let Ok(from) = from.parse::<ColumnCursor>() {
        let after = |r: &Reached| {
            let at = r.column.cursor();
            (at.name, at.cluster) > (from.name.clone(), from.cluster)
        };
        reached.retain(after);
    }
    let last = reached.get(A_PAGE.checked_sub(1)?)?.column.cursor();
    let end = reached.iter().skip(A_PAGE).position(|r| r.column.cluster != last.cluster)?;
    reached.truncate(A_PAGE + end);
    Some(last)
}

/// “Group at dex, on 1 Nov 2026”.
fn about(holder: &Holder, as_of: AsOf) -> String {
    let when = if as_of.is_now() { "now".into() } else { format!("on {}", date(as_of.from())) };
    format!("{} at {}: what was given to them by name, {when}", kind(holder.kind), holder.provider)
}

fn row(reached: &Reached, as_of: AsOf, now: Timestamp) -> Row {
    let grant = &reached.grant;
    Row {
        cluster: reached.column.name.clone(),
        href: as_of.is_now().then(|| paths::access(reached.column.cluster)),
        role: RoleTag(grant.role.clone()),
        place: grant.scope.in_words(),
        since: date(grant.since),
        end: end(grant, now),
        origin: through(grant.origin, grant.group.as_ref()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{id::WorkspaceId, matrix::Column},
        web::{
            frame::Nav,
            pages::{
                matrix_cells::tests::counted,
                samples::{HOSTILE, LONG_EMAIL, LONG_NAME, NOW, frame},
                workspace::{
                    Tab,
                    tests::{head, workspace},
                },
            },
        },
    };

    fn reached(clusters: usize, each: usize) -> Vec<Reached> {
        let on = |n: usize| {
            let column = Column {
                cluster: ClusterId::new(),
                workspace: WorkspaceId::new(),
                name: if n == 0 { LONG_NAME.into() } else { format!("cluster-{n:03}") },
                from: NOW,
                to: NOW,
                left_at: None,
            };
            (0..each).map(move |m| Reached { column: column.clone(), grant: counted(n + m) })
        };
        (0..clusters).flat_map(on).collect()
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |inside: bool, asked: Asked, name: &str, kind, reached| {
            let holder = Holder { key: "x".into(), kind, name: name.into(), provider: "dex".into() };
            let groups = vec![(Holder { name: HOSTILE.into(), ..holder.clone() }, GrantId::new())];
            let place = Place {
                frame: frame().at(Nav::Workspaces),
                head: inside.then(|| head(&workspace("Payments"), Tab::Matrix)),
                workspace: None,
                here: "/matrix".into(),
                now: NOW,
            };
            let as_of = AsOf::read(&asked.at, NOW).unwrap();
            let note = note(as_of, Some(NOW));
            page(place, &holder, as_of, GrantId::new(), &asked, reached, groups, note).render().unwrap()
        };
        let then = Asked { at: "2026-11-01".into(), all: "yes".into(), col: String::new() };
        vec![
            ("matrix-cell", draw(true, Asked::default(), LONG_EMAIL, HolderKind::Person, reached(1, 3))),
            ("matrix-holder", draw(false, then, HOSTILE, HolderKind::Group, reached(120, 1))),
        ]
    }

    #[test]
    fn a_page_ends_with_a_whole_cluster_and_the_next_one_goes_on_after_it() {
        let mut all = reached(60, 3);
        let next = cut(&mut all, "").unwrap();
        assert_eq!((all.len(), next.name.as_str()), (102, "cluster-033"));
        let (mut all, mut rest) = (reached(60, 3), Vec::new());
        all.sort_by_key(|r| r.column.name.clone());
        let second = cut(&mut all, "");
        assert!(second.is_some());
        rest.extend(all);
        assert_eq!(cut(&mut rest, ""), None, "exactly what is left is the last page");
    }
}
