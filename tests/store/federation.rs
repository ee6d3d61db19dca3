//! Federated grants and projects: what they are written out as, whatever changes and in whatever order.

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, Removal},
        federation::WideScope,
        grant::{EndReason, GrantState, Grantee, Origin},
        id::{FederatedGrantId, IdentityId, ProjectId},
        project::{Labels, Placement, Project, Takes},
        reason::Reason,
        role::Role,
    },
    store::{GrantFilter, NewFederatedGrant, NewProject, PlacementCounts, StoreError},
};

use super::bed::{Bed, NOW, claims, draft, later, provider};

both!(
    a_global_grant_reaches_every_cluster_and_those_that_join,
    a_workspace_grant_reaches_its_clusters_and_no_others,
    a_project_grant_follows_its_placement_and_the_labels,
    what_is_wanted_twice_is_refused_and_what_ended_may_come_again,
    an_end_takes_back_everything_once,
    a_federated_grant_expires_with_all_that_it_was_written_out_as,
    a_cluster_and_a_grant_that_come_at_the_same_moment_find_each_other,
    a_cluster_on_its_way_out_gets_nothing_new,
    immune_32_an_address_becomes_the_person_on_every_cluster_and_later_ones_too,
    immune_32_an_address_with_two_holders_becomes_nobody,
    immune_32_a_grant_to_the_person_takes_the_place_of_one_to_their_address,
    a_removed_project_leaves_nothing_that_lives,
    names_and_numbers_of_projects_have_limits,
);

fn devs() -> Grantee {
    Grantee::Group(provider("dex"), "devs".into())
}

fn new(scope: WideScope, grantee: Grantee, by: IdentityId) -> NewFederatedGrant {
    NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope,
        namespaces: Vec::new(),
        grantee: grantee.into(),
        role: Role::View,
        expires_at: None,
        reason: Reason::read("on call").unwrap(),
        created_by: by,
    }
}

impl Bed {
    async fn federated(&self, scope: WideScope, by: IdentityId) -> FederatedGrantId {
        let new = new(scope, devs(), by);
        self.store.add_federated_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap().id
    }

    /// The live grants of a cluster that came from a federated one: where they reach, in words.
    async fn written_out(&self, cluster: &Cluster) -> Vec<(FederatedGrantId, String)> {
        let page = self.store.grants_of_cluster(cluster.id, &GrantFilter::default(), None, 100).await.unwrap();
        let mut found: Vec<_> = page
            .rows
            .into_iter()
            .filter(|(grant, _)| grant.ended.is_none())
            .filter_map(|(grant, _)| match grant.origin {
                Origin::Federated(id) => Some((id, grant.scope.in_words())),
                Origin::Manual | Origin::Owner | Origin::Link(_) | Origin::Request(_) | Origin::File(_) => None,
            })
            .collect();
        found.sort();
        found
    }

    async fn project(&self, of: &Cluster, name: &str, placement: Placement) -> Project {
        let new = NewProject {
            id: ProjectId::new(),
            workspace: of.workspace,
            name: name.parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement,
            takes: Takes::default(),
            created_by: of.created_by,
        };
        self.store.add_project(&new, draft(Action::ProjectAdded), NOW).await.unwrap()
    }

    async fn label(&self, cluster: &Cluster, labels: &str) {
        let labels = labels.parse().unwrap();
        self.store.set_labels(cluster.id, &labels, draft(Action::ClusterLabelled), NOW).await.unwrap();
    }
}

fn whole(id: FederatedGrantId) -> Vec<(FederatedGrantId, String)> {
    vec![(id, "the whole cluster".to_owned())]
}

async fn a_global_grant_reaches_every_cluster_and_those_that_join(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let here = bed.cluster_of(&alice, "here").await;
    let id = bed.federated(WideScope::Global, alice.id).await;
    assert_eq!(bed.written_out(&here).await, whole(id));
    let joined = bed.cluster_of(&zoe, "joined").await;
    assert_eq!(bed.written_out(&joined).await, whole(id));
    let grant = bed.store.federated_grant(id).await.unwrap();
    assert_eq!((grant.reason.as_ref().map(Reason::as_str), grant.scope), (Some("on call"), WideScope::Global));
    let counts = PlacementCounts { pending: 2, ..PlacementCounts::default() };
    assert_eq!(bed.store.placement_count(&grant).await.unwrap(), counts);
    let placed = bed.store.placements(id, 10).await.unwrap();
    assert_eq!(placed.iter().map(|p| p.cluster.as_str()).collect::<Vec<_>>(), ["here", "joined"]);
    assert!(placed.iter().all(|p| p.grant.state == GrantState::Pending && p.grant.origin == Origin::Federated(id)));
    // What is due is handed out like any other grant, each with its cluster.
    let due = bed.store.claim_due_grants(NOW, super::bed::MINUTE, 10).await.unwrap();
    assert_eq!(due.iter().filter(|due| [here.id, joined.id].contains(&due.cluster)).count(), 2);
    // Whoever is in the group is reached there.
    let bob = bed.person("bob").await;
    assert_eq!(bed.store.grants_reaching(&bob, Some(joined.id), NOW).await.unwrap().len(), 1);
}

async fn a_workspace_grant_reaches_its_clusters_and_no_others(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let here = bed.cluster_of(&alice, "here").await;
    let there = bed.cluster_of(&zoe, "there").await;
    let id = bed.federated(WideScope::Workspace(here.workspace), alice.id).await;
    let later = bed.cluster_of(&alice, "later").await;
    assert_eq!(bed.written_out(&here).await, whole(id));
    assert_eq!(bed.written_out(&later).await, whole(id));
    assert_eq!(bed.written_out(&there).await, []);
    let page = bed.store.federated_grants(WideScope::Workspace(here.workspace), None, 10).await.unwrap();
    assert_eq!(page.rows.iter().map(|(grant, counts)| (grant.id, counts.wanted())).collect::<Vec<_>>(), [(id, 2)]);
    let elsewhere = bed.store.federated_grants(WideScope::Workspace(there.workspace), None, 10).await.unwrap();
    assert!(elsewhere.rows.is_empty());
    let nowhere = new(WideScope::Workspace(kubelend::model::id::WorkspaceId::new()), devs(), alice.id);
    let refused = bed.store.add_federated_grant(&nowhere, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
}

async fn a_project_grant_follows_its_placement_and_the_labels(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    let foreign = bed.cluster().await;
    bed.label(&one, "env=prod").await;
    bed.label(&foreign, "env=prod").await;
    let shop = bed.project(&one, "Shop", Placement::Labelled("env=prod".parse().unwrap())).await;
    let id = bed.federated(WideScope::Project(shop.id), alice.id).await;
    let there = vec![(id, "namespace shop".to_owned())];
    assert_eq!(bed.written_out(&one).await, there);
    assert_eq!(bed.written_out(&two).await, []);
    assert_eq!(bed.written_out(&foreign).await, [], "a selector stays in its workspace");
    bed.label(&two, "env=prod, tier=1").await;
    bed.label(&one, "env=test").await;
    assert_eq!(bed.written_out(&two).await, there);
    assert_eq!(bed.written_out(&one).await, []);
    let name = "Shop".parse().unwrap();
    // A list takes in clusters of the workspace alone, whatever it names.
    let listed = Placement::Listed(vec![one.id, foreign.id]);
    bed.store.change_project(shop.id, &name, &listed, draft(Action::ProjectChanged), NOW).await.unwrap();
    assert_eq!(bed.store.project(shop.id).await.unwrap().placement, Placement::Listed(vec![one.id]));
    assert_eq!((bed.written_out(&one).await, bed.written_out(&two).await), (there.clone(), vec![]));
    bed.store.change_project(shop.id, &name, &Placement::All, draft(Action::ProjectChanged), NOW).await.unwrap();
    let three = bed.cluster_of(&alice, "three").await;
    for cluster in [&one, &two, &three] {
        assert_eq!(bed.written_out(cluster).await, there);
    }
    assert_eq!(bed.written_out(&foreign).await, []);
    // The binding that went and came is another grant each time: what is on its way out is not taken back into use.
    let ended = bed.number("SELECT COUNT(*) FROM grants WHERE ended = 'out_of_scope' AND state = 'removing'").await;
    assert_eq!(ended, 2);
}

async fn what_is_wanted_twice_is_refused_and_what_ended_may_come_again(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "one").await;
    let first = bed.federated(WideScope::Global, alice.id).await;
    let again = new(WideScope::Global, devs(), alice.id);
    let twice = bed.store.add_federated_grant(&again, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(twice, Err(StoreError::Duplicate(_))), "{twice:?}");
    // The same in another scope is another grant, with a binding of its own.
    let second = bed.federated(WideScope::Workspace(cluster.workspace), alice.id).await;
    assert_eq!(bed.written_out(&cluster).await.len(), 2);
    bed.store.end_federated_grant(first, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    assert_eq!(bed.written_out(&cluster).await, whole(second));
    let third = bed.federated(WideScope::Global, alice.id).await;
    let mut both = [whole(second), whole(third)].concat();
    both.sort();
    assert_eq!(bed.written_out(&cluster).await, both);
}

async fn an_end_takes_back_everything_once(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "one").await;
    let id = bed.federated(WideScope::Global, alice.id).await;
    let end =
        async || bed.store.end_federated_grant(id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    assert_eq!((end().await, end().await), (true, false));
    assert_eq!(bed.events(Action::GrantRevoked).await, 1);
    assert_eq!(bed.written_out(&cluster).await, []);
    let counts = bed.store.placement_count(&bed.store.federated_grant(id).await.unwrap()).await.unwrap();
    assert_eq!((counts.removing, counts.wanted()), (1, 0));
    let unknown =
        bed.store.end_federated_grant(FederatedGrantId::new(), EndReason::Revoked, draft(Action::GrantRevoked), NOW);
    assert!(matches!(unknown.await, Err(StoreError::NotFound)));
    // What joins later knows nothing of it.
    assert_eq!(bed.written_out(&bed.cluster_of(&alice, "two").await).await, []);
}

async fn a_federated_grant_expires_with_all_that_it_was_written_out_as(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "one").await;
    let short = NewFederatedGrant { expires_at: Some(later(60)), ..new(WideScope::Global, devs(), alice.id) };
    bed.store.add_federated_grant(&short, draft(Action::GrantAdded), NOW).await.unwrap();
    assert_eq!(bed.store.expire_federated_grants(later(59), 10).await.unwrap(), 0);
    assert_eq!(bed.written_out(&cluster).await.len(), 1);
    assert_eq!(bed.store.expire_federated_grants(later(60), 10).await.unwrap(), 1);
    assert_eq!(bed.written_out(&cluster).await, []);
    assert_eq!(bed.events(Action::GrantExpired).await, 1, "one event, however many clusters");
    let ended = bed.store.federated_grant(short.id).await.unwrap();
    assert_eq!(ended.ended, Some(EndReason::Expired));
    // One whose time is up and whom nobody has ended yet does not stand in the way of a new one.
    let due = NewFederatedGrant { expires_at: Some(later(90)), ..new(WideScope::Global, devs(), alice.id) };
    bed.store.add_federated_grant(&due, draft(Action::GrantAdded), later(60)).await.unwrap();
    let next = new(WideScope::Global, devs(), alice.id);
    bed.store.add_federated_grant(&next, draft(Action::GrantAdded), later(91)).await.unwrap();
    assert_eq!(bed.written_out(&cluster).await, whole(next.id));
}

async fn a_cluster_and_a_grant_that_come_at_the_same_moment_find_each_other(bed: Bed) {
    let alice = bed.person("alice").await;
    bed.cluster_of(&alice, "first").await;
    for n in 0..12 {
        let grantee = Grantee::Group(provider("dex"), format!("group-{n}"));
        let new = new(WideScope::Global, grantee, alice.id);
        let (store, name) = (bed.again().await, format!("c{n}"));
        let (id, cluster) = tokio::join!(
            async {
                let made = store.add_federated_grant(&new, draft(Action::GrantAdded), NOW).await;
                made.unwrap().id
            },
            bed.cluster_of(&alice, &name)
        );
        let written = bed.written_out(&cluster).await;
        assert_eq!(written.iter().filter(|(written, _)| *written == id).count(), 1, "round {n}");
        store.close().await;
    }
}

async fn a_cluster_on_its_way_out_gets_nothing_new(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "one").await;
    let before = bed.federated(WideScope::Global, alice.id).await;
    bed.store.ask_removal(cluster.id, Removal::Purge, draft(Action::ClusterRemovalAsked), NOW).await.unwrap();
    bed.federated(WideScope::Workspace(cluster.workspace), alice.id).await;
    bed.label(&cluster, "env=prod").await;
    assert_eq!(bed.written_out(&cluster).await, []);
    let grant = bed.store.federated_grant(before).await.unwrap();
    assert_eq!(bed.store.placement_count(&grant).await.unwrap().removing, 1);
}

async fn immune_32_an_address_becomes_the_person_on_every_cluster_and_later_ones_too(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    let email = Grantee::Email(provider("dex"), "Bob@example.com".parse().unwrap());
    let new = new(WideScope::Global, email, alice.id);
    bed.store.add_federated_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
    let bob = bed.person("bob").await;
    let two = bed.cluster_of(&alice, "two").await;
    assert_eq!(bed.store.federated_grant(new.id).await.unwrap().grantee, Grantee::Person(bob.id).into());
    for cluster in [one, two] {
        let reaching = bed.store.grants_reaching(&bob, Some(cluster.id), NOW).await.unwrap();
        assert_eq!(reaching.iter().map(|g| g.grantee.clone()).collect::<Vec<_>>(), [Grantee::Person(bob.id)]);
    }
}

async fn immune_32_an_address_with_two_holders_becomes_nobody(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    bed.person("bob").await;
    // Granted after the address has been the first one's, found by its second holder.
    let second = kubelend::model::identity::VerifiedClaims { sub: "another".into(), ..claims("bob") };
    bed.signs_in(&kubelend::model::identity::VerifiedClaims { email_verified: false, ..second.clone() }).await;
    let email = Grantee::Email(provider("dex"), "bob@example.com".parse().unwrap());
    let new = new(WideScope::Global, email.clone(), alice.id);
    bed.store.add_federated_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
    let newcomer = bed.signs_in(&second).await;
    assert_eq!(bed.store.federated_grant(new.id).await.unwrap().grantee, email.into());
    let reaching = bed.store.grants_reaching(&newcomer, Some(one.id), NOW).await.unwrap();
    assert!(reaching.is_empty(), "{reaching:?}");
}

async fn immune_32_a_grant_to_the_person_takes_the_place_of_one_to_their_address(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    bed.signs_in(&kubelend::model::identity::VerifiedClaims { sub: "former".into(), ..claims("bob") }).await;
    let bob = bed.person("bob").await;
    let address = new(WideScope::Global, Grantee::Email(provider("dex"), "bob@example.com".parse().unwrap()), alice.id);
    let elsewhere = NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope: WideScope::Workspace(one.workspace),
        ..address.clone()
    };
    for doubtful in [&address, &elsewhere] {
        bed.store.add_federated_grant(doubtful, draft(Action::GrantAdded), NOW).await.unwrap();
    }
    let confirmed = new(WideScope::Global, Grantee::Person(bob.id), alice.id);
    bed.store.add_federated_grant(&confirmed, draft(Action::GrantAdded), NOW).await.unwrap();
    assert_eq!(bed.store.federated_grant(address.id).await.unwrap().ended, Some(EndReason::Revoked));
    assert_eq!(bed.store.federated_grant(elsewhere.id).await.unwrap().ended, None, "that was not what was confirmed");
    let mut both = [whole(elsewhere.id), whole(confirmed.id)].concat();
    both.sort();
    assert_eq!(bed.written_out(&one).await, both);
    // The event says what ended, whoever ended it.
    let ended = "SELECT COUNT(*) FROM audit_events WHERE action = 'grant.revoked' \
                 AND target = 'bob@example.com: view on every cluster'";
    assert_eq!(bed.number(ended).await, 1);
}

async fn a_removed_project_leaves_nothing_that_lives(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    let shop = bed.project(&one, "Shop", Placement::All).await;
    let id = bed.federated(WideScope::Project(shop.id), alice.id).await;
    for _ in 0..2 {
        bed.store.remove_project(shop.id, draft(Action::ProjectRemoved), NOW).await.unwrap();
    }
    assert_eq!(bed.events(Action::ProjectRemoved).await, 1);
    let said = "SELECT COUNT(*) FROM audit_events WHERE action = 'grant.revoked' \
                AND target = 'group devs: view in the project Shop' AND workspace_id IS NOT NULL";
    assert_eq!((bed.events(Action::GrantRevoked).await, bed.number(said).await), (1, 1));
    assert!(matches!(bed.store.project(shop.id).await, Err(StoreError::NotFound)));
    assert_eq!(bed.written_out(&one).await, []);
    assert_eq!(bed.store.federated_grant(id).await.unwrap().ended, Some(EndReason::OutOfScope));
}

async fn names_and_numbers_of_projects_have_limits(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, foreign) = (bed.cluster_of(&alice, "one").await, bed.cluster().await);
    bed.project(&one, "Shop", Placement::All).await;
    let mut new = NewProject {
        id: ProjectId::new(),
        workspace: one.workspace,
        name: "SHOP".parse().unwrap(),
        namespace: "shop".parse().unwrap(),
        placement: Placement::Labelled(Labels::default()),
        takes: Takes::default(),
        created_by: alice.id,
    };
    let same = bed.store.add_project(&new, draft(Action::ProjectAdded), NOW).await;
    assert!(matches!(same, Err(StoreError::Duplicate(_))), "{same:?}");
    new.workspace = foreign.workspace;
    bed.store.add_project(&new, draft(Action::ProjectAdded), NOW).await.unwrap();
    let names = |projects: Vec<Project>| projects.iter().map(|p| p.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(bed.store.projects_of(one.workspace).await.unwrap()), ["Shop"]);
    assert_eq!(names(bed.store.projects_of(foreign.workspace).await.unwrap()), ["SHOP"]);
    new.workspace = kubelend::model::id::WorkspaceId::new();
    new.id = ProjectId::new();
    let nowhere = bed.store.add_project(&new, draft(Action::ProjectAdded), NOW).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound | StoreError::Duplicate(_))), "{nowhere:?}");
}
