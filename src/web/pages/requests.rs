//! `/workspaces/{workspace}/requests`: who asks for access to its clusters, the longest waiting first.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    request::{Asked, asked},
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    model::{
        access_request::AccessRequest,
        id::{AccessRequestId, IdentityId},
        identity::Identity,
    },
    store::Store,
    web::{
        errors::PageError,
        frame::{Frame, render},
        labels::counted,
        paths,
    },
};

/// How many a page lists.
const A_PAGE: u32 = 30;

#[derive(Template)]
#[template(path = "pages/requests.html")]
struct RequestsPage {
    frame: Frame,
    head: Head,
    here: String,
    rows: Vec<Row>,
    oldest: bool,
    next: Option<String>,
}

struct Row {
    cluster: String,
    href: String,
    asked: Asked,
}

/// Which page.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Wanted {
    after: Option<AccessRequestId>,
}

/// The page.
pub async fn get(
    at: AtWorkspace,
    Query(wanted): Query<Wanted>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    at.manage_access()?;
    let page = store.requests_in(at.id(), wanted.after, at.now, A_PAGE).await?;
    let people = people(&store, &page.rows).await?;
    let ids: Vec<_> = page.rows.iter().map(|request| request.wish.scope.cluster()).collect();
    let clusters = if ids.is_empty() { Vec::new() } else { store.clusters(&ids).await? };
    let row = |request: &AccessRequest| {
        let cluster = clusters.iter().find(|cluster| cluster.id == request.wish.scope.cluster())?;
        let who = people.get(&request.by).map_or("somebody", Identity::display);
        Some(Row {
            cluster: cluster.name.to_string(),
            href: paths::request(cluster.id, request.id),
            asked: asked(request, who, None, at.now),
        })
    };
    let here = paths::requests(at.id());
    Ok(render(&RequestsPage {
        frame: at.frame(),
        head: at.head(Tab::Access),
        rows: page.rows.iter().filter_map(row).collect(),
        oldest: wanted.after.is_none(),
        next: page.next.map(|id| format!("{here}?after={id}")),
        here,
    }))
}

/// Who asks, and who answered.
pub(super) async fn people(
    store: &Store,
    requests: &[AccessRequest],
) -> Result<HashMap<IdentityId, Identity>, PageError> {
    let ids: Vec<IdentityId> =
        requests.iter().flat_map(|request| [Some(request.by), request.closed_by]).flatten().collect();
    Ok(store.identities(&ids).await?.into_iter().map(|person| (person.id, person)).collect())
}

/// “2 people ask for access.”, where somebody does.
pub(super) fn waiting(count: u32) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 request for access waits.".into()),
        few @ 2..100 => Some(format!("{} for access wait.", counted(few, "request"))),
        _ => Some("100 requests for access or more wait.".into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{access_request::RequestState, id::ClusterId},
        web::{
            frame::Nav,
            pages::{
                request::tests::request,
                samples::{HOSTILE, LONG_EMAIL, LONG_NAME, NOW, frame},
                workspace::tests::{head, workspace},
            },
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize| {
            let row = |_| Row {
                cluster: LONG_NAME.into(),
                href: "/x".into(),
                asked: asked(&request(ClusterId::new(), RequestState::Pending), LONG_EMAIL, None, NOW),
            };
            let page = RequestsPage {
                frame: frame().at(Nav::Workspaces),
                head: head(&workspace(HOSTILE), Tab::Access),
                here: "/x".into(),
                rows: (0..rows).map(row).collect(),
                oldest: rows == 0,
                next: (rows > 0).then(|| "/x".into()),
            };
            page.render().unwrap()
        };
        vec![("requests", draw(A_PAGE as usize)), ("requests-empty", draw(0))]
    }

    #[test]
    fn what_waits_is_counted_in_words() {
        assert_eq!(waiting(0), None);
        assert_eq!(waiting(1).unwrap(), "1 request for access waits.");
        assert_eq!(waiting(2).unwrap(), "2 requests for access wait.");
        assert_eq!(waiting(100).unwrap(), "100 requests for access or more wait.");
    }
}
