//! By what right keys are deleted: it is asked for just before each command that deletes, since waiting for a server, its attempts and
//! the reading of a key may take longer than it lasts.

use super::UnlinkOutcome;
use super::fates::{Fates, One};
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

/// What keys go by: a right, and where it is told what becomes of them.
pub(super) type By<'a> = (&'a dyn Warrant, &'a Fates);

/// What becomes of keys whose comparison is too old by now.
///
/// # Errors
/// The answer to an attempt to delete some of them was lost: they may be gone, and this is no time to look.
pub(super) fn outdated(some: &[One<'_>], fates: &Fates) -> Result<(), Failure> {
    let (lost, others): (Vec<_>, Vec<_>) = some.iter().partition(|one| fates.is_lost(one));
    others.into_iter().for_each(|one| fates.found(one, UnlinkOutcome::Outdated));
    if lost.is_empty() {
        return Ok(());
    }
    let message = "the answer to a deletion was lost, and the comparison is too old to repeat it";
    let hint = "The same command settles what may be gone, and goes on.";
    Err(Failure::redis(message, hint))
}
