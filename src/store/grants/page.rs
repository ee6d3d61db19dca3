//! Lists of grants: a cluster's access page, the counts beside a cluster's name, and what reaches a person.
//!
//! A page costs the same whatever the number of grants. Without a filter it is read straight off an index, newest first. With
//! one, at most [`WINDOW`] of the newest grants are looked at for one page: the next page goes on where that one stopped, so
//! nothing is left out, and a page may have fewer rows than asked for (none, even) and still have a next one.

use super::{keys_reaching, role_text, rows::GrantRow};
use crate::{
    model::{
        grant::Grant,
        id::{ClusterId, GrantId},
        identity::Identity,
        role::Role,
        time::Timestamp,
    },
    store::{
        Store, StoreError,
        db::{CHUNK, PAST_ALL_IDS, parsed},
    },
};

/// How many grants a filtered page looks at.
const WINDOW: i64 = 10_000;
/// A longer text is part of no email, name or group.
const LONGEST_TEXT: usize = 256;

/// What the access page asks for. Empty means all.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Part of an email, name or group (ASCII case apart).
    pub text: Option<String>,
    /// `Some(true)` people only, `Some(false)` groups only.
    pub people: Option<bool>,
    /// ServiceAccounts only.
    pub accounts: bool,
    /// This role only.
    pub role: Option<Role>,
    /// Reaching this namespace (by name; grants on the whole cluster are not meant).
    pub namespace: Option<String>,
}

/// A page of grants.
#[derive(Clone, Debug)]
pub struct GrantPage {
    /// The grants with the identity of a person's grant, newest first.
    pub rows: Vec<(Grant, Option<Identity>)>,
    /// Where the next page begins, if there is one: pass it as `before`. With a filter it may be there although this page is
    /// not full: then older grants have not been looked at yet.
    pub next: Option<GrantId>,
}

/// A filter in the words of the query. Empty patterns match all.
struct Patterns {
    text: String,
    people: bool,
    groups: bool,
    accounts: bool,
    role: String,
    namespace: String,
}

impl GrantFilter {
    fn is_empty(&self) -> bool {
        self.text.as_deref().is_none_or(str::is_empty)
            && self.namespace.as_deref().is_none_or(str::is_empty)
            && self.people.is_none()
            && !self.accounts
            && self.role.is_none()
    }

    /// `None` where nothing can match.
    fn patterns(&self) -> Option<Patterns> {
        let like = |text: &Option<String>, around: &str| match text.as_deref() {
            None | Some("") => Some(String::new()),
            Some(text) if text.len() > LONGEST_TEXT || text.contains('\0') => None,
            Some(text) => Some(format!("%{around}{}{around}%", literal(&text.to_ascii_lowercase()))),
        };
        Some(Patterns {
            text: like(&self.text, "")?,
            people: self.people != Some(false) && !self.accounts,
            groups: self.people != Some(true) && !self.accounts,
            accounts: self.people.is_none(),
            role: self.role.as_ref().map_or_else(String::new, |role| role_text(Some(role))),
            namespace: like(&self.namespace, ",")?,
        })
    }
}

/// Text that `LIKE … ESCAPE '\'` takes as it stands.
pub(in crate::store) fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

impl Store {
    /// A cluster's grants that are not `Removed`, newest first, `limit` a page. Costs the same whatever their number.
    pub async fn grants_of_cluster(
        &self,
        cluster: ClusterId,
        filter: &GrantFilter,
        before: Option<GrantId>,
        limit: u32,
    ) -> Result<GrantPage, StoreError> {
        const SQL: &str = select_grants!(
            "WHERE g.cluster_id = $1 AND g.state <> 'removed' AND g.id < $2 AND g.id >= $3 \
             AND ($4 = '' OR g.grantee_search LIKE $4 ESCAPE '\\' OR i.email_key LIKE $4 ESCAPE '\\' \
                  OR i.name_key LIKE $4 ESCAPE '\\') \
             AND ((g.to_group AND $5) OR (NOT g.to_group AND g.grantee_key NOT LIKE 'account:%' AND $6) \
                  OR (g.grantee_key LIKE 'account:%' AND $10)) \
             AND ($7 = '' OR g.role = $7) \
             AND ($8 = '' OR ',' || g.namespaces || ',' LIKE $8 ESCAPE '\\') \
             ORDER BY g.id DESC LIMIT $9"
        );
        let Some(patterns) = filter.patterns() else { return Ok(GrantPage { rows: Vec::new(), next: None }) };
        let before = before.map_or_else(|| PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let floor = if filter.is_empty() { None } else { self.window_floor(cluster, &before).await? };
        let rows: Vec<GrantRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(&before)
            .bind(floor.as_deref().unwrap_or_default())
            .bind(&patterns.text)
            .bind(patterns.groups)
            .bind(patterns.people)
            .bind(&patterns.role)
            .bind(&patterns.namespace)
            .bind(i64::from(limit) + 1)
            .bind(patterns.accounts)
            .fetch_all(db)
            .await)?;
        let mut rows = rows.into_iter().map(GrantRow::grant).collect::<Result<Vec<_>, _>>()?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        if rows.len() > wanted {
            rows.truncate(wanted);
            let next = rows.last().map(|(grant, _)| grant.id);
            return Ok(GrantPage { rows, next });
        }
        let next = floor.map(|id| parsed(&id, "id of a grant")).transpose()?;
        Ok(GrantPage { rows, next })
    }

    /// The oldest grant that a filtered page looks at, if there are older ones.
    async fn window_floor(&self, cluster: ClusterId, before: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT id FROM grants WHERE cluster_id = $1 AND state <> 'removed' AND id < $2 \
             ORDER BY id DESC LIMIT 1 OFFSET $3";
        let row: Option<(String,)> = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(before)
            .bind(WINDOW - 1)
            .fetch_optional(db)
            .await)?;
        Ok(row.map(|(id,)| id))
    }

    /// How many people and groups hold live grants on each of these clusters, counted up to 1,000 each. People who have not
    /// signed in yet count as people.
    pub async fn count_grantees(
        &self,
        clusters: &[ClusterId],
        now: Timestamp,
    ) -> Result<Vec<(ClusterId, u32, u32)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT c.id, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT p.grantee_key FROM grants p WHERE p.cluster_id = c.id \
              AND p.ended IS NULL AND p.to_group = FALSE AND p.grantee_key NOT LIKE 'account:%' AND (p.expires_at IS NULL OR p.expires_at > $33) \
              ORDER BY p.grantee_key LIMIT 1000) AS people), \
             (SELECT COUNT(*) FROM (SELECT DISTINCT q.grantee_key FROM grants q WHERE q.cluster_id = c.id \
              AND q.ended IS NULL AND q.to_group = TRUE AND (q.expires_at IS NULL OR q.expires_at > $33) \
              ORDER BY q.grantee_key LIMIT 1000) AS groups_of_them) \
             FROM clusters c WHERE c.id IN ",
            id_list!()
        );
        let mut counts = Vec::new();
        for chunk in clusters.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, i64, i64)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).bind(now.millis()).fetch_all(db).await)?;
            for (id, people, groups) in rows {
                let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
                counts.push((parsed(&id, "id of a cluster")?, count(people), count(groups)));
            }
        }
        Ok(counts)
    }

    /// Live grants that reach a person: to them, and to the groups of their provider that they are in; newest first.
    pub async fn grants_reaching(
        &self,
        person: &Identity,
        cluster: Option<ClusterId>,
        now: Timestamp,
    ) -> Result<Vec<Grant>, StoreError> {
        const SQL: &str = select_grants!(
            "WHERE g.grantee_key IN ",
            id_list!(),
            " AND g.ended IS NULL AND (g.expires_at IS NULL OR g.expires_at > $33) AND ($34 = '' OR g.cluster_id = $34)"
        );
        let cluster = cluster.map(|id| id.to_string()).unwrap_or_default();
        let mut grants = Vec::new();
        for chunk in keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<GrantRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk)
                .bind(now.millis())
                .bind(&cluster)
                .fetch_all(db)
                .await)?;
            for row in rows {
                grants.push(row.grant()?.0);
            }
        }
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.id));
        Ok(grants)
    }
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
