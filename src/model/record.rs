//! What was read for one key.

use super::{Digest, KeyFacts, RedisKey, RedisType, RedisTypes, Stored};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

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
    /// Its type.
    pub redis_type: RedisType,
    /// The value's bytes, exactly as read. A slice of the reply: it keeps the whole reply alive. A collection is packed:
    /// see [`super::Items`].
    pub value: Bytes,
    /// A large value, where it was set aside in a file while it was read; `value` is empty then.
    pub stored: Option<Arc<Stored>>,
    /// Which part of a large collection the value is; `None` where it is all of it.
    pub slice: Option<Slice>,
    /// When Redis will expire the key; `None` where it has no TTL, or where no mapping asked for it.
    pub expires_at: Option<UnixMillis>,
    /// What else was read of the key; `None` where its mapping wants nothing else.
    pub facts: Option<Arc<KeyFacts>>,
}

impl Record {
    /// What TYPE answers for the key.
    pub fn type_name(&self) -> Cow<'static, str> {
        match self.facts.as_ref().and_then(|facts| facts.module_type.as_ref()) {
            Some(name) => Cow::Owned(name.clone()),
            None => Cow::Borrowed(self.redis_type.name()),
        }
    }

    /// What DUMP gives for the key, where it was asked for.
    pub fn dump(&self) -> Option<&Bytes> {
        self.facts.as_ref()?.dump.as_ref()
    }

    /// What tells whether the key still holds what a row was made from: the dump, where there is one, else the value.
    pub fn content(&self) -> &Bytes {
        self.dump().unwrap_or(&self.value)
    }

    /// Whether it is what the ledger kept of a key that has gone from Redis.
    pub fn is_from_ledger(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.from_ledger)
    }

    /// Whether it has a value.
    pub fn has_value(&self) -> bool {
        self.facts.as_ref().is_none_or(|facts| !facts.without_value)
    }
}

impl Record {
    /// The digest of what tells whether the key still holds what a row was made from.
    pub fn digest(&self) -> Digest {
        match &self.stored {
            Some(stored) if self.dump().is_none() => stored.digest(),
            _ => Digest::of(self.content()),
        }
    }
}

/// A part of a collection, or of a large string, that is read in slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The place of its first element in a list, of its first byte in a string.
    pub from: u64,
    /// Whether a reading of the key begins with it: what came of an earlier one is void.
    pub first: bool,
    /// Whether the reading ends with it.
    pub last: bool,
}

/// What is known of a large collection or string before its first slice is read.
#[derive(Clone, Debug)]
pub struct LargeKey {
    /// Its type.
    pub redis_type: RedisType,
    /// When Redis will expire it.
    pub expires_at: Option<UnixMillis>,
    /// What is to be asked of its fields, where it is a hash.
    pub fields: FieldTimes,
    /// How many bytes a string has; `None` for a collection.
    pub bytes: Option<u64>,
    /// What else was read of the key.
    pub facts: Option<Arc<KeyFacts>>,
}

/// What reading one key gave.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The key with its value.
    Record(Record),
    /// The key holds a large collection or string, which is to be read in slices.
    Large {
        /// The key.
        key: RedisKey,
        /// What is known of it.
        large: LargeKey,
    },
    /// The key was listed by SCAN and is not there any more.
    Gone(RedisKey),
    /// The key was listed by a node of a cluster, and the node that serves its slot does not have it.
    Orphan(RedisKey),
    /// The key was listed by SCAN, and the user may not read it.
    Forbidden(RedisKey),
    /// The key holds another type than the mapping reads; `redis_type` is what TYPE answered.
    WrongType {
        /// The key.
        key: RedisKey,
        /// The type's name in Redis, such as `hash`.
        redis_type: String,
    },
    /// The key holds a wanted type, and yet its value cannot be had.
    Unreadable {
        /// The key.
        key: RedisKey,
        /// Its type.
        redis_type: RedisType,
        /// The reject's reason.
        reason: &'static str,
        /// What a person is told.
        detail: String,
    },
}

impl Fetched {
    /// The key.
    pub fn key(&self) -> &RedisKey {
        match self {
            Self::Record(record) => &record.key,
            Self::Gone(key) | Self::Orphan(key) | Self::Forbidden(key) => key,
            Self::Large { key, .. } | Self::WrongType { key, .. } | Self::Unreadable { key, .. } => key,
        }
    }
}

/// What a mapping wants of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The types that it takes; a key of another one is not read.
    pub types: RedisTypes,
    /// Whether it wants the time of expiry.
    pub expiry: bool,
    /// Whether it takes large collections in slices.
    pub slices: bool,
    /// Whether it takes large strings in slices: it reads a string's bytes as they are, and nothing in them.
    pub streams: bool,
    /// Whether it wants the value.
    pub value: ValueWanted,
    /// Whether it wants the milliseconds until the key expires; it wants the time of expiry then as well.
    pub ttl: bool,
    /// Whether it wants the time since the key was last used.
    pub idle: bool,
    /// Whether it wants what DUMP gives.
    pub dump: bool,
    /// What it wants to know of the fields of hashes.
    pub fields: FieldTimes,
    /// Whether the value of a string and its time of expiry must be of one moment.
    pub one_moment: bool,
}

/// What a mapping wants to know of the time that the fields of a hash have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldTimes {
    /// Nothing.
    #[default]
    Unasked,
    /// When each expires.
    Expiry,
    /// When each expires, and how long that is from now.
    ExpiryAndTtl,
}

/// Whether a mapping wants the values of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueWanted {
    /// A key whose value cannot be had is of no use.
    Always,
    /// As far as it can be had.
    IfPossible,
    /// Not at all.
    Never,
}

impl Wanted {
    /// Strings, with or without their time of expiry.
    pub const fn strings(expiry: bool) -> Self {
        let value = ValueWanted::Always;
        Self {
            types: RedisTypes::STRING,
            expiry,
            slices: false,
            streams: false,
            value,
            ttl: false,
            idle: false,
            dump: false,
            fields: FieldTimes::Unasked,
            one_moment: false,
        }
    }

    /// Whether more is wanted of a key than its value and its time of expiry, or less.
    pub fn has_facts(self) -> bool {
        self.ttl || self.idle || self.dump || self.value != ValueWanted::Always || self.types.has(RedisType::Module)
    }
}
