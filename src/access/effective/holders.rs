//! Who can do something, out of all bindings: by subject and place. And what of a person a cluster is told.

use std::collections::BTreeMap;

use super::said::{Holder, Part, Source};
use crate::{
    access::observe::kubernetes_own,
    bindings::{Rbac, Way, one_name},
    k8s::FoundBinding,
    model::{rbac::Deed, subject::Subject},
};

/// So many subjects are shown, and so many of Kubernetes' own.
const SUBJECTS: (usize, usize) = (30, 10);

/// Everybody who can do one of these, by subject and place.
pub(super) fn holders(rbac: &Rbac, deeds: &[Deed], namespace: Option<&str>) -> Vec<Holder> {
    let mut found: BTreeMap<(Option<String>, Subject), Vec<Part>> = BTreeMap::new();
    for deed in deeds {
        let of_cluster = deed.is_of_cluster();
        let counts = |way: &Way<'_>| match (namespace, of_cluster) {
            (Some(_), false) => way.counts_in(namespace),
            (None, false) => true,
            (_, true) => way.binding.namespace.is_none(),
        };
        for way in rbac.all_ways(deed).into_iter().filter(counts) {
            let place = namespace.filter(|_| !of_cluster).map(ToOwned::to_owned).or(way.binding.namespace.clone());
            let subject = one_name(way.subject, way.binding.namespace.as_deref());
            let parts = found.entry((place, subject)).or_default();
            match parts.iter_mut().find(|p| p.deed == *deed) {
                Some(part) => part.sources.push(plain(&way)),
                None => parts.push(Part { deed: deed.clone(), said: None, sources: vec![plain(&way)] }),
            }
        }
    }
    let mut all: Vec<Holder> =
        found.into_iter().map(|((place, subject), parts)| holder(subject, place, parts)).collect();
    all.sort_by_key(|h| h.own);
    all
}

fn holder(subject: Subject, namespace: Option<String>, parts: Vec<Part>) -> Holder {
    let own = parts.iter().flat_map(|p| &p.sources).all(|s| kubernetes_own(&s.binding));
    Holder { subject, namespace, parts, own }
}

pub(super) fn first(all: Vec<Holder>) -> (Vec<Holder>, usize) {
    let total = all.len();
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|h| h.own);
    let shown: Vec<Holder> = others.into_iter().take(SUBJECTS.0).chain(own.into_iter().take(SUBJECTS.1)).collect();
    let more = total - shown.len();
    (shown, more)
}

pub(super) fn plain(way: &Way<'_>) -> Source {
    let binding = FoundBinding { subjects: Vec::new(), ..way.binding.clone() };
    Source { binding, subject: way.subject.clone(), extent: way.extent.clone(), grant: None, group: None }
}

/// The groups that the cluster is told of somebody: for a person those that bindings there name; what was asked for by name, and
/// Kubernetes' own, always.
pub(super) fn known_there(rbac: &Rbac, groups: Vec<String>, of_a_person: bool) -> Vec<String> {
    if !of_a_person {
        return groups;
    }
    let named = rbac.named_groups(&groups);
    groups.into_iter().filter(|g| g.starts_with("system:") || named.contains(g)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::effective::asking::asks_about,
        k8s::{FoundRole, Listed},
        model::rbac::PolicyRule,
    };

    fn binding(namespace: Option<&str>, name: &str, role: &str, subjects: Vec<Subject>) -> FoundBinding {
        FoundBinding {
            namespace: namespace.map(Into::into),
            name: name.into(),
            uid: "u".into(),
            role_kind: "ClusterRole".into(),
            role_name: role.into(),
            subjects,
            more_subjects: 0,
            labels: BTreeMap::new(),
            created_at: None,
        }
    }

    fn role(name: &str, verb: &str, what: &str, names: &[&str]) -> FoundRole {
        let rule = PolicyRule {
            verbs: vec![verb.into()],
            groups: vec![String::new()],
            resources: vec![what.into()],
            names: names.iter().map(ToString::to_string).collect(),
            urls: vec![],
        };
        FoundRole { namespace: None, name: name.into(), rules: vec![rule] }
    }

    fn rbac(bindings: Vec<FoundBinding>, roles: Vec<FoundRole>) -> Rbac {
        Rbac::new(Listed { items: bindings, cut: false }, Listed { items: roles, cut: false })
    }

    #[test]
    fn holders_stand_by_subject_and_place_with_kubernetes_own_last() {
        let all = rbac(
            vec![
                binding(None, "system:controllers", "secrets", vec![Subject::user("system:controller")]),
                binding(None, "wide", "secrets", vec![Subject::user("bob"), Subject::group("ops")]),
                binding(Some("shop"), "narrow", "one", vec![Subject::user("bob"), Subject::user("eve")]),
            ],
            vec![role("secrets", "get", "secrets", &[]), role("one", "get", "secrets", &["db"])],
        );
        let deeds = [Deed::new("get", "secrets"), Deed::new("list", "secrets")];
        let said = |namespace| {
            let line = |h: &Holder| {
                (h.namespace.clone(), h.subject.name.clone(), h.parts.iter().map(|p| p.sources.len()).sum::<usize>())
            };
            holders(&all, &deeds, namespace).iter().map(line).collect::<Vec<_>>()
        };
        let shop = Some("shop".to_owned());
        let in_shop = |name: &str, sources| (shop.clone(), name.to_owned(), sources);
        assert_eq!(
            said(Some("shop")),
            [in_shop("bob", 2), in_shop("eve", 1), in_shop("ops", 1), in_shop("system:controller", 1)]
        );
        assert_eq!(said(Some("bank")).len(), 3);
        let anywhere = said(None);
        assert_eq!(anywhere.len(), 5);
        assert_eq!(anywhere.last().unwrap().1, "system:controller");
        let eve = holders(&all, &deeds, Some("shop")).into_iter().find(|h| h.subject.name == "eve").unwrap();
        let asked = asks_about(&eve);
        assert_eq!((asked.len(), asked[0].name.as_deref()), (1, Some("db")), "by one of the names it is limited to");
    }

    #[test]
    fn immune_30_a_cluster_is_told_no_group_of_a_person_that_it_does_not_name() {
        let all = rbac(vec![binding(None, "b", "r", vec![Subject::group("oidc:devs")])], vec![]);
        let groups = vec!["system:authenticated".to_owned(), "oidc:devs".into(), "oidc:works-council".into()];
        assert_eq!(known_there(&all, groups.clone(), true), groups[..2]);
        assert_eq!(known_there(&Rbac::default(), groups.clone(), true), groups[..1]);
        assert_eq!(known_there(&all, groups.clone(), false), groups, "what was asked for by name is asked");
    }

    #[test]
    fn what_no_namespace_has_is_asked_of_the_cluster_alone() {
        let mut reads = role("metrics", "get", "x", &[]);
        reads.rules[0].urls = vec!["/metrics".into()];
        let all = rbac(
            vec![
                binding(None, "a", "metrics", vec![Subject::user("prometheus")]),
                binding(Some("shop"), "b", "metrics", vec![Subject::user("eve")]),
            ],
            vec![reads],
        );
        let found = holders(&all, &[Deed::new("get", "/metrics")], Some("shop"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].subject.name.as_str(), found[0].namespace.as_deref()), ("prometheus", None));
        let in_a_namespace = vec![binding(Some("shop"), "b", "nodes", vec![Subject::user("eve")])];
        let all = rbac(in_a_namespace, vec![role("nodes", "list", "nodes", &[])]);
        assert!(holders(&all, &[Deed::new("list", "nodes")], None).is_empty(), "a RoleBinding gives no nodes");
    }
}
