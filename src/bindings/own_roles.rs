//! Roles that Kubelend makes itself where a grant needs them: what should stand, and whether something is one of ours.

use std::collections::BTreeMap;

use super::wanted::{ABOUT_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, MARK_LABEL, OWNER_LABEL};
use crate::{
    crypto,
    k8s::{FoundOwnRole, RoleObject},
    model::{made_role::MadeRole, namespace_role::NamespaceRole, rbac::PolicyRule, role::ASSIGNABLE_LABELS},
};

/// One of the roles of a namespace, there.
pub fn namespace_role(role: NamespaceRole, namespace: &str, instance: &str) -> RoleObject {
    let (label, value) = ASSIGNABLE_LABELS[0];
    let labels = [(MANAGED_BY_LABEL, MANAGED_BY), (OWNER_LABEL, instance), (label, value)];
    let about = "Kubelend has made this Role to give it to people. What is changed or deleted here, Kubelend puts back as long as \
                 somebody holds it; afterwards it stays, and may be deleted.";
    RoleObject {
        namespace: Some(namespace.to_owned()),
        name: role.as_str().to_owned(),
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        annotations: BTreeMap::from([(ABOUT_ANNOTATION.to_owned(), about.to_owned())]),
        rules: role.rules(),
    }
}

/// A custom role on a cluster; `role` is the name of its ClusterRole, `name` what people call it.
pub fn custom_role(role: &str, name: &str, rules: &[PolicyRule], instance: &str) -> RoleObject {
    let labels = [(MANAGED_BY_LABEL, MANAGED_BY), (OWNER_LABEL, instance)];
    let about = format!(
        "The custom role {name} of Kubelend. It is written there: what is changed or deleted here, Kubelend puts back, and it goes by itself \
         when nobody holds it."
    );
    RoleObject {
        namespace: None,
        name: role.to_owned(),
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        annotations: BTreeMap::from([(ABOUT_ANNOTATION.to_owned(), about)]),
        rules: rules.to_vec(),
    }
}

/// The same with its mark, as it is made.
pub fn marked_role(wanted: &RoleObject, mark: &str) -> RoleObject {
    let mut marked = wanted.clone();
    marked.labels.insert(MARK_LABEL.to_owned(), mark.to_owned());
    marked
}

/// What a wanted one will look like.
pub fn role_looks(wanted: &RoleObject) -> String {
    digest(&wanted.rules, false, &wanted.labels)
}

/// What one that stands looks like: labels that are none of ours do not count.
pub fn role_looks_of(found: &FoundOwnRole) -> String {
    digest(&found.role.rules, found.role.cut || found.role.aggregated, &found.labels)
}

/// Whether one that stands is ours.
pub fn is_our_role(found: &FoundOwnRole, memory: Option<&MadeRole>) -> bool {
    memory.is_some_and(|memory| memory.is(&found.uid, found.labels.get(MARK_LABEL).map(String::as_str)))
}

fn digest(rules: &[PolicyRule], else_than_written: bool, labels: &BTreeMap<String, String>) -> String {
    let keys = [MANAGED_BY_LABEL, OWNER_LABEL, ASSIGNABLE_LABELS[0].0, ASSIGNABLE_LABELS[1].0];
    let labels = keys.map(|key| labels.get(key));
    crypto::digest(&format!("{:?}", (rules, else_than_written, labels)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::StandingRole;

    fn standing(wanted: &RoleObject) -> FoundOwnRole {
        let role = StandingRole {
            namespace: wanted.namespace.clone(),
            name: wanted.name.clone(),
            assignable: true,
            aggregated: false,
            rules: wanted.rules.clone(),
            cut: false,
        };
        FoundOwnRole { role, uid: "u".into(), labels: wanted.labels.clone() }
    }

    #[test]
    fn what_stands_as_written_looks_so_and_every_change_of_rules_or_of_our_labels_shows() {
        let wanted = namespace_role(NamespaceRole::Editor, "shop", "k1");
        let mut found = standing(&wanted);
        found.labels.insert("team".into(), "x".into());
        assert_eq!(role_looks_of(&found), role_looks(&wanted));
        for change in [
            |found: &mut FoundOwnRole| found.role.rules[0].verbs.push("delete".into()),
            |found: &mut FoundOwnRole| found.role.rules.truncate(1),
            |found: &mut FoundOwnRole| found.role.cut = true,
            |found: &mut FoundOwnRole| drop(found.labels.remove(OWNER_LABEL)),
            |found: &mut FoundOwnRole| drop(found.labels.remove("component")),
        ] {
            let mut other = standing(&wanted);
            change(&mut other);
            assert_ne!(role_looks_of(&other), role_looks(&wanted));
        }
    }

    #[test]
    fn immune_28_a_role_of_the_name_that_somebody_else_made_is_none_of_ours() {
        let wanted = namespace_role(NamespaceRole::Admin, "shop", "k1");
        let memory = MadeRole {
            namespace: Some("shop".into()),
            name: wanted.name.clone(),
            mark: "m".into(),
            uid: None,
            looks: None,
            leaving: None,
        };
        let forged = standing(&wanted);
        assert!(!is_our_role(&forged, None) && !is_our_role(&forged, Some(&memory)), "equal in every word");
        assert!(is_our_role(&standing(&marked_role(&wanted, "m")), Some(&memory)));
        let kept = MadeRole { uid: Some("v".into()), ..memory };
        assert!(!is_our_role(&standing(&marked_role(&wanted, "m")), Some(&kept)));
    }
}
