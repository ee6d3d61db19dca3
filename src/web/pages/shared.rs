//! What others lend to the person, found again without any link.

use askama::Template;
use axum::{extract::State, response::Response};

use crate::{
    clock::Clock,
    model::{cluster::Cluster, grant::Grant, role::Role, time::Timestamp},
    store::Store,
    web::{
        errors::PageError,
        frame::{Frame, Nav, render},
        paths,
        session::SignedIn,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/shared.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    kubeconfig: String,
    removing: bool,
    access: Vec<Access>,
}

struct Access {
    role: Option<Role>,
    place: String,
    until: Option<When>,
}

/// The list.
pub async fn get(State(store): State<Store>, State(clock): State<Clock>, who: SignedIn) -> Result<Response, PageError> {
    let now = clock.now();
    let grants = store.grants_reaching(who.person.identity(), None, now).await?;
    let mut ids: Vec<_> = grants.iter().map(|grant| grant.scope.cluster()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut clusters = if ids.is_empty() { Vec::new() } else { store.clusters(&ids).await? };
    clusters.sort_by_key(|cluster| cluster.name.as_str().to_ascii_lowercase());
    let rows = clusters.iter().map(|cluster| row(cluster, &grants, now)).collect();
    Ok(render(&Page { frame: Frame::new(&who, Nav::Shared), rows }))
}

fn row(cluster: &Cluster, grants: &[Grant], now: Timestamp) -> Row {
    let mut access: Vec<Access> = Vec::new();
    for grant in grants.iter().filter(|grant| grant.scope.cluster() == cluster.id) {
        access.push(Access {
            role: grant.role,
            place: grant.scope.in_words(),
            until: grant.expires_at.map(|at| When::new(at, now)),
        });
    }
    access.sort_by_key(|access| std::cmp::Reverse(access.role));
    Row {
        name: cluster.name.to_string(),
        kubeconfig: paths::kubeconfig(cluster.id),
        removing: cluster.removing.is_some(),
        access,
    }
}
