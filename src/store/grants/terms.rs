//! Changing a grant. Its end and its reason are changed in its row: no binding says them. Its role and its place are what its bindings
//! are, and those are named after the grant: another one takes its place, and the old one goes when the new one has had its turn.

use std::time::Duration;

use super::{NewGrant, changes, insert, one, rows, take_over};
use crate::{
    model::{
        grant::{Grant, Origin},
        id::{GrantId, IdentityId},
        reason::Reason,
        role::Role,
        scope::Scope,
        time::Timestamp,
        vouch::Vouch,
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        clusters,
        db::{Tx, parsed},
    },
};

/// Whoever sends the same form once more does so within this.
const AGAIN: Duration = Duration::from_mins(1);

/// What of a grant is changed in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
}

impl Terms {
    /// As they are.
    pub fn of(grant: &Grant) -> Self {
        Self { expires_at: grant.expires_at, reason: grant.reason.clone() }
    }
}

/// What is to take the place of a grant.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Its id.
    pub id: GrantId,
    /// The role.
    pub role: Role,
    /// Where, on the same cluster.
    pub scope: Scope,
    /// Until when, and why.
    pub terms: Terms,
    /// Who changes it.
    pub by: IdentityId,
    /// What its role lets do, where others have defined it.
    pub vouch: Option<Vouch>,
}

impl Replacement {
    /// Whether a grant is what this one would be. Ends are counted from the moment of asking: who asks twice asks a little later.
    fn is(&self, grant: &Grant) -> bool {
        let ends = match (grant.expires_at, self.terms.expires_at) {
            (None, None) => true,
            (Some(a), Some(b)) => a.since(b).max(b.since(a)) < AGAIN,
            _ => false,
        };
        ends && grant.role.as_ref() == Some(&self.role)
            && grant.scope.is_same(&self.scope)
            && grant.reason == self.terms.reason
    }
}

/// What has taken a grant's place.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// That grant.
    pub grant: Grant,
    /// Whether this call made it.
    pub now: bool,
}

/// The grant that took this one's place.
async fn successor(tx: &mut Tx, id: GrantId) -> Result<Option<Grant>, StoreError> {
    const SQL: &str = "SELECT id FROM grants WHERE replaces = $1";
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    match row {
        Some((id,)) => one(tx, parsed(&id, "id of a grant")?).await.map(Some),
        None => Ok(None),
    }
}

async fn note_successor(tx: &mut Tx, old: GrantId, new: GrantId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE grants SET replaces = $2 WHERE id = $1";
    on!(tx, |db| sqlx::query(SQL).bind(new.to_string()).bind(old.to_string()).execute(db).await.map(drop))?;
    Ok(())
}

impl Store {
    /// Gives a grant that lives another end and another reason. `was` is what the caller has seen. Repeating it changes nothing and
    /// writes no second event. Returns whether this call changed it.
    ///
    /// # Errors
    /// `Stale` where it has ended, or where its end or its reason is another one meanwhile; `NotFound`.
    pub async fn change_terms(
        &self,
        id: GrantId,
        was: &Terms,
        terms: &Terms,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE grants SET expires_at = $2, ends_at = $3, reason = $4 \
             WHERE id = $1 AND ended IS NULL AND (expires_at IS NULL OR expires_at > $5) \
             AND COALESCE(expires_at, 9223372036854775807) = $6 AND COALESCE(reason, '') = $7 RETURNING cluster_id";
        let reason = |terms: &Terms| terms.reason.as_ref().map(|reason| reason.as_str().to_owned());
        transact!(self, |tx| {
            let changed: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
                .bind(id.to_string())
                .bind(terms.expires_at.map(Timestamp::millis))
                .bind(rows::ends_at(terms.expires_at))
                .bind(reason(terms))
                .bind(now.millis())
                .bind(rows::ends_at(was.expires_at))
                .bind(reason(was).unwrap_or_default())
                .fetch_optional(db)
                .await)?;
            match changed {
                Some(_) if was == terms => Ok(false),
                Some((cluster,)) => {
                    audit.append(tx, About::Cluster(parsed(&cluster, "cluster of a grant")?), now).await?;
                    Ok(true)
                }
                None => {
                    let grant = one(tx, id).await?;
                    if grant.is_live(now) && Terms::of(&grant) == *terms { Ok(false) } else { Err(StoreError::Stale) }
                }
            }
        })
    }

    /// Puts another grant in the place of one that lives, for the same grantee: `Pending` and due at once, while the old one ends and
    /// its bindings are due a little later, so that nobody loses access in between. Repeating it changes nothing and writes no second
    /// event, whatever the id.
    ///
    /// # Errors
    /// `Stale` where it has ended, where something else took its place, where its cluster is being removed, and where what it gives is
    /// not changed here; `Duplicate` where they have the new one already; `NotFound` where it is not on that cluster.
    pub async fn replace_grant(
        &self,
        old: GrantId,
        new: &Replacement,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<Replaced, StoreError> {
        let cluster = new.scope.cluster();
        transact!(self, |tx| {
            clusters::lock_for_giving(tx, cluster).await?;
            let was = one(tx, old).await?;
            if was.scope.cluster() != cluster {
                return Err(StoreError::NotFound);
            }
            if let Some(grant) = successor(tx, old).await? {
                let same = new.is(&grant) && grant.is_live(now);
                return if same { Ok(Replaced { grant, now: false }) } else { Err(StoreError::Stale) };
            }
            if !was.origin.is_changed_here() || !changes::make_way(tx, old, now).await? {
                return Err(StoreError::Stale);
            }
            // Read once its row is locked: an address may just have become a person.
            let grantee = one(tx, old).await?.grantee;
            let made = NewGrant {
                id: new.id,
                grantee,
                role: Some(new.role.clone()),
                scope: new.scope.clone(),
                expires_at: new.terms.expires_at,
                reason: new.terms.reason.clone(),
                origin: Origin::Manual,
                created_by: new.by,
                vouch: new.vouch.clone(),
            };
            let grant = insert(tx, &made, now).await?;
            note_successor(tx, old, grant.id).await?;
            audit.append(tx, About::Cluster(cluster), now).await?;
            take_over(tx, &grant, &audit, now).await?;
            Ok(Replaced { grant, now: true })
        })
    }
}
