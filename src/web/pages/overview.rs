//! `/clusters/{cluster}`: how the connection is, who can do what, what happened lately.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    activity::Line,
    cluster::{AtCluster, Head, Tab},
    overdue,
    trust::{self, TrustStep},
    wide_access::named,
};
use crate::{
    access::{Clusters, Diagnoser, Gate},
    model::{
        audit::AuditEvent,
        cluster::{CheckStep, ConnectionCheck, StepOutcome},
        grant::Grant,
        identity::Identity,
        name::Namespace,
        own_token::CredentialEnd,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    oidc::Providers,
    store::{GrantFilter, GroupOnCluster, Store},
    web::{
        api_server_setup::ApiServerSetup,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, render},
        labels::{RoleTag, outcome_class, outcome_word},
        paths,
        when::When,
    },
};

const GRANTS: u32 = 8;
const EVENTS: u32 = 5;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct OverviewPage {
    frame: Frame,
    head: Head,
    share: Option<String>,
    check_again: Option<String>,
    checking: bool,
    checked: Option<When>,
    server: String,
    steps: Vec<Step>,
    trust: Vec<TrustStep>,
    /// Where the whole diagnosis stands.
    diagnosis: String,
    grants: Vec<Row>,
    access: String,
    events: Vec<Line>,
    activity: String,
    overdue: Option<overdue::Banner>,
    ending: Option<Ending>,
    setup: ApiServerSetup,
}

/// A credential of Kubelend's that ends, or cannot be renewed, as somebody has to hear who looks after the cluster.
struct Ending {
    words: String,
    /// Where it is put right, for whoever may.
    there: Option<String>,
}

struct Step {
    id: String,
    class: &'static str,
    word: &'static str,
    title: String,
    detail: String,
    took: String,
    remedy: Option<String>,
    /// The steps that this one stands for.
    more: Vec<String>,
}

struct Row {
    name: String,
    role: RoleTag,
    namespaces: String,
    until: Option<When>,
}

/// The page.
pub async fn get(
    at: AtCluster,
    State(store): State<Store>,
    State(providers): State<Providers>,
    State(gate): State<Gate>,
    State(diagnoser): State<Diagnoser>,
) -> Result<Response, PageError> {
    let trials = store.trials(&[at.id()]).await?.into_iter().map(|(_, trial)| trial).collect();
    let trials = trust::tested(&at, &gate, &diagnoser, trials).await?;
    let trust = trust::steps(at.cluster(), &trials, &providers, at.now);
    let filter = GrantFilter::default();
    let groups = store.groups_on(at.cluster(), &filter, None, GRANTS / 2).await?.rows;
    let grants = store.grants_of_cluster(at.id(), &filter, None, GRANTS).await?.rows;
    let events = store.audit_of_cluster(at.id(), None, EVENTS).await?;
    let overdue = overdue::banner(&store, at.cluster(), at.now).await?;
    let there = at.manage().ok().map(|_| paths::credentials(at.id()));
    let ending = ending(&store.credential_end(at.id()).await?, at.now).map(|words| Ending { words, there });
    Ok(render(&OverviewPage { trust, overdue, ending, ..view(&at, (&groups, &grants), events, &providers) }))
}

fn view(
    at: &AtCluster,
    (groups, grants): (&[GroupOnCluster], &[(Grant, Option<Identity>)]),
    events: Vec<AuditEvent>,
    providers: &Providers,
) -> OverviewPage {
    let check = at.check.as_ref();
    let may_share = at.manage_access().is_ok() && at.cluster().removing.is_none();
    OverviewPage {
        frame: at.frame(),
        head: at.head(Tab::Overview),
        share: may_share.then(|| paths::links(at.id()) + "#new"),
        check_again: at.manage().ok().map(|_| paths::check(at.id())),
        checking: check.is_none_or(|c| c.finished_at.is_none()),
        checked: check.and_then(|c| c.finished_at).map(|t| When::new(t, at.now)),
        server: at.cluster().endpoint.server.to_string(),
        steps: check.map(steps).unwrap_or_default(),
        trust: Vec::new(),
        diagnosis: paths::kubeconfig(at.id()) + "#connection-test",
        grants: groups
            .iter()
            .map(|on| group_row(on, at.now))
            .chain(grants.iter().map(|(grant, who)| grant_row(grant, who.as_ref(), at.now)))
            .take(GRANTS as usize)
            .collect(),
        access: paths::access(at.id()),
        events: events.into_iter().map(|e| Line::relative(e, at.now)).collect(),
        activity: paths::activity(at.id()),
        overdue: None,
        ending: None,
        setup: ApiServerSetup::of(at.cluster(), providers, check.and_then(|c| c.version.as_deref())),
    }
}

/// What is to be said of the credential's end, if something is.
fn ending(end: &CredentialEnd, now: Timestamp) -> Option<String> {
    let words = match end.ends_at.filter(|_| end.is_worrying(now)) {
        None if end.is_worrying(now) => "Kubelend could not renew its credential for this cluster.".into(),
        None => return None,
        Some(at) if at <= now => {
            "Kubelend’s credential for this cluster has ended, and with it all that Kubelend does there.".into()
        }
        Some(at) => {
            let ends = format!("Kubelend’s credential for this cluster ends {}", When::new(at, now).relative);
            if end.trouble.is_some() {
                format!("{ends}, and could not be renewed.")
            } else {
                format!("{ends}, and nobody renews it.")
            }
        }
    };
    Some(words)
}

/// “Test again”.
pub async fn check(
    at: AtCluster,
    State(clusters): State<Clusters>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    clusters.check_again(&at.manage()?).await?;
    Ok(Redirect::to(&paths::cluster(at.id())).into_response())
}

/// The steps as shown: each for itself while they go; afterwards, what went well or was skipped and has nothing to say of its
/// own is one line.
fn steps(check: &ConnectionCheck) -> Vec<Step> {
    let steps = each(check);
    if check.finished_at.is_none() {
        return steps;
    }
    [StepOutcome::Passed, StepOutcome::Skipped].into_iter().fold(steps, folded)
}

fn folded(steps: Vec<Step>, outcome: StepOutcome) -> Vec<Step> {
    let class = outcome_class(outcome);
    let quiet = |s: &Step| s.class == class && s.remedy.is_none() && ["", "allowed"].contains(&s.detail.as_str());
    let more: Vec<String> = steps.iter().filter(|s| quiet(s)).map(|s| s.title.clone()).collect();
    if more.len() < 3 {
        return steps;
    }
    let rights = more.iter().all(|title| title.starts_with("May "));
    let title = format!("{} {}", more.len(), if rights { "rights that Kubelend needs" } else { "more checks" });
    let mut one = Some((title, more));
    steps
        .into_iter()
        .filter_map(|s| if quiet(&s) { one.take().map(|(title, more)| Step { title, more, ..s }) } else { Some(s) })
        .map(|s| if s.more.is_empty() { s } else { Step { detail: String::new(), took: String::new(), ..s } })
        .collect()
}

/// What to apply is said once, at the first step that wants it.
fn each(check: &ConnectionCheck) -> Vec<Step> {
    let told = |before: &[CheckStep], remedy: &Option<String>| before.iter().any(|s| s.remedy == *remedy);
    check
        .steps
        .iter()
        .enumerate()
        .map(|(at, s)| Step {
            id: format!("remedy-{at}"),
            class: outcome_class(s.outcome),
            word: outcome_word(s.outcome),
            title: s.title.clone(),
            detail: s.detail.clone(),
            took: if matches!(s.outcome, StepOutcome::Waiting | StepOutcome::Skipped) {
                String::new()
            } else {
                format!("{} ms", s.millis)
            },
            remedy: s.remedy.clone().filter(|_| !told(&check.steps[..at], &s.remedy)),
            more: Vec::new(),
        })
        .collect()
}

fn grant_row(grant: &Grant, who: Option<&Identity>, now: Timestamp) -> Row {
    row(grantee_name(&grant.grantee, who), grant.role.clone(), &grant.scope, grant.expires_at, now)
}

fn group_row(on: &GroupOnCluster, now: Timestamp) -> Row {
    let name = named(&on.grant, &HashMap::new());
    row(name, Some(on.grant.role.clone()), &on.scope, on.grant.expires_at, now)
}

fn row(name: String, role: Option<Role>, scope: &Scope, expires_at: Option<Timestamp>, now: Timestamp) -> Row {
    let names: Vec<&str> = scope.namespaces().iter().map(Namespace::as_str).collect();
    Row {
        name,
        role: RoleTag(role),
        namespaces: match names.as_slice() {
            [a, b, c, rest @ ..] if rest.len() > 1 => format!("{a}, {b}, {c} and {} more", rest.len()),
            few => few.join(", "),
        },
        until: expires_at.map(|t| When::new(t, now)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            audit::{Action, Actor},
            diagnosis::{Cause, NameHint},
            id::AuditEventId,
        },
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, NOW, check as checked, frame, grant},
            trust::tests::{trial, trouble},
        },
    };

    #[test]
    fn a_credential_that_ends_soon_is_told_before_it_does() {
        let said = |hours: Option<u64>, trouble: Option<&str>| {
            let ends_at = hours.map(|hours| NOW.plus(std::time::Duration::from_hours(hours)));
            let renew_at = trouble.map(|_| NOW);
            ending(&CredentialEnd { ends_at, renew_at, trouble: trouble.map(Into::into) }, NOW).unwrap_or_default()
        };
        assert_eq!(said(None, None), "");
        assert_eq!(said(Some(24 * 30), None), "");
        assert!(said(Some(72), None).ends_with("ends in 3 days, and nobody renews it."));
        assert!(said(Some(72), Some("no")).ends_with("ends in 3 days, and could not be renewed."));
        assert!(said(Some(0), None).contains("has ended"));
    }

    /// Some events, one of them with a hostile target.
    pub(in crate::web) fn events() -> Vec<AuditEvent> {
        let event = |n: i64, action, target: &str| AuditEvent {
            id: AuditEventId::new(),
            at: Timestamp::from_secs(NOW.secs() - n * 4000),
            actor: Actor::Kubelend,
            actor_name: if n % 2 == 0 { "alice@example.com".into() } else { "Kubelend".into() },
            action,
            cluster: None,
            workspace: None,
            target: target.into(),
            request_id: Some("00ff00ff00ff00ff".into()),
        };
        vec![
            event(0, Action::LinkCreated, "view on the whole cluster until 2026-12-01T00:00:00Z"),
            event(1, Action::BindingApplied, "bob@example.com: view on the whole cluster with no end"),
            event(2, Action::GrantRevoked, HOSTILE),
            event(7, Action::GrantExpired, "carol@example.com"),
            event(28, Action::ClusterAdded, "staging at https://10.0.0.1:6443/"),
        ]
    }

    /// Lines about trust beside a check: good, or with something hostile in them.
    fn trust_lines(check: Option<&ConnectionCheck>, grants: usize) -> Vec<TrustStep> {
        let hostile = Cause::NameDiffers {
            expected: "alice@example.com".into(),
            answered: HOSTILE.into(),
            hint: NameHint::Unknown,
        };
        match (check, grants) {
            (None, _) | (_, 0) => vec![],
            (_, 3) => trust::tests::lines(&trial(vec![trouble(hostile)])),
            _ => trust::tests::lines(&trial(vec![])),
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |check: Option<&ConnectionCheck>, grants: usize| {
            OverviewPage {
                frame: frame(),
                head: head(&staging, check, NOW, Tab::Overview),
                share: Some(paths::links(staging.id)),
                check_again: Some(paths::check(staging.id)),
                checking: check.is_none_or(|c| c.finished_at.is_none()),
                checked: check.and_then(|c| c.finished_at).map(|t| When::new(t, NOW)),
                server: "https://10.0.0.1:6443/".into(),
                steps: check.map(steps).unwrap_or_default(),
                trust: trust_lines(check, grants),
                diagnosis: paths::kubeconfig(staging.id),
                grants: (0..grants).map(|n| grant_row(&grant(&staging, n), None, NOW)).collect(),
                access: paths::access(staging.id),
                events: if grants == 0 { vec![] } else { events() }
                    .into_iter()
                    .map(|e| Line::relative(e, NOW))
                    .collect(),
                activity: paths::activity(staging.id),
                overdue: None,
                ending: Some(Ending { words: HOSTILE.into(), there: Some("/c".into()) }),
                setup: ApiServerSetup {
                    configuration: "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n".into(),
                    flags: Some("--oidc-issuer-url=https://dex.example/dex".into()),
                    ca_file: true,
                },
            }
            .render()
            .unwrap()
        };
        vec![
            ("overview", draw(Some(&checked(true, false)), 8)),
            ("overview-failed", draw(Some(&checked(true, true)), 3)),
            ("overview-running", draw(Some(&checked(false, false)), 0)),
            ("overview-new", draw(None, 0)),
        ]
    }

    #[test]
    fn a_page_that_waits_for_a_check_renews_itself_with_and_without_script() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        assert!(page("overview-running").contains(" data-live"));
        assert!(page("overview-running").contains("<noscript><meta http-equiv=\"refresh\""));
        assert!(!page("overview").contains("data-live") && !page("overview").contains("refresh"));
    }

    #[test]
    fn afterwards_what_has_nothing_to_say_is_one_line() {
        let step = |title: &str, outcome, detail: &str| CheckStep {
            title: title.into(),
            outcome,
            detail: detail.into(),
            remedy: None,
            millis: 7,
        };
        let mut check = ConnectionCheck {
            started_at: Timestamp::from_secs(0),
            finished_at: None,
            steps: vec![
                step("Kubernetes", StepOutcome::Passed, "v1.36.3"),
                step("May list RoleBindings", StepOutcome::Passed, "allowed"),
                step("May bind “view”", StepOutcome::Passed, "allowed"),
                step("May bind “edit”", StepOutcome::Failed, ""),
                step("May bind “admin”", StepOutcome::Passed, "allowed"),
            ],
            version: None,
        };
        let titles = |check: &ConnectionCheck| steps(check).into_iter().map(|s| s.title).collect::<Vec<_>>();
        assert_eq!(titles(&check).len(), 5);
        check.finished_at = Some(Timestamp::from_secs(1));
        assert_eq!(titles(&check), ["Kubernetes", "3 rights that Kubelend needs", "May bind “edit”"]);
        assert_eq!(steps(&check)[1].more.len(), 3);
        for skipped in &mut check.steps[1..] {
            skipped.outcome = StepOutcome::Skipped;
            skipped.title = skipped.title.replace("May ", "");
        }
        assert_eq!(titles(&check), ["Kubernetes", "4 more checks"]);
    }

    #[test]
    fn a_remedy_is_told_once_and_waiting_steps_take_no_time() {
        let step = |outcome, remedy: Option<&str>| CheckStep {
            title: "Read ClusterRoleBindings".into(),
            outcome,
            detail: String::new(),
            remedy: remedy.map(Into::into),
            millis: 7,
        };
        let check = ConnectionCheck {
            started_at: Timestamp::from_secs(0),
            finished_at: None,
            steps: vec![
                step(StepOutcome::Failed, Some("kubectl apply")),
                step(StepOutcome::Failed, Some("kubectl apply")),
                step(StepOutcome::Waiting, None),
            ],
            version: None,
        };
        let shown = steps(&check);
        assert_eq!(shown.iter().filter(|s| s.remedy.is_some()).count(), 1);
        assert_eq!(shown.iter().map(|s| s.took.as_str()).collect::<Vec<_>>(), ["7 ms", "7 ms", ""]);
    }
}
