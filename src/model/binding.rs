//! What is remembered of the bindings that were made, and what it means when the cluster says otherwise.
//!
//! A label is not ownership: whoever may write bindings can write labels. A binding is ours where its UID is one that the API
//! server gave us when we made it. An attempt that dies between making a binding and keeping its UID leaves a *mark* on it that
//! nobody else knew before it stood there.

use super::{grant::GrantState, id::GrantId};

/// One binding as it was last seen to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `None` for a ClusterRoleBinding.
    pub namespace: Option<String>,
    /// The UID that the API server gave it.
    pub uid: String,
    /// A digest of whom it gave what, and of our labels.
    pub looks: String,
}

/// What is remembered of one grant's bindings.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The grant.
    pub grant: GrantId,
    /// How far its cluster has followed.
    pub state: GrantState,
    /// Whether no attempt is due or under way.
    pub settled: bool,
    /// What bindings made from now on are marked with; `None` where the version before made the grant, whose bindings are known
    /// by their labels.
    pub mark: Option<String>,
    /// Its bindings; of a grant that was removed, those that it had.
    pub made: Vec<Made>,
}

impl Memory {
    /// The binding at a place.
    pub fn at(&self, namespace: Option<&str>) -> Option<&Made> {
        self.made.iter().find(|made| made.namespace.as_deref() == namespace)
    }
}

/// What a cluster says of one binding that bears a name of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The grant that its name names.
    pub grant: GrantId,
    /// What stands there, or stood.
    pub found: Made,
    /// Whether it is gone, or no longer bears our label.
    pub gone: bool,
}

/// How a cluster has come to differ from what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// A binding that stood is gone, or has lost our label.
    Gone,
    /// A binding gives something else than it did, or another one bears its name.
    Changed,
    /// A binding that was removed stands again, the very same: the cluster was set back to an earlier time.
    Returned,
    /// Nothing is remembered of a grant that is applied: the version before has brought it there.
    Unknown,
    /// What stood in the way of a binding has gone.
    Freed,
}

/// What follows from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is as remembered, or none of ours.
    Fine,
    /// Somebody is at the grant just now: ask again when they are done.
    Later,
    /// The grant wants looking after.
    Drifted(Drift),
}

impl Memory {
    /// What follows for the grant from one binding that was seen.
    pub fn judge(&self, seen: &Seen) -> Verdict {
        let remembered = self.at(seen.found.namespace.as_deref());
        match self.state {
            GrantState::Conflict if seen.gone => Verdict::Drifted(Drift::Freed),
            _ if !self.settled => Verdict::Later,
            GrantState::Applied if self.made.is_empty() => Verdict::Drifted(Drift::Unknown),
            GrantState::Applied => match remembered {
                Some(made) if made.uid != seen.found.uid => drifted(!seen.gone, Drift::Changed),
                Some(_) if seen.gone => Verdict::Drifted(Drift::Gone),
                Some(made) => drifted(made.looks != seen.found.looks, Drift::Changed),
                // Somebody has copied our labels to a place that the grant does not reach.
                None => Verdict::Fine,
            },
            GrantState::Removed => {
                let same = remembered.is_some_and(|made| made.uid == seen.found.uid);
                drifted(same && !seen.gone, Drift::Returned)
            }
            GrantState::Pending | GrantState::Conflict | GrantState::Failed | GrantState::Removing => Verdict::Fine,
        }
    }

    /// The same from a whole list of what stands: what is remembered and not in it is gone. `stands` says whether a UID is in it.
    pub fn judge_absence(&self, stands: impl Fn(&str) -> bool) -> Verdict {
        match self.state {
            GrantState::Applied if !self.settled => Verdict::Fine,
            GrantState::Applied if self.made.is_empty() => Verdict::Drifted(Drift::Unknown),
            GrantState::Applied => drifted(self.made.iter().any(|made| !stands(&made.uid)), Drift::Gone),
            _ => Verdict::Fine,
        }
    }
}

fn drifted(is: bool, drift: Drift) -> Verdict {
    if is { Verdict::Drifted(drift) } else { Verdict::Fine }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(namespace: Option<&str>, uid: &str, looks: &str) -> Made {
        Made { namespace: namespace.map(Into::into), uid: uid.into(), looks: looks.into() }
    }

    fn memory(state: GrantState, settled: bool, made: Vec<Made>) -> Memory {
        Memory { grant: GrantId::new(), state, settled, mark: Some("m".into()), made }
    }

    fn seen(memory: &Memory, found: Made, gone: bool) -> Seen {
        Seen { grant: memory.grant, found, gone }
    }

    #[test]
    fn what_stands_as_remembered_is_fine_and_every_difference_is_told() {
        let applied = memory(GrantState::Applied, true, vec![made(Some("a"), "u", "x"), made(Some("b"), "v", "x")]);
        let judge = |found, gone| applied.judge(&seen(&applied, found, gone));
        assert_eq!(judge(made(Some("a"), "u", "x"), false), Verdict::Fine);
        assert_eq!(judge(made(Some("a"), "u", "y"), false), Verdict::Drifted(Drift::Changed));
        assert_eq!(judge(made(Some("a"), "u", "x"), true), Verdict::Drifted(Drift::Gone));
        assert_eq!(judge(made(Some("a"), "other", "x"), false), Verdict::Drifted(Drift::Changed), "the name is taken");
        assert_eq!(judge(made(Some("a"), "other", "x"), true), Verdict::Fine, "that one was not ours");
        let all = |uids: &'static [&str]| applied.judge_absence(|uid| uids.contains(&uid));
        assert_eq!((all(&["u", "v"]), all(&["u"])), (Verdict::Fine, Verdict::Drifted(Drift::Gone)));
    }

    #[test]
    fn immune_28_a_copy_of_ours_elsewhere_is_never_taken_for_ours() {
        for state in [GrantState::Applied, GrantState::Removed] {
            let there = memory(state, true, vec![made(Some("a"), "u", "x")]);
            for (place, gone) in [(Some("b"), false), (Some("b"), true), (None, false)] {
                assert_eq!(there.judge(&seen(&there, made(place, "forged", "x"), gone)), Verdict::Fine);
            }
        }
    }

    #[test]
    fn immune_20_what_was_removed_and_stands_again_is_removed_again_and_no_copy_of_it() {
        let removed = memory(GrantState::Removed, true, vec![made(None, "u", "x")]);
        let judge = |uid, gone| removed.judge(&seen(&removed, made(None, uid, "x"), gone));
        assert_eq!(judge("u", false), Verdict::Drifted(Drift::Returned));
        assert_eq!((judge("u", true), judge("copy", false)), (Verdict::Fine, Verdict::Fine));
        assert_eq!(removed.judge_absence(|_| false), Verdict::Fine);
    }

    #[test]
    fn a_grant_that_somebody_is_at_is_left_to_them() {
        for state in [GrantState::Pending, GrantState::Removing, GrantState::Failed, GrantState::Applied] {
            let busy = memory(state, false, Vec::new());
            assert_eq!(busy.judge(&seen(&busy, made(None, "u", "x"), false)), Verdict::Later);
            assert_eq!(busy.judge_absence(|_| false), Verdict::Fine);
        }
        let conflict = memory(GrantState::Conflict, false, Vec::new());
        assert_eq!(conflict.judge(&seen(&conflict, made(None, "u", "x"), true)), Verdict::Drifted(Drift::Freed));
        let old = memory(GrantState::Applied, true, Vec::new());
        assert_eq!(old.judge(&seen(&old, made(None, "u", "x"), false)), Verdict::Drifted(Drift::Unknown));
        assert_eq!(old.judge_absence(|_| true), Verdict::Drifted(Drift::Unknown));
    }
}
