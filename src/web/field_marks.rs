//! How a field shows its errors: what templates ask of [`FieldErrors`].

use std::fmt;

use askama::filters::HtmlSafe;

use super::forms::FieldErrors;

/// The attributes of a field that is wrong: that it is, and which element says why. Nothing for one that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks(Option<String>);

impl Marks {
    /// For a wrong field that is explained in the element `ID-error`. Ids are ours: letters, digits, `-` and `_`.
    pub fn explained_by(id: &str) -> Self {
        Self(Some(id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()))
    }

    /// For one that is right.
    pub fn none() -> Self {
        Self(None)
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => write!(f, r#" aria-invalid="true" aria-describedby="{id}-error""#),
            None => Ok(()),
        }
    }
}
/// Attributes of ours around an id without markup.
impl HtmlSafe for Marks {}

impl FieldErrors {
    /// Whether a field is wrong.
    pub fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// All that is wrong with a field.
    pub fn of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(name, _)| *name == field).map(|(_, message)| message.as_str())
    }

    /// All there is.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, message)| message.as_str())
    }

    /// The attributes of a field.
    pub fn marks(&self, field: &str) -> Marks {
        if self.has(field) { Marks::explained_by(field) } else { Marks::none() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_17_an_id_leaves_no_attribute() {
        assert_eq!(Marks::explained_by("a\"><b").to_string(), r#" aria-invalid="true" aria-describedby="ab-error""#);
        assert_eq!(FieldErrors::default().marks("name").to_string(), "");
    }
}
