//! Clusters, a sentence each, as the owner's home and a workspace's page list them: under their workspaces where there are several,
//! page by page.

use std::collections::HashMap;

use super::{
    listing::{self, Asked, Listing},
    trust,
};
use crate::{
    model::{
        cluster::{Cluster, ConnectionCheck},
        id::{ClusterId, WorkspaceId},
        provider::ProviderId,
        time::Timestamp,
        trial::Trial,
        workspace::Workspace,
    },
    oidc::Providers,
    store::{ClusterEntry, Store},
    web::{
        errors::{NextStep, PageError},
        labels::{Health, counted, outcome_class},
        paths,
    },
};

/// The store counts people and groups up to this.
const COUNTED_UP_TO: u32 = 1000;

/// A page of a list of clusters.
#[derive(Default)]
pub(super) struct List {
    pub(super) groups: Vec<Group>,
    /// Whether they are of several workspaces.
    pub(super) several: bool,
    pub(super) listing: Listing,
}

/// The clusters of one workspace; it is named where there are several.
pub(super) struct Group {
    pub(super) workspace: Option<NextStep>,
    pub(super) rows: Vec<Row>,
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

/// What is asked for of these clusters, which come by name. With workspaces, which come in their own order, they are listed under these.
pub(super) async fn list(
    (store, providers): (&Store, &Providers),
    entries: Vec<ClusterEntry>,
    workspaces: &[Workspace],
    asked: Asked,
    here: String,
    now: Timestamp,
) -> Result<List, PageError> {
    let (cut, list) = cut(entries, workspaces, asked, here);
    let ids: Vec<ClusterId> = cut.iter().map(|entry| entry.id).collect();
    let clusters = store.clusters(&ids).await?;
    let rows = rows(store, providers, &clusters, now).await?;
    let by_id: HashMap<ClusterId, Row> = clusters.iter().map(|c| c.id).zip(rows).collect();
    Ok(List { groups: grouped(cut, by_id, workspaces), ..list })
}

/// What stands on the page, and the page without it.
fn cut(
    mut entries: Vec<ClusterEntry>,
    workspaces: &[Workspace],
    asked: Asked,
    here: String,
) -> (Vec<ClusterEntry>, List) {
    let place: HashMap<WorkspaceId, usize> = workspaces.iter().enumerate().map(|(n, w)| (w.id, n)).collect();
    let of = |entry: &ClusterEntry| place.get(&entry.workspace).copied();
    entries.sort_by_key(of);
    let fits = |asked: &Asked, entry: &ClusterEntry| {
        let home = of(entry).and_then(|n| workspaces.get(n)).map(|w| w.name.as_str());
        asked.fits([entry.name.as_str(), &entry.labels].into_iter().chain(home))
    };
    let (cut, listing) = listing::cut(entries, fits, ("cluster", listing::A_PAGE), asked, here);
    (cut, List { groups: Vec::new(), several: !workspaces.is_empty(), listing })
}

/// Rows under their workspaces; without any, in one nameless group. What has gone meanwhile is left out.
fn grouped(cut: Vec<ClusterEntry>, mut rows: HashMap<ClusterId, Row>, workspaces: &[Workspace]) -> Vec<Group> {
    let mut groups: Vec<(Option<WorkspaceId>, Group)> = Vec::new();
    for entry in cut {
        let Some(row) = rows.remove(&entry.id) else { continue };
        let of = workspaces.iter().find(|w| w.id == entry.workspace);
        match groups.last_mut() {
            Some((id, group)) if *id == of.map(|w| w.id) => group.rows.push(row),
            _ => {
                let workspace = of.map(|w| NextStep::new(w.name.as_str(), paths::workspace(w.id)));
                groups.push((of.map(|w| w.id), Group { workspace, rows: vec![row] }));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// A sentence for each of these clusters.
async fn rows(
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
        web::pages::{samples::LONG_NAME, workspace::tests::workspace},
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

    /// Clusters to list, as many as that, in turns in each of these workspaces.
    pub(in crate::web) fn entries(count: usize, workspaces: &[Workspace]) -> Vec<ClusterEntry> {
        let entry = |n: usize| ClusterEntry {
            id: ClusterId::new(),
            workspace: workspaces[n % workspaces.len()].id,
            name: format!("{}{n:03}", &LONG_NAME[..60]).parse().unwrap(),
            labels: if n.is_multiple_of(10) { "env=prod".into() } else { "env=test".into() },
        };
        (0..count).map(entry).collect()
    }

    /// A page of a list.
    pub(in crate::web) fn sample(entries: Vec<ClusterEntry>, workspaces: &[Workspace], q: &str, page: &str) -> List {
        let asked = Asked { q: q.into(), page: page.into() };
        let (cut, list) = cut(entries, workspaces, asked, "/clusters".into());
        let drawn = |(n, entry): (usize, &ClusterEntry)| {
            let row = sample_rows().swap_remove(n % 4);
            (entry.id, Row { name: entry.name.to_string(), ..row })
        };
        let rows = cut.iter().enumerate().map(drawn).collect();
        List { groups: grouped(cut, rows, workspaces), ..list }
    }

    #[test]
    fn a_page_goes_on_within_a_workspace_and_each_cluster_stands_under_its_own() {
        let two = [workspace("Payments"), workspace("Shop")];
        let all = entries(90, &two);
        let pages: Vec<List> = ["", "2", "3"].map(|page| sample(all.clone(), &two, "", page)).into();
        let titles = |page: &List| -> Vec<String> {
            page.groups.iter().map(|group| group.workspace.as_ref().unwrap().label.clone()).collect()
        };
        assert_eq!(pages.iter().map(titles).collect::<Vec<_>>().concat(), ["Payments", "Payments", "Shop", "Shop"]);
        let rows = pages.iter().flat_map(|page| &page.groups).flat_map(|group| &group.rows);
        let found: Vec<&str> = rows.map(|row| row.name.as_str()).collect();
        let under = |n: usize| all.iter().skip(n).step_by(2).map(|entry| entry.name.as_str());
        assert_eq!(found, under(0).chain(under(1)).collect::<Vec<_>>());
    }

    #[test]
    fn a_word_finds_names_labels_and_workspaces() {
        let two = [workspace("Payments"), workspace("Shop")];
        let found = |q: &str| sample(entries(200, &two), &two, q, "").listing.part.unwrap_or_default();
        assert_eq!(found("ENV=Prod"), "20 of 200 clusters");
        assert_eq!(found("007"), "1 of 200 clusters");
        assert_eq!(found("shop"), "1–40 of 100 that fit, of 200 clusters");
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
