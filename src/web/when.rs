//! Times on pages: relative words that people read, with the exact time behind them.

use std::fmt;

use super::labels;
use crate::model::time::Timestamp;

/// A time as a page shows it: `<time datetime="…" title="…">in 3 days</time>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// “in 3 days”, “5 minutes ago”.
    pub relative: String,
    /// RFC 3339.
    pub exact: String,
    /// The day alone, for sentences: “23 Nov 2026”.
    pub day: String,
    spoken: String,
}

impl When {
    /// As seen from `now`.
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        let relative = match (at > now, span(at.since(now).max(now.since(at)).as_secs())) {
            (true, Some(span)) => format!("in {span}"),
            (true, None) => "in a moment".to_owned(),
            (false, Some(span)) => format!("{span} ago"),
            (false, None) => "just now".to_owned(),
        };
        Self { relative, exact: at.to_string(), day: labels::date(at), spoken: labels::exact(at) }
    }
}

/// Rounded to the nearest, in the greatest unit of which there are enough that rounding hides little.
fn span(secs: u64) -> Option<String> {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    // From how much on each unit is used; a year is lent as 365 days.
    const UNITS: [(u64, u64, &str); 5] = [
        (700 * DAY, 365 * DAY, "year"),
        (121 * DAY, 30 * DAY, "month"),
        (36 * HOUR, DAY, "day"),
        (90 * MINUTE, HOUR, "hour"),
        (45, MINUTE, "minute"),
    ];
    let (_, unit, name) = UNITS.into_iter().find(|(from, _, _)| secs >= *from)?;
    let count = (secs + unit / 2) / unit;
    Some(if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") })
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<time datetime="{0}" title="{1}">{2}</time>"#, self.exact, self.spoken, self.relative)
    }
}

/// Both texts are made here, of digits and our own words.
impl askama::filters::HtmlSafe for When {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_said_in_words_that_round_little() {
        let now = Timestamp::from_secs(1_795_392_000);
        let ahead = |secs| When::new(now.plus(Duration::from_secs(secs)), now).relative;
        let ago = |secs| When::new(now.minus(Duration::from_secs(secs)), now).relative;
        for (secs, words) in [
            (5, "in a moment"),
            (60, "in 1 minute"),
            (86_399, "in 24 hours"),
            (7 * 86_400 - 30, "in 7 days"),
            (90 * 86_400 - 30, "in 90 days"),
            (365 * 86_400, "in 12 months"),
            (1000 * 86_400, "in 3 years"),
        ] {
            assert_eq!(ahead(secs), words);
        }
        for (secs, words) in [(0, "just now"), (300, "5 minutes ago"), (5_400, "2 hours ago"), (200_000, "2 days ago")]
        {
            assert_eq!(ago(secs), words);
        }
    }

    #[test]
    fn the_exact_time_stands_behind_the_words() {
        let at = Timestamp::from_secs(1_795_392_000);
        let when = When::new(at, at.minus(Duration::from_hours(72)));
        assert_eq!(
            when.to_string(),
            r#"<time datetime="2026-11-23T00:00:00Z" title="23 Nov 2026, 00:00 UTC">in 3 days</time>"#
        );
        assert_eq!(when.day, "23 Nov 2026");
    }
}
