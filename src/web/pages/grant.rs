//! `/clusters/{cluster}/access/{grant}`: one grant on a cluster: what it is, moving its end, and changing it. What a link gave and what
//! reaches further than this cluster is changed where it came from, and the page says where.

use askama::Template;
use axum::{
    extract::{FromRef, Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    access_rows::kind,
    cluster::{AtCluster, Head, Tab},
    extend::{Extend, ExtendForm, over},
    grant_form::ChangeForm,
    roles::{self, OfferedRole},
    scope,
};
use crate::{
    access::{AccessError, Grants, Observer},
    model::{
        cluster::Cluster,
        grant::{Grant, Origin},
        id::GrantId,
        identity::Identity,
        time::Timestamp,
    },
    policy::{self, Authorized, ManageAccess},
    store::{Store, StoreError},
    web::{
        Parts,
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::{RoleTag, grant_state, origin_words, outcome_class},
        paths,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/grant.html")]
struct GrantPage {
    frame: Frame,
    head: Head,
    here: String,
    list: String,
    grant: Shown,
    extend: Option<Extend>,
    /// Whether there is a form at all.
    may_change: bool,
    /// Whether it has role and place.
    rights: bool,
    /// Why not, and where in place of here.
    elsewhere: Option<Elsewhere>,
    form: ChangeForm,
    errors: FieldErrors,
    roles: Vec<OfferedRole>,
    namespaces: Vec<String>,
}

impl GrantPage {
    fn ends(&self) -> Vec<Choice> {
        self.form.expires_options(self.grant.expires.is_some())
    }
}

struct Shown {
    kind: &'static str,
    name: String,
    role: RoleTag,
    place: String,
    class: &'static str,
    state: String,
    made: When,
    by: Option<String>,
    how: &'static str,
    reason: Option<String>,
    expires: Option<When>,
    soon: bool,
}

struct Elsewhere {
    words: &'static str,
    link: Option<(&'static str, String)>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    grants: Grants,
    store: Store,
    observer: Observer,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { grants: parts.grants.clone(), store: parts.store.clone(), observer: parts.observer.clone() }
    }
}

/// The grant of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct GrantPath {
    grant: GrantId,
}

/// The page.
pub async fn get(
    at: AtCluster,
    Path(GrantPath { grant }): Path<GrantPath>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (grant, who) = desk.of(&at, grant).await?;
    if !grant.is_live(at.now) {
        return Err(over(paths::access(at.id())));
    }
    let form = ChangeForm::of(&grant);
    desk.page(&at, &permit, (&grant, who.as_ref()), form, FieldErrors::default()).await
}

/// Changes it.
pub async fn post(
    at: AtCluster,
    Path(GrantPath { grant: id }): Path<GrantPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<ChangeForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (grant, who) = desk.of(&at, id).await?;
    let mut errors = FieldErrors::default();
    if let Some(request) = form.read(&grant, at.now, &mut errors) {
        match desk.grants.change(&permit, id, request).await {
            Ok((now, _)) => return Ok(back(&at, now)),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(AccessError::Store(StoreError::Stale)) => return Err(over(paths::access(at.id()))),
            Err(other) => return Err(other.into()),
        }
    }
    if !grant.is_live(at.now) {
        return Err(over(paths::access(at.id())));
    }
    desk.page(&at, &permit, (&grant, who.as_ref()), form, errors).await
}

/// Moves its end.
pub async fn extend(
    at: AtCluster,
    Path(GrantPath { grant: id }): Path<GrantPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<ExtendForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (from, by) = form.read()?;
    match desk.grants.extend(&permit, id, from, by).await {
        Ok(()) => Ok(back(&at, id)),
        Err(AccessError::Store(StoreError::Stale)) => Err(over(paths::access(at.id()))),
        Err(other) => Err(other.into()),
    }
}

fn back(at: &AtCluster, id: GrantId) -> Response {
    Redirect::to(&format!("{}?granted={id}", paths::access(at.id()))).into_response()
}

impl Desk {
    /// A grant of this cluster.
    async fn of(&self, at: &AtCluster, id: GrantId) -> Result<(Grant, Option<Identity>), PageError> {
        let (grant, who) = self.store.grant(id).await?;
        if grant.scope.cluster() == at.id() { Ok((grant, who)) } else { Err(PageError::not_found()) }
    }

    async fn page(
        &self,
        at: &AtCluster,
        permit: &Authorized<ManageAccess>,
        (grant, who): (&Grant, Option<&Identity>),
        form: ChangeForm,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let may_give = policy::give(permit, grant.role.as_ref()).is_ok();
        let by = self.store.identities(&[grant.created_by]).await?.pop();
        let (namespaces, (roles, _)) = if may_give && grant.origin.is_changed_here() {
            tokio::join!(scope::known(&self.observer, permit), roles::offered(&self.observer, permit))
        } else {
            (Vec::new(), (Vec::new(), None))
        };
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = GrantPage {
            frame: at.frame(),
            head: at.head(Tab::Access),
            form,
            errors,
            roles,
            namespaces,
            ..drawn(at.cluster(), (grant, who), by.as_ref(), may_give, at.now)
        };
        Ok(render_with(status, &page))
    }
}

fn drawn(
    cluster: &Cluster,
    (grant, who): (&Grant, Option<&Identity>),
    by: Option<&Identity>,
    may_give: bool,
    now: Timestamp,
) -> GrantPage {
    let (outcome, state) = grant_state(grant, now);
    let here = may_give && grant.origin.is_extended_here() && cluster.removing.is_none();
    let extend = grant.expires_at.filter(|_| here);
    GrantPage {
        frame: Frame::anonymous(),
        head: Head::of(cluster, now, Tab::Access),
        here: paths::grant(cluster.id, grant.id),
        list: paths::access(cluster.id),
        extend: extend.map(|end| Extend::new(paths::extend_grant(cluster.id, grant.id), end)),
        may_change: here,
        rights: grant.origin.is_changed_here(),
        elsewhere: elsewhere(cluster, grant, may_give),
        form: ChangeForm::of(grant),
        errors: FieldErrors::default(),
        roles: Vec::new(),
        namespaces: Vec::new(),
        grant: Shown {
            kind: kind(&grant.grantee),
            name: grantee_name(&grant.grantee, who),
            role: RoleTag(grant.role.clone()),
            place: grant.scope.in_words(),
            class: outcome_class(outcome),
            state,
            made: When::new(grant.created_at, now),
            by: by.map(|by| by.display().to_owned()),
            how: origin_words(grant.origin),
            reason: grant.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            expires: grant.expires_at.map(|end| When::new(end, now)),
            soon: grant.ends_soon(now),
        },
    }
}

fn elsewhere(cluster: &Cluster, grant: &Grant, may_give: bool) -> Option<Elsewhere> {
    if !may_give {
        let words = "It gives what only owners of the workspace give, so they change it. You can take it back.";
        return Some(Elsewhere { words, link: None });
    }
    match grant.origin {
        Origin::Manual | Origin::Owner | Origin::Request(_) => None,
        Origin::Link(id) => Some(Elsewhere {
            words: "It came by a share link. What the link gives is changed on its page, for whoever accepts it from then on. To \
                    give this person something else, take this back and give them that by name.",
            link: Some(("The share link", paths::link(cluster.id, id))),
        }),
        Origin::Federated(id) => Some(Elsewhere {
            words: "It reaches further than this cluster, and is extended and taken back there, for all of them.",
            link: Some(("The grant", paths::federated(id))),
        }),
        Origin::File(_) => Some(Elsewhere {
            words: "A file that was applied says so, and is where it is changed. What you take back here comes again when the file is \
                    applied again.",
            link: None,
        }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            id::{FederatedGrantId, ShareLinkId},
            reason::Reason,
            role::Role,
        },
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, LONG_EMAIL, NOW, check, frame, grant},
        },
    };

    fn sample(origin: Origin, may_give: bool, wrong: bool) -> String {
        let staging = cluster("staging");
        let mut one = grant(&staging, 2);
        one.grantee = crate::model::grant::Grantee::Email("dex".parse().unwrap(), LONG_EMAIL.parse().unwrap());
        (one.origin, one.reason, one.role) = (origin, Reason::read(HOSTILE).unwrap(), Some(Role::Edit));
        let mut page = GrantPage {
            frame: frame(),
            head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
            roles: roles::tests::offered(),
            namespaces: vec!["payments".into(), "shop".into()],
            ..drawn(&staging, (&one, None), None, may_give, NOW)
        };
        if wrong {
            page.form.namespaces = HOSTILE.into();
            page.form.reason = HOSTILE.into();
            for field in ["role", "namespaces", "expires", "reason"] {
                page.errors.add(field, HOSTILE);
            }
        }
        page.render().unwrap()
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        vec![
            ("grant", sample(Origin::Manual, true, false)),
            ("grant-wrong", sample(Origin::Manual, true, true)),
            ("grant-of-link", sample(Origin::Link(ShareLinkId::new()), true, false)),
            ("grant-federated", sample(Origin::Federated(FederatedGrantId::new()), true, false)),
            ("grant-of-owners", sample(Origin::Manual, false, false)),
        ]
    }

    #[test]
    fn a_page_offers_what_can_be_done_there_and_says_where_the_rest_is() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        for (name, extends, changes, roles) in [
            ("grant", true, true, true),
            ("grant-of-link", true, true, false),
            ("grant-federated", false, false, false),
            ("grant-of-owners", false, false, false),
        ] {
            let has = |words: &str| page(name).contains(words);
            assert_eq!(has(">Extend</button>"), extends, "{name}");
            assert_eq!(has(">Save</button>"), changes, "{name}");
            assert_eq!(has("name=\"role\""), roles, "{name}");
        }
        assert!(page("grant-of-link").contains(">The share link</a>"));
        assert!(page("grant-federated").contains("href=\"/federated/"));
    }
}
