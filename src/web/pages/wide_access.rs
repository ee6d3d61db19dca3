//! `/access`, `/workspaces/{workspace}/access` and the access of a project: who has a role on everything that is in reach, how far
//! the clusters have followed, giving it and taking it back. One page for the three, since they differ in their reach alone.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    wide_form::WideForm,
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, Federation, Gate},
    clock::Clock,
    model::{
        federation::{FederatedGrant, WideScope},
        grant::Grantee,
        id::{FederatedGrantId, IdentityId},
        identity::Identity,
        role::Role,
        time::Timestamp,
    },
    oidc::Providers,
    policy::{Authorized, ManageReach},
    store::{PlacementCounts, Store},
    web::{
        Parts,
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, Nav, render_with},
        labels::{RoleTag, counted},
        paths,
        session::SignedIn,
        when::When,
    },
};

/// How many rows a page lists.
const A_PAGE: u32 = 30;

#[derive(Template)]
#[template(path = "pages/workspace_access.html")]
struct WorkspaceAccessPage {
    frame: Frame,
    head: Head,
    wide: Wide,
}

#[derive(Template)]
#[template(path = "pages/global_access.html")]
struct GlobalAccessPage {
    frame: Frame,
    wide: Wide,
}

/// The form and the table.
pub struct Wide {
    /// Where they are.
    pub here: String,
    /// The form's token.
    pub csrf: String,
    /// Whether the form and the buttons are there.
    pub may_change: bool,
    /// What the form's sentence ends with: “on every cluster of Payments”.
    pub place: String,
    /// What was typed.
    pub form: WideForm,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// Where people sign in.
    pub providers: Vec<Choice>,
    /// Who has what.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
    /// Whether this is the first page.
    pub newest: bool,
}

/// A federated grant as a row.
pub struct Row {
    /// `User` or `Group`.
    pub kind: &'static str,
    /// As people call them.
    pub name: String,
    /// The role.
    pub role: RoleTag,
    /// Until when.
    pub expires: Option<When>,
    /// Why it was made.
    pub reason: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// The state's style.
    pub class: &'static str,
    /// How far the clusters have followed, in words.
    pub state: String,
    /// Its own page: a row for each cluster, and the way to take it back.
    pub href: String,
}

/// How far the clusters have followed, in words, with the style of it.
pub(super) fn progress(counts: PlacementCounts) -> (&'static str, String) {
    let clusters = |n: i64| counted(u64::try_from(n).unwrap_or_default(), "cluster");
    if counts.wanted() == 0 {
        return ("", "on no cluster yet".into());
    }
    if counts.failed > 0 {
        return ("failed", format!("{} of {} refused", counts.failed, clusters(counts.wanted())));
    }
    if counts.pending > 0 {
        return ("waiting", format!("on {} of {}", counts.applied, clusters(counts.wanted())));
    }
    ("passed", format!("on {}", clusters(counts.applied)))
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(super) federation: Federation,
    pub(super) store: Store,
    providers: Providers,
    clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            federation: parts.federation.clone(),
            store: parts.store.clone(),
            providers: parts.providers.clone(),
            clock: parts.clock.clone(),
        }
    }
}

/// Which page.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    before: Option<FederatedGrantId>,
}

/// What a request wants of the form and the table.
pub(super) struct Wanted<'a> {
    pub(super) scope: WideScope,
    pub(super) here: String,
    pub(super) place: String,
    pub(super) csrf: &'a str,
    pub(super) may_change: bool,
    pub(super) before: Option<FederatedGrantId>,
    pub(super) form: WideForm,
    pub(super) errors: FieldErrors,
}

impl Desk {
    /// Gives what the form asks for; what is wrong stands at its fields.
    pub(super) async fn give(
        &self,
        permit: &Authorized<ManageReach>,
        form: &WideForm,
        errors: &mut FieldErrors,
    ) -> Result<Option<FederatedGrantId>, AccessError> {
        let Some(request) = form.read(&self.providers, self.clock.now(), errors) else { return Ok(None) };
        match self.federation.grant(permit, request).await {
            Ok(id) => Ok(Some(id)),
            Err(AccessError::Invalid { field, message }) => {
                errors.add(field, message);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) async fn wide(&self, wanted: Wanted<'_>, now: Timestamp) -> Result<Wide, PageError> {
        let page = self.store.federated_grants(wanted.scope, wanted.before, A_PAGE).await?;
        let people = self.people(page.rows.iter().map(|(grant, _)| grant)).await?;
        Ok(Wide {
            rows: page.rows.iter().map(|(grant, counts)| row(grant, *counts, &people, now)).collect(),
            next: page.next.map(|id| format!("{}?before={id}", wanted.here)),
            newest: wanted.before.is_none(),
            providers: wanted.form.providers(&self.providers),
            csrf: wanted.csrf.to_owned(),
            here: wanted.here,
            may_change: wanted.may_change,
            place: wanted.place,
            form: wanted.form,
            errors: wanted.errors,
        })
    }

    /// Whom grants are for and who made them.
    pub(super) async fn people(
        &self,
        grants: impl Iterator<Item = &FederatedGrant>,
    ) -> Result<HashMap<IdentityId, Identity>, PageError> {
        let ids: Vec<IdentityId> = grants
            .flat_map(|grant| {
                let grantee = if let Grantee::Person(id) = grant.grantee { Some(id) } else { None };
                grantee.into_iter().chain([grant.created_by])
            })
            .collect();
        Ok(self.store.identities(&ids).await?.into_iter().map(|p| (p.id, p)).collect())
    }
}

/// Whom a grant is for, as people call them.
pub(super) fn named(grant: &FederatedGrant, people: &HashMap<IdentityId, Identity>) -> String {
    let who = if let Grantee::Person(id) = grant.grantee { people.get(&id) } else { None };
    grantee_name(&grant.grantee, who)
}

fn row(grant: &FederatedGrant, counts: PlacementCounts, people: &HashMap<IdentityId, Identity>, now: Timestamp) -> Row {
    let (class, state) = progress(counts);
    Row {
        kind: kind(&grant.grantee),
        name: named(grant, people),
        role: RoleTag(Some(grant.role.clone())),
        expires: grant.expires_at.map(|t| When::new(t, now)),
        reason: grant.reason.as_ref().map(|r| r.as_str().to_owned()),
        by: people.get(&grant.created_by).map(|p| p.display().to_owned()),
        class,
        state,
        href: paths::federated(grant.id),
    }
}

pub(super) fn kind(grantee: &Grantee) -> &'static str {
    match grantee {
        Grantee::Group(..) => "Group",
        Grantee::Person(_) | Grantee::Email(..) => "User",
    }
}

/// What a role amounts to on each cluster in reach: the words of the form.
pub(super) fn means(role: &Role, namespace: bool) -> &'static str {
    role.amounts_to(!namespace)
}

/// A workspace's page.
pub async fn get(at: AtWorkspace, Query(asked): Query<Asked>, State(desk): State<Desk>) -> Result<Response, PageError> {
    of_workspace(&desk, &at, asked.before, WideForm::default(), FieldErrors::default()).await
}

/// Gives access on every cluster of a workspace.
pub async fn post(
    at: AtWorkspace,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<WideForm>,
) -> Result<Response, PageError> {
    let permit = gate.manage_reach(&at.who.person, WideScope::Workspace(at.id())).await?;
    let mut errors = FieldErrors::default();
    if desk.give(&permit, &form, &mut errors).await?.is_some() {
        return Ok(Redirect::to(&paths::workspace_access(at.id())).into_response());
    }
    of_workspace(&desk, &at, None, form, errors).await
}

async fn of_workspace(
    desk: &Desk,
    at: &AtWorkspace,
    before: Option<FederatedGrantId>,
    form: WideForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let frame = at.frame();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let wanted = Wanted {
        scope: WideScope::Workspace(at.id()),
        here: paths::workspace_access(at.id()),
        place: "on every cluster of this workspace".into(),
        csrf: &frame.csrf,
        may_change: at.manage_access().is_ok() && at.workspace().removing.is_none(),
        before,
        form,
        errors,
    };
    let wide = desk.wide(wanted, at.now).await?;
    Ok(render_with(status, &WorkspaceAccessPage { head: at.head(Tab::Access), frame, wide }))
}

/// The page of access to every cluster.
pub async fn global(
    who: SignedIn,
    Query(asked): Query<Asked>,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
) -> Result<Response, PageError> {
    gate.view_reach(&who.person, WideScope::Global).await?;
    everywhere(&desk, &who, asked.before, WideForm::default(), FieldErrors::default()).await
}

/// Gives access on every cluster.
pub async fn give_everywhere(
    who: SignedIn,
    State(desk): State<Desk>,
    State(gate): State<Gate>,
    ProtectedForm(form): ProtectedForm<WideForm>,
) -> Result<Response, PageError> {
    let permit = gate.manage_reach(&who.person, WideScope::Global).await?;
    let mut errors = FieldErrors::default();
    if desk.give(&permit, &form, &mut errors).await?.is_some() {
        return Ok(Redirect::to(paths::GLOBAL_ACCESS).into_response());
    }
    everywhere(&desk, &who, None, form, errors).await
}

async fn everywhere(
    desk: &Desk,
    who: &SignedIn,
    before: Option<FederatedGrantId>,
    form: WideForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let frame = Frame::new(who, Nav::Workspaces);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let wanted = Wanted {
        scope: WideScope::Global,
        here: paths::GLOBAL_ACCESS.into(),
        place: "on every cluster".into(),
        csrf: &frame.csrf,
        may_change: true,
        before,
        form,
        errors,
    };
    let wide = desk.wide(wanted, desk.clock.now()).await?;
    Ok(render_with(status, &GlobalAccessPage { frame, wide }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        samples::{HOSTILE, LONG_EMAIL, NOW, frame},
        workspace::tests::{head, workspace},
    };

    /// The form and the table, with as many rows as a page has.
    pub(in crate::web) fn wide(rows: usize, wrong: bool) -> Wide {
        let mut errors = FieldErrors::default();
        if wrong {
            for field in ["kind", "name", "role", "expires", "reason"] {
                errors.add(field, HOSTILE);
            }
        }
        let row = |n: i64| {
            let (class, state) = progress(PlacementCounts { applied: 480, pending: n % 3, failed: n % 2, removing: 0 });
            Row {
                kind: "User",
                name: LONG_EMAIL.into(),
                role: RoleTag(Some(Role::Admin)),
                expires: Some(When::new(NOW, NOW)),
                reason: Some(HOSTILE.into()),
                by: Some(LONG_EMAIL.into()),
                class,
                state,
                href: paths::federated(FederatedGrantId::new()),
            }
        };
        Wide {
            here: "/workspaces/x/access".into(),
            csrf: "t".repeat(43),
            may_change: true,
            place: format!("on every cluster of {HOSTILE}"),
            form: WideForm { name: HOSTILE.into(), ..WideForm::default() },
            errors,
            providers: vec![Choice::new("dex", "Dex", "dex"), Choice::new("corp", HOSTILE, "dex")],
            rows: (0..i64::try_from(rows).unwrap()).map(row).collect(),
            next: Some("/workspaces/x/access?before=y".into()),
            newest: false,
        }
    }

    /// A workspace's page and that of everywhere, full, wrong and empty.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let frame = || frame().at(Nav::Workspaces);
        let of_workspace = |wide| {
            let page = WorkspaceAccessPage { frame: frame(), head: head(&workspace(HOSTILE), Tab::Access), wide };
            page.render().unwrap()
        };
        let nobody = Wide { newest: true, next: None, ..wide(0, false) };
        vec![
            ("workspace-access", of_workspace(wide(A_PAGE as usize, false))),
            ("workspace-access-errors", of_workspace(wide(1, true))),
            ("workspace-access-empty", of_workspace(nobody)),
            ("global-access", GlobalAccessPage { frame: frame(), wide: wide(3, false) }.render().unwrap()),
        ]
    }

    #[test]
    fn progress_says_what_stands_and_what_is_in_the_way() {
        let counts = |applied, pending, failed, removing| PlacementCounts { applied, pending, failed, removing };
        for (counts, class, words) in [
            (counts(0, 0, 0, 0), "", "on no cluster yet"),
            (counts(3, 0, 0, 0), "passed", "on 3 clusters"),
            (counts(1, 0, 0, 1), "passed", "on 1 cluster"),
            (counts(2, 1, 0, 0), "waiting", "on 2 of 3 clusters"),
            (counts(2, 1, 1, 0), "failed", "1 of 4 clusters refused"),
        ] {
            assert_eq!(progress(counts), (class, words.to_owned()));
        }
    }
}
