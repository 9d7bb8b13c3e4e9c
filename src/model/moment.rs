//! A moment, and how long ago it was.

use std::time::{Duration, Instant, SystemTime};

/// A moment by both clocks of this machine: the one that is never set leaves out, on Linux, for how long the machine slept, and the other
/// may be set. It was as long ago as the one says by which that is longer.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// One that is so much later.
    pub fn later(self, by: Duration) -> Self {
        Self { steady: self.steady + by, wall: self.wall + by }
    }

    /// The one of two that is longer ago.
    pub fn earlier(self, other: Self) -> Self {
        if self.elapsed() < other.elapsed() { other } else { self }
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }

    /// So long before this one; `None` where the machine has not been up for as long.
    #[cfg(test)]
    pub(crate) fn before(self, by: Duration) -> Option<Self> {
        Some(Self { steady: self.steady.checked_sub(by)?, wall: self.wall.checked_sub(by)? })
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
        let hour = Duration::from_secs(3600);
        let slept = Moment { wall: now.wall - hour, ..now };
        assert!(slept.elapsed() >= hour, "the machine slept");
        assert!(now.earlier(slept).elapsed() >= hour && slept.earlier(now).elapsed() >= hour);
        let set_back = Moment { wall: SystemTime::now() + hour, ..now };
        assert!(set_back.elapsed() < Duration::from_secs(5), "the clock was set back");
        if let Some(long_ago) = now.before(Duration::from_secs(60)) {
            assert!(Moment { steady: long_ago.steady, ..set_back }.elapsed() >= Duration::from_secs(60));
        }
    }
}
