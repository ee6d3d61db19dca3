//! `/clusters/{cluster}/ask`: asking for access to a cluster that one knows. To whom it was never lent, it is not there.

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::ask_form::AskForm;
use crate::{
    access::{AccessError, Gate, Requests},
    clock::Clock,
    model::{
        cluster::Cluster,
        grant::Grant,
        id::{ClusterId, GrantId},
        role::Role,
        time::Timestamp,
    },
    policy::{AskAccess, Authorized},
    web::{
        Parts,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, Nav, render_with},
        labels::RoleTag,
        paths,
        session::SignedIn,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/ask.html")]
struct AskPage {
    frame: Frame,
    cluster: String,
    here: String,
    back: &'static str,
    /// Where they give it themselves, who may.
    give: Option<String>,
    held: Vec<Held>,
    form: AskForm,
    /// The custom roles that can be asked for.
    custom: Vec<Role>,
    /// Always none: what namespaces there are is shown to the people who manage the cluster alone.
    namespaces: Vec<String>,
    errors: FieldErrors,
}

/// What they have now.
pub(super) struct Held {
    pub(super) role: RoleTag,
    pub(super) place: String,
    pub(super) until: Option<When>,
}

/// What somebody has now, the most first.
pub(super) fn held(grants: &[Grant], now: Timestamp) -> Vec<Held> {
    let mut grants: Vec<&Grant> = grants.iter().collect();
    grants.sort_by_key(|grant| std::cmp::Reverse(grant.role.clone()));
    let one = |grant: &Grant| Held {
        role: RoleTag(grant.role.clone()),
        place: grant.scope.in_words(),
        until: grant.expires_at.map(|end| When::new(end, now)),
    };
    grants.into_iter().map(one).collect()
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    gate: Gate,
    requests: Requests,
    clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { gate: parts.gate.clone(), requests: parts.requests.clone(), clock: parts.clock.clone() }
    }
}

/// What it is about, where that is something that they have.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    grant: Option<GrantId>,
}

/// The form.
pub async fn get(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(cluster): Path<ClusterId>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let (permit, grants) = desk.gate.ask_access(&who.person, cluster).await?;
    let about = grants.iter().find(|grant| Some(grant.id) == asked.grant);
    let form = about.map_or_else(AskForm::default, AskForm::of);
    desk.page(&who, &permit, &grants, form, FieldErrors::default()).await
}

/// Asks.
pub async fn post(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(cluster): Path<ClusterId>,
    ProtectedForm(form): ProtectedForm<AskForm>,
) -> Result<Response, PageError> {
    let (permit, grants) = desk.gate.ask_access(&who.person, cluster).await?;
    let mut errors = FieldErrors::default();
    if let Some(request) = form.read(&mut errors) {
        match desk.requests.ask(&permit, request).await {
            Ok(_) => return Ok(Redirect::to(&format!("{}#asked", paths::SHARED)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    desk.page(&who, &permit, &grants, form, errors).await
}

impl Desk {
    async fn page(
        &self,
        who: &SignedIn,
        permit: &Authorized<AskAccess>,
        grants: &[Grant],
        form: AskForm,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let id = permit.cluster().id;
        let gives = self.gate.manage_access(&who.person, id).await.is_ok();
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let frame = Frame::new(who, Nav::Shared);
        let custom = self.requests.custom_roles(permit).await?;
        let page = drawn(frame, (permit.cluster(), custom), (grants, self.clock.now()), gives, form, errors);
        Ok(render_with(status, &page))
    }
}

fn drawn(
    frame: Frame,
    (cluster, custom): (&Cluster, Vec<Role>),
    (grants, now): (&[Grant], Timestamp),
    gives: bool,
    form: AskForm,
    errors: FieldErrors,
) -> AskPage {
    AskPage {
        namespaces: Vec::new(),
        frame,
        cluster: cluster.name.to_string(),
        here: paths::ask(cluster.id),
        back: paths::SHARED,
        give: gives.then(|| paths::access(cluster.id)),
        held: held(grants, now),
        custom,
        form,
        errors,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster::tests::cluster,
        samples::{HOSTILE, LONG_NAME, NOW, frame, grant},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let long = cluster(LONG_NAME);
        let grants: Vec<Grant> = (0..4).map(|n| grant(&long, n)).collect();
        let draw = |grants: &[Grant], gives, wrong: bool| {
            let (mut form, mut errors) = (AskForm::default(), FieldErrors::default());
            if wrong {
                (form.namespaces, form.reason) = (HOSTILE.into(), HOSTILE.into());
                for field in ["role", "namespaces", "lasts", "reason"] {
                    errors.add(field, HOSTILE);
                }
            }
            let custom = vec![Role::named(&format!("kubelend:{}:0123abcd", "a".repeat(40))).unwrap(); 50];
            drawn(frame().at(Nav::Shared), (&long, custom), (grants, NOW), gives, form, errors).render().unwrap()
        };
        vec![("ask", draw(&grants, false, false)), ("ask-wrong", draw(&[], true, true))]
    }

    #[test]
    fn who_gives_access_themselves_is_told_where() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        assert!(page("ask-wrong").contains("You give access here yourself"));
        assert!(!page("ask").contains("You give access here yourself"));
    }
}
