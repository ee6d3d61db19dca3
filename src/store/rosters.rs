//! Named sets of people, addresses and groups: the members of a workspace, of a project, of a Group of our own.
//!
//! They are one kind of row in a table each, found by the same keys as grants are. An address's row reaches nobody; a verified sign-in
//! turns it into the person's, unless the address ever was somebody else's ([`Roster::take`]).

use super::{
    Store, StoreError,
    db::{Tx, parsed},
    grants::{self, GranteeColumns},
};
use crate::model::{
    grant::Grantee,
    id::IdentityId,
    identity::Identity,
    provider::ProviderId,
    time::Timestamp,
    workspace::{Member, MemberRole},
};

/// How many members there are at most in one set; a provider's group is one of them.
const MOST: i64 = 500;

/// The statements of one table.
pub(super) struct Roster {
    one: &'static str,
    all: &'static str,
    put: &'static str,
    delete: &'static str,
    count: &'static str,
    take: &'static str,
    doubted: &'static str,
    full: &'static str,
    added: &'static str,
}

macro_rules! select {
    ($table:literal, $role:literal, $rest:expr) => {
        concat!(
            "SELECT member_key, identity_id, provider, member_name, ",
            $role,
            " AS role, since, added_by FROM ",
            $table,
            $rest
        )
    };
}
macro_rules! roster {
    ($table:literal of $set:literal, $role:literal, put: $put:expr, full: $full:literal) => {
        Roster {
            one: select!($table, $role, concat!(" WHERE ", $set, " = $1 AND member_key = $2")),
            all: select!($table, $role, concat!(" WHERE ", $set, " = $1")),
            put: $put,
            delete: concat!("DELETE FROM ", $table, " WHERE ", $set, " = $1 AND member_key = $2"),
            count: concat!("SELECT COUNT(*) FROM ", $table, " WHERE ", $set, " = $1"),
            take: concat!(
                "DELETE FROM ", $table, " WHERE member_key = $1 AND NOT EXISTS (SELECT 1 FROM email_holders h \
                 WHERE h.provider = $2 AND h.email_key = $3 AND h.identity_id <> $4) RETURNING ", $set, ", ", $role, ", since, added_by"
            ),
            doubted: concat!(
                "SELECT ", $set, ", ", $role, " FROM ", $table, " WHERE member_key = $1 \
                 AND (SELECT COUNT(*) FROM email_holders h WHERE h.provider = $2 AND h.email_key = $3) > 1"
            ),
            full: $full,
            added: concat!("SELECT DISTINCT ", $set, " FROM ", $table, " WHERE added_by = $1 ORDER BY ", $set),
        }
    };
    ($table:literal of $set:literal with roles) => {
        roster!(
            $table of $set,
            "role",
            put: concat!(
                "INSERT INTO ", $table, " (", $set, ", member_key, identity_id, provider, member_name, since, added_by, role) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (", $set, ", member_key) DO UPDATE SET \
                 role = excluded.role, since = excluded.since, added_by = excluded.added_by"
            ),
            full: "500 members; a group counts as one"
        )
    };
    ($table:literal of $set:literal) => {
        roster!(
            $table of $set,
            "''",
            put: concat!(
                "INSERT INTO ", $table, " (", $set, ", member_key, identity_id, provider, member_name, since, added_by) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (", $set, ", member_key) DO NOTHING"
            ),
            full: "500 members of one group"
        )
    };
}

/// Who is what in a workspace.
pub(super) static OF_WORKSPACES: Roster = roster!("members" of "workspace_id" with roles);
/// Who is what in a project.
pub(super) static OF_PROJECTS: Roster = roster!("project_members" of "project_id" with roles);
/// Who is in a Group.
pub(super) static OF_GROUPS: Roster = roster!("own_group_members" of "group_id");

/// Somebody in a set.
pub(super) struct Entry {
    pub(super) who: Grantee,
    /// What they are there, where the set has roles.
    pub(super) role: Option<MemberRole>,
    pub(super) since: Timestamp,
    pub(super) by: IdentityId,
}

impl From<&Member> for Entry {
    fn from(member: &Member) -> Self {
        Self { who: member.who.clone(), role: Some(member.role), since: member.since, by: member.by }
    }
}

impl Entry {
    /// As a member of something that has roles.
    pub(super) fn member(self) -> Result<Member, StoreError> {
        let role = self.role.ok_or(StoreError::Corrupt("role of a member"))?;
        Ok(Member { who: self.who, role, since: self.since, by: self.by })
    }
}

/// What an address had in a set.
pub(super) struct Promised<Set> {
    pub(super) set: Set,
    pub(super) role: Option<MemberRole>,
    pub(super) since: Timestamp,
    pub(super) by: IdentityId,
}

#[derive(sqlx::FromRow)]
struct Row {
    member_key: String,
    identity_id: Option<String>,
    provider: Option<String>,
    member_name: Option<String>,
    role: String,
    since: i64,
    added_by: String,
}

impl Row {
    fn entry(self) -> Result<Entry, StoreError> {
        let who = GranteeColumns {
            to_group: self.member_key.starts_with("group:"),
            identity_id: self.identity_id,
            provider: self.provider,
            name: self.member_name,
        };
        Ok(Entry {
            who: who.grantee()?,
            role: role(&self.role)?,
            since: Timestamp::from_millis(self.since),
            by: parsed(&self.added_by, "who added a member")?,
        })
    }
}

/// As stored; nothing in a set that has no roles.
pub(super) fn role(text: &str) -> Result<Option<MemberRole>, StoreError> {
    match text {
        "" => Ok(None),
        text => MemberRole::parse(text).map(Some).ok_or(StoreError::Corrupt("role of a member")),
    }
}

/// The strongest of some roles as they are stored.
pub(super) fn strongest(rows: Vec<(String,)>) -> Result<Option<MemberRole>, StoreError> {
    rows.iter().try_fold(None, |strongest: Option<MemberRole>, (held,)| Ok(strongest.max(role(held)?)))
}

impl Roster {
    /// Somebody's row.
    pub(super) async fn one(
        &self,
        tx: &mut Tx,
        set: impl ToString,
        who: &Grantee,
    ) -> Result<Option<Entry>, StoreError> {
        let row: Option<Row> = on!(tx, |db| sqlx::query_as(self.one)
            .bind(set.to_string())
            .bind(grants::key(who))
            .fetch_optional(db)
            .await)?;
        row.map(Row::entry).transpose()
    }

    /// All of a set inside a transaction, the strongest first, of each role the newest last.
    pub(super) async fn all(&self, tx: &mut Tx, set: impl ToString) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<Row> = on!(tx, |db| sqlx::query_as(self.all).bind(set.to_string()).fetch_all(db).await)?;
        sorted(rows)
    }

    /// The same with the identity of a person.
    pub(super) async fn people(
        &self,
        store: &Store,
        set: impl ToString,
    ) -> Result<Vec<(Entry, Option<Identity>)>, StoreError> {
        let rows: Vec<Row> = read!(store, |db| sqlx::query_as(self.all).bind(set.to_string()).fetch_all(db).await)?;
        let entries = sorted(rows)?;
        let person = |entry: &Entry| if let Grantee::Person(id) = entry.who { Some(id) } else { None };
        let ids: Vec<IdentityId> = entries.iter().filter_map(person).collect();
        let people = store.identities(&ids).await?;
        let of = |entry: &Entry| people.iter().find(|p| person(entry) == Some(p.id)).cloned();
        Ok(entries.into_iter().map(|entry| (of(&entry), entry)).map(|(person, entry)| (entry, person)).collect())
    }

    /// Whom somebody has added, or given the role that they have, and to which sets.
    pub(super) async fn added_by<Set: std::str::FromStr + ToString + Copy>(
        &self,
        store: &Store,
        by: IdentityId,
    ) -> Result<Vec<(Set, Grantee)>, StoreError> {
        let rows: Vec<(String,)> =
            read!(store, |db| sqlx::query_as(self.added).bind(by.to_string()).fetch_all(db).await)?;
        let mut all = Vec::new();
        for (set,) in rows {
            let set: Set = parsed(&set, "what somebody is a member of")?;
            let people = self.people(store, set).await?;
            all.extend(people.into_iter().filter(|(entry, _)| entry.by == by).map(|(entry, _)| (set, entry.who)));
        }
        Ok(all)
    }

    /// Puts somebody in; whoever is in it gets the role. Returns whether that changed anything.
    pub(super) async fn put(&self, tx: &mut Tx, set: impl ToString, entry: &Entry) -> Result<bool, StoreError> {
        let who = GranteeColumns::from(&entry.who);
        let put = on!(tx, |db| {
            let query = sqlx::query(self.put)
                .bind(set.to_string())
                .bind(grants::key(&entry.who))
                .bind(&who.identity_id)
                .bind(&who.provider)
                .bind(&who.name)
                .bind(entry.since.millis())
                .bind(entry.by.to_string());
            let query = if let Some(role) = entry.role { query.bind(role.as_str()) } else { query };
            query.execute(db).await.map(|done| done.rows_affected())
        })?;
        Ok(put > 0)
    }

    /// Takes out whoever has this key. Returns whether somebody had.
    pub(super) async fn delete(&self, tx: &mut Tx, set: impl ToString, key: String) -> Result<bool, StoreError> {
        let gone = on!(tx, |db| sqlx::query(self.delete)
            .bind(set.to_string())
            .bind(key)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(gone > 0)
    }

    /// Ends an address's row once the person who has that address, verified, is in the set themselves: so whoever added them confirms
    /// whom they meant.
    pub(super) async fn end_for_address(
        &self,
        tx: &mut Tx,
        set: impl ToString,
        who: &Grantee,
    ) -> Result<(), StoreError> {
        if let Some(address) = grants::address_of(tx, who).await? {
            self.delete(tx, set, address).await?;
        }
        Ok(())
    }

    /// Refuses to go on where the set is fuller than it may be, once `more` have come.
    pub(super) async fn bounded(&self, tx: &mut Tx, set: impl ToString, more: i64) -> Result<(), StoreError> {
        let (count,): (i64,) = on!(tx, |db| sqlx::query_as(self.count).bind(set.to_string()).fetch_one(db).await)?;
        if count.saturating_add(more) > MOST { Err(StoreError::Full(self.full)) } else { Ok(()) }
    }

    /// Takes out an email (in lower case) at a provider wherever it is, for the person whose it is now; nowhere, if somebody else ever
    /// held it there. What becomes of it is the caller's.
    pub(super) async fn take<Set: std::str::FromStr>(
        &self,
        tx: &mut Tx,
        provider: &ProviderId,
        email: &str,
        person: IdentityId,
    ) -> Result<Vec<Promised<Set>>, StoreError> {
        let taken: Vec<(String, String, i64, String)> = on!(tx, |db| sqlx::query_as(self.take)
            .bind(grants::email_key(provider, email))
            .bind(provider.as_str())
            .bind(email)
            .bind(person.to_string())
            .fetch_all(db)
            .await)?;
        let promised = taken.into_iter().map(|(set, held, since, by)| {
            Ok(Promised {
                set: parsed(&set, "what somebody is a member of")?,
                role: role(&held)?,
                since: Timestamp::from_millis(since),
                by: parsed(&by, "who added a member")?,
            })
        });
        promised.collect()
    }

    /// Gives the person in a set what their address had there, where that is more than they have.
    pub(super) async fn keep_promise<Set: ToString>(
        &self,
        tx: &mut Tx,
        promised: &Promised<Set>,
        person: IdentityId,
        now: Timestamp,
    ) -> Result<Option<Entry>, StoreError> {
        let who = Grantee::Person(person);
        let held = self.one(tx, promised.set.to_string(), &who).await?;
        if held.is_some_and(|held| held.role >= promised.role) {
            return Ok(None);
        }
        let entry = Entry { who, role: promised.role, since: now, by: promised.by };
        self.put(tx, promised.set.to_string(), &entry).await?;
        Ok(Some(entry))
    }

    /// Where an email (in lower case) is named that has had several holders, and as what: nobody can say which of them was meant.
    pub(super) async fn doubted<Set: std::str::FromStr>(
        &self,
        tx: &mut Tx,
        provider: &ProviderId,
        email: &str,
    ) -> Result<Vec<(Set, Option<MemberRole>)>, StoreError> {
        let doubted: Vec<(String, String)> = on!(tx, |db| sqlx::query_as(self.doubted)
            .bind(grants::email_key(provider, email))
            .bind(provider.as_str())
            .bind(email)
            .fetch_all(db)
            .await)?;
        let read = |(set, held): &(String, String)| Ok((parsed(set, "what somebody is a member of")?, role(held)?));
        doubted.iter().map(read).collect()
    }
}

fn sorted(rows: Vec<Row>) -> Result<Vec<Entry>, StoreError> {
    let mut entries = rows.into_iter().map(Row::entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_cached_key(|entry| (std::cmp::Reverse(entry.role), entry.since, grants::key(&entry.who)));
    Ok(entries)
}
