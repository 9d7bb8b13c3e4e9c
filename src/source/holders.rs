//! Which server holds a key: the one that there is, or the primary of a cluster that serves the key's slot.

use crate::model::RedisKey;
use fred::util::redis_keyslot;

/// The servers that hold the keys of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// The servers.
    pub servers: Vec<Holder>,
    /// For each slot the place of its server; none where there is but one.
    pub(super) by_slot: Vec<usize>,
}

/// A server that holds keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its host and port.
    pub place: String,
    /// How many keys it holds of the database; `None` where it does not tell.
    pub keys: Option<u64>,
}

impl Holders {
    /// The place among the servers of the one that holds a key.
    pub fn of(&self, key: &RedisKey) -> usize {
        if self.by_slot.is_empty() {
            return 0;
        }
        self.by_slot.get(usize::from(redis_keyslot(key.as_bytes()))).copied().unwrap_or(0)
    }
}
