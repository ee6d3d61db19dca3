//! What happened, looked through: by whom, what, when and where.

use std::fmt::Write;

use kubelend::{
    model::{audit::Action, id::AuditEventId},
    store::{AuditDraft, StoreError, Trail, TrailFilter},
};

use super::bed::{Bed, draft, later};

both!(a_trail_is_read_page_by_page_and_filtered, a_filter_goes_on_window_by_window,);

/// An event on a cluster of its own by somebody.
async fn happens(bed: &Bed, who: &str, action: Action, at: u64) -> AuditEventId {
    let cluster = bed.cluster().await;
    let event = AuditDraft { actor_name: who.into(), ..draft(action) };
    let name = "renamed".parse().unwrap();
    bed.store.rename_cluster(cluster.id, &name, event, later(at)).await.unwrap();
    bed.store.audit_of_cluster(cluster.id, None, 1).await.unwrap()[0].id
}

async fn found(bed: &Bed, of: Trail, filter: &TrailFilter) -> Vec<AuditEventId> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = bed.store.trail(of, filter, before, 2).await.unwrap();
        all.extend(page.events.iter().map(|event| event.id));
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

async fn a_trail_is_read_page_by_page_and_filtered(bed: Bed) {
    let bob = happens(&bed, "Bob_Smith@example.com", Action::LinkCreated, 100).await;
    let late = happens(&bed, "Kubelend", Action::GrantExpired, 300).await;
    // Written last and at the same moment as another: its id decides.
    let also = happens(&bed, "carol", Action::DeviceApart, 300).await;
    let all = TrailFilter::default();
    assert_eq!(found(&bed, Trail::All, &all).await[..3], [also, late, bob]);
    let by = |who: &str| TrailFilter { actor: who.into(), ..TrailFilter::default() };
    let what = |action| TrailFilter { action: Some(action), ..TrailFilter::default() };
    let about = |noun| TrailFilter { about: Some(noun), ..TrailFilter::default() };
    let between = |from, to| TrailFilter { from: Some(later(from)), to: Some(later(to)), ..TrailFilter::default() };
    for (filter, expected) in [
        (by(" b_smith@EXAMPLE "), vec![bob]),
        (by("bxsmith"), vec![]),
        (by("a\0"), vec![]),
        (what(Action::DeviceApart), vec![also]),
        (about("grant"), vec![late]),
        (between(100, 300), vec![bob]),
        (between(300, 301), vec![also, late]),
        (TrailFilter { actor: "carol".into(), ..between(1, 400) }, vec![also]),
    ] {
        assert_eq!(found(&bed, Trail::All, &filter).await, expected, "{filter:?}");
    }
    let here = bed.store.trail(Trail::All, &by("carol"), None, 1).await.unwrap().events.remove(0);
    let (workspace, cluster) = (Trail::Workspace(here.workspace.unwrap()), Trail::Cluster(here.cluster.unwrap()));
    for of in [workspace, cluster] {
        assert_eq!(found(&bed, of, &all).await.len(), 2, "added and renamed");
        assert_eq!(found(&bed, of, &between(300, 301)).await, [also]);
        assert_eq!(found(&bed, of, &by("bob")).await, []);
    }
    let unknown = bed.store.trail(Trail::All, &all, Some(AuditEventId::new()), 2).await;
    assert!(matches!(unknown, Err(StoreError::NotFound)));
}

async fn a_filter_goes_on_window_by_window(bed: Bed) {
    let bob = happens(&bed, "bob", Action::LinkCreated, 1).await;
    let of = bed.store.trail(Trail::All, &TrailFilter { actor: "bob".into(), ..TrailFilter::default() }, None, 1).await;
    let cluster = of.unwrap().events[0].cluster.unwrap();
    let mut sql = String::from("BEGIN;");
    for n in 0..10_500 {
        if n % 500 == 0 {
            sql.push_str("INSERT INTO audit_events (id, at, actor_name, action, cluster_id, target) VALUES ");
        }
        let (id, at, end) = (AuditEventId::new(), later(5).millis() + n, if n % 500 == 499 { ";" } else { "," });
        write!(sql, "('{id}', {at}, 'many', 'grant.added', '{cluster}', 'x'){end}").unwrap();
    }
    sql.push_str("COMMIT;");
    bed.run(&sql).await;
    let filter = TrailFilter { actor: "bob".into(), ..TrailFilter::default() };
    for of in [Trail::All, Trail::Cluster(cluster)] {
        let first = bed.store.trail(of, &filter, None, 2).await.unwrap();
        assert!(first.events.is_empty() && first.next.is_some());
        assert_eq!(found(&bed, of, &filter).await, [bob]);
    }
}
