//! Custom roles: making, changing and deleting one, and who holds one.
//!
//! Whatever gives one locks its row ([`lock_for_giving`]), and so does whatever changes or deletes it: what is given while it is changed
//! is seen by the change, or sees it.

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    db::{Tx, clash, parsed},
    grants::{GrantRow, role_of, role_text},
    vouches, workspaces,
};
use crate::model::{
    custom_role::{CustomRole, CustomRoleName},
    grant::Grant,
    id::{CustomRoleId, IdentityId, WorkspaceId},
    identity::Identity,
    rbac::PolicyRule,
    role::Role,
    time::Timestamp,
    vouch::Vouch,
};

const NAME_TAKEN: &str = "There is a role of that name already.";
/// How many there are in a workspace at most, and for all of them.
const MOST: i64 = 100;
/// How many grants are named that hold one.
const NAMED: i64 = 20;

/// A custom role to make.
#[derive(Clone, Debug)]
pub struct NewCustomRole {
    /// Its id.
    pub id: CustomRoleId,
    /// Where it belongs; `None` for all workspaces.
    pub workspace: Option<WorkspaceId>,
    /// Its name.
    pub name: CustomRoleName,
    /// What it lets do.
    pub rules: Vec<PolicyRule>,
    /// Who makes it.
    pub created_by: IdentityId,
}

/// Who holds a custom role.
#[derive(Clone, Debug, Default)]
pub struct RoleHolders {
    /// Some of the grants on clusters, oldest first.
    pub grants: Vec<(Grant, Option<Identity>)>,
    /// How many there are.
    pub count: u64,
    /// Grants that reach further than one cluster.
    pub wide: u64,
    /// Open share links that offer it.
    pub links: u64,
}

impl RoleHolders {
    /// Whether nobody does.
    pub fn are_none(&self) -> bool {
        self.count == 0 && self.wide == 0 && self.links == 0
    }
}

/// What a change of the rules does to those who hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// They lose something, or nothing changes for them.
    None,
    /// They would get more, for which nobody has answered: nobody may hold it.
    Unanswered,
    /// They get more, on this owner's word.
    On(IdentityId),
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    workspace_id: Option<String>,
    name: String,
    role: String,
    rules: String,
    revision: i64,
    created_by: String,
    created_at: i64,
    changed_at: i64,
}

macro_rules! select_roles {
    ($($rest:literal),+) => {
        concat!(
            "SELECT id, workspace_id, name, role, rules, revision, created_by, created_at, changed_at FROM custom_roles WHERE ",
            $($rest),+
        )
    };
}

impl Row {
    fn role(self) -> Result<CustomRole, StoreError> {
        const WHAT: &str = "a custom role";
        Ok(CustomRole {
            id: parsed(&self.id, WHAT)?,
            workspace: self.workspace_id.map(|id| parsed(&id, WHAT)).transpose()?,
            name: parsed(&self.name, WHAT)?,
            role: role_of(&self.role)?.ok_or(StoreError::Corrupt(WHAT))?,
            rules: serde_json::from_str(&self.rules).map_err(|_| StoreError::Corrupt(WHAT))?,
            revision: self.revision,
            created_by: parsed(&self.created_by, WHAT)?,
            created_at: Timestamp::from_millis(self.created_at),
            changed_at: Timestamp::from_millis(self.changed_at),
        })
    }
}

fn rules_text(rules: &[PolicyRule]) -> String {
    serde_json::to_string(rules).unwrap_or_else(|_| unreachable!("lists of texts always have a JSON form"))
}

fn about(workspace: Option<WorkspaceId>) -> About {
    workspace.map_or(About::Nothing, About::Workspace)
}

/// Waits for whatever changes a custom role just now, and keeps others from doing so until the transaction ends.
///
/// # Errors
/// `Stale` where it is gone.
pub(super) async fn lock_for_giving(tx: &mut Tx, role: Option<&Role>) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE custom_roles SET revision = revision WHERE role = $1";
    if role.is_none_or(|role| role.custom_name().is_none()) {
        return Ok(());
    }
    let there =
        on!(tx, |db| sqlx::query(SQL).bind(role_text(role)).execute(db).await.map(|done| done.rows_affected()))?;
    if there == 0 { Err(StoreError::Stale) } else { Ok(()) }
}

/// Whether somebody holds it, or would by a link.
async fn is_held(tx: &mut Tx, role: &Role, links: bool, now: Timestamp) -> Result<bool, StoreError> {
    const GRANTS: &str = "SELECT (SELECT COUNT(*) FROM grants WHERE role = $1 AND ended IS NULL) \
         + (SELECT COUNT(*) FROM federated_grants WHERE role = $1 AND ended IS NULL)";
    const LINKS: &str = "SELECT COUNT(*) FROM share_links WHERE role = $1 AND revoked_at IS NULL AND expires_at > $2";
    let text = role_text(Some(role));
    let (mut held,): (i64,) = on!(tx, |db| sqlx::query_as(GRANTS).bind(&text).fetch_one(db).await)?;
    if links {
        let (open,): (i64,) = on!(tx, |db| sqlx::query_as(LINKS).bind(&text).bind(now.millis()).fetch_one(db).await)?;
        held += open;
    }
    Ok(held > 0)
}

impl Store {
    /// Makes one.
    ///
    /// # Errors
    /// `Duplicate` where there is one of that name; `Full` where there are as many as may be; `Stale` where its workspace is being
    /// deleted, `NotFound` where that is gone.
    pub async fn add_custom_role(
        &self,
        new: &NewCustomRole,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM custom_roles WHERE COALESCE(workspace_id, '') = $1";
        const SQL: &str = "INSERT INTO custom_roles \
             (id, workspace_id, name, role, rules, revision, created_by, created_at, changed_at) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $7)";
        transact!(self, |tx| {
            super::federation::lock(tx).await?;
            if let Some(workspace) = new.workspace {
                workspaces::lock_for_giving(tx, workspace).await?;
            }
            let home = new.workspace.map(|id| id.to_string());
            let (count,): (i64,) =
                on!(tx, |db| sqlx::query_as(COUNT).bind(home.clone().unwrap_or_default()).fetch_one(db).await)?;
            if count >= MOST {
                return Err(StoreError::Full("100 roles"));
            }
            on!(tx, |db| sqlx::query(SQL)
                .bind(new.id.to_string())
                .bind(&home)
                .bind(new.name.as_str())
                .bind(role_text(Some(&new.name.role(new.id))))
                .bind(rules_text(&new.rules))
                .bind(new.created_by.to_string())
                .bind(now.millis())
                .execute(db)
                .await
                .map(drop))
            .map_err(|e| clash(e, NAME_TAKEN))?;
            audit.append(tx, about(new.workspace), now).await
        })
    }

    /// Gives one other rules, as it was `saw`. All grants of it become due; where they get more on somebody's word, that word is kept with
    /// each of them.
    ///
    /// # Errors
    /// `Stale` where somebody has changed it since; `Held` where they would get more and nobody answers for it; `NotFound`.
    pub async fn change_custom_role(
        &self,
        saw: &CustomRole,
        rules: &[PolicyRule],
        widening: Widening,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE custom_roles SET rules = $3, revision = revision + 1, changed_at = $4 \
             WHERE id = $1 AND revision = $2";
        const VOUCH: &str = "UPDATE grants SET role_rules = $2, vouched_by = $3 \
             WHERE role = $1 AND ended IS NULL AND role_rules IS NOT NULL";
        let role = role_text(Some(&saw.role));
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(saw.id.to_string())
                .bind(saw.revision)
                .bind(rules_text(rules))
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 {
                return Err(StoreError::Stale);
            }
            match widening {
                Widening::Unanswered if is_held(tx, &saw.role, false, now).await? => return Err(StoreError::Held),
                Widening::None | Widening::Unanswered => {}
                Widening::On(owner) => {
                    let rules = [(String::new(), rules.to_vec())].into();
                    let (rules, owner) = vouches::columns(Some(&Vouch { rules, owner: Some(owner) }));
                    on!(tx, |db| sqlx::query(VOUCH).bind(&role).bind(rules).bind(owner).execute(db).await.map(drop))?;
                }
            }
            super::made_roles::make_due(tx, &role, now).await?;
            audit.append(tx, about(saw.workspace), now).await
        })
    }

    /// Deletes one. Its ClusterRoles go by themselves. Repeating it changes nothing.
    ///
    /// # Errors
    /// `Held` where somebody holds it, or would by an open link.
    pub async fn remove_custom_role(
        &self,
        role: &CustomRole,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            let gone = on!(tx, |db| sqlx::query("DELETE FROM custom_roles WHERE id = $1")
                .bind(role.id.to_string())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if gone == 0 {
                return Ok(());
            }
            if is_held(tx, &role.role, true, now).await? {
                return Err(StoreError::Held);
            }
            audit.append(tx, about(role.workspace), now).await
        })
    }

    /// One custom role.
    pub async fn custom_role(&self, id: CustomRoleId) -> Result<CustomRole, StoreError> {
        const SQL: &str = select_roles!("id = $1");
        let row: Option<Row> = read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.role()
    }

    /// The one that this role is, if it can be given in this workspace (`None`: everywhere).
    pub async fn custom_role_of(
        &self,
        role: &Role,
        workspace: Option<WorkspaceId>,
    ) -> Result<Option<CustomRole>, StoreError> {
        const SQL: &str = select_roles!("role = $1");
        let row: Option<Row> =
            read!(self, |db| sqlx::query_as(SQL).bind(role_text(Some(role))).fetch_optional(db).await)?;
        Ok(row.map(Row::role).transpose()?.filter(|role| role.is_usable_in(workspace)))
    }

    /// Those of a workspace, or (`None`) of all, by name.
    pub async fn custom_roles_of(&self, workspace: Option<WorkspaceId>) -> Result<Vec<CustomRole>, StoreError> {
        const SQL: &str = select_roles!("COALESCE(workspace_id, '') = $1 ORDER BY name, id");
        let home = workspace.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(SQL).bind(home).fetch_all(db).await)?;
        rows.into_iter().map(Row::role).collect()
    }

    /// Those that somebody made, by name.
    pub(super) async fn custom_roles_made_by(&self, maker: IdentityId) -> Result<Vec<CustomRole>, StoreError> {
        const SQL: &str = select_roles!("created_by = $1 ORDER BY name, id");
        let rows: Vec<Row> = read!(self, |db| sqlx::query_as(SQL).bind(maker.to_string()).fetch_all(db).await)?;
        rows.into_iter().map(Row::role).collect()
    }

    /// Whether somebody holds one, or would by an open link, besides what this maker gave and what lives of that.
    pub async fn is_held_by_others(&self, role: &Role, maker: IdentityId, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT \
             (SELECT COUNT(*) FROM grants WHERE role = $1 AND ended IS NULL AND (created_by <> $2 OR expires_at <= $3)) \
             + (SELECT COUNT(*) FROM federated_grants WHERE role = $1 AND ended IS NULL AND (created_by <> $2 OR expires_at <= $3)) \
             + (SELECT COUNT(*) FROM share_links WHERE role = $1 AND revoked_at IS NULL AND expires_at > $3)";
        let (held,): (i64,) = read!(self, |db| sqlx::query_as(SQL)
            .bind(role_text(Some(role)))
            .bind(maker.to_string())
            .bind(now.millis())
            .fetch_one(db)
            .await)?;
        Ok(held > 0)
    }

    /// Those that can be given in a workspace, its own first; with `None` those of all alone.
    pub async fn custom_roles_usable_in(&self, workspace: Option<WorkspaceId>) -> Result<Vec<CustomRole>, StoreError> {
        let mut roles = if workspace.is_some() { self.custom_roles_of(workspace).await? } else { Vec::new() };
        roles.extend(self.custom_roles_of(None).await?);
        Ok(roles)
    }

    /// Who holds one.
    pub async fn holders_of_role(&self, role: &Role, now: Timestamp) -> Result<RoleHolders, StoreError> {
        const GRANTS: &str = select_grants!("WHERE g.role = $1 AND g.ended IS NULL ORDER BY g.id LIMIT $2");
        const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM grants WHERE role = $1 AND ended IS NULL), \
             (SELECT COUNT(*) FROM federated_grants WHERE role = $1 AND ended IS NULL), \
             (SELECT COUNT(*) FROM share_links WHERE role = $1 AND revoked_at IS NULL AND expires_at > $2)";
        let text = role_text(Some(role));
        let rows: Vec<GrantRow> = read!(self, |db| sqlx::query_as(GRANTS).bind(&text).bind(NAMED).fetch_all(db).await)?;
        let (count, wide, links): (i64, i64, i64) =
            read!(self, |db| sqlx::query_as(COUNTS).bind(&text).bind(now.millis()).fetch_one(db).await)?;
        let number = |n: i64| u64::try_from(n).unwrap_or_default();
        let grants = rows.into_iter().map(GrantRow::grant).collect::<Result<_, _>>()?;
        Ok(RoleHolders { grants, count: number(count), wide: number(wide), links: number(links) })
    }
}
