//! Sets of hash slots. Pure.

use fred::util::redis_keyslot;
use std::fmt;

/// Slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;
const WORDS: usize = SLOTS as usize / 64;

/// The slot of a key: of its hash tag, where it has one.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    redis_keyslot(key)
}

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotSet(Box<[u64; WORDS]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl SlotSet {
    /// Adds a slot; one that there is not is passed over.
    pub(super) fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot / 64)) {
            *word |= 1 << (slot % 64);
        }
    }

    pub(super) fn contains(&self, slot: u16) -> bool {
        self.0.get(usize::from(slot / 64)).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds those of another set.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word |= other);
    }

    /// Those that are in both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
        self
    }

    /// Those that are not in another set.
    pub(super) fn without(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= !other);
        self
    }

    /// All that there are.
    pub(super) fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// The ranges as [`fmt::Display`] writes them; `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut slots = Self::default();
        for range in text.split(',').filter(|_| text != "-") {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || last >= SLOTS {
                return None;
            }
            (first..=last).for_each(|slot| slots.insert(slot));
        }
        Some(slots)
    }

    fn ranges(&self) -> impl Iterator<Item = (u16, u16)> {
        let mut slots = (0..SLOTS).filter(|slot| self.contains(*slot)).peekable();
        std::iter::from_fn(move || {
            let first = slots.next()?;
            let mut last = first;
            while slots.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            Some((first, last))
        })
    }
}

/// Ranges with commas between them, such as `0-5460,9000`; `-` where there are none.
impl fmt::Display for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, (first, last)) in self.ranges().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{SlotSet, slot_of};

    #[test]
    fn a_set_is_what_its_text_says() {
        for text in ["-", "0", "16383", "0-16383", "0-5460,5462,9000-9001"] {
            assert_eq!(SlotSet::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "16384", "5-4", "0-16384", "a", "1,,2", "1-2-3"] {
            assert_eq!(SlotSet::parse(text), None, "{text}");
        }
        assert_eq!(SlotSet::all().to_string(), "0-16383");
    }

    #[test]
    fn sets_are_joined_cut_and_taken_away() {
        let set = |text| SlotSet::parse(text).unwrap();
        let mut joined = set("0-10");
        joined.add(&set("8-20"));
        assert_eq!(joined.to_string(), "0-20");
        assert_eq!(set("0-10").and(&set("8-20")).to_string(), "8-10");
        assert_eq!(set("0-10").without(&set("8-20")).to_string(), "0-7");
    }

    #[test]
    fn the_slot_is_that_of_the_hash_tag() {
        // As CLUSTER KEYSLOT answers.
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"a{foo}b"), 12182);
        assert_eq!(slot_of(b"a{foo}{b}"), 12182);
        assert_ne!(slot_of(b"a{}foo"), 12182);
    }
}
