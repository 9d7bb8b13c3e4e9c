//! Whether keys can be deleted here at all, and how: the kind of server, and the user's rights.

use super::super::RedisSource;
use crate::model::Failure;

/// How keys can be compared and deleted. At least one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlinkAbility {
    /// By a script. Where that is refused, strings are watched like all else, and that takes longer.
    pub script: bool,
    /// Under a watch. Where that is refused, only strings of up to a megabyte can be deleted, and every other key ends as
    /// [`super::UnlinkOutcome::Forbidden`].
    pub watch: bool,
}

impl RedisSource {
    /// Whether keys of this database can be compared and deleted, and how. To be asked before a cleanup begins; nothing is
    /// changed by it.
    ///
    /// # Errors
    /// A usage [`Failure`] that says what is in the way: it is a cluster or a node of one, a replica, older than Redis 6, does not
    /// tell what it is, or the user lacks a right, which is named. One of the Redis side where the server is gone.
    pub async fn unlink_ability(&self) -> Result<UnlinkAbility, Failure> {
        Err(Failure::internal("keys cannot be unlinked yet"))
    }
}
