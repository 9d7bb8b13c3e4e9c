//! Elements of a list or an array that are equal, and so one row: how many there were is nowhere but in the key.

use std::collections::HashSet;

/// Elements of a key in parts that are told apart at most, at 8 bytes and what a set of them takes beside that.
const MOST: usize = 1_000_000;

/// What is known of the elements of one reading.
#[derive(Clone, Debug, Default)]
pub(super) struct EqualElements {
    /// Hashes of those that were met so far.
    met: HashSet<u64>,
    found: bool,
    /// Whether there are more than are told apart.
    beyond: bool,
}

impl EqualElements {
    /// Takes in the hashes of further elements; `last`: none follow. Gives whether the first equal ones are among them.
    pub(super) fn note(&mut self, hashes: impl Iterator<Item = u64>, last: bool) -> bool {
        if self.found || self.beyond {
            return false;
        }
        for hash in hashes {
            self.found |= !self.met.insert(hash);
            self.beyond |= self.met.len() > MOST && !last;
            if self.found || self.beyond {
                break;
            }
        }
        if self.found || self.beyond || last {
            self.met = HashSet::new();
        }
        self.found
    }

    /// Whether there are such, as far as that can be told.
    pub(super) fn may_be(&self) -> bool {
        self.found || self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::{EqualElements, MOST};

    #[test]
    fn equal_elements_are_found_once_wherever_they_are() {
        let mut elements = EqualElements::default();
        assert!(!elements.note([1, 2, 3].into_iter(), false) && !elements.may_be());
        assert!(elements.note([4, 2, 2].into_iter(), false) && elements.may_be());
        assert!(!elements.note([4].into_iter(), false), "once");
        let mut whole = EqualElements::default();
        assert!(!whole.note([1].into_iter(), true) && !whole.may_be());
    }

    #[test]
    fn of_more_than_are_told_apart_nothing_is_sure() {
        let mut elements = EqualElements::default();
        let most = MOST as u64;
        assert!(!elements.note(0..most, false) && !elements.may_be());
        assert!(!elements.note(most..=most + 1, false) && elements.may_be());
    }
}
