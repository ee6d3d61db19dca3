//! How far the rules of a role reach: whether they stay within those of another one, and what of them leads further than it says.
//!
//! A role that somebody has defined on a cluster is whatever its rules are at the moment, whatever its name and its labels. So what
//! decides who may give it is held against `admin`, which whoever manages access gives anyway: rule by rule, as kube-apiserver
//! itself decides whether somebody may write a role (`rbac.authorization.k8s.io`, escalation check).

use super::rbac::{Deed, Extent, PolicyRule, Target, extent};

const ALL: &str = "*";
/// So many things are named.
const NAMED: usize = 12;
/// A rule that names more than this in all is not looked through.
const MOST: usize = 50_000;

/// What of these rules is not within those of another role, in words (“get nodes”, “impersonate users”); nothing where all is. In
/// namespaces, what no namespace has counts for nothing.
pub fn further(rules: &[PolicyRule], bound: &[PolicyRule], whole_cluster: bool) -> Vec<String> {
    let within =
        |rule: &PolicyRule, verb: &str, group: &str, resource: &str| covered(rule, verb, group, resource, bound);
    each(rules, whole_cluster, within, |verb, url| url_covered(verb, url, bound))
}

/// The same against `admin` of the cluster, where what leads to everything counts as further in any case: somebody may have added
/// it to `admin` there.
pub fn beyond_admin(rules: &[PolicyRule], admin: &[PolicyRule], whole_cluster: bool) -> Vec<String> {
    let within = |rule: &PolicyRule, verb: &str, group: &str, resource: &str| {
        !leads_on(verb, group, resource) && covered(rule, verb, group, resource, admin)
    };
    each(rules, whole_cluster, within, |verb, url| {
        verb != ALL && !matches!(url, "*" | "/*") && url_covered(verb, url, admin)
    })
}

fn each(
    rules: &[PolicyRule],
    whole_cluster: bool,
    within: impl Fn(&PolicyRule, &str, &str, &str) -> bool,
    url_within: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut keep = |words: String| {
        if found.len() <= NAMED && !found.contains(&words) {
            found.push(words);
        }
    };
    for rule in rules {
        if rule.verbs.len() * (rule.groups.len() * rule.resources.len()).max(rule.urls.len()) > MOST {
            keep("more than can be looked through".into());
            continue;
        }
        for verb in &rule.verbs {
            for url in rule.urls.iter().filter(|url| whole_cluster && !url_within(verb, url)) {
                keep(format!("{verb} {url}"));
            }
            for group in &rule.groups {
                for resource in &rule.resources {
                    let deed = deed(verb, group, resource);
                    // To bind a ClusterRole in a namespace is asked there.
                    let counts = whole_cluster || leads_on(verb, group, resource) || !deed.is_of_cluster();
                    if counts && !within(rule, verb, group, resource) {
                        keep(deed.in_words());
                    }
                }
            }
        }
    }
    if found.len() > NAMED {
        found[NAMED] = "and more".into();
    }
    found
}

fn deed(verb: &str, group: &str, resource: &str) -> Deed {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (resource, None),
    };
    let to = Target::Resource { group: group.to_owned(), resource: resource.to_owned(), subresource };
    Deed { verb: verb.to_owned(), to }
}

/// Whether one rule of a role holds all of this.
fn covered(rule: &PolicyRule, verb: &str, group: &str, resource: &str, bound: &[PolicyRule]) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|x| x == ALL || x == wanted);
    let part = resource.split_once('/').map(|(_, part)| part);
    let about = |held: &String| {
        held == ALL || held == resource || part.is_some_and(|part| held.strip_prefix("*/").is_some_and(|p| p == part))
    };
    bound.iter().any(|held| {
        has(&held.verbs, verb)
            && has(&held.groups, group)
            && held.resources.iter().any(about)
            && (held.names.is_empty() || (!rule.names.is_empty() && rule.names.iter().all(|n| held.names.contains(n))))
    })
}

/// Whether one rule of a role has this URL, by itself or by what it begins with.
fn url_covered(verb: &str, url: &str, bound: &[PolicyRule]) -> bool {
    let about = |held: &String| held == url || held.strip_suffix(ALL).is_some_and(|begin| url.starts_with(begin));
    bound.iter().any(|held| held.verbs.iter().any(|v| v == ALL || v == verb) && held.urls.iter().any(about))
}

/// What leads from itself to everything there is.
fn leads_on(verb: &str, group: &str, resource: &str) -> bool {
    let wild = verb == ALL || group == ALL || resource == ALL || resource.starts_with("*/");
    let gives = matches!(verb, "escalate" | "bind");
    wild || gives || (verb == "impersonate" && resource != "serviceaccounts")
}

/// Whether these rules allow everything there is, as those of cluster-admin do.
pub fn is_everything(rules: &[PolicyRule]) -> bool {
    extent(rules, &Deed::new(ALL, "*.*")) == Some(Extent::All)
}

/// Something that leads further than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Danger {
    /// What it lets somebody do, as the end of a sentence that begins with “can”.
    pub what: &'static str,
    /// What that amounts to.
    pub why: &'static str,
    /// By which verbs on what: “get secrets”, “create pods/exec named x”.
    pub by: Vec<String>,
    /// Whether it counts on the whole cluster alone.
    pub of_cluster: bool,
}

/// What is looked for: words, what it amounts to, and the deeds that let somebody do it.
type Look = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The worst first.
const LOOKS: [Look; 12] = [
    (
        "give more rights than are held",
        "“escalate” and “bind” know no bounds: everything can be had by them.",
        &[
            ("escalate", "clusterroles.rbac.authorization.k8s.io"),
            ("escalate", "roles.rbac.authorization.k8s.io"),
            ("bind", "clusterroles.rbac.authorization.k8s.io"),
            ("bind", "roles.rbac.authorization.k8s.io"),
        ],
    ),
    (
        "act as somebody else",
        "With all that those may do.",
        &[("impersonate", "users"), ("impersonate", "groups"), ("impersonate", "serviceaccounts")],
    ),
    ("get tokens of ServiceAccounts", "With all that these may do.", &[("create", "serviceaccounts/token")]),
    (
        "sign certificates",
        "With both, anybody's name can be had, the cluster's owners among them.",
        &[
            ("approve", "signers.certificates.k8s.io"),
            ("update", "certificatesigningrequests.certificates.k8s.io/approval"),
        ],
    ),
    (
        "change what the API server asks before it takes something",
        "Such a webhook sees every Secret that is written, and can change everything that is.",
        &[
            ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
            ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
            ("create", "validatingwebhookconfigurations.admissionregistration.k8s.io"),
        ],
    ),
    (
        "reach into nodes",
        "Through a node's kubelet commands run in every pod on it.",
        &[("get", "nodes/proxy"), ("create", "nodes/proxy")],
    ),
    (
        "change nodes",
        "Pods can be drawn to a node, with all that they hold.",
        &[("patch", "nodes"), ("update", "nodes")],
    ),
    ("make volumes of any path of a node", "A volume can be the node's own disk.", &[("create", "persistentvolumes")]),
    (
        "read Secrets",
        "Tokens of ServiceAccounts may be among them.",
        &[("get", "secrets"), ("list", "secrets"), ("watch", "secrets")],
    ),
    (
        "run commands in pods",
        "With all that the pod may do and holds.",
        &[("create", "pods/exec"), ("get", "pods/exec"), ("create", "pods/attach")],
    ),
    (
        "run pods",
        "A pod can use every Secret and ServiceAccount of its namespace.",
        &[("create", "pods"), ("create", "deployments.apps"), ("create", "jobs.batch"), ("patch", "deployments.apps")],
    ),
    (
        "change who may do what",
        "Kubernetes lets nobody give more than is held, unless “bind” or “escalate” is among it.",
        &[
            ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
            ("create", "rolebindings.rbac.authorization.k8s.io"),
            ("create", "roles.rbac.authorization.k8s.io"),
        ],
    ),
];

/// What of these rules leads further than it says, the worst first.
pub fn dangers(rules: &[PolicyRule]) -> Vec<Danger> {
    if is_everything(rules) {
        let by = vec!["* on everything".to_owned()];
        return vec![Danger { what: "do everything", why: "That amounts to owning it.", by, of_cluster: false }];
    }
    let mut found = Vec::new();
    let named = |_: &PolicyRule, verb: &str, group: &str, resource: &str| {
        verb != ALL && group != ALL && resource != ALL && !resource.starts_with("*/")
    };
    let wild: Vec<String> = each(rules, true, named, |_, _| false);
    let wild: Vec<String> = wild.into_iter().filter(|words| words.contains(ALL)).collect();
    if !wild.is_empty() {
        let why = "Whatever is added to the cluster later is in it, too.";
        found.push(Danger { what: "do whatever a “*” stands for", why, by: wild, of_cluster: false });
    }
    for (what, why, parts) in LOOKS {
        let deeds = parts.iter().map(|(verb, on)| Deed::new(verb, on));
        let held: Vec<(Deed, Extent)> = deeds.filter_map(|d| extent(rules, &d).map(|extent| (d, extent))).collect();
        if !held.is_empty() {
            let of_cluster = held.iter().all(|(deed, _)| deed.is_of_cluster() && deed.verb != "bind");
            found.push(Danger { what, why, by: held.iter().map(in_words).collect(), of_cluster });
        }
    }
    found
}

fn in_words((deed, extent): &(Deed, Extent)) -> String {
    match extent {
        Extent::All => deed.in_words(),
        Extent::Named(names) => {
            let few: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
            let more = if names.len() > few.len() { ", …" } else { "" };
            format!("{} named {}{more}", deed.in_words(), few.join(", "))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
        let list = |of: &[&str]| of.iter().map(ToString::to_string).collect();
        PolicyRule { verbs: list(verbs), groups: list(groups), resources: list(resources), ..PolicyRule::default() }
    }

    fn named(mut rule: PolicyRule, names: &[&str]) -> PolicyRule {
        rule.names = names.iter().map(ToString::to_string).collect();
        rule
    }

    /// A part of what Kubernetes has.
    pub(crate) fn admin() -> Vec<PolicyRule> {
        vec![
            rule(&["get", "list", "watch", "create", "delete"], &[""], &["pods", "pods/exec", "secrets", "configmaps"]),
            rule(&["get", "list", "watch"], &[""], &["pods/log", "namespaces"]),
            rule(&["impersonate"], &[""], &["serviceaccounts"]),
            rule(&["create", "delete", "get"], &["rbac.authorization.k8s.io"], &["roles", "rolebindings"]),
        ]
    }

    #[test]
    fn what_admin_may_is_within_it_and_what_it_may_not_is_named() {
        let within = [
            rule(&["get"], &[""], &["pods", "pods/log", "secrets"]),
            named(rule(&["delete"], &[""], &["configmaps"]), &["x"]),
            rule(&["impersonate"], &[""], &["serviceaccounts"]),
        ];
        assert_eq!(beyond_admin(&within, &admin(), true), Vec::<String>::new());
        for (rule, words) in [
            (rule(&["get"], &[""], &["nodes"]), "get nodes"),
            (rule(&["patch"], &[""], &["pods"]), "patch pods"),
            (rule(&["get"], &["acme.example"], &["widgets"]), "get widgets.acme.example"),
            (rule(&["get"], &[""], &["pods/attach"]), "get pods/attach"),
            (rule(&["delete"], &[""], &["namespaces"]), "delete namespaces"),
        ] {
            assert_eq!(beyond_admin(&[rule], &admin(), true), [words]);
        }
    }

    #[test]
    fn immune_28_what_leads_to_everything_is_beyond_admin_even_where_somebody_has_added_it_there() {
        let everything = vec![rule(&["*"], &["*"], &["*"])];
        for further in [
            rule(&["*"], &[""], &["configmaps"]),
            rule(&["get"], &["*"], &["pods"]),
            rule(&["get"], &[""], &["*"]),
            rule(&["get"], &[""], &["*/log"]),
            rule(&["escalate"], &["rbac.authorization.k8s.io"], &["roles"]),
            rule(&["bind"], &["rbac.authorization.k8s.io"], &["clusterroles"]),
            rule(&["impersonate"], &[""], &["users"]),
            named(rule(&["impersonate"], &[""], &["groups"]), &["one"]),
        ] {
            for whole in [true, false] {
                let found = beyond_admin(std::slice::from_ref(&further), &everything, whole);
                assert_eq!(found.len(), 1, "{further:?} {whole}");
            }
        }
        assert!(further(&everything, &everything, true).is_empty(), "equal is within, where that is all that is asked");
    }

    #[test]
    fn immune_28_names_and_parts_of_a_rule_are_no_way_around_it() {
        let only_x = vec![named(rule(&["get"], &[""], &["secrets"]), &["x"])];
        assert!(!further(&[rule(&["get"], &[""], &["secrets"])], &only_x, true).is_empty(), "all is more than one");
        assert!(further(&[named(rule(&["get"], &[""], &["secrets"]), &["x"])], &only_x, true).is_empty());
        assert!(!further(&[named(rule(&["get"], &[""], &["secrets"]), &["x", "y"])], &only_x, true).is_empty());
        // Half of it in one rule and half in another is not both.
        let halves = vec![rule(&["get"], &[""], &["pods"]), rule(&["list"], &["apps"], &["deployments"])];
        assert!(!further(&[rule(&["list"], &[""], &["pods"])], &halves, true).is_empty());
        let giant = PolicyRule {
            verbs: vec!["get".into(); 500],
            groups: vec![String::new(); 500],
            resources: vec!["pods".into(); 500],
            ..PolicyRule::default()
        };
        assert_eq!(further(&[giant], &admin(), true), ["more than can be looked through"]);
    }

    #[test]
    fn in_namespaces_what_none_has_counts_for_nothing() {
        let mut wide = rule(&["get"], &[""], &["nodes", "persistentvolumes"]);
        wide.urls = vec!["/metrics".into()];
        assert!(beyond_admin(std::slice::from_ref(&wide), &admin(), false).is_empty());
        assert_eq!(beyond_admin(&[wide], &admin(), true), ["get /metrics", "get nodes", "get persistentvolumes"]);
        let many: Vec<PolicyRule> = (0..50).map(|n| rule(&["get"], &["x"], &[&format!("kind{n}")])).collect();
        let named = beyond_admin(&many, &admin(), true);
        assert_eq!((named.len(), named[12].as_str()), (13, "and more"));
    }

    #[test]
    fn immune_28_urls_are_held_against_the_bound_as_kubernetes_does() {
        let urls = |verbs: &[&str], urls: &[&str]| PolicyRule {
            verbs: verbs.iter().map(ToString::to_string).collect(),
            urls: urls.iter().map(ToString::to_string).collect(),
            ..PolicyRule::default()
        };
        let bound = vec![urls(&["get"], &["/metrics", "/logs/*"]), urls(&["*"], &["/mine*"])];
        for within in ["/metrics", "/logs/", "/logs/a", "/logs/a*", "/logs/*", "/mine", "/mined"] {
            let rule = [urls(&["get"], &[within])];
            assert_eq!(further(&rule, &bound, true), Vec::<String>::new(), "{within}");
            assert_eq!(beyond_admin(&rule, &bound, true), Vec::<String>::new(), "{within}");
        }
        for (verb, beyond) in [
            ("get", "/metrics/"),
            ("get", "/metrics*"),
            ("get", "/logs"),
            ("get", "/log*"),
            ("get", "*"),
            ("post", "/metrics"),
            ("*", "/metrics"),
        ] {
            let rule = [urls(&[verb], &[beyond])];
            assert_eq!(further(&rule, &bound, true), [format!("{verb} {beyond}")]);
            assert!(further(&rule, &bound, false).is_empty(), "no namespace has URLs");
        }
        let everything = vec![urls(&["*"], &["*"])];
        assert!(further(&everything, &everything, true).is_empty());
        assert_eq!(beyond_admin(&everything, &everything, true), ["* *"], "whoever has added that to admin");
        let giant = urls(&["get"; 500], &["/x"; 500]);
        assert_eq!(further(&[giant], &bound, true), ["more than can be looked through"]);
    }

    #[test]
    fn what_leads_further_than_it_says_is_named_with_what_it_amounts_to() {
        let what = |rules: &[PolicyRule]| dangers(rules).iter().map(|d| d.what).collect::<Vec<_>>();
        assert!(what(&[rule(&["get", "list"], &[""], &["pods", "pods/log"])]).is_empty());
        assert_eq!(what(&[rule(&["*"], &["*"], &["*"])]), ["do everything"]);
        assert_eq!(
            what(&[rule(&["list"], &[""], &["*"])]),
            ["do whatever a “*” stands for", "read Secrets"],
            "a wildcard and what is behind it"
        );
        let some = dangers(&[
            rule(&["get"], &[""], &["nodes/proxy"]),
            named(rule(&["get"], &[""], &["secrets"]), &["db"]),
            rule(&["bind"], &["rbac.authorization.k8s.io"], &["roles"]),
        ]);
        let of: Vec<(&str, String, bool)> = some.iter().map(|d| (d.what, d.by.join(", "), d.of_cluster)).collect();
        assert_eq!(
            of,
            [
                ("give more rights than are held", "bind roles.rbac.authorization.k8s.io".into(), false),
                ("reach into nodes", "get nodes/proxy".into(), true),
                ("read Secrets", "get secrets named db".into(), false),
            ]
        );
    }

    #[test]
    fn each_danger_is_one_that_kubernetes_has() {
        for (what, _, parts) in LOOKS {
            assert!(!parts.is_empty(), "{what}");
            for (verb, on) in parts {
                assert_eq!(Deed::parse(verb, on), Ok(Deed::new(verb, on)), "{what}");
            }
        }
    }
}
