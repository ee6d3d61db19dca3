//! Watching bindings: what changes on a cluster is told by the API server, so that nobody has to ask again and again.
//!
//! A watch is one long answer, an event a line, on a connection of its own. It ends by itself after the time that was asked for;
//! whoever holds it opens another where it stopped. A version that the API server no longer has is [`Lost`](Change::Lost): then
//! only a list tells what stands. What an event says is foreign text: a line has a bound, and is read into types.

use std::{fmt, time::Duration};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::core::{WatchEvent, params::WatchParams};
use tokio::time::timeout;

use super::{
    ClusterClient, FoundBinding, K8sError, Standing, answer,
    bindings::{Kind, found, path},
    bounds,
    idle::Connection,
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
        let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
        // Bookmarks are asked for unless they are switched off.
        let params = WatchParams::default().labels(labels).timeout(seconds);
        let (request, read): (_, fn(&[u8]) -> Said) = match kind {
            BindingKind::Cluster => {
                (path::<ClusterRoleBinding>(None)?.watch(&params, &version), read::<ClusterRoleBinding>)
            }
            BindingKind::Namespaced => (path::<RoleBinding>(None)?.watch(&params, &version), read::<RoleBinding>),
        };
        let (response, connection): Answering = self.open(request).await?;
        if !response.status().is_success() {
            let answer = self.whole(response).await?;
            answer::accepted(&answer)?;
            return Err(K8sError::Nonsense("it answers a watch with something else".into()));
        }
        Ok(Watch { body: response.into_body(), _connection: connection, read, line: Vec::new(), version })
    }
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

/// Reads one event.
fn read<K: Kind>(line: &[u8]) -> Said {
    let version = |version: Option<String>| version.map(|v| bounds::whole(v, bounds::UID, "a version")).transpose();
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
