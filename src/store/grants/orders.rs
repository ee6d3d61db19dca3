//! The orders in which a cluster's grants are listed, a place in one, and what each is read by.

use crate::store::db::PAST_ALL_IDS;

/// In which order grants are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantOrder {
    /// The newest first.
    #[default]
    Newest,
    /// By email or name.
    Name,
    /// By how much the role gives, the most first.
    Role,
    /// By when they end, the soonest first; those without an end last.
    End,
}

/// A place in an order: what grants are ordered by, and the id of the one that stands there.
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) id: String,
}

pub(super) enum Key {
    /// The id alone.
    Nothing,
    Text(String),
    Number(i64),
}

#[derive(sqlx::FromRow)]
pub(super) struct PlaceRow {
    id: String,
    grantee_sort: String,
    role_rank: i64,
    ends_at: i64,
}

impl PlaceRow {
    pub(super) fn place(self, order: GrantOrder) -> Place {
        let key = match order {
            GrantOrder::Newest => Key::Nothing,
            GrantOrder::Name => Key::Text(self.grantee_sort),
            GrantOrder::Role => Key::Number(self.role_rank),
            GrantOrder::End => Key::Number(self.ends_at),
        };
        Place { key, id: self.id }
    }
}

/// Binds what a place is ordered by, where that is more than its id.
macro_rules! bind_key {
    ($query:expr, $key:expr) => {{
        let query = $query;
        match $key {
            Key::Nothing => query,
            Key::Text(text) => query.bind(text.clone()),
            Key::Number(number) => query.bind(*number),
        }
    }};
}

pub(super) use bind_key;

/// What one order is read by. `$1` is the cluster, `$2` the id of the place where a page begins.
pub(super) struct Statements {
    /// `$3`: how many; then the key.
    pub(super) plain: &'static str,
    /// `$3`: how many; `$4`: the id of the last that is looked at; the filter; then both keys.
    pub(super) filtered: &'static str,
    /// The last that is looked at. `$3`: how many stand before it; then the key.
    pub(super) window: &'static str,
    /// The last there is, with the same parameters.
    pub(super) last: &'static str,
}

/// The statements of an order: what follows a place, what comes no later than one, and the order itself, both ways.
macro_rules! statements {
    ($after:expr, $after_filtered:expr, $until:expr, $order:expr, $back:expr) => {
        Statements {
            plain: select_grants!(
                "WHERE g.cluster_id = $1 AND g.state <> 'removed' AND g.group_id IS NULL AND ",
                $after,
                " ORDER BY ",
                $order,
                " LIMIT $3"
            ),
            filtered: select_grants!(
                "WHERE g.cluster_id = $1 AND g.state <> 'removed' AND g.group_id IS NULL AND ",
                $after_filtered,
                " AND ",
                $until,
                " AND ($5 = '' OR g.grantee_search LIKE $5 ESCAPE '\\' OR i.email_key LIKE $5 ESCAPE '\\' \
                  OR i.name_key LIKE $5 ESCAPE '\\') \
                 AND ((g.to_group AND $6) OR (NOT g.to_group AND g.grantee_key NOT LIKE 'account:%' AND $7) \
                  OR (g.grantee_key LIKE 'account:%' AND $8)) \
                 AND ($9 = '' OR g.role = $9) \
                 AND ($10 = '' OR ',' || g.namespaces || ',' LIKE $10 ESCAPE '\\') \
                 AND ($11 = '' OR g.state = $11 OR g.state = $12) \
                 AND ($13 = 0 OR (g.ended IS NULL AND g.ends_at <= $13)) \
                 ORDER BY ",
                $order,
                " LIMIT $3"
            ),
            window: concat!(
                "SELECT g.id, g.grantee_sort, g.role_rank, g.ends_at FROM grants g \
                 WHERE g.cluster_id = $1 AND g.state <> 'removed' AND g.group_id IS NULL AND ",
                $after,
                " ORDER BY ",
                $order,
                " LIMIT 1 OFFSET $3"
            ),
            last: concat!(
                "SELECT g.id, g.grantee_sort, g.role_rank, g.ends_at FROM grants g \
                 WHERE g.cluster_id = $1 AND g.state <> 'removed' AND g.group_id IS NULL AND ",
                $after,
                " ORDER BY ",
                $back,
                " LIMIT 1 OFFSET $3"
            ),
        }
    };
}

/// The statements of an order by this column.
macro_rules! by_column {
    ($column:literal) => {
        statements!(
            concat!("(g.", $column, ", g.id) > ($4, $2)"),
            concat!("(g.", $column, ", g.id) > ($14, $2)"),
            concat!("(g.", $column, ", g.id) <= ($15, $4)"),
            concat!("g.", $column, ", g.id"),
            concat!("g.", $column, " DESC, g.id DESC")
        )
    };
}

impl GrantOrder {
    pub(super) fn sql(self) -> Statements {
        match self {
            Self::Newest => {
                statements!("g.id < $2", "g.id < $2", "g.id >= $4", "g.id DESC", "g.id")
            }
            Self::Name => by_column!("grantee_sort"),
            Self::Role => by_column!("role_rank"),
            Self::End => by_column!("ends_at"),
        }
    }

    /// The place before all grants.
    pub(super) fn beginning(self) -> Place {
        let (key, id) = match self {
            Self::Newest => (Key::Nothing, PAST_ALL_IDS),
            Self::Name => (Key::Text(String::new()), ""),
            Self::Role | Self::End => (Key::Number(i64::MIN), ""),
        };
        Place { key, id: id.to_owned() }
    }
}
