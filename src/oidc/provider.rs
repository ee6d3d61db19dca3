//! A configured provider, with what discovery said and how it is doing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Notify, time::Instant};
use url::Url;

use super::{OidcError, Purpose, discovery::Known};
use crate::{
    clock::Clock,
    model::{
        claim_mapping::ClaimMapping,
        device::Format,
        id::WorkspaceId,
        provider::{KubeconfigIssuer, ProviderId},
        time::Timestamp,
    },
    outbound::{AddressRules, HttpsClient},
};

/// A provider as the configuration has it.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Short name, in URLs.
    pub id: ProviderId,
    /// For people: “Sign in with NAME”.
    pub name: String,
    /// The issuer, exactly as its tokens say it.
    pub issuer: String,
    /// Our client there.
    pub client_id: String,
    /// Its secret, for a confidential client. Never written into a kubeconfig.
    pub client_secret: Option<SecretString>,
    /// A second, public client for kubeconfigs that talk to the provider by themselves.
    pub direct_client_id: Option<String>,
    /// Whether devices are relayed: Kubelend keeps people's sign-ins and hands out fresh ID tokens.
    pub relay: bool,
    /// The issuer's CA as PEM, trusted for this issuer alone.
    pub ca_pem: Option<String>,
    /// Scopes; `offline_access` among them means that it may be asked for.
    pub scopes: Vec<String>,
    /// What clusters make of its tokens, unless they say otherwise.
    pub claim_mapping: ClaimMapping,
}

impl ProviderSettings {
    /// The client of kubeconfigs that talk to the provider by themselves; `None` where there is none. The relay's own client
    /// cannot be it: on Dex a second refresh token of one client ends the first.
    pub fn direct_client(&self) -> Option<&str> {
        let own = (!self.relay).then_some(self.client_id.as_str());
        self.direct_client_id.as_deref().or(own)
    }

    /// Which formats of kubeconfig can be made with this provider.
    pub fn formats(&self) -> Vec<Format> {
        let offered = |format: &Format| if format.is_relayed() { self.relay } else { self.direct_client().is_some() };
        Format::ALL.into_iter().filter(offered).collect()
    }

    /// The client whose tokens a format carries; `None` where there is none.
    pub fn client_of(&self, format: Format) -> Option<&str> {
        if format.is_relayed() { Some(self.client_id.as_str()) } else { self.direct_client() }
    }

    /// The client that somebody signs in with.
    pub(super) fn client_for(&self, purpose: Purpose) -> &str {
        let direct = self.direct_client().filter(|_| purpose == Purpose::Direct);
        direct.unwrap_or(&self.client_id)
    }

    /// What somebody who wants to leave with a kubeconfig signs in for, as this provider is set up.
    pub fn purpose_for(&self, wanted: Purpose) -> Purpose {
        match wanted {
            Purpose::Kubeconfig if !self.relay => Purpose::Direct,
            Purpose::Direct if self.direct_client().is_none() => Purpose::Kubeconfig,
            other => other,
        }
    }

    /// All clients of ours, whose tokens clusters have to accept: the audiences.
    pub fn clients(&self) -> Vec<&str> {
        let mut all = vec![self.client_id.as_str()];
        all.extend(self.direct_client_id.as_deref().filter(|direct| *direct != self.client_id));
        all
    }
}

/// How a provider is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderHealth {
    /// Not asked yet.
    Unknown,
    /// Answered.
    Up(Timestamp),
    /// Did not, since then; why, in words for the operator.
    Down(Timestamp, String),
}

/// When a discovery ended, and how.
pub(super) type Discovered = (Instant, Result<Arc<Known>, OidcError>);

/// A configured provider.
#[derive(Debug)]
pub struct Provider {
    pub(super) settings: ProviderSettings,
    pub(super) clock: Clock,
    pub(super) http: HttpsClient,
    /// What it said when it last answered; kept when it is down.
    pub(super) known: ArcSwapOption<Known>,
    /// One discovery at a time; how the last one ended, for those who waited for it.
    pub(super) discovering: tokio::sync::Mutex<Option<Discovered>>,
    /// One look for newer keys at a time; when one last found nothing new.
    pub(super) fetching_keys: tokio::sync::Mutex<()>,
    pub(super) in_vain: Mutex<Option<Instant>>,
    /// Wakes `keep_fresh` when somebody saw the provider fail.
    pub(super) went_down: Notify,
    health: Mutex<ProviderHealth>,
}

/// All providers: the configured ones, in the configuration's order, and those of workspaces' own, as they were last read.
///
/// Clones share what was read.
#[derive(Clone, Debug)]
pub struct Providers {
    configured: Arc<[Arc<Provider>]>,
    own: Arc<ArcSwap<OwnOnes>>,
    rules: AddressRules,
    clock: Clock,
}

/// Those of workspaces' own, each with the revision of its settings.
type OwnOnes = BTreeMap<ProviderId, (i64, Arc<Provider>)>;

impl Providers {
    /// Builds the configured ones; nothing is asked yet.
    ///
    /// # Errors
    /// A CA that cannot be read: the provider's id and why.
    pub fn new(settings: Vec<ProviderSettings>, rules: AddressRules, clock: &Clock) -> Result<Self, String> {
        let built = settings.into_iter().map(|s| Provider::new(s, rules, clock.clone()).map(Arc::new));
        let configured = built.collect::<Result<Arc<[_]>, _>>()?;
        Ok(Self { configured, own: Arc::default(), rules, clock: clock.clone() })
    }

    /// The configured ones, in order: those that people of all workspaces sign in at.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.configured.iter()
    }

    /// Those whose people count in a workspace, or (`None`) everywhere: the configured ones, and then the workspace's own.
    pub fn around(&self, workspace: Option<WorkspaceId>) -> Vec<Arc<Provider>> {
        let own = self.own.load();
        let at_home = |id: &ProviderId| workspace.is_some() && id.home() == workspace;
        let of_it = own.iter().filter(|(id, _)| at_home(id)).map(|(_, (_, provider))| provider);
        self.configured.iter().chain(of_it).cloned().collect()
    }

    /// Whether there is one of a workspace's own at all.
    pub fn has_own(&self) -> bool {
        !self.own.load().is_empty()
    }

    /// One, of either kind.
    pub fn get(&self, id: &ProviderId) -> Option<Arc<Provider>> {
        let configured = self.configured.iter().find(|p| p.settings.id == *id).cloned();
        configured.or_else(|| self.own.load().get(id).map(|(_, provider)| Arc::clone(provider)))
    }

    /// Puts what was read of workspaces' own providers in place of what was read before. One whose revision is the same stays, with
    /// what it is known to say. One that cannot be built is left out; those come back, with why.
    pub fn replace_own(&self, read: Vec<(i64, ProviderSettings)>) -> Vec<(ProviderId, String)> {
        let before = self.own.load_full();
        let (mut now, mut left_out) = (OwnOnes::new(), Vec::new());
        for (revision, settings) in read {
            let id = settings.id.clone();
            if let Some((_, same)) = before.get(&id).filter(|(was, _)| *was == revision) {
                now.insert(id, (revision, Arc::clone(same)));
                continue;
            }
            match Provider::new(settings, self.rules, self.clock.clone()) {
                Ok(provider) => drop(now.insert(id, (revision, Arc::new(provider)))),
                Err(why) => left_out.push((id, why)),
            }
        }
        self.own.store(Arc::new(now));
        left_out
    }

    /// Asks a provider with these settings for discovery and keys, before anything is kept of it.
    ///
    /// # Errors
    /// `Nonsense` for a CA that cannot be used; else as [`Provider::probe`].
    pub async fn try_out(&self, settings: ProviderSettings) -> Result<(), OidcError> {
        Provider::new(settings, self.rules, self.clock.clone()).map_err(OidcError::Nonsense)?.probe().await
    }

    /// Which addresses may be dialled.
    pub fn rules(&self) -> AddressRules {
        self.rules
    }
}

impl Provider {
    pub(super) fn new(settings: ProviderSettings, rules: AddressRules, clock: Clock) -> Result<Self, String> {
        let http = HttpsClient::new(settings.ca_pem.as_deref(), rules)
            .map_err(|why| format!("provider {}: {why}", settings.id))?;
        Ok(Self {
            settings,
            clock,
            http,
            known: ArcSwapOption::empty(),
            discovering: tokio::sync::Mutex::default(),
            fetching_keys: tokio::sync::Mutex::default(),
            in_vain: Mutex::default(),
            went_down: Notify::new(),
            health: Mutex::new(ProviderHealth::Unknown),
        })
    }

    /// As configured.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// How it is doing, as last seen.
    pub fn health(&self) -> ProviderHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down how it is doing, and says so in the log when that changed.
    pub(super) fn saw<T>(&self, result: &Result<T, OidcError>) {
        let why = match result {
            Err(error @ (OidcError::Unreachable(_) | OidcError::Nonsense(_))) => Some(error.to_string()),
            _ => None,
        };
        let now = self.clock.now();
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let id = &self.settings.id;
        *health = match (&*health, why) {
            (ProviderHealth::Down(since, _), Some(why)) => ProviderHealth::Down(*since, why),
            (_, Some(why)) => {
                tracing::warn!(provider = %id, %why, "provider is down");
                self.went_down.notify_one();
                ProviderHealth::Down(now, why)
            }
            (ProviderHealth::Down(since, _), None) => {
                tracing::info!(provider = %id, was_down_since = %since, "provider is up again");
                ProviderHealth::Up(now)
            }
            (_, None) => ProviderHealth::Up(now),
        };
    }

    /// What a kubeconfig that talks to it by itself says of it; `None` where none may.
    pub fn direct_issuer(&self) -> Option<KubeconfigIssuer> {
        let client_id = self.settings.direct_client()?.to_owned();
        Some(KubeconfigIssuer { issuer: self.settings.issuer.clone(), client_id, ca_pem: self.settings.ca_pem.clone() })
    }

    /// Where to sign out at the provider, if it offers that (`end_session_endpoint`, OpenID Connect RP-Initiated Logout).
    pub fn sign_out_url(&self, id_token_hint: Option<&SecretString>, back_to: &Url) -> Option<Url> {
        let mut url = self.known.load_full()?.metadata.end_session_endpoint.clone()?;
        if let Some(hint) = id_token_hint {
            url.query_pairs_mut().append_pair("id_token_hint", hint.expose_secret());
        }
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", back_to.as_str());
        Some(url)
    }
}
