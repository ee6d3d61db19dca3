//! Sessions of the browser, as their person sees them.

use super::time::Timestamp;

/// One place where somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Names it without opening it: a hash of its id, in hexadecimal.
    pub name: String,
    /// “Firefox on Linux”.
    pub browser: String,
    /// From which address it was last used.
    pub from: String,
    /// When the person signed in.
    pub made_at: Timestamp,
    /// When it was last used, roughly.
    pub seen_at: Timestamp,
    /// When it ends unless it is used again.
    pub expires_at: Timestamp,
}
