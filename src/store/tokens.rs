//! Token sets: the provider's tokens of a sign-in, sealed, for as long as its session lives. They are found by a key that only
//! the (sealed) session record knows, and die with the session.
//!
//! Every change counts the version up, and whoever changes a set names the version that they read: of two requests, one is
//! told to look again. While a refresh is under way (under a lease) the set is not handed out, since the provider may just be
//! replacing the refresh token in it.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{AuditDraft, Store, StoreError, audit::About, db::Tx};
use crate::{
    crypto::{HashedToken, Keyring},
    model::{
        id::{ClusterId, IdentityId},
        provider::ProviderId,
        time::Timestamp,
        token_set::{TokenSet, Tokens},
    },
};

/// What is sealed. Its field names are stored: they stay.
#[derive(Serialize, Deserialize)]
struct Sealed {
    identity: IdentityId,
    provider: ProviderId,
    id_token: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    refresh_token: Option<String>,
    asked_offline: bool,
}

fn seal(keyring: &Keyring, hash: &HashedToken, set: &TokenSet) -> Vec<u8> {
    let sealed = Sealed {
        identity: set.identity,
        provider: set.provider.clone(),
        id_token: set.tokens.id_token.expose_secret().to_owned(),
        issued_at: set.tokens.issued_at,
        expires_at: set.tokens.expires_at,
        refresh_token: set.tokens.refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
        asked_offline: set.asked_offline,
    };
    let plain = serde_json::to_vec(&sealed).unwrap_or_else(|_| unreachable!("texts and numbers are always JSON"));
    keyring.seal(&context(hash), &plain)
}

fn context(hash: &HashedToken) -> String {
    format!("tokens:{}", hash.to_hex())
}

#[derive(sqlx::FromRow)]
struct SetRow {
    sealed: Vec<u8>,
    handed_out_at: Option<i64>,
    version: i64,
}

impl SetRow {
    fn set(self, keyring: &Keyring, hash: &HashedToken) -> Result<TokenSet, StoreError> {
        // Under a ring that cannot open it, the set is as good as gone: the person signs in again.
        let plain = keyring.open(&context(hash), &self.sealed).map_err(|_| StoreError::NotFound)?;
        let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt("token set"))?;
        Ok(TokenSet {
            identity: sealed.identity,
            provider: sealed.provider,
            tokens: Tokens {
                id_token: SecretString::from(sealed.id_token),
                issued_at: sealed.issued_at,
                expires_at: sealed.expires_at,
                refresh_token: sealed.refresh_token.map(SecretString::from),
            },
            asked_offline: sealed.asked_offline,
            handed_out_at: self.handed_out_at.map(Timestamp::from_millis),
            version: self.version,
        })
    }
}

/// What a change of a set that changed no row means.
async fn why_not(tx: &mut Tx, hash: &HashedToken) -> Result<StoreError, StoreError> {
    const SQL: &str = "SELECT version FROM token_sets WHERE key_hash = $1";
    let row: Option<(i64,)> = on!(tx, |db| sqlx::query_as(SQL).bind(&hash.0[..]).fetch_optional(db).await)?;
    Ok(if row.is_some() { StoreError::Stale } else { StoreError::NotFound })
}

impl Store {
    /// Keeps a set under `key` until `expires_at` at the latest, in place of one that is there. `set.version` is ignored: a
    /// new one begins at 0, and one in place of another goes on counting, so that nobody who read the other takes it for that.
    pub async fn put_tokens(
        &self,
        keyring: &Keyring,
        key: &str,
        set: &TokenSet,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO token_sets \
             (key_hash, identity_id, sealed, handed_out_at, version, refresh_leased_until, expires_at) \
             VALUES ($1, $2, $3, $4, 0, NULL, $5) ON CONFLICT (key_hash) DO UPDATE SET \
             identity_id = excluded.identity_id, sealed = excluded.sealed, handed_out_at = excluded.handed_out_at, \
             version = token_sets.version + 1, refresh_leased_until = NULL, expires_at = excluded.expires_at";
        let hash = HashedToken::of(key);
        let sealed = seal(keyring, &hash, set);
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(&hash.0[..])
                .bind(set.identity.to_string())
                .bind(&sealed)
                .bind(set.handed_out_at.map(Timestamp::millis))
                .bind(expires_at.millis())
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }

    /// The set under `key`. One that this key ring does not open is not found.
    pub async fn tokens(&self, keyring: &Keyring, key: &str) -> Result<TokenSet, StoreError> {
        const SQL: &str = "SELECT sealed, handed_out_at, version FROM token_sets WHERE key_hash = $1";
        let hash = HashedToken::of(key);
        let row: Option<SetRow> = read!(self, |db| sqlx::query_as(SQL).bind(&hash.0[..]).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.set(keyring, &hash)
    }

    /// Replaces the tokens, if the set is still the version that was read (`set.version`), and ends the refresh's lease.
    ///
    /// # Errors
    /// `Stale` where it is not.
    pub async fn replace_tokens(&self, keyring: &Keyring, key: &str, set: &TokenSet) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE token_sets SET sealed = $3, version = version + 1, refresh_leased_until = NULL \
             WHERE key_hash = $1 AND version = $2";
        let hash = HashedToken::of(key);
        let sealed = seal(keyring, &hash, set);
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(&hash.0[..])
                .bind(set.version)
                .bind(&sealed)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 { Err(why_not(tx, &hash).await?) } else { Ok(()) }
        })
    }

    /// Marks the set as handed out inside a kubeconfig for a cluster, with its event. The event is written each time; the
    /// version grows the first time.
    ///
    /// # Errors
    /// `Stale` where it is not the version that was read any more, or is being refreshed: nothing was marked, look again.
    pub async fn mark_handed_out(
        &self,
        key: &str,
        version: i64,
        cluster: ClusterId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE token_sets SET version = CASE WHEN handed_out_at IS NULL THEN version + 1 ELSE version END, \
             handed_out_at = COALESCE(handed_out_at, $3) WHERE key_hash = $1 AND version = $2 \
             AND (refresh_leased_until IS NULL OR refresh_leased_until <= $3)";
        let hash = HashedToken::of(key);
        transact!(self, |tx| {
            let marked = on!(tx, |db| sqlx::query(SQL)
                .bind(&hash.0[..])
                .bind(version)
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if marked == 0 {
                return Err(why_not(tx, &hash).await?);
            }
            audit.append(tx, About::Cluster(cluster), now).await
        })
    }

    /// Forgets the set, with the event of the sign-out. The event is written also where there was none.
    pub async fn drop_tokens(&self, key: &str, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM token_sets WHERE key_hash = $1";
        let hash = HashedToken::of(key);
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL).bind(&hash.0[..]).execute(db).await.map(drop))?;
            audit.append(tx, About::Nothing, now).await
        })
    }

    /// Takes the right to refresh this version of the set until `until`, so that no two requests refresh at once; `false` if
    /// another has it, or the set has been changed or handed out since it was read.
    pub async fn lease_refresh(
        &self,
        key: &str,
        version: i64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE token_sets SET refresh_leased_until = $4 WHERE key_hash = $1 AND version = $2 \
             AND handed_out_at IS NULL AND (refresh_leased_until IS NULL OR refresh_leased_until <= $3)";
        let hash = HashedToken::of(key);
        transact!(self, |tx| {
            let leased = on!(tx, |db| sqlx::query(SQL)
                .bind(&hash.0[..])
                .bind(version)
                .bind(now.millis())
                .bind(until.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            Ok(leased > 0)
        })
    }

    /// Gives that right back early, where the provider was not reached and the set is what it was. Only who holds it calls this.
    pub async fn release_refresh(&self, key: &str, version: i64) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE token_sets SET refresh_leased_until = NULL WHERE key_hash = $1 AND version = $2";
        let hash = HashedToken::of(key);
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL).bind(&hash.0[..]).bind(version).execute(db).await.map(drop))?;
            Ok(())
        })
    }
}
