//! The matrix over weeks: access that comes and goes on a clock that the test sets, asked about afterwards.

use std::{sync::Arc, time::Duration};

use super::{
    testing::{NOW, TestApp},
    tests::{audit, cluster},
};
use crate::{
    access::Gate,
    model::{
        cluster::{Cluster, Removal},
        grant::{EndReason, Grantee, Origin},
        id::GrantId,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    policy::{PersonRule, Policy},
    store::NewGrant,
};

const DAY: Duration = Duration::from_hours(24);

/// An app whose platform admin is root@example.com.
async fn app() -> TestApp {
    TestApp::with(&["dex"], |parts| {
        let root = PersonRule::VerifiedEmail("dex".parse().unwrap(), "root@example.com".parse().unwrap());
        let policy = Policy { platform_admins: vec![root], ..Policy::default() };
        parts.gate = Gate::new(parts.store.clone(), Arc::new(policy), parts.clock.clone());
    })
    .await
}

impl TestApp {
    /// That day, and the owner's session of it.
    async fn on_day(&self, at: Timestamp) -> String {
        self.parts.clock.set(at);
        self.sign_in("owner@example.com", "dex").await.1
    }

    async fn give(&self, on: &Cluster, grantee: Grantee, role: Option<Role>, at: Timestamp) -> GrantId {
        let new = NewGrant {
            id: GrantId::new(),
            grantee,
            role,
            scope: Scope::Namespaces(on.id, vec!["shop".parse().unwrap()]),
            expires_at: None,
            reason: None,
            origin: Origin::Manual,
            created_by: on.created_by,
            vouch: None,
        };
        self.parts.store.add_grant(&new, audit(), at).await.unwrap().id
    }

    /// The page's table and the lines of the file, for this question.
    async fn both(&self, place: &str, question: &str, cookie: &str) -> (String, Vec<String>) {
        let page = self.get(&format!("{place}{question}"), cookie).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let file = self.get(&format!("{place}.csv{question}"), cookie).await;
        assert_eq!(file.status, 200);
        assert!(file.headers["content-type"].to_str().unwrap().starts_with("text/csv"), "{:?}", file.headers);
        let lines = file.body.split_terminator("\r\n").skip(1).map(str::to_owned).collect();
        let table = page.body.split("<tbody>").nth(1).unwrap_or_default();
        (table.split("</tbody>").next().unwrap_or_default().to_owned(), lines)
    }
}

#[tokio::test]
async fn who_could_reach_a_cluster_is_told_for_any_day_also_after_it_has_gone() {
    let app = app().await;
    let begin = NOW.minus(DAY * 10);
    app.parts.clock.set(begin);
    let (owner, _) = app.sign_in("owner@example.com", "dex").await;
    let (bob, _) = app.sign_in("bob@example.com", "dex").await;
    let cluster = cluster(&app, &owner).await;
    let place = format!("/workspaces/{}/matrix", cluster.workspace);
    app.parts.store.begin_record(begin).await.unwrap();
    // Sessions go by the system's clock, so all of this is in the past. Without a role nothing is bound, so no cluster has to follow.
    let bobs = app.give(&cluster, Grantee::Person(bob.id), None, begin).await;
    let formula = Grantee::Group("dex".parse().unwrap(), "=HYPERLINK(1)".into());
    app.give(&cluster, formula, Some(Role::Edit), begin.plus(DAY)).await;
    let later = |days: u32| begin.plus(DAY * days);
    app.parts.store.end_grant(bobs, EndReason::Revoked, audit(), later(2)).await.unwrap();

    let cookie = app.on_day(later(3)).await;
    let (table, lines) = app.both(&place, "", &cookie).await;
    assert!(table.contains("=HYPERLINK(1)</a>") && !table.contains("bob@"), "{table}");
    assert!(table.contains("class=\"tag edit part\">edit<i>namespace shop, by hand, since 14 Nov 2026"), "{table}");
    assert_eq!(
        lines,
        ["Group,'=HYPERLINK(1),dex,staging,Workspace,edit,namespaces,shop,2026-11-14T00:00:00Z,,,by hand"],
        "a spreadsheet runs nothing of it"
    );
    let (table, lines) = app.both(&place, "?at=2026-11-13", &cookie).await;
    assert!(table.contains("bob@example.com</a>") && !table.contains("HYPERLINK"), "{table}");
    assert_eq!(
        lines,
        ["Person,bob@example.com,dex,staging,Workspace,no role,namespaces,shop,2026-11-13T00:00:00Z,,\
          taken back 2026-11-15T00:00:00Z,by hand"]
    );
    let found = app.both(&place, "?at=2026-11-14&q=BOB", &cookie).await;
    assert!(found.0.contains("bob@example.com</a>") && !found.0.contains("HYPERLINK"), "{}", found.0);
    assert_eq!(found.1.len(), 1);

    // A cell and a row say what they are made of.
    let cell = table.split("href=\"matrix/").nth(2).unwrap().split('"').next().unwrap();
    assert_eq!(cell, format!("{bobs}?at=2026-11-13"));
    let page = app.get(&format!("{place}/{cell}"), &cookie).await;
    for wanted in ["bob@example.com on staging", "namespace shop", "taken back 15 Nov 2026", "All that they can reach"]
    {
        assert!(page.body.contains(wanted), "{wanted}: {}", page.body);
    }
    assert_eq!(app.get(&format!("{place}/{cell}&all=yes"), &cookie).await.status, 200);
    assert_eq!(app.get(&format!("{place}/{bobs}"), &cookie).await.status, 404, "today he holds nothing");

    // The cluster goes, and what was is still told; before the record began it says so.
    app.parts.store.ask_removal(cluster.id, Removal::Leave, audit(), later(3)).await.unwrap();
    assert_eq!(app.parts.store.finish_removals(later(3), Duration::ZERO).await.unwrap(), 1);
    let cookie = app.on_day(later(5)).await;
    assert!(app.get(&place, &cookie).await.body.contains("<h3>No cluster</h3>"));
    let (table, lines) = app.both(&place, "?at=2026-11-14", &cookie).await;
    assert!(table.contains("bob@example.com</a>") && table.contains("HYPERLINK"), "{table}");
    assert!(lines[0].contains("ended with its cluster 2026-11-16T00:00:00Z"), "{lines:?}");
    let before = app.get(&format!("{place}?at=2026-11-01"), &cookie).await.body;
    assert!(before.contains("The record begins on 13 Nov 2026"), "{before}");
    let wrong = app.get(&format!("{place}?at=soon"), &cookie).await.body;
    assert!(wrong.contains("Write a day as 2026-11-01.") && wrong.contains("value=\"soon\""), "{wrong}");
}

#[tokio::test]
async fn immune_28_only_who_may_look_at_access_sees_the_matrix_and_has_the_file() {
    let app = app().await;
    let (owner, owners) = app.sign_in("owner@example.com", "dex").await;
    let cluster = cluster(&app, &owner).await;
    let grant = app.give(&cluster, Grantee::Person(owner.id), None, NOW).await;
    let (_, roots) = app.sign_in("root@example.com", "dex").await;
    let (_, strangers) = app.sign_in("mallory@example.com", "dex").await;
    let inside = format!("/workspaces/{}", cluster.workspace);
    for page in ["/matrix".to_owned(), "/matrix.csv".into(), format!("/matrix/{grant}")] {
        assert_eq!(app.get(&format!("{inside}{page}"), &owners).await.status, 200, "{page}");
        assert_eq!(app.get(&page, &roots).await.status, 200, "{page}");
        for (page, cookie) in [(&page, &owners), (&page, &strangers), (&format!("{inside}{page}"), &strangers)] {
            let answer = app.get(page, cookie).await;
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{page}: {}", answer.status);
            assert!(!answer.body.contains("staging"), "{page}: {}", answer.body);
        }
    }
    // A grant of one workspace opens nothing in another.
    let (other, others) = app.sign_in("other@example.com", "dex").await;
    let elsewhere = self::cluster(&app, &other).await;
    let page = app.get(&format!("/workspaces/{}/matrix/{grant}", elsewhere.workspace), &others).await;
    assert_eq!(page.status, 404);
    let all = app.get("/matrix.csv", &roots).await.body;
    assert_eq!(all.lines().count(), 2, "{all}");
}

#[tokio::test]
async fn immune_28_platform_admins_look_through_all_that_happened_and_nobody_else_does() {
    let app = app().await;
    let (owner, owners) = app.sign_in("owner@example.com", "dex").await;
    let cluster = cluster(&app, &owner).await;
    let (_, roots) = app.sign_in("root@example.com", "dex").await;
    for page in ["/activity", "/activity.csv"] {
        assert_eq!(app.get(page, &owners).await.status, 403, "{page}");
        assert_eq!(app.get(page, "").await.status, 303, "{page}");
    }
    let all = app.get("/activity", &roots).await.body;
    assert!(all.contains("<strong>root@example.com</strong> signed in"), "{all}");
    assert!(all.contains(&format!("<a href=\"/clusters/{}\">staging</a>", cluster.id)), "{all}");
    let found = app.get("/activity?who=ROOT&what=session&from=2026-11-23&until=2026-11-23", &roots).await.body;
    assert!(found.contains("<strong>root@example.com</strong>"), "{found}");
    assert!(!found.contains("<strong>owner@example.com</strong>"), "{found}");
    let none = app.get("/activity?from=2026-11-24", &roots).await.body;
    assert!(none.contains("<h3>Nothing fits</h3>"), "{none}");
    let file = app.get("/activity.csv?what=session.signed_in", &roots).await.body;
    let lines: Vec<&str> = file.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "Time,Who,Action,What,Cluster,Workspace,Request");
    assert_eq!(lines.len(), 3, "{file}");
    assert!(lines.iter().skip(1).all(|line| line.contains(",session.signed_in,")), "{file}");
    // On one cluster and in one workspace the same is looked through.
    let here = app.get(&format!("/clusters/{}/activity?who=nobody", cluster.id), &owners).await.body;
    assert!(here.contains("<h3>Nothing fits</h3>"), "{here}");
    let here = app.get(&format!("/workspaces/{}/activity?what=link", cluster.workspace), &owners).await.body;
    assert!(here.contains("made a share link:") && !here.contains("Nothing fits"), "{here}");
}
