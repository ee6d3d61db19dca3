//! Workspaces: making, renaming and deleting one, who is what in it, and moving clusters.

use std::num::NonZeroU32;

use kubelend::{
    crypto::HashedToken,
    model::{
        audience::Audience,
        audit::Action,
        cluster::Removal,
        grant::Grantee,
        id::{InvitationId, WorkspaceId},
        identity::Identity,
        invitation::Invitation,
        workspace::{Member, MemberRole},
    },
    store::{Joined, NewCluster, NewInvitation, NewWorkspace, StoreError},
};

use super::bed::{Bed, MINUTE, NOW, claims, draft, later, new_cluster, provider};

use MemberRole::{Editor, Owner, Viewer};

both!(
    a_workspace_is_made_with_its_maker_as_owner,
    a_maker_has_no_two_of_one_name_and_no_more_than_the_limit,
    ten_made_at_once_stay_within_the_limit,
    immune_28_somebody_is_the_strongest_of_what_reaches_them,
    a_member_is_changed_and_removed_and_that_may_be_repeated,
    immune_33_the_last_owner_stays,
    immune_33_of_two_owners_who_go_at_once_one_stays,
    immune_32_an_email_becomes_the_person_at_the_first_verified_sign_in,
    immune_32_an_email_that_changed_hands_gives_nothing_until_it_is_confirmed,
    immune_32_two_providers_share_no_membership,
    a_promise_to_an_email_never_weakens_a_membership,
    people_see_their_own_workspaces_and_clusters,
    immune_28_an_invitation_is_accepted_once_by_those_it_is_for,
    immune_25_two_who_want_the_last_use_of_an_invitation_get_one,
    immune_20_invitations_end_with_their_makers_ownership,
    a_workspace_goes_with_its_last_cluster,
    a_workspace_without_clusters_goes_at_once,
    immune_20_a_workspace_that_goes_takes_nothing_new,
    a_cluster_moves_with_all_that_was_given_on_it,
    what_the_version_before_made_is_taken_over,
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
    async fn workspace(&self, maker: &Identity, name: &str) -> WorkspaceId {
        let new =
            NewWorkspace { id: WorkspaceId::new(), name: name.parse().unwrap(), created_by: maker.id, most: None };
        self.store.create_workspace(&new, draft(Action::WorkspaceCreated), NOW).await.unwrap();
        new.id
    }

    async fn join(&self, workspace: WorkspaceId, who: Grantee, role: MemberRole) -> Result<(), StoreError> {
        let by = self.store.workspace(workspace).await?.created_by.unwrap();
        let member = Member { who, role, since: NOW, by };
        self.store.add_member(workspace, &member, draft(Action::MemberAdded), NOW).await
    }

    async fn becomes(&self, workspace: WorkspaceId, who: Grantee, role: MemberRole) -> Result<(), StoreError> {
        let by = self.store.workspace(workspace).await?.created_by.unwrap();
        let member = Member { who, role, since: later(1), by };
        self.store.change_member(workspace, &member, draft(Action::MemberChanged), later(1)).await
    }

    async fn leaves(&self, workspace: WorkspaceId, who: &Grantee) -> Result<(), StoreError> {
        self.store.remove_member(workspace, who, draft(Action::MemberRemoved), NOW).await
    }

    async fn is(&self, workspace: WorkspaceId, who: &Identity) -> Option<MemberRole> {
        self.store.membership(workspace, who).await.unwrap()
    }

    async fn listed(&self, workspace: WorkspaceId) -> Vec<(Grantee, MemberRole)> {
        self.store.members(workspace).await.unwrap().into_iter().map(|(m, _)| (m.who, m.role)).collect()
    }

    async fn delete(&self, workspace: WorkspaceId, how: Removal) {
        let (event, of_cluster) = (draft(Action::WorkspaceRemovalAsked), draft(Action::ClusterRemovalAsked));
        self.store.ask_workspace_removal(workspace, how, event, of_cluster, NOW).await.unwrap();
    }
}

async fn a_workspace_is_made_with_its_maker_as_owner(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = bed.workspace(&alice, "Payments").await;
    let made = bed.store.workspace(id).await.unwrap();
    assert_eq!((made.name.as_str(), made.created_by, made.removing), ("Payments", Some(alice.id), None));
    assert_eq!(bed.listed(id).await, [(person(&alice), Owner)]);
    assert_eq!(bed.store.members(id).await.unwrap()[0].1.as_ref(), Some(&alice));
    assert_eq!(bed.events(Action::WorkspaceCreated).await, 1);
    let rename = async |name: &str| {
        let name = name.parse().unwrap();
        bed.store.rename_workspace(id, &name, draft(Action::WorkspaceRenamed), later(1)).await.unwrap();
    };
    rename("PAYMENTS").await;
    rename("PAYMENTS").await;
    assert_eq!(bed.store.workspace(id).await.unwrap().name, "PAYMENTS");
    assert_eq!(bed.events(Action::WorkspaceRenamed).await, 1);
    let told: Vec<_> = bed.store.audit_of_workspace(id, None, 10).await.unwrap().iter().map(|e| e.action).collect();
    assert_eq!(told, [Action::WorkspaceRenamed, Action::WorkspaceCreated]);
}

async fn a_maker_has_no_two_of_one_name_and_no_more_than_the_limit(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let first = bed.workspace(&alice, "Bücher").await;
    bed.workspace(&bob, "Bücher").await;
    let make = async |name: &str, most| {
        let new = NewWorkspace { id: WorkspaceId::new(), name: name.parse().unwrap(), created_by: alice.id, most };
        bed.store.create_workspace(&new, draft(Action::WorkspaceCreated), NOW).await
    };
    assert!(matches!(make("BÜCHER", None).await, Err(StoreError::Duplicate(_))));
    assert!(matches!(make("Other", Some(1)).await, Err(StoreError::Full(_))));
    make("Other", Some(2)).await.unwrap();
    let taken =
        bed.store.rename_workspace(first, &"other".parse().unwrap(), draft(Action::WorkspaceRenamed), NOW).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(_))), "{taken:?}");
    bed.delete(first, Removal::Leave).await;
    make("Bücher", Some(2)).await.unwrap();
    assert_eq!(bed.events(Action::WorkspaceCreated).await, 4);
}

async fn ten_made_at_once_stay_within_the_limit(bed: Bed) {
    let alice = bed.person("alice").await;
    let made = futures_util::future::join_all((0..10).map(|n| {
        let (store, by) = (bed.store.clone(), alice.id);
        tokio::spawn(async move {
            let name = format!("w{n}").parse().unwrap();
            let new = NewWorkspace { id: WorkspaceId::new(), name, created_by: by, most: Some(4) };
            store.create_workspace(&new, draft(Action::WorkspaceCreated), NOW).await
        })
    }))
    .await;
    assert_eq!(made.iter().filter(|done| matches!(done, Ok(Ok(())))).count(), 4);
    assert_eq!(bed.number("SELECT COUNT(*) FROM workspaces").await, 4);
}

async fn immune_28_somebody_is_the_strongest_of_what_reaches_them(bed: Bed) {
    let alice = bed.person("alice").await;
    let mut many = claims("bob");
    many.groups.extend((0..100).map(|n| format!("group-{n}")));
    let bob = bed.signs_in(&many).await;
    let id = bed.workspace(&alice, "Payments").await;
    assert_eq!(bed.is(id, &bob).await, None);
    bed.join(id, group("devs"), Viewer).await.unwrap();
    assert_eq!(bed.is(id, &bob).await, Some(Viewer));
    bed.join(id, group("group-99"), Owner).await.unwrap();
    bed.join(id, person(&bob), Editor).await.unwrap();
    assert_eq!(bed.is(id, &bob).await, Some(Owner));
    assert_eq!(bed.store.memberships_of(&bob).await.unwrap().into_iter().collect::<Vec<_>>(), [(id, Owner)]);
    // Gone from the group at the next sign-in, gone from what it gave. A group of that name elsewhere is another.
    let bob = bed.signs_in(&claims("bob")).await;
    assert_eq!(bed.is(id, &bob).await, Some(Editor));
    let mut elsewhere = claims("eve");
    elsewhere.provider = provider("other");
    elsewhere.issuer = "https://other.example.com".into();
    elsewhere.groups.push("group-99".into());
    let eve = bed.signs_in(&elsewhere).await;
    assert_eq!(bed.is(id, &eve).await, None);
    // Case is a group's own.
    let mut shouting = claims("dan");
    shouting.groups = vec!["DEVS".into(), "nul\0".into()];
    let dan = bed.signs_in(&shouting).await;
    assert_eq!(bed.is(id, &dan).await, None);
}

async fn a_member_is_changed_and_removed_and_that_may_be_repeated(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let id = bed.workspace(&alice, "Payments").await;
    bed.join(id, person(&bob), Viewer).await.unwrap();
    let again = bed.join(id, person(&bob), Editor).await;
    assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    bed.join(id, group("devs"), Viewer).await.unwrap();
    for _ in 0..2 {
        bed.becomes(id, person(&bob), Editor).await.unwrap();
    }
    assert_eq!(bed.listed(id).await, [(person(&alice), Owner), (person(&bob), Editor), (group("devs"), Viewer)]);
    assert_eq!(bed.events(Action::MemberChanged).await, 1);
    for _ in 0..2 {
        bed.leaves(id, &person(&bob)).await.unwrap();
    }
    assert_eq!(bed.events(Action::MemberRemoved).await, 1);
    assert_eq!(bed.number("SELECT COUNT(*) FROM workspace_members").await, 1, "the version before sees it, too");
    let gone = bed.becomes(id, person(&bob), Owner).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

async fn immune_33_the_last_owner_stays(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let id = bed.workspace(&alice, "Payments").await;
    // Neither a group nor an address is anybody for certain.
    bed.join(id, group("devs"), Owner).await.unwrap();
    bed.join(id, email("carol"), Owner).await.unwrap();
    for refused in [bed.leaves(id, &person(&alice)).await, bed.becomes(id, person(&alice), Editor).await] {
        assert!(matches!(refused, Err(StoreError::LastOwner)), "{refused:?}");
    }
    bed.leaves(id, &group("devs")).await.unwrap();
    bed.join(id, person(&bob), Owner).await.unwrap();
    bed.becomes(id, person(&alice), Viewer).await.unwrap();
    let refused = bed.leaves(id, &person(&bob)).await;
    assert!(matches!(refused, Err(StoreError::LastOwner)), "{refused:?}");
    assert_eq!((bed.is(id, &alice).await, bed.is(id, &bob).await), (Some(Viewer), Some(Owner)));
}

async fn immune_33_of_two_owners_who_go_at_once_one_stays(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    for n in 0..5 {
        let id = bed.workspace(&alice, &format!("w{n}")).await;
        bed.join(id, person(&bob), Owner).await.unwrap();
        let leave = |who: &Identity| {
            let (store, who) = (bed.store.clone(), person(who));
            tokio::spawn(async move { store.remove_member(id, &who, draft(Action::MemberRemoved), NOW).await })
        };
        let gone = [leave(&alice), leave(&bob)];
        let gone = futures_util::future::join_all(gone).await;
        assert_eq!(gone.iter().filter(|done| matches!(done, Ok(Ok(())))).count(), 1, "{gone:?}");
        assert_eq!(bed.listed(id).await.len(), 1);
    }
}

async fn immune_32_an_email_becomes_the_person_at_the_first_verified_sign_in(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = bed.workspace(&alice, "Payments").await;
    bed.join(id, Grantee::Email(provider("dex"), "Bob@Example.com".parse().unwrap()), Editor).await.unwrap();
    let mut unverified = claims("bob");
    unverified.email_verified = false;
    let bob = bed.signs_in(&unverified).await;
    assert_eq!(bed.is(id, &bob).await, None);
    let bob = bed.person("bob").await;
    assert_eq!(bed.is(id, &bob).await, Some(Editor));
    assert_eq!(bed.listed(id).await, [(person(&alice), Owner), (person(&bob), Editor)]);
    // It is theirs now, and stays when the address goes to somebody else, who gets nothing.
    let mut heir = claims("bob");
    heir.sub = "somebody else".into();
    let heir = bed.signs_in(&heir).await;
    assert_eq!(bed.is(id, &heir).await, None);
    let bob = bed.store.identity(bob.id).await.unwrap();
    assert_eq!((bob.email.as_ref(), bed.is(id, &bob).await), (None, Some(Editor)));
}

async fn immune_32_an_email_that_changed_hands_gives_nothing_until_it_is_confirmed(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = bed.workspace(&alice, "Payments").await;
    bed.person("bob").await;
    bed.join(id, email("bob"), Editor).await.unwrap();
    let mut heir = claims("bob");
    heir.sub = "somebody else".into();
    for _ in 0..2 {
        let heir = bed.signs_in(&heir).await;
        assert_eq!(bed.is(id, &heir).await, None);
    }
    assert_eq!(bed.events(Action::MemberDoubted).await, 1);
    assert_eq!(bed.listed(id).await[1], (email("bob"), Editor), "an owner sees that it waits");
    // An owner says whom they mean: the address's row has done its duty.
    let heir = bed.store.identity_by_email(&provider("dex"), &"bob@example.com".parse().unwrap()).await.unwrap();
    let heir = heir.unwrap();
    bed.join(id, person(&heir), Viewer).await.unwrap();
    assert_eq!(bed.listed(id).await, [(person(&alice), Owner), (person(&heir), Viewer)]);
}

async fn immune_32_two_providers_share_no_membership(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = bed.workspace(&alice, "Payments").await;
    bed.join(id, email("bob"), Owner).await.unwrap();
    let mut elsewhere = claims("bob");
    elsewhere.provider = provider("other");
    elsewhere.issuer = "https://other.example.com".into();
    let stranger = bed.signs_in(&elsewhere).await;
    assert_eq!(bed.is(id, &stranger).await, None);
    assert_eq!(bed.listed(id).await.len(), 2);
}

async fn a_promise_to_an_email_never_weakens_a_membership(bed: Bed) {
    let alice = bed.person("alice").await;
    let mut bob = claims("bob");
    let known = bed.signs_in(&bob).await;
    let (weaker, stronger) = (bed.workspace(&alice, "a").await, bed.workspace(&alice, "b").await);
    for id in [weaker, stronger] {
        bed.join(id, person(&known), Editor).await.unwrap();
    }
    bed.join(weaker, email("robert"), Viewer).await.unwrap();
    bed.join(stronger, email("robert"), Owner).await.unwrap();
    bob.email = Some("robert@example.com".parse().unwrap());
    let bob = bed.signs_in(&bob).await;
    assert_eq!((bed.is(weaker, &bob).await, bed.is(stronger, &bob).await), (Some(Editor), Some(Owner)));
    assert_eq!(bed.listed(weaker).await.len(), 2);
}

async fn people_see_their_own_workspaces_and_clusters(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    for n in (0..40).rev() {
        let id = bed.workspace(&alice, &format!("w{n:02}")).await;
        if n % 2 == 0 {
            bed.join(id, group("bob-team"), Viewer).await.unwrap();
        }
        let new = NewCluster { workspace: Some(id), ..new_cluster(&format!("c{n:02}")) };
        let added = bed.store.add_cluster(&new, "unused", alice.id, draft(Action::ClusterAdded), NOW).await.unwrap();
        assert_eq!(added.workspace, id);
    }
    let names = async |who: &Identity, all| {
        let seen = bed.store.workspaces_of(who, all).await.unwrap();
        seen.into_iter().map(|(w, role)| (w.name, role)).collect::<Vec<_>>()
    };
    let bobs = names(&bob, false).await;
    assert_eq!((bobs.len(), &bobs[1]), (20, &("w02".to_owned(), Some(Viewer))));
    assert_eq!(names(&bob, true).await.len(), 40);
    assert_eq!(names(&alice, false).await[39], ("w39".to_owned(), Some(Owner)));
    let clusters = bed.store.clusters_of(&bob, false).await.unwrap();
    assert_eq!((clusters.len(), clusters[19].name.as_str()), (20, "c38"));
}

fn invitation(workspace: WorkspaceId, by: &Identity, role: MemberRole, uses: u32) -> NewInvitation {
    NewInvitation {
        invitation: Invitation {
            id: InvitationId::new(),
            workspace,
            role,
            audience: Audience::Listed(provider("dex"), Audience::parse_guests("@example.com").unwrap()),
            expires_at: later(3600),
            max_uses: NonZeroU32::new(uses),
            created_by: by.id,
            created_at: NOW,
            revoked_at: None,
            uses: 0,
        },
        token_hash: HashedToken(kubelend::crypto::random()),
        sealed_token: vec![1, 0, 255],
    }
}

impl Bed {
    async fn invite(&self, new: &NewInvitation) -> InvitationId {
        self.store.add_invitation(new, draft(Action::InvitationCreated), NOW).await.unwrap();
        new.invitation.id
    }

    async fn accept(&self, id: InvitationId, by: &Identity, secs: u64) -> Joined {
        self.store.accept_invitation(id, by, draft(Action::InvitationAccepted), later(secs)).await.unwrap()
    }
}

async fn immune_28_an_invitation_is_accepted_once_by_those_it_is_for(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let id = bed.workspace(&alice, "Payments").await;
    let new = invitation(id, &alice, Editor, 0);
    let link = bed.invite(&new).await;
    assert_eq!(bed.store.invitation(link).await.unwrap(), (new.invitation.clone(), new.sealed_token.clone()));
    assert_eq!(bed.store.invitation_by_token(&new.token_hash).await.unwrap(), new.invitation);
    let mut stranger = claims("eve");
    stranger.email = Some("eve@elsewhere.example".parse().unwrap());
    let eve = bed.signs_in(&stranger).await;
    assert_eq!(bed.accept(link, &eve, 1).await, Joined::Closed);
    for _ in 0..2 {
        assert_eq!(bed.accept(link, &bob, 1).await, Joined::Member);
    }
    assert_eq!(bed.is(id, &bob).await, Some(Editor));
    assert_eq!(bed.store.invitation(link).await.unwrap().0.uses, 1);
    assert_eq!(bed.events(Action::InvitationAccepted).await, 1);
    // It weakens nobody, and brings nobody back who was removed.
    assert_eq!(bed.accept(link, &alice, 1).await, Joined::Member);
    assert_eq!(bed.is(id, &alice).await, Some(Owner));
    bed.leaves(id, &person(&bob)).await.unwrap();
    assert_eq!(bed.accept(link, &bob, 2).await, Joined::Closed);
    assert_eq!(bed.is(id, &bob).await, None);
    let carol = bed.person("carol").await;
    assert_eq!(bed.accept(link, &carol, 3600).await, Joined::Closed, "its time is up");
    bed.store.sweep_invitations(later(3600)).await.unwrap();
    assert_eq!(bed.store.invitations(id).await.unwrap().len(), 1);
    bed.store.sweep_invitations(later(3601)).await.unwrap();
    assert!(bed.store.invitations(id).await.unwrap().is_empty());
}

async fn immune_25_two_who_want_the_last_use_of_an_invitation_get_one(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = bed.workspace(&alice, "Payments").await;
    let link = bed.invite(&invitation(id, &alice, Viewer, 3)).await;
    let mut guests = Vec::new();
    for n in 0..8 {
        guests.push(bed.person(&format!("guest{n}")).await);
    }
    let accepted = futures_util::future::join_all(guests.into_iter().map(|guest| {
        let store = bed.store.clone();
        tokio::spawn(async move {
            store.accept_invitation(link, &guest, draft(Action::InvitationAccepted), later(1)).await.unwrap()
        })
    }))
    .await;
    assert_eq!(accepted.iter().filter(|done| matches!(done, Ok(Joined::Member))).count(), 3);
    assert_eq!(bed.listed(id).await.len(), 4);
}

async fn immune_20_invitations_end_with_their_makers_ownership(bed: Bed) {
    let (alice, bob, carol) = (bed.person("alice").await, bed.person("bob").await, bed.person("carol").await);
    let id = bed.workspace(&alice, "Payments").await;
    bed.join(id, person(&bob), Owner).await.unwrap();
    let (his, hers) = (invitation(id, &bob, Owner, 0), invitation(id, &alice, Viewer, 0));
    let (his, hers) = (bed.invite(&his).await, bed.invite(&hers).await);
    bed.becomes(id, person(&bob), Editor).await.unwrap();
    assert_eq!(bed.accept(his, &carol, 2).await, Joined::Closed);
    assert_eq!(bed.accept(his, &bob, 2).await, Joined::Closed);
    for _ in 0..2 {
        bed.store.revoke_invitation(hers, draft(Action::InvitationRevoked), later(3)).await.unwrap();
    }
    assert_eq!(bed.events(Action::InvitationRevoked).await, 1);
    assert_eq!(bed.accept(hers, &carol, 4).await, Joined::Closed);
    // A workspace that goes takes nobody in, and takes its invitations along.
    let open = bed.invite(&invitation(id, &alice, Viewer, 0)).await;
    bed.delete(id, Removal::Leave).await;
    let joined = bed.store.accept_invitation(open, &carol, draft(Action::InvitationAccepted), later(5)).await;
    assert!(matches!(joined, Err(StoreError::Stale)), "{joined:?}");
    bed.store.finish_removals(later(6), MINUTE).await.unwrap();
    assert_eq!(bed.number("SELECT COUNT(*) FROM invitations").await, 0);
}

async fn a_workspace_goes_with_its_last_cluster(bed: Bed) {
    let alice = bed.person("alice").await;
    let (one, two) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&alice, "two").await);
    let id = one.workspace;
    let grant = bed.grant(&one, group("devs")).await;
    for _ in 0..2 {
        bed.delete(id, Removal::Purge).await;
    }
    assert_eq!(
        (bed.events(Action::WorkspaceRemovalAsked).await, bed.events(Action::ClusterRemovalAsked).await),
        (1, 2)
    );
    // The one that nobody had access to goes; the other waits, and the workspace is still there to say so.
    assert_eq!(bed.store.finish_removals(later(60), MINUTE).await.unwrap(), 1);
    assert_eq!(bed.store.workspace(id).await.unwrap().removing, Some(Removal::Purge));
    assert!(matches!(bed.store.cluster(two.id).await, Err(StoreError::NotFound)));
    assert_eq!(bed.is(id, &alice).await, Some(Owner));
    // It never comes back: given up.
    bed.delete(id, Removal::Leave).await;
    assert_eq!(bed.store.finish_removals(later(61), MINUTE).await.unwrap(), 1);
    assert!(matches!(bed.store.workspace(id).await, Err(StoreError::NotFound)));
    assert!(matches!(bed.store.grant(grant.id).await, Err(StoreError::NotFound)));
    assert_eq!(bed.number("SELECT COUNT(*) FROM members").await, 0);
    let trail = bed.store.audit_of_workspace(id, None, 50).await.unwrap();
    assert_eq!(trail[0].action, Action::WorkspaceRemoved);
    assert_eq!(bed.events(Action::WorkspaceRemoved).await, 1);
}

async fn a_workspace_without_clusters_goes_at_once(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = bed.workspace(&alice, "Payments").await;
    bed.delete(id, Removal::Purge).await;
    bed.store.finish_removals(NOW, MINUTE).await.unwrap();
    assert!(bed.store.workspaces_of(&alice, true).await.unwrap().is_empty());
}

async fn immune_20_a_workspace_that_goes_takes_nothing_new(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let cluster = bed.cluster_of(&alice, "one").await;
    let id = cluster.workspace;
    bed.grant(&cluster, group("devs")).await;
    bed.delete(id, Removal::Purge).await;
    let joined = bed.join(id, person(&bob), Viewer).await;
    assert!(matches!(joined, Err(StoreError::Stale)), "{joined:?}");
    let add = async |workspace| {
        let new = NewCluster { workspace, ..new_cluster("two") };
        bed.store.add_cluster(&new, "Home", alice.id, draft(Action::ClusterAdded), NOW).await
    };
    let into = add(Some(id)).await;
    assert!(matches!(into, Err(StoreError::Stale)), "{into:?}");
    // Of their own they get another one.
    let other = add(None).await.unwrap();
    assert_ne!(other.workspace, id);
    let moved = bed.store.move_cluster(other.id, id, draft(Action::ClusterMoved), NOW).await;
    assert!(matches!(moved, Err(StoreError::Stale)), "{moved:?}");
    let moved = bed.store.move_cluster(cluster.id, other.workspace, draft(Action::ClusterMoved), NOW).await;
    assert!(matches!(moved, Err(StoreError::Stale)), "{moved:?}");
}

async fn a_cluster_moves_with_all_that_was_given_on_it(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let cluster = bed.cluster_of(&alice, "staging").await;
    let grant = bed.grant(&cluster, person(&bob)).await;
    let link = bed.link(&cluster).await;
    let to = bed.workspace(&alice, "Payments").await;
    for _ in 0..2 {
        bed.store.move_cluster(cluster.id, to, draft(Action::ClusterMoved), later(1)).await.unwrap();
    }
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().workspace, to);
    assert_eq!(bed.look(&grant).await, grant);
    assert_eq!(bed.store.link(link.id).await.unwrap(), link);
    for workspace in [cluster.workspace, to] {
        let trail = bed.store.audit_of_workspace(workspace, None, 1).await.unwrap();
        assert_eq!(trail[0].action, Action::ClusterMoved);
    }
    assert_eq!(bed.events(Action::ClusterMoved).await, 2, "one in each trail, and none for the repetition");
    let back = bed.cluster_of(&alice, "Staging").await;
    let clash = bed.store.move_cluster(back.id, to, draft(Action::ClusterMoved), later(2)).await;
    assert!(matches!(clash, Err(StoreError::Duplicate(_))), "{clash:?}");
}

async fn what_the_version_before_made_is_taken_over(bed: Bed) {
    let alice = bed.person("alice").await;
    let id = WorkspaceId::new();
    bed.run(&format!("INSERT INTO workspaces (id, name, created_at) VALUES ('{id}', 'Home', 5)")).await;
    bed.run(&format!(
        "INSERT INTO workspace_members (workspace_id, identity_id, role) VALUES ('{id}', '{}', 'owner')",
        alice.id
    ))
    .await;
    assert_eq!(bed.cluster_of(&alice, "one").await.workspace, id);
    bed.run("DELETE FROM members").await;
    for _ in 0..2 {
        bed.store.adopt_members().await.unwrap();
        assert_eq!(bed.listed(id).await, [(person(&alice), Owner)]);
    }
    // And what there was before the migration.
    bed.run("DELETE FROM members").await;
    bed.run("UPDATE workspaces SET created_by = NULL").await;
    let migration = include_str!("../../migrations/0009_workspaces.sql");
    let statement = |from: &str| {
        let at = migration.find(from).unwrap();
        &migration[at..=at + migration[at..].find(';').unwrap()]
    };
    bed.run(statement("UPDATE workspaces")).await;
    bed.run(statement("INSERT INTO members")).await;
    assert_eq!(bed.listed(id).await, [(person(&alice), Owner)]);
    assert_eq!(bed.store.workspace(id).await.unwrap().created_by, Some(alice.id));
}
