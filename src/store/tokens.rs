//! Token sets: the provider's tokens of a sign-in, sealed, for as long as its session lives. They are found by a key that only
//! the (sealed) session record knows, and die with the session.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{AuditDraft, NewDevice, Store, StoreError, audit::About, devices};
use crate::{
    crypto::{HashedToken, Keyring},
    model::{
        id::IdentityId,
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
    direct: bool,
}

fn seal(keyring: &Keyring, hash: &HashedToken, set: &TokenSet) -> Vec<u8> {
    let sealed = Sealed {
        identity: set.identity,
        provider: set.provider.clone(),
        id_token: set.tokens.id_token.expose_secret().to_owned(),
        issued_at: set.tokens.issued_at,
        expires_at: set.tokens.expires_at,
        refresh_token: set.tokens.refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
        direct: set.direct,
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
            direct: sealed.direct,
            handed_out_at: self.handed_out_at.map(Timestamp::from_millis),
        })
    }
}

impl Store {
    /// Keeps a set under `key` until `expires_at` at the latest, in place of one that is there.
    pub async fn put_tokens(
        &self,
        keyring: &Keyring,
        key: &str,
        set: &TokenSet,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO token_sets (key_hash, identity_id, sealed, handed_out_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key_hash) DO UPDATE SET identity_id = excluded.identity_id, \
             sealed = excluded.sealed, handed_out_at = excluded.handed_out_at, expires_at = excluded.expires_at";
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
        const SQL: &str = "SELECT sealed, handed_out_at FROM token_sets WHERE key_hash = $1";
        let hash = HashedToken::of(key);
        let row: Option<SetRow> = read!(self, |db| sqlx::query_as(SQL).bind(&hash.0[..]).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.set(keyring, &hash)
    }

    /// Marks the set as handed out inside a kubeconfig, with the device that it makes and its event.
    pub async fn mark_handed_out(
        &self,
        key: &str,
        device: &NewDevice,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE token_sets SET handed_out_at = COALESCE(handed_out_at, $2) WHERE key_hash = $1";
        let hash = HashedToken::of(key);
        transact!(self, |tx| {
            let marked = on!(tx, |db| sqlx::query(SQL)
                .bind(&hash.0[..])
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if marked == 0 {
                return Err(StoreError::NotFound);
            }
            devices::add(tx, device, now).await?;
            audit.append(tx, About::Cluster(device.cluster), now).await
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
}
