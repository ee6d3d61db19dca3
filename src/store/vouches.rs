//! What roles that others define let do when they were given: kept beside the grant or link, and read where they are compared.

use std::collections::{BTreeMap, HashMap};

use super::{
    Store, StoreError,
    db::{CHUNK, parsed},
};
use crate::model::{id::GrantId, rbac::PolicyRule, vouch::Vouch};

/// As stored: the rules, and the owner.
pub(super) type Columns = (Option<String>, Option<String>);

pub(super) fn columns(vouch: Option<&Vouch>) -> Columns {
    let Some(vouch) = vouch else { return (None, None) };
    let rules =
        serde_json::to_string(&vouch.rules).unwrap_or_else(|_| unreachable!("lists of texts always have a JSON form"));
    (Some(rules), vouch.owner.map(|id| id.to_string()))
}

pub(super) fn read((rules, owner): Columns) -> Result<Option<Vouch>, StoreError> {
    let Some(rules) = rules else { return Ok(None) };
    let rules: BTreeMap<String, Vec<PolicyRule>> =
        serde_json::from_str(&rules).map_err(|_| StoreError::Corrupt("rules of a role"))?;
    let owner = owner.as_deref().map(|id| parsed(id, "whoever vouched for a role")).transpose()?;
    Ok(Some(Vouch { rules, owner }))
}

impl Store {
    /// What the roles of these grants let do when they were given; those of which nothing is kept are left out.
    pub async fn vouches(&self, grants: &[GrantId]) -> Result<HashMap<GrantId, Vouch>, StoreError> {
        const SQL: &str = concat!(
            "SELECT id, role_rules, vouched_by FROM grants WHERE role_rules IS NOT NULL AND id IN ",
            id_list!()
        );
        let mut all = HashMap::new();
        for chunk in grants.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, Option<String>, Option<String>)> =
                read!(self, |db| bind_ids!(sqlx::query_as(SQL), ids).fetch_all(db).await)?;
            for (id, rules, owner) in rows {
                if let Some(vouch) = read((rules, owner))? {
                    all.insert(parsed(&id, "id of a grant")?, vouch);
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::IdentityId;

    #[test]
    fn immune_28_what_a_role_let_do_comes_back_as_it_was_and_nothing_is_made_of_what_cannot_be_read() {
        let rule = PolicyRule { verbs: vec!["get".into()], groups: vec![String::new()], ..PolicyRule::default() };
        for owner in [None, Some(IdentityId::new())] {
            let vouch = Vouch { rules: BTreeMap::from([(String::new(), vec![rule.clone()])]), owner };
            assert_eq!(read(columns(Some(&vouch))).unwrap(), Some(vouch));
        }
        assert_eq!(read(columns(None)).unwrap(), None);
        assert!(read((Some("[".into()), None)).is_err() && read((Some("{}".into()), Some("x".into()))).is_err());
    }
}
