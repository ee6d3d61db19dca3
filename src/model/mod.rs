//! The vocabulary of Kubelend: plain types and the rules that hold for them, with no I/O and no framework.
//!
//! Everything else in the house speaks in these words, so a rule that is enforced here (how a name may look, what a
//! claim mapping makes of an identity, when a link is open) cannot be forgotten elsewhere.

pub mod access_request;
pub mod audience;
pub mod audit;
pub mod binding;
pub mod ca;
pub mod claim_mapping;
pub mod client_trial;
pub mod cluster;
pub mod custom_role;
pub mod device;
pub mod diagnosis;
pub mod federation;
pub mod file;
pub mod grant;
pub mod group;
pub mod id;
pub mod identity;
pub mod invitation;
pub mod issuer;
pub mod made_role;
pub mod matrix;
pub mod name;
pub mod namespace_role;
pub mod network;
pub mod own_provider;
pub mod own_token;
pub mod power;
pub mod preset;
pub mod project;
pub mod provider;
pub mod questions;
pub mod rbac;
pub mod reach;
pub mod reason;
pub mod role;
pub mod scope;
pub mod service_account;
pub mod session;
pub mod share_link;
pub mod subject;
pub mod time;
pub mod token_claims;
pub mod token_set;
pub mod trial;
pub mod upstream;
pub mod vouch;
pub mod workspace;
