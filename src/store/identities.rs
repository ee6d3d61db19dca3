//! Identities and what a sign-in does to them.
//!
//! An email is one person's at a time. It goes to whoever signed in with it last, also when the provider calls it unverified:
//! API servers accept tokens that do not say, so the address of the one before may be another's now, and what was bound to it
//! must go. What was granted to the one before stays theirs and does not follow the email.

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    db::{CHUNK, Tx, parsed, shown},
    federation, grants, groups, own_providers, projects, record, workspaces,
};
use crate::model::{
    audit::Actor,
    id::IdentityId,
    identity::{Identity, VerifiedClaims},
    name::Email,
    provider::ProviderId,
    time::Timestamp,
};

/// What a sign-in changed.
#[derive(Clone, Debug)]
pub struct SignInRecord {
    /// The person, as they are now.
    pub identity: Identity,
    /// How many grants must be looked at again, since a name they bind has changed: they are `Pending` and due at once.
    pub grants_touched: u64,
}

#[derive(sqlx::FromRow)]
pub(super) struct IdentityRow {
    pub(super) id: String,
    pub(super) provider: String,
    pub(super) issuer: String,
    pub(super) sub: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) name: Option<String>,
    pub(super) group_list: String,
    pub(super) last_sign_in: i64,
}

macro_rules! select_identities {
    ($($rest:expr),+) => {
        concat!(
            "SELECT id, provider, issuer, sub, email, email_verified, name, group_list, last_sign_in FROM identities WHERE ",
            $($rest),+
        )
    };
}

impl IdentityRow {
    pub(super) fn identity(self) -> Result<Identity, StoreError> {
        Ok(Identity {
            id: parsed(&self.id, "id of a person")?,
            provider: parsed(&self.provider, "provider of a person")?,
            issuer: issuer_of(&self.provider, self.issuer),
            sub: self.sub,
            email: self.email.map(|email| parsed(&email, "email of a person")).transpose()?,
            email_verified: self.email_verified,
            name: self.name,
            groups: serde_json::from_str(&self.group_list).map_err(|_| StoreError::Corrupt("groups of a person"))?,
            last_sign_in: Timestamp::from_millis(self.last_sign_in),
        })
    }
}

/// What a person's `sub` is told apart by. Whoever runs a workspace's own provider says what its tokens say, so its people are
/// never those of another provider, whatever issuer it names: its id stands in front. No issuer has a space.
fn realm(claims: &VerifiedClaims) -> String {
    if claims.provider.home().is_some() {
        format!("{} {}", claims.provider, claims.issuer)
    } else {
        claims.issuer.clone()
    }
}

/// The issuer in a stored realm.
fn issuer_of(provider: &str, realm: String) -> String {
    match realm.split_once(' ') {
        Some((id, issuer)) if id == provider => issuer.to_owned(),
        _ => realm,
    }
}

/// One identity inside a transaction; `None` where there is none.
pub(super) async fn one(tx: &mut Tx, id: IdentityId) -> Result<Option<Identity>, StoreError> {
    const SQL: &str = select_identities!("id = $1");
    let row: Option<IdentityRow> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    row.map(IdentityRow::identity).transpose()
}

/// The person behind (issuer, sub) as they were before this sign-in, their row locked; made where there is none.
#[derive(sqlx::FromRow)]
struct Before {
    id: String,
    provider: String,
    email: Option<String>,
    email_verified: bool,
    last_sign_in: i64,
}

async fn meet(tx: &mut Tx, claims: &VerifiedClaims, now: Timestamp) -> Result<Before, StoreError> {
    // Only the time is written here, so that the rest comes back as it was.
    const SQL: &str = "INSERT INTO identities (id, provider, issuer, sub, email_verified, group_list, last_sign_in) \
         VALUES ($1, $2, $3, $4, FALSE, '[]', $5) \
         ON CONFLICT (issuer, sub) DO UPDATE SET last_sign_in = excluded.last_sign_in \
         RETURNING id, provider, email, email_verified, last_sign_in";
    Ok(on!(tx, |db| sqlx::query_as(SQL)
        .bind(IdentityId::new().to_string())
        .bind(claims.provider.as_str())
        .bind(realm(claims))
        .bind(&claims.sub)
        .bind(now.millis())
        .fetch_one(db)
        .await)?)
}

/// Waits until no other sign-in with this email is under way, and keeps others waiting until this one has ended.
///
/// Without it, of many at once one wins, the others clash with the unique index and begin anew, and the last of them may run
/// out of tries.
async fn queue_for(tx: &mut Tx, provider: &ProviderId, email: &str) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO emails (provider, email_key) VALUES ($1, $2) \
         ON CONFLICT (provider, email_key) DO UPDATE SET email_key = excluded.email_key";
    on!(tx, |db| sqlx::query(SQL).bind(provider.as_str()).bind(email).execute(db).await.map(drop))?;
    Ok(())
}

/// Takes an email from whoever else has it at this provider. Returns who that was (one person at most).
async fn take_email(
    tx: &mut Tx,
    claims: &VerifiedClaims,
    email: &Email,
    for_whom: IdentityId,
) -> Result<Vec<IdentityId>, StoreError> {
    const SQL: &str = "UPDATE identities SET email = NULL, email_key = NULL, email_verified = FALSE \
         WHERE provider = $1 AND email_key = $2 AND id <> $3 RETURNING id";
    let rows: Vec<(String,)> = on!(tx, |db| sqlx::query_as(SQL)
        .bind(claims.provider.as_str())
        .bind(email.normalised())
        .bind(for_whom.to_string())
        .fetch_all(db)
        .await)?;
    rows.iter().map(|(id,)| parsed(id, "id of a person")).collect()
}

/// Writes what the token said.
async fn refresh(tx: &mut Tx, identity: &Identity) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE identities SET provider = $2, email = $3, email_key = $4, email_verified = $5, \
         name = $6, name_key = $7, group_list = $8, last_sign_in = $9 WHERE id = $1";
    let groups = serde_json::to_string(&identity.groups).unwrap_or_else(|_| unreachable!("texts are always JSON"));
    on!(tx, |db| sqlx::query(SQL)
        .bind(identity.id.to_string())
        .bind(identity.provider.as_str())
        .bind(identity.email.as_ref().map(Email::as_str))
        .bind(identity.email.as_ref().map(Email::normalised))
        .bind(identity.email_verified)
        .bind(&identity.name)
        .bind(identity.name.as_deref().map(str::to_ascii_lowercase))
        .bind(groups)
        .bind(identity.last_sign_in.millis())
        .execute(db)
        .await
        .map(drop))?;
    Ok(())
}

/// Whether this is the first time that the person has the email.
async fn remember_holder(tx: &mut Tx, identity: &Identity, email: &str, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO email_holders (provider, email_key, identity_id, first_held_at) \
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let added = on!(tx, |db| sqlx::query(SQL)
        .bind(identity.provider.as_str())
        .bind(email)
        .bind(identity.id.to_string())
        .bind(now.millis())
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(added > 0)
}

fn now_known(id: IdentityId, claims: &VerifiedClaims, now: Timestamp) -> Identity {
    Identity {
        id,
        provider: claims.provider.clone(),
        issuer: claims.issuer.clone(),
        sub: claims.sub.clone(),
        email: claims.email.clone(),
        email_verified: claims.email.is_some() && claims.email_verified,
        name: claims.name.as_deref().map(shown),
        groups: claims.groups.clone(),
        last_sign_in: now,
    }
}

async fn sign_in(tx: &mut Tx, claims: &VerifiedClaims, now: Timestamp) -> Result<SignInRecord, StoreError> {
    if let Some(email) = &claims.email {
        queue_for(tx, &claims.provider, &email.normalised()).await?;
        groups::lock_if_named(tx, claims).await?;
    }
    own_providers::lock_if_own(tx, &claims.provider).await?;
    let before = meet(tx, claims, now).await?;
    learn(tx, before, claims, now).await
}

/// What a refreshed token says of a person who is known: the same as at a sign-in, which it is not.
pub(super) async fn refreshed(tx: &mut Tx, claims: &VerifiedClaims, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE identities SET issuer = issuer WHERE issuer = $1 AND sub = $2 \
         RETURNING id, provider, email, email_verified, last_sign_in";
    if let Some(email) = &claims.email {
        queue_for(tx, &claims.provider, &email.normalised()).await?;
        groups::lock_if_named(tx, claims).await?;
    }
    let before: Option<Before> =
        on!(tx, |db| sqlx::query_as(SQL).bind(realm(claims)).bind(&claims.sub).fetch_optional(db).await)?;
    learn(tx, before.ok_or(StoreError::NotFound)?, claims, now).await.map(drop)
}

/// Takes over what a token says of a person, and what follows from it for their grants.
async fn learn(
    tx: &mut Tx,
    before: Before,
    claims: &VerifiedClaims,
    now: Timestamp,
) -> Result<SignInRecord, StoreError> {
    let signed_in = Timestamp::from_millis(before.last_sign_in);
    let identity = now_known(parsed(&before.id, "id of a person")?, claims, signed_in);
    let mut grants_touched = 0;
    if let Some(email) = &identity.email {
        for loser in take_email(tx, claims, email, identity.id).await? {
            grants_touched += grants::rename_person(tx, loser, now).await?;
            record::person_renamed(tx, loser).await?;
        }
    }
    refresh(tx, &identity).await?;
    let renamed = before.email.as_deref() != identity.email.as_ref().map(Email::as_str)
        || before.email_verified != identity.email_verified
        || before.provider != identity.provider.as_str();
    if renamed {
        grants_touched += grants::rename_person(tx, identity.id, now).await?;
    }
    if renamed || identity.email.is_none() {
        record::person_renamed(tx, identity.id).await?;
    }
    if let Some(email) = &identity.email {
        let email = email.normalised();
        let newcomer = remember_holder(tx, &identity, &email, now).await?;
        if identity.email_verified {
            federation::give_to_person(tx, &identity.provider, &email, identity.id).await?;
            grants_touched += grants::give_to_person(tx, &identity.provider, &email, identity.id, now).await?;
            workspaces::give_to_person(tx, &identity.provider, &email, identity.id, now).await?;
            projects::give_to_person(tx, &identity.provider, &email, identity.id, now).await?;
            groups::give_to_person(tx, &identity.provider, &email, identity.id, now).await?;
        }
        // Verified or not: API servers accept tokens that do not say.
        grants_touched += grants::doubt_email(tx, &identity.provider, &email, newcomer, now).await?;
        workspaces::doubt(tx, &identity.provider, &email, newcomer, now).await?;
        projects::doubt(tx, &identity.provider, &email, newcomer, now).await?;
        groups::doubt(tx, &identity.provider, &email, newcomer, now).await?;
    }
    Ok(SignInRecord { identity, grants_touched })
}

impl Store {
    /// Records a sign-in: makes or refreshes the identity of (issuer, sub). The event's actor becomes that identity, since
    /// nobody knows its id before the first sign-in.
    ///
    /// In the same transaction:
    /// * another identity of the same provider with the same email (ASCII case apart) loses it (`email = NULL`,
    ///   `email_verified = false`), and its live grants become `Pending`: their bindings must go, the address is
    ///   somebody else's now (an email that moves to another `sub` inherits nothing);
    /// * live grants to this email at this provider become grants to the person, if the email is verified — but only if no
    ///   *other* identity ever held this email at this provider. Then they become `Pending` instead, each with an event, and
    ///   their bindings must go: the API server compares the email alone, and would let whoever has it now in;
    /// * memberships of this email in workspaces, projects and Groups become the person's on the same conditions, and are told of where it has others;
    /// * at a workspace's own provider, it is on;
    /// * if this identity's email changed or came back, its live grants become `Pending`, so that bindings are rewritten.
    pub async fn record_sign_in(
        &self,
        claims: &VerifiedClaims,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<SignInRecord, StoreError> {
        transact!(self, |tx| {
            let record = sign_in(tx, claims, now).await?;
            let audit = AuditDraft { actor: Actor::Person(record.identity.id), ..audit.clone() };
            audit.append(tx, About::Nothing, now).await?;
            Ok(record)
        })
    }

    /// One identity.
    pub async fn identity(&self, id: IdentityId) -> Result<Identity, StoreError> {
        const SQL: &str = select_identities!("id = $1");
        let row: Option<IdentityRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.identity()
    }

    /// Whoever holds this email (ASCII case apart) at this provider now, if the provider verified it.
    pub async fn identity_by_email(
        &self,
        provider: &ProviderId,
        email: &Email,
    ) -> Result<Option<Identity>, StoreError> {
        const SQL: &str = select_identities!("provider = $1 AND email_key = $2 AND email_verified = TRUE");
        let row: Option<IdentityRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(provider.as_str())
            .bind(email.normalised())
            .fetch_optional(db)
            .await)?;
        row.map(IdentityRow::identity).transpose()
    }

    /// Whoever signs in with this `sub` at this provider.
    pub async fn identity_by_sub(&self, provider: &ProviderId, sub: &str) -> Result<Option<Identity>, StoreError> {
        const SQL: &str = select_identities!("provider = $1 AND sub = $2 ORDER BY last_sign_in DESC LIMIT 1");
        let row: Option<IdentityRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(provider.as_str()).bind(sub).fetch_optional(db).await)?;
        row.map(IdentityRow::identity).transpose()
    }

    /// Whether several identities have held this email at this provider: then a grant to it says of none of them that they
    /// are meant.
    pub async fn email_changed_hands(&self, provider: &ProviderId, email: &Email) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM email_holders \
             WHERE provider = $1 AND email_key = $2 LIMIT 2) AS holders";
        let (holders,): (i64,) =
            read!(self, |db| sqlx::query_as(SQL).bind(provider.as_str()).bind(email.normalised()).fetch_one(db).await)?;
        Ok(holders > 1)
    }

    /// Several, in no order; unknown ids are left out.
    pub async fn identities(&self, ids: &[IdentityId]) -> Result<Vec<Identity>, StoreError> {
        const SQL: &str = select_identities!("id IN ", id_list!());
        let mut all: Vec<String> = ids.iter().map(ToString::to_string).collect();
        all.sort();
        all.dedup();
        let mut found = Vec::new();
        for chunk in all.chunks(CHUNK) {
            let rows: Vec<IdentityRow> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk).fetch_all(db).await)?;
            for row in rows {
                found.push(row.identity()?);
            }
        }
        Ok(found)
    }
}
