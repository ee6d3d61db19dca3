//! Clusters: API servers that Kubelend can reach, and what is known of the way there.

use secrecy::SecretString;
use url::Url;

use super::{
    claim_mapping::ClaimMapping,
    device::Format,
    id::{ClusterId, IdentityId, WorkspaceId},
    identity::Identity,
    name::ClusterName,
    project::Labels,
    provider::ProviderId,
    subject::{Subject, SubjectKind},
    time::Timestamp,
};

/// Where an API server is and whom to believe there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://…`, without user, query or fragment.
    pub server: Url,
    /// The CA as PEM; `None` for one that public authorities signed.
    pub ca_pem: Option<String>,
    /// The name to ask for and verify in TLS, where it is not the server's host.
    pub tls_server_name: Option<String>,
}

/// What Kubelend shows to an API server to act by itself there.
#[derive(Clone, Debug)]
pub enum ClusterCredential {
    /// A bearer token, a ServiceAccount's for choice.
    Token(SecretString),
    /// A client certificate with its key, both PEM.
    ClientCertificate {
        /// The chain.
        certificate: String,
        /// The private key.
        key: SecretString,
    },
}

/// What a credential is, without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A bearer token.
    Token,
    /// A client certificate.
    ClientCertificate,
}

impl CredentialKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ClientCertificate => "client_certificate",
        }
    }

    /// As stored.
    pub fn parse(s: &str) -> Option<Self> {
        [Self::Token, Self::ClientCertificate].into_iter().find(|x| x.as_str() == s)
    }
}

impl ClusterCredential {
    /// What it is.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Token(_) => CredentialKind::Token,
            Self::ClientCertificate { .. } => CredentialKind::ClientCertificate,
        }
    }
}

/// A cluster as it is stored. Its credential is sealed and kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// Its name; unique in its workspace, whatever the case.
    pub name: ClusterName,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Providers that it trusts, each with what it makes of that provider's tokens; sorted by provider.
    pub trusts: Vec<(ProviderId, ClaimMapping)>,
    /// Who added it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// Which formats of kubeconfig its owners offer; none for all that there are.
    pub formats: Vec<Format>,
    /// What its owners say of it; projects select by these.
    pub labels: Labels,
    /// Set once somebody has asked to remove it: nothing new is granted on it.
    pub removing: Option<Removal>,
}

/// What to do with Kubelend's bindings when a cluster goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Take them along.
    Purge,
    /// Leave them on the cluster.
    Leave,
}

impl Cluster {
    /// Whether its owners offer this format.
    pub fn offers(&self, format: Format) -> bool {
        self.formats.is_empty() || self.formats.contains(&format)
    }

    /// What it makes of a provider's tokens, if it trusts that provider.
    pub fn mapping(&self, provider: &ProviderId) -> Option<&ClaimMapping> {
        self.trusts.iter().find(|(id, _)| id == provider).map(|(_, mapping)| mapping)
    }

    /// Whether a name that it gives somebody of this provider reads like one of another provider's: that one's prefix is longer and
    /// the name goes on with it, as the group `payments:ops` behind `oidc:` does where another's groups stand behind `oidc:payments:`.
    /// RBAC could not tell the two.
    pub fn reads_as_anothers(&self, provider: &ProviderId, subject: &Subject) -> bool {
        let prefix = |mapping: &ClaimMapping| match subject.kind {
            SubjectKind::Group => mapping.groups_prefix.clone(),
            SubjectKind::User | SubjectKind::ServiceAccount => mapping.username_prefix.clone(),
        };
        let Some(own) = self.mapping(provider).map(prefix) else { return false };
        let others = self.trusts.iter().filter(|(id, _)| id != provider).map(|(_, mapping)| prefix(mapping));
        let mut longer = others.filter(|other| other.len() > own.len());
        longer.any(|other| subject.name.starts_with(&other))
    }

    /// The same of any name that somebody has there: their own, or that of one of their groups.
    pub fn takes_for_another(&self, identity: &Identity) -> bool {
        let Some(mapping) = self.mapping(&identity.provider) else { return false };
        let own = mapping.username(identity).ok().map(Subject::user);
        let groups = mapping.groups(identity).into_iter().map(Subject::group);
        own.into_iter().chain(groups).any(|subject| self.reads_as_anothers(&identity.provider, &subject))
    }
}

/// How one step of a connection check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// Not begun.
    Waiting,
    /// Good.
    Passed,
    /// Works, with a word to say.
    Warned,
    /// Does not work.
    Failed,
    /// Not asked, since an earlier step failed.
    Skipped,
}

/// One step of a connection check, as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckStep {
    /// What was asked: “Address reached”, “Read ClusterRoleBindings”, …
    pub title: String,
    /// How it went.
    pub outcome: StepOutcome,
    /// What was seen or what stands in the way, in people's words.
    pub detail: String,
    /// What to paste where something is missing: a command or a manifest.
    pub remedy: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// A connection check: the last one of a cluster is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionCheck {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<Timestamp>,
    /// Its steps so far, in order.
    pub steps: Vec<CheckStep>,
    /// The API server's version, once seen: `v1.36.3`.
    pub version: Option<String>,
}

impl ConnectionCheck {
    /// The worst of its steps' outcomes: failed, warned, waiting, passed.
    pub fn outcome(&self) -> StepOutcome {
        let has = |o| self.steps.iter().any(|s| s.outcome == o);
        if has(StepOutcome::Failed) {
            StepOutcome::Failed
        } else if self.finished_at.is_none() {
            StepOutcome::Waiting
        } else if has(StepOutcome::Warned) {
            StepOutcome::Warned
        } else {
            StepOutcome::Passed
        }
    }
}
