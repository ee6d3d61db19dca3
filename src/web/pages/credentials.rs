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
    access::{self, AccessError, Clusters, Exchange, HowItEnds, OwnCredential, Rotation},
    kubeconfig,
    model::{
        cluster::{ConnectionCheck, CredentialKind, Endpoint, StepOutcome},
        own_token::{CredentialEnd, FormerToken},
        time::Timestamp,
    },
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
    end: End,
    rotate: Option<Rotate>,
    former: Vec<Former>,
    /// Where it is exchanged, when the check found that it may do more than is needed.
    exchange: Option<String>,
    manifest: String,
    script: String,
    revoke: String,
    kubeconfig: String,
    errors: FieldErrors,
}

/// When what is held ends, in words around a time.
struct End {
    before: &'static str,
    at: Option<When>,
    after: &'static str,
    /// Why the last renewal failed.
    trouble: Option<String>,
    worrying: bool,
}

/// The form that gets the next token.
struct Rotate {
    action: String,
    account: String,
    /// How the one that is held ends.
    means: String,
    /// What Kubelend needs for it.
    manifest: String,
}

/// A Secret of a former token that still stands.
struct Former {
    id: String,
    name: String,
    trouble: Option<String>,
    command: String,
}

/// The page.
pub async fn get(
    at: AtCluster,
    State(store): State<Store>,
    State(rotation): State<Rotation>,
) -> Result<Response, PageError> {
    page(&at, &store, &rotation, StatusCode::OK, String::new(), FieldErrors::default()).await
}

/// Replaces it.
pub async fn post(
    at: AtCluster,
    State(clusters): State<Clusters>,
    State(store): State<Store>,
    State(rotation): State<Rotation>,
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
    page(&at, &store, &rotation, StatusCode::UNPROCESSABLE_ENTITY, pasted(&form).to_owned(), errors).await
}

/// Trades it for less.
pub async fn exchange(
    at: AtCluster,
    State(exchange): State<Exchange>,
    State(store): State<Store>,
    State(rotation): State<Rotation>,
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
    page(&at, &store, &rotation, StatusCode::UNPROCESSABLE_ENTITY, String::new(), errors).await
}

/// Puts the next token in its place.
pub async fn rotate(
    at: AtCluster,
    State(store): State<Store>,
    State(rotation): State<Rotation>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    match rotation.rotate(&permit).await {
        Ok(()) => return Ok(Redirect::to(&paths::credentials(at.id())).into_response()),
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(other) => return Err(other.into()),
    }
    page(&at, &store, &rotation, StatusCode::UNPROCESSABLE_ENTITY, String::new(), errors).await
}

async fn page(
    at: &AtCluster,
    store: &Store,
    rotation: &Rotation,
    status: StatusCode,
    kubeconfig: String,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let own = rotation.look(&at.manage()?).await?;
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
        end: end(&own.end, held.kind, at.now),
        rotate: rotate_form(&own, paths::rotate_credentials(at.id()), at.now)
            .filter(|_| at.cluster().removing.is_none()),
        former: own.former.iter().map(former).collect(),
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

fn end(end: &CredentialEnd, kind: Option<CredentialKind>, now: Timestamp) -> End {
    let (before, after) = match (end.ends_at, end.renew_at, kind) {
        (Some(_), Some(_), _) => ("", "; Kubelend renews it at half of its life"),
        (Some(at), None, _) if at <= now => ("it has ended,", ": put another one in its place"),
        (Some(_), None, Some(CredentialKind::ClientCertificate)) => ("", "; Kubelend cannot renew it"),
        (Some(_), None, _) => ("", "; Kubelend renews what it got for itself alone"),
        (None, _, _) => ("it says nothing of an end", ""),
    };
    let at = end.ends_at.map(|at| When::new(at, now));
    End { before, at, after, trouble: end.trouble.clone(), worrying: end.is_worrying(now) }
}

fn rotate_form(own: &OwnCredential, action: String, now: Timestamp) -> Option<Rotate> {
    let (account, ends) = own.token.as_ref()?;
    let namespace = account.namespace();
    let means = match (ends, own.end.ends_at) {
        (HowItEnds::Secret(name), _) => {
            format!(
                "The present one then ends: its Secret {namespace}/{name} is deleted. Whoever else uses it, another Kubelend say, loses the cluster."
            )
        }
        (HowItEnds::WithItsAccount, Some(at)) if at > now => {
            let end = When::new(at, now).relative;
            format!(
                "The present one is bound to no Secret, so nobody can end it alone: it is forgotten here, and good until it ends by itself {end}."
            )
        }
        (HowItEnds::WithItsAccount, _) => {
            "The present one is bound to no Secret, so nobody can end it alone: it is forgotten here.".into()
        }
    };
    Some(Rotate { action, account: account.to_string(), means, manifest: kubeconfig::rotation_manifest(account) })
}

fn former(former: &FormerToken) -> Former {
    let (namespace, name) = (former.account.namespace(), &former.secret.name);
    Former {
        id: format!("former-{}", former.id),
        name: format!("{namespace}/{name}"),
        trouble: former.trouble.clone(),
        command: format!("kubectl delete secret --namespace {} {}", shell::word(namespace.as_str()), shell::word(name)),
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
    use crate::{
        model::{
            id::{ClusterId, OwnTokenId},
            own_token::BoundSecret,
            service_account::AccountName,
        },
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, NOW, check, frame},
        },
    };

    /// A token without an end; or one that ends soon, with a former one that stands.
    fn own(much: bool) -> OwnCredential {
        let account = "kubelend/kubelend".parse::<AccountName>().unwrap();
        let former = FormerToken {
            id: OwnTokenId::new(),
            cluster: ClusterId::new(),
            account: account.clone(),
            secret: BoundSecret { name: "kubelend-token".into(), uid: None },
            attempts: 3,
            trouble: Some(HOSTILE.into()),
        };
        let end = CredentialEnd {
            ends_at: much.then(|| NOW.plus(std::time::Duration::from_hours(72))),
            renew_at: much.then_some(NOW),
            trouble: much.then(|| HOSTILE.into()),
        };
        let token = Some((account, HowItEnds::Secret("kubelend-token".into())));
        OwnCredential { end, token, former: if much { vec![former] } else { Vec::new() } }
    }

    #[test]
    fn the_page_says_when_it_ends_and_what_rotating_it_means() {
        let said = |ends_at: Option<Timestamp>, renew_at| {
            let end = end(&CredentialEnd { ends_at, renew_at, trouble: None }, Some(CredentialKind::Token), NOW);
            format!("{}{}{}", end.before, end.at.map(|at| at.relative).unwrap_or_default(), end.after)
        };
        assert_eq!(said(None, None), "it says nothing of an end");
        let soon = NOW.plus(std::time::Duration::from_hours(72));
        assert_eq!(said(Some(soon), Some(NOW)), "in 3 days; Kubelend renews it at half of its life");
        assert_eq!(said(Some(soon), None), "in 3 days; Kubelend renews what it got for itself alone");
        assert!(said(Some(NOW), None).starts_with("it has ended,"));
        let form = |ends| {
            let own = OwnCredential { token: own(false).token.map(|(account, _)| (account, ends)), ..own(true) };
            rotate_form(&own, String::new(), NOW).unwrap().means
        };
        assert!(form(HowItEnds::Secret("s".into())).contains("its Secret kubelend/s is deleted"));
        assert!(form(HowItEnds::WithItsAccount).contains("good until it ends by itself in 3 days"));
        assert!(rotate_form(&OwnCredential { token: None, ..own(false) }, String::new(), NOW).is_none());
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |kubeconfig: &str, exchange: bool, errors| {
            let seen = identity(&check(true, false));
            let own = own(exchange);
            CredentialsPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Credentials),
                here: paths::credentials(staging.id),
                server: staging.endpoint.server.to_string(),
                trust: trust(&staging.endpoint),
                kind: kind_words(Some(CredentialKind::Token)),
                since: When::new(staging.created_at, NOW),
                end: end(&own.end, Some(CredentialKind::Token), NOW),
                rotate: rotate_form(&own, paths::rotate_credentials(staging.id), NOW),
                former: own.former.iter().map(former).collect(),
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
        errors.add("rotate", HOSTILE);
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
