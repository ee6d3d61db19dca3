//! Every owner page drawn with much and hostile data: what must hold for all of them is proved here once.

use std::collections::BTreeSet;

use super::{access, activity, add_cluster, clusters, credentials, link, links, overview, settings};
use crate::{
    model::{
        cluster::{CheckStep, Cluster, ConnectionCheck, StepOutcome},
        grant::{Grant, GrantState, Grantee, Origin},
        id::{GrantId, IdentityId, ShareLinkId},
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    web::frame::{Frame, Nav},
};

/// The time of all samples: 2026-11-23.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);
/// What somebody may try to smuggle in wherever text is free.
pub(super) const HOSTILE: &str = r#"x"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"#;

/// An email as long as they get.
pub(super) const LONG_EMAIL: &str =
    "a.person.with.quite.a.long.name+and-a-tag-that-goes-on@department.of.something.subsidiary.example-company.com";
/// A cluster's name as long as they get.
pub(super) const LONG_NAME: &str = "a-cluster-whose-name-is-as-long-as-a-name-may-be-in-kubernetes1";

/// The frame of somebody who is signed in.
pub(super) fn frame() -> Frame {
    let mut frame = Frame::anonymous().at(Nav::Clusters);
    frame.person = Some("alice@example.com".into());
    frame.csrf = "t".repeat(43);
    frame.may_add_clusters = true;
    frame
}

/// A grant by number, each another in kind, place, state and end.
pub(super) fn grant(cluster: &Cluster, n: usize) -> Grant {
    let provider = "dex".parse().unwrap();
    let namespaces: &[&str] = [&[][..], &["shop"], &["payments", "shop"], &[]][n % 4];
    let states = [
        (GrantState::Applied, None),
        (GrantState::Applied, None),
        (GrantState::Pending, Some("Waiting for the cluster: the API server did not answer in time.")),
        (GrantState::Failed, Some("The cluster refused: roles.rbac is forbidden. It is tried again.")),
    ];
    let (state, detail) = states[n % 4];
    Grant {
        id: GrantId::new(),
        grantee: match n % 3 {
            0 => Grantee::Email(provider, format!("person{n}@example.com").parse().unwrap()),
            1 => Grantee::Group(provider, format!("group-{n}")),
            _ => Grantee::Email(provider, LONG_EMAIL.parse().unwrap()),
        },
        role: [Some(Role::View), Some(Role::Edit), Some(Role::Admin), None][n % 4].clone(),
        scope: Scope::new(cluster.id, namespaces.iter().map(|n| n.parse().unwrap()).collect()),
        expires_at: n.is_multiple_of(2).then(|| NOW.plus(std::time::Duration::from_secs(86_400 * (n as u64 + 1)))),
        reason: None,
        origin: [Origin::Manual, Origin::Link(ShareLinkId::new()), Origin::Owner][n % 3],
        created_by: IdentityId::new(),
        created_at: NOW,
        state,
        state_detail: detail.map(Into::into),
        state_since: NOW,
        ended: None,
    }
}

/// A check that went through all there is.
pub(super) fn check(finished: bool, failing: bool) -> ConnectionCheck {
    let step = |title: &str, outcome, detail: &str, remedy: Option<&str>, millis| CheckStep {
        title: title.into(),
        outcome,
        detail: detail.into(),
        remedy: remedy.map(Into::into),
        millis,
    };
    let apply = "kubectl apply -f - <<'EOF'\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: kubelend\nEOF\n";
    let worst = if failing { StepOutcome::Failed } else { StepOutcome::Passed };
    let last = if finished { StepOutcome::Warned } else { StepOutcome::Waiting };
    ConnectionCheck {
        started_at: NOW.minus(std::time::Duration::from_secs(200)),
        finished_at: finished.then(|| NOW.minus(std::time::Duration::from_secs(190))),
        steps: vec![
            step("Address reached", StepOutcome::Passed, "https://10.0.0.1:6443/", None, 12),
            step("Certificate trusted", StepOutcome::Passed, "by the CA that came with the kubeconfig", None, 12),
            step("Kubernetes", StepOutcome::Passed, "v1.36.3", None, 4),
            step("Kubelend is known there", StepOutcome::Passed, "as system:serviceaccount:kubelend:kubelend", None, 3),
            step("May create ClusterRoleBindings", worst, HOSTILE, failing.then_some(apply), 5),
            step("May bind admin", worst, "allowed", failing.then_some(apply), 5),
            step("No more than needed", last, "This credential may read Secrets, which Kubelend never does.", None, 2),
        ],
        version: Some("v1.36.3".into()),
    }
}

const CSS: &str = include_str!("../../../static/app.css");
const LIMIT: usize = 60 * 1024;

fn all() -> Vec<(&'static str, String)> {
    let mut pages = vec![];
    pages.extend(clusters::tests::samples());
    pages.extend(add_cluster::tests::samples());
    pages.extend(overview::tests::samples());
    pages.extend(access::tests::samples());
    pages.extend(super::grant::tests::samples());
    pages.extend(super::requests::tests::samples());
    pages.extend(super::request::tests::samples());
    pages.extend(super::ask::tests::samples());
    pages.extend(super::can::tests::samples());
    pages.extend(super::who_can::tests::samples());
    pages.extend(super::role_rules::tests::samples());
    pages.extend(super::service_accounts::tests::samples());
    pages.extend(super::service_account::tests::samples());
    pages.extend(super::groups::tests::samples());
    pages.extend(super::group::tests::samples());
    pages.extend(super::group_settings::tests::samples());
    pages.extend(super::custom_role::tests::samples());
    pages.extend(super::custom_roles::tests::samples());
    pages.extend(links::tests::samples());
    pages.extend(link::tests::samples());
    pages.extend(credentials::tests::samples());
    pages.extend(activity::tests::samples());
    pages.extend(settings::tests::samples());
    pages.extend(super::workspaces::tests::samples());
    pages.extend(super::create_workspace::tests::samples());
    pages.extend(super::workspace_overview::tests::samples());
    pages.extend(super::members::tests::samples());
    pages.extend(super::invitations::tests::samples());
    pages.extend(super::join::tests::samples());
    pages.extend(super::workspace_activity::tests::samples());
    pages.extend(super::workspace_settings::tests::samples());
    pages.extend(super::delete_workspace::tests::samples());
    pages.extend(super::move_cluster::tests::samples());
    pages.extend(super::workspace_access::tests::samples());
    pages.extend(super::global_access::tests::samples());
    pages.extend(super::trail::tests::samples());
    pages.extend(super::matrix::tests::samples());
    pages.extend(super::matrix_holder::tests::samples());
    pages.extend(super::federated::tests::samples());
    pages.extend(super::presets::tests::samples());
    pages.extend(super::preset::tests::samples());
    pages.extend(super::own_providers::tests::samples());
    pages.extend(super::own_provider::tests::samples());
    pages.extend(super::projects::tests::samples());
    pages.extend(super::project::tests::samples());
    pages.extend(super::project_members::tests::samples());
    pages.extend(super::devices::tests::samples());
    pages.extend(super::kubeconfig::tests::samples());
    pages.extend(super::claims::tests::samples());
    pages.extend(super::own_devices::tests::samples());
    pages.extend(super::sessions::tests::samples());
    pages.extend(super::shared::tests::samples());
    if let Some(dir) = option_env!("KUBELEND_SAMPLES") {
        for (name, html) in &pages {
            std::fs::write(format!("{dir}/{name}.html"), html).unwrap();
        }
    }
    pages
}

/// The values of an attribute, in order.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    html.split(begin.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn immune_17_no_page_lets_typed_text_become_markup() {
    let pages = all();
    assert!(pages.iter().filter(|(_, html)| html.contains("alert(1)")).count() >= 5, "hostile text is on the pages");
    for (name, html) in pages {
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{name}");
        assert!(!html.contains(" style=") && !html.contains("<style"), "{name}: the CSP forbids inline styles");
        assert_eq!(html.matches("<script").count(), 1, "{name}");
    }
}

#[test]
fn every_page_stays_under_60_kb_with_its_styles() {
    assert!(CSS.len() < 22 * 1024);
    let weights = all().into_iter().map(|(name, html)| (name, html.len() + CSS.len()));
    let heavy: Vec<_> = weights.filter(|(_, weight)| *weight >= LIMIT).collect();
    assert!(heavy.is_empty(), "{heavy:?}");
}

#[test]
fn every_id_is_unique_and_every_reference_has_its_element() {
    for (name, html) in all() {
        let ids = values(&html, "id");
        let unique: BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{name}: {ids:?}");
        for attribute in ["for", "aria-describedby", "aria-labelledby", "list", "data-copy"] {
            for id in values(&html, attribute).into_iter().flat_map(|ids| ids.split(' ')) {
                assert!(unique.contains(&id), "{name}: {attribute}={id}");
            }
        }
    }
}

#[test]
fn every_form_that_posts_brings_the_token_and_every_page_has_one_h1() {
    for (name, html) in all() {
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.contains("method=\"post\"") {
                assert!(form.contains("name=\"csrf\""), "{name}: {form}");
            }
        }
    }
}
