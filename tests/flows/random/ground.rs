//! A cluster as somebody sees it who may do everything there: what stands for the people of a test, and what can be done to it
//! behind Kubelend's back.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testbed::ControlPlane;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A binding that names one of the test's people.
#[derive(Clone, Debug)]
pub struct Standing {
    /// None: cluster-wide.
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub version: String,
    pub role: String,
    pub subjects: Vec<String>,
    pub labels: Value,
}

impl Standing {
    fn read(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subject = |subject: &Value| match text(&subject["namespace"]) {
            namespace if namespace.is_empty() => format!("{} {}", text(&subject["kind"]), text(&subject["name"])),
            namespace => format!("{} {namespace}/{}", text(&subject["kind"]), text(&subject["name"])),
        };
        let meta = &object["metadata"];
        Self {
            namespace: text(&meta["namespace"]),
            name: text(&meta["name"]),
            uid: text(&meta["uid"]),
            version: text(&meta["resourceVersion"]),
            role: text(&object["roleRef"]["name"]),
            subjects: object["subjects"].as_array().into_iter().flatten().map(subject).collect(),
            labels: meta["labels"].clone(),
        }
    }
}

/// A cluster.
pub struct Ground {
    http: Client,
    url: String,
    /// What the names of the test's people and groups have in common.
    mark: String,
}

impl Ground {
    pub fn new(cluster: &ControlPlane, mark: &str) -> Result<Self> {
        Ok(Self { http: cluster.admin_client()?, url: cluster.server_url().to_owned(), mark: mark.to_owned() })
    }

    fn bindings(&self, namespace: &str) -> String {
        match namespace {
            "" => format!("{}{RBAC}/clusterrolebindings", self.url),
            namespace => format!("{}{RBAC}/namespaces/{namespace}/rolebindings", self.url),
        }
    }

    pub async fn make_namespace(&self, name: &str) -> Result<()> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let answer = self.http.post(format!("{}/api/v1/namespaces", self.url)).json(&body).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    /// All bindings that name one of the test's people, whoever made them.
    pub async fn standing(&self) -> Result<Vec<Standing>> {
        let mut all = Vec::new();
        for kind in ["clusterrolebindings", "rolebindings"] {
            let list: Value = self.http.get(format!("{}{RBAC}/{kind}", self.url)).send().await?.json().await?;
            let items = list["items"].as_array().context("a list has items")?;
            let ours = items.iter().map(Standing::read);
            all.extend(ours.filter(|found| found.subjects.iter().any(|subject| subject.contains(&self.mark))));
        }
        Ok(all)
    }

    /// Changes one; one that is gone meanwhile is left so.
    pub async fn patch(&self, at: &Standing, change: &Value) -> Result<()> {
        let url = format!("{}/{}", self.bindings(&at.namespace), at.name);
        let request = self.http.patch(url).header("content-type", "application/merge-patch+json");
        let answer = request.body(change.to_string()).send().await?;
        let status = answer.status();
        let gone = [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&status);
        ensure!(status.is_success() || gone, "{status}: {}", answer.text().await?);
        Ok(())
    }

    /// Deletes this very one; one that is gone meanwhile, or another one by now, is left.
    pub async fn delete(&self, at: &Standing) -> Result<()> {
        let url = format!("{}/{}", self.bindings(&at.namespace), at.name);
        let answer = self.http.delete(url).json(&json!({"preconditions": {"uid": at.uid}})).send().await?;
        let status = answer.status();
        let gone = [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&status);
        ensure!(status.is_success() || gone, "{status}: {}", answer.text().await?);
        Ok(())
    }

    /// Makes one; nothing where one of that name stands.
    pub async fn make(&self, namespace: &str, name: &str, labels: &Value, who: &str) -> Result<Option<Standing>> {
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let api = "rbac.authorization.k8s.io";
        let body = json!({
            "apiVersion": format!("{api}/v1"), "kind": kind, "metadata": {"name": name, "labels": labels},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": api, "kind": "User", "name": who}],
        });
        let answer = self.http.post(self.bindings(namespace)).json(&body).send().await?;
        let status = answer.status();
        if status == StatusCode::CONFLICT {
            return Ok(None);
        }
        let made: Value = answer.json().await?;
        ensure!(status.is_success(), "{status}: {made}");
        Ok(Some(Standing::read(&made)))
    }
}
