//! Making a project's namespace where it is missing, before anything is bound in it.
//!
//! Only what is missing is made, only where the project says so, and what stands there is left as it is, whoever made it. The store has
//! a row before the API server has the namespace, so a death in between leaves one that is found again by its mark.

use std::collections::BTreeMap;

use super::{
    AccessError, Applier,
    went::{Missing, Went},
};
use crate::{
    bindings::{MANAGED_BY, MANAGED_BY_LABEL, MARK_LABEL, OWNER_LABEL},
    k8s::{ClusterClient, FoundNamespace, K8sError, Marks, PlacedNamespace},
    model::{
        grant::{Grant, Origin},
        id::ClusterId,
        project::NamespaceWish,
        role::Role,
    },
};

/// Which project a namespace was made for.
const PROJECT_LABEL: &str = "kubelend.io/project";
/// For people who meet it on the cluster: what it is.
const ABOUT: &str = "kubelend.io/about";

impl Applier {
    /// What is wished of the namespace that a grant is in, where that is a project's. One that was being made when a process died is
    /// kept, if it was.
    pub(super) async fn namespace_wish(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        cluster: ClusterId,
    ) -> Result<Option<NamespaceWish>, AccessError> {
        let Origin::Federated(wide) = grant.origin else { return Ok(None) };
        if grant.scope.is_whole_cluster() {
            return Ok(None);
        }
        let wish = self.store.namespace_wish(wide, cluster).await?;
        if let Some(begun) = &wish
            && let Some(mark) = &begun.begun
            && let Some(standing) = client.namespace(&begun.namespace, MARK_LABEL).await?
        {
            self.keep(begun, cluster, mark, &standing).await?;
        }
        Ok(wish)
    }

    /// A role that is a namespace's own stands in it: so that is made before the role is looked for. Returns why not.
    pub(super) async fn namespace_before_role(
        &self,
        client: &ClusterClient,
        grant: &Grant,
        cluster: ClusterId,
    ) -> Result<Option<Went>, AccessError> {
        if !grant.role.as_ref().is_some_and(Role::is_local) {
            return Ok(None);
        }
        match self.namespace_wish(client, grant, cluster).await? {
            Some(wish) if client.namespace(&wish.namespace, MARK_LABEL).await?.is_none() => {
                self.make_namespace(client, &wish, cluster).await
            }
            _ => Ok(None),
        }
    }

    /// Makes it, where that is wished and can be. Returns why not.
    pub(super) async fn make_namespace(
        &self,
        client: &ClusterClient,
        wish: &NamespaceWish,
        cluster: ClusterId,
    ) -> Result<Option<Went>, AccessError> {
        let missing = |why| Ok(Some(Went::NoNamespace(wish.namespace.to_string(), why)));
        if !wish.makes {
            return missing(Missing::NotAsked(wish.called.to_string()));
        }
        let Some(mark) = self.store.begin_namespace(wish, cluster).await? else {
            // Somebody else has just made it, or nobody wants it any more: the next attempt sees which.
            return Ok(Some(Went::Cluster(K8sError::NotFound)));
        };
        match client.create_namespace(&wish.namespace, &self.namespace_marks(wish, &mark), MARK_LABEL).await {
            Ok(PlacedNamespace::Created(standing) | PlacedNamespace::Exists(standing)) => {
                self.keep(wish, cluster, &mark, &standing).await?;
                Ok(None)
            }
            Err(K8sError::Forbidden(_)) => {
                self.store.forget_namespace(wish, cluster, &mark).await?;
                missing(Missing::MayNot)
            }
            // Whether it was made is not known: its mark will tell.
            Err(error) => Err(error.into()),
        }
    }

    /// Ours is what bears the mark; anything else was there before.
    async fn keep(
        &self,
        wish: &NamespaceWish,
        cluster: ClusterId,
        mark: &str,
        standing: &FoundNamespace,
    ) -> Result<(), AccessError> {
        if standing.mark.as_deref() == Some(mark) {
            self.store.keep_namespace(wish, cluster, mark, &standing.uid, self.clock.now()).await?;
        } else {
            self.store.forget_namespace(wish, cluster, mark).await?;
        }
        Ok(())
    }

    fn namespace_marks(&self, wish: &NamespaceWish, mark: &str) -> Marks {
        let labels = [
            (MANAGED_BY_LABEL, MANAGED_BY.to_owned()),
            (OWNER_LABEL, self.instance.to_string()),
            (PROJECT_LABEL, wish.project.to_string()),
            (MARK_LABEL, mark.to_owned()),
        ];
        let about = "Kubelend made this namespace for a project, and leaves it and what is in it alone from then on.";
        Marks {
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            annotations: BTreeMap::from([(ABOUT.to_owned(), about.to_owned())]),
        }
    }
}
