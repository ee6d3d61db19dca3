//! Kubelend as a whole, tried from outside: one binary, so that it is linked once and its tests share their servers.
#![allow(unreachable_pub, reason = "nothing imports a test binary; `pub` says what its own rooms use")]

mod browser;
mod compose;
mod config;
mod databases;
mod flows;
mod house;
mod instruments;
mod journeys;
mod k8s;
mod kubeconfig;
mod oidc;
mod store;
