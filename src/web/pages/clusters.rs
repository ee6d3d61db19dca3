//! `/clusters`: the owner's home, a sentence for each cluster, by workspace where there are several.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use axum::{extract::State, response::Response};

use super::trust;
use crate::{
    clock::Clock,
    model::{
        cluster::{Cluster, ConnectionCheck},
        id::{ClusterId, WorkspaceId},
        provider::ProviderId,
        time::Timestamp,
        trial::Trial,
        workspace::Workspace,
    },
    oidc::Providers,
    store::Store,
    web::{
        errors::{NextStep, PageError},
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
    groups: Vec<Group>,
    add: &'static str,
    shared: &'static str,
}

/// The clusters of one workspace; it is named where there are several.
struct Group {
    workspace: Option<NextStep>,
    rows: Vec<Row>,
}

/// A cluster as a sentence.
pub(super) struct Row {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) facts: String,
    health: Health,
    pub(super) state: String,
    /// Where it is said why it waits.
    pub(super) why: Option<String>,
}

impl Row {
    pub(super) fn class(&self) -> &'static str {
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
    let rows = rows(&store, &providers, &clusters, clock.now()).await?;
    let within: Vec<WorkspaceId> = clusters.iter().map(|c| c.workspace).collect();
    let several = within.windows(2).any(|two| two[0] != two[1]);
    let workspaces = if several { store.workspaces(&distinct(&within)).await? } else { Vec::new() };
    let groups = grouped(within.into_iter().zip(rows).collect(), &workspaces);
    let frame = Frame::new(&who, Nav::Clusters);
    Ok(render(&ClustersPage { frame, groups, add: paths::ADD_CLUSTER, shared: paths::SHARED }))
}

fn distinct(ids: &[WorkspaceId]) -> Vec<WorkspaceId> {
    let all: BTreeSet<WorkspaceId> = ids.iter().copied().collect();
    all.into_iter().collect()
}

/// Rows under their workspaces, which come in their own order; without any, in one nameless group.
fn grouped(mut rows: Vec<(WorkspaceId, Row)>, workspaces: &[Workspace]) -> Vec<Group> {
    let mut groups = Vec::new();
    for workspace in workspaces {
        let (inside, others) = rows.into_iter().partition::<Vec<_>, _>(|(id, _)| *id == workspace.id);
        rows = others;
        let name = NextStep::new(workspace.name.as_str(), paths::workspace(workspace.id));
        groups.push(Group { workspace: Some(name), rows: inside.into_iter().map(|(_, row)| row).collect() });
    }
    if !rows.is_empty() {
        groups.push(Group { workspace: None, rows: rows.into_iter().map(|(_, row)| row).collect() });
    }
    groups
}

/// A sentence for each of these clusters.
pub(super) async fn rows(
    store: &Store,
    providers: &Providers,
    clusters: &[Cluster],
    now: Timestamp,
) -> Result<Vec<Row>, PageError> {
    let counts = Counts::read(store, clusters, now).await?;
    Ok(clusters.iter().map(|c| row(c, &counts, providers, now)).collect())
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
    let name = |id: &ProviderId| providers.get(id).map_or_else(|| id.to_string(), |p| p.settings().name.clone());
    let names: Vec<String> = cluster.trusts.iter().map(|(id, _)| name(id)).collect();
    let trusted: Vec<&str> = names.iter().map(String::as_str).collect();
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
        web::pages::{
            samples::{HOSTILE, LONG_NAME, frame},
            workspace::tests::workspace,
        },
    };

    fn row(name: &str, outcome: StepOutcome, words: &str, facts: String) -> Row {
        Row {
            href: "/clusters/x".into(),
            name: name.into(),
            facts,
            state: words.into(),
            why: words.starts_with("waits").then(|| "/clusters/x#connection".into()),
            health: Health { outcome, words: words.into() },
        }
    }

    /// Rows to draw.
    pub(in crate::web) fn sample_rows() -> Vec<Row> {
        vec![
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
        ]
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |frame, groups| {
            ClustersPage { frame, groups, add: paths::ADD_CLUSTER, shared: paths::SHARED }.render().unwrap()
        };
        let (mine, hostile) = (workspace("Clusters of alice@example.com"), workspace(HOSTILE));
        let within = |id| sample_rows().into_iter().map(move |row| (id, row));
        let several = grouped(within(mine.id).chain(within(hostile.id)).collect(), &[mine.clone(), hostile]);
        let stranger = Frame { may_add_clusters: false, ..frame() };
        vec![
            ("clusters", draw(frame(), grouped(within(mine.id).collect(), &[]))),
            ("clusters-workspaces", draw(frame(), several)),
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
