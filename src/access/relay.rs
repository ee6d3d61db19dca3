//! The relay: kubectl's built-in `oidc` provider asks Kubelend for fresh tokens in place of the identity provider.
//!
//! What it protects against: a kubeconfig that cannot be taken back, a client secret in a file, and a second download that
//! kills the first. Each file (a device) has an opaque token of its own and an issuer address of its own, since client-go
//! keeps one login for each (server, issuer, client id), whoever the user. Only the token's hash is stored, and it is **not
//! rotated**: client-go reads the file once and keeps it in memory, so a long-running process would come back with the token
//! it started with, and rotation would lock it out (docs/decisions/0013). Its price is a bounded life, and that a copy works
//! until it is taken back: use from two far-apart places is therefore shown and written down.
//!
//! Its limit: an ID token that was handed out lives until its `exp`, whatever is taken back here.

use std::{net::IpAddr, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{AccessError, Gate, Upstreams, audit, paces::Paces, upstream::UpstreamError};
use crate::{
    clock::Clock,
    crypto::{DEVICE_PREFIX, PlainToken, same_text},
    model::{
        audit::Action,
        device::{Device, DeviceLimits, DeviceState, Use},
        id::DeviceId,
        identity::Identity,
        provider::ProviderId,
        time::Timestamp,
    },
    store::{Renewal, Store, StoreError},
};

/// How long a device's request may take: client-go waits longer, and what is asked of the provider goes on without it.
const PATIENCE: Duration = Duration::from_secs(12);
/// Uses are written down this far apart, so that a refresh costs no write.
const USE_PAUSE: Duration = Duration::from_mins(1);
/// After this an unavailable provider may be asked again.
const RETRY: Duration = Duration::from_secs(5);

/// How devices live, and where.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Where people reach Kubelend.
    pub public_url: Url,
    /// The CA of that address, PEM, where it is private: it goes into relayed files.
    pub ca_pem: Option<String>,
    /// How long devices live.
    pub limits: DeviceLimits,
}

impl RelaySettings {
    /// The issuer that a device's file names.
    pub fn issuer(&self, device: DeviceId) -> String {
        format!("{}relay/{device}", self.public_url)
    }

    /// Where somebody signs in so that their devices go on.
    fn renew(&self, at: &ProviderId) -> String {
        // A workspace's own provider is not among those that everybody chooses from.
        if at.home().is_some() {
            return format!("{}renew?at={at}", self.public_url);
        }
        format!("{}renew", self.public_url)
    }
}

/// What a device gets.
#[derive(Debug)]
pub struct Relayed {
    /// The provider's own signed ID token.
    pub id_token: SecretString,
    /// The device's token, unchanged: some clients want one each time.
    pub refresh_token: SecretString,
    /// How long the ID token lives yet.
    pub expires_in: Duration,
}

/// Why it gets nothing. Descriptions are for a terminal: ASCII, and with the next step.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// `invalid_grant` (RFC 6749 section 5.2): trying again is no use.
    #[error("{0}")]
    InvalidGrant(String),
    /// Nothing is lost; try again.
    #[error("no token now: {why}")]
    Unavailable {
        /// For the log.
        why: String,
        /// When.
        retry_after: Duration,
    },
}

/// The relay.
#[derive(Clone, Debug)]
pub struct Relay {
    store: Store,
    upstreams: Upstreams,
    gate: Gate,
    paces: Paces,
    settings: Arc<RelaySettings>,
    clock: Clock,
}

impl From<StoreError> for RelayError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable { why: error.to_string(), retry_after: RETRY }
    }
}

impl Relay {
    /// With these parts.
    pub fn new(store: Store, upstreams: Upstreams, gate: Gate, settings: Arc<RelaySettings>, clock: Clock) -> Self {
        Self { store, upstreams, gate, paces: Paces::default(), settings, clock }
    }

    /// The sign-ins that devices live on.
    pub(super) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// How devices live, and where.
    pub fn settings(&self) -> &RelaySettings {
        &self.settings
    }

    /// A living ID token for the device that brings this token, from there.
    pub async fn refresh(&self, id: DeviceId, token: &SecretString, from: IpAddr) -> Result<Relayed, RelayError> {
        let Renewal { device, holder, session, .. } = self.known(id, token).await?;
        self.may_go_on(&device)?;
        let person = self.holder(&device, holder).await?;
        let living = tokio::time::timeout(PATIENCE, self.upstreams.living_of(&person, session)).await;
        let tokens = match living {
            Ok(Ok(tokens)) => tokens,
            Ok(Err(UpstreamError::Missing | UpstreamError::Ended)) => {
                let renew = self.settings.renew(&person.provider);
                return refused(format!(
                    "Your sign-in has ended. Sign in at {renew} and this kubeconfig goes on working"
                ));
            }
            Ok(Err(UpstreamError::Unclear(_))) => {
                let renew = self.settings.renew(&person.provider);
                return refused(format!(
                    "Your identity provider cannot renew your sign-in now. Try again; if it stays so, sign in at {renew}"
                ));
            }
            Ok(Err(UpstreamError::Unavailable(why))) => {
                return Err(RelayError::Unavailable { why, retry_after: RETRY });
            }
            Ok(Err(UpstreamError::Store(error))) => {
                return Err(RelayError::Unavailable { why: error.to_string(), retry_after: RETRY });
            }
            Err(_) => {
                let why = "the provider took too long".to_owned();
                return Err(RelayError::Unavailable { why, retry_after: RETRY });
            }
        };
        // Last of all, so that it is answers that are apart: several questions may have waited for one token.
        if !self.paces.wait(device.id).await {
            let why = "too many requests of one device".to_owned();
            return Err(RelayError::Unavailable { why, retry_after: RETRY });
        }
        self.used(device, from).await?;
        let expires_in = tokens.expires_at.since(self.clock.now());
        Ok(Relayed { id_token: tokens.id_token, refresh_token: token.clone(), expires_in })
    }

    /// The device of this id, if the token is its own. What does not fit is answered like what does not exist.
    async fn known(&self, id: DeviceId, token: &SecretString) -> Result<Renewal, RelayError> {
        let unknown = || refused(format!("Kubelend does not know this kubeconfig. {}", self.get_a_new_one()));
        let Some(token) = PlainToken::parse(DEVICE_PREFIX, token.expose_secret()) else { return unknown() };
        match self.store.renewal(self.upstreams.keyring(), id).await {
            Ok(renewal)
                if renewal.token.as_ref().is_some_and(|hash| same_text(&hash.to_hex(), &token.hash().to_hex())) =>
            {
                Ok(renewal)
            }
            Ok(_) | Err(StoreError::NotFound) => unknown(),
            Err(error) => Err(error.into()),
        }
    }

    fn may_go_on(&self, device: &Device) -> Result<(), RelayError> {
        let what = match device.state(self.settings.limits, self.clock.now()) {
            DeviceState::Living => return Ok(()),
            DeviceState::Revoked => "This kubeconfig was taken back",
            DeviceState::Expired => "This kubeconfig has reached its end",
            DeviceState::Unused => "This kubeconfig was not used for too long and has ended",
        };
        refused(format!("{what}. {}", self.get_a_new_one()))
    }

    fn get_a_new_one(&self) -> String {
        format!("Get a new one at {}shared", self.settings.public_url)
    }

    /// The person, if the cluster is still lent to them.
    async fn holder(&self, device: &Device, holder: Identity) -> Result<Identity, RelayError> {
        let trouble = |error: AccessError| RelayError::Unavailable { why: error.to_string(), retry_after: RETRY };
        let gone = || refused(format!("Your access to this cluster has ended. See {}shared", self.settings.public_url));
        let person = self.gate.somebody(holder);
        // Somebody's identity may have moved to another provider of the same issuer since the file was made.
        if person.identity().provider != device.provider {
            return gone();
        }
        match self.gate.hold_kubeconfig(&person, device.cluster).await {
            Ok(_) => Ok(person.identity().clone()),
            Err(AccessError::Forbidden(_) | AccessError::NotFound) => gone(),
            Err(error) => Err(trouble(error)),
        }
    }

    /// Writes the use down, at most once a minute from one place.
    async fn used(&self, device: Device, from: IpAddr) -> Result<(), RelayError> {
        let now = self.clock.now();
        if device.used.is_some_and(|used| used.from == from.to_canonical() && now.since(used.at) < USE_PAUSE) {
            return Ok(());
        }
        let apart = device.is_apart(from, now).then(|| {
            tracing::warn!(device = %device.id, "one kubeconfig is used in two far-apart places");
            audit::by_kubelend(Action::DeviceApart, format!("“{}”", device.name))
        });
        Ok(self.store.device_used(&device, Use { at: now, from: from.to_canonical() }, apart).await?)
    }

    /// When a device that is made now ends at the latest.
    pub(super) fn latest_end(&self, now: Timestamp) -> Timestamp {
        now.plus(self.settings.limits.longest)
    }
}

/// RFC 6749 section 5.2 allows printable ASCII without `"` and `\`.
fn refused<T>(description: String) -> Result<T, RelayError> {
    let plain = |c: char| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '?' };
    Err(RelayError::InvalidGrant(description.chars().map(plain).collect()))
}
