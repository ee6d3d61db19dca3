//! Who is in a Group. Members are named as those of a workspace are; an email's row turns into the person's at their first verified
//! sign-in, unless the address ever was somebody else's.

use super::{about, one, ready};
use crate::{
    model::{
        audit::Action,
        grant::Grantee,
        group::{Group, GroupMember},
        id::{GroupId, IdentityId},
        identity::{Identity, VerifiedClaims},
        provider::ProviderId,
        time::Timestamp,
    },
    store::{
        AuditDraft, Store, StoreError,
        db::{Tx, parsed},
        federation,
        grants::{self, GranteeColumns},
    },
};

/// How many members a Group has at most; a provider's group is one of them.
const MOST: i64 = 500;

#[derive(sqlx::FromRow)]
struct MemberRow {
    member_key: String,
    identity_id: Option<String>,
    provider: Option<String>,
    member_name: Option<String>,
    since: i64,
    added_by: String,
}

const OF_GROUP: &str = "SELECT member_key, identity_id, provider, member_name, since, added_by FROM own_group_members \
     WHERE group_id = $1 ORDER BY since, member_key";

impl MemberRow {
    fn member(self) -> Result<GroupMember, StoreError> {
        let who = GranteeColumns {
            to_group: self.member_key.starts_with("group:"),
            identity_id: self.identity_id,
            provider: self.provider,
            name: self.member_name,
        };
        Ok(GroupMember {
            who: who.grantee()?,
            since: Timestamp::from_millis(self.since),
            by: parsed(&self.added_by, "who added a member")?,
        })
    }
}

/// A Group's members inside a transaction.
pub(in crate::store) async fn of(tx: &mut Tx, id: GroupId) -> Result<Vec<GroupMember>, StoreError> {
    let rows: Vec<MemberRow> = on!(tx, |db| sqlx::query_as(OF_GROUP).bind(id.to_string()).fetch_all(db).await)?;
    rows.into_iter().map(MemberRow::member).collect()
}

/// Makes somebody a member; whoever is one stays what they are. Returns whether they were none.
async fn put(tx: &mut Tx, id: GroupId, member: &GroupMember) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO own_group_members \
         (group_id, member_key, identity_id, provider, member_name, since, added_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (group_id, member_key) DO NOTHING";
    let who = GranteeColumns::from(&member.who);
    let put = on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(grants::key(&member.who))
        .bind(&who.identity_id)
        .bind(&who.provider)
        .bind(&who.name)
        .bind(member.since.millis())
        .bind(member.by.to_string())
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(put > 0)
}

async fn delete(tx: &mut Tx, id: GroupId, key: String) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM own_group_members WHERE group_id = $1 AND member_key = $2";
    let gone = on!(tx, |db| sqlx::query(SQL)
        .bind(id.to_string())
        .bind(key)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(gone > 0)
}

async fn room(tx: &mut Tx, id: GroupId) -> Result<(), StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM own_group_members WHERE group_id = $1";
    let (count,): (i64,) = on!(tx, |db| sqlx::query_as(COUNT).bind(id.to_string()).fetch_one(db).await)?;
    if count > MOST { Err(StoreError::Full("500 members of one group")) } else { Ok(()) }
}

/// Takes [`federation::lock`] where what is about to be learnt of somebody makes them a member by their address.
pub(in crate::store) async fn lock_if_named(tx: &mut Tx, claims: &VerifiedClaims) -> Result<(), StoreError> {
    const SQL: &str = "SELECT group_id FROM own_group_members WHERE member_key = $1 LIMIT 1";
    let Some(email) = claims.email.as_ref().filter(|_| claims.email_verified) else { return Ok(()) };
    let key = grants::email_key(&claims.provider, &email.normalised());
    let named: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(key).fetch_optional(db).await)?;
    if named.is_some() { federation::lock(tx).await } else { Ok(()) }
}

/// Turns memberships of an email (in lower case) at a provider into the person's, unless somebody else ever held that email there,
/// and what the Groups hold with them.
pub(in crate::store) async fn give_to_person(
    tx: &mut Tx,
    provider: &ProviderId,
    email: &str,
    person: IdentityId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const TAKE: &str = "DELETE FROM own_group_members WHERE member_key = $1 AND NOT EXISTS \
         (SELECT 1 FROM email_holders h WHERE h.provider = $2 AND h.email_key = $3 AND h.identity_id <> $4) \
         RETURNING group_id, since, added_by";
    let taken: Vec<(String, i64, String)> = on!(tx, |db| sqlx::query_as(TAKE)
        .bind(grants::email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .bind(person.to_string())
        .fetch_all(db)
        .await)?;
    for (group, since, by) in taken {
        let group = parsed(&group, "group of a member")?;
        let by = parsed(&by, "who added a member")?;
        let since = Timestamp::from_millis(since);
        put(tx, group, &GroupMember { who: Grantee::Person(person), since, by }).await?;
        federation::place_group(tx, group, now).await?;
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
    const SQL: &str = "SELECT group_id FROM own_group_members WHERE member_key = $1 \
         AND (SELECT COUNT(*) FROM email_holders h WHERE h.provider = $2 AND h.email_key = $3) > 1";
    if !newcomer {
        return Ok(());
    }
    let doubted: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(grants::email_key(provider, email))
        .bind(provider.as_str())
        .bind(email)
        .fetch_all(db)
        .await)?;
    for (id,) in doubted {
        let Some(group) = one(tx, parsed(&id, "group of a member")?).await? else { continue };
        let event = AuditDraft::by_kubelend(Action::GroupMemberDoubted, format!("{email} in {}", group.name));
        event.append_of(tx, about(&group), Some(group.id), now).await?;
    }
    Ok(())
}

impl Store {
    /// Adds a member to a Group that was `seen` so: all that it holds is given to them, too.
    ///
    /// # Errors
    /// `Duplicate` where they are in it already; `Full` where it has no room; `TooMuch` where too much would be given at once;
    /// `Stale` where others may change its members now, or its workspace is being deleted; `NotFound`.
    ///
    /// A person takes the place of their own verified email.
    pub async fn add_group_member(
        &self,
        seen: &Group,
        member: &GroupMember,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let group = ready(tx, seen).await?;
            if !put(tx, group.id, member).await? {
                return Err(StoreError::Duplicate("They are in it already."));
            }
            if let Some(address) = grants::address_of(tx, &member.who).await? {
                delete(tx, group.id, address).await?;
            }
            room(tx, group.id).await?;
            federation::bounded(federation::place_group(tx, group.id, now).await?)?;
            audit.append_of(tx, about(&group), Some(group.id), now).await
        })
    }

    /// Takes a member out of a Group: all that it holds is taken from them. Repeating it changes nothing and writes no second event.
    ///
    /// # Errors
    /// `Stale` where others may change its members now; `NotFound` where the Group is gone.
    pub async fn remove_group_member(
        &self,
        seen: &Group,
        who: &Grantee,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let group = ready(tx, seen).await?;
            if !delete(tx, group.id, grants::key(who)).await? {
                return Ok(());
            }
            federation::place_group(tx, group.id, now).await?;
            audit.append_of(tx, about(&group), Some(group.id), now).await
        })
    }

    /// A Group's members with the identity of a person, the oldest first.
    pub async fn group_members(&self, id: GroupId) -> Result<Vec<(GroupMember, Option<Identity>)>, StoreError> {
        let rows: Vec<MemberRow> = read!(self, |db| sqlx::query_as(OF_GROUP).bind(id.to_string()).fetch_all(db).await)?;
        let members = rows.into_iter().map(MemberRow::member).collect::<Result<Vec<_>, _>>()?;
        let person = |member: &GroupMember| if let Grantee::Person(id) = member.who { Some(id) } else { None };
        let ids: Vec<IdentityId> = members.iter().filter_map(person).collect();
        let people = self.identities(&ids).await?;
        let of = |member: &GroupMember| people.iter().find(|p| person(member) == Some(p.id)).cloned();
        Ok(members.into_iter().map(|member| (of(&member), member)).map(|(p, m)| (m, p)).collect())
    }
}
