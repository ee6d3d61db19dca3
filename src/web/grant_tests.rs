//! Changing and extending what was given: who may, and what the others are told.

use std::time::Duration;

use super::{
    testing::{Answer, NOW, TestApp},
    tests::{audit, cluster},
};
use crate::{
    model::{
        audit::Action,
        cluster::Cluster,
        federation::WideScope,
        grant::{EndReason, Grant, Grantee, Origin},
        id::{FederatedGrantId, GrantId, IdentityId, ShareLinkId},
        role::Role,
        scope::Scope,
        time::Timestamp,
        workspace::{Member, MemberRole},
    },
    store::{AuditDraft, GrantFilter, NewFederatedGrant, NewGrant},
};

const DAY: Duration = Duration::from_hours(24);

/// An owner, an editor, a viewer and a stranger of a cluster that cannot be reached.
pub(super) struct Scene {
    pub(super) app: TestApp,
    pub(super) cluster: Cluster,
    pub(super) owner: String,
    pub(super) editor: String,
    pub(super) viewer: String,
    pub(super) stranger: String,
}

impl Scene {
    pub(super) async fn begin() -> Self {
        let app = TestApp::with_providers(&["dex"]).await;
        let (who, owner) = app.sign_in("owner@example.com", "dex").await;
        let cluster = cluster(&app, &who).await;
        let (editing, editor) = app.sign_in("editor@example.com", "dex").await;
        let (viewing, viewer) = app.sign_in("viewer@example.com", "dex").await;
        let (_, stranger) = app.sign_in("stranger@example.com", "dex").await;
        for (person, role) in [(editing.id, MemberRole::Editor), (viewing.id, MemberRole::Viewer)] {
            app.member(&cluster, who.id, person, role).await;
        }
        Self { app, cluster, owner, editor, viewer, stranger }
    }

    async fn give(&self, group: &str, role: Role, origin: Origin) -> Grant {
        self.give_to(Grantee::Group("dex".parse().unwrap(), group.into()), role, origin).await
    }

    pub(super) async fn give_to(&self, grantee: Grantee, role: Role, origin: Origin) -> Grant {
        let new = NewGrant {
            id: GrantId::new(),
            grantee,
            role: Some(role),
            scope: Scope::Cluster(self.cluster.id),
            expires_at: Some(NOW.plus(DAY)),
            reason: None,
            origin,
            created_by: self.cluster.created_by,
            vouch: None,
        };
        self.app.parts.store.add_grant(&new, audit(), NOW).await.unwrap()
    }

    fn path(&self, grant: GrantId) -> String {
        format!("/clusters/{}/access/{grant}", self.cluster.id)
    }

    /// Sends a form with the token of this session.
    pub(super) async fn send(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.app.get("/shared", cookie).await.csrf();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &csrf).extend_pairs(fields);
        self.app.post(path, cookie, &form.finish()).await
    }

    async fn extend(&self, grant: &Grant, cookie: &str) -> Answer {
        let from = grant.expires_at.unwrap().millis().to_string();
        self.send(&format!("{}/extend", self.path(grant.id)), cookie, &[("from", &from), ("by", "30d")]).await
    }

    async fn change(&self, grant: GrantId, cookie: &str, role: &str, namespaces: &str, expires: &str) -> Answer {
        let place = if namespaces.is_empty() { "cluster" } else { "namespaces" };
        let fields =
            [("role", role), ("where", place), ("namespaces", namespaces), ("expires", expires), ("reason", "on call")];
        self.send(&self.path(grant), cookie, &fields).await
    }

    pub(super) async fn look(&self, id: GrantId) -> Grant {
        self.app.parts.store.grant(id).await.unwrap().0
    }

    pub(super) async fn events(&self, action: Action) -> Vec<String> {
        let all = self.app.parts.store.audit_of_cluster(self.cluster.id, None, 100).await.unwrap();
        all.into_iter().filter(|event| event.action == action).map(|event| event.target).collect()
    }

    async fn live(&self) -> usize {
        let page = self.app.parts.store.grants_of_cluster(self.cluster.id, &GrantFilter::default(), None, 50).await;
        page.unwrap().rows.iter().filter(|(grant, _)| grant.ended.is_none()).count()
    }
}

fn draft(action: Action) -> AuditDraft {
    AuditDraft { action, ..audit() }
}

impl TestApp {
    async fn member(&self, on: &Cluster, by: IdentityId, who: IdentityId, role: MemberRole) {
        let member = Member { who: Grantee::Person(who), role, since: NOW, by };
        self.parts.store.add_member(on.workspace, &member, draft(Action::MemberAdded), NOW).await.unwrap();
    }
}

#[tokio::test]
async fn immune_28_an_editor_changes_no_grant_that_they_could_not_give_and_makes_none_of_one_that_they_could() {
    let scene = Scene::begin().await;
    let crown = scene.give("crown", Role::ClusterAdmin, Origin::Manual).await;
    let plain = scene.give("plain", Role::View, Origin::Manual).await;
    // What only owners give is neither made weaker (which would be another grant of theirs), nor longer, nor worded anew.
    for answer in [
        scene.extend(&crown, &scene.editor).await,
        scene.change(crown.id, &scene.editor, "view", "", "keep").await,
        scene.change(crown.id, &scene.editor, "cluster-admin", "", "365d").await,
    ] {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.body.contains("This role is for owners to give"), "{}", answer.body);
    }
    let page = scene.app.get(&scene.path(crown.id), &scene.editor).await;
    assert!(page.status == 200 && !page.body.contains(">Save<") && !page.body.contains(">Extend<"), "{}", page.body);
    for role in ["cluster-admin", "role:cluster-admin"] {
        let answer = scene.change(plain.id, &scene.editor, role, "", "keep").await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(answer.body.contains("only owners of the workspace give cluster-admin"), "{}", answer.body);
        assert!(answer.body.contains("value=\"on call\""), "nothing typed is lost");
    }
    assert_eq!((scene.look(crown.id).await, scene.look(plain.id).await), (crown.clone(), plain.clone()));
    assert_eq!(scene.events(Action::GrantChanged).await.len() + scene.events(Action::GrantExtended).await.len(), 0);
    // Of what is theirs to give, they move the end and change the words.
    assert_eq!(scene.extend(&plain, &scene.editor).await.status, 303);
    assert_eq!(scene.look(plain.id).await.expires_at, Some(NOW.plus(DAY * 31)));
    let told = scene.events(Action::GrantExtended).await;
    assert!(
        told.len() == 1 && told[0].starts_with("group plain: view on the whole cluster until 2026-12-24"),
        "{told:?}"
    );
    assert_eq!(scene.change(plain.id, &scene.editor, "view", "", "keep").await.status, 303);
    assert_eq!(scene.look(plain.id).await.reason.unwrap().as_str(), "on call");
}

#[tokio::test]
async fn immune_28_whoever_may_not_manage_access_changes_nothing_and_learns_nothing() {
    let scene = Scene::begin().await;
    let grant = scene.give("devs", Role::View, Origin::Manual).await;
    for cookie in [&scene.viewer, &scene.stranger] {
        assert_eq!(scene.app.get(&scene.path(grant.id), cookie).await.status, 403);
        assert_eq!(scene.extend(&grant, cookie).await.status, 403);
        assert_eq!(scene.change(grant.id, cookie, "edit", "", "keep").await.status, 403);
    }
    assert_eq!(scene.look(grant.id).await, grant);
    // Nor do those who manage another cluster reach it by way of theirs.
    let (eve, theirs) = scene.app.sign_in("eve@example.com", "dex").await;
    let other = cluster(&scene.app, &eve).await;
    let foreign = format!("/clusters/{}/access/{}", other.id, grant.id);
    let fields = [("role", "edit"), ("where", "cluster"), ("expires", "keep")];
    let from = grant.expires_at.unwrap().millis().to_string();
    for answer in [
        scene.app.get(&foreign, &theirs).await,
        scene.send(&foreign, &theirs, &fields).await,
        scene.send(&format!("{foreign}/extend"), &theirs, &[("from", &from), ("by", "30d")]).await,
        scene.app.get(&scene.path(GrantId::new()), &scene.owner).await,
        scene.send(&scene.path(GrantId::new()), &scene.owner, &fields).await,
    ] {
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert!(answer.body.contains("There is nothing here"), "{}", answer.body);
    }
    assert_eq!(scene.look(grant.id).await, grant);
}

#[tokio::test]
async fn immune_20_what_has_ended_is_neither_changed_nor_extended_and_the_page_says_where_to_go() {
    let scene = Scene::begin().await;
    let taken = scene.give("taken", Role::View, Origin::Manual).await;
    scene.app.parts.store.end_grant(taken.id, EndReason::Revoked, audit(), NOW).await.unwrap();
    let over = scene.give("over", Role::View, Origin::Manual).await;
    scene.app.parts.clock.set(NOW.plus(DAY));
    let (_, owner) = scene.app.sign_in("owner@example.com", "dex").await;
    for grant in [&taken, &over] {
        for answer in [
            scene.app.get(&scene.path(grant.id), &owner).await,
            scene.extend(grant, &owner).await,
            scene.change(grant.id, &owner, "edit", "", "30d").await,
            scene.change(grant.id, &owner, "view", "", "never").await,
        ] {
            assert_eq!(answer.status, 409, "{}", answer.body);
            let next = format!("href=\"/clusters/{}/access\">See who has access", scene.cluster.id);
            assert!(answer.body.contains(&next), "{}", answer.body);
        }
    }
    assert_eq!(scene.look(over.id).await, over);
}

#[tokio::test]
async fn immune_28_what_a_link_or_a_wide_grant_gave_keeps_its_role_and_place() {
    let scene = Scene::begin().await;
    let by_link = scene.give("guests", Role::View, Origin::Link(ShareLinkId::new())).await;
    // Whatever is sent besides, its end and reason alone change.
    assert_eq!(scene.change(by_link.id, &scene.owner, "admin", "shop", "30d").await.status, 303);
    let now = scene.look(by_link.id).await;
    assert_eq!((now.role, now.scope, now.origin), (by_link.role.clone(), by_link.scope.clone(), by_link.origin));
    assert_eq!(now.expires_at, Some(NOW.plus(DAY * 30)));
    assert_eq!(scene.live().await, 1);

    let wide = NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope: WideScope::Workspace(scene.cluster.workspace),
        namespaces: Vec::new(),
        grantee: Grantee::Group("dex".parse().unwrap(), "everywhere".into()).into(),
        role: Role::View,
        expires_at: Some(NOW.plus(DAY)),
        reason: None,
        created_by: scene.cluster.created_by,
    };
    scene.app.parts.store.add_federated_grant(&wide, audit(), NOW).await.unwrap();
    let placed = scene.app.parts.store.placements(wide.id, 5).await.unwrap().remove(0).grant;
    for answer in
        [scene.change(placed.id, &scene.owner, "admin", "", "keep").await, scene.extend(&placed, &scene.owner).await]
    {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.body.contains("It is changed where it came from"), "{}", answer.body);
    }
    let page = scene.app.get(&scene.path(placed.id), &scene.owner).await;
    assert!(page.body.contains(&format!("href=\"/federated/{}\"", wide.id)), "{}", page.body);
    // There it is extended, on all clusters, by who may.
    let from = wide.expires_at.map(Timestamp::millis).unwrap().to_string();
    let there = format!("/federated/{}/extend", wide.id);
    for (cookie, status) in [(&scene.stranger, 403), (&scene.viewer, 403), (&scene.editor, 303), (&scene.editor, 303)] {
        let answer = scene.send(&there, cookie, &[("from", &from), ("by", "7d")]).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(scene.look(placed.id).await.expires_at, Some(NOW.plus(DAY * 8)), "sent twice it moves once");
}

#[tokio::test]
async fn a_change_that_is_sent_twice_is_made_once() {
    let scene = Scene::begin().await;
    let grant = scene.give("devs", Role::View, Origin::Manual).await;
    let made = async || {
        let answer = scene.change(grant.id, &scene.owner, "edit", "shop", "30d").await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location().to_owned()
    };
    let first = made().await;
    scene.app.parts.clock.set(NOW.plus(Duration::from_secs(2)));
    assert_eq!(made().await, first, "and leads to the same");
    assert_eq!((scene.live().await, scene.events(Action::GrantChanged).await.len()), (1, 1));
    let told = scene.events(Action::GrantChanged).await.remove(0);
    assert!(told.starts_with("group devs: edit on namespace shop until 2026-12-23"), "{told}");
    assert!(told.ends_with(", was view on the whole cluster until 2026-11-24T00:00:00Z (“on call”)"), "{told}");
    // Somebody else's other wish finds it gone.
    assert_eq!(scene.change(grant.id, &scene.owner, "admin", "shop", "30d").await.status, 409);
    let same = scene.give("devs", Role::View, Origin::Manual).await;
    let answer = scene.change(same.id, &scene.owner, "edit", "shop", "7d").await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("They have exactly this already"), "{}", answer.body);
}
