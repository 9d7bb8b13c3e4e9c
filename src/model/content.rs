//! What a key holds, as a digest that is the same however the key was read: in one piece or in slices, and in whatever
//! order the server gave the items of a hash, a set or a sorted set.

use super::{FieldExpiries, Items, Record, RedisType};
use sha2::{Digest as _, Sha256};

/// Tells whether two readings of a key hold the same.
///
/// Of what has an order (strings, lists, streams, JSON, and the dump of a module's type) it is the SHA-256 of the bytes; of
/// lists and streams packed, see [`Items`]. Of a hash, a set or a sorted set it is the sum of the SHA-256 of each element,
/// modulo 2²⁵⁶. A score is what its text means, not how the command that read it spells it. The type is part of it, and how much
/// there is. So is when each field of a hash expires, where that was read: such a digest equals none without.
///
/// A stream's groups and consumers are no part of it, since no reading has them.
///
/// Who can choose what a set holds could with much work find two sets with one sum: it finds changes, it does not
/// withstand forgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentDigest {
    redis_type: RedisType,
    with_field_expiry: bool,
    elements: u64,
    bytes: u64,
    hash: [u8; 32],
}

impl ContentDigest {
    /// That of a value in one piece: the bytes of a string or of JSON, the dump of a module's type, the packed items of a
    /// collection.
    pub fn of(redis_type: RedisType, value: &[u8]) -> Self {
        let mut hasher = ContentHasher::new(redis_type);
        hasher.update(value, None);
        hasher.finish()
    }

    /// That of a whole record; `None` for a slice, and for one whose value was not read.
    pub fn of_record(record: &Record) -> Option<Self> {
        if record.slice.is_some() {
            return None;
        }
        if record.redis_type == RedisType::Module {
            return record.dump().map(|dump| Self::of(RedisType::Module, dump));
        }
        if let Some(stored) = &record.stored {
            let (redis_type, bytes, hash) = (record.redis_type, stored.len, stored.sha256);
            return Some(Self { redis_type, with_field_expiry: false, elements: 0, bytes, hash });
        }
        record.has_value().then(|| {
            let mut hasher = ContentHasher::new(record.redis_type);
            hasher.push(record);
            hasher.finish()
        })
    }

    /// The type of what was read.
    pub fn redis_type(&self) -> RedisType {
        self.redis_type
    }

    /// Whether it covers when the fields of a hash expire.
    pub fn has_field_expiry(&self) -> bool {
        self.with_field_expiry
    }

    /// Bytes that were read, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Makes a [`ContentDigest`] of a value that comes in one piece or in slices.
#[derive(Clone, Debug)]
pub struct ContentHasher {
    redis_type: RedisType,
    with_field_expiry: bool,
    elements: u64,
    bytes: u64,
    in_order: Sha256,
    /// 256 bits, the lowest 64 first.
    sum: [u64; 4],
}

impl ContentHasher {
    /// For a value of this type, of which nothing was read yet.
    pub fn new(redis_type: RedisType) -> Self {
        let (with_field_expiry, elements, bytes, sum) = (false, 0, 0, [0; 4]);
        Self { redis_type, with_field_expiry, elements, bytes, in_order: Sha256::new(), sum }
    }

    /// Takes in a record: a slice, or all of the value. The first slice begins anew, since a key that changed while it
    /// was read is read again.
    pub fn push(&mut self, record: &Record) {
        if record.slice.is_none_or(|slice| slice.first) {
            *self = Self::new(record.redis_type);
        }
        let fields = record.facts.as_ref().and_then(|facts| facts.fields.as_ref());
        self.update(&record.value, fields);
    }

    /// Takes in the next bytes of a string or of JSON, or the next packed items of a collection. `fields`: when the fields among
    /// them expire; for all parts of a hash, or for none.
    pub fn update(&mut self, part: &[u8], fields: Option<&FieldExpiries>) {
        match self.redis_type {
            RedisType::Hash => self.fields(part, fields),
            RedisType::Zset => {
                for (member, score) in Items::of(part).pairs() {
                    self.element(&[&sized(member), member, &meaning(score)]);
                }
            }
            RedisType::Set => {
                for member in Items::of(part) {
                    self.element(&[&sized(member), member]);
                }
            }
            RedisType::String | RedisType::List | RedisType::Stream | RedisType::Json | RedisType::Module => {
                self.bytes += part.len() as u64;
                self.in_order.update(part);
            }
        }
    }

    /// Bytes that were taken in, as [`ContentDigest::bytes`] has them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of what was taken in.
    pub fn finish(self) -> ContentDigest {
        let Self { redis_type, with_field_expiry, elements, bytes, in_order, sum } = self;
        let hash = match redis_type {
            RedisType::Hash | RedisType::Set | RedisType::Zset => {
                let mut hash = [0; 32];
                for (to, limb) in hash.chunks_exact_mut(8).zip(sum) {
                    to.copy_from_slice(&limb.to_be_bytes());
                }
                hash
            }
            _ => in_order.finalize().into(),
        };
        ContentDigest { redis_type, with_field_expiry, elements, bytes, hash }
    }

    fn fields(&mut self, part: &[u8], fields: Option<&FieldExpiries>) {
        self.with_field_expiry |= fields.is_some();
        for (place, (field, value)) in Items::of(part).pairs().enumerate() {
            let (name_size, value_size) = (sized(field), sized(value));
            match fields {
                None => self.element(&[&name_size, field, &value_size, value]),
                Some(fields) => {
                    // Below zero, like −1: no time of its own.
                    let at = fields.field(place).map_or(-1, |expiry| expiry.at);
                    self.element(&[&name_size, field, &value_size, value, &at.to_be_bytes()]);
                }
            }
        }
    }

    fn element(&mut self, parts: &[&[u8]]) {
        let mut hasher = Sha256::new();
        for part in parts {
            self.bytes += part.len() as u64;
            hasher.update(part);
        }
        self.elements += 1;
        let hash: [u8; 32] = hasher.finalize().into();
        let mut carry = false;
        for (limb, bytes) in self.sum.iter_mut().zip(hash.as_chunks::<8>().0) {
            let (sum, over) = limb.overflowing_add(u64::from_be_bytes(*bytes));
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || again);
        }
    }
}

/// The length of an item, which stands before it: else `ab` and `c` would be `a` and `bc`.
fn sized(item: &[u8]) -> [u8; 8] {
    (item.len() as u64).to_be_bytes()
}

/// What a score's text means: ZSCAN writes 0.10000000000000001 where ZRANGE writes 0.1. Both lead to the same number. Zero has
/// no sign: a small sorted set drops it.
fn meaning(score: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(score).ok().and_then(|text| text.parse::<f64>().ok()) {
        Some(number) => (number + 0.0).to_bits().to_be_bytes().to_vec(),
        // No server says so. Longer than a number, so that it is none.
        None => [&[0; 8], score].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ContentDigest, ContentHasher};
    use crate::model::{FieldExpiries, KeyFacts, Packer, Record, RedisKey, RedisType, Slice};
    use bytes::Bytes;
    use std::sync::Arc;

    fn packed(items: &[&'static str]) -> Bytes {
        items.iter().map(|item| item.as_bytes()).collect::<Packer>().finish()
    }

    fn of(redis_type: RedisType, items: &[&'static str]) -> ContentDigest {
        ContentDigest::of(redis_type, &packed(items))
    }

    fn slice(redis_type: RedisType, items: &[&'static str], place: Option<(bool, bool)>) -> Record {
        Record {
            key: RedisKey::new("k"),
            redis_type,
            value: packed(items),
            stored: None,
            slice: place.map(|(first, last)| Slice { from: 0, first, last }),
            expires_at: None,
            facts: None,
        }
    }

    #[test]
    fn the_order_counts_where_there_is_one() {
        for redis_type in [RedisType::List, RedisType::Stream] {
            assert_ne!(of(redis_type, &["a", "b"]), of(redis_type, &["b", "a"]));
            assert_ne!(of(redis_type, &["ab", "c"]), of(redis_type, &["a", "bc"]));
        }
        assert_eq!(of(RedisType::Hash, &["a", "1", "b", "2"]), of(RedisType::Hash, &["b", "2", "a", "1"]));
        assert_eq!(of(RedisType::Set, &["a", "b", "c"]), of(RedisType::Set, &["c", "a", "b"]));
        assert_eq!(of(RedisType::Zset, &["a", "1", "b", "2"]), of(RedisType::Zset, &["b", "2", "a", "1"]));
    }

    #[test]
    fn whatever_differs_shows() {
        let hash = of(RedisType::Hash, &["a", "1", "b", "2"]);
        for other in [
            &["a", "2", "b", "1"][..],
            &["a", "1"],
            &["a", "1", "b", "2", "c", ""],
            &["a1", "", "b", "2"],
            &["1", "a", "2", "b"],
            &["a", "1", "b", "2", "b", "2"],
        ] {
            assert_ne!(of(RedisType::Hash, other), hash, "{other:?}");
        }
        assert_ne!(of(RedisType::Set, &["a", "b"]), of(RedisType::List, &["a", "b"]));
        assert_ne!(of(RedisType::Set, &[]), of(RedisType::Hash, &[]));
        assert_ne!(of(RedisType::Set, &["a"]), of(RedisType::Set, &["a", "a", "a"]));
        assert_ne!(ContentDigest::of(RedisType::String, b"a"), ContentDigest::of(RedisType::Json, b"a"));
    }

    #[test]
    fn a_score_is_a_number_however_it_is_spelled() {
        let zset = |score| of(RedisType::Zset, &["m", score]);
        assert_eq!(zset("0.1"), zset("0.10000000000000001"));
        assert_eq!(zset("1e+20"), zset("100000000000000000000"));
        assert_ne!(zset("0.1"), zset("0.10000000000000002"));
        assert_ne!(zset("inf"), zset("-inf"));
        assert_eq!(zset("-0"), zset("0"));
        assert_ne!(zset("x"), zset("y"));
    }

    #[test]
    fn slices_give_what_the_whole_gives_and_the_first_begins_anew() {
        for redis_type in [RedisType::Hash, RedisType::List, RedisType::Set, RedisType::Zset, RedisType::Stream] {
            let mut hasher = ContentHasher::new(redis_type);
            hasher.push(&slice(redis_type, &["old", "1"], Some((true, false))));
            hasher.push(&slice(redis_type, &["a", "1", "b", "2"], Some((true, false))));
            hasher.push(&slice(redis_type, &["c", "3"], Some((false, true))));
            assert_eq!(hasher.finish(), of(redis_type, &["a", "1", "b", "2", "c", "3"]), "{redis_type}");
            let whole = slice(redis_type, &["a", "1"], None);
            assert_eq!(ContentDigest::of_record(&whole), Some(of(redis_type, &["a", "1"])));
            assert_eq!(ContentDigest::of_record(&slice(redis_type, &["a", "1"], Some((true, true)))), None);
        }
    }

    #[test]
    fn the_times_of_fields_count_where_they_were_read() {
        let timed = |at: &[i64]| {
            let fields = Some(FieldExpiries { at: at.to_vec(), now: None });
            let facts = Some(Arc::new(KeyFacts { fields, ..KeyFacts::default() }));
            let record = Record { facts, ..slice(RedisType::Hash, &["a", "1", "b", "2"], None) };
            ContentDigest::of_record(&record).unwrap()
        };
        assert_eq!(timed(&[-1, 5_000]), timed(&[-1, 5_000]));
        for other in [&[-1, 5_001][..], &[5_000, -1], &[-1, -1]] {
            assert_ne!(timed(other), timed(&[-1, 5_000]));
        }
        assert!(timed(&[-1, -1]).has_field_expiry());
        assert_ne!(timed(&[-1, -1]), of(RedisType::Hash, &["a", "1", "b", "2"]));
    }

    #[test]
    fn a_record_without_a_value_has_none_but_by_its_dump() {
        let valueless = |redis_type, dump: Option<&'static [u8]>| {
            let dump = dump.map(Bytes::from_static);
            let facts = Some(Arc::new(KeyFacts { dump, without_value: true, ..KeyFacts::default() }));
            ContentDigest::of_record(&Record { facts, ..slice(redis_type, &[], None) })
        };
        assert_eq!(valueless(RedisType::Hash, None), None);
        assert_eq!(valueless(RedisType::Module, None), None);
        assert_eq!(valueless(RedisType::Module, Some(b"x")), Some(ContentDigest::of(RedisType::Module, b"x")));
    }
}
