//! `/clusters`: the owner's home, a sentence for each cluster.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::State, response::Response};

use super::trust;
use crate::{
    clock::Clock,
    model::{
        cluster::{Cluster, ConnectionCheck},
        id::ClusterId,
        time::Timestamp,
        trial::Trial,
    },
    oidc::Providers,
    store::Store,
    web::{
        errors::PageError,
        frame::{Frame, Nav, render},
        labels::{Health, counted, outcome_class},
        paths,
        session::SignedIn,
    },
};

/// The store counts people and groups up to this.
const COUNTED_UP_TO: u32 = 1000;

#[derive(Template)]
#[template(path = "pages/clusters.html")]
struct ClustersPage {
    frame: Frame,
    rows: Vec<Row>,
    add: &'static str,
    shared: &'static str,
}

struct Row {
    href: String,
    name: String,
    facts: String,
    health: Health,
    state: String,
    /// Where it is said why it waits.
    why: Option<String>,
}

impl Row {
    fn class(&self) -> &'static str {
        outcome_class(self.health.outcome)
    }
}

/// The list.
pub async fn get(
    who: SignedIn,
    State(store): State<Store>,
    State(providers): State<Providers>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    let clusters = store.clusters_of(who.person.identity(), who.person.is_platform_admin()).await?;
    let counts = Counts::read(&store, &clusters, clock.now()).await?;
    let rows = clusters.iter().map(|c| row(c, &counts, &providers, clock.now())).collect();
    let frame = Frame::new(&who, Nav::Clusters);
    Ok(render(&ClustersPage { frame, rows, add: paths::ADD_CLUSTER, shared: paths::SHARED }))
}

#[derive(Default)]
struct Counts {
    grantees: HashMap<ClusterId, (u32, u32)>,
    links: HashMap<ClusterId, i64>,
    checks: HashMap<ClusterId, ConnectionCheck>,
    trials: HashMap<ClusterId, Vec<Trial>>,
}

impl Counts {
    async fn read(store: &Store, clusters: &[Cluster], now: Timestamp) -> Result<Self, PageError> {
        let ids: Vec<ClusterId> = clusters.iter().map(|c| c.id).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let grantees = store.count_grantees(&ids, now).await?;
        let mut trials: HashMap<ClusterId, Vec<Trial>> = HashMap::new();
        for (id, trial) in store.trials(&ids).await? {
            trials.entry(id).or_default().push(trial);
        }
        Ok(Self {
            grantees: grantees.into_iter().map(|(id, people, groups)| (id, (people, groups))).collect(),
            links: store.count_open_links(&ids, now).await?.into_iter().collect(),
            checks: store.checks(&ids).await?.into_iter().map(|(id, stored)| (id, stored.check)).collect(),
            trials,
        })
    }
}

fn row(cluster: &Cluster, counts: &Counts, providers: &Providers, now: Timestamp) -> Row {
    let check = counts.checks.get(&cluster.id);
    let of_check = Health::of(check, now);
    let trials = counts.trials.get(&cluster.id).map(Vec::as_slice).unwrap_or_default();
    let health = trust::health(of_check.clone(), cluster, trials, providers);
    let trusted: Vec<&str> = cluster
        .trusts
        .iter()
        .map(|(id, _)| providers.get(id).map_or(id.as_str(), |p| p.settings().name.as_str()))
        .collect();
    let version = check.and_then(|c| c.version.as_deref());
    let people = counts.grantees.get(&cluster.id).copied().unwrap_or_default();
    let links = counts.links.get(&cluster.id).copied().unwrap_or_default();
    Row {
        href: paths::cluster(cluster.id),
        name: cluster.name.to_string(),
        facts: facts(version, &trusted, people, links),
        why: (health != of_check).then(|| paths::cluster(cluster.id) + "#connection"),
        state: if cluster.removing.is_some() { "being removed".into() } else { health.words.clone() },
        health,
    }
}

/// “Kubernetes v1.36.3 · trusts Dex · 14 people, 2 groups · 3 open links”.
fn facts(version: Option<&str>, trusted: &[&str], (people, groups): (u32, u32), links: i64) -> String {
    let version = version.map_or_else(|| "Kubernetes, version not seen yet".into(), |v| format!("Kubernetes {v}"));
    let trusts =
        if trusted.is_empty() { "trusts no provider".into() } else { format!("trusts {}", trusted.join(", ")) };
    let mut who: Vec<String> =
        [(people, "person"), (groups, "group")].into_iter().filter(|(n, _)| *n > 0).map(many).collect();
    if who.is_empty() {
        who.push("nobody has access".into());
    }
    let links = match u64::try_from(links) {
        Ok(n) if n > 0 => counted(n, "open link"),
        _ => "no open link".into(),
    };
    [version, trusts, who.join(", "), links].join(" · ")
}

fn many((count, noun): (u32, &str)) -> String {
    let words = counted(count, noun);
    if count >= COUNTED_UP_TO { format!("at least {words}") } else { words }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::cluster::StepOutcome,
        web::pages::samples::{LONG_NAME, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let row = |name: &str, outcome, words: &str, facts: String| Row {
            href: "/clusters/x".into(),
            name: name.into(),
            facts,
            state: words.into(),
            why: words.starts_with("waits").then(|| "/clusters/x#connection".into()),
            health: Health { outcome, words: words.into() },
        };
        let draw = |frame, rows| {
            ClustersPage { frame, rows, add: paths::ADD_CLUSTER, shared: paths::SHARED }.render().unwrap()
        };
        let rows = vec![
            row(
                "staging",
                StepOutcome::Passed,
                "works, checked 3 minutes ago",
                facts(Some("v1.36.3"), &["Dex"], (14, 2), 3),
            ),
            row(
                "production",
                StepOutcome::Warned,
                "waits: the cluster puts you in other groups",
                facts(Some("v1.35.1"), &["Dex", "Corp"], (5, 0), 0),
            ),
            row(
                "lab",
                StepOutcome::Failed,
                "check failed 20 minutes ago: Address reached",
                facts(None, &["Dex"], (0, 0), 0),
            ),
            row(LONG_NAME, StepOutcome::Waiting, "checking …", facts(None, &["Dex"], (1, 0), 1)),
        ];
        let stranger = Frame { may_add_clusters: false, ..frame() };
        vec![
            ("clusters", draw(frame(), rows)),
            ("clusters-empty", draw(frame(), vec![])),
            ("clusters-stranger", draw(stranger, vec![])),
        ]
    }

    #[test]
    fn a_row_reads_as_a_sentence() {
        assert_eq!(
            facts(Some("v1.36.3"), &["Dex"], (14, 2), 3),
            "Kubernetes v1.36.3 · trusts Dex · 14 people, 2 groups · 3 open links"
        );
        assert_eq!(
            facts(None, &[], (0, 0), 0),
            "Kubernetes, version not seen yet · trusts no provider · nobody has access · no open link"
        );
        assert_eq!(
            facts(Some("v1"), &["A", "B"], (1000, 1), 1),
            "Kubernetes v1 · trusts A, B · at least 1000 people, 1 group · 1 open link"
        );
    }
}
