//! Rows of presets and of what clusters took over, read.

use super::WHAT;
use crate::{
    model::{
        claim_mapping::{ClaimMapping, UsernameClaim},
        id::ClusterId,
        preset::{Preset, PresetRules, Takeover},
        time::Timestamp,
    },
    store::{StoreError, db::parsed},
};

#[derive(sqlx::FromRow)]
struct MappingRow {
    username_claim: String,
    username_prefix: String,
    groups_claim: String,
    groups_prefix: String,
}

impl MappingRow {
    fn mapping(self) -> Result<ClaimMapping, StoreError> {
        Ok(ClaimMapping {
            username_claim: UsernameClaim::parse(&self.username_claim).ok_or(StoreError::Corrupt(WHAT))?,
            username_prefix: self.username_prefix,
            groups_claim: self.groups_claim,
            groups_prefix: self.groups_prefix,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct PresetRow {
    id: String,
    workspace_id: Option<String>,
    name: String,
    selector: String,
    weight: i64,
    provider: String,
    created_by: String,
    created_at: i64,
    #[sqlx(flatten)]
    mapping: MappingRow,
}

impl PresetRow {
    pub(super) fn preset(self) -> Result<Preset, StoreError> {
        Ok(Preset {
            id: parsed(&self.id, WHAT)?,
            workspace: self.workspace_id.map(|id| parsed(&id, WHAT)).transpose()?,
            rules: PresetRules {
                name: parsed(&self.name, WHAT)?,
                selector: parsed(&self.selector, WHAT)?,
                weight: parsed(&self.weight.to_string(), WHAT)?,
                provider: parsed(&self.provider, WHAT)?,
                mapping: self.mapping.mapping()?,
            },
            created_by: parsed(&self.created_by, WHAT)?,
            created_at: Timestamp::from_millis(self.created_at),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct TakeoverRow {
    cluster_id: String,
    provider: String,
    preset_id: String,
    preset_name: String,
    taken_at: i64,
    #[sqlx(flatten)]
    mapping: MappingRow,
}

impl TakeoverRow {
    pub(super) fn takeover(self) -> Result<(ClusterId, Takeover), StoreError> {
        let takeover = Takeover {
            provider: parsed(&self.provider, WHAT)?,
            preset: parsed(&self.preset_id, WHAT)?,
            name: self.preset_name,
            mapping: self.mapping.mapping()?,
            at: Timestamp::from_millis(self.taken_at),
        };
        Ok((parsed(&self.cluster_id, WHAT)?, takeover))
    }
}
