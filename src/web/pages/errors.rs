//! Addresses that lead nowhere.

use crate::web::{errors::PageError, session::MaybeSignedIn};

/// Says so, in the frame of whoever asks.
pub async fn not_found(_: MaybeSignedIn) -> PageError {
    PageError::not_found()
}
