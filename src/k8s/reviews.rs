//! Who somebody is to an API server and what they may do there (`authentication.k8s.io/v1` SelfSubjectReview,
//! `authorization.k8s.io/v1` SelfSubjectAccessReview), and what a rule of a role allows.

use k8s_openapi::api::{
    authentication::{self, v1::SelfSubjectReview},
    authorization::v1::{
        NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    },
    rbac::v1::PolicyRule,
};
use kube::core::{Resource, params::PostParams, request::Request};

use super::{ClusterClient, K8sError, answer, bounds, client::body, transport::Answer};
use crate::model::{rbac, time::Timestamp};

/// How many texts one list of a rule holds.
const LISTED: usize = 100;

/// Who a credential is to the API server (`authentication.k8s.io/v1` `UserInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// The user name.
    pub username: String,
    /// The groups, `system:authenticated` among them; at most 200.
    pub groups: Vec<String>,
    /// How many more there are.
    pub more_groups: usize,
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
    /// Verbs; of each of these lists at most 100, the last one then says how many more.
    pub verbs: Vec<String>,
    /// `resource` or `resource.group`; or paths for non-resource rules.
    pub resources: Vec<String>,
    /// Names it is limited to.
    pub names: Vec<String>,
}

/// What a role allows, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleRules {
    /// Its rules; at most 200.
    pub rules: Vec<Rule>,
    /// How many more there are.
    pub more: usize,
}

/// Who a credential is, and when the API server said so by its own clock.
#[derive(Clone, Debug)]
pub struct Review {
    /// Who, or why not.
    pub user: Result<UserInfo, K8sError>,
    /// The `Date` of its answer, where one came and had it; whole seconds.
    pub date: Option<Timestamp>,
}

impl ClusterClient {
    /// Who am I?
    pub async fn who_am_i(&self) -> Result<UserInfo, K8sError> {
        self.review().await.user
    }

    /// Who am I, and what does your clock say?
    pub async fn review(&self) -> Review {
        match self.asked_who().await {
            Ok(answer) => Review { user: who(&answer), date: answer.date.as_deref().and_then(date) },
            Err(error) => Review { user: Err(error), date: None },
        }
    }

    async fn asked_who(&self) -> Result<Answer, K8sError> {
        let path = Request::new(SelfSubjectReview::url_path(&(), None));
        self.send(path.create(&PostParams::default(), body(&SelfSubjectReview::default())?)).await
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

    /// May I read this path, which is no resource's?
    pub async fn can_i_read(&self, path: &str) -> Result<bool, K8sError> {
        let url = SelfSubjectAccessReview::url_path(&(), None);
        let asked = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
        let spec = SelfSubjectAccessReviewSpec { non_resource_attributes: Some(asked), resource_attributes: None };
        let answer: SelfSubjectAccessReview =
            self.post(&url, &SelfSubjectAccessReview { spec, ..Default::default() }).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

impl TryFrom<authentication::v1::UserInfo> for UserInfo {
    type Error = K8sError;
    fn try_from(user: authentication::v1::UserInfo) -> Result<Self, K8sError> {
        let username = user
            .username
            .filter(|name| !name.is_empty())
            .ok_or_else(|| K8sError::Nonsense("it was asked who we are and names nobody".into()))?;
        // A name that is cut would be somebody else's; of groups, which are only shown, a part is better than nothing.
        let username = bounds::whole(username, bounds::USER, "a user name")?;
        let (groups, more_groups) = bounds::first(user.groups.unwrap_or_default(), bounds::MANY);
        let groups = groups.into_iter().map(|group| bounds::cut(group, bounds::USER)).collect();
        Ok(Self { username, groups, more_groups })
    }
}

fn who(answer: &Answer) -> Result<UserInfo, K8sError> {
    let review: SelfSubjectReview = answer::object(answer)?;
    review.status.and_then(|s| s.user_info).unwrap_or_default().try_into()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_secs(at.timestamp().as_second()))
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
        let (groups, named) = (rule.api_groups.unwrap_or_default(), rule.resources.unwrap_or_default());
        let paths = rule.non_resource_urls.unwrap_or_default();
        let total = named.len().saturating_mul(groups.len()).saturating_add(paths.len());
        // Each resource with each group, made only as far as it is taken: a hostile rule has a million of both.
        let pairs = named.iter().flat_map(|resource| groups.iter().map(move |group| (resource, group)));
        let pairs = pairs.map(|(r, group)| if group.is_empty() { r.clone() } else { format!("{r}.{group}") });
        let listed = |all: Vec<String>| {
            let total = all.len();
            bounds::list(all, total, LISTED)
        };
        Self {
            resources: bounds::list(paths.into_iter().chain(pairs), total, LISTED),
            verbs: listed(rule.verbs),
            names: listed(rule.resource_names.unwrap_or_default()),
        }
    }
}

impl From<&rbac::PolicyRule> for Rule {
    fn from(rule: &rbac::PolicyRule) -> Self {
        Self::from(PolicyRule {
            api_groups: Some(rule.groups.clone()),
            resources: Some(rule.resources.clone()),
            non_resource_urls: Some(rule.urls.clone()),
            resource_names: Some(rule.names.clone()),
            verbs: rule.verbs.clone(),
        })
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
    fn immune_23_a_giant_rule_costs_no_more_than_what_is_shown_of_it() {
        let many = |n: usize| (0..n).map(|k| k.to_string()).collect::<Vec<_>>();
        let rule = Rule::from(PolicyRule {
            api_groups: Some(many(1_000_000)),
            resources: Some(many(1_000_000)),
            non_resource_urls: Some(vec!["x".repeat(1 << 20)]),
            resource_names: Some(many(300)),
            verbs: many(101),
        });
        assert_eq!((rule.resources.len(), rule.names.len(), rule.verbs.len()), (101, 101, 101));
        assert!(rule.resources[0].len() < 300);
        assert_eq!(rule.resources[100], "… and 999999999901 more");
        assert_eq!((rule.names[100].as_str(), rule.verbs[100].as_str()), ("… and 200 more", "… and 1 more"));
    }

    #[test]
    fn immune_23_a_giant_user_is_refused_and_many_groups_are_counted() {
        let said = |username: String, groups: usize, group: &str| {
            let groups = Some(vec![group.to_owned(); groups]);
            UserInfo::try_from(authentication::v1::UserInfo { username: Some(username), groups, ..Default::default() })
        };
        let somebody = said("u".repeat(1024), 205, &"g".repeat(5_000)).unwrap();
        assert_eq!((somebody.username.len(), somebody.groups.len(), somebody.more_groups), (1024, 200, 5));
        assert!(somebody.groups.iter().all(|g| g.len() < 1_100 && g.ends_with('…')));
        assert_eq!(said("bob".into(), 2, "oidc:devs").unwrap().groups, ["oidc:devs", "oidc:devs"]);
        for wrong in ["u".repeat(1025), String::new()] {
            assert!(matches!(said(wrong, 0, ""), Err(K8sError::Nonsense(_))));
        }
    }

    #[test]
    fn an_api_server_s_date_is_read() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_secs(784_111_777)));
        assert_eq!((date("yesterday"), date("")), (None, None));
    }

    #[test]
    fn a_question_about_a_subresource_is_asked_as_one() {
        let question =
            ResourceQuestion { verb: "get", group: "", resource: "pods/log", namespace: Some("a".into()), name: None };
        let asked = question.spec().resource_attributes.unwrap();
        assert_eq!((asked.resource.as_deref(), asked.subresource.as_deref()), (Some("pods"), Some("log")));
    }
}
