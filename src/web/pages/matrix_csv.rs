//! The matrix as a file: a line for each grant that counts, cluster by cluster. Whoever may look at the page may have the file.

use std::collections::{HashMap, VecDeque};

use axum::{
    extract::{Query, State},
    response::Response,
};
use futures_util::stream::try_unfold;

use super::{
    matrix::{Asked, Place},
    matrix_cells::{ended, kind},
    workspace::AtWorkspace,
};
use crate::{
    access::Gate,
    clock::Clock,
    model::{
        id::{GrantId, WorkspaceId},
        matrix::{AsOf, Column, ColumnCursor, Counted, Holder},
        name::Namespace,
        time::Timestamp,
    },
    store::{HolderCursor, Store, StoreError},
    web::{
        csv,
        errors::PageError,
        labels::{role_word, through},
        session::SignedIn,
    },
};

/// How many clusters are read at a time.
const CLUSTERS: usize = 32;
/// How many grants.
const GRANTS: u32 = 500;
const HEAD: [&str; 12] = [
    "Kind",
    "Name",
    "Provider",
    "Cluster",
    "Workspace",
    "Role",
    "Where",
    "Namespaces",
    "Given",
    "Expires",
    "Ended",
    "Through",
];

/// The file of a workspace.
pub async fn of_workspace(
    at: AtWorkspace,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    file(Place::in_workspace(&at), asked, store)
}

/// The file of all.
pub async fn everywhere(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(gate): State<Gate>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    file(Place::everywhere(&who, &gate, &clock).await?, asked, store)
}

fn file(place: Place, asked: Asked, store: Store) -> Result<Response, PageError> {
    let as_of = AsOf::read(&asked.at, place.now).map_err(|_| PageError::not_found())?;
    let list = List {
        store,
        workspace: place.workspace,
        as_of,
        text: asked.q,
        head: true,
        names: HashMap::new(),
        columns: VecDeque::new(),
        next: None,
        last: false,
        after: None,
    };
    let lines = try_unfold(list, async |mut list: List| Ok(list.more().await?.map(|text| (text, list))));
    Ok(csv::answer(&format!("access-{}.csv", as_of.day()), lines))
}

/// A list that is being written, and how far it is.
struct List {
    store: Store,
    workspace: Option<WorkspaceId>,
    as_of: AsOf,
    text: String,
    /// Whether the first line is still to come.
    head: bool,
    /// What workspaces are called.
    names: HashMap<WorkspaceId, String>,
    /// Clusters that are still to come.
    columns: VecDeque<Column>,
    /// Where those after them begin.
    next: Option<ColumnCursor>,
    /// Whether there are none after them.
    last: bool,
    /// The last grant of the first of them that is written.
    after: Option<(HolderCursor, GrantId)>,
}

impl List {
    /// The next lines.
    async fn more(&mut self) -> Result<Option<String>, StoreError> {
        if std::mem::take(&mut self.head) {
            return Ok(Some(csv::line(&HEAD)));
        }
        loop {
            let Some(column) = self.columns.front().cloned() else {
                if self.last {
                    return Ok(None);
                }
                self.refill().await?;
                continue;
            };
            let after = self.after.as_ref();
            let rows = self.store.matrix_column(&column, self.as_of, &self.text, after, GRANTS).await?;
            let last = rows.last().map(|(_, cursor, grant)| (cursor.clone(), grant.id));
            let full = rows.len() >= GRANTS as usize;
            self.after = last.filter(|_| full);
            if !full {
                self.columns.pop_front();
            }
            if !rows.is_empty() {
                let workspace = self.names.get(&column.workspace).map_or("a workspace that is gone", String::as_str);
                return Ok(Some(rows.iter().map(|(who, _, grant)| line(who, grant, &column, workspace)).collect()));
            }
        }
    }

    async fn refill(&mut self) -> Result<(), StoreError> {
        let found = self.store.matrix_columns(self.workspace, self.as_of, self.next.as_ref(), CLUSTERS).await?;
        self.next = found.last().map(Column::cursor);
        self.last = found.len() < CLUSTERS;
        let ids: Vec<WorkspaceId> = found.iter().map(|c| c.workspace).collect();
        for workspace in self.store.workspaces(&ids).await? {
            self.names.insert(workspace.id, workspace.name);
        }
        self.columns = found.into();
        Ok(())
    }
}

fn line(who: &Holder, grant: &Counted, column: &Column, workspace: &str) -> String {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let namespaces: Vec<&str> = grant.scope.namespaces().iter().map(Namespace::as_str).collect();
    let ended = grant.ended.map(|(at, why)| format!("{} {at}", ended(why))).unwrap_or_default();
    csv::line(&[
        kind(who.kind),
        &who.name,
        &who.provider,
        &column.name,
        workspace,
        &role_word(grant.role.as_ref()),
        if grant.scope.is_whole_cluster() { "whole cluster" } else { "namespaces" },
        &namespaces.join(" "),
        &grant.since.to_string(),
        &time(grant.expires_at),
        &ended,
        &through(grant.origin, grant.group.as_ref()),
    ])
}
