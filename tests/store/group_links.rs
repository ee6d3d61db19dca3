//! Share links and invitations for Groups of our own: who is in one counts at the moment of accepting.

use kubelend::{
    model::{
        audience::{Audience, Guest},
        audit::Action,
        cluster::Cluster,
        grant::Grantee,
        group::{Group, GroupMember},
        id::{GroupId, InvitationId, WorkspaceId},
        identity::Identity,
        invitation::Invitation,
        role::Role,
        share_link::{LinkRules, ShareLink},
        workspace::MemberRole,
    },
    store::{Accepted, Joined, NewGroup, NewInvitation},
};

use super::bed::{Bed, NOW, claims, draft, grant_of_link, later, provider, rules};

both!(
    immune_28_a_link_for_a_group_is_for_those_who_are_in_it_when_they_accept,
    immune_28_a_link_for_a_group_counts_where_the_group_does_and_gives_no_more_than_its_keepers_may,
    immune_28_an_invitation_for_a_group_is_for_one_that_is_kept_and_for_those_in_it,
);

async fn group(bed: &Bed, workspace: Option<WorkspaceId>, by: &Identity, name: &str, owners_only: bool) -> Group {
    let id = GroupId::new();
    let new = NewGroup { id, workspace, name: name.parse().unwrap(), owners_only, created_by: by.id };
    bed.store.add_group(&new, draft(Action::GroupAdded), NOW).await.unwrap();
    bed.store.group(id).await.unwrap()
}

async fn joins(bed: &Bed, group: &Group, who: Grantee) {
    let member = GroupMember { who, since: NOW, by: group.created_by };
    bed.store.add_group_member(group, &member, false, draft(Action::GroupMemberAdded), NOW).await.unwrap();
}

async fn leaves(bed: &Bed, group: &Group, who: &Identity) {
    let who = Grantee::Person(who.id);
    bed.store.remove_group_member(group, &who, draft(Action::GroupMemberRemoved), NOW).await.unwrap();
}

fn for_group(group: &Group) -> Audience {
    Audience::Listed(provider("dex"), vec![Guest::Own(group.id, group.spelt())])
}

async fn link(bed: &Bed, cluster: &Cluster, group: &Group, role: Role) -> ShareLink {
    let rules = LinkRules { audience: for_group(group), role: Some(role), ..rules(cluster) };
    bed.link_with(cluster, rules).await
}

async fn accept(bed: &Bed, link: &ShareLink, by: &Identity) -> bool {
    let grant = grant_of_link(link, by.id, NOW);
    let done = bed.store.accept_link(link.id, by, &grant, draft(Action::LinkAccepted), NOW).await.unwrap();
    assert!(matches!(done, Accepted::New(_) | Accepted::Closed), "{done:?}");
    matches!(done, Accepted::New(_))
}

async fn immune_28_a_link_for_a_group_is_for_those_who_are_in_it_when_they_accept(bed: Bed) {
    let cluster = bed.cluster().await;
    let [bob, carol, dave] = [bed.person("bob").await, bed.person("carol").await, bed.person("dave").await];
    let owner = bed.store.identity(cluster.created_by).await.unwrap();
    let on_call = group(&bed, Some(cluster.workspace), &owner, "On call", false).await;
    joins(&bed, &on_call, Grantee::Person(bob.id)).await;
    joins(&bed, &on_call, Grantee::Person(carol.id)).await;
    joins(&bed, &on_call, Grantee::Group(provider("dex"), "nightly".into())).await;
    joins(&bed, &on_call, Grantee::Email(provider("dex"), "frank@example.com".parse().unwrap())).await;
    let link = link(&bed, &cluster, &on_call, Role::View).await;
    assert!(accept(&bed, &link, &bob).await);
    // Left before accepting, and somebody who was never in it.
    leaves(&bed, &on_call, &carol).await;
    assert!(!accept(&bed, &link, &carol).await && !accept(&bed, &link, &dave).await);
    // By a group of the provider that is in it, as it was at the last sign-in; and no other provider's of that name.
    let mut erin = claims("erin");
    erin.groups = vec!["nightly".into()];
    let erin = bed.signs_in(&erin).await;
    assert!(accept(&bed, &link, &erin).await);
    let away = Identity { provider: provider("other"), ..erin.clone() };
    let named = bed.store.in_groups(&away, &[on_call.id], cluster.workspace, false).await.unwrap();
    assert_eq!(named, [], "another provider's group");
    // By an address, once whoever has it has signed in.
    assert!(accept(&bed, &link, &bed.person("frank").await).await);
    // Leaving afterwards takes back nothing that was given: that is done on the access page.
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants WHERE ended IS NULL").await, 3);

    // It goes by its id: called otherwise it is the same, and one that takes its name is another.
    let renamed = "Duty, nightly".parse().unwrap();
    bed.store.change_group(&on_call, &renamed, false, draft(Action::GroupChanged), NOW).await.unwrap();
    let other = group(&bed, Some(cluster.workspace), &owner, "On call", false).await;
    joins(&bed, &other, Grantee::Person(dave.id)).await;
    assert!(!accept(&bed, &link, &dave).await);
    let now = bed.store.link(link.id).await.unwrap();
    assert_eq!(now.rules.audience.in_words(), "the Kubelend group Duty, nightly");
    // One that is gone is nobody's.
    let on_call = bed.store.group(on_call.id).await.unwrap();
    joins(&bed, &on_call, Grantee::Person(dave.id)).await;
    bed.store.remove_group(&on_call, draft(Action::GroupRemoved), NOW).await.unwrap();
    assert!(!accept(&bed, &link, &dave).await);
}

async fn immune_28_a_link_for_a_group_counts_where_the_group_does_and_gives_no_more_than_its_keepers_may(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let (cluster, hers) = (bed.cluster_of(&alice, "staging").await, bed.cluster_of(&zoe, "hers").await);
    let people: Vec<Identity> = [bed.person("bob").await, bed.person("carol").await, bed.person("dave").await].into();
    // A Group of another workspace, however its name has come into the row.
    let away = group(&bed, Some(hers.workspace), &zoe, "Ops", true).await;
    let all = group(&bed, None, &zoe, "Ops", false).await;
    let own = group(&bed, Some(cluster.workspace), &alice, "Ops", false).await;
    for person in &people {
        for group in [&away, &all, &own] {
            joins(&bed, group, Grantee::Person(person.id)).await;
        }
    }
    let of_away = link(&bed, &cluster, &away, Role::View).await;
    assert!(!accept(&bed, &of_away, &people[0]).await);
    let of_all = link(&bed, &cluster, &all, Role::ClusterAdmin).await;
    assert!(accept(&bed, &of_all, &people[0]).await, "platform admins keep it");
    // Whoever changes its members could give themselves what only owners give.
    let strong = link(&bed, &cluster, &own, Role::ClusterAdmin).await;
    assert!(!accept(&bed, &strong, &people[0]).await);
    bed.store.change_group(&own, &own.name, true, draft(Action::GroupChanged), NOW).await.unwrap();
    assert!(accept(&bed, &strong, &people[0]).await);
    let kept = bed.store.group(own.id).await.unwrap();
    bed.store.change_group(&kept, &own.name, false, draft(Action::GroupChanged), NOW).await.unwrap();
    assert!(!accept(&bed, &strong, &people[1]).await);
    let weak = link(&bed, &cluster, &own, Role::Edit).await;
    assert!(accept(&bed, &weak, &people[1]).await);
    // A cluster that has moved leaves the Groups of its workspace behind.
    bed.run(&format!("UPDATE clusters SET workspace_id = '{}' WHERE id = '{}'", hers.workspace, cluster.id)).await;
    assert!(!accept(&bed, &weak, &people[2]).await && accept(&bed, &of_all, &people[2]).await);
}

async fn immune_28_an_invitation_for_a_group_is_for_one_that_is_kept_and_for_those_in_it(bed: Bed) {
    let alice = bed.person("alice").await;
    let (bob, carol) = (bed.person("bob").await, bed.person("carol").await);
    let workspace = bed.cluster_of(&alice, "staging").await.workspace;
    let open = group(&bed, Some(workspace), &alice, "Open", false).await;
    let kept = group(&bed, Some(workspace), &alice, "Kept", true).await;
    let mut ids = Vec::new();
    for (n, group) in [&open, &kept].into_iter().enumerate() {
        joins(&bed, group, Grantee::Person(bob.id)).await;
        joins(&bed, group, Grantee::Person(carol.id)).await;
        let invitation = Invitation {
            id: InvitationId::new(),
            workspace,
            role: MemberRole::Editor,
            audience: for_group(group),
            expires_at: later(3600),
            max_uses: None,
            created_by: alice.id,
            created_at: NOW,
            revoked_at: None,
            uses: 0,
        };
        ids.push(invitation.id);
        let token_hash = kubelend::crypto::HashedToken([u8::try_from(n).unwrap(); 32]);
        let new = NewInvitation { invitation, token_hash, sealed_token: vec![1] };
        bed.store.add_invitation(&new, draft(Action::InvitationCreated), NOW).await.unwrap();
    }
    let joined = async |id, who: &Identity| {
        bed.store.accept_invitation(id, who, draft(Action::InvitationAccepted), NOW).await.unwrap()
    };
    assert_eq!(joined(ids[0], &bob).await, Joined::Closed, "editors change who is in it");
    assert_eq!(joined(ids[1], &bob).await, Joined::Member);
    leaves(&bed, &kept, &carol).await;
    assert_eq!(joined(ids[1], &carol).await, Joined::Closed);
    assert_eq!(bed.store.membership(workspace, &bob).await.unwrap(), Some(MemberRole::Editor));
    assert_eq!(bed.store.membership(workspace, &carol).await.unwrap(), None);
}
