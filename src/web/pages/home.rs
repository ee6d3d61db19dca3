//! `/`: leads everybody to where they have something to do.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};

use crate::oidc::Purpose;
use crate::{
    store::Store,
    web::{errors::PageError, paths, session::MaybeSignedIn},
};

/// To the clusters, for those who have or may add some; to their workspaces and projects, for those whose workspaces have none; to what is shared
/// with them, for others; to signing in, for strangers.
pub async fn get(State(store): State<Store>, MaybeSignedIn(who): MaybeSignedIn) -> Result<Response, PageError> {
    let Some(who) = who else {
        return Ok(Redirect::to(&paths::sign_in(paths::HOME, Purpose::Pages)).into_response());
    };
    let person = &who.person;
    let manages = person.may_add_clusters()
        || !store.cluster_entries_of(person.identity(), person.is_platform_admin()).await?.is_empty();
    let there = if manages {
        paths::CLUSTERS
    } else if store.memberships_of(person.identity()).await?.is_empty()
        && store.projects_of_member(person.identity()).await?.is_empty()
    {
        paths::SHARED
    } else {
        paths::WORKSPACES
    };
    Ok(Redirect::to(there).into_response())
}
