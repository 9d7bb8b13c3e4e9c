//! How large values are, learned while reading: whether to ask for sizes before the values.

use std::sync::{Mutex, PoisonError};

/// From this average on, sizes are asked for before every read.
const LARGE: f64 = 64.0 * 1024.0;
/// Under a cap below this, sizes are always asked for: there is no room for a surprise.
const TIGHT: usize = 1 << 20;
/// The weight of the newest page in the running average.
const WEIGHT: f64 = 0.25;
/// What is left of the largest value seen, a page later.
const FADE: f64 = 0.9;
/// Room left for a page that is larger than the pages before it.
const HEADROOM: f64 = 4.0;

/// A running view of the sizes read so far.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<Option<Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    average: f64,
    /// The largest value lately; fades with each page, so that it is remembered for some tens of them.
    largest: f64,
}

impl Sizes {
    /// How many values may be read at once without asking for their sizes first, to keep their reply under
    /// `max_bytes`; `None`: their sizes have to be asked for.
    pub(super) fn at_once(&self, max_bytes: usize) -> Option<usize> {
        let seen = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let max_bytes = max_bytes as f64;
        // One value that is large by itself says that more of them may come.
        let large = seen.average > LARGE || seen.largest > max_bytes / 4.0;
        (!large && max_bytes >= TIGHT as f64)
            .then(|| ((max_bytes / (seen.average * HEADROOM).max(1.0)) as usize).max(1))
    }

    /// Remembers a value that was too large for a page.
    pub(super) fn met(&self, largest: usize) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.unwrap_or(Seen { average: 0.0, largest: 0.0 });
        *seen = Some(Seen { largest: before.largest.max(largest as f64), ..before });
    }

    /// Learns from a reply of `values` values, `bytes` in all, the largest of `largest`.
    pub(super) fn learn(&self, values: usize, bytes: u64, largest: usize) {
        if values == 0 {
            return;
        }
        let average = bytes as f64 / values as f64;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(match *seen {
            None => Seen { average, largest: largest as f64 },
            Some(before) => Seen {
                average: before.average + (average - before.average) * WEIGHT,
                largest: (before.largest * FADE).max(largest as f64),
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Sizes;

    #[test]
    fn sizes_are_asked_for_until_they_are_known_to_be_small() {
        let sizes = Sizes::default();
        assert_eq!(sizes.at_once(8 << 20), None);
        sizes.learn(1000, 500_000, 700);
        assert_eq!(sizes.at_once(8_000_000), Some(4000));
        assert_eq!(sizes.at_once(2_000_000), Some(1000), "fewer at once, to stay clear of the cap");
        assert_eq!(sizes.at_once(500_000), None, "too little room");
        sizes.learn(1000, 10_000_000, 5 << 20);
        assert_eq!(sizes.at_once(8_000_000), None, "a large one was just seen");
        for _ in 0..30 {
            sizes.learn(1000, 500_000, 700);
        }
        assert!(sizes.at_once(8_000_000).is_some_and(|keys| keys > 1000));
    }
}
