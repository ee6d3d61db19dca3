//! Writing federated grants out: the grants on clusters that should live because of them, and those that do.

use std::collections::{HashMap, hash_map::Entry};

use super::{FederatedRow, NewFederatedGrant, holder_key, mark_ended, one, scope_text, select_federated};
use crate::{
    model::{
        audit::Action,
        federation::{FederatedGrant, WideScope},
        grant::{EndReason, Grantee, Origin},
        group::Holder,
        id::{ClusterId, FederatedGrantId, GrantId, GroupId, ProjectId, WorkspaceId},
        provider::ProviderId,
        reason::Reason,
        scope::Scope,
        time::Timestamp,
    },
    store::{
        AuditDraft, NewGrant, Store, StoreError, clusters,
        db::{Tx, parsed},
        grants::{self, key, names_text, namespaces_text, role_text},
        groups, identities, projects, workspaces,
    },
};

/// A placement that lives.
#[derive(sqlx::FromRow)]
struct Standing {
    id: String,
    federated_id: String,
    cluster_id: String,
    namespaces: String,
    grantee_key: String,
    group_id: Option<String>,
}

/// A placement that should live.
struct Wanted<'a> {
    grant: &'a FederatedGrant,
    cluster: ClusterId,
    scope: Scope,
    grantee: &'a Grantee,
}

/// Whom grants are for, one by one: the members of their Groups as they are now, and whoever is a grant's own grantee.
#[derive(Default)]
struct Everyone(HashMap<GroupId, Vec<Grantee>>);

impl Everyone {
    async fn behind(tx: &mut Tx, grants: &[FederatedGrant]) -> Result<Self, StoreError> {
        let mut all = HashMap::new();
        for id in grants.iter().filter_map(|grant| grant.grantee.group()) {
            if let Entry::Vacant(place) = all.entry(id) {
                place.insert(groups::members(tx, id).await?.into_iter().map(|member| member.who).collect());
            }
        }
        Ok(Self(all))
    }

    fn of<'a>(&'a self, grant: &'a FederatedGrant) -> &'a [Grantee] {
        match &grant.grantee {
            Holder::One(grantee) => std::slice::from_ref(grantee),
            Holder::Group(id, _) => self.0.get(id).map(Vec::as_slice).unwrap_or_default(),
        }
    }
}

impl Store {
    /// How many grants a change of a Group, or of what it holds, is written out as at most.
    pub const MOST_AT_ONCE: usize = 5_000;
}

/// Refuses what somebody wants of a Group where it would be written out as more than is to be one transaction.
fn bounded(missing: usize) -> Result<(), StoreError> {
    if missing > Store::MOST_AT_ONCE { Err(StoreError::TooMuch(missing)) } else { Ok(()) }
}

/// What one federated grant reaches now, and what it was written out as.
struct Reach {
    grant: FederatedGrant,
    places: Vec<(ClusterId, Scope)>,
    everyone: Everyone,
    standing: Vec<Standing>,
}

impl Reach {
    async fn of(tx: &mut Tx, id: FederatedGrantId) -> Result<Self, StoreError> {
        let grant = one(tx, id).await?;
        let project = match grant.scope {
            WideScope::Project(id) => projects::one(tx, id).await?,
            WideScope::Global | WideScope::Workspace(_) | WideScope::Cluster(_) => None,
        };
        let clusters = match (grant.scope, &project) {
            (WideScope::Global, _) => clusters::living(tx, None).await?,
            (WideScope::Workspace(id), _) => clusters::living(tx, Some(id)).await?,
            (WideScope::Project(_), Some(project)) => clusters::living(tx, Some(project.workspace)).await?,
            // A project that is gone is nowhere.
            (WideScope::Project(_), None) => Vec::new(),
            (WideScope::Cluster(id), _) => vec![clusters::one(tx, id).await?],
        };
        let everyone = Everyone::behind(tx, std::slice::from_ref(&grant)).await?;
        let places = clusters.iter().filter_map(|c| Some((c.id, grant.placement(c, project.as_ref())?))).collect();
        let standing = standing_of_grant(tx, id).await?;
        Ok(Self { grant, places, everyone, standing })
    }

    fn change(&self) -> Change<'_> {
        let places = self.places.iter();
        let wanted = places.flat_map(|(cluster, scope)| wanted(&self.grant, &self.everyone, *cluster, scope.clone()));
        Change::between(wanted.collect(), &self.standing)
    }
}

/// Writes out what one federated grant reaches now, and ends what it does not reach any more.
pub(super) async fn place_grant(tx: &mut Tx, id: FederatedGrantId, now: Timestamp) -> Result<(), StoreError> {
    Reach::of(tx, id).await?.change().carry_out(tx, now).await
}

/// The same of what is given to a Group.
///
/// # Errors
/// `TooMuch`, before any of it is written.
pub(super) async fn place_bounded(tx: &mut Tx, id: FederatedGrantId, now: Timestamp) -> Result<(), StoreError> {
    let reach = Reach::of(tx, id).await?;
    let change = reach.change();
    bounded(change.missing.len())?;
    change.carry_out(tx, now).await
}

fn wanted<'a>(
    grant: &'a FederatedGrant,
    everyone: &'a Everyone,
    cluster: ClusterId,
    scope: Scope,
) -> impl Iterator<Item = Wanted<'a>> {
    everyone.of(grant).iter().map(move |grantee| Wanted { grant, cluster, scope: scope.clone(), grantee })
}

/// The same for all federated grants on one cluster: it has joined, moved, or got other labels.
pub(in crate::store) async fn place_cluster(tx: &mut Tx, id: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    let cluster = clusters::one(tx, id).await?;
    let projects = projects::of_workspace(tx, cluster.workspace).await?;
    let mut grants = live_in(tx, WideScope::Global).await?;
    grants.extend(live_in(tx, WideScope::Workspace(cluster.workspace)).await?);
    grants.extend(live_in(tx, WideScope::Cluster(id)).await?);
    for project in &projects {
        grants.extend(live_in(tx, WideScope::Project(project.id)).await?);
    }
    let of = |grant: &FederatedGrant| match grant.scope {
        WideScope::Project(id) => projects.iter().find(|project| project.id == id),
        WideScope::Global | WideScope::Workspace(_) | WideScope::Cluster(_) => None,
    };
    let everyone = Everyone::behind(tx, &grants).await?;
    let places = grants.iter().filter_map(|grant| Some((grant, grant.placement(&cluster, of(grant))?)));
    let wanted: Vec<Wanted<'_>> = places.flat_map(|(grant, scope)| wanted(grant, &everyone, id, scope)).collect();
    let standing = standing_on_cluster(tx, id).await?;
    Change::between(wanted, &standing).carry_out(tx, now).await
}

/// The same for all grants to a Group: its members have changed.
pub(in crate::store) async fn place_group(tx: &mut Tx, id: GroupId, now: Timestamp) -> Result<(), StoreError> {
    for grant in live_of_group(tx, id).await? {
        place_grant(tx, grant.id, now).await?;
    }
    Ok(())
}

/// The same where somebody has got another member into the Group.
///
/// # Errors
/// `TooMuch`, before any of it is written: all wait for whoever writes.
pub(in crate::store) async fn place_group_bounded(tx: &mut Tx, id: GroupId, now: Timestamp) -> Result<(), StoreError> {
    let mut missing = 0;
    for grant in live_of_group(tx, id).await? {
        missing += Reach::of(tx, grant.id).await?.change().missing.len();
    }
    bounded(missing)?;
    place_group(tx, id, now).await
}

/// Ends all grants to a Group with it, each with an event like this one that says what ended.
pub(in crate::store) async fn end_of_group(
    tx: &mut Tx,
    id: GroupId,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditDraft { action: Action::GrantRevoked, ..event.clone() };
    for grant in live_of_group(tx, id).await? {
        end(tx, &grant, EndReason::Revoked, &event, now).await?;
    }
    Ok(())
}

/// Ends what a cluster's own page gave to Groups that do not count in the workspace that it has moved to: whoever changes their
/// members has no say there. Each with an event like this one that says what ended.
pub(in crate::store) async fn end_strangers(
    tx: &mut Tx,
    id: ClusterId,
    to: WorkspaceId,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditDraft { action: Action::GrantRevoked, ..event.clone() };
    for grant in live_in(tx, WideScope::Cluster(id)).await? {
        let group = match grant.grantee.group() {
            Some(id) => groups::one(tx, id).await?,
            None => None,
        };
        if !group.is_some_and(|group| group.is_usable_in(Some(to))) {
            end(tx, &grant, EndReason::OutOfScope, &event, now).await?;
        }
    }
    Ok(())
}

/// Ends what a cluster's own page gave to Groups, as the cluster is being removed; what it was written out as is the caller's.
pub(in crate::store) async fn end_on_cluster(tx: &mut Tx, id: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    for grant in live_in(tx, WideScope::Cluster(id)).await? {
        mark_ended(tx, grant.id, EndReason::ClusterRemoved, now).await?;
    }
    Ok(())
}

/// The same for one project's grants: its placement has changed.
pub(in crate::store) async fn place_project(tx: &mut Tx, id: ProjectId, now: Timestamp) -> Result<(), StoreError> {
    for grant in live_in(tx, WideScope::Project(id)).await? {
        place_grant(tx, grant.id, now).await?;
    }
    Ok(())
}

/// Ends a project's grants with it, each with an event like this one that says what ended.
pub(in crate::store) async fn end_of_project(
    tx: &mut Tx,
    id: ProjectId,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    end_of(tx, WideScope::Project(id), event, now).await
}

/// Ends what reaches a workspace's clusters with it, its projects' grants among them, each with its event.
pub(in crate::store) async fn end_of_workspace(
    tx: &mut Tx,
    id: WorkspaceId,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    end_of(tx, WideScope::Workspace(id), event, now).await?;
    for project in projects::of_workspace(tx, id).await? {
        end_of_project(tx, project.id, event, now).await?;
    }
    Ok(())
}

/// Ends what reaches further than a cluster and is for the people, addresses and groups of a provider, each with an event like this one.
pub(in crate::store) async fn end_of_provider(
    tx: &mut Tx,
    id: &ProviderId,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = select_federated!(
        "WHERE f.ended IS NULL AND (f.provider = $1 OR f.identity_id IN (SELECT i.id FROM identities i WHERE i.provider = $1))"
    );
    let rows: Vec<FederatedRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.as_str()).fetch_all(db).await)?;
    for row in rows {
        end(tx, &row.grant()?, EndReason::Revoked, event, now).await?;
    }
    Ok(())
}

async fn end_of(tx: &mut Tx, scope: WideScope, event: &AuditDraft, now: Timestamp) -> Result<(), StoreError> {
    let event = AuditDraft { action: Action::GrantRevoked, ..event.clone() };
    for grant in live_in(tx, scope).await? {
        end(tx, &grant, EndReason::OutOfScope, &event, now).await?;
    }
    Ok(())
}

/// Ends one that lives, with what it was written out as, and with an event like this one that says what ended. Returns whether it
/// lived.
pub(super) async fn end(
    tx: &mut Tx,
    grant: &FederatedGrant,
    why: EndReason,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !mark_ended(tx, grant.id, why, now).await? {
        return Ok(false);
    }
    grants::end_federated(tx, grant.id, why, now).await?;
    let event = AuditDraft { target: in_words(tx, grant).await?, ..event.clone() };
    let about = super::about(tx, grant.scope).await?;
    event.append_of(tx, about, grant.grantee.group(), now).await?;
    Ok(true)
}

/// The event of a time that is up.
pub(super) fn expired() -> AuditDraft {
    AuditDraft::by_kubelend(Action::GrantExpired, String::new())
}

/// Ends those to the verified email of a person that this one to the person takes the place of: so an owner confirms whom they meant
/// once the address has changed hands.
pub(super) async fn end_for_address(
    tx: &mut Tx,
    new: &NewFederatedGrant,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Holder::One(grantee) = &new.grantee else { return Ok(()) };
    let Some(address) = grants::address_of(tx, grantee).await? else { return Ok(()) };
    let same = |g: &&FederatedGrant| holder_key(&g.grantee) == address && g.role == new.role;
    for grant in live_in(tx, new.scope).await?.iter().filter(same) {
        let event = AuditDraft { action: Action::GrantRevoked, ..event.clone() };
        end(tx, grant, EndReason::Revoked, &event, now).await?;
    }
    Ok(())
}

/// Gives one another end and another reason; what it is written out as ends with it.
pub(in crate::store) async fn set_terms(
    tx: &mut Tx,
    id: FederatedGrantId,
    expires_at: Option<Timestamp>,
    reason: Option<&Reason>,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE federated_grants SET expires_at = $2, reason = $3 WHERE id = $1 AND ended IS NULL";
    on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(expires_at.map(Timestamp::millis))
        .bind(reason.map(Reason::as_str))
        .execute(db)
        .await
        .map(drop))?;
    grants::retime(tx, id, expires_at, reason).await
}

/// Ends one of the same kind whose time is up and whom the loop has not ended yet: it must not stand in a new one's way.
pub(super) async fn expire_same(tx: &mut Tx, new: &NewFederatedGrant, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "SELECT id FROM federated_grants WHERE scope = $1 AND grantee_key = $2 AND role = $3 \
         AND namespaces = $5 AND ended IS NULL AND expires_at <= $4";
    let same: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(scope_text(new.scope))
        .bind(holder_key(&new.grantee))
        .bind(role_text(Some(&new.role)))
        .bind(now.millis())
        .bind(names_text(&new.namespaces))
        .fetch_all(db)
        .await)?;
    for (id,) in same {
        let grant = one(tx, parsed(&id, "id of a federated grant")?).await?;
        end(tx, &grant, EndReason::Expired, &expired(), now).await?;
    }
    Ok(())
}

/// Makes sure that something can be given so far, and returns in which workspace that is.
///
/// # Errors
/// `NotFound` where the workspace, project or cluster is gone, `Stale` where it is on its way out.
pub(super) async fn living_scope(tx: &mut Tx, scope: WideScope) -> Result<Option<WorkspaceId>, StoreError> {
    let workspace = match scope {
        WideScope::Global => return Ok(None),
        WideScope::Workspace(id) => id,
        WideScope::Project(id) => projects::one(tx, id).await?.ok_or(StoreError::NotFound)?.workspace,
        WideScope::Cluster(id) => {
            clusters::lock_for_giving(tx, id).await?;
            return Ok(Some(clusters::one(tx, id).await?.workspace));
        }
    };
    workspaces::lock_for_giving(tx, workspace).await?;
    Ok(Some(workspace))
}

/// “bob@example.com: view on every cluster”.
async fn in_words(tx: &mut Tx, grant: &FederatedGrant) -> Result<String, StoreError> {
    let who = match &grant.grantee {
        Holder::One(grantee) => grantee_words(tx, grantee).await?,
        Holder::Group(_, name) => format!("Kubelend group {name}"),
    };
    let place = match grant.scope {
        WideScope::Global => "on every cluster".to_owned(),
        WideScope::Workspace(_) => "on every cluster of the workspace".to_owned(),
        WideScope::Project(id) => match projects::one(tx, id).await? {
            Some(project) => format!("in the project {}", project.name),
            None => "in a project".to_owned(),
        },
        WideScope::Cluster(id) => format!("on {}", Scope::new(id, grant.namespaces.clone()).in_words()),
    };
    Ok(format!("{who}: {} {place}", grant.role))
}

/// “bob@example.com”, “group devs”.
async fn grantee_words(tx: &mut Tx, grantee: &Grantee) -> Result<String, StoreError> {
    Ok(match grantee {
        Grantee::Person(id) => {
            identities::one(tx, *id).await?.map_or_else(|| "somebody".into(), |p| p.display().to_owned())
        }
        Grantee::Email(_, email) => email.to_string(),
        Grantee::Group(_, group) => format!("group {group}"),
        Grantee::ServiceAccount(account) => format!("ServiceAccount {account}"),
    })
}

async fn live_of_group(tx: &mut Tx, id: GroupId) -> Result<Vec<FederatedGrant>, StoreError> {
    const SQL: &str = select_federated!("WHERE f.group_id = $1 AND f.ended IS NULL ORDER BY f.id");
    let rows: Vec<FederatedRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?;
    rows.into_iter().map(FederatedRow::grant).collect()
}

async fn live_in(tx: &mut Tx, scope: WideScope) -> Result<Vec<FederatedGrant>, StoreError> {
    const SQL: &str = select_federated!("WHERE f.scope = $1 AND f.ended IS NULL ORDER BY f.id");
    let rows: Vec<FederatedRow> = on!(tx, |db| sqlx::query_as(SQL).bind(scope_text(scope)).fetch_all(db).await)?;
    rows.into_iter().map(FederatedRow::grant).collect()
}

macro_rules! select_standing {
    ($which:literal) => {
        concat!(
            "SELECT id, federated_id, cluster_id, namespaces, grantee_key, group_id FROM grants WHERE ",
            $which,
            " AND ended IS NULL"
        )
    };
}

async fn standing_of_grant(tx: &mut Tx, id: FederatedGrantId) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str = select_standing!("federated_id = $1");
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?)
}

async fn standing_on_cluster(tx: &mut Tx, id: ClusterId) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str = select_standing!("cluster_id = $1 AND federated_id IS NOT NULL");
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?)
}

/// What is between the placements that should live and those that do.
struct Change<'a> {
    /// To be made.
    missing: Vec<Wanted<'a>>,
    /// To be ended.
    over: Vec<&'a str>,
}

impl<'a> Change<'a> {
    fn between(wanted: Vec<Wanted<'a>>, standing: &'a [Standing]) -> Self {
        // Of a grant to one there is one placement on a cluster, whatever its grantee has become since.
        let place = |wanted: &Wanted<'_>| {
            let member = wanted.grant.grantee.group().map(|_| key(wanted.grantee));
            (wanted.grant.id.to_string(), wanted.cluster.to_string(), member)
        };
        let mut missing: HashMap<_, _> =
            wanted.into_iter().enumerate().map(|(n, wanted)| (place(&wanted), (n, wanted))).collect();
        let mut over = Vec::new();
        for there in standing {
            let member = there.group_id.as_ref().map(|_| there.grantee_key.clone());
            let place = (there.federated_id.clone(), there.cluster_id.clone(), member);
            match missing.get(&place) {
                Some((_, wanted)) if namespaces_text(&wanted.scope) == there.namespaces => {
                    missing.remove(&place);
                }
                Some(_) | None => over.push(there.id.as_str()),
            }
        }
        let mut missing: Vec<_> = missing.into_values().collect();
        missing.sort_unstable_by_key(|(n, _)| *n);
        Self { missing: missing.into_iter().map(|(_, wanted)| wanted).collect(), over }
    }

    async fn carry_out(self, tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
        for id in self.over {
            grants::end(tx, parsed(id, "id of a grant")?, EndReason::OutOfScope, now).await?;
        }
        for Wanted { grant, scope, grantee, .. } in self.missing {
            let new = NewGrant {
                id: GrantId::new(),
                grantee: grantee.clone(),
                role: Some(grant.role.clone()),
                scope,
                expires_at: grant.expires_at,
                reason: grant.reason.clone(),
                origin: Origin::Federated(grant.id),
                created_by: grant.created_by,
                vouch: None,
            };
            grants::insert(tx, &new, now).await?;
        }
        Ok(())
    }
}
