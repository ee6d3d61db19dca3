//! Kubeconfigs, as text: parsing an uploaded one strictly, and building the ones that are handed out. Pure: no I/O, nothing
//! is fetched or run.

mod build;
mod commands;
mod connect;
mod fields;
mod parse;
mod powers;
mod roles;
mod rotation;
mod shell;
mod values;

pub use build::{Credential, Entry, Kubelogin, Tokens, to_yaml, to_yaml_without_tokens};
pub use commands::safe_commands;
pub use connect::{connect_script, least_power_manifest, least_power_objects};
pub use parse::{MAX_BYTES, ParseError, Parsed, parse};
pub use powers::{OWN_ACCOUNT, power_manifest};
pub use roles::role_manifest;
pub use rotation::rotation_manifest;
pub use values::certificate_end;
