//! `/clusters/{cluster}/credentials`: what Kubelend holds for a cluster, and how to replace or end it. The secret itself is
//! never shown.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    add_cluster::{bindable_roles, pasted, read_kubeconfig},
    cluster::{AtCluster, Head, Tab},
};
use crate::{
    access::{self, AccessError, Clusters, Exchange},
    kubeconfig,
    model::cluster::{ConnectionCheck, CredentialKind, Endpoint, StepOutcome},
    store::Store,
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm, ProtectedMultipart},
        frame::{Frame, render_with},
        paths, shell,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/credentials.html")]
struct CredentialsPage {
    frame: Frame,
    head: Head,
    here: String,
    server: String,
    trust: &'static str,
    identity: Option<String>,
    kind: &'static str,
    since: When,
    /// Where it is exchanged, when the check found that it may do more than is needed.
    exchange: Option<String>,
    manifest: String,
    script: String,
    revoke: String,
    kubeconfig: String,
    errors: FieldErrors,
}

/// The page.
pub async fn get(at: AtCluster, State(store): State<Store>) -> Result<Response, PageError> {
    at.manage()?;
    page(&at, &store, StatusCode::OK, String::new(), FieldErrors::default()).await
}

/// Replaces it.
pub async fn post(
    at: AtCluster,
    State(clusters): State<Clusters>,
    State(store): State<Store>,
    form: ProtectedMultipart,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    if let Some(parsed) = read_kubeconfig(&form, &mut errors) {
        match clusters.replace_credentials(&permit, parsed).await {
            Ok(()) => return Ok(Redirect::to(&paths::cluster(at.id())).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&at, &store, StatusCode::UNPROCESSABLE_ENTITY, pasted(&form).to_owned(), errors).await
}

/// Trades it for less.
pub async fn exchange(
    at: AtCluster,
    State(exchange): State<Exchange>,
    State(store): State<Store>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    match exchange.exchange(&permit).await {
        Ok(()) => return Ok(Redirect::to(&paths::cluster(at.id())).into_response()),
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(AccessError::Cluster(error)) => errors.add("exchange", format!("{error}. Nothing has changed here.")),
        Err(other) => return Err(other.into()),
    }
    page(&at, &store, StatusCode::UNPROCESSABLE_ENTITY, String::new(), errors).await
}

async fn page(
    at: &AtCluster,
    store: &Store,
    status: StatusCode,
    kubeconfig: String,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let held = store.held_credential(at.id()).await?;
    let identity = at.check.as_ref().and_then(identity);
    let page = CredentialsPage {
        frame: at.frame(),
        head: at.head(Tab::Credentials),
        here: paths::credentials(at.id()),
        server: at.cluster().endpoint.server.to_string(),
        trust: trust(&at.cluster().endpoint),
        kind: kind_words(held.kind),
        since: When::new(held.since, at.now),
        exchange: at
            .check
            .as_ref()
            .filter(|check| at.cluster().removing.is_none() && is_too_much(check))
            .map(|_| paths::exchange_credentials(at.id())),
        manifest: kubeconfig::least_power_manifest(&bindable_roles()),
        script: kubeconfig::connect_script(&bindable_roles()),
        revoke: revoke(identity.as_deref()),
        identity,
        kubeconfig,
        errors,
    };
    Ok(render_with(status, &page))
}

fn kind_words(kind: Option<CredentialKind>) -> &'static str {
    match kind {
        Some(CredentialKind::Token) => "a bearer token",
        Some(CredentialKind::ClientCertificate) => "a client certificate with its key",
        None => "a bearer token or a client certificate; an older Kubelend did not note which",
    }
}

/// Whether the last check found that the credential may do more than is needed.
fn is_too_much(check: &ConnectionCheck) -> bool {
    check.steps.iter().any(|s| s.title == access::MORE && s.outcome == StepOutcome::Warned)
}

/// Who the API server takes Kubelend for, as the last check saw it.
pub(super) fn identity(check: &ConnectionCheck) -> Option<String> {
    let step = check.steps.iter().find(|s| s.title == "Kubelend is known there" && s.outcome == StepOutcome::Passed)?;
    Some(step.detail.strip_prefix("as ").unwrap_or(&step.detail).to_owned())
}

fn trust(endpoint: &Endpoint) -> &'static str {
    if endpoint.ca_pem.is_some() {
        "must be signed by the CA of the kubeconfig"
    } else {
        "must be signed by a public authority"
    }
}

/// The command that ends the credential on the cluster: the ServiceAccount goes, and its tokens with it.
fn revoke(identity: Option<&str>) -> String {
    let account = identity.and_then(|i| i.strip_prefix("system:serviceaccount:")).and_then(|i| i.split_once(':'));
    match account {
        Some((namespace, name)) => {
            format!("kubectl delete serviceaccount --namespace {} {}", shell::word(namespace), shell::word(name))
        }
        None => "kubectl delete serviceaccount --namespace kubelend kubelend".into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster::tests::{cluster, head},
        samples::{HOSTILE, NOW, check, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |kubeconfig: &str, exchange: bool, errors| {
            let seen = identity(&check(true, false));
            CredentialsPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Credentials),
                here: paths::credentials(staging.id),
                server: staging.endpoint.server.to_string(),
                trust: trust(&staging.endpoint),
                kind: kind_words(Some(CredentialKind::Token)),
                since: When::new(staging.created_at, NOW),
                exchange: exchange.then(|| paths::exchange_credentials(staging.id)),
                manifest: kubeconfig::least_power_manifest(&bindable_roles()),
                script: "kubectl apply -f - <<'EOF'\n…\nEOF\n".repeat(30),
                revoke: revoke(seen.as_deref()),
                identity: seen,
                kubeconfig: kubeconfig.into(),
                errors,
            }
            .render()
            .unwrap()
        };
        let mut errors = FieldErrors::default();
        errors.add("kubeconfig", HOSTILE);
        errors.add("exchange", HOSTILE);
        vec![
            ("credentials", draw("", false, FieldErrors::default())),
            ("credentials-too-much", draw("", true, FieldErrors::default())),
            ("credentials-wrong", draw(HOSTILE, true, errors)),
        ]
    }

    #[test]
    fn the_page_says_what_is_held_and_since_when() {
        let (_, page) = samples().remove(0);
        assert!(
            page.contains("<dt>Kind</dt><dd>a bearer token</dd>") && page.contains("<dt>Held since</dt>"),
            "{page}"
        );
        assert_ne!(kind_words(Some(CredentialKind::ClientCertificate)), kind_words(None));
    }

    #[test]
    fn the_command_names_the_account_that_the_check_saw_and_quotes_it() {
        assert_eq!(
            revoke(Some("system:serviceaccount:infra:lender")),
            "kubectl delete serviceaccount --namespace infra lender"
        );
        assert_eq!(
            revoke(Some("system:serviceaccount:a;b:$(x)")),
            "kubectl delete serviceaccount --namespace 'a;b' '$(x)'"
        );
    }
}
