//! Rules of a role, as YAML: those of a ClusterRole as `kubectl get -o yaml` shows it, or a bare list of rules.

use super::{
    Mistake,
    fields::{Mistakes, object},
};
use crate::{
    model::{custom_role::check_rule, rbac::PolicyRule},
    yaml::{self, Node, Value},
};

const KNOWN: [&str; 5] = ["apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs"];

/// Reads them.
///
/// # Errors
/// All mistakes, in the text's order.
pub fn read_rules(text: &str) -> Result<Vec<PolicyRule>, Vec<Mistake>> {
    let node = yaml::read(text).map_err(|faults| {
        let mut mistakes = Mistakes::default();
        for fault in faults {
            mistakes.add(fault.at, fault.reason, "write it out plainly");
        }
        mistakes.all()
    })?;
    let mut mistakes = Mistakes::default();
    let rules = rules(&node, &mut mistakes);
    if mistakes.is_empty() { Ok(rules) } else { Err(mistakes.all()) }
}

fn rules(node: &Node, mistakes: &mut Mistakes) -> Vec<PolicyRule> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => of_cluster_role(node, mistakes),
    };
    if items.is_empty() && mistakes.is_empty() {
        mistakes.add(node.at, "there are no rules here", "write at least one under “rules:”");
    }
    items.iter().filter_map(|item| rule(item, mistakes)).collect()
}

fn of_cluster_role<'a>(node: &'a Node, mistakes: &mut Mistakes) -> &'a [Node] {
    let known = ["apiVersion", "kind", "metadata", "rules", "aggregationRule"];
    let Some(fields) = object(node, "ClusterRole", &known, mistakes) else { return &[] };
    if let Some(at) = fields.place("aggregationRule") {
        mistakes.add(at, "a custom role is not made of others", "write its rules out");
    }
    if let Some((kind, at)) = fields.text("kind", mistakes)
        && kind != "ClusterRole"
    {
        mistakes.add(at, "this is no ClusterRole", "write kind: ClusterRole, or the rules alone");
    }
    fields.list("rules", mistakes)
}

/// One rule; what is wrong with it is said.
pub(super) fn rule(node: &Node, mistakes: &mut Mistakes) -> Option<PolicyRule> {
    let fields = object(node, "rule", &KNOWN, mistakes)?;
    let mut list = |name: &'static str| texts(name, fields.list(name, mistakes), mistakes);
    let rule = PolicyRule {
        groups: list("apiGroups"),
        resources: list("resources"),
        names: list("resourceNames"),
        urls: list("nonResourceURLs"),
        verbs: list("verbs"),
    };
    if let Err((list, why)) = check_rule(&rule) {
        let at = fields.node(list).map_or(fields.at, |node| node.at);
        mistakes.add(at, why.trim_end_matches('.').to_owned(), format!("mend “{list}” of this rule"));
        return None;
    }
    Some(rule)
}

fn texts(name: &str, nodes: &[Node], mistakes: &mut Mistakes) -> Vec<String> {
    let mut all = Vec::new();
    for node in nodes {
        match &node.value {
            Value::Text(text) => all.push(text.clone()),
            _ => mistakes.add(
                node.at,
                format!("“{name}” holds plain texts"),
                "write one word here; the core group is \"\"",
            ),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(usize, usize)> {
        read_rules(text).unwrap_err().iter().map(|mistake| (mistake.at.line, mistake.at.column)).collect()
    }

    #[test]
    fn a_cluster_role_and_a_bare_list_are_the_same_rules() {
        let bare = "- apiGroups: [\"\"]\n  resources: [pods, pods/log]\n  verbs: [get]\n- nonResourceURLs: [/metrics]\n  verbs: [get]\n";
        let whole = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: x}}\nrules:\n{bare}"
        );
        let rules = read_rules(bare).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(
            (rules[0].resources.as_slice(), rules[1].urls.len()),
            (&["pods".to_owned(), "pods/log".into()][..], 1)
        );
        assert_eq!(read_rules(&whole).unwrap(), rules);
    }

    #[test]
    fn immune_23_each_mistake_has_its_place_and_nothing_is_made_of_what_has_one() {
        assert_eq!(places("rules:\n- apiGroups: [\"\"]\n  resources: [pods]\n  verb: [get]\n"), [(2, 3), (4, 3)]);
        assert_eq!(places("- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [\"ge t\"]\n"), [(3, 10)]);
        assert_eq!(places("kind: Role\nrules: []\n"), [(1, 7)]);
        assert_eq!(
            places("aggregationRule: {}\nrules:\n- {apiGroups: [\"\"], resources: [pods], verbs: [{}]}\n").len(),
            3
        );
        assert_eq!(places("rules: &a []\n"), [(1, 11)]);
        assert_eq!(places("x"), [(1, 1)]);
        assert_eq!(places(""), [(1, 1)]);
        assert_eq!(places("rules:\n"), [(1, 1)]);
    }
}
