//! What is known of keys that are being deleted, at every moment: it outlives a deletion that fails, or that is broken off.

use super::{Candidate, UnlinkOutcome};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of a key that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has no outcome. So many commands that delete it were sent, and it is not known whether they were run; at 0 none was run.
    Open(u32),
    /// What became of it.
    Told(UnlinkOutcome),
}

/// The fates of keys that are deleted together, each by its place among them.
#[derive(Debug)]
pub struct Fates(Mutex<Vec<Fate>>);

impl Fates {
    /// Those of so many keys to which nothing was done yet.
    pub fn of(keys: usize) -> Self {
        Self(Mutex::new(vec![Fate::Open(0); keys]))
    }

    /// What is known of each.
    pub fn known(self) -> Vec<Fate> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command is about to be sent that deletes the key.
    pub(super) fn sent(&self, one: &One<'_>) {
        self.change(one, |sent| Fate::Open(sent + 1));
    }

    /// The last command that was sent for it was not run, as the server says.
    pub(super) fn refused(&self, one: &One<'_>) {
        self.change(one, |sent| Fate::Open(sent.saturating_sub(1)));
    }

    /// The answer to the last command that was sent for it says what became of it.
    pub(super) fn answered(&self, one: &One<'_>, outcome: UnlinkOutcome) {
        self.change(one, |sent| told(outcome, sent > 1));
    }

    /// What became of it shows in how it stands: none of the commands that were sent is known to be behind that.
    pub(super) fn found(&self, one: &One<'_>, outcome: UnlinkOutcome) {
        self.change(one, |sent| told(outcome, sent > 0));
    }

    /// Of how many keys they are.
    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether it has no outcome yet.
    pub(super) fn is_open(&self, one: &One<'_>) -> bool {
        matches!(self.all().get(one.place), Some(Fate::Open(_)))
    }

    /// Whether the answer to a deletion is missing.
    pub(super) fn is_lost(&self, one: &One<'_>) -> bool {
        matches!(self.all().get(one.place), Some(Fate::Open(1..)))
    }

    /// Whether each has an outcome.
    pub(super) fn are_told(&self) -> bool {
        self.all().iter().all(|fate| matches!(fate, Fate::Told(_)))
    }

    /// An outcome that is told remains.
    fn change(&self, one: &One<'_>, change: impl FnOnce(u32) -> Fate) {
        if let Some(fate) = self.all().get_mut(one.place)
            && let Fate::Open(sent) = *fate
        {
            *fate = change(sent);
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Fate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `lost`: the answer to an earlier deletion is missing.
fn told(outcome: UnlinkOutcome, lost: bool) -> Fate {
    Fate::Told(if lost { outcome.after_a_lost_answer() } else { outcome })
}

/// A key that is to be deleted, and its place among those that are deleted together.
#[derive(Clone, Copy)]
pub(super) struct One<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) place: usize,
}

#[cfg(test)]
mod tests {
    use super::{Fate, Fates, One};
    use crate::model::{RedisKey, RedisType};
    use crate::source::redis::{Candidate, Content, UnlinkOutcome};
    use bytes::Bytes;

    #[test]
    fn what_was_sent_counts_until_it_is_refused_and_an_answer_says_only_what_the_last_one_did() {
        let content = Content::Exact(Bytes::new());
        let candidate = Candidate { key: RedisKey::new("k"), redis_type: RedisType::String, expires_at: None, content };
        let fates = Fates::of(7);
        let of = |place| One { candidate: &candidate, place };
        [1, 2, 2, 3, 4, 4, 6].into_iter().for_each(|place| fates.sent(&of(place)));
        fates.refused(&of(2));
        fates.refused(&of(3));
        assert!(fates.is_lost(&of(2)) && !fates.is_lost(&of(3)) && fates.is_open(&of(3)));
        fates.answered(&of(4), UnlinkOutcome::Gone);
        fates.found(&of(5), UnlinkOutcome::Changed);
        fates.found(&of(6), UnlinkOutcome::Changed);
        // Told once and for all.
        fates.sent(&of(5));
        fates.found(&of(5), UnlinkOutcome::Gone);
        let known = fates.known();
        let told = Fate::Told;
        let expected = [
            Fate::Open(0),
            Fate::Open(1),
            Fate::Open(1),
            Fate::Open(0),
            told(UnlinkOutcome::Unconfirmed),
            told(UnlinkOutcome::Changed),
            told(UnlinkOutcome::PerhapsAnew),
        ];
        assert_eq!(known, expected);
    }
}
