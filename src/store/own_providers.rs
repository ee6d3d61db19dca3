//! Providers of a workspace's own. Each change is one transaction with what follows from it on clusters; what goes with one is in `ends`.

mod ends;

pub use ends::OwnReach;
pub(super) use ends::{forget_workspace, is_owned_besides, leave_behind};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{Tx, clash, parsed},
    federation, grants, workspaces,
};
use crate::model::{
    claim_mapping::{ClaimMapping, UsernameClaim},
    id::{ClusterId, IdentityId, WorkspaceId},
    own_provider::{OwnPrefix, OwnProvider, OwnRules},
    provider::ProviderId,
    time::Timestamp,
};

const WHAT: &str = "provider of a workspace's own";
const TAKEN: &str = "This workspace has a provider with that issuer already.";
/// How many a workspace has at most.
const MOST: i64 = 5;

/// A provider to add.
#[derive(Clone, Debug)]
pub struct NewOwnProvider {
    /// Its id.
    pub id: ProviderId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// The issuer.
    pub issuer: String,
    /// Our client there.
    pub client_id: String,
    /// Its secret, sealed; `None` for a public client.
    pub sealed_secret: Option<Vec<u8>>,
    /// The rest.
    pub rules: OwnRules,
    /// Who adds it.
    pub created_by: IdentityId,
}

/// What becomes of a client's secret.
#[derive(Clone, Debug)]
pub enum NewSecret {
    /// It stays.
    Keep,
    /// This one takes its place, sealed.
    Put(Vec<u8>),
    /// There is none any more.
    Drop,
}

/// One that people can sign in at, as far as its row can be read.
#[derive(Debug)]
pub struct OwnProviderOn {
    /// Its id, as it stands in the row.
    pub id: String,
    /// What it is.
    pub provider: Result<OwnProvider, StoreError>,
    /// Its secret, sealed.
    pub sealed_secret: Option<Vec<u8>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    workspace_id: String,
    name: String,
    issuer: String,
    client_id: String,
    direct_client_id: Option<String>,
    sealed_secret: Option<Vec<u8>>,
    ca_pem: Option<String>,
    scopes: String,
    username_claim: String,
    groups_claim: String,
    prefix: String,
    revision: i64,
    created_by: String,
    created_at: i64,
    off_since: Option<i64>,
}

impl Row {
    fn provider(self) -> Result<OwnProvider, StoreError> {
        Ok(OwnProvider {
            id: parsed(&self.id, WHAT)?,
            workspace: parsed(&self.workspace_id, WHAT)?,
            issuer: self.issuer,
            client_id: self.client_id,
            has_secret: self.sealed_secret.is_some(),
            rules: OwnRules {
                name: parsed(&self.name, WHAT)?,
                direct_client_id: self.direct_client_id,
                ca_pem: self.ca_pem,
                scopes: self.scopes.split(' ').map(str::to_owned).collect(),
                username_claim: UsernameClaim::parse(&self.username_claim).ok_or(StoreError::Corrupt(WHAT))?,
                groups_claim: self.groups_claim,
            },
            prefix: parsed(&self.prefix, WHAT)?,
            revision: self.revision,
            created_by: parsed(&self.created_by, WHAT)?,
            created_at: Timestamp::from_millis(self.created_at),
            off_since: self.off_since.map(Timestamp::from_millis),
        })
    }

    fn on(self) -> OwnProviderOn {
        let (id, sealed_secret) = (self.id.clone(), self.sealed_secret.clone());
        OwnProviderOn { id, provider: self.provider(), sealed_secret }
    }
}

macro_rules! columns {
    () => {
        "id, workspace_id, name, issuer, client_id, direct_client_id, sealed_secret, ca_pem, scopes, username_claim, \
         groups_claim, prefix, revision, created_by, created_at, off_since"
    };
}
macro_rules! select_own {
    ($which:literal) => {
        concat!("SELECT ", columns!(), " FROM own_providers WHERE removed_at IS NULL AND ", $which, " ORDER BY id")
    };
}

/// One with its row locked until the transaction ends.
async fn lock(tx: &mut Tx, id: &ProviderId) -> Result<OwnProvider, StoreError> {
    const SQL: &str = concat!(
        "UPDATE own_providers SET revision = revision WHERE id = $1 AND removed_at IS NULL RETURNING ",
        columns!()
    );
    let row: Option<Row> = on!(tx, |db| sqlx::query_as(SQL).bind(id.as_str()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.provider()
}

/// Refuses to go on where somebody of this provider is about to sign in and it is off, or gone; keeps both from happening meanwhile.
pub(super) async fn lock_if_own(tx: &mut Tx, id: &ProviderId) -> Result<(), StoreError> {
    if id.home().is_none() {
        return Ok(());
    }
    if lock(tx, id).await?.off_since.is_some() { Err(StoreError::NotFound) } else { Ok(()) }
}

/// How a cluster may name the people of this provider: as it was asked for, where it is a configured one; as a workspace's own is named
/// everywhere, on a cluster of that workspace.
///
/// # Errors
/// `NotFound` for one of another workspace's own, and for one that is off or gone.
pub(super) async fn mapping_on(
    tx: &mut Tx,
    cluster: ClusterId,
    id: &ProviderId,
    asked: &ClaimMapping,
) -> Result<ClaimMapping, StoreError> {
    const SQL: &str = "SELECT workspace_id FROM clusters WHERE id = $1";
    let Some(home) = id.home() else {
        return if collides(tx, cluster, asked).await? { Err(StoreError::Stale) } else { Ok(asked.clone()) };
    };
    let provider = lock(tx, id).await?;
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_optional(db).await)?;
    let (workspace,) = row.ok_or(StoreError::NotFound)?;
    let at_home = workspace == home.to_string() && provider.workspace == home;
    if at_home && provider.off_since.is_none() { Ok(provider.mapping()) } else { Err(StoreError::NotFound) }
}

/// Whether an own provider that the cluster trusts, on or off, could make names of this mapping's.
async fn collides(tx: &mut Tx, cluster: ClusterId, asked: &ClaimMapping) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT t.username_prefix, t.groups_prefix FROM cluster_trusts t \
         JOIN own_providers o ON o.id = t.provider WHERE t.cluster_id = $1 AND o.removed_at IS NULL";
    let rows: Vec<(String, String)> = on!(tx, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
    let own = rows.into_iter().map(|(username_prefix, groups_prefix)| ClaimMapping {
        username_prefix,
        groups_prefix,
        ..ClaimMapping::default()
    });
    Ok(own.into_iter().any(|own| own.may_become(asked)))
}

/// A cluster has begun to trust one: what was bound there before for others may read like names of its people, so all of it is looked
/// at again.
pub(super) async fn look_again(tx: &mut Tx, cluster: ClusterId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "SELECT provider FROM cluster_trusts WHERE cluster_id = $1";
    let rows: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
    for (id,) in rows {
        grants::rename_provider(tx, cluster, &parsed(&id, "provider of a cluster")?, now).await?;
    }
    Ok(())
}

/// The clusters that trust a provider, also where it is off; those whose workspace it is not any more are none.
async fn trusting(tx: &mut Tx, id: &ProviderId) -> Result<Vec<ClusterId>, StoreError> {
    const SQL: &str = "SELECT cluster_id FROM cluster_trusts WHERE provider = $1 ORDER BY cluster_id";
    let rows: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.as_str()).fetch_all(db).await)?;
    rows.iter().map(|(id,)| parsed(id, "cluster of a provider")).collect()
}

impl Store {
    /// Adds a provider, with the first prefix of this workspace's name that no workspace's provider ever had.
    ///
    /// # Errors
    /// `Duplicate` where the workspace has one of that issuer; `Full` at 5; `Stale` where the workspace is being deleted.
    pub async fn add_own_provider(
        &self,
        new: &NewOwnProvider,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<OwnProvider, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM own_providers WHERE workspace_id = $1 AND removed_at IS NULL";
        const PREFIXES: &str = "SELECT prefix FROM own_providers";
        transact!(self, |tx| {
            // Two workspaces of one name do not draw the same prefix.
            federation::lock(tx).await?;
            let workspace = workspaces::lock_for_giving(tx, new.workspace).await?;
            let home = new.workspace.to_string();
            let (count,): (i64,) = on!(tx, |db| sqlx::query_as(COUNT).bind(&home).fetch_one(db).await)?;
            if count >= MOST {
                return Err(StoreError::Full("5 providers of a workspace’s own"));
            }
            let had: Vec<(String,)> = on!(tx, |db| sqlx::query_as(PREFIXES).fetch_all(db).await)?;
            let free = |n| Some(OwnPrefix::of(&workspace.name, n)).filter(|p| had.iter().all(|(h,)| h != p.as_str()));
            let prefix = (0..=had.len()).find_map(free).ok_or(StoreError::Corrupt("prefixes of a workspace"))?;
            insert(tx, new, &prefix, now).await?;
            audit.append(tx, About::Workspace(new.workspace), now).await?;
            lock(tx, &new.id).await
        })
    }

    /// Lets one say something else. Where it names people otherwise, so do the clusters that trust it, and their bindings follow.
    ///
    /// # Errors
    /// `Stale` where it has been changed since it was `seen` so; `NotFound`.
    pub async fn change_own_provider(
        &self,
        seen: &OwnProvider,
        rules: &OwnRules,
        secret: &NewSecret,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE own_providers SET name = $2, direct_client_id = $3, ca_pem = $4, scopes = $5, \
             username_claim = $6, groups_claim = $7, revision = revision + 1, \
             sealed_secret = CASE WHEN $8 THEN sealed_secret ELSE $9 END WHERE id = $1";
        let (keep, sealed) = match secret {
            NewSecret::Keep => (true, None),
            NewSecret::Put(sealed) => (false, Some(sealed.as_slice())),
            NewSecret::Drop => (false, None),
        };
        transact!(self, |tx| {
            federation::lock(tx).await?;
            if lock(tx, &seen.id).await?.revision != seen.revision {
                return Err(StoreError::Stale);
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(seen.id.as_str())
                .bind(rules.name.as_str())
                .bind(&rules.direct_client_id)
                .bind(&rules.ca_pem)
                .bind(rules.scopes.join(" "))
                .bind(rules.username_claim.as_str())
                .bind(&rules.groups_claim)
                .bind(keep)
                .bind(sealed)
                .execute(db)
                .await
                .map(drop))?;
            let changed = lock(tx, &seen.id).await?;
            if changed.mapping() != seen.mapping() {
                rename(tx, &changed, now).await?;
            }
            audit.append(tx, About::Workspace(seen.workspace), now).await
        })
    }

    /// Switches one off, with its people's sessions, kept sign-ins and kubeconfigs, and what is bound for them; or on again: then
    /// clusters trust it as before, and its people have what they had, with a new sign-in. Repeating it changes nothing.
    ///
    /// # Errors
    /// `LastOwner` where no other person owns the workspace; `NotFound`.
    pub async fn switch_own_provider(
        &self,
        id: &ProviderId,
        on: bool,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE own_providers SET off_since = $2, revision = revision + 1 WHERE id = $1";
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let home = id.home().ok_or(StoreError::NotFound)?;
            workspaces::lock(tx, home).await?;
            if lock(tx, id).await?.off_since.is_none() == on {
                return Ok(());
            }
            if !on {
                ends::owned_without(tx, home, id).await?;
            }
            // Switched on, too: a sign-in that was under way when it was switched off may have left something.
            ends::sign_out(tx, id, now).await?;
            let off_since = (!on).then(|| now.millis());
            on!(tx, |db| sqlx::query(SQL).bind(id.as_str()).bind(off_since).execute(db).await.map(drop))?;
            for cluster in trusting(tx, id).await? {
                look_again(tx, cluster, now).await?;
            }
            audit.append(tx, About::Workspace(home), now).await
        })
    }

    /// One provider, on or off.
    pub async fn own_provider(&self, id: &ProviderId) -> Result<OwnProvider, StoreError> {
        let row: Option<Row> =
            read!(self, |db| sqlx::query_as(select_own!("id = $1")).bind(id.as_str()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.provider()
    }

    /// Those of a workspace, the oldest first, on and off.
    pub async fn own_providers_of(&self, workspace: WorkspaceId) -> Result<Vec<OwnProvider>, StoreError> {
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(select_own!("workspace_id = $1"))
            .bind(workspace.to_string())
            .fetch_all(db)
            .await)?;
        let mut all: Vec<OwnProvider> = rows.into_iter().map(Row::provider).collect::<Result<_, _>>()?;
        all.sort_by_key(|provider| provider.created_at);
        Ok(all)
    }

    /// All that people can sign in at, each by itself: a row that cannot be read takes no other along.
    pub async fn own_providers_on(&self) -> Result<Vec<OwnProviderOn>, StoreError> {
        const SQL: &str = select_own!("off_since IS NULL");
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(SQL).fetch_all(db).await)?;
        Ok(rows.into_iter().map(Row::on).collect())
    }

    /// The sealed secret of one that is not removed.
    pub async fn own_provider_secret(&self, id: &ProviderId) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<Row> =
            read!(self, |db| sqlx::query_as(select_own!("id = $1")).bind(id.as_str()).fetch_optional(db).await)?;
        Ok(row.ok_or(StoreError::NotFound)?.sealed_secret)
    }

    /// Whether people can sign in at one now.
    pub async fn is_own_provider_on(&self, id: &ProviderId) -> Result<bool, StoreError> {
        match self.own_provider(id).await {
            Ok(provider) => Ok(provider.off_since.is_none()),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn insert(tx: &mut Tx, new: &NewOwnProvider, prefix: &OwnPrefix, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO own_providers (id, workspace_id, name, issuer, client_id, direct_client_id, sealed_secret, \
         ca_pem, scopes, username_claim, groups_claim, prefix, revision, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14)";
    let rules = &new.rules;
    let inserted = on!(tx, |db| sqlx::query(SQL)
        .bind(new.id.as_str())
        .bind(new.workspace.to_string())
        .bind(rules.name.as_str())
        .bind(&new.issuer)
        .bind(&new.client_id)
        .bind(&rules.direct_client_id)
        .bind(new.sealed_secret.as_deref())
        .bind(&rules.ca_pem)
        .bind(rules.scopes.join(" "))
        .bind(rules.username_claim.as_str())
        .bind(&rules.groups_claim)
        .bind(prefix.as_str())
        .bind(new.created_by.to_string())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop));
    inserted.map_err(|e| clash(e, TAKEN))
}

/// Its people are named otherwise wherever it is trusted.
async fn rename(tx: &mut Tx, provider: &OwnProvider, now: Timestamp) -> Result<(), StoreError> {
    for cluster in trusting(tx, &provider.id).await? {
        clusters::write_trust(tx, cluster, &provider.id, &provider.mapping()).await?;
        grants::rename_provider(tx, cluster, &provider.id, now).await?;
    }
    Ok(())
}
