//! Who may do what. This module alone makes [`Authorized`] values, and every writing use case wants one, so a forgotten
//! check does not compile.
//!
//! It decides on facts that are handed in (who the person is, their membership), so that each rule is a line that can be
//! read and tested without a database.

mod custom_roles;
mod federation;
mod files;
mod groups;
mod platform;
mod presets;
mod projects;
mod roles;
mod seats;
mod workspaces;

pub use custom_roles::{MakeRole, ManageRole, ViewRole, make_role, manage_role, view_role};
pub use federation::{ManageReach, Reach, ViewReach, manage_reach, view_reach};
pub use files::applying;
pub use groups::{
    MakeGroup, ManageGroup, ViewGroup, give_to_group, give_widely_to_group, make_group, manage_group, view_group,
};
pub use platform::{ViewTrail, view_trail};
pub use presets::{MakePreset, ManagePreset, make_preset, manage_preset};
pub use projects::{
    ManageProject, ManageProjectMembers, ManageTakes, ViewProject, manage_project, manage_project_members,
    manage_takes, set_project_member, view_project,
};
pub use roles::{give, give_further, give_widely, hand_on};
pub use seats::{SeatGroups, join_seated, raised_by_seat, seat_group, seat_in_project, seat_in_workspace};
pub use workspaces::{
    CreateWorkspace, JoinWorkspace, ManageMembers, ManageWorkspace, ManageWorkspaceAccess, MoveCluster, ViewWorkspace,
    create_workspace, join_workspace, manage_members, manage_workspace, manage_workspace_access, move_cluster,
    set_member, view_workspace,
};

use crate::model::{
    audience::NotInvited,
    cluster::Cluster,
    id::{FileId, GroupId, WorkspaceId},
    identity::Identity,
    name::Email,
    provider::ProviderId,
    share_link::{LinkState, ShareLink},
    time::Timestamp,
    workspace::{MemberRole, Workspace},
};

/// A rule of the configuration that names people: by (provider, sub), by verified email of a named provider, or by group of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonRule {
    /// `sub` at this provider.
    Sub(ProviderId, String),
    /// A verified email at this provider.
    VerifiedEmail(ProviderId, Email),
    /// A group at this provider, without prefix.
    Group(ProviderId, String),
}

impl PersonRule {
    /// Whether it names this person.
    pub fn names(&self, identity: &Identity) -> bool {
        match self {
            Self::Sub(provider, sub) => identity.provider == *provider && identity.sub == *sub,
            Self::VerifiedEmail(provider, email) => {
                identity.provider == *provider && identity.verified_email().is_some_and(|e| e.matches(email))
            }
            Self::Group(provider, group) => {
                identity.provider == *provider && identity.groups.iter().any(|g| g == group)
            }
        }
    }
}

/// The standing rules, from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Who is a platform admin.
    pub platform_admins: Vec<PersonRule>,
    /// Who else may add clusters to the shared trust domain.
    pub cluster_adders: Vec<PersonRule>,
    /// Who else may make workspaces.
    pub workspace_makers: Vec<PersonRule>,
    /// How many workspaces each of them may make.
    pub workspaces_per_person: u32,
}

/// Somebody who is signed in, with what the configuration makes of them.
#[derive(Clone, Debug)]
pub struct Person {
    identity: Identity,
    platform_admin: bool,
    adds_clusters: bool,
    makes_workspaces: bool,
    most_workspaces: u32,
    file: Option<FileId>,
}

impl Person {
    /// Who they are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// Whether the configuration names them as platform admin.
    pub fn is_platform_admin(&self) -> bool {
        self.platform_admin
    }
    /// Whether they may add clusters.
    pub fn may_add_clusters(&self) -> bool {
        self.platform_admin || self.adds_clusters
    }
    /// Whether they may make workspaces.
    pub fn may_make_workspaces(&self) -> bool {
        self.platform_admin || self.makes_workspaces
    }
}

/// Proof that somebody may do something. Only this module makes one.
#[derive(Clone, Debug)]
pub struct Authorized<P> {
    person: Person,
    permit: P,
}

impl<P> Authorized<P> {
    /// Who acts.
    pub fn person(&self) -> &Person {
        &self.person
    }
    /// What they may act on.
    pub fn permit(&self) -> &P {
        &self.permit
    }
}

/// May add a cluster to the shared trust domain.
#[derive(Clone, Debug)]
pub struct AddCluster(Option<Workspace>);
/// May look at a cluster's pages.
#[derive(Clone, Debug)]
pub struct ViewCluster(Cluster);
/// May give and take access on a cluster: grants and share links; as an owner, or not.
#[derive(Clone, Debug)]
pub struct ManageAccess(Cluster, bool);
/// May change the cluster itself: name, credentials, trust, removal.
#[derive(Clone, Debug)]
pub struct ManageCluster(Cluster);
/// May accept this link now.
#[derive(Clone, Debug)]
pub struct AcceptLink {
    link: ShareLink,
    cluster: Cluster,
}
/// May look after their own things: their devices and sessions.
#[derive(Clone, Copy, Debug)]
pub struct OwnThings;
/// May ask for access to this cluster.
#[derive(Clone, Debug)]
pub struct AskAccess(Cluster);
/// May hold a kubeconfig for this cluster.
#[derive(Clone, Debug)]
pub struct HoldKubeconfig(Cluster);

macro_rules! about_cluster {
    ($($permit:ident),+) => {$(
        impl Authorized<$permit> {
            /// The cluster it is about.
            pub fn cluster(&self) -> &Cluster {
                &self.permit.0
            }
        }
    )+};
}
about_cluster!(ViewCluster, ManageAccess, ManageCluster, HoldKubeconfig, AskAccess);

impl Authorized<AddCluster> {
    /// The workspace it goes to; `None` for one of their own, made where they have none.
    pub fn workspace(&self) -> Option<&Workspace> {
        self.permit.0.as_ref()
    }
}

impl Authorized<AcceptLink> {
    /// The link.
    pub fn link(&self) -> &ShareLink {
        &self.permit.link
    }
    /// The cluster that it lends.
    pub fn cluster(&self) -> &Cluster {
        &self.permit.cluster
    }
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Adding clusters is kept to platform admins and listed people.
    #[error("only platform admins, and people they list, add clusters")]
    AddsNoClusters,
    /// Not a member, or not of enough weight.
    #[error("only people who manage this cluster may do that")]
    NotYours,
    /// Not a member of the workspace, or not of enough weight.
    #[error("only people who manage this workspace may do that")]
    NotYourWorkspace,
    /// No member of the project, or not of enough weight.
    #[error("only people of this project may do that")]
    NotYourProject,
    /// Making workspaces is kept to platform admins and listed people.
    #[error("only platform admins, and people they list, make workspaces")]
    MakesNoWorkspaces,
    /// Only platform admins.
    #[error("only platform admins may do that")]
    NoPlatformAdmin,
    /// They would give themselves more than they were given.
    #[error("nobody gives themselves a stronger role")]
    RaisesThemselves,
    /// The role is for owners to give.
    #[error("only owners of the workspace give cluster-admin")]
    OwnersGive,
    /// What the role allows is for owners to give.
    #[error("only owners of the workspace give a role that reaches further than admin")]
    OwnersGiveFurther,
    /// The role is for owners to give, and editors could put themselves into the Group that it is for.
    #[error(
        "editors may change who is in this group: let only owners do so, on the group's page, before it gets cluster-admin"
    )]
    GroupNotKept,
    /// Editors could put themselves into the Group that is to be a member.
    #[error(
        "editors may change who is in this group: let only owners do so, on the group's page, before it becomes a member"
    )]
    GroupOfEditors,
    /// The role is for owners to give, and whoever made the link is none (any more).
    #[error("only owners of the workspace give that role, and its maker is none any more")]
    MakerNoOwner,
    /// Who changes the Group has changed since they looked at it, or its workspace is on its way out.
    #[error("who may change this group has just been changed, or its workspace is being deleted")]
    GroupChanged,
    /// The last person who owns a workspace stays.
    #[error("the last owner of a workspace stays")]
    LastOwner,
    /// The workspace is on its way out.
    #[error("this workspace is being deleted")]
    WorkspaceGoing,
    /// It comes from a grant that reaches further, and is taken back there.
    #[error("this comes from a grant that reaches further than this cluster, and is taken back there")]
    TakenBackElsewhere,
    /// It came by a share link or from a grant that reaches further, and what it gives is changed there.
    #[error("what this gives is changed where it came from")]
    ChangedElsewhere,
    /// Nothing was lent to them there.
    #[error("nobody has lent you this cluster, or it has ended")]
    NothingLent,
    /// The link is not open.
    #[error("this link is not open any more")]
    LinkClosed(LinkState),
    /// The link is for others.
    #[error("this link is for other people")]
    NotInvited(NotInvited),
    /// A group of theirs, or they themselves, would be taken for those of another provider there.
    #[error("on this cluster you, or a group of yours, would be taken for those of another provider that it trusts")]
    TakenForAnother,
    /// The cluster does not trust the provider that they sign in at.
    #[error("this cluster does not know the provider that you sign in at")]
    ProviderNotTrusted,
    /// The cluster is on its way out.
    #[error("this cluster is being removed")]
    BeingRemoved,
}

impl Policy {
    /// What the configuration makes of somebody.
    pub fn person(&self, identity: Identity) -> Person {
        // Whoever runs a workspace's own provider says what its tokens say: its people are nothing beyond that workspace.
        let everywhere = identity.counts_in(None);
        let listed = |rules: &[PersonRule]| everywhere && rules.iter().any(|r| r.names(&identity));
        let platform_admin = listed(&self.platform_admins);
        let adds_clusters = listed(&self.cluster_adders);
        let makes_workspaces = listed(&self.workspace_makers);
        let most_workspaces = self.workspaces_per_person;
        Person { identity, platform_admin, adds_clusters, makes_workspaces, most_workspaces, file: None }
    }
}

/// May they add a cluster, to a workspace of their own?
///
/// # Errors
/// [`Forbidden::AddsNoClusters`].
pub fn add_cluster(person: &Person) -> Result<Authorized<AddCluster>, Forbidden> {
    if person.may_add_clusters() { Ok(authorized(person, AddCluster(None))) } else { Err(Forbidden::AddsNoClusters) }
}

/// May they add a cluster to this workspace? Its owners may, if they may add clusters at all.
///
/// # Errors
/// [`Forbidden::AddsNoClusters`], [`Forbidden::NotYourWorkspace`].
pub fn add_cluster_to(
    person: &Person,
    workspace: Workspace,
    member: Option<MemberRole>,
) -> Result<Authorized<AddCluster>, Forbidden> {
    add_cluster(person)?;
    at_least(person, workspace.id, member, MemberRole::Owner).map_err(|_| Forbidden::NotYourWorkspace)?;
    Ok(authorized(person, AddCluster(Some(workspace))))
}

/// Everybody may look after their own things.
pub fn own_things(person: &Person) -> Authorized<OwnThings> {
    authorized(person, OwnThings)
}

/// May they look at this cluster's pages? Members of its workspace and platform admins may.
///
/// # Errors
/// [`Forbidden::NotYours`].
pub fn view_cluster(
    person: &Person,
    cluster: Cluster,
    member: Option<MemberRole>,
) -> Result<Authorized<ViewCluster>, Forbidden> {
    at_least(person, cluster.workspace, member, MemberRole::Viewer)?;
    Ok(authorized(person, ViewCluster(cluster)))
}

/// May they give and take access there? Owners and editors of its workspace and platform admins may.
///
/// # Errors
/// [`Forbidden::NotYours`].
pub fn manage_access(
    person: &Person,
    cluster: Cluster,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageAccess>, Forbidden> {
    at_least(person, cluster.workspace, member, MemberRole::Editor)?;
    let owner = at_least(person, cluster.workspace, member, MemberRole::Owner).is_ok();
    Ok(authorized(person, ManageAccess(cluster, owner)))
}

/// May they change the cluster itself? Owners of its workspace and platform admins may.
///
/// # Errors
/// [`Forbidden::NotYours`].
pub fn manage_cluster(
    person: &Person,
    cluster: Cluster,
    member: Option<MemberRole>,
) -> Result<Authorized<ManageCluster>, Forbidden> {
    at_least(person, cluster.workspace, member, MemberRole::Owner)?;
    Ok(authorized(person, ManageCluster(cluster)))
}

/// May they accept this link now? Whoever it is for may, while it is open, if the cluster trusts the provider that they sign in at.
/// `maker` is whoever made it, with what they are in the cluster's workspace today.
///
/// The reasons come in the order of how little they tell: somebody whom the link is not for learns nothing of the cluster.
///
/// # Errors
/// Why not.
pub fn accept_link(
    (person, in_groups): (&Person, &[GroupId]),
    link: ShareLink,
    cluster: Cluster,
    (maker, makers_role): (&Person, Option<MemberRole>),
    now: Timestamp,
) -> Result<Authorized<AcceptLink>, Forbidden> {
    match link.state(now) {
        LinkState::Open => {}
        closed => return Err(Forbidden::LinkClosed(closed)),
    }
    if cluster.removing.is_some() {
        return Err(Forbidden::BeingRemoved);
    }
    roles::vouched(&link, &cluster, maker, makers_role)?;
    link.rules.audience.invites(&person.identity, in_groups).map_err(Forbidden::NotInvited)?;
    trusted(person, &cluster)?;
    Ok(authorized(person, AcceptLink { link, cluster }))
}

/// May they hold a kubeconfig for this cluster? Whoever a live grant reaches may, and the people who manage it; and only
/// where the cluster trusts the provider whose token the file would carry (a cluster never sees a token of another domain).
///
/// # Errors
/// Why not.
pub fn hold_kubeconfig(
    person: &Person,
    cluster: Cluster,
    member: Option<MemberRole>,
    live_grants: usize,
) -> Result<Authorized<HoldKubeconfig>, Forbidden> {
    if live_grants == 0 && at_least(person, cluster.workspace, member, MemberRole::Viewer).is_err() {
        return Err(Forbidden::NothingLent);
    }
    trusted(person, &cluster)?;
    Ok(authorized(person, HoldKubeconfig(cluster)))
}

/// May they ask for access there? Whoever knows the cluster may (it is or was lent to them, or they are a member of its workspace), where
/// it trusts the provider that they sign in at. Asking gives nothing.
///
/// # Errors
/// [`Forbidden::NothingLent`] for strangers, who are to learn nothing by asking; [`Forbidden::ProviderNotTrusted`].
pub fn ask_access(
    person: &Person,
    cluster: Cluster,
    member: Option<MemberRole>,
    knows: bool,
) -> Result<Authorized<AskAccess>, Forbidden> {
    if !knows && at_least(person, cluster.workspace, member, MemberRole::Viewer).is_err() {
        return Err(Forbidden::NothingLent);
    }
    trusted(person, &cluster)?;
    Ok(authorized(person, AskAccess(cluster)))
}

/// Whether the cluster trusts the provider that they sign in at, and takes their tokens for theirs.
fn trusted(person: &Person, cluster: &Cluster) -> Result<(), Forbidden> {
    let identity = &person.identity;
    if cluster.mapping(&identity.provider).is_none() || !identity.counts_in(Some(cluster.workspace)) {
        return Err(Forbidden::ProviderNotTrusted);
    }
    if cluster.takes_for_another(identity) { Err(Forbidden::TakenForAnother) } else { Ok(()) }
}

/// Whether they are that in this workspace, or more. Those of another workspace's own provider are nothing in it, whatever rows say.
fn at_least(
    person: &Person,
    workspace: WorkspaceId,
    member: Option<MemberRole>,
    wanted: MemberRole,
) -> Result<(), Forbidden> {
    let member = member.filter(|_| person.identity.counts_in(Some(workspace)));
    if person.platform_admin || member.is_some_and(|m| m >= wanted) { Ok(()) } else { Err(Forbidden::NotYours) }
}

fn authorized<P>(person: &Person, permit: P) -> Authorized<P> {
    Authorized { person: person.clone(), permit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        audience::Audience,
        claim_mapping::ClaimMapping,
        cluster::Endpoint,
        id::{ClusterId, IdentityId, ShareLinkId, WorkspaceId},
        scope::Scope,
        share_link::LinkRules,
    };

    pub(super) fn identity(email: &str, verified: bool, provider: &str, groups: &[&str]) -> Identity {
        Identity {
            id: IdentityId::new(),
            provider: provider.parse().unwrap(),
            issuer: "https://idp.example".into(),
            sub: "s".into(),
            email: email.parse().ok(),
            email_verified: verified,
            name: None,
            groups: groups.iter().map(ToString::to_string).collect(),
            last_sign_in: Timestamp::from_secs(0),
        }
    }

    /// A provider of this workspace's own.
    pub(super) fn own(workspace: WorkspaceId) -> ProviderId {
        ProviderId::of_workspace(workspace, [1; 5])
    }

    #[test]
    fn immune_33_nobody_of_a_workspaces_own_provider_is_a_platform_admin_or_listed() {
        let provider = own(WorkspaceId::new());
        // The configuration cannot name it; should it, it counts for nothing.
        let rules = vec![
            PersonRule::VerifiedEmail(provider.clone(), "alice@example.com".parse().unwrap()),
            PersonRule::Group(provider.clone(), "ops".into()),
            PersonRule::Sub(provider.clone(), "s".into()),
        ];
        let policy = Policy {
            platform_admins: rules.clone(),
            cluster_adders: rules.clone(),
            workspace_makers: rules,
            workspaces_per_person: 9,
        };
        let alice = policy.person(identity("alice@example.com", true, provider.as_str(), &["ops"]));
        assert!(!alice.is_platform_admin() && !alice.may_add_clusters() && !alice.may_make_workspaces());
        assert_eq!(create_workspace(&alice).unwrap_err(), Forbidden::MakesNoWorkspaces);
        assert_eq!(add_cluster(&alice).unwrap_err(), Forbidden::AddsNoClusters);
        assert!(view_trail(&alice).is_err());
    }

    #[test]
    fn immune_28_people_of_a_workspaces_own_provider_count_in_it_alone_whatever_they_are_told_to_be() {
        let mut theirs = cluster("dex");
        let ann = Policy::default().person(identity("ann@example.com", true, own(theirs.workspace).as_str(), &[]));
        theirs.trusts.push((ann.identity.provider.clone(), ClaimMapping::default()));
        // Elsewhere a row may say that she owns it, and a cluster that it trusts her provider.
        let elsewhere = Cluster { workspace: WorkspaceId::new(), ..theirs.clone() };
        let owner = Some(MemberRole::Owner);
        for (cluster, may) in [(&theirs, true), (&elsewhere, false)] {
            let cluster = || cluster.clone();
            assert_eq!(view_cluster(&ann, cluster(), owner).is_ok(), may);
            assert_eq!(manage_access(&ann, cluster(), owner).is_ok(), may);
            assert_eq!(manage_cluster(&ann, cluster(), owner).is_ok(), may);
            assert_eq!(hold_kubeconfig(&ann, cluster(), owner, 3).is_ok(), may);
            assert_eq!(ask_access(&ann, cluster(), owner, true).is_ok(), may);
            let link = link(Audience::Anyone);
            let accepted = accept_link((&ann, &[]), link, cluster(), (&ann, owner), Timestamp::from_secs(1));
            assert_eq!(accepted.is_ok(), may);
            let workspace = || Workspace {
                id: cluster().workspace,
                name: "Payments".into(),
                created_by: None,
                created_at: Timestamp::from_secs(0),
                removing: None,
            };
            assert_eq!(view_workspace(&ann, workspace(), owner).is_ok(), may);
            assert_eq!(manage_members(&ann, workspace(), owner).is_ok(), may);
            assert_eq!(manage_workspace(&ann, workspace(), owner).is_ok(), may);
            assert_eq!(manage_reach(&ann, Reach::Workspace(workspace()), owner).is_ok(), may);
            assert_eq!(make_group(&ann, Some(workspace()), owner).is_ok(), may);
            assert_eq!(make_preset(&ann, Some(workspace()), owner).is_ok(), may);
            assert_eq!(make_role(&ann, Some(workspace()), owner).is_ok(), may);
        }
        assert!(manage_reach(&ann, Reach::Global, owner).is_err());
    }

    #[test]
    fn immune_32_who_would_be_taken_for_another_providers_person_gets_no_kubeconfig() {
        let mut both = cluster("dex");
        let prefixed = ClaimMapping {
            username_prefix: "payments:".into(),
            groups_prefix: "oidc:payments:".into(),
            ..ClaimMapping::default()
        };
        both.trusts.push((own(both.workspace), prefixed));
        let held = |groups: &[&str]| {
            let bob = Policy::default().person(identity("bob@example.com", true, "dex", groups));
            hold_kubeconfig(&bob, both.clone(), None, 1).map(drop)
        };
        assert_eq!(held(&["ops", "payment:ops"]), Ok(()));
        // “oidc:payments:ops” is what the group ops of the workspace's provider is called.
        assert_eq!(held(&["payments:ops"]), Err(Forbidden::TakenForAnother));
        let of_dex = "dex".parse().unwrap();
        assert!(both.reads_as_anothers(&of_dex, &crate::model::subject::Subject::group("oidc:payments:ops")));
        assert!(both.reads_as_anothers(&of_dex, &crate::model::subject::Subject::user("payments:bob@example.com")));
        assert!(
            !both.reads_as_anothers(&own(both.workspace), &crate::model::subject::Subject::group("oidc:payments:ops"))
        );
    }

    fn policy() -> Policy {
        Policy {
            platform_admins: vec![PersonRule::VerifiedEmail(
                "dex".parse().unwrap(),
                "alice@example.com".parse().unwrap(),
            )],
            cluster_adders: vec![PersonRule::Group("dex".parse().unwrap(), "ops".into())],
            ..Policy::default()
        }
    }

    #[test]
    fn immune_33_nobody_is_admin_by_an_unverified_email_or_another_provider_or_by_coming_first() {
        assert!(policy().person(identity("Alice@example.com", true, "dex", &[])).is_platform_admin());
        for (email, verified, provider) in [
            ("alice@example.com", false, "dex"),
            ("alice@example.com", true, "other"),
            ("alice@example.com.evil.com", true, "dex"),
        ] {
            let person = policy().person(identity(email, verified, provider, &[]));
            assert!(!person.is_platform_admin(), "{email} {verified} {provider}");
            assert!(add_cluster(&person).is_err());
        }
        assert!(!Policy::default().person(identity("alice@example.com", true, "dex", &[])).may_add_clusters());
    }

    #[test]
    fn listed_groups_add_clusters_and_are_no_admins() {
        let carol = policy().person(identity("carol@example.com", true, "dex", &["devs", "ops"]));
        assert!(add_cluster(&carol).is_ok());
        assert!(!carol.is_platform_admin());
        let foreign = policy().person(identity("carol@example.com", true, "other", &["ops"]));
        assert_eq!(add_cluster(&foreign).unwrap_err(), Forbidden::AddsNoClusters);
    }

    pub(super) fn cluster(trusts: &str) -> Cluster {
        Cluster {
            id: ClusterId::new(),
            workspace: WorkspaceId::new(),
            name: "theirs".parse().unwrap(),
            endpoint: Endpoint { server: "https://k8s.example".parse().unwrap(), ca_pem: None, tls_server_name: None },
            trusts: vec![(trusts.parse().unwrap(), ClaimMapping::default())],
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            formats: Vec::new(),
            labels: crate::model::project::Labels::default(),
            removing: None,
        }
    }

    fn link(audience: Audience) -> ShareLink {
        ShareLink {
            id: ShareLinkId::new(),
            rules: LinkRules {
                role: None,
                scope: Scope::Cluster(ClusterId::new()),
                access_lasts: None,
                expires_at: Timestamp::from_secs(100),
                max_uses: None,
                audience,
                note: None,
                reason: None,
            },
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            paused_at: None,
            uses: 0,
            vouch: None,
        }
    }

    #[test]
    fn immune_15_a_link_is_accepted_by_those_it_is_for_and_by_nobody_else() {
        let listed =
            Audience::Listed("dex".parse().unwrap(), Audience::parse_guests("bob@good.com, group:ops").unwrap());
        let may = |who: Identity, trusts: &str| {
            let (guest, maker) = (policy().person(who), policy().person(identity("m@good.com", true, "dex", &[])));
            accept_link((&guest, &[]), link(listed.clone()), cluster(trusts), (&maker, None), Timestamp::from_secs(1))
                .map(drop)
        };
        assert_eq!(may(identity("Bob@good.com", true, "dex", &[]), "dex"), Ok(()));
        assert_eq!(may(identity("x@evil.com", false, "dex", &["ops"]), "dex"), Ok(()), "a group needs no email");
        for (who, why) in [
            (identity("bob@good.com", false, "dex", &[]), NotInvited::EmailNotVerified),
            (identity("bob@good.com", true, "other", &["ops"]), NotInvited::NotListed),
            (identity("bob@evil.com@good.com", true, "dex", &["Ops"]), NotInvited::NotListed),
            // Not even whoever manages everything: they would give, not take.
            (identity("alice@example.com", true, "dex", &[]), NotInvited::NotListed),
        ] {
            assert_eq!(may(who, "dex"), Err(Forbidden::NotInvited(why)));
        }
        // Whom it is not for learns no more of a cluster that would not know them.
        let stranger = identity("eve@evil.com", true, "dex", &[]);
        assert_eq!(may(stranger, "other"), Err(Forbidden::NotInvited(NotInvited::NotListed)));
        assert_eq!(may(identity("bob@good.com", true, "dex", &[]), "other"), Err(Forbidden::ProviderNotTrusted));
    }

    #[test]
    fn immune_30_a_cluster_that_does_not_trust_somebodys_provider_gets_no_permit_for_their_token() {
        let cluster = cluster("other");
        let alice = policy().person(identity("alice@example.com", true, "dex", &[]));
        // Neither a grant, nor owning the workspace, nor being platform admin sends a token where it is not for.
        let held = hold_kubeconfig(&alice, cluster.clone(), Some(MemberRole::Owner), 5);
        assert_eq!(held.unwrap_err(), Forbidden::ProviderNotTrusted);
        let bob = policy().person(identity("bob@example.com", true, "other", &[]));
        assert!(hold_kubeconfig(&bob, cluster.clone(), None, 1).is_ok());
        assert_eq!(hold_kubeconfig(&bob, cluster, None, 0).unwrap_err(), Forbidden::NothingLent);
    }
}
