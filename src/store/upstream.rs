//! Upstream sessions: the provider's tokens that people's devices live on, sealed, one row for each person and provider.
//!
//! One request at a time may ask the provider, by a lease in the row that runs out by itself, never by a transaction that
//! stays open over a network call. Whoever changes a session names the version that they read.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{AuditDraft, Store, StoreError, audit::About, identities};
use crate::{
    crypto::Keyring,
    model::{
        id::IdentityId, identity::VerifiedClaims, provider::ProviderId, time::Timestamp, token_set::Tokens,
        upstream::UpstreamSession,
    },
};

/// What is sealed. Its field names are stored: they stay.
#[derive(Serialize, Deserialize)]
struct Sealed {
    id_token: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    refresh_token: Option<String>,
}

fn seal(keyring: &Keyring, context: &str, tokens: &Tokens) -> Vec<u8> {
    let sealed = Sealed {
        id_token: tokens.id_token.expose_secret().to_owned(),
        issued_at: tokens.issued_at,
        expires_at: tokens.expires_at,
        refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
    };
    let plain = serde_json::to_vec(&sealed).unwrap_or_else(|_| unreachable!("texts and numbers are always JSON"));
    keyring.seal(context, &plain)
}

fn context(identity: IdentityId, provider: &ProviderId) -> String {
    format!("upstream:{identity}:{provider}")
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) sealed: Vec<u8>,
    pub(super) refused_at: Option<i64>,
    pub(super) version: i64,
}

impl Row {
    pub(super) fn session(
        self,
        keyring: &Keyring,
        identity: IdentityId,
        provider: &ProviderId,
    ) -> Result<UpstreamSession, StoreError> {
        // Under a ring that cannot open it, it is as good as gone: the person signs in again.
        let context = context(identity, provider);
        let plain = keyring.open(&context, &self.sealed).map_err(|_| StoreError::NotFound)?;
        let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt("upstream session"))?;
        Ok(UpstreamSession {
            identity,
            provider: provider.clone(),
            tokens: Tokens {
                id_token: SecretString::from(sealed.id_token),
                issued_at: sealed.issued_at,
                expires_at: sealed.expires_at,
                refresh_token: sealed.refresh_token.map(SecretString::from),
            },
            refused_at: self.refused_at.map(Timestamp::from_millis),
            version: self.version,
        })
    }
}

impl Store {
    /// Keeps the tokens of a sign-in, unless newer ones are kept already: of two sign-ins, the provider holds to the later.
    /// A refresh that is under way finds that it was overtaken.
    pub async fn put_upstream(
        &self,
        keyring: &Keyring,
        identity: IdentityId,
        provider: &ProviderId,
        tokens: &Tokens,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO upstream_sessions (identity_id, provider, sealed, issued_at, expires_at, version) \
             VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (identity_id, provider) DO UPDATE SET \
             sealed = excluded.sealed, issued_at = excluded.issued_at, expires_at = excluded.expires_at, version = upstream_sessions.version + 1, \
             leased_until = NULL, refused_at = NULL WHERE upstream_sessions.issued_at <= excluded.issued_at";
        let sealed = seal(keyring, &context(identity, provider), tokens);
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(identity.to_string())
                .bind(provider.as_str())
                .bind(&sealed)
                .bind(tokens.issued_at.millis())
                .bind(tokens.expires_at.millis())
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }

    /// Somebody's session at a provider. One that this key ring does not open is not found.
    pub async fn upstream(
        &self,
        keyring: &Keyring,
        identity: IdentityId,
        provider: &ProviderId,
    ) -> Result<UpstreamSession, StoreError> {
        const SQL: &str = "SELECT sealed, refused_at, version FROM upstream_sessions \
             WHERE identity_id = $1 AND provider = $2";
        let row: Option<Row> = read!(self, |db| sqlx::query_as(SQL)
            .bind(identity.to_string())
            .bind(provider.as_str())
            .fetch_optional(db)
            .await)?;
        row.ok_or(StoreError::NotFound)?.session(keyring, identity, provider)
    }

    /// Takes the right to refresh this version of the session until `until`; `false` if another has it, or the session has
    /// changed since it was read. With SQLite a power cut may take it back, which ends whoever holds it too.
    pub async fn lease_upstream(
        &self,
        session: &UpstreamSession,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE upstream_sessions SET leased_until = $4 WHERE identity_id = $1 AND provider = $2 \
             AND version = $5 AND (leased_until IS NULL OR leased_until <= $3)";
        transact!(fleeting: self, |tx| {
            let leased = on!(tx, |db| sqlx::query(SQL)
                .bind(session.identity.to_string())
                .bind(session.provider.as_str())
                .bind(now.millis())
                .bind(until.millis())
                .bind(session.version)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            Ok(leased > 0)
        })
    }

    /// Gives that right back early, where the provider was not reached. Only who holds it calls this.
    pub async fn release_upstream(&self, session: &UpstreamSession) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE upstream_sessions SET leased_until = NULL \
             WHERE identity_id = $1 AND provider = $2 AND version = $3";
        transact!(self, |tx| {
            on!(tx, |db| sqlx::query(SQL)
                .bind(session.identity.to_string())
                .bind(session.provider.as_str())
                .bind(session.version)
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })
    }

    /// Keeps a new refresh token beside the ID token that there is, before anything is known of the one that came with it, and
    /// returns the session as it is then. Whoever refreshes has not ended: the lease stays.
    ///
    /// # Errors
    /// `Stale` where a sign-in overtook the refresh: its tokens stay.
    pub async fn rotate_upstream(
        &self,
        keyring: &Keyring,
        session: &UpstreamSession,
        refresh_token: &SecretString,
    ) -> Result<UpstreamSession, StoreError> {
        const SQL: &str = "UPDATE upstream_sessions SET sealed = $4, version = version + 1, refused_at = NULL \
             WHERE identity_id = $1 AND provider = $2 AND version = $3";
        let mut rotated = session.clone();
        rotated.tokens.refresh_token = Some(refresh_token.clone());
        rotated.refused_at = None;
        rotated.version += 1;
        let sealed = seal(keyring, &context(session.identity, &session.provider), &rotated.tokens);
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(session.identity.to_string())
                .bind(session.provider.as_str())
                .bind(session.version)
                .bind(&sealed)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 { Err(StoreError::Stale) } else { Ok(()) }
        })?;
        Ok(rotated)
    }

    /// Keeps what a refresh brought, and what it said of the person, as at a sign-in: their email and groups may be new.
    ///
    /// # Errors
    /// `Stale` where a sign-in overtook the refresh: its tokens stay.
    pub async fn replace_upstream(
        &self,
        keyring: &Keyring,
        session: &UpstreamSession,
        tokens: &Tokens,
        claims: &VerifiedClaims,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE upstream_sessions SET sealed = $4, issued_at = $5, expires_at = $6, version = version + 1, \
             leased_until = NULL, refused_at = NULL WHERE identity_id = $1 AND provider = $2 AND version = $3";
        let sealed = seal(keyring, &context(session.identity, &session.provider), tokens);
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(session.identity.to_string())
                .bind(session.provider.as_str())
                .bind(session.version)
                .bind(&sealed)
                .bind(tokens.issued_at.millis())
                .bind(tokens.expires_at.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 {
                return Err(StoreError::Stale);
            }
            identities::refreshed(tx, claims, now).await
        })
    }

    /// Writes down that the provider refused to refresh the session, with the event of it the first time. The refresh token is
    /// kept: some providers take it again once the person is enabled again.
    pub async fn refuse_upstream(
        &self,
        session: &UpstreamSession,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE upstream_sessions SET refused_at = $4, version = version + 1, leased_until = NULL \
             WHERE identity_id = $1 AND provider = $2 AND version = $3";
        transact!(self, |tx| {
            let changed = on!(tx, |db| sqlx::query(SQL)
                .bind(session.identity.to_string())
                .bind(session.provider.as_str())
                .bind(session.version)
                .bind(now.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if changed == 0 || session.refused_at.is_some() {
                return Ok(());
            }
            audit.append(tx, About::Nothing, now).await
        })
    }

    /// How long the newest ID token of a provider lives (`exp` minus `iat`), as far as one was seen.
    pub async fn token_life(&self, provider: &ProviderId) -> Result<Option<Duration>, StoreError> {
        const SQL: &str = "SELECT expires_at - issued_at FROM upstream_sessions WHERE provider = $1 \
             ORDER BY issued_at DESC LIMIT 1";
        let row: Option<(i64,)> =
            read!(self, |db| sqlx::query_as(SQL).bind(provider.as_str()).fetch_optional(db).await)?;
        Ok(row.and_then(|(millis,)| u64::try_from(millis).ok()).map(Duration::from_millis))
    }

    /// Forgets sessions that were refused before `refused_before` and never taken again since.
    pub async fn sweep_upstream(&self, refused_before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM upstream_sessions WHERE refused_at <= $1";
        transact!(self, |tx| {
            Ok(on!(tx, |db| sqlx::query(SQL)
                .bind(refused_before.millis())
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?)
        })
    }
}
