//! Federated grants: what is wanted on many clusters at once, and the grants on each cluster that it is written out as.
//!
//! A placement is an ordinary grant whose `federated_id` says where it came from; `grants` brings it to its cluster. Whatever
//! changes what a federated grant reaches (the grant itself, a cluster that joins, moves or is labelled, a project, the members of
//! the Group that it is to) writes the difference out in its own transaction: nothing is left for a later pass to find, and a pass in which nothing has changed
//! costs nothing. Those transactions follow one another ([`lock`]), so that none misses what another one is about to commit.

mod pages;
mod place;
mod reach;

pub use pages::{FederatedPage, Placed, PlacementCounts};
pub(super) use place::{
    end_of_group, end_of_project, end_of_provider, end_of_workspace, end_on_cluster, end_strangers, place_cluster,
    place_group, place_group_bounded, place_project, set_terms,
};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    custom_roles,
    db::{Tx, clash, parsed},
    grants::{GranteeColumns, email_key, key, names_of, names_text, person_key, reason_of, role_of, role_text},
    groups,
};
use crate::model::{
    federation::{FederatedGrant, WideScope},
    grant::EndReason,
    group::{Group, Holder},
    id::{FederatedGrantId, IdentityId},
    name::Namespace,
    provider::ProviderId,
    reason::Reason,
    role::Role,
    time::Timestamp,
};

/// A federated grant to make.
#[derive(Clone, Debug)]
pub struct NewFederatedGrant {
    /// Its id.
    pub id: FederatedGrantId,
    /// How far.
    pub scope: WideScope,
    /// In which namespaces, where that is one cluster; empty for the whole of it.
    pub namespaces: Vec<Namespace>,
    /// Whom for.
    pub grantee: Holder,
    /// Which role.
    pub role: Role,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
    /// Who makes it.
    pub created_by: IdentityId,
}

#[derive(sqlx::FromRow)]
pub(super) struct FederatedRow {
    id: String,
    scope: String,
    namespaces: String,
    group_id: Option<String>,
    role: String,
    to_group: bool,
    identity_id: Option<String>,
    provider: Option<String>,
    grantee_name: Option<String>,
    expires_at: Option<i64>,
    reason: Option<String>,
    created_by: String,
    created_at: i64,
    ended: Option<String>,
}

macro_rules! select_federated {
    ($($rest:expr),+) => {
        concat!(
            "SELECT f.id, f.scope, f.namespaces, f.group_id, f.role, f.to_group, f.identity_id, f.provider, f.grantee_name, \
             f.expires_at, f.reason, f.created_by, f.created_at, f.ended FROM federated_grants f ",
            $($rest),+
        )
    };
}
pub(super) use select_federated;

impl FederatedRow {
    pub(super) fn grant(self) -> Result<FederatedGrant, StoreError> {
        let corrupt = |what| move || StoreError::Corrupt(what);
        let grantee = match (self.group_id, self.grantee_name) {
            (Some(id), Some(name)) => {
                Holder::Group(parsed(&id, "group of a grant")?, parsed(&name, "name of a group")?)
            }
            (_, name) => Holder::One(
                GranteeColumns {
                    to_group: self.to_group,
                    identity_id: self.identity_id,
                    provider: self.provider,
                    name,
                }
                .grantee()?,
            ),
        };
        let ended = self.ended.map(|why| EndReason::parse(&why).ok_or_else(corrupt("end of a federated grant")));
        Ok(FederatedGrant {
            id: parsed(&self.id, "id of a federated grant")?,
            scope: scope_of(&self.scope)?,
            namespaces: names_of(&self.namespaces)?,
            grantee,
            role: role_of(&self.role)?.ok_or_else(corrupt("role of a federated grant"))?,
            expires_at: self.expires_at.map(Timestamp::from_millis),
            reason: reason_of(self.reason.as_deref(), "reason of a federated grant")?,
            created_by: parsed(&self.created_by, "maker of a federated grant")?,
            created_at: Timestamp::from_millis(self.created_at),
            ended: ended.transpose()?,
        })
    }
}

/// As stored.
pub(super) fn scope_text(scope: WideScope) -> String {
    match scope {
        WideScope::Global => "global".into(),
        WideScope::Workspace(id) => format!("workspace:{id}"),
        WideScope::Project(id) => format!("project:{id}"),
        WideScope::Cluster(id) => format!("cluster:{id}"),
    }
}

/// What a federated grant is found by: as grants are, or by its Group.
fn holder_key(holder: &Holder) -> String {
    match holder {
        Holder::One(grantee) => key(grantee),
        Holder::Group(id, _) => format!("own-group:{id}"),
    }
}

fn scope_of(text: &str) -> Result<WideScope, StoreError> {
    const WHAT: &str = "scope of a federated grant";
    match text.split_once(':') {
        None if text == "global" => Ok(WideScope::Global),
        Some(("workspace", id)) => parsed(id, WHAT).map(WideScope::Workspace),
        Some(("project", id)) => parsed(id, WHAT).map(WideScope::Project),
        Some(("cluster", id)) => parsed(id, WHAT).map(WideScope::Cluster),
        _ => Err(StoreError::Corrupt(WHAT)),
    }
}

/// Waits until no other transaction changes what federated grants reach, and keeps others waiting until this one has ended. The
/// first statement of each that does.
pub(super) async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE federation SET changes = changes + 1 WHERE id = 1";
    on!(tx, |db| sqlx::query(SQL).execute(db).await.map(drop))?;
    Ok(())
}

/// Which workspace an event about this scope belongs to.
pub(super) async fn about(tx: &mut Tx, scope: WideScope) -> Result<About, StoreError> {
    const SQL: &str = "SELECT workspace_id FROM projects WHERE id = $1";
    match scope {
        WideScope::Global => Ok(About::Nothing),
        WideScope::Workspace(id) => Ok(About::Workspace(id)),
        WideScope::Cluster(id) => Ok(About::Cluster(id)),
        WideScope::Project(id) => {
            let row: Option<(String,)> =
                on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
            row.map_or(Ok(About::Nothing), |(id,)| parsed(&id, "workspace of a project").map(About::Workspace))
        }
    }
}

pub(super) async fn one(tx: &mut Tx, id: FederatedGrantId) -> Result<FederatedGrant, StoreError> {
    const SQL: &str = select_federated!("WHERE f.id = $1");
    let row: Option<FederatedRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.grant()
}

async fn insert(tx: &mut Tx, new: &NewFederatedGrant, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO federated_grants (id, scope, role, grantee_key, to_group, identity_id, provider, \
         grantee_name, expires_at, reason, created_by, created_at, group_id, namespaces) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
    let who = match &new.grantee {
        Holder::One(grantee) => GranteeColumns::from(grantee),
        Holder::Group(_, name) => {
            GranteeColumns { to_group: false, identity_id: None, provider: None, name: Some(name.to_string()) }
        }
    };
    custom_roles::lock_for_giving(tx, Some(&new.role)).await?;
    let inserted = on!(tx, |db| sqlx::query(SQL)
        .bind(new.id.to_string())
        .bind(scope_text(new.scope))
        .bind(role_text(Some(&new.role)))
        .bind(holder_key(&new.grantee))
        .bind(who.to_group)
        .bind(&who.identity_id)
        .bind(&who.provider)
        .bind(&who.name)
        .bind(new.expires_at.map(Timestamp::millis))
        .bind(new.reason.as_ref().map(Reason::as_str))
        .bind(new.created_by.to_string())
        .bind(now.millis())
        .bind(new.grantee.group().map(|id| id.to_string()))
        .bind(names_text(&new.namespaces))
        .execute(db)
        .await
        .map(|done| done.rows_affected()))
    .map_err(|e| clash(e, "a federated grant"))?;
    if inserted == 0 {
        return Err(StoreError::Duplicate("They have exactly this access already."));
    }
    Ok(())
}

/// Marks one as ended, if it lives.
async fn mark_ended(tx: &mut Tx, id: FederatedGrantId, why: EndReason, now: Timestamp) -> Result<bool, StoreError> {
    // Its end may have been moved since it was found to be over.
    const SQL: &str = "UPDATE federated_grants SET ended = $2, ended_at = $3 WHERE id = $1 AND ended IS NULL \
         AND ($2 <> 'expired' OR expires_at <= $3)";
    let ended = on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(why.as_str())
        .bind(now.millis())
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(ended > 0)
}

/// Turns live federated grants to an email (in lower case) at a provider into grants to the person, as
/// [`grants::give_to_person`] does with those on clusters.
pub(super) async fn give_to_person(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    person: IdentityId,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE federated_grants SET grantee_key = $1, identity_id = $2, provider = NULL, grantee_name = NULL \
         WHERE ended IS NULL AND grantee_key = $3 \
         AND NOT EXISTS (SELECT 1 FROM email_holders h WHERE h.provider = $4 AND h.email_key = $5 AND h.identity_id <> $2) \
         AND NOT EXISTS (SELECT 1 FROM federated_grants o WHERE o.grantee_key = $1 AND o.ended IS NULL \
                         AND o.scope = federated_grants.scope AND o.role = federated_grants.role)";
    on!(tx, |db| sqlx::query(SQL)
        .bind(person_key(person))
        .bind(person.to_string())
        .bind(email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

impl Store {
    /// Makes a federated grant and writes it out: a grant, `Pending` and due at once, on each cluster that it reaches now.
    ///
    /// # Errors
    /// `Duplicate` where a live one has the same grantee, role and scope; `NotFound` where its workspace or project is gone.
    ///
    /// One to a person takes the place of the same to their verified email, which ends with an event of its own.
    pub async fn add_federated_grant(
        &self,
        new: &NewFederatedGrant,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<FederatedGrant, StoreError> {
        self.give(new, None, audit, now).await
    }

    /// The same to a Group, as it was `seen` when it was asked whether that may be: written out for each of its members.
    ///
    /// # Errors
    /// Besides those above: `Stale` where others may change its members by now; `NotFound` where the Group is gone, or does not
    /// count there; `TooMuch` where that would be more grants at once than [`MOST_AT_ONCE`](Self::MOST_AT_ONCE); `Full` where it
    /// holds as many as it may.
    pub async fn give_to_group(
        &self,
        new: &NewFederatedGrant,
        seen: &Group,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<FederatedGrant, StoreError> {
        self.give(new, Some(seen), audit, now).await
    }

    async fn give(
        &self,
        new: &NewFederatedGrant,
        seen: Option<&Group>,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<FederatedGrant, StoreError> {
        transact!(self, |tx| {
            lock(tx).await?;
            let workspace = place::living_scope(tx, new.scope).await?;
            if let Some(group) = new.grantee.group() {
                let seen = seen.filter(|seen| seen.id == group).ok_or(StoreError::NotFound)?;
                groups::ready_for(tx, seen, workspace).await?;
            }
            place::expire_same(tx, new, now).await?;
            insert(tx, new, now).await?;
            place::end_for_address(tx, new, &audit, now).await?;
            match new.grantee.group() {
                Some(_) => place::place_bounded(tx, new.id, now).await?,
                None => place::place_grant(tx, new.id, now).await?,
            }
            let about = about(tx, new.scope).await?;
            audit.append_of(tx, about, new.grantee.group(), now).await?;
            one(tx, new.id).await
        })
    }

    /// Ends one, and with it what it was written out as, with an event like this one that says what ended. Repeating it changes
    /// nothing and writes no second event. Returns whether this call ended it.
    pub async fn end_federated_grant(
        &self,
        id: FederatedGrantId,
        why: EndReason,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transact!(self, |tx| {
            lock(tx).await?;
            let grant = one(tx, id).await?;
            place::end(tx, &grant, why, &audit, now).await
        })
    }

    /// Moves the end of one that lives from `from` to `to`, and with it the ends of what it was written out as. Repeating it changes
    /// nothing and writes no second event. Returns whether this call moved it.
    ///
    /// # Errors
    /// `Stale` where it has ended, or ends at another time; `NotFound`.
    pub async fn move_federated_end(
        &self,
        id: FederatedGrantId,
        from: Timestamp,
        to: Timestamp,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const GRANT: &str = "UPDATE federated_grants SET expires_at = $3 \
             WHERE id = $1 AND ended IS NULL AND expires_at = $2 AND expires_at > $4";
        const PLACED: &str =
            "UPDATE grants SET expires_at = $2, ends_at = $2 WHERE federated_id = $1 AND ended IS NULL";
        transact!(self, |tx| {
            lock(tx).await?;
            let moved = on!(tx, |db| sqlx::query(GRANT)
                .bind(id.to_string())
                .bind(from.millis())
                .bind(to.millis())
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            let grant = one(tx, id).await?;
            if moved == 0 {
                let before = grant.is_live(now) && grant.expires_at == Some(to);
                return if before { Ok(false) } else { Err(StoreError::Stale) };
            }
            on!(tx, |db| sqlx::query(PLACED).bind(id.to_string()).bind(to.millis()).execute(db).await.map(drop))?;
            let about = about(tx, grant.scope).await?;
            audit.append_of(tx, about, grant.grantee.group(), now).await?;
            Ok(true)
        })
    }

    /// Ends those whose time is up, each with its event `GrantExpired`. At most `limit`; returns how many.
    pub async fn expire_federated_grants(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        const SQL: &str = "SELECT id FROM federated_grants WHERE ended IS NULL AND expires_at IS NOT NULL \
             AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
        let due: Vec<(String,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(now.millis()).bind(i64::from(limit)).fetch_all(db).await)?;
        for (id,) in &due {
            let id = parsed(id, "id of a federated grant")?;
            self.end_federated_grant(id, EndReason::Expired, place::expired(), now).await?;
        }
        Ok(due.len())
    }

    /// One federated grant.
    pub async fn federated_grant(&self, id: FederatedGrantId) -> Result<FederatedGrant, StoreError> {
        const SQL: &str = select_federated!("WHERE f.id = $1");
        let row: Option<FederatedRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.grant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{ProjectId, WorkspaceId};

    #[test]
    fn immune_28_a_stored_scope_is_never_taken_for_another() {
        let (workspace, project) = (WorkspaceId::new(), ProjectId::new());
        let cluster = crate::model::id::ClusterId::new();
        let all = [
            WideScope::Global,
            WideScope::Workspace(workspace),
            WideScope::Project(project),
            WideScope::Cluster(cluster),
        ];
        for scope in all {
            assert_eq!(scope_of(&scope_text(scope)).unwrap(), scope);
        }
        for bad in ["", "Global", "global:", "workspace", "workspace:", "cluster:x", "cluster:", "project:*"] {
            assert!(scope_of(bad).is_err(), "{bad}");
        }
    }
}
