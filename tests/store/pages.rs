//! Lists of grants: the access page with its filters, counts, and what reaches a person.

use std::fmt::Write;

use kubelend::{
    model::{
        audit::Action,
        cluster::Cluster,
        grant::{EndReason, Grantee},
        id::{ClusterId, GrantId},
        role::Role,
        scope::Scope,
    },
    store::{GrantFilter, GrantOrder, GrantPage, Standing},
};

use super::{
    bed::{Bed, NOW, claims, draft, later, new_grant, provider},
    work,
};

both!(
    pages_go_on_where_the_last_one_ended,
    filters_find_what_they_name_and_nothing_else,
    every_order_goes_on_where_the_last_page_ended_with_a_filter_and_without,
    a_filter_looks_at_all_grants_window_by_window,
    a_small_clusters_page_costs_no_more_beside_a_large_one,
    people_and_groups_are_counted_once_each,
    a_person_is_reached_by_their_own_grants_and_their_providers_groups,
    somebody_in_two_hundred_groups_is_reached_through_each,
);

async fn page(bed: &Bed, cluster: &Cluster, filter: &GrantFilter, before: Option<GrantId>, limit: u32) -> GrantPage {
    bed.store.grants_of_cluster(cluster.id, filter, before, limit).await.unwrap()
}

fn ids(page: &GrantPage) -> Vec<GrantId> {
    page.rows.iter().map(|(grant, _)| grant.id).collect()
}

fn group(name: &str) -> Grantee {
    Grantee::Group(provider("dex"), name.into())
}

async fn pages_go_on_where_the_last_one_ended(bed: Bed) {
    let cluster = bed.cluster().await;
    let elsewhere = bed.cluster().await;
    let mut all = Vec::new();
    for n in 0..7 {
        all.insert(0, bed.grant(&cluster, group(&format!("g{n}"))).await.id);
        bed.grant(&elsewhere, group(&format!("g{n}"))).await;
    }
    // Removed ones are gone from the page, removing ones are not.
    let end = async |id| {
        bed.store.end_grant(id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    };
    end(all[6]).await;
    work::settle(&bed, all[6], false).await;
    end(all[0]).await;
    all.truncate(6);
    let filter = GrantFilter::default();
    let first = page(&bed, &cluster, &filter, None, 4).await;
    assert_eq!((ids(&first), first.next), (all[..4].to_vec(), Some(all[3])));
    let second = page(&bed, &cluster, &filter, first.next, 4).await;
    assert_eq!((ids(&second), second.next), (all[4..].to_vec(), None));
    let exactly = page(&bed, &cluster, &filter, None, 6).await;
    assert_eq!((exactly.rows.len(), exactly.next), (6, None));
}

async fn filters_find_what_they_name_and_nothing_else(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut bob = claims("bob");
    bob.name = Some("Röbert 100% O_Neil".into());
    let bob = bed.signs_in(&bob).await;
    let person = bed.grant(&cluster, Grantee::Person(bob.id)).await.id;
    let email = bed.grant(&cluster, Grantee::Email(provider("dex"), "New.Bob@example.com".parse().unwrap())).await.id;
    let mut shop = new_grant(&cluster, group("Ops_Team\\x"));
    shop.role = Some(Role::Admin);
    shop.expires_at = Some(later(100));
    shop.scope = Scope::Namespaces(cluster.id, vec!["payments".parse().unwrap(), "shop".parse().unwrap()]);
    bed.store.add_grant(&shop, draft(Action::GrantAdded), NOW).await.unwrap();
    let mut bare = new_grant(&cluster, group("bare"));
    bare.role = None;
    bed.store.add_grant(&bare, draft(Action::GrantAdded), NOW).await.unwrap();
    let (shop, bare) = (shop.id, bare.id);

    let text = |text: &str| GrantFilter { text: Some(text.into()), ..GrantFilter::default() };
    let namespace = |name: &str| GrantFilter { namespace: Some(name.into()), ..GrantFilter::default() };
    let people = |people| GrantFilter { people: Some(people), ..GrantFilter::default() };
    let role = |role| GrantFilter { role: Some(role), ..GrantFilter::default() };
    let standing = |standing| GrantFilter { standing: Some(standing), ..GrantFilter::default() };
    let both = GrantFilter { role: Some(Role::View), ..text("bob") };
    for (filter, expected) in [
        (text(""), vec![bare, shop, email, person]),
        (text("BOB"), vec![email, person]),
        (text("bob@EXAMPLE"), vec![email, person]),
        (text("new."), vec![email]),
        (text("100%"), vec![person]),
        (text("o_n"), vec![person]),
        (text("oxn"), vec![]),
        (text("röb"), vec![person]),
        (text("s_t"), vec![shop]),
        (text("%"), vec![person]),
        (text("team\\x"), vec![shop]),
        (text("'; DROP TABLE grants; --"), vec![]),
        (text("nul \0"), vec![]),
        (text(&"long".repeat(1000)), vec![]),
        (people(true), vec![email, person]),
        (people(false), vec![bare, shop]),
        (role(Role::Admin), vec![shop]),
        (role(Role::View), vec![email, person]),
        (role(Role::Edit), vec![]),
        (namespace("shop"), vec![shop]),
        (namespace("payments"), vec![shop]),
        (namespace("pay"), vec![]),
        (namespace("payments,shop"), vec![shop]),
        (namespace("sh_p"), vec![]),
        (standing(Standing::Waiting), vec![shop, email, person]),
        (standing(Standing::InForce), vec![bare]),
        (standing(Standing::Stuck), vec![]),
        (standing(Standing::Going), vec![]),
        (standing(Standing::EndsBy(later(99))), vec![]),
        (standing(Standing::EndsBy(later(100))), vec![shop]),
        (both, vec![email, person]),
    ] {
        let found = page(&bed, &cluster, &filter, None, 10).await;
        assert_eq!((ids(&found), found.next), (expected, None), "{filter:?}");
    }
    let found = page(&bed, &cluster, &text("bob"), None, 10).await;
    assert_eq!(found.rows[1].1.as_ref().map(|p| p.id), Some(bob.id));
    assert_eq!(found.rows[0].1, None);
    let first = page(&bed, &cluster, &text("bob"), None, 1).await;
    assert_eq!((ids(&first), first.next), (vec![email], Some(email)));
    let second = page(&bed, &cluster, &text("bob"), first.next, 1).await;
    assert_eq!((ids(&second), second.next), (vec![person], None));
}

/// Many grants to groups, written beside the store: one by one would take minutes.
async fn many(bed: &Bed, cluster: &Cluster, many: usize) {
    let mut sql = String::from("BEGIN;");
    for n in 0..many {
        if n % 500 == 0 {
            sql.push_str(
                "INSERT INTO grants (id, cluster_id, namespaces, role, grantee_key, to_group, provider, grantee_name, \
                 grantee_search, origin, created_by, created_at, state, state_since, attempts, revision, grantee_sort, \
                 role_rank) VALUES ",
            );
        }
        let (id, on, by) = (GrantId::new(), cluster.id, cluster.created_by);
        write!(
            sql,
            "('{id}', '{on}', '', 'view', 'group:dex:many{n}', TRUE, 'dex', 'many{n}', 'many{n}', 'manual', '{by}', 0, \
             'applied', 0, 0, 0, 'many{n}', 3){}",
            if n % 500 == 499 || n + 1 == many { ";" } else { "," }
        )
        .unwrap();
    }
    sql.push_str("COMMIT;");
    bed.run(&sql).await;
}

/// All that is found, page by page, and how many pages that took.
async fn all(bed: &Bed, cluster: &Cluster, filter: &GrantFilter, limit: u32) -> (Vec<GrantId>, usize) {
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = page(bed, cluster, filter, before, limit).await;
        found.extend(ids(&page));
        pages += 1;
        before = page.next;
        if before.is_none() {
            return (found, pages);
        }
    }
}

async fn every_order_goes_on_where_the_last_page_ended_with_a_filter_and_without(bed: Bed) {
    let (cluster, elsewhere) = (bed.cluster().await, bed.cluster().await);
    let mut made = Vec::new();
    for (name, role, end) in [
        ("delta", Some(Role::View), Some(30)),
        ("Alpha", Some(Role::ClusterAdmin), None),
        ("echo", Some(Role::Edit), Some(10)),
        ("bravo", None, Some(10)),
        ("charlie", Some(Role::Admin), None),
        ("foxtrot", Role::named("log-reader").ok(), Some(20)),
        ("golf", Some(Role::View), None),
    ] {
        for on in [&elsewhere, &cluster] {
            let mut new = new_grant(on, group(name));
            (new.role, new.expires_at) = (role.clone(), end.map(later));
            made.push((name, bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap()));
        }
    }
    let gone = bed.grant(&cluster, group("aaa")).await;
    bed.store.end_grant(gone.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    work::settle(&bed, gone.id, false).await;
    for (order, expected) in [
        (GrantOrder::Newest, ["golf", "foxtrot", "charlie", "bravo", "echo", "Alpha", "delta"]),
        (GrantOrder::Name, ["Alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf"]),
        (GrantOrder::Role, ["Alpha", "charlie", "echo", "delta", "golf", "foxtrot", "bravo"]),
        (GrantOrder::End, ["echo", "bravo", "foxtrot", "delta", "Alpha", "charlie", "golf"]),
    ] {
        // All of them, and all but one, which a filter leaves out.
        for (text, expected) in [
            ("", expected.to_vec()),
            ("l", {
                let with_l = ["golf", "delta", "Alpha", "charlie"];
                expected.into_iter().filter(|name| with_l.contains(name)).collect()
            }),
        ] {
            let filter = GrantFilter { text: Some(text.into()), order, ..GrantFilter::default() };
            for limit in [1, 2, 3, 7, 50] {
                let (found, _) = all(&bed, &cluster, &filter, limit).await;
                let name = |id: &GrantId| made.iter().find(|(_, grant)| grant.id == *id).map(|(name, _)| *name);
                let names: Vec<&str> = found.iter().filter_map(name).collect();
                assert_eq!(names, expected, "{order:?} {text} {limit}");
            }
        }
        let foreign = made.iter().find(|(_, grant)| grant.scope.cluster() == elsewhere.id).unwrap().1.id;
        let filter = GrantFilter { order, ..GrantFilter::default() };
        let nothing = page(&bed, &cluster, &filter, Some(foreign), 5).await;
        assert!(nothing.rows.is_empty() && nothing.next.is_none(), "no page begins at another cluster's grant");
    }
}

async fn a_filter_looks_at_all_grants_window_by_window(bed: Bed) {
    let cluster = bed.cluster().await;
    let oldest = bed.grant(&cluster, group("the oldest")).await.id;
    many(&bed, &cluster, 20_500).await;
    let newest = bed.grant(&cluster, group("the newest")).await.id;
    let filter = GrantFilter { text: Some("the".into()), ..GrantFilter::default() };
    assert_eq!(all(&bed, &cluster, &filter, 50).await, (vec![newest, oldest], 3));
    let by_name = GrantFilter { order: GrantOrder::Name, ..filter };
    assert_eq!(all(&bed, &cluster, &by_name, 50).await, (vec![newest, oldest], 3));
    let counted = bed.store.count_grantees(&[cluster.id], NOW).await.unwrap();
    assert_eq!(counted, [(cluster.id, 0, 1000)]);
}

/// The shortest of many times that a first page takes, and the number of its rows: what else the machine does is no part of it.
/// The first ones do not count, since PostgreSQL makes its lasting plan only after them.
async fn shortest(bed: &Bed, cluster: &Cluster, order: GrantOrder) -> (std::time::Duration, usize) {
    let filter = GrantFilter { order, ..GrantFilter::default() };
    let (mut best, mut rows) = (std::time::Duration::MAX, 0);
    for n in 0..60 {
        let begun = std::time::Instant::now();
        rows = page(bed, cluster, &filter, None, 10).await.rows.len();
        if n >= 20 {
            best = best.min(begun.elapsed());
        }
    }
    (best, rows)
}

async fn shortest_look_up(bed: &Bed, cluster: &Cluster) -> std::time::Duration {
    let page = page(bed, cluster, &GrantFilter::default(), None, 10).await;
    let ids: Vec<GrantId> = page.rows.iter().map(|(grant, _)| grant.id).collect();
    let mut best = std::time::Duration::MAX;
    for _ in 0..20 {
        let begun = std::time::Instant::now();
        assert_eq!(bed.store.memories(cluster.id, &ids).await.unwrap().len(), 10);
        best = best.min(begun.elapsed());
    }
    best
}

/// Whether both cost the like: going through 30,000 grants for ten of them costs a hundred times as much, and a busy machine,
/// which may hold up every one of many short look-ups, far less.
fn alike(one: std::time::Duration, other: std::time::Duration) -> bool {
    one < other * 20 && other < one * 20
}

async fn a_small_clusters_page_costs_no_more_beside_a_large_one(bed: Bed) {
    let (small, large) = (bed.cluster().await, bed.cluster().await);
    // Older ones first, so that a plan that goes through all grants, newest first, finds the small cluster's last.
    for n in 0..10 {
        bed.grant(&small, group(&format!("g{n}"))).await;
    }
    many(&bed, &large, 30_000).await;
    // What stands on a cluster is looked up grant by grant. Without statistics, as a SQLite file has none.
    let (of_small, of_large) = (shortest_look_up(&bed, &small).await, shortest_look_up(&bed, &large).await);
    assert!(alike(of_small, of_large), "{of_small:?} beside {of_large:?}");
    bed.run("ANALYZE").await;
    for order in [GrantOrder::Newest, GrantOrder::Name, GrantOrder::Role, GrantOrder::End] {
        let (of_small, ten) = shortest(&bed, &small, order).await;
        let (of_large, also_ten) = shortest(&bed, &large, order).await;
        assert_eq!((ten, also_ten), (10, 10));
        assert!(alike(of_small, of_large), "{order:?}: {of_small:?} beside {of_large:?}");
    }
}

async fn people_and_groups_are_counted_once_each(bed: Bed) {
    let (cluster, empty) = (bed.cluster().await, bed.cluster().await);
    let bob = bed.person("bob").await;
    let add = async |grantee, role, expires_at| {
        let mut new = new_grant(&cluster, grantee);
        new.role = role;
        new.expires_at = expires_at;
        bed.store.add_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap()
    };
    add(Grantee::Person(bob.id), Some(Role::View), None).await;
    add(Grantee::Person(bob.id), Some(Role::Edit), None).await;
    add(Grantee::Email(provider("dex"), "new@example.com".parse().unwrap()), None, None).await;
    add(group("devs"), Some(Role::View), Some(later(10))).await;
    let ops = add(group("ops"), Some(Role::View), None).await;
    bed.store.end_grant(ops.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    let mut counted = bed.store.count_grantees(&[cluster.id, empty.id, ClusterId::new()], later(9)).await.unwrap();
    counted.sort_by_key(|(id, ..)| *id);
    assert_eq!(counted, [(cluster.id, 2, 1), (empty.id, 0, 0)]);
    let counted = bed.store.count_grantees(&[cluster.id], later(10)).await.unwrap();
    assert_eq!(counted, [(cluster.id, 2, 0)], "what has run out counts no more");
}

async fn a_person_is_reached_by_their_own_grants_and_their_providers_groups(bed: Bed) {
    let (one, two) = (bed.cluster().await, bed.cluster().await);
    let bob = bed.person("bob").await;
    let carol = bed.person("carol").await;
    let own = bed.grant(&one, Grantee::Person(bob.id)).await.id;
    let devs = bed.grant(&two, group("devs")).await.id;
    bed.grant(&one, Grantee::Person(carol.id)).await;
    bed.grant(&one, Grantee::Group(provider("other"), "devs".into())).await;
    bed.grant(&one, group("DEVS")).await;
    bed.grant(&one, Grantee::Email(provider("dex"), "carol@example.com".parse().unwrap())).await;
    let mut short = new_grant(&one, group("bob-team"));
    short.expires_at = Some(later(10));
    let short = bed.store.add_grant(&short, draft(Action::GrantAdded), NOW).await.unwrap().id;
    let ended = bed.grant(&two, Grantee::Person(bob.id)).await.id;
    bed.store.end_grant(ended, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    let reaching = async |cluster, now| {
        let grants = bed.store.grants_reaching(&bob, cluster, now).await.unwrap();
        grants.iter().map(|g| g.id).collect::<Vec<_>>()
    };
    assert_eq!(reaching(None, NOW).await, [short, devs, own]);
    assert_eq!(reaching(None, later(10)).await, [devs, own]);
    assert_eq!(reaching(Some(one.id), NOW).await, [short, own]);
}

async fn somebody_in_two_hundred_groups_is_reached_through_each(bed: Bed) {
    let cluster = bed.cluster().await;
    let mut bob = claims("bob");
    bob.groups = (0..200).map(|n| format!("g{n}")).chain(["g0".to_owned()]).collect();
    let bob = bed.signs_in(&bob).await;
    let mut granted = Vec::new();
    for n in [0, 31, 32, 33, 64, 150, 199] {
        granted.insert(0, bed.grant(&cluster, group(&format!("g{n}"))).await.id);
    }
    let reaching = bed.store.grants_reaching(&bob, None, NOW).await.unwrap();
    assert_eq!(reaching.iter().map(|g| g.id).collect::<Vec<_>>(), granted);
}
