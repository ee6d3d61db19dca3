//! Providers of a workspace's own: whose people count in it alone, whatever rows say, and what goes with one.

use std::sync::Arc;

use kubelend::{
    access::OwnProviders,
    clock::Clock,
    crypto::Keyring,
    model::{
        audience::Audience,
        audit::Action,
        claim_mapping::{ClaimMapping, UsernameClaim},
        cluster::Cluster,
        device::Format,
        federation::WideScope,
        grant::{EndReason, Grant, GrantState, Grantee},
        group::Holder,
        id::{FederatedGrantId, IdentityId, WorkspaceId},
        identity::{Identity, VerifiedClaims},
        own_provider::{OwnProvider, OwnRules},
        provider::ProviderId,
        role::Role,
        share_link::LinkRules,
        workspace::{Member, MemberRole},
    },
    oidc::Providers,
    outbound::{AddressRules, install_crypto},
    store::{NewFederatedGrant, NewOwnProvider, NewSecret, StoreError},
};

use super::{
    bed::{Bed, NOW, claims, draft, later, provider, rules},
    devices::device,
    tokens::set,
};

both!(
    one_is_added_with_a_prefix_that_none_of_the_workspace_ever_had,
    immune_32_a_person_of_a_workspaces_own_provider_is_nobody_elses_and_nobody_is_theirs,
    immune_28_whatever_rows_say_they_count_in_their_workspace_alone,
    immune_30_only_clusters_of_the_workspace_trust_it_and_all_name_its_people_alike,
    immune_30_a_cluster_that_leaves_the_workspace_leaves_the_provider_and_its_people_behind,
    immune_19_switched_off_it_signs_nobody_in_and_nothing_of_its_people_goes_on,
    immune_20_what_its_people_have_goes_with_it,
    immune_33_the_last_owner_is_not_switched_off_or_removed,
    immune_33_an_owner_whose_provider_is_off_is_not_one_who_is_left,
    one_that_cannot_be_read_keeps_no_other_from_signing_people_in,
    a_change_names_its_people_anew_where_it_is_trusted,
    immune_25_removed_while_somebody_signs_in_it_lets_nobody_in,
);

fn own_rules(name: &str) -> OwnRules {
    OwnRules {
        name: name.parse().unwrap(),
        direct_client_id: Some("public".into()),
        ca_pem: None,
        scopes: vec!["openid".into(), "email".into()],
        username_claim: UsernameClaim::Email,
        groups_claim: "groups".into(),
    }
}

fn new(workspace: WorkspaceId, by: IdentityId, issuer: &str) -> NewOwnProvider {
    NewOwnProvider {
        id: ProviderId::of_workspace(workspace, kubelend::crypto::random()),
        workspace,
        issuer: issuer.into(),
        client_id: "kubelend".into(),
        sealed_secret: Some(b"sealed".to_vec()),
        rules: own_rules("Payments SSO"),
        created_by: by,
    }
}

/// A cluster of dex's people, and a provider of its workspace's own that it trusts.
async fn home(bed: &Bed) -> (Cluster, OwnProvider) {
    let cluster = bed.cluster().await;
    let new = new(cluster.workspace, cluster.created_by, "https://own.example");
    let own = bed.store.add_own_provider(&new, draft(Action::OwnProviderAdded), NOW).await.unwrap();
    trust(bed, &cluster, &own.id).await.unwrap();
    (bed.store.cluster(cluster.id).await.unwrap(), own)
}

async fn trust(bed: &Bed, cluster: &Cluster, id: &ProviderId) -> Result<(), StoreError> {
    // What is asked for here counts for nothing: the prefixes are the workspace's.
    let asked = ClaimMapping::default();
    bed.store.set_trust(cluster.id, id, Some(&asked), draft(Action::ClusterTrustChanged), NOW).await
}

/// What it says of `NAME@example.com`, to the letter what Dex says.
fn said(own: &OwnProvider, name: &str) -> VerifiedClaims {
    VerifiedClaims { provider: own.id.clone(), ..claims(name) }
}

async fn member(bed: &Bed, workspace: WorkspaceId, who: Grantee, role: MemberRole) -> Result<(), StoreError> {
    let by = bed.person("somebody").await.id;
    let member = Member { who, role, since: NOW, by };
    bed.store.add_member(workspace, &member, draft(Action::MemberAdded), NOW).await
}

fn group(own: &OwnProvider, name: &str) -> Grantee {
    Grantee::Group(own.id.clone(), name.into())
}

async fn one_is_added_with_a_prefix_that_none_of_the_workspace_ever_had(bed: Bed) {
    let (cluster, first) = home(&bed).await;
    assert_eq!((first.prefix.as_str(), first.id.home()), ("home", Some(cluster.workspace)));
    assert_eq!(
        (first.mapping().username_prefix.as_str(), first.mapping().groups_prefix.as_str()),
        ("home:", "oidc:home:")
    );
    let add = async |issuer: &str| {
        let new = new(cluster.workspace, cluster.created_by, issuer);
        bed.store.add_own_provider(&new, draft(Action::OwnProviderAdded), later(1)).await
    };
    assert!(matches!(add("https://own.example").await.unwrap_err(), StoreError::Duplicate(_)));
    assert_eq!(add("https://second.example").await.unwrap().prefix.as_str(), "home-2");
    bed.store.remove_own_provider(&first.id, draft(Action::OwnProviderRemoved), later(2)).await.unwrap();
    // Bindings may have outlived the first.
    let again = add("https://own.example").await.unwrap();
    assert_eq!((again.prefix.as_str(), again.id == first.id), ("home-3", false));
    for n in 0..3 {
        add(&format!("https://{n}.example")).await.unwrap();
    }
    assert!(matches!(add("https://sixth.example").await.unwrap_err(), StoreError::Full(_)));
    let names: Vec<_> = bed.store.own_providers_of(cluster.workspace).await.unwrap();
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|one| one.workspace == cluster.workspace && one.has_secret));
    assert_eq!(bed.store.own_providers_on().await.unwrap()[0].sealed_secret.as_deref(), Some(&b"sealed"[..]));
    assert!(matches!(bed.store.own_provider(&first.id).await.unwrap_err(), StoreError::NotFound));
    bed.run(&format!("UPDATE workspaces SET removing = 'leave' WHERE id = '{}'", cluster.workspace)).await;
    assert!(matches!(add("https://late.example").await.unwrap_err(), StoreError::Stale));
    // Nor does another workspace of that name get one, when this one is gone.
    bed.run(&format!("DELETE FROM clusters WHERE id = '{}'", cluster.id)).await;
    bed.store.finish_removals(later(9), std::time::Duration::ZERO).await.unwrap();
    assert!(matches!(bed.store.workspace(cluster.workspace).await.unwrap_err(), StoreError::NotFound));
    assert!(bed.store.own_providers_on().await.unwrap().is_empty());
    let (_, next) = home(&bed).await;
    assert!(!["home", "home-2", "home-3"].contains(&next.prefix.as_str()), "{}", next.prefix.as_str());
}

async fn immune_32_a_person_of_a_workspaces_own_provider_is_nobody_elses_and_nobody_is_theirs(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let bob = bed.person("bob").await;
    bed.grant(&cluster, Grantee::Person(bob.id)).await;
    // The same issuer, `sub`, email and groups: whoever runs the workspace's provider says what its tokens say.
    let other = bed.signs_in(&said(&own, "bob")).await;
    assert_ne!(other.id, bob.id);
    assert_eq!((other.issuer.as_str(), other.sub.as_str()), (bob.issuer.as_str(), bob.sub.as_str()));
    assert_eq!(bed.store.identity(bob.id).await.unwrap(), bob, "he keeps his email");
    assert!(bed.store.grants_reaching(&other, None, NOW).await.unwrap().is_empty());
    let again = bed.signs_in(&said(&own, "bob")).await;
    assert_eq!(again.id, other.id, "and is known again");
    assert_eq!(bed.signs_in(&claims("bob")).await.id, bob.id);
    assert_eq!(bed.store.identity(other.id).await.unwrap().provider, own.id);
    // Two workspaces may have one issuer, and their people are two.
    let second = bed.cluster().await;
    let new = new(second.workspace, second.created_by, "https://own.example");
    let second = bed.store.add_own_provider(&new, draft(Action::OwnProviderAdded), NOW).await.unwrap();
    // An API server whose cluster has moved may trust both issuers, so their names are apart.
    assert_ne!(second.prefix, own.prefix);
    let third = bed.signs_in(&said(&second, "bob")).await;
    assert!(third.id != other.id && third.id != bob.id);
    // A promise to his address at the one is none to the other's.
    let carols = Grantee::Email(provider("dex"), "carol@example.com".parse().unwrap());
    let promised = bed.grant(&cluster, carols.clone()).await;
    bed.signs_in(&said(&own, "carol")).await;
    assert_eq!(bed.look(&promised).await.grantee, carols);
}

async fn immune_28_whatever_rows_say_they_count_in_their_workspace_alone(bed: Bed) {
    let (at_home, own) = home(&bed).await;
    let elsewhere = bed.cluster().await;
    let ann = bed.signs_in(&said(&own, "ann")).await;
    for workspace in [at_home.workspace, elsewhere.workspace] {
        // No use case writes the second of these.
        member(&bed, workspace, Grantee::Person(ann.id), MemberRole::Owner).await.unwrap();
        member(&bed, workspace, group(&own, "devs"), MemberRole::Owner).await.unwrap();
    }
    let in_workspace = async |id| bed.store.membership(id, &ann).await.unwrap();
    assert_eq!(in_workspace(at_home.workspace).await, Some(MemberRole::Owner));
    assert_eq!(in_workspace(elsewhere.workspace).await, None);
    assert_eq!(bed.store.membership_around(at_home.id, &ann).await.unwrap(), Some(MemberRole::Owner));
    assert_eq!(bed.store.membership_around(elsewhere.id, &ann).await.unwrap(), None);
    let all: Vec<_> = bed.store.memberships_of(&ann).await.unwrap().into_keys().collect();
    assert_eq!(all, [at_home.workspace]);
    let seen: Vec<_> = bed.store.clusters_of(&ann, false).await.unwrap().iter().map(|c| c.id).collect();
    assert_eq!(seen, [at_home.id]);
    // Nor what was given on a cluster of another workspace.
    let here = bed.grant(&at_home, Grantee::Person(ann.id)).await;
    bed.grant(&elsewhere, Grantee::Person(ann.id)).await;
    bed.grant(&elsewhere, group(&own, "devs")).await;
    let reaching: Vec<_> = bed.store.grants_reaching(&ann, None, NOW).await.unwrap().iter().map(|g| g.id).collect();
    assert_eq!(reaching, [here.id]);
    assert!(bed.store.grants_reaching(&ann, Some(elsewhere.id), NOW).await.unwrap().is_empty());
    // Somebody of a configured provider is where they are a member, as ever.
    let dan = bed.person("dan").await;
    member(&bed, elsewhere.workspace, Grantee::Person(dan.id), MemberRole::Viewer).await.unwrap();
    assert_eq!(bed.store.membership(elsewhere.workspace, &dan).await.unwrap(), Some(MemberRole::Viewer));
}

async fn immune_30_only_clusters_of_the_workspace_trust_it_and_all_name_its_people_alike(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    assert_eq!(cluster.mapping(&own.id), Some(&own.mapping()));
    let elsewhere = bed.cluster().await;
    assert!(matches!(trust(&bed, &elsewhere, &own.id).await.unwrap_err(), StoreError::NotFound));
    assert!(bed.store.cluster(elsewhere.id).await.unwrap().mapping(&own.id).is_none());
    // Nor is one added so.
    let mut new = super::bed::new_cluster("other");
    new.workspace = Some(elsewhere.workspace);
    new.trusts = vec![(own.id.clone(), own.mapping())];
    let added = bed.store.add_cluster(&new, "Home", elsewhere.created_by, draft(Action::ClusterAdded), NOW).await;
    assert!(matches!(added.unwrap_err(), StoreError::NotFound));
    new.workspace = Some(cluster.workspace);
    let added =
        bed.store.add_cluster(&new, "Home", cluster.created_by, draft(Action::ClusterAdded), NOW).await.unwrap();
    assert_eq!(added.mapping(&own.id), Some(&own.mapping()));
    // What was bound for others is looked at again: it may read like a name of its people.
    let bob = bed.person("bob").await;
    let bound = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    bed.run("UPDATE grants SET state = 'applied', next_attempt = NULL").await;
    trust(&bed, &cluster, &own.id).await.unwrap();
    assert_eq!(bed.look(&bound).await.state, GrantState::Pending);
    // Nor does another provider's prefix go on with its, also while it is off.
    bed.store.switch_own_provider(&own.id, false, draft(Action::OwnProviderOff), NOW).await.unwrap();
    let within = ClaimMapping { username_prefix: "home:eu:".into(), ..ClaimMapping::default() };
    let event = draft(Action::ClusterTrustChanged);
    let named = bed.store.set_trust(cluster.id, &provider("dex"), Some(&within), event, NOW).await;
    assert!(matches!(named.unwrap_err(), StoreError::Stale));
    bed.store.switch_own_provider(&own.id, true, draft(Action::OwnProviderOn), NOW).await.unwrap();
    // One that never was is trusted nowhere.
    let never = ProviderId::of_workspace(cluster.workspace, [9; 5]);
    assert!(matches!(trust(&bed, &cluster, &never).await.unwrap_err(), StoreError::NotFound));
}

/// Somebody who holds all that there is on a cluster: grants, a device, a link for their group.
async fn settled(bed: &Bed, cluster: &Cluster, own: &OwnProvider) -> (Identity, Vec<Grant>) {
    let ann = bed.signs_in(&said(own, "ann")).await;
    let mut grants = Vec::new();
    let address = Grantee::Email(own.id.clone(), "new@example.com".parse().unwrap());
    for who in [Grantee::Person(ann.id), group(own, "devs"), address] {
        grants.push(bed.grant(cluster, who).await);
    }
    let mut file = device(cluster.id, ann.id, Format::Relay);
    file.provider = own.id.clone();
    bed.store.add_device(&file, draft(Action::KubeconfigIssued), NOW).await.unwrap();
    let guests = Audience::parse_guests("group:devs").unwrap();
    let audience = Audience::Listed(own.id.clone(), guests);
    bed.link_with(cluster, LinkRules { audience, ..rules(cluster) }).await;
    (ann, grants)
}

async fn counts(bed: &Bed, own: &OwnProvider) -> (i64, i64, i64) {
    let devices = format!("SELECT COUNT(*) FROM devices WHERE revoked_at IS NULL AND provider = '{}'", own.id);
    let links =
        format!("SELECT COUNT(*) FROM share_links WHERE revoked_at IS NULL AND audience_provider = '{}'", own.id);
    let trusts = format!("SELECT COUNT(*) FROM cluster_trusts WHERE provider = '{}'", own.id);
    (bed.number(&devices).await, bed.number(&links).await, bed.number(&trusts).await)
}

async fn immune_30_a_cluster_that_leaves_the_workspace_leaves_the_provider_and_its_people_behind(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let (ann, grants) = settled(&bed, &cluster, &own).await;
    let bob = bed.person("bob").await;
    let stays = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    assert_eq!(bed.store.count_grantees_of(cluster.id, &own.id, NOW).await.unwrap(), (2, 1));
    assert_eq!(counts(&bed, &own).await, (1, 1, 1));
    let to = bed.cluster().await.workspace;
    bed.run(&format!("UPDATE clusters SET name_key = 'moved' WHERE id = '{}'", cluster.id)).await;
    bed.store.move_cluster(cluster.id, to, draft(Action::ClusterMoved), later(1)).await.unwrap();
    let moved = bed.store.cluster(cluster.id).await.unwrap();
    assert!(moved.mapping(&own.id).is_none() && moved.mapping(&provider("dex")).is_some());
    for grant in grants {
        assert_eq!(bed.look(&grant).await.ended, Some(EndReason::OutOfScope));
    }
    assert_eq!(bed.look(&stays).await.ended, None);
    assert_eq!(counts(&bed, &own).await, (0, 0, 0));
    assert!(bed.store.grants_reaching(&ann, None, later(1)).await.unwrap().is_empty());
    assert_eq!(bed.events(Action::ClusterTrustChanged).await, 2);
    // And back it does not come with it.
    bed.store.move_cluster(cluster.id, own.workspace, draft(Action::ClusterMoved), later(2)).await.unwrap();
    assert!(bed.store.cluster(cluster.id).await.unwrap().mapping(&own.id).is_none());
}

async fn sign_ins(bed: &Bed, ann: &Identity, own: &OwnProvider) {
    let ring = Keyring::generate();
    let mut tokens = set(ann.id, "token");
    tokens.provider = own.id.clone();
    bed.store.put_tokens(&ring, "key", &tokens, later(3600)).await.unwrap();
    bed.store.put_upstream(&ring, ann.id, &own.id, &tokens.tokens).await.unwrap();
    bed.run(&format!(
        "INSERT INTO sessions (id_hash, identity_id, sealed, expires_at) VALUES ('a', '{}', 'a', 9000000000000)",
        ann.id
    ))
    .await;
}

const KEPT: &str = "SELECT (SELECT COUNT(*) FROM sessions) + (SELECT COUNT(*) FROM token_sets) + (SELECT COUNT(*) FROM upstream_sessions)";

async fn immune_19_switched_off_it_signs_nobody_in_and_nothing_of_its_people_goes_on(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let (ann, grants) = settled(&bed, &cluster, &own).await;
    sign_ins(&bed, &ann, &own).await;
    assert_eq!(bed.number(KEPT).await, 3);
    let switch = async |on, now| bed.store.switch_own_provider(&own.id, on, draft(Action::OwnProviderOff), now).await;
    switch(false, later(1)).await.unwrap();
    switch(false, later(2)).await.unwrap();
    assert_eq!(bed.events(Action::OwnProviderOff).await, 1, "repeating it is nothing");
    assert_eq!((bed.number(KEPT).await, counts(&bed, &own).await.0), (0, 0));
    assert!(bed.store.own_providers_on().await.unwrap().is_empty());
    assert!(!bed.store.is_own_provider_on(&own.id).await.unwrap());
    let refused = bed.store.record_sign_in(&said(&own, "ann"), draft(Action::SignedIn), later(3)).await;
    assert!(matches!(refused.unwrap_err(), StoreError::NotFound));
    // No cluster names its people, so nothing is bound for them; what they were given waits.
    assert!(bed.store.cluster(cluster.id).await.unwrap().mapping(&own.id).is_none());
    assert!(matches!(trust(&bed, &cluster, &own.id).await.unwrap_err(), StoreError::NotFound));
    for grant in &grants {
        let now = bed.look(grant).await;
        assert_eq!((now.state, now.ended), (GrantState::Pending, None));
    }
    // A sign-in that was under way left what it had to keep; that does not live again.
    sign_ins(&bed, &ann, &own).await;
    let mut late = device(cluster.id, ann.id, Format::Relay);
    late.provider = own.id.clone();
    bed.store.add_device(&late, draft(Action::KubeconfigIssued), later(3)).await.unwrap();
    switch(true, later(4)).await.unwrap();
    assert_eq!((bed.number(KEPT).await, counts(&bed, &own).await.0), (0, 0));
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().mapping(&own.id), Some(&own.mapping()));
    assert_eq!(bed.signs_in(&said(&own, "ann")).await.id, ann.id);
    assert_eq!(counts(&bed, &own).await.0, 0, "files are fetched anew");
}

async fn immune_20_what_its_people_have_goes_with_it(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let (ann, grants) = settled(&bed, &cluster, &own).await;
    sign_ins(&bed, &ann, &own).await;
    let bob = bed.person("bob").await;
    let stays = bed.grant(&cluster, Grantee::Person(bob.id)).await;
    member(&bed, own.workspace, Grantee::Person(ann.id), MemberRole::Editor).await.unwrap();
    member(&bed, own.workspace, group(&own, "devs"), MemberRole::Viewer).await.unwrap();
    let wide = NewFederatedGrant {
        id: FederatedGrantId::new(),
        scope: WideScope::Workspace(own.workspace),
        namespaces: Vec::new(),
        grantee: Holder::One(group(&own, "ops")),
        role: Role::Edit,
        expires_at: None,
        reason: None,
        created_by: cluster.created_by,
    };
    bed.store.add_federated_grant(&wide, draft(Action::GrantAdded), NOW).await.unwrap();
    let reach = bed.store.own_provider_reach(&own.id).await.unwrap();
    assert_eq!((reach.people, reach.grants, reach.members, reach.devices, reach.clusters), (1, 4, 2, 1, 1));

    let remove = async |now| bed.store.remove_own_provider(&own.id, draft(Action::OwnProviderRemoved), now).await;
    remove(later(1)).await.unwrap();
    remove(later(2)).await.unwrap();
    assert_eq!(bed.events(Action::OwnProviderRemoved).await, 1, "repeating it is nothing");
    for grant in grants {
        assert_eq!(bed.look(&grant).await.ended, Some(EndReason::Revoked));
    }
    assert_eq!(bed.look(&stays).await.ended, None);
    assert!(bed.store.federated_grant(wide.id).await.unwrap().ended.is_some());
    let left = "SELECT COUNT(*) FROM grants WHERE ended IS NULL AND federated_id IS NOT NULL";
    assert_eq!((bed.number(left).await, bed.number(KEPT).await, counts(&bed, &own).await), (0, 0, (0, 0, 0)));
    assert_eq!(bed.store.membership(own.workspace, &ann).await.unwrap(), None);
    assert!(bed.store.cluster(cluster.id).await.unwrap().mapping(&own.id).is_none());
    let secrets = "SELECT COUNT(*) FROM own_providers WHERE sealed_secret IS NOT NULL";
    assert_eq!(bed.number(secrets).await, 0);
    let refused = bed.store.record_sign_in(&said(&own, "ann"), draft(Action::SignedIn), later(3)).await;
    assert!(matches!(refused.unwrap_err(), StoreError::NotFound));
    assert_eq!(bed.store.own_provider_reach(&own.id).await.unwrap().grants, 0);
}

async fn immune_33_the_last_owner_is_not_switched_off_or_removed(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let ann = bed.signs_in(&said(&own, "ann")).await;
    member(&bed, own.workspace, Grantee::Person(ann.id), MemberRole::Owner).await.unwrap();
    let maker = Grantee::Person(cluster.created_by);
    bed.store.remove_member(own.workspace, &maker, draft(Action::MemberRemoved), NOW).await.unwrap();
    let off = bed.store.switch_own_provider(&own.id, false, draft(Action::OwnProviderOff), NOW).await;
    assert!(matches!(off.unwrap_err(), StoreError::LastOwner));
    let gone = bed.store.remove_own_provider(&own.id, draft(Action::OwnProviderRemoved), NOW).await;
    assert!(matches!(gone.unwrap_err(), StoreError::LastOwner));
    assert_eq!(bed.signs_in(&said(&own, "ann")).await.id, ann.id, "and nothing has gone");
    let bob = bed.person("bob").await;
    member(&bed, own.workspace, Grantee::Person(bob.id), MemberRole::Owner).await.unwrap();
    bed.store.remove_own_provider(&own.id, draft(Action::OwnProviderRemoved), later(1)).await.unwrap();
    assert_eq!(bed.store.membership(own.workspace, &bob).await.unwrap(), Some(MemberRole::Owner));
}

async fn immune_33_an_owner_whose_provider_is_off_is_not_one_who_is_left(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let second = new(own.workspace, cluster.created_by, "https://second.example");
    let second = bed.store.add_own_provider(&second, draft(Action::OwnProviderAdded), NOW).await.unwrap();
    let (ann, cem) = (bed.signs_in(&said(&own, "ann")).await, bed.signs_in(&said(&second, "cem")).await);
    for owner in [&ann, &cem] {
        member(&bed, own.workspace, Grantee::Person(owner.id), MemberRole::Owner).await.unwrap();
    }
    let switch =
        async |id: &ProviderId, on| bed.store.switch_own_provider(id, on, draft(Action::OwnProviderOff), NOW).await;
    switch(&own.id, false).await.unwrap();
    let maker = Grantee::Person(cluster.created_by);
    let leave =
        async |who: &Grantee| bed.store.remove_member(own.workspace, who, draft(Action::MemberRemoved), NOW).await;
    leave(&maker).await.unwrap();
    // Cem is left, and Ann cannot come in.
    assert!(matches!(leave(&Grantee::Person(cem.id)).await.unwrap_err(), StoreError::LastOwner));
    let viewer = Member { who: Grantee::Person(cem.id), role: MemberRole::Viewer, since: NOW, by: cem.id };
    let changed = bed.store.change_member(own.workspace, &viewer, draft(Action::MemberChanged), NOW).await;
    assert!(matches!(changed.unwrap_err(), StoreError::LastOwner));
    assert!(matches!(switch(&second.id, false).await.unwrap_err(), StoreError::LastOwner));
    let gone = bed.store.remove_own_provider(&second.id, draft(Action::OwnProviderRemoved), NOW).await;
    assert!(matches!(gone.unwrap_err(), StoreError::LastOwner));
    // She may be taken out, and counts where she can come in again.
    switch(&own.id, true).await.unwrap();
    switch(&second.id, false).await.unwrap();
    leave(&Grantee::Person(cem.id)).await.unwrap();
    assert!(matches!(leave(&Grantee::Person(ann.id)).await.unwrap_err(), StoreError::LastOwner));
}

async fn one_that_cannot_be_read_keeps_no_other_from_signing_people_in(bed: Bed) {
    let (cluster, corrupt) = home(&bed).await;
    let mut added = Vec::new();
    for (issuer, sealed) in
        [("https://sealed.example", Some(b"no seal of ours".to_vec())), ("https://good.example", None)]
    {
        let new = NewOwnProvider { sealed_secret: sealed, ..new(cluster.workspace, cluster.created_by, issuer) };
        added.push(bed.store.add_own_provider(&new, draft(Action::OwnProviderAdded), NOW).await.unwrap().id);
    }
    bed.run(&format!("UPDATE own_providers SET username_claim = 'shoe' WHERE id = '{}'", corrupt.id)).await;
    install_crypto();
    let clock = Clock::fixed(NOW);
    let providers = Providers::new(Vec::new(), AddressRules::default(), &clock).unwrap();
    let keyring = Arc::new(Keyring::generate());
    let own = OwnProviders::new(bed.store.clone(), keyring, providers.clone(), clock);
    own.read_again().await.unwrap();
    let known = |id: &ProviderId| providers.get(id).is_some();
    assert_eq!((known(&corrupt.id), known(&added[0]), known(&added[1])), (false, false, true));
    // It comes back by itself when somebody has mended it.
    bed.run("UPDATE own_providers SET username_claim = 'email', sealed_secret = NULL").await;
    own.read_again().await.unwrap();
    assert!(known(&corrupt.id) && known(&added[0]) && known(&added[1]));
}

async fn a_change_names_its_people_anew_where_it_is_trusted(bed: Bed) {
    let (cluster, own) = home(&bed).await;
    let (_, grants) = settled(&bed, &cluster, &own).await;
    let to = OwnRules { username_claim: UsernameClaim::Sub, groups_claim: "roles".into(), ..own_rules("Renamed") };
    let change = async |secret: NewSecret| {
        let event = draft(Action::OwnProviderChanged);
        bed.store.change_own_provider(&own, &to, &secret, event, later(1)).await
    };
    change(NewSecret::Keep).await.unwrap();
    assert!(matches!(change(NewSecret::Drop).await.unwrap_err(), StoreError::Stale), "it has been changed since");
    let changed = bed.store.own_provider(&own.id).await.unwrap();
    assert_eq!(
        (changed.rules.clone(), changed.has_secret, changed.prefix.clone()),
        (to.clone(), true, own.prefix.clone())
    );
    assert_eq!(bed.store.cluster(cluster.id).await.unwrap().mapping(&own.id), Some(&changed.mapping()));
    assert_eq!(changed.mapping().username_prefix, "home:");
    for grant in grants {
        assert_eq!(bed.look(&grant).await.state, GrantState::Pending);
    }
    let event = draft(Action::OwnProviderChanged);
    let put = NewSecret::Put(b"another".to_vec());
    bed.store.change_own_provider(&changed, &to, &put, event.clone(), later(2)).await.unwrap();
    assert_eq!(bed.store.own_provider_secret(&own.id).await.unwrap().as_deref(), Some(&b"another"[..]));
    let seen = bed.store.own_provider(&own.id).await.unwrap();
    bed.store.change_own_provider(&seen, &to, &NewSecret::Drop, event, later(3)).await.unwrap();
    assert_eq!(bed.store.own_provider_secret(&own.id).await.unwrap(), None);
}

async fn immune_25_removed_while_somebody_signs_in_it_lets_nobody_in(bed: Bed) {
    let (_, own) = home(&bed).await;
    let store = bed.again().await;
    let claims = said(&own, "ann");
    let going = format!("UPDATE own_providers SET removed_at = 1 WHERE id = '{}'", own.id);
    let signing_in = async move {
        store.record_sign_in(&claims, draft(Action::SignedIn), NOW).await.map(|record| record.identity.id)
    };
    let signed_in = bed.meanwhile(&going, Box::pin(signing_in)).await;
    assert!(matches!(signed_in.unwrap_err(), StoreError::NotFound));
    let known = format!("SELECT COUNT(*) FROM identities WHERE provider = '{}'", own.id);
    assert_eq!(bed.number(&known).await, 0);
}
