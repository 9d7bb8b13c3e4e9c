//! A stop while keys wait to be read: they are left, and a wait for the rate ends.
//!
//! A key that was listed and is not read is no sighting: it is taken back from the books, and its page stays open, so
//! that a resume reads it.

use super::{Done, Shared};
use crate::model::{Event, Failure, MappingId};

/// The keys that one lane leaves.
#[derive(Debug, Default)]
pub(super) struct Unread(u64);

impl Unread {
    /// Leaves so many keys of a mapping.
    pub(super) async fn leave<S>(&mut self, shared: &Shared<S>, mapping: MappingId, keys: usize) {
        let keys = keys as u64;
        self.0 += keys;
        let _ = shared.events.send(Event::Unread { mapping, keys }).await;
    }

    /// Whether nothing was left so far. Once something is, all that comes after it is left too.
    pub(super) fn is_none(&self) -> bool {
        self.0 == 0
    }

    /// What reading has to say at its end.
    pub(super) fn done(&self) -> Result<Done, Failure> {
        Ok(if self.is_none() { Done::Passed } else { Done::Left })
    }
}

/// Waits while it is not certain that no more rejects are there than allowed, or until a stop is asked for.
pub(super) async fn hold<S>(shared: &Shared<S>) {
    tokio::select! {
        () = shared.limit.wait() => {}
        () = shared.stop.wait_drain() => {}
    }
}

/// Waits until so many keys and bytes may pass, or a stop is asked for.
pub(super) async fn pace<S>(shared: &Shared<S>, keys: u64, bytes: u64) {
    tokio::select! {
        () = shared.rate.take(keys, bytes) => {}
        () = shared.stop.wait_drain() => {}
    }
}
