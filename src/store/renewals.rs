//! What a device's question for a token is answered from, read with as few statements as it takes: each is a way to another
//! thread or over the network, and that is most of what an answer costs.

use super::{Store, StoreError, devices::DeviceRow, identities::IdentityRow, upstream};
use crate::{
    crypto::{HashedToken, Keyring},
    model::{device::Device, id::DeviceId, identity::Identity, upstream::UpstreamSession},
};

/// A device that asks, with whose it is.
#[derive(Debug)]
pub struct Renewal {
    /// It.
    pub device: Device,
    /// Of its token, if it has one.
    pub token: Option<HashedToken>,
    /// Whose.
    pub holder: Identity,
    /// The sign-in at the device's provider that it lives on. One that the key ring does not open is none.
    pub session: Option<UpstreamSession>,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    device: DeviceRow,
    holder_provider: String,
    holder_issuer: String,
    holder_sub: String,
    holder_email: Option<String>,
    holder_email_verified: bool,
    holder_name: Option<String>,
    holder_groups: String,
    holder_last_sign_in: i64,
    session_sealed: Option<Vec<u8>>,
    session_refused_at: Option<i64>,
    session_version: Option<i64>,
}

impl Row {
    fn renewal(self, keyring: &Keyring) -> Result<Renewal, StoreError> {
        let (device, token) = self.device.device()?;
        let holder = IdentityRow {
            id: device.identity.to_string(),
            provider: self.holder_provider,
            issuer: self.holder_issuer,
            sub: self.holder_sub,
            email: self.holder_email,
            email_verified: self.holder_email_verified,
            name: self.holder_name,
            group_list: self.holder_groups,
            last_sign_in: self.holder_last_sign_in,
        };
        let session = match (self.session_sealed, self.session_version) {
            (Some(sealed), Some(version)) => {
                let row = upstream::Row { sealed, refused_at: self.session_refused_at, version };
                match row.session(keyring, device.identity, &device.provider) {
                    Err(StoreError::NotFound) => None,
                    session => Some(session?),
                }
            }
            _ => None,
        };
        Ok(Renewal { holder: holder.identity()?, device, token, session })
    }
}

impl Store {
    /// A device with its holder and the sign-in that it lives on.
    pub async fn renewal(&self, keyring: &Keyring, id: DeviceId) -> Result<Renewal, StoreError> {
        const SQL: &str = "SELECT d.id, d.identity_id, d.cluster_id, d.provider, d.format, d.name, d.token_hash, d.made_at, \
             d.made_from, d.expires_at, d.used_at, d.used_from, d.apart_at, d.apart_from, d.revoked_at, \
             p.provider AS holder_provider, p.issuer AS holder_issuer, p.sub AS holder_sub, p.email AS holder_email, \
             p.email_verified AS holder_email_verified, p.name AS holder_name, p.group_list AS holder_groups, \
             p.last_sign_in AS holder_last_sign_in, u.sealed AS session_sealed, u.refused_at AS session_refused_at, \
             u.version AS session_version FROM devices d JOIN identities p ON p.id = d.identity_id \
             LEFT JOIN upstream_sessions u ON u.identity_id = d.identity_id AND u.provider = d.provider WHERE d.id = $1";
        let row: Option<Row> = read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.renewal(keyring)
    }
}
