//! What goes with a workspace's own provider: its people's sessions, sign-ins and kubeconfigs, what they and their groups were given, what
//! is kept for them alone; on one cluster, where that leaves the workspace; and everywhere, where the provider is removed.

use super::lock;
use crate::{
    model::{
        audit::Action,
        grant::EndReason,
        id::{ClusterId, GroupId, IdentityId, WorkspaceId},
        provider::ProviderId,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, parsed},
        federation, grants, workspaces,
    },
};

/// What is left of one that goes: its id and its prefix, which are given to nobody else.
const GONE: &[&str] = &["UPDATE own_providers SET removed_at = $2, sealed_secret = NULL, ca_pem = NULL WHERE id = $1"];

/// The people of provider `$1`.
macro_rules! its_people {
    () => {
        "(SELECT id FROM identities WHERE provider = $1)"
    };
}

/// The people who own workspace `$1` and can come in: not those whose provider is off or gone, or counts elsewhere.
macro_rules! owners {
    ($but:expr) => {
        concat!(
            "SELECT COUNT(*) FROM members m WHERE m.workspace_id = $1 AND m.role = 'owner' AND m.identity_id IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM identities i JOIN own_providers o ON o.id = i.provider WHERE i.id = m.identity_id \
             AND (o.off_since IS NOT NULL OR o.removed_at IS NOT NULL OR o.workspace_id <> m.workspace_id)) AND ",
            $but
        )
    };
}

/// How far a provider reaches: what its page, and the question before it goes, say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnReach {
    /// People who have signed in with it.
    pub people: u32,
    /// Live grants to them, their addresses and their groups.
    pub grants: u32,
    /// Members of the workspace and its projects.
    pub members: u32,
    /// Kubeconfigs that they hold.
    pub devices: u32,
    /// Clusters that trust it.
    pub clusters: u32,
}

/// Runs statements that take the provider (`$1`) and the time (`$2`).
async fn run(tx: &mut Tx, id: &ProviderId, now: Timestamp, all: &'static [&'static str]) -> Result<(), StoreError> {
    for sql in all {
        on!(tx, |db| sqlx::query(*sql).bind(id.as_str()).bind(now.millis()).execute(db).await.map(drop))?;
    }
    Ok(())
}

/// Ends its people's sessions, forgets the sign-ins that are kept for them, and takes their kubeconfigs back.
pub(super) async fn sign_out(tx: &mut Tx, id: &ProviderId, now: Timestamp) -> Result<(), StoreError> {
    const ALL: &[&str] = &[
        concat!("DELETE FROM token_sets WHERE $2 > 0 AND identity_id IN ", its_people!()),
        concat!("DELETE FROM sessions WHERE $2 > 0 AND identity_id IN ", its_people!()),
        "DELETE FROM upstream_sessions WHERE $2 > 0 AND provider = $1",
        "UPDATE devices SET revoked_at = $2 WHERE revoked_at IS NULL AND provider = $1",
    ];
    run(tx, id, now, ALL).await
}

/// Refuses to go on where no person who can come in, but those of this provider, owns the workspace, whose row the caller holds, and one
/// of them does.
pub(super) async fn owned_without(tx: &mut Tx, home: WorkspaceId, id: &ProviderId) -> Result<(), StoreError> {
    const ITS: &str = concat!(
        "SELECT COUNT(*) FROM members WHERE workspace_id = $2 AND role = 'owner' AND identity_id IN ",
        its_people!()
    );
    const OTHERS: &str = owners!("m.identity_id NOT IN (SELECT id FROM identities WHERE provider = $2)");
    let (its,): (i64,) =
        on!(tx, |db| sqlx::query_as(ITS).bind(id.as_str()).bind(home.to_string()).fetch_one(db).await)?;
    let (others,): (i64,) =
        on!(tx, |db| sqlx::query_as(OTHERS).bind(home.to_string()).bind(id.as_str()).fetch_one(db).await)?;
    if its > 0 && others == 0 { Err(StoreError::LastOwner) } else { Ok(()) }
}

/// Whether a person other than this one owns the workspace, whose row the caller holds, and can come in.
pub(in crate::store) async fn is_owned_besides(
    tx: &mut Tx,
    workspace: WorkspaceId,
    person: IdentityId,
) -> Result<bool, StoreError> {
    const OTHERS: &str = owners!("m.identity_id <> $2");
    let (others,): (i64,) =
        on!(tx, |db| sqlx::query_as(OTHERS).bind(workspace.to_string()).bind(person.to_string()).fetch_one(db).await)?;
    Ok(others > 0)
}

/// Takes its people, addresses and groups out of the workspace, its projects and its Groups, with what those Groups gave them.
async fn end_members(tx: &mut Tx, id: &ProviderId, now: Timestamp) -> Result<(), StoreError> {
    const GROUPS: &str = concat!(
        "DELETE FROM own_group_members WHERE provider = $1 OR identity_id IN ",
        its_people!(),
        " RETURNING group_id"
    );
    const ALL: &[&str] = &[
        concat!("DELETE FROM members WHERE $2 > 0 AND (provider = $1 OR identity_id IN ", its_people!(), ")"),
        concat!("DELETE FROM workspace_members WHERE $2 > 0 AND identity_id IN ", its_people!()),
        concat!("DELETE FROM project_members WHERE $2 > 0 AND (provider = $1 OR identity_id IN ", its_people!(), ")"),
    ];
    let mut groups: Vec<(String,)> = on!(tx, |db| sqlx::query_as(GROUPS).bind(id.as_str()).fetch_all(db).await)?;
    groups.sort();
    groups.dedup();
    for (group,) in groups {
        let group: GroupId = parsed(&group, "group of a member")?;
        federation::place_group(tx, group, now).await?;
    }
    run(tx, id, now, ALL).await
}

/// Closes links and invitations that are for its people or by them, and what they ask for; forgets what was tried for it.
async fn end_the_rest(tx: &mut Tx, id: &ProviderId, now: Timestamp) -> Result<(), StoreError> {
    const ALL: &[&str] = &[
        concat!(
            "UPDATE share_links SET revoked_at = $2 WHERE revoked_at IS NULL AND (audience_provider = $1 OR created_by IN ",
            its_people!(),
            ")"
        ),
        concat!(
            "UPDATE invitations SET revoked_at = $2 WHERE revoked_at IS NULL AND (audience_provider = $1 OR created_by IN ",
            its_people!(),
            ")"
        ),
        concat!(
            "UPDATE access_requests SET state = 'withdrawn', closed_at = $2 WHERE state = 'pending' AND identity_id IN ",
            its_people!()
        ),
        "DELETE FROM cluster_trials WHERE $2 > 0 AND provider = $1",
        "DELETE FROM client_trials WHERE $2 > 0 AND provider = $1",
        "DELETE FROM preset_takeovers WHERE $2 > 0 AND provider = $1",
        "DELETE FROM cluster_trusts WHERE $2 > 0 AND provider = $1",
    ];
    run(tx, id, now, ALL).await
}

/// A cluster has left the workspaces whose own providers it trusts: it trusts them no longer, what their people and groups were given
/// on it ends, and so do their kubeconfigs for it, and links to it that are for them. Each provider with an event like this one.
pub(in crate::store) async fn leave_behind(
    tx: &mut Tx,
    cluster: ClusterId,
    (from, to): (WorkspaceId, WorkspaceId),
    event: &AuditDraft,
    now: Timestamp,
) -> Result<(), StoreError> {
    const TRUSTED: &str = "SELECT provider FROM cluster_trusts WHERE cluster_id = $1 \
         UNION SELECT id FROM own_providers WHERE workspace_id = $2 AND removed_at IS NULL";
    const ALL: [&str; 6] = [
        "UPDATE devices SET revoked_at = $2 WHERE revoked_at IS NULL AND provider = $1 AND cluster_id = $3",
        concat!(
            "UPDATE share_links SET revoked_at = $2 WHERE revoked_at IS NULL AND cluster_id = $3 \
             AND (audience_provider = $1 OR created_by IN ",
            its_people!(),
            ")"
        ),
        concat!(
            "UPDATE access_requests SET state = 'withdrawn', closed_at = $2 \
             WHERE state = 'pending' AND cluster_id = $3 AND identity_id IN ",
            its_people!()
        ),
        "DELETE FROM cluster_trials WHERE $2 > 0 AND provider = $1 AND cluster_id = $3",
        "DELETE FROM client_trials WHERE $2 > 0 AND provider = $1 AND cluster_id = $3",
        "DELETE FROM cluster_trusts WHERE $2 > 0 AND provider = $1 AND cluster_id = $3",
    ];
    let trusted: Vec<(String,)> =
        on!(tx, |db| sqlx::query_as(TRUSTED).bind(cluster.to_string()).bind(from.to_string()).fetch_all(db).await)?;
    for (id,) in trusted {
        let id: ProviderId = parsed(&id, "provider of a cluster")?;
        if id.counts_in(Some(to)) {
            continue;
        }
        grants::end_of_provider(tx, &id, Some(cluster), EndReason::OutOfScope, now).await?;
        let mut trusted = 0;
        for sql in ALL {
            trusted = on!(tx, |db| sqlx::query(sql)
                .bind(id.as_str())
                .bind(now.millis())
                .bind(cluster.to_string())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
        }
        // The last of these is the trust itself.
        if trusted == 0 {
            continue;
        }
        let target = format!("{id}: not trusted, since it is of another workspace’s own");
        let event = AuditDraft { action: Action::ClusterTrustChanged, target, ..event.clone() };
        event.append(tx, About::Cluster(cluster), now).await?;
    }
    Ok(())
}

/// The same for all of a workspace that is about to be deleted with its rows.
pub(in crate::store) async fn forget_workspace(
    tx: &mut Tx,
    workspace: WorkspaceId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "SELECT id FROM own_providers WHERE workspace_id = $1 AND removed_at IS NULL";
    let all: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(workspace.to_string()).fetch_all(db).await)?;
    for (id,) in all {
        let id = parsed(&id, super::WHAT)?;
        sign_out(tx, &id, now).await?;
        run(tx, &id, now, GONE).await?;
    }
    Ok(())
}

impl Store {
    /// Removes a provider with all that its people and groups have, and the secret. Repeating it changes nothing.
    ///
    /// # Errors
    /// `LastOwner` where no other person owns the workspace.
    pub async fn remove_own_provider(
        &self,
        id: &ProviderId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let home = id.home().ok_or(StoreError::NotFound)?;
            workspaces::lock(tx, home).await?;
            match lock(tx, id).await {
                Err(StoreError::NotFound) => return Ok(()),
                locked => locked?,
            };
            owned_without(tx, home, id).await?;
            sign_out(tx, id, now).await?;
            let event = AuditDraft { action: Action::GrantRevoked, ..audit.clone() };
            federation::end_of_provider(tx, id, &event, now).await?;
            end_members(tx, id, now).await?;
            grants::end_of_provider(tx, id, None, EndReason::Revoked, now).await?;
            end_the_rest(tx, id, now).await?;
            run(tx, id, now, GONE).await?;
            audit.append(tx, About::Workspace(home), now).await
        })
    }

    /// How many of a provider's people and groups hold live grants on a cluster.
    pub async fn count_grantees_of(
        &self,
        cluster: ClusterId,
        id: &ProviderId,
        now: Timestamp,
    ) -> Result<(u32, u32), StoreError> {
        const SQL: &str = concat!(
            "SELECT COUNT(DISTINCT CASE WHEN to_group THEN NULL ELSE grantee_key END), \
             COUNT(DISTINCT CASE WHEN to_group THEN grantee_key ELSE NULL END) FROM grants \
             WHERE cluster_id = $2 AND ended IS NULL AND (expires_at IS NULL OR expires_at > $3) \
             AND (provider = $1 OR identity_id IN ",
            its_people!(),
            ")"
        );
        let (people, groups): (i64, i64) = read!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .bind(cluster.to_string())
            .bind(now.millis())
            .fetch_one(db)
            .await)?;
        Ok((u32::try_from(people).unwrap_or(u32::MAX), u32::try_from(groups).unwrap_or(u32::MAX)))
    }

    /// How far a provider reaches now.
    pub async fn own_provider_reach(&self, id: &ProviderId) -> Result<OwnReach, StoreError> {
        const SQL: &str = concat!(
            "SELECT (SELECT COUNT(*) FROM identities WHERE provider = $1), \
             (SELECT COUNT(*) FROM grants WHERE ended IS NULL AND (provider = $1 OR identity_id IN ",
            its_people!(),
            ")), (SELECT COUNT(*) FROM members WHERE provider = $1 OR identity_id IN ",
            its_people!(),
            ") + (SELECT COUNT(*) FROM project_members WHERE provider = $1 OR identity_id IN ",
            its_people!(),
            "), (SELECT COUNT(*) FROM devices WHERE provider = $1 AND revoked_at IS NULL), \
             (SELECT COUNT(*) FROM cluster_trusts WHERE provider = $1)"
        );
        let (people, grants, members, devices, clusters): (i64, i64, i64, i64, i64) =
            read!(self, |db| sqlx::query_as(SQL).bind(id.as_str()).fetch_one(db).await)?;
        let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(OwnReach {
            people: count(people),
            grants: count(grants),
            members: count(members),
            devices: count(devices),
            clusters: count(clusters),
        })
    }
}
