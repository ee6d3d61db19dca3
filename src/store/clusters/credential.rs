//! A cluster's credential: sealed, with what is known of it without opening it.

use crate::{
    model::{
        cluster::{CredentialKind, Endpoint},
        id::ClusterId,
        time::Timestamp,
    },
    store::{Store, StoreError, db::Tx},
};

/// A credential on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCredential {
    /// What it is.
    pub kind: CredentialKind,
    /// It, sealed.
    pub sealed: Vec<u8>,
}

/// A stored credential and the endpoint that it is for, as they stood at the same moment: a new one is not shown at an old
/// address, nor an old one at a new address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// It, sealed. Sealing the same twice gives two texts, so equal ones are the same row.
    pub sealed: Vec<u8>,
    /// Where it is shown.
    pub endpoint: Endpoint,
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    sealed: Vec<u8>,
    server: String,
    ca_pem: Option<String>,
    tls_server_name: Option<String>,
}

/// What is known of a stored credential without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCredential {
    /// What it is; `None` for one that was stored before that was noted.
    pub kind: Option<CredentialKind>,
    /// Since when it is held.
    pub since: Timestamp,
}

pub(super) async fn insert(
    tx: &mut Tx,
    cluster: ClusterId,
    credential: &SealedCredential,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO cluster_credentials (cluster_id, sealed, kind, held_since) VALUES ($1, $2, $3, $4)";
    write(tx, SQL, cluster, credential, now).await
}

pub(super) async fn replace(
    tx: &mut Tx,
    cluster: ClusterId,
    credential: &SealedCredential,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE cluster_credentials SET sealed = $2, kind = $3, held_since = $4, described_since = NULL, \
         renew_at = NULL WHERE cluster_id = $1";
    write(tx, SQL, cluster, credential, now).await
}

const STORED: &str = "SELECT k.sealed, c.server, c.ca_pem, c.tls_server_name FROM cluster_credentials k \
     JOIN clusters c ON c.id = k.cluster_id WHERE k.cluster_id = $1";

pub(super) async fn stored(tx: &mut Tx, cluster: ClusterId) -> Result<StoredCredential, StoreError> {
    let row: Option<StoredRow> =
        on!(tx, |db| sqlx::query_as(STORED).bind(cluster.to_string()).fetch_optional(db).await)?;
    row.ok_or(StoreError::NotFound)?.read()
}

impl StoredRow {
    fn read(self) -> Result<StoredCredential, StoreError> {
        let Self { sealed, server, ca_pem, tls_server_name } = self;
        let server = server.parse().map_err(|_| StoreError::Corrupt("address of a cluster"))?;
        Ok(StoredCredential { sealed, endpoint: Endpoint { server, ca_pem, tls_server_name } })
    }
}

async fn write(
    tx: &mut Tx,
    sql: &'static str,
    cluster: ClusterId,
    credential: &SealedCredential,
    now: Timestamp,
) -> Result<(), StoreError> {
    Ok(on!(tx, |db| sqlx::query(sql)
        .bind(cluster.to_string())
        .bind(&credential.sealed)
        .bind(credential.kind.as_str())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop))?)
}

impl Store {
    /// Its credential, sealed, with the endpoint.
    pub async fn stored_credential(&self, id: ClusterId) -> Result<StoredCredential, StoreError> {
        let row: Option<StoredRow> =
            read!(self, |db| sqlx::query_as(STORED).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.read()
    }

    /// What is known of its credential.
    pub async fn held_credential(&self, id: ClusterId) -> Result<HeldCredential, StoreError> {
        // A version that does not note the time yet may have added the cluster, beside this one.
        const SQL: &str = "SELECT k.kind, COALESCE(k.held_since, c.created_at) FROM cluster_credentials k \
             JOIN clusters c ON c.id = k.cluster_id WHERE k.cluster_id = $1";
        let row: Option<(Option<String>, i64)> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        let (kind, since) = row.ok_or(StoreError::NotFound)?;
        let known = |kind: String| CredentialKind::parse(&kind).ok_or(StoreError::Corrupt("kind of a credential"));
        Ok(HeldCredential { kind: kind.map(known).transpose()?, since: Timestamp::from_millis(since) })
    }
}
