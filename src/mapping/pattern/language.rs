//! Sets of texts, and a text that is looked for: both read byte by byte.

use regex_automata::Anchored;
use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use std::sync::Arc;

/// A set of texts, read byte by byte.
#[derive(Clone, Debug)]
pub(super) enum Language {
    /// Every text.
    Any,
    /// Those of a regular expression.
    Table(Arc<dense::DFA<Vec<u32>>>),
    /// Those of a regular expression that is too large to say: taken for every text.
    Unknown,
}

impl Language {
    /// The state before the first byte.
    pub(super) fn start(&self) -> u32 {
        let Self::Table(table) = self else { return 0 };
        let start = table.start_state(&start::Config::new().anchored(Anchored::Yes));
        start.map_or(0, |state| state.as_u32())
    }

    /// The state after one more byte; `None` where no text goes on so.
    pub(super) fn next(&self, state: u32, byte: u8) -> Option<u32> {
        let Self::Table(table) = self else { return Some(0) };
        let next = table.next_state(id(state), byte);
        (!table.is_dead_state(next)).then(|| next.as_u32())
    }

    /// Whether the text may end here.
    pub(super) fn accepts(&self, state: u32) -> bool {
        let Self::Table(table) = self else { return true };
        table.is_match_state(table.next_eoi_state(id(state)))
    }
}

fn id(state: u32) -> StateID {
    StateID::new(state as usize).unwrap_or_default()
}

/// A text that is looked for, byte by byte: how much of it the bytes so far end with.
#[derive(Clone, Debug)]
pub(super) struct Delimiter {
    pub(super) text: Vec<u8>,
    /// By how much was read: how much of it is left where the next byte does not fit.
    fallback: Vec<usize>,
}

impl Delimiter {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut delimiter = Self { text: text.to_vec(), fallback: vec![0, 0] };
        for (read, byte) in text.iter().enumerate().skip(1) {
            let left = delimiter.fallback.get(read).copied().unwrap_or_default();
            delimiter.fallback.push(delimiter.next(left, *byte));
        }
        delimiter
    }

    /// How much of it was read after one more byte. Not to be asked once it is whole.
    pub(super) fn next(&self, mut read: usize, byte: u8) -> usize {
        loop {
            if self.text.get(read) == Some(&byte) {
                return read + 1;
            }
            if read == 0 {
                return 0;
            }
            read = self.fallback.get(read).copied().unwrap_or_default();
        }
    }

    /// Whether all of it was read.
    pub(super) fn is_whole(&self, read: usize) -> bool {
        read == self.text.len()
    }

    /// Whether it is found before its own end, where it follows a text that ends with so much of it.
    pub(super) fn comes_early(&self, mut read: usize) -> bool {
        let (_, before_last) = self.text.split_last().unwrap_or((&0, &[]));
        before_last.iter().any(|byte| {
            read = self.next(read, *byte);
            self.is_whole(read)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Delimiter;

    #[test]
    fn a_delimiter_is_found_as_soon_as_it_is_there() {
        let delimiter = Delimiter::new(b"aabaa");
        let mut read = 0;
        let places: Vec<usize> = (b"aaabaabaa".iter().enumerate())
            .filter_map(|(at, byte)| {
                read = delimiter.next(read, *byte);
                delimiter.is_whole(read).then(|| std::mem::take(&mut read)).map(|_| at)
            })
            .collect();
        assert_eq!(places, [5]);
        assert!(Delimiter::new(b"aa").comes_early(1) && !Delimiter::new(b"ab").comes_early(1));
    }
}
