//! Writing federated grants out: the grants on clusters that should live because of them, and those that do.

use super::{
    FederatedRow, NewFederatedGrant, holder_key, mark_ended, one,
    reach::{Change, Everyone, Reach, Wanted, standing_on_cluster, wanted},
    scope_text, select_federated,
};
use crate::{
    model::{
        audit::Action,
        federation::{FederatedGrant, WideScope},
        grant::{EndReason, Grantee},
        group::Holder,
        id::{ClusterId, FederatedGrantId, GroupId, ProjectId, WorkspaceId},
        provider::ProviderId,
        reason::Reason,
        scope::Scope,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError, clusters,
        db::{Tx, parsed},
        grants::{self, names_text, role_text},
        groups, identities, projects, workspaces,
    },
};

impl Store {
    /// How many grants a change of a Group, or of what it holds, is written out as at most.
    pub const MOST_AT_ONCE: usize = 5_000;
}

/// Refuses what somebody wants of a Group where it would be written out as more than is to be one transaction.
fn bounded(missing: usize) -> Result<(), StoreError> {
    if missing > Store::MOST_AT_ONCE { Err(StoreError::TooMuch(missing)) } else { Ok(()) }
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
