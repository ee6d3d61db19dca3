//! The matrix: who could reach what, on any day, whatever has become of it since.

use std::{collections::HashMap, fmt::Write, time::Duration};

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, Removal},
        grant::{EndReason, Grantee},
        id::{ClusterId, GrantId, WorkspaceId},
        matrix::{AsOf, strongest},
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    store::{GrantFilter, HolderCursor, MatrixPage, NewWorkspace, Outcome},
};

use super::bed::{Bed, MINUTE, NOW, claims, draft, later, new_cluster, new_grant, provider};

both!(
    columns_and_rows_are_read_page_by_page_by_name,
    a_cell_holds_what_somebody_holds_on_one_cluster,
    a_day_shows_who_had_access_then_also_on_a_cluster_that_has_gone,
    a_day_shows_a_cluster_where_it_was_then_under_the_name_of_then,
    a_person_is_found_by_what_they_are_called_now,
    a_search_goes_on_window_by_window,
    a_small_matrix_costs_no_more_beside_a_large_one,
    the_record_begins_once,
);

const DAY: u64 = 86_400;

fn group(name: &str) -> Grantee {
    Grantee::Group(provider("dex"), name.into())
}

/// So many days after [`NOW`], as a day that is asked about then.
fn day(n: u64) -> AsOf {
    let from = later(n * DAY);
    AsOf::Day { from: Timestamp::from_secs(from.secs() - from.secs() % 86_400), now: from }
}

impl Bed {
    async fn matrix(&self, workspace: Option<WorkspaceId>, as_of: AsOf) -> MatrixPage {
        self.store.matrix(workspace, as_of, "", None, &HolderCursor::default()).await.unwrap()
    }

    async fn gives(&self, cluster: &Cluster, to: Grantee, role: Role, at: Timestamp) -> GrantId {
        let mut new = new_grant(cluster, to);
        new.role = Some(role);
        self.store.add_grant(&new, draft(Action::GrantAdded), at).await.unwrap().id
    }

    /// Ends it, and sees its binding gone so much later.
    async fn takes(&self, id: GrantId, at: Timestamp, gone: Timestamp) {
        self.store.end_grant(id, EndReason::Revoked, draft(Action::GrantRevoked), at).await.unwrap();
        let due = self.store.claim_grant(id, at, MINUTE).await.unwrap();
        let outcome = Outcome { state: kubelend::model::grant::GrantState::Removed, detail: None, retry_at: None };
        assert!(self.store.settle_grant(&due, false, &outcome, None, gone).await.unwrap());
    }
}

fn names(page: &MatrixPage) -> (Vec<String>, Vec<String>) {
    let columns = page.columns.iter().map(|c| c.name.clone()).collect();
    (columns, page.rows.iter().map(|(holder, _)| holder.name.clone()).collect())
}

/// Each row with the role in each column, `-` for none.
fn cells(page: &MatrixPage) -> Vec<String> {
    let role = |cells: &HashMap<ClusterId, Vec<_>>, cluster| {
        let found = cells.get(&cluster).and_then(|grants| strongest(grants)).and_then(|grant| grant.role.clone());
        found.map_or_else(|| "-".to_owned(), |role| role.to_string())
    };
    let row = |(holder, cells): &(kubelend::model::matrix::Holder, HashMap<_, _>)| {
        let roles: Vec<String> = page.columns.iter().map(|c| role(cells, c.cluster)).collect();
        format!("{} {}", holder.name, roles.join(" "))
    };
    page.rows.iter().map(row).collect()
}

async fn columns_and_rows_are_read_page_by_page_by_name(bed: Bed) {
    let alice = bed.person("alice").await;
    let mut clusters = Vec::new();
    for n in 0..10 {
        clusters.push(bed.cluster_of(&alice, &format!("{}-{n}", if n % 2 == 0 { "Up" } else { "down" })).await);
    }
    let home = Some(clusters[0].workspace);
    let elsewhere = bed.cluster().await;
    bed.grant(&elsewhere, group("strangers")).await;
    for n in 0..30 {
        bed.grant(&clusters[n % 4], group(&format!("group-{n:02}"))).await;
    }
    let first = bed.matrix(home, AsOf::Now(NOW)).await;
    let (columns, rows) = names(&first);
    assert_eq!(columns, ["down-1", "down-3", "down-5", "down-7", "down-9", "Up-0", "Up-2", "Up-4"]);
    assert_eq!(rows, (0..20).map(|n| format!("group-{n:02}")).collect::<Vec<_>>());
    let next = first.next_rows.expect("more rows");
    let second = bed.store.matrix(home, AsOf::Now(NOW), "", None, &next).await.unwrap();
    assert_eq!(names(&second).1, (20..30).map(|n| format!("group-{n}")).collect::<Vec<_>>());
    assert_eq!(second.next_rows, None);
    let beside = first.next_columns.expect("more columns");
    let beside = bed.store.matrix(home, AsOf::Now(NOW), "", Some(&beside), &HolderCursor::default()).await.unwrap();
    assert_eq!(names(&beside), (vec!["Up-6".into(), "Up-8".into()], vec![]), "nobody holds anything there");
    assert_eq!(beside.next_columns, None);
    assert_eq!(names(&bed.matrix(None, AsOf::Now(NOW)).await).0[4..7], ["down-9", "staging", "Up-0"], "of all");
}

async fn a_cell_holds_what_somebody_holds_on_one_cluster(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    let bob = Grantee::Person(bed.person("bob").await.id);
    bed.gives(&one, bob.clone(), Role::View, NOW).await;
    let mut part = new_grant(&one, bob.clone());
    part.role = Some(Role::Admin);
    part.scope = Scope::Namespaces(one.id, vec!["shop".parse().unwrap()]);
    bed.store.add_grant(&part, draft(Action::GrantAdded), NOW).await.unwrap();
    bed.gives(&two, group("devs"), Role::Edit, NOW).await;
    bed.gives(&two, Grantee::Email(provider("dex"), "ann@example.com".parse().unwrap()), Role::View, NOW).await;
    let ended = bed.gives(&two, bob, Role::Edit, NOW).await;
    bed.store.end_grant(ended, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();

    let page = bed.matrix(Some(one.workspace), AsOf::Now(later(1))).await;
    assert_eq!(cells(&page), ["ann@example.com - view", "bob@example.com admin edit", "devs - edit"]);
    let (_, bobs) = &page.rows[1];
    assert_eq!(bobs[&one.id].len(), 2);
    assert!(bobs[&two.id][0].is_leaving(), "its binding may still stand");
    // What was ended is no longer there once its binding is gone.
    bed.takes(ended, later(1), later(2)).await;
    let page = bed.matrix(Some(one.workspace), AsOf::Now(later(3))).await;
    assert_eq!(cells(&page)[1], "bob@example.com admin -");

    let key = &page.rows[1].0.key;
    let all = bed.store.reached_by(Some(one.workspace), AsOf::Now(later(3)), key, None).await.unwrap();
    assert_eq!(all.iter().map(|r| r.column.name.as_str()).collect::<Vec<_>>(), ["one", "one"]);
    let (holder, cluster) = bed.store.holder_of(part.id).await.unwrap();
    assert_eq!((&holder.key, cluster), (key, one.id));
    let groups = bed.store.groups_reaching(Some(one.workspace), AsOf::Now(NOW), key, None).await.unwrap();
    assert_eq!(groups.iter().map(|(holder, _)| holder.name.as_str()).collect::<Vec<_>>(), ["devs"]);
    let elsewhere = bed.cluster().await;
    assert!(bed.store.reached_by(Some(elsewhere.workspace), AsOf::Now(NOW), key, None).await.unwrap().is_empty());
}

async fn a_day_shows_who_had_access_then_also_on_a_cluster_that_has_gone(bed: Bed) {
    let cluster = bed.cluster().await;
    let home = Some(cluster.workspace);
    let early = bed.gives(&cluster, group("early"), Role::Edit, later(DAY)).await;
    bed.gives(&cluster, group("late"), Role::Admin, later(5 * DAY)).await;
    let mut until = new_grant(&cluster, group("until"));
    until.expires_at = Some(later(20 * DAY));
    bed.store.add_grant(&until, draft(Action::GrantAdded), later(5 * DAY)).await.unwrap();
    // Taken on the third day from a cluster that was away until the fourth.
    bed.takes(early, later(3 * DAY), later(4 * DAY)).await;
    let on = async |n: u64| names(&bed.matrix(home, day(n)).await).1;
    assert_eq!(on(1).await, ["early"]);
    assert_eq!(on(4).await, ["early"], "all of the day on which it went");
    assert_eq!(on(5).await, ["late", "until"]);
    let ahead = |n: u64| AsOf::Day { from: day(n).from(), now: later(6 * DAY) };
    assert_eq!(names(&bed.matrix(home, ahead(19)).await).1, ["late", "until"]);
    assert_eq!(names(&bed.matrix(home, ahead(22)).await).1, ["late"], "as things stand");

    bed.store
        .ask_removal(cluster.id, Removal::Leave, draft(Action::ClusterRemovalAsked), later(9 * DAY))
        .await
        .unwrap();
    // Whoever finishes it looked at the clock before that; it does not go before its grants have ended.
    assert_eq!(bed.store.finish_removals(later(9 * DAY - 2), Duration::from_secs(10)).await.unwrap(), 1);
    assert!(bed.matrix(home, AsOf::Now(later(10 * DAY))).await.columns.is_empty());
    let then = |n: u64| AsOf::Day { from: day(n).from(), now: later(10 * DAY) };
    for (n, rows) in [(0, vec![]), (1, vec!["early"]), (5, vec!["late", "until"]), (8, vec!["late", "until"])] {
        let page = bed.matrix(home, then(n)).await;
        assert_eq!(names(&page), (vec!["staging".into()], rows.into_iter().map(String::from).collect()), "day {n}");
        assert_eq!(names(&bed.matrix(None, then(n)).await), names(&page));
    }
    assert!(bed.matrix(home, then(10)).await.columns.is_empty());
    // One after the other, as a file has them.
    let column = bed.matrix(home, then(5)).await.columns.remove(0);
    let listed = bed.store.matrix_column(&column, then(5), "", None, 1).await.unwrap();
    let (holder, cursor, grant) = &listed[0];
    assert_eq!((holder.name.as_str(), grant.ended.map(|(_, why)| why)), ("late", Some(EndReason::ClusterRemoved)));
    let rest = bed.store.matrix_column(&column, then(5), "", Some(&(cursor.clone(), grant.id)), 9).await.unwrap();
    assert_eq!(rest.iter().map(|(holder, ..)| holder.name.as_str()).collect::<Vec<_>>(), ["until"]);
    let (holder, _) = bed.store.holder_of(early).await.unwrap();
    let reached = bed.store.reached_by(home, then(2), &holder.key, Some(cluster.id)).await.unwrap();
    assert_eq!(reached.iter().map(|r| r.grant.id).collect::<Vec<_>>(), [early]);
}

async fn a_day_shows_a_cluster_where_it_was_then_under_the_name_of_then(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    let away = NewWorkspace { id: WorkspaceId::new(), name: "Away".parse().unwrap(), created_by: alice.id, most: None };
    bed.store.create_workspace(&away, draft(Action::WorkspaceCreated), NOW).await.unwrap();
    bed.gives(&cluster, group("devs"), Role::View, later(DAY)).await;
    let name = "testing".parse().unwrap();
    bed.store.rename_cluster(cluster.id, &name, draft(Action::ClusterRenamed), later(3 * DAY)).await.unwrap();
    bed.store.move_cluster(cluster.id, away.id, draft(Action::ClusterMoved), later(6 * DAY)).await.unwrap();
    bed.gives(&cluster, group("guests"), Role::View, later(7 * DAY)).await;
    let shown = async |workspace: WorkspaceId, n: u64| names(&bed.matrix(Some(workspace), day(n)).await);
    let there = |name: &str, rows: &[&str]| (vec![name.to_owned()], rows.iter().map(ToString::to_string).collect());
    assert_eq!(shown(cluster.workspace, 2).await, there("staging", &["devs"]));
    assert_eq!(shown(cluster.workspace, 4).await, there("testing", &["devs"]));
    assert_eq!(shown(cluster.workspace, 7).await, (vec![], vec![]), "what happens elsewhere is not theirs to see");
    assert_eq!(shown(away.id, 4).await, (vec![], vec![]));
    assert_eq!(shown(away.id, 7).await, there("testing", &["devs", "guests"]));
    let everywhere = names(&bed.matrix(None, day(6)).await);
    assert_eq!(everywhere, there("testing", &["devs"]), "once, on the day on which it moves, too");
}

async fn a_person_is_found_by_what_they_are_called_now(bed: Bed) {
    let cluster = bed.cluster().await;
    let bob = bed.person("bob").await;
    bed.grant(&cluster, Grantee::Person(bob.id)).await;
    bed.grant(&cluster, group("crew")).await;
    let mut renamed = claims("bob");
    renamed.email = Some("zoe.smith@example.com".parse().unwrap());
    renamed.name = Some("Zoë 100%".into());
    bed.signs_in(&renamed).await;
    let home = Some(cluster.workspace);
    assert_eq!(names(&bed.matrix(home, AsOf::Now(NOW)).await).1, ["crew", "zoe.smith@example.com"]);
    let find = async |text: &str| {
        let begin = HolderCursor::default();
        names(&bed.store.matrix(home, AsOf::Now(NOW), text, None, &begin).await.unwrap()).1
    };
    assert_eq!(find("SMITH@").await, ["zoe.smith@example.com"]);
    assert_eq!(find("100%").await, ["zoe.smith@example.com"], "by the name, too");
    assert_eq!(find("bob").await, Vec::<String>::new());
    assert_eq!(find("%").await, ["zoe.smith@example.com"], "as it is typed");
    assert_eq!(find("a\0b").await, Vec::<String>::new());
}

/// Many live grants to groups, or past ones.
async fn many(bed: &Bed, cluster: &Cluster, many: usize, state: &str) {
    let mut sql = String::from("BEGIN;");
    for n in 0..many {
        if n % 500 == 0 {
            sql.push_str(
                "INSERT INTO grants (id, cluster_id, namespaces, role, grantee_key, to_group, provider, grantee_name, \
                 grantee_search, grantee_sort, origin, created_by, created_at, state, state_since, ended, attempts, \
                 revision) VALUES ",
            );
        }
        let (id, on, by) = (GrantId::new(), cluster.id, cluster.created_by);
        let ended = if state == "removed" { "'revoked'" } else { "NULL" };
        let end = if n % 500 == 499 || n + 1 == many { ";" } else { "," };
        write!(
            sql,
            "('{id}', '{on}', '', 'view', 'group:dex:many{n:06}', TRUE, 'dex', 'many{n:06}', 'many{n:06}', \
             'many{n:06}', 'manual', '{by}', 0, '{state}', 0, {ended}, 0, 0){end}"
        )
        .unwrap();
    }
    sql.push_str("COMMIT;");
    bed.run(&sql).await;
}

async fn a_search_goes_on_window_by_window(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    many(&bed, &one, 6_000, "applied").await;
    many(&bed, &two, 5_500, "removed").await;
    for (cluster, name) in [(&one, "a the first"), (&two, "z the last"), (&one, "n the middle")] {
        bed.grant(cluster, group(name)).await;
    }
    for as_of in [AsOf::Now(later(1)), day(0)] {
        let (mut found, mut at, mut pages) = (Vec::new(), HolderCursor::default(), 0);
        loop {
            let page = bed.store.matrix(Some(one.workspace), as_of, "the", None, &at).await.unwrap();
            found.extend(names(&page).1);
            pages += 1;
            let Some(next) = page.next_rows else { break };
            at = next;
        }
        assert_eq!((found, pages), (vec!["a the first".into(), "n the middle".into(), "z the last".into()], 2));
    }
    let filter = GrantFilter::default();
    assert_eq!(bed.store.grants_of_cluster(two.id, &filter, None, 9).await.unwrap().rows.len(), 1);
}

/// The shortest of many times that a first page takes.
async fn shortest(bed: &Bed, cluster: &Cluster, as_of: AsOf) -> Duration {
    let mut best = Duration::MAX;
    for n in 0..40 {
        let begun = std::time::Instant::now();
        assert_eq!(bed.matrix(Some(cluster.workspace), as_of).await.rows.len(), 20);
        if n >= 10 {
            best = best.min(begun.elapsed());
        }
    }
    best
}

async fn a_small_matrix_costs_no_more_beside_a_large_one(bed: Bed) {
    let (small, large) = (bed.cluster().await, bed.cluster().await);
    many(&bed, &small, 30, "applied").await;
    many(&bed, &large, 30_000, "applied").await;
    bed.run("ANALYZE").await;
    for as_of in [AsOf::Now(later(1)), day(0)] {
        let (of_small, of_large) = (shortest(&bed, &small, as_of).await, shortest(&bed, &large, as_of).await);
        assert!(of_small < of_large * 5 && of_large < of_small * 5, "{of_small:?} beside {of_large:?} {as_of:?}");
    }
}

async fn the_record_begins_once(bed: Bed) {
    assert_eq!(bed.store.record_since().await.unwrap(), None);
    bed.store.begin_record(NOW).await.unwrap();
    bed.store.begin_record(later(DAY)).await.unwrap();
    assert_eq!(bed.store.record_since().await.unwrap(), Some(NOW));
    // A cluster of the version before has no stay until it changes; then all of it is known.
    let cluster = bed.cluster().await;
    bed.run("DELETE FROM cluster_stays").await;
    let again = new_cluster("again").name;
    bed.store.rename_cluster(cluster.id, &again, draft(Action::ClusterRenamed), later(DAY)).await.unwrap();
    assert_eq!(names(&bed.matrix(Some(cluster.workspace), day(0)).await).0, ["again"]);
}
