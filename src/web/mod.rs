//! What browsers see: every route in one table, pages that work without JavaScript.
//!
//! From the outside in, a request passes: the log line and its id ([`requests`]), the headers ([`headers`]), the layer that makes
//! pages of errors ([`errors`]), the session ([`session`]), and the page's handler. Who asks is an extractor
//! ([`session::SignedIn`]), a form is one that proves where it is from ([`forms::ProtectedForm`]).

pub mod api_server_setup;
pub mod assets;
pub mod attempts;
pub mod browser_name;
pub mod client_address;
pub mod csv;
pub mod diagnosis;
pub mod errors;
pub mod field_marks;
pub mod forms;
pub mod frame;
#[cfg(test)]
mod grant_tests;
pub mod headers;
pub mod health;
pub mod labels;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod matrix_tests;
pub mod opened_links;
pub mod pages;
pub mod paths;
pub mod qr;
pub mod rate_limits;
pub mod relay;
#[cfg(test)]
mod request_tests;
pub mod requests;
pub mod return_to;
mod sealed_cookies;
pub mod session;
pub mod shell;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod when;
pub mod words;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use url::Url;

use crate::{
    access::{
        Clusters, CustomRoles, Devices, Diagnoser, Exchange, Exports, Federation, Gate, Grants, Groups, Insight,
        Invitations, Kubeconfigs, Links, Observer, OwnProviders, Presets, Projects, Relay, Requests, Rotation, Seats,
        ServiceAccounts, SignIns, Workspaces,
    },
    clock::Clock,
    crypto::Keyring,
    model::network::Network,
    oidc::Providers,
    store::{SessionStore, Store},
};
use rate_limits::RateLimits;

/// What pages are made with. Handlers take the part they use (`State<Gate>`, …), never the whole.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Who may do what.
    pub gate: Gate,
    /// Signing in and out.
    pub sign_ins: SignIns,
    /// Clusters.
    pub clusters: Clusters,
    /// Trading credentials for less.
    pub exchange: Exchange,
    /// Providers of workspaces' own.
    pub own_providers: OwnProviders,
    /// What new clusters take over.
    pub presets: Presets,
    /// Renewing credentials.
    pub rotation: Rotation,
    /// Share links.
    pub links: Links,
    /// Grants.
    pub grants: Grants,
    /// Asking for access, and answering.
    pub requests: Requests,
    /// Kubeconfigs.
    pub kubeconfigs: Kubeconfigs,
    /// Access that reaches further than one cluster.
    pub federation: Federation,
    /// For display only: access as a file.
    pub exports: Exports,
    /// Groups of our own.
    pub groups: Groups,
    /// Invitations to workspaces.
    pub invitations: Invitations,
    /// Workspaces.
    pub workspaces: Workspaces,
    /// The people of projects.
    pub projects: Projects,
    /// Groups as members.
    pub seats: Seats,
    /// The connection test.
    pub diagnoser: Diagnoser,
    /// The kubeconfigs that people hold.
    pub devices: Devices,
    /// Fresh tokens for them.
    pub relay: Relay,
    /// For display only.
    pub store: Store,
    /// Custom roles.
    pub custom_roles: CustomRoles,
    /// Sessions.
    pub sessions: SessionStore,
    /// Providers.
    pub providers: Providers,
    /// For display only: foreign bindings, namespaces, rules of roles.
    pub observer: Observer,
    /// For display only: what somebody can do, and who can do something.
    pub insight: Insight,
    /// ServiceAccounts.
    pub service_accounts: ServiceAccounts,
    /// For the cookie of a sign-in attempt, and the session cookie's key.
    pub keyring: Arc<Keyring>,
    /// The time.
    pub clock: Clock,
    /// How often somebody may try.
    pub limits: Arc<RateLimits>,
    /// Settings of the pages.
    pub settings: Arc<WebSettings>,
}

/// Settings of the pages.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where people reach Kubelend; the only source of absolute URLs.
    pub public_url: Url,
    /// A session unused for so long ends.
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    pub session_absolute: Duration,
    /// Whose word on a client's address is believed.
    pub trusted_proxies: Vec<Network>,
}

macro_rules! parts {
    ($($field:ident: $part:ty),+ $(,)?) => {$(
        impl FromRef<Parts> for $part {
            fn from_ref(parts: &Parts) -> Self {
                parts.$field.clone()
            }
        }
    )+};
}

parts! {
    gate: Gate,
    sign_ins: SignIns,
    clusters: Clusters,
    exchange: Exchange,
    own_providers: OwnProviders,
    presets: Presets,
    rotation: Rotation,
    links: Links,
    grants: Grants,
    requests: Requests,
    kubeconfigs: Kubeconfigs,
    diagnoser: Diagnoser,
    devices: Devices,
    exports: Exports,
    federation: Federation,
    groups: Groups,
    custom_roles: CustomRoles,
    invitations: Invitations,
    workspaces: Workspaces,
    projects: Projects,
    seats: Seats,
    relay: Relay,
    store: Store,
    providers: Providers,
    observer: Observer,
    insight: Insight,
    service_accounts: ServiceAccounts,
    keyring: Arc<Keyring>,
    clock: Clock,
    limits: Arc<RateLimits>,
    settings: Arc<WebSettings>,
}

/// Everything that browsers see.
pub fn router(parts: Parts) -> Router {
    let sessions = parts.sessions.clone();
    router_on(parts, sessions)
}

/// The same with sessions in another store.
pub fn router_on<S: tower_sessions::SessionStore + Clone>(parts: Parts, sessions: S) -> Router {
    let sessions = session::session_layer(sessions, &parts.keyring, &parts.settings);
    let pages = visitor_pages()
        .merge(owner_pages())
        .merge(workspace_pages())
        .fallback(pages::errors::not_found)
        .layer(DefaultBodyLimit::max(forms::MAX_BODY))
        .layer(sessions)
        .layer(from_fn_with_state(parts.clock.clone(), errors::show));
    pages
        .merge(health::router())
        .merge(relay::router())
        .merge(assets::router())
        .layer(from_fn_with_state(Arc::clone(&parts.settings), headers::apply))
        .layer(from_fn(requests::observe))
        .with_state(parts)
}

/// What people see to whom something is lent.
fn visitor_pages() -> Router<Parts> {
    use pages::{ask, callback, claims, home, kubeconfig, landing, own_devices, sessions, shared, sign_in, sign_out};
    use paths::pattern;

    Router::new()
        .route(paths::HOME, get(home::get))
        .route(paths::SIGN_IN, get(sign_in::get))
        .route(pattern::AUTH_START, get(sign_in::start))
        .route(pattern::AUTH_CALLBACK, get(callback::get))
        .route(paths::SIGN_OUT, post(sign_out::post))
        .route(paths::SIGNED_OUT, get(sign_out::get))
        .route(pattern::LANDING, get(landing::open))
        .route(pattern::ACCEPT, get(landing::get).post(landing::post))
        .route(paths::RENEW, get(sign_in::renew))
        .route(paths::SHARED, get(shared::get))
        .route(paths::SHARED_DOWNLOAD, post(shared::download))
        .route(pattern::ASK, get(ask::get).post(ask::post))
        .route(pattern::WITHDRAW_REQUEST, get(shared::get).post(shared::withdraw))
        .route(pattern::LEAVE, get(shared::ask_leave).post(shared::leave))
        .route(paths::CLAIMS, get(claims::get))
        .route(paths::OWN_DEVICES, get(own_devices::get))
        .route(paths::REVOKE_OWN_DEVICES, get(own_devices::ask).post(own_devices::revoke_all))
        .route(pattern::REVOKE_OWN_DEVICE, post(own_devices::revoke))
        .route(paths::SESSIONS, get(sessions::get))
        .route(paths::END_OTHER_SESSIONS, post(sessions::end_others))
        .route(pattern::END_SESSION, post(sessions::end))
        .route(pattern::KUBECONFIG, get(kubeconfig::get))
        .route(pattern::KUBECONFIG_DOWNLOAD, get(kubeconfig::download))
        .route(pattern::KUBECONFIG_COMMANDS, get(kubeconfig::commands))
}

/// Sets of clusters, and the people who look after them.
fn workspace_pages() -> Router<Parts> {
    use pages::{
        create_workspace, custom_role, custom_roles, delete_workspace, export, federated, global_access, group,
        group_settings, groups, invitations, matrix, matrix_csv, matrix_holder, members, move_cluster, own_provider,
        own_providers, preset, presets, project, project_members, projects, requests, trail, workspace_access,
        workspace_activity, workspace_overview, workspace_settings, workspaces,
    };
    use paths::pattern;

    Router::new()
        .route(paths::WORKSPACES, get(workspaces::get))
        .route(paths::CREATE_WORKSPACE, get(create_workspace::get).post(create_workspace::post))
        .route(pattern::WORKSPACE, get(workspace_overview::get))
        .route(pattern::REQUESTS, get(requests::get))
        .route(pattern::MEMBERS, get(members::get).post(members::post))
        .route(pattern::INVITATIONS, get(invitations::get).post(invitations::post))
        .route(pattern::WORKSPACE_ACTIVITY, get(workspace_activity::get))
        .route(pattern::WORKSPACE_SETTINGS, get(workspace_settings::get).post(workspace_settings::post))
        .route(pattern::DELETE_WORKSPACE, get(delete_workspace::get).post(delete_workspace::post))
        .route(pattern::MOVE_CLUSTER, get(move_cluster::get).post(move_cluster::post))
        .route(paths::GLOBAL_EXPORT, get(export::everywhere))
        .route(pattern::WORKSPACE_EXPORT, get(export::of_workspace))
        .route(paths::GLOBAL_ACCESS, get(global_access::get).post(global_access::post))
        .route(pattern::WORKSPACE_ACCESS, get(workspace_access::get).post(workspace_access::post))
        .route(paths::ALL_ACTIVITY, get(trail::get))
        .route(paths::ALL_ACTIVITY_CSV, get(trail::file))
        .route(paths::MATRIX, get(matrix::everywhere))
        .route(paths::MATRIX_CSV, get(matrix_csv::everywhere))
        .route(pattern::HOLDER, get(matrix_holder::everywhere))
        .route(pattern::WORKSPACE_MATRIX, get(matrix::of_workspace))
        .route(pattern::WORKSPACE_MATRIX_CSV, get(matrix_csv::of_workspace))
        .route(pattern::WORKSPACE_HOLDER, get(matrix_holder::of_workspace))
        .route(paths::GROUPS, get(groups::everywhere).post(groups::make_everywhere))
        .route(pattern::WORKSPACE_GROUPS, get(groups::of_workspace).post(groups::make_in_workspace))
        .route(pattern::GROUP, get(group::get).post(group::post))
        .route(pattern::GROUP_ACTIVITY, get(group::activity))
        .route(pattern::GROUP_SETTINGS, get(group_settings::get).post(group_settings::post))
        .route(pattern::DELETE_GROUP, post(group_settings::delete))
        .route(paths::PRESETS, get(presets::everywhere).post(presets::make_everywhere))
        .route(pattern::WORKSPACE_PRESETS, get(presets::of_workspace).post(presets::make_in_workspace))
        .route(pattern::PRESET, get(preset::get).post(preset::post))
        .route(pattern::DELETE_PRESET, post(preset::delete))
        .route(paths::CUSTOM_ROLES, get(custom_roles::everywhere).post(custom_roles::make_everywhere))
        .route(pattern::WORKSPACE_ROLES, get(custom_roles::of_workspace).post(custom_roles::make_in_workspace))
        .route(pattern::CUSTOM_ROLE, get(custom_role::get).post(custom_role::post))
        .route(pattern::DELETE_CUSTOM_ROLE, post(custom_role::delete))
        .route(pattern::PROJECTS, get(projects::get).post(projects::post))
        .route(pattern::PROJECT, get(project::get).post(project::post))
        .route(pattern::CHANGE_PROJECT, post(project::change))
        .route(pattern::REMOVE_PROJECT, post(project::remove))
        .route(pattern::PROJECT_NAMESPACE, post(project::namespace))
        .route(pattern::PROJECT_MEMBERS, get(project_members::get).post(project_members::post))
        .route(pattern::PROJECT_TAKES, post(project_members::switch))
        .route(pattern::FEDERATED, get(federated::get).post(federated::remove))
        .route(pattern::EXTEND_FEDERATED, get(federated::get).post(federated::extend))
        .route(pattern::OWN_PROVIDERS, get(own_providers::get).post(own_providers::post))
        .route(pattern::OWN_PROVIDER, get(own_provider::get).post(own_provider::post))
        .route(pattern::SWITCH_OWN_PROVIDER, post(own_provider::switch))
        .route(pattern::REMOVE_OWN_PROVIDER, get(own_provider::ask_remove).post(own_provider::remove))
}

/// ServiceAccounts of a cluster.
fn account_pages() -> Router<Parts> {
    use pages::{service_account, service_accounts};
    use paths::pattern;

    Router::new()
        .route(pattern::SERVICE_ACCOUNTS, get(service_accounts::get).post(service_accounts::post))
        .route(pattern::SERVICE_ACCOUNT, get(service_account::get))
        .route(pattern::SERVICE_ACCOUNT_TOKEN, post(service_account::token))
        .route(pattern::REVOKE_TOKEN, post(service_account::revoke))
        .route(pattern::DELETE_SERVICE_ACCOUNT, get(service_account::ask_delete).post(service_account::delete))
}

/// What people see who lend.
fn owner_pages() -> Router<Parts> {
    use pages::{
        access, activity, add_cluster, can, clusters, credentials, devices, grant, link, links, overview, request,
        role_rules, settings, who_can,
    };
    use paths::pattern;

    Router::new()
        .route(paths::CLUSTERS, get(clusters::get))
        .route(paths::ADD_CLUSTER, get(add_cluster::get).post(add_cluster::post))
        .route(pattern::CLUSTER, get(overview::get))
        .route(pattern::CHECK, post(overview::check))
        .route(pattern::ACCESS, get(access::get).post(access::post))
        .route(pattern::CAN, get(can::get))
        .route(pattern::WHO_CAN, get(who_can::get))
        .route(pattern::ROLES, get(role_rules::get))
        .merge(account_pages())
        .route(pattern::GRANT, get(grant::get).post(grant::post))
        .route(pattern::EXTEND_GRANT, get(grant::get).post(grant::extend))
        .route(pattern::REVOKE_GRANT, get(access::ask_remove).post(access::remove))
        .route(pattern::REQUEST, get(request::get).post(request::post))
        .route(pattern::DECLINE_REQUEST, get(request::get).post(request::decline))
        .route(pattern::LINKS, get(links::get).post(links::post))
        .route(pattern::LINK, get(link::get).post(link::post))
        .route(pattern::REST_LINK, post(link::rest))
        .route(pattern::REVOKE_LINK, get(link::ask_revoke).post(link::revoke))
        .route(pattern::CREDENTIALS, get(credentials::get).post(credentials::post))
        .route(pattern::EXCHANGE_CREDENTIALS, post(credentials::exchange))
        .route(pattern::ROTATE_CREDENTIALS, get(credentials::get).post(credentials::rotate))
        .route(pattern::DEVICES, get(devices::get))
        .route(pattern::REVOKE_DEVICES, get(devices::ask).post(devices::revoke_many))
        .route(pattern::REVOKE_DEVICE, post(devices::revoke))
        .route(pattern::ACTIVITY, get(activity::get))
        .route(pattern::SETTINGS, get(settings::get).post(settings::post))
        .route(pattern::TAKE_OVER, post(settings::take_over))
}
