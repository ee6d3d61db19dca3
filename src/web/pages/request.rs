//! `/clusters/{cluster}/requests/{request}`: what somebody asks for, what they have there, and the answer.

use askama::Template;
use axum::{
    extract::{FromRef, Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    ask::{Held, held},
    ask_form::AskForm,
    cluster::{AtCluster, Head, Tab},
    roles::{self, OfferedRole},
    scope,
};
use crate::{
    access::{AccessError, Observer, Requests},
    model::{
        access_request::{AccessRequest, RequestState},
        cluster::Cluster,
        grant::Grant,
        id::{AccessRequestId, WorkspaceId},
        identity::Identity,
        reason::Reason,
        time::Timestamp,
    },
    policy::{Authorized, ManageAccess},
    store::{Store, StoreError},
    web::{
        Parts,
        errors::{NextStep, PageError},
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::{RoleTag, length},
        paths,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/request.html")]
struct RequestPage {
    frame: Frame,
    head: Head,
    here: String,
    decline: String,
    list: String,
    asked: Asked,
    /// Whether it waits, so that it can be answered.
    open: bool,
    /// Whether whoever looks is whoever asks.
    own: bool,
    held: Vec<Held>,
    form: AskForm,
    word: String,
    errors: FieldErrors,
    roles: Vec<OfferedRole>,
    namespaces: Vec<String>,
}

/// A request in words.
pub(super) struct Asked {
    pub(super) who: String,
    pub(super) role: RoleTag,
    pub(super) place: String,
    pub(super) lasts: String,
    pub(super) reason: String,
    pub(super) at: When,
    pub(super) until: When,
    pub(super) class: &'static str,
    pub(super) state: String,
}

/// A request in words.
pub(super) fn asked(request: &AccessRequest, who: &str, closer: Option<&Identity>, now: Timestamp) -> Asked {
    let (class, state) = state(request, closer, now);
    Asked {
        who: who.to_owned(),
        role: RoleTag(Some(request.wish.role.clone())),
        place: request.wish.scope.in_words(),
        lasts: request.wish.lasts.map_or_else(|| "with no end".to_owned(), |span| format!("for {}", length(span))),
        reason: request.wish.reason.as_str().to_owned(),
        at: When::new(request.asked_at, now),
        until: When::new(request.until, now),
        class,
        state,
    }
}

/// What became of it, with its style.
fn state(request: &AccessRequest, closer: Option<&Identity>, now: Timestamp) -> (&'static str, String) {
    let by = closer.map(|closer| format!(" by {}", closer.display())).unwrap_or_default();
    match &request.state {
        RequestState::Pending if request.is_open(now) => ("waiting", "waits for an answer".into()),
        RequestState::Approved(_) => ("passed", format!("approved{by}")),
        RequestState::Declined(None) => ("failed", format!("declined{by}")),
        RequestState::Declined(Some(word)) => ("failed", format!("declined{by}: “{}”", word.as_str())),
        RequestState::Withdrawn => ("skipped", "taken back".into()),
        RequestState::Pending | RequestState::Lapsed => ("skipped", "nobody answered within 14 days".into()),
    }
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    requests: Requests,
    store: Store,
    observer: Observer,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { requests: parts.requests.clone(), store: parts.store.clone(), observer: parts.observer.clone() }
    }
}

/// The request of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct RequestPath {
    request: AccessRequestId,
}

/// The answer “no”, as it is typed.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct DeclineForm {
    word: String,
}

/// The page.
pub async fn get(
    at: AtCluster,
    Path(RequestPath { request }): Path<RequestPath>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (request, who) = desk.requests.of(&permit, request).await?;
    let form = AskForm::answering(&request.wish);
    desk.page(&at, &permit, (&request, &who), (form, String::new()), FieldErrors::default()).await
}

/// Says yes, to what was asked or to what the form says instead.
pub async fn post(
    at: AtCluster,
    Path(RequestPath { request: id }): Path<RequestPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<AskForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (request, who) = desk.requests.of(&permit, id).await?;
    let mut errors = FieldErrors::default();
    if let Some(answer) = form.answer(&mut errors) {
        match desk.requests.approve(&permit, id, answer).await {
            Ok((grant, _)) => {
                return Ok(Redirect::to(&format!("{}?granted={grant}", paths::access(at.id()))).into_response());
            }
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(error) => return Err(answered(error, at.cluster().workspace)),
        }
    }
    desk.page(&at, &permit, (&request, &who), (form, String::new()), errors).await
}

/// Says no.
pub async fn decline(
    at: AtCluster,
    Path(RequestPath { request: id }): Path<RequestPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<DeclineForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (request, who) = desk.requests.of(&permit, id).await?;
    let mut errors = FieldErrors::default();
    if let Some(word) = errors.keep("word", Reason::read(&form.word)) {
        return match desk.requests.decline(&permit, id, word).await {
            Ok(()) => Ok(Redirect::to(&paths::requests(at.cluster().workspace)).into_response()),
            Err(error) => Err(answered(error, at.cluster().workspace)),
        };
    }
    let answer = AskForm::answering(&request.wish);
    desk.page(&at, &permit, (&request, &who), (answer, form.word), errors).await
}

/// Somebody was quicker, or whoever asked took it back.
fn answered(error: AccessError, workspace: WorkspaceId) -> PageError {
    if !matches!(error, AccessError::Store(StoreError::Stale)) {
        return error.into();
    }
    PageError::new(
        StatusCode::CONFLICT,
        "It has been answered already",
        "Somebody else was quicker, whoever asked took it back, or its 14 days are over. Nothing was done.",
    )
    .with_next(NextStep::new("See what waits", paths::requests(workspace)))
}

impl Desk {
    async fn page(
        &self,
        at: &AtCluster,
        permit: &Authorized<ManageAccess>,
        (request, who): (&AccessRequest, &Identity),
        (form, word): (AskForm, String),
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let closer = match request.closed_by {
            Some(id) => Some(self.store.identity(id).await?),
            None => None,
        };
        let grants = self.store.grants_reaching(who, Some(at.id()), at.now).await?;
        let (namespaces, (roles, _)) =
            tokio::join!(scope::known(&self.observer, permit), roles::offered(&self.observer, permit));
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = RequestPage {
            frame: at.frame(),
            head: at.head(Tab::Access),
            own: who.id == permit.person().identity().id,
            form,
            word,
            errors,
            roles,
            namespaces,
            ..drawn(at.cluster(), (request, who.display(), closer.as_ref()), &grants, at.now)
        };
        Ok(render_with(status, &page))
    }
}

fn drawn(
    cluster: &Cluster,
    (request, who, closer): (&AccessRequest, &str, Option<&Identity>),
    grants: &[Grant],
    now: Timestamp,
) -> RequestPage {
    RequestPage {
        frame: Frame::anonymous(),
        head: Head::of(cluster, now, Tab::Access),
        here: paths::request(cluster.id, request.id),
        decline: paths::decline_request(cluster.id, request.id),
        list: paths::requests(cluster.workspace),
        asked: asked(request, who, closer, now),
        open: request.is_open(now),
        own: false,
        held: held(grants, now),
        form: AskForm::answering(&request.wish),
        word: String::new(),
        errors: FieldErrors::default(),
        roles: Vec::new(),
        namespaces: Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            access_request::Wish,
            id::{ClusterId, GrantId, IdentityId},
            role::Role,
            scope::Scope,
        },
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, LONG_EMAIL, NOW, check, frame, grant},
        },
    };

    /// Somebody asks for something.
    pub(in crate::web::pages) fn request(cluster: ClusterId, state: RequestState) -> AccessRequest {
        AccessRequest {
            id: AccessRequestId::new(),
            by: IdentityId::new(),
            wish: Wish {
                role: Role::Edit,
                scope: Scope::Namespaces(cluster, vec!["payments".parse().unwrap(), "shop".parse().unwrap()]),
                lasts: Some(std::time::Duration::from_hours(30 * 24)),
                reason: Reason::read(HOSTILE).unwrap().unwrap(),
            },
            asked_at: NOW,
            until: NOW.plus(crate::model::access_request::LASTS),
            state,
            closed_at: None,
            closed_by: None,
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let grants: Vec<Grant> = (0..3).map(|n| grant(&staging, n)).collect();
        let draw = |state, own, wrong: bool| {
            let request = request(staging.id, state);
            let mut page = RequestPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
                own,
                roles: roles::tests::offered(),
                namespaces: vec!["payments".into(), "shop".into()],
                ..drawn(&staging, (&request, LONG_EMAIL, None), &grants, NOW)
            };
            if wrong {
                (page.form.namespaces, page.word) = (HOSTILE.into(), HOSTILE.into());
                for field in ["role", "namespaces", "lasts", "word"] {
                    page.errors.add(field, HOSTILE);
                }
            }
            page.render().unwrap()
        };
        vec![
            ("request", draw(RequestState::Pending, false, false)),
            ("request-wrong", draw(RequestState::Pending, true, true)),
            ("request-approved", draw(RequestState::Approved(GrantId::new()), false, false)),
            ("request-declined", draw(RequestState::Declined(Reason::read(HOSTILE).unwrap()), false, false)),
        ]
    }

    #[test]
    fn what_waits_has_its_buttons_and_ones_own_is_said_to_be() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        for (name, open) in [("request", true), ("request-approved", false), ("request-declined", false)] {
            assert_eq!(page(name).contains(">Approve</button>"), open, "{name}");
            assert_eq!(page(name).contains(">Decline</button>"), open, "{name}");
        }
        assert!(page("request-wrong").contains("This is your own request"));
        assert!(!page("request").contains("This is your own request"));
    }
}
