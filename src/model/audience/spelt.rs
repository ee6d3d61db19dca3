//! Groups whose names hold what separates a list: such names are given no more, and those that were are known by their whole spelling.

use super::{Guest, SEPARATORS};
use crate::model::group::Group;

/// Those of these that stand in a list with a name that would be read as two, and what else stands there. Those from `before` come first.
pub(super) fn set_apart(text: &str, before: &[Guest], groups: &[Group]) -> (Vec<Guest>, String) {
    let named = groups.iter().map(|group| Guest::Own(group.id, group.spelt()));
    let all = before.iter().cloned().chain(named).map(|guest| (guest.to_string(), guest));
    let mut double: Vec<(String, Guest)> = all.filter(|(spelt, _)| spelt.contains(SEPARATORS)).collect();
    // Of two of which one begins as the other, the longer one is meant.
    double.sort_by_key(|(spelt, _)| std::cmp::Reverse(spelt.len()));
    let (mut found, mut rest) = (Vec::new(), text.to_owned());
    for (spelt, guest) in double {
        while let Some(at) = entry(&rest, &spelt) {
            rest.replace_range(at..at + spelt.len(), "");
            found.push(guest.clone());
        }
    }
    (found, rest)
}

/// Where it stands as an entry of its own.
fn entry(text: &str, spelt: &str) -> Option<usize> {
    let blank = |c: char| c == ' ' || c == '\t';
    let begins = |at: usize| {
        let before = text[..at].trim_end_matches(blank);
        before.is_empty() || before.ends_with(SEPARATORS)
    };
    let ends = |at: usize| {
        let after = text[at + spelt.len()..].trim_start_matches(blank);
        after.is_empty() || after.starts_with(SEPARATORS)
    };
    text.match_indices(spelt).map(|(at, _)| at).find(|at| begins(*at) && ends(*at))
}
