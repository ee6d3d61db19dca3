//! On whose word a role that others define was given.
//!
//! Such a role is what its rules are at the moment, and whoever may change it on its cluster can change them after it was given. So a
//! grant remembers what they were, and which owner gave it where they reached further than `admin` does: what has grown since is
//! noticed, and nobody has to answer for what they did not see.

use std::collections::BTreeMap;

use super::{id::IdentityId, rbac::PolicyRule, reach};

/// The longest text that the rules of a role may be.
pub const LONGEST: usize = 64 * 1024;

/// What a role that others define let do when it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouch {
    /// Its rules as they stood, by the namespace of a Role; a ClusterRole's under the empty one.
    pub rules: BTreeMap<String, Vec<PolicyRule>>,
    /// The owner who gave it, where they reached further than `admin`; none where whoever manages access could.
    pub owner: Option<IdentityId>,
}

impl Vouch {
    /// What a role lets do by now that it did not then, in words. `namespace` is a Role's own.
    pub fn grown(&self, namespace: Option<&str>, live: &[PolicyRule], whole_cluster: bool) -> Vec<String> {
        let then = self.rules.get(namespace.unwrap_or_default()).map_or(&[][..], Vec::as_slice);
        reach::further(live, then, whole_cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reach::tests::rule;

    #[test]
    fn immune_28_what_a_role_has_grown_by_since_it_was_given_is_named_by_place() {
        let (pods, secrets) = (rule(&["get"], &[""], &["pods"]), rule(&["get"], &[""], &["secrets"]));
        let of = |namespace: &str, rules: Vec<PolicyRule>| (namespace.to_owned(), rules);
        let both = BTreeMap::from([of("a", vec![pods.clone(), secrets.clone()]), of("b", vec![pods.clone()])]);
        let given = Vouch { rules: both, owner: None };
        let live = [pods, secrets];
        assert!(given.grown(Some("a"), &live, false).is_empty());
        assert_eq!(given.grown(Some("b"), &live, false), ["get secrets"]);
        assert_eq!(given.grown(Some("b"), &live[..1], false), Vec::<String>::new(), "less is no growth");
        assert_eq!(given.grown(None, &live[..1], true), ["get pods"], "of a place that was not given all is new");
    }
}
