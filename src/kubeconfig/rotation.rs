//! The manifest that lets Kubelend rotate its own token: rights on its own ServiceAccount and in its own namespace, and nowhere else.

use serde_json::{Value, json};

use crate::{model::service_account::AccountName, yaml};

const RBAC: &str = "rbac.authorization.k8s.io";
/// What the Role and its binding are called.
const NAME: &str = "kubelend-rotation";

/// For whichever ServiceAccount Kubelend is there.
///
/// RBAC cannot name what is yet to be made, so Secrets are limited to the namespace; none is read. It amounts to no more than Kubelend has,
/// as long as no other ServiceAccount lives in that namespace.
pub fn rotation_manifest(account: &AccountName) -> String {
    let object = |kind: &str| {
        let labels = json!({"app.kubernetes.io/name": "kubelend"});
        let metadata = json!({"name": NAME, "namespace": account.namespace().as_str(), "labels": labels});
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata})
    };
    let mut role = object("Role");
    role["rules"] = rules(account);
    let mut binding = object("RoleBinding");
    binding["roleRef"] = json!({"apiGroup": RBAC, "kind": "Role", "name": NAME});
    let subject = json!({"kind": "ServiceAccount", "namespace": account.namespace().as_str(), "name": account.name()});
    binding["subjects"] = json!([subject]);
    [role, binding].iter().map(yaml::write).collect::<Vec<_>>().join("---\n")
}

fn rules(account: &AccountName) -> Value {
    json!([
        {
            "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [account.name()],
            "verbs": ["create"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_in_deploy_is_the_one_that_is_printed() {
        let own = "kubelend/kubelend".parse().unwrap();
        assert_eq!(rotation_manifest(&own), include_str!("../../deploy/rbac/rotation.yaml"));
    }

    #[test]
    fn immune_28_it_gives_rights_in_one_namespace_on_one_account_and_reads_nothing() {
        let manifest = rotation_manifest(&"infra/lender".parse().unwrap());
        assert_eq!(manifest.matches("namespace: infra").count(), 3, "{manifest}");
        for more in ["ClusterRole", "- get", "- list", "- update", "- patch", "'*'", "\"*\"", "escalate", "- bind"] {
            assert!(!manifest.contains(more), "{more}: {manifest}");
        }
        assert!(manifest.contains("resourceNames:\n") && manifest.contains("- lender\n"), "{manifest}");
    }
}
