//! Invitations to a workspace. Accepting one locks its row first, so of two who want the last use one gets it.

use std::num::NonZeroU32;

use super::members;
use crate::{
    crypto::HashedToken,
    model::{
        grant::Grantee,
        id::{IdentityId, InvitationId, WorkspaceId},
        identity::Identity,
        invitation::Invitation,
        share_link::LinkState,
        time::Timestamp,
        workspace::{Member, MemberRole},
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, clash, parsed},
        groups,
        links::{audience_of, audience_text},
    },
};

/// How many a workspace keeps, those that are over too.
const MOST: i64 = 40;

/// An invitation to make.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// What it says.
    pub invitation: Invitation,
    /// For look-up.
    pub token_hash: HashedToken,
    /// For the workspace's owners to copy again.
    pub sealed_token: Vec<u8>,
}

/// What accepting led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// They are a member with that role, or a stronger one, by now.
    Member,
    /// The invitation was closed in the meantime, is not for them any more, or they were removed after they had accepted it.
    Closed,
}

#[derive(sqlx::FromRow)]
struct InvitationRow {
    id: String,
    sealed_token: Vec<u8>,
    workspace_id: String,
    role: String,
    audience: String,
    audience_provider: Option<String>,
    created_by: String,
    created_at: i64,
    expires_at: i64,
    max_uses: Option<i64>,
    revoked_at: Option<i64>,
    uses: i64,
}

macro_rules! columns {
    () => {
        "id, sealed_token, workspace_id, role, audience, audience_provider, created_by, created_at, expires_at, max_uses, \
         revoked_at, uses"
    };
}

impl InvitationRow {
    fn invitation(self) -> Result<(Invitation, Vec<u8>), StoreError> {
        let uses = |n: i64| {
            u32::try_from(n).ok().and_then(NonZeroU32::new).ok_or(StoreError::Corrupt("uses of an invitation"))
        };
        let invitation = Invitation {
            id: parsed(&self.id, "id of an invitation")?,
            workspace: parsed(&self.workspace_id, "workspace of an invitation")?,
            role: MemberRole::parse(&self.role).ok_or(StoreError::Corrupt("role of an invitation"))?,
            audience: audience_of(self.audience_provider.as_deref(), &self.audience)?,
            expires_at: Timestamp::from_millis(self.expires_at),
            max_uses: self.max_uses.map(uses).transpose()?,
            created_by: parsed(&self.created_by, "maker of an invitation")?,
            created_at: Timestamp::from_millis(self.created_at),
            revoked_at: self.revoked_at.map(Timestamp::from_millis),
            uses: self.uses,
        };
        Ok((invitation, self.sealed_token))
    }
}

async fn lock(tx: &mut Tx, id: InvitationId) -> Result<Invitation, StoreError> {
    const SQL: &str = concat!("UPDATE invitations SET uses = uses WHERE id = $1 RETURNING ", columns!());
    let row: Option<InvitationRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.invitation().map(|(invitation, _)| invitation)
}

/// Takes back what somebody had invited others to: they own the workspace no longer.
pub(super) async fn revoke_of(
    tx: &mut Tx,
    workspace: WorkspaceId,
    who: &Grantee,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE invitations SET revoked_at = $3 \
         WHERE workspace_id = $1 AND created_by = $2 AND revoked_at IS NULL";
    let Grantee::Person(person) = who else { return Ok(()) };
    on!(tx, |db| sqlx::query(SQL)
        .bind(workspace.to_string())
        .bind(person.to_string())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

async fn accepted_before(tx: &mut Tx, id: InvitationId, by: IdentityId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT accepted_at FROM invitation_acceptances WHERE invitation_id = $1 AND identity_id = $2";
    let row: Option<(i64,)> =
        on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).bind(by.to_string()).fetch_optional(db).await)?;
    Ok(row.is_some())
}

async fn count_use(tx: &mut Tx, id: InvitationId, by: IdentityId, now: Timestamp) -> Result<(), StoreError> {
    const USE: &str = "UPDATE invitations SET uses = uses + 1 WHERE id = $1";
    const ACCEPTANCE: &str =
        "INSERT INTO invitation_acceptances (invitation_id, identity_id, accepted_at) VALUES ($1, $2, $3)";
    on!(tx, |db| {
        sqlx::query(USE).bind(id.to_string()).execute(&mut *db).await?;
        sqlx::query(ACCEPTANCE).bind(id.to_string()).bind(by.to_string()).bind(now.millis()).execute(&mut *db).await?;
        Ok(())
    })
}

impl Store {
    /// Makes an invitation.
    ///
    /// # Errors
    /// `Stale` where the workspace is being deleted, `Full` where it has as many as it keeps.
    pub async fn add_invitation(
        &self,
        new: &NewInvitation,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM invitations WHERE workspace_id = $1";
        const SQL: &str = "INSERT INTO invitations (id, token_hash, sealed_token, workspace_id, role, audience, \
             audience_provider, created_by, created_at, expires_at, max_uses, uses) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0)";
        let it = &new.invitation;
        let (audience, provider) = audience_text(&it.audience);
        transact!(self, |tx| {
            super::lock_for_giving(tx, it.workspace).await?;
            if members::count(tx, COUNT, it.workspace).await? >= MOST {
                return Err(StoreError::Full("40 invitations, and those that are over go after a month"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(it.id.to_string())
                .bind(&new.token_hash.0[..])
                .bind(&new.sealed_token)
                .bind(it.workspace.to_string())
                .bind(it.role.as_str())
                .bind(&audience)
                .bind(&provider)
                .bind(it.created_by.to_string())
                .bind(now.millis())
                .bind(it.expires_at.millis())
                .bind(it.max_uses.map(|most| i64::from(most.get())))
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, "There is a link with this token already."))?;
            audit.append(tx, About::Workspace(it.workspace), now).await
        })
    }

    /// The invitation with this token.
    pub async fn invitation_by_token(&self, hash: &HashedToken) -> Result<Invitation, StoreError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM invitations WHERE token_hash = $1");
        let row: Option<InvitationRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(&hash.0[..]).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.invitation().map(|(invitation, _)| invitation)
    }

    /// One invitation with its sealed token.
    pub async fn invitation(&self, id: InvitationId) -> Result<(Invitation, Vec<u8>), StoreError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM invitations WHERE id = $1");
        let row: Option<InvitationRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.invitation()
    }

    /// A workspace's invitations, newest first.
    pub async fn invitations(&self, workspace: WorkspaceId) -> Result<Vec<Invitation>, StoreError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM invitations WHERE workspace_id = $1 ORDER BY id DESC");
        let rows: Vec<InvitationRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(workspace.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(|row| row.invitation().map(|(invitation, _)| invitation)).collect()
    }

    /// Takes an invitation back; who has accepted it stays a member. Repeating it writes no second event.
    pub async fn revoke_invitation(
        &self,
        id: InvitationId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE invitations SET revoked_at = $2 WHERE id = $1";
        transact!(self, |tx| {
            let it = lock(tx, id).await?;
            if it.revoked_at.is_some() {
                return Ok(());
            }
            on!(tx, |db| sqlx::query(SQL).bind(id.to_string()).bind(now.millis()).execute(db).await.map(drop))?;
            audit.append(tx, About::Workspace(it.workspace), now).await
        })
    }

    /// Deletes invitations that were over before then; the activity keeps that there were some.
    pub async fn sweep_invitations(&self, before: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM invitations WHERE expires_at < $1 OR revoked_at < $1";
        const ANY: &str = "SELECT id FROM invitations WHERE expires_at < $1 OR revoked_at < $1 LIMIT 1";
        let any: Option<(String,)> =
            read!(self, |db| sqlx::query_as(ANY).bind(before.millis()).fetch_optional(db).await)?;
        if any.is_none() {
            return Ok(());
        }
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL).bind(before.millis()).execute(db).await.map(drop))?;
            Ok(())
        })
    }

    /// Accepts: checks again that the invitation is open and for this person, counts the use once per person, makes them a member.
    /// Somebody who is more already stays that.
    ///
    /// # Errors
    /// `NotFound`; `Stale` where the workspace is being deleted; `Full` where it has no room.
    pub async fn accept_invitation(
        &self,
        id: InvitationId,
        by: &Identity,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Joined, StoreError> {
        transact!(self, |tx| {
            let it = lock(tx, id).await?;
            super::lock_for_giving(tx, it.workspace).await?;
            let who = Grantee::Person(by.id);
            let held = members::one(tx, it.workspace, &who).await?;
            if accepted_before(tx, id, by.id).await? {
                return Ok(if held.is_some() { Joined::Member } else { Joined::Closed });
            }
            // Whoever changes who is in a Group says who joins by it: so it has to be kept.
            let in_groups = groups::among(tx, by, &it.audience.own_groups(), it.workspace, true).await?;
            if it.state(now) != LinkState::Open || it.audience.invites(by, &in_groups).is_err() {
                return Ok(Joined::Closed);
            }
            count_use(tx, id, by.id, now).await?;
            if held.as_ref().is_none_or(|held| held.role < it.role) {
                members::room(tx, it.workspace, held.is_some()).await?;
                let member = Member { who, role: it.role, since: now, by: it.created_by };
                members::put(tx, it.workspace, &member).await?;
            }
            audit.append(tx, About::Workspace(it.workspace), now).await?;
            Ok(Joined::Member)
        })
    }
}
