//! A long list on a page: found by a word, and shown page by page.
//!
//! Such a list is read as a whole, of each entry as little as it is sorted and found by; only what stands on the page is looked up
//! further. So a page can say how many there are.

use crate::web::{labels::counted, paths};

/// How many entries a page shows where each is a line or two.
pub(super) const A_PAGE: usize = 40;
/// So many are looked through by eye.
const FEW: usize = 10;
/// How many characters are looked for: as many as the form lets type.
const LONGEST: usize = 256;

/// What is asked for, from the address.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    /// A text to find.
    pub(super) q: String,
    /// Which page, from 1; anything else is the first.
    pub(super) page: String,
}

impl Asked {
    fn address(&self, here: &str, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        paths::with_query(here, &[("q", &self.q), ("page", &page)])
    }

    /// Whether one of these texts holds what is to be found, whatever its case.
    pub(super) fn fits<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let wanted = self.q.trim().to_lowercase();
        wanted.is_empty() || texts.into_iter().any(|text| text.to_lowercase().contains(&wanted))
    }
}

/// What is around a page's entries.
#[derive(Default)]
pub(super) struct Listing {
    /// What was looked for.
    pub(super) asked: Asked,
    /// Where the list is.
    pub(super) here: String,
    /// Whether one may look for something.
    pub(super) search: bool,
    /// “41–80 of 312 clusters”, where that is not all.
    pub(super) part: Option<String>,
    pub(super) first: Option<String>,
    pub(super) next: Option<String>,
    /// Whether there is any entry, also one that was not looked for.
    pub(super) some: bool,
}

/// What stands on the page, of all entries in their order, and what is around it: what one of them is called, and how many a page shows.
pub(super) fn cut<T>(
    mut all: Vec<T>,
    fits: impl Fn(&Asked, &T) -> bool,
    (noun, a_page): (&str, usize),
    mut asked: Asked,
    here: String,
) -> (Vec<T>, Listing) {
    if let Some((end, _)) = asked.q.char_indices().nth(LONGEST) {
        asked.q.truncate(end);
    }
    let count = all.len();
    all.retain(|entry| fits(&asked, entry));
    let (found, pages) = (all.len(), all.len().div_ceil(a_page).max(1));
    let page = asked.page.parse().unwrap_or(1).clamp(1, pages);
    let before = (page - 1) * a_page;
    let shown: Vec<T> = all.into_iter().skip(before).take(a_page).collect();
    let listing = Listing {
        search: count > FEW || !asked.q.is_empty(),
        part: (shown.len() < count && !shown.is_empty()).then(|| part(before, shown.len(), found, count, noun)),
        first: (page > 1).then(|| asked.address(&here, 1)),
        next: (page < pages).then(|| asked.address(&here, page + 1)),
        some: count > 0,
        asked,
        here,
    };
    (shown, listing)
}

/// “41–80 of 312 clusters”, “41–80 of 90 that fit, of 312 clusters”, “3 of 312 clusters”.
fn part(before: usize, shown: usize, found: usize, all: usize, noun: &str) -> String {
    let all_of_them = counted(u64::try_from(all).unwrap_or(u64::MAX), noun);
    if shown == found {
        return format!("{found} of {all_of_them}");
    }
    let range = format!("{}–{}", before + 1, before + shown);
    if found == all {
        format!("{range} of {all_of_them}")
    } else {
        format!("{range} of {found} that fit, of {all_of_them}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of numbers, `0` to `count`.
    fn page(count: u32, q: &str, page: &str) -> (Vec<String>, Listing) {
        let asked = Asked { q: q.into(), page: page.into() };
        let fits = |asked: &Asked, entry: &String| asked.fits([entry.as_str(), "Number"]);
        cut((0..count).map(|n| format!("{n:03}")).collect(), fits, ("cluster", A_PAGE), asked, "/here".into())
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended() {
        let pages = ["", "2", "3"].map(|number| page(90, "", number));
        let all: Vec<String> = pages.iter().flat_map(|(entries, _)| entries.clone()).collect();
        assert_eq!(all, page(90, "", "").0.into_iter().chain((40..90).map(|n| format!("{n:03}"))).collect::<Vec<_>>());
        let around = |n: usize| {
            let Listing { part, first, next, .. } = &pages[n].1;
            [part, first, next].map(|text| text.as_deref().unwrap_or_default())
        };
        assert_eq!(around(0), ["1–40 of 90 clusters", "", "/here?page=2"]);
        assert_eq!(around(1), ["41–80 of 90 clusters", "/here", "/here?page=3"]);
        assert_eq!(around(2), ["81–90 of 90 clusters", "/here", ""]);
    }

    #[test]
    fn an_address_that_was_typed_or_has_aged_shows_a_page_that_is_there() {
        for (number, first) in
            [("9", "080"), ("99999999999999999999", "000"), ("0", "000"), ("-1", "000"), ("x", "000")]
        {
            assert_eq!(page(90, "", number).0[0], first, "{number}");
        }
        assert_eq!(page(0, "", "2").0, [""; 0]);
    }

    #[test]
    fn what_is_looked_for_is_kept_and_counted() {
        let (found, listing) = page(200, " 07 ", "");
        assert_eq!(found.len(), 12, "070 to 079, 007 and 107");
        assert_eq!(listing.part.as_deref(), Some("12 of 200 clusters"));
        let (_, listing) = page(200, "NUMBER", "2");
        assert_eq!(listing.part.as_deref(), Some("41–80 of 200 clusters"), "all of them fit");
        let (_, listing) = page(200, "1", "2");
        assert_eq!(listing.part.as_deref(), Some("41–80 of 119 that fit, of 200 clusters"));
        assert_eq!(listing.next.as_deref(), Some("/here?q=1&page=3"));
        let (none, listing) = page(200, "nowhere", "");
        assert!(none.is_empty() && listing.some && listing.search && listing.part.is_none());
        assert_eq!(page(200, &"ü".repeat(9_999), "").1.asked.q.chars().count(), LONGEST, "a page stays small");
        let (_, few) = page(3, "", "");
        assert!(!few.search && few.part.is_none() && few.next.is_none(), "three are seen at once");
    }
}
