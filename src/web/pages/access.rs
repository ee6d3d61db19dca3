//! `/clusters/{cluster}/access`: who has access, Kubelend's grants and what others bound on the cluster; giving and taking it.
//!
//! A removal is one click and can be undone (“Grant again”), so it does not ask first; the address of the removal, opened by
//! itself, asks.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access_form::{AccessForm, NamedProvider, named_providers},
    access_rows::{self, Filter, ForeignRow, Row, Seen, group_row, row, summary},
    cluster::{AtCluster, Head, Tab},
    overdue, requests,
    roles::{self, OfferedRole},
    scope,
    wide_access::{named, progress, usable_groups},
};
use crate::{
    access::{AccessError, Assignable, GrantRequest, Grants, Observer},
    model::{
        federation::WideScope,
        grant::{Grant, Grantee, SOON},
        id::{FederatedGrantId, GrantId},
        identity::Identity,
        name::Email,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    oidc::Providers,
    store::{GrantFilter, GrantPage, GroupsPage, Store, StoreError},
    web::{
        Parts,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
    },
};

/// How many grants a page lists.
const A_PAGE: u32 = 24;
/// How many grants to Groups.
const GROUPS: u32 = 8;
/// So many rows are found without a filter.
const FEW: usize = 10;

#[derive(Template)]
#[template(path = "pages/access.html")]
struct AccessPage {
    frame: Frame,
    head: Head,
    here: String,
    can: String,
    who_can: String,
    accounts: String,
    notice: Option<String>,
    undo: Option<Undo>,
    asking: Option<Asking>,
    may_change: bool,
    naming: String,
    form: AccessForm,
    errors: FieldErrors,
    providers: Vec<NamedProvider>,
    groups: String,
    namespaces: Vec<String>,
    roles: Vec<OfferedRole>,
    filter: Filter,
    soon: Option<String>,
    /// Who asks for access, and where that is answered.
    requests: Option<(String, String)>,
    overdue: Option<overdue::Banner>,
    rows: Vec<Row>,
    foreign: Vec<ForeignRow>,
    foreign_note: Option<String>,
    next: Option<String>,
    /// Where more of what Groups were given stands.
    more_groups: Option<String>,
}

/// What stands on a page: what Groups were given on the first one, before the grants, and on pages of its own.
struct Listed {
    groups: GroupsPage,
    grants: GrantPage,
}

struct Undo {
    what: String,
    again: Option<GrantId>,
}

struct Asking {
    what: String,
    action: String,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Sources {
    grants: Grants,
    store: Store,
    observer: Observer,
    providers: Providers,
}

impl FromRef<Parts> for Sources {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            grants: parts.grants.clone(),
            store: parts.store.clone(),
            observer: parts.observer.clone(),
            providers: parts.providers.clone(),
        }
    }
}

/// Whom a grant is for, as people call them.
pub(super) fn grantee_name(grantee: &Grantee, who: Option<&Identity>) -> String {
    match grantee {
        Grantee::Person(_) => who.map_or_else(|| "somebody who is gone".into(), |p| p.display().to_owned()),
        Grantee::Email(_, email) => Email::as_str(email).to_owned(),
        Grantee::Group(_, group) => group.clone(),
        Grantee::ServiceAccount(account) => account.to_string(),
    }
}

/// The page.
pub async fn get(
    at: AtCluster,
    Query(filter): Query<Filter>,
    State(sources): State<Sources>,
) -> Result<Response, PageError> {
    sources.page(&at, Asked { filter, ..Asked::default() }).await
}

/// Gives access, gives again what was just taken, or takes back or tries again what a row's button names.
pub async fn post(
    at: AtCluster,
    State(sources): State<Sources>,
    ProtectedForm(form): ProtectedForm<AccessForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    if let Some(id) = form.remove {
        return sources.remove(&at, id).await;
    }
    if let Some(id) = form.retry {
        sources.grants.retry(&permit, id).await?;
        return Ok(to(&at, "tried", id));
    }
    let mut errors = FieldErrors::default();
    if form.is_to_own_group() && form.again.is_none() {
        return sources.give_to_group(&at, form).await;
    }
    let request = match form.again {
        Some(id) => Some(sources.again(&at, id).await?),
        None => form.read(at.cluster(), at.now, &mut errors),
    };
    if let Some(request) = request {
        match sources.grants.grant(&permit, request).await {
            Ok((id, _)) => return Ok(to(&at, "granted", id)),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    sources.page(&at, Asked { form, errors, ..Asked::default() }).await
}

/// The grant of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct GrantPath {
    grant: GrantId,
}

/// The address of a removal, opened by itself: asks first, on the access page.
pub async fn ask_remove(at: AtCluster, Path(GrantPath { grant }): Path<GrantPath>) -> Response {
    to(&at, "ask", grant)
}

/// Takes it back.
pub async fn remove(
    at: AtCluster,
    Path(GrantPath { grant }): Path<GrantPath>,
    State(sources): State<Sources>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    sources.remove(&at, grant).await
}

fn to(at: &AtCluster, what: &str, id: GrantId) -> Response {
    Redirect::to(&format!("{}?{what}={id}", paths::access(at.id()))).into_response()
}

/// What a request wants of the page.
#[derive(Default)]
struct Asked {
    filter: Filter,
    form: AccessForm,
    errors: FieldErrors,
}

impl Sources {
    async fn page(&self, at: &AtCluster, asked: Asked) -> Result<Response, PageError> {
        let may_change = at.manage_access().is_ok();
        let filter = asked.filter;
        let wanted = filter.for_store(at.now);
        let (listed, soon, requests, overdue, seen) = tokio::join!(
            self.listed(at, &wanted, &filter),
            self.store.ending_on(at.id(), at.now, at.now.plus(SOON)),
            self.store.requests_waiting_on(at.id(), at.now),
            overdue::banner(&self.store, at.cluster(), at.now),
            Box::pin(self.look(at, filter.is_first()))
        );
        let listed = listed?;
        let (foreign, foreign_note) = seen.foreign(&filter);
        let status = if asked.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let here = paths::access(at.id());
        let groups = listed.groups.rows.iter().map(|on| group_row(on, may_change, at.now));
        let grants = self.rows(at, &listed.grants.rows, seen.assignable.as_ref(), may_change).await?;
        let rows = groups.chain(grants).collect();
        let page = AccessPage {
            notice: match filter.given {
                Some(id) => self.given(at, id).await?,
                None => self.granted(at, filter.granted.or(filter.tried)).await?,
            },
            groups: if may_change {
                usable_groups(&self.store, Some(at.cluster().workspace)).await?
            } else {
                String::new()
            },
            undo: self.undo(at, filter.removed).await?,
            asking: self.asking(at, filter.ask).await?,
            naming: naming(at, &self.providers),
            providers: named_providers(at.cluster(), &self.providers, &asked.form.provider),
            rows,
            next: listed.grants.next.map(|id| filter.page(&here, id)),
            more_groups: listed.groups.next.map(|id| filter.groups_page(&here, id)),
            soon: ending(soon?),
            requests: requests::waiting(requests?)
                .filter(|_| may_change)
                .map(|words| (words, paths::requests(at.cluster().workspace))),
            overdue: overdue?,
            frame: at.frame(),
            head: at.head(Tab::Access),
            form: asked.form,
            errors: asked.errors,
            namespaces: seen.namespaces,
            roles: seen.roles,
            may_change,
            filter,
            foreign,
            foreign_note,
            can: paths::can(at.id(), &[]),
            who_can: paths::who_can(at.id(), &[]),
            accounts: paths::service_accounts(at.id()),
            here,
        };
        Ok(render_with(status, &page))
    }

    /// Gives to a Group; what is wrong stands at the form's fields.
    async fn give_to_group(&self, at: &AtCluster, form: AccessForm) -> Result<Response, PageError> {
        let (permit, mut errors) = (at.manage_access()?, FieldErrors::default());
        if let Some(request) = form.read_group(at.now, &mut errors) {
            match self.grants.grant_to_group(&permit, request).await {
                Ok(id) => {
                    let there = format!("{}?given={id}", paths::access(at.id()));
                    return Ok(Redirect::to(&there).into_response());
                }
                Err(AccessError::Invalid { field, message }) => errors.add(field, message),
                Err(other) => return Err(other.into()),
            }
        }
        self.page(at, Asked { form, errors, ..Asked::default() }).await
    }

    async fn given(&self, at: &AtCluster, id: FederatedGrantId) -> Result<Option<String>, PageError> {
        let grant = self.store.federated_grant(id).await?;
        if grant.scope != WideScope::Cluster(at.id()) {
            return Err(PageError::not_found());
        }
        let (_, state) = progress(&grant.grantee, self.store.placement_count(&grant).await?);
        let place = Scope::new(at.id(), grant.namespaces.clone()).in_words();
        Ok(Some(format!("{}: {} on {place}: {state}.", named(&grant, &HashMap::new()), grant.role)))
    }

    async fn listed(&self, at: &AtCluster, wanted: &GrantFilter, filter: &Filter) -> Result<Listed, StoreError> {
        let mut listed = Listed {
            groups: GroupsPage { rows: Vec::new(), next: None },
            grants: GrantPage { rows: Vec::new(), next: None },
        };
        if filter.before.is_none() {
            listed.groups = self.store.groups_on(at.cluster(), wanted, filter.groups, GROUPS).await?;
        }
        if filter.groups.is_none() {
            let room = A_PAGE.saturating_sub(u32::try_from(listed.groups.rows.len()).unwrap_or(A_PAGE));
            listed.grants = self.store.grants_of_cluster(at.id(), wanted, filter.before, room).await?;
        }
        Ok(listed)
    }

    async fn remove(&self, at: &AtCluster, id: GrantId) -> Result<Response, PageError> {
        self.of_this_cluster(at, id).await?;
        self.grants.revoke(&at.manage_access()?, id).await?;
        Ok(to(at, "removed", id))
    }

    /// What the cluster itself says, within 2 s.
    async fn look(&self, at: &AtCluster, first_page: bool) -> Seen {
        let bindings = async { if first_page { Some(self.observer.foreign_bindings(&at.seen).await) } else { None } };
        let offered = async {
            match at.manage_access() {
                Ok(permit) => {
                    tokio::join!(scope::known(&self.observer, &permit), roles::offered(&self.observer, &permit))
                }
                Err(_) => (Vec::new(), (Vec::new(), None)),
            }
        };
        let (bindings, (namespaces, (roles, assignable))) = tokio::join!(bindings, offered);
        Seen { bindings, namespaces, roles, assignable }
    }

    /// A row for each grant, with what has become of a role that others have defined.
    async fn rows(
        &self,
        at: &AtCluster,
        listed: &[(Grant, Option<Identity>)],
        assignable: Option<&Assignable>,
        may_change: bool,
    ) -> Result<Vec<Row>, PageError> {
        let named = listed.iter().filter(|(grant, _)| grant.role.as_ref().is_some_and(Role::is_named));
        let ids: Vec<GrantId> = named.map(|(grant, _)| grant.id).collect();
        let vouches = self.store.vouches(&ids).await?;
        let each = listed.iter().map(|(grant, who)| {
            let change = assignable.and_then(|all| all.change(grant, vouches.get(&grant.id)));
            let changed = change.as_ref().map(access_rows::changed);
            Row { changed, ..row(grant, who.as_ref(), at.cluster(), may_change, at.now) }
        });
        Ok(each.collect())
    }

    /// A grant of this cluster.
    async fn of_this_cluster(&self, at: &AtCluster, id: GrantId) -> Result<(Grant, Option<Identity>), PageError> {
        let (grant, who) = self.store.grant(id).await?;
        if grant.scope.cluster() == at.id() { Ok((grant, who)) } else { Err(PageError::not_found()) }
    }

    async fn again(&self, at: &AtCluster, id: GrantId) -> Result<GrantRequest, PageError> {
        let (grant, _) = self.of_this_cluster(at, id).await?;
        again(grant, at.now).ok_or_else(PageError::not_found)
    }

    async fn granted(&self, at: &AtCluster, id: Option<GrantId>) -> Result<Option<String>, PageError> {
        let Some(id) = id else { return Ok(None) };
        let (grant, who) = self.of_this_cluster(at, id).await?;
        let (_, state) = crate::web::labels::grant_state(&grant, at.now);
        Ok(Some(format!("{}: {state}.", summary(&grant, who.as_ref())).replace("..", ".")))
    }

    async fn undo(&self, at: &AtCluster, id: Option<GrantId>) -> Result<Option<Undo>, PageError> {
        let Some(id) = id else { return Ok(None) };
        let (grant, who) = self.of_this_cluster(at, id).await?;
        let what = summary(&grant, who.as_ref());
        let may = at.manage_access().is_ok() && grant.ended.is_some() && at.cluster().removing.is_none();
        Ok(Some(Undo { what, again: again(grant, at.now).filter(|_| may).map(|_| id) }))
    }

    async fn asking(&self, at: &AtCluster, id: Option<GrantId>) -> Result<Option<Asking>, PageError> {
        let Some(id) = id.filter(|_| at.manage_access().is_ok()) else { return Ok(None) };
        let (grant, who) = self.of_this_cluster(at, id).await?;
        let action = paths::revoke_grant(at.id(), id);
        Ok(grant.ended.is_none().then(|| Asking { what: summary(&grant, who.as_ref()), action }))
    }
}

/// “3 grants end within a week.”
fn ending(count: u32) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 grant ends within a week.".into()),
        few @ 2..100 => Some(format!("{few} grants end within a week.")),
        _ => Some("100 grants or more end within a week.".into()),
    }
}

/// The same once more; what has no role or ran out cannot be had by granting.
fn again(grant: Grant, now: Timestamp) -> Option<GrantRequest> {
    Some(GrantRequest {
        role: grant.role?,
        namespaces: grant.scope.namespaces().to_vec(),
        expires_at: match grant.expires_at {
            Some(end) if end <= now => return None,
            end => end,
        },
        reason: grant.reason,
        grantee: grant.grantee,
    })
}

fn naming(at: &AtCluster, providers: &Providers) -> String {
    let trusted = named_providers(at.cluster(), providers, "");
    let one = |p: &NamedProvider| {
        let on = if trusted.len() > 1 { format!(" of {}", p.label) } else { String::new() };
        format!("the group devs{on} is “{}devs” on the cluster", p.mapping.groups_prefix)
    };
    trusted.iter().map(one).collect::<Vec<_>>().join(", ") + "."
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        k8s::FoundBinding,
        model::{
            cluster::Cluster, federation::FederatedGrant, group::Holder, id::GroupId, reason::Reason, subject::Subject,
        },
        store::{GroupOnCluster, Overdue, PlacementCounts},
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, NOW, check, frame, grant},
        },
    };

    fn binding(n: usize) -> FoundBinding {
        FoundBinding {
            namespace: n.is_multiple_of(2).then(|| "shop".into()),
            name: "cluster-admin-binding-of-somebody".into(),
            uid: "u".into(),
            role_kind: "ClusterRole".into(),
            role_name: "cluster-admin".into(),
            subjects: vec![Subject::user(if n == 0 { HOSTILE.into() } else { format!("someone-{n}") })],
            more_subjects: 0,
            labels: std::collections::BTreeMap::default(),
            created_at: None,
        }
    }

    fn on_group(cluster: &Cluster, n: usize) -> GroupOnCluster {
        let grant = FederatedGrant {
            id: FederatedGrantId::new(),
            scope: WideScope::Cluster(cluster.id),
            namespaces: Vec::new(),
            grantee: Holder::Group(GroupId::new(), "x".repeat(60).parse().unwrap()),
            role: Role::Edit,
            expires_at: Some(NOW),
            reason: None,
            created_by: cluster.created_by,
            created_at: NOW,
            ended: None,
        };
        let n = i64::try_from(n).unwrap();
        let counts = PlacementCounts { applied: n, pending: n % 2, failed: n % 3, removing: 0 };
        GroupOnCluster { grant, scope: Scope::Cluster(cluster.id), counts }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |rows: usize, seen: &Seen, form: AccessForm, errors: FieldErrors, filter: Filter| {
            let (foreign, foreign_note) = seen.foreign(&filter);
            AccessPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
                here: paths::access(staging.id),
                can: paths::can(staging.id, &[]),
                who_can: paths::who_can(staging.id, &[]),
                accounts: paths::service_accounts(staging.id),
                notice: None,
                undo: (rows == 5).then(|| Undo { what: HOSTILE.into(), again: Some(GrantId::new()) }),
                asking: (rows == 5).then(|| Asking { what: HOSTILE.into(), action: "/x".into() }),
                may_change: true,
                naming: "the group devs is “oidc:devs” on the cluster.".into(),
                form,
                errors,
                providers: vec![],
                groups: format!("Ops, {HOSTILE}"),
                soon: ending(u32::try_from(rows).unwrap()),
                requests: requests::waiting(u32::try_from(rows).unwrap()).map(|words| (words, "/x".into())),
                overdue: (rows == 5).then(|| {
                    let detail = Some(HOSTILE.to_owned());
                    overdue::drawn(Overdue { count: 2, since: NOW, detail }, &staging, NOW)
                }),
                namespaces: vec!["payments".into(), "shop".into()],
                roles: seen.roles.clone(),
                rows: (0..if rows > 20 { GROUPS as usize } else { 0 })
                    .map(|n| group_row(&on_group(&staging, n), true, NOW))
                    .chain((0..if rows > 20 { rows - GROUPS as usize } else { rows }).map(|n| {
                        let changed = (rows == 5 && n == 1).then(|| HOSTILE.into());
                        let reason = Reason::read(&"why ".repeat(50)).unwrap();
                        Row { changed, ..row(&Grant { reason, ..grant(&staging, n) }, None, &staging, true, NOW) }
                    }))
                    .collect(),
                more_groups: (rows > 20).then(|| filter.groups_page("/x", FederatedGrantId::new())),
                foreign,
                foreign_note,
                next: (rows == A_PAGE as usize).then(|| filter.page("/x", GrantId::new())),
                filter,
            }
            .render()
            .unwrap()
        };
        let up = |n: usize| Seen {
            bindings: Some(Ok((0..n).map(binding).collect())),
            namespaces: vec![],
            roles: roles::tests::offered(),
            assignable: None,
        };
        let down = Seen {
            bindings: Some(Err(AccessError::Cluster(crate::k8s::K8sError::TimedOut))),
            namespaces: vec![],
            roles: vec![],
            assignable: None,
        };
        let mut errors = FieldErrors::default();
        errors.add("name", "This is no email address as providers give them.");
        errors.add("namespaces", HOSTILE);
        let form = AccessForm { name: HOSTILE.into(), namespaces: HOSTILE.into(), ..AccessForm::default() };
        let search = Filter { q: HOSTILE.into(), ..Filter::default() };
        vec![
            ("access", draw(8, &up(3), AccessForm::default(), FieldErrors::default(), Filter::default())),
            (
                "access-full",
                draw(A_PAGE as usize, &up(200), AccessForm::default(), FieldErrors::default(), Filter::default()),
            ),
            ("access-wrong", draw(5, &down, form, errors, Filter::default())),
            ("access-empty", draw(0, &up(0), AccessForm::default(), FieldErrors::default(), Filter::default())),
            ("access-nothing-fits", draw(0, &up(0), AccessForm::default(), FieldErrors::default(), search)),
        ]
    }

    #[test]
    fn what_was_taken_can_be_given_again_unless_it_had_ended_or_gave_no_role() {
        let staging = cluster("staging");
        let mut taken = grant(&staging, 0);
        let request = again(taken.clone(), NOW).unwrap();
        assert_eq!((request.role, request.expires_at), (Role::View, taken.expires_at));
        taken.expires_at = Some(NOW);
        assert!(again(taken.clone(), NOW).is_none());
        (taken.expires_at, taken.role) = (None, None);
        assert!(again(taken, NOW).is_none());
    }

    #[test]
    fn bindings_of_others_have_no_button_and_a_silent_cluster_is_named() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        let others = page("access").split("made elsewhere").count() - 1;
        assert!(others >= 3);
        assert_eq!(page("access").matches(">Remove</button>").count(), 8);
        assert!(page("access-wrong").contains("does not answer, so what others bound there cannot be listed now"));
        assert!(page("access-full").contains("188 more are there"));
    }
}
