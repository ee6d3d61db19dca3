//! Kubeconfigs for people: tested with their own token, then handed out.
//!
//! The provider's refresh token may be used by one holder alone. Until the file leaves Kubelend, Kubelend is that holder and
//! keeps the tokens fresh; once it has left, only kubectl may refresh, so Kubelend does not touch the token again: the same
//! file is handed out again while its ID token lives (no copy can have refreshed yet), and after that a new sign-in makes a
//! new one.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{AccessError, audit, living::Living};
use crate::{
    clock::Clock,
    crypto::Keyring,
    k8s::{ClusterClient, Connector, K8sError, ResourceQuestion, Shown, UserInfo},
    kubeconfig::{ProviderKubeconfig, safe_commands},
    model::{
        audit::Action, grant::Grant, provider::KubeconfigIssuer, role::Role, time::Timestamp, token_set::TokenSet,
    },
    oidc::Providers,
    policy::{Authorized, Forbidden, HoldKubeconfig},
    store::{Store, StoreError},
};

/// How long the connection test may take, the wait for the API server's RBAC cache included.
const TEST_BOUND: Duration = Duration::from_millis(2_300);
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

/// What the cluster says to the person's own token.
#[derive(Clone, Debug)]
pub enum ConnectionTest {
    /// It knows them.
    Works {
        /// Who they are there.
        user: UserInfo,
        /// What they may do, of what their grants promise.
        rights: Vec<TestedRight>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// It does not, and why.
    Fails(K8sError),
    /// Kubelend has no living ID token of theirs to ask with.
    NoToken,
}

/// A kubeconfig to hand out.
#[derive(Debug)]
pub struct Issued {
    /// The file.
    pub yaml: SecretString,
    /// `kubeconfig-NAME.yaml`.
    pub file_name: String,
    /// The same as `kubectl config` commands.
    pub commands: SecretString,
    /// The same without tokens, to be shown.
    pub yaml_without_tokens: String,
    /// When the ID token inside ends.
    pub token_expires_at: Timestamp,
    /// Whether kubectl can renew it by itself.
    pub renews: bool,
}

/// Kubeconfigs.
#[derive(Clone, Debug)]
pub struct Kubeconfigs {
    store: Store,
    living: Living,
    connector: Connector,
    providers: Providers,
    clock: Clock,
}

impl Kubeconfigs {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, connector: Connector, providers: Providers, clock: Clock) -> Self {
        let living = Living::new(store.clone(), keyring, providers.clone(), clock.clone());
        Self { store, living, connector, providers, clock }
    }

    /// Asks the cluster with the person's own token who they are and what they may do. At most about 2.5 s.
    pub async fn test(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        grants: &[Grant],
        token_key: &str,
    ) -> Result<ConnectionTest, AccessError> {
        let begun = self.clock.now();
        let set = match self.own_tokens(permit, token_key).await {
            Ok(set) => set,
            Err(AccessError::SignInAgain | AccessError::Provider(_)) => return Ok(ConnectionTest::NoToken),
            Err(e) => return Err(e),
        };
        let shown = Shown::IdToken(set.tokens.id_token);
        let client = match self.connector.client(&permit.cluster().endpoint, shown, TEST_BOUND) {
            Ok(client) => client,
            Err(e) => return Ok(ConnectionTest::Fails(e)),
        };
        let asked = tokio::time::timeout(TEST_BOUND, ask(&client, grants)).await;
        let millis = u64::try_from(self.clock.now().since(begun).as_millis()).unwrap_or(u64::MAX);
        Ok(match asked {
            Ok(Ok((user, rights))) => ConnectionTest::Works { user, rights, millis },
            Ok(Err(e)) => ConnectionTest::Fails(e),
            Err(_) => ConnectionTest::Fails(K8sError::TimedOut),
        })
    }

    /// Whether [`issue`](Self::issue) would succeed now, without asking the provider.
    pub async fn can_issue(&self, permit: &Authorized<HoldKubeconfig>, token_key: &str) -> Result<bool, AccessError> {
        match self.living.look(token_key).await {
            Ok(set) => {
                let offline = set.tokens.refresh_token.is_some() || set.asked_offline;
                Ok(self.is_theirs(permit, &set) && offline && self.living.can_live(&set))
            }
            Err(AccessError::SignInAgain) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The file without tokens, to be shown before it is fetched; changes nothing.
    pub fn preview(&self, permit: &Authorized<HoldKubeconfig>) -> Result<String, AccessError> {
        let nothing = SecretString::from(String::new());
        let issuer = self.issuer(permit)?;
        Ok(file(permit, &issuer, &nothing, Some(&nothing)).to_yaml_without_tokens())
    }

    /// Makes the file and writes down that it left.
    ///
    /// # Errors
    /// [`AccessError::SignInAgain`] where the session's tokens cannot make one (any more).
    pub async fn issue(&self, permit: &Authorized<HoldKubeconfig>, token_key: &str) -> Result<Issued, AccessError> {
        // Tokens of a plain sign-in would make a file that dies with its ID token: sign in for a kubeconfig then. But where
        // even that gave no refresh token (the provider offers none), the short file is all there is, and the page says so.
        for _ in 0..3 {
            let set = self.own_tokens(permit, token_key).await?;
            if set.tokens.refresh_token.is_none() && !set.asked_offline {
                return Err(AccessError::SignInAgain);
            }
            let cluster = permit.cluster();
            let event = audit::by(
                permit.person(),
                Action::KubeconfigIssued,
                format!("{} for {}", permit.person().identity().display(), cluster.name),
            );
            match self.store.mark_handed_out(token_key, set.version, cluster.id, event, self.clock.now()).await {
                Ok(()) => return self.issued(permit, &set),
                // Another request refreshed or handed out in between: look again.
                Err(StoreError::Stale) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(AccessError::SignInAgain)
    }

    fn issued(&self, permit: &Authorized<HoldKubeconfig>, set: &TokenSet) -> Result<Issued, AccessError> {
        let issuer = self.issuer(permit)?;
        let file = file(permit, &issuer, &set.tokens.id_token, set.tokens.refresh_token.as_ref());
        Ok(Issued {
            yaml: file.to_yaml(),
            file_name: format!("kubeconfig-{}.yaml", permit.cluster().name),
            commands: safe_commands(&file),
            yaml_without_tokens: file.to_yaml_without_tokens(),
            token_expires_at: set.tokens.expires_at,
            renews: set.tokens.refresh_token.is_some(),
        })
    }

    /// The session's tokens, alive, and this person's at a provider that the cluster trusts: no other token is ever sent there.
    async fn own_tokens(&self, permit: &Authorized<HoldKubeconfig>, token_key: &str) -> Result<TokenSet, AccessError> {
        let set = self.living.get(token_key).await?;
        if self.is_theirs(permit, &set) { Ok(set) } else { Err(AccessError::SignInAgain) }
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the use case")]
    fn is_theirs(&self, permit: &Authorized<HoldKubeconfig>, set: &TokenSet) -> bool {
        let identity = permit.person().identity();
        set.identity == identity.id
            && set.provider == identity.provider
            && permit.cluster().mapping(&set.provider).is_some()
    }

    fn issuer(&self, permit: &Authorized<HoldKubeconfig>) -> Result<KubeconfigIssuer, AccessError> {
        let provider = self.providers.get(&permit.person().identity().provider);
        Ok(provider.ok_or(Forbidden::ProviderNotTrusted)?.kubeconfig_issuer())
    }
}

fn file<'a>(
    permit: &'a Authorized<HoldKubeconfig>,
    issuer: &'a KubeconfigIssuer,
    id_token: &'a SecretString,
    refresh_token: Option<&'a SecretString>,
) -> ProviderKubeconfig<'a> {
    let cluster = permit.cluster();
    let person = permit.person().identity().display();
    ProviderKubeconfig { name: &cluster.name, endpoint: &cluster.endpoint, person, issuer, id_token, refresh_token }
}

/// Who they are, and whether they may do what their grants promise; asked again for a moment, since the API server's RBAC cache
/// lags behind a binding that was just made.
async fn ask(client: &ClusterClient, grants: &[Grant]) -> Result<(UserInfo, Vec<TestedRight>), K8sError> {
    let user = client.who_am_i().await?;
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
    Ok((user, rights))
}

/// For each promise a telling question: at most five, the widest first, each once.
fn questions(grants: &[Grant]) -> Vec<(String, ResourceQuestion)> {
    let mut all: Vec<(String, ResourceQuestion)> = Vec::new();
    let mut sorted: Vec<&Grant> = grants.iter().filter(|g| g.role.is_some()).collect();
    sorted.sort_by_key(|g| (!g.scope.is_whole_cluster(), g.role.map(std::cmp::Reverse)));
    for grant in sorted {
        let places: Vec<Option<String>> = match grant.scope.namespaces() {
            [] => vec![None],
            names => names.iter().map(|n| Some(n.to_string())).collect(),
        };
        for place in places {
            let asked = grant.role.map(|role| question(role, place));
            all.extend(asked.filter(|(what, _)| !all.iter().any(|(w, _)| w == what)));
        }
    }
    all.truncate(5);
    all
}

fn question(role: Role, namespace: Option<String>) -> (String, ResourceQuestion) {
    let place = namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |n| format!("namespace {n}"));
    let (verb, group, resource, words) = match role {
        Role::View => ("list", "", "pods", "list pods"),
        Role::Edit => ("create", "apps", "deployments", "create deployments"),
        Role::Admin => ("create", "rbac.authorization.k8s.io", "rolebindings", "manage access"),
    };
    (format!("{words} in {place}"), ResourceQuestion { verb, group, resource, namespace, name: None })
}
