//! The person's own kubeconfig for a cluster: tested with their own token before it is handed out, downloaded, or taken as
//! commands.

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::ExposeSecret;

use super::{
    connection_test::TestView,
    format_choice::{Choice, Facts, choices, name_of},
};
use crate::{
    access::{AccessError, Diagnoser, Formats, Gate, IssueRequest, Issued, Kubeconfigs, Relay},
    clock::Clock,
    model::{
        device::Format,
        grant::Grant,
        id::{ClusterId, IdentityId},
        provider::ProviderId,
        time::Timestamp,
    },
    oidc::{ProviderSettings, Providers, Purpose, RefreshError},
    policy::{Authorized, Forbidden, HoldKubeconfig},
    store::Store,
    web::{
        Parts,
        api_server_setup::ApiServerSetup,
        browser_name::browser_name,
        client_address::ClientAddress,
        diagnosis::About,
        errors::{NextStep, PageError},
        frame::{Frame, Nav, render},
        paths,
        session::SignedIn,
        when::When,
    },
};

/// What the pages are made with.
#[derive(Clone, Debug)]
pub struct Desk {
    gate: Gate,
    kubeconfigs: Kubeconfigs,
    diagnoser: Diagnoser,
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
            diagnoser: parts.diagnoser.clone(),
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
    ask: String,
    test: TestView,
    /// What was tested, where that is not what is offered.
    tried: Option<&'static str>,
    formats: Vec<Choice>,
    download: String,
    /// Whether the way to the file leads through the provider first.
    signs_in_first: bool,
    commands: String,
    file_name: String,
    example: String,
    yaml: String,
    lent: Lent,
    devices: &'static str,
    claims: &'static str,
}

/// Which format is looked at.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Wish {
    format: Option<String>,
}

impl Wish {
    fn wanted(&self) -> Option<Format> {
        self.format.as_deref().and_then(Format::parse)
    }
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
    let (permit, grants) = match desk.gate.hold_kubeconfig(&who.person, cluster).await {
        // Whoever knows the cluster can ask for it again.
        Err(AccessError::Forbidden(why @ Forbidden::NothingLent))
            if desk.gate.ask_access(&who.person, cluster).await.is_ok() =>
        {
            return Err(PageError::from(why).with_next(NextStep::new("Ask for access", paths::ask(cluster))));
        }
        other => other?,
    };
    let lent = desk.lent(&grants, who.person.identity().id).await?;
    let tried = Desk::tried(&desk.kubeconfigs.formats(&permit).await?, &wish)?;
    let test = desk.test(&permit, &grants, &who, lent.by.clone(), tried).await?;
    // What the test found decides what is offered.
    let formats = desk.kubeconfigs.formats(&permit).await?;
    let format = Desk::chosen(&formats, &wish)?;
    let can_issue = desk.kubeconfigs.can_issue(&permit, &who.token_key, format).await?;
    let name = permit.cluster().name.to_string();
    let provider = &who.person.identity().provider;
    let there = |path: &str| {
        if can_issue { paths::with_format(path, format) } else { sign_in_for(cluster, provider, format) }
    };
    Ok(render(&Page {
        frame: Frame::new(&who, Nav::Shared),
        provider: desk.name_of(provider),
        here: paths::kubeconfig(cluster),
        manage: paths::cluster(cluster),
        ask: paths::ask(cluster),
        test,
        tried: (tried != format).then(|| name_of(tried)),
        formats: desk.choices(&permit, &who, &formats, format, lent.by.clone()).await?,
        download: there(&paths::kubeconfig_download(cluster)),
        signs_in_first: !can_issue,
        commands: there(&paths::kubeconfig_commands(cluster)),
        file_name: format!("kubeconfig-{name}.yaml"),
        example: example(&grants),
        yaml: desk.kubeconfigs.preview(&permit, format)?,
        lent,
        devices: paths::OWN_DEVICES,
        claims: paths::CLAIMS,
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
    /// What to test the cluster with: the format that was asked for, also where it is not offered now, or the usual one.
    fn tried(formats: &Formats, wish: &Wish) -> Result<Format, PageError> {
        let wanted = wish.wanted().filter(|wanted| formats.all().iter().any(|(format, _)| format == wanted));
        wanted.or(formats.usual()).ok_or_else(none_offered)
    }

    /// The format that was asked for, or the usual one.
    fn chosen(formats: &Formats, wish: &Wish) -> Result<Format, PageError> {
        let wanted = wish.wanted().filter(|wanted| formats.offers(*wanted));
        wanted.or(formats.usual()).ok_or_else(none_offered)
    }

    /// The formats to choose from.
    async fn choices(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        who: &SignedIn,
        formats: &Formats,
        chosen: Format,
        lender: Option<String>,
    ) -> Result<Vec<Choice>, PageError> {
        let provider = &permit.person().identity().provider;
        let about = About::new(permit.cluster(), &self.settings(provider)?, lender);
        let facts =
            Facts { about: &about, life: self.store.token_life(provider).await?, limits: self.relay.settings().limits };
        let here = paths::kubeconfig(permit.cluster().id);
        // What is tested is a token of the format's client: where there is none, a sign-in gives one and leads back.
        let mut again = Vec::new();
        for format in [Format::Relay, Format::Provider] {
            let has_token = self.kubeconfigs.can_issue(permit, &who.token_key, format).await?;
            let sign_in = || sign_in_for(permit.cluster().id, provider, format);
            again.push(if has_token { paths::with_format(&here, format) } else { sign_in() });
        }
        Ok(choices(formats, chosen, &facts, |format| again[usize::from(!format.is_relayed())].clone()))
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
        let format = Self::chosen(&self.kubeconfigs.formats(&permit).await?, wish)?;
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
        lender: Option<String>,
        format: Format,
    ) -> Result<TestView, PageError> {
        let test = self.diagnoser.test(permit, grants, &who.token_key, format).await?;
        let (cluster, identity) = (permit.cluster(), permit.person().identity());
        let provider = self.settings(&identity.provider)?;
        let checks = self.store.checks(&[cluster.id]).await?;
        let version = checks.first().and_then(|(_, stored)| stored.check.version.as_deref());
        let about = About::new(cluster, &provider, lender);
        let setup = ApiServerSetup::of(cluster, &self.providers, version);
        let sign_in = sign_in_for(cluster.id, &identity.provider, Format::Relay);
        Ok(TestView::new(test, &about, identity.display(), setup, sign_in))
    }

    async fn lent(&self, grants: &[Grant], to: IdentityId) -> Result<Lent, PageError> {
        let Some(grant) = grants.iter().find(|grant| grant.created_by != to) else {
            return Ok(Lent { by: None, until: None });
        };
        let by = self.store.identity(grant.created_by).await?.display().to_owned();
        let now = self.clock.now();
        Ok(Lent { by: Some(by), until: last_end(grants).map(|at| When::new(at, now)) })
    }

    fn settings(&self, id: &ProviderId) -> Result<ProviderSettings, PageError> {
        Ok(self.providers.get(id).ok_or_else(PageError::not_found)?.settings().clone())
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

/// A file name is made of a cluster's name, which holds nothing else; but this is a header.
fn plain_file_name(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        access::{ConnectionTest, TestedRight},
        k8s::UserInfo,
        model::{
            diagnosis::{Cause, Certainty, Finding, NameHint},
            grant::{GrantState, Grantee, Origin},
            id::GrantId,
            name::Namespace,
            role::Role,
            scope::Scope,
        },
        web::diagnosis::tests::{about, causes},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);

    fn grant(namespaces: &str, expires_at: Option<Timestamp>, state: GrantState) -> Grant {
        Grant {
            id: GrantId::new(),
            grantee: Grantee::Person(IdentityId::new()),
            role: Some(Role::View),
            scope: Scope::new(ClusterId::new(), Namespace::parse_list(namespaces).unwrap_or_default()),
            expires_at,
            reason: None,
            origin: Origin::Manual,
            created_by: IdentityId::new(),
            created_at: NOW,
            state,
            state_detail: Some("<b>detail</b>".into()),
            state_since: NOW,
            ended: None,
        }
    }

    const EVIL: &str = "<script>alert(1)</script>";

    fn tested(user: Option<&str>, findings: Vec<Finding>) -> TestView {
        let test = ConnectionTest {
            user: user.map(|name| UserInfo {
                username: name.into(),
                groups: vec!["oidc:devs".into(), "system:authenticated".into()],
                more_groups: 1234,
            }),
            rights: vec![TestedRight { what: "list pods in all namespaces".into(), allowed: true }],
            findings,
            millis: 84,
        };
        let setup = ApiServerSetup {
            configuration: "kind: AuthenticationConfiguration\n".into(),
            flags: Some("--oidc-issuer-url=https://dex.example".into()),
            ca_file: true,
        };
        TestView::new(test, &about(), "bob@example.com", setup, "/sign-in-here".into())
    }

    fn finding(cause: Cause, certainty: Certainty) -> Finding {
        Finding { cause, certainty, trouble: true }
    }

    fn page(test: TestView) -> String {
        let frame = Frame { person: Some("bob@example.com".into()), csrf: "c".into(), ..Frame::anonymous() };
        let page = Page {
            frame: frame.at(Nav::Shared),
            cluster: "staging".into(),
            provider: "Dex".into(),
            here: "/clusters/x/kubeconfig".into(),
            manage: "/clusters/x".into(),
            ask: "/clusters/x/ask".into(),
            test,
            tried: None,
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
            devices: paths::OWN_DEVICES,
            claims: paths::CLAIMS,
            formats: vec![
                Choice { value: "relay", chosen: true, name: "kubectl", hint: "For any kubectl.".into(), again: None },
                Choice {
                    value: "provider",
                    chosen: false,
                    name: "provider directly",
                    hint: EVIL.into(),
                    again: Some("/again".into()),
                },
            ],
        };
        page.render().unwrap()
    }

    /// The page in its states, for what holds for all pages.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let possible = |cause| finding(cause, Certainty::Possible);
        let certain = |cause| finding(cause, Certainty::Certain);
        let all: Vec<Finding> = causes(EVIL).into_iter().map(certain).collect();
        let open = vec![
            possible(Cause::IssuerUnknown { counted: false }),
            possible(Cause::Audience { token: vec![EVIL.into()], wanted: vec!["kubelend".into()] }),
            possible(Cause::Claims),
        ];
        vec![
            ("kubeconfig", page(tested(Some("bob@example.com"), vec![]))),
            ("kubeconfig-open", page(tested(None, open))),
            ("kubeconfig-over", page(tested(None, vec![certain(Cause::TokenOver(NOW))]))),
            ("kubeconfig-away", page(tested(None, vec![certain(Cause::Unreachable(EVIL.into()))]))),
            ("kubeconfig-all", page(tested(Some("bob@example.com"), all))),
        ]
    }

    #[test]
    fn immune_17_what_a_cluster_says_is_text_on_the_page() {
        for cause in causes(EVIL) {
            let told = format!("{cause:?}").contains("<script>");
            let html = page(tested(Some(EVIL), vec![finding(cause, Certainty::Certain)]));
            assert!(!html.contains("<script>alert"), "{html}");
            assert!(html.matches("&#60;script&#62;alert").count() > usize::from(told), "{html}");
        }
    }

    #[test]
    fn the_first_line_is_the_diagnosis_whose_turn_it_is_and_what_to_send() {
        let differs = Cause::NameDiffers {
            expected: "bob@example.com".into(),
            answered: "corp:bob@example.com".into(),
            hint: NameHint::Prefix("corp:".into()),
        };
        let html = page(tested(Some("corp:bob@example.com"), vec![finding(differs, Certainty::Certain)]));
        let test = html.split("id=\"connection-test\"").nth(1).unwrap();
        let first = test.split("<p>").nth(1).unwrap();
        assert!(first.contains("The cluster knows you by another name"), "{first}");
        assert!(first.contains("It is the turn of alice@example.com"), "{first}");
        assert!(
            test.contains("A text to send to alice@example.com") && test.contains("kind: AuthenticationConfiguration")
        );
        assert!(test.contains("Download kubeconfig") && !test.contains("It works"));
    }

    #[test]
    fn what_stays_open_is_said_as_one_of_these() {
        let (_, html) = samples().swap_remove(1);
        assert!(
            html.contains("It is one of these, the likeliest first") && html.contains("<ol class=\"why wraps\">"),
            "{html}"
        );
    }

    #[test]
    fn the_names_that_programs_look_for_are_there() {
        let html = page(tested(Some("bob@example.com"), vec![]));
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
    fn a_file_name_cannot_break_out_of_its_header() {
        assert_eq!(plain_file_name("kubeconfig-a\"; x=\r\ny.yaml"), "kubeconfig-axy.yaml");
    }
}
