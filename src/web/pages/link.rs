//! `/clusters/{cluster}/links/{link}`: one share link: its address to copy, as a QR code and in words to send, its rules to change,
//! who accepted it and what they still hold, a rest, and its end with or without the access that it gave.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    cluster::{AtCluster, Head, Tab},
    link_words,
    links::{Fields, People, Sources},
    roles,
    share_form::ShareForm,
};
use crate::{
    access::AccessError,
    crypto::PlainToken,
    model::{
        id::ShareLinkId,
        name::Namespace,
        role::Role,
        scope::Scope,
        share_link::{LinkRules, LinkState, ShareLink},
        time::Timestamp,
    },
    policy,
    web::{
        WebSettings,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::{RoleTag, counted, length, role_sentence, role_word},
        paths,
        qr::{self, QrCode},
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/link.html")]
struct LinkPage {
    frame: Frame,
    head: Head,
    here: String,
    list: String,
    new: bool,
    link: ShareLink,
    state_word: &'static str,
    state_sentence: &'static str,
    address: Option<Address>,
    /// Whether the address is kept from them, since they could not have made the link.
    kept: bool,
    preview: Preview,
    role: RoleTag,
    /// What its role allows.
    rules: Option<String>,
    whom: String,
    uses: String,
    made: When,
    by: String,
    expires: When,
    accepted: Vec<Accepted>,
    more: usize,
    revoking: Option<Revoking>,
    rest: String,
    revoke: String,
    form: ShareForm,
    errors: FieldErrors,
    fields: Fields,
}

struct Address {
    url: String,
    chat: String,
    qr: Option<QrCode>,
}

/// What the visitor will see.
struct Preview {
    lender: String,
    cluster: String,
    lasts: Option<String>,
    scope: String,
    words: String,
}

struct Accepted {
    name: String,
    at: When,
    holds: bool,
}

struct Revoking {
    /// “view on the whole cluster: 3 people”.
    held: Vec<String>,
    holders: u64,
    action: String,
}

/// How the page was come to.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Looking {
    /// Set where it was just made.
    made: Option<String>,
}

/// The link of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct LinkPath {
    link: ShareLinkId,
}

/// The page.
pub async fn get(
    at: AtCluster,
    Path(LinkPath { link }): Path<LinkPath>,
    Query(looking): Query<Looking>,
    State(sources): State<Sources>,
    State(settings): State<Arc<WebSettings>>,
) -> Result<Response, PageError> {
    let asked = Asked { new: looking.made.is_some(), ..Asked::default() };
    sources.link_page(&at, &settings, link, asked).await
}

/// Changes its rules.
pub async fn post(
    at: AtCluster,
    Path(LinkPath { link }): Path<LinkPath>,
    State(sources): State<Sources>,
    State(settings): State<Arc<WebSettings>>,
    ProtectedForm(form): ProtectedForm<ShareForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let (was, _) = sources.links.look(&permit, link).await?;
    let mut errors = FieldErrors::default();
    let groups = sources.store.groups_usable_in(Some(at.cluster().workspace)).await?;
    if let Some(request) = form.read((at.cluster(), &groups), Some(&was.rules), at.now, &mut errors) {
        match sources.links.change(&permit, link, request).await {
            Ok(()) => return Ok(Redirect::to(&paths::link(at.id(), link)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    sources.link_page(&at, &settings, link, Asked { form: Some(form), errors, ..Asked::default() }).await
}

/// Whether a link is to rest.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct Rest {
    rests: bool,
}

/// Lets it rest, or opens it again.
pub async fn rest(
    at: AtCluster,
    Path(LinkPath { link }): Path<LinkPath>,
    State(sources): State<Sources>,
    ProtectedForm(Rest { rests }): ProtectedForm<Rest>,
) -> Result<Response, PageError> {
    sources.links.rest(&at.manage_access()?, link, rests).await?;
    Ok(Redirect::to(&paths::link(at.id(), link)).into_response())
}

/// Asks before it is taken back: who would lose what.
pub async fn ask_revoke(
    at: AtCluster,
    Path(LinkPath { link }): Path<LinkPath>,
    State(sources): State<Sources>,
    State(settings): State<Arc<WebSettings>>,
) -> Result<Response, PageError> {
    sources.link_page(&at, &settings, link, Asked { revoking: true, ..Asked::default() }).await
}

/// What is to end with the link.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Revocation {
    /// `take` to take the access back that it gave.
    access: String,
}

/// Takes it back.
pub async fn revoke(
    at: AtCluster,
    Path(LinkPath { link }): Path<LinkPath>,
    State(sources): State<Sources>,
    ProtectedForm(revocation): ProtectedForm<Revocation>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    if revocation.access == "take" {
        sources.links.revoke_with_access(&permit, link).await?;
    } else {
        sources.links.revoke(&permit, link).await?;
    }
    Ok(Redirect::to(&paths::links(at.id())).into_response())
}

/// What a request wants of the page.
#[derive(Default)]
struct Asked {
    new: bool,
    revoking: bool,
    form: Option<ShareForm>,
    errors: FieldErrors,
}

impl Sources {
    async fn link_page(
        &self,
        at: &AtCluster,
        settings: &WebSettings,
        id: ShareLinkId,
        asked: Asked,
    ) -> Result<Response, PageError> {
        let permit = at.manage_access()?;
        let (link, token) = self.links.look(&permit, id).await?;
        let kept = policy::hand_on(&permit, &link).is_err();
        let listed = [link];
        let people = self.people(&listed, at.now).await?;
        let [link] = listed;
        let form = asked.form.clone().unwrap_or_else(|| ShareForm::of(&link.rules));
        let fields = self.fields(at, &form.provider).await?;
        let revoking = if asked.revoking { Some(self.revoking(at, &link).await?) } else { None };
        let status = if asked.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let address = token.and_then(|token| address(&link, &token, at, settings));
        let shown = Shown { link, people, address, kept, revoking, fields, form };
        Ok(render_with(status, &page(at.frame(), at.head(Tab::Links), shown, asked, at)))
    }

    async fn revoking(&self, at: &AtCluster, link: &ShareLink) -> Result<Revoking, PageError> {
        let held = self.store.held_of_link(link, at.now).await?;
        Ok(revoking(&held, paths::revoke_link(at.id(), link.id)))
    }
}

struct Shown {
    link: ShareLink,
    people: People,
    address: Option<Address>,
    kept: bool,
    revoking: Option<Revoking>,
    fields: Fields,
    form: ShareForm,
}

fn page(frame: Frame, head: Head, shown: Shown, asked: Asked, at: &AtCluster) -> LinkPage {
    draw(frame, head, shown, asked, at.cluster().name.as_str(), at.now)
}

fn draw(frame: Frame, head: Head, shown: Shown, asked: Asked, cluster: &str, now: Timestamp) -> LinkPage {
    let Shown { link, people, address, kept, revoking, fields, form } = shown;
    let state = link.state(now);
    let (at, accepted) = (link.rules.scope.cluster(), people.accepted(&link));
    LinkPage {
        frame,
        head,
        here: paths::link(at, link.id),
        list: paths::links(at),
        rest: paths::rest_link(at, link.id),
        revoke: paths::revoke_link(at, link.id),
        new: asked.new,
        state_word: link_words::state_word(state),
        state_sentence: link_words::state_sentence(state),
        address,
        kept,
        preview: preview(&link.rules, &people.maker(&link), cluster, &fields),
        role: RoleTag(link.rules.role.clone()),
        rules: link
            .rules
            .role
            .as_ref()
            .map(|role| paths::roles(at, Some(&roles::value(Some(role))), place_of(&link.rules))),
        whom: link.rules.audience.in_words(),
        uses: link_words::uses(&link),
        made: When::new(link.created_at, now),
        by: people.maker(&link),
        expires: When::new(link.rules.expires_at, now),
        accepted: accepted
            .iter()
            .map(|a| Accepted { name: a.name.clone(), at: When::new(a.at, now), holds: a.holds })
            .collect(),
        more: usize::try_from(link.uses).unwrap_or_default().saturating_sub(accepted.len()),
        revoking,
        form,
        errors: asked.errors,
        fields,
        link,
    }
}

/// Where its role stands, if it is a namespace's own.
fn place_of(rules: &LinkRules) -> &str {
    let local = rules.role.as_ref().is_some_and(Role::is_local);
    rules.scope.namespaces().first().filter(|_| local).map_or("", Namespace::as_str)
}

/// The address comes from the configuration alone, never from a header. A link that opens nothing has none to hand on.
fn address(link: &ShareLink, token: &PlainToken, at: &AtCluster, settings: &WebSettings) -> Option<Address> {
    if matches!(link.state(at.now), LinkState::Revoked | LinkState::Expired) {
        return None;
    }
    let url: String = settings.public_url.join(&paths::landing(token.expose())).ok()?.into();
    Some(Address { chat: chat(&link.rules, at.cluster().name.as_str(), &url, at.now), qr: qr::code(&url), url })
}

/// Words to send along.
fn chat(rules: &LinkRules, cluster: &str, url: &str, now: Timestamp) -> String {
    let what = match &rules.role {
        Some(role) => format!("you get {role} on {}", rules.scope.in_words()),
        None => "you get a kubeconfig for it".into(),
    };
    let lasts = rules.access_lasts.map(|span| format!(" for {}", length(span))).unwrap_or_default();
    let until = When::new(rules.expires_at, now).day;
    format!("I lend you the Kubernetes cluster {cluster}: {what}{lasts}. Open this link and sign in, by {until}: {url}")
}

fn preview(rules: &LinkRules, lender: &str, cluster: &str, fields: &Fields) -> Preview {
    let offered = rules.role.as_ref().and_then(|role| fields.roles.iter().find(|o| o.role == *role));
    let words = match (offered, &rules.role) {
        (Some(offered), Some(role)) if !role.is_everywhere() => offered.words.clone(),
        (_, Some(role)) => link_words::to_them(role.amounts_to(rules.scope.is_whole_cluster())),
        (_, None) => role_sentence(None, true).replace("they have", "you have"),
    };
    Preview {
        lender: lender.to_owned(),
        cluster: cluster.to_owned(),
        lasts: rules.access_lasts.map(length),
        scope: rules.scope.in_words(),
        words,
    }
}

fn revoking(held: &[(Option<Role>, Scope, i64)], action: String) -> Revoking {
    let count = |n: &i64| u64::try_from(*n).unwrap_or_default();
    let line = |(role, scope, n): &(Option<Role>, Scope, i64)| {
        format!("{}: {} on {}", counted(count(n), "person"), role_word(role.as_ref()), scope.in_words())
    };
    Revoking { held: held.iter().map(line).collect(), holders: held.iter().map(|(_, _, n)| count(n)).sum(), action }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{audience::Audience, id::ClusterId, reason::Reason},
        web::pages::{
            cluster::tests::{cluster, head},
            links::tests::{acceptances, fields, link},
            samples::{HOSTILE, NOW, check, frame},
        },
    };

    fn a_link() -> ShareLink {
        let mut link = link(60);
        link.rules.expires_at = NOW.plus(Duration::from_hours(168));
        link.rules.access_lasts = Some(Duration::from_hours(2160));
        link.rules.note = Some(HOSTILE.parse().unwrap());
        link.rules.reason = Reason::read(HOSTILE).unwrap();
        link.rules.max_uses = std::num::NonZeroU32::new(70);
        let guests = (0..98).map(|n| format!("person.with.a.name{n}@example.com")).collect::<Vec<_>>().join(",");
        let guests = Audience::parse_guests(&format!("{guests}, group:{}", HOSTILE.replace(',', " "))).unwrap();
        link.rules.audience = Audience::Listed("dex".parse().unwrap(), guests);
        link
    }

    fn sample(link: ShareLink, address: bool, revoking: Option<Revoking>, asked: Asked) -> String {
        let staging = cluster("staging");
        let url = "https://kubelend.example.com/s/kls_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG0123456789";
        let shown = Shown {
            people: acceptances(&link, 50),
            address: address.then(|| Address {
                chat: chat(&link.rules, "staging", url, NOW),
                qr: qr::code(url),
                url: url.into(),
            }),
            kept: false,
            revoking,
            fields: fields(),
            form: ShareForm::of(&link.rules),
            link,
        };
        let head = head(&staging, Some(&check(true, false)), NOW, Tab::Links);
        draw(frame(), head, shown, asked, "staging", NOW).render().unwrap()
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let mut paused = a_link();
        paused.paused_at = Some(NOW);
        let mut revoked = a_link();
        revoked.revoked_at = Some(NOW);
        let held = [
            (Some(Role::View), Scope::Cluster(ClusterId::new()), 3),
            (Role::named("log-reader").ok(), Scope::Cluster(ClusterId::new()), 1),
        ];
        let mut errors = FieldErrors::default();
        errors.add("only_for", HOSTILE);
        vec![
            ("link", sample(a_link(), true, None, Asked { new: true, ..Asked::default() })),
            ("link-paused", sample(paused, true, None, Asked::default())),
            ("link-revoked", sample(revoked, false, None, Asked::default())),
            ("link-revoke", sample(a_link(), true, Some(revoking(&held, "/x".into())), Asked::default())),
            ("link-wrong", sample(a_link(), true, None, Asked { errors, ..Asked::default() })),
        ]
    }

    #[test]
    fn whoever_revokes_reads_how_many_lose_what_before() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        for words in ["Revoke this link?", "3 people: view on the whole cluster", "1 person: log-reader", "4 people"] {
            assert!(page("link-revoke").contains(words), "{words}");
        }
        assert!(page("link").contains("<svg") && page("link").contains("The link is ready"));
        assert!(page("link-paused").contains(">Open it again</button>"));
        assert!(!page("link-revoked").contains("/s/kls_") && !page("link-revoked").contains("Save"));
        let none = sample(a_link(), true, Some(revoking(&[], "/x".into())), Asked::default());
        assert!(none.contains("Nobody holds access from it") && !none.contains("take the access back"));
    }

    #[test]
    fn the_words_to_send_say_what_until_when_and_where_to() {
        let words = chat(&link(0).rules, "staging", "https://x/s/y", Timestamp::from_secs(0));
        assert_eq!(
            words,
            "I lend you the Kubernetes cluster staging: you get view on the whole cluster. Open this link and sign in, by 1 Jan 1970: https://x/s/y"
        );
    }
}
