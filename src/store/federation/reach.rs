//! What federated grants reach: the grants on clusters that should live because of them, those that do, and what is between.
//!
//! It is reckoned before anything is written, so that too much is refused while nobody waits for it.

use std::collections::{HashMap, hash_map::Entry};

use super::one;
use crate::{
    model::{
        federation::{FederatedGrant, WideScope},
        grant::{EndReason, Grantee, Origin},
        group::Holder,
        id::{ClusterId, FederatedGrantId, GrantId, GroupId},
        scope::Scope,
        time::Timestamp,
    },
    store::{
        NewGrant, StoreError, clusters,
        db::{Tx, parsed},
        grants::{self, key, namespaces_text},
        groups, projects,
    },
};

/// A placement that lives.
#[derive(sqlx::FromRow)]
pub(super) struct Standing {
    id: String,
    federated_id: String,
    cluster_id: String,
    namespaces: String,
    grantee_key: String,
    group_id: Option<String>,
}

/// A placement that should live.
pub(super) struct Wanted<'a> {
    grant: &'a FederatedGrant,
    cluster: ClusterId,
    scope: Scope,
    grantee: &'a Grantee,
}

/// Whom grants are for, one by one: the members of their Groups as they are now, and whoever is a grant's own grantee.
#[derive(Default)]
pub(super) struct Everyone(HashMap<GroupId, Vec<Grantee>>);

impl Everyone {
    pub(super) async fn behind(tx: &mut Tx, grants: &[FederatedGrant]) -> Result<Self, StoreError> {
        let mut all = HashMap::new();
        for id in grants.iter().filter_map(|grant| grant.grantee.group()) {
            if let Entry::Vacant(place) = all.entry(id) {
                place.insert(groups::members(tx, id).await?.into_iter().map(|member| member.who).collect());
            }
        }
        Ok(Self(all))
    }

    fn of<'a>(&'a self, grant: &'a FederatedGrant) -> &'a [Grantee] {
        match &grant.grantee {
            Holder::One(grantee) => std::slice::from_ref(grantee),
            Holder::Group(id, _) => self.0.get(id).map(Vec::as_slice).unwrap_or_default(),
        }
    }
}

/// What one federated grant reaches now, and what it was written out as.
pub(super) struct Reach {
    grant: FederatedGrant,
    places: Vec<(ClusterId, Scope)>,
    everyone: Everyone,
    standing: Vec<Standing>,
}

impl Reach {
    pub(super) async fn of(tx: &mut Tx, id: FederatedGrantId) -> Result<Self, StoreError> {
        let grant = one(tx, id).await?;
        let project = match grant.scope {
            WideScope::Project(id) => projects::one(tx, id).await?,
            WideScope::Global | WideScope::Workspace(_) | WideScope::Cluster(_) => None,
        };
        let clusters = match (grant.scope, &project) {
            (WideScope::Global, _) => clusters::living(tx, None).await?,
            (WideScope::Workspace(id), _) => clusters::living(tx, Some(id)).await?,
            (WideScope::Project(_), Some(project)) => clusters::living(tx, Some(project.workspace)).await?,
            // A project that is gone is nowhere.
            (WideScope::Project(_), None) => Vec::new(),
            (WideScope::Cluster(id), _) => vec![clusters::one(tx, id).await?],
        };
        let everyone = Everyone::behind(tx, std::slice::from_ref(&grant)).await?;
        let places = clusters.iter().filter_map(|c| Some((c.id, grant.placement(c, project.as_ref())?))).collect();
        let standing = standing_of_grant(tx, id).await?;
        Ok(Self { grant, places, everyone, standing })
    }

    pub(super) fn change(&self) -> Change<'_> {
        let places = self.places.iter();
        let wanted = places.flat_map(|(cluster, scope)| wanted(&self.grant, &self.everyone, *cluster, scope.clone()));
        Change::between(wanted.collect(), &self.standing)
    }
}

pub(super) fn wanted<'a>(
    grant: &'a FederatedGrant,
    everyone: &'a Everyone,
    cluster: ClusterId,
    scope: Scope,
) -> impl Iterator<Item = Wanted<'a>> {
    everyone.of(grant).iter().map(move |grantee| Wanted { grant, cluster, scope: scope.clone(), grantee })
}

macro_rules! select_standing {
    ($which:literal) => {
        concat!(
            "SELECT id, federated_id, cluster_id, namespaces, grantee_key, group_id FROM grants WHERE ",
            $which,
            " AND ended IS NULL"
        )
    };
}

async fn standing_of_grant(tx: &mut Tx, id: FederatedGrantId) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str = select_standing!("federated_id = $1");
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?)
}

pub(super) async fn standing_on_cluster(tx: &mut Tx, id: ClusterId) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str = select_standing!("cluster_id = $1 AND federated_id IS NOT NULL");
    Ok(on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_all(db).await)?)
}

/// What is between the placements that should live and those that do.
pub(super) struct Change<'a> {
    /// To be made.
    pub(super) missing: Vec<Wanted<'a>>,
    /// To be ended.
    over: Vec<&'a str>,
}

impl<'a> Change<'a> {
    pub(super) fn between(wanted: Vec<Wanted<'a>>, standing: &'a [Standing]) -> Self {
        // Of a grant to one there is one placement on a cluster, whatever its grantee has become since.
        let place = |wanted: &Wanted<'_>| {
            let member = wanted.grant.grantee.group().map(|_| key(wanted.grantee));
            (wanted.grant.id.to_string(), wanted.cluster.to_string(), member)
        };
        let mut missing: HashMap<_, _> =
            wanted.into_iter().enumerate().map(|(n, wanted)| (place(&wanted), (n, wanted))).collect();
        let mut over = Vec::new();
        for there in standing {
            let member = there.group_id.as_ref().map(|_| there.grantee_key.clone());
            let place = (there.federated_id.clone(), there.cluster_id.clone(), member);
            match missing.get(&place) {
                Some((_, wanted)) if namespaces_text(&wanted.scope) == there.namespaces => {
                    missing.remove(&place);
                }
                Some(_) | None => over.push(there.id.as_str()),
            }
        }
        let mut missing: Vec<_> = missing.into_values().collect();
        missing.sort_unstable_by_key(|(n, _)| *n);
        Self { missing: missing.into_iter().map(|(_, wanted)| wanted).collect(), over }
    }

    pub(super) async fn carry_out(self, tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
        for id in self.over {
            grants::end(tx, parsed(id, "id of a grant")?, EndReason::OutOfScope, now).await?;
        }
        let new = |Wanted { grant, scope, grantee, .. }: Wanted<'_>| NewGrant {
            id: GrantId::new(),
            grantee: grantee.clone(),
            role: Some(grant.role.clone()),
            scope,
            expires_at: grant.expires_at,
            reason: grant.reason.clone(),
            origin: Origin::Federated(grant.id),
            created_by: grant.created_by,
            vouch: None,
        };
        let missing: Vec<NewGrant> = self.missing.into_iter().map(new).collect();
        grants::insert_federated(tx, &missing, now).await
    }
}
