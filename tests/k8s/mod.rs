//! The `k8s`, `bindings` and `kubeconfig::connect` rooms against real API servers.

mod bindings;
mod client;
mod connect;
mod effective;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use kubelend::{
    k8s::{ClusterClient, Connector, DirectDialer, Shown},
    kubeconfig::{self, Parsed},
    outbound::AddressRules,
};
use testbed::ControlPlane;

/// More than a busy machine needs for one call.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) fn connector() -> Connector {
    Connector::new(Arc::new(DirectDialer::new(AddressRules { allow_loopback: true })))
}

pub(crate) fn parse(text: &str) -> Result<Parsed> {
    kubeconfig::parse(text).map_err(|errors| anyhow!("{errors:?}"))
}

/// A client that shows what the kubeconfig holds.
pub(crate) fn client(text: &str) -> Result<ClusterClient> {
    let parsed = parse(text)?;
    Ok(connector().client(&parsed.endpoint, Shown::Own(parsed.credential), BOUND)?)
}

pub(crate) fn admin(cluster: &ControlPlane) -> Result<ClusterClient> {
    client(cluster.admin_kubeconfig_text())
}
