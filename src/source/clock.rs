//! The server's clock, as this process keeps it.

use crate::model::UnixMillis;
use std::time::{Duration, Instant};

/// A server's time, told once and carried on by the monotonic clock of this machine: nothing is asked for each page.
///
/// It is late by the time that the answer took to come, and drifts as the two machines' clocks do, some tens of
/// milliseconds an hour. A step of the server's clock, and a suspension of this machine, go unnoticed.
#[derive(Clone, Copy, Debug)]
pub struct ServerClock {
    told: UnixMillis,
    at: Instant,
}

impl ServerClock {
    /// A clock that showed `told` at that instant.
    pub fn new(told: UnixMillis, at: Instant) -> Self {
        Self { told, at }
    }

    /// The server's time now.
    pub fn now(&self) -> UnixMillis {
        self.after(self.at.elapsed())
    }

    fn after(&self, passed: Duration) -> UnixMillis {
        self.told.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::ServerClock;
    use std::time::{Duration, Instant};

    #[test]
    fn the_clock_goes_on_from_what_it_was_told() {
        let clock = ServerClock::new(1_000, Instant::now());
        assert_eq!(clock.after(Duration::from_millis(2_500)), 3_500);
        assert_eq!(ServerClock::new(i64::MAX, Instant::now()).after(Duration::from_secs(1)), i64::MAX);
        assert!(clock.now() >= 1_000);
    }
}
