//! RBAC's arithmetic: whether a rule lets somebody do something, and whom a binding's subject means. As kube-apiserver reckons
//! (`rbac.authorization.k8s.io/v1`), but pure, so that a whole cluster's rules can be asked at once.

use std::collections::BTreeSet;

use super::{
    name::BadName,
    subject::{Subject, SubjectKind},
};

/// Matches every verb, group or resource.
const ALL: &str = "*";
/// What stands before the name of a ServiceAccount's user.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Where the kinds are that people name without their group, as kubectl knows it from the cluster.
const GROUPS: [(&str, &[&str]); 5] = [
    ("apps", &["deployments", "statefulsets", "daemonsets", "replicasets"]),
    ("batch", &["jobs", "cronjobs"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("rbac.authorization.k8s.io", &["roles", "rolebindings", "clusterroles", "clusterrolebindings"]),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
];
/// Kinds of which no namespace has any, so that a RoleBinding gives nothing of them.
const OF_THE_CLUSTER: [(&str, &[&str]); 7] = [
    ("", &["nodes", "persistentvolumes", "users", "groups", "componentstatuses"]),
    ("rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings"]),
    ("certificates.k8s.io", &["certificatesigningrequests", "signers"]),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("storage.k8s.io", &["storageclasses", "csidrivers", "csinodes", "volumeattachments"]),
    ("admissionregistration.k8s.io", &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]),
];
/// Verbs of requests that name no object, so that a rule with names never lets one through.
const NAMELESS: [&str; 2] = ["create", "deletecollection"];

/// A rule of a role, as it decides. Written out it is as Kubernetes has it (`rbac.authorization.k8s.io/v1` `PolicyRule`).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PolicyRule {
    /// API groups; the core is the empty one.
    #[serde(rename = "apiGroups", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Resources: `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The only objects it is about; none for all.
    #[serde(rename = "resourceNames", default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Paths that are no resource's: `/metrics`, `/healthz/*`.
    #[serde(rename = "nonResourceURLs", default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Verbs.
    #[serde(default)]
    pub verbs: Vec<String>,
}

/// Something that somebody may or may not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deed {
    /// `get`, `list`, `create`, `impersonate`, …
    pub verb: String,
    /// To what.
    pub to: Target,
}

/// What it is done to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Objects of a kind, or a part of theirs.
    Resource {
        /// API group, empty for the core.
        group: String,
        /// `pods`.
        resource: String,
        /// `log`.
        subresource: Option<String>,
    },
    /// A path that is no resource's.
    Path(String),
}

/// How far something lets somebody do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To every object.
    All,
    /// To objects of these names alone; never empty.
    Named(BTreeSet<String>),
}

impl Extent {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Named(mut some), Self::Named(more)) => {
                some.extend(more);
                Self::Named(some)
            }
            _ => Self::All,
        }
    }
}

impl Deed {
    /// A verb and a resource as `kubectl auth can-i` takes it: `pods`, `pods/log`, `deployments.apps/scale`; or a path.
    pub fn new(verb: &str, what: &str) -> Self {
        let verb = verb.to_owned();
        if what.starts_with('/') {
            return Self { verb, to: Target::Path(what.to_owned()) };
        }
        let (whole, subresource) = match what.split_once('/') {
            Some((whole, sub)) => (whole, Some(sub.to_owned())),
            None => (what, None),
        };
        let (resource, group) = whole.split_once('.').unwrap_or((whole, ""));
        Self { verb, to: Target::Resource { group: group.to_owned(), resource: resource.to_owned(), subresource } }
    }

    /// The same, read from what somebody typed: a usual kind is found without its group.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(verb: &str, what: &str) -> Result<Self, BadName> {
        let (verb, what) = (verb.trim().to_ascii_lowercase(), what.trim());
        let plain = |text: &str, also: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c));
        if verb.is_empty() || verb.len() > 63 || !(verb == ALL || plain(&verb, "-:")) {
            return Err(BadName("A verb is a word such as get, list, create or delete, or * for every one.".into()));
        }
        let what = if what.starts_with('/') { what.to_owned() } else { what.to_ascii_lowercase() };
        if what.is_empty() || what.len() > 253 || !plain(&what, "-._/*") || what.ends_with('.') {
            return Err(BadName(
                "A resource is written as kubectl has it: pods, pods/log, deployments.apps; or a path such as /metrics.".into(),
            ));
        }
        let mut deed = Self::new(&verb, &what);
        if let Target::Resource { group, resource, .. } = &mut deed.to {
            let known = GROUPS.iter().find(|(_, kinds)| group.is_empty() && kinds.contains(&resource.as_str()));
            *group = known.map_or(group.as_str(), |(known, _)| known).to_owned();
        }
        Ok(deed)
    }

    /// As `kubectl auth can-i` has it: `get pods/log`.
    pub fn in_words(&self) -> String {
        match &self.to {
            Target::Path(path) => format!("{} {path}", self.verb),
            Target::Resource { group, resource, subresource } => {
                let dot = if group.is_empty() { "" } else { "." };
                let part = subresource.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
                format!("{} {resource}{dot}{group}{part}", self.verb)
            }
        }
    }

    /// Whether only what holds on the whole cluster gives it: a path, or a kind that is known to be in no namespace. A namespace
    /// itself counts as being in itself, so that a RoleBinding there lets somebody delete it, but not make or list any.
    pub fn is_of_cluster(&self) -> bool {
        match &self.to {
            Target::Path(_) => true,
            Target::Resource { group, resource, .. } if group.is_empty() && resource == "namespaces" => {
                ["create", "list", "watch", "deletecollection"].contains(&self.verb.as_str())
            }
            Target::Resource { group, resource, .. } => {
                OF_THE_CLUSTER.iter().any(|(of, kinds)| of == group && kinds.contains(&resource.as_str()))
            }
        }
    }

    /// Whether its request names the object, so that rules with names can be about it.
    fn names_an_object(&self) -> bool {
        match &self.to {
            Target::Resource { subresource: None, .. } => !NAMELESS.contains(&self.verb.as_str()),
            Target::Resource { .. } => true,
            Target::Path(_) => false,
        }
    }
}

impl PolicyRule {
    /// How far it lets somebody do this, if it does.
    pub fn extent(&self, deed: &Deed) -> Option<Extent> {
        let has = |list: &[String], wanted: &str| list.iter().any(|x| x == ALL || x == wanted);
        if !has(&self.verbs, &deed.verb) {
            return None;
        }
        match &deed.to {
            Target::Path(path) => self.urls.iter().any(|url| covers_path(url, path)).then_some(Extent::All),
            Target::Resource { group, resource, subresource } => {
                let part = subresource.as_deref();
                let about = has(&self.groups, group) && self.resources.iter().any(|r| covers(r, resource, part));
                match (about, self.names.is_empty()) {
                    (false, _) => None,
                    (true, true) => Some(Extent::All),
                    (true, false) if !deed.names_an_object() => None,
                    (true, false) => Some(Extent::Named(self.names.iter().cloned().collect())),
                }
            }
        }
    }
}

/// How far several rules together let somebody do this.
pub fn extent(rules: &[PolicyRule], deed: &Deed) -> Option<Extent> {
    rules.iter().filter_map(|rule| rule.extent(deed)).reduce(Extent::and)
}

/// `*` is every resource with every part; `*/scale` the part of every resource; `pods` is not `pods/log`.
fn covers(rule: &str, resource: &str, part: Option<&str>) -> bool {
    match (rule, part) {
        (ALL, _) => true,
        (rule, None) => rule == resource,
        (rule, Some(part)) => {
            rule.strip_suffix(part).and_then(|r| r.strip_suffix('/')).is_some_and(|r| r == resource || r == ALL)
        }
    }
}

/// `/healthz/*` is all that begins with `/healthz/`.
fn covers_path(rule: &str, path: &str) -> bool {
    rule == path || rule.strip_suffix('*').is_some_and(|begin| path.starts_with(begin.trim_end_matches('*')))
}

/// Somebody as an API server sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user name; none for “whoever is in these groups”.
    pub user: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
}

/// Everybody who has signed in is in it.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Whoever has not is this user, in this group alone.
const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";

impl Actor {
    /// A user in these groups, signed in.
    pub fn user(name: &str, groups: Vec<String>) -> Self {
        Self { user: Some(name.to_owned()), groups }.signed_in()
    }

    /// Whoever is in this group.
    pub fn group(name: &str) -> Self {
        let actor = Self { user: None, groups: vec![name.to_owned()] };
        if name == UNAUTHENTICATED { actor } else { actor.signed_in() }
    }

    /// A ServiceAccount, with the groups that its tokens bring.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        Self { user: Some(service_account_user(namespace, name)), groups }.signed_in()
    }

    /// Whoever a subject means.
    pub fn of(subject: &Subject) -> Self {
        match subject.kind {
            SubjectKind::Group => Self::group(&subject.name),
            SubjectKind::ServiceAccount => {
                Self::service_account(subject.namespace.as_deref().unwrap_or_default(), &subject.name)
            }
            SubjectKind::User => match service_account_of(&subject.name) {
                Some((namespace, name)) => Self::service_account(namespace, name),
                None if subject.name == ANONYMOUS => {
                    Self { user: Some(ANONYMOUS.to_owned()), groups: vec![UNAUTHENTICATED.to_owned()] }
                }
                None => Self::user(&subject.name, Vec::new()),
            },
        }
    }

    fn signed_in(mut self) -> Self {
        if !self.groups.iter().any(|g| g == AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// Whether a binding's subject means them; `home` is the binding's namespace, where a ServiceAccount without one is.
    pub fn is(&self, subject: &Subject, home: Option<&str>) -> bool {
        match subject.kind {
            SubjectKind::User => self.user.as_deref() == Some(subject.name.as_str()),
            SubjectKind::Group => self.groups.contains(&subject.name),
            SubjectKind::ServiceAccount => subject.namespace.as_deref().or(home).is_some_and(|namespace| {
                self.user.as_deref() == Some(service_account_user(namespace, &subject.name).as_str())
            }),
        }
    }
}

/// The user name of a ServiceAccount.
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// The namespace and name of the ServiceAccount whose user name this is.
pub fn service_account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(of: &[&str]) -> Vec<String> {
        of.iter().map(ToString::to_string).collect()
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
        PolicyRule { verbs: list(verbs), groups: list(groups), resources: list(resources), ..PolicyRule::default() }
    }

    fn lets(rule: &PolicyRule, verb: &str, what: &str) -> bool {
        rule.extent(&Deed::new(verb, what)) == Some(Extent::All)
    }

    #[test]
    fn a_rule_lets_what_it_names_and_nothing_beside_it() {
        let pods = rule(&["get", "list"], &[""], &["pods"]);
        assert!(lets(&pods, "get", "pods") && lets(&pods, "list", "pods"));
        for (verb, what) in [
            ("watch", "pods"),
            ("get", "pods/log"),
            ("get", "pods.apps"),
            ("get", "pod"),
            ("*", "pods"),
            ("get", "*"),
            ("get", "/pods"),
        ] {
            assert!(!lets(&pods, verb, what), "{verb} {what}");
        }
    }

    #[test]
    fn a_part_of_a_resource_is_another_thing_than_the_resource() {
        let exec = rule(&["create"], &[""], &["pods/exec"]);
        assert!(lets(&exec, "create", "pods/exec"));
        assert!(!lets(&exec, "create", "pods") && !lets(&exec, "create", "pods/attach"));
        let scale = rule(&["update"], &["*"], &["*/scale"]);
        assert!(lets(&scale, "update", "deployments.apps/scale") && lets(&scale, "update", "x.y.z/scale"));
        assert!(!lets(&scale, "update", "deployments.apps") && !lets(&scale, "update", "deployments.apps/status"));
        let odd = rule(&["get"], &[""], &["pods/log", "/log", "podslog"]);
        assert!(lets(&odd, "get", "pods/log") && !lets(&odd, "get", "nodes/log"));
    }

    #[test]
    fn a_star_is_everything_of_its_kind() {
        let all = rule(&["*"], &["*"], &["*"]);
        for (verb, what) in
            [("get", "secrets"), ("create", "pods/exec"), ("*", "*.*"), ("bind", "roles.rbac.authorization.k8s.io")]
        {
            assert!(lets(&all, verb, what), "{verb} {what}");
        }
        assert!(!lets(&all, "get", "/metrics"), "paths are no resources");
        let core = rule(&["*"], &[""], &["*"]);
        assert!(lets(&core, "delete", "pods/log") && !lets(&core, "get", "deployments.apps"));
        assert!(!lets(&core, "*", "*.*"), "everything is more than all of the core");
    }

    #[test]
    fn names_limit_a_rule_to_requests_that_name_an_object() {
        let one =
            |verbs: &[&str], resources: &[&str]| PolicyRule { names: list(&["db"]), ..rule(verbs, &[""], resources) };
        let named = Some(Extent::Named(BTreeSet::from(["db".to_owned()])));
        assert_eq!(one(&["get"], &["secrets"]).extent(&Deed::new("get", "secrets")), named);
        assert_eq!(one(&["*"], &["pods"]).extent(&Deed::new("create", "pods")), None);
        assert_eq!(one(&["*"], &["*"]).extent(&Deed::new("create", "pods/exec")), named);
        let both = [one(&["get"], &["secrets"]), rule(&["get"], &[""], &["secrets"])];
        assert_eq!(extent(&both, &Deed::new("get", "secrets")), Some(Extent::All));
        assert_eq!(extent(&both[..1], &Deed::new("list", "secrets")), None);
        assert_eq!(extent(&[], &Deed::new("list", "secrets")), None);
    }

    #[test]
    fn paths_match_whole_or_by_their_beginning() {
        let urls = |of: &[&str]| PolicyRule { verbs: list(&["get"]), urls: list(of), ..PolicyRule::default() };
        assert!(lets(&urls(&["/metrics"]), "get", "/metrics"));
        assert!(!lets(&urls(&["/metrics"]), "get", "/metrics/x"));
        assert!(lets(&urls(&["/healthz/*"]), "get", "/healthz/etcd"));
        assert!(!lets(&urls(&["/healthz/*"]), "get", "/healthz"));
        assert!(lets(&urls(&["*"]), "get", "/anything"));
        assert!(!lets(&urls(&["*"]), "post", "/anything") && !lets(&urls(&["*"]), "get", "pods"));
    }

    #[test]
    fn what_no_namespace_has_is_of_the_cluster_alone() {
        for (verb, what) in [
            ("list", "nodes"),
            ("get", "nodes/proxy"),
            ("create", "namespaces"),
            ("impersonate", "users"),
            ("bind", "clusterroles.rbac.authorization.k8s.io"),
            ("get", "/metrics"),
        ] {
            assert!(Deed::new(verb, what).is_of_cluster(), "{verb} {what}");
        }
        for (verb, what) in [
            ("delete", "namespaces"),
            ("impersonate", "serviceaccounts"),
            ("list", "nodes.metrics.k8s.io"),
            ("*", "*.*"),
        ] {
            assert!(!Deed::new(verb, what).is_of_cluster(), "{verb} {what}");
        }
    }

    #[test]
    fn whoever_has_not_signed_in_is_in_no_group_of_those_who_have() {
        for subject in [Subject::user("system:anonymous"), Subject::group("system:unauthenticated")] {
            assert_eq!(Actor::of(&subject).groups, ["system:unauthenticated"]);
        }
        assert_eq!(Actor::of(&Subject::group("oidc:devs")).groups, ["oidc:devs", AUTHENTICATED]);
    }

    #[test]
    fn what_is_typed_is_read_as_kubectl_reads_it() {
        for (verb, what, said) in [
            ("get", "pods/log", "get pods/log"),
            (" LIST ", "Deployments.apps", "list deployments.apps"),
            ("update", "deployments/scale", "update deployments.apps/scale"),
            ("get", "deployments.extensions", "get deployments.extensions"),
            ("get", "/metrics", "get /metrics"),
            ("*", "*.*", "* *.*"),
        ] {
            let deed = Deed::parse(verb, what).unwrap();
            assert_eq!(deed.in_words(), said);
        }
        for (verb, what) in [
            ("", "pods"),
            ("get", " "),
            ("get;", "pods"),
            ("get", "pods x"),
            ("get", "$(x)"),
            ("get", "a\nb"),
            ("**", "pods"),
        ] {
            assert!(Deed::parse(verb, what).is_err(), "{verb} {what}");
        }
    }

    #[test]
    fn a_subject_means_whom_the_api_server_takes_it_for() {
        let deployer = Actor::service_account("shop", "deployer");
        let account = |namespace: Option<&str>| Subject {
            kind: SubjectKind::ServiceAccount,
            name: "deployer".into(),
            namespace: namespace.map(Into::into),
        };
        assert!(deployer.is(&account(Some("shop")), None) && deployer.is(&account(None), Some("shop")));
        assert!(!deployer.is(&account(Some("other")), Some("shop")) && !deployer.is(&account(None), None));
        assert!(deployer.is(&Subject::user("system:serviceaccount:shop:deployer"), None), "it is a user too");
        for group in ["system:serviceaccounts", "system:serviceaccounts:shop", AUTHENTICATED] {
            assert!(deployer.is(&Subject::group(group), None), "{group}");
        }
        assert!(!deployer.is(&Subject::group("system:serviceaccounts:other"), None));
        let bob = Actor::user("bob", vec!["oidc:devs".into()]);
        assert!(bob.is(&Subject::user("bob"), None) && bob.is(&Subject::group(AUTHENTICATED), None));
        assert!(!bob.is(&Subject::user("oidc:devs"), None) && !bob.is(&Subject::group("bob"), None));
        assert!(!bob.is(&Subject::user("Bob"), None), "case counts");
        assert_eq!(Actor::of(&Subject::user("system:serviceaccount:shop:deployer")), deployer);
        assert_eq!(Actor::group("system:unauthenticated").groups, ["system:unauthenticated"]);
    }

    /// kube-apiserver's own way, word by word, to compare with.
    fn upstream(rule: &PolicyRule, verb: &str, group: &str, resource: &str, part: &str) -> bool {
        let combined = if part.is_empty() { resource.to_owned() } else { format!("{resource}/{part}") };
        let verb_matches = rule.verbs.iter().any(|v| v == "*" || v == verb);
        let group_matches = rule.groups.iter().any(|g| g == "*" || g == group);
        let mut resource_matches = false;
        for r in &rule.resources {
            if r == "*" || *r == combined {
                resource_matches = true;
            }
            if !part.is_empty() && r.len() == part.len() + 2 && r.starts_with("*/") && r.ends_with(part) {
                resource_matches = true;
            }
        }
        verb_matches && group_matches && resource_matches
    }

    proptest! {
        #[test]
        fn it_agrees_with_kubernetes_on_any_rule(
            verbs in prop::collection::vec(prop::sample::select(vec!["get", "list", "*"]), 0..3),
            groups in prop::collection::vec(prop::sample::select(vec!["", "apps", "*"]), 0..3),
            resources in prop::collection::vec(
                prop::sample::select(vec!["pods", "pods/log", "*/log", "*", "log", "*/*", "/log", "pods/"]), 0..4),
            verb in prop::sample::select(vec!["get", "watch", "*"]),
            group in prop::sample::select(vec!["", "apps", "*"]),
            resource in prop::sample::select(vec!["pods", "nodes", "*", "log"]),
            part in prop::sample::select(vec!["", "log", "exec", "*"]),
        ) {
            let rule = rule(&verbs, &groups, &resources);
            let part_of = Some(part.to_owned()).filter(|p| !p.is_empty());
            let to = Target::Resource { group: group.into(), resource: resource.into(), subresource: part_of };
            let ours = rule.extent(&Deed { verb: verb.into(), to }) == Some(Extent::All);
            prop_assert_eq!(ours, upstream(&rule, verb, group, resource, part));
        }
    }
}
