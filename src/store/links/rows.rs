//! How a share link and its acceptances stand in their rows, and back.

use std::{num::NonZeroU32, time::Duration};

use super::Acceptance;
use crate::{
    model::{
        audience::{Audience, Guest},
        id::ShareLinkId,
        share_link::{LinkRules, ShareLink},
        time::Timestamp,
    },
    store::{
        StoreError,
        db::{parsed, shown},
        grants, vouches,
    },
};

#[derive(sqlx::FromRow)]
pub(super) struct LinkRow {
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
    max_uses: Option<i64>,
    audience: String,
    audience_provider: Option<String>,
    note: Option<String>,
    reason: Option<String>,
    paused_at: Option<i64>,
    role_rules: Option<String>,
    vouched_by: Option<String>,
}

macro_rules! link_columns {
    () => {
        "id, sealed_token, cluster_id, namespaces, role, access_lasts, created_by, created_at, expires_at, revoked_at, uses, \
         max_uses, audience, audience_provider, note, reason, paused_at, role_rules, vouched_by"
    };
}

/// A link's rules as they are bound.
pub(super) struct RulesRow {
    pub(super) namespaces: String,
    pub(super) role: String,
    pub(super) access_lasts: Option<i64>,
    pub(super) expires_at: i64,
    pub(super) max_uses: Option<i64>,
    pub(super) audience: String,
    pub(super) audience_provider: Option<String>,
    pub(super) note: Option<String>,
    pub(super) reason: Option<String>,
}

impl RulesRow {
    pub(super) fn of(rules: &LinkRules) -> Self {
        let (audience, audience_provider) = audience_text(&rules.audience);
        Self {
            namespaces: grants::namespaces_text(&rules.scope),
            role: grants::role_text(rules.role.as_ref()),
            access_lasts: rules.access_lasts.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
            expires_at: rules.expires_at.millis(),
            max_uses: rules.max_uses.map(|most| most.get().into()),
            audience,
            audience_provider,
            note: rules.note.as_ref().map(|note| shown(note.as_str())),
            reason: rules.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        }
    }
}

impl LinkRow {
    /// The link and its sealed token.
    pub(super) fn link(self) -> Result<(ShareLink, Vec<u8>), StoreError> {
        let audience = audience_of(self.audience_provider.as_deref(), &self.audience)?;
        let rules = LinkRules {
            role: grants::role_of(&self.role)?,
            scope: grants::scope_of(&self.cluster_id, &self.namespaces)?,
            access_lasts: self.access_lasts.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
            expires_at: Timestamp::from_millis(self.expires_at),
            max_uses: self.max_uses.map(read_uses).transpose()?,
            audience,
            note: self.note.as_deref().map(|note| parsed(note, "note of a link")).transpose()?,
            reason: grants::reason_of(self.reason.as_deref(), "reason of a link")?,
        };
        let link = ShareLink {
            id: parsed(&self.id, "id of a link")?,
            rules,
            created_by: parsed(&self.created_by, "maker of a link")?,
            created_at: Timestamp::from_millis(self.created_at),
            revoked_at: self.revoked_at.map(Timestamp::from_millis),
            paused_at: self.paused_at.map(Timestamp::from_millis),
            uses: self.uses,
            vouch: vouches::read((self.role_rules, self.vouched_by))?,
        };
        Ok((link, self.sealed_token))
    }
}

/// Whom a link is for, as stored: the rules and the provider.
pub(in crate::store) fn audience_text(audience: &Audience) -> (String, Option<String>) {
    let rules: Vec<String> = audience.guests().iter().map(Guest::stored).collect();
    let provider = match audience {
        Audience::Anyone => None,
        Audience::Listed(provider, _) => Some(provider.to_string()),
    };
    (rules.join("\n"), provider)
}

/// A list without a provider, or a provider without a list, is nobody's doing: it must not become “anyone”.
pub(in crate::store) fn audience_of(provider: Option<&str>, rules: &str) -> Result<Audience, StoreError> {
    const WHAT: &str = "audience of a link";
    match (provider, rules) {
        (None, "") => Ok(Audience::Anyone),
        (Some(_), "") | (None, _) => Err(StoreError::Corrupt(WHAT)),
        (Some(provider), rules) => {
            let read = |line| Guest::from_stored(line).map_err(|_| StoreError::Corrupt(WHAT));
            let guests = rules.split('\n').map(read).collect::<Result<_, _>>()?;
            Ok(Audience::Listed(parsed(provider, WHAT)?, guests))
        }
    }
}

fn read_uses(stored: i64) -> Result<NonZeroU32, StoreError> {
    u32::try_from(stored).ok().and_then(NonZeroU32::new).ok_or(StoreError::Corrupt("uses of a link"))
}

#[derive(sqlx::FromRow)]
pub(super) struct AcceptanceRow {
    link_id: String,
    identity_id: String,
    accepted_at: i64,
    email: Option<String>,
    name: Option<String>,
    sub: String,
    ended: Option<String>,
    expires_at: Option<i64>,
}

impl AcceptanceRow {
    pub(super) fn acceptance(self, now: Timestamp) -> Result<(ShareLinkId, Acceptance), StoreError> {
        let acceptance = Acceptance {
            identity: parsed(&self.identity_id, "id of a person")?,
            name: self.email.or(self.name).unwrap_or(self.sub),
            at: Timestamp::from_millis(self.accepted_at),
            holds: self.ended.is_none() && self.expires_at.is_none_or(|end| now.millis() < end),
        };
        Ok((parsed(&self.link_id, "id of a link")?, acceptance))
    }
}
