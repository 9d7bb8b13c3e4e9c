//! Whether the process ran all the time: one that was suspended, or whose machine slept, is not told of it.

use crate::model::Moment;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often it beats.
const BEAT: Duration = Duration::from_secs(1);
/// Two beats that are so far apart are an interruption. Below that a busy machine is not told from one that stood still.
const LATE: Duration = Duration::from_secs(5);

/// Counts how often the process stood still.
pub(super) struct Pulse(Mutex<(Moment, u64)>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Moment::now(), 0)))
    }

    /// How often the process stood still so far. That it did until just now counts, whether or not there was a beat since.
    pub(super) fn interruptions(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = &mut *state;
        *count += u64::from(last.elapsed() >= LATE);
        *last = Moment::now();
        *count
    }

    /// Beats for ever.
    pub(super) async fn beat(&self) {
        loop {
            tokio::time::sleep(BEAT).await;
            self.interruptions();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LATE, Pulse};
    use crate::model::Moment;
    use std::sync::Mutex;

    #[test]
    fn an_interruption_counts_once_and_at_once() {
        let pulse = Pulse::new();
        assert_eq!((pulse.interruptions(), pulse.interruptions()), (0, 0));
        let Some(long_ago) = Moment::now().before(LATE) else { return };
        let pulse = Pulse(Mutex::new((long_ago, 3)));
        assert_eq!((pulse.interruptions(), pulse.interruptions()), (4, 4));
    }
}
