//! Share links and their acceptances: making and reading them. Accepting one is in `accept`.

use std::time::Duration;

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{CHUNK, clash, parsed},
    grants,
};
use crate::{
    crypto::HashedToken,
    model::{
        grant::Grant,
        id::{ClusterId, IdentityId, ShareLinkId},
        role::Role,
        scope::Scope,
        share_link::ShareLink,
        time::Timestamp,
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
    /// What accepting gives.
    pub role: Option<Role>,
    /// Where.
    pub scope: Scope,
    /// For how long from acceptance.
    pub access_lasts: Option<Duration>,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
    /// Who makes it.
    pub created_by: IdentityId,
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
    /// The link was closed in the meantime: nothing was changed.
    Closed,
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    id: String,
    sealed_token: Vec<u8>,
    cluster_id: String,
    namespaces: String,
    role: String,
    access_lasts: Option<i64>,
    created_by: String,
    created_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    uses: i64,
}

macro_rules! link_columns {
    () => {
        "id, sealed_token, cluster_id, namespaces, role, access_lasts, created_by, created_at, expires_at, revoked_at, uses"
    };
}

mod accept;

impl LinkRow {
    fn link(self) -> Result<(ShareLink, Vec<u8>), StoreError> {
        let link = ShareLink {
            id: parsed(&self.id, "id of a link")?,
            role: grants::role_of(&self.role)?,
            scope: grants::scope_of(&self.cluster_id, &self.namespaces)?,
            access_lasts: self.access_lasts.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
            created_by: parsed(&self.created_by, "maker of a link")?,
            created_at: Timestamp::from_millis(self.created_at),
            expires_at: Timestamp::from_millis(self.expires_at),
            revoked_at: self.revoked_at.map(Timestamp::from_millis),
            uses: self.uses,
        };
        Ok((link, self.sealed_token))
    }
}

#[derive(sqlx::FromRow)]
struct AcceptanceRow {
    link_id: String,
    identity_id: String,
    accepted_at: i64,
    email: Option<String>,
    name: Option<String>,
    sub: String,
}

impl AcceptanceRow {
    fn acceptance(self) -> Result<(ShareLinkId, Acceptance), StoreError> {
        let acceptance = Acceptance {
            identity: parsed(&self.identity_id, "id of a person")?,
            name: self.email.or(self.name).unwrap_or(self.sub),
            at: Timestamp::from_millis(self.accepted_at),
        };
        Ok((parsed(&self.link_id, "id of a link")?, acceptance))
    }
}

impl Store {
    /// Makes a link.
    ///
    /// # Errors
    /// `Stale` where the cluster is being removed.
    pub async fn add_link(&self, new: &NewLink, audit: AuditDraft, now: Timestamp) -> Result<ShareLink, StoreError> {
        const SQL: &str = "INSERT INTO share_links (id, token_hash, sealed_token, cluster_id, namespaces, role, \
             access_lasts, created_by, created_at, expires_at, uses) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)";
        let cluster = new.scope.cluster();
        let lasts = new.access_lasts.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, cluster).await?;
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(&new.token_hash.0[..])
                .bind(&new.sealed_token)
                .bind(cluster.to_string())
                .bind(grants::namespaces_text(&new.scope))
                .bind(grants::role_text(new.role))
                .bind(lasts)
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .bind(new.expires_at.millis())
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
        const SQL: &str = concat!("SELECT ", link_columns!(), " FROM share_links WHERE id = $1");
        let row: Option<LinkRow> = read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.link().map(|(link, _)| link)
    }

    /// A cluster's links, newest first, with their sealed tokens.
    pub async fn links_of_cluster(
        &self,
        cluster: ClusterId,
        limit: u32,
    ) -> Result<Vec<(ShareLink, Vec<u8>)>, StoreError> {
        const SQL: &str =
            concat!("SELECT ", link_columns!(), " FROM share_links WHERE cluster_id = $1 ORDER BY id DESC LIMIT $2");
        let rows: Vec<LinkRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).bind(i64::from(limit)).fetch_all(db).await)?;
        rows.into_iter().map(LinkRow::link).collect()
    }

    /// Who accepted each of these links, latest first, at most 50 each.
    pub async fn acceptances(&self, links: &[ShareLinkId]) -> Result<Vec<(ShareLinkId, Acceptance)>, StoreError> {
        // Acceptances are numbered, so the latest are found by their numbers, however many there are.
        const SQL: &str = concat!(
            "SELECT a.link_id, a.identity_id, a.accepted_at, i.email, i.name, i.sub FROM share_links l \
             JOIN link_acceptances a ON a.link_id = l.id AND a.number > l.uses - 50 \
             JOIN identities i ON i.id = a.identity_id WHERE l.id IN ",
            id_list!(),
            " ORDER BY a.link_id, a.number DESC"
        );
        let mut found = Vec::new();
        for chunk in links.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<AcceptanceRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for row in rows {
                found.push(row.acceptance()?);
            }
        }
        Ok(found)
    }

    /// How many open links each of these clusters has; a cluster without one is left out.
    pub async fn count_open_links(
        &self,
        clusters: &[ClusterId],
        now: Timestamp,
    ) -> Result<Vec<(ClusterId, i64)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT cluster_id, COUNT(*) FROM share_links WHERE cluster_id IN ",
            id_list!(),
            " AND revoked_at IS NULL AND expires_at > $33 GROUP BY cluster_id"
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
