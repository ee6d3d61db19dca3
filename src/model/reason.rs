//! Why access was given, in its maker's words: a line that stands beside it on pages and in the trail.

use super::name::BadName;

/// The longest reason, in characters.
const LONGEST: usize = 200;

/// Why access was given: one line of plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Reads what was typed; nothing at all is no reason.
    ///
    /// # Errors
    /// What is too long or no plain text.
    pub fn read(s: &str) -> Result<Option<Self>, BadName> {
        let s = s.trim();
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if s.is_empty() {
            return Ok(None);
        }
        if s.chars().count() > LONGEST {
            return Err(BadName(format!("A reason has at most {LONGEST} characters.")));
        }
        if s.chars().any(|c| c.is_control() || turns(c)) {
            return Err(BadName("A reason is plain text of one line.".into()));
        }
        Ok(Some(Self(s.to_owned())))
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_17_a_reason_is_one_line_of_plain_text() {
        assert_eq!(Reason::read("  "), Ok(None));
        assert_eq!(Reason::read(" on call ").unwrap().unwrap().as_str(), "on call");
        for bad in ["a\nb", "a\u{2066}b", &"x".repeat(201)] {
            assert!(Reason::read(bad).is_err());
        }
    }
}
