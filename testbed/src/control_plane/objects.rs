//! All objects of a cluster, to tell what was added to it and to take that away again.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::Value;

use super::Server;
use crate::ready::eventually;

/// How long the controllers may take with what comes with a namespace, or goes with it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long they may take with roles that are made of others.
const SETTLING: Duration = Duration::from_secs(5);

/// What comes and goes by itself.
const RESTLESS: [&str; 2] = ["events", "leases"];

/// What is on a cluster.
pub(super) struct Objects {
    kinds: Vec<Kind>,
    found: BTreeMap<String, Value>,
}

/// A resource that can be listed and deleted.
struct Kind {
    /// Of its group and version, `/apis/rbac.authorization.k8s.io/v1`.
    prefix: String,
    /// As in an address, `clusterroles`.
    plural: String,
}

impl Objects {
    /// What is on a cluster that has just been started, once its controllers have given each namespace what it gets.
    pub(super) async fn of_a_new(server: &Server) -> Result<Self> {
        let api = Api::of(server)?;
        let kinds = api.kinds().await?;
        eventually("the namespaces to have what they get", PATIENCE, async || {
            let found = api.all(&kinds).await?;
            let namespaces: Vec<&str> = found.keys().filter_map(|path| path.strip_prefix(NAMESPACES)).collect();
            for namespace in namespaces.iter().filter(|rest| !rest.contains('/')) {
                for part in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
                    ensure!(found.contains_key(&format!("{NAMESPACES}{namespace}/{part}")), "{namespace}: no {part}");
                }
            }
            ensure!(namespaces.contains(&"kube-public"), "no kube-public yet");
            Ok(found)
        })
        .await
        .map(|found| Self { kinds, found })
    }

    /// Deletes what is on the cluster besides, and waits until all is as it was.
    ///
    /// # Errors
    /// Something that was there has been changed or is gone; something does not go.
    pub(super) async fn restore(&self, server: &Server) -> Result<()> {
        let api = Api::of(server)?;
        let now = api.all(&self.kinds).await?;
        let added = || now.keys().filter(|path| !self.found.contains_key(*path));
        let namespaces: Vec<&String> = added().filter(|path| is_namespace(path)).collect();
        let goes_with_one = |path: &str| namespaces.iter().any(|namespace| path.starts_with(&format!("{namespace}/")));
        for path in added().filter(|path| !goes_with_one(path)) {
            api.delete(path).await?;
        }
        for namespace in &namespaces {
            eventually("a namespace to be gone", PATIENCE, || api.is_gone(namespace)).await?;
        }
        eventually("the cluster to be as it was", SETTLING, async || {
            let now = api.all(&self.kinds).await?;
            for (path, then) in &self.found {
                ensure!(now.get(path) == Some(then), "{path} was {then}, is {:?}", now.get(path));
            }
            let more: Vec<&String> = now.keys().filter(|path| !self.found.contains_key(*path)).collect();
            ensure!(more.is_empty(), "there is still {more:?}");
            Ok(())
        })
        .await
    }
}

const NAMESPACES: &str = "/api/v1/namespaces/";

fn is_namespace(path: &str) -> bool {
    path.strip_prefix(NAMESPACES).is_some_and(|rest| !rest.contains('/'))
}

/// The API of a cluster, as an admin.
struct Api {
    client: Client,
    url: String,
}

impl Api {
    fn of(server: &Server) -> Result<Self> {
        Ok(Self { client: server.client()?, url: server.url() })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.client.delete(format!("{}{path}", self.url)).send().await?;
        let status = answer.status();
        ensure!(status.is_success() || status == StatusCode::NOT_FOUND, "delete {path}: {}", answer.text().await?);
        Ok(())
    }

    async fn is_gone(&self, path: &str) -> Result<()> {
        let status = self.client.get(format!("{}{path}", self.url)).send().await?.status();
        ensure!(status == StatusCode::NOT_FOUND, "{path}: {status}");
        Ok(())
    }

    /// What can be listed and deleted, each in the version that its group prefers.
    async fn kinds(&self) -> Result<Vec<Kind>> {
        let groups = self.get("/apis").await?;
        let groups = groups["groups"].as_array().context("a cluster has API groups")?;
        let preferred = groups.iter().filter_map(|group| group["preferredVersion"]["groupVersion"].as_str());
        let prefixes = ["/api/v1".to_owned()].into_iter().chain(preferred.map(|version| format!("/apis/{version}")));
        let mut kinds = Vec::new();
        for prefix in prefixes {
            let list = self.get(&prefix).await?;
            let can = |resource: &Value, verb: &str| {
                resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|v| v == verb))
            };
            for resource in list["resources"].as_array().into_iter().flatten() {
                let plural = resource["name"].as_str().context("a resource has a name")?;
                if can(resource, "list") && can(resource, "delete") && !RESTLESS.contains(&plural) {
                    kinds.push(Kind { prefix: prefix.clone(), plural: plural.to_owned() });
                }
            }
        }
        Ok(kinds)
    }

    /// All objects by their paths, without what changes by itself.
    async fn all(&self, kinds: &[Kind]) -> Result<BTreeMap<String, Value>> {
        let mut found = BTreeMap::new();
        for Kind { prefix, plural } in kinds {
            let mut list = self.get(&format!("{prefix}/{plural}")).await?;
            for mut object in list["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                let metadata = object["metadata"].as_object_mut().context("an object has metadata")?;
                for restless in ["resourceVersion", "managedFields", "generation"] {
                    metadata.remove(restless);
                }
                let name = metadata["name"].as_str().context("an object has a name")?;
                let path = match metadata.get("namespace").and_then(Value::as_str) {
                    Some(namespace) => format!("{prefix}/namespaces/{namespace}/{plural}/{name}"),
                    None => format!("{prefix}/{plural}/{name}"),
                };
                object.as_object_mut().map(|object| object.remove("status"));
                found.insert(path, object);
            }
        }
        Ok(found)
    }
}
