//! What a file gives on one cluster, held against what is given there.

use super::{
    GroupAt, Kind, Refused, RoleAt, Step,
    given::{Given, To, gift},
    grants::{AGAIN, changed, left_alone, same_moment},
    groups::OwnGroup,
    look::{Planner, failed},
};
use crate::{
    access::{AccessError, GrantRequest, GroupGrantRequest},
    declared::GrantEntry,
    model::{
        cluster::Cluster,
        federation::WideScope,
        grant::{Grantee, Origin},
        role::Role,
        scope::Scope,
    },
    store::Terms,
};

impl Planner<'_> {
    pub(super) async fn on_cluster(
        &mut self,
        home: usize,
        cluster: &Cluster,
        place: &str,
        entries: &[GrantEntry],
    ) -> Result<(), Refused> {
        let mut seen = Vec::new();
        for entry in entries {
            let Some(given) = self.given(Some(home), entry, place, &mut seen) else { continue };
            match given.to.clone() {
                To::Group(_) => self.for_group(cluster, entry, given).await?,
                To::One(who) => self.for_one(cluster, entry, given, who).await?,
            }
        }
        Ok(())
    }

    /// What a Group is given on one cluster is written out for its members, as what reaches further is.
    async fn for_group(&mut self, cluster: &Cluster, entry: &GrantEntry, given: Given) -> Result<(), Refused> {
        let scope = WideScope::Cluster(cluster.id);
        if let Some(there) = self.standing_wide(Some(scope), &given, entry).await? {
            return self.wide_that_stands(given.words, entry, &there).await;
        }
        let again = self.was_taken_back(Some(scope), &given, entry).await?;
        if !self.may_hold(&given, entry) {
            return Ok(());
        }
        let vetted = match (&given.to, &given.role) {
            (To::Group(group @ OwnGroup { at: GroupAt::There(_), .. }), RoleAt::There(role)) => {
                let request = GroupGrantRequest {
                    group: group.typed.clone(),
                    role: role.clone(),
                    namespaces: entry.namespaces.clone(),
                    expires_at: entry.until,
                    reason: entry.reason.clone(),
                };
                let permit = self.parts.gate.manage_access(&self.person, cluster.id).await?;
                Box::pin(self.parts.grants.vet_for_group(&permit, &request)).await.map(drop)
            }
            // What is still to be made is asked about when it is there.
            _ => Ok(()),
        };
        self.add(cluster, entry, given, vetted, again)
    }

    async fn for_one(
        &mut self,
        cluster: &Cluster,
        entry: &GrantEntry,
        given: Given,
        who: Grantee,
    ) -> Result<(), Refused> {
        let scope = Scope::new(cluster.id, entry.namespaces.clone());
        let store = &self.parts.store;
        let standing = match &given.role {
            RoleAt::There(role) => store.standing_grants(&scope, &who, role, self.now).await.map_err(failed)?,
            RoleAt::Made(..) => Vec::new(),
        };
        let mine = standing.iter().find(|grant| grant.origin == Origin::File(self.file.id));
        match (mine, standing.first()) {
            (Some(mine), _) => {
                self.claimed.grants.insert(mine.id);
                if !same_moment(mine.expires_at, entry.until) || mine.reason != entry.reason {
                    let words = changed(given.words, mine.expires_at, entry.until);
                    let terms = Terms { expires_at: entry.until, reason: entry.reason.clone() };
                    let step = Step::Retime(cluster.id, mine.id, terms);
                    self.step(Kind::Change, "grant", words, Some(entry.at), step);
                }
            }
            (None, Some(there)) => {
                let by = self.maker(there.created_by).await.map_err(failed)?;
                let words = left_alone(&given.words, &by, entry.until, there.expires_at);
                self.remark("grant", words, Some(entry.at));
            }
            (None, None) => self.give(cluster, &scope, entry, given, who).await?,
        }
        Ok(())
    }

    async fn give(
        &mut self,
        cluster: &Cluster,
        scope: &Scope,
        entry: &GrantEntry,
        given: Given,
        who: Grantee,
    ) -> Result<(), Refused> {
        let store = &self.parts.store;
        let (role, again) = match &given.role {
            RoleAt::There(role) => {
                (role.clone(), store.was_taken_back(self.file.id, scope, &who, role).await.map_err(failed)?)
            }
            // What can be asked before it is there: whom for, and until when.
            RoleAt::Made(..) => (Role::View, false),
        };
        let request = GrantRequest {
            grantee: who,
            role,
            namespaces: entry.namespaces.clone(),
            expires_at: entry.until,
            reason: entry.reason.clone(),
        };
        let permit = self.parts.gate.manage_access(&self.person, cluster.id).await?;
        let vetted = Box::pin(self.parts.grants.vet(&permit, request)).await.map(drop);
        self.add(cluster, entry, given, vetted, again)
    }

    /// Plans the grant, if nothing stands against it; `again`: somebody has taken it back before.
    fn add(
        &mut self,
        cluster: &Cluster,
        entry: &GrantEntry,
        given: Given,
        vetted: Result<(), AccessError>,
        again: bool,
    ) -> Result<(), Refused> {
        if self.is_good(cluster, entry, vetted)? {
            let step = Step::Give(cluster.id, given.to.recipient(), gift(given.role, entry));
            self.step(Kind::Add, "grant", given.words, Some(entry.at), step);
            if again {
                self.note(AGAIN);
            }
        }
        Ok(())
    }

    /// Whether what was asked of a cluster went well; what stands against it is a mistake at its place.
    fn is_good(
        &mut self,
        cluster: &Cluster,
        entry: &GrantEntry,
        vetted: Result<(), AccessError>,
    ) -> Result<bool, Refused> {
        match vetted {
            Ok(()) => return Ok(true),
            Err(AccessError::Invalid { field, message }) => {
                let at = match field {
                    "role" => entry.role_at,
                    "expires" => entry.until_at,
                    _ => entry.at,
                };
                self.mistake(at, message, "correct it here, or on the cluster");
            }
            Err(AccessError::Cluster(why)) => {
                let problem = format!("{} cannot be asked about the role {}: {why}", cluster.name, entry.role);
                self.mistake(entry.role_at, problem, "apply this again when the cluster answers");
            }
            Err(other) => return Err(other.into()),
        }
        Ok(false)
    }
}
