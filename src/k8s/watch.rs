//! Watching bindings, and roles that Kubelend makes: what changes on a cluster is told by the API server, so that nobody has to ask again and again.
//!
//! A watch is one long answer, an event a line, on a connection of its own. It ends by itself after the time that was asked for;
//! whoever holds it opens another where it stopped. A version that the API server no longer has is [`Lost`](Change::Lost): then
//! only a list tells what stands. What an event says is foreign text: a line has a bound, and is read into types.

use std::{fmt, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::{WatchEvent, params::WatchParams, request};
use tokio::time::timeout;

use super::{
    ClusterClient, FoundBinding, FoundOwnRole, K8sError, Standing, answer,
    bindings::{Kind, found, path},
    bounds,
    idle::Connection,
    own_roles::{self, WritesRules},
    transport::Answering,
};

/// The longest line: an object may be as large as etcd takes it.
const MAX_LINE: usize = 2 * 1024 * 1024;
/// How many bindings of one kind are listed at most.
const MOST: usize = 20_000;
/// API servers say that they live about once a minute.
const SILENCE: Duration = Duration::from_secs(100);

/// Which of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// ClusterRoleBindings.
    Cluster,
    /// RoleBindings, in all namespaces.
    Namespaced,
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Change {
    /// It was made or changed, and stands so.
    Stands(Box<FoundBinding>),
    /// It was deleted, or no longer bears the label.
    Gone(Box<FoundBinding>),
    /// A role stands so.
    RoleStands(Box<FoundOwnRole>),
    /// A role was deleted, or no longer bears the label.
    RoleGone(Box<FoundOwnRole>),
    /// Nothing has changed.
    Nothing,
    /// What has changed cannot be told any more.
    Lost,
}

/// What a line says, and the version that it brings.
type Said = Result<(Change, Option<String>), K8sError>;

/// A watch that is open.
pub struct Watch {
    body: Incoming,
    /// Keeps the connection open.
    _connection: Connection,
    read: fn(&[u8]) -> Said,
    line: Vec<u8>,
    version: String,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("version", &self.version).finish_non_exhaustive()
    }
}

impl ClusterClient {
    /// All bindings of a kind that bear a label, and where a watch goes on.
    pub async fn standing_bindings(&self, kind: BindingKind, labels: &str) -> Result<Standing, K8sError> {
        match kind {
            BindingKind::Cluster => self.list_most::<ClusterRoleBinding>(Some(labels), MOST).await,
            BindingKind::Namespaced => self.list_most::<RoleBinding>(Some(labels), MOST).await,
        }
    }

    /// Opens a watch on them that goes on from `version`, and ends after `lasts`.
    pub async fn watch_bindings(
        &self,
        kind: BindingKind,
        labels: &str,
        version: String,
        lasts: Duration,
    ) -> Result<Watch, K8sError> {
        let params = watched(labels, lasts);
        let (request, read): (_, fn(&[u8]) -> Said) = match kind {
            BindingKind::Cluster => {
                (path::<ClusterRoleBinding>(None)?.watch(&params, &version), read::<ClusterRoleBinding>)
            }
            BindingKind::Namespaced => (path::<RoleBinding>(None)?.watch(&params, &version), read::<RoleBinding>),
        };
        self.watch(request, read, version).await
    }

    /// The same for Roles, or ClusterRoles.
    pub async fn watch_roles(
        &self,
        namespaced: bool,
        labels: &str,
        version: String,
        lasts: Duration,
    ) -> Result<Watch, K8sError> {
        let params = watched(labels, lasts);
        let (request, read): (_, fn(&[u8]) -> Said) = if namespaced {
            (own_roles::path::<Role>(None)?.watch(&params, &version), read_role::<Role>)
        } else {
            (own_roles::path::<ClusterRole>(None)?.watch(&params, &version), read_role::<ClusterRole>)
        };
        self.watch(request, read, version).await
    }

    async fn watch(
        &self,
        request: Result<Request<Vec<u8>>, request::Error>,
        read: fn(&[u8]) -> Said,
        version: String,
    ) -> Result<Watch, K8sError> {
        let (response, connection): Answering = self.open(request).await?;
        if !response.status().is_success() {
            let answer = self.whole(response).await?;
            answer::accepted(&answer)?;
            return Err(K8sError::Nonsense("it answers a watch with something else".into()));
        }
        Ok(Watch { body: response.into_body(), _connection: connection, read, line: Vec::new(), version })
    }
}

/// Bookmarks are asked for unless they are switched off.
fn watched(labels: &str, lasts: Duration) -> WatchParams {
    let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
    WatchParams::default().labels(labels).timeout(seconds)
}

impl Watch {
    /// Where the next watch goes on.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The next change; `None` once it has ended, or has been silent for so long that it may be dead. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Option<Change>, K8sError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                let line = std::mem::replace(&mut self.line, rest);
                let (change, version) = (self.read)(&line)?;
                if let Some(version) = version {
                    self.version = version;
                }
                return Ok(Some(change));
            }
            if self.line.len() > MAX_LINE {
                return Err(K8sError::Nonsense("a line of its watch is too long".into()));
            }
            match timeout(SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => self.line.extend(frame.data_ref().into_iter().flat_map(|data| data.iter())),
                // It ended, broke off or fell silent: another one goes on where this one stopped.
                Ok(None | Some(Err(_))) | Err(_) => return Ok(None),
            }
        }
    }
}

fn version(version: Option<String>) -> Result<Option<String>, K8sError> {
    version.map(|v| bounds::whole(v, bounds::UID, "a version")).transpose()
}

/// Reads one event about a role.
fn read_role<K: WritesRules>(line: &[u8]) -> Said {
    let of = |object: &K| version(object.metadata().resource_version.clone());
    Ok(match answer::json::<WatchEvent<K>>(line)? {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let version = of(&object)?;
            (Change::RoleStands(Box::new(own_roles::found(object)?)), version)
        }
        WatchEvent::Deleted(object) => {
            let version = of(&object)?;
            (Change::RoleGone(Box::new(own_roles::found(object)?)), version)
        }
        WatchEvent::Bookmark(mark) => (Change::Nothing, version(Some(mark.metadata.resource_version))?),
        WatchEvent::Error(_) => (Change::Lost, None),
    })
}

/// Reads one event about a binding.
fn read<K: Kind>(line: &[u8]) -> Said {
    let of = |object: &K| version(k8s_openapi::Metadata::metadata(object).resource_version.clone());
    Ok(match answer::json::<WatchEvent<K>>(line)? {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let version = of(&object)?;
            (Change::Stands(Box::new(found(object)?)), version)
        }
        WatchEvent::Deleted(object) => {
            let version = of(&object)?;
            (Change::Gone(Box::new(found(object)?)), version)
        }
        WatchEvent::Bookmark(mark) => (Change::Nothing, version(Some(mark.metadata.resource_version))?),
        // 410 mostly. Whatever it is, a list is what tells.
        WatchEvent::Error(_) => (Change::Lost, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, object: &serde_json::Value) -> Vec<u8> {
        serde_json::json!({"type": kind, "object": object}).to_string().into_bytes()
    }

    #[test]
    fn events_are_read_with_their_versions_and_an_error_says_that_the_thread_is_lost() {
        let binding = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "b", "uid": "u", "resourceVersion": "7"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
        let read = read::<ClusterRoleBinding>;
        let (change, version) = read(&event("MODIFIED", &binding)).unwrap();
        assert!(matches!(change, Change::Stands(found) if found.uid == "u" && found.subjects.is_empty()));
        assert_eq!(version.as_deref(), Some("7"));
        assert!(matches!(read(&event("DELETED", &binding)).unwrap().0, Change::Gone(_)));
        let bookmark = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"resourceVersion": "9"}, "roleRef": null});
        let (change, version) = read(&event("BOOKMARK", &bookmark)).unwrap();
        assert!(matches!(change, Change::Nothing) && version.as_deref() == Some("9"));
        let gone = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410});
        assert!(matches!(read(&event("ERROR", &gone)).unwrap(), (Change::Lost, None)));
    }

    #[test]
    fn a_role_that_changes_is_read_with_its_rules() {
        let role = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "r", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
        let (change, version) = read_role::<Role>(&event("ADDED", &role)).unwrap();
        assert!(matches!(change, Change::RoleStands(found) if found.role.rules.len() == 1 && found.uid == "u"));
        assert_eq!(version.as_deref(), Some("7"));
        assert!(matches!(read_role::<Role>(&event("DELETED", &role)).unwrap().0, Change::RoleGone(_)));
    }

    #[test]
    fn immune_23_what_is_no_event_is_nonsense() {
        let long =
            serde_json::json!({"metadata": {"resourceVersion": "9".repeat(500)}, "apiVersion": "x", "kind": "y"});
        for line in
            [b"{}".to_vec(), b"<html>".to_vec(), event("STRANGE", &serde_json::json!({})), event("BOOKMARK", &long)]
        {
            assert!(matches!(read::<RoleBinding>(&line), Err(K8sError::Nonsense(_))));
        }
    }
}
