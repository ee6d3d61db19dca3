//! `/matrix` and `/workspaces/{workspace}/matrix`: people and groups down, clusters across, a cell is the strongest role; today, or
//! on any day. Whoever may look at a workspace sees its own, platform admins see all.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    matrix_cells::{Cell, cell, kind},
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, Gate},
    clock::Clock,
    model::{
        federation::WideScope,
        id::WorkspaceId,
        matrix::{AsOf, ColumnCursor, Holder},
        time::Timestamp,
    },
    store::{HolderCursor, MatrixPage, Store},
    web::{
        assets,
        errors::PageError,
        frame::{Frame, Nav, render},
        labels::date,
        paths,
        session::SignedIn,
    },
};

/// Whose matrix it is.
pub(super) struct Place {
    pub(super) frame: Frame,
    /// The head of a workspace's page.
    pub(super) head: Option<Head>,
    pub(super) workspace: Option<WorkspaceId>,
    pub(super) here: String,
    pub(super) now: Timestamp,
}

impl Place {
    pub(super) fn in_workspace(at: &AtWorkspace) -> Self {
        Self {
            frame: at.frame(),
            head: Some(at.head(Tab::Matrix)),
            workspace: Some(at.id()),
            here: paths::workspace_matrix(at.id()),
            now: at.now,
        }
    }

    pub(super) async fn everywhere(who: &SignedIn, gate: &Gate, clock: &Clock) -> Result<Self, AccessError> {
        gate.view_reach(&who.person, WideScope::Global).await?;
        let frame = Frame::new(who, Nav::Workspaces);
        Ok(Self { frame, head: None, workspace: None, here: paths::MATRIX.into(), now: clock.now() })
    }
}

/// What is asked for, from the address.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    /// A day.
    pub(super) at: String,
    /// Part of a name.
    pub(super) q: String,
    /// Where the columns begin.
    col: String,
    /// Where the rows begin.
    sort: String,
    key: String,
}

impl Asked {
    fn rows(&self) -> HolderCursor {
        HolderCursor { sort: self.sort.clone(), key: self.key.clone() }
    }

    /// An address with the same question, from there on.
    fn address(&self, here: &str, columns: Option<&ColumnCursor>, rows: Option<&HolderCursor>) -> String {
        let columns = columns.map(ToString::to_string).unwrap_or_default();
        let rows = rows.cloned().unwrap_or_default();
        paths::with_query(
            here,
            &[("at", &self.at), ("q", &self.q), ("col", &columns), ("sort", &rows.sort), ("key", &rows.key)],
        )
    }
}

#[derive(Template)]
#[template(path = "pages/matrix.html")]
struct Page {
    frame: Frame,
    css: &'static str,
    head: Option<Head>,
    here: String,
    asked: Asked,
    title: String,
    wrong: Option<&'static str>,
    note: Option<String>,
    columns: Vec<Named>,
    rows: Vec<Row>,
    csv: String,
    /// What cells' addresses end with.
    at: String,
    first_columns: Option<String>,
    next_columns: Option<String>,
    first_rows: Option<String>,
    next_rows: Option<String>,
}

struct Named {
    name: String,
    /// Its access page, where it is there today.
    href: Option<String>,
    /// Its workspace, where several are shown.
    of: Option<String>,
}

struct Row {
    kind: &'static str,
    name: String,
    /// A grant of theirs.
    any: String,
    cells: Vec<Option<Cell>>,
}

/// The page of a workspace.
pub async fn of_workspace(
    at: AtWorkspace,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    answer(Place::in_workspace(&at), asked, &store).await
}

/// The page of all.
pub async fn everywhere(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(gate): State<Gate>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    answer(Place::everywhere(&who, &gate, &clock).await?, asked, &store).await
}

async fn answer(place: Place, asked: Asked, store: &Store) -> Result<Response, PageError> {
    let read = AsOf::read(&asked.at, place.now);
    let as_of = read.unwrap_or(AsOf::Now(place.now));
    let columns = Some(&asked.col).filter(|c| !c.is_empty()).map(|c| c.parse()).transpose();
    let columns: Option<ColumnCursor> = columns.map_err(|_| PageError::not_found())?;
    let found = store.matrix(place.workspace, as_of, &asked.q, columns.as_ref(), &asked.rows()).await?;
    let of = workspaces(&place, &found, store).await?;
    let note = note(as_of, store.record_since().await?);
    let wrong = read.err().map(|_| "Write a day as 2026-11-01. This is today.");
    Ok(render(&page(place, asked, as_of, (found, of), wrong, note)))
}

/// What the workspaces of the columns are called, where they may differ.
async fn workspaces(
    place: &Place,
    found: &MatrixPage,
    store: &Store,
) -> Result<HashMap<WorkspaceId, String>, PageError> {
    let ids: Vec<WorkspaceId> =
        found.columns.iter().map(|c| c.workspace).filter(|_| place.workspace.is_none()).collect();
    Ok(store.workspaces(&ids).await?.into_iter().map(|w| (w.id, w.name)).collect())
}

/// What is not known of days before the record began.
pub(super) fn note(as_of: AsOf, since: Option<Timestamp>) -> Option<String> {
    let since = since.filter(|since| as_of.from() < *since)?;
    Some(format!(
        "The record begins on {}: clusters that had gone by then are missing on days before it, and those that had moved or were called something else stand where they are, or were, as it began. The activity pages tell of them.",
        date(since)
    ))
}

fn title(as_of: AsOf) -> String {
    let day = date(as_of.from());
    match as_of {
        AsOf::Now(_) => "Who can reach what".into(),
        AsOf::Day { from, now } if from > now => format!("Who can reach what on {day}, as things stand"),
        AsOf::Day { .. } => format!("Who could reach what on {day}"),
    }
}

fn page(
    place: Place,
    asked: Asked,
    as_of: AsOf,
    (found, of): (MatrixPage, HashMap<WorkspaceId, String>),
    wrong: Option<&'static str>,
    note: Option<String>,
) -> Page {
    let here = place.here;
    let column: Option<ColumnCursor> = asked.col.parse().ok();
    let row = |(holder, cells): &(Holder, HashMap<_, Vec<_>>)| {
        let cells: Vec<Option<Cell>> =
            found.columns.iter().map(|c| cells.get(&c.cluster).and_then(|grants| cell(grants))).collect();
        let any = cells.iter().flatten().map(|cell| cell.id.to_string()).next().unwrap_or_default();
        Row { kind: kind(holder.kind), name: holder.name.clone(), any, cells }
    };
    Page {
        rows: found.rows.iter().map(row).collect(),
        title: title(as_of),
        wrong,
        note,
        csv: paths::with_query(&format!("{here}.csv"), &[("at", &asked.at), ("q", &asked.q)]),
        at: paths::with_query("", &[("at", &asked.at)]),
        first_columns: column.as_ref().map(|_| asked.address(&here, None, None)),
        next_columns: found.next_columns.as_ref().map(|next| asked.address(&here, Some(next), None)),
        first_rows: (!asked.key.is_empty()).then(|| asked.address(&here, column.as_ref(), None)),
        next_rows: found.next_rows.as_ref().map(|next| asked.address(&here, column.as_ref(), Some(next))),
        columns: found
            .columns
            .into_iter()
            .map(|c| Named {
                href: as_of.is_now().then(|| paths::access(c.cluster)),
                of: of.get(&c.workspace).cloned(),
                name: c.name,
            })
            .collect(),
        css: &assets::urls().matrix_css,
        frame: place.frame,
        head: place.head,
        here,
        asked,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{
            id::ClusterId,
            matrix::{Column, HolderKind},
        },
        web::pages::{
            matrix_cells::tests::counted,
            samples::{HOSTILE, LONG_EMAIL, LONG_NAME, NOW, frame},
            workspace::tests::{head, workspace},
        },
    };

    fn found(columns: usize, rows: usize) -> MatrixPage {
        let column = |n: usize| Column {
            cluster: ClusterId::new(),
            workspace: WorkspaceId::new(),
            name: if n.is_multiple_of(3) { LONG_NAME.into() } else { format!("cluster-{n}") },
            from: NOW,
            to: NOW,
            left_at: None,
        };
        let columns: Vec<Column> = (0..columns).map(column).collect();
        let row = |n: usize| {
            let name = [LONG_EMAIL.to_owned(), format!("group-{n}"), HOSTILE.to_owned()][n % 3].clone();
            let kind = [HolderKind::Person, HolderKind::Group, HolderKind::Address][n % 3];
            let key = format!("group:dex:{n}");
            let cells = columns.iter().enumerate().map(|(m, c)| (c.cluster, vec![counted(n + m), counted(n)]));
            (Holder { key, kind, name, provider: "dex".into() }, cells.collect())
        };
        let rows = (0..rows).map(row).collect();
        let next_columns = columns.last().map(Column::cursor);
        let next_rows = Some(HolderCursor { sort: LONG_EMAIL.into(), key: format!("email:dex:{LONG_EMAIL}") });
        MatrixPage { columns, next_columns, rows, next_rows }
    }

    fn draw(inside: bool, asked: Asked, found: MatrixPage) -> String {
        let as_of = AsOf::read(&asked.at, NOW).unwrap();
        let place = Place {
            frame: frame().at(Nav::Workspaces),
            head: inside.then(|| head(&workspace("Payments"), Tab::Matrix)),
            workspace: None,
            here: "/matrix".into(),
            now: NOW,
        };
        let note = note(as_of, Some(NOW));
        let of = found.columns.iter().filter(|_| !inside).map(|c| (c.workspace, HOSTILE.to_owned())).collect();
        page(place, asked, as_of, (found, of), None, note).render().unwrap()
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let none = MatrixPage { columns: vec![], next_columns: None, rows: vec![], next_rows: None };
        let nobody = MatrixPage { columns: found(3, 0).columns, ..none.clone() };
        let then = Asked { at: "2026-11-01".into(), q: HOSTILE.into(), key: "x".into(), ..Asked::default() };
        vec![
            ("matrix", draw(true, Asked::default(), found(8, 20))),
            ("matrix-day", draw(false, then.clone(), found(8, 20))),
            ("matrix-empty", draw(true, Asked::default(), none)),
            ("matrix-nobody", draw(false, then, nobody)),
        ]
    }

    #[test]
    fn a_day_before_the_record_says_what_is_missing() {
        let day = |text| AsOf::read(text, NOW).unwrap();
        assert!(note(day("2026-11-01"), Some(NOW)).unwrap().contains("begins on 23 Nov 2026"));
        assert_eq!(note(day("2026-11-24"), Some(NOW)), None);
        assert_eq!(note(AsOf::Now(NOW.plus(Duration::from_secs(1))), Some(NOW)), None);
        assert_eq!(title(day("2026-12-01")), "Who can reach what on 1 Dec 2026, as things stand");
        assert_eq!(title(day("2026-11-01")), "Who could reach what on 1 Nov 2026");
    }

    #[test]
    fn addresses_keep_the_question() {
        let asked = Asked { at: "2026-11-01".into(), q: "a&b".into(), ..Asked::default() };
        let rows = HolderCursor { sort: "z".into(), key: "group:dex:z".into() };
        assert_eq!(asked.address("/m", None, Some(&rows)), "/m?at=2026-11-01&q=a%26b&sort=z&key=group%3Adex%3Az");
        assert_eq!(Asked::default().address("/m", None, None), "/m");
    }
}
