//! What its owner does with a link: other rules, a rest, its end, and the end of what it gave. Each locks the link's row first, as
//! accepting does, so whoever accepts at the same moment does so wholly before or wholly after.

use super::{RulesRow, accept::lock};
use crate::{
    model::{
        audit::Action,
        id::{GrantId, ShareLinkId},
        share_link::{LinkRules, ShareLink},
        time::Timestamp,
        vouch::Vouch,
    },
    store::{AuditDraft, Store, StoreError, audit::About, db::Tx, grants, vouches},
};

/// Locks a link that is not revoked.
async fn lock_living(tx: &mut Tx, id: ShareLinkId) -> Result<ShareLink, StoreError> {
    let link = lock(tx, id).await?;
    if link.revoked_at.is_some() { Err(StoreError::Stale) } else { Ok(link) }
}

/// Revokes a locked link, unless it is.
async fn revoke(tx: &mut Tx, link: &ShareLink, audit: &AuditDraft, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE share_links SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    if link.revoked_at.is_some() {
        return Ok(());
    }
    on!(tx, |db| sqlx::query(SQL).bind(link.id.to_string()).bind(now.millis()).execute(db).await.map(drop))?;
    audit.append(tx, About::Cluster(link.rules.scope.cluster()), now).await
}

impl Store {
    /// Gives a link other rules; its token stays, and so does what it gave before. `vouch` is what its role lets do, where others have
    /// defined it.
    ///
    /// # Errors
    /// `Stale` where it has been revoked, or where the rules are about another cluster.
    pub async fn change_link(
        &self,
        id: ShareLinkId,
        rules: &LinkRules,
        vouch: Option<&Vouch>,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE share_links SET namespaces = $2, role = $3, access_lasts = $4, expires_at = $5, \
             max_uses = $6, audience = $7, audience_provider = $8, note = $9, role_rules = $10, vouched_by = $11, \
             reason = $12 WHERE id = $1";
        let row = RulesRow::of(rules);
        let (role_rules, owner) = vouches::columns(vouch);
        transact!(self, |tx| {
            let link = lock_living(tx, id).await?;
            let cluster = link.rules.scope.cluster();
            if rules.scope.cluster() != cluster {
                return Err(StoreError::Stale);
            }
            if link.rules == *rules && link.vouch.as_ref() == vouch {
                return Ok(());
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(id.to_string())
                .bind(&row.namespaces)
                .bind(&row.role)
                .bind(row.access_lasts)
                .bind(row.expires_at)
                .bind(row.max_uses)
                .bind(&row.audience)
                .bind(&row.audience_provider)
                .bind(&row.note)
                .bind(&role_rules)
                .bind(&owner)
                .bind(&row.reason)
                .execute(db)
                .await
                .map(drop))?;
            audit.append(tx, About::Cluster(cluster), now).await
        })
    }

    /// Lets a link rest, or opens it again; repeating it changes nothing.
    ///
    /// # Errors
    /// `Stale` where it has been revoked.
    pub async fn rest_link(
        &self,
        id: ShareLinkId,
        rests: bool,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE share_links SET paused_at = $2 WHERE id = $1";
        transact!(self, |tx| {
            let link = lock_living(tx, id).await?;
            if link.paused_at.is_some() == rests {
                return Ok(());
            }
            let since = rests.then_some(now.millis());
            on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(since).execute(db).await.map(drop))?;
            audit.append(tx, About::Cluster(link.rules.scope.cluster()), now).await
        })
    }

    /// Takes a link back; what it gave stays. Repeating it changes nothing.
    pub async fn revoke_link(&self, id: ShareLinkId, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        transact!(self, |tx| {
            let link = lock(tx, id).await?;
            revoke(tx, &link, &audit, now).await
        })
    }

    /// Takes a link back and ends all that it gave, each with an event `GrantRevoked` of the same actor. Returns which grants
    /// ended: they are due at once. Repeating it ends nothing twice.
    pub async fn revoke_link_and_access(
        &self,
        id: ShareLinkId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Vec<GrantId>, StoreError> {
        const SQL: &str = "SELECT g.id FROM link_acceptances a JOIN grants g ON g.id = a.grant_id \
             WHERE a.link_id = $1 AND g.ended IS NULL ORDER BY g.id";
        transact!(self, |tx| {
            let link = lock(tx, id).await?;
            revoke(tx, &link, &audit, now).await?;
            let given: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?;
            let ids: Vec<String> = given.into_iter().map(|(id,)| id).collect();
            let each = AuditDraft { action: Action::GrantRevoked, ..audit.clone() };
            grants::revoke_all(tx, &ids, &each, now).await
        })
    }
}
