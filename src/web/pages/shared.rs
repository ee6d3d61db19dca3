//! What others lend to the person, found again without any link: a kubeconfig for each cluster or one for several, by which
//! grant, until when; and giving a cluster back.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use secrecy::ExposeSecret;

use super::{
    listing::{self, Listing},
    own_projects::{OwnProjects, own_projects},
    request::{Asked, asked},
    requests::people,
    sign_out::Empty,
};
use crate::{
    access::{AccessError, Gate, Grants, Kubeconfigs, Requests},
    clock::Clock,
    model::{
        access_request::AccessRequest,
        cluster::Cluster,
        grant::{Grant, Grantee, Origin},
        group::GroupName,
        id::{AccessRequestId, ClusterId, FederatedGrantId, GrantId},
        time::Timestamp,
    },
    oidc::Purpose,
    policy,
    store::{Store, StoreError},
    web::{
        Parts,
        browser_name::browser_name,
        client_address::ClientAddress,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, Nav, render},
        labels::RoleTag,
        paths,
        session::SignedIn,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/shared.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    download: &'static str,
    here: &'static str,
    leaving: Option<Leaving>,
    requests: Vec<Request>,
    /// What they look after, and not only use.
    projects: OwnProjects,
    listing: Listing,
}

/// What they asked for.
struct Request {
    cluster: String,
    asked: Asked,
    /// Where it is taken back, while it waits.
    withdraw: Option<String>,
}

struct Row {
    id: ClusterId,
    name: String,
    kubeconfig: String,
    ask: String,
    removing: bool,
    access: Vec<Access>,
    /// Whether some of it is theirs to give back.
    may_leave: bool,
}

struct Access {
    role: RoleTag,
    place: String,
    until: Option<When>,
    /// Whether that is within a week.
    soon: bool,
    /// Where they move the end of it themselves, where that is soon.
    extend: Option<String>,
    /// Where they ask for more of it, where it ends soon.
    ask: String,
    how: String,
}

/// What somebody is about to give back.
struct Leaving {
    cluster: String,
    action: String,
    /// What stays, since it was not given to them alone or not here alone: how it came to them.
    stays: Vec<String>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    gate: Gate,
    grants: Grants,
    kubeconfigs: Kubeconfigs,
    answers: Requests,
    store: Store,
    clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            gate: parts.gate.clone(),
            grants: parts.grants.clone(),
            kubeconfigs: parts.kubeconfigs.clone(),
            answers: parts.requests.clone(),
            store: parts.store.clone(),
            clock: parts.clock.clone(),
        }
    }
}

/// How many clusters a page lists, each with all that somebody holds there.
const A_PAGE: usize = 20;
/// How many requests it lists: the latest.
const REQUESTS: u32 = 8;

/// Which cluster is about to be given back.
#[derive(Debug, serde::Deserialize)]
pub struct Wanted {
    leave: Option<ClusterId>,
    none: Option<String>,
}

/// The list.
pub async fn get(
    State(desk): State<Desk>,
    who: SignedIn,
    Query(wanted): Query<Wanted>,
    Query(asked): Query<listing::Asked>,
) -> Result<Response, PageError> {
    let now = desk.clock.now();
    let grants = desk.store.grants_reaching(who.person.identity(), None, now).await?;
    let mut ids: Vec<_> = grants.iter().map(|grant| grant.scope.cluster()).collect();
    ids.sort_unstable();
    ids.dedup();
    let groups = groups_behind(&desk.store, &grants).await?;
    let mut clusters = if ids.is_empty() { Vec::new() } else { desk.store.clusters(&ids).await? };
    clusters.sort_by_key(|cluster| cluster.name.as_str().to_ascii_lowercase());
    let wanted_back = clusters.iter().find(|cluster| Some(cluster.id) == wanted.leave);
    let leaving = wanted_back.map(|cluster| leaving(cluster, &grants, &groups));
    let fits = |asked: &listing::Asked, cluster: &Cluster| asked.fits([cluster.name.as_str()]);
    let (shown, listing) = listing::cut(clusters, fits, ("cluster", A_PAGE), asked, paths::SHARED.into());
    let came = Came { extends: desk.extends(&who, &shown, &grants, now).await?, groups };
    let requests = if listing.first.is_none() { desk.requests(&who, now).await? } else { Vec::new() };
    Ok(render(&Page {
        requests,
        projects: own_projects(&desk.store, who.person.identity()).await?,
        frame: Frame::new(&who, Nav::Shared).with_notice(
            wanted.none.map(|_| "Nothing was made: tick the clusters that the file is to hold.".to_owned()),
        ),
        rows: shown.iter().map(|cluster| row(cluster, &grants, &came, now)).collect(),
        listing,
        download: paths::SHARED_DOWNLOAD,
        here: paths::SHARED,
        leaving,
    }))
}

/// One file of all that were chosen.
pub async fn download(
    State(desk): State<Desk>,
    who: SignedIn,
    ClientAddress(from): ClientAddress,
    headers: axum::http::HeaderMap,
    ProtectedForm(chosen): ProtectedForm<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let ids = chosen.iter().filter(|(name, _)| name == "cluster").map(|(_, id)| id.parse());
    let ids: Vec<ClusterId> = ids.collect::<Result<_, _>>().map_err(|_| PageError::not_found())?;
    if ids.is_empty() {
        return Ok(Redirect::to(&format!("{}?none=yes", paths::SHARED)).into_response());
    }
    let mut permits = Vec::new();
    for id in ids {
        permits.push(desk.gate.hold_kubeconfig(&who.person, id).await?.0);
    }
    let name = browser_name(&headers);
    let file = match desk.kubeconfigs.issue_together(&permits, &who.token_key, &name, from).await {
        Ok(file) => file,
        Err(AccessError::SignInAgain) => {
            let provider = &who.person.identity().provider;
            return Ok(Redirect::to(&paths::auth_start(provider, paths::SHARED, Purpose::Kubeconfig)).into_response());
        }
        Err(error) => return Err(error.into()),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/yaml"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"kubeconfig.yaml\""),
    ];
    Ok((headers, file.expose_secret().to_owned()).into_response())
}

/// The request of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct RequestPath {
    request: AccessRequestId,
}

/// Takes back what they asked for.
pub async fn withdraw(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(RequestPath { request }): Path<RequestPath>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    match desk.answers.withdraw(&policy::own_things(&who.person), request).await {
        // Answered meanwhile: the list says so.
        Ok(()) | Err(AccessError::Store(StoreError::Stale)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(&format!("{}#asked", paths::SHARED)).into_response())
}

/// The address of giving back, opened by itself: asks first.
pub async fn ask_leave(_: SignedIn, Path(cluster): Path<ClusterId>) -> Redirect {
    Redirect::to(&format!("{}?leave={cluster}", paths::SHARED))
}

/// Gives a cluster back.
pub async fn leave(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(cluster): Path<ClusterId>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    // Whoever has left already has what they wanted.
    match desk.gate.hold_kubeconfig(&who.person, cluster).await {
        Ok((permit, grants)) => desk.grants.leave(&permit, &grants).await?,
        Err(AccessError::Forbidden(_) | AccessError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(paths::SHARED).into_response())
}

impl Desk {
    /// What they asked for, the latest first.
    async fn requests(&self, who: &SignedIn, now: Timestamp) -> Result<Vec<Request>, PageError> {
        let requests = self.store.requests_of(who.person.identity().id, REQUESTS).await?;
        let people = people(&self.store, &requests).await?;
        let ids: Vec<_> = requests.iter().map(|request| request.wish.scope.cluster()).collect();
        let clusters = if ids.is_empty() { Vec::new() } else { self.store.clusters(&ids).await? };
        let drawn = |request: &AccessRequest| {
            let cluster = clusters.iter().find(|cluster| cluster.id == request.wish.scope.cluster())?;
            let closer = request.closed_by.and_then(|id| people.get(&id));
            Some(Request {
                cluster: cluster.name.to_string(),
                asked: asked(request, who.person.identity().display(), closer, now),
                withdraw: request.is_open(now).then(|| paths::withdraw_request(request.id)),
            })
        };
        Ok(requests.iter().filter_map(drawn).collect())
    }

    /// Of what ends soon on these clusters: where they move the end themselves, who may.
    async fn extends(
        &self,
        who: &SignedIn,
        clusters: &[Cluster],
        grants: &[Grant],
        now: Timestamp,
    ) -> Result<HashMap<GrantId, String>, PageError> {
        let mut extends = HashMap::new();
        for grant in grants.iter().filter(|grant| grant.ends_soon(now)) {
            let id = grant.scope.cluster();
            if !clusters.iter().any(|cluster| cluster.id == id) {
                continue;
            }
            let href = match grant.origin {
                Origin::Federated(wide) => {
                    let wide = self.store.federated_grant(wide).await?;
                    let permit = optional(self.gate.manage_reach(&who.person, wide.scope).await)?;
                    permit
                        .filter(|permit| policy::give_widely(permit, &wide.role).is_ok())
                        .map(|_| paths::federated(wide.id))
                }
                // Its end is the file's to say.
                Origin::File(_) => None,
                Origin::Manual | Origin::Link(_) | Origin::Owner | Origin::Request(_) => {
                    let permit = optional(self.gate.manage_access(&who.person, id).await)?;
                    permit
                        .filter(|permit| policy::give(permit, grant.role.as_ref()).is_ok())
                        .map(|_| paths::grant(id, grant.id))
                }
            };
            extends.extend(href.map(|href| (grant.id, href + "#extend")));
        }
        Ok(extends)
    }
}

/// What they may, if they may.
fn optional<T>(permit: Result<T, AccessError>) -> Result<Option<T>, PageError> {
    match permit {
        Ok(permit) => Ok(Some(permit)),
        Err(AccessError::Forbidden(_) | AccessError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the Groups are called by which some of these came, by the grant to each.
type Groups = HashMap<FederatedGrantId, GroupName>;

/// What is known of how somebody's access came to them, and of who moves its end.
#[derive(Default)]
struct Came {
    extends: HashMap<GrantId, String>,
    groups: Groups,
}

async fn groups_behind(store: &Store, grants: &[Grant]) -> Result<Groups, PageError> {
    let federated = |grant: &Grant| if let Origin::Federated(id) = grant.origin { Some(id) } else { None };
    let ids: Vec<FederatedGrantId> = grants.iter().filter_map(federated).collect();
    Ok(store.groups_behind(&ids).await?)
}

fn row(cluster: &Cluster, all: &[Grant], came: &Came, now: Timestamp) -> Row {
    let here = || all.iter().filter(|grant| grant.scope.cluster() == cluster.id);
    let mut grants: Vec<&Grant> = here().collect();
    grants.sort_by_key(|grant| std::cmp::Reverse(grant.role.clone()));
    let access = grants.into_iter().map(|grant| Access {
        role: RoleTag(grant.role.clone()),
        place: grant.scope.in_words(),
        until: grant.expires_at.map(|at| When::new(at, now)),
        soon: grant.ends_soon(now),
        extend: came.extends.get(&grant.id).cloned(),
        ask: paths::ask_longer(cluster.id, grant.id),
        how: how(grant, &came.groups),
    });
    Row {
        id: cluster.id,
        name: cluster.name.to_string(),
        kubeconfig: paths::kubeconfig(cluster.id),
        ask: paths::ask(cluster.id),
        removing: cluster.removing.is_some(),
        access: access.collect(),
        may_leave: here().any(Grant::can_be_left),
    }
}

/// By which way it came to them.
fn how(grant: &Grant, groups: &Groups) -> String {
    let own = if let Origin::Federated(id) = grant.origin { groups.get(&id) } else { None };
    match (&grant.grantee, grant.origin) {
        (Grantee::Group(_, group), _) if let Some(own) = own => {
            format!("by the Kubelend group {own}, in which your group {group} is")
        }
        (_, Origin::Federated(_)) if let Some(own) = own => format!("by the Kubelend group {own}"),
        (Grantee::Group(_, group), _) => format!("by your group {group}"),
        (_, Origin::Link(_)) => "by a share link".into(),
        (_, Origin::Owner) => "since you added it".into(),
        (_, Origin::Request(_)) => "since you asked for it".into(),
        (_, Origin::Manual | Origin::File(_)) => "given to you by name".into(),
        (_, Origin::Federated(_)) => "given to you on several clusters at once".into(),
    }
}

fn leaving(cluster: &Cluster, grants: &[Grant], groups: &Groups) -> Leaving {
    let stays = grants.iter().filter(|grant| grant.scope.cluster() == cluster.id && !grant.can_be_left());
    let mut stays: Vec<String> = stays.map(|grant| how(grant, groups)).collect();
    stays.sort();
    stays.dedup();
    Leaving { cluster: cluster.name.to_string(), action: paths::leave(cluster.id), stays }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            access_request::RequestState,
            grant::GrantState,
            id::{IdentityId, ShareLinkId},
            reason::Reason,
            role::Role,
            scope::Scope,
        },
        web::pages::{
            cluster::tests::cluster,
            own_projects::tests::sample_projects,
            request::tests::request,
            samples::{HOSTILE, NOW, frame},
        },
    };

    fn grant(cluster: &Cluster, grantee: Grantee, origin: Origin) -> Grant {
        Grant {
            id: GrantId::new(),
            grantee,
            role: Some(Role::View),
            scope: Scope::Cluster(cluster.id),
            expires_at: Some(NOW.plus(std::time::Duration::from_hours(48))),
            reason: None,
            origin,
            created_by: IdentityId::new(),
            created_at: NOW,
            state: GrantState::Applied,
            state_detail: None,
            state_since: NOW,
            ended: None,
        }
    }

    fn requested(cluster: &Cluster, open: bool) -> Request {
        let state = if open { RequestState::Pending } else { RequestState::Declined(Reason::read(HOSTILE).unwrap()) };
        let request = request(cluster.id, state);
        Request {
            cluster: cluster.name.to_string(),
            asked: asked(&request, "bob@example.com", None, NOW),
            withdraw: open.then(|| paths::withdraw_request(request.id)),
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |count: usize, q: &str, ask: bool| {
            let clusters: Vec<Cluster> = (0..count).map(|n| cluster(&format!("cluster-{n}"))).collect();
            let asked = listing::Asked { q: q.into(), page: "2".into() };
            let fits = |asked: &listing::Asked, cluster: &Cluster| asked.fits([cluster.name.as_str()]);
            let (clusters, listing) = listing::cut(clusters, fits, ("cluster", A_PAGE), asked, paths::SHARED.into());
            let group = || Grantee::Group("dex".parse().unwrap(), HOSTILE.into());
            let me = || Grantee::Person(IdentityId::new());
            let grants: Vec<Grant> = clusters
                .iter()
                .flat_map(|c| [grant(c, me(), Origin::Link(ShareLinkId::new())), grant(c, group(), Origin::Manual)])
                .collect();
            let extends = grants.iter().map(|grant| (grant.id, paths::grant(grant.scope.cluster(), grant.id)));
            let came = Came { extends: extends.step_by(2).collect(), ..Came::default() };
            Page {
                frame: frame(),
                rows: clusters.iter().map(|c| row(c, &grants, &came, NOW)).collect(),
                download: paths::SHARED_DOWNLOAD,
                here: paths::SHARED,
                requests: clusters.iter().take(8).map(|c| requested(c, ask)).collect(),
                projects: sample_projects(usize::from(ask)),
                leaving: ask.then(|| leaving(&clusters[0], &grants, &Groups::new())),
                listing,
            }
            .render()
            .unwrap()
        };
        vec![
            ("shared", draw(3, "", false)),
            ("shared-leave", draw(2, "", true)),
            ("shared-full", draw(A_PAGE * 3, "", false)),
            ("shared-not-found", draw(3, HOSTILE, false)),
        ]
    }

    #[test]
    fn what_reaches_somebody_by_a_group_is_not_theirs_to_give_back() {
        let staging = cluster("staging");
        let group = grant(&staging, Grantee::Group("dex".parse().unwrap(), "devs".into()), Origin::Manual);
        let nothing = Came::default();
        assert!(!row(&staging, std::slice::from_ref(&group), &nothing, NOW).may_leave);
        assert_eq!(how(&group, &Groups::new()), "by your group devs");
        let own = grant(&staging, Grantee::Person(IdentityId::new()), Origin::Owner);
        assert!(row(&staging, &[group, own], &nothing, NOW).may_leave);
    }

    #[test]
    fn what_ends_within_a_week_says_so_and_who_may_extends_it() {
        let pages = samples();
        let page = &pages.iter().find(|(n, _)| *n == "shared").unwrap().1;
        assert_eq!((page.matches("state warned").count(), page.matches(">Extend<").count()), (6, 3));
        assert_eq!(page.matches(">Ask for longer<").count(), 3);
        assert!(!page.contains(">Take back<"), "what was answered is not taken back");
        assert!(pages.iter().any(|(name, html)| *name == "shared-leave" && html.contains(">Take back<")));
    }

    #[test]
    fn what_came_by_a_group_of_ours_says_so_and_is_not_theirs_to_give_back() {
        let (staging, id) = (cluster("staging"), FederatedGrantId::new());
        let came = Came { groups: Groups::from([(id, "Ops".parse().unwrap())]), ..Came::default() };
        let of = |grantee| grant(&staging, grantee, Origin::Federated(id));
        let person = of(Grantee::Person(IdentityId::new()));
        assert_eq!(how(&person, &came.groups), "by the Kubelend group Ops");
        assert!(!row(&staging, std::slice::from_ref(&person), &came, NOW).may_leave);
        let team = of(Grantee::Group("dex".parse().unwrap(), "devs".into()));
        assert_eq!(how(&team, &came.groups), "by the Kubelend group Ops, in which your group devs is");
        assert_eq!(how(&person, &Groups::new()), "given to you on several clusters at once");
    }
}
