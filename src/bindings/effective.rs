//! From bindings back to people: what all bindings and roles of a cluster together let somebody do, and who may do something.
//! Pure: it reckons with what was read, and says whether something was left out.

use std::collections::{BTreeSet, HashMap};

use crate::{
    k8s::{FoundBinding, FoundRole, Listed},
    model::{
        rbac::{Actor, Deed, Extent, PolicyRule, extent, service_account_of},
        subject::{Subject, SubjectKind},
    },
};

/// All bindings and roles of a cluster, as they were read.
#[derive(Debug, Default)]
pub struct Rbac {
    bindings: Vec<FoundBinding>,
    rules: HashMap<(Option<String>, String), Vec<PolicyRule>>,
    cut: bool,
}

/// A binding that lets somebody do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// The binding.
    pub binding: &'a FoundBinding,
    /// The one of its subjects that they are.
    pub subject: &'a Subject,
    /// How far.
    pub extent: Extent,
}

impl Way<'_> {
    /// Whether it lets them do it there: in a namespace, or (`None`) on the whole cluster.
    pub fn counts_in(&self, namespace: Option<&str>) -> bool {
        self.binding.namespace.is_none() || self.binding.namespace.as_deref() == namespace
    }
}

impl Rbac {
    /// Out of what was read.
    pub fn new(bindings: Listed<FoundBinding>, roles: Listed<FoundRole>) -> Self {
        let cut = bindings.cut || roles.cut || bindings.items.iter().any(|b| b.more_subjects > 0);
        let by_name = roles.items.into_iter().map(|role| ((role.namespace, role.name), role.rules)).collect();
        Self { bindings: bindings.items, rules: by_name, cut }
    }

    /// Whether the cluster has more than was read.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Those of these groups that any binding names: the others change nothing there.
    pub fn named_groups(&self, groups: &[String]) -> Vec<String> {
        let subjects = self.bindings.iter().flat_map(|b| &b.subjects).filter(|s| s.kind == SubjectKind::Group);
        let named: BTreeSet<&str> = subjects.map(|s| s.name.as_str()).collect();
        groups.iter().filter(|group| named.contains(group.as_str())).cloned().collect()
    }

    /// What lets them do this, anywhere.
    pub fn ways(&self, actor: &Actor, deed: &Deed) -> Vec<Way<'_>> {
        let reaches = |b: &FoundBinding, subject: &Subject| actor.is(subject, b.namespace.as_deref());
        let found = self.bindings.iter().filter_map(|binding| {
            let subject = binding.subjects.iter().find(|subject| reaches(binding, subject))?;
            Some(Way { binding, subject, extent: extent(self.rules_of(binding), deed)? })
        });
        found.collect()
    }

    /// What lets anybody do this, anywhere: a way for each subject of each binding.
    pub fn all_ways(&self, deed: &Deed) -> Vec<Way<'_>> {
        let lets = self.bindings.iter().filter_map(|b| Some((b, extent(self.rules_of(b), deed)?)));
        lets.flat_map(|(binding, extent)| {
            binding.subjects.iter().map(move |subject| Way { binding, subject, extent: extent.clone() })
        })
        .collect()
    }

    /// A binding to a role that is not there binds to nothing. A ClusterRoleBinding never names a Role.
    fn rules_of(&self, binding: &FoundBinding) -> &[PolicyRule] {
        let namespace = match (binding.role_kind.as_str(), &binding.namespace) {
            ("ClusterRole", _) => None,
            ("Role", Some(namespace)) => Some(namespace.clone()),
            _ => return &[],
        };
        self.rules.get(&(namespace, binding.role_name.clone())).map_or(&[], Vec::as_slice)
    }
}

/// The same subject under one name: a ServiceAccount has its namespace (`home` is the binding's), also where it is named as a user.
pub fn one_name(subject: &Subject, home: Option<&str>) -> Subject {
    let account = |namespace: &str, name: &str| Subject {
        kind: SubjectKind::ServiceAccount,
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    };
    match (subject.kind, subject.namespace.as_deref().or(home), service_account_of(&subject.name)) {
        (SubjectKind::ServiceAccount, Some(namespace), _) => account(namespace, &subject.name),
        (SubjectKind::User, _, Some((namespace, name))) => account(namespace, name),
        _ => subject.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn binding(namespace: Option<&str>, name: &str, role: (&str, &str), subjects: Vec<Subject>) -> FoundBinding {
        FoundBinding {
            namespace: namespace.map(Into::into),
            name: name.into(),
            uid: "u".into(),
            role_kind: role.0.into(),
            role_name: role.1.into(),
            subjects,
            more_subjects: 0,
            labels: BTreeMap::new(),
            created_at: None,
        }
    }

    fn role(namespace: Option<&str>, name: &str, verb: &str, what: &str) -> FoundRole {
        let rule = PolicyRule {
            verbs: vec![verb.into()],
            groups: vec![String::new()],
            resources: vec![what.into()],
            ..PolicyRule::default()
        };
        FoundRole { namespace: namespace.map(Into::into), name: name.into(), rules: vec![rule] }
    }

    fn listed<T>(items: Vec<T>) -> Listed<T> {
        Listed { items, cut: false }
    }

    fn rbac() -> Rbac {
        let account = Subject { kind: SubjectKind::ServiceAccount, name: "ci".into(), namespace: None };
        Rbac::new(
            listed(vec![
                binding(None, "devs-see", ("ClusterRole", "see"), vec![Subject::group("oidc:devs")]),
                binding(Some("shop"), "bob-reads", ("Role", "reads"), vec![Subject::user("bob"), account]),
                binding(Some("bank"), "nothing", ("Role", "reads"), vec![Subject::user("bob")]),
                binding(None, "odd", ("Role", "reads"), vec![Subject::user("bob")]),
                binding(Some("bank"), "sees", ("ClusterRole", "see"), vec![Subject::user("bob")]),
            ]),
            listed(vec![role(None, "see", "list", "pods"), role(Some("shop"), "reads", "get", "secrets")]),
        )
    }

    fn names(ways: &[Way<'_>]) -> Vec<String> {
        ways.iter().map(|w| w.binding.name.clone()).collect()
    }

    #[test]
    fn somebody_may_what_the_bindings_that_reach_them_let_them_do() {
        let all = rbac();
        let bob = Actor::user("bob", vec!["oidc:devs".into()]);
        let ways = all.ways(&bob, &Deed::new("list", "pods"));
        assert_eq!(names(&ways), ["devs-see", "sees"]);
        assert!(ways[0].counts_in(None) && ways[0].counts_in(Some("any")));
        assert!(ways[1].counts_in(Some("bank")) && !ways[1].counts_in(None) && !ways[1].counts_in(Some("shop")));
        // A Role of another namespace, one that is missing and one that a ClusterRoleBinding names bind to nothing.
        assert_eq!(names(&all.ways(&bob, &Deed::new("get", "secrets"))), ["bob-reads"]);
        let ci = Actor::service_account("shop", "ci");
        assert_eq!(names(&all.ways(&ci, &Deed::new("get", "secrets"))), ["bob-reads"]);
        assert!(all.ways(&Actor::service_account("bank", "ci"), &Deed::new("get", "secrets")).is_empty());
    }

    #[test]
    fn whoever_may_is_found_by_each_subject() {
        let all = rbac();
        let ways = all.all_ways(&Deed::new("get", "secrets"));
        let who: Vec<Subject> = ways.iter().map(|w| one_name(w.subject, w.binding.namespace.as_deref())).collect();
        let ci = Subject { kind: SubjectKind::ServiceAccount, name: "ci".into(), namespace: Some("shop".into()) };
        assert_eq!(who, [Subject::user("bob"), ci.clone()]);
        assert_eq!(one_name(&Subject::user("system:serviceaccount:shop:ci"), None), ci);
        assert_eq!(
            one_name(&Subject::user("system:serviceaccount"), Some("x")),
            Subject::user("system:serviceaccount")
        );
        assert!(all.all_ways(&Deed::new("delete", "secrets")).is_empty());
    }

    #[test]
    fn only_groups_that_bindings_name_count_and_what_was_left_out_is_said() {
        let all = rbac();
        assert_eq!(all.named_groups(&["oidc:devs".into(), "oidc:hidden".into()]), ["oidc:devs"]);
        assert!(!all.is_cut());
        let mut giant = binding(None, "x", ("ClusterRole", "see"), vec![]);
        giant.more_subjects = 1;
        assert!(Rbac::new(listed(vec![giant]), listed(vec![])).is_cut());
    }
}
