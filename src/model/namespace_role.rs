//! The roles of a namespace that Kubelend makes by itself where they are given: namespace-viewer, namespace-editor and
//! namespace-admin, as Roles.
//!
//! Their rules are written out here, without a “*”, so that they mean the same on every cluster and nothing that a label adds to
//! `view`, `edit` or `admin` there is part of them. All of them are within `admin` as Kubernetes has it.

use super::{rbac::PolicyRule, role::Role};

/// One of them, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamespaceRole {
    /// See what runs in the namespace, and no Secret.
    Viewer,
    /// Change what runs there, its Secrets among it.
    Editor,
    /// All of that, and give it to others.
    Admin,
}

type Group = (&'static str, &'static [&'static str]);

/// What is seen.
const SEEN: [Group; 7] = [
    (
        "",
        &[
            "bindings",
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "pods/log",
            "pods/status",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ],
    ),
    ("apps", &["controllerrevisions", "daemonsets", "deployments", "deployments/scale", "replicasets", "statefulsets"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
];

/// What is changed.
const CHANGED: [Group; 6] = [
    (
        "",
        &[
            "configmaps",
            "persistentvolumeclaims",
            "pods",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
        ],
    ),
    ("apps", &["daemonsets", "deployments", "deployments/scale", "replicasets", "statefulsets", "statefulsets/scale"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
];

const SEE: [&str; 3] = ["get", "list", "watch"];
const CHANGE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

impl NamespaceRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    /// What the Role is called, in each namespace.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "namespace-viewer",
            Self::Editor => "namespace-editor",
            Self::Admin => "namespace-admin",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// As a role to give.
    pub fn role(self) -> Role {
        Role::local(self.as_str()).unwrap_or_else(|_| unreachable!("these are names of Roles"))
    }

    /// What it lets do.
    pub fn rules(self) -> Vec<PolicyRule> {
        let mut rules: Vec<PolicyRule> = SEEN.iter().map(|(group, things)| rule(group, things, &SEE)).collect();
        if self >= Self::Editor {
            rules.extend(CHANGED.iter().map(|(group, things)| rule(group, things, &CHANGE)));
            rules.push(rule("", &["secrets"], &SEE));
            rules.push(rule("", &["pods/attach", "pods/exec", "pods/portforward"], &["get", "create"]));
            rules.push(rule("", &["pods/eviction"], &["create"]));
        }
        if self == Self::Admin {
            let verbs: Vec<&str> = SEE.into_iter().chain(CHANGE).collect();
            rules.push(rule("rbac.authorization.k8s.io", &["rolebindings", "roles"], &verbs));
        }
        rules
    }

    /// What holding it amounts to, as the end of a sentence that begins with “They can”.
    pub fn amounts_to(self) -> &'static str {
        match self {
            Self::Viewer => {
                "see what runs in these namespaces and its logs, and no Secret. They cannot change anything."
            }
            Self::Editor => {
                "change what runs in these namespaces, read and write their Secrets, run commands in their pods, and so act as \
                 their ServiceAccounts."
            }
            Self::Admin => {
                "do all that namespace-editor can in these namespaces, and give these rights there to others."
            }
        }
    }
}

fn rule(group: &str, things: &[&str], verbs: &[&str]) -> PolicyRule {
    let all = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    PolicyRule { groups: vec![group.to_owned()], resources: all(things), verbs: all(verbs), ..PolicyRule::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        rbac::{Deed, Extent, extent},
        reach::{dangers, further},
    };

    #[test]
    fn immune_28_each_is_within_the_next_and_none_has_what_leads_to_more_than_its_namespace() {
        let [viewer, editor, admin] = NamespaceRole::ALL.map(NamespaceRole::rules);
        assert!(further(&viewer, &editor, false).is_empty() && further(&editor, &admin, false).is_empty());
        assert!(!further(&admin, &editor, false).is_empty());
        for rule in admin.iter().flat_map(|rule| rule.verbs.iter().chain(&rule.groups).chain(&rule.resources)) {
            assert!(!rule.contains('*') && !["escalate", "bind", "impersonate"].contains(&rule.as_str()), "{rule}");
        }
        assert_eq!(extent(&viewer, &Deed::new("get", "secrets")), None);
        assert_eq!(extent(&editor, &Deed::new("get", "secrets")), Some(Extent::All));
        assert!(dangers(&viewer).is_empty());
        assert!(dangers(&editor).iter().any(|danger| danger.what == "run commands in pods"));
    }

    #[test]
    fn they_are_known_by_their_names_as_roles_of_a_namespace_alone() {
        for role in NamespaceRole::ALL {
            assert_eq!(NamespaceRole::named(role.as_str()), Some(role));
            assert_eq!(role.role().of_namespace(), Some(role));
            assert_eq!(
                Role::named(role.as_str()).unwrap().of_namespace(),
                None,
                "a ClusterRole of that name is another"
            );
            assert!(role.role().fits(true).is_err() && role.role().fits(false).is_ok());
        }
        assert_eq!(NamespaceRole::named("Namespace-Admin"), None);
    }
}
