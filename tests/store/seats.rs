//! Groups of our own as members of workspaces and of projects.

use kubelend::{
    model::{
        audit::Action,
        grant::Grantee,
        group::{Group, GroupMember},
        id::{GroupId, ProjectId, WorkspaceId},
        identity::Identity,
        project::{Placement, Takes},
        workspace::{MemberRole, Seats},
    },
    store::{NewGroup, NewProject, NewSeat, NewWorkspace, StoreError, Trail, TrailFilter},
};

use super::bed::{Bed, NOW, claims, draft, later, provider};

use MemberRole::{Editor, Owner, Viewer};

both!(
    immune_20_whoever_is_in_a_group_is_a_member_until_they_are_taken_out,
    immune_28_only_a_kept_group_is_a_member_and_it_stays_kept,
    a_group_that_is_a_member_is_changed_and_ends_once,
    immune_28_a_group_of_another_workspace_is_no_member,
    a_group_that_is_deleted_ends_its_memberships_each_with_its_event,
    immune_28_of_joining_a_group_and_making_it_a_member_the_second_is_refused_where_it_raises,
);

struct Home {
    workspace: WorkspaceId,
    project: ProjectId,
    alice: Identity,
}

impl Bed {
    async fn house(&self) -> Home {
        let alice = self.person("alice").await;
        let (id, name) = (WorkspaceId::new(), "Payments".parse().unwrap());
        let new = NewWorkspace { id, name, created_by: alice.id, most: None };
        self.store.create_workspace(&new, draft(Action::WorkspaceCreated), NOW).await.unwrap();
        let new = NewProject {
            id: ProjectId::new(),
            workspace: id,
            name: "Shop".parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement: Placement::All,
            takes: Takes::default(),
            created_by: alice.id,
        };
        let project = self.store.add_project(&new, draft(Action::ProjectAdded), NOW).await.unwrap().id;
        Home { workspace: id, project, alice }
    }

    async fn ops(&self, home: &Home, name: &str, workspace: Option<WorkspaceId>, owners_only: bool) -> Group {
        let id = GroupId::new();
        let new = NewGroup { id, workspace, name: name.parse().unwrap(), owners_only, created_by: home.alice.id };
        self.store.add_group(&new, draft(Action::GroupAdded), NOW).await.unwrap();
        self.store.group(id).await.unwrap()
    }

    async fn seat(&self, seats: Seats, group: &Group, role: MemberRole) -> Result<(), StoreError> {
        self.store
            .seat_group(
                seats,
                group,
                NewSeat { role, by: group.created_by, raises: false },
                draft(Action::SeatAdded),
                NOW,
            )
            .await
    }

    async fn takes_in(&self, group: &Group, who: Grantee) {
        let member = GroupMember { who, since: NOW, by: group.created_by };
        self.store.add_group_member(group, &member, false, draft(Action::GroupMemberAdded), NOW).await.unwrap();
    }
}

async fn immune_20_whoever_is_in_a_group_is_a_member_until_they_are_taken_out(bed: Bed) {
    let home = bed.house().await;
    let mut of_bob = claims("bob");
    of_bob.groups = vec!["night".into()];
    let bob = bed.signs_in(&of_bob).await;
    let ops = bed.ops(&home, "Ops", Some(home.workspace), true).await;
    let (workspace, project) = (Seats::Workspace(home.workspace), Seats::Project(home.project));
    bed.seat(workspace, &ops, Viewer).await.unwrap();
    bed.seat(project, &ops, Editor).await.unwrap();
    let is = async || {
        let there = bed.store.membership_in_project(home.project, &bob).await.unwrap();
        let around = bed.store.membership(home.workspace, &bob).await.unwrap();
        assert_eq!(around, there.workspace);
        assert_eq!(bed.store.memberships_of(&bob).await.unwrap().get(&home.workspace).copied(), around);
        let own = bed.store.projects_of_member(&bob).await.unwrap();
        assert_eq!(own.first().map(|(_, role)| *role), there.project);
        (there.workspace, there.project)
    };
    assert_eq!(is().await, (None, None));
    bed.takes_in(&ops, Grantee::Person(bob.id)).await;
    bed.takes_in(&ops, Grantee::Group(provider("dex"), "night".into())).await;
    assert_eq!(is().await, (Some(Viewer), Some(Editor)));
    let take_out = async |who: Grantee| {
        bed.store.remove_group_member(&ops, &who, draft(Action::GroupMemberRemoved), NOW).await.unwrap();
    };
    take_out(Grantee::Person(bob.id)).await;
    assert_eq!(is().await, (Some(Viewer), Some(Editor)), "by the provider's group that is in it");
    take_out(Grantee::Group(provider("dex"), "night".into())).await;
    assert_eq!(is().await, (None, None));
    // An address in it is nobody until a verified sign-in.
    bed.takes_in(&ops, Grantee::Email(provider("dex"), "carol@example.com".parse().unwrap())).await;
    let carol = bed.person("carol").await;
    assert_eq!(bed.store.membership(home.workspace, &carol).await.unwrap(), Some(Viewer));
    // And it all goes with the Group.
    bed.store.remove_group(&ops, draft(Action::GroupRemoved), NOW).await.unwrap();
    assert_eq!(bed.store.membership(home.workspace, &carol).await.unwrap(), None);
    assert!(bed.store.seated_groups(workspace).await.unwrap().is_empty());
}

async fn immune_28_only_a_kept_group_is_a_member_and_it_stays_kept(bed: Bed) {
    let home = bed.house().await;
    let open = bed.ops(&home, "Open", Some(home.workspace), false).await;
    let seats = Seats::Project(home.project);
    let refused = bed.seat(seats, &open, Viewer).await;
    assert!(matches!(refused, Err(StoreError::Held)), "{refused:?}");
    let kept = bed.ops(&home, "Kept", Some(home.workspace), true).await;
    bed.seat(seats, &kept, Owner).await.unwrap();
    let name = "Kept".parse().unwrap();
    let opened = bed.store.change_group(&kept, &name, false, draft(Action::GroupChanged), NOW).await;
    assert!(matches!(opened, Err(StoreError::Held)), "{opened:?}");
    // What was seen counts: one that was opened meanwhile is no member.
    bed.store.unseat_group(seats, kept.id, draft(Action::SeatRemoved), NOW).await.unwrap();
    bed.store.change_group(&kept, &name, false, draft(Action::GroupChanged), NOW).await.unwrap();
    let stale = bed.seat(seats, &kept, Owner).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
    let of_all = bed.ops(&home, "All", None, false).await;
    bed.seat(seats, &of_all, Viewer).await.unwrap();
    assert_eq!(bed.store.seats_of(of_all.id).await.unwrap(), ["the project Shop: viewer"]);
}

async fn a_group_that_is_a_member_is_changed_and_ends_once(bed: Bed) {
    let home = bed.house().await;
    let seats = Seats::Workspace(home.workspace);
    let ops = bed.ops(&home, "Ops", Some(home.workspace), true).await;
    for role in [Viewer, Viewer, Editor] {
        bed.seat(seats, &ops, role).await.unwrap();
    }
    assert_eq!(bed.events(Action::SeatAdded).await, 2, "the same again is no change");
    let listed = bed.store.seated_groups(seats).await.unwrap();
    assert_eq!((listed.len(), listed[0].role, listed[0].members, &listed[0].group), (1, Editor, 0, &ops));
    assert_eq!(bed.store.count_in_workspaces(&[home.workspace]).await.unwrap()[0].1.groups, 1);
    for _ in 0..2 {
        bed.store.unseat_group(seats, ops.id, draft(Action::SeatRemoved), later(1)).await.unwrap();
    }
    assert_eq!(bed.events(Action::SeatRemoved).await, 1);
    for n in 0..50 {
        let group = bed.ops(&home, &format!("g{n}"), Some(home.workspace), true).await;
        bed.seat(seats, &group, Viewer).await.unwrap();
    }
    let full = bed.seat(seats, &ops, Viewer).await;
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
}

async fn a_group_that_is_deleted_ends_its_memberships_each_with_its_event(bed: Bed) {
    let home = bed.house().await;
    let ops = bed.ops(&home, "Ops", None, false).await;
    for (seats, role) in [(Seats::Workspace(home.workspace), Editor), (Seats::Project(home.project), Owner)] {
        bed.seat(seats, &ops, role).await.unwrap();
    }
    for _ in 0..2 {
        bed.store.remove_group(&ops, draft(Action::GroupRemoved), later(1)).await.unwrap();
    }
    let trail = bed.store.trail(Trail::Workspace(home.workspace), &TrailFilter::default(), None, 100).await.unwrap();
    let ended = trail.events.iter().filter(|event| event.action == Action::SeatRemoved);
    let mut said: Vec<&str> = ended.map(|event| event.target.as_str()).collect();
    said.sort_unstable();
    assert_eq!(said, ["Kubelend group Ops of Payments: editor", "Kubelend group Ops of the project Shop: owner"]);
}

async fn immune_28_a_group_of_another_workspace_is_no_member(bed: Bed) {
    let home = bed.house().await;
    let away = bed.cluster().await.workspace;
    let theirs = bed.ops(&home, "Theirs", Some(away), true).await;
    for seats in [Seats::Workspace(home.workspace), Seats::Project(home.project)] {
        let refused = bed.seat(seats, &theirs, Viewer).await;
        assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    }
    let gone = bed.seat(Seats::Project(ProjectId::new()), &theirs, Viewer).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

async fn immune_28_of_joining_a_group_and_making_it_a_member_the_second_is_refused_where_it_raises(bed: Bed) {
    let home = bed.house().await;
    let alice = Grantee::Person(home.alice.id);
    for seats in [Seats::Workspace(home.workspace), Seats::Project(home.project)] {
        let ops = bed
            .ops(&home, if matches!(seats, Seats::Project(_)) { "Ops" } else { "Night" }, Some(home.workspace), true)
            .await;
        let (joins, member) =
            (draft(Action::GroupMemberAdded), GroupMember { who: alice.clone(), since: NOW, by: home.alice.id });
        let seat = async |raises| {
            let new = NewSeat { role: Owner, by: home.alice.id, raises };
            bed.store.seat_group(seats, &ops, new, draft(Action::SeatAdded), NOW).await
        };
        // What was decided before the other came is decided again.
        seat(true).await.unwrap();
        let joined = bed.store.add_group_member(&ops, &member, true, joins, NOW).await;
        assert!(matches!(joined.unwrap_err(), StoreError::Stale));
        bed.store.unseat_group(seats, ops.id, draft(Action::SeatRemoved), NOW).await.unwrap();
        bed.takes_in(&ops, alice.clone()).await;
        assert!(matches!(seat(true).await.unwrap_err(), StoreError::Stale));
        seat(false).await.unwrap();
    }
}
