//! What all pages of one cluster share: who looks at it and what they may, and the head with its tabs.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts as RequestParts,
    response::{IntoResponse, Response},
};

use crate::{
    model::{
        cluster::{Cluster, ConnectionCheck, Removal},
        id::ClusterId,
        name::ClusterName,
        time::Timestamp,
        workspace::MemberRole,
    },
    policy::{self, Authorized, Forbidden, ManageAccess, ManageCluster, ViewCluster},
    web::{
        Parts,
        errors::PageError,
        frame::{Frame, Nav},
        labels::{Health, outcome_class},
        paths,
        session::SignedIn,
    },
};

/// A cluster that somebody looks at, from the address of the page.
#[derive(Debug)]
pub struct AtCluster {
    /// Who looks.
    pub who: SignedIn,
    /// That they may.
    pub seen: Authorized<ViewCluster>,
    /// Its last connection check.
    pub check: Option<ConnectionCheck>,
    /// The time of this page.
    pub now: Timestamp,
    member: Option<MemberRole>,
}

#[derive(serde::Deserialize)]
struct ClusterPath {
    cluster: ClusterId,
}

impl FromRequestParts<Parts> for AtCluster {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Response> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        let path = Path::<ClusterPath>::from_request_parts(parts, state).await;
        let Path(ClusterPath { cluster }) = path.map_err(|_| PageError::not_found().into_response())?;
        load(who, cluster, state).await.map_err(IntoResponse::into_response)
    }
}

async fn load(who: SignedIn, id: ClusterId, state: &Parts) -> Result<AtCluster, PageError> {
    let seen = state.gate.view_cluster(&who.person, id).await?;
    let member = state.store.membership(seen.cluster().workspace, who.person.identity()).await?;
    let check = state.store.checks(&[id]).await?.pop().map(|(_, stored)| stored.check);
    Ok(AtCluster { who, seen, check, now: state.clock.now(), member })
}

impl AtCluster {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        self.seen.cluster()
    }

    /// Its id.
    pub fn id(&self) -> ClusterId {
        self.cluster().id
    }

    /// May they give and take access here?
    pub fn manage_access(&self) -> Result<Authorized<ManageAccess>, Forbidden> {
        policy::manage_access(&self.who.person, self.cluster().clone(), self.member)
    }

    /// May they change the cluster itself?
    pub fn manage(&self) -> Result<Authorized<ManageCluster>, Forbidden> {
        policy::manage_cluster(&self.who.person, self.cluster().clone(), self.member)
    }

    /// What `base.html` needs.
    pub fn frame(&self) -> Frame {
        Frame::new(&self.who, Nav::Clusters)
    }

    /// The head of the page behind this tab.
    pub fn head(&self, tab: Tab) -> Head {
        let may = |tab: &Tab| match tab {
            Tab::Overview | Tab::Access | Tab::Activity => true,
            Tab::Links | Tab::Devices => self.manage_access().is_ok(),
            Tab::Credentials | Tab::Settings => self.manage().is_ok(),
        };
        Head::new(self.cluster(), self.check.as_ref(), self.now, tab, may)
    }
}

/// A page of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// Health, who can do what, lately.
    Overview,
    /// Who has access.
    Access,
    /// Share links.
    Links,
    /// The kubeconfigs that people hold.
    Devices,
    /// What Kubelend holds.
    Credentials,
    /// What happened.
    Activity,
    /// Name, claim mappings, removal.
    Settings,
}

impl Tab {
    const ALL: [Self; 7] =
        [Self::Overview, Self::Access, Self::Links, Self::Devices, Self::Credentials, Self::Activity, Self::Settings];

    fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Access => "Access",
            Self::Links => "Share links",
            Self::Devices => "Devices",
            Self::Credentials => "Credentials",
            Self::Activity => "Activity",
            Self::Settings => "Settings",
        }
    }

    fn path(self, cluster: ClusterId) -> String {
        match self {
            Self::Overview => paths::cluster(cluster),
            Self::Access => paths::access(cluster),
            Self::Links => paths::links(cluster),
            Self::Devices => paths::devices(cluster),
            Self::Credentials => paths::credentials(cluster),
            Self::Activity => paths::activity(cluster),
            Self::Settings => paths::settings(cluster),
        }
    }
}

/// A tab as the page links it.
#[derive(Clone, Debug)]
pub struct TabLink {
    /// Its words.
    pub label: &'static str,
    /// Where it leads.
    pub href: String,
    /// Whether this is it.
    pub current: bool,
}

/// The head that all pages of a cluster have.
#[derive(Clone, Debug)]
pub struct Head {
    /// The cluster's name.
    pub name: ClusterName,
    /// The page's.
    pub title: &'static str,
    /// The pages that the person may see.
    pub tabs: Vec<TabLink>,
    /// How the connection is.
    pub health: Health,
    /// The API server's version, where it is known.
    pub version: Option<String>,
    /// What is said while the cluster is on its way out.
    pub removing: Option<&'static str>,
}

impl Head {
    fn new(
        cluster: &Cluster,
        check: Option<&ConnectionCheck>,
        now: Timestamp,
        tab: Tab,
        may: impl Fn(&Tab) -> bool,
    ) -> Self {
        let tabs = Tab::ALL.into_iter().filter(may);
        Self {
            name: cluster.name.clone(),
            title: tab.label(),
            tabs: tabs.map(|t| TabLink { label: t.label(), href: t.path(cluster.id), current: t == tab }).collect(),
            health: Health::of(check, now),
            version: check.and_then(|c| c.version.clone()),
            removing: cluster.removing.map(removing_words),
        }
    }

    /// As somebody sees it who may see nothing else, to be filled in.
    pub(super) fn of(cluster: &Cluster, now: Timestamp, tab: Tab) -> Self {
        Self::new(cluster, None, now, tab, |t| *t == tab)
    }

    /// The state's style.
    pub fn class(&self) -> &'static str {
        outcome_class(self.health.outcome)
    }
}

fn removing_words(how: Removal) -> &'static str {
    match how {
        Removal::Purge => {
            "This cluster is being removed. It goes from this list as soon as Kubelend’s bindings are off it; while it cannot be reached, Kubelend keeps trying."
        }
        Removal::Leave => "This cluster is being removed. Kubelend’s bindings stay on it.",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{
        cluster::Endpoint,
        id::{IdentityId, WorkspaceId},
    };

    /// A cluster to draw.
    pub(in crate::web) fn cluster(name: &str) -> Cluster {
        Cluster {
            id: ClusterId::new(),
            workspace: WorkspaceId::new(),
            name: name.parse().unwrap(),
            endpoint: Endpoint {
                server: "https://10.0.0.1:6443".parse().unwrap(),
                ca_pem: Some("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".into()),
                tls_server_name: None,
            },
            trusts: vec![("dex".parse().unwrap(), crate::model::claim_mapping::ClaimMapping::default())],
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(1_795_000_000),
            formats: Vec::new(),
            labels: crate::model::project::Labels::default(),
            removing: None,
        }
    }

    /// Its head, as its owner sees it.
    pub(in crate::web) fn head(cluster: &Cluster, check: Option<&ConnectionCheck>, now: Timestamp, tab: Tab) -> Head {
        Head::new(cluster, check, now, tab, |_| true)
    }

    #[test]
    fn tabs_lead_only_where_the_person_may_go() {
        let staging = cluster("staging");
        let now = Timestamp::from_secs(1_795_392_000);
        let viewer =
            Head::new(&staging, None, now, Tab::Access, |t| matches!(t, Tab::Overview | Tab::Access | Tab::Activity));
        assert_eq!(viewer.tabs.iter().map(|t| t.label).collect::<Vec<_>>(), ["Overview", "Access", "Activity"]);
        assert_eq!(viewer.tabs.iter().filter(|t| t.current).map(|t| t.label).collect::<Vec<_>>(), ["Access"]);
    }
}
