//! How many rows go into one transaction: fewer where the server takes long for them, or gives them up.

use std::time::Duration;

/// A batch that took less may be followed by a larger one.
const QUICK: Duration = Duration::from_secs(1);

/// The pace of one way through a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    size: usize,
    most: usize,
}

impl Pace {
    /// Begins with `first` rows, and never takes more than `most`.
    pub(super) fn new(first: usize, most: usize) -> Self {
        Self { size: first.min(most), most }
    }

    /// Rows of the next batch.
    pub(super) fn size(self) -> usize {
        self.size
    }

    /// A batch of so many rows is done.
    pub(super) fn took(&mut self, rows: usize, elapsed: Duration) {
        if rows >= self.size && elapsed < QUICK {
            self.size = self.size.saturating_mul(2).min(self.most);
        }
    }

    /// The server gave a batch of so many rows up for the time that it took.
    pub(super) fn timed_out(&mut self, rows: usize) {
        self.size = self.size.min((rows / 2).max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, QUICK};
    use std::time::Duration;

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_given_up() {
        let mut pace = Pace::new(50, 150);
        pace.took(49, Duration::ZERO);
        assert_eq!(pace.size(), 50, "a part of a batch tells nothing");
        pace.took(50, QUICK);
        assert_eq!(pace.size(), 50);
        for expected in [100, 150, 150] {
            pace.took(pace.size(), Duration::ZERO);
            assert_eq!(pace.size(), expected);
        }
        pace.timed_out(150);
        assert_eq!(pace.size(), 75);
        pace.timed_out(1);
        assert_eq!(pace.size(), 1);
    }
}
