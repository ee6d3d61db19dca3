//! Every address of ours, once: the router takes the patterns, redirects and templates the functions that fill them.

use url::form_urlencoded::byte_serialize;

use crate::{
    model::{
        device::Format,
        id::{
            AccessRequestId, ClusterId, CustomRoleId, DeviceId, FederatedGrantId, GrantId, GroupId, PresetId,
            ProjectId, ServiceAccountId, ShareLinkId, WorkspaceId,
        },
        provider::ProviderId,
    },
    oidc::Purpose,
};

/// Where everybody begins: leads on to clusters, to what is shared, or to signing in.
pub const HOME: &str = "/";
/// The choice of providers.
pub const SIGN_IN: &str = "/sign-in";
/// Ends the session (POST).
pub const SIGN_OUT: &str = "/sign-out";
/// After the session has ended.
pub const SIGNED_OUT: &str = "/signed-out";
/// Signs in once more so that one's devices go on: short, since terminals show it.
pub const RENEW: &str = "/renew";
/// The person's own kubeconfigs.
pub const OWN_DEVICES: &str = "/account/devices";
/// What the provider says of the person, and what clusters make of it.
pub const CLAIMS: &str = "/account/claims";
/// Takes all of them back (POST; GET asks first).
pub const REVOKE_OWN_DEVICES: &str = "/account/devices/revoke";
/// One kubeconfig of several clusters (POST).
pub const SHARED_DOWNLOAD: &str = "/shared/kubeconfig";
/// Where the person is signed in.
pub const SESSIONS: &str = "/account/sessions";
/// Ends all of their sessions but this one (POST).
pub const END_OTHER_SESSIONS: &str = "/account/sessions/end";
/// What others lend to the person.
pub const SHARED: &str = "/shared";
/// The clusters that the person manages.
pub const CLUSTERS: &str = "/clusters";
/// The form that adds one.
pub const ADD_CLUSTER: &str = "/clusters/add";
/// Who has a role on every cluster.
pub const GLOBAL_ACCESS: &str = "/access";
/// All access as a file.
pub const GLOBAL_EXPORT: &str = "/access.yaml";
/// Groups of all workspaces; POST makes one.
pub const GROUPS: &str = "/groups";
/// What new clusters of all workspaces take over; POST makes a preset.
pub const PRESETS: &str = "/presets";
/// The custom roles of all workspaces.
pub const CUSTOM_ROLES: &str = "/custom-roles";
/// Who can reach which cluster, of all.
pub const MATRIX: &str = "/matrix";
/// The same as a file.
pub const MATRIX_CSV: &str = "/matrix.csv";
/// All that happened.
pub const ALL_ACTIVITY: &str = "/activity";
/// The same as a file.
pub const ALL_ACTIVITY_CSV: &str = "/activity.csv";
/// The workspaces that the person is a member of.
pub const WORKSPACES: &str = "/workspaces";
/// The form that makes one.
pub const CREATE_WORKSPACE: &str = "/workspaces/create";
/// Is the process alive?
pub const HEALTHZ: &str = "/healthz";
/// Can it serve?
pub const READYZ: &str = "/readyz";

/// Patterns for the router.
pub mod pattern {
    /// Sends the browser to a provider.
    pub const AUTH_START: &str = "/auth/start/{provider}";
    /// Takes a provider's answer.
    pub const AUTH_CALLBACK: &str = "/auth/callback/{provider}";
    /// A share link: leads on to an address without its token.
    pub const LANDING: &str = "/s/{token}";
    /// A share link that was opened in this browser; POST accepts it.
    pub const ACCEPT: &str = "/accept/{handle}";
    /// A cluster's overview.
    pub const CLUSTER: &str = "/clusters/{cluster}";
    /// Begins a connection check (POST).
    pub const CHECK: &str = "/clusters/{cluster}/check";
    /// Its access page; POST grants.
    pub const ACCESS: &str = "/clusters/{cluster}/access";
    /// What somebody can do there.
    pub const CAN: &str = "/clusters/{cluster}/can";
    /// Who can do something there.
    pub const WHO_CAN: &str = "/clusters/{cluster}/who-can";
    /// The roles that can be given there, and what one of them allows.
    pub const ROLES: &str = "/clusters/{cluster}/roles";
    /// ServiceAccounts that Kubelend made there; POST makes one.
    pub const SERVICE_ACCOUNTS: &str = "/clusters/{cluster}/service-accounts";
    /// One of them.
    pub const SERVICE_ACCOUNT: &str = "/clusters/{cluster}/service-accounts/{account}";
    /// Hands out a kubeconfig of it (POST).
    pub const SERVICE_ACCOUNT_TOKEN: &str = "/clusters/{cluster}/service-accounts/{account}/token";
    /// Takes one of these back (POST).
    pub const REVOKE_TOKEN: &str = "/clusters/{cluster}/service-accounts/{account}/revoke";
    /// Deletes it (POST; GET asks first).
    pub const DELETE_SERVICE_ACCOUNT: &str = "/clusters/{cluster}/service-accounts/{account}/delete";
    /// One grant there; POST changes it.
    pub const GRANT: &str = "/clusters/{cluster}/access/{grant}";
    /// Moves its end (POST).
    pub const EXTEND_GRANT: &str = "/clusters/{cluster}/access/{grant}/extend";
    /// Takes a grant back (POST; GET asks first).
    pub const REVOKE_GRANT: &str = "/clusters/{cluster}/access/{grant}/remove";
    /// Asks for access there (POST; GET has the form).
    pub const ASK: &str = "/clusters/{cluster}/ask";
    /// What somebody asks for; POST says yes.
    pub const REQUEST: &str = "/clusters/{cluster}/requests/{request}";
    /// Says no (POST).
    pub const DECLINE_REQUEST: &str = "/clusters/{cluster}/requests/{request}/decline";
    /// Takes one's own back (POST).
    pub const WITHDRAW_REQUEST: &str = "/shared/requests/{request}/withdraw";
    /// Who asks for access to a workspace's clusters.
    pub const REQUESTS: &str = "/workspaces/{workspace}/requests";
    /// Its share links; POST makes one.
    pub const LINKS: &str = "/clusters/{cluster}/links";
    /// One share link; POST changes its rules.
    pub const LINK: &str = "/clusters/{cluster}/links/{link}";
    /// Lets a link rest, or opens it again (POST).
    pub const REST_LINK: &str = "/clusters/{cluster}/links/{link}/rest";
    /// Takes a link back (POST; GET asks first).
    pub const REVOKE_LINK: &str = "/clusters/{cluster}/links/{link}/revoke";
    /// How Kubelend signs in there; POST replaces it.
    pub const CREDENTIALS: &str = "/clusters/{cluster}/credentials";
    /// Trades what it signs in with for less.
    pub const EXCHANGE_CREDENTIALS: &str = "/clusters/{cluster}/credentials/exchange";
    /// Puts the next token in place of what it signs in with (POST).
    pub const ROTATE_CREDENTIALS: &str = "/clusters/{cluster}/credentials/rotate";
    /// Takes over what a preset says (POST).
    pub const TAKE_OVER: &str = "/clusters/{cluster}/settings/preset";
    /// What new clusters of a workspace take over; POST makes a preset.
    pub const WORKSPACE_PRESETS: &str = "/workspaces/{workspace}/presets";
    /// A workspace's own providers; POST adds one.
    pub const OWN_PROVIDERS: &str = "/workspaces/{workspace}/providers";
    /// One of them; POST changes it.
    pub const OWN_PROVIDER: &str = "/workspaces/{workspace}/providers/{provider}";
    /// Switches it off and on (POST).
    pub const SWITCH_OWN_PROVIDER: &str = "/workspaces/{workspace}/providers/{provider}/switch";
    /// Removes it (POST; GET asks first).
    pub const REMOVE_OWN_PROVIDER: &str = "/workspaces/{workspace}/providers/{provider}/remove";
    /// A preset; POST changes it.
    pub const PRESET: &str = "/presets/{preset}";
    /// Removes it (POST).
    pub const DELETE_PRESET: &str = "/presets/{preset}/delete";
    /// The kubeconfigs that people hold for it.
    pub const DEVICES: &str = "/clusters/{cluster}/devices";
    /// Takes all of them back, or all of one person (POST; GET asks first).
    pub const REVOKE_DEVICES: &str = "/clusters/{cluster}/devices/revoke";
    /// Takes one of them back (POST).
    pub const REVOKE_DEVICE: &str = "/clusters/{cluster}/devices/{device}/revoke";
    /// Takes one of one's own back (POST).
    pub const REVOKE_OWN_DEVICE: &str = "/account/devices/{device}/revoke";
    /// Ends one of the person's sessions (POST).
    pub const END_SESSION: &str = "/account/sessions/{session}/end";
    /// What a device's kubeconfig names as its issuer: OpenID Connect Discovery 1.0, section 4.
    pub const RELAY_DISCOVERY: &str = "/relay/{device}/.well-known/openid-configuration";
    /// The token endpoint that it finds there (RFC 6749 section 3.2).
    pub const RELAY_TOKEN: &str = "/relay/{device}/token";
    /// What happened there.
    pub const ACTIVITY: &str = "/clusters/{cluster}/activity";
    /// Its name, what it trusts, its removal.
    pub const SETTINGS: &str = "/clusters/{cluster}/settings";
    /// Gives a cluster back (POST; GET asks first).
    pub const LEAVE: &str = "/clusters/{cluster}/leave";
    /// The person's own kubeconfig for it.
    pub const KUBECONFIG: &str = "/clusters/{cluster}/kubeconfig";
    /// The file itself.
    pub const KUBECONFIG_DOWNLOAD: &str = "/clusters/{cluster}/kubeconfig/download";
    /// The same as commands.
    pub const KUBECONFIG_COMMANDS: &str = "/clusters/{cluster}/kubeconfig/commands";
    /// One grant that reaches several clusters.
    pub const FEDERATED: &str = "/federated/{grant}";
    /// Moves its end (POST).
    pub const EXTEND_FEDERATED: &str = "/federated/{grant}/extend";
    /// Who has a role on all clusters of a workspace; POST grants.
    pub const WORKSPACE_ACCESS: &str = "/workspaces/{workspace}/access";
    /// A workspace's access as a file.
    pub const WORKSPACE_EXPORT: &str = "/workspaces/{workspace}/access.yaml";
    /// Who can reach which cluster of a workspace.
    pub const WORKSPACE_MATRIX: &str = "/workspaces/{workspace}/matrix";
    /// The same as a file.
    pub const WORKSPACE_MATRIX_CSV: &str = "/workspaces/{workspace}/matrix.csv";
    /// What whoever holds a grant can reach in a workspace.
    pub const WORKSPACE_HOLDER: &str = "/workspaces/{workspace}/matrix/{grant}";
    /// What whoever holds a grant can reach, of all.
    pub const HOLDER: &str = "/matrix/{grant}";
    /// Groups of a workspace; POST makes one.
    pub const WORKSPACE_GROUPS: &str = "/workspaces/{workspace}/groups";
    /// A workspace's custom roles.
    pub const WORKSPACE_ROLES: &str = "/workspaces/{workspace}/custom-roles";
    /// A custom role.
    pub const CUSTOM_ROLE: &str = "/custom-roles/{role}";
    /// Deletes a custom role.
    pub const DELETE_CUSTOM_ROLE: &str = "/custom-roles/{role}/delete";
    /// One Group; POST changes who is in it.
    pub const GROUP: &str = "/groups/{group}";
    /// What happened to it.
    pub const GROUP_ACTIVITY: &str = "/groups/{group}/activity";
    /// Its name and who changes it.
    pub const GROUP_SETTINGS: &str = "/groups/{group}/settings";
    /// Deletes it (POST).
    pub const DELETE_GROUP: &str = "/groups/{group}/delete";
    /// A workspace's projects; POST makes one.
    pub const PROJECTS: &str = "/workspaces/{workspace}/projects";
    /// One project; POST grants in it.
    pub const PROJECT: &str = "/workspaces/{workspace}/projects/{project}";
    /// Changes it (POST).
    pub const CHANGE_PROJECT: &str = "/workspaces/{workspace}/projects/{project}/change";
    /// Removes it (POST).
    pub const REMOVE_PROJECT: &str = "/workspaces/{workspace}/projects/{project}/remove";
    /// Says whether its namespace is made where it is missing (POST).
    pub const PROJECT_NAMESPACE: &str = "/workspaces/{workspace}/projects/{project}/namespace";
    /// Who is what in it; POST changes that.
    pub const PROJECT_MEMBERS: &str = "/workspaces/{workspace}/projects/{project}/members";
    /// Says whom of its workspace it takes over (POST).
    pub const PROJECT_TAKES: &str = "/workspaces/{workspace}/projects/{project}/members/takes";
    /// A workspace's overview.
    pub const WORKSPACE: &str = "/workspaces/{workspace}";
    /// Who is a member; POST adds, changes and removes.
    pub const MEMBERS: &str = "/workspaces/{workspace}/members";
    /// Links by which people join it; POST makes one, or takes one back.
    pub const INVITATIONS: &str = "/workspaces/{workspace}/invitations";
    /// What happened in it.
    pub const WORKSPACE_ACTIVITY: &str = "/workspaces/{workspace}/activity";
    /// Its name and its end.
    pub const WORKSPACE_SETTINGS: &str = "/workspaces/{workspace}/settings";
    /// Deletes it (POST; GET asks first).
    pub const DELETE_WORKSPACE: &str = "/workspaces/{workspace}/delete";
    /// Puts a cluster into another workspace (POST; GET asks first).
    pub const MOVE_CLUSTER: &str = "/clusters/{cluster}/move";
    /// Files that never change under their address.
    pub const STATIC: &str = "/static/{hash}/{file}";
}

fn fill(pattern: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
}

fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// The choice of providers; `next` is where to go afterwards.
pub fn sign_in(next: &str, purpose: Purpose) -> String {
    with_next(SIGN_IN, next, purpose)
}

/// The choice of providers with those of this workspace's own: its people bookmark it, and its links lead there.
pub fn sign_in_at(workspace: WorkspaceId, next: &str, purpose: Purpose) -> String {
    let path = with_next(SIGN_IN, next, purpose);
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}workspace={workspace}")
}

/// Straight to one provider.
pub fn auth_start(provider: &ProviderId, next: &str, purpose: Purpose) -> String {
    with_next(&fill(pattern::AUTH_START, &[("provider", provider.to_string())]), next, purpose)
}

fn with_next(path: &str, next: &str, purpose: Purpose) -> String {
    let next = if next == HOME { "" } else { next };
    let purpose = if purpose == Purpose::Pages { "" } else { purpose.as_str() };
    with_query(path, &[("next", next), ("purpose", purpose)])
}

/// An address with those of these that are not empty as its query.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Where a provider sends its answer, as a path.
pub fn auth_callback(provider: &ProviderId) -> String {
    fill(pattern::AUTH_CALLBACK, &[("provider", provider.to_string())])
}

/// After signing out; names the provider, so that its own sign-out can be offered.
pub fn signed_out(provider: Option<&ProviderId>) -> String {
    provider.map_or_else(|| SIGNED_OUT.to_owned(), |p| format!("{SIGNED_OUT}?provider={p}"))
}

/// A share link.
pub fn landing(token: &str) -> String {
    fill(pattern::LANDING, &[("token", encode(token))])
}

/// A share link that was opened in this browser.
pub fn accept(handle: &str) -> String {
    fill(pattern::ACCEPT, &[("handle", encode(handle))])
}

/// What somebody can do on a cluster, with a query that says who.
pub fn can(cluster: ClusterId, query: &[(&str, &str)]) -> String {
    asked(pattern::CAN, cluster, query)
}

/// Who can do something on a cluster, with a query that says what.
pub fn who_can(cluster: ClusterId, query: &[(&str, &str)]) -> String {
    asked(pattern::WHO_CAN, cluster, query)
}

/// The roles that can be given on a cluster, or what one of them allows: `role` as forms send it, `namespace` a Role's own.
pub fn roles(cluster: ClusterId, role: Option<&str>, namespace: &str) -> String {
    asked(pattern::ROLES, cluster, &[("role", role.unwrap_or_default()), ("ns", namespace)])
}

/// The address of a page of a cluster, as another page of the same cluster can write it: much shorter where a table has many.
pub fn beside(address: &str) -> String {
    let page = address.strip_prefix("/clusters/").and_then(|rest| rest.split_once('/'));
    page.map_or(address, |(_, page)| page).to_owned()
}

fn asked(pattern: &str, cluster: ClusterId, query: &[(&str, &str)]) -> String {
    with_query(&fill(pattern, &[("cluster", cluster.to_string())]), query)
}

/// ServiceAccounts of a cluster.
pub fn service_accounts(cluster: ClusterId) -> String {
    fill(pattern::SERVICE_ACCOUNTS, &[("cluster", cluster.to_string())])
}

/// One of them.
pub fn service_account(cluster: ClusterId, account: ServiceAccountId) -> String {
    of_account(pattern::SERVICE_ACCOUNT, cluster, account)
}

/// Hands out a kubeconfig of it.
pub fn service_account_token(cluster: ClusterId, account: ServiceAccountId) -> String {
    of_account(pattern::SERVICE_ACCOUNT_TOKEN, cluster, account)
}

/// Takes one of these back.
pub fn revoke_token(cluster: ClusterId, account: ServiceAccountId) -> String {
    of_account(pattern::REVOKE_TOKEN, cluster, account)
}

/// Deletes it.
pub fn delete_service_account(cluster: ClusterId, account: ServiceAccountId) -> String {
    of_account(pattern::DELETE_SERVICE_ACCOUNT, cluster, account)
}

fn of_account(pattern: &str, cluster: ClusterId, account: ServiceAccountId) -> String {
    fill(pattern, &[("cluster", cluster.to_string()), ("account", account.to_string())])
}

/// One grant on a cluster.
pub fn grant(cluster: ClusterId, grant: GrantId) -> String {
    of_grant(pattern::GRANT, cluster, grant)
}

/// Moves its end.
pub fn extend_grant(cluster: ClusterId, grant: GrantId) -> String {
    of_grant(pattern::EXTEND_GRANT, cluster, grant)
}

/// Takes a grant back.
pub fn revoke_grant(cluster: ClusterId, grant: GrantId) -> String {
    of_grant(pattern::REVOKE_GRANT, cluster, grant)
}

fn of_grant(pattern: &str, cluster: ClusterId, grant: GrantId) -> String {
    fill(pattern, &[("cluster", cluster.to_string()), ("grant", grant.to_string())])
}

/// What somebody asks for.
pub fn request(cluster: ClusterId, request: AccessRequestId) -> String {
    of_request(pattern::REQUEST, cluster, request)
}

/// Says no to it.
pub fn decline_request(cluster: ClusterId, request: AccessRequestId) -> String {
    of_request(pattern::DECLINE_REQUEST, cluster, request)
}

fn of_request(pattern: &str, cluster: ClusterId, request: AccessRequestId) -> String {
    fill(pattern, &[("cluster", cluster.to_string()), ("request", request.to_string())])
}

/// Takes one's own back.
pub fn withdraw_request(request: AccessRequestId) -> String {
    fill(pattern::WITHDRAW_REQUEST, &[("request", request.to_string())])
}

/// Asks for the same again, for longer.
pub fn ask_longer(cluster: ClusterId, grant: GrantId) -> String {
    format!("{}?grant={grant}", ask(cluster))
}

/// One share link.
pub fn link(cluster: ClusterId, link: ShareLinkId) -> String {
    fill(pattern::LINK, &[("cluster", cluster.to_string()), ("link", link.to_string())])
}

/// Lets a link rest, or opens it again.
pub fn rest_link(cluster: ClusterId, link: ShareLinkId) -> String {
    fill(pattern::REST_LINK, &[("cluster", cluster.to_string()), ("link", link.to_string())])
}

/// Takes a link back.
pub fn revoke_link(cluster: ClusterId, link: ShareLinkId) -> String {
    fill(pattern::REVOKE_LINK, &[("cluster", cluster.to_string()), ("link", link.to_string())])
}

/// Takes a device back, as somebody who manages its cluster.
pub fn revoke_device(cluster: ClusterId, device: DeviceId) -> String {
    fill(pattern::REVOKE_DEVICE, &[("cluster", cluster.to_string()), ("device", device.to_string())])
}

/// Takes a device of one's own back.
pub fn revoke_own_device(device: DeviceId) -> String {
    fill(pattern::REVOKE_OWN_DEVICE, &[("device", device.to_string())])
}

/// Ends one of the person's sessions.
pub fn end_session(name: &str) -> String {
    fill(pattern::END_SESSION, &[("session", name.to_owned())])
}

/// The relay's token endpoint for a device.
pub fn relay_token(device: DeviceId) -> String {
    fill(pattern::RELAY_TOKEN, &[("device", device.to_string())])
}

/// A page of the person's own kubeconfig, for this format of it.
pub fn with_format(path: &str, format: Format) -> String {
    format!("{path}?format={}", format.as_str())
}

/// A file that never changes under its address.
pub fn asset(hash: &str, file: &str) -> String {
    fill(pattern::STATIC, &[("hash", hash.to_owned()), ("file", file.to_owned())])
}

/// The form that adds a cluster to this workspace.
pub fn add_cluster_to(workspace: WorkspaceId) -> String {
    format!("{ADD_CLUSTER}?workspace={workspace}")
}

macro_rules! of_workspace {
    ($($(#[$doc:meta])* $name:ident => $pattern:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(workspace: WorkspaceId) -> String {
            fill(pattern::$pattern, &[("workspace", workspace.to_string())])
        }
    )+};
}

/// One grant that reaches several clusters.
pub fn federated(grant: FederatedGrantId) -> String {
    fill(pattern::FEDERATED, &[("grant", grant.to_string())])
}

/// Moves its end.
pub fn extend_federated(grant: FederatedGrantId) -> String {
    fill(pattern::EXTEND_FEDERATED, &[("grant", grant.to_string())])
}

/// One Group.
pub fn group(group: GroupId) -> String {
    fill(pattern::GROUP, &[("group", group.to_string())])
}

/// What happened to it.
pub fn group_activity(group: GroupId) -> String {
    fill(pattern::GROUP_ACTIVITY, &[("group", group.to_string())])
}

/// Its name and who changes it.
pub fn group_settings(group: GroupId) -> String {
    fill(pattern::GROUP_SETTINGS, &[("group", group.to_string())])
}

/// Deletes it.
pub fn delete_group(group: GroupId) -> String {
    fill(pattern::DELETE_GROUP, &[("group", group.to_string())])
}

/// One project.
pub fn project(workspace: WorkspaceId, project: ProjectId) -> String {
    fill(pattern::PROJECT, &[("workspace", workspace.to_string()), ("project", project.to_string())])
}

/// Who is what in it.
pub fn project_members(workspace: WorkspaceId, project: ProjectId) -> String {
    fill(pattern::PROJECT_MEMBERS, &[("workspace", workspace.to_string()), ("project", project.to_string())])
}

/// Says whom of its workspace it takes over.
pub fn project_takes(workspace: WorkspaceId, project: ProjectId) -> String {
    fill(pattern::PROJECT_TAKES, &[("workspace", workspace.to_string()), ("project", project.to_string())])
}

/// A custom role.
pub fn custom_role(role: CustomRoleId) -> String {
    fill(pattern::CUSTOM_ROLE, &[("role", role.to_string())])
}

/// Deletes it.
pub fn delete_custom_role(role: CustomRoleId) -> String {
    fill(pattern::DELETE_CUSTOM_ROLE, &[("role", role.to_string())])
}

of_workspace! {
    /// Who has a role on all its clusters.
    workspace_access => WORKSPACE_ACCESS,
    /// Its access as a file.
    workspace_export => WORKSPACE_EXPORT,
    /// Who can reach which of its clusters.
    workspace_matrix => WORKSPACE_MATRIX,
    /// Its Groups.
    workspace_groups => WORKSPACE_GROUPS,
    /// Its custom roles.
    workspace_roles => WORKSPACE_ROLES,
    /// Who asks for access to its clusters.
    requests => REQUESTS,
    /// Its projects.
    projects => PROJECTS,
    /// A workspace's overview.
    workspace => WORKSPACE,
    /// Its members.
    members => MEMBERS,
    /// Links by which people join it.
    invitations => INVITATIONS,
    /// What happened in it.
    workspace_activity => WORKSPACE_ACTIVITY,
    /// Its name and its end.
    workspace_settings => WORKSPACE_SETTINGS,
    /// Deletes it.
    delete_workspace => DELETE_WORKSPACE,
}

/// What new clusters of a workspace take over.
pub fn workspace_presets(workspace: WorkspaceId) -> String {
    fill(pattern::WORKSPACE_PRESETS, &[("workspace", workspace.to_string())])
}

/// A workspace's own providers.
pub fn own_providers(workspace: WorkspaceId) -> String {
    fill(pattern::OWN_PROVIDERS, &[("workspace", workspace.to_string())])
}

fn of_provider(pattern: &str, workspace: WorkspaceId, provider: &ProviderId) -> String {
    fill(pattern, &[("workspace", workspace.to_string()), ("provider", provider.to_string())])
}

/// One of them.
pub fn own_provider(workspace: WorkspaceId, provider: &ProviderId) -> String {
    of_provider(pattern::OWN_PROVIDER, workspace, provider)
}

/// Switches it off and on.
pub fn switch_own_provider(workspace: WorkspaceId, provider: &ProviderId) -> String {
    of_provider(pattern::SWITCH_OWN_PROVIDER, workspace, provider)
}

/// Removes it.
pub fn remove_own_provider(workspace: WorkspaceId, provider: &ProviderId) -> String {
    of_provider(pattern::REMOVE_OWN_PROVIDER, workspace, provider)
}

/// A preset.
pub fn preset(id: PresetId) -> String {
    fill(pattern::PRESET, &[("preset", id.to_string())])
}

/// Removes it.
pub fn delete_preset(id: PresetId) -> String {
    fill(pattern::DELETE_PRESET, &[("preset", id.to_string())])
}

macro_rules! of_cluster {
    ($($(#[$doc:meta])* $name:ident => $pattern:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(cluster: ClusterId) -> String {
            fill(pattern::$pattern, &[("cluster", cluster.to_string())])
        }
    )+};
}

of_cluster! {
    /// A cluster's overview.
    cluster => CLUSTER,
    /// Begins a connection check.
    check => CHECK,
    /// Its access page.
    access => ACCESS,
    /// Its share links.
    links => LINKS,
    /// How Kubelend signs in there.
    credentials => CREDENTIALS,
    /// Trades what it signs in with for less.
    exchange_credentials => EXCHANGE_CREDENTIALS,
    /// Puts the next token in place of what it signs in with.
    rotate_credentials => ROTATE_CREDENTIALS,
    /// The kubeconfigs that people hold for it.
    devices => DEVICES,
    /// Takes all of them back, or all of one person.
    revoke_devices => REVOKE_DEVICES,
    /// What happened there.
    activity => ACTIVITY,
    /// Its name, what it trusts, its removal.
    settings => SETTINGS,
    /// Takes over what a preset says.
    take_over => TAKE_OVER,
    /// Puts it into another workspace.
    move_cluster => MOVE_CLUSTER,
    /// Asks for access there.
    ask => ASK,
    /// Gives a cluster back.
    leave => LEAVE,
    /// The person's own kubeconfig for it.
    kubeconfig => KUBECONFIG,
    /// The file itself.
    kubeconfig_download => KUBECONFIG_DOWNLOAD,
    /// The same as commands.
    kubeconfig_commands => KUBECONFIG_COMMANDS,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_patterns_hold_no_placeholder_and_what_comes_from_outside_is_encoded() {
        let id = ClusterId::new();
        assert_eq!(kubeconfig_download(id), format!("/clusters/{id}/kubeconfig/download"));
        assert!(!revoke_grant(id, GrantId::new()).contains('{'));
        assert_eq!(landing("a/../b?c"), "/s/a%2F..%2Fb%3Fc");
        assert_eq!(sign_in("/", Purpose::Pages), "/sign-in");
        assert_eq!(sign_in("/s/x?y=1&z", Purpose::Kubeconfig), "/sign-in?next=%2Fs%2Fx%3Fy%3D1%26z&purpose=kubeconfig");
    }
}
