//! Grants: what is wanted, how far clusters have followed, and which of them wants work next.
//!
//! A row says what is wanted (`ended` or not) and how far its cluster has followed (`state`). Making, ending and reading one is
//! here; `terms` changes one, `page` lists many, `overdue` counts what should be gone, `work` hands them out to whoever brings them
//! to clusters, `changes` is for other files of the store that change what is wanted of many at once.

#[macro_use]
mod rows;

mod changes;
mod filter;
mod insert;
mod orders;
mod overdue;
mod page;
mod terms;
mod work;

pub(super) use changes::{
    address_of, end, end_all, end_federated, end_of_provider, forget_bindings, give_to_person, rename_person,
    rename_provider, retime, retry_all,
};
pub(super) use filter::literal;
pub use filter::{GrantFilter, Standing};
pub(super) use insert::{insert, insert_federated};
pub use orders::GrantOrder;
pub use overdue::Overdue;
pub use page::GrantPage;
pub(super) use rows::{
    GrantRow, GranteeColumns, email_key, home_text, key, keys_reaching, names_of, names_text, namespaces_text,
    origin_of, origin_text, person_key, reason_of, role_of, role_text, scope_of,
};
pub use terms::{Replaced, Replacement, Terms};
pub use work::{DueGrant, Outcome};
pub(super) use work::{lock, settle};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{CHUNK, Tx, parsed},
};
use crate::model::{
    audit::Action,
    grant::{EndReason, Grant, Grantee, Origin},
    id::{GrantId, IdentityId},
    identity::Identity,
    provider::ProviderId,
    reason::Reason,
    role::Role,
    scope::Scope,
    time::Timestamp,
    vouch::Vouch,
};

/// A grant to make.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Its id.
    pub id: GrantId,
    /// Whom it is for.
    pub grantee: Grantee,
    /// The role, or none.
    pub role: Option<Role>,
    /// Where.
    pub scope: Scope,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
    /// How it comes to be.
    pub origin: Origin,
    /// Who makes it.
    pub created_by: IdentityId,
    /// What its role let do, where others have defined it.
    pub vouch: Option<Vouch>,
}

/// Ends these grants for expiry, each with its event; those that have ended meanwhile are left as they are.
async fn expire(tx: &mut Tx, ids: &[String], now: Timestamp) -> Result<Vec<GrantId>, StoreError> {
    let event = AuditDraft::by_kubelend(Action::GrantExpired, String::new());
    end_each(tx, ids, EndReason::Expired, &event, now).await
}

/// Ends these grants because somebody revoked them, each with an event like this one.
pub(super) async fn revoke_all(
    tx: &mut Tx,
    ids: &[String],
    event: &AuditDraft,
    now: Timestamp,
) -> Result<Vec<GrantId>, StoreError> {
    end_each(tx, ids, EndReason::Revoked, event, now).await
}

/// Ends those of these grants that live, each with an event like this one that says what ended.
pub(super) async fn end_each(
    tx: &mut Tx,
    ids: &[String],
    why: EndReason,
    event: &AuditDraft,
    now: Timestamp,
) -> Result<Vec<GrantId>, StoreError> {
    let mut ended = Vec::new();
    for (grant, person) in several(tx, ids).await? {
        if changes::end(tx, grant.id, why, now).await?.is_some() {
            let event = AuditDraft { target: in_words(&grant, person.as_ref()), ..event.clone() };
            event.append(tx, About::Cluster(grant.scope.cluster()), now).await?;
            ended.push(grant.id);
        }
    }
    Ok(ended)
}

/// Suspends grants to an email that has just turned out to have several holders (see [`changes::doubt_email`]), each with its
/// event. Returns how many.
pub(super) async fn doubt_email(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    newcomer: bool,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let doubted = changes::doubt_email(tx, provider, email, newcomer, now).await?;
    for (grant, _) in several(tx, &doubted).await? {
        let event = AuditDraft::by_kubelend(Action::GrantDoubted, in_words(&grant, None));
        event.append(tx, About::Cluster(grant.scope.cluster()), now).await?;
    }
    Ok(u64::try_from(doubted.len()).unwrap_or(u64::MAX))
}

/// Ends what this new grant to a person takes the place of: the same to their verified email. Each has its own event.
async fn take_over(tx: &mut Tx, grant: &Grant, audit: &AuditDraft, now: Timestamp) -> Result<(), StoreError> {
    let over = changes::end_for_address(tx, grant, now).await?;
    for (old, _) in several(tx, &over).await? {
        let target = format!("{}, now given to the person", in_words(&old, None));
        let event = AuditDraft { action: Action::GrantRevoked, target, ..audit.clone() };
        event.append(tx, About::Cluster(grant.scope.cluster()), now).await?;
    }
    Ok(())
}

/// Several grants inside a transaction; unknown ids are left out.
async fn several(tx: &mut Tx, ids: &[String]) -> Result<Vec<(Grant, Option<Identity>)>, StoreError> {
    const SQL: &str = select_grants!("WHERE g.id IN ", id_list!());
    let mut found = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let rows: Vec<GrantRow> = on!(tx, |db| bind_ids!(sqlx::query_as(SQL), chunk).fetch_all(db).await)?;
        for row in rows {
            found.push(row.grant()?);
        }
    }
    Ok(found)
}

/// One grant inside a transaction.
pub(super) async fn one(tx: &mut Tx, id: GrantId) -> Result<Grant, StoreError> {
    let found = several(tx, &[id.to_string()]).await?;
    found.into_iter().next().map(|(grant, _)| grant).ok_or(StoreError::NotFound)
}

/// “bob@example.com: view on the whole cluster”.
fn in_words(grant: &Grant, person: Option<&Identity>) -> String {
    let who = match &grant.grantee {
        Grantee::Person(_) => person.map_or_else(|| "somebody".to_owned(), |p| p.display().to_owned()),
        Grantee::Email(_, email) => email.to_string(),
        Grantee::Group(_, group) => format!("group {group}"),
        Grantee::ServiceAccount(account) => format!("ServiceAccount {account}"),
    };
    format!("{who}: {} on {}", grant.role.as_ref().map_or("no role", Role::as_str), grant.scope.in_words())
}

impl Store {
    /// Makes a grant, `Pending` and due at once (a grant without role is `Applied` from the start).
    ///
    /// # Errors
    /// `Duplicate` where a live grant has the same grantee, role, scope and origin (what a link gave does not stand in the way
    /// of giving the same by hand); `Stale` where the cluster is being removed.
    ///
    /// One to a person takes the place of the same to their verified email: that is how an owner confirms whom they meant
    /// once the address has changed hands. Each that ends so has its own event.
    pub async fn add_grant(&self, new: &NewGrant, audit: AuditDraft, now: Timestamp) -> Result<Grant, StoreError> {
        transact!(self, |tx| {
            let cluster = new.scope.cluster();
            clusters::lock_for_giving(tx, cluster).await?;
            let grant = insert(tx, new, now).await?;
            audit.append(tx, About::Cluster(cluster), now).await?;
            take_over(tx, &grant, &audit, now).await?;
            Ok(grant)
        })
    }

    /// One grant, with the identity of a person's grant.
    pub async fn grant(&self, id: GrantId) -> Result<(Grant, Option<Identity>), StoreError> {
        const SQL: &str = select_grants!("WHERE g.id = $1");
        let row: Option<GrantRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.grant()
    }

    /// Ends a grant: state `Removing`, due at once (one without role: `Removed` at once). Repeating it changes nothing and
    /// writes no second event; nor does an expiry of one whose end has been moved. Returns whether this call ended it.
    pub async fn end_grant(
        &self,
        id: GrantId,
        why: EndReason,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transact!(self, |tx| match changes::end(tx, id, why, now).await? {
            Some(cluster) => {
                audit.append(tx, About::Cluster(parsed(&cluster, "cluster of a grant")?), now).await?;
                Ok(true)
            }
            None => one(tx, id).await.map(|_| false),
        })
    }

    /// Ends grants whose time is up, each with its event `GrantExpired` by Kubelend. At most `limit`; returns their ids.
    pub async fn expire_grants(&self, now: Timestamp, limit: u32) -> Result<Vec<GrantId>, StoreError> {
        const SQL: &str = "SELECT id FROM grants WHERE ended IS NULL AND expires_at IS NOT NULL AND expires_at <= $1 \
             ORDER BY expires_at LIMIT $2";
        // Asked every second and seldom true: look before becoming a writer. Another replica may be faster; then `expire`
        // finds them ended.
        let due: Vec<(String,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(now.millis()).bind(i64::from(limit)).fetch_all(db).await)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = due.into_iter().map(|(id,)| id).collect();
        transact!(self, |tx| expire(tx, &ids, now).await)
    }
}
