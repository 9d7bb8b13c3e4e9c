//! Threads that a test runs beside the command that it tries.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag that ends a thread beside a test, at the latest when the test fails: [`std::thread::scope`] waits for its threads also
/// after a failed assertion, and would wait for good for one that nobody told to end.
pub(crate) struct EndOnDrop<'flag>(pub(crate) &'flag AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
