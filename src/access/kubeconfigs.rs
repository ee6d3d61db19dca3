//! Kubeconfigs for people: tested with their own token, then handed out.
//!
//! Who may renew the tokens depends on the format. In a relayed file stands a token of the device's own, and Kubelend alone
//! renews at the provider. A file that talks to the provider by itself is made of a sign-in of its own, at a client of its own:
//! its refresh token leaves Kubelend with the file and is never used here, so the same file is handed out again while its ID
//! token lives (no copy can have renewed yet), and after that a new sign-in makes a new one. A file for kubelogin holds no
//! token at all.

use std::{net::IpAddr, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{AccessError, Relay, Upstreams, audit, upstream::UpstreamError};
use crate::{
    clock::Clock,
    crypto::{DEVICE_PREFIX, Keyring, PlainToken},
    k8s::{ClusterClient, Connector, K8sError, ResourceQuestion, Shown, UserInfo},
    kubeconfig::{Credential, Entry, Kubelogin, Tokens, safe_commands, to_yaml, to_yaml_without_tokens},
    model::{
        audit::Action, cluster::Cluster, device::Format, grant::Grant, id::DeviceId, name::ClusterName,
        provider::KubeconfigIssuer, role::Role, time::Timestamp, token_set::TokenSet,
    },
    oidc::{Provider, Providers},
    policy::{Authorized, Forbidden, HoldKubeconfig},
    store::{NewDevice, Store, StoreError},
};

/// How long the connection test may take, the wait for the API server's RBAC cache included.
const TEST_BOUND: Duration = Duration::from_millis(2_300);
/// How long to ask again for a right that was just granted.
const SETTLE: Duration = Duration::from_millis(1_500);
/// Between two of these questions.
const PAUSE: Duration = Duration::from_millis(120);
/// The longest name of a device, in characters.
const MAX_NAME: usize = 60;

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

/// What kind of file is wanted, and for where.
#[derive(Clone, Debug)]
pub struct IssueRequest {
    /// How it shows who they are.
    pub format: Format,
    /// What its owner will call it.
    pub device: String,
    /// From where it is fetched.
    pub from: IpAddr,
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
    /// When the ID token inside ends, if there is one inside.
    pub token_expires_at: Option<Timestamp>,
    /// Whether it can be renewed without a new file.
    pub renews: bool,
}

/// Kubeconfigs.
#[derive(Clone, Debug)]
pub struct Kubeconfigs {
    store: Store,
    keyring: Arc<Keyring>,
    upstreams: Upstreams,
    relay: Relay,
    connector: Connector,
    providers: Providers,
    clock: Clock,
}

/// A person's way into one cluster, ready to be written into a file.
struct Way {
    cluster: Cluster,
    person: String,
    issuer: KubeconfigIssuer,
    kind: Kind,
}

enum Kind {
    Tokens { id_token: SecretString, expires_at: Timestamp, refresh_token: Option<SecretString>, empty_secret: bool },
    Kubelogin { scopes: Vec<String> },
}

impl Way {
    fn entry(&self) -> Entry<'_> {
        let issuer = &self.issuer;
        let credential = match &self.kind {
            Kind::Tokens { id_token, refresh_token, empty_secret, .. } => Credential::Tokens(Tokens {
                issuer,
                id_token,
                refresh_token: refresh_token.as_ref(),
                empty_secret: *empty_secret,
            }),
            Kind::Kubelogin { scopes } => Credential::Kubelogin(Kubelogin { issuer, scopes }),
        };
        Entry { name: &self.cluster.name, endpoint: &self.cluster.endpoint, person: &self.person, credential }
    }

    fn issued(&self) -> Issued {
        let entry = [self.entry()];
        let (token_expires_at, renews) = match &self.kind {
            Kind::Tokens { expires_at, refresh_token, .. } => (Some(*expires_at), refresh_token.is_some()),
            Kind::Kubelogin { .. } => (None, true),
        };
        Issued {
            yaml: to_yaml(&entry),
            file_name: format!("kubeconfig-{}.yaml", self.cluster.name),
            commands: safe_commands(&entry[0]),
            token_expires_at,
            renews,
        }
    }
}

impl Kubeconfigs {
    /// With these parts.
    pub fn new(
        store: Store,
        keyring: Arc<Keyring>,
        relay: Relay,
        connector: Connector,
        providers: Providers,
        clock: Clock,
    ) -> Self {
        let upstreams = relay.upstreams().clone();
        Self { store, keyring, upstreams, relay, connector, providers, clock }
    }

    /// Asks the cluster with the person's own token who they are and what they may do. At most about 2.5 s.
    pub async fn test(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        grants: &[Grant],
        token_key: &str,
    ) -> Result<ConnectionTest, AccessError> {
        let begun = self.clock.now();
        let id_token = match tokio::time::timeout(TEST_BOUND, self.own_id_token(permit, token_key)).await {
            Ok(Ok(token)) => token,
            Ok(Err(AccessError::SignInAgain | AccessError::Provider(_))) | Err(_) => {
                return Ok(ConnectionTest::NoToken);
            }
            Ok(Err(e)) => return Err(e),
        };
        let client = match self.connector.client(&permit.cluster().endpoint, Shown::IdToken(id_token), TEST_BOUND) {
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

    /// The formats that this person can have for this cluster, the usual one first.
    pub fn formats(&self, permit: &Authorized<HoldKubeconfig>) -> Vec<Format> {
        let all = self.provider(permit).map(|provider| provider.settings().formats()).unwrap_or_default();
        all.into_iter().filter(|format| permit.cluster().offers(*format)).collect()
    }

    /// Whether [`issue`](Self::issue) would succeed now, without asking the provider; if not, a sign-in comes first.
    pub async fn can_issue(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
        format: Format,
    ) -> Result<bool, AccessError> {
        Ok(match format {
            Format::Kubelogin => true,
            Format::Relay => {
                let session = self.upstreams.look(permit.person().identity()).await?;
                session.is_some_and(|session| self.upstreams.can_live(&session))
            }
            Format::Provider => self.session_tokens(permit, token_key).await?.is_some_and(|set| set.direct),
        })
    }

    /// The file without tokens, to be shown before it is fetched; changes nothing.
    pub fn preview(&self, permit: &Authorized<HoldKubeconfig>, format: Format) -> Result<String, AccessError> {
        let nothing = SecretString::from(String::new());
        let tokens = |empty_secret| Kind::Tokens {
            id_token: nothing.clone(),
            expires_at: self.clock.now(),
            refresh_token: Some(nothing.clone()),
            empty_secret,
        };
        let (issuer, kind) = match format {
            Format::Relay => (self.relay_issuer(permit, None)?, tokens(true)),
            Format::Provider => (self.direct_issuer(permit)?, tokens(false)),
            Format::Kubelogin => (self.direct_issuer(permit)?, self.plugin(permit)?),
        };
        Ok(to_yaml_without_tokens(&[way(permit, issuer, kind).entry()]))
    }

    /// Makes the file, and writes down the device and that it left.
    ///
    /// # Errors
    /// [`AccessError::SignInAgain`] where a sign-in for this format has to come first.
    pub async fn issue(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
        request: &IssueRequest,
    ) -> Result<Issued, AccessError> {
        if !self.formats(permit).contains(&request.format) {
            return Err(AccessError::NotFound);
        }
        Ok(self.way(permit, token_key, request).await?.issued())
    }

    /// One file of several clusters, each in the first format that it offers, with a device for each. Where two clusters have
    /// one name, the later ones get a number.
    ///
    /// # Errors
    /// [`AccessError::SignInAgain`] where a sign-in has to come first.
    pub async fn issue_together(
        &self,
        permits: &[Authorized<HoldKubeconfig>],
        token_key: &str,
        device: &str,
        from: IpAddr,
    ) -> Result<SecretString, AccessError> {
        let mut ways = Vec::new();
        for permit in permits {
            let format = *self.formats(permit).first().ok_or(AccessError::NotFound)?;
            let request = IssueRequest { format, device: device.to_owned(), from };
            let mut way = self.way(permit, token_key, &request).await?;
            way.cluster.name = free_name(&way.cluster.name, &ways);
            ways.push(way);
        }
        let entries: Vec<Entry<'_>> = ways.iter().map(Way::entry).collect();
        Ok(to_yaml(&entries))
    }

    async fn way(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
        request: &IssueRequest,
    ) -> Result<Way, AccessError> {
        match request.format {
            Format::Relay => self.relayed(permit, request).await,
            Format::Provider => self.direct(permit, token_key, request).await,
            Format::Kubelogin => self.with_plugin(permit, request).await,
        }
    }

    async fn relayed(&self, permit: &Authorized<HoldKubeconfig>, request: &IssueRequest) -> Result<Way, AccessError> {
        let tokens = self.upstreams.living(permit.person().identity()).await?;
        let token = PlainToken::generate(DEVICE_PREFIX);
        let mut device = self.device(permit, request);
        device.token = Some(token.hash());
        let issuer = self.relay_issuer(permit, Some(device.id))?;
        self.store.add_device(&device, event(permit, request), self.clock.now()).await?;
        let kind = Kind::Tokens {
            id_token: tokens.id_token,
            expires_at: tokens.expires_at,
            refresh_token: Some(SecretString::from(token.expose())),
            empty_secret: true,
        };
        Ok(way(permit, issuer, kind))
    }

    async fn direct(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
        request: &IssueRequest,
    ) -> Result<Way, AccessError> {
        let set = self.session_tokens(permit, token_key).await?.filter(|set| set.direct);
        let set = set.ok_or(AccessError::SignInAgain)?;
        let issuer = self.direct_issuer(permit)?;
        let device = self.device(permit, request);
        match self.store.mark_handed_out(token_key, &device, event(permit, request), self.clock.now()).await {
            Ok(()) => {}
            Err(StoreError::NotFound) => return Err(AccessError::SignInAgain),
            Err(error) => return Err(error.into()),
        }
        let kind = Kind::Tokens {
            id_token: set.tokens.id_token,
            expires_at: set.tokens.expires_at,
            refresh_token: set.tokens.refresh_token,
            empty_secret: false,
        };
        Ok(way(permit, issuer, kind))
    }

    async fn with_plugin(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        request: &IssueRequest,
    ) -> Result<Way, AccessError> {
        let made = way(permit, self.direct_issuer(permit)?, self.plugin(permit)?);
        let device = self.device(permit, request);
        self.store.add_device(&device, event(permit, request), self.clock.now()).await?;
        Ok(made)
    }

    fn device(&self, permit: &Authorized<HoldKubeconfig>, request: &IssueRequest) -> NewDevice {
        let identity = permit.person().identity();
        let name: String = request.device.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        let name = name.trim();
        NewDevice {
            id: DeviceId::new(),
            identity: identity.id,
            cluster: permit.cluster().id,
            provider: identity.provider.clone(),
            format: request.format,
            name: if name.is_empty() { "without a name".to_owned() } else { name.to_owned() },
            token: None,
            from: request.from,
            expires_at: self.relay.latest_end(self.clock.now()),
        }
    }

    /// A living ID token of this person at a provider that the cluster trusts: no other token is ever sent there.
    async fn own_id_token(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
    ) -> Result<SecretString, AccessError> {
        if let Some(set) = self.session_tokens(permit, token_key).await? {
            return Ok(set.tokens.id_token);
        }
        let identity = permit.person().identity();
        if permit.cluster().mapping(&identity.provider).is_none() {
            return Err(AccessError::SignInAgain);
        }
        Ok(self.upstreams.living(identity).await?.id_token)
    }

    /// The session's tokens, if they live and are this person's at a provider that the cluster trusts.
    async fn session_tokens(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
    ) -> Result<Option<TokenSet>, AccessError> {
        let identity = permit.person().identity();
        let set = match self.store.tokens(&self.keyring, token_key).await {
            Ok(set) => set,
            Err(StoreError::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let theirs = set.identity == identity.id
            && set.provider == identity.provider
            && permit.cluster().mapping(&set.provider).is_some();
        Ok((theirs && set.tokens.is_alive(self.clock.now())).then_some(set))
    }

    fn provider(&self, permit: &Authorized<HoldKubeconfig>) -> Result<&Arc<Provider>, AccessError> {
        let provider = self.providers.get(&permit.person().identity().provider);
        Ok(provider.ok_or(Forbidden::ProviderNotTrusted)?)
    }

    fn direct_issuer(&self, permit: &Authorized<HoldKubeconfig>) -> Result<KubeconfigIssuer, AccessError> {
        self.provider(permit)?.direct_issuer().ok_or(AccessError::NotFound)
    }

    /// The relay's address for a device; a stand-in before there is one.
    fn relay_issuer(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        device: Option<DeviceId>,
    ) -> Result<KubeconfigIssuer, AccessError> {
        let settings = self.relay.settings();
        let issuer = device.map_or_else(|| format!("{}relay/…", settings.public_url), |id| settings.issuer(id));
        let client_id = self.provider(permit)?.settings().client_id.clone();
        Ok(KubeconfigIssuer { issuer, client_id, ca_pem: settings.ca_pem.clone() })
    }

    fn plugin(&self, permit: &Authorized<HoldKubeconfig>) -> Result<Kind, AccessError> {
        let settings = self.provider(permit)?.settings();
        let scopes = settings.scopes.iter().filter(|scope| *scope != "openid").cloned().collect();
        Ok(Kind::Kubelogin { scopes })
    }
}

/// This name, or the first with a number behind that none of these has.
fn free_name(name: &ClusterName, taken: &[Way]) -> ClusterName {
    let is_free = |name: &ClusterName| taken.iter().all(|way| way.cluster.name.as_str() != name.as_str());
    let numbered = (2..1000).filter_map(|n| format!("{name}-{n}").parse().ok());
    std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or_else(|| name.clone())
}

fn way(permit: &Authorized<HoldKubeconfig>, issuer: KubeconfigIssuer, kind: Kind) -> Way {
    let person = permit.person().identity().display().to_owned();
    Way { cluster: permit.cluster().clone(), person, issuer, kind }
}

fn event(permit: &Authorized<HoldKubeconfig>, request: &IssueRequest) -> crate::store::AuditDraft {
    let (person, cluster) = (permit.person(), permit.cluster());
    let what = format!("{} for {} ({})", person.identity().display(), cluster.name, request.format.as_str());
    audit::by(person, Action::KubeconfigIssued, what)
}

impl From<UpstreamError> for AccessError {
    fn from(error: UpstreamError) -> Self {
        use crate::oidc::RefreshError::{Unavailable, Unclear};
        match error {
            UpstreamError::Missing | UpstreamError::Ended => Self::SignInAgain,
            UpstreamError::Unavailable(why) => Self::Provider(Unavailable(why)),
            UpstreamError::Unclear(why) => Self::Provider(Unclear(why)),
            // Several who asked at once share one answer, so the error itself is shared, too.
            UpstreamError::Store(error) => Self::Provider(Unavailable(error.to_string())),
        }
    }
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
    sorted.sort_by_key(|g| (!g.scope.is_whole_cluster(), g.role.as_ref().map(std::cmp::Reverse)));
    for grant in sorted {
        let places: Vec<Option<String>> = match grant.scope.namespaces() {
            [] => vec![None],
            names => names.iter().map(|n| Some(n.to_string())).collect(),
        };
        for place in places {
            let asked = grant.role.as_ref().and_then(|role| question(role, place));
            all.extend(asked.filter(|(what, _)| !all.iter().any(|(w, _)| w == what)));
        }
    }
    all.truncate(5);
    all
}

/// Nothing is telling of a ClusterRole that others have defined.
fn question(role: &Role, namespace: Option<String>) -> Option<(String, ResourceQuestion)> {
    let place = namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |n| format!("namespace {n}"));
    let (verb, group, resource, words) = match role {
        Role::View => ("list", "", "pods", "list pods"),
        Role::Edit => ("create", "apps", "deployments", "create deployments"),
        Role::Admin => ("create", "rbac.authorization.k8s.io", "rolebindings", "manage access"),
        Role::Named(_) => return None,
    };
    Some((format!("{words} in {place}"), ResourceQuestion { verb, group, resource, namespace, name: None }))
}
