//! `/clusters/{cluster}/links`: make a share link, copy it again, see who accepted it, take it back.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    cluster::{AtCluster, Head, Tab},
    scope,
    share_form::ShareForm,
};
use crate::{
    access::{AccessError, Links, Observer},
    crypto::PlainToken,
    model::{
        id::{IdentityId, ShareLinkId},
        role::Role,
        share_link::{LinkState, ShareLink},
        time::Timestamp,
    },
    store::{Acceptance, Store},
    web::{
        Parts, WebSettings,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::{RoleTag, counted, length, role_sentence, role_word},
        paths,
        when::When,
    },
};

/// How many links a page lists.
const LISTED: u32 = 30;
/// How many names a link's row lists.
const NAMES: usize = 3;

#[derive(Template)]
#[template(path = "pages/links.html")]
struct LinksPage {
    frame: Frame,
    head: Head,
    here: String,
    shown: Option<Shown>,
    revoking: Option<Revoking>,
    form: ShareForm,
    errors: FieldErrors,
    namespaces: Vec<String>,
    meanings: Vec<Meaning>,
    rows: Vec<Row>,
    full: bool,
}

struct Shown {
    new: bool,
    url: String,
    role: RoleTag,
    scope: String,
    lasts: Option<String>,
    expires: When,
}

struct Revoking {
    what: String,
    kept: String,
    action: String,
}

struct Meaning {
    role: RoleTag,
    /// Of which choice this is the meaning, for the styles.
    class: &'static str,
    words: &'static str,
}

struct Row {
    role: RoleTag,
    lasts: Option<String>,
    scope: String,
    made: When,
    by: String,
    expires: When,
    accepted: Vec<Accepted>,
    more: usize,
    open: bool,
    state: &'static str,
    id: ShareLinkId,
}

struct Accepted {
    name: String,
    at: When,
}

/// Which link is shown.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
pub struct Looking {
    /// The one that was just made.
    made: Option<ShareLinkId>,
    /// One of the list.
    show: Option<ShareLinkId>,
    /// One that is about to be taken back.
    revoke: Option<ShareLinkId>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Sources {
    links: Links,
    store: Store,
    observer: Observer,
    settings: Arc<WebSettings>,
}

impl FromRef<Parts> for Sources {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            links: parts.links.clone(),
            store: parts.store.clone(),
            observer: parts.observer.clone(),
            settings: Arc::clone(&parts.settings),
        }
    }
}

/// The page.
pub async fn get(
    at: AtCluster,
    Query(looking): Query<Looking>,
    State(sources): State<Sources>,
) -> Result<Response, PageError> {
    sources.page(&at, Asked { looking, ..Asked::default() }).await
}

/// Makes a link and shows it.
pub async fn post(
    at: AtCluster,
    State(sources): State<Sources>,
    ProtectedForm(form): ProtectedForm<ShareForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let mut errors = FieldErrors::default();
    if let Some(request) = form.read(at.now, &mut errors) {
        match sources.links.share(&permit, request).await {
            Ok((link, _)) => {
                let there = format!("{}?made={}", paths::links(at.id()), link.id);
                return Ok(Redirect::to(&there).into_response());
            }
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    sources.page(&at, Asked { form, errors, ..Asked::default() }).await
}

/// The link of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct LinkPath {
    link: ShareLinkId,
}

/// The address of a removal, opened by itself: asks first, on the page of the links.
pub async fn ask_revoke(at: AtCluster, Path(LinkPath { link }): Path<LinkPath>) -> Redirect {
    Redirect::to(&format!("{}?revoke={link}", paths::links(at.id())))
}

/// Takes it back.
pub async fn revoke(
    at: AtCluster,
    Path(LinkPath { link }): Path<LinkPath>,
    State(sources): State<Sources>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    sources.links.revoke(&at.manage_access()?, link).await?;
    Ok(Redirect::to(&paths::links(at.id())).into_response())
}

/// What a request wants of the page besides its list.
#[derive(Default)]
struct Asked {
    looking: Looking,
    form: ShareForm,
    errors: FieldErrors,
}

impl Sources {
    async fn page(&self, at: &AtCluster, asked: Asked) -> Result<Response, PageError> {
        let permit = at.manage_access()?;
        let (listed, namespaces) =
            tokio::join!(self.links.list(&permit, LISTED), scope::known(&self.observer, &permit));
        let listed = listed?;
        let people = self.people(&listed).await?;
        let status = if asked.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = LinksPage {
            frame: at.frame(),
            head: at.head(Tab::Links),
            here: paths::links(at.id()),
            shown: self.shown(&listed, asked.looking, at.now),
            revoking: asked.looking.revoke.and_then(|id| revoking(&listed, id, at)),
            form: asked.form,
            errors: asked.errors,
            namespaces,
            meanings: meanings(),
            full: listed.len() == LISTED as usize,
            rows: listed.iter().map(|(link, _)| row(link, &people, at.now)).collect(),
        };
        Ok(render_with(status, &page))
    }

    async fn people(&self, listed: &[(ShareLink, Option<PlainToken>)]) -> Result<People, PageError> {
        if listed.is_empty() {
            return Ok(People::default());
        }
        let ids: Vec<ShareLinkId> = listed.iter().map(|(link, _)| link.id).collect();
        let mut makers: Vec<IdentityId> = listed.iter().map(|(link, _)| link.created_by).collect();
        makers.sort();
        makers.dedup();
        let mut people = People::default();
        for identity in self.store.identities(&makers).await? {
            people.makers.insert(identity.id, identity.display().to_owned());
        }
        for (link, acceptance) in self.store.acceptances(&ids).await? {
            people.accepted.entry(link).or_default().push(acceptance);
        }
        Ok(people)
    }

    fn shown(&self, listed: &[(ShareLink, Option<PlainToken>)], looking: Looking, now: Timestamp) -> Option<Shown> {
        let id = looking.made.or(looking.show)?;
        let (link, token) = listed.iter().find(|(link, _)| link.id == id)?;
        if link.state(now) != LinkState::Open {
            return None;
        }
        // The address comes from the configuration alone, never from a header.
        let url = self.settings.public_url.join(&paths::landing(token.as_ref()?.expose())).ok()?;
        Some(Shown {
            new: looking.made.is_some(),
            url: url.into(),
            role: RoleTag(link.role),
            scope: link.scope.in_words(),
            lasts: link.access_lasts.map(length),
            expires: When::new(link.expires_at, now),
        })
    }
}

#[derive(Default)]
struct People {
    makers: HashMap<IdentityId, String>,
    accepted: HashMap<ShareLinkId, Vec<Acceptance>>,
}

/// What each choice of role and place amounts to.
fn meanings() -> Vec<Meaning> {
    let of = |role, class, whole| Meaning { role: RoleTag(role), class, words: role_sentence(role, whole) };
    vec![
        of(None, "none", true),
        of(Some(Role::View), "view all", true),
        of(Some(Role::View), "view part", false),
        of(Some(Role::Edit), "edit all much", true),
        of(Some(Role::Edit), "edit part", false),
        of(Some(Role::Admin), "admin all much", true),
        of(Some(Role::Admin), "admin part", false),
    ]
}

fn revoking(listed: &[(ShareLink, Option<PlainToken>)], id: ShareLinkId, at: &AtCluster) -> Option<Revoking> {
    let (link, _) = listed.iter().find(|(link, _)| link.id == id)?;
    (link.state(at.now) == LinkState::Open).then(|| Revoking {
        what: format!("It gives {} on {}", role_word(link.role), link.scope.in_words()),
        kept: kept(link.uses),
        action: paths::revoke_link(at.id(), id),
    })
}

/// What revoking leaves as it is.
fn kept(uses: i64) -> String {
    match u64::try_from(uses) {
        Ok(n @ 1..) => format!(
            "{} accepted it; access that it gave stays until it ends or is removed under Access.",
            counted(n, "person")
        ),
        _ => "Nobody has accepted it.".into(),
    }
}

fn row(link: &ShareLink, people: &People, now: Timestamp) -> Row {
    let accepted = people.accepted.get(&link.id).map_or(&[][..], Vec::as_slice);
    let all = usize::try_from(link.uses).unwrap_or_default().max(accepted.len());
    let shown = accepted.len().min(NAMES);
    let state = link.state(now);
    Row {
        role: RoleTag(link.role),
        lasts: link.access_lasts.map(length),
        scope: link.scope.in_words(),
        made: When::new(link.created_at, now),
        by: people.makers.get(&link.created_by).cloned().unwrap_or_else(|| "somebody".into()),
        expires: When::new(link.expires_at, now),
        accepted: accepted[..shown]
            .iter()
            .map(|a| Accepted { name: a.name.clone(), at: When::new(a.at, now) })
            .collect(),
        more: all - shown,
        open: state == LinkState::Open,
        state: match state {
            LinkState::Open => "open",
            LinkState::Expired => "expired",
            LinkState::Revoked => "revoked",
        },
        id: link.id,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{id::ClusterId, scope::Scope},
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, NOW, check, frame},
        },
    };

    fn link(uses: i64) -> ShareLink {
        ShareLink {
            id: ShareLinkId::new(),
            role: Some(Role::View),
            scope: Scope::Cluster(ClusterId::new()),
            access_lasts: None,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(100),
            revoked_at: None,
            uses,
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |rows: Vec<Row>, shown: bool, ask: bool, form: ShareForm, errors: FieldErrors| {
            LinksPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Links),
                here: paths::links(staging.id),
                shown: shown.then(|| Shown {
                    new: true,
                    url: "https://kubelend.example.com/s/klsl_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG".into(),
                    role: RoleTag(Some(Role::View)),
                    scope: "the whole cluster".into(),
                    lasts: Some("90 days".into()),
                    expires: When::new(NOW.plus(std::time::Duration::from_hours(168)), NOW),
                }),
                revoking: ask.then(|| Revoking {
                    what: "It gives view on the whole cluster".into(),
                    kept: kept(3),
                    action: "/x".into(),
                }),
                form,
                errors,
                namespaces: (0..200).map(|n| format!("namespace-{n}")).take(100).collect(),
                meanings: meanings(),
                full: rows.len() == LISTED as usize,
                rows,
            }
            .render()
            .unwrap()
        };
        let rows = |count: i64| {
            (0..count)
                .map(|n| {
                    let mut link = link(n % 8);
                    link.expires_at = Timestamp::from_secs(NOW.secs() + 86_400 * (5 - n));
                    link.created_at = Timestamp::from_secs(NOW.secs() - 86_400 * n);
                    link.access_lasts = Some(std::time::Duration::from_hours(2160));
                    let mut people = People::default();
                    let accepted = (0..n % 8).map(|k| Acceptance {
                        identity: IdentityId::new(),
                        name: if k == 0 { HOSTILE.into() } else { format!("person{k}@example.com") },
                        at: link.created_at,
                    });
                    people.accepted.insert(link.id, accepted.collect());
                    people.makers.insert(link.created_by, "alice@example.com".into());
                    row(&link, &people, NOW)
                })
                .collect::<Vec<_>>()
        };
        let mut errors = FieldErrors::default();
        errors.add("namespaces", HOSTILE);
        let wrong = ShareForm { place: scope::SOME.into(), namespaces: HOSTILE.into(), ..ShareForm::default() };
        vec![
            ("links", draw(rows(7), true, false, ShareForm::default(), FieldErrors::default())),
            ("links-revoke", draw(rows(2), false, true, ShareForm::default(), FieldErrors::default())),
            ("links-full", draw(rows(i64::from(LISTED)), false, false, ShareForm::default(), FieldErrors::default())),
            ("links-empty", draw(vec![], false, false, ShareForm::default(), FieldErrors::default())),
            ("links-wrong", draw(vec![], false, false, wrong, errors)),
        ]
    }

    #[test]
    fn a_row_counts_those_whom_it_does_not_name() {
        let link = link(12);
        let mut people = People::default();
        let accepted = (0..7).map(|n| Acceptance {
            identity: IdentityId::new(),
            name: format!("p{n}@example.com"),
            at: Timestamp::from_secs(n),
        });
        people.accepted.insert(link.id, accepted.collect());
        let row = row(&link, &people, Timestamp::from_secs(100));
        assert_eq!((row.accepted.len(), row.more, row.open, row.state), (3, 9, false, "expired"));
        assert!(kept(12).starts_with("12 people accepted it"));
        assert_eq!(kept(0), "Nobody has accepted it.");
    }
}
