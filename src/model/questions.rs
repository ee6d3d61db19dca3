//! The questions about access that people care about, in their words: what each means to RBAC, and why it matters.

use super::rbac::Deed;

/// Where a question makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In a namespace, and in all of them.
    Namespaced,
    /// Of the cluster as a whole alone.
    Cluster,
}

/// A question that is asked for everybody.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// As addresses name it.
    pub id: &'static str,
    /// As the end of a sentence that begins with “can”.
    pub words: &'static str,
    /// What it amounts to, where the words do not say it.
    pub amounts_to: Option<&'static str>,
    /// Where.
    pub reach: Reach,
    /// Verb and resource: each is a part of it.
    parts: &'static [(&'static str, &'static str)],
}

impl Question {
    /// What of RBAC it is made of.
    pub fn deeds(&self) -> Vec<Deed> {
        self.parts.iter().map(|(verb, what)| Deed::new(verb, what)).collect()
    }

    /// The one of this id.
    pub fn named(id: &str) -> Option<&'static Self> {
        QUESTIONS.iter().find(|q| q.id == id)
    }
}

const fn namespaced(
    id: &'static str,
    words: &'static str,
    amounts_to: Option<&'static str>,
    parts: &'static [(&'static str, &'static str)],
) -> Question {
    Question { id, words, amounts_to, reach: Reach::Namespaced, parts }
}

const fn cluster(
    id: &'static str,
    words: &'static str,
    amounts_to: Option<&'static str>,
    parts: &'static [(&'static str, &'static str)],
) -> Question {
    Question { id, words, amounts_to, reach: Reach::Cluster, parts }
}

/// All of them: what looks first, what changes next, what amounts to owning it last.
pub static QUESTIONS: [Question; 19] = [
    namespaced("see-pods", "see pods", None, &[("list", "pods")]),
    namespaced("read-logs", "read logs", None, &[("get", "pods/log")]),
    namespaced("see-config", "see ConfigMaps", None, &[("get", "configmaps")]),
    namespaced(
        "read-secrets",
        "read Secrets",
        Some("Tokens of ServiceAccounts may be among them."),
        &[("get", "secrets"), ("list", "secrets")],
    ),
    namespaced("exec", "run commands in pods", None, &[("create", "pods/exec")]),
    namespaced("port-forward", "forward ports to pods", None, &[("create", "pods/portforward")]),
    namespaced(
        "change-workloads",
        "change workloads",
        Some("A pod can use every Secret and ServiceAccount of its namespace."),
        &[("create", "pods"), ("create", "deployments.apps"), ("patch", "deployments.apps"), ("create", "jobs.batch")],
    ),
    namespaced("delete-workloads", "delete workloads", None, &[("delete", "pods"), ("delete", "deployments.apps")]),
    namespaced(
        "change-traffic",
        "change Services and Ingresses",
        None,
        &[("create", "services"), ("create", "ingresses.networking.k8s.io")],
    ),
    namespaced(
        "act-as-accounts",
        "act as ServiceAccounts",
        Some("All that these may do, they may do as well."),
        &[("create", "serviceaccounts/token"), ("impersonate", "serviceaccounts")],
    ),
    namespaced(
        "manage-access",
        "give rights in namespaces",
        Some("Kubernetes lets nobody give more than they hold, unless they may “bind” or “escalate”."),
        &[("create", "rolebindings.rbac.authorization.k8s.io"), ("create", "roles.rbac.authorization.k8s.io")],
    ),
    cluster("see-nodes", "see nodes", None, &[("list", "nodes")]),
    cluster(
        "reach-nodes",
        "reach into nodes",
        Some("Through a node's kubelet commands run in every pod on it."),
        &[("get", "nodes/proxy"), ("create", "nodes/proxy")],
    ),
    cluster("change-nodes", "change nodes", None, &[("patch", "nodes")]),
    cluster(
        "change-namespaces",
        "make and delete namespaces",
        None,
        &[("create", "namespaces"), ("delete", "namespaces")],
    ),
    cluster(
        "manage-cluster-access",
        "give rights on the whole cluster",
        None,
        &[
            ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
            ("create", "clusterroles.rbac.authorization.k8s.io"),
            ("bind", "clusterroles.rbac.authorization.k8s.io"),
        ],
    ),
    cluster(
        "act-as-people",
        "act as other people",
        Some("As anybody, the cluster's owners among them."),
        &[("impersonate", "users"), ("impersonate", "groups")],
    ),
    cluster(
        "sign-certificates",
        "sign certificates",
        Some("Both together amount to owning the cluster."),
        &[
            ("approve", "signers.certificates.k8s.io"),
            ("update", "certificatesigningrequests.certificates.k8s.io/approval"),
        ],
    ),
    namespaced("everything", "do everything", Some("That amounts to owning it."), &[("*", "*.*")]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_its_own_name_and_something_to_ask() {
        for question in &QUESTIONS {
            assert_eq!(QUESTIONS.iter().filter(|q| q.id == question.id || q.words == question.words).count(), 1);
            assert!(!question.deeds().is_empty() && question.deeds().len() <= 4, "{}", question.id);
            assert_eq!(Question::named(question.id).map(|q| q.words), Some(question.words));
            for (verb, what) in question.parts {
                assert_eq!(Deed::parse(verb, what), Ok(Deed::new(verb, what)), "{}", question.id);
            }
        }
        assert!(Question::named("").is_none());
    }
}
