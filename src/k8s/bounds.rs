//! How much of an API server's answer is kept. The transport bounds an answer as a whole, by what the largest list of a large
//! cluster needs; one name in it could still be as long as all of it, and go from here into the database and onto pages.
//!
//! What decides something (who we are, which object is meant) is refused when it is longer than Kubernetes has it. What is only
//! shown is cut, with a mark that says so, and what is left out of a list is counted.

use super::K8sError;

/// Longest user or group name, in bytes. Kubernetes sets no bound; certificates and tokens do.
pub(super) const USER: usize = 1024;
/// Longest name of an object.
pub(super) const NAME: usize = 253;
/// Longest name of a namespace, and longest value of a label.
pub(super) const LABEL: usize = 63;
/// Longest UID: they are UUIDs.
pub(super) const UID: usize = 128;
/// Most groups of a user, and most rules of a role.
pub(super) const MANY: usize = 200;
/// Most subjects of a binding.
pub(super) const SUBJECTS: usize = 1_000;
/// Most labels of an object.
pub(super) const LABELS: usize = 100;

/// Text that is only shown: cut behind `most` bytes, and then it ends with “…”.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.shrink_to_fit();
        text.push('…');
    }
    text
}

/// Text that decides something: refused where it is longer than it can be.
pub(super) fn whole(text: String, most: usize, what: &str) -> Result<String, K8sError> {
    if text.len() > most {
        return Err(K8sError::Nonsense(format!("it answers with {what} of more than {most} bytes")));
    }
    Ok(text)
}

/// The first of a list, and how many were left out.
pub(super) fn first<T>(all: impl IntoIterator<Item = T>, most: usize) -> (Vec<T>, usize) {
    let mut all = all.into_iter();
    let kept = all.by_ref().take(most).collect();
    (kept, all.count())
}

/// A list of `total` texts that is only shown: each is cut, and the last one says how many were left out.
pub(super) fn list(all: impl IntoIterator<Item = String>, total: usize, most: usize) -> Vec<String> {
    let mut kept: Vec<String> = all.into_iter().take(most).map(|text| cut(text, NAME)).collect();
    if total > kept.len() {
        kept.push(format!("… and {} more", total - kept.len()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_23_what_is_cut_says_so_and_stays_text() {
        assert_eq!(cut("abc".into(), 3), "abc");
        assert_eq!(cut("abcd".into(), 3), "abc…");
        assert_eq!(cut("aää".into(), 2), "a…", "never inside a character");
        let long = cut("x".repeat(1 << 20), NAME);
        assert!(long.len() <= NAME + 3 && long.capacity() < 4 * NAME);
        assert_eq!(list((0..5).map(|n| n.to_string()), 5, 2), ["0", "1", "… and 3 more"]);
        assert_eq!(list(["a".to_owned()], 1, 2), ["a"]);
        assert_eq!(first(0..7, 7), ((0..7).collect(), 0));
    }

    #[test]
    fn immune_23_what_decides_something_is_refused_rather_than_cut() {
        assert_eq!(whole("abc".into(), 3, "a name").as_deref(), Ok("abc"));
        let refused = whole("abcd".into(), 3, "a name").unwrap_err();
        assert_eq!(refused, K8sError::Nonsense("it answers with a name of more than 3 bytes".into()));
    }
}
