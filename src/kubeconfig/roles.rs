//! Roles as YAML: what `kubectl get -o yaml` shows of one, less what says nothing about what it allows.

use serde_json::{Value, json};

use crate::{model::rbac::PolicyRule, yaml};

/// A ClusterRole, or the Role of a namespace, with these rules.
pub fn role_manifest(namespace: Option<&str>, name: &str, rules: &[PolicyRule]) -> String {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let rules: Vec<Value> = rules.iter().map(|rule| json!(rule)).collect();
    yaml::write(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": rules,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Node, Value as Yaml};

    fn field<'a>(node: &'a Node, name: &str) -> &'a Node {
        let Yaml::Map(fields) = &node.value else { panic!("no mapping with {name}") };
        &fields.iter().find(|field| field.key == name).unwrap_or_else(|| panic!("no {name}")).value
    }

    fn first(node: &Node) -> &Node {
        let Yaml::List(all) = &node.value else { panic!("no list") };
        &all[0]
    }

    fn text(node: &Node) -> &str {
        let Yaml::Text(text) = &node.value else { panic!("no text") };
        text
    }

    #[test]
    fn immune_17_whatever_a_rule_names_stays_a_name() {
        for hostile in ["a\n- b", "*", "'\"", "a: b", "#x", "~", "<script>", "null", "012"] {
            let rule = PolicyRule {
                verbs: vec![hostile.into()],
                groups: vec!["apps".into()],
                resources: vec![hostile.into()],
                ..PolicyRule::default()
            };
            let manifest = role_manifest(Some("shop"), "log-reader", &[rule]);
            let Ok(read) = yaml::read(&manifest) else { panic!("{manifest}") };
            let rule = first(field(&read, "rules"));
            for list in ["verbs", "resources"] {
                assert_eq!(text(first(field(rule, list))), hostile, "{manifest}");
            }
            assert_eq!(text(first(field(rule, "apiGroups"))), "apps");
            assert_eq!(text(field(field(&read, "metadata"), "namespace")), "shop");
        }
        assert!(role_manifest(None, "x", &[]).contains("kind: ClusterRole"));
    }
}
