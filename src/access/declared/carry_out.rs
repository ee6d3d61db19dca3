//! Doing what a plan says, step by step, as the pages do it.

use super::{Declared, GroupAt, Kind, NewProject, Plan, RoleAt, Spot, Step, Stopped, Where, roles::vouched};
use crate::{
    access::{AccessError, CustomRoles, FederatedRequest, GrantRequest, GroupGrantRequest, Recipient},
    model::{
        cluster::Removal,
        federation::WideScope,
        id::{GroupId, ProjectId, WorkspaceId},
        role::Role,
        workspace::Seats,
    },
    policy::{self, Authorized, Person, SeatGroups},
    store::StoreError,
};

/// What has come to be known of the file's workspaces and projects.
struct Made {
    homes: Vec<Option<WorkspaceId>>,
    projects: Vec<Vec<Option<ProjectId>>>,
}

impl Made {
    fn home(&self, home: usize) -> Result<WorkspaceId, AccessError> {
        self.homes[home].ok_or(AccessError::NotFound)
    }

    /// The workspace of an entry, or (`None`) all of them.
    fn level(&self, home: Option<usize>) -> Result<Option<WorkspaceId>, AccessError> {
        home.map(|home| self.home(home)).transpose()
    }

    fn project(&self, home: usize, n: usize) -> Result<ProjectId, AccessError> {
        self.projects[home][n].ok_or(AccessError::NotFound)
    }

    fn seats(&self, at: Where) -> Result<Seats, AccessError> {
        match at {
            Where::Workspace(home) => self.home(home).map(Seats::Workspace),
            Where::Project(home, n) => self.project(home, n).map(Seats::Project),
        }
    }

    fn scope(&self, spot: &Spot) -> Result<WideScope, AccessError> {
        match *spot {
            Spot::Everywhere => Ok(WideScope::Global),
            Spot::Workspace(home) => self.home(home).map(WideScope::Workspace),
            Spot::Project(home, n) => self.project(home, n).map(WideScope::Project),
        }
    }
}

/// Whether the database did not even take something back: then it is not asked once more for each of the rest.
fn is_away(failed: &[(Kind, usize, AccessError)]) -> bool {
    let away = |error: &AccessError| matches!(error, AccessError::Store(StoreError::Database(_)));
    failed.last().is_some_and(|(kind, _, error)| *kind == Kind::Remove && away(error))
}

impl Declared {
    /// Does what a plan says. Where there is nothing to do, nothing is written, not even that the file was applied.
    ///
    /// # Errors
    /// The first step that does not go through, because something has changed since the plan was made, or the database is away. What is
    /// given after it is left for the next time. What is taken back is not: nobody keeps access because somebody else could not get it.
    pub async fn carry_out(&self, plan: &Plan) -> Result<(), Stopped> {
        if plan.changes.is_empty() {
            return Ok(());
        }
        let nothing = |error| Stopped { done: 0, left: (0..plan.changes.len()).collect(), error, more: Vec::new() };
        let file = self.store.begin_file(&plan.file, self.clock.now()).await;
        let person = policy::applying(&file.map_err(|error| nothing(error.into()))?);
        let mut made = Made { homes: plan.homes.clone(), projects: plan.projects.clone() };
        let (mut done, mut left, mut failed) = (0, Vec::new(), Vec::new());
        for (n, change) in plan.changes.iter().enumerate() {
            let goes_on = failed.is_empty() || (change.kind == Kind::Remove && !is_away(&failed));
            let went = if goes_on { Some(Box::pin(self.one(&person, &mut made, &change.step)).await) } else { None };
            match went {
                Some(Ok(())) => done += 1,
                Some(Err(error)) => {
                    left.push(n);
                    failed.push((change.kind, n, error));
                }
                None => left.push(n),
            }
        }
        let mut failed = failed.into_iter().map(|(_, n, error)| (n, error));
        let Some((_, error)) = failed.next() else { return Ok(()) };
        Err(Stopped { done, left, error, more: failed.collect() })
    }

    async fn one(&self, person: &Person, made: &mut Made, step: &Step) -> Result<(), AccessError> {
        match step.clone() {
            Step::MakeWorkspace(home, name) => {
                let permit = policy::create_workspace(person)?;
                made.homes[home] = Some(self.workspaces.create(&permit, name).await?);
                Ok(())
            }
            Step::RemoveWorkspace(id) => {
                let permit = self.gate.manage_workspace(person, id).await?;
                self.workspaces.delete(&permit, Removal::Purge).await
            }
            Step::AddProject(home, n, new) => {
                let permit = self.gate.manage_workspace_access(person, made.home(home)?).await?;
                let NewProject { name, namespace, placement, takes } = new;
                let id = self.federation.add_project(&permit, name, namespace, placement, takes).await?;
                made.projects[home][n] = Some(id);
                Ok(())
            }
            Step::ChangeProject(id, name, placement) => {
                let permit = self.gate.manage_project(person, id).await?;
                self.federation.change_project(&permit, &name, &placement).await
            }
            Step::Take(home, n, takes) => {
                let permit = self.gate.manage_takes(person, made.project(home, n)?).await?;
                self.people.take_over(&permit, takes).await
            }
            Step::MakeNamespace(home, n, makes) => {
                let permit = self.gate.manage_project(person, made.project(home, n)?).await?;
                self.federation.make_namespaces(&permit, makes).await
            }
            Step::RemoveProject(id) => {
                let permit = self.gate.manage_project(person, id).await?;
                self.federation.remove_project(&permit).await
            }
            other => Box::pin(self.own_step(person, made, other)).await,
        }
    }

    /// Custom roles, and Groups.
    async fn own_step(&self, person: &Person, made: &Made, step: Step) -> Result<(), AccessError> {
        match step {
            Step::MakeRole(home, name, rules) => {
                let permit = self.gate.make_role(person, made.level(home)?).await?;
                self.roles.create(&permit, name, rules).await.map(drop)
            }
            Step::ChangeRole(id, rules, vouch) => {
                let permit = self.gate.manage_role(person, id).await?;
                // What it lets do beyond what was read may be more by now: then nobody has answered for that.
                let vouches = vouched(&CustomRoles::widens(permit.role(), &rules), &vouch);
                self.roles.change(&permit, &rules, vouches).await
            }
            Step::RemoveRole(id) => {
                let permit = self.gate.manage_role(person, id).await?;
                self.roles.remove(&permit).await
            }
            Step::MakeGroup(home, name, kept) => {
                let permit = self.gate.make_group(person, made.level(home)?).await?;
                self.groups.create(&permit, name, kept).await.map(drop)
            }
            Step::ChangeGroup(id, name, kept) => {
                let permit = self.gate.manage_group(person, id).await?;
                self.groups.change(&permit, &name, kept).await
            }
            Step::OpenGroup(id, name) => {
                let permit = self.gate.manage_group(person, id).await?;
                self.groups.change(&permit, &name, false).await
            }
            Step::RemoveGroup(id) => {
                let permit = self.gate.manage_group(person, id).await?;
                self.groups.remove(&permit).await
            }
            other => self.member_step(person, made, other).await,
        }
    }

    /// Who is a member of what.
    async fn member_step(&self, person: &Person, made: &Made, step: Step) -> Result<(), AccessError> {
        match step {
            Step::AddMember(at, who, role) => match made.seats(at)? {
                Seats::Workspace(id) => {
                    let permit = self.gate.manage_members(person, id).await?;
                    self.workspaces.add(&permit, who, role).await
                }
                Seats::Project(id) => {
                    let permit = self.gate.manage_project_members(person, id).await?;
                    self.people.add(&permit, who, role).await
                }
            },
            Step::ChangeMember(at, who, role) => match made.seats(at)? {
                Seats::Workspace(id) => {
                    let permit = self.gate.manage_members(person, id).await?;
                    self.workspaces.change(&permit, who, role).await
                }
                Seats::Project(id) => {
                    let permit = self.gate.manage_project_members(person, id).await?;
                    self.people.change(&permit, who, role).await
                }
            },
            Step::RemoveMember(Seats::Workspace(id), who) => {
                let permit = self.gate.manage_members(person, id).await?;
                self.workspaces.remove(&permit, &who).await
            }
            Step::RemoveMember(Seats::Project(id), who) => {
                let permit = self.gate.manage_project_members(person, id).await?;
                self.people.remove(&permit, &who).await
            }
            other => self.group_step(person, made, other).await,
        }
    }

    /// Who is in a Group, and where it is a member.
    async fn group_step(&self, person: &Person, made: &Made, step: Step) -> Result<(), AccessError> {
        match step {
            Step::AddToGroup(at, who) => {
                let permit = self.gate.manage_group(person, self.group_at(made, at).await?).await?;
                self.groups.add(&permit, who).await
            }
            Step::TakeOutOfGroup(id, who) => {
                let permit = self.gate.manage_group(person, id).await?;
                self.groups.take_out(&permit, &who).await
            }
            Step::AddSeat(at, typed, role) => {
                let permit = self.seat_groups(person, made.seats(at)?).await?;
                self.seats.add(&permit, &typed, role).await
            }
            Step::ChangeSeat(at, group, role) => {
                let permit = self.seat_groups(person, made.seats(at)?).await?;
                self.seats.change(&permit, group, role).await
            }
            Step::RemoveSeat(seats, group) => {
                let permit = self.seat_groups(person, seats).await?;
                self.seats.remove(&permit, group).await
            }
            other => self.grant_step(person, made, other).await,
        }
    }

    async fn grant_step(&self, person: &Person, made: &Made, step: Step) -> Result<(), AccessError> {
        match step {
            Step::GiveWide(spot, grantee, gift) => {
                let permit = self.gate.manage_reach(person, made.scope(&spot)?).await?;
                let role = self.role_at(made, gift.role).await?;
                let request = FederatedRequest { grantee, role, expires_at: gift.until, reason: gift.reason };
                self.federation.grant(&permit, request).await.map(drop)
            }
            Step::RetimeWide(scope, id, until, reason) => {
                let permit = self.gate.manage_reach(person, scope).await?;
                self.federation.change_terms(&permit, id, until, reason.as_ref()).await
            }
            Step::TakeBackWide(scope, id) => {
                let permit = self.gate.manage_reach(person, scope).await?;
                self.federation.revoke(&permit, id).await
            }
            Step::Give(cluster, to, gift) => {
                let permit = self.gate.manage_access(person, cluster).await?;
                let role = self.role_at(made, gift.role).await?;
                let (namespaces, expires_at, reason) = (gift.namespaces, gift.until, gift.reason);
                match to {
                    Recipient::One(grantee) => {
                        let request = GrantRequest { grantee, role, namespaces, expires_at, reason };
                        self.grants.grant(&permit, request).await.map(drop)
                    }
                    Recipient::Group(group) => {
                        let request = GroupGrantRequest { group, role, namespaces, expires_at, reason };
                        self.grants.grant_to_group(&permit, request).await.map(drop)
                    }
                }
            }
            Step::Retime(cluster, id, terms) => {
                let permit = self.gate.manage_access(person, cluster).await?;
                self.grants.retime(&permit, id, terms).await
            }
            Step::TakeBack(cluster, id) => {
                let permit = self.gate.manage_access(person, cluster).await?;
                self.grants.revoke(&permit, id).await.map(drop)
            }
            _ => Err(AccessError::NotFound),
        }
    }

    async fn seat_groups(&self, person: &Person, seats: Seats) -> Result<Authorized<SeatGroups>, AccessError> {
        Ok(match seats {
            Seats::Workspace(id) => policy::seat_in_workspace(&self.gate.manage_members(person, id).await?),
            Seats::Project(id) => policy::seat_in_project(&self.gate.manage_project_members(person, id).await?),
        })
    }

    async fn group_at(&self, made: &Made, at: GroupAt) -> Result<GroupId, AccessError> {
        match at {
            GroupAt::There(id) => Ok(id),
            GroupAt::Made(home, name) => {
                let groups = self.store.groups_of(made.level(home)?).await?;
                let found = groups.iter().find(|group| group.name == name);
                found.map(|group| group.id).ok_or(AccessError::NotFound)
            }
        }
    }

    async fn role_at(&self, made: &Made, at: RoleAt) -> Result<Role, AccessError> {
        match at {
            RoleAt::There(role) => Ok(role),
            RoleAt::Made(home, name) => {
                let roles = self.store.custom_roles_of(made.level(home)?).await?;
                let found = roles.into_iter().find(|role| role.name == name);
                found.map(|role| role.role).ok_or(AccessError::NotFound)
            }
        }
    }
}
