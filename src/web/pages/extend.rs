//! Moving an end away: the form, which the page of a grant has and that of one that reaches further.
//!
//! It carries the end that was seen. Sent twice it moves the end once; sent after somebody else has moved it, it moves nothing.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    model::time::Timestamp,
    web::{
        errors::{NextStep, PageError},
        forms::{Choice, parse_span, span_choices},
    },
};

/// The form, as it is typed.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct ExtendForm {
    /// The end that was seen.
    from: Timestamp,
    /// By how much.
    by: String,
}

impl ExtendForm {
    /// From when, and by how much.
    pub(super) fn read(&self) -> Result<(Timestamp, Duration), PageError> {
        let by = parse_span(&self.by, false).flatten();
        let by = by.ok_or_else(|| {
            PageError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "That cannot be used",
                "Choose by how much it is extended.",
            )
        })?;
        Ok((self.from, by))
    }
}

/// The form, as it is drawn.
#[derive(Clone, Debug)]
pub struct Extend {
    /// Where it is sent.
    pub action: String,
    /// The end that is seen, in milliseconds.
    pub from: i64,
    /// By how much.
    pub choices: Vec<Choice>,
}

impl Extend {
    /// For something that ends then.
    pub(super) fn new(action: String, end: Timestamp) -> Self {
        Self { action, from: end.millis(), choices: span_choices("30d", false) }
    }
}

/// What is said of access that has ended, or was changed, while somebody looked at it.
pub(super) fn over(list: String) -> PageError {
    PageError::new(
        StatusCode::CONFLICT,
        "This access has ended, or was changed meanwhile",
        "Nothing was done. It ran out, was taken back, or something else took its place while you looked at it. The list says what \
         stands now; there it can be given anew.",
    )
    .with_next(NextStep::new("See who has access", list))
}
