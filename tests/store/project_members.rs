//! Who is what in a project, by themselves, by a group and by its workspace.

use kubelend::{
    model::{
        audit::Action,
        cluster::Removal,
        federation::WideScope,
        grant::Grantee,
        id::{FederatedGrantId, ProjectId, WorkspaceId},
        identity::Identity,
        project::{Membership, NamespaceWish, Placement, Takes},
        role::Role,
        workspace::{Member, MemberRole},
    },
    store::{NewCluster, NewFederatedGrant, NewProject, NewWorkspace, StoreError},
};

use super::bed::{Bed, NOW, claims, draft, later, new_cluster, provider};

use MemberRole::{Editor, Owner, Viewer};

both!(
    immune_28_somebody_is_in_a_project_the_strongest_of_what_reaches_them_and_nothing_in_another,
    immune_20_a_member_who_is_removed_is_none_at_once_and_that_may_be_repeated,
    whom_a_project_takes_over_is_kept_and_told_once,
    immune_32_an_address_in_a_project_becomes_the_person_and_nobody_who_has_it_later,
    immune_20_members_go_with_their_project_and_nobody_joins_what_is_being_deleted,
    five_hundred_are_the_most_in_a_project,
    immune_28_a_namespace_is_ours_by_the_mark_that_was_drawn_for_it_and_then_by_its_uid,
    nothing_is_begun_for_a_project_that_does_not_say_so,
);

fn person(identity: &Identity) -> Grantee {
    Grantee::Person(identity.id)
}

fn email(name: &str) -> Grantee {
    Grantee::Email(provider("dex"), format!("{name}@example.com").parse().unwrap())
}

fn group(name: &str) -> Grantee {
    Grantee::Group(provider("dex"), name.into())
}

impl Bed {
    async fn home(&self, maker: &Identity) -> WorkspaceId {
        let name = "Payments".parse().unwrap();
        let new = NewWorkspace { id: WorkspaceId::new(), name, created_by: maker.id, most: None };
        self.store.create_workspace(&new, draft(Action::WorkspaceCreated), NOW).await.unwrap();
        new.id
    }

    async fn project_in(&self, home: WorkspaceId, name: &str, by: &Identity) -> ProjectId {
        let new = NewProject {
            id: ProjectId::new(),
            workspace: home,
            name: name.parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            placement: Placement::All,
            takes: Takes::default(),
            created_by: by.id,
        };
        self.store.add_project(&new, draft(Action::ProjectAdded), NOW).await.unwrap().id
    }

    async fn joins(&self, project: ProjectId, who: Grantee, role: MemberRole) -> Result<(), StoreError> {
        let by = self.store.project(project).await?.created_by;
        let member = Member { who, role, since: NOW, by };
        self.store.add_project_member(project, &member, draft(Action::ProjectMemberAdded), NOW).await
    }

    async fn within(&self, project: ProjectId, who: &Identity) -> Membership {
        self.store.membership_in_project(project, who).await.unwrap()
    }

    async fn those_in(&self, project: ProjectId) -> Vec<(Grantee, MemberRole)> {
        let members = self.store.project_members(project).await.unwrap();
        members.into_iter().map(|(member, _)| (member.who, member.role)).collect()
    }
}

fn only(project: Option<MemberRole>) -> Membership {
    Membership { workspace: None, project }
}

async fn immune_28_somebody_is_in_a_project_the_strongest_of_what_reaches_them_and_nothing_in_another(bed: Bed) {
    let alice = bed.person("alice").await;
    let mut of_bob = claims("bob");
    of_bob.groups = (0..70).map(|n| format!("g{n}")).collect();
    let bob = bed.signs_in(&of_bob).await;
    let home = bed.home(&alice).await;
    let (shop, bank) = (bed.project_in(home, "Shop", &alice).await, bed.project_in(home, "Bank", &alice).await);
    assert_eq!(bed.within(shop, &bob).await, Membership::default());
    bed.joins(shop, group("g69"), Viewer).await.unwrap();
    bed.joins(shop, group("G3"), Owner).await.unwrap();
    assert_eq!(bed.within(shop, &bob).await, only(Some(Viewer)), "group names have case");
    bed.joins(shop, group("g7"), Editor).await.unwrap();
    assert_eq!(bed.within(shop, &bob).await, only(Some(Editor)));
    bed.joins(shop, person(&bob), Viewer).await.unwrap();
    assert_eq!(bed.within(shop, &bob).await, only(Some(Editor)));
    assert_eq!(bed.within(bank, &bob).await, Membership::default());
    // Being one in the project is nothing in the workspace, and the other way round each is told apart.
    assert_eq!(bed.store.membership(home, &bob).await.unwrap(), None);
    assert!(bed.store.memberships_of(&bob).await.unwrap().is_empty());
    assert_eq!(bed.within(shop, &alice).await, Membership::from(Some(Owner)));
    let mine = bed.store.projects_of_member(&bob).await.unwrap();
    assert_eq!(mine.iter().map(|(p, role)| (p.id, *role)).collect::<Vec<_>>(), [(shop, Editor)]);
    assert!(bed.store.projects_of_member(&alice).await.unwrap().is_empty(), "her workspace leads there");
    let again = bed.joins(shop, person(&bob), Owner).await;
    assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    assert_eq!(bed.those_in(shop).await[0], (group("G3"), Owner), "owners stand first");
}

async fn immune_20_a_member_who_is_removed_is_none_at_once_and_that_may_be_repeated(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let home = bed.home(&alice).await;
    let shop = bed.project_in(home, "Shop", &alice).await;
    bed.joins(shop, person(&bob), Owner).await.unwrap();
    let to = Member { who: person(&bob), role: Viewer, since: later(1), by: alice.id };
    for _ in 0..2 {
        bed.store.change_project_member(shop, &to, draft(Action::ProjectMemberChanged), later(1)).await.unwrap();
    }
    assert_eq!((bed.within(shop, &bob).await, bed.events(Action::ProjectMemberChanged).await), (only(Some(Viewer)), 1));
    for _ in 0..2 {
        let event = draft(Action::ProjectMemberRemoved);
        bed.store.remove_project_member(shop, &person(&bob), event, later(2)).await.unwrap();
        assert_eq!(bed.within(shop, &bob).await, Membership::default());
    }
    assert_eq!(bed.events(Action::ProjectMemberRemoved).await, 1);
    let gone = bed.store.change_project_member(shop, &to, draft(Action::ProjectMemberChanged), later(3)).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    let told = bed.store.audit_of_workspace(home, None, 10).await.unwrap();
    assert_eq!(told[0].action, Action::ProjectMemberRemoved, "the workspace's activity has it");
}

async fn whom_a_project_takes_over_is_kept_and_told_once(bed: Bed) {
    let alice = bed.person("alice").await;
    let home = bed.home(&alice).await;
    let shop = bed.project_in(home, "Shop", &alice).await;
    assert_eq!(bed.store.project(shop).await.unwrap().takes, Takes { editors: true, viewers: true });
    let takes = Takes { editors: false, viewers: true };
    for _ in 0..2 {
        bed.store.set_takes(shop, takes, draft(Action::ProjectTakesChanged), NOW).await.unwrap();
    }
    assert_eq!(bed.store.project(shop).await.unwrap().takes, takes);
    assert_eq!(bed.store.projects_of(home).await.unwrap()[0].takes, takes);
    assert_eq!(bed.events(Action::ProjectTakesChanged).await, 1);
    let gone = bed.store.set_takes(ProjectId::new(), takes, draft(Action::ProjectTakesChanged), NOW).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

async fn immune_32_an_address_in_a_project_becomes_the_person_and_nobody_who_has_it_later(bed: Bed) {
    let alice = bed.person("alice").await;
    let home = bed.home(&alice).await;
    let shop = bed.project_in(home, "Shop", &alice).await;
    let bank = bed.project_in(home, "Bank", &alice).await;
    bed.joins(shop, Grantee::Email(provider("dex"), "Bob@Example.com".parse().unwrap()), Editor).await.unwrap();
    let mut unverified = claims("bob");
    unverified.email_verified = false;
    let bob = bed.signs_in(&unverified).await;
    assert_eq!(bed.within(shop, &bob).await, Membership::default());
    let bob = bed.person("bob").await;
    assert_eq!(bed.within(shop, &bob).await, only(Some(Editor)));
    // What is promised to the address once it has had two holders is nobody's, and that is told.
    bed.joins(bank, email("bob"), Owner).await.unwrap();
    let mut heir = claims("bob");
    heir.sub = "somebody else".into();
    let heir = bed.signs_in(&heir).await;
    assert_eq!((bed.within(shop, &heir).await, bed.within(bank, &heir).await), Default::default());
    assert_eq!(bed.events(Action::ProjectMemberDoubted).await, 1);
    // An owner says whom they mean.
    bed.joins(bank, person(&heir), Viewer).await.unwrap();
    assert_eq!(bed.those_in(bank).await, [(person(&heir), Viewer)]);
}

async fn immune_20_members_go_with_their_project_and_nobody_joins_what_is_being_deleted(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let home = bed.home(&alice).await;
    let (shop, bank) = (bed.project_in(home, "Shop", &alice).await, bed.project_in(home, "Bank", &alice).await);
    bed.joins(shop, person(&bob), Editor).await.unwrap();
    bed.store.remove_project(shop, draft(Action::ProjectRemoved), NOW).await.unwrap();
    assert_eq!(bed.within(shop, &bob).await, Membership::default());
    assert!(bed.store.projects_of_member(&bob).await.unwrap().is_empty());
    let gone = bed.joins(shop, person(&bob), Viewer).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    let new = NewCluster { workspace: Some(home), ..new_cluster("staging") };
    bed.store.add_cluster(&new, "unused", alice.id, draft(Action::ClusterAdded), NOW).await.unwrap();
    let (event, of_cluster) = (draft(Action::WorkspaceRemovalAsked), draft(Action::ClusterRemovalAsked));
    bed.store.ask_workspace_removal(home, Removal::Purge, event, of_cluster, NOW).await.unwrap();
    let going = bed.joins(bank, person(&bob), Viewer).await;
    assert!(matches!(going, Err(StoreError::Stale)), "{going:?}");
}

async fn five_hundred_are_the_most_in_a_project(bed: Bed) {
    let alice = bed.person("alice").await;
    let home = bed.home(&alice).await;
    let shop = bed.project_in(home, "Shop", &alice).await;
    for n in 0..500 {
        bed.joins(shop, group(&format!("g{n}")), Viewer).await.unwrap();
    }
    let full = bed.joins(shop, group("one more"), Viewer).await;
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
}

impl Bed {
    /// A project with a grant in it on one cluster.
    async fn shop_with_a_grant(&self) -> (ProjectId, kubelend::model::cluster::Cluster, FederatedGrantId) {
        let alice = self.person("alice").await;
        let cluster = self.cluster_of(&alice, "staging").await;
        let shop = self.project_in(cluster.workspace, "Shop", &alice).await;
        let new = NewFederatedGrant {
            id: FederatedGrantId::new(),
            scope: WideScope::Project(shop),
            namespaces: Vec::new(),
            grantee: group("devs").into(),
            role: Role::View,
            expires_at: None,
            reason: None,
            created_by: alice.id,
        };
        let grant = self.store.add_federated_grant(&new, draft(Action::GrantAdded), NOW).await.unwrap();
        (shop, cluster, grant.id)
    }

    async fn makes(&self, project: ProjectId, makes: bool) {
        let event = draft(Action::ProjectNamespaceAsked);
        self.store.set_makes_namespace(project, makes, event, NOW).await.unwrap();
    }

    async fn wish(&self, grant: FederatedGrantId, cluster: &kubelend::model::cluster::Cluster) -> NamespaceWish {
        self.store.namespace_wish(grant, cluster.id).await.unwrap().unwrap()
    }
}

async fn immune_28_a_namespace_is_ours_by_the_mark_that_was_drawn_for_it_and_then_by_its_uid(bed: Bed) {
    let (shop, cluster, grant) = bed.shop_with_a_grant().await;
    bed.makes(shop, true).await;
    let seen = bed.wish(grant, &cluster).await;
    assert!(seen.makes && seen.begun.is_none() && seen.uid.is_none());
    let mark = bed.store.begin_namespace(&seen, cluster.id).await.unwrap().unwrap();
    // Of two at once the second one goes on with the first one's mark, so whoever made it, it is known.
    assert_eq!(bed.store.begin_namespace(&seen, cluster.id).await.unwrap().as_deref(), Some(mark.as_str()));
    assert_eq!(bed.wish(grant, &cluster).await.begun.as_deref(), Some(mark.as_str()));
    assert!(bed.store.made_namespaces(shop).await.unwrap().is_empty());
    for _ in 0..2 {
        bed.store.keep_namespace(&seen, cluster.id, &mark, "u1", later(1)).await.unwrap();
    }
    assert_eq!(bed.events(Action::NamespaceMade).await, 1);
    let made = bed.store.made_namespaces(shop).await.unwrap();
    assert_eq!((made.len(), made[0].uid.as_str(), made[0].on.as_str(), made[0].at), (1, "u1", "staging", later(1)));
    // Whoever saw it missing before it was made makes nothing, and forgets nothing.
    assert_eq!(bed.store.begin_namespace(&seen, cluster.id).await.unwrap(), None);
    bed.store.forget_namespace(&seen, cluster.id, &mark).await.unwrap();
    assert_eq!(bed.store.made_namespaces(shop).await.unwrap().len(), 1);
    // Gone from the cluster and made anew, it is another one under another mark.
    let seen = bed.wish(grant, &cluster).await;
    let other = bed.store.begin_namespace(&seen, cluster.id).await.unwrap().unwrap();
    assert_ne!(other, mark);
    bed.store.keep_namespace(&seen, cluster.id, &mark, "forged", NOW).await.unwrap();
    assert_eq!(bed.wish(grant, &cluster).await.begun.as_deref(), Some(other.as_str()));
    // Somebody else had made it: then nothing is ours.
    bed.store.forget_namespace(&seen, cluster.id, &other).await.unwrap();
    let seen = bed.wish(grant, &cluster).await;
    assert_eq!((seen.begun, seen.uid), (None, None));
}

async fn nothing_is_begun_for_a_project_that_does_not_say_so(bed: Bed) {
    let (shop, cluster, grant) = bed.shop_with_a_grant().await;
    let seen = bed.wish(grant, &cluster).await;
    assert!(!seen.makes);
    assert_eq!(bed.store.begin_namespace(&seen, cluster.id).await.unwrap(), None);
    for makes in [true, true, false] {
        bed.makes(shop, makes).await;
    }
    assert_eq!(bed.events(Action::ProjectNamespaceAsked).await, 2);
    assert_eq!(bed.store.begin_namespace(&seen, cluster.id).await.unwrap(), None, "it was turned off meanwhile");
    bed.makes(shop, true).await;
    bed.store.begin_namespace(&seen, cluster.id).await.unwrap().unwrap();
    bed.store.remove_project(shop, draft(Action::ProjectRemoved), NOW).await.unwrap();
    assert!(bed.store.made_namespaces(shop).await.unwrap().is_empty());
    assert!(bed.store.namespace_wish(grant, cluster.id).await.unwrap().is_none());
}
