//! `/clusters/{cluster}/links`: make a share link, and see all of them: for whom, how often used, in which state. What can be done
//! with one is on its own page ([`link`](super::link)).

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access_form::{NamedProvider, named_providers},
    cluster::{AtCluster, Head, Tab},
    link_words::{self, Meaning},
    roles::{self, OfferedRole},
    scope,
    share_form::{ShareForm, asks_for_provider},
};
use crate::{
    access::{AccessError, Links, Observer},
    model::{
        id::{IdentityId, ShareLinkId},
        share_link::{LinkState, ShareLink},
        time::Timestamp,
    },
    oidc::Providers,
    store::{Acceptance, Store},
    web::{
        Parts,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::{RoleTag, length},
        paths,
        when::When,
    },
};

/// How many links a page lists.
const LISTED: u8 = 25;
/// How many names a link's row lists.
const NAMES: usize = 3;

#[derive(Template)]
#[template(path = "pages/links.html")]
struct LinksPage {
    frame: Frame,
    head: Head,
    here: String,
    form: ShareForm,
    errors: FieldErrors,
    fields: Fields,
    rows: Vec<Row>,
    before: bool,
    next: Option<ShareLinkId>,
}

/// What the form's fields are made with, besides what is typed in them.
#[derive(Default)]
pub struct Fields {
    /// The cluster's namespaces.
    pub namespaces: Vec<String>,
    /// The roles that it offers besides those that every cluster has.
    pub roles: Vec<OfferedRole>,
    /// What each choice of role and place amounts to.
    pub meanings: Vec<Meaning>,
    /// The providers that it trusts.
    pub providers: Vec<NamedProvider>,
    /// The page that says what each role allows.
    pub rules: String,
}

impl Fields {
    /// Whether the form must ask whose people are meant.
    pub fn ask_provider(&self) -> bool {
        asks_for_provider(&self.providers)
    }
}

struct Row {
    id: ShareLinkId,
    role: RoleTag,
    lasts: Option<String>,
    scope: String,
    whom: String,
    made: When,
    by: String,
    expires: When,
    uses: String,
    accepted: Vec<Accepted>,
    more: usize,
    living: bool,
    state: &'static str,
}

struct Accepted {
    name: String,
    at: When,
}

/// What the list's button asks for.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
pub struct Looking {
    /// One that is about to be taken back.
    revoke: Option<ShareLinkId>,
    /// Where the page of the list begins.
    before: Option<ShareLinkId>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(super) links: Links,
    pub(super) store: Store,
    observer: Observer,
    providers: Providers,
}

impl FromRef<Parts> for Sources {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            links: parts.links.clone(),
            store: parts.store.clone(),
            observer: parts.observer.clone(),
            providers: parts.providers.clone(),
        }
    }
}

/// The page.
pub async fn get(
    at: AtCluster,
    Query(looking): Query<Looking>,
    State(sources): State<Sources>,
) -> Result<Response, PageError> {
    match looking.revoke {
        Some(link) => Ok(Redirect::to(&paths::revoke_link(at.id(), link)).into_response()),
        None => sources.page(&at, ShareForm::default(), FieldErrors::default(), looking.before).await,
    }
}

/// Makes a link and shows it.
pub async fn post(
    at: AtCluster,
    State(sources): State<Sources>,
    ProtectedForm(form): ProtectedForm<ShareForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let mut errors = FieldErrors::default();
    let groups = sources.store.groups_usable_in(Some(at.cluster().workspace)).await?;
    if let Some(request) = form.read((at.cluster(), &groups), None, at.now, &mut errors) {
        match sources.links.share(&permit, request).await {
            Ok((link, _)) => {
                let there = format!("{}?made=1", paths::link(at.id(), link.id));
                return Ok(Redirect::to(&there).into_response());
            }
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    sources.page(&at, form, errors, None).await
}

impl Sources {
    async fn page(
        &self,
        at: &AtCluster,
        form: ShareForm,
        errors: FieldErrors,
        before: Option<ShareLinkId>,
    ) -> Result<Response, PageError> {
        at.manage_access()?;
        // One more than is shown tells whether there is a next page.
        let listed = self.store.links_of_cluster(at.id(), before, u32::from(LISTED) + 1);
        let (listed, fields) = tokio::join!(listed, self.fields(at, &form.provider));
        let mut listed = listed?;
        let more = listed.len() > usize::from(LISTED);
        listed.truncate(LISTED.into());
        let people = self.people(&listed, at.now).await?;
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = LinksPage {
            frame: at.frame(),
            head: at.head(Tab::Links),
            here: paths::links(at.id()),
            form,
            errors,
            fields: fields?,
            before: before.is_some(),
            next: listed.last().map(|link| link.id).filter(|_| more),
            rows: listed.iter().map(|link| row(link, &people, at.now)).collect(),
        };
        Ok(render_with(status, &page))
    }

    /// What the form needs of the cluster, within 2 s.
    pub(super) async fn fields(&self, at: &AtCluster, provider: &str) -> Result<Fields, PageError> {
        let permit = at.manage_access()?;
        let (namespaces, (roles, _)) =
            tokio::join!(scope::known(&self.observer, &permit), roles::offered(&self.observer, &permit));
        Ok(Fields {
            meanings: link_words::meanings(&roles),
            providers: named_providers(at.cluster(), &self.providers, provider),
            rules: paths::roles(at.id(), None, ""),
            namespaces,
            roles,
        })
    }

    /// Who made these links, and who accepted them.
    pub(super) async fn people(&self, listed: &[ShareLink], now: Timestamp) -> Result<People, PageError> {
        if listed.is_empty() {
            return Ok(People::default());
        }
        let ids: Vec<ShareLinkId> = listed.iter().map(|link| link.id).collect();
        let mut makers: Vec<IdentityId> = listed.iter().map(|link| link.created_by).collect();
        makers.sort();
        makers.dedup();
        let mut people = People::default();
        for identity in self.store.identities(&makers).await? {
            people.makers.insert(identity.id, identity.display().to_owned());
        }
        for (link, acceptance) in self.store.acceptances(&ids, now).await? {
            people.accepted.entry(link).or_default().push(acceptance);
        }
        Ok(people)
    }
}

/// The people around links.
#[derive(Default)]
pub(super) struct People {
    makers: HashMap<IdentityId, String>,
    accepted: HashMap<ShareLinkId, Vec<Acceptance>>,
}

impl People {
    pub(super) fn maker(&self, link: &ShareLink) -> String {
        self.makers.get(&link.created_by).cloned().unwrap_or_else(|| "somebody".into())
    }

    /// Those who accepted it, latest first; of very many only the latest.
    pub(super) fn accepted(&self, link: &ShareLink) -> &[Acceptance] {
        self.accepted.get(&link.id).map_or(&[][..], Vec::as_slice)
    }
}

fn row(link: &ShareLink, people: &People, now: Timestamp) -> Row {
    let accepted = people.accepted(link);
    let all = usize::try_from(link.uses).unwrap_or_default().max(accepted.len());
    let shown = accepted.len().min(NAMES);
    let (rules, state) = (&link.rules, link.state(now));
    Row {
        id: link.id,
        role: RoleTag(rules.role.clone()),
        lasts: rules.access_lasts.map(length),
        scope: rules.scope.in_words(),
        whom: link_words::for_whom(&rules.audience),
        made: When::new(link.created_at, now),
        by: people.maker(link),
        expires: When::new(rules.expires_at, now),
        uses: link_words::uses(link),
        accepted: accepted[..shown]
            .iter()
            .map(|a| Accepted { name: a.name.clone(), at: When::new(a.at, now) })
            .collect(),
        more: all - shown,
        living: !matches!(state, LinkState::Expired | LinkState::Revoked),
        state: link_words::state_word(state),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{audience::Audience, id::ClusterId, role::Role, scope::Scope, share_link::LinkRules},
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, NOW, check, frame},
        },
    };

    pub(in crate::web::pages) fn link(uses: i64) -> ShareLink {
        ShareLink {
            id: ShareLinkId::new(),
            rules: LinkRules {
                role: Some(Role::View),
                scope: Scope::Cluster(ClusterId::new()),
                access_lasts: None,
                expires_at: Timestamp::from_secs(100),
                max_uses: None,
                audience: Audience::Anyone,
                note: None,
                reason: None,
            },
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            paused_at: None,
            uses,
            vouch: None,
        }
    }

    pub(in crate::web::pages) fn fields() -> Fields {
        let roles = roles::tests::offered();
        Fields {
            namespaces: (0..100).map(|n| format!("namespace-{n}")).collect(),
            meanings: link_words::meanings(&roles),
            roles,
            providers: vec![],
            rules: "/x".into(),
        }
    }

    pub(in crate::web::pages) fn acceptances(link: &ShareLink, count: i64) -> People {
        let mut people = People::default();
        let accepted = (0..count).map(|k| Acceptance {
            identity: IdentityId::new(),
            name: if k == 0 { HOSTILE.into() } else { format!("person{k}@example.com") },
            at: link.created_at,
            holds: k % 2 == 0,
        });
        people.accepted.insert(link.id, accepted.collect());
        people.makers.insert(link.created_by, "alice@example.com".into());
        people
    }

    fn rows(count: i64) -> Vec<Row> {
        let one = |n: i64| {
            let mut link = link(n % 8);
            link.rules.expires_at = Timestamp::from_secs(NOW.secs() + 86_400 * (5 - n));
            link.rules.access_lasts = Some(std::time::Duration::from_hours(2160));
            link.rules.audience =
                Audience::Listed("dex".parse().unwrap(), Audience::parse_guests("group:<b>, a@x.com").unwrap());
            link.created_at = Timestamp::from_secs(NOW.secs() - 86_400 * n);
            link.paused_at = (n == 1).then_some(NOW);
            let people = acceptances(&link, n % 8);
            row(&link, &people, NOW)
        };
        (0..count).map(one).collect()
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |rows: Vec<Row>, form: ShareForm, errors: FieldErrors| {
            LinksPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Links),
                here: paths::links(staging.id),
                form,
                errors,
                fields: fields(),
                before: rows.len() == usize::from(LISTED),
                next: (rows.len() == usize::from(LISTED)).then(ShareLinkId::new),
                rows,
            }
            .render()
            .unwrap()
        };
        let mut errors = FieldErrors::default();
        for field in ["role", "namespaces", "only_for", "uses", "note", "reason", "expires"] {
            errors.add(field, HOSTILE);
        }
        let wrong = ShareForm {
            place: scope::SOME.into(),
            namespaces: HOSTILE.into(),
            only_for: HOSTILE.into(),
            note: HOSTILE.into(),
            reason: HOSTILE.into(),
            uses: HOSTILE.into(),
            ..ShareForm::default()
        };
        vec![
            ("links", draw(rows(7), ShareForm::default(), FieldErrors::default())),
            ("links-full", draw(rows(LISTED.into()), ShareForm::default(), FieldErrors::default())),
            ("links-empty", draw(vec![], ShareForm::default(), FieldErrors::default())),
            ("links-wrong", draw(vec![], wrong, errors)),
        ]
    }

    #[test]
    fn a_row_counts_those_whom_it_does_not_name() {
        let mut link = link(12);
        let people = acceptances(&link, 7);
        let shown = row(&link, &people, Timestamp::from_secs(100));
        assert_eq!((shown.accepted.len(), shown.more, shown.living, shown.state), (3, 9, false, "expired"));
        assert_eq!(shown.uses, "12 people");
        link.rules.max_uses = std::num::NonZeroU32::new(12);
        let shown = row(&link, &people, Timestamp::from_secs(99));
        assert_eq!((shown.uses.as_str(), shown.living, shown.state), ("12 of 12 people", true, "used up"));
    }
}
