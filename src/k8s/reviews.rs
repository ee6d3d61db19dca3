//! Who somebody is to an API server and what they may do there (`authentication.k8s.io/v1` SelfSubjectReview,
//! `authorization.k8s.io/v1` SelfSubjectAccessReview), and what a ClusterRole allows.

use std::collections::BTreeMap;

use k8s_openapi::{
    List,
    api::{
        authentication::v1::SelfSubjectReview,
        authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        rbac::v1::{ClusterRole, PolicyRule},
    },
};
use kube::core::{
    Resource,
    params::{GetParams, ListParams},
    request::Request,
};

use super::{ClusterClient, K8sError};
use crate::model::role::ASSIGNABLE_LABELS;

/// How many roles are listed at most.
const MAX_ROLES: u32 = 100;

/// Who a credential is to the API server (`authentication.k8s.io/v1` `UserInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// The user name.
    pub username: String,
    /// The groups, `system:authenticated` among them.
    pub groups: Vec<String>,
}

/// May the caller do this? (`authorization.k8s.io/v1` `ResourceAttributes`)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceQuestion {
    /// `get`, `list`, `create`, `bind`, …
    pub verb: &'static str,
    /// API group, empty for the core.
    pub group: &'static str,
    /// `pods`, `clusterrolebindings`, … with a subresource after a slash; `*` asks for all.
    pub resource: &'static str,
    /// A namespace; `None` for all, and for what has none.
    pub namespace: Option<String>,
    /// A name; `None` for all.
    pub name: Option<String>,
}

/// A rule of a role (`rbac.authorization.k8s.io/v1` `PolicyRule`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// `resource` or `resource.group`; or paths for non-resource rules.
    pub resources: Vec<String>,
    /// Names it is limited to.
    pub names: Vec<String>,
}

impl ClusterClient {
    /// Who am I?
    pub async fn who_am_i(&self) -> Result<UserInfo, K8sError> {
        let path = SelfSubjectReview::url_path(&(), None);
        let review: SelfSubjectReview = self.post(&path, &SelfSubjectReview::default()).await?;
        let user = review.status.and_then(|s| s.user_info).unwrap_or_default();
        let username = user
            .username
            .filter(|name| !name.is_empty())
            .ok_or_else(|| K8sError::Nonsense("it was asked who we are and names nobody".into()))?;
        Ok(UserInfo { username, groups: user.groups.unwrap_or_default() })
    }

    /// May I?
    pub async fn can_i(&self, question: &ResourceQuestion) -> Result<bool, K8sError> {
        let path = SelfSubjectAccessReview::url_path(&(), None);
        let review = SelfSubjectAccessReview { spec: question.spec(), ..Default::default() };
        let answer: SelfSubjectAccessReview = self.post(&path, &review).await?;
        let status =
            answer.status.ok_or_else(|| K8sError::Nonsense("it was asked what we may do and does not say".into()))?;
        Ok(status.allowed)
    }

    /// The ClusterRoles that bear one of the labels of roles that are given to people, with their rules; by name, at most 100.
    pub async fn assignable_roles(&self) -> Result<Vec<(String, Vec<Rule>)>, K8sError> {
        let mut found = BTreeMap::new();
        for (label, value) in ASSIGNABLE_LABELS {
            let path = Request::new(ClusterRole::url_path(&(), None));
            let marked = ListParams::default().labels(&format!("{label}={value}")).limit(MAX_ROLES);
            let list: List<ClusterRole> = self.ask(path.list(&marked)).await?;
            for role in list.items {
                let rules = role.rules.unwrap_or_default().into_iter().map(Rule::from).collect();
                found.extend(role.metadata.name.map(|name| (name, rules)));
            }
        }
        Ok(found.into_iter().take(MAX_ROLES as usize).collect())
    }

    /// Whether a ClusterRole bears one of those labels.
    pub async fn is_assignable(&self, name: &str) -> Result<bool, K8sError> {
        let labels = self.cluster_role(name).await?.metadata.labels.unwrap_or_default();
        Ok(ASSIGNABLE_LABELS.iter().any(|(label, value)| labels.get(*label).is_some_and(|v| v == value)))
    }

    async fn cluster_role(&self, name: &str) -> Result<ClusterRole, K8sError> {
        let path = Request::new(ClusterRole::url_path(&(), None));
        self.ask(path.get(super::bindings::path_segment(name)?, &GetParams::default())).await
    }

    /// The rules of a ClusterRole, aggregated ones as they stand.
    pub async fn cluster_role_rules(&self, name: &str) -> Result<Vec<Rule>, K8sError> {
        let role = self.cluster_role(name).await?;
        Ok(role.rules.unwrap_or_default().into_iter().map(Rule::from).collect())
    }
}

impl ResourceQuestion {
    fn spec(&self) -> SelfSubjectAccessReviewSpec {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (self.resource, None),
        };
        SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(self.verb.to_owned()),
                group: Some(self.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                namespace: self.namespace.clone(),
                name: self.name.clone(),
                ..Default::default()
            }),
            non_resource_attributes: None,
        }
    }
}

impl From<PolicyRule> for Rule {
    fn from(rule: PolicyRule) -> Self {
        let groups = rule.api_groups.unwrap_or_default();
        let mut resources: Vec<String> = rule.non_resource_urls.unwrap_or_default();
        for resource in rule.resources.unwrap_or_default() {
            for group in &groups {
                resources.push(if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") });
            }
        }
        Self { verbs: rule.verbs, resources, names: rule.resource_names.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_resources_with_their_groups() {
        let rule = Rule::from(PolicyRule {
            api_groups: Some(vec![String::new(), "apps".into()]),
            resources: Some(vec!["pods".into(), "pods/log".into()]),
            non_resource_urls: None,
            resource_names: Some(vec!["x".into()]),
            verbs: vec!["get".into()],
        });
        assert_eq!(rule.resources, ["pods", "pods.apps", "pods/log", "pods/log.apps"]);
        assert_eq!(rule.names, ["x"]);
    }

    #[test]
    fn a_question_about_a_subresource_is_asked_as_one() {
        let question =
            ResourceQuestion { verb: "get", group: "", resource: "pods/log", namespace: Some("a".into()), name: None };
        let asked = question.spec().resource_attributes.unwrap();
        assert_eq!((asked.resource.as_deref(), asked.subresource.as_deref()), (Some("pods"), Some("log")));
    }
}
