//! Asking for access and answering: who may, and what strangers learn by trying.

use super::{
    grant_tests::Scene,
    testing::{Answer, NOW},
    tests::{audit, cluster},
};
use crate::{
    model::{
        access_request::{AccessRequest, RequestState, Wish},
        audit::Action,
        grant::{Grantee, Origin},
        id::{AccessRequestId, ClusterId},
        identity::Identity,
        role::Role,
    },
    store::NewRequest,
};

impl Scene {
    async fn ask(&self, cookie: &str, role: &str, namespaces: &str) -> Answer {
        let place = if namespaces.is_empty() { "cluster" } else { "namespaces" };
        let fields =
            [("role", role), ("where", place), ("namespaces", namespaces), ("lasts", "30d"), ("reason", "on call")];
        self.send(&format!("/clusters/{}/ask", self.cluster.id), cookie, &fields).await
    }

    /// What somebody asked for last.
    async fn last(&self, who: &Identity) -> AccessRequest {
        self.app.parts.store.requests_of(who.id, 1).await.unwrap().remove(0)
    }

    async fn approve(&self, request: &AccessRequest, cookie: &str, role: &str) -> Answer {
        let path = format!("/clusters/{}/requests/{}", self.cluster.id, request.id);
        let fields = [("role", role), ("where", "namespaces"), ("namespaces", "shop"), ("lasts", "7d")];
        self.send(&path, cookie, &fields).await
    }

    async fn decline(&self, request: &AccessRequest, cookie: &str, word: &str) -> Answer {
        let path = format!("/clusters/{}/requests/{}/decline", self.cluster.id, request.id);
        self.send(&path, cookie, &[("word", word)]).await
    }

    /// Somebody to whom the cluster is lent.
    async fn guest(&self, email: &str) -> (Identity, String) {
        let (guest, cookie) = self.app.sign_in(email, "dex").await;
        self.give_to(Grantee::Person(guest.id), Role::View, Origin::Manual).await;
        (guest, cookie)
    }
}

#[tokio::test]
async fn immune_29_a_stranger_learns_nothing_by_asking() {
    let scene = Scene::begin().await;
    let nowhere = format!("/clusters/{}/ask", ClusterId::new());
    let here = format!("/clusters/{}/ask", scene.cluster.id);
    let (unknown, known) =
        (scene.app.get(&nowhere, &scene.stranger).await, scene.app.get(&here, &scene.stranger).await);
    assert_eq!((unknown.status.as_u16(), known.status.as_u16()), (404, 404));
    let without_ids = |answer: &Answer| answer.body.split("<p class=\"small muted\">").next().unwrap().to_owned();
    assert_eq!(without_ids(&unknown), without_ids(&known), "one and the same page");
    let fields = [("role", "view"), ("where", "cluster"), ("lasts", "30d"), ("reason", "curious")];
    for path in [&nowhere, &here] {
        assert_eq!(scene.send(path, &scene.stranger, &fields).await.status, 404);
    }
    // Somebody of another provider is told no more.
    let (_, other) = scene.app.sign_in("eve@example.com", "corp").await;
    assert_eq!(scene.app.get(&here, &other).await.status, 404);
    assert!(scene.events(Action::RequestMade).await.is_empty());
    // Nor are the requests of others theirs to see.
    let (bob, guest) = scene.guest("bob@example.com").await;
    assert_eq!(scene.ask(&guest, "edit", "").await.status, 303);
    let request = scene.last(&bob).await;
    let (eve, theirs) = scene.app.sign_in("mallory@example.com", "dex").await;
    let other = cluster(&scene.app, &eve).await;
    for (path, cookie, status) in [
        (format!("/clusters/{}/requests/{}", scene.cluster.id, request.id), &scene.stranger, 403),
        (format!("/clusters/{}/requests/{}", scene.cluster.id, request.id), &scene.viewer, 403),
        (format!("/clusters/{}/requests/{}", scene.cluster.id, request.id), &guest, 403),
        (format!("/clusters/{}/requests/{}", other.id, request.id), &theirs, 404),
        (format!("/clusters/{}/requests/{}", scene.cluster.id, AccessRequestId::new()), &scene.owner, 404),
        (format!("/workspaces/{}/requests", scene.cluster.workspace), &scene.stranger, 403),
        (format!("/workspaces/{}/requests", scene.cluster.workspace), &scene.viewer, 403),
        (format!("/workspaces/{}/requests", scene.cluster.workspace), &scene.editor, 200),
    ] {
        let answer = scene.app.get(&path, cookie).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let withdraw = format!("/shared/requests/{}/withdraw", request.id);
    assert_eq!(scene.send(&withdraw, &scene.stranger, &[]).await.status, 404);
    assert_eq!(scene.last(&bob).await.state, RequestState::Pending);
}

#[tokio::test]
async fn immune_28_who_asks_gives_themselves_nothing_and_who_answers_gives_no_more_than_they_may() {
    let scene = Scene::begin().await;
    let (bob, guest) = scene.guest("bob@example.com").await;
    assert_eq!(scene.ask(&guest, "cluster-admin", "").await.status, 303);
    let asked = scene.last(&bob).await;
    for cookie in [&guest, &scene.viewer, &scene.stranger] {
        for answer in [scene.approve(&asked, cookie, "view").await, scene.decline(&asked, cookie, "no").await] {
            assert_eq!(answer.status, 403, "{}", answer.body);
        }
    }
    // Not what was asked for, but what they may give.
    for role in ["cluster-admin", "role:cluster-admin"] {
        let answer = scene.approve(&asked, &scene.editor, role).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(answer.body.contains("only owners of the workspace give cluster-admin"), "{}", answer.body);
    }
    assert_eq!(scene.last(&bob).await, asked);
    let page = scene.app.get(&format!("/clusters/{}/requests/{}", scene.cluster.id, asked.id), &scene.editor).await;
    assert!(page.body.contains("bob@example.com asks for access"), "{}", page.body);
    assert_eq!(scene.approve(&asked, &scene.editor, "edit").await.status, 303);
    let RequestState::Approved(grant) = scene.last(&bob).await.state else { panic!("it is not approved") };
    let grant = scene.look(grant).await;
    assert_eq!((grant.role, grant.scope.in_words().as_str()), (Some(Role::Edit), "namespace shop"));
    let told = scene.events(Action::RequestApproved).await;
    assert!(told[0].starts_with("bob@example.com: edit on namespace shop until 2026-11-30"), "{told:?}");
    // Once is once.
    for answer in [scene.approve(&asked, &scene.owner, "view").await, scene.decline(&asked, &scene.owner, "").await] {
        assert_eq!(answer.status, 409, "{}", answer.body);
        assert!(answer.body.contains("It has been answered already"), "{}", answer.body);
        assert!(answer.body.contains(&format!("href=\"/workspaces/{}/requests\"", scene.cluster.workspace)));
    }
    let role = ["cluster-admin", "admin"].map(|role| format!(">{role}</option>"));
    let ask = scene.app.get(&format!("/clusters/{}/ask", scene.cluster.id), &guest).await;
    assert!(role.iter().all(|role| ask.body.contains(role)) && !ask.body.contains("You give access here yourself"));
}

#[tokio::test]
async fn who_manages_the_cluster_answers_their_own_and_is_told_that_it_is() {
    let scene = Scene::begin().await;
    assert!(
        scene
            .app
            .get(&format!("/clusters/{}/ask", scene.cluster.id), &scene.editor)
            .await
            .body
            .contains("You give access here yourself")
    );
    assert_eq!(scene.ask(&scene.editor, "edit", "shop").await.status, 303);
    let (editor, _) = scene.app.sign_in("editor@example.com", "dex").await;
    let own = scene.last(&editor).await;
    let page = scene.app.get(&format!("/clusters/{}/requests/{}", scene.cluster.id, own.id), &scene.editor).await;
    assert!(page.body.contains("This is your own request"), "{}", page.body);
    assert_eq!(scene.approve(&own, &scene.editor, "edit").await.status, 303);
    // A viewer asks like anybody else, and answers nothing.
    assert_eq!(scene.ask(&scene.viewer, "edit", "shop").await.status, 303);
    let (viewer, _) = scene.app.sign_in("viewer@example.com", "dex").await;
    let own = scene.last(&viewer).await;
    assert_eq!(scene.approve(&own, &scene.viewer, "edit").await.status, 403);
    let word = "ask the team first";
    assert_eq!(scene.decline(&own, &scene.editor, "two\nlines").await.status, 422);
    assert_eq!(scene.decline(&own, &scene.editor, word).await.status, 303);
    let shared = scene.app.get("/shared", &scene.viewer).await;
    assert!(shared.body.contains(word) && !shared.body.contains("Take back<"), "{}", shared.body);
}

#[tokio::test]
async fn what_waits_is_bounded_said_and_taken_back() {
    let scene = Scene::begin().await;
    let (bob, guest) = scene.guest("bob@example.com").await;
    assert_eq!(scene.ask(&guest, "root", "").await.status, 422);
    let twice = async || scene.ask(&guest, "edit", "").await;
    assert_eq!(twice().await.status, 303);
    let again = twice().await;
    assert!(again.status == 422 && again.body.contains("You have asked for exactly this already"), "{}", again.body);
    for namespaces in ["shop", "payments"] {
        assert_eq!(scene.ask(&guest, "edit", namespaces).await.status, 303);
    }
    let more = scene.ask(&guest, "admin", "").await;
    assert!(more.status == 422 && more.body.contains("You have 3 requests that wait on one cluster"), "{}", more.body);
    let access = scene.app.get(&format!("/clusters/{}/access", scene.cluster.id), &scene.editor).await;
    assert!(access.body.contains("3 requests for access wait."), "{}", access.body);
    let viewed = scene.app.get(&format!("/clusters/{}/access", scene.cluster.id), &scene.viewer).await;
    assert!(!viewed.body.contains("requests for access wait"), "{}", viewed.body);
    let last = scene.last(&bob).await;
    for _ in 0..2 {
        let withdraw = format!("/shared/requests/{}/withdraw", last.id);
        assert_eq!(scene.send(&withdraw, &guest, &[]).await.status, 303, "twice is once");
    }
    assert_eq!(scene.events(Action::RequestWithdrawn).await.len(), 1);
    assert_eq!(scene.decline(&last, &scene.owner, "").await.status, 409);
    // What is over is answered by nobody, whether the loop has been there or not.
    let wish = Wish { role: Role::Admin, ..last.wish };
    let over = NewRequest { id: AccessRequestId::new(), by: bob.id, wish, until: NOW };
    scene.app.parts.store.add_request(&over, audit(), NOW).await.unwrap();
    assert_eq!(scene.approve(&scene.last(&bob).await, &scene.owner, "view").await.status, 409);
}
