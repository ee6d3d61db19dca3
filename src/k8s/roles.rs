//! Roles as they stand on a cluster, with all that decides whether they can be given: their rules, and whether somebody has marked
//! them as roles to give to people.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use k8s_openapi::{
    List,
    api::rbac::v1::{ClusterRole, Role},
};
use kube::core::{
    params::{GetParams, ListParams},
    request::Request,
};

use super::{
    ClusterClient, K8sError, RoleRules, Rule,
    bindings::path_segment,
    bounds,
    effective::{HasRules, found},
};
use crate::model::{
    rbac::PolicyRule,
    role::{ASSIGNABLE_LABELS, Role as Given},
};

/// How many roles of a kind are listed at most.
const MAX_ROLES: u32 = 100;

/// A ClusterRole or Role as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingRole {
    /// `None` for a ClusterRole.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether it bears one of the labels of roles that are given to people.
    pub assignable: bool,
    /// Whether it is made of the rules of others: whoever labels another ClusterRole adds to it.
    pub aggregated: bool,
    /// Its rules, aggregated ones as they stand.
    pub rules: Vec<PolicyRule>,
    /// Whether it has more than was read.
    pub cut: bool,
}

impl StandingRole {
    /// Its rules as they are shown.
    pub fn shown(&self) -> RoleRules {
        let rules: Vec<Rule> = self.rules.iter().take(bounds::MANY).map(Rule::from).collect();
        RoleRules { more: self.rules.len() - rules.len() + usize::from(self.cut), rules }
    }

    /// The role that it is to whoever gives it; none for what is given to nobody.
    pub fn given(&self) -> Option<Given> {
        match self.namespace {
            Some(_) => Given::local(&self.name).ok(),
            None => Given::named(&self.name).ok(),
        }
    }
}

impl ClusterClient {
    /// A ClusterRole, or the Role of a namespace.
    pub async fn role(&self, namespace: Option<&str>, name: &str) -> Result<StandingRole, K8sError> {
        let name = path_segment(name)?;
        match namespace {
            None => {
                let path = Request::new(<ClusterRole as kube::core::Resource>::url_path(&(), None));
                standing(self.ask::<ClusterRole>(path.get(name, &GetParams::default())).await?)
            }
            Some(namespace) => {
                let path = <Role as kube::core::Resource>::url_path(&(), Some(path_segment(namespace)?));
                standing(self.ask::<Role>(Request::new(path).get(name, &GetParams::default())).await?)
            }
        }
    }

    /// The ClusterRoles and Roles that bear one of the labels of roles that are given to people, and not the label `but`; by name, at
    /// most 100 of each. A credential that may not list Roles sees none.
    pub async fn assignable_roles(&self, but: &str) -> Result<Vec<StandingRole>, K8sError> {
        let (mut all, in_namespaces) = tokio::try_join!(self.marked::<ClusterRole>(but), async {
            match self.marked::<Role>(but).await {
                Err(K8sError::Forbidden(_)) => Ok(Vec::new()),
                other => other,
            }
        })?;
        all.extend(in_namespaces);
        Ok(all)
    }

    async fn marked<K: HasRules>(&self, but: &str) -> Result<Vec<StandingRole>, K8sError> {
        let lists = ASSIGNABLE_LABELS.iter().map(async |(label, value)| {
            let marked = ListParams::default().labels(&format!("{label}={value},!{but}")).limit(MAX_ROLES);
            self.ask::<List<K>>(Request::new(K::url_path(&(), None)).list(&marked)).await
        });
        let mut all = BTreeMap::new();
        for object in try_join_all(lists).await?.into_iter().flat_map(|list| list.items) {
            // One that nothing could name is none.
            if let Ok(role) = standing(object) {
                all.insert((role.name.clone(), role.namespace.clone()), role);
            }
        }
        Ok(all.into_values().take(MAX_ROLES as usize).collect())
    }
}

pub(super) fn standing<K: HasRules>(object: K) -> Result<StandingRole, K8sError> {
    let labels = object.metadata().labels.clone().unwrap_or_default();
    let assignable = ASSIGNABLE_LABELS.iter().any(|(label, value)| labels.get(*label).is_some_and(|v| v == value));
    let aggregated = object.is_aggregated();
    let (role, cut) = found(object);
    let role = role.ok_or_else(|| K8sError::Nonsense("a role without a name".into()))?;
    Ok(StandingRole { namespace: role.namespace, name: role.name, assignable, aggregated, rules: role.rules, cut })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::rbac::v1::{AggregationRule, PolicyRule as RbacRule},
        apimachinery::pkg::apis::meta::v1::ObjectMeta,
    };

    use super::*;

    fn cluster_role(name: &str, label: (&str, &str)) -> ClusterRole {
        ClusterRole {
            metadata: ObjectMeta {
                name: Some(name.into()),
                labels: Some(BTreeMap::from([(label.0.into(), label.1.into())])),
                ..ObjectMeta::default()
            },
            aggregation_rule: None,
            rules: Some(vec![RbacRule { verbs: vec!["get".into()], ..RbacRule::default() }]),
        }
    }

    #[test]
    fn immune_28_a_role_is_marked_by_a_label_and_its_value_alone() {
        for (label, assignable) in [
            (("component", "userClusterRole"), true),
            (("kubelend.io/assignable", "true"), true),
            (("kubelend.io/assignable", "false"), false),
            (("kubelend.io/assignable", "True"), false),
            (("component", "userclusterrole"), false),
            (("assignable", "true"), false),
        ] {
            assert_eq!(standing(cluster_role("x", label)).unwrap().assignable, assignable, "{label:?}");
        }
        assert!(standing(cluster_role("", ("a", "b"))).is_err());
    }

    #[test]
    fn a_role_made_of_others_says_so() {
        let mut role = cluster_role("x", ("a", "b"));
        assert!(!standing(role.clone()).unwrap().aggregated);
        role.aggregation_rule = Some(AggregationRule::default());
        assert!(standing(role).unwrap().aggregated);
    }

    #[test]
    fn immune_28_what_is_kubernetes_own_is_given_to_nobody_whoever_marked_it() {
        let given = |namespace: Option<&str>, name: &str| {
            let mut role = standing(cluster_role(name, ("component", "userClusterRole"))).unwrap();
            role.namespace = namespace.map(Into::into);
            role.given()
        };
        assert_eq!(
            (given(None, "system:node"), given(Some("shop"), "system:x"), given(Some("shop"), "admin")),
            (None, None, None)
        );
        assert_eq!(given(None, "cluster-admin"), Some(Given::ClusterAdmin));
        assert!(given(Some("shop"), "log-reader").is_some_and(|role| role.is_local()));
    }
}
