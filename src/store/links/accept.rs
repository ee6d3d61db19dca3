//! Accepting a link. It locks the link's row first, so two who do so at the same moment follow one another, and each sees what the
//! other did: of two who want the last use, one gets it.

use super::{Accepted, LinkRow};
use crate::{
    model::{
        grant::{Grant, Grantee, Origin},
        id::{IdentityId, ShareLinkId},
        identity::Identity,
        share_link::{LinkState, ShareLink},
        time::Timestamp,
    },
    store::{
        AuditDraft, NewGrant, Store, StoreError,
        audit::About,
        clusters,
        db::{Tx, parsed},
        grants, groups,
    },
};

/// Locks a link's row until the transaction ends, and reads it.
pub(super) async fn lock(tx: &mut Tx, id: ShareLinkId) -> Result<ShareLink, StoreError> {
    const SQL: &str = concat!("UPDATE share_links SET uses = uses WHERE id = $1 RETURNING ", link_columns!());
    let row: Option<LinkRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.link().map(|(link, _)| link)
}

/// What this person got from this link, if they accepted it before.
async fn given_before(tx: &mut Tx, link: ShareLinkId, by: IdentityId) -> Result<Option<Grant>, StoreError> {
    const SQL: &str = "SELECT grant_id FROM link_acceptances WHERE link_id = $1 AND identity_id = $2";
    let row: Option<(String,)> =
        on!(tx, |db| sqlx::query_as(SQL).bind(link.to_string()).bind(by.to_string()).fetch_optional(db).await)?;
    match row {
        Some((grant,)) => grants::one(tx, parsed(&grant, "grant of an acceptance")?).await.map(Some),
        None => Ok(None),
    }
}

/// Whether a link is for this person now: of the Groups that it names, those count that they are in at this moment.
async fn invites(tx: &mut Tx, link: &ShareLink, by: &Identity) -> Result<bool, StoreError> {
    let named = link.rules.audience.own_groups();
    let in_groups = if named.is_empty() {
        Vec::new()
    } else {
        let workspace = clusters::workspace_of(tx, link.rules.scope.cluster()).await?;
        groups::among(tx, by, &named, workspace, link.is_an_owners()).await?
    };
    Ok(link.rules.audience.invites(by, &in_groups).is_ok())
}

async fn count_use(
    tx: &mut Tx,
    link: &ShareLink,
    by: IdentityId,
    grant: &Grant,
    now: Timestamp,
) -> Result<(), StoreError> {
    const USE: &str = "UPDATE share_links SET uses = $2 WHERE id = $1";
    const ACCEPTANCE: &str = "INSERT INTO link_acceptances (link_id, identity_id, grant_id, number, accepted_at) \
         VALUES ($1, $2, $3, $4, $5)";
    let number = link.uses + 1;
    on!(tx, |db| {
        sqlx::query(USE).bind(link.id.to_string()).bind(number).execute(&mut *db).await?;
        sqlx::query(ACCEPTANCE)
            .bind(link.id.to_string())
            .bind(by.to_string())
            .bind(grant.id.to_string())
            .bind(number)
            .bind(now.millis())
            .execute(&mut *db)
            .await?;
        Ok(())
    })
}

/// Whether a grant is what this link gives to this person now: its rules may have been changed since the grant was drafted.
fn is_of_link(grant: &NewGrant, link: &ShareLink, by: IdentityId, now: Timestamp) -> bool {
    grant.grantee == Grantee::Person(by)
        && grant.origin == Origin::Link(link.id)
        && grant.role == link.rules.role
        && grant.scope == link.rules.scope
        && grant.expires_at == link.access_until(now)
        && grant.vouch == link.vouch
        && grant.reason == link.rules.reason
}

impl Store {
    /// Accepts: checks again that the link is open and for this person, counts the use once per person, makes the grant. One
    /// transaction, first statement writes (the link's row), so two at once follow one another.
    ///
    /// # Errors
    /// `NotFound` where there is no such link; `Stale` where `grant` is not what the link gives to this person.
    pub async fn accept_link(
        &self,
        link: ShareLinkId,
        by: &Identity,
        grant: &NewGrant,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Accepted, StoreError> {
        transact!(self, |tx| {
            let link = lock(tx, link).await?;
            if let Some(given) = given_before(tx, link.id, by.id).await? {
                return Ok(if given.is_live(now) { Accepted::Before(given) } else { Accepted::Ended });
            }
            // A cluster that is being removed has had its links revoked in the same transaction.
            if link.state(now) != LinkState::Open || !invites(tx, &link, by).await? {
                return Ok(Accepted::Closed);
            }
            if !is_of_link(grant, &link, by.id, now) {
                return Err(StoreError::Stale);
            }
            let given = grants::insert(tx, grant, now).await?;
            count_use(tx, &link, by.id, &given, now).await?;
            audit.append(tx, About::Cluster(link.rules.scope.cluster()), now).await?;
            Ok(Accepted::New(given))
        })
    }
}
