//! “Role”, as forms ask for it: those that every cluster has, and the ClusterRoles that this one marks as ones to give; and what a
//! role's real rules amount to, in words.

use std::collections::BTreeSet;

use crate::{
    access::Observer,
    k8s::Rule,
    model::role::Role,
    policy::{Authorized, ManageAccess, ManageReach},
    web::forms::Choice,
};

/// What stands before the name of a ClusterRole that is none of the three, in what a form sends.
const NAMED: &str = "role:";
/// How many of them a form offers.
const OFFERED: usize = 30;
/// So many kinds of things are named in a sentence.
const NAMED_KINDS: usize = 6;

/// A role that is offered besides view, edit and admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRole {
    /// The role.
    pub role: Role,
    /// What it amounts to, as the end of a sentence that begins with “They can”.
    pub words: String,
}

/// Those of a cluster that they may give; without its own where it does not answer.
pub async fn offered(observer: &Observer, permit: &Authorized<ManageAccess>) -> Vec<OfferedRole> {
    let all = observer.assignable_roles(permit).await.unwrap_or_default();
    let own = all.into_iter().take(OFFERED).map(|(role, rules)| OfferedRole { role, words: in_words(&rules) });
    permit.as_owner().then(cluster_admin).into_iter().chain(own).collect()
}

/// Those that they may give on everything in reach.
pub fn offered_widely(permit: &Authorized<ManageReach>) -> Vec<OfferedRole> {
    let whole = !matches!(permit.reach(), crate::policy::Reach::Project(..));
    (permit.as_owner() && whole).then(cluster_admin).into_iter().collect()
}

fn cluster_admin() -> OfferedRole {
    OfferedRole { words: Role::ClusterAdmin.amounts_to(true).into(), role: Role::ClusterAdmin }
}

/// The choices of “Role”. One that was chosen and is not offered (any more) stays a choice, so that a form does not change what
/// it was not asked to.
pub fn choices(offered: &[OfferedRole], chosen: &str) -> Vec<Choice> {
    let mut all: Vec<Choice> = Role::NAMES.into_iter().map(|name| Choice::new(name, name, chosen)).collect();
    for OfferedRole { role, .. } in offered {
        all.push(Choice::new(value(Some(role)), role.to_string(), chosen));
    }
    match read(chosen) {
        Ok(role) if all.iter().all(|c| !c.selected) => {
            all.push(Choice::new(chosen.to_owned(), role.to_string(), chosen));
        }
        _ => {}
    }
    all
}

/// What the form sends for a role.
pub fn value(role: Option<&Role>) -> String {
    match role {
        None => "none".into(),
        Some(Role::Named(name)) => format!("{NAMED}{}", name.as_str()),
        Some(role) => role.to_string(),
    }
}

/// Reads what the form sends.
///
/// # Errors
/// What is wrong, in words.
pub fn read(value: &str) -> Result<Role, String> {
    match value.strip_prefix(NAMED) {
        Some(name) => Role::named(name).map_err(|e| e.to_string()),
        None => value.parse().map_err(|_| "Choose one of the roles that are offered.".to_owned()),
    }
}

/// What rules amount to: what is to be feared first. As the end of a sentence that begins with “can”.
pub fn in_words(rules: &[Rule]) -> String {
    let has = |list: &[String], wanted: &[&str]| list.iter().any(|x| x == "*" || wanted.contains(&x.as_str()));
    let may = |verbs: &[&str], resources: &[&str]| {
        rules
            .iter()
            .any(|r| has(&r.verbs, verbs) && (has(&r.resources, resources) || r.resources.iter().any(|x| x == "*.*")))
    };
    if rules.iter().any(|r| r.verbs.iter().any(|v| v == "*") && r.resources.iter().any(|x| x == "*" || x == "*.*")) {
        return "do everything there: that amounts to owning it.".into();
    }
    let mut parts = Vec::new();
    let bindings = ["rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"];
    let bindable = ["roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io"];
    if may(&["create", "update", "patch"], &bindings) || may(&["bind", "escalate"], &bindable) {
        parts.push("give rights to others".to_owned());
    }
    if may(&["impersonate"], &["users", "groups", "serviceaccounts"]) || may(&["create"], &["serviceaccounts/token"]) {
        parts.push("act as somebody else".to_owned());
    }
    if may(&["get", "list", "watch"], &["secrets"]) {
        parts.push("read Secrets".to_owned());
    }
    if may(&["create", "get"], &["pods/exec", "pods/attach"]) {
        parts.push("run commands in pods".to_owned());
    }
    let changing = ["create", "update", "patch", "delete", "deletecollection"];
    parts.extend(kinds(rules, &changing).map(|kinds| format!("change {kinds}")));
    parts.extend(kinds(rules, &["get", "list", "watch"]).map(|kinds| format!("see {kinds}")));
    match parts.as_slice() {
        [] => "do nothing yet: it has no rules.".into(),
        [one] => format!("{one}."),
        [most @ .., last] => format!("{} and {last}.", most.join(", ")),
    }
}

/// The kinds of things that rules with one of these verbs are about; subresources are left to the full list.
fn kinds(rules: &[Rule], verbs: &[&str]) -> Option<String> {
    let about = rules.iter().filter(|r| r.verbs.iter().any(|v| v == "*" || verbs.contains(&v.as_str())));
    let names: BTreeSet<&str> = about
        .flat_map(|r| r.resources.iter())
        .filter(|name| !name.contains('/'))
        .map(|name| if name == "*" || name == "*.*" { "everything" } else { name.split('.').next().unwrap_or(name) })
        .collect();
    if names.contains("everything") {
        return Some("everything".into());
    }
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => None,
        many if many.len() > NAMED_KINDS => {
            let more = many.len() - NAMED_KINDS;
            Some(format!("{} and {more} more kinds of things", many[..NAMED_KINDS].join(", ")))
        }
        few => Some(few.join(", ")),
    }
}

#[cfg(test)]
pub(in crate::web) mod tests {
    use super::*;

    fn rule(verbs: &[&str], resources: &[&str]) -> Rule {
        let all = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Rule { verbs: all(verbs), resources: all(resources), names: vec![] }
    }

    pub(in crate::web) fn offered() -> Vec<OfferedRole> {
        let named = |name: &str, words: &str| OfferedRole { role: Role::named(name).unwrap(), words: words.into() };
        vec![named("log-reader", "see pods."), named("acme:platform-engineering-on-call", "read Secrets and see <b>.")]
    }

    #[test]
    fn what_is_to_be_feared_is_said_first() {
        for (rules, words) in [
            (vec![rule(&["get", "list"], &["pods", "pods/log", "deployments.apps"])], "see deployments, pods."),
            (
                vec![rule(&["get"], &["secrets"]), rule(&["delete"], &["pods"])],
                "read Secrets, change pods and see secrets.",
            ),
            (vec![rule(&["*"], &["*", "*.*"])], "do everything there: that amounts to owning it."),
            (vec![rule(&["list"], &["*"])], "read Secrets and see everything."),
            (vec![rule(&["create"], &["serviceaccounts/token"])], "act as somebody else."),
            (vec![rule(&["bind"], &["clusterroles.rbac.authorization.k8s.io"])], "give rights to others."),
            (vec![rule(&["create"], &["pods/exec"])], "run commands in pods."),
            (vec![], "do nothing yet: it has no rules."),
        ] {
            assert_eq!(in_words(&rules), words);
        }
    }

    #[test]
    fn a_role_comes_back_from_the_form_and_others_do_not_come_in() {
        assert_eq!(read("role:cluster-admin"), Ok(Role::ClusterAdmin), "by whatever door");
        for role in [Role::View, Role::Admin, Role::ClusterAdmin, Role::named("acme:dev").unwrap()] {
            assert_eq!(read(&value(Some(&role))), Ok(role));
        }
        for bad in ["", "Cluster-Admin", " cluster-admin", "role:", "role:system:node", "role:a/b", "none"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let chosen = choices(&offered(), "role:gone");
        assert_eq!(chosen.iter().filter(|c| c.selected).map(|c| c.label.as_ref()).collect::<Vec<_>>(), ["gone"]);
        assert_eq!(choices(&offered(), "view").len(), 5);
    }
}
