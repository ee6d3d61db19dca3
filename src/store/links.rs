//! Share links and their acceptances: making and reading them. Accepting one is in `accept`, what its owner does with it in
//! `changes`, and how it stands in its row in `rows`.

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{CHUNK, PAST_ALL_IDS, clash, parsed},
    grants, vouches,
};
use crate::{
    crypto::HashedToken,
    model::{
        grant::Grant,
        id::{ClusterId, IdentityId, ShareLinkId},
        role::Role,
        scope::Scope,
        share_link::{LinkRules, ShareLink},
        time::Timestamp,
        vouch::Vouch,
    },
};

/// A link to make.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Its id, made beforehand, since its token is sealed for it.
    pub id: ShareLinkId,
    /// For look-up.
    pub token_hash: HashedToken,
    /// For its owner to copy again.
    pub sealed_token: Vec<u8>,
    /// What it gives to whom, until when.
    pub rules: LinkRules,
    /// Who makes it.
    pub created_by: IdentityId,
    /// What its role lets do, where others have defined it.
    pub vouch: Option<Vouch>,
}

/// Who accepted a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Who.
    pub identity: IdentityId,
    /// What they are called now.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// Whether they still hold what it gave them.
    pub holds: bool,
}

/// What accepting led to.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// A new grant.
    New(Grant),
    /// This person had accepted this link before, and the grant is still live: nothing was changed.
    Before(Grant),
    /// This person had accepted it before, and what it gave has ended since: nothing was changed.
    Ended,
    /// The link was closed in the meantime, or is not for this person any more: nothing was changed.
    Closed,
}

#[macro_use]
mod rows;

mod accept;
mod changes;

use rows::{AcceptanceRow, LinkRow, RulesRow};
pub(super) use rows::{audience_of, audience_text};

impl Store {
    /// Makes a link.
    ///
    /// # Errors
    /// `Stale` where the cluster is being removed.
    pub async fn add_link(&self, new: &NewLink, audit: AuditDraft, now: Timestamp) -> Result<ShareLink, StoreError> {
        const SQL: &str = "INSERT INTO share_links (id, token_hash, sealed_token, cluster_id, namespaces, role, \
             access_lasts, created_by, created_at, expires_at, max_uses, audience, audience_provider, note, uses, role_rules, \
             vouched_by, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $17)";
        let cluster = new.rules.scope.cluster();
        let rules = RulesRow::of(&new.rules);
        let (role_rules, owner) = vouches::columns(new.vouch.as_ref());
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, cluster).await?;
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(&new.token_hash.0[..])
                .bind(&new.sealed_token)
                .bind(cluster.to_string())
                .bind(&rules.namespaces)
                .bind(&rules.role)
                .bind(rules.access_lasts)
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .bind(rules.expires_at)
                .bind(rules.max_uses)
                .bind(&rules.audience)
                .bind(&rules.audience_provider)
                .bind(&rules.note)
                .bind(&role_rules)
                .bind(&owner)
                .bind(&rules.reason)
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, "There is a link with this token already."))?;
            audit.append(tx, About::Cluster(cluster), now).await
        })?;
        self.link(new.id).await
    }

    /// The link with this token.
    pub async fn link_by_token(&self, hash: &HashedToken) -> Result<ShareLink, StoreError> {
        const SQL: &str = concat!("SELECT ", link_columns!(), " FROM share_links WHERE token_hash = $1");
        let row: Option<LinkRow> = read!(self, |db| sqlx::query_as(SQL).bind(&hash.0[..]).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.link().map(|(link, _)| link)
    }

    /// One link.
    pub async fn link(&self, id: ShareLinkId) -> Result<ShareLink, StoreError> {
        self.link_with_token(id).await.map(|(link, _)| link)
    }

    /// One link with its sealed token.
    pub async fn link_with_token(&self, id: ShareLinkId) -> Result<(ShareLink, Vec<u8>), StoreError> {
        const SQL: &str = concat!("SELECT ", link_columns!(), " FROM share_links WHERE id = $1");
        let row: Option<LinkRow> = read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.link()
    }

    /// A cluster's links, newest first: at most `limit`, those before `before`.
    pub async fn links_of_cluster(
        &self,
        cluster: ClusterId,
        before: Option<ShareLinkId>,
        limit: u32,
    ) -> Result<Vec<ShareLink>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            link_columns!(),
            " FROM share_links WHERE cluster_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        );
        let before = before.map_or_else(|| PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let rows: Vec<LinkRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(|row| row.link().map(|(link, _)| link)).collect()
    }

    /// Who accepted each of these links, latest first, at most 50 each.
    pub async fn acceptances(
        &self,
        links: &[ShareLinkId],
        now: Timestamp,
    ) -> Result<Vec<(ShareLinkId, Acceptance)>, StoreError> {
        // Acceptances are numbered, so the latest are found by their numbers, however many there are.
        const SQL: &str = concat!(
            "SELECT a.link_id, a.identity_id, a.accepted_at, i.email, i.name, i.sub, g.ended, g.expires_at \
             FROM share_links l \
             JOIN link_acceptances a ON a.link_id = l.id AND a.number > l.uses - 50 \
             JOIN grants g ON g.id = a.grant_id \
             JOIN identities i ON i.id = a.identity_id WHERE l.id IN ",
            id_list!(),
            " ORDER BY a.link_id, a.number DESC"
        );
        let mut found = Vec::new();
        for chunk in links.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<AcceptanceRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for row in rows {
                found.push(row.acceptance(now)?);
            }
        }
        Ok(found)
    }

    /// What this person got from this link, live or not; nothing where they never accepted it.
    pub async fn given_by_link(&self, link: ShareLinkId, to: IdentityId) -> Result<Option<Grant>, StoreError> {
        const SQL: &str = "SELECT grant_id FROM link_acceptances WHERE link_id = $1 AND identity_id = $2";
        let row: Option<(String,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(link.to_string()).bind(to.to_string()).fetch_optional(db).await)?;
        match row {
            Some((grant,)) => self.grant(parsed(&grant, "grant of an acceptance")?).await.map(|(grant, _)| Some(grant)),
            None => Ok(None),
        }
    }

    /// What people still hold of what a link gave: each role and place with how many hold it. A link whose rules were changed
    /// has given several things.
    pub async fn held_of_link(
        &self,
        link: &ShareLink,
        now: Timestamp,
    ) -> Result<Vec<(Option<Role>, Scope, i64)>, StoreError> {
        const SQL: &str = "SELECT g.role, g.namespaces, COUNT(*) FROM link_acceptances a \
             JOIN grants g ON g.id = a.grant_id \
             WHERE a.link_id = $1 AND g.ended IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2) \
             GROUP BY g.role, g.namespaces ORDER BY g.role, g.namespaces";
        let rows: Vec<(String, String, i64)> =
            read!(self, |db| sqlx::query_as(SQL).bind(link.id.to_string()).bind(now.millis()).fetch_all(db).await)?;
        let cluster = link.rules.scope.cluster().to_string();
        let read = |(role, namespaces, count): (String, String, i64)| {
            Ok((grants::role_of(&role)?, grants::scope_of(&cluster, &namespaces)?, count))
        };
        rows.into_iter().map(read).collect()
    }

    /// How many links of each of these clusters can be accepted; a cluster without one is left out.
    pub async fn count_open_links(
        &self,
        clusters: &[ClusterId],
        now: Timestamp,
    ) -> Result<Vec<(ClusterId, i64)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT cluster_id, COUNT(*) FROM share_links WHERE cluster_id IN ",
            id_list!(),
            " AND revoked_at IS NULL AND expires_at > $33 AND paused_at IS NULL \
             AND (max_uses IS NULL OR uses < max_uses) GROUP BY cluster_id"
        );
        let mut counts = Vec::new();
        for chunk in clusters.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).bind(now.millis()).fetch_all(db).await)?;
            for (id, count) in rows {
                counts.push((parsed(&id, "id of a cluster")?, count));
            }
        }
        Ok(counts)
    }
}
