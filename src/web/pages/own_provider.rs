//! `/workspaces/{workspace}/providers/{provider}`: one of a workspace's own: what to register at it, how its people are named, changing it,
//! switching it off, and removing it.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    own_provider_form::OwnProviderForm,
    own_providers::sign_in_address,
    sign_in::callback_url,
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, OwnProviders},
    model::{cluster::Cluster, own_provider::OwnProvider, provider::ProviderId},
    store::{OwnReach, Store},
    web::{
        Parts, WebSettings,
        errors::{NextStep, PageError},
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
        when::When,
    },
};

/// How many clusters the page lists.
const LISTED: usize = 100;

#[derive(Template)]
#[template(path = "pages/own_provider.html")]
struct OwnProviderPage {
    frame: Frame,
    head: Head,
    here: String,
    back: NextStep,
    switch: String,
    remove: String,
    name: String,
    issuer: String,
    client_id: String,
    has_secret: bool,
    /// Whether the secret can be opened with the keys that there are.
    opens: bool,
    off: Option<When>,
    redirect_uri: String,
    sign_in: String,
    users: String,
    groups: String,
    clusters: Vec<NextStep>,
    more: usize,
    /// How many of its people have signed in, and what they have.
    reach: String,
    asking: bool,
    form: OwnProviderForm,
    claims: Vec<Choice>,
    errors: FieldErrors,
}

/// The provider of an address.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct ProviderPath {
    provider: ProviderId,
}

/// Whether its removal is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    remove: String,
}

/// Which way it is switched.
#[derive(Debug, serde::Deserialize)]
pub struct Switch {
    to: String,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    own: OwnProviders,
    store: Store,
    settings: Arc<WebSettings>,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { own: parts.own_providers.clone(), store: parts.store.clone(), settings: Arc::clone(&parts.settings) }
    }
}

/// The page.
pub async fn get(
    at: AtWorkspace,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query(asked): Query<Asked>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    at.manage()?;
    let provider = desk.of(&at, &provider).await?;
    desk.page(&at, &provider, !asked.remove.is_empty(), None, FieldErrors::default()).await
}

/// Changes it.
pub async fn post(
    at: AtWorkspace,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<OwnProviderForm>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let provider = desk.of(&at, &provider).await?;
    let mut errors = FieldErrors::default();
    if let Some(rules) = form.rules(&mut errors) {
        match desk.own.change(&permit, &provider, rules, form.secret.clone()).await {
            Ok(()) => return Ok(Redirect::to(&paths::own_provider(at.id(), &provider.id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    desk.page(&at, &provider, false, Some(form), errors).await
}

/// Switches it off, or on again.
pub async fn switch(
    at: AtWorkspace,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    State(desk): State<Desk>,
    ProtectedForm(Switch { to }): ProtectedForm<Switch>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let on = match to.as_str() {
        "on" => true,
        "off" => false,
        _ => return Err(PageError::not_found()),
    };
    desk.own.switch(&permit, &provider, on).await?;
    Ok(Redirect::to(&paths::own_provider(at.id(), &provider)).into_response())
}

/// Removes it.
pub async fn remove(
    at: AtWorkspace,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    State(desk): State<Desk>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    desk.own.remove(&at.manage()?, &provider).await?;
    Ok(Redirect::to(&paths::own_providers(at.id())).into_response())
}

/// Where a form of its removal was sent from, once somebody comes back to it.
pub async fn ask_remove(at: AtWorkspace, Path(ProviderPath { provider }): Path<ProviderPath>) -> Redirect {
    Redirect::to(&format!("{}?remove=yes#remove", paths::own_provider(at.id(), &provider)))
}

impl Desk {
    async fn of(&self, at: &AtWorkspace, id: &ProviderId) -> Result<OwnProvider, PageError> {
        let provider = self.store.own_provider(id).await?;
        if provider.workspace == at.id() { Ok(provider) } else { Err(PageError::not_found()) }
    }

    async fn page(
        &self,
        at: &AtWorkspace,
        provider: &OwnProvider,
        asking: bool,
        form: Option<OwnProviderForm>,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let clusters = self.store.clusters_in(&[at.id()]).await?;
        let trusting: Vec<&Cluster> = clusters.iter().filter(|c| c.mapping(&provider.id).is_some()).collect();
        let reach = self.store.own_provider_reach(&provider.id).await?;
        let form = form.unwrap_or_else(|| OwnProviderForm::from(provider));
        let page = OwnProviderPage {
            frame: at.frame(),
            head: at.head(Tab::Settings),
            here: paths::own_provider(at.id(), &provider.id),
            back: NextStep::new("All providers here", paths::own_providers(at.id())),
            switch: paths::switch_own_provider(at.id(), &provider.id),
            remove: paths::remove_own_provider(at.id(), &provider.id),
            name: provider.rules.name.to_string(),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            has_secret: provider.has_secret,
            opens: self.own.opens(provider).await?,
            off: provider.off_since.map(|since| When::new(since, at.now)),
            redirect_uri: callback_url(&self.settings.public_url, &provider.id)?.into(),
            sign_in: sign_in_address(at, &self.settings)?,
            users: provider.prefix.users(),
            groups: provider.prefix.groups(),
            more: trusting.len().saturating_sub(LISTED),
            clusters: trusting.into_iter().take(LISTED).map(link).collect(),
            reach: in_words(reach),
            asking,
            claims: form.claims(),
            form,
            errors,
        };
        let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        Ok(render_with(status, &page))
    }
}

fn link(cluster: &Cluster) -> NextStep {
    NextStep::new(cluster.name.as_str(), paths::settings(cluster.id))
}

/// “2 people have signed in; they and their groups hold 3 grants, 1 membership and 4 kubeconfigs.”
fn in_words(reach: OwnReach) -> String {
    if reach.people == 0 && reach.grants == 0 && reach.members == 0 {
        return "Nobody has signed in with it yet, and nothing was given to its people.".into();
    }
    let have = if reach.people == 1 { "has" } else { "have" };
    format!(
        "{} {have} signed in with it. Its people and groups hold {}, {} and {}.",
        counted(reach.people, "person"),
        counted(reach.grants, "grant"),
        counted(reach.members, "membership"),
        counted(reach.devices, "kubeconfig"),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        own_providers::tests::{hostile_form, mistakes},
        samples::{HOSTILE, NOW, frame},
        workspace::tests::{head, workspace},
    };

    #[test]
    fn what_goes_with_it_is_said_in_words() {
        assert!(in_words(OwnReach::default()).starts_with("Nobody"));
        let one = OwnReach { people: 1, grants: 2, members: 1, devices: 3, clusters: 1 };
        assert_eq!(
            in_words(one),
            "1 person has signed in with it. Its people and groups hold 2 grants, 1 membership and 3 kubeconfigs."
        );
    }

    /// With much, wrong, and asked about.
    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |clusters: usize, off: bool, asking: bool, form: OwnProviderForm, errors: FieldErrors| {
            OwnProviderPage {
                frame: frame(),
                head: head(&workspace(HOSTILE), Tab::Settings),
                here: "/o".into(),
                back: NextStep::new("All providers here", "/os"),
                switch: "/o/switch".into(),
                remove: "/o/remove".into(),
                name: HOSTILE.into(),
                issuer: HOSTILE.into(),
                client_id: HOSTILE.into(),
                has_secret: !off,
                opens: !off,
                off: off.then(|| When::new(NOW, NOW)),
                redirect_uri: "https://lend.example/auth/callback/w-x".into(),
                sign_in: "https://lend.example/sign-in?workspace=x".into(),
                users: "payments:".into(),
                groups: "oidc:payments:".into(),
                clusters: (0..clusters).map(|_| NextStep::new(HOSTILE, "/c")).collect(),
                more: clusters / 2,
                reach: in_words(OwnReach { people: 2, grants: 5, ..OwnReach::default() }),
                asking,
                claims: form.claims(),
                form,
                errors,
            }
            .render()
            .unwrap()
        };
        vec![
            ("own-provider", draw(100, false, false, OwnProviderForm::default(), FieldErrors::default())),
            ("own-provider-wrong", draw(1, true, true, hostile_form(), mistakes())),
        ]
    }
}
