//! By what right keys are deleted: it is asked for just before each command that deletes, since waiting for a server, its attempts and
//! the reading of a key may take longer than it lasts.

use super::UnlinkOutcome;
use crate::model::Failure;
use futures::future::BoxFuture;

/// A right to delete that may end.
pub trait Warrant: Sync {
    /// Waits until it is sure that this process may delete.
    ///
    /// # Errors
    /// It may not any more, or that is not known.
    fn sure(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Whether what the keys must hold was compared lately enough.
    fn is_fresh(&self) -> bool;

    /// How often this process stood still so far, as one that was suspended: what was begun before may be of long ago.
    fn interruptions(&self) -> u64;
}

/// What becomes of keys whose comparison is too old by now. `lost`: whether the answer to an attempt to delete some of them was lost.
///
/// # Errors
/// Where one was: they may be gone, and this is no time to look.
pub(super) fn outdated(keys: usize, lost: bool) -> Result<Vec<UnlinkOutcome>, Failure> {
    if lost {
        let message = "the answer to a deletion was lost, and the comparison is too old to repeat it";
        let hint = "The same command settles what may be gone, and goes on.";
        return Err(Failure::redis(message, hint));
    }
    Ok(vec![UnlinkOutcome::Outdated; keys])
}
