//! `/presets/{preset}`: what a preset says, which clusters it is for and which of these say otherwise; changing and removing it.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{preset_form::PresetForm, presets::facts};
use crate::{
    access::{AccessError, Gate, Presets},
    clock::Clock,
    model::{
        cluster::Cluster,
        id::{ClusterId, PresetId},
        preset::{Preset, Takeover, counting},
        time::Timestamp,
    },
    oidc::Providers,
    policy::{Authorized, ManagePreset},
    store::Store,
    web::{
        Parts,
        errors::{NextStep, PageError},
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, Nav, render_with},
        labels::counted,
        paths,
        session::SignedIn,
        when::When,
    },
};

/// How many clusters the page lists.
const LISTED: usize = 100;

#[derive(Template)]
#[template(path = "pages/preset.html")]
struct PresetPage {
    frame: Frame,
    here: String,
    delete: String,
    back: NextStep,
    name: String,
    facts: String,
    rows: Vec<Row>,
    /// What is said below the list.
    sum: String,
    asking: bool,
    form: PresetForm,
    providers: Vec<Choice>,
    claims: Vec<Choice>,
    errors: FieldErrors,
}

/// A cluster that the preset is for, or that took it over once.
struct Row {
    name: String,
    href: String,
    state: Stand,
    words: String,
    taken: Option<When>,
}

/// How a cluster stands to the preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    /// It says otherwise.
    Differs,
    /// It took it over, and another one counts there by now, or none.
    Elsewhere,
    /// It says the same.
    Same,
}

/// The preset of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct PresetPath {
    preset: PresetId,
}

/// Whether its removal is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    remove: String,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    gate: Gate,
    store: Store,
    presets: Presets,
    providers: Providers,
    clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            gate: parts.gate.clone(),
            store: parts.store.clone(),
            presets: parts.presets.clone(),
            providers: parts.providers.clone(),
            clock: parts.clock.clone(),
        }
    }
}

/// The page.
pub async fn get(
    who: SignedIn,
    Path(PresetPath { preset }): Path<PresetPath>,
    Query(asked): Query<Asked>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    let permit = desk.gate.manage_preset(&who.person, preset).await?;
    page(&who, &permit, &desk, !asked.remove.is_empty(), None, FieldErrors::default()).await
}

/// Lets it say something else.
pub async fn post(
    who: SignedIn,
    Path(PresetPath { preset }): Path<PresetPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<PresetForm>,
) -> Result<Response, PageError> {
    let permit = desk.gate.manage_preset(&who.person, preset).await?;
    let mut errors = FieldErrors::default();
    if let Some(rules) = form.read(&mut errors) {
        match desk.presets.change(&permit, rules).await {
            Ok(()) => return Ok(Redirect::to(&paths::preset(preset)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&who, &permit, &desk, false, Some(form), errors).await
}

/// Removes it.
pub async fn delete(
    who: SignedIn,
    Path(PresetPath { preset }): Path<PresetPath>,
    State(desk): State<Desk>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    let permit = match desk.gate.manage_preset(&who.person, preset).await {
        // Removed already: the same as now.
        Err(AccessError::NotFound) => return Ok(Redirect::to(paths::WORKSPACES).into_response()),
        other => other?,
    };
    desk.presets.remove(&permit).await?;
    Ok(Redirect::to(&list(permit.preset())).into_response())
}

/// Where the presets of its level are listed.
fn list(preset: &Preset) -> String {
    preset.workspace.map_or_else(|| paths::PRESETS.to_owned(), paths::workspace_presets)
}

async fn page(
    who: &SignedIn,
    permit: &Authorized<ManagePreset>,
    desk: &Desk,
    asking: bool,
    form: Option<PresetForm>,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let preset = permit.preset();
    let clusters = match preset.workspace {
        Some(workspace) => desk.store.clusters_in(&[workspace]).await?,
        None => desk.store.clusters_of(who.person.identity(), who.person.is_platform_admin()).await?,
    };
    let taken: HashMap<ClusterId, Takeover> = desk.store.takeovers_from(preset.id).await?.into_iter().collect();
    let all = rows(preset, &desk.store.all_presets().await?, &clusters, &taken, desk.clock.now());
    let form = form.unwrap_or_else(|| PresetForm::from(&preset.rules));
    let page = PresetPage {
        frame: Frame::new(who, Nav::Workspaces),
        here: paths::preset(preset.id),
        delete: paths::delete_preset(preset.id),
        back: NextStep::new("All presets here", list(preset)),
        name: preset.rules.name.to_string(),
        facts: facts(&preset.rules),
        sum: sum(&all),
        rows: all.into_iter().take(LISTED).collect(),
        asking,
        providers: form.providers(&desk.providers),
        claims: form.claims(),
        form,
        errors,
    };
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(render_with(status, &page))
}

/// The clusters that it counts for, or that took it over; those that say otherwise first.
fn rows(
    preset: &Preset,
    presets: &[Preset],
    clusters: &[Cluster],
    taken: &HashMap<ClusterId, Takeover>,
    now: Timestamp,
) -> Vec<Row> {
    let provider = &preset.rules.provider;
    let row = |cluster: &Cluster| {
        let has = cluster.mapping(provider)?;
        let took = taken.get(&cluster.id);
        let counts = counting(presets, cluster.workspace, &cluster.labels, provider).map(|counts| counts.id);
        let (state, words) = match (counts == Some(preset.id), *has == preset.rules.mapping) {
            (true, true) => (Stand::Same, "names people as it says".to_owned()),
            (true, false) => (Stand::Differs, format!("says otherwise: {}", has.in_words())),
            (false, _) if took.is_some() => {
                (Stand::Elsewhere, "took it over; another preset counts there by now, or none".to_owned())
            }
            (false, _) => return None,
        };
        let href = paths::settings(cluster.id) + "#named";
        let taken = took.map(|took| When::new(took.at, now));
        Some(Row { name: cluster.name.to_string(), href, state, words, taken })
    };
    let mut rows: Vec<Row> = clusters.iter().filter_map(row).collect();
    rows.sort_by_key(|row| row.state);
    rows
}

fn sum(rows: &[Row]) -> String {
    let differ = rows.iter().filter(|row| row.state == Stand::Differs).count();
    let count = |n: usize| counted(u64::try_from(n).unwrap_or(u64::MAX), "cluster");
    let more = if rows.len() > LISTED { format!(" The first {LISTED} are listed.") } else { String::new() };
    match (rows.len(), differ) {
        (0, _) => "No cluster is like that now. One that is added with these labels takes it over.".into(),
        (1, 0) => "1 cluster, and it says the same.".into(),
        (n, 0) => format!("{}, and none says otherwise.{more}", count(n)),
        (1, _) => "1 cluster, and it says otherwise. Its settings say what taking it over rewrites.".into(),
        (n, 1) => {
            format!("{}, of which 1 says otherwise. Its settings say what taking it over rewrites.{more}", count(n))
        }
        (n, differ) => format!(
            "{}, of which {differ} say otherwise. Each one’s settings say what taking it over rewrites.{more}",
            count(n)
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{claim_mapping::ClaimMapping, id::IdentityId, preset::PresetRules},
        web::pages::{
            cluster::tests::cluster,
            presets::tests::{hostile_form, mistakes},
            samples::{HOSTILE, LONG_NAME, NOW, frame},
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize, asking: bool, form: PresetForm, errors: FieldErrors| {
            let row = |n: usize| Row {
                name: LONG_NAME.into(),
                href: "/clusters/x/settings#named".into(),
                state: [Stand::Differs, Stand::Same, Stand::Elsewhere][n % 3],
                words: HOSTILE.into(),
                taken: n.is_multiple_of(2).then(|| When::new(NOW, NOW)),
            };
            PresetPage {
                frame: frame().at(Nav::Workspaces),
                here: "/presets/x".into(),
                delete: "/presets/x/delete".into(),
                back: NextStep::new("All presets here", "/presets"),
                name: HOSTILE.into(),
                facts: HOSTILE.into(),
                rows: (0..rows).map(row).collect(),
                sum: HOSTILE.into(),
                asking,
                providers: vec![Choice::new("dex", HOSTILE, "dex")],
                claims: form.claims(),
                form,
                errors,
            }
            .render()
            .unwrap()
        };
        vec![
            ("preset", draw(40, true, PresetForm::default(), FieldErrors::default())),
            ("preset-wrong", draw(0, false, hostile_form(), mistakes())),
        ]
    }

    #[test]
    fn clusters_that_say_otherwise_come_first_and_those_of_other_presets_are_left_out() {
        let mapping = ClaimMapping { username_prefix: "corp:".into(), ..ClaimMapping::default() };
        let rules = PresetRules {
            name: "Production".parse().unwrap(),
            selector: "env=prod".parse().unwrap(),
            weight: "1".parse().unwrap(),
            provider: "dex".parse().unwrap(),
            mapping: mapping.clone(),
        };
        let preset =
            Preset { id: PresetId::new(), workspace: None, rules, created_by: IdentityId::new(), created_at: NOW };
        let labelled = |name: &str, labels: &str| Cluster { labels: labels.parse().unwrap(), ..cluster(name) };
        let mut same = labelled("same", "env=prod");
        same.trusts[0].1 = mapping.clone();
        let clusters = [same, labelled("differs", "env=prod"), labelled("other", ""), labelled("moved", "env=test")];
        let takeover = Takeover {
            provider: "dex".parse().unwrap(),
            preset: preset.id,
            name: "Production".into(),
            mapping,
            at: NOW,
        };
        let taken = HashMap::from([(clusters[3].id, takeover)]);
        let all = rows(&preset, std::slice::from_ref(&preset), &clusters, &taken, NOW);
        let said: Vec<_> = all.iter().map(|row| (row.name.as_str(), row.state)).collect();
        assert_eq!(said, [("differs", Stand::Differs), ("moved", Stand::Elsewhere), ("same", Stand::Same)]);
        assert!(sum(&all).starts_with("3 clusters, of which 1 says otherwise"));
        assert!(sum(&all[..1]).starts_with("1 cluster, and it says otherwise. Its settings"));
        assert_eq!(sum(&all[2..]), "1 cluster, and it says the same.");
        assert!(sum(&[]).starts_with("No cluster"));
    }
}
