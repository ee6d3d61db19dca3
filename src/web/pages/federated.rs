//! `/federated/{grant}`: one grant that reaches several clusters, a row for each with how far it has followed, and taking it back.
//! Live while something is on the way, and after a reload the same, since all of it is in the database.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    extend::{Extend, ExtendForm, over},
    wide_access::{Desk, holder_kind, means, named, people, progress},
};
use crate::{
    access::{AccessError, Gate},
    model::{
        federation::{FederatedGrant, WideScope},
        grant::SOON,
        id::FederatedGrantId,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    policy::{self, Authorized, Reach, ViewReach},
    store::{Placed, StoreError},
    web::{
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, Nav, render},
        labels::{RoleTag, grant_state, outcome_class},
        paths,
        session::SignedIn,
        when::When,
    },
};

/// How many clusters the page lists; those that have not followed come first.
const A_PAGE: u32 = 60;

#[derive(Template)]
#[template(path = "pages/federated.html")]
struct FederatedPage {
    frame: Frame,
    here: String,
    back: String,
    place: String,
    kind: &'static str,
    name: String,
    role: RoleTag,
    gives: Role,
    means: &'static str,
    reason: Option<String>,
    by: Option<String>,
    made: When,
    expires: Option<When>,
    ended: bool,
    class: &'static str,
    state: String,
    to: To,
    /// Applied and wanted, for the bar.
    done: (i64, i64),
    rows: Vec<Row>,
    more: i64,
    /// Set where it can be taken back.
    remove: Remove,
    /// Set where its end can be moved.
    extend: Option<Extend>,
    soon: bool,
    /// Whether something is on the way.
    live: bool,
}

/// Whom it is for.
enum To {
    /// One.
    One,
    /// A Group: then there is a row for each member on each cluster. With its own page, for those who see it.
    Group(Option<String>),
}

impl To {
    fn is_group(&self) -> bool {
        matches!(self, Self::Group(_))
    }

    fn page(&self) -> Option<&str> {
        if let Self::Group(page) = self { page.as_deref() } else { None }
    }
}

/// Whether it can be taken back by whoever looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remove {
    /// No.
    Not,
    /// Yes.
    Offered,
    /// They are about to.
    Asked,
}

struct Row {
    who: String,
    cluster: String,
    /// Its access page, for those who look at the workspace.
    href: Option<String>,
    place: String,
    class: &'static str,
    state: String,
    since: When,
}

/// The grant of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct GrantPath {
    grant: FederatedGrantId,
}

/// Whether it is about to be taken back.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    remove: String,
}

/// The page.
pub async fn get(
    who: SignedIn,
    Path(GrantPath { grant }): Path<GrantPath>,
    Query(asked): Query<Asked>,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    State(clock): State<crate::clock::Clock>,
) -> Result<Response, PageError> {
    let scope = desk.store.federated_grant(grant).await?.scope;
    let seen = match gate.view_reach(&who.person, scope).await {
        // To whom it is not shown, it is not there; nor is one whose project or workspace has gone.
        Err(AccessError::Forbidden(_)) => return Err(PageError::not_found()),
        other => other?,
    };
    let manages = gate.manage_reach(&who.person, scope).await.ok();
    let remove = match &manages {
        None => Remove::Not,
        Some(_) if asked.remove.is_empty() => Remove::Offered,
        Some(_) => Remove::Asked,
    };
    let mut page = desk.one(&seen, grant, remove, clock.now()).await?;
    if let Some(id) = desk.store.federated_grant(grant).await?.grantee.group() {
        page.to = To::Group(gate.view_group(&who.person, id).await.is_ok().then(|| paths::group(id)));
    }
    let extend =
        page.extend.filter(|_| manages.is_some_and(|permit| policy::give_widely(&permit, &page.gives).is_ok()));
    Ok(render(&FederatedPage { frame: Frame::new(&who, Nav::Workspaces), extend, ..page }))
}

/// Takes it back.
pub async fn remove(
    who: SignedIn,
    Path(GrantPath { grant }): Path<GrantPath>,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    let scope = desk.store.federated_grant(grant).await?.scope;
    let permit = gate.manage_reach(&who.person, scope).await?;
    desk.federation.revoke(&permit, grant).await?;
    Ok(Redirect::to(&paths::federated(grant)).into_response())
}

/// Moves its end, on all clusters.
pub async fn extend(
    who: SignedIn,
    Path(GrantPath { grant }): Path<GrantPath>,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<ExtendForm>,
) -> Result<Response, PageError> {
    let scope = desk.store.federated_grant(grant).await?.scope;
    let permit = gate.manage_reach(&who.person, scope).await?;
    let (from, by) = form.read()?;
    match desk.federation.extend(&permit, grant, from, by).await {
        Ok(()) => Ok(Redirect::to(&paths::federated(grant)).into_response()),
        Err(AccessError::Store(StoreError::Stale)) => Err(over(list_of(permit.reach()))),
        Err(other) => Err(other.into()),
    }
}

/// The page that lists what reaches so far.
pub(super) fn list_of(reach: &Reach) -> String {
    match reach {
        Reach::Global => paths::GLOBAL_ACCESS.into(),
        Reach::Workspace(workspace) => paths::workspace_access(workspace.id),
        Reach::Project(workspace, project) => paths::project(workspace.id, project.id),
        Reach::Cluster(_, cluster) => paths::access(cluster.id),
    }
}

impl Desk {
    async fn one(
        &self,
        seen: &Authorized<ViewReach>,
        id: FederatedGrantId,
        remove: Remove,
        now: Timestamp,
    ) -> Result<FederatedPage, PageError> {
        let grant = self.store.federated_grant(id).await?;
        let counts = self.store.placement_count(&grant).await?;
        let placed = self.store.placements(id, A_PAGE).await?;
        let people = people(&self.store, [&grant].into_iter()).await?;
        let live = grant.is_live(now);
        let (class, state) = match (live, counts.removing) {
            (true, _) => progress(&grant.grantee, counts),
            (false, 0) => ("", "taken back everywhere".to_owned()),
            (false, n) => ("waiting", format!("being taken back, {n} to go")),
        };
        let listed = i64::try_from(placed.len()).unwrap_or(i64::MAX);
        Ok(FederatedPage {
            frame: Frame::anonymous(),
            here: paths::federated(id),
            back: list_of(seen.reach()),
            place: place(seen.reach(), &grant),
            kind: holder_kind(&grant.grantee),
            to: if grant.grantee.group().is_some() { To::Group(None) } else { To::One },
            name: named(&grant, &people),
            means: means(&grant.role, matches!(grant.scope, WideScope::Project(_)) || !grant.namespaces.is_empty()),
            role: RoleTag(Some(grant.role.clone())),
            extend: grant.expires_at.filter(|_| live).map(|end| Extend::new(paths::extend_federated(id), end)),
            soon: live && grant.expires_at.is_some_and(|end| end <= now.plus(SOON)),
            gives: grant.role.clone(),
            reason: grant.reason.as_ref().map(|r| r.as_str().to_owned()),
            by: people.get(&grant.created_by).map(|p| p.display().to_owned()),
            made: When::new(grant.created_at, now),
            expires: grant.expires_at.map(|t| When::new(t, now)),
            ended: !live,
            class,
            state,
            done: (counts.applied, counts.wanted()),
            rows: placed.iter().map(|placed| row(placed, seen.sees_workspace(), now)).collect(),
            more: counts.wanted() + counts.removing - listed,
            remove: if live { remove } else { Remove::Not },
            live: counts.pending + counts.removing > 0,
        })
    }
}

/// Where it reaches: “every cluster of Payments”, “namespace shop of staging”.
fn place(reach: &Reach, grant: &FederatedGrant) -> String {
    match (reach, grant.namespaces.as_slice()) {
        (Reach::Cluster(_, cluster), [_, ..]) => {
            format!("{} of {}", Scope::new(cluster.id, grant.namespaces.clone()).in_words(), cluster.name)
        }
        _ => reach.in_words(),
    }
}

fn row(placed: &Placed, linked: bool, now: Timestamp) -> Row {
    let (outcome, state) = grant_state(&placed.grant, now);
    Row {
        who: grantee_name(&placed.grant.grantee, placed.person.as_ref()),
        cluster: placed.cluster.to_string(),
        href: linked.then(|| paths::access(placed.grant.scope.cluster())),
        place: placed.grant.scope.in_words(),
        class: outcome_class(outcome),
        state,
        since: When::new(placed.grant.state_since, now),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster::tests::cluster,
        samples::{HOSTILE, LONG_EMAIL, LONG_NAME, NOW, frame, grant},
    };

    /// A page with as many clusters as it lists, and one about taking it back.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let long = cluster(LONG_NAME);
        let rows = |n: usize| {
            let placed = |n| Placed { cluster: long.name.clone(), grant: grant(&long, n), person: None };
            (0..n).map(|n| row(&placed(n), true, NOW)).collect::<Vec<_>>()
        };
        let draw = |n: usize, remove, ended: bool, to_group: bool| {
            let page = FederatedPage {
                frame: frame().at(Nav::Workspaces),
                here: "/federated/x".into(),
                back: "/workspaces/x/access".into(),
                place: format!("every cluster of {HOSTILE}"),
                kind: "User",
                name: LONG_EMAIL.into(),
                role: RoleTag(Some(Role::Edit)),
                gives: Role::Edit,
                extend: (!ended).then(|| Extend::new("/federated/x/extend".into(), NOW)),
                soon: !ended,
                means: means(&Role::Edit, false),
                reason: Some(HOSTILE.into()),
                by: Some(LONG_EMAIL.into()),
                made: When::new(NOW, NOW),
                expires: Some(When::new(NOW, NOW)),
                ended,
                to: if to_group { To::Group(Some("/groups/x".into())) } else { To::One },
                class: "waiting",
                state: "on 3 of 500 clusters".into(),
                done: (3, 500),
                rows: rows(n),
                more: 440,
                remove,
                live: true,
            };
            page.render().unwrap()
        };
        let all = A_PAGE as usize;
        vec![
            ("federated", draw(all, Remove::Offered, false, false)),
            ("federated-ask", draw(2, Remove::Asked, false, false)),
            ("federated-ended", draw(0, Remove::Not, true, false)),
            ("federated-group", draw(all, Remove::Asked, false, true)),
        ]
    }
}
