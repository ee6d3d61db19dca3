//! Who is what in a workspace.
//!
//! People are found by what reaches them, as with grants: their own row, and those of their provider's groups that they were in
//! at their last sign-in. An email's row reaches nobody; a verified sign-in turns it into the person's, unless the address ever
//! was somebody else's.

use std::collections::BTreeMap;

use super::invitations;
use crate::{
    model::{
        audit::Action,
        grant::Grantee,
        id::{ClusterId, IdentityId, WorkspaceId},
        identity::Identity,
        provider::ProviderId,
        time::Timestamp,
        workspace::{Member, MemberRole},
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{CHUNK, Tx, parsed},
        grants::{self, GranteeColumns},
    },
};

/// How many members a workspace has at most; a group is one of them.
const MOST: i64 = 500;

#[derive(sqlx::FromRow)]
struct MemberRow {
    member_key: String,
    identity_id: Option<String>,
    provider: Option<String>,
    member_name: Option<String>,
    role: String,
    since: i64,
    added_by: String,
}

macro_rules! select_members {
    ($rest:literal) => {
        concat!(
            "SELECT member_key, identity_id, provider, member_name, role, since, added_by FROM members WHERE ",
            $rest
        )
    };
}

impl MemberRow {
    fn member(&self) -> Result<Member, StoreError> {
        let who = GranteeColumns {
            to_group: self.member_key.starts_with("group:"),
            identity_id: self.identity_id.clone(),
            provider: self.provider.clone(),
            name: self.member_name.clone(),
        };
        Ok(Member {
            who: who.grantee()?,
            role: role(&self.role)?,
            since: Timestamp::from_millis(self.since),
            by: parsed(&self.added_by, "who added a member")?,
        })
    }
}

fn role(text: &str) -> Result<MemberRole, StoreError> {
    MemberRole::parse(text).ok_or(StoreError::Corrupt("role of a member"))
}

/// Makes somebody a member, or gives a member another role.
pub(super) async fn put(tx: &mut Tx, workspace: WorkspaceId, member: &Member) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO members \
         (workspace_id, member_key, identity_id, provider, member_name, role, since, added_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (workspace_id, member_key) DO UPDATE SET \
         role = excluded.role, since = excluded.since, added_by = excluded.added_by";
    let who = GranteeColumns::from(&member.who);
    on!(tx, |db| sqlx::query(SQL)
        .bind(workspace.to_string())
        .bind(grants::key(&member.who))
        .bind(&who.identity_id)
        .bind(&who.provider)
        .bind(&who.name)
        .bind(member.role.as_str())
        .bind(member.since.millis())
        .bind(member.by.to_string())
        .execute(db)
        .await
        .map(drop))?;
    mirror(tx, workspace, &member.who, Some(member.role)).await
}

/// Keeps what the version before reads, while it runs beside this one.
async fn mirror(
    tx: &mut Tx,
    workspace: WorkspaceId,
    who: &Grantee,
    role: Option<MemberRole>,
) -> Result<(), StoreError> {
    const PUT: &str = "INSERT INTO workspace_members (workspace_id, identity_id, role) VALUES ($1, $2, $3) \
         ON CONFLICT (workspace_id, identity_id) DO UPDATE SET role = excluded.role";
    const DROP: &str = "DELETE FROM workspace_members WHERE workspace_id = $1 AND identity_id = $2";
    let Grantee::Person(person) = who else { return Ok(()) };
    on!(tx, |db| {
        let query = sqlx::query(if role.is_some() { PUT } else { DROP });
        let query = query.bind(workspace.to_string()).bind(person.to_string());
        match role {
            Some(role) => query.bind(role.as_str()).execute(db).await.map(drop),
            None => query.execute(db).await.map(drop),
        }
    })?;
    Ok(())
}

/// Takes over the owners of workspaces that the version before has made beside this one: none else is without members.
pub(super) async fn adopt(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO members (workspace_id, member_key, identity_id, role, since, added_by) \
         SELECT m.workspace_id, 'person:' || m.identity_id, m.identity_id, m.role, w.created_at, m.identity_id \
         FROM workspace_members m JOIN workspaces w ON w.id = m.workspace_id WHERE w.created_by IS NULL \
         AND NOT EXISTS (SELECT 1 FROM members n WHERE n.workspace_id = w.id) ON CONFLICT DO NOTHING";
    on!(tx, |db| sqlx::query(SQL).execute(db).await.map(drop))?;
    Ok(())
}

/// One member's row.
pub(super) async fn one(tx: &mut Tx, workspace: WorkspaceId, who: &Grantee) -> Result<Option<Member>, StoreError> {
    const SQL: &str = select_members!("workspace_id = $1 AND member_key = $2");
    let row: Option<MemberRow> =
        on!(tx, |db| sqlx::query_as(SQL).bind(workspace.to_string()).bind(grants::key(who)).fetch_optional(db).await)?;
    row.map(|row| row.member()).transpose()
}

async fn delete(tx: &mut Tx, workspace: WorkspaceId, key: String) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM members WHERE workspace_id = $1 AND member_key = $2";
    let gone = on!(tx, |db| sqlx::query(SQL)
        .bind(workspace.to_string())
        .bind(key)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(gone > 0)
}

pub(super) async fn count(tx: &mut Tx, sql: &'static str, workspace: WorkspaceId) -> Result<i64, StoreError> {
    let (n,): (i64,) = on!(tx, |db| sqlx::query_as(sql).bind(workspace.to_string()).fetch_one(db).await)?;
    Ok(n)
}

/// Refuses to go on where the workspace has no room for one more.
pub(super) async fn room(tx: &mut Tx, workspace: WorkspaceId, is_in: bool) -> Result<(), StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM members WHERE workspace_id = $1";
    if !is_in && count(tx, COUNT, workspace).await? >= MOST {
        return Err(StoreError::Full("500 members; a group counts as one"));
    }
    Ok(())
}

/// Refuses to go on where no person would own the workspace any more. The caller holds the workspace's row.
async fn owned_without(tx: &mut Tx, workspace: WorkspaceId, member: &Member) -> Result<(), StoreError> {
    const OWNERS: &str =
        "SELECT COUNT(*) FROM members WHERE workspace_id = $1 AND role = 'owner' AND identity_id IS NOT NULL";
    if member.is_owning_person() && count(tx, OWNERS, workspace).await? < 2 {
        return Err(StoreError::LastOwner);
    }
    Ok(())
}

/// Ends an email's membership once the person who has that address, verified, is a member themselves: so an owner confirms whom they
/// meant.
async fn end_for_address(tx: &mut Tx, workspace: WorkspaceId, who: &Grantee) -> Result<(), StoreError> {
    if let Some(address) = grants::address_of(tx, who).await? {
        delete(tx, workspace, address).await?;
    }
    Ok(())
}

/// Turns memberships of an email (in lower case) at a provider into the person's, unless somebody else ever held that email there.
/// Where they are a member already, the stronger role counts.
pub(in crate::store) async fn give_to_person(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    person: IdentityId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const TAKE: &str = "DELETE FROM members WHERE member_key = $1 AND NOT EXISTS \
         (SELECT 1 FROM email_holders h WHERE h.provider = $2 AND h.email_key = $3 AND h.identity_id <> $4) \
         RETURNING workspace_id, role, added_by";
    let taken: Vec<(String, String, String)> = on!(tx, |db| sqlx::query_as(TAKE)
        .bind(grants::email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .bind(person.to_string())
        .fetch_all(db)
        .await)?;
    for (workspace, promised, by) in taken {
        let workspace = parsed(&workspace, "workspace of a member")?;
        let (who, promised) = (Grantee::Person(person), role(&promised)?);
        if one(tx, workspace, &who).await?.is_none_or(|held| held.role < promised) {
            let by = parsed(&by, "who added a member")?;
            put(tx, workspace, &Member { who, role: promised, since: now, by }).await?;
        }
    }
    Ok(())
}

/// Tells, of each membership of an email (in lower case) that has just got another holder, that it is suspended: nobody can say
/// which of them was meant.
pub(in crate::store) async fn doubt(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    newcomer: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "SELECT workspace_id, role FROM members WHERE member_key = $1 \
         AND (SELECT COUNT(*) FROM email_holders h WHERE h.provider = $2 AND h.email_key = $3) > 1";
    if !newcomer {
        return Ok(());
    }
    let doubted: Vec<(String, String)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(grants::email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .fetch_all(db)
        .await)?;
    for (workspace, role) in doubted {
        let event = AuditDraft::by_kubelend(Action::MemberDoubted, format!("{email}: {role}"));
        event.append(tx, About::Workspace(parsed(&workspace, "workspace of a member")?), now).await?;
    }
    Ok(())
}

impl Store {
    /// Adds a member.
    ///
    /// # Errors
    /// `Duplicate` where they are a member already, `Stale` where the workspace is being deleted, `Full` where it has no room.
    ///
    /// A person takes the place of their own verified email.
    pub async fn add_member(
        &self,
        workspace: WorkspaceId,
        member: &Member,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            super::lock_for_giving(tx, workspace).await?;
            if one(tx, workspace, &member.who).await?.is_some() {
                return Err(StoreError::Duplicate("They are a member already."));
            }
            room(tx, workspace, false).await?;
            put(tx, workspace, member).await?;
            end_for_address(tx, workspace, &member.who).await?;
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// Gives a member another role. Repeating it changes nothing and writes no second event.
    ///
    /// # Errors
    /// `NotFound` where they are no member, `LastOwner`.
    pub async fn change_member(
        &self,
        workspace: WorkspaceId,
        to: &Member,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            super::lock(tx, workspace).await?;
            let held = one(tx, workspace, &to.who).await?.ok_or(StoreError::NotFound)?;
            if held.role == to.role {
                return Ok(());
            }
            owned_without(tx, workspace, &held).await?;
            put(tx, workspace, to).await?;
            invitations::revoke_of(tx, workspace, &to.who, now).await?;
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// Removes a member. Repeating it changes nothing and writes no second event.
    ///
    /// # Errors
    /// `LastOwner`.
    pub async fn remove_member(
        &self,
        workspace: WorkspaceId,
        who: &Grantee,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            super::lock(tx, workspace).await?;
            let Some(held) = one(tx, workspace, who).await? else { return Ok(()) };
            owned_without(tx, workspace, &held).await?;
            delete(tx, workspace, grants::key(who)).await?;
            mirror(tx, workspace, who, None).await?;
            invitations::revoke_of(tx, workspace, who, now).await?;
            audit.append(tx, About::Workspace(workspace), now).await
        })
    }

    /// Takes over the owners of workspaces that the version before has made while it ran beside this one.
    pub async fn adopt_members(&self) -> Result<(), StoreError> {
        const ANY: &str = "SELECT id FROM workspaces WHERE created_by IS NULL \
             AND NOT EXISTS (SELECT 1 FROM members n WHERE n.workspace_id = workspaces.id) LIMIT 1";
        let any: Option<(String,)> = read!(self, |db| sqlx::query_as(ANY).fetch_optional(db).await)?;
        if any.is_none() {
            return Ok(());
        }
        transact!(self, |tx| adopt(tx).await)
    }

    /// A workspace's members with the identity of a person: owners first, in each role the newest last.
    pub async fn members(&self, workspace: WorkspaceId) -> Result<Vec<(Member, Option<Identity>)>, StoreError> {
        const SQL: &str = select_members!("workspace_id = $1");
        let rows: Vec<MemberRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(workspace.to_string()).fetch_all(db).await)?;
        let mut members = rows.iter().map(MemberRow::member).collect::<Result<Vec<_>, _>>()?;
        members.sort_by_key(|m| (std::cmp::Reverse(m.role), m.since, grants::key(&m.who)));
        let person = |member: &Member| match &member.who {
            Grantee::Person(id) => Some(*id),
            Grantee::Email(..) | Grantee::Group(..) | Grantee::ServiceAccount(_) => None,
        };
        let ids: Vec<IdentityId> = members.iter().filter_map(person).collect();
        let people = self.identities(&ids).await?;
        let of = |member: &Member| people.iter().find(|p| person(member) == Some(p.id)).cloned();
        Ok(members.into_iter().map(|member| (of(&member), member)).map(|(p, m)| (m, p)).collect())
    }

    /// Members that somebody added, or gave the role that they have, in workspaces that are not on their way out; themselves apart.
    pub(in crate::store) async fn members_added_by(
        &self,
        by: IdentityId,
    ) -> Result<Vec<(WorkspaceId, Member)>, StoreError> {
        const SQL: &str = "SELECT m.workspace_id, m.member_key FROM members m JOIN workspaces w ON w.id = m.workspace_id \
             WHERE m.added_by = $1 AND w.removing IS NULL AND (m.identity_id IS NULL OR m.identity_id <> $1) \
             ORDER BY m.workspace_id, m.member_key";
        const ONE: &str = select_members!("workspace_id = $1 AND member_key = $2");
        let keys: Vec<(String, String)> =
            read!(self, |db| sqlx::query_as(SQL).bind(by.to_string()).fetch_all(db).await)?;
        let mut all = Vec::new();
        for (workspace, key) in keys {
            let row: Option<MemberRow> =
                read!(self, |db| sqlx::query_as(ONE).bind(&workspace).bind(&key).fetch_optional(db).await)?;
            if let Some(row) = row {
                all.push((parsed(&workspace, "workspace of a member")?, row.member()?));
            }
        }
        Ok(all)
    }

    /// What somebody is in each workspace that they are a member of, by themselves or by a group: the strongest of it.
    pub async fn memberships_of(&self, person: &Identity) -> Result<BTreeMap<WorkspaceId, MemberRole>, StoreError> {
        const SQL: &str = concat!("SELECT workspace_id, role FROM members WHERE member_key IN ", id_list!());
        let mut strongest = BTreeMap::new();
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk).fetch_all(db).await)?;
            for (workspace, held) in rows {
                let held = role(&held)?;
                let entry = strongest.entry(parsed(&workspace, "workspace of a member")?).or_insert(held);
                *entry = held.max(*entry);
            }
        }
        Ok(strongest)
    }

    /// What somebody is in the workspace of a cluster, by themselves or by a group, if anything: the strongest of it.
    pub async fn membership_around(
        &self,
        cluster: ClusterId,
        person: &Identity,
    ) -> Result<Option<MemberRole>, StoreError> {
        const SQL: &str = concat!(
            "SELECT role FROM members WHERE member_key IN ",
            id_list!(),
            " AND workspace_id = (SELECT workspace_id FROM clusters WHERE id = $33)"
        );
        self.strongest(SQL, &cluster.to_string(), person).await
    }

    /// What somebody is in a workspace, by themselves or by a group, if anything: the strongest of it.
    pub async fn membership(
        &self,
        workspace: WorkspaceId,
        person: &Identity,
    ) -> Result<Option<MemberRole>, StoreError> {
        const SQL: &str =
            concat!("SELECT role FROM members WHERE member_key IN ", id_list!(), " AND workspace_id = $33");
        self.strongest(SQL, &workspace.to_string(), person).await
    }

    async fn strongest(
        &self,
        sql: &'static str,
        of: &str,
        person: &Identity,
    ) -> Result<Option<MemberRole>, StoreError> {
        let mut strongest = None;
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String,)> =
                read!(self, |db| bind_ids!(sqlx::query_as(sql), chunk).bind(of).fetch_all(db).await)?;
            for (held,) in rows {
                strongest = strongest.max(Some(role(&held)?));
            }
        }
        Ok(strongest)
    }
}
