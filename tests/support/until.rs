//! Waiting for something that another process brings about.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until it is so. Fails the test where that takes longer than a minute, which nothing does on a machine that is busy either.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What `work` gives while its keys live: it gets their life in milliseconds, and gives nothing where that was too short. On a machine
/// that is busy it is, and a life that is always long enough would be waited for everywhere.
#[track_caller]
pub(crate) fn while_they_live<T>(first: u64, work: impl FnMut(u64) -> Option<T>) -> T {
    let found = [first, 4 * first, 16 * first, 64 * first].into_iter().find_map(work);
    assert!(found.is_some(), "keys that lived for {} ms expired too early", 64 * first);
    found.expect("looked at")
}
