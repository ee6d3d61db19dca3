//! Kubelend: lend a Kubernetes cluster, keep the keys.
//!
//! The map of the house, from the words outwards; each room may use those below it, never those above
//! (`tests/house` fails on an import against the arrows):
//!
//! * [`cli`] parses the command line; [`app`] builds the parts and wires them.
//! * [`web`] is what browsers see; [`reconcile`] is what happens by itself.
//! * [`access`] holds the use cases, a verb each. Every write goes through it and wants an
//!   [`Authorized`](policy::Authorized).
//! * [`bindings`] turns grants into RBAC bindings on a cluster.
//! * [`store`] is the only place with SQL, [`k8s`] the only one with Kubernetes' API, [`oidc`] the only one with OpenID Connect;
//!   [`kubeconfig`] reads and writes kubeconfigs; [`policy`] says who may do what.
//! * [`model`] is the vocabulary.
//! * [`clock`], [`crypto`], [`outbound`], [`telemetry`] and [`yaml`] are leaves that all may use; [`config`] is read once, by `app` and `cli`.
#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod bindings;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod declared;
pub mod k8s;
pub mod kubeconfig;
pub mod model;
pub mod oidc;
pub mod outbound;
pub mod policy;
pub mod reconcile;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod yaml;
