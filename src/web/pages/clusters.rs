//! `/clusters`: the owner's home, a sentence for each cluster, by workspace where there are several.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    cluster_list::{self, List},
    listing::Asked,
};
use crate::{
    clock::Clock,
    model::id::WorkspaceId,
    oidc::Providers,
    store::Store,
    web::{
        errors::PageError,
        frame::{Frame, Nav, render},
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/clusters.html")]
struct ClustersPage {
    frame: Frame,
    list: List,
    add: &'static str,
    shared: &'static str,
}

/// The list.
pub async fn get(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(store): State<Store>,
    State(providers): State<Providers>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    let entries = store.cluster_entries_of(who.person.identity(), who.person.is_platform_admin()).await?;
    let within: BTreeSet<WorkspaceId> = entries.iter().map(|entry| entry.workspace).collect();
    let several: Vec<WorkspaceId> = within.into_iter().collect();
    let workspaces = if several.len() > 1 { store.workspaces(&several).await? } else { Vec::new() };
    let here = paths::CLUSTERS.to_owned();
    let list = cluster_list::list((&store, &providers), entries, &workspaces, asked, here, clock.now()).await?;
    let frame = Frame::new(&who, Nav::Clusters);
    Ok(render(&ClustersPage { frame, list, add: paths::ADD_CLUSTER, shared: paths::SHARED }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster_list::tests::{entries, sample},
        samples::{HOSTILE, frame},
        workspace::tests::workspace,
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |frame, list| {
            ClustersPage { frame, list, add: paths::ADD_CLUSTER, shared: paths::SHARED }.render().unwrap()
        };
        let two = [workspace("Clusters of alice@example.com"), workspace(HOSTILE)];
        let mine = &two[..1];
        let stranger = Frame { may_add_clusters: false, ..frame() };
        vec![
            ("clusters", draw(frame(), sample(entries(4, mine), &[], "", ""))),
            ("clusters-workspaces", draw(frame(), sample(entries(8, &two), &two, "", ""))),
            ("clusters-many", draw(frame(), sample(entries(400, &two), &two, "", "5"))),
            ("clusters-not-found", draw(frame(), sample(entries(400, &two), &two, &HOSTILE.repeat(4), ""))),
            ("clusters-empty", draw(frame(), List::default())),
            ("clusters-stranger", draw(stranger, List::default())),
        ]
    }
}
