//! The gate: gathers the facts that `policy` decides on, and hands out its permits.

mod projects;

use std::sync::Arc;

use super::AccessError;
use crate::{
    clock::Clock,
    crypto::PlainToken,
    model::{
        cluster::Cluster,
        federation::WideScope,
        grant::Grant,
        group::Group,
        id::{ClusterId, CustomRoleId, GroupId, IdentityId, PresetId, WorkspaceId},
        identity::Identity,
        project::Membership,
        share_link::{LinkState, ShareLink},
        workspace::{MemberRole, Workspace},
    },
    policy::{
        self, AcceptLink, AddCluster, AskAccess, Authorized, Forbidden, HoldKubeconfig, JoinWorkspace, MakeGroup,
        MakePreset, MakeRole, ManageAccess, ManageCluster, ManageGroup, ManageMembers, ManagePreset, ManageReach,
        ManageRole, ManageWorkspace, ManageWorkspaceAccess, MoveCluster, Person, Policy, Reach, ViewCluster, ViewGroup,
        ViewReach, ViewRole, ViewWorkspace,
    },
    store::{Store, StoreError},
};

/// Decides who may do what.
#[derive(Clone, Debug)]
pub struct Gate {
    store: Store,
    policy: Arc<Policy>,
    clock: Clock,
}

/// What a link is to the person who opened it.
#[derive(Debug)]
pub enum LinkView {
    /// They can accept it.
    Open(Box<Authorized<AcceptLink>>),
    /// They accepted it before and still hold what it gave.
    Yours(Box<Cluster>),
    /// They accepted it before, and what it gave them has ended.
    Ended(Box<Cluster>),
    /// They cannot accept it, and may know why: they made it, or give and take access on its cluster.
    Theirs(Box<ManagedLink>),
    /// It invites them to a workspace.
    Invites(Box<Authorized<JoinWorkspace>>),
    /// It invites to a workspace in which they are that already, or more.
    Member(Box<Workspace>),
    /// The cluster does not know the provider that they sign in at.
    WrongProvider,
    /// Unknown, expired, revoked, used up, resting, or for other people: to them it is one and the same.
    Closed,
}

/// A link as the people who manage it may know it.
#[derive(Debug)]
pub struct ManagedLink {
    /// The link.
    pub link: ShareLink,
    /// Its cluster.
    pub cluster: Cluster,
    /// Whether they may change it.
    pub may_change: bool,
    /// Why they themselves cannot accept it.
    pub why: Forbidden,
}

impl Gate {
    /// With these parts.
    pub fn new(store: Store, policy: Arc<Policy>, clock: Clock) -> Self {
        Self { store, policy, clock }
    }

    /// The person behind a session.
    pub async fn person(&self, id: IdentityId) -> Result<Person, AccessError> {
        Ok(self.somebody(self.store.identity(id).await?))
    }

    /// The same, where they can still sign in: whoever runs a workspace's own provider vouches for its people no longer once it is
    /// off, on any replica.
    pub async fn signed_in(&self, id: IdentityId) -> Result<Person, AccessError> {
        let identity = self.store.identity(id).await?;
        if identity.provider.home().is_some() && !self.store.is_own_provider_on(&identity.provider).await? {
            return Err(AccessError::NotFound);
        }
        Ok(self.somebody(identity))
    }

    /// Whoever made a link, as long as somebody vouches for them.
    async fn maker(&self, id: IdentityId) -> Result<Option<Person>, AccessError> {
        match self.signed_in(id).await {
            Ok(maker) => Ok(Some(maker)),
            Err(AccessError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whoever this is, with what the platform lets them do.
    pub fn somebody(&self, identity: Identity) -> Person {
        self.policy.person(identity)
    }

    /// May they add a cluster?
    pub fn add_cluster(&self, person: &Person) -> Result<Authorized<AddCluster>, AccessError> {
        Ok(policy::add_cluster(person)?)
    }

    /// May they add a cluster to this workspace?
    pub async fn add_cluster_to(
        &self,
        person: &Person,
        id: WorkspaceId,
    ) -> Result<Authorized<AddCluster>, AccessError> {
        let (workspace, member) = self.workspace(person, id).await?;
        Ok(policy::add_cluster_to(person, workspace, member)?)
    }

    /// May they look at this workspace?
    pub async fn view_workspace(
        &self,
        person: &Person,
        id: WorkspaceId,
    ) -> Result<Authorized<ViewWorkspace>, AccessError> {
        let (workspace, member) = self.workspace(person, id).await?;
        Ok(policy::view_workspace(person, workspace, member)?)
    }

    /// May they give and take access that reaches its clusters?
    pub async fn manage_workspace_access(
        &self,
        person: &Person,
        id: WorkspaceId,
    ) -> Result<Authorized<ManageWorkspaceAccess>, AccessError> {
        let (workspace, member) = self.workspace(person, id).await?;
        Ok(policy::manage_workspace_access(person, workspace, member)?)
    }

    /// May they say who is a member of it?
    pub async fn manage_members(
        &self,
        person: &Person,
        id: WorkspaceId,
    ) -> Result<Authorized<ManageMembers>, AccessError> {
        let (workspace, member) = self.workspace(person, id).await?;
        Ok(policy::manage_members(person, workspace, member)?)
    }

    /// May they rename and delete it?
    pub async fn manage_workspace(
        &self,
        person: &Person,
        id: WorkspaceId,
    ) -> Result<Authorized<ManageWorkspace>, AccessError> {
        let (workspace, member) = self.workspace(person, id).await?;
        Ok(policy::manage_workspace(person, workspace, member)?)
    }

    /// May they look at access that reaches so far?
    pub async fn view_reach(&self, person: &Person, scope: WideScope) -> Result<Authorized<ViewReach>, AccessError> {
        let (reach, is) = self.reach(person, scope).await?;
        Ok(policy::view_reach(person, reach, is)?)
    }

    /// May they give and take access that reaches so far?
    pub async fn manage_reach(
        &self,
        person: &Person,
        scope: WideScope,
    ) -> Result<Authorized<ManageReach>, AccessError> {
        let (reach, is) = self.reach(person, scope).await?;
        Ok(policy::manage_reach(person, reach, is)?)
    }

    async fn reach(&self, person: &Person, scope: WideScope) -> Result<(Reach, Membership), AccessError> {
        Ok(match scope {
            WideScope::Global => (Reach::Global, Membership::default()),
            WideScope::Workspace(id) => {
                let (workspace, member) = self.workspace(person, id).await?;
                (Reach::Workspace(workspace), member.into())
            }
            WideScope::Cluster(id) => {
                let cluster = self.store.cluster(id).await?;
                let (workspace, member) = self.workspace(person, cluster.workspace).await?;
                (Reach::Cluster(workspace, Box::new(cluster)), member.into())
            }
            WideScope::Project(id) => {
                let (workspace, project, is) = self.project(person, id).await?;
                (Reach::Project(workspace, project), is)
            }
        })
    }

    /// May they look at this Group? To whom it is not shown, it is not there.
    pub async fn view_group(&self, person: &Person, id: GroupId) -> Result<Authorized<ViewGroup>, AccessError> {
        let (group, workspace, member) = self.group(person, id).await?;
        policy::view_group(person, group, workspace, member).map_err(|_| AccessError::NotFound)
    }

    /// May they change it and its members?
    pub async fn manage_group(&self, person: &Person, id: GroupId) -> Result<Authorized<ManageGroup>, AccessError> {
        self.view_group(person, id).await?;
        let (group, workspace, member) = self.group(person, id).await?;
        Ok(policy::manage_group(person, group, workspace, member)?)
    }

    /// May they look at this custom role? To whom it is not shown, it is not there.
    pub async fn view_custom_role(
        &self,
        person: &Person,
        id: CustomRoleId,
    ) -> Result<Authorized<ViewRole>, AccessError> {
        let role = self.store.custom_role(id).await?;
        let (workspace, member) = self.home(person, role.workspace).await?;
        policy::view_role(person, role, workspace.as_ref(), member).map_err(|_| AccessError::NotFound)
    }

    /// May they change and delete this custom role?
    pub async fn manage_role(&self, person: &Person, id: CustomRoleId) -> Result<Authorized<ManageRole>, AccessError> {
        let role = self.store.custom_role(id).await?;
        let (workspace, member) = self.home(person, role.workspace).await?;
        Ok(policy::manage_role(person, role, workspace.as_ref(), member)?)
    }

    /// May they make a custom role of this workspace, or (`None`) of all?
    pub async fn make_role(
        &self,
        person: &Person,
        workspace: Option<WorkspaceId>,
    ) -> Result<Authorized<MakeRole>, AccessError> {
        let (workspace, member) = self.home(person, workspace).await?;
        Ok(policy::make_role(person, workspace, member)?)
    }

    /// May they make a Group of this workspace, or (`None`) of all?
    pub async fn make_group(
        &self,
        person: &Person,
        workspace: Option<WorkspaceId>,
    ) -> Result<Authorized<MakeGroup>, AccessError> {
        let (workspace, member) = self.home(person, workspace).await?;
        Ok(policy::make_group(person, workspace, member)?)
    }

    /// May they make presets of this workspace, or (`None`) of all?
    pub async fn make_preset(
        &self,
        person: &Person,
        workspace: Option<WorkspaceId>,
    ) -> Result<Authorized<MakePreset>, AccessError> {
        let (workspace, member) = self.home(person, workspace).await?;
        Ok(policy::make_preset(person, workspace, member)?)
    }

    /// May they change this preset?
    pub async fn manage_preset(&self, person: &Person, id: PresetId) -> Result<Authorized<ManagePreset>, AccessError> {
        let preset = self.store.preset(id).await?;
        let (_, member) = self.home(person, preset.workspace).await?;
        Ok(policy::manage_preset(person, preset, member)?)
    }

    async fn group(
        &self,
        person: &Person,
        id: GroupId,
    ) -> Result<(Group, Option<Workspace>, Option<MemberRole>), AccessError> {
        let group = self.store.group(id).await?;
        let (workspace, member) = self.home(person, group.workspace).await?;
        Ok((group, workspace, member))
    }

    async fn home(
        &self,
        person: &Person,
        workspace: Option<WorkspaceId>,
    ) -> Result<(Option<Workspace>, Option<MemberRole>), AccessError> {
        let Some(id) = workspace else { return Ok((None, None)) };
        let (workspace, member) = self.workspace(person, id).await?;
        Ok((Some(workspace), member))
    }

    /// May they put this cluster into that workspace?
    pub async fn move_cluster(
        &self,
        person: &Person,
        id: ClusterId,
        to: WorkspaceId,
    ) -> Result<Authorized<MoveCluster>, AccessError> {
        let cluster = self.store.cluster(id).await?;
        let from = self.workspace(person, cluster.workspace).await?;
        let to = self.workspace(person, to).await?;
        Ok(policy::move_cluster(person, cluster, from, to)?)
    }

    /// May they look at this cluster? A cluster that they may not see is not found.
    pub async fn view_cluster(&self, person: &Person, id: ClusterId) -> Result<Authorized<ViewCluster>, AccessError> {
        let (cluster, member) = self.facts(person, id).await?;
        Ok(policy::view_cluster(person, cluster, member)?)
    }

    /// May they give and take access there?
    pub async fn manage_access(&self, person: &Person, id: ClusterId) -> Result<Authorized<ManageAccess>, AccessError> {
        let (cluster, member) = self.facts(person, id).await?;
        Ok(policy::manage_access(person, cluster, member)?)
    }

    /// May they change the cluster itself?
    pub async fn manage_cluster(
        &self,
        person: &Person,
        id: ClusterId,
    ) -> Result<Authorized<ManageCluster>, AccessError> {
        let (cluster, member) = self.facts(person, id).await?;
        Ok(policy::manage_cluster(person, cluster, member)?)
    }

    /// May they hold a kubeconfig for it? With the live grants that say so.
    pub async fn hold_kubeconfig(
        &self,
        person: &Person,
        id: ClusterId,
    ) -> Result<(Authorized<HoldKubeconfig>, Vec<Grant>), AccessError> {
        let (cluster, member, grants) = tokio::try_join!(
            self.store.cluster(id),
            self.store.membership_around(id, person.identity()),
            self.store.grants_reaching(person.identity(), Some(id), self.clock.now()),
        )?;
        Ok((policy::hold_kubeconfig(person, cluster, member, grants.len())?, grants))
    }

    /// May they ask for access there? With the live grants that reach them. To whom the cluster was never lent, it is not there.
    pub async fn ask_access(
        &self,
        person: &Person,
        id: ClusterId,
    ) -> Result<(Authorized<AskAccess>, Vec<Grant>), AccessError> {
        let (cluster, member, grants, lent) = tokio::try_join!(
            self.store.cluster(id),
            self.store.membership_around(id, person.identity()),
            self.store.grants_reaching(person.identity(), Some(id), self.clock.now()),
            self.store.was_lent(id, person.identity().id),
        )?;
        match policy::ask_access(person, cluster, member, lent || !grants.is_empty()) {
            Ok(permit) => Ok((permit, grants)),
            Err(Forbidden::NothingLent) => Err(AccessError::NotFound),
            Err(why) => Err(why.into()),
        }
    }

    /// What this link is to this person.
    pub async fn link(&self, person: &Person, token: &PlainToken) -> Result<LinkView, AccessError> {
        let link = match self.store.link_by_token(&token.hash()).await {
            Ok(link) => link,
            Err(StoreError::NotFound) => return self.invitation(person, token).await,
            Err(e) => return Err(e.into()),
        };
        let (cluster, member) = self.facts(person, link.rules.scope.cluster()).await?;
        let now = self.clock.now();
        match self.store.given_by_link(link.id, person.identity().id).await? {
            Some(given) if given.is_live(now) => return Ok(LinkView::Yours(Box::new(cluster))),
            Some(_) => return Ok(LinkView::Ended(Box::new(cluster))),
            None => {}
        }
        let Some(maker) = self.maker(link.created_by).await? else { return Ok(LinkView::Closed) };
        let makers_role = self.store.membership(cluster.workspace, maker.identity()).await?;
        let named = link.rules.audience.own_groups();
        let in_groups = self.in_groups(person, &named, cluster.workspace, link.is_an_owners()).await?;
        let who = (person, in_groups.as_slice());
        let why = match policy::accept_link(who, link.clone(), cluster.clone(), (&maker, makers_role), now) {
            Ok(permit) => return Ok(LinkView::Open(Box::new(permit))),
            Err(why) => why,
        };
        let may_change = policy::manage_access(person, cluster.clone(), member).is_ok();
        if may_change || link.created_by == person.identity().id {
            return Ok(LinkView::Theirs(Box::new(ManagedLink { link, cluster, may_change, why })));
        }
        Ok(if why == Forbidden::ProviderNotTrusted { LinkView::WrongProvider } else { LinkView::Closed })
    }

    /// The workspace in which an open link or invitation lends or invites: whoever holds it may learn where they can sign in to accept
    /// it. Nothing of one that is not open.
    pub async fn home_of_link(&self, token: &PlainToken) -> Result<Option<WorkspaceId>, AccessError> {
        let (hash, now) = (token.hash(), self.clock.now());
        match self.store.link_by_token(&hash).await {
            Ok(link) if link.state(now) == LinkState::Open => {
                Ok(Some(self.store.cluster(link.rules.scope.cluster()).await?.workspace))
            }
            Ok(_) => Ok(None),
            Err(StoreError::NotFound) => match self.store.invitation_by_token(&hash).await {
                Ok(invitation) => Ok((invitation.state(now) == LinkState::Open).then_some(invitation.workspace)),
                Err(StoreError::NotFound) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// What an invitation is to this person.
    async fn invitation(&self, person: &Person, token: &PlainToken) -> Result<LinkView, AccessError> {
        let invitation = match self.store.invitation_by_token(&token.hash()).await {
            Ok(invitation) => invitation,
            Err(StoreError::NotFound) => return Ok(LinkView::Closed),
            Err(e) => return Err(e.into()),
        };
        let (workspace, member) = self.workspace(person, invitation.workspace).await?;
        if member >= Some(invitation.role) {
            return Ok(LinkView::Member(Box::new(workspace)));
        }
        let Some(maker) = self.maker(invitation.created_by).await? else { return Ok(LinkView::Closed) };
        let makers_role = self.store.membership(workspace.id, maker.identity()).await?;
        let now = self.clock.now();
        let named = invitation.audience.own_groups();
        let in_groups = self.in_groups(person, &named, workspace.id, true).await?;
        Ok(match policy::join_workspace((person, &in_groups), invitation, workspace, &maker, makers_role, now) {
            Ok(permit) => LinkView::Invites(Box::new(permit)),
            Err(_) => LinkView::Closed,
        })
    }

    /// Which of the Groups that a link names somebody is in.
    async fn in_groups(
        &self,
        person: &Person,
        named: &[GroupId],
        workspace: WorkspaceId,
        kept: bool,
    ) -> Result<Vec<GroupId>, AccessError> {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.in_groups(person.identity(), named, workspace, kept).await?)
    }

    async fn facts(&self, person: &Person, id: ClusterId) -> Result<(Cluster, Option<MemberRole>), AccessError> {
        let cluster = self.store.cluster(id).await?;
        let member = self.store.membership(cluster.workspace, person.identity()).await?;
        Ok((cluster, member))
    }

    async fn workspace(
        &self,
        person: &Person,
        id: WorkspaceId,
    ) -> Result<(Workspace, Option<MemberRole>), AccessError> {
        let workspace = self.store.workspace(id).await?;
        let member = self.store.membership(id, person.identity()).await?;
        Ok((workspace, member))
    }
}
