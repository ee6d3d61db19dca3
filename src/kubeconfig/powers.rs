//! Manifests of the powers that Kubelend's credential may hold beyond the least: each a ClusterRole of its own and its binding, so
//! that one can be given and taken back without touching the others.

use serde_json::{Value, json};

use crate::{
    model::{namespace_role::NamespaceRole, power::Power},
    yaml,
};

const RBAC: &str = "rbac.authorization.k8s.io";
/// Who Kubelend is where the shown command made its credential.
pub const OWN_ACCOUNT: &str = "system:serviceaccount:kubelend:kubelend";

/// The manifest that gives a power to whoever Kubelend is to the cluster, as `SelfSubjectReview` says it.
pub fn power_manifest(power: Power, username: &str) -> String {
    let name = format!("kubelend-{}", power.as_str());
    let object = |kind: &str| {
        let metadata = json!({"name": name, "labels": {"app.kubernetes.io/name": "kubelend"}});
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata})
    };
    let mut role = object("ClusterRole");
    role["rules"] = rules(power);
    let mut binding = object("ClusterRoleBinding");
    binding["roleRef"] = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": name});
    binding["subjects"] = json!([subject(username)]);
    [role, binding].iter().map(yaml::write).collect::<Vec<_>>().join("---\n")
}

fn rules(power: Power) -> Value {
    match power {
        // Neither changing nor deleting one: what is in it would go along.
        Power::Namespaces => json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}]),
        // Secrets are made for tokens to be bound to, and deleted to end them: none is read.
        Power::ServiceAccounts => json!([
            {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "create", "delete"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
        ]),
        // Those that are of no name are for Roles without rules: only under these three names may they get some.
        Power::NamespaceRoles => json!([
            {"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["create", "watch"]},
            {
                "apiGroups": [RBAC],
                "resources": ["roles"],
                "resourceNames": NamespaceRole::ALL.map(NamespaceRole::as_str),
                "verbs": ["patch", "escalate", "bind"],
            },
        ]),
        // RBAC has no “names that begin with”, and names of roles that are still to be written are known to nobody.
        Power::CustomRoles => json!([{
            "apiGroups": [RBAC],
            "resources": ["clusterroles"],
            "verbs": ["create", "watch", "patch", "delete", "escalate", "bind"],
        }]),
        Power::ClusterAdmin => json!([{
            "apiGroups": [RBAC], "resources": ["clusterroles"], "resourceNames": ["cluster-admin"], "verbs": ["bind"],
        }]),
    }
}

fn subject(username: &str) -> Value {
    let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
        None => json!({"apiGroup": RBAC, "kind": "User", "name": username}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_in_deploy_are_those_that_are_printed() {
        for (power, text) in [
            (Power::Namespaces, include_str!("../../deploy/rbac/power-namespaces.yaml")),
            (Power::ServiceAccounts, include_str!("../../deploy/rbac/power-service-accounts.yaml")),
            (Power::NamespaceRoles, include_str!("../../deploy/rbac/power-namespace-roles.yaml")),
            (Power::CustomRoles, include_str!("../../deploy/rbac/power-custom-roles.yaml")),
            (Power::ClusterAdmin, include_str!("../../deploy/rbac/power-cluster-admin.yaml")),
        ] {
            assert_eq!(power_manifest(power, OWN_ACCOUNT), text);
        }
    }

    #[test]
    fn immune_17_whoever_kubelend_is_there_stays_a_name_in_the_manifest() {
        for power in Power::ALL {
            for hostile in ["a\nEOF\nrm -rf /\n", "a: b", "- x", "'\"", "system:serviceaccount:a\nEOF\n:b"] {
                let manifest = power_manifest(power, hostile);
                assert!(manifest.split("---\n").all(|document| yaml::read(document).is_ok()), "{manifest}");
                assert!(manifest.lines().all(|line| line != "EOF"), "{manifest}");
            }
        }
        assert!(power_manifest(Power::ClusterAdmin, "alice@example.com").contains("kind: User"));
    }

    #[test]
    fn immune_28_no_power_is_part_of_the_least() {
        let least = crate::kubeconfig::least_power_manifest(&crate::model::role::Role::NAMES);
        for more in ["cluster-admin", "escalate", "impersonate", "serviceaccounts", "secrets"] {
            assert!(!least.contains(more), "{more}");
        }
        // What it may raise are the three names, and what it may make without a name holds nothing.
        let roles = power_manifest(Power::NamespaceRoles, OWN_ACCOUNT);
        let (nameless, named) =
            roles.split_once("- apiGroups:").and_then(|(_, r)| r.split_once("- apiGroups:")).unwrap();
        assert!(
            !nameless.contains("escalate") && !nameless.contains("bind") && !nameless.contains("patch"),
            "{nameless}"
        );
        assert!(
            named.contains("resourceNames") && !roles.contains('*') && !roles.contains("clusterroles\n"),
            "{roles}"
        );
        let accounts = power_manifest(Power::ServiceAccounts, OWN_ACCOUNT);
        for more in ["'*'", "\"*\"", "- '*'", "escalate", "impersonate", "- bind", "- update", "- patch", "- watch"] {
            assert!(!accounts.contains(more), "{more}");
        }
    }
}
