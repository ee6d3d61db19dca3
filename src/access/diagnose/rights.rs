//! Whether somebody may do what their grants promise.

use std::time::Duration;

use crate::{
    k8s::{ClusterClient, K8sError, ResourceQuestion},
    model::{grant::Grant, role::Role},
};

/// How long to ask again for a right that was just granted.
const SETTLE: Duration = Duration::from_millis(1_500);
/// Between two of these questions.
const PAUSE: Duration = Duration::from_millis(120);

/// One thing that was asked: may they?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestedRight {
    /// “list pods in all namespaces”.
    pub what: String,
    /// The answer.
    pub allowed: bool,
}

/// Whether they may do what their grants promise; asked again for a moment, since the API server's RBAC cache lags behind a binding
/// that was just made.
pub(super) async fn ask(client: &ClusterClient, grants: &[Grant]) -> Result<Vec<TestedRight>, K8sError> {
    let mut rights = Vec::new();
    let until = tokio::time::Instant::now() + SETTLE;
    for (what, question) in questions(grants) {
        let mut allowed = client.can_i(&question).await?;
        while !allowed && tokio::time::Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
            allowed = client.can_i(&question).await?;
        }
        rights.push(TestedRight { what, allowed });
    }
    Ok(rights)
}

/// For each promise a telling question: at most five, the widest first, each once.
fn questions(grants: &[Grant]) -> Vec<(String, ResourceQuestion)> {
    let mut all: Vec<(String, ResourceQuestion)> = Vec::new();
    let mut sorted: Vec<&Grant> = grants.iter().filter(|g| g.role.is_some()).collect();
    sorted.sort_by_key(|g| (!g.scope.is_whole_cluster(), g.role.as_ref().map(std::cmp::Reverse)));
    for grant in sorted {
        let places: Vec<Option<String>> = match grant.scope.namespaces() {
            [] => vec![None],
            names => names.iter().map(|n| Some(n.to_string())).collect(),
        };
        for place in places {
            let asked = grant.role.as_ref().and_then(|role| question(role, place));
            all.extend(asked.filter(|(what, _)| !all.iter().any(|(w, _)| w == what)));
        }
    }
    all.truncate(5);
    all
}

/// Nothing is telling of a role that others have defined.
fn question(role: &Role, namespace: Option<String>) -> Option<(String, ResourceQuestion)> {
    let place = namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |n| format!("namespace {n}"));
    let (verb, group, resource, words) = match role {
        Role::View => ("list", "", "pods", "list pods"),
        Role::Edit => ("create", "apps", "deployments", "create deployments"),
        Role::Admin => ("create", "rbac.authorization.k8s.io", "rolebindings", "manage access"),
        Role::ClusterAdmin => ("*", "*", "*", "do everything"),
        Role::Named(_) | Role::Local(_) => return None,
    };
    Some((format!("{words} in {place}"), ResourceQuestion { verb, group, resource, namespace, name: None }))
}
