//! Presets, and from which one a cluster took its mapping over.

mod rows;

use rows::{PresetRow, TakeoverRow};

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    clusters,
    db::{Tx, clash, parsed},
    grants, workspaces,
};
use crate::model::{
    claim_mapping::ClaimMapping,
    id::{ClusterId, IdentityId, PresetId, WorkspaceId},
    preset::{Preset, PresetRules, Takeover},
    provider::ProviderId,
    time::Timestamp,
};

const NAME_TAKEN: &str = "There is a preset of that name already.";
/// How many one level has at most.
const MOST: i64 = 50;
const WHAT: &str = "preset";

/// A preset to make.
#[derive(Clone, Debug)]
pub struct NewPreset {
    /// Its id.
    pub id: PresetId,
    /// For which workspace's clusters; `None` for those of all.
    pub workspace: Option<WorkspaceId>,
    /// What it says.
    pub rules: PresetRules,
    /// Who makes it.
    pub created_by: IdentityId,
}

/// A cluster takes a preset's mapping over, in place of the one that it had.
#[derive(Clone, Debug)]
pub struct NewTakeover {
    /// Whose people are named so.
    pub provider: ProviderId,
    /// From which preset.
    pub preset: PresetId,
    /// What that is called.
    pub name: String,
    /// The mapping that the cluster has as far as is known; another one stays.
    pub from: ClaimMapping,
    /// The mapping that it gets.
    pub to: ClaimMapping,
    /// Only as long as nobody was given access there but whoever added it.
    pub ungranted: bool,
}

macro_rules! select_presets {
    ($which:literal) => {
        concat!(
            "SELECT id, workspace_id, name, selector, weight, provider, username_claim, username_prefix, groups_claim, \
             groups_prefix, created_by, created_at FROM presets WHERE ",
            $which,
            " ORDER BY name_key, id"
        )
    };
}

fn about(workspace: Option<WorkspaceId>) -> About {
    workspace.map_or(About::Nothing, About::Workspace)
}

/// Writes down from which preset a mapping came.
pub(super) async fn keep(
    tx: &mut Tx,
    cluster: ClusterId,
    taken: &NewTakeover,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO preset_takeovers (cluster_id, provider, preset_id, preset_name, username_claim, \
         username_prefix, groups_claim, groups_prefix, taken_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (cluster_id, provider) DO UPDATE SET preset_id = excluded.preset_id, \
         preset_name = excluded.preset_name, username_claim = excluded.username_claim, \
         username_prefix = excluded.username_prefix, groups_claim = excluded.groups_claim, \
         groups_prefix = excluded.groups_prefix, taken_at = excluded.taken_at";
    Ok(on!(tx, |db| sqlx::query(SQL)
        .bind(cluster.to_string())
        .bind(taken.provider.as_str())
        .bind(taken.preset.to_string())
        .bind(&taken.name)
        .bind(taken.to.username_claim.as_str())
        .bind(&taken.to.username_prefix)
        .bind(&taken.to.groups_claim)
        .bind(&taken.to.groups_prefix)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop))?)
}

impl Store {
    /// Makes a preset.
    ///
    /// # Errors
    /// `Duplicate` where its level has one of that name; `Full` at 50; `Stale` where the workspace is being deleted.
    pub async fn add_preset(&self, new: &NewPreset, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM presets WHERE COALESCE(workspace_id, '') = $1";
        const SQL: &str = "INSERT INTO presets (id, workspace_id, name, name_key, selector, weight, provider, username_claim, \
             username_prefix, groups_claim, groups_prefix, created_by, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let workspace = new.workspace.map(|id| id.to_string());
        let rules = &new.rules;
        transact!(self, |tx| {
            if let Some(id) = new.workspace {
                workspaces::lock_for_giving(tx, id).await?;
            }
            // Of those of all, two that are made at once may be one more than the most: no harm is done.
            let (count,): (i64,) =
                on!(tx, |db| sqlx::query_as(COUNT).bind(workspace.clone().unwrap_or_default()).fetch_one(db).await)?;
            if count >= MOST {
                return Err(StoreError::Full("50 presets at one level"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(&workspace)
                .bind(rules.name.as_str())
                .bind(rules.name.as_str().to_lowercase())
                .bind(rules.selector.to_string())
                .bind(i64::from(rules.weight.get()))
                .bind(rules.provider.as_str())
                .bind(rules.mapping.username_claim.as_str())
                .bind(&rules.mapping.username_prefix)
                .bind(&rules.mapping.groups_claim)
                .bind(&rules.mapping.groups_prefix)
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, NAME_TAKEN))?;
            audit.append(tx, about(new.workspace), now).await
        })
    }

    /// Lets a preset say something else. Clusters that took it over stay as they are.
    ///
    /// # Errors
    /// `Duplicate` as for making; `NotFound`.
    pub async fn change_preset(
        &self,
        id: PresetId,
        rules: &PresetRules,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE presets SET name = $2, name_key = $3, selector = $4, weight = $5, provider = $6, \
             username_claim = $7, username_prefix = $8, groups_claim = $9, groups_prefix = $10 \
             WHERE id = $1 RETURNING workspace_id";
        transact!(self, |tx| {
            let row: Option<(Option<String>,)> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(id.to_string())
                .bind(rules.name.as_str())
                .bind(rules.name.as_str().to_lowercase())
                .bind(rules.selector.to_string())
                .bind(i64::from(rules.weight.get()))
                .bind(rules.provider.as_str())
                .bind(rules.mapping.username_claim.as_str())
                .bind(&rules.mapping.username_prefix)
                .bind(&rules.mapping.groups_claim)
                .bind(&rules.mapping.groups_prefix)
                .fetch_optional(db)
                .await)
            .map_err(|e| clash(e, NAME_TAKEN))?;
            let (workspace,) = row.ok_or(StoreError::NotFound)?;
            let workspace = workspace.map(|id| parsed(&id, WHAT)).transpose()?;
            audit.append(tx, about(workspace), now).await
        })
    }

    /// Removes a preset. Clusters that took it over stay as they are. Safe to repeat.
    pub async fn remove_preset(&self, id: PresetId, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM presets WHERE id = $1 RETURNING workspace_id";
        transact!(self, |tx| {
            let row: Option<(Option<String>,)> =
                on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
            let Some((workspace,)) = row else { return Ok(()) };
            let workspace = workspace.map(|id| parsed(&id, WHAT)).transpose()?;
            audit.append(tx, about(workspace), now).await
        })
    }

    /// One preset.
    pub async fn preset(&self, id: PresetId) -> Result<Preset, StoreError> {
        let row: Option<PresetRow> =
            read!(self, |db| sqlx::query_as(select_presets!("id = $1")).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.preset()
    }

    /// Those of a workspace, or (`None`) those of all, by name.
    pub async fn presets_of(&self, workspace: Option<WorkspaceId>) -> Result<Vec<Preset>, StoreError> {
        const SQL: &str = select_presets!("COALESCE(workspace_id, '') = $1");
        let workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<PresetRow> = read!(self, |db| sqlx::query_as(SQL).bind(workspace).fetch_all(db).await)?;
        rows.into_iter().map(PresetRow::preset).collect()
    }

    /// All that there are: for looking which one counts.
    pub async fn all_presets(&self) -> Result<Vec<Preset>, StoreError> {
        const SQL: &str = select_presets!("id <> ''");
        let rows: Vec<PresetRow> = read!(self, |db| sqlx::query_as(SQL).fetch_all(db).await)?;
        rows.into_iter().map(PresetRow::preset).collect()
    }

    /// From which presets a cluster took over what it has, by provider.
    pub async fn takeovers_of(&self, cluster: ClusterId) -> Result<Vec<Takeover>, StoreError> {
        const SQL: &str = "SELECT cluster_id, provider, preset_id, preset_name, taken_at, username_claim, username_prefix, \
             groups_claim, groups_prefix FROM preset_takeovers WHERE cluster_id = $1 ORDER BY provider";
        let rows: Vec<TakeoverRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(cluster.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(|row| row.takeover().map(|(_, takeover)| takeover)).collect()
    }

    /// Which clusters took a preset over, with what that was then.
    pub async fn takeovers_from(&self, preset: PresetId) -> Result<Vec<(ClusterId, Takeover)>, StoreError> {
        const SQL: &str = "SELECT cluster_id, provider, preset_id, preset_name, taken_at, username_claim, username_prefix, \
             groups_claim, groups_prefix FROM preset_takeovers WHERE preset_id = $1 ORDER BY cluster_id";
        let rows: Vec<TakeoverRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(preset.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(TakeoverRow::takeover).collect()
    }

    /// A cluster takes a preset's mapping over; that provider's grants become `Pending`, so that their bindings follow.
    ///
    /// # Errors
    /// `Stale` where its mapping is another one by now, where it trusts the provider no more, or where access was given meanwhile that is not
    /// to be rewritten.
    pub async fn take_over(
        &self,
        cluster: ClusterId,
        taken: &NewTakeover,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const GIVEN: &str =
            "SELECT COUNT(*) FROM grants WHERE cluster_id = $1 AND origin <> 'owner' AND state <> 'removed'";
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, cluster).await?;
            let has = clusters::one(tx, cluster).await?;
            if has.mapping(&taken.provider) != Some(&taken.from) {
                return Err(StoreError::Stale);
            }
            let (given,): (i64,) = on!(tx, |db| sqlx::query_as(GIVEN).bind(cluster.to_string()).fetch_one(db).await)?;
            if taken.ungranted && given > 0 {
                return Err(StoreError::Stale);
            }
            clusters::put_trust(tx, cluster, &taken.provider, &taken.to).await?;
            keep(tx, cluster, taken, now).await?;
            if taken.from != taken.to {
                grants::rename_provider(tx, cluster, &taken.provider, now).await?;
            }
            audit.append(tx, About::Cluster(cluster), now).await
        })
    }
}
