//! The composition root: builds the parts out of the settings, wires them, and runs them until told to stop.
//!
//! Only here do configuration and parts meet; every part below is handed what it needs and nothing more.

mod files;
mod keys;
mod serve;

pub use files::{Applied, ApplyError, apply, export};
pub use keys::{OtherKeys, accept as accept_keys};

use std::{path::Path, sync::Arc};

use secrecy::ExposeSecret;
use tokio::sync::watch;

use crate::{
    access::{
        Applier, Clusters, CustomRoles, Devices, Diagnoser, Drifts, Exchange, Exports, Federation, Gate, Grants,
        Groups, Insight, Invitations, Kubeconfigs, Links, Observer, OwnClients, OwnProviders, Presets, Probe, Projects,
        Relay, RelaySettings, Requests, Rotation, Seats, ServiceAccounts, SignIns, Upstreams, Workspaces,
    },
    clock::Clock,
    config::{self, Settings},
    crypto::CryptoError,
    k8s::{Connector, DirectDialer},
    oidc::{ProviderSettings, Providers},
    outbound::{self, AddressRules},
    policy::{PersonRule, Policy},
    reconcile::Reconciler,
    store::{SessionStore, Store, StoreError},
    telemetry::{Metrics, TelemetryError},
    web::{
        self, WebSettings,
        rate_limits::{Limits, RateLimits},
    },
};

/// Why Kubelend does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The key ring.
    #[error(transparent)]
    Keys(#[from] CryptoError),
    /// The key ring does not go with the database.
    #[error(transparent)]
    OtherKeys(#[from] OtherKeys),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A provider's settings: which, and why.
    #[error("provider {0}")]
    Provider(String),
    /// Logs or metrics.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A folder or file.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The listener.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// The certificate.
    #[error("cannot use the TLS certificate: {0}")]
    Tls(std::io::Error),
    /// Serving ended with an error.
    #[error("serving ended: {0}")]
    Serve(std::io::Error),
}

/// Runs Kubelend until `stop` resolves; then answers what it has begun to answer, and ends.
///
/// # Errors
/// What keeps it from starting, or ended it.
pub async fn serve(settings: Settings, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), AppError> {
    outbound::install_crypto();
    let built = build(&settings).await?;
    let (stopping, stopped) = watch::channel(false);
    let providers = built.parts.providers.clone();
    let own_providers = built.parts.own_providers.clone();
    let (store, upstreams) = (built.parts.store.clone(), built.upstreams);
    let signal = stopping.clone();
    tokio::spawn(async move {
        stop.await;
        signal.send_replace(true);
    });
    let router = web::router(built.parts);
    let counted = Metrics::install()?;
    let metrics = serve::metrics(counted.clone());
    let serving = async {
        let served = serve::run(&settings.listen, router, metrics, stopped.clone()).await;
        // However serving ended, the rest ends with it.
        stopping.send_replace(true);
        served
    };
    let (served, (), (), (), ()) = tokio::join!(
        serving,
        counted.keep_small(until(stopped.clone())),
        built.reconciler.run(stopped.clone()),
        providers.keep_fresh(until(stopped.clone())),
        own_providers.keep_reading(until(stopped.clone())),
    );
    // No request is left that would begin another. One that was begun may hold the only token that its provider still takes.
    upstreams.settled().await;
    store.close().await;
    served
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

struct Built {
    parts: web::Parts,
    reconciler: Reconciler,
    upstreams: Upstreams,
}

/// The providers that the settings name.
///
/// # Errors
/// A CA that cannot be read.
pub fn providers(settings: &Settings, clock: &Clock) -> Result<Providers, AppError> {
    let all = settings.providers.iter().map(provider).collect();
    Providers::new(all, rules(settings), clock).map_err(AppError::Provider)
}

async fn build(settings: &Settings) -> Result<Built, AppError> {
    let clock = Clock::System;
    folder(&settings.data_dir)?;
    let store = Store::open(settings.database_url.expose_secret()).await?;
    store.begin_record(clock.now()).await?;
    let keyring = Arc::new(keys::open(settings, &store).await?);
    let instance: Arc<str> = store.instance_id().await?.into();
    let providers = providers(settings, &clock)?;
    let connector = Connector::new(Arc::new(DirectDialer::new(rules(settings))));
    let clients = OwnClients::new(store.clone(), keyring.clone(), connector);
    let applier = Applier::new(store.clone(), clients.clone(), instance.clone(), clock.clone());
    let probe = Probe::new(store.clone(), clients.clone(), clock.clone());
    let upstreams = Upstreams::new(store.clone(), keyring.clone(), providers.clone(), clock.clone());
    let gate = Gate::new(store.clone(), Arc::new(policy(settings)), clock.clone());
    let relay = Relay::new(store.clone(), upstreams.clone(), gate.clone(), relay_settings(settings), clock.clone());
    let service_accounts = ServiceAccounts::new(store.clone(), clients.clone(), instance.clone(), clock.clone());
    let observer = Observer::new(clients.clone(), store.clone(), instance.clone());
    let drifts = Drifts::new(store.clone(), clients.clone(), &instance, clock.clone());
    let rotation =
        Rotation::new(store.clone(), keyring.clone(), clients.clone(), probe.clone(), instance.clone(), clock.clone());
    let insight = Insight::new(clients.clone(), observer.clone(), store.clone());
    let own_providers = OwnProviders::new(store.clone(), keyring.clone(), providers.clone(), clock.clone());
    if let Err(error) = own_providers.read_again().await {
        // People of the others sign in meanwhile, and it is tried again every few seconds.
        tracing::warn!(%error, "workspaces' own providers could not be read");
    }
    let parts = web::Parts {
        gate,
        own_providers,
        sign_ins: SignIns::new(store.clone(), keyring.clone(), upstreams.clone(), clock.clone()),
        presets: Presets::new(store.clone(), providers.clone(), clock.clone()),
        rotation: rotation.clone(),
        exchange: Exchange::new(store.clone(), keyring.clone(), clients.clone(), probe.clone(), clock.clone()),
        clusters: Clusters::new(store.clone(), keyring.clone(), applier.clone(), probe.clone(), clock.clone()),
        links: Links::new(store.clone(), keyring.clone(), applier.clone(), observer.clone(), clock.clone()),
        grants: Grants::new(store.clone(), applier.clone(), observer.clone(), clock.clone()),
        requests: Requests::new(store.clone(), applier.clone(), observer.clone(), clock.clone()),
        kubeconfigs: Kubeconfigs::new(store.clone(), keyring.clone(), relay.clone(), providers.clone(), clock.clone()),
        diagnoser: Diagnoser::new(
            store.clone(),
            keyring.clone(),
            upstreams.clone(),
            clients,
            providers.clone(),
            clock.clone(),
        ),
        exports: Exports::new(store.clone(), settings.providers.iter().map(|p| p.id.clone()).collect(), clock.clone()),
        federation: Federation::new(store.clone(), clock.clone()),
        groups: Groups::new(store.clone(), clock.clone()),
        custom_roles: CustomRoles::new(store.clone(), clock.clone()),
        invitations: Invitations::new(store.clone(), keyring.clone(), clock.clone()),
        workspaces: Workspaces::new(store.clone(), clock.clone()),
        projects: Projects::new(store.clone(), clock.clone()),
        seats: Seats::new(store.clone(), clock.clone()),
        devices: Devices::new(store.clone(), clock.clone()),
        relay,
        observer,
        insight,
        service_accounts: service_accounts.clone(),
        sessions: SessionStore::new(store.clone(), keyring.clone(), clock.clone()),
        store: store.clone(),
        providers,
        keyring,
        clock: clock.clone(),
        settings: Arc::new(WebSettings {
            public_url: settings.public_url.clone(),
            session_idle: settings.session.idle,
            session_absolute: settings.session.absolute,
            trusted_proxies: settings.listen.trusted_proxies.clone(),
        }),
        limits: Arc::new(RateLimits::new(Limits {
            links_per_address: settings.limits.links_per_address,
            uses_per_link: settings.limits.uses_per_link,
        })),
    };
    let reconciler = Reconciler {
        store,
        applier,
        accounts: service_accounts,
        probe,
        rotation,
        drifts,
        upstreams: upstreams.clone(),
        clock,
    };
    Ok(Built { parts, reconciler, upstreams })
}

fn relay_settings(settings: &Settings) -> Arc<RelaySettings> {
    Arc::new(RelaySettings {
        public_url: settings.public_url.clone(),
        ca_pem: settings.public_ca_pem.clone(),
        limits: settings.devices,
    })
}

fn folder(path: &Path) -> Result<(), AppError> {
    std::fs::create_dir_all(path).map_err(|e| AppError::File(path.display().to_string(), e))
}

fn rules(settings: &Settings) -> AddressRules {
    AddressRules { allow_loopback: settings.allow_loopback }
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        platform_admins: settings.platform_admins.iter().map(rule).collect(),
        cluster_adders: settings.cluster_adders.iter().map(rule).collect(),
        workspace_makers: settings.workspace_makers.iter().map(rule).collect(),
        workspaces_per_person: settings.workspaces_per_person.get(),
    }
}

fn rule(person: &config::PersonConfig) -> PersonRule {
    let provider = person.provider.clone();
    match &person.who {
        config::Who::Subject(sub) => PersonRule::Sub(provider, sub.clone()),
        config::Who::Email(email) => PersonRule::VerifiedEmail(provider, email.clone()),
        config::Who::Group(group) => PersonRule::Group(provider, group.clone()),
    }
}

fn provider(p: &config::ProviderConfig) -> ProviderSettings {
    ProviderSettings {
        id: p.id.clone(),
        name: p.name.clone(),
        issuer: p.issuer.clone(),
        client_id: p.client_id.clone(),
        client_secret: p.client_secret.clone(),
        direct_client_id: p.direct_client_id.clone(),
        relay: p.relay,
        ca_pem: p.ca_pem.clone(),
        scopes: p.scopes.clone(),
        claim_mapping: p.claim_mapping.clone(),
    }
}
