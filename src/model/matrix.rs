//! The matrix: who can reach which cluster with which role, today or on a day in the past or the future.
//!
//! A grant counts from the moment it was given until its bindings were seen gone from the cluster, so that nobody is missing who
//! may have had access: while a cluster is away, what was taken back there still stands.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    grant::{EndReason, Origin},
    group::GroupName,
    id::{ClusterId, GrantId, WorkspaceId},
    role::Role,
    scope::Scope,
    time::Timestamp,
};

const DAY: Duration = Duration::from_hours(24);

/// When the matrix is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// This moment.
    Now(Timestamp),
    /// Any moment of a day, in UTC.
    Day {
        /// Its first moment.
        from: Timestamp,
        /// This moment.
        now: Timestamp,
    },
}

impl AsOf {
    /// Reads a day as forms send it, `2026-11-01`; nothing is now.
    ///
    /// # Errors
    /// What is no day.
    pub fn read(day: &str, now: Timestamp) -> Result<Self, NoDay> {
        if day.trim().is_empty() {
            return Ok(Self::Now(now));
        }
        let date: jiff::civil::Date = day.trim().parse().map_err(|_| NoDay)?;
        let begins = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| NoDay)?;
        Ok(Self::Day { from: Timestamp::from_secs(begins.timestamp().as_second()), now })
    }

    /// This moment.
    pub fn now(self) -> Timestamp {
        match self {
            Self::Now(now) | Self::Day { now, .. } => now,
        }
    }

    /// The first moment that is meant.
    pub fn from(self) -> Timestamp {
        match self {
            Self::Now(now) => now,
            Self::Day { from, .. } => from,
        }
    }

    /// The first moment that is not meant any more.
    pub fn to(self) -> Timestamp {
        match self {
            Self::Now(now) => now.plus(Duration::from_millis(1)),
            Self::Day { from, .. } => from.plus(DAY),
        }
    }

    /// Whether it is this moment.
    pub fn is_now(self) -> bool {
        matches!(self, Self::Now(_))
    }

    /// As a form sends it, and as a file is named after: `2026-11-01`.
    pub fn day(self) -> String {
        self.from().to_string().chars().take(10).collect()
    }
}

/// A text that is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written as 2026-11-01")]
pub struct NoDay;

/// A cluster as a column: under the name that it had then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its workspace then.
    pub workspace: WorkspaceId,
    /// Its name then.
    pub name: String,
    /// From when on it was there, of what is asked about.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// When it went, or moved elsewhere, or was called something else, if it did.
    pub left_at: Option<Timestamp>,
}

impl Column {
    /// Where the columns after this one begin.
    pub fn cursor(&self) -> ColumnCursor {
        ColumnCursor { name: self.name.to_ascii_lowercase(), cluster: self.cluster }
    }
}

/// Where columns go on: after this name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnCursor {
    /// The name, in lower case.
    pub name: String,
    /// The cluster.
    pub cluster: ClusterId,
}

impl fmt::Display for ColumnCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.name, self.cluster)
    }
}

impl FromStr for ColumnCursor {
    type Err = NoCursor;
    fn from_str(s: &str) -> Result<Self, NoCursor> {
        let (name, cluster) = s.rsplit_once('~').ok_or(NoCursor)?;
        Ok(Self { name: name.to_owned(), cluster: cluster.parse().map_err(|_| NoCursor)? })
    }
}

/// An address that says no place in the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such place in the matrix")]
pub struct NoCursor;

/// What kind of row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderKind {
    /// Somebody who has signed in.
    Person,
    /// An address of somebody who had not signed in.
    Address,
    /// A group.
    Group,
    /// A ServiceAccount.
    ServiceAccount,
}

/// Whom a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What their grants are found by.
    pub key: String,
    /// What kind.
    pub kind: HolderKind,
    /// As people call them now.
    pub name: String,
    /// Where they sign in, or whose group it is.
    pub provider: String,
}

/// A grant as the matrix counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The grant.
    pub id: GrantId,
    /// Its role.
    pub role: Option<Role>,
    /// Where.
    pub scope: Scope,
    /// How it came to be.
    pub origin: Origin,
    /// The Group that it was given to them by, as that is called, or was.
    pub group: Option<GroupName>,
    /// When it was given.
    pub since: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When and why it ended.
    pub ended: Option<(Timestamp, EndReason)>,
    /// When its bindings were off the cluster.
    pub gone_at: Option<Timestamp>,
}

impl Counted {
    /// Whether its end has come and its bindings may still stand.
    pub fn is_leaving(&self) -> bool {
        self.ended.is_some() && self.gone_at.is_none()
    }

    /// As it is known where the cluster was then: what became of it after the cluster had left is not told there.
    #[must_use]
    pub fn seen_from(mut self, column: &Column) -> Self {
        let told = |at: &Timestamp| column.left_at.is_none_or(|left| *at <= left);
        self.ended = self.ended.filter(|(at, _)| told(at));
        self.gone_at = self.gone_at.filter(told);
        self
    }

    /// Roles by how much they let do; the same on the whole cluster is more than in namespaces. Nobody knows how strong a role
    /// of some name is: it stands above *view* and below what is known to change things.
    fn weight(&self) -> (u8, bool) {
        let role = match &self.role {
            None => 0,
            Some(Role::View) => 1,
            Some(Role::Named(_) | Role::Local(_)) => 2,
            Some(Role::Edit) => 3,
            Some(Role::Admin) => 4,
            Some(Role::ClusterAdmin) => 5,
        };
        (role, self.scope.is_whole_cluster())
    }
}

/// The grant that lets do most; of several like it the first.
pub fn strongest(grants: &[Counted]) -> Option<&Counted> {
    grants.iter().rev().max_by_key(|grant| grant.weight())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(role: Option<Role>, namespaces: &[&str]) -> Counted {
        Counted {
            id: GrantId::new(),
            role,
            scope: Scope::new(ClusterId::new(), namespaces.iter().map(|n| n.parse().unwrap()).collect()),
            origin: Origin::Manual,
            group: None,
            since: Timestamp::from_secs(0),
            expires_at: None,
            ended: None,
            gone_at: None,
        }
    }

    #[test]
    fn a_cell_says_the_strongest_role_and_where() {
        let named = Role::named("log-reader").ok();
        let order = [
            counted(None, &[]),
            counted(Some(Role::View), &["shop"]),
            counted(Some(Role::View), &[]),
            counted(named, &[]),
            counted(Some(Role::Edit), &["shop"]),
            counted(Some(Role::Edit), &[]),
            counted(Some(Role::Admin), &["shop"]),
            counted(Some(Role::Admin), &[]),
            counted(Some(Role::ClusterAdmin), &[]),
        ];
        for n in 1..=order.len() {
            let mut some = order[..n].to_vec();
            assert_eq!(strongest(&some), Some(&order[n - 1]));
            some.reverse();
            assert_eq!(strongest(&some), Some(&order[n - 1]), "in any order");
        }
        assert_eq!(strongest(&[]), None);
    }

    #[test]
    fn a_day_is_all_of_it_in_utc_and_nothing_is_now() {
        let now = Timestamp::from_secs(1_795_392_000);
        assert_eq!(AsOf::read(" ", now), Ok(AsOf::Now(now)));
        let day = AsOf::read("2026-11-01", now).unwrap();
        assert_eq!(day.from().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(day.to().to_string(), "2026-11-02T00:00:00Z");
        assert_eq!((day.day().as_str(), day.is_now()), ("2026-11-01", false));
        for bad in ["1 November", "2026-13-01", "2026-11-31", "99999-01-01", "<script>"] {
            assert_eq!(AsOf::read(bad, now), Err(NoDay), "{bad}");
        }
    }

    #[test]
    fn a_place_among_the_columns_comes_back() {
        let cursor = ColumnCursor { name: "a~b.c".into(), cluster: ClusterId::new() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!("x".parse::<ColumnCursor>(), Err(NoCursor));
    }
}
