//! What somebody else may do (`authorization.k8s.io/v1` SubjectAccessReview), and all roles of a cluster with the rules that
//! decide it.

use k8s_openapi::{
    List, ListableResource,
    api::{
        authorization::v1::{NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
        rbac::v1::{ClusterRole, PolicyRule as RbacRule, Role},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    serde::de::DeserializeOwned,
};
use kube::core::{Resource, params::ListParams, request::Request};

use super::{ClusterClient, K8sError, answer, bounds};
use crate::model::rbac::{Actor, Deed, PolicyRule, Target};

/// How many of each kind are listed at most.
const MAX_LISTED: usize = 2_000;
/// How many come in one answer.
const PAGE: u32 = 500;
/// How many rules of a role are read, and how many texts of each list of a rule.
const MOST: usize = 500;

/// What an API server says to whether somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether they may.
    pub allowed: bool,
    /// Why, where it says so.
    pub reason: Option<String>,
}

/// A list that may have been cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed<T> {
    /// What was read.
    pub items: Vec<T>,
    /// Whether there is more than that.
    pub cut: bool,
}

/// A Role, or a ClusterRole, with rules as they stand (aggregated ones too).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRole {
    /// `None` for a ClusterRole.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its rules.
    pub rules: Vec<PolicyRule>,
}

pub(super) trait HasRules:
    Resource<DynamicType = ()>
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + ListableResource
    + k8s_openapi::serde::Serialize
    + DeserializeOwned
{
    fn take_apart(self) -> (ObjectMeta, Vec<RbacRule>);
    /// Whether its rules are those of others.
    fn is_aggregated(&self) -> bool;
}

macro_rules! has_rules {
    ($($kind:ident: |$role:ident| $aggregated:expr),+) => {$(
        impl HasRules for $kind {
            fn take_apart(self) -> (ObjectMeta, Vec<RbacRule>) {
                (self.metadata, self.rules.unwrap_or_default())
            }
            fn is_aggregated(&self) -> bool {
                let $role = self;
                $aggregated
            }
        }
    )+};
}
has_rules!(ClusterRole: |role| role.aggregation_rule.is_some(), Role: |_role| false);

impl ClusterClient {
    /// May they do this there? `name` is the object's, where the question is about one.
    pub async fn may(
        &self,
        actor: &Actor,
        deed: &Deed,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Said, K8sError> {
        let review = SubjectAccessReview { spec: spec(actor, deed, namespace, name), ..SubjectAccessReview::default() };
        let answer: SubjectAccessReview = self.post(&SubjectAccessReview::url_path(&(), None), &review).await?;
        let status = answer
            .status
            .ok_or_else(|| K8sError::Nonsense("it was asked what somebody may do and does not say".into()))?;
        let reason = status.reason.filter(|reason| !reason.is_empty()).map(|reason| answer::clean(&reason));
        Ok(Said { allowed: status.allowed, reason })
    }

    /// All ClusterRoles and Roles, at most 2,000 of each.
    pub async fn all_roles(&self) -> Result<Listed<FoundRole>, K8sError> {
        let (mut all, in_namespaces) =
            tokio::try_join!(self.roles_of_kind::<ClusterRole>(), self.roles_of_kind::<Role>())?;
        all.items.extend(in_namespaces.items);
        all.cut |= in_namespaces.cut;
        Ok(all)
    }

    async fn roles_of_kind<K: HasRules>(&self) -> Result<Listed<FoundRole>, K8sError> {
        let mut params = ListParams::default().limit(PAGE);
        let mut all = Listed { items: Vec::new(), cut: false };
        for _ in 0..MAX_LISTED / PAGE as usize {
            let page: List<K> = self.ask(Request::new(K::url_path(&(), None)).list(&params)).await?;
            for object in page.items {
                let (role, cut) = found(object);
                all.items.extend(role);
                all.cut |= cut;
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) if all.items.len() < MAX_LISTED => params = params.continue_token(&token),
                Some(_) => {
                    all.cut = true;
                    return Ok(all);
                }
                None => return Ok(all),
            }
        }
        all.cut = true;
        Ok(all)
    }
}

fn spec(actor: &Actor, deed: &Deed, namespace: Option<&str>, name: Option<&str>) -> SubjectAccessReviewSpec {
    let (resource_attributes, non_resource_attributes) = match &deed.to {
        Target::Path(path) => {
            (None, Some(NonResourceAttributes { path: Some(path.clone()), verb: Some(deed.verb.clone()) }))
        }
        Target::Resource { group, resource, subresource } => {
            let attributes = ResourceAttributes {
                verb: Some(deed.verb.clone()),
                group: Some(group.clone()),
                resource: Some(resource.clone()),
                subresource: subresource.clone(),
                namespace: namespace.map(ToOwned::to_owned),
                name: name.map(ToOwned::to_owned),
                ..ResourceAttributes::default()
            };
            (Some(attributes), None)
        }
    };
    SubjectAccessReviewSpec {
        user: actor.user.clone(),
        groups: Some(actor.groups.clone()),
        resource_attributes,
        non_resource_attributes,
        ..SubjectAccessReviewSpec::default()
    }
}

/// A role, and whether something of it was left out. One that nothing could name is none.
pub(super) fn found<K: HasRules>(object: K) -> (Option<FoundRole>, bool) {
    let (metadata, rules) = object.take_apart();
    let (rules, more) = bounds::first(rules, MOST);
    let mut cut = more > 0;
    let rules = rules.into_iter().filter_map(|rule| policy_rule(rule, &mut cut)).collect();
    let fits = |name: &String| !name.is_empty() && name.len() <= bounds::NAME;
    let namespace = metadata.namespace.filter(|n| !n.is_empty());
    (metadata.name.filter(fits).map(|name| FoundRole { namespace, name, rules }), cut)
}

/// What is longer than anything that is asked for decides nothing: it is left out rather than cut. A rule that was about such names
/// alone is left out whole: without its names it would be about all there are.
fn policy_rule(rule: RbacRule, cut: &mut bool) -> Option<PolicyRule> {
    let named = rule.resource_names.as_ref().is_some_and(|names| !names.is_empty());
    let mut take = |list: Option<Vec<String>>| {
        let (kept, more) = bounds::first(list.unwrap_or_default(), MOST);
        let all = kept.len();
        let kept: Vec<String> = kept.into_iter().filter(|text| text.len() <= 2 * bounds::NAME).collect();
        *cut |= more > 0 || kept.len() < all;
        kept
    };
    let rule = PolicyRule {
        verbs: take(Some(rule.verbs)),
        groups: take(rule.api_groups),
        resources: take(rule.resources),
        names: take(rule.resource_names),
        urls: take(rule.non_resource_urls),
    };
    (!named || !rule.names.is_empty()).then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_about_somebody_names_them_and_nothing_else() {
        let actor = Actor::service_account("shop", "deployer");
        let asked = spec(&actor, &Deed::new("get", "pods/log"), Some("shop"), Some("x"));
        let attributes = asked.resource_attributes.unwrap();
        assert_eq!(asked.user.as_deref(), Some("system:serviceaccount:shop:deployer"));
        assert_eq!(asked.groups.unwrap().len(), 3);
        assert_eq!((attributes.resource.as_deref(), attributes.subresource.as_deref()), (Some("pods"), Some("log")));
        assert_eq!((attributes.namespace.as_deref(), attributes.name.as_deref()), (Some("shop"), Some("x")));
        let path = spec(&Actor::group("g"), &Deed::new("get", "/metrics"), Some("shop"), None);
        assert!(path.resource_attributes.is_none() && path.user.is_none());
        assert_eq!(path.non_resource_attributes.unwrap().path.as_deref(), Some("/metrics"));
    }

    #[test]
    fn immune_23_a_giant_role_is_cut_and_says_so() {
        let many = |n: usize| (0..n).map(|k| k.to_string()).collect::<Vec<_>>();
        let rule = RbacRule { verbs: many(501), ..RbacRule::default() };
        let of = |rules: Vec<RbacRule>| Role {
            metadata: ObjectMeta { name: Some("r".into()), namespace: Some("shop".into()), ..ObjectMeta::default() },
            rules: Some(rules),
        };
        let (giant, cut) = found(of(vec![rule; 501]));
        let giant = giant.unwrap();
        assert!(cut && giant.rules.len() == 500 && giant.rules[0].verbs.len() == 500);
        let of_one_giant_name = RbacRule { resource_names: Some(vec!["x".repeat(1 << 20)]), ..RbacRule::default() };
        let (left, cut) = found(of(vec![of_one_giant_name]));
        assert!(cut && left.unwrap().rules.is_empty(), "it must not become a rule for every name");
    }
}
