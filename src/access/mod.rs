//! The use cases: what people do with Kubelend, a verb each. All writing goes through here.
//!
//! Each takes an [`Authorized`](crate::policy::Authorized) (so who may do it was decided), writes its row and its audit event
//! in one transaction, and only then touches the cluster. Dying in between loses nothing: the row is the wish, and
//! `reconcile` goes on where a crash left off. So every step is safe to repeat.

mod apply;
mod audit;
mod clusters;
mod credential;
mod custom_roles;
mod declared;
mod devices;
mod diagnose;
mod drift;
mod effective;
mod error;
mod exchange;
mod federation;
mod formats;
mod gate;
mod grants;
mod groups;
mod invitations;
mod kubeconfigs;
mod links;
mod observe;
mod own_clients;
mod own_groups;
mod own_providers;
mod own_tokens;
mod paces;
mod presets;
mod probe;
mod projects;
mod relay;
mod requests;
mod roles;
mod rotation;
mod seats;
mod service_accounts;
mod sign_in;
mod upstream;
mod workspaces;

pub use apply::Applier;
pub use clusters::{Clusters, NewClusterRequest};
pub use custom_roles::CustomRoles;
pub use declared::{Change, Declared, Exports, Kind, Plan, Refused, Remark, Stopped};
pub use devices::Devices;
pub use diagnose::{ConnectionTest, Diagnoser, TestedRight};
pub use drift::Drifts;
pub use effective::{Answer, AnswerAt, Gaps, Holder, Insight, Named, Part, Source, WhatCan, WhoCan, Whom};
pub use error::AccessError;
pub use exchange::Exchange;
pub use federation::{FederatedRequest, Federation};
pub use formats::Formats;
pub use gate::{Gate, LinkView, ManagedLink};
pub use grants::{ChangeRequest, GrantRequest, Grants, GroupGrantRequest};
pub use invitations::{InvitationRequest, Invitations};
pub use kubeconfigs::{IssueRequest, Issued, Kubeconfigs};
pub use links::{AcceptOutcome, Links, ShareRequest};
pub use observe::Observer;
pub use own_clients::OwnClients;
pub use own_groups::{Groups, Recipient};
pub use own_providers::{OwnProviderRequest, OwnProviders};
pub use presets::Presets;
pub use probe::{MORE, Probe};
pub use projects::Projects;
pub use relay::{Relay, RelayError, RelaySettings, Relayed};
pub use requests::{ApproveRequest, AskRequest, Requests};
pub use roles::{Assignable, RoleChange, RoleView};
pub use rotation::{HowItEnds, OwnCredential, Rotation};
pub use seats::Seats;
pub use service_accounts::{ServiceAccounts, TokenFile, TokenRequest};
pub use sign_in::SignIns;
pub use upstream::Upstreams;
pub use workspaces::Workspaces;
