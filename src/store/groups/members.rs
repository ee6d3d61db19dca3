//! Who is in a Group. Members are named as those of a workspace are; an email's row turns into the person's at their first verified
//! sign-in, unless the address ever was somebody else's.

use super::{about, one, ready, seats};
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
        db::Tx,
        federation, grants,
        rosters::{Entry, OF_GROUPS},
    },
};

impl From<Entry> for GroupMember {
    fn from(entry: Entry) -> Self {
        Self { who: entry.who, since: entry.since, by: entry.by }
    }
}

/// A Group's members inside a transaction.
pub(in crate::store) async fn of(tx: &mut Tx, id: GroupId) -> Result<Vec<GroupMember>, StoreError> {
    Ok(OF_GROUPS.all(tx, id).await?.into_iter().map(GroupMember::from).collect())
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
    for promised in OF_GROUPS.take::<GroupId>(tx, provider, email, person).await? {
        let who = Grantee::Person(person);
        let entry = Entry { who, role: None, since: promised.since, by: promised.by };
        OF_GROUPS.put(tx, promised.set, &entry).await?;
        federation::place_group(tx, promised.set, now).await?;
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
    for (id, _) in OF_GROUPS.doubted(tx, provider, email).await? {
        let Some(group) = one(tx, id).await? else { continue };
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
    /// `Stale` where others may change its members now, or it has become a member of something and this one `raises` whoever adds
    /// them by that, or its workspace is being deleted; `NotFound`.
    ///
    /// A person takes the place of their own verified email.
    pub async fn add_group_member(
        &self,
        seen: &Group,
        member: &GroupMember,
        raises: bool,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let group = ready(tx, seen).await?;
            if raises && seats::is_seated(tx, group.id).await? {
                return Err(StoreError::Stale);
            }
            let entry = Entry { who: member.who.clone(), role: None, since: member.since, by: member.by };
            if !OF_GROUPS.put(tx, group.id, &entry).await? {
                return Err(StoreError::Duplicate("They are in it already."));
            }
            OF_GROUPS.end_for_address(tx, group.id, &member.who).await?;
            OF_GROUPS.bounded(tx, group.id, 0).await?;
            federation::place_group_bounded(tx, group.id, now).await?;
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
            if !OF_GROUPS.delete(tx, group.id, grants::key(who)).await? {
                return Ok(());
            }
            federation::place_group(tx, group.id, now).await?;
            audit.append_of(tx, about(&group), Some(group.id), now).await
        })
    }

    /// A Group's members with the identity of a person, the oldest first.
    pub async fn group_members(&self, id: GroupId) -> Result<Vec<(GroupMember, Option<Identity>)>, StoreError> {
        let people = OF_GROUPS.people(self, id).await?;
        Ok(people.into_iter().map(|(entry, person)| (entry.into(), person)).collect())
    }
}
