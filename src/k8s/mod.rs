//! The only place that talks to API servers. It dials through a [`Dialer`], so that a tunnel can stand in for the network, and
//! sends a credential only over verified TLS; redirects are never followed and every call has a bound.
//!
//! Requests and paths are made by kube's core and read into Kubernetes' own types; what carries them is ours, because kube's
//! client writes answers that it cannot read into the log, mends what is no Kubernetes answer into something that looks like
//! one, and does not say whether TCP, TLS or the API server stood in the way.

mod answer;
mod bindings;
mod bounds;
mod client;
mod dial;
mod effective;
mod error;
mod figures;
mod idle;
mod namespaces;
mod own_account;
mod own_roles;
mod reviews;
mod roles;
mod service_accounts;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod transport;
mod watch;

pub use bindings::{BindingObject, FoundBinding, Placed, RoleKind, RoleRef, Standing};
pub use client::{ClusterClient, Connector, Shown};
pub use dial::{Dialer, DirectDialer, Stream};
pub use effective::{FoundRole, Listed, Said};
pub use error::K8sError;
pub use figures::IssuerFigures;
pub use namespaces::{FoundNamespace, PlacedNamespace};
pub use own_roles::{FoundOwnRole, PlacedRole, RoleObject, StandingRoles};
pub use reviews::{ResourceQuestion, Review, RoleRules, Rule, UserInfo};
pub use roles::StandingRole;
pub use service_accounts::{Exactly, FoundAccount, GivenToken, Marks, PlacedAccount};
pub use watch::{BindingKind, Change, Watch};
