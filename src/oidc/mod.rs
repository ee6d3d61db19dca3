//! The only place that talks to OpenID Connect providers: discovery and keys, the authorization code flow with PKCE, state,
//! nonce and `iss`, verification of ID tokens, and refreshing. What leaves this room is verified.
//!
//! A provider that is down at start is down on a page, not a reason to stop; discovery is tried again in the background and
//! whenever somebody wants to sign in. An unknown key id makes the keys be fetched again, at most every few seconds.

mod discovery;
mod error;
mod exchange;
mod fresh;
mod login;
mod provider;
mod refresh;
mod verify;

pub use error::{OidcError, RefreshError};
pub use login::{Attempt, Callback, Purpose, SignedIn};
pub use provider::{Provider, ProviderHealth, ProviderSettings, Providers};
pub use refresh::{Refreshed, Renewal, Unverified};
pub use verify::MAX_GROUPS;
