//! The person's own kubeconfig for a cluster: tested with their own token before it is handed out, downloaded, or taken as
//! commands.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::ExposeSecret;

use crate::{
    access::{AccessError, ConnectionTest, Gate, IssueRequest, Issued, Kubeconfigs, Relay, TestedRight},
    clock::Clock,
    k8s::K8sError,
    model::{
        device::Format,
        grant::{Grant, GrantState},
        id::{ClusterId, IdentityId},
        provider::ProviderId,
        time::Timestamp,
    },
    oidc::{Providers, Purpose, RefreshError},
    policy::{Authorized, HoldKubeconfig},
    store::Store,
    web::{
        Parts,
        browser_name::browser_name,
        client_address::ClientAddress,
        errors::{NextStep, PageError},
        frame::{Frame, Nav, render},
        labels::{length, within},
        paths,
        session::SignedIn,
        when::When,
        words,
    },
};

/// How many bytes of group names the page lists.
const GROUPS_ROOM: usize = 4 * 1024;
/// A little more than the test may take by itself.
const TEST_WITHIN: Duration = Duration::from_millis(2_800);

/// What the pages are made with.
#[derive(Clone, Debug)]
pub struct Desk {
    gate: Gate,
    kubeconfigs: Kubeconfigs,
    relay: Relay,
    providers: Providers,
    store: Store,
    clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            gate: parts.gate.clone(),
            kubeconfigs: parts.kubeconfigs.clone(),
            relay: parts.relay.clone(),
            providers: parts.providers.clone(),
            store: parts.store.clone(),
            clock: parts.clock.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "pages/kubeconfig.html")]
struct Page {
    frame: Frame,
    cluster: String,
    provider: String,
    here: String,
    manage: String,
    test: Test,
    formats: Vec<Choice>,
    download: String,
    /// Whether the way to the file leads through the provider first.
    signs_in_first: bool,
    commands: String,
    file_name: String,
    example: String,
    yaml: String,
    lent: Lent,
    waiting: Vec<String>,
    devices: &'static str,
}

/// A format to choose.
struct Choice {
    value: &'static str,
    chosen: bool,
    name: &'static str,
    /// Whom it is for, when it ends, and how it is taken back.
    hint: String,
}

/// Which format is looked at.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Wish {
    format: Option<String>,
}

/// The connection test in words.
enum Test {
    Works { username: String, groups: Vec<String>, more_groups: usize, rights: Vec<TestedRight>, millis: u64 },
    Fails { title: String, text: String, message: String },
    NoToken { sign_in: String },
}

/// How long it is theirs, and who can end it.
struct Lent {
    /// `None` for the people who manage the cluster and were lent nothing by others.
    by: Option<String>,
    until: Option<When>,
}

#[derive(Template)]
#[template(path = "pages/kubeconfig_commands.html")]
struct CommandsPage {
    frame: Frame,
    cluster: String,
    commands: String,
    kubeconfig: String,
    until: Option<When>,
    renews: bool,
}

/// The page.
pub async fn get(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(cluster): Path<ClusterId>,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    let (permit, grants) = desk.gate.hold_kubeconfig(&who.person, cluster).await?;
    let format = desk.chosen(&permit, &wish)?;
    let yaml = desk.kubeconfigs.preview(&permit, format);
    let (test, can_issue, lent) = tokio::join!(
        desk.test(&permit, &grants, &who),
        desk.kubeconfigs.can_issue(&permit, &who.token_key, format),
        desk.lent(&grants, who.person.identity().id),
    );
    let (can_issue, name) = (can_issue?, permit.cluster().name.to_string());
    let provider = &who.person.identity().provider;
    let there = |path: &str| {
        if can_issue { paths::with_format(path, format) } else { sign_in_for(cluster, provider, format) }
    };
    Ok(render(&Page {
        frame: Frame::new(&who, Nav::Shared),
        provider: desk.name_of(provider),
        here: paths::kubeconfig(cluster),
        manage: paths::cluster(cluster),
        test: test?,
        formats: desk.choices(&permit, format).await?,
        download: there(&paths::kubeconfig_download(cluster)),
        signs_in_first: !can_issue,
        commands: there(&paths::kubeconfig_commands(cluster)),
        file_name: format!("kubeconfig-{name}.yaml"),
        example: example(&grants),
        yaml: yaml?,
        lent: lent?,
        waiting: grants.iter().filter_map(waits).collect(),
        devices: paths::OWN_DEVICES,
        cluster: name,
    }))
}

/// The file.
pub async fn download(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(cluster): Path<ClusterId>,
    Query(wish): Query<Wish>,
    from: ClientAddress,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let issued = match desk.issue(&who, cluster, &wish, from, &headers).await? {
        Ok(issued) => issued,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let disposition = format!("attachment; filename=\"{}\"", plain_file_name(&issued.file_name));
    let headers = [(header::CONTENT_TYPE, "application/yaml".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, issued.yaml.expose_secret().to_owned()).into_response())
}

/// The same as commands.
pub async fn commands(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(cluster): Path<ClusterId>,
    Query(wish): Query<Wish>,
    from: ClientAddress,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let issued = match desk.issue(&who, cluster, &wish, from, &headers).await? {
        Ok(issued) => issued,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let cluster_name = desk.store.cluster(cluster).await?.name.to_string();
    Ok(render(&CommandsPage {
        frame: Frame::new(&who, Nav::Shared),
        cluster: cluster_name,
        commands: issued.commands.expose_secret().to_owned(),
        kubeconfig: paths::kubeconfig(cluster),
        until: issued.token_expires_at.map(|at| When::new(at, desk.clock.now())),
        renews: issued.renews,
    }))
}

impl Desk {
    /// The format that was asked for, or the usual one.
    fn chosen(&self, permit: &Authorized<HoldKubeconfig>, wish: &Wish) -> Result<Format, PageError> {
        let formats = self.kubeconfigs.formats(permit);
        let wanted = wish.format.as_deref().and_then(Format::parse).filter(|format| formats.contains(format));
        wanted.or(formats.first().copied()).ok_or_else(none_offered)
    }

    /// The formats to choose from, each with whom it is for, when it ends and how it is taken back.
    async fn choices(&self, permit: &Authorized<HoldKubeconfig>, chosen: Format) -> Result<Vec<Choice>, PageError> {
        let id = &permit.person().identity().provider;
        let (provider, life) = (self.name_of(id), self.store.token_life(id).await?);
        let limits = self.relay.settings().limits;
        let within =
            life.map_or_else(|| "when its last token ends".to_owned(), |life| format!("within {}", length(life)));
        let choice = |format: Format| {
            let (name, hint) = match format {
                Format::Relay => (
                    "kubectl, nothing to install",
                    format!(
                        "For any kubectl. Renews itself through Kubelend for {}, or until it was not used for {}. You and \
                         the owners can take this one file back; it ends {within}.",
                        length(limits.longest),
                        length(limits.unused),
                    ),
                ),
                Format::Provider => (
                    "provider directly",
                    format!(
                        "For any kubectl, and for when Kubelend may be away. Renews itself with {provider} for as long as \
                         that lets it; only there can it be ended."
                    ),
                ),
                Format::Kubelogin => (
                    "kubelogin plugin",
                    format!(
                        "For people who have the plugin. No token in the file: it signs you in with {provider} in your \
                         browser whenever that is needed; only there can it be ended."
                    ),
                ),
            };
            Choice { value: format.as_str(), chosen: format == chosen, name, hint }
        };
        Ok(self.kubeconfigs.formats(permit).into_iter().map(choice).collect())
    }

    /// Makes the file, or says where to go instead.
    async fn issue(
        &self,
        who: &SignedIn,
        cluster: ClusterId,
        wish: &Wish,
        ClientAddress(from): ClientAddress,
        headers: &HeaderMap,
    ) -> Result<Result<Issued, Response>, PageError> {
        // Handing out makes a device and is written down, so another site must not set it off.
        if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
            return Ok(Err(Redirect::to(&paths::kubeconfig(cluster)).into_response()));
        }
        let (permit, _) = self.gate.hold_kubeconfig(&who.person, cluster).await?;
        let format = self.chosen(&permit, wish)?;
        let request = IssueRequest { format, device: browser_name(headers), from };
        match self.kubeconfigs.issue(&permit, &who.token_key, &request).await {
            Ok(issued) => Ok(Ok(issued)),
            Err(AccessError::SignInAgain) => {
                let there = sign_in_for(cluster, &who.person.identity().provider, format);
                Ok(Err(Redirect::to(&there).into_response()))
            }
            Err(error @ AccessError::Provider(RefreshError::Unclear(_))) => {
                let again = sign_in_for(cluster, &who.person.identity().provider, format);
                Err(PageError::from(error).with_next(NextStep::new("Sign in again", again)))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn test(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        grants: &[Grant],
        who: &SignedIn,
    ) -> Result<Test, PageError> {
        let asked = self.kubeconfigs.test(permit, grants, &who.token_key);
        let test = match tokio::time::timeout(TEST_WITHIN, asked).await {
            Ok(Ok(test)) => test,
            Ok(Err(AccessError::SignInAgain | AccessError::Provider(_))) => ConnectionTest::NoToken,
            Ok(Err(AccessError::Cluster(error))) => ConnectionTest::Fails(error),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => ConnectionTest::Fails(K8sError::TimedOut),
        };
        Ok(self.in_words(permit, test))
    }

    fn in_words(&self, permit: &Authorized<HoldKubeconfig>, test: ConnectionTest) -> Test {
        let (cluster, identity) = (permit.cluster(), permit.person().identity());
        match test {
            ConnectionTest::Works { user, rights, millis } => {
                let (groups, unfit) = within(user.groups, GROUPS_ROOM, String::len);
                let more_groups = user.more_groups + unfit;
                Test::Works { username: user.username, groups, more_groups, rights, millis }
            }
            ConnectionTest::Fails(error) => {
                let (title, why) = words::cluster_trouble(&error);
                let (who, provider) = (identity.display(), self.name_of(&identity.provider));
                let message = format!(
                    "Kubelend's connection test on the cluster {} fails for me ({who}, signed in with {provider}): {title}. {why}",
                    cluster.name
                );
                Test::Fails { title: title.to_owned(), text: why, message }
            }
            ConnectionTest::NoToken => {
                Test::NoToken { sign_in: sign_in_for(cluster.id, &identity.provider, Format::Relay) }
            }
        }
    }

    async fn lent(&self, grants: &[Grant], to: IdentityId) -> Result<Lent, PageError> {
        let Some(grant) = grants.iter().find(|grant| grant.created_by != to) else {
            return Ok(Lent { by: None, until: None });
        };
        let by = self.store.identity(grant.created_by).await?.display().to_owned();
        let now = self.clock.now();
        Ok(Lent { by: Some(by), until: last_end(grants).map(|at| When::new(at, now)) })
    }

    fn name_of(&self, id: &ProviderId) -> String {
        self.providers.get(id).map_or_else(|| id.to_string(), |provider| provider.settings().name.clone())
    }
}

fn none_offered() -> PageError {
    PageError::new(
        StatusCode::CONFLICT,
        "There is no kubeconfig for you here",
        "The people who manage this cluster offer only formats that your sign-in provider is not set up for. It is their turn: \
         they choose the formats in the cluster's settings.",
    )
    .with_next(NextStep::new("Shared with me", paths::SHARED))
}

/// The end of the access that lasts longest; `None` if one has no end.
fn last_end(grants: &[Grant]) -> Option<Timestamp> {
    grants.iter().map(|grant| grant.expires_at).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// To the provider for tokens that can be handed out in this format, and back.
fn sign_in_for(cluster: ClusterId, provider: &ProviderId, format: Format) -> String {
    let purpose = if format == Format::Provider { Purpose::Direct } else { Purpose::Kubeconfig };
    paths::auth_start(provider, &paths::with_format(&paths::kubeconfig(cluster), format), purpose)
}

/// A first command that their access lets them run.
fn example(grants: &[Grant]) -> String {
    let whole = grants.iter().any(|grant| grant.scope.is_whole_cluster());
    match grants.iter().flat_map(|grant| grant.scope.namespaces()).next() {
        Some(namespace) if !whole => format!("get pods -n {namespace}"),
        _ => "get pods -A".to_owned(),
    }
}

/// What a grant that the cluster has not followed waits for.
fn waits(grant: &Grant) -> Option<String> {
    let why = match grant.state {
        GrantState::Applied | GrantState::Removing | GrantState::Removed => return None,
        GrantState::Pending => "Kubelend is still bringing it to the cluster; test again in a moment",
        GrantState::Conflict => "something else on the cluster stands in its place; it is the owner's turn",
        GrantState::Failed => "the cluster did not take it yet, and Kubelend goes on trying; it is the owner's turn",
    };
    let role = grant.role.as_ref()?;
    Some(format!("{role} on {}: {why}.", grant.scope.in_words()))
}

/// A file name is made of a cluster's name, which holds nothing else; but this is a header.
fn plain_file_name(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        grant::{Grantee, Origin},
        id::GrantId,
        name::Namespace,
        role::Role,
        scope::Scope,
    };

    const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);

    fn grant(namespaces: &str, expires_at: Option<Timestamp>, state: GrantState) -> Grant {
        Grant {
            id: GrantId::new(),
            grantee: Grantee::Person(IdentityId::new()),
            role: Some(Role::View),
            scope: Scope::new(ClusterId::new(), Namespace::parse_list(namespaces).unwrap_or_default()),
            expires_at,
            origin: Origin::Manual,
            created_by: IdentityId::new(),
            created_at: NOW,
            state,
            state_detail: Some("<b>detail</b>".into()),
            state_since: NOW,
            ended: None,
        }
    }

    fn page(test: Test) -> String {
        let frame = Frame { person: Some("bob@example.com".into()), csrf: "c".into(), ..Frame::anonymous() };
        let page = Page {
            frame: frame.at(Nav::Shared),
            cluster: "staging".into(),
            provider: "Dex".into(),
            here: "/clusters/x/kubeconfig".into(),
            manage: "/clusters/x".into(),
            test,
            download: "/clusters/x/kubeconfig/download".into(),
            signs_in_first: false,
            commands: "/clusters/x/kubeconfig/commands".into(),
            file_name: "kubeconfig-staging.yaml".into(),
            example: "get pods -A".into(),
            yaml: "apiVersion: v1\nkind: Config\nid-token: <hidden>\n".into(),
            lent: Lent {
                by: Some("alice@example.com".into()),
                until: Some(When::new(NOW.plus(Duration::from_hours(2160)), NOW)),
            },
            waiting: vec![],
            devices: paths::OWN_DEVICES,
            formats: vec![Choice { value: "relay", chosen: true, name: "kubectl", hint: "For any kubectl.".into() }],
        };
        page.render().unwrap()
    }

    #[test]
    fn immune_17_what_a_cluster_says_is_text_on_the_page() {
        let evil = "<script>alert(1)</script>".to_owned();
        let right = TestedRight { what: evil.clone(), allowed: true };
        let works = page(Test::Works {
            username: evil.clone(),
            groups: vec![evil.clone()],
            more_groups: 0,
            rights: vec![right],
            millis: 84,
        });
        let (title, text) = words::cluster_trouble(&K8sError::Nonsense(evil.clone()));
        let fails = page(Test::Fails { title: title.into(), text, message: evil });
        for html in [works, fails] {
            assert!(!html.contains("<script>alert"), "{html}");
            assert!(html.contains("&#60;script&#62;alert"), "{html}");
        }
    }

    #[test]
    fn the_names_that_programs_look_for_are_there() {
        let html = page(Test::Works {
            username: "bob@example.com".into(),
            groups: vec!["oidc:devs".into(), "system:authenticated".into()],
            more_groups: 1234,
            rights: vec![TestedRight { what: "list pods in all namespaces".into(), allowed: true }],
            millis: 84,
        });
        for wanted in [
            "<section class=\"block\" aria-labelledby=\"test-title\" id=\"connection-test\">",
            "<h2 id=\"test-title\">Connection test</h2>",
            "href=\"/clusters/x/kubeconfig/download\">Download kubeconfig</a>",
            "<fieldset><legend>Format</legend>",
            "you are <code>bob@example.com</code>",
            "list pods in all namespaces",
            "<code>system:authenticated</code> and 1234 more.",
            "in 90 days",
        ] {
            assert!(html.contains(wanted), "{wanted}: {html}");
        }
    }

    #[test]
    fn who_takes_commands_is_told_where_their_tokens_show() {
        let page = CommandsPage {
            frame: Frame::anonymous(),
            cluster: "staging".into(),
            commands: "kubectl config …".into(),
            kubeconfig: "/clusters/x/kubeconfig".into(),
            until: Some(When::new(NOW, NOW)),
            renews: true,
        };
        let html = page.render().unwrap();
        for wanted in ["shell’s history", "list of processes (<code>ps</code>)", ">take the file</a>"] {
            assert!(html.contains(wanted), "{wanted}: {html}");
        }
    }

    #[test]
    fn the_first_command_is_one_that_the_access_allows() {
        let (whole, some) = (grant("", None, GrantState::Applied), grant("shop, web", None, GrantState::Applied));
        assert_eq!(example(std::slice::from_ref(&some)), "get pods -n shop");
        assert_eq!(example(&[some, whole]), "get pods -A");
        assert_eq!(example(&[]), "get pods -A");
    }

    #[test]
    fn the_last_end_counts_and_no_end_outlasts_all() {
        let ends = |at| grant("", at, GrantState::Applied);
        let (soon, late) = (NOW, NOW.plus(Duration::from_mins(1)));
        assert_eq!(last_end(&[ends(Some(late)), ends(Some(soon))]), Some(late));
        assert_eq!(last_end(&[ends(Some(late)), ends(None)]), None);
    }

    #[test]
    fn access_that_the_cluster_has_not_followed_says_what_it_waits_for() {
        assert_eq!(waits(&grant("", None, GrantState::Applied)), None);
        for state in [GrantState::Pending, GrantState::Conflict, GrantState::Failed] {
            assert!(waits(&grant("shop", None, state)).unwrap().starts_with("view on namespace shop: "));
        }
    }

    #[test]
    fn a_file_name_cannot_break_out_of_its_header() {
        assert_eq!(plain_file_name("kubeconfig-a\"; x=\r\ny.yaml"), "kubeconfig-axy.yaml");
    }
}
