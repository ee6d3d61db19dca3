//! `/groups/{group}`: who is in a Group, what it can reach, and what happened lately; adding and taking out. Taking out asks first.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    activity::{self, Line},
    group_home::AtGroup,
    member_form::{MemberForm, key, provider_choices},
    member_list::named,
    member_list::of_own_provider,
    trail::{Asked as Looked, Found},
    wide_access::progress,
    workspace::Head,
};
use crate::{
    access::{AccessError, Groups},
    model::{
        federation::{FederatedGrant, WideScope},
        grant::Grantee,
        group::GroupMember,
        id::{ClusterId, IdentityId, ProjectId},
        identity::Identity,
        scope::Scope,
        time::Timestamp,
    },
    oidc::Providers,
    store::{PlacementCounts, Store, Trail, TrailFilter},
    web::{
        Parts,
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render, render_with},
        labels::{RoleTag, counted},
        paths,
        when::When,
    },
};

/// How many members a page lists.
const A_PAGE: usize = 36;
/// How many of what it holds, and of what happened, the page shows.
const SHOWN: usize = 20;
const EVENTS: u32 = 5;

#[derive(Template)]
#[template(path = "pages/group.html")]
struct GroupPage {
    frame: Frame,
    head: Option<Head>,
    here: String,
    list: String,
    name: String,
    about: String,
    settings: Option<String>,
    may_change: bool,
    asking: Option<Asking>,
    form: MemberForm,
    errors: FieldErrors,
    providers: Vec<Choice>,
    rows: Vec<Row>,
    next: Option<String>,
    newest: bool,
    /// What it is a member of.
    seats: Vec<String>,
    reach: Vec<Held>,
    more: usize,
    events: Vec<Line>,
    activity: String,
}

struct Row {
    key: String,
    name: String,
    notes: Vec<String>,
    since: When,
    by: Option<String>,
}

/// Taking somebody out, before it is done.
struct Asking {
    title: String,
    text: Vec<String>,
    key: String,
}

/// What a Group holds.
pub(super) struct Held {
    pub(super) role: RoleTag,
    pub(super) place: String,
    pub(super) until: Option<When>,
    pub(super) class: &'static str,
    pub(super) state: String,
    pub(super) href: String,
}

#[derive(Template)]
#[template(path = "pages/group_activity.html")]
struct ActivityPage {
    frame: Frame,
    head: Option<Head>,
    back: String,
    name: String,
    found: Found,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    groups: Groups,
    store: Store,
    providers: Providers,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { groups: parts.groups.clone(), store: parts.store.clone(), providers: parts.providers.clone() }
    }
}

/// Which page of its members, and whose taking out is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    remove: String,
    page: usize,
}

type Listed = Vec<(GroupMember, Option<Identity>)>;

/// The page.
pub async fn get(at: AtGroup, Query(asked): Query<Asked>, State(desk): State<Desk>) -> Result<Response, PageError> {
    desk.page(&at, asked, MemberForm::default(), FieldErrors::default()).await
}

/// Adds a member, or takes one out.
pub async fn post(
    at: AtGroup,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<MemberForm>,
) -> Result<Response, PageError> {
    let mut errors = FieldErrors::default();
    match desk.change(&at, &form, &mut errors).await {
        Ok(()) if errors.is_empty() => return Ok(Redirect::to(&paths::group(at.id())).into_response()),
        Ok(()) => {}
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(other) => return Err(other.into()),
    }
    desk.page(&at, Asked::default(), form, errors).await
}

/// What happened to it.
pub async fn activity(
    at: AtGroup,
    Query(looked): Query<Looked>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    let filter = looked.filter(at.home.now());
    let page = store.trail(Trail::Group(at.id()), &filter, looked.before, activity::A_PAGE).await?;
    Ok(render(&ActivityPage {
        frame: at.home.frame(),
        head: at.home.head(),
        back: paths::group(at.id()),
        name: at.group().name.to_string(),
        found: Found::new(looked, paths::group_activity(at.id()), page, |_| None),
    }))
}

impl Desk {
    async fn change(&self, at: &AtGroup, form: &MemberForm, errors: &mut FieldErrors) -> Result<(), AccessError> {
        let permit = at.manage()?;
        match form.change.as_str() {
            "add" => match form.read(&self.providers, at.group().workspace, errors) {
                Some((who, _)) => self.groups.add(&permit, who).await,
                None => Ok(()),
            },
            "remove" => {
                let members = self.store.group_members(at.id()).await?;
                match members.into_iter().find(|(m, _)| key(&m.who) == form.member) {
                    Some((member, _)) => self.groups.take_out(&permit, &member.who).await,
                    // Somebody else was quicker.
                    None => Ok(()),
                }
            }
            _ => Err(AccessError::NotFound),
        }
    }

    async fn page(
        &self,
        at: &AtGroup,
        asked: Asked,
        form: MemberForm,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let (group, now, here) = (at.group(), at.home.now(), paths::group(at.id()));
        let members = self.store.group_members(at.id()).await?;
        let held = self.store.grants_to_group(at.id()).await?;
        let may_change = at.manage().is_ok();
        let mut reach = held_in_words(&self.store, &held, now).await?;
        let more = reach.len().saturating_sub(SHOWN);
        let asking = if may_change { asking(&asked.remove, &members, &reach) } else { None };
        reach.truncate(SHOWN);
        let (from, to) = (asked.page.saturating_mul(A_PAGE), asked.page.saturating_add(1));
        let events = self.store.trail(Trail::Group(at.id()), &TrailFilter::default(), None, EVENTS).await?.events;
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = GroupPage {
            frame: at.home.frame(),
            head: at.home.head(),
            list: at.home.list(),
            name: group.name.to_string(),
            about: about(members.len(), at.home.keepers(group.owners_only)),
            settings: may_change.then(|| paths::group_settings(at.id())),
            may_change,
            asking,
            providers: provider_choices(&self.providers, group.workspace, &form.provider),
            rows: self.rows(members.get(from..).unwrap_or_default(), now).await?,
            next: (members.len() > to.saturating_mul(A_PAGE)).then(|| format!("{here}?page={to}")),
            newest: asked.page == 0,
            seats: self.store.seats_of(at.id()).await?,
            reach,
            more,
            events: events.into_iter().map(|event| Line::relative(event, now)).collect(),
            activity: paths::group_activity(at.id()),
            here,
            form,
            errors,
        };
        Ok(render_with(status, &page))
    }

    async fn rows(&self, members: &[(GroupMember, Option<Identity>)], now: Timestamp) -> Result<Vec<Row>, PageError> {
        let members = members.get(..A_PAGE).unwrap_or(members);
        let givers: Vec<IdentityId> = members.iter().map(|(m, _)| m.by).collect();
        let givers: HashMap<_, _> =
            self.store.identities(&givers).await?.into_iter().map(|p| (p.id, p.display().to_owned())).collect();
        let mut rows = Vec::with_capacity(members.len());
        for (member, person) in members {
            let notes = self.notes(&member.who, person.as_ref()).await?;
            rows.push(row(member, person.as_ref(), givers.get(&member.by).cloned(), notes, now));
        }
        Ok(rows)
    }

    /// What is to be said of a member beside the name.
    async fn notes(&self, who: &Grantee, person: Option<&Identity>) -> Result<Vec<String>, PageError> {
        let at = |id| self.providers.get(id).map_or_else(|| id.to_string(), |p| p.settings().name.clone());
        Ok(match who {
            Grantee::Person(_) => of_own_provider(&self.providers, person).into_iter().collect(),
            Grantee::ServiceAccount(_) => Vec::new(),
            Grantee::Group(provider, _) => vec![format!("everybody in this group at {}", at(provider))],
            Grantee::Email(provider, email) if self.store.email_changed_hands(provider, email).await? => vec![
                "This address has had several holders, so it gives nothing. Add it again once you know who has it now."
                    .into(),
            ],
            Grantee::Email(provider, _) => vec![format!("has not signed in yet at {}", at(provider))],
        })
    }
}

fn about(members: usize, keepers: &str) -> String {
    format!("{}; {keepers}.", counted(u64::try_from(members).unwrap_or_default(), "member"))
}

fn row(member: &GroupMember, person: Option<&Identity>, by: Option<String>, notes: Vec<String>, now: Timestamp) -> Row {
    Row {
        key: key(&member.who),
        name: grantee_name(&member.who, person),
        notes,
        since: When::new(member.since, now),
        by,
    }
}

fn asking(wanted: &str, members: &Listed, reach: &[Held]) -> Option<Asking> {
    let (member, person) = members.iter().find(|(m, _)| key(&m.who) == wanted)?;
    Some(takes_out(member, person.as_ref(), reach))
}

fn takes_out(member: &GroupMember, person: Option<&Identity>, reach: &[Held]) -> Asking {
    const NAMED: usize = 5;
    let lost: Vec<String> = reach.iter().take(NAMED).map(Held::in_words).collect();
    let more = match reach.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let loses = if lost.is_empty() {
        "The group holds nothing now, so nothing is lost.".to_owned()
    } else {
        format!("By this group they lose at once: {}{more}.", lost.join("; "))
    };
    let stays = "What they have otherwise, by themselves or by another group, stays.".to_owned();
    Asking {
        title: format!("Take {} out of this group?", named(&member.who, person)),
        text: vec![loses, stays],
        key: key(&member.who),
    }
}

impl Held {
    /// “edit on every cluster of Payments”.
    pub(super) fn in_words(&self) -> String {
        let role = self.role.0.as_ref().map_or("no role", |role| role.as_str());
        format!("{role} on {}", self.place)
    }
}

/// What a Group holds, each with the words for where that is.
pub(super) async fn held_in_words(
    store: &Store,
    held: &[(FederatedGrant, PlacementCounts)],
    now: Timestamp,
) -> Result<Vec<Held>, PageError> {
    let places = Places::of(store, held.iter().map(|(grant, _)| grant)).await?;
    Ok(held.iter().map(|(grant, counts)| hold(grant, *counts, places.in_words(grant), now)).collect())
}

fn hold(grant: &FederatedGrant, counts: PlacementCounts, place: String, now: Timestamp) -> Held {
    let (class, state) = progress(&grant.grantee, counts);
    Held {
        role: RoleTag(Some(grant.role.clone())),
        place,
        until: grant.expires_at.map(|at| When::new(at, now)),
        class,
        state,
        href: paths::federated(grant.id),
    }
}

/// What workspaces, projects and clusters are called that grants reach.
struct Places {
    workspaces: HashMap<crate::model::id::WorkspaceId, String>,
    projects: HashMap<ProjectId, String>,
    clusters: HashMap<ClusterId, String>,
}

impl Places {
    async fn of(store: &Store, grants: impl Iterator<Item = &FederatedGrant>) -> Result<Self, PageError> {
        let (mut workspaces, mut projects, mut clusters) = (Vec::new(), HashMap::new(), Vec::new());
        for grant in grants {
            match grant.scope {
                WideScope::Global => {}
                WideScope::Workspace(id) => workspaces.push(id),
                WideScope::Cluster(id) => clusters.push(id),
                WideScope::Project(id) => {
                    if let std::collections::hash_map::Entry::Vacant(place) = projects.entry(id) {
                        let project = store.project(id).await?;
                        place.insert(format!("namespace {} of the project {}", project.namespace, project.name));
                    }
                }
            }
        }
        let named = store.workspaces(&workspaces).await?.into_iter().map(|w| (w.id, w.name));
        let workspaces = named.collect();
        let clusters = store.clusters(&clusters).await?.into_iter().map(|c| (c.id, c.name.to_string())).collect();
        Ok(Self { workspaces, projects, clusters })
    }

    fn in_words(&self, grant: &FederatedGrant) -> String {
        let gone = || "something that is gone".to_owned();
        match grant.scope {
            WideScope::Global => "every cluster".into(),
            WideScope::Workspace(id) => {
                self.workspaces.get(&id).map_or_else(gone, |name| format!("every cluster of {name}"))
            }
            WideScope::Project(id) => self.projects.get(&id).cloned().unwrap_or_else(gone),
            WideScope::Cluster(id) => self
                .clusters
                .get(&id)
                .map_or_else(gone, |name| format!("{} of {name}", Scope::new(id, grant.namespaces.clone()).in_words())),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            group::Holder,
            id::{FederatedGrantId, GroupId},
            role::Role,
        },
        store::TrailPage,
        web::{
            frame::Nav,
            pages::{
                members::tests::sample_members,
                overview::tests::events,
                samples::{HOSTILE, LONG_EMAIL, NOW, frame},
                workspace::{
                    Tab,
                    tests::{head, workspace},
                },
            },
        },
    };

    /// What a Group holds, to draw.
    pub(in crate::web) fn sample_reach(n: usize) -> Vec<Held> {
        let grant = FederatedGrant {
            id: FederatedGrantId::new(),
            scope: WideScope::Global,
            namespaces: Vec::new(),
            grantee: Holder::Group(GroupId::new(), "Ops".parse().unwrap()),
            role: Role::Edit,
            expires_at: Some(NOW),
            reason: None,
            created_by: IdentityId::new(),
            created_at: NOW,
            ended: None,
        };
        let counts = PlacementCounts { applied: 3, pending: 1, failed: 0, removing: 0 };
        (0..n).map(|_| hold(&grant, counts, format!("every cluster of {HOSTILE}"), NOW)).collect()
    }

    fn members(n: usize) -> Listed {
        let member = |(m, p): &(crate::model::workspace::Member, Option<Identity>)| {
            (GroupMember { who: m.who.clone(), since: NOW, by: m.by }, p.clone())
        };
        sample_members().iter().map(member).cycle().take(n).collect()
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |n: usize, asking, errors, may_change: bool, of_workspace: bool| {
            let page = GroupPage {
                frame: frame().at(Nav::Workspaces),
                head: of_workspace.then(|| head(&workspace(HOSTILE), Tab::Groups)),
                here: "/groups/x".into(),
                list: "/groups".into(),
                name: "x".repeat(60),
                about: about(n, "owners and editors change who is in it"),
                settings: may_change.then(|| "/groups/x/settings".into()),
                may_change,
                asking,
                form: MemberForm { name: HOSTILE.into(), ..MemberForm::default() },
                errors,
                providers: vec![Choice::new("dex", "Dex", ""), Choice::new("corp", HOSTILE, "")],
                rows: members(n)
                    .iter()
                    .map(|(m, p)| row(m, p.as_ref(), Some(LONG_EMAIL.into()), vec![HOSTILE.into()], NOW))
                    .collect(),
                next: (n == A_PAGE).then(|| "/groups/x?page=1".into()),
                newest: true,
                seats: vec![format!("{HOSTILE}: editor"); n.min(3)],
                reach: sample_reach(if n == A_PAGE { SHOWN } else { n }),
                more: n / 2,
                events: events().into_iter().map(|event| Line::relative(event, NOW)).take(EVENTS as usize).collect(),
                activity: "/groups/x/activity".into(),
            };
            page.render().unwrap()
        };
        let (member, person) = members(1).remove(0);
        let asks = takes_out(&member, person.as_ref(), &sample_reach(9));
        let mut errors = FieldErrors::default();
        for field in ["kind", "name", "provider"] {
            errors.add(field, HOSTILE);
        }
        let found = Found::new(
            Looked::default(),
            "/a".into(),
            TrailPage { next: events().last().map(|e| e.id), events: events() },
            |_| None,
        );
        let activity = ActivityPage {
            frame: frame().at(Nav::Workspaces),
            head: Some(head(&workspace(HOSTILE), Tab::Groups)),
            back: "/groups/x".into(),
            name: "x".repeat(60),
            found,
        };
        vec![
            ("group", draw(A_PAGE, None, FieldErrors::default(), true, true)),
            ("group-remove", draw(5, Some(asks), FieldErrors::default(), true, true)),
            ("group-errors", draw(1, None, errors, true, false)),
            ("group-seen", draw(0, None, FieldErrors::default(), false, true)),
            ("group-activity", activity.render().unwrap()),
        ]
    }

    #[test]
    fn taking_somebody_out_names_what_they_lose() {
        let (member, person) = members(1).remove(0);
        let asks = takes_out(&member, person.as_ref(), &sample_reach(7));
        assert_eq!(asks.title, "Take alice@example.com out of this group?");
        assert!(asks.text[0].starts_with("By this group they lose at once: edit on every cluster of "));
        assert!(asks.text[0].ends_with(" and 2 more."), "{}", asks.text[0]);
        assert!(takes_out(&member, person.as_ref(), &[]).text[0].contains("nothing is lost"));
    }
}
