//! Devices: the kubeconfigs that were handed out, with the hash of the token in each that asks Kubelend afterwards.

use std::net::IpAddr;

use super::{
    AuditDraft, Store, StoreError,
    audit::About,
    db::{PAST_ALL_IDS, Tx, parsed},
};
use crate::{
    crypto::HashedToken,
    model::{
        device::{Device, Format, Use},
        id::{ClusterId, DeviceId, IdentityId},
        provider::ProviderId,
        time::Timestamp,
    },
};

/// How many living devices one person may have on one cluster: more are a mistake of some script.
const MOST: i64 = 200;

/// A device to make.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its id, made beforehand, since the file holds it.
    pub id: DeviceId,
    /// Whose.
    pub identity: IdentityId,
    /// For which cluster.
    pub cluster: ClusterId,
    /// At which provider.
    pub provider: ProviderId,
    /// What kind of file.
    pub format: Format,
    /// What its owner calls it.
    pub name: String,
    /// Of the token in it, if there is one.
    pub token: Option<HashedToken>,
    /// From where it is fetched.
    pub from: IpAddr,
    /// The latest end of it.
    pub expires_at: Timestamp,
}

/// Which devices to take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// One of this person's.
    OneOfPerson(IdentityId, DeviceId),
    /// All of this person's.
    AllOfPerson(IdentityId),
    /// One on this cluster.
    OneOnCluster(ClusterId, DeviceId),
    /// One person's on this cluster.
    OfPersonOnCluster(ClusterId, IdentityId),
    /// All on this cluster.
    AllOnCluster(ClusterId),
}

#[derive(sqlx::FromRow)]
pub(super) struct DeviceRow {
    id: String,
    identity_id: String,
    cluster_id: String,
    provider: String,
    format: String,
    name: String,
    token_hash: Option<Vec<u8>>,
    made_at: i64,
    made_from: String,
    expires_at: i64,
    used_at: Option<i64>,
    used_from: Option<String>,
    apart_at: Option<i64>,
    apart_from: Option<String>,
    revoked_at: Option<i64>,
}

macro_rules! select_devices {
    ($($rest:expr),+) => {
        concat!(
            "SELECT id, identity_id, cluster_id, provider, format, name, token_hash, made_at, made_from, expires_at, \
             used_at, used_from, apart_at, apart_from, revoked_at FROM devices WHERE ",
            $($rest),+
        )
    };
}

fn a_use(at: Option<i64>, from: Option<String>) -> Result<Option<Use>, StoreError> {
    let (Some(at), Some(from)) = (at, from) else { return Ok(None) };
    Ok(Some(Use { at: Timestamp::from_millis(at), from: parsed(&from, "address of a device")? }))
}

impl DeviceRow {
    pub(super) fn device(self) -> Result<(Device, Option<HashedToken>), StoreError> {
        let token = self.token_hash.map(|hash| <[u8; 32]>::try_from(hash).map(HashedToken));
        let token = token.transpose().map_err(|_| StoreError::Corrupt("token of a device"))?;
        let device = Device {
            id: parsed(&self.id, "id of a device")?,
            identity: parsed(&self.identity_id, "person of a device")?,
            cluster: parsed(&self.cluster_id, "cluster of a device")?,
            provider: parsed(&self.provider, "provider of a device")?,
            format: Format::parse(&self.format).ok_or(StoreError::Corrupt("format of a device"))?,
            name: self.name,
            made: Use {
                at: Timestamp::from_millis(self.made_at),
                from: parsed(&self.made_from, "address of a device")?,
            },
            expires_at: Timestamp::from_millis(self.expires_at),
            used: a_use(self.used_at, self.used_from)?,
            apart: a_use(self.apart_at, self.apart_from)?,
            revoked_at: self.revoked_at.map(Timestamp::from_millis),
        };
        Ok((device, token))
    }
}

/// Adds a device inside a transaction of its caller's.
pub(super) async fn add(tx: &mut Tx, new: &NewDevice, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO devices (id, identity_id, cluster_id, provider, format, name, token_hash, made_at, \
         made_from, expires_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE (SELECT COUNT(*) FROM devices \
         WHERE cluster_id = $3 AND identity_id = $2 AND revoked_at IS NULL AND expires_at > $8) < $11";
    let added = on!(tx, |db| sqlx::query(SQL)
        .bind(new.id.to_string())
        .bind(new.identity.to_string())
        .bind(new.cluster.to_string())
        .bind(new.provider.as_str())
        .bind(new.format.as_str())
        .bind(&new.name)
        .bind(new.token.as_ref().map(|hash| hash.0.to_vec()))
        .bind(now.millis())
        .bind(new.from.to_canonical().to_string())
        .bind(new.expires_at.millis())
        .bind(MOST)
        .execute(db)
        .await
        .map(|done| done.rows_affected()))?;
    if added == 0 { Err(StoreError::Full("200 kubeconfigs for this cluster")) } else { Ok(()) }
}

impl Store {
    /// Writes down a device and that its file left.
    ///
    /// # Errors
    /// `Full` where the person has too many on this cluster.
    pub async fn add_device(&self, new: &NewDevice, audit: AuditDraft, now: Timestamp) -> Result<(), StoreError> {
        transact!(self, |tx| {
            add(tx, new, now).await?;
            audit.append(tx, About::Cluster(new.cluster), now).await
        })
    }

    /// One device, with the hash of its token if it has one.
    pub async fn device(&self, id: DeviceId) -> Result<(Device, Option<HashedToken>), StoreError> {
        const SQL: &str = select_devices!("id = $1");
        let row: Option<DeviceRow> =
            read!(self, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
        row.ok_or(StoreError::NotFound)?.device()
    }

    /// A person's devices that were not taken back, newest first, from behind `before` on.
    pub async fn devices_of_person(
        &self,
        identity: IdentityId,
        before: Option<DeviceId>,
        limit: u32,
    ) -> Result<Vec<Device>, StoreError> {
        const SQL: &str =
            select_devices!("identity_id = $1 AND revoked_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3");
        self.devices(SQL, identity.to_string(), before, limit).await
    }

    /// The devices on a cluster that were not taken back, newest first, from behind `before` on.
    pub async fn devices_on_cluster(
        &self,
        cluster: ClusterId,
        before: Option<DeviceId>,
        limit: u32,
    ) -> Result<Vec<Device>, StoreError> {
        const SQL: &str =
            select_devices!("cluster_id = $1 AND revoked_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3");
        self.devices(SQL, cluster.to_string(), before, limit).await
    }

    async fn devices(
        &self,
        sql: &'static str,
        of: String,
        before: Option<DeviceId>,
        limit: u32,
    ) -> Result<Vec<Device>, StoreError> {
        let before = before.map_or_else(|| PAST_ALL_IDS.to_owned(), |id| id.to_string());
        let rows: Vec<DeviceRow> =
            read!(self, |db| sqlx::query_as(sql).bind(of).bind(before).bind(i64::from(limit)).fetch_all(db).await)?;
        rows.into_iter().map(|row| row.device().map(|(device, _)| device)).collect()
    }

    /// How many relayed devices on a cluster were not taken back, and of how many people; of one person alone, where one is named.
    pub async fn count_devices(
        &self,
        cluster: ClusterId,
        identity: Option<IdentityId>,
        now: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        const SQL: &str = "SELECT COUNT(*), COUNT(DISTINCT identity_id) FROM devices WHERE cluster_id = $1 \
             AND revoked_at IS NULL AND expires_at > $2 AND token_hash IS NOT NULL AND ($3 = '' OR identity_id = $3)";
        let (count, people): (i64, i64) = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(now.millis())
            .bind(identity.map(|id| id.to_string()).unwrap_or_default())
            .fetch_one(db)
            .await)?;
        Ok((u64::try_from(count).unwrap_or(0), u64::try_from(people).unwrap_or(0)))
    }

    /// Writes down a use; with `apart`, also that it came from far away of the one before, and the event of that.
    pub async fn device_used(&self, device: &Device, used: Use, apart: Option<AuditDraft>) -> Result<(), StoreError> {
        const USED: &str =
            "UPDATE devices SET used_at = $2, used_from = $3 WHERE id = $1 AND (used_at IS NULL OR used_at <= $2)";
        const APART: &str = "UPDATE devices SET apart_at = $2, apart_from = used_from, used_at = $2, used_from = $3 \
             WHERE id = $1 AND used_from = $4";
        let from = used.from.to_canonical().to_string();
        let before = device.used.map(|used| used.from.to_canonical().to_string());
        transact!(self, |tx| {
            let Some(audit) = &apart else {
                on!(tx, |db| sqlx::query(USED)
                    .bind(device.id.to_string())
                    .bind(used.at.millis())
                    .bind(&from)
                    .execute(db)
                    .await
                    .map(drop))?;
                return Ok(());
            };
            let first = on!(tx, |db| sqlx::query(APART)
                .bind(device.id.to_string())
                .bind(used.at.millis())
                .bind(&from)
                .bind(&before)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            if first > 0 { audit.append(tx, About::Cluster(device.cluster), used.at).await } else { Ok(()) }
        })
    }

    /// Takes devices back, with an event where there were any; returns how many.
    pub async fn revoke_devices(&self, which: Devices, audit: AuditDraft, now: Timestamp) -> Result<u64, StoreError> {
        // One text for each choice, so that each is looked up by its index.
        let (sql, first, second): (&'static str, String, Option<String>) = match which {
            Devices::OneOfPerson(person, device) => (
                "UPDATE devices SET revoked_at = $1 WHERE revoked_at IS NULL AND identity_id = $2 AND id = $3",
                person.to_string(),
                Some(device.to_string()),
            ),
            Devices::AllOfPerson(person) => (
                "UPDATE devices SET revoked_at = $1 WHERE revoked_at IS NULL AND identity_id = $2",
                person.to_string(),
                None,
            ),
            Devices::OneOnCluster(cluster, device) => (
                "UPDATE devices SET revoked_at = $1 WHERE revoked_at IS NULL AND cluster_id = $2 AND id = $3",
                cluster.to_string(),
                Some(device.to_string()),
            ),
            Devices::OfPersonOnCluster(cluster, person) => (
                "UPDATE devices SET revoked_at = $1 WHERE revoked_at IS NULL AND cluster_id = $2 AND identity_id = $3",
                cluster.to_string(),
                Some(person.to_string()),
            ),
            Devices::AllOnCluster(cluster) => (
                "UPDATE devices SET revoked_at = $1 WHERE revoked_at IS NULL AND cluster_id = $2",
                cluster.to_string(),
                None,
            ),
        };
        let about = match which {
            Devices::OneOfPerson(..) | Devices::AllOfPerson(_) => About::Nothing,
            Devices::OneOnCluster(cluster, _)
            | Devices::OfPersonOnCluster(cluster, _)
            | Devices::AllOnCluster(cluster) => About::Cluster(cluster),
        };
        transact!(self, |tx| {
            let revoked = on!(tx, |db| {
                let query = sqlx::query(sql).bind(now.millis()).bind(&first);
                let query = match &second {
                    Some(second) => query.bind(second),
                    None => query,
                };
                query.execute(db).await.map(|done| done.rows_affected())
            })?;
            if revoked > 0 {
                audit.append(tx, about, now).await?;
            }
            Ok(revoked)
        })
    }
}
