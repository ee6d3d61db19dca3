//! Flows on real servers, as people walk them.

mod account;
mod addresses;
mod crashes;
mod credentials;
mod diagnosis;
mod drift;
mod effective;
mod federation;
pub(crate) mod forger;
mod formats;
mod health;
pub(crate) mod house;
mod keys;
mod links;
mod main_job;
mod matrix;
mod outages;
mod own_roles;
mod refusals;
mod relay;
mod relay_clients;
mod roles;
pub(crate) mod scene;
mod service_accounts;
mod strict_provider;
pub(crate) mod visitor;
mod workspaces;
