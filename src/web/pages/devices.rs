//! `/clusters/{cluster}/devices`: the kubeconfigs that people hold for a cluster, and taking them back.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    cluster::{AtCluster, Head, Tab},
    device_rows::{A_PAGE, Bound, DeviceRow, Used, a_page},
    sign_out::Empty,
};
use crate::{
    access::{Devices, Relay},
    model::id::{DeviceId, IdentityId},
    oidc::Providers,
    store::Store,
    web::{
        Parts,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, render},
        labels::counted,
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/devices.html")]
struct Page {
    frame: Frame,
    head: Head,
    here: String,
    holders: Vec<Holder>,
    bounds: Vec<Bound>,
    asking: Option<Asking>,
    revoke_many: String,
    next: Option<String>,
}

/// A person with what they hold.
struct Holder {
    name: String,
    id: IdentityId,
    rows: Vec<DeviceRow>,
}

/// What is about to be taken back.
struct Asking {
    question: String,
    /// Whose; everybody's where it is empty.
    person: String,
    count: String,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    devices: Devices,
    relay: Relay,
    store: Store,
    providers: Providers,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            devices: parts.devices.clone(),
            relay: parts.relay.clone(),
            store: parts.store.clone(),
            providers: parts.providers.clone(),
        }
    }
}

/// Whose devices are asked about: nobody's, one person's (`revoke=ID`), or everybody's (`revoke=all`).
#[derive(Debug, serde::Deserialize)]
pub struct Asked {
    revoke: Option<String>,
    before: Option<DeviceId>,
}

/// Whose devices a form takes back; everybody's where it is empty.
#[derive(Debug, serde::Deserialize)]
pub struct Whose {
    person: String,
}

/// A device of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct DevicePath {
    device: DeviceId,
}

/// The list.
pub async fn get(at: AtCluster, State(desk): State<Desk>, Query(asked): Query<Asked>) -> Result<Response, PageError> {
    desk.page(&at, asked).await
}

/// The address of a removal, opened by itself: asks first.
pub async fn ask(at: AtCluster) -> Redirect {
    Redirect::to(&format!("{}?revoke=all", paths::devices(at.id())))
}

/// Takes one back.
pub async fn revoke(
    at: AtCluster,
    Path(DevicePath { device }): Path<DevicePath>,
    State(desk): State<Desk>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    desk.devices.revoke_one(&at.manage_access()?, device).await?;
    Ok(Redirect::to(&paths::devices(at.id())).into_response())
}

/// Takes back all of one person, or all there are.
pub async fn revoke_many(
    at: AtCluster,
    State(desk): State<Desk>,
    ProtectedForm(whose): ProtectedForm<Whose>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    if whose.person.is_empty() {
        desk.devices.revoke_all(&permit).await?;
    } else {
        let person = whose.person.parse().map_err(|_| PageError::not_found())?;
        desk.devices.revoke_person(&permit, person).await?;
    }
    Ok(Redirect::to(&paths::devices(at.id())).into_response())
}

impl Desk {
    async fn page(&self, at: &AtCluster, asked: Asked) -> Result<Response, PageError> {
        at.manage_access()?;
        let (holders, next) = self.holders(at, asked.before).await?;
        Ok(render(&Page {
            frame: at.frame(),
            head: at.head(Tab::Devices),
            here: paths::devices(at.id()),
            bounds: self.bounds(at).await?,
            asking: self.asking(at, asked.revoke.as_deref()).await?,
            revoke_many: paths::revoke_devices(at.id()),
            next,
            holders,
        }))
    }

    /// By person, those with the newest device first.
    async fn holders(
        &self,
        at: &AtCluster,
        before: Option<DeviceId>,
    ) -> Result<(Vec<Holder>, Option<String>), PageError> {
        let devices = self.store.devices_on_cluster(at.id(), before, A_PAGE + 1).await?;
        let (devices, next) = a_page(devices, &paths::devices(at.id()));
        let ids: Vec<IdentityId> = devices.iter().map(|device| device.identity).collect();
        let people = if ids.is_empty() { Vec::new() } else { self.store.identities(&ids).await? };
        let names: HashMap<IdentityId, String> = people.iter().map(|p| (p.id, p.display().to_owned())).collect();
        let limits = self.relay.settings().limits;
        let mut holders: Vec<Holder> = Vec::new();
        for device in &devices {
            let name = names.get(&device.identity).cloned().unwrap_or_default();
            let row = DeviceRow::new(device, name.clone(), limits, at.now, paths::revoke_device(at.id(), device.id));
            match holders.iter_mut().find(|holder| holder.id == device.identity) {
                Some(holder) => holder.rows.push(row),
                None => holders.push(Holder { name, id: device.identity, rows: vec![row] }),
            }
        }
        Ok((holders, next))
    }

    /// What is about to be taken back, counted.
    async fn asking(&self, at: &AtCluster, whose: Option<&str>) -> Result<Option<Asking>, PageError> {
        let person = match whose {
            None => return Ok(None),
            Some("all") => None,
            Some(id) => Some(self.store.identity(id.parse().map_err(|_| PageError::not_found())?).await?),
        };
        let (count, people) = self.store.count_devices(at.id(), person.as_ref().map(|p| p.id), at.now).await?;
        let person = person.map(|person| (person.id, person.display().to_owned()));
        Ok((count > 0).then(|| asking(person, count, people)))
    }

    /// How fast taking back works, for each provider that the cluster trusts.
    async fn bounds(&self, at: &AtCluster) -> Result<Vec<Bound>, PageError> {
        let mut bounds = Vec::new();
        for (id, _) in &at.cluster().trusts {
            let Some(provider) = self.providers.get(id) else { continue };
            bounds.extend(Bound::new(self.store.token_life(id).await?, provider.settings().name.clone()));
        }
        Ok(bounds)
    }
}

fn asking(person: Option<(IdentityId, String)>, count: u64, people: u64) -> Asking {
    match person {
        None => Asking {
            question: "Take back all kubeconfigs for this cluster?".into(),
            person: String::new(),
            count: format!("{} of {}", counted(count, "kubeconfig"), counted(people, "person")),
        },
        Some((id, name)) => Asking {
            question: format!("Take back all kubeconfigs of {name}?"),
            person: id.to_string(),
            count: counted(count, "kubeconfig"),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster::tests::{cluster, head},
        device_rows::tests::rows,
        samples::{HOSTILE, NOW, check, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |holders: Vec<Holder>, asking: Option<Asking>, minutes, more: bool| {
            Page {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Devices),
                here: paths::devices(staging.id),
                bounds: Bound::new(Some(std::time::Duration::from_mins(minutes)), "Dex".into()).into_iter().collect(),
                asking,
                revoke_many: "/x".into(),
                next: more.then(|| "/x".into()),
                holders,
            }
            .render()
            .unwrap()
        };
        let holder = |name: &str, count| Holder { name: name.into(), id: IdentityId::new(), rows: rows(count) };
        let some = || vec![holder("bob@example.com", 5), holder(HOSTILE, 2)];
        let many = (0..20).map(|n| holder(&format!("person{n}@example.com"), 2)).collect();
        vec![
            ("devices", draw(some(), None, 10, false)),
            ("devices-revoke", draw(some(), Some(asking(None, 7, 2)), 1440, false)),
            ("devices-full", draw(many, None, 10, true)),
            ("devices-empty", draw(vec![], None, 10, false)),
        ]
    }
}
