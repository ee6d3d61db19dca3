//! `/account/devices`: the kubeconfigs that somebody holds, on all clusters, and taking them back.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{FromRef, Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    device_rows::{A_PAGE, Bound, DeviceRow, Used, a_page},
    sign_out::Empty,
};
use crate::{
    access::{Devices, Relay},
    clock::Clock,
    model::id::{ClusterId, DeviceId},
    oidc::Providers,
    policy,
    store::Store,
    web::{
        Parts,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, Nav, render},
        paths,
        session::SignedIn,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/own_devices.html")]
struct Page {
    frame: Frame,
    rows: Vec<DeviceRow>,
    bound: Option<Bound>,
    /// Whether the provider has ended the sign-in that relayed files live on, and since when.
    ended: Option<When>,
    renew: &'static str,
    asking: bool,
    here: &'static str,
    revoke_all: &'static str,
    next: Option<String>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    devices: Devices,
    relay: Relay,
    store: Store,
    keyring: Arc<crate::crypto::Keyring>,
    providers: Providers,
    clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            devices: parts.devices.clone(),
            relay: parts.relay.clone(),
            store: parts.store.clone(),
            keyring: Arc::clone(&parts.keyring),
            providers: parts.providers.clone(),
            clock: parts.clock.clone(),
        }
    }
}

/// What is asked on the page.
#[derive(Debug, serde::Deserialize)]
pub struct Asked {
    revoke: Option<String>,
    before: Option<DeviceId>,
}

/// The list.
pub async fn get(State(desk): State<Desk>, who: SignedIn, Query(asked): Query<Asked>) -> Result<Response, PageError> {
    desk.page(&who, &asked).await
}

/// The address of a removal, opened by itself: asks first.
pub async fn ask(_: SignedIn) -> Redirect {
    Redirect::to(&format!("{}?revoke=all", paths::OWN_DEVICES))
}

/// Takes one back.
pub async fn revoke(
    State(desk): State<Desk>,
    who: SignedIn,
    Path(device): Path<DeviceId>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    desk.devices.revoke_own(&policy::own_things(&who.person), device).await?;
    Ok(Redirect::to(paths::OWN_DEVICES).into_response())
}

/// Takes all back.
pub async fn revoke_all(
    State(desk): State<Desk>,
    who: SignedIn,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    desk.devices.revoke_all_own(&policy::own_things(&who.person)).await?;
    Ok(Redirect::to(paths::OWN_DEVICES).into_response())
}

impl Desk {
    async fn page(&self, who: &SignedIn, asked: &Asked) -> Result<Response, PageError> {
        let (identity, now) = (who.person.identity(), self.clock.now());
        let devices = self.store.devices_of_person(identity.id, asked.before, A_PAGE + 1).await?;
        let (devices, next) = a_page(devices, paths::OWN_DEVICES);
        let mut ids: Vec<ClusterId> = devices.iter().map(|device| device.cluster).collect();
        ids.sort_unstable();
        ids.dedup();
        let clusters = if ids.is_empty() { Vec::new() } else { self.store.clusters(&ids).await? };
        let names: HashMap<ClusterId, String> = clusters.iter().map(|c| (c.id, c.name.to_string())).collect();
        let limits = self.relay.settings().limits;
        let row = |device: &crate::model::device::Device| {
            let cluster = names.get(&device.cluster).cloned().unwrap_or_default();
            DeviceRow::new(device, cluster, limits, now, paths::revoke_own_device(device.id))
        };
        let session = match self.store.upstream(&self.keyring, identity.id, &identity.provider).await {
            Ok(session) => session.refused_at,
            Err(crate::store::StoreError::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        let provider = self.providers.get(&identity.provider).map(|p| p.settings().name.clone()).unwrap_or_default();
        let bound = Bound::new(self.store.token_life(&identity.provider).await?, provider);
        Ok(render(&Page {
            frame: Frame::new(who, Nav::Devices),
            asking: asked.revoke.is_some() && !devices.is_empty(),
            next,
            rows: devices.iter().map(row).collect(),
            bound,
            ended: session.map(|at| When::new(at, now)),
            renew: paths::RENEW,
            here: paths::OWN_DEVICES,
            revoke_all: paths::REVOKE_OWN_DEVICES,
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        device_rows::tests::rows,
        samples::{NOW, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows, asking, ended: bool, minutes| {
            Page {
                frame: frame(),
                rows,
                bound: Bound::new(Some(std::time::Duration::from_mins(minutes)), "Dex".into()),
                ended: ended.then(|| When::new(NOW, NOW)),
                renew: paths::RENEW,
                asking,
                here: paths::OWN_DEVICES,
                revoke_all: paths::REVOKE_OWN_DEVICES,
                next: Some("/x".into()),
            }
            .render()
            .unwrap()
        };
        vec![
            ("own-devices", draw(rows(7), false, false, 10)),
            ("own-devices-ended", draw(rows(2), true, true, 1440)),
            ("own-devices-full", draw(rows(40), false, false, 10)),
            ("own-devices-empty", draw(vec![], false, false, 10)),
        ]
    }
}
