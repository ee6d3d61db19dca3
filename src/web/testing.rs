//! The pages on a real database, without a listener: what a test asks with.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode, header},
    routing::get,
};
use tower::ServiceExt;

use super::{
    Parts, WebSettings,
    rate_limits::{Limits, RateLimits},
    session,
};
use crate::{
    access::{
        Applier, Clusters, CustomRoles, Devices, Diagnoser, Exchange, Exports, Federation, Gate, Grants, Groups,
        Insight, Invitations, Kubeconfigs, Links, Observer, OwnClients, OwnProviders, Presets, Probe, Projects, Relay,
        RelaySettings, Requests, Rotation, Seats, ServiceAccounts, SignIns, Upstreams, Workspaces,
    },
    clock::Clock,
    crypto::{self, Keyring},
    k8s::{Connector, DirectDialer},
    model::{
        audit::{Action, Actor},
        claim_mapping::ClaimMapping,
        device::DeviceLimits,
        id::IdentityId,
        identity::{Identity, VerifiedClaims},
        time::Timestamp,
    },
    oidc::{ProviderSettings, Providers},
    outbound::AddressRules,
    policy::Policy,
    store::{AuditDraft, SessionStore, Store},
};

/// So much that nobody meets them by chance.
pub(super) const LIMITS: Limits = Limits { links_per_address: NonZeroU32::MAX, uses_per_link: NonZeroU32::MAX };

/// Now, to begin with.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_owned())).unwrap()
}

/// Kubelend's pages on a database of their own.
pub(super) struct TestApp {
    pub(super) parts: Parts,
    router: Router,
    folder: PathBuf,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// `name=value` of each cookie that is set.
    pub(super) fn cookies(&self) -> Vec<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
    }

    /// The value of a hidden field.
    pub(super) fn csrf(&self) -> String {
        let rest = self.body.split("name=\"csrf\" value=\"").nth(1).expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl TestApp {
    /// With these providers; none of them can be reached.
    pub(super) async fn with_providers(ids: &[&str]) -> Self {
        Self::with(ids, |_| ()).await
    }

    /// The same with other parts.
    pub(super) async fn with(ids: &[&str], change: impl FnOnce(&mut Parts)) -> Self {
        crate::outbound::install_crypto();
        let folder = std::env::temp_dir().join(format!("kubelend-web-{}", crypto::random_text()));
        std::fs::create_dir(&folder).unwrap();
        let store = Store::open(&format!("sqlite://{}/db", folder.display())).await.unwrap();
        let clock = Clock::fixed(NOW);
        let mut parts = parts(store, clock, ids);
        change(&mut parts);
        Self { router: super::router(parts.clone()), parts, folder }
    }

    /// Asks, with these headers.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(request(method, path, headers, body)).await
    }

    /// Asks over a connection from this address and port.
    pub(super) async fn ask_from(&self, peer: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = request(method, path, headers, "");
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// Asks for a page.
    pub(super) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask("GET", path, &[("cookie", cookie)], "").await
    }

    /// Sends a form, as a browser does from a page of ours.
    pub(super) async fn post(&self, path: &str, cookie: &str, body: &str) -> Answer {
        let headers = [
            ("cookie", cookie),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.ask("POST", path, &headers, body).await
    }

    /// Somebody who has signed in, with the cookie of their session.
    pub(super) async fn sign_in(&self, email: &str, provider: &str) -> (Identity, String) {
        self.sign_in_as(email, true, provider).await
    }

    /// The same with an email that the provider does not call verified.
    pub(super) async fn sign_in_unverified(&self, email: &str, provider: &str) -> (Identity, String) {
        self.sign_in_as(email, false, provider).await
    }

    async fn sign_in_as(&self, email: &str, email_verified: bool, provider: &str) -> (Identity, String) {
        let claims = VerifiedClaims {
            provider: provider.parse().unwrap(),
            issuer: format!("https://{provider}.invalid"),
            sub: email.to_owned(),
            email: email.parse().ok(),
            email_verified,
            name: None,
            groups: Vec::new(),
        };
        let audit = AuditDraft {
            actor: Actor::Kubelend,
            actor_name: email.to_owned(),
            action: Action::SignedIn,
            target: String::new(),
            request_id: None,
        };
        let record = self.parts.store.record_sign_in(&claims, audit, self.parts.clock.now()).await.unwrap();
        let cookie = self.session_of(record.identity.id).await;
        (record.identity, cookie)
    }

    async fn session_of(&self, identity: IdentityId) -> String {
        let layer = session::session_layer(self.parts.sessions.clone(), &self.parts.keyring, &self.parts.settings);
        let begin =
            get(async move |sessions: session::Sessions| sessions.begin(identity, "key").await.is_ok().to_string());
        let router = Router::new().route("/", begin).layer(layer).with_state(self.parts.clone());
        let answer = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let value = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        for wanted in ["__Host-kubelend=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=3600"] {
            assert!(value.contains(wanted), "{wanted}");
        }
        value.split(';').next().unwrap().to_owned()
    }
}

fn parts(store: Store, clock: Clock, ids: &[&str]) -> Parts {
    let keyring = Arc::new(Keyring::generate());
    let instance: Arc<str> = "00000000".into();
    let providers =
        Providers::new(ids.iter().map(|id| provider(id)).collect(), AddressRules::default(), &clock).unwrap();
    let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules::default())));
    let clients = OwnClients::new(store.clone(), keyring.clone(), connector);
    let applier = Applier::new(store.clone(), clients.clone(), instance.clone(), clock.clone());
    let probe = Probe::new(store.clone(), clients.clone(), clock.clone());
    let upstreams = Upstreams::new(store.clone(), keyring.clone(), providers.clone(), clock.clone());
    let gate = Gate::new(store.clone(), Arc::new(Policy::default()), clock.clone());
    let relay_settings = RelaySettings {
        public_url: "https://lend.example/".parse().unwrap(),
        ca_pem: None,
        limits: DeviceLimits::default(),
    };
    let relay = Relay::new(store.clone(), upstreams.clone(), gate.clone(), Arc::new(relay_settings), clock.clone());
    let service_accounts = ServiceAccounts::new(store.clone(), clients.clone(), instance.clone(), clock.clone());
    let observer = Observer::new(clients.clone(), store.clone(), instance);
    let insight = Insight::new(clients.clone(), observer.clone(), store.clone());
    Parts {
        gate,
        diagnoser: Diagnoser::new(
            store.clone(),
            keyring.clone(),
            upstreams.clone(),
            clients.clone(),
            providers.clone(),
            clock.clone(),
        ),
        exports: Exports::new(store.clone(), ids.iter().map(|id| id.parse().unwrap()).collect(), clock.clone()),
        federation: Federation::new(store.clone(), clock.clone()),
        groups: Groups::new(store.clone(), clock.clone()),
        custom_roles: CustomRoles::new(store.clone(), clock.clone()),
        invitations: Invitations::new(store.clone(), keyring.clone(), clock.clone()),
        workspaces: Workspaces::new(store.clone(), clock.clone()),
        projects: Projects::new(store.clone(), clock.clone()),
        seats: Seats::new(store.clone(), clock.clone()),
        devices: Devices::new(store.clone(), clock.clone()),
        relay: relay.clone(),
        sign_ins: SignIns::new(store.clone(), keyring.clone(), upstreams.clone(), clock.clone()),
        own_providers: OwnProviders::new(store.clone(), keyring.clone(), providers.clone(), clock.clone()),
        presets: Presets::new(store.clone(), providers.clone(), clock.clone()),
        rotation: Rotation::new(
            store.clone(),
            keyring.clone(),
            clients.clone(),
            probe.clone(),
            "0badcafe".into(),
            clock.clone(),
        ),
        exchange: Exchange::new(store.clone(), keyring.clone(), clients.clone(), probe.clone(), clock.clone()),
        clusters: Clusters::new(store.clone(), keyring.clone(), applier.clone(), probe, clock.clone()),
        links: Links::new(store.clone(), keyring.clone(), applier.clone(), observer.clone(), clock.clone()),
        grants: Grants::new(store.clone(), applier.clone(), observer.clone(), clock.clone()),
        requests: Requests::new(store.clone(), applier, observer.clone(), clock.clone()),
        kubeconfigs: Kubeconfigs::new(store.clone(), keyring.clone(), relay, providers.clone(), clock.clone()),
        sessions: SessionStore::new(store.clone(), keyring.clone(), clock.clone()),
        observer,
        insight,
        service_accounts,
        store,
        providers,
        keyring,
        clock,
        settings: Arc::new(WebSettings {
            public_url: "https://lend.example/".parse().unwrap(),
            session_idle: Duration::from_hours(1),
            session_absolute: Duration::from_hours(10),
            trusted_proxies: Vec::new(),
        }),
        limits: Arc::new(RateLimits::new(LIMITS)),
    }
}

fn provider(id: &str) -> ProviderSettings {
    ProviderSettings {
        id: id.parse().unwrap(),
        name: format!("{}<i>", id.to_uppercase()),
        issuer: format!("https://{id}.invalid"),
        client_id: "kubelend".into(),
        client_secret: None,
        direct_client_id: None,
        relay: true,
        ca_pem: None,
        scopes: vec!["openid".into(), "email".into(), "offline_access".into()],
        claim_mapping: ClaimMapping::default(),
    }
}
