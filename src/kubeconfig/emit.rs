//! Writing YAML: one emitter with one set of options, so that every value is quoted where any reader needs it.
//!
//! client-go and the Python client read YAML 1.1, where a plain `on`, `012` or `1_000` is no text; the emitter quotes by
//! those rules too.

use serde::Serialize;
use serde_saphyr::{SerializerOptions, to_string_with_options};

/// A value as a YAML document.
pub(super) fn yaml(value: &impl Serialize) -> String {
    let mut options = SerializerOptions::default();
    // A folded or literal block would be read back the same, but is no longer one line to look at.
    options.prefer_block_scalars = false;
    to_string_with_options(value, options)
        .unwrap_or_else(|_| unreachable!("plain structs of texts always have a YAML form"))
}
