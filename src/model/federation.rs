//! Grants that are more than one grant on one cluster: everywhere, in a workspace, in a project, or to a Group.
//!
//! A federated grant is written out as a grant on each cluster that it reaches (its *placements*), one for each member where it is
//! to a Group, and those are brought to their clusters like any other. Which those are is a pure function of the grant, the
//! cluster, the projects and the Group's members.

use super::{
    cluster::Cluster,
    grant::EndReason,
    group::Holder,
    id::{ClusterId, FederatedGrantId, IdentityId, ProjectId, WorkspaceId},
    name::Namespace,
    project::Project,
    reason::Reason,
    role::Role,
    scope::Scope,
    time::Timestamp,
};

/// How far a federated grant reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WideScope {
    /// Every cluster there is, and those to come.
    Global,
    /// Every cluster of a workspace, and those to come.
    Workspace(WorkspaceId),
    /// The namespace of a project on each of its clusters, and those to come.
    Project(ProjectId),
    /// One cluster, where it is to a Group: the whole of it, or the grant's namespaces.
    Cluster(ClusterId),
}

/// A grant that is written out as several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedGrant {
    /// Its id; its placements say it as their origin.
    pub id: FederatedGrantId,
    /// How far it reaches.
    pub scope: WideScope,
    /// In which namespaces, where its scope is one cluster; empty for the whole of it.
    pub namespaces: Vec<Namespace>,
    /// Whom it is for.
    pub grantee: Holder,
    /// The role.
    pub role: Role,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Why it was made, in its maker's words.
    pub reason: Option<Reason>,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// Why it ended, once it has.
    pub ended: Option<EndReason>,
}

impl FederatedGrant {
    /// Whether it is wanted at this moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Where on this cluster it reaches; `None` where it does not. `project` is the one that its scope names, if it names one. A
    /// cluster that is on its way out gets nothing new and loses what it has with its own removal.
    pub fn placement(&self, cluster: &Cluster, project: Option<&Project>) -> Option<Scope> {
        if self.ended.is_some() || cluster.removing.is_some() {
            return None;
        }
        match self.scope {
            WideScope::Global => Some(Scope::Cluster(cluster.id)),
            WideScope::Workspace(id) => (cluster.workspace == id).then_some(Scope::Cluster(cluster.id)),
            WideScope::Project(id) => project
                .filter(|project| project.id == id && project.is_on(cluster))
                .map(|project| Scope::Namespaces(cluster.id, vec![project.namespace.clone()])),
            WideScope::Cluster(id) => (cluster.id == id).then(|| Scope::new(id, self.namespaces.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        cluster::{Endpoint, Removal},
        grant::Grantee,
        project::{Labels, Placement},
    };

    fn cluster(workspace: WorkspaceId, labels: &str) -> Cluster {
        Cluster {
            id: ClusterId::new(),
            workspace,
            name: "c".parse().unwrap(),
            endpoint: Endpoint { server: "https://k8s.example".parse().unwrap(), ca_pem: None, tls_server_name: None },
            trusts: Vec::new(),
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            formats: Vec::new(),
            labels: labels.parse().unwrap(),
            removing: None,
        }
    }

    fn grant(scope: WideScope) -> FederatedGrant {
        FederatedGrant {
            id: FederatedGrantId::new(),
            scope,
            namespaces: Vec::new(),
            grantee: Grantee::Group("dex".parse().unwrap(), "devs".into()).into(),
            role: Role::View,
            expires_at: None,
            reason: None,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            ended: None,
        }
    }

    #[test]
    fn a_wide_grant_reaches_what_its_scope_takes_in_and_nothing_else() {
        let (home, away) = (WorkspaceId::new(), WorkspaceId::new());
        let (here, there) = (cluster(home, "env=prod"), cluster(away, "env=prod"));
        assert_eq!(grant(WideScope::Global).placement(&there, None), Some(Scope::Cluster(there.id)));
        let of_home = grant(WideScope::Workspace(home));
        assert_eq!(of_home.placement(&here, None), Some(Scope::Cluster(here.id)));
        assert_eq!(of_home.placement(&there, None), None);

        let shop = Project {
            takes: crate::model::project::Takes::default(),
            makes_namespace: false,
            id: ProjectId::new(),
            workspace: home,
            name: "Shop".parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement: Placement::Labelled("env=prod".parse::<Labels>().unwrap()),
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        };
        let of_shop = grant(WideScope::Project(shop.id));
        let namespaces = |c: &Cluster| Some(Scope::Namespaces(c.id, vec!["shop".parse().unwrap()]));
        assert_eq!(of_shop.placement(&here, Some(&shop)), namespaces(&here));
        assert_eq!(of_shop.placement(&there, Some(&shop)), None, "labels do not reach into another workspace");
        assert_eq!(of_shop.placement(&cluster(home, ""), Some(&shop)), None);
        assert_eq!(of_shop.placement(&here, None), None, "a project that is gone is nowhere");
    }

    #[test]
    fn a_grant_on_one_cluster_reaches_its_namespaces_there_and_nothing_elsewhere() {
        let (here, there) = (cluster(WorkspaceId::new(), ""), cluster(WorkspaceId::new(), ""));
        let mut one = grant(WideScope::Cluster(here.id));
        assert_eq!(one.placement(&here, None), Some(Scope::Cluster(here.id)));
        one.namespaces = vec!["shop".parse().unwrap()];
        assert_eq!(one.placement(&here, None), Some(Scope::Namespaces(here.id, one.namespaces.clone())));
        assert_eq!(one.placement(&there, None), None);
    }

    #[test]
    fn what_has_ended_and_what_is_leaving_takes_nothing() {
        let mut here = cluster(WorkspaceId::new(), "");
        let mut all = grant(WideScope::Global);
        all.ended = Some(EndReason::Revoked);
        assert_eq!(all.placement(&here, None), None);
        here.removing = Some(Removal::Leave);
        assert_eq!(grant(WideScope::Global).placement(&here, None), None);
    }
}
