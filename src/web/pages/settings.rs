//! `/clusters/{cluster}/settings`: its name, how it names people, its removal.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    add_cluster::names_people,
    cluster::{AtCluster, Head, Tab},
    move_cluster::{Place, place},
    preset_note::{Note, Notes},
    settings_form::SettingsForm,
    settings_formats::{Offered, offered},
};
use crate::{
    access::{AccessError, Clusters, Federation, Presets},
    model::{
        claim_mapping::{ClaimMapping, UsernameClaim},
        cluster::{Cluster, Removal},
        id::PresetId,
        name::ClusterName,
        project::Labels,
        provider::ProviderId,
    },
    oidc::Providers,
    policy::{Authorized, ManageCluster},
    store::Store,
    web::{
        errors::PageError,
        field_marks::Marks,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/settings.html")]
struct SettingsPage {
    frame: Frame,
    head: Head,
    here: String,
    name: String,
    labels: String,
    errors: FieldErrors,
    providers: Vec<ProviderForm>,
    formats: Vec<Offered>,
    losers: String,
    purge_means: String,
    place: Place,
}

/// How one provider's people are named, as a form.
struct ProviderForm {
    id: ProviderId,
    name: String,
    issuer: String,
    mapping: ClaimMapping,
    claims: Vec<Choice>,
    example: String,
    trusted: bool,
    /// Whether the workspace says how they are named: nothing of it is typed here.
    own: bool,
    /// From which preset it is, and what another one would make of it.
    note: Note,
    may_drop: bool,
    errors: FieldErrors,
}

impl ProviderForm {
    fn marks(&self, field: &str) -> Marks {
        if self.errors.has(field) { Marks::explained_by(self.id.as_str()) } else { Marks::none() }
    }
}

/// The page.
pub async fn get(
    at: AtCluster,
    State(store): State<Store>,
    State(providers): State<Providers>,
) -> Result<Response, PageError> {
    at.manage()?;
    page(&at, &store, &providers, &SettingsForm::default(), FieldErrors::default()).await
}

/// Changes what the form is about.
pub async fn post(
    at: AtCluster,
    State(clusters): State<Clusters>,
    (State(federation), State(presets)): (State<Federation>, State<Presets>),
    State(store): State<Store>,
    State(providers): State<Providers>,
    ProtectedForm(form): ProtectedForm<SettingsForm>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    let done = match form.change.as_str() {
        "name" => rename(&clusters, &permit, &form, &mut errors).await,
        "labels" => label((&federation, &presets), &permit, &form, &mut errors).await,
        "trust" => trust(&clusters, &permit, &providers, &form, &mut errors).await,
        "formats" => clusters.set_formats(&permit, &form.formats()).await.map(|()| Some(paths::settings(at.id()))),
        "remove" => remove(&clusters, &permit, &form, &mut errors).await,
        _ => return Err(PageError::not_found()),
    };
    match done {
        Ok(Some(there)) => return Ok(Redirect::to(&there).into_response()),
        Ok(None) => {}
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(other) => return Err(other.into()),
    }
    page(&at, &store, &providers, &form, errors).await
}

/// What a preset says takes the place of what a provider's mapping says.
#[derive(Debug, serde::Deserialize)]
pub struct TakeOver {
    provider: ProviderId,
    preset: PresetId,
}

/// Takes it over.
pub async fn take_over(
    at: AtCluster,
    State(presets): State<Presets>,
    State(store): State<Store>,
    State(providers): State<Providers>,
    ProtectedForm(wanted): ProtectedForm<TakeOver>,
) -> Result<Response, PageError> {
    let permit = at.manage()?;
    let mut errors = FieldErrors::default();
    match presets.take_over(&permit, &wanted.provider, wanted.preset).await {
        Ok(()) => return Ok(Redirect::to(&paths::settings(at.id())).into_response()),
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(other) => return Err(other.into()),
    }
    page(&at, &store, &providers, &SettingsForm::default(), errors).await
}

/// Where to go afterwards; nothing where the form is wrong.
type Done = Result<Option<String>, AccessError>;

async fn label(
    (federation, presets): (&Federation, &Presets),
    permit: &Authorized<ManageCluster>,
    form: &SettingsForm,
    errors: &mut FieldErrors,
) -> Done {
    let Some(labels) = errors.keep("labels", form.labels.parse::<Labels>()) else { return Ok(None) };
    federation.label(permit, &labels).await?;
    presets.follow(permit).await?;
    Ok(Some(paths::settings(permit.cluster().id)))
}

async fn rename(
    clusters: &Clusters,
    permit: &Authorized<ManageCluster>,
    form: &SettingsForm,
    errors: &mut FieldErrors,
) -> Done {
    let Some(name) = errors.keep("name", form.name.parse::<ClusterName>()) else { return Ok(None) };
    clusters.rename(permit, name).await?;
    Ok(Some(paths::settings(permit.cluster().id)))
}

async fn trust(
    clusters: &Clusters,
    permit: &Authorized<ManageCluster>,
    providers: &Providers,
    form: &SettingsForm,
    errors: &mut FieldErrors,
) -> Done {
    let id = form.provider.parse::<ProviderId>().map_err(|_| AccessError::NotFound)?;
    let provider = providers.get(&id).ok_or(AccessError::NotFound)?;
    let mapping = if !form.drop.is_empty() {
        None
    } else if id.home().is_some() {
        Some(provider.settings().claim_mapping.clone())
    } else {
        let Some(mapping) = form.mapping(errors) else { return Ok(None) };
        Some(mapping)
    };
    clusters.set_trust(permit, &id, mapping).await?;
    Ok(Some(paths::settings(permit.cluster().id)))
}

async fn remove(
    clusters: &Clusters,
    permit: &Authorized<ManageCluster>,
    form: &SettingsForm,
    errors: &mut FieldErrors,
) -> Done {
    let how = match form.how.as_str() {
        "purge" => Removal::Purge,
        "leave" => Removal::Leave,
        _ => {
            errors.add("how", "Choose what becomes of Kubelend’s bindings.");
            return Ok(None);
        }
    };
    clusters.remove(permit, how).await?;
    Ok(Some(paths::CLUSTERS.to_owned()))
}

async fn page(
    at: &AtCluster,
    store: &Store,
    providers: &Providers,
    form: &SettingsForm,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let counted = store.count_grantees(&[at.id()], at.now).await?;
    let (people, groups) = counted.first().map_or((0, 0), |(_, people, groups)| (*people, *groups));
    let wrong = !errors.is_empty();
    let (page_errors, trust_errors) =
        if form.change == "trust" { (FieldErrors::default(), errors) } else { (errors, FieldErrors::default()) };
    let page = SettingsPage {
        frame: at.frame(),
        head: at.head(Tab::Settings),
        here: paths::settings(at.id()),
        name: if form.change == "name" { form.name.clone() } else { at.cluster().name.to_string() },
        labels: if form.change == "labels" { form.labels.clone() } else { at.cluster().labels.to_string() },
        errors: page_errors,
        providers: provider_forms(at.cluster(), providers, form, &trust_errors, &Notes::read(store, at).await?),
        formats: offered(at.cluster(), providers, form, &store.client_trials(at.id()).await?, at.now),
        losers: losers(people, groups),
        purge_means: purge_means(people, groups),
        place: place(at, store).await?,
    };
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(render_with(status, &page))
}

fn provider_forms(
    cluster: &Cluster,
    providers: &Providers,
    form: &SettingsForm,
    errors: &FieldErrors,
    notes: &Notes,
) -> Vec<ProviderForm> {
    let around = providers.around(Some(cluster.workspace));
    around
        .iter()
        .map(|p| p.settings())
        .map(|s| {
            let typed = form.change == "trust" && form.provider == s.id.as_str() && !errors.is_empty();
            let stored = cluster.mapping(&s.id);
            let mapping = if typed { form.as_typed() } else { stored.unwrap_or(&s.claim_mapping).clone() };
            ProviderForm {
                id: s.id.clone(),
                name: s.name.clone(),
                issuer: s.issuer.clone(),
                claims: claims(mapping.username_claim),
                example: names_people(&mapping),
                trusted: stored.is_some(),
                own: s.id.home().is_some(),
                note: notes.about(cluster, &s.id),
                may_drop: stored.is_some() && cluster.trusts.len() > 1,
                errors: if typed { errors.clone() } else { FieldErrors::default() },
                mapping,
            }
        })
        .collect()
}

fn claims(chosen: UsernameClaim) -> Vec<Choice> {
    [UsernameClaim::Email, UsernameClaim::Sub]
        .into_iter()
        .map(|c| Choice::new(c.as_str(), c.as_str(), chosen.as_str()))
        .collect()
}

/// Who has access: “14 people and 2 groups”.
fn who(people: u32, groups: u32) -> Option<String> {
    match (people, groups) {
        (0, 0) => None,
        (n, 0) => Some(counted(n, "person")),
        (0, n) => Some(counted(n, "group")),
        (n, m) => Some(format!("{} and {}", counted(n, "person"), counted(m, "group"))),
    }
}

fn losers(people: u32, groups: u32) -> String {
    match who(people, groups) {
        Some(who) => format!("Through it {who} {} access now.", if people + groups == 1 { "has" } else { "have" }),
        None => "Nobody has access through it now.".into(),
    }
}

fn purge_means(people: u32, groups: u32) -> String {
    match who(people, groups) {
        Some(who) => {
            let lose = if people + groups == 1 { "loses" } else { "lose" };
            format!("{who} {lose} access as soon as the cluster can be reached.")
        }
        None => "nobody loses access.".into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::{
        errors::NextStep,
        pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, LONG_NAME, NOW, check, frame},
            settings_formats::Stand,
        },
        when::When,
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let long = cluster(LONG_NAME);
        let draw = |name: &str, mapping: ClaimMapping, errors: FieldErrors, count: usize| {
            SettingsPage {
                frame: frame(),
                head: head(&long, Some(&check(true, false)), NOW, Tab::Settings),
                here: paths::settings(long.id),
                name: name.into(),
                labels: "env=prod".into(),
                errors: errors.clone(),
                formats: [("relay", true), ("kubelogin", false)]
                    .map(|(field, ticked)| Offered {
                        field,
                        words: "kubectl",
                        ticked,
                        missing: !ticked,
                        stands: vec![Stand { words: HOSTILE.into(), at: Some(When::new(NOW, NOW)) }],
                    })
                    .into(),
                providers: (0..count)
                    .map(|n| ProviderForm {
                        id: format!("p{n}").parse().unwrap(),
                        name: "Dex".into(),
                        issuer: "https://dex.example.com/dex".into(),
                        claims: claims(mapping.username_claim),
                        example: names_people(&mapping),
                        own: n == 1,
                        trusted: n == 0,
                        note: Note::hostile(n == 0),
                        may_drop: n == 0 && count > 1,
                        errors: errors.clone(),
                        mapping: mapping.clone(),
                    })
                    .collect(),
                place: Place {
                    workspace: NextStep::new(HOSTILE, "/workspaces/x"),
                    targets: (1..count).map(|n| Choice::new(n.to_string(), HOSTILE, "")).collect(),
                    action: "/m".into(),
                },
                losers: losers(14, 2),
                purge_means: purge_means(14, 2),
            }
            .render()
            .unwrap()
        };
        let mut errors = FieldErrors::default();
        errors.add("name", HOSTILE);
        errors.add("groups_prefix", HOSTILE);
        let hostile = ClaimMapping { groups_prefix: HOSTILE.into(), ..ClaimMapping::default() };
        vec![
            ("settings", draw(LONG_NAME, ClaimMapping::default(), FieldErrors::default(), 1)),
            ("settings-wrong", draw(HOSTILE, hostile, errors, 2)),
        ]
    }

    #[test]
    fn removal_names_how_many_lose_access() {
        assert_eq!(losers(14, 2), "Through it 14 people and 2 groups have access now.");
        assert_eq!(losers(1, 0), "Through it 1 person has access now.");
        assert_eq!(purge_means(0, 1), "1 group loses access as soon as the cluster can be reached.");
        assert_eq!(purge_means(0, 0), "nobody loses access.");
    }
}
