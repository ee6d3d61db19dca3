//! Writing federated grants out: the grants on clusters that should live because of them, and those that do.

use std::collections::HashMap;

use super::{FederatedRow, NewFederatedGrant, mark_ended, one, scope_text, select_federated};
use crate::{
    model::{
        audit::Action,
        federation::{FederatedGrant, WideScope},
        grant::{EndReason, Grantee, Origin},
        id::{ClusterId, FederatedGrantId, GrantId, ProjectId, WorkspaceId},
        scope::Scope,
        time::Timestamp,
    },
    store::{
        AuditDraft, NewGrant, StoreError, clusters,
        db::{Tx, parsed},
        grants::{self, key, namespaces_text, role_text},
        identities, projects, workspaces,
    },
};

/// A placement that lives.
#[derive(sqlx::FromRow)]
struct Standing {
    id: String,
    federated_id: String,
    cluster_id: String,
    namespaces: String,
}

/// Writes out what one federated grant reaches now, and ends what it does not reach any more.
pub(super) async fn place_grant(tx: &mut Tx, id: FederatedGrantId, now: Timestamp) -> Result<(), StoreError> {
    let grant = one(tx, id).await?;
    let project = match grant.scope {
        WideScope::Project(id) => projects::one(tx, id).await?,
        WideScope::Global | WideScope::Workspace(_) => None,
    };
    let workspace = match grant.scope {
        WideScope::Global => None,
        WideScope::Workspace(id) => Some(id),
        // A project that is gone is nowhere.
        WideScope::Project(_) => Some(project.as_ref().map_or_else(WorkspaceId::new, |p| p.workspace)),
    };
    let clusters = clusters::living(tx, workspace).await?;
    let wanted: Vec<(&FederatedGrant, ClusterId, Scope)> = clusters
        .iter()
        .filter_map(|cluster| Some((&grant, cluster.id, grant.placement(cluster, project.as_ref())?)))
        .collect();
    let standing = standing_of_grant(tx, id).await?;
    make_so(tx, &wanted, standing, now).await
}

/// The same for all federated grants on one cluster: it has joined, moved, or got other labels.
pub(in crate::store) async fn place_cluster(tx: &mut Tx, id: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    let cluster = clusters::one(tx, id).await?;
    let projects = projects::of_workspace(tx, cluster.workspace).await?;
    let mut grants = live_in(tx, WideScope::Global).await?;
    grants.extend(live_in(tx, WideScope::Workspace(cluster.workspace)).await?);
    for project in &projects {
        grants.extend(live_in(tx, WideScope::Project(project.id)).await?);
    }
    let of = |grant: &FederatedGrant| match grant.scope {
        WideScope::Project(id) => projects.iter().find(|project| project.id == id),
        WideScope::Global | WideScope::Workspace(_) => None,
    };
    let wanted: Vec<(&FederatedGrant, ClusterId, Scope)> =
        grants.iter().filter_map(|grant| Some((grant, id, grant.placement(&cluster, of(grant))?))).collect();
    let standing = standing_on_cluster(tx, id).await?;
    make_so(tx, &wanted, standing, now).await
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
    end_placements(tx, grant.id, why, now).await?;
    let event = AuditDraft { target: in_words(tx, grant).await?, ..event.clone() };
    let about = super::about(tx, grant.scope).await?;
    event.append(tx, about, now).await?;
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
    let Some(address) = grants::address_of(tx, &new.grantee).await? else { return Ok(()) };
    for grant in live_in(tx, new.scope).await?.iter().filter(|g| key(&g.grantee) == address && g.role == new.role) {
        let event = AuditDraft { action: Action::GrantRevoked, ..event.clone() };
        end(tx, grant, EndReason::Revoked, &event, now).await?;
    }
    Ok(())
}

/// Ends what a federated grant was written out as.
async fn end_placements(tx: &mut Tx, id: FederatedGrantId, why: EndReason, now: Timestamp) -> Result<(), StoreError> {
    let ids = standing_of_grant(tx, id).await?.into_iter().map(|s| s.id).collect::<Vec<_>>();
    end_standing(tx, &ids, why, now).await
}

/// Ends one of the same kind whose time is up and whom the loop has not ended yet: it must not stand in a new one's way.
pub(super) async fn expire_same(tx: &mut Tx, new: &NewFederatedGrant, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "SELECT id FROM federated_grants WHERE scope = $1 AND grantee_key = $2 AND role = $3 \
         AND ended IS NULL AND expires_at <= $4";
    let same: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(scope_text(new.scope))
        .bind(key(&new.grantee))
        .bind(role_text(Some(&new.role)))
        .bind(now.millis())
        .fetch_all(db)
        .await)?;
    for (id,) in same {
        let grant = one(tx, parsed(&id, "id of a federated grant")?).await?;
        end(tx, &grant, EndReason::Expired, &expired(), now).await?;
    }
    Ok(())
}

/// # Errors
/// `NotFound` where the workspace or project is gone, `Stale` where the workspace is being deleted.
pub(super) async fn living_scope(tx: &mut Tx, scope: WideScope) -> Result<(), StoreError> {
    let there = match scope {
        WideScope::Global => true,
        WideScope::Workspace(id) => {
            workspaces::lock_for_giving(tx, id).await?;
            true
        }
        WideScope::Project(id) => match projects::one(tx, id).await? {
            Some(project) => {
                workspaces::lock_for_giving(tx, project.workspace).await?;
                true
            }
            None => false,
        },
    };
    if there { Ok(()) } else { Err(StoreError::NotFound) }
}

/// “bob@example.com: view on every cluster”.
async fn in_words(tx: &mut Tx, grant: &FederatedGrant) -> Result<String, StoreError> {
    let who = match &grant.grantee {
        Grantee::Person(id) => {
            identities::one(tx, *id).await?.map_or_else(|| "somebody".into(), |p| p.display().to_owned())
        }
        Grantee::Email(_, email) => email.to_string(),
        Grantee::Group(_, group) => format!("group {group}"),
        Grantee::ServiceAccount(account) => format!("ServiceAccount {account}"),
    };
    let place = match grant.scope {
        WideScope::Global => "on every cluster".to_owned(),
        WideScope::Workspace(_) => "on every cluster of the workspace".to_owned(),
        WideScope::Project(id) => match projects::one(tx, id).await? {
            Some(project) => format!("in the project {}", project.name),
            None => "in a project".to_owned(),
        },
    };
    Ok(format!("{who}: {} {place}", grant.role))
}

async fn live_in(tx: &mut Tx, scope: WideScope) -> Result<Vec<FederatedGrant>, StoreError> {
    const SQL: &str = select_federated!("WHERE f.scope = $1 AND f.ended IS NULL ORDER BY f.id");
    let rows: Vec<FederatedRow> = on!(tx, |db| sqlx::query_as(SQL).bind(scope_text(scope)).fetch_all(db).await)?;
    rows.into_iter().map(FederatedRow::grant).collect()
}

async fn standing_of_grant(tx: &mut Tx, id: FederatedGrantId) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str =
        "SELECT id, federated_id, cluster_id, namespaces FROM grants WHERE federated_id = $1 AND ended IS NULL";
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?)
}

async fn standing_on_cluster(tx: &mut Tx, id: ClusterId) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str = "SELECT id, federated_id, cluster_id, namespaces FROM grants \
         WHERE cluster_id = $1 AND federated_id IS NOT NULL AND ended IS NULL";
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?)
}

/// Ends the placements that are not wanted, and makes those that are wanted and do not live.
async fn make_so(
    tx: &mut Tx,
    wanted: &[(&FederatedGrant, ClusterId, Scope)],
    standing: Vec<Standing>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut missing: HashMap<(String, String), usize> = wanted
        .iter()
        .enumerate()
        .map(|(n, (grant, cluster, _))| ((grant.id.to_string(), cluster.to_string()), n))
        .collect();
    let mut over = Vec::new();
    for there in standing {
        let place = (there.federated_id, there.cluster_id);
        match missing.get(&place) {
            Some(n) if namespaces_text(&wanted[*n].2) == there.namespaces => drop(missing.remove(&place)),
            Some(_) | None => over.push(there.id),
        }
    }
    end_standing(tx, &over, EndReason::OutOfScope, now).await?;
    let mut missing: Vec<usize> = missing.into_values().collect();
    missing.sort_unstable();
    for n in missing {
        let (grant, _, scope) = &wanted[n];
        let new = NewGrant {
            id: GrantId::new(),
            grantee: grant.grantee.clone(),
            role: Some(grant.role.clone()),
            scope: scope.clone(),
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

async fn end_standing(tx: &mut Tx, ids: &[String], why: EndReason, now: Timestamp) -> Result<(), StoreError> {
    for id in ids {
        grants::end(tx, parsed(id, "id of a grant")?, why, now).await?;
    }
    Ok(())
}
