//! “Role”, as forms ask for it: those that every cluster has, and the ClusterRoles and Roles that this one marks as ones to give; and
//! what a role's real rules amount to, in words.

use std::collections::BTreeSet;

use crate::{
    access::{Assignable, Observer},
    k8s::{RoleRules, Rule, StandingRole},
    model::{custom_role::CustomRole, namespace_role::NamespaceRole, role::Role},
    policy::{Authorized, ManageAccess, ManageReach, Reach},
    web::{forms::Choice, labels::within},
};

/// What stands before the name of a ClusterRole that is none of the three, in what a form sends.
const NAMED: &str = "role:";
/// The same for a Role, which is a namespace's own.
const LOCAL: &str = "local:";
/// So many namespaces are named beside a Role.
const NAMED_PLACES: usize = 3;
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
    /// The namespaces that have it, where it is a Role.
    pub places: Vec<String>,
}

impl OfferedRole {
    /// As a choice: a Role with the namespaces that have it.
    fn label(&self) -> String {
        match self.places.as_slice() {
            [] => self.role.to_string(),
            few if few.len() <= NAMED_PLACES => format!("{} in {}", self.role, few.join(", ")),
            many => {
                format!("{} in {} and {} more", self.role, many[..NAMED_PLACES].join(", "), many.len() - NAMED_PLACES)
            }
        }
    }
}

/// Those of a cluster that they may give; without its own where it does not answer.
pub async fn offered(observer: &Observer, permit: &Authorized<ManageAccess>) -> (Vec<OfferedRole>, Option<Assignable>) {
    let all = observer.assignable_roles(permit).await.ok();
    let own = all.iter().flat_map(|all| of_cluster(all, permit.as_owner()));
    let custom = all.iter().flat_map(|all| of_kubelend(all, permit.as_owner()));
    (permit.as_owner().then(cluster_admin).into_iter().chain(of_namespaces()).chain(custom).chain(own).collect(), all)
}

/// Custom roles; what reaches further than `admin` wherever it is given is for owners.
fn of_kubelend(all: &Assignable, owner: bool) -> impl Iterator<Item = OfferedRole> {
    let given = move |(_, found): &&(Role, StandingRole)| owner || all.beyond(found, false).is_empty();
    all.custom.iter().filter(given).take(OFFERED).map(|(role, found)| OfferedRole {
        role: role.clone(),
        words: in_words(&found.shown().rules),
        places: Vec::new(),
    })
}

/// Those that Kubelend makes where they are given.
fn of_namespaces() -> impl Iterator<Item = OfferedRole> {
    let offer =
        |made: NamespaceRole| OfferedRole { role: made.role(), words: made.amounts_to().into(), places: Vec::new() };
    NamespaceRole::ALL.into_iter().map(offer)
}

/// Those that somebody has defined there; what reaches further than `admin` wherever it is given is for owners. Roles of one name
/// are offered together.
fn of_cluster(all: &Assignable, owner: bool) -> Vec<OfferedRole> {
    let mut offered: Vec<OfferedRole> = Vec::new();
    let given =
        |(role, found): &&(Role, _)| role.of_namespace().is_none() && (owner || all.beyond(found, false).is_empty());
    for (role, found) in all.roles.iter().filter(given) {
        match offered.iter_mut().find(|o| o.role == *role) {
            Some(same) => same.places.extend(found.namespace.clone()),
            None => offered.push(OfferedRole {
                role: role.clone(),
                words: in_words(&found.shown().rules),
                places: found.namespace.iter().cloned().collect(),
            }),
        }
    }
    offered.truncate(OFFERED);
    offered
}

/// Those that they may give on everything in reach.
pub fn offered_widely(permit: &Authorized<ManageReach>, custom: &[CustomRole]) -> Vec<OfferedRole> {
    let custom = custom.iter().filter(|_| permit.as_owner()).map(|role| OfferedRole {
        role: role.role.clone(),
        words: in_words(&role.rules.iter().map(Rule::from).collect::<Vec<_>>()),
        places: Vec::new(),
    });
    let known: Vec<OfferedRole> = match permit.reach() {
        Reach::Project(..) => of_namespaces().collect(),
        Reach::Cluster(..) => Vec::new(),
        Reach::Global | Reach::Workspace(_) => permit.as_owner().then(cluster_admin).into_iter().collect(),
    };
    known.into_iter().chain(custom).collect()
}

fn cluster_admin() -> OfferedRole {
    OfferedRole { words: Role::ClusterAdmin.amounts_to(true).into(), role: Role::ClusterAdmin, places: Vec::new() }
}

/// The choices of “Role”. One that was chosen and is not offered (any more) stays a choice, so that a form does not change what
/// it was not asked to.
pub fn choices(offered: &[OfferedRole], chosen: &str) -> Vec<Choice> {
    let mut all: Vec<Choice> = Role::NAMES.into_iter().map(|name| Choice::new(name, name, chosen)).collect();
    all.extend(offered.iter().map(|offer| Choice::new(value(Some(&offer.role)), offer.label(), chosen)));
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
        Some(Role::Local(name)) => format!("{LOCAL}{}", name.as_str()),
        Some(role) => role.to_string(),
    }
}

/// Reads what the form sends.
///
/// # Errors
/// What is wrong, in words.
pub fn read(value: &str) -> Result<Role, String> {
    match (value.strip_prefix(NAMED), value.strip_prefix(LOCAL)) {
        (Some(name), _) => Role::named(name).map_err(|e| e.to_string()),
        (_, Some(name)) => Role::local(name).map_err(|e| e.to_string()),
        (None, None) => value.parse().map_err(|_| "Choose one of the roles that are offered.".to_owned()),
    }
}

/// As many rules as a page has room for, in bytes.
pub fn fitting(all: RoleRules, room: usize) -> RoleRules {
    let size = |rule: &Rule| [&rule.verbs, &rule.resources, &rule.names].into_iter().flatten().map(String::len).sum();
    let (rules, unfit) = within(all.rules, room, size);
    RoleRules { rules, more: all.more + unfit }
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
    use crate::{k8s::StandingRole, model::rbac::PolicyRule};

    fn rule(verbs: &[&str], resources: &[&str]) -> Rule {
        let all = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Rule { verbs: all(verbs), resources: all(resources), names: vec![] }
    }

    pub(in crate::web) fn offered() -> Vec<OfferedRole> {
        let named = |name: &str, words: &str| OfferedRole {
            role: Role::named(name).unwrap(),
            words: words.into(),
            places: vec![],
        };
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
        let local = Role::local("acme:dev").unwrap();
        for role in [Role::View, Role::Admin, Role::ClusterAdmin, Role::named("acme:dev").unwrap(), local] {
            assert_eq!(read(&value(Some(&role))), Ok(role));
        }
        for bad in [
            "",
            "Cluster-Admin",
            " cluster-admin",
            "role:",
            "role:system:node",
            "role:a/b",
            "none",
            "local:view",
            "local:",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let chosen = choices(&offered(), "role:gone");
        assert_eq!(chosen.iter().filter(|c| c.selected).map(|c| c.label.as_ref()).collect::<Vec<_>>(), ["gone"]);
        assert_eq!(choices(&offered(), "view").len(), 5);
    }

    #[test]
    fn immune_28_what_reaches_further_than_admin_is_offered_to_owners_alone_and_a_role_with_its_namespaces() {
        let found = |namespace: Option<&str>, verb: &str| {
            let rule = PolicyRule {
                verbs: vec![verb.into()],
                groups: vec![String::new()],
                resources: vec!["pods".into()],
                ..PolicyRule::default()
            };
            let namespace = namespace.map(ToOwned::to_owned);
            let name = format!("{verb}s");
            let found = StandingRole {
                namespace,
                name,
                assignable: true,
                aggregated: false,
                rules: vec![rule.clone()],
                cut: false,
            };
            (found.given().unwrap(), found, rule)
        };
        let all = [found(None, "get"), found(None, "escalate"), found(Some("shop"), "get"), found(Some("bank"), "get")];
        let assignable = Assignable {
            admin: vec![all[0].2.clone()],
            custom: Vec::new(),
            roles: all.into_iter().map(|(role, found, _)| (role, found)).collect(),
        };
        let labels = |owner| of_cluster(&assignable, owner).iter().map(OfferedRole::label).collect::<Vec<_>>();
        assert_eq!(labels(false), ["gets", "Role gets in shop, bank"]);
        assert_eq!(labels(true), ["gets", "escalates", "Role gets in shop, bank"]);
    }
}
