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
        grants, own_providers,
        rosters::{self, Entry, OF_WORKSPACES},
    },
};

/// Makes somebody a member, or gives a member another role.
pub(super) async fn put(tx: &mut Tx, workspace: WorkspaceId, member: &Member) -> Result<(), StoreError> {
    OF_WORKSPACES.put(tx, workspace, &Entry::from(member)).await?;
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
    OF_WORKSPACES.one(tx, workspace, who).await?.map(Entry::member).transpose()
}

pub(super) async fn count(tx: &mut Tx, sql: &'static str, workspace: WorkspaceId) -> Result<i64, StoreError> {
    let (n,): (i64,) = on!(tx, |db| sqlx::query_as(sql).bind(workspace.to_string()).fetch_one(db).await)?;
    Ok(n)
}

/// Refuses to go on where the workspace has no room for one more.
pub(super) async fn room(tx: &mut Tx, workspace: WorkspaceId, is_in: bool) -> Result<(), StoreError> {
    OF_WORKSPACES.bounded(tx, workspace, i64::from(!is_in)).await
}

/// Refuses to go on where no person would own the workspace any more. The caller holds the workspace's row.
async fn owned_without(tx: &mut Tx, workspace: WorkspaceId, member: &Member) -> Result<(), StoreError> {
    match &member.who {
        Grantee::Person(person)
            if member.is_owning_person() && !own_providers::is_owned_besides(tx, workspace, *person).await? =>
        {
            Err(StoreError::LastOwner)
        }
        _ => Ok(()),
    }
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
    for promised in OF_WORKSPACES.take::<WorkspaceId>(tx, provider, email, person).await? {
        if let Some(kept) = OF_WORKSPACES.keep_promise(tx, &promised, person, now).await? {
            mirror(tx, promised.set, &kept.who, kept.role).await?;
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
    if !newcomer {
        return Ok(());
    }
    for (workspace, role) in OF_WORKSPACES.doubted(tx, provider, email).await? {
        let role = role.map_or("", MemberRole::as_str);
        let event = AuditDraft::by_kubelend(Action::MemberDoubted, format!("{email}: {role}"));
        event.append(tx, About::Workspace(workspace), now).await?;
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
            OF_WORKSPACES.end_for_address(tx, workspace, &member.who).await?;
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
            OF_WORKSPACES.delete(tx, workspace, grants::key(who)).await?;
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
        let people = OF_WORKSPACES.people(self, workspace).await?;
        people.into_iter().map(|(entry, person)| Ok((entry.member()?, person))).collect()
    }

    /// Members that somebody added, or gave the role that they have, in workspaces that are not on their way out; themselves apart.
    pub(in crate::store) async fn members_added_by(
        &self,
        by: IdentityId,
    ) -> Result<Vec<(WorkspaceId, Member)>, StoreError> {
        const SQL: &str = "SELECT DISTINCT m.workspace_id FROM members m JOIN workspaces w ON w.id = m.workspace_id \
             WHERE m.added_by = $1 AND w.removing IS NULL ORDER BY m.workspace_id";
        let rows: Vec<(String,)> = read!(self, |db| sqlx::query_as(SQL).bind(by.to_string()).fetch_all(db).await)?;
        let mut all = Vec::new();
        for (id,) in rows {
            let workspace = parsed(&id, "workspace of a member")?;
            let members = self.members(workspace).await?.into_iter().map(|(member, _)| member);
            let others = members.filter(|member| member.by == by && member.who != Grantee::Person(by));
            all.extend(others.map(|member| (workspace, member)));
        }
        Ok(all)
    }

    /// What somebody is in each workspace that they are a member of, by themselves or by a group: the strongest of it.
    pub async fn memberships_of(&self, person: &Identity) -> Result<BTreeMap<WorkspaceId, MemberRole>, StoreError> {
        const SQL: &str = concat!("SELECT workspace_id, role FROM members_reached WHERE member_key IN ", id_list!());
        let mut strongest = BTreeMap::new();
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String, String)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk).fetch_all(db).await)?;
            for (workspace, held) in rows {
                let workspace = parsed(&workspace, "workspace of a member")?;
                if !person.counts_in(Some(workspace)) {
                    continue;
                }
                let held = rosters::role(&held)?.ok_or(StoreError::Corrupt("role of a member"))?;
                let entry = strongest.entry(workspace).or_insert(held);
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
            "SELECT role FROM members_reached WHERE member_key IN ",
            id_list!(),
            " AND workspace_id = (SELECT workspace_id FROM clusters WHERE id = $33) AND ($34 = '' OR workspace_id = $34)"
        );
        self.strongest(SQL, &cluster.to_string(), person).await
    }

    /// What somebody is in a workspace, by themselves or by a group, if anything: the strongest of it.
    pub async fn membership(
        &self,
        workspace: WorkspaceId,
        person: &Identity,
    ) -> Result<Option<MemberRole>, StoreError> {
        const SQL: &str = concat!(
            "SELECT role FROM members_reached WHERE member_key IN ",
            id_list!(),
            " AND workspace_id = $33 AND ($34 = '' OR workspace_id = $34)"
        );
        self.strongest(SQL, &workspace.to_string(), person).await
    }

    async fn strongest(
        &self,
        sql: &'static str,
        of: &str,
        person: &Identity,
    ) -> Result<Option<MemberRole>, StoreError> {
        let (mut strongest, home) = (None, grants::home_text(person));
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String,)> =
                read!(self, |db| bind_ids!(sqlx::query_as(sql), chunk).bind(of).bind(&home).fetch_all(db).await)?;
            strongest = strongest.max(rosters::strongest(rows)?);
        }
        Ok(strongest)
    }
}
