//! Groups of our own: what is given to one is what each of its members has, on every cluster that it reaches, whatever changes and in
//! whatever order.

use std::collections::BTreeSet;

use kubelend::{
    model::{
        audit::Action,
        cluster::{Cluster, Removal},
        federation::WideScope,
        grant::{EndReason, Grantee, Origin},
        group::{Group, GroupMember, Holder},
        id::{ClusterId, FederatedGrantId, GroupId, IdentityId, ProjectId, WorkspaceId},
        identity::Identity,
        project::{Placement, Takes},
        role::Role,
    },
    store::{
        GrantFilter, GroupOnCluster, NewFederatedGrant, NewGroup, NewProject, NewWorkspace, PlacementCounts, Store,
        StoreError, Trail, TrailFilter,
    },
};

use super::bed::{Bed, NOW, claims, draft, later, provider};

both!(
    whoever_joins_a_group_has_what_it_holds_and_whoever_leaves_it_has_it_no_more,
    what_was_given_to_a_group_ends_with_it_each_with_its_event,
    immune_20_a_member_who_is_taken_out_is_reached_on_no_cluster_any_more,
    immune_28_a_group_of_another_workspace_is_given_nothing,
    immune_28_whoever_was_shut_out_changes_nothing_any_more,
    immune_28_a_group_that_holds_cluster_admin_stays_with_the_owners,
    immune_28_a_cluster_that_moves_leaves_the_groups_of_its_workspace_behind,
    immune_32_an_address_in_a_group_becomes_the_person_on_every_cluster,
    immune_32_an_address_in_a_group_with_two_holders_gives_nobody_anything,
    a_person_takes_the_place_of_their_address,
    a_removed_cluster_and_a_deleted_workspace_take_along_what_groups_had_there,
    a_page_has_one_row_for_a_group_and_finds_it_by_its_members,
    what_groups_were_given_is_listed_page_by_page,
    names_members_and_grants_have_limits,
    too_much_at_once_is_refused_and_nothing_of_it_stays,
    each_of_many_members_has_a_grant_of_their_own,
    what_is_written_out_is_members_times_grants_whatever_happened,
);

impl Bed {
    async fn group(&self, workspace: Option<WorkspaceId>, name: &str, by: IdentityId) -> Group {
        let new =
            NewGroup { id: GroupId::new(), workspace, name: name.parse().unwrap(), owners_only: false, created_by: by };
        self.store.add_group(&new, draft(Action::GroupAdded), NOW).await.unwrap();
        self.store.group(new.id).await.unwrap()
    }

    async fn put_into(&self, group: &Group, who: Grantee) -> Result<(), StoreError> {
        let member = GroupMember { who, since: NOW, by: group.created_by };
        self.store.add_group_member(group, &member, false, draft(Action::GroupMemberAdded), NOW).await
    }

    /// Puts as many groups of a provider, `g1` and so on, into an empty Group that holds nothing.
    async fn fill(&self, group: &Group, members: u32) {
        let (group, by) = (group.id, group.created_by);
        self.run(&format!(
            "INSERT INTO own_group_members (group_id, member_key, provider, member_name, since, added_by) \
             SELECT '{group}', 'group:dex:g' || n.n, 'dex', 'g' || n.n, 0, '{by}' FROM \
             (WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {members}) SELECT n FROM n) n"
        ))
        .await;
    }

    async fn take_out_of(&self, group: &Group, who: &Grantee) -> Result<(), StoreError> {
        self.store.remove_group_member(group, who, draft(Action::GroupMemberRemoved), NOW).await
    }

    async fn give_to(&self, group: &Group, scope: WideScope, role: Role) -> Result<FederatedGrantId, StoreError> {
        let given = self.store.give_to_group(&new(group, scope, role), group, draft(Action::GrantAdded), NOW).await;
        given.map(|grant| grant.id)
    }

    async fn end_wide(&self, id: FederatedGrantId) {
        let audit = draft(Action::GrantRevoked);
        self.store.end_federated_grant(id, EndReason::Revoked, audit, NOW).await.unwrap();
    }

    /// Who is reached on a cluster by what was given to a group, in words.
    async fn written_for(&self, id: FederatedGrantId) -> BTreeSet<(ClusterId, String, String)> {
        let placed = self.store.placements(id, 100_000).await.unwrap();
        let live = placed.into_iter().filter(|p| p.grant.ended.is_none());
        live.map(|p| {
            assert_eq!(p.grant.origin, Origin::Federated(id));
            (p.grant.scope.cluster(), words(&p.grant.grantee), p.grant.scope.in_words())
        })
        .collect()
    }

    async fn live_by_groups(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM grants WHERE group_id IS NOT NULL AND ended IS NULL").await
    }

    async fn reaches(&self, person: &Identity, cluster: &Cluster) -> usize {
        self.store.grants_reaching(person, Some(cluster.id), NOW).await.unwrap().len()
    }
}

fn new(group: &Group, scope: WideScope, role: Role) -> NewFederatedGrant {
    NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope,
        namespaces: Vec::new(),
        grantee: Holder::Group(group.id, group.name.clone()),
        role,
        expires_at: None,
        reason: None,
        created_by: group.created_by,
    }
}

fn words(who: &Grantee) -> String {
    match who {
        Grantee::Person(id) => format!("person {id}"),
        Grantee::Email(_, email) => format!("email {}", email.normalised()),
        Grantee::Group(_, name) => format!("group {name}"),
        Grantee::ServiceAccount(_) => "account".into(),
    }
}

fn email(name: &str) -> Grantee {
    Grantee::Email(provider("dex"), format!("{name}@example.com").parse().unwrap())
}

fn devs() -> Grantee {
    Grantee::Group(provider("dex"), "devs".into())
}

async fn whoever_joins_a_group_has_what_it_holds_and_whoever_leaves_it_has_it_no_more(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    let ops = bed.group(Some(one.workspace), "Ops", alice.id).await;
    let wide = bed.give_to(&ops, WideScope::Workspace(one.workspace), Role::View).await.unwrap();
    let narrow = NewFederatedGrant {
        namespaces: vec!["shop".parse().unwrap(), "bank".parse().unwrap()],
        ..new(&ops, WideScope::Cluster(two.id), Role::Edit)
    };
    bed.store.give_to_group(&narrow, &ops, draft(Action::GrantAdded), NOW).await.unwrap();
    assert_eq!(bed.live_by_groups().await, 0, "nobody is in it");
    bed.put_into(&ops, Grantee::Person(bob.id)).await.unwrap();
    bed.put_into(&ops, devs()).await.unwrap();
    let whole = "the whole cluster".to_owned();
    let all = [one.id, two.id]
        .into_iter()
        .flat_map(|c| [format!("person {}", bob.id), "group devs".to_owned()].map(|who| (c, who, whole.clone())));
    assert_eq!(bed.written_for(wide).await, all.collect());
    let places = bed.written_for(narrow.id).await;
    assert!(
        places.len() == 2 && places.iter().all(|p| p.0 == two.id && p.2 == "namespaces bank and shop"),
        "{places:?}"
    );
    // The same once more is refused; another namespace is another grant.
    let again = NewFederatedGrant { id: FederatedGrantId::new(), ..narrow.clone() };
    let refused = bed.store.give_to_group(&again, &ops, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(refused, Err(StoreError::Duplicate(_))), "{refused:?}");
    let other = NewFederatedGrant { namespaces: vec!["shop".parse().unwrap()], ..again };
    bed.store.give_to_group(&other, &ops, draft(Action::GrantAdded), NOW).await.unwrap();
    bed.end_wide(other.id).await;

    let three = bed.cluster_of(&alice, "three").await;
    assert_eq!(bed.written_for(wide).await.len(), 6, "a cluster that joins has it for each of them");
    for _ in 0..2 {
        bed.take_out_of(&ops, &devs()).await.unwrap();
    }
    assert_eq!(bed.events(Action::GroupMemberRemoved).await, 1);
    assert_eq!((bed.written_for(wide).await.len(), bed.written_for(narrow.id).await.len()), (3, 1));
    assert_eq!(bed.reaches(&bob, &three).await, 1);
    let held = bed.store.grants_to_group(ops.id).await.unwrap();
    assert_eq!(held.iter().map(|(g, counts)| (g.id, counts.wanted())).collect::<Vec<_>>(), [(narrow.id, 1), (wide, 3)]);
    let trail = bed.store.trail(Trail::Group(ops.id), &TrailFilter::default(), None, 50).await.unwrap();
    let actions: Vec<Action> = trail.events.iter().map(|e| e.action).collect();
    assert_eq!(actions.iter().filter(|a| **a == Action::GrantAdded).count(), 3);
    assert!(actions.contains(&Action::GroupAdded) && actions.contains(&Action::GroupMemberAdded));
    assert!(trail.events.iter().all(|e| e.workspace == Some(one.workspace)), "all of it is the workspace's, too");
}

async fn what_was_given_to_a_group_ends_with_it_each_with_its_event(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let one = bed.cluster_of(&alice, "one").await;
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.put_into(&ops, Grantee::Person(bob.id)).await.unwrap();
    let global = bed.give_to(&ops, WideScope::Global, Role::View).await.unwrap();
    let here = bed.give_to(&ops, WideScope::Cluster(one.id), Role::Admin).await.unwrap();
    let other = bed.group(None, "Night", alice.id).await;
    bed.put_into(&other, Grantee::Person(bob.id)).await.unwrap();
    let stays = bed.give_to(&other, WideScope::Global, Role::View).await.unwrap();
    assert_eq!(bed.reaches(&bob, &one).await, 3);
    bed.store.change_group(&ops, &"On call".parse().unwrap(), false, draft(Action::GroupChanged), NOW).await.unwrap();
    for _ in 0..2 {
        bed.store.remove_group(&ops, draft(Action::GroupRemoved), NOW).await.unwrap();
    }
    assert_eq!((bed.events(Action::GroupRemoved).await, bed.events(Action::GrantRevoked).await), (1, 2));
    let said = "SELECT COUNT(*) FROM audit_events WHERE action = 'grant.revoked' AND target IN \
                ('Kubelend group On call: view on every cluster', 'Kubelend group On call: admin on the whole cluster')";
    assert_eq!(bed.number(said).await, 2);
    for ended in [global, here] {
        let grant = bed.store.federated_grant(ended).await.unwrap();
        assert_eq!(grant.ended, Some(EndReason::Revoked));
        assert_eq!(grant.grantee, Holder::Group(ops.id, "On call".parse().unwrap()), "it is known by name afterwards");
    }
    assert!(matches!(bed.store.group(ops.id).await, Err(StoreError::NotFound)));
    assert_eq!((bed.live_by_groups().await, bed.written_for(stays).await.len()), (1, 1));
    let names = bed.store.groups_behind(&[global, stays, FederatedGrantId::new()]).await.unwrap();
    assert_eq!((names.len(), names[&global].as_str(), names[&stays].as_str()), (2, "On call", "Night"));
    assert!(matches!(bed.put_into(&ops, devs()).await, Err(StoreError::NotFound)));
}

async fn immune_20_a_member_who_is_taken_out_is_reached_on_no_cluster_any_more(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let clusters = [bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await];
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.put_into(&ops, Grantee::Person(bob.id)).await.unwrap();
    bed.give_to(&ops, WideScope::Global, Role::Edit).await.unwrap();
    bed.give_to(&ops, WideScope::Cluster(clusters[0].id), Role::Admin).await.unwrap();
    assert_eq!((bed.reaches(&bob, &clusters[0]).await, bed.reaches(&bob, &clusters[1]).await), (2, 1));
    // One attempt at a time, as each comes back from its cluster: what is bound must be undone, so it is due.
    bed.take_out_of(&ops, &Grantee::Person(bob.id)).await.unwrap();
    assert_eq!((bed.reaches(&bob, &clusters[0]).await, bed.reaches(&bob, &clusters[1]).await), (0, 0));
    let due =
        "SELECT COUNT(*) FROM grants WHERE group_id IS NOT NULL AND state = 'removing' AND next_attempt IS NOT NULL";
    assert_eq!(bed.number(due).await, 3);
}

async fn immune_28_a_group_of_another_workspace_is_given_nothing(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let (here, there) = (bed.cluster_of(&alice, "here").await, bed.cluster_of(&zoe, "there").await);
    let theirs = bed.group(Some(there.workspace), "Ops", zoe.id).await;
    let project = NewProject {
        id: ProjectId::new(),
        workspace: here.workspace,
        name: "Shop".parse().unwrap(),
        namespace: "shop".parse().unwrap(),
        placement: Placement::All,
        takes: Takes::default(),
        created_by: alice.id,
    };
    bed.store.add_project(&project, draft(Action::ProjectAdded), NOW).await.unwrap();
    let elsewhere = [
        WideScope::Global,
        WideScope::Workspace(here.workspace),
        WideScope::Project(project.id),
        WideScope::Cluster(here.id),
    ];
    for scope in elsewhere {
        let given = bed.give_to(&theirs, scope, Role::View).await;
        assert!(matches!(given, Err(StoreError::NotFound)), "{scope:?}: {given:?}");
    }
    bed.give_to(&theirs, WideScope::Workspace(there.workspace), Role::View).await.unwrap();
    // Without having looked at the group nothing is given to it, and what was looked at is that group.
    let blind = new(&theirs, WideScope::Cluster(there.id), Role::View);
    let blindly = bed.store.add_federated_grant(&blind, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(blindly, Err(StoreError::NotFound)), "{blindly:?}");
    let all = bed.group(None, "All", alice.id).await;
    let other = new(&theirs, WideScope::Cluster(there.id), Role::View);
    let swapped = bed.store.give_to_group(&other, &all, draft(Action::GrantAdded), NOW).await;
    assert!(matches!(swapped, Err(StoreError::NotFound)), "{swapped:?}");
    let names = |groups: Vec<Group>| groups.iter().map(Group::spelt).collect::<Vec<_>>();
    assert_eq!(names(bed.store.groups_usable_in(Some(here.workspace)).await.unwrap()), ["All (everywhere)"]);
    assert_eq!(names(bed.store.groups_usable_in(Some(there.workspace)).await.unwrap()), ["Ops", "All (everywhere)"]);
    assert_eq!(names(bed.store.groups_usable_in(None).await.unwrap()), ["All (everywhere)"]);
}

async fn immune_28_whoever_was_shut_out_changes_nothing_any_more(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let one = bed.cluster_of(&alice, "one").await;
    let seen = bed.group(Some(one.workspace), "Ops", alice.id).await;
    // An editor has looked at the group, and then an owner keeps it to owners.
    bed.store.change_group(&seen, &seen.name, true, draft(Action::GroupChanged), NOW).await.unwrap();
    let kept = bed.store.group(seen.id).await.unwrap();
    let bob = Grantee::Person(bob.id);
    assert!(matches!(bed.put_into(&seen, bob.clone()).await, Err(StoreError::Stale)));
    bed.put_into(&kept, bob.clone()).await.unwrap();
    assert!(matches!(bed.take_out_of(&seen, &bob).await, Err(StoreError::Stale)));
    let given = bed.give_to(&seen, WideScope::Cluster(one.id), Role::View).await;
    assert!(matches!(given, Err(StoreError::Stale)), "{given:?}");
    let removed = bed.store.remove_group(&seen, draft(Action::GroupRemoved), NOW).await;
    assert!(matches!(removed, Err(StoreError::Stale)), "{removed:?}");
    let renamed = bed.store.change_group(&seen, &seen.name, false, draft(Action::GroupChanged), NOW).await;
    assert!(matches!(renamed, Err(StoreError::Stale)), "{renamed:?}");
    assert_eq!(bed.store.group_members(seen.id).await.unwrap().len(), 1);
}

async fn immune_28_a_group_that_holds_cluster_admin_stays_with_the_owners(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    for role in [Role::ClusterAdmin, Role::named("acme:anything").unwrap()] {
        let ops = bed.group(Some(one.workspace), role.as_str(), alice.id).await;
        bed.store.change_group(&ops, &ops.name, true, draft(Action::GroupChanged), NOW).await.unwrap();
        let kept = bed.store.group(ops.id).await.unwrap();
        let strong = bed.give_to(&kept, WideScope::Cluster(one.id), role).await.unwrap();
        let weak = bed.give_to(&kept, WideScope::Cluster(one.id), Role::Admin).await.unwrap();
        let open = async || bed.store.change_group(&kept, &kept.name, false, draft(Action::GroupChanged), NOW).await;
        assert!(matches!(open().await, Err(StoreError::Held)));
        bed.end_wide(strong).await;
        open().await.unwrap();
        assert!(!bed.store.group(ops.id).await.unwrap().owners_only);
        bed.end_wide(weak).await;
    }
}

async fn immune_28_a_cluster_that_moves_leaves_the_groups_of_its_workspace_behind(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let one = bed.cluster_of(&alice, "one").await;
    let away = workspace(&bed, alice.id, "Away").await;
    let ours = bed.group(Some(one.workspace), "Ours", alice.id).await;
    let all = bed.group(None, "All", alice.id).await;
    for group in [&ours, &all] {
        bed.put_into(group, Grantee::Person(bob.id)).await.unwrap();
    }
    let by_ours = bed.give_to(&ours, WideScope::Cluster(one.id), Role::Edit).await.unwrap();
    let by_all = bed.give_to(&all, WideScope::Cluster(one.id), Role::View).await.unwrap();
    bed.store.move_cluster(one.id, away, draft(Action::ClusterMoved), NOW).await.unwrap();
    // Whoever puts people into a group of the workspace that it was in has no say about it any more.
    assert_eq!(bed.store.federated_grant(by_ours).await.unwrap().ended, Some(EndReason::OutOfScope));
    assert_eq!((bed.written_for(by_ours).await.len(), bed.written_for(by_all).await.len()), (0, 1));
    bed.put_into(&ours, devs()).await.unwrap();
    assert_eq!(bed.live_by_groups().await, 1);
    let said = "SELECT COUNT(*) FROM audit_events WHERE action = 'grant.revoked' \
                AND target = 'Kubelend group Ours: edit on the whole cluster'";
    assert_eq!(bed.number(said).await, 1);
}

async fn workspace(bed: &Bed, by: IdentityId, name: &str) -> WorkspaceId {
    let new = NewWorkspace { id: WorkspaceId::new(), name: name.parse().unwrap(), created_by: by, most: None };
    bed.store.create_workspace(&new, draft(Action::WorkspaceCreated), NOW).await.unwrap();
    new.id
}

async fn immune_32_an_address_in_a_group_becomes_the_person_on_every_cluster(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.put_into(&ops, email("Bob")).await.unwrap();
    let id = bed.give_to(&ops, WideScope::Global, Role::View).await.unwrap();
    assert_eq!(bed.written_for(id).await.into_iter().map(|p| p.1).collect::<Vec<_>>(), ["email bob@example.com"]);
    // Unverified it is nobody's.
    let mut unverified = claims("bob");
    (unverified.email_verified, unverified.sub) = (false, "somebody".into());
    let stranger = bed.signs_in(&unverified).await;
    assert_eq!(bed.reaches(&stranger, &one).await, 0);
    assert!(matches!(bed.store.group_members(ops.id).await.unwrap()[0].0.who, Grantee::Email(..)));
    // Carol is the first to hold hers.
    bed.put_into(&ops, email("carol")).await.unwrap();
    let carol = bed.person("carol").await;
    assert_eq!(bed.reaches(&carol, &one).await, 1);
    let members = bed.store.group_members(ops.id).await.unwrap();
    assert_eq!(members[1].0.who, Grantee::Person(carol.id));
    assert_eq!(members[1].1.as_ref().map(|p| p.id), Some(carol.id));
    let two = bed.cluster_of(&alice, "two").await;
    assert_eq!(bed.reaches(&carol, &two).await, 1, "a later cluster knows the person");
    assert_eq!(bed.live_by_groups().await, 4);
    bed.take_out_of(&ops, &Grantee::Person(carol.id)).await.unwrap();
    assert_eq!((bed.reaches(&carol, &one).await, bed.live_by_groups().await), (0, 2));
}

async fn immune_32_an_address_in_a_group_with_two_holders_gives_nobody_anything(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    bed.person("bob").await;
    let mut heir = claims("bob");
    heir.sub = "another".into();
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.put_into(&ops, email("bob")).await.unwrap();
    bed.give_to(&ops, WideScope::Global, Role::View).await.unwrap();
    let heir = bed.signs_in(&heir).await;
    assert_eq!(bed.reaches(&heir, &one).await, 0);
    assert_eq!(bed.events(Action::GroupMemberDoubted).await, 1);
    let members = bed.store.group_members(ops.id).await.unwrap();
    assert_eq!(members.iter().map(|(m, _)| words(&m.who)).collect::<Vec<_>>(), ["email bob@example.com"]);
    // Whoever looks after the group says whom they meant.
    bed.put_into(&ops, Grantee::Person(heir.id)).await.unwrap();
    let members = bed.store.group_members(ops.id).await.unwrap();
    assert_eq!(members.iter().map(|(m, _)| m.who.clone()).collect::<Vec<_>>(), [Grantee::Person(heir.id)]);
    assert_eq!((bed.reaches(&heir, &one).await, bed.live_by_groups().await), (1, 1));
}

async fn a_person_takes_the_place_of_their_address(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    let ops = bed.group(Some(one.workspace), "Ops", alice.id).await;
    bed.give_to(&ops, WideScope::Cluster(one.id), Role::View).await.unwrap();
    bed.put_into(&ops, email("bob")).await.unwrap();
    let bob = bed.person("bob").await;
    // They are in it already, under both names of them.
    for who in [Grantee::Person(bob.id), email("bob")] {
        let again = bed.put_into(&ops, who.clone()).await;
        let expected = matches!(who, Grantee::Person(_));
        assert_eq!(matches!(again, Err(StoreError::Duplicate(_))), expected, "{again:?}");
    }
    let again = bed.person("bob").await;
    assert_eq!(again.id, bob.id);
    let members = bed.store.group_members(ops.id).await.unwrap();
    assert_eq!(members.iter().map(|(m, _)| m.who.clone()).collect::<Vec<_>>(), [Grantee::Person(bob.id)]);
    assert_eq!(bed.live_by_groups().await, 1);
}

async fn a_removed_cluster_and_a_deleted_workspace_take_along_what_groups_had_there(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let (here, there) = (bed.cluster_of(&alice, "here").await, bed.cluster_of(&zoe, "there").await);
    let ours = bed.group(Some(here.workspace), "Ours", alice.id).await;
    let all = bed.group(None, "All", alice.id).await;
    for group in [&ours, &all] {
        bed.put_into(group, devs()).await.unwrap();
    }
    let (stays, goes) = (
        bed.give_to(&all, WideScope::Cluster(here.id), Role::View).await.unwrap(),
        bed.give_to(&all, WideScope::Cluster(there.id), Role::View).await.unwrap(),
    );
    let wide = bed.give_to(&ours, WideScope::Workspace(here.workspace), Role::View).await.unwrap();
    bed.store.ask_removal(there.id, Removal::Purge, draft(Action::ClusterRemovalAsked), NOW).await.unwrap();
    assert_eq!(bed.store.federated_grant(goes).await.unwrap().ended, Some(EndReason::ClusterRemoved));
    let refused = bed.give_to(&all, WideScope::Cluster(there.id), Role::Edit).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    // A group that holds something on a cluster that has gone goes on.
    bed.run("UPDATE grants SET state = 'removed', next_attempt = NULL WHERE ended IS NOT NULL").await;
    bed.store.finish_removals(later(600), std::time::Duration::from_secs(1)).await.unwrap();
    assert!(matches!(bed.store.cluster(there.id).await, Err(StoreError::NotFound)));
    bed.put_into(&all, email("bob")).await.unwrap();
    assert_eq!(bed.written_for(stays).await.len(), 2);

    let asked = (draft(Action::WorkspaceRemovalAsked), draft(Action::ClusterRemovalAsked));
    bed.store.ask_workspace_removal(here.workspace, Removal::Leave, asked.0, asked.1, NOW).await.unwrap();
    assert_eq!(bed.store.federated_grant(wide).await.unwrap().ended, Some(EndReason::OutOfScope));
    assert_eq!(bed.live_by_groups().await, 0);
    assert!(matches!(bed.put_into(&ours, email("bob")).await, Err(StoreError::Stale)), "it is on its way out");
    bed.store.finish_removals(later(600), std::time::Duration::from_secs(1)).await.unwrap();
    assert!(matches!(bed.store.group(ours.id).await, Err(StoreError::NotFound)), "it goes with its workspace");
    assert_eq!(bed.number("SELECT COUNT(*) FROM own_group_members").await, 2);
}

async fn a_page_has_one_row_for_a_group_and_finds_it_by_its_members(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let one = bed.cluster_of(&alice, "one").await;
    let ops = bed.group(Some(one.workspace), "On Call", alice.id).await;
    bed.put_into(&ops, Grantee::Person(bob.id)).await.unwrap();
    bed.put_into(&ops, Grantee::Group(provider("dex"), "night".into())).await.unwrap();
    bed.grant(&one, devs()).await;
    let shop = NewFederatedGrant {
        namespaces: vec!["shop".parse().unwrap()],
        ..new(&ops, WideScope::Cluster(one.id), Role::Edit)
    };
    bed.store.give_to_group(&shop, &ops, draft(Action::GrantAdded), NOW).await.unwrap();
    let wide = bed.give_to(&ops, WideScope::Workspace(one.workspace), Role::View).await.unwrap();
    let found = async |filter: GrantFilter| {
        let page = bed.store.groups_on(&one, &filter, None, 10).await.unwrap();
        let row = |on: &GroupOnCluster| {
            assert_eq!(on.grant.grantee.group(), Some(ops.id));
            format!("{} {}", on.grant.role, on.scope.in_words())
        };
        page.rows.iter().map(row).collect::<Vec<_>>()
    };
    let (view, edit) = ("view the whole cluster", "edit namespace shop");
    assert_eq!(found(GrantFilter::default()).await, [view, edit]);
    let text = |text: &str| GrantFilter { text: Some(text.into()), ..GrantFilter::default() };
    assert_eq!(found(text("on call")).await, [view, edit]);
    assert_eq!(found(text("BOB@")).await, [view, edit], "by whoever is in it");
    assert_eq!(found(text("night")).await, [view, edit]);
    assert_eq!(found(text("nobody")).await, [""; 0]);
    assert_eq!(found(GrantFilter { own_groups: true, ..GrantFilter::default() }).await, [view, edit]);
    assert_eq!(found(GrantFilter { people: Some(false), ..GrantFilter::default() }).await, [""; 0]);
    assert_eq!(found(GrantFilter { accounts: true, ..GrantFilter::default() }).await, [""; 0]);
    assert_eq!(found(GrantFilter { role: Some(Role::Edit), ..GrantFilter::default() }).await, [edit]);
    let inside = |ns: &str| GrantFilter { namespace: Some(ns.into()), ..GrantFilter::default() };
    assert_eq!((found(inside("shop")).await, found(inside("sho")).await), (vec![edit.to_owned()], vec![]));
    // The grants that it was written out as do not stand beside it.
    let grants = async |filter: GrantFilter| {
        let page = bed.store.grants_of_cluster(one.id, &filter, None, 10).await.unwrap();
        page.rows.iter().map(|(grant, _)| words(&grant.grantee)).collect::<Vec<_>>()
    };
    assert_eq!(grants(GrantFilter::default()).await, ["group devs"]);
    assert_eq!(grants(text("bob@")).await, [""; 0]);
    assert_eq!(grants(GrantFilter { own_groups: true, ..GrantFilter::default() }).await, [""; 0]);

    let page = bed.store.groups_on(&one, &GrantFilter::default(), None, 10).await.unwrap();
    let counts = page.rows.iter().find(|on| on.grant.id == wide).map(|on| on.counts);
    assert_eq!(counts, Some(PlacementCounts { pending: 2, ..PlacementCounts::default() }));
    // What is being taken back stands there until it is gone.
    bed.end_wide(wide).await;
    assert_eq!(found(GrantFilter::default()).await, [view, edit]);
    bed.run("UPDATE grants SET state = 'removed', next_attempt = NULL WHERE ended IS NOT NULL").await;
    assert_eq!(found(GrantFilter::default()).await, [edit]);
    // On another cluster, and in another workspace, there is nothing of it.
    let elsewhere = bed.cluster().await;
    let page = bed.store.groups_on(&elsewhere, &GrantFilter::default(), None, 10).await.unwrap();
    assert!(page.rows.is_empty());
}

async fn what_groups_were_given_is_listed_page_by_page(bed: Bed) {
    let alice = bed.person("alice").await;
    let one = bed.cluster_of(&alice, "one").await;
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.put_into(&ops, devs()).await.unwrap();
    for n in 0..7 {
        let given = NewFederatedGrant {
            namespaces: vec![format!("ns-{n}").parse().unwrap()],
            ..new(&ops, WideScope::Cluster(one.id), Role::Edit)
        };
        bed.store.give_to_group(&given, &ops, draft(Action::GrantAdded), NOW).await.unwrap();
    }
    for limit in [1, 2, 3, 7, 20] {
        for text in [None, Some("OPS".to_owned())] {
            let filter = GrantFilter { text, ..GrantFilter::default() };
            let (mut all, mut before, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = bed.store.groups_on(&one, &filter, before, limit).await.unwrap();
                assert!(page.rows.len() <= limit as usize);
                all.extend(page.rows.iter().map(|on| on.grant.id));
                pages += 1;
                assert!(pages < 30, "it ends");
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(all.len(), 7, "{limit}");
            assert!(all.is_sorted_by(|a, b| a > b), "newest first, each once");
        }
    }
}

async fn names_members_and_grants_have_limits(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let (here, there) = (bed.cluster_of(&alice, "here").await, bed.cluster_of(&zoe, "there").await);
    let ops = bed.group(Some(here.workspace), "Ops", alice.id).await;
    let named = |workspace, name: &str| NewGroup {
        id: GroupId::new(),
        workspace,
        name: name.parse().unwrap(),
        owners_only: true,
        created_by: alice.id,
    };
    let add = async |new: NewGroup| bed.store.add_group(&new, draft(Action::GroupAdded), NOW).await;
    assert!(matches!(add(named(Some(here.workspace), "OPS")).await, Err(StoreError::Duplicate(_))));
    add(named(Some(there.workspace), "OPS")).await.unwrap();
    add(named(None, "ops")).await.unwrap();
    assert!(matches!(add(named(None, "Ops")).await, Err(StoreError::Duplicate(_))));
    assert!(matches!(add(named(Some(WorkspaceId::new()), "Ops")).await, Err(StoreError::NotFound)));
    let other = named(Some(here.workspace), "Night");
    add(other.clone()).await.unwrap();
    let renamed =
        bed.store.change_group(&ops, &"NIGHT".parse().unwrap(), false, draft(Action::GroupChanged), NOW).await;
    assert!(matches!(renamed, Err(StoreError::Duplicate(_))), "{renamed:?}");
    let counts = bed.store.group_counts(&[ops.id, other.id]).await.unwrap();
    assert!(counts.iter().all(|(_, counts)| counts.members == 0 && counts.grants == 0));

    let fill = format!(
        "INSERT INTO own_group_members (group_id, member_key, provider, member_name, since, added_by) \
         SELECT '{}', 'group:dex:g' || n.n, 'dex', 'g' || n.n, 0, '{}' FROM \
         (WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500) SELECT n FROM n) n",
        ops.id, alice.id
    );
    bed.run(&fill).await;
    assert!(matches!(bed.put_into(&ops, devs()).await, Err(StoreError::Full(_))));
    assert_eq!(bed.store.group_members(ops.id).await.unwrap().len(), 500);
    bed.take_out_of(&ops, &Grantee::Group(provider("dex"), "g7".into())).await.unwrap();
    bed.put_into(&ops, devs()).await.unwrap();
}

async fn each_of_many_members_has_a_grant_of_their_own(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let one = bed.cluster_of(&alice, "one").await;
    bed.cluster_of(&alice, "two").await;
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.fill(&ops, 130).await;
    bed.put_into(&ops, Grantee::Person(bob.id)).await.unwrap();
    let id = bed.give_to(&ops, WideScope::Workspace(one.workspace), Role::Edit).await.unwrap();
    let written = bed.written_for(id).await;
    let whom: BTreeSet<String> =
        (1..=130).map(|n| format!("group g{n}")).chain([words(&Grantee::Person(bob.id))]).collect();
    for cluster in written.iter().map(|(cluster, ..)| *cluster).collect::<BTreeSet<_>>() {
        let there: BTreeSet<String> =
            written.iter().filter(|(on, ..)| *on == cluster).map(|(_, who, _)| who.clone()).collect();
        assert_eq!(there, whom);
    }
    assert_eq!(written.len(), 262);
    let different = format!(
        "SELECT COUNT(DISTINCT mark) FROM grants WHERE group_id = '{}' AND federated_id = '{id}' AND state = 'pending' \
         AND next_attempt IS NOT NULL AND role_rules IS NULL",
        ops.id
    );
    assert_eq!(bed.number(&different).await, 262, "each can be told from the others on a cluster");
    let sorted = "SELECT COUNT(*) FROM grants WHERE grantee_sort = 'bob@example.com' AND identity_id IS NOT NULL";
    assert_eq!(bed.number(sorted).await, 2, "a person stands where they are called so");
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants WHERE grantee_sort = 'g130' AND to_group").await, 2);
}

async fn too_much_at_once_is_refused_and_nothing_of_it_stays(bed: Bed) {
    const { assert!(Store::MOST_AT_ONCE < 5_500) };
    let alice = bed.person("alice").await;
    for n in 0..11 {
        bed.cluster_of(&alice, &format!("c{n}")).await;
    }
    let ops = bed.group(None, "Ops", alice.id).await;
    bed.fill(&ops, 500).await;
    let given = bed.give_to(&ops, WideScope::Global, Role::View).await;
    assert!(matches!(given, Err(StoreError::TooMuch(5_500))), "{given:?}");
    assert_eq!(bed.live_by_groups().await, 0);
    assert_eq!(bed.events(Action::GrantAdded).await, 0);
    assert!(bed.store.grants_to_group(ops.id).await.unwrap().is_empty());

    // The same by one member more of a Group that holds something.
    let sre = bed.group(None, "SRE", alice.id).await;
    bed.give_to(&sre, WideScope::Global, Role::View).await.unwrap();
    bed.fill(&sre, 499).await;
    let joined = bed.put_into(&sre, email("bob")).await;
    assert!(matches!(joined, Err(StoreError::TooMuch(5_500))), "{joined:?}");
    assert_eq!(bed.live_by_groups().await, 0);
    assert_eq!(bed.events(Action::GroupMemberAdded).await, 0);
    assert_eq!(bed.store.group_members(sre.id).await.unwrap().len(), 499);
}

/// Numbers that look drawn, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % sides
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.roll(of.len())) }
    }
}

/// What the random operations act on.
struct World {
    alice: Identity,
    homes: [WorkspaceId; 2],
    clusters: Vec<ClusterId>,
    projects: Vec<ProjectId>,
    groups: Vec<GroupId>,
    given: Vec<FederatedGrantId>,
    people: Vec<Identity>,
    names: usize,
}

impl World {
    async fn begin(bed: &Bed) -> Self {
        let alice = bed.person("alice").await;
        let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
        let away = workspace(bed, alice.id, "Away").await;
        Self {
            homes: [one.workspace, away],
            clusters: vec![one.id, two.id],
            projects: Vec::new(),
            groups: Vec::new(),
            given: Vec::new(),
            people: vec![bed.person("bob").await],
            names: 0,
            alice,
        }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    async fn some_group(&self, bed: &Bed, dice: &mut Dice) -> Option<Group> {
        let id = *dice.pick(&self.groups)?;
        bed.store.group(id).await.ok()
    }

    fn scope(&self, dice: &mut Dice) -> Option<WideScope> {
        match dice.roll(4) {
            0 => Some(WideScope::Global),
            1 => dice.pick(&self.homes).copied().map(WideScope::Workspace),
            2 => dice.pick(&self.projects).copied().map(WideScope::Project),
            _ => dice.pick(&self.clusters).copied().map(WideScope::Cluster),
        }
    }

    fn somebody(&self, dice: &mut Dice) -> Grantee {
        match dice.roll(3) {
            0 => email(["carol", "dora", "eve"][dice.roll(3)]),
            1 => dice.pick(&self.people).map_or_else(devs, |person| Grantee::Person(person.id)),
            _ => Grantee::Group(provider("dex"), ["devs", "ops", "night"][dice.roll(3)].into()),
        }
    }

    /// Does one thing. What cannot be done as things are is refused, and that is all right.
    async fn step(&mut self, bed: &Bed, dice: &mut Dice) -> Result<(), StoreError> {
        match dice.roll(16) {
            0 => {
                let home = [None, Some(self.homes[0]), Some(self.homes[1])][dice.roll(3)];
                let name = self.name();
                self.groups.push(bed.group(home, &name, self.alice.id).await.id);
            }
            1..=4 => {
                let (group, who) = (self.some_group(bed, dice).await, self.somebody(dice));
                if let Some(group) = group {
                    bed.put_into(&group, who).await?;
                }
            }
            5 => {
                if let Some(group) = self.some_group(bed, dice).await {
                    let members = bed.store.group_members(group.id).await?;
                    if let Some((member, _)) = dice.pick(&members) {
                        bed.take_out_of(&group, &member.who).await?;
                    }
                }
            }
            6..=8 => {
                let (group, scope) = (self.some_group(bed, dice).await, self.scope(dice));
                if let Some((group, scope)) = group.zip(scope) {
                    let role = [Role::View, Role::Edit][dice.roll(2)].clone();
                    let mut given = new(&group, scope, role);
                    if matches!(scope, WideScope::Cluster(_)) && dice.roll(2) == 0 {
                        given.namespaces = vec!["shop".parse().unwrap()];
                    }
                    bed.store.give_to_group(&given, &group, draft(Action::GrantAdded), NOW).await?;
                    self.given.push(given.id);
                }
            }
            9 => {
                if let Some(id) = dice.pick(&self.given) {
                    bed.end_wide(*id).await;
                }
            }
            10 => {
                if let Some(group) = self.some_group(bed, dice).await.filter(|_| dice.roll(3) == 0) {
                    bed.store.remove_group(&group, draft(Action::GroupRemoved), NOW).await?;
                }
            }
            11 => {
                let (cluster, to) = (*dice.pick(&self.clusters).unwrap(), self.homes[dice.roll(2)]);
                bed.store.move_cluster(cluster, to, draft(Action::ClusterMoved), NOW).await?;
            }
            12 => {
                let cluster = *dice.pick(&self.clusters).unwrap();
                let labels = ["", "env=prod"][dice.roll(2)].parse().unwrap();
                bed.store.set_labels(cluster, &labels, draft(Action::ClusterLabelled), NOW).await?;
            }
            13 => {
                let name = self.name();
                let project = NewProject {
                    id: ProjectId::new(),
                    workspace: self.homes[dice.roll(2)],
                    name: name.parse().unwrap(),
                    namespace: "shop".parse().unwrap(),
                    placement: Placement::Labelled("env=prod".parse().unwrap()),
                    takes: Takes::default(),
                    created_by: self.alice.id,
                };
                bed.store.add_project(&project, draft(Action::ProjectAdded), NOW).await?;
                self.projects.push(project.id);
            }
            14 => {
                let mut who = claims(["carol", "dora", "eve"][dice.roll(3)]);
                if dice.roll(4) == 0 {
                    who.sub = "an heir".into();
                }
                let person = bed.signs_in(&who).await;
                if !self.people.iter().any(|p| p.id == person.id) {
                    self.people.push(person);
                }
            }
            _ => {
                let name = self.name();
                if self.clusters.len() < 5 {
                    self.clusters.push(bed.cluster_of(&self.alice, &name).await.id);
                } else if let Some(project) = dice.pick(&self.projects).copied() {
                    bed.store.remove_project(project, draft(Action::ProjectRemoved), NOW).await?;
                    self.projects.retain(|id| *id != project);
                }
            }
        }
        Ok(())
    }

    /// What should be there, reckoned from what the pages show: who is in which group, and what was given to it.
    async fn reckon(&self, bed: &Bed) -> BTreeSet<(FederatedGrantId, ClusterId, String, String)> {
        let mut clusters = Vec::new();
        for id in &self.clusters {
            clusters.push(bed.store.cluster(*id).await.unwrap());
        }
        let mut wanted = BTreeSet::new();
        for id in &self.given {
            let grant = bed.store.federated_grant(*id).await.unwrap();
            let Some(group) = grant.grantee.group().filter(|_| grant.ended.is_none()) else { continue };
            let members = bed.store.group_members(group).await.unwrap();
            for cluster in &clusters {
                let place = match grant.scope {
                    WideScope::Global => Some("the whole cluster".to_owned()),
                    WideScope::Workspace(id) => (cluster.workspace == id).then(|| "the whole cluster".to_owned()),
                    WideScope::Project(id) => {
                        let project = bed.store.project(id).await.unwrap();
                        let there = cluster.workspace == project.workspace && cluster.labels.to_string() == "env=prod";
                        there.then(|| "namespace shop".to_owned())
                    }
                    WideScope::Cluster(id) => (cluster.id == id).then(|| match grant.namespaces.as_slice() {
                        [] => "the whole cluster".to_owned(),
                        _ => "namespace shop".to_owned(),
                    }),
                };
                let Some(place) = place else { continue };
                wanted.extend(members.iter().map(|(m, _)| (*id, cluster.id, words(&m.who), place.clone())));
            }
        }
        wanted
    }

    async fn found(&self, bed: &Bed) -> BTreeSet<(FederatedGrantId, ClusterId, String, String)> {
        let mut found = BTreeSet::new();
        for id in &self.given {
            found
                .extend(bed.written_for(*id).await.into_iter().map(|(cluster, who, place)| (*id, cluster, who, place)));
        }
        found
    }
}

async fn what_is_written_out_is_members_times_grants_whatever_happened(bed: Bed) {
    const STEPS: usize = 220;
    let (mut world, mut dice) = (World::begin(&bed).await, Dice(if bed.is_sqlite() { 11 } else { 4_711 }));
    let (mut most, mut refused) = (0, 0);
    for step in 0..STEPS {
        match world.step(&bed, &mut dice).await {
            Ok(()) => {}
            Err(StoreError::Duplicate(_) | StoreError::NotFound | StoreError::Stale) => refused += 1,
            Err(other) => panic!("step {step}: {other}"),
        }
        let (wanted, found) = (world.reckon(&bed).await, world.found(&bed).await);
        assert_eq!(found, wanted, "after step {step}");
        // Nothing lives besides, of a group that is gone or a grant that ended.
        assert_eq!(bed.live_by_groups().await, i64::try_from(wanted.len()).unwrap(), "after step {step}");
        most = most.max(wanted.len());
    }
    assert!(most > 20 && refused < STEPS / 2, "it tried too little: {most} at most, {refused} refused");
}
