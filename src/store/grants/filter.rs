//! What somebody looks for among a cluster's grants, and the same in the words of the query.

use super::{orders::GrantOrder, role_text};
use crate::model::{role::Role, time::Timestamp};

/// A longer text is part of no email, name or group.
const LONGEST_TEXT: usize = 256;

/// How a grant stands, as people ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its bindings stand.
    InForce,
    /// It waits for its cluster.
    Waiting,
    /// Its cluster refuses it, or something is in its way.
    Stuck,
    /// It has ended, and its bindings are not known to be gone.
    Going,
    /// It lives and ends until then.
    EndsBy(Timestamp),
}

/// What the access page asks for. Empty means all.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Part of an email, name or group (ASCII case apart).
    pub text: Option<String>,
    /// `Some(true)` people only, `Some(false)` groups only.
    pub people: Option<bool>,
    /// ServiceAccounts only.
    pub accounts: bool,
    /// Groups of our own only.
    pub own_groups: bool,
    /// This role only.
    pub role: Option<Role>,
    /// Reaching this namespace (by name; grants on the whole cluster are not meant).
    pub namespace: Option<String>,
    /// Standing so only.
    pub standing: Option<Standing>,
    /// In which order: no part of what is looked for.
    pub order: GrantOrder,
}

/// A filter in the words of the query. Empty patterns match all.
pub(in crate::store) struct Patterns {
    pub(in crate::store) text: String,
    pub(super) people: bool,
    pub(super) groups: bool,
    pub(super) accounts: bool,
    pub(in crate::store) role: String,
    pub(in crate::store) namespace: String,
    /// Of these states, where the first is not empty.
    pub(in crate::store) states: [&'static str; 2],
    /// Ending until then; 0 for all.
    pub(in crate::store) ends_by: i64,
}

impl Standing {
    fn states(self) -> [&'static str; 2] {
        match self {
            Self::InForce => ["applied", ""],
            Self::Waiting => ["pending", ""],
            Self::Stuck => ["failed", "conflict"],
            Self::Going => ["removing", ""],
            Self::EndsBy(_) => ["", ""],
        }
    }
}

impl GrantFilter {
    /// Whether Groups of our own are meant, too.
    pub(in crate::store) fn takes_groups(&self) -> bool {
        self.people.is_none() && !self.accounts
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.text.as_deref().is_none_or(str::is_empty)
            && self.namespace.as_deref().is_none_or(str::is_empty)
            && self.people.is_none()
            && !self.accounts
            && !self.own_groups
            && self.role.is_none()
            && self.standing.is_none()
    }

    /// `None` where nothing can match.
    pub(in crate::store) fn patterns(&self) -> Option<Patterns> {
        let like = |text: &Option<String>, around: &str| match text.as_deref() {
            None | Some("") => Some(String::new()),
            Some(text) if text.len() > LONGEST_TEXT || text.contains('\0') => None,
            Some(text) => Some(format!("%{around}{}{around}%", literal(&text.to_ascii_lowercase()))),
        };
        Some(Patterns {
            text: like(&self.text, "")?,
            people: self.people != Some(false) && !self.accounts && !self.own_groups,
            groups: self.people != Some(true) && !self.accounts && !self.own_groups,
            accounts: self.people.is_none() && !self.own_groups,
            role: self.role.as_ref().map_or_else(String::new, |role| role_text(Some(role))),
            namespace: like(&self.namespace, ",")?,
            states: self.standing.map_or(["", ""], Standing::states),
            ends_by: match self.standing {
                Some(Standing::EndsBy(until)) => until.millis(),
                _ => 0,
            },
        })
    }
}

/// Text that `LIKE … ESCAPE '\'` takes as it stands.
pub(in crate::store) fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_text_is_no_pattern() {
        assert_eq!(literal(r"50%_\x"), r"50\%\_\\x");
    }

    #[test]
    fn what_cannot_match_is_not_asked() {
        let filter = |text: &str| GrantFilter { text: Some(text.into()), ..GrantFilter::default() };
        assert!(filter("a\0b").patterns().is_none());
        assert!(filter(&"x".repeat(257)).patterns().is_none());
        assert_eq!(filter("Bob").patterns().unwrap().text, "%bob%");
        assert!(filter("").is_empty());
    }
}
