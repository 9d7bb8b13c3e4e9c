//! What a backup keeps of a key.

use super::stream::{StreamFacts, StreamGroup};
use crate::model::{RedisKey, RedisType, UnixMillis};
use bytes::Bytes;
use std::borrow::Cow;

/// A key as it was read, or a part of one that is too large for a block. The parts of a key stand one behind the other.
///
/// A key may be in a file more than once, where a scan listed it twice: each time it is whole, and the later is the newer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The number of the key's logical database.
    pub database: u8,
    /// The key.
    pub key: RedisKey,
    /// What TYPE answers for it; at most 255 bytes.
    pub type_name: Cow<'static, str>,
    /// When Redis expires it; `None` where it has no TTL.
    pub expires_at: Option<UnixMillis>,
    /// Which part of the key it is.
    pub part: Part,
    /// What DUMP gave, for RESTORE. `None` for a string, whose logical form is all of it, and for what is too large.
    pub dump: Option<Bytes>,
    /// What the key holds, for any version of Redis; of a part: its share of it. `None` for types of modules.
    pub logical: Option<Logical>,
}

impl Entry {
    /// Its type: of any module but RedisJSON's `Module`.
    pub fn redis_type(&self) -> RedisType {
        RedisType::named(&self.type_name)
    }

    /// Bytes of the key and of what is kept of it, about.
    pub fn bytes(&self) -> usize {
        let dump = self.dump.as_ref().map_or(0, Bytes::len);
        self.key.as_bytes().len() + dump + self.logical.as_ref().map_or(0, Logical::bytes)
    }

    /// Copies what it refers to, so that it does not keep the block that it came from.
    pub fn detach(&mut self) {
        let copy = |bytes: &mut Bytes| *bytes = Bytes::copy_from_slice(bytes);
        self.key = self.key.detached();
        self.dump.iter_mut().for_each(copy);
        match &mut self.logical {
            None => {}
            Some(Logical::Bytes(bytes) | Logical::Items(bytes) | Logical::Hash { items: bytes, .. }) => copy(bytes),
            Some(Logical::Stream { entries, groups, .. }) => {
                copy(entries);
                groups.iter_mut().for_each(StreamGroup::detach);
            }
        }
    }
}

/// Which part of a key an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub number: u32,
    /// Whether the key ends with it.
    pub last: bool,
}

impl Part {
    /// All of a key.
    pub const WHOLE: Self = Self { number: 0, last: true };

    /// Whether the key begins with it.
    pub fn is_first(self) -> bool {
        self.number == 0
    }

    /// Whether it is all of a key.
    pub fn is_whole(self) -> bool {
        self == Self::WHOLE
    }
}

/// What a key holds. Items are packed ([`crate::model::Items`]); their order is what the reading gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Logical {
    /// The bytes of a string, or the text of a RedisJSON document; of a part those that follow the part before.
    Bytes(Bytes),
    /// The elements of a list from left to right, the members of a set, or member and score in turn of a sorted set. Scores
    /// are the text that Redis gave.
    Items(Bytes),
    /// A hash.
    Hash {
        /// Field and value in turn.
        items: Bytes,
        /// For each field when it expires, below 0 where it does not; `None` where no field does, or Redis does not tell.
        expiries: Option<Vec<UnixMillis>>,
    },
    /// A stream.
    Stream {
        /// For each entry its id, the number of its fields as text, and field and value in turn.
        entries: Bytes,
        /// What a stream has beside its entries and groups; of a stream in parts only in the last.
        facts: Option<StreamFacts>,
        /// Its consumer groups, or some. One that is named again goes on: its consumers and pending entries are added.
        groups: Vec<StreamGroup>,
    },
}

impl Logical {
    /// Whether it is a collection without an item, which Redis has none of.
    pub fn is_void(&self) -> bool {
        matches!(self, Self::Items(items) | Self::Hash { items, .. } if items.is_empty())
    }

    /// Bytes of it, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Items(bytes) => bytes.len(),
            Self::Hash { items, expiries } => items.len() + expiries.as_ref().map_or(0, Vec::len) * 8,
            Self::Stream { entries, groups, .. } => {
                entries.len() + groups.iter().map(StreamGroup::bytes).sum::<usize>()
            }
        }
    }
}
