//! Growing pauses between attempts at one piece of work, and when to give it up.

use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// When there is no further attempt.
#[derive(Clone, Copy, Debug)]
enum Limit {
    /// So long after the first failure.
    Time(Duration),
    /// After so many pauses.
    Pauses(u32),
}

/// Pauses of 100 ms, 200 ms and so on up to 5 s. Keeps no clock: whoever waits says what time it is.
#[derive(Clone, Debug)]
pub struct Backoff {
    limit: Limit,
    first_failure: Option<Instant>,
    pauses: u32,
}

impl Backoff {
    /// Attempts until `deadline` has passed since the first failure.
    pub fn until(deadline: Duration) -> Self {
        Self { limit: Limit::Time(deadline), first_failure: None, pauses: 0 }
    }

    /// At most `most` attempts after the first one.
    pub fn at_most(most: u32) -> Self {
        Self { limit: Limit::Pauses(most), first_failure: None, pauses: 0 }
    }

    /// How long to wait after an attempt that failed `now`; `None`: it was the last.
    pub fn pause(&mut self, now: Instant) -> Option<Duration> {
        let first = *self.first_failure.get_or_insert(now);
        let over = match self.limit {
            Limit::Time(deadline) => now.saturating_duration_since(first) >= deadline,
            Limit::Pauses(most) => self.pauses >= most,
        };
        if over {
            return None;
        }
        let pause = FIRST.saturating_mul(1 << self.pauses.min(16)).min(LONGEST);
        self.pauses += 1;
        Some(pause)
    }

    /// How many pauses there were.
    pub fn pauses(&self) -> u32 {
        self.pauses
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::{Duration, Instant};

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (mut backoff, now) = (Backoff::at_most(100), Instant::now());
        let pauses: Vec<u128> = (0..100).filter_map(|_| backoff.pause(now)).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses[..8], [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!((pauses.len(), pauses[99]), (100, 5000));
        assert_eq!((backoff.pause(now), backoff.pauses()), (None, 100));
    }

    #[test]
    fn a_deadline_counts_from_the_first_failure() {
        let mut backoff = Backoff::until(Duration::from_secs(10));
        let first = Instant::now() + Duration::from_secs(3600);
        assert!(backoff.pause(first).is_some(), "however long the work went well before");
        assert!(backoff.pause(first + Duration::from_millis(9_999)).is_some());
        assert_eq!(backoff.pause(first + Duration::from_secs(10)), None);
    }

    #[test]
    fn no_deadline_at_all_is_one_attempt() {
        assert_eq!(Backoff::until(Duration::ZERO).pause(Instant::now()), None);
        assert_eq!(Backoff::at_most(0).pause(Instant::now()), None);
    }
}
