//! What was read for one key.

use super::RedisKey;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The position of a mapping in the compiled plan of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MappingId(pub u16);

/// Milliseconds since 1970-01-01T00:00:00Z, by the Redis server's clock.
pub type UnixMillis = i64;

/// A key with its value, as read from Redis.
#[derive(Clone, Debug)]
pub struct Record {
    /// The key.
    pub key: RedisKey,
    /// The value's bytes, exactly as read. A slice of the reply: it keeps the whole reply alive.
    pub value: Bytes,
    /// When Redis will expire the key; `None` where it has no TTL, or where no mapping asked for it.
    pub expires_at: Option<UnixMillis>,
}

/// What reading one key gave.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The key holds a string.
    Record(Record),
    /// The key was listed by SCAN and is not there any more.
    Gone(RedisKey),
    /// The key holds another type than the mapping reads; `redis_type` is what TYPE answered.
    WrongType {
        /// The key.
        key: RedisKey,
        /// The type's name in Redis, such as `hash`.
        redis_type: String,
    },
}
