//! How large values are, learned while reading: whether to ask for sizes before the values.

use std::sync::{Mutex, PoisonError};

/// From this average on, sizes are asked for before every read.
const LARGE: f64 = 64.0 * 1024.0;
/// The weight of the newest page in the running average.
const WEIGHT: f64 = 0.25;
/// Room left for a page that is larger than the pages before it.
const HEADROOM: f64 = 4.0;

/// A running view of the sizes read so far.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<Option<Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    average: f64,
    /// The largest value lately; fades by half with each page.
    largest: f64,
}

impl Sizes {
    /// Whether the sizes of `keys` values have to be asked for, to keep their reply under `max_bytes`.
    pub(super) fn must_probe(&self, keys: usize, max_bytes: usize) -> bool {
        let Some(seen) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return true };
        let (keys, max_bytes) = (keys as f64, max_bytes as f64);
        // One value that is large by itself says that more of them may come.
        seen.average > LARGE || seen.largest > max_bytes / 4.0 || seen.average * keys * HEADROOM > max_bytes
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
                largest: (before.largest / 2.0).max(largest as f64),
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
        assert!(sizes.must_probe(1000, 8 << 20));
        sizes.learn(1000, 500_000, 700);
        assert!(!sizes.must_probe(1000, 8 << 20));
        assert!(sizes.must_probe(1000, 1 << 20), "500,000 bytes are too close to the cap");
        sizes.learn(1000, 10_000_000, 5 << 20);
        assert!(sizes.must_probe(10, 8 << 20), "a large one was just seen");
        for _ in 0..8 {
            sizes.learn(1000, 500_000, 700);
        }
        assert!(!sizes.must_probe(1000, 8 << 20));
    }
}
