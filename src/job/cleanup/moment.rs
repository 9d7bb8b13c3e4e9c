//! A moment, and how long ago it was.

use std::time::{Duration, Instant, SystemTime};

/// A moment by both clocks of this machine: the one that is never set leaves out, on Linux, for how long the machine slept, and the other
/// may be set. It was as long ago as the one says by which that is longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// One of which only the steady clock was read.
    pub(super) fn of(steady: Instant) -> Self {
        let now = SystemTime::now();
        Self { steady, wall: now.checked_sub(steady.elapsed()).unwrap_or(now) }
    }

    /// A later one.
    pub(super) fn later(self, by: Duration) -> Self {
        Self { steady: self.steady + by, wall: self.wall + by }
    }

    pub(super) fn elapsed(self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_clock_counts_by_which_it_is_longer_ago() {
        let now = Moment::now();
        assert!(now.elapsed() < Duration::from_secs(5));
        let (hour, slept) = (Duration::from_secs(3600), now.wall - Duration::from_secs(3600));
        assert!(Moment { wall: slept, ..now }.elapsed() >= hour, "the machine slept");
        let set_back = Moment { wall: SystemTime::now() + hour, ..now };
        assert!(set_back.elapsed() < Duration::from_secs(5), "the clock was set back");
        if let Some(long_ago) = now.steady.checked_sub(Duration::from_secs(60)) {
            assert!(Moment::of(long_ago).elapsed() >= Duration::from_secs(60));
            assert!(Moment { steady: long_ago, ..set_back }.elapsed() >= Duration::from_secs(60));
        }
    }
}
