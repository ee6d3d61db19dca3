//! What was seen on a cluster and has to be looked at: a little later, so that what comes together is looked at together, and again
//! where somebody is at the grant just now. Bounded, and whatever does not fit is found by the next list.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::model::{binding::Seen, id::GrantId};

/// What comes within this is looked at together.
const TOGETHER: Duration = Duration::from_millis(200);
/// Between two looks at what somebody is at.
const AGAIN: Duration = Duration::from_secs(2);
/// So often; then the next list must do.
const TRIES: u32 = 30;
/// How many are kept.
const MOST: usize = 5_000;
/// Somebody who undoes each repair at once is answered so often without a pause.
const AT_ONCE: u32 = 5;
/// And then with this one, below the half minute within which everything is put back.
const PAUSE: Duration = Duration::from_secs(20);
/// A grant that was left in peace for so long begins anew.
const PEACE: Duration = Duration::from_mins(2);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) seen: Seen,
    at: Instant,
    tries: u32,
}

/// Them, the last one of each place. The time is a parameter.
#[derive(Debug, Default)]
pub(super) struct Notes {
    of: HashMap<(GrantId, Option<String>), Note>,
    acted: HashMap<GrantId, (Instant, u32)>,
}

impl Notes {
    /// Takes what was seen just now, in place of what was seen there before.
    pub(super) fn take(&mut self, seen: Seen, now: Instant) {
        let key = (seen.grant, seen.found.namespace.clone());
        self.of.insert(key, Note { seen, at: now + TOGETHER, tries: 0 });
    }

    /// Keeps one for another look, unless something newer was seen there.
    pub(super) fn again(&mut self, note: Note, now: Instant) {
        if note.tries < TRIES {
            self.at(Note { tries: note.tries + 1, ..note }, now + AGAIN);
        }
    }

    /// The same at a time.
    pub(super) fn at(&mut self, note: Note, at: Instant) {
        let key = (note.seen.grant, note.seen.found.namespace.clone());
        self.of.entry(key).or_insert(Note { at, ..note });
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.of.values().map(|note| note.at).min()
    }

    /// Those that are.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Note> {
        self.of.extract_if(|_, note| note.at <= now).map(|(_, note)| note).collect()
    }

    /// Whether too many are kept.
    pub(super) fn overflow(&self) -> bool {
        self.of.len() > MOST
    }

    /// `None` where a grant may be made due now, which counts, else when: two that undo each other's work must not do so without end.
    pub(super) fn may_act(&mut self, grant: GrantId, now: Instant) -> Option<Instant> {
        self.acted.retain(|_, (last, _)| now - *last < PEACE);
        let (last, times) = self.acted.entry(grant).or_insert((now, 0));
        let free = *last + PAUSE;
        if *times >= AT_ONCE && now < free {
            return Some(free);
        }
        (*last, *times) = (now, *times + 1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::binding::Made;

    fn seen(grant: GrantId, uid: &str) -> Seen {
        Seen { grant, found: Made { namespace: None, uid: uid.into(), looks: "x".into() }, gone: false }
    }

    fn only(mut due: Vec<Note>) -> Note {
        assert_eq!(due.len(), 1, "{due:?}");
        due.remove(0)
    }

    #[test]
    fn the_last_word_counts_and_what_somebody_is_at_is_looked_at_again_and_not_for_ever() {
        let (mut notes, grant, mut now) = (Notes::default(), GrantId::new(), Instant::now());
        notes.take(seen(grant, "a"), now);
        notes.take(seen(grant, "b"), now);
        assert!(notes.take_due(now).is_empty());
        now += TOGETHER;
        let mut note = only(notes.take_due(now));
        assert_eq!(note.seen.found.uid, "b");
        for _ in 0..TRIES {
            notes.again(note, now);
            now += AGAIN;
            note = only(notes.take_due(now));
        }
        notes.again(note.clone(), now);
        assert_eq!(notes.due(), None);
        notes.take(seen(grant, "c"), now);
        notes.at(note, now);
        assert_eq!(only(notes.take_due(now + TOGETHER)).seen.found.uid, "c", "what is newer stays");
    }

    #[test]
    fn whoever_undoes_each_repair_is_answered_more_slowly_after_a_while() {
        let (mut notes, grant, now) = (Notes::default(), GrantId::new(), Instant::now());
        for _ in 0..AT_ONCE {
            assert_eq!(notes.may_act(grant, now), None);
        }
        assert_eq!(notes.may_act(grant, now), Some(now + PAUSE));
        assert_eq!(notes.may_act(GrantId::new(), now), None, "others do not wait");
        assert_eq!(notes.may_act(grant, now + PAUSE), None);
        let later = now + PAUSE + PEACE;
        assert_eq!((notes.may_act(grant, later), notes.may_act(grant, later)), (None, None));
    }
}
