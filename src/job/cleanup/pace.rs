//! How fast keys go, and how old their comparison may be by then. PostgreSQL is not asked again in the moment of a deletion, so
//! whatever the pace is, only so many keys are compared ahead as go within seconds.

use crate::flow::RateLimit;
use crate::model::Moment;
use std::sync::Arc;
use std::time::Duration;

/// So long after the comparison of its rows began a key may be deleted.
pub(super) const FRESH: Duration = Duration::from_secs(10);
/// What each writer compares together goes within so many seconds: some is at work, and as much more is compared.
const SECONDS: u64 = 1;
/// Keys a second for which one more writer is worth it.
const OF_A_WRITER: u64 = 100;

/// The pace of a cleanup.
#[derive(Clone)]
pub(super) struct Pace {
    /// Keys a second; `None`: as fast as it goes.
    keys_per_second: Option<u64>,
    pub(super) limit: Arc<RateLimit>,
}

impl Pace {
    /// So many keys a second; 0: as fast as it goes.
    pub(super) fn new(keys_per_second: u64) -> Self {
        let keys_per_second = Some(keys_per_second).filter(|keys| *keys > 0);
        Self { keys_per_second, limit: Arc::new(RateLimit::new(keys_per_second, None)) }
    }

    /// How many writers there are, of those that the settings name.
    pub(super) fn writers(&self, most: u64) -> u64 {
        self.keys_per_second.map_or(most, |keys| most.min(keys / OF_A_WRITER)).max(1)
    }

    /// How many rows each of so many writers compares together.
    pub(super) fn rows(&self, writers: u64) -> usize {
        let share = |keys: u64| usize::try_from(keys * SECONDS / writers.max(1)).unwrap_or(usize::MAX).max(1);
        self.keys_per_second.map_or(usize::MAX, share)
    }
}

/// How old the comparison of some keys is.
#[derive(Clone, Copy, Debug)]
pub(in crate::job) struct Age {
    since: Moment,
}

impl Age {
    /// That of a comparison that begins now.
    pub(super) fn begun() -> Self {
        Self { since: Moment::now() }
    }

    /// That of a comparison that began then.
    pub(super) fn of(since: Moment) -> Self {
        Self { since }
    }

    /// Leaves out so much of it.
    pub(super) fn without(self, time: Duration) -> Self {
        Self { since: self.since.later(time) }
    }

    /// Whether keys may be deleted by it.
    pub(super) fn is_fresh(self) -> bool {
        self.since.elapsed() < FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::{Age, FRESH, Pace};
    use crate::model::Moment;
    use std::time::Duration;

    /// What was compared and is not deleted is of no more than a few seconds.
    #[test]
    fn however_slow_it_is_no_more_is_compared_ahead_than_goes_within_seconds() {
        for keys in [1, 3, 10, 99, 100, 250, 1000, 20_000] {
            let pace = Pace::new(keys);
            let writers = pace.writers(4);
            // Some are at work, and as many wait.
            let ahead = 2 * writers * pace.rows(writers) as u64;
            assert!(ahead <= 2 * keys, "{keys} a second: {ahead} keys ahead, {writers} writers");
        }
        let free = Pace::new(0);
        assert_eq!((free.writers(4), free.rows(4), Pace::new(20_000).writers(4)), (4, usize::MAX, 4));
    }

    #[test]
    fn a_comparison_grows_old_and_what_is_left_out_does_not_count() {
        let Some(long_ago) = Moment::now().before(FRESH + Duration::from_secs(1)) else { return };
        let old = Age::of(long_ago);
        assert!(!old.is_fresh() && Age::begun().is_fresh() && !Age::of(long_ago).is_fresh());
        assert!(old.without(Duration::from_secs(5)).is_fresh());
    }
}
