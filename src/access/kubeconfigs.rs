//! Kubeconfigs for people, handed out.
//!
//! Who may renew the tokens depends on the format. In a relayed file stands a token of the device's own, and Kubelend alone
//! renews at the provider. A file that talks to the provider by itself is made of a sign-in of its own, at a client of its own:
//! its refresh token leaves Kubelend with the file and is never used here, so the same file is handed out again while its ID
//! token lives (no copy can have renewed yet), and after that a new sign-in makes a new one. A file for kubelogin holds no
//! token at all.

use std::{net::IpAddr, sync::Arc};

use secrecy::SecretString;

use super::{AccessError, Formats, Relay, Upstreams, audit, own_tokens::OwnTokens, upstream::UpstreamError};
use crate::{
    clock::Clock,
    crypto::{DEVICE_PREFIX, Keyring, PlainToken},
    kubeconfig::{Credential, Entry, Kubelogin, Tokens, safe_commands, to_yaml, to_yaml_without_tokens},
    model::{
        audit::Action, cluster::Cluster, device::Format, id::DeviceId, name::ClusterName, provider::KubeconfigIssuer,
        time::Timestamp,
    },
    oidc::{Provider, Providers},
    policy::{Authorized, Forbidden, HoldKubeconfig},
    store::{NewDevice, Store, StoreError},
};

/// The longest name of a device, in characters.
const MAX_NAME: usize = 60;

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
    own: OwnTokens,
    upstreams: Upstreams,
    relay: Relay,
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
    pub fn new(store: Store, keyring: Arc<Keyring>, relay: Relay, providers: Providers, clock: Clock) -> Self {
        let upstreams = relay.upstreams().clone();
        let own = OwnTokens::new(store.clone(), keyring, upstreams.clone(), clock.clone());
        Self { store, own, upstreams, relay, providers, clock }
    }

    /// The formats that this person's provider and the cluster's owners offer, the usual one first, each with what the cluster
    /// last made of its client.
    pub async fn formats(&self, permit: &Authorized<HoldKubeconfig>) -> Result<Formats, AccessError> {
        let trials = self.store.client_trials(permit.cluster().id).await?;
        let Ok(provider) = self.provider(permit) else { return Ok(Formats::default()) };
        Ok(Formats::of(permit.cluster(), provider.settings(), &trials))
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
            Format::Provider => self.own.session(permit, token_key).await?.is_some_and(|set| set.direct),
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
        if !self.formats(permit).await?.offers(request.format) {
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
            let format = self.formats(permit).await?.usual().ok_or(AccessError::NotFound)?;
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
        let set = self.own.session(permit, token_key).await?.filter(|set| set.direct);
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

    fn provider(&self, permit: &Authorized<HoldKubeconfig>) -> Result<Arc<Provider>, AccessError> {
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
        let provider = self.provider(permit)?;
        let settings = provider.settings();
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
